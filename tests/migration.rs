//! What a migration promises, over random worlds and evidence: nothing lost, nothing widened, everything that has a
//! constrained form served by it. The states are judged as they are read back from the text that is written, by the
//! engine here and by upstream's own code in `tests/upstream.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::migration::{answers, evidence, inventory, is_real, migrate, options, read, readings};
use common::number;
use common::world::Generator;
use deputize::authority::{Memberships, Mode, constrained_modes};
use deputize::evidence::{Evidence, ImplicitGroups, OwnedRequest, read_log};
use deputize::grants::Grants;
use deputize::inventory::{PolicyRule, Text};
use deputize::migrate::{Identities, Kept, Options, Outcome, Unserved, VerifyOptions, verify, widened};
use serde_json::{Value, json};

const WORLDS: usize = 100;
const REQUESTS: usize = 150;

#[test]
fn nothing_is_lost_and_nothing_is_widened() {
    let seed = number("DEPUTIZE_SEED", 77) as u64;
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    let mut probes_refused = 0;
    for index in 0..number("DEPUTIZE_WORLDS", WORLDS) {
        let mut generator = Generator::new(seed.wrapping_mul(1_000_003).wrapping_add(index as u64));
        let world = generator.world();
        let observed: Vec<Value> = (0..REQUESTS).map(|_| generator.request()).collect();
        let probes: Vec<Value> = (0..REQUESTS * 2).map(|_| generator.request()).collect();
        let evidence = evidence(&world, &observed);
        let checked = migrate(&world, &evidence, options(index), |plan, states| {
            let (between, after) = (inventory(&states.between), inventory(&states.after));
            // Every reading that the world allows must be allowed after each stage.
            let all: Vec<Vec<OwnedRequest>> = plan.requests.iter().map(|planned| readings(planned.request)).collect();
            let flat: Vec<OwnedRequest> = all.iter().flatten().cloned().collect();
            let [befores, betweens, afters] = [&inventory(&world), &between, &after].map(|state| answers(state, &flat));
            let mut at = 0;
            for (planned, readings) in plan.requests.iter().zip(all) {
                let range = at..at + readings.len();
                at = range.end;
                // These modes take no other header, and the evidence says that one of them served the request.
                let certain = [Mode::ServiceAccount, Mode::AssociatedNode, Mode::ArbitraryNode];
                let is_certain = befores[range.start].0.is_some_and(|mode| certain.contains(&mode));
                let answered: Vec<_> = range
                    .zip(&readings)
                    .filter(|(at, _)| befores[*at].0.is_some())
                    .take(if is_certain { 1 } else { usize::MAX })
                    .collect();
                for (at, reading) in &answered {
                    let (before, after) = (befores[*at], afters[*at]);
                    let context = || format!("world {index}: {reading:?}\nbefore {before:?}, after {after:?}");
                    assert!(betweens[*at].0.is_some() && after.0.is_some(), "lost: {}", context());
                    assert!(after.1 || !before.1, "the final answer is lost: {}", context());
                }
                let context = || format!("world {index}: {:?}, {answered:?}", planned.request);
                let worst = |answers: &[(Option<Mode>, bool)]| {
                    let legacy = answered.iter().any(|(at, _)| answers[*at].0 == Some(Mode::Legacy));
                    if legacy { Some(Mode::Legacy) } else { answers[answered[0].0].0 }
                };
                let after = worst(&afters);
                assert_eq!(planned.before, worst(&befores), "{}", context());
                assert_eq!(planned.after == Some(Mode::Legacy), after == Some(Mode::Legacy), "{}", context());
                let constrained = after.is_some_and(|mode| mode != Mode::Legacy);
                assert_eq!(planned.reason.is_none(), constrained, "{}", context());
                *totals.entry(planned.reason.map_or("constrained", Unserved::as_str).to_owned()).or_default() += 1;
                // A request of which every reading has a constrained form is served by it, unless that would widen.
                let has_form =
                    |reading: &OwnedRequest| constrained_modes(&reading.requestor, &reading.headers).next().is_some();
                let forms = answered.iter().filter(|(_, reading)| has_form(reading)).count();
                let expected: &[&str] = match forms {
                    _ if constrained => &[],
                    0 => &["no-constrained-form"],
                    all if all == answered.len() => &["would-widen"],
                    _ => &["ambiguous-headers", "would-widen"],
                };
                let reason = planned.reason.map(Unserved::as_str);
                assert!(reason.is_none_or(|reason| expected.contains(&reason)), "{expected:?}: {}", context());
            }
            // The same as they were sent, with the values of extras that the evidence hides.
            let sent = read(&observed);
            let [was, is] = [&inventory(&world), &after].map(|state| answers(state, &sent));
            for ((request, was), is) in sent.iter().zip(was).zip(is) {
                assert!(was.0.is_none() || is.0.is_some(), "world {index}: lost as it was sent: {request:?}");
            }
            // Other requests: what was refused is refused.
            let seen: BTreeSet<_> = plan.requests.iter().map(|planned| &planned.request.requestor).collect();
            let mut probes = read(&probes);
            probes.retain(|probe| is_real(&probe.requestor) || seen.contains(&probe.requestor));
            let was = answers(&inventory(&world), &probes);
            for state in [&between, &after] {
                for ((probe, was), is) in probes.iter().zip(&was).zip(answers(state, &probes)) {
                    assert!(was.0.is_some() || is.0.is_none(), "world {index}: widened: {probe:?} by {is:?}");
                    probes_refused += usize::from(was.0.is_none());
                }
            }
        });
        if let Err(unproven) = checked {
            panic!("world {index}: {:?}", unproven.0);
        }
    }
    println!("{totals:?}; {probes_refused} refused requests tried");
    assert!(totals["constrained"] > 500 && totals["no-constrained-form"] > 100, "{totals:?}");
}

