//! The tree of one document: an arena in source order, walked through [`Node`] handles.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

use super::nested::PlaceMap;
use super::place::{Place, to_u32};
use super::plain::Departure;
use super::scalar::ScalarType;

/// How deep merge keys and aliases may be chained before a document is refused.
const MAX_INDIRECTION: usize = 32;

/// One parsed document.
#[derive(Debug)]
pub struct Tree<'s> {
    pub(super) text: &'s str,
    /// Position of `text` in its file.
    pub(super) base_offset: u32,
    pub(super) nodes: Vec<RawNode<'s>>,
    /// Nodes that may still be visited. Aliases make a small document stand for a huge one
    /// ("billion laughs"); whoever walks the tree pays for each visit.
    pub(super) visits_left: Cell<u64>,
    /// Where the text stands in its file, if it is the text of a scalar there.
    pub(super) map: Option<Arc<PlaceMap>>,
    /// How the text leaves the plain subset, at the first of its trees.
    pub(super) departure: Option<Departure>,
}

/// A node as stored. Nodes lie in source order; `after` is the index behind the node's subtree.
#[derive(Debug)]
pub(super) struct RawNode<'s> {
    pub(super) kind: RawKind<'s>,
    pub(super) tag: TagKind,
    /// Whether a collection is in brackets or braces.
    pub(super) flow: bool,
    /// Byte range in the document text, quotes included.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Position of `start` in the file.
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) after: u32,
}

#[derive(Debug)]
pub(super) enum RawKind<'s> {
    Scalar { value: Cow<'s, str>, style: Style },
    Sequence,
    Mapping,
    Alias(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Quoted,
    Block,
}

/// The tags that change what a scalar means to a Go client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagKind {
    None,
    String,
    Binary,
    Null,
    Boolean,
    Number,
    /// `!!merge`, and `!` alone, which leaves it open: a key with either merges, if it is one that does.
    Merge,
    Other,
}

/// What a node is, aliases followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind<'t> {
    /// A string, with `!!binary` decoded.
    String(Cow<'t, str>),
    /// A scalar that is no string.
    Other(ScalarType),
    /// A list.
    Sequence,
    /// A mapping.
    Mapping,
}

/// A handle on a node.
#[derive(Debug, Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    index: u32,
}

/// A scalar as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalarForm<'t> {
    /// Its text, with `!!binary` decoded.
    pub text: Cow<'t, str>,
    /// Whether its text decides what type it has.
    pub is_plain: bool,
    /// Whether it has lines of its own.
    pub is_block: bool,
    /// Its bytes in the document, without quotes.
    pub range: Range<usize>,
}

/// A key and its value.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'t> {
    /// The key as written.
    pub key: Node<'t>,
    /// Its value.
    pub value: Node<'t>,
}

impl<'s> Tree<'s> {
    pub(super) fn new(text: &'s str, base_offset: u32, nodes: Vec<RawNode<'s>>) -> Self {
        // Generous for real documents: each node may be seen many times through aliases.
        let visits = 200_000 + 16 * nodes.len() as u64;
        Self { text, base_offset, nodes, visits_left: Cell::new(visits), map: None, departure: None }
    }

