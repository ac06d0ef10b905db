//! Answers of `simulate`, a line each.

use serde::Serialize;

use super::json::{write_line, write_string};
use crate::authority::{Attributes, Check, CheckVerb, Decision, Impersonation, Mode, Refusal, Request};

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ErrorShape<'a> {
    error: &'a str,
    line: usize,
}

/// What [`write_decision`] writes, for the schema.
#[cfg(test)]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnswerShape {
    impersonation: &'static str,
    mode: Option<&'static str>,
    constraint: Option<&'static str>,
    r#as: Option<UserShape>,
    request: &'static str,
    checks: Vec<CheckShape>,
    reason: String,
}

/// The user that the API server takes the client for.
#[cfg(test)]
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct UserShape {
    user: String,
    groups: Vec<String>,
    uid: String,
    extra: std::collections::BTreeMap<String, Vec<String>>,
}

/// A question to the authorizer.
#[cfg(test)]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckShape {
    verb: String,
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    path: String,
    allowed: bool,
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

/// Reports whether a text needs no escape. Every byte is looked at, since that is faster than to stop at the first.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\') & (byte != b'#');
    let bytes = text.as_bytes();
    // Commands of CI runners begin with `##` or `::`.
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let has_pair = pairs.fold(false, |any, (a, b)| any | ((*a == b':') & (*b == b':')));
    bytes.iter().fold(!has_pair, |all, byte| all & plain(*byte))
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
