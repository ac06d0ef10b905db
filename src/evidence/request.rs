//! Requests as lines of JSON have them.

use serde::Deserialize;

use super::collect::Collected;
use super::{ExtraNames, ExtraValues, Observation};
use crate::authority::{Attributes, Extra, Headers, Mode, Request, User};

/// A request as a line has it. Absent fields are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RequestShape {
    #[serde(deserialize_with = "or_empty")]
    user: String,
    #[serde(deserialize_with = "or_empty")]
    groups: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    extra: Extra,
    #[serde(deserialize_with = "or_empty")]
    impersonate: ImpersonateShape,
    #[serde(deserialize_with = "or_empty")]
    verb: String,
    #[serde(deserialize_with = "or_empty")]
    api_group: String,
    #[serde(deserialize_with = "or_empty")]
    resource: String,
    #[serde(deserialize_with = "or_empty")]
    subresource: String,
    #[serde(deserialize_with = "or_empty")]
    namespace: String,
    #[serde(deserialize_with = "or_empty")]
    name: String,
    #[serde(deserialize_with = "or_empty")]
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ImpersonateShape {
    #[serde(deserialize_with = "or_empty")]
    user: String,
    #[serde(deserialize_with = "or_empty")]
    uid: String,
    #[serde(deserialize_with = "or_empty")]
    groups: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    extra: Extra,
}

/// A line of condensed evidence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceShape {
    #[serde(rename = "schema")]
    _schema: String,
    request: RequestShape,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    count: u64,
    #[serde(default, deserialize_with = "or_empty")]
    first: String,
    #[serde(default, deserialize_with = "or_empty")]
    last: String,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    refused: Option<String>,
}

impl EvidenceShape {
    /// Adds what the line shows. False if its mode is none that there is.
    pub(super) fn add_to(self, seen: &mut Collected) -> bool {
        let known = |name: &String| Mode::ALL.into_iter().find(|mode| mode.as_str() == name);
        let mode = self.mode.as_ref().and_then(known);
        if mode.is_none() && self.mode.is_some() {
            return false;
        }
        let observation = Observation { request: self.request.into(), mode, refused: self.refused };
        let ended = if self.open { 0 } else { self.count };
        seen.add_request(ended, &self.first, &self.last, |key| key.observation(&observation));
        true
    }
}

