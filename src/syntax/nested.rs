//! Text within a scalar: a manifest that is written in a string of another one, and where its bytes stand in the file.

use std::sync::Arc;

use super::parse::{SyntaxError, parse_documents};
use super::place::{Place, to_u32};
use super::tree::{Node, Style, Tree};

/// Beyond this many stretches a text counts as standing nowhere but in its scalar: input is hostile, and may be nothing
/// but escapes.
const MAX_SEGMENTS: usize = 1 << 20;

/// Where the text of a scalar stands in its file.
#[derive(Debug)]
pub struct PlaceMap {
    /// Stretches of the text that stand in the file byte by byte, in their order; none where the text is folded or
    /// encoded.
    segments: Vec<Segment>,
    /// The scalar.
    whole: Place,
    /// Where the document of the scalar stands, if that is itself the text of a scalar.
    outer: Option<Arc<PlaceMap>>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    /// First byte in the text, and its column there.
    from: u32,
    column: u32,
    /// Where that stands in the document of the scalar.
    to: Point,
    /// End of the whole range, if its bytes do not map one by one.
    whole: Option<Point>,
}

/// A position in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The byte, from the start of the file.
    pub offset: u32,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub column: u32,
}

/// A piece of generated text and its source.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// First byte in the text.
    pub from: u32,
    /// Its column in the text.
    pub column: u32,
    /// Start of the source.
    pub start: Point,
    /// End of the source; none if the bytes map one by one.
    pub end: Option<Point>,
}

/// Parses generated text. Places are mapped to the source by `map`; `reveal` works as in [`super::parse_masked`].
pub fn parse_made<'s>(
    text: &'s str,
    masked: &str,
    reveal: &mut dyn FnMut(std::ops::Range<usize>, bool) -> Option<String>,
    map: &Arc<PlaceMap>,
) -> (Vec<Tree<'s>>, Option<SyntaxError>) {
    let lines = super::place::Positions::new(text);
    let locate = |offset: usize| lines.position(offset);
    let (mut trees, error) = super::parse::parse_masked(text, masked, 0, reveal, &locate);
    for tree in &mut trees {
        tree.map = Some(Arc::clone(map));
    }
    let error = error.map(|error| SyntaxError { place: map.locate(error.place), ..error });
    (trees, error)
}

/// Parses text that stands in a scalar, from `base_offset` and `base_line` of it on, like [`parse_documents`]. The places
/// of its nodes are those in the file.
pub fn parse_nested<'s>(
    text: &'s str,
    base_offset: usize,
    base_line: u32,
    map: &Arc<PlaceMap>,
) -> (Vec<Tree<'s>>, Option<SyntaxError>) {
    let (mut trees, error) = parse_documents(text, base_offset, base_line);
    for tree in &mut trees {
        tree.map = Some(Arc::clone(map));
    }
    (trees, error)
}

impl PlaceMap {
    /// Creates the map of a generated text from its pieces, in order.
    pub fn of_stretches(stretches: impl IntoIterator<Item = Stretch>) -> Self {
        let segments = stretches.into_iter().map(|stretch| Segment {
            from: stretch.from,
            column: stretch.column,
            to: stretch.start,
            whole: stretch.end,
        });
        Self { segments: segments.collect(), whole: Place::default(), outer: None }
    }

    /// The place in the file of something in the text.
    pub(crate) fn locate(&self, place: Place) -> Place {
        if self.segments.is_empty() {
            return self.whole;
        }
        let start = self.point(place.offset, place.column);
        let end = if place.length == 0 { start } else { self.end_of(place) };
        let length = end.offset.saturating_sub(start.offset);
        let place = Place {
            offset: start.offset,
            length,
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        };
        match &self.outer {
            Some(outer) => outer.locate(place),
            None => place,
        }
    }

    /// Whether the bytes of the text stand in the file one by one.
    pub fn is_exact(&self) -> bool {
        !self.segments.is_empty() && self.outer.as_ref().is_none_or(|outer| outer.is_exact())
    }

