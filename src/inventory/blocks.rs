//! Blocks of templates. A block is written where it is called: what is to be said of it depends on who calls it, and from
//! where, so that it is settled once all files are read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::load::Unread;
use super::read::append;
use super::template::is_of_one_chart;
use super::{Inventory, RoleId, link};
use crate::source::TemplateLanguage;
use crate::template::{CallKind, Level};

/// A block in a file.
#[derive(Debug)]
pub(super) struct BlockIn {
    /// The block.
    pub block: String,
    /// The file.
    pub path: Arc<str>,
    /// The chart that is around all that share blocks with the file; empty for none.
    pub chart: Arc<str>,
}

/// What files say of blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Those that are defined.
    pub defined: Vec<BlockIn>,
    /// Those of which some text has escapes.
    pub escaped: Vec<BlockIn>,
    /// Those that go on in the first column of another line.
    pub of_lines: Vec<BlockIn>,
    /// Those that write the end of a line.
    pub with_breaks: Vec<BlockIn>,
    /// Those in documents with RBAC that are defined where they are called.
    pub called: Vec<Unread>,
    /// Lines of which each is made of a block.
    pub altered: Vec<Unread>,
    /// What they write that nobody has read, on the level on which they must be called for it to matter.
    pub unseen: Vec<(BlockIn, Level, Unread)>,
    /// Their calls.
    pub calls: Vec<BlockCall>,
}

/// A call of a block.
#[derive(Debug)]
pub(super) struct BlockCall {
    /// The block, and the file of the call.
    pub to: BlockIn,
    /// The block that calls it, if one does.
    pub caller: Option<String>,
    /// The line.
    pub line: u32,
    /// The directive, as it is shown.
    pub shown: String,
    /// The level on which lines of the block stand.
    pub level: Level,
    /// What becomes of them.
    pub kind: CallKind,
    /// Whether more is written behind them, or they are changed.
    pub goes_on: bool,
}

impl BlockCall {
    /// That it is not known what the call writes.
    fn unread(&self, reason: &str) -> Unread {
        let reason = format!("{} may write RBAC: block {:?} {reason}", self.shown, self.to.block);
        let (path, line, language) = (Arc::clone(&self.to.path), self.line, TemplateLanguage::DoubleBraces);
        Unread { path, line, language, mentions: Vec::new(), reason, block: None }
    }
}

impl Blocks {
    /// Whether nothing is said of any.
    pub(super) fn is_empty(&self) -> bool {
        let Self { defined, escaped, of_lines, with_breaks, called, altered, unseen, calls } = self;
        let places = [defined, escaped, of_lines, with_breaks].into_iter().all(Vec::is_empty);
        places && called.is_empty() && altered.is_empty() && unseen.is_empty() && calls.is_empty()
    }

    /// Takes over what others say.
    pub(super) fn append(&mut self, others: Self) {
        append(&mut self.defined, others.defined);
        append(&mut self.escaped, others.escaped);
        append(&mut self.of_lines, others.of_lines);
        append(&mut self.with_breaks, others.with_breaks);
        append(&mut self.called, others.called);
        append(&mut self.altered, others.altered);
        append(&mut self.unseen, others.unseen);
        append(&mut self.calls, others.calls);
    }

    /// What of templates was not looked at, now that all is known: of what calls a block that was read, nothing is left to
    /// say.
    pub(super) fn settle(self, inventory: &Inventory, mut unread: Vec<Unread>) -> Vec<Unread> {
        let Self { defined, escaped, of_lines, with_breaks, called, altered, unseen, calls } = self;
        let (defined, escaped) = (Places::of(&defined), Places::of(&escaped));
        let (of_lines, with_breaks) = (Places::of(&of_lines), Places::of(&with_breaks));
        let mut reached = Reached::of(&calls);
        let block_of = |unread: &Unread| unread.block.clone().unwrap_or_default();
        // Of several blocks of one name, Helm takes one.
        let is_one = |unread: &Unread| {
            let block = block_of(unread);
            let named = defined.named(&block).chain(defined.named(""));
            named.filter(|known| is_of_one_chart(&known.path, &unread.path)).take(2).count() < 2
        };
        let lists = link::blocks(inventory);
        unread.retain(|unread| {
            let Some(block) = unread.block.as_deref() else { return true };
            let lists = lists.get(block).map(Vec::as_slice).unwrap_or_default();
            let is_read = |list: &RoleId| inventory.role(*list).meta.may_be_called_in(&unread.path);
            !is_one(unread) || !lists.iter().any(is_read)
        });
        unread.extend(called.into_iter().filter(|unread| !is_one(unread)));
        let roles = inventory.roles.iter().map(|role| &role.meta);
        let metas = roles.chain(inventory.bindings.iter().map(|binding| &binding.meta));
        let with_rbac: HashSet<&str> = metas.map(|meta| &*meta.path).collect();
        unread.extend(altered.into_iter().filter(|unread| {
            let is_of_rbac =
                |known: &BlockIn| with_rbac.contains(&*known.path) && is_of_one_chart(&known.path, &unread.path);
            defined.named(&block_of(unread)).any(is_of_rbac)
        }));
        for (block, level, it) in &unseen {
            let becomes = reached.becomes(&block.block, &block.chart);
            if becomes.is_some_and(|becomes| becomes.document || *level == Level::Line) {
                unread.push(it.clone());
            }
        }
        for call in &calls {
            let Some(becomes) = reached.call_becomes(call) else { continue };
            if becomes.document && !defined.has(&call.to) {
                unread.push(call.unread("is not here"));
            } else if call.kind == CallKind::Parsed && escaped.has(&call.to) {
                unread.push(call.unread("has escapes and is parsed"));
            } else if becomes.in_line && (of_lines.has(&call.to) || call.goes_on && with_breaks.has(&call.to)) {
                unread.push(call.unread("has more lines than one"));
            }
        }
        unread
    }
}

