//! Bindings that controllers make of custom resources: which subjects get which role is written in the resource.
//!
//! RBAC manager (`rbacmanager.reactiveops.io` RBACDefinition), Capsule (`capsule.clastix.io` Tenant), Open Cluster Management
//! (`rbac.open-cluster-management.io` ClusterPermission) and their kind agree in form: a list of subjects as RBAC has them,
//! and near it the name of a role.

use std::sync::Arc;

use smol_str::SmolStr;

use super::made;
use crate::inventory::embedding::{Carrier, Embedding, Form, push_index, push_key};
use crate::inventory::fields::fields;
use crate::inventory::object::{Binding, ObjectKind, RoleKind, RoleRef, Subject, SubjectKind, Text};
use crate::syntax::{Node, NodeKind};

/// How deep a custom resource is looked through.
const MAX_DEPTH: usize = 16;
/// How many bindings of one resource are read.
const MAX_BINDINGS: usize = 10_000;

/// Returns the bindings that a controller makes of a custom resource.
pub(super) fn bindings(carrier: &Arc<Carrier>, node: Node<'_>, path: &Arc<str>) -> Vec<Binding> {
    let [spec] = fields(node, ["spec"]);
    let route = spec.map_or("", |_| "spec").to_owned();
    let mut reader = Reader { carrier, path, found: Vec::new(), route };
    // Some have no `spec`.
    reader.value(spec.unwrap_or(node), 0);
    reader.found
}

struct Reader<'r> {
    carrier: &'r Arc<Carrier>,
    path: &'r Arc<str>,
    found: Vec<Binding>,
    /// Where in the resource it is.
    route: String,
}

/// A role that subjects get, and where.
struct Target {
    name: Text,
    kind: RoleKind,
    /// The namespace of the binding; none if the controller chooses namespaces.
    namespace: Option<SmolStr>,
    is_cluster_wide: bool,
}

