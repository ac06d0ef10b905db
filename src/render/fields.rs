//! Fields, methods, and what can be ranged over.

use std::rc::Rc;

use super::functions::list_of;
use super::object::{Object, map_method};
use super::value::{Element, Kind, Value};

/// A field of a value, or what a method of it returns.
pub(super) fn field(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let found = match &value.kind {
        Kind::Nil => return Ok(Value::NIL),
        Kind::Map(map) => match map.get(name) {
            Some(found) if arguments.is_empty() => Ok(null_if_nil(found)),
            None if arguments.is_empty() => Ok(match map_method(map, name) {
                Some(found) => found,
                None if map.element == Element::Text => "".into(),
                None => Kind::Null.into(),
            }),
            _ => Err(format!("{name} is not a method but has arguments")),
        },
        Kind::Object(object) => match object.field(name, arguments) {
            Some(found) => found,
            None => Err(format!("can't evaluate field {name} in type {}", value.type_name())),
        },
        _ if value.shape().is_some() && value.as_str().is_none_or(|_| is_unknown(value)) => {
            return Ok(Value::not_known(value.origin));
        }
        Kind::Null => Err(format!("nil pointer evaluating interface {{}}.{name}")),
        _ => Err(format!("can't evaluate field {name} in type {}", value.type_name())),
    }?;
    Ok(match value.shape() {
        Some(shape) => found.unknown(shape),
        None => found,
    })
}

fn is_unknown(value: &Value) -> bool {
    matches!(value.certainty, super::value::Certainty::Unknown(_))
}

fn null_if_nil(mut value: Value) -> Value {
    if matches!(value.kind, Kind::Nil) {
        value.kind = Kind::Null;
    }
    value
}

/// What a value is ranged over: indices or keys, and items.
pub(super) fn items(value: &Value) -> Result<Vec<(Value, Value)>, String> {
    Ok(match &value.kind {
        Kind::Nil | Kind::Null => Vec::new(),
        Kind::Map(map) => {
            let entries = map.snapshot().into_iter();
            entries.map(|(key, entry)| (Value::from(key).at(entry.key), null_if_nil(entry.value))).collect()
        }
        Kind::Object(Object::Files(files)) => {
            files.entries().into_iter().map(|(name, data)| (Value::from(name), data)).collect()
        }
        Kind::Int(count, kind) => {
            const MOST: i64 = 1_000_000;
            if *count > MOST {
                return Err(super::limits::too_long());
            }
            (0..(*count).max(0)).map(|index| (Value::NIL, Kind::Int(index, *kind).into())).collect()
        }
        _ => match list_of(value) {
            Some(list) => {
                let items = Rc::clone(&list);
                let numbered = items.items.iter().enumerate();
                numbered
                    .map(|(index, item)| {
                        (Value::int(i64::try_from(index).unwrap_or(i64::MAX)), null_if_nil(item.clone()))
                    })
                    .collect()
            }
            None if value.shape().is_some() => Vec::new(),
            None => return Err(format!("range can't iterate over {}", display(value))),
        },
    })
}

fn display(value: &Value) -> String {
    super::functions::text_of(value).text
}
