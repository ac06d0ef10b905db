//! Values with methods: `.Files`, `.Capabilities`, versions.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smol_str::SmolStr;

use super::capabilities::Capabilities;
use super::glob::Glob;
use super::semver::Version;
use super::text::{GuardId, Marked, Origin, to_u32};
use super::value::{Element, Kind, List, Map, Value};
use super::yaml_write;

/// A value with methods.
#[derive(Debug, Clone)]
pub enum Object {
    /// The files of a chart that are no templates.
    Files(Rc<Files>),
    /// What the cluster can do.
    Capabilities(Rc<Capabilities>),
    /// The version of Kubernetes.
    KubeVersion(Rc<Capabilities>),
    /// The versions of APIs.
    ApiVersions(Rc<Capabilities>),
    /// The version of Helm.
    HelmVersion(Rc<Capabilities>),
    /// A semantic version.
    Version(Rc<Version>),
}

/// Files by their paths in the chart.
#[derive(Debug, Default)]
pub struct Files {
    files: BTreeMap<SmolStr, FileData>,
}

/// The bytes of a file, and which of the renderer's files it is.
#[derive(Debug, Clone)]
pub struct FileData {
    /// Its index.
    pub file: u32,
    /// Its bytes.
    pub data: Arc<[u8]>,
}

impl FileData {
    fn text(&self) -> Value {
        let text = String::from_utf8_lossy(&self.data);
        let origin = Origin { file: self.file, start: 0, end: to_u32(self.data.len()) };
        Value::from(text.as_ref()).at(origin)
    }
}

impl Files {
    /// Files by their paths.
    pub fn new(files: BTreeMap<SmolStr, FileData>) -> Self {
        Self { files }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Each file with its path.
    pub fn entries(&self) -> Vec<(SmolStr, Value)> {
        let entries = self.files.iter();
        entries.map(|(name, file)| (name.clone(), Kind::Bytes(Arc::clone(&file.data)).into())).collect()
    }

    /// The bytes of one file.
    pub fn bytes(&self, name: &str) -> Option<Value> {
        self.files.get(name).map(|file| Kind::Bytes(Arc::clone(&file.data)).into())
    }

    fn call(&self, method: &str, argument: Option<&str>) -> Option<Result<Value, String>> {
        let name = argument.unwrap_or_default();
        let found = match method {
            "Get" => self.files.get(name).map_or_else(|| Value::from(""), FileData::text),
            "GetBytes" => self.bytes(name).unwrap_or_else(|| Kind::Bytes(Arc::from([])).into()),
            "Glob" => {
                let glob = Glob::new(name).unwrap_or_else(|| Glob::new("**").unwrap_or_default());
                let files = self.files.iter().filter(|(name, _)| glob.matches(name));
                let files = Self { files: files.map(|(name, file)| (name.clone(), file.clone())).collect() };
                Kind::Object(Object::Files(Rc::new(files))).into()
            }
            "AsConfig" | "AsSecrets" => {
                let map = Map::of(Element::Text);
                for (name, file) in &self.files {
                    let base = name.rsplit('/').next().unwrap_or(name);
                    let value = if method == "AsConfig" {
                        file.text()
                    } else {
                        Value::from(STANDARD.encode(&file.data)).at(file.text().origin)
                    };
                    map.insert(base, Origin::NONE, value);
                }
                yaml_write::to_yaml(&map.into())
            }
            "Lines" => {
                let text = self.files.get(name).map_or_else(|| Value::from(""), FileData::text);
                let marked = text.marked();
                let trimmed = marked.text.strip_suffix('\n').unwrap_or(&marked.text);
                let mut at = 0;
                let lines = trimmed.split('\n').filter(|_| !marked.text.is_empty());
                let lines: Vec<Value> = lines
                    .map(|line| {
                        let mut part = Marked::default();
                        part.append_range(&marked, at..at + line.len());
                        at += line.len() + 1;
                        part.into()
                    })
                    .collect();
                Value::texts(lines)
            }
            _ => return None,
        };
        let needs = !matches!(method, "AsConfig" | "AsSecrets");
        Some(match (needs, argument) {
            (true, None) => Err(format!("wrong number of args for {method}: want 1 got 0")),
            _ => Ok(found),
        })
    }
}

impl Object {
    /// Whether it counts as true.
    pub fn truth(&self) -> bool {
        match self {
            Self::Files(files) => !files.files.is_empty(),
            Self::ApiVersions(capabilities) => !capabilities.api_versions.is_empty(),
            _ => true,
        }
    }

