//! What a kustomization makes of its resources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::read::{Kustomization, Patch, PatchText, to_json};
use super::select::{Selected, Selector};
use super::{Workspace, patch};
use crate::inventory::documents;

/// How many kustomizations are rendered for one, those counted again that are used several times.
const MAX_USED: usize = 1_000;
/// How many objects one kustomization may have.
const MAX_OBJECTS: usize = 200_000;
/// How deep lists of lists are read.
const MAX_DEPTH: usize = 16;

/// The namespace of an object that has none.
const DEFAULT_NAMESPACE: &str = "default";

/// What identifies an object for kustomize.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub kind: String,
    /// Empty for objects without one, and for kinds of the cluster.
    pub namespace: String,
    pub name: String,
}

impl Id {
    fn of(value: &Value) -> Self {
        let meta = |key: &str| value.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default();
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let namespace = if is_namespaced(kind) { meta("namespace") } else { "" };
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: meta("name").to_owned() }
    }

    /// The namespace in which it counts; empty for kinds of the cluster.
    pub fn effective_namespace(&self) -> &str {
        if self.namespace.is_empty() && is_namespaced(&self.kind) { DEFAULT_NAMESPACE } else { &self.namespace }
    }

    /// Reports whether both mean the same object.
    pub fn is(&self, other: &Self) -> bool {
        (&self.kind, self.effective_namespace(), &self.name) == (&other.kind, other.effective_namespace(), &other.name)
    }

    fn key(&self) -> (String, String, String) {
        (self.kind.clone(), self.effective_namespace().to_owned(), self.name.clone())
    }
}

/// The kinds that are rendered: RBAC, and what its fields refer to.
fn is_rendered(kind: &str) -> bool {
    is_namespaced(kind) || ["ClusterRole", "ClusterRoleBinding", "PersistentVolume"].contains(&kind)
}

fn is_namespaced(kind: &str) -> bool {
    ["Role", "RoleBinding", "ServiceAccount", "ConfigMap", "Secret"].contains(&kind)
}

/// An object on its way through kustomizations.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub value: Value,
    /// The file in which it is written.
    pub file: PathBuf,
    pub original: Id,
    /// What it was called before it was renamed or moved.
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    /// What may have changed it, and is not computed.
    pub unknown: Option<String>,
}

impl Resource {
    /// What it is called now.
    pub fn id(&self) -> Id {
        Id::of(&self.value)
    }

    fn keep_id(&mut self) {
        self.previous.push(self.id());
    }

    fn metadata(&mut self) -> Option<&mut Map<String, Value>> {
        self.value.get_mut("metadata")?.as_object_mut()
    }

    fn set(&mut self, key: &str, value: &str) {
        if let Some(metadata) = self.metadata() {
            metadata.insert(key.to_owned(), value.into());
        }
    }

    fn set_pair(&mut self, map: &str, key: &str, value: &str) {
        let Some(metadata) = self.metadata() else { return };
        let map = metadata.entry(map.to_owned()).or_insert(Value::Null);
        if !map.is_object() {
            *map = Value::Object(Map::new());
        }
        if let Some(map) = map.as_object_mut() {
            map.insert(key.to_owned(), value.into());
        }
    }

    fn is_selected(&self, selector: &Selector) -> Result<bool, String> {
        let (id, api) = (self.id(), self.value.get("apiVersion").and_then(Value::as_str).unwrap_or_default());
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        selector.matches(&Selected {
            group,
            version,
            kind: &id.kind,
            names: [&self.original.name, &id.name],
            namespaces: [self.original.effective_namespace(), id.effective_namespace()],
            metadata: self.value.get("metadata"),
        })
    }
}

/// What a kustomization makes.
pub(super) struct Rendered {
    pub resources: Vec<Resource>,
    /// The names of what is generated.
    generated: BTreeSet<String>,
}

impl Workspace<'_> {
    /// Renders a kustomization that is applied.
    ///
    /// # Errors
    /// When kustomize would refuse it, or it cannot be computed.
    pub(super) fn render(&self, root: usize) -> Result<Rendered, String> {
        let mut renderer = Renderer { workspace: self, used: 0, generated: BTreeSet::new() };
        let resources = renderer.accumulate(root, Vec::new())?;
        let mut rendered = Rendered { resources, generated: renderer.generated };
        rendered.fix_references()?;
        Ok(rendered)
    }
}

struct Renderer<'r, 'w> {
    workspace: &'r Workspace<'w>,
    used: usize,
    generated: BTreeSet<String>,
}

