//! Values to YAML and JSON, in the style of the text around them.

use smol_str::SmolStr;

use super::deceptive::{needs_no_escape, to_escape};
use super::scalar::ScalarType;

/// Longer lists are written one item a line.
const MAX_WIDTH: usize = 120;

/// What is written: as much of YAML and JSON as Kubernetes objects need here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(SmolStr),
    /// `true` or `false`.
    Bool(bool),
    /// A list.
    List(Vec<Value>),
    /// A mapping, in the order in which it is written.
    Map(Vec<(SmolStr, Value)>),
    /// A value with a comment, which is written above an item of a block list, and nowhere else.
    Commented(&'static str, Box<Value>),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<SmolStr>) -> Self {
        Self::Text(text.into())
    }

    /// A list of strings.
    pub fn texts<T: Into<SmolStr>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// A mapping.
    pub fn map<K: Into<SmolStr>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }
}

/// How YAML is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// How far the dashes of a list stand to the right of its key.
    pub sequence_indent: usize,
    /// How far the keys of a mapping do.
    pub mapping_indent: usize,
    /// Whether lists of strings are in brackets, where they fit into a line.
    pub flow_lists: bool,
    /// Whether there is a blank inside of the brackets.
    pub padded: bool,
    /// How the strings of lists are quoted where they need not be.
    pub quotes: Quotes,
    /// What ends a line.
    pub line_end: &'static str,
}

/// How a string is quoted that need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// Not at all.
    None,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            sequence_indent: 0,
            mapping_indent: 2,
            flow_lists: false,
            padded: false,
            quotes: Quotes::None,
            line_end: "\n",
        }
    }
}

/// How JSON is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonStyle {
    /// What a level is indented by; none if everything is on one line.
    pub indent: Option<String>,
    /// Whether blanks stand behind colons, and behind the commas within a line.
    pub spaced: bool,
    /// Whether lists of strings are on one line.
    pub inline_lists: bool,
    /// What ends a line.
    pub line_end: &'static str,
}

impl Default for JsonStyle {
    fn default() -> Self {
        Self { indent: Some("  ".to_owned()), spaced: true, inline_lists: true, line_end: "\n" }
    }
}

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As YAML.
    Yaml(Style),
    /// As JSON.
    Json(JsonStyle),
}

impl Form {
    /// What ends a line.
    pub fn line_end(&self) -> &'static str {
        match self {
            Self::Yaml(style) => style.line_end,
            Self::Json(style) => style.line_end,
        }
    }
}

impl Style {
    /// The value in block form: whole lines, each indented by so many blanks.
    pub fn block(&self, value: &Value, indent: usize) -> String {
        let mut out = String::new();
        match value {
            Value::Map(entries) if !entries.is_empty() => self.mapping(&mut out, entries, indent, false),
            Value::List(items) if !items.is_empty() => self.sequence(&mut out, items, indent),
            other => {
                out.push_str(&" ".repeat(indent));
                out.push_str(&self.flow(other));
                out.push_str(self.line_end);
            }
        }
        out
    }

