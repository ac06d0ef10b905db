//! `migrate --in-place`: the real binary on copies of manifests.
//!
//! `SNAPSHOTS=overwrite cargo test --test in_place` writes the expected differences anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::world::Generator;
use common::{Run, deputize_in, files, golden_text, migration, platform};
use deputize::evidence::Evidence;
use deputize::grants::Grants;
use deputize::inventory::{Inventory, LoadOptions, Object, ObjectKey, load, load_bytes};
use deputize::migrate::{Options, Sources, Stage, in_place, plan};
use deputize::output::json;
use tempfile::TempDir;

const HEAD: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n";
const BINDING: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\nroleRef: {kind: \
                       ClusterRole, name: a}\nsubjects: [{kind: ServiceAccount, namespace: apps, name: deputy}]\n";
const ACTIONS: &str = "actions: [{rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n";

fn migrate(directory: &TempDir, more: &[&str]) -> Run {
    let arguments = [&["migrate", "platform", "--actions", "platform-actions.yaml"][..], more].concat();
    deputize_in(directory.path(), &arguments)
}

/// What is said behind the summary of the plan.
fn after_summary(run: &Run) -> &str {
    let (_, rest) =
        run.stderr.split_once(" constrained objects\n").or(run.stderr.split_once(" constrained object\n")).unwrap();
    rest
}

#[test]
fn both_stages_of_the_platform() {
    let directory = platform();
    let original = files(directory.path());
    for (stage, name) in [("grant", "in-place-grant"), ("cutover", "in-place-cutover")] {
        let before = files(directory.path());
        let diff = migrate(&directory, &["--in-place", "--stage", stage, "--diff"]);
        golden_text(&format!("{name}.diff"), &diff.stdout);
        assert_eq!(files(directory.path()), before, "--diff writes nothing");
        let run = migrate(&directory, &["--in-place", "--stage", stage]);
        assert_eq!((run.status, run.stdout.as_str()), (1, ""));
        golden_text(&format!("{name}.stderr"), after_summary(&run));
        let after = files(directory.path());
        assert!(before.keys().all(|name| after.contains_key(name)));
        let changed: Vec<String> = after
            .iter()
            .filter(|(path, bytes)| before.get(*path) != Some(*bytes))
            .map(|(path, _)| format!("+++ b/{}", path.display()))
            .collect();
        let named: Vec<&str> = diff.stdout.lines().filter(|line| line.starts_with("+++ b/")).collect();
        assert_eq!(named, changed);
        let again = migrate(&directory, &["--in-place", "--stage", stage]);
        assert_eq!(after_summary(&again), "there is nothing to change\n");
        assert_eq!(files(directory.path()), after, "a second time changes nothing");
    }
    assert_ne!(files(directory.path()), original);
    let plan = migrate(&directory, &["-o", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let outcomes: Vec<&str> =
        plan["grants"].as_array().unwrap().iter().map(|grant| grant["outcome"].as_str().unwrap()).collect();
    assert!(!outcomes.is_empty() && outcomes.iter().all(|outcome| *outcome == "kept"), "{outcomes:?}");
}

/// What is granted, without the places.
fn granted(inventory: &Inventory) -> Vec<String> {
    let mut out = Vec::new();
    json::write_grants(&mut out, &Grants::new(inventory)).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let mut all = Vec::new();
    for list in ["grants", "actions"] {
        for entry in json[list].as_array_mut().unwrap() {
            entry.as_object_mut().unwrap().remove("location");
            all.push(format!("{list} {entry}"));
        }
    }
    all.sort();
    all
}

fn load_dir(path: &Path) -> Inventory {
    load(&[path.to_owned()], &LoadOptions::default())
}

#[test]
fn the_result_is_that_of_an_output_directory() {
    let (edited, written) = (platform(), platform());
    for stage in ["grant", "cutover"] {
        migrate(&edited, &["--in-place", "--stage", stage]);
    }
    migrate(&written, &["--output-dir", "out"]);
    let out = written.path().join("out");
    let deleted = load_dir(&out.join("2-cutover/delete.yaml"));
    let keys = |inventory: &Inventory| -> Vec<ObjectKey> {
        let roles = inventory.roles.iter().map(|role| role.meta.key());
        roles.chain(inventory.bindings.iter().map(|binding| binding.meta.key())).collect()
    };
    let deleted = keys(&deleted);
    let mut put = Vec::new();
    for stage in ["1-grant", "2-cutover"] {
        let read = load_dir(&out.join(stage));
        put.extend(read.roles.into_iter().map(Object::Role));
        put.extend(read.bindings.into_iter().map(Object::Binding));
    }
    let expected = load_dir(&written.path().join("platform")).with(&put, &deleted);
    assert_eq!(granted(&load_dir(&edited.path().join("platform"))), granted(&expected));
}

/// Runs a stage in a directory with these manifests in `m`, and gives what is there afterwards.
fn stage(manifests: &[(&str, &str)], more: &[&str]) -> (Run, BTreeMap<PathBuf, Vec<u8>>) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("m")).unwrap();
    for (name, text) in manifests {
        fs::write(directory.path().join("m").join(name), text).unwrap();
    }
    fs::write(directory.path().join("actions"), ACTIONS).unwrap();
    let arguments = [&["migrate", "m", "--actions", "actions", "--in-place"][..], more].concat();
    let run = deputize_in(directory.path(), &arguments);
    (run, files(&directory.path().join("m")))
}

