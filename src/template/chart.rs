//! Charts: where they begin, and what their `values.yaml` says by default.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::syntax::{FieldOrigin, Node, NodeKind, ScalarType, parse_documents};

/// The file that makes a directory a chart.
const CHART: &str = "Chart.yaml";
/// The defaults of its values.
const VALUES: &str = "values.yaml";
/// Larger defaults are not read: they are for people.
const MAX_VALUES_BYTES: u64 = 4 << 20;
/// How many parts of the defaults are kept.
const MAX_PARTS: usize = 100_000;
/// How deep they are followed.
const MAX_DEPTH: usize = 32;
/// How far above a template its chart is looked for.
const MAX_LEVELS: usize = 16;

/// A value that is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// `null`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Arc<str>),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Literal]>),
    /// A mapping.
    Map(Arc<BTreeMap<String, Literal>>),
}

impl Literal {
    /// Whether a condition holds for it, as in Go templates: it is not empty.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => number.parse::<f64>() != Ok(0.0),
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }

    /// What a template writes for it; none for what has several parts.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Null => Some(String::new()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Number(text) | Self::Text(text) => Some(text.to_string()),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The texts of a list of texts.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        let Self::List(list) = self else { return None };
        list.iter()
            .map(|item| match item {
                Self::Text(text) => Some(text.to_string()),
                _ => None,
            })
            .collect()
    }

    fn of_node(node: Node<'_>, depth: usize, parts: &mut usize) -> Option<Self> {
        if depth > MAX_DEPTH || *parts == 0 {
            return None;
        }
        *parts -= 1;
        Some(match node.kind() {
            NodeKind::String(text) => Self::Text(text.into()),
            NodeKind::Other(ScalarType::Boolean) => {
                Self::Bool(matches!(node.source().to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "y"))
            }
            NodeKind::Other(ScalarType::Number) => Self::Number(node.source().into()),
            NodeKind::Other(_) => Self::Null,
            NodeKind::Sequence => {
                Self::List(node.items().map(|item| Self::of_node(item, depth + 1, parts)).collect::<Option<_>>()?)
            }
            NodeKind::Mapping => {
                let mut map = BTreeMap::new();
                let mut whole = true;
                node.visit_fields(&mut |key, entry, origin| {
                    if origin == FieldOrigin::Merged && map.contains_key(key) {
                        return;
                    }
                    match Self::of_node(entry.value, depth + 1, parts) {
                        Some(value) => drop(map.insert(key.to_owned(), value)),
                        None => whole = false,
                    }
                });
                whole.then_some(Self::Map(Arc::new(map)))?
            }
        })
    }
}

/// A chart.
#[derive(Debug)]
pub(crate) struct Chart {
    /// What its values are by default; none if that cannot be told.
    values: Option<Literal>,
}

impl Chart {
    pub(crate) fn of_values(values: &str) -> Self {
        let (trees, error) = parse_documents(values, 0, 1);
        let mut parts = MAX_PARTS;
        let values = match (trees.as_slice(), error) {
            ([], None) => Some(Literal::Map(Arc::default())),
            ([tree], None) => tree.root().and_then(|root| Literal::of_node(root, 0, &mut parts)),
            _ => None,
        };
        Self { values }
    }

    fn read(directory: &Path) -> Self {
        let path = directory.join(VALUES);
        // A link may lead anywhere.
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { return Self::of_values("") };
        let mut text = String::new();
        let readable = metadata.is_file()
            && metadata.len() <= MAX_VALUES_BYTES
            && std::fs::File::open(&path)
                .and_then(|file| file.take(MAX_VALUES_BYTES).read_to_string(&mut text))
                .is_ok();
        if readable { Self::of_values(&text) } else { Self { values: None } }
    }

    /// The default of `.Values.a.b`, given the path behind `.Values`. What is not there is null.
    pub(super) fn default(&self, path: &[&str]) -> Option<Literal> {
        let mut at = self.values.as_ref()?;
        for step in path {
            match at {
                Literal::Map(map) => match map.get(*step) {
                    Some(value) => at = value,
                    None => return Some(Literal::Null),
                },
                Literal::Null => return Some(Literal::Null),
                _ => return None,
            }
        }
        Some(at.clone())
    }
}

/// The directory of the chart to which a file belongs: the nearest one above it with a `Chart.yaml`.
fn chart_root(file: &Path) -> Option<&Path> {
    file.ancestors().skip(1).take(MAX_LEVELS).find(|directory| directory.join(CHART).is_file())
}

/// The charts of the files that are read, each read once.
#[derive(Debug, Default)]
pub(crate) struct Charts(Mutex<BTreeMap<PathBuf, Arc<OnceLock<Arc<Chart>>>>>);

impl Charts {
    /// The chart to which a file belongs, if it belongs to one.
    pub(crate) fn of(&self, file: &Path) -> Option<Arc<Chart>> {
        let root = chart_root(file)?;
        // Who comes while it is read waits for it, and for no other.
        let mut charts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let chart = Arc::clone(charts.entry(root.to_owned()).or_default());
        drop(charts);
        Some(Arc::clone(chart.get_or_init(|| Arc::new(Chart::read(root)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_looked_up_by_their_path() {
        let chart = Chart::of_values("a:\n  b: [p, q]\n  c: 0\n  d: no\n");
        assert_eq!(chart.default(&["a", "b"]).unwrap().texts().unwrap(), ["p", "q"]);
        assert!(!chart.default(&["a", "c"]).unwrap().is_true());
        assert!(!chart.default(&["a", "d"]).unwrap().is_true());
        assert_eq!(chart.default(&["a", "e", "f"]), Some(Literal::Null));
        assert_eq!(chart.default(&["a", "b", "c"]), None);
        assert_eq!(Chart::of_values("a: [\n").default(&["a"]), None);
        // A mapping within itself.
        Chart::of_values("a: &a\n  <<: *a\n");
    }
}
