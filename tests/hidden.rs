//! What would hide a grant from whoever reads manifests: values that are filled in, patches that say a part, files that
//! are used and not named like manifests. It is found or listed, and it never keeps a correct repository from passing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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
    deputize_in(directory(files).path(), &["check", ".", "-v"])
}

fn finds(run: &Run, what: &str) {
    assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains(what), "{what}\n{}{}", run.stdout, run.stderr);
}

/// Finds it, though others may read something else there, which is a problem.
fn finds_in_doubt(run: &Run, what: &str) {
    assert_eq!(run.status, 2, "{}{}", run.stdout, run.stderr);
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
        (
            format!("a: b\n---\n{ROLE}rules:\n- verbs: #@ v\n"),
            "7 ytt: `verbs` of a rule of ClusterRole \"x\" are filled in by (@ v @)",
        ),
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
    lists(&run, "a.yaml:5: skipped: `impersonate` outside an RBAC rule");
}

#[test]
fn mistakes_in_other_objects_keep_nobody_from_reading() {
    let composition = "apiVersion: example.com/v1\nkind: X\nspec:\n  base:\n    apiVersion: rbac.authorization.k8s.io/v1\n    kind: ClusterRoleBinding\n    metadata: {name: x}\n";
    for (rest, line, reason) in [
        ("    roleRef: {kind: ClusterRole}\n", 8, "roleRef has no `name`"),
        ("    subjects: []\n", 7, "`roleRef` of ClusterRoleBinding \"x\" (in this X, at spec.base) is missing"),
    ] {
        lists(&check(&[("a.yaml", &format!("{composition}{rest}"))]), &format!("  a.yaml:{line}: skipped: {reason}"));
    }
    let task = "- kubernetes.core.k8s:\n    definition:\n      apiVersion: rbac.authorization.k8s.io/v1\n      kind: ClusterRole\n      metadata: '{{ m }}'\n      rules: '{{ r }}'\n";
    lists(&check(&[("a.yaml", task)]), "a.yaml:6: skipped: template ({{ }}): `rules` is filled in by {{ r }}");
}

#[test]
fn patches_of_bindings_need_no_role() {
    let patch = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n";
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let inline = |text: &str| format!("patches:\n- patch: |\n{}", indented(text));
    let base = format!("{ROLE}{RULES}---\n{BINDING}");
    let add = format!("{patch}{BOB}");
    finds(&check(&[("role.yaml", &base), ("kustomization.yaml", &inline(&add))]), ANY_USER);
    let named = "resources: [role.yaml]\npatches: [{path: p.yaml}]\n";
    finds(&check(&[("role.yaml", &base), ("kustomization.yaml", named), ("p.yaml", &add)]), ANY_USER);
    // Whatever it is called.
    finds(&check(&[("role.yaml", &base), ("Kustomization", &inline(&add))]), ANY_USER);
    // What is taken away, and whom nobody knows.
    let run = check(&[("kustomization.yaml", &inline(&format!("$patch: delete\n{patch}")))]);
    assert_eq!((run.status, run.stderr.contains("skipped")), (0, false), "{}", run.stderr);
    let remove = add.replace("{kind: User, name: bob}", "{$patch: delete, kind: User, name: bob}, {$patch: replace}");
    let run = check(&[("role.yaml", &base), ("kustomization.yaml", &inline(&remove))]);
    assert!(run.status == 0 && !run.stdout.contains("bob"), "{}{}", run.stdout, run.stderr);
    let run = check(&[("kustomization.yaml", &inline(&add))]);
    lists(&run, "adds subjects to a binding that is not here");
    // What no kustomization applies is a mistake.
    assert_eq!(check(&[("role.yaml", &base), ("p.yaml", &add)]).status, 2);
}

/// A role and its binding.
fn granted() -> String {
    format!("{ROLE}{RULES}---\n{BINDING}{BOB}")
}

