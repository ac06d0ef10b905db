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
/// The longest value of an annotation, in bytes. All annotations of an object together may have 256 KiB
/// (`TotalAnnotationSizeLimitB` in `pkg/api/validation/objectmeta.go`).
const MAX_ANNOTATION: usize = 32 << 10;
/// The most bytes that the rules of one role take as JSON. etcd refuses objects of more than 1.5 MiB by default; this
/// leaves room for what the server adds, and for indentation.
const MAX_RULES: usize = 512 << 10;

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
            ("deputize.dev/impersonator", cut(impersonator.describe())),
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
    let mut text = shown.join(", ");
    if more > 0 {
        text = format!("{text} and {more} more");
    }
    cut(text)
}

/// Cuts a text to what an annotation may hold.
fn cut(mut text: String) -> String {
    if text.len() > MAX_ANNOTATION {
        let end = (0..=MAX_ANNOTATION).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Distributes rules over as few roles as the size of an object allows. Rules with many names are split.
pub(super) fn fit(rules: Vec<PolicyRule>) -> Vec<Vec<PolicyRule>> {
    let mut roles: Vec<Vec<PolicyRule>> = vec![Vec::new()];
    let mut used = 0;
    for rule in rules.into_iter().flat_map(split_names) {
        let size = json_size(&rule);
        if used > 0 && used + size > MAX_RULES {
            roles.push(Vec::new());
            used = 0;
        }
        used += size;
        if let Some(last) = roles.last_mut() {
            last.push(rule);
        }
    }
    roles
}

/// Splits a rule so that each part fits into a role. Its other lists are as short as requests have them.
fn split_names(rule: PolicyRule) -> Vec<PolicyRule> {
    if json_size(&rule) <= MAX_RULES {
        return vec![rule];
    }
    let names = rule.resource_names.clone();
    let mut parts = Vec::new();
    let mut rest = names.as_slice();
    while !rest.is_empty() {
        let mut size = 0;
        let fitting = rest.iter().take_while(|name| {
            size += text_size(name);
            size <= MAX_RULES / 2
        });
        let (part, later) = rest.split_at(fitting.count().max(1));
        parts.push(PolicyRule { resource_names: part.to_vec(), ..rule.clone() });
        rest = later;
    }
    if parts.is_empty() { vec![rule] } else { parts }
}

/// About how many bytes a rule takes as JSON.
fn json_size(rule: &PolicyRule) -> usize {
    let lists = [&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
    lists.into_iter().flatten().map(text_size).sum()
}

fn text_size(text: &Text) -> usize {
    text.as_str().len() + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_do_not_fit_into_one_role_are_distributed() {
        let names: Vec<Text> = (0..20_000).map(|n| Text::new(format!("name-of-a-user-{n:050}"))).collect();
        let rule = |names: &[Text]| PolicyRule { resource_names: names.to_vec(), ..PolicyRule::default() };
        let roles = fit(vec![rule(&[]), rule(&names), rule(&names[..1])]);
        assert!(roles.len() > 1);
        for role in &roles {
            assert!(role.iter().map(json_size).sum::<usize>() <= MAX_RULES);
        }
        let together: Vec<&Text> = roles.iter().flatten().flat_map(|rule| &rule.resource_names).collect();
        assert_eq!(together.len(), names.len() + 1);
        // A rule without names allows any: it must stay one.
        assert_eq!(roles.iter().flatten().filter(|rule| rule.resource_names.is_empty()).count(), 1);
    }

    #[test]
    fn annotations_are_cut() {
        let long = "ü".repeat(MAX_ANNOTATION);
        assert!(cut(long.clone()).len() <= MAX_ANNOTATION + 4);
        assert!(listed(&[long].into()).len() <= MAX_ANNOTATION + 4);
    }
}