impl Renderer<'_, '_> {
    /// The resources of a kustomization; a component changes those that are `given`.
    fn accumulate(&mut self, at: usize, given: Vec<Resource>) -> Result<Vec<Resource>, String> {
        self.used += 1;
        if self.used > MAX_USED {
            return Err(format!("it uses more than {MAX_USED} others, or itself"));
        }
        let it: &Kustomization = &self.workspace.kustomizations[at];
        let mut all = given;
        let mut known: BTreeSet<(String, String, String)> = all.iter().map(|resource| resource.id().key()).collect();
        for path in &self.workspace.resources[at] {
            let more = match self.workspace.in_directory(path) {
                Some(base) => self.accumulate(base, Vec::new())?,
                None => self.load(path),
            };
            for resource in more {
                // What is written twice alike is refused, too.
                if !known.insert(resource.id().key()) {
                    return Err(format!("it has {} twice", describe(&resource.id())));
                }
                all.push(resource);
            }
            if all.len() > MAX_OBJECTS {
                return Err(format!("it has more than {MAX_OBJECTS} objects"));
            }
        }
        self.generated.extend(it.generated.iter().cloned());
        for path in &self.workspace.components[at] {
            if let Some(component) = self.workspace.in_directory(path) {
                all = self.accumulate(component, all)?;
            }
        }
        self.transform(it, all)
    }

    /// The objects of a file.
    fn load(&self, path: &Path) -> Vec<Resource> {
        let bytes = (self.workspace.read)(path).unwrap_or_default();
        let documents = documents(&bytes);
        let trees = documents.iter().filter_map(|document| document.trees.as_ref()).flatten();
        let mut values = Vec::new();
        trees.filter_map(|tree| tree.root()).for_each(|root| flatten(to_json(root, 0), 0, &mut values));
        let resource = |value: Value| {
            let original = Id::of(&value);
            let (previous, prefixes, suffixes) = (Vec::new(), Vec::new(), Vec::new());
            Resource { value, file: path.to_owned(), original, previous, prefixes, suffixes, unknown: None }
        };
        values.into_iter().map(resource).filter(|resource| is_rendered(&resource.original.kind)).collect()
    }

    fn transform(&self, it: &Kustomization, mut all: Vec<Resource>) -> Result<Vec<Resource>, String> {
        for patch in it.patches.iter().filter(|patch| !patch.is_late) {
            self.patch(patch, &mut all)?;
        }
        if !it.namespace.is_empty() {
            set_namespace(&it.namespace, &mut all)?;
        }
        for resource in &mut all {
            if !it.prefix.is_empty() {
                let name = format!("{}{}", it.prefix, resource.id().name);
                resource.prefixes.push(it.prefix.clone());
                resource.keep_id();
                resource.set("name", &name);
            }
            if !it.suffix.is_empty() {
                let name = format!("{}{}", resource.id().name, it.suffix);
                resource.suffixes.push(it.suffix.clone());
                resource.keep_id();
                resource.set("name", &name);
            }
            it.labels.iter().for_each(|(key, value)| resource.set_pair("labels", key, value));
            it.annotations.iter().for_each(|(key, value)| resource.set_pair("annotations", key, value));
        }
        for patch in it.patches.iter().filter(|patch| patch.is_late) {
            self.patch(patch, &mut all)?;
        }
        for resource in &mut all {
            let mut unknown = it.unknown.map(|what| format!("`{what}`"));
            for selector in &it.replaced {
                if resource.is_selected(selector)? {
                    unknown = Some("a replacement".to_owned());
                }
            }
            if let Some(what) = unknown {
                resource.unknown.get_or_insert(format!("{what} of {}", it.path));
            }
        }
        Ok(all)
    }

    fn patch(&self, patch: &Patch, all: &mut Vec<Resource>) -> Result<(), String> {
        let read = |path: &Path| (self.workspace.read)(path);
        let missing = |path: &Path| format!("its patch {} cannot be read", path.display());
        let bytes = match &patch.text {
            PatchText::Inline(text) => text.clone().into_bytes(),
            PatchText::File(path) => read(path).ok_or_else(|| missing(path))?,
            PatchText::Either(path, text) => read(path).unwrap_or_else(|| text.clone().into_bytes()),
        };
        if bytes.starts_with(b"[") && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err() {
            return Err("a patch in brackets is not JSON".to_owned());
        }
        let documents = documents(&bytes);
        for document in &documents {
            let trees = document.trees.as_ref().ok_or("one of its patches cannot be read")?;
            for root in trees.iter().filter_map(|tree| tree.root()) {
                apply(patch, &to_json(root, 0), all)?;
            }
        }
        Ok(())
    }
}

