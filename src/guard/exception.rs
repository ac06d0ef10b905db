//! What the guard lets through by name.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

use crate::authority::service_account_username;
use crate::inventory::{ObjectKey, ObjectKind};

/// Something that is let through whatever it grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exception {
    /// A role or a binding, as long as it has that name.
    Object(ObjectKey),
    /// All that a user writes. A service account is the user of that name.
    User(SmolStr),
    /// All that the members of a group write.
    Group(SmolStr),
}

/// Text that names no exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnException;

impl fmt::Display for NotAnException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an exception is one of ClusterRole/NAME, ClusterRoleBinding/NAME, Role/NAMESPACE/NAME, \
             RoleBinding/NAMESPACE/NAME, User/NAME, Group/NAME and ServiceAccount/NAMESPACE/NAME",
        )
    }
}

impl std::error::Error for NotAnException {}

impl FromStr for Exception {
    type Err = NotAnException;

    /// Reads `KIND/NAME`, or `KIND/NAMESPACE/NAME` where the kind lives in a namespace. The names of users and groups
    /// may hold slashes.
    fn from_str(text: &str) -> Result<Self, NotAnException> {
        let (kind, name) = text.split_once('/').filter(|(_, name)| !name.is_empty()).ok_or(NotAnException)?;
        let namespaced = || match name.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && is_object_name(name) => Ok((namespace, name)),
            _ => Err(NotAnException),
        };
        match (kind, ObjectKind::parse(kind)) {
            ("User", _) => Ok(Self::User(name.into())),
            ("Group", _) => Ok(Self::Group(name.into())),
            ("ServiceAccount", _) => {
                let (namespace, name) = namespaced()?;
                Ok(Self::User(service_account_username(namespace, name).into()))
            }
            (_, Some(kind)) if kind.is_namespaced() => {
                let (namespace, name) = namespaced()?;
                Ok(Self::Object(ObjectKey { kind, namespace: Some(namespace.into()), name: name.into() }))
            }
            (_, Some(kind)) if is_object_name(name) => {
                Ok(Self::Object(ObjectKey { kind, namespace: None, name: name.into() }))
            }
            _ => Err(NotAnException),
        }
    }
}

/// Whether a role or binding may have the name (`k8s.io/apimachinery/pkg/api/validation/path`,
/// `IsValidPathSegmentName`).
pub(super) fn is_object_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions() {
        let object = |kind, namespace: Option<&str>, name: &str| {
            Ok(Exception::Object(ObjectKey { kind, namespace: namespace.map(Into::into), name: name.into() }))
        };
        for (text, expected) in [
            ("ClusterRole/a:b", object(ObjectKind::ClusterRole, None, "a:b")),
            ("ClusterRoleBinding/a", object(ObjectKind::ClusterRoleBinding, None, "a")),
            ("Role/n/a", object(ObjectKind::Role, Some("n"), "a")),
            ("RoleBinding/n/a", object(ObjectKind::RoleBinding, Some("n"), "a")),
            ("User/a/b", Ok(Exception::User("a/b".into()))),
            ("Group/oidc:a", Ok(Exception::Group("oidc:a".into()))),
            ("ServiceAccount/n/a", Ok(Exception::User("system:serviceaccount:n:a".into()))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for wrong in [
            "",
            "a",
            "ClusterRole",
            "ClusterRole/",
            "ClusterRole/a/b",
            "ClusterRole/a%b",
            "Role/a",
            "Role/a/",
            "Role//a",
            "Role/n/a/b",
            "role/n/a",
            "User/",
            "ServiceAccount/a",
            "Secret/n/a",
        ] {
            assert_eq!(wrong.parse::<Exception>(), Err(NotAnException), "{wrong}");
        }
    }
}
