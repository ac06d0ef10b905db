//! How many requests a second are answered, side by side with upstream's own filter and authorizer.
//!
//! `cargo bench --bench simulate` makes a cluster of 2,000 roles and 10,000 bindings, and asks the same requests of three:
//! upstream's code (`tests/upstream/build oracle`, needs Go), the engine, and `deputize simulate` from JSON lines to JSON
//! lines; one core each. Then it asks the engine over 1,000 to 100,000 bindings, and twice and four times as many
//! requests. Nothing is asserted, since a timing is no test.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use deputize::authority::{Authorizer, Feature, decide};
use deputize::evidence::{OwnedRequest, read_request};
use deputize::grants::Grants;
use deputize::inventory::load_bytes;

const ROLES: usize = 2_000;
const RUNS: usize = 5;

fn main() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let world = world(10_000);
    let requests = requests(200_000, 10_000);
    fs::write(directory.join("world.json"), &world).unwrap();
    fs::write(directory.join("requests.jsonl"), requests.join("\n")).unwrap();
    println!("{ROLES} roles, 10,000 bindings; one core each; median of {RUNS}");
    let upstream = upstream(&world, &requests[..20_000]);
    let engine = engine(&world, &requests);
    let simulate = simulate(directory, requests.len());
    let row = |what: &str, rate: f64| {
        let ratio = upstream.map_or_else(String::new, |upstream| format!("{:9.0} x", rate / upstream));
        println!("  {what:<28} {rate:>12.0} requests/s {ratio}");
    };
    match upstream {
        Some(rate) => row("upstream", rate),
        None => println!("  upstream cannot be built here, so there is nothing to compare with"),
    }
    row("the engine", engine);
    row("simulate, JSON to JSON", simulate);
    println!("the engine over more bindings");
    for bindings in [1_000, 10_000, 100_000] {
        let world = self::world(bindings);
        println!(
            "  {bindings:>7} bindings   {:>12.0} requests/s",
            self::engine(&world, &self::requests(200_000, bindings))
        );
    }
    println!("simulate over more requests");
    for count in [100_000, 200_000, 400_000] {
        let requests = self::requests(count, 10_000);
        fs::write(directory.join("requests.jsonl"), requests.join("\n")).unwrap();
        println!("  {count:>7} requests   {:>12.0} requests/s", self::simulate(directory, count));
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn upstream(world: &str, requests: &[String]) -> Option<f64> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upstream/build");
    let output = Command::new(build).arg("oracle").stderr(Stdio::null()).output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?.lines().last()?.to_owned();
    let mut lines = format!("{{\"world\": {world}, \"constrained\": true}}\n");
    for request in requests {
        let _ = writeln!(lines, "{request}");
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle.jsonl");
    fs::write(&path, lines).unwrap();
    let rates = (0..RUNS).map(|_| {
        let output = Command::new(format!("{directory}/oracle"))
            .arg("-time")
            .env("GOMAXPROCS", "1")
            .stdin(fs::File::open(&path).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .ok()?;
        // "… 20000 requests in 11.1 s, 1800 requests/s"
        let text = String::from_utf8(output.stderr).ok()?;
        let rate = text
            .split_whitespace()
            .zip(text.split_whitespace().skip(1))
            .filter(|(_, unit)| unit.starts_with("requests/s"));
        rate.last()?.0.parse().ok()
    });
    rates.collect::<Option<Vec<f64>>>().map(median)
}

/// The engine alone, from requests in memory to decisions in memory.
fn engine(world: &str, requests: &[String]) -> f64 {
    let inventory = load_bytes("world.json", world.as_bytes());
    assert!(inventory.problems.is_empty(), "{:?}", inventory.problems.first());
    let grants = Grants::new(&inventory);
    let authorizer = Authorizer::new(&inventory, grants.rules(), grants.links());
    let requests: Vec<OwnedRequest> =
        requests.iter().map(|request| read_request(request.as_bytes()).unwrap()).collect();
    let run = || {
        let start = Instant::now();
        let decisions = requests.iter().map(|request| decide(&authorizer, &request.as_request(), Feature::Constrained));
        let allowed = decisions.filter(|decision| decision.request.is_some()).count();
        let rate = requests.len() as f64 / start.elapsed().as_secs_f64();
        assert!(allowed > requests.len() / 4, "{allowed}");
        rate
    };
    median((0..RUNS).map(|_| run()).collect())
}

/// The whole program, less the time that it takes to read the world.
fn simulate(directory: &Path, count: usize) -> f64 {
    let run = |requests: &Path| {
        let start = Instant::now();
        let status = Command::new(env!("CARGO_BIN_EXE_deputize"))
            .arg("simulate")
            .arg(directory.join("world.json"))
            .args(["-j", "1", "--requests"])
            .arg(requests)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.code().is_some_and(|code| code < 2));
        start.elapsed().as_secs_f64()
    };
    let nothing = directory.join("nothing.jsonl");
    fs::write(&nothing, "").unwrap();
    let rates = (0..RUNS).map(|_| {
        let start = run(&nothing);
        count as f64 / (run(&directory.join("requests.jsonl")) - start).max(1e-9)
    });
    median(rates.collect())
}

/// A cluster: operators' roles, a few of which impersonate, bound to service accounts and groups.
fn world(bindings: usize) -> String {
    let mut items = Vec::new();
    for index in 0..ROLES {
        let mut rules = String::new();
        for (group, resource) in
            [("", "configmaps"), ("", "secrets"), ("apps", "deployments"), ("batch", "jobs"), ("", "events")]
        {
            let _ = write!(
                rules,
                "{{\"apiGroups\":[\"{group}\"],\"resources\":[\"{resource}\"],\"verbs\":[\"get\",\"list\",\"watch\",\"create\"]}},"
            );
        }
        rules += "{\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"verbs\":[\"get\",\"list\"]}";
        if index % 4 == 0 {
            rules += ",{\"apiGroups\":[\"authentication.k8s.io\"],\"resources\":[\"users\",\"groups\",\"uids\"],\"verbs\":[\"impersonate:user-info\"]}\
                      ,{\"apiGroups\":[\"\",\"apps\"],\"resources\":[\"pods\",\"deployments\"],\"verbs\":[\"impersonate-on:user-info:get\",\"impersonate-on:user-info:list\"]}";
        }
        if index % 4 == 1 {
            rules += ",{\"apiGroups\":[\"\",\"authentication.k8s.io\"],\"resources\":[\"users\",\"groups\",\"uids\",\"serviceaccounts\"],\"verbs\":[\"impersonate\"]}";
        }
        items.push(format!("{{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRole\",\"metadata\":{{\"name\":\"role-{index}\"}},\"rules\":[{rules}]}}"));
    }
    for index in 0..bindings {
        let role = index % ROLES;
        let subject = match index % 10 {
            0 => format!("{{\"kind\":\"User\",\"name\":\"user-{}\"}}", index % 1000),
            1 => format!("{{\"kind\":\"Group\",\"name\":\"group-{}\"}}", index % 500),
            _ => {
                format!("{{\"kind\":\"ServiceAccount\",\"namespace\":\"ns-{}\",\"name\":\"sa-{index}\"}}", index % 300)
            }
        };
        let role_ref = format!(
            "\"roleRef\":{{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"role-{role}\"}}"
        );
        // Identities of users can be granted cluster-wide only; of the rest, one binding in five is for a namespace.
        let (kind, namespace) = if index % 5 == 0 && role % 4 > 1 {
            ("RoleBinding", format!(",\"namespace\":\"ns-{}\"", index % 300))
        } else {
            ("ClusterRoleBinding", String::new())
        };
        items.push(format!(
            "{{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"{kind}\",\"metadata\":{{\"name\":\"binding-{index}\"{namespace}}},{role_ref},\"subjects\":[{subject}]}}"
        ));
    }
    format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}", items.join(","))
}

