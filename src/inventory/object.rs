//! The RBAC objects, as `rbac.authorization.k8s.io/v1` defines them (`k8s.io/api/rbac/v1/types.go`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::embedding::{Embedding, Form};
use super::suppression::IGNORE_ANNOTATION;
use super::template::Templated;
use crate::syntax::{Place, Value};
use crate::template::is_templated;

/// A string of the input and where it stands.
#[derive(Debug, Clone)]
pub struct Text {
    /// The value, as a client would send it.
    pub value: SmolStr,
    /// Its place in the object's file.
    pub place: Place,
}

impl Text {
    /// A string that stands in no file.
    pub fn new(value: impl Into<SmolStr>) -> Self {
        Self { value: value.into(), place: Place::default() }
    }

    /// The value.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Whether a template has yet to fill in a part of it.
    pub fn is_templated(&self) -> bool {
        is_templated(&self.value)
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.value
    }
}

/// Equality of objects is equality of what they say, not of where they say it.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Text {}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// How much of a name messages show. Valid names are shorter.
const MAX_SHOWN: usize = 300;

/// A name as messages show it: its beginning, if it is longer than any name should be.
pub fn abbreviate(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(MAX_SHOWN) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}

/// The four RBAC kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `ClusterRole`.
    ClusterRole,
    /// `Role`.
    Role,
    /// `ClusterRoleBinding`.
    ClusterRoleBinding,
    /// `RoleBinding`.
    RoleBinding,
}

impl ObjectKind {
    /// The kind as manifests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterRole => "ClusterRole",
            Self::Role => "Role",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::RoleBinding => "RoleBinding",
        }
    }

    /// The kind as paths of the API spell it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::ClusterRole => "clusterroles",
            Self::Role => "roles",
            Self::ClusterRoleBinding => "clusterrolebindings",
            Self::RoleBinding => "rolebindings",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::ClusterRole, Self::Role, Self::ClusterRoleBinding, Self::RoleBinding]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// Whether it gives a role to someone.
    pub fn is_binding(self) -> bool {
        matches!(self, Self::ClusterRoleBinding | Self::RoleBinding)
    }

    /// Whether objects of this kind live in a namespace.
    pub fn is_namespaced(self) -> bool {
        matches!(self, Self::Role | Self::RoleBinding)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The API group and version of the RBAC kinds.
pub const API_VERSION: &str = "rbac.authorization.k8s.io/v1";

/// The annotation in which `kubectl apply` keeps what it has applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What identifies an object on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The kind.
    pub kind: ObjectKind,
    /// The namespace in which it counts; none for cluster-scoped kinds.
    pub namespace: Option<SmolStr>,
    /// The name.
    pub name: SmolStr,
}

/// What all objects have.
#[derive(Debug, Clone)]
pub struct ObjectMeta {
    /// The kind.
    pub kind: ObjectKind,
    /// `apiVersion` as written.
    pub api_version: SmolStr,
    /// `metadata.namespace` as written. Cluster-scoped kinds have no namespace, whatever is written.
    pub namespace: Option<SmolStr>,
    /// `metadata.name`; its place is that of the name, or of the kind where there is no name.
    pub name: Text,
    /// `metadata.labels`, sorted by key.
    pub labels: Vec<(SmolStr, SmolStr)>,
    /// `metadata.annotations`, sorted by key, without what `kubectl apply` keeps there for itself. They bear on nothing
    /// here, and are kept for whoever writes the object.
    pub annotations: Vec<(SmolStr, SmolStr)>,
    /// What else of the metadata belongs to the object rather than to the server: `ownerReferences` and `finalizers`, as
    /// they are written, for whoever writes the object.
    pub kept: Vec<(SmolStr, Value)>,
    /// The file.
    pub path: Arc<str>,
    /// Other files and places with an identical definition.
    pub copies: Vec<(Arc<str>, Place)>,
    /// The object in which it is written; none for a manifest of its own.
    pub embedded: Option<Arc<Embedding>>,
    /// What a template says of it; none for what stands in a manifest.
    pub template: Option<Arc<Templated>>,
}

impl ObjectMeta {
    /// An object that stands in no file yet.
    pub fn new(kind: ObjectKind, namespace: Option<SmolStr>, name: impl Into<SmolStr>) -> Self {
        Self {
            kind,
            api_version: SmolStr::new_static(API_VERSION),
            namespace,
            name: Text::new(name),
            labels: Vec::new(),
            annotations: Vec::new(),
            kept: Vec::new(),
            path: Arc::from(""),
            copies: Vec::new(),
            embedded: None,
            template: None,
        }
    }

