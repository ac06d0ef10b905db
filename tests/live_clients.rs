//! Real clients on a real API server: what a log shows of them, and what they send the next day, before a migration, with
//! the grants added, after the cut-over, and after the rollback.
//!
//! What was observed is never lost; what was not is lost only where the plan does not list its action. The clients are those
//! of `live_clients/table.rs`, and those of the JSON files that `DEPUTIZE_CLIENTS` names (a file or a directory, in the same
//! form). Needs Go. Run with `cargo test --test live_clients -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;
#[path = "live_clients/table.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::cluster::{Cluster, Server};
use common::{deputize, files};
use serde_json::{Value, json};

/// The file with the RBAC of all clients.
const WORLD: &str = "clients.json";

/// A request of a client.
#[derive(Debug, Clone)]
struct Request {
    client: String,
    /// As the table has it.
    what: Value,
    /// As `live` takes it.
    line: Value,
}

impl Request {
    fn new(client: &Value, what: &Value) -> Self {
        let mut headers = what["headers"].as_array().unwrap().clone();
        let kind = what["kind"].as_str().unwrap_or("http");
        let body = what["body"].as_str().unwrap_or_default();
        match (kind, what["method"].as_str().unwrap()) {
            ("patch", _) => headers.push(json!(["Content-Type", "application/apply-patch+yaml"])),
            (_, "POST" | "PUT") => headers.push(json!(["Content-Type", "application/json"])),
            _ => {}
        }
        let mut line = client["requestor"].clone();
        line["http"] = json!({
            "method": what["method"], "path": what["path"], "headers": headers, "body": body, "upgrade": kind == "ws",
        });
        Self { client: client["client"].as_str().unwrap().to_owned(), what: what.clone(), line }
    }

    fn of(clients: &[Value], which: &str) -> Vec<Self> {
        let of_client = |client: &Value| -> Vec<Self> {
            let requests = client[which].as_array().into_iter().flatten();
            requests.map(|what| Self::new(client, what)).collect()
        };
        clients.iter().flat_map(of_client).collect()
    }

    fn describe(&self) -> String {
        format!("{}: {} {} {}", self.client, self.what["method"], self.what["path"], self.what["headers"])
    }
}

/// What became of a request: whether the impersonation was allowed, as whom it ran, whether that one was allowed to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    is_allowed: bool,
    runs_as: Value,
    decision: Value,
}

impl Outcome {
    fn of(answer: &Value) -> Self {
        let mut runs_as = answer["as"].clone();
        // Constrained modes add it to nodes, legacy does not: the plan warns of it.
        if runs_as["user"].as_str().is_some_and(|user| user.starts_with("system:node:")) {
            runs_as["groups"].as_array_mut().unwrap().retain(|group| group != "system:nodes");
        }
        Self { is_allowed: answer["impersonation"] == "allowed", runs_as, decision: answer["request"].clone() }
    }
}

fn ask(cluster: &mut Cluster, server: Server, requests: &[Request]) -> Vec<Outcome> {
    let lines: Vec<Value> = requests.iter().map(|request| request.line.clone()).collect();
    cluster.ask(server, &lines).iter().map(Outcome::of).collect()
}

/// The attributes of requests as the server logged them last, in their order.
fn attributes(cluster: &mut Cluster, before: usize, count: usize) -> Vec<Value> {
    let log = cluster.audit_log();
    let mut by_id: BTreeMap<u64, Value> = BTreeMap::new();
    for line in log[before..].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let id = event["auditID"].as_str().unwrap().strip_prefix("deputize-live-").and_then(|id| id.parse().ok());
        if let Some(id) = id {
            by_id.entry(id).or_insert(event);
        }
    }
    by_id.into_values().take(count).collect()
}

