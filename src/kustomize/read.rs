//! Kustomizations as they are written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use super::resolve;
use super::select::Selector;
use crate::inventory::{documents, entries};
use crate::problem::{Problem, ProblemKind};
use crate::syntax::edit;
use crate::syntax::{Entry, FieldOrigin, Form, JsonStyle, Node, NodeKind, ScalarType, Style, Value};

/// How deep a value is read.
const MAX_DEPTH: usize = 64;

/// A kustomization.
#[derive(Debug, Clone)]
pub struct Kustomization {
    /// Its name for messages.
    pub path: Arc<str>,
    /// Its directory, without links.
    pub(super) directory: PathBuf,
    pub(super) is_component: bool,
    /// `resources`, and `bases` as older ones have it.
    pub(super) resources: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) namespace: String,
    pub(super) prefix: String,
    pub(super) suffix: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) patches: Vec<Patch>,
    /// What replacements change.
    pub(super) replaced: Vec<Selector>,
    /// The names of what is generated, which are changed.
    pub(super) generated: Vec<String>,
    /// What is not computed here, and changes any object.
    pub(super) unknown: Option<&'static str>,
}

/// A patch, and when it is applied.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    pub target: Option<Selector>,
    /// Its text, or the file that holds it.
    pub text: PatchText,
    /// Whether it is applied after names and namespaces have changed.
    pub is_late: bool,
    /// Whether it may change names and kinds.
    pub renames: bool,
}

#[derive(Debug, Clone)]
pub(super) enum PatchText {
    Inline(String),
    File(PathBuf),
    /// A file if there is one, else the text.
    Either(PathBuf, String),
}

impl Kustomization {
    /// Reads a kustomization.
    ///
    /// # Errors
    /// When it is not one YAML document with a mapping.
    pub fn read(path: &Arc<str>, directory: &Path, bytes: &[u8]) -> Result<Self, Problem> {
        let refused = || Problem {
            path: Arc::clone(path),
            place: None,
            kind: ProblemKind::Syntax,
            message: "the kustomization cannot be read, so it is unknown what it makes of new objects".to_owned(),
            help: Some("fix it, or give --output-dir instead of --in-place".to_owned()),
        };
        let documents = documents(bytes);
        let mut trees = documents.iter().map(|document| document.trees.as_deref().ok_or_else(refused));
        let mut values = Vec::new();
        trees.try_for_each(|trees| {
            let roots = trees?.iter().filter_map(|tree| tree.root());
            values.extend(roots.map(|root| to_json(root, 0)));
            Ok(())
        })?;
        values.retain(|value| !value.is_null());
        match values.as_slice() {
            [] => Ok(Self::of(path, directory, &Json::Null)),
            [value] if value.is_object() => Ok(Self::of(path, directory, value)),
            _ => Err(refused()),
        }
    }

    fn of(path: &Arc<str>, directory: &Path, value: &Json) -> Self {
        let text = |key: &str| value.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let list = |key: &str| value.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let texts = |key: &str| list(key).iter().filter_map(Json::as_str).map(str::to_owned).collect::<Vec<_>>();
        let has = |key: &str| value.get(key).is_some_and(|value| !is_empty(value));
        let mut labels = BTreeMap::new();
        list("labels").iter().for_each(|label| labels.extend(pairs(label.get("pairs"))));
        labels.extend(pairs(value.get("commonLabels")));
        let has_label_fields = list("labels").iter().any(|label| label.get("fields").is_some());
        let file = |name: &str| resolve(directory, name);
        let merged = texts("patchesStrategicMerge").into_iter().map(|text| Patch {
            target: None,
            text: PatchText::Either(file(&text), text),
            is_late: false,
            renames: false,
        });
        let of_list = |(key, is_late): (&'static str, bool)| {
            list(key).iter().filter_map(move |patch| Patch::of(patch, is_late, directory))
        };
        let generators = ["configMapGenerator", "secretGenerator"].into_iter().flat_map(list);
        let replacements = || list("replacements").iter();
        let unknown = ["transformers", "configurations"].into_iter().find(|key| has(key));
        Self {
            path: Arc::clone(path),
            directory: directory.to_owned(),
            is_component: text("kind") == "Component",
            resources: texts("resources").into_iter().chain(texts("bases")).collect(),
            components: texts("components"),
            namespace: text("namespace"),
            prefix: text("namePrefix"),
            suffix: text("nameSuffix"),
            labels,
            annotations: pairs(value.get("commonAnnotations")).collect(),
            patches: merged
                .chain([("patches", false), ("patchesJson6902", true)].into_iter().flat_map(of_list))
                .collect(),
            replaced: replacements()
                .flat_map(|it| it.get("targets").and_then(Json::as_array).into_iter().flatten())
                .map(|target| target.get("select").map(Selector::read).unwrap_or_default())
                .collect(),
            generated: generators.filter_map(|it| it.get("name")?.as_str().map(str::to_owned)).collect(),
            unknown: if has_label_fields {
                Some("labels with `fields`")
            } else if replacements().any(|it| it.get("path").is_some()) {
                Some("replacements in files of their own")
            } else {
                unknown
            },
        }
    }
}

