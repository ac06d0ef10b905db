//! The state of the input at a git revision, to report only what was added since.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use deputize::config::Config;
use deputize::inventory::{LoadOptions, load};
use deputize::output::escape;
use deputize::source::{LeaveOut, Repository};

use deputize::lint;
use deputize::triage::{BaseRevision, Options, triage};

use super::Failure;
use super::input::InputArgs;
use super::triage::Judge;

/// Finds what was found at a revision.
pub(super) fn base_revision(input: &InputArgs, revision: &str, judge: &Judge<'_>) -> Result<BaseRevision, Failure> {
    let fail = |message: String| Failure::Message(message);
    if input.is_live() || input.reads_stdin() {
        return Err(fail("--diff-base compares files of a git repository: give files or directories".to_owned()));
    }
    let (repository, paths) = paths_of(input.files())?;
    let directory = TemporaryDirectory::new()
        .map_err(|error| fail(format!("no temporary directory for the files of {}: {error}", escape(revision))))?;
    repository.write_revision(revision, &with_charts(&paths), input.max_file_size, &directory.0).map_err(fail)?;
    let present = paths.iter().map(|path| directory.0.join(path)).filter(|path| path.exists());
    let present: Vec<PathBuf> = present.collect();
    let moved = moved(judge.config, repository.root(), &directory.0);
    let leave_out = LeaveOut { filter: moved.path_filter(), ..LeaveOut::default() };
    let inventory = load(&present, &LoadOptions { leave_out, ..input.options() });
    let grants = judge.grants(&inventory);
    let findings = lint::check(&grants, judge.selection);
    // Comments count there as they do here, so that a finding whose comment the change removes is reported. Exceptions are
    // those of today.
    let config = Config::default();
    let options = Options {
        config: &config,
        selection: judge.selection,
        today: judge.args.today(),
        suppressions: judge.args.uses_comments(),
        baseline: None,
        base: None,
        partial: None,
        whole: false,
    };
    Ok(BaseRevision::new(revision, triage(&inventory, findings, &options).reported))
}

/// The repository of some paths, and the paths in it.
fn paths_of(paths: &[PathBuf]) -> Result<(Repository, Vec<PathBuf>), Failure> {
    let shown = |path: &Path| escape(&path.to_string_lossy()).into_owned();
    let mut repository: Option<Repository> = None;
    let mut relative = Vec::new();
    for path in paths {
        let real = path
            .canonicalize()
            .map_err(|error| Failure::Message(format!("{} cannot be read: {error}", shown(path))))?;
        let own = Repository::of(&real).ok_or_else(|| {
            Failure::Message(format!(
                "{} is in no git repository, so --diff-base has nothing to compare with",
                shown(path)
            ))
        })?;
        let root = repository.get_or_insert(own).root();
        let inside = real.strip_prefix(root).map_err(|_| {
            Failure::Message(format!(
                "{} is in another git repository: --diff-base compares one at a time",
                shown(path)
            ))
        })?;
        relative.push(inside.to_owned());
    }
    let repository = repository.ok_or_else(|| Failure::Message("--diff-base needs a path".to_owned()))?;
    Ok((repository, relative))
}

/// The paths, and for those within the templates of a chart the chart: templates depend on its values.
fn with_charts(paths: &[PathBuf]) -> Vec<PathBuf> {
    let with_chart = |path: &PathBuf| {
        let is_templates = |part: &Component<'_>| part.as_os_str() == "templates";
        match path.components().position(|part| is_templates(&part)) {
            Some(at) => path.components().take(at).collect(),
            None => path.clone(),
        }
    };
    let paths: Vec<PathBuf> = paths.iter().map(with_chart).collect();
    // Without a path, all of the revision is meant.
    if paths.iter().any(|path| path.as_os_str().is_empty()) { Vec::new() } else { paths }
}

/// The configuration for the same files elsewhere.
fn moved(config: &Config, root: &Path, to: &Path) -> Config {
    let real = to.canonicalize().unwrap_or_else(|_| to.to_owned());
    match config.root.strip_prefix(root) {
        Ok(inside) => Config { root: real.join(inside), ..config.clone() },
        Err(_) => config.clone(),
    }
}

/// A directory of its own, which is removed in the end.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        for attempt in 0..100 {
            let path = parent.join(format!("deputize-{}-{attempt}", std::process::id()));
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("there is no free name"))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
