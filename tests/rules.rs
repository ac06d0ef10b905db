//! Invariants of the catalogue, and the examples of the rules' pages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use deputize::authority::KubeVersion;
use deputize::config;
use deputize::grants::Grants;
use deputize::inventory::load_bytes;
use deputize::lint::{Finding, Fix, Rule, Selection, Severity, catalogue, check};
use deputize::triage::{Options, triage};

fn findings(yaml: &str) -> Vec<Finding> {
    findings_on(KubeVersion::NEWEST, yaml)
}

fn findings_on(version: KubeVersion, yaml: &str) -> Vec<Finding> {
    let inventory = load_bytes("example.yaml", yaml.as_bytes());
    assert_eq!(inventory.problems, [], "{yaml}");
    assert_ne!(inventory.coverage.objects, 0, "{yaml}");
    check(&Grants::new(&inventory).on_version(version), &Selection::default())
}

/// The findings that are reported for the example under a heading of a rule's page, with the configuration that the page
/// shows there, if it does.
fn reported(rule: &dyn Rule, heading: &str, version: KubeVersion) -> Vec<Finding> {
    let inventory = load_bytes("example.yaml", example(rule, heading).as_bytes());
    assert_eq!(inventory.problems, [], "{}", rule.id());
    assert_ne!(inventory.coverage.objects, 0, "{}", rule.id());
    let section = rule.page().section(heading).unwrap();
    let toml = section.split("```toml\n").nth(1).map_or("", |block| block.split("```").next().unwrap());
    let config = config::read(toml, &"deputize.toml".into(), "/".into()).unwrap();
    let selection = Selection::default();
    let findings = check(&Grants::new(&inventory).on_version(version), &selection);
    let today = "2026-12-01".parse().unwrap();
    let options = Options {
        config: &config,
        selection: &selection,
        today,
        suppressions: true,
        baseline: None,
        partial: None,
        whole: true,
        base: None,
    };
    triage(&inventory, findings, &options).reported
}

/// The one example under a heading of a rule's page.
fn example(rule: &dyn Rule, heading: &str) -> &'static str {
    let section = rule.page().section(heading).unwrap_or_else(|| panic!("{}: no {heading}", rule.id()));
    let mut blocks = section.split("```yaml\n").skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("{}: no example in {heading}", rule.id()));
    assert_eq!(blocks.next(), None, "{}: more than one example in {heading}", rule.id());
    block.split("```").next().unwrap()
}

/// A version that the rule is about.
fn version_of(rule: &dyn Rule) -> KubeVersion {
    rule.versions().until.unwrap_or(KubeVersion::NEWEST)
}

#[test]
fn every_bad_example_is_found() {
    for rule in catalogue() {
        let found = reported(*rule, "Bad", version_of(*rule));
        let own: Vec<&Finding> = found.iter().filter(|finding| finding.rule == rule.id()).collect();
        assert!(!own.is_empty(), "{}: its bad example is not found, but {found:#?}", rule.id());
        for finding in own {
            assert!(rule.severities().contains(&finding.severity), "{}: {:?}", rule.id(), finding.severity);
        }
    }
}

#[test]
fn no_good_example_is_found() {
    for rule in catalogue() {
        let found = reported(*rule, "Good", version_of(*rule));
        let bad: Vec<&Finding> =
            found.iter().filter(|finding| finding.rule == rule.id() || finding.severity > Severity::Note).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", rule.id());
    }
}

/// A rule finds nothing on the versions that it says it is not about.
#[test]
fn no_bad_example_is_found_on_other_versions() {
    let next = |version: KubeVersion, by: i64| KubeVersion {
        minor: u32::try_from(i64::from(version.minor) + by).unwrap(),
        ..version
    };
    for rule in catalogue() {
        let versions = rule.versions();
        let others = versions.since.map(|since| next(since, -1)).into_iter();
        for version in others.chain(versions.until.map(|until| next(until, 1))) {
            let found = reported(*rule, "Bad", version);
            assert!(found.iter().all(|finding| finding.rule != rule.id()), "{} on {version}", rule.id());
        }
    }
}

