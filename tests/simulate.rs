//! `simulate` as its users meet it: one request for people, many as lines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{deputize, deputize_with};
use serde_json::{Value, json};

const PROXY: &str = "system:serviceaccount:login-proxy:login-proxy";

fn lines(input: &str) -> (Vec<Value>, String, i32) {
    let run = deputize_with(&["simulate", "testdata/platform"], input.as_bytes());
    let answers = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (answers, run.stderr, run.status)
}

#[test]
fn an_answer_has_the_documented_keys() {
    let (answers, _, status) = lines(&format!(
        "{}\n{}\n",
        json!({"user": PROXY, "impersonate": {"user": "panda"}, "verb": "list", "resource": "pods", "namespace": "default"}),
        json!({"user": "nobody", "impersonate": {"groups": ["devs"]}, "verb": "get", "path": "/version"}),
    ));
    assert_eq!(status, 1);
    assert_eq!(
        answers[0],
        json!({
            "impersonation": "allowed", "mode": "legacy", "constraint": null,
            "as": {"user": "panda", "groups": ["system:authenticated"], "uid": "", "extra": {}},
            "request": "denied",
            "checks": [
                {"verb": "impersonate-on:user-info:list", "apiGroup": "", "resource": "pods", "subresource": "", "namespace": "default", "name": "", "path": "", "allowed": false},
                {"verb": "impersonate", "apiGroup": "", "resource": "users", "subresource": "", "namespace": "", "name": "panda", "path": "", "allowed": true},
            ],
            "reason": "User \"panda\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        })
    );
    assert_eq!((&answers[1]["impersonation"], &answers[1]["request"]), (&json!("invalid"), &json!("denied")));
    assert_eq!(answers[1]["checks"], json!([]));
}

#[test]
fn a_broken_line_is_answered_on_its_line() {
    let good = json!({"user": PROXY, "impersonate": {"user": "panda"}, "verb": "get", "path": "/api"}).to_string();
    let (answers, stderr, status) =
        lines(&format!("{good}\n{{\"user\": \"a\", \"verbs\": \"get\"}}\nnonsense\n{good}"));
    assert_eq!(status, 2);
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[0], answers[3]);
    assert_eq!(answers[1]["line"], 2);
    assert!(answers[1]["error"].as_str().unwrap().starts_with("unknown field `verbs`"), "{}", answers[1]);
    assert_eq!(answers[2]["line"], 3);
    assert!(stderr.contains("line 2: unknown field `verbs`") && stderr.contains("line 3: expected"), "{stderr}");
}

#[test]
fn answers_keep_their_order_whatever_the_number_of_threads() {
    let input: String = (0..5_000)
        .map(|index| {
            json!({"user": PROXY, "impersonate": {"user": format!("user-{index}")}, "verb": "get", "path": "/api"})
                .to_string()
                + "\n"
        })
        .collect();
    let with =
        |threads: &str| deputize_with(&["simulate", "testdata/platform", "-j", threads], input.as_bytes()).stdout;
    let one = with("1");
    for (index, line) in one.lines().enumerate() {
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["as"]["user"], format!("user-{index}"));
    }
    assert_eq!(one, with("7"));
}

#[test]
fn one_request_is_traced() {
    let arguments =
        ["simulate", "testdata/platform", "--user", PROXY, "--as", "panda", "--", "list", "po", "-n", "shipping"];
    let run = deputize(&arguments);
    assert_eq!(run.status, 1);
    let expected = "\
denied: \"system:serviceaccount:login-proxy:login-proxy\" as \"panda\" may not list pods in namespace \"shipping\"
reason: User \"panda\" cannot list resource \"pods\" in API group \"\" in the namespace \"shipping\"

the impersonation: allowed by mode legacy
  becomes \"panda\" in the groups system:authenticated
  mode user-info
    ✘ impersonate-on:user-info:list pods in namespace \"shipping\"
        nothing allows it; the smallest rule that would:
          - apiGroups: [\"\"]
            resources: [\"pods\"]
            verbs: [\"impersonate-on:user-info:list\"]
          in a Role with a RoleBinding in namespace \"shipping\"
  mode legacy
    ✔ impersonate users \"panda\"
        ClusterRole \"login-proxy\", rule 0 (testdata/platform/apps/login-proxy/rbac.yaml:22)
        bound to ServiceAccount \"login-proxy/login-proxy\" by ClusterRoleBinding \"login-proxy\" (testdata/platform/apps/login-proxy/rbac.yaml:36)
the request, made as \"panda\": denied
    ✘ list pods in namespace \"shipping\"
        nothing allows it; the smallest rule that would:
          - apiGroups: [\"\"]
            resources: [\"pods\"]
            verbs: [\"list\"]
          in a Role with a RoleBinding in namespace \"shipping\"
";
    assert_eq!(run.stdout, expected);
}

#[test]
fn exit_statuses() {
    let migrated = "system:serviceaccount:finops:cost-reporter";
    let reader = "system:serviceaccount:shipping:cost-reader";
    let one = |more: &[&str]| deputize(&[&["simulate", "testdata/platform", "--user"], more].concat());
    // The constrained component may act, but what it becomes has no rights of its own in these manifests.
    let run = one(&[migrated, "--as", reader, "--", "list", "pods", "-n", "shipping"]);
    assert!(run.stdout.contains("the impersonation: allowed by mode serviceaccount"), "{}", run.stdout);
    assert_eq!(run.status, 1);
    assert_eq!(one(&["alice", "--group", "system:masters", "--", "list", "pods"]).status, 0);
    assert_eq!(one(&["alice", "--", "list", "pods"]).status, 1);
    for wrong in [&["alice"][..], &["alice", "--", "list"], &["alice", "--", "list", "pods", "-A", "-n", "x"]] {
        assert_eq!(one(wrong).status, 2, "{wrong:?}");
    }
    assert_eq!(deputize(&["simulate", "-"]).status, 2);
    assert_eq!(deputize(&["simulate", "testdata/platform", "--requests", "nowhere"]).status, 2);
}
