//! `check --fix`: for each rule that can be mended, that the edited text is read again, keeps its promise, and leaves
//! nothing for a second run; over random worlds too, and with the real binary on copies of manifests.
//!
//! `SNAPSHOTS=overwrite cargo test --test fix` writes the expected differences anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use common::migration::{answers, read};
use common::world::Generator;
use common::{Run, deputize_in, deputize_with, files, golden_text, number, platform};
use deputize::authority::{KubeVersion, Memberships};
use deputize::fix::{Fixes, broken_promise};
use deputize::grants::Grants;
use deputize::inventory::load_bytes;
use deputize::lint::{Finding, Fix, Rule, Selection, catalogue, check, find_rule};
use deputize::migrate::widened;
use tempfile::TempDir;

/// What fixes made of a text.
struct Outcome {
    before: Vec<Finding>,
    after: Vec<Finding>,
    text: String,
    fixed: usize,
    rounds: usize,
}

impl Outcome {
    fn count(&self, rule: &str) -> [usize; 2] {
        [&self.before, &self.after].map(|found| found.iter().filter(|finding| finding.rule == rule).count())
    }
}

/// Mends a text until nothing is left to mend, and holds it to what was promised.
fn fix(name: &str, text: &str, version: KubeVersion, with_unsafe: bool) -> Outcome {
    let original = load_bytes(name, text.as_bytes());
    assert_eq!(original.problems, [], "{text}");
    let grants = Grants::new(&original).on_version(version);
    let before = check(&grants, &Selection::default().with_mends());
    let mut fixes = Fixes::new(with_unsafe);
    let mut now = text.to_owned();
    for rounds in 0.. {
        assert!(rounds < 4, "no end of it\n{text}\n{now}");
        let inventory = load_bytes(name, now.as_bytes());
        assert_eq!(inventory.problems, [], "{text}\n{now}");
        let state = Grants::new(&inventory).on_version(version);
        let after = check(&state, &Selection::default().with_mends());
        if !fixes.round(&state, &after, &mut |_: &std::sync::Arc<str>| Ok(text.as_bytes().to_vec())) {
            assert_eq!(broken_promise((&grants, &before), (&state, &after), with_unsafe), None, "{text}\n{now}");
            let lost = || widened(&state, &grants, &Memberships::default());
            assert!(widened(&grants, &state, &Memberships::default()).is_empty() && (with_unsafe || lost().is_empty()));
            assert_eq!(fixes.left_alone().count(), 0, "{text}");
            return Outcome { before, after, text: now, fixed: fixes.fixed(), rounds };
        }
        now = String::from_utf8(fixes.texts().values().next().unwrap().to_vec()).unwrap();
    }
    unreachable!()
}

