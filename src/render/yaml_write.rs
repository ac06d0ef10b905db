//! YAML as Go's encoders write it, with the places of every scalar.

use std::cmp::Ordering;

use base64::Engine as _;
use smol_str::SmolStr;

use super::object::Object;
use super::print::{float_g, float_json};
use super::text::{GuardId, Marked, Origin, Shape, Walker};
use super::value::{Certainty, Kind, Value};
use super::yaml_scalar::{Dialect, Scalar, is_base60, resolve};

/// How deep a value may be nested.
const MAX_DEPTH: usize = 256;

/// `toYaml`: what `sigs.k8s.io/yaml` writes, without the last line break; nothing where Go cannot.
pub(super) fn to_yaml(value: &Value) -> Value {
    write(value, Dialect::V2)
}

/// `toYamlPretty`: what `yaml.v3` writes with two spaces.
pub(super) fn to_yaml_pretty(value: &Value) -> Value {
    write(value, Dialect::V3)
}

fn write(value: &Value, dialect: Dialect) -> Value {
    let mut writer = Writer { into: Marked::default(), dialect };
    if writer.node(value, 0, Context::Root, 0, None).is_none() {
        return Value::from("");
    }
    let text = writer.into;
    match text.text.strip_suffix('\n') {
        Some(kept) => {
            let mut trimmed = Marked::default();
            trimmed.append_range(&text, 0..kept.len());
            trimmed.into()
        }
        None => text.into(),
    }
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    /// After a key and its colon.
    Value,
    /// After a hyphen.
    Item,
}

