//! Whether kustomizations leave new objects what a plan needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::Workspace;
use super::render::{Id, Rendered, Resource, describe};
use crate::inventory::{Binding, Object, ObjectMeta, PolicyRule, Role, Subject, SubjectKind};
use crate::problem::{Problem, ProblemKind};

/// How many problems are told.
const MAX_TOLD: usize = 20;

/// A new object.
pub struct Added<'w> {
    /// The object.
    pub object: &'w Object,
    /// The file that holds it, without links.
    pub file: PathBuf,
    /// The bindings whose grants it replaces, with their files.
    pub replaces: Vec<(PathBuf, &'w Binding)>,
}

/// A role that loses rules.
pub struct Edited<'w> {
    /// The role as it is.
    pub role: &'w Role,
    /// Its file.
    pub file: PathBuf,
    /// The rules that are left; none if the role goes.
    pub after: Option<&'w [PolicyRule]>,
}

/// What is wrong with what kustomizations make of a change.
#[derive(Debug, Default)]
pub struct Checked {
    /// Why the change does not do what it should.
    pub problems: Vec<Problem>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// Checks what the kustomizations make of new objects and of roles that change. The workspaces are those before and after the
/// change; `aggregating` are keys of labels by which aggregated roles select.
pub fn check(
    before: &Workspace<'_>,
    after: &Workspace<'_>,
    added: &[Added<'_>],
    edited: &[Edited<'_>],
    aggregating: &BTreeSet<&str>,
) -> Checked {
    let mut checker = Checker { after, aggregating, checked: Checked::default(), seen: BTreeMap::new(), root: 0 };
    let mut used: BTreeSet<PathBuf> = BTreeSet::new();
    for root in after.roots() {
        let files = after.files(root);
        let is_used = |file: &Path| files.contains(file);
        let concerns = |it: &Added<'_>| is_used(&it.file) || it.replaces.iter().any(|(file, _)| is_used(file));
        let added: Vec<&Added<'_>> = added.iter().filter(|it| concerns(it)).collect();
        let edited: Vec<&Edited<'_>> = edited.iter().filter(|it| is_used(&it.file)).collect();
        used.extend(files.iter().map(|file| file.to_path_buf()));
        if added.is_empty() && edited.is_empty() {
            continue;
        }
        checker.root = root;
        let was = before.in_directory(&after.kustomizations[root].directory).map(|root| before.render(root));
        let (was, is) = match (was, after.render(root)) {
            (Some(Ok(was)), Ok(is)) => (was, is),
            (_, Err(reason)) => {
                checker.tell(format!("kustomize would refuse it, or make something unknown of it: {reason}"));
                continue;
            }
            (Some(Err(reason)), _) => {
                checker.tell(format!("what kustomize makes of it is unknown: {reason}"));
                continue;
            }
            (None, _) => continue,
        };
        added.iter().for_each(|it| checker.added(it, is_used(&it.file), &was, &is));
        edited.iter().for_each(|it| checker.edited(it, &was, &is));
    }
    checker.collisions(added);
    checker.unused(added, &used);
    checker.checked
}

struct Checker<'c, 'w> {
    after: &'c Workspace<'w>,
    aggregating: &'c BTreeSet<&'c str>,
    checked: Checked,
    /// What each root makes of objects of the cluster: of each new one, and of the bindings of the cluster it replaces.
    seen: Seen,
    root: usize,
}

impl Checker<'_, '_> {
    fn tell(&mut self, message: String) {
        let known = self.checked.problems.len();
        if known >= MAX_TOLD || self.checked.problems.iter().any(|problem| problem.message == message) {
            return;
        }
        self.checked.problems.push(Problem {
            path: Arc::clone(&self.after.kustomizations[self.root].path),
            place: None,
            kind: ProblemKind::NotEditable,
            message,
            help: Some(
                "keep the new objects out of this kustomization: run with --output-dir instead of --in-place, on what \
                 `kubectl kustomize` prints, and apply the result by itself"
                    .to_owned(),
            ),
        });
    }

    fn added(&mut self, it: &Added<'_>, is_used: bool, was: &Rendered, is: &Rendered) {
        let meta = it.object.meta();
        let what = meta.describe();
        let replaced: Vec<(&Binding, Vec<&Resource>)> =
            it.replaces.iter().map(|(file, binding)| (*binding, occurrences(was, file, &binding.meta))).collect();
        if !is_used {
            if let Some((binding, _)) = replaced.iter().find(|(_, found)| !found.is_empty()) {
                self.tell(format!(
                    "it applies {}, but not {}, which replaces it: it does not list the file of the new object",
                    binding.meta.describe(),
                    what
                ));
            }
            return;
        }
        let found = occurrences(is, &it.file, meta);
        if found.is_empty() {
            return self.tell(format!("it removes {what}"));
        }
        let namespaces: BTreeSet<String> =
            replaced.iter().flat_map(|(_, found)| found).map(|resource| resource.id().namespace).collect();
        for resource in &found {
            let id = resource.id();
            if let Some(unknown) = &resource.unknown {
                self.tell(format!("{unknown} may change {what}, and the result cannot be computed"));
                continue;
            }
            if id.kind != meta.kind.as_str() {
                self.tell(format!("a patch makes {} of {what}", describe(&id)));
            }
            let fits = match &meta.namespace {
                Some(namespace) if meta.kind.is_namespaced() => id.namespace == *namespace,
                _ => !meta.kind.is_namespaced() || id.namespace.is_empty() || namespaces.contains(&id.namespace),
            };
            if !fits {
                self.tell(format!(
                    "it moves {what} to namespace {:?}, where it does not grant what it should",
                    id.namespace
                ));
            }
            match it.object {
                Object::Role(role) => self.role(role, resource),
                Object::Binding(binding) => self.binding(binding, resource, &it.file, is),
            }
        }
        if let Object::Binding(binding) = it.object {
            self.subjects(binding, &found, &replaced);
        }
        if !meta.kind.is_namespaced() {
            let seen = self.seen.entry(self.root).or_default();
            seen.entry(what).or_default().extend(found.iter().map(|it| (it.id(), content(it))));
            for (binding, found) in replaced.iter().filter(|(binding, _)| !binding.meta.kind.is_namespaced()) {
                seen.insert(binding.meta.describe(), found.iter().map(|it| (it.id(), content(it))).collect());
            }
        }
    }

    fn role(&mut self, role: &Role, resource: &Resource) {
        let what = role.meta.describe();
        if rules(resource) != sets(&role.rules) {
            self.tell(format!("a patch changes the rules of {what}"));
        }
        let labels = resource.value.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        for (key, _) in labels.filter(|(key, _)| role.meta.label(key).is_none()) {
            let name = key.rsplit('/').next().unwrap_or(key);
            if !role.meta.kind.is_namespaced()
                && (name.starts_with("aggregate-to-") || self.aggregating.contains(key.as_str()))
            {
                self.tell(format!("it gives {what} the label {key}, by which another role would aggregate it"));
            }
        }
    }

    fn binding(&mut self, binding: &Binding, resource: &Resource, file: &Path, is: &Rendered) {
        let role = resource.value.pointer("/roleRef/name").and_then(Value::as_str);
        let kind = resource.value.pointer("/roleRef/kind").and_then(Value::as_str);
        let own = resource.id();
        let is_meant = |it: &&Resource| {
            it.file == file
                && it.original.name == binding.role_ref.name.value
                && Some(it.original.kind.as_str()) == kind
                && Some(it.id().name.as_str()) == role
                && (it.id().namespace.is_empty() || it.id().effective_namespace() == own.effective_namespace())
        };
        if !is.resources.iter().any(|it| is_meant(&it)) {
            self.tell(format!("what it makes of {} does not refer to its role any more", binding.meta.describe()));
        }
    }

    /// A new binding has to grant to whom the replaced ones grant.
    fn subjects(&mut self, binding: &Binding, found: &[&Resource], replaced: &[(&Binding, Vec<&Resource>)]) {
        let [subject] = binding.subjects.as_slice() else { return };
        let granted: BTreeSet<[String; 3]> = found.iter().filter_map(|it| rendered_subject(it, 0)).collect();
        let mut wanted: BTreeSet<[String; 3]> = BTreeSet::new();
        for (old, found) in replaced {
            let at = old.subjects.iter().position(|known| known == subject);
            let rendered = at.map(|at| found.iter().filter_map(move |it| rendered_subject(it, at)));
            wanted.extend(rendered.into_iter().flatten());
        }
        if wanted.is_empty() {
            wanted.insert(written_subject(subject));
        }
        if granted != wanted {
            let names = |subjects: &BTreeSet<[String; 3]>| {
                let named = subjects.iter().map(|[kind, namespace, name]| match namespace.as_str() {
                    "" => format!("{kind} {name:?}"),
                    namespace => format!("{kind} {:?}", format!("{namespace}/{name}")),
                });
                named.collect::<Vec<_>>().join(", ")
            };
            self.tell(format!(
                "it makes {} grant to {}, but what that replaces grants to {}",
                binding.meta.describe(),
                names(&granted),
                names(&wanted)
            ));
        }
    }

    fn edited(&mut self, it: &Edited<'_>, was: &Rendered, is: &Rendered) {
        let what = it.role.meta.describe();
        let (before, after) = (occurrences(was, &it.file, &it.role.meta), occurrences(is, &it.file, &it.role.meta));
        if let Some(unknown) = before.iter().chain(&after).find_map(|it| it.unknown.as_ref()) {
            return self.tell(format!("{unknown} may change {what}, and the result cannot be computed"));
        }
        let as_written = before.iter().all(|found| rules(found) == sets(&it.role.rules));
        let left = it.after.map(sets);
        if !as_written || after.iter().any(|found| Some(rules(found)) != left) {
            self.tell(format!("a patch changes the rules of {what}, so that its cut-over cannot be computed"));
        }
    }

    /// Objects of the cluster that several kustomizations make differently under one name: the last one applied counts. Where
    /// that is so for what they replace, too, the clusters must be different ones.
    fn collisions(&mut self, added: &[Added<'_>]) {
        let seen = std::mem::take(&mut self.seen);
        for it in added.iter().filter(|it| !it.object.meta().kind.is_namespaced()) {
            let bindings = it.replaces.iter().filter(|(_, binding)| !binding.meta.kind.is_namespaced());
            if bindings.into_iter().any(|(_, binding)| differing(&seen, &binding.meta.describe()).is_some()) {
                continue;
            }
            let what = it.object.meta().describe();
            if let Some((first, other)) = differing(&seen, &what) {
                self.root = other;
                let first = &self.after.kustomizations[first].path;
                self.tell(format!("it and {first} make different objects of {what}, and the last one applied counts"));
            }
        }
    }

    /// New objects next to a kustomization that does not list their file are not applied by it.
    fn unused(&mut self, added: &[Added<'_>], used: &BTreeSet<PathBuf>) {
        let files: BTreeSet<&PathBuf> = added.iter().map(|it| &it.file).filter(|file| !used.contains(*file)).collect();
        for file in files {
            let beside = file.parent().and_then(|directory| self.after.in_directory(directory));
            if let (Some(at), Some(name)) = (beside, file.file_name()) {
                let kustomization = &self.after.kustomizations[at].path;
                self.checked.warnings.push(format!(
                    "{kustomization} does not list {} among its resources: new objects in it are not applied with that",
                    name.to_string_lossy()
                ));
            }
        }
    }
}

/// What each root makes of objects, by their descriptions.
type Seen = BTreeMap<usize, BTreeMap<String, Vec<(Id, Value)>>>;

/// Two roots that make different objects with one name of an object.
fn differing(seen: &Seen, what: &str) -> Option<(usize, usize)> {
    let mut first: BTreeMap<&Id, (usize, &Value)> = BTreeMap::new();
    let all = seen.iter().filter_map(|(root, seen)| Some((*root, seen.get(what)?)));
    for (root, (id, content)) in all.flat_map(|(root, found)| found.iter().map(move |it| (root, it))) {
        let (known, value) = *first.entry(id).or_insert((root, content));
        if value != content {
            return Some((known, root));
        }
    }
    None
}

/// What kustomizations made of an object of a file.
fn occurrences<'r>(rendered: &'r Rendered, file: &Path, meta: &ObjectMeta) -> Vec<&'r Resource> {
    let id = Id {
        kind: meta.kind.as_str().to_owned(),
        namespace: meta.namespace.as_deref().filter(|_| meta.kind.is_namespaced()).unwrap_or_default().to_owned(),
        name: meta.name.value.to_string(),
    };
    rendered.resources.iter().filter(|it| it.file == file && it.original.is(&id)).collect()
}

/// What an object grants, or to whom.
fn content(resource: &Resource) -> Value {
    let field = |key: &str| resource.value.get(key).cloned().unwrap_or(Value::Null);
    Value::Array(vec![field("rules"), field("roleRef"), field("subjects")])
}

type Sets = [BTreeSet<String>; 5];

fn sets(rules: &[PolicyRule]) -> Vec<Sets> {
    rules.iter().map(|rule| rule.sets().map(|set| set.into_iter().map(str::to_owned).collect())).collect()
}

fn rules(resource: &Resource) -> Vec<Sets> {
    let names = PolicyRule::default().lists().map(|(name, _)| name);
    let rules = resource.value.get("rules").and_then(Value::as_array).into_iter().flatten();
    let list = |rule: &Value, name: &str| {
        let items = rule.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    rules.map(|rule| names.map(|name| list(rule, name))).collect()
}

/// Kind, namespace and name of a subject; a service account without a namespace is in that of its RoleBinding.
fn rendered_subject(resource: &Resource, at: usize) -> Option<[String; 3]> {
    let subject = resource.value.get("subjects")?.get(at)?;
    let text = |key: &str| subject.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, id) = (text("kind"), resource.id());
    let namespace = match text("namespace") {
        namespace if kind == "ServiceAccount" && namespace.is_empty() => id.effective_namespace().to_owned(),
        namespace if kind == "ServiceAccount" => namespace,
        _ => String::new(),
    };
    Some([kind, namespace, text("name")])
}

fn written_subject(subject: &Subject) -> [String; 3] {
    let namespace = subject.namespace.as_deref().filter(|_| subject.kind == SubjectKind::ServiceAccount);
    [subject.kind.as_str().to_owned(), namespace.unwrap_or_default().to_owned(), subject.name.value.to_string()]
}
