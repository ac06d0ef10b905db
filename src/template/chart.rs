//! Charts: where they begin, and what their `values.yaml` says by default.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::changes::Changes;
use crate::source::{line_breaks_of_go, split_documents};
use crate::syntax::{FieldOrigin, Node, NodeKind, ScalarType, folds_to, parse_documents};

/// The file that makes a directory a chart.
const CHART: &str = "Chart.yaml";
/// The directory below it in which everything is a template.
const TEMPLATES: &str = "templates";
/// Where older charts say what they depend on.
const REQUIREMENTS: &str = "requirements.yaml";
/// The defaults of its values.
pub(super) const VALUES: &str = "values.yaml";
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
/// How many charts in charts are looked at, all in all, before the values of the outermost are not known.
const MAX_CHARTS: usize = 200;
/// How far above a template its chart is looked for.
const MAX_LEVELS: usize = 64;

/// Methods of Helm's type of values, which are called like keys (`chart/common/values.go`).
pub(super) const METHODS: [&str; 5] = ["AsMap", "YAML", "Table", "PathValue", "Encode"];

/// Words without one of which nothing is granted.
const GRANTING: [&str; 3] = ["verbs", "roleRef", "impersonate"];

/// Whether a text that is not understood may hold RBAC. Much that is no manifest is written in strings.
pub(crate) fn may_grant(text: &str) -> bool {
    granting_word(text.as_bytes()).is_some()
}

/// The first word in some bytes for which they may hold RBAC, the verb itself before others, and where it stands.
pub(crate) fn granting_word(bytes: &[u8]) -> Option<(usize, &'static str)> {
    GRANTING.iter().rev().find_map(|word| Some((memchr::memmem::find(bytes, word.as_bytes())?, *word)))
}

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
    /// Something that cannot be told. A part of a value only: no expression has it.
    Unknown,
}