    fn segment(&self, offset: u32) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.from <= offset);
        self.segments.get(after.saturating_sub(1))
    }

    fn point(&self, offset: u32, column: u32) -> Point {
        let whole = Point { offset: self.whole.offset, line: self.whole.line, column: self.whole.column };
        self.segment(offset).map_or(whole, |segment| match segment.whole {
            Some(_) => segment.to,
            None => Point {
                offset: segment.to.offset + offset.saturating_sub(segment.from),
                line: segment.to.line,
                column: segment.to.column + column.saturating_sub(segment.column),
            },
        })
    }

    /// The point behind the last byte, which may stand before an escape or a line break.
    fn end_of(&self, place: Place) -> Point {
        let last = self.segment(place.end().saturating_sub(1));
        let next = self.segment(place.end());
        match (last, next) {
            (Some(Segment { whole: Some(end), .. }), _) => *end,
            (Some(last), Some(next)) if last.from == next.from => self.point(place.end(), place.end_column),
            // A stretch ends here: its columns run on.
            (Some(last), _) => {
                let bytes = place.end().saturating_sub(last.from);
                let characters = if place.end_column > last.column { place.end_column - last.column } else { bytes };
                Point { offset: last.to.offset + bytes, line: last.to.line, column: last.to.column + characters }
            }
            _ => self.point(place.end(), place.end_column),
        }
    }
}

impl<'t> Node<'t> {
    /// Where the text of a string node stands in the file. `text` is that text, or what is encoded in it.
    pub fn place_map(self, text: &str) -> Arc<PlaceMap> {
        let (source, style) = self.scalar_source();
        let segments = match style {
            Style::Block => self.lines(text),
            Style::Plain if source == text && !text.contains(['\n', '\r']) => Some(self.verbatim()),
            Style::Quoted => self.unquoted(source, text),
            Style::Plain => None,
        };
        let segments = segments.filter(|segments| segments.len() <= MAX_SEGMENTS).unwrap_or_default();
        let outer = self.tree_map().filter(|_| !segments.is_empty());
        Arc::new(PlaceMap { segments, whole: self.place(), outer })
    }

    fn verbatim(self) -> Vec<Segment> {
        let start = self.own_place();
        let to = Point { offset: start.offset, line: start.line, column: start.column };
        vec![Segment { from: 0, column: 1, to, whole: None }]
    }

    /// A block scalar whose lines stand in the file as they are, but for their indentation.
    fn lines(self, text: &str) -> Option<Vec<Segment>> {
        let start = self.own_place();
        let blank = text.len() - text.trim_start_matches('\n').len();
        let mut from = blank;
        let body = text.get(blank..)?;
        let rest = self.text_from_line()?;
        let (mut offset, mut line) = (start.offset - (start.column - 1), start.line);
        let mut segments = Vec::new();
        let mut written = rest;
        for value in body.split_inclusive('\n') {
            let length = written.find(['\n', '\r']).unwrap_or(written.len());
            let source = written.get(..length)?;
            let value_line = value.trim_end_matches('\n');
            let indent = source.strip_suffix(value_line).or_else(|| value_line.is_empty().then_some(source))?;
            if !indent.bytes().all(|byte| byte == b' ') {
                return None;
            }
            let indent = to_u32(indent.len());
            let to = Point { offset: offset + indent, line, column: indent + 1 };
            segments.push(Segment { from: to_u32(from), column: 1, to, whole: None });
            from += value.len();
            let after = written.get(length..)?;
            let breaks = if after.starts_with("\r\n") { 2 } else { after.len().min(1) };
            written = after.get(breaks..)?;
            offset += to_u32(length + breaks);
            line += 1;
        }
        Some(segments)
    }

    /// A quoted scalar on one line, escape by escape.
    fn unquoted(self, source: &str, text: &str) -> Option<Vec<Segment>> {
        let quote = source.chars().next()?;
        let inner = source.get(1..source.len().checked_sub(1)?)?;
        if inner == text {
            return if text.contains(['\n', '\r']) { None } else { Some(self.verbatim()) };
        }
        let start = self.own_place();
        let mut decoded = String::with_capacity(text.len());
        let mut segments: Vec<Segment> = Vec::new();
        let (mut at, mut column, mut nested_column, mut is_new) = (0, 0, 1, true);
        while let Some(c) = inner.get(at..)?.chars().next() {
            let (value, length) = match (quote, c) {
                (_, '\n' | '\r') => return None,
                ('"', '\\') => escaped(inner.get(at..)?)?,
                ('\'', '\'') => ('\'', 2),
                _ => (c, c.len_utf8()),
            };
            let is_escape = length != c.len_utf8();
            if is_new || is_escape {
                if segments.len() >= MAX_SEGMENTS {
                    return None;
                }
                let to = Point { offset: start.offset + to_u32(at), line: start.line, column: start.column + column };
                segments.push(Segment { from: to_u32(decoded.len()), column: nested_column, to, whole: None });
            }
            is_new = is_escape;
            decoded.push(value);
            column += to_u32(inner.get(at..at + length)?.chars().count());
            nested_column = if value == '\n' { 1 } else { nested_column + 1 };
            at += length;
        }
        // Whatever the parser understands differently stands nowhere in particular.
        (decoded == text).then_some(segments)
    }
}

