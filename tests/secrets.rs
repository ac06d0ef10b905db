//! The values of extras that a log shows hold tokens. None of them reaches any output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Run, deputize_in, files};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A token with characters that YAML, JSON and Go's quotes leave alone, so that it is found wherever it is written.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.planted.in.an.extra";
const PROXY: &str = "system:serviceaccount:apps:proxy";

const MANIFESTS: &str = r#"apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: proxy}
rules:
- {apiGroups: [""], resources: [users, groups, serviceaccounts], verbs: [impersonate]}
- {apiGroups: [authentication.k8s.io], resources: [uids, userextras/acme.com/token, userextras/scopes], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: proxy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: proxy}
subjects: [{kind: ServiceAccount, namespace: apps, name: proxy}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: support}
rules:
- {apiGroups: [""], resources: [users], verbs: [impersonate]}
- {apiGroups: [authentication.k8s.io], resources: ["*"], resourceNames: [view], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: support}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: support}
subjects: [{kind: User, name: alice}]
"#;

/// An event with the parts that all have.
fn event(user: Value, more: Value) -> String {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": "list",
        "requestURI": "/api/v1/namespaces/shop/pods", "user": user,
        "objectRef": {"resource": "pods", "namespace": "shop"}, "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
    });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event.to_string()
}

/// A log with the token in every place in which a value of an extra can be.
fn log() -> String {
    let proxy = json!({"username": PROXY, "groups": ["system:serviceaccounts", "system:authenticated"], "extra": {
        "authentication.kubernetes.io/node-name": [TOKEN], "authentication.kubernetes.io/credential-id": [TOKEN]}});
    let alice = json!({"username": "alice", "groups": ["system:authenticated"]});
    let as_panda = |extra: Value| json!({"impersonatedUser": {"username": "panda", "groups": ["devs", "system:authenticated"], "extra": extra}});
    let refusal = |value: &str, reason: &str| {
        let message = format!(
            "userextras.authentication.k8s.io {value:?} is forbidden: User \"alice\" cannot impersonate resource \
             \"userextras/acme.com/token\" in API group \"authentication.k8s.io\" at the cluster scope{reason}"
        );
        json!({"responseStatus": {"code": 403, "message": message}})
    };
    let review = |resource: &str, subresource: &str| {
        json!({"verb": "create", "requestURI": "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            "objectRef": {"resource": "subjectaccessreviews", "apiGroup": "authorization.k8s.io"}, "responseStatus": {"code": 201},
            "requestObject": {"spec": {"user": PROXY, "extra": {"acme.com/token": [TOKEN]}, "resourceAttributes": {"verb": "impersonate",
                "group": "authentication.k8s.io", "resource": resource, "subresource": subresource, "name": TOKEN}}}})
    };
    let lines = [
        event(proxy.clone(), as_panda(json!({"acme.com/token": [TOKEN, ""], "Acme.com/Token": [TOKEN]}))),
        event(proxy.clone(), as_panda(json!({"scopes": ["view", TOKEN]}))),
        event(
            proxy.clone(),
            json!({"impersonatedUser": {"username": "system:serviceaccount:shop:app", "extra": {"acme.com/token": [TOKEN]},
            "groups": ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]}}),
        ),
        event(alice.clone(), as_panda(json!({"scopes": ["view"]}))),
        event(alice.clone(), as_panda(json!({"acme.com/token": [TOKEN]}))),
        event(alice.clone(), refusal(TOKEN, "")),
        event(
            alice.clone(),
            refusal(&format!("cannot impersonate {TOKEN} named \"{TOKEN}\" is forbidden: {TOKEN}"), ""),
        ),
        event(alice.clone(), refusal("x", &format!(": a webhook says that {TOKEN} named \"{TOKEN}\" is not allowed"))),
        event(json!({"username": "authorizer"}), review("userextras", "acme.com/token")),
        event(json!({"username": "authorizer"}), review("userextras/acme.com/token", "")),
    ];
    lines.join("\n") + "\n"
}

/// A line of evidence with an extra that is no list.
fn broken_evidence() -> String {
    format!(
        r#"{{"schema": "deputize.evidence/v1", "request": {{"user": "alice", "impersonate": {{"user": "panda", "extra": {{"k": "{TOKEN}"}}}}}}}}"#
    )
}

/// A log with lines that cannot be read: broken evidence, something else, and an event that is cut off.
fn broken_log() -> String {
    let log = log();
    let first = log.lines().next().unwrap();
    format!("{log}{}\n{{\"impersonate\": \"{TOKEN}\"}}\n{}", broken_evidence(), &first[..first.len() - 20])
}

fn start() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("manifests")).unwrap();
    fs::write(directory.path().join("manifests/rbac.yaml"), MANIFESTS).unwrap();
    fs::write(directory.path().join("audit.log"), log()).unwrap();
    directory
}

