//! The directory that `migrate` writes: what to apply first, what to apply then, and how to go back (`contract.md`,
//! `migrate`).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use deputize::authority::KubeVersion;
use deputize::grants::Grants;
use deputize::inventory::Object;
use deputize::migrate::Plan;
use deputize::output::{escape, json, yaml};

use super::Failure;

/// The stages' directories.
pub(super) const GRANT: &str = "1-grant";
pub(super) const CUTOVER: &str = "2-cutover";
const ROLLBACK: &str = "rollback";
/// What is removed at the cut-over. It is no part of the kustomization: nothing is deleted by applying.
pub(super) const DELETE: &str = "delete.yaml";
const KUSTOMIZATION: &str = "kustomization.yaml";
const PLAN: &str = "plan.json";

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
    version: KubeVersion,
) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    for stage in [GRANT, CUTOVER, ROLLBACK] {
        clear(&directory.join(stage))?;
    }
    let mut grant = Stage::new(directory.join(GRANT));
    for object in &plan.added {
        grant.add(short_name(object), object);
    }
    grant.write(true)?;
    let mut cutover = Stage::new(directory.join(CUTOVER));
    for object in &plan.cutover.remainders {
        cutover.add(short_name(object), object);
    }
    for object in &plan.cutover.changed {
        cutover.add(full_name(object), object);
    }
    cutover.write(true)?;
    let mut delete = Stage::new(directory.join(CUTOVER));
    for object in &plan.cutover.deleted {
        delete.add(DELETE.trim_end_matches(".yaml").to_owned(), object);
    }
    delete.write(false)?;
    let mut rollback = Stage::new(directory.join(ROLLBACK));
    for object in &plan.cutover.originals {
        rollback.add(full_name(object), object);
    }
    rollback.write(false)?;
    let path = directory.join(PLAN);
    let _ = fs::remove_file(&path);
    let mut file = create(&path)?;
    json::write_plan(&mut file, grants, plan, version)
        .and_then(|()| file.flush())
        .map_err(|error| failed(&path, &error))
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
        for (name, objects) in &self.objects {
            let path = self.directory.join(format!("{name}.yaml"));
            let mut file = create(&path)?;
            let written = yaml::write_objects(&mut file, objects.iter().copied()).and_then(|()| file.flush());
            written.map_err(|error| failed(&path, &error))?;
        }
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

/// The name of the file for an original object.
fn full_name(object: &Object) -> String {
    let meta = object.meta();
    let namespace = meta.effective_namespace().map(|namespace| format!("{namespace}.")).unwrap_or_default();
    file_name(&format!("{}.{namespace}{}", meta.kind.as_str().to_ascii_lowercase(), meta.name.as_str()))
}

/// A name that every file system takes; one that had to be changed has a hash of what it was.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._~".contains(c);
    let changed: String = name.chars().map(|c| if plain(c) { c } else { '.' }).take(150).collect();
    let only_colons = name.chars().all(|c| plain(c) || c == ':') && name.len() <= 150;
    // Two names that differ in these only would meet.
    if only_colons && !(name.contains(':') && name.contains('.')) && changed != "kustomization" && changed != "delete" {
        return changed;
    }
    format!("{changed}~{}", deputize::migrate::short_hash(name))
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

/// A new file; what is there is never followed nor overwritten.
fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| failed(path, &error))?;
    Ok(BufWriter::new(file))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Message(format!("{} cannot be written: {error}", escape(&path.to_string_lossy())))
}
