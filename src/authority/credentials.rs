//! How whoever may create something comes by the credentials of a service account. Unlike impersonation, which ends with
//! the request, credentials let one impersonate in turn.

use super::{Attributes, allows, group_matches, resource_matches, verb_matches};
use crate::inventory::{PolicyRule, Text};

/// What runs pods as any service account of its namespace (the controllers of `k8s.io/kubernetes/pkg/controller`).
const WORKLOADS: [(&str, &str); 8] = [
    ("", "pods"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "replicationcontrollers"),
];

/// What a rule allows to create that gives the credentials of service accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialSource<'r> {
    /// A token (`serviceaccounts/token`), of the service accounts with these names; none for any.
    Token(Option<&'r [Text]>),
    /// Something of this resource, which runs as any service account of its namespace.
    Workload(&'static str),
}

/// The ways to credentials that a rule gives: one by tokens, and one by the first kind of workload, at most. There are
/// others (secrets with tokens, `exec` into pods, workloads of custom resources), so this is the least that it gives.
pub fn credential_sources(rule: &PolicyRule) -> impl Iterator<Item = CredentialSource<'_>> {
    let token =
        verb_matches(rule, "create") && group_matches(rule, "") && resource_matches(rule, "serviceaccounts", "token");
    let names = (!rule.resource_names.is_empty()).then_some(rule.resource_names.as_slice());
    // What is created has no name yet when it is authorized.
    let may_create = |api_group, resource| {
        allows(rule, &Attributes { verb: "create", api_group, resource, ..Attributes::default() })
    };
    let workload = WORKLOADS.iter().find(|(group, resource)| may_create(group, resource));
    let token = token.then_some(CredentialSource::Token(names));
    token.into_iter().chain(workload.map(|(_, resource)| CredentialSource::Workload(resource)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_names_and_workloads_have_none() {
        let rule = |group: &str, resource: &str, names: &[&str]| PolicyRule {
            verbs: vec![Text::new("create")],
            api_groups: vec![Text::new(group)],
            resources: vec![Text::new(resource)],
            resource_names: names.iter().map(|name| Text::new(*name)).collect(),
            ..PolicyRule::default()
        };
        let count = |rule: &PolicyRule| credential_sources(rule).count();
        let token = rule("", "serviceaccounts/token", &["app"]);
        assert_eq!(credential_sources(&token).next(), Some(CredentialSource::Token(Some(&token.resource_names))));
        assert_eq!(credential_sources(&rule("batch", "*", &[])).next(), Some(CredentialSource::Workload("jobs")));
        assert_eq!(count(&rule("*", "*", &[])), 2);
        assert_eq!(count(&rule("apps", "deployments", &["web"])), 0);
        assert_eq!(count(&rule("", "serviceaccounts", &[])), 0);
    }
}