impl Reader<'_> {
    fn value(&mut self, node: Node<'_>, depth: usize) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_BINDINGS {
            return;
        }
        let length = self.route.len();
        match node.kind() {
            NodeKind::Mapping => {
                self.mapping(node);
                for entry in node.entries() {
                    if let Some(key) = entry.key.as_str().filter(|key| *key != "metadata") {
                        push_key(&mut self.route, &key);
                        self.value(entry.value, depth + 1);
                        self.route.truncate(length);
                    }
                }
            }
            NodeKind::Sequence => {
                for (index, item) in node.items().enumerate() {
                    push_index(&mut self.route, index);
                    self.value(item, depth + 1);
                    self.route.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// A mapping that may say who gets which role.
    fn mapping(&mut self, node: Node<'_>) {
        let subjects = subjects(node);
        if subjects.is_empty() {
            return;
        }
        for target in targets(node) {
            let (kind, namespace) = match target.namespace {
                _ if target.is_cluster_wide => (ObjectKind::ClusterRoleBinding, None),
                // Which namespaces these are, the controller knows.
                None => {
                    (ObjectKind::RoleBinding, Some(format!("{{{{ namespaces of {} }}}}", self.carrier.name).into()))
                }
                namespace => (ObjectKind::RoleBinding, namespace),
            };
            let embedding =
                Embedding { form: Form::Rules, carrier: (**self.carrier).clone(), route: self.route.clone() };
            let name = Text {
                value: SmolStr::from(format!("{}/{}/{}", self.carrier.kind, self.carrier.name, target.name.as_str())),
                place: target.name.place,
            };
            let meta = made(kind, namespace, name, self.path, Arc::new(embedding));
            let role_ref = RoleRef { kind: Some(target.kind), name: target.name };
            self.found.push(Binding { meta, role_ref, subjects: subjects.clone() });
        }
    }
}

fn text(node: Node<'_>) -> Option<Text> {
    let text = node.as_str().filter(|text| !text.is_empty())?;
    Some(Text { value: SmolStr::new(text), place: node.place() })
}

/// The subjects that a mapping names: in `subjects` or `subject`, or itself, as an owner of a tenant.
fn subjects(node: Node<'_>) -> Vec<Subject> {
    let [list, one] = fields(node, ["subjects", "subject"]);
    let mut found: Vec<Subject> = list.into_iter().flat_map(Node::items).filter_map(subject).collect();
    found.extend(one.and_then(subject));
    if found.is_empty() {
        found.extend(subject(node));
    }
    found
}

fn subject(node: Node<'_>) -> Option<Subject> {
    let [kind, name, namespace] = fields(node, ["kind", "name", "namespace"]);
    let kind = match kind?.as_str()?.as_ref() {
        "User" => SubjectKind::User,
        "Group" => SubjectKind::Group,
        "ServiceAccount" => SubjectKind::ServiceAccount,
        _ => return None,
    };
    let name = text(name?)?;
    let is_account = kind == SubjectKind::ServiceAccount;
    // Capsule writes an account as its username.
    if is_account {
        let account = Subject::of_username(name.clone());
        if account.kind == kind {
            return Some(account);
        }
    }
    let namespace = namespace.and_then(text).map(|text| text.value).filter(|_| is_account);
    (!is_account || namespace.is_some()).then_some(Subject { kind, namespace, name, in_own_namespace: false })
}

/// The roles that a mapping gives to its subjects.
fn targets(node: Node<'_>) -> Vec<Target> {
    let mut found = Vec::new();
    let [of_cluster, of_namespaces, role_ref] = fields(node, ["clusterRoleBindings", "roleBindings", "roleRef"]);
    for (list, is_cluster_wide) in [(of_cluster, true), (of_namespaces, false)] {
        for item in list.into_iter().flat_map(Node::items) {
            found.extend(named(item, is_cluster_wide));
        }
    }
    let [name, name_of_role, names, namespace] =
        fields(node, ["clusterRoleName", "roleName", "clusterRoles", "namespace"]);
    let namespace = namespace.and_then(text).map(|text| text.value);
    // Without a namespace of its own, the tenant's controller binds in the tenant's namespaces.
    let in_namespaces =
        |name: Text, kind: RoleKind| Target { name, kind, namespace: namespace.clone(), is_cluster_wide: false };
    found.extend(name.and_then(text).map(|name| in_namespaces(name, RoleKind::ClusterRole)));
    found.extend(name_of_role.and_then(text).map(|name| in_namespaces(name, RoleKind::Role)));
    found.extend(
        names.into_iter().flat_map(Node::items).filter_map(text).map(|name| in_namespaces(name, RoleKind::ClusterRole)),
    );
    if let Some(role_ref) = role_ref {
        let [kind, name] = fields(role_ref, ["kind", "name"]);
        let is_role = kind.is_some_and(|kind| kind.as_str().as_deref() == Some("Role"));
        let kind = if is_role { RoleKind::Role } else { RoleKind::ClusterRole };
        let is_cluster_wide = namespace.is_none() && !is_role;
        found.extend(name.and_then(text).map(|name| Target { is_cluster_wide, ..in_namespaces(name, kind) }));
    }
    found
}

/// The role that an item of a list of bindings names.
fn named(item: Node<'_>, is_cluster_wide: bool) -> Option<Target> {
    let [of_cluster, role, namespace] = fields(item, ["clusterRole", "role", "namespace"]);
    let (name, kind) = match (of_cluster.and_then(text), role.and_then(text)) {
        (Some(name), _) => (name, RoleKind::ClusterRole),
        (None, Some(name)) => (name, RoleKind::Role),
        (None, None) => return None,
    };
    Some(Target { name, kind, namespace: namespace.and_then(text).map(|text| text.value), is_cluster_wide })
}

#[cfg(test)]
mod tests {
    use crate::inventory::load_bytes;

    fn shown(object: &str) -> Vec<String> {
        let inventory = load_bytes("a.yaml", object.as_bytes());
        assert_eq!(inventory.problems, [], "{object}");
        let show = |binding: &crate::inventory::Binding| {
            let subjects: Vec<String> = binding
                .subjects
                .iter()
                .map(|subject| format!("{} {}", subject.kind.as_str(), subject.name.as_str()))
                .collect();
            let namespace = binding.meta.namespace.as_deref().unwrap_or("-");
            format!("{} {namespace} {}: {}", binding.meta.kind, binding.role_ref.name.as_str(), subjects.join(", "))
        };
        inventory.bindings.iter().map(show).collect()
    }

    #[test]
    fn subjects_get_the_role_that_is_named_with_them() {
        let definition = "apiVersion: rbacmanager.reactiveops.io/v1beta1\nkind: RBACDefinition\nmetadata: {name: users}\nrbacBindings:\n\
            - name: ops\n  subjects: [{kind: ServiceAccount, name: deputy, namespace: apps}, {kind: User, name: carol}]\n  \
            clusterRoleBindings: [{clusterRole: deputy}]\n  roleBindings: [{role: local, namespace: shop}, {clusterRole: edit, namespace: pay}]\n";
        assert_eq!(
            shown(definition),
            [
                "ClusterRoleBinding - deputy: ServiceAccount deputy, User carol",
                "RoleBinding shop local: ServiceAccount deputy, User carol",
                "RoleBinding pay edit: ServiceAccount deputy, User carol",
            ]
        );
        let tenant = "apiVersion: capsule.clastix.io/v1beta2\nkind: Tenant\nmetadata: {name: solar}\nspec:\n  \
            owners: [{name: alice, kind: User, clusterRoles: [deputy, admin]}]\n  \
            additionalRoleBindings: [{clusterRoleName: deputy, subjects: [{kind: Group, name: devs}]}]\n";
        assert_eq!(
            shown(tenant),
            [
                "RoleBinding {{ namespaces of solar }} deputy: User alice",
                "RoleBinding {{ namespaces of solar }} admin: User alice",
                "RoleBinding {{ namespaces of solar }} deputy: Group devs",
            ]
        );
        let permission = "apiVersion: rbac.open-cluster-management.io/v1alpha1\nkind: ClusterPermission\nmetadata: {name: p}\nspec:\n  \
            clusterRoleBinding: {roleRef: {kind: ClusterRole, name: deputy}, subject: {kind: Group, name: devs}}\n  \
            roleBindings: [{namespace: shop, roleRef: {kind: Role, name: local}, subject: {kind: User, name: bob}}]\n";
        assert_eq!(shown(permission), ["ClusterRoleBinding - deputy: Group devs", "RoleBinding shop local: User bob"]);
        let other =
            "apiVersion: example.com/v1\nkind: X\nmetadata: {name: x}\nspec: {a: {kind: User, name: bob}, role: b}\n";
        assert_eq!(shown(other), [] as [&str; 0]);
    }
}
