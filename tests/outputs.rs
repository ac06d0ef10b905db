//! The formats of `check`, where results go, and that nothing in them is more than text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Run, deputize, deputize_in, golden_text, platform};

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n";
const RULES: &str = "rules: [{verbs: [impersonate], apiGroups: [\"\"], resources: [users]}]\n";

#[test]
fn one_line_a_finding() {
    let run = deputize(&["check", "testdata/platform", "-o", "concise"]);
    golden_text("check-concise.stdout", &run.stdout);
    assert_eq!(run.status, 1);
    let findings = run.stdout.lines().count();
    assert_eq!(run.stderr.lines().last(), Some("6 errors, 10 warnings and 6 notes"));
    assert_eq!(findings, 22);
}

#[test]
fn for_the_widget_of_gitlab() {
    let run = deputize(&["check", "testdata/platform", "-o", "gitlab"]);
    golden_text("check-gitlab.stdout", &run.stdout);
    assert_eq!(run.status, 1);
    assert_eq!(deputize(&["check", "testdata/platform/apps/shipping-api", "-o", "gitlab"]).stdout, "[]\n");
    // What could not be read is an entry, too, and paths are those of the repository.
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join(".git")).unwrap();
    fs::create_dir_all(directory.path().join("deploy")).unwrap();
    fs::write(directory.path().join("deploy/a.yaml"), format!("{ROLE}metadata: {{name: a}}\n{RULES}---\nkind: [\n"))
        .unwrap();
    let run = deputize_in(&directory.path().join("deploy"), &["check", ".", "-o", "gitlab"]);
    let entries: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 2);
    assert_eq!((&entries[0]["check_name"], &entries[0]["severity"]), (&"unbound-role".into(), &"info".into()));
    assert_eq!((&entries[1]["check_name"], &entries[1]["severity"]), (&"syntax".into(), &"critical".into()));
    for (entry, line) in [(&entries[0], 4), (&entries[1], 6)] {
        assert_eq!(entry["location"]["path"], "deploy/a.yaml");
        assert_eq!(entry["location"]["lines"]["begin"], line);
    }
}

#[test]
fn for_code_scanning() {
    // In a repository of its own, so that paths do not depend on where the checkout is.
    let directory = platform();
    let root = directory.path().canonicalize().unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    let run = deputize_in(&root.join("platform"), &["check", "apps", "clusters", "-o", "sarif"]);
    assert_eq!(run.status, 1);
    let sarif: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let mut shown = run.stdout.replace(&*root.to_string_lossy(), "/ROOT");
    for rule in sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap() {
        let page = format!("rules/{}.md", rule["id"].as_str().unwrap());
        let page = fs::read_to_string(common::root().join(page)).unwrap();
        assert_eq!(rule["help"]["markdown"], page);
        shown = shown.replace(&serde_json::to_string(&page).unwrap(), "\"…\"");
    }
    golden_text("check-sarif.stdout", &shown);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    // The worst first, each with the rule that it names, at the bytes that it marks.
    let levels: Vec<&str> = results.iter().map(|result| result["level"].as_str().unwrap()).collect();
    assert!(levels.is_sorted_by_key(|level| ["error", "warning", "note"].iter().position(|known| known == level)));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        let physical = &result["locations"][0]["physicalLocation"];
        let text = fs::read(root.join(physical["artifactLocation"]["uri"].as_str().unwrap())).unwrap();
        let at = |field: &str| usize::try_from(physical["region"][field].as_u64().unwrap()).unwrap();
        let line = text.split(|byte| *byte == b'\n').nth(at("startLine") - 1).unwrap();
        let by_column = &line[at("startColumn") - 1..at("endColumn") - 1];
        assert_eq!(by_column, &text[at("byteOffset")..at("byteOffset") + at("byteLength")]);
    }
}

/// A reader that applies the fixes of SARIF gets what `--fix` writes.
#[test]
fn fixes_of_sarif_are_those_that_check_makes() {
    let directory = platform();
    let path = directory.path().join("platform/apps/ticket-bot/all.yaml");
    let sarif = deputize_in(directory.path(), &["check", "platform", "-o", "sarif"]).stdout;
    let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let changes = results.iter().flat_map(|result| result["fixes"].as_array().into_iter().flatten());
    let changes = changes.flat_map(|fix| fix["artifactChanges"].as_array().unwrap());
    let change =
        changes.into_iter().find(|it| it["artifactLocation"]["uri"] == "platform/apps/ticket-bot/all.yaml").unwrap();
    let replacement = &change["replacements"][0];
    let number = |name: &str| replacement["deletedRegion"][name].as_u64().unwrap() as usize;
    let inserted = replacement["insertedContent"]["text"].as_str().unwrap_or_default();
    let mut text = fs::read_to_string(&path).unwrap();
    text.replace_range(number("byteOffset")..number("byteOffset") + number("byteLength"), inserted);
    deputize_in(directory.path(), &["check", "platform/apps/ticket-bot", "--fix"]);
    assert_eq!(text, fs::read_to_string(&path).unwrap());
}

