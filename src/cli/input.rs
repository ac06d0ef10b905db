//! The arguments that all commands share which read RBAC.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use deputize::config::Config;
use deputize::evidence::ImplicitGroups;
use deputize::grants::Grants;
use deputize::inventory::{Duplicates, Inventory, LeftOut, LoadOptions, ObjectMeta, load};
use deputize::output::json::ContextFailure;
use deputize::output::{escape, human};
use deputize::source::{LeaveOut, Limits, Repository, STDIN};

#[cfg(feature = "cluster")]
use super::cluster::{CLUSTER_ARGS, ClusterArgs};
use super::settings::{ConfigArgs, print_configuration, shown_name};
use super::{Failure, Status, terminal};

/// What is read if no path is given.
const CURRENT_DIRECTORY: &str = ".";

#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// Files or directories with manifests; `-` is standard input
    ///
    /// Of a directory, every `.yaml`, `.yml` and `.json` file below it is read, hidden and git-ignored ones too, with
    /// templates (of charts, `.yaml.j2`) and what kustomizations name; `.git` is not. A symbolic link is followed if it leads to a file inside the directory; all others are counted.
    #[arg(value_name = "PATH", default_value = CURRENT_DIRECTORY)]
    #[cfg_attr(feature = "cluster", arg(conflicts_with_all = CLUSTER_ARGS))]
    pub(super) paths: Vec<PathBuf>,
    /// Largest file that is read, in bytes; larger ones are reported
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().max_file_bytes,
          value_parser = clap::value_parser!(u64).range(1..=Limits::MAX_FILE_BYTES), help_heading = "Input")]
    pub(super) max_file_size: u64,
    /// Number of threads; 0 for one per processor
    #[arg(long, short = 'j', value_name = "N", default_value_t = 0, help_heading = "Input")]
    threads: usize,
    #[command(flatten)]
    config: ConfigArgs,
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What commands look at that look at one world after the other.
pub(super) struct Worlds {
    /// The worlds.
    pub(super) inventories: Vec<Inventory>,
    /// Those that could not be read.
    pub(super) failures: Vec<ContextFailure>,
}

impl Worlds {
    /// Whether all of them could be read.
    pub(super) fn status(&self) -> Status {
        if self.failures.is_empty() { Status::Clean } else { Status::Failed }
    }
}

impl InputArgs {
    /// The input as a person would write it in a shell: the paths, or the flags that name the cluster.
    pub(super) fn for_shell(&self) -> String {
        #[cfg(feature = "cluster")]
        if self.cluster.is_asked_for() {
            return format!("--cluster{}", self.cluster.kubeconfig_flags());
        }
        self.paths.iter().map(|path| super::migrate::for_shell(path)).collect::<Vec<_>>().join(" ")
    }

    /// The flags by which `kubectl` reaches the same cluster, with a blank before each; none for files.
    pub(super) fn kubectl_flags(&self) -> String {
        #[cfg(feature = "cluster")]
        return self.cluster.kubeconfig_flags();
        #[cfg(not(feature = "cluster"))]
        return String::new();
    }

    /// Reads the input, and says on standard error what could not be read.
    pub(super) fn load(&self) -> Result<Inventory, Failure> {
        self.load_leaving_out(LeaveOut::default())
    }

    /// The same for commands that look at one world after the other: an inventory for each context of a live cluster that
    /// was named, and why there is none for others.
    pub(super) fn load_each(&self) -> Result<Worlds, Failure> {
        #[cfg(feature = "cluster")]
        if self.cluster.is_asked_for() {
            self.config()?;
            self.start_threads()?;
            return self.cluster.load_each();
        }
        Ok(Worlds { inventories: vec![self.load()?], failures: Vec::new() })
    }

    /// The configuration; it is read once.
    pub(super) fn config(&self) -> Result<&Config, Failure> {
        self.config.read(self.paths.first().filter(|_| !self.is_live()).map(PathBuf::as_path))
    }

    /// Prints on standard error what was read and what was not: last, where a person looks.
    pub(super) fn say_coverage(&self, inventory: &Inventory) -> Result<(), Failure> {
        print_coverage(inventory)?;
        print_configuration(self.config()?, &[])
    }

    /// The directory of the repository, if only files of it are read, and not all of it.
    pub(super) fn partial_repository(&self) -> Option<String> {
        if self.is_live() || self.reads_stdin() || self.paths.iter().any(|path| path.is_dir()) {
            return None;
        }
        let repository = Repository::of(&self.paths.first()?.canonicalize().ok()?)?;
        Some(shown_name(repository.root()).to_string())
    }

