//! Migrations of a live cluster, from the server's own audit log to the cut-over and back.
//!
//! The world is `testdata/stories`: the user stories of KEP-5284, and what else is common. Whatever was allowed with the
//! legacy grants is allowed at each step, by the modes that the plan names, as the server itself records. Needs Go. Run
//! with `cargo test --test live_migration -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;
#[path = "live_migration/stories.rs"]
mod stories;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, Kubectl, Server};
use common::{Run, deputize, deputize_with};
use deputize::authority::Mode;
use deputize::evidence::{Evidence, ExtraNames, OwnedRequest, read_log, read_request};
use deputize::inventory::{LoadOptions, load};
use serde_json::Value;

const WORLD: &str = "testdata/stories";
/// How long the servers may take to notice what was applied.
const PATIENCE: Duration = Duration::from_secs(60);

/// The modes by which each distinct request was served.
type Modes = BTreeMap<OwnedRequest, BTreeSet<String>>;

/// What became of all traffic.
struct Pass {
    /// As whom each request ran, and whether that one was allowed to make it.
    answers: Vec<[Value; 2]>,
    /// Whether each run of kubectl ended well, and whether something was forbidden.
    kubectl: Vec<[bool; 2]>,
    /// What the audit log has.
    modes: Modes,
    /// How many events of impersonated requests it has, and how many of them with a constraint.
    events: [usize; 2],
}

impl Pass {
    fn of(cluster: &mut Cluster, server: Server) -> Self {
        let before = cluster.audit_log().len();
        let answers = cluster.ask(server, &stories::traffic());
        let runs = stories::SUPPORT.map(|(arguments, succeeds)| {
            let run = cluster.kubectl.run(stories::ENGINEER.0, arguments);
            assert_eq!(run.success, succeeds, "kubectl {arguments:?}: {run:?}");
            [run.success, run.stderr.contains("forbidden")]
        });
        let log = &cluster.audit_log()[before..];
        let mut evidence = Evidence::default();
        read_log(log, &mut evidence).unwrap();
        let evidence = evidence.resolve(&ExtraNames::of([&load(&[WORLD.into()], &LoadOptions::default())]));
        let mut modes = Modes::new();
        for (observation, _) in evidence.iter() {
            let mode = observation.mode.map_or("denied", Mode::as_str);
            modes.entry(observation.request.clone()).or_default().insert(mode.to_owned());
        }
        Self { answers: answers.iter().map(outcome).collect(), kubectl: runs.into(), modes, events: events(log) }
    }

    /// The same was allowed as before, by these modes. A requestor who keeps legacy is served by it first from its first legacy
    /// request on: the server remembers that.
    fn expect(&self, what: &str, before: &Self, modes: &Modes, keeps_legacy: Option<&str>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for mode in self.modes.values().flatten() {
            *counts.entry(mode).or_default() += 1;
        }
        let [all, constrained] = self.events;
        println!(
            "{what}: {} distinct requests {counts:?}; {constrained} of {all} events constrained",
            self.modes.len()
        );
        assert_eq!(self.answers, before.answers, "{what}");
        assert_eq!(self.kubectl, before.kubectl, "{what}");
        let legacy = BTreeSet::from(["legacy".to_owned()]);
        let is_remembered = |request: &OwnedRequest| {
            keeps_legacy == Some(&request.requestor.name)
                && self.modes.get(request).is_some_and(|own| own.is_superset(&legacy))
        };
        let differ =
            modes.iter().filter(|(request, modes)| self.modes.get(*request) != Some(modes) && !is_remembered(request));
        let differ: Vec<_> = differ.map(|(request, modes)| (request, modes, self.modes.get(request))).collect();
        assert!(differ.is_empty() && modes.len() == self.modes.len(), "{what}: {differ:#?}");
    }
}

fn outcome(answer: &Value) -> [Value; 2] {
    assert_eq!(answer["impersonation"], "allowed", "{answer}");
    [answer["as"]["user"].clone(), answer["request"].clone()]
}

/// How many events of impersonated requests there are, and how many of them a constrained mode has served. Here the log
/// is read without deputize.
fn events(log: &[u8]) -> [usize; 2] {
    let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let ended = events.iter().filter(|event| event["stage"] == "ResponseComplete");
    let impersonated: Vec<&Value> = ended.filter(|event| event["impersonatedUser"].is_object()).collect();
    let constraint = |event: &&&Value| event["authenticationMetadata"]["impersonationConstraint"].is_string();
    [impersonated.len(), impersonated.iter().filter(constraint).count()]
}

/// Makes the cluster that of the stories.
fn start() -> Cluster {
    let cluster = Cluster::start(&[stories::ENGINEER]);
    cluster.kubectl.admin(&["apply", "-f", &format!("{WORLD}/namespaces.yaml")]);
    cluster.kubectl.admin(&["apply", "-f", WORLD]);
    aggregated(&cluster.kubectl);
    cluster
}

