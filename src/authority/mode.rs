//! The modes of impersonation and the verbs that name them
//! (`pkg/endpoints/filters/impersonation/mode.go`, KEP-5284 "Impersonation modes").

use std::fmt;

use super::IdentityKind;

/// A way in which the server lets a requestor be someone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A service account becomes the node on which its pod runs.
    AssociatedNode,
    /// Any node.
    ArbitraryNode,
    /// A service account, without other headers.
    ServiceAccount,
    /// A user that is neither, with groups, UID and extras.
    UserInfo,
    /// The verb `impersonate`: no limit on what is done.
    Legacy,
}

impl Mode {
    /// All modes, in the order in which the server tries them (`allImpersonationModes`).
    pub const ALL: [Self; 5] =
        [Self::AssociatedNode, Self::ArbitraryNode, Self::ServiceAccount, Self::UserInfo, Self::Legacy];
    /// The constrained modes, in the server's order.
    pub const CONSTRAINED: [Self; 4] =
        [Self::AssociatedNode, Self::ArbitraryNode, Self::ServiceAccount, Self::UserInfo];

    /// The mode's name, as verbs and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "legacy",
        }
    }

    /// The constrained mode of that name.
    pub fn parse_constrained(name: &str) -> Option<Self> {
        Self::CONSTRAINED.into_iter().find(|mode| mode.as_str() == name)
    }

    /// The kind of identity that the username of a request is in this mode. What else is asked for is asked for beside
    /// it. Legacy knows service accounts as well.
    pub fn named_kind(self) -> IdentityKind {
        match self {
            Self::AssociatedNode | Self::ArbitraryNode => IdentityKind::Nodes,
            Self::ServiceAccount => IdentityKind::ServiceAccounts,
            Self::UserInfo | Self::Legacy => IdentityKind::Users,
        }
    }

    /// The verb that lets a requestor take an identity in this mode.
    pub fn identity_verb(self) -> &'static str {
        match self {
            Self::AssociatedNode => "impersonate:associated-node",
            Self::ArbitraryNode => "impersonate:arbitrary-node",
            Self::ServiceAccount => "impersonate:serviceaccount",
            Self::UserInfo => "impersonate:user-info",
            Self::Legacy => "impersonate",
        }
    }

    /// The verb that lets a requestor do `action` in this mode; none for legacy, which knows no such limit.
    pub fn action_verb(self, action: &str) -> Option<String> {
        (self != Self::Legacy).then(|| format!("impersonate-on:{}:{action}", self.as_str()))
    }

    /// What the audit event of a request records as `impersonationConstraint`; none for legacy.
    pub fn constraint(self) -> Option<&'static str> {
        (self != Self::Legacy).then(|| self.identity_verb())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a verb of a rule means for impersonation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb<'a> {
    /// `*`: every verb there is.
    Any,
    /// `impersonate` or `impersonate:<mode>`: whom.
    Identity(Mode),
    /// `impersonate-on:<mode>:<action>`: what for.
    Action(Mode, &'a str),
    /// Looks like one of these, but no server asks for it: drafts of the KEP, partial wildcards, typing errors.
    Unknown {
        /// Whether it looks like an action rather than an identity.
        action: bool,
    },
    /// Has nothing to do with impersonation.
    Other,
}

impl<'a> Verb<'a> {
    /// Classifies a verb.
    pub fn parse(verb: &'a str) -> Self {
        if verb == "*" {
            return Self::Any;
        }
        if let Some(mode) = Mode::ALL.into_iter().find(|mode| mode.identity_verb() == verb) {
            return Self::Identity(mode);
        }
        if let Some(rest) = verb.strip_prefix("impersonate-on:") {
            return match rest.split_once(':') {
                Some((mode, action)) if !action.is_empty() && !action.contains('*') => Mode::parse_constrained(mode)
                    .map_or(Self::Unknown { action: true }, |mode| Self::Action(mode, action)),
                _ => Self::Unknown { action: true },
            };
        }
        // The comparison is the server's business and exact; this one only has to notice what was meant.
        let verb = verb.trim();
        let starts = |word: &str| verb.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if starts("impersonate-on") {
            Self::Unknown { action: true }
        } else if starts("impersonate") {
            Self::Unknown { action: false }
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs() {
        for (verb, expected) in [
            ("*", Verb::Any),
            ("impersonate", Verb::Identity(Mode::Legacy)),
            ("impersonate:user-info", Verb::Identity(Mode::UserInfo)),
            ("impersonate:associated-node", Verb::Identity(Mode::AssociatedNode)),
            ("impersonate-on:user-info:list", Verb::Action(Mode::UserInfo, "list")),
            ("impersonate-on:serviceaccount:a:b", Verb::Action(Mode::ServiceAccount, "a:b")),
            ("impersonate-on:user-info:*", Verb::Unknown { action: true }),
            ("impersonate-on:user-info", Verb::Unknown { action: true }),
            ("impersonate-on:legacy:get", Verb::Unknown { action: true }),
            ("impersonate-on:node:get", Verb::Unknown { action: true }),
            ("impersonate:*", Verb::Unknown { action: false }),
            ("impersonate:legacy", Verb::Unknown { action: false }),
            ("impersonate:scheduled-node", Verb::Unknown { action: false }),
            ("Impersonate", Verb::Unknown { action: false }),
            ("get", Verb::Other),
            ("", Verb::Other),
        ] {
            assert_eq!(Verb::parse(verb), expected, "{verb:?}");
        }
    }
}
