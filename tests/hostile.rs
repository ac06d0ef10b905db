//! Input that means harm: nothing panics, nothing hangs, nothing raw reaches the terminal, and nothing goes unsaid.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};

use common::{Run, deputize_in};
use deputize::grants::Grants;
use deputize::inventory::{LoadOptions, load, load_bytes};
use deputize::lint::{self, Selection, Severity};
use deputize::output::check::{CheckRun, Checked, Display, Format, Repository, Sort};
use deputize::output::human::Style;
use deputize::source::{FileText, Limits, read_stream};
use deputize::triage::Triage;

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n";
const RULES: &str = "rules: [{verbs: [impersonate], apiGroups: [\"\"], resources: [users]}]\n";

/// Runs `check`, `grants`, `guard` and `report`, for people and as JSON, over one file. Time is not measured here: a busy machine
/// is no fault. `.ci/run` runs these tests with the release build and a bound that tells a hang from work.
fn survive(name: &str, bytes: &[u8]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(name), bytes).unwrap();
    let mut first = None;
    for arguments in [
        &["check", name][..],
        &["check", name, "-o", "json"],
        &["grants", name],
        &["grants", name, "-o", "json"],
        &["guard", name],
        &["guard", name, "-o", "json"],
        &["report", name],
        &["report", name, "--format", "json"],
        &["report", name, "--format", "html"],
    ] {
        let run = deputize_in(directory.path(), arguments);
        assert!((0..=2).contains(&run.status), "{arguments:?}: {}", run.status);
        for stream in [&run.stdout, &run.stderr] {
            assert!(!stream.contains("panicked"), "{stream}");
            let raw = stream.chars().find(|c| *c != '\n' && deputize::output::is_deceptive(*c));
            assert_eq!(raw, None, "{arguments:?}");
        }
        // There is no policy that names more than one can.
        let no_policy = arguments[0] == "guard" && run.status == 2 && run.stdout.is_empty();
        if arguments.contains(&"json") && !no_policy {
            serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap();
        }
        first.get_or_insert(run);
    }
    first.unwrap()
}

#[test]
fn deep_nesting() {
    for text in ["[".repeat(200_000), "- ".repeat(200_000), "{a: ".repeat(200_000), "? ".repeat(200_000)] {
        let run = survive("a.yaml", format!("{ROLE}x:\n {text}").as_bytes());
        assert_eq!(run.status, 2);
        assert!(run.stderr.starts_with("a.yaml:"), "{}", run.stderr);
    }
}

#[test]
fn alias_bombs() {
    let mut bomb = format!("{ROLE}metadata: {{name: a}}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
    }
    let run = survive("a.yaml", format!("{bomb}rules: *a29\n").as_bytes());
    assert_eq!(run.status, 2);
    let run =
        survive("a.yaml", format!("{bomb}rules: [{{verbs: *a29, apiGroups: *a29, resources: *a29}}]\n").as_bytes());
    assert_eq!(run.status, 2);
    // A mapping that merges itself.
    let run = survive("a.yaml", format!("{ROLE}metadata: &m\n  name: a\n  <<: *m\n").as_bytes());
    assert_eq!(run.status, 2);
}

#[test]
fn many_documents_in_one_piece() {
    let text = "a: \"\\x41\"\n...\n".repeat(50_000) + ROLE + "metadata: {name: a}\n" + RULES;
    let run = survive("a.yaml", text.as_bytes());
    assert_eq!(run.stderr.lines().last(), Some("no errors, no warnings and 1 note"), "{}", run.stderr);
}