/// Whether the plan lists the action of a request for its requestor, in any mode.
fn is_listed(plan: &Value, event: &Value) -> bool {
    let user = event["user"]["username"].as_str().unwrap();
    let is_requestor = |subject: &Value| match subject["kind"].as_str() {
        Some("ServiceAccount") => {
            let parts = [&subject["namespace"], &subject["name"]].map(|part| part.as_str().unwrap_or_default());
            user == format!("system:serviceaccount:{}:{}", parts[0], parts[1])
        }
        Some("User") => subject["name"] == user,
        _ => event["user"]["groups"].as_array().unwrap().contains(&subject["name"]),
    };
    let has = |list: &Value, wanted: &str| {
        list.as_array().is_some_and(|list| list.iter().any(|item| item == wanted || item == "*"))
    };
    let part = |name: &str| event["objectRef"][name].as_str().unwrap_or_default();
    let verb = event["verb"].as_str().unwrap();
    let resource = match part("subresource") {
        "" => part("resource").to_owned(),
        subresource => format!("{}/{subresource}", part("resource")),
    };
    let grants = plan["grants"].as_array().unwrap().iter().filter(|grant| is_requestor(&grant["subject"]));
    let mut actions = grants.flat_map(|grant| grant["actions"].as_array().cloned().unwrap_or_default());
    actions.any(|action| {
        let in_namespace = action["namespace"].is_null() || action["namespace"] == part("namespace");
        let mut rules = action["rules"].as_array().unwrap().iter();
        in_namespace
            && rules.any(|rule| {
                has(&rule["verbs"], verb)
                    && if event["objectRef"].is_object() && !part("resource").is_empty() {
                        has(&rule["apiGroups"], part("apiGroup")) && has(&rule["resources"], &resource)
                    } else {
                        // Paths are listed as the server decodes them; what is escaped is compared by the answers alone.
                        let path = event["requestURI"].as_str().unwrap().split('?').next().unwrap();
                        has(&rule["nonResourceURLs"], path)
                    }
            })
    })
}

/// Replays clients through a migration and back; what the migration wrote and said.
fn replay(name: &str, clients: &[Value]) -> BTreeMap<PathBuf, String> {
    let mut cluster = Cluster::start(&[]);
    prepare(&cluster, clients);
    let observed = Request::of(clients, "observed");
    let unseen = Request::of(clients, "unseen");
    let everything = [observed.clone(), unseen.clone()].concat();

    let before = ask(&mut cluster, Server::Started, &observed);
    for (request, outcome) in observed.iter().zip(&before).filter(|(_, outcome)| !outcome.is_allowed) {
        println!("{name}: refused before the migration: {} {outcome:?}", request.describe());
    }
    let log = cluster.path("observed.log");
    let observed_log = cluster.audit_log();
    fs::write(&log, &observed_log).unwrap();
    let before = [before, ask(&mut cluster, Server::Running, &unseen)].concat();
    let events = attributes(&mut cluster, observed_log.len(), unseen.len());
    assert_eq!(events.len(), unseen.len());

    let (world, directory) = (cluster.path(WORLD), cluster.path("migration"));
    let run = deputize(&["migrate", &world, "--audit-log", &log, "--output-dir", &directory]);
    println!("{}", run.stderr);
    assert!(run.status < 2, "{}", run.stderr);
    let read = files(Path::new(&directory)).into_iter();
    let mut written: BTreeMap<PathBuf, String> =
        read.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect();
    written.insert("standard error".into(), run.stderr.clone());
    let plan: Value = serde_json::from_slice(&fs::read(Path::new(&directory).join("plan.json")).unwrap()).unwrap();

    cluster.kubectl.admin(&["apply", "-k", &format!("{directory}/1-grant")]);
    let granted = ask(&mut cluster, Server::Running, &everything);
    assert_same(&everything, &before, &granted, "with the grants added");

    let cutover = format!("{directory}/2-cutover");
    if fs::exists(format!("{cutover}/kustomization.yaml")).unwrap() {
        cluster.kubectl.admin(&["apply", "-k", &cutover]);
    }
    let delete = format!("{cutover}/delete.yaml");
    if fs::exists(&delete).unwrap() {
        cluster.kubectl.admin(&["delete", "-f", &delete]);
    }
    let after = ask(&mut cluster, Server::Started, &everything);
    let (of_observed, of_unseen) = after.split_at(observed.len());
    let lost: Vec<String> = lost(&observed, &before, of_observed).map(|(_, request)| request.describe()).collect();
    assert_same(&observed, &before, of_observed, "observed, after the cut-over");
    let refused: BTreeMap<usize, &Request> = self::lost(&unseen, &before[observed.len()..], of_unseen).collect();
    let silent: Vec<String> = refused
        .iter()
        .filter(|(at, _)| is_listed(&plan, &events[**at]))
        .map(|(_, request)| request.describe())
        .collect();
    assert_eq!(silent, Vec::<String>::new(), "lost, though the plan lists the action");
    for request in refused.values() {
        println!("{name}: refused, as the plan says: {}", request.describe());
    }
    let has_expectations = unseen.iter().any(|request| request.what["refused"] == true);
    let expected: BTreeSet<usize> =
        unseen.iter().enumerate().filter(|(_, request)| request.what["refused"] == true).map(|(at, _)| at).collect();
    if has_expectations {
        let found: BTreeSet<usize> = refused.keys().copied().collect();
        let describe = |set: &BTreeSet<usize>| set.iter().map(|at| unseen[*at].describe()).collect::<Vec<_>>();
        assert_eq!(describe(&found), describe(&expected), "unseen requests that are refused after the cut-over");
    }
    let verified = deputize(&["verify", &world, "--audit-log", &log, "--with", &directory, "-o", "json"]);
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    // Of grants by default roles the manifests know nothing.
    let is_lost = |request: &&Value| request["after"] == "denied" && request["before"] != "denied";
    let lost_by_verify: Vec<&Value> = verified["requests"].as_array().unwrap().iter().filter(is_lost).collect();
    assert_eq!((lost_by_verify, &verified["summary"]["widened"]), (vec![], &json!(0)));

    let rollback = format!("{directory}/rollback");
    if fs::exists(&rollback).unwrap() {
        cluster.kubectl.admin(&["apply", "-f", &rollback]);
    }
    assert_same(&everything, &before, &ask(&mut cluster, Server::Started, &everything), "rolled back");
    println!(
        "{name}: {} clients, {} observed requests, {} lost; {} unseen, {} refused as the plan said; all back after the rollback",
        clients.len(),
        observed.len(),
        lost.len(),
        unseen.len(),
        refused.len(),
    );
    written
}