struct Writer {
    into: Marked,
    dialect: Dialect,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.into.push(text, Origin::NONE, GuardId::default(), None);
    }

    fn end_line(&mut self) {
        if !self.into.text.is_empty() && !self.into.text.ends_with('\n') {
            self.push("\n");
        }
    }

    /// Writes a node. Collections end with a line break, and so do scalars.
    fn node(
        &mut self,
        value: &Value,
        indent: usize,
        context: Context,
        depth: usize,
        shape: Option<Shape>,
    ) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let shape = match value.certainty {
            Certainty::Unknown(unknown) => Some(shape.map_or(unknown, |shape| shape.max(unknown))),
            _ => shape,
        };
        match &value.kind {
            Kind::Map(map) => {
                let mut entries: Vec<(SmolStr, Origin, Value)> =
                    map.snapshot().into_iter().map(|(key, entry)| (key, entry.key, entry.value)).collect();
                entries.sort_by(|a, b| natural(&a.0, &b.0));
                self.map(&entries, indent, context, depth, shape)
            }
            Kind::List(list) => self.list(&list.items, indent, context, depth, shape),
            Kind::Object(Object::Files(files)) => {
                let entries: Vec<_> =
                    files.entries().into_iter().map(|(key, value)| (key, Origin::NONE, value)).collect();
                self.map(&entries, indent, context, depth, shape)
            }
            Kind::Object(object) => match object.as_list() {
                Some(list) => self.list(&list.items, indent, context, depth, shape),
                None => self.scalar(&object.display().into(), indent, context, shape),
            },
            _ => self.scalar(value, indent, context, shape),
        }
    }

    fn map(
        &mut self,
        entries: &[(SmolStr, Origin, Value)],
        indent: usize,
        context: Context,
        depth: usize,
        shape: Option<Shape>,
    ) -> Option<()> {
        if entries.is_empty() {
            self.push(if context == Context::Root { "{}\n" } else { " {}\n" });
            return Some(());
        }
        let indent = match context {
            Context::Root => indent,
            Context::Value | Context::Item => indent + 2,
        };
        let pad = " ".repeat(indent);
        for (index, (key, origin, value)) in entries.iter().enumerate() {
            match (index, context) {
                (0, Context::Item) => self.push(" "),
                _ => {
                    self.end_line();
                    self.push(&pad);
                }
            }
            let key = Value::from(key.clone()).at(*origin).marked();
            if key.text.contains('\n') || key.text.len() > 128 {
                self.push("?");
                self.text(&key, indent, false, None);
                self.end_line();
                self.push(&pad);
                self.push(":");
            } else {
                self.text(&key, indent, true, None);
                self.push(":");
            }
            self.node(value, indent, Context::Value, depth + 1, shape)?;
        }
        Some(())
    }

    fn list(
        &mut self,
        items: &[Value],
        indent: usize,
        context: Context,
        depth: usize,
        shape: Option<Shape>,
    ) -> Option<()> {
        if items.is_empty() {
            self.push(if context == Context::Root { "[]\n" } else { " []\n" });
            return Some(());
        }
        let indent = match (context, self.dialect) {
            (Context::Root, _) | (Context::Value, Dialect::V2) => indent,
            (Context::Value, Dialect::V3) | (Context::Item, _) => indent + 2,
        };
        let pad = " ".repeat(indent);
        for (index, item) in items.iter().enumerate() {
            match (index, context) {
                (0, Context::Item) => self.push(" "),
                _ => {
                    self.end_line();
                    self.push(&pad);
                }
            }
            self.push("-");
            self.node(item, indent, Context::Item, depth + 1, shape)?;
        }
        Some(())
    }

    fn scalar(&mut self, value: &Value, indent: usize, context: Context, shape: Option<Shape>) -> Option<()> {
        let plain = match &value.kind {
            Kind::Nil | Kind::Null => "null".to_owned(),
            Kind::Bool(flag) => flag.to_string(),
            Kind::Int(number, _) => number.to_string(),
            Kind::Float(number) if self.dialect == Dialect::V3 => yaml_float(*number),
            Kind::Float(number) => {
                let json = float_json(*number)?;
                match resolve(&json, Dialect::V2) {
                    Scalar::Float(value) => yaml_float(value),
                    _ => json,
                }
            }
            Kind::Bytes(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                return self.scalar(&Value::from(text).at(value.origin), indent, context, shape);
            }
            _ => {
                let text = value.marked();
                self.text(&text, indent, context == Context::Root, shape.filter(|_| true));
                self.end_line();
                return Some(());
            }
        };
        if context != Context::Root {
            self.push(" ");
        }
        self.into.push(&plain, value.origin, GuardId::default(), shape);
        self.push("\n");
        Some(())
    }

    /// Writes a string; a key, or the root, without the blank before it.
    fn text(&mut self, text: &Marked, indent: usize, at_start: bool, shape: Option<Shape>) {
        let analysis = Analysis::of(&text.text);
        let resolves = resolve(&text.text, self.dialect) != Scalar::Text
            || is_base60(&text.text)
            || self.dialect == Dialect::V3 && resolve(&text.text, Dialect::V2) != Scalar::Text;
        let is_root = indent == 0 && self.into.text.is_empty();
        let style = if text.text.contains('\n') {
            if analysis.block && (!at_start || is_root) { Style::Literal } else { Style::Double }
        } else if resolves {
            Style::Double
        } else if analysis.plain {
            Style::Plain
        } else if analysis.single {
            Style::Single
        } else {
            Style::Double
        };
        if !at_start {
            self.push(" ");
        }
        // Keys are never folded.
        let width = if at_start && !is_root || self.dialect == Dialect::V3 { usize::MAX } else { WIDTH };
        let column = self.into.text.len() - self.into.text.rfind('\n').map_or(0, |at| at + 1);
        let mut line = Line { column, indent: indent + 2, width };
        let mut walker = Walker::new(text);
        match style {
            Style::Plain => self.folded(&mut walker, &text.text, &mut line, false, shape),
            Style::Single => {
                self.push("'");
                line.column += 1;
                self.folded(&mut walker, &text.text, &mut line, true, shape);
                self.push("'");
            }
            Style::Double => self.double(&mut walker, &text.text, &mut line, shape),
            Style::Literal => self.literal(&mut walker, &text.text, indent, shape),
        }
    }

    /// Writes a text in one line, unless that becomes too long: then it goes on in the next one.
    fn folded(&mut self, walker: &mut Walker<'_>, text: &str, line: &mut Line, single: bool, shape: Option<Shape>) {
        let mut plain = 0;
        let mut after_space = false;
        for (at, c) in text.char_indices() {
            let inside = !single || at > 0 && at + 1 < text.len();
            if c == ' ' && !after_space && line.column > line.width && inside && !text[at + 1..].starts_with(' ') {
                self.copy(walker, &text[plain..at], shape);
                walker.skip(1);
                line.fold(&mut self.into);
                plain = at + 1;
            } else if single && c == '\'' {
                self.copy(walker, &text[plain..at], shape);
                let mark = walker.skip(1);
                self.into.push("''", mark.origin, mark.guard, mark.shape.max(shape));
                plain = at + 1;
                line.column += 2;
            } else {
                line.column += 1;
            }
            after_space = c == ' ';
        }
        self.copy(walker, &text[plain..], shape);
    }

    fn copy(&mut self, walker: &mut Walker<'_>, text: &str, shape: Option<Shape>) {
        match shape {
            None => walker.copy(text.len(), &mut self.into),
            Some(_) => {
                let mark = walker.skip(text.len());
                self.into.push(text, mark.origin, mark.guard, mark.shape.max(shape));
            }
        }
    }

    fn double(&mut self, walker: &mut Walker<'_>, text: &str, line: &mut Line, shape: Option<Shape>) {
        self.push("\"");
        line.column += 1;
        let mut plain = 0;
        let mut after_space = false;
        for (at, c) in text.char_indices() {
            if c == ' ' {
                if !after_space && line.column > line.width && at > 0 && at + 1 < text.len() {
                    self.copy(walker, &text[plain..at], shape);
                    walker.skip(1);
                    line.fold(&mut self.into);
                    if text[at + 1..].starts_with(' ') {
                        self.push("\\");
                        line.column += 1;
                    }
                    plain = at + 1;
                } else {
                    line.column += 1;
                }
                after_space = true;
                continue;
            }
            after_space = false;
            line.column += 1;
            let code = u32::from(c);
            let escape = match c {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\0' => "\\0".to_owned(),
                '\u{7}' => "\\a".to_owned(),
                '\u{8}' => "\\b".to_owned(),
                '\t' => "\\t".to_owned(),
                '\n' => "\\n".to_owned(),
                '\u{b}' => "\\v".to_owned(),
                '\u{c}' => "\\f".to_owned(),
                '\r' => "\\r".to_owned(),
                '\u{1b}' => "\\e".to_owned(),
                '\u{85}' => "\\N".to_owned(),
                '\u{2028}' => "\\L".to_owned(),
                '\u{2029}' => "\\P".to_owned(),
                c if is_printable(c) => continue,
                _ if code <= 0xff => format!("\\x{code:02X}"),
                _ if code <= 0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
            self.copy(walker, &text[plain..at], shape);
            let mark = walker.skip(c.len_utf8());
            self.into.push(&escape, mark.origin, mark.guard, mark.shape.max(shape));
            line.column += escape.len() - 1;
            plain = at + c.len_utf8();
        }
        self.copy(walker, &text[plain..], shape);
        self.push("\"");
    }

    fn literal(&mut self, walker: &mut Walker<'_>, text: &str, indent: usize, shape: Option<Shape>) {
        self.push("|");
        if text.starts_with([' ', '\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
            self.push("2");
        }
        let trimmed = text.strip_suffix('\n');
        match trimmed {
            None => self.push("-"),
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => self.push("+"),
            Some(_) => {}
        }
        self.push("\n");
        let pad = " ".repeat(indent + 2);
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                self.push(&pad);
            }
            self.copy(walker, line, shape);
        }
    }
}

