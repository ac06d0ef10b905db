//! `migrate --in-place` next to kustomizations: what kustomize makes of new objects is computed, and `kubectl kustomize` is
//! the judge of that. The judge needs Go: `cargo test --test kustomize -- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use common::upstream::build;
use common::{Run, deputize_in, files};
use deputize::inventory::{Binding, Inventory, ObjectMeta, Role, load_bytes};
use tempfile::TempDir;

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules:\n- {verbs: \
                    [impersonate], apiGroups: [\"\"], resources: [users]}\n";
const BINDING: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\nroleRef: \
                       {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a}\nsubjects:\n- {kind: ServiceAccount, \
                       namespace: apps, name: deputy}\n";
const NAMESPACED: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a}\nrules:\n- {verbs: \
                          [impersonate], apiGroups: [\"\"], resources: [serviceaccounts], resourceNames: [target]}\n---\n\
                          apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: a}\nroleRef: \
                          {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}\nsubjects:\n- {kind: ServiceAccount, \
                          name: deputy}\n";
const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: deputy}\n";
/// Actions in all namespaces, and in one.
const EVERYWHERE: &str = "actions: [{rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n";
const IN_SHOP: &str = "actions: [{namespace: shop, rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n";
const BOTH: &str = "resources: [role.yaml, binding.yaml]\n";

/// A repository, what is done in it, and why the run stops; nothing if it does not.
struct Case {
    name: &'static str,
    files: Vec<(&'static str, String)>,
    actions: &'static str,
    stops: Option<&'static str>,
    /// Whether kubectl can tell: where something is not computed, it may be right all the same.
    is_judged: bool,
}

fn case(name: &'static str, kustomization: &str, actions: &'static str, stops: Option<&'static str>) -> Case {
    let files = vec![
        ("m/role.yaml", ROLE.to_owned()),
        ("m/binding.yaml", BINDING.to_owned()),
        ("m/kustomization.yaml", format!("{BOTH}{kustomization}")),
    ];
    Case { name, files, actions, stops, is_judged: true }
}

/// A base, and kustomizations that use it.
fn based(name: &'static str, base: &str, overlays: &[(&'static str, &str)], stops: Option<&'static str>) -> Case {
    let mut files = vec![
        ("m/base/role.yaml", NAMESPACED.to_owned()),
        ("m/base/account.yaml", ACCOUNT.to_owned()),
        ("m/base/kustomization.yaml", base.to_owned()),
    ];
    files.extend(overlays.iter().map(|(path, text)| (*path, (*text).to_owned())));
    Case { name, files, actions: EVERYWHERE, stops, is_judged: true }
}

fn cases() -> Vec<Case> {
    let patch = |target: &str, patch: &str| format!("patches:\n- target: {target}\n  patch: '{patch}'\n");
    let with_account = "resources: [role.yaml, account.yaml]\n";
    let mut cases = vec![
        case("plain", "", IN_SHOP, None),
        case("a namespace and objects of the cluster", "namespace: apps\n", EVERYWHERE, None),
        case(
            "a namespace and a role in another",
            "namespace: apps\n",
            IN_SHOP,
            Some("moves Role \"shop/deputize:user-info"),
        ),
        case("the namespace of the role", "namespace: shop\n", IN_SHOP, None),
        case("a prefix", "namePrefix: x-\n", IN_SHOP, None),
        case("a suffix", "nameSuffix: -x\n", IN_SHOP, None),
        case(
            "labels",
            "labels: [{pairs: {team: a}}]\ncommonLabels: {b: c}\ncommonAnnotations: {d: e}\n",
            IN_SHOP,
            None,
        ),
        case(
            "aggregation",
            "labels: [{pairs: {rbac.authorization.k8s.io/aggregate-to-edit: \"true\"}}]\n",
            EVERYWHERE,
            Some("the label rbac.authorization.k8s.io/aggregate-to-edit, by which"),
        ),
        case(
            "a patch of labels",
            &patch(
                "{kind: ClusterRole, name: \"deputize.*\"}",
                "[{\"op\": \"add\", \"path\": \"/metadata/labels/a\", \"value\": \"b\"}]",
            ),
            EVERYWHERE,
            None,
        ),
        case(
            "a patch of rules",
            &patch("{kind: ClusterRole}", "[{\"op\": \"remove\", \"path\": \"/rules/0\"}]"),
            EVERYWHERE,
            Some("a patch changes the rules of ClusterRole \"deputize:user-info"),
        ),
        case(
            "a patch of rules of others",
            &patch(
                "{kind: ClusterRole, name: a}",
                "[{\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\"a\": \"b\"}}]",
            ),
            EVERYWHERE,
            None,
        ),
        case(
            "a patch that removes",
            &patch(
                "{labelSelector: \"deputize.dev/mode in (user-info)\"}",
                "{apiVersion: x/v1, kind: X, metadata: {name: x}, $patch: delete}",
            ),
            EVERYWHERE,
            Some("it removes ClusterRole \"deputize:user-info"),
        ),
        case(
            "a patch of subjects",
            &patch(
                "{kind: ClusterRoleBinding, name: \"dep.*\"}",
                "[{\"op\": \"replace\", \"path\": \"/subjects/0/name\", \"value\": \"other\"}]",
            ),
            EVERYWHERE,
            Some("but what that replaces grants to ServiceAccount \"apps/deputy\""),
        ),
        case(
            "a patch of all subjects",
            &patch(
                "{kind: ClusterRoleBinding}",
                "[{\"op\": \"replace\", \"path\": \"/subjects/0/name\", \"value\": \"other\"}]",
            ),
            EVERYWHERE,
            None,
        ),
        case(
            "a merge of rules",
            &patch(
                "{kind: ClusterRole, name: \"deputize.*\"}",
                "{apiVersion: x/v1, kind: X, metadata: {name: x}, rules: []}",
            ),
            EVERYWHERE,
            Some("a patch changes the rules"),
        ),
        case(
            "a patch of one object",
            "patchesStrategicMerge: [\"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a, \
             annotations: {b: c}}}\"]\n",
            EVERYWHERE,
            None,
        ),
        case(
            "a late patch",
            "namePrefix: x-\npatchesJson6902:\n- target: {group: rbac.authorization.k8s.io, version: v1, kind: ClusterRole, \
             name: a}\n  patch: '[{\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\"a\": \"b\"}}]'\n",
            EVERYWHERE,
            None,
        ),
        Case {
            is_judged: false,
            ..case("transformers", "transformers: [t.yaml]\n", EVERYWHERE, Some("`transformers`"))
        },
        Case {
            is_judged: false,
            ..case(
                "replacements",
                "replacements: [{source: {kind: ClusterRole, name: a}, targets: [{select: {kind: ClusterRole}, fieldPaths: \
                 [metadata.name]}]}]\n",
                EVERYWHERE,
                Some("a replacement of m/kustomization.yaml may change"),
            )
        },
        based("a base", with_account, &[], None),
        based("a base in a namespace", &format!("{with_account}namespace: prod\n"), &[], None),
        based(
            "one overlay",
            with_account,
            &[("m/prod/kustomization.yaml", "namespace: prod\nnamePrefix: p-\nresources: [../base]\n")],
            None,
        ),
        based(
            "two overlays",
            with_account,
            &[
                ("m/prod/kustomization.yaml", "namespace: prod\nresources: [../base]\n"),
                ("m/test/kustomization.yaml", "namespace: test\nbases: [../base]\n"),
            ],
            Some("it and m/prod/kustomization.yaml make different objects of ClusterRoleBinding"),
        ),
        based(
            "two overlays with prefixes",
            with_account,
            &[
                ("m/prod/kustomization.yaml", "namespace: prod\nnamePrefix: prod-\nresources: [../base]\n"),
                ("m/test/kustomization.yaml", "namespace: test\nnamePrefix: test-\nresources: [../base]\n"),
            ],
            None,
        ),
        based(
            "two overlays in one",
            with_account,
            &[
                ("m/prod/kustomization.yaml", "namespace: prod\nresources: [../base]\n"),
                ("m/test/kustomization.yaml", "namespace: test\nresources: [../base]\n"),
                ("m/all/kustomization.yaml", "resources: [../prod, ../test]\n"),
            ],
            Some("ClusterRole \"deputize:serviceaccount:sa:default:deputy\" twice"),
        ),
        based(
            "an account that is not there",
            "resources: [role.yaml]\nnamespace: prod\n",
            &[],
            Some(
                "grant to ServiceAccount \"default/deputy\", but what that replaces grants to ServiceAccount \"prod/deputy\"",
            ),
        ),
        based(
            "a component",
            &format!("{with_account}components: [../part]\n"),
            &[(
                "m/part/kustomization.yaml",
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: ClusterRole}\n  \
                 patch: '[{\"op\": \"replace\", \"path\": \"/rules\", \"value\": []}]'\n",
            )],
            Some("a patch changes the rules of ClusterRole"),
        ),
    ];
    cases.push(Case {
        files: vec![
            ("m/role.yaml", ROLE.to_owned()),
            ("m/binding.yaml", BINDING.to_owned()),
            ("m/kustomization.yaml", "resources: [binding.yaml]\n".to_owned()),
        ],
        ..case("a file that is not listed", "", EVERYWHERE, Some("but not ClusterRole"))
    });
    cases.push(Case {
        files: vec![
            ("m/base/role.yaml", ROLE.to_owned()),
            ("m/base/kustomization.yaml", "resources: [role.yaml]\n".to_owned()),
            ("m/binding.yaml", BINDING.to_owned()),
            ("m/kustomization.yaml", "namePrefix: x-\nresources: [base, binding.yaml]\n".to_owned()),
        ],
        ..case("a binding above", "", EVERYWHERE, None)
    });
    cases
}

