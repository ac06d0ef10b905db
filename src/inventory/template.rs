//! What reading a template asks for beyond reading a manifest: a choice where two branches say different things, the
//! places at which lines are missing, and a word for everything that is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::object::{ObjectMeta, Text};
use crate::source::TemplateLanguage;
use crate::syntax::{Entry, Node, NodeKind, Place};
use crate::template::{Apart, Condition, Hole, Literal, Template, is_open, is_templated};

/// How many ways to choose among branches one object is read in.
const MAX_WAYS: usize = 64;
/// How many unknown parts of one document are listed.
const MAX_UNKNOWN: usize = 100;
/// How many conditions an object remembers.
const MAX_CONDITIONS: usize = 10_000;

/// What is known of an object because it stands in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templated {
    /// The template's language.
    pub language: TemplateLanguage,
    /// The conditions around the object and in it, sorted by where they begin, each with the one around it.
    conditions: Vec<(Condition, Option<usize>)>,
    /// Where values come from, sorted by the index of the rule that has them.
    notes: Vec<(usize, String)>,
    /// Blocks that are called where rules are expected.
    pub(super) calls: Vec<String>,
    /// Indices of rules that are absent with default values.
    off: Vec<usize>,
}

impl Templated {
    /// Of an object that is no template itself, and of which some values are filled in.
    pub(super) fn filled_in(language: TemplateLanguage) -> Self {
        Self { language, conditions: Vec::new(), notes: Vec::new(), calls: Vec::new(), off: Vec::new() }
    }

    /// Creates the conditions and notes of a rendered object.
    pub(super) fn rendered(conditions: Vec<Condition>, notes: Vec<(usize, String)>, off: Vec<usize>) -> Self {
        let language = TemplateLanguage::DoubleBraces;
        Self { language, conditions: nested(conditions), notes, calls: Vec::new(), off }
    }

    /// Reports whether a place or rule is absent with default values.
    pub fn is_off_by_default(&self, place: &Place, rule: Option<usize>) -> bool {
        rule.is_some_and(|rule| self.off.contains(&rule))
            || self.conditions_at(place).any(|condition| condition.by_default == Some(false))
    }

    /// The conditions under which what is at a place is there, the outermost first.
    pub fn conditions(&self, place: &Place) -> Vec<&str> {
        let mut found: Vec<&str> = self.conditions_at(place).map(|condition| condition.words.as_str()).collect();
        found.reverse();
        found
    }

    /// Returns the conditions of a place, the innermost first.
    fn conditions_at(&self, place: &Place) -> impl Iterator<Item = &Condition> {
        let offset = place.offset as usize;
        let before = self.conditions.partition_point(|(condition, _)| condition.range.start <= offset);
        let first = before.checked_sub(1).and_then(|index| self.conditions.get(index));
        let around = |(_, around): &&(Condition, Option<usize>)| around.and_then(|index| self.conditions.get(index));
        let chain = std::iter::successors(first, around);
        chain.map(|(condition, _)| condition).filter(move |condition| condition.range.contains(&offset))
    }

    /// Whence the values of a rule come.
    pub fn notes(&self, rule: usize) -> impl Iterator<Item = &str> {
        let from = self.notes.partition_point(|(index, _)| *index < rule);
        let notes = self.notes.get(from..).unwrap_or_default().iter();
        notes.take_while(move |(index, _)| *index == rule).map(|(_, note)| note.as_str())
    }
}

/// Links each condition to the one around it. The input is sorted by start.
fn nested(found: Vec<Condition>) -> Vec<(Condition, Option<usize>)> {
    let mut conditions: Vec<(Condition, Option<usize>)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for condition in found.into_iter().take(MAX_CONDITIONS) {
        let is_over =
            |known: &usize| conditions.get(*known).is_none_or(|(known, _)| known.range.end <= condition.range.start);
        while open.last().is_some_and(is_over) {
            open.pop();
        }
        let around = open.last().copied();
        open.push(conditions.len());
        conditions.push((condition, around));
    }
    conditions
}

