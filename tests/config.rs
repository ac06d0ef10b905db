//! The configuration file and exceptions, with the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::deputize_in;
use common::repository::{Repository, findings, grant};
use serde_json::Value;

const A: &str = "deploy/a.yaml named-identities warning";
const B: &str = "vendor/b.yaml named-identities warning";

#[test]
fn without_settings_everything_is_reported() {
    let (result, run) = Repository::new("").json(&[]);
    assert_eq!((findings(&result, "findings"), run.status), (vec![A.to_owned(), B.to_owned()], 1));
    assert_eq!(findings(&result, "hidden"), [] as [String; 0]);
    assert!(run.stderr.contains("\nconfiguration deputize.toml\n"), "{}", run.stderr);
}

#[test]
fn what_is_excluded_is_counted_and_still_read_when_named() {
    let repository = Repository::new("exclude = ['vendor/']");
    let (result, run) = repository.json(&[]);
    assert_eq!((findings(&result, "findings"), run.status), (vec![A.to_owned()], 1));
    assert_eq!(result["notLookedAt"]["excluded"], serde_json::json!(["vendor"]));
    assert!(run.stderr.contains("configuration deputize.toml: 1 path excluded\n"), "{}", run.stderr);
    for named in ["vendor", "vendor/b.yaml"] {
        assert_eq!(findings(&repository.json(&[named]).0, "findings"), [B], "{named}");
    }
    // A file from elsewhere is about the paths here.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(repository.path("deputize.toml"), elsewhere.path().join("base.toml")).unwrap();
    let base = elsewhere.path().join("base.toml");
    repository.write("deputize.toml", "fail-on = 'never'");
    let (result, run) = repository.json(&["--config", &base.to_string_lossy()]);
    assert_eq!((findings(&result, "findings"), run.status), (vec![A.to_owned()], 1));
    repository.write("deputize.toml", "exclude = ['vendor/']");
    // Other commands read the same files.
    let run = deputize_in(repository.root(), &["grants"]);
    assert!(run.stdout.contains("alice") && !run.stdout.contains("bob"), "{}", run.stdout);
    assert!(run.stderr.contains("1 path excluded by the configuration"), "{}", run.stderr);
    let run = deputize_in(repository.root(), &["grants", "--no-config"]);
    assert!(run.stdout.contains("alice") && run.stdout.contains("bob"), "{}", run.stdout);
}

#[test]
fn include_names_the_only_files_that_are_read() {
    let (result, _) = Repository::new("include = ['vendor/**/*.yaml']").json(&[]);
    assert_eq!(findings(&result, "findings"), [B]);
    assert_eq!(result["notLookedAt"]["excluded"], serde_json::json!(["deploy/a.yaml"]));
}

#[test]
fn rules_that_are_not_selected_are_counted() {
    for config in ["ignore = ['named-identities']", "select = ['unbound-role']"] {
        let repository = Repository::new(config);
        let (result, run) = repository.json(&[]);
        assert_eq!((findings(&result, "findings").len(), run.status), (0, 0), "{config}");
        assert_eq!(findings(&result, "hidden"), [A, B]);
        assert_eq!(result["summary"]["ignored"], 2);
        assert_eq!(result["hidden"][0]["hiddenBy"]["kind"], "configuration");
        assert_eq!(result["hidden"][0]["hiddenBy"]["location"]["line"], 1);
        assert!(run.stderr.contains("configuration deputize.toml: 2 findings not selected\n"), "{}", run.stderr);
        // Arguments win.
        let (result, _) = repository.json(&["--select", "named-identities", "--ignore", "unbound-role"]);
        assert_eq!(findings(&result, "findings"), [A, B], "{config}");
    }
}

#[test]
fn severity_and_fail_on_come_from_the_configuration() {
    let repository = Repository::new("fail-on = 'error'\n[severity]\nnamed-identities = 'note'\n");
    let (result, run) = repository.json(&[]);
    assert_eq!(findings(&result, "findings"), [A.replace("warning", "note"), B.replace("warning", "note")]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("configuration deputize.toml: 2 findings with another severity\n"), "{}", run.stderr);
    assert_eq!(repository.run(&["check", "--fail-on", "note"]).status, 1);
    assert_eq!(Repository::new("fail-on = 'error'").run(&["check"]).status, 0);
    assert_eq!(Repository::new("kube-version = '1.35'").run(&["check"]).status, 1);
}

