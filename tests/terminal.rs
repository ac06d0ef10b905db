//! What people see of `check`: order, bounds, counts, colours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Run, deputize_in};

/// A role that anyone could bind, and nothing does: a note.
fn unbound(name: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules:\n\
         - {{apiGroups: [\"\"], resources: [users], verbs: [impersonate]}}\n---\n"
    )
}

/// A role with an error and a warning, and its binding.
const PROXY: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: proxy}
rules:
- apiGroups: [\"\"]
  resources: [users]
  verbs: [impersonate]
- apiGroups: [\"\"]
  resources: [users]
  resourceNames: [jane]
  verbs: [impersonate]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: proxy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: proxy}
subjects: [{kind: ServiceAccount, name: proxy, namespace: proxy}]
";

/// A directory with one error, one warning and 60 notes; the error is in the first file.
fn manifests() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.yaml"), PROXY).unwrap();
    let notes: String = (0..60).map(|number| unbound(&format!("role-{number}"))).collect();
    std::fs::write(directory.path().join("b.yaml"), notes).unwrap();
    directory
}

fn check(directory: &Path, more: &[&str]) -> Run {
    deputize_in(directory, &[&["check"], more].concat())
}

/// How many findings of a severity are shown.
fn shown(run: &Run, severity: &str) -> usize {
    run.stdout.lines().filter(|line| line.starts_with(&format!("{severity}["))).count()
}

#[test]
fn the_worst_is_last_and_a_binding_is_shown_once() {
    let directory = manifests();
    let run = check(directory.path(), &[]);
    let last = run.stdout.lines().rfind(|line| line.contains("]: ")).unwrap();
    assert!(last.starts_with("error[unrestricted-users]: "), "{last}");
    assert_eq!(run.stdout.matches("ClusterRoleBinding \"proxy\" binds it (a.yaml:16:").count(), 1, "{}", run.stdout);
    assert!(run.stdout.contains(" = explain: deputize explain unrestricted-users\n"), "{}", run.stdout);
    assert_eq!(run.status, 1);
}

#[test]
fn the_worst_findings_are_shown_and_the_others_counted() {
    let directory = manifests();
    let run = check(directory.path(), &[]);
    assert_eq!([shown(&run, "error"), shown(&run, "warning"), shown(&run, "note")], [1, 1, 48]);
    assert!(run.stdout.starts_with("12 findings not shown (--limit shows more)\n"), "{}", run.stdout);
    assert!(run.stdout.contains("\n12      note       unbound-role   "), "{}", run.stdout);
    assert!(run.stderr.ends_with("\n1 error, 1 warning and 60 notes; 50 of 62 shown\n"), "{}", run.stderr);
    for all in ["0", "all"] {
        let run = check(directory.path(), &["--limit", all]);
        assert_eq!(shown(&run, "note"), 60);
        assert!(run.stderr.ends_with("\n1 error, 1 warning and 60 notes\n"), "{}", run.stderr);
    }
    let one = check(directory.path(), &["--limit", "1"]);
    assert_eq!([shown(&one, "error"), shown(&one, "warning"), shown(&one, "note")], [1, 0, 0]);
    assert_eq!(check(directory.path(), &["--limit", "some"]).status, 2);
}

#[test]
fn what_people_are_shown_changes_neither_other_formats_nor_the_exit_status() {
    let directory = manifests();
    let more = &["--limit", "1", "--min-severity", "error", "--sort", "rule", "--statistics"];
    for format in ["json", "sarif", "concise", "github", "gitlab", "junit"] {
        let whole = check(directory.path(), &["-o", format]);
        let limited = check(directory.path(), &[&["-o", format], &more[..]].concat());
        assert_eq!((&limited.stdout, limited.status), (&whole.stdout, whole.status), "{format}");
    }
    let errors = check(directory.path(), &["--min-severity", "error", "--fail-on", "note", "--select", "unbound-role"]);
    assert_eq!((errors.stdout.as_str(), errors.status), ("", 1));
    assert!(errors.stderr.ends_with("and 60 notes; 0 of 60 shown\n"), "{}", errors.stderr);
}

#[test]
fn findings_are_counted_by_rule() {
    let directory = manifests();
    let run = check(directory.path(), &["--statistics"]);
    let rows: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    let expected = [
        ["COUNT", "SEVERITY", "RULE"],
        ["60", "note", "unbound-role"],
        ["1", "warning", "named-identities"],
        ["1", "error", "unrestricted-users"],
    ];
    assert_eq!(rows, expected);
    assert_eq!(run.status, 1);
}

#[test]
fn findings_are_sorted_as_asked() {
    let directory = manifests();
    let rules = |sort: &str| -> Vec<String> {
        let run = check(directory.path(), &["--limit", "3", "--sort", sort]);
        let titles = run.stdout.lines().filter_map(|line| line.split_once("]: ")?.0.split_once('['));
        titles.map(|(_, rule)| rule.to_owned()).collect()
    };
    assert_eq!(rules("severity"), ["unbound-role", "named-identities", "unrestricted-users"]);
    assert_eq!(rules("path"), ["unrestricted-users", "named-identities", "unbound-role"]);
    assert_eq!(rules("rule"), ["named-identities", "unbound-role", "unrestricted-users"]);
}

#[test]
fn quiet_is_results_and_errors_and_verbose_every_place() {
    let directory = manifests();
    std::fs::write(directory.path().join("c.yaml"), unbound("nulls").replace("[users]", "null").repeat(3)).unwrap();
    let normal = check(directory.path(), &[]);
    assert!(
        normal.stderr.contains("warning: `resources` is null") && normal.stderr.contains(" (3 times)\n"),
        "{}",
        normal.stderr
    );
    let quiet = check(directory.path(), &["-q"]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str(), quiet.status), (normal.stdout, "", 1));
    let verbose = check(directory.path(), &["--verbose"]);
    assert_eq!(verbose.stderr.matches("warning: `resources` is null").count(), 3, "{}", verbose.stderr);
    // The lines of the binding, too.
    assert!(verbose.stdout.contains("--> a.yaml:16:"), "{}", verbose.stdout);
    std::fs::write(directory.path().join("d.yaml"), "kind: ClusterRole\nrules: [\n").unwrap();
    let broken = check(directory.path(), &["-q"]);
    assert!(broken.stderr.starts_with("d.yaml:") && broken.stderr.contains(": error: "), "{}", broken.stderr);
    assert_eq!((broken.stderr.lines().count(), broken.status), (2, 2));
}

