//! How fast a live cluster is read, side by side with `kubectl get -o json` of the same four kinds.
//!
//! `cargo bench --bench cluster` starts a kube-apiserver (needs Go, see `tests/upstream`), gives it 20,000 roles and 100,000
//! bindings (some minutes; `ROLES` changes how many), and runs both in turn. Memory is the most that was resident; on other
//! systems than Linux it is not known. Nothing is asserted, since a timing is no test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "common/mod.rs"]
#[allow(dead_code, reason = "commands are not only timed here")]
mod timing;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::cluster::Cluster;
use http::Request;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

const RUNS: usize = 3;
/// Bindings of each role.
const BINDINGS: usize = 5;
/// Requests under way while objects are made.
const AT_ONCE: usize = 16;
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn main() {
    let roles = common::number("ROLES", 20_000);
    let cluster = Cluster::start(&[]);
    let kubeconfig = cluster.path("kubeconfig");
    let start = Instant::now();
    fill(&kubeconfig, roles);
    println!("{roles} roles, {} bindings, made in {:.0?}; median of {RUNS}", roles * BINDINGS, start.elapsed());
    let output = cluster.path("output");
    let kinds = "clusterroles,roles,clusterrolebindings,rolebindings";
    let kubectl = ["get", kinds, "--all-namespaces", "--output", "json", "--token", "admin"];
    let deputize = Path::new(env!("CARGO_BIN_EXE_deputize"));
    let commands: [(&str, &Path, &[&str]); 4] = [
        ("kubectl get -o json", cluster.kubectl.program(), &kubectl),
        ("snapshot", deputize, &["snapshot"]),
        ("check -o json", deputize, &["check", "-o", "json"]),
        ("grants -o json", deputize, &["grants", "-o", "json"]),
    ];
    let mut times = vec![Vec::new(); commands.len()];
    let mut memory = vec![0; commands.len()];
    let mut sizes = vec![0; commands.len()];
    for _ in 0..RUNS {
        for (index, (_, program, arguments)) in commands.iter().enumerate() {
            let mut command = Command::new(program);
            command.args(*arguments).args(["--kubeconfig", &kubeconfig]).stderr(Stdio::null());
            let start = Instant::now();
            let resident = watch(command.stdout(fs::File::create(&output).unwrap()).spawn().unwrap());
            times[index].push(start.elapsed());
            memory[index] = memory[index].max(resident);
            sizes[index] = fs::metadata(&output).unwrap().len();
        }
    }
    let mut medians = times.iter_mut().map(|times| timing::median(times)).collect::<Vec<Duration>>().into_iter();
    let first = medians.next().unwrap();
    let json = sizes[0];
    for ((name, ..), (time, (resident, size))) in
        commands.iter().zip(std::iter::once(first).chain(medians).zip(memory.iter().zip(&sizes)))
    {
        let (ratio, share) = (time.as_secs_f64() / first.as_secs_f64(), *resident as f64 / json as f64);
        println!(
            "  {name:<20} {time:>8.2?}  {ratio:4.2} x   {:>4} MB resident, {share:4.2} x the JSON   {:>4} MB printed",
            resident >> 20,
            size >> 20
        );
    }
}

/// Waits for a process; the most that was resident of it, in bytes.
fn watch(mut child: Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        most = most.max(kilobytes.unwrap_or_default() << 10);
        thread::sleep(Duration::from_millis(2));
    }
    most
}

/// Makes the objects.
fn fill(kubeconfig: &str, roles: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await;
        let client = Client::try_from(config.unwrap()).unwrap();
        for n in 0..NAMESPACES {
            create(&client, "/api/v1/namespaces", &json!({"metadata": {"name": namespace(n)}})).await;
        }
        let workers = (0..AT_ONCE).map(|worker| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in (worker..roles).step_by(AT_ONCE) {
                    for (path, object) in objects(n) {
                        create(&client, &path, &object).await;
                    }
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
    });
}

async fn create(client: &Client, path: &str, object: &Value) {
    let request = Request::post(path).header("Content-Type", "application/json");
    let request = request.body(Body::from(object.to_string().into_bytes())).unwrap();
    let response = client.send(request).await.unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.status());
}

const NAMESPACES: usize = 200;

fn namespace(n: usize) -> String {
    format!("ns{:03}", n % NAMESPACES)
}

/// A role and its bindings: ClusterRoles and Roles by turns, one in a hundred with a legacy grant.
fn objects(n: usize) -> Vec<(String, Value)> {
    let (namespace, clusterwide) = (namespace(n), n.is_multiple_of(2));
    let labels = json!({"app.kubernetes.io/name": format!("app{}", n % 500), "app.kubernetes.io/managed-by": "Helm"});
    let mut rules =
        vec![json!({"apiGroups": ["", "apps"], "resources": ["pods", "deployments"], "verbs": ["get", "list"]})];
    if n.is_multiple_of(100) {
        let names = [format!("account{n}")];
        rules.push(json!({"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": names, "verbs": ["impersonate"]}));
    }
    let name = format!("role{n}");
    let kind = if clusterwide { "ClusterRole" } else { "Role" };
    let path = |clusterwide: bool, resource: &str| match clusterwide {
        true => format!("{RBAC}/cluster{resource}"),
        false => format!("{RBAC}/namespaces/{namespace}/{resource}"),
    };
    let role = json!({"metadata": {"name": &name, "labels": &labels}, "rules": rules});
    let mut objects = vec![(path(clusterwide, "roles"), role)];
    objects.extend((0..BINDINGS).map(|b| {
        let subjects = json!([
            {"kind": "ServiceAccount", "name": format!("account{n}-{b}"), "namespace": &namespace},
            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": format!("user{}", (n + b) % 7_000)},
        ]);
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": &name});
        let binding = json!({"metadata": {"name": format!("{name}-{b}"), "labels": &labels}, "roleRef": reference, "subjects": subjects});
        (path(clusterwide && b < 2, "rolebindings"), binding)
    }));
    objects
}
