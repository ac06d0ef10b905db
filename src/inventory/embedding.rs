//! Where an object is written that stands in another one.

use std::fmt::Write as _;

use smol_str::SmolStr;

use super::object::abbreviate;
use crate::syntax::{Node, NodeKind, Place};

/// The object, task or patch in which RBAC is written, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Embedding {
    /// How it is written.
    pub form: Form,
    /// In what.
    pub carrier: Carrier,
    /// Where in it: `spec.rules`, `data["rbac.yaml"]`.
    pub route: String,
}

/// How RBAC is written in another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// A whole manifest, that someone applies.
    Manifest,
    /// A list of rules, of which a controller makes a role.
    Rules,
    /// A patch of a role that stands elsewhere.
    Patch,
}

impl Form {
    /// The form as the JSON output has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Rules => "rules",
            Self::Patch => "patch",
        }
    }
}

/// What carries RBAC.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// `apiVersion` as written; empty for what is no Kubernetes object.
    pub api_version: SmolStr,
    /// `kind` as written; for what is no Kubernetes object, what it is.
    pub kind: SmolStr,
    /// `metadata.namespace` as written.
    pub namespace: Option<SmolStr>,
    /// `metadata.name`; empty where there is none.
    pub name: SmolStr,
    /// Where the name stands; the whole carrier where there is none.
    pub(crate) place: Place,
}

/// What a block of a template is called.
const BLOCK: &str = "template block";

impl Carrier {
    fn key(&self) -> (&SmolStr, &SmolStr, Option<&SmolStr>, &SmolStr) {
        (&self.api_version, &self.kind, self.namespace.as_ref(), &self.name)
    }

    /// What carries RBAC without being a Kubernetes object.
    pub(super) fn other(kind: &str, name: Option<Node<'_>>, node: Node<'_>) -> Self {
        let named = name.filter(|name| matches!(name.kind(), NodeKind::String(_)));
        let start = || {
            let place = node.place();
            place.start()
        };
        Self {
            api_version: SmolStr::default(),
            kind: SmolStr::new(kind),
            namespace: None,
            name: name.and_then(Node::as_str).map(SmolStr::new).unwrap_or_default(),
            place: named.map_or_else(start, Node::place),
        }
    }

    /// A block of a template that stands where it is called.
    pub(super) fn block(name: &str, node: Node<'_>) -> Self {
        Self { name: SmolStr::new(name), ..Self::other(BLOCK, None, node) }
    }

    /// Its name, if it is a block of a template.
    pub(super) fn block_name(&self) -> Option<&str> {
        (self.api_version.is_empty() && self.kind == BLOCK).then_some(self.name.as_str())
    }

    /// `ConfigMap "namespace/name"`, for messages.
    pub fn describe(&self) -> String {
        match &self.namespace {
            _ if self.name.is_empty() => format!("this {}", abbreviate(&self.kind)),
            Some(namespace) => {
                format!("{} \"{}/{}\"", abbreviate(&self.kind), abbreviate(namespace), abbreviate(&self.name))
            }
            None => format!("{} \"{}\"", abbreviate(&self.kind), abbreviate(&self.name)),
        }
    }

    /// The API group.
    pub(super) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// Two are the same if they name the same object, wherever it stands.
impl PartialEq for Carrier {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Carrier {}

impl PartialOrd for Carrier {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Carrier {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::hash::Hash for Carrier {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Embedding {
    /// Where it is written: `in ConfigMap "a", at data["b.yaml"]`.
    pub fn describe(&self) -> String {
        match self.route.as_str() {
            "" => format!("in {}", self.carrier.describe()),
            route => format!("in {}, at {}", self.carrier.describe(), abbreviate(route)),
        }
    }

    /// The same in short, for lists.
    pub fn reference(&self) -> String {
        let kind = abbreviate(&self.carrier.kind);
        if self.carrier.name.is_empty() {
            kind.into_owned()
        } else {
            format!("{kind}/{}", abbreviate(&self.carrier.name))
        }
    }
}

/// Adds a key to a route.
pub(super) fn push_key(route: &mut String, key: &str) {
    if !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        if !route.is_empty() {
            route.push('.');
        }
        route.push_str(key);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(route, "[{:?}]", abbreviate(key));
    }
}

/// Adds an index to a route.
pub(super) fn push_index(route: &mut String, index: usize) {
    let _ = write!(route, "[{index}]");
}
