//! Live clusters as users meet them, by a server that fails as a script says: nothing is half reported as whole, nothing
//! but reading is asked for, and no credential is shown.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use common::api_server::{Answer, ApiServer, Asked, listed};
use common::{Run, deputize_in};
use serde_json::{Value, json};
use tempfile::TempDir;

const KINDS: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];
const SECRET: &str = "s3cr3t-t0ken";

/// Many ClusterRoles, of which one lets a service account be anyone; one Role and its binding.
fn objects() -> Vec<Value> {
    let meta =
        |name: String| json!({"name": name, "uid": "1", "resourceVersion": "2", "managedFields": [{"manager": "x"}]});
    let rule = |verb: &str| json!([{"verbs": [verb], "apiGroups": [""], "resources": ["users"]}]);
    let mut objects: Vec<Value> = (0..250)
        .map(|n| json!({"kind": "ClusterRole", "metadata": meta(format!("r{n:03}")), "rules": rule("get")}))
        .collect();
    objects[120]["rules"] = rule("impersonate");
    let in_apps = json!({"name": "local", "namespace": "apps"});
    let reference =
        |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let deputy = json!([{"kind": "ServiceAccount", "name": "deputy", "namespace": "apps"}]);
    let accounts = json!([{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["serviceaccounts"]}]);
    objects.extend([
        json!({"kind": "Role", "metadata": in_apps, "rules": accounts}),
        json!({"kind": "ClusterRoleBinding", "metadata": meta("b".to_owned()), "roleRef": reference("ClusterRole", "r120"), "subjects": deputy}),
        json!({"kind": "RoleBinding", "metadata": in_apps, "roleRef": reference("Role", "local"), "subjects": deputy}),
    ]);
    objects
}

fn nothing(_: &Asked, _: usize) -> Option<Answer> {
    None
}

/// A directory with a kubeconfig for a server.
fn kubeconfig(server: &ApiServer) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = server.kubeconfig("prod", &json!({"token": SECRET}));
    fs::write(directory.path().join("config"), config.to_string()).unwrap();
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> Run {
    let (command, rest) = arguments.split_first().unwrap();
    let all = [&[*command, "--kubeconfig", "config"][..], rest].concat();
    let run = deputize_in(directory, &all);
    assert!(!format!("{run:?}").contains(SECRET), "{run:?}");
    run
}

fn check(server: &ApiServer) -> Run {
    run(kubeconfig(server).path(), &["check", "-o", "json"])
}

fn findings(run: &Run) -> Vec<String> {
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    let findings = result["findings"].as_array().unwrap().iter();
    findings.map(|finding| format!("{} {}", finding["rule"].as_str().unwrap(), finding["object"]["name"])).collect()
}

const BOTH: [&str; 2] = ["unrestricted-users \"r120\"", "unrestricted-serviceaccounts \"local\""];

#[test]
fn a_cluster_is_read_as_its_snapshot_is_and_only_read() {
    let metrics = "a 1\nkubernetes_feature_enabled{name=\"ConstrainedImpersonation\",stage=\"BETA\"} 1\n";
    let server = ApiServer::of_cluster("v1.37.2", &objects(), move |asked, _| {
        (asked.path == "/metrics").then(|| Answer::text(metrics))
    });
    let directory = kubeconfig(&server);
    let live = run(directory.path(), &["check", "-o", "json"]);
    assert_eq!((live.status, findings(&live)), (1, BOTH.map(str::to_owned).to_vec()), "{live:?}");
    let result: Value = serde_json::from_str(&live.stdout).unwrap();
    assert_eq!(result["findings"][0]["location"], Value::Null);
    let cluster = json!({"kubeVersion": "1.37", "servers": ["v1.37.2"], "constrainedImpersonation": true, "knownFrom": "metrics"});
    assert_eq!(result["cluster"], cluster);
    for asked in server.asked() {
        assert_eq!(asked.method, "GET");
        assert_eq!(asked.headers["user-agent"], concat!("deputize/", env!("CARGO_PKG_VERSION")));
        assert_eq!(asked.headers["authorization"], format!("Bearer {SECRET}"));
    }
    // Each list once, the long one in pages.
    for (kind, pages) in KINDS.into_iter().zip([3, 1, 1, 1]) {
        assert_eq!(server.asked().iter().filter(|asked| listed(&asked.path) == Some(kind)).count(), pages, "{kind}");
    }

    let snapshot = run(directory.path(), &["snapshot"]);
    assert_eq!(snapshot.status, 2, "service accounts are not served: {}", snapshot.stderr);
    assert!(!snapshot.stdout.contains("managedFields") && !snapshot.stdout.contains("uid"), "{}", snapshot.stdout);
    assert_eq!(run(directory.path(), &["snapshot"]).stdout, snapshot.stdout);
    fs::write(directory.path().join("snapshot.yaml"), &snapshot.stdout).unwrap();
    let again = deputize_in(directory.path(), &["check", "snapshot.yaml", "-o", "json"]);
    assert_eq!(findings(&again), BOTH);
}