/// Runs a command, and looks for the token in what it prints.
fn run(directory: &Path, arguments: &str) -> Run {
    let run = deputize_in(directory, &arguments.split(' ').collect::<Vec<_>>());
    for (name, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        let line = text.lines().find(|line| line.contains(TOKEN));
        assert_eq!(line, None, "{arguments}: {name}");
    }
    assert!(!run.stdout.is_empty() || !run.stderr.is_empty(), "{arguments}");
    run
}

/// Looks for the token in all files below a directory.
fn look(directory: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let files = files(directory);
    assert!(!files.is_empty(), "{}", directory.display());
    for (path, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(TOKEN), "{}: {text}", path.display());
    }
    files
}

#[test]
fn no_value_of_an_extra_in_a_log_reaches_any_output() {
    let directory = start();
    let directory = directory.path();
    let evidence = run(directory, "evidence audit.log").stdout;
    fs::write(directory.join("evidence.jsonl"), &evidence).unwrap();
    // Nor is one that cannot be read quoted.
    fs::write(directory.join("broken.log"), broken_log()).unwrap();
    for command in
        ["evidence broken.log", "migrate manifests --audit-log broken.log", "report manifests --audit-log broken.log"]
    {
        assert_eq!(run(directory, command).status, 2, "{command}");
    }
    let kept = deputize_in(directory, &["evidence", "--keep-extra-values", "audit.log"]).stdout;
    assert!(kept.matches(TOKEN).count() > 8, "{kept}");
    fs::write(directory.join("kept.jsonl"), &kept).unwrap();
    // What was not read as evidence is not in it.
    assert_eq!(run(directory, "evidence kept.jsonl").stdout, evidence);
    for log in ["audit.log", "evidence.jsonl", "kept.jsonl"] {
        let migrate = format!("migrate manifests --audit-log {log}");
        for more in
            ["", " -o json", " -o yaml --identities observed", " -o json --identities observed", " --keep-unused"]
        {
            run(directory, &format!("{migrate}{more}"));
        }
        for stage in ["grant", "cutover"] {
            run(directory, &format!("{migrate} --in-place --stage {stage} --diff"));
        }
        for identities in ["granted", "observed"] {
            let out = format!("out-{log}-{identities}");
            run(directory, &format!("{migrate} --identities {identities} --output-dir {out} -o json"));
            look(&directory.join(&out));
            for output in ["human", "json"] {
                run(directory, &format!("verify manifests --audit-log {log} --with {out} -o {output}"));
            }
        }
        for output in ["human", "json"] {
            run(directory, &format!("verify manifests --audit-log {log} -o {output}"));
        }
        for format in ["html", "markdown", "json"] {
            run(directory, &format!("report manifests --audit-log {log} --format {format}"));
        }
    }
    for requests in ["evidence.jsonl", "kept.jsonl"] {
        let answers = run(directory, &format!("simulate manifests --requests {requests}")).stdout;
        assert!(answers.contains("sha256:") && answers.contains("\"view\""), "{answers}");
    }
    // A line of evidence that cannot be read is named without what it holds.
    fs::write(directory.join("broken.jsonl"), broken_evidence()).unwrap();
    let broken = run(directory, "simulate manifests --requests broken.jsonl");
    assert_eq!(broken.status, 2, "{}", broken.stderr);
    for stage in ["grant", "cutover"] {
        run(directory, &format!("migrate manifests --audit-log audit.log --in-place --stage {stage}"));
        look(&directory.join("manifests"));
    }
}

/// The same is planned from a log, from its evidence, and from evidence of an older release.
#[test]
fn hashes_say_all_that_a_plan_needs() {
    let directory = start();
    let directory = directory.path();
    let condensed = deputize_in(directory, &["evidence", "audit.log"]).stdout;
    let kept = deputize_in(directory, &["evidence", "--keep-extra-values", "audit.log"]).stdout;
    fs::write(directory.join("evidence.jsonl"), condensed).unwrap();
    fs::write(directory.join("kept.jsonl"), kept).unwrap();
    let plan = |log: &str| deputize_in(directory, &["migrate", "manifests", "-o", "json", "--audit-log", log]).stdout;
    let expected = plan("audit.log");
    assert_eq!(plan("evidence.jsonl"), expected);
    assert_eq!(plan("kept.jsonl"), expected);
    // The name that a role has is known, and the token is not.
    let plan: Value = serde_json::from_str(&expected).unwrap();
    let values: Vec<&Value> = plan["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|planned| &planned["request"]["impersonate"]["extra"]["scopes"])
        .collect();
    assert!(values.contains(&&json!(["view"])), "{values:?}");
}

/// What a person types is shown as it was typed.
#[test]
fn simulated_requests_keep_their_values() {
    let directory = start();
    let request = json!({"user": PROXY, "impersonate": {"user": "panda", "extra": {"acme.com/token": [TOKEN]}}, "verb": "list", "resource": "pods"});
    fs::write(directory.path().join("requests.jsonl"), request.to_string()).unwrap();
    let run = deputize_in(directory.path(), &["simulate", "manifests", "--requests", "requests.jsonl"]);
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["as"]["extra"]["acme.com/token"], json!([TOKEN]));
}
