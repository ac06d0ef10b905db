//! New objects: where they are put in a file, and files of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BY_HAND, Editor, FileChange, Manifests, Work, name_of, problem, stale};
use crate::inventory::Object;
use crate::kustomize::add_resource;
use crate::problem::Problem;
use crate::syntax::edit;
use crate::syntax::{Form, JsonStyle, Value};

/// The first fields of a list of objects.
const LIST_FIELDS: [(&str, &str); 2] = [("apiVersion", "v1"), ("kind", "List")];

/// Objects that need a file of their own, and how it is written.
#[derive(Default)]
pub(super) struct Apart<'w> {
    pub objects: Vec<&'w Object>,
    style: Option<JsonStyle>,
}

/// A new file, and the one next to which it is listed.
struct NewFile {
    name: Arc<str>,
    next_to: Arc<str>,
}

/// Files that are added to kustomizations.
#[derive(Default)]
pub(super) struct Listed {
    /// For each kustomization, the new files.
    files: BTreeMap<Arc<str>, Vec<NewFile>>,
}

impl Listed {
    /// Makes a file of objects, next to another one that `users` list.
    pub fn new_file(
        &mut self,
        path: &Arc<str>,
        users: Vec<Arc<str>>,
        apart: Apart<'_>,
        manifests: &mut dyn Manifests,
    ) -> FileChange {
        let name = new_name(path, manifests);
        for user in users {
            self.files.entry(user).or_default().push(NewFile { name: Arc::clone(&name), next_to: Arc::clone(path) });
        }
        let values = apart.objects.iter().map(|object| object.to_value()).collect();
        let style = apart.style.unwrap_or_default();
        FileChange {
            path: name,
            before: Vec::new(),
            after: format!("{}{}", list_of(&style, values), style.line_end).into_bytes(),
            template: None,
            is_empty: false,
            is_new: true,
            added: apart.objects.iter().map(|object| object.meta().key()).collect(),
        }
    }

    /// Lists the files in the kustomizations.
    pub fn edit(self, manifests: &mut dyn Manifests) -> (Vec<FileChange>, Vec<Problem>) {
        let (mut changes, mut problems) = (Vec::new(), Vec::new());
        for (kustomization, files) in self.files {
            match list(&kustomization, &files, manifests) {
                Ok((before, after)) => changes.push(FileChange {
                    path: kustomization,
                    before,
                    after,
                    template: None,
                    is_empty: false,
                    is_new: false,
                    added: Vec::new(),
                }),
                Err(problem) => problems.push(problem),
            }
        }
        (changes, problems)
    }
}

/// Lists files in a kustomization, each after the one next to which it was made.
fn list(
    kustomization: &Arc<str>,
    files: &[NewFile],
    manifests: &mut dyn Manifests,
) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let before = manifests.read(kustomization)?;
    let mut after = before.clone();
    for NewFile { name: file, next_to } in files {
        let unclear = || {
            let message = format!("{file} cannot be added to its resources here");
            problem(kustomization, None, message, BY_HAND)
        };
        let resource = manifests.resource(kustomization, file).ok_or_else(unclear)?;
        let present = resources_that_are(kustomization, next_to, &after, manifests);
        after = add_resource(&after, &|name| present.iter().any(|it| it == name), &resource).ok_or_else(unclear)?;
    }
    Ok((before, after))
}

/// The names that mean a file in a kustomization.
fn resources_that_are(
    kustomization: &Arc<str>,
    file: &Arc<str>,
    text: &[u8],
    manifests: &mut dyn Manifests,
) -> Vec<String> {
    let mut names = crate::kustomize::resources(text);
    names.retain(|name| manifests.is_same(kustomization, name, file));
    names
}

/// The name of a new file next to another one: `role.json` gets `role-constrained.json`.
fn new_name(path: &Arc<str>, manifests: &mut dyn Manifests) -> Arc<str> {
    let names = (1..).map(|number| constrained_name(path, number));
    names.into_iter().find(|name| !manifests.exists(name)).unwrap_or_else(|| constrained_name(path, 1))
}

