//! The engine against upstream's own code: millions of random questions over random worlds, no disagreement.
//!
//! `tests/upstream/build oracle` makes the oracle, which puts each request through the API server's own impersonation
//! filter and RBAC authorizer. It judges migrations too: what a plan promises is asked of it. Run with `cargo test --release --test upstream -- --ignored --nocapture`.
//! `DEPUTIZE_SEED` and `DEPUTIZE_WORLDS` choose other worlds, and more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::migration::{States, evidence, is_real, migrate, options, readings};
use common::number;
use common::upstream::Upstream;
use common::world::{Generator, shrink};
use deputize::authority::{Authorizer, Feature, Mode, constrained_modes, decide_remembering};
use deputize::evidence::{OwnedRequest, read_request};
use deputize::grants::Grants;
use deputize::inventory::{Inventory, load_bytes};
use deputize::migrate::{Plan, Unserved};
use deputize::output::evidence::write_evidence;
use deputize::output::simulate::write_decision;
use fastrand::Rng;
use serde_json::{Value, json};

const WORLDS: usize = 1_200;
const REQUESTS_PER_WORLD: usize = 1_000;
/// Worlds that are migrated.
const MIGRATIONS: usize = 400;
const OBSERVED_PER_MIGRATION: usize = 150;
const PROBES_PER_MIGRATION: usize = 300;
/// Worlds for a live server, which is started anew for each.
const LIVE_WORLDS: usize = 20;
const REQUESTS_PER_LIVE_WORLD: usize = 550;
const SERVERS: [&str; 2] = ["etcd", "kube-apiserver"];

/// Our own answers, by way of the lines that `simulate` reads and writes. A live server remembers for each requestor the
/// mode that served it last, and its requests are in order; the oracle forgets.
fn answers(world: &[Value], constrained: bool, requests: &[Value], remembers: bool) -> Vec<Value> {
    let text = json!({"apiVersion": "v1", "kind": "List", "items": world}).to_string();
    let inventory: Inventory = load_bytes("world.json", text.as_bytes());
    assert_eq!(inventory.problems, [], "{text}");
    let grants = Grants::new(&inventory);
    let authorizer = Authorizer::new(&inventory, grants.rules(), grants.links());
    let feature = if constrained { Feature::Constrained } else { Feature::LegacyOnly };
    let mut remembered: BTreeMap<String, Mode> = BTreeMap::new();
    let mut answer = |request: &Value| {
        let owned = read_request(request.to_string().as_bytes()).unwrap();
        let request = owned.as_request();
        let last = remembered.get(&owned.requestor.name).copied();
        let decision = decide_remembering(&authorizer, &request, feature, last);
        if let (true, Some(mode)) = (remembers, decision.mode()) {
            remembered.insert(owned.requestor.name.clone(), mode);
        }
        let mut line = Vec::new();
        write_decision(&mut line, &request, &decision);
        serde_json::from_slice(&line).unwrap()
    };
    requests.iter().map(&mut answer).collect()
}

/// What a live server tells of a request.
fn visible(answer: &Value) -> [&Value; 4] {
    ["impersonation", "mode", "as", "request"].map(|key| &answer[key])
}

/// What is compared: everything but the words of the reason.
fn without_reason(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("reason");
    answer
}

fn disagree(oracle: &mut Upstream, world: &[Value], constrained: bool, request: &Value) -> bool {
    let requests = std::slice::from_ref(request);
    let theirs = oracle.ask(world, constrained, requests);
    let ours = answers(world, constrained, requests, false);
    without_reason(theirs[0].clone()) != without_reason(ours[0].clone())
}

