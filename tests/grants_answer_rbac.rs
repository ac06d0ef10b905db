//! The effective entries of `grants -o json` alone answer every identity check as RBAC does.
//!
//! Random roles and bindings, rich in traps, are asked every identity check that a server could make: once by looking
//! through the entries as a reader of the JSON would, once by evaluating the objects themselves, written down here
//! anew so that no code is shared with what is tested.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use deputize::grants::Grants;
use deputize::inventory::load_bytes;
use deputize::output::json::write_grants;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const NAMESPACES: [&str; 2] = ["apps", "default"];
const VERBS: [&str; 10] = [
    "impersonate",
    "impersonate:user-info",
    "impersonate:serviceaccount",
    "impersonate:arbitrary-node",
    "impersonate:associated-node",
    "impersonate:*",
    "impersonate:scheduled-node",
    "*",
    "get",
    "Impersonate",
];
const GROUPS: [&str; 4] = ["", "authentication.k8s.io", "*", "apps"];
const RESOURCES: [&str; 13] = [
    "users",
    "groups",
    "serviceaccounts",
    "uids",
    "nodes",
    "userextras",
    "userextras/scopes",
    "userextras/acme.com/project",
    "userextras/*",
    "*/acme.com/project",
    "*/*",
    "*",
    "pods",
];
/// Verbs, and resources on which they mean something.
const FITTING: [(&str, &[&str]); 6] = [
    ("impersonate", &["users", "groups", "serviceaccounts"]),
    ("impersonate:user-info", &["users", "groups", "uids", "userextras/acme.com/project"]),
    ("impersonate:serviceaccount", &["serviceaccounts"]),
    ("impersonate:arbitrary-node", &["nodes"]),
    ("impersonate:associated-node", &["nodes"]),
    ("impersonate:associated-node", &["*"]),
];
const NAMES: [&str; 9] = [
    "panda",
    "*",
    "deputy",
    "system:masters",
    "system:serviceaccount:apps:deputy",
    "system:node:n1",
    "n1",
    "",
    "system:serviceaccount:apps",
];

fn rule() -> impl Strategy<Value = Value> {
    let verbs = subsequence(&VERBS[..], 1..4);
    let groups = prop_oneof![
        2 => Just(vec!["authentication.k8s.io"]),
        2 => Just(vec![""]),
        2 => Just(vec!["", "authentication.k8s.io"]),
        1 => subsequence(&GROUPS[..], 0..3),
    ];
    let resources = subsequence(&RESOURCES[..], 0..6).prop_map(|resources| resources.to_vec());
    // Half of the rules fit together, the others are thrown together.
    let fitting = select(&FITTING[..]);
    let fitting = fitting.prop_map(|(verb, resources)| {
        let group = if verb == "impersonate" { "" } else { "authentication.k8s.io" };
        (vec![verb], vec![group], resources.to_vec())
    });
    let rules = prop_oneof![(verbs, groups, resources), fitting];
    let names = prop_oneof![1 => Just(Vec::new()), 1 => subsequence(&NAMES[..], 1..4)];
    (rules, names).prop_map(|((verbs, groups, resources), names)| {
        let mut rule = json!({"verbs": verbs, "apiGroups": groups, "resources": resources});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    })
}

fn role() -> impl Strategy<Value = Value> {
    let namespace = prop_oneof![3 => Just(None), 1 => select(&NAMESPACES[..]).prop_map(Some)];
    let label = prop_oneof![2 => Just(None), 1 => select(&["x", "y"][..]).prop_map(Some)];
    let selects = prop_oneof![3 => Just(None), 1 => select(&["x", "y"][..]).prop_map(Some)];
    (select(&["a", "b", "c"][..]), namespace, label, selects, prop::collection::vec(rule(), 0..3)).prop_map(
        |(name, namespace, label, selects, rules)| {
            let mut metadata = json!({"name": name});
            if let Some(label) = label {
                metadata["labels"] = json!({"to": label});
            }
            let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
            if let Some(namespace) = namespace {
                metadata["namespace"] = json!(namespace);
            }
            let mut role =
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules});
            if let (Some(selects), None) = (selects, namespace) {
                role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to": selects}}]});
                // Where such roles with rules of their own select each other, the controller never comes to rest.
                if label.is_some() {
                    role["rules"] = json!([]);
                }
            }
            role
        },
    )
}

