//! Which identities exist, and how each mode asks for them
//! (`pkg/endpoints/filters/impersonation/mode.go`, `impersonationModeState`).

use super::{Mode, is_dns_label, is_dns_subdomain, is_refused_group, is_refused_key};

/// The API group of `uids` and `userextras`, and of every identity in a constrained mode.
pub const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";

/// A kind of thing that a requestor may ask to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityKind {
    /// A username.
    Users,
    /// Membership of a group.
    Groups,
    /// A service account.
    ServiceAccounts,
    /// A UID.
    Uids,
    /// A value of an extra field.
    UserExtras,
    /// A node, in the constrained modes; legacy asks for a node as for any other user.
    Nodes,
}

impl IdentityKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Users, Self::Groups, Self::ServiceAccounts, Self::Uids, Self::UserExtras, Self::Nodes];

    /// The resource by which rules name it; `userextras` has the key behind a slash.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "groups",
            Self::ServiceAccounts => "serviceaccounts",
            Self::Uids => "uids",
            Self::UserExtras => "userextras",
            Self::Nodes => "nodes",
        }
    }

    /// The kind that a resource names.
    pub fn of_resource(resource: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.resource() == resource)
    }

    /// The API group in which the server asks for it in a mode; none if that mode never does.
    pub fn asked_in(self, mode: Mode) -> Option<&'static str> {
        match (mode, self) {
            (Mode::Legacy, Self::Users | Self::Groups | Self::ServiceAccounts) => Some(""),
            (Mode::Legacy, Self::Uids | Self::UserExtras)
            | (Mode::UserInfo, Self::Users | Self::Groups | Self::Uids | Self::UserExtras)
            | (Mode::ServiceAccount, Self::ServiceAccounts)
            | (Mode::AssociatedNode | Mode::ArbitraryNode, Self::Nodes) => Some(AUTHENTICATION_GROUP),
            _ => None,
        }
    }

    /// Whether a resource of a rule covers the kind, and with which key of an extra (none: every key).
    pub fn key_in(self, resource: &str) -> Option<Option<&str>> {
        if resource == "*" {
            return Some(None);
        }
        if self != Self::UserExtras {
            return (resource == self.resource()).then_some(None);
        }
        let (left, key) = resource.split_once('/')?;
        (!key.is_empty() && (left == "*" || left == self.resource())).then_some(Some(key))
    }

    /// The kind as which legacy asks for it: a node is a user like any other there.
    pub fn in_legacy(self) -> Self {
        if self == Self::Nodes { Self::Users } else { self }
    }

    /// Whether the server asks for it in a namespace, so that a RoleBinding can grant it.
    pub fn is_namespaced(self) -> bool {
        self == Self::ServiceAccounts
    }
}

/// A kind of identity in a mode: what resourceNames are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requestable<'a> {
    /// The mode.
    pub mode: Mode,
    /// The kind.
    pub kind: IdentityKind,
    /// The key, for extras; none for every key.
    pub extra_key: Option<&'a str>,
}

impl Requestable<'_> {
    /// Whether the server ever asks for this name. What a mode refuses beside RBAC counts as asked for: a bare key of
    /// an extra, `system:masters`, an empty group.
    pub fn asks_for(&self, name: &str) -> bool {
        match (self.kind, self.mode) {
            // A header without a value is no header.
            (IdentityKind::Users | IdentityKind::Uids, _) if name.is_empty() => false,
            (IdentityKind::Users, Mode::Legacy) => !matches!(Username::parse(name), Username::ServiceAccount { .. }),
            (IdentityKind::Users, _) => matches!(Username::parse(name), Username::Generic),
            (IdentityKind::ServiceAccounts, _) => is_dns_subdomain(name),
            // The answer is remembered for all nodes alike, so that is what the server asks for.
            (IdentityKind::Nodes, Mode::AssociatedNode) => name == "*",
            (IdentityKind::Nodes, _) => is_dns_subdomain(name),
            // The question for many extras at once, which the key `*` answers; as a key of its own it is refused.
            (IdentityKind::UserExtras, Mode::UserInfo) if self.extra_key == Some("*") => name == "*",
            (IdentityKind::Uids | IdentityKind::Groups | IdentityKind::UserExtras, _) => true,
        }
    }

    /// Reports whether the server asks for a name (none: for any), and does not refuse it whatever the answer is.
    pub fn is_heeded(&self, name: Option<&str>) -> bool {
        let refused = self.mode != Mode::Legacy
            && match (self.kind, self.extra_key) {
                (IdentityKind::Groups, _) => name.is_some_and(is_refused_group),
                // The key `*` answers the question for many, which nothing refuses.
                (IdentityKind::UserExtras, Some(key)) => key != "*" && (is_refused_key(key) || name == Some("")),
                (IdentityKind::UserExtras, None) => name == Some(""),
                _ => false,
            };
        name.is_none_or(|name| self.asks_for(name)) && !refused
    }
}