#[test]
fn a_kind_that_is_forbidden_is_named_and_the_rest_is_reported() {
    let unbound = ["unbound-role \"r120\"", "unbound-role \"local\""];
    let left = [vec![BOTH[1]], vec![BOTH[0]], vec![unbound[0], BOTH[1]], vec![BOTH[0], unbound[1]]];
    for (forbidden, left) in KINDS.into_iter().zip(left) {
        let server = ApiServer::of_cluster("v1.37.2", &objects(), move |asked, _| {
            let message = format!("{forbidden} is forbidden: User \"jane\" cannot list it");
            (listed(&asked.path) == Some(forbidden)).then(|| Answer::refusal(403, &message))
        });
        let run = check(&server);
        assert_eq!((run.status, findings(&run)), (2, left.into_iter().map(str::to_owned).collect()), "{run:?}");
        let said = format!("{forbidden} could not be read");
        assert!(run.stderr.contains(&said) && run.stderr.contains("User \"jane\" cannot list it"), "{}", run.stderr);
        let result: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(result["problems"][0]["kind"], "not-listed");
        let grants = self::run(kubeconfig(&server).path(), &["grants", "-o", "json"]);
        let result: Value = serde_json::from_str(&grants.stdout).unwrap();
        assert_eq!((grants.status, &result["problems"][0]["kind"]), (2, &json!("not-listed")));
        let words = self::run(kubeconfig(&server).path(), &["grants"]).stdout;
        assert_eq!(words.contains("unbound, as far as was read"), forbidden.ends_with("bindings"), "{words}");
        let guard = self::run(kubeconfig(&server).path(), &["guard"]);
        assert!(guard.status == 2 && guard.stdout.is_empty(), "{guard:?}");
        let report = self::run(kubeconfig(&server).path(), &["report"]);
        assert!(report.status == 2 && report.stdout.contains(&format!("{forbidden} could not be read")), "{report:?}");
        // What is not known of the world cannot be proved of it.
        let directory = kubeconfig(&server);
        let simulate = self::run(directory.path(), &["simulate", "--user", "a", "--", "get", "pods"]);
        assert!(simulate.status == 2 && simulate.stdout.is_empty(), "{simulate:?}");
        assert!(simulate.stderr.contains("part of the cluster was not read"), "{simulate:?}");
        let migrate = self::run(directory.path(), &["migrate", "--from-target", "--output-dir", "out"]);
        assert!(migrate.status == 2 && !directory.path().join("out").exists(), "{migrate:?}");
    }
}

#[test]
fn an_unbound_role_is_not_called_so_where_bindings_are_forbidden() {
    let server = ApiServer::of_cluster("v1.37.2", &objects(), |asked, _| {
        (listed(&asked.path) == Some("clusterrolebindings")).then(|| Answer::refusal(403, "no"))
    });
    let run = self::run(kubeconfig(&server).path(), &["check"]);
    assert!(run.stdout.contains("nothing that could be read binds"), "{}", run.stdout);
}

#[test]
fn who_may_read_one_namespace_reads_one() {
    let server = ApiServer::of_cluster("v1.37.2", &objects(), |asked, _| {
        let namespaced = asked.path.contains("/namespaces/apps/") || asked.path == "/version";
        (!namespaced).then(|| Answer::refusal(403, "only apps"))
    });
    let directory = kubeconfig(&server);
    let run = self::run(directory.path(), &["check", "-o", "json", "-n", "apps"]);
    assert_eq!((run.status, findings(&run)), (1, vec![BOTH[1].to_owned()]), "{run:?}");
    assert!(run.stderr.contains("only the namespace \"apps\" was read"), "{}", run.stderr);
    assert!(run.stderr.contains("clusterroles could not be read"), "{}", run.stderr);
    assert!(server.asked().iter().all(|asked| listed(&asked.path) != Some("clusterrolebindings")));
    // Only what is forbidden is left out on purpose.
    let broken = ApiServer::of_cluster("v1.37.2", &objects(), |asked, _| {
        (listed(&asked.path) == Some("clusterroles")).then(|| Answer::text("<html>"))
    });
    let run = self::run(kubeconfig(&broken).path(), &["check", "-n", "apps"]);
    assert_eq!(run.status, 2, "{run:?}");
    let run = self::run(directory.path(), &["check", "-n", "../../secrets"]);
    assert!(run.status == 2 && run.stderr.contains("no namespace"), "{run:?}");
}