/// Applies one document of a patch.
fn apply(patch: &Patch, document: &Value, all: &mut Vec<Resource>) -> Result<(), String> {
    let is_list = document.is_array();
    let mut selected = BTreeSet::new();
    match &patch.target {
        Some(target) => {
            for (at, resource) in all.iter().enumerate() {
                if resource.is_selected(target)? {
                    selected.insert(at);
                }
            }
        }
        None => {
            let id = Id::of(document);
            let is_meant = |resource: &Resource| {
                [&resource.original, &resource.id()].into_iter().chain(&resource.previous).any(|known| known.is(&id))
            };
            selected.extend(all.iter().enumerate().filter(|(_, it)| is_meant(it)).map(|(at, _)| at));
            if selected.len() != 1 && is_rendered(&id.kind) {
                return Err(format!("a patch of {} has {} targets", describe(&id), selected.len()));
            }
        }
    }
    let mut left = Vec::with_capacity(all.len());
    for (at, mut resource) in std::mem::take(all).into_iter().enumerate() {
        if !selected.contains(&at) {
            left.push(resource);
        } else if is_list {
            resource.keep_id();
            super::patch::apply(&mut resource.value, document)?;
            left.push(resource);
        } else if merge(patch, document, &mut resource)? {
            left.push(resource);
        }
    }
    *all = left;
    Ok(())
}

/// Merges a patch into an object, which keeps its name and kind unless the patch may change them; returns whether it is left.
fn merge(patch: &Patch, document: &Value, resource: &mut Resource) -> Result<bool, String> {
    let id = resource.id();
    let api = resource.value.get("apiVersion").cloned();
    if patch.renames {
        resource.keep_id();
    }
    if !patch::merge(&mut resource.value, document)? {
        return Ok(false);
    }
    if let (Some(object), Some(api)) = (resource.value.as_object_mut(), api) {
        object.insert("apiVersion".to_owned(), api);
        if !patch.renames {
            object.insert("kind".to_owned(), id.kind.clone().into());
        }
    }
    if !patch.renames {
        resource.set("name", &id.name);
    }
    if id.namespace.is_empty() {
        resource.metadata().map(|metadata| metadata.remove("namespace"));
    } else {
        resource.set("namespace", &id.namespace);
    }
    Ok(true)
}

fn set_namespace(namespace: &str, all: &mut [Resource]) -> Result<(), String> {
    for resource in all.iter_mut() {
        resource.keep_id();
        let kind = resource.id().kind;
        if is_namespaced(&kind) {
            resource.set("namespace", namespace);
        }
        if kind.ends_with("Binding") {
            let subjects = resource.value.get_mut("subjects").and_then(Value::as_array_mut);
            for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
                if subject.get("name").and_then(Value::as_str) == Some("default") {
                    subject.insert("namespace".to_owned(), namespace.into());
                }
            }
        }
    }
    let ids: Vec<Id> = all.iter().map(Resource::id).collect();
    let mut known = BTreeSet::new();
    match ids.iter().find(|id| !known.insert(*id)) {
        None => Ok(()),
        Some(id) => Err(format!("its namespace makes one of several objects: {}", describe(id))),
    }
}

