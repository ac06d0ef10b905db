//! The roles that the API server itself creates and keeps
//! (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).

use crate::inventory::{ObjectKind, ObjectMeta};

/// Whether the server itself gives a role of this kind and name the impersonation of service accounts: it does so in
/// `system:aggregate-to-edit` (in old versions, `system:aggregate-to-admin` too), from where it is aggregated into `edit` and `admin`. Any other grant under such a name is
/// not the server's.
pub fn owns_service_account_impersonation(meta: &ObjectMeta) -> bool {
    meta.kind == ObjectKind::ClusterRole
        && ["system:aggregate-to-edit", "system:aggregate-to-admin", "edit", "admin"].contains(&meta.name.as_str())
}