#[test]
fn manifests_in_manifests() {
    let indent = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let config_map =
        |text: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  a: |\n{text}");
    let many = format!("{ROLE}metadata: {{name: a}}\n{RULES}---\n").repeat(2_000);
    let run = survive("a.yaml", config_map(&indent(&config_map(&indent(&many)))).as_bytes());
    assert_eq!(run.stderr.lines().last(), Some("no errors, no warnings and 1 note"), "{}", run.stderr);
    // Deeper than is read.
    let deep = (0..12).fold(format!("{ROLE}metadata: {{name: a}}\n{RULES}"), |text, _| config_map(&indent(&text)));
    let run = survive("a.yaml", deep.as_bytes());
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("more than 4 deep"), "{}", run.stderr);
    // One large string in very many objects.
    let text = serde_json::to_string(&many).unwrap();
    let mut list = format!("apiVersion: v1\nkind: List\nx: &x {text}\nitems:\n");
    for _ in 0..5_000 {
        list.push_str("- {apiVersion: v1, kind: ConfigMap, data: {a: *x}}\n");
    }
    let run = survive("a.yaml", list.as_bytes());
    assert_eq!(run.status, 2);
    // An alias bomb in a string, and one beside it.
    let mut bomb = "a0: &a0 [{verbs: [x], apiGroups: [x], resources: [x]}]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
    }
    let custom = format!("apiVersion: example.com/v1\nkind: X\n{bomb}");
    assert_eq!(survive("a.yaml", custom.as_bytes()).status, 2);
    assert_eq!(survive("a.yaml", config_map(&indent(&custom)).as_bytes()).status, 2);
    let escapes = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{{\"a\":\"{}Role:\"}}}}",
        "\\n".repeat(2_000_000)
    );
    assert_eq!(survive("a.json", escapes.as_bytes()).status, 0);
}

#[test]
fn large_scalars() {
    let name = "a".repeat(5_000_000);
    let run = survive("a.yaml", format!("{ROLE}metadata: {{name: {name}}}\n{RULES}").as_bytes());
    assert_eq!(run.status, 0);
    assert!(run.stdout.len() < 10_000, "the name is shown in short");
    let line = "x".repeat(5_000_000);
    let json = format!(
        "{{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRole\",\"metadata\":{{\"name\":\"a\",\"annotations\":{{\"a\":\
         \"{line}\"}}}},\"rules\":[{{\"verbs\":[\"impersonate\"],\"apiGroups\":[\"\"],\"resources\":[\"users\"]}}]}}"
    );
    let run = survive("a.json", json.as_bytes());
    assert!(run.stdout.contains("unbound-role") && run.stdout.len() < 10_000, "{}", run.stdout.len());
}

#[test]
fn many_documents() {
    let same = format!("---\n{ROLE}metadata: {{name: a}}\n{RULES}").repeat(20_000);
    assert!(survive("a.yaml", same.as_bytes()).stderr.contains("20000 documents"));
    let broken = format!("---\n{ROLE}metadata: [\n").repeat(20_000);
    let run = survive("a.yaml", broken.as_bytes());
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains(" (20000 times)\n"), "{}", run.stderr.len());
}

#[test]
fn products_of_lists() {
    let list =
        |prefix: &str, count: usize| (0..count).map(|index| format!("{prefix}{index}")).collect::<Vec<_>>().join(", ");
    let (verbs, groups, resources) = (list("impersonate:", 3000), list("g", 3000), list("r", 3000));
    let rule = format!("rules: [{{verbs: [{verbs}], apiGroups: [{groups}], resources: [{resources}]}}]\n");
    let run = survive("a.yaml", format!("{ROLE}metadata: {{name: a}}\n{rule}").as_bytes());
    assert_eq!(run.status, 1);
    assert_eq!(run.stderr.lines().last(), Some("no errors, 3000 warnings and no notes; 50 of 3000 shown"));
}

/// What a controller has copied into an aggregated role is told from what is written there, rule by rule.
#[test]
fn a_large_aggregated_role_beside_a_large_contributor() {
    let rules = |resource: &str| {
        (0..20_000).fold(String::new(), |mut text, index| {
            let _ = writeln!(text, "- {{verbs: [get], apiGroups: [\"\"], resources: [{resource}{index}]}}");
            text
        })
    };
    let aggregated = "metadata: {name: a}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {l: x}}]}\n";
    let contributor = "metadata: {name: b, labels: {l: x}}\n";
    let text = format!("{ROLE}{aggregated}rules:\n{}---\n{ROLE}{contributor}rules:\n{}", rules("r"), rules("q"));
    assert_eq!(survive("a.yaml", text.as_bytes()).status, 0);
}