/// The directory of the chart in which a template stands, by its name.
fn chart_of(path: &str) -> &str {
    if path.starts_with("templates/") { "" } else { path.rfind("/templates/").map_or("", |end| &path[..end]) }
}

/// Whether two templates are of the same chart, or one of a chart in that of the other.
pub(super) fn is_of_one_chart(a: &str, b: &str) -> bool {
    let (a, b) = (chart_of(a), chart_of(b));
    let is_around = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with('/'))
    };
    is_around(a, b) || is_around(b, a)
}

impl ObjectMeta {
    /// Whether a block that stands there may be called in a file.
    pub(super) fn may_be_called_in(&self, caller: &str) -> bool {
        is_of_one_chart(&self.path, caller)
    }

    /// The conditions under which what stands at a place of the object's file is there: none for a manifest.
    pub fn conditions(&self, place: &Place) -> Vec<&str> {
        self.template.as_ref().map(|template| template.conditions(place)).unwrap_or_default()
    }

    /// The same in words that go on with a sentence; nothing where there are none.
    pub fn under_conditions(&self, place: &Place) -> String {
        let conditions = self.conditions(place).join(" and ");
        if conditions.is_empty() { conditions } else { format!(", {conditions}") }
    }
}

/// Something that is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unknown {
    pub offset: u32,
    pub what: String,
    /// The block that says it, if that is found.
    pub block: Option<String>,
}

impl Unknown {
    pub(super) fn new(offset: u32, what: impl Into<String>) -> Self {
        Self { offset, what: what.into(), block: None }
    }
}

/// A list of strings as a template has it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The strings, those that are filled in as they are spelled.
    pub texts: Vec<Text>,
    /// What fills in strings that are not known.
    pub filled: Vec<String>,
    /// What filled in strings that are known.
    pub resolved: Vec<String>,
    /// Whether one of the strings is there wherever the rule is.
    pub certain: bool,
}

/// The template in which a tree stands, and what was found out about it.
pub(crate) struct TemplateView<'p> {
    pub(super) template: &'p Template<'p>,
    language: TemplateLanguage,
    /// The block in which the tree stands, if that is called from elsewhere.
    pub(super) block: Option<&'p str>,
    pub(super) unknown: Vec<Unknown>,
    /// Where something is not known beyond what is listed.
    more: BTreeSet<u32>,
    /// Notes of the role that is being read.
    pub(super) notes: Vec<(usize, String)>,
    /// Blocks that it calls for rules.
    calls: Vec<String>,
    choices: Choices,
    /// The branches that are there while a rule is read, by their conditions.
    assumed: Vec<(String, usize)>,
    holes: Holes,
}

impl<'p> TemplateView<'p> {
    pub(super) fn new(template: &'p Template<'p>, language: TemplateLanguage) -> Self {
        Self {
            template,
            language,
            block: None,
            unknown: Vec::new(),
            more: BTreeSet::new(),
            notes: Vec::new(),
            calls: Vec::new(),
            choices: Choices::default(),
            assumed: Vec::new(),
            holes: Holes::default(),
        }
    }

    /// The template's language.
    pub(super) fn language(&self) -> TemplateLanguage {
        self.language
    }

    /// Remembers that something is not known.
    pub(super) fn unknown(&mut self, offset: u32, what: String) {
        self.unknown_unless(offset, what, None);
    }

    /// Remembers that rules are not known, which a directive writes: they are, if it calls a block that has some.
    pub(super) fn unknown_rules(&mut self, offset: u32, what: String, hole: usize) {
        let block = self.template.called(hole);
        self.calls.extend(block.clone());
        self.unknown_unless(offset, what, block);
    }

    fn unknown_unless(&mut self, offset: u32, what: String, block: Option<String>) {
        let unknown = Unknown { offset, what, block };
        if self.unknown.contains(&unknown) {
            return;
        }
        if self.unknown.len() < MAX_UNKNOWN {
            self.unknown.push(unknown);
        } else {
            self.more.insert(offset);
        }
    }

    /// What is not known, with how much of that is not listed.
    pub(super) fn into_unknown(self) -> Vec<Unknown> {
        let Self { mut unknown, more, .. } = self;
        if let Some(first) = more.first() {
            let what = format!("{} more places of it are not known, the first of them here", more.len());
            unknown.push(Unknown::new(*first, what));
        }
        unknown
    }

