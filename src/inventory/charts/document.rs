//! One rendered document: its YAML, its unknown parts, and the template positions of its bytes.

use std::ops::Range;
use std::sync::Arc;

use crate::render::{Mark, Marked, Origin, Shape, Survey};
use crate::source::line_breaks_of_go;
use crate::syntax::{Place, PlaceMap, Point, Positions, Stretch, SyntaxError, Tree, parse_made, to_u32};

/// Longest expression shown in messages, in characters.
const MAX_SHOWN: usize = 120;

/// A file of a chart, with an index of its lines.
pub(super) struct File<'s> {
    /// Its name in reports.
    pub(super) name: Arc<str>,
    text: &'s str,
    positions: Positions<'s>,
}

impl<'s> File<'s> {
    pub(super) fn new(name: Arc<str>, text: &'s str) -> Self {
        Self { name, text, positions: Positions::new(text) }
    }

    /// Returns a piece of template code on one line.
    pub(super) fn shown(&self, origin: Origin) -> String {
        let text = self.text.get(origin.start as usize..origin.end as usize).unwrap_or_default();
        // `$` and `.` are the same at the top level.
        let words = text.split_whitespace().map(|word| if word == "$" { "." } else { word });
        let text = words.collect::<Vec<_>>().join(" ").replace("$.", ".");
        match text.char_indices().nth(MAX_SHOWN) {
            None => text,
            Some((end, _)) => format!("{}…", &text[..end]),
        }
    }

    /// Returns the line of a byte, from 1.
    pub(super) fn line(&self, offset: u32) -> u32 {
        self.positions.line(offset as usize)
    }

    fn point(&self, offset: u32) -> Point {
        let (line, column) = self.positions.position(offset as usize);
        Point { offset, line, column }
    }
}

/// Lines whose content is unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnknownLines {
    /// The first byte.
    pub(super) offset: usize,
    /// Their indentation.
    pub(super) column: usize,
    /// The expression that writes them.
    pub(super) origin: Origin,
    /// Its place.
    pub(super) place: Place,
}

/// A rendered document.
pub(super) struct Document<'s> {
    /// The text.
    pub(super) text: &'s Marked,
    /// The template that most of it comes from, as an index into the survey's files.
    pub(super) main: u32,
    /// Whether it is unconditional literal text of that file.
    pub(super) is_plain: bool,
    map: Arc<PlaceMap>,
    /// Start offset of each mark.
    starts: Vec<usize>,
}

