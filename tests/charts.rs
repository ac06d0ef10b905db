//! Charts are rendered and read: with their default values, and with other branches taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use deputize::grants::Grants;
use deputize::inventory::{Inventory, LoadOptions, load};
use deputize::lint::{Selection, Severity, check};

const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n");
const ROLE: &str =
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {{ .Release.Name }}\nrules:\n";
const RULE: &str = "- apiGroups: [\"\"]\n  resources: [users]\n  verbs: [impersonate]\n";
const BINDING: &str = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: {{ .Release.Name }}\n\
                       roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: {{ .Release.Name }}\nsubjects:\n\
                       - {kind: User, name: panda}\n";

fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn read(files: &[(&str, &str)]) -> Inventory {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), files);
    let inventory = load(&[directory.path().to_owned()], &LoadOptions::default());
    assert_eq!(inventory.problems, []);
    inventory
}

/// A chart with these values and one template.
fn chart(values: &str, template: &str) -> Inventory {
    read(&[CHART, ("values.yaml", values), ("templates/a.yaml", template)])
}

/// A bound role with these rules.
fn role(rules: &str) -> String {
    format!("{ROLE}{rules}{BINDING}")
}

/// Severity, place, rule and words of each finding.
fn findings(inventory: &Inventory) -> Vec<String> {
    let show = |finding: &deputize::lint::Finding| {
        let place = finding.place;
        format!("{}:{} {}[{}] {}", place.line, place.column, finding.severity.as_str(), finding.rule, finding.message)
    };
    check(&Grants::new(inventory), &Selection::default()).iter().map(show).collect()
}

/// Line and reason of each gap.
fn gaps(inventory: &Inventory) -> Vec<String> {
    inventory.coverage.unread.iter().map(|unread| format!("{} {}", unread.line, unread.reason)).collect()
}

const ANY_USER: &str = "error[unrestricted-users] User \"panda\" can impersonate any user";

#[test]
fn what_templates_put_together_is_found() {
    let rule =
        |resources: &str, verbs: &str| format!("- apiGroups: [\"\"]\n  resources: {resources}\n  verbs: {verbs}\n");
    for (values, rules) in [
        ("", rule("[users]", "[\"{{ range list \"imper\" \"sonate\" }}{{ . }}{{ end }}\"]")),
        ("l: [\"get,impersonate\"]\n", rule("[users]", "[{{ range .Values.l }}{{ . }}, {{ end }}]")),
        ("t: '!!str impersonate'\n", rule("[users]", "[{{ .Values.t }}]")),
        ("r: [us, ers]\n", rule("[\"{{ range .Values.r }}{{ . }}{{ end }}\"]", "[impersonate]")),
        ("", rule("[users]", "{{ printf \"[%s%s]\" \"imper\" \"sonate\" }}")),
        ("", rule("[users]", "[{{ \"ZXRhbm9zcmVwbWk=\" | b64dec | splitList \"\" | reverse | join \"\" }}]")),
        ("v: {a: [impersonate]}\n", rule("[users]", "{{ toJson (index .Values \"v\" \"a\") }}")),
        ("c: '{{ print \"imper\" }}sonate'\n", rule("[users]", "[{{ tpl .Values.c . }}]")),
        ("", "{{ $_ := set .Values \"x\" \"impersonate\" }}\n".to_owned() + &rule("[users]", "[{{ .Values.x }}]")),
        (
            "rules: [{apiGroups: [''], resources: [users], verbs: [impersonate]}]\n",
            "{{ toYaml .Values.rules }}\n".to_owned(),
        ),
    ] {
        let inventory = chart(values, &role(&rules));
        assert!(findings(&inventory).iter().any(|found| found.contains(ANY_USER)), "{rules}\n{:?}", gaps(&inventory));
        assert_eq!(gaps(&inventory), [""; 0], "{rules}");
    }
    // A rule that comes from a loop over values is at the loop, and says where its words are from.
    let values = "roles:\n  deputy:\n  - {apiGroups: [''], resources: [groups], verbs: [impersonate]}\n";
    let template = format!("{{{{ range $n, $r := .Values.roles }}}}\n{ROLE}{{{{ toYaml $r }}}}\n{{{{ end }}}}\n");
    let found = findings(&chart(values, &template));
    assert!(found[0].starts_with("7:1 note[unbound-role]"), "{found:?}");
    assert!(found[0].contains("for each of .Values.roles (1 by default)"), "{found:?}");
    assert!(found[0].contains("\"impersonate\" and \"groups\" are from"), "{found:?}");
}

