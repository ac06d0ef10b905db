//! Golden runs of the real binary, in a scrubbed environment.
//!
//! `SNAPSHOTS=overwrite cargo test --test cli` writes the expected output anew; read the difference before you commit it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Run, deputize, deputize_in, root};
use snapbox::{Data, assert_data_eq};

/// Compares what a command printed on standard output and standard error, and its exit status, with a file.
fn golden(name: &str, arguments: &[&str], status: i32) {
    let run = deputize(arguments);
    let file = |stream: &str| Data::read_from(&root().join(format!("tests/golden/{name}.{stream}")), None).raw();
    assert_data_eq!(run.stdout, file("stdout"));
    assert_data_eq!(run.stderr, file("stderr"));
    assert_eq!(run.status, status, "{arguments:?}");
}

#[test]
fn check_for_people() {
    golden("check", &["check", "testdata/platform"], 1);
}

/// What the README shows is what the program prints.
#[test]
fn the_readme_tells_the_truth() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let golden = |stream: &str| std::fs::read_to_string(root().join(format!("tests/golden/check.{stream}"))).unwrap();
    let shown: Vec<&str> = readme.split("```text\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let [findings, summary] = shown.as_slice() else { panic!("two excerpts, not {}", shown.len()) };
    // The worst is last.
    assert!(golden("stdout").ends_with(&format!("{findings}\n")), "{findings}");
    assert_eq!(golden("stderr"), *summary);
}

#[test]
fn check_rbac_in_other_objects() {
    golden("embedded", &["check", "testdata/embedded"], 1);
    golden("embedded-grants-json", &["grants", "testdata/embedded", "-o", "json"], 0);
}

