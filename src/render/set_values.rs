//! `--set a.b[0]=c,d=e` and its variants, in Helm's grammar.

use std::rc::Rc;

use super::json;
use super::text::{Marked, Origin};
use super::value::{Kind, Map, Value};

/// How far a list may be extended by an index.
const MAX_INDEX: usize = 65536;
/// How deep names may be nested.
const MAX_NESTING: usize = 30;

/// How values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// `--set`: booleans, whole numbers and null are what they look like.
    Typed,
    /// `--set-string`: everything is text.
    Text,
    /// `--set-json`
    Json,
}

/// Sets what an argument says in some values.
///
/// # Errors
/// When Helm would refuse the argument.
pub(super) fn set(values: &Rc<Map>, argument: &str, kind: SetKind) -> Result<(), String> {
    let trimmed = argument.trim();
    if kind == SetKind::Json && trimmed.starts_with('{') {
        let parsed = json::decode(&plain(trimmed)).map_err(|error| format!("{argument:?}: {error}"))?;
        if let Kind::Map(map) = parsed.kind {
            let merged = super::yaml_read::merge_maps(values, &map);
            for (key, entry) in merged.snapshot() {
                values.insert(key, entry.key, entry.value);
            }
        }
        return Ok(());
    }
    let mut parser = Parser { rest: argument, kind };
    while !parser.rest.is_empty() {
        parser.key(values, 0).map_err(|error| format!("{argument:?}: {error}"))?;
    }
    Ok(())
}

fn plain(text: &str) -> Marked {
    Value::from(text).marked()
}

struct Parser<'s> {
    rest: &'s str,
    kind: SetKind,
}

impl Parser<'_> {
    /// Takes characters up to one of those given; a backslash takes the next one as it is.
    fn until(&mut self, stops: &str) -> (String, Option<char>) {
        let mut taken = String::new();
        let mut chars = self.rest.chars();
        while let Some(c) = chars.next() {
            if stops.contains(c) {
                self.rest = chars.as_str();
                return (taken, Some(c));
            }
            match c {
                '\\' => taken.extend(chars.next()),
                c => taken.push(c),
            }
        }
        self.rest = "";
        (taken, None)
    }

    fn key(&mut self, values: &Rc<Map>, depth: usize) -> Result<(), String> {
        let (key, stop) = self.until("=[,.");
        match stop {
            None => Err(format!("key {key:?} has no value")),
            Some(',') => Err(format!("key {key:?} has no value (cannot end with ,)")),
            Some('=') => {
                let value = self.value()?;
                insert(values, &key, value);
                Ok(())
            }
            Some('[') => {
                let index = self.index()?;
                let known = values.get(&key).unwrap_or(Value::NIL);
                let list = self.item(&known, index, depth)?;
                insert(values, &key, list);
                Ok(())
            }
            Some(_) => {
                if depth + 1 > MAX_NESTING {
                    return Err(format!("names are nested in more than {MAX_NESTING} levels"));
                }
                let inner = match values.get(&key).map(|value| value.kind) {
                    Some(Kind::Map(inner)) => inner,
                    None => Rc::new(Map::default()),
                    Some(_) => return Err(format!("{key:?} is no mapping")),
                };
                self.key(&inner, depth + 1)?;
                insert(values, &key, inner.into());
                Ok(())
            }
        }
    }

    fn index(&mut self) -> Result<usize, String> {
        let (text, stop) = self.until("]");
        match (text.parse(), stop) {
            (Ok(index), Some(_)) if index <= MAX_INDEX => Ok(index),
            _ => Err(format!("{text:?} is no index of a list")),
        }
    }

    fn item(&mut self, known: &Value, index: usize, depth: usize) -> Result<Value, String> {
        let mut items = known.as_list().map(|list| list.items.clone()).unwrap_or_default();
        if items.len() <= index {
            items.resize(index + 1, Value::NIL);
        }
        let (between, stop) = self.until("[.=");
        if !between.is_empty() {
            return Err(format!("unexpected data at end of array index: {between:?}"));
        }
        items[index] = match stop {
            Some('=') => self.value()?,
            Some('[') => {
                let next = self.index()?;
                if depth > MAX_NESTING {
                    return Err(format!("names are nested in more than {MAX_NESTING} levels"));
                }
                self.item(&items[index].clone(), next, depth + 1)?
            }
            Some(_) => {
                let inner = match &items[index].kind {
                    Kind::Map(inner) => Rc::clone(inner),
                    _ => Rc::new(Map::default()),
                };
                self.key(&inner, depth)?;
                inner.into()
            }
            None => return Err("nothing follows the index of a list".to_owned()),
        };
        Ok(items.into())
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.kind == SetKind::Json {
            return self.json();
        }
        if let Some(rest) = self.rest.strip_prefix('{') {
            self.rest = rest;
            let mut items = Vec::new();
            loop {
                match self.until(",}") {
                    (_, None) => return Err("list must terminate with '}'".to_owned()),
                    (text, Some(stop)) => {
                        items.push(self.typed(&text));
                        if stop == '}' {
                            break;
                        }
                    }
                }
            }
            self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
            return Ok(items.into());
        }
        let (text, _) = self.until(",");
        Ok(self.typed(&text))
    }

    fn json(&mut self) -> Result<Value, String> {
        let trimmed = self.rest.trim_start();
        if trimmed.is_empty() || trimmed.starts_with(',') {
            self.rest = trimmed.strip_prefix(',').unwrap_or(trimmed);
            return Ok(Value::NIL);
        }
        let mut stream = serde_json::Deserializer::from_str(trimmed).into_iter::<serde_json::Value>();
        match stream.next() {
            Some(Ok(parsed)) => {
                let rest = trimmed[stream.byte_offset()..].trim_start();
                self.rest = rest.strip_prefix(',').unwrap_or(rest);
                json::decode(&plain(&parsed.to_string()))
            }
            _ => Err("it is no JSON".to_owned()),
        }
    }

    fn typed(&self, text: &str) -> Value {
        if self.kind == SetKind::Text {
            return text.into();
        }
        match text.to_ascii_lowercase().as_str() {
            "true" => true.into(),
            "false" => false.into(),
            "null" => Value::NIL,
            "0" => Value::int64(0),
            _ if !text.starts_with('0') => match text.parse() {
                Ok(number) => Value::int64(number),
                Err(_) => text.into(),
            },
            _ => text.into(),
        }
    }
}