#[test]
#[ignore = "needs Go: builds upstream's filter and authorizer from the module proxy"]
fn the_engine_answers_as_upstream_does() {
    let mut oracle = Upstream::start("oracle", &[], &[]);
    let seed = number("DEPUTIZE_SEED", 5284) as u64;
    let worlds = number("DEPUTIZE_WORLDS", WORLDS);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut total = 0;
    for index in 0..worlds {
        let mut generator = Generator::new(seed.wrapping_mul(1_000_003).wrapping_add(index as u64));
        let world = generator.world();
        let requests: Vec<Value> = (0..REQUESTS_PER_WORLD).map(|_| generator.request()).collect();
        let constrained = index % 2 == 0;
        let theirs = oracle.ask(&world, constrained, &requests);
        let ours = answers(&world, constrained, &requests, false);
        for ((request, theirs), ours) in requests.iter().zip(theirs).zip(ours) {
            total += 1;
            let server = if constrained { "feature on" } else { "feature off" };
            let mode = ours["mode"].as_str().unwrap_or_else(|| ours["impersonation"].as_str().unwrap());
            *counts.entry(format!("{server}: {mode}, request {}", ours["request"].as_str().unwrap())).or_default() += 1;
            if without_reason(theirs) != without_reason(ours) {
                let mut still = |world: &[Value], request: &Value| disagree(&mut oracle, world, constrained, request);
                let (world, request) = shrink(world.clone(), request.clone(), &mut still);
                let theirs = oracle.ask(&world, constrained, std::slice::from_ref(&request));
                let ours = answers(&world, constrained, std::slice::from_ref(&request), false);
                panic!(
                    "world {index} of seed {seed}, {server}\nworld: {}\nrequest: {request}\nupstream: {}\nengine:   {}",
                    json!(world),
                    theirs[0],
                    ours[0]
                );
            }
        }
    }
    println!("{total} requests over {worlds} worlds, no disagreement (seed {seed})");
    for (what, count) in &counts {
        println!("  {count:>8} {what}");
    }
    let hits =
        |mode: &str| counts.iter().filter(|(what, _)| what.contains(mode)).map(|(_, count)| count).sum::<usize>();
    let modes = ["associated-node", "arbitrary-node", "serviceaccount", "user-info", "legacy"];
    let allowed: usize = modes.iter().map(|mode| hits(&format!(": {mode},"))).sum();
    println!("  {allowed} allowed by some mode ({:.0} %)", 100.0 * allowed as f64 / total as f64);
    assert!(allowed * 3 >= total, "the worlds are too poor to tell anything");
    for mode in modes {
        assert!(hits(&format!(": {mode},")) * 500 >= total, "{mode} is hardly ever hit");
    }
}

/// The mode that allows the impersonation, and whether the request is allowed.
fn verdict(answer: &Value) -> (Option<&str>, bool) {
    (answer["mode"].as_str(), answer["request"] == "allowed")
}

/// Requests that have the requestor of one observed request, the headers of another, and ask what a third one did:
/// where a migration unites too much, these are allowed.
fn mixed(observed: &[Value], rng: &mut Rng) -> Vec<Value> {
    let one = |rng: &mut Rng| observed[rng.usize(0..observed.len())].clone();
    let mix = |rng: &mut Rng| {
        let (mut mixed, requestor, headers) = (one(rng), one(rng), one(rng));
        for key in ["user", "groups", "extra"] {
            mixed[key] = requestor[key].clone();
        }
        mixed["impersonate"] = headers["impersonate"].clone();
        mixed
    };
    if observed.is_empty() { Vec::new() } else { (0..PROBES_PER_MIGRATION).map(|_| mix(rng)).collect() }
}

/// The ways in which a client may have sent an observed request, as requests.
fn sent(request: &Value) -> Vec<Value> {
    let owned = read_request(request.to_string().as_bytes()).unwrap();
    let with_groups = |reading: OwnedRequest| {
        let mut sent = request.clone();
        sent["impersonate"]["groups"] = json!(reading.headers.groups());
        sent
    };
    readings(&owned).into_iter().map(with_groups).collect()
}