/// What stands in other objects is no part of the world that these commands need, and stays as it is.
#[test]
fn rbac_in_other_objects_is_left_out_and_kept() {
    let run = deputize(&[
        "simulate",
        "testdata/embedded",
        "--user",
        "jane",
        "--as-group",
        "g",
        "--as",
        "x",
        "--",
        "get",
        "pods",
    ]);
    assert!(run.stdout.starts_with("denied"), "{}", run.stdout);
    assert!(run.stderr.contains("18 roles and bindings in other objects left out"), "{}", run.stderr);
    let run = deputize(&["migrate", "testdata/embedded", "--from-target", "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let grants = plan["grants"].as_array().unwrap();
    let listed = deputize(&["grants", "testdata/embedded", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(grants.len(), listed["grants"].as_array().unwrap().len());
    for grant in grants {
        assert_eq!((&grant["outcome"], &grant["reason"]), (&"kept".into(), &"not-editable".into()), "{grant}");
    }
}

/// What a chart installs, as Helm prints it, and the same with the places of each line.
#[test]
fn render_a_chart() {
    golden(
        "render",
        &["render", "testdata/chart", "--release-name", "r", "-n", "ns", "--set", "impersonation.allGroups=true"],
        0,
    );
    golden("render-origins", &["render", "testdata/chart", "--origins"], 0);
    let run = deputize(&["render", "testdata/platform"]);
    assert_eq!((run.stdout.as_str(), run.status), ("", 2));
    assert!(run.stderr.starts_with("error: Chart.yaml is missing"), "{}", run.stderr);
}

#[test]
fn check_as_json() {
    golden("check-json", &["check", "testdata/platform", "-o", "json"], 1);
}

#[test]
fn grants_for_people() {
    golden("grants", &["grants", "testdata/platform"], 0);
}

#[test]
fn grants_as_json() {
    golden("grants-json", &["grants", "testdata/platform", "-o", "json"], 0);
}

#[test]
fn migrate_as_manifests() {
    golden("migrate", &["migrate", "testdata/platform", "--actions", "testdata/platform-actions.yaml"], 1);
}

#[test]
fn migrate_as_a_plan() {
    let arguments = ["migrate", "testdata/platform", "--actions", "testdata/platform-actions.yaml", "-o", "json"];
    golden("migrate-json", &arguments, 1);
}

const TEMPLATES: [&str; 2] = ["testdata/chart", "testdata/playbook"];

#[test]
fn templates_are_read_where_they_stand() {
    golden("check-templates", &[&["check"], &TEMPLATES[..]].concat(), 1);
    golden("check-templates-json", &[&["check", "-o", "json"], &TEMPLATES[..]].concat(), 1);
    golden("grants-templates-json", &[&["grants", "-o", "json"], &TEMPLATES[..]].concat(), 0);
}

/// What a template becomes is not known, so that nothing is proved of it.
#[test]
fn templates_are_left_out_where_one_world_is_needed() {
    let left_out = |arguments: &[&str], status: i32| {
        let run = deputize(&[arguments, &TEMPLATES[..]].concat());
        assert!(run.stderr.contains("warning: 6 RBAC objects in templates left out"), "{}", run.stderr);
        assert_eq!(run.status, status, "{arguments:?}");
        run.stdout
    };
    assert_eq!(left_out(&["migrate", "--actions", "testdata/platform-actions.yaml"], 1), "");
    left_out(&["verify", "--audit-log", AUDIT_LOG], 1);
    let request = [&["simulate", "--user", "u", "--as", "panda"], &TEMPLATES[..], &["--", "list", "pods"]].concat();
    let run = deputize(&request);
    assert!(run.stderr.contains("warning: 6 RBAC objects in templates left out"), "{}", run.stderr);
    assert_eq!(run.status, 1);
}

const AUDIT_LOG: &str = "testdata/platform-audit.log";

#[test]
fn migrate_by_what_was_observed() {
    golden("migrate-observed", &["migrate", "testdata/platform", "--audit-log", AUDIT_LOG, "-o", "json"], 1);
}

#[test]
fn migrate_into_a_directory_and_verify_it() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("migrated").to_string_lossy().into_owned();
    let migrate = ["migrate", "testdata/platform", "--audit-log", AUDIT_LOG, "--output-dir", &out];
    let first = deputize(&migrate);
    assert_eq!((first.status, first.stdout.as_str()), (1, ""));
    let all = files_below(Path::new(&out));
    snapbox::assert_data_eq!(
        all.replace(&out, "OUT"),
        snapbox::Data::read_from(&root().join("tests/golden/migrate-directory.txt"), None).raw()
    );
    // What is there is only replaced on demand, and by the same bytes.
    assert_eq!(deputize(&migrate).status, 2);
    std::fs::write(Path::new(&out).join("1-grant/stale.yaml"), "left over").unwrap();
    std::fs::write(Path::new(&out).join("mine.txt"), "not ours").unwrap();
    assert_eq!(deputize(&[&migrate[..], &["--force"]].concat()), Run { status: 1, ..first });
    std::fs::remove_file(Path::new(&out).join("mine.txt")).unwrap();
    assert_eq!(files_below(Path::new(&out)), all);
    golden("verify", &["verify", "testdata/platform", "--audit-log", AUDIT_LOG, "--with", &out], 1);
    golden("verify-json", &["verify", "testdata/platform", "--audit-log", AUDIT_LOG, "--with", &out, "-o", "json"], 1);
    // Other manifests take the place of their namesakes.
    let grant = format!("{out}/1-grant");
    let run = deputize(&["verify", "testdata/platform", "--audit-log", AUDIT_LOG, "--with", &grant]);
    assert!(run.stdout.contains("29 constrained, 1 legacy, 0 lost; 0 widened"), "{}", run.stdout);
    let run = deputize(&["verify", "testdata/platform", "--audit-log", AUDIT_LOG]);
    assert!(run.stdout.contains("0 constrained, 30 legacy, 0 lost"), "{}", run.stdout);
    let old = ["verify", "testdata/platform", "--audit-log", AUDIT_LOG, "--with", &out, "--kube-version", "1.34"];
    let run = deputize(&old);
    assert!(run.stdout.contains("0 constrained, 15 legacy, 15 lost"), "{}", run.stdout);
}

#[test]
fn report_for_a_pull_request() {
    golden("report", &["report", "testdata/platform"], 0);
}

#[test]
fn report_of_what_is_used() {
    let arguments = ["report", "testdata/platform", "--audit-log", AUDIT_LOG, "--kube-version", "1.35"];
    golden("report-used", &arguments, 0);
    golden("report-json", &[&arguments[..], &["--format", "json"]].concat(), 0);
}

#[test]
fn report_as_a_page() {
    let run = deputize(&["report", "testdata/platform", "--format", "html"]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.starts_with("<!doctype html>") && run.stdout.ends_with("</html>\n"), "{}", run.stdout);
    // One file: nothing in it leads elsewhere but to its own places.
    for part in ["http:", "https:", "url(", "src=", "@import"] {
        let allowed = if part == "url(" { run.stdout.matches("url(#").count() } else { 0 };
        assert_eq!(run.stdout.matches(part).count(), allowed, "{part}");
    }
    assert_eq!(deputize(&["report", "testdata/nowhere", "--format", "html"]).status, 2);
    assert_eq!(deputize(&["report", "-", "--audit-log", "-"]).status, 2);
}

#[test]
fn what_shows_nothing_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let (empty, log) = (path("empty"), path("audit.log"));
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&log, "no event, but the word impersonate\n").unwrap();
    let nothing = "warning: there is no RBAC object here, so ";
    for (arguments, said) in [
        (
            &["migrate", "testdata/platform", "--audit-log", &log][..],
            "1 line with the word `impersonate` could not be read",
        ),
        (&["migrate", "testdata/platform", "--audit-log", &log], "warning: no impersonated request in 1 log: "),
        (&["migrate", "testdata/platform", "--audit-log", &empty], "warning: no log was read: "),
        (&["migrate", &empty, "--audit-log", AUDIT_LOG], nothing),
        (&["verify", "testdata/platform", "--audit-log", &log], "1 line with the word `impersonate` could not be read"),
        (&["verify", "testdata/platform", "--audit-log", &log], "warning: no impersonated request in 1 log: "),
        (&["verify", &empty, "--audit-log", AUDIT_LOG], nothing),
        (&["verify", "testdata/platform", "--audit-log", &log, "--with", &empty], "holds no RBAC object: "),
    ] {
        let run = deputize(arguments);
        assert!(run.stderr.contains(said), "{arguments:?}: {}", run.stderr);
    }
}

const OWNED: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: tenants
  ownerReferences:
  - {apiVersion: v1, kind: ConfigMap, name: owner, uid: 1-2-3, controller: true}
  finalizers: [example.com/keep]
rules:
- {apiGroups: [''], resources: [serviceaccounts], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenants, uid: gone, resourceVersion: '5'}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenants}
subjects: [{kind: ServiceAccount, name: deputy}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: people}
rules:
- {apiGroups: [''], resources: [users], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: people}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: people}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: alice}]
";

