//! What would hide a grant from whoever reads manifests: values that are filled in, patches that say a part, files that
//! are used and not named like manifests. It is found or listed, and it never keeps a correct repository from passing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Run, deputize_in};
use deputize::inventory::{Inventory, load_bytes};
use deputize::problem::ProblemKind;
use tempfile::TempDir;

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n";
const RULES: &str = "rules:\n- {apiGroups: [\"\"], resources: [users], verbs: [impersonate]}\n";
const BINDING: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n\
                       roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: x}\n";
const BOB: &str = "subjects: [{kind: User, name: bob}]\n";
const ANY_USER: &str = "User \"bob\" can impersonate any user";

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(directory.path(), name, text);
    }
    directory
}

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Checks a directory with these files.
fn check(files: &[(&str, &str)]) -> Run {
    deputize_in(directory(files).path(), &["check", "."])
}

fn finds(run: &Run, what: &str) {
    assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains(what), "{what}\n{}{}", run.stdout, run.stderr);
}

/// Says it, and lets it pass.
fn lists(run: &Run, what: &str) {
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(what), "{what}\n{}", run.stderr);
}

/// What is not known of a document that is no problem.
fn unknown(text: &str) -> (Inventory, Vec<String>) {
    let inventory = load_bytes("t.yaml", text.as_bytes());
    assert_eq!(inventory.problems, [], "{text}");
    let unread = inventory.coverage.unread.iter();
    let unread = unread.map(|it| format!("{} {}: {}", it.line, it.language.as_str(), it.reason)).collect();
    (inventory, unread)
}

#[test]
fn a_value_that_is_filled_in_is_not_known() {
    for (text, expected) in [
        (format!("{ROLE}rules: ${{R}}\n"), "4 ${ }: `rules` is filled in by ${R}"),
        (format!("{ROLE}rules: \"{{{{ r }}}}\"\n"), "4 {{ }}: `rules` is filled in by {{ r }}"),
        (format!("{ROLE}rules: #@ r\n"), "4 ytt: rules of ClusterRole \"x\" are written by (@ r @)"),
        (format!("{ROLE}rules:\n- #@ r\n- #@ s\n"), "6 ytt: a rule of ClusterRole \"x\" is filled in"),
        (
            format!("a: b\n---\n{ROLE}{RULES}  verbs: \"${{{{V}}}}\"\n")
                .replace("verbs: [impersonate]}\n  ", "}\n- {")
                .replace("V}}\"\n", "V}}\"}\n"),
            "8 {{ }}: `verbs` is filled in by ${{V}}",
        ),
        (format!("a: b\n---\n{ROLE}rules:\n- verbs: #@ v\n"), "7 ytt: `verbs` of a rule of ClusterRole \"x\" are filled in by (@ v @)"),
        (
            format!("{ROLE}rules:\n- verbs:\n  - #@ v\n"),
            "5 ytt: `verbs` of a rule of ClusterRole \"x\" are filled in by (@ v @)",
        ),
        (
            format!("{ROLE}rules:\n- {{verbs: ['*'], apiGroups: [''], resources: ['${{R}}']}}\n"),
            "5 ${ }: `resources` of a rule of ClusterRole \"x\" are filled in by ${R}",
        ),
        (
            BINDING.replace("{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: x}", "'{{ r }}'"),
            "4 {{ }}: `roleRef` is filled in by {{ r }}",
        ),
        (ROLE.replace("{name: x}", "'{{ meta }}'"), "3 {{ }}: `metadata` is filled in by {{ meta }}"),
    ] {
        let (mut inventory, unread) = unknown(&text);
        assert!(unread.contains(&expected.to_owned()), "{text}{unread:?}");
        // Nothing is proved of it.
        let all = inventory.roles.len();
        inventory.leave_out_apart();
        assert!(inventory.roles.is_empty() || text.contains("- #@ v") || text.contains("['${R}']"), "{text}{all}");
    }
    // Others are mistakes.
    for text in
        [format!("{ROLE}rules: none\n"), format!("{ROLE}rules: [{{verbs: get}}]\n"), BINDING.replace("roleRef", "ref")]
    {
        let inventory = load_bytes("t.yaml", text.as_bytes());
        assert_eq!(inventory.problems.iter().map(|it| it.kind).collect::<Vec<_>>(), [ProblemKind::WrongType], "{text}");
    }
}

