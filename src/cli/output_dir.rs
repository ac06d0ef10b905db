//! The directory that `migrate` writes: what to apply first, what to apply then, and how to go back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputize::authority::KubeVersion;
use deputize::grants::Grants;
use deputize::inventory::Object;
use deputize::migrate::{LegacyException, Plan, short_hash};
use deputize::output::{escape, plan as plan_output, yaml};
use rayon::prelude::*;

use super::Failure;

/// The stages' directories.
pub(super) const GRANT: &str = "1-grant";
pub(super) const CUTOVER: &str = "2-cutover";
const ROLLBACK: &str = "rollback";
/// What is removed at the cut-over. It is no part of the kustomization: nothing is deleted by applying.
pub(super) const DELETE: &str = "delete.yaml";
const KUSTOMIZATION: &str = "kustomization.yaml";
const PLAN: &str = "plan.json";
/// What stays legacy, as exceptions for `deputize.toml`.
pub(super) const ACCEPT: &str = "accept.toml";
/// Longest name of a file without its extension, and without a hash.
const MAX_NAME: usize = 150;

/// Sees to it that the directory may be written: it does not exist, or is empty, or `force` is given.
pub(super) fn check(directory: &Path, force: bool) -> Result<(), Failure> {
    let entries = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(directory, &error)),
    };
    if entries.is_some() && !force {
        let shown = escape(&directory.to_string_lossy()).into_owned();
        return Err(Failure::Message(format!(
            "{shown} is not empty: use --force to replace what an earlier run wrote"
        )));
    }
    Ok(())
}

/// Writes everything. What an earlier run wrote is removed first, and nothing else.
pub(super) fn write(
    directory: &Path,
    grants: &Grants<'_>,
    plan: &Plan<'_>,
    exceptions: &[LegacyException],
    version: KubeVersion,
) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    for stage in [GRANT, CUTOVER, ROLLBACK] {
        clear(&directory.join(stage))?;
    }
    write_accept(&directory.join(ACCEPT), exceptions)?;
    // The plan is as large as all manifests together.
    let (stages, plan) =
        rayon::join(|| write_stages(directory, plan), || write_plan(&directory.join(PLAN), grants, plan, version));
    stages.and(plan)
}

fn write_stages(directory: &Path, plan: &Plan<'_>) -> Result<(), Failure> {
    let mut grant = Stage::new(directory.join(GRANT));
    for object in &plan.added {
        grant.add(short_name(object), object);
    }
    grant.write(true)?;
    let mut cutover = Stage::new(directory.join(CUTOVER));
    for object in &plan.cutover.remainders {
        cutover.add(short_name(object), object);
    }
    let names = source_names(&plan.cutover.originals);
    let of_source = |object: &Object| names.get(&object.meta().path).cloned().unwrap_or_default();
    for object in &plan.cutover.changed {
        cutover.add(of_source(object), object);
    }
    cutover.write(true)?;
    let mut delete = Stage::new(directory.join(CUTOVER));
    for object in &plan.cutover.deleted {
        delete.add(DELETE.trim_end_matches(".yaml").to_owned(), object);
    }
    delete.write(false)?;
    let mut rollback = Stage::new(directory.join(ROLLBACK));
    for object in &plan.cutover.originals {
        rollback.add(of_source(object), object);
    }
    rollback.write(false)
}

fn write_accept(path: &Path, exceptions: &[LegacyException]) -> Result<(), Failure> {
    let _ = fs::remove_file(path);
    if exceptions.is_empty() {
        return Ok(());
    }
    let mut file = create(path)?;
    let written = plan_output::write_accept(&mut file, exceptions.iter()).and_then(|()| file.flush());
    written.map_err(|error| failed(path, &error))
}

fn write_plan(path: &Path, grants: &Grants<'_>, plan: &Plan<'_>, version: KubeVersion) -> Result<(), Failure> {
    let _ = fs::remove_file(path);
    let mut file = create(path)?;
    plan_output::write_json(&mut file, grants, plan, version)
        .and_then(|()| file.flush())
        .map_err(|error| failed(path, &error))
}

/// The files of one directory, in the order in which they are applied.
struct Stage<'o> {
    directory: PathBuf,
    order: Vec<String>,
    objects: BTreeMap<String, Vec<&'o Object>>,
}

impl<'o> Stage<'o> {
    fn new(directory: PathBuf) -> Self {
        Self { directory, order: Vec::new(), objects: BTreeMap::new() }
    }