#[test]
fn files_that_templates_read_are_followed() {
    let inventory = read(&[
        CHART,
        (
            "templates/a.yaml",
            "{{ range $path, $_ := .Files.Glob \"rbac/*\" }}\n---\n{{ $.Files.Get $path }}\n{{ end }}\n",
        ),
        ("rbac/role", &role(RULE).replace("{{ .Release.Name }}", "x")),
    ]);
    assert!(findings(&inventory)[0].contains("User \"panda\" can impersonate any user"));
    assert_eq!(gaps(&inventory), [""; 0]);
}

#[test]
fn what_is_not_installed_by_default_is_less_severe() {
    let rules = format!("{{{{ if .Values.all }}}}\n{RULE}{{{{ end }}}}\n");
    assert_eq!(
        findings(&chart("all: true\n", &role(&rules)))[0],
        format!("9:11 {ANY_USER}, only if .Values.all (true by default)")
    );
    let off = "9:11 warning[unrestricted-users] User \"panda\" can impersonate any user, only if .Values.all (false by default)";
    for values in ["all: false\n", ""] {
        assert_eq!(findings(&chart(values, &role(&rules))), [off], "{values}");
    }
    // Whatever the condition is: its branch is taken.
    for (condition, values) in [
        ("not .Values.a", "a: true\n"),
        ("eq .Values.a \"x\"", "a: y\n"),
        ("ne .Values.a \"x\"", "a: x\n"),
        ("and .Values.a .Values.b.c", "a: true\nb: {c: false}\n"),
        ("or .Values.a .Values.b", "a: false\n"),
        ("gt (len .Values.a) 3", "a: [b]\n"),
        ("has \"x\" .Values.a", "a: []\n"),
        (".Capabilities.APIVersions.Has \"x/v1\"", ""),
        ("include \"nothing\" . | eq \"true\"", ""),
    ] {
        let template =
            role(&format!("{{{{ if {condition} }}}}\n{RULE}{{{{ end }}}}\n")) + "{{ define \"nothing\" }}{{ end }}";
        let found = findings(&chart(values, &template));
        assert!(found.iter().any(|found| found.contains("can impersonate any user")), "{condition} {found:?}");
    }
    // Names that limit a rule may be left out.
    let limited = RULE.to_owned() + "  {{- with .Values.names }}\n  resourceNames: {{ toJson . }}\n  {{- end }}\n";
    let found = findings(&chart("names: [koala]\n", &role(&limited)));
    assert!(
        found[1].starts_with("8:11 warning[unrestricted-users]") && found[1].contains(".Values.names is not set"),
        "{found:?}"
    );
    assert!(found[0].contains("warning[named-identities]") && found[0].contains("\"koala\" is from"), "{found:?}");
}

/// Conditions on one value are never contradicted; those on two values are combined.
#[test]
fn branches_are_combined_as_values_can_be_set() {
    let rules = |first: &str, second: &str| {
        format!(
            "- apiGroups: [\"\"]\n  resources: [{{{{ if {first} }}}}users{{{{ else }}}}pods{{{{ end }}}}]\n  \
             verbs: [{{{{ if {second} }}}}impersonate{{{{ else }}}}get{{{{ end }}}}]\n"
        )
    };
    let reaches = |first: &str, second: &str| {
        let inventory = chart("", &role(&rules(first, second)));
        findings(&inventory).iter().any(|found| found.contains("can impersonate any user"))
    };
    assert!(reaches(".Values.a", ".Values.a"));
    assert!(reaches(".Values.a", ".Values.b"));
    assert!(reaches(".Values.a", "and .Values.a .Values.b"));
    assert!(!reaches(".Values.a", "not .Values.a"));
}