#[test]
fn a_list_that_became_too_old_is_read_from_its_beginning() {
    let gone = |asked: &Asked, before: usize| {
        (asked.path.contains("continue=200") && before == 0).then(|| Answer::refusal(410, "too old"))
    };
    let server = ApiServer::of_cluster("v1.37.2", &objects(), gone);
    let run = check(&server);
    assert_eq!((run.status, findings(&run)), (1, BOTH.map(str::to_owned).to_vec()), "{run:?}");
    let pages = server.asked().iter().filter(|asked| listed(&asked.path) == Some("clusterroles")).count();
    assert_eq!(pages, 6);
    // Not for ever.
    let server = ApiServer::of_cluster("v1.37.2", &objects(), |asked, _| {
        asked.path.contains("continue=200").then(|| Answer::refusal(410, "too old"))
    });
    let run = check(&server);
    assert_eq!((run.status, findings(&run)), (2, BOTH[1..].iter().map(|&found| found.to_owned()).collect()), "{run:?}");
    assert!(run.stderr.contains("clusterroles could not be read"), "{}", run.stderr);
}

#[test]
fn a_server_that_asks_to_wait_is_asked_again() {
    let server = ApiServer::of_cluster("v1.37.2", &objects(), |asked, before| {
        let busy = Answer { headers: vec![("Retry-After", "1".to_owned())], ..Answer::refusal(429, "slow down") };
        (listed(&asked.path) == Some("roles") && before == 0).then_some(busy)
    });
    let start = std::time::Instant::now();
    let run = check(&server);
    assert_eq!((run.status, findings(&run).len()), (1, 2), "{run:?}");
    assert!(start.elapsed().as_millis() >= 1_000, "{:?}", start.elapsed());
}

#[test]
fn failures_that_pass_are_not_seen_and_those_that_stay_are_said() {
    let passing = |asked: &Asked, before: usize| match (listed(&asked.path)?, before) {
        ("roles", 0) => Some(Answer::refusal(500, "etcd is busy")),
        ("clusterroles", 0) => {
            Some(Answer { cut: Some(9), ..Answer::text("{\"kind\": \"List\", \"metadata\": {}, \"items\": []}") })
        }
        _ => None,
    };
    let run = check(&ApiServer::of_cluster("v1.37.2", &objects(), passing));
    assert_eq!((run.status, findings(&run)), (1, BOTH.map(str::to_owned).to_vec()), "{run:?}");

    for broken in [
        Answer::refusal(500, "etcd is gone"),
        Answer { cut: Some(9), ..Answer::text("{\"kind\": \"List\", \"metadata\": {}, \"items\": []}") },
        Answer::text("<html>a proxy's page</html>"),
    ] {
        let staying = move |asked: &Asked, _: usize| (listed(&asked.path)? == "roles").then(|| broken.clone());
        let run = check(&ApiServer::of_cluster("v1.37.2", &objects(), staying));
        assert_eq!((run.status, findings(&run)), (2, vec![BOTH[0].to_owned()]), "{run:?}");
        assert!(run.stderr.contains("roles could not be read"), "{}", run.stderr);
    }
}