    /// Whether it is no object of a cluster by itself: it stands in another one, or in a template.
    pub fn stands_apart(&self) -> bool {
        self.embedded.is_some() || self.template.is_some()
    }

    /// Whether it is a patch of an object that stands elsewhere.
    pub(crate) fn is_patch(&self) -> bool {
        self.embedded.as_deref().is_some_and(|embedding| embedding.form == Form::Patch)
    }

    /// What no other object of a cluster has in common with this one: kind, namespace and name.
    pub fn key(&self) -> ObjectKey {
        let namespace = self.effective_namespace().map(SmolStr::new);
        ObjectKey { kind: self.kind, namespace, name: self.name.value.clone() }
    }

    /// Reports whether what the object leaves out means what it means for Kubernetes. OpenShift's own API fills in other
    /// values, so that a list that looks empty is not.
    pub fn has_kubernetes_defaults(&self) -> bool {
        self.api_version != "v1" && !self.api_version.starts_with("authorization.openshift.io/")
    }

    /// The namespace in which the object counts, none if it is cluster-scoped.
    pub fn effective_namespace(&self) -> Option<&str> {
        self.kind.is_namespaced().then(|| self.namespace.as_deref().unwrap_or(super::DEFAULT_NAMESPACE))
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let at = self.annotations.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok()?;
        self.annotations.get(at).map(|(_, value)| value.as_str())
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok()?;
        self.labels.get(at).map(|(_, value)| value.as_str())
    }

    fn shown_namespace(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|_| self.kind.is_namespaced())
    }

    /// `ClusterRole/name` or `Role/namespace/name`, for lists.
    pub fn reference(&self) -> String {
        let namespace = self.shown_namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let own = || format!("{}/{namespace}{}", self.kind, abbreviate(self.name.as_str()));
        match self.embedded.as_deref() {
            None => own(),
            Some(embedding) if embedding.form == Form::Rules => embedding.reference(),
            Some(embedding) => format!("{} (in {})", own(), embedding.reference()),
        }
    }

    /// `ClusterRole "name"` or `Role "namespace/name"`, for messages.
    pub fn describe(&self) -> String {
        let own = || match self.shown_namespace() {
            Some(namespace) => {
                format!("{} \"{}/{}\"", self.kind, abbreviate(namespace), abbreviate(self.name.as_str()))
            }
            None => format!("{} \"{}\"", self.kind, abbreviate(self.name.as_str())),
        };
        match self.embedded.as_deref() {
            None => own(),
            Some(embedding) => match embedding.form {
                Form::Manifest => format!("{} ({})", own(), embedding.describe()),
                Form::Rules if self.kind.is_binding() => embedding.carrier.describe(),
                Form::Rules => format!("the rule list {}", embedding.describe()),
                Form::Patch => format!("the patch of {} ({})", own(), embedding.describe()),
            },
        }
    }
}

/// A Role or a ClusterRole.
#[derive(Debug, Clone)]
pub struct Role {
    /// Name, namespace, labels, file.
    pub meta: ObjectMeta,
    /// The rules as written.
    pub rules: Vec<PolicyRule>,
    /// For a ClusterRole whose rules a controller fills in.
    pub aggregation: Option<AggregationRule>,
}

impl Role {
    /// Whether both define the same object with the same content.
    pub fn same_as(&self, other: &Self) -> bool {
        same_object(&self.meta, &other.meta) && self.meta.labels == other.meta.labels && self.grants_the_same(other)
    }

    /// Whether both have the same rules and aggregate the same roles.
    pub fn grants_the_same(&self, other: &Self) -> bool {
        self.rules == other.rules && self.aggregation == other.aggregation
    }
}

/// One rule: these verbs on these resources, or on these URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PolicyRule {
    /// `verbs`.
    pub verbs: Vec<Text>,
    /// `apiGroups`.
    pub api_groups: Vec<Text>,
    /// `resources`, with subresources as `resource/subresource`.
    pub resources: Vec<Text>,
    /// `resourceNames`; empty means any.
    pub resource_names: Vec<Text>,
    /// `nonResourceURLs`.
    pub non_resource_urls: Vec<Text>,
}

/// Which ClusterRoles are united in an aggregated one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AggregationRule {
    /// A role that any of these selects contributes.
    pub selectors: Vec<LabelSelector>,
}

