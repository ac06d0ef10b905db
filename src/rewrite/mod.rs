//! Manifests, some objects of which change.
//!
//! What is not changed stays byte for byte. Every edited text is read again: unless its objects are those that were asked
//! for, and everything else that was there, the file is left alone and that is a problem. Nothing here reads or writes
//! files.

mod add;
mod comments;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) use self::add::constrained_name;
use self::add::{Apart, Listed};
pub(crate) use self::comments::Successors;
use self::comments::{AllNotes, Moved, Notes, takers};
use crate::inventory::{
    Document, Object, ObjectKey, ObjectMeta, Placed, PlacedObjects, PolicyRule, Role, documents, entries,
    placed_objects,
};
use crate::problem::{Problem, ProblemKind};
use crate::source::{TemplateLanguage, template_language};
use crate::syntax::edit::{self, CommentsAbove, Edit, Extent};
use crate::syntax::{Entry, Form, JsonStyle, Node, Place, Style, Tree, Value};

const BY_HAND: &str = "change it by hand";

/// What becomes of one file.
#[derive(Debug)]
pub struct FileChange {
    /// The file, as the user named it.
    pub path: Arc<str>,
    /// Its bytes as they are.
    pub before: Vec<u8>,
    /// Its bytes as they are to be.
    pub after: Vec<u8>,
    /// The language of the templates in it, which are for a person to edit.
    pub template: Option<TemplateLanguage>,
    /// Whether no document is left in it.
    pub is_empty: bool,
    /// Whether there is no such file yet.
    pub is_new: bool,
    /// The objects that are added to it.
    pub added: Vec<ObjectKey>,
}

/// The files that are edited, by their names in the inventory.
pub trait Manifests {
    /// Gives the bytes of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or must not be edited.
    fn read(&mut self, name: &Arc<str>) -> Result<Vec<u8>, Problem>;

    /// The kustomizations that list a file among their resources.
    fn kustomizations(&mut self, _name: &Arc<str>) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Reports whether a name in a kustomization means a file.
    fn is_same(&mut self, _kustomization: &Arc<str>, _resource: &str, _name: &Arc<str>) -> bool {
        false
    }

    /// What a kustomization has to call a file; none if it cannot.
    fn resource(&mut self, _kustomization: &Arc<str>, _name: &Arc<str>) -> Option<String> {
        None
    }

    /// Reports whether there is a file with this name.
    fn exists(&mut self, _name: &Arc<str>) -> bool {
        false
    }
}

/// Files without anything around them.
impl<F: FnMut(&Arc<str>) -> Result<Vec<u8>, Problem>> Manifests for F {
    fn read(&mut self, name: &Arc<str>) -> Result<Vec<u8>, Problem> {
        self(name)
    }
}

/// How changes are written.
#[derive(Clone, Copy)]
pub(crate) struct Writing {
    /// How new objects are written.
    pub to_value: fn(&Object) -> Value,
    /// Whether comments of what goes stay, or move to what replaces it. Otherwise they go, too.
    pub keeps_comments: bool,
}

/// Makes the changes in the files. Files that need no change are not among the results.
pub(crate) fn rewrite(
    works: &Works<'_>,
    manifests: &mut dyn Manifests,
    writing: Writing,
) -> (Vec<FileChange>, Vec<Problem>) {
    let mut texts: BTreeMap<Arc<str>, Result<Vec<u8>, Problem>> = BTreeMap::new();
    let mut read = |manifests: &mut dyn Manifests, path: &Arc<str>| {
        texts.entry(Arc::clone(path)).or_insert_with(|| manifests.read(path)).clone()
    };
    let takers = takers(works, &mut |path| read(manifests, path).ok());
    let mut notes = AllNotes::default();
    for (path, work) in works.iter().filter(|(_, work)| !work.successors.is_empty()) {
        let around = Around { is_resource: false, takers: &takers, notes: None, writing };
        let edited = read(manifests, path).and_then(|before| edit_file(path, &before, work, &around));
        // What cannot be edited is told below.
        notes.add(edited.map(|edited| edited.moved).unwrap_or_default());
    }
    let nothing = Work::default();
    let paths: BTreeSet<&Arc<str>> = works.keys().chain(notes.paths()).collect();
    let (mut changes, mut problems) = (Vec::new(), Vec::new());
    let mut listed = Listed::default();
    for path in paths {
        let work = works.get(path).unwrap_or(&nothing);
        let edited = read(manifests, path).and_then(|before| {
            let users = if work.added.is_empty() { Vec::new() } else { manifests.kustomizations(path) };
            let around = Around { is_resource: !users.is_empty(), takers: &takers, notes: notes.of(path), writing };
            let Edited { after, apart, .. } = edit_file(path, &before, work, &around)?;
            if !apart.objects.is_empty() {
                changes.push(listed.new_file(path, users, apart, manifests));
            }
            Ok((before, after))
        });
        match edited {
            Err(problem) => problems.push(problem),
            Ok((before, after)) if before == after => {}
            Ok((before, after)) => changes.push(FileChange {
                template: template_language(&before),
                is_empty: !documents(&after).iter().any(says_something),
                path: Arc::clone(path),
                before,
                after,
                is_new: false,
                added: work.added.iter().map(|(_, object)| object.meta().key()).collect(),
            }),
        }
    }
    let (more, unlisted) = listed.edit(manifests);
    changes.extend(more);
    problems.extend(unlisted);
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    (changes, problems)
}

