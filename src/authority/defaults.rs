//! The roles that the API server itself creates and keeps
//! (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).

use crate::inventory::{ObjectKind, ObjectMeta, PolicyRule, Text};

/// The user as whom the API server makes requests to itself, as a member of `system:masters`
/// (`pkg/authentication/user`, `APIServerUser`).
pub const API_SERVER_USER: &str = "system:apiserver";

/// The default role that may do everything.
const CLUSTER_ADMIN: &str = "cluster-admin";

/// The default ClusterRoles that hold the impersonation of service accounts: the server puts it into
/// `system:aggregate-to-edit` (in old versions, into `system:aggregate-to-admin` too), from where it is aggregated into
/// `edit` and `admin`.
const SERVICE_ACCOUNT_IMPERSONATORS: [&str; 4] =
    ["system:aggregate-to-edit", "system:aggregate-to-admin", "edit", "admin"];

/// The default ClusterRoles that hold legacy impersonation on a cluster of a current version where nobody took it away.
pub const DEFAULT_IMPERSONATORS: [&str; 4] = ["admin", CLUSTER_ADMIN, "edit", "system:aggregate-to-edit"];

/// What the label of a ClusterRole begins with that makes its rules flow into a default role.
pub const AGGREGATE_TO_DEFAULT: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// Whether the server itself gives a role of this kind and name the impersonation of service accounts. Any other grant
/// under such a name is not the server's.
pub fn owns_service_account_impersonation(meta: &ObjectMeta) -> bool {
    meta.kind == ObjectKind::ClusterRole && SERVICE_ACCOUNT_IMPERSONATORS.contains(&meta.name.as_str())
}

/// The rules by which the server itself gives legacy impersonation to default ClusterRoles, each with the names of these.
pub fn default_legacy_rules() -> [(&'static [&'static str], PolicyRule); 2] {
    [
        (&[CLUSTER_ADMIN], rule("*", &["*"], &["*"])),
        (&SERVICE_ACCOUNT_IMPERSONATORS, rule("impersonate", &[""], &["serviceaccounts"])),
    ]
}

/// What a default ClusterRole that binds users (`clusterRoles` and `editRules` in `policy.go`) gives of impersonation,
/// of all power, and of credentials; empty for other roles. Manifests refer to these roles and do not define them.
pub fn default_rules(name: &str) -> Vec<PolicyRule> {
    if !DEFAULT_IMPERSONATORS.contains(&name) {
        return Vec::new();
    }
    let legacy = default_legacy_rules().into_iter().filter(|(names, _)| names.contains(&name)).map(|(_, rule)| rule);
    let credentials = (name != CLUSTER_ADMIN).then(|| rule("create", &[""], &["pods", "serviceaccounts/token"]));
    legacy.chain(credentials).collect()
}

fn rule(verb: &str, groups: &[&str], resources: &[&str]) -> PolicyRule {
    let texts = |list: &[&str]| list.iter().map(|text| Text::new(*text)).collect();
    PolicyRule {
        verbs: texts(&[verb]),
        api_groups: texts(groups),
        resources: texts(resources),
        ..PolicyRule::default()
    }
}