/// What is written of the originals says what they said, and what is written is no input of another run.
#[test]
fn originals_are_written_whole_and_results_are_not_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rbac.yaml"), OWNED).unwrap();
    let request = |user: &str, target: &str, namespace: &str| {
        format!(
            "{{\"schema\": \"deputize.evidence/v1\", \"request\": {{\"user\": \"{user}\", \"impersonate\": {{\"user\": \"{target}\"}}, \
             \"verb\": \"get\", \"resource\": \"pods\", \"namespace\": \"{namespace}\"}}, \"mode\": \"legacy\", \"count\": 1, \
             \"first\": \"a\", \"last\": \"b\"}}\n"
        )
    };
    // The server authorizes a request for a namespace that there cannot be, and no Role can stand there.
    let log = request("system:serviceaccount:default:deputy", "system:serviceaccount:default:app", "shop")
        + &request("alice", "panda", "Not_A_Namespace");
    std::fs::write(directory.path().join("log"), log).unwrap();
    let migrate =
        |out: &str| deputize_in(directory.path(), &["migrate", ".", "--audit-log", "log", "--output-dir", out]);
    let run = migrate("out");
    assert_eq!(run.status, 0, "{}", run.stderr);
    let rollback = std::fs::read_to_string(directory.path().join("out/rollback/rbac.yaml")).unwrap();
    for part in [
        "  - apiVersion: v1\n    controller: true\n    kind: ConfigMap\n    name: owner\n    uid: \"1-2-3\"\n",
        "  finalizers:\n  - example.com/keep\n",
        "subjects:\n- kind: ServiceAccount\n  name: deputy\n",
    ] {
        assert!(rollback.contains(part), "{rollback}");
    }
    assert!(!rollback.contains("resourceVersion") && !rollback.contains("gone"), "{rollback}");
    let written = files_below(&directory.path().join("out"));
    assert!(!written.contains("namespace: Not_A_Namespace"), "{written}");
    // A second run beside it sees the manifests alone, and says so.
    let run = migrate("out2");
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("out: skipped: written by an earlier migration"), "{}", run.stderr);
    assert_eq!(files_below(&directory.path().join("out2")), written);
    let verify = ["verify", ".", "--audit-log", "log", "--with", "out"];
    assert_eq!(deputize_in(directory.path(), &verify).status, 0);
    // Whoever looks for grants sees everything: anyone can make a directory look like that.
    assert!(deputize_in(directory.path(), &["check", "."]).stdout.contains("out/2-cutover/delete.yaml"));
    assert_eq!(migrate(".").status, 2);
}

