//! Unrendered templates: what is found in them, under which conditions, and what is said of the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use deputize::grants::Grants;
use deputize::inventory::{Inventory, LoadOptions, load, load_bytes};
use deputize::lint::{Selection, check};
use deputize::problem::ProblemKind;

/// Reads files, each with a name.
fn read(files: &[(&str, &str)]) -> Inventory {
    let inventory = read_with_problems(files);
    assert_eq!(inventory.problems, [], "nothing in a template is a problem");
    inventory
}

fn read_with_problems(files: &[(&str, &str)]) -> Inventory {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    load(&[directory.path().to_owned()], &LoadOptions::default())
}

fn kinds_of_problems(inventory: &Inventory) -> Vec<ProblemKind> {
    inventory.problems.iter().map(|problem| problem.kind).collect()
}

/// Reads a chart with these values and templates.
fn chart(values: &str, templates: &[(&str, &str)]) -> Inventory {
    let mut files = vec![
        ("Chart.yaml".to_owned(), "apiVersion: v2\nname: c\nversion: 0.1.0\n"),
        ("values.yaml".to_owned(), values),
    ];
    files.extend(templates.iter().map(|(name, text)| (format!("templates/{name}"), *text)));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    read(&files)
}

/// Place, rule and words of each finding.
fn findings(inventory: &Inventory) -> Vec<String> {
    let show = |finding: &deputize::lint::Finding| {
        format!("{}:{} {}: {}", finding.place.line, finding.place.column, finding.rule, finding.message)
    };
    check(&Grants::new(inventory), &Selection::default()).iter().map(show).collect()
}

/// Line and reason of what was not looked at.
fn unread(inventory: &Inventory) -> Vec<String> {
    inventory.coverage.unread.iter().map(|unread| format!("{} {}", unread.line, unread.reason)).collect()
}

const HEAD: &str =
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {{ include \"x\" . }}\nrules:\n";
const RULE: &str = "- apiGroups: [\"\"]\n  resources: [users]\n  verbs: [impersonate]\n";

fn role(rules: &str) -> String {
    format!("{HEAD}{rules}")
}

fn binding(role: &str) -> String {
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: {{{{ .Release.Name }}}}\n\
         roleRef:\n  kind: ClusterRole\n  name: {role}\nsubjects:\n- {{kind: User, name: panda}}\n"
    )
}

#[test]
fn a_binding_with_the_same_expression_binds() {
    for name in ["{{ include \"x\" . }}", "{{- include  \"x\" $ }}", "{{ include \"x\" . | quote }}"] {
        let name = name.replace("{{-", "{{");
        let inventory = chart("", &[("a.yaml", &role(RULE)), ("b.yaml", &binding(&name))]);
        assert_eq!(
            findings(&inventory),
            ["8:11 unrestricted-users: User \"panda\" can impersonate any user"],
            "{name}"
        );
        assert_eq!(unread(&inventory), [""; 0]);
    }
    let inventory = chart("", &[("a.yaml", &(role(RULE) + &binding("cluster-admin")))]);
    assert!(findings(&inventory)[0].contains("unbound-role"), "{:?}", findings(&inventory));
    // A name that depends may be either.
    let either = "{{ if .Values.a }} {{ include \"x\" . }} {{ else }} \"cluster-admin\" {{ end }}";
    let inventory = chart("", &[("a.yaml", &(role(RULE) + &binding(either)))]);
    let found = findings(&inventory);
    assert_eq!(found[0], "8:11 unrestricted-users: User \"panda\" can impersonate any user");
    assert!(found.len() == 2 && found[1].contains("cluster-admin"), "{found:?}");
    // What another expression says may be the same.
    let inventory = chart("", &[("a.yaml", &(role(RULE) + &binding("{{ include \"y\" . }}")))]);
    let found = check(&Grants::new(&inventory), &Selection::default());
    assert_eq!(found[0].rule, "unrestricted-users");
    assert!(found[0].related[0].message.contains("may bind it"), "{:?}", found[0].related);
}

#[test]
fn a_binding_that_cannot_be_read_marks_nothing_else() {
    let plain = role(RULE).replace("{{ include \"x\" . }}", "plain")
        + &binding("plain").replace("{{ .Release.Name }}", "plain");
    let broken =
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: {{ .x }}}\n";
    let mut inventory = chart("", &[("a.yaml", &(plain + broken))]);
    assert_eq!((inventory.roles.len(), inventory.bindings.len()), (1, 1));
    assert_eq!(inventory.leave_out_apart().templates, 0);
}

#[test]
fn conditions_are_said() {
    let text = format!(
        "{{{{- if .Values.rbac.create }}}}\n{}{{{{- if and .Values.a (not .Values.b) }}}}\n{RULE}{{{{- else if .Values.b }}}}\n{RULE}{{{{- else }}}}\n{RULE}{{{{- end }}}}\n\
         {{{{- range .Values.list }}}}\n{RULE}{{{{- end }}}}\n{{{{- end }}}}\n",
        role("")
    );
    let inventory = chart("rbac: {create: true}\nb: false\nlist: [p, q]\n", &[("a.yaml", &text)]);
    let only = "only if .Values.rbac.create (true by default)";
    let found = findings(&inventory);
    let ends = [
        format!("{only} and only if and .Values.a (not .Values.b) (false by default)"),
        format!(
            "{only} and only if not (and .Values.a (not .Values.b)) (true by default) and only if .Values.b (false by default)"
        ),
        format!(
            "{only} and only if not (and .Values.a (not .Values.b)) (true by default) and only if not .Values.b (true by default)"
        ),
        format!("{only} and for each of .Values.list (2 by default)"),
    ];
    assert_eq!(found.len(), 4);
    for (found, end) in found.iter().zip(ends) {
        assert!(found.ends_with(&end), "{found}\n{end}");
    }
}

