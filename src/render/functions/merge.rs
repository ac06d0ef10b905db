//! `merge` and `mergeOverwrite`, as `mergo` merges: into the first mapping, where it is.

use std::rc::Rc;

use super::super::value::{Kind, Map, Value};
use super::{Arguments, Outcome, map_of};

/// How deep mappings are merged.
const MAX_DEPTH: usize = 200;

fn merged(arguments: &Arguments<'_>, overwrite: bool) -> Outcome {
    let target = arguments.map(0)?;
    let mut unknown = arguments.value(0).shape();
    for source in arguments.from(1) {
        unknown = unknown.max(source.shape());
        merge_into(&target, &map_of(source)?, overwrite, 0);
    }
    let result = match arguments.value(0).kind {
        Kind::Map(_) => arguments.value(0).clone(),
        _ => Value::from(target),
    };
    Ok(match unknown {
        Some(shape) => result.unknown(shape),
        None => result,
    })
}

fn is_empty(value: &Value) -> bool {
    !value.truth()
}

fn merge_into(target: &Rc<Map>, source: &Rc<Map>, overwrite: bool, depth: usize) {
    if depth > MAX_DEPTH || Rc::ptr_eq(target, source) {
        return;
    }
    for (key, entry) in source.snapshot() {
        let value = entry.value;
        let known = target.get(&key);
        match &value.kind {
            Kind::Nil | Kind::Null => {
                if overwrite {
                    target.insert(key, entry.key, value);
                }
                continue;
            }
            Kind::Map(own) => {
                if let Some(Kind::Map(known)) = known.as_ref().map(|known| &known.kind) {
                    merge_into(known, own, overwrite, depth + 1);
                    if !known.is_empty() {
                        continue;
                    }
                }
            }
            Kind::List(_) if known.as_ref().is_some_and(|known| !is_empty(known)) => {
                if overwrite {
                    target.insert(key, entry.key, value);
                }
                continue;
            }
            _ => {}
        }
        if overwrite || known.as_ref().is_none_or(is_empty) {
            target.insert(key, entry.key, value);
        }
    }
}

pub(super) fn merge(arguments: &Arguments<'_>) -> Outcome {
    merged(arguments, false)
}

pub(super) fn merge_overwrite(arguments: &Arguments<'_>) -> Outcome {
    merged(arguments, true)
}

#[cfg(test)]
mod tests {
    use super::super::super::text::Origin;
    use super::*;

    fn map(entries: &[(&str, Value)]) -> Value {
        let map = Map::default();
        for (key, value) in entries {
            map.set(*key, value.clone());
        }
        map.into()
    }

    #[test]
    fn the_first_mapping_wins_unless_its_value_is_empty() {
        let first = map(&[("a", 1.0.into()), ("b", "".into()), ("c", map(&[("x", 1.0.into())]))]);
        let second = map(&[
            ("a", 2.0.into()),
            ("b", "set".into()),
            ("c", map(&[("x", 2.0.into()), ("y", 2.0.into())])),
            ("d", Value::NIL),
        ]);
        let result = merge(&Arguments::new(&[first.clone(), second.clone()], Origin::NONE, 1 << 20)).unwrap();
        let expected =
            map(&[("a", 1.0.into()), ("b", "set".into()), ("c", map(&[("x", 1.0.into()), ("y", 2.0.into())]))]);
        assert!(result.equals(&expected) && first.equals(&expected));
        merge_overwrite(&Arguments::new(&[first.clone(), second.clone()], Origin::NONE, 1 << 20)).unwrap();
        assert!(first.equals(&second));
    }
}
