//! What was rendered, as the documents of a release: split, sorted, hooks apart.

use super::text::Marked;
use crate::syntax::parse_documents;

/// One document of a release.
#[derive(Debug, Clone)]
pub struct Document {
    /// The template that it comes from, with the chart's name before it.
    pub source: String,
    /// What kind of object it says that it is.
    pub kind: String,
    /// What becomes of it.
    pub role: Role,
    /// Its text, and where that comes from.
    pub text: Marked,
}

/// What becomes of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A custom resource definition in `crds/`, which is installed first and as it is.
    Crd,
    /// An object of the release.
    Object,
    /// An object that a hook creates.
    Hook,
}

/// The order in which Helm installs kinds of objects.
const ORDER: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

const EVENTS: [&str; 10] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
];

/// A document that is no object, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The template that it comes from.
    pub source: String,
    /// What is wrong with it.
    pub message: String,
    /// The byte of the document where that is.
    pub offset: usize,
}

impl Document {
    /// Reads the document, and returns why it is no object if it is none. Helm would install nothing of the chart then.
    pub fn broken(&self) -> Option<Broken> {
        let (message, offset) = Head::parsed(&self.text.text).error?;
        Some(Broken { source: self.source.clone(), message, offset })
    }
}

/// The documents of what templates wrote.
pub(super) fn documents(rendered: Vec<(String, Marked)>) -> Vec<Document> {
    let mut found = Vec::new();
    let mut rendered = rendered;
    rendered.sort_by(|a, b| a.0.cmp(&b.0));
    for (source, text) in rendered {
        for range in split(&text.text) {
            let head = Head::of(&text.text[range.clone()]);
            let Some(role) = head.role else { continue };
            let mut part = Marked::default();
            part.append_range(&text, range);
            found.push(Document { source: source.clone(), kind: head.kind, role, text: part });
        }
    }
    found.sort_by(|a, b| a.role.cmp(&b.role).then_with(|| rank(&a.kind).cmp(&rank(&b.kind))));
    found
}

/// Where a kind comes; those that Helm does not know come last, by name.
fn rank(kind: &str) -> (usize, &str) {
    match ORDER.iter().position(|known| *known == kind) {
        Some(index) => (index, ""),
        None => (ORDER.len(), kind),
    }
}

/// The documents of a text: what stands between lines that begin with three hyphens.
pub fn split(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let first = text.len() - text.trim_start().len();
    let mut start = first;
    let mut take = |start: usize, end: usize| {
        let part = &text[start..end];
        let trimmed = part.trim_start();
        if !trimmed.is_empty() {
            found.push(start + part.len() - trimmed.len()..end);
        }
    };
    let mut at = first;
    while let Some(position) = memchr::memmem::find(&text.as_bytes()[at..], b"---") {
        let hit = at + position;
        if hit == first || text.as_bytes()[hit - 1] == b'\n' {
            take(start, hit);
            let rest = &text[hit + 3..];
            start = hit + 3 + rest.len() - rest.trim_start_matches([' ', '\t']).len();
            at = start;
        } else {
            at = hit + 3;
        }
    }
    take(start, text.len());
    found
}

#[derive(Default)]
struct Head {
    kind: String,
    /// None for a hook that Helm does not know: such an object is left out.
    role: Option<Role>,
    error: Option<(String, usize)>,
}

impl Head {
    /// What a document says it is. It is not parsed if that can be told from one line.
    fn of(text: &str) -> Self {
        let mut kinds = text.lines().filter_map(|line| line.strip_prefix("kind:"));
        if let (Some(kind), None) = (kinds.next(), kinds.next())
            && kind.trim().bytes().all(|b| b.is_ascii_alphanumeric())
            && !kind.trim().is_empty()
            && memchr::memmem::find(text.as_bytes(), b"helm.sh/hook").is_none()
            && !text.contains(['\\', '&', '\t'])
        {
            return Self { kind: kind.trim().to_owned(), role: Some(Role::Object), error: None };
        }
        Self::parsed(text)
    }

    fn parsed(text: &str) -> Self {
        let mut head = Self { role: Some(Role::Object), ..Self::default() };
        let (trees, error) = parse_documents(text, 0, 1);
        if let (Some(error), true) = (&error, trees.is_empty()) {
            head.error = Some((error.message.clone(), error.place.offset as usize));
            // Helm may well read what this parser does not.
            let kind = text.lines().find_map(|line| line.strip_prefix("kind:"));
            head.kind = kind.map(|kind| kind.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default();
        }
        let Some(root) = trees.first().and_then(|tree| tree.root()) else { return head };
        if !root.is_mapping() {
            if !root.is_null() {
                head.error = Some((format!("it is {}, not an object", root.describe()), 0));
            }
            return head;
        }
        let mut hooks = None;
        root.visit_fields(&mut |key, entry, _| match key {
            "kind" => head.kind = scalar(entry.value),
            "metadata" => entry.value.visit_fields(&mut |key, entry, _| {
                if key == "annotations" {
                    entry.value.visit_fields(&mut |key, entry, _| {
                        if key == "helm.sh/hook" {
                            hooks = Some(scalar(entry.value));
                        }
                    });
                }
            }),
            _ => {}
        });
        if let Some(hooks) = hooks {
            let known = |hook: &str| EVENTS.contains(&hook.trim().to_lowercase().as_str());
            head.role = hooks.split(',').all(known).then_some(Role::Hook);
        }
        head
    }
}

fn scalar(node: crate::syntax::Node<'_>) -> String {
    node.scalar().map(|scalar| scalar.text.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::value::Value;

    fn release(text: &str) -> Vec<(String, String, Role)> {
        let rendered = vec![("c/templates/a.yaml".to_owned(), Value::from(text).marked())];
        let found = documents(rendered).into_iter();
        found.map(|document| (document.kind, document.text.text, document.role)).collect()
    }

    #[test]
    fn documents_are_split_and_sorted_by_kind() {
        let found =
            release("\n---\nkind: Role\n---\n\n--- \n# c\nkind: Secret\na: b---c\n---\nkind: Zebra\n---\nkind: Ant\n");
        let kinds: Vec<&str> = found.iter().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(kinds, ["Secret", "Role", "Ant", "Zebra"]);
        assert_eq!(found[0].1, "# c\nkind: Secret\na: b---c\n");
    }

    #[test]
    fn hooks_come_last_and_unknown_ones_not_at_all() {
        let hook = |name: &str| format!("kind: Job\nmetadata:\n  annotations:\n    helm.sh/hook: {name}\n");
        let text = format!("{}---\nkind: Zebra\n---\n{}", hook("pre-install, test"), hook("no-hook"));
        let found = release(&text);
        let kinds: Vec<_> = found.iter().map(|(kind, _, role)| (kind.as_str(), *role)).collect();
        assert_eq!(kinds, [("Zebra", Role::Object), ("Job", Role::Hook)]);
    }
}
