//! The commands of `docs/migrating.md`, run to the letter on the demo repository, with a real API server for `kubectl`.
//!
//! A command is expected to exit with 0, or with 1 if its comment says "status 1". Needs Go. Run with
//! `cargo test --test live_guide -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::cluster::Cluster;
use common::{files, root};

const PAGE: &str = "docs/migrating.md";
const IN_PLACE: &str = "## In place: edit the manifests themselves";

/// The console blocks of a part of the page, each with its commands.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    text.split("```console\n").skip(1).map(commands).collect()
}

fn commands(block: &str) -> Vec<&str> {
    block.lines().take_while(|line| !line.starts_with("```")).filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// A repository with the demo manifests and their audit log, and what the commands need to reach a server.
struct Repository {
    directory: PathBuf,
    path: String,
    kubeconfig: String,
}

impl Repository {
    fn new(cluster: &Cluster) -> Self {
        let directory = PathBuf::from(cluster.path("repository"));
        let testdata = root().join("testdata");
        fs::create_dir(&directory).unwrap();
        for (path, bytes) in files(&testdata.join("platform")) {
            let path = directory.join("manifests").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        for log in ["audit.log", "newer.log"] {
            fs::copy(testdata.join("platform-audit.log"), directory.join(log)).unwrap();
        }
        fs::create_dir(directory.join(".git")).unwrap();
        let programs = PathBuf::from(cluster.path("programs"));
        fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_deputize"), programs.join("deputize")).unwrap();
        std::os::unix::fs::symlink(cluster.kubectl.program(), programs.join("kubectl")).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let kubeconfig = cluster.path("admin.kubeconfig");
        fs::copy(cluster.path("kubeconfig"), &kubeconfig).unwrap();
        let repository = Self { directory, path, kubeconfig };
        let context = repository.run("kubectl config view --output jsonpath='{.contexts[0].name}'", 0);
        repository.run("kubectl config set-credentials admin --token admin", 0);
        repository.run(&format!("kubectl config set-context {context} --user admin"), 0);
        repository.run(&format!("kubectl config use-context {context}"), 0);
        repository
    }

    /// Runs a command in a shell; what it printed on standard output.
    fn run(&self, command: &str, status: i32) -> String {
        let output = Command::new("bash")
            .args(["-euc", command])
            .current_dir(&self.directory)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        println!("$ {command}\n{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{command}\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn follow(&self, commands: &[&str]) {
        for command in commands {
            let (_, comment) = command.split_once(" # ").unwrap_or((command, ""));
            if comment.contains("if the file exists") {
                let file = command.split_whitespace().find(|word| word.ends_with(".yaml")).unwrap();
                if !self.directory.join(file).exists() {
                    continue;
                }
            }
            self.run(command, i32::from(comment.contains("status 1")));
        }
    }
}

#[test]
#[ignore = "needs Go: builds and starts etcd, kube-apiserver and kube-controller-manager"]
fn the_guide_ends_with_nothing_to_report() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let (by_directory, in_place) = page.split_once(IN_PLACE).expect("the page has lost a heading");
    let by_directory = blocks(by_directory);
    let (way, back) = (&by_directory[0], &by_directory[1]);
    let in_place = blocks(in_place).swap_remove(0);
    assert!(way.len() > 6 && back.len() == 1 && in_place.len() > 4, "{way:?} {back:?} {in_place:?}");

    let cluster = Cluster::start(&[]);
    let repository = Repository::new(&cluster);
    repository.run("kubectl apply -f manifests/clusters/base/namespaces.yaml", 0);
    let namespaces = repository
        .run("grep -rhoE '^ +namespace: [a-z0-9-]+' manifests/apps manifests/clusters | awk '{print $2}' | sort -u", 0);
    for namespace in namespaces.lines() {
        repository
            .run(&format!("kubectl create namespace {namespace} --dry-run=client -o yaml | kubectl apply -f -"), 0);
    }
    // The chart is no manifest.
    repository.run("kubectl apply -R -f manifests/apps -f manifests/clusters", 0);

    let before = rbac(&repository);
    repository.follow(way);
    assert_ne!(rbac(&repository), before);
    repository.follow(back);
    repository.run("kubectl delete -k migrated/1-grant", 0);
    assert_eq!(rbac(&repository), before, "after the rollback");

    fs::remove_file(repository.directory.join("deputize.toml")).unwrap();
    repository.follow(&in_place);
    assert!(Path::new(&repository.directory).join("deputize.toml").exists());
}

/// The rules and bindings on the server, without what changes with each write.
fn rbac(repository: &Repository) -> String {
    repository.run(
        "kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A -o jsonpath='\
         {range .items[*]}{.kind} {.metadata.namespace} {.metadata.name} {.rules} {.roleRef} {.subjects}{\"\\n\"}{end}'",
        0,
    )
}
