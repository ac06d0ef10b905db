//! Which checks the API server makes at all. What no check ever asks for can go without changing an answer.

use super::{AUTHENTICATION_GROUP, IdentityKind, Mode, Requestable, Verb, group_matches};
use crate::inventory::{ObjectKind, PolicyRule, Text};

/// How many combinations of verbs, resources and names of one rule are looked at: input is hostile.
const MAX_COMBINATIONS: usize = 10_000;

/// How much is taken for granted about what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Only what no request to the API server can be about, as far as its sources say.
    Proved,
    /// Also what no client in its right mind asks for, and verbs that only another program could know.
    Presumed,
}

/// Where a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// For requests without a namespace too.
    Cluster,
    /// Only for requests that carry a namespace.
    Namespaces,
}

impl Extent {
    /// The extent of the rules of a role, whoever binds it: a Role is only ever consulted for its namespace, a
    /// ClusterRole may be bound in the whole cluster.
    pub fn of(kind: ObjectKind) -> Self {
        if kind == ObjectKind::Role { Self::Namespaces } else { Self::Cluster }
    }
}

/// Whether the API server ever makes a check that a rule answers by one of these verbs, on one of these resources, with
/// one of these names, and heeds the answer. Verbs that have nothing to do with impersonation are always asked for. None
/// where there are too many of them to tell.
pub fn is_ever_asked<'t>(
    rule: &PolicyRule,
    verbs: impl Iterator<Item = &'t Text> + Clone,
    resources: impl Iterator<Item = &'t Text> + Clone,
    names: impl Iterator<Item = &'t Text> + Clone,
    extent: Extent,
    certainty: Certainty,
) -> Option<bool> {
    // Any method of HTTP is a verb there.
    if !rule.non_resource_urls.is_empty() {
        return Some(true);
    }
    let any_name = rule.resource_names.is_empty();
    let combinations = verbs.clone().count().checked_mul(resources.clone().count())?;
    if combinations.checked_mul(names.clone().count().max(1))? > MAX_COMBINATIONS {
        return None;
    }
    let check = Checks { rule, extent, certainty };
    Some(verbs.into_iter().any(|verb| {
        let mut resources = resources.clone();
        resources.any(|resource| {
            let asked = |name: Option<&str>| check.has(verb.as_str(), resource.as_str(), name);
            if any_name { asked(None) } else { names.clone().any(|name| asked(Some(name.as_str()))) }
        })
    }))
}

struct Checks<'r> {
    rule: &'r PolicyRule,
    extent: Extent,
    certainty: Certainty,
}

impl Checks<'_> {
    fn has(&self, verb: &str, resource: &str, name: Option<&str>) -> bool {
        let mode = match Verb::parse(verb) {
            Verb::Identity(mode) => mode,
            Verb::Unknown { .. } => return self.certainty == Certainty::Proved && !is_reserved(verb),
            Verb::Any | Verb::Action(..) | Verb::Other => return true,
        };
        let asked = |kind: IdentityKind| {
            kind.asked_in(mode).is_some_and(|group| group_matches(self.rule, group))
                && (self.extent == Extent::Cluster || kind.is_namespaced())
                && kind.key_in(resource).is_some_and(|key| Requestable { mode, kind, extra_key: key }.is_heeded(name))
        };
        IdentityKind::ALL.into_iter().any(asked)
            || (self.certainty == Certainty::Proved && self.has_no_key(mode, resource))
    }

    /// The header `Impersonate-Extra-` without a key is asked about as `userextras` without a subresource; constrained
    /// modes refuse it.
    fn has_no_key(&self, mode: Mode, resource: &str) -> bool {
        mode == Mode::Legacy
            && resource == IdentityKind::UserExtras.resource()
            && self.extent == Extent::Cluster
            && group_matches(self.rule, AUTHENTICATION_GROUP)
    }
}

