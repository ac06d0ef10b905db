//! Where something stands in a file.

use std::ops::Range;

/// A range of a file on disk.
///
/// Lines and columns count from 1, columns in Unicode scalar values; `offset` and `length` are
/// bytes. A line ends at a line feed, a carriage return or both, as YAML has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// First byte, from the start of the file.
    pub offset: u32,
    /// Number of bytes.
    pub length: u32,
    /// Line of the first byte.
    pub line: u32,
    /// Column of the first byte.
    pub column: u32,
    /// Line of the byte after the last.
    pub end_line: u32,
    /// Column of the byte after the last.
    pub end_column: u32,
}

impl Place {
    /// The place of `text`, which starts at the given position.
    pub(crate) fn of_text(text: &str, offset: u32, line: u32, column: u32) -> Self {
        let (end_line, end_column) = advance(text, line, column);
        Self { offset, length: to_u32(text.len()), line, column, end_line, end_column }
    }

    /// Where it starts, and nothing of it.
    pub(crate) fn start(self) -> Self {
        Self { length: 0, end_line: self.line, end_column: self.column, ..self }
    }

    /// The byte after the last.
    pub fn end(&self) -> u32 {
        self.offset.saturating_add(self.length)
    }
}

/// Finds the places of many ranges of one text.
pub(crate) struct LineIndex<'t> {
    text: &'t str,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    /// Finds the lines of a text.
    pub(crate) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let breaks = memchr::memchr2_iter(b'\n', b'\r', bytes);
        let ends = breaks.filter(|at| bytes.get(*at) == Some(&b'\n') || bytes.get(at + 1) != Some(&b'\n'));
        Self { text, starts: std::iter::once(0).chain(ends.map(|at| at + 1)).collect() }
    }

    /// Returns the range of the line around an offset, without its end.
    pub(crate) fn line_around(&self, offset: usize) -> Range<usize> {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or_default();
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or_default();
        start..start + text.trim_end_matches(['\n', '\r']).len()
    }

    /// Returns the line of a byte, from 1, and the byte with which it starts.
    pub(crate) fn start_of_line(&self, offset: usize) -> (u32, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or_default();
        (to_u32(line), start)
    }

    /// Returns the place of a range.
    pub(crate) fn place(&self, range: Range<usize>) -> Place {
        let (line, start) = self.start_of_line(range.start);
        let column = to_u32(self.text.get(start..range.start).unwrap_or_default().chars().count()).saturating_add(1);
        let offset = to_u32(range.start);
        Place::of_text(self.text.get(range).unwrap_or_default(), offset, line, column)
    }
}

/// Finds lines and columns. Fast for increasing offsets, even on very long lines.
pub(crate) struct Positions<'t> {
    lines: LineIndex<'t>,
    /// The last offset and its column.
    known: std::cell::Cell<(usize, u32)>,
}

impl<'t> Positions<'t> {
    /// Finds the lines of a text.
    pub(crate) fn new(text: &'t str) -> Self {
        Self { lines: LineIndex::new(text), known: std::cell::Cell::new((0, 1)) }
    }

    /// Returns the line of a byte.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        self.lines.start_of_line(offset).0
    }

    /// Returns the line and the column of a byte.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let (line, start) = self.lines.start_of_line(offset);
        let (known, column) = self.known.get();
        let (from, column) = if (start..=offset).contains(&known) { (known, column) } else { (start, 1) };
        let between = self.lines.text.get(from..offset).unwrap_or_default();
        let column = column.saturating_add(to_u32(between.chars().count()));
        self.known.set((offset, column));
        (line, column)
    }
}

/// The position after `text`, for a text that starts at `line` and `column`.
pub(crate) fn advance(text: &str, line: u32, column: u32) -> (u32, u32) {
    let (breaks, last_line) = line_breaks(text.as_bytes());
    let characters = to_u32(text.get(last_line..).unwrap_or_default().chars().count());
    if breaks == 0 { (line, column.saturating_add(characters)) } else { (line.saturating_add(breaks), characters + 1) }
}

/// Number of line breaks in `bytes`, and the offset of what follows the last one.
pub(crate) fn line_breaks(bytes: &[u8]) -> (u32, usize) {
    let mut count = 0u32;
    let mut last = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
        // CR LF is one break; it is counted at its LF.
        if bytes.get(at) == Some(&b'\r') && bytes.get(at + 1) == Some(&b'\n') {
            continue;
        }
        count = count.saturating_add(1);
        last = at + 1;
    }
    (count, last)
}

/// Files are bounded well below 4 GiB (`source::Limits`), so offsets fit.
pub(crate) fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_kind_of_line_break_once() {
        assert_eq!(line_breaks(b"a\nb\r\nc\rd"), (3, 7));
        assert_eq!(advance("a\r\nbc", 4, 9), (5, 3));
        assert_eq!(advance("ab", 4, 9), (4, 11));
    }

    #[test]
    fn columns_count_characters_and_lengths_bytes() {
        let place = Place::of_text("añ😀", 10, 1, 3);
        assert_eq!((place.length, place.end_column, place.end()), (7, 6, 17));
    }

    #[test]
    fn an_index_finds_the_places_that_counting_finds() {
        let text = "a\nñb\r\n\rc\n";
        let index = LineIndex::new(text);
        for (start, c) in text.char_indices() {
            let (line, column) = advance(&text[..start], 1, 1);
            // Between CR and LF a line has not ended yet.
            if c != '\n' || !text[..start].ends_with('\r') {
                let expected = Place::of_text(&text[start..start + c.len_utf8()], start as u32, line, column);
                assert_eq!(index.place(start..start + c.len_utf8()), expected, "{start}");
            }
        }
        assert_eq!(index.place(text.len()..text.len()).line, 5);
        assert_eq!(
            LineIndex::new("").place(0..0),
            Place { line: 1, column: 1, end_line: 1, end_column: 1, ..Place::default() }
        );
    }
}
