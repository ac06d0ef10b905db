//! Comments, annotations and baselines that hide findings, with the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::deputize_in;
use common::repository::{Repository, findings, grant};
use serde_json::Value;

const A: &str = "deploy/a.yaml named-identities warning";
const B: &str = "vendor/b.yaml named-identities warning";
const COMMENT: &str = "# deputize: ignore[named-identities] -- known";

/// The findings of a repository whose only grants are these.
fn found(files: &[(&str, &str)], arguments: &[&str]) -> (Vec<String>, Vec<String>, Value) {
    let repository = Repository::new("");
    fs::remove_dir_all(repository.path("vendor")).unwrap();
    for (name, text) in files {
        repository.write(name, text);
    }
    let (result, _) = repository.json(arguments);
    (findings(&result, "findings"), findings(&result, "hidden"), result)
}

/// The grant with a comment at the end of a line, or on a line of its own above one.
fn commented(after: &str, above: Option<&str>) -> String {
    let text = grant("a", "alice");
    let lines = text.lines().map(|line| match above {
        Some(above) if line.trim_start().starts_with(above) => format!("  {after}\n{line}\n"),
        None if line.contains("verbs:") => format!("{line} {after}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn a_comment_hides_the_finding_of_its_line_or_the_line_below() {
    for text in [commented(COMMENT, None), commented(COMMENT, Some("verbs:"))] {
        let (reported, hidden, result) = found(&[("deploy/a.yaml", &text)], &[]);
        assert_eq!((reported, hidden), (vec![], vec![A.to_owned()]), "{text}");
        let by = &result["hidden"][0]["hiddenBy"];
        assert_eq!((&by["kind"], &by["reason"]), (&"suppression".into(), &"known".into()));
        assert_eq!(result["summary"]["suppressed"], 1);
        let (reported, _, _) = found(&[("deploy/a.yaml", &text)], &["--no-ignore"]);
        assert_eq!(reported, [A]);
    }
    // The header of a list is the line above, too.
    let list = grant("a", "alice").replace("  verbs: [impersonate]", &format!("  verbs: {COMMENT}\n  - impersonate"));
    assert_eq!(found(&[("deploy/a.yaml", &list)], &[]).0, [] as [&str; 0]);
}

#[test]
fn a_comment_elsewhere_hides_nothing_and_is_a_finding() {
    for above in ["resources:", "resourceNames:", "name:", "subjects:", "rules:"] {
        let (reported, hidden, result) = found(&[("deploy/a.yaml", &commented(COMMENT, Some(above)))], &[]);
        assert_eq!(hidden, [] as [&str; 0], "{above}");
        assert!(reported.contains(&A.to_owned()), "{above}: {reported:?}");
        let unused = "deploy/a.yaml unused-suppression note".to_owned();
        assert!(reported.contains(&unused), "{above}: {reported:?}");
        let unused =
            result["findings"].as_array().unwrap().iter().find(|it| it["rule"] == "unused-suppression").unwrap();
        assert_eq!(unused["message"], "this hides no finding of `named-identities`");
    }
    // A comment behind a verb is about this verb, not about the one below.
    let two = grant("a", "alice").replace(
        "  verbs: [impersonate]",
        &format!("  verbs:\n  - impersonate {COMMENT}\n- {{apiGroups: [''], resources: [users], resourceNames: [x], verbs: [impersonate]}}"),
    );
    let (reported, hidden, _) = found(&[("deploy/a.yaml", &two)], &[]);
    assert_eq!((reported, hidden), (vec![A.to_owned()], vec![A.to_owned()]));
    // Text that only looks like a comment is none.
    let quoted = commented("", None).replace("[alice]", &format!("[alice, \"{COMMENT}\"]"));
    assert_eq!(found(&[("deploy/a.yaml", &quoted)], &[]).1, [] as [&str; 0]);
}

#[test]
fn unknown_rules_and_unknown_words_are_named() {
    let message = |comment: &str| {
        let (_, hidden, result) = found(&[("deploy/a.yaml", &commented(comment, None))], &[]);
        let unused = result["findings"].as_array().unwrap().iter().find(|it| it["rule"] == "unused-suppression");
        (hidden.len(), unused.map(|it| it["message"].as_str().unwrap().to_owned()).unwrap_or_default())
    };
    let misspelt = message("# deputize: ignore[named-identites] -- x");
    assert_eq!(misspelt, (0, "unknown rule `named-identites`; did you mean `named-identities`?".to_owned()));
    assert_eq!(message("# deputize: ignore"), (0, "this hides nothing: it names no rule".to_owned()));
    let two = message("# deputize: ignore[named-identities, unbound-role] -- x");
    assert_eq!(two, (1, "this hides no finding of `unbound-role`".to_owned()));
}

#[test]
fn a_reason_can_be_required() {
    let repository = Repository::new("require-reason = true");
    repository.write("deploy/a.yaml", &commented("# deputize: ignore[named-identities]", None));
    repository.write("vendor/b.yaml", "");
    let (result, _) = repository.json(&[]);
    assert_eq!(findings(&result, "findings"), [A, "deploy/a.yaml unused-suppression note"]);
    assert_eq!(
        result["findings"][1]["message"],
        "this does not count: it has no reason, which the configuration requires"
    );
    repository.write("deploy/a.yaml", &commented(COMMENT, None));
    assert_eq!(findings(&repository.json(&[]).0, "findings"), [] as [&str; 0]);
}

#[test]
fn an_annotation_hides_the_findings_about_its_object() {
    let annotated = |rule: &str| {
        let annotation = format!("  name: a\n  annotations: {{deputize.dev/ignore: \"{rule} -- known\"}}");
        grant("a", "alice").replacen("  name: a", &annotation, 1)
    };
    let files =
        |text: &str| [("deploy/a.yaml".to_owned(), text.to_owned()), ("deploy/c.yaml".to_owned(), grant("c", "carol"))];
    let run = |text: &str| {
        let files = files(text);
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        found(&files, &[])
    };
    let c = A.replace("a.yaml", "c.yaml");
    let (reported, hidden, _) = run(&annotated("named-identities"));
    assert_eq!((reported, hidden), (vec![c.clone()], vec![A.to_owned()]));
    let (reported, hidden, _) = run(&annotated("unbound-role"));
    assert_eq!((reported, hidden), (vec!["deploy/a.yaml unused-suppression note".to_owned(), A.to_owned(), c], vec![]));
    // JSON has no comments, and annotations like any other manifest.
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
         "metadata": {"name": "a", "annotations": {"deputize.dev/ignore": "unbound-role"}},
         "rules": [{"apiGroups": [""], "resources": ["users"], "resourceNames": ["x"], "verbs": ["impersonate"]}]}]}"#;
    let (reported, hidden, _) = found(&[("deploy/a.yaml", ""), ("deploy/a.json", json)], &[]);
    assert_eq!((reported, hidden), (vec![], vec!["deploy/a.json unbound-role note".to_owned()]));
}