#[test]
fn every_rule_has_one_page_with_all_parts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut ids = BTreeSet::new();
    for rule in catalogue() {
        let id = rule.id();
        assert!(ids.insert(format!("{id}.md")), "{id} twice");
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{id}");
        let page = rule.page();
        assert!(page.text().starts_with(&format!("# {id}\n\n")), "{id}");
        assert_eq!(page.text(), std::fs::read_to_string(root.join(format!("rules/{id}.md"))).unwrap(), "{id}");
        let summary = page.summary();
        assert!(!summary.is_empty() && summary.chars().count() <= 100, "{id}: {summary}");
        let order: Vec<&str> = page.text().lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(order, ["Why", "Bad", "Good", "What to do", "Sources"], "{id}");
        for heading in order {
            assert!(!page.section(heading).unwrap().is_empty(), "{id}: {heading}");
        }
        // What is fixed is documented where the rule is.
        let fixes = page.section("What to do").unwrap().contains("check --fix");
        assert_eq!(fixes, rule.fix() != Fix::None, "{id}");
        assert!(!rule.severities().is_empty(), "{id}");
        let mut sorted = rule.severities().to_vec();
        sorted.sort_by(|a, b| b.cmp(a));
        assert_eq!(rule.severities(), sorted, "{id}: gravest first");
    }
    let pages: BTreeSet<String> = std::fs::read_dir(root.join("rules"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(ids, pages);
}

#[test]
fn a_fingerprint_outlives_unrelated_lines_and_no_new_subject() {
    let text = example(catalogue()[0], "Bad");
    let before = findings(text);
    let moved = findings(&format!("# one line more\n---\n{text}"));
    let prints = |findings: &[Finding]| findings.iter().map(|f| f.fingerprint.clone()).collect::<Vec<_>>();
    assert_eq!(prints(&before), prints(&moved));
    assert_ne!(before[0].place, moved[0].place);
    let widened = text.replacen("subjects:\n", "subjects:\n- {kind: Group, name: newcomers}\n", 1);
    assert_ne!(widened, text);
    assert_ne!(prints(&before), prints(&findings(&widened)));
}

/// The table in `docs/rules.md` is made from the catalogue. `UPDATE=1` writes it anew.
#[test]
fn the_table_in_the_docs_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once("do not edit -->\n").unwrap();
    let (_, tail) = rest.split_once("<!-- end -->").unwrap();
    let mut table = String::from("| rule | severity | Kubernetes | fix | finds |\n| --- | --- | --- | --- | --- |\n");
    for rule in catalogue() {
        let severities: Vec<&str> = rule.severities().iter().map(|severity| severity.as_str()).collect();
        let (id, summary) = (rule.id(), rule.page().summary());
        let (severities, versions, fix) = (severities.join(", "), rule.versions(), rule.fix().as_str());
        table += &format!("| [{id}](../rules/{id}.md) | {severities} | {versions} | {fix} | {summary} |\n");
    }
    let expected = format!("{head}do not edit -->\n{table}<!-- end -->{tail}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert!(text == expected || std::env::var_os("UPDATE").is_some(), "UPDATE=1 cargo test --test rules");
}

/// A rule of a ClusterRole, held by a subject through a ClusterRoleBinding, or a RoleBinding in a namespace.
fn held(name: &str, rules: &str, subject: &str, namespace: Option<&str>) -> String {
    let role = format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules: [{rules}]\n"
    );
    role + &bound(name, subject, namespace)
}

fn bound(role: &str, subject: &str, namespace: Option<&str>) -> String {
    let (kind, namespace) = match namespace {
        Some(namespace) => ("RoleBinding", format!(", namespace: {namespace}")),
        None => ("ClusterRoleBinding", String::new()),
    };
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {role}{namespace}}}\nroleRef: {{apiGroup: \
         rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\nsubjects: [{{{subject}}}]\n"
    )
}

fn ids(yaml: &str) -> BTreeSet<&'static str> {
    findings(yaml).iter().map(|finding| finding.rule).collect()
}

