//! Who asks, and what an authorizer is asked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS, SYSTEM_UNAUTHENTICATED, Username};

/// Extra fields of a user, by key.
pub type Extra = BTreeMap<String, Vec<String>>;

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

/// A user who has authenticated (`pkg/authentication/user`, `Info`). The UID does not matter to any decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct User {
    /// The username.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Extra fields; of these, only the node of a service account's pod matters.
    pub extra: Extra,
}

/// A user whom a request has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpersonatedUser<'a> {
    /// The username.
    pub name: &'a str,
    /// The groups, in the server's order, those that it added included.
    pub groups: Vec<Cow<'a, str>>,
    /// The UID, empty for none.
    pub uid: &'a str,
    /// Extra fields.
    pub extra: &'a Extra,
}

impl User {
    /// Adds the groups that authentication gives everyone, where they are missing: a
    /// service account's two, and `system:authenticated` for whoever is not anonymous.
    pub fn complete_groups(&mut self) {
        if let Username::ServiceAccount { namespace, .. } = Username::parse(&self.name) {
            for group in service_account_groups(namespace) {
                if !self.groups.iter().any(|own| *own == group) {
                    self.groups.push(group.into_owned());
                }
            }
        }
        let known = |group: &String| group == SYSTEM_AUTHENTICATED || group == SYSTEM_UNAUTHENTICATED;
        if self.name != SYSTEM_ANONYMOUS && !self.groups.iter().any(known) {
            self.groups.push(SYSTEM_AUTHENTICATED.to_owned());
        }
    }
}

/// The groups of every service account of a namespace (`pkg/authentication/serviceaccount`, `MakeGroupNames`).
pub fn service_account_groups(namespace: &str) -> [Cow<'static, str>; 2] {
    [Cow::Borrowed(SYSTEM_SERVICE_ACCOUNTS), Cow::Owned(format!("{SYSTEM_SERVICE_ACCOUNTS}:{namespace}"))]
}
