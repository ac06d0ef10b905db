//! Upstream's own programs, built by `tests/upstream/build`.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The directory of the programs, which are built if need be.
pub fn build(programs: &[&str]) -> PathBuf {
    let build = super::root().join("tests/upstream/build");
    let output = Command::new(build).args(programs).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "upstream's programs could not be built; they need Go");
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().into()
}

/// Upstream's code, as a process that answers lines: the filter and the authorizer alone, or a live API server.
pub struct Upstream {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Upstream {
    pub fn start(program: &str, needs: &[&str], arguments: &[&str]) -> Self {
        let mut programs = vec![program];
        programs.extend(needs);
        let mut child = Command::new(build(&programs).join(program))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// The answers to requests in a world.
    pub fn ask(&mut self, world: &[Value], constrained: bool, requests: &[Value]) -> Vec<Value> {
        self.send(Some(json!({"world": {"items": world}, "constrained": constrained})), requests)
    }

    /// The answers to more requests in the same world.
    pub fn ask_more(&mut self, requests: &[Value]) -> Vec<Value> {
        self.send(None, requests)
    }

    fn send(&mut self, world: Option<Value>, requests: &[Value]) -> Vec<Value> {
        let lines: Vec<String> = world.iter().chain(requests).map(|line| format!("{line}\n")).collect();
        let stdin = self.child.stdin.as_mut().unwrap();
        let answers = &mut self.answers;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                stdin.write_all(lines.concat().as_bytes()).unwrap();
                stdin.flush().unwrap();
            });
            let mut read = || {
                let mut line = String::new();
                answers.read_line(&mut line).unwrap();
                serde_json::from_str(&line).unwrap()
            };
            requests.iter().map(|_| read()).collect()
        })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
