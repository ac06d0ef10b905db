//! Which clusters are meant: kubeconfigs as `kubectl` resolves them, or the cluster inside of which we run.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::error::ClusterError;

/// Which contexts of the kubeconfig are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contexts {
    /// The current one.
    Current,
    /// These.
    Named(Vec<String>),
    /// All there are.
    All,
}

/// A cluster, and as whom it is read.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name of the context.
    pub name: String,
    /// None for the cluster inside of which we run.
    kubeconfig: Option<Arc<Kubeconfig>>,
}

/// The clusters that are meant, sorted by name where all are, as they were named otherwise.
///
/// As for `kubectl`: `file` if there is one, else the files of `$KUBECONFIG`, else `~/.kube/config`; if there is no
/// kubeconfig and we run in a pod, its service account.
///
/// # Errors
/// When a kubeconfig cannot be read, there is none, or it has no such context.
pub fn targets(file: Option<&Path>, contexts: &Contexts) -> Result<Vec<Target>, ClusterError> {
    let Some(kubeconfig) = kubeconfig(file)?.filter(|kubeconfig| !kubeconfig.contexts.is_empty()) else {
        if *contexts == Contexts::Current && file.is_none() && env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            return Ok(vec![Target { name: "in-cluster".to_owned(), kubeconfig: None }]);
        }
        return Err(ClusterError::with_help(
            "there is no kubeconfig with a context, and this is no pod of a cluster",
            "name one with --kubeconfig or $KUBECONFIG",
        ));
    };
    let known: BTreeSet<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    let names: Vec<String> = match contexts {
        Contexts::Current => {
            let current = kubeconfig.current_context.clone().filter(|current| !current.is_empty());
            let none = || ClusterError::with_help("no context is the current one", "name one with --context");
            vec![current.ok_or_else(none)?]
        }
        Contexts::Named(names) => names.clone(),
        Contexts::All => known.iter().map(|name| (*name).to_owned()).collect(),
    };
    if let Some(unknown) = names.iter().find(|name| !known.contains(name.as_str())) {
        let known: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
        return Err(ClusterError::with_help(
            format!("there is no context {unknown:?}"),
            format!("the kubeconfig has {}", known.join(", ")),
        ));
    }
    let kubeconfig = Arc::new(kubeconfig);
    let mut targets: Vec<Target> = Vec::new();
    for name in names {
        if targets.iter().all(|target| target.name != name) {
            targets.push(Target { name, kubeconfig: Some(Arc::clone(&kubeconfig)) });
        }
    }
    Ok(targets)
}

/// All kubeconfigs that count, merged.
fn kubeconfig(file: Option<&Path>) -> Result<Option<Kubeconfig>, ClusterError> {
    if let Some(file) = file {
        return read(file).map(Some);
    }
    let listed = env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let paths: Vec<PathBuf> = match listed {
        Some(list) => env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => env::home_dir().into_iter().map(|home| home.join(".kube/config")).collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    // As for kubectl, one that does not exist has nothing to say.
    for path in paths.iter().filter(|path| path.exists()) {
        let next = read(path)?;
        merged = Some(match merged {
            None => next,
            Some(merged) => merged.merge(next).map_err(|error| describe(path, &error))?,
        });
    }
    Ok(merged)
}

fn read(path: &Path) -> Result<Kubeconfig, ClusterError> {
    Kubeconfig::read_from(path).map_err(|error| describe(path, &error))
}

/// What is wrong with a kubeconfig. The parser's own words quote the file, and that holds credentials.
fn describe(path: &Path, error: &KubeconfigError) -> ClusterError {
    let reason = match error {
        KubeconfigError::ReadConfig(error, _) => format!("cannot be read: {error}"),
        KubeconfigError::Parse(_) => "is no kubeconfig: it cannot be parsed".to_owned(),
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "is of another kind than the kubeconfig before it".to_owned()
        }
        _ => "is no kubeconfig".to_owned(),
    };
    ClusterError::with_help(
        format!("{} {reason}", path.to_string_lossy()),
        "`kubectl config view` shows what kubectl makes of it",
    )
}

impl Target {
    /// How to reach the cluster, and as whom.
    pub(super) async fn config(&self) -> Result<Config, ClusterError> {
        let Some(kubeconfig) = &self.kubeconfig else {
            return Config::incluster().map_err(|_| {
                ClusterError::with_help(
                    "the token or the certificate of the pod's service account cannot be read",
                    "let the pod mount it (automountServiceAccountToken)",
                )
            });
        };
        let options = KubeConfigOptions { context: Some(self.name.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(Kubeconfig::clone(kubeconfig), &options).await;
        config.map_err(|error| {
            let reason = match error {
                KubeconfigError::LoadClusterOfContext(cluster) => format!("its cluster {cluster:?} is not there"),
                KubeconfigError::MissingClusterUrl => "its cluster has no `server`".to_owned(),
                KubeconfigError::ParseClusterUrl(_) => "the `server` of its cluster is no URL".to_owned(),
                KubeconfigError::ParseProxyUrl(_) => "its proxy is no URL".to_owned(),
                KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
                    "the certificate authority of its cluster cannot be read".to_owned()
                }
                KubeconfigError::LoadClientCertificate(_) => "its client certificate cannot be read".to_owned(),
                KubeconfigError::LoadClientKey(_) => "its client key cannot be read".to_owned(),
                _ => "its cluster or user is not complete".to_owned(),
            };
            ClusterError::new(format!("the context {:?} cannot be used: {reason}", self.name))
        })
    }
}
