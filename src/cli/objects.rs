//! How the objects that `migrate` adds are named and marked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputize::inventory::Inventory;
use deputize::migrate::{CopiedLabel, NameTemplate, ObjectOptions};

#[derive(Debug, clap::Args)]
pub(super) struct ObjectArgs {
    /// Start the names of new objects with this instead of `deputize:`. Objects of an earlier run keep their names
    #[arg(
        long,
        value_name = "PREFIX",
        value_parser = NameTemplate::with_prefix,
        conflicts_with = "name_template",
        help_heading = "New objects"
    )]
    name_prefix: Option<NameTemplate>,
    /// Name new objects like this, with {mode}, {kind}, {subject}, {namespace}, {name} and {hash} filled in; the default is
    /// deputize:{mode}:{kind}:{subject}
    #[arg(long, value_name = "TEMPLATE", value_parser = NameTemplate::parse, help_heading = "New objects")]
    name_template: Option<NameTemplate>,
    /// Copy these labels, such as those that say who owns an object, from the objects that are replaced
    #[arg(
        long,
        value_name = "KEY",
        value_delimiter = ',',
        value_parser = CopiedLabel::parse,
        help_heading = "New objects"
    )]
    copy_labels: Vec<CopiedLabel>,
}

impl ObjectArgs {
    /// The options for the objects of an input. Where files are edited, sources outside of a repository are left out: their
    /// names would depend on the working directory.
    pub(super) fn options(&self, inventory: &Inventory, in_place: bool) -> ObjectOptions {
        ObjectOptions {
            names: self.name_prefix.as_ref().or(self.name_template.as_ref()).cloned().unwrap_or_default(),
            copied_labels: self.copy_labels.iter().cloned().collect(),
            sources: (!inventory.live).then(|| sources(inventory, in_place)),
        }
    }
}

/// The names of the inventory's files, relative to their repositories.
fn sources(inventory: &Inventory, in_place: bool) -> BTreeMap<Arc<str>, String> {
    let files: BTreeSet<&Arc<str>> = inventory.roles.iter().map(|role| &role.meta.path).collect();
    let mut roots: BTreeMap<PathBuf, Option<PathBuf>> = BTreeMap::new();
    let mut source = |file: &Arc<str>| {
        let is_stream = inventory.streams.contains_key(file);
        let relative = if is_stream { None } else { in_repository(Path::new(file.as_ref()), &mut roots) };
        relative.or_else(|| (!in_place).then(|| file.to_string()))
    };
    files.into_iter().filter_map(|file| Some((Arc::clone(file), source(file)?))).collect()
}

/// The name of a file in its repository: that of the nearest ancestor that holds `.git`.
fn in_repository(file: &Path, roots: &mut BTreeMap<PathBuf, Option<PathBuf>>) -> Option<String> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = parent.canonicalize().ok()?;
    let find = || directory.ancestors().find(|ancestor| ancestor.join(".git").exists()).map(Path::to_owned);
    let root = roots.entry(directory.clone()).or_insert_with(find).clone()?;
    let inside = directory.strip_prefix(root).ok()?.join(file.file_name()?);
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}
