//! The check that an impersonation failed on, out of the server's words
//! (`pkg/endpoints/handlers/responsewriters/errors.go`, `forbiddenMessage`).

use super::quoted::{read as quoted, split_outside};
use crate::authority::{Attributes, IdentityKind};

/// A check that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RefusedCheck {
    verb: String,
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    path: String,
}

impl RefusedCheck {
    /// Returns the check in the message of a refusal, as [`RefusedCheck::parse`] reads it: `User "…" cannot
    /// impersonate-on:user-info:get path "/api"`. Whose identity was refused stands before that:
    /// `users.authentication.k8s.io "panda" is forbidden: User "…" cannot …`.
    pub(super) fn words_of(message: &str) -> Option<String> {
        let (before, check) = split_outside(message, "cannot impersonate")?;
        let what = split_outside(before, " is forbidden: ").map(|(what, _)| what);
        let name = what.and_then(|what| what.split_once(' ')).map(|(_, name)| name);
        // What an action was about does not matter: actions are granted without names.
        let name = name.filter(|name| !check.starts_with("-on:") && name.len() > 2);
        let name = name.map(|name| format!(" named {name}")).unwrap_or_default();
        Some(format!("impersonate{check}{name}"))
    }

    /// Rewrites the value in a check for an extra; of other checks every word stays. What an authorizer adds to its answer
    /// may hold the value again, and is left out.
    pub(super) fn rewrite_value(words: &str, rewrite: impl FnOnce(&mut String)) -> String {
        let extras = IdentityKind::UserExtras.resource();
        match Self::parse(words) {
            Some(mut check) if check.resource == extras => {
                rewrite(&mut check.name);
                check.to_words()
            }
            // What cannot be read to its end may hold the value anywhere.
            None if words.contains(extras) => {
                let verb = words.split(' ').next().unwrap_or_default();
                format!("{verb} resource {extras:?}")
            }
            _ => words.to_owned(),
        }
    }

    /// Returns the words of an identity check, without those that an authorizer adds.
    fn to_words(&self) -> String {
        let Self { verb, api_group, resource, subresource, namespace, name, path: _ } = self;
        let resource = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
        let scope = match namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let named = if name.is_empty() { String::new() } else { format!(" named {name:?}") };
        format!("{verb} resource {resource:?} in API group {api_group:?} {scope}{named}")
    }

    /// Reads `impersonate-on:user-info:get path "/api"` and
    /// `impersonate:user-info resource "users" in API group "authentication.k8s.io" at the cluster scope named "panda"`.
    /// The name is not the server's words, but taken from what stands before them.
    pub fn parse(words: &str) -> Option<Self> {
        let (verb, rest) = words.split_once(' ')?;
        let verb = verb.to_owned();
        if let Some(rest) = rest.strip_prefix("path ") {
            let (path, _) = quoted(rest)?;
            return Some(Self { verb, path, ..Self::default() });
        }
        let (resource, rest) = quoted(rest.strip_prefix("resource ")?)?;
        let (api_group, rest) = quoted(rest.strip_prefix(" in API group ")?)?;
        let namespace = match rest.strip_prefix(" in the namespace ") {
            Some(rest) => quoted(rest)?.0,
            None => String::new(),
        };
        // The key of an extra may hold slashes itself.
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource.to_owned(), subresource.to_owned()),
            None => (resource, String::new()),
        };
        let name = last_name(rest).unwrap_or_default();
        Some(Self { verb, api_group, resource, subresource, namespace, name, path: String::new() })
    }

    /// The check as the authorizer takes it.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            verb: &self.verb,
            api_group: &self.api_group,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            path: &self.path,
        }
    }
}

/// Returns the name at the end of a check. What an authorizer has added stands before it, and may be anything.
fn last_name(rest: &str) -> Option<String> {
    const NAMED: &str = " named ";
    let starts = rest.match_indices(NAMED).map(|(at, _)| at + NAMED.len());
    let mut names = starts.filter_map(|at| quoted(rest.get(at..)?));
    names.find(|(_, after)| after.is_empty()).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words() {
        let check = RefusedCheck::parse("impersonate-on:user-info:get path \"/api\"").unwrap();
        assert_eq!((check.verb.as_str(), check.path.as_str()), ("impersonate-on:user-info:get", "/api"));
        let check = RefusedCheck::parse(
            "impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"apps\": because",
        );
        let check = check.unwrap();
        assert_eq!(
            check.attributes(),
            Attributes { verb: "impersonate", resource: "serviceaccounts", namespace: "apps", ..Attributes::default() }
        );
        let words = "impersonate:user-info resource \"userextras/acme.com/project\" in API group \"authentication.k8s.io\" at the cluster scope";
        let check = RefusedCheck::parse(words).unwrap();
        assert_eq!((check.resource.as_str(), check.subresource.as_str()), ("userextras", "acme.com/project"));
        let check = RefusedCheck::parse(
            "impersonate:user-info resource \"users\" in API group \"authentication.k8s.io\" at the cluster scope named \"panda\"",
        );
        assert_eq!(check.unwrap().attributes().name, "panda");
        // Words in a name are no words of the server.
        let message = "userextras.authentication.k8s.io \"a cannot impersonate b named \\\"c\\\"\" is forbidden: User \"x\" cannot \
                       impersonate resource \"userextras/scopes\" in API group \"authentication.k8s.io\" at the cluster scope: \
                       because of a";
        let words = RefusedCheck::words_of(message).unwrap();
        let check = RefusedCheck::parse(&words).unwrap();
        assert_eq!((check.subresource.as_str(), check.name.as_str()), ("scopes", "a cannot impersonate b named \"c\""));
        let hidden = RefusedCheck::rewrite_value(&words, |name| *name = "-".to_owned());
        let expected = "impersonate resource \"userextras/scopes\" in API group \"authentication.k8s.io\" at the cluster scope named \"-\"";
        assert_eq!(hidden, expected);
        assert_eq!(RefusedCheck::rewrite_value(&hidden, |_| {}), hidden);
        let cut = "impersonate resource \"userextras/scopes\" in API group \"auth";
        assert_eq!(RefusedCheck::rewrite_value(cut, |_| {}), "impersonate resource \"userextras\"");
        let other = "impersonate resource \"users\" in API group \"\" at the cluster scope: because named \"panda\"";
        assert_eq!(RefusedCheck::rewrite_value(other, |_| panic!()), other);
        for other in ["", "impersonate", "impersonate something", "impersonate resource users"] {
            assert_eq!(RefusedCheck::parse(other), None);
        }
    }
}
