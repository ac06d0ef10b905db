//! Functions on lists.

use std::rc::Rc;

use super::super::object::Object;
use super::super::value::{Element, IntType, Kind, List, Value};
use super::types::is_empty;
use super::{Arguments, Outcome, list_of};

fn list(items: Vec<Value>) -> Outcome {
    Ok(items.into())
}

pub(super) fn new(arguments: &Arguments<'_>) -> Outcome {
    list(arguments.all().to_vec())
}

/// A list keeps what is known of it as a whole.
fn like(result: Value, original: &Value) -> Value {
    match original.shape().filter(|_| original.as_str().is_none()) {
        Some(shape) => result.unknown(shape),
        None => result,
    }
}

pub(super) fn append(arguments: &Arguments<'_>) -> Outcome {
    let mut items = arguments.list(0, "push")?.items.clone();
    items.push(arguments.value(1).clone());
    Ok(like(items.into(), arguments.value(0)))
}

pub(super) fn prepend(arguments: &Arguments<'_>) -> Outcome {
    let mut items = vec![arguments.value(1).clone()];
    items.extend(arguments.list(0, "prepend")?.items.iter().cloned());
    Ok(like(items.into(), arguments.value(0)))
}

pub(super) fn first(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "find first")?;
    Ok(like(items.items.first().cloned().unwrap_or(Value::NIL), arguments.value(0)))
}

pub(super) fn last(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "find last")?;
    Ok(like(items.items.last().cloned().unwrap_or(Value::NIL), arguments.value(0)))
}

pub(super) fn rest(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "find rest")?;
    let result = match items.items.split_first() {
        Some((_, rest)) => rest.to_vec().into(),
        None => Vec::new().into(),
    };
    Ok(like(result, arguments.value(0)))
}

pub(super) fn initial(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "find initial")?;
    let result = match items.items.split_last() {
        Some((_, rest)) => rest.to_vec().into(),
        None => Vec::new().into(),
    };
    Ok(like(result, arguments.value(0)))
}

pub(super) fn reverse(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "find reverse")?;
    Ok(like(items.items.iter().rev().cloned().collect::<Vec<_>>().into(), arguments.value(0)))
}

pub(super) fn compact(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "compact")?;
    let kept: Vec<Value> = items.items.iter().filter(|item| !is_empty(item)).cloned().collect();
    Ok(like(kept.into(), arguments.value(0)))
}

pub(super) fn uniq(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "find uniq")?;
    let mut kept: Vec<Value> = Vec::new();
    for item in &items.items {
        if !kept.iter().any(|known| known.equals(item)) {
            kept.push(item.clone());
        }
    }
    Ok(like(kept.into(), arguments.value(0)))
}

pub(super) fn without(arguments: &Arguments<'_>) -> Outcome {
    let items = arguments.list(0, "find without")?;
    let omitted = arguments.from(1);
    let kept = items.items.iter().filter(|item| !omitted.iter().any(|known| known.equals(item)));
    Ok(like(kept.cloned().collect::<Vec<_>>().into(), arguments.value(0)))
}

pub(super) fn has(arguments: &Arguments<'_>) -> Outcome {
    if arguments.value(1).is_nil() {
        return Ok(false.into());
    }
    let items = arguments.list(1, "find has")?;
    let found = Value::from(items.items.iter().any(|item| item.equals(arguments.value(0))));
    let unknown = items.items.iter().filter_map(Value::shape).max();
    Ok(match unknown {
        Some(shape) => found.unknown(shape),
        None => found,
    })
}

/// Bounds of a slice.
fn bounds(arguments: &Arguments<'_>, length: usize) -> Result<(usize, usize), String> {
    let number = |index: usize, default: usize| {
        if index >= arguments.len() {
            return Ok(default);
        }
        let number = super::numbers::to_int(arguments.value(index));
        usize::try_from(number).map_err(|_| "slice bounds out of range".to_owned())
    };
    let (start, end) = (number(1, 0)?, number(2, length)?);
    if start > end || end > length {
        return Err(format!("slice bounds out of range [{start}:{end}] with length {length}"));
    }
    Ok((start, end))
}