#[test]
fn names_count_only_if_they_are_certain() {
    let named = |names: &str| role(&format!("{RULE}{names}")) + &binding("{{ include \"x\" . }}");
    let values = "names: [p, q]\nnone: []\nname: r\nempty: ''\nlimit: true\noff: false\n";
    for (names, expected) in [
        ("  resourceNames:\n    {{- toYaml .Values.names | nindent 4 }}\n", "the users \"p\" and \"q\""),
        ("  resourceNames: {{ .Values.names | toJson }}\n", "the users \"p\" and \"q\""),
        (
            "  resourceNames:\n  {{- range .Values.names }}\n  - {{ . | quote }}\n  {{- end }}\n",
            "the users \"p\" and \"q\"",
        ),
        (
            "  resourceNames:\n  {{- range $i, $n := .Values.names }}\n  - {{ $n }}\n  {{- end }}\n",
            "the users \"p\" and \"q\"",
        ),
        ("  {{- with .Values.names }}\n  resourceNames: {{ toJson . }}\n  {{- end }}\n", "the users \"p\" and \"q\""),
        ("  resourceNames: [{{ .Values.name }}]\n", "the user \"r\""),
        ("  resourceNames:\n  - {{ .Values.unknown | default \"s\" }}\n", "the user \"s\""),
        ("  resourceNames:\n  - {{ include \"n\" . }}\n", "the user \"{{ include \\\"n\\\" . }}\""),
        ("  resourceNames: [a, {{ include \"n\" . }}]\n", "the users \"a\" and \"{{ include \\\"n\\\" . }}\""),
        ("  {{- if .Values.limit }}\n  resourceNames: [a]\n  {{- end }}\n", "the user \"a\""),
        // Nobody knows, or by default there is none.
        ("  resourceNames:\n    {{- toYaml .Values.none | nindent 4 }}\n", "any user"),
        ("  resourceNames: {{ .Values.missing | toJson }}\n", "any user"),
        ("  resourceNames: {{ include \"n\" . }}\n", "any user"),
        ("  resourceNames:\n  {{- range .Values.none }}\n  - {{ . }}\n  {{- end }}\n", "any user"),
        ("  {{- if .Values.off }}\n  resourceNames: [a]\n  {{- end }}\n", "any user"),
        ("  {{- with .Values.none }}\n  resourceNames: {{ toJson . }}\n  {{- end }}\n", "any user"),
    ] {
        let inventory = chart(values, &[("a.yaml", &named(names))]);
        let found = findings(&inventory);
        let expected = format!("can impersonate {expected}");
        assert!(found.iter().any(|it| it.contains(&expected)), "{names}\n{found:#?}");
    }
}

#[test]
fn what_values_decide_is_said() {
    let rule = "- apiGroups: [\"\"]\n  resources: {{ .Values.resources | toJson }}\n  verbs:\n  {{- toYaml .Values.verbs | nindent 2 }}\n";
    let text = role(rule) + &binding("{{ include \"x\" . }}");
    let inventory = chart("resources: [groups]\nverbs: [get, impersonate]\n", &[("a.yaml", &text)]);
    let found = findings(&inventory);
    assert!(found[0].contains("can impersonate any group"), "{found:?}");
    assert!(found[0].contains("where \"get\" and \"impersonate\" are from "), "{found:?}");
    assert_eq!(unread(&inventory), [""; 0]);
    // Not known is not clean.
    let inventory =
        chart("resources: [groups]\n", &[("a.yaml", &text.replace(".Values.verbs", ".Values.x.y | upper"))]);
    assert_eq!(findings(&inventory), [""; 0]);
    assert!(
        unread(&inventory).iter().any(|reason| reason.contains("can insert RBAC: .Values.x.y")),
        "{:?}",
        unread(&inventory)
    );
    // Whole rules, and subjects.
    let text = role("{{ toYaml .Values.rules | indent 2 }}\n") + &binding("{{ include \"x\" . }}");
    let inventory =
        chart("rules: [{apiGroups: [''], resources: [users], verbs: [impersonate]}]\n", &[("a.yaml", &text)]);
    assert!(findings(&inventory)[0].contains("can impersonate any user"));
    let subjects = "subjects:\n{{- toYaml .Values.subjects | nindent 0 }}\n";
    let text =
        role(RULE) + &binding("{{ include \"x\" . }}").replace("subjects:\n- {kind: User, name: panda}\n", subjects);
    let inventory = chart("subjects: [{kind: Group, name: g}]\n", &[("a.yaml", &text)]);
    assert!(findings(&inventory)[0].contains("Group \"g\" can"), "{:?}", findings(&inventory));
    let inventory = chart("subjects: []\n", &[("a.yaml", &text)]);
    let said = unread(&inventory);
    assert!(said.iter().any(|it| it.ends_with("can insert RBAC: .Values.subjects")), "{said:?}");
}

#[test]
fn other_languages() {
    let role = "kind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\nmetadata:\n  name: NAME\nrules:\nIF- apiGroups: ['']\n  resources: [users]\n  verbs: [impersonate]\nEND";
    for (name, start, end) in [
        ("{{ role | default('x') }}", "{% if impersonation %}\n", "{% endif %}\n"),
        ("<%= role %>", "<% if impersonation %>\n", "<% end %>\n"),
    ] {
        let text = role.replace("NAME", name).replace("IF", start).replace("END", end);
        let inventory = load_bytes("a.yaml", text.as_bytes());
        assert_eq!(findings(&inventory).len(), 1, "{text}");
        assert!(findings(&inventory)[0].contains("only if impersonation"), "{:?}", findings(&inventory));
    }
    let text = role.replace("NAME", "{a: ${NAME}, b: c}").replace("IF", "").replace("END", "");
    assert_eq!(findings(&load_bytes("a.yaml", text.replace("{a: ${NAME}, b: c}", "${NAME} # [").as_bytes())).len(), 1);
}

