//! The objects that a migration adds.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::evidence::Impersonator;
use crate::inventory::ObjectKind;

/// The label of every generated object; its value is the mode. A later run knows its own objects by it.
pub const LABEL_MODE: &str = "deputize.dev/mode";

/// A generated object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The kind.
    pub kind: ObjectKind,
    /// The namespace; none for cluster-scoped kinds, and where the replaced binding has none.
    pub namespace: Option<SmolStr>,
    /// The name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it says.
    pub body: Body,
}

/// What a generated object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The rules of a Role or ClusterRole.
    Rules(Vec<GeneratedRule>),
    /// A binding of the role of that kind and name to one subject.
    Binding {
        /// `Role` or `ClusterRole`.
        role_kind: ObjectKind,
        /// The role's name.
        role: String,
        /// To whom.
        subject: Impersonator,
    },
}

/// A rule of a generated role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct GeneratedRule {
    /// `apiGroups`.
    pub api_groups: Vec<SmolStr>,
    /// `resources`.
    pub resources: Vec<SmolStr>,
    /// `resourceNames`; none for any.
    pub resource_names: Option<Vec<SmolStr>>,
    /// `nonResourceURLs`.
    pub non_resource_urls: Vec<SmolStr>,
    /// `verbs`.
    pub verbs: Vec<SmolStr>,
}