fn binding() -> impl Strategy<Value = Value> {
    let subject = prop_oneof![
        Just(json!({"kind": "User", "name": "alice"})),
        Just(json!({"kind": "User", "name": "system:serviceaccount:apps:deputy"})),
        Just(json!({"kind": "Group", "name": "devs"})),
        Just(json!({"kind": "Group", "name": "system:serviceaccounts:apps"})),
        Just(json!({"kind": "ServiceAccount", "name": "deputy", "namespace": "apps"})),
        Just(json!({"kind": "ServiceAccount", "name": "deputy"})),
        Just(json!({"kind": "Robot", "name": "alice"})),
    ];
    let namespace = prop_oneof![1 => Just(None), 1 => select(&["apps", "default", ""][..]).prop_map(Some)];
    let names = select(&["a", "b", "c", "missing"][..]);
    let kinds = select(&["ClusterRole", "ClusterRole", "Role"][..]);
    (namespace, kinds, names, prop::collection::vec(subject, 0..3)).prop_map(
        |(namespace, role_kind, role, subjects)| {
            let mut metadata = json!({"name": "some"});
            let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
            if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
                metadata["namespace"] = json!(namespace);
            }
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
            "roleRef": {"kind": role_kind, "name": role}, "subjects": subjects})
        },
    )
}

/// A world in which every object has a name of its own, so that it has one definition.
fn world() -> impl Strategy<Value = Vec<Value>> {
    let roles = prop::collection::vec(role(), 1..6);
    let bindings = prop::collection::vec(binding(), 1..6);
    (roles, bindings).prop_map(|(roles, bindings)| {
        let mut objects: Vec<Value> = Vec::new();
        for role in roles {
            let key = |object: &Value| {
                (object["kind"].clone(), object["metadata"]["namespace"].clone(), object["metadata"]["name"].clone())
            };
            if !objects.iter().any(|known| key(known) == key(&role)) {
                objects.push(role);
            }
        }
        let roles = objects.len();
        for (index, mut binding) in bindings.into_iter().enumerate() {
            binding["metadata"]["name"] = json!(format!("binding-{index}"));
            // Most bindings find a role.
            let chosen: &Value = &objects[index % roles];
            let namespaced = chosen["kind"] == "Role";
            if index % 4 != 3 && (!namespaced || binding["kind"] == "RoleBinding") {
                binding["roleRef"] = json!({"kind": chosen["kind"], "name": chosen["metadata"]["name"]});
                if namespaced {
                    binding["metadata"]["namespace"] = chosen["metadata"]["namespace"].clone();
                }
            }
            objects.push(binding);
        }
        objects
    })
}

/// One identity check.
#[derive(Debug, Clone)]
struct Check {
    mode: &'static str,
    group: &'static str,
    resource: &'static str,
    key: &'static str,
    namespace: &'static str,
    name: &'static str,
}