#[test]
fn charts_hide_nothing_behind_names_of_files() {
    let define = format!("{{{{- define \"role\" -}}}}\n{}{{{{- end -}}}}\n", role(RULE));
    for name in ["_helpers.tpl", "role.txt", "deep/role", "role.yaml", "a.JSON"] {
        // What nothing uses is not installed, which is said.
        let inventory = chart("", &[(name, &define)]);
        assert_eq!(findings(&inventory), [""; 0], "{name}");
        assert!(
            unread(&inventory)[0].contains("template \"role\" contains RBAC rules"),
            "{name} {:?}",
            unread(&inventory)
        );
        let inventory = chart("", &[(name, &define), ("use.yaml", "{{ include \"role\" . }}\n")]);
        assert_eq!(findings(&inventory).len(), 1, "{name}");
        // Of some, Helm takes no more than the blocks.
        let inventory = chart("", &[(name, &format!("{HEAD}{RULE}"))]);
        assert_eq!(findings(&inventory).len(), usize::from(!name.starts_with('_')), "{name}");
    }
    // The notes are printed, and applied nowhere.
    assert_eq!(findings(&chart("", &[("NOTES.txt", &format!("{HEAD}{RULE}"))])), [""; 0]);
    // A part of a rule that stands elsewhere.
    let inventory = chart("", &[("_x.tpl", "{{ define \"verbs\" }}\n- get\n- impersonate\n{{ end }}\n")]);
    assert_eq!(unread(&inventory), ["1 template \"verbs\" contains RBAC rules but is never used in this chart"]);
}

/// A template of a manifest says so by its name.
#[test]
fn names_of_templates() {
    let text = role(RULE).replace("{{ include \"x\" . }}", "{{ name | default('x') }}");
    for name in ["role.yaml.j2", "role.yml.ERB", "deep/role.json.tmpl"] {
        assert_eq!(findings(&read(&[(name, &text)])).len(), 1, "{name}");
        // It need not be YAML.
        assert!(!unread(&read(&[(name, &text.replace("kind:", "verbs: [\nkind:"))])).is_empty(), "{name}");
    }
    assert_eq!(findings(&read(&[("role.j2", &text), ("role.txt", &text)])), [""; 0]);
}

/// Whatever is tried to hide the grant, it is found or said not to have been looked at.
#[test]
fn nothing_hides_a_grant() {
    let bound = |text: &str| text.to_owned() + &binding("{{ include \"x\" . }}");
    for verbs in [
        "verbs: [im{{/**/}}personate]",
        "verbs: [\"im{{/* \"] */}}personate\"]",
        "verbs: [imper\n{{- /* c */ -}}\nsonate]",
        "verbs: [{{ \"impersonate\" }}]",
        "verbs:\n  - {{ \"imper\" }}{{ \"sonate\" }}",
        "verbs:\n  - {{ if true }}impersonate{{ end }}",
        "verbs:\n  - im{{ if true }}person{{ end }}ate",
        "verbs:\n  - {{ if false }}get{{ else }}impersonate{{ end }}",
        "verbs: {{ list \"impersonate\" | toJson }}",
        "verbs: {{ printf \"[%s]\" \"impersonate\" }}",
        "verbs: {{ .Values.verbs }}",
        "verbs: [\"\\u0069mpersonate{{ \"\" }}\"]",
        "{{ \"verbs\" }}: [impersonate]",
        "{{ print \"verbs: [imp\" \"ersonate]\" }}",
        "{{- if .Values.x }}\n  verbs: [get]\n{{- else }}\n  verbs: [impersonate]\n{{- end }}",
        "{{- if .Values.x }}\n  verbs: [impersonate]\n{{- else }}\n  verbs: [get]\n{{- end }}",
        "verbs: [\"{{ .Values.x }}\"]",
        "verbs: [{{ .Values.list }}]",
        "verbs:\n  - {{ .Values.lines }}",
        "ver{{ \"bs\" }}: [impersonate]",
        "\"{{ .Values.key }}\": [\"*\"]",
        "verbs: [{{ .Values.tag }}]",
        "verbs: [!!binary \"aW1wZXJzb25hdGU={{/**/}}\"]",
        "verbs: [\"imper{{- if true -}} sonate {{- end }}\"]",
        "verbs: [\"imper{{ range list 1 }}s{{ end }}onate\"]",
        "verbs:\n  - {{ if .Values.a }}x{{ else }}imper{{ end }}{{ if .Values.a }}y{{ else }}sonate{{ end }}",
    ] {
        let text = bound(&role(&format!("- apiGroups: [\"\"]\n  resources: [users]\n  {verbs}\n")));
        let values = "list: get, impersonate\nlines: \"get\\n  - impersonate\"\nkey: verbs\ntag: '!!str impersonate'\nline: \"\\n\"\n";
        let inventory = chart(values, &[("a.yaml", &text)]);
        assert!(
            findings(&inventory)
                .iter()
                .any(|finding| ["unrestricted", "wildcard"].iter().any(|it| finding.contains(it)))
                || !unread(&inventory).is_empty(),
            "{verbs}"
        );
    }
    for (from, to) in [
        ("kind: ClusterRole\n", "kind: Cluster\n{{- \"Role\" }}\n"),
        ("kind: ClusterRole\n", "kind: Clus\n{{- \"terRo\" -}}\nle\n"),
        ("kind: ClusterRole\n", "{{ include \"kind\" . }}\n"),
        ("kind: ClusterRole\n", "{{ .k }}: ClusterRole\n"),
        ("kind: ClusterRole\n", "{{ if true }}kind: ClusterRole{{ end }}\n"),
        ("kind: ClusterRole\n", "kind: {{ \"Cluster\" }}Role\n"),
        ("kind: ClusterRole\n", "kind: {{ include \"prefix\" . }}Role\n"),
        ("kind: ClusterRole\n", "kind: \"{{ .Values.kind }}\"\n"),
        ("kind: ClusterRole\n", "kin{{/**/}}d: ClusterRo{{/**/}}le\n"),
        ("apiVersion: rbac.authorization.k8s.io/v1\n", "# a\n---#b\napiVersion: rbac.authorization.k8s.io/v1\n"),
        ("rules:\n", "{{ if false }}x: '{{ end }}\nrules:\n"),
        ("kind: ClusterRole\n", "kind:\n  {{ .Values.kind }}\n"),
        ("apiVersion: rbac.authorization.k8s.io/v1\n", "{{ include \"header\" . }}\n"),
        ("apiVersion: rbac.authorization.k8s.io/v1\n", "apiVersion: '{{ .Values.x }}'\n"),
        ("apiVersion: rbac.authorization.k8s.io/v1\n", "apiVersion: {{ ternary \"a/v1\" \"b/v1\" .Values.x }}\n"),
        ("apiVersion: rbac.authorization.k8s.io/v1\n", "a: b\n---apiVersion: rbac.authorization.k8s.io/v1\n"),
        ("rules:\n", "rules:\n{{ if false -}}\n"),
        ("rules:\n", "{{ .x\nrules:\n"),
        ("rules:\n", "{{ if .x }}\nrules:\n"),
        ("rules:\n", "{{ end }}\nrules:\n"),
        ("rules:\n", "{{ include \"rules\" . }}\nrules:\n"),
        ("  resources: [users]", "  resources: {{ .Values.x }}"),
        ("  resources: [users]", "  resources: [{{ .Values.x }}]"),
        ("- apiGroups: [\"\"]", "- apiGroups: {{ .Values.x }}"),
        ("- apiGroups: [\"\"]", "- {{ toYaml . | nindent 2 }}\n  apiGroups: [\"\"]"),
        ("metadata:\n", "aggregationRule:\n  {{- if false }}\n  clusterRoleSelectors: []\n  {{- end }}\nmetadata:\n"),
    ] {
        let text = bound(&role(RULE));
        assert!(text.contains(from));
        let inventory = chart("", &[("a.yaml", &text.replacen(from, to, 1))]);
        let found = findings(&inventory);
        let is_found =
            found.iter().any(|finding| ["unrestricted-users", "wildcard"].iter().any(|it| finding.contains(it)));
        assert!(is_found || !unread(&inventory).is_empty(), "{to}\n{found:?}");
    }
}