/// What is not seen would count as unused.
#[test]
fn nothing_is_written_where_a_log_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("migrated").to_string_lossy().into_owned();
    let logs = ["--audit-log", AUDIT_LOG, "--audit-log", "testdata/nowhere.log"];
    let run = deputize(&[&["migrate", "testdata/platform", "--output-dir", &out], &logs[..]].concat());
    assert_eq!((run.status, Path::new(&out).exists()), (2, false));
    assert!(run.stderr.contains("testdata/nowhere.log: error: cannot be read"), "{}", run.stderr);
    assert!(run.stderr.ends_with("so nothing is written: give logs that can be read\n"), "{}", run.stderr);
}

/// All files below a directory, with their contents.
fn files_below(directory: &Path) -> String {
    let mut all = String::new();
    for entry in walkdir::WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let shown = entry.path().strip_prefix(directory).unwrap().display();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            // The plan has a golden file of its own.
            let text = if entry.file_name() == "plan.json" { "…\n" } else { &text };
            all.push_str(&format!("==> {shown}\n{text}"));
        }
    }
    all
}

#[test]
fn rules_and_help() {
    golden("rules", &["rules"], 0);
    golden("rules-json", &["rules", "-o", "json"], 0);
    golden("help", &["--help"], 0);
    golden("check-help", &["check", "--help"], 0);
}

#[test]
fn explain_prints_the_page() {
    golden("explain", &["explain", "name-never-matches"], 0);
    let several = deputize(&["explain", "wildcard-verb", "system-masters"]);
    assert!(several.stdout.starts_with("wildcard-verb\n\n") && several.stdout.contains("\n\nsystem-masters\n\n"));
    let wrong = deputize(&["explain", "wildcard-verbs"]);
    assert_eq!(
        (wrong.stderr.as_str(), wrong.status),
        ("error: there is no rule \"wildcard-verbs\"; did you mean wildcard-verb?\n", 2)
    );
}

#[test]
fn exit_statuses() {
    for (arguments, status) in [
        (&["check", "testdata/platform", "--fail-on", "never"][..], 0),
        (&["check", "testdata/platform", "--fail-on", "error"], 1),
        (&["check", "testdata/platform", "--select", "unbound-role"], 0),
        (&["check", "testdata/platform", "--select", "unbound-role", "--fail-on", "note"], 1),
        (&["check", "testdata/platform/apps/shipping-api"], 0),
        (&["check", "testdata/platform/apps/shipping-api", "--require-rbac"], 2),
        (&["check", "testdata/nowhere"], 2),
        (&["check", "testdata/platform", "--select", "nonsense"], 2),
        (&["check", "--nonsense"], 2),
        (&["check", "testdata/platform", "--max-file-size", "100"], 2),
        (&["grants", "testdata/platform"], 0),
        (&["migrate", "testdata/platform"], 1),
        (&["migrate", "-", "--actions", "-"], 2),
        (&["migrate", "testdata/platform", "--actions", "testdata/nowhere"], 2),
        (&["--version"], 0),
        (&[], 2),
    ] {
        assert_eq!(deputize(arguments).status, status, "{arguments:?}");
    }
}

#[test]
fn standard_input_is_a_file_named_dash() {
    let role = std::fs::read(root().join("testdata/platform/apps/login-proxy/rbac.yaml")).unwrap();
    let run = common::deputize_with(&["check", "-", "-o", "json"], &role);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["findings"][0]["location"]["path"], "-");
    // The lines are quoted although standard input cannot be read twice.
    assert!(common::deputize_with(&["check", "-"], &role).stdout.contains("--> -:22:5\n"));
}