const DEPUTY: &str = "kind: ServiceAccount, namespace: apps, name: deputy";
const WHOM: &str = "{apiGroups: [authentication.k8s.io], resources: [users], verbs: ['impersonate:user-info']}";
const WHAT: &str = "{apiGroups: [''], resources: [pods], verbs: ['impersonate-on:user-info:get']}";

#[test]
fn halves_are_paired_through_groups() {
    let whom = |subject| held("whom", WHOM, subject, None);
    let what = |subject| held("what", WHAT, subject, None);
    let half = ["identity-without-action", "action-without-identity"];
    let missing = |yaml: String| half.map(|id| ids(&yaml).contains(id));
    assert_eq!(missing(whom(DEPUTY) + &what(DEPUTY)), [false, false]);
    assert_eq!(missing(whom(DEPUTY) + &what("kind: Group, name: 'system:serviceaccounts:apps'")), [false, false]);
    // Members of both groups may have both halves; a service account is in neither.
    assert_eq!(missing(whom("kind: Group, name: a") + &what("kind: Group, name: b")), [false, false]);
    assert_eq!(missing(whom(DEPUTY) + &what("kind: Group, name: b")), [true, true]);
    // Nobody holds it, which is another matter.
    let unbound = whom(DEPUTY).replace("kind: ClusterRoleBinding", "kind: Other");
    assert_eq!(missing(unbound), [false, false]);
}

#[test]
fn legacy_beside_constrained_grants_is_seen_wherever_it_is_held() {
    let account = "{apiGroups: [authentication.k8s.io], resources: [serviceaccounts], resourceNames: [a], verbs: ['impersonate:serviceaccount']}";
    let constrained = held("new", &format!("{WHOM}, {account}"), DEPUTY, None);
    let half = |legacy: &str| ids(&(constrained.clone() + legacy)).contains("half-migrated");
    let everyone = "kind: Group, name: 'system:authenticated'";
    let legacy = |resource: &str, names: &str| {
        format!("{{apiGroups: [''], resources: [{resource}], resourceNames: [{names}], verbs: [impersonate]}}")
    };
    assert!(!half(""));
    assert!(half(&held("old", &legacy("users", ""), everyone, None)));
    assert!(half(&held("old", "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}", DEPUTY, None)));
    assert!(half(&bound("edit", DEPUTY, Some("apps"))));
    assert!(half(&held("old", &legacy("serviceaccounts", "b, a"), DEPUTY, Some("apps"))));
    assert!(!half(&held("old", &legacy("serviceaccounts", "b"), DEPUTY, None)));
    // These users are nodes, for whom there are modes of their own.
    assert!(!half(&held("old", &legacy("users", "'system:node:n1'"), DEPUTY, None)));
    assert!(!half(&held("old", &legacy("groups", ""), DEPUTY, None)));
}

#[test]
fn a_service_account_is_looked_for_in_its_own_namespace() {
    let of = |name: &str, namespace: &str| {
        let rule = format!(
            "{{apiGroups: [authentication.k8s.io], resources: [serviceaccounts], resourceNames: [{name}], verbs: ['impersonate:serviceaccount']}}"
        );
        let app = format!("kind: ServiceAccount, namespace: production, name: {name}");
        ids(&(held("whom", &rule, DEPUTY, Some(namespace)) + &bound("view", &app, None))).contains("wrong-namespace")
    };
    assert!(of("app", "staging"));
    assert!(!of("app", "production"));
    // Every namespace has one.
    assert!(!of("default", "staging"));
}

#[test]
fn an_old_server_needs_legacy() {
    let constrained = held("new", &format!("{WHOM}, {WHAT}"), DEPUTY, None);
    let legacy = held("old", "{apiGroups: [''], resources: [users], verbs: [impersonate]}", DEPUTY, None);
    let severity = |yaml: &str, minor| {
        let found = findings_on(KubeVersion { major: 1, minor }, yaml);
        let of_rule = |finding: &&Finding| finding.rule == "ignored-by-server";
        found.iter().find(of_rule).map(|finding| finding.severity)
    };
    assert_eq!(severity(&constrained, 35), Some(Severity::Warning));
    assert_eq!(severity(&(constrained.clone() + &legacy), 35), Some(Severity::Note));
    assert_eq!(severity(&constrained, 36), None);
}