/// A line of condensed evidence that is no request: a review or a glimpse.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AsideShape {
    #[serde(rename = "schema")]
    _schema: String,
    review: Option<ReviewOf>,
    glimpse: Option<GlimpseOf>,
    #[serde(default)]
    count: u64,
    #[serde(default, deserialize_with = "or_empty")]
    first: String,
    #[serde(default, deserialize_with = "or_empty")]
    last: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReviewOf {
    asker: String,
    user: String,
    groups: Vec<String>,
    #[serde(rename = "verb")]
    _verb: String,
    api_group: String,
    resource: String,
    #[serde(default)]
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GlimpseOf {
    user: String,
    impersonate: GlimpsedUser,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GlimpsedUser {
    user: String,
}

impl AsideShape {
    /// Adds what the line shows. False if it is neither, or both.
    pub(super) fn add_to(self, seen: &mut Collected) -> bool {
        match (self.review, self.glimpse) {
            (Some(of), None) => seen.add_review(self.count, &self.first, &self.last, |key| {
                key.text(&of.asker);
                key.text(&of.user);
                key.list(of.groups.iter().map(String::as_str));
                [&of.api_group, &of.resource, &of.subresource, &of.namespace, &of.name]
                    .into_iter()
                    .for_each(|text| key.text(text));
            }),
            (None, Some(of)) => seen.add_glimpse(self.count, &self.first, &self.last, &of.user, &of.impersonate.user),
            _ => return false,
        }
        true
    }
}

/// Whether a line of condensed evidence is no request: a review, or a glimpse.
pub fn asks_nothing(line: &[u8]) -> bool {
    serde_json::from_slice::<AsideShape>(line).is_ok_and(|aside| aside.review.is_some() != aside.glimpse.is_some())
}

/// Programs in some languages write null for an empty list.
pub(super) fn or_empty<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A request that was read.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedRequest {
    /// The requestor, with the groups that authentication adds.
    pub requestor: User,
    /// Whom it asks to be.
    pub headers: Headers,
    /// The verb.
    pub verb: String,
    /// The API group.
    pub api_group: String,
    /// The resource.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The path, for a non-resource request.
    pub path: String,
}

impl OwnedRequest {
    /// The request as the authority takes it.
    pub fn as_request(&self) -> Request<'_> {
        Request {
            requestor: &self.requestor,
            headers: &self.headers,
            attributes: Attributes {
                verb: &self.verb,
                api_group: &self.api_group,
                resource: &self.resource,
                subresource: &self.subresource,
                namespace: &self.namespace,
                name: &self.name,
                path: &self.path,
            },
        }
    }
}

impl From<RequestShape> for OwnedRequest {
    fn from(shape: RequestShape) -> Self {
        let mut requestor = User { name: shape.user, groups: shape.groups, extra: shape.extra };
        requestor.complete_groups();
        let ImpersonateShape { user, uid, groups, extra } = shape.impersonate;
        Self {
            requestor,
            headers: Headers::received(user, uid, groups, extra),
            verb: shape.verb,
            api_group: shape.api_group,
            resource: shape.resource,
            subresource: shape.subresource,
            namespace: shape.namespace,
            name: shape.name,
            path: shape.path,
        }
    }
}

/// Reads a line: a request, or condensed evidence of one.
///
/// # Errors
/// When the line is no JSON, or has a field that requests do not have; in words, with the column.
pub fn read_request(line: &[u8]) -> Result<OwnedRequest, String> {
    read_request_with(line, &ExtraNames::default())
}

/// As [`read_request`]. In evidence, the values of extras are hashes, but for those in `names`.
///
/// # Errors
/// As those of [`read_request`].
pub fn read_request_with(line: &[u8], names: &ExtraNames) -> Result<OwnedRequest, String> {
    let words = |error: serde_json::Error| {
        // Each line is a text of its own to the parser.
        let text = error.to_string();
        let (what, _) = text.split_once(" at line ").unwrap_or((&text, ""));
        format!("{what} (column {})", error.column().max(1))
    };
    // One look at the whole line is faster than one at each string.
    let line = std::str::from_utf8(line).map_err(|error| format!("not UTF-8 (column {})", error.valid_up_to() + 1))?;
    match serde_json::from_str::<RequestShape>(line) {
        Ok(shape) => Ok(shape.into()),
        Err(error) => match serde_json::from_str::<EvidenceShape>(line) {
            Ok(evidence) => {
                let mut observation = Observation { request: evidence.request.into(), mode: None, refused: None };
                ExtraValues::Hashed.apply_to_observation(&mut observation);
                names.resolve_in_observation(&mut observation);
                Ok(observation.request)
            }
            // What is wrong with evidence is said of evidence, without what it holds.
            Err(of_evidence) if line.contains("\"deputize.evidence/") => Err(without_value(words(of_evidence))),
            Err(_) => Err(words(error)),
        },
    }
}

/// Leaves the text that was found where another type belongs out of a message: it may be the value of an extra.
fn without_value(message: String) -> String {
    const FOUND: &str = "invalid type: string ";
    match (message.strip_prefix(FOUND), message.rfind(", expected ")) {
        (Some(_), Some(end)) => format!("{}{}", FOUND.trim_end(), &message[end..]),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_request_or_evidence_of_one() {
        let request =
            read_request(br#"{"user": "system:serviceaccount:apps:deputy", "groups": null, "verb": "list"}"#).unwrap();
        assert_eq!(
            request.requestor.groups,
            ["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"]
        );
        let evidence = br#"{"schema": "deputize.evidence/v1", "request": {"user": "u", "verb": "get"}, "mode": null, "count": 3, "first": "a", "last": "b"}"#;
        assert_eq!(read_request(evidence).unwrap().requestor.name, "u");
        let wrong = br#"{"schema": "deputize.evidence/v1", "request": {"impersonate": {"extra": {"a": "SECRET, expected b"}}}}"#;
        let error = read_request(wrong).unwrap_err();
        assert!(error.starts_with("invalid type: string, expected a sequence (column "), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named() {
        for (line, expected) in [
            (r#"{"user": "u", "verbs": "get"}"#, "unknown field `verbs`, expected one of"),
            (r#"{"user": 5}"#, "invalid type: integer `5`, expected a string (column 10)"),
            (r#"{"user": "u""#, "EOF while parsing an object (column 12)"),
            ("nonsense", "expected ident (column 2)"),
            (
                r#"{"impersonate": {"name": "x"}}"#,
                "unknown field `name`, expected one of `user`, `uid`, `groups`, `extra`",
            ),
            (r#"{"schema": "deputize.evidence/v1", "request": {"who": "u"}}"#, "unknown field `who`"),
        ] {
            let error = read_request(line.as_bytes()).unwrap_err();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
