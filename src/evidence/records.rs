//! Where records end in a text: lines, and JSON values over many lines. What does not fit into memory is taken apart: of an
//! array that is too large each element is a record. So a text may be of any size, and may be cut off anywhere.

use super::escapes;
use super::json::{self, Extent};

/// Zeros in a row that are a hole in a log, and not something between its records.
const HOLE: usize = 8;

/// A piece of text in which every event is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its first line, counted from one.
    pub(super) line: u64,
}

/// What becomes of the text after the records that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// There is none.
    Nothing,
    /// From here on more text is needed.
    Incomplete(usize),
    /// All of the text is one piece that goes on: more memory is needed.
    TooLong,
}

/// Finds records in a text that comes in parts.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// Containers that were taken apart and are still open.
    open: usize,
    /// The line in which the first of them begins.
    open_line: u64,
    /// Lines before.
    lines: u64,
    /// Holes, and the line of the first.
    pub(super) holes: u64,
    pub(super) hole_line: u64,
    /// A hole, unless it reaches to the end.
    zeros: Option<u64>,
}

/// Whether a text ends here, and whether more of it can be had at once.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    is_end: bool,
    may_grow: bool,
}

/// How a record was found to end.
enum Found {
    /// Where a value ends.
    Value(usize),
    /// Where a line ends.
    Line(usize),
    /// Where an event breaks off.
    Cut(usize),
    /// An opening bracket without an end: what is after it is looked at alone.
    Apart(usize),
    /// More text is needed.
    More,
}

impl Splitter {
    /// Returns the line of a container that was never closed.
    pub(super) fn unclosed(&self) -> Option<u64> {
        (self.open > 0).then_some(self.open_line)
    }

    /// Finds the records in a text. `is_end` says that no more of it will come; `may_grow` that a piece which is longer
    /// than the text can be had at once.
    pub(super) fn split(&mut self, text: &[u8], is_end: bool, may_grow: bool, records: &mut Vec<Record>) -> Rest {
        let mut at = 0;
        let mut line = self.lines + 1;
        let mut counted = 0;
        let mut line_end = None;
        let rest = loop {
            let start = self.skip(text, at, line + count_lines(&text[counted..at]));
            line += count_lines(&text[counted..start]);
            counted = start;
            if start == text.len() {
                break Rest::Nothing;
            }
            // The end of a long line is looked for once, and not for each record in it.
            if line_end.is_none_or(|line_end| line_end < start) {
                line_end = Some(end_of_line(text, start));
            }
            let known = line_end.filter(|line_end| *line_end < text.len());
            let found = self.find_end(text, start, known, Bounds { is_end, may_grow });
            let end = match found {
                Found::Value(end) => end,
                Found::Cut(end) => end,
                Found::Line(end) => {
                    let is_after = |byte: &&u8| matches!(byte, b']' | b'}' | b',') || byte.is_ascii_whitespace();
                    let tail = text[start..end].iter().rev().take_while(is_after);
                    let closed = tail.filter(|byte| matches!(byte, b']' | b'}')).count();
                    if next_bracket(text, start, end).is_none() {
                        self.open = self.open.saturating_sub(closed);
                    }
                    end
                }
                Found::Apart(end) => {
                    if self.open == 0 {
                        self.open_line = line;
                    }
                    self.open += 1;
                    end
                }
                Found::More if start > 0 => break Rest::Incomplete(start),
                Found::More => break Rest::TooLong,
            };
            // A bracket alone is no record.
            let is_bracket = matches!(found, Found::Apart(_)) && end == start + 1;
            if !is_bracket {
                records.push(Record { start, end, line });
            }
            at = end;
        };
        let consumed = match rest {
            Rest::Nothing => text.len(),
            Rest::Incomplete(start) => start,
            Rest::TooLong => 0,
        };
        self.lines = line - 1 + count_lines(&text[counted.min(consumed)..consumed]);
        rest
    }

