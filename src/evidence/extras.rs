//! Values of extras. They hold tokens, addresses and whole users, so evidence has their hashes: that is all that replaying
//! requests against `resourceNames` needs.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use foldhash::fast::RandomState;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::{Observation, OwnedRequest, RefusedCheck, Review};
use crate::authority::{Extra, Headers, IdentityKind, NODE_NAME_EXTRA, Username};
use crate::inventory::Inventory;

/// What a hash begins with, before 64 hexadecimal digits.
const PREFIX: &str = "sha256:";

/// How evidence has the values of extras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExtraValues {
    /// As hashes.
    #[default]
    Hashed,
    /// As they are, but for those that look like hashes.
    Kept,
}

impl ExtraValues {
    /// Returns a value as evidence has it. One that is hashed already stays.
    fn apply(self, value: &mut String) {
        if self == Self::Hashed && !is_hash(value) {
            *value = hash(value);
        }
    }

    fn apply_to_all(self, extra: &mut Extra) {
        extra.values_mut().flatten().for_each(|value| self.apply(value));
    }

    /// Makes an observation as evidence has it.
    pub(super) fn apply_to_observation(self, observation: &mut Observation) {
        let request = &mut observation.request;
        self.apply_to_all(&mut request.requestor.extra);
        change_headers(request, |extra| self.apply_to_all(extra));
        if let Some(words) = observation.refused.as_mut() {
            *words = RefusedCheck::rewrite_value(words, |value| self.apply(value));
        }
    }

    /// Makes a review as evidence has it.
    pub(super) fn apply_to_review(self, review: &mut Review) {
        if review.is_of_extra() {
            self.apply(&mut review.name);
        }
    }
}

/// Returns a value as logs have it in a form that cannot be taken for a hash: where it looks like one, it is hashed.
pub(super) fn not_a_hash(value: &str) -> Cow<'_, str> {
    if is_hash(value) { Cow::Owned(hash(value)) } else { Cow::Borrowed(value) }
}

/// Returns the hash of a value. An empty one, which constrained modes refuse, stays empty.
fn hash(value: &str) -> String {
    let mut hash = String::new();
    if !value.is_empty() {
        hash.reserve(PREFIX.len() + 64);
        hash.push_str(PREFIX);
        for byte in Sha256::digest(value) {
            // Writing to a string cannot fail.
            let _ = write!(hash, "{byte:02x}");
        }
    }
    hash
}

/// Reports whether a value is a hash, or looks like one.
fn is_hash(value: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    value.strip_prefix(PREFIX).is_some_and(|digits| digits.len() == 64 && digits.bytes().all(is_digit))
}

fn change_headers(request: &mut OwnedRequest, change: impl FnOnce(&mut Extra)) {
    let headers = &request.headers;
    if headers.extra().is_empty() {
        return;
    }
    let mut extra = headers.extra().clone();
    change(&mut extra);
    let groups = headers.groups().to_vec();
    request.headers = Headers::received(headers.user().to_owned(), headers.uid().to_owned(), groups, extra);
}

/// The values of extras that an input itself names. The hash of one is resolved to it; all other hashes match no name.
#[derive(Debug, Default)]
pub struct ExtraNames {
    by_hash: HashMap<String, SmolStr, RandomState>,
    /// Names that a hash could be taken for.
    like_hashes: HashSet<SmolStr, RandomState>,
}