    /// Reports whether a directory is read with all that is below it.
    pub(super) fn covers(&self, directory: &Path) -> bool {
        let covers = |path: &PathBuf| path.canonicalize().is_ok_and(|path| directory.starts_with(path));
        !self.is_live() && !self.reads_stdin() && self.files().iter().any(covers)
    }

    /// Whether several clusters are read, so that each result has a name.
    pub(super) fn is_several(&self) -> bool {
        #[cfg(feature = "cluster")]
        return self.cluster.is_several();
        #[cfg(not(feature = "cluster"))]
        false
    }

    /// Whether standard input is read.
    pub(super) fn reads_stdin(&self) -> bool {
        !self.is_live() && self.paths.iter().any(|path| path.as_os_str() == STDIN)
    }

    /// Returns the paths that are read; none for a live cluster.
    pub(super) fn files(&self) -> &[PathBuf] {
        if self.is_live() { &[] } else { &self.paths }
    }

    /// Reports whether the input is anything but the default, the current directory.
    pub(super) fn is_given(&self) -> bool {
        self.is_live() || !matches!(self.paths.as_slice(), [path] if path.as_os_str() == CURRENT_DIRECTORY)
    }

    /// Whether a live cluster is read.
    pub(super) fn is_live(&self) -> bool {
        #[cfg(feature = "cluster")]
        return self.cluster.is_asked_for();
        #[cfg(not(feature = "cluster"))]
        false
    }

    /// The same, without what migrations have written, and without the directory to which this one writes.
    pub(super) fn load_originals(&self, output: Option<&Path>) -> Result<Inventory, Failure> {
        let real = |path: &Path| path.canonicalize().ok();
        let is_output =
            |path: &&PathBuf| !self.is_live() && output.and_then(real).is_some_and(|output| real(path) == Some(output));
        if let Some(path) = self.paths.iter().find(is_output) {
            let shown = path.to_string_lossy();
            let shown = escape(&shown);
            return Err(Failure::Message(format!("{shown} cannot be both the manifests and what is made of them")));
        }
        self.load_leaving_out(LeaveOut {
            directories: output.map(Path::to_owned).into_iter().collect(),
            outputs: true,
            filter: None,
        })
    }

    /// Reads the files once more, some with another text than they have.
    pub(super) fn load_with(&self, instead: BTreeMap<Arc<str>, Arc<[u8]>>) -> Inventory {
        load(&self.paths, &LoadOptions { instead, leave_out: self.leave_out(), ..self.options() })
    }

    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions { limits: Limits { max_file_bytes: self.max_file_size }, ..LoadOptions::default() }
    }

    /// What the configuration excludes.
    fn leave_out(&self) -> LeaveOut {
        let filter = self.config().ok().and_then(Config::path_filter);
        LeaveOut { filter, ..LeaveOut::default() }
    }

    fn start_threads(&self) -> Result<(), Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global();
        pool.map_err(|error| Failure::Message(format!("threads cannot be started: {error}")))
    }

    fn load_leaving_out(&self, leave_out: LeaveOut) -> Result<Inventory, Failure> {
        let leave_out = LeaveOut { filter: self.config()?.path_filter(), ..leave_out };
        self.start_threads()?;
        #[cfg(feature = "cluster")]
        if self.cluster.is_asked_for() {
            return self.cluster.load_one();
        }
        if self.reads_stdin() {
            terminal::announce_stdin("manifests")?;
        }
        let inventory = load(&self.paths, &LoadOptions { leave_out, ..self.options() });
        human::write_problems(&mut terminal::stderr(), &inventory.problems, terminal::remarks())?;
        if let [first, second, ..] = inventory.clusters.as_slice() {
            // A binding of the one does not bind roles of the other.
            return Err(Failure::Message(format!(
                "these are snapshots of several clusters ({:?} and {:?} among them): give one of them at a time",
                first.name.as_str(),
                second.name.as_str()
            )));
        }
        Ok(inventory)
    }
}

/// Reads manifests that are not the main input, and says what could not be read.
pub(super) fn load_quietly(paths: &[PathBuf]) -> Result<Inventory, Failure> {
    let inventory = load(paths, &LoadOptions::default());
    human::write_problems(&mut terminal::stderr(), &inventory.problems, terminal::remarks())?;
    Ok(inventory)
}