    /// The same tree over the text of which its own is a masked form; see [`super::parse_masked`].
    pub(super) fn unmasked<'t>(
        self,
        text: &'t str,
        reveal: &mut dyn FnMut(Range<usize>, bool) -> Option<String>,
        locate: &dyn Fn(usize) -> (u32, u32),
    ) -> Tree<'t> {
        let nodes = self.nodes.into_iter().map(|raw| {
            let (start, end) = (raw.start as usize, raw.end as usize);
            let (line, column) = locate(start);
            let mut tag = raw.tag;
            let kind = match raw.kind {
                RawKind::Scalar { value, style } => {
                    match reveal(start..end, !matches!(tag, TagKind::None | TagKind::String)) {
                        // What is filled in is text, whatever it looks like.
                        Some(revealed) => {
                            tag = TagKind::String;
                            RawKind::Scalar { value: Cow::Owned(revealed), style }
                        }
                        None => RawKind::Scalar { value: Cow::Owned(value.into_owned()), style },
                    }
                }
                RawKind::Sequence => RawKind::Sequence,
                RawKind::Mapping => RawKind::Mapping,
                RawKind::Alias(index) => RawKind::Alias(index),
            };
            RawNode { kind, tag, line, column, flow: raw.flow, start: raw.start, end: raw.end, after: raw.after }
        });
        Tree { departure: self.departure, ..Tree::new(text, self.base_offset, nodes.collect()) }
    }

    /// How the text leaves the plain subset, in which all readers agree; see [`Departure`]. Of several trees of one text, the
    /// first says it for all. Whoever reads a tree has to say that it may mean something else, and nobody may edit it.
    pub fn departure(&self) -> Option<Departure> {
        self.departure
    }

    /// The outermost node; none for an empty document.
    pub fn root(&self) -> Option<Node<'_>> {
        (!self.nodes.is_empty()).then_some(Node { tree: self, index: 0 })
    }

    /// The document's text, from its first node to its last. Other documents may stand in the same piece of the file.
    pub fn text(&self) -> &str {
        let (first, last) = (self.nodes.first(), self.nodes.last());
        let range = first.map_or(0, |node| node.start as usize)..last.map_or(0, |node| node.end as usize);
        self.text.get(range).unwrap_or(self.text)
    }

    /// Whether the places of its nodes differ. In the text of a folded or encoded scalar all have the scalar's.
    pub fn has_places(&self) -> bool {
        self.map.as_ref().is_none_or(|map| map.is_exact())
    }

    /// Every scalar that is written in the document and is no key, in the order of their places; with its key, if it has
    /// one of its own. Nothing is paid for it.
    pub fn values(&self) -> impl Iterator<Item = (Node<'_>, Option<Node<'_>>)> {
        // The open collections: where each ends, and of a mapping the key that waits for its value.
        let mut open: Vec<(u32, Option<Option<u32>>)> = Vec::new();
        let indices = (0..self.nodes.len()).map(to_u32);
        indices.filter_map(move |index| {
            while open.last().is_some_and(|(after, _)| *after <= index) {
                open.pop();
            }
            let raw = self.raw(index)?;
            let key = match open.last_mut() {
                Some((_, Some(waiting @ None))) => {
                    *waiting = Some(index);
                    return None;
                }
                Some((_, Some(waiting))) => waiting.take(),
                _ => None,
            };
            match raw.kind {
                RawKind::Scalar { .. } => {
                    let node = |index| Node { tree: self, index };
                    return Some((node(index), key.map(node)));
                }
                RawKind::Sequence => open.push((raw.after, None)),
                RawKind::Mapping => open.push((raw.after, Some(None))),
                RawKind::Alias(_) => {}
            }
            None
        })
    }

    /// Every mapping that is written in the document, in the order of their places. Nothing is paid for it.
    pub fn mappings(&self) -> impl Iterator<Item = Node<'_>> {
        let nodes = (0..self.nodes.len()).map(|index| Node { tree: self, index: to_u32(index) });
        nodes.filter(|node| matches!(node.raw().kind, RawKind::Mapping))
    }

    /// Whether a walk over the tree was cut short, because its aliases stand for more nodes than
    /// any honest manifest has. What was read is incomplete then.
    pub fn exhausted(&self) -> bool {
        self.visits_left.get() == 0
    }

    /// Whether both documents say the same, however they are laid out.
    pub fn says_the_same(&self, other: &Tree<'_>) -> bool {
        let same = |a: &RawNode<'_>, b: &RawNode<'_>| {
            (a.tag, a.after) == (b.tag, b.after)
                && match (&a.kind, &b.kind) {
                    (RawKind::Scalar { value: a, style: x }, RawKind::Scalar { value: b, style: y }) => {
                        (a, *x == Style::Plain) == (b, *y == Style::Plain)
                    }
                    (RawKind::Alias(a), RawKind::Alias(b)) => a == b,
                    (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
                }
        };
        self.nodes.len() == other.nodes.len() && self.nodes.iter().zip(&other.nodes).all(|(a, b)| same(a, b))
    }

    fn raw(&self, index: u32) -> Option<&RawNode<'s>> {
        self.nodes.get(index as usize)
    }

    fn pay(&self) -> bool {
        let left = self.visits_left.get().saturating_sub(1);
        self.visits_left.set(left);
        left > 0
    }
}