/// Waits until the controller has filled the aggregated role.
fn aggregated(kubectl: &Kubectl) {
    let rules = |selector: &[&str]| {
        let roles = kubectl.admin(&[&["get", "clusterroles", "-o", "json"], selector].concat());
        let roles: Value = serde_json::from_str(&roles).unwrap();
        let rules = roles["items"].as_array().unwrap().iter().filter_map(|role| role["rules"].as_array());
        rules.flatten().map(Value::to_string).collect::<BTreeSet<_>>()
    };
    let start = Instant::now();
    while rules(&["-l", "stories.example.com/aggregate-to"]) != rules(&["-l", "stories.example.com/aggregated"]) {
        assert!(start.elapsed() < PATIENCE, "the controller does not aggregate");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The mode of each request that nobody was seen to make.
fn unseen(cluster: &mut Cluster) -> Vec<String> {
    let requests: Vec<Value> = stories::unseen().into_iter().map(|(request, _)| request).collect();
    let answers = cluster.ask(Server::Running, &requests);
    answers.iter().map(|answer| answer["mode"].as_str().unwrap_or("denied").to_owned()).collect()
}

fn all_legacy(modes: &[String]) -> bool {
    modes.iter().all(|mode| mode == "legacy")
}

/// The modes that the plan has for the time after the cut-over.
fn planned(directory: &str) -> Modes {
    let plan: Value = serde_json::from_slice(&fs::read(format!("{directory}/plan.json")).unwrap()).unwrap();
    let after = |planned: &Value| {
        let request = read_request(planned["request"].to_string().as_bytes()).unwrap();
        (request, BTreeSet::from([planned["after"].as_str().unwrap().to_owned()]))
    };
    plan["requests"].as_array().unwrap().iter().map(after).collect()
}

/// Migrates the cluster and goes back, by what `deputize` makes of its audit log.
fn migrate_and_back(run: impl Fn(&Cluster, &str, &str) -> Run) {
    let mut cluster = start();
    let legacy = Pass::of(&mut cluster, Server::Started);
    let [seen, constrained] = legacy.events;
    println!("legacy: {} distinct requests; {constrained} of {seen} events constrained", legacy.modes.len());
    assert!(seen > 60 && constrained == 0);

    let directory = cluster.path("migration");
    let run = run(&cluster, &cluster.path("audit.log"), &directory);
    println!("{}", run.stderr);
    // Something is kept: what has no constrained form, and what the runner holds.
    assert_eq!(run.status, 1, "{}", run.stderr);
    let planned = planned(&directory);
    assert!(planned.keys().eq(legacy.modes.keys()), "the plan has other requests than the log");
    let kept: Vec<&OwnedRequest> =
        planned.iter().filter(|(_, after)| after.contains("legacy")).map(|(request, _)| request).collect();
    assert!(matches!(kept.as_slice(), [one] if one.headers.user() == "carol"), "{kept:?}");
    let keeps_legacy = Some(kept[0].requestor.name.as_str());
    assert!(all_legacy(&unseen(&mut cluster)));

    // The server remembers who was served by legacy.
    cluster.kubectl.admin(&["apply", "-k", &format!("{directory}/1-grant")]);
    Pass::of(&mut cluster, Server::Running).expect("granted", &legacy, &legacy.modes, None);
    // So the first constrained requests are those after the cut-over, which nobody notices.
    let passes = cluster.ask_during(&stories::traffic(), |kubectl| {
        kubectl.admin(&["apply", "-k", &format!("{directory}/2-cutover")]);
        kubectl.admin(&["delete", "-f", &format!("{directory}/2-cutover/delete.yaml")]);
        aggregated(kubectl);
    });
    println!("cutting over: all traffic {} times", passes.len());
    for answers in passes {
        assert_eq!(answers.iter().map(outcome).collect::<Vec<_>>(), legacy.answers);
    }
    let expected: Vec<&str> = stories::unseen().into_iter().map(|(_, mode)| mode).collect();
    let start = Instant::now();
    while unseen(&mut cluster) != expected {
        assert!(start.elapsed() < PATIENCE, "legacy is not gone: {:?}", unseen(&mut cluster));
    }
    Pass::of(&mut cluster, Server::Running).expect("cut over", &legacy, &planned, keeps_legacy);
    let cut_over = Pass::of(&mut cluster, Server::Started);
    cut_over.expect("cut over, server started anew", &legacy, &planned, keeps_legacy);
    // The request with the bare key is not served by another mode, nor are others of its requestor after it.
    assert!(cut_over.events[0] == seen && cut_over.events[1] < seen, "{:?}", cut_over.events);
    assert_eq!(unseen(&mut cluster), expected);

    cluster.kubectl.admin(&["apply", "-f", &format!("{directory}/rollback")]);
    aggregated(&cluster.kubectl);
    Pass::of(&mut cluster, Server::Started).expect("rolled back", &legacy, &planned, keeps_legacy);
    assert!(all_legacy(&unseen(&mut cluster)));
    Pass::of(&mut cluster, Server::WithoutFeature).expect(
        "rolled back, to an older server",
        &legacy,
        &legacy.modes,
        None,
    );

    cluster.kubectl.admin(&["delete", "-k", &format!("{directory}/1-grant")]);
    Pass::of(&mut cluster, Server::Started).expect("grants removed", &legacy, &legacy.modes, None);
}

#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn a_cluster_is_migrated_by_its_manifests_and_back() {
    migrate_and_back(|_, log, directory| deputize(&["migrate", WORLD, "--audit-log", log, "--output-dir", directory]));
}

/// Without manifests, by the objects as the server has them: default roles, aggregated rules, fields of the server's own.
#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn a_cluster_is_migrated_by_its_own_objects_and_back() {
    migrate_and_back(|cluster, log, directory| {
        let kinds = "clusterroles,roles,clusterrolebindings,rolebindings";
        let objects = cluster.kubectl.admin(&["get", kinds, "-A", "-o", "json"]);
        deputize_with(&["migrate", "-", "--audit-log", log, "--output-dir", directory], objects.as_bytes())
    });
}
