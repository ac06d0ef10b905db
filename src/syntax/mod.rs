//! Bytes to trees: one YAML or JSON document becomes a [`Tree`] in which every scalar knows the
//! exact place it has in the file on disk.
//!
//! The parser behind it (`granit-parser`) is used nowhere else. This room knows YAML and the way
//! Kubernetes clients read it (`sigs.k8s.io/yaml`: YAML 1.1 scalars, merge keys, last key wins);
//! it knows nothing about Kubernetes objects.

mod parse;
mod place;
mod scalar;
mod tree;

pub use parse::{SyntaxError, parse_documents};
pub use place::Place;
pub(crate) use place::line_breaks;
pub use scalar::ScalarType;
pub use tree::{Entry, FieldOrigin, Node, NodeKind, Tree};