impl<'t> Node<'t> {
    fn raw(self) -> &'t RawNode<'t> {
        // Handles are made from indices of the same arena only.
        &self.tree.nodes[self.index as usize]
    }

    /// The node an alias stands for; the node itself otherwise.
    fn target(self) -> Self {
        match self.raw().kind {
            RawKind::Alias(index) if self.tree.raw(index).is_some() => Self { tree: self.tree, index },
            _ => self,
        }
    }

    /// What the node is. An alias is what it stands for.
    pub fn kind(self) -> NodeKind<'t> {
        let raw = self.target().raw();
        match &raw.kind {
            RawKind::Scalar { value, style } => scalar_kind(value, *style, raw.tag),
            RawKind::Sequence => NodeKind::Sequence,
            RawKind::Mapping => NodeKind::Mapping,
            // An anchor is never an alias itself, and an alias to nothing is a syntax error.
            RawKind::Alias(_) => NodeKind::Other(ScalarType::Null),
        }
    }

    /// The text of a string node.
    pub fn as_str(self) -> Option<Cow<'t, str>> {
        match self.kind() {
            NodeKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the node is null: written out, or a key without a value.
    pub fn is_null(self) -> bool {
        self.kind() == NodeKind::Other(ScalarType::Null)
    }

    /// How messages name the kind of node.
    pub fn describe(self) -> &'static str {
        match self.kind() {
            NodeKind::String(_) => "a string",
            NodeKind::Other(scalar) => scalar.describe(),
            NodeKind::Sequence => "a list",
            NodeKind::Mapping => "a mapping",
        }
    }

    /// The items of a list; nothing for any other node.
    pub fn items(self) -> impl Iterator<Item = Node<'t>> {
        let target = self.target();
        let is_sequence = matches!(target.raw().kind, RawKind::Sequence);
        target.children().take_while(move |_| is_sequence)
    }

    /// The entries of a mapping as written, merge keys (`<<`) included; nothing for other nodes.
    pub fn entries(self) -> impl Iterator<Item = Entry<'t>> {
        let target = self.target();
        let is_mapping = matches!(target.raw().kind, RawKind::Mapping);
        let mut children = target.children().take_while(move |_| is_mapping);
        std::iter::from_fn(move || Some(Entry { key: children.next()?, value: children.next()? }))
    }

    /// Calls `visit` for each entry of a mapping with merge keys resolved: own entries first, then those of `<<`. The last own
    /// one of a key counts, and a merged one where there is no own. The reader of `kubectl` sets one key after the other, those
    /// of a `<<` where it stands; where others may take another value for that, the one that it takes is visited as own.
    pub fn visit_fields(self, visit: &mut dyn FnMut(&str, Entry<'t>, FieldOrigin)) {
        self.visit_merging(visit);
    }

    fn visit_merging(self, visit: &mut dyn FnMut(&str, Entry<'t>, FieldOrigin)) {
        let mut merges = false;
        for entry in self.entries() {
            match entry.key.key_text() {
                Some(key) if entry.key.is_merge(&key) => merges = true,
                Some(key) => visit(&key, entry, FieldOrigin::Own),
                None => {}
            }
        }
        if !merges {
            return;
        }
        let mut fields = Fields::default();
        fields.set_all(self, 0);
        // What is left of merged mappings when all keys are set.
        for (key, field) in fields.order.iter().filter_map(|key| Some((key, fields.set.get(key)?))) {
            if field.depth == 0 {
                continue;
            }
            visit(key, field.entry, FieldOrigin::Merged);
            if field.is_twice {
                visit(key, field.entry, FieldOrigin::Own);
            }
        }
    }

    /// The text of a mapping key. JSON has string keys only, so `1:` is the key `"1"`.
    fn key_text(self) -> Option<Cow<'t, str>> {
        let raw = self.target().raw();
        match &raw.kind {
            RawKind::Scalar { value, .. } => Some(key_text(value, raw)),
            _ => None,
        }
    }

    /// Whether a key of that text merges what it has. An alias of such a key does not.
    fn is_merge(self, key: &str) -> bool {
        key == "<<" && !self.is_alias() && matches!(self.raw().tag, TagKind::None | TagKind::Merge)
    }

    /// The direct children of a collection, each one paid for.
    fn children(self) -> impl Iterator<Item = Node<'t>> {
        let tree = self.tree;
        let raw = self.raw();
        let end = match raw.kind {
            RawKind::Sequence | RawKind::Mapping => raw.after,
            _ => self.index + 1,
        };
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            if next >= end || !tree.pay() {
                return None;
            }
            let node = Node { tree, index: next };
            next = node.raw().after;
            Some(node)
        })
    }

    /// The place of the node's text in its file: a scalar without its quotes, a block scalar
    /// without its header, a collection from its first to its last scalar. An alias has the place
    /// of the node it stands for.
    pub fn place(self) -> Place {
        let place = self.own_place();
        match &self.tree.map {
            Some(map) => map.locate(place),
            None => place,
        }
    }

    /// The same, in the document's own text.
    pub(super) fn own_place(self) -> Place {
        let target = self.target();
        let raw = target.raw();
        match &raw.kind {
            RawKind::Scalar { style, .. } => target.scalar_place(*style),
            RawKind::Alias(_) => target.scalar_place(Style::Plain),
            RawKind::Sequence | RawKind::Mapping => target.collection_place(),
        }
    }

    /// A scalar as it is written, and how.
    pub(super) fn scalar_source(self) -> (&'t str, Style) {
        let target = self.target();
        match &target.raw().kind {
            RawKind::Scalar { style, .. } => (target.source(), *style),
            _ => ("", Style::Plain),
        }
    }

    /// The document's text from the beginning of the line on which the node starts.
    pub(super) fn text_from_line(self) -> Option<&'t str> {
        let before = self.tree.text.get(..self.target().start())?;
        self.tree.text.get(before.rfind(['\n', '\r']).map_or(0, |at| at + 1)..)
    }

    /// The bytes of a scalar, quotes included; of an alias, those of what it stands for.
    pub fn written(self) -> &'t str {
        self.scalar_source().0
    }

    /// A scalar as it stands, whatever its type; an alias is what it stands for.
    pub fn scalar(self) -> Option<ScalarForm<'t>> {
        let target = self.target();
        let raw = target.raw();
        let RawKind::Scalar { value, style } = &raw.kind else { return None };
        let is_plain = match raw.tag {
            TagKind::None | TagKind::Merge => *style == Style::Plain,
            TagKind::Null | TagKind::Boolean | TagKind::Number => true,
            TagKind::String | TagKind::Binary | TagKind::Other => false,
        };
        let text = if raw.tag == TagKind::Binary { decoded(value) } else { Cow::Borrowed(value.as_ref()) };
        let (start, end) = (raw.start as usize, raw.end as usize);
        let range = if *style == Style::Quoted && end - start >= 2 { start + 1..end - 1 } else { start..end };
        Some(ScalarForm { text, is_plain, is_block: *style == Style::Block, range })
    }

    /// Whether it is a mapping, or stands for one.
    pub fn is_mapping(self) -> bool {
        matches!(self.target().raw().kind, RawKind::Mapping)
    }

    /// Whether it is a boolean that says yes, as YAML 1.1 spells that.
    pub fn is_yes(self) -> bool {
        let is_boolean = self.kind() == NodeKind::Other(ScalarType::Boolean);
        is_boolean && is_yes(self.written())
    }

    /// Whether it is a scalar with lines of its own (`|` or `>`).
    pub fn is_block_scalar(self) -> bool {
        self.scalar_source().1 == Style::Block
    }

    /// Where the document stands, if it is the text of a scalar.
    pub(super) fn tree_map(self) -> Option<Arc<PlaceMap>> {
        self.tree.map.clone()
    }

    /// What tells the node from the others of its document; an alias is what it stands for.
    pub fn identity(self) -> u32 {
        self.target().index
    }

    fn scalar_place(self, style: Style) -> Place {
        let raw = self.raw();
        let slice = self.tree.text.get(raw.start as usize..raw.end as usize).unwrap_or_default();
        let offset = self.tree.base_offset + raw.start;
        match style {
            Style::Plain => Place::of_text(slice, offset, raw.line, raw.column),
            Style::Quoted if slice.len() >= 2 => {
                Place::of_text(&slice[1..slice.len() - 1], offset + 1, raw.line, raw.column + 1)
            }
            Style::Quoted => Place::of_text(slice, offset, raw.line, raw.column),
            Style::Block => Place::of_text(slice.trim_end(), offset, raw.line, raw.column),
        }
    }

    fn collection_place(self) -> Place {
        let raw = self.raw();
        let slice_end = match raw.after.checked_sub(1).and_then(|last| self.tree.raw(last)) {
            // The end that the parser gives a block collection is the next token's start.
            Some(last) if raw.after > self.index + 1 => last.end.max(raw.start),
            _ => raw.end.max(raw.start),
        };
        let slice = self.tree.text.get(raw.start as usize..slice_end as usize).unwrap_or_default();
        Place::of_text(slice.trim_end(), self.tree.base_offset + raw.start, raw.line, raw.column)
    }

    /// Whether a collection is in brackets or braces.
    pub(crate) fn is_flow(self) -> bool {
        self.raw().flow
    }

    /// Whether the node only stands for another one.
    pub(super) fn is_alias(self) -> bool {
        matches!(self.raw().kind, RawKind::Alias(_))
    }

    /// The list or mapping that the node is or stands for.
    pub(super) fn resolved(self) -> Self {
        self.target()
    }

    /// The document's text, and where it starts in the file.
    pub(super) fn document(self) -> (&'t str, usize) {
        (self.tree.text, self.tree.base_offset as usize)
    }

    /// First byte in the document's text; brackets and quotes included, an anchor or a tag not. A block collection
    /// starts with its first item or key.
    pub(super) fn start(self) -> usize {
        self.raw().start as usize
    }

    /// Characters before it on its line.
    pub(crate) fn column(self) -> usize {
        self.raw().column.saturating_sub(1) as usize
    }

    /// The byte behind the last one that says something: no blanks, line breaks or comments.
    pub(super) fn content_end(self) -> usize {
        let last = self.raw().after.max(self.index + 1);
        let ends = (self.index..last).filter_map(|index| self.tree.raw(index)).map(|raw| match &raw.kind {
            RawKind::Scalar { style: Style::Block, .. } => {
                let slice = self.tree.text.get(raw.start as usize..raw.end as usize).unwrap_or_default();
                raw.start as usize + slice.trim_end().len()
            }
            RawKind::Scalar { .. } | RawKind::Alias(_) => raw.end as usize,
            _ if raw.flow => raw.end as usize,
            _ => raw.start as usize,
        });
        ends.fold(self.start(), usize::max)
    }

    /// The same byte in the file.
    pub(crate) fn end_in_file(self) -> usize {
        self.tree.base_offset as usize + self.content_end()
    }

    /// The node's bytes in the file, quotes included; of a block collection only where it starts counts.
    pub(crate) fn range(self) -> Range<usize> {
        let raw = self.raw();
        let base = self.tree.base_offset as usize;
        base + raw.start as usize..base + (raw.end.max(raw.start)) as usize
    }

    /// The scalars of the document from this node on to its last child.
    pub(crate) fn scalars(self) -> impl Iterator<Item = Node<'t>> {
        let tree = self.tree;
        let within = self.index..self.raw().after.max(self.index + 1);
        let nodes = within.map(move |index| Node { tree, index });
        nodes.filter(|node| matches!(node.raw().kind, RawKind::Scalar { .. }))
    }

    /// The node's own bytes in the document, quotes included.
    pub fn source(self) -> &'t str {
        let raw = self.raw();
        self.tree.text.get(raw.start as usize..raw.end as usize).unwrap_or_default()
    }

    /// The comment on the line of a node that says nothing itself. Where such a node begins is for the parser to say: at
    /// the colon before it, or behind the comment.
    pub fn comment(self) -> Option<&'t str> {
        // A line may be as long as the file, and say nothing very often.
        const FAR: usize = 1 << 10;
        let (text, at) = (self.tree.text, self.start());
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let before = text.as_bytes().get(at.saturating_sub(FAR)..at)?;
        let start = at - before.iter().rev().position(is_break).unwrap_or(before.len());
        let line = text.as_bytes().get(start..text.len().min(at + FAR))?;
        let line = line.split(is_break).next()?;
        let mark = memchr::memmem::find(line, b" #")?;
        text.get(start + mark..start + line.len()).map(str::trim)
    }
}