#[test]
fn what_a_kustomization_names_is_read() {
    let grant = granted();
    let get = grant.replace("impersonate", "get");
    let add = "- op: add\n  path: /rules/-\n  value: {apiGroups: [\"\"], resources: [users], verbs: [impersonate]}\n";
    for (kustomization, file, text) in [
        ("resources: [role.txt]\n", "role.txt", &*grant),
        ("resources: [sub/role]\n", "sub/role", &grant),
        ("components: [c]\nbases: [./role.txt]\n", "role.txt", &grant),
        ("transformers: [t.conf]\n", "t.conf", &grant),
        ("patchesStrategicMerge: [p.txt]\n", "p.txt", &grant),
        ("patches:\n- {path: p.txt, target: {kind: ClusterRole, name: x}}\n", "p.txt", add),
    ] {
        for name in ["kustomization.yaml", "kustomization.yml", "Kustomization"] {
            // Without the kustomization, nobody uses it.
            assert_eq!(check(&[("a.yaml", &get), (file, text)]).status, 0);
            finds(&check(&[("a.yaml", &get), (name, kustomization), (file, text)]), ANY_USER);
        }
    }
    // What it names may name more, and itself.
    let more = "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npaths: [p.txt, t.conf]\n";
    finds(&check(&[("Kustomization", "transformers: [t.conf]\n"), ("t.conf", more), ("p.txt", &grant)]), ANY_USER);
    // What becomes data is searched.
    let maker = "configMapGenerator:\n- name: a\n  files: [key=data.txt, none.txt]\n";
    let run = check(&[("kustomization.yaml", maker), ("data.txt", &grant)]);
    lists(&run, "  data.txt:5: skipped: a kustomization puts it into a ConfigMap or Secret, and it holds the word");
    assert!(!run.stderr.contains("none.txt"), "{}", run.stderr);
}