/// The name that a new file next to another one has, if it is the first, the second, … with that name.
pub(crate) fn constrained_name(path: &str, number: usize) -> Arc<str> {
    let stem = path.strip_suffix(".json").unwrap_or(path);
    match number {
        1 => Arc::from(format!("{stem}-constrained.json")),
        _ => Arc::from(format!("{stem}-constrained-{number}.json")),
    }
}

/// A list of objects as one value of JSON.
fn list_of(style: &JsonStyle, values: Vec<Value>) -> String {
    let fields = LIST_FIELDS.map(|(key, value)| (key, Value::text(value)));
    style.write(&Value::map(fields.into_iter().chain([("items", Value::List(values))])), "")
}

impl Editor<'_, '_> {
    /// Adds the new objects: to the end of the file, or to the list in a file of JSON. Returns those that need a file of their
    /// own.
    pub(super) fn add<'w>(&mut self, work: &Work<'w>) -> Result<Apart<'w>, Problem> {
        let mut yaml = Vec::new();
        let mut json: Vec<(usize, &'w Object)> = Vec::new();
        let mut into_lists: BTreeMap<usize, Vec<&Object>> = BTreeMap::new();
        for (home, object) in &work.added {
            let Some(at) = self.placed.iter().position(|placed| name_of(placed).offset == *home) else {
                return Err(stale(self.path));
            };
            match self.form(at) {
                Form::Yaml(style) => yaml.push(style.block(&(self.writing.to_value)(object), 0)),
                Form::Json(_) if self.placed[at].placed.item.is_some() => {
                    let document = self.placed[at].document;
                    // All objects of a list are beside the first role of it.
                    let same = |known: &&usize| self.placed[**known].document == document;
                    let known = into_lists.keys().find(same).copied().unwrap_or(at);
                    into_lists.entry(known).or_default().push(object);
                }
                // A flow mapping in a YAML file is a document of it, and others go behind their own markers.
                Form::Json(style) if !self.path.ends_with(".json") => {
                    yaml.push(format!("{}\n", style.write(&object.to_value(), "")));
                }
                Form::Json(_) => json.push((at, object)),
            }
        }
        for (at, objects) in into_lists {
            let Some(item) = self.placed[at].placed.item else { continue };
            let going = self.removed.get(&self.placed[at].document);
            let goes = |index: usize| {
                let mut items = going.into_iter().flatten().filter_map(|at| self.placed[*at].placed.item);
                items.any(|item| item.index == index)
            };
            let last = (0..item.list.items().count()).rev().find(|index| !goes(*index));
            let values: Vec<_> = objects.iter().map(|object| (self.writing.to_value)(object)).collect();
            let edits = last.and_then(|last| edit::insert_after(item.list, last, &values, &self.form(at)));
            let edits = edits.ok_or_else(|| self.unclear(at))?;
            self.edits.extend(edits);
        }
        self.edits.extend(edit::append_documents(self.text, &yaml));
        match json.first() {
            Some((at, _)) => self.add_to_json(*at, json.iter().map(|(_, object)| *object).collect()),
            None => Ok(Apart::default()),
        }
    }

    /// Adds objects to a file of JSON without a list. One value stays one value.
    fn add_to_json<'w>(&mut self, at: usize, objects: Vec<&'w Object>) -> Result<Apart<'w>, Problem> {
        let Form::Json(style) = self.form(at) else { return Err(self.unclear(at)) };
        if self.is_resource {
            return Ok(Apart { objects, style: Some(style) });
        }
        let values: Vec<Value> = objects.iter().map(|object| object.to_value()).collect();
        let is_alone = self.documents.iter().filter_map(|document| document.trees.as_ref()).flatten().count() == 1;
        if !is_alone {
            let texts: Vec<String> = values.iter().map(|value| style.write(value, "")).collect();
            self.edits.extend(edit::append_json(self.text, &texts));
        } else if self.removed.contains_key(&self.placed[at].document) {
            self.edits.extend(edit::append_json(self.text, &[list_of(&style, values)]));
        } else {
            self.edits.extend(edit::wrap_json(self.placed[at].placed.node, &LIST_FIELDS, "items", &values, &style));
        }
        Ok(Apart::default())
    }
}