#[test]
fn credentials_that_do_not_do_are_said_and_never_shown() {
    let server = ApiServer::start(|_, _| Answer::refusal(401, "Unauthorized"));
    let run = check(&server);
    assert!(run.status == 2 && run.stdout.is_empty() && run.stderr.contains("(401)"), "{run:?}");

    // A plugin whose credential has expired, one that fails, and one that is not there.
    let expired = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": SECRET, "expirationTimestamp": "2020-01-01T00:00:00Z"}});
    let plugins = [
        (format!("echo '{expired}'"), "(401)"),
        (format!("echo {SECRET}; echo {SECRET} >&2; exit 3"), "exit status: 3"),
        (format!("echo 'no json {SECRET}'"), "printed no credential"),
    ];
    for (script, said) in plugins {
        let directory = tempfile::tempdir().unwrap();
        let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "/bin/sh", "args": ["-c", script]});
        let config = server.kubeconfig("prod", &json!({"exec": exec}));
        fs::write(directory.path().join("config"), config.to_string()).unwrap();
        let run = self::run(directory.path(), &["check"]);
        assert!(run.status == 2 && run.stderr.contains(said), "{said}: {run:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/plugin"});
    let config = server.kubeconfig("prod", &json!({"exec": exec}));
    fs::write(directory.path().join("config"), config.to_string()).unwrap();
    let run = self::run(directory.path(), &["check"]);
    assert!(run.status == 2 && run.stderr.contains("cannot be run"), "{run:?}");

    // What a parser says of a kubeconfig may quote it.
    fs::write(directory.path().join("config"), format!("users:\n- name: a\n  user: {{token: {SECRET}, x: [}}\n"))
        .unwrap();
    let run = self::run(directory.path(), &["check"]);
    assert!(run.status == 2 && run.stderr.contains("cannot be parsed"), "{run:?}");
}

#[test]
fn credentials_are_read_as_kubectl_reads_them() {
    let server = ApiServer::of_cluster("v1.37.2", &objects(), nothing);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), format!("{SECRET}\n")).unwrap();
    for credentials in [json!({"token": format!("{SECRET}\n")}), json!({"tokenFile": "token", "token": "other"})] {
        fs::write(directory.path().join("config"), server.kubeconfig("prod", &credentials).to_string()).unwrap();
        assert_eq!(self::run(directory.path(), &["check"]).status, 1);
        assert_eq!(server.asked().last().unwrap().headers["authorization"], format!("Bearer {SECRET}"));
    }
    // One that no header can hold.
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "/bin/sh",
        "args": ["-c", format!("echo '{{\"kind\": \"ExecCredential\", \"apiVersion\": \"client.authentication.k8s.io/v1\", \"status\": {{\"token\": \"{SECRET}\\\\n\"}}}}'")]});
    fs::write(directory.path().join("config"), server.kubeconfig("prod", &json!({"exec": exec})).to_string()).unwrap();
    let run = self::run(directory.path(), &["check"]);
    assert!(run.status == 2 && run.stderr.contains("do not go into a request"), "{run:?}");
    // A password in the URL of a proxy that cannot be used.
    let mut config = server.kubeconfig("prod", &json!({}));
    for proxy in ["socks5h://bob", "bob"] {
        config["clusters"][0]["cluster"]["proxy-url"] = json!(format!("{proxy}:{SECRET}@127.0.0.1:1"));
        fs::write(directory.path().join("config"), config.to_string()).unwrap();
        let run = self::run(directory.path(), &["check"]);
        assert!(run.status == 2 && run.stderr.contains("the proxy"), "{run:?}");
    }
    // What is sent in the clear is no secret.
    let config = server.kubeconfig("prod", &json!({"token": SECRET})).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clear =
        config.replace("https://", "http://").replace(&server.address, &listener.local_addr().unwrap().to_string());
    fs::write(directory.path().join("config"), clear).unwrap();
    let heard = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = [0; 4096];
        let length = std::io::Read::read(&mut stream, &mut heard).unwrap();
        String::from_utf8_lossy(&heard[..length]).into_owned()
    });
    assert_eq!(self::run(directory.path(), &["check"]).status, 2);
    let heard = heard.join().unwrap();
    assert!(heard.starts_with("GET /version") && !heard.contains(SECRET), "{heard}");
}

#[test]
fn an_identity_token_is_sent_while_it_is_valid() {
    let server = ApiServer::of_cluster("v1.37.2", &objects(), nothing);
    let directory = tempfile::tempdir().unwrap();
    let token = |expiry: u64| {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!("{}.{}.{}", encode("{\"alg\": \"none\"}"), encode(&format!("{{\"exp\": {expiry}}}")), encode(SECRET))
    };
    let check = |token: &str| {
        let provider = json!({"name": "oidc", "config": {"id-token": token}});
        let config = server.kubeconfig("prod", &json!({"auth-provider": provider})).to_string();
        fs::write(directory.path().join("config"), config).unwrap();
        let run = self::run(directory.path(), &["check"]);
        assert!(!format!("{run:?}").contains(token), "{run:?}");
        run
    };
    let valid = token(4_843_639_092);
    assert_eq!(check(&valid).status, 1);
    assert_eq!(server.asked().last().unwrap().headers["authorization"], format!("Bearer {valid}"));
    let run = check(&token(1_687_965_593));
    assert!(run.status == 2 && run.stderr.contains("expired and cannot be renewed"), "{run:?}");
}

