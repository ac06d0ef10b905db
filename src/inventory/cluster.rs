//! What is known of the cluster that objects were read from: the head of a snapshot, to text and back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::fields::{FieldReader, fields};
use super::impersonation_count::ImpersonationCount;
use super::object::Text;
use crate::problem::{Problem, ProblemKind};
use crate::syntax::{Node, NodeKind, Value};

/// The API version of a snapshot's head.
pub(super) const SNAPSHOT_API_VERSION: &str = "deputize.dev/v1";
/// Its kind.
pub(super) const SNAPSHOT_KIND: &str = "Snapshot";

/// A cluster, as far as it bears on impersonation beside its RBAC objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterFacts {
    /// What the user calls it: the name of the context.
    pub name: SmolStr,
    /// What its API servers are: one, unless servers of several versions answered. Sorted, the oldest first.
    pub servers: Vec<Server>,
    /// Whether the feature gate `ConstrainedImpersonation` is on, where the server's metrics say so.
    pub gate: Option<bool>,
    /// The only namespace that was read; none if all were.
    pub namespace: Option<SmolStr>,
    /// What could not be read.
    pub not_read: Vec<NotRead>,
    /// The names of the service accounts, by namespace; empty where they were not asked for.
    pub service_accounts: BTreeMap<SmolStr, Vec<SmolStr>>,
    /// What each API server that could be told apart has counted; empty where the metrics were not read.
    pub impersonation: Vec<ImpersonationCount>,
    /// All namespaces; none where they were not asked for, or could not be read.
    pub namespaces: Option<BTreeSet<SmolStr>>,
}

/// An API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// The minor version as which it behaves, such as `1.37`. Not that of the program, where it emulates another.
    pub version: SmolStr,
    /// What it calls itself, such as `v1.37.2`.
    pub git_version: SmolStr,
}

/// Objects that a server would not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRead {
    /// Which ones, such as `clusterroles`.
    pub resource: SmolStr,
    /// Whether they are forbidden to whoever asked.
    pub forbidden: bool,
    /// Why, in words.
    pub reason: SmolStr,
    /// What to do about it.
    pub help: SmolStr,
}

impl ClusterFacts {
    /// Whether objects of the cluster are missing from the input.
    pub fn is_incomplete(&self) -> bool {
        self.namespace.is_some() || !self.not_read.is_empty()
    }

    /// The head of a snapshot.
    pub fn to_value(&self) -> Value {
        let servers = self.servers.iter().map(|server| {
            Value::map([
                ("version", Value::text(server.version.clone())),
                ("gitVersion", Value::text(server.git_version.clone())),
            ])
        });
        let mut head = vec![
            ("apiVersion", Value::text(SNAPSHOT_API_VERSION)),
            ("kind", Value::text(SNAPSHOT_KIND)),
            ("metadata", Value::map([("name", Value::text(self.name.clone()))])),
            ("servers", Value::List(servers.collect())),
        ];
        if let Some(gate) = self.gate {
            head.push(("featureGates", Value::map([("ConstrainedImpersonation", Value::Bool(gate))])));
        }
        if let Some(namespace) = &self.namespace {
            head.push(("namespace", Value::text(namespace.clone())));
        }
        if !self.not_read.is_empty() {
            let not_read = self.not_read.iter().map(|not_read| {
                Value::map([
                    ("resource", Value::text(not_read.resource.clone())),
                    ("forbidden", Value::Bool(not_read.forbidden)),
                    ("reason", Value::text(not_read.reason.clone())),
                    ("help", Value::text(not_read.help.clone())),
                ])
            });
            head.push(("notRead", Value::List(not_read.collect())));
        }
        if !self.service_accounts.is_empty() {
            let accounts = self.service_accounts.iter();
            let accounts = accounts.map(|(namespace, names)| (namespace.clone(), Value::texts(names.iter().cloned())));
            head.push(("serviceAccounts", Value::map(accounts)));
        }
        if !self.impersonation.is_empty() {
            let counts = self.impersonation.iter().map(ImpersonationCount::to_value);
            head.push(("impersonation", Value::List(counts.collect())));
        }
        if let Some(namespaces) = &self.namespaces {
            head.push(("namespaces", Value::texts(namespaces.iter().cloned())));
        }
        Value::map(head)
    }