    /// The value within a line.
    pub fn flow(&self, value: &Value) -> String {
        match value {
            Value::Text(text) => scalar(text),
            Value::Bool(value) => value.to_string(),
            Value::Commented(_, value) => self.flow(value),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.item(item)).collect();
                let pad = if self.padded && !items.is_empty() { " " } else { "" };
                format!("[{pad}{}{pad}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}: {}", scalar(key), self.flow(value))).collect();
                let pad = if self.padded && !entries.is_empty() { " " } else { "" };
                format!("{{{pad}{}{pad}}}", entries.join(", "))
            }
        }
    }

    /// `first_stands`: the first line is indented already, by a dash.
    fn mapping(&self, out: &mut String, entries: &[(SmolStr, Value)], indent: usize, first_stands: bool) {
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 || !first_stands {
                out.push_str(&" ".repeat(indent));
            }
            let key = scalar(key);
            out.push_str(&key);
            out.push(':');
            match value {
                Value::Map(entries) if !entries.is_empty() => {
                    out.push_str(self.line_end);
                    self.mapping(out, entries, indent + self.mapping_indent, false);
                }
                Value::List(items) if !items.is_empty() && !self.fits(value, items, indent + key.len() + 2) => {
                    out.push_str(self.line_end);
                    self.sequence(out, items, indent + self.sequence_indent);
                }
                Value::Text(text) if is_literal(text) => self.literal(out, text, indent + 2),
                other => {
                    out.push(' ');
                    out.push_str(&self.flow(other));
                    out.push_str(self.line_end);
                }
            }
        }
    }

    /// A text of several lines, each on its own.
    fn literal(&self, out: &mut String, text: &str, indent: usize) {
        out.push_str(" |-");
        out.push_str(self.line_end);
        for line in text.split('\n') {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
            out.push_str(self.line_end);
        }
    }

    fn sequence(&self, out: &mut String, items: &[Value], indent: usize) {
        for item in items {
            let item = match item {
                Value::Commented(comment, item) => {
                    out.extend([&*" ".repeat(indent), "# ", comment, self.line_end]);
                    item
                }
                item => item,
            };
            out.push_str(&" ".repeat(indent));
            out.push_str("- ");
            match item {
                Value::Map(entries) if !entries.is_empty() => self.mapping(out, entries, indent + 2, true),
                other => {
                    out.push_str(&self.item(other));
                    out.push_str(self.line_end);
                }
            }
        }
    }

    fn fits(&self, list: &Value, items: &[Value], column: usize) -> bool {
        self.flow_lists && items.iter().all(Value::is_text) && column + self.flow(list).chars().count() <= MAX_WIDTH
    }

    /// An item of a list.
    pub(super) fn item(&self, value: &Value) -> String {
        match value {
            Value::Text(text) => match self.quotes {
                Quotes::None => scalar(text),
                Quotes::Single if needs_no_escape(text) => format!("'{}'", text.replace('\'', "''")),
                Quotes::Single | Quotes::Double => quoted(text),
            },
            other => self.flow(other),
        }
    }
}

impl JsonStyle {
    /// The value; lines but the first are indented by `indent` at least.
    pub fn write(&self, value: &Value, indent: &str) -> String {
        match (value, &self.indent) {
            (Value::Text(text), _) => json_string(text),
            (Value::Commented(_, value), _) => self.write(value, indent),
            (Value::Bool(value), _) => value.to_string(),
            (Value::List(items), Some(step)) if !items.is_empty() => {
                if self.inline_lists && items.iter().all(Value::is_text) {
                    return self.join("[", items.iter().map(|item| self.write(item, indent)), "]");
                }
                let inner = format!("{indent}{step}");
                self.lines("[", items.iter().map(|item| self.write(item, &inner)), "]", indent, &inner)
            }
            (Value::Map(entries), Some(step)) if !entries.is_empty() => {
                let inner = format!("{indent}{step}");
                let entries = entries.iter().map(|(key, value)| self.entry(key, value, &inner));
                self.lines("{", entries, "}", indent, &inner)
            }
            (Value::List(items), _) => self.join("[", items.iter().map(|item| self.write(item, indent)), "]"),
            (Value::Map(entries), _) => {
                self.join("{", entries.iter().map(|(key, value)| self.entry(key, value, indent)), "}")
            }
        }
    }

    /// What stands between two values on one line.
    pub(super) fn comma(&self) -> &'static str {
        if self.spaced { ", " } else { "," }
    }

    fn entry(&self, key: &str, value: &Value, indent: &str) -> String {
        let colon = if self.spaced { ": " } else { ":" };
        format!("{}{colon}{}", json_string(key), self.write(value, indent))
    }

    fn join(&self, open: &str, parts: impl Iterator<Item = String>, close: &str) -> String {
        format!("{open}{}{close}", parts.collect::<Vec<_>>().join(self.comma()))
    }

    fn lines(&self, open: &str, parts: impl Iterator<Item = String>, close: &str, indent: &str, inner: &str) -> String {
        let end = self.line_end;
        let parts = parts.collect::<Vec<_>>().join(&format!(",{end}{inner}"));
        format!("{open}{end}{inner}{parts}{end}{indent}{close}")
    }
}