/// What matters to the edits of a file, and is not in it.
struct Around<'a> {
    /// Whether a kustomization lists the file.
    is_resource: bool,
    /// The objects to which comments can move.
    takers: &'a BTreeSet<(Arc<str>, u32)>,
    /// The comments that objects of the file get.
    notes: Option<&'a BTreeMap<u32, Notes>>,
    writing: Writing,
}

/// A file after its work is done.
struct Edited<'w> {
    after: Vec<u8>,
    /// The objects that need a file of their own: kustomize reads the first value of a JSON file only.
    apart: Apart<'w>,
    /// The comments that leave it.
    moved: Moved,
}

/// What is to be done in one file. Objects are known by the places of their names.
#[derive(Default)]
pub(crate) struct Work<'w> {
    changes: BTreeMap<u32, Change<'w>>,
    /// New objects, each with the role next to which it is put.
    pub(crate) added: Vec<(u32, &'w Object)>,
    /// What replaces the objects that go or lose rules.
    pub(crate) successors: BTreeMap<u32, Successors<'w>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Change<'w> {
    /// Some of a role's rules are replaced, by their indices; by none, if they go.
    Rules(&'w Role, &'w BTreeMap<usize, Vec<PolicyRule>>, CommentsAbove),
    /// An object goes.
    Remove(&'w ObjectMeta),
    /// Another object takes the place of this one.
    Put(&'w ObjectMeta, &'w Object),
}

impl<'w> Change<'w> {
    /// The object as it was read.
    fn meta(&self) -> &'w ObjectMeta {
        match self {
            Self::Rules(role, ..) => &role.meta,
            Self::Remove(meta) | Self::Put(meta, _) => meta,
        }
    }
}

/// What is to be done, by file.
pub(crate) type Works<'w> = BTreeMap<Arc<str>, Work<'w>>;

/// All definitions of an object are changed alike.
pub(crate) fn change<'w>(works: &mut Works<'w>, meta: &'w ObjectMeta, change: Change<'w>) {
    let own = (&meta.path, meta.name.place);
    for (path, place) in std::iter::once(own).chain(meta.copies.iter().map(|(path, place)| (path, *place))) {
        works.entry(Arc::clone(path)).or_default().changes.insert(place.offset, change);
    }
}

/// Does the work in a file.
fn edit_file<'w>(path: &Arc<str>, bytes: &[u8], work: &Work<'w>, around: &Around<'_>) -> Result<Edited<'w>, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| problem(path, None, "is not UTF-8 and cannot be edited".to_owned(), "save the file as UTF-8"))?;
    let documents = documents(bytes);
    let placed = placed(&documents, path);
    let found: BTreeSet<u32> = placed.iter().map(|placed| name_of(placed).offset).collect();
    let missing = |offset: &u32| !found.contains(offset);
    if work.changes.keys().chain(work.added.iter().map(|(home, _)| home)).any(missing) {
        let is_read = documents.iter().all(|document| document.trees.is_some());
        return Err(if is_read { stale(path) } else { in_doubt(path, None) });
    }
    let mut editor = Editor {
        path,
        text,
        documents: &documents,
        placed: &placed,
        is_json: documents.iter().map(is_json).collect(),
        edits: Vec::new(),
        removed: BTreeMap::new(),
        is_resource: around.is_resource,
        takers: around.takers,
        moved: Moved::new(),
        writing: around.writing,
    };
    let mut expected = Vec::with_capacity(placed.len() + work.added.len());
    for at in 0..placed.len() {
        expected.extend(editor.change(at, work)?);
    }
    let apart = editor.add(work)?;
    editor.remove(work.added.len() > apart.objects.len(), &work.successors)?;
    editor.add_notes(around.notes);
    let added = work.added.iter().map(|(_, object)| *object);
    expected.extend(added.filter(|object| !apart.objects.iter().any(|it| std::ptr::eq(*it, *object))).cloned());
    let place = work.changes.values().map(|change| change.meta().name.place).next();
    let refused = || {
        let message = "cannot be edited without changing more than is meant: an alias, an anchor or a merge key \
                       shares a part of it";
        problem(path, place, message.to_owned(), "write the shared part out, then run the command again")
    };
    let after = edit::apply(bytes, editor.edits).map_err(|_| refused())?;
    let moved = editor.moved;
    if is_as_expected(path, bytes, &after, expected) { Ok(Edited { after, apart, moved }) } else { Err(refused()) }
}