/// Requests of the service accounts and users of the cluster, as its users.
fn requests(count: usize, bindings: usize) -> Vec<String> {
    let request = |number: usize| {
        // Bindings of roles that impersonate, in constrained modes and in legacy.
        let index = number * 8 % bindings + number % 2;
        let user = match index % 10 {
            0 | 1 => format!("user-{}", index / 10 * 10 % 1000),
            _ => format!("system:serviceaccount:ns-{}:sa-{index}", index % 300),
        };
        let target = format!("user-{}", number * 10 % 1000);
        // As clients do: a user alone, a user with groups, and all that a token says.
        let groups: Vec<String> =
            (0..[0, 2, 3][number % 3]).map(|group| format!("\"group-{}\"", (number + group) % 500)).collect();
        let groups = groups.join(",");
        let uid = if number % 3 == 2 { format!("uid-{number}") } else { String::new() };
        let verb = if number.is_multiple_of(2) { "list" } else { "get" };
        format!(
            "{{\"user\":\"{user}\",\"groups\":[\"group-{}\"],\"impersonate\":{{\"user\":\"{target}\",\"uid\":\"{uid}\",\"groups\":[{groups}]}},\"verb\":\"{verb}\",\
             \"resource\":\"pods\",\"namespace\":\"ns-{}\"}}",
            number % 500,
            number % 300
        )
    };
    (0..count).map(request).collect()
}