fn text<'f>(files: &'f BTreeMap<PathBuf, Vec<u8>>, name: &str) -> &'f str {
    std::str::from_utf8(&files[Path::new(name)]).unwrap()
}

#[test]
fn templates_are_shown_and_left_alone() {
    let role = format!(
        "# {{{{ not parsed }}}}\n{HEAD}rules:\n- {{verbs: [get, impersonate], apiGroups: [\"\"], resources: [users]}} # \u{202e}\n"
    );
    let (run, after) = stage(&[("a.yaml", &role), ("b.yaml", BINDING)], &["--stage", "cutover", "--force"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert_eq!(text(&after, "a.yaml"), role);
    assert!(run.stdout.starts_with("--- a/m/a.yaml\n+++ b/m/a.yaml\n@@ "), "{}", run.stdout);
    assert!(
        run.stdout.contains("\n+- {verbs: [get], apiGroups: [\"\"], resources: [users]} # \\u{202e}\n"),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("\n1 template to change by hand\n"), "{}", run.stderr);
}

#[test]
fn all_files_or_none() {
    let rule = "{verbs: [impersonate, get], apiGroups: [\"\"], resources: [users]}";
    let shared = format!(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: rbac.authorization.k8s.io/v1\n  kind: ClusterRole\n  metadata: {{name: \
         b}}\n  rules: [&r {rule}]\n- apiVersion: rbac.authorization.k8s.io/v1\n  kind: ClusterRole\n  metadata: {{name: unbound}}\n  \
         rules: [*r]\n"
    );
    let good = format!("{HEAD}rules: [{rule}]\n---\n{BINDING}---\n{}", BINDING.replace("name: a", "name: b"));
    let manifests = [("a.yaml", good.as_str()), ("b.yaml", &shared)];
    let (run, after) = stage(&manifests, &["--stage", "cutover", "--force"]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("m/b.yaml:6:20: error: cannot be edited without changing more than is meant"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.ends_with("no file was changed\n"), "{}", run.stderr);
    assert_eq!((text(&after, "a.yaml"), text(&after, "b.yaml")), (good.as_str(), shared.as_str()));
}

#[test]
fn copies_are_edited_alike() {
    let rules =
        "rules:\n  - verbs: [ \"get\", \"impersonate\" ]\n    apiGroups: [ \"\" ]\n    resources: [ \"users\" ]\n";
    let first = format!("{HEAD}{rules}---\n{BINDING}");
    let second =
        format!("# the same\n{HEAD}rules: [{{verbs: ['get', 'impersonate'], apiGroups: [''], resources: ['users']}}]");
    let (run, after) = stage(&[("a.yaml", &first), ("b.yaml", &second)], &["--stage", "cutover", "--force"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(text(&after, "a.yaml"), first.replace("\"get\", \"impersonate\"", "\"get\""));
    assert_eq!(text(&after, "b.yaml"), second.replace("'get', 'impersonate'", "'get'"));
    let (run, after) = stage(&[("a.yaml", &first), ("b.yaml", &second)], &["--stage", "grant"]);
    assert!(
        run.stderr.contains("stands in m/a.yaml and in m/b.yaml; what replaces it is added to the first only"),
        "{}",
        run.stderr
    );
    assert_eq!(text(&after, "b.yaml"), second);
    let added = text(&after, "a.yaml").strip_prefix(&first).unwrap();
    assert!(
        added.contains("\nrules:\n  # Who it may act as\n  - apiGroups: [ \"authentication.k8s.io\" ]\n    resources: [ \"users\" ]\n"),
        "{added}"
    );
}

#[test]
fn objects_join_a_list_of_json_and_are_renewed_there() {
    let list = "{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n        {\n            \"apiVersion\": \
                \"rbac.authorization.k8s.io/v1\",\n            \"kind\": \"ClusterRole\",\n            \"metadata\": {\n                \
                \"name\": \"a\"\n            },\n            \"rules\": [\n                {\n                    \"apiGroups\": [\n                        \
                \"\"\n                    ],\n                    \"resources\": [\n                        \"users\"\n                    \
                ],\n                    \"verbs\": [\n                        \"impersonate\"\n                    ]\n                }\n            \
                ]\n        }\n    ],\n    \"kind\": \"List\"\n}\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    fs::write(&path, list).unwrap();
    fs::write(directory.path().join("b.yaml"), BINDING).unwrap();
    let run = |actions: &str, stage: &str| {
        fs::write(directory.path().join("actions"), actions).unwrap();
        let arguments = ["migrate", ".", "--actions", "actions", "--in-place", "--stage", stage];
        assert_eq!(deputize_in(directory.path(), &arguments).status, 0);
        fs::read_to_string(&path).unwrap()
    };
    let granted = run(ACTIONS, "grant");
    let (kept, _) = list.split_at(list.find("\n    ],\n    \"kind\"").unwrap());
    assert!(granted.starts_with(&format!("{kept},\n        {{\n            \"apiVersion\"")), "{granted}");
    let json: serde_json::Value = serde_json::from_str(&granted).unwrap();
    assert_eq!(json["items"].as_array().unwrap().len(), 3);
    let canonical = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    // An earlier run's objects are renewed in their place.
    let renewed = run(&ACTIONS.replace("get", "list"), "grant");
    assert_eq!(canonical(&renewed), canonical(&granted.replace("user-info:get\"\n                    ]\n                },\n                {\n                    \"nonResource", "user-info:list\"\n                    ]\n                },\n                {\n                    \"nonResource")));
    assert_eq!(run(ACTIONS, "grant"), granted);
    let cut = run(ACTIONS, "cutover");
    assert_eq!(canonical(&cut)["items"].as_array().unwrap().len(), 2);
    assert!(granted.contains(cut.split_once("\"items\": [\n").unwrap().1.trim_start()), "{cut}");
}

const JSON: &str = "{\n  \"apiVersion\": \"rbac.authorization.k8s.io/v1\",\n  \"kind\": \"ClusterRole\",\n  \"metadata\": {\"name\": \
                    \"a\"},\n  \"rules\": [\n    {\"apiGroups\": [\"\"], \"resources\": [\"users\"], \"verbs\": [\"get\", \"impersonate\"]}\n  ]\n}\n";

#[test]
fn one_value_of_json_stays_one_value() {
    for json in [JSON.to_owned(), serde_json::from_str::<serde_json::Value>(JSON).unwrap().to_string()] {
        let (run, after) = stage(&[("a.json", &json), ("b.yaml", BINDING)], &["--stage", "grant"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let granted = text(&after, "a.json");
        let value: serde_json::Value = serde_json::from_str(granted).unwrap();
        assert_eq!((&value["kind"], value["items"].as_array().unwrap().len()), (&"List".into(), 3));
        assert!(granted.contains(json.trim_end()), "{granted}");
        let manifests = [("a.json", granted), ("b.yaml", BINDING)];
        let (run, again) = stage(&manifests, &["--stage", "grant"]);
        assert!(run.stderr.ends_with("there is nothing to change\n"), "{}", run.stderr);
        assert_eq!(text(&again, "a.json"), granted);
        let (run, cut) = stage(&manifests, &["--stage", "cutover"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let comma = if json == JSON { ", " } else { "," };
        assert_eq!(text(&cut, "a.json"), granted.replace(&format!("\"get\"{comma}\"impersonate\""), "\"get\""));
    }
}

#[test]
fn json_in_a_kustomization_gets_company_in_a_file_of_its_own() {
    let kustomization = "# all of it\nresources:\n- a.json # generated\n- b.yaml\n";
    let manifests = [("a.json", JSON), ("b.yaml", BINDING), ("kustomization.yaml", kustomization)];
    let (run, after) = stage(&manifests, &["--stage", "grant"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(text(&after, "a.json"), JSON);
    let listed = "# all of it\nresources:\n- a.json # generated\n- a-constrained.json\n- b.yaml\n";
    assert_eq!(text(&after, "kustomization.yaml"), listed);
    let added = text(&after, "a-constrained.json");
    let value: serde_json::Value = serde_json::from_str(added).unwrap();
    assert_eq!(value["items"].as_array().unwrap().len(), 2);
    assert!(run.stderr.contains("\nadded m/a-constrained.json\nchanged m/kustomization.yaml\n"), "{}", run.stderr);
    let granted: Vec<(&str, &str)> =
        after.iter().map(|(name, bytes)| (name.to_str().unwrap(), std::str::from_utf8(bytes).unwrap())).collect();
    let (run, again) = stage(&granted, &["--stage", "grant"]);
    assert!(run.stderr.ends_with("there is nothing to change\n"), "{}", run.stderr);
    assert_eq!(again, after);
    let (run, cut) = stage(&granted, &["--stage", "cutover"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(text(&cut, "a.json"), JSON.replace("\"get\", \"impersonate\"", "\"get\""));
    assert_eq!(text(&cut, "a-constrained.json"), added);
    // A name that is taken stays as it is.
    let taken = [&manifests[..], &[("a-constrained.json", "{}\n")]].concat();
    let (run, after) = stage(&taken, &["--stage", "grant"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(text(&after, "a-constrained.json"), "{}\n");
    assert_eq!(text(&after, "a-constrained-2.json"), added);
    // What is outside of the paths given is not edited.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("actions"), ACTIONS).unwrap();
    for (name, text) in manifests {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let before = files(directory.path());
    let arguments = ["migrate", "a.json", "b.yaml", "--actions", "actions", "--in-place", "--stage", "grant"];
    let run = deputize_in(directory.path(), &arguments);
    assert_eq!(run.status, 2, "{}", run.stderr);
    assert!(run.stderr.contains("kustomization.yaml: error: is outside of the paths given"), "{}", run.stderr);
    assert_eq!(files(directory.path()), before);
}

/// Runs both stages on a file, and gives it after each.
fn both_stages(role: &str) -> [String; 2] {
    let (run, granted) = stage(&[("a.yaml", role)], &["--stage", "grant"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let granted = text(&granted, "a.yaml").to_owned();
    let (run, cut) = stage(&[("a.yaml", &granted)], &["--stage", "cutover"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let cut = text(&cut, "a.yaml").to_owned();
    for line in role.lines().filter_map(|line| line.split_once('#')) {
        assert!(cut.contains(&format!("#{}", line.1)), "# {} is lost\n{cut}", line.1);
    }
    [granted, cut]
}

#[test]
fn comments_move_with_the_rule() {
    let rules = "rules: # all\n# 1: the portal shows what users see\n- verbs:\n  - impersonate # 2: ask #security\n  apiGroups: [\"\"] # \
                 3\n  resources: [users]\n  # 4: below\n# 5: another one\n- verbs: [get]\n  apiGroups: [\"\"]\n  resources: [pods]\n";
    let [granted, cut] = both_stages(&format!("# head\n{HEAD}{rules}---\n# binding\n{BINDING}"));
    let purposes =
        ["# Who it may act as\n", "# What it may do as them\n", "# API discovery, which clients read first\n"];
    assert!(purposes.iter().all(|it| granted.contains(it)), "{granted}");
    assert!(cut.starts_with(&format!("# head\n{HEAD}rules: # all\n# 5: another one\n- verbs: [get]\n")), "{cut}");
    let moved = "# Who it may act as\n# 1: the portal shows what users see\n# 2: ask #security\n# 3\n# 4: below\n- apiGroups: \
                 [authentication.k8s.io]\n";
    assert!(cut.contains(moved), "{cut}");
    // A verb that goes alone.
    let rules = "rules:\n- verbs:\n  - get\n  - impersonate # why\n  apiGroups: [\"\"]\n  resources: [users] # whom\n";
    let [_, cut] = both_stages(&format!("{HEAD}{rules}---\n{BINDING}"));
    assert!(cut.contains("  - get\n  apiGroups: [\"\"]\n  resources: [users] # whom\n"), "{cut}");
    assert!(cut.contains("# Who it may act as\n# why\n- apiGroups"), "{cut}");
    // A role that goes with its binding.
    let rules = "rules: # all\n- {verbs: [impersonate], apiGroups: [\"\"], resources: [users]} # why\n";
    let [_, cut] = both_stages(&format!("# head\n{HEAD}{rules}---\n# binding\n{BINDING}"));
    assert!(cut.starts_with("---\n# head\napiVersion"), "{cut}");
    assert!(cut.contains("# Who it may act as\n# all\n# why\n- apiGroups"), "{cut}");
    assert!(cut.contains("---\n# binding\napiVersion"), "{cut}");
    // What nothing replaces leaves its comments.
    let rules = "rules:\n# dead\n- verbs: [impersonate] # why\n  apiGroups: [other] # 3\n  resources: [users]\n# alive\n- verbs: \
                 [impersonate]\n  apiGroups: [\"\"]\n  resources: [users]\n- verbs: [get]\n  apiGroups: [\"\"]\n  resources: [pods]\n";
    let [_, cut] = both_stages(&format!("{HEAD}{rules}---\n{BINDING}"));
    assert!(cut.contains("rules:\n# dead\n# why\n# 3\n- verbs: [get]\n"), "{cut}");
    assert!(cut.contains("# Who it may act as\n# alive\n- apiGroups"), "{cut}");
}

#[test]
fn what_cannot_be_edited_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("actions"), ACTIONS).unwrap();
    let role =
        format!("{HEAD}rules: [{{verbs: [impersonate], apiGroups: [\"\"], resources: [users]}}]\n---\n{BINDING}");
    fs::write(path.join("a.yaml"), &role).unwrap();
    let run = |arguments: &[&str]| deputize_in(path, &[&["migrate", "--actions", "actions"], arguments].concat());
    let stdin = run(&["-", "--in-place", "--stage", "grant"]);
    assert_eq!(stdin.status, 2);
    assert!(stdin.stderr.starts_with("error: standard input cannot be edited: give the files"), "{}", stdin.stderr);
    for wrong in [
        &["--in-place"][..],
        &["--stage", "grant"],
        &["--diff"],
        &["--in-place", "--stage", "grant", "-o", "json"],
        &["--in-place", "--stage", "grant", "--output-dir", "out"],
    ] {
        assert_eq!(run(&[&["a.yaml"], wrong].concat()).status, 2, "{wrong:?}");
    }
    #[cfg(unix)]
    {
        fs::create_dir(path.join("in")).unwrap();
        std::os::unix::fs::symlink("../a.yaml", path.join("in/link.yaml")).unwrap();
        let link = run(&["in/link.yaml", "--in-place", "--stage", "grant"]);
        assert_eq!(link.status, 2);
        assert!(link.stderr.contains("in/link.yaml: error: is a symbolic link that leads out"), "{}", link.stderr);
        let twice = run(&["a.yaml", "in/../a.yaml", "--in-place", "--stage", "cutover", "--force"]);
        assert!(twice.stderr.contains("is the same file as a.yaml"), "{}", twice.stderr);
    }
    assert_eq!(fs::read_to_string(path.join("a.yaml")).unwrap(), role);
}

#[cfg(unix)]
#[test]
fn a_file_keeps_its_permissions_and_a_link_stays_a_link() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir(path.join("m")).unwrap();
    fs::write(path.join("actions"), ACTIONS).unwrap();
    let role =
        format!("{HEAD}rules: [{{verbs: [impersonate], apiGroups: [\"\"], resources: [users]}}]\n---\n{BINDING}");
    fs::write(path.join("m/role.txt"), &role).unwrap();
    fs::set_permissions(path.join("m/role.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("role.txt", path.join("m/role.yaml")).unwrap();
    let run = deputize_in(path, &["migrate", "m", "--actions", "actions", "--in-place", "--stage", "grant"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(fs::symlink_metadata(path.join("m/role.yaml")).unwrap().is_symlink());
    assert!(fs::read_to_string(path.join("m/role.txt")).unwrap().len() > role.len());
    assert_eq!(fs::metadata(path.join("m/role.txt")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(path.join("m")).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn a_cut_over_without_the_first_stage_is_refused() {
    let role = format!("{HEAD}rules:\n- {{verbs: [get, impersonate], apiGroups: [\"\"], resources: [users]}}\n");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("actions"), ACTIONS).unwrap();
    fs::write(path.join("a.yaml"), format!("{role}---\n{BINDING}")).unwrap();
    let run = |more: &[&str]| {
        let arguments = ["migrate", "a.yaml", "--actions", "actions", "--in-place", "--stage"];
        (deputize_in(path, &[&arguments[..], more].concat()), fs::read_to_string(path.join("a.yaml")).unwrap())
    };
    let (_, before) = run(&["cutover", "--diff", "--force"]);
    for more in [&["cutover"][..], &["cutover", "--diff"]] {
        let (refused, after) = run(more);
        assert_eq!((refused.status, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
        assert!(
            refused
                .stderr
                .contains("error: the first stage is not in place, so nothing was changed: ClusterRole/deputize:"),
            "{}",
            refused.stderr
        );
        assert_eq!(after, before);
    }
    let (_, granted) = run(&["grant"]);
    // What was granted is not what the evidence asks for by now.
    fs::write(path.join("actions"), ACTIONS.replace("get", "list")).unwrap();
    assert_eq!(run(&["cutover"]).0.status, 2);
    fs::write(path.join("actions"), ACTIONS).unwrap();
    // Additions by hand are no obstacle.
    let added =
        granted.replace("verbs:\n  - impersonate-on:user-info:get\n", "verbs: [impersonate-on:user-info:get]\n");
    fs::write(path.join("a.yaml"), format!("{added}# by hand\n")).unwrap();
    let (cut, after) = run(&["cutover"]);
    assert_eq!(cut.status, 0, "{}", cut.stderr);
    assert!(after.contains("verbs: [get]"), "{after}");
    fs::write(path.join("a.yaml"), &before).unwrap();
    let (forced, after) = run(&["cutover", "--force"]);
    assert_eq!(forced.status, 0, "{}", forced.stderr);
    assert_eq!(after, before.replace("get, impersonate", "get"));
}

/// A repository with a role and its binding.
fn repository() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir_all(path.join(".git")).unwrap();
    fs::create_dir_all(path.join("deploy/rbac")).unwrap();
    fs::write(path.join("actions"), ACTIONS).unwrap();
    let labels = "{name: a, labels: {team: blue, size: big, rbac.acme.com/to: x}}";
    let role = format!(
        "{}rules: [{{verbs: [impersonate], apiGroups: [\"\"], resources: [users]}}]\n",
        HEAD.replace("{name: a}", labels)
    );
    fs::write(path.join("deploy/rbac/role.yaml"), role).unwrap();
    let binding = BINDING.replace("metadata: {name: a}", "metadata: {name: a, labels: {team: red}}");
    fs::write(path.join("deploy/binding.yaml"), binding).unwrap();
    directory
}

#[test]
fn the_same_run_from_another_directory_changes_nothing() {
    let directory = repository();
    let root = directory.path();
    let run = |from: &str, path: &str, actions: &str| {
        let arguments = ["migrate", path, "--actions", actions, "--in-place", "--stage", "grant"];
        let run = deputize_in(&root.join(from), &arguments);
        assert_eq!(run.status, 0, "{}", run.stderr);
        files(&root.join("deploy"))
    };
    let first = run("", "deploy", "actions");
    assert!(text(&first, "rbac/role.yaml").contains("deputize.dev/source: deploy/rbac/role.yaml\n"));
    let absolute = root.join("deploy");
    for (from, path, actions) in [
        ("", "deploy", "actions"),
        ("", "./deploy/", "actions"),
        ("deploy", ".", "../actions"),
        ("deploy/rbac", "..", "../../actions"),
        ("deploy", absolute.to_str().unwrap(), "../actions"),
    ] {
        assert_eq!(run(from, path, actions), first, "{from} {path}");
    }
    // Outside of a repository nothing tells where a path should start.
    let directory = repository();
    fs::remove_dir(directory.path().join(".git")).unwrap();
    let arguments = ["migrate", "deploy", "--actions", "actions", "--in-place", "--stage", "grant"];
    deputize_in(directory.path(), &arguments);
    let after = files(&directory.path().join("deploy"));
    assert!(text(&after, "rbac/role.yaml").contains("deputize.dev/replaces"));
    assert!(!text(&after, "rbac/role.yaml").contains("deputize.dev/source"));
}

#[test]
fn names_and_labels_are_chosen() {
    let directory = repository();
    let root = directory.path();
    let run = |more: &[&str]| {
        let arguments = ["migrate", "deploy", "--actions", "actions", "--in-place", "--stage"];
        let run = deputize_in(root, &[&arguments[..], more].concat());
        (run, fs::read_to_string(root.join("deploy/rbac/role.yaml")).unwrap())
    };
    // A role that selects by a label makes it one that is not copied.
    let aggregated = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\naggregationRule: \
                      {clusterRoleSelectors: [{matchLabels: {rbac.acme.com/to: other}}]}\nrules: []\n";
    fs::write(root.join("deploy/all.yaml"), aggregated).unwrap();
    let copied = "size,team,rbac.acme.com/to,missing";
    let grant = ["grant", "--name-template", "acme-{mode}-{namespace}-{name}", "--copy-labels", copied];
    let (granted, after) = run(&grant);
    assert_eq!(granted.status, 0, "{}", granted.stderr);
    let [_, role, binding] = after.split("---\n").collect::<Vec<_>>()[..] else { panic!("{after}") };
    for (object, team) in [(role, "blue"), (binding, "red")] {
        let labels = format!(
            "  labels: \n    app.kubernetes.io/managed-by: deputize\n    deputize.dev/mode: user-info\n    size: big\n    team: \
             {team}\n"
        );
        assert!(object.contains("metadata:\n  name: acme-user-info-apps-deputy\n"), "{object}");
        assert!(object.contains(&labels.replace(": \n", ":\n")), "{object}");
    }
    assert!(granted.stderr.contains("the label rbac.acme.com/to is not copied: an aggregated role selects by it"));
    assert!(granted.stderr.contains("the label missing is on no object that is replaced"), "{}", granted.stderr);
    // A later run knows its objects, whatever they are called.
    assert_eq!(run(&grant).1, after);
    let prefixed = ["grant", "--name-prefix", "other:", "--copy-labels", copied];
    assert_eq!(run(&prefixed).1, after);
    let (cut, after) = run(&["cutover"]);
    assert_eq!(cut.status, 0, "{}", cut.stderr);
    assert!(!after.contains("name: a\n") && after.contains("acme-user-info-apps-deputy"), "{after}");
    for (option, value) in [
        ("--name-template", "acme-{name}"),
        ("--name-template", "{mode}/{name}"),
        ("--name-prefix", "system:"),
        ("--copy-labels", "rbac.authorization.k8s.io/aggregate-to-edit"),
        ("--copy-labels", "team,helm.sh/chart"),
        ("--copy-labels", "app.kubernetes.io/managed-by"),
    ] {
        let (refused, _) = run(&["grant", option, value]);
        assert_eq!(refused.status, 2, "{option} {value}");
        assert!(refused.stderr.starts_with("error: invalid value '"), "{}", refused.stderr);
    }
}

/// The objects of a state, in whatever files they are.
fn state(files: &BTreeMap<String, Vec<u8>>) -> Inventory {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let inventory = load_dir(directory.path());
    assert_eq!(inventory.problems, [], "{files:?}");
    inventory
}

/// Does both stages by the library alone, as if all manifests were in one file of this name.
fn edit_in_memory(name: &str, manifest: Vec<u8>, evidence: &Evidence) -> Option<(Inventory, Inventory)> {
    let mut text = manifest;
    let mut expected = None;
    for stage in [Stage::Grant, Stage::Cutover] {
        let inventory = load_bytes(name, &text);
        let grants = Grants::new(&inventory);
        let sources = Sources { evidence: Some(evidence), ..Sources::default() };
        let plan = plan(&grants, &sources, Options::default()).ok()?;
        if stage == Stage::Grant {
            let put: Vec<Object> = plan.added.iter().chain(plan.cutover.applied()).cloned().collect();
            expected = Some(inventory.with(&put, &plan.cutover.deleted_keys()));
        }
        let mut read = |_: &Arc<str>| Ok(text.clone());
        let edited = in_place(&grants, &plan, stage, &mut read);
        assert_eq!(edited.problems, [], "{stage:?}\n{}", String::from_utf8_lossy(&text));
        let after = edited.changes.into_iter().next().map(|change| change.after);
        text = after.unwrap_or(text);
    }
    Some((state(&BTreeMap::from([(name.to_owned(), text)])), expected?))
}

/// Random worlds end in the state that the plan leads to, whether they are written as YAML or as JSON.
#[test]
fn random_worlds_end_where_the_plan_leads() {
    let mut compared = 0;
    for index in 0..12 {
        let mut generator = Generator::new(31_337 + index);
        let world = generator.world();
        let observed: Vec<serde_json::Value> = (0..40).map(|_| generator.request()).collect();
        let evidence = migration::evidence(&world, &observed);
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": world});
        let inventory = load_bytes("world.json", list.to_string().as_bytes());
        let mut yaml = Vec::new();
        let roles = inventory.roles.iter().cloned().map(Object::Role);
        let objects: Vec<Object> = roles.chain(inventory.bindings.iter().cloned().map(Object::Binding)).collect();
        deputize::output::yaml::write_objects(&mut yaml, &objects).unwrap();
        for (name, text) in [
            ("a.yaml", yaml),
            ("a.json", serde_json::to_vec_pretty(&list).unwrap()),
            ("b.json", serde_json::to_vec(&list).unwrap()),
        ] {
            let Some((edited, expected)) = edit_in_memory(name, text, &evidence) else { continue };
            assert_eq!(granted(&edited), granted(&expected), "world {index} as {name}");
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
}