fn bad(rule: &dyn Rule) -> String {
    let section = rule.page().section("Bad").unwrap();
    section.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

/// The catalogue's word on each rule is true: of its example, `--fix` leaves nothing, or `--unsafe-fixes` does, or neither
/// touches it.
#[test]
fn every_rule_is_as_safely_fixed_as_it_says() {
    for rule in catalogue().iter().filter(|rule| rule.is_about_grants()) {
        let (id, version) = (rule.id(), rule.versions().until.unwrap_or(KubeVersion::NEWEST));
        let mut text = bad(*rule);
        if id == "bare-userextras" {
            // A legacy request may carry an extra without a key, and the server asks for just that.
            assert_eq!(fix("a.yaml", &text, version, false).count(id), [1, 1]);
            assert_eq!(fix("a.yaml", &text, version, true).count(id), [1, 0]);
            text = text.replace("\"impersonate\"", "\"impersonate:user-info\"");
        }
        let [safe, all] = [false, true].map(|with_unsafe| fix("a.yaml", &text, version, with_unsafe));
        let [was, is] = safe.count(id);
        let own = || all.before.iter().filter(|finding| finding.rule == id);
        match rule.fix() {
            Fix::Safe => assert!(was > 0 && is == 0 && safe.fixed >= was, "{id}: {was}, {is}\n{}", safe.text),
            Fix::Unsafe => {
                assert_eq!((was, &safe.text), (is, &text), "{id}");
                assert!(was > 0 && all.count(id)[1] == 0, "{id}\n{}", all.text);
            }
            Fix::None => assert!(was > 0 && own().all(|finding| finding.mend.is_none()), "{id}"),
        }
        // A second run finds nothing to do.
        for (outcome, with_unsafe) in [(&safe, false), (&all, true)] {
            let again = fix("a.yaml", &outcome.text, version, with_unsafe);
            assert_eq!((again.fixed, again.rounds, &again.text), (0, 0, &outcome.text), "{id}");
        }
    }
}

const HEAD: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n";
const BINDING: &str = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\nroleRef: \
                       {kind: ClusterRole, name: a}\nsubjects: [{kind: ServiceAccount, namespace: apps, name: deputy}]\n";

#[test]
fn what_goes_goes_and_every_other_byte_stays() {
    for (before, after) in [
        // A dead verb beside others, and a dead resource.
        (
            "rules:\n# of it\n- verbs: [ 'get', \"impersonate\" ] # why\n  apiGroups: [authentication.k8s.io]\n  resources: [tokenreviews]\n",
            "rules:\n# of it\n- verbs: [ 'get' ] # why\n  apiGroups: [authentication.k8s.io]\n  resources: [tokenreviews]\n",
        ),
        (
            "rules:\n- verbs:\n  - impersonate\n  apiGroups: [\"\"]\n  resources:\n    # people\n    - users\n    # who knows\n    - tokenreviews # x\n",
            "rules:\n- verbs:\n  - impersonate\n  apiGroups: [\"\"]\n  resources:\n    # people\n    - users\n    # who knows\n",
        ),
        // A rule that loses its last name grants nothing any more, not everything.
        (
            "rules:\n# one\n- {verbs: [impersonate], apiGroups: [''], resources: [users], resourceNames: ['system:serviceaccount:a:b']}\n# two\n- {verbs: [get], apiGroups: [''], resources: [pods]}\n",
            "rules:\n# one\n# two\n- {verbs: [get], apiGroups: [''], resources: [pods]}\n",
        ),
        // Some names are refused, some are not.
        (
            "rules:\n- {verbs: ['impersonate:user-info'], apiGroups: [authentication.k8s.io], resources: [groups], resourceNames: [devs, 'system:masters', '']}\n",
            "rules:\n- {verbs: ['impersonate:user-info'], apiGroups: [authentication.k8s.io], resources: [groups], resourceNames: [devs]}\n",
        ),
        // Twice, in a list and as a rule; and what is twice only after something else has gone.
        (
            "rules:\n- verbs: [impersonate, impersonate]\n  apiGroups: [\"\", \"\"]\n  resources: [users, 'users', groups]\n- verbs: [get]\n  apiGroups: [\"\"]\n  resources: [pods, pods]\n",
            "rules:\n- verbs: [impersonate]\n  apiGroups: [\"\"]\n  resources: [users, groups]\n- verbs: [get]\n  apiGroups: [\"\"]\n  resources: [pods, pods]\n",
        ),
        (
            "rules:\n- {verbs: [impersonate], apiGroups: [''], resources: [users]}\n- {verbs: [impersonate], apiGroups: [''], resources: [pods, users]} # c\n",
            "rules:\n- {verbs: [impersonate], apiGroups: [''], resources: [users]}\n",
        ),
    ] {
        for (around, end) in
            [("", "\n"), ("\u{feff}", "\n"), ("# licence é\n\n", "\r\n"), ("kind: é\n---\n# c\n", "\n")]
        {
            let text = |rules: &str| format!("{around}{HEAD}{rules}{BINDING}").replace('\n', end);
            let outcome = fix("a.yaml", &text(before), KubeVersion::NEWEST, false);
            assert_eq!(outcome.text, text(after));
            assert_eq!(fix("a.yaml", &outcome.text, KubeVersion::NEWEST, false).fixed, 0);
        }
    }
}

/// What would take something away that is not dead stays, with whatever else the rule says.
#[test]
fn what_is_alive_stays() {
    for rules in [
        // The name is one for users, the resource is one for `get`, the path may be asked for by any method.
        "- {verbs: ['impersonate:user-info'], apiGroups: [authentication.k8s.io], resources: [groups, users], resourceNames: ['system:masters', a]}",
        "- {verbs: [get, impersonate], apiGroups: [''], resources: [users, pods]}",
        "- {verbs: [impersonate], nonResourceURLs: [/x]}",
        "- {verbs: [impersonate], apiGroups: [authentication.k8s.io], resources: [userextras]}",
        "- {verbs: [impersonate-everyone], apiGroups: [''], resources: [users]}",
        "- {verbs: ['impersonate-on:user-info:'], apiGroups: [''], resources: [pods]}",
    ] {
        let text = format!("{HEAD}rules:\n{rules}\n{BINDING}");
        assert_eq!(fix("a.yaml", &text, KubeVersion::NEWEST, false).text, text);
    }
    // A Role is never asked for users; a ClusterRole may be, by a binding that nobody has shown.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a, namespace: apps}\nrules: [{verbs: [impersonate], apiGroups: [''], resources: [users]}]\n";
    let binding =
        BINDING.replace("ClusterRole", "Role").replace("{name: a}\nroleRef", "{name: a, namespace: apps}\nroleRef");
    let counts = |text: &str| [false, true].map(|all| fix("a.yaml", text, KubeVersion::NEWEST, all).fixed);
    assert_eq!(counts(&format!("{role}{binding}")), [1, 1]);
    let cluster =
        |text: &str| text.replace("kind: Role\n", "kind: ClusterRole\n").replace("kind: Role,", "kind: ClusterRole,");
    assert_eq!(counts(&cluster(&format!("{role}{binding}"))), [0, 1]);
}

/// Whoever writes roles, or asks for the literal verb, may need what is dead to everybody else.
#[test]
fn what_others_may_look_at_is_no_safe_fix() {
    let dead = "rules: [{verbs: [impersonate], apiGroups: [authentication.k8s.io], resources: [users]}]\n";
    let text = |labels: &str, more: &str| {
        let head = HEAD.replace("{name: a}", &format!("{{name: a{labels}}}"));
        format!("{head}{dead}{BINDING}{more}")
    };
    let writer = |subject: &str, rule: &str| {
        format!(
            "---\n{}rules: [{rule}]\n{}",
            HEAD.replace("name: a", "name: w"),
            BINDING.replace("name: a}", "name: w}")
        )
        .replace("{kind: ServiceAccount, namespace: apps, name: deputy}", subject)
    };
    let writes = "{verbs: [create], apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles]}";
    let own = "{kind: ServiceAccount, namespace: apps, name: deputy}";
    let patch = "---\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches:\n- target: {kind: ClusterRole, name: a}\n  patch: |-\n    - op: add\n      path: /rules/-\n      value: \
                 {apiGroups: [''], resources: [users], verbs: [impersonate]}\n";
    for (text, safe) in [
        (text("", ""), true),
        (text("", &writer("{kind: User, name: x}", writes)), true),
        (text("", &writer(own, &writes.replace("create", "get"))), true),
        // Whoever may do everything needs nothing else.
        (text("", &writer(own, "{verbs: ['*'], apiGroups: ['*'], resources: ['*']}")), true),
        (text("", &writer(own, writes)), false),
        (text("", &writer("{kind: Group, name: 'system:serviceaccounts:apps'}", writes)), false),
        (text("", &writer("{kind: Group, name: devs}", writes)), true),
        // A patch may count the rules.
        (text("", &patch.replace("name: a", "name: other")), true),
        (text("", patch), false),
        (text(", labels: {rbac.authorization.k8s.io/aggregate-to-edit: 'true'}", ""), false),
        (text(", labels: {app.kubernetes.io/name: armada-operator}", ""), false),
        (
            text(
                "",
                &writer("{kind: ServiceAccount, namespace: kubearchive, name: api}", &writes.replace("create", "get")),
            ),
            false,
        ),
    ] {
        let counts = [false, true].map(|all| fix("a.yaml", &text, KubeVersion::NEWEST, all).fixed);
        assert_eq!(counts, [usize::from(safe), 1], "{text}");
    }
}

/// Random worlds, as YAML and as JSON: every request has the same answer before and after.
#[test]
fn no_answer_changes() {
    let (mut fixed, mut asked, mut allowed) = (0, 0, 0);
    for index in 0..number("DEPUTIZE_WORLDS", 60) {
        let mut generator = Generator::new(5_000_000 + index as u64);
        let world = generator.world();
        let requests: Vec<_> = (0..150).map(|_| generator.request()).collect();
        let requests = read(&requests);
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": world});
        for text in [list.to_string(), serde_json::to_string_pretty(&list).unwrap()] {
            let outcome = fix("world.json", &text, KubeVersion::NEWEST, false);
            serde_json::from_str::<serde_json::Value>(&outcome.text).unwrap();
            let [before, after] =
                [&text, &outcome.text].map(|text| answers(&load_bytes("world.json", text.as_bytes()), &requests));
            for (request, (before, after)) in requests.iter().zip(before.iter().zip(&after)) {
                assert_eq!(before, after, "world {index}: {request:?}");
            }
            assert_eq!(fix("world.json", &outcome.text, KubeVersion::NEWEST, false).fixed, 0);
            fixed += outcome.fixed;
            asked += requests.len();
            allowed += before.iter().filter(|answer| answer.0.is_some()).count();
            // What is unsafe takes away, and gives nothing.
            let outcome = fix("world.json", &text, KubeVersion::NEWEST, true);
            let taken = answers(&load_bytes("world.json", outcome.text.as_bytes()), &requests);
            assert!(before.iter().zip(&taken).all(|(before, after)| before.0.is_some() || after.0.is_none()));
        }
    }
    assert!(fixed > 100 && allowed * 20 > asked, "{fixed} fixed, {allowed} of {asked} allowed");
}

/// The made-up company's manifests: what is printed is what is done, once.
#[test]
fn the_platform() {
    for (level, name) in [(&["--fix"][..], "fix"), (&["--fix", "--unsafe-fixes"], "fix-unsafe")] {
        let directory = platform();
        let before = files(directory.path());
        let run = |more: &[&str]| deputize_in(directory.path(), &[&["check", "platform"], level, more].concat());
        let diff = run(&["--diff"]);
        golden_text(&format!("{name}.diff"), &diff.stdout);
        golden_text(&format!("{name}.stderr"), &diff.stderr);
        assert_eq!((diff.status, files(directory.path())), (1, before.clone()), "--diff changes nothing");
        let done = run(&[]);
        let after = files(directory.path());
        let changed: Vec<_> = after.iter().filter(|(path, bytes)| before[*path] != **bytes).collect();
        assert_eq!(changed.len(), diff.stdout.lines().filter(|line| line.starts_with("--- a/")).count());
        // What remains is what is found without --fix, too.
        let left = deputize_in(directory.path(), &["check", "platform"]);
        assert_eq!((&done.stdout, done.status), (&left.stdout, left.status));
        let again = run(&[]);
        assert!(again.stderr.contains("\nfixed no findings, "), "{}", again.stderr);
        assert_eq!(files(directory.path()), after, "a second time changes nothing");
        let comments = |files: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<String> {
            let text: String = files.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
            text.lines().filter(|line| line.trim_start().starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(comments(&before), comments(&after));
    }
}

/// Runs `check` in a directory with these manifests in `m`, and gives what is there afterwards.
fn run(manifests: &[(&str, &str)], more: &[&str]) -> (Run, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("m")).unwrap();
    for (name, text) in manifests {
        fs::write(directory.path().join("m").join(name), text).unwrap();
    }
    (deputize_in(directory.path(), &[&["check", "m"], more].concat()), directory)
}

const DEAD: &str = "rules:\n- {verbs: [impersonate], apiGroups: [authentication.k8s.io], resources: [users]}\n";

#[test]
fn what_cannot_be_edited_is_left_alone_and_said() {
    let template = format!("# {{{{ not parsed }}}}\n{HEAD}{DEAD}");
    let item = |name: &str, rules: &str| {
        format!(
            "- apiVersion: rbac.authorization.k8s.io/v1\n  kind: ClusterRole\n  metadata: {{name: {name}}}\n  rules: {rules}\n"
        )
    };
    let dead = "{verbs: [impersonate], apiGroups: [authentication.k8s.io], resources: [users, uids]}";
    let shared = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}{}",
        item("b", &format!("[&r {dead}]")),
        item("c", "[*r, {verbs: [get]}]")
    );
    let good = format!("{}{DEAD}", HEAD.replace("name: a", "name: good"));
    let manifests = [("a.yaml", template.as_str()), ("b.yaml", &shared), ("c.yaml", &good)];
    let (done, directory) = run(&manifests, &["--fix"]);
    let text = |name: &str| fs::read_to_string(directory.path().join("m").join(name)).unwrap();
    assert_eq!(text("a.yaml"), template);
    assert!(
        done.stderr.contains("\nnot fixed: m/a.yaml is a template ({{ }}) and is left alone; make"),
        "{}",
        done.stderr
    );
    // Both roles lose the resource, by one edit.
    assert_eq!(text("b.yaml"), shared.replace("users, uids", "uids"));
    assert_eq!(
        text("c.yaml"),
        good.replace("rules:", "rules: []").lines().take(4).collect::<Vec<_>>().join("\n") + "\n"
    );
    assert_eq!(done.status, 0, "{}", done.stderr);
    // What only one of them may lose is shared with the other.
    let other = "&r {verbs: [impersonate, get], apiGroups: [''], resources: [users]}";
    let shared =
        format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item("b", &format!("[{other}]")), item("c", "[*r]"));
    let (done, directory) = run(
        &[("b.yaml", &shared), ("c.yaml", &BINDING.replace("name: a}\nsub", "name: c}\nsub"))],
        &["--fix", "--unsafe-fixes"],
    );
    assert_eq!(fs::read_to_string(directory.path().join("m/b.yaml")).unwrap(), shared);
    assert!(
        done.stderr.contains("\nnot fixed: m/b.yaml cannot be edited without changing more than is meant: an alias")
    );
    assert!(done.stderr.ends_with("\nfixed no findings, 2 remain\n"), "{}", done.stderr);
}