impl<'s> Document<'s> {
    /// Maps a document of one template.
    pub(super) fn new(text: &'s Marked, template: u32, survey: &Survey, files: &[File<'_>]) -> Self {
        let main = main_file(text, template, survey);
        let is_plain = matches!(&text.marks[..], [mark] if is_exact(mark, main) && mark.guard.0 == 0);
        let map = files.get(main as usize).map(|file| place_map(text, main, file));
        let map = Arc::new(map.unwrap_or_else(|| PlaceMap::of_stretches([])));
        let starts = text.marks.iter().scan(0, |at, mark| {
            let start = *at;
            *at += mark.length as usize;
            Some(start)
        });
        let starts = starts.collect();
        Self { text, main, is_plain, map, starts }
    }

    /// Returns the template position of a byte.
    pub(super) fn place(&self, offset: usize) -> Place {
        let at = to_u32(offset);
        self.map.locate(Place { offset: at, length: 1, line: 1, column: 1, end_line: 1, end_column: 2 })
    }

    /// Parses the document. Unknown parts of scalars become `{{ expression }}`; unknown lines are left out and returned.
    pub(super) fn parse(&self, files: &[File<'_>]) -> (Vec<Tree<'s>>, Option<SyntaxError>, Vec<UnknownLines>) {
        let (masked, unknown_lines) = self.masked();
        let masked = line_breaks_of_go(&masked);
        let mut reveal = |range: Range<usize>, _: bool| self.reveal(range, files);
        let (trees, error) = parse_made(&self.text.text, &masked, &mut reveal, &self.map);
        (trees, error, unknown_lines)
    }

    /// Blanks out unknown lines.
    fn masked(&self) -> (String, Vec<UnknownLines>) {
        let text = &self.text.text;
        let mut unknown_lines = Vec::new();
        if self.text.marks.iter().all(|mark| mark.shape.is_none()) {
            return (text.clone(), unknown_lines);
        }
        let mut bytes = text.clone().into_bytes();
        let mut line = 0..0;
        for (mark, start) in self.text.marks.iter().zip(&self.starts) {
            let range = *start..start + mark.length as usize;
            if mark.shape.is_none_or(|shape| shape < Shape::Text) || range.end <= line.start {
                continue;
            }
            if range.start >= line.end {
                let from = text.get(..range.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
                let rest = text.get(range.end..).unwrap_or_default();
                line = from..rest.find('\n').map_or(text.len(), |at| range.end + at);
            }
            let before = text.get(line.start..range.start).unwrap_or_default();
            let after = text.get(range.end..line.end).unwrap_or_default();
            if is_blank(before) && is_blank(after) {
                unknown_lines.push(UnknownLines {
                    offset: range.start,
                    column: before.chars().count(),
                    origin: mark.origin,
                    place: self.place(range.start),
                });
                for byte in bytes.get_mut(range).unwrap_or_default() {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
            }
        }
        (String::from_utf8(bytes).unwrap_or_default(), unknown_lines)
    }

    /// Returns the value of a scalar with `{{ expression }}` for its unknown parts; none if it is fully known.
    fn reveal(&self, range: Range<usize>, files: &[File<'_>]) -> Option<String> {
        let source = self.text.text.get(range.clone())?;
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let marks = self.text.marks.iter().zip(&self.starts).skip(first);
        let marks = marks.take_while(|(_, start)| **start < range.end);
        let is_known = |mark: &Mark| mark.shape.is_none() && !is_of_release(mark);
        if marks.clone().all(|(mark, start)| is_known(mark) || start + mark.length as usize <= range.start) {
            return None;
        }
        // Text with several lines is not a name.
        if source.starts_with(['|', '>']) || source.contains('\n') {
            return None;
        }
        let mut revealed = String::new();
        for (mark, start) in marks {
            let own = (*start).max(range.start)..(start + mark.length as usize).min(range.end);
            match expression(mark, files) {
                Some(expression) if own.start < own.end => revealed.push_str(&expression),
                _ => revealed.push_str(self.text.text.get(own).unwrap_or_default()),
            }
        }
        let quote = source.chars().next().filter(|c| matches!(c, '"' | '\''));
        let inner = quote.and_then(|quote| revealed.strip_prefix(quote)?.strip_suffix(quote).map(str::to_owned));
        Some(inner.unwrap_or(revealed))
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ')
}

/// Reports whether a mark is literal text of a file.
fn is_exact(mark: &Mark, file: u32) -> bool {
    mark.origin.file == file && mark.origin.end - mark.origin.start == mark.length && mark.shape.is_none()
}

/// Returns the template that most literal text comes from, which may be a helper.
fn main_file(text: &Marked, template: u32, survey: &Survey) -> u32 {
    let mut bytes: Vec<(u32, u32)> = Vec::new();
    for mark in text.marks.iter().filter(|mark| is_exact(mark, mark.origin.file)) {
        match bytes.iter_mut().find(|(file, _)| *file == mark.origin.file) {
            Some((_, count)) => *count += mark.length,
            None => bytes.push((mark.origin.file, mark.length)),
        }
    }
    let is_template = |file: u32| {
        let file = survey.files.get(file as usize);
        file.is_some_and(|file| file.path.split('/').any(|part| part == "templates"))
    };
    let best = bytes.into_iter().filter(|(file, _)| is_template(*file)).max_by_key(|(file, count)| (*count, *file));
    best.map_or(template, |(file, _)| file)
}

/// Maps rendered bytes to template positions. Text from other files maps to the directive that inserts it.
fn place_map(text: &Marked, main: u32, file: &File<'_>) -> PlaceMap {
    // For each mark, the next literal one.
    let mut next_exact = vec![None; text.marks.len()];
    let mut next = None;
    for (index, mark) in text.marks.iter().enumerate().rev() {
        next_exact[index] = next;
        next = if is_exact(mark, main) { Some(mark) } else { next };
    }
    let mut stretches = Vec::new();
    let (mut at, mut before) = (0, None);
    let mut column = 1;
    for (index, mark) in text.marks.iter().enumerate() {
        let piece = text.text.get(at..at + mark.length as usize).unwrap_or_default();
        let from = to_u32(at);
        if is_exact(mark, main) {
            let mut offset = 0;
            for line in piece.split_inclusive('\n') {
                let start = file.point(mark.origin.start + to_u32(offset));
                stretches.push(Stretch { from: from + to_u32(offset), column, start, end: None });
                offset += line.len();
                column = if line.ends_with('\n') { 1 } else { column + to_u32(line.chars().count()) };
            }
            before = Some(mark.origin.end);
        } else if mark.length > 0 {
            let (start, end) = match (before, next_exact.get(index).copied().flatten()) {
                (Some(start), Some(next)) if next.origin.start >= start => (start, next.origin.start),
                (Some(start), _) => (start, start),
                (None, Some(next)) => (next.origin.start, next.origin.start),
                (None, None) if mark.origin.file == main => (mark.origin.start, mark.origin.end),
                (None, None) => (0, 0),
            };
            let (start, end) = directive(file.text, start as usize, end as usize);
            let (start, end) = (file.point(start), file.point(end));
            stretches.push(Stretch { from, column, start, end: Some(end) });
            let last = piece.rsplit('\n').next().unwrap_or_default();
            let width = to_u32(last.chars().count());
            column = if piece.contains('\n') { width + 1 } else { column + width };
        }
        at += mark.length as usize;
    }
    PlaceMap::of_stretches(stretches)
}

/// Returns the last directive in a range, without surrounding blanks.
fn directive(text: &str, start: usize, end: usize) -> (u32, u32) {
    let within = text.get(start..end).unwrap_or_default();
    let end = start + within.trim_end().len();
    let from = text.get(start..end).and_then(|within| within.rfind("{{")).map_or(start, |at| start + at);
    (to_u32(from), to_u32(end))
}

fn is_of_release(mark: &Mark) -> bool {
    mark.origin == Origin::RELEASE_NAME || mark.origin == Origin::RELEASE_NAMESPACE
}

/// Returns the expression behind an unknown mark.
pub(super) fn expression(mark: &Mark, files: &[File<'_>]) -> Option<String> {
    if !is_of_release(mark) && mark.shape.is_none() {
        return None;
    }
    if mark.origin == Origin::RELEASE_NAME {
        return Some("{{ .Release.Name }}".to_owned());
    }
    if mark.origin == Origin::RELEASE_NAMESPACE {
        return Some("{{ .Release.Namespace }}".to_owned());
    }
    Some(shown(mark.origin, files))
}

/// Returns an expression as `{{ … }}`.
pub(super) fn shown(origin: Origin, files: &[File<'_>]) -> String {
    let code = files.get(origin.file as usize).map(|file| file.shown(origin)).unwrap_or_default();
    format!("{{{{ {code} }}}}")
}
