//! Merges the renderings of a template: an object that several renderings contain becomes one, with the rules and
//! subjects of all of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::inventory::read::is_verb;
use crate::inventory::{Binding, ObjectKind, ObjectMeta, PolicyRule, Role, SubjectKind, Templated};
use crate::render::Origin;
use crate::template::Condition;

/// Where a template writes an object. A loop writes several at one place.
type Place = (Arc<str>, u32, ObjectKind);
/// A place and the number of the object there, in one rendering.
type Key = (Place, usize);

/// The objects of one template, from all its renderings.
#[derive(Default)]
pub(super) struct Objects {
    roles: Vec<Merged<Role>>,
    bindings: Vec<Merged<Binding>>,
    known_roles: HashMap<Key, usize>,
    known_bindings: HashMap<Key, Vec<usize>>,
    /// Objects seen at each place in the current rendering.
    counts: HashMap<Place, usize>,
    /// Documents already read, with the places of their objects.
    documents: HashMap<DocumentText, Vec<Place>>,
    /// Places of the current document's objects.
    current: Vec<Place>,
}

/// A document's text and origins. Equal documents are read once.
pub(super) type DocumentText = (String, Vec<(u32, Origin)>);

/// An object that later renderings may extend.
struct Merged<T> {
    object: T,
    conditions: Vec<Condition>,
    notes: Vec<(usize, String)>,
    /// Whether the template contains it as a plain manifest.
    is_plain: bool,
    /// Indices of rules that are absent with default values.
    off: Vec<usize>,
    /// Rule indices by template position.
    rules: HashMap<Option<u32>, Vec<usize>>,
    /// Subjects already added.
    subjects: HashSet<(SubjectKind, Option<SmolStr>, SmolStr)>,
}

impl<T> Merged<T> {
    fn new(object: T, from: &From<'_>) -> Self {
        Self {
            object,
            conditions: from.conditions.to_vec(),
            notes: Vec::new(),
            is_plain: from.is_plain,
            off: Vec::new(),
            rules: HashMap::new(),
            subjects: HashSet::new(),
        }
    }

    fn templated(&mut self) -> Option<Arc<Templated>> {
        let (mut conditions, mut notes) = (std::mem::take(&mut self.conditions), std::mem::take(&mut self.notes));
        conditions.sort_by(|a, b| (a.range.start, b.range.end).cmp(&(b.range.start, a.range.end)));
        let conditions = united(conditions);
        notes.sort_by_key(|(index, _)| *index);
        let off = std::mem::take(&mut self.off);
        (!self.is_plain).then(|| Arc::new(Templated::rendered(conditions, notes, off)))
    }
}

impl Objects {
    /// Starts another rendering.
    pub(super) fn begin(&mut self) {
        self.counts.clear();
    }

    /// Starts a document. Returns false if an equal one was read before; then there is nothing to add.
    pub(super) fn begin_document(&mut self, document: &DocumentText) -> bool {
        let Some(known) = self.documents.get(document) else { return true };
        for place in known {
            *self.counts.entry(place.clone()).or_default() += 1;
        }
        false
    }

    /// Finishes a document.
    pub(super) fn end_document(&mut self, document: DocumentText) {
        self.documents.insert(document, std::mem::take(&mut self.current));
    }

    fn key(&mut self, meta: &ObjectMeta) -> Key {
        let place = (Arc::clone(&meta.path), meta.name.place.offset, meta.kind);
        self.current.push(place.clone());
        let count = self.counts.entry(place.clone()).or_default();
        *count += 1;
        (place, *count)
    }