/// The fields of a mapping as they are set one after the other.
#[derive(Default)]
struct Fields<'t> {
    set: HashMap<Cow<'t, str>, Field<'t>>,
    order: Vec<Cow<'t, str>>,
}

struct Field<'t> {
    entry: Entry<'t>,
    /// How many `<<` it came through.
    depth: usize,
    /// Whether others may take another value.
    is_twice: bool,
}

impl<'t> Fields<'t> {
    fn set_all(&mut self, mapping: Node<'t>, depth: usize) {
        if depth > MAX_INDIRECTION {
            mapping.tree.visits_left.set(0);
            return;
        }
        let mapping = mapping.target();
        // The keys that this mapping has set, by itself.
        let mut own: HashSet<Cow<'t, str>> = HashSet::new();
        for entry in mapping.entries() {
            let Some(key) = entry.key.key_text() else { continue };
            if !entry.key.is_merge(&key) {
                let is_twice = !own.insert(key.clone());
                self.set(key, Field { entry, depth, is_twice });
                continue;
            }
            let mut merged = Self::default();
            if entry.value.kind() == NodeKind::Sequence {
                // The first takes precedence.
                let items: Vec<Node<'t>> = entry.value.items().collect();
                items.into_iter().rev().for_each(|item| merged.set_all(item, depth + 1));
            } else {
                merged.set_all(entry.value, depth + 1);
            }
            for key in merged.order {
                let Some(field) = merged.set.remove(&key) else { continue };
                // Elsewhere the key of the mapping itself takes precedence.
                let is_twice = field.is_twice || own.contains(&key);
                self.set(key, Field { is_twice, ..field });
            }
        }
    }