/// The same definition elsewhere, without the comment or annotation, is reported.
#[test]
fn copies_are_not_hidden_with_the_original() {
    let annotation = "  name: a\n  annotations: {deputize.dev/ignore: named-identities}";
    for text in [commented(COMMENT, None), grant("a", "alice").replacen("  name: a", annotation, 1)] {
        for (suppressed, plain) in [("deploy/a.yaml", "deploy/b.yaml"), ("deploy/b.yaml", "deploy/a.yaml")] {
            let (reported, hidden, _) = found(&[(suppressed, &text), (plain, &grant("a", "alice"))], &[]);
            let of = |path: &str| vec![A.replace("deploy/a.yaml", path)];
            assert_eq!((reported, hidden), (of(plain), of(suppressed)));
        }
        let (reported, hidden, _) = found(&[("deploy/a.yaml", &text), ("deploy/b.yaml", &text)], &[]);
        assert_eq!(reported, [] as [&str; 0]);
        assert!(!hidden.is_empty());
    }
    // Other commands do not mind.
    let repository = Repository::new("");
    repository.write("deploy/a.yaml", &commented(COMMENT, None));
    repository.write("deploy/c.yaml", &grant("a", "alice"));
    let arguments = ["simulate", "--user", "system:serviceaccount:apps:a", "--as", "alice", "--", "list", "pods"];
    assert_ne!(deputize_in(repository.root(), &arguments).status, 2);
}

#[test]
fn comments_count_in_templates_and_on_standard_input() {
    let chart = "apiVersion: v2\nname: c\nversion: 1.0.0\n";
    for comment in [COMMENT, "{{/* deputize: ignore[named-identities] -- known */}}"] {
        let text = commented(comment, Some("verbs:"))
            .replace("metadata:\n  name: a\nrules", "metadata:\n  name: {{ .Release.Name }}\nrules")
            .replace("kind: ClusterRole, name: a", "kind: ClusterRole, name: '{{ .Release.Name }}'");
        let files = [("deploy/a.yaml", ""), ("deploy/Chart.yaml", chart), ("deploy/templates/a.yaml", &text)];
        let (reported, hidden, _) = found(&files, &[]);
        let expected = vec![A.replace("deploy/", "deploy/templates/")];
        assert_eq!((reported, hidden), (vec![], expected), "{comment}");
    }
    let run = common::deputize_with(&["check", "-", "--no-config"], commented(COMMENT, None).as_bytes());
    assert_eq!((run.stdout.as_str(), run.status), ("", 0));
    assert!(run.stderr.contains("1 finding hidden: 1 suppressed"), "{}", run.stderr);
}