/// Every identity check that a server could make with these names.
fn checks() -> Vec<Check> {
    const AUTHENTICATION: &str = "authentication.k8s.io";
    let mut checks = Vec::new();
    let mut add = |mode, group, resource, key, namespace, name| {
        checks.push(Check { mode, group, resource, key, namespace, name });
    };
    for name in ["panda", "*", "system:serviceaccount:apps", "n1", "deputy", "system:masters"] {
        for mode in ["legacy", "user-info"] {
            let core = if mode == "legacy" { "" } else { AUTHENTICATION };
            add(mode, core, "users", "", "", name);
            add(mode, core, "groups", "", "", name);
            add(mode, AUTHENTICATION, "uids", "", "", name);
            for key in ["scopes", "acme.com/project", "other.com/key"] {
                add(mode, AUTHENTICATION, "userextras", key, "", name);
            }
        }
        add("legacy", AUTHENTICATION, "userextras", "*", "", name);
    }
    add("user-info", AUTHENTICATION, "userextras", "*", "", "*");
    add("legacy", "", "users", "", "", "system:node:n1");
    add("legacy", "", "groups", "", "", "");
    for name in ["panda", "deputy", "n1"] {
        add("arbitrary-node", AUTHENTICATION, "nodes", "", "", name);
        for namespace in ["apps", "default", "elsewhere"] {
            add("legacy", "", "serviceaccounts", "", namespace, name);
            add("serviceaccount", AUTHENTICATION, "serviceaccounts", "", namespace, name);
        }
    }
    add("associated-node", AUTHENTICATION, "nodes", "", "", "*");
    checks
}

/// Requestors, with their groups.
const REQUESTORS: [(&str, &[&str]); 4] = [
    ("alice", &["system:authenticated"]),
    ("bob", &["devs", "system:authenticated"]),
    ("system:serviceaccount:apps:deputy", &["system:serviceaccounts", "system:serviceaccounts:apps"]),
    ("system:serviceaccount:default:deputy", &["system:serviceaccounts", "system:serviceaccounts:default"]),
];

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|items| items.iter().map(|item| item.as_str().unwrap()).collect()).unwrap_or_default()
}

fn subject_is(kind: &str, name: &str, namespace: Option<&str>, (user, groups): (&str, &[&str])) -> bool {
    match kind {
        "User" => user == name,
        "Group" => groups.contains(&name),
        "ServiceAccount" => namespace.is_some_and(|ns| user == format!("system:serviceaccount:{ns}:{name}")),
        _ => false,
    }
}

/// RBAC by the book, over the objects as they are.
fn rbac_allows(world: &[Value], requestor: (&str, &[&str]), check: &Check) -> bool {
    let verb = if check.mode == "legacy" { "impersonate".to_owned() } else { format!("impersonate:{}", check.mode) };
    let namespace_of = |object: &Value| object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
    world.iter().any(|binding| {
        let kind = binding["kind"].as_str().unwrap();
        let in_namespace = match kind {
            "ClusterRoleBinding" => None,
            "RoleBinding" => Some(namespace_of(binding)),
            _ => return false,
        };
        if in_namespace.as_ref().is_some_and(|namespace| namespace != check.namespace) {
            return false;
        }
        let applies = binding["subjects"].as_array().unwrap().iter().any(|subject| {
            let namespace = subject["namespace"].as_str().map(str::to_owned).or_else(|| in_namespace.clone());
            let (kind, name) = (subject["kind"].as_str().unwrap(), subject["name"].as_str().unwrap());
            subject_is(kind, name, namespace.as_deref(), requestor)
        });
        let role = world.iter().find(|role| {
            role["kind"] == binding["roleRef"]["kind"]
                && role["metadata"]["name"] == binding["roleRef"]["name"]
                && (role["kind"] == "ClusterRole" || in_namespace.as_ref() == Some(&namespace_of(role)))
        });
        applies && role.is_some_and(|role| rules_of(world, role).iter().any(|rule| rule_allows(rule, &verb, check)))
    })
}

/// A role's rules after the aggregation controller has settled: what the selected roles have, round after round, until
/// nothing changes. Where they have nothing, it leaves a role alone.
fn rules_of<'w>(world: &'w [Value], role: &'w Value) -> Vec<&'w Value> {
    let mut rules: Vec<Vec<&Value>> =
        world.iter().map(|object| object["rules"].as_array().into_iter().flatten().collect()).collect();
    for _ in world {
        for (index, role) in world.iter().enumerate() {
            let Some(label) = role["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"]["to"].as_str() else {
                continue;
            };
            let selected = world.iter().enumerate().filter(|(other, candidate)| {
                *other != index && candidate["kind"] == "ClusterRole" && candidate["metadata"]["labels"]["to"] == label
            });
            let union: Vec<&Value> = selected.flat_map(|(other, _)| rules[other].clone()).collect();
            if !union.is_empty() {
                rules[index] = union;
                rules[index].dedup();
            }
        }
    }
    let index = world.iter().position(|object| object == role).unwrap();
    rules.swap_remove(index)
}