/// The objects of a file with the documents in which they stand.
struct PlacedIn<'t> {
    document: usize,
    placed: Placed<'t>,
    /// Whether there are errors in the document.
    has_errors: bool,
}

fn placed<'t>(documents: &'t [Document<'_>], path: &Arc<str>) -> Vec<PlacedIn<'t>> {
    let mut all = Vec::new();
    for (document, trees) in
        documents.iter().enumerate().filter_map(|(at, document)| Some((at, document.trees.as_ref()?)))
    {
        for tree in trees {
            let PlacedObjects { placed, has_errors, .. } = placed_objects(tree, path);
            all.extend(placed.into_iter().map(|placed| PlacedIn { document, placed, has_errors }));
        }
    }
    all
}

fn name_of(placed: &PlacedIn<'_>) -> Place {
    placed.placed.object.meta().name.place
}

struct Editor<'e, 't> {
    path: &'e Arc<str>,
    text: &'e str,
    documents: &'t [Document<'t>],
    placed: &'e [PlacedIn<'t>],
    /// Which documents are JSON.
    is_json: Vec<bool>,
    edits: Vec<Edit>,
    /// What goes, by document: of a list some items, otherwise all of it.
    removed: BTreeMap<usize, Vec<usize>>,
    /// Whether a kustomization lists the file.
    is_resource: bool,
    /// The objects to which comments can move.
    takers: &'e BTreeSet<(Arc<str>, u32)>,
    moved: Moved,
    writing: Writing,
}

impl Editor<'_, '_> {
    /// Makes the edits for one object, and says what is to be read in its place afterwards.
    fn change(&mut self, at: usize, work: &Work<'_>) -> Result<Option<Object>, Problem> {
        let PlacedIn { document, placed, has_errors } = &self.placed[at];
        let meta = placed.object.meta();
        let Some(change) = work.changes.get(&meta.name.place.offset) else { return Ok(Some(placed.object.clone())) };
        if change.meta().key() != meta.key() {
            return Err(stale(self.path));
        }
        if *has_errors {
            return Err(in_doubt(self.path, Some(meta.name.place)));
        }
        match *change {
            Change::Remove(_) => {
                self.removed.entry(*document).or_default().push(at);
                Ok(None)
            }
            Change::Put(_, object) => {
                let edit = edit::replace_value(placed.node, &(self.writing.to_value)(object), &self.form(at));
                let edits = self.keep_object_comments(at, edit.ok_or_else(|| self.unclear(at))?);
                self.edits.extend(edits);
                Ok(Some(object.clone()))
            }
            Change::Rules(known, rules, above) => {
                let Object::Role(role) = &placed.object else { return Err(stale(self.path)) };
                if !role.same_as(known) {
                    return Err(stale(self.path));
                }
                self.rules(at, role, rules, above, work).map(|role| Some(Object::Role(role)))
            }
        }
    }

