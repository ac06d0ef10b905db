//! Clients as they are found in the field: what their charts grant them, and what they send.
//!
//! `observed` is what a log shows, `unseen` the same client a day later. An unseen request is refused after the cut-over if
//! it has `refused`, because the plan does not list its action; all others must go on.

use serde_json::{Value, json};

const CORE: &str = "";
const AUTHENTICATION: &str = "authentication.k8s.io";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const AUTHENTICATED: (&str, &str) = ("Group", "system:authenticated");

/// Extras in which some clients send a secret. No output may hold it.
pub const PLANTED: &str = "eyJwbGFudGVkIjoidG9rZW4ifQ";

/// All clients but those with odd paths.
pub fn clients() -> Vec<Value> {
    [people(), proxies(), accounts(), nodes(), programs()].concat()
}

/// People who act as others by hand.
fn people() -> Vec<Value> {
    let support = json!({"user": "jane", "groups": ["support"]});
    let admin = json!({"user": "bob", "groups": ["sudoers"]});
    vec![
        client(
            "console of a person",
            &support,
            &[
                rule(CORE, &["users", "groups", "serviceaccounts"]),
                rule(AUTHENTICATION, &["userextras/scopes.example.io"]),
            ],
            vec![
                get(PODS, &[("User", "dev1")]),
                get(PODS, &[("User", "devs"), ("Group", "devs")]),
                get(PODS, &[("User", "system:serviceaccount:shop:ci"), ("Group", "devs")]),
                get(PODS, &[("User", "dev1"), ("Extra-Scopes.example.io", "user:full")]),
                upgrade("/api/v1/namespaces/shop/pods?watch=true&resourceVersion=0", &[("User", "dev1")]),
            ],
            vec![
                get(PODS, &[("User", "dev2"), ("Group", "ops")]),
                get(PODS, &[("User", "system:serviceaccount:shop:other"), ("Group", "ops")]),
                get(PODS, &[("User", "dev1"), ("Extra-Scopes.example.io", "user:info")]),
                // Legacy stays for users, so this goes on as well.
                get("/api/v1/namespaces/pay/pods", &[("User", "dev1")]),
            ],
        ),
        client(
            "sudo",
            &admin,
            &[named(CORE, &["users"], &["kubernetes-admin"]), named(CORE, &["groups"], &["system:masters"])],
            vec![
                get("/api/v1/nodes", &[("User", "kubernetes-admin"), ("Group", "system:masters")]),
                get("/api/v1/nodes", &[("User", "kubernetes-admin")]),
            ],
            vec![get("/api/v1/secrets", &[("User", "kubernetes-admin"), ("Group", "system:masters")])],
        ),
    ]
}

