//! Events of the API server's audit log (`audit.k8s.io/v1`, `Event`), and what they show.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::collect::{Collected, Key};
use super::condense::is_of_extra;
use super::extras::not_a_hash;
use super::refused::RefusedCheck;
use super::request::or_empty;
use crate::authority::{
    Mode, NODE_NAME_EXTRA, RequestUrl, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS,
    SYSTEM_UNAUTHENTICATED, Username, namespace_of_accounts,
};

/// A string that is copied only where it has escapes; null is empty.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

/// What matters of an event; all other fields are skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    stage: Option<Text<'a>>,
    #[serde(borrow, rename = "requestURI")]
    request_uri: Text<'a>,
    #[serde(borrow)]
    verb: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "or_empty")]
    user: Requestor<'a>,
    #[serde(borrow)]
    impersonated_user: Option<Target<'a>>,
    #[serde(borrow)]
    object_ref: Option<ObjectRef<'a>>,
    #[serde(borrow, deserialize_with = "or_empty")]
    response_status: ResponseStatus<'a>,
    /// What was sent, read only where it matters.
    #[serde(borrow)]
    request_object: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "or_empty")]
    authentication_metadata: AuthenticationMetadata<'a>,
    #[serde(borrow)]
    request_received_timestamp: Text<'a>,
    /// What old versions have in its place.
    #[serde(borrow)]
    timestamp: Text<'a>,
}

/// Who made the request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Requestor<'a> {
    #[serde(borrow)]
    username: Text<'a>,
    #[serde(borrow, deserialize_with = "or_empty")]
    groups: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "or_empty")]
    extra: RequestorExtra<'a>,
}

/// Of the requestor's extras only the node of its pod matters, and the others would keep requests apart.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestorExtra<'a> {
    #[serde(borrow, rename = "authentication.kubernetes.io/node-name")]
    node_name: Option<Vec<Text<'a>>>,
}

/// Whom the request has become.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target<'a> {
    #[serde(borrow)]
    username: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow, deserialize_with = "or_empty")]
    groups: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "or_empty")]
    extra: BTreeMap<Text<'a>, Vec<Text<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef<'a> {
    #[serde(borrow)]
    resource: Text<'a>,
    #[serde(borrow)]
    subresource: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    api_group: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResponseStatus<'a> {
    code: Option<u32>,
    #[serde(borrow)]
    message: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthenticationMetadata<'a> {
    #[serde(borrow)]
    impersonation_constraint: Text<'a>,
}

/// `authorization.k8s.io/v1`, `SubjectAccessReview`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReviewObject<'a> {
    #[serde(borrow, deserialize_with = "or_empty")]
    spec: ReviewSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReviewSpec<'a> {
    #[serde(borrow)]
    user: Text<'a>,
    #[serde(borrow, deserialize_with = "or_empty")]
    groups: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "or_empty")]
    resource_attributes: ResourceAttributes<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResourceAttributes<'a> {
    #[serde(borrow)]
    verb: Text<'a>,
    #[serde(borrow)]
    group: Text<'a>,
    #[serde(borrow)]
    resource: Text<'a>,
    #[serde(borrow)]
    subresource: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl<'a> Event<'a> {
    /// Reads an event; none if the text is anything else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|event: &Self| event.stage.is_some() && event.verb.is_some())
    }

    fn verb(&self) -> &str {
        self.verb.as_deref().unwrap_or_default()
    }

    /// Reports whether its fields are called as the API server calls them: each event has these.
    pub(super) fn is_exact(&self) -> bool {
        !self.request_uri.is_empty() && !self.user.username.is_empty()
    }

    /// Adds what the event shows: an impersonated request, or an impersonation that was refused. Returns whether it is one
    /// of both.
    pub(super) fn observe(&self, seen: &mut Collected) -> bool {
        // Nothing is known at RequestReceived. ResponseStarted is the only stage of a request that goes on.
        let ended = match self.stage.as_deref() {
            Some("ResponseComplete" | "Panic") => 1,
            Some("ResponseStarted") => 0,
            _ => return false,
        };
        let time =
            if self.request_received_timestamp.is_empty() { &self.timestamp } else { &self.request_received_timestamp };
        if let Some(spec) = self.review().filter(|_| ended == 1) {
            seen.add_review(1, time, time, |key| spec.write(&self.user.username, key));
        }
        if let Some(target) = &self.impersonated_user {
            let mode = self.authentication_metadata.impersonation_constraint.strip_prefix("impersonate:");
            let mode = mode.and_then(Mode::parse_constrained).unwrap_or(Mode::Legacy);
            seen.add_request(ended, time, time, |key| {
                key.mode_and_refusal(Some(mode), None);
                self.user.write(key);
                target.write_headers(mode, key);
                self.write_attributes(key);
            });
            true
        } else if let Some(refused) = self.refused_check().filter(|_| ended == 1) {
            seen.add_request(ended, time, time, |key| {
                key.mode_and_refusal(None, Some(&refused));
                self.user.write(key);
                Target::default().write_headers(Mode::Legacy, key);
                self.write_attributes(key);
            });
            true
        } else {
            false
        }
    }

    /// The SubjectAccessReview for the verb `impersonate` that the event created.
    fn review(&self) -> Option<ReviewSpec<'a>> {
        let object = self.object_ref.as_ref()?;
        let is_review = matches!(&*object.resource, "subjectaccessreviews" | "localsubjectaccessreviews")
            && &*object.api_group == "authorization.k8s.io"
            && self.verb() == "create"
            && self.response_status.code.is_none_or(|code| code < 400);
        let body = self.request_object.filter(|_| is_review)?;
        let ReviewObject { spec } = serde_json::from_str(body.get()).ok()?;
        (&*spec.resource_attributes.verb == "impersonate").then_some(spec)
    }

    /// Returns the check that refused the impersonation.
    fn refused_check(&self) -> Option<String> {
        let words =
            RefusedCheck::words_of(&self.response_status.message).filter(|_| self.response_status.code == Some(403))?;
        Some(RefusedCheck::rewrite_value(&words, |value| *value = not_a_hash(value).into_owned()))
    }

    /// Verb, resource and path of the request, as they were authorized.
    fn write_attributes(&self, key: &mut Key) {
        key.text(self.verb());
        let url = RequestUrl::parse(&self.request_uri);
        let Some(object) = &self.object_ref else {
            ["", "", "", "", "", url.path()].into_iter().for_each(|text| key.text(text));
            return;
        };
        key.text(&object.api_group);
        key.text(&object.resource);
        key.text(&object.subresource);
        match url.namespace_and_name(self.verb()) {
            Some((namespace, name)) => {
                key.text(namespace);
                key.text(&name);
            }
            None => {
                key.text(&object.namespace);
                // What a `create` without a subresource shows is the name in the body, which no authorizer was asked about.
                let of_body = self.verb() == "create" && object.subresource.is_empty();
                key.text(if of_body { "" } else { &object.name });
            }
        }
        key.text("");
    }
}

