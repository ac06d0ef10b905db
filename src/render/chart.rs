//! Charts: their files, sorted by what they are for, and their metadata.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use smol_str::SmolStr;

use super::archive;
use super::text::Origin;
use super::value::{Element, Kind, Map, Value};
use super::yaml_read::{self, Source};
use crate::syntax::folds_to;

/// A file that was read for a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path in the chart's directory. A file in a packed chart has that chart's path before its own.
    pub path: String,
    /// Its bytes.
    pub data: Arc<[u8]>,
}

/// A chart as it was loaded.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) metadata: Metadata,
    pub(super) values: Rc<Map>,
    pub(super) templates: Vec<File>,
    pub(super) files: Vec<File>,
    pub(super) dependencies: Vec<Chart>,
}

/// A file of a chart.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) file: u32,
    pub(super) data: Arc<[u8]>,
}

/// What `Chart.yaml` says.
#[derive(Debug, Clone, Default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) name_origin: Origin0,
    pub(super) version: String,
    pub(super) kube_version: String,
    pub(super) kind: String,
    pub(super) dependencies: Vec<Dependency>,
    api_version: String,
    texts: Vec<(&'static str, Value)>,
    lists: Vec<(&'static str, Value)>,
    maintainers: Vec<Value>,
    annotations: Option<Value>,
    deprecated: bool,
}

/// A place, none by default.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin0(pub(super) Origin);

impl Default for Origin0 {
    fn default() -> Self {
        Self(Origin::NONE)
    }
}

/// A chart that another one needs.
#[derive(Debug, Clone)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) version: String,
    repository: String,
    pub(super) condition: String,
    pub(super) tags: Vec<String>,
    pub(super) enabled: bool,
    pub(super) import_values: Vec<Value>,
    pub(super) alias: String,
}

/// Loads charts, and numbers their files.
pub(super) struct Loader {
    pub(super) files: Vec<SourceFile>,
    /// Bytes that may still be unpacked.
    pub(super) budget: u64,
    /// Whether charts that Helm rejects are rejected.
    pub(super) is_strict: bool,
    /// Problems found when they are not.
    pub(super) refused: Vec<String>,
}

/// How deep charts may be in charts.
const MAX_DEPTH: usize = 16;

impl Loader {
    /// Loads a chart of files with paths in its directory.
    pub(super) fn load(&mut self, files: Vec<(String, Vec<u8>)>, place: &str, depth: usize) -> Result<Chart, String> {
        if depth > MAX_DEPTH {
            return Err(format!("{place}: charts are nested too deeply"));
        }
        let mut metadata: Option<Metadata> = None;
        let mut values = Map::default();
        let (mut templates, mut others) = (Vec::new(), Vec::new());
        let mut requirements = None;
        let mut subcharts: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for (name, data) in files {
            if let Some(rest) = name.strip_prefix("charts/").filter(|rest| !rest.ends_with(".prov")) {
                let first = rest.split('/').next().unwrap_or(rest).to_owned();
                subcharts.entry(first).or_default().push((rest.to_owned(), data));
                continue;
            }
            let path = format!("{place}{name}");
            let number = super::text::to_u32(self.files.len());
            let data: Arc<[u8]> = data.into();
            self.files.push(SourceFile { path: path.clone(), data: Arc::clone(&data) });
            let in_file = |message: String| format!("{path}: {message}");
            if !self.is_strict && matches!(name.as_str(), "Chart.yaml" | "values.yaml" | "requirements.yaml") {
                let departure = yaml_read::departure(&String::from_utf8_lossy(&data));
                let refused = departure.map(|it| format!("readers may read {path} differently: {}", it.what));
                self.refused.extend(refused);
            }
            match name.as_str() {
                "Chart.yaml" => {
                    metadata = Some(Metadata::read(&String::from_utf8_lossy(&data), number).map_err(in_file)?);
                }
                "values.yaml" => {
                    values = yaml_read::read_values(&String::from_utf8_lossy(&data), number).map_err(in_file)?;
                }
                "Chart.lock" | "values.schema.json" => {}
                "requirements.yaml" => {
                    let read = Metadata::read(&String::from_utf8_lossy(&data), number).map_err(in_file)?;
                    requirements = Some(read.dependencies);
                    others.push(File { name, file: number, data });
                }
                _ if name.starts_with("templates/") => templates.push(File { name, file: number, data }),
                _ => others.push(File { name, file: number, data }),
            }
        }
        let Some(mut metadata) = metadata else { return Err(format!("{place}Chart.yaml is missing")) };
        metadata.dependencies.extend(requirements.into_iter().flatten());
        if self.is_strict {
            metadata.validate().map_err(|message| format!("{place}Chart.yaml: {message}"))?;
        }
        let mut dependencies = Vec::new();
        for (name, files) in subcharts {
            if name.starts_with(['_', '.']) {
                continue;
            }
            match self.subchart(&name, files, place, depth) {
                Ok(chart) => dependencies.extend(chart),
                Err(message) if self.is_strict => return Err(message),
                Err(message) => self.refused.push(message),
            }
        }
        Ok(Chart { metadata, values: Rc::new(values), templates, files: others, dependencies })
    }

