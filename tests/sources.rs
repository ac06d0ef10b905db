//! Where grants are written besides plain manifests, with the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::deputize_in;
use serde_json::Value;
use tempfile::TempDir;

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: deputy}
rules: [{apiGroups: [''], resources: [users], verbs: [impersonate]}]
";
const BINDING: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deputy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: deputy}
subjects: [{kind: ServiceAccount, namespace: apps, name: deputy}]
";
const ANY_USER: &str = "unrestricted-users error";

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn check(directory: &Path) -> Value {
    let run = deputize_in(directory, &["check", "-o", "json"]);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr))
}

/// `rule severity` of each finding, the bytes at its place, and how many places were not looked at.
fn found(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>, usize) {
    let directory = directory(files);
    let result = check(directory.path());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = result["findings"].as_array().unwrap();
    let rules = findings.iter().map(|it| format!("{} {}", text(&it["rule"]), text(&it["severity"]))).collect();
    let places = findings.iter().map(|it| {
        let place = &it["location"];
        let bytes = fs::read(directory.path().join(text(&place["path"]))).unwrap();
        let start = place["offset"].as_u64().unwrap() as usize;
        let bytes = bytes[start..start + place["length"].as_u64().unwrap() as usize].to_vec();
        String::from_utf8(bytes).unwrap()
    });
    let gaps =
        ["templates", "mentions", "others"].iter().map(|list| result["notLookedAt"][list].as_array().unwrap().len());
    (rules, places.collect(), gaps.sum())
}

/// The only finding is that an account may be any user, at its verb.
fn assert_one(files: &[(&str, &str)]) {
    let (rules, places, _) = found(files);
    assert_eq!((rules, places), (vec![ANY_USER.to_owned()], vec!["impersonate".to_owned()]), "{files:?}");
}

#[test]
fn whatever_has_the_name_of_a_manifest_before_another_ending_is_read() {
    let manifest = format!("{ROLE}---\n{BINDING}");
    for name in [
        "a.yaml.in",
        "a.yml.hbs",
        "a.yaml.tftpl",
        "a.YAML.dist",
        "a.json.bak",
        "a.yaml.example",
        "a.tpl.yaml",
        "a.yaml~",
        "a.yaml.j2",
    ] {
        assert_one(&[(name, &manifest)]);
    }
    // What is no YAML is listed, and no error.
    let directory = directory(&[("a.yaml.jsonnet", "{ local x = 'Role', verbs:: ['impersonate'] }}\n")]);
    let result = check(directory.path());
    assert_eq!(result["problems"].as_array().unwrap().len(), 0, "{result}");
    assert_eq!(result["notLookedAt"]["templates"].as_array().unwrap().len(), 1, "{result}");
    for name in ["yaml.txt", ".yaml.swp", "a.txt"] {
        let (rules, ..) = found(&[(name, &manifest)]);
        assert_eq!(rules, [] as [&str; 0], "{name}");
    }
}

#[test]
fn a_mark_that_is_never_closed_hides_nothing() {
    let manifest = format!("{ROLE}---\n{BINDING}");
    for mark in ["%{%D", "${#x}", "<%", "{{", "a {% b", "#@ c", "(@ d"] {
        let text = format!("{manifest}---\napiVersion: v1\nkind: ConfigMap\ndata:\n  format: \"{mark}\"\n");
        for name in ["a.yaml.tmpl", "a.yaml.j2", "a.yaml"] {
            let (rules, places, _) = found(&[(name, &text)]);
            assert_eq!((rules, places), (vec![ANY_USER.to_owned()], vec!["impersonate".to_owned()]), "{name} {mark}");
        }
    }
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

#[test]
fn objects_in_documents_that_are_no_objects_are_judged() {
    let list = |text: &str| indented(text, 2).replacen("  ", "- ", 1);
    // Values of a chart, as objects and as strings.
    assert_one(&[("values.yaml", &format!("image: x\nextraObjects:\n{}{}", list(ROLE), list(BINDING)))]);
    let strings = format!("extraDeploy:\n- |\n{}- |\n{}", indented(ROLE, 2), indented(BINDING, 2));
    assert_one(&[("values.yaml", &strings)]);
    // Machine configuration.
    let talos = format!(
        "cluster:\n  inlineManifests:\n  - name: a\n    contents: |\n{}",
        indented(&format!("{ROLE}---\n{BINDING}"), 6)
    );
    assert_one(&[("controlplane.yaml", &talos)]);
    let init =
        format!("write_files:\n- path: /a.yaml\n  content: |\n{}", indented(&format!("{ROLE}---\n{BINDING}"), 4));
    assert_one(&[("user-data.yaml", &init)]);
    // The role in one file, the binding in another.
    assert_one(&[("values.yaml", &format!("extra:\n{}", list(ROLE))), ("b.yaml", BINDING)]);
    // Ansible.
    let task = |state: &str| format!("- name: a\n  k8s:\n    state: {state}\n    definition:\n{}", indented(ROLE, 6));
    assert_one(&[("a.yml", &task("present")), ("b.yaml", BINDING)]);
    assert_eq!(found(&[("a.yml", &task("absent")), ("b.yaml", BINDING)]).0, [] as [&str; 0]);
}

#[test]
fn here_documents_and_commands_are_read() {
    let body = indented(&format!("{ROLE}---\n{BINDING}"), 4);
    assert_one(&[("ci.yml", &format!("steps:\n- run: |\n    kubectl apply -f - <<EOF\n{body}    EOF\n"))]);
    let create = "kubectl create clusterrole deputy --verb=get,impersonate --resource=users";
    let bind = "kubectl create clusterrolebinding deputy --clusterrole=deputy --serviceaccount=apps:deputy";
    assert_one(&[("ci.yml", &format!("steps:\n- run: {create}\n- run: {bind}\n"))]);
    let job = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: a}}\nspec:\n  template:\n    spec:\n      containers:\n      - name: a\n        args:\n        - |\n          {create}\n          {bind}\n"
    );
    assert_one(&[("job.yaml", &job)]);
    let nothing = "steps:\n- run: kubectl get clusterrole impersonate -o yaml\n";
    assert_eq!(found(&[("ci.yml", nothing)]).0, [] as [&str; 0]);
}

