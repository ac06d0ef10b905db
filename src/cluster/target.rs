//! Which clusters are meant: kubeconfigs as `kubectl` resolves them, or the cluster inside of which we run.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use kube::Config;
use kube::config::{AuthInfo, ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use secrecy::{ExposeSecret, SecretString};

use super::error::ClusterError;
use super::proxy::proxy_for;

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
            let current = kubeconfig.current_context.clone();
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
    let mut kubeconfig = Kubeconfig::read_from(path).map_err(|error| describe(path, &error))?;
    // An empty one would hide that of the next file.
    kubeconfig.current_context = kubeconfig.current_context.filter(|current| !current.is_empty());
    Ok(kubeconfig)
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
        let kubeconfig = Kubeconfig::clone(kubeconfig);
        let configured = self.proxy_url(&kubeconfig);
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.map_err(|error| {
            let reason = match error {
                KubeconfigError::LoadClusterOfContext(cluster) => format!("its cluster {cluster:?} is not there"),
                KubeconfigError::MissingClusterUrl => "its cluster has no `server`".to_owned(),
                KubeconfigError::ParseClusterUrl(_) => "the `server` of its cluster is no URL".to_owned(),
                KubeconfigError::ParseProxyUrl(_) => "its proxy is no URL".to_owned(),
                KubeconfigError::ParseNoProxy(_) => "NO_PROXY cannot be read".to_owned(),
                KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
                    "the certificate authority of its cluster cannot be read".to_owned()
                }
                KubeconfigError::LoadClientCertificate(_) => "its client certificate cannot be read".to_owned(),
                KubeconfigError::LoadClientKey(_) => "its client key cannot be read".to_owned(),
                _ => "its cluster or user is not complete".to_owned(),
            };
            ClusterError::new(format!("the context {:?} cannot be used: {reason}", self.name))
        })?;
        config.cluster_url = with_scheme(&config)?;
        config.proxy_url = proxy_for(&config.cluster_url, configured.as_deref())?;
        prepare(&mut config)?;
        Ok(config)
    }

    /// The `proxy-url` of the context's cluster.
    fn proxy_url(&self, kubeconfig: &Kubeconfig) -> Option<String> {
        let context = kubeconfig.contexts.iter().find(|context| context.name == self.name)?.context.as_ref()?;
        let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?;
        cluster.cluster.as_ref()?.proxy_url.clone()
    }
}

/// The server's URL. As for kubectl, one without a scheme is `https` if there is anything that only TLS needs.
fn with_scheme(config: &Config) -> Result<Uri, ClusterError> {
    if config.cluster_url.scheme().is_some() {
        return Ok(config.cluster_url.clone());
    }
    let auth = &config.auth_info;
    let certificate = auth.client_certificate.is_some() || auth.client_certificate_data.is_some();
    let is_tls = config.root_cert.is_some() || config.accept_invalid_certs || certificate;
    let url = format!("{}://{}", if is_tls { "https" } else { "http" }, config.cluster_url);
    url.parse().map_err(|_| ClusterError::new("the `server` of the context's cluster is no URL"))
}

/// Makes the credentials what kubectl makes of them.
fn prepare(config: &mut Config) -> Result<(), ClusterError> {
    if config.cluster_url.scheme_str() == Some("http") {
        // Nothing secret goes over a connection that anyone can read.
        config.auth_info = AuthInfo {
            impersonate: config.auth_info.impersonate.take(),
            impersonate_groups: config.auth_info.impersonate_groups.take(),
            ..AuthInfo::default()
        };
        return Ok(());
    }
    let auth = &mut config.auth_info;
    // The file counts before the token, and neither does its line break.
    if let Some(path) = auth.token_file.take() {
        let token = fs::read_to_string(&path).map_err(|error| {
            ClusterError::new(format!("the token file {path} of the context cannot be read: {error}"))
        })?;
        auth.token = Some(SecretString::from(token));
    }
    auth.token = auth.token.as_ref().map(|token| SecretString::from(token.expose_secret().trim()));
    if let Some(exec) = &mut auth.exec
        && !(io::stdin().is_terminal() && io::stderr().is_terminal())
    {
        // There is nobody to be asked, and what it prints would end in a log.
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    Ok(())
}