/// Groups, or what else there is many of.
type Texts<'t> = SmallVec<[&'t str; 16]>;

fn texts<'t>(texts: &'t [Text<'_>]) -> Texts<'t> {
    texts.iter().map(Deref::deref).collect()
}

impl ReviewSpec<'_> {
    fn write(&self, asker: &str, key: &mut Key) {
        let asked = &self.resource_attributes;
        key.text(asker);
        key.text(&self.user);
        key.list(sorted(&self.groups));
        [&asked.group, &asked.resource, &asked.subresource, &asked.namespace]
            .into_iter()
            .for_each(|text| key.text(text));
        let name = if is_of_extra(&asked.resource) { not_a_hash(&asked.name) } else { Cow::Borrowed(&*asked.name) };
        key.text(&name);
    }
}

/// Groups whose order does not matter, each once.
fn sorted<'t>(groups: &'t [Text<'_>]) -> Texts<'t> {
    let mut groups = texts(groups);
    groups.sort_unstable();
    groups.dedup();
    groups
}

impl Requestor<'_> {
    fn write(&self, key: &mut Key) {
        key.text(&self.username);
        key.list(sorted(&self.groups));
        let nodes = self.extra.node_name.as_ref();
        key.extra(nodes.map(|nodes| (NODE_NAME_EXTRA, nodes.iter().map(|value| not_a_hash(value)))));
    }
}