#[test]
fn nothing_outside_is_read() {
    let grant = granted();
    let kustomization =
        "resources: [../role.txt, ../base, 'https://example.com/x', example.com/a/b, missing.yaml, in]\n";
    let directory =
        directory(&[("in/kustomization.yaml", kustomization), ("role.txt", &grant), ("base/a.yaml", &grant)]);
    let run = deputize_in(directory.path(), &["check", "in"]);
    for expected in [
        "in/kustomization.yaml:1: skipped: what it names lies outside of what was given: ../role.txt, ../base\n",
        "in/kustomization.yaml:1: skipped: what it names is fetched from elsewhere: https://example.com/x, example.com/a/b\n",
        "in/kustomization.yaml:1: skipped: what it names is not there: missing.yaml, in\n",
    ] {
        lists(&run, expected);
    }
    let text = |output: &str| serde_json::from_str::<serde_json::Value>(output).unwrap();
    let others =
        text(&deputize_in(directory.path(), &["check", "in", "-o", "json"]).stdout)["notLookedAt"]["others"].clone();
    assert_eq!((others.as_array().unwrap().len(), &others[0]["line"]), (3, &serde_json::json!(1)));
    // One file that is given stands for itself.
    let run = deputize_in(directory.path(), &["check", "in/kustomization.yaml"]);
    lists(&run, "lies outside of what was given: ../role.txt, ../base\n");
    let run = deputize_in(directory.path(), &["check", "in/kustomization.yaml", "role.txt"]);
    finds(&run, ANY_USER);
    assert!(run.stderr.contains("lies outside of what was given: ../base\n"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn no_link_leads_outside() {
    let directory =
        directory(&[("in/Kustomization", "resources: [role.txt, dir/role.txt, pipe]\n"), ("role.txt", &granted())]);
    std::os::unix::fs::symlink("../role.txt", directory.path().join("in/role.txt")).unwrap();
    std::os::unix::fs::symlink("..", directory.path().join("in/dir")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(directory.path().join("in/pipe")).status();
    let run = deputize_in(directory.path(), &["check", "in"]);
    lists(&run, "what it names lies outside of what was given: role.txt, dir/role.txt\n");
    if pipe.is_ok_and(|status| status.success()) {
        lists(&run, "what it names is no regular file: pipe\n");
    }
}

#[test]
fn patches_of_parts_of_rules_are_listed() {
    let grant = granted().replace("impersonate", "get");
    for (operation, expected) in [
        ("{op: replace, path: /rules/0/verbs/0, value: '*'}", "replace /rules/0/verbs/0"),
        ("{op: copy, path: /rules/0/verbs/0, from: /metadata/annotations/v}", "copy /rules/0/verbs/0"),
        ("{op: remove, path: /rules/0/resourceNames}", "remove /rules/0/resourceNames"),
    ] {
        let kustomization =
            format!("patches:\n- target: {{kind: ClusterRole, name: x}}\n  patch: |\n    - {operation}\n");
        let changes = format!("a patch changes a part of a rule that it does not show: {expected}\n");
        let files = [("a.yaml", &*grant), ("Kustomization", "patches: [{path: p.yaml}]\n")];
        let named = check(&[files[0], files[1], ("p.yaml", &format!("- {operation}\n"))]);
        lists(&named, &format!("p.yaml:1: skipped: {changes}"));
        assert!(named.stderr.starts_with("read 3 files"), "{}", named.stderr);
        let run = check(&[("a.yaml", &grant), ("kustomization.yaml", &kustomization)]);
        lists(&run, &format!("kustomization.yaml:4: skipped: {changes}"));
    }
    let task = "- kubernetes.core.k8s_json_patch:\n    patch: [{op: replace, path: /rules/0/verbs, value: ['*']}]\n";
    lists(&check(&[("a.yaml", task)]), "a.yaml:2: skipped: a patch changes a part of a rule");
    let kustomization = "replacements:\n- source: {kind: ConfigMap, name: c, fieldPath: data.v}\n  targets:\n  - {select: {kind: ClusterRole}, fieldPaths: [rules.0.verbs.0, metadata.name]}\n";
    let run = check(&[("a.yaml", &grant), ("kustomization.yaml", kustomization)]);
    lists(&run, "kustomization.yaml:4: skipped: a replacement changes a part of a rule: rules.0.verbs.0\n");
    assert_eq!(run.stderr.matches(": skipped: ").count(), 1, "{}", run.stderr);
}

const CHART: (&str, &str) = ("c/Chart.yaml", "name: c\n");

#[test]
fn transformers_that_are_written_in_kustomizations_are_read() {
    let transformer = |what: &str| format!("resources: [a.yaml]\ntransformers:\n- |-\n  apiVersion: builtin\n{what}");
    let part = "  kind: PatchTransformer\n  target: {}\n  patch: '[{\"op\": \"add\", \"path\": \"/rules/0/resources/-\", \"value\": \"users\"}]'\n";
    let run = check(&[("kustomization.yaml", &transformer(part)), ("a.yaml", &granted().replace("users", "pods"))]);
    assert!(run.stderr.contains("kustomization.yaml:7: skipped: a patch changes a part of a rule"), "{}", run.stderr);
    let replaced = "  kind: ReplacementTransformer\n  replacements: [{targets: [{fieldPaths: [rules.0.verbs]}]}]\n";
    let run = check(&[("kustomization.yaml", &transformer(replaced)), ("a.yaml", &granted().replace("users", "pods"))]);
    assert!(run.stderr.contains("skipped: a replacement changes a part of a rule: rules.0.verbs"), "{}", run.stderr);
    let charts = "helmCharts:\n- name: c\n  valuesInline: {verbs: impersonate}\n";
    lists(&check(&[("kustomization.yaml", charts)]), "  kustomization.yaml:2: skipped: chart \"c\" is rendered here");
    let whole = "  kind: PatchTransformer\n  target: {kind: ClusterRole, name: x}\n  patch: '[{\"op\": \"add\", \"path\": \"/rules/-\", \"value\": {\"apiGroups\": [\"\"], \"resources\": [\"users\"], \"verbs\": [\"impersonate\"]}}]'\n";
    let base = format!("{ROLE}rules: []\n---\n{BINDING}{BOB}");
    finds(&check(&[("kustomization.yaml", &transformer(whole)), ("a.yaml", &base)]), ANY_USER);
}

#[test]
fn all_files_below_templates_are_templates() {
    let grant = granted();
    let block = format!("{{{{ define \"x\" }}}}{ROLE}{RULES}{{{{ end }}}}Impersonate: {{{{ .Release.Name }}}}\n");
    let binding = format!("{BINDING}{BOB}");
    let files = [("c/templates/1/2/3/a.txt", &*grant), ("c/templates/b.yaml", "{{ include \"x\" . }}\n")];
    let given = directory(&[CHART, files[0], files[1]]);
    for (from, path) in [("", "."), ("c", "templates"), ("c/templates", "."), ("c/templates", "../templates")] {
        finds(&deputize_in(&given.path().join(from), &["check", path]), ANY_USER);
    }
    // What nothing uses is not installed, which is said.
    let run = check(&[CHART, ("c/templates/NOTES.txt", &block), ("c/templates/b.yaml", &binding)]);
    lists(
        &run,
        "c/templates/NOTES.txt:1: skipped: template ({{ }}): template \"x\" contains RBAC rules but is never used",
    );
    // Notes are for people.
    let notes = format!("{grant}{{{{ .Release.Name }}}}\n");
    assert_eq!(check(&[CHART, ("c/templates/NOTES.txt", &notes)]).status, 0);
}

#[test]
fn the_values_of_a_chart_above_are_known() {
    let role = format!("{ROLE}{{{{ if .Values.limit }}}}\n{RULES}{{{{ end }}}}\n---\n{BINDING}{BOB}");
    let directory = directory(&[
        CHART,
        ("c/values.yaml", "limit: true\n"),
        ("c/templates/a.yaml", &role),
        ("d/Chart.yaml", "name: d\n"),
    ]);
    for (from, given) in [("c/templates", "."), ("c/templates", "a.yaml"), ("d", "../c/templates/a.yaml")] {
        let run = deputize_in(&directory.path().join(from), &["check", given]);
        finds(&run, "only if .Values.limit (true by");
    }
}

#[test]
fn files_that_templates_read_are_read() {
    let grant = granted();
    let reading = "{{ tpl (.Files.Get \"files/role\") . }}\n";
    let files = |template| {
        directory(&[CHART, ("c/templates/a.yaml", template), ("c/files/role", &grant), ("c/LICENSE", "none")])
    };
    for (from, given) in [("", "."), ("", "c/templates"), ("c/templates", "."), ("c/templates", "a.yaml")] {
        let run = deputize_in(&files(reading).path().join(from), &["check", given]);
        finds(&run, ANY_USER);
        assert!(!run.stderr.contains("skipped"), "{}", run.stderr);
    }
    let run = deputize_in(files("{{ .Release.Name }}\n").path(), &["check", "."]);
    assert!(!run.stderr.contains("skipped"), "{}", run.stderr);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn packed_charts_are_listed() {
    let directory = directory(&[CHART, ("other/charts/d.tgz", "no chart")]);
    for (name, bytes, reason) in [
        ("a.tgz", packed(b"tar"), "is not read\n"),
        ("b.tgz", packed(granted().as_bytes()), "is not read; it holds the word `impersonate`\n"),
        ("c.tgz", b"broken".to_vec(), "is not read, and could not be searched for the word `impersonate`\n"),
        ("d.tgz", packed(&vec![0; 33 << 20]), "is not read, and could not be searched for the word `impersonate`\n"),
    ] {
        write(directory.path(), &format!("c/charts/{name}"), bytes);
        for (given, shown) in [(".", "c/charts/"), ("c/charts", "c/charts/")] {
            let run = deputize_in(directory.path(), &["check", given, "-v"]);
            lists(&run, &format!("  {shown}{name}: skipped: a packed chart {reason}"));
            assert!(!run.stderr.contains("other/"), "{}", run.stderr);
        }
    }
}

fn secret(bytes: &[u8]) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: {{a: {}}}\n", BASE64.encode(bytes))
}

#[test]
fn packed_and_encoded_data_is_read() {
    let grant = granted();
    let utf16: Vec<u8> = [0xfeff_u16].into_iter().chain(grant.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let broken = [grant.as_bytes(), b"---\n# \xe9\n"].concat();
    let release = format!("{{\"name\": \"r\", \"manifest\": {}}}", serde_json::to_string(&grant).unwrap());
    let release = BASE64.encode(packed(release.as_bytes()));
    for bytes in [grant.as_bytes(), &utf16, &broken, &packed(grant.as_bytes()), release.as_bytes()] {
        finds(&check(&[("a.yaml", &secret(bytes))]), ANY_USER);
    }
    // A bomb, and what only begins like one.
    for bytes in [&packed(&vec![b'a'; 64 << 20])[..], b"\x1f\x8b\x08 none", b"H4sI none"] {
        let run = check(&[("a.yaml", &secret(bytes))]);
        let said = run.stderr.contains("a.yaml:4: skipped: data.a of Secret \"s\" is packed, and broken or larger");
        assert_eq!((run.status, said), (0, !bytes.starts_with(b"H")), "{}", run.stderr);
    }
    // Other data of secrets is no news.
    assert!(!check(&[("a.yaml", &secret(b"\x00\xff\x80 key"))]).stderr.contains("skipped"));
}

#[test]
fn what_is_not_listed_is_counted() {
    let rules = "- {verbs: ['{{ .a }}'], apiGroups: [], resources: []}\n".repeat(130);
    let template = format!("{ROLE}x: {{{{ .y }}}}\nrules:\n{}", rules.replace('\'', ""));
    let inventory = load_bytes("a.yaml", template.as_bytes());
    let reasons: Vec<&str> = inventory.coverage.unread.iter().map(|unread| unread.reason.as_str()).collect();
    assert_eq!((reasons.len(), reasons[100]), (101, "30 more places of it are not known, the first of them here"));
    let words = format!("a: {{{{ .x }}}}\nb: |\n{}", "  impersonate\n".repeat(130));
    let inventory = load_bytes("a.yaml", words.as_bytes());
    assert_eq!(inventory.coverage.unread.len(), 101);
    assert_eq!(inventory.coverage.unread[100].reason, "the verb stands on 30 more lines where nothing was understood");
    let mentions = format!("apiVersion: example.com/v1\nkind: X\nverbs:\n{}", "- impersonate\n".repeat(1_010));
    let inventory = load_bytes("a.yaml", mentions.as_bytes());
    let asides: Vec<_> = inventory.coverage.aside.iter().map(|aside| (aside.line, aside.reason.as_str())).collect();
    assert_eq!(inventory.coverage.mentions.len(), 1_000);
    assert_eq!(asides, [(Some(1_004), "`impersonate` stands outside of rules in 10 more places from here on")]);
}

#[test]
fn bombs_and_long_lists_are_bounded() {
    // Bombs that are broken, one of them in many places.
    let mut bomb = packed(&vec![b'a'; 64 << 20]);
    bomb.truncate(bomb.len() - 1);
    let text = BASE64.encode(&bomb);
    let mut secrets = format!("apiVersion: v1\nkind: Secret\ndata:\n  a: &a {text}\n");
    (0..10_000).for_each(|at| secrets += &format!("  b{at}: *a\n"));
    secrets += &format!("  c: {text}\n").repeat(50);
    let names = format!("resources: [{}]\n", "x.txt, ".repeat(20_000));
    let nulls = format!("{ROLE}rules: [{}]\n", "{verbs: }, ".repeat(50_000));
    let files = directory(&[("a.yaml", &secrets), ("kustomization.yaml", &names), ("b.yaml", &nulls)]);
    let run = deputize_in(files.path(), &["check", "."]);
    assert!(run.stderr.contains("it names 10000 more files than are followed"), "{}", run.stderr);
}

/// What `kubectl` takes for a line break, and an editor does not.
#[test]
fn what_means_something_else_to_kubectl_is_not_edited() {
    let text = granted().replace("---\n", "# a\u{85}labels: {a: b}\n---\n").replace("users", "users, users");
    let directory = directory(&[("a.yaml", &text)]);
    let run = deputize_in(directory.path(), &["check", "a.yaml", "--fix"]);
    assert_eq!(std::fs::read_to_string(directory.path().join("a.yaml")).unwrap(), text, "{}{}", run.stdout, run.stderr);
}

/// How `kubectl` reads manifests, where that is not what YAML says.
#[test]
fn what_only_kubectl_reads_is_found() {
    let rule = "- {apiGroups: [\"\"], resources: [users], \"<<\": {verbs: [impersonate]}}\n";
    finds_in_doubt(&check(&[("a.yaml", &format!("{ROLE}rules:\n{rule}---\n{BINDING}{BOB}"))]), ANY_USER);
    // What stands behind a separator that is none in YAML, and in items of whatever it may be.
    let harmless = "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: FlowSchema\nmetadata: {name: x}\n";
    let role = format!("{ROLE}rules: [{{apiGroups: [\"\"], resources: [users], verbs: [\"*\"]}}]\n");
    finds_in_doubt(
        &check(&[("a.yaml", &format!("{harmless}---#: x\n{role}---#\n{BINDING}{BOB}"))]),
        "impersonate any user",
    );
    let indented = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let items = format!("items:\n-\n{}-\n{}", indented(&role), indented(&format!("{BINDING}{BOB}")));
    finds(&check(&[("a.yaml", &format!("{harmless}{items}"))]), "impersonate any user");
    finds(&check(&[("a.yaml", &format!("{ROLE}rules: []\n{items}"))]), "impersonate any user");
    // A separator with a comment is one for `kubectl` only.
    let run = check(&[("a.yaml", &format!("{ROLE}rules: []\n---# the binding\n{BINDING}{BOB}"))]);
    assert_eq!((run.status, run.stderr.contains("2 documents")), (2, true), "{}", run.stderr);
    // Line breaks in words, and in what only looks like JSON.
    let text = format!("{role}---\n{BINDING}{BOB}").replace("kind: ClusterRole\n", "kind: \"ClusterRo\\\u{2028}le\"\n");
    finds_in_doubt(&check(&[("a.yaml", &text)]), "impersonate any user");
    let flow = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: x}, # a\u{85}rules: [{apiGroups: [\"\"], resources: [users], verbs: [impersonate]}]}\n";
    finds_in_doubt(&check(&[("a.yaml", &format!("{flow}---\n{BINDING}{BOB}"))]), ANY_USER);
}

#[test]
fn kustomize_changes_more_than_rules() {
    let base = format!("{ROLE}rules: []\n---\n{BINDING}{BOB}");
    for (name, text, said) in [
        ("p.yaml", "- {op: move, from: /extra, path: /rules}\n", "p.yaml:1: skipped: a patch changes a part of a rule"),
        (
            "p.yaml",
            "- {op: replace, path: /roleRef/name, value: y}\n",
            "p.yaml:1: skipped: a patch changes the role of a binding that it does not show: replace /roleRef/name",
        ),
        (
            "p.yaml",
            "- {op: replace, path: /kind, value: ClusterRole}\n",
            "p.yaml:1: skipped: a patch changes the type of an object: replace /kind",
        ),
        (
            "p.yaml",
            "source: {kind: ConfigMap}\ntargets: [{fieldPaths: [roleRef.name]}]\n",
            "p.yaml:2: skipped: a replacement changes the role of a binding: roleRef.name",
        ),
        (
            "p.yaml",
            "- {source: {kind: ConfigMap}, targets: [{fieldPaths: [rules.0.verbs]}]}\n",
            "p.yaml:1: skipped: a replacement changes a part of a rule: rules.0.verbs",
        ),
    ] {
        let kustomization = "patches: [{path: p.yaml}]\nreplacements: [{path: p.yaml}]\n";
        let run = check(&[("a.yaml", &base), ("kustomization.yaml", kustomization), (name, text)]);
        assert!(run.stderr.contains(said), "{text}\n{}", run.stderr);
    }
    let inline = |what: &str| format!("resources: [a.yaml]\ntransformers:\n- |-\n  apiVersion: builtin\n{what}");
    let role = format!("{ROLE}{RULES}");
    let lines: String = role.lines().map(|line| format!("    {line}\n")).collect();
    let written = inline(&format!("  kind: PatchStrategicMergeTransformer\n  patches: |-\n{lines}"));
    finds(&check(&[("kustomization.yaml", &written), ("a.yaml", &base)]), ANY_USER);
    let named = inline("  kind: PatchStrategicMergeTransformer\n  paths: [p.txt]\n");
    finds(&check(&[("kustomization.yaml", &named), ("a.yaml", &base), ("p.txt", &role)]), ANY_USER);
    let run = check(&[("a.yaml", &granted().replace("users", "$RES"))]);
    assert!(run.stderr.contains("`resources` of a rule of ClusterRole \"x\" are filled in by $RES"), "{}", run.stderr);
}
