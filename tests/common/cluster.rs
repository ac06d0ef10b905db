//! A cluster of upstream's own servers that stays: `live -cluster` (see `tests/upstream/README.md`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::upstream::{Upstream, build};

const SERVERS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];

/// The cluster, with its default roles and a controller that fills aggregated ClusterRoles.
pub struct Cluster {
    live: Upstream,
    /// Its kubectl.
    pub kubectl: Kubectl,
    directory: TempDir,
}

/// In which state a server is when it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// It has just started: it has read all objects, and remembers of no requestor which mode served it.
    Started,
    /// It has just started, and knows no constrained impersonation.
    WithoutFeature,
    /// It has been running.
    Running,
}

impl Cluster {
    /// Starts one. Users of kubectl are lines `user,groups`, with more than one group in quotes.
    pub fn start(users: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let row = |(user, groups): &(&str, &str)| format!("{user},{user},{user},{groups}\n");
        let tokens: String = [("admin", "system:masters")].iter().chain(users).map(row).collect();
        fs::write(directory.path().join("tokens.csv"), tokens).unwrap();
        let live = Upstream::start("live", &SERVERS, &["-cluster", directory.path().to_str().unwrap()]);
        let provided = std::env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join("kubectl"));
        let program = provided.filter(|path| path.exists()).unwrap_or_else(|| build(&["kubectl"]).join("kubectl"));
        let kubectl = Kubectl { program, kubeconfig: directory.path().join("kubeconfig") };
        let mut cluster = Self { live, kubectl, directory };
        cluster.ask(Server::Started, &[ready()]);
        cluster
    }

    /// A path in the directory of the cluster, which goes away with it.
    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// The answers to requests like those of `simulate`, as `live` has them. Service accounts have real tokens, and nobody
    /// else needs one.
    pub fn ask(&mut self, server: Server, requests: &[Value]) -> Vec<Value> {
        match server {
            Server::Started => self.live.ask(&[], true, requests),
            Server::WithoutFeature => self.live.ask(&[], false, requests),
            Server::Running => self.live.ask_more(requests),
        }
    }

    /// Does something while the running server is asked the same again and again, twice at least; all answers.
    pub fn ask_during(&mut self, requests: &[Value], something: impl FnOnce(&Kubectl) + Send) -> Vec<Vec<Value>> {
        let (live, kubectl) = (&mut self.live, &self.kubectl);
        std::thread::scope(|scope| {
            let doing = scope.spawn(move || something(kubectl));
            let mut answers = vec![live.ask_more(requests)];
            while !doing.is_finished() {
                answers.push(live.ask_more(requests));
            }
            doing.join().unwrap();
            answers.push(live.ask_more(requests));
            answers
        })
    }

    /// The audit log, with the events of all requests that were answered.
    pub fn audit_log(&mut self) -> Vec<u8> {
        // Those of kubectl may be late. They are there once a later request has its own.
        self.ask(Server::Running, &[ready()]);
        fs::read(self.path("audit.log")).unwrap()
    }
}

/// A request that is allowed as soon as the server answers.
pub fn ready() -> Value {
    json!({"user": "admin", "groups": ["system:masters"], "verb": "get", "path": "/readyz"})
}

/// kubectl for that cluster.
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// What a run of kubectl printed.
#[derive(Debug)]
pub struct KubectlRun {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Kubectl {
    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it in the checkout as a user, whose token is its name.
    pub fn run(&self, user: &str, arguments: &[&str]) -> KubectlRun {
        // Else it would ask for discovery once only.
        let cache = tempfile::tempdir().unwrap();
        let output = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--token", user, "--cache-dir"])
            .arg(cache.path())
            .args(arguments)
            .current_dir(super::root())
            // An editor that changes nothing.
            .env("KUBE_EDITOR", "true")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        KubectlRun { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs it as the administrator, who is to hear no complaint; what it printed.
    pub fn admin(&self, arguments: &[&str]) -> String {
        let run = self.run("admin", arguments);
        // It says so of any kustomization with an order of its own, which it keeps to.
        let complaints =
            run.stderr.lines().filter(|line| !line.is_empty() && !line.contains("Sorting order is set both"));
        assert!(run.success && complaints.count() == 0, "kubectl {arguments:?}: {run:?}");
        run.stdout
    }
}
