//! Who asks, and what an authorizer is asked.

use std::collections::BTreeMap;

use super::{SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS, SYSTEM_UNAUTHENTICATED, Username};

/// One question to an authorizer (`pkg/authorization/authorizer`, `Attributes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Attributes<'a> {
    /// The verb.
    pub verb: &'a str,
    /// The API group, empty for the core group.
    pub api_group: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The subresource, empty for none.
    pub subresource: &'a str,
    /// The namespace, empty for cluster scope.
    pub namespace: &'a str,
    /// The object's name, empty where the request has none.
    pub name: &'a str,
    /// The path of a non-resource request; empty for a request for a resource.
    pub path: &'a str,
}

/// A user as the server knows it (`pkg/authentication/user`, `Info`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// The username.
    pub name: String,
    /// The groups, in the server's order.
    pub groups: Vec<String>,
    /// The UID, empty for none.
    pub uid: String,
    /// Extra fields, by key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Adds the groups that authentication gives everyone, where they are missing (`contract.md`, `simulate`): a
    /// service account's two, and `system:authenticated` for whoever is not anonymous.
    pub fn complete_groups(&mut self) {
        if let Username::ServiceAccount { namespace, .. } = Username::parse(&self.name) {
            let of_namespace = format!("{SYSTEM_SERVICE_ACCOUNTS}:{namespace}");
            for group in [SYSTEM_SERVICE_ACCOUNTS.to_owned(), of_namespace] {
                if !self.groups.contains(&group) {
                    self.groups.push(group);
                }
            }
        }
        let known = |group: &String| group == SYSTEM_AUTHENTICATED || group == SYSTEM_UNAUTHENTICATED;
        if self.name != SYSTEM_ANONYMOUS && !self.groups.iter().any(known) {
            self.groups.push(SYSTEM_AUTHENTICATED.to_owned());
        }
    }

    /// Whether the user is in the group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}