/// A label selector: all requirements must hold. An empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// `matchLabels` and `matchExpressions` alike.
    pub requirements: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: SmolStr,
    /// How it is compared.
    pub operator: SelectorOperator,
    /// With what, for `In` and `NotIn`.
    pub values: Vec<SmolStr>,
}

/// `metav1.LabelSelectorOperator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorOperator {
    /// The label is there and has one of the values.
    In,
    /// The label is absent or has another value.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    pub fn matches(&self, meta: &ObjectMeta) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = meta.label(&requirement.key);
            let listed = value.is_some_and(|value| requirement.values.iter().any(|known| known == value));
            match requirement.operator {
                SelectorOperator::In => listed,
                SelectorOperator::NotIn => !listed,
                SelectorOperator::Exists => value.is_some(),
                SelectorOperator::DoesNotExist => value.is_none(),
            }
        })
    }
}

/// A RoleBinding or a ClusterRoleBinding.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Name, namespace, labels, file.
    pub meta: ObjectMeta,
    /// The role it grants.
    pub role_ref: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

impl Binding {
    /// Whether both define the same object with the same content.
    pub fn same_as(&self, other: &Self) -> bool {
        same_object(&self.meta, &other.meta) && self.grants_the_same(other)
    }

    /// Whether both give the same role to the same subjects.
    pub fn grants_the_same(&self, other: &Self) -> bool {
        self.role_ref == other.role_ref && self.subjects == other.subjects
    }
}

fn same_object(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    // What is there under a condition is no copy of what is there under another.
    a.template == b.template
        && a.kind == b.kind
        && a.effective_namespace() == b.effective_namespace()
        && a.name == b.name
        && a.embedded == b.embedded
        // What hides findings about the one does not hide those about the other.
        && a.annotation(IGNORE_ANNOTATION) == b.annotation(IGNORE_ANNOTATION)
}

/// `roleRef`. The server does not look at its `apiGroup` when it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRef {
    /// Role or ClusterRole; none for anything else, which is a role that does not exist.
    pub kind: Option<RoleKind>,
    /// `roleRef.name`.
    pub name: Text,
}

/// What a binding may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleKind {
    /// A role of the binding's own namespace.
    Role,
    /// A role of the cluster.
    ClusterRole,
}

/// A subject of a binding. Two are equal if they mean the same.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What the name names.
    pub kind: SubjectKind,
    /// Namespace of a service account: the RoleBinding's own where none is written, none in a ClusterRoleBinding
    /// without one (which never matches).
    pub namespace: Option<SmolStr>,
    /// The name.
    pub name: Text,
    /// Whether the namespace is the RoleBinding's own, because none is written.
    pub in_own_namespace: bool,
}

impl Subject {
    /// Returns the subject that a username is: a service account has one, too.
    pub(super) fn of_username(name: Text) -> Self {
        let account = name.value.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
        match account.map(|(namespace, name)| (SmolStr::new(namespace), SmolStr::new(name))) {
            Some((namespace, value)) => Self {
                kind: SubjectKind::ServiceAccount,
                namespace: Some(namespace),
                name: Text { value, ..name },
                in_own_namespace: false,
            },
            None => Self { kind: SubjectKind::User, namespace: None, name, in_own_namespace: false },
        }
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, &self.namespace, &self.name) == (&other.kind, &other.namespace, &other.name)
    }
}

impl Eq for Subject {}

/// The kinds of subjects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// A user, by name.
    User,
    /// All members of a group.
    Group,
    /// A service account.
    ServiceAccount,
    /// A kind that matches nobody, as written.
    Unknown(SmolStr),
}

impl SubjectKind {
    /// The kind as manifests spell it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServiceAccount => "ServiceAccount",
            Self::Unknown(kind) => kind,
        }
    }
}

impl Subject {
    /// `ServiceAccount "namespace/name"`, `Group "name"`, for messages.
    pub fn describe(&self) -> String {
        let (kind, name) = (abbreviate(self.kind.as_str()), abbreviate(self.name.as_str()));
        match &self.namespace {
            Some(namespace) => format!("{kind} \"{}/{name}\"", abbreviate(namespace)),
            None => format!("{kind} \"{name}\""),
        }
    }
}

/// An object of any of the four kinds.
#[derive(Debug, Clone)]
pub enum Object {
    /// A Role or a ClusterRole.
    Role(Role),
    /// A RoleBinding or a ClusterRoleBinding.
    Binding(Binding),
}

impl Object {
    /// What all objects have.
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Role(role) => &role.meta,
            Self::Binding(binding) => &binding.meta,
        }
    }
}