/// What upstream says against a migration: of each observed request, in every way in which it may have been sent, and of
/// requests that it must keep refusing.
fn judge(
    oracle: &mut Upstream,
    (world, plan, states): (&[Value], &Plan<'_>, &States),
    observed: &[Value],
    probes: &[Value],
    counts: &mut BTreeMap<String, usize>,
) -> Vec<String> {
    let planned: BTreeMap<_, _> = plan.requests.iter().map(|planned| (planned.request, planned)).collect();
    assert_eq!(planned.len(), observed.len());
    let sent: Vec<Vec<Value>> = observed.iter().map(sent).collect();
    let mut asked: Vec<Value> = sent.iter().flatten().cloned().collect();
    asked.extend_from_slice(probes);
    let [before, between, after] = [world, &states.between, &states.after].map(|state| oracle.ask(state, true, &asked));
    let mut count = |what: &str| *counts.entry(what.to_owned()).or_default() += 1;
    let mut against = Vec::new();
    let mut at = 0;
    for (request, readings) in observed.iter().zip(&sent) {
        let range = at..at + readings.len();
        at = range.end;
        let planned = planned[&read_request(request.to_string().as_bytes()).unwrap()];
        let reason = planned.reason.map(Unserved::as_str);
        // These modes take no other header, and the evidence says that one of them served the request.
        let is_certain = verdict(&before[range.start]).0.is_some_and(|mode| !["legacy", "user-info"].contains(&mode));
        let allowed: Vec<usize> = range
            .filter(|at| verdict(&before[*at]).0.is_some())
            .take(if is_certain { 1 } else { usize::MAX })
            .collect();
        let mut forms = 0;
        for at in &allowed {
            let (was, between, is) = (verdict(&before[*at]), verdict(&between[*at]), verdict(&after[*at]));
            let mut say = |what: &str| {
                against.push(format!("{what}: {}\n  before {was:?}, between {between:?}, after {is:?}", asked[*at]));
            };
            count(&format!(
                "sent: {} before, {} after{}",
                was.0.unwrap_or("denied"),
                is.0.unwrap_or("denied"),
                reason.map(|reason| format!(", {reason}")).unwrap_or_default()
            ));
            if between.0.is_none() || is.0.is_none() {
                say("lost");
            }
            if was.1 && !(between.1 && is.1) {
                say("the request itself is lost");
            }
            let owned = read_request(asked[*at].to_string().as_bytes()).unwrap();
            forms += usize::from(constrained_modes(&owned.requestor, &owned.headers).next().is_some());
        }
        let worst = |answers: &[Value]| {
            let modes = || allowed.iter().map(|at| verdict(&answers[*at]).0);
            modes().find(|mode| *mode == Some("legacy")).or_else(|| modes().next()).flatten().map(str::to_owned)
        };
        let expected = [&before, &after].map(|answers| worst(answers));
        if expected != [planned.before, planned.after].map(|mode| mode.map(|mode| mode.as_str().to_owned())) {
            against.push(format!("the plan has {:?} and {:?}: {request}", planned.before, planned.after));
        }
        let is_legacy = expected[1].as_deref() == Some("legacy");
        if forms == allowed.len() && is_legacy && reason != Some("would-widen") {
            against.push(format!("not served by its constrained form: {request}"));
        }
    }
    for (at, request) in (at..).zip(probes) {
        let (was, between, is) = (verdict(&before[at]), verdict(&between[at]), verdict(&after[at]));
        if was.0.is_none() {
            count("probes refused before");
            if between.0.is_some() || is.0.is_some() {
                against.push(format!("widened: {request}\n  between {between:?}, after {is:?}"));
            }
        }
    }
    against
}

#[test]
#[ignore = "needs Go: builds upstream's filter and authorizer from the module proxy"]
fn migrations_hold_what_they_promise_upstream() {
    let mut oracle = Upstream::start("oracle", &[], &[]);
    let seed = number("DEPUTIZE_SEED", 5284) as u64;
    let worlds = number("DEPUTIZE_WORLDS", MIGRATIONS);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..worlds {
        let mut generator = Generator::new(seed.wrapping_mul(3_000_017).wrapping_add(index as u64));
        let world = generator.world();
        let requests: Vec<Value> = (0..OBSERVED_PER_MIGRATION).map(|_| generator.request()).collect();
        let mut probes: Vec<Value> = (0..PROBES_PER_MIGRATION).map(|_| generator.request()).collect();
        let evidence = evidence(&world, &requests);
        let mut lines = Vec::new();
        write_evidence(&mut lines, &evidence).unwrap();
        let lines = serde_json::Deserializer::from_slice(&lines).into_iter::<Value>();
        let observed: Vec<Value> = lines.map(|line| line.unwrap()["request"].take()).collect();
        probes.extend(mixed(&observed, &mut Rng::with_seed(index as u64)));
        let seen: BTreeSet<_> = evidence.iter().map(|(seen, _)| &seen.request.requestor).collect();
        probes.retain(|probe| {
            let requestor = read_request(probe.to_string().as_bytes()).unwrap().requestor;
            is_real(&requestor) || seen.contains(&requestor)
        });
        let against = migrate(&world, &evidence, options(index), |plan, states| {
            judge(&mut oracle, (&world, plan, states), &observed, &probes, &mut counts)
        });
        match against {
            Ok(against) if against.is_empty() => {}
            Ok(against) => panic!(
                "world {index} of seed {seed}, {:?}\n{}\nworld: {}\nobserved: {}",
                options(index),
                against.join("\n"),
                json!(world),
                json!(observed)
            ),
            Err(unproven) => panic!("world {index} of seed {seed}: no plan: {:?}", unproven.0),
        }
    }
    println!("{worlds} migrations, no objection (seed {seed})");
    for (what, count) in &counts {
        println!("  {count:>8} {what}");
    }
    let hits = |what: &str| counts.iter().filter(|(known, _)| known.contains(what)).map(|(_, count)| count).sum();
    let (migrated, refused): (usize, usize) = (hits("legacy before, user-info"), hits("probes refused"));
    assert!(migrated >= worlds && refused >= 50 * worlds, "the worlds are too poor to tell anything");
}

#[test]
#[ignore = "needs Go: builds and starts etcd and kube-apiserver"]
fn a_live_server_answers_as_the_engine_does() {
    let mut server = Upstream::start("live", &SERVERS, &[]);
    let seed = number("DEPUTIZE_SEED", 5284) as u64;
    let worlds = number("DEPUTIZE_LIVE_WORLDS", LIVE_WORLDS);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut total = 0;
    for index in 0..worlds {
        let mut generator = Generator::new(seed.wrapping_mul(7_000_003).wrapping_add(index as u64));
        let world = generator.world();
        let requests: Vec<Value> = (0..REQUESTS_PER_LIVE_WORLD).map(|_| generator.live_request()).collect();
        let constrained = index % 3 != 2;
        let theirs = server.ask(&world, constrained, &requests);
        let ours = answers(&world, constrained, &requests, true);
        for (number, ((request, theirs), ours)) in requests.iter().zip(&theirs).zip(&ours).enumerate() {
            total += 1;
            let mode = ours["mode"].as_str().unwrap_or_else(|| ours["impersonation"].as_str().unwrap());
            let server = if constrained { "feature on" } else { "feature off" };
            *counts.entry(format!("{server}: {mode}, request {}", ours["request"].as_str().unwrap())).or_default() += 1;
            assert_eq!(
                visible(theirs),
                visible(ours),
                "request {number} of world {index} of seed {seed}, {server}\nworld: {}\nrequest: {request}\nserver: {theirs}\nengine: {ours}",
                json!(world)
            );
        }
    }
    println!("{total} requests to a live API server over {worlds} worlds, no disagreement (seed {seed})");
    for (what, count) in &counts {
        println!("  {count:>8} {what}");
    }
}

#[test]
#[ignore = "needs Go: builds and starts etcd and kube-apiserver"]
fn a_bound_token_makes_a_node_ones_own() {
    let mut server = Upstream::start("live", &SERVERS, &["-tokens"]);
    let user = "system:serviceaccount:kube-system:agent";
    let world = [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "agent"}, "rules": [
            {"verbs": ["impersonate:associated-node"], "apiGroups": ["authentication.k8s.io"], "resources": ["nodes"], "resourceNames": ["*"]},
            {"verbs": ["impersonate-on:associated-node:list"], "apiGroups": [""], "resources": ["pods"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "agent"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agent"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "kube-system", "name": "agent"}]}),
    ];
    let request = |node: &str| {
        json!({"user": user, "extra": {"authentication.kubernetes.io/node-name": ["n1"]},
            "impersonate": {"user": format!("system:node:{node}")}, "verb": "list", "resource": "pods"})
    };
    let requests = [request("n1"), request("n2"), request("n1")];
    let theirs = server.ask(&world, true, &requests);
    let ours = answers(&world, true, &requests, true);
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(visible(theirs), visible(ours));
    }
    let modes: Vec<&Value> = theirs.iter().map(|answer| &answer["mode"]).collect();
    assert_eq!(modes, [&json!("associated-node"), &Value::Null, &json!("associated-node")]);
    println!("a token bound to a pod on n1: associated-node for n1, denied for n2");
}