    /// Finds out in which parts of a tree lines are missing. Its document is this range of the file.
    pub(super) fn find_holes(&mut self, root: Node<'_>, document: Range<usize>) {
        self.holes = Holes::default();
        let (template, start) = (self.template, root.range().start);
        let left = self.holes.assign(template, root, document.end);
        for hole in left {
            let lists =
                if root.kind() == NodeKind::Sequence { &mut self.holes.in_list } else { &mut self.holes.in_mapping };
            lists.entry(start).or_default().push(hole);
        }
        self.holes.before = template.holes(document.start..start).last().map(|hole| (start, hole.directive));
    }

    /// What may write fields of a mapping that it does not have: lines in it, or before it.
    pub(super) fn may_write_fields(&self, mapping: Node<'_>) -> Option<usize> {
        let before = self.holes.before.filter(|(start, _)| *start == mapping.range().start);
        self.holes_in(mapping).first().copied().or(before.map(|(_, hole)| hole))
    }

    /// The lines that are missing in a mapping itself, rather than in the value of a key.
    pub(super) fn holes_in(&self, mapping: Node<'_>) -> &[usize] {
        self.holes.in_mapping.get(&mapping.range().start).map_or(&[], Vec::as_slice)
    }

    /// The lines that are missing in the value of a key.
    pub(super) fn holes_of(&self, entry: &Entry<'_>) -> &[usize] {
        self.holes.in_value.get(&entry.key.range().start).map_or(&[], Vec::as_slice)
    }

    /// The lines that are missing in a list.
    pub(super) fn holes_in_list(&self, list: Node<'_>) -> &[usize] {
        self.holes.in_list.get(&list.range().start).map_or(&[], Vec::as_slice)
    }

    /// What a hole writes, as messages show it.
    pub(super) fn shown(&self, hole: usize) -> String {
        self.template.shown(hole)
    }

    /// Begins to read an object in all ways in which branches can be chosen.
    pub(super) fn begin(&mut self) -> Choices {
        std::mem::take(&mut self.choices)
    }

    /// Goes on to the next way; false if there is none.
    pub(super) fn next_way(&mut self, place: Place) -> bool {
        self.notes.clear();
        self.calls.clear();
        if !self.choices.advance() {
            return false;
        }
        if self.choices.ways > MAX_WAYS {
            self.unknown(place.offset, "its conditions can be chosen in too many ways".to_owned());
            return false;
        }
        true
    }

    /// Goes back to the object around.
    pub(super) fn end(&mut self, outer: Choices) {
        self.choices = outer;
    }

    /// One of several.
    pub(super) fn choose(&mut self, id: String, of: usize) -> usize {
        self.choices.choose(id, of)
    }