#[test]
fn a_proxy_of_the_kubeconfig_is_used() {
    let server = ApiServer::of_cluster("v1.37.2", &objects(), nothing);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for client in proxy.incoming() {
            let (client, log) = (client.unwrap(), Arc::clone(&log));
            thread::spawn(move || drop(tunnel(client, &log)));
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let mut config = server.kubeconfig("prod", &json!({"token": SECRET}));
    config["clusters"][0]["cluster"]["proxy-url"] = json!(format!("http://jane:pass@{address}"));
    fs::write(directory.path().join("config"), config.to_string()).unwrap();
    let run = self::run(directory.path(), &["check", "-o", "json"]);
    assert_eq!(findings(&run), BOTH, "{run:?}");
    let asked = asked.lock().unwrap();
    let expected = format!("CONNECT {} HTTP/1.1", server.address);
    assert!(!asked.is_empty() && asked.iter().all(|line: &String| *line == expected), "{asked:?}");
}

/// What a proxy does: connects a client to the server that it asks for, and passes on what both say.
fn tunnel(client: TcpStream, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut lines = (&mut reader).lines();
    let first = lines.next().unwrap()?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let server = TcpStream::connect(first.split(' ').nth(1).unwrap())?;
    log.lock().unwrap().push(first);
    (&client).write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut back, mut answers) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut answers, &mut back));
    io::copy(&mut reader, &mut &server).map(drop)
}

#[test]
fn what_is_no_api_server_with_rbac_is_said() {
    let run = check(&ApiServer::of_cluster("v1.37.2", &[], |asked, _| listed(&asked.path).map(|_| Answer::unknown())));
    assert!(run.status == 2 && run.stdout.is_empty() && run.stderr.contains("RBAC"), "{run:?}");
    let run = check(&ApiServer::start(|_, _| Answer::text("<html>hello</html>")));
    assert!(run.status == 2 && run.stdout.is_empty() && run.stderr.contains("no answer of an API server"), "{run:?}");
    // Nobody listens.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = ApiServer::start(|_, _| Answer::unknown());
    let directory = kubeconfig(&server);
    let config = fs::read_to_string(directory.path().join("config")).unwrap();
    fs::write(directory.path().join("config"), config.replace(&server.address, &address.to_string())).unwrap();
    let run = self::run(directory.path(), &["check"]);
    assert!(run.status == 2 && run.stderr.contains("cannot be reached"), "{run:?}");
    // Nobody vouches for it.
    let stranger = serde_json::from_str::<Value>(&config).map(|mut config| {
        config["clusters"][0]["cluster"].as_object_mut().unwrap().remove("certificate-authority-data");
        config.to_string()
    });
    fs::write(directory.path().join("config"), stranger.unwrap()).unwrap();
    let run = self::run(directory.path(), &["check"]);
    assert!(run.status == 2 && run.stderr.contains("no secure connection"), "{run:?}");
    // What anyone can read gets no credential.
    fs::write(directory.path().join("config"), config.replace("https://", "http://")).unwrap();
    let run = self::run(directory.path(), &["check"]);
    assert_eq!(run.status, 2, "{run:?}");
}

#[test]
fn the_version_decides_where_metrics_do_not() {
    for (version, metrics, expected) in [
        ("v1.24.17", None, json!(["1.24", false, "version"])),
        ("v1.37.2", None, json!(["1.37", true, "version"])),
        (
            "v1.37.2",
            Some("kubernetes_feature_enabled{name=\"ConstrainedImpersonation\",stage=\"BETA\"} 0\n"),
            json!(["1.37", false, "metrics"]),
        ),
    ] {
        let server = ApiServer::of_cluster(version, &objects(), move |asked, _| {
            (asked.path == "/metrics").then(|| metrics.map_or(Answer::refusal(403, "no metrics"), Answer::text))
        });
        let run = check(&server);
        let cluster = &serde_json::from_str::<Value>(&run.stdout).unwrap()["cluster"];
        let found = json!([cluster["kubeVersion"], cluster["constrainedImpersonation"], cluster["knownFrom"]]);
        assert_eq!(found, expected, "{version}");
        // The engine answers as that server does.
        let request = ["simulate", "--user", "system:serviceaccount:apps:deputy", "--as", "panda", "--", "get", "/api"];
        let simulated = self::run(kubeconfig(&server).path(), &request);
        let constrained = simulated.stdout.contains("impersonate-on");
        assert_eq!(constrained, expected[1] == json!(true), "{}", simulated.stdout);
    }
}