#[test]
fn what_is_never_mended_is_not_called_fixable() {
    // An unbound role, whose verb goes with --unsafe-fixes: as a manifest, and in a template.
    let rules = "rules: [{apiGroups: [\"\"], resources: [users], verbs: [impersonate]}]\n";
    let plain = format!("{HEAD}{rules}");
    let template = plain.replace("name: a", "name: {{ .x }}");
    for (text, fixable) in [(&plain, true), (&template, false)] {
        let (run, _) = run(&[("a.yaml", text)], &["--diff"]);
        assert!(run.stdout.is_empty() && run.stderr.contains("would fix no findings, 1 would remain"), "{run:?}");
        assert_eq!(run.stderr.contains("fixable with --unsafe-fixes"), fixable, "{run:?}");
    }
}

#[test]
fn the_same_role_in_two_files_is_mended_in_both_or_none() {
    let (first, second) = (format!("{HEAD}{DEAD}"), format!("# {{{{ x }}}}\n{HEAD}{DEAD}"));
    let (done, directory) = run(&[("a.yaml", &first), ("b.yaml", &second)], &["--fix"]);
    let text = |name: &str| fs::read_to_string(directory.path().join("m").join(name)).unwrap();
    assert_eq!((text("a.yaml"), text("b.yaml")), (first.clone(), second), "{}", done.stderr);
    let (_, directory) = run(&[("a.yaml", &first), ("b.yaml", &first)], &["--fix"]);
    let text = |name: &str| fs::read_to_string(directory.path().join("m").join(name)).unwrap();
    assert_eq!((text("a.yaml"), text("b.yaml")), (format!("{HEAD}rules: []\n"), format!("{HEAD}rules: []\n")));
}

