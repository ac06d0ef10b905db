//! What kustomize makes of RBAC objects, computed without kustomize.
//!
//! Objects that are added to a file are changed by every kustomization that uses the file: names get a prefix, namespaces
//! are replaced, patches reach them. This module computes the result for RBAC objects, and for what their fields refer to,
//! in the order in which kustomize works (`sigs.k8s.io/kustomize/api`, v0.21). What it cannot compute is marked, never
//! guessed.

mod check;
mod find;
mod patch;
mod read;
mod render;
mod select;

pub use check::{Added, Checked, Edited, check};
pub use find::{Found, find};
pub use read::{Kustomization, add_resource, resources};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The kustomizations of a directory tree, and the files that they use.
pub struct Workspace<'w> {
    kustomizations: Vec<Kustomization>,
    /// Their indices, by directory.
    by_directory: BTreeMap<PathBuf, usize>,
    /// What each of them uses: files and directories.
    resources: Vec<Vec<PathBuf>>,
    components: Vec<Vec<PathBuf>>,
    read: &'w dyn Fn(&Path) -> Option<Vec<u8>>,
}

impl<'w> Workspace<'w> {
    /// `read` gives the bytes of a file by its path without links.
    pub fn new(kustomizations: Vec<Kustomization>, read: &'w dyn Fn(&Path) -> Option<Vec<u8>>) -> Self {
        let by_directory = kustomizations.iter().enumerate().map(|(at, it)| (it.directory.clone(), at)).collect();
        let resolved = |names: fn(&Kustomization) -> &[String]| {
            let of = |it: &Kustomization| names(it).iter().map(|name| resolve(&it.directory, name)).collect();
            kustomizations.iter().map(of).collect()
        };
        let (resources, components) = (resolved(|it| &it.resources), resolved(|it| &it.components));
        Self { kustomizations, by_directory, resources, components, read }
    }

    /// The kustomizations that list a file among their resources.
    pub fn naming(&self, file: &Path) -> Vec<Arc<str>> {
        let named = self.kustomizations.iter().zip(&self.resources);
        named.filter(|(_, used)| used.iter().any(|path| path == file)).map(|(it, _)| Arc::clone(&it.path)).collect()
    }

    /// The kustomization in a directory.
    fn in_directory(&self, directory: &Path) -> Option<usize> {
        self.by_directory.get(directory).copied()
    }

    /// The kustomizations that no other one uses: these are what is applied.
    fn roots(&self) -> Vec<usize> {
        let used = self.resources.iter().chain(&self.components).flatten();
        let used: BTreeSet<usize> = used.filter_map(|path| self.in_directory(path)).collect();
        let is_applied = |at: &usize| !self.kustomizations[*at].is_component && !used.contains(at);
        (0..self.kustomizations.len()).filter(is_applied).collect()
    }

    /// The files that a kustomization uses, by itself or through others.
    fn files(&self, root: usize) -> BTreeSet<&Path> {
        let (mut files, mut seen, mut left) = (BTreeSet::new(), BTreeSet::new(), vec![root]);
        while let Some(at) = left.pop() {
            if !seen.insert(at) {
                continue;
            }
            for path in self.resources[at].iter().chain(&self.components[at]) {
                match self.in_directory(path) {
                    Some(other) => left.push(other),
                    None => {
                        files.insert(path.as_path());
                    }
                }
            }
        }
        files
    }
}

/// What a name in a kustomization stands for, without links where it exists.
fn resolve(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