    /// The one of several values of a key that counts in the way in which the object is read.
    pub(super) fn pick(&mut self, found: &[Entry<'_>]) -> usize {
        let Some(first) = found.first() else { return 0 };
        let at = |entry: &Entry<'_>| entry.key.range().start;
        if found.len() > MAX_WAYS {
            self.unknown(first.key.place().offset, "a key stands there too often".to_owned());
            return found.len() - 1;
        }
        let mut branches: Vec<usize> = Vec::new();
        let mut name: Option<String> = None;
        for other in found.get(1..).unwrap_or_default() {
            match self.template.apart(at(first), at(other)) {
                Apart::Branches { condition, branches: [a, b] }
                    if name.as_ref().is_none_or(|known| *known == condition) =>
                {
                    if branches.is_empty() {
                        branches.push(a);
                    }
                    branches.push(b);
                    name = Some(condition);
                }
                _ => {
                    // Each may be there without the others.
                    let id = format!("@{}", at(first));
                    return self.choices.choose(id, found.len());
                }
            }
        }
        let of = branches.iter().max().map_or(1, |last| last + 1);
        let chosen = self.choices.choose(name.unwrap_or_default(), of);
        branches.iter().rposition(|branch| *branch == chosen).unwrap_or(found.len() - 1)
    }

    /// The ways in which the lists of a rule can be there together, each a choice of branches: one of them if no condition
    /// decides about several lists. What two branches of one say is never there at once.
    pub(super) fn ways_of(&self, rule: Node<'_>, lists: &[Vec<Entry<'_>>]) -> Vec<Vec<(String, usize)>> {
        let start = rule.range().start;
        let mut decided: BTreeMap<String, (BTreeSet<usize>, BTreeSet<usize>)> = BTreeMap::new();
        for (list, entry) in lists.iter().enumerate().flat_map(|(list, found)| found.iter().map(move |it| (list, it))) {
            let items = entry.value.items().take(MAX_WAYS).map(|item| item.range().start);
            for at in std::iter::once(entry.key.range().start).chain(items) {
                for (condition, branch) in self.template.branches(at, start) {
                    let (lists, branches) = decided.entry(condition).or_default();
                    lists.insert(list);
                    branches.insert(branch);
                }
            }
        }
        decided.retain(|_, (lists, _)| lists.len() > 1);
        let mut ways = vec![Vec::new()];
        for (condition, (_, mut branches)) in decided {
            // Or none of them is there.
            branches.extend(branches.last().map(|last| last + 1));
            if ways.len() * branches.len() > MAX_WAYS {
                // Read as if all could be there at once, no grant is lost.
                return vec![Vec::new()];
            }
            let with = |way: &Vec<(String, usize)>, branch| [way.as_slice(), &[(condition.clone(), branch)]].concat();
            ways = ways.iter().flat_map(|way| branches.iter().map(move |branch| with(way, *branch))).collect();
        }
        ways
    }

    /// Reads what follows as if these branches were there.
    pub(super) fn assume(&mut self, branches: Vec<(String, usize)>) {
        self.assumed = branches;
    }

    /// Whether what stands at a place is there wherever the rule is, as it is read.
    fn is_certain(&self, at: usize, rule: usize) -> bool {
        self.template.is_certain(at, rule, &self.assumed)
    }

    /// Whether a place in a rule stands in another branch than is assumed to be there.
    fn is_left_out(&self, at: usize, rule: usize) -> bool {
        let other = |(condition, branch): (String, usize)| {
            self.assumed.iter().any(|(known, chosen)| *known == condition && *chosen != branch)
        };
        !self.assumed.is_empty() && self.template.branches(at, rule).into_iter().any(other)
    }

