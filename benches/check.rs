//! How long `check` takes, side by side with what it cannot beat.
//!
//! `cargo bench --bench check` makes a tree of 20,000 manifests, 1 % of them RBAC, and runs `deputize check` and
//! `rg -l impersonate` over it in turn, 7 times each, with a warm cache. Then it reads a stream that is RBAC from end to
//! end, on one thread, from bytes to grants. Medians are printed; nothing is asserted, since a timing is no test.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{median, run};
use deputize::grants::Grants;
use deputize::inventory::load_bytes;

const FILES: usize = 20_000;
const RUNS: usize = 7;

fn main() {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manifests");
    let bytes = make_tree(&tree);
    println!("tree of {FILES} files, {:.1} MB, 1 % RBAC; median of {RUNS}, warm cache", bytes as f64 / 1e6);
    let check = || run(Command::new(env!("CARGO_BIN_EXE_deputize")).arg("check").arg(&tree));
    // The same files: those that are ignored or hidden too, and no others are there.
    let rg = || run(Command::new("rg").args(["-l", "--no-ignore", "--hidden", "impersonate"]).arg(&tree));
    check();
    let has_rg = rg().is_some();
    let (mut checks, mut rgs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        checks.extend(check());
        rgs.extend(rg());
    }
    let checked = median(&mut checks);
    println!("  deputize check       {:7.1} ms", checked.as_secs_f64() * 1e3);
    if has_rg {
        let searched = median(&mut rgs);
        println!("  rg -l impersonate    {:7.1} ms", searched.as_secs_f64() * 1e3);
        println!("  ratio                {:7.2}", checked.as_secs_f64() / searched.as_secs_f64());
    } else {
        println!("  rg is not installed, so there is nothing to compare with");
    }
    let stream = rbac_stream(50_000);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut times: Vec<Duration> = (0..RUNS).map(|_| pool.install(|| parse(&stream))).collect();
    let time = median(&mut times);
    let megabytes = stream.len() as f64 / 1e6;
    println!("stream of RBAC, {megabytes:.1} MB, bytes to grants on one thread; median of {RUNS}");
    println!("  {:.0} ms, {:.1} MB/s", time.as_secs_f64() * 1e3, megabytes / time.as_secs_f64());
}

fn parse(stream: &str) -> Duration {
    let start = Instant::now();
    let inventory = load_bytes("stream.yaml", stream.as_bytes());
    let grants = Grants::new(&inventory);
    let found: usize = grants.granting_rules().map(|(role, ..)| grants.holders(role).len()).sum();
    let time = start.elapsed();
    assert_ne!(found, 0);
    time
}

/// Makes the tree once; returns its size in bytes.
fn make_tree(root: &Path) -> usize {
    let mut total = 0;
    for index in 0..FILES {
        let directory = root.join(format!("team-{}/app-{}", index / 400, index / 10 % 40));
        let text = if index % 100 == 0 { role(index) + &binding(index) } else { deployment(index) };
        total += text.len();
        let path = directory.join(format!("manifest-{index}.yaml"));
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == text.len() as u64) {
            continue;
        }
        fs::create_dir_all(&directory).unwrap();
        fs::write(path, text).unwrap();
    }
    total
}

fn rbac_stream(pairs: usize) -> String {
    let mut stream = String::new();
    for index in 0..pairs {
        stream += &role(index);
        stream += &binding(index);
    }
    stream
}

/// A role as operators have them: a dozen rules in block style, every twentieth with impersonation.
fn role(index: usize) -> String {
    let mut text = format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: controller-{index}\n  labels:\n    \
         app.kubernetes.io/name: controller-{index}\n    app.kubernetes.io/part-of: platform\nrules:\n"
    );
    for resource in ["configmaps", "secrets", "services", "endpoints", "events"] {
        let _ = write!(
            text,
            "- apiGroups:\n  - \"\"\n  resources:\n  - {resource}\n  verbs:\n  - get\n  - list\n  - watch\n  - create\n  - patch\n"
        );
    }
    if index.is_multiple_of(20) {
        text += "- apiGroups:\n  - \"\"\n  resources:\n  - users\n  - groups\n  verbs:\n  - impersonate\n";
    }
    text
}

fn binding(index: usize) -> String {
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: controller-{index}\nroleRef:\n  \
         apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: controller-{index}\nsubjects:\n- kind: ServiceAccount\n  \
         name: controller\n  namespace: team-{index}\n"
    )
}

/// About 4 KB that are no RBAC.
fn deployment(index: usize) -> String {
    let mut text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{index}\n  namespace: team-{}\nspec:\n  replicas: 3\n  \
         template:\n    spec:\n      containers:\n      - name: app\n        image: registry.example/app:{index}\n        env:\n",
        index / 400
    );
    for variable in 0..60 {
        let _ = write!(
            text,
            "        - name: SETTING_{variable}\n          value: \"some value of setting {variable} of app {index}\"\n"
        );
    }
    text
}