#[test]
fn many_rules_for_many_subjects() {
    let rules = "- {verbs: [impersonate], apiGroups: [\"\"], resources: [users]}\n".repeat(500);
    let subjects: String = (0..5000).fold(String::new(), |mut text, index| {
        let _ = writeln!(text, "- {{kind: User, name: u{index}}}");
        text
    });
    let text = format!(
        "{ROLE}metadata: {{name: a}}\nrules:\n{rules}---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n\
         metadata: {{name: a}}\nroleRef: {{kind: ClusterRole, name: a}}\nsubjects:\n{subjects}"
    );
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.yaml"), text).unwrap();
    let run = deputize_in(directory.path(), &["check", "a.yaml", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let finding = &json["findings"][0];
    let listed = finding["subjects"].as_array().unwrap().len();
    assert_eq!(listed as u64 + finding["subjectsLeftOut"].as_u64().unwrap(), 5000);
}

#[test]
fn names_that_would_talk_to_the_terminal() {
    let name = "\\e[31mred\\a\\r::error::x\\u202e\\u2066\\x7f\\u0085\\U000e0041";
    let text = format!(
        "{ROLE}metadata: {{name: \"{name}\"}} # \u{202e}\u{200b}\n{RULES}---\napiVersion: rbac.authorization.k8s.io/v1\n\
         kind: ClusterRoleBinding\nmetadata: {{name: \"{name}\"}}\nroleRef: {{kind: ClusterRole, name: \"{name}\"}}\n\
         subjects: [{{kind: User, name: \"{name}\"}}]\n"
    );
    let run = survive("a.yaml", text.as_bytes());
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("\\u{1b}[31mred\\u{7}"), "{}", run.stdout);
    // No line begins like a command to a CI server.
    assert!(!run.stdout.lines().any(|line| line.starts_with("::")));
    let actions = "actions: [{rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.yaml"), &text).unwrap();
    std::fs::write(directory.path().join("actions"), actions).unwrap();
    let run = deputize_in(directory.path(), &["migrate", "a.yaml", "--actions", "actions"]);
    for stream in [&run.stdout, &run.stderr] {
        assert!(stream.chars().all(|c| c == '\n' || !deputize::output::is_deceptive(c)), "{stream}");
    }
    assert!(run.stdout.contains("impersonate:user-info"));
}

#[test]
fn names_of_files_that_would_talk_to_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("\u{1b}[31m\n::error::.yaml"),
        format!("{ROLE}metadata: {{name: a}}\n{RULES}"),
    )
    .unwrap();
    for arguments in [&["check"][..], &["check", "-o", "json"], &["grants"]] {
        let run = deputize_in(directory.path(), arguments);
        assert!(run.stdout.chars().all(|c| c == '\n' || !deputize::output::is_deceptive(c)), "{}", run.stdout);
        assert!(!run.stdout.lines().any(|line| line.starts_with("::")));
    }
}

#[test]
fn other_encodings() {
    let run = survive("a.yaml", b"kind: ClusterRole\0\n");
    assert_eq!(run.status, 2);
    let utf16: Vec<u8> = "\u{feff}kind: ClusterRole\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let run = survive("a.yaml", &utf16);
    assert!(run.stderr.starts_with("a.yaml:1:1: error: this file is UTF-16 and was not read"), "{}", run.stderr);
    let run = survive("a.yaml", b"\xff\xfe\xff\xfe");
    assert_eq!(run.status, 2);
    assert_eq!(survive("a.yaml", b"").status, 0);
}

#[test]
fn ways_to_hide_a_grant() {
    for (name, text) in [
        (
            "escape",
            format!(
                "{ROLE}metadata: {{name: a}}\nrules: [{{verbs: [\"\\u0069mpersonate\"], apiGroups: [\"\"], resources: [users]}}]\n"
            ),
        ),
        (
            "escaped kind",
            format!("{}metadata: {{name: a}}\n{RULES}", ROLE.replace("ClusterRole", "\"Cluster\\x52ole\"")),
        ),
        ("escaped key", format!("{ROLE}metadata: {{name: a}}\n{}", RULES.replace("verbs", "\"\\x76erbs\""))),
        (
            "binary",
            format!("{ROLE}metadata: {{name: a}}\n{}", RULES.replace("impersonate", "!!binary aW1wZXJzb25hdGU=")),
        ),
        (
            "anchor",
            format!("{ROLE}metadata: {{name: a}}\nx: &v [impersonate]\n{}", RULES.replace("[impersonate]", "*v")),
        ),
        (
            "merge",
            format!(
                "{ROLE}metadata: {{name: a}}\nx: &r {{verbs: [impersonate]}}\nrules: [{{<<: *r, apiGroups: [\"\"], resources: [users]}}]\n"
            ),
        ),
        (
            "list",
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {{{}}}\n",
                format!("{ROLE}metadata: {{name: a}}\n{RULES}").trim_end().replace('\n', ", ")
            ),
        ),
        ("second document", format!("kind: Deployment\n---\n# nothing\n---\n{ROLE}metadata: {{name: a}}\n{RULES}")),
        ("after an end", format!("kind: Deployment\n...\n{ROLE}metadata: {{name: a}}\n{RULES}")),
        ("carriage returns", format!("{ROLE}metadata: {{name: a}}\n{RULES}").replace('\n', "\r")),
        ("byte order mark", format!("\u{feff}{ROLE}metadata: {{name: a}}\n{RULES}")),
        ("braces in a string", format!("{ROLE}metadata: {{name: a, annotations: {{x: \"{{{{ y }}}}\"}}}}\n{RULES}")),
    ] {
        let run = survive("a.yaml", text.as_bytes());
        assert!(run.stdout.contains("note[unbound-role]"), "{name}: {}{}", run.stdout, run.stderr);
    }
}

