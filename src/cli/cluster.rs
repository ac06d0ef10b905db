//! The arguments by which a live cluster is read, and reading it.

use std::path::{Path, PathBuf};

use deputize::authority::is_dns_label;
use deputize::cluster::{ClusterError, Contexts, ReadOptions, Target, read, targets};
use deputize::inventory::{ClusterFacts, Inventory, load_live};
use deputize::output::json::ContextFailure;
use deputize::output::{escape, human};
use deputize::snapshot::Snapshot;

use super::input::Worlds;
use super::migrate::for_shell;
use super::progress::Progress;
use super::{Failure, terminal};

/// What says that a live cluster is read, so that no paths are.
pub(super) const CLUSTER_ARGS: [&str; 5] = ["cluster", "context", "all_contexts", "kubeconfig", "namespace"];

#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    /// Read the cluster of the current context instead of files, as `kubectl` finds it; it is never written to
    #[arg(long, help_heading = "Cluster")]
    cluster: bool,
    /// Read the cluster of this context; repeatable for commands that report on one after the other
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Vec<String>,
    /// Read the clusters of all contexts, one after the other
    #[arg(long, conflicts_with = "context", help_heading = "Cluster")]
    all_contexts: bool,
    /// Kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,
    /// Read what concerns this namespace only: its Roles and RoleBindings, and ClusterRoles if that is allowed
    #[arg(long, short, value_name = "NAMESPACE", value_parser = namespace, help_heading = "Cluster")]
    namespace: Option<String>,
}

fn namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) { Ok(text.to_owned()) } else { Err("no namespace can have this name".to_owned()) }
}

impl ClusterArgs {
    /// Whether a live cluster is to be read.
    pub(super) fn is_asked_for(&self) -> bool {
        let named = !self.context.is_empty() || self.kubeconfig.is_some();
        self.cluster || self.all_contexts || self.namespace.is_some() || named
    }

    /// The flags that name the kubeconfig and the context, as `kubectl` and this program take them, with a blank before
    /// each.
    pub(super) fn kubeconfig_flags(&self) -> String {
        let kubeconfig = self.kubeconfig.iter().map(|path| format!(" --kubeconfig {}", for_shell(path)));
        let context = self.context.iter().map(|name| format!(" --context {}", for_shell(Path::new(name))));
        kubeconfig.chain(context).collect()
    }

    /// The clusters that are meant.
    pub(super) fn targets(&self) -> Result<Vec<Target>, Failure> {
        let contexts = match self.context.as_slice() {
            _ if self.all_contexts => Contexts::All,
            [] => Contexts::Current,
            names => Contexts::Named(names.to_vec()),
        };
        targets(self.kubeconfig.as_deref(), &contexts).map_err(|error| Failure::Message(error.to_string()))
    }

    /// What of them is read.
    pub(super) fn options(&self) -> ReadOptions<'_> {
        ReadOptions { namespace: self.namespace.as_deref(), ..ReadOptions::default() }
    }

    /// Reads the one cluster that is meant.
    pub(super) fn load_one(&self) -> Result<Inventory, Failure> {
        let targets = self.targets()?;
        let [target] = targets.as_slice() else {
            let message = "this command looks at one cluster: name one context";
            return Err(Failure::Message(message.to_owned()));
        };
        let options = ReadOptions { namespaces: true, ..self.options() };
        load_shown(read_shown(target, &options).map_err(|error| failure(target, &error))?)
    }

    /// Whether more than one cluster is asked for.
    pub(super) fn is_several(&self) -> bool {
        self.all_contexts || self.context.len() > 1
    }

    /// Reads all clusters that are meant, those that can be read; says which cannot.
    pub(super) fn load_each(&self) -> Result<Worlds, Failure> {
        let mut inventories = Vec::new();
        let failures = read_each(&self.targets()?, &self.options(), &mut |snapshot| {
            inventories.push(load_shown(snapshot)?);
            Ok(())
        })?;
        Ok(Worlds { inventories, failures })
    }
}

/// Reads clusters one after the other, and shows each to `take`. Says which of several could not be read; where there is
/// only one, that ends the command.
pub(super) fn read_each(
    targets: &[Target],
    options: &ReadOptions<'_>,
    take: &mut dyn FnMut(Snapshot) -> Result<(), Failure>,
) -> Result<Vec<ContextFailure>, Failure> {
    let mut failures = Vec::new();
    for target in targets {
        match read_shown(target, options) {
            Ok(snapshot) => take(snapshot)?,
            Err(error) if targets.len() == 1 => return Err(failure(target, &error)),
            Err(error) => {
                terminal::print_error(&words(target, &error))?;
                failures.push(ContextFailure { name: target.name.clone(), error: error.to_string() });
            }
        }
    }
    Ok(failures)
}

fn words(target: &Target, error: &ClusterError) -> String {
    format!("the cluster of context {:?} could not be read: {error}", target.name)
}

fn failure(target: &Target, error: &ClusterError) -> Failure {
    Failure::Message(words(target, error))
}

/// Reads a cluster, and shows how far it is where somebody waits.
fn read_shown(target: &Target, options: &ReadOptions<'_>) -> Result<Snapshot, ClusterError> {
    let progress = Progress::of_objects(&escape(&target.name));
    let snapshot = read(target, options, &|objects| progress.add(objects as u64));
    progress.finish();
    snapshot
}

/// What people are told where something in a live cluster stands.
pub(super) fn path_of(cluster: &ClusterFacts) -> String {
    format!("cluster {}", cluster.name)
}

fn load_shown(snapshot: Snapshot) -> Result<Inventory, Failure> {
    let inventory = load_live(&path_of(&snapshot.facts), snapshot.text);
    human::write_problems(&mut terminal::stderr(), &inventory.problems, terminal::remarks())?;
    Ok(inventory)
}
