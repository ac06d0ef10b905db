//! Where one document of a file ends and the next begins.
//!
//! Cutting before parsing makes recovery independent of the parser's state: a broken document costs
//! itself only, and the documents of one large file can be parsed side by side.

use std::borrow::Cow;
use std::ops::Range;

use crate::syntax::line_breaks;

/// A stretch of a file that begins at its start or at a `---` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Byte range in the file.
    pub range: Range<usize>,
    /// Line of the first byte, from 1.
    pub line: u32,
}

/// Cuts a file at its `---` lines. `---` in the first column ends a document wherever it stands, in a quoted string or a block
/// scalar too (YAML 1.2.2, section 9.1.2), so the cut needs no parser. For `kubectl` so does `---#`, and `---` before Unicode
/// white space, though not in YAML (`YAMLReader` in `k8s.io/apimachinery/pkg/util/yaml/decoder.go`).
pub fn split_documents(bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut line = 1;
    for found in memchr::memmem::find_iter(bytes, b"\n---") {
        let marker = found + 1;
        if !is_separator(bytes.get(marker + 3..).unwrap_or_default()) {
            continue;
        }
        let range = start..marker;
        // Directives belong to the document that follows their `---`.
        if bytes.get(range.clone()).is_some_and(has_directive) {
            continue;
        }
        let (breaks, _) = line_breaks(bytes.get(range.clone()).unwrap_or_default());
        pieces.push(Piece { range, line });
        line += breaks;
        start = marker;
    }
    pieces.push(Piece { range: start..bytes.len(), line });
    pieces
}

/// Whether dashes before that separate documents, for one reader at least.
fn is_separator(after: &[u8]) -> bool {
    match after.first() {
        None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'#') => true,
        // The first bytes of U+0085 and U+00A0, U+1680, U+2000 and others, U+3000; the ASCII ones are controls.
        Some(0x0b | 0x0c | 0xc2 | 0xe1 | 0xe2 | 0xe3) => {
            let line = after.split(|byte| *byte == b'\n').next().unwrap_or_default();
            std::str::from_utf8(line).is_ok_and(|line| matches!(line.trim().chars().next(), None | Some('#')))
        }
        _ => false,
    }
}

/// The text with the line breaks that the reader of `kubectl` and Helm sees, which is one of YAML 1.1: a next line, a line
/// separator or a paragraph separator ends a comment for it, and so may hide what stands behind it from others. Of JSON
/// `kubectl` has another reader. The text stays as long as it is.
pub fn line_breaks_of_go(text: &str) -> Cow<'_, str> {
    const BREAKS: [(char, &str); 3] = [('\u{85}', " \n"), ('\u{2028}', "  \n"), ('\u{2029}', "  \n")];
    let is_json = || text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if text.is_ascii() || !text.contains(BREAKS.map(|(c, _)| c)) || is_json() {
        return Cow::Borrowed(text);
    }
    // Behind a backslash, in quotes, a break is none, as long as it follows at once.
    let escaped = |(c, plain): &(char, &str)| (format!("\\{c}"), format!("\\\n{}", " ".repeat(plain.len() - 1)));
    let text = BREAKS.iter().map(escaped).fold(text.to_owned(), |text, (c, plain)| text.replace(&c, &plain));
    Cow::Owned(BREAKS.iter().fold(text, |text, (c, plain)| text.replace(*c, plain)))
}

/// Whether the piece holds nothing but directives, comments and blank lines, with one directive at least.
fn has_directive(piece: &[u8]) -> bool {
    let mut found = false;
    let piece = piece.strip_prefix(b"\xef\xbb\xbf").unwrap_or(piece);
    for line in piece.split(|byte| *byte == b'\n') {
        match line.trim_ascii_start().first() {
            Some(b'%') => found = true,
            None | Some(b'#') => {}
            Some(_) => return false,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(&str, u32)> {
        split_documents(text.as_bytes()).into_iter().map(|piece| (&text[piece.range], piece.line)).collect()
    }

    #[test]
    fn cuts_at_document_markers_only() {
        assert_eq!(texts("a: b\n---\nc: d\n--- # e\nf: g"), [("a: b\n", 1), ("---\nc: d\n", 2), ("--- # e\nf: g", 4)]);
        assert_eq!(texts("---\r\na: b\r\n---\r\nc: d\r\n"), [("---\r\na: b\r\n", 1), ("---\r\nc: d\r\n", 3)]);
        assert_eq!(texts("a: |\n  ---\nb: '\n----\n'\n---x: y\n").len(), 1);
        assert_eq!(texts("a: b\n---"), [("a: b\n", 1), ("---", 2)]);
        assert_eq!(texts("a: b\n---# c\nd: e\n"), [("a: b\n", 1), ("---# c\nd: e\n", 2)]);
        assert_eq!(texts("a: b\n---\u{a0}\nc: d\n"), [("a: b\n", 1), ("---\u{a0}\nc: d\n", 2)]);
        assert_eq!(texts("a: b\n---\u{3000}x\nc: d\n").len(), 1);
        assert_eq!(texts(""), [("", 1)]);
    }

    #[test]
    fn directives_stay_with_their_document() {
        assert_eq!(
            texts("%YAML 1.1\n# c\n---\na: b\n---\nc: d\n"),
            [("%YAML 1.1\n# c\n---\na: b\n", 1), ("---\nc: d\n", 5)]
        );
    }
}