/// A file that somebody cuts short as soon as a part of it has been read.
struct Shrinking {
    file: File,
    length: u64,
}

impl Read for Shrinking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.file.set_len(self.length)?;
        Ok(read)
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.yaml");
    let whole: String =
        (0..20_000).map(|number| format!("{ROLE}metadata: {{name: r{number}}}\n{RULES}---\n")).collect();
    for length in [0, 100, 1_000_000] {
        fs::write(&path, &whole).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut text = FileText::default();
        read_stream(&mut Shrinking { file, length }, &Limits::default(), &mut text).unwrap();
        let bytes = text.bytes();
        assert!(whole.as_bytes().starts_with(bytes), "only what the file held");
        assert!(!bytes.is_empty() && bytes.len() < whole.len() && bytes.len() as u64 >= length);
        // Whatever was read whole is there; what was cut off is one problem at most.
        let complete = str::from_utf8(bytes).unwrap().matches("---\n").count();
        let inventory = load_bytes("a.yaml", bytes);
        let named = |(number, name): (usize, &str)| name == format!("r{number}");
        assert!(inventory.roles.len() >= complete && inventory.roles.len() <= complete + 1);
        assert!(inventory.roles.iter().map(|role| role.meta.name.as_str()).take(complete).enumerate().all(named));
        assert!(inventory.roles[..complete].iter().all(|role| role.rules.len() == 1));
        assert!(inventory.problems.len() <= 1);
    }
}

#[test]
fn a_file_that_shrinks_before_it_is_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.yaml");
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: \
                   {kind: ClusterRole, name: a}\nsubjects: [{kind: User, name: \"ü\"}]\n";
    fs::write(&path, format!("{ROLE}metadata: {{name: a}}\n{RULES}---\n{binding}")).unwrap();
    let inventory = load(std::slice::from_ref(&path), &LoadOptions::default());
    let grants = Grants::new(&inventory);
    let findings = lint::check(&grants, &Selection::default());
    assert_eq!(findings.len(), 1);
    let triage = Triage::report_all(findings);
    let file = File::options().write(true).open(&path).unwrap();
    for length in (0..file.metadata().unwrap().len()).rev() {
        file.set_len(length).unwrap();
        let shown = shown(&grants, &triage);
        // The finding and its place are said, whether or not its lines can still be shown.
        assert!(shown.contains("can impersonate any user") && shown.contains("a.yaml:4:18"), "{length}: {shown}");
    }
    drop(file);
    fs::remove_file(&path).unwrap();
    assert!(shown(&grants, &triage).contains("a.yaml:4:18"));
}

/// What people are shown of findings, every place with its lines.
fn shown(grants: &Grants<'_>, triage: &Triage) -> String {
    let run = CheckRun {
        fixes: Default::default(),
        worlds: vec![Checked { grants, problem: None, triage }],
        failures: &[],
        is_several: false,
        fail_on: None,
        show_accepted: false,
        exit_code: 1,
        repository: Repository::of(std::env::current_dir().unwrap()),
    };
    let display = Display {
        style: Style::of_terminal(200),
        sort: Sort::Path,
        limit: None,
        min_severity: Severity::Note,
        statistics: false,
        verbose: true,
    };
    let mut out = Vec::new();
    Format::Human(display).write(&mut out, &run).unwrap();
    String::from_utf8(out).unwrap()
}
