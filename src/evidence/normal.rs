//! Events as platforms keep them, made into events as the API server writes them: keys in another case, structures as
//! strings, fields with dots instead of structures, and fields that a platform has moved to names of its own.

use serde_json::{Map, Value};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Texts,
    /// Lists of texts, by keys of any name.
    Extra,
    /// A value that stays as it is.
    Any,
    Object(&'static [Field]),
}

type Field = (&'static str, Kind);

const USER: &[Field] =
    &[("username", Kind::Text), ("uid", Kind::Text), ("groups", Kind::Texts), ("extra", Kind::Extra)];
const OBJECT: &[Field] = &[
    ("resource", Kind::Text),
    ("subresource", Kind::Text),
    ("namespace", Kind::Text),
    ("name", Kind::Text),
    ("apiGroup", Kind::Text),
];

/// The fields of an event that matter.
const EVENT: &[Field] = &[
    ("auditID", Kind::Text),
    ("stage", Kind::Text),
    ("requestURI", Kind::Text),
    ("verb", Kind::Text),
    ("user", Kind::Object(USER)),
    ("impersonatedUser", Kind::Object(USER)),
    ("objectRef", Kind::Object(OBJECT)),
    ("responseStatus", Kind::Object(&[("code", Kind::Number), ("message", Kind::Text)])),
    ("authenticationMetadata", Kind::Object(&[("impersonationConstraint", Kind::Text)])),
    ("requestObject", Kind::Any),
    ("requestReceivedTimestamp", Kind::Text),
    ("timestamp", Kind::Text),
];

/// Where Datadog keeps fields of events.
const MOVED: [(&[&str], &[&str]); 5] = [
    (&["http", "method"], &["verb"]),
    (&["http", "url_details", "path"], &["requestURI"]),
    (&["usr", "id"], &["user", "username"]),
    (&["usr", "groups"], &["user", "groups"]),
    (&["usr", "extra"], &["user", "extra"]),
];

/// Reports whether all fields of an event are where the API server writes them.
pub(super) fn is_exact(fields: &Map<String, Value>) -> bool {
    let is_odd = |key: &String| {
        let first = key.split('.').next().unwrap_or_default();
        EVENT.iter().any(|(name, _)| name != key && is_same(name, first))
    };
    fields.contains_key("stage") && fields.contains_key("verb") && !fields.keys().any(is_odd)
}

/// Returns an event as the API server writes it, without the fields that do not matter. None if it is no event.
pub(super) fn event(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut event = match prefix(fields)? {
        "" => object(fields, EVENT),
        prefix => unflattened(fields, prefix),
    };
    for (from, to) in MOVED {
        if let Some(moved) = at(fields, from) {
            fill(&mut event, to, moved);
        }
    }
    let stage = event.get("stage").and_then(Value::as_str)?;
    let is_event = matches!(stage, "RequestReceived" | "ResponseStarted" | "ResponseComplete" | "Panic");
    (is_event && event.contains_key("verb")).then_some(event)
}

/// Returns a value of OpenTelemetry's, which names the type of each, as plain JSON.
pub(super) fn untyped(fields: &Map<String, Value>) -> Option<Value> {
    let (kind, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let inner = |value: &Value| match value {
        Value::Object(fields) => untyped(fields).unwrap_or(Value::Null),
        _ => Value::Null,
    };
    let values = || value.get("values").and_then(Value::as_array).into_iter().flatten();
    match kind.as_str() {
        "stringValue" | "boolValue" | "intValue" | "doubleValue" => Some(value.clone()),
        "arrayValue" => Some(values().map(inner).collect()),
        "kvlistValue" => {
            let field = |field: &Value| Some((field.get("key")?.as_str()?.to_owned(), inner(field.get("value")?)));
            Some(Value::Object(values().filter_map(field).collect()))
        }
        _ => None,
    }
}

/// Compares a key, in whatever case, with the name of a field.
fn is_same(name: &str, key: &str) -> bool {
    let letters = |text: &str| text.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).count();
    let mut lower = key.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
    letters(key) == name.len()
        && name.bytes().all(|byte| lower.next().is_some_and(|other| byte.eq_ignore_ascii_case(&other)))
}

/// What stands before the names of an event's fields: nothing, or something that ends with a dot. None if there is no such
/// field.
fn prefix(fields: &Map<String, Value>) -> Option<&str> {
    fields.keys().find_map(|key| {
        let start = key.rfind('.').map_or(0, |dot| dot + 1);
        let (prefix, name) = key.split_at(start);
        let is_event = is_same("stage", name)
            && (fields.keys().filter_map(|other| other.strip_prefix(prefix)))
                .any(|other| ["auditID", "verb", "requestURI"].iter().any(|name| is_same(name, other)));
        is_event.then_some(prefix)
    })
}

fn object(fields: &Map<String, Value>, known: &[Field]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, kind) in known {
        // The name itself comes before others that differ in case.
        let value =
            fields.get(*name).or_else(|| fields.iter().find(|(key, _)| is_same(name, key)).map(|(_, value)| value));
        if let Some(value) = value.and_then(|value| of_kind(value, *kind)) {
            object.insert((*name).to_owned(), value);
        }
    }
    // Some fields may be flattened, and others not.
    for (key, value) in fields.iter().filter(|(key, _)| key.contains('.')) {
        insert(&mut object, key, value, known);
    }
    object
}

