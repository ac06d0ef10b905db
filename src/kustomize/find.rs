//! The kustomizations that may use a file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use crate::source::{display_name, is_kustomization};

/// How many files and directories are looked at.
const MAX_ENTRIES: usize = 500_000;

/// A kustomization on disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its path without links.
    pub file: PathBuf,
    /// Its name for messages.
    pub name: Arc<str>,
}

/// Finds the kustomizations of the repositories in which the paths are; outside of a repository, those below the paths and
/// in the directories above them.
///
/// # Errors
/// When there are too many files to look at.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>, String> {
    let mut tops: BTreeSet<PathBuf> = BTreeSet::new();
    let mut found: BTreeSet<Found> = BTreeSet::new();
    let given: Vec<(&PathBuf, PathBuf)> =
        paths.iter().filter_map(|path| Some((path, path.canonicalize().ok()?))).collect();
    for (_, real) in &given {
        let start = if real.is_dir() { real.as_path() } else { real.parent().unwrap_or(real) };
        let repository = start.ancestors().find(|ancestor| ancestor.join(".git").exists());
        tops.insert(repository.unwrap_or(start).to_owned());
        if repository.is_none() {
            let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
            let above = start.ancestors().skip(1).flat_map(|directory| names.map(|name| directory.join(name)));
            found.extend(above.filter(|file| file.is_file()).map(|file| named(file, &given)));
        }
    }
    let mut left = MAX_ENTRIES;
    for top in tops {
        let entries = WalkDir::new(&top).into_iter().filter_entry(|entry| entry.file_name() != ".git");
        for entry in entries.filter_map(Result::ok) {
            left = left.checked_sub(1).ok_or_else(|| {
                format!("more than {MAX_ENTRIES} files are in {}: kustomizations cannot be found", display_name(&top))
            })?;
            if entry.file_type().is_file() && entry.file_name().to_str().is_some_and(is_kustomization) {
                found.insert(named(entry.into_path(), &given));
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Names a file as the paths given would name it, else from the working directory on.
fn named(file: PathBuf, given: &[(&PathBuf, PathBuf)]) -> Found {
    let inside = given.iter().find_map(|(path, real)| Some(path.join(file.strip_prefix(real).ok()?)));
    let relative = || {
        let directory = std::env::current_dir().ok()?.canonicalize().ok()?;
        Some(relative_to(&directory, &file))
    };
    let name = display_name(&inside.or_else(relative).unwrap_or_else(|| file.clone()));
    Found { file, name }
}

fn relative_to(directory: &Path, file: &Path) -> PathBuf {
    let common = directory.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = directory.components().skip(common).map(|_| "..");
    up.map(PathBuf::from).chain(file.components().skip(common).map(|part| PathBuf::from(part.as_os_str()))).collect()
}