/// Leaves out what stands in templates and in other objects, for the commands that need one world, and says so.
pub(super) fn leave_out_apart(inventory: &mut Inventory) -> Result<(), Failure> {
    let LeftOut { templates, embedded } = inventory.leave_out_apart();
    let mut err = terminal::stderr();
    if templates > 0 {
        let what = human::count(templates, "RBAC object");
        writeln!(
            err,
            "{}: {what} in templates left out, since what becomes of them is not known here; render them \
             (`helm template … | deputize … -`) to have them looked at",
            terminal::warning()
        )?;
    }
    if embedded > 0 && !terminal::is_quiet() {
        let what = human::count(embedded, "role and binding").replace("role and bindings", "roles and bindings");
        writeln!(err, "note: {what} in other objects left out: they grant nothing before something applies them")?;
    }
    Ok(err.flush()?)
}

/// Prints on standard error what was read and what was not.
pub(super) fn print_coverage(inventory: &Inventory) -> Result<(), Failure> {
    Ok(human::write_coverage(&mut terminal::stderr(), inventory, terminal::remarks())?)
}

/// Says on standard error how often legacy impersonation was used in the cluster, if the input is one.
pub(super) fn say_legacy_use(inventory: &Inventory) -> Result<(), Failure> {
    if terminal::is_quiet() {
        return Ok(());
    }
    Ok(human::write_legacy_use(&mut terminal::stderr(), inventory)?)
}

/// Which of several definitions counts, for the commands that need one world.
#[derive(Debug, clap::Args)]
pub(super) struct DuplicatesArg {
    /// Which definition counts of an object that has several
    #[arg(long, value_enum, value_name = "WHICH", help_heading = "Input")]
    duplicates: Option<Which>,
}

impl DuplicatesArg {
    /// Leaves one definition of each object, if the user has said which.
    pub(super) fn resolve(&self, inventory: &mut Inventory) {
        if let Some(which) = self.duplicates {
            inventory.resolve_duplicates(which.into());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    First,
    Last,
}

impl From<Which> for Duplicates {
    fn from(which: Which) -> Self {
        match which {
            Which::First => Self::First,
            Which::Last => Self::Last,
        }
    }
}

/// Sees to it that nothing of a cluster is missing.
pub(super) fn whole_world(inventory: &Inventory) -> Result<(), Failure> {
    if inventory.is_incomplete() {
        return Err(Failure::Message(
            "part of the cluster was not read, so what is allowed there cannot be said; `check` and `grants` show what was \
             read"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Sees to it that the input is the whole of one world, in which every object that matters has one definition.
pub(super) fn one_world(grants: &Grants<'_>) -> Result<(), Failure> {
    whole_world(grants.inventory())?;
    let conflicts = grants.conflicts();
    let Some(first) = conflicts.first() else { return Ok(()) };
    let place = |meta: &ObjectMeta| format!("{}:{}:{}", meta.path, meta.name.place.line, meta.name.place.column);
    let more =
        if conflicts.len() > 1 { format!(" ({} more such objects)", conflicts.len() - 1) } else { String::new() };
    Err(Failure::Message(format!(
        "{} is defined differently at {} and at {}{more}; check one environment at a time, or say which definition counts \
         with --duplicates first or last",
        first.first.describe(),
        place(first.first),
        place(first.second),
    )))
}

/// Whether everything could be read and understood; says on standard error what could not be understood.
pub(super) fn status_of(grants: &Grants<'_>) -> Result<Status, Failure> {
    let problem = grants.problem();
    human::write_problems(&mut terminal::stderr(), problem.as_slice(), terminal::remarks())?;
    let failed = grants.inventory().problems.iter().chain(&problem).any(|problem| !problem.kind.is_warning());
    Ok(if failed { Status::Failed } else { Status::Clean })
}

/// What is known of headers that a log cannot tell apart.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct ImplicitGroupsArg {
    /// Whether clients send the groups themselves that the server adds to an impersonated user; a log cannot tell
    #[arg(long, value_enum, value_name = "WHETHER", default_value_t, help_heading = "Evidence")]
    implicit_groups: ImplicitGroupsValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum ImplicitGroupsValue {
    /// Not known: requests must work either way
    #[default]
    Unknown,
    /// They are sent wherever the grants allow it
    Sent,
    /// They are never sent
    NotSent,
}

impl ImplicitGroupsArg {
    pub(super) fn value(self) -> ImplicitGroups {
        match self.implicit_groups {
            ImplicitGroupsValue::Unknown => ImplicitGroups::Unknown,
            ImplicitGroupsValue::Sent => ImplicitGroups::Sent,
            ImplicitGroupsValue::NotSent => ImplicitGroups::NotSent,
        }
    }
}
