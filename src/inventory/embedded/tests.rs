use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::{Inventory, Links, RoleId, RoleRules, load_bytes};
use super::*;
use crate::problem::ProblemKind;

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n\
                    rules: [{verbs: [impersonate], apiGroups: [\"\"], resources: [users]}]\n";
const RULES: &str = "[{verbs: [impersonate], apiGroups: [\"\"], resources: [users]}]";

fn read(text: &str) -> Inventory {
    let inventory = load_bytes("t.yaml", text.as_bytes());
    assert_eq!(inventory.problems, [], "{text}");
    inventory
}

/// The bytes at the place of the one verb.
fn verb(text: &str) -> String {
    let inventory = read(text);
    let verbs: Vec<_> = inventory.roles.iter().flat_map(|role| &role.rules).flat_map(|rule| &rule.verbs).collect();
    assert_eq!(verbs.len(), 1, "{text}");
    assert_eq!(verbs[0].as_str(), "impersonate");
    text[verbs[0].place.offset as usize..verbs[0].place.end() as usize].to_owned()
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "    {line}");
        all
    })
}

fn config_map(text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  a: |\n{}", indented(text))
}

#[test]
fn verbs_keep_their_own_bytes_however_deep_they_stand() {
    let json = serde_json::to_string(ROLE).unwrap();
    let in_json = format!("{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"data\": {{\"a\": {json}}}}}");
    for text in [
        config_map(ROLE),
        config_map(&config_map(ROLE)),
        config_map(&in_json),
        in_json,
        format!("apiVersion: example.com/v1\nkind: X\nspec:\n- {{a: {{b: {RULES}}}}}\n"),
        format!("apiVersion: example.com/v1\nkind: X\nspec: &s\n  rules: &r\n  - &x {}\n", &RULES[1..RULES.len() - 1]),
    ] {
        assert_eq!(verb(&text), "impersonate", "{text}");
    }
}

#[test]
fn nothing_hides_a_verb() {
    let object = "apiVersion: example.com/v1\nkind: X\nmetadata: {name: x}\n";
    for rules in [
        RULES.replace("impersonate", "\"\\u0069mpersonate\""),
        RULES.replace("impersonate", "!!binary aW1wZXJzb25hdGU="),
        RULES.replace("impersonate", "*v"),
        RULES.replace("[impersonate]", "[get], verbs: [impersonate]"),
        RULES.replace("[impersonate]", "[impersonate, ~]"),
        RULES.replace("{verbs", "{<<: *m, verbs"),
    ] {
        let text = format!("{object}anchors: {{v: &v impersonate, m: &m {{x: z}}}}\nspec: {{rules: {rules}}}\n");
        let inventory = load_bytes("t.yaml", text.as_bytes());
        let found = inventory.roles.iter().flat_map(|role| &role.rules).flat_map(|rule| &rule.verbs);
        assert_eq!(found.filter(|verb| verb.as_str() == "impersonate").count(), 1, "{text}");
    }
    // An alias is read where it stands: there the carrier may say who holds it.
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: example.com/v1, kind: X, spec: &s {{install: {{spec: \
         {{clusterPermissions: [{{serviceAccountName: s, rules: {RULES}}}]}}}}}}}}\n\
         - {{apiVersion: operators.coreos.com/v1alpha1, kind: ClusterServiceVersion, metadata: {{name: c}}, spec: *s}}\n"
    );
    let inventory = read(&text);
    assert_eq!((inventory.roles.len(), inventory.bindings.len()), (2, 1));
    // Metadata is not looked at, but what stands there may be meant elsewhere.
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  annotations:\n    a: &t |\n{}data: {{a: *t}}\n",
        indented(&indented(ROLE))
    );
    assert_eq!(verb(&text), "impersonate");
}

#[test]
fn encoded_data_is_read() {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(ROLE);
    for text in [
        format!("apiVersion: v1\nkind: Secret\ndata: {{a: {encoded}}}\n"),
        format!("apiVersion: v1\nkind: SecretList\nitems: [{{data: {{a: {encoded}}}}}]\n"),
        format!(
            "apiVersion: v1\nkind: ConfigMap\nbinaryData:\n  a: |\n    {}\n    {}\n",
            &encoded[..30],
            &encoded[30..]
        ),
    ] {
        let inventory = read(&text);
        assert_eq!(inventory.roles.len(), 1, "{text}");
        let place = inventory.roles[0].rules[0].verbs[0].place;
        let found: String = text[place.offset as usize..place.end() as usize].split_whitespace().collect();
        assert_eq!(found, encoded);
    }
    // Only there is it what the API server would decode.
    assert!(read(&format!("apiVersion: v1\nkind: Secret\nstringData: {{a: {encoded}}}\n")).roles.is_empty());
}