#[test]
fn sarif_of_nothing_and_of_what_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let sarif = |arguments: &[&str], status: i32| -> serde_json::Value {
        let run = deputize_in(directory.path(), &[&["check", "-o", "sarif"], arguments].concat());
        assert_eq!(run.status, status, "{}", run.stderr);
        let mut sarif: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        sarif["runs"][0].take()
    };
    let run = sarif(&[], 0);
    assert_eq!((&run["results"], &run["tool"]["driver"]["rules"]), (&serde_json::json!([]), &serde_json::json!([])));
    let invocation = serde_json::json!({"executionSuccessful": true, "exitCode": 0, "toolExecutionNotifications": []});
    assert_eq!(run["invocations"][0], invocation);
    fs::write(directory.path().join("a.yaml"), format!("{ROLE}metadata: {{name: a}}\n{RULES}---\nkind: [\n")).unwrap();
    let run = sarif(&["a.yaml", "nowhere.yaml"], 2);
    let invocation = &run["invocations"][0];
    assert_eq!((&invocation["executionSuccessful"], &invocation["exitCode"]), (&false.into(), &2.into()));
    let notifications = invocation["toolExecutionNotifications"].as_array().unwrap();
    let ids: Vec<&str> = notifications.iter().filter_map(|one| one["descriptor"]["id"].as_str()).collect();
    assert_eq!(ids, ["syntax", "unreadable"]);
    let region = &notifications[0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&6.into(), &7.into()));
    let described: Vec<_> =
        run["tool"]["driver"]["notifications"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(described, ["unreadable", "syntax"]);
    assert_eq!(run["results"].as_array().unwrap().len(), 1);
}

#[test]
fn for_dashboards_of_tests() {
    let run = deputize(&["check", "testdata/platform", "-o", "junit"]);
    golden_text("check-junit.stdout", &run.stdout);
    assert!(run.stdout.contains("tests=\"22\" failures=\"16\" errors=\"0\" skipped=\"6\""), "{}", run.stdout);
    // What does not make the run fail is no failure.
    let run = deputize(&["check", "testdata/platform", "-o", "junit", "--fail-on", "error"]);
    assert!(run.stdout.contains("tests=\"22\" failures=\"6\" errors=\"0\" skipped=\"16\""), "{}", run.stdout);
    let run = deputize(&["check", "testdata/platform/apps/shipping-api", "-o", "junit"]);
    assert!(run.stdout.contains("<testcase classname=\"deputize\" name=\"no findings\"/>"), "{}", run.stdout);
}

/// Runs the binary as a step of GitHub Actions does.
fn in_a_step(directory: &Path, summary: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deputize"));
    command.args(arguments).current_dir(directory).env_clear();
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", summary);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn for_github_actions() {
    let directory = tempfile::tempdir().unwrap();
    let root = common::root();
    let summary = directory.path().join("summary.md");
    fs::write(&summary, "# Another command\n").unwrap();
    let annotations = in_a_step(&root, &summary, &["check", "testdata/platform", "-o", "auto"]);
    golden_text("check-github.stdout", &annotations);
    golden_text("check-github-summary.md", &fs::read_to_string(&summary).unwrap());
    assert_eq!(deputize(&["check", "testdata/platform", "-o", "github"]).stdout, annotations);
    assert!(annotations.lines().all(|line| line.starts_with("::")), "{annotations}");
    // Elsewhere, `auto` is for people; without being asked, nothing is written to the summary.
    let human = deputize(&["check", "testdata/platform"]).stdout;
    assert_eq!(deputize(&["check", "testdata/platform", "-o", "auto"]).stdout, human);
    assert_eq!(in_a_step(&root, &directory.path().join("none.md"), &["check", "testdata/platform"]), human);
    assert!(!directory.path().join("none.md").exists());
}