/// Proxies that pass on who their users are.
fn proxies() -> Vec<Value> {
    let credential = "Extra-Authentication.kubernetes.io%2fcredential-Id";
    let everything = [
        rule(CORE, &["users", "groups", "serviceaccounts"]),
        rule(AUTHENTICATION, &["userextras/authentication.kubernetes.io/credential-id"]),
    ];
    vec![
        client(
            "proxy that sends a token review's groups",
            &account("gate", "login-proxy"),
            &everything,
            vec![
                get(PODS, &[("User", "mail:ann@example.com"), ("Group", "staff"), AUTHENTICATED]),
                get(PODS, &[("User", "mail:max@example.com"), AUTHENTICATED]),
                get(
                    PODS,
                    &[("User", "mail:ann@example.com"), ("Group", "staff"), AUTHENTICATED, (credential, "JTI=1")],
                ),
                get(
                    PODS,
                    &[
                        ("User", "system:serviceaccount:shop:robot"),
                        ("Group", "system:serviceaccounts"),
                        ("Group", "system:serviceaccounts:shop"),
                        AUTHENTICATED,
                    ],
                ),
            ],
            vec![
                get(PODS, &[("User", "mail:new@example.com"), ("Group", "guests"), AUTHENTICATED]),
                get(
                    PODS,
                    &[("User", "mail:ann@example.com"), ("Group", "staff"), AUTHENTICATED, (credential, "JTI=2")],
                ),
                get(
                    PODS,
                    &[
                        ("User", "system:serviceaccount:shop:robot-2"),
                        ("Group", "system:serviceaccounts"),
                        ("Group", "system:serviceaccounts:shop"),
                        AUTHENTICATED,
                    ],
                ),
                refused(get(
                    "/api/v1/namespaces/pay/pods",
                    &[("User", "mail:ann@example.com"), ("Group", "staff"), AUTHENTICATED],
                )),
                refused(get(
                    "/api/v1/namespaces/shop/secrets",
                    &[("User", "mail:ann@example.com"), ("Group", "staff"), AUTHENTICATED],
                )),
            ],
        ),
        client(
            "account for one user, with sessions in bare extras",
            &account("sessions", "session-of-u-17"),
            &[
                named(CORE, &["users"], &["u-17"]),
                named(CORE, &["groups"], &["team://9", "system:authenticated", "portal:authenticated"]),
                rule(AUTHENTICATION, &["userextras/sessionid"]),
                named(AUTHENTICATION, &["userextras/accountid"], &["local://u-17"]),
            ],
            vec![
                get(PODS, &session("session-1")),
                get("/api/v1/namespaces", &session("session-1")),
                get("/api/v1/namespaces/shop/pods?watch=true&timeoutSeconds=1", &session("session-1")),
            ],
            vec![get(PODS, &session("session-2"))],
        ),
        client(
            "proxy with the address of its client",
            &account("gate", "address-proxy"),
            &[rule(CORE, &["users", "groups"]), rule(AUTHENTICATION, &["userextras/client-address"])],
            vec![get(
                PODS,
                &[("User", "ann"), ("Group", "staff"), AUTHENTICATED, ("Extra-Client-Address", "10.1.0.7")],
            )],
            vec![
                get(PODS, &[("User", "ann"), ("Group", "staff"), AUTHENTICATED, ("Extra-Client-Address", "10.1.0.8")]),
                get(PODS, &[("User", "tom"), ("Group", "staff"), AUTHENTICATED, ("Extra-Client-Address", "10.1.0.7")]),
            ],
        ),
        client(
            "proxy by a wildcard of resources",
            &account("gate", "wildcard-proxy"),
            &[rule(CORE, &["*"])],
            vec![
                get(PODS, &[("User", "kim"), AUTHENTICATED]),
                get(PODS, &[("User", "kim"), ("Group", "cn=admins,ou=Groups,dc=example,dc=com"), AUTHENTICATED]),
            ],
            vec![get(PODS, &[("User", "lee"), ("Group", "cn=users,ou=Groups,dc=example,dc=com"), AUTHENTICATED])],
        ),
        client(
            "proxy for one user",
            &account("ci", "ci-proxy"),
            &[named(CORE, &["users"], &["builder"]), named(CORE, &["groups"], &["system:authenticated"])],
            vec![get(PODS, &[("User", "builder"), AUTHENTICATED])],
            vec![get(PODS, &[("User", "builder")])],
        ),
        client(
            "proxy with groups in any spelling",
            &account("gate", "dashboard-proxy"),
            &[rule(CORE, &["users", "groups"]), rule(AUTHENTICATION, &["userextras/scopes"])],
            vec![
                get(
                    "/api/v1/namespaces",
                    &[
                        ("User", "ann"),
                        ("Group", "dev team"),
                        ("Group", "a,b"),
                        ("Group", "größe"),
                        ("Extra-Scopes", "view"),
                    ],
                ),
                get(PODS, &[("User", "ann"), ("Group", "dev team"), ("Group", "a,b"), ("Group", "größe")]),
            ],
            vec![get("/api/v1/namespaces", &[("User", "ann"), ("Group", "dev team"), ("Extra-Scopes", "edit")])],
        ),
        client(
            "proxy with uids",
            &account("gate", "uid-proxy"),
            &[rule(CORE, &["users"]), rule(AUTHENTICATION, &["uids", "userextras/example.org/mail"])],
            vec![
                get(PODS, &[("User", "eve"), ("Uid", "7d1c-1"), ("Extra-Example.org%2fMail", "eve@example.org")]),
                get(PODS, &[("User", "eve"), ("Uid", "7d1c-1")]),
            ],
            vec![get(PODS, &[("User", "mia"), ("Uid", "7d1c-2"), ("Extra-Example.org%2fMail", "mia@example.org")])],
        ),
        client(
            "proxy that lets its users be cluster-admin",
            &account("vpn", "operator"),
            &[rule(CORE, &["users", "groups"])],
            vec![
                get(PODS, &[("User", "ann@example.com"), ("Group", "system:masters")]),
                get(PODS, &[("User", "laptop.example.net"), ("Group", "tag:readers"), ("Group", "tag:ci")]),
            ],
            vec![
                get(PODS, &[("User", "tom@example.com"), ("Group", "system:masters")]),
                upgrade(
                    "/api/v1/namespaces/shop/pods/web/exec?command=sh",
                    &[("User", "ann@example.com"), ("Group", "system:masters")],
                ),
                get(PODS, &[("User", "phone.example.net"), ("Group", "tag:readers")]),
            ],
        ),
        hub(),
        client(
            "cloud identities",
            &account("connect", "agent"),
            &[rule(CORE, &["users"])],
            vec![
                get("/api/v1/nodes", &[("User", "arn:aws:iam::444455556666:role/Admin")]),
                get(PODS, &[("User", "principal://iam.example.com/pools/p/subject/x")]),
            ],
            vec![get("/api/v1/nodes", &[("User", "arn:aws:iam::444455556666:user/ann")])],
        ),
        client(
            "jobs with many groups and extras",
            &account("jobs", "agent"),
            &[
                rule(CORE, &["users", "groups"]),
                rule(
                    AUTHENTICATION,
                    &["id", "project", "pipeline", "job", "user"]
                        .map(|key| format!("userextras/jobs.example.com/{key}")),
                ),
            ],
            vec![get(PODS, &job("1")), patch("/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All", &job("2"))],
            vec![get(PODS, &job("3")), patch("/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All", &job("4"))],
        ),
    ]
}