    /// Finds the end of the record that starts at `start`.
    fn find_end(&self, text: &[u8], start: usize, line_end: Option<usize>, bounds: Bounds) -> Found {
        let Bounds { is_end, may_grow } = bounds;
        let mut at = start;
        while let Some(bracket) = next_bracket(text, at, line_end.unwrap_or(text.len())) {
            // A value over many lines in a cell of CSV.
            if let Some(end) = escaped_lines(text, bracket) {
                return if end == text.len() && !is_end && may_grow { Found::More } else { Found::Value(end) };
            }
            match json::extent(text, bracket) {
                Extent::Closed(end) => {
                    // An element of what was taken apart is a record, wherever its line ends.
                    if bracket == start || self.open > 0 || line_end.is_some_and(|line_end| end > line_end) {
                        return Found::Value(end);
                    }
                    at = end;
                }
                Extent::Broken { at: end, is_event } => {
                    // What is in an event is no event, broken or not.
                    if is_event && line_end.is_some_and(|line_end| end > line_end) {
                        return Found::Cut(end);
                    }
                    at = if is_event { end.max(bracket + 1) } else { bracket + 1 };
                }
                Extent::Open { is_event, .. } if is_end => {
                    if is_event {
                        return Found::Cut(text.len());
                    }
                    if bracket == start {
                        return Found::Apart(bracket + 1);
                    }
                    at = bracket + 1;
                }
                Extent::Open { .. } if start > 0 => return Found::More,
                Extent::Open { is_event, string } => {
                    let is_mostly_string = string.is_some_and(|string| string < text.len() / 2);
                    if may_grow && (is_event || is_mostly_string) {
                        return Found::More;
                    }
                    return Found::Apart(bracket + 1);
                }
            }
        }
        match line_end {
            Some(line_end) => Found::Line(line_end),
            None if is_end || !may_grow => Found::Line(text.len()),
            None => Found::More,
        }
    }

    /// Skips what may be between records.
    fn skip(&mut self, text: &[u8], mut at: usize, mut line: u64) -> usize {
        while let Some(byte) = text.get(at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x1e | 0x0c => {
                    line += u64::from(*byte == b'\n');
                    at += 1;
                }
                0xef if text[at..].starts_with("\u{feff}".as_bytes()) => at += "\u{feff}".len(),
                0 => {
                    let zeros = text[at..].iter().take_while(|byte| **byte == 0).count();
                    if zeros >= HOLE && self.zeros.is_none() {
                        self.zeros = Some(line);
                    }
                    at += zeros;
                }
                b']' | b'}' if self.open > 0 => {
                    self.open -= 1;
                    at += 1;
                }
                _ => {
                    // Zeros at the end are room that was reserved.
                    if let Some(line) = self.zeros.take() {
                        self.hole_line = if self.holes == 0 { line } else { self.hole_line };
                        self.holes += 1;
                    }
                    break;
                }
            }
        }
        at
    }
}

/// Finds what ends a line: also zeros, and the character that separates records.
fn end_of_line(text: &[u8], start: usize) -> usize {
    let rest = &text[start..];
    let end = memchr::memchr3(b'\n', b'\r', 0, rest).unwrap_or(rest.len());
    start + memchr::memchr(0x1e, &rest[..end]).unwrap_or(end)
}

fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// Finds the end of a value over many lines whose quotes are escaped or doubled.
fn escaped_lines(text: &[u8], bracket: usize) -> Option<usize> {
    let inner = text.get(bracket + 1..)?;
    let blank =
        inner.iter().take(64).take_while(|byte| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'[')).count();
    let (before, after) = inner.split_at(blank);
    if !before.contains(&b'\n') || !matches!(after, [b'"', b'"', ..] | [b'\\', ..]) {
        return None;
    }
    let whole = text.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default();
    escapes::unescape(whole, bracket).map(|(_, end)| end)
}