impl Target<'_> {
    /// Writes the headers that a client has sent, rebuilt from what became of them. Groups that the server may have added
    /// are left out; an order that it cannot have made shows that the client sent them.
    fn write_headers(&self, mode: Mode, key: &mut Key) {
        let mut groups = texts(&self.groups);
        let added = if &*self.username == SYSTEM_ANONYMOUS { SYSTEM_UNAUTHENTICATED } else { SYSTEM_AUTHENTICATED };
        // A service account for which no group is sent gets two more.
        let is_account = matches!(Username::parse(&self.username), Username::ServiceAccount { .. });
        if groups.last() == Some(&added) && !(is_account && groups.len() == 1) {
            groups.pop();
        }
        if matches!(mode, Mode::AssociatedNode | Mode::ArbitraryNode) || self.has_own_groups(&groups) {
            groups.clear();
        }
        groups.sort_unstable();
        key.text(&self.username);
        key.text(&self.uid);
        key.list(groups);
        key.extra(self.extra.iter().map(|(key, values)| (&**key, values.iter().map(|value| not_a_hash(value)))));
    }

    /// Whether the groups are those of a service account, and no others.
    fn has_own_groups(&self, groups: &[&str]) -> bool {
        let Username::ServiceAccount { namespace, .. } = Username::parse(&self.username) else { return false };
        let [all, own] = groups else { return false };
        *all == SYSTEM_SERVICE_ACCOUNTS && namespace_of_accounts(own) == Some(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Evidence;
    use crate::evidence::collect::Condensed;

    #[test]
    fn what_was_authorized_is_what_the_path_says() {
        for (uri, object, expected) in [
            ("/api/v1/namespaces/shop/pods", r#"{"name":"body","namespace":"body"}"#, ("shop", "", "")),
            ("/api/v1/namespaces/shop/pods/web/exec", r#"{"name":"body","namespace":"body"}"#, ("shop", "web", "")),
            ("/api/v1/namespaces/shop%2Fpods?limit=1", r#"{"resource":"pods","namespace":"shop"}"#, ("shop", "", "")),
            ("/odd/path", r#"{"name":"body","namespace":"body"}"#, ("body", "", "")),
            ("/foo%20bar/b%2Fc?x=y", "null", ("", "", "/foo bar/b/c")),
            ("/namespaces/shop%2Fpods", "null", ("", "", "/namespaces/shop/pods")),
        ] {
            let text = format!(
                r#"{{"stage":"Panic","verb":"create","requestURI":"{uri}","impersonatedUser":{{}},"objectRef":{object}}}"#
            );
            let mut seen = Collected::default();
            Event::parse(&text).unwrap().observe(&mut seen);
            let mut evidence = Evidence::default();
            let mut all = Condensed::default();
            all.take(&mut seen);
            all.add_to(&mut evidence, crate::evidence::ExtraValues::Hashed);
            let (observation, _) = evidence.iter().next().unwrap();
            let request = &observation.request;
            assert_eq!((&*request.namespace, &*request.name, &*request.path), expected, "{uri}");
        }
    }

    #[test]
    fn groups_that_the_server_cannot_have_added_were_sent() {
        const ACCOUNT: &str = "system:serviceaccount:apps:deputy";
        for (user, groups, sent) in [
            ("alice", r#"["devs","system:authenticated"]"#, &["devs"][..]),
            ("alice", r#"["system:authenticated","devs"]"#, &["devs", "system:authenticated"]),
            (ACCOUNT, r#"["system:serviceaccounts","system:serviceaccounts:apps","system:authenticated"]"#, &[]),
            (
                ACCOUNT,
                r#"["system:serviceaccounts:apps","system:serviceaccounts","system:authenticated"]"#,
                &["system:serviceaccounts", "system:serviceaccounts:apps"],
            ),
            (ACCOUNT, r#"["system:authenticated"]"#, &["system:authenticated"]),
            ("system:node:n1", r#"["system:authenticated"]"#, &[]),
        ] {
            let text = format!(
                r#"{{"stage":"Panic","verb":"get","requestURI":"/api","impersonatedUser":{{"username":"{user}","groups":{groups}}}}}"#
            );
            let mut seen = Collected::default();
            Event::parse(&text).unwrap().observe(&mut seen);
            let mut all = Condensed::default();
            all.take(&mut seen);
            let mut evidence = Evidence::default();
            all.add_to(&mut evidence, crate::evidence::ExtraValues::Hashed);
            let (observation, _) = evidence.iter().next().unwrap();
            assert_eq!(observation.request.headers.groups(), sent, "{user} {groups}");
        }
    }

    #[test]
    fn a_review_for_the_verb_impersonate_is_kept_apart() {
        let event = |verb: &str, resource: &str, code: u32| {
            format!(
                r#"{{"stage":"ResponseComplete","verb":"create","user":{{"username":"proxy"}},"requestReceivedTimestamp":"t","responseStatus":{{"code":{code}}},"objectRef":{{"resource":"{resource}","apiGroup":"authorization.k8s.io"}},"requestObject":{{"spec":{{"user":"alice","groups":["b","a"],"resourceAttributes":{{"verb":"{verb}","resource":"users","name":"panda"}}}}}}}}"#
            )
        };
        let mut seen = Collected::default();
        for (verb, resource, code) in [
            ("impersonate", "subjectaccessreviews", 201),
            ("impersonate", "localsubjectaccessreviews", 201),
            ("impersonate", "subjectaccessreviews", 403),
            ("impersonate", "selfsubjectaccessreviews", 201),
            ("get", "subjectaccessreviews", 201),
        ] {
            Event::parse(&event(verb, resource, code)).unwrap().observe(&mut seen);
        }
        let mut evidence = Evidence::default();
        let mut all = Condensed::default();
        all.take(&mut seen);
        all.add_to(&mut evidence, crate::evidence::ExtraValues::Hashed);
        let [(review, tally)] = evidence.reviews().collect::<Vec<_>>()[..] else { panic!("{evidence:?}") };
        assert_eq!((review.asker.as_str(), review.user.as_str(), tally.count()), ("proxy", "alice", 2));
        assert_eq!((review.groups.join(","), review.name.as_str()), ("a,b".to_owned(), "panda"));
        assert!(evidence.is_empty());
    }
}
