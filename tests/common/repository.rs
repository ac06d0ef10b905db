//! A small repository with two grants.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{Run, deputize_in};

/// A ClusterRole that lets a service account impersonate some users.
pub fn grant(name: &str, users: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {name}
rules:
- apiGroups: ['']
  resources: [users]
  resourceNames: [{users}]
  verbs: [impersonate]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {name}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects:
- {{kind: ServiceAccount, namespace: apps, name: {name}}}
"
    )
}

/// A repository with two grants and a configuration.
pub struct Repository(TempDir);

impl Repository {
    pub fn new(config: &str) -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        fs::create_dir(repository.path(".git")).unwrap();
        repository.write("deploy/a.yaml", &grant("a", "alice"));
        repository.write("vendor/b.yaml", &grant("b", "bob"));
        repository.write("deputize.toml", config);
        repository
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        deputize_in(self.0.path(), &[arguments, &["--today", "2026-12-01"]].concat())
    }

    pub fn json(&self, arguments: &[&str]) -> (Value, Run) {
        let run = self.run(&[&["check", "-o", "json"], arguments].concat());
        (serde_json::from_str(&run.stdout).expect("JSON"), run)
    }
}

/// `path rule severity` of each finding in a list.
pub fn findings(result: &Value, list: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let shown =
        |it: &Value| format!("{} {} {}", text(&it["location"]["path"]), text(&it["rule"]), text(&it["severity"]));
    result[list].as_array().unwrap().iter().map(shown).collect()
}