#[test]
fn a_baseline_hides_what_it_lists_and_nothing_else() {
    let repository = Repository::new("");
    let run = repository.run(&["check", "--write-baseline", "base.json"]);
    assert_eq!((run.stdout.as_str(), run.status), ("", 0));
    assert!(run.stderr.contains("wrote 2 findings to the baseline base.json\n"), "{}", run.stderr);
    let text = fs::read_to_string(repository.path("base.json")).unwrap();
    let expected = "{\n\"schema\": \"deputize.baseline/v1\",\n\"findings\": [\n{\"object\":\"ClusterRole/a\",\"rule\":\"named-identities\",\"fingerprint\":\"";
    assert!(text.starts_with(expected), "{text}");
    let (result, run) = repository.json(&["--baseline", "base.json"]);
    assert_eq!((findings(&result, "findings"), run.status), (vec![], 0));
    assert_eq!(findings(&result, "hidden"), [A, B]);
    assert_eq!((&result["summary"]["baseline"], &result["fixed"]), (&2.into(), &serde_json::json!([])));
    // A new grant is reported, and so is another subject of a known one.
    repository.write("deploy/c.yaml", &grant("c", "carol"));
    repository.write("vendor/b.yaml", &(grant("b", "bob") + "- {kind: User, name: eve}\n"));
    let (result, run) = repository.json(&["--baseline", "base.json"]);
    assert_eq!(findings(&result, "findings"), [&A.replace("a.yaml", "c.yaml"), B]);
    assert_eq!((run.status, result["fixed"].as_array().unwrap().len()), (1, 1));
    // What is fixed is said, and goes with the next baseline.
    fs::remove_file(repository.path("deploy/c.yaml")).unwrap();
    fs::remove_file(repository.path("vendor/b.yaml")).unwrap();
    let (result, run) = repository.json(&["--baseline", "base.json"]);
    assert_eq!(result["fixed"][0]["object"], "ClusterRole/b");
    let said = "baseline base.json: 1 finding fixed; --write-baseline base.json removes them\n";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let run = repository.run(&["check", "--baseline", "base.json", "--write-baseline", "base.json"]);
    assert!(run.stderr.contains("wrote 1 finding to the baseline base.json\n"), "{}", run.stderr);
    let run = repository.run(&["check", "--baseline", "base.json"]);
    assert!(!run.stderr.contains("fixed") && run.status == 0, "{}", run.stderr);
}

#[test]
fn a_baseline_outlives_moved_lines_renamed_files_and_changed_neighbours() {
    let repository = Repository::new("");
    repository.run(&["check", "--write-baseline", "base.json"]);
    let changed = grant("a", "alice")
        .replace("rules:\n", "rules:\n- {apiGroups: [apps], resources: [deployments], verbs: [get]}\n")
        .replace("[impersonate]", "[get, impersonate]");
    fs::remove_file(repository.path("deploy/a.yaml")).unwrap();
    repository.write(
        "other/name.yaml",
        &format!("# moved\n---\n{}---\n{changed}", grant("z", "x").replace("impersonate", "get")),
    );
    let (result, run) = repository.json(&["--baseline", "base.json"]);
    assert_eq!((findings(&result, "findings"), run.status), (vec![], 0), "{}", run.stderr);
    assert_eq!(result["fixed"], serde_json::json!([]));
}

#[test]
fn a_baseline_that_cannot_be_read_is_an_error() {
    let repository = Repository::new("");
    repository.write("wrong.json", "{\"schema\": \"deputize.check/v1\", \"findings\": []}");
    for (file, why) in [("missing.json", "No such file"), ("wrong.json", "its schema is"), ("deputize.toml", "EOF")] {
        let run = repository.run(&["check", "--baseline", file]);
        assert_eq!((run.stdout.as_str(), run.status), ("", 2), "{file}");
        let start = format!("error: the baseline {file} cannot be read: ");
        assert!(run.stderr.contains(&start) && run.stderr.contains(why), "{}", run.stderr);
    }
    assert_eq!(repository.run(&["check", "--write-baseline", "no/such/directory.json"]).status, 2);
}