/// The column after which a blank becomes a line break.
const WIDTH: usize = 80;

/// The line that is being written.
struct Line {
    column: usize,
    indent: usize,
    width: usize,
}

impl Line {
    fn fold(&mut self, into: &mut Marked) {
        into.push(&format!("\n{}", " ".repeat(self.indent)), Origin::NONE, GuardId::default(), None);
        self.column = self.indent;
    }
}

fn yaml_float(value: f64) -> String {
    match float_g(value).as_str() {
        "+Inf" => ".inf".to_owned(),
        "-Inf" => "-.inf".to_owned(),
        "NaN" => ".nan".to_owned(),
        text => text.to_owned(),
    }
}

enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The styles that a text allows.
struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    match u32::from(c) {
        0x0a | 0x20..=0x7e => true,
        0xfeff => false,
        0xa0..=0xd7ff | 0xe000..=0xfffd => true,
        _ => false,
    }
}

impl Analysis {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { plain: true, single: true, block: false };
        }
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut line_breaks, mut special) = (false, false);
        let (mut break_space, mut space_break) = (false, false);
        let (mut previous_space, mut previous_break) = (false, false);
        let mut after_blank = true;
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            let before_blank = chars.peek().is_none_or(|c| matches!(c, ' ' | '\t'));
            indicators |= match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
                    if first =>
                {
                    true
                }
                '?' | ':' | '-' if first => before_blank,
                ':' => before_blank,
                '#' => after_blank,
                _ => false,
            };
            special |= !is_printable(c);
            if c == ' ' {
                break_space |= previous_break;
                (previous_space, previous_break) = (true, false);
            } else if is_break(c) {
                line_breaks = true;
                space_break |= previous_space;
                (previous_space, previous_break) = (false, true);
            } else {
                (previous_space, previous_break) = (false, false);
            }
            after_blank = matches!(c, ' ' | '\t' | '\0') || is_break(c);
            first = false;
        }
        let edge = |c: char| c == ' ' || is_break(c);
        let at_edges = text.starts_with(edge) || text.ends_with(edge);
        let unquotable = space_break || special;
        Self {
            plain: !indicators && !line_breaks && !break_space && !unquotable && !at_edges,
            single: !break_space && !unquotable,
            block: !text.ends_with(' ') && !unquotable,
        }
    }
}