impl Patch {
    fn of(patch: &Json, is_late: bool, directory: &Path) -> Option<Self> {
        let text = |key: &str| patch.get(key).and_then(Json::as_str).filter(|text| !text.is_empty());
        let inline = text("patch").or(text("jsonOp")).map(|text| PatchText::Inline(text.to_owned()));
        let option = |key: &str| patch.get("options").and_then(|options| options.get(key)) == Some(&Json::Bool(true));
        Some(Self {
            target: patch.get("target").filter(|target| target.is_object()).map(Selector::read),
            text: inline.or_else(|| Some(PatchText::File(resolve(directory, text("path")?))))?,
            is_late,
            renames: option("allowNameChange") || option("allowKindChange"),
        })
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn pairs(map: Option<&Json>) -> impl Iterator<Item = (String, String)> {
    let entries = map.and_then(Json::as_object).into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
}

/// A value as JSON, as far down as is looked at.
pub(super) fn to_json(node: Node<'_>, depth: usize) -> Json {
    if depth > MAX_DEPTH {
        return Json::Null;
    }
    match node.kind() {
        NodeKind::String(text) => Json::String(text.into_owned()),
        NodeKind::Other(ScalarType::Boolean) => Json::Bool(node.is_yes()),
        NodeKind::Other(ScalarType::Number) => {
            node.written().parse::<Number>().map_or_else(|_| Json::String(node.written().to_owned()), Json::Number)
        }
        NodeKind::Other(_) => Json::Null,
        NodeKind::Sequence => node.items().map(|item| to_json(item, depth + 1)).collect(),
        NodeKind::Mapping => {
            let mut map = Map::new();
            node.visit_fields(&mut |key, entry, origin| {
                if origin == FieldOrigin::Own || !map.contains_key(key) {
                    map.insert(key.to_owned(), to_json(entry.value, depth + 1));
                }
            });
            Json::Object(map)
        }
    }
}

/// The resources of a kustomization as they are written.
pub fn resources(bytes: &[u8]) -> Vec<String> {
    Kustomization::read(&Arc::from(""), Path::new("/"), bytes).map(|it| it.resources).unwrap_or_default()
}

/// Adds a resource to a kustomization, after the one that is `present`. Every other byte stays.
pub fn add_resource(bytes: &[u8], is_present: &dyn Fn(&str) -> bool, new: &str) -> Option<Vec<u8>> {
    let documents = documents(bytes);
    let trees = documents.iter().filter_map(|document| document.trees.as_ref()).flatten();
    let mut found = trees.filter_map(|tree| {
        let root = tree.root()?;
        let lists = entries(root, ["resources", "bases"]).into_iter().flatten().map(|Entry { value, .. }| value);
        let mut places = lists.filter_map(|list| {
            let present = |item: Node<'_>| item.as_str().is_some_and(|name| is_present(&name));
            Some((list, list.items().position(present)?))
        });
        Some((root, places.next()?))
    });
    let (root, (list, at)) = found.next()?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    let form = if is_json { Form::Json(JsonStyle::of(root)) } else { Form::Yaml(Style::of(root)) };
    let edits = edit::insert_after(list, at, &[Value::text(new)], &form)?;
    let after = edit::apply(bytes, edits).ok()?;
    let (mut expected, is) = (resources(bytes), resources(&after));
    let position = is.iter().position(|name| name == new)?;
    expected.insert(position, new.to_owned());
    (expected == is).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_added() {
        let added = |text: &str| {
            let after = add_resource(text.as_bytes(), &|name| name == "role.json", "new.json");
            after.map(|after| String::from_utf8(after).unwrap())
        };
        for (before, after) in [
            ("resources:\n- role.json\n- b.yaml\n", "resources:\n- role.json\n- new.json\n- b.yaml\n"),
            (
                "# all\nresources: # of it\n  - a.yaml\n  # the role\n  - role.json # generated\n\nnamespace: x\n",
                "# all\nresources: # of it\n  - a.yaml\n  # the role\n  - role.json # generated\n  - new.json\n\nnamespace: x\n",
            ),
            ("resources: [\"role.json\"]", "resources: [\"role.json\", \"new.json\"]"),
            ("{\"resources\": [\"role.json\"]}\n", "{\"resources\": [\"role.json\", \"new.json\"]}\n"),
            ("resources:\r\n- role.json", "resources:\r\n- role.json\r\n- new.json"),
        ] {
            assert_eq!(added(before).as_deref(), Some(after), "{before}");
        }
        assert_eq!(added("resources: [other.json]\n"), None);
        assert_eq!(
            added("a: &r [role.json]\nresources: *r\n").as_deref(),
            Some("a: &r [role.json, new.json]\nresources: *r\n")
        );
    }

    #[test]
    fn what_is_written_in_it() {
        let read = |text: &str| Kustomization::read(&Arc::from("k"), Path::new("/d"), text.as_bytes());
        let it =
            read("namespace: a\ncommonLabels: {x: 1}\nlabels: [{pairs: {y: z}}]\npatches: [{path: p.yaml}]\n").unwrap();
        assert_eq!((it.namespace.as_str(), it.labels.len(), it.patches.len()), ("a", 2, 1));
        assert!(read("").is_ok());
        assert!(read("- a\n").is_err());
        assert!(read("a: b\n---\nc: d\n").is_err());
        assert_eq!(read("transformers: [a.yaml]\n").unwrap().unknown, Some("transformers"));
    }
}