/// What stands in other objects of a template is judged as it is in a manifest.
#[test]
fn other_objects_hide_nothing() {
    let carrier = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}\"}\ndata:\n  a.yaml: |\n";
    let indent = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let manifest = indent(&(role(RULE) + &binding("{{ include \"x\" $ }}")));
    let inventory = chart("", &[("a.yaml", &format!("{{{{ if .Values.x }}}}\n{carrier}{manifest}{{{{ end }}}}\n"))]);
    let expected =
        "14:15 unrestricted-users: User \"panda\" can impersonate any user, only if .Values.x (false by default)";
    assert_eq!(findings(&inventory), [expected]);
    assert_eq!(unread(&inventory), [""; 0]);
    // Rules in a custom resource, those of its branches, and lists that are filled in.
    let custom = |rules: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: Tenant\nmetadata: {{name: {{{{ .Release.Name }}}}}}\nspec:\n  allowed:\n{rules}"
        )
    };
    let text = custom(&indent(&RULE.replace("[users]", "[\"{{ .Values.r }}\"]")));
    let found = findings(&chart("r: users", &[("a.yaml", &text)]));
    assert!(found[0].starts_with("8:15 unbound-role"), "{found:?}");
    let text = text.replace("impersonate", "\"*\"").replace(".Values.r", "include \"r\" .");
    let inventory = chart("", &[("a.yaml", &text)]);
    assert!(unread(&inventory)[0].contains("`resources` of a rule"), "{text} {:?}", unread(&inventory));
    // What cannot be understood is said, the verb `*` too.
    for text in [
        format!("{carrier}    {{{{ .Values.x }}}}{}", indent(RULE)),
        "{{ define \"x\" }}\nresources: [users]\nverbs: [\"*\"]\n{{ end }}\n".to_owned(),
    ] {
        let inventory = chart("", &[("a.yaml", &text)]);
        assert!(!unread(&inventory).is_empty(), "{text}");
    }
}

/// What one branch of a condition in a scalar says has the place and the conditions of that branch.
#[test]
fn branches_in_a_scalar() {
    let verbs = "[{{ if .Values.safe }}get{{ else }}impersonate{{ end }}]";
    let text = role(&RULE.replace("[impersonate]", verbs));
    let found = findings(&chart("safe: false\n", &[("a.yaml", &text)]));
    let at = text.lines().nth(7).unwrap().find("impersonate").unwrap() + 1;
    assert!(found[0].starts_with(&format!("8:{at} ")), "{found:?}");
    assert!(found[0].ends_with("only if not .Values.safe (true by default)"), "{found:?}");
}