/// Runs the binary with these variables only.
fn with(environment: &[(&str, &str)], arguments: &[&str], directory: &Path) -> [String; 2] {
    let output = Command::new(env!("CARGO_BIN_EXE_deputize"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn colours_are_used_as_asked() {
    let directory = manifests();
    let is_painted = |environment: &[(&str, &str)], color: &[&str]| {
        let [out, err] = with(environment, &[&["check"], color].concat(), directory.path());
        assert_eq!(out.contains('\u{1b}'), err.contains('\u{1b}'));
        out.contains('\u{1b}')
    };
    assert!(!is_painted(&[], &[]));
    assert!(is_painted(&[], &["--color", "always"]));
    assert!(is_painted(&[("NO_COLOR", "1")], &["--color=always"]));
    assert!(is_painted(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!is_painted(&[("CLICOLOR_FORCE", "1")], &["--color=never"]));
    assert!(!is_painted(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]));
}

#[test]
fn colours_change_no_text_and_no_error_is_green() {
    let root = common::root();
    let log = "testdata/platform-audit.log";
    for arguments in [
        &["check", "testdata/platform"][..],
        &["check", "testdata/platform", "--statistics"],
        &["check", "testdata/platform", "--diff", "--unsafe-fixes"],
        &["grants", "testdata/platform"],
        &["migrate", "testdata/platform", "--audit-log", log],
        &["verify", "testdata/platform", "--audit-log", log],
        &["rules"],
        &["explain", "name-never-matches"],
        &["config"],
        &["simulate", "testdata/platform", "--user", "jane", "--as", "x", "--", "get", "pods"],
        &["explain", "no-such-rule"],
        &["no-such-command"],
    ] {
        let plain = with(&[], arguments, &root);
        let painted = with(&[], &[&["--color=always"], arguments].concat(), &root);
        let stripped = painted.each_ref().map(|text| anstream::adapter::strip_str(text).to_string());
        assert_eq!(stripped, plain, "{arguments:?}");
        assert!(painted.concat().contains('\u{1b}'), "{arguments:?}");
        let wrong = painted[1].lines().find(|line| line.contains("error") && line.contains("[32m"));
        assert_eq!(wrong.filter(|line| line.contains("error:")), None, "{arguments:?}");
    }
}
