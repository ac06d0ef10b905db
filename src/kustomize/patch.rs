//! Patches: strategic merges and JSON patches (RFC 6902), as far as RBAC objects need them.

use serde_json::{Map, Value};

/// Merges a strategic merge patch into an object; returns whether the object is left. RBAC objects have no lists with merge
/// keys, so that lists are replaced.
///
/// # Errors
/// When the patch has a directive that is not known here.
pub(super) fn merge(object: &mut Value, patch: &Value) -> Result<bool, String> {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return Ok(true);
    };
    let directive = patch.get("$patch").and_then(Value::as_str);
    match directive {
        Some("delete") => return Ok(false),
        Some("replace") | Some("merge") | None => {}
        Some(other) => return Err(format!("`$patch: {other}` cannot be computed")),
    }
    if directive == Some("replace") || !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Value::Object(target) = object else { return Ok(true) };
    for (key, value) in patch.iter().filter(|(key, _)| *key != "$patch") {
        if key.starts_with('$') {
            return Err(format!("`{key}` in a patch cannot be computed"));
        }
        let is_left = !value.is_null() && merge(target.entry(key.clone()).or_insert(Value::Null), value)?;
        if !is_left {
            target.remove(key);
        }
    }
    Ok(true)
}

/// Applies the operations of a JSON patch.
///
/// # Errors
/// When an operation does not apply to the object.
pub(super) fn apply(object: &mut Value, operations: &Value) -> Result<(), String> {
    for operation in operations.as_array().into_iter().flatten() {
        let text = |key: &str| operation.get(key).and_then(Value::as_str);
        let path = text("path").ok_or("an operation of a JSON patch has no path")?;
        let does_not_apply = || format!("the JSON patch for {path:?} does not apply");
        let value = || operation.get("value").cloned().unwrap_or(Value::Null);
        let taken = |object: &mut Value, remove: bool| {
            let from = text("from")?;
            if remove { take(object, from) } else { object.pointer(from).cloned() }
        };
        let done = match text("op") {
            Some("add") => add(object, path, value()),
            Some("remove") => take(object, path).map(drop),
            Some("replace") => at(object, path).map(|slot| *slot = value()),
            Some("move") => taken(object, true).and_then(|value| add(object, path, value)),
            Some("copy") => taken(object, false).and_then(|value| add(object, path, value)),
            Some("test") => object.pointer(path).filter(|found| **found == value()).map(drop),
            _ => None,
        };
        done.ok_or_else(does_not_apply)?;
    }
    Ok(())
}

/// The parent of what a path names, and the name there.
fn parent<'v>(object: &'v mut Value, path: &str) -> Option<(&'v mut Value, String)> {
    let (parent, name) = path.rsplit_once('/')?;
    Some((object.pointer_mut(parent)?, name.replace("~1", "/").replace("~0", "~")))
}

/// The index that a name means in a list; one from the end if it is negative.
fn index(name: &str, length: usize) -> Option<usize> {
    match name.strip_prefix('-') {
        Some(back) => length.checked_sub(back.parse().ok()?),
        None => name.parse().ok(),
    }
}

fn at<'v>(object: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    if path.is_empty() {
        return Some(object);
    }
    match parent(object, path)? {
        (Value::Object(map), name) => map.get_mut(&name),
        (Value::Array(items), name) => index(&name, items.len()).and_then(|at| items.get_mut(at)),
        _ => None,
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *object = value;
        return Some(());
    }
    match parent(object, path)? {
        (Value::Object(map), name) => {
            map.insert(name, value);
            Some(())
        }
        (Value::Array(items), name) => {
            let at = if name == "-" { items.len() } else { index(&name, items.len() + 1)? };
            (at <= items.len()).then(|| items.insert(at, value))
        }
        _ => None,
    }
}

fn take(object: &mut Value, path: &str) -> Option<Value> {
    match parent(object, path)? {
        (Value::Object(map), name) => map.remove(&name),
        (Value::Array(items), name) => {
            index(&name, items.len()).filter(|at| *at < items.len()).map(|at| items.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merges() {
        let merged = |patch: Value| {
            let mut object = json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "rules": [1, 2]});
            merge(&mut object, &patch).map(|stays| if stays { object } else { Value::Null })
        };
        assert_eq!(
            merged(json!({"metadata": {"labels": {"x": null, "y": "2"}}, "rules": [3]})),
            Ok(json!({"metadata": {"name": "a", "labels": {"y": "2"}}, "rules": [3]}))
        );
        assert_eq!(merged(json!({"$patch": "delete"})), Ok(Value::Null));
        assert_eq!(
            merged(json!({"metadata": {"labels": {"$patch": "replace", "z": "3"}}})).unwrap()["metadata"]["labels"],
            json!({"z": "3"})
        );
        assert!(merged(json!({"$retainKeys": ["a"]})).is_err());
    }

    #[test]
    fn operations() {
        let applied = |operations: Value| {
            let mut object = json!({"m": {"a/b": "1"}, "l": [1, 2]});
            apply(&mut object, &operations).map(|()| object)
        };
        for (operation, expected) in [
            (json!({"op": "add", "path": "/l/-", "value": 3}), json!({"m": {"a/b": "1"}, "l": [1, 2, 3]})),
            (json!({"op": "add", "path": "/l/0", "value": 3}), json!({"m": {"a/b": "1"}, "l": [3, 1, 2]})),
            (json!({"op": "remove", "path": "/m/a~1b"}), json!({"m": {}, "l": [1, 2]})),
            (json!({"op": "replace", "path": "/l/-1", "value": 4}), json!({"m": {"a/b": "1"}, "l": [1, 4]})),
            (json!({"op": "move", "from": "/l", "path": "/m/l"}), json!({"m": {"a/b": "1", "l": [1, 2]}})),
            (json!({"op": "copy", "from": "/l/0", "path": "/m/c"}), json!({"m": {"a/b": "1", "c": 1}, "l": [1, 2]})),
            (json!({"op": "test", "path": "/l/1", "value": 2}), json!({"m": {"a/b": "1"}, "l": [1, 2]})),
        ] {
            assert_eq!(applied(json!([operation])), Ok(expected), "{operation}");
        }
        for wrong in [
            json!({"op": "remove", "path": "/none"}),
            json!({"op": "remove", "path": "/l/2"}),
            json!({"op": "replace", "path": "/none", "value": 1}),
            json!({"op": "add", "path": "/none/x", "value": 1}),
            json!({"op": "add", "path": "/l/4", "value": 1}),
            json!({"op": "test", "path": "/l/1", "value": 1}),
            json!({"op": "other", "path": "/l"}),
            json!({"op": "add"}),
        ] {
            assert!(applied(json!([wrong])).is_err(), "{wrong}");
        }
    }
}
