//! Which files the given paths stand for.

use std::cmp::Ordering;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Input, PathFilter, display_name};
use crate::problem::{Problem, ProblemKind};

/// The directory of a chart in which its templates stand.
const TEMPLATES: &str = "templates";

/// What is below a directory and was not read, by kind, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Symbolic links out of the directory, which would read what was not given, to directories, and to nothing.
    pub symlinks: Vec<Arc<str>>,
    /// Directories that a migration has written, where these are left out.
    pub outputs: Vec<Arc<str>>,
    /// Files and directories that the configuration excludes.
    pub excluded: Vec<Arc<str>>,
    /// Sockets, pipes and devices that are named like manifests.
    pub special: Vec<Arc<str>>,
}

/// The files found, sorted by name, each once.
#[derive(Debug, Default)]
pub struct Discovered {
    /// What to read.
    pub inputs: Vec<Input>,
    /// Charts that are packed, among those that a chart depends on.
    pub archives: Vec<Input>,
    /// What was left out.
    pub skipped: Skipped,
    /// Directories that could not be read, paths that do not exist.
    pub problems: Vec<Problem>,
}

/// Finds the files that `paths` stand for: files as they are, directories with every `.yaml`,
/// `.yml` and `.json`, every kustomization and template (`.yaml.j2`) below them, hidden and git-ignored ones included (a pull request must not be
/// able to hide a grant), `.git` excepted; `-` is standard input. What `leave_out` says is left out.
pub fn discover(paths: &[PathBuf], leave_out: &LeaveOut) -> Discovered {
    let exclude: Vec<PathBuf> = leave_out.directories.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let parts = Mutex::new(Vec::new());
    rayon::scope(|scope| {
        for path in paths {
            let mut part = Discovered::default();
            if path.as_os_str() == super::STDIN {
                part.inputs.push(Input::stdin());
            } else {
                match std::fs::metadata(path) {
                    Ok(metadata) if metadata.is_dir() => {
                        let real = path.canonicalize().ok();
                        let root = Root {
                            given: path.clone(),
                            in_templates: real.as_deref().is_some_and(is_in_templates),
                            real,
                            exclude: exclude.clone(),
                            without_outputs: leave_out.outputs,
                            filter: leave_out.filter.clone(),
                        };
                        let parts = &parts;
                        scope.spawn(move |scope| read_directory(scope, root.given.clone(), Arc::new(root), parts));
                    }
                    // A pipe that the user names, as a shell's `<(…)` does, is read like a file.
                    Ok(metadata) => part.inputs.push(Input::named(path.clone(), !metadata.is_file())),
                    Err(error) => part.problems.push(unreadable(path, &error.to_string())),
                }
            }
            add(&parts, part);
        }
    });
    let mut found = merge(parts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
    found.inputs.dedup_by(|a, b| a.name == b.name);
    found.archives.sort_by(|a, b| a.name.cmp(&b.name));
    found.archives.dedup_by(|a, b| a.name == b.name);
    found.problems.sort_by(|a, b| a.path.cmp(&b.path));
    found.skipped.symlinks.sort();
    found.skipped.special.sort();
    found.skipped.outputs.sort();
    found.skipped.excluded.sort();
    found
}

/// A directory that was given.
#[derive(Debug)]
struct Root {
    given: PathBuf,
    /// The directory without any links on the way; none if that cannot be told.
    real: Option<PathBuf>,
    /// Directories that are not looked at, likewise.
    exclude: Vec<PathBuf>,
    /// Whether directories that a migration has written are left out.
    without_outputs: bool,
    /// Which files the configuration reads.
    filter: Option<PathFilter>,
    /// Whether it stands below a directory of templates.
    in_templates: bool,
}

/// What is not read below the directories that are given.
#[derive(Debug, Clone, Default)]
pub struct LeaveOut {
    /// These directories.
    pub directories: Vec<PathBuf>,
    /// Whatever a migration has written: it holds each object several times. Not for those who look for grants, since
    /// anyone can make a directory look like that.
    pub outputs: bool,
    /// What the configuration excludes. Paths that are given are read all the same.
    pub filter: Option<PathFilter>,
}

/// Whether a migration has written the directory.
fn is_output(directory: &Path) -> bool {
    let mut start = [0; 64];
    let read = File::open(directory.join("plan.json")).and_then(|mut plan| plan.read(&mut start));
    let start = read.ok().and_then(|read| start.get(..read)).unwrap_or_default();
    memchr::memmem::find(start, b"deputize.plan/").is_some()
}

impl Root {
    /// Whether a directory belongs to the templates of a chart, of which it may be all that was given. Helm renders all
    /// files there, whatever their names, but for the notes.
    fn is_below_templates(&self, directory: &Path) -> bool {
        let below = directory.strip_prefix(&self.given).ok();
        let real = self.real.as_deref().zip(below).map(|(real, below)| real.join(below));
        let real = real.as_deref().unwrap_or(directory);
        let templates = real.ancestors().filter(|directory| directory.ends_with(TEMPLATES));
        templates.into_iter().any(|directory| directory.with_file_name("Chart.yaml").is_file())
    }

    /// Reports whether the configuration excludes a file or directory below it.
    fn is_excluded(&self, path: &Path, is_directory: bool) -> bool {
        let (Some(filter), Some(real)) = (&self.filter, &self.real) else { return false };
        let Ok(below) = path.strip_prefix(&self.given) else { return false };
        let path = real.join(below);
        if is_directory { filter.excludes_directory(&path) } else { filter.excludes_file(&path) }
    }

    /// Whether a link is to be read like a file: it is named like a manifest, and leads to a regular file below the
    /// directory that is not found by its own name. `kubectl apply -f` follows it, so that it must not hide anything.
    fn leads_to_hidden_file(&self, link: &Path) -> bool {
        let (Some(root), Ok(target)) = (&self.real, link.canonicalize()) else { return false };
        let Ok(inside) = target.strip_prefix(root) else { return false };
        let in_git = inside.components().any(|part| part.as_os_str() == ".git");
        is_named_like_a_manifest(link) && target.is_file() && (in_git || !is_named_like_a_manifest(&target))
    }
}

/// Lists one directory; its subdirectories become tasks of their own.
fn read_directory<'scope>(
    scope: &rayon::Scope<'scope>,
    directory: PathBuf,
    root: Arc<Root>,
    parts: &'scope Mutex<Vec<Discovered>>,
) {
    let mut part = Discovered::default();
    if !root.exclude.is_empty() && directory.canonicalize().is_ok_and(|real| root.exclude.contains(&real)) {
        return;
    }
    if root.without_outputs && is_output(&directory) {
        part.skipped.outputs.push(display_name(&directory));
        return add(parts, part);
    }
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) => {
            part.problems.push(unreadable(&directory, &error.to_string()));
            return add(parts, part);
        }
    };
    let in_templates = root.in_templates || is_in_templates(&directory);
    let mut below_templates = None;
    for entry in entries {
        let (path, kind) = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok(entry) => entry,
            Err(error) => {
                part.problems.push(unreadable(&directory, &error.to_string()));
                continue;
            }
        };
        if kind.is_dir() {
            if path.file_name().is_none_or(|name| name == ".git") {
                continue;
            }
            if root.is_excluded(&path, true) {
                part.skipped.excluded.push(display_name(&path));
            } else {
                let root = Arc::clone(&root);
                scope.spawn(move |scope| read_directory(scope, path, root, parts));
            }
        } else if is_named_like_a_manifest(&path) {
            if kind.is_file() || kind.is_symlink() && root.leads_to_hidden_file(&path) {
                part.inputs.push(Input::found(path, in_templates));
            } else if kind.is_symlink() {
                part.skipped.symlinks.push(display_name(&path));
            } else {
                part.skipped.special.push(display_name(&path));
            }
        } else if kind.is_file() && *below_templates.get_or_insert_with(|| root.is_below_templates(&directory)) {
            part.inputs.push(Input::found_template(path, true));
        } else if kind.is_file() && is_named_like_a_template(&path) {
            part.inputs.push(Input::found_template(path, in_templates));
        } else if kind.is_file() && is_packed_chart(&path) {
            part.archives.push(Input::found(path, in_templates));
        } else if kind.is_symlink() {
            part.skipped.symlinks.push(display_name(&path));
        }
        // Whatever else there is, is no manifest by its name; counting it would drown what matters.
    }
    if root.filter.is_some() {
        let is_excluded = |input: &mut Input| input.file.as_deref().is_some_and(|file| root.is_excluded(file, false));
        let inputs = part.inputs.extract_if(.., is_excluded).chain(part.archives.extract_if(.., is_excluded));
        part.skipped.excluded.extend(inputs.map(|input| input.name));
    }
    part.inputs.sort_unstable_by(by_name);
    add(parts, part);
}

