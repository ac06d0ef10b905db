//! How long it takes to write 100,000 findings in each format, and what a configuration, suppressions and a baseline cost.
//!
//! `cargo bench --bench formats` makes manifests with 100,000 findings and runs `deputize check` on them once for each format, in
//! turn, 5 times. `check` itself is the run that finds all of them in a baseline, and so writes nothing. Then it runs `check` on a
//! tree of 20,000 manifests, first plain, then with exceptions, overrides, comments and a baseline of 10,000 findings. Medians are
//! printed; nothing is asserted, since a timing is no test. `DEPUTIZE` names another binary to measure.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{median, run};

const RUNS: usize = 5;
const FILES: usize = 500;
const ROLES_OF_A_FILE: usize = 100;
const TREE: usize = 20_000;
const BASELINE: usize = 10_000;

fn main() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("formats");
    formats(&root.join("findings"));
    settings(&root.join("tree"));
}

fn deputize(directory: &Path, arguments: &[&str]) -> Duration {
    // As in a pipeline: nothing of the environment counts.
    let binary = std::env::var("DEPUTIZE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_deputize").to_owned());
    let mut command = Command::new(binary);
    run(command.current_dir(directory).env_clear().arg("check").args(arguments)).unwrap()
}

/// Runs each command in turn, and returns the median of each.
fn in_turn(directory: &Path, commands: &[Vec<&str>]) -> Vec<Duration> {
    let mut times = vec![Vec::new(); commands.len()];
    for _ in 0..RUNS {
        for (command, times) in commands.iter().zip(&mut times) {
            times.push(deputize(directory, command));
        }
    }
    times.iter_mut().map(|times| median(times)).collect()
}

fn formats(directory: &Path) {
    fs::create_dir_all(directory.join("manifests")).unwrap();
    for file in 0..FILES {
        let roles = file * ROLES_OF_A_FILE..(file + 1) * ROLES_OF_A_FILE;
        let text: String = roles.map(|index| role(index, "")).collect();
        write(&directory.join(format!("manifests/{file}.yaml")), &text);
    }
    deputize(directory, &["manifests", "--write-baseline", "all.json"]);
    let known = fs::read_to_string(directory.join("all.json")).unwrap().matches("\"fingerprint\"").count();
    println!("{known} findings in {FILES} files; median of {RUNS}, warm cache");
    let names = ["human", "concise", "json", "sarif", "github", "gitlab", "junit"];
    let mut commands = vec![vec!["manifests", "--baseline", "all.json", "-o", "concise"]];
    commands.extend(names.iter().map(|name| vec!["manifests", "-o", *name]));
    let times = in_turn(directory, &commands);
    println!("  check itself     {:6.2} s", times[0].as_secs_f64());
    for (name, time) in names.iter().zip(&times[1..]) {
        println!("  {name:<16} {:6.2} s beyond that", time.as_secs_f64() - times[0].as_secs_f64());
    }
}

fn settings(directory: &Path) {
    // One in a hundred is RBAC with two findings; every other one of these says that it is meant.
    for index in 0..TREE {
        let path = directory.join(format!("manifests/team-{}/app-{index}.yaml", index / 200));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let noted = "  # deputize: ignore[unrestricted-users, unrestricted-groups] -- known\n";
        let text = match index % 200 {
            0 => role(index, ""),
            100 => role(index, noted),
            _ => format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-{index}\ndata:\n{}",
                "  key: value\n".repeat(300)
            ),
        };
        write(&path, &text);
    }
    deputize(directory, &["manifests", "--write-baseline", "known.json"]);
    let mut baseline = fs::read_to_string(directory.join("known.json")).unwrap();
    let known = baseline.matches("\"fingerprint\"").count();
    let end = baseline.rfind(']').unwrap();
    let mut more = String::new();
    for index in known..BASELINE {
        let _ = writeln!(
            more,
            ",{{\"object\":\"ClusterRole/gone-{index}\",\"rule\":\"unrestricted-users\",\"fingerprint\":\"{index:032x}\"}}"
        );
    }
    baseline.insert_str(end, &more);
    write(&directory.join("known.json"), &baseline);
    let mut configuration =
        String::from("exclude = [\"vendor/\", \"*.generated.yaml\"]\nignore = [\"missing-discovery\"]\n");
    for index in 0..50 {
        let _ = write!(
            configuration,
            "[[overrides]]\npaths = [\"team-{index}/tests/\"]\nignore = [\"unrestricted-uids\"]\n[[accept]]\nrule = \"unrestricted-users\"\nobject = {{ \
             kind = \"ClusterRole\", name = \"controller-{}\" }}\nreason = \"known\"\n",
            index * 200
        );
    }
    write(&directory.join("settings.toml"), &configuration);
    let times = in_turn(
        directory,
        &[
            vec!["manifests", "--no-config", "--no-ignore"],
            vec!["manifests", "--config", "settings.toml"],
            vec!["manifests", "--config", "settings.toml", "--baseline", "known.json"],
        ],
    );
    println!("tree of {TREE} files, 1 % RBAC; median of {RUNS}, warm cache");
    let names = ["plain", "with a configuration and comments", "and a baseline of 10,000"];
    for (name, time) in names.iter().zip(times) {
        println!("  {name:<34} {:7.1} ms", time.as_secs_f64() * 1e3);
    }
}

/// A role with two findings, and its binding.
fn role(index: usize, comment: &str) -> String {
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: controller-{index}\nrules:\n- apiGroups: [\"\"]\n  \
         resources: [users, groups]\n{comment}  verbs: [impersonate]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  \
         name: controller-{index}\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: controller-{index}\nsubjects:\n- kind: \
         ServiceAccount\n  name: controller\n  namespace: team-{index}\n"
    )
}

/// Writes a file if it does not hold this already.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|now| now == text) {
        return;
    }
    fs::write(path, text).unwrap();
}