    fn set(&mut self, key: Cow<'t, str>, field: Field<'t>) {
        if self.set.insert(key.clone(), field).is_none() {
            self.order.push(key);
        }
    }
}

/// Whether a field stands in the mapping itself or comes from a merge key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldOrigin {
    /// Written in the mapping.
    Own,
    /// From `<<`.
    Merged,
}

/// The text of a key that is this scalar. JSON has string keys only: `1:` is the key `"1"`, and `yes:` the key `"true"`.
pub(super) fn key_text<'t>(value: &'t str, raw: &RawNode<'_>) -> Cow<'t, str> {
    let is_plain = matches!(raw.kind, RawKind::Scalar { style: Style::Plain, .. });
    match raw.tag {
        TagKind::Binary => decoded(value),
        TagKind::None if is_plain => match ScalarType::of_plain(value) {
            ScalarType::Boolean if is_yes(value) => Cow::Borrowed("true"),
            ScalarType::Boolean => Cow::Borrowed("false"),
            _ => Cow::Borrowed(value),
        },
        _ => Cow::Borrowed(value),
    }
}

/// Whether a boolean says yes.
fn is_yes(text: &str) -> bool {
    ["y", "yes", "on", "true"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

fn scalar_kind<'t>(value: &'t str, style: Style, tag: TagKind) -> NodeKind<'t> {
    match tag {
        TagKind::None if style == Style::Plain => match ScalarType::of_plain(value) {
            ScalarType::String => NodeKind::String(Cow::Borrowed(value)),
            other => NodeKind::Other(other),
        },
        TagKind::None | TagKind::String | TagKind::Merge | TagKind::Other => NodeKind::String(Cow::Borrowed(value)),
        TagKind::Binary => NodeKind::String(decoded(value)),
        TagKind::Null => NodeKind::Other(ScalarType::Null),
        TagKind::Boolean => NodeKind::Other(ScalarType::Boolean),
        TagKind::Number => NodeKind::Other(ScalarType::Number),
    }
}

/// Base64 as Go reads it: bits behind the last byte may be set.
pub(crate) const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Whether a `!!binary` scalar is text.
pub(super) fn is_binary_text(value: &str) -> bool {
    let compact: String = value.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    BASE64.decode(compact).is_ok_and(|bytes| String::from_utf8(bytes).is_ok())
}

/// The text of a `!!binary` scalar; the value as written where it is none.
fn decoded(value: &str) -> Cow<'_, str> {
    let compact: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = BASE64.decode(compact).ok();
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Cow::Owned(text),
        None => Cow::Borrowed(value),
    }
}

impl RawNode<'_> {
    pub(super) fn close(&mut self, end: usize, after: usize) {
        self.end = to_u32(end);
        self.after = to_u32(after);
    }
}
