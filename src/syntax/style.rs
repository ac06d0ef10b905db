//! How a document is laid out, so that what is added to it looks like it.

use super::edit::dash;
use super::tree::Node;
use super::write::{JsonStyle, Quotes, Style, is_plain};
use super::{Entry, NodeKind};

/// How deep a document is looked at.
const MAX_DEPTH: usize = 8;

/// What ends the lines of a text: what ends the first one.
pub fn line_end(text: &str) -> &'static str {
    let first = text.find('\n').and_then(|end| text.get(..end));
    if first.is_some_and(|line| line.ends_with('\r')) { "\r\n" } else { "\n" }
}

impl Style {
    /// The style of an object in a YAML document: what most of its lists do, and its first indentations.
    pub fn of(node: Node<'_>) -> Self {
        let mut seen = Seen::default();
        seen.look(node, 0);
        let quotes = match (seen.plain, seen.single, seen.double) {
            (plain, single, double) if double > plain && double >= single => Quotes::Double,
            (plain, single, _) if single > plain => Quotes::Single,
            _ => Quotes::None,
        };
        let default = Self::default();
        Self {
            sequence_indent: seen.sequence_indent.unwrap_or(default.sequence_indent),
            mapping_indent: seen.mapping_indent.filter(|indent| *indent > 0).unwrap_or(default.mapping_indent),
            flow_lists: seen.flow > seen.block,
            padded: 2 * seen.padded > seen.flow,
            quotes,
            line_end: line_end(node.document().0),
        }
    }
}

/// What an object's lists look like.
#[derive(Default)]
struct Seen {
    sequence_indent: Option<usize>,
    mapping_indent: Option<usize>,
    flow: usize,
    block: usize,
    padded: usize,
    plain: usize,
    single: usize,
    double: usize,
}

impl Seen {
    fn look(&mut self, node: Node<'_>, depth: usize) {
        if node.is_alias() || depth > MAX_DEPTH {
            return;
        }
        for Entry { key, value } in node.entries() {
            if !node.is_flow() && !value.is_alias() {
                self.indentation(key, value);
            }
            self.look(value, depth + 1);
        }
        let mut items = node.items().peekable();
        if items.peek().is_none() {
            return;
        }
        if items.all(|item| matches!(item.kind(), NodeKind::String(_))) {
            self.list(node);
        }
        node.items().for_each(|item| self.look(item, depth + 1));
    }

    fn indentation(&mut self, key: Node<'_>, value: Node<'_>) {
        let column = key.column();
        if value.is_flow() {
            return;
        }
        match value.kind() {
            NodeKind::Mapping => {
                self.mapping_indent.get_or_insert(value.column().saturating_sub(column));
            }
            NodeKind::Sequence => {
                if let Some(dash) = value.items().next().and_then(dash) {
                    self.sequence_indent.get_or_insert(dash.column.saturating_sub(column));
                }
            }
            _ => {}
        }
    }

    fn list(&mut self, node: Node<'_>) {
        if node.is_flow() {
            self.flow += 1;
            self.padded += usize::from(node.source().starts_with("[ "));
        } else {
            self.block += 1;
        }
        for item in node.items().filter(|item| item.as_str().is_some_and(|text| is_plain(&text))) {
            match item.source().as_bytes().first() {
                Some(b'"') => self.double += 1,
                Some(b'\'') => self.single += 1,
                _ => self.plain += 1,
            }
        }
    }
}

impl JsonStyle {
    /// The style of an object in a JSON document.
    pub fn of(node: Node<'_>) -> Self {
        let (text, _) = node.document();
        let first = node.entries().next();
        let indent = first.filter(|_| node.source().contains('\n')).map(|entry| {
            let (outer, inner) = (indentation(text, node.start()), indentation(text, entry.key.start()));
            inner.strip_prefix(outer).filter(|step| !step.is_empty()).unwrap_or("  ").to_owned()
        });
        let spaced = first.is_none_or(|entry| {
            let behind = text.get(entry.key.start() + entry.key.source().len()..).unwrap_or_default();
            behind.starts_with(": ")
        });
        let mut lists = Vec::new();
        string_lists(node, 0, &mut lists);
        let inline_lists = lists.iter().filter(|inline| **inline).count() * 2 > lists.len();
        Self { indent, spaced, inline_lists, line_end: line_end(text) }
    }
}

/// Whether each list of strings is on one line.
fn string_lists(node: Node<'_>, depth: usize, lists: &mut Vec<bool>) {
    if depth > MAX_DEPTH {
        return;
    }
    if node.items().next().is_some() && node.items().all(|item| matches!(item.kind(), NodeKind::String(_))) {
        lists.push(!node.source().contains('\n'));
    }
    let children = node.entries().map(|entry| entry.value).chain(node.items());
    children.for_each(|child| string_lists(child, depth + 1, lists));
}

/// The blanks at the beginning of the line on which `at` stands.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(line..).unwrap_or_default();
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..blank).unwrap_or_default()
}