impl ExtraNames {
    /// Collects the names that rules list for extras.
    pub fn of<'i>(inventories: impl IntoIterator<Item = &'i Inventory>) -> Self {
        let mut names = Self::default();
        let rules = inventories.into_iter().flat_map(|inventory| &inventory.roles).flat_map(|role| &role.rules);
        let is_of_extras = |resource: &str| IdentityKind::UserExtras.key_in(resource).is_some();
        let of_extras = rules.filter(|rule| rule.resources.iter().any(|resource| is_of_extras(resource.as_str())));
        for name in of_extras.flat_map(|rule| &rule.resource_names).map(|name| &name.value) {
            if !name.is_empty() {
                names.by_hash.entry(hash(name)).or_insert_with(|| name.clone());
            }
            if name.starts_with(PREFIX) {
                names.like_hashes.insert(name.clone());
            }
        }
        names
    }

    fn resolve(&self, value: &mut String) {
        if !is_hash(value) {
            return;
        }
        if let Some(name) = self.by_hash.get(value.as_str()) {
            *value = name.to_string();
        }
        // What is not known must not be equal to a name that only looks like a hash.
        else {
            while self.like_hashes.contains(value.as_str()) {
                value.push('?');
            }
        }
    }

    /// Resolves the hashes in a request.
    pub(super) fn resolve_in_request(&self, request: &mut OwnedRequest) {
        // The only other name that matters is that of the node on which the requestor runs.
        if let Username::Node(node) = Username::parse(request.headers.user()) {
            let values = request.requestor.extra.get_mut(NODE_NAME_EXTRA).into_iter().flatten();
            let own = hash(node);
            values.filter(|value| **value == own).for_each(|value| node.clone_into(value));
        }
        change_headers(request, |extra| extra.values_mut().flatten().for_each(|value| self.resolve(value)));
    }

    /// Resolves the hashes in an observation.
    pub(super) fn resolve_in_observation(&self, observation: &mut Observation) {
        self.resolve_in_request(&mut observation.request);
        if let Some(words) = observation.refused.as_mut() {
            *words = RefusedCheck::rewrite_value(words, |value| self.resolve(value));
        }
    }

    /// Resolves the hash in a review.
    pub(super) fn resolve_in_review(&self, review: &mut Review) {
        if review.is_of_extra() {
            self.resolve(&mut review.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::load_bytes;

    fn applied(values: ExtraValues, value: &str) -> String {
        let mut value = value.to_owned();
        values.apply(&mut value);
        value
    }

    #[test]
    fn a_value_is_hashed_once() {
        const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(applied(ExtraValues::Hashed, "abc"), ABC);
        assert_eq!(applied(ExtraValues::Hashed, ABC), ABC);
        assert_eq!(applied(ExtraValues::Hashed, ""), "");
        assert_eq!(applied(ExtraValues::Kept, "abc"), "abc");
        assert_eq!(not_a_hash("abc"), "abc");
        assert_eq!(not_a_hash(ABC), hash(ABC));
        for no_hash in ["sha256:", "sha256:abc", &ABC.to_uppercase(), &ABC[7..], &format!("{ABC}0"), &ABC[..70]] {
            assert!(!is_hash(no_hash), "{no_hash}");
        }
    }

    #[test]
    fn only_names_of_the_input_are_resolved() {
        let like = hash("other");
        let rules = format!(
            "{{verbs: [impersonate], apiGroups: [authentication.k8s.io], resources: [userextras/scopes], resourceNames: [view, '{like}', '']}},
             {{verbs: [impersonate], apiGroups: [''], resources: [users], resourceNames: [panda]}}"
        );
        let text = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: a}}\nrules: [{rules}]\n"
        );
        let inventory = load_bytes("a.yaml", text.as_bytes());
        let names = ExtraNames::of([&inventory]);
        let resolved = |value: &str| {
            let mut value = value.to_owned();
            names.resolve(&mut value);
            value
        };
        assert_eq!(resolved(&hash("view")), "view");
        assert_eq!(resolved(&hash("panda")), hash("panda"));
        assert_eq!(resolved("view"), "view");
        assert_eq!(resolved(""), "");
        assert_eq!(resolved(&hash(&like)), like);
        // The value whose hash is a name is another than that name.
        assert_eq!(resolved(&like), format!("{like}?"));
    }

    #[test]
    fn the_node_of_a_requestor_is_compared_with_the_node_it_asks_to_be() {
        for (user, expected) in [("system:node:n1", "n1".to_owned()), ("system:node:n2", hash("n1"))] {
            let mut request = OwnedRequest {
                headers: Headers::received(user.to_owned(), String::new(), Vec::new(), Extra::new()),
                ..OwnedRequest::default()
            };
            request.requestor.extra.insert(NODE_NAME_EXTRA.to_owned(), vec![hash("n1")]);
            ExtraNames::default().resolve_in_request(&mut request);
            assert_eq!(request.requestor.extra[NODE_NAME_EXTRA], [expected]);
        }
    }
}