#[test]
fn the_kubernetes_version_holds_for_every_command() {
    let repository = Repository::new("kube-version = '1.34'");
    let simulate = ["simulate", "--user", "system:serviceaccount:apps:a", "--as", "alice", "--", "list", "pods"];
    let constrained = grant("c", "carol").replace("['']", "[authentication.k8s.io]");
    let constrained = constrained.replace("verbs: [impersonate]", "verbs: ['impersonate:user-info']");
    repository.write("deploy/c.yaml", &constrained);
    let ignored = |arguments: &[&str]| {
        let result = repository.json(arguments).0;
        findings(&result, "findings").iter().any(|finding| finding.contains("ignored-by-server"))
    };
    assert!(ignored(&[]) && !ignored(&["--kube-version", "1.37"]));
    let run = deputize_in(repository.root(), &simulate);
    assert!(run.stdout.contains("legacy"), "{}", run.stdout);
}

#[test]
fn overrides_are_about_their_paths() {
    let config = "[[overrides]]\npaths = ['vendor/']\nignore = ['named-identities']\n
[[overrides]]\npaths = ['deploy/']\nseverity = { named-identities = 'error' }\n";
    let repository = Repository::new(config);
    let check = |directory: &Path, path: &str| {
        let run = deputize_in(directory, &["check", "-o", "json", path]);
        let result: Value = serde_json::from_str(&run.stdout).unwrap();
        let rules = |list: &str| -> Vec<String> {
            findings(&result, list).iter().map(|it| it.rsplit('/').next().unwrap().to_owned()).collect()
        };
        (rules("findings"), rules("hidden"))
    };
    let expected =
        (vec!["a.yaml named-identities error".to_owned()], vec!["b.yaml named-identities warning".to_owned()]);
    assert_eq!(check(repository.root(), "."), expected);
    assert_eq!(check(&repository.path("deploy"), ".."), expected);
    assert_eq!(check(Path::new("/"), &repository.root().to_string_lossy()), expected);
}

#[test]
fn accepted_grants_are_hidden_counted_and_listed() {
    let by_object = "[[accept]]\nobject = { kind = 'ClusterRole', name = 'a' }\nreason = 'the proxy needs it'\nuntil = 2026-12-01\n";
    let repository = Repository::new(by_object);
    let (result, run) = repository.json(&[]);
    assert_eq!((findings(&result, "findings"), findings(&result, "hidden")), (vec![B.to_owned()], vec![A.to_owned()]));
    let by = &result["hidden"][0]["hiddenBy"];
    assert_eq!(
        (&by["kind"], &by["reason"], &by["until"]),
        (&"accept".into(), &"the proxy needs it".into(), &"2026-12-01".into())
    );
    assert_eq!((&by["location"]["path"], &by["location"]["line"]), (&"deputize.toml".into(), &1.into()));
    assert_eq!(result["summary"]["accepted"], 1);
    assert!(run.stderr.contains("configuration deputize.toml: 1 finding accepted\n"), "{}", run.stderr);
    let run = repository.run(&["check", "--show-accepted"]);
    let listed = "deploy/a.yaml:9:11: accepted warning[named-identities]: ServiceAccount \"apps/a\" can impersonate the user \"alice\"";
    let (_, shown) = run.stdout.split_once(listed).unwrap_or_else(|| panic!("{}", run.stdout));
    assert!(shown.contains("\n  deputize.toml:1:1: the proxy needs it, until 2026-12-01\n\n"), "{shown}");
    assert!(!repository.run(&["check"]).stdout.contains("accepted"));
}

#[test]
fn every_condition_of_an_exception_counts() {
    let repository = Repository::new("");
    let fingerprint = repository.json(&[]).0["findings"][0]["fingerprint"].as_str().unwrap().to_owned();
    let account = |name: &str| format!("subject = {{ kind = 'ServiceAccount', namespace = 'apps', name = '{name}' }}");
    let object = |kind: &str, name: &str| format!("object = {{ kind = '{kind}', name = '{name}' }}");
    for (conditions, left) in [
        ("rule = 'named-identities'".to_owned(), vec![]),
        (format!("rule = 'named-identities'\n{}", object("ClusterRole", "a")), vec![B]),
        (format!("rule = 'unbound-role'\n{}", object("ClusterRole", "a")), vec![A, B]),
        (object("Role", "a"), vec![A, B]),
        (account("b"), vec![A]),
        (format!("{}\n{}", account("b"), object("ClusterRole", "a")), vec![A, B]),
        (format!("fingerprint = '{fingerprint}'"), vec![B]),
        (format!("fingerprint = '{fingerprint}'\n{}", account("b")), vec![A, B]),
    ] {
        repository.write("deputize.toml", &format!("[[accept]]\n{conditions}\nreason = 'x'\n"));
        let mut found = findings(&repository.json(&[]).0, "findings");
        let unused = "deputize.toml unused-accept note";
        assert_eq!(found.iter().any(|finding| finding == unused), left == [A, B], "{conditions}");
        found.retain(|finding| finding != unused);
        assert_eq!(found, left, "{conditions}");
    }
}

