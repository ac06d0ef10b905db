//! Migrations of clients whose headers a log cannot tell apart, or change from session to session. The states are
//! answered by the engine; `tests/live_migration.rs` asks a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::migration::{States, answers, inventory, migrate, read};
use deputize::authority::{Mode, Username};
use deputize::evidence::{Evidence, HeaderHint, Impersonator, ImplicitGroups, read_log};
use deputize::migrate::{
    ActionScope, Advice, Identities, Kept, Options, Outcome, Plan, Unserved, VerifyOptions, verify,
};
use serde_json::{Value, json};

const PROXY: &str = "system:serviceaccount:gate:proxy";

/// A ClusterRole with rules `(group, resources, names)`, bound to the proxy.
fn world(rules: &[(&str, &[&str], &[&str])]) -> Vec<Value> {
    let rules: Vec<Value> = rules
        .iter()
        .map(|(group, resources, names)| {
            json!({"verbs": ["impersonate"], "apiGroups": [group], "resources": resources, "resourceNames": names})
        })
        .collect();
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "proxy"},
                      "rules": rules});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                         "metadata": {"name": "proxy"},
                         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "proxy"},
                         "subjects": [{"kind": "ServiceAccount", "namespace": "gate", "name": "proxy"}]});
    vec![role, binding]
}

/// An audit event of a list of pods in a namespace, as a user with groups and extras.
fn event(namespace: &str, user: &str, groups: &[&str], extra: Value) -> String {
    json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": "list",
           "requestURI": format!("/api/v1/namespaces/{namespace}/pods"),
           "user": {"username": PROXY, "groups": ["system:serviceaccounts", "system:serviceaccounts:gate", "system:authenticated"]},
           "impersonatedUser": {"username": user, "groups": groups, "extra": extra},
           "objectRef": {"resource": "pods", "namespace": namespace, "apiVersion": "v1"},
           "requestReceivedTimestamp": "2026-03-01T00:00:00Z"})
    .to_string()
}

fn evidence(events: &[String]) -> Evidence {
    let mut evidence = Evidence::default();
    read_log(events.join("\n").as_bytes(), &mut evidence).unwrap();
    evidence
}

/// Whether the proxy may list pods in a namespace, with these headers.
fn allowed(state: &[Value], namespace: &str, impersonate: Value) -> bool {
    let request = json!({"user": PROXY, "verb": "list", "resource": "pods", "namespace": namespace,
                         "impersonate": impersonate});
    answers(&inventory(state), &read(&[request]))[0].0.is_some()
}

fn outcomes(plan: &Plan<'_>) -> Vec<Outcome> {
    plan.grants.iter().map(|planned| planned.outcome).collect()
}

#[test]
fn kept_grants_stay_as_broad_as_they_were() {
    let world = world(&[
        ("", &["users", "groups"], &[]),
        ("authentication.k8s.io", &["userextras/session", "userextras/tenant"], &[]),
    ]);
    let log = [event("shop", "u-1", &["gate:users", "system:authenticated"], json!({"session": ["s-1"]}))];
    let tomorrow = json!({"user": "u-9", "groups": ["gate:users", "system:authenticated"],
                          "extra": {"session": ["s-9"], "tenant": ["t"]}});
    let look = |plan: &Plan<'_>, states: &States| (outcomes(plan), allowed(&states.after, "shop", tomorrow.clone()));
    let granted = migrate(&world, &evidence(&log), Options::default(), look).unwrap();
    assert_eq!(granted, (vec![Outcome::Kept(Kept::NoConstrainedForm); 4], true));
    let options = Options { identities: Identities::Observed, ..Options::default() };
    let (observed, works) = migrate(&world, &evidence(&log), options, look).unwrap();
    let narrowed = Outcome::Narrowed(Kept::NoConstrainedForm);
    // Users and groups are cut to those seen, a key that was not seen is dropped, and values of extras are left alone.
    assert_eq!(observed, [narrowed, narrowed, Outcome::Kept(Kept::NoConstrainedForm), Outcome::Dropped(None)]);
    assert!(!works);
}

