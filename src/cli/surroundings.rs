//! The files that `migrate --in-place` edits, and the kustomizations around them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputize::inventory::Inventory;
use deputize::kustomize::{self, Checked, Kustomization, Workspace};
use deputize::migrate::{Concerned, Plan, Stage, concerned};
use deputize::problem::Problem;
use deputize::rewrite::{FileChange, Manifests};
use deputize::source::{FileText, Input, Limits, read_file};

use super::Failure;
use super::files::{Files, not_editable};

/// The files of an input, and the kustomizations around them.
pub(super) struct Surroundings<'s> {
    inventory: &'s Inventory,
    pub(super) files: Files,
    workspace: Workspace<'static>,
    /// The paths of the kustomizations without links, by name.
    kustomizations: BTreeMap<Arc<str>, PathBuf>,
    /// The kustomizations that cannot be read, with their directories.
    unread: Vec<(PathBuf, Problem)>,
}

impl<'s> Surroundings<'s> {
    /// Finds the kustomizations around the paths.
    pub(super) fn new(paths: &[PathBuf], inventory: &'s Inventory) -> Result<Self, Failure> {
        let found = kustomize::find(paths).map_err(Failure::Message)?;
        let mut kustomizations = BTreeMap::new();
        let (mut read, mut unread) = (Vec::with_capacity(found.len()), Vec::new());
        for found in found {
            let Some(directory) = found.file.parent() else { continue };
            let bytes = bytes_of(&found.file).unwrap_or_default();
            match Kustomization::read(&found.name, directory, &bytes) {
                Ok(kustomization) => read.push(kustomization),
                Err(problem) => unread.push((directory.to_owned(), problem)),
            }
            kustomizations.insert(found.name, found.file);
        }
        let workspace = Workspace::new(read, &bytes_of);
        Ok(Self { inventory, files: Files::new(paths), workspace, kustomizations, unread })
    }

    /// Checks what the kustomizations make of the changes.
    pub(super) fn check(&self, plan: &Plan<'_>, stage: Stage, changes: &[FileChange]) -> Checked {
        let after: BTreeMap<PathBuf, &FileChange> =
            changes.iter().map(|change| (real(Path::new(change.path.as_ref())), change)).collect();
        let read = |path: &Path| after.get(path).map_or_else(|| bytes_of(path), |change| Some(change.after.clone()));
        let read_again = |(name, file): (&Arc<str>, &PathBuf)| {
            let bytes = read(file).unwrap_or_default();
            Kustomization::read(name, file.parent()?, &bytes).ok()
        };
        let workspace = Workspace::new(self.kustomizations.iter().filter_map(read_again).collect(), &read);
        let homes: BTreeMap<_, _> =
            changes.iter().flat_map(|change| change.added.iter().map(|key| (key.clone(), &change.path))).collect();
        let known: BTreeMap<_, _> = {
            let roles = self.inventory.roles.iter().map(|role| &role.meta);
            let all = roles.chain(self.inventory.bindings.iter().map(|binding| &binding.meta));
            all.map(|meta| (meta.key(), &meta.path)).collect()
        };
        let file = |name: &Arc<str>| real(Path::new(name.as_ref()));
        let Concerned { added, edited } = concerned(self.inventory, plan, stage);
        let added: Vec<kustomize::Added<'_>> = added
            .into_iter()
            .filter_map(|(object, bindings)| {
                let key = object.meta().key();
                let home = homes.get(&key).or_else(|| known.get(&key))?;
                let replaces = bindings.into_iter().map(|binding| (file(&binding.meta.path), binding)).collect();
                Some(kustomize::Added { object, file: file(home), replaces })
            })
            .collect();
        let edited: Vec<kustomize::Edited<'_>> = edited
            .into_iter()
            .map(|(role, after)| kustomize::Edited { role, file: file(&role.meta.path), after })
            .collect();
        let selectors = self.inventory.roles.iter().filter_map(|role| role.aggregation.as_ref());
        let requirements = selectors.flat_map(|it| &it.selectors).flat_map(|selector| &selector.requirements);
        let aggregating: BTreeSet<&str> = requirements.map(|requirement| requirement.key.as_str()).collect();
        let mut checked = kustomize::check(&self.workspace, &workspace, &added, &edited, &aggregating);
        let touched: Vec<&PathBuf> = added.iter().map(|it| &it.file).chain(edited.iter().map(|it| &it.file)).collect();
        for (directory, problem) in &self.unread {
            if touched.iter().any(|file| file.starts_with(directory)) {
                checked.problems.push(problem.clone());
            }
        }
        checked
    }
}

impl Manifests for Surroundings<'_> {
    fn read(&mut self, name: &Arc<str>) -> Result<Vec<u8>, Problem> {
        if self.inventory.streams.contains_key(name) {
            return Err(not_editable(name, "is a pipe and cannot be edited", "give the file that it is made from"));
        }
        self.files.read(name)
    }

    fn kustomizations(&mut self, name: &Arc<str>) -> Vec<Arc<str>> {
        self.workspace.naming(&real(Path::new(name.as_ref())))
    }

    fn is_same(&mut self, kustomization: &Arc<str>, resource: &str, name: &Arc<str>) -> bool {
        let directory = self.kustomizations.get(kustomization).and_then(|file| file.parent());
        directory.is_some_and(|directory| real(&directory.join(resource)) == real(Path::new(name.as_ref())))
    }

    fn resource(&mut self, kustomization: &Arc<str>, name: &Arc<str>) -> Option<String> {
        let directory = self.kustomizations.get(kustomization)?.parent()?;
        let file = real(Path::new(name.as_ref()));
        let inside = file.strip_prefix(directory).ok()?;
        let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
        Some(parts?.join("/"))
    }

    fn exists(&mut self, name: &Arc<str>) -> bool {
        Path::new(name.as_ref()).symlink_metadata().is_ok()
    }
}

/// A path without links; of a file that is not there yet, its directory's and its name.
fn real(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = || Some(parent.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

fn bytes_of(path: &Path) -> Option<Vec<u8>> {
    let mut text = FileText::default();
    read_file(&Input::named(path.to_owned(), false), &Limits::default(), &mut text).ok()?;
    Some(text.into_bytes())
}