#[test]
fn what_is_filled_in_beside_a_verb_hides_nothing() {
    // Names that may be none limit nothing.
    let names = format!("{ROLE}{RULES}---\n{BINDING}{BOB}")
        .replace("[impersonate]}", "[impersonate], resourceNames: '{{ n }}'}");
    finds(&check(&[("a.yaml", &names)]), ANY_USER);
    // Whoever is filled in is somebody.
    for subjects in ["subjects: '{{ s }}'\n", "subjects: #@ s\n", "subjects:\n- #@ s\n", "subjects: ['{{ s }}']\n"] {
        let by = if subjects.contains('#') { "(@ s @)" } else { "{{ s }}" };
        let run = check(&[("a.yaml", &format!("{ROLE}{RULES}---\n{BINDING}{subjects}"))]);
        finds(&run, &format!("User \"{by}\" can impersonate any user"));
    }
    // The verb is listed where its rule is not known.
    let run = check(&[("a.yaml", &format!("{ROLE}{RULES}").replace("[users]", "'{{ r }}'"))]);
    lists(&run, "a.yaml: `impersonate` on line 5 not judged: it stands in no rule");
}

#[test]
fn mistakes_in_other_objects_keep_nobody_from_reading() {
    let composition = "apiVersion: example.com/v1\nkind: X\nspec:\n  base:\n    apiVersion: rbac.authorization.k8s.io/v1\n    kind: ClusterRoleBinding\n    metadata: {name: x}\n";
    for (rest, line, reason) in [
        ("    roleRef: {kind: ClusterRole}\n", 8, "roleRef has no `name`"),
        ("    subjects: []\n", 7, "`roleRef` of ClusterRoleBinding \"x\" (in this X, at spec.base) is missing"),
    ] {
        lists(
            &check(&[("a.yaml", &format!("{composition}{rest}"))]),
            &format!("  a.yaml:{line}: not looked at: {reason}"),
        );
    }
    let task = "- kubernetes.core.k8s:\n    definition:\n      apiVersion: rbac.authorization.k8s.io/v1\n      kind: ClusterRole\n      metadata: '{{ m }}'\n      rules: '{{ r }}'\n";
    lists(&check(&[("a.yaml", task)]), "a.yaml:6: template ({{ }}) not looked at: `rules` is filled in by {{ r }}");
}

#[test]
fn patches_of_bindings_need_no_role() {
    let patch = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n";
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let inline = |text: &str| format!("resources: [role.yaml]\npatches:\n- patch: |\n{}", indented(text));
    let base = format!("{ROLE}{RULES}---\n{BINDING}");
    let add = format!("{patch}{BOB}");
    finds(&check(&[("role.yaml", &base), ("kustomization.yaml", &inline(&add))]), ANY_USER);
    let named = "resources: [role.yaml]\npatches: [{path: p.yaml}]\n";
    finds(&check(&[("role.yaml", &base), ("kustomization.yaml", named), ("p.yaml", &add)]), ANY_USER);
    // Whatever it is called.
    finds(&check(&[("role.yaml", &base), ("Kustomization", &inline(&add))]), ANY_USER);
    // What is taken away, and whom nobody knows.
    let run = check(&[("kustomization.yaml", &inline(&format!("$patch: delete\n{patch}")))]);
    assert_eq!((run.status, run.stderr.contains("not looked at")), (0, false), "{}", run.stderr);
    let remove = add.replace("{kind: User, name: bob}", "{$patch: delete, kind: User, name: bob}, {$patch: replace}");
    let run = check(&[("role.yaml", &base), ("kustomization.yaml", &inline(&remove))]);
    assert!(run.status == 0 && !run.stdout.contains("bob"), "{}{}", run.stdout, run.stderr);
    let run = check(&[("kustomization.yaml", &inline(&add))]);
    lists(&run, "adds subjects to a binding that is not here");
    // What no kustomization applies is a mistake.
    assert_eq!(check(&[("role.yaml", &base), ("p.yaml", &add)]).status, 2);
}