#[test]
fn a_group_that_the_server_adds_may_have_been_sent() {
    let log = [event("shop", "wendy", &["system:authenticated"], json!({}))];
    for resources in [&["users", "groups"][..], &["*"]] {
        let world = world(&[("", resources, &[])]);
        for identities in [Identities::Granted, Identities::Observed] {
            let options = Options { identities, ..Options::default() };
            migrate(&world, &evidence(&log), options, |plan, states| {
                assert_eq!(plan.requests[0].after, Some(Mode::UserInfo));
                for groups in [&[][..], &["system:authenticated"]] {
                    let headers = json!({"user": "wendy", "groups": groups});
                    assert!(allowed(&states.after, "shop", headers), "{resources:?} {identities:?} {groups:?}");
                }
            })
            .unwrap();
        }
    }
}

#[test]
fn an_account_with_its_own_groups_stays_legacy_unless_a_person_knows_better() {
    let world = world(&[
        ("", &["groups"], &["system:serviceaccounts", "system:serviceaccounts:apps"]),
        ("", &["serviceaccounts"], &[]),
    ]);
    let account = "system:serviceaccount:apps:bot";
    assert!(matches!(Username::parse(account), Username::ServiceAccount { .. }));
    let own = ["system:serviceaccounts", "system:serviceaccounts:apps"];
    let log = [event("shop", account, &[own[0], own[1], "system:authenticated"], json!({}))];
    let evidence = evidence(&log);
    let proxy = Impersonator::parse(PROXY).unwrap();
    let hint = |implicit_groups| vec![HeaderHint { impersonator: Some(proxy.clone()), implicit_groups }];
    for (implicit_groups, hints, reason) in [
        (ImplicitGroups::Unknown, vec![], Some("ambiguous-headers")),
        (ImplicitGroups::Sent, vec![], Some("no-constrained-form")),
        (ImplicitGroups::NotSent, vec![], None),
        (ImplicitGroups::Unknown, hint(ImplicitGroups::NotSent), None),
        (ImplicitGroups::NotSent, hint(ImplicitGroups::Unknown), Some("ambiguous-headers")),
    ] {
        let options = Options { implicit_groups, header_hints: &hints, ..Options::default() };
        migrate(&world, &evidence, options, |plan, states| {
            let (before, after) = (inventory(&world), inventory(&states.after));
            assert_eq!(plan.requests[0].reason.map(Unserved::as_str), reason);
            assert!(allowed(&states.after, "shop", json!({"user": account})));
            let sent = allowed(&states.after, "shop", json!({"user": account, "groups": own}));
            assert_eq!(sent, reason.is_some());
            let options = VerifyOptions { implicit_groups, ..VerifyOptions::default() };
            let verified = verify(&before, &after, &evidence, &options);
            if hints.is_empty() {
                assert_eq!(verified.requests[0].is_constrained(), reason.is_none());
            }
            // Without being told, the proof does not hold.
            let strict = verify(&before, &after, &evidence, &VerifyOptions::default());
            assert_eq!(strict.requests[0].is_lost(), reason.is_none());
        })
        .unwrap();
    }
}

#[test]
fn a_mode_that_takes_no_groups_shows_that_none_were_sent() {
    let mut world = world(&[("", &["groups", "serviceaccounts"], &[])]);
    let rules = &mut world[0]["rules"];
    let more = [
        json!({"verbs": ["impersonate:serviceaccount"], "apiGroups": ["authentication.k8s.io"], "resources": ["serviceaccounts"]}),
        json!({"verbs": ["impersonate-on:serviceaccount:list"], "apiGroups": [""], "resources": ["pods"]}),
    ];
    rules.as_array_mut().unwrap().extend(more);
    let account = "system:serviceaccount:apps:bot";
    let groups = ["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"];
    let mut event: Value = serde_json::from_str(&event("shop", account, &groups, json!({}))).unwrap();
    event["authenticationMetadata"] = json!({"impersonationConstraint": "impersonate:serviceaccount"});
    let evidence = evidence(&[event.to_string()]);
    migrate(&world, &evidence, Options::default(), |plan, _| {
        assert_eq!(outcomes(plan), [Outcome::Dropped(None); 2]);
        assert_eq!(plan.requests[0].reason, None);
    })
    .unwrap();
}

