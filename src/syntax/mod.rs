//! Bytes to trees: one YAML or JSON document becomes a [`Tree`] in which every scalar knows the
//! exact place it has in the file on disk. And back: values to text, edits of a text that leave the
//! rest of it alone.
//!
//! The parser behind it (`granit-parser`) is used nowhere else. This room knows YAML and the way
//! Kubernetes clients read it (`sigs.k8s.io/yaml`: YAML 1.1 scalars, merge keys, last key wins);
//! it knows nothing about Kubernetes objects.

mod deceptive;
pub mod edit;
mod fold;
mod nested;
mod parse;
mod place;
mod plain;
mod scalar;
mod style;
mod tree;
mod write;

pub use deceptive::{is_deceptive, needs_no_escape, to_escape};
pub use fold::folds_to;
pub use nested::{PlaceMap, Point, Stretch, parse_made, parse_nested};
pub use parse::{SyntaxError, parse_documents, parse_masked};
pub use place::Place;
pub(crate) use place::{LineIndex, Positions, line_breaks, to_u32};
pub use plain::Departure;
pub use scalar::ScalarType;
pub use style::line_end;
pub(crate) use tree::BASE64;
pub use tree::{Entry, FieldOrigin, Node, NodeKind, ScalarForm, Tree};
pub use write::{Form, JsonStyle, Quotes, Style, Value, scalar};