/// Whether a path leads through a directory that may be that of a chart's templates.
pub(super) fn is_in_templates(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == TEMPLATES)
}

fn add(parts: &Mutex<Vec<Discovered>>, part: Discovered) {
    parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(part);
}

/// An explicit mention of a file wins over finding it below a directory.
fn by_name(a: &Input, b: &Input) -> Ordering {
    a.name.cmp(&b.name).then(b.explicit.cmp(&a.explicit))
}

/// Puts together what was found, directory by directory; the files of each are sorted.
fn merge(mut parts: Vec<Discovered>) -> Discovered {
    // Most directories have none below them, and follow each other: little is left to sort then.
    let first = |part: &Discovered| part.inputs.first().map(|input| Arc::clone(&input.name));
    parts.sort_by_cached_key(first);
    let mut found = Discovered::default();
    for part in parts {
        found.inputs.extend(part.inputs);
        found.archives.extend(part.archives);
        found.problems.extend(part.problems);
        found.skipped.symlinks.extend(part.skipped.symlinks);
        found.skipped.special.extend(part.skipped.special);
        found.skipped.outputs.extend(part.skipped.outputs);
        found.skipped.excluded.extend(part.skipped.excluded);
    }
    found.inputs.sort_by(by_name);
    found
}

/// Whether a file is a chart that another one has packed among those that it depends on.
fn is_packed_chart(file: &Path) -> bool {
    let is_dependency = |directory: PathBuf| {
        directory.ends_with("charts") && directory.parent().is_some_and(|chart| chart.join("Chart.yaml").is_file())
    };
    file.extension().is_some_and(|extension| extension == "tgz")
        && file.canonicalize().ok().and_then(|file| Some(is_dependency(file.parent()?.to_owned()))).unwrap_or_default()
}

/// `.yaml`, `.yml` and `.json`, in any case: `kubectl apply -k` does not look at the case either; and kustomizations.
pub(crate) fn is_named_like_a_manifest(path: &Path) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)),
        None => path.file_name().and_then(|name| name.to_str()).is_some_and(is_kustomization),
    }
}

/// The name of a manifest before another ending: `role.yaml.j2`, `role.yaml.in`, `role.json.bak`, `role.yaml~`. It may be a
/// template in whatever language, a copy, or no YAML at all.
fn is_named_like_a_template(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let stem = name.strip_suffix('~').or_else(|| name.rsplit_once('.').map(|(stem, _)| stem));
    // A name that is an ending alone says nothing: `.yaml.swp`.
    stem.is_some_and(|stem| !is_kustomization(stem) && is_named_like_a_manifest(Path::new(stem)))
}

/// Whether Kustomize takes a file for a kustomization, whatever that says of itself. Of three names, one has no ending.
pub fn is_kustomization(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name)
}

fn unreadable(path: &Path, reason: &str) -> Problem {
    Problem {
        path: display_name(path),
        place: None,
        kind: ProblemKind::Unreadable,
        message: format!("cannot be read: {reason}"),
        help: Some("check that the path exists and may be read".to_owned()),
    }
}
