//! Roles that are known to hold legacy impersonation.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::exception::is_object_name;
use crate::authority::{AGGREGATE_TO_DEFAULT, DEFAULT_IMPERSONATORS, Mode};
use crate::grants::Grants;
use crate::inventory::{ObjectKey, ObjectKind, ObjectMeta, RoleId};

/// The roles whose bindings grant legacy impersonation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// ClusterRoles that hold any, so that a ClusterRoleBinding grants it.
    pub(super) in_cluster: BTreeSet<SmolStr>,
    /// Those that hold what a RoleBinding grants too.
    pub(super) in_namespace: BTreeSet<SmolStr>,
    /// Roles, by namespace and name.
    pub(super) roles: BTreeSet<(SmolStr, SmolStr)>,
    /// Default ClusterRoles that hold it, which is known without looking.
    pub(super) defaults: BTreeSet<SmolStr>,
    /// Labels that make a ClusterRole's rules flow into another, beside those of the default roles.
    pub(super) aggregating_labels: BTreeSet<SmolStr>,
}

impl Holders {
    /// The roles of an input that hold a legacy grant which is effective for whoever is bound to them, and the default
    /// roles, unless the input shows that they hold none.
    pub fn of(grants: &Grants<'_>) -> Self {
        let mut holders = Self::default();
        // Of each role that holds one, whether a RoleBinding to it grants something too.
        let mut held: BTreeMap<RoleId, bool> = BTreeMap::new();
        for (from, in_namespace) in written(grants) {
            for carrier in grants.carriers(from) {
                *held.entry(*carrier).or_default() |= in_namespace;
            }
        }
        for (role, in_namespace) in held {
            holders.add(&grants.inventory().role(role).meta.key(), in_namespace);
        }
        holders.defaults = DEFAULT_IMPERSONATORS.into_iter().map(SmolStr::new_static).collect();
        holders.defaults.retain(|name| holders.in_cluster.contains(name) || !is_seen_with_rules(grants, name));
        let Self { in_cluster, in_namespace, .. } = &mut holders;
        for names in [in_cluster, in_namespace] {
            names.retain(|name| !DEFAULT_IMPERSONATORS.contains(&name.as_str()));
        }
        let aggregated = grants.inventory().roles.iter().filter_map(|role| role.aggregation.as_ref());
        let requirements = aggregated.flat_map(|rule| &rule.selectors).flat_map(|selector| &selector.requirements);
        let keys = requirements.map(|requirement| &requirement.key);
        holders.aggregating_labels = keys.filter(|key| !key.starts_with(AGGREGATE_TO_DEFAULT)).cloned().collect();
        holders
    }

    /// Adds a role. Names that no object can have are left out: there is nothing to bind.
    fn add(&mut self, key: &ObjectKey, in_namespace: bool) {
        let name = || key.name.clone();
        match (key.kind, &key.namespace) {
            _ if !is_object_name(&key.name) => {}
            (ObjectKind::ClusterRole, _) => {
                self.in_cluster.insert(name());
                if in_namespace {
                    self.in_namespace.insert(name());
                }
            }
            (ObjectKind::Role, Some(namespace)) if in_namespace => {
                self.roles.insert((namespace.clone(), name()));
            }
            _ => {}
        }
    }

    /// Adds a role of which it is not known what it holds: whatever it may.
    pub(super) fn add_unseen(&mut self, key: &ObjectKey) {
        let seen = self.in_cluster.contains(&key.name) || self.defaults.contains(&key.name);
        if key.kind == ObjectKind::Role || !seen {
            self.add(key, true);
        }
    }

    /// How many roles the input has that hold legacy impersonation, the default roles not counted.
    pub fn seen(&self) -> usize {
        self.in_cluster.len() + self.roles.len()
    }
}

/// The roles in which effective legacy grants are written, and whether a RoleBinding would do for any.
fn written(grants: &Grants<'_>) -> BTreeMap<RoleId, bool> {
    let mut written = BTreeMap::new();
    for (role, _, _, granted) in grants.granting_rules() {
        let legacy = granted.iter().filter(|grant| grant.mode == Some(Mode::Legacy) && grant.reason.is_none());
        for kind in legacy.filter_map(|grant| grant.identity.kind) {
            *written.entry(role).or_default() |= kind.is_namespaced();
        }
    }
    written
}

/// Whether the input has rules of a ClusterRole; one that is to be filled by a controller may not be filled yet.
fn is_seen_with_rules(grants: &Grants<'_>, name: &str) -> bool {
    let inventory = grants.inventory();
    let is_meant = |meta: &ObjectMeta| meta.kind == ObjectKind::ClusterRole && meta.name.as_str() == name;
    let mut meant = inventory.role_ids().filter(|(_, role)| is_meant(&role.meta));
    meant.any(|(id, _)| grants.rules().of(inventory, id).next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::load_bytes;

    fn holders(roles: &[(&str, &str)]) -> Holders {
        let role = |(meta, rest): &(&str, &str)| {
            let kind = if meta.contains("namespace") { "Role" } else { "ClusterRole" };
            format!("---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{{meta}}}\n{rest}\n")
        };
        let text: String = roles.iter().map(role).collect();
        let inventory = load_bytes("roles.yaml", text.as_bytes());
        assert_eq!(inventory.problems, [], "{text}");
        Holders::of(&Grants::new(&inventory))
    }

    fn rules(group: &str, resource: &str) -> String {
        format!("rules: [{{verbs: [impersonate], apiGroups: ['{group}'], resources: [{resource}]}}]")
    }

    fn names<const N: usize>(names: [&str; N]) -> BTreeSet<SmolStr> {
        names.into_iter().map(SmolStr::new).collect()
    }

    #[test]
    fn roles_that_hold_it() {
        let (users, accounts) = (rules("", "users"), rules("", "serviceaccounts"));
        let found = holders(&[
            ("name: users", &users),
            ("name: accounts", &accounts),
            ("name: all", "rules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*']}]"),
            ("name: dead", &rules("authentication.k8s.io", "users")),
            (
                "name: constrained",
                "rules: [{verbs: ['impersonate:user-info'], apiGroups: [authentication.k8s.io], resources: [users]}]",
            ),
            ("name: contributor, labels: {to: sum}", &users),
            ("name: sum", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: sum}}]}\nrules: []"),
            ("name: never/there", &users),
            ("name: users, namespace: ns", &users),
            ("name: accounts, namespace: ns", &accounts),
        ]);
        assert_eq!(found.in_cluster, names(["users", "accounts", "all", "contributor", "sum"]));
        assert_eq!(found.in_namespace, names(["accounts", "all"]));
        assert_eq!(found.roles, BTreeSet::from([("ns".into(), "accounts".into())]));
        assert_eq!(found.aggregating_labels, names(["to"]));
        assert_eq!(found.defaults, names(DEFAULT_IMPERSONATORS));
        assert_eq!(found.seen(), 6);
    }

    #[test]
    fn default_roles_that_were_stripped_hold_none() {
        let plain = "rules: [{verbs: [get], apiGroups: [''], resources: [pods]}]";
        let unfilled = "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: admin}}]}\nrules: []";
        let found = holders(&[
            ("name: edit", plain),
            ("name: admin", unfilled),
            ("name: system:aggregate-to-edit", &rules("", "serviceaccounts")),
        ]);
        assert_eq!(found.defaults, names(["admin", "cluster-admin", "system:aggregate-to-edit"]));
        assert_eq!(found.seen(), 0);
    }
}