fn write(files: &[(&str, String)], actions: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir(directory.path().join(".git")).unwrap();
    fs::write(directory.path().join("actions"), actions).unwrap();
    directory
}

fn grant(directory: &Path) -> Run {
    deputize_in(directory, &["migrate", "m", "--actions", "actions", "--in-place", "--stage", "grant"])
}

#[test]
fn what_kustomize_makes_of_new_objects_is_computed() {
    for case in cases() {
        let directory = write(&case.files, case.actions);
        let before = files(directory.path());
        let run = grant(directory.path());
        let after = files(directory.path());
        match case.stops {
            None => {
                assert_eq!(run.status, 0, "{}: {}", case.name, run.stderr);
                assert_ne!(before, after, "{}", case.name);
                assert_eq!(grant(directory.path()).status, 0, "{}", case.name);
                assert_eq!(files(directory.path()), after, "{}: a second time changes nothing", case.name);
            }
            Some(why) => {
                assert_eq!(run.status, 2, "{}: {}", case.name, run.stderr);
                assert!(run.stderr.contains(why), "{}: {}", case.name, run.stderr);
                assert!(run.stderr.contains("kustomization.yaml: error: "), "{}: {}", case.name, run.stderr);
                assert!(run.stderr.contains("--output-dir"), "{}: {}", case.name, run.stderr);
                assert_eq!(before, after, "{}: nothing is written", case.name);
            }
        }
    }
}