/// The metrics of a server, with lines of attempts in the text; it started so many seconds ago.
fn metrics(ago: u64, gate: u8, attempts: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    format!(
        "{attempts}kubernetes_build_info{{git_version=\"v1.37.2\"}} 1\n\
         kubernetes_feature_enabled{{name=\"ConstrainedImpersonation\",stage=\"BETA\"}} {gate}\n\
         process_start_time_seconds {}\n",
        now - ago
    )
}

fn attempt(mode: &str, decision: &str, count: u64) -> String {
    format!("apiserver_impersonation_attempts_total{{decision=\"{decision}\",mode=\"{mode}\"}} {count}\n")
}

const DAY: u64 = 24 * 60 * 60;

#[test]
fn use_of_legacy_impersonation_is_counted_over_all_servers_and_said_by_every_command() {
    let used = attempt("legacy", "allowed", 12) + &attempt("user-info", "allowed", 5) + &attempt("", "denied", 3);
    // Three servers take turns.
    let servers = [
        metrics(45 * DAY + 60, 1, &used),
        metrics(2 * DAY + 60, 1, ""),
        metrics(9 * DAY, 1, &attempt("legacy", "allowed", 8)),
    ];
    let server = ApiServer::of_cluster("v1.37.2", &objects(), move |asked, before| match asked.path.as_str() {
        "/metrics" => Some(Answer::text(&servers[before % 3])),
        path if path.starts_with("/api/v1/") => {
            Some(Answer::json(&json!({"kind": "List", "metadata": {}, "items": []})))
        }
        _ => None,
    });
    let directory = kubeconfig(&server);
    let said = "legacy impersonation succeeded 20 times since the 3 API servers that answered started (2 to 45 days; 5 \
                by constrained modes, 3 denied): some client uses it, so find out which before you remove legacy grants";
    for command in [&["check"][..], &["grants"], &["report"], &["migrate", "--from-target"]] {
        let run = self::run(directory.path(), command);
        assert_eq!(run.stderr.matches(said).count(), 1, "{command:?}: {}", run.stderr);
        if command == ["report"] {
            assert!(run.stdout.contains("20 times since the 3 API servers"), "{}", run.stdout);
        }
    }
    let asked = server.asked();
    let metrics: Vec<&Asked> = asked.iter().filter(|asked| asked.path == "/metrics").collect();
    assert!(metrics.iter().all(|asked| asked.headers["connection"] == "close"), "{metrics:?}");
    assert!(metrics.len() <= 4 * 17, "{}", metrics.len());

    // The same from a snapshot, and in JSON.
    fs::write(directory.path().join("snapshot.yaml"), self::run(directory.path(), &["snapshot"]).stdout).unwrap();
    let live: Value = serde_json::from_str(&check(&server).stdout).unwrap();
    let from_file = deputize_in(directory.path(), &["check", "snapshot.yaml", "-o", "json"]);
    let from_file: Value = serde_json::from_str(&from_file.stdout).unwrap();
    for result in [&live, &from_file] {
        let counts = result["cluster"]["impersonation"].as_array().unwrap();
        let counts: Vec<Value> = counts.iter().map(|count| json!([count["allowed"], count["denied"]])).collect();
        assert_eq!(counts, [json!([{"legacy": 12, "user-info": 5}, 3]), json!([{"legacy": 8}, 0]), json!([{}, 0])]);
        assert!(result["cluster"]["impersonation"][0]["started"].as_str().unwrap().ends_with('Z'));
    }
    let from_file = deputize_in(directory.path(), &["migrate", "snapshot.yaml", "--from-target", "-o", "json"]);
    let plan: Value = serde_json::from_str(&from_file.stdout).unwrap();
    assert!(plan["warnings"].as_array().unwrap().iter().any(|warning| warning == said), "{}", plan["warnings"]);
    let report = deputize_in(directory.path(), &["report", "snapshot.yaml", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["facts"]["legacyUse"], said);
    assert!(report["warnings"].as_array().unwrap().iter().all(|warning| warning != said), "{}", report["warnings"]);
    let page = deputize_in(directory.path(), &["report", "snapshot.yaml", "--format", "html"]).stdout;
    assert!(page.contains("In use today: legacy impersonation succeeded 20 times"), "{page}");
}

#[test]
fn no_use_is_a_hint_only_where_it_would_have_been_counted_long_enough() {
    let count = |metrics: Option<String>| {
        let server = ApiServer::of_cluster("v1.37.2", &objects(), move |asked, _| {
            let metrics = metrics.as_deref();
            (asked.path == "/metrics").then(|| metrics.map_or(Answer::refusal(403, "no metrics"), Answer::text))
        });
        check(&server).stderr
    };
    for (metrics, said) in [
        (Some(metrics(45 * DAY, 1, "")), "(45 days): a strong hint that no client needs it"),
        (Some(metrics(2 * 60 * 60, 1, "")), "(2 hours): too little to conclude that no client needs it"),
        (Some(metrics(45 * DAY, 0, "")), "is not known: API servers without constrained impersonation do not count it"),
        (None, "is not known: the metrics of the API servers were not read"),
        // A file that says everything but when the server started.
        (Some(attempt("legacy", "allowed", 1)), "is not known: the metrics of the API servers were not read"),
    ] {
        let stderr = count(metrics);
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
}

#[test]
fn servers_with_and_without_the_feature_are_judged_as_without() {
    let servers = [metrics(DAY, 1, ""), metrics(2 * DAY, 0, "")];
    let server = ApiServer::of_cluster("v1.37.2", &objects(), move |asked, before| {
        (asked.path == "/metrics").then(|| Answer::text(&servers[before % 2]))
    });
    let run = check(&server);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(result["cluster"]["constrainedImpersonation"], false);
    assert!(run.stderr.contains("on in some API servers that answered and off in others"), "{}", run.stderr);
    assert!(run.stderr.contains("1 more API server does not count it"), "{}", run.stderr);
}

#[test]
fn servers_of_several_versions_are_noticed() {
    let server = ApiServer::of_cluster("v1.37.2", &objects(), |asked, before| {
        let old = json!({"major": "1", "minor": "35", "gitVersion": "v1.35.4"});
        (asked.path == "/version" && before == 2).then(|| Answer::json(&old))
    });
    let run = check(&server);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&result["cluster"]["kubeVersion"], run.status), (&json!("1.35"), 1));
    assert!(run.stderr.contains("v1.35.4, v1.37.2"), "{}", run.stderr);
}