    /// Reads the head of a snapshot.
    pub(super) fn read(node: Node<'_>, reader: &mut FieldReader<'_>) -> Self {
        let names = [
            "metadata",
            "servers",
            "featureGates",
            "namespace",
            "notRead",
            "serviceAccounts",
            "impersonation",
            "namespaces",
        ];
        let [metadata, servers, gates, namespace, not_read, accounts, impersonation, namespaces] =
            reader.unique_fields(node, names);
        let name = metadata.and_then(|metadata| fields(metadata, ["name"])[0]);
        let value = |text: Option<Text>| text.map(|text| text.value).unwrap_or_default();
        let mut facts = Self { name: value(reader.text("name", name)), ..Self::default() };
        for server in servers.into_iter().flat_map(Node::items) {
            let [version, git_version] = reader.unique_fields(server, ["version", "gitVersion"]);
            facts.servers.push(Server {
                version: value(reader.text("version", version)),
                git_version: value(reader.text("gitVersion", git_version)),
            });
        }
        let gate = gates.and_then(|gates| fields(gates, ["ConstrainedImpersonation"])[0]);
        facts.gate = gate.map(|gate| gate.source() == "true");
        facts.namespace = reader.text("namespace", namespace).map(|text| text.value);
        for item in not_read.into_iter().flat_map(Node::items) {
            let names = ["resource", "forbidden", "reason", "help"];
            let [resource, forbidden, reason, help] = reader.unique_fields(item, names);
            facts.not_read.push(NotRead {
                resource: value(reader.text("resource", resource)),
                forbidden: forbidden.is_some_and(|forbidden| forbidden.source() == "true"),
                reason: value(reader.text("reason", reason)),
                help: value(reader.text("help", help)),
            });
        }
        if let Some(accounts) = accounts.filter(|accounts| accounts.kind() == NodeKind::Mapping) {
            let mut lists = Vec::new();
            accounts.visit_fields(&mut |namespace, entry, _| lists.push((SmolStr::new(namespace), entry.value)));
            for (namespace, list) in lists {
                let names = reader.texts("serviceAccounts", Some(list)).0.into_iter().map(|text| text.value);
                facts.service_accounts.insert(namespace, names.collect());
            }
        }
        let counts = impersonation.into_iter().flat_map(Node::items);
        facts.impersonation = counts.map(|count| ImpersonationCount::read(count, reader)).collect();
        facts.namespaces = namespaces.map(|namespaces| {
            let names = reader.texts("namespaces", Some(namespaces)).0;
            names.into_iter().map(|text| text.value).collect()
        });
        facts
    }

    /// What a person must be told of it, as problems of the input.
    pub fn problems(&self, path: &Arc<str>) -> Vec<Problem> {
        let problem = |kind, message, help| Problem { path: Arc::clone(path), place: None, kind, message, help };
        let mut problems = Vec::new();
        if let Some(namespace) = &self.namespace {
            problems.push(problem(
                ProblemKind::Limited,
                format!(
                    "only the namespace {:?} was read: what ClusterRoleBindings grant, and what is granted in other \
                     namespaces, is not known",
                    namespace.as_str()
                ),
                None,
            ));
        }
        for not_read in &self.not_read {
            // Whoever reads one namespace only may not read what is in none.
            let limited = self.namespace.is_some() && not_read.forbidden && not_read.resource.starts_with("cluster");
            let kind = if limited { ProblemKind::Limited } else { ProblemKind::NotListed };
            let NotRead { resource, reason, help, .. } = not_read;
            let unknown = match resource.as_str() {
                "clusterroles" => "what ClusterRoles grant, and to whom, is not known",
                "roles" => "what Roles grant, and to whom, is not known",
                "clusterrolebindings" => "who holds ClusterRoles in all namespaces is not known",
                "rolebindings" => "who holds roles in single namespaces is not known",
                _ => "their names are not known",
            };
            let help = Some(help.to_string()).filter(|help| !help.is_empty());
            problems.push(problem(kind, format!("{resource} could not be read, so {unknown}: {reason}"), help));
        }
        let versions: Vec<&str> = self.servers.iter().map(|server| server.git_version.as_str()).collect();
        if versions.len() > 1 {
            problems.push(problem(
                ProblemKind::Limited,
                format!(
                    "API servers of several versions answer ({}): it is judged as the oldest; take no legacy grant away \
                     before all of them are new",
                    versions.join(", ")
                ),
                None,
            ));
        }
        if self.is_partly_constrained() && versions.len() < 2 {
            problems.push(problem(
                ProblemKind::Limited,
                "constrained impersonation is on in some API servers that answered and off in others: the cluster is judged \
                 as if it were off; remove no legacy grant before it is on in all of them"
                    .to_owned(),
                None,
            ));
        }
        problems
    }
}