/// What the server takes a username for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Username<'a> {
    /// `system:serviceaccount:<namespace>:<name>` with a valid namespace and name
    /// (`pkg/authentication/serviceaccount`, `SplitUsername`).
    ServiceAccount {
        /// The namespace.
        namespace: &'a str,
        /// The name.
        name: &'a str,
    },
    /// `system:node:<name>` with a valid name (`isNodeUsername`).
    Node(&'a str),
    /// Anything else, malformed variants of the above included.
    Generic,
}

impl<'a> Username<'a> {
    /// Classifies a username.
    pub fn parse(username: &'a str) -> Self {
        if let Some(rest) = username.strip_prefix("system:serviceaccount:") {
            return match rest.split_once(':') {
                Some((namespace, name)) if is_dns_label(namespace) && is_dns_subdomain(name) => {
                    Self::ServiceAccount { namespace, name }
                }
                _ => Self::Generic,
            };
        }
        match username.strip_prefix("system:node:") {
            Some(name) if is_dns_subdomain(name) => Self::Node(name),
            _ => Self::Generic,
        }
    }
}

/// The usernames that [`Username::parse`] takes for service accounts, but for the length of the last part, as a regular
/// expression (RE2).
pub const SERVICE_ACCOUNT_USERNAME: &str = concat!(
    "^system:serviceaccount:[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?:",
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
);

/// The username of a service account.
pub(crate) fn service_account_username(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames() {
        assert_eq!(
            Username::parse("system:serviceaccount:apps:deputy"),
            Username::ServiceAccount { namespace: "apps", name: "deputy" }
        );
        assert_eq!(Username::parse("system:node:n1.example"), Username::Node("n1.example"));
        for generic in [
            "panda",
            "",
            "system:serviceaccount:apps",
            "system:serviceaccount:apps:",
            "system:serviceaccount::deputy",
            "system:serviceaccount:apps:deputy:x",
            "system:serviceaccount:a.b:deputy",
            "system:serviceaccount:Apps:deputy",
            "system:node:",
            "system:node:N1",
            "system:nodes",
        ] {
            assert_eq!(Username::parse(generic), Username::Generic, "{generic}");
        }
    }

    #[test]
    fn names_that_are_asked_for() {
        let asks = |mode, kind, name: &str| Requestable { mode, kind, extra_key: None }.asks_for(name);
        assert!(asks(Mode::Legacy, IdentityKind::Users, "system:node:n1"));
        assert!(!asks(Mode::UserInfo, IdentityKind::Users, "system:node:n1"));
        assert!(!asks(Mode::Legacy, IdentityKind::Users, "system:serviceaccount:a:b"));
        assert!(!asks(Mode::Legacy, IdentityKind::ServiceAccounts, "system:serviceaccount:a:b"));
        assert!(asks(Mode::AssociatedNode, IdentityKind::Nodes, "*"));
        assert!(!asks(Mode::AssociatedNode, IdentityKind::Nodes, "n1"));
        assert!(!asks(Mode::ArbitraryNode, IdentityKind::Nodes, "*"));
        assert!(asks(Mode::UserInfo, IdentityKind::Groups, "*"));
        assert!(!asks(Mode::Legacy, IdentityKind::ServiceAccounts, "*"));
    }
}