#[test]
fn contexts_are_found_as_kubectl_finds_them_and_reported_by_name() {
    let (first, second) =
        (ApiServer::of_cluster("v1.37.2", &objects(), nothing), ApiServer::of_cluster("v1.36.0", &[], nothing));
    let dead = ApiServer::start(|_, _| Answer::refusal(401, "Unauthorized"));
    let directory = tempfile::tempdir().unwrap();
    for (name, server) in [("first", &first), ("second", &second), ("third", &dead)] {
        let config = server.kubeconfig(name, &json!({"token": SECRET}));
        fs::write(directory.path().join(name), config.to_string()).unwrap();
    }
    let with_list = |list: &str, arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_deputize"))
            .args(arguments)
            .current_dir(directory.path())
            .env_clear()
            .env("KUBECONFIG", list)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { stdout: text(output.stdout), stderr: text(output.stderr), status: output.status.code().unwrap() }
    };
    // The first file says which context is the current one; a file that is not there says nothing.
    let run = with_list("missing:second:first", &["check", "--cluster", "-o", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    let arguments = ["check", "-o", "json", "--context", "second", "--context", "first"];
    let run = with_list("first:second", &arguments);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    let names: Vec<&Value> = result["contexts"].as_array().unwrap().iter().map(|context| &context["name"]).collect();
    assert_eq!((run.status, names), (1, vec![&json!("second"), &json!("first")]));
    assert_eq!(result["contexts"][1]["result"]["findings"].as_array().unwrap().len(), 2);
    // One that cannot be read does not hide the others.
    let run = with_list("first:second:third", &["check", "--all-contexts", "-o", "json"]);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.status, result["contexts"].as_array().unwrap().len()), (2, 3));
    let third = &result["contexts"][2];
    assert_eq!((&third["name"], &third["result"]), (&json!("third"), &Value::Null));
    assert!(third["error"].as_str().unwrap().contains("(401)"), "{third}");
    assert!(run.stderr.contains("context \"third\" could not be read"), "{}", run.stderr);
    let run = with_list("first:second:third", &["grants", "--all-contexts"]);
    assert!(
        run.stdout.contains("# cluster \"first\"") && run.stdout.contains("# cluster \"second\""),
        "{}",
        run.stdout
    );
    // A page for each that can be read.
    let run = with_list("first:second:third", &["report", "--all-contexts", "--format", "html"]);
    assert!(run.status == 2 && run.stdout.is_empty() && run.stderr.contains("--output-dir"), "{run:?}");
    let to_files = ["report", "--all-contexts", "--format", "html", "--output-dir", "reports"];
    let run = with_list("first:second:third", &to_files);
    assert!(run.status == 2 && run.stderr.contains("context \"third\" could not be read"), "{run:?}");
    for name in ["first", "second"] {
        let page = fs::read_to_string(directory.path().join(format!("reports/{name}.html"))).unwrap();
        assert!(page.contains(&format!("upgrade report of cluster {name}</title>")), "{page}");
    }
    let run = with_list("first:second:third", &to_files);
    assert!(run.status == 2 && run.stderr.contains("--force"), "{run:?}");
    // One world is one cluster.
    let run = with_list("first:second", &["simulate", "--all-contexts", "--user", "a", "--", "get", "pods"]);
    assert!(run.status == 2 && run.stderr.contains("name one context"), "{run:?}");
    let run = with_list("first:second", &["check", "--context", "frist"]);
    assert!(run.status == 2 && run.stderr.contains("\"first\""), "{run:?}");
    let run = with_list("missing", &["check", "--cluster"]);
    assert!(run.status == 2 && run.stderr.contains("no kubeconfig"), "{run:?}");
    let run = with_list("first", &["check", "--cluster", "manifests"]);
    assert!(run.status == 2 && run.stderr.contains("cannot be used with"), "{run:?}");
}