/// The directories that are applied: kustomizations that no other one names.
fn applied(case: &Case) -> Vec<&'static str> {
    let directories = case.files.iter().filter_map(|(name, _)| name.strip_suffix("/kustomization.yaml"));
    let named = |directory: &str| {
        let name = directory.rsplit('/').next().unwrap();
        case.files.iter().any(|(path, text)| {
            path.ends_with("kustomization.yaml")
                && [format!("[../{name}"), format!(", ../{name}"), format!("[{name},")]
                    .iter()
                    .any(|it| text.contains(it))
        })
    };
    directories.filter(|directory| !named(directory)).collect()
}

fn is_new(meta: &ObjectMeta) -> bool {
    meta.label("deputize.dev/mode").is_some()
}

type Rules = Vec<[BTreeSet<String>; 5]>;

fn rules(role: &Role) -> Rules {
    role.rules.iter().map(|rule| rule.sets().map(|set| set.into_iter().map(str::to_owned).collect())).collect()
}

/// Kind, namespace and name of the first subject. A service account without a namespace is in that of its binding.
fn subject(binding: &Binding) -> [String; 3] {
    let subject = &binding.subjects[0];
    let namespace = subject.namespace.as_deref().unwrap_or_default().to_owned();
    [subject.kind.as_str().to_owned(), namespace, subject.name.as_str().to_owned()]
}

