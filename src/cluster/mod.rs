//! A live cluster, read and never written: what its API server lists becomes a snapshot, and that is read as any other
//! input is.
//!
//! Nothing but `GET` is sent. What is said of a failure is in our own words or in those of the server's `Status`, never
//! in those of a library that has seen a kubeconfig or a credential: theirs may hold it.

mod client;
mod error;
mod facts;
mod list;
mod metrics;
mod proxy;
mod target;

pub use error::ClusterError;
pub use target::{Contexts, Target, targets};

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use smol_str::SmolStr;

use crate::inventory::{ClusterFacts, NotRead, ObjectKind};
use crate::snapshot::{Documents, ListedMetadata, ListedObject, Redactor, Snapshot};
use client::{CallError, Client};
use list::{Sink, list};

/// The kinds that are read, in the order of a snapshot.
const KINDS: [ObjectKind; 4] =
    [ObjectKind::ClusterRole, ObjectKind::Role, ObjectKind::ClusterRoleBinding, ObjectKind::RoleBinding];

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// What is read of a cluster.
#[derive(Default)]
pub struct ReadOptions<'o> {
    /// The only namespace that is read, by those who may read no other; none for all.
    pub namespace: Option<&'o str>,
    /// Whether the names of service accounts are asked for too.
    pub service_accounts: bool,
    /// Whether the names of namespaces are asked for too. They are not missed where they cannot be read.
    pub namespaces: bool,
    /// Hides names.
    pub redactor: Option<&'o Redactor>,
}

/// Reads a cluster. `progress` is told how many objects there are, each time there are more.
///
/// # Errors
/// When nothing of it could be read. What could not be read of what there is stands in the snapshot.
pub fn read(target: &Target, options: &ReadOptions<'_>, progress: &dyn Fn(usize)) -> Result<Snapshot, ClusterError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ClusterError::new(format!("cannot start: {error}")))?;
    let snapshot = runtime.block_on(read_all(target, options, progress));
    // A name that is still being looked up must not keep us.
    runtime.shutdown_background();
    snapshot
}

async fn read_all(
    target: &Target,
    options: &ReadOptions<'_>,
    progress: &dyn Fn(usize),
) -> Result<Snapshot, ClusterError> {
    let client = Client::connect(target).await?;
    // Who is not let in, or reaches nobody, learns it before anything else is tried.
    let mut servers = facts::servers(&client).await?;
    let of_kind = async |kind: ObjectKind| {
        let path = path(kind, options.namespace)?;
        let mut documents = Documents::new(kind, options.redactor);
        let result = list(&client, &path, &mut documents, progress).await;
        Some((kind, result.map(|()| documents)))
    };
    let accounts = async { service_accounts(&client, options, progress).await };
    let namespaces = async { namespaces(&client, options, progress).await };
    let [a, b, c, d] = KINDS;
    let (a, b, c, d, accounts, namespaces, metrics) =
        tokio::join!(of_kind(a), of_kind(b), of_kind(c), of_kind(d), accounts, namespaces, metrics::read(&client));
    // By now there may be connections to more of them.
    if let Ok(more) = facts::servers(&client).await {
        servers.extend(more);
    }
    servers.sort();
    servers.dedup();
    let mut facts = ClusterFacts {
        name: SmolStr::new(&target.name),
        servers,
        gate: metrics.gate(),
        impersonation: metrics.into_counts(),
        namespace: options.namespace.map(SmolStr::new),
        namespaces,
        ..ClusterFacts::default()
    };
    let listed: Vec<_> = [a, b, c, d].into_iter().flatten().collect();
    if let Some(error) = nothing_read(&listed) {
        return Err(error.describe(client.server()));
    }
    let mut kinds = Vec::new();
    for (kind, result) in listed {
        match result {
            Ok(documents) => kinds.push(documents),
            Err(error) => facts.not_read.push(not_read(kind.resource(), error, &client)),
        }
    }
    match accounts {
        Ok(accounts) => facts.service_accounts = accounts,
        Err(error) => facts.not_read.push(not_read("serviceaccounts", error, &client)),
    }
    if let Some(redactor) = options.redactor {
        redactor.redact_facts(&mut facts);
    }
    Ok(Snapshot::new(facts, kinds))
}

/// Where objects of a kind are listed; none for those that somebody who reads one namespace leaves out.
fn path(kind: ObjectKind, namespace: Option<&str>) -> Option<String> {
    let resource = kind.resource();
    match (kind, namespace) {
        (ObjectKind::ClusterRoleBinding, Some(_)) => None,
        (ObjectKind::Role | ObjectKind::RoleBinding, Some(namespace)) => {
            Some(format!("{RBAC}/namespaces/{namespace}/{resource}"))
        }
        _ => Some(format!("{RBAC}/{resource}")),
    }
}

/// Why nothing at all could be read, if that is so.
fn nothing_read<T>(listed: &[(ObjectKind, Result<T, CallError>)]) -> Option<&CallError> {
    let mut errors = listed.iter().map(|(_, result)| result.as_ref().err());
    let first = errors.next()??;
    errors.all(|error| error.is_some()).then_some(first)
}

fn not_read(resource: &'static str, error: CallError, client: &Client) -> NotRead {
    let forbidden = matches!(error, CallError::Refused { code: StatusCode::FORBIDDEN, .. });
    let ClusterError { message, help } = error.describe(client.server());
    NotRead {
        resource: SmolStr::new_static(resource),
        forbidden,
        reason: SmolStr::new(message),
        help: SmolStr::new(help.unwrap_or_default()),
    }
}

async fn service_accounts(
    client: &Client,
    options: &ReadOptions<'_>,
    progress: &dyn Fn(usize),
) -> Result<BTreeMap<SmolStr, Vec<SmolStr>>, CallError> {
    let mut accounts: BTreeMap<SmolStr, Vec<SmolStr>> = BTreeMap::new();
    if !options.service_accounts {
        return Ok(accounts);
    }
    let path = match options.namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/serviceaccounts"),
        None => "/api/v1/serviceaccounts".to_owned(),
    };
    // What else they hold, the names of secrets among it, is not even asked for.
    let mut listed: Vec<ListedMetadata> = Vec::new();
    list(client, &path, &mut listed, progress).await?;
    for account in listed {
        accounts.entry(account.namespace.unwrap_or_default()).or_default().push(account.name);
    }
    accounts.values_mut().for_each(|names| names.sort());
    Ok(accounts)
}

/// The names of all namespaces; none where they are not asked for, or cannot be read.
async fn namespaces(client: &Client, options: &ReadOptions<'_>, progress: &dyn Fn(usize)) -> Option<BTreeSet<SmolStr>> {
    if !options.namespaces || options.namespace.is_some() {
        return None;
    }
    let mut listed: Vec<ListedMetadata> = Vec::new();
    list(client, "/api/v1/namespaces", &mut listed, progress).await.ok()?;
    Some(listed.into_iter().map(|namespace| namespace.name).collect())
}

impl Sink<ListedObject> for Documents<'_> {
    fn push(&mut self, object: ListedObject) {
        self.push(object);
    }

    fn clear(&mut self) {
        self.clear();
    }
}

impl Sink<ListedObject> for Vec<ListedMetadata> {
    fn push(&mut self, account: ListedObject) {
        self.push(account.metadata);
    }

    fn clear(&mut self) {
        self.clear();
    }
}