#[test]
fn default_roles_are_known_where_the_input_lacks_them() {
    let messages = |yaml: &str| -> Vec<String> {
        findings(yaml)
            .into_iter()
            .filter(|finding| finding.rule == "default-role")
            .map(|finding| finding.message)
            .collect()
    };
    let devs = "kind: Group, name: devs";
    for (role, namespace, whom) in [
        ("edit", Some("apps"), "any service account in namespace \"apps\""),
        ("admin", None, "any service account"),
        ("system:aggregate-to-edit", None, "any service account"),
        ("cluster-admin", Some("apps"), "any service account in namespace \"apps\""),
    ] {
        let expected = format!("the default role `{role}` lets Group \"devs\" impersonate {whom}");
        assert_eq!(messages(&bound(role, devs, namespace)), [expected]);
    }
    assert!(messages(&bound("cluster-admin", devs, None))[0].contains("any user, any group"));
    assert!(messages(&bound("view", devs, None)).is_empty());
    // Nobody holds it.
    assert!(messages(&bound("edit", "kind: ServiceAccount, name: a", None)).is_empty());
    // What is written in the input counts, whatever the name.
    let own = held("edit", "{apiGroups: [''], resources: [pods], verbs: [get]}", devs, None);
    assert!(messages(&own).is_empty());
    // A Role of that name is none of the cluster's.
    assert!(messages(&bound("edit", devs, Some("apps")).replace("kind: ClusterRole,", "kind: Role,")).is_empty());
}

#[test]
fn ways_to_cluster_admin_are_printed_where_a_grant_opens_them() {
    let be = |kind: &str, names: &str, subject: &str, namespace| {
        let rule = format!("{{apiGroups: [''], resources: [{kind}], resourceNames: [{names}], verbs: [impersonate]}}");
        held(&format!("be-{kind}"), &rule, subject, namespace)
    };
    let ways = |yaml: &str| -> Vec<String> {
        let of = |finding: &Finding| finding.related.iter().map(|related| related.message.clone()).collect::<Vec<_>>();
        let way = |message: &String| message.starts_with("cluster-admin is in reach: ");
        findings(yaml).iter().flat_map(of).filter(way).map(|message| message.replace('"', "'")).collect()
    };
    let root = bound("cluster-admin", "kind: User, name: root", None);
    let given = "whom ClusterRoleBinding 'cluster-admin' gives everything";
    assert_eq!(
        ways(&(root.clone() + &be("users", "nobody, root", DEPUTY, None))),
        [format!("cluster-admin is in reach: ServiceAccount 'apps/deputy' impersonates User 'root', {given}")]
    );
    assert!(ways(&(root.clone() + &be("users", "nobody", DEPUTY, None))).is_empty());
    // Whoever is there already needs no way.
    assert!(ways(&(root.clone() + &be("users", "root", "kind: User, name: root", None))).is_empty());
    // A group is never impersonated alone.
    assert!(ways(&be("groups", "'system:masters'", DEPUTY, None)).is_empty());
    let with_user = be("groups", "'system:masters'", DEPUTY, None) + &be("users", "nobody", DEPUTY, None);
    assert_eq!(ways(&with_user).len(), 1);
    // The server impersonates once a request; as the deputy one takes its credentials, and goes on from there.
    let devs = be("serviceaccounts", "deputy", "kind: Group, name: devs", Some("apps"));
    let token = "{apiGroups: [''], resources: [serviceaccounts/token], resourceNames: [deputy], verbs: [create]}";
    let chain = root + &be("users", "root", DEPUTY, None) + &devs;
    assert_eq!(ways(&chain).len(), 1);
    let way = "cluster-admin is in reach: Group 'devs' impersonates ServiceAccount 'apps/deputy', then creates a token for \
               ServiceAccount 'apps/deputy', then impersonates User 'root', ";
    let token = held("token", token, DEPUTY, Some("apps"));
    assert!(ways(&(chain + &token)).contains(&format!("{way}{given}")));
}