/// A value is taken for the default only if it is what Helm takes.
#[test]
fn values_as_helm_reads_them() {
    let text = role(&RULE.replace("[impersonate]", "[{{ .Values.verb | default \"impersonate\" }}]"));
    let is_said = |files: &[(&str, &str)]| {
        let mut all =
            vec![("Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n"), ("templates/a.yaml", text.as_str())];
        all.retain(|(name, _)| files.iter().all(|(own, _)| own != name));
        all.extend(files);
        let inventory = read(&all);
        !findings(&inventory).is_empty() || !unread(&inventory).is_empty()
    };
    assert!(!is_said(&[("values.yaml", "verb: get\n")]));
    for files in [
        &[("values.yaml", "verb: 0x0\n")][..],
        &[("values.yaml", "verb: 0_0\n")],
        &[("values.yaml", "verb: get\n"), (".helmignore", "values.yaml\n")],
        &[("values.yaml", "verb: get\n"), ("Chart.yaml", "name: c\ndependencies: [{name: d, import-values: [x]}]\n")],
        &[
            ("values.yaml", "verb: get\n"),
            ("templates/Chart.yaml", "# x\n"),
            ("templates/values.yaml", "# x\n"),
            ("values.yaml", "verb: impersonate\n"),
        ][1..],
    ] {
        assert!(is_said(files), "{files:?}");
    }
    // The values of a chart below are those of its name above; null takes nothing away in some versions.
    for (path, outer, inner) in [
        (".Values.sub.verb", "a: b\n", "verb: impersonate\n"),
        (".Values.sub.verb", "sub: {verb: null}\n", "verb: impersonate\n"),
        (".Values.true", "on: impersonate\n", ""),
    ] {
        let text = text.replace(".Values.verb | default \"impersonate\"", &format!("{path} | default \"get\""));
        let inner =
            [("values.yaml", outer), ("charts/sub/Chart.yaml", "name: sub\n"), ("charts/sub/values.yaml", inner)];
        let said = is_said(&[&inner[..], &[("templates/a.yaml", text.as_str())]].concat());
        assert!(said, "{path} {outer}");
    }
}

/// Where a chart lies must not matter, nor how its path is given.
#[test]
fn paths_that_are_relative() {
    let directory = tempfile::tempdir().unwrap();
    let templates = directory.path().join("chart/templates");
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(directory.path().join("chart/Chart.yaml"), "name: c\n").unwrap();
    let text = role(&RULE.replace("impersonate", "'{{ \"impersonate\" }}'")).replace("{{ include \"x\" . }}", "x");
    std::fs::write(templates.join("a.yaml"), text).unwrap();
    for (from, path) in
        [("", "."), ("", "chart"), ("chart", "templates"), ("chart/templates", "."), ("chart/templates", "a.yaml")]
    {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_deputize"))
            .args(["check", path])
            .current_dir(directory.path().join(from))
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&run.stdout);
        assert!(output.contains("lets its holders impersonate any user"), "{from} {path} {output}");
    }
}

/// What ytt's comments fill in is known as far as it is written.
#[test]
fn comments_of_ytt() {
    let text = role(RULE).replace("{{ include \"x\" . }}", "#@ name(\"x\")")
        + &binding("#@ name(\"x\")").replace("{{ .Release.Name }}", "a");
    let only = |rule: &str| findings(&load_bytes("a.yaml", text.replace("  verbs: [impersonate]\n", rule).as_bytes()));
    assert_eq!(only("  verbs: [impersonate]\n"), ["8:11 unrestricted-users: User \"panda\" can impersonate any user"]);
    let names = "  #@ if data.values.names:\n  resourceNames: [koala]\n  #@ end\n  verbs: [impersonate]\n";
    assert!(
        only(names)[0].ends_with("where names that limit it are there only if data.values.names"),
        "{:?}",
        only(names)
    );
    let inventory = load_bytes("a.yaml", text.replace("[impersonate]", "#@ data.values.verbs").as_bytes());
    assert!(unread(&inventory)[0].contains("filled in by (@ data.values.verbs @)"), "{:?}", unread(&inventory));
}

/// What a chart says for those in it counts there.
#[test]
fn values_of_parent_charts() {
    let sub = role(&RULE.replace("[impersonate]", "[{{ .Values.verb }}, \"{{ .Values.global.verb }}\"]"));
    let read_with = |outer: &str, chart: &str| {
        read(&[
            ("Chart.yaml", chart),
            ("values.yaml", outer),
            ("charts/sub/Chart.yaml", "name: sub\nversion: 1.0.0\n"),
            ("charts/sub/values.yaml", "verb: get\nglobal: {verb: get}\n"),
            ("charts/sub/templates/a.yaml", &sub),
        ])
    };
    assert_eq!(findings(&read_with("", "name: c\n")), [""; 0]);
    assert!(findings(&read_with("sub: {verb: impersonate}\n", "name: c\n"))[0].contains("unbound-role"));
    assert!(findings(&read_with("global: {verb: impersonate}\n", "name: c\n"))[0].contains("unbound-role"));
    let renamed = read_with(
        "other: {verb: impersonate}\n",
        "name: c\ndependencies: [{name: sub, version: 1.0.0, alias: other}]\n",
    );
    assert!(findings(&renamed)[0].contains("unbound-role"), "{:?}", findings(&renamed));
}

/// Which branch says what must not decide whether a grant is found.
#[test]
fn all_branches_are_combined() {
    let branches = |key: &str, a: &str, b: &str| {
        format!("  {{{{- if .Values.{key} }}}}\n  {key}: {a}\n  {{{{- else }}}}\n  {key}: {b}\n  {{{{- end }}}}\n")
    };
    let text = role("")
        + "- apiGroups: [\"\"]\n"
        + &branches("verbs", "[get]", "[impersonate]")
        + &branches("resources", "[users]", "[pods]")
        + &binding("{{ include \"x\" . }}")
            .replace("  name: {{ include \"x\" . }}\n", &branches("name", "{{ include \"x\" . }}", "harmless"))
            .replace(
                "kind: ClusterRoleBinding\n",
                branches("kind", "RoleBinding", "ClusterRoleBinding").replace("\n  ", "\n").trim_start(),
            );
    let inventory = chart("", &[("a.yaml", &text)]);
    let found = findings(&inventory);
    assert!(found.iter().any(|finding| finding.contains("unrestricted-users: User \"panda\"")), "{text}\n{found:#?}");
}