/// `slice` of Sprig, which Helm has instead of Go's.
pub(super) fn slice(arguments: &Arguments<'_>) -> Outcome {
    let items = match list_of(arguments.value(0)) {
        Some(items) => items,
        None => {
            return Err(format!("list should be type of slice or array but {}", arguments.value(0).kind_name()));
        }
    };
    if items.items.is_empty() {
        return Ok(Value::NIL);
    }
    let (start, end) = bounds(arguments, items.items.len())?;
    let kept = List { items: items.items[start..end].to_vec(), element: items.element };
    Ok(like(Kind::List(Rc::new(kept)).into(), arguments.value(0)))
}

pub(super) fn concat(arguments: &Arguments<'_>) -> Outcome {
    let mut result = Vec::new();
    let mut unknown = None;
    for (index, value) in arguments.all().iter().enumerate() {
        let items = arguments.list(index, "concat as list")?;
        arguments.charge(result.len() + items.items.len())?;
        result.extend(items.items.iter().cloned());
        unknown = unknown.max(value.shape());
    }
    let result = Value::from(result);
    Ok(match unknown {
        Some(shape) => result.unknown(shape),
        None => result,
    })
}

pub(super) fn chunk(arguments: &Arguments<'_>) -> Outcome {
    let size = arguments.count(0)?.max(1);
    let items = arguments.list(1, "chunk")?;
    list(items.items.chunks(size).map(|chunk| chunk.to_vec().into()).collect())
}

pub(super) fn sort_alpha(arguments: &Arguments<'_>) -> Outcome {
    let value = arguments.value(0);
    if list_of(value).is_none() {
        return Ok(Value::texts([super::text_of(value).into()]));
    }
    let mut texts: Vec<Value> = super::strings::texts_of(value).into_iter().map(Value::from).collect();
    texts.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Ok(like(Value::texts(texts), value))
}

/// `index` of Go's own.
pub(super) fn index(arguments: &Arguments<'_>) -> Outcome {
    let mut item = arguments.value(0).clone();
    if item.is_nil() {
        return Err("index of untyped nil".to_owned());
    }
    for index in arguments.from(1) {
        let shape = item.shape().filter(|_| item.as_str().is_none()).max(index.shape());
        item = one_index(&item, index)?;
        if let Some(shape) = shape {
            item = item.unknown(shape);
        }
    }
    Ok(item)
}

fn one_index(item: &Value, index: &Value) -> Outcome {
    let key = || match &index.kind {
        Kind::Text(text) => Ok(text.to_smol()),
        Kind::Nil | Kind::Null => Err("value is nil; should be of type string".to_owned()),
        _ => Err(format!("value has type {}; should be string", index.type_name())),
    };
    let at = |length: usize| {
        let Kind::Int(number, _) = index.kind else {
            return Err(match index.kind {
                Kind::Nil | Kind::Null => "cannot index slice/array with nil".to_owned(),
                _ => format!("cannot index slice/array with type {}", index.type_name()),
            });
        };
        match usize::try_from(number) {
            Ok(number) if number < length => Ok(number),
            _ => Err(format!("index out of range: {number}")),
        }
    };
    match &item.kind {
        Kind::Map(map) => Ok(match map.get(&key()?) {
            Some(value) => value,
            None if map.element == Element::Text => "".into(),
            None => Kind::Null.into(),
        }),
        Kind::Object(Object::Files(files)) => {
            Ok(files.bytes(&key()?).unwrap_or(Kind::Bytes(std::sync::Arc::from([])).into()))
        }
        Kind::Text(text) => {
            let bytes = text.as_str().as_bytes();
            Ok(Kind::Int(i64::from(bytes[at(bytes.len())?]), IntType::Byte).into())
        }
        Kind::Nil | Kind::Null => Err("index of nil pointer".to_owned()),
        _ => match list_of(item) {
            Some(list) => Ok(list.items[at(list.items.len())?].clone()),
            None => Err(format!("can't index item of type {}", item.type_name())),
        },
    }
}