/// Blocks by their names.
struct Places<'b>(HashMap<&'b str, Vec<&'b BlockIn>>);

impl<'b> Places<'b> {
    fn of(blocks: &'b [BlockIn]) -> Self {
        let mut places: HashMap<&str, Vec<&BlockIn>> = HashMap::new();
        for block in blocks {
            // A name with escapes may be any.
            let name = if block.block.contains('\\') { "" } else { &block.block };
            places.entry(name).or_default().push(block);
        }
        Self(places)
    }

    fn named(&self, block: &str) -> impl Iterator<Item = &'b BlockIn> {
        self.0.get(block).into_iter().flatten().copied()
    }

    /// Whether one of them is that which is called.
    fn has(&self, called: &BlockIn) -> bool {
        let mut named = self.named(&called.block).chain(self.named(""));
        named.any(|known| known.chart == called.chart)
    }
}

/// What blocks become where they are called, all calls from files that are rendered to the last one followed.
struct Reached<'b> {
    /// The calls of each chart.
    calls: BTreeMap<&'b str, Vec<&'b BlockCall>>,
    /// The blocks that files of a chart reach.
    known: BTreeMap<&'b str, HashMap<&'b str, Becomes>>,
}

/// What a block becomes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Becomes {
    /// A document, or keys of one, somewhere.
    document: bool,
    /// A part of a line somewhere, as it is.
    in_line: bool,
}

impl<'b> Reached<'b> {
    fn of(calls: &'b [BlockCall]) -> Self {
        let mut of_charts: BTreeMap<&str, Vec<&BlockCall>> = BTreeMap::new();
        for call in calls {
            of_charts.entry(&call.to.chart).or_default().push(call);
        }
        Self { calls: of_charts, known: BTreeMap::new() }
    }

    /// What a block of a chart becomes; none if nothing that is rendered calls it.
    fn becomes(&mut self, block: &str, chart: &'b str) -> Option<Becomes> {
        // A name with escapes may be any.
        if block.contains('\\') {
            return Some(Becomes { document: true, in_line: true });
        }
        let calls = self.calls.get(chart).into_iter().flatten().copied();
        self.known.entry(chart).or_insert_with(|| reached(calls)).get(block).copied()
    }

    /// What the lines of a call become; none if it is in a block that nothing calls.
    fn call_becomes(&mut self, call: &'b BlockCall) -> Option<Becomes> {
        let caller = match &call.caller {
            Some(caller) => self.becomes(caller, &call.to.chart)?,
            None => Becomes { document: true, in_line: false },
        };
        Some(becomes_in(caller, call))
    }
}

/// What a block becomes that is called in another one, given what that becomes.
fn becomes_in(caller: Becomes, call: &BlockCall) -> Becomes {
    let is_line = call.level == Level::Line;
    let is_written = call.kind == CallKind::Written;
    Becomes { document: caller.document && !is_line, in_line: is_written && (caller.in_line || is_line) }
}

/// The blocks that calls reach.
fn reached<'b>(calls: impl Iterator<Item = &'b BlockCall>) -> HashMap<&'b str, Becomes> {
    let mut within: HashMap<&str, Vec<&BlockCall>> = HashMap::new();
    let mut next: Vec<(&BlockCall, Becomes)> = Vec::new();
    for call in calls {
        match call.caller.as_deref() {
            Some(caller) if !caller.contains('\\') => within.entry(caller).or_default().push(call),
            caller => next.push((call, Becomes { document: true, in_line: caller.is_some() })),
        }
    }
    let mut reached: HashMap<&str, Becomes> = HashMap::new();
    while let Some((call, caller)) = next.pop() {
        let more = becomes_in(caller, call);
        let known = reached.get(&*call.to.block).copied();
        let before = known.unwrap_or_default();
        let now = Becomes { document: before.document || more.document, in_line: before.in_line || more.in_line };
        if known != Some(now) {
            reached.insert(&call.to.block, now);
            next.extend(within.get(&*call.to.block).into_iter().flatten().map(|call| (*call, now)));
        }
    }
    reached
}