#[test]
fn the_number_of_threads_does_not_show() {
    for arguments in [
        &["check", "testdata"][..],
        &["check", "testdata", "-o", "json"],
        &["grants", "testdata", "-o", "json"],
        &["report", "testdata/platform", "--audit-log", AUDIT_LOG, "--format", "html"],
    ] {
        let with = |threads: &str| deputize(&[arguments, &["-j", threads]].concat());
        let one = with("1");
        assert!(!one.stdout.is_empty());
        for threads in ["2", "7"] {
            assert_eq!(with(threads), one, "{arguments:?} on {threads} threads");
        }
    }
}

#[test]
fn a_broken_document_costs_itself_only() {
    let directory = tempfile::tempdir().unwrap();
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{verbs: [impersonate], \
                apiGroups: [\"\"], resources: [users]}]\n";
    std::fs::write(
        directory.path().join("a.yaml"),
        format!("{role}---\nkind: [\n---\n{}", role.replace("name: a", "name: b")),
    )
    .unwrap();
    std::fs::write(directory.path().join("b.yaml"), b"kind: ClusterRole # \xff\n").unwrap();
    let run = deputize_in(directory.path(), &["check"]);
    assert_eq!(run.status, 2);
    assert_eq!(
        run.stderr,
        "a.yaml:6:7: error: this document is not valid YAML and was not read: unclosed bracket '['\n  \
         help: correct the document; the others of the file were read\n\
         b.yaml:1:21: error: this document is not UTF-8 and was not read\n  \
         help: save the file as UTF-8\n\
         read 2 files, 4 documents and 2 RBAC objects\n\
         skipped: 1 file that is not UTF-8; 1 broken document\n\
         no errors, no warnings and 2 notes\n"
    );
}

#[test]
fn wrong_types_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = |rules: &str| {
        format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: a}}\nrules: {rules}\n")
    };
    for (rules, message) in [
        ("{}", "a.yaml:4:8: error: `rules` must be a list of rules, but this is a mapping"),
        ("[{verbs: impersonate}]", "a.yaml:4:17: error: `verbs` must be a list of strings, but this is a string"),
        (
            "[{verbs: [impersonate], resourceNames: [a, 7]}]",
            "a.yaml:4:51: error: `resourceNames` must be a list of strings, but this is a number",
        ),
        ("[impersonate]", "a.yaml:4:9: error: `rules` must be a list of rules, but this is a string"),
        ("[{verbs: null}]", "a.yaml:4:17: warning: `verbs` is null, which the API server reads as an empty list"),
        ("[{verbs: [get], verbs: [impersonate]}]", "a.yaml:4:24: error: the key `verbs` stands twice in this mapping"),
    ] {
        std::fs::write(directory.path().join("a.yaml"), file(rules)).unwrap();
        let run = deputize_in(directory.path(), &["check"]);
        assert_eq!(run.stderr.lines().next(), Some(message), "{rules}");
        assert_eq!(run.status, if message.contains("warning") { 0 } else { 2 }, "{rules}");
    }
}

#[test]
fn what_is_not_a_regular_file_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir(path.join(".hidden")).unwrap();
    std::fs::write(path.join(".hidden/a.yaml"), "kind: ClusterRole\n").unwrap();
    std::fs::create_dir(path.join(".git")).unwrap();
    std::fs::write(path.join(".git/b.yaml"), "kind: ClusterRole\n").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path, path.join("loop")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path.join("pipe.yaml")).status().unwrap();
        assert!(made.success());
    }
    let run = deputize_in(path, &["check"]);
    #[cfg(unix)]
    assert_eq!(
        run.stderr,
        "read 1 file, 1 document and no RBAC objects\nskipped: 1 symbolic link; 1 special file\n  loop: skipped: symbolic link, not followed\n  \
         pipe.yaml: skipped: not a regular file\nthere is no RBAC object here, so nothing was checked\n"
    );
    assert_eq!(run.status, 0);
}

/// `kubectl apply -f` follows a link to a file, so a link must not hide one.
#[cfg(unix)]
#[test]
fn a_link_to_a_file_inside_is_read_and_one_that_leads_out_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{verbs: [impersonate], \
                apiGroups: [\"\"], resources: [users]}]\n";
    let inside = directory.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("role.txt"), role).unwrap();
    std::fs::write(directory.path().join("outside.yaml"), role).unwrap();
    std::os::unix::fs::symlink("role.txt", inside.join("role.yaml")).unwrap();
    std::os::unix::fs::symlink("../outside.yaml", inside.join("out.yaml")).unwrap();
    let run = deputize_in(directory.path(), &["check", "inside"]);
    assert!(run.stdout.contains("--> inside/role.yaml:4:"), "{}", run.stdout);
    assert!(run.stderr.contains("inside/out.yaml: skipped: symbolic link, not followed"), "{}", run.stderr);
    assert!(run.stderr.starts_with("read 1 file,"), "{}", run.stderr);
}