/// Empty values are listed once per chart, and only where they could be RBAC.
#[test]
fn values_that_are_empty_are_said_once() {
    let template = role("{{- toYaml .Values.rules | nindent 2 }}\n")
        + "{{ range .Values.extraObjects }}\n---\n{{ toYaml . }}\n{{ end }}\n";
    let said = gaps(&chart("rules: []\nextraObjects: []\n", &template));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].ends_with("values that are empty by default can insert RBAC: .Values.extraObjects, .Values.rules"),
        "{said:?}"
    );
    let harmless = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n  annotations:\n    {{- toYaml .Values.annotations | nindent 4 }}\n\
                    spec:\n  {{- with .Values.affinity }}\n  affinity:\n    {{- toYaml . | nindent 4 }}\n  {{- end }}\n";
    assert_eq!(gaps(&chart("", harmless)), [""; 0]);
    let labels = role(RULE).replacen("rules:", "  labels:\n    {{- toYaml .Values.labels | nindent 4 }}\nrules:", 1);
    assert_eq!(gaps(&chart("labels: {}\n", &labels)), [""; 0]);
}

#[test]
fn what_cannot_be_rendered_is_said() {
    let said = |files: &[(&str, &str)]| gaps(&read(files));
    let text = role(RULE);
    // A template that fails, with its line; the others are read.
    let files = [CHART, ("templates/a.yaml", "{{ foo }}\n"), ("templates/b.yaml", &*text)];
    assert_eq!(said(&files), ["1 cannot be rendered: function \"foo\" not defined"]);
    assert!(findings(&read(&files))[0].contains("can impersonate any user"));
    // What Helm would refuse by default is rendered all the same.
    for code in [
        "{{ fail \"set a\" }}",
        "{{ required \"set a\" .Values.a }}",
        "{{ .Values.a.b.c }}",
        "{{ include \"nowhere\" . }}",
    ] {
        let inventory = chart("", &format!("{text}---\na: {code}\n"));
        assert!(findings(&inventory)[0].contains("can impersonate any user"), "{code}");
    }
    // What is defined and not used, what is needed and not there.
    let define = format!("{{{{ define \"x\" }}}}\n{RULE}{{{{ end }}}}\n");
    assert_eq!(
        said(&[CHART, ("templates/_x.tpl", &define)]),
        ["1 template \"x\" contains RBAC rules but is never used in this chart"]
    );
    let needs = ("Chart.yaml", "name: c\nversion: 0.1.0\ndependencies: [{name: d, version: 1.0.0}]\n");
    assert_eq!(said(&[needs, ("templates/a.yaml", "a: b\n")]), ["1 dependencies not found in charts/: d"]);
}

