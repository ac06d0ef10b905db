//! The guard's verdicts on random roles, and on what becomes of them, beside those of the engine.

use std::collections::BTreeSet;

use deputize::authority::{Attributes, IdentityKind, Mode, Requestable, allows};
use deputize::inventory::{PolicyRule, Role, Text};
use fastrand::Rng;
use serde_json::{Value, json};

use super::Guarded;
use super::common::migration::inventory;
use super::common::number;
use super::common::world::Generator;

/// What a world is not said to have: a name or a key that stands for all others.
const OTHER: &str = "other";

/// An identity that the server may ask for: group, resource, key, name.
type Question = (&'static str, &'static str, String, String);

/// All that the server may ask for that tells the rules of two roles apart.
fn questions(roles: [&[PolicyRule]; 2], cluster: bool) -> BTreeSet<Question> {
    let rules = || roles.into_iter().flatten();
    let texts = |of: fn(&PolicyRule) -> &Vec<Text>| rules().flat_map(of).map(|text| text.as_str().to_owned());
    let names: BTreeSet<String> = texts(|rule| &rule.resource_names).chain([OTHER.to_owned()]).collect();
    let keys = texts(|rule| &rule.resources).filter_map(|resource| Some(resource.split_once('/')?.1.to_owned()));
    let keys: BTreeSet<String> = keys.filter(|key| !key.is_empty()).chain([OTHER.to_owned()]).collect();
    let mut questions = BTreeSet::new();
    for kind in IdentityKind::ALL.into_iter().filter(|kind| cluster || kind.is_namespaced()) {
        let Some(group) = kind.asked_in(Mode::Legacy) else { continue };
        let none = BTreeSet::from([String::new()]);
        for key in if kind == IdentityKind::UserExtras { &keys } else { &none } {
            let requestable = Requestable { mode: Mode::Legacy, kind, extra_key: Some(key) };
            for name in names.iter().filter(|name| requestable.asks_for(name)) {
                questions.insert((group, kind.resource(), key.clone(), name.clone()));
            }
        }
    }
    questions
}

/// Whether the new rules allow what the old ones do not.
fn adds(old: &[PolicyRule], new: &[PolicyRule], cluster: bool) -> bool {
    questions([old, new], cluster).iter().any(|(api_group, resource, subresource, name)| {
        let verb = Mode::Legacy.identity_verb();
        let request = Attributes { verb, api_group, resource, subresource, name, ..Attributes::default() };
        new.iter().any(|rule| allows(rule, &request)) && !old.iter().any(|rule| allows(rule, &request))
    })
}

/// The roles of random worlds, each with a name of its own.
fn roles(generator: &mut Generator, count: usize) -> Vec<Value> {
    let mut roles = Vec::new();
    while roles.len() < count {
        roles.extend(generator.world().into_iter().filter(|object| object["rules"].is_array()));
    }
    roles.truncate(count);
    for (index, role) in roles.iter_mut().enumerate() {
        role["metadata"]["name"] = json!(format!("role-{index}"));
        role.as_object_mut().unwrap().remove("aggregationRule");
        if role["kind"] == "Role" {
            role["metadata"]["namespace"] = json!("apps");
        }
    }
    roles
}

/// What might become of a role.
fn changed(rng: &mut Rng, role: &Value, other: &Value) -> Value {
    let mut role = role.clone();
    let mut rules = role["rules"].as_array().unwrap().clone();
    for _ in 0..rng.usize(1..4) {
        if rules.is_empty() {
            break;
        }
        let (at, from) = (rng.usize(0..rules.len()), rng.usize(0..rules.len()));
        match rng.u32(0..12) {
            0 => rng.shuffle(&mut rules),
            1 => drop(rules.remove(at)),
            2 => rules.push(rules[at].clone()),
            3 => rules.extend(other["rules"].as_array().unwrap().iter().take(1).cloned()),
            // Two rules become one; and the names of one change, or go.
            4 => {
                let merged = rules[from].clone();
                for (key, values) in merged.as_object().unwrap() {
                    if let Some(own) = rules[at].get_mut(key).and_then(Value::as_array_mut) {
                        own.extend(values.as_array().unwrap().iter().cloned());
                    }
                }
            }
            5 => {
                rules[at]["resources"] =
                    other["rules"][0]["resources"].as_array().map_or(json!(["*"]), |own| json!(own))
            }
            6 => rules[at]["verbs"] = json!(["impersonate"]),
            7 => rules[at]["resourceNames"] = json!(["panda", "deputy", "other", ""][at % 4..=at % 4]),
            8 => drop(rules[at].as_object_mut().unwrap().remove("resourceNames")),
            _ => {
                let key = ["resourceNames", "resourceNames", "resources", "apiGroups", "verbs"][rng.usize(0..5)];
                if let Some(values) = rules[at].get_mut(key).and_then(Value::as_array_mut).filter(|own| own.len() > 1) {
                    values.remove(rng.usize(0..values.len()));
                }
            }
        }
    }
    // The API server takes no names where there are no resources.
    for rule in rules.iter_mut().filter(|rule| rule["nonResourceURLs"].is_array()) {
        *rule = json!({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]});
    }
    if role["kind"] == "Role" {
        rules.retain(|rule| rule["nonResourceURLs"].is_null());
    }
    role["rules"] = json!(rules);
    role
}

/// The objects as an inventory has them.
fn read(roles: &[Value]) -> Vec<Role> {
    let read = inventory(roles).roles;
    assert_eq!(read.len(), roles.len());
    read
}

#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn the_guard_judges_roles_as_the_engine_does() {
    let mut guarded = Guarded::start();
    let seed = number("DEPUTIZE_SEED", 1);
    let mut rng = Rng::with_seed(seed as u64);
    let old = roles(&mut Generator::new(seed as u64), number("DEPUTIZE_ROLES", 1_000));
    let new: Vec<Value> =
        old.iter().zip(old.iter().cycle().skip(1)).map(|(role, other)| changed(&mut rng, role, other)).collect();
    guarded.admin("create", &old);
    guarded.install(&[], &["--mode", "deny"]);

    for (what, roles) in [("create", &old), ("replace", &new)] {
        let created = what == "create";
        let mut roles = roles.clone();
        if created {
            for role in &mut roles {
                role["metadata"]["name"] = json!(format!("new-{}", role["metadata"]["name"].as_str().unwrap()));
            }
        }
        let path = guarded.write("roles.json", &roles);
        let run = guarded.cluster.kubectl.run("admin", &[what, "--dry-run=server", "-o", "name", "-f", &path]);
        let passed: BTreeSet<&str> = run.stdout.lines().map(|line| line.split_once('/').unwrap().1).collect();
        let [mut refused, mut kept] = [0, 0];
        for (old, new) in read(&old).iter().zip(read(&roles)) {
            let name = new.meta.name.as_str();
            let cluster = !new.meta.kind.is_namespaced();
            let before = if created { &[][..] } else { &old.rules };
            let expected = adds(before, &new.rules, cluster);
            assert_eq!(!passed.contains(name), expected, "{what} {name}: {before:#?} {:#?}", new.rules);
            refused += usize::from(expected);
            kept += usize::from(!expected && adds(&[], &new.rules, cluster));
        }
        let by_guard = run.stderr.matches("with binding 'deputize-guard' denied request").count();
        println!("{what}: {} roles, {refused} refused, {kept} with grants that they had", roles.len());
        assert_eq!(by_guard, refused, "{}", run.stderr);
        assert!(refused > roles.len() / 20 && (created || kept > roles.len() / 20));
    }
}
