//! Blocks of templates. A block is written where it is called: what is to be said of it depends on who calls it, and from
//! where, so that it is settled once all files are read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::load::Unread;
use super::read::append;
use super::template::{chart_of, is_in_or_around, is_of_one_chart};
use super::{Inventory, RoleId, link};
use crate::source::TemplateLanguage;
use crate::template::Level;

/// What files say of blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Those that are defined, each with the file.
    pub defined: Vec<(String, Arc<str>)>,
    /// Those of which some text has escapes.
    pub escaped: Vec<(String, Arc<str>)>,
    /// Those that go on in the first column of another line.
    pub of_lines: Vec<(String, Arc<str>)>,
    /// Those in documents with RBAC that are defined where they are called.
    pub called: Vec<Unread>,
    /// Lines of which each is made of a block.
    pub altered: Vec<Unread>,
    /// What they write that nobody has read, and what it may become where they are called.
    pub unseen: Vec<(Level, Unread)>,
    /// Their calls.
    pub calls: Vec<BlockCall>,
}

/// A call of a block.
#[derive(Debug)]
pub(super) struct BlockCall {
    /// The block.
    pub block: String,
    /// The block that calls it, if one does.
    pub caller: Option<String>,
    /// The file.
    pub path: Arc<str>,
    /// The line.
    pub line: u32,
    /// The directive, as it is shown.
    pub shown: String,
    /// What lines of the block may become.
    pub level: Level,
    /// Whether what it writes is parsed, and its parts are written.
    pub is_parsed: bool,
    /// Whether what it writes is written.
    pub is_written: bool,
}

impl BlockCall {
    /// That it is not known what the call writes.
    fn unread(&self, reason: String) -> Unread {
        let (path, line, language) = (Arc::clone(&self.path), self.line, TemplateLanguage::DoubleBraces);
        Unread { path, line, language, mentions: Vec::new(), reason, block: None }
    }
}

impl Blocks {
    /// Whether nothing is said of any.
    pub(super) fn is_empty(&self) -> bool {
        let Self { defined, escaped, of_lines, called, altered, unseen, calls } = self;
        defined.is_empty()
            && escaped.is_empty()
            && of_lines.is_empty()
            && called.is_empty()
            && altered.is_empty()
            && unseen.is_empty()
            && calls.is_empty()
    }

    /// Takes over what others say.
    pub(super) fn append(&mut self, others: Self) {
        append(&mut self.defined, others.defined);
        append(&mut self.escaped, others.escaped);
        append(&mut self.of_lines, others.of_lines);
        append(&mut self.called, others.called);
        append(&mut self.altered, others.altered);
        append(&mut self.unseen, others.unseen);
        append(&mut self.calls, others.calls);
    }

    /// What of templates was not looked at, now that all is known: of what calls a block that was read, nothing is left to
    /// say.
    pub(super) fn settle(self, inventory: &Inventory, mut unread: Vec<Unread>) -> Vec<Unread> {
        let Self { defined, escaped, of_lines, called, altered, unseen, calls } = self;
        let defined = Places::of(defined.iter().map(|(name, path)| (name.as_str(), &**path)));
        let escaped = Places::of(escaped.iter().map(|(name, path)| (name.as_str(), &**path)));
        let of_lines = Places::of(of_lines.iter().map(|(name, path)| (name.as_str(), &**path)));
        let mut reached = Reached::of(&calls);
        let block_of = |unread: &Unread| unread.block.clone().unwrap_or_default();
        // Of several blocks of one name, Helm takes one.
        let is_one = |unread: &Unread| defined.of_chart(&block_of(unread), &unread.path).take(2).count() < 2;
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
            let is_of_rbac = |path: &&str| with_rbac.contains(path) && is_of_one_chart(path, &unread.path);
            defined.named(&block_of(unread)).iter().any(is_of_rbac)
        }));
        for (level, it) in &unseen {
            let becomes = reached.becomes(it.block.as_deref().unwrap_or_default(), &it.path);
            if becomes.is_some_and(|becomes| becomes.document || *level == Level::Line) {
                unread.push(it.clone());
            }
        }
        for call in &calls {
            let Some(becomes) = reached.call_becomes(call) else { continue };
            let is_known = |places: &Places<'_>| places.of_chart(&call.block, &call.path).next().is_some();
            let reason = if becomes.document && !is_known(&defined) {
                "is not here"
            } else if call.is_parsed && is_known(&escaped) {
                "has escapes and is parsed"
            } else if becomes.in_line && is_known(&of_lines) {
                "has more lines than one"
            } else {
                continue;
            };
            unread.push(call.unread(format!("{} may write RBAC: block {:?} {reason}", call.shown, call.block)));
        }
        unread
    }
}

/// Files in which blocks stand, by the names of these.
struct Places<'b>(HashMap<&'b str, Vec<&'b str>>);

impl<'b> Places<'b> {
    fn of(blocks: impl Iterator<Item = (&'b str, &'b str)>) -> Self {
        let mut places: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, path) in blocks {
            // A name with escapes may be any.
            places.entry(if name.contains('\\') { "" } else { name }).or_default().push(path);
        }
        Self(places)
    }

    fn named(&self, block: &str) -> &[&'b str] {
        self.0.get(block).map(Vec::as_slice).unwrap_or_default()
    }

    /// Those that a file of one of these charts may call.
    fn of_chart(&self, block: &str, path: &str) -> impl Iterator<Item = &'b str> {
        let named = self.named(block).iter().chain(self.named("")).copied();
        named.filter(move |known| is_of_one_chart(known, path))
    }
}

/// What blocks become where they are called, all calls from files that are rendered to the last one followed.
struct Reached<'b> {
    /// The calls of each chart, by its directory.
    calls: BTreeMap<&'b str, Vec<&'b BlockCall>>,
    /// The blocks that a chart's files reach, with those of charts in it and around it.
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
            of_charts.entry(chart_of(&call.path)).or_default().push(call);
        }
        Self { calls: of_charts, known: BTreeMap::new() }
    }

    /// What a block of a file becomes; none if nothing that is rendered calls it.
    fn becomes(&mut self, block: &str, path: &'b str) -> Option<Becomes> {
        // A name with escapes may be any.
        if block.contains('\\') {
            return Some(Becomes { document: true, in_line: true });
        }
        let calls = &self.calls;
        let known = self.known.entry(chart_of(path)).or_insert_with(|| {
            let of_chart = calls.iter().filter(|(chart, _)| is_in_or_around(chart, chart_of(path)));
            reached(of_chart.flat_map(|(_, calls)| calls.iter().copied()))
        });
        known.get(block).copied()
    }

    /// What the lines of a call become; none if it is in a block that nothing calls.
    fn call_becomes(&mut self, call: &'b BlockCall) -> Option<Becomes> {
        let caller = match &call.caller {
            Some(caller) => self.becomes(caller, &call.path)?,
            None => Becomes { document: true, in_line: false },
        };
        Some(becomes_in(caller, call))
    }
}

/// What a block becomes that is called in another one, given what that becomes.
fn becomes_in(caller: Becomes, call: &BlockCall) -> Becomes {
    let is_line = call.level == Level::Line;
    Becomes { document: caller.document && !is_line, in_line: call.is_written && (caller.in_line || is_line) }
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
        let known = reached.get(&*call.block).copied();
        let before = known.unwrap_or_default();
        let now = Becomes { document: before.document || more.document, in_line: before.in_line || more.in_line };
        if known != Some(now) {
            reached.insert(&call.block, now);
            next.extend(within.get(&*call.block).into_iter().flatten().map(|call| (*call, now)));
        }
    }
    reached
}
