//! YAML to values, as Helm reads it, with the place of every scalar.

use std::rc::Rc;

use smol_str::SmolStr;

use crate::source::line_breaks_of_go;
use crate::syntax::{Departure, FieldOrigin, Node, ScalarForm, Tree, parse_documents};

use super::print::float_json;
use super::text::{GuardId, Marked, Origin, Shape, to_u32};
use super::value::{Element, Kind, List, Map, Value};
use super::yaml_scalar::{Dialect, Scalar, resolve};

/// Where a text stands that is read.
pub(super) enum Source<'t> {
    /// In a file, from its beginning on, or from a later byte.
    File(u32, u32),
    /// In a text that templates wrote.
    Text(&'t Marked),
}

/// Returns the first construct that YAML readers read differently.
pub(super) fn departure(text: &str) -> Option<Departure> {
    if let Some(at) = text.find(['\u{85}', '\u{2028}', '\u{2029}']) {
        return Some(Departure::line_separator(at));
    }
    parse_documents(text, 0, 1).0.first().and_then(Tree::departure)
}

/// Reads one YAML document; nil if there is none.
///
/// # Errors
/// When it is no YAML.
pub(super) fn read(text: &str, source: &Source<'_>) -> Result<Value, String> {
    let text = &*line_breaks_of_go(text);
    let (trees, error) = parse_documents(text, 0, 1);
    if let Some(error) = error
        && trees.is_empty()
    {
        return Err(format!("error converting YAML to JSON: yaml: line {}: {}", error.place.line, error.message));
    }
    let Some(tree) = trees.first() else { return Ok(Value::NIL) };
    let reader = Reader { text, source };
    let value = tree.root().map_or(Ok(Value::NIL), |root| reader.node(root, 0))?;
    if tree.exhausted() {
        return Err("error converting YAML to JSON: yaml: document contains excessive aliasing".to_owned());
    }
    Ok(value)
}

/// Reads a values file: several documents are merged, the later ones over the earlier ones.
///
/// # Errors
/// When it is no YAML, or no mapping.
pub(super) fn read_values(text: &str, file: u32) -> Result<Map, String> {
    let mut values = Map::default();
    for (start, document) in documents(text) {
        match read(document, &Source::File(file, to_u32(start)))?.kind {
            Kind::Map(map) => values = merge_maps(&values, &map),
            Kind::Nil | Kind::Null => {}
            _ => return Err("cannot unmarshal yaml document: it is no mapping".to_owned()),
        }
    }
    Ok(values)
}

/// The documents of a file, cut where a line is `---`.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            found.push((start, &text[start..at]));
            start = at;
        }
        at += line.len();
    }
    found.push((start, &text[start..]));
    found.retain(|(_, document)| !document.trim().is_empty());
    found
}

/// Two mappings as one, in which the second one counts where both say something.
pub(super) fn merge_maps(a: &Map, b: &Map) -> Map {
    let merged = a.shallow();
    for (key, entry) in b.snapshot() {
        let both = match (merged.get(&key).map(|known| known.kind), &entry.value.kind) {
            (Some(Kind::Map(known)), Kind::Map(own)) => Some(merge_maps(&known, own)),
            _ => None,
        };
        let value = both.map_or(entry.value, Value::from);
        merged.insert(key, entry.key, value);
    }
    merged
}

struct Reader<'t> {
    text: &'t str,
    source: &'t Source<'t>,
}

