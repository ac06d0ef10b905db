//! What becomes of a list of rules, and who holds it, for the carriers that are known.
//!
//! OLM (`operator-lifecycle-manager`, `pkg/controller/registry/resolver/rbac.go`, `operatorgroup.go`): a
//! ClusterServiceVersion's `clusterPermissions` become ClusterRoles, its `permissions` Roles in its namespace, each bound to
//! the service account beside it; where the operator may watch all namespaces, the Roles are lifted to ClusterRoles.
//!
//! Rancher (`rancher`, `pkg/apis/management.cattle.io/v3/authz_types.go`, `globalrolebinding_handler.go`,
//! `pkg/rbac/common.go`): the rules of a GlobalRole become a ClusterRole of the local cluster, its `namespacedRules` Roles
//! there; a RoleTemplate becomes a ClusterRole where it is bound.

use std::sync::Arc;

use smol_str::SmolStr;

use super::made;
use crate::inventory::embedding::{Carrier, Embedding, Form};
use crate::inventory::fields::fields;
use crate::inventory::object::{Binding, ObjectKind, ObjectMeta, RoleKind, RoleRef, Subject, SubjectKind, Text};
use crate::syntax::{FieldOrigin, Node};

/// What a carrier makes of its rules.
#[derive(Debug, Clone)]
pub(super) enum Holding {
    /// Nobody knows.
    Unknown,
    /// OLM: roles for service accounts in this namespace.
    Olm { namespace: Option<SmolStr>, all_namespaces: bool },
    /// Rancher: the ClusterRole of that name.
    GlobalRole(SmolStr),
    /// Rancher, likewise; the name cannot be that of a real object, since that depends on the cluster.
    RoleTemplate(SmolStr),
}

const RANCHER: &str = "management.cattle.io";

fn global_role(name: &str) -> SmolStr {
    SmolStr::new(format!("cattle-globalrole-{name}"))
}

fn role_template(name: &str) -> SmolStr {
    SmolStr::new(format!("RoleTemplate/{name}"))
}

impl Holding {
    pub(super) fn of(carrier: &Carrier, node: Node<'_>) -> Self {
        match (carrier.group(), carrier.kind.as_str()) {
            ("operators.coreos.com", "ClusterServiceVersion") => {
                Self::Olm { namespace: carrier.namespace.clone(), all_namespaces: watches_all(node) }
            }
            (RANCHER, "GlobalRole") if !carrier.name.is_empty() => Self::GlobalRole(global_role(&carrier.name)),
            (RANCHER, "RoleTemplate") if !carrier.name.is_empty() => Self::RoleTemplate(role_template(&carrier.name)),
            _ => Self::Unknown,
        }
    }
}

/// Whether an operator may be installed so that it watches all namespaces.
fn watches_all(node: Node<'_>) -> bool {
    let [spec] = fields(node, ["spec"]);
    let [modes] = spec.map_or([None], |spec| fields(spec, ["installModes"]));
    modes.into_iter().flat_map(Node::items).any(|mode| {
        let [kind, supported] = fields(mode, ["type", "supported"]);
        let is = |node: Option<Node<'_>>, text: &str| node.is_some_and(|node| node.as_str().as_deref() == Some(text));
        is(kind, "AllNamespaces") && supported.is_some_and(Node::is_yes)
    })
}