#[test]
fn what_would_be_widened_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let rbac = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: legacy}
rules: [{verbs: [impersonate], apiGroups: [\"\"], resources: [users], resourceNames: [alice]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: constrained}
rules:
- {verbs: [\"impersonate:user-info\"], apiGroups: [authentication.k8s.io], resources: [users], resourceNames: [WHO]}
- {verbs: [\"impersonate-on:user-info:get\"], apiGroups: [\"\"], resources: [configmaps]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: legacy}
roleRef: {kind: ClusterRole, name: legacy}
subjects: [{kind: ServiceAccount, name: x, namespace: ns1}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: constrained}
roleRef: {kind: ClusterRole, name: constrained}
subjects: [{kind: Group, name: \"system:serviceaccounts:NS\"}]
";
    std::fs::write(
        directory.path().join("actions"),
        "actions: [{rules: [{apiGroups: [\"\"], resources: [secrets], verbs: [get]}]}]\n",
    )
    .unwrap();
    // The added action would apply to `root` too; to `alice` legacy allows it anyway, and to another namespace nothing is added.
    for (who, namespace, kept) in [("root", "ns1", true), ("alice", "ns1", false), ("root", "ns2", false)] {
        std::fs::write(directory.path().join("a.yaml"), rbac.replace("WHO", who).replace("NS", namespace)).unwrap();
        let run = deputize_in(directory.path(), &["migrate", "a.yaml", "--actions", "actions"]);
        assert_eq!(run.stderr.contains("kept legacy, would-widen:"), kept, "{who} {namespace}: {}", run.stderr);
        assert_eq!((run.status, run.stdout.is_empty()), (i32::from(kept), kept), "{who} {namespace}: {}", run.stdout);
    }
}

#[test]
fn two_definitions_of_one_role_stop_a_migration() {
    let directory = tempfile::tempdir().unwrap();
    let role = |resource: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: a}}\nrules: [{{verbs: [impersonate], \
             apiGroups: [\"\"], resources: [{resource}]}}]\n"
        )
    };
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\nroleRef: {kind: \
                   ClusterRole, name: a}\nsubjects: [{kind: User, name: u}]\n";
    let actions = "actions: [{rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n";
    std::fs::create_dir(directory.path().join("m")).unwrap();
    for (name, text) in [
        ("m/a.yaml", role("users")),
        ("m/b.yaml", role("groups")),
        ("m/c.yaml", binding.to_owned()),
        ("actions.yaml", actions.to_owned()),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let migrate =
        |more: &[&str]| deputize_in(directory.path(), &[&["migrate", "m", "--actions", "actions.yaml"], more].concat());
    let run = migrate(&[]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("ClusterRole \"a\" is defined differently at m/a.yaml:3:18 and at m/b.yaml:3:18"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
    let first = migrate(&["--duplicates", "first"]);
    assert_eq!((first.status, first.stdout.contains("- users"), first.stdout.contains("- groups")), (0, true, false));
    let last = migrate(&["--duplicates", "last"]);
    assert_eq!((last.status, last.stdout.contains("- users"), last.stdout.contains("- groups")), (0, false, true));
}

#[test]
fn guard_as_manifests() {
    let arguments = ["guard", "testdata/platform", "--mode", "deny", "--default-roles", "all"];
    let allow =
        ["--allow", "ClusterRole/break-glass", "--allow", "Role/ops/debug", "--allow", "ServiceAccount/flux/flux"];
    golden(
        "guard",
        &[&arguments[..], &allow, &["--allow", "Group/sre", "--allow", "RoleBinding/ops/debug"]].concat(),
        0,
    );
}

/// Both outputs are the same objects.
#[test]
fn guard_as_json() {
    let run = deputize(&["guard", "testdata/platform", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((list["apiVersion"].as_str(), list["kind"].as_str()), (Some("v1"), Some("List")));
    let yaml = deputize(&["guard", "testdata/platform"]).stdout;
    let [policy, binding] = list["items"].as_array().unwrap().as_slice() else { panic!("two objects: {list}") };
    assert_eq!(binding["spec"]["validationActions"], serde_json::json!(["Warn", "Audit"]));
    for variable in policy["spec"]["variables"].as_array().unwrap() {
        let line = variable["expression"].as_str().unwrap().lines().last().unwrap();
        assert!(yaml.contains(line) || yaml.contains(&line.replace('"', "\\\"")), "{line}");
    }
}

#[test]
fn a_guard_needs_exceptions_that_are_some() {
    for wrong in ["deputy", "Role/deputy", "Secret/a/b"] {
        let run = deputize(&["guard", "testdata/platform", "--allow", wrong]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.contains("an exception is one of ClusterRole/NAME"), "{}", run.stderr);
    }
}

#[test]
fn completions_and_manual_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(deputize(&["completions", shell]).stdout.contains("migrate"), "{shell}");
    }
    assert!(deputize(&["man"]).stdout.contains("\n.TH deputize 1"));
    let page = deputize(&["man", "check"]).stdout;
    assert!(page.contains("\n.TH deputize-check 1") && page.contains("\\fBdeputize check\\fR"), "{page}");
    assert_eq!(deputize(&["man", "chekc"]).status, 2);
}

/// Names suggest which client an impersonator is, and so which headers it sends. The plan itself does not change.
#[test]
fn a_plan_suggests_what_known_clients_send() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let rbac = |namespace: &str, name: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\n\
             rules:\n- {{verbs: [impersonate], apiGroups: [''], resources: [users, groups, serviceaccounts]}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}\n\
             subjects:\n- {{kind: ServiceAccount, namespace: {namespace}, name: {name}}}\n---\n"
        )
    };
    let request = |namespace: &str, name: &str, user: &str, groups: &[&str], mode: &str| {
        let request = serde_json::json!({"user": format!("system:serviceaccount:{namespace}:{name}"), "verb": "get",
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
            "impersonate": {"user": user, "groups": groups}, "resource": "pods", "namespace": "shop"});
        let line = serde_json::json!({"schema": "deputize.evidence/v1", "request": request, "mode": mode, "count": 30,
            "first": "2026-08-01T00:00:00Z", "last": "2026-08-30T00:00:00Z"});
        format!("{line}\n")
    };
    let clients = [
        ("argocd", "argocd-application-controller"),
        ("oidc", "kube-oidc-proxy"),
        ("flux-system", "kustomize-controller"),
        ("botkube", "botkube"),
        ("teleport", "teleport"),
        ("apps", "deputy"),
    ];
    let account = "system:serviceaccount:shop:ci";
    write("rbac.yaml", &clients.map(|(namespace, name)| rbac(namespace, name)).concat());
    let log = [
        request("argocd", "argocd-application-controller", account, &[], "legacy"),
        request("oidc", "kube-oidc-proxy", "alice", &["devs"], "legacy"),
        // The mode takes no groups, so none was sent.
        request("flux-system", "kustomize-controller", account, &[], "serviceaccount"),
        // The order of the groups shows that it was sent.
        request("teleport", "teleport", "alice", &["system:authenticated", "devs"], "legacy"),
        request("apps", "deputy", account, &[], "legacy"),
    ];
    write("log", &log.concat());
    let run = deputize_in(directory.path(), &["migrate", "rbac.yaml", "--audit-log", "log", "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let warnings = plan["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap());
    let suggested: Vec<&str> = warnings.filter(|warning| warning.contains("implicitGroups")).collect();
    let [argo, oidc] = suggested.as_slice() else { panic!("{suggested:#?}") };
    assert_eq!(
        *argo,
        "ServiceAccount argocd/argocd-application-controller looks like Argo CD by name. Sends the service account of the \
         destination alone. (github.com/argoproj/argo-cd controller/sync.go) If it is that client, declare \
         `implicitGroups: not-sent` for it in the file for --actions, or pass --implicit-groups not-sent if that is true of \
         all impersonators; see docs/client-profiles.md"
    );
    assert!(oidc.starts_with("ServiceAccount oidc/kube-oidc-proxy looks like kube-oidc-proxy by name. "), "{oidc}");
    assert!(oidc.contains("declare `implicitGroups: sent` for it"), "{oidc}");
}