/// A proxy that sends a token in an extra.
pub fn hub() -> Value {
    client(
        "proxy that sends a token in an extra",
        &account("hub", "hub-proxy"),
        &[rule(CORE, &["users"]), rule(AUTHENTICATION, &["userextras/hub-token", "userextras/hub.example.com/token"])],
        vec![
            get(
                "/apis/proxies.example.com/v1/sockets/a/proxy/https/10.0.0.1:6443/api/v1/nodes",
                &[("User", "hub"), ("Extra-Hub-Token", PLANTED)],
            ),
            get("/api/v1/nodes", &[("User", "hub"), ("Extra-Hub.example.com%2ftoken", PLANTED)]),
        ],
        vec![
            get(
                "/apis/proxies.example.com/v1/sockets/a/proxy/https/10.0.0.1:6443/api/v1/nodes",
                &[("User", "hub"), ("Extra-Hub-Token", "other")],
            ),
            get("/api/v1/nodes", &[("User", "hub"), ("Extra-Hub.example.com%2ftoken", "other")]),
        ],
    )
}

fn session(id: &'static str) -> [(&'static str, &'static str); 6] {
    [
        ("User", "u-17"),
        AUTHENTICATED,
        ("Group", "portal:authenticated"),
        ("Group", "team://9"),
        ("Extra-Accountid", "local://u-17"),
        ("Extra-Sessionid", id),
    ]
}

fn job(id: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("User", "jobs:runner"),
        ("Group", "jobs:all"),
        ("Group", "jobs:team:7"),
        ("Group", "jobs:project:15"),
        ("Group", "jobs:tier:prod"),
        ("Group", "jobs:branch:main"),
        ("Extra-Jobs.example.com%2fid", "5"),
        ("Extra-Jobs.example.com%2fproject", "15"),
        ("Extra-Jobs.example.com%2fpipeline", "900"),
        ("Extra-Jobs.example.com%2fuser", "root"),
        ("Extra-Jobs.example.com%2fjob", id),
    ]
}