/// GitHub drops a summary of more than 1 MiB as a whole.
#[test]
fn the_summary_of_a_step_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let name = "|".repeat(250);
    let role = |index: usize| format!("{ROLE}metadata: {{name: \"{name}{index}\"}}\n{RULES}---\n");
    fs::write(directory.path().join("a.yaml"), (0..3_000).map(role).collect::<String>()).unwrap();
    let summary = directory.path().join("summary.md");
    for used in [0, 1 << 19, (1 << 20) - 10, 2 << 20] {
        fs::write(&summary, "x".repeat(used)).unwrap();
        let annotations = in_a_step(directory.path(), &summary, &["check", "a.yaml", "-o", "github"]);
        assert_eq!(annotations.lines().count(), 3_000);
        let text = fs::read_to_string(&summary).unwrap();
        assert!(text.len() <= 1 << 20 || text.len() == used, "{}", text.len());
        assert_eq!(text.contains("more findings."), used <= 1 << 19, "{used}");
    }
}

#[test]
fn one_run_feeds_several() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let alone = |format: &str| deputize(&["check", "testdata/platform", "-o", format]);
    let (json, concise) = (format!("json={}", path("a.json")), format!("concise={}", path("b.txt")));
    let run = deputize(&["check", "testdata/platform", "-o", &json, "-o", "human", "--output", &concise]);
    assert_eq!(run, alone("human"));
    assert_eq!(fs::read_to_string(path("a.json")).unwrap(), alone("json").stdout);
    assert_eq!(fs::read_to_string(path("b.txt")).unwrap(), alone("concise").stdout);
    // What is there is replaced, and `-` is standard output. Where all of it goes to files, nothing is printed.
    let run = deputize(&["check", "testdata/platform/apps/shipping-api", "-o", &concise, "-o", "json=-"]);
    assert!(run.stdout.starts_with("{\n"), "{}", run.stdout);
    assert_eq!(fs::read_to_string(path("b.txt")).unwrap(), "");
    assert_eq!(deputize(&["check", "testdata/platform", "-o", &json]).stdout, "");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn results_need_somewhere_to_go() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| deputize_in(directory.path(), &[&["check"], arguments].concat());
    fs::write(directory.path().join("a.yaml"), format!("{ROLE}metadata: {{name: a}}\n{RULES}")).unwrap();
    fs::create_dir(directory.path().join("b")).unwrap();
    for (arguments, message) in [
        (&["-o", "json", "-o", "concise"][..], "only one --output can go to standard output: give concise a file"),
        (&["-o", "json=x", "-o", "concise=./x"], "./x is given twice with --output"),
        (&["-o", "json=no/x"], "no/x cannot be written: there is no directory no"),
        (&["-o", "json=b"], "b cannot be written: it is a directory"),
        (&["a.yaml", "-o", "json=./a.yaml"], "./a.yaml is read, so nothing is written to it"),
        (&["-o", "json="], "there is no file name after `=` in 'json='"),
        (&["-o", "jsn=x"], "a similar value exists: 'json'"),
        (&["--diff", "-o", "json=x"], "--diff prints differences and no findings: leave --output out"),
    ] {
        let Run { stdout, stderr, status } = run(arguments);
        assert_eq!((stdout.as_str(), status), ("", 2), "{arguments:?}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing was written");
}