    /// The name of its type in Go.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Files(_) => "engine.files",
            Self::Capabilities(_) => "*common.Capabilities",
            Self::KubeVersion(_) => "common.KubeVersion",
            Self::ApiVersions(_) => "common.VersionSet",
            Self::HelmVersion(_) => "version.BuildInfo",
            Self::Version(_) => "*semver.Version",
        }
    }

    /// The name of its kind in Go.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Files(_) => "map",
            Self::ApiVersions(_) => "slice",
            Self::KubeVersion(_) | Self::HelmVersion(_) => "struct",
            Self::Capabilities(_) | Self::Version(_) => "ptr",
        }
    }

    /// The list that it is, if it is one.
    pub fn as_list(&self) -> Option<Rc<List>> {
        match self {
            Self::ApiVersions(capabilities) => {
                let items = capabilities.api_versions.iter().map(|version| Value::from(version.as_str()));
                Some(Rc::new(List { items: items.collect(), element: Element::Text }))
            }
            _ => None,
        }
    }

    /// How it is printed.
    pub fn display(&self) -> String {
        match self {
            Self::Files(files) => format!("map[{} files]", files.len()),
            Self::KubeVersion(capabilities) => capabilities.normalized.clone(),
            Self::Capabilities(capabilities) => format!("&{{{} [] {{}}}}", capabilities.kube_version),
            Self::ApiVersions(capabilities) => format!("[{}]", capabilities.api_versions.join(" ")),
            Self::HelmVersion(capabilities) => format!("{{{}   }}", capabilities.helm_version),
            Self::Version(version) => version.to_string(),
        }
    }

    /// A field, or what a method returns; none if there is none of that name.
    pub fn field(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let text = |text: &str| Some(Ok(Value::from(text)));
        let argument = arguments.first().and_then(Value::as_str);
        match (self, name) {
            (Self::Files(files), _) => match files.call(name, argument) {
                None => Some(Ok(files.bytes(name).unwrap_or(Kind::Bytes(Arc::from([])).into()))),
                found => found,
            },
            (Self::Capabilities(all), "KubeVersion") => Some(Ok(Kind::Object(Self::KubeVersion(all.clone())).into())),
            (Self::Capabilities(all), "APIVersions") => Some(Ok(Kind::Object(Self::ApiVersions(all.clone())).into())),
            (Self::Capabilities(all), "HelmVersion") => Some(Ok(Kind::Object(Self::HelmVersion(all.clone())).into())),
            (Self::KubeVersion(all), "Version" | "GitVersion") => text(&all.kube_version),
            (Self::KubeVersion(all), "String") => text(&all.normalized),
            (Self::KubeVersion(all), "Major") => text(&all.major),
            (Self::KubeVersion(all), "Minor") => text(&all.minor),
            (Self::ApiVersions(all), "Has") => {
                let Some(wanted) = argument else {
                    return Some(Err("wrong number of args for Has: want 1 got 0".to_owned()));
                };
                Some(Ok(Value::from(all.api_versions.iter().any(|version| version == wanted))))
            }
            (Self::HelmVersion(all), "Version") => text(&all.helm_version),
            (Self::HelmVersion(_), "GitCommit" | "GitTreeState") => text(""),
            (Self::HelmVersion(_), "GoVersion") => text("go1.26"),
            (Self::HelmVersion(all), "KubeClientVersion") => text(&format!("v{}.{}", all.major, all.minor)),
            (Self::Version(version), "Major") => Some(Ok(number(version.major))),
            (Self::Version(version), "Minor") => Some(Ok(number(version.minor))),
            (Self::Version(version), "Patch") => Some(Ok(number(version.patch))),
            (Self::Version(version), "Prerelease") => text(&version.pre),
            (Self::Version(version), "Metadata") => text(&version.metadata),
            (Self::Version(version), "Original") => text(&version.original),
            (Self::Version(version), "String") => text(&version.to_string()),
            (Self::Version(version), "Compare" | "Equal" | "LessThan" | "GreaterThan") => {
                let other = match arguments.first().map(|value| &value.kind) {
                    Some(Kind::Object(Self::Version(other))) => other,
                    _ => return Some(Err(format!("wrong type for value; expected *semver.Version in {name}"))),
                };
                let order = version.cmp_precedence(other);
                Some(Ok(match name {
                    "Compare" => Value::int(order as i64),
                    "Equal" => Value::from(order.is_eq()),
                    "LessThan" => Value::from(order.is_lt()),
                    _ => Value::from(order.is_gt()),
                }))
            }
            _ => None,
        }
    }
}

fn number(value: u64) -> Value {
    Value::int64(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Methods of Helm's mappings of values.
pub(super) fn map_method(map: &Rc<Map>, name: &str) -> Option<Value> {
    match name {
        "AsMap" => Some(Rc::clone(map).into()),
        "YAML" => {
            let mut marked = yaml_write::to_yaml(&Rc::clone(map).into()).marked();
            marked.push("\n", Origin::NONE, GuardId::default(), None);
            Some(marked.into())
        }
        _ => None,
    }
}
