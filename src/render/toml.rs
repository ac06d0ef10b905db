//! TOML as `BurntSushi/toml` writes and reads it.

use super::print::float_g;
use super::text::Origin;
use super::value::{Kind, Map, Value};

const MAX_DEPTH: usize = 100;

/// Writes a mapping.
///
/// # Errors
/// When the value is none, or holds something that TOML has no form for.
pub(super) fn encode(value: &Value) -> Result<String, String> {
    let Kind::Map(map) = &value.kind else {
        return Err("toml: top-level values must be Go maps or structs".to_owned());
    };
    let mut into = String::new();
    table(map, &mut Vec::new(), &mut into)?;
    Ok(into)
}

fn is_table(value: &Value) -> bool {
    matches!(value.kind, Kind::Map(_))
}

fn is_array_of_tables(value: &Value) -> bool {
    value.as_list().is_some_and(|list| !list.items.is_empty() && list.items.iter().all(is_table))
}

fn table(map: &Map, path: &mut Vec<String>, into: &mut String) -> Result<(), String> {
    if path.len() > MAX_DEPTH {
        return Err("toml: nested too deeply".to_owned());
    }
    let entries = map.snapshot();
    let (direct, sub): (Vec<_>, Vec<_>) =
        entries.iter().partition(|(_, entry)| !is_table(&entry.value) && !is_array_of_tables(&entry.value));
    let pad = "  ".repeat(path.len().saturating_sub(1));
    let own_pad = if path.is_empty() { String::new() } else { format!("{pad}  ") };
    for (key, entry) in direct {
        if entry.value.is_nil() {
            continue;
        }
        into.push_str(&own_pad);
        into.push_str(&quoted_key(key));
        into.push_str(" = ");
        inline(&entry.value, into, 0)?;
        into.push('\n');
    }
    for (key, entry) in sub {
        path.push(quoted_key(key));
        let pad = "  ".repeat(path.len() - 1);
        let header = path.join(".");
        if let Kind::Map(map) = &entry.value.kind {
            if path.len() == 1 && !into.is_empty() {
                into.push('\n');
            }
            into.push_str(&format!("{pad}[{header}]\n"));
            table(map, path, into)?;
        } else if let Some(list) = entry.value.as_list() {
            for item in &list.items {
                if let Kind::Map(map) = &item.kind {
                    into.push_str(&format!("\n{pad}[[{header}]]\n"));
                    table(map, path, into)?;
                }
            }
        }
        path.pop();
    }
    Ok(())
}

fn quoted_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut result = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => result.push_str("\\\""),
            '\\' => result.push_str("\\\\"),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\u{8}' => result.push_str("\\b"),
            '\u{c}' => result.push_str("\\f"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => result.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => result.push(c),
        }
    }
    result.push('"');
    result
}

fn inline(value: &Value, into: &mut String, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("toml: nested too deeply".to_owned());
    }
    match &value.kind {
        Kind::Bool(flag) => into.push_str(if *flag { "true" } else { "false" }),
        Kind::Int(number, _) => into.push_str(&number.to_string()),
        Kind::Float(number) => {
            let text = float_g(*number);
            into.push_str(&text);
            if !text.contains(['.', 'e', 'n', 'I']) {
                into.push_str(".0");
            }
        }
        Kind::Text(text) => into.push_str(&quoted(text.as_str())),
        Kind::List(list) => {
            into.push('[');
            for (index, item) in list.items.iter().enumerate() {
                if index > 0 {
                    into.push_str(", ");
                }
                inline(item, into, depth + 1)?;
            }
            into.push(']');
        }
        Kind::Map(map) => {
            into.push('{');
            for (index, (key, entry)) in map.snapshot().iter().enumerate() {
                if index > 0 {
                    into.push_str(", ");
                }
                into.push_str(&quoted_key(key));
                into.push_str(" = ");
                inline(&entry.value, into, depth + 1)?;
            }
            into.push('}');
        }
        _ => return Err("toml: cannot encode a nil value".to_owned()),
    }
    Ok(())
}

/// Reads TOML; all of it has one place.
///
/// # Errors
/// When it is none.
pub(super) fn decode(text: &str, origin: Origin) -> Result<Value, String> {
    let table: ::toml::Table = text.parse().map_err(|error: ::toml::de::Error| format!("toml: {}", error.message()))?;
    Ok(convert(&::toml::Value::Table(table), origin))
}

fn convert(value: &::toml::Value, origin: Origin) -> Value {
    let value = match value {
        ::toml::Value::String(text) => text.as_str().into(),
        ::toml::Value::Integer(number) => Value::int64(*number),
        ::toml::Value::Float(number) => (*number).into(),
        ::toml::Value::Boolean(flag) => (*flag).into(),
        ::toml::Value::Datetime(date) => date.to_string().into(),
        ::toml::Value::Array(items) => items.iter().map(|item| convert(item, origin)).collect::<Vec<_>>().into(),
        ::toml::Value::Table(entries) => {
            let map = Map::default();
            for (key, value) in entries {
                map.insert(key.as_str(), origin, convert(value, origin));
            }
            map.into()
        }
    };
    value.at(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_after_values() {
        let inner = Map::default();
        inner.set("b", "x");
        let map = Map::default();
        map.set("a", inner);
        map.set("z", vec![Value::from(1.0), Value::from(2.5)]);
        assert_eq!(encode(&map.into()).unwrap(), "z = [1.0, 2.5]\n\n[a]\n  b = \"x\"\n");
        assert!(encode(&"a".into()).is_err());
    }
}
