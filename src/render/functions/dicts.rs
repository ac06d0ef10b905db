//! Functions on mappings.

use std::rc::Rc;

use super::super::text::Origin;
use super::super::value::{Map, Value};
use super::{Arguments, Outcome, map_of, text_of};

pub(super) fn new(arguments: &Arguments<'_>) -> Outcome {
    let map = Map::default();
    let mut values = arguments.all().chunks(2);
    for pair in &mut values {
        let [key, rest @ ..] = pair else { continue };
        let value = rest.first().cloned().unwrap_or_else(|| "".into());
        map.insert(text_of(key).text, key.origin, value);
    }
    Ok(map.into())
}

pub(super) fn get(arguments: &Arguments<'_>) -> Outcome {
    let map = arguments.map(0)?;
    let found = map.get(arguments.str(1)?).unwrap_or_else(|| "".into());
    Ok(keep(found, arguments.value(0)))
}

/// What comes out of a mapping that is not known is not known.
fn keep(found: Value, from: &Value) -> Value {
    match from.shape() {
        Some(shape) => found.unknown(shape),
        None => found,
    }
}

pub(super) fn set(arguments: &Arguments<'_>) -> Outcome {
    let map = arguments.map(0)?;
    let value = arguments.value(2);
    if value.as_map().is_some_and(|own| Rc::ptr_eq(own, &map)) {
        // It would be in itself; nothing could print that.
        return Err("a mapping cannot hold itself".to_owned());
    }
    map.insert(arguments.str(1)?, arguments.value(1).origin, value.clone());
    Ok(arguments.value(0).clone())
}

pub(super) fn unset(arguments: &Arguments<'_>) -> Outcome {
    arguments.map(0)?.remove(arguments.str(1)?);
    Ok(arguments.value(0).clone())
}

pub(super) fn has_key(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.map(0)?.contains(arguments.str(1)?).into())
}

pub(super) fn pluck(arguments: &Arguments<'_>) -> Outcome {
    let key = arguments.str(0)?;
    let mut found = Vec::new();
    for value in arguments.from(1) {
        found.extend(map_of(value)?.get(key).map(|found| keep(found, value)));
    }
    Ok(found.into())
}

pub(super) fn keys(arguments: &Arguments<'_>) -> Outcome {
    let mut found = Vec::new();
    for value in arguments.all() {
        for (key, entry) in map_of(value)?.snapshot() {
            found.push(keep(Value::from(key).at(entry.key), value));
        }
    }
    Ok(Value::texts(found))
}

pub(super) fn values(arguments: &Arguments<'_>) -> Outcome {
    let entries = arguments.map(0)?.snapshot().into_iter();
    Ok(entries.map(|(_, entry)| keep(entry.value, arguments.value(0))).collect::<Vec<_>>().into())
}

pub(super) fn pick(arguments: &Arguments<'_>) -> Outcome {
    let map = arguments.map(0)?;
    let picked = Map::default();
    for index in 1..arguments.len() {
        let key = arguments.str(index)?;
        if let Some(entry) = map.entry(key) {
            picked.insert(key, entry.key, entry.value);
        }
    }
    Ok(keep(picked.into(), arguments.value(0)))
}

pub(super) fn omit(arguments: &Arguments<'_>) -> Outcome {
    let rest = arguments.map(0)?.shallow_any();
    for index in 1..arguments.len() {
        rest.remove(arguments.str(index)?);
    }
    Ok(keep(rest.into(), arguments.value(0)))
}

pub(super) fn deep_copy(arguments: &Arguments<'_>) -> Outcome {
    if arguments.value(0).is_nil() {
        return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
    }
    Ok(arguments.value(0).deep_copy())
}

pub(super) fn dig(arguments: &Arguments<'_>) -> Outcome {
    let count = arguments.len();
    let mut map = arguments.map(count - 1)?;
    let default = arguments.value(count - 2);
    for index in 0..count - 2 {
        let key = match arguments.value(index).as_str() {
            Some(key) => key,
            None => {
                let name = arguments.value(index).type_name();
                return Err(format!("interface conversion: interface {{}} is {name}, not string"));
            }
        };
        let Some(found) = map.get(key) else { return Ok(default.clone()) };
        if index == count - 3 {
            return Ok(found);
        }
        map = match found.as_map() {
            Some(map) => Rc::clone(map),
            None => {
                let name = if found.is_nil() { "nil" } else { found.type_name() };
                return Err(format!("interface conversion: interface {{}} is {name}, not map[string]interface {{}}"));
            }
        };
    }
    Ok(default.clone())
}

/// The parts of a URL.
pub(super) fn url_parse(arguments: &Arguments<'_>) -> Outcome {
    let text = arguments.str(0)?;
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        Some(("", _)) => return Err(format!("unable to parse url: parse {text:?}: missing protocol scheme")),
        _ => (String::new(), rest),
    };
    let (mut host, mut path, mut opaque, mut user) = ("", rest, "", "");
    if let Some(authority) = rest.strip_prefix("//") {
        let end = authority.find('/').unwrap_or(authority.len());
        (host, path) = authority.split_at(end);
        if let Some((own, rest)) = host.rsplit_once('@') {
            (user, host) = (own, rest);
        }
    } else if !scheme.is_empty() && !rest.starts_with('/') {
        (opaque, path) = (rest, "");
    }
    let hostname = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    };
    let map = Map::default();
    let parts = [("fragment", fragment), ("host", host), ("hostname", hostname), ("opaque", opaque)];
    for (key, value) in parts.into_iter().chain([("path", path), ("query", query), ("userinfo", user)]) {
        map.set(key, value);
    }
    map.set("scheme", scheme);
    Ok(map.into())
}

/// A URL of its parts.
pub(super) fn url_join(arguments: &Arguments<'_>) -> Outcome {
    let map = arguments.map(0)?;
    let part = |key: &str| match map.get(key) {
        None => Ok(String::new()),
        Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| {
            format!("unable to parse {key} key, must be of type string, but {} found", value.kind_name())
        }),
    };
    let (scheme, host, path, opaque) = (part("scheme")?, part("host")?, part("path")?, part("opaque")?);
    let (query, fragment, user) = (part("query")?, part("fragment")?, part("userinfo")?);
    let mut url = String::new();
    if !scheme.is_empty() {
        url += &format!("{scheme}:");
    }
    if opaque.is_empty() {
        if !scheme.is_empty() || !host.is_empty() || !user.is_empty() {
            if !host.is_empty() || !path.is_empty() || !user.is_empty() {
                url += "//";
            }
            if !user.is_empty() {
                url += &format!("{user}@");
            }
            url += &host;
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        url += &path;
    } else {
        url += &opaque;
    }
    if !query.is_empty() {
        url += &format!("?{query}");
    }
    if !fragment.is_empty() {
        url += &format!("#{fragment}");
    }
    Ok(url.into())
}

/// A mapping for what would be found in a cluster: nothing.
pub(super) fn lookup(arguments: &Arguments<'_>) -> Outcome {
    for index in 0..4 {
        arguments.str(index)?;
    }
    Ok(Value::from(Map::default()).at(Origin::NONE))
}
