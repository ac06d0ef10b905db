//! `migrate --in-place`: the real binary on copies of manifests.
//!
//! `SNAPSHOTS=overwrite cargo test --test in_place` writes the expected differences anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        let changed: Vec<String> = after
            .iter()
            .filter(|(path, bytes)| before[*path] != **bytes)
            .map(|(path, _)| format!("--- a/{}", path.display()))
            .collect();
        let named: Vec<&str> = diff.stdout.lines().filter(|line| line.starts_with("--- a/")).collect();
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
    let (run, after) = stage(&[("a.yaml", &role), ("b.yaml", BINDING)], &["--stage", "cutover"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert_eq!(text(&after, "a.yaml"), role);
    assert!(run.stdout.starts_with("--- a/m/a.yaml\n+++ b/m/a.yaml\n@@ "), "{}", run.stdout);
    assert!(
        run.stdout.contains("\n+- {verbs: [get], apiGroups: [\"\"], resources: [users]} # \\u{202e}\n"),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("\n1 template to change by hand\n"), "{}", run.stderr);
    // The first stage was left out.
    assert!(run.stderr.contains("warning: 2 constrained objects"), "{}", run.stderr);
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
    let (run, after) = stage(&manifests, &["--stage", "cutover"]);
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
    let (run, after) = stage(&[("a.yaml", &first), ("b.yaml", &second)], &["--stage", "cutover"]);
    // Without the first stage nothing takes the place of what is cut.
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.contains("that the impersonators need instead are in no manifest"), "{}", run.stderr);
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
        added.contains("\nrules:\n  - apiGroups: [ \"authentication.k8s.io\" ]\n    resources: [ \"users\" ]\n"),
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
        let twice = run(&["a.yaml", "in/../a.yaml", "--in-place", "--stage", "cutover"]);
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
        let edited = in_place(&grants, &plan, stage, &mut |_| Ok(text.clone()));
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
