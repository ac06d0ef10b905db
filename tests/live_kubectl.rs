//! kubectl with `--as`, all verbs of a normal day, before a migration and after its cut-over: nothing that a person sees
//! differs.
//!
//! Needs Go. Run with `cargo test --test live_kubectl -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::fs;

use common::cluster::{Cluster, Server, ready};
use common::deputize;
use serde_json::{Value, json};

/// Who runs kubectl, and a group of hers that may act as others.
const ENGINEER: (&str, &str) = ("eve", "support");

/// What a person does in a day, each line with `--as alice -n shop`. `DIR` has manifests. There is no kubelet and no metrics
/// server: what needs one fails each time in the same way.
const DAY: &str = "\
auth whoami
auth can-i list pods
auth can-i delete nodes
auth can-i --list
version
api-resources
api-versions
cluster-info
explain deployment.spec --recursive
get pods
get pods -o wide
get pod web -o name
get deployments -A
get pods,services,configmaps
get nodes
get secrets -n kube-system
get --raw /healthz
get --raw /openapi/v3
get pods --watch --request-timeout=1s
describe pod web
describe deployment app
events
logs web
exec web -- true
attach web
port-forward web 8080:80
cp DIR/configmap.yaml web:/tmp
top pods
apply -f DIR/configmap.yaml
apply -f DIR/configmap.yaml
diff -f DIR/changed.yaml
apply -f DIR/changed.yaml
apply --server-side --force-conflicts -f DIR/configmap.yaml
apply --server-side --dry-run=server -f DIR/changed.yaml
apply view-last-applied configmap/day
replace -f DIR/changed.yaml
label configmap day team=a
annotate configmap day note=b
patch configmap day --type merge -p {\"data\":{\"a\":\"3\"}}
edit configmap day
wait --for=jsonpath={.data.a}=3 configmap/day --timeout=2s
delete configmap day
create configmap made --from-literal=a=b
create secret generic made --from-literal=a=b
create serviceaccount made
create token made
create role made --verb=get --resource=pods
create deployment made --image=none --replicas=0
create job made --image=none
scale deployment made --replicas=1
set image deployment/made none=other
rollout history deployment made
rollout status deployment made --timeout=1s
rollout restart deployment made
autoscale deployment made --max=2
expose deployment made --port=80
run made --image=none
get all -l app=made
debug made --image=none --target=made
drain n1
cordon n1
taint node n1 a=b:NoSchedule
certificate approve none
delete role made
delete pod,deployment,service,hpa,job,configmap,secret,serviceaccount --all --wait=false --grace-period=0
delete pod none";

/// What kubectl printed, without what is of this minute.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    success: bool,
    stdout: String,
    stderr: String,
}

/// The text without ages, times, addresses, generated names and tokens, in the order of words.
fn timeless(text: &str) -> String {
    let is_of_the_minute = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_age = word.starts_with(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c));
        // Times of day and addresses.
        let is_number = word.contains([':', '.']) && word.chars().all(|c| c.is_ascii_digit() || ":.".contains(c));
        let is_server = word.starts_with("https://127.0.0.1:");
        is_age
            || is_number
            || is_server
            || word.contains("20") && word.contains('T') && word.ends_with('Z')
            || word.starts_with("eyJ")
    };
    let mut lines: Vec<String> = text
        .lines()
        // klog's head has the time and the process.
        .map(|line| {
            line.split_once("] ").filter(|(head, _)| head.starts_with(['E', 'I', 'W'])).map_or(line, |(_, rest)| rest)
        })
        .filter(|line| {
            !["UID", "resourceVersion", "uid:", "Start Time", "creationTimestamp"]
                .iter()
                .any(|word| line.contains(word))
        })
        .map(|line| {
            let words = line.split_whitespace().map(|word| if is_of_the_minute(word) { "…" } else { word });
            let line = words.collect::<Vec<_>>().join(" ");
            // Temporary files of diff, and generated names.
            ["/tmp/", "debugger-"].iter().fold(line, |line, prefix| match line.split_once(prefix) {
                Some((before, _)) => format!("{before}{prefix}…"),
                None => line,
            })
        })
        .collect();
    // Retries of discovery come as often as they come.
    lines.dedup();
    lines.join("\n")
}