/// An exception for one subject hides no grant of another one.
#[test]
fn a_grant_is_accepted_for_all_its_subjects_or_reported() {
    let accept = |name: &str| {
        format!(
            "[[accept]]\nsubject = {{ kind = 'ServiceAccount', namespace = 'apps', name = '{name}' }}\nreason = 'x'\n"
        )
    };
    let repository = Repository::new(&accept("a"));
    repository.write("vendor/b.yaml", "");
    let both = grant("a", "alice") + "- {kind: ServiceAccount, namespace: apps, name: c}\n";
    repository.write("deploy/a.yaml", &both);
    assert_eq!(findings(&repository.json(&[]).0, "findings"), [A]);
    repository.write("deputize.toml", &(accept("a") + &accept("c")));
    assert_eq!(findings(&repository.json(&[]).0, "findings"), [] as [&str; 0]);
}

#[test]
fn exceptions_that_ended_or_match_nothing_are_findings_at_their_lines() {
    let ended =
        "# first\n[[accept]]\nobject = { kind = 'ClusterRole', name = 'a' }\nreason = 'x'\nuntil = 2026-11-30\n";
    let unused = "[[accept]]\nobject = { kind = 'ClusterRole', name = 'z' }\nreason = 'x'\n";
    let repository = Repository::new(&format!("{ended}\n{unused}"));
    let (result, run) = repository.json(&[]);
    let expected = [A, "deputize.toml expired-accept warning", "deputize.toml unused-accept note", B];
    assert_eq!((findings(&result, "findings"), run.status), (expected.map(str::to_owned).to_vec(), 1));
    let place = |index: usize| {
        let it = &result["findings"][index];
        (it["location"]["line"].clone(), it["location"]["endLine"].clone(), it["object"].clone())
    };
    assert_eq!(place(1), (2.into(), 2.into(), Value::Null));
    assert_eq!(place(2), (7.into(), 7.into(), Value::Null));
    let shown = repository.run(&["check"]).stdout;
    assert!(shown.contains("the exception for ClusterRole \"a\" ended on 2026-11-30"), "{shown}");
    assert!(shown.contains("the exception for ClusterRole \"z\" matches no finding"), "{shown}");
    // What was not looked for cannot be missed.
    let (result, _) = repository.json(&["--select", "unbound-role,unused-accept"]);
    assert_eq!(findings(&result, "findings"), [] as [&str; 0]);
    // Fingerprints stay while lines move.
    let prints = |result: &Value| {
        result["findings"].as_array().unwrap().iter().map(|it| it["fingerprint"].clone()).collect::<Vec<_>>()
    };
    let before = prints(&repository.json(&[]).0);
    repository.write("deputize.toml", &format!("# moved\n\n{unused}\n{ended}"));
    let mut after = prints(&repository.json(&[]).0);
    after.swap(1, 2);
    assert_eq!(before, after);
}

#[test]
fn errors_in_the_configuration_end_every_command() {
    let repository = Repository::new("\nignore = ['unbound-rol']\nfail-on = 'never'\n");
    for command in ["check", "grants", "config", "guard"] {
        let run = deputize_in(repository.root(), &[command]);
        let expected = "deputize.toml:2:11: error: unknown rule `unbound-rol`; did you mean `unbound-role`?
  help: `deputize rules` lists all rules
error: 1 error in the configuration deputize.toml: nothing was read\n";
        assert_eq!((run.stdout.as_str(), run.stderr.as_str(), run.status), ("", expected, 2), "{command}");
    }
    assert_eq!(repository.run(&["check", "--no-config"]).status, 1);
    let run = repository.run(&["check", "--config", "missing.toml"]);
    assert!(run.stderr.starts_with("missing.toml: error: the configuration cannot be read: "), "{}", run.stderr);
    assert_eq!(run.status, 2);
}

