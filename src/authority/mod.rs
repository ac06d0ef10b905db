//! What the API server answers: RBAC matching, impersonation modes, and the decision over a request.
//!
//! The one place that knows these semantics. Grants, rules, migration and simulation ask here and derive nothing
//! themselves. Each item names the upstream file that it mirrors; paths are those of `k8s.io/kubernetes` and
//! `k8s.io/apiserver` v1.37.

mod asked;
mod attributes;
mod authorizer;
mod compiled;
mod cover;
mod credentials;
mod defaults;
mod identity;
mod impersonation;
mod mode;
mod names;
mod principal;
mod rbac;
mod url;
mod verbs;
mod version;

pub use asked::{Certainty, Extent, is_ever_asked};
pub use attributes::{Attributes, Extra, ImpersonatedUser, User, service_account_groups};
pub use authorizer::{Authorizer, Witness, binds_cluster_wide, subject_matches_someone};
pub use cover::{is_covered, url_pattern_matches, word_covers};
pub use credentials::{CredentialSource, credential_sources};
pub use defaults::{
    AGGREGATE_TO_DEFAULT, API_SERVER_USER, DEFAULT_IMPERSONATORS, default_legacy_rules, default_rules,
    owns_service_account_impersonation,
};
pub(crate) use identity::service_account_username;
pub use identity::{AUTHENTICATION_GROUP, IdentityKind, Requestable, SERVICE_ACCOUNT_USERNAME, Username};
pub use impersonation::{
    Check, CheckVerb, Decision, Feature, Headers, Impersonation, MANY, NODE_NAME_EXTRA, Refusal, Request,
    constrained_modes, decide, decide_remembering, is_refused_group, is_refused_key, missing_checks,
};
pub use mode::{Mode, Verb};
use names::is_domain_prefixed_path;
pub use names::{DNS_SUBDOMAIN, DNS_SUBDOMAIN_LENGTH, is_dns_label, is_dns_subdomain};
pub use principal::{Circle, Memberships, Principal, is_of_accounts, namespace_of_accounts};
pub use rbac::{
    allows, allows_everything, group_matches, name_matches, resource_matches, smallest_rule, url_matches, verb_matches,
};
pub use url::RequestUrl;
pub use verbs::{DISCOVERY_PATHS, PATH_VERBS, RESOURCE_VERBS, verbs_but_impersonation};
pub use version::KubeVersion;

/// The group that passes every authorization check (`pkg/authentication/user`, `SystemPrivilegedGroup`).
pub const SYSTEM_MASTERS: &str = "system:masters";
/// The group of every user whom the server knows.
pub const SYSTEM_AUTHENTICATED: &str = "system:authenticated";
/// The group of requests without credentials.
pub const SYSTEM_UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user of requests without credentials.
pub const SYSTEM_ANONYMOUS: &str = "system:anonymous";
/// The group of all service accounts; with `:` and a namespace behind it, of those of the namespace.
pub const SYSTEM_SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
/// The group that a node reached by a constrained mode gets.
pub const SYSTEM_NODES: &str = "system:nodes";
