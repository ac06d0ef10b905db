//! Who impersonates whom in `testdata/stories`, and what for.

use serde_json::{Value, json};

const AGENT: &str = "system:serviceaccount:kube-system:agent";
const DEPUTY: &str = "system:serviceaccount:deputy-ns:deputy";
const DASHBOARD: &str = "system:serviceaccount:dashboard:proxy";
const GITOPS: &str = "system:serviceaccount:flux-system:kustomize-controller";
const RUNNER: &str = "system:serviceaccount:ci:runner";

/// All requests but those of kubectl.
pub fn traffic() -> Vec<Value> {
    [node_agents(), deputy(), dashboard(), gitops(), tester(), platform_engineer()].concat()
}

/// KEP-5284, story 1: "As a controller, I want to impersonate node I am running on to list/get pods on the node."
fn node_agents() -> Vec<Value> {
    let of_node = |node: &str| {
        let itself = user(&format!("system:node:{node}"));
        vec![
            request(&agent_on(node), &itself, "list", "/pods", "", ""),
            request(&agent_on(node), &itself, "get", "/pods", "shop", "web"),
            request(&agent_on(node), &itself, "get", "/nodes", "", node),
        ]
    };
    [of_node("n1"), of_node("n2")].concat()
}

/// KEP-5284, story 2: "As a controller, I am working as a deputy, receiving any user's request to access virtual machine
/// console", and to start and stop it. There are no virtual machines here: what is not found was authorized.
fn deputy() -> Vec<Value> {
    let deputy = user(DEPUTY);
    let (panda, koala) = (user("panda"), json!({"user": "koala", "groups": ["devs"]}));
    let mut requests = discovery(&deputy, &panda);
    for (verb, subresource) in [("get", "console"), ("update", "start"), ("update", "stop")] {
        let resource = format!("subresources.kubevirt.io/virtualmachines/{subresource}");
        requests.push(request(&deputy, &panda, verb, &resource, "shop", "vm"));
        requests.push(request(&deputy, &koala, verb, &resource, "shop", "vm"));
    }
    // The user may not do this, however impersonated.
    requests.push(request(&deputy, &panda, "get", "subresources.kubevirt.io/virtualmachines/vnc", "shop", "vm"));
    requests
}

/// A proxy that passes on who its users are. What only legacy serves comes last, since the server tries the mode first
/// that served a requestor last.
fn dashboard() -> Vec<Value> {
    let proxy = user(DASHBOARD);
    let bob = json!({"user": "bob", "groups": ["devs", "viewers"]});
    let of_project = json!({"user": "bob", "groups": ["devs"], "extra": {"acme.com/project": ["blue"]}});
    let scoped = json!({"user": "carol", "extra": {"scopes": ["openid"]}});
    let mut requests = discovery(&proxy, &bob);
    requests.push(request(&proxy, &bob, "list", "/pods", "shop", ""));
    requests.push(request(&proxy, &bob, "list", "apps/deployments", "shop", ""));
    requests.push(request(&proxy, &of_project, "get", "/pods", "shop", "web"));
    requests.push(request(&proxy, &scoped, "list", "/pods", "shop", ""));
    requests
}

/// A controller that applies the tenants' manifests as the tenants' service accounts.
fn gitops() -> Vec<Value> {
    let controller = user(GITOPS);
    let mut requests = Vec::new();
    for tenant in ["team-a", "team-b"] {
        let deployer = user(&format!("system:serviceaccount:{tenant}:deployer"));
        requests.extend(discovery(&controller, &deployer));
        for resource in ["/configmaps", "apps/deployments"] {
            requests.push(request(&controller, &deployer, "create", resource, tenant, ""));
            for verb in ["get", "patch", "delete"] {
                requests.push(request(&controller, &deployer, verb, resource, tenant, "web"));
            }
            requests.push(request(&controller, &deployer, "list", resource, tenant, ""));
        }
    }
    requests
}

/// One of the two who hold a role.
fn tester() -> Vec<Value> {
    vec![request(&user("zoe"), &user("tester-1"), "list", "/pods", "shop", "")]
}

