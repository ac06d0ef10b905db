//! Documents that readers read differently: each hides a grant from one of them. They are problems (exit status 2), what `kubectl`
//! reads of them is shown where it is known, and no fix touches them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Run, deputize_in};
use tempfile::TempDir;

const HEAD: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reviewer}\n";
const BINDING: &str = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: reviewer}\n\
                       roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviewer}\n\
                       subjects: [{kind: User, name: eve, apiGroup: rbac.authorization.k8s.io}]\n";

fn directory(files: &[(&str, String)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn check(files: &[(&str, String)]) -> Run {
    deputize_in(directory(files).path(), &["check", "."])
}

/// Ends with status 2, and says where and why.
fn refuses(run: &Run, place: &str, why: &str) {
    assert_eq!(run.status, 2, "{}{}", run.stdout, run.stderr);
    let said = run.stderr.lines().any(|line| line.contains(place) && line.contains(why));
    assert!(said, "{place} {why}\n{}{}", run.stdout, run.stderr);
}

#[test]
fn a_grant_that_only_kubectl_reads_is_a_problem() {
    let shared = "apiVersion: v1\nkind: List\n";
    let items = format!("items:\n- {}", HEAD.trim_end().replace('\n', "\n  "));
    let json = "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"reviewer\"},\
                \"rules\":[{\"verbs\":[\"impersonate\"],\"apiGroups\":[\"\"],\"resources\":[\"groups\"]}]}\n";
    for (text, place, why) in [
        (
            format!("{HEAD}rules: [{{apiGroups: [\"\"], ?verbs: [impersonate], resources: [groups]}}]\n"),
            "a.yaml:4:27",
            "`?`",
        ),
        (
            format!("{HEAD}rules: [{{apiGroups: [\"\"], verbs: [imper?sonate, get], resources: [groups]}}]\n"),
            "a.yaml:4:35",
            "`?`",
        ),
        (
            format!(
                "{shared}defs: {{it: &it {{verbs: [list], verbs: [impersonate]}}}}\n{items}\n  rules:\n  - {{apiGroups: [\"\"], resources: [groups], <<: *it}}\n"
            ),
            "a.yaml:3:32",
            "twice",
        ),
        (
            format!(
                "{shared}one: &one {{verbs: [list]}}\ntwo: &two {{verbs: [impersonate]}}\n{items}\n  rules:\n  - <<: *one\n    <<: *two\n    apiGroups: [\"\"]\n    resources: [groups]\n"
            ),
            "a.yaml:11:5",
            "two `<<`",
        ),
        (format!("\u{3000}{json}"), "a.yaml:1:1", "white space"),
        (
            format!(
                "a: b\n---\u{2003}\n{HEAD}rules: [{{apiGroups: [\"\"], verbs: [impersonate], resources: [groups]}}]\n"
            ),
            "a.yaml:2:1",
            "`---`",
        ),
        (format!("%YAML 1.1\n---\n{HEAD}rules: []\n"), "a.yaml:1:1", "directives"),
        (format!("a: b\n...\n{HEAD}rules: []\n"), "a.yaml:3:1", "only the first"),
        (format!("{HEAD}rules: []\nrules: []\n"), "a.yaml:5:1", "twice"),
    ] {
        refuses(&check(&[("a.yaml", text + BINDING)]), place, why);
    }
}

#[test]
fn a_list_with_two_lists_of_items_is_a_problem() {
    let role = |verb: &str| {
        format!(
            "{{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRole\",\"metadata\":{{\"name\":\"reviewer\"}},\
             \"rules\":[{{\"verbs\":[\"{verb}\"],\"apiGroups\":[\"\"],\"resources\":[\"groups\"]}}]}}"
        )
    };
    let text = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}],\n\"items\":[{}]}}\n",
        role("impersonate"),
        role("get")
    );
    refuses(&check(&[("a.json", text)]), "a.json:2:2", "`items` stands twice");
}

