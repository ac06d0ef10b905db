//! `check --diff-base REV`, with the real git.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::deputize_in;
use common::repository::{Repository, findings, grant};
use serde_json::Value;

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is needed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A repository whose grants are committed.
fn committed(config: &str) -> Repository {
    let repository = Repository::new(config);
    fs::remove_dir(repository.path(".git")).unwrap();
    git(repository.root(), &["init", "-q"]);
    commit(&repository, "first");
    repository
}

fn commit(repository: &Repository, message: &str) {
    git(repository.root(), &["add", "-A"]);
    git(repository.root(), &["commit", "-q", "-m", message]);
}

fn reported(repository: &Repository, arguments: &[&str]) -> (Vec<String>, Value, i32) {
    let (result, run) = repository.json(arguments);
    (findings(&result, "findings"), result, run.status)
}

const A: &str = "deploy/a.yaml named-identities warning";

#[test]
fn only_what_a_change_adds_is_reported() {
    let repository = committed("");
    let base = ["--diff-base", "HEAD"];
    let (found, result, status) = reported(&repository, &base);
    assert_eq!((found, status), (vec![], 0));
    assert_eq!(result["summary"]["baseRevision"], 2);
    // Moved lines, another name and a changed neighbor add nothing.
    repository.write("deploy/a.yaml", &format!("# a comment\n\n{}", grant("a", "alice")));
    fs::rename(repository.path("vendor/b.yaml"), repository.path("deploy/c.yaml")).unwrap();
    assert_eq!(reported(&repository, &base).0, [] as [&str; 0]);
    // A new grant, and an old one in the hands of another subject.
    repository.write("deploy/new.yaml", &grant("new", "carol"));
    repository.write("deploy/c.yaml", &grant("b", "bob").replace("apps, name: b", "apps, name: other"));
    let (found, _, status) = reported(&repository, &base);
    assert_eq!(found, ["deploy/c.yaml named-identities warning", "deploy/new.yaml named-identities warning"]);
    assert_eq!(status, 1);
    // What is given is compared, not all of the repository.
    let (found, _, _) = reported(&repository, &["--diff-base", "HEAD", "deploy/new.yaml"]);
    assert_eq!(found, ["deploy/new.yaml named-identities warning"]);
    commit(&repository, "second");
    assert_eq!(reported(&repository, &base).0, [] as [&str; 0]);
    assert_eq!(reported(&repository, &["--diff-base", "HEAD~1"]).0.len(), 2);
    assert_eq!(reported(&repository, &["--diff-base", "main~1", "deploy"]).0.len(), 2);
}

#[test]
fn a_role_and_its_binding_meet_at_the_revision_too() {
    let repository = committed("");
    let text = grant("late", "dave");
    let (role, binding) = text.split_once("---\n").unwrap();
    repository.write("deploy/role.yaml", role);
    commit(&repository, "a role that nothing binds");
    repository.write("deploy/binding.yaml", binding);
    let (found, _, _) = reported(&repository, &["--diff-base", "HEAD"]);
    assert_eq!(found, ["deploy/role.yaml named-identities warning"]);
}

#[test]
fn a_finding_whose_comment_is_removed_is_reported() {
    let repository = committed("");
    let hidden = grant("a", "alice").replace("verbs:", "# deputize: ignore[named-identities] -- known\n  verbs:");
    repository.write("deploy/a.yaml", &hidden);
    commit(&repository, "hidden");
    assert_eq!(reported(&repository, &["--diff-base", "HEAD"]).0, [] as [&str; 0]);
    assert_eq!(reported(&repository, &["--diff-base", "HEAD", "--no-ignore"]).0, [] as [&str; 0]);
    repository.write("deploy/a.yaml", &grant("a", "alice"));
    assert_eq!(reported(&repository, &["--diff-base", "HEAD"]).0, [A]);
}