    fn subchart(
        &mut self,
        name: &str,
        files: Vec<(String, Vec<u8>)>,
        place: &str,
        depth: usize,
    ) -> Result<Option<Chart>, String> {
        let inner = format!("{place}charts/{name}/");
        if name.ends_with(".tgz") {
            let Some((_, packed)) = files.into_iter().next() else { return Ok(None) };
            let files = archive::unpack(&packed, &mut self.budget)
                .map_err(|message| format!("{place}charts/{name} {message}"))?;
            return self.load(files, &inner, depth + 1).map(Some);
        }
        let files = files.into_iter().filter_map(|(path, data)| Some((path.split_once('/')?.1.to_owned(), data)));
        let files: Vec<_> = files.collect();
        self.load(files, &inner, depth + 1).map(Some)
    }
}

/// A scalar as a field that is text takes it.
fn scalar_text(value: &Value) -> String {
    match &value.kind {
        Kind::Text(text) => text.as_str().to_owned(),
        Kind::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        #[expect(clippy::cast_possible_truncation, reason = "Helm keeps that many digits")]
        Kind::Float(number) => format!("{}", *number as f32),
        Kind::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// The fields of `Chart.yaml` that are text: their names in templates and in the file.
const TEXTS: [(&str, &str); 11] = [
    ("Name", "name"),
    ("Home", "home"),
    ("Version", "version"),
    ("Description", "description"),
    ("Icon", "icon"),
    ("APIVersion", "apiVersion"),
    ("Condition", "condition"),
    ("Tags", "tags"),
    ("AppVersion", "appVersion"),
    ("KubeVersion", "kubeVersion"),
    ("Type", "type"),
];

impl Metadata {
    fn read(text: &str, file: u32) -> Result<Self, String> {
        let value = yaml_read::read(text, &Source::File(file, 0))?;
        let Kind::Map(map) = &value.kind else { return Err("is no mapping".to_owned()) };
        // Helm ignores the case of keys; an exact match wins.
        let folded = |name: &str| {
            let other = map.keys().into_iter().rfind(|key| folds_to(key, name));
            other.and_then(|key| map.get(&key))
        };
        let field = |name: &str| map.get(name).or_else(|| folded(name)).unwrap_or(Value::NIL);
        let text = |name: &str| Value::from(scalar_text(&field(name))).at(field(name).origin);
        let texts: Vec<_> = TEXTS.iter().map(|(name, key)| (*name, text(key))).collect();
        let list = |name: &str| {
            let items = field(name).as_list().map(|list| list.items.clone()).unwrap_or_default();
            Value::from(items.iter().map(|item| Value::from(scalar_text(item)).at(item.origin)).collect::<Vec<_>>())
        };
        let plain = |name: &str| scalar_text(&field(name));
        let items = |name: &str| field(name).as_list().map(|list| list.items.clone()).unwrap_or_default();
        let people = items("maintainers");
        let maintainers = people.iter().filter_map(|item| {
            let from = item.as_map()?;
            let map = Map::default();
            for (name, key) in [("Name", "name"), ("Email", "email"), ("URL", "url")] {
                let value = from.get(key).unwrap_or(Value::NIL);
                map.insert(name, Origin::NONE, Value::from(scalar_text(&value)).at(value.origin));
            }
            Some(map.into())
        });
        let annotations = field("annotations").as_map().map(|from| {
            let map = Map::of(Element::Text);
            for (key, entry) in from.snapshot() {
                map.insert(key, entry.key, Value::from(scalar_text(&entry.value)).at(entry.value.origin));
            }
            Value::from(map)
        });
        Ok(Self {
            name: plain("name"),
            name_origin: Origin0(field("name").origin),
            version: plain("version"),
            kube_version: plain("kubeVersion"),
            kind: plain("type"),
            dependencies: items("dependencies").iter().filter_map(Dependency::read).collect(),
            api_version: plain("apiVersion"),
            texts,
            lists: vec![("Sources", list("sources")), ("Keywords", list("keywords"))],
            maintainers: maintainers.collect(),
            annotations,
            deprecated: matches!(field("deprecated").kind, Kind::Bool(true)),
        })
    }

    fn validate(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("chart.metadata.name is required".to_owned());
        }
        if self.version.is_empty() {
            return Err("chart.metadata.version is required".to_owned());
        }
        if self.name.contains('/') || self.name == "." || self.name == ".." {
            return Err(format!("chart.metadata.name {:?} is invalid", self.name));
        }
        Ok(())
    }

    /// What templates see as `.Chart`.
    pub(super) fn to_value(&self, is_root: bool) -> Value {
        let map = Map::default();
        for (name, value) in &self.texts {
            map.set(*name, value.clone());
        }
        map.set("Name", Value::from(self.name.as_str()).at(self.name_origin.0));
        if self.api_version.is_empty() {
            map.set("APIVersion", "v1");
        }
        for (name, value) in &self.lists {
            map.set(*name, value.clone());
        }
        map.set("Maintainers", self.maintainers.clone());
        map.set("Annotations", self.annotations.clone().unwrap_or_else(|| Map::of(Element::Text).into()));
        map.set("Deprecated", self.deprecated);
        map.set("Dependencies", self.dependencies.iter().map(Dependency::to_value).collect::<Vec<_>>());
        map.set("IsRoot", is_root);
        map.into()
    }

    /// Whether it is a chart of helpers only.
    pub(super) fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }
}

