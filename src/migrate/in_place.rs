//! A stage of a plan as edits of the manifests themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::manifest::{LABEL_MODE, to_value};
use super::plan::Plan;
use crate::authority::Verb;
use crate::grants::{Grants, Through};
use crate::inventory::{Binding, BindingId, Inventory, Object, ObjectKey, ObjectMeta, PolicyRule, Role, RoleId};
use crate::problem::Problem;
use crate::rewrite::{Change, FileChange, Manifests, Works, Writing, change, constrained_name, rewrite, same_meta};
use crate::syntax::edit::CommentsAbove;

/// The two stages of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Constrained roles and bindings are added.
    Grant,
    /// The legacy verb is taken away.
    Cutover,
}

/// What a stage does to the files.
#[derive(Debug, Default)]
pub struct InPlace {
    /// The files that change, sorted by path.
    pub changes: Vec<FileChange>,
    /// Why some cannot be changed. If there is any, none should be.
    pub problems: Vec<Problem>,
}

/// Works out what a stage does to the files.
pub fn in_place(grants: &Grants<'_>, plan: &Plan<'_>, stage: Stage, manifests: &mut dyn Manifests) -> InPlace {
    let writing = Writing { to_value, keeps_comments: true };
    let (changes, problems) = rewrite(&work(grants.inventory(), plan, stage), manifests, writing);
    InPlace { changes, problems }
}

/// What the kustomizations around the manifests have to leave as it is.
pub struct Concerned<'w> {
    /// The new objects that the stage adds or relies on, with the roles and bindings that each replaces.
    pub added: Vec<(&'w Object, Vec<&'w Binding>)>,
    /// The roles that change, and their rules afterwards; none for roles that go.
    pub edited: Vec<(&'w Role, Option<&'w [PolicyRule]>)>,
}

/// Returns what the kustomizations around the manifests have to leave as it is in a stage.
pub fn concerned<'w>(inventory: &'w Inventory, plan: &'w Plan<'_>, stage: Stage) -> Concerned<'w> {
    let mut replaces: BTreeMap<usize, BTreeSet<BindingId>> = BTreeMap::new();
    for planned in &plan.grants {
        if let Through::Binding(binding) = planned.holder.through {
            for index in &planned.replaced_by {
                replaces.entry(*index).or_default().insert(binding);
            }
        }
    }
    let bindings =
        |ids: Option<&BTreeSet<BindingId>>| ids.into_iter().flatten().map(|id| inventory.binding(*id)).collect();
    let added = plan.added.iter().enumerate().map(|(index, object)| (object, bindings(replaces.get(&index))));
    let mut concerned = Concerned { added: added.collect(), edited: Vec::new() };
    if stage == Stage::Cutover {
        concerned.added.extend(plan.cutover.remainders.iter().map(|object| (object, Vec::new())));
        concerned.edited.extend(plan.cutover.edits.iter().map(|edit| {
            let role = inventory.role(edit.role);
            let is_same = |object: &&Object| object.meta().key() == role.meta.key();
            let after = plan.cutover.changed.iter().find(is_same).filter(|_| edit.deleted.is_none());
            let rules =
                after.and_then(|object| if let Object::Role(role) = object { Some(&*role.rules) } else { None });
            (role, rules)
        }));
    }
    concerned
}

fn work<'w>(inventory: &'w Inventory, plan: &'w Plan<'_>, stage: Stage) -> Works<'w> {
    let mut works = Works::new();
    match stage {
        Stage::Grant => {
            let mut homes: BTreeMap<usize, RoleId> = BTreeMap::new();
            for planned in &plan.grants {
                for index in &planned.replaced_by {
                    let home = homes.entry(*index).or_insert(planned.from);
                    *home = first(inventory, *home, planned.from);
                }
            }
            let added = homes.into_iter().filter_map(|(index, home)| Some((plan.added.get(index)?, home)));
            put(inventory, &mut works, added);
        }
        Stage::Cutover => {
            for edit in &plan.cutover.edits {
                let role = inventory.role(edit.role);
                let Some(bindings) = &edit.deleted else {
                    change(&mut works, &role.meta, Change::Rules(role, &edit.rules, CommentsAbove::Go));
                    continue;
                };
                let bindings = bindings.iter().map(|id| &inventory.binding(*id).meta);
                std::iter::once(&role.meta)
                    .chain(bindings)
                    .for_each(|meta| change(&mut works, meta, Change::Remove(meta)));
            }
            let remainders = plan.cutover.remainders.iter().zip(plan.cutover.split_from.iter().copied());
            put(inventory, &mut works, remainders);
            add_successors(inventory, plan, &mut works);
        }
    }
    works
}

