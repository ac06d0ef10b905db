//! The lines of a masked document: which key a line stands under, so that it is known whether more lines there would be keys
//! of an object or belong to something in it.

use super::SEPARATOR;

/// A line that is neither blank nor a comment.
#[derive(Debug)]
struct Line<'m> {
    start: usize,
    /// The column in which it begins.
    column: usize,
    /// The column in which its key begins: behind the dash of an item.
    key_column: usize,
    /// From its key on.
    text: &'m str,
    /// The line under which it stands.
    parent: Option<usize>,
}

impl Line<'_> {
    fn is_item(&self) -> bool {
        self.key_column > self.column
    }

    /// How deep it stands. The items of a list may stand in the column of its key.
    fn depth(&self) -> usize {
        2 * self.column + usize::from(self.is_item())
    }
}

/// The lines of a document.
#[derive(Debug)]
pub(super) struct Outline<'m> {
    lines: Vec<Line<'m>>,
    /// Whether nodes get keys of others, or stand where others are named.
    pub(super) merges: bool,
}

impl<'m> Outline<'m> {
    /// Of the text of a document, of which the first byte stands at an offset.
    pub(super) fn new(document: &'m str, offset: usize) -> Self {
        let mut lines: Vec<Line<'m>> = Vec::new();
        let mut start = offset;
        for text in document.split_inclusive('\n') {
            // What stands behind the mark of a document begins it.
            let (line, column) = match text.strip_prefix(SEPARATOR) {
                Some(line) => (line.trim_start(), 0),
                None => (text.trim_start(), text.len() - text.trim_start().len()),
            };
            let key = line.strip_prefix("- ").map_or(line.strip_prefix("-\n").unwrap_or(line), str::trim_start);
            // Anchors and tags may have a line for themselves.
            let is_mark = line.starts_with(['&', '!']) && !line.contains(':');
            if !line.is_empty() && !is_mark && !line.starts_with('#') {
                let key_column = column + line.len() - key.len();
                // `? key` and `: value` are one.
                let text = lines.last().filter(|_| key.starts_with(':')).map_or(key, |above| above.text);
                let mut line = Line { start, column, key_column, text, parent: None };
                let mut above = lines.len().checked_sub(1);
                while let Some(index) = above.filter(|index| lines[*index].depth() >= line.depth()) {
                    above = lines[index].parent;
                }
                line.parent = above;
                lines.push(line);
            }
            start += text.len();
        }
        let names_others = |line: &Line<'_>| line.text.starts_with("<<") || is_items(line.text);
        let merges = lines.iter().any(|line| names_others(line) && line.text.contains('*'));
        Self { lines, merges }
    }

    /// Whether objects are written in brackets, all of the document or those of a list that begins on the line at a place.
    pub(super) fn is_flow(&self, place: usize) -> bool {
        let begins = |text: &str| text.trim_start().starts_with(['{', '[']);
        let is_document = self.lines.first().is_some_and(|line| begins(line.text));
        let index = self.lines.partition_point(|line| line.start <= place).checked_sub(1);
        let line = index.and_then(|index| self.lines.get(index)).filter(|line| line.start == place);
        is_document
            || line.is_some_and(|line| match line.text.split_once(':') {
                Some((key, list)) if is_items(key) => begins(list) && self.holds_objects(index),
                _ => line.is_item() && begins(line.text) && self.holds_objects(line.parent),
            })
    }

    /// Whether lines that are written at a place, in a column, belong to a key of an object, so that they are no keys of one
    /// themselves.
    pub(super) fn is_below_a_key(&self, place: usize, column: usize) -> bool {
        let mut above = self.lines.partition_point(|line| line.start <= place).checked_sub(1);
        while let Some(line) = above.and_then(|index| self.lines.get(index)).filter(|line| line.column >= column) {
            above = line.parent;
        }
        let Some(line) = above.and_then(|index| self.lines.get(index)) else { return false };
        if line.text.starts_with("<<") {
            return false;
        }
        if line.is_item() && column <= line.key_column {
            // A key of the item, beside its first one.
            return !self.holds_objects(line.parent);
        }
        !self.holds_objects(above)
    }

    /// Whether a line is the key of the objects of a list, as `kubectl` takes it.
    fn holds_objects(&self, index: Option<usize>) -> bool {
        let mut next = index;
        while let Some(line) = next.and_then(|index| self.lines.get(index)) {
            if !is_items(line.text) {
                return false;
            }
            let parent = line.parent.and_then(|parent| self.lines.get(parent));
            next = match parent {
                _ if line.is_item() => line.parent,
                None => return true,
                Some(parent) if parent.is_item() => parent.parent,
                Some(_) => return false,
            };
        }
        false
    }
}

/// Whether a key is that of the objects of a list.
fn is_items(key: &str) -> bool {
    key.trim_start_matches("? ").trim_start_matches(['"', '\'']).starts_with("items")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_in_brackets() {
        for (document, place, expected) in [
            ("{a: b}\n", 0, true),
            ("--- {a: b}\n", 0, true),
            ("items: [{a: b}]\n", 0, true),
            ("items:\n- {a: b}\n", 7, true),
            ("a: {b: c}\n", 0, false),
            ("a:\n- {b: c}\n", 3, false),
        ] {
            assert_eq!(Outline::new(document, 0).is_flow(place), expected, "{document}");
        }
    }

    #[test]
    fn what_stands_below_a_key() {
        let below = |above: &str, column: usize| Outline::new(above, 0).is_below_a_key(above.len(), column);
        for (above, column) in [
            ("a:\n  b: c\n", 2),
            ("a: b\n# c\n\n", 4),
            ("a:\n- b: c\n", 2),
            ("  a: b\n", 4),
            ("items:\n- metadata:\n", 4),
            ("items:\n- a: b\n  metadata:\n", 4),
            ("spec:\n  items:\n  - a: b\n", 4),
            ("---\na: b\n", 2),
        ] {
            assert!(below(above, column), "{above}{column}");
        }
        for (above, column) in [
            ("", 2),
            ("--- # a\n", 2),
            ("a: b\n", 0),
            ("  a: b\n", 2),
            ("items:\n", 2),
            ("items:\n- a: b\n", 2),
            ("items:\n  - a:\n      c: d\n", 4),
            ("items:\n- a: b\n  items:\n  - c: d\n", 4),
            ("items:\n- items:\n  - c: d\n", 4),
            ("items:\n-\n", 2),
        ] {
            assert!(!below(above, column), "{above}{column}");
        }
    }
}