#[test]
fn the_nearest_configuration_counts() {
    let repository = Repository::new("fail-on = 'never'");
    repository.write("deploy/deputize.toml", "fail-on = 'warning'");
    assert_eq!(repository.run(&["check", "vendor"]).status, 0);
    assert_eq!(repository.run(&["check", "deploy"]).status, 1);
    // That of the first path.
    assert_eq!(repository.run(&["check", "vendor", "deploy"]).status, 0);
    let run = deputize_in(&repository.path("vendor"), &["check", "b.yaml"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("\nconfiguration ../deputize.toml\n"), "{}", run.stderr);
    // Standard input has the current directory's.
    let run = deputize_in(&repository.path("deploy"), &["check", "-", "--require-rbac"]);
    assert!(run.stderr.contains("\nconfiguration deputize.toml\n"), "{}", run.stderr);
}

#[test]
fn config_shows_what_is_in_force_and_whence() {
    let text =
        "exclude = ['vendor/']\nfail-on = 'error'\n\n[[overrides]]\npaths = ['tests/']\nignore = ['unbound-role']\n
[[accept]]\nrule = 'named-identities'\nreason = 'x'\nuntil = 2020-01-01\n";
    let repository = Repository::new(text);
    let run = deputize_in(repository.root(), &["config", "--select", "unbound-role"]);
    let expected = "configuration deputize.toml

SETTING          VALUE                                             FROM
exclude          vendor/                                           deputize.toml:1:11
include          all                                               default
select           unbound-role                                      argument: --select
ignore           none                                              default
fail-on          error                                             deputize.toml:2:11
kube-version     that of the cluster or snapshot, otherwise 1.37   default
require-reason   false                                             default
tests/: ignore   unbound-role                                      deputize.toml:6:10

ACCEPTS            REASON   UNTIL                FROM
named-identities   x        2020-01-01 (ended)   deputize.toml:8:1
";
    assert_eq!((run.stdout.as_str(), run.status), (expected, 0));
    let run = deputize_in(repository.root(), &["config", "-o", "json"]);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&result["schema"], &result["file"]), (&"deputize.config/v1".into(), &"deputize.toml".into()));
    let fail_on = result["settings"].as_array().unwrap().iter().find(|it| it["key"] == "fail-on").unwrap();
    assert_eq!((&fail_on["value"], &fail_on["from"]["kind"]), (&"error".into(), &"file".into()));
    let run = deputize_in(repository.root(), &["config", "--no-config"]);
    assert!(run.stdout.starts_with("no configuration file\n"), "{}", run.stdout);
}

#[test]
fn the_environment_sets_what_arguments_do() {
    let repository = Repository::new("");
    let check = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_deputize"));
        command.args(arguments).current_dir(repository.root()).env_clear().envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(check(&[("DEPUTIZE_FAIL_ON", "error")], &["check"]).0, 0);
    assert_eq!(check(&[("DEPUTIZE_FAIL_ON", "error")], &["check", "--fail-on", "note"]).0, 1);
    assert_eq!(check(&[("DEPUTIZE_IGNORE", "named-identities,unbound-role")], &["check"]).0, 0);
    assert_eq!(check(&[("DEPUTIZE_SELECT", "unbound-role")], &["check"]).0, 0);
    assert_eq!(check(&[("DEPUTIZE_KUBE_VERSION", "none")], &["check"]).0, 2);
    repository.write("other.toml", "fail-on = 'never'");
    assert_eq!(check(&[("DEPUTIZE_CONFIG", "other.toml")], &["check"]).0, 0);
    assert_eq!(check(&[("DEPUTIZE_CONFIG", "other.toml"), ("DEPUTIZE_NO_CONFIG", "1")], &["check"]).0, 1);
    let shown = check(&[("DEPUTIZE_FAIL_ON", "error")], &["config"]).1;
    assert!(shown.contains("environment: DEPUTIZE_FAIL_ON"), "{shown}");
}