/// The decision over the rules against requests: where it finds nothing, no request tells two worlds apart.
#[test]
fn what_is_widened_is_found_over_the_rules() {
    let (mut silent, mut told, mut seen) = (0, 0, 0);
    for index in 0..number("DEPUTIZE_WORLDS", 200) {
        let mut generator = Generator::new(9_000_000 + index as u64);
        // One world, and the same with an object more or less.
        let before = generator.world();
        let mut after = before.clone();
        if index % 2 == 0 {
            let other = generator.world();
            let object = other.into_iter().find(|object| object["kind"] == "ClusterRole").unwrap();
            after.retain(|known| known["metadata"]["name"] != object["metadata"]["name"]);
            after.push(object);
        } else {
            let mut binding =
                after.iter().find(|object| object["kind"] == "ClusterRoleBinding").cloned().unwrap_or_default();
            binding["metadata"]["name"] = "another".into();
            binding["roleRef"]["name"] = format!("cr{}", index % 4).into();
            after.push(binding);
        }
        let (before, after) = (inventory(&before), inventory(&after));
        let found = widened(&Grants::new(&before), &Grants::new(&after), &Memberships::default());
        let requests: Vec<Value> = (0..500).map(|_| generator.request()).collect();
        let mut requests = read(&requests);
        requests.retain(|request| is_real(&request.requestor));
        let more = answers(&before, &requests)
            .into_iter()
            .zip(answers(&after, &requests))
            .zip(&requests)
            .find(|((before, after), _)| before.0.is_none() && after.0.is_some());
        if let Some((answers, request)) = more {
            assert!(!found.is_empty(), "world {index}: not found: {request:?} {answers:?}");
            seen += 1;
        }
        if found.is_empty() { silent += 1 } else { told += 1 }
    }
    println!("{told} widened, {silent} not; {seen} seen by requests");
    assert!(silent > 20 && seen > 20);
}

/// A group that only looks like one of the server's own is a group like any other, which a person may be in.
#[test]
fn an_action_for_a_group_with_a_name_like_the_servers_own_is_widening() {
    let role = |name: &str, rule: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]});
    let binding = |name: &str, kind: &str, subject: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
               "subjects": [{"kind": kind, "name": subject}]})
    };
    let whom =
        json!({"apiGroups": ["authentication.k8s.io"], "resources": ["users"], "verbs": ["impersonate:user-info"]});
    let what = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:user-info:get"]});
    let before = vec![role("whom", whom), binding("whom", "User", "alice")];
    for (group, user, expected) in [
        ("system:serviceaccounts-team", "alice", 1),
        ("system:serviceaccounts:", "alice", 1),
        ("system:serviceaccounts:Apps", "alice", 1),
        ("devs", "alice", 1),
        ("system:serviceaccounts", "alice", 0),
        ("system:serviceaccounts:apps", "alice", 0),
    ] {
        let added = vec![role("what", what.clone()), binding("what", "Group", group)];
        let after = [before.clone(), added].concat();
        let (before, after) = (inventory(&before), inventory(&after));
        let told = verify(&before, &after, &Evidence::default(), &VerifyOptions::default()).widened;
        assert_eq!(told.len(), expected, "{group}: {told:?}");
        let request = json!({"user": user, "groups": [group], "impersonate": {"user": "panda"}, "verb": "get", "resource": "pods"});
        let request = read(&[request]);
        assert_eq!([&before, &after].map(|state| answers(state, &request)[0].0.is_some()), [false, true], "{group}");
    }
}