fn unflattened(fields: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
    let mut event = Map::new();
    for (key, value) in fields {
        if let Some(path) = key.strip_prefix(prefix) {
            insert(&mut event, path, value, EVENT);
        }
    }
    event
}

/// Puts a value where its path leads. Keys of extras have dots themselves.
fn insert(into: &mut Map<String, Value>, path: &str, value: &Value, known: &[Field]) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    // Splunk marks lists so.
    let first = first.strip_suffix("{}").unwrap_or(first);
    let Some((name, kind)) = known.iter().find(|(name, _)| is_same(name, first)) else { return };
    match (kind, rest) {
        (Kind::Object(fields), Some(rest)) => {
            let object = into.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            if let Some(object) = object.as_object_mut() {
                insert(object, rest, value, fields);
            }
        }
        (Kind::Extra, Some(key)) => {
            let object = into.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            if let (Some(object), Some(values)) = (object.as_object_mut(), of_kind(value, Kind::Texts)) {
                object.entry(key.strip_suffix("{}").unwrap_or(key)).or_insert(values);
            }
        }
        (_, None) => {
            if let Some(value) = of_kind(value, *kind) {
                into.entry(*name).or_insert(value);
            }
        }
        _ => {}
    }
}

/// Returns a value as what it has to be; none if it is nothing.
fn of_kind(value: &Value, kind: Kind) -> Option<Value> {
    match (kind, value) {
        (Kind::Any, value) => Some(from_string(value).unwrap_or_else(|| value.clone())),
        (_, Value::Null) => None,
        (Kind::Texts, Value::Array(items)) => Some(items.iter().filter_map(|item| of_kind(item, Kind::Text)).collect()),
        (Kind::Texts, value) => match from_string(value) {
            Some(items @ Value::Array(_)) => of_kind(&items, kind),
            _ => of_kind(value, Kind::Text).map(|text| Value::Array(vec![text])),
        },
        (kind, Value::Array(items)) => match &items[..] {
            [item] => of_kind(item, kind),
            _ => None,
        },
        (Kind::Text, Value::String(_)) | (Kind::Number, Value::Number(_)) => Some(value.clone()),
        (Kind::Text, Value::Number(_) | Value::Bool(_)) => Some(Value::String(value.to_string())),
        (Kind::Number, Value::String(text)) => text.parse::<u32>().ok().map(Value::from),
        (Kind::Object(known), Value::Object(fields)) => Some(Value::Object(object(fields, known))),
        (Kind::Extra, Value::Object(fields)) => {
            let lists = fields.iter().filter_map(|(key, values)| Some((key.clone(), of_kind(values, Kind::Texts)?)));
            Some(Value::Object(lists.collect()))
        }
        (Kind::Object(_) | Kind::Extra, Value::String(_)) => of_kind(&from_string(value)?, kind),
        _ => None,
    }
}

/// Returns the object or list that a string holds.
fn from_string(value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|text| text.starts_with(['{', '[']))?;
    serde_json::from_str(text).ok()
}

fn at<'v>(fields: &'v Map<String, Value>, path: &[&str]) -> Option<&'v Value> {
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(fields, |fields, key| fields.get(*key)?.as_object())?;
    parent.get(*last)
}