/// Whether a verb that no server knows is spelled as only verbs of constrained impersonation are, so that no other program
/// has it for its own. A request whose method the server does not know has the empty verb.
fn is_reserved(verb: &str) -> bool {
    verb.starts_with("impersonate:") || (verb.starts_with("impersonate-on:") && !verb.ends_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &str) -> Vec<Text> {
        words
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(|word| Text::new(if word == "-" { "" } else { word }))
            .collect()
    }

    fn asked(verbs: &str, groups: &str, resources: &str, names: &str) -> [bool; 2] {
        let rule = PolicyRule {
            verbs: texts(verbs),
            api_groups: texts(groups),
            resources: texts(resources),
            resource_names: texts(names),
            non_resource_urls: Vec::new(),
        };
        [Certainty::Proved, Certainty::Presumed].map(|certainty| {
            let (verbs, resources, names) = (rule.verbs.iter(), rule.resources.iter(), rule.resource_names.iter());
            is_ever_asked(&rule, verbs, resources, names, Extent::Cluster, certainty).unwrap()
        })
    }

    #[test]
    fn what_is_asked_for() {
        const AUTHENTICATION: &str = AUTHENTICATION_GROUP;
        for (verbs, groups, resources, names, expected) in [
            ("impersonate", "-", "users", "", [true; 2]),
            ("impersonate", AUTHENTICATION, "users", "", [false; 2]),
            ("impersonate get", AUTHENTICATION, "users", "", [true; 2]),
            ("impersonate", "*", "tokenreviews", "", [false; 2]),
            ("impersonate", "*", "*", "", [true; 2]),
            ("impersonate", "apps", "*", "", [false; 2]),
            ("impersonate", "-", "users", "system:serviceaccount:a:b", [false; 2]),
            ("impersonate", "-", "users groups", "system:serviceaccount:a:b", [true; 2]),
            ("impersonate", AUTHENTICATION, "userextras", "", [true, false]),
            ("impersonate:user-info", AUTHENTICATION, "userextras", "", [false; 2]),
            ("impersonate:user-info", AUTHENTICATION, "userextras/scopes", "", [false; 2]),
            ("impersonate:user-info", AUTHENTICATION, "userextras/*", "*", [true; 2]),
            ("impersonate:user-info", AUTHENTICATION, "userextras/*", "x", [false; 2]),
            ("impersonate:user-info", AUTHENTICATION, "groups", "system:masters -", [false; 2]),
            ("impersonate:user-info", AUTHENTICATION, "groups", "system:masters a", [true; 2]),
            ("impersonate:user-info", AUTHENTICATION, "users", "system:masters", [true; 2]),
            ("impersonate", "-", "groups", "system:masters", [true; 2]),
            ("impersonate:*", "*", "*", "", [false; 2]),
            ("impersonate-on:user-info:*", "*", "*", "", [false; 2]),
            ("impersonate-on:user-info:", "*", "*", "", [true, false]),
            ("impersonate-users", "*", "*", "", [true, false]),
            ("impersonate-on:user-info:get", "-", "pods", "", [true; 2]),
            ("impersonate", "-", "", "", [false; 2]),
        ] {
            assert_eq!(asked(verbs, groups, resources, names), expected, "{verbs} {groups} {resources} {names}");
        }
        // Other methods than those of the API are verbs of paths.
        let rule = PolicyRule { verbs: texts("impersonate"), non_resource_urls: texts("/x"), ..PolicyRule::default() };
        let none = || std::iter::empty();
        assert_eq!(
            is_ever_asked(&rule, rule.verbs.iter(), none(), none(), Extent::Cluster, Certainty::Proved),
            Some(true)
        );
        let rule = PolicyRule {
            verbs: texts("impersonate"),
            api_groups: texts("-"),
            resources: texts("users serviceaccounts"),
            ..PolicyRule::default()
        };
        for (at, expected) in [(0, false), (1, true)] {
            let resource = rule.resources[at..=at].iter();
            let asked = is_ever_asked(
                &rule,
                rule.verbs.iter(),
                resource,
                none(),
                Extent::of(ObjectKind::Role),
                Certainty::Proved,
            );
            assert_eq!(asked, Some(expected));
        }
    }
}