    /// A list of strings, from all values that a key has in some branch.
    pub(super) fn texts(&mut self, found: &[Entry<'_>], name: &str, rule: usize) -> Listed {
        let mut listed = Listed::default();
        for entry in found {
            let (value, place) = (entry.value, entry.key.place());
            if self.is_left_out(entry.key.range().start, rule) {
                continue;
            }
            match value.kind() {
                NodeKind::Sequence => {
                    for item in value.items() {
                        if !self.is_left_out(item.range().start, rule) {
                            self.item(item, value, rule, &mut listed);
                        }
                    }
                }
                NodeKind::String(text) => match self.template.only(value.range()) {
                    Some(hole) if is_open(&text) => listed.filled.push(self.shown(hole)),
                    Some(hole) => self.fill(hole, value.place(), rule, &mut listed),
                    None => self.unknown(place.offset, format!("`{name}` must be a list of strings")),
                },
                _ if value.is_null() => {}
                _ => self.unknown(place.offset, format!("`{name}` must be a list of strings")),
            }
            let holes = self.holes_of(entry).to_vec();
            for hole in holes {
                if !self.is_left_out(self.template.start_of(hole), rule) {
                    self.fill(hole, place, rule, &mut listed);
                }
            }
        }
        listed
    }

    fn item(&mut self, item: Node<'_>, list: Node<'_>, rule: usize, listed: &mut Listed) {
        let (range, place) = (item.range(), item.place());
        let certain = self.is_certain(range.start, rule);
        if let Some(texts) = self.template.alternatives(range.clone()) {
            listed.filled.extend(texts.iter().map(|(text, _)| text).filter(|text| is_templated(text)).cloned());
            let texts = texts.into_iter();
            return listed
                .texts
                .extend(texts.map(|(text, branch)| Text { value: text.into(), place: branch.unwrap_or(place) }));
        }
        let NodeKind::String(text) = item.kind() else {
            if !item.is_null() {
                self.unknown(place.offset, "a list holds what is no string".to_owned());
            }
            return;
        };
        let Some(hole) = self.template.only(range) else {
            if is_templated(&text) {
                listed.filled.push(text.to_string());
            }
            listed.certain |= certain;
            return listed.texts.push(Text { value: text.into(), place });
        };
        // A tag, or what becomes of the ends of lines, makes something else of it.
        if is_open(&text) {
            listed.filled.push(self.shown(hole));
            return listed.texts.push(Text { value: text.into(), place });
        }
        if let Some(texts) = self.template.elements(hole) {
            listed.resolved.push(format!("{} is {}", self.shown(hole), list_of(&texts)));
            listed.certain |= certain && !texts.is_empty();
            return listed.texts.extend(texts.into_iter().map(|text| Text { value: text.into(), place }));
        }
        // In brackets, an expression may write any number of items.
        if let Some(Literal::List(_)) = self.template.evaluate(hole) {
            return self.fill(hole, place, rule, listed);
        }
        match self.template.word(hole) {
            Some(text) => {
                listed.resolved.push(format!("{} is {text:?}", self.shown(hole)));
                listed.certain |= certain && !(list.is_flow() && text.is_empty());
                listed.texts.push(Text { value: text.into(), place });
            }
            None => {
                listed.filled.push(self.shown(hole));
                listed.certain |= certain && !list.is_flow();
                listed.texts.push(Text { value: text.into(), place });
            }
        }
    }

    fn fill(&mut self, hole: usize, place: Place, rule: usize, listed: &mut Listed) {
        let shown = self.shown(hole);
        match self.template.evaluate(hole) {
            // What is empty by default is meant to be filled in.
            Some(literal) if !literal.is_true() => {
                listed.resolved.push(format!("{shown} is empty"));
                listed.filled.push(shown);
            }
            Some(literal) => match self.template.texts_of(&literal) {
                Some(texts) => {
                    listed.resolved.push(format!("{shown} is {}", list_of(&texts)));
                    listed.certain |= !texts.is_empty() && self.is_certain(place.offset as usize, rule);
                    listed.texts.extend(texts.into_iter().map(|text| Text { value: text.into(), place }));
                }
                None => listed.filled.push(shown),
            },
            None => listed.filled.push(shown),
        }
    }

    /// Why the names that a rule is limited to may be missing.
    pub(super) fn why_names_may_be_missing(&self, names: &Listed, key: Place, rule: usize) -> String {
        let key = key.offset as usize;
        let conditions = self.template.conditions(key..key + 1).into_iter();
        let own: Vec<String> =
            conditions.filter(|it| !it.range.contains(&rule)).map(|condition| condition.words).collect();
        if !own.is_empty() {
            return format!("names that limit it are there {}", own.join(" and "));
        }
        let by = names.resolved.first().or(names.filled.first()).map(|by| format!(": {by}"));
        format!("names that limit it may be missing{}", by.unwrap_or_default())
    }

    /// What an object in a range knows of its template; its notes are taken.
    pub(super) fn templated(&mut self, start: usize, end: usize) -> Arc<Templated> {
        let conditions = nested(self.template.conditions(start..end.max(start + 1)));
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort_by_key(|(rule, _)| *rule);
        let calls = std::mem::take(&mut self.calls);
        Arc::new(Templated { language: self.language, conditions, notes, calls, off: Vec::new() })
    }
}

/// `["a", "b"]`, as far as it is short.
fn list_of(texts: &[String]) -> String {
    let shown: Vec<String> = texts.iter().take(3).map(|text| format!("{text:?}")).collect();
    let more = if texts.len() > 3 { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

/// The choices that were made while one object was read. It is read until all have been made in all ways.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// What to choose, as far as that is settled.
    settled: Vec<usize>,
    /// What was chosen, in this order, and among how many.
    made: Vec<(String, usize, usize)>,
    ways: usize,
}

impl Choices {
    fn choose(&mut self, id: String, of: usize) -> usize {
        if let Some((_, chosen, _)) = self.made.iter().find(|(known, ..)| *known == id) {
            return *chosen;
        }
        if self.made.len() >= MAX_WAYS {
            // Too many, which is said once the object has been read.
            self.ways = MAX_WAYS;
            return 0;
        }
        let chosen = self.settled.get(self.made.len()).copied().unwrap_or_default();
        self.made.push((id, chosen, of));
        chosen
    }

    /// Settles the next way to choose; false if all have been taken.
    fn advance(&mut self) -> bool {
        self.ways += 1;
        let Some(last) = self.made.iter().rposition(|(_, chosen, of)| chosen + 1 < *of) else { return false };
        self.settled = self.made.iter().take(last + 1).map(|(_, chosen, _)| *chosen).collect();
        if let Some(chosen) = self.settled.last_mut() {
            *chosen += 1;
        }
        self.made.clear();
        true
    }
}

/// Where lines are missing: directives by the node in which they write them.
#[derive(Debug, Default)]
struct Holes {
    /// In a mapping itself, by its first byte.
    in_mapping: BTreeMap<usize, Vec<usize>>,
    /// In the value of a key, by the key's first byte.
    in_value: BTreeMap<usize, Vec<usize>>,
    /// In a list, by its first byte.
    in_list: BTreeMap<usize, Vec<usize>>,
    /// Before the root, by its first byte.
    before: Option<(usize, usize)>,
}

impl Holes {
    /// Assigns the holes between the start of a node and `end`, and returns those that are not in it.
    fn assign(&mut self, template: &Template<'_>, node: Node<'_>, end: usize) -> Vec<usize> {
        let start = node.range().start;
        let within = template.holes(start..end);
        if within.is_empty() {
            return Vec::new();
        }
        match node.kind() {
            NodeKind::Mapping if !node.is_flow() => self.assign_mapping(template, node, end),
            NodeKind::Sequence if !node.is_flow() => {
                let items: Vec<Node<'_>> = node.items().collect();
                let mut left = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let next = items.get(index + 1).map_or(end, |next| next.range().start);
                    left.extend(self.assign(template, *item, next));
                }
                left
            }
            _ => within.iter().map(|hole| hole.directive).collect(),
        }
    }

    fn assign_mapping(&mut self, template: &Template<'_>, node: Node<'_>, end: usize) -> Vec<usize> {
        let column = node.column();
        let start = node.range().start;
        let entries: Vec<Entry<'_>> = node.entries().collect();
        let mut left = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let key = entry.key.range().start;
            let next = entries.get(index + 1).map_or(end, |next| next.key.range().start);
            let within: Vec<Hole> = template.holes(key..next).to_vec();
            if within.is_empty() {
                continue;
            }
            let is_block =
                !entry.value.is_flow() && matches!(entry.value.kind(), NodeKind::Mapping | NodeKind::Sequence);
            let mut outside = if is_block {
                self.assign(template, entry.value, next)
            } else {
                within.iter().map(|hole| hole.directive).collect()
            };
            outside.sort_unstable();
            for hole in within.iter().filter(|hole| outside.binary_search(&hole.directive).is_ok()) {
                let in_flow = entry.value.is_flow() && entry.value.range().contains(&hole.offset);
                let takes = entry.value.is_null() || entry.value.kind() == NodeKind::Sequence && is_block;
                if in_flow || takes && hole.column >= column {
                    self.in_value.entry(key).or_default().push(hole.directive);
                    self.in_list.entry(entry.value.range().start).or_default().push(hole.directive);
                }
                // What is a list, or a mapping, belongs to where there is one.
                let written = if hole.column == column && takes { template.literal(hole.directive) } else { None };
                if in_flow || hole.column > column && takes || matches!(written, Some(Literal::List(_))) {
                    continue;
                }
                if hole.column >= column {
                    self.in_mapping.entry(start).or_default().push(hole.directive);
                } else {
                    left.push(hole.directive);
                }
            }
        }
        left
    }
}