/// A file is replaced whole: a reader never sees half of it, and it keeps its permissions. A link is followed, a device is
/// written to.
#[cfg(unix)]
#[test]
fn files_are_replaced_as_they_are() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.yaml"), format!("{ROLE}metadata: {{name: a}}\n{RULES}")).unwrap();
    fs::create_dir(path("real")).unwrap();
    fs::write(path("real/out.txt"), "old").unwrap();
    fs::set_permissions(path("real/out.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/out.txt", path("out.txt")).unwrap();
    let status = |to: &str| deputize_in(directory.path(), &["check", "a.yaml", "-o", to]).status;
    assert_eq!(status("concise=out.txt"), 0);
    assert!(fs::symlink_metadata(path("out.txt")).unwrap().is_symlink());
    assert!(fs::read_to_string(path("real/out.txt")).unwrap().starts_with("a.yaml:4:18: note[unbound-role] "));
    assert_eq!(fs::metadata(path("real/out.txt")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(status("json=/dev/null"), 0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

/// Names that a CI runner takes for commands, in all places that have one.
fn write_commands(directory: &Path) {
    let names = ["##[group]x", "##vso[task.setvariable variable=a]b", "::error::x", "a\n::set-output name=b::c\n##[d]"];
    let mut text = String::new();
    for name in names {
        let name = serde_json::to_string(name).unwrap();
        text.push_str(&format!(
            "{ROLE}metadata: {{name: {name}}}\nrules:\n\
             - {{verbs: [impersonate], apiGroups: [\"\"], resources: [users], resourceNames: [{name}]}}\n\
             - {{verbs: [impersonate, {name}], apiGroups: [\"\", {name}], resources: [{name}, groups]}}\n\
             - {{verbs: [\"impersonate:user-info\"], apiGroups: [{name}], resources: [users]}}\n\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}\n\
             subjects:\n- {{kind: User, name: {name}}}\n- {{kind: ServiceAccount, name: {name}, namespace: {name}}}\n---\n"
        ));
    }
    text.push_str("::error::: [\n---\na: b # ::debug::x ##[endgroup]\n: x\n");
    fs::write(directory.join("##[group]x.yaml"), &text).unwrap();
    fs::write(directory.join("::warning::y.yaml"), "kind: ClusterRole\nrules: {{ ::error::x ##[z] }}\n").unwrap();
    let request = |user: &str| serde_json::json!({"user": user, "impersonate": {"user": "::error::x", "groups": ["##[group]"]}, "verb": "get", "resource": "##vso[x"});
    let lines: Vec<String> = names.iter().map(|name| request(name).to_string()).collect();
    fs::write(directory.join("requests"), lines.join("\n")).unwrap();
    let evidence = |request: &String| {
        format!(
            "{{\"schema\": \"deputize.evidence/v1\", \"request\": {request}, \"mode\": \"legacy\", \"count\": 1, \"first\": \"a\", \
             \"last\": \"b\"}}"
        )
    };
    fs::write(directory.join("log"), lines.iter().map(evidence).collect::<Vec<_>>().join("\n")).unwrap();
    let actions = "actions: [{rules: [{apiGroups: [\"\"], resources: [\"##[group]\"], verbs: [\"::error::x\"]}]}]\n";
    fs::write(directory.join("actions"), actions).unwrap();
}

#[test]
fn commands_of_ci_runners_never_reach_a_log() {
    let directory = tempfile::tempdir().unwrap();
    write_commands(directory.path());
    let of_check =
        ["human", "concise", "json", "gitlab", "sarif", "junit"].map(|format| vec!["check", ".", "-o", format]);
    let others = [
        &["check", ".", "--diff", "--unsafe-fixes"][..],
        &["grants", "."],
        &["grants", ".", "-o", "json"],
        &["migrate", ".", "--actions", "actions"],
        &["migrate", ".", "--actions", "actions", "-o", "json"],
        &["migrate", ".", "--audit-log", "log"],
        &["migrate", ".", "--actions", "actions", "--in-place", "--diff", "--stage", "grant"],
        &["migrate", ".", "--actions", "actions", "--in-place", "--diff", "--stage", "cutover"],
        &["verify", ".", "--audit-log", "log"],
        &["verify", ".", "--audit-log", "log", "-o", "json"],
        &["simulate", ".", "--requests", "requests"],
        &["simulate", ".", "--requests", "requests", "-o", "json"],
        &["simulate", ".", "--user", "::error::x", "--as", "##[group]x", "--", "get", "pods"],
        &["evidence", "log"],
        &["guard", "."],
        &["guard", ".", "--allow", "ClusterRole/##[group]x"],
        &["guard", ".", "-o", "json"],
        &["report", "."],
        &["report", ".", "--format", "json"],
        &["report", ".", "--format", "html"],
        &["explain", "##[group]::error::x"],
        &["check", "::error::x##[group]"],
    ];
    for arguments in of_check.into_iter().chain(others.map(<[&str]>::to_vec)) {
        let run = deputize_in(directory.path(), &arguments);
        assert!(!run.stdout.is_empty() || !run.stderr.is_empty(), "{arguments:?}");
        for line in run.stdout.lines().chain(run.stderr.lines()) {
            for marker in ["##[", "##vso[", "::error", "::warning", "::set-output", "::debug"] {
                assert!(!line.contains(marker), "{arguments:?} printed {line:?}");
            }
        }
    }
    // Annotations are commands: one a line, and nothing of the input in it is one.
    let run = deputize_in(directory.path(), &["check", ".", "-o", "github"]);
    for line in run.stdout.lines() {
        let (command, text) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
        assert!(["error ", "warning ", "notice "].iter().any(|level| command.starts_with(level)), "{line}");
        assert!(!text.contains("::error") && !line.contains("##["), "{line}");
    }
    // The values are the same.
    let run = deputize_in(directory.path(), &["check", ".", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let names: Vec<&str> =
        json["findings"].as_array().unwrap().iter().filter_map(|f| f["object"]["name"].as_str()).collect();
    assert!(names.contains(&"##[group]x") && names.contains(&"::error::x"), "{names:?}");
}
