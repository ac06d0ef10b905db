//! Why an entry is not effective.

/// Why a grant can never matter, as far as the input shows. The order is the order of precedence: the first that holds
/// is the one that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nothing in the input binds the role.
    Unbound,
    /// A binding's roleRef has the role's name, but another kind or namespace, and finds no role.
    MissingRole,
    /// The server asks without a namespace, and a RoleBinding is only consulted with one.
    NamespacedBinding,
    /// The server asks for the resource in another API group.
    WrongApiGroup,
    /// `userextras` without a key.
    BareUserextras,
    /// The mode never asks for this resource.
    NoSuchResource,
    /// No server knows the verb.
    NoSuchVerb,
    /// The server never asks for any of the names.
    NameNeverMatches,
    /// Servers of the version in question do not know constrained impersonation.
    IgnoredByServer,
    /// The binding's subject is nobody.
    SubjectNeverMatches,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Unbound,
        Self::MissingRole,
        Self::NamespacedBinding,
        Self::WrongApiGroup,
        Self::BareUserextras,
        Self::NoSuchResource,
        Self::NoSuchVerb,
        Self::NameNeverMatches,
        Self::IgnoredByServer,
        Self::SubjectNeverMatches,
    ];

    /// The reason as the JSON output and the rules' names have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::MissingRole => "missing-role",
            Self::NamespacedBinding => "namespaced-binding",
            Self::WrongApiGroup => "wrong-api-group",
            Self::BareUserextras => "bare-userextras",
            Self::NoSuchResource => "no-such-resource",
            Self::NoSuchVerb => "no-such-verb",
            Self::NameNeverMatches => "name-never-matches",
            Self::IgnoredByServer => "ignored-by-server",
            Self::SubjectNeverMatches => "subject-never-matches",
        }
    }
}