/// Names in the configuration are as hostile as any other.
#[test]
fn control_characters_of_the_configuration_are_escaped() {
    let repository = Repository::new(
        "[[accept]]\nobject = { kind = 'ClusterRole', name = \"a\\u001b[31m\" }\nreason = \"\\u202e\"\n",
    );
    for arguments in [&["check"][..], &["check", "-o", "json"], &["config"], &["config", "-o", "json"]] {
        let run = deputize_in(repository.root(), arguments);
        assert!(!run.stdout.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {:?}", run.stdout);
    }
    repository.write("deputize.toml", "\"\\u001b[31m\" = 1");
    let run = deputize_in(repository.root(), &["check"]);
    assert!(run.status == 2 && !run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}

/// A grant that nothing uses stays; after its exception is written, nothing is left to report.
#[test]
fn what_migrate_accepts_is_accepted_by_check_and_verify() {
    let repository = Repository::new("fail-on = \"note\"");
    let role = grant("a", "alice")
        .replace("[users]", "[users, userextras/scopes]")
        .replace("['']", "['', authentication.k8s.io]")
        .replace("  resourceNames: [alice]\n", "");
    repository.write("deploy/a.yaml", &role);
    let event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": "list",
        "requestURI": "/api/v1/namespaces/shop/pods", "objectRef": {"resource": "pods", "namespace": "shop"},
        "user": {"username": "system:serviceaccount:apps:a", "groups": ["system:serviceaccounts", "system:authenticated"]},
        "impersonatedUser": {"username": "panda", "groups": ["system:authenticated"], "extra": {"scopes": ["view"]}},
        "responseStatus": {"code": 200}, "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
    });
    repository.write("audit.log", &format!("{event}\n"));
    let verify = ["verify", "--audit-log", "audit.log"];
    let run = repository.run(&verify);
    assert_eq!((run.status, run.stdout.contains("1 legacy")), (1, true), "{}", run.stdout);

    let migrate = [
        "migrate",
        "--audit-log",
        "audit.log",
        "--output-dir",
        "migrated",
        "--force",
        "--write-accept",
        "deputize.toml",
    ];
    let run = deputize_in(repository.root(), &migrate);
    assert!(run.stderr.contains("added 2 exceptions to deputize.toml"), "{}", run.stderr);
    let config = fs::read_to_string(repository.path("deputize.toml")).unwrap();
    assert!(config.starts_with("fail-on = \"note\"\n\n[[accept]]\n"), "{config}");
    // What is there is not added again.
    let run = deputize_in(repository.root(), &migrate);
    assert!(run.stderr.contains("deputize.toml has an exception for everything that stays legacy"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(repository.path("deputize.toml")).unwrap(), config);

    let run = repository.run(&verify);
    assert_eq!((run.status, run.stdout.contains("0 legacy, 1 accepted")), (0, true), "{}", run.stdout);
    let (result, run) = repository.json(&["deploy", "vendor"]);
    assert_eq!((run.status, &result["findings"]), (0, &serde_json::json!([])), "{}", run.stderr);
    // An exception for another subject does not help, nor does one that has ended.
    for config in [
        "[[accept]]\nsubject = { kind = \"User\", name = \"x\" }\nreason = \"known\"\n",
        "[[accept]]\nobject = { kind = \"ClusterRole\", name = \"a\" }\nreason = \"known\"\nuntil = 2026-11-30\n",
    ] {
        repository.write("deputize.toml", config);
        assert_eq!(repository.run(&verify).status, 1, "{config}");
    }
    // A list that cannot be added to is left as it is.
    repository
        .write("deputize.toml", "accept = [{ subject = { kind = \"User\", name = \"x\" }, reason = \"known\" }]\n");
    let run = deputize_in(repository.root(), &migrate);
    assert_eq!(run.status, 2, "{}", run.stderr);
    assert!(run.stderr.contains("no entries can be added to deputize.toml"), "{}", run.stderr);
}

#[test]
fn a_role_whose_binding_may_be_in_another_file_says_so() {
    let repository = Repository::new("");
    let text = grant("a", "alice");
    repository.write("deploy/a.yaml", text.split_once("---\n").unwrap().0);
    let help = |arguments: &[&str]| {
        let (result, _) = repository.json(arguments);
        let finding = result["findings"].as_array().unwrap().iter().find(|it| it["rule"] == "unbound-role").unwrap();
        finding["help"].as_str().unwrap().to_owned()
    };
    assert!(help(&["deploy/a.yaml"]).contains("check the directory"));
    assert!(!help(&["deploy"]).contains("check the directory"));
}