/// The order in which Go's encoders write keys: numbers in them count as such.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (ar, br): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let less = |less: bool| if less { Ordering::Less } else { Ordering::Greater };
    for i in 0..ar.len().min(br.len()) {
        if ar[i] == br[i] {
            continue;
        }
        let (al, bl) = (ar[i].is_alphabetic(), br[i].is_alphabetic());
        if al && bl {
            return less(ar[i] < br[i]);
        }
        if al || bl {
            return less(bl);
        }
        let (mut an, mut bn) = (0_i64, 0_i64);
        if ar[i] == '0' || br[i] == '0' {
            let digits = ar[..i].iter().rev().take_while(|c| c.is_numeric());
            if digits.into_iter().any(|c| *c != '0') {
                (an, bn) = (1, 1);
            }
        }
        let number = |chars: &[char], mut value: i64| {
            let mut end = i;
            while let Some(c) = chars.get(end).filter(|c| c.is_numeric()) {
                value = value.wrapping_mul(10).wrapping_add(i64::from(u32::from(*c)) - i64::from(b'0'));
                end += 1;
            }
            (value, end)
        };
        let (an, ai) = number(&ar, an);
        let (bn, bi) = number(&br, bn);
        if an != bn {
            return less(an < bn);
        }
        if ai != bi {
            return less(ai < bi);
        }
        return less(ar[i] < br[i]);
    }
    ar.len().cmp(&br.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::value::Map;

    fn yaml(value: impl Into<Value>) -> String {
        to_yaml(&value.into()).as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn collections_are_laid_out_as_go_does() {
        let map = Map::default();
        map.set("list", vec![Value::from("a"), vec![Value::from("b"), "c".into()].into(), Map::default().into()]);
        let inner = Map::default();
        inner.set("b", 1.0);
        inner.set("c", vec![Value::from(2.5)]);
        map.set("map", inner);
        map.set("items", vec![map.get("map").unwrap()]);
        map.set("none", Value::NIL);
        assert_eq!(
            yaml(map.shallow()),
            "items:\n- b: 1\n  c:\n  - 2.5\nlist:\n- a\n- - b\n  - c\n- {}\nmap:\n  b: 1\n  c:\n  - 2.5\nnone: null"
        );
        let pretty = to_yaml_pretty(&map.into());
        assert!(pretty.as_str().unwrap().starts_with("items:\n  - b: 1\n    c:\n      - 2.5\n"), "{pretty:?}");
    }

    #[test]
    fn strings_are_quoted_as_go_does() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", "\"\""),
            ("true", "\"true\""),
            ("yes", "\"yes\""),
            ("1.5", "\"1.5\""),
            ("*", "'*'"),
            ("a: b", "'a: b'"),
            ("it's: ", "'it''s: '"),
            ("a\tb", "\"a\\tb\""),
            ("a\nb", "|-\n  a\n  b"),
            ("a\n\nb\n", "|\n  a\n\n  b"),
            (" a\nb\n", "|2\n   a\n  b"),
            ("a \nb", "\"a \\nb\""),
            ("- a", "'- a'"),
            ("-a", "-a"),
            ("\u{1f600}", "\"\\U0001F600\""),
            ("é", "é"),
            ("2024-01-31", "\"2024-01-31\""),
            ("12:30", "\"12:30\""),
            ("null", "\"null\""),
        ] {
            assert_eq!(yaml(text), expected, "{text:?}");
        }
    }

    #[test]
    fn keys_are_in_natural_order() {
        let mut keys = vec!["a10", "a2", "b", "B", "_x", "a"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["_x", "B", "a", "a2", "a10", "b"]);
    }

    #[test]
    fn large_numbers_stay_whole() {
        assert_eq!(yaml(1_000_000.0), "1000000");
        assert_eq!(yaml(1_234_567.5), "1.2345675e+06");
    }
}