/// Clients that are service accounts of their tenants.
fn accounts() -> Vec<Value> {
    let deployment = "/apis/apps/v1/namespaces/shop/deployments/web";
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let own_groups = |name: &'static str| {
        [("User", name), ("Group", "system:serviceaccounts"), ("Group", "system:serviceaccounts:fleet")]
    };
    vec![
        client(
            "controller that sends the account alone",
            &account("gitops", "apply-controller"),
            &[rule(CORE, &["serviceaccounts"])],
            vec![
                patch(
                    &format!("{deployment}?fieldManager=apply&force=true&dryRun=All"),
                    &[("User", "system:serviceaccount:shop:deployer")],
                ),
                get("/apis/apps/v1", &[("User", "system:serviceaccount:shop:deployer")]),
                get(deployment, &[("User", "system:serviceaccount:shop:deployer")]),
                post(
                    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                    &review,
                    &[("User", "system:serviceaccount:shop:deployer")],
                ),
            ],
            vec![
                get(deployment, &[("User", "system:serviceaccount:pay:deployer")]),
                get("/apis/batch/v1", &[("User", "system:serviceaccount:pay:deployer")]),
                refused(get(
                    "/apis/apps/v1/namespaces/pay/deployments/web",
                    &[("User", "system:serviceaccount:pay:deployer")],
                )),
                refused(get(
                    "/apis/batch/v1/namespaces/shop/jobs/j",
                    &[("User", "system:serviceaccount:shop:deployer")],
                )),
            ],
        ),
        client(
            "hub that sends accounts with their own groups",
            &account("fleet-system", "member-proxy"),
            &[
                rule(CORE, &["users", "serviceaccounts"]),
                named(CORE, &["groups"], &["system:serviceaccounts", "system:serviceaccounts:fleet", "staff"]),
            ],
            vec![
                get("/api/v1/nodes", &[("User", "ann"), ("Group", "staff")]),
                get("/api/v1/nodes", &own_groups("system:serviceaccount:fleet:admin")),
            ],
            vec![
                get("/api/v1/nodes", &[("User", "tom"), ("Group", "staff")]),
                get("/api/v1/nodes", &own_groups("system:serviceaccount:fleet:viewer")),
            ],
        ),
        in_namespace(
            client(
                "controller of one namespace",
                &account("shop", "tenant-controller"),
                &[rule(CORE, &["serviceaccounts"])],
                vec![get("/api/v1/namespaces/shop/configmaps", &[("User", "system:serviceaccount:shop:deployer")])],
                vec![get("/api/v1/namespaces/shop/configmaps", &[("User", "system:serviceaccount:shop:other")])],
            ),
            "shop",
        ),
    ]
}

/// Agents of nodes.
fn nodes() -> Vec<Value> {
    let on_node = json!({"user": "system:serviceaccount:kube-agents:agent", "extra": {"authentication.kubernetes.io/node-name": ["n1"]}});
    vec![
        client(
            "agent as its own node",
            &on_node,
            &[rule(CORE, &["users"])],
            vec![
                get("/api/v1/nodes/n1", &[("User", "system:node:n1")]),
                get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", &[("User", "system:node:n1")]),
            ],
            vec![],
        ),
        client(
            "controller as any node",
            &account("kube-agents", "controller"),
            &[rule(CORE, &["users"])],
            vec![
                get("/api/v1/nodes/n1", &[("User", "system:node:n1")]),
                get("/api/v1/nodes/n2", &[("User", "system:node:n2")]),
            ],
            vec![get("/api/v1/nodes/n3", &[("User", "system:node:n3")])],
        ),
    ]
}

