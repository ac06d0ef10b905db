//! JSON as Go writes and reads it.

use std::rc::Rc;

use super::print::float_json;
use super::text::{GuardId, Marked, Origin, Shape, Text, Walker};
use super::value::{Certainty, Element, Kind, List, Map, Value};

/// How deep a value may be nested.
const MAX_DEPTH: usize = 256;

/// How JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Whether `<`, `>` and `&` are escaped.
    pub(super) escapes_html: bool,
    /// Whether it is laid out in lines.
    pub(super) pretty: bool,
}

/// Writes a value as JSON; none if Go cannot.
pub(super) fn encode(value: &Value, layout: Layout) -> Option<Marked> {
    let mut writer = Writer { into: Marked::default(), layout };
    writer.value(value, 0, None)?;
    Some(writer.into)
}

struct Writer {
    into: Marked,
    layout: Layout,
}

impl Writer {
    fn push(&mut self, text: &str, origin: Origin, shape: Option<Shape>) {
        self.into.push(text, origin, GuardId::default(), shape);
    }

    fn line(&mut self, depth: usize) {
        if self.layout.pretty {
            self.push(&format!("\n{}", "  ".repeat(depth)), Origin::NONE, None);
        }
    }

    fn value(&mut self, value: &Value, depth: usize, shape: Option<Shape>) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let shape = match value.certainty {
            Certainty::Unknown(unknown) => Some(shape.map_or(unknown, |shape| shape.max(unknown))),
            _ => shape,
        };
        match &value.kind {
            Kind::Nil | Kind::Null => self.push("null", value.origin, shape),
            Kind::Bool(flag) => self.push(if *flag { "true" } else { "false" }, value.origin, shape),
            Kind::Int(number, _) => self.push(&number.to_string(), value.origin, shape),
            Kind::Float(number) => {
                let text = float_json(*number)?;
                self.push(&text, value.origin, shape);
            }
            Kind::Text(_) => self.text(&value.marked(), shape),
            Kind::Bytes(bytes) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                self.push(&format!("\"{text}\""), value.origin, shape);
            }
            Kind::List(list) => self.list(&list.items, depth, shape)?,
            Kind::Map(map) => {
                let entries = map.snapshot().into_iter();
                let entries: Vec<_> = entries.map(|(key, entry)| (key, entry.key, entry.value)).collect();
                self.map(&entries, depth, shape)?;
            }
            Kind::Object(object) => match object {
                super::object::Object::Files(files) => {
                    let entries = files.entries().into_iter();
                    let entries: Vec<_> = entries.map(|(key, value)| (key, Origin::NONE, value)).collect();
                    self.map(&entries, depth, shape)?;
                }
                object => match object.as_list() {
                    Some(list) => self.list(&list.items, depth, shape)?,
                    None => self.text(&Value::from(object.display()).marked(), shape),
                },
            },
        }
        Some(())
    }

    fn list(&mut self, items: &[Value], depth: usize, shape: Option<Shape>) -> Option<()> {
        self.push("[", Origin::NONE, None);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.push(",", Origin::NONE, None);
            }
            self.line(depth + 1);
            self.value(item, depth + 1, shape)?;
        }
        if !items.is_empty() {
            self.line(depth);
        }
        self.push("]", Origin::NONE, None);
        Some(())
    }

    fn map(
        &mut self,
        entries: &[(smol_str::SmolStr, Origin, Value)],
        depth: usize,
        shape: Option<Shape>,
    ) -> Option<()> {
        self.push("{", Origin::NONE, None);
        for (index, (key, origin, value)) in entries.iter().enumerate() {
            if index > 0 {
                self.push(",", Origin::NONE, None);
            }
            self.line(depth + 1);
            self.text(&Value::from(key.clone()).at(*origin).marked(), None);
            self.push(if self.layout.pretty { ": " } else { ":" }, Origin::NONE, None);
            self.value(value, depth + 1, shape)?;
        }
        if !entries.is_empty() {
            self.line(depth);
        }
        self.push("}", Origin::NONE, None);
        Some(())
    }

    fn text(&mut self, text: &Marked, shape: Option<Shape>) {
        self.push("\"", Origin::NONE, None);
        let mut walker = Walker::new(text);
        let mut plain = 0;
        for (at, c) in text.text.char_indices() {
            let escape = match c {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\t' => "\\t".to_owned(),
                '\u{8}' => "\\b".to_owned(),
                '\u{c}' => "\\f".to_owned(),
                '<' | '>' | '&' if self.layout.escapes_html => format!("\\u{:04x}", u32::from(c)),
                '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
                c if u32::from(c) < 0x20 => format!("\\u{:04x}", u32::from(c)),
                _ => continue,
            };
            walker.copy(at - plain, &mut self.into);
            let mark = walker.skip(c.len_utf8());
            self.into.push(&escape, mark.origin, mark.guard, mark.shape.max(shape));
            plain = at + c.len_utf8();
        }
        match shape {
            Some(shape) => {
                let rest = &text.text[plain..];
                self.push(rest, walker.peek().origin, Some(shape));
            }
            None => walker.copy(text.text.len() - plain, &mut self.into),
        }
        self.push("\"", Origin::NONE, None);
    }
}

/// Reads one JSON value, as `json.Unmarshal` reads it into an `interface{}`.
///
/// # Errors
/// When it is none.
pub(super) fn decode(text: &Marked) -> Result<Value, String> {
    let parsed: serde_json::Value = serde_json::from_str(&text.text).map_err(|error| message(&error))?;
    let origin = text.marks.first().map_or(Origin::NONE, |mark| mark.origin);
    let shape = text.marks.iter().filter_map(|mark| mark.shape).max();
    let value = convert(&parsed, origin);
    Ok(match shape {
        Some(shape) => value.unknown(shape),
        None => value,
    })
}

fn message(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => "unexpected end of JSON input".to_owned(),
        _ => "invalid JSON".to_owned(),
    }
}

fn convert(parsed: &serde_json::Value, origin: Origin) -> Value {
    let kind = match parsed {
        serde_json::Value::Null => Kind::Nil,
        serde_json::Value::Bool(value) => Kind::Bool(*value),
        serde_json::Value::Number(number) => Kind::Float(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::Text(Text::from(text.as_str())),
        serde_json::Value::Array(items) => {
            let items = items.iter().map(|item| convert(item, origin)).collect();
            Kind::List(Rc::new(List { items, element: Element::Any }))
        }
        serde_json::Value::Object(entries) => {
            let map = Map::default();
            for (key, value) in entries {
                map.insert(key.as_str(), origin, convert(value, origin));
            }
            Kind::Map(Rc::new(map))
        }
    };
    Value::from(kind).at(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_that_of_go() {
        let map = Map::default();
        map.set("b", vec![Value::from(1.0), Value::from("<a>"), Value::NIL]);
        map.set("a", Map::default());
        let value = Value::from(map);
        let compact = encode(&value, Layout { escapes_html: true, pretty: false }).unwrap();
        assert_eq!(compact.text, r#"{"a":{},"b":[1,"\u003ca\u003e",null]}"#);
        let pretty = encode(&value, Layout { escapes_html: false, pretty: true }).unwrap();
        assert_eq!(pretty.text, "{\n  \"a\": {},\n  \"b\": [\n    1,\n    \"<a>\",\n    null\n  ]\n}");
        let read = decode(&compact).unwrap();
        assert!(read.equals(&value));
    }
}