    fn add(&mut self, name: String, object: &'o Object) {
        let objects = self.objects.entry(name.clone()).or_default();
        if objects.is_empty() {
            self.order.push(name);
        }
        objects.push(object);
    }

    fn write(&self, kustomization: bool) -> Result<(), Failure> {
        if self.order.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.directory).map_err(|error| failed(&self.directory, &error))?;
        let write = |(name, objects): (&String, &Vec<&Object>)| {
            let path = self.directory.join(format!("{name}.yaml"));
            let mut file = create(&path)?;
            let written = yaml::write_objects(&mut file, objects.iter().copied()).and_then(|()| file.flush());
            written.map_err(|error| failed(&path, &error))
        };
        // What is said of a failure must not depend on which file was sooner.
        let written: Vec<Result<(), Failure>> = self.objects.par_iter().map(write).collect();
        written.into_iter().collect::<Result<(), Failure>>()?;
        if kustomization {
            let path = self.directory.join(KUSTOMIZATION);
            let mut file = create(&path)?;
            let written = yaml::write_kustomization(&mut file, self.order.iter().map(|name| format!("{name}.yaml")));
            written.and_then(|()| file.flush()).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }
}

/// The name of the file for a generated object: roles and bindings of one name are together.
fn short_name(object: &Object) -> String {
    let name = object.meta().name.as_str();
    file_name(name.strip_prefix("deputize:").unwrap_or(name))
}

/// The names of the files for original objects: those that stand in one file stay together.
fn source_names(originals: &[Object]) -> BTreeMap<Arc<str>, String> {
    let mut names: BTreeMap<Arc<str>, String> = BTreeMap::new();
    let mut taken: BTreeSet<String> = ["delete".to_owned(), "kustomization".to_owned()].into();
    for object in originals {
        let path = &object.meta().path;
        if names.contains_key(path) {
            continue;
        }
        let stem = [".yaml", ".yml", ".json"].iter().find_map(|extension| path.strip_suffix(extension));
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '.' };
        let name: String = stem.unwrap_or(path).chars().map(plain).collect();
        // The end of a path tells more than its beginning.
        let name = name.get(name.len().saturating_sub(MAX_NAME)..).unwrap_or_default().trim_matches('.');
        let name = if name.is_empty() || name == "-" { "input" } else { name };
        let name = if taken.contains(name) { format!("{name}~{}", short_hash(path)) } else { name.to_owned() };
        taken.insert(name.clone());
        names.insert(Arc::clone(path), name);
    }
    names
}

/// A name that every file system takes; one that had to be changed has a hash of what it was.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._~".contains(c);
    let changed: String = name.chars().map(|c| if plain(c) { c } else { '.' }).take(MAX_NAME).collect();
    let only_colons = name.chars().all(|c| plain(c) || c == ':') && name.len() <= MAX_NAME;
    // Two names that differ in these only would meet.
    if only_colons && !(name.contains(':') && name.contains('.')) {
        return changed;
    }
    format!("{changed}~{}", short_hash(name))
}

/// Removes the manifests that an earlier run has left. What is a link is not followed.
fn clear(directory: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(directory, &error)),
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            let shown = escape(&directory.to_string_lossy()).into_owned();
            return Err(Failure::Message(format!("{shown} is no directory: remove it, or choose another one")));
        }
    }
    for entry in fs::read_dir(directory).map_err(|error| failed(directory, &error))? {
        let path = entry.map_err(|error| failed(directory, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
    }
    Ok(())
}

/// Writes what was made of a cluster into a file that has its name. What is there is replaced only if that is asked for.
#[cfg(feature = "cluster")]
pub(super) fn write_named(
    directory: &Path,
    cluster: &str,
    extension: &str,
    text: &[u8],
    force: bool,
) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    // A name that begins with a dot is overlooked.
    let name = file_name(cluster);
    let path = directory.join(format!("{}.{extension}", name.trim_start_matches(['.', '~'])));
    let there = fs::symlink_metadata(&path).is_ok();
    if there && !force {
        let shown = path.to_string_lossy();
        return Err(Failure::Message(format!("{} is there already: use --force to replace it", escape(&shown))));
    }
    if there {
        // A link is removed, not followed.
        fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
    }
    let mut file = create(&path)?;
    file.write_all(text).and_then(|()| file.flush()).map_err(|error| failed(&path, &error))
}

/// A new file; what is there is never followed nor overwritten.
fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| failed(path, &error))?;
    Ok(BufWriter::new(file))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Message(format!("{} cannot be written: {error}", escape(&path.to_string_lossy())))
}