    /// Adds a role, or its new rules to the known one.
    pub(super) fn add_role(&mut self, role: Role, from: &From<'_>) {
        let key = self.key(&role.meta);
        let index = *self.known_roles.entry(key).or_insert(self.roles.len());
        let is_first = index == self.roles.len();
        if is_first {
            let first = Role { rules: Vec::new(), ..role.clone() };
            self.roles.push(Merged::new(first, from));
        }
        let Some(known) = self.roles.get_mut(index) else { return };
        let mut adds = false;
        for rule in role.rules {
            let index = known.object.rules.len();
            let same_place = known.rules.entry(place_of(&rule)).or_default();
            let is_variant = !is_first && !same_place.is_empty();
            let is_known = |other: &&usize| known.object.rules.get(**other) == Some(&rule);
            // A variant of a known rule matters only if it impersonates.
            if same_place.iter().any(|other| is_known(&other)) || is_variant && !may_impersonate(&rule) {
                continue;
            }
            adds = true;
            same_place.push(index);
            known.notes.extend((from.value_origins)(&rule).into_iter().map(|note| (index, note)));
            if is_variant {
                known.off.push(index);
                known.notes.extend(from.assumed.iter().map(|note| (index, note.clone())));
            }
            known.object.rules.push(rule);
        }
        if known.object.aggregation.is_none() && role.aggregation.is_some() {
            known.object.aggregation = role.aggregation;
            adds = true;
        }
        if adds && !is_first {
            let new = from.conditions.iter().filter(|condition| !known.conditions.contains(condition));
            let new: Vec<Condition> = new.cloned().collect();
            known.conditions.extend(new);
        }
    }

    /// Adds a binding, or its new subjects to the known one.
    pub(super) fn add_binding(&mut self, mut binding: Binding, from: &From<'_>) {
        let key = self.key(&binding.meta);
        let subjects = std::mem::take(&mut binding.subjects);
        let known = self.known_bindings.entry(key).or_default();
        // Renderings that only change names change role names, too.
        let name = &binding.role_ref.name;
        let same = known.iter().find(|index| {
            let other = self.bindings.get(**index).map(|other| &other.object.role_ref);
            other.is_some_and(|other| *other == binding.role_ref || name.is_templated() && other.name.is_templated())
        });
        let index = same.copied().unwrap_or_else(|| {
            known.push(self.bindings.len());
            self.bindings.push(Merged::new(binding, from));
            self.bindings.len() - 1
        });
        let Some(known) = self.bindings.get_mut(index) else { return };
        for subject in subjects {
            let key = (subject.kind.clone(), subject.namespace.clone(), subject.name.value.clone());
            if known.subjects.insert(key) {
                known.object.subjects.push(subject);
            }
        }
    }

    /// Returns the merged objects.
    pub(super) fn finish(self) -> (Vec<Role>, Vec<Binding>) {
        let roles = self.roles.into_iter().map(|mut written| {
            written.object.meta.template = written.templated();
            written.object
        });
        let bindings = self.bindings.into_iter().map(|mut written| {
            written.object.meta.template = written.templated();
            written.object
        });
        (roles.collect(), bindings.collect())
    }
}

/// Context of the objects of one document.
pub(super) struct From<'a> {
    /// The document's conditions.
    pub(super) conditions: &'a [Condition],
    /// The rendering's assumptions, in words.
    pub(super) assumed: &'a [String],
    /// Describes which texts of a rule come from values files.
    pub(super) value_origins: &'a dyn Fn(&PolicyRule) -> Vec<String>,
    /// Whether the document is a plain manifest.
    pub(super) is_plain: bool,
}

/// Joins overlapping ranges with the same condition; the input is sorted by start.
fn united(conditions: Vec<Condition>) -> Vec<Condition> {
    let mut united: Vec<Condition> = Vec::new();
    let mut last: HashMap<String, usize> = HashMap::new();
    for condition in conditions {
        let known = last.get(&condition.words).and_then(|index| united.get_mut(*index));
        match known.filter(|known| known.range.end >= condition.range.start) {
            Some(known) => known.range.end = known.range.end.max(condition.range.end),
            None => {
                last.insert(condition.words.clone(), united.len());
                united.push(condition);
            }
        }
    }
    united
}

fn place_of(rule: &PolicyRule) -> Option<u32> {
    let lists = [&rule.verbs, &rule.resources, &rule.api_groups, &rule.non_resource_urls];
    lists.into_iter().flatten().map(|text| text.place.offset).next()
}

fn may_impersonate(rule: &PolicyRule) -> bool {
    rule.verbs.iter().any(|verb| is_verb(verb.as_str()) || verb.as_str() == "*" || verb.is_templated())
}