impl Reader<'_> {
    fn node(&self, node: Node<'_>, depth: usize) -> Result<Value, String> {
        if depth > 256 {
            return Err("yaml: nested too deeply".to_owned());
        }
        if let Some(scalar) = node.scalar() {
            return Ok(self.scalar(node, &scalar));
        }
        if node.is_mapping() {
            let map = Map::default();
            let mut failure = None;
            node.visit_fields(&mut |key, entry, origin| {
                if origin == FieldOrigin::Merged && map.contains(key) {
                    return;
                }
                let name = key_name(key, entry.key);
                let place = self.place(entry.key).first().map_or(Origin::NONE, |(_, origin)| *origin);
                match self.node(entry.value, depth + 1) {
                    Ok(value) => map.insert(name, place, value),
                    Err(error) => failure = Some(error),
                }
            });
            return failure.map_or_else(|| Ok(map.into()), Err);
        }
        let items: Result<Vec<_>, _> = node.items().map(|item| self.node(item, depth + 1)).collect();
        Ok(Kind::List(Rc::new(List { items: items?, element: Element::Any })).into())
    }

    fn scalar(&self, node: Node<'_>, scalar: &ScalarForm<'_>) -> Value {
        let text = scalar.text.as_ref();
        let resolved = if scalar.is_plain { resolve(text, Dialect::V2) } else { Scalar::Text };
        let places = self.place(node);
        let origin = places.first().map_or(Origin::NONE, |(_, origin)| *origin);
        let kind = match resolved {
            Scalar::Null => Kind::Nil,
            Scalar::Bool(value) => Kind::Bool(value),
            Scalar::Int(value) => Kind::Float(value as f64),
            Scalar::Uint(value) => Kind::Float(value as f64),
            Scalar::Float(value) => Kind::Float(value),
            // Dates stay text where no type is asked for.
            Scalar::Timestamp | Scalar::Text => return self.text_value(text, &places),
        };
        let value = Value::from(kind).at(origin);
        match places.iter().filter_map(|(shape, _)| *shape).max() {
            Some(shape) => value.unknown(shape),
            None => value,
        }
    }

    /// A string with the places of its lines.
    fn text_value(&self, text: &str, places: &[(Option<Shape>, Origin)]) -> Value {
        match places {
            [] => Value::from(text),
            [(None, origin)] => Value::from(text).at(*origin),
            [(Some(shape), origin)] => Value::from(text).at(*origin).unknown(*shape),
            places => {
                // As many places as lines, or as pieces that add up to the text.
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                let mut marked = Marked::default();
                if lines.len() == places.len() {
                    for (line, (shape, origin)) in lines.iter().zip(places) {
                        marked.push(line, *origin, GuardId::default(), *shape);
                    }
                } else {
                    let shape = places.iter().filter_map(|(shape, _)| *shape).max();
                    let origin = places.first().map_or(Origin::NONE, |(_, origin)| *origin);
                    marked.push(text, origin, GuardId::default(), shape);
                }
                marked.into()
            }
        }
    }

    /// The places of a scalar: one, or one for each of its lines.
    fn place(&self, node: Node<'_>) -> Vec<(Option<Shape>, Origin)> {
        let Some(scalar) = node.scalar() else { return Vec::new() };
        let range = scalar.range.clone();
        match self.source {
            Source::File(file, base) => {
                let origin = |start: usize, end: usize| {
                    let at = |offset: usize| base.saturating_add(to_u32(offset));
                    (None, Origin { file: *file, start: at(start), end: at(end) })
                };
                if !scalar.is_block {
                    return vec![origin(range.start, range.end)];
                }
                let mut lines = Vec::new();
                let mut at = range.start;
                let source = self.text.get(range.clone()).unwrap_or_default();
                let mut source_lines = source.split_inclusive('\n');
                for line in scalar.text.split_inclusive('\n') {
                    let Some(written) = source_lines.next() else { return vec![origin(range.start, range.end)] };
                    let Some(blanks) = written.find(line.trim_end_matches('\n')) else {
                        return vec![origin(range.start, range.end)];
                    };
                    lines.push(origin(at + blanks, at + blanks + line.len()));
                    at += written.len();
                }
                lines
            }
            Source::Text(marked) => {
                let mut part = Marked::default();
                part.append_range(marked, range);
                let shape = part.marks.iter().filter_map(|mark| mark.shape).max();
                let origin = part.marks.iter().map(|mark| mark.origin).find(|origin| origin.is_some());
                match origin {
                    Some(origin) => vec![(shape, origin)],
                    None if shape.is_some() => vec![(shape, Origin::NONE)],
                    None => Vec::new(),
                }
            }
        }
    }
}

/// A key as JSON has it: numbers and booleans become text.
fn key_name(key: &str, node: Node<'_>) -> SmolStr {
    let is_plain = node.scalar().is_some_and(|scalar| scalar.is_plain);
    if !is_plain {
        return SmolStr::new(key);
    }
    match resolve(key, Dialect::V2) {
        Scalar::Bool(value) => SmolStr::new(if value { "true" } else { "false" }),
        Scalar::Int(value) => SmolStr::new(value.to_string()),
        Scalar::Float(value) => {
            // Go writes these keys with the precision of a `float32`.
            let short = f64::from(value as f32);
            SmolStr::new(float_json(short).unwrap_or_else(|| key.to_owned()))
        }
        Scalar::Null => SmolStr::new("null"),
        _ => SmolStr::new(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Map {
        read_values(text, 0).unwrap()
    }

    #[test]
    fn values_have_the_types_that_helm_gives_them() {
        let map = values("a: 0644\nb: yes\nc: '1'\nd: ~\ne: [1.5, x]\nf: 2024-01-31\n1: one\n");
        assert!(map.get("a").unwrap().equals(&420.0.into()));
        assert!(map.get("b").unwrap().equals(&true.into()));
        assert!(map.get("c").unwrap().equals(&"1".into()));
        assert!(map.get("d").unwrap().is_nil());
        assert!(map.get("e").unwrap().equals(&vec![Value::from(1.5), "x".into()].into()));
        assert!(map.get("f").unwrap().equals(&"2024-01-31".into()));
        assert!(map.get("1").unwrap().equals(&"one".into()));
    }

    #[test]
    fn scalars_know_their_bytes() {
        let text = "a: 'xyz'\nb: |\n  one\n  two\n";
        let map = values(text);
        let a = map.get("a").unwrap();
        assert_eq!(&text[a.origin.start as usize..a.origin.end as usize], "xyz");
        let b = map.get("b").unwrap().marked();
        assert_eq!(b.text, "one\ntwo\n");
        let places: Vec<&str> =
            b.marks.iter().map(|mark| &text[mark.origin.start as usize..mark.origin.end as usize]).collect();
        assert_eq!(places, ["one\n", "two\n"]);
    }

    #[test]
    fn documents_and_merge_keys_are_merged() {
        let map = values("a: {b: 1, c: 2}\n---\na: {c: 3}\n");
        let a = map.get("a").unwrap();
        let a = a.as_map().unwrap();
        assert!(a.get("b").unwrap().equals(&1.0.into()) && a.get("c").unwrap().equals(&3.0.into()));
        let map = values("x: &x {a: 1, b: 2}\nz:\n  <<: *x\n  b: 3\n");
        let y = map.get("z").unwrap();
        let y = y.as_map().unwrap();
        assert!(y.get("a").unwrap().equals(&1.0.into()) && y.get("b").unwrap().equals(&3.0.into()));
    }
}
