//! A cluster's RBAC as one text: what `snapshot` prints, and what every command reads of a live cluster.
//!
//! One YAML document for the cluster itself ([`ClusterFacts`]), one for each object, sorted by kind, namespace and name.
//! What a server adds (versions, times, managed fields) is left out, so that two snapshots differ where the grants do.

mod object;
mod redact;

pub use object::ListedObject;
pub use redact::{Key, Redactor};

use crate::inventory::{ClusterFacts, ObjectKind};
use crate::syntax::Style;

/// An object as a snapshot has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotObject {
    namespace: String,
    name: String,
    document: String,
}

impl SnapshotObject {
    /// An object that a server listed, with its names redacted if there is a redactor.
    pub fn new(kind: ObjectKind, mut object: ListedObject, redactor: Option<&Redactor>) -> Self {
        if let Some(redactor) = redactor {
            redactor.redact(&mut object);
        }
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default().to_owned();
        let name = object.metadata.name.to_string();
        Self { namespace, name, document: Style::default().block(&object.into_value(kind), 0) }
    }
}

/// The text of a snapshot, from the objects of each kind.
pub fn text(facts: &ClusterFacts, mut objects: Vec<(ObjectKind, Vec<SnapshotObject>)>) -> String {
    const SEPARATOR: &str = "---\n";
    let head = Style::default().block(&facts.to_value(), 0);
    let documents = objects.iter().flat_map(|(_, objects)| objects);
    let length: usize = documents.map(|object| SEPARATOR.len() + object.document.len()).sum();
    let mut text = String::with_capacity(head.len() + length);
    text.push_str(&head);
    objects.sort_by_key(|(kind, _)| *kind);
    for (_, mut objects) in objects {
        objects.sort();
        for object in objects {
            text.push_str(SEPARATOR);
            text.push_str(&object.document);
        }
    }
    text
}
