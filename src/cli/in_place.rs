//! `deputize migrate --in-place`: the manifests themselves are edited.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use deputize::grants::Grants;
use deputize::inventory::ObjectKey;
use deputize::migrate::{FileChange, Plan, Stage, in_place};
use deputize::output::diff::write_diff;
use deputize::output::{escape, human};
use deputize::problem::{Problem, ProblemKind};
use deputize::source::{FileText, Input, Limits, read_file};

use super::input::InputArgs;
use super::{Failure, Outcome, Status, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct InPlaceArgs {
    /// Edit the manifests themselves; every byte that need not change stays
    #[arg(long, requires = "stage", conflicts_with_all = ["output_dir", "output"], help_heading = "Output")]
    in_place: bool,
    /// Which of the two stages --in-place does
    #[arg(long, value_enum, value_name = "STAGE", requires = "in_place", help_heading = "Output")]
    stage: Option<StageArg>,
    /// Print what --in-place would change, and change nothing
    #[arg(long, requires = "in_place", help_heading = "Output")]
    diff: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StageArg {
    /// Add the constrained roles and bindings
    Grant,
    /// Take the legacy verb away
    Cutover,
}

impl InPlaceArgs {
    /// The stage, if the manifests are to be edited.
    pub(super) fn stage(&self) -> Option<Stage> {
        self.stage.filter(|_| self.in_place).map(|stage| match stage {
            StageArg::Grant => Stage::Grant,
            StageArg::Cutover => Stage::Cutover,
        })
    }

    /// Sees to it that there are files to edit.
    pub(super) fn check(&self, input: &InputArgs) -> Result<(), Failure> {
        if self.in_place && input.reads_stdin() {
            let message = "standard input cannot be edited: give the files or directories, or leave --in-place out";
            return Err(Failure::Message(message.to_owned()));
        }
        Ok(())
    }
}

/// Does a stage, or prints what it would do.
pub(super) fn run(
    args: &InPlaceArgs,
    stage: Stage,
    input: &InputArgs,
    grants: &Grants<'_>,
    plan: &Plan<'_>,
) -> Outcome {
    let streams = &grants.inventory().streams;
    let mut files = Files::new(&input.paths);
    let mut read = |name: &Arc<str>| {
        if streams.contains_key(name) {
            return Err(not_editable(name, "is a pipe and cannot be edited", "give the file that it is made from"));
        }
        files.read(name)
    };
    let planned = in_place(grants, plan, stage, &mut read);
    let mut err = terminal::stderr();
    if !planned.problems.is_empty() {
        human::write_problems(&mut err, &planned.problems)?;
        writeln!(err, "no file was changed")?;
        err.flush()?;
        return Ok(Status::Failed);
    }
    let (by_hand, edited): (Vec<&FileChange>, Vec<&FileChange>) =
        planned.changes.iter().partition(|change| change.template.is_some());
    let shown = if args.diff { planned.changes.iter().collect() } else { by_hand.clone() };
    let mut out = terminal::stdout();
    let printed = shown.iter().try_for_each(|change| write_diff(&mut out, &change.path, &change.before, &change.after));
    terminal::unless_closed(printed.and_then(|()| out.flush()))?;
    if !args.diff {
        files.write(&edited)?;
    }
    say_what_was_done(&mut err, args.diff, &edited, &by_hand)?;
    if !args.diff && !planned.changes.is_empty() {
        say_what_is_next(&mut err, stage, plan)?;
    }
    if stage == Stage::Grant {
        warn_of_copies(&mut err, grants, plan)?;
    }
    let edited = !args.diff && !edited.is_empty();
    let missing = stage == Stage::Cutover && warn_of_missing(&mut err, edited, grants, plan)?;
    err.flush()?;
    Ok(if by_hand.is_empty() && !missing { Status::Clean } else { Status::Reported })
}

fn say_what_was_done(
    err: &mut dyn Write,
    diff: bool,
    edited: &[&FileChange],
    by_hand: &[&FileChange],
) -> io::Result<()> {
    if edited.is_empty() && by_hand.is_empty() {
        return writeln!(err, "there is nothing to change");
    }
    for change in edited {
        let verb = if diff { "would change" } else { "changed" };
        writeln!(err, "{verb} {}", escape(&change.path))?;
    }
    for change in edited.iter().filter(|change| change.is_empty) {
        let holds = if diff { "would hold" } else { "holds" };
        writeln!(err, "{} {holds} no object any more: remove it, and what names it", escape(&change.path))?;
    }
    for change in by_hand {
        let language = change.template.map_or("", |language| language.as_str());
        writeln!(err, "not changed, a template ({language}); make the change above by hand: {}", escape(&change.path))?;
    }
    if !by_hand.is_empty() {
        writeln!(err, "{} to change by hand", human::count(by_hand.len(), "template"))?;
    }
    Ok(())
}

fn say_what_is_next(err: &mut dyn Write, stage: Stage, plan: &Plan<'_>) -> io::Result<()> {
    match stage {
        Stage::Grant => writeln!(
            err,
            "next: review the files and apply them as always; nothing is taken away by it. Once every API server is at 1.36 \
             or later, run this again with --stage cutover"
        ),
        Stage::Cutover => {
            writeln!(
                err,
                "next: review the files and apply them as always. To go back, restore the files and apply them again"
            )?;
            if !plan.cutover.deleted.is_empty() {
                writeln!(err, "these are in no file any more; applying does not delete them unless it prunes:")?;
            }
            let deleted = plan.cutover.deleted.iter();
            deleted.map(|object| object.meta().reference()).try_for_each(|name| writeln!(err, "  {}", escape(&name)))
        }
    }
}

/// A role that stands in several files is one; where these are for several clusters, each needs what is added.
fn warn_of_copies(err: &mut dyn Write, grants: &Grants<'_>, plan: &Plan<'_>) -> io::Result<()> {
    let replaced = plan.grants.iter().filter(|planned| !planned.replaced_by.is_empty());
    let roles: BTreeSet<_> = replaced.map(|planned| planned.from).collect();
    for meta in roles.into_iter().map(|role| &grants.inventory().role(role).meta) {
        if let Some((copy, _)) = meta.copies.iter().find(|(copy, _)| *copy != meta.path) {
            writeln!(
                err,
                "warning: {} stands in {} and in {}; what replaces it is added to the first only: where they are for \
                 different clusters, migrate each by itself",
                escape(&meta.describe()),
                escape(&meta.path),
                escape(copy)
            )?;
        }
    }
    Ok(())
}

/// The cut-over counts on what the first stage adds. Whether any of it is missing.
fn warn_of_missing(err: &mut dyn Write, edited: bool, grants: &Grants<'_>, plan: &Plan<'_>) -> io::Result<bool> {
    let inventory = grants.inventory();
    let known: std::collections::HashSet<ObjectKey> = inventory
        .roles
        .iter()
        .map(|role| role.meta.key())
        .chain(inventory.bindings.iter().map(|binding| binding.meta.key()))
        .collect();
    let missing = plan.added.iter().filter(|object| !known.contains(&object.meta().key())).count();
    if missing == 0 {
        return Ok(false);
    }
    writeln!(
        err,
        "warning: {} that the impersonators need instead {} in no manifest: {}run --stage grant, and apply what it adds before \
         the cut-over",
        human::count(missing, "constrained object"),
        if missing == 1 { "is" } else { "are" },
        // Without the legacy grants there is nothing left to tell what to add.
        if edited { "restore the files, " } else { "" },
    )?;
    Ok(true)
}

/// The files that are edited, and where they really are.
struct Files {
    /// The directories that were given, and the directories of the files that were, without links on the way.
    roots: Vec<PathBuf>,
    real: BTreeMap<Arc<str>, PathBuf>,
}

impl Files {
    fn new(paths: &[PathBuf]) -> Self {
        let real = |path: &PathBuf| {
            let real = path.canonicalize().ok()?;
            if real.is_dir() {
                return Some(real);
            }
            // A link that is given stands for nothing outside of its directory.
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(parent.canonicalize().ok()?.join(path.file_name()?))
        };
        Self { roots: paths.iter().filter_map(real).collect(), real: BTreeMap::new() }
    }

    fn read(&mut self, name: &Arc<str>) -> Result<Vec<u8>, Problem> {
        let path = PathBuf::from(name.as_ref());
        let unreadable = |error: &dyn std::fmt::Display| {
            not_editable(
                name,
                &format!("cannot be read again: {error}"),
                "check that it is still there, then run again",
            )
        };
        let real = path.canonicalize().map_err(|error| unreadable(&error))?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            let help = "give the file to which it leads instead";
            return Err(not_editable(name, "is a symbolic link that leads out of the paths given", help));
        }
        if let Some((other, _)) = self.real.iter().find(|(_, known)| **known == real) {
            let message = format!("is the same file as {other}");
            return Err(not_editable(name, &message, "give it once, under one name"));
        }
        let mut text = FileText::default();
        let limits = Limits { max_file_bytes: Limits::MAX_FILE_BYTES };
        read_file(&Input::named(real.clone(), false), &limits, &mut text).map_err(|error| unreadable(&error))?;
        self.real.insert(Arc::clone(name), real);
        Ok(text.into_bytes())
    }

    /// Writes all files, or none if one of them has changed meanwhile or cannot be written.
    fn write(&self, changes: &[&FileChange]) -> Result<(), Failure> {
        let mut ready = Vec::with_capacity(changes.len());
        for change in changes {
            let Some(real) = self.real.get(&change.path) else { continue };
            ready.push(Replacement::prepare(real, change).map_err(|error| failed(&change.path, &error))?);
        }
        for replacement in &ready {
            replacement.check().map_err(|error| failed(&replacement.change.path, &error))?;
        }
        for replacement in ready {
            let path = Arc::clone(&replacement.change.path);
            replacement.finish().map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }
}

/// A new file beside the one whose place it takes.
struct Replacement<'c> {
    real: &'c Path,
    new: PathBuf,
    change: &'c FileChange,
}

impl<'c> Replacement<'c> {
    fn prepare(real: &'c Path, change: &'c FileChange) -> io::Result<Self> {
        let permissions = fs::metadata(real)?.permissions();
        let (mut file, new) = create_beside(real)?;
        let replacement = Self { real, new, change };
        file.write_all(&change.after)?;
        file.set_permissions(permissions)?;
        file.sync_all()?;
        Ok(replacement)
    }

    /// Sees to it that the file is what was edited.
    fn check(&self) -> io::Result<()> {
        if fs::symlink_metadata(self.real)?.is_file() && fs::read(self.real)? == self.change.before {
            return Ok(());
        }
        Err(io::Error::other("it has changed since it was read; run the command again"))
    }

    fn finish(self) -> io::Result<()> {
        self.check()?;
        fs::rename(&self.new, self.real)?;
        // Where a directory cannot be synced, the rename is as safe as it gets.
        if let Some(directory) = self.real.parent().and_then(|parent| File::open(parent).ok()) {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

/// Whatever goes wrong, nothing is left behind.
impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.new);
    }
}

/// A new file in the same directory; what is there is never followed nor overwritten.
fn create_beside(real: &Path) -> io::Result<(File, PathBuf)> {
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    for attempt in 0..100 {
        let new = real.with_file_name(format!(".{name}.deputize-{}-{attempt}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&new) {
            Ok(file) => return Ok((file, new)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there is no free name for a temporary file beside it"))
}

fn failed(path: &str, error: &io::Error) -> Failure {
    Failure::Message(format!("{} cannot be written: {error}", escape(path)))
}

fn not_editable(path: &Arc<str>, message: &str, help: &str) -> Problem {
    Problem {
        path: Arc::clone(path),
        place: None,
        kind: ProblemKind::NotEditable,
        message: message.to_owned(),
        help: Some(help.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_changed_meanwhile_keeps_all_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let name = |name: &str| -> Arc<str> { Arc::from(path(name).to_string_lossy()) };
        fs::write(path("a.yaml"), "a").unwrap();
        fs::write(path("b.yaml"), "b").unwrap();
        let mut files = Files::new(&[directory.path().to_owned()]);
        let changes: Vec<FileChange> = ["a.yaml", "b.yaml"]
            .into_iter()
            .map(|file| {
                let before = files.read(&name(file)).unwrap();
                FileChange { path: name(file), before, after: b"new".to_vec(), template: None, is_empty: false }
            })
            .collect();
        fs::write(path("b.yaml"), "changed").unwrap();
        let changes: Vec<&FileChange> = changes.iter().collect();
        let Err(Failure::Message(message)) = files.write(&changes) else { unreachable!("it has changed") };
        assert!(message.contains("b.yaml cannot be written: it has changed since it was read"), "{message}");
        assert_eq!(fs::read(path("a.yaml")).unwrap(), b"a");
        assert_eq!(fs::read(path("b.yaml")).unwrap(), b"changed");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left behind");
    }
}