/// A proxy that asks for the verb itself finds it after the cut-over, for those whom it was seen to ask about.
#[test]
fn who_is_asked_about_by_others_keeps_the_literal_verb() {
    let role = |name: &str, api_group: &str, resource: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
               "rules": [{"verbs": ["impersonate"], "apiGroups": [api_group], "resources": [resource]}]})
    };
    let binding = |name: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
               "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "support"}]})
    };
    // To the API server the second is dead: it looks for UIDs in another group. The proxy does not.
    let world = [role("users", "", "users"), binding("users"), role("odd", "", "uids"), binding("odd")];
    let review = |resource: &str, name: &str| {
        json!({"schema": "deputize.evidence/v1", "count": 1, "first": "a", "last": "b", "review": {
               "asker": "system:serviceaccount:proxy:proxy", "user": "alice", "groups": ["support"],
               "verb": "impersonate", "apiGroup": "", "resource": resource, "subresource": "", "namespace": "", "name": name}})
    };
    let request = json!({"user": "alice", "groups": ["support"], "impersonate": {"user": "koala"}, "verb": "list",
                         "resource": "pods", "namespace": "shop"});
    let mut evidence = evidence(&world, &[request]);
    let lines = format!("{}\n{}\n", review("users", "panda"), review("uids", "u-1"));
    read_log(lines.as_bytes(), &mut evidence).unwrap();
    for (identities, outcome, legacy) in [
        (Identities::Granted, "Kept", ["users []", "uids []"]),
        (Identities::Observed, "Narrowed", ["users [\"panda\"]", "uids [\"u-1\"]"]),
    ] {
        let options = Options { identities, ..Options::default() };
        let outcomes = migrate(&world, &evidence, options, |plan, states| {
            let after = inventory(&states.after);
            let rules = after.roles.iter().flat_map(|role| &role.rules);
            let rules = rules.filter(|rule| rule.verbs[0].as_str() == "impersonate");
            let names =
                |rule: &PolicyRule| rule.resource_names.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
            let rules: Vec<_> = rules.map(|rule| format!("{} {:?}", rule.resources[0].as_str(), names(rule))).collect();
            assert_eq!(rules, legacy);
            assert_eq!(plan.requests[0].after, Some(Mode::UserInfo));
            plan.grants.iter().map(|planned| format!("{:?} {:?}", planned.outcome, planned.modes)).collect::<Vec<_>>()
        });
        let expected = [format!("{outcome}(LiteralVerb) [UserInfo]"), format!("{outcome}(LiteralVerb) []")];
        assert_eq!(outcomes.unwrap(), expected);
    }
}

/// Whoever takes the answer yes to a review away is told so, also if someone else has written the manifests.
#[test]
fn a_review_that_is_told_no_is_found() {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "users"},
                      "rules": [{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                         "metadata": {"name": "users"}, "subjects": [{"kind": "User", "name": "alice"}],
                         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "users"}});
    let lines = ["koala", "panda"].map(|name| {
        json!({"schema": "deputize.evidence/v1", "count": 1, "first": "a", "last": "b", "review": {
               "asker": "proxy", "user": "alice", "groups": [], "verb": "impersonate", "apiGroup": "",
               "resource": "users", "subresource": "", "namespace": "", "name": name}})
        .to_string()
    });
    let mut evidence = Evidence::default();
    read_log(lines.join("\n").as_bytes(), &mut evidence).unwrap();
    let (before, after) = (inventory(&[role.clone(), binding]), inventory(&[role]));
    let told = |after| verify(&before, after, &evidence, &VerifyOptions::default()).reviews;
    assert_eq!(told(&after), [("proxy".to_owned(), "alice".to_owned())]);
    assert_eq!(told(&before), []);
}

