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
pub(super) struct Outline<'m>(Vec<Line<'m>>);

impl<'m> Outline<'m> {
    /// Of the text of a document, of which the first byte stands at an offset.
    pub(super) fn new(document: &'m str, offset: usize) -> Self {
        let mut lines: Vec<Line<'m>> = Vec::new();
        let mut start = offset;
        for text in document.split_inclusive('\n') {
            let line = text.trim_start();
            let column = text.len() - line.len();
            let key = line.strip_prefix("- ").map_or(line.strip_prefix("-\n").unwrap_or(line), str::trim_start);
            if !line.is_empty() && !line.starts_with('#') && !text.starts_with(SEPARATOR) {
                let key_column = column + line.len() - key.len();
                let mut line = Line { start, column, key_column, text: key, parent: None };
                let mut above = lines.len().checked_sub(1);
                while let Some(index) = above.filter(|index| lines[*index].depth() >= line.depth()) {
                    above = lines[index].parent;
                }
                line.parent = above;
                lines.push(line);
            }
            start += text.len();
        }
        Self(lines)
    }

    /// Whether the document is written in brackets.
    pub(super) fn is_flow(&self) -> bool {
        self.0.first().is_some_and(|line| line.text.starts_with(['{', '[']))
    }

    /// Whether lines that are written at a place, in a column, belong to a key of an object, so that they are no keys of one
    /// themselves.
    pub(super) fn is_below_a_key(&self, place: usize, column: usize) -> bool {
        let mut above = self.0.partition_point(|line| line.start <= place).checked_sub(1);
        while let Some(line) = above.and_then(|index| self.0.get(index)).filter(|line| line.column >= column) {
            above = line.parent;
        }
        let Some(line) = above.and_then(|index| self.0.get(index)) else { return false };
        if line.is_item() && column <= line.key_column {
            // A key of the item, beside its first one.
            return !self.holds_objects(line.parent);
        }
        !self.holds_objects(above)
    }

    /// Whether a line is the key of the objects of a list, as `kubectl` takes it.
    fn holds_objects(&self, index: Option<usize>) -> bool {
        let mut next = index;
        while let Some(line) = next.and_then(|index| self.0.get(index)) {
            if !line.text.starts_with("items:") {
                return false;
            }
            let parent = line.parent.and_then(|parent| self.0.get(parent));
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

#[cfg(test)]
mod tests {
    use super::*;

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
