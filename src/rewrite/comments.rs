//! Comments of what goes: they move to what replaces it, or stay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Editor, Works, is_json, name_of, placed};
use crate::inventory::{Object, ObjectMeta, PolicyRule, documents, entries};
use crate::syntax::edit::{self, Comment, Edit};
use crate::syntax::{Entry, Node};

/// What replaces an object that goes, or loses rules.
#[derive(Debug, Default, Clone)]
pub(crate) struct Successors<'w> {
    /// For each of its rules.
    pub rules: BTreeMap<usize, &'w ObjectMeta>,
    /// For the object as a whole.
    pub whole: Option<&'w ObjectMeta>,
}

/// An object of a file, by the place of its name.
type At = (Arc<str>, u32);

/// Comments that an object gets.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Above the object.
    top: Vec<String>,
    /// Above the rule that says who the holder may act as.
    rule: Vec<String>,
}

/// Comments that leave a file, and the objects to which they go.
pub(super) type Moved = Vec<(At, bool, String)>;

/// What objects get, by file.
#[derive(Default)]
pub(super) struct AllNotes(BTreeMap<Arc<str>, BTreeMap<u32, Notes>>);

impl AllNotes {
    /// Adds what leaves a file. What several copies of a file say is said once.
    pub fn add(&mut self, moved: Moved) {
        let mut known: BTreeMap<At, usize> = BTreeMap::new();
        for ((path, offset), is_rule, comment) in moved {
            let notes = self.0.entry(Arc::clone(&path)).or_default().entry(offset).or_default();
            let list = if is_rule { &mut notes.rule } else { &mut notes.top };
            let before = *known.entry((path, offset)).or_insert(list.len());
            if !list.iter().take(before).any(|it| *it == comment) {
                list.push(comment);
            }
        }
    }

    pub fn of(&self, path: &Arc<str>) -> Option<&BTreeMap<u32, Notes>> {
        self.0.get(path)
    }

    pub fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }
}

/// The objects above which comments can be written. `read` gives the bytes of a file.
pub(super) fn takers(works: &Works<'_>, read: &mut dyn FnMut(&Arc<str>) -> Option<Vec<u8>>) -> BTreeSet<At> {
    let successors = works.values().flat_map(|work| work.successors.values());
    let metas = successors.flat_map(|it| it.rules.values().copied().chain(it.whole));
    let mut wanted: BTreeMap<&Arc<str>, BTreeSet<u32>> = BTreeMap::new();
    for meta in metas {
        wanted.entry(&meta.path).or_default().insert(meta.name.place.offset);
    }
    let mut takers = BTreeSet::new();
    for (path, offsets) in wanted {
        let bytes = read(path).unwrap_or_default();
        let documents = documents(&bytes);
        for it in placed(&documents, path) {
            let offset = name_of(&it).offset;
            let can_take = !is_json(&documents[it.document]) && edit::comments_above(it.placed.node, &[]).is_some();
            if can_take && offsets.contains(&offset) {
                takers.insert((Arc::clone(path), offset));
            }
        }
    }
    takers
}

impl Editor<'_, '_> {
    /// Makes edits of a role's rules keep its comments, or move those of rules that are lost.
    pub(super) fn move_rule_comments(
        &mut self,
        at: usize,
        list: Node<'_>,
        edits: Vec<Edit>,
        is_lost: &dyn Fn(&usize) -> bool,
        successors: Option<&Successors<'_>>,
    ) -> Vec<Edit> {
        if !self.writing.keeps_comments {
            return edits;
        }
        let ends = edit::item_ends(list);
        let (takers, moved) = (self.takers, &mut self.moved);
        let mut take = |comment: &Comment| {
            let Some(rule) = ends.iter().position(|end| comment.range.start < *end) else { return false };
            // A rule that is written anew keeps its comments.
            let successor = successors.and_then(|it| it.rules.get(&rule)).filter(|_| is_lost(&rule));
            successor.is_some_and(|meta| give(takers, moved, meta, true, comment))
        };
        edit::keep_comments(self.placed[at].placed.node, edits, &mut take)
    }