impl Rendered {
    /// Writes the new names of roles and service accounts where bindings name them.
    fn fix_references(&mut self) -> Result<(), String> {
        let targets = self.resources.clone();
        for resource in self.resources.iter_mut().filter(|resource| resource.original.kind.ends_with("Binding")) {
            let referrer = resource.clone();
            let role = |key: &str| referrer.value.pointer(&format!("/roleRef/{key}")).and_then(Value::as_str);
            if let (Some(kind), Some(name)) = (role("kind"), role("name"))
                && let Some(target) = referral(&referrer, kind, name, None, &targets)?
                && let Some(slot) = resource.value.pointer_mut("/roleRef/name")
            {
                *slot = target.id().name.into();
            }
            let subjects = resource.value.get_mut("subjects").and_then(Value::as_array_mut);
            for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
                let text = |key: &str| subject.get(key).and_then(Value::as_str);
                let Some(name) = text("name") else { continue };
                let target = referral(&referrer, "ServiceAccount", name, text("namespace"), &targets)?;
                let Some(id) = target.map(Resource::id) else { continue };
                subject.insert("name".to_owned(), id.name.into());
                if !id.namespace.is_empty() {
                    subject.insert("namespace".to_owned(), id.namespace.into());
                }
            }
        }
        self.mark_renamed();
        Ok(())
    }

    /// Names in rules that are names of ConfigMaps, Secrets or volumes, too, change with these.
    fn mark_renamed(&mut self) {
        let kinds = ["ConfigMap", "Secret", "PersistentVolume"];
        let others = self.resources.iter().filter(|resource| kinds.contains(&resource.original.kind.as_str()));
        let renamed = others.filter(|resource| resource.id().name != resource.original.name);
        let names: BTreeSet<String> =
            renamed.map(|resource| resource.original.name.clone()).chain(self.generated.iter().cloned()).collect();
        for resource in self.resources.iter_mut().filter(|it| it.original.kind.ends_with("Role")) {
            let rules = resource.value.get("rules").and_then(Value::as_array).into_iter().flatten();
            let mut listed = rules.filter_map(|rule| rule.get("resourceNames")?.as_array()).flatten();
            if let Some(name) = listed.find_map(|name| name.as_str().filter(|name| names.contains(*name))) {
                resource.unknown =
                    Some(format!("the name {name:?} in a rule is that of a renamed object, too; a name reference"));
            }
        }
    }
}

/// The object that a binding refers to by the name that it had, if that changed.
fn referral<'r>(
    referrer: &Resource,
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    targets: &'r [Resource],
) -> Result<Option<&'r Resource>, String> {
    let own = referrer.id();
    let is_account = kind == "ServiceAccount";
    let was =
        |it: &Resource| it.previous.iter().any(|id| id.name == name) && it.previous.iter().any(|id| id.kind == kind);
    let subjects = referrer.value.get("subjects").and_then(Value::as_array).into_iter().flatten();
    let named: BTreeSet<&str> = subjects.filter_map(|subject| subject.get("namespace")?.as_str()).collect();
    let is_in_reach = |it: &Resource| {
        let id = it.id();
        !(is_namespaced(&own.kind) && is_namespaced(&id.kind))
            || id.effective_namespace() == own.effective_namespace()
            || (is_account && named.contains(id.namespace.as_str()))
    };
    let by_name: Vec<&Resource> = targets.iter().filter(|it| was(it) && is_in_reach(it)).collect();
    let candidates: Vec<&Resource> = match namespace {
        None => by_name,
        Some(namespace) => {
            // By the original namespace, if any object had that; else by the present one.
            let originally = |it: &Resource| it.original.effective_namespace() == namespace;
            if targets.iter().any(originally) {
                by_name.into_iter().filter(|it| originally(it)).collect()
            } else {
                by_name.into_iter().filter(|it| it.id().effective_namespace() == namespace).collect()
            }
        }
    };
    let same_way = |allow_empty: bool| {
        let same = move |a: &[String], b: &[String]| {
            (allow_empty && (a.is_empty() || b.is_empty())) || a.iter().rev().zip(b.iter().rev()).all(|(a, b)| a == b)
        };
        move |it: &&&Resource| same(&it.prefixes, &referrer.prefixes) && same(&it.suffixes, &referrer.suffixes)
    };
    if let [only] = candidates.as_slice() {
        return Ok(Some(only));
    }
    let mut left: Vec<&Resource> = candidates.iter().filter(same_way(true)).copied().collect();
    if left.len() > 1 {
        left = left.iter().filter(same_way(false)).copied().collect();
    }
    let Some(first) = left.first().copied() else { return Ok(None) };
    if left.iter().any(|it| it.id() != first.id()) {
        return Err(format!("{} may refer to several objects called {name:?}", describe(&own)));
    }
    Ok(Some(first))
}

/// `Role "namespace/name"`.
pub(super) fn describe(id: &Id) -> String {
    match id.namespace.as_str() {
        "" => format!("{} {:?}", id.kind, id.name),
        namespace => format!("{} {:?}", id.kind, format!("{namespace}/{}", id.name)),
    }
}

/// The objects of a document: those of a list, or itself.
fn flatten(value: Value, depth: usize, values: &mut Vec<Value>) {
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match value {
        Value::Object(mut map) if is_list && depth < MAX_DEPTH && map.get("items").is_some_and(Value::is_array) => {
            let items =
                map.remove("items").and_then(|items| if let Value::Array(items) = items { Some(items) } else { None });
            items.into_iter().flatten().for_each(|item| flatten(item, depth + 1, values));
        }
        value => values.push(value),
    }
}