/// A string as a YAML scalar: plain where every reader takes it for a string, in double quotes otherwise.
pub fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Whether the text has several lines, all of which a literal block shows as they are: none that is deceptive or blank,
/// and no blank at the beginning, which would count as indentation.
fn is_literal(text: &str) -> bool {
    let shown = |line: &str| !line.trim().is_empty() && needs_no_escape(line);
    text.contains('\n') && !text.starts_with(char::is_whitespace) && text.split('\n').all(shown)
}

/// Whether every reader takes the text for a string without quotes, in brackets too.
pub(super) fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@:~*".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    // A colon at the end is a mapping's.
    let ends_well = !text.ends_with(':');
    starts_well
        && ends_well
        && text.chars().all(plain)
        && needs_no_escape(text)
        && ScalarType::of_plain(text) == ScalarType::String
}

fn quoted(text: &str) -> String {
    string(text, |quoted, c| match u32::from(c) {
        code @ ..=0xffff => quoted.push_str(&format!("\\u{code:04X}")),
        code => quoted.push_str(&format!("\\U{code:08X}")),
    })
}

fn json_string(text: &str) -> String {
    string(text, |string, c| {
        c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| string.push_str(&format!("\\u{unit:04x}")));
    })
}

/// Writes a text in double quotes, what has to be escaped by `escape`.
fn string(text: &str, escape: impl Fn(&mut String, char)) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    let mut escaped = to_escape(text).peekable();
    for (at, c) in text.char_indices() {
        let is_escaped = escaped.next_if(|(next, _)| *next == at).is_some();
        match c {
            '"' | '\\' => string.extend(['\\', c]),
            '\n' => string.push_str("\\n"),
            '\t' => string.push_str("\\t"),
            _ if is_escaped => escape(&mut string, c),
            _ => string.push(c),
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Node, NodeKind, parse_documents};
    use super::*;

    fn value_of(node: Node<'_>) -> Value {
        match node.kind() {
            NodeKind::Sequence => Value::List(node.items().map(value_of).collect()),
            NodeKind::Mapping => {
                Value::map(node.entries().map(|entry| (entry.key.as_str().unwrap(), value_of(entry.value))))
            }
            _ => Value::text(node.as_str().expect("a string")),
        }
    }

    fn read_back(text: &str) -> Value {
        let (trees, error) = parse_documents(text, 0, 1);
        assert_eq!(error, None, "{text:?}");
        value_of(trees[0].root().expect("a document"))
    }

    #[test]
    fn strings_that_look_like_something_else() {
        for text in [
            "",
            "*",
            "yes",
            "y",
            "012",
            "null",
            "~",
            "a: b",
            "- a",
            "#c",
            "a:",
            "{}",
            "1.5",
            "\u{202e}",
            "\u{ffff}",
            "é",
            "a\nb",
            "a::b::",
            "a\n::error::b",
            "##[x]",
            "a##vso[b]",
        ] {
            assert_eq!(read_back(&format!("- {}\n", scalar(text))), Value::texts([text]));
        }
        assert_eq!(scalar("deputize:user-info:sa:apps:deputy"), "deputize:user-info:sa:apps:deputy");
    }

    fn as_json(value: &Value) -> serde_json::Value {
        match value {
            Value::Text(text) => serde_json::Value::from(text.as_str()),
            Value::Bool(value) => serde_json::Value::from(*value),
            Value::Commented(_, value) => as_json(value),
            Value::List(items) => items.iter().map(as_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, value)| (key.to_string(), as_json(value))).collect(),
            ),
        }
    }

    fn role() -> Value {
        let rule = Value::map([("apiGroups", Value::texts([""])), ("verbs", Value::texts(["get", "list"]))]);
        let meta = Value::map([("name", Value::text("a")), ("labels", Value::map([("b", Value::text("c"))]))]);
        Value::map([
            ("metadata", meta),
            ("rules", Value::List(vec![rule.clone(), rule])),
            ("x", Value::List(Vec::new())),
        ])
    }

    #[test]
    fn several_lines_are_written_as_they_are() {
        let style = Style::default();
        let written = |text: &str| style.block(&Value::map([("a", Value::map([("b", Value::text(text))]))]), 0);
        assert_eq!(written("x: # 1\n  - y\n'z"), "a:\n  b: |-\n    x: # 1\n      - y\n    'z\n");
        for other in
            ["x\n", "x\n\ny", " x\ny", "x\n \ny", "x\r\ny", "x\n\u{202e}y", "x\n\ty", "x\n ::error::y", "x\n##[y]"]
        {
            assert!(written(other).starts_with("a:\n  b: \""), "{other:?}");
        }
    }

    #[test]
    fn comments_are_above_items_of_block_lists() {
        let item = |text: &str| Value::map([("a", Value::text(text))]);
        let list = Value::List(vec![Value::Commented("why", Box::new(item("b"))), item("c")]);
        let value = Value::map([("l", list)]);
        let style = Style { sequence_indent: 2, line_end: "\r\n", ..Style::default() };
        assert_eq!(style.block(&value, 0), "l:\r\n  # why\r\n  - a: b\r\n  - a: c\r\n");
        assert_eq!(style.flow(&value), "{l: [{a: b}, {a: c}]}");
        assert_eq!(
            JsonStyle { indent: None, ..JsonStyle::default() }.write(&value, ""),
            r#"{"l": [{"a": "b"}, {"a": "c"}]}"#
        );
    }

    #[test]
    fn in_the_style_that_is_asked_for() {
        let plain = Style::default();
        assert_eq!(
            plain.block(&role(), 0),
            "metadata:\n  name: a\n  labels:\n    b: c\nrules:\n- apiGroups:\n  - \"\"\n  verbs:\n  - get\n  - list\n\
             - apiGroups:\n  - \"\"\n  verbs:\n  - get\n  - list\nx: []\n"
        );
        let other = Style {
            sequence_indent: 2,
            mapping_indent: 4,
            flow_lists: true,
            padded: true,
            quotes: Quotes::Single,
            line_end: "\r\n",
        };
        assert_eq!(
            other.block(&role(), 2),
            "  metadata:\r\n      name: a\r\n      labels:\r\n          b: c\r\n  rules:\r\n    - apiGroups: [ '' ]\r\n      \
             verbs: [ 'get', 'list' ]\r\n    - apiGroups: [ '' ]\r\n      verbs: [ 'get', 'list' ]\r\n  x: []\r\n"
        );
        let json = JsonStyle { indent: Some("  ".to_owned()), spaced: true, inline_lists: true, line_end: "\n" };
        let Value::Map(entries) = role() else { unreachable!() };
        assert_eq!(
            json.write(&entries[1].1, "  "),
            "[\n    {\n      \"apiGroups\": [\"\"],\n      \"verbs\": [\"get\", \"list\"]\n    },\n    {\n      \
             \"apiGroups\": [\"\"],\n      \"verbs\": [\"get\", \"list\"]\n    }\n  ]"
        );
    }

    proptest! {
        #[test]
        fn any_string_is_read_back_in_any_style(
            text in "(?s).*|[ a#:-]+\n[ a#:|-]+",
            flow_lists: bool,
            padded: bool,
            sequence_indent in 0usize..5,
            mapping_indent in 1usize..5,
            quotes in prop_oneof![Just(Quotes::None), Just(Quotes::Single), Just(Quotes::Double)],
        ) {
            let style = Style { sequence_indent, mapping_indent, flow_lists, padded, quotes, line_end: "\n" };
            let list = Value::texts([text.clone(), "b".to_owned()]);
            let inner = Value::map([(text.clone(), list.clone()), ("\u{1}b".to_owned(), Value::text(text))]);
            let value = Value::map([("m", inner.clone()), ("l", Value::List(vec![inner.clone(), inner]))]);
            prop_assert_eq!(&read_back(&style.block(&value, 0)), &value);
            prop_assert_eq!(&read_back(&format!("{}\n", style.flow(&value))), &value);
            let indent = padded.then(|| "\t".to_owned());
            let json = JsonStyle { indent, spaced: flow_lists, inline_lists: padded, line_end: "\n" };
            let read: serde_json::Value = serde_json::from_str(&json.write(&value, "")).unwrap();
            prop_assert_eq!(read, as_json(&value));
        }
    }
}