/// The requests that were allowed before and are not any more, with their indices.
fn lost<'r>(
    requests: &'r [Request],
    before: &'r [Outcome],
    after: &'r [Outcome],
) -> impl Iterator<Item = (usize, &'r Request)> {
    let outcomes = before.iter().zip(after);
    let is_lost = |(before, after): (&Outcome, &Outcome)| before.is_allowed && !after.is_allowed;
    let lost = requests.iter().zip(outcomes).enumerate().filter(move |(_, (_, outcomes))| is_lost(*outcomes));
    lost.map(|(at, (request, _))| (at, request))
}

fn assert_same(requests: &[Request], before: &[Outcome], after: &[Outcome], what: &str) {
    let differ = requests.iter().zip(before.iter().zip(after)).filter(|(_, (before, after))| before != after);
    let differ: Vec<String> =
        differ.map(|(request, (before, after))| format!("{}\n  {before:?}\n  {after:?}", request.describe())).collect();
    assert!(differ.is_empty(), "{what}: {} differ\n{}", differ.len(), differ.join("\n"));
}

/// Gives the cluster the namespaces of the clients and their RBAC.
fn prepare(cluster: &Cluster, clients: &[Value]) {
    let objects = clients.iter().flat_map(|client| client["rbac"].as_array().unwrap());
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()});
    fs::write(cluster.path(WORLD), list.to_string()).unwrap();
    let mut namespaces = BTreeSet::from(["shop".to_owned(), "pay".to_owned(), "other".to_owned()]);
    for client in clients {
        let user = client["requestor"]["user"].as_str().unwrap();
        namespaces.extend(
            user.strip_prefix("system:serviceaccount:").and_then(|rest| Some(rest.split_once(':')?.0.to_owned())),
        );
        let objects = client["rbac"].as_array().unwrap().iter();
        namespaces.extend(objects.filter_map(|object| object["metadata"]["namespace"].as_str().map(str::to_owned)));
    }
    for namespace in namespaces.iter().filter(|namespace| !["kube-system", "default"].contains(&namespace.as_str())) {
        cluster.kubectl.admin(&["create", "namespace", namespace]);
    }
    // Some of what is asked for is allowed.
    cluster.kubectl.admin(&[
        "create",
        "clusterrolebinding",
        "all-view",
        "--clusterrole=view",
        "--group=system:authenticated",
    ]);
    cluster.kubectl.admin(&["apply", "-f", &cluster.path(WORLD)]);
}

/// The clients of JSON files.
fn read_clients(path: &Path) -> Vec<Value> {
    let paths: Vec<PathBuf> = if path.is_dir() {
        let mut paths: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect()
    } else {
        vec![path.to_owned()]
    };
    let read = |path: &PathBuf| serde_json::from_slice::<Vec<Value>>(&fs::read(path).unwrap()).unwrap();
    paths.iter().flat_map(read).collect()
}

#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn clients_of_the_table_lose_nothing_that_the_plan_has_not_named() {
    replay("table", &table::clients());
}

#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn paths_are_granted_as_the_server_decodes_them() {
    replay("paths", &[table::paths()]);
}

#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn values_of_extras_are_never_written() {
    for (path, text) in replay("extras", &[table::hub()]) {
        if let Some(at) = text.find(table::PLANTED) {
            panic!("{} holds a value of an extra: {}", path.display(), text[..at].lines().last().unwrap());
        }
    }
}

#[test]
#[ignore = "needs Go, and clients in $DEPUTIZE_CLIENTS"]
fn clients_of_files_lose_nothing_that_the_plan_has_not_named() {
    let path = std::env::var_os("DEPUTIZE_CLIENTS").expect("DEPUTIZE_CLIENTS names no clients");
    replay("files", &read_clients(Path::new(&path)));
}
