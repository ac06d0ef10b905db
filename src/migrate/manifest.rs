//! The objects that a migration adds.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::evidence::Impersonator;
use crate::inventory::{Binding, Object, ObjectKind, ObjectMeta, PolicyRule, Role, RoleKind, RoleRef, Subject, Text};

/// The label of every generated object; its value is the mode. A later run knows its own objects by it.
pub const LABEL_MODE: &str = "deputize.dev/mode";

/// Its value for what has to stay legacy. A later run treats that like any other legacy grant.
pub(super) const LABEL_LEGACY: &str = "legacy";

/// How many places an annotation lists.
const MAX_LISTED: usize = 20;

/// Where rules of a generated role apply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Everywhere: a ClusterRole and its ClusterRoleBinding.
    Cluster,
    /// One namespace, as written; none where the binding that is replaced has none.
    Namespace(Option<SmolStr>),
}

/// Where the objects of an impersonator come from.
#[derive(Debug, Default, Clone)]
pub(super) struct Origin {
    /// The roles and bindings that they replace, in words.
    pub replaces: BTreeSet<String>,
    /// The files in which these stand.
    pub files: BTreeSet<String>,
}

impl Origin {
    /// Adds an object that is replaced, and the file in which it stands.
    pub fn add(&mut self, meta: &ObjectMeta) {
        self.add_name(meta);
        self.files.insert(meta.path.to_string());
    }

    /// Adds an object that has a part in it.
    pub fn add_name(&mut self, meta: &ObjectMeta) {
        self.replaces.insert(meta.reference());
    }
}

/// A role with these rules in a scope, and the binding that gives it to an impersonator.
pub(super) fn role_and_binding(
    impersonator: &Impersonator,
    mode: &'static str,
    (scope, name): (&Scope, &str),
    rules: Vec<PolicyRule>,
    origin: &Origin,
) -> (Object, Object) {
    let (role_kind, kind, binding_kind, namespace) = match scope {
        Scope::Cluster => (RoleKind::ClusterRole, ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding, None),
        Scope::Namespace(namespace) => (RoleKind::Role, ObjectKind::Role, ObjectKind::RoleBinding, namespace.clone()),
    };
    let meta = |kind| ObjectMeta {
        labels: pairs([("app.kubernetes.io/managed-by", "deputize".to_owned()), (LABEL_MODE, mode.to_owned())]),
        annotations: pairs([
            ("deputize.dev/impersonator", impersonator.describe()),
            ("deputize.dev/replaces", listed(&origin.replaces)),
            ("deputize.dev/source", listed(&origin.files)),
        ]),
        ..ObjectMeta::new(kind, namespace.clone(), name)
    };
    let role = Role { meta: meta(kind), rules, aggregation: None };
    let subject = Subject {
        kind: impersonator.kind.clone(),
        namespace: impersonator.namespace.clone(),
        name: Text::new(impersonator.name.clone()),
        in_own_namespace: false,
    };
    let role_ref = RoleRef { kind: Some(role_kind), name: Text::new(name) };
    let binding = Binding { meta: meta(binding_kind), role_ref, subjects: vec![subject] };
    (Object::Role(role), Object::Binding(binding))
}

/// Strings that stand in no file.
pub(super) fn texts<T: Into<SmolStr>>(values: impl IntoIterator<Item = T>) -> Vec<Text> {
    values.into_iter().map(Text::new).collect()
}

fn pairs<const N: usize>(pairs: [(&'static str, String); N]) -> Vec<(SmolStr, SmolStr)> {
    pairs.into_iter().map(|(key, value)| (SmolStr::new_static(key), SmolStr::from(value))).collect()
}

fn listed(items: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = items.iter().take(MAX_LISTED).map(String::as_str).collect();
    let more = items.len().saturating_sub(MAX_LISTED);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