#[test]
fn hostile_templates_end() {
    let many = |text: &str, times: usize| text.repeat(times);
    for (what, text) in [
        ("nested", role(RULE) + &many("{{ if .x }}\n", 10_000) + &many("{{ end }}\n", 10_000)),
        ("one line", role("") + "- verbs: [" + &many("{{ .x }}, ", 100_000) + "impersonate]\n"),
        ("adjacent", role("") + "- verbs: [impersonate, x" + &many("{{ .x }}", 100_000) + "]\n"),
        ("words on a line", role(RULE) + "x: {{ .x }} [" + &many("impersonate, ", 50_000) + "]\n"),
        (
            "chain",
            role("") + "{{ if .a }}\n" + &many("{{ else if .b }}\n- verbs: [impersonate]\n", 10_000) + "{{ end }}\n",
        ),
        ("same key", role("- verbs: [impersonate]\n") + &many("  {{ if .x }}\n  verbs: [get]\n  {{ end }}\n", 10_000)),
        ("same kind", many("{{ if .x }}\nkind: Role\n{{ end }}\n", 5_000) + &role(RULE)),
        ("few keys", many("{{ if .x }}\nkind: Role\nmetadata: {}\n{{ end }}\n", 20) + &role(RULE)),
        (
            "many choices",
            role(RULE)
                + &binding("{{ include \"x\" . }}")
                + &many("- kind: User\n  name: a{{ if .x }}b{{ end }}c\n", 5_000),
        ),
        ("holes", role(RULE) + &many("  {{ toYaml .x }}\n", 50_000)),
        (
            "variables",
            many("{{ $x := .Values.a }}\n", 20_000)
                + &role(&many("{{ if $x }}\n- verbs: [impersonate]\n{{ end }}\n", 5_000)),
        ),
        ("unclosed", role(RULE) + &many("{{ \"", 100_000)),
        ("comments", role(RULE) + &many("# {{ f }} ", 50_000)),
        ("lists", role(&many("- verbs: {{ .Values.long | toJson }}\n", 20_000))),
        ("parens", role("- verbs: [") + "{{ " + &many("(", 100_000) + " }}]\n"),
        ("braces", role(RULE) + &many("${", 100_000)),
        (
            "code",
            many("{{ $a = $b }}{{ $b = $a }}{{ $_ := set $a $k 1 }}\n", 20_000)
                + &role("- verbs: [{{ .Values.long }}]\n"),
        ),
        ("anchors", role(RULE) + "x:\n" + &many("  {{ if .a }}\n  - &a [*a]\n  {{ end }}\n  - &b b\n", 10_000)),
        (
            "rules",
            role(&many(
                "- apiGroups: ['']\n  {{ if .a }}\n  resources: [users]\n  verbs: [get]\n  {{ else }}\n  verbs: [impersonate]\n  {{ end }}\n",
                5_000,
            )),
        ),
        (
            "items",
            role("- apiGroups: ['']\n")
                + "  resources:\n"
                + &many("  {{ if .a }}\n  - users\n  {{ end }}\n", 5_000)
                + "  verbs:\n"
                + &many("  {{ if .a }}\n  - impersonate\n  {{ end }}\n", 5_000),
        ),
        (
            "conditions",
            role("- apiGroups: ['']\n")
                + "  resources:\n"
                + &(0..500)
                    .map(|at| format!("  {{{{ if .Values.a{at} }}}}\n  - users\n  {{{{ end }}}}\n"))
                    .collect::<String>()
                + "  verbs:\n"
                + &(0..500)
                    .map(|at| format!("  {{{{ if .Values.a{at} }}}}\n  - impersonate\n  {{{{ end }}}}\n"))
                    .collect::<String>(),
        ),
        (
            "blocks",
            (0..5_000)
                .map(|at| {
                    format!(
                        "{{{{ define \"b{at}\" }}}}{{{{ print .x }}}}\n{{{{ include \"b{}\" . }}}}{{{{ end }}}}\n",
                        at + 1
                    )
                })
                .collect::<String>()
                + "{{ include \"b0\" . }}\n",
        ),
        ("joined", many("a{{ \"\" -}}\n", 50_000) + "b: c\n{{ print .x }}\n"),
        ("values", many("{{ range .Values.long }}{{ . }}{{ end }}\n", 5_000) + "{{ print .x }}\n"),
        (
            "chain of variables",
            (0..20_000).map(|at| format!("{{{{ $a{at} := $a{} }}}}\n", at + 1)).collect::<String>()
                + "{{ $a0 }}\n{{ toYaml $a0 }}\n{{ print .x }}\n",
        ),
        (
            "own mappings",
            many("{{ $a = dict }}\n", 20_000) + &many("{{ $_ := set $a .k 1 }}\n", 20_000) + "{{ print .x }}\n",
        ),
        ("code in values", many("{{ tpl .Values.code . }}\n", 5_000)),
        (
            "deep",
            (0..2_000).map(|at| format!("{}a:\n", " ".repeat(at))).collect::<String>()
                + &many("{{ .x }}\n", 4_000)
                + "{{ print .x }}\n",
        ),
        (
            "put",
            many("{{ $_ := set $a .x $b }}{{ $_ := set $b .x $a }}\n", 10_000)
                + &many("{{ $a }}\n", 4_000)
                + "{{ print .x }}\n",
        ),
    ] {
        let code = "code: '{{ .Values.code }}{{ .Values.more }}'\nmore: '{{ .Values.code }}{{ .Values.more }}'\n";
        let long = format!("long: [{}]\n{code}", many("abc, ", 1_000));
        let inventory = chart(&long, &[("a.yaml", &text)]);
        let found = findings(&inventory);
        let found = found.iter().any(|finding| finding.contains("users") || finding.contains("impersonate"));
        let is_grant = text.contains("impersonate");
        assert!(!is_grant || found || !inventory.coverage.unread.is_empty(), "{what}");
    }
}