/// Gives the role that is made of the rules at `route` its kind and name, and makes its binding, if the carrier says who
/// holds it.
pub(super) fn of_rules(holding: &Holding, route: &str, parent: Node<'_>, meta: &mut ObjectMeta) -> Option<Binding> {
    match holding {
        Holding::Unknown => None,
        Holding::Olm { namespace, all_namespaces } => {
            let rest = route.strip_prefix("spec.install.spec.")?;
            let is_cluster = rest.starts_with("clusterPermissions[");
            if !(is_cluster || rest.starts_with("permissions[")) || !rest.ends_with("].rules") {
                return None;
            }
            let (kind, binding) = if is_cluster || *all_namespaces {
                (ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding)
            } else {
                (ObjectKind::Role, ObjectKind::RoleBinding)
            };
            (meta.kind, meta.namespace) = (kind, namespace.clone());
            let [account] = fields(parent, ["serviceAccountName"]);
            let account = account?;
            let name = Text { value: SmolStr::new(account.as_str()?), place: account.place() };
            let home = namespace.clone().unwrap_or(SmolStr::new_static(crate::inventory::DEFAULT_NAMESPACE));
            let subject = Subject {
                kind: SubjectKind::ServiceAccount,
                namespace: Some(home),
                name: name.clone(),
                in_own_namespace: namespace.is_none(),
            };
            Some(bind(meta, binding, subject))
        }
        Holding::GlobalRole(name) | Holding::RoleTemplate(name) if route == "rules" => {
            meta.name.value = name.clone();
            None
        }
        Holding::GlobalRole(_) => {
            let namespaced = route.strip_prefix("namespacedRules").or(route.strip_prefix("inheritedNamespacedRules"));
            if let Some(namespace) = namespaced {
                let namespace = namespace.trim_start_matches(['.', '[', '"']).trim_end_matches(['"', ']']);
                (meta.kind, meta.namespace) = (ObjectKind::Role, Some(SmolStr::new(namespace)));
            }
            None
        }
        Holding::RoleTemplate(_) => None,
    }
}

/// The binding of a role to one subject.
fn bind(role: &ObjectMeta, kind: ObjectKind, subject: Subject) -> Binding {
    let role_kind = if role.kind == ObjectKind::Role { RoleKind::Role } else { RoleKind::ClusterRole };
    let role_ref =
        RoleRef { kind: Some(role_kind), name: Text { value: role.name.value.clone(), place: subject.name.place } };
    let mut meta = role.clone();
    meta.kind = kind;
    meta.namespace = role.namespace.clone().filter(|_| kind.is_namespaced());
    Binding { meta, role_ref, subjects: vec![subject] }
}

/// The binding that Rancher makes of an object that gives someone a role.
pub(super) fn binding_of(carrier: &Arc<Carrier>, node: Node<'_>, path: &Arc<str>) -> Option<Binding> {
    if carrier.group() != RANCHER {
        return None;
    }
    let (key, role): (_, fn(&str) -> SmolStr) = match carrier.kind.as_str() {
        "GlobalRoleBinding" => ("globalRoleName", global_role),
        "ClusterRoleTemplateBinding" => ("roleTemplateName", role_template),
        _ => return None,
    };
    let text = |node: Node<'_>| Some(Text { value: SmolStr::new(node.as_str()?), place: node.place() });
    let [name] = fields(node, [key]);
    let name = text(name?)?;
    let role_ref = RoleRef { kind: Some(RoleKind::ClusterRole), name: Text { value: role(name.as_str()), ..name } };
    let mut subjects = Vec::new();
    node.visit_fields(&mut |key, entry, origin| {
        let kind = match key {
            "userName" => SubjectKind::User,
            "groupPrincipalName" | "groupName" => SubjectKind::Group,
            _ => return,
        };
        let name = text(entry.value).filter(|name| !name.value.is_empty());
        if origin == FieldOrigin::Own || subjects.is_empty() {
            subjects.extend(name.map(|name| Subject { kind, namespace: None, name, in_own_namespace: false }));
        }
    });
    let embedding = Embedding { form: Form::Rules, carrier: (**carrier).clone(), route: String::new() };
    let own = Text { value: SmolStr::new(format!("{}/{}", carrier.kind, carrier.name)), place: carrier.place };
    let meta = made(ObjectKind::ClusterRoleBinding, None, own, path, Arc::new(embedding));
    Some(Binding { meta, role_ref, subjects })
}
