//! A migration of a random world, from evidence to the state after the cut-over.

use std::fmt::Write as _;

use deputize::authority::{Authorizer, Decision, Feature, Mode, User, Username, decide};
use deputize::evidence::{Evidence, ExtraNames, OwnedRequest, read_log, read_request};
use deputize::grants::Grants;
use deputize::inventory::{Inventory, Object, ObjectKey, RoleKind, Text, load_bytes};
use deputize::migrate::{ActionScope, Identities, Options, Plan, Sources, Unproven, plan};
use deputize::output::yaml;
use serde_json::{Value, json};

/// The objects as an input.
pub fn inventory(world: &[Value]) -> Inventory {
    let text = json!({"apiVersion": "v1", "kind": "List", "items": world}).to_string();
    let inventory = load_bytes("world.json", text.as_bytes());
    assert_eq!(inventory.problems, [], "{text}");
    inventory
}

/// Whether the impersonation is allowed and by which mode, and whether the request is.
pub fn answers(inventory: &Inventory, requests: &[OwnedRequest]) -> Vec<(Option<Mode>, bool)> {
    let grants = Grants::new(inventory);
    let authorizer = Authorizer::new(inventory, grants.rules(), grants.links());
    let answer = |request: &OwnedRequest| {
        let decision: Decision<'_> = decide(&authorizer, &request.as_request(), Feature::Constrained);
        (decision.mode(), decision.request.is_some())
    };
    requests.iter().map(answer).collect()
}

/// Whether there may be such a requestor: service accounts are in their own groups alone, and nobody else is in them.
pub fn is_real(requestor: &User) -> bool {
    let mut alone = User { name: requestor.name.clone(), ..User::default() };
    alone.complete_groups();
    match Username::parse(&requestor.name) {
        Username::ServiceAccount { .. } => requestor.groups.iter().all(|group| alone.groups.contains(group)),
        // All such groups that random worlds have.
        _ => ["system:serviceaccounts", "system:serviceaccounts:apps"]
            .iter()
            .all(|own| !requestor.groups.iter().any(|group| group == own)),
    }
}

/// The ways in which a client may have sent an observed request: the groups that the server adds may be its own. Rebuilt
/// here from the server's rules, not from what the migration takes them to be.
pub fn readings(request: &OwnedRequest) -> Vec<OwnedRequest> {
    let headers = &request.headers;
    let (user, groups) = (headers.user(), headers.groups());
    let marker = if user == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    let mut all = vec![request.clone()];
    if groups.iter().any(|group| [marker, "system:unauthenticated"].contains(&group.as_str())) {
        return all;
    }
    let mut sent: Vec<Vec<String>> = Vec::new();
    match Username::parse(user) {
        Username::ServiceAccount { namespace, .. } if groups.is_empty() => {
            let own = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            sent.push(own.clone());
            sent.push(own.into_iter().chain([marker.to_owned()]).collect());
        }
        _ => sent.push(groups.iter().cloned().chain([marker.to_owned()]).collect()),
    }
    all.extend(sent.into_iter().map(|groups| OwnedRequest { headers: headers.with_groups(groups), ..request.clone() }));
    all
}

/// All options come about, most worlds having none.
pub fn options(index: usize) -> Options<'static> {
    Options {
        identities: if index % 3 == 1 { Identities::Observed } else { Identities::Granted },
        action_scope: [ActionScope::Auto, ActionScope::Cluster, ActionScope::Namespace][index % 5 % 3],
        keep_unused: index % 7 == 1,
        ..Options::default()
    }
}

/// Requests as they are read.
pub fn read(requests: &[Value]) -> Vec<OwnedRequest> {
    requests.iter().map(|request| read_request(request.to_string().as_bytes()).unwrap()).collect()
}

/// Evidence of the requests whose impersonation the world allows, by way of the lines that `evidence` writes.
pub fn evidence(world: &[Value], requests: &[Value]) -> Evidence {
    let answers = answers(&inventory(world), &read(requests));
    let mut lines = String::new();
    for (request, (mode, _)) in requests.iter().zip(answers) {
        if let Some(mode) = mode {
            let line = json!({"schema": "deputize.evidence/v1", "request": request, "mode": mode.as_str(), "count": 1,
                              "first": "2026-01-01T00:00:00Z", "last": "2026-01-01T00:00:00Z"});
            writeln!(lines, "{line}").unwrap();
        }
    }
    let mut evidence = Evidence::default();
    read_log(lines.as_bytes(), &mut evidence).unwrap();
    assert_eq!(evidence.not_events, 0);
    evidence.resolve(&ExtraNames::of([&inventory(world)]))
}