#[test]
fn what_only_looks_like_a_rule_is_none() {
    for (kind, body) in [
        ("flowcontrol.apiserver.k8s.io/v1, kind: FlowSchema", format!("spec: {{rules: [{{resourceRules: {RULES}}}]}}")),
        ("apiextensions.k8s.io/v1, kind: CustomResourceDefinition", format!("spec: {{default: {{rules: {RULES}}}}}")),
        ("example.com/v1, kind: X", format!("status: {{rules: {RULES}}}")),
        ("example.com/v1, kind: X", "spec: [{verbs: [impersonate], resources: [users]}]".to_owned()),
        ("example.com/v1, kind: X", "spec: [{verbs: [{a: b}], apiGroups: [a], resources: [users]}]".to_owned()),
        // What kubectl keeps of the object itself.
        (
            "v1, kind: ConfigMap",
            format!("metadata: {{annotations: {{last: {}}}}}", serde_json::to_string(ROLE).unwrap()),
        ),
        // The type of an object that a policy makes.
        (
            "example.com/v1, kind: X",
            format!("spec: {{apiVersion: {}, kind: ClusterRole, name: a}}", crate::inventory::API_VERSION),
        ),
    ] {
        let text = format!("{{apiVersion: {kind}, {body}}}\n");
        assert_eq!(read(&text).coverage.embedded, 0, "{text}");
    }
    // Without a type, it is no object.
    let inventory = read(&format!("spec: {{rules: {RULES}}}\n"));
    assert!(inventory.roles.is_empty());
    assert_eq!(inventory.coverage.mentions.len(), 1);
    assert_eq!(inventory.coverage.mentions[0].reason, MentionReason::NoObject);
}

/// The kinds of the role and the binding of an operator, and the subject's namespace.
fn operator(text: &str) -> (ObjectKind, ObjectKind, String) {
    let inventory = read(text);
    let (role, binding) = (&inventory.roles[0], &inventory.bindings[0]);
    assert_eq!(Links::new(&inventory).bindings_of(RoleId(0)).len(), 1, "{text}");
    (role.meta.kind, binding.meta.kind, binding.subjects[0].namespace.clone().unwrap().to_string())
}

#[test]
fn olm_lifts_permissions_where_an_operator_watches_all_namespaces() {
    let csv = |field: &str, namespace: &str, modes: &str| {
        format!(
            "apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata: {{name: c{namespace}}}\n\
             spec: {{{modes}install: {{spec: {{{field}: [{{serviceAccountName: s, rules: {RULES}}}]}}}}}}\n"
        )
    };
    let own = "installModes: [{type: OwnNamespace, supported: true}, {type: AllNamespaces, supported: false}], ";
    let all = "installModes: [{type: AllNamespaces, supported: true}], ";
    let (role, cluster) =
        ((ObjectKind::Role, ObjectKind::RoleBinding), (ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding));
    for (text, (kind, binding), namespace) in [
        (csv("clusterPermissions", ", namespace: ns", own), cluster, "ns"),
        (csv("permissions", ", namespace: ns", own), role, "ns"),
        (csv("permissions", "", ""), role, "default"),
        (csv("permissions", ", namespace: ns", all), cluster, "ns"),
    ] {
        assert_eq!(operator(&text), (kind, binding, namespace.to_owned()), "{text}");
    }
}