    /// Makes the removal of objects keep or move their comments. `within` holds all of them.
    pub(super) fn move_object_comments(
        &mut self,
        objects: &[usize],
        within: Node<'_>,
        edits: Vec<Edit>,
        successors: &BTreeMap<u32, Successors<'_>>,
    ) -> Vec<Edit> {
        if !self.writing.keeps_comments {
            return edits;
        }
        let (takers, placed, moved) = (self.takers, self.placed, &mut self.moved);
        let mut take = |comment: &Comment| {
            // Comments above an object are its own.
            let ends = |at: &&usize| placed[**at].placed.node.end_in_file() > comment.range.start;
            let Some(at) = objects.iter().find(ends).or(objects.last()) else { return false };
            let it = &placed[*at];
            let [rules] = entries(it.placed.node, ["rules"]);
            let is_rule = rules.is_some_and(|Entry { key, .. }| key.range().start < comment.range.start);
            let successor = successors.get(&name_of(it).offset).and_then(|it| it.whole);
            successor.is_some_and(|meta| give(takers, moved, meta, is_rule, comment))
        };
        edit::keep_comments(within, edits, &mut take)
    }

    /// Makes an edit that writes an object anew keep the comments in it, if they are not written anew, too.
    pub(super) fn keep_object_comments(&self, at: usize, edit: Edit) -> Vec<Edit> {
        if !self.writing.keeps_comments {
            return vec![edit];
        }
        let new = edit.text().to_owned();
        let mut take = |comment: &Comment| new.lines().any(|line| line.trim() == comment.text);
        edit::keep_comments(self.placed[at].placed.node, vec![edit], &mut take)
    }

    /// Reports whether the comments of an object can go to what replaces it.
    pub(super) fn has_taker(&self, at: usize, successors: &BTreeMap<u32, Successors<'_>>) -> bool {
        let whole = successors.get(&name_of(&self.placed[at]).offset).and_then(|it| it.whole);
        whole.is_some_and(|meta| self.takers.contains(&(Arc::clone(&meta.path), meta.name.place.offset)))
    }

    /// Writes the comments that objects of this file get.
    pub(super) fn add_notes(&mut self, notes: Option<&BTreeMap<u32, Notes>>) {
        for (offset, notes) in notes.into_iter().flatten() {
            let Some(it) = self.placed.iter().find(|it| name_of(it).offset == *offset) else { continue };
            let rule = identity_rule(&it.placed.object).and_then(|index| {
                let [rules] = entries(it.placed.node, ["rules"]);
                rules?.value.items().nth(index)
            });
            let above_rule = rule.and_then(|rule| edit::comments_above(rule, &notes.rule));
            let mut top = notes.top.clone();
            if above_rule.is_none() {
                top.extend(notes.rule.iter().cloned());
            }
            if !top.is_empty() {
                self.edits.extend(edit::comments_above(it.placed.node, &top));
            }
            if !notes.rule.is_empty() {
                self.edits.extend(above_rule);
            }
        }
    }
}

/// The rule that says who the holder of a role may act as.
fn identity_rule(object: &Object) -> Option<usize> {
    let Object::Role(role) = object else { return None };
    let is_identity = |rule: &PolicyRule| rule.verbs.iter().any(|verb| verb.as_str().starts_with("impersonate:"));
    role.rules.iter().position(is_identity)
}

fn give(takers: &BTreeSet<At>, moved: &mut Moved, meta: &ObjectMeta, is_rule: bool, comment: &Comment) -> bool {
    let at = (Arc::clone(&meta.path), meta.name.place.offset);
    if !takers.contains(&at) {
        return false;
    }
    moved.push((at, is_rule, comment.text.clone()));
    true
}