fn insert(values: &Rc<Map>, key: &str, value: Value) {
    if !key.is_empty() {
        values.insert(key, Origin::NONE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::json::{Layout, encode};

    fn after(arguments: &[(&str, SetKind)]) -> Result<String, String> {
        let values = Rc::new(Map::default());
        for (argument, kind) in arguments {
            set(&values, argument, *kind)?;
        }
        Ok(encode(&values.into(), Layout { escapes_html: false, pretty: false }).unwrap().text)
    }

    #[test]
    fn arguments_are_read_as_helm_reads_them() {
        use SetKind::*;
        for (argument, kind, expected) in [
            ("a.b=1,c=x", Typed, r#"{"a":{"b":1},"c":"x"}"#),
            ("a=true,b=null,c=012", Typed, r#"{"a":true,"b":null,"c":"012"}"#),
            ("a=1", Text, r#"{"a":"1"}"#),
            ("a={x,1}", Typed, r#"{"a":["x",1]}"#),
            ("a[1].b=x", Typed, r#"{"a":[null,{"b":"x"}]}"#),
            (r"a\.b=x\,y", Typed, r#"{"a.b":"x,y"}"#),
            (r#"a={"b":[1]},c=2"#, Json, r#"{"a":{"b":[1]},"c":2}"#),
            (r#"{"a":1}"#, Json, r#"{"a":1}"#),
            ("a=", Typed, r#"{"a":""}"#),
        ] {
            assert_eq!(after(&[(argument, kind)]).as_deref(), Ok(expected), "{argument}");
        }
        for argument in ["a", "a,b=1", "a={x", "a[x]=1"] {
            assert!(after(&[(argument, Typed)]).is_err(), "{argument}");
        }
        assert_eq!(after(&[("a.b=1", Typed), ("a.c=2", Typed)]).as_deref(), Ok(r#"{"a":{"b":1,"c":2}}"#));
    }
}