#[test]
fn the_configuration_counts_for_both_states() {
    let repository = committed("exclude = ['vendor/']\n");
    repository.write("vendor/more.yaml", &grant("more", "eve"));
    repository.write("deploy/more.yaml", &grant("most", "eve"));
    let (found, _, _) = reported(&repository, &["--diff-base", "HEAD"]);
    assert_eq!(found, ["deploy/more.yaml named-identities warning"]);
}

#[test]
fn what_git_does_not_have_is_an_error_with_a_remedy() {
    let repository = committed("");
    let failed = |directory: &Path, arguments: &[&str]| {
        let run = deputize_in(directory, &[&["check"], arguments].concat());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        run.stderr
    };
    let said = failed(repository.root(), &["--diff-base", "gone"]);
    assert!(said.contains("there is no revision \"gone\""), "{said}");
    let said = failed(repository.root(), &["--diff-base=--upload-pack=touch marker"]);
    assert!(said.contains("there is no revision"), "{said}");
    // A shallow clone has the last commit alone, and says what it needs.
    repository.write("deploy/new.yaml", &grant("new", "carol"));
    commit(&repository, "second");
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repository.root().display());
    git(elsewhere.path(), &["clone", "-q", "--depth", "1", &url, "clone"]);
    let clone = elsewhere.path().join("clone");
    let said = failed(&clone, &["--diff-base", "HEAD~1"]);
    assert!(said.contains("git fetch --depth=1 origin"), "{said}");
    let first = git(repository.root(), &["rev-parse", "HEAD~1"]);
    git(repository.root(), &["branch", "base", first.trim()]);
    git(&clone, &["fetch", "-q", "--depth=1", "origin", "base"]);
    let run = deputize_in(&clone, &["check", "-o", "concise", "--diff-base", "FETCH_HEAD"]);
    assert_eq!((run.status, run.stdout.lines().count()), (1, 1), "{}{}", run.stdout, run.stderr);
    // Outside of a repository there is nothing to compare with.
    fs::write(elsewhere.path().join("a.yaml"), grant("a", "alice")).unwrap();
    let said = failed(elsewhere.path(), &["--diff-base", "HEAD", "a.yaml"]);
    assert!(said.contains("is in no git repository"), "{said}");
    let said = failed(repository.root(), &["--diff-base", "HEAD", "-"]);
    assert!(said.contains("--diff-base compares files of a git repository"), "{said}");
}

/// A repository's configuration names programs that git runs. None of them is run.
#[test]
fn nothing_of_a_repository_is_executed() {
    let repository = committed("");
    let marker = repository.path("marker");
    let touch = format!("touch {}", marker.display());
    let config = format!(
        "[core]\n\tfsmonitor = {touch}; false\n\tpager = {touch}\n\thooksPath = hooks\n\tsshCommand = {touch}\n\tgitProxy = {touch}\n\
         [pager]\n\tls-tree = {touch}\n\trev-parse = {touch}\n[alias]\n\tls-tree = !{touch}\n\
         [filter \"x\"]\n\tsmudge = {touch}\n\tclean = {touch}\n\tprocess = {touch}\n\trequired = true\n\
         [diff \"x\"]\n\ttextconv = {touch}\n\tcommand = {touch}\n[diff]\n\texternal = {touch}\n\
         [extensions]\n\tpartialClone = origin\n[remote \"origin\"]\n\turl = ext::{touch}\n\tpromisor = true\n\tuploadpack = {touch}\n"
    );
    let path = repository.path(".git/config");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{before}{config}")).unwrap();
    repository.write(".gitattributes", "* filter=x diff=x\n");
    for name in ["post-checkout", "reference-transaction", "post-index-change"] {
        repository.write(&format!("hooks/{name}"), &format!("#!/bin/sh\n{touch}\n"));
    }
    for revision in ["HEAD", "0123456789012345678901234567890123456789", "gone"] {
        let run = deputize_in(repository.root(), &["check", "--diff-base", revision]);
        assert!(run.status == if revision == "HEAD" { 0 } else { 2 }, "{revision}: {}", run.stderr);
    }
    assert!(!marker.exists());
}