fn rule_allows(rule: &Value, verb: &str, check: &Check) -> bool {
    let has = |list: &Value, value: &str| strings(list).contains(&value);
    let resource = match check.resource {
        "userextras" => format!("userextras/{}", check.key),
        resource => resource.to_owned(),
    };
    let suffix = format!("*/{}", check.key);
    (has(&rule["verbs"], "*") || has(&rule["verbs"], verb))
        && (has(&rule["apiGroups"], "*") || has(&rule["apiGroups"], check.group))
        && (has(&rule["resources"], "*")
            || has(&rule["resources"], &resource)
            || (!check.key.is_empty() && has(&rule["resources"], &suffix)))
        && (rule["resourceNames"].is_null() || has(&rule["resourceNames"], check.name))
}

/// What a reader of the JSON sees.
fn entries_allow(entries: &[Value], requestor: (&str, &[&str]), check: &Check) -> bool {
    entries.iter().filter(|entry| entry["effective"] == true).any(|entry| {
        let (subject, identity) = (&entry["subject"], &entry["identity"]);
        let kind = subject["kind"].as_str().unwrap();
        subject_is(kind, subject["name"].as_str().unwrap(), subject["namespace"].as_str(), requestor)
            && entry["mode"] == check.mode
            && identity["apiGroup"] == check.group
            && identity["resource"] == check.resource
            && (check.resource != "userextras" || identity["extraKey"].is_null() || identity["extraKey"] == check.key)
            && (identity["namespace"].is_null() || identity["namespace"] == check.namespace)
            && (identity["names"].is_null() || strings(&identity["names"]).contains(&check.name))
    })
}

fn grants_of(world: &[Value]) -> Value {
    let text = json!({"apiVersion": "v1", "kind": "List", "items": world}).to_string();
    let inventory = load_bytes("world.json", text.as_bytes());
    assert_eq!(inventory.problems, []);
    let mut out = Vec::new();
    write_grants(&mut out, &Grants::new(&inventory)).unwrap();
    serde_json::from_slice(&out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn effective_entries_answer_every_identity_check(world in world()) {
        let grants = grants_of(&world);
        let entries = grants["grants"].as_array().unwrap();
        for requestor in REQUESTORS {
            for check in checks() {
                let (expected, found) =
                    (rbac_allows(&world, requestor, &check), entries_allow(entries, requestor, &check));
                prop_assert_eq!(found, expected, "{:?} {:?}\n{:#?}", requestor, check, entries);
            }
        }
    }

    #[test]
    fn an_entry_is_effective_exactly_if_it_has_no_reason(world in world()) {
        for entry in grants_of(&world)["grants"].as_array().unwrap() {
            prop_assert_eq!(entry["effective"].as_bool().unwrap(), entry["reason"].is_null());
            prop_assert_eq!(entry["subject"].is_null(), entry["reason"] == "unbound");
            prop_assert_eq!(entry["binding"].is_null(), entry["reason"] == "unbound");
        }
    }
}

/// The worlds are worth asking: many checks are allowed, in every mode.
#[test]
fn the_worlds_are_rich() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut allowed = std::collections::BTreeMap::new();
    for _ in 0..1000 {
        let world = world().new_tree(&mut runner).unwrap().current();
        for requestor in REQUESTORS {
            for check in checks() {
                *allowed.entry(check.mode).or_insert(0) += usize::from(rbac_allows(&world, requestor, &check));
            }
        }
    }
    for mode in ["legacy", "user-info", "serviceaccount", "arbitrary-node", "associated-node"] {
        assert!(allowed[mode] > 50, "{allowed:?}");
    }
}