/// The states that a migration leads to, as objects for whoever judges them, read back from the text that is written.
pub struct States {
    pub between: Vec<Value>,
    pub after: Vec<Value>,
}

/// Plans the migration of a world and hands the plan over.
pub fn migrate<T>(
    world: &[Value],
    evidence: &Evidence,
    options: Options<'_>,
    look: impl FnOnce(&Plan<'_>, &States) -> T,
) -> Result<T, Unproven> {
    let inventory = inventory(world);
    let grants = Grants::new(&inventory);
    let sources = Sources { evidence: Some(evidence), ..Sources::default() };
    let plan = plan(&grants, &sources, options)?;
    let added = read_back(plan.added.iter());
    let applied = read_back(plan.cutover.applied());
    let between = overlay(world, &added, &[]);
    let after = overlay(&between, &applied, &plan.cutover.deleted_keys());
    Ok(look(&plan, &States { between, after }))
}

/// Objects as written and read again, as JSON.
fn read_back<'o>(objects: impl Iterator<Item = &'o Object>) -> Vec<Value> {
    let mut text = Vec::new();
    yaml::write_objects(&mut text, objects).unwrap();
    let read = load_bytes("written.yaml", &text);
    assert_eq!(read.problems, [], "{}", String::from_utf8_lossy(&text));
    let roles = read.roles.into_iter().map(Object::Role);
    roles.chain(read.bindings.into_iter().map(Object::Binding)).map(|object| to_json(&object)).collect()
}

/// The world with objects in place of their namesakes, and others removed.
fn overlay(world: &[Value], put: &[Value], removed: &[ObjectKey]) -> Vec<Value> {
    let key = |object: &Value| {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let namespaced = kind == "Role" || kind == "RoleBinding";
        let namespace = namespaced.then(|| object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned());
        (kind, namespace, object["metadata"]["name"].as_str().unwrap().to_owned())
    };
    let removed: Vec<_> = removed
        .iter()
        .map(|key| {
            (key.kind.as_str().to_owned(), key.namespace.as_ref().map(ToString::to_string), key.name.to_string())
        })
        .collect();
    let put_keys: Vec<_> = put.iter().map(key).collect();
    let stays = |object: &&Value| !removed.contains(&key(object)) && !put_keys.contains(&key(object));
    world.iter().filter(stays).chain(put).cloned().collect()
}

fn to_json(object: &Object) -> Value {
    let meta = object.meta();
    let mut value = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": meta.kind.as_str(),
                           "metadata": {"name": meta.name.as_str()}});
    if let Some(namespace) = &meta.namespace {
        value["metadata"]["namespace"] = json!(namespace.as_str());
    }
    if !meta.labels.is_empty() {
        let labels = meta.labels.iter().map(|(key, value)| (key.to_string(), json!(value.as_str())));
        value["metadata"]["labels"] = Value::Object(labels.collect());
    }
    match object {
        Object::Role(role) => {
            let texts = |texts: &[Text]| texts.iter().map(|text| text.as_str().to_owned()).collect::<Vec<_>>();
            let rules = role.rules.iter().map(|rule| {
                json!({"verbs": texts(&rule.verbs), "apiGroups": texts(&rule.api_groups),
                       "resources": texts(&rule.resources), "resourceNames": texts(&rule.resource_names),
                       "nonResourceURLs": texts(&rule.non_resource_urls)})
            });
            value["rules"] = rules.collect();
            // The selectors of these worlds have one label each.
            if let Some(aggregation) = &role.aggregation {
                let selectors = aggregation.selectors.iter().map(|selector| {
                    let labels =
                        selector.requirements.iter().map(|one| (one.key.to_string(), json!(one.values[0].as_str())));
                    json!({"matchLabels": Value::Object(labels.collect())})
                });
                value["aggregationRule"] = json!({"clusterRoleSelectors": selectors.collect::<Vec<_>>()});
            }
        }
        Object::Binding(binding) => {
            let kind = if binding.role_ref.kind == Some(RoleKind::Role) { "Role" } else { "ClusterRole" };
            value["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind,
                                      "name": binding.role_ref.name.as_str()});
            let subjects = binding.subjects.iter().map(|subject| {
                let mut value = json!({"kind": subject.kind.as_str(), "name": subject.name.as_str()});
                match &subject.namespace {
                    Some(namespace) => value["namespace"] = json!(namespace.as_str()),
                    None => value["apiGroup"] = json!("rbac.authorization.k8s.io"),
                }
                value
            });
            value["subjects"] = subjects.collect();
        }
    }
    value
}
