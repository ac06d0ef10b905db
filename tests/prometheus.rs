//! The alert rules that `guard --format prometheus` prints, checked and run by Prometheus' own `promtool`.
//!
//! Needs promtool. Run with `cargo test --test prometheus -- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::process::Command;

use common::{deputize, root};

#[test]
#[ignore = "needs promtool"]
fn promtool_takes_the_rules_and_each_fires_when_it_should() {
    let run = deputize(&["guard", "--format", "prometheus"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rules.yaml"), &run.stdout).unwrap();
    fs::copy(root().join("tests/prometheus/rules_test.yaml"), directory.path().join("rules_test.yaml")).unwrap();
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]] {
        let output = Command::new("promtool").args(arguments).current_dir(directory.path()).output().unwrap();
        assert!(output.status.success(), "promtool {arguments:?}: {output:?}");
    }
}

#[test]
fn the_rules_do_not_depend_on_an_input() {
    let run = deputize(&["guard", "--format", "prometheus", "testdata"]);
    assert!(run.status == 2 && run.stdout.is_empty() && run.stderr.contains("leave out paths"), "{run:?}");
    let run = deputize(&["guard", "--format", "prometheus"]);
    assert!(run.status == 0 && run.stdout.contains("alert:"), "{run:?}");
}