fn next_bracket(text: &[u8], from: usize, to: usize) -> Option<usize> {
    memchr::memchr2(b'{', b'[', text.get(from..to)?).map(|found| from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a text that comes in parts of a size.
    fn records(text: &str, size: usize) -> (Vec<(u64, String)>, Splitter) {
        let mut splitter = Splitter::default();
        let mut all = Vec::new();
        let mut buffer = Vec::new();
        let mut window = size;
        let mut rest = text.as_bytes();
        loop {
            let (part, later) = rest.split_at(rest.len().min(window - buffer.len()));
            buffer.extend_from_slice(part);
            rest = later;
            let mut found = Vec::new();
            let state = splitter.split(&buffer, rest.is_empty(), window < 64 << 10, &mut found);
            let text = |record: &Record| String::from_utf8_lossy(&buffer[record.start..record.end]).into_owned();
            all.extend(found.iter().map(|record| (record.line, text(record))));
            match state {
                Rest::Nothing if rest.is_empty() => return (all, splitter),
                Rest::Nothing => buffer.clear(),
                Rest::Incomplete(start) => drop(buffer.drain(..start)),
                Rest::TooLong => window *= 2,
            }
        }
    }

    fn texts(text: &str) -> Vec<String> {
        records(text, 4 << 10).0.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn lines_and_values_over_lines() {
        assert_eq!(texts("a {\"b\":1}\r\nc\n\n  d"), ["a {\"b\":1}", "c", "d"]);
        assert_eq!(texts("{\"a\":1}{\"b\":2}\n{\"c\":3},\n"), ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        assert_eq!(texts("{\n\"a\":1}\n{\n\"b\":2}\n"), ["{\n\"a\":1}", "{\n\"b\":2}"]);
        assert_eq!(texts("x: [\n1]\ny\n"), ["x: [\n1]", "y"]);
        assert_eq!(texts("\u{1e}{\"a\":1}\n\u{1e}{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(records("\n\n{\n}\nx", 100).0, [(3, "{\n}".to_owned()), (5, "x".to_owned())]);
    }

    #[test]
    fn what_is_broken_ends_where_it_breaks() {
        let cut = "{\"auditID\":\"x\",\"user\":{\"username\":\"al\n{\"auditID\":\"y\"}\n";
        assert_eq!(texts(cut), ["{\"auditID\":\"x\",\"user\":{\"username\":\"al", "{\"auditID\":\"y\"}"]);
        let laid_out = "{\n\"auditID\":\"x\",\n\"user\":{\n{\n\"auditID\":\"y\"\n}\n";
        assert_eq!(texts(laid_out), ["{\n\"auditID\":\"x\",\n\"user\":{\n", "{\n\"auditID\":\"y\"\n}"]);
        // An event that is cut off is one record, and nothing in it is looked at alone.
        let (found, splitter) = records("[\n{\"auditID\":1},\n{\"auditID\":2,\n\"a\":{}", 100);
        assert_eq!(found, [(2, "{\"auditID\":1}".to_owned()), (3, "{\"auditID\":2,\n\"a\":{}".to_owned())]);
        assert_eq!(splitter.unclosed(), Some(1));
    }

    #[test]
    fn a_value_that_is_too_large_is_taken_apart() {
        let element = |index: usize| format!("{{\"id\":{index},\"text\":\"{}\"}}", "x".repeat(index % 50));
        let elements: Vec<String> = (0..5_000).map(element).collect();
        for text in [
            format!("{{\"took\":1,\"hits\":{{\"hits\":[{}]}}}}", elements.join(",")),
            format!("{{\n\"hits\": [\n  {}\n]\n}}\n", elements.join(",\n  ")),
        ] {
            let (found, splitter) = records(&text, 1 << 10);
            let whole = found.iter().filter(|(_, text)| text.contains("\"id\"")).count();
            assert!(whole > 100 && splitter.unclosed().is_none(), "{whole}");
            let joined: String = found.iter().map(|(_, text)| text.as_str()).collect();
            assert!(elements.iter().all(|element| joined.contains(element)));
        }
    }

    #[test]
    fn a_cell_of_csv_may_have_lines() {
        let cell = "\"{\n  \"\"a\"\": 1,\n  \"\"b\"\": \"\"x\"\"\n}\"";
        let found = texts(&format!("time,message\n1,{cell}\n2,{cell}\n"));
        assert_eq!(found.iter().filter(|text| text.contains("\n}") && text.contains("{\n")).count(), 2, "{found:?}");
    }

    #[test]
    fn holes_are_seen_and_padding_is_not() {
        let zeros = "\0".repeat(100);
        let (found, splitter) = records(&format!("a\nb{zeros}\nc\n{zeros}"), 1 << 10);
        assert_eq!(found.len(), 3);
        assert_eq!((splitter.holes, splitter.hole_line), (1, 2));
    }
}