/// The character that an escape of a double-quoted scalar stands for, and the length of the escape.
fn escaped(text: &str) -> Option<(char, usize)> {
    let hex = |from: usize, digits: usize| u32::from_str_radix(text.get(from..from + digits)?, 16).ok();
    let simple = match text.chars().nth(1)? {
        'n' => '\n',
        't' | '\t' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        '0' => '\0',
        'a' => '\u{7}',
        'v' => '\u{b}',
        'e' => '\u{1b}',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        c @ ('"' | '\\' | '/' | ' ') => c,
        'x' => return Some((char::from_u32(hex(2, 2)?)?, 4)),
        'U' => return Some((char::from_u32(hex(2, 8)?)?, 10)),
        'u' => {
            let first = hex(2, 4)?;
            if !(0xd800..0xdc00).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            // JSON writes what is beyond 16 bits as two escapes.
            let second = text.get(6..8).filter(|mark| *mark == "\\u").and_then(|_| hex(8, 4))?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            return Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?, 12));
        }
        _ => return None,
    };
    Some((simple, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes in the file of each string in the list `verbs` of the manifest in the only value of a mapping.
    fn verbs(file: &str) -> (Vec<(String, u32, u32)>, bool) {
        let (trees, error) = parse_documents(file, 0, 1);
        assert_eq!(error, None, "{file}");
        let node = trees[0].root().unwrap().entries().next().unwrap().value;
        let text = node.as_str().unwrap();
        let map = node.place_map(&text);
        let (nested, error) = parse_nested(&text, 0, 1, &map);
        assert_eq!(error, None, "{text}");
        let list = nested[0].root().unwrap().entries().find(|entry| entry.key.source() == "verbs").unwrap().value;
        let place =
            |place: Place| (file[place.offset as usize..place.end() as usize].to_owned(), place.line, place.column);
        (list.items().map(|item| place(item.place())).collect(), map.is_exact())
    }

    #[test]
    fn every_scalar_keeps_its_own_bytes() {
        for (file, line, column) in [
            ("a: |\n  x: é\n\n  verbs: [get, impersonate]\nb: c\n", 4, 16),
            ("a: |-\r\n    x: y\r\n    verbs:\r\n    - get\r\n    - impersonate", 5, 7),
            ("a: |2\n\n   # c\n  verbs:\n  - get\n  - \"impersonate\"\n", 6, 6),
            ("{\"a\": \"x: \\u00e9\\nverbs: [get, \\\"impersonate\\\"]\\n\"}", 1, 34),
            ("a: \"verbs: [get, impersonate]\"\n", 1, 18),
            ("a: '{verbs: [get, ''impersonate'']}'\n", 1, 21),
        ] {
            let (found, exact) = verbs(file);
            assert!(exact, "{file:?}");
            assert_eq!(found.last(), Some(&("impersonate".to_owned(), line, column)), "{file:?}");
        }
    }

    #[test]
    fn what_is_folded_stands_in_its_scalar() {
        let (found, exact) = verbs("a: >\n  {verbs: [get,\n  impersonate]}\n");
        assert!(!exact);
        assert_eq!((found[1].0.as_str(), found[1].1), ("{verbs: [get,\n  impersonate]}", 2));
    }

    #[test]
    fn text_in_text_in_text() {
        let file = "{\"a\": \"b: |\\n  verbs:\\n  - impersonate\\n\"}";
        let (trees, _) = parse_documents(file, 0, 1);
        let node = trees[0].root().unwrap().entries().next().unwrap().value;
        let text = node.as_str().unwrap();
        let (middle, _) = parse_nested(&text, 0, 1, &node.place_map(&text));
        let node = middle[0].root().unwrap().entries().next().unwrap().value;
        let text = node.as_str().unwrap();
        let (inner, _) = parse_nested(&text, 0, 1, &node.place_map(&text));
        let verb = inner[0].root().unwrap().entries().next().unwrap().value.items().next().unwrap().place();
        assert_eq!(&file[verb.offset as usize..verb.end() as usize], "impersonate");
    }
}
