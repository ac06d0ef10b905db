//! The verbs that the API server itself asks about, beside those of impersonation.

use super::{group_matches, resource_matches};
use crate::inventory::PolicyRule;

/// The verbs of requests for resources (`pkg/endpoints/request/requestinfo.go`).
pub const RESOURCE_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Those of other requests.
pub const PATH_VERBS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

/// The paths that a client asks for before its first real request: those of the default role `system:discovery`
/// (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).
pub const DISCOVERY_PATHS: [&str; 8] =
    ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"];

/// Verbs that are asked about beside the request itself: API group, resource, verbs
/// (`pkg/registry/rbac/escalation_check.go`, `plugin/pkg/admission/certificates`).
const SPECIAL: [(&str, &str, &[&str]); 3] = [
    ("rbac.authorization.k8s.io", "roles", &["bind", "escalate"]),
    ("rbac.authorization.k8s.io", "clusterroles", &["bind", "escalate"]),
    ("certificates.k8s.io", "signers", &["approve", "attest", "sign"]),
];

/// What a rule with the verb `*` would have to list to grant all that the API server asks about but impersonation. Other
/// programs may ask about verbs of their own.
pub fn verbs_but_impersonation(rule: &PolicyRule) -> Vec<&'static str> {
    let mut verbs: Vec<&'static str> = Vec::new();
    if !rule.resources.is_empty() {
        verbs.extend(RESOURCE_VERBS);
    }
    if !rule.non_resource_urls.is_empty() {
        verbs.extend(PATH_VERBS);
    }
    for (group, resource, special) in SPECIAL {
        if group_matches(rule, group) && resource_matches(rule, resource, "") {
            verbs.extend(special);
        }
    }
    verbs.sort_unstable();
    verbs.dedup();
    verbs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Text;

    #[test]
    fn special_verbs_belong_to_their_resources() {
        let rule = |group: &str, resource: &str| PolicyRule {
            api_groups: vec![Text::new(group)],
            resources: vec![Text::new(resource)],
            ..PolicyRule::default()
        };
        assert_eq!(verbs_but_impersonation(&rule("", "users")), RESOURCE_VERBS);
        let all = verbs_but_impersonation(&rule("*", "*"));
        assert!(["approve", "bind", "escalate", "sign"].iter().all(|verb| all.contains(verb)), "{all:?}");
    }
}
