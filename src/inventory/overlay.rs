//! The state after something is applied: an inventory with objects put in place of others.

use std::collections::{HashMap, HashSet};

use super::object::{Object, ObjectKey, ObjectMeta};
use super::{Coverage, Inventory};

impl Inventory {
    /// What a cluster holds once `put` is applied and `removed` is deleted: each object takes the place of its namesakes,
    /// or is added behind the others. Of two objects in `put` with one name the last counts.
    pub fn with<'o>(&self, put: impl IntoIterator<Item = &'o Object>, removed: &[ObjectKey]) -> Self {
        let removed: HashSet<&ObjectKey> = removed.iter().collect();
        let mut order: Vec<ObjectKey> = Vec::new();
        let mut put_by_key: HashMap<ObjectKey, &Object> = HashMap::new();
        for object in put {
            let key = object.meta().key();
            if put_by_key.insert(key.clone(), object).is_none() {
                order.push(key);
            }
        }
        let stays = |meta: &ObjectMeta| {
            let key = meta.key();
            !removed.contains(&key) && !put_by_key.contains_key(&key)
        };
        let mut after = Self { coverage: Coverage::default(), ..Self::default() };
        after.roles.extend(self.roles.iter().filter(|role| stays(&role.meta)).cloned());
        after.bindings.extend(self.bindings.iter().filter(|binding| stays(&binding.meta)).cloned());
        for object in order.iter().filter(|key| !removed.contains(key)).filter_map(|key| put_by_key.get(key)) {
            match object {
                Object::Role(role) => after.roles.push(role.clone()),
                Object::Binding(binding) => after.bindings.push(binding.clone()),
            }
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::super::load_bytes;
    use super::*;

    #[test]
    fn objects_take_the_place_of_their_namesakes() {
        let role = |name: &str, verb: &str| {
            format!(
                "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\n\
                 rules: [{{verbs: [{verb}], apiGroups: [\"\"], resources: [pods]}}]\n"
            )
        };
        let before = load_bytes("a.yaml", (role("a", "get") + &role("b", "get") + &role("c", "get")).as_bytes());
        let put = load_bytes("b.yaml", (role("a", "list") + &role("d", "get")).as_bytes());
        let put: Vec<Object> = put.roles.into_iter().map(Object::Role).collect();
        let after = before.with(&put, &[before.roles[1].meta.key()]);
        let found: Vec<_> =
            after.roles.iter().map(|role| (role.meta.name.as_str(), role.rules[0].verbs[0].as_str())).collect();
        assert_eq!(found, [("c", "get"), ("a", "list"), ("d", "get")]);
    }
}