/// Someone whose group holds an aggregated role.
fn platform_engineer() -> Vec<Value> {
    vec![request(&frank(), &user("dave"), "get", "/pods", "shop", "web")]
}

/// Who of them is a user of kubectl, and its group.
pub const ENGINEER: (&str, &str) = ("eve", "support");

/// What a support engineer does with `kubectl --as`, and whether that ends well.
pub const SUPPORT: [(&[&str], bool); 11] = [
    (&["--as", "alice", "auth", "whoami"], true),
    (&["--as", "alice", "auth", "can-i", "list", "pods", "-n", "shop"], true),
    (&["--as", "alice", "api-resources"], true),
    (&["--as", "alice", "explain", "pods.spec"], true),
    (&["--as", "alice", "get", "pods", "-n", "shop"], true),
    (&["--as", "alice", "get", "pod", "web", "-n", "shop", "-o", "yaml"], true),
    (&["--as", "alice", "--as-group", "devs", "get", "deployments", "-n", "shop"], true),
    (&["--as", "alice", "create", "configmap", "try", "-n", "shop", "--dry-run=server"], true),
    (&["--as", "alice", "apply", "--dry-run=server", "-f", "tests/live_migration/configmap.yaml"], true),
    // There is no kubelet.
    (&["--as", "alice", "exec", "web", "-n", "shop", "--", "true"], false),
    // Alice may not.
    (&["--as", "alice", "get", "nodes"], false),
];

/// What nobody was seen to do, although legacy allows it, with the mode that allows it once the legacy grants are gone.
/// The runner was not seen at all, so what it holds of its role stays.
pub fn unseen() -> Vec<(Value, &'static str)> {
    let (panda, tester) = (user("panda"), user("tester-1"));
    let masters = json!({"user": "panda", "groups": ["system:masters"]});
    let deployer = user("system:serviceaccount:team-a:deployer");
    vec![
        (request(&agent_on("n1"), &user("system:node:n2"), "list", "/pods", "", ""), "denied"),
        (request(&user(AGENT), &panda, "list", "/pods", "shop", ""), "denied"),
        (request(&user(DEPUTY), &panda, "list", "/secrets", "shop", ""), "denied"),
        (request(&user(DEPUTY), &masters, "list", "/secrets", "shop", ""), "denied"),
        // One of its requests has no constrained form, so legacy stays for all users.
        (request(&user(DASHBOARD), &user("bob"), "list", "/secrets", "shop", ""), "legacy"),
        (request(&user(GITOPS), &deployer, "list", "/secrets", "team-a", ""), "denied"),
        (request(&frank(), &user("dave"), "delete", "/pods", "shop", "web"), "denied"),
        (request(&user("zoe"), &tester, "delete", "/pods", "shop", "web"), "denied"),
        (request(&user(RUNNER), &tester, "delete", "/pods", "shop", "web"), "legacy"),
    ]
}

fn user(name: &str) -> Value {
    json!({"user": name})
}

fn frank() -> Value {
    json!({"user": "frank", "groups": ["platform"]})
}

/// The agent, in a pod on a node.
fn agent_on(node: &str) -> Value {
    json!({"user": AGENT, "extra": {"authentication.kubernetes.io/node-name": [node]}})
}

/// A request: the verb, the resource as `group/resource/subresource`, and where.
fn request(who: &Value, impersonate: &Value, verb: &str, resource: &str, namespace: &str, name: &str) -> Value {
    let mut parts = resource.split('/');
    let mut part = || json!(parts.next().unwrap_or_default());
    let mut request = who.clone();
    request["impersonate"] = impersonate.clone();
    request["verb"] = json!(verb);
    request["apiGroup"] = part();
    request["resource"] = part();
    request["subresource"] = part();
    request["namespace"] = json!(namespace);
    request["name"] = json!(name);
    request
}

/// What most clients ask first.
fn discovery(who: &Value, impersonate: &Value) -> Vec<Value> {
    let ask = |path: &str| {
        let mut request = who.clone();
        request["impersonate"] = impersonate.clone();
        request["verb"] = json!("get");
        request["path"] = json!(path);
        request
    };
    ["/api", "/apis", "/version"].map(ask).into()
}