#[test]
fn a_manifest_stays_a_manifest() {
    let text = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: \"{{ x }}\"}\nrules: [{verbs: [impersonate], apiGroups: [''], resources: [users]}]\n";
    let inventory = load_bytes("a.yaml", text.as_bytes());
    assert!(inventory.roles[0].meta.template.is_none());
    // Not beside a template, where all is filled in, and not where Helm renders it.
    let inventory = load_bytes("a.yaml", format!("a: {{{{ .x }}}}\n---\n{text}").as_bytes());
    assert!(inventory.roles[0].meta.template.is_some());
    let inventory = chart("x: panda\n", &[("a.yaml", &text.replace("{{ x }}", "{{ .Values.x }}"))]);
    assert_eq!(inventory.roles[0].meta.name.as_str(), "panda");
    // Marks hide nothing that parses without them.
    for comment in ["#@ x", "# {{ x"] {
        let text = text.replace("[impersonate]", &format!("[impersonate] {comment}\n  "));
        assert_eq!(findings(&load_bytes("a.yaml", text.as_bytes())).len(), 1, "{comment}");
    }
    let inventory = load_bytes("a.yaml", format!("{{{{ if .x }}}}\n---\n{text}{{{{ end }}}}\n").as_bytes());
    assert!(findings(&inventory)[0].ends_with("only if .x"), "{:?}", findings(&inventory));
}

/// A role and its binding in a chart with these values and more templates; what is found, and what is listed.
fn with(values: &str, rules: &str, more: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let text = format!("{}{}", role(rules), binding("{{ include \"x\" . }}"));
    let templates: Vec<_> = [("a.yaml", text.as_str())].into_iter().chain(more.iter().copied()).collect();
    let inventory = chart(values, &templates);
    (findings(&inventory), unread(&inventory))
}

#[test]
fn lists_of_different_branches_make_no_rule() {
    let rules = "- apiGroups: [\"\"]\n  {{- if .Values.a }}\n  resources: [pods]\n  verbs: [\"*\"]\n  {{- else }}\n  \
                 resources: [\"*\"]\n  verbs: [get]\n  {{- end }}\n";
    assert_eq!(with("", rules, &[]), (vec![], vec![]));
    let items = "- apiGroups: [\"\"]\n  resources:\n  - pods\n  {{- if .Values.a }}\n  - users\n  {{- end }}\n  verbs:\n  - get\n  \
                 {{- if not .Values.a }}\n  - impersonate\n  {{- end }}\n";
    let found = with("", items, &[]).0;
    // One value decides both, however that is spelled.
    assert!(found.iter().all(|it| it.contains("no-such-resource")), "{found:?}");
    let items = items.replace("{{- if not .Values.a }}", "{{- if .Values.a }}{{- else }}");
    assert!(with("", &items, &[]).0.iter().all(|it| it.contains("no-such-resource")));
    let both = rules.replace("[get]", "[impersonate]");
    let found = with("", &both, &[]).0;
    assert!(found.len() == 1 && found[0].starts_with("12:11 wildcard-resource"), "{found:?}");
    // Names that limit a verb are there where it is.
    let names = "- apiGroups: [\"\"]\n  resources: [users]\n  {{- if .Values.a }}\n  verbs: [impersonate]\n  resourceNames: [x]\n  \
                 {{- end }}\n";
    let found = with("a: false\n", names, &[]).0;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("named-identities") && found[0].contains("(false by default)"), "{found:?}");
}

#[test]
fn overlays_of_ytt_are_listed() {
    let overlay = "#@ load(\"@ytt:overlay\", \"overlay\")\n#@overlay/match by=overlay.all, expects=\"1+\"\n---\nrules:\n\
                   #@overlay/match by=overlay.index(0)\n- resources:\n  #@overlay/append\n  - users\n";
    let inventory = read(&[("o.yaml", overlay)]);
    assert_eq!(unread(&inventory), ["4 an overlay changes a part of RBAC objects"]);
    assert_eq!(unread(&read(&[("o.yaml", &overlay.replace("rules", "spec"))])), [""; 0]);
    let split =
        "apiVersion: rbac.authorization.k8s.io/v1\n#@yaml/text-templated-strings\n\"ki(@= 'n' @)d\": ClusterRole\n";
    assert_eq!(unread(&read(&[("o.yaml", split)])), ["3 a key is filled in"]);
}

#[test]
fn comments_of_manifests_may_end() {
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\nrules: []\n";
    let lists = |comment: &str| unread(&read(&[("a.yaml", &format!("{role}{comment}\n"))]));
    let said = ["5 what is written into a comment may be more than a comment"];
    for comment in ["#{{ \"\\n\" }}- {verbs: [impersonate]}", "# {% if a %}{{ b | c }}", "#${A:-b}", "# <%= a() %>"] {
        assert_eq!(lists(comment), said, "{comment}");
    }
    for comment in ["# {{ .Name }}", "# plain", "# {}"] {
        assert_eq!(lists(comment), [""; 0], "{comment}");
    }
}

