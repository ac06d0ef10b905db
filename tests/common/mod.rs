//! Running the binary.
#![allow(dead_code, reason = "each test binary uses what it needs")]

pub mod api_server;
pub mod cluster;
pub mod migration;
pub mod upstream;
pub mod world;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