/// What a log shows a part of may be in use: it stays, unless a person says what for.
#[test]
fn what_is_only_glimpsed_is_not_taken_away() {
    let role = |name: &str, resource: &str, names: &[&str]| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
               "rules": [{"verbs": ["impersonate"], "apiGroups": [""], "resources": [resource], "resourceNames": names}]})
    };
    let binding = |name: &str, subject: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
               "subjects": [subject]})
    };
    let alice = json!({"kind": "User", "name": "alice"});
    let accounts = json!({"kind": "Group", "name": "system:serviceaccounts:apps"});
    let world = [
        role("a-panda", "users", &["panda"]),
        binding("a-panda", alice.clone()),
        role("b-koala", "users", &["koala"]),
        binding("b-koala", alice.clone()),
        role("c-groups", "groups", &[]),
        binding("c-groups", alice.clone()),
        role("d-accounts", "serviceaccounts", &["app"]),
        binding("d-accounts", accounts),
    ];
    let request = json!({"user": "alice", "impersonate": {"user": "koala"}, "verb": "list", "resource": "nodes"});
    let mut evidence = evidence(&world, &[request]);
    let entry = |requestor: &str, user: &str| {
        json!({"protoPayload": {"serviceName": "k8s.io", "authenticationInfo": {
               "principalEmail": requestor, "authoritySelector": user}}})
        .to_string()
    };
    let log = [entry("alice", "panda"), entry("system:serviceaccount:apps:x", "system:serviceaccount:shop:app")];
    read_log(log.join("\n").as_bytes(), &mut evidence).unwrap();
    let outcomes = migrate(&world, &evidence, Options::default(), |plan, _| {
        let glimpsed = plan.warnings.iter().any(|warning| warning.contains("alice as panda"));
        (glimpsed, plan.grants.iter().map(|planned| planned.outcome).collect::<Vec<_>>())
    });
    let stays = Outcome::Kept(Kept::OnlyGlimpsed);
    assert_eq!(outcomes.unwrap(), (true, vec![stays, Outcome::Replaced, stays, stays]));
}

/// A grant beside a constrained one that serves all that was seen is not used, and its holder was seen.
#[test]
fn what_a_constrained_grant_serves_already_is_dropped() {
    let role = |name: &str, rules: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let binding = |name: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
               "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}]})
    };
    let world = [
        role(
            "old",
            json!([{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["panda"]}]),
        ),
        binding("old"),
        role(
            "new",
            json!([
            {"verbs": ["impersonate:user-info"], "apiGroups": ["authentication.k8s.io"], "resources": ["users"], "resourceNames": ["panda"]},
            {"verbs": ["impersonate-on:user-info:list"], "apiGroups": [""], "resources": ["pods"]}]),
        ),
        binding("new"),
    ];
    let request = json!({"user": "alice", "impersonate": {"user": "panda"}, "verb": "list", "resource": "pods", "namespace": "shop"});
    let evidence = evidence(&world, &[request]);
    let outcome = migrate(&world, &evidence, Options::default(), |plan, _| {
        assert_eq!((plan.requests[0].before, plan.requests[0].after), (Some(Mode::UserInfo), Some(Mode::UserInfo)));
        plan.grants[0].outcome
    });
    assert_eq!(outcome.unwrap(), Outcome::Dropped(None));
}

/// Narrowed to what was seen, a kind of identity that was never seen is not granted.
#[test]
fn observed_identities_are_those_and_no_others() {
    let world = [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "old"},
               "rules": [{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users", "groups"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "old"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "old"},
               "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}]}),
    ];
    let request = json!({"user": "alice", "impersonate": {"user": "panda"}, "verb": "list", "resource": "nodes"});
    let evidence = evidence(&world, &[request]);
    let migrated = |implicit_groups| {
        let options = Options { identities: Identities::Observed, implicit_groups, ..Options::default() };
        migrate(&world, &evidence, options, |plan, states| {
            let outcomes: Vec<Outcome> = plan.grants.iter().map(|planned| planned.outcome).collect();
            let after = inventory(&states.after);
            let identities = after.roles.iter().flat_map(|role| role.rules.clone());
            let identities = identities.filter(|rule| rule.verbs[0].as_str() == "impersonate:user-info");
            let words = |texts: &[Text]| texts.iter().map(|text| text.value.to_string()).collect::<Vec<_>>().join(",");
            let rules = identities.map(|rule| format!("{} {}", words(&rule.resources), words(&rule.resource_names)));
            (outcomes, rules.collect::<Vec<_>>())
        })
        .unwrap()
    };
    let users = "users panda".to_owned();
    assert_eq!(
        migrated(ImplicitGroups::NotSent),
        (vec![Outcome::Replaced, Outcome::Dropped(None)], vec![users.clone()])
    );
    // The log cannot tell whether the group that the server adds was sent, too.
    let groups = "groups system:authenticated".to_owned();
    for unsure in [ImplicitGroups::Unknown, ImplicitGroups::Sent] {
        assert_eq!(migrated(unsure), (vec![Outcome::Replaced; 2], vec![users.clone(), groups.clone()]));
    }
}
