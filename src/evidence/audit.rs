//! Audit logs: lines of events, as the API server writes them or as managed clouds wrap them, and condensed evidence.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use super::request::{EvidenceShape, or_empty};
use super::{Evidence, Observation, OwnedRequest};
use crate::authority::{
    Extra, Headers, Mode, NODE_NAME_EXTRA, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS,
    SYSTEM_UNAUTHENTICATED, User, Username,
};

/// How much is read at a time, in bytes.
const BLOCK: u64 = 1 << 20;
/// Longest line, and largest value over many lines, that is read, in bytes. Events with bodies are large; more than this
/// is no event.
const MAX_VALUE: usize = 256 << 20;
/// How deep an event may be wrapped.
const MAX_DEPTH: usize = 8;

/// Why a log could not be read to its end.
#[derive(Debug)]
pub struct LogError(io::Error);

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot be read: {}", self.0)
    }
}

impl std::error::Error for LogError {}

/// Reads a log, compressed with gzip or not, and adds what it shows to `evidence`. A line that is cut off at the end is
/// counted as no event.
///
/// # Errors
/// When the log cannot be read to its end. What was read until then is kept.
pub fn read_log(log: impl Read, evidence: &mut Evidence) -> Result<(), LogError> {
    let mut log = BufReader::with_capacity(1 << 20, log);
    let gzip = log.fill_buf().map_err(LogError)?.starts_with(&[0x1f, 0x8b]);
    if gzip { read_blocks(&mut MultiGzDecoder::new(log), evidence) } else { read_blocks(&mut log, evidence) }
}

/// Reads block after block and looks at the lines that hold the one word that matters. Finding it in a block is many
/// times faster than looking at each line.
fn read_blocks(log: &mut dyn Read, evidence: &mut Evidence) -> Result<(), LogError> {
    // It is in the field, in refusals, and in condensed evidence.
    let needle = Finder::new("impersonate");
    let mut block = Vec::new();
    // An export that is laid out over many lines is one value.
    let mut one_value = None;
    loop {
        let read = log.take(BLOCK).read_to_end(&mut block);
        // What came before the log broke off counts.
        let (ended, error) = match read {
            Ok(read) => ((read as u64) < BLOCK, None),
            Err(error) => (true, Some(LogError(error))),
        };
        let one_value = *one_value.get_or_insert_with(|| {
            let first = block.split(|byte| *byte == b'\n').next().unwrap_or_default();
            matches!(first.trim_ascii(), b"{" | b"[")
        });
        if one_value && !ended && block.len() < MAX_VALUE {
            continue;
        }
        let whole = if ended { block.len() } else { memchr::memrchr(b'\n', &block).map_or(0, |last| last + 1) };
        // A line that does not end is no event, but must not be held for ever.
        let whole = if whole == 0 && block.len() >= MAX_VALUE { block.len() } else { whole };
        let lines = block.get(..whole).unwrap_or_default();
        if one_value {
            evidence.not_events += usize::from(needle.find(lines).is_some() && !read_line(lines, evidence));
        } else {
            read_hits(lines, &needle, evidence);
        }
        if ended {
            return error.map_or(Ok(()), Err);
        }
        block.drain(..whole);
    }
}

fn read_hits(lines: &[u8], needle: &Finder<'_>, evidence: &mut Evidence) {
    let mut from = 0;
    while let Some(found) = lines.get(from..).and_then(|rest| needle.find(rest)) {
        let at = from + found;
        let start = memchr::memrchr(b'\n', &lines[from..at]).map_or(from, |index| from + index + 1);
        let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |index| at + index);
        if !read_line(&lines[start..end], evidence) {
            evidence.not_events += 1;
        }
        from = (end + 1).min(lines.len());
    }
}

/// Reads a line. False if it is neither an event, however wrapped, nor evidence.
fn read_line(line: &[u8], evidence: &mut Evidence) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    if line.contains("\"deputize.evidence/") {
        return serde_json::from_str::<EvidenceShape>(line).is_ok_and(|shape| evidence.add_condensed(shape));
    }
    serde_json::from_str(line).is_ok_and(|value: Value| unwrap(value, evidence, 0))
}