/// Puts a value where nothing is.
fn fill(event: &mut Map<String, Value>, path: &[&str], value: &Value) {
    let [first, rest @ ..] = path else { return };
    let Some((_, kind)) = EVENT.iter().find(|(name, _)| name == first) else { return };
    match (kind, rest) {
        (Kind::Object(known), [name, ..]) => {
            let object = event.entry(*first).or_insert_with(|| Value::Object(Map::new()));
            if let Some(object) = object.as_object_mut() {
                insert(object, name, value, known);
            }
        }
        _ => insert(event, first, value, EVENT),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            _ => panic!(),
        }
    }

    fn expected() -> Value {
        json!({
            "auditID": "x", "stage": "ResponseComplete", "requestURI": "/api/v1/pods", "verb": "list",
            "user": {"username": "alice", "groups": ["devs", "ops"]},
            "impersonatedUser": {"username": "panda", "groups": ["devs"], "extra": {"a.b/c": ["1"], "scopes": ["x", "y"]}},
            "responseStatus": {"code": 200},
        })
    }

    #[test]
    fn platforms_and_what_the_server_wrote() {
        let nested = json!({
            "AuditID": "x", "Stage": "ResponseComplete", "RequestURI": "/api/v1/pods", "Verb": "list",
            "User": {"Username": "alice", "Groups": ["devs", "ops"]},
            "impersonated_user": {"username": "panda", "groups": "devs", "extra": {"a.b/c": ["1"], "scopes": ["x", "y"]}},
            "responsestatus": {"code": "200"}, "other": 1,
        });
        let strings = json!({
            "auditID": "x", "stage": "ResponseComplete", "requestURI": "/api/v1/pods", "verb": "list",
            "user": "{\"username\":\"alice\",\"groups\":[\"devs\",\"ops\"]}",
            "impersonatedUser": "{\"username\":\"panda\",\"groups\":[\"devs\"],\"extra\":{\"a.b/c\":[\"1\"],\"scopes\":[\"x\",\"y\"]}}",
            "responseStatus": "{\"code\":200}", "objectRef": null,
        });
        let flat = json!({
            "k8s.audit.auditID": ["x"], "k8s.audit.stage": ["ResponseComplete"], "k8s.audit.requestURI": ["/api/v1/pods"],
            "k8s.audit.verb": ["list"], "k8s.audit.user.username": ["alice"], "k8s.audit.user.groups{}": ["devs", "ops"],
            "k8s.audit.impersonatedUser.username": ["panda"], "k8s.audit.impersonatedUser.groups": ["devs"],
            "k8s.audit.impersonatedUser.extra.a.b/c": ["1"], "k8s.audit.impersonatedUser.extra.scopes": ["x", "y"],
            "k8s.audit.responseStatus.code": [200], "k8s.audit.verb.keyword": ["list"], "host": ["h"],
        });
        let moved = json!({
            "auditID": "x", "stage": "ResponseComplete", "http": {"method": "list", "url_details": {"path": "/api/v1/pods"}},
            "usr": {"id": "alice", "groups": ["devs", "ops"]}, "responseStatus": {"code": 200},
            "impersonatedUser": {"username": "panda", "groups": ["devs"], "extra": {"a.b/c": ["1"], "scopes": ["x", "y"]}},
        });
        let partly_flat = json!({
            "auditID": "x", "stage": "ResponseComplete", "requestURI": "/api/v1/pods", "verb": "list",
            "user.username": "alice", "user.groups": ["devs", "ops"], "impersonatedUser.username": "panda",
            "impersonatedUser.groups": ["devs"], "impersonatedUser.extra.a.b/c": "1",
            "impersonatedUser.extra.scopes": ["x", "y"], "responseStatus.code": 200,
        });
        for value in [nested, strings, flat, partly_flat, moved, expected()] {
            assert_eq!(event(&fields(value.clone())).map(Value::Object), Some(expected()), "{value}");
        }
    }

    #[test]
    fn values_that_name_their_types() {
        let typed = json!({"kvlistValue": {"values": [
            {"key": "stage", "value": {"stringValue": "Panic"}},
            {"key": "user", "value": {"kvlistValue": {"values": [
                {"key": "groups", "value": {"arrayValue": {"values": [{"stringValue": "devs"}]}}}]}}},
            {"key": "code", "value": {"intValue": "200"}},
        ]}});
        let plain = json!({"stage": "Panic", "user": {"groups": ["devs"]}, "code": "200"});
        assert_eq!(untyped(&fields(typed)), Some(plain));
        assert_eq!(untyped(&fields(json!({"stringValue": "x", "more": 1}))), None);
    }

    #[test]
    fn other_objects_are_no_events() {
        for value in [
            json!({"stage": "build", "verb": "run"}),
            json!({"stage": "ResponseComplete"}),
            json!({"verb": "get"}),
            json!({"a.stage": ["Panic"], "b.verb": ["get"]}),
        ] {
            assert_eq!(event(&fields(value.clone())), None, "{value}");
        }
        assert!(is_exact(&fields(expected())));
        for key in ["impersonateduser", "impersonatedUser.username"] {
            assert!(!is_exact(&fields(json!({"stage": "Panic", "verb": "get", key: "x"}))));
        }
    }
}
