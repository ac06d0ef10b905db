//! The check that an impersonation failed on, out of the server's words
//! (`pkg/endpoints/handlers/responsewriters/errors.go`, `forbiddenMessage`).

use crate::authority::Attributes;

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
        let name = rest.rsplit_once(" named ").and_then(|(_, name)| quoted(name)).map(|(name, _)| name);
        Some(Self {
            verb,
            api_group,
            resource,
            subresource,
            namespace,
            name: name.unwrap_or_default(),
            path: String::new(),
        })
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

/// A string in double quotes, as Go writes it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = stream.next()?.ok()?;
    let rest = text.get(stream.byte_offset()..)?;
    Some((value, rest))
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
        for other in ["", "impersonate", "impersonate something", "impersonate resource users"] {
            assert_eq!(RefusedCheck::parse(other), None);
        }
    }
}