impl Dependency {
    fn read(value: &Value) -> Option<Self> {
        let map = value.as_map()?;
        let text = |name: &str| map.get(name).map_or_else(String::new, |value| scalar_text(&value));
        let list =
            |name: &str| map.get(name).and_then(|value| Some(value.as_list()?.items.clone())).unwrap_or_default();
        Some(Self {
            name: text("name"),
            version: text("version"),
            repository: text("repository"),
            condition: text("condition"),
            tags: list("tags").iter().map(scalar_text).collect(),
            enabled: true,
            import_values: list("import-values"),
            alias: text("alias"),
        })
    }

    fn to_value(&self) -> Value {
        let map = Map::default();
        let texts = [("Name", &self.name), ("Version", &self.version), ("Repository", &self.repository)];
        for (name, text) in texts.into_iter().chain([("Condition", &self.condition), ("Alias", &self.alias)]) {
            map.set(name, text.as_str());
        }
        map.set("Tags", self.tags.iter().map(|tag| Value::from(tag.as_str())).collect::<Vec<_>>());
        map.set("Enabled", self.enabled);
        map.set("ImportValues", self.import_values.clone());
        map.into()
    }
}

impl Chart {
    /// Its name, or the alias under which it is used.
    pub(super) fn name(&self) -> SmolStr {
        SmolStr::new(&self.metadata.name)
    }
}
