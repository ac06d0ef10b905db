//! Objects that are defined more than once, with different content.

use std::collections::HashMap;

use smol_str::SmolStr;

use super::object::{Binding, ObjectKind, ObjectMeta, Role};
use super::{BindingId, Inventory, RoleId};

/// Which of several definitions counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// The first, in the order of their places.
    First,
    /// The last.
    Last,
}

/// Two definitions of one object that differ in what they grant.
#[derive(Debug, Clone, Copy)]
pub struct Conflict<'i> {
    /// The one that comes first.
    pub first: &'i ObjectMeta,
    /// The other.
    pub second: &'i ObjectMeta,
}

impl Inventory {
    /// The objects that have definitions with different RBAC content, among those for which `bears` is true of any
    /// definition. One conflict an object, in the order of their places.
    pub fn conflicts(
        &self,
        bears_role: impl Fn(RoleId) -> bool,
        bears_binding: impl Fn(BindingId) -> bool,
    ) -> Vec<Conflict<'_>> {
        let mut conflicts =
            find(&self.roles, |role| &role.meta, Role::grants_the_same, |index| bears_role(RoleId(index)));
        let same = Binding::grants_the_same;
        conflicts.extend(find(&self.bindings, |binding| &binding.meta, same, |index| bears_binding(BindingId(index))));
        conflicts
    }

    /// Leaves one definition of each object.
    pub fn resolve_duplicates(&mut self, which: Duplicates) {
        keep_one(&mut self.roles, |role| &role.meta, which);
        keep_one(&mut self.bindings, |binding| &binding.meta, which);
    }
}

/// What two definitions of one object have in common; none for an object without a name, which nothing else can be, and
/// for what stands in another object, which may never be applied.
fn key(meta: &ObjectMeta) -> Option<(ObjectKind, Option<&str>, &str)> {
    (!meta.name.value.is_empty() && meta.embedded.is_none())
        .then(|| (meta.kind, meta.effective_namespace(), meta.name.as_str()))
}

fn find<'i, T>(
    objects: &'i [T],
    meta: impl Fn(&'i T) -> &'i ObjectMeta,
    same: impl Fn(&T, &T) -> bool,
    bears: impl Fn(usize) -> bool,
) -> Vec<Conflict<'i>> {
    let mut by_key: HashMap<_, Vec<usize>> = HashMap::new();
    let mut order = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let Some(key) = key(meta(object)) else { continue };
        let known = by_key.entry(key).or_default();
        if known.is_empty() {
            order.push(key);
        }
        known.push(index);
    }
    let conflict = |key| {
        let indices: &Vec<usize> = by_key.get(&key)?;
        let (first, rest) = indices.split_first()?;
        let other = rest.iter().find(|other| !same(&objects[*first], &objects[**other]))?;
        let bears = indices.iter().any(|index| bears(*index));
        bears.then(|| Conflict { first: meta(&objects[*first]), second: meta(&objects[*other]) })
    };
    order.into_iter().filter_map(conflict).collect()
}

fn keep_one<T>(objects: &mut Vec<T>, meta: impl Fn(&T) -> &ObjectMeta, which: Duplicates) {
    let owned = |object: &T| {
        key(meta(object)).map(|(kind, namespace, name)| (kind, namespace.map(SmolStr::new), SmolStr::new(name)))
    };
    let mut chosen: HashMap<_, usize> = HashMap::new();
    for (index, object) in objects.iter().enumerate() {
        let Some(key) = owned(object) else { continue };
        match which {
            Duplicates::First => {
                chosen.entry(key).or_insert(index);
            }
            Duplicates::Last => {
                chosen.insert(key, index);
            }
        }
    }
    let mut index = 0;
    objects.retain(|object| {
        let keep = owned(object).is_none_or(|key| chosen.get(&key) == Some(&index));
        index += 1;
        keep
    });
}

#[cfg(test)]
mod tests {
    use super::super::load_bytes;
    use super::*;

    const ROLES: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a}
rules: [{verbs: [get], apiGroups: [\"\"], resources: [pods]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a, namespace: default, labels: {x: z}}
rules: [{verbs: [get], apiGroups: [\"\"], resources: [pods]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a}
rules: [{verbs: [list], apiGroups: [\"\"], resources: [pods]}]
";

    #[test]
    fn only_what_is_granted_makes_a_conflict() {
        let inventory = load_bytes("t.yaml", ROLES.as_bytes());
        let conflicts = inventory.conflicts(|_| true, |_| true);
        assert_eq!(conflicts.len(), 1);
        assert_eq!((conflicts[0].first.name.place.line, conflicts[0].second.name.place.line), (3, 13));
        assert!(inventory.conflicts(|_| false, |_| false).is_empty());
    }

    #[test]
    fn one_definition_is_left() {
        for (which, verb) in [(Duplicates::First, "get"), (Duplicates::Last, "list")] {
            let mut inventory = load_bytes("t.yaml", ROLES.as_bytes());
            inventory.resolve_duplicates(which);
            assert_eq!(inventory.roles.len(), 1);
            assert_eq!(inventory.roles[0].rules[0].verbs[0].as_str(), verb);
        }
    }
}