#[test]
fn actions_are_granted_everywhere_beyond_twenty_namespaces() {
    let world = world(&[("", &["users"], &[])]);
    let log = |namespaces: usize| -> Vec<String> {
        (0..namespaces).map(|at| event(&format!("ns{at}"), "ann", &["system:authenticated"], json!({}))).collect()
    };
    for (namespaces, scope, everywhere) in [
        (20, ActionScope::Auto, false),
        (21, ActionScope::Auto, true),
        (21, ActionScope::Namespace, false),
        (1, ActionScope::Cluster, true),
    ] {
        let options = Options { action_scope: scope, ..Options::default() };
        migrate(&world, &evidence(&log(namespaces)), options, |plan, states| {
            assert_eq!(allowed(&states.after, "new", json!({"user": "ann"})), everywhere, "{namespaces} {scope:?}");
            let warned = plan.warnings.iter().any(|warning| warning.contains("new namespace"));
            assert_eq!(warned, !everywhere, "{:?}", plan.warnings);
        })
        .unwrap();
    }
}

#[test]
fn one_client_can_be_moved_first() {
    let mut world = world(&[("", &["users"], &[])]);
    world[1]["subjects"].as_array_mut().unwrap().push(json!({"kind": "User", "name": "carol"}));
    let mut of_carol: Value =
        serde_json::from_str(&event("shop", "ann", &["system:authenticated"], json!({}))).unwrap();
    of_carol["user"] = json!({"username": "carol", "groups": ["system:authenticated"]});
    let log = [event("shop", "ann", &["system:authenticated"], json!({})), of_carol.to_string()];
    let only = [Impersonator::parse("User/carol").unwrap()];
    let options = Options { only: &only, ..Options::default() };
    migrate(&world, &evidence(&log), options, |plan, states| {
        let of: BTreeSet<String> = plan.grants.iter().map(|planned| format!("{:?}", planned.outcome)).collect();
        assert_eq!(of, ["Kept(NotSelected)".to_owned(), "Replaced".to_owned()].into());
        let modes: Vec<_> =
            plan.requests.iter().map(|planned| (planned.request.requestor.name.as_str(), planned.after)).collect();
        assert_eq!(modes, [("carol", Some(Mode::UserInfo)), (PROXY, Some(Mode::Legacy))]);
        assert!(allowed(&states.after, "anywhere", json!({"user": "someone else"})));
    })
    .unwrap();
}

#[test]
fn refusals_get_advice_that_works_or_are_said_to_be_final() {
    let refused = |message: &str| {
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": "list",
               "requestURI": "/api/v1/namespaces/shop/pods", "user": {"username": PROXY, "groups": []},
               "objectRef": {"resource": "pods", "namespace": "shop", "apiVersion": "v1"},
               "responseStatus": {"code": 403, "message": message}, "requestReceivedTimestamp": "2026-03-01T00:00:00Z"})
        .to_string()
    };
    let cannot = |resource: &str, name: &str| {
        let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        refused(&format!(
            "{resource}.authentication.k8s.io{named} is forbidden: User \"{PROXY}\" cannot impersonate:user-info resource \
             \"{resource}\" in API group \"authentication.k8s.io\" at the cluster scope"
        ))
    };
    let log =
        [cannot("groups", "system:masters"), cannot("groups", ""), cannot("userextras", ""), cannot("groups", "devs")];
    // Even a grant of every group does not help against the first two.
    let mut all = world(&[("", &["users"], &[])]);
    all[0]["rules"].as_array_mut().unwrap().push(
        json!({"verbs": ["impersonate:user-info"], "apiGroups": ["authentication.k8s.io"], "resources": ["groups"]}),
    );
    for (world, devs_allowed) in [(world(&[("", &["users"], &[])]), false), (all, true)] {
        let inventory = inventory(&world);
        let evidence = evidence(&log);
        let verified = verify(&inventory, &inventory, &evidence, &VerifyOptions::default());
        let advice = |words: &str| verified.denials.iter().find(|denial| denial.check.contains(words)).unwrap();
        let refused = verified.denials.iter().filter(|denial| matches!(denial.advice, Advice::Impossible(_)));
        assert_eq!(refused.clone().count(), 3, "{:?}", verified.denials);
        assert!(refused.clone().all(|denial| !denial.allowed_now && !denial.check.contains("devs")));
        assert_eq!(advice("named \"devs\"").allowed_now, devs_allowed);
        assert!(matches!(&advice("named \"devs\"").advice, Advice::Rules(rules) if rules.len() == 1));
    }
}