impl Literal {
    /// Whether a condition holds for it, as in Go templates: it is not empty.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => !is_zero(number),
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Unknown => true,
        }
    }

    /// Whether RBAC may be written from it: a part of it is called like a part of that, or says so.
    pub(super) fn may_grant(&self) -> bool {
        match self {
            Self::Text(text) => may_grant(text),
            Self::List(list) => list.iter().any(Self::may_grant),
            Self::Map(map) => map.iter().any(|(key, value)| may_grant(key) || value.may_grant()),
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
            Self::Unknown => true,
        }
    }

    /// What a template writes for it; none for what has several parts.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Null => Some(String::new()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Number(text) | Self::Text(text) => Some(text.to_string()),
            Self::List(_) | Self::Map(_) | Self::Unknown => None,
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

    /// Puts what a parent chart says in the place of what a chart says itself. What a parent sets to null is gone in Helm 3,
    /// and stays in Helm 4.
    fn overridden(self, by: &Self) -> Self {
        if *by == Self::Null {
            return if self == Self::Null { Self::Null } else { Self::Unknown };
        }
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

    /// Calls `visit` with each text in it, keys too.
    pub(super) fn visit_texts(&self, visit: &mut dyn FnMut(&str)) {
        match self {
            Self::Text(text) => visit(text),
            Self::List(list) => list.iter().for_each(|item| item.visit_texts(visit)),
            Self::Map(map) => map.iter().for_each(|(key, value)| {
                visit(key);
                value.visit_texts(visit);
            }),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Unknown => {}
        }
    }

    /// The value behind some keys. What is not there is null.
    fn at(&self, path: &[&str]) -> Option<Self> {
        let mut at = self;
        for step in path {
            match at {
                Self::Map(map) => match map.get(*step) {
                    Some(value) => at = value,
                    None => return Some(Self::Null),
                },
                Self::Null => return Some(Self::Null),
                _ => return None,
            }
        }
        (*at != Self::Unknown).then(|| at.clone())
    }

    fn field(&self, key: &str) -> Option<&Self> {
        if let Self::Map(map) = self { map.get(key) } else { None }
    }

    /// Whether a key is there that Helm takes for this one, though it is spelled otherwise.
    fn is_misspelled(&self, name: &str) -> bool {
        matches!(self, Self::Map(map) if map.keys().any(|key| key != name && folds_to(key, name)))
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
                    // Helm reads JSON, where `on` is the key `true`.
                    let is_text = matches!(entry.key.kind(), NodeKind::String(_));
                    if !is_text || (origin == FieldOrigin::Merged && map.contains_key(key)) {
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
    /// Where it stands.
    directory: Option<PathBuf>,
    /// The directory of the chart around it that is in no other one: all charts there share their blocks.
    outermost: Arc<str>,
    /// What its values are by default, before its code changes any; none if that cannot be told.
    values: Option<Literal>,
    /// What its own file says. Few ask.
    own: OnceLock<Option<Literal>>,
    /// What its code changes of them, and what they are then. Few ask.
    changed: OnceLock<(Changes, Option<Literal>)>,
    /// Whether RBAC may be written from some of them.
    grants: bool,
}

impl Chart {
    #[cfg(test)]
    pub(crate) fn of_values(values: &str) -> Self {
        Self::new(None, literal(values))
    }

    fn new(directory: Option<PathBuf>, values: Option<Literal>) -> Self {
        let grants = values.as_ref().is_none_or(Literal::may_grant);
        let outermost = directory.as_deref().map(|directory| outermost(directory).to_string_lossy());
        let outermost = Arc::from(outermost.unwrap_or_default());
        Self { directory, outermost, values, own: OnceLock::new(), changed: OnceLock::new(), grants }
    }

    /// What the code of the chart, of those in it and of those around it changes, and the values then.
    fn changed(&self) -> &(Changes, Option<Literal>) {
        self.changed.get_or_init(|| {
            let changes = self.directory.as_deref().map(|directory| Changes::below(outermost(directory)));
            let changes = changes.unwrap_or_default();
            let values = self.values.as_ref().map(|values| changes.applied_to(values));
            (changes, values)
        })
    }

    /// The directory of the chart around it that is in no other one.
    pub(crate) fn outermost(&self) -> &Arc<str> {
        &self.outermost
    }

    /// Whether it is known what its values are by default, before its code changes any.
    pub(crate) fn has_known_values(&self) -> bool {
        self.values.is_some()
    }

    /// Whether RBAC may be written from its values.
    pub(crate) fn may_grant(&self) -> bool {
        self.grants
    }

    /// Whether code may change a value on the way to `.Values.a.b`, given the path behind `.Values`.
    pub(super) fn may_change(&self, path: &[&str]) -> bool {
        self.changed().0.touch(path)
    }

    /// The default of `.Values.a.b`, given the path behind `.Values`. What is not there is null.
    pub(super) fn default(&self, path: &[&str]) -> Option<Literal> {
        let (changes, values) = self.changed();
        let is_method = path.first().is_some_and(|step| METHODS.contains(step));
        if changes.touch(path) || is_method {
            return None;
        }
        let value = values.as_ref()?.at(path)?;
        // More may have been put into it.
        let is_whole = !matches!(value, Literal::Map(_)) || !path.last().is_some_and(|key| changes.add_to(key));
        is_whole.then_some(value)
    }

    /// What `.Values.a.b` is before any code changes it; where the values cannot be told, what the chart's own file says.
    pub(super) fn written(&self, path: &[&str]) -> Option<Literal> {
        let own = || self.own.get_or_init(|| literal_file(&self.directory.as_ref()?.join(VALUES)));
        let value = self.values.as_ref().and_then(|values| values.at(path));
        value.or_else(|| own().as_ref()?.at(path))
    }
}

/// What a YAML file says; nothing if it is empty, none if that cannot be told.
pub(super) fn literal(text: &str) -> Option<Literal> {
    // What Helm may read otherwise cannot be told.
    if matches!(line_breaks_of_go(text), Cow::Owned(_)) {
        return None;
    }
    let mut trees = Vec::new();
    for piece in split_documents(text.as_bytes()) {
        let (found, error) = parse_documents(text.get(piece.range)?, 0, 1);
        if error.is_some() || found.iter().any(|tree| tree.departure().is_some()) {
            return None;
        }
        trees.extend(found);
    }
    let mut parts = MAX_PARTS;
    // What Helm makes of several documents is not known.
    match trees.as_slice() {
        [] => Some(Literal::Map(Arc::default())),
        [tree] => tree.root().and_then(|root| Literal::of_node(root, 0, &mut parts)),
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

/// Whether a number is zero: all its digits are.
fn is_zero(number: &str) -> bool {
    let number = number.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let (digits, of) = match number.strip_prefix("0x") {
        Some(digits) => (digits, "0_"),
        None => (number.trim_start_matches("0b").trim_start_matches("0o").split('e').next().unwrap_or_default(), "0_."),
    };
    !number.is_empty() && digits.chars().all(|digit| of.contains(digit))
}

/// What a chart depends on, as far as it changes values.
#[derive(Default)]
struct Dependencies {
    /// Those that have values under another name, with that name.
    renamed: Vec<(String, String)>,
    /// Whether values of one are put elsewhere.
    imports: bool,
}

impl Dependencies {
    /// From `Chart.yaml`, and `requirements.yaml` of older charts. None if that cannot be told.
    fn of(directory: &Path) -> Option<Self> {
        let mut all = Self::default();
        for name in [CHART, REQUIREMENTS] {
            let file = literal_file(&directory.join(name))?;
            if file.is_misspelled("dependencies") {
                return None;
            }
            let Some(Literal::List(list)) = file.field("dependencies") else { continue };
            for dependency in list.iter() {
                if ["name", "alias", "import-values"].into_iter().any(|key| dependency.is_misspelled(key)) {
                    return None;
                }
                let text = |key: &str| dependency.field(key).filter(|value| value.is_true()).and_then(Literal::text);
                all.imports |= dependency.field("import-values").is_some_and(Literal::is_true);
                if let Some(alias) = text("alias") {
                    all.renamed.push((text("name")?, alias));
                }
            }
        }
        Some(all)
    }
}

/// The values of a chart by default: its own, those of the charts in it, and what charts say in which it is (Helm's
/// `coalesce.go`).
fn values_of(directory: &Path) -> Option<Literal> {
    let whole = values_below(directory, &mut { MAX_CHARTS })?;
    let Some(parent) = around(directory) else { return Some(whole) };
    let name = name_of(directory)?;
    let dependencies = Dependencies::of(parent)?;
    // Under another name it has other values, and may be there several times.
    if dependencies.imports || dependencies.renamed.iter().any(|(known, _)| *known == name) {
        return None;
    }
    let outer = values_of(parent)?;
    let given = outer.field(&name).cloned().unwrap_or(whole);
    let global = outer.field(GLOBAL).filter(|global| global.is_true()).cloned();
    let global = global.map(|global| Literal::Map(Arc::new(BTreeMap::from([(GLOBAL.to_owned(), global)]))));
    Some(global.map_or(given.clone(), |global| given.overridden(&global)))
}

/// The values of a chart that is in no other one, with those of the charts in it under their names.
fn values_below(directory: &Path, left: &mut usize) -> Option<Literal> {
    *left = left.checked_sub(1)?;
    if is_left_out(directory) {
        return None;
    }
    let own = literal_file(&directory.join(VALUES))?;
    let dependencies = Dependencies::of(directory)?;
    if dependencies.imports {
        return None;
    }
    let mut inner = BTreeMap::new();
    let charts = std::fs::read_dir(directory.join(SUBCHARTS)).into_iter().flatten().flatten().map(|entry| entry.path());
    for chart in charts.filter(|chart| chart.join(CHART).is_file()) {
        if *left == 0 {
            return None;
        }
        if let Some(name) = name_of(&chart) {
            inner.insert(name, values_below(&chart, left).unwrap_or(Literal::Unknown));
        }
    }
    inner.extend(dependencies.renamed.into_iter().map(|(_, alias)| (alias, Literal::Unknown)));
    let own = match own {
        Literal::Map(own) => own,
        Literal::Null => Arc::default(),
        other => return Some(other),
    };
    // What is not known stays so, whatever the chart says.
    let own = own.iter().filter(|(key, _)| inner.get(*key) != Some(&Literal::Unknown));
    let own = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    Some(Literal::Map(Arc::new(inner)).overridden(&Literal::Map(Arc::new(own))))
}

fn name_of(directory: &Path) -> Option<String> {
    let file = literal_file(&directory.join(CHART))?;
    file.field("name").filter(|_| !file.is_misspelled("name")).and_then(Literal::text)
}

/// Whether Helm does not see a chart's values, because `.helmignore` says so.
fn is_left_out(directory: &Path) -> bool {
    let text = std::fs::read(directory.join(".helmignore")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut patterns = text.lines().map(|line| line.trim().trim_start_matches('/'));
    patterns.any(|pattern| {
        pattern.starts_with("values.")
            || pattern.starts_with("values*")
            || ["*", "*.yaml", "*.*", "v*"].contains(&pattern)
    })
}

/// The directory of the chart to which a file belongs: the nearest one above it with a `Chart.yaml`, unless that is itself
/// among the templates of another one.
pub(crate) fn chart_root(file: &Path) -> Option<&Path> {
    let mut charts = file.ancestors().skip(1).take(MAX_LEVELS).filter(|directory| directory.join(CHART).is_file());
    let nearest = charts.next()?;
    let is_template_of = |outer: &&Path| nearest.strip_prefix(outer).is_ok_and(|inside| inside.starts_with(TEMPLATES));
    Some(charts.find(is_template_of).unwrap_or(nearest))
}

/// The file that describes the chart to which a file belongs.
pub(crate) fn chart_file(file: &Path) -> Option<PathBuf> {
    Some(chart_root(file)?.join(CHART))
}

/// The chart in which a chart is.
fn around(directory: &Path) -> Option<&Path> {
    let parent = directory.parent().filter(|charts| charts.ends_with(SUBCHARTS)).and_then(Path::parent);
    parent.filter(|parent| parent.join(CHART).is_file())
}

/// The chart around a chart that is in no other one.
fn outermost(directory: &Path) -> &Path {
    std::iter::successors(Some(directory), |directory| around(directory)).last().unwrap_or(directory)
}

/// The charts of the files that are read, each read once.
#[derive(Debug, Default)]
pub(crate) struct Charts(Mutex<BTreeMap<PathBuf, Arc<OnceLock<Arc<Chart>>>>>);

impl Charts {
    /// The chart to which a file belongs, if it belongs to one, and whether the file is rendered: it stands among the chart's
    /// templates.
    pub(crate) fn of(&self, file: &Path) -> Option<(Arc<Chart>, bool)> {
        // It may lie above what was given.
        let file = file.canonicalize().ok()?;
        let root = chart_root(&file)?;
        // Who comes while it is read waits for it, and for no other.
        let mut charts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let chart = Arc::clone(charts.entry(root.to_owned()).or_default());
        drop(charts);
        let chart = chart.get_or_init(|| Arc::new(Chart::new(Some(root.to_owned()), values_of(root))));
        let is_rendered = file.strip_prefix(root).is_ok_and(|inside| inside.starts_with(TEMPLATES));
        Some((Arc::clone(chart), is_rendered))
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
