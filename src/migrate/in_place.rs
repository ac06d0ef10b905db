//! A stage of a plan as edits of the manifests themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::plan::Plan;
use crate::grants::Grants;
use crate::inventory::{Inventory, Object, ObjectKey, ObjectMeta, Role, RoleId};
use crate::problem::Problem;
use crate::rewrite::{Change, FileChange, Reader, Works, change, rewrite, same_meta};
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

/// Works out what a stage does to the files. `read` gives the bytes of a file by the name it has in the inventory.
pub fn in_place(grants: &Grants<'_>, plan: &Plan<'_>, stage: Stage, read: &mut Reader<'_>) -> InPlace {
    let (changes, problems) = rewrite(&work(grants.inventory(), plan, stage), read);
    InPlace { changes, problems }
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
        }
    }
    works
}

/// The role whose place comes first.
fn first(inventory: &Inventory, a: RoleId, b: RoleId) -> RoleId {
    let place = |id: &RoleId| (&inventory.role(*id).meta.path, inventory.role(*id).meta.name.place);
    if place(&b) < place(&a) { b } else { a }
}

/// Puts objects beside their roles, or in the place of those of an earlier run.
fn put<'w>(inventory: &'w Inventory, works: &mut Works<'w>, objects: impl Iterator<Item = (&'w Object, RoleId)>) {
    let mut known: HashMap<ObjectKey, Vec<Known<'w>>> = HashMap::new();
    for role in &inventory.roles {
        known.entry(role.meta.key()).or_default().push(Known::Role(role));
    }
    for binding in &inventory.bindings {
        known.entry(binding.meta.key()).or_default().push(Known::Binding(binding));
    }
    for (object, home) in objects {
        let Some(definitions) = known.get(&object.meta().key()) else {
            let home = &inventory.role(home).meta;
            works.entry(Arc::clone(&home.path)).or_default().added.push((home.name.place.offset, object));
            continue;
        };
        for definition in definitions.iter().filter(|definition| !definition.is(object)) {
            change(works, definition.meta(), Change::Put(definition.meta(), object));
        }
    }
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
}
