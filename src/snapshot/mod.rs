//! A cluster's RBAC as one text: what `snapshot` prints, and what every command reads of a live cluster.
//!
//! One YAML document for the cluster itself ([`ClusterFacts`]), one for each object, sorted by kind, namespace and name.
//! What a server adds (versions, times, managed fields) is left out, so that two snapshots differ where the grants do.

mod object;
mod redact;

pub use object::{ListedMetadata, ListedObject};
pub use redact::{Key, Redactor};

use std::ops::Range;

use smol_str::SmolStr;

use crate::inventory::{ClusterFacts, ObjectKind};
use crate::syntax::Style;

/// A cluster as it was when it was read.
#[derive(Debug)]
pub struct Snapshot {
    /// What is known of the cluster.
    pub facts: ClusterFacts,
    /// How many objects there are.
    pub objects: usize,
    /// All of it.
    pub text: String,
}

/// The objects of one kind, as text: there may be hundreds of thousands.
pub(crate) struct Documents<'r> {
    kind: ObjectKind,
    redactor: Option<&'r Redactor>,
    text: String,
    index: Vec<(SmolStr, SmolStr, Range<usize>)>,
}

impl<'r> Documents<'r> {
    /// None yet; their names will be redacted if there is a redactor.
    pub(crate) fn new(kind: ObjectKind, redactor: Option<&'r Redactor>) -> Self {
        Self { kind, redactor, text: String::new(), index: Vec::new() }
    }

    /// Adds an object that a server listed.
    pub(crate) fn push(&mut self, mut object: ListedObject) {
        if let Some(redactor) = self.redactor {
            redactor.redact(&mut object);
        }
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let name = object.metadata.name.clone();
        let start = self.text.len();
        self.text.push_str("---\n");
        self.text.push_str(&Style::default().block(&object.into_value(self.kind), 0));
        self.index.push((namespace, name, start..self.text.len()));
    }

    /// Forgets all objects.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.index.clear();
    }
}

impl Snapshot {
    /// A snapshot of what was listed, in the order of the kinds given.
    pub(crate) fn new(facts: ClusterFacts, kinds: Vec<Documents<'_>>) -> Self {
        let mut text = Style::default().block(&facts.to_value(), 0);
        text.reserve_exact(kinds.iter().map(|documents| documents.text.len()).sum());
        let mut objects = 0;
        for mut documents in kinds {
            objects += documents.index.len();
            documents.index.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
            text.extend(documents.index.iter().filter_map(|(.., range)| documents.text.get(range.clone())));
        }
        Self { facts, objects, text }
    }
}
