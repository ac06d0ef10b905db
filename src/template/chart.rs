//! Charts: where they begin, and what their `values.yaml` says by default.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::syntax::{FieldOrigin, Node, NodeKind, ScalarType, parse_documents};

/// The file that makes a directory a chart.
const CHART: &str = "Chart.yaml";
/// The directory below it in which everything is a template.
const TEMPLATES: &str = "templates";
/// The defaults of its values.
const VALUES: &str = "values.yaml";
/// The directory in which a chart has others.
const SUBCHARTS: &str = "charts";
/// The values that a chart shares with those in it.
const GLOBAL: &str = "global";
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

    /// Puts what a parent chart says in the place of what a chart says itself.
    fn overridden(self, by: &Self) -> Self {
        let (Self::Map(own), Self::Map(others)) = (&self, by) else { return by.clone() };
        let mut map = (**own).clone();
        for (key, value) in others.iter() {
            let value = match map.remove(key) {
                Some(own) => own.overridden(value),
                None => value.clone(),
            };
            map.insert(key.clone(), value);
        }
        Self::Map(Arc::new(map))
    }

    fn field(&self, key: &str) -> Option<&Self> {
        if let Self::Map(map) = self { map.get(key) } else { None }
    }

    fn of_node(node: Node<'_>, depth: usize, parts: &mut usize) -> Option<Self> {
        if depth > MAX_DEPTH || *parts == 0 {
            return None;
        }
        *parts -= 1;
        Some(match node.kind() {
            NodeKind::String(text) => Self::Text(text.into()),
            NodeKind::Other(ScalarType::Boolean) => Self::Bool(node.is_yes()),
            NodeKind::Other(ScalarType::Number) => Self::Number(node.written().into()),
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
    /// Its directory.
    root: PathBuf,
    /// What its values are by default; none if that cannot be told.
    values: Option<Literal>,
}

impl Chart {
    #[cfg(test)]
    pub(crate) fn of_values(values: &str) -> Self {
        Self { root: PathBuf::new(), values: literal(values) }
    }

    fn read(directory: &Path) -> Self {
        Self { root: directory.to_owned(), values: values_of(directory, 0) }
    }

    /// Whether a file is rendered: it stands among the chart's templates.
    pub(crate) fn renders(&self, file: &Path) -> bool {
        file.strip_prefix(&self.root).is_ok_and(|inside| inside.starts_with(TEMPLATES))
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

/// What a YAML file says; nothing if it is empty, none if that cannot be told.
fn literal(text: &str) -> Option<Literal> {
    let (trees, error) = parse_documents(text, 0, 1);
    let mut parts = MAX_PARTS;
    match (trees.as_slice(), error) {
        ([], None) => Some(Literal::Map(Arc::default())),
        ([tree], None) => tree.root().and_then(|root| Literal::of_node(root, 0, &mut parts)),
        _ => None,
    }
}

fn literal_file(path: &Path) -> Option<Literal> {
    // A link may lead anywhere.
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return literal("") };
    if !metadata.is_file() || metadata.len() > MAX_VALUES_BYTES {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(MAX_VALUES_BYTES).read_to_string(&mut text).ok()?;
    literal(&text)
}

/// The values of a chart by default: its own, and what charts say in which it is (Helm's `ToRenderValues`, `coalesce.go`).
fn values_of(directory: &Path, depth: usize) -> Option<Literal> {
    let own = literal_file(&directory.join(VALUES))?;
    let around = directory.parent().filter(|charts| charts.ends_with(SUBCHARTS)).and_then(Path::parent);
    let Some(parent) = around.filter(|parent| depth < MAX_LEVELS && parent.join(CHART).is_file()) else {
        return Some(own);
    };
    let name = literal_file(&directory.join(CHART))?.field("name").and_then(Literal::text)?;
    let chart = literal_file(&parent.join(CHART))?;
    // Under another name it has other values, and may be there several times.
    let is_renamed = |dependency: &Literal| {
        dependency.field("alias").is_some_and(Literal::is_true)
            && dependency.field("name").and_then(Literal::text).is_none_or(|known| known == name)
    };
    if let Some(Literal::List(dependencies)) = chart.field("dependencies")
        && dependencies.iter().any(is_renamed)
    {
        return None;
    }
    let outer = values_of(parent, depth + 1)?;
    let given = outer.field(&name).cloned().map_or(own.clone(), |given| own.overridden(&given));
    let global = outer.field(GLOBAL).filter(|global| global.is_true()).cloned();
    let global = global.map(|global| Literal::Map(Arc::new(BTreeMap::from([(GLOBAL.to_owned(), global)]))));
    Some(global.map_or(given.clone(), |global| given.overridden(&global)))
}

/// The directory of the chart to which a file belongs: the nearest one above it with a `Chart.yaml`.
pub(crate) fn chart_root(file: &Path) -> Option<&Path> {
    file.ancestors().skip(1).take(MAX_LEVELS).find(|directory| directory.join(CHART).is_file())
}

/// The charts of the files that are read, each read once.
#[derive(Debug, Default)]
pub(crate) struct Charts(Mutex<BTreeMap<PathBuf, Arc<OnceLock<Arc<Chart>>>>>);

impl Charts {
    /// The chart to which a file belongs, if it belongs to one.
    pub(crate) fn of(&self, file: &Path) -> Option<Arc<Chart>> {
        // It may lie above what was given.
        let file = file.canonicalize().ok()?;
        let root = chart_root(&file)?;
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
        let chart = Chart::of_values("a:\n  b: [p, q]\n  c: 0\n  d: no\n  y: &y On\n  f: *y\n");
        assert_eq!(chart.default(&["a", "f"]), Some(Literal::Bool(true)));
        assert_eq!(chart.default(&["a", "b"]).unwrap().texts().unwrap(), ["p", "q"]);
        assert!(!chart.default(&["a", "c"]).unwrap().is_true());
        assert!(!chart.default(&["a", "d"]).unwrap().is_true());
        assert_eq!(chart.default(&["a", "e", "f"]), Some(Literal::Null));
        assert_eq!(chart.default(&["a", "b", "c"]), None);
        assert_eq!(Chart::of_values("a: [\n").default(&["a"]), None);
        let (own, outer) = (literal("a: {b: 1, c: 2}\nd: [e]\n").unwrap(), literal("a: {b: 3}\nd: [f]\n").unwrap());
        let both = own.overridden(&outer);
        assert_eq!(both, literal("a: {b: 3, c: 2}\nd: [f]\n").unwrap());
        // A mapping within itself.
        Chart::of_values("a: &a\n  <<: *a\n");
    }
}