    /// Edits the rules of a role, and gives the role as it is to be.
    fn rules(
        &mut self,
        at: usize,
        role: &Role,
        changes: &BTreeMap<usize, Vec<PolicyRule>>,
        above: CommentsAbove,
        work: &Work<'_>,
    ) -> Result<Role, Problem> {
        let unclear = || self.unclear(at);
        let form = || self.form(at);
        let node = self.placed[at].placed.node;
        let [Some(Entry { key, value: list })] = entries(node, ["rules"]) else { return Err(unclear()) };
        let items: Vec<Node<'_>> = list.items().collect();
        let mut edits = Vec::new();
        let mut narrowed_rules = BTreeSet::new();
        let gone: BTreeSet<usize> =
            changes.iter().filter(|(_, after)| after.is_empty()).map(|(index, _)| *index).collect();
        if gone.len() == role.rules.len() {
            edits.extend(edit::clear(key, list, above).ok_or_else(unclear)?);
        } else if !gone.is_empty() {
            edits.extend(edit::remove(list, &gone, above).ok_or_else(unclear)?);
        }
        for (index, after) in changes {
            let Some((first, others)) = after.split_first() else { continue };
            let (Some(rule), Some(before)) = (items.get(*index), role.rules.get(*index)) else {
                return Err(stale(self.path));
            };
            match narrowed(before, first) {
                Some(lists) => {
                    narrowed_rules.insert(*index);
                    for (name, which) in lists {
                        let [Some(items)] = entries(*rule, [name]) else { return Err(unclear()) };
                        edits.extend(edit::remove(items.value, &which, CommentsAbove::Stay).ok_or_else(unclear)?);
                    }
                    let others: Vec<_> = others.iter().map(PolicyRule::to_value).collect();
                    if !others.is_empty() {
                        edits.extend(edit::insert_after(list, *index, &others, &form()).ok_or_else(unclear)?);
                    }
                }
                None => {
                    let values: Vec<_> = after.iter().map(PolicyRule::to_value).collect();
                    edits.extend(edit::replace(list, *index, &values, &form()).ok_or_else(unclear)?);
                }
            }
        }
        let successors = work.successors.get(&role.meta.name.place.offset);
        let lost = |index: &usize| gone.contains(index) || narrowed_rules.contains(index);
        let edits = self.move_rule_comments(at, list, edits, &lost, successors);
        self.edits.extend(edits);
        let rules = role.rules.iter().enumerate().flat_map(|(index, rule)| match changes.get(&index) {
            Some(after) => after.clone(),
            None => vec![rule.clone()],
        });
        Ok(Role { rules: rules.collect(), ..role.clone() })
    }

    /// Removes what goes.
    fn remove(&mut self, something_is_added: bool, successors: &BTreeMap<u32, Successors<'_>>) -> Result<(), Problem> {
        let removed = std::mem::take(&mut self.removed);
        let whole = |document: &usize, at: &[usize]| {
            self.documents[*document].trees.as_ref().is_some_and(|trees| trees.len() == 1)
                && at.iter().all(|at| self.placed[*at].placed.item.is_none())
        };
        let stays = |(at, document): (usize, &Document<'_>)| {
            !removed.get(&at).is_some_and(|objects| whole(&at, objects)) && says_something(document)
        };
        let extent = if something_is_added || self.documents.iter().enumerate().any(stays) {
            Extent::Whole
        } else {
            Extent::ButComments
        };
        let mut edits = Vec::new();
        for (document, objects) in &removed {
            let Some(first) = objects.first() else { continue };
            let Placed { node, item, .. } = self.placed[*first].placed;
            // Comments that cannot go with an object stay.
            let stay = self.writing.keeps_comments && !self.has_taker(*first, successors);
            let extent = if stay { Extent::ButComments } else { extent };
            let removal = match item {
                None if whole(document, objects) => edit::remove_document(node, extent),
                None => None,
                Some(item) => {
                    let items = objects.iter().filter_map(|at| self.placed[*at].placed.item);
                    // A list in a list is a rarity; its objects are left to a person.
                    let which: BTreeSet<usize> =
                        items.filter(|other| other.list.place() == item.list.place()).map(|item| item.index).collect();
                    if which.len() < objects.len() {
                        None
                    } else if which.len() == item.list.items().count() {
                        edit::clear(item.key, item.list, CommentsAbove::Go)
                    } else {
                        edit::remove(item.list, &which, CommentsAbove::Go)
                    }
                }
            };
            let removal = removal.ok_or_else(|| self.unclear(*first))?;
            let within = item.map_or(node, |item| item.list);
            edits.extend(self.move_object_comments(objects, within, removal, successors));
        }
        self.edits.extend(edits);
        Ok(())
    }

    /// How the file writes an object there.
    fn form(&self, at: usize) -> Form {
        let PlacedIn { document, placed, .. } = &self.placed[at];
        if self.is_json[*document] {
            Form::Json(JsonStyle::of(placed.node))
        } else {
            Form::Yaml(Style::of(placed.node))
        }
    }

    fn unclear(&self, at: usize) -> Problem {
        let meta = self.placed[at].placed.object.meta();
        let message = format!("{} is written in a way that cannot be edited here", meta.describe());
        problem(self.path, Some(meta.name.place), message, BY_HAND)
    }
}