#[test]
fn statuses_and_usage() {
    let (dead, live) = (format!("{HEAD}{DEAD}{BINDING}"), DEAD.replace("authentication.k8s.io", "''"));
    let live = format!("{HEAD}{live}{BINDING}");
    let status = |text: &str, more: &[&str]| run(&[("a.yaml", text)], more).0.status;
    assert_eq!(status(&dead, &["--fail-on", "note"]), 1);
    assert_eq!(status(&dead, &["--fix", "--fail-on", "note"]), 0);
    assert_eq!(status(&dead, &["--diff"]), 1, "there is something to fix");
    assert_eq!(status(&dead, &["--diff", "--select", "unrestricted-users"]), 0);
    assert_eq!([status(&live, &["--fix"]), status(&live, &["--diff"])], [1, 1], "something remains");
    assert_eq!(status(&live, &["--diff", "--fail-on", "never"]), 0);
    let (json, directory) = run(&[("a.yaml", &dead)], &["--fix", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["findings"], serde_json::json!([]));
    for (more, words) in [
        (&["--unsafe-fixes"][..], "--unsafe-fixes says how much --fix and --diff may change"),
        (&["--diff", "-o", "json"], "--diff prints differences and no findings"),
        (&["--fix", "--cluster"], "the argument"),
    ] {
        let run = deputize_in(directory.path(), &[&["check", "m"], more].concat());
        assert_eq!(run.status, 2, "{more:?}");
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    let run = deputize_in(directory.path(), &["check", "--fix", "--cluster"]);
    assert!(run.status == 2 && run.stderr.starts_with("error: a cluster is never written to"), "{}", run.stderr);
    let run = deputize_with(&["check", "-", "--fix"], dead.as_bytes());
    assert!(run.status == 2 && run.stderr.starts_with("error: standard input cannot be edited"), "{}", run.stderr);
    let ids: BTreeSet<&str> = catalogue().iter().map(|rule| rule.fix().as_str()).collect();
    assert_eq!(ids, BTreeSet::from(["none", "safe", "unsafe"]));
    assert_eq!(find_rule("duplicate-entry").unwrap().fix(), Fix::Safe);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_only_for_reading_keeps_all_of_them() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.yaml", "b.yaml"] {
        fs::write(directory.path().join(name), format!("{}{DEAD}", HEAD.replace("name: a", &format!("name: {name}"))))
            .unwrap();
    }
    fs::set_permissions(directory.path().join("b.yaml"), fs::Permissions::from_mode(0o444)).unwrap();
    let before = files(directory.path());
    let run = deputize_in(directory.path(), &["check", "--fix"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("b.yaml cannot be written: it is only for reading"), "{}", run.stderr);
    assert_eq!(files(directory.path()), before);
}