#[test]
fn conditions_are_the_same_only_if_all_their_branches_are() {
    let rules = |first: &str, second: &str| {
        format!(
            "- apiGroups: [\"\"]\n  {{{{- if .Values.a }}}}\n  resources: [pods]\n  {{{{- {first} }}}}\n  resources: [users]\n  {{{{- end }}}}\n\
             \x20 {{{{- if .Values.a }}}}\n  verbs: [get]\n  {{{{- {second} }}}}\n  verbs: [impersonate]\n  {{{{- end }}}}\n"
        )
    };
    let reaches = |first: &str, second: &str| {
        with("", &rules(first, second), &[]).0.iter().any(|it| it.contains("can impersonate any user"))
    };
    assert!(reaches("else", "else"));
    // The user is impersonated if neither holds, and if the second does.
    let other = "else if .Values.b";
    assert!(reaches("else", &format!("{other} }}}}\n  verbs: [list]\n  {{{{- else")));
    assert!(reaches("else", other));
    // What only looks like a value.
    let quoted = rules("else", "else").replace("if .Values.a }}\n  verbs", "if .Values.a|quote }}\n  verbs");
    let swapped = quoted.replace("[get]", "[impersonate]");
    assert!(with("", &swapped, &[]).0.iter().any(|it| it.contains("can impersonate any user")));
}

#[test]
fn lines_end_where_helm_sees_them_end() {
    for end in ["\u{85}", "\u{2028}", "\u{2029}"] {
        let rules = format!("- apiGroups: [\"\"]\n  resources: [users]\n  # a{end}  verbs: [impersonate]\n");
        // What has no directives is a manifest that readers read differently: the grant is found, and that is said.
        let manifest = format!("{HEAD}{rules}");
        let inventory = read_with_problems(&[
            ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n"),
            ("templates/a.yaml", &manifest),
        ]);
        assert!(findings(&inventory)[0].contains("impersonate any user"), "{:?}", findings(&inventory));
        assert!(unread(&inventory)[0].contains("readers may read"), "{:?}", unread(&inventory));
        let rules = "- apiGroups: [\"\"]\n  resources: [users]\n  verbs: [{{ .Values.verb }}]\n";
        let (values, text) = (format!("a: b # c{end}verb: impersonate\n"), format!("{HEAD}{rules}"));
        let chart = [
            ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n"),
            ("values.yaml", &*values),
            ("templates/a.yaml", &*text),
        ];
        let inventory = read_with_problems(&chart);
        assert!(findings(&inventory)[0].contains("impersonate any user"), "{:?}", findings(&inventory));
    }
}

/// A role in a block that stands where it is called is one where others call it.
#[test]
fn blocks_that_are_called_in_place_are_read_where_nothing_else_is() {
    let block = format!("{{{{ block \"r\" . }}}}\n{}{{{{ end }}}}\n", role(RULE));
    let call = "{{ include \"r\" . }}\n".to_owned() + &binding("{{ include \"x\" . }}");
    for name in ["_b.tpl", "NOTES.txt", "b.yaml"] {
        let inventory = chart("", &[(name, &block), ("a.yaml", &call)]);
        assert_eq!(findings(&inventory).len(), 1, "{name}");
    }
}

/// What is written on lines of its own behind a key belongs to the key, and more may follow.
#[test]
fn lines_behind_a_key_are_a_part_of_it() {
    let head = HEAD.replace("rules:", "  labels: {{- include \"l\" . | nindent 4 }}\n    a: b\nrules:");
    let text = head + RULE + &binding("{{ include \"x\" . }}");
    let inventory = chart("", &[("a.yaml", &text)]);
    assert_eq!(findings(&inventory).len(), 1);
    assert_eq!(unread(&inventory), [""; 0]);
}

#[test]
fn documents_of_other_languages_may_be_filled_in() {
    for (name, text, listed) in [
        ("a.yaml", "{{ x }}\n", true),
        ("a.yaml", "${X}\n", true),
        ("a.yaml", "a: b\n${X}: c\n", true),
        ("a.yaml", "kind: Service\n${X}: c\n", false),
        ("a.yaml", "a: ${X}\n", false),
        ("a.yaml.j2", "{{ x | b64decode }}\n", true),
        ("a.yaml.j2", "{% include 'x' %}\n", true),
        ("a.yaml.j2", "{% if a %}\n{{ b }}\n{% endif %}\n", true),
        ("a.yaml.j2", "{%- include 'x' %}\n", true),
        ("a.yaml.j2", "--- {{ x }}\n", true),
        ("a.yaml.j2", "  {{ x }}\n", true),
        ("a.yaml.j2", "{% if a %}{{ b }}{% endif %}\n", true),
        ("a.yaml", "--- ${X}\n", true),
        ("a.yaml.j2", "a: {{ x }}\n", false),
        ("a.yaml.j2", "a:\n  {{ x }}\n", false),
        ("a.yaml.erb", "<%= x %>\n", true),
        (
            "a.yaml",
            "#@ load(\"@ytt:overlay\", \"overlay\")\n#@overlay/match by=overlay.all\n#@overlay/replace via=lambda l, r: x(l)\n---\n",
            true,
        ),
        (
            "a.yaml",
            "#@overlay/match by=overlay.all\n---\nspec:\n  #@overlay/replace via=lambda l, r: x(l)\n  a: b\n",
            false,
        ),
    ] {
        let inventory = read_with_problems(&[(name, text)]);
        // kubectl refuses what follows a separator on its line.
        let refused = if text == "--- ${X}\n" { vec![ProblemKind::Ambiguous] } else { Vec::new() };
        assert_eq!(kinds_of_problems(&inventory), refused, "{text}");
        assert_eq!(!unread(&inventory).is_empty(), listed, "{text}{:?}", unread(&inventory));
    }
}
