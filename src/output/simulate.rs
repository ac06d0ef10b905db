//! Requests and answers of `simulate`, a line each.

use serde::{Deserialize, Serialize};

use super::json::{write_line, write_string};
use crate::authority::{
    Attributes, Check, CheckVerb, Decision, Extra, Headers, Impersonation, Mode, Refusal, Request, User,
};

/// A request as a line has it. Absent fields are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RequestShape {
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

/// A line of condensed evidence, of which only the request matters here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceShape {
    #[serde(rename = "schema")]
    _schema: String,
    request: RequestShape,
    #[serde(rename = "mode", default)]
    _mode: serde::de::IgnoredAny,
    #[serde(rename = "count", default)]
    _count: serde::de::IgnoredAny,
    #[serde(rename = "first", default)]
    _first: serde::de::IgnoredAny,
    #[serde(rename = "last", default)]
    _last: serde::de::IgnoredAny,
}

/// Programs in some languages write null for an empty list.
fn or_empty<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A request that was read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
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
            Ok(evidence) => Ok(evidence.request.into()),
            // What is wrong with evidence is said of evidence.
            Err(of_evidence) if line.contains("\"deputize.evidence/") => Err(words(of_evidence)),
            Err(_) => Err(words(error)),
        },
    }
}

#[derive(Debug, Serialize)]
struct ErrorShape<'a> {
    error: &'a str,
    line: usize,
}

/// Adds the answer to a request, on one line.
///
/// Written out by hand: half of the time that answering takes would go into the names of the fields.
pub fn write_decision(out: &mut Vec<u8>, request: &Request<'_>, decision: &Decision<'_>) {
    let (impersonation, mode, user) = match &decision.impersonation {
        Impersonation::None => ("none", None, None),
        Impersonation::Invalid => ("invalid", None, None),
        Impersonation::Denied => ("denied", None, None),
        Impersonation::Allowed { mode, user } => ("allowed", Some(*mode), Some(user)),
    };
    raw(out, "{\"impersonation\":");
    string(out, impersonation);
    raw(out, ",\"mode\":");
    optional(out, mode.map(Mode::as_str));
    raw(out, ",\"constraint\":");
    optional(out, mode.and_then(Mode::constraint));
    raw(out, ",\"as\":");
    match user {
        None => raw(out, "null"),
        Some(user) => {
            raw(out, "{\"user\":");
            string(out, user.name);
            raw(out, ",\"groups\":");
            list(out, b"[]", &user.groups, |out, group| string(out, group));
            raw(out, ",\"uid\":");
            string(out, user.uid);
            raw(out, ",\"extra\":");
            list(out, b"{}", user.extra, |out, (key, values)| {
                string(out, key);
                raw(out, ":");
                list(out, b"[]", values, |out, value| string(out, value));
            });
            raw(out, "}");
        }
    }
    raw(out, ",\"request\":");
    string(out, if decision.request.is_some() { "allowed" } else { "denied" });
    raw(out, ",\"checks\":");
    list(out, b"[]", &decision.checks, write_check);
    raw(out, ",\"reason\":");
    string(out, &reason(request, decision));
    raw(out, "}\n");
}

fn write_check(out: &mut Vec<u8>, check: &Check<'_>) {
    let Attributes { api_group, resource, subresource, namespace, name, path, .. } = check.object;
    raw(out, "{\"verb\":");
    match check.verb {
        CheckVerb::Identity(mode) => string(out, mode.identity_verb()),
        CheckVerb::Action(mode, verb) if is_plain(verb) => {
            raw(out, "\"impersonate-on:");
            raw(out, mode.as_str());
            raw(out, ":");
            raw(out, verb);
            raw(out, "\"");
        }
        action @ CheckVerb::Action(..) => string(out, &action.to_string()),
    }
    for (key, value) in [
        (",\"apiGroup\":", api_group),
        (",\"resource\":", resource),
        (",\"subresource\":", subresource),
        (",\"namespace\":", namespace),
        (",\"name\":", name),
        (",\"path\":", path),
    ] {
        raw(out, key);
        string(out, value);
    }
    raw(out, if check.witness.is_some() { ",\"allowed\":true}" } else { ",\"allowed\":false}" });
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        out.push(b'"');
        raw(out, text);
        out.push(b'"');
    } else {
        write_string(out, text);
    }
}

/// Whether a text stands in quotes as it is. Every byte is looked at, since that is faster than to stop at the first.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    text.bytes().fold(true, |all, byte| all & plain(byte))
}

fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => raw(out, "null"),
    }
}

fn list<I: IntoIterator>(
    out: &mut Vec<u8>,
    brackets: &[u8; 2],
    items: I,
    mut write: impl FnMut(&mut Vec<u8>, I::Item),
) {
    out.push(brackets[0]);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(brackets[1]);
}

/// Adds what is wrong with a line in the place of its answer.
pub fn write_error(out: &mut Vec<u8>, line: usize, error: &str) {
    // Writing to a vector cannot fail.
    let _ = write_line(&mut *out, &ErrorShape { error, line });
}

/// Why a request is refused, as the server says it; empty if it is allowed. Of several modes that refuse, the server
/// names the first that it tried.
pub fn reason(request: &Request<'_>, decision: &Decision<'_>) -> String {
    match (&decision.impersonation, decision.request) {
        (Impersonation::Invalid, _) => "an impersonation header without Impersonate-User".to_owned(),
        (Impersonation::Denied, _) => match decision.refusals.first() {
            Some((_, Refusal::Outright(reason))) => reason.clone(),
            Some((_, Refusal::Check(index))) => decision.checks.get(*index).map_or_else(String::new, |check| {
                forbidden(&request.requestor.name, &check.verb.to_string(), &check.object)
            }),
            None => String::new(),
        },
        (_, Some(_)) => String::new(),
        (Impersonation::None, None) => forbidden(&request.requestor.name, request.attributes.verb, &request.attributes),
        (Impersonation::Allowed { user, .. }, None) => {
            forbidden(user.name, request.attributes.verb, &request.attributes)
        }
    }
}

/// The words of `pkg/endpoints/handlers/responsewriters/errors.go`.
fn forbidden(user: &str, verb: &str, object: &Attributes<'_>) -> String {
    let Attributes { api_group, resource, subresource, namespace, path, .. } = object;
    if !path.is_empty() {
        return format!("User {user:?} cannot {verb} path {path:?}");
    }
    let slash = if subresource.is_empty() { "" } else { "/" };
    let scope = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let resource = format!("{resource}{slash}{subresource}");
    format!("User {user:?} cannot {verb} resource {resource:?} in API group {api_group:?} {scope}")
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