#[test]
fn charts_in_a_chart_are_rendered_with_it() {
    let sub = role(RULE).replace("[impersonate]", "[{{ .Values.verb }}]");
    let files = |values: &'static str, condition: &'static str| [("Chart.yaml", condition), ("values.yaml", values)];
    let inner = [
        ("charts/d/Chart.yaml", "name: d\nversion: 1.0.0\n"),
        ("charts/d/values.yaml", "verb: get\n"),
        ("charts/d/templates/a.yaml", &*sub),
    ];
    let plain = "name: c\nversion: 0.1.0\n";
    let switched = "name: c\nversion: 0.1.0\ndependencies: [{name: d, version: 1.0.0, condition: d.enabled}]\n";
    let found = |values, condition| findings(&read(&[&files(values, condition)[..], &inner].concat()));
    assert_eq!(found("", plain), [""; 0]);
    assert!(found("d: {verb: impersonate}\n", plain)[0].contains(ANY_USER));
    assert!(found("d: {verb: impersonate, enabled: true}\n", switched)[0].contains(ANY_USER));
    // One that is turned off is not installed by default.
    let off = found("d: {verb: impersonate, enabled: false}\n", switched);
    assert!(
        off[0].contains("warning[unrestricted-users]")
            && off[0].contains("only if chart d is enabled (false by default)"),
        "{off:?}"
    );
    // A packed one is unpacked.
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[CHART, ("templates/b.yaml", "a: b\n")]);
    std::fs::create_dir(directory.path().join("charts")).unwrap();
    pack(&inner, &sub.replace("{{ .Values.verb }}", "impersonate"), &directory.path().join("charts/d-1.0.0.tgz"));
    let inventory = load(&[directory.path().to_owned()], &LoadOptions::default());
    assert!(findings(&inventory)[0].contains(ANY_USER), "{:?}", inventory.coverage);
    assert_eq!((inventory.coverage.aside.len(), gaps(&inventory).len()), (0, 0), "{:?}", inventory.coverage);
}

/// Packs a chart in a chart, with another template.
fn pack(files: &[(&str, &str)], template: &str, to: &Path) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), files);
    write(directory.path(), &[("charts/d/templates/a.yaml", template)]);
    let mut tar = std::process::Command::new("tar");
    let status = tar.arg("-czf").arg(to).arg("-C").arg(directory.path().join("charts")).arg("d").status().unwrap();
    assert!(status.success());
}

/// Separate charts are separate releases.
#[test]
fn aggregation_stays_within_a_chart() {
    let aggregate = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\naggregationRule:\n  clusterRoleSelectors:\n  - matchLabels: {app: \"{{ .Chart.Name }}\"}\n";
    let part = ROLE.replace("rules:", "  labels: {app: \"{{ .Chart.Name }}\"}\nrules:") + RULE;
    let bound = BINDING.replace("  name: {{ .Release.Name }}\nsubjects", "  name: all\nsubjects");
    let both = format!("{aggregate}{bound}---\n{part}");
    assert!(findings(&chart("", &both))[0].contains(ANY_USER), "{:?}", findings(&chart("", &both)));
    let apart = [
        ("a/Chart.yaml", "name: a\nversion: 0.1.0\n"),
        ("a/templates/a.yaml", &*format!("{aggregate}{bound}")),
        ("b/Chart.yaml", "name: b\nversion: 0.1.0\n"),
        ("b/templates/b.yaml", &*part),
    ];
    assert!(
        findings(&read(&apart)).iter().all(|found| found.contains("unbound-role")),
        "{:?}",
        findings(&read(&apart))
    );
}

/// Findings point into the template, whatever functions its text went through.
#[test]
fn places_are_those_of_the_templates() {
    let define =
        "{{- define \"rules\" -}}\n- apiGroups: [\"\"]\n  resources: [users]\n  verbs:\n  - impersonate\n{{- end }}\n";
    let template = ROLE.to_owned() + "  {{- include \"rules\" . | nindent 2 }}\n" + BINDING;
    let inventory = read(&[CHART, ("templates/_r.tpl", define), ("templates/a.yaml", &template)]);
    let found = check(&Grants::new(&inventory), &Selection::default());
    // Most of the document is in the template, so the role is there, and its rules where they are included.
    assert_eq!((found[0].place.line, found[0].severity), (6, Severity::Error), "{:?}", findings(&inventory));
    let whole = format!("{{{{- define \"role\" -}}}}\n{}{{{{- end }}}}\n", role(RULE));
    let inventory =
        read(&[CHART, ("templates/_r.tpl", &whole), ("templates/a.yaml", "{{ include \"role\" . | indent 0 }}\n")]);
    let found = check(&Grants::new(&inventory), &Selection::default());
    assert!(found[0].path.ends_with("templates/_r.tpl"), "{:?}", found[0].path);
    assert_eq!((found[0].place.line, found[0].place.column), (9, 11));
}