#[test]
fn controllers_bind_what_custom_resources_say() {
    let definition = "apiVersion: rbacmanager.reactiveops.io/v1beta1\nkind: RBACDefinition\nmetadata: {name: a}\nrbacBindings:\n\
        - name: a\n  subjects: [{kind: ServiceAccount, name: deputy, namespace: apps}]\n  clusterRoleBindings: [{clusterRole: deputy}]\n";
    assert_one(&[("a.yaml", ROLE), ("b.yaml", definition)]);
}

#[test]
fn policies_grant_nothing() {
    let rules = "[{apiGroups: [''], resources: [users], verbs: [impersonate]}]";
    for (kind, spec) in [
        ("constraints.gatekeeper.sh/v1beta1, kind: DenyVerbs", format!("spec: {{parameters: {{rules: {rules}}}}}")),
        ("templates.gatekeeper.sh/v1, kind: ConstraintTemplate", "spec: {rego: 'verbs: impersonate'}".to_owned()),
        ("admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy", format!("spec: {{variables: {rules}}}")),
        ("iam.kubesphere.io/v1beta1, kind: GlobalRole", format!("rules: {rules}")),
        (
            "apiextensions.k8s.io/v1, kind: CustomResourceDefinition",
            "spec: {enum: [impersonate], verbs: [impersonate]}".to_owned(),
        ),
    ] {
        let text = format!("{{apiVersion: {kind}, metadata: {{name: a}}, {spec}}}\n");
        assert_eq!(found(&[("a.yaml", &text)]), (vec![], vec![], 0), "{text}");
    }
}

#[test]
fn encoded_objects_are_read() {
    let version = r#"{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":"a","namespace":"b"},
        "spec":{"install":{"spec":{"clusterPermissions":[{"serviceAccountName":"c","rules":[{"apiGroups":[""],"resources":["users"],"verbs":["impersonate"]}]}]}}}}"#;
    let data = BASE64_STANDARD.encode(version);
    let catalog = format!(
        "---\nschema: olm.package\nname: a\n---\nschema: olm.bundle\nname: a.v1\nproperties:\n- type: olm.bundle.object\n  value: {{data: {data}}}\n"
    );
    assert_eq!(found(&[("catalog.yaml", &catalog)]).0, [ANY_USER]);
    let release = serde_json::json!({"name": "a", "manifest": format!("---\n{ROLE}---\n{BINDING}")}).to_string();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, release.as_bytes()).unwrap();
    let data = BASE64_STANDARD.encode(packed.finish().unwrap());
    let object = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: sh.helm.release.v1.a.v1}}\ndata: {{release: {data}}}\n"
    );
    assert_eq!(found(&[("a.yaml", &object)]).0, [ANY_USER]);
}

/// OpenShift fills in what is left out: a rule that looks dead is not.
#[test]
fn no_fix_touches_objects_of_openshift() {
    let role = "apiVersion: authorization.openshift.io/v1\nkind: ClusterRole\nmetadata: {name: deputy}\n\
        rules:\n- {resources: [users, pods], verbs: [impersonate, impersonate]}\n";
    let directory = directory(&[("a.yaml", role), ("b.yaml", BINDING)]);
    let run = deputize_in(directory.path(), &["check", "--fix", "--unsafe-fixes"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert_eq!(fs::read_to_string(directory.path().join("a.yaml")).unwrap(), role);
    // The same of Kubernetes is fixed.
    let role = role
        .replace("authorization.openshift.io", "rbac.authorization.k8s.io")
        .replace("resources:", "apiGroups: [''], resources:");
    fs::write(directory.path().join("a.yaml"), &role).unwrap();
    deputize_in(directory.path(), &["check", "--fix", "--unsafe-fixes"]);
    assert_ne!(fs::read_to_string(directory.path().join("a.yaml")).unwrap(), role);
}