#[test]
fn charts_and_values_too() {
    let chart = ("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n".to_owned());
    let role = format!("{HEAD}rules:\n- {{apiGroups: [\"\"], resources: [groups], verbs: [get]}}\n");
    let trimmed = format!("{}{}", '\u{a0}', role.replace("get", "impersonate") + BINDING);
    let run = check(&[chart.clone(), ("chart/templates/a.yaml", trimmed)]);
    // Helm trims it before anybody reads it.
    assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("User \"eve\" can impersonate any group"), "{}", run.stdout);
    // What the values are cannot be told, which is said.
    let template = role.replace("[get]", "{{ .Values.verbs }}") + BINDING;
    let run = check(&[
        chart,
        ("chart/values.yaml", "verbs: [get]\n{?a: b}: c\n".replace("{?a: b}: c", "x: {?a: b}")),
        ("chart/templates/a.yaml", template),
    ]);
    assert!(run.stderr.contains("readers may read values.yaml differently"), "{}", run.stderr);
}

#[test]
fn what_is_no_rbac_may_be_read_in_any_way() {
    let run =
        check(&[("a.yaml", "kind: Deployment\nx: {?a: b}\n".to_owned()), ("b.yaml", HEAD.to_owned() + "rules: []\n")]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
}

#[test]
fn no_fix_touches_such_a_document() {
    let dead = "- {apiGroups: [\"\"], resources: [userextras], verbs: [impersonate, impersonate]}\n";
    let fix = |text: &str| {
        let directory = directory(&[("a.yaml", text.to_owned())]);
        let run = deputize_in(directory.path(), &["check", "a.yaml", "--fix", "--unsafe-fixes"]);
        (run, std::fs::read_to_string(directory.path().join("a.yaml")).unwrap())
    };
    // There is something to fix.
    let clean = format!("{HEAD}rules:\n{dead}{BINDING}");
    let (run, after) = fix(&clean);
    assert_ne!(after, clean, "{}{}", run.stdout, run.stderr);
    for text in [
        format!(
            "{HEAD}rules:\n{dead}- {{apiGroups: [\"\"], resources: [pods], verbs: [get], verbs: [list]}}\n{BINDING}"
        ),
        format!("{HEAD}rules:\n{dead}x: {{?a: b}}\n{BINDING}"),
        format!("{HEAD}x: \"a\\/b\"\nrules:\n{dead}{BINDING}"),
    ] {
        let (run, after) = fix(&text);
        assert_eq!(after, text, "{}{}", run.stdout, run.stderr);
        assert_eq!(run.status, 2, "{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn only_the_input_itself_is_a_snapshot() {
    let head = "apiVersion: deputize.dev/v1\nkind: Snapshot\nmetadata: {name: prod}\nservers:\n- {version: \"1.35\", gitVersion: v1.35.0}\n";
    let grant = format!("{HEAD}rules: [{{apiGroups: [\"\"], verbs: [impersonate], resources: [groups]}}]\n{BINDING}");
    let files = [("a.yaml", grant.clone()), ("b.yaml", head.to_owned())];
    let without = check(&files[..1]);
    let with = check(&files);
    refuses(&with, "b.yaml", "snapshot of a cluster");
    // Nothing else changes.
    assert_eq!(without.stdout, with.stdout);
    assert_eq!(without.status, 1);
    let directory = directory(&[("s.yaml", format!("{head}---\n{grant}")), ("b.yaml", head.to_owned())]);
    let run = |paths: &[&str]| deputize_in(directory.path(), &[&["check"], paths].concat());
    assert_ne!(run(&["s.yaml"]).status, 2);
    assert_eq!(run(&["s.yaml", "b.yaml"]).status, 2);
}

#[test]
fn keys_that_only_kustomize_takes_are_followed_and_named() {
    let role = format!("{HEAD}rules: [{{apiGroups: [\"\"], verbs: [impersonate], resources: [groups]}}]\n{BINDING}");
    for (key, name) in [
        ("Resources", "resources"),
        ("re\u{17f}ources", "resources"),
        ("PATCHESSTRATEGICMERGE", "patchesStrategicMerge"),
    ] {
        let files = [("kustomization.yaml", format!("{key}: [role.txt]\n")), ("role.txt", role.clone())];
        let run = check(&files);
        refuses(&run, "kustomization.yaml:1:1", &format!("`{name}`"));
        assert!(run.stdout.contains("eve"), "{}{}", run.stdout, run.stderr);
    }
    let nested = [("kustomization.yaml", "patches: [{Path: role.txt}]\n".to_owned()), ("role.txt", role)];
    refuses(&check(&nested), "kustomization.yaml:1:12", "`path`");
}