/// Programs with paths of their own.
fn programs() -> Vec<Value> {
    vec![
        client(
            "portal of virtual machines",
            &account("portal", "portal"),
            &[rule(CORE, &["users"])],
            vec![
                upgrade(
                    "/apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/vm1/console",
                    &[("User", "panda")],
                ),
                put(
                    "/apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachines/vm1/start",
                    &[("User", "panda")],
                ),
            ],
            vec![
                upgrade(
                    "/apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/vm2/console",
                    &[("User", "koala")],
                ),
                refused(get(
                    "/apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/vm1/vnc",
                    &[("User", "panda")],
                )),
            ],
        ),
        client(
            "shell",
            &account("shells", "shell-proxy"),
            &[rule(CORE, &["users", "groups"])],
            vec![
                upgrade(
                    "/api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true&stdout=true",
                    &[("User", "joe"), AUTHENTICATED, ("Group", "editors")],
                ),
                get("/api/v1/namespaces/shop/pods/web/log", &[("User", "joe"), ("Group", "editors"), AUTHENTICATED]),
            ],
            vec![upgrade(
                "/api/v1/namespaces/shop/pods/api/exec?command=ls",
                &[("User", "ann"), ("Group", "viewers"), AUTHENTICATED],
            )],
        ),
    ]
}

/// A client of paths that the server decodes before it splits them.
pub fn paths() -> Value {
    client(
        "paths that are escaped",
        &account("paths", "walker"),
        &[rule(CORE, &["users"])],
        vec![
            get("/foo%20bar/b%2Fc", &[("User", "ann")]),
            get("/namespaces/shop%2Fpods", &[("User", "ann")]),
            get("/logs/%C3%BCber", &[("User", "ann")]),
        ],
        vec![get("/foo%20bar/b/c", &[("User", "tom")]), refused(get("/foo%20bar/d", &[("User", "ann")]))],
    )
}

fn client(name: &str, requestor: &Value, rules: &[Value], observed: Vec<Value>, unseen: Vec<Value>) -> Value {
    let object = name.replace([' ', ',', '\''], "-");
    let user = requestor["user"].as_str().unwrap();
    let subject = match user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}),
        None => json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}),
    };
    let meta = json!({"name": object});
    json!({
        "client": name, "requestor": requestor, "observed": observed, "unseen": unseen,
        "rbac": [
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": meta, "subjects": [subject],
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": object}},
        ],
    })
}

/// The same client, whose role is bound in one namespace.
fn in_namespace(mut client: Value, namespace: &str) -> Value {
    let binding = &mut client["rbac"][1];
    binding["kind"] = json!("RoleBinding");
    binding["metadata"]["namespace"] = json!(namespace);
    client
}

fn account(namespace: &str, name: &str) -> Value {
    json!({"user": format!("system:serviceaccount:{namespace}:{name}")})
}

fn rule<T: AsRef<str>>(group: &str, resources: &[T]) -> Value {
    let resources: Vec<&str> = resources.iter().map(AsRef::as_ref).collect();
    json!({"apiGroups": [group], "resources": resources, "verbs": ["impersonate"]})
}

fn named(group: &str, resources: &[&str], names: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "resourceNames": names, "verbs": ["impersonate"]})
}

/// A request with headers `Impersonate-…`.
fn request(method: &str, path: &str, kind: &str, headers: &[(&str, &str)]) -> Value {
    let headers: Vec<[String; 2]> =
        headers.iter().map(|(name, value)| [format!("Impersonate-{name}"), (*value).to_owned()]).collect();
    json!({"method": method, "path": path, "kind": kind, "headers": headers})
}

fn get(path: &str, headers: &[(&str, &str)]) -> Value {
    request("GET", path, "http", headers)
}

/// A request that asks for a WebSocket.
fn upgrade(path: &str, headers: &[(&str, &str)]) -> Value {
    request("GET", path, "ws", headers)
}

fn put(path: &str, headers: &[(&str, &str)]) -> Value {
    let mut request = request("PUT", path, "http", headers);
    request["body"] = json!("{}");
    request
}

fn post(path: &str, body: &Value, headers: &[(&str, &str)]) -> Value {
    let mut request = request("POST", path, "http", headers);
    request["body"] = json!(body.to_string());
    request
}

/// A server-side apply of a deployment.
fn patch(path: &str, headers: &[(&str, &str)]) -> Value {
    let mut request = request("PATCH", path, "patch", headers);
    let object =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
    request["body"] = json!(object.to_string());
    request
}

/// The same, which is refused after the cut-over.
fn refused(mut request: Value) -> Value {
    request["refused"] = json!(true);
    request
}
