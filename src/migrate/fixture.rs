//! Small worlds for unit tests.

use serde_json::Value;

use crate::evidence::{Evidence, OwnedRequest, read_log, read_request};
use crate::inventory::{Inventory, load_bytes};

/// Reads a world of one grant a line: `SUBJECT [NAMESPACE/]VERB RESOURCES [NAMES]`, where a path is a URL. In a
/// namespace it is given by a RoleBinding. The subject is a user, `group/NAME`, a group of the server, or
/// `NAMESPACE/NAME`. Line `i` becomes the ClusterRole `ri` and a binding of that name.
pub(super) fn world(lines: &str) -> Inventory {
    let mut items = Vec::new();
    for (at, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (subject, verb, what) = (words[0], words[1], words[2]);
        let (namespace, verb) = verb.split_once('/').map_or((None, verb), |(namespace, verb)| (Some(namespace), verb));
        let subject = match subject.split_once('/') {
            _ if subject.starts_with("system:") => format!("kind: Group, name: '{subject}'"),
            Some(("group", name)) => format!("kind: Group, name: '{name}'"),
            Some((namespace, name)) => format!("kind: ServiceAccount, namespace: {namespace}, name: {name}"),
            None => format!("kind: User, name: '{subject}'"),
        };
        let list = |words: &str| {
            words.split(',').map(|word| format!("'{}'", word.trim_matches('\''))).collect::<Vec<_>>().join(", ")
        };
        let rule = match what.starts_with('/') {
            true => format!("nonResourceURLs: [{}]", list(what)),
            false => format!("apiGroups: ['*'], resources: [{}]", list(what)),
        };
        let names = words.get(3).map(|names| format!(", resourceNames: [{}]", list(names))).unwrap_or_default();
        let (kind, place) = match namespace {
            Some(namespace) => ("RoleBinding", format!(", namespace: {namespace}")),
            None => ("ClusterRoleBinding", String::new()),
        };
        items.push(format!(
            "- {{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: r{at}}}, \
             rules: [{{verbs: ['{verb}'], {rule}{names}}}]}}\n\
             - {{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: r{at}{place}}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r{at}}}, \
             subjects: [{{{subject}}}]}}\n"
        ));
    }
    let text = format!("apiVersion: v1\nkind: List\nitems:\n{}", items.concat());
    let inventory = load_bytes("world.yaml", text.as_bytes());
    assert_eq!(inventory.problems, [], "{text}");
    inventory
}

/// Reads a request.
pub(super) fn request(request: &Value) -> OwnedRequest {
    read_request(request.to_string().as_bytes()).unwrap()
}

/// Reads evidence of reviews for the verb `impersonate`: about whom, in which groups; namespace, resource with its
/// subresource, name.
pub(super) fn reviews(reviews: &[(&str, &[&str], &str, &str, &str)]) -> Evidence {
    let line = |(user, groups, namespace, resource, name): &(&str, &[&str], &str, &str, &str)| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        serde_json::json!({"schema": "deputize.evidence/v1", "count": 1, "first": "a", "last": "b", "review": {
            "asker": "proxy", "user": user, "groups": groups, "verb": "impersonate", "apiGroup": "", "resource": resource,
            "subresource": subresource, "namespace": namespace, "name": name}})
        .to_string()
    };
    let lines: Vec<String> = reviews.iter().map(line).collect();
    let mut evidence = Evidence::default();
    read_log(lines.join("\n").as_bytes(), &mut evidence).unwrap();
    assert_eq!((evidence.not_events, evidence.reviews().count()), (0, reviews.len()));
    evidence
}
