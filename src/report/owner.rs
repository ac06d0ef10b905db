//! To whom a grant belongs: who would have to change it.

use crate::inventory::ObjectMeta;

/// How an owner is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// A Helm release, or a chart where the release is not named.
    Helm,
    /// A label says of what the object is a part.
    Label,
    /// The API server keeps the object.
    Kubernetes,
    /// The namespace of the object, or of the service account that holds it.
    Namespace,
    /// Nothing says it.
    Unknown,
}

impl OwnerKind {
    /// The kind as the JSON output has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Label => "label",
            Self::Kubernetes => "kubernetes",
            Self::Namespace => "namespace",
            Self::Unknown => "unknown",
        }
    }
}

/// Who would have to change a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// How it is known.
    pub kind: OwnerKind,
    /// The name; empty for the API server, and where nothing says it.
    pub name: String,
}

impl Owner {
    /// The owner of a role that a binding gives to a subject in a namespace. What the role says counts more than what
    /// the binding says: the rule is written there.
    pub fn of(role: Option<&ObjectMeta>, binding: Option<&ObjectMeta>, namespace: Option<&str>) -> Self {
        let metas = || role.into_iter().chain(binding);
        let server = |meta: &ObjectMeta| meta.label("kubernetes.io/bootstrapping") == Some("rbac-defaults");
        let (kind, name) = if role.is_some_and(server) {
            (OwnerKind::Kubernetes, String::new())
        } else if let Some(release) = metas().find_map(helm) {
            (OwnerKind::Helm, release)
        } else if let Some(part) = metas().find_map(part_of) {
            (OwnerKind::Label, part)
        } else if let Some(namespace) = metas().find_map(ObjectMeta::effective_namespace).or(namespace) {
            (OwnerKind::Namespace, namespace.to_owned())
        } else {
            (OwnerKind::Unknown, String::new())
        };
        Self { kind, name }
    }

    /// `Helm release shop/web`, `namespace apps`, `no owner named`.
    pub fn describe(&self) -> String {
        match self.kind {
            OwnerKind::Helm => format!("Helm {}", self.name),
            OwnerKind::Label => self.name.clone(),
            OwnerKind::Kubernetes => "Kubernetes itself".to_owned(),
            OwnerKind::Namespace => format!("namespace {}", self.name),
            OwnerKind::Unknown => "no owner named".to_owned(),
        }
    }
}

/// The Helm release by the annotations that Helm writes, else by the labels that charts write.
fn helm(meta: &ObjectMeta) -> Option<String> {
    let annotation =
        |key: &str| meta.annotations.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        let namespace = annotation("meta.helm.sh/release-namespace").map(|namespace| format!("{namespace}/"));
        return Some(format!("release {}{release}", namespace.unwrap_or_default()));
    }
    let by_helm = meta.label("app.kubernetes.io/managed-by").is_some_and(|by| by == "Helm" || by == "Tiller");
    let chart =
        meta.label("helm.sh/chart").or_else(|| meta.label("chart").filter(|_| meta.label("heritage").is_some()));
    if !by_helm && chart.is_none() {
        return None;
    }
    let release = meta.label("app.kubernetes.io/instance").or_else(|| meta.label("release"));
    match (release, chart) {
        (Some(release), _) => Some(format!("release {release}")),
        (None, Some(chart)) => Some(format!("chart {chart}")),
        (None, None) => None,
    }
}

/// Of what a label says the object is a part.
fn part_of(meta: &ObjectMeta) -> Option<String> {
    let keys = ["app.kubernetes.io/part-of", "app.kubernetes.io/instance", "app.kubernetes.io/name", "k8s-app", "app"];
    keys.iter().find_map(|key| meta.label(key)).filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::ObjectKind;

    fn meta(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> ObjectMeta {
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        ObjectMeta {
            labels: pairs(labels),
            annotations: pairs(annotations),
            ..ObjectMeta::new(ObjectKind::ClusterRole, None, "a")
        }
    }

    #[test]
    fn the_release_counts_more_than_labels_and_these_more_than_namespaces() {
        let release = meta(
            &[("app", "web")],
            &[("meta.helm.sh/release-name", "web"), ("meta.helm.sh/release-namespace", "shop")],
        );
        let labelled = meta(&[("app.kubernetes.io/part-of", "shop")], &[]);
        let chart = meta(&[("app.kubernetes.io/managed-by", "Helm"), ("helm.sh/chart", "web-1.2")], &[]);
        let default = meta(&[("kubernetes.io/bootstrapping", "rbac-defaults")], &[]);
        let plain = meta(&[], &[]);
        for (role, binding, namespace, expected) in [
            (&labelled, Some(&release), None, "Helm release shop/web"),
            (&chart, None, None, "Helm chart web-1.2"),
            (&labelled, None, Some("apps"), "shop"),
            (&plain, Some(&labelled), Some("apps"), "shop"),
            (&plain, Some(&plain), Some("apps"), "namespace apps"),
            (&plain, None, None, "no owner named"),
            (&default, Some(&release), None, "Kubernetes itself"),
        ] {
            assert_eq!(Owner::of(Some(role), binding, namespace).describe(), expected);
        }
    }
}