fn is_json(document: &Document<'_>) -> bool {
    let text = document.text.trim_start_matches('\u{feff}').trim();
    text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The items that a rule's lists lose, if it becomes the other one by losing items only. Of equal items the last go.
fn narrowed(from: &PolicyRule, to: &PolicyRule) -> Option<Vec<(&'static str, BTreeSet<usize>)>> {
    let mut lists = Vec::new();
    for ((name, from), (_, to)) in from.lists().into_iter().zip(to.lists()) {
        let mut left: HashMap<&str, usize> = HashMap::new();
        to.iter().for_each(|text| *left.entry(text.as_str()).or_default() += 1);
        let mut lost = BTreeSet::new();
        for (index, text) in from.iter().enumerate() {
            match left.get_mut(text.as_str()).filter(|left| **left > 0) {
                Some(left) => *left -= 1,
                None => drop(lost.insert(index)),
            }
        }
        if left.values().any(|left| *left > 0) || (lost.len() == from.len() && !from.is_empty()) {
            return None;
        }
        if !lost.is_empty() {
            lists.push((name, lost));
        }
    }
    Some(lists)
}

/// Whether the edited text holds these objects, and everything else that was there.
fn is_as_expected(path: &Arc<str>, before: &[u8], after: &[u8], expected: Vec<Object>) -> bool {
    let (before, after) = (documents(before), documents(after));
    let [was, is] = [&before, &after].map(|documents| Summary::of(documents, path));
    if is.broken != was.broken || is.problems > was.problems || is.others.len() != was.others.len() {
        return false;
    }
    let mut by_key: HashMap<ObjectKey, Vec<Object>> = HashMap::new();
    for object in is.objects {
        by_key.entry(object.meta().key()).or_default().push(object);
    }
    expected.iter().all(|object| {
        let Some(found) = by_key.get_mut(&object.meta().key()) else { return false };
        found.iter().position(|found| same(found, object)).map(|at| found.swap_remove(at)).is_some()
    }) && by_key.into_values().all(|left| left.is_empty())
        && was.others.iter().zip(&is.others).all(|(was, is)| was.says_the_same(is))
}

/// What a file holds.
struct Summary<'d> {
    objects: Vec<Object>,
    problems: usize,
    /// Documents that cannot be parsed.
    broken: usize,
    /// Documents without RBAC objects.
    others: Vec<&'d Tree<'d>>,
}

impl<'d> Summary<'d> {
    fn of(documents: &'d [Document<'d>], path: &Arc<str>) -> Self {
        let mut summary = Self { objects: Vec::new(), problems: 0, broken: 0, others: Vec::new() };
        for document in documents {
            let Some(trees) = &document.trees else {
                summary.broken += 1;
                continue;
            };
            for tree in trees {
                let PlacedObjects { placed, problems, .. } = placed_objects(tree, path);
                summary.problems += problems;
                if placed.is_empty() && tree.root().is_some_and(|root| !root.is_null() && !is_empty_list(root)) {
                    summary.others.push(tree);
                }
                summary.objects.extend(placed.into_iter().map(|placed| placed.object));
            }
        }
        summary
    }
}

/// A list that has lost its objects is no other document.
fn is_empty_list(root: Node<'_>) -> bool {
    let [items] = entries(root, ["items"]);
    items.is_some_and(|items| items.value.items().next().is_none())
}

/// Whether both are the same object with the same content. The order within a rule's lists means nothing.
fn same(a: &Object, b: &Object) -> bool {
    same_meta(a.meta(), b.meta())
        && match (a, b) {
            (Object::Role(a), Object::Role(b)) => {
                a.aggregation == b.aggregation
                    && a.rules.len() == b.rules.len()
                    && a.rules.iter().zip(&b.rules).all(|(a, b)| a.sets() == b.sets())
            }
            (Object::Binding(a), Object::Binding(b)) => a.grants_the_same(b),
            _ => false,
        }
}

/// Whether both are of the same object, with the same labels and annotations.
pub(crate) fn same_meta(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    (&a.api_version, &a.namespace, &a.labels, &a.annotations)
        == (&b.api_version, &b.namespace, &b.labels, &b.annotations)
        && a.key() == b.key()
}

fn says_something(document: &Document<'_>) -> bool {
    let says = |tree: &Tree<'_>| tree.root().is_some_and(|root| !root.is_null());
    document.trees.as_ref().is_none_or(|trees| trees.iter().any(says))
}

