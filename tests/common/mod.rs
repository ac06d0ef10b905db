//! Running the binary.
#![allow(dead_code, reason = "each test binary uses what it needs")]

pub mod api_server;
pub mod cluster;
pub mod migration;
pub mod repository;
pub mod upstream;
pub mod world;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use snapbox::{Data, assert_data_eq};
use tempfile::TempDir;

/// What a run of the binary printed, and its exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub status: i32,
}

/// The checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The number in an environment variable.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// Runs the binary in the checkout.
pub fn deputize(arguments: &[&str]) -> Run {
    deputize_in(&root(), arguments)
}

/// Runs the binary in a directory.
pub fn deputize_in(directory: &Path, arguments: &[&str]) -> Run {
    run(directory, arguments, b"")
}

/// Runs the binary with the given bytes on standard input.
pub fn deputize_with(arguments: &[&str], input: &[u8]) -> Run {
    run(&root(), arguments, input)
}

fn run(directory: &Path, arguments: &[&str], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_deputize"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // The program may end without reading all of it.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    Run {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code().unwrap(),
    }
}

/// A copy of the made-up company's manifests.
pub fn platform() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&root().join("testdata/platform")) {
        let path = directory.path().join("platform").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::copy(root().join("testdata/platform-actions.yaml"), directory.path().join("platform-actions.yaml")).unwrap();
    directory
}

/// All files below a directory.
pub fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(directory).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| (entry.path().strip_prefix(directory).unwrap().to_owned(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// Compares a text with a file below `tests/golden`.
pub fn golden_text(name: &str, text: &str) {
    assert_data_eq!(text, Data::read_from(&root().join(format!("tests/golden/{name}")), None).raw());
}