/// Looks for events in a value: itself, in its fields and items, and in strings that hold JSON.
fn unwrap(value: Value, evidence: &mut Evidence, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match value {
        Value::Object(fields) if fields.contains_key("stage") && fields.contains_key("verb") => {
            serde_json::from_value(Value::Object(fields)).is_ok_and(|event: Event| {
                event.observe(evidence);
                true
            })
        }
        Value::Object(fields) => unwrap_all(fields.into_iter().map(|(_, value)| value), evidence, depth),
        Value::Array(items) => unwrap_all(items.into_iter(), evidence, depth),
        Value::String(text) if text.contains("\"stage\"") => {
            serde_json::from_str(&text).is_ok_and(|value| unwrap(value, evidence, depth + 1))
        }
        _ => false,
    }
}

/// Looks for events in each value. Whether there is any.
fn unwrap_all(values: impl Iterator<Item = Value>, evidence: &mut Evidence, depth: usize) -> bool {
    let mut any = false;
    for value in values {
        any |= unwrap(value, evidence, depth + 1);
    }
    any
}

/// `audit.k8s.io/v1`, `Event`: what matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    #[serde(deserialize_with = "or_empty")]
    stage: String,
    #[serde(rename = "requestURI", deserialize_with = "or_empty")]
    request_uri: String,
    #[serde(deserialize_with = "or_empty")]
    verb: String,
    #[serde(deserialize_with = "or_empty")]
    user: EventUser,
    impersonated_user: Option<EventUser>,
    object_ref: Option<ObjectRef>,
    #[serde(deserialize_with = "or_empty")]
    response_status: ResponseStatus,
    #[serde(deserialize_with = "or_empty")]
    authentication_metadata: AuthenticationMetadata,
    #[serde(deserialize_with = "or_empty")]
    request_received_timestamp: String,
    /// What old versions have in its place.
    #[serde(deserialize_with = "or_empty")]
    timestamp: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EventUser {
    #[serde(deserialize_with = "or_empty")]
    username: String,
    #[serde(deserialize_with = "or_empty")]
    uid: String,
    #[serde(deserialize_with = "or_empty")]
    groups: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    extra: Extra,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    #[serde(deserialize_with = "or_empty")]
    resource: String,
    #[serde(deserialize_with = "or_empty")]
    subresource: String,
    #[serde(deserialize_with = "or_empty")]
    namespace: String,
    #[serde(deserialize_with = "or_empty")]
    name: String,
    #[serde(deserialize_with = "or_empty")]
    api_group: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: Option<u32>,
    #[serde(deserialize_with = "or_empty")]
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthenticationMetadata {
    #[serde(deserialize_with = "or_empty")]
    impersonation_constraint: String,
}

impl Event {
    /// Adds what the event shows: an impersonated request, or an impersonation that was refused.
    fn observe(self, evidence: &mut Evidence) {
        // Nothing is known at RequestReceived. ResponseStarted is the only stage of a request that goes on.
        let ended = match self.stage.as_str() {
            "ResponseComplete" | "Panic" => 1,
            "ResponseStarted" => 0,
            _ => return,
        };
        let times = [&self.request_received_timestamp, &self.timestamp];
        let time = times.into_iter().find(|time| !time.is_empty()).cloned().unwrap_or_default();
        let observation = match &self.impersonated_user {
            Some(target) => {
                let mode = self.authentication_metadata.impersonation_constraint.strip_prefix("impersonate:");
                let mode = mode.and_then(Mode::parse_constrained).unwrap_or(Mode::Legacy);
                Observation { request: self.request(headers(target, mode)), mode: Some(mode), refused: None }
            }
            None => {
                // `User "…" cannot impersonate-on:user-info:get path "/api"`
                let refused = self.response_status.code == Some(403) && ended == 1;
                let Some((_, check)) =
                    self.response_status.message.split_once("cannot impersonate").filter(|_| refused)
                else {
                    return;
                };
                let refused = Some(format!("impersonate{check}"));
                Observation { request: self.request(Headers::default()), mode: None, refused }
            }
        };
        evidence.add(observation, ended, &time, &time);
    }

    /// The request as it was authorized.
    fn request(&self, headers: Headers) -> OwnedRequest {
        let mut groups = self.user.groups.clone();
        groups.sort();
        groups.dedup();
        // Of the requestor's extras only the node of its pod matters, and the others would keep requests apart.
        let mut extra = self.user.extra.clone();
        extra.retain(|key, _| key == NODE_NAME_EXTRA);
        let mut requestor = User { name: self.user.username.clone(), groups, extra };
        requestor.complete_groups();
        let mut request = OwnedRequest { requestor, headers, verb: self.verb.clone(), ..OwnedRequest::default() };
        let (path, query) = self.request_uri.split_once('?').unwrap_or((&self.request_uri, ""));
        let Some(object) = &self.object_ref else {
            request.path = path.to_owned();
            return request;
        };
        request.api_group.clone_from(&object.api_group);
        request.resource.clone_from(&object.resource);
        request.subresource.clone_from(&object.subresource);
        match namespace_and_name(path) {
            Some((namespace, name)) => {
                request.namespace = namespace;
                request.name = name.or_else(|| selected_name(&self.verb, query)).unwrap_or_default();
            }
            None => {
                request.namespace.clone_from(&object.namespace);
                // What a `create` without a subresource shows is the name in the body, which nobody was asked about.
                if self.verb != "create" || !object.subresource.is_empty() {
                    request.name.clone_from(&object.name);
                }
            }
        }
        request
    }
}

/// The headers that a client has sent, rebuilt from what became of them. Groups that the server adds cannot be told from
/// the same groups sent by the client; they are taken to be the server's.
fn headers(target: &EventUser, mode: Mode) -> Headers {
    let mut groups = target.groups.clone();
    let added = if target.username == SYSTEM_ANONYMOUS { SYSTEM_UNAUTHENTICATED } else { SYSTEM_AUTHENTICATED };
    if groups.last().is_some_and(|last| last == added) {
        groups.pop();
    }
    if matches!(mode, Mode::AssociatedNode | Mode::ArbitraryNode) {
        groups.clear();
    }
    if let Username::ServiceAccount { namespace, .. } = Username::parse(&target.username) {
        let own = [SYSTEM_SERVICE_ACCOUNTS.to_owned(), format!("{SYSTEM_SERVICE_ACCOUNTS}:{namespace}")];
        if groups == own {
            groups.clear();
        }
    }
    groups.sort();
    Headers::received(target.username.clone(), target.uid.clone(), groups, target.extra.clone())
}

/// The namespace and the name in the path of a request for a resource (`pkg/endpoints/request/requestinfo.go`); none if it
/// is no such path.
fn namespace_and_name(path: &str) -> Option<(String, Option<String>)> {
    let mut parts = path.trim_matches('/').split('/');
    match parts.next()? {
        "api" => parts.next()?,
        "apis" => {
            parts.next()?;
            parts.next()?
        }
        _ => return None,
    };
    let mut parts: Vec<&str> = parts.collect();
    if parts.first().is_some_and(|first| ["watch", "proxy"].contains(first)) {
        parts.remove(0);
    }
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    match parts.as_slice() {
        [] => None,
        ["namespaces"] => Some((String::new(), None)),
        // A namespace is in itself, and so are its parts.
        ["namespaces", name] | ["namespaces", name, "status" | "finalize"] => Some((text(name), Some(text(name)))),
        ["namespaces", namespace, _, rest @ ..] => Some((text(namespace), rest.first().map(|name| text(name)))),
        [_, rest @ ..] => Some((String::new(), rest.first().map(|name| text(name)))),
    }
}

/// The name that a list or watch is limited to, by which rules with names allow it.
fn selected_name(verb: &str, query: &str) -> Option<String> {
    if !["list", "watch", "deletecollection"].contains(&verb) {
        return None;
    }
    let selector = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector="))?;
    let selector = percent_decode_str(selector).decode_utf8_lossy().into_owned();
    let name = selector.split(',').find_map(|term| term.strip_prefix("metadata.name="))?;
    Some(name.trim_start_matches('=').to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &str) -> Evidence {
        let mut evidence = Evidence::default();
        read_log(log.as_bytes(), &mut evidence).unwrap();
        evidence
    }

    fn event(stage: &str, more: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"{stage}","requestURI":"/api/v1/namespaces/shop/pods?limit=500","verb":"list","user":{{"username":"alice","groups":["devs","system:authenticated"]}},"objectRef":{{"resource":"pods","namespace":"shop","apiVersion":"v1"}},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z"{more}}}"#
        )
    }

    const PANDA: &str = r#","impersonatedUser":{"username":"panda","groups":["devs","system:authenticated"]}"#;

    #[test]
    fn headers_are_rebuilt_and_stages_counted_once() {
        let log = [event("RequestReceived", ""), event("ResponseStarted", PANDA), event("ResponseComplete", PANDA)]
            .join("\n");
        let evidence = read(&log);
        let (observation, tally) = evidence.iter().next().unwrap();
        assert_eq!(evidence.iter().count(), 1);
        assert_eq!((tally.count(), tally.is_open(), observation.mode), (1, false, Some(Mode::Legacy)));
        let request = &observation.request;
        assert_eq!((request.headers.user(), request.headers.groups()), ("panda", &["devs".to_owned()][..]));
        assert_eq!((request.namespace.as_str(), request.name.as_str()), ("shop", ""));
        assert!(read(&event("ResponseStarted", PANDA)).iter().next().unwrap().1.is_open());
    }

    #[test]
    fn events_in_the_envelopes_of_clouds() {
        let plain = event("ResponseComplete", PANDA);
        let escaped = serde_json::to_string(&plain).unwrap();
        for log in [
            format!(r#"{{"kind":"EventList","items":[{plain}]}}"#),
            format!(r#"{{"timestamp":1,"message":{escaped}}}"#),
            format!(r#"{{"logEvents":[{{"message":{escaped}}}]}}"#),
            format!(r#"{{"records":[{{"category":"kube-audit","properties":{{"log":{escaped},"pod":"x"}}}}]}}"#),
            format!("[\n  {plain}\n]\n"),
        ] {
            assert_eq!(read(&log), read(&plain), "{log}");
        }
    }

    #[test]
    fn a_refusal_names_the_check_that_failed() {
        let more = r#","impersonatedUser":null,"responseStatus":{"code":403,"message":"forbidden: User \"alice\" cannot impersonate-on:user-info:get path \"/api\""}"#;
        let evidence = read(&event("ResponseComplete", more));
        let (observation, _) = evidence.iter().next().unwrap();
        assert_eq!(observation.refused.as_deref(), Some("impersonate-on:user-info:get path \"/api\""));
        assert_eq!(observation.mode, None);
    }

    #[test]
    fn what_is_no_event_is_counted() {
        let whole = event("ResponseComplete", PANDA);
        let evidence =
            read(&format!("{whole}\nnot impersonated\n{{\"impersonate\": 1}}\n{}", &whole[..whole.len() - 20]));
        assert_eq!((evidence.iter().count(), evidence.not_events), (1, 3));
    }

    #[test]
    fn the_authorized_name_is_that_of_the_path() {
        for (verb, uri, expected) in [
            ("create", "/api/v1/namespaces/shop/pods", ("shop", "")),
            ("create", "/api/v1/namespaces/shop/pods/web/exec?command=sh", ("shop", "web")),
            ("get", "/apis/apps/v1/namespaces/shop/deployments/web/scale", ("shop", "web")),
            ("get", "/api/v1/namespaces/shop", ("shop", "shop")),
            ("create", "/api/v1/namespaces", ("", "")),
            ("get", "/api/v1/nodes/n1", ("", "n1")),
            ("watch", "/api/v1/namespaces/shop/secrets?fieldSelector=metadata.name%3Dweb&watch=true", ("shop", "web")),
        ] {
            let event = Event {
                verb: verb.to_owned(),
                request_uri: uri.to_owned(),
                object_ref: Some(ObjectRef {
                    name: "body".to_owned(),
                    namespace: "body".to_owned(),
                    ..ObjectRef::default()
                }),
                ..Event::default()
            };
            let request = event.request(Headers::default());
            assert_eq!((request.namespace.as_str(), request.name.as_str()), expected, "{verb} {uri}");
        }
    }
}
