//! The documents of a file: where they are, and whether all readers read them alike.

use std::borrow::Cow;
use std::str;

use crate::source::{Piece, line_breaks_of_go, split_documents};
use crate::syntax::{Departure, SyntaxError, Tree, line_breaks, parse_documents};

/// A line separator that is one for some readers only, if it was replaced.
pub(super) fn line_separator(text: &str, is_replaced: bool) -> Option<Departure> {
    let found = || text.find(['\u{85}', '\u{2028}', '\u{2029}']);
    is_replaced.then(|| Departure::line_separator(found().unwrap_or_default()))
}

/// What a piece of a file holds.
pub(super) struct Parsed<'t> {
    pub(super) trees: Vec<Tree<'t>>,
    pub(super) error: Option<SyntaxError>,
    /// The pieces that it falls into, if it is a stream of JSON; then there are neither trees nor an error.
    pub(super) values: Option<Vec<Piece>>,
    /// How it leaves what all readers read alike.
    pub(super) departure: Option<Departure>,
}

/// Parses a piece of a file that is so long.
pub(super) fn parse_piece<'t>(text: &'t str, length: usize, piece: &Piece, is_first: bool) -> Parsed<'t> {
    let (trees, error) = parse_documents(text, piece.range.start, piece.line);
    if error.is_some()
        && let Some(values) = json_values(text, piece)
    {
        let departure = if !is_first {
            Some(Departure::unseparated(piece.range.start))
        } else {
            (piece.range.end < length).then(|| Departure::after_json(piece.range.end))
        };
        return Parsed { trees: Vec::new(), error: None, values: Some(values), departure };
    }
    let mut departure = trees.first().and_then(Tree::departure);
    // JSON at the beginning of a file is not read as YAML, and what follows it is not JSON.
    let content = text.trim_start_matches('\u{feff}').trim_start_matches([' ', '\t', '\n', '\r']);
    if is_first && content.starts_with('{') {
        let start = text.len() - content.len();
        let end = trees.first().and_then(Tree::root).map_or(start, |root| root.range().end - piece.range.start);
        let rest = text.get(end..).unwrap_or_default().trim_start();
        let is_json =
            || serde_json::from_str::<serde::de::IgnoredAny>(text.get(start..end).unwrap_or_default()).is_ok();
        if (departure.is_some() || !rest.is_empty()) && is_json() {
            departure = (!rest.is_empty()).then(|| Departure::after_json(piece.range.start + text.len() - rest.len()));
        } else if length < 4 && !is_json() {
            // For `kubectl` the file ends before it could be YAML.
            departure = Some(Departure::after_json(piece.range.start));
        }
    }
    Parsed { trees, error, values: None, departure }
}

/// A document of a file, for whoever edits it.
#[derive(Debug)]
pub struct Document<'b> {
    /// Its text, with its separator and comments.
    pub text: &'b str,
    /// The documents in it: one, unless end marks (`...`) stand in it. None if it could not be parsed, or readers may read
    /// something else.
    pub trees: Option<Vec<Tree<'b>>>,
}

/// Returns the documents of a file in their order, cut as [`super::load()`] cuts them; a JSON stream at its values.
pub fn documents(bytes: &[u8]) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    for piece in split_documents(bytes) {
        push_document(bytes, &piece, piece.range.start == 0, &mut documents);
    }
    documents
}

fn push_document<'b>(bytes: &'b [u8], piece: &Piece, is_first: bool, documents: &mut Vec<Document<'b>>) {
    let raw = bytes.get(piece.range.clone()).unwrap_or_default();
    let Ok(text) = str::from_utf8(raw) else {
        return documents.push(Document { text: "", trees: None });
    };
    if matches!(line_breaks_of_go(text), Cow::Owned(_)) {
        return documents.push(Document { text, trees: None });
    }
    let Parsed { trees, error, values, departure } = parse_piece(text, bytes.len(), piece, is_first);
    if let Some(values) = values.filter(|_| departure.is_none()) {
        return values.iter().for_each(|value| push_document(bytes, value, is_first, documents));
    }
    documents.push(Document { text, trees: (error.is_none() && departure.is_none()).then_some(trees) });
}

/// The values of a stream of JSON, as `kubectl` takes it: one after the other, each from a line of its own. None if the
/// text is no such stream.
fn json_values(text: &str, piece: &Piece) -> Option<Vec<Piece>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let (mut start, mut line) = (0, piece.line);
    while let Some(value) = stream.next() {
        value.ok()?;
        let end = stream.byte_offset();
        // Columns are counted from the beginning of a line.
        let rest = text.get(end..)?;
        let blank = rest.len() - rest.trim_start().len();
        if blank < rest.len() && !rest.get(..blank)?.contains('\n') {
            return None;
        }
        // The line on which the next value stands begins the next piece.
        let next = end + rest.get(..blank)?.rfind('\n').map_or(blank, |at| at + 1);
        let bytes = text.get(start..next)?.as_bytes();
        values.push(Piece { range: piece.range.start + start..piece.range.start + next, line });
        line += line_breaks(bytes).0;
        start = next;
    }
    (values.len() > 1).then_some(values)
}