/// Prepares what alice works on.
fn objects() -> Value {
    let pod = json!({"containers": [{"name": "web", "image": "none"}]});
    let group = "rbac.authorization.k8s.io";
    let role = |name: &str| json!({"apiGroup": group, "kind": "ClusterRole", "name": name});
    let user = json!([{"apiGroup": group, "kind": "User", "name": "alice"}]);
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "work"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": pod},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": "shop"},
         "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "app"}}, "template": {"metadata": {"labels": {"app": "app"}}, "spec": pod}}},
        {"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "alice", "namespace": "shop"}, "roleRef": role("admin"), "subjects": user},
        {"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "alice"}, "roleRef": role("view"), "subjects": user},
    ]})
}

/// What lets the engineer be alice.
fn grants() -> Value {
    let group = "rbac.authorization.k8s.io";
    let meta = json!({"name": "support"});
    let rules = json!([{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users", "groups"]}]);
    let subjects = json!([{"apiGroup": group, "kind": "Group", "name": ENGINEER.1}]);
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": meta, "rules": rules},
        {"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": meta, "subjects": subjects,
         "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "support"}},
    ]})
}

/// One day, from the same objects each time.
fn day(cluster: &Cluster) -> Vec<(String, Shown)> {
    cluster.kubectl.admin(&["apply", "-f", &cluster.path("objects.json")]);
    let directory = cluster.path("");
    let shown = DAY.lines().map(|line| {
        let line = line.replace("DIR/", &directory);
        let arguments: Vec<&str> =
            ["--as", "alice", "--as-group", "devs", "-n", "shop"].into_iter().chain(line.split(' ')).collect();
        let run = cluster.kubectl.run(ENGINEER.0, &arguments);
        (line, Shown { success: run.success, stdout: timeless(&run.stdout), stderr: timeless(&run.stderr) })
    });
    shown.collect()
}

#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn a_day_with_kubectl_is_the_same_after_the_cut_over() {
    let mut cluster = Cluster::start(&[ENGINEER]);
    let config = |data: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "day", "namespace": "shop"}, "data": {"a": data}});
    for (name, object) in [
        ("objects.json", objects()),
        ("grants.json", grants()),
        ("configmap.yaml", config("1")),
        ("changed.yaml", config("2")),
    ] {
        fs::write(cluster.path(name), object.to_string()).unwrap();
    }
    cluster.kubectl.admin(&["apply", "-f", &cluster.path("grants.json")]);
    // What a day makes anew on its second run is there from the first on.
    day(&cluster);
    let before = day(&cluster);
    let worked = before.iter().filter(|(_, shown)| shown.success).count();
    println!("{} commands, {worked} of them worked", before.len());
    assert!(worked > 40, "{before:#?}");

    let (log, directory) = (cluster.path("observed.log"), cluster.path("migration"));
    fs::write(&log, cluster.audit_log()).unwrap();
    let run = deputize(&["migrate", &cluster.path("grants.json"), "--audit-log", &log, "--output-dir", &directory]);
    println!("{}", run.stderr);
    assert!(run.status < 2, "{}", run.stderr);
    for step in ["1-grant", "2-cutover"] {
        let path = format!("{directory}/{step}");
        if fs::exists(format!("{path}/kustomization.yaml")).unwrap() {
            cluster.kubectl.admin(&["apply", "-k", &path]);
        }
    }
    let delete = format!("{directory}/2-cutover/delete.yaml");
    if fs::exists(&delete).unwrap() {
        cluster.kubectl.admin(&["delete", "-f", &delete]);
    }
    cluster.ask(Server::Started, &[ready()]);
    let after = day(&cluster);
    let differ: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    println!("{} differ", differ.len());
    assert!(differ.is_empty(), "{differ:#?}");
    // Legacy is gone: what nobody did is refused.
    let run = cluster.kubectl.run(ENGINEER.0, &["--as", "alice", "get", "leases", "-n", "shop"]);
    assert!(!run.success && run.stderr.contains("cannot impersonate"), "{run:?}");
}
