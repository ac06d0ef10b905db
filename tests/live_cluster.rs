//! A real cluster, read as its users read it: the same answers live and from its snapshot, and nothing but reading in the
//! server's own audit log.
//!
//! Needs Go. Run with `cargo test --test live_cluster -- --ignored --nocapture`.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use common::cluster::{Cluster, Server, ready};
use common::{Run, deputize};
use serde_json::{Value, json};

/// Who runs deputize, with no more than `deploy/rbac.yaml` grants.
const READER: &str = "reader";
/// Who may read one namespace.
const TENANT: &str = "tenant";

/// The kubeconfig of the cluster, with the token of a user.
fn kubeconfig(cluster: &Cluster, user: &str) -> String {
    let config = fs::read_to_string(cluster.path("kubeconfig")).unwrap();
    let path = cluster.path(&format!("kubeconfig-{user}"));
    fs::write(&path, config.replace("token: admin", &format!("token: {user}"))).unwrap();
    path
}

/// The result without what only a file has, and without the name of the file.
fn without_places(run: &Run, input: &str) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for key in ["location", "locations"] {
                    fields.remove(key);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut result = serde_json::from_str(&run.stdout.replace(input, "INPUT")).unwrap();
    strip(&mut result);
    result
}

#[test]
#[ignore = "needs Go"]
fn a_cluster_and_its_snapshot_are_one() {
    let mut cluster = Cluster::start(&[(READER, "readers"), (TENANT, "tenants")]);
    let kubectl = &cluster.kubectl;
    kubectl.admin(&["apply", "-f", "deploy/rbac.yaml"]);
    kubectl.admin(&["apply", "-f", "deploy/snapshot.yaml"]);
    for role in ["deputize-reader", "deputize-snapshot"] {
        kubectl.admin(&[
            "create",
            "clusterrolebinding",
            &format!("{role}-to-reader"),
            "--clusterrole",
            role,
            "--user=reader",
        ]);
    }
    kubectl.admin(&["apply", "-f", "testdata/stories"]);
    kubectl.admin(&["create", "namespace", "lodge"]);
    kubectl.admin(&["create", "role", "look", "-n", "lodge", "--verb=list", "--resource=roles,rolebindings"]);
    kubectl.admin(&["create", "role", "deputy", "-n", "lodge", "--verb=impersonate", "--resource=serviceaccounts"]);
    kubectl.admin(&["create", "rolebinding", "look", "-n", "lodge", "--role=look", "--user=tenant"]);
    kubectl.admin(&["create", "rolebinding", "deputy", "-n", "lodge", "--role=deputy", "--user=deputy"]);
    let before = cluster.audit_log().len();

    let reader = kubeconfig(&cluster, READER);
    let live = |arguments: &[&str]| {
        let (command, rest) = arguments.split_first().unwrap();
        deputize(&[&[*command, "--kubeconfig", &reader][..], rest].concat())
    };
    let snapshot = live(&["snapshot"]);
    assert_eq!(snapshot.status, 0, "{}", snapshot.stderr);
    assert!(snapshot.stderr.contains("constrained impersonation is on, by its metrics"), "{}", snapshot.stderr);
    let file = cluster.path("snapshot.yaml");
    fs::write(&file, &snapshot.stdout).unwrap();
    let log = cluster.path("audit.log");
    let requests = cluster.path("requests.jsonl");
    let request = json!({"user": "system:serviceaccount:lodge:deputy", "impersonate": {"user": "panda"}, "verb": "get", "path": "/api"});
    fs::write(&requests, format!("{request}\n")).unwrap();
    for arguments in [
        &["check", "-o", "json"][..],
        &["grants", "-o", "json"],
        &["migrate", "--from-target", "-o", "json"],
        &["verify", "--audit-log", &log, "-o", "json"],
        &["simulate", "--requests", &requests],
        &["report", "--format", "json"],
        &["guard", "-o", "json"],
    ] {
        let from_cluster = live(arguments);
        let from_file = deputize(&[&[arguments[0], file.as_str()][..], &arguments[1..]].concat());
        assert_eq!(
            from_cluster.status, from_file.status,
            "{arguments:?}: {} {}",
            from_cluster.stderr, from_file.stderr
        );
        let (one, other) = (without_places(&from_cluster, "cluster live"), without_places(&from_file, &file));
        assert_eq!(one, other, "{arguments:?}");
        println!("{}: the same {} bytes live and from the snapshot", arguments[0], one.to_string().len());
    }
    // The default roles are the real ones.
    let grants = live(&["grants", "-o", "json"]).stdout;
    assert!(grants.contains("\"system:aggregate-to-edit\""), "{grants}");

    // All that any of this has asked for.
    let log = String::from_utf8(cluster.audit_log()).unwrap();
    let events = log[before..].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours: Vec<Value> = events.filter(|event| event["user"]["username"] == READER).collect();
    let verbs: BTreeSet<&str> = ours.iter().map(|event| event["verb"].as_str().unwrap()).collect();
    let agents: BTreeSet<&str> = ours.iter().map(|event| event["userAgent"].as_str().unwrap()).collect();
    let resources: BTreeSet<&str> = ours.iter().filter_map(|event| event["objectRef"]["resource"].as_str()).collect();
    assert_eq!(verbs, BTreeSet::from(["get", "list"]));
    assert_eq!(agents, BTreeSet::from([concat!("deputize/", env!("CARGO_PKG_VERSION"))]));
    let known = ["clusterrolebindings", "clusterroles", "namespaces", "rolebindings", "roles", "serviceaccounts"];
    assert_eq!(resources, BTreeSet::from(known));
    println!("{} events, of the verbs {verbs:?}, on {resources:?}", ours.len());

    // What the server counts: first nothing, then each request, whether what it asks for is allowed or not.
    let uses = |run: &Run| run.stderr.lines().find(|line| line.contains("legacy impersonation")).unwrap().to_owned();
    let never = uses(&live(&["check"]));
    assert!(never.contains("never succeeded since the one API server that answered started at 20"), "{never}");
    assert!(never.ends_with("too little to conclude that no client needs it"), "{never}");
    let as_panda = json!({"user": "system:serviceaccount:lodge:deputy", "impersonate": {"user": "system:serviceaccount:lodge:panda"}, "verb": "get", "path": "/api"});
    let refused = json!({"user": "stranger", "impersonate": {"user": "panda"}, "verb": "get", "path": "/api"});
    let by_deputy = json!({"user": "deputy", "impersonate": {"user": "system:serviceaccount:lodge:panda"}, "verb": "get", "path": "/api"});
    let answers = cluster.ask(Server::Running, &[by_deputy.clone(), as_panda, by_deputy, refused]);
    let modes: Vec<&Value> = answers.iter().map(|answer| &answer["mode"]).collect();
    assert_eq!(modes, [&json!("legacy"), &Value::Null, &json!("legacy"), &Value::Null]);
    let used = uses(&live(&["grants"]));
    println!("{used}");
    assert!(used.contains("legacy impersonation succeeded 2 times") && used.contains("2 denied"), "{used}");
    assert!(used.ends_with("some client uses it, so find out which before you remove legacy grants"), "{used}");
    let result: Value = serde_json::from_str(&live(&["check", "-o", "json"]).stdout).unwrap();
    let count = &result["cluster"]["impersonation"][0];
    assert_eq!((&count["allowed"], &count["denied"]), (&json!({"legacy": 2}), &json!(2)), "{count}");

    // Who may read one namespace.
    let tenant = kubeconfig(&cluster, TENANT);
    let run = deputize(&["check", "--kubeconfig", &tenant, "-n", "lodge"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stdout.contains("any service account in namespace \"lodge\""), "{}", run.stdout);
    let run = deputize(&["check", "--kubeconfig", &tenant]);
    assert!(run.status == 2 && run.stdout.is_empty() && run.stderr.contains("User \"tenant\" cannot list"), "{run:?}");

    // A server whose certificate nobody vouches for.
    let config = fs::read_to_string(&reader).unwrap();
    let authority = config.lines().find(|line| line.contains("certificate-authority")).unwrap();
    let stranger = cluster.path("kubeconfig-stranger");
    fs::write(&stranger, config.replace(&format!("{authority}\n"), "")).unwrap();
    let run = deputize(&["check", "--kubeconfig", &stranger]);
    assert!(run.status == 2 && run.stderr.contains("no secure connection"), "{run:?}");

    // Inside of the cluster, with the service account of `deploy/rbac.yaml`: no kubeconfig, and the files that a pod has.
    let token = cluster.kubectl.admin(&["create", "token", "deputize", "-n", "deputize"]);
    let token_file = cluster.path("token");
    fs::write(&token_file, token.trim()).unwrap();
    let value = |key: &str| {
        let line = config.lines().find(|line| line.contains(key)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let server = value("server");
    let (host, port) = server.trim_start_matches("https://").rsplit_once(':').unwrap();
    let script = "mount -t tmpfs none /run && cd / && d=/run/secrets/kubernetes.io/serviceaccount && mkdir -p $d && \
                  cp \"$1\" $d/token && cp \"$2\" $d/ca.crt && printf deputize > $d/namespace && \
                  exec \"$3\" check --cluster --output=json --fail-on=error";
    // `/var/run` is `/run`, and nobody else sees this one.
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh", &token_file, &value("certificate-authority")])
        .arg(env!("CARGO_BIN_EXE_deputize"))
        .env("KUBERNETES_SERVICE_HOST", host)
        .env("KUBERNETES_SERVICE_PORT", port)
        .env("HOME", "/nonexistent")
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let result: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(result["cluster"]["knownFrom"], "metrics", "{stderr}");
    let live: Value = serde_json::from_str(&live(&["check", "-o", "json"]).stdout).unwrap();
    assert_eq!(result["findings"], live["findings"], "{stderr}");

    // A server that has the version but not the feature.
    cluster.ask(Server::WithoutFeature, &[ready()]);
    let run = deputize(&["check", "--kubeconfig", &kubeconfig(&cluster, READER)]);
    assert!(run.stderr.contains("constrained impersonation is off, by its metrics"), "{}", run.stderr);
    let unknown = "how often legacy impersonation is used is not known: API servers without constrained impersonation";
    assert!(run.stderr.contains(unknown), "{}", run.stderr);
}