/// That a document may mean something else than what was read of it.
fn in_doubt(path: &Arc<str>, place: Option<Place>) -> Problem {
    let message = "has a document with problems, which is not edited: it may mean something else to other readers";
    problem(path, place, message.to_owned(), "correct the document, then run the command again")
}

fn stale(path: &Arc<str>) -> Problem {
    problem(path, None, "has changed since it was read, and is left alone".to_owned(), "run the command again")
}

fn problem(path: &Arc<str>, place: Option<Place>, message: String, help: &str) -> Problem {
    Problem { path: Arc::clone(path), place, kind: ProblemKind::NotEditable, message, help: Some(help.to_owned()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::{Inventory, RoleId, load_bytes};

    /// What becomes of a role.
    struct RoleEdit {
        role: RoleId,
        rules: BTreeMap<usize, Vec<PolicyRule>>,
        deleted: bool,
    }

    const HEAD: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n";

    /// Takes `impersonate` from every role that is not called `keep`, as a cut-over without remainders does.
    fn cut(text: &str) -> Result<String, Problem> {
        let inventory = load_bytes("f.yaml", text.as_bytes());
        assert_eq!(inventory.problems, [], "{text}");
        let mut edits = Vec::new();
        for (id, role) in inventory.role_ids().filter(|(_, role)| role.meta.name.as_str() != "keep") {
            let without = |rule: &PolicyRule| {
                let verbs: Vec<_> = rule.verbs.iter().filter(|verb| verb.as_str() != "impersonate").cloned().collect();
                if verbs.is_empty() { Vec::new() } else { vec![PolicyRule { verbs, ..rule.clone() }] }
            };
            let has = |rule: &PolicyRule| rule.verbs.iter().any(|verb| verb.as_str() == "impersonate");
            let rules: BTreeMap<_, _> = role.rules.iter().enumerate().filter(|(_, rule)| has(rule)).collect();
            let rules: BTreeMap<_, _> = rules.into_iter().map(|(index, rule)| (index, without(rule))).collect();
            let nothing_left = rules.len() == role.rules.len() && rules.values().all(Vec::is_empty);
            let deleted = nothing_left && role.aggregation.is_none();
            if !rules.is_empty() {
                edits.push(RoleEdit { role: id, rules, deleted });
            }
        }
        edit(text, &inventory, &edits)
    }

    fn edit(text: &str, inventory: &Inventory, edits: &[RoleEdit]) -> Result<String, Problem> {
        let mut works = Works::new();
        for edit in edits {
            let role = inventory.role(edit.role);
            let done = if edit.deleted {
                Change::Remove(&role.meta)
            } else {
                Change::Rules(role, &edit.rules, CommentsAbove::Go)
            };
            change(&mut works, &role.meta, done);
        }
        let path = Arc::from("f.yaml");
        let work = works.remove("f.yaml").unwrap_or_default();
        {
            let takers = BTreeSet::new();
            let writing = Writing { to_value: Object::to_value, keeps_comments: false };
            let around = Around { is_resource: false, takers: &takers, notes: None, writing };
            edit_file(&path, text.as_bytes(), &work, &around).map(|edited| String::from_utf8(edited.after).unwrap())
        }
    }

    #[test]
    fn the_verb_goes_and_nothing_else() {
        for (before, after) in [
            (
                "rules:\n- verbs: [impersonate, get] # c\n  resources: [users]\n",
                "rules:\n- verbs: [get] # c\n  resources: [users]\n",
            ),
            (
                "rules:\n- verbs:\n  - get\n  # why\n  - \"impersonate\" # this\n  - list\n",
                "rules:\n- verbs:\n  - get\n  # why\n  - list\n",
            ),
            ("rules: [{verbs: ['get', 'impersonate'], resources: [é]}]", "rules: [{verbs: ['get'], resources: [é]}]"),
            (
                "rules:\n# of the first\n- verbs: [impersonate]\n  resources: [users]\n# of the second\n- verbs: [get]\n",
                "rules:\n# of the second\n- verbs: [get]\n",
            ),
            ("rules:\r\n- verbs: [get]\r\n- verbs:\r\n  - impersonate\r\n", "rules:\r\n- verbs: [get]\r\n"),
            ("rules:\n  - verbs: [get]\n  - verbs: [impersonate]", "rules:\n  - verbs: [get]"),
            ("aggregationRule: {}\nrules: # c\n- verbs: [impersonate]\n", "aggregationRule: {}\nrules: [] # c\n"),
            ("rules:\n- verbs: [get, impersonate, list, impersonate]\n", "rules:\n- verbs: [get, list]\n"),
            ("rules:\n- verbs: &v [get, impersonate]\n- verbs: *v\n", "rules:\n- verbs: &v [get]\n- verbs: *v\n"),
            (
                "rules:\n- &r {verbs: [get, impersonate]}\n- <<: *r\n  resources: [x]\n",
                "rules:\n- &r {verbs: [get]}\n- <<: *r\n  resources: [x]\n",
            ),
        ] {
            let head = if before.contains('\r') { HEAD.replace('\n', "\r\n") } else { HEAD.to_owned() };
            for around in ["", "\u{feff}", "# licence\n\n", "kind: é\n---\n# c\n"] {
                assert_eq!(
                    cut(&format!("{around}{head}{before}")).unwrap(),
                    format!("{around}{head}{after}"),
                    "{before}"
                );
            }
        }
    }

    #[test]
    fn what_is_shared_with_another_object_is_left_alone() {
        let item = |name: &str, rules: &str| {
            let (version, rules) = ("apiVersion: rbac.authorization.k8s.io/v1", rules.to_owned());
            format!("- {version}\n  kind: ClusterRole\n  metadata: {{name: {name}}}\n  rules: {rules}\n")
        };
        let list = "apiVersion: v1\nkind: List\nitems:\n";
        for (first, second) in [
            ("&r [{verbs: [get, impersonate]}]", "*r"),
            ("[&r {verbs: [get, impersonate]}]", "[*r]"),
            ("[{verbs: &r [get, impersonate]}]", "[{verbs: *r}]"),
            ("[{verbs: [get, &r impersonate]}]", "[{verbs: [*r]}]"),
            ("[&r {verbs: [impersonate]}, {verbs: [get]}]", "[*r]"),
        ] {
            let problem = cut(&format!("{list}{}{}", item("a", first), item("keep", second))).unwrap_err();
            assert!(problem.message.contains("an alias, an anchor"), "{first}: {problem:?}");
            assert_eq!(problem.place.unwrap().line, 6);
        }
    }

    #[test]
    fn roles_without_rules_go_with_their_documents_and_items() {
        let role = |name: &str, verb: &str| {
            format!(
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules:\n- verbs: [{verb}]\n"
            )
        };
        let (gone, stays) = (role("a", "impersonate"), role("b", "get"));
        for (before, after) in [
            (format!("{gone}---\n{stays}"), format!("---\n{stays}")),
            (format!("{stays}---\n# of it\n{gone}"), stays.clone()),
            (format!("{stays}---\n{gone}---\n{stays}"), format!("{stays}---\n{stays}")),
            (format!("# licence\n---\n# of it\n{gone}"), "# licence\n# of it\n".to_owned()),
            (format!("# all\n{gone}"), "# all\n".to_owned()),
            (gone.clone(), String::new()),
        ] {
            assert_eq!(cut(&before).unwrap(), after, "{before}");
        }
        let item = |name: &str, verb: &str| {
            format!(
                "{{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRole\",\"metadata\":{{\"name\":\"{name}\"}},\"rules\":[{{\"verbs\":[\"{verb}\"]}}]}}"
            )
        };
        let list =
            |items: &[String]| format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}\n", items.join(","));
        let (gone, stays) = (item("a", "impersonate"), item("b", "get"));
        assert_eq!(cut(&list(&[gone.clone(), stays.clone()])).unwrap(), list(std::slice::from_ref(&stays)));
        assert_eq!(cut(&list(&[stays.clone(), gone.clone()])).unwrap(), list(std::slice::from_ref(&stays)));
        assert_eq!(cut(&list(std::slice::from_ref(&gone))).unwrap(), list(&[]));
        assert_eq!(cut(&format!("{stays}\n{gone}\n{stays}\n")).unwrap(), format!("{stays}\n{stays}\n"));
    }

    /// A list of a rule, as it is written and what it holds.
    #[derive(Debug, Clone)]
    struct List {
        key: &'static str,
        items: Vec<(String, bool)>,
        flow: bool,
        quote: &'static str,
        pad: &'static str,
    }

    fn list(key: &'static str) -> impl Strategy<Value = List> {
        let items = proptest::collection::vec(("[a-zé]{1,6}x", any::<bool>()), 1..5);
        let quote = prop_oneof![Just(""), Just("'"), Just("\"")];
        let pad = prop_oneof![Just(""), Just(" "), Just("  ")];
        (items, any::<bool>(), quote, pad).prop_map(move |(mut items, flow, quote, pad)| {
            // Another item of the same name would stay.
            items.iter_mut().enumerate().for_each(|(at, (item, _))| item.push_str(&at.to_string()));
            List { key, items, flow, quote, pad }
        })
    }

    impl List {
        fn write(&self, indent: &str, end: &str, note: &mut dyn FnMut(bool) -> String, lost: bool) -> String {
            let items: Vec<String> = self.items.iter().map(|(item, _)| format!("{0}{item}{0}", self.quote)).collect();
            if self.flow {
                let list = items.join(&format!(",{}", self.pad));
                return format!("{}: [{}{list}{}]{}{end}", self.key, self.pad, self.pad, note(!lost));
            }
            let mut text = format!("{}:{}{end}", self.key, note(!lost));
            for (item, goes) in items.iter().zip(self.goes()) {
                text += &format!("{indent}- {}{item}{}{end}", self.pad, note(!lost && !goes));
            }
            text
        }

        /// Which items go; never all.
        fn goes(&self) -> Vec<bool> {
            let all = self.items.iter().all(|(_, goes)| *goes);
            self.items.iter().map(|(_, goes)| *goes && !all).collect()
        }
    }

    proptest! {
        /// Random roles in random styles lose random rules and items: what is read is what is asked for (`edit_file` sees
        /// to that), nothing is added, and every comment on a line that stays is still there.
        #[test]
        fn whatever_a_role_looks_like_only_what_goes_goes(
            rules in proptest::collection::vec((list("verbs"), list("resources"), any::<bool>(), any::<bool>()), 1..5),
            crlf: bool,
            indent in 0usize..4,
            deeper in 0usize..3,
            final_newline: bool,
            around: bool,
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut number = 0;
            let mut stay = Vec::new();
            let mut note = |stays: bool| {
                number += 1;
                let note = format!(" # note {number} é");
                if stays {
                    stay.push(note.clone() + end);
                }
                if number % 3 == 0 { stay.pop_if(|last| *last == note.clone() + end); String::new() } else { note }
            };
            let all_go = rules.iter().all(|(_, _, goes, _)| *goes);
            let mut text = HEAD.replace('\n', end) + "rules:" + end;
            let dash = " ".repeat(indent);
            for (verbs, resources, goes, comment) in &rules {
                let goes = *goes && !all_go;
                if *comment {
                    text += &format!("{dash}#{}{end}", note(!goes));
                }
                let inner = format!("{dash}  {}", " ".repeat(deeper));
                text += &format!("{dash}- {}", verbs.write(&inner, end, &mut note, goes));
                text += &format!("{dash}  {}", resources.write(&inner, end, &mut note, goes));
            }
            let (before, after) = if around { ("kind: é # c\n---\n", "---\n# c\nkind: [ü]\n") } else { ("", "") };
            if !final_newline && !around {
                text.truncate(text.trim_end().len());
                stay.pop();
            }
            let text = format!("{before}{text}{after}");
            let inventory = load_bytes("f.yaml", text.as_bytes());
            prop_assert_eq!(&inventory.problems, &[]);
            let narrow = |rule: &PolicyRule, verbs: &List, resources: &List| {
                let keep = |texts: &[crate::inventory::Text], list: &List| {
                    texts.iter().zip(list.goes()).filter(|(_, goes)| !goes).map(|(text, _)| text.clone()).collect()
                };
                let (verbs, resources) = (keep(&rule.verbs, verbs), keep(&rule.resources, resources));
                PolicyRule { verbs, resources, ..rule.clone() }
            };
            let changes = rules.iter().enumerate().map(|(index, (verbs, resources, goes, _))| {
                let rule = &inventory.roles[0].rules[index];
                (index, if *goes && !all_go { Vec::new() } else { vec![narrow(rule, verbs, resources)] })
            });
            let edits = [RoleEdit { role: RoleId(0), rules: changes.collect(), deleted: false }];
            let edited = edit(&text, &inventory, &edits);
            prop_assert!(edited.is_ok(), "{:?}\n{}", edited, text);
            let edited = edited.unwrap();
            prop_assert!(edited.starts_with(before) && edited.ends_with(after));
            prop_assert!(edited.ends_with('\n') || !text.ends_with('\n'));
            for note in &stay {
                prop_assert!(edited.contains(note.as_str()), "{note:?} is gone\n{text}\n{edited}");
            }
            let mut rest = text.chars();
            prop_assert!(edited.chars().all(|c| rest.any(|known| known == c)), "something is added\n{text}\n{edited}");
        }
    }
}