#[test]
fn snapshots_of_several_clusters_are_files_of_their_own() {
    let accounts = |asked: &Asked, _: usize| {
        let account = json!({"metadata": {"name": "deputy", "namespace": "apps"}, "secrets": [{"name": SECRET}]});
        let list = json!({"kind": "ServiceAccountList", "metadata": {}, "items": [account]});
        asked.path.starts_with("/api/v1/serviceaccounts").then(|| Answer::json(&list))
    };
    let server = ApiServer::of_cluster("v1.37.2", &objects(), accounts);
    let directory = kubeconfig(&server);
    let run = self::run(directory.path(), &["snapshot", "--all-contexts", "--output-dir", "out"]);
    assert_eq!(run.status, 0, "{run:?}");
    let snapshot = fs::read_to_string(directory.path().join("out/prod.yaml")).unwrap();
    assert!(snapshot.contains("serviceAccounts:\n  apps:\n  - deputy\n") && !snapshot.contains(SECRET), "{snapshot}");
    let run = self::run(directory.path(), &["snapshot", "--output-dir", "out"]);
    assert!(run.status == 2 && run.stderr.contains("--force"), "{run:?}");

    // Two worlds are not one: neither snapshot counts as one among other files.
    fs::copy(directory.path().join("out/prod.yaml"), directory.path().join("out/other.yaml")).unwrap();
    let both = deputize_in(directory.path(), &["check", "out"]);
    assert!(both.status == 2 && both.stderr.contains("is not the only path given"), "{both:?}");

    // Redacted, it means the same and says no name.
    fs::File::create(directory.path().join("key")).unwrap().write_all(b"key\n").unwrap();
    let redacted = self::run(directory.path(), &["snapshot", "--redact", "--redact-key", "key"]).stdout;
    assert_eq!(self::run(directory.path(), &["snapshot", "--redact", "--redact-key", "key"]).stdout, redacted);
    assert_ne!(self::run(directory.path(), &["snapshot", "--redact"]).stdout, redacted);
    for name in ["deputy", "apps", "r120", "prod"] {
        assert!(!redacted.contains(name), "{name}: {redacted}");
    }
    fs::write(directory.path().join("redacted.yaml"), redacted).unwrap();
    let shape = |path: &str| {
        let run = deputize_in(directory.path(), &["grants", path, "-o", "json"]);
        let mut result: Value = serde_json::from_str(&run.stdout).unwrap();
        let entries = result["grants"].as_array_mut().unwrap().iter_mut();
        let mut shapes: Vec<String> = entries
            .map(|entry| {
                let keys = ["verb", "mode", "effective", "reason"];
                format!("{:?} {}", keys.map(|key| entry[key].to_string()), entry["identity"]["resource"])
            })
            .collect();
        shapes.sort();
        shapes
    };
    assert_eq!(shape("redacted.yaml"), shape("out/prod.yaml"));
}
