//! Verbs of impersonation in text that was understood, and stand in no rule: nothing vanishes.

use std::collections::HashSet;
use std::sync::Arc;

use super::{grants_nothing, object_of};
use crate::inventory::Aside;
use crate::inventory::embedding::Carrier;
use crate::inventory::fields::fields;
use crate::inventory::read::{Contents, is_verb};
use crate::source::{Piece, may_hide};
use crate::syntax::{Node, Place, PlaceMap, Tree, line_breaks};

const WORD: &str = "impersonate";

/// How many mentions of one document are listed.
const MAX_MENTIONS: usize = 1_000;

/// A verb of impersonation that was seen, and says nothing that is understood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// The file.
    pub path: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// Why it is no grant here.
    pub reason: MentionReason,
    /// The object in which it stands, in words; empty for none.
    pub within: String,
}

/// Why a verb was not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MentionReason {
    /// The document is no Kubernetes object.
    NoObject,
    /// It stands in an object, and in no rule of it.
    NoRule,
    /// It stands in a string that is no manifest.
    Text,
    /// A patch changes a part of a rule, and does not show the rule.
    Patch,
}

impl MentionReason {
    /// The reason as the JSON output has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoObject => "no-object",
            Self::NoRule => "no-rule",
            Self::Text => "text",
            Self::Patch => "patch",
        }
    }

    /// The reason in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoObject => "`impersonate` in a document that is not a Kubernetes object",
            Self::NoRule => "`impersonate` outside an RBAC rule",
            Self::Text => "`impersonate` in a string that is not a manifest",
            Self::Patch => "`impersonate` in a patch of a rule that the patch does not show",
        }
    }
}

/// Lists the verbs of a document that no role has, among those from `first` on. `opened` are the strings that were read as
/// documents themselves; `outer` is what the document stands in.
pub(in crate::inventory) fn account(
    tree: &Tree<'_>,
    path: &Arc<str>,
    opened: &HashSet<u32>,
    first: usize,
    outer: Option<&Carrier>,
    contents: &mut Contents,
) {
    let text = tree.text();
    if memchr::memmem::find(text.as_bytes(), WORD.as_bytes()).is_none() && !may_hide(text.as_bytes()) {
        return;
    }
    let Contents { roles, mentions, aside, .. } = contents;
    let verbs = roles.iter().skip(first).flat_map(|role| &role.rules).flat_map(|rule| &rule.verbs);
    let read: Vec<u32> = verbs.filter(|verb| is_verb(verb.as_str())).map(|verb| verb.place.offset).collect();
    let mut read_at: HashSet<u32> = read.iter().copied().collect();
    let found: Vec<(Node<'_>, Option<Node<'_>>)> = tree.values().collect();
    let is_word = |(node, key): &(Node<'_>, Option<Node<'_>>)| {
        let key = key.and_then(Node::as_str);
        key.is_none_or(|key| ["verbs", "value"].contains(&&*key)) && node.as_str().is_some_and(|text| is_verb(&text))
    };
    // Where all places are one, they are counted.
    if !tree.has_places() && found.iter().filter(|value| is_word(value)).count() > read.len() {
        read_at.clear();
    }
    let object = tree.root().and_then(|root| object_of(root, None));
    let carrier = object.as_ref().or(outer);
    // The words of a schema or a policy are about rules, and are none. But of whatever has items, `kubectl` takes these.
    let has_items = || tree.root().is_some_and(|root| fields(root, ["items"])[0].is_some());
    if carrier.is_some_and(grants_nothing) && !has_items() {
        return;
    }
    let within = carrier.map(Carrier::describe).unwrap_or_default();
    let reason = if carrier.is_some() { MentionReason::NoRule } else { MentionReason::NoObject };
    let mut list = List::new(path, within, mentions);
    for value in &found {
        let (node, key) = value;
        if is_word(value) {
            let place = node.place();
            let is_patch = key.and_then(Node::as_str).is_some_and(|key| key == "value");
            let reason = if is_patch { MentionReason::Patch } else { reason };
            if !read_at.contains(&place.offset) {
                list.push(place, reason);
            }
        } else if !opened.contains(&node.identity())
            && let Some(text) = node.as_str().filter(|text| looks_like_rules(text))
        {
            let piece = Piece { range: 0..text.len(), line: 1 };
            let map = node.place_map(&text);
            list.lines(&text, &piece, &map);
        }
    }
    aside.extend(list.more());
}

/// Whether a text speaks of rules rather than of impersonation.
fn looks_like_rules(text: &str) -> bool {
    text.contains(WORD) && text.contains("verbs")
}

/// Lists the verbs in a part of a string that could not be parsed.
pub(super) fn in_text(
    text: &str,
    piece: &Piece,
    map: &PlaceMap,
    path: &Arc<str>,
    carrier: &Carrier,
    contents: &mut Contents,
) {
    if looks_like_rules(text) {
        let mut list = List::new(path, carrier.describe(), &mut contents.mentions);
        list.lines(text, piece, map);
        contents.aside.extend(list.more());
    }
}

/// The mentions of one document, as many as are listed.
struct List<'m> {
    path: &'m Arc<str>,
    within: String,
    mentions: &'m mut Vec<Mention>,
    left: usize,
    /// How many are beyond that, and the line of the first.
    beyond: usize,
    line: u32,
}

impl<'m> List<'m> {
    fn new(path: &'m Arc<str>, within: String, mentions: &'m mut Vec<Mention>) -> Self {
        Self { path, within, mentions, left: MAX_MENTIONS, beyond: 0, line: 0 }
    }

    fn push(&mut self, place: Place, reason: MentionReason) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let within = self.within.clone();
            return self.mentions.push(Mention { path: Arc::clone(self.path), place, reason, within });
        }
        if self.beyond == 0 {
            self.line = place.line;
        }
        self.beyond += 1;
    }

    /// Lists the lines of a text on which the word stands.
    fn lines(&mut self, text: &str, piece: &Piece, map: &PlaceMap) {
        let (mut line, mut line_start, mut from) = (piece.line, 0, 0);
        let mut last = None;
        for (at, word) in text.match_indices(WORD) {
            let (breaks, behind) = line_breaks(text.as_bytes().get(from..at).unwrap_or_default());
            if breaks > 0 {
                (line, line_start) = (line + breaks, from + behind);
            }
            from = at;
            if last.replace(line) != Some(line) {
                let column = text.get(line_start..at).unwrap_or_default().chars().count() as u32 + 1;
                let offset = (piece.range.start + at) as u32;
                self.push(map.locate(Place::of_text(word, offset, line, column)), MentionReason::Text);
            }
        }
    }

    /// What is not listed.
    fn more(self) -> Option<Aside> {
        let reason = format!("`impersonate` stands outside of rules in {} more places from here on", self.beyond);
        (self.beyond > 0).then(|| Aside::at(self.path, self.line, reason))
    }
}