/// Why what kubectl made of the new objects is not what they are for.
fn wrong(plain: &Inventory, rendered: &[Inventory]) -> Option<String> {
    let mut cluster: BTreeMap<(String, String), String> = BTreeMap::new();
    for inventory in rendered {
        let new_roles: Vec<&Role> = inventory.roles.iter().filter(|role| is_new(&role.meta)).collect();
        let new_bindings: Vec<&Binding> = inventory.bindings.iter().filter(|it| is_new(&it.meta)).collect();
        let legacy: BTreeSet<[String; 3]> =
            inventory.bindings.iter().filter(|it| !is_new(&it.meta)).map(subject).collect();
        let places: BTreeSet<Option<&str>> =
            inventory.bindings.iter().map(|it| it.meta.effective_namespace()).collect();
        if legacy.is_empty() {
            continue;
        }
        let wanted: Vec<&Role> = plain.roles.iter().filter(|role| is_new(&role.meta)).collect();
        if wanted.len() != new_roles.len() || wanted.len() != new_bindings.len() {
            return Some(format!("{} of {} roles, {} bindings", new_roles.len(), wanted.len(), new_bindings.len()));
        }
        for role in wanted {
            let fits = |found: &&&Role| {
                let namespace = found.meta.effective_namespace();
                let in_place = match &role.meta.namespace {
                    Some(wanted) => namespace == Some(wanted.as_str()),
                    None => !role.meta.kind.is_namespaced() || places.contains(&namespace),
                };
                found.meta.kind == role.meta.kind && in_place && rules(found) == rules(role)
            };
            let Some(found) = new_roles.iter().find(fits) else {
                return Some(format!("{} is changed", role.meta.describe()));
            };
            let is_bound = |it: &&Binding| {
                it.role_ref.name == found.meta.name && it.meta.effective_namespace() == found.meta.effective_namespace()
            };
            let subjects: BTreeSet<[String; 3]> = new_bindings.iter().copied().filter(is_bound).map(subject).collect();
            if subjects != legacy {
                return Some(format!("{} is granted to {subjects:?}, not to {legacy:?}", found.meta.describe()));
            }
            if found.meta.labels.iter().any(|(key, _)| key.contains("aggregate-to-")) {
                return Some(format!("{} is aggregated", found.meta.describe()));
            }
        }
        for binding in new_bindings.iter().filter(|it| !it.meta.kind.is_namespaced()) {
            let key = (binding.meta.kind.to_string(), binding.meta.name.value.to_string());
            let content = format!("{:?}", subject(binding));
            if cluster.entry(key).or_insert(content.clone()) != &content {
                return Some(format!("{} is made twice", binding.meta.describe()));
            }
        }
    }
    None
}

#[test]
#[ignore = "needs Go"]
fn kubectl_kustomize_agrees() {
    let kubectl = build(&["kubectl"]).join("kubectl");
    let mut judged = 0;
    for case in cases().into_iter().filter(|case| case.is_judged) {
        // The edits are those without any kustomization.
        let plain: Vec<(&str, String)> =
            case.files.iter().filter(|(name, _)| !name.ends_with("kustomization.yaml")).cloned().collect();
        let directory = write(&plain, case.actions);
        assert_eq!(grant(directory.path()).status, 0, "{}", case.name);
        let after = deputize::inventory::load(&[directory.path().join("m")], &Default::default());
        for (name, text) in &case.files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with("kustomization.yaml") {
                fs::write(path, text).unwrap();
            }
        }
        let mut rendered = Vec::new();
        let mut refused = None;
        for root in applied(&case) {
            let output =
                Command::new(&kubectl).args(["kustomize", root]).current_dir(directory.path()).output().unwrap();
            if output.status.success() {
                rendered.push(load_bytes("rendered.yaml", &output.stdout));
            } else {
                refused = Some(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        let wrong = refused.or_else(|| wrong(&after, &rendered));
        assert_eq!(wrong.is_some(), case.stops.is_some(), "{}: {wrong:?}", case.name);
        judged += 1;
    }
    assert!(judged > 20, "{judged}");
}
