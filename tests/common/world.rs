//! Random worlds of RBAC and requests to them, rich in what is easily got wrong.

use fastrand::Rng;
use serde_json::{Value, json};

const AUTHENTICATION: &str = "authentication.k8s.io";
const NAMESPACES: [&str; 4] = ["apps", "default", "prod", "kube-system"];
const MODES: [&str; 4] = ["associated-node", "arbitrary-node", "serviceaccount", "user-info"];
const ACTIONS: [&str; 7] = ["get", "list", "watch", "create", "delete", "deletecollection", "patch"];
/// Group, resource, subresource of requests.
const OBJECTS: [(&str, &str, &str); 9] = [
    ("", "pods", ""),
    ("", "pods", "log"),
    ("", "nodes", ""),
    ("", "secrets", ""),
    ("apps", "deployments", ""),
    ("apps", "deployments", "scale"),
    ("subresources.kubevirt.io", "virtualmachines", "console"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", ""),
    ("", "namespaces", ""),
];
const PATHS: [&str; 7] = ["/api", "/apis", "/apis/apps/v1", "/openapi/v3", "/version", "/healthz", "/"];
/// Requestors, with the extras of their tokens.
const REQUESTORS: [&str; 8] = [
    "alice",
    "bob",
    "system:serviceaccount:apps:deputy",
    "system:serviceaccount:default:deputy",
    "system:serviceaccount:kube-system:agent",
    "system:anonymous",
    "system:node:n1",
    // Only looks like a node.
    "system:node:",
];
/// The last two only look like the server's own.
const GROUPS: [&str; 7] = [
    "devs",
    "ops",
    "system:authenticated",
    "system:serviceaccounts",
    "system:serviceaccounts:apps",
    "system:serviceaccounts-x",
    "system:nodesx",
];
/// Names to be, as users.
const TARGETS: [&str; 19] = [
    "panda",
    "koala",
    "*",
    "system:serviceaccount:apps:deputy",
    "system:serviceaccount:prod:app-sa",
    "system:serviceaccount:default:default",
    "system:node:n1",
    "system:node:n2",
    "system:node:n1.example.com",
    "system:anonymous",
    // Malformed, and therefore ordinary users.
    "system:serviceaccount:apps",
    "system:serviceaccount:apps:deputy:x",
    "system:serviceaccount:Apps:deputy",
    "system:serviceaccount::deputy",
    "system:node:",
    "system:node:N1",
    "system:nodes",
    "system:nodesx",
    "system:masters",
];
const TARGET_GROUPS: [&str; 9] = [
    "devs",
    "admins",
    "auditors",
    "system:masters",
    "",
    "*",
    "system:authenticated",
    "system:unauthenticated",
    "system:serviceaccounts-x",
];
const EXTRA_KEYS: [&str; 9] = [
    "scopes",
    "acme.com/project",
    "Acme.com/Project",
    "acme.com/a/b",
    "acme.com/UPPER",
    "odd key",
    "",
    "*",
    "originaluser.jetstack.io-user",
];

/// Makes worlds and requests from a seed.
pub struct Generator {
    rng: Rng,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed) }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.rng.usize(0..items.len())]
    }

    fn some<'a>(&mut self, items: &[&'a str], most: usize) -> Vec<&'a str> {
        let count = self.rng.usize(1..=most);
        (0..count).map(|_| self.pick(items)).collect()
    }

    /// RBAC objects, each defined once.
    pub fn world(&mut self) -> Vec<Value> {
        let mut objects = Vec::new();
        let mut roles = Vec::new();
        for index in 0..self.rng.usize(3..9) {
            let name = format!("cr{index}");
            let mut metadata = json!({"name": name});
            let mut count = self.rng.usize(0..5);
            let aggregates = self.chance(20);
            if self.chance(40) {
                metadata["labels"] = json!({"to": self.pick(&["x", "y"])});
                // Where such roles with rules of their own select each other, there is no single answer.
                if aggregates {
                    count = 0;
                }
            }
            let rules: Vec<Value> = (0..count).map(|_| self.rule(true)).collect();
            let mut role = object("ClusterRole", metadata, "rules", json!(rules));
            if aggregates {
                role["aggregationRule"] =
                    json!({"clusterRoleSelectors": [{"matchLabels": {"to": self.pick(&["x", "y"])}}]});
            }
            objects.push(role);
            roles.push(("ClusterRole", name, None));
        }
        for index in 0..self.rng.usize(1..6) {
            let (name, namespace) = (format!("r{index}"), self.pick(&NAMESPACES));
            let rules: Vec<Value> = (0..self.rng.usize(1..4)).map(|_| self.rule(false)).collect();
            objects.push(object("Role", self.metadata(&name, namespace), "rules", json!(rules)));
            roles.push(("Role", name, Some(namespace)));
        }
        for index in 0..self.rng.usize(4..14) {
            let (kind, name, namespace) = roles[self.rng.usize(0..roles.len())].clone();
            let name = if self.chance(5) { "missing".to_owned() } else { name };
            let mut subjects: Vec<Value> = (0..self.rng.usize(1..4)).map(|_| self.subject()).collect();
            let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
            let own = format!("b{index}");
            let mut binding = if namespace.is_some() || self.chance(35) {
                let namespace = match namespace {
                    Some(namespace) if !self.chance(10) => namespace,
                    _ => self.pick(&NAMESPACES),
                };
                object("RoleBinding", self.metadata(&own, namespace), "subjects", json!(subjects))
            } else {
                for subject in subjects.iter_mut().filter(|subject| subject["kind"] == "ServiceAccount") {
                    if subject["namespace"].is_null() {
                        subject["namespace"] = json!("apps");
                    }
                }
                object("ClusterRoleBinding", json!({"name": own}), "subjects", json!(subjects))
            };
            binding["roleRef"] = role_ref;
            objects.push(binding);
        }
        for index in 0..self.rng.usize(7..12) {
            self.story(&mut objects, index);
        }
        objects
    }

    /// A role in which both halves of a mode fit together, or legacy, and someone who holds it: among rules that are
    /// thrown together few requests would be allowed.
    fn story(&mut self, objects: &mut Vec<Value>, index: usize) {
        let name = format!("story{index}");
        let mode = self.pick(&[
            "associated-node",
            "arbitrary-node",
            "serviceaccount",
            "user-info",
            "user-info",
            "legacy",
            "legacy",
        ]);
        let identity = match mode {
            "legacy" => json!({"verbs": ["impersonate"], "apiGroups": ["", AUTHENTICATION], "resources": self.some(
                &["users", "users", "serviceaccounts", "serviceaccounts", "groups", "uids", "userextras/acme.com/project", "userextras/scopes"], 6)}),
            "user-info" => {
                json!({"verbs": ["impersonate:user-info"], "apiGroups": [AUTHENTICATION], "resources": self.some(
                &["users", "users", "groups", "uids", "userextras/acme.com/project", "userextras/*"], 5)})
            }
            "serviceaccount" => {
                json!({"verbs": ["impersonate:serviceaccount"], "apiGroups": [AUTHENTICATION], "resources": ["serviceaccounts"]})
            }
            _ => {
                json!({"verbs": [format!("impersonate:{mode}")], "apiGroups": [AUTHENTICATION], "resources": ["nodes"]})
            }
        };
        let verbs: Vec<String> = ACTIONS.iter().map(|verb| format!("impersonate-on:{mode}:{verb}")).collect();
        let mut rules = vec![identity, json!({"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]})];
        if self.chance(70) {
            rules.push(json!({"verbs": verbs, "nonResourceURLs": ["*"]}));
        }
        objects.push(object("ClusterRole", json!({"name": name}), "rules", json!(rules)));
        let subject = if mode == "associated-node" {
            json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "agent"})
        } else if self.chance(60) {
            json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": self.pick(&REQUESTORS)})
        } else {
            json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": self.pick(&["devs", "ops", "system:serviceaccounts", "system:serviceaccounts-x"])})
        };
        let mut binding = object("ClusterRoleBinding", json!({"name": name}), "subjects", json!([subject]));
        binding["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
        objects.push(binding);
    }

    /// `default` is left out as often as not.
    fn metadata(&mut self, name: &str, namespace: &str) -> Value {
        if namespace == "default" && self.chance(50) {
            json!({"name": name})
        } else {
            json!({"name": name, "namespace": namespace})
        }
    }

    fn subject(&mut self) -> Value {
        let api_group = "rbac.authorization.k8s.io";
        match self.rng.u32(0..100) {
            0..30 => json!({"kind": "User", "apiGroup": api_group, "name": self.pick(&REQUESTORS)}),
            30..60 => json!({"kind": "Group", "apiGroup": api_group, "name": self.pick(&GROUPS)}),
            60..70 => json!({"kind": "ServiceAccount", "name": "deputy"}),
            70..80 => {
                let name = self.pick(&["panda", "koala", "system:node:n1", "system:serviceaccount:prod:app-sa"]);
                json!({"kind": "User", "apiGroup": api_group, "name": name})
            }
            80..85 => {
                json!({"kind": "Group", "apiGroup": api_group, "name": self.pick(&["system:nodes", "admins", "system:unauthenticated"])})
            }
            _ => {
                let (namespace, name) =
                    [("apps", "deputy"), ("default", "deputy"), ("kube-system", "agent"), ("prod", "app-sa")]
                        [self.rng.usize(0..4)];
                json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
            }
        }
    }

    fn rule(&mut self, cluster: bool) -> Value {
        match self.rng.u32(0..100) {
            0..22 => self.legacy_identity(),
            22..50 => self.constrained_identity(),
            50..78 => self.action(cluster),
            78..90 => self.plain(cluster),
            90..95 => {
                let verbs = self.some(
                    &["*", "impersonate", "impersonate:*", "impersonate-on:user-info:*", "impersonate:user-info"],
                    2,
                );
                json!({"verbs": verbs, "apiGroups": self.some(&["*", "", AUTHENTICATION], 2), "resources": self.some(&["*", "*/*", "*/acme.com/project", "users"], 2)})
            }
            _ => json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        }
    }

    fn legacy_identity(&mut self) -> Value {
        let resources = self.some(
            &[
                "users",
                "groups",
                "serviceaccounts",
                "uids",
                "userextras/scopes",
                "userextras/acme.com/project",
                "userextras/*",
                "userextras",
                "nodes",
                "*",
            ],
            4,
        );
        let groups = match self.rng.u32(0..10) {
            0..5 => vec!["", AUTHENTICATION],
            5..8 => vec![""],
            8 => vec![AUTHENTICATION],
            _ => vec!["*"],
        };
        let mut rule = json!({"verbs": ["impersonate"], "apiGroups": groups, "resources": resources});
        self.names(&mut rule);
        rule
    }

    fn constrained_identity(&mut self) -> Value {
        let mode = self.pick(&MODES);
        let fitting: &[&str] = match mode {
            "associated-node" | "arbitrary-node" => &["nodes"],
            "serviceaccount" => &["serviceaccounts"],
            _ => &[
                "users",
                "groups",
                "uids",
                "userextras/acme.com/project",
                "userextras/acme.com/a/b",
                "userextras/*",
                "userextras/scopes",
            ],
        };
        let mut resources = self.some(fitting, 4);
        if self.chance(10) {
            resources.push(self.pick(&["users", "serviceaccounts", "*", "userextras"]));
        }
        let groups = if self.chance(88) { vec![AUTHENTICATION] } else { vec![self.pick(&["", "*"])] };
        let mut rule = json!({"verbs": [format!("impersonate:{mode}")], "apiGroups": groups, "resources": resources});
        self.names(&mut rule);
        rule
    }

    fn names(&mut self, rule: &mut Value) {
        if self.chance(30) {
            let names = [
                "panda",
                "deputy",
                "app-sa",
                "devs",
                "admins",
                "n1",
                "n2",
                "*",
                "u-1",
                "blue",
                "system:masters",
                "",
                "system:serviceaccount:apps:deputy",
                "system:node:n1",
                "system:anonymous",
            ];
            rule["resourceNames"] = json!(self.some(&names, 5));
        }
    }

    fn action(&mut self, cluster: bool) -> Value {
        let mode = self.pick(&MODES);
        let verbs: Vec<String> = if self.chance(40) {
            ACTIONS.iter().map(|verb| format!("impersonate-on:{mode}:{verb}")).collect()
        } else {
            self.some(&ACTIONS, 4).iter().map(|verb| format!("impersonate-on:{mode}:{verb}")).collect()
        };
        self.over(json!(verbs), cluster)
    }

    fn plain(&mut self, cluster: bool) -> Value {
        let verbs = if self.chance(30) { vec!["*"] } else { self.some(&ACTIONS, 5) };
        self.over(json!(verbs), cluster)
    }

    /// A rule with these verbs on ordinary objects, or on paths.
    fn over(&mut self, verbs: Value, cluster: bool) -> Value {
        if cluster && self.chance(20) {
            return json!({"verbs": verbs, "nonResourceURLs": self.some(&["/api", "/api/*", "/apis/*", "/version", "*", "/openapi*", "/ap*"], 3)});
        }
        let mut rule = if self.chance(55) {
            json!({"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]})
        } else {
            let resources = self.some(
                &["pods", "pods/log", "*/log", "*/scale", "deployments", "secrets", "nodes", "*/*", "namespaces"],
                4,
            );
            json!({"verbs": verbs, "apiGroups": self.some(&["", "apps", "*"], 2), "resources": resources})
        };
        if self.chance(10) {
            rule["resourceNames"] = json!(self.some(&["web", "*", "apps"], 2));
        }
        rule
    }

    /// A request, impersonated mostly.
    pub fn request(&mut self) -> Value {
        let agent = self.chance(12);
        let user = if agent { "system:serviceaccount:kube-system:agent" } else { self.pick(&REQUESTORS) };
        let groups: Vec<&str> = if self.chance(50) { self.some(&GROUPS, 2) } else { Vec::new() };
        let groups = if self.chance(1) { vec!["system:masters"] } else { groups };
        let mut request = json!({"user": user, "groups": groups});
        if agent || self.chance(20) {
            let key = "authentication.kubernetes.io/node-name";
            request["extra"] = match self.rng.u32(0..10) {
                0..7 => json!({key: ["n1"], "authentication.kubernetes.io/pod-name": ["p"]}),
                7 => json!({key: ["n1", "n2"]}),
                8 => json!({key: []}),
                _ => json!({key: ["n2"]}),
            };
        }
        if self.chance(95) {
            request["impersonate"] = if agent { json!({"user": "system:node:n1"}) } else { self.headers() };
        }
        let verb = self.pick(&ACTIONS);
        request["verb"] = json!(verb);
        if self.chance(25) {
            request["path"] = json!(self.pick(&PATHS));
            return request;
        }
        let (group, resource, subresource) = OBJECTS[self.rng.usize(0..OBJECTS.len())];
        request["apiGroup"] = json!(group);
        request["resource"] = json!(resource);
        request["subresource"] = json!(subresource);
        if self.chance(65) {
            request["namespace"] = json!(self.pick(&NAMESPACES));
        }
        if self.chance(40) {
            request["name"] = json!(self.pick(&["web", "n1", "apps", "*"]));
        }
        request
    }

    /// A request that can be sent to a live server: its attributes are those of a real HTTP request, and its requestor
    /// is one that an authenticating proxy can name.
    pub fn live_request(&mut self) -> Value {
        let mut request = self.request();
        if request["user"] == "system:anonymous" {
            request["user"] = json!("alice");
        }
        let extra = request.as_object_mut().unwrap().remove("extra");
        if let Some(extra) = extra.filter(|extra| extra["authentication.kubernetes.io/node-name"] != json!([])) {
            request["extra"] = extra;
        }
        for key in ["verb", "apiGroup", "resource", "subresource", "namespace", "name", "path"] {
            request.as_object_mut().unwrap().remove(key);
        }
        if self.chance(25) {
            request["verb"] = json!("get");
            request["path"] = json!(self.pick(&["/api", "/apis", "/openapi/v3", "/version", "/healthz", "/"]));
            return request;
        }
        let (group, resource, subresource) = OBJECTS[self.rng.usize(0..7)];
        let namespaced = resource != "nodes";
        let verbs: &[&str] = match (subresource, self.chance(50)) {
            ("log", _) => &["get"],
            (subresource, _) if !subresource.is_empty() => &["get", "patch"],
            (_, true) => &["get", "delete", "patch"],
            (_, false) => &["list", "watch", "create", "deletecollection"],
        };
        let verb = self.pick(verbs);
        request["verb"] = json!(verb);
        request["apiGroup"] = json!(group);
        request["resource"] = json!(resource);
        request["subresource"] = json!(subresource);
        let one = !["list", "watch", "create", "deletecollection"].contains(&verb);
        if one {
            request["name"] = json!(self.pick(&["web", "n1"]));
        }
        // Only lists go over all namespaces at once.
        if namespaced && (one || !["list", "watch"].contains(&verb) || self.chance(70)) {
            request["namespace"] = json!(self.pick(&NAMESPACES));
        }
        request
    }

    fn headers(&mut self) -> Value {
        let mut headers = json!({});
        if self.chance(98) {
            // Nodes come often enough to hit their modes.
            let target =
                if self.chance(25) { self.pick(&["system:node:n1", "system:node:n2"]) } else { self.pick(&TARGETS) };
            headers["user"] = json!(target);
        }
        // Most clients send a user and nothing else, and only then can most modes apply.
        if self.chance(60) {
            return headers;
        }
        if self.chance(60) {
            let count = self.rng.usize(0..7);
            // The groups that constrained modes refuse outright must not be in every list.
            let most = if self.chance(80) { 3 } else { TARGET_GROUPS.len() };
            let groups: Vec<&str> = (0..count).map(|_| self.pick(&TARGET_GROUPS[..most])).collect();
            headers["groups"] = json!(groups);
        }
        if self.chance(20) {
            headers["uid"] = json!(self.pick(&["u-1", "u-2", ""]));
        }
        if self.chance(40) {
            let mut extra = json!({});
            let most = if self.chance(70) { 4 } else { EXTRA_KEYS.len() };
            for _ in 0..self.rng.usize(0..4) {
                let values = self.some(&["blue", "green", "*", "", "u-1"][..if most == 4 { 3 } else { 5 }], 3);
                let values = if self.chance(5) { Vec::new() } else { values };
                extra[self.pick(&EXTRA_KEYS[..most])] = json!(values);
            }
            headers["extra"] = extra;
        }
        headers
    }
}

fn object(kind: &str, metadata: Value, key: &str, value: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, key: value})
}

/// Takes away from a world and a request whatever can be taken away while `fails` holds.
pub fn shrink(
    mut world: Vec<Value>,
    mut request: Value,
    fails: &mut dyn FnMut(&[Value], &Value) -> bool,
) -> (Vec<Value>, Value) {
    loop {
        let before = (world.clone(), request.clone());
        for index in (0..world.len()).rev() {
            let mut fewer = world.clone();
            fewer.remove(index);
            if fails(&fewer, &request) {
                world = fewer;
            }
        }
        for index in 0..world.len() {
            for object in smaller(&world[index]) {
                let mut fewer = world.clone();
                fewer[index] = object;
                if fails(&fewer, &request) {
                    world = fewer;
                    break;
                }
            }
        }
        for candidate in smaller(&request) {
            if fails(&world, &candidate) {
                request = candidate;
                break;
            }
        }
        if before == (world.clone(), request.clone()) {
            return (world, request);
        }
    }
}

/// The value with one item of one list, or one entry of one optional mapping, left out.
fn smaller(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => {
            let without = |index: usize| {
                let mut fewer = items.clone();
                fewer.remove(index);
                Value::Array(fewer)
            };
            let inside = items.iter().enumerate().flat_map(|(index, item)| {
                smaller(item).into_iter().map(move |item| {
                    let mut changed = items.clone();
                    changed[index] = item;
                    Value::Array(changed)
                })
            });
            (0..items.len()).map(without).chain(inside).collect()
        }
        Value::Object(fields) => {
            let required =
                ["apiVersion", "kind", "metadata", "name", "roleRef", "apiGroup", "verbs", "subjects", "rules"];
            let optional = fields.keys().filter(|key| !required.contains(&key.as_str()));
            let without = optional.map(|key| {
                let mut fewer = fields.clone();
                fewer.remove(key);
                Value::Object(fewer)
            });
            let inside = fields.iter().flat_map(|(key, field)| {
                smaller(field).into_iter().map(move |field| {
                    let mut changed = fields.clone();
                    changed.insert(key.clone(), field);
                    Value::Object(changed)
                })
            });
            without.chain(inside).collect()
        }
        _ => Vec::new(),
    }
}