#[test]
fn what_stands_in_other_objects_changes_nothing_for_the_others() {
    // Neither does it overwrite the rules of an aggregated role, nor hide a role from its binding, nor conflict.
    let aggregated = ROLE.replace("rules:", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {x: z}}]}\nrules:");
    let contributor = config_map(&ROLE.replace("name: a", "name: b, labels: {x: z}").replace("impersonate", "get"));
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\n\
                   roleRef: {kind: ClusterRole, name: a}\nsubjects: [{kind: User, name: u}]\n";
    let namesake = config_map(&ROLE.replace("impersonate", "get"));
    let mut inventory = read(&format!("{contributor}---\n{namesake}---\n{aggregated}---\n{binding}"));
    assert_eq!((inventory.coverage.objects, inventory.coverage.embedded), (2, 2));
    assert_eq!(RoleRules::new(&inventory).contributors(RoleId(0)), [RoleId(0)]);
    assert_eq!(Links::new(&inventory).bindings_of(RoleId(0)).len(), 1);
    assert!(inventory.conflicts(|_| true, |_| true).is_empty());
    assert_eq!(inventory.leave_out_apart().embedded, 2);
    assert_eq!(inventory.roles.len(), 1);
    assert!(inventory.held_elsewhere.is_empty());
}

#[test]
fn a_role_that_is_bound_in_another_object_is_remembered() {
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\n\
                   roleRef: {kind: ClusterRole, name: a}\nsubjects: [{kind: User, name: u}]\n";
    let mut inventory = read(&format!("{ROLE}---\n{}", config_map(binding)));
    inventory.leave_out_apart();
    assert_eq!(inventory.held_elsewhere.into_iter().collect::<Vec<_>>(), [RoleId(0)]);
}

#[test]
fn manifests_in_manifests_end_somewhere() {
    let mut text = ROLE.to_owned();
    for _ in 0..=MAX_TEXT_DEPTH {
        text = config_map(&text);
    }
    let inventory = load_bytes("t.yaml", text.as_bytes());
    assert_eq!(inventory.problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(), [ProblemKind::Expansion]);
    assert!(inventory.roles.is_empty());
}

#[test]
fn patches_are_held_by_whoever_holds_what_they_patch() {
    let operations = "- {op: add, path: /rules/-, value: RULE}\n- {op: add, path: /spec/x, value: RULE}\n\
                      - {op: remove, path: /rules/0}\n- {op: add, path: /rules/0/verbs/-, value: impersonate}\n"
        .replace("RULE", &RULES[1..RULES.len() - 1]);
    let kustomization = |target: &str| {
        format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches:\n- target: {{{target}}}\n  patch: |\n{}",
            indented(&operations)
        )
    };
    let names = |text: &str| {
        let inventory = read(text);
        assert_eq!(inventory.coverage.mentions.len(), 1, "{text}");
        assert_eq!(inventory.coverage.mentions[0].reason, MentionReason::Patch);
        inventory.roles.iter().map(|role| (role.meta.name.value == "a", role.meta.kind)).collect::<Vec<_>>()
    };
    let loose = (false, ObjectKind::ClusterRole);
    assert_eq!(names(&kustomization("kind: Role, name: a")), [(true, ObjectKind::Role), loose]);
    assert_eq!(names(&kustomization("kind: ClusterRole, name: a.*")), [loose, loose]);
    assert_eq!(names(&operations), [loose, loose]);
}

proptest! {
    /// What the filter leaves out holds nothing, whatever it is made of.
    #[test]
    fn the_filter_never_changes_a_result(parts in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..14)) {
        let text = parts.concat();
        prop_assume!(!may_hold_rbac(text.as_bytes()));
        let inventory = load_bytes("t.yaml", text.as_bytes());
        prop_assert_eq!(inventory.roles.len() + inventory.bindings.len() + inventory.coverage.mentions.len(), 0);
    }
}

const FRAGMENTS: &[&str] = &[
    "apiVersion: v1\n",
    "apiVersion: rbac.authorization.k8s.io/v1\n",
    "apiVersion: example.com/v1\n",
    "kind: ConfigMap\n",
    "kind: ClusterRole\n",
    "kind: Sec",
    "ret\n",
    "kind: X\n",
    "data:\n",
    "binary",
    "Data:\n",
    "  a: |\n",
    "    kind: Cluster",
    "Role\n",
    "spec:\n",
    "- ver",
    "bs",
    ": [imperson",
    "ate]\n",
    "  apiGroups: ['']\n",
    "  resources: [users]\n",
    "\\u0052",
    "\"",
    "!!binary ",
    "aW1wZXJzb25hdGU=",
    "  - op: add\n",
    "    path: /rules/-\n",
    "    value: ",
    "---\n",
    "&a ",
    "*a\n",
];