/// Says what replaces the objects that go or lose rules, as far as it is there.
fn add_successors<'w>(inventory: &'w Inventory, plan: &Plan<'_>, works: &mut Works<'w>) {
    let known = known(inventory);
    let there = |object: &Object| known.get(&object.meta().key())?.first().map(|known| known.meta());
    let is_identity =
        |rule: &PolicyRule| rule.verbs.iter().any(|verb| matches!(Verb::parse(verb.as_str()), Verb::Identity(_)));
    for planned in &plan.grants {
        let objects = || planned.replaced_by.iter().filter_map(|index| plan.added.get(*index));
        let role = objects().find(|it| matches!(it, Object::Role(role) if role.rules.iter().any(is_identity)));
        if let Some(successor) = role.and_then(there) {
            for (path, offset) in places(&inventory.role(planned.from).meta) {
                let Some(work) = works.get_mut(path) else { continue };
                let successors = work.successors.entry(offset).or_default();
                successors.rules.entry(planned.rule).or_insert(successor);
                successors.whole.get_or_insert(successor);
            }
        }
        let binding = objects().find(|it| matches!(it, Object::Binding(_)));
        if let (Through::Binding(id), Some(successor)) = (planned.holder.through, binding.and_then(there)) {
            for (path, offset) in places(&inventory.binding(id).meta) {
                if let Some(work) = works.get_mut(path) {
                    work.successors.entry(offset).or_default().whole.get_or_insert(successor);
                }
            }
        }
    }
}

/// The places of the definitions of an object.
fn places(meta: &ObjectMeta) -> impl Iterator<Item = (&Arc<str>, u32)> {
    let copies = meta.copies.iter().map(|(path, place)| (path, place.offset));
    std::iter::once((&meta.path, meta.name.place.offset)).chain(copies)
}

/// Returns the objects of the first stage that the manifests do not have, or not with the content that the plan needs.
pub fn not_in_place<'w>(inventory: &Inventory, plan: &'w Plan<'_>) -> Vec<&'w Object> {
    let known = known(inventory);
    let is_there =
        |object: &Object| known.get(&object.meta().key()).is_some_and(|all| all.iter().all(|known| known.has(object)));
    plan.added.iter().filter(|object| !is_there(object)).collect()
}

/// The role whose place comes first.
fn first(inventory: &Inventory, a: RoleId, b: RoleId) -> RoleId {
    let place = |id: &RoleId| (&inventory.role(*id).meta.path, inventory.role(*id).meta.name.place);
    if place(&b) < place(&a) { b } else { a }
}

/// Puts objects beside their roles, or in the place of those of an earlier run.
fn put<'w>(inventory: &'w Inventory, works: &mut Works<'w>, objects: impl Iterator<Item = (&'w Object, RoleId)>) {
    let known = known(inventory);
    for (object, home) in objects {
        let Some(definitions) = known.get(&object.meta().key()) else {
            let home = home_of(inventory, &inventory.role(home).meta);
            works.entry(Arc::clone(&home.path)).or_default().added.push((home.name.place.offset, object));
            continue;
        };
        for definition in definitions.iter().filter(|definition| !definition.is(object)) {
            change(works, definition.meta(), Change::Put(definition.meta(), object));
        }
    }
}

/// The object next to which others are put: a role, or what an earlier stage put into a file of its own next to that.
fn home_of<'w>(inventory: &'w Inventory, role: &'w ObjectMeta) -> &'w ObjectMeta {
    if !role.path.ends_with(".json") {
        return role;
    }
    let apart = constrained_name(&role.path, 1);
    let is_apart = |meta: &&ObjectMeta| meta.path == apart && meta.label(LABEL_MODE).is_some();
    inventory.roles.iter().map(|role| &role.meta).find(is_apart).unwrap_or(role)
}

/// The objects that are there.
fn known(inventory: &Inventory) -> HashMap<ObjectKey, Vec<Known<'_>>> {
    let mut known: HashMap<ObjectKey, Vec<Known<'_>>> = HashMap::new();
    for role in &inventory.roles {
        known.entry(role.meta.key()).or_default().push(Known::Role(role));
    }
    for binding in &inventory.bindings {
        known.entry(binding.meta.key()).or_default().push(Known::Binding(binding));
    }
    known
}

/// An object that is there.
#[derive(Clone, Copy)]
enum Known<'w> {
    Role(&'w Role),
    Binding(&'w crate::inventory::Binding),
}

impl<'w> Known<'w> {
    fn meta(self) -> &'w ObjectMeta {
        match self {
            Self::Role(role) => &role.meta,
            Self::Binding(binding) => &binding.meta,
        }
    }

    fn is(self, object: &Object) -> bool {
        same_meta(self.meta(), object.meta())
            && match (self, object) {
                (Self::Role(a), Object::Role(b)) => a.grants_the_same(b),
                (Self::Binding(a), Object::Binding(b)) => a.grants_the_same(b),
                _ => false,
            }
    }

    /// Whether it has every rule, or every subject, of the other one.
    fn has(self, object: &Object) -> bool {
        match (self, object) {
            (Self::Role(known), Object::Role(wanted)) => {
                let known: BTreeSet<_> = known.rules.iter().map(PolicyRule::sets).collect();
                wanted.rules.iter().all(|rule| known.contains(&rule.sets()))
            }
            (Self::Binding(known), Object::Binding(wanted)) => {
                known.role_ref == wanted.role_ref
                    && wanted.subjects.iter().all(|subject| known.subjects.contains(subject))
            }
            _ => false,
        }
    }
}
