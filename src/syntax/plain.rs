//! The plain subset of YAML: what all readers of manifests read alike.
//!
//! `kubectl` and Helm read YAML 1.1 with a port of libyaml, this program and other tools read YAML 1.2. The two differ in
//! corners that no manifest needs, and a grant can be hidden in each of them. A document is in the plain subset if
//!
//! - it has no control characters, no byte order mark but at the beginning of the file, no line separators (U+0085, U+2028,
//!   U+2029) but in JSON, no carriage return but before a line feed, and does not begin or end with Unicode white space;
//! - `---` is followed by blanks and a comment at most, and stands nowhere else at the beginning of a line;
//! - it has no directives, and `...` follows a document, and nothing follows that;
//! - its block collections are indented with spaces only: no tab precedes a key, an item, a comment or the end of an empty line;
//! - a comment is preceded by white space;
//! - in flow collections, no plain scalar holds `?` or begins with `:`, no `:` is followed by an indicator, and there
//!   are no explicit keys;
//! - keys stand on one line with their colon, and are at most 1,000 bytes long;
//! - no key is null, a number that is not written in digits only, or one that another key of the mapping only looks like;
//! - `<<` is plain, stands once in a mapping, and merges a mapping or a list of mappings;
//! - anchors and aliases consist of ASCII letters, digits, `_` and `-`, and no alias stands in what it stands for;
//! - tags are `!`, `!name`, `!!str`, `!!binary` of UTF-8 text, `!!map` and `!!seq` on what they name;
//! - quoted scalars have only the escapes that YAML 1.1 knows, and none for half a character;
//! - plain scalars of several lines hold no tab and no `#` after a blank but on their first line;
//! - no text in block style begins with a tab, is all of a document, or is one line at the end of a file without a line feed;
//! - no number is infinite, or none.
//!
//! `tests/yaml.rs` holds this against `kubectl`'s own reader: of the documents in the subset it has to read the same. What leaves
//! the subset is read all the same, so that what it holds is shown, but is a problem of the document, and never edited.
//!
//! The parser reports nodes; [`Watch`] looks at what stands between them, and at how they are written. It costs one pass over
//! blanks and indicators.

use super::scalar::ScalarType;
use super::tree::{Style, TagKind, is_binary_text};

/// How a document leaves the plain subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Where, in bytes from the beginning of the file.
    pub offset: usize,
    /// What readers read differently.
    pub what: &'static str,
    /// What to do about it.
    pub help: &'static str,
}

impl Departure {
    /// A line separator that only readers of YAML 1.1 know.
    pub(crate) fn line_separator(offset: usize) -> Self {
        Self {
            offset,
            what: "the character U+0085, U+2028 or U+2029 ends a line for kubectl, and not for others",
            help: "remove the character, or write it as \"\\N\", \"\\L\" or \"\\P\" in double quotes",
        }
    }

    /// More documents than one reader sees.
    pub(crate) fn unseparated(offset: usize) -> Self {
        Self {
            offset,
            what: "kubectl reads only the first of several documents that no line `---` separates",
            help: "put a line `---` before each document",
        }
    }

    /// YAML after a stream of JSON.
    pub(crate) fn after_json(offset: usize) -> Self {
        Self {
            offset,
            what: "kubectl reads no YAML after JSON but documents that `---` separates from one object",
            help: "use a file for each format",
        }
    }
}

/// Longest key, in bytes. `kubectl` reads 1,024 characters up to the colon.
const MAX_KEY: usize = 1000;

/// Watches a text while it is parsed.
#[derive(Debug, Default)]
pub(super) struct Watch<'s> {
    text: &'s str,
    /// The byte after what was looked at last.
    end: usize,
    /// Open flow collections.
    flow: usize,
    /// Whether only indentation and indicators of block collections precede `end` on its line.
    is_indentation: bool,
    /// Whether only white space followed a plain scalar so far, and a line break.
    after_plain: bool,
    is_next_line: bool,
    /// Whether the header of the last block scalar removes its last line feed.
    strips: bool,
    /// Where the anchor or the tag of the next node begins.
    properties: Option<usize>,
    /// Whether there was a node, and then `...`.
    has_nodes: bool,
    ended: bool,
    /// Where the document has a merge key, and a key that is no string.
    merges: bool,
    typed_key: Option<usize>,
    /// The first departure, as an offset in the text.
    found: Option<Departure>,
}

/// What the parser says of a node.
pub(super) struct Seen {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_key: bool,
    /// Whether it is all of a document.
    pub(super) is_root: bool,
}

impl<'s> Watch<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        let mut watch = Self { text, is_indentation: true, ..Self::default() };
        watch.whole_text();
        watch
    }

    /// The first departure. `base` is where the text begins in its file.
    pub(super) fn finish(mut self, base: usize) -> Option<Departure> {
        self.gap(self.text.len());
        self.found.map(|found| Departure { offset: base + found.offset, ..found })
    }

    pub(super) fn depart(&mut self, offset: usize, what: &'static str, help: &'static str) {
        if self.found.is_none_or(|found| offset < found.offset) {
            self.found = Some(Departure { offset, what, help });
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// What can be told without parsing.
    fn whole_text(&mut self) {
        let (text, bytes) = (self.text, self.text.as_bytes());
        let is_odd = |byte: u8| byte < b' ' && !matches!(byte, b'\n' | b'\t') || byte >= 0x7f;
        // Without branches, so that the compiler makes it fast.
        if bytes.iter().fold(false, |odd, byte| odd | is_odd(*byte)) {
            self.odd_characters();
        }
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
        let content = text.strip_prefix('\u{feff}').unwrap_or(text);
        let content = content.strip_prefix("---").unwrap_or(content);
        let body = content.trim_matches(blank);
        if body.starts_with(char::is_whitespace) || body.ends_with(char::is_whitespace) {
            let at = if body.starts_with(char::is_whitespace) {
                text.len() - content.trim_start_matches(blank).len()
            } else {
                text.trim_end_matches(blank).trim_end().len()
            };
            self.depart(
                at,
                "some readers remove Unicode white space at the beginning and the end of a document, and others do not",
                "remove it",
            );
        }
        self.separators();
    }

    fn odd_characters(&mut self) {
        let text = self.text;
        for (at, c) in text.char_indices() {
            match c {
                '\r' if self.byte(at + 1) == Some(b'\n') => {}
                '\r' => self.depart(
                    at,
                    "a carriage return without a line feed ends a line for some readers only",
                    "end lines with line feeds",
                ),
                '\n' | '\t' => {}
                '\u{85}' | '\u{2028}' | '\u{2029}' => {}
                '\u{feff}' if at == 0 => {}
                '\u{feff}' => {
                    self.depart(at, "a byte order mark within a file is text for some readers only", "remove it")
                }
                '\u{fffe}' | '\u{ffff}' | '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => self.depart(
                    at,
                    "kubectl refuses control characters",
                    "remove the character, or escape it in double quotes",
                ),
                _ => {}
            }
        }
    }

    fn separators(&mut self) {
        let bytes = self.text.as_bytes();
        let bom = if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let first = bytes.get(bom..).unwrap_or_default().starts_with(b"---").then_some(bom);
        // The text is cut where separators are: what is left looks like one.
        let others = memchr::memmem::find_iter(bytes, b"\n---").map(|at| at + 1);
        for at in first.into_iter().chain(others) {
            let line = self.text.get(at + 3..).unwrap_or_default();
            let line = line.split('\n').next().unwrap_or_default();
            let rest = line.trim_start_matches([' ', '\t']).trim_end_matches('\r');
            let is_plain = rest.is_empty() || rest.starts_with('#') && rest.len() < line.len();
            if at != bom || !is_plain {
                self.depart(
                    at,
                    "kubectl takes a line that begins with `---` for a separator, and refuses what follows on it but a comment",
                    "put `---` on a line of its own, and indent it where it is text",
                );
            }
        }
    }

    /// Looks at what stands between the node before and the next.
    fn gap(&mut self, to: usize) {
        let bytes = self.text.as_bytes();
        let mut at = self.end;
        if at < to {
            self.properties = None;
        }
        while let Some(byte) = bytes.get(at).copied().filter(|_| at < to) {
            at += 1;
            self.after_plain &= byte.is_ascii_whitespace();
            match byte {
                b' ' => {}
                b'\n' | b'\r' => (self.is_indentation, self.is_next_line) = (true, true),
                b'\t' if self.is_indentation && (self.flow == 0 || self.after_plain && self.is_next_line) => {
                    self.depart(at - 1, "kubectl refuses tabs in the indentation", "indent with spaces");
                }
                b'\t' => {}
                b':' => {}
                b'-' if self.flow == 0 => {
                    let is_first = at == 1 || matches!(self.byte(at - 2), Some(b'\n' | b'\r'));
                    if is_first && bytes.get(at..at + 2) == Some(b"--") {
                        if at != 1 {
                            self.depart(at - 1, Departure::unseparated(0).what, Departure::unseparated(0).help);
                        }
                        at += 2;
                        self.is_indentation = false;
                    }
                }
                b'?' if self.flow == 0 => {}
                b'?' => self.depart(
                    at - 1,
                    "`?` in brackets or braces begins a key for kubectl, and not for others",
                    "write it in quotes",
                ),
                b',' | b'[' | b']' | b'{' | b'}' => self.is_indentation = false,
                // The header of a block scalar.
                b'|' | b'>' if self.flow == 0 => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let length = rest.iter().position(|byte| !matches!(byte, b'+' | b'-' | b'0'..=b'9'));
                    let end = at + length.unwrap_or(rest.len());
                    self.strips = bytes.get(at..end).is_some_and(|header| header.contains(&b'-'));
                    at = end;
                    self.is_indentation = false;
                }
                b'#' => {
                    if at > 1
                        && !matches!(self.byte(at - 2), Some(b' ' | b'\t' | b'\n' | b'\r'))
                        && !self.is_bom(at - 1)
                    {
                        self.depart(
                            at - 1,
                            "`#` without white space before it begins a comment for some readers only",
                            "put a space before it, or quote the text",
                        );
                    }
                    at += memchr::memchr(b'\n', bytes.get(at..).unwrap_or_default()).unwrap_or(bytes.len() - at);
                }
                b'&' => {
                    self.is_indentation = false;
                    self.properties.get_or_insert(at - 1);
                    at = self.name(at);
                }
                b'!' => {
                    self.is_indentation = false;
                    self.properties.get_or_insert(at - 1);
                    at = self.tag(at);
                }
                b'.' if bytes.get(at..at + 2) == Some(b"..") => {
                    at += 2;
                    if !self.has_nodes {
                        self.depart(at - 3, "kubectl refuses `...` without a document before it", "remove it");
                    }
                    self.ended = true;
                    self.is_indentation = false;
                }
                b'%' if at > 1 && !matches!(self.byte(at - 2), Some(b'\n' | b'\r')) => {
                    self.depart(at - 1, "kubectl refuses text that begins with this character", "write it in quotes");
                }
                b'%' => {
                    self.depart(at - 1, "kubectl refuses directives (`%`)", "remove the directive");
                    at += memchr::memchr(b'\n', bytes.get(at..).unwrap_or_default()).unwrap_or(bytes.len() - at);
                }
                0xef | 0xbb | 0xbf => {}
                _ => self.depart(
                    at - 1,
                    "what stands here between two values is read by some readers only",
                    "write the document in the usual way",
                ),
            }
        }
        self.end = at.max(self.end);
    }

    fn is_bom(&self, at: usize) -> bool {
        self.text.get(..at) == Some("\u{feff}")
    }

    /// Passes the name of an anchor or an alias that begins at `at`.
    fn name(&mut self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let length = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
        let ends = match rest.get(length) {
            None | Some(b' ' | b'\t' | b'\n' | b'\r') => true,
            Some(b',' | b']' | b'}') => self.flow > 0,
            _ => false,
        };
        if length == 0 || !ends {
            self.depart(
                at - 1,
                "names of anchors have other characters than ASCII letters, digits, `-` and `_`, which kubectl reads otherwise",
                "rename the anchor, or put a space behind it",
            );
        }
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        at + rest.iter().position(blank).filter(|_| !ends).unwrap_or(length)
    }

    /// Passes a tag that begins before `at`.
    fn tag(&mut self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let length = rest.iter().position(blank).unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default();
        let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/');
        let is_known = matches!(name, b"!str" | b"!binary" | b"!map" | b"!seq") || name.iter().all(is_local);
        if !is_known {
            self.depart(at - 1, TAG.0, TAG.1);
        }
        at + length
    }

    /// Looks at the header of a block scalar that begins at `start`, and returns whether that removes the last line feed.
    pub(super) fn block_header(&mut self, start: usize) -> bool {
        self.gap(start);
        self.strips
    }

    /// Looks at the beginning of a collection.
    pub(super) fn open(&mut self, start: usize, is_flow: bool) {
        self.before_node(start);
        self.has_nodes = true;
        if is_flow {
            self.flow += 1;
            self.is_indentation = false;
            self.end = self.end.max(start + 1);
        }
    }

    /// Looks at the end of a collection.
    pub(super) fn close(&mut self, end: usize, is_flow: bool) {
        if is_flow {
            self.gap(end);
            self.flow = self.flow.saturating_sub(1);
        }
    }

    fn before_node(&mut self, start: usize) {
        self.gap(start);
        if self.ended {
            self.depart(start, Departure::unseparated(0).what, Departure::unseparated(0).help);
        }
    }

    /// Looks at the end of a document.
    pub(super) fn end_document(&mut self) {
        if self.merges
            && let Some(at) = self.typed_key
        {
            self.depart(at, TYPED_KEY.0, TYPED_KEY.1);
        }
        (self.merges, self.typed_key) = (false, None);
    }

    /// Looks at an alias.
    pub(super) fn alias(&mut self, seen: &Seen) {
        self.before_node(seen.start);
        self.has_nodes = true;
        let end = self.name(seen.start + 1);
        self.end = self.end.max(seen.end).max(end);
        self.is_indentation = false;
        if seen.is_key {
            self.key(seen, false, false);
        }
    }

    /// Looks at a scalar. `value` is what it says.
    pub(super) fn scalar(&mut self, seen: &Seen, style: Style, value: &str, tag: TagKind) {
        self.before_node(seen.start);
        self.has_nodes |= seen.end > seen.start;
        let slice = self.text.get(seen.start..seen.end).unwrap_or_default();
        match style {
            Style::Plain => self.plain(seen, slice, value, tag),
            Style::Block if seen.is_root || value.trim_start_matches('\n').starts_with('\t') => self.depart(
                seen.start,
                "kubectl refuses text in block style that is all of a document or begins with a tab",
                "write the text in double quotes",
            ),
            Style::Quoted if slice.starts_with('"') && slice.contains('\\') => self.escapes(seen.start, slice),
            _ => {}
        }
        match tag {
            TagKind::Null | TagKind::Boolean | TagKind::Number => self.depart(seen.start, TAG.0, TAG.1),
            TagKind::Binary if !is_binary_text(value) => {
                self.depart(
                    seen.start,
                    "kubectl refuses what is no text in Base64 under `!!binary`",
                    "write the text itself",
                );
            }
            _ => {}
        }
        self.end = self.end.max(seen.end);
        (self.after_plain, self.is_next_line) = (style == Style::Plain, false);
        if !slice.is_empty() {
            // A block scalar ends behind its last line.
            self.is_indentation = style == Style::Block;
        }
        if seen.is_key {
            self.key(seen, style == Style::Plain, value == "<<" && matches!(tag, TagKind::None | TagKind::Merge));
        }
    }

    fn plain(&mut self, seen: &Seen, slice: &str, value: &str, tag: TagKind) {
        let bytes = slice.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return };
        if self.flow > 0 && (*first == b':' || memchr::memchr(b'?', bytes).is_some()) {
            self.depart(
                seen.start,
                "`?` and `:` in brackets or braces begin keys and values for kubectl, and not for others",
                "write the text in quotes",
            );
        }
        if matches!(first, b'%' | b'@' | b'`') {
            self.depart(seen.start, "kubectl refuses text that begins with this character", "write it in quotes");
        }
        if (*first >= 0x80 || *last >= 0x80) && slice.trim().len() < slice.len() {
            self.depart(
                seen.start,
                "readers differ in whether Unicode white space around this text belongs to it",
                "remove it, or write the text in quotes",
            );
        }
        let rest = || bytes.split(|byte| matches!(byte, b'\n' | b'\r')).skip(1);
        // Within a word, `#` is a character like any other.
        let begins_comment = |line: &[u8]| {
            let after_blank = line.windows(2).any(|pair| matches!(pair, [b' ', b'#']));
            after_blank || line.first() == Some(&b'#')
        };
        if rest().any(|line| line.contains(&b'\t') || begins_comment(line)) {
            self.depart(
                seen.start,
                "tabs and ` #` in text of several lines without quotes are read by some readers only",
                "write the text in quotes",
            );
        }
        // Infinite, or none.
        let is_suspect = tag == TagKind::None && matches!(value.as_bytes(), [b'.', ..] | [b'+' | b'-', b'.', ..]);
        if is_suspect && matches!(value.as_bytes().last(), Some(b'f' | b'F' | b'n' | b'N')) {
            let unsigned = value.trim_start_matches(['+', '-']);
            if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
                self.depart(seen.start, "kubectl refuses this number, which JSON cannot express", "write it in quotes");
            }
        }
    }

    fn escapes(&mut self, start: usize, slice: &str) {
        let mut bytes = slice.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            if byte != b'\\' {
                continue;
            }
            let Some((_, escape)) = bytes.next() else { return };
            let is_half = || {
                let digits = match escape {
                    b'u' => slice.get(at + 2..at + 6),
                    b'U' => slice.get(at + 2..at + 10),
                    _ => None,
                };
                digits
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                    .is_some_and(|code| char::from_u32(code).is_none())
            };
            if escape == b'/' || is_half() {
                self.depart(start + at, "kubectl refuses this escape in YAML", "write the character itself");
            }
        }
    }

    /// Looks at what follows a key.
    fn key(&mut self, seen: &Seen, is_plain: bool, is_merge: bool) {
        self.merges |= is_merge;
        let bytes = self.text.as_bytes();
        let rest = bytes.get(seen.end..).unwrap_or_default();
        let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
        let (slice, next) = (bytes.get(seen.start..seen.end).unwrap_or_default(), rest.get(blank));
        let breaks = memchr::memchr2(b'\n', b'\r', slice).is_some();
        if let Some([b':', b',' | b'[' | b']' | b'{' | b'}']) = rest.get(blank..blank + 2)
            && is_plain
            && self.flow > 0
        {
            self.depart(
                seen.end + blank,
                "`:` before an indicator ends a key for some readers only",
                "put a space behind it, or quote the text",
            );
        }
        // In a block collection the colon of an explicit key stands on a line of its own.
        let colon_apart = self.flow > 0 && !matches!(next, Some(b':' | b',' | b'}' | b']'));
        let start = self.properties.unwrap_or(seen.start);
        if breaks || colon_apart || seen.end + blank - start.min(seen.end) > MAX_KEY {
            self.depart(
                seen.start,
                "kubectl refuses keys that are long, or do not stand on one line with their colon",
                "write the key on one line",
            );
        }
    }

    /// Looks at a key that is no string.
    pub(super) fn typed_key(&mut self, start: usize, value: &str, scalar: ScalarType) {
        match scalar {
            ScalarType::String => {}
            ScalarType::Null => self.depart(start, "kubectl refuses keys that are null", "write the key"),
            ScalarType::Boolean => self.typed_key = Some(start),
            ScalarType::Number => {
                let digits = value.strip_prefix('-').unwrap_or(value);
                let is_plain = digits.len() < 19
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (!digits.starts_with('0') || value == "0");
                self.typed_key = Some(start);
                if !is_plain {
                    self.depart(start, TYPED_KEY.0, TYPED_KEY.1);
                }
            }
        }
    }

    /// Two keys of a mapping that only look alike, or differ though they look alike.
    pub(super) fn same_key(&mut self, start: usize) {
        self.depart(start, TYPED_KEY.0, TYPED_KEY.1);
    }

    /// A key that is a list or a mapping.
    pub(super) fn wrong_key(&mut self, start: usize) {
        self.depart(start, "kubectl refuses keys that are lists or mappings", "write the key out");
    }

    /// A block scalar at the end of a file, the last line of which has no end.
    pub(super) fn no_line_end(&mut self, start: usize) {
        self.depart(
            start,
            "kubectl adds the line feed that the last line of the file lacks to this text, and others do not",
            "end the file with a line feed",
        );
    }

    /// An alias of a list or a mapping within it.
    pub(super) fn endless(&mut self, start: usize) {
        self.depart(start, "kubectl refuses an alias of something that contains it", "write out what is meant");
    }

    /// A second `<<` in a mapping.
    pub(super) fn second_merge(&mut self, start: usize) {
        self.depart(
            start,
            "two `<<` in one mapping: readers differ in which one they merge first",
            "merge a list: `<<: [*a, *b]`",
        );
    }

    /// What `<<` merges and is no mapping.
    pub(super) fn wrong_merge(&mut self, start: usize) {
        self.depart(
            start,
            "`<<` merges only mappings, or a list of them, and only without quotes",
            "write the merged keys out",
        );
    }
}

const TAG: (&str, &str) = ("readers differ in what they make of this tag", "remove the tag, or quote the text");
const TYPED_KEY: (&str, &str) = ("readers differ in what this key is, which is no string", "write the key in quotes");

#[cfg(test)]
mod tests {
    use super::super::parse_documents;

    fn departure(text: &str) -> Option<(usize, String)> {
        let (trees, error) = parse_documents(text, 0, 1);
        assert_eq!(error, None, "{text:?}");
        trees[0].departure().map(|found| (found.offset, found.what.to_owned()))
    }

    #[test]
    fn what_manifests_hold_is_plain() {
        for text in [
            "---\napiVersion: v1 # c\nkind: \"Role\"\nmetadata: {name: 'a', labels: {}}\nrules:\n- verbs: [get, \"*\"]\n  x: |\n    a\tb\n     # c\n",
            "\u{feff}a: b\r\nc:\td\r\n",
            "a: &x {b: c}\nd: {<<: *x, e: *x}\nf:\n  <<: [*x, {g: h}]\n",
            "{\"a\":\"b\",\n\t\"c\": [1, -2.5, true, null]}\n",
            "url: http://x:80/?a=b#c\nq: what?\n? x\n: [a-b, \"?\", c:d]\n1: a\ntrue: b\n",
            "a: !Ref b\nc: !!str 12\nd: !!binary aW1wZXJzb25hdGU=\ne: ! 1\n",
            "é: ü\u{a0}b\n... # c\n",
            "a: >-\n  b\n\n  c\n# d\n",
        ] {
            assert_eq!(departure(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_readers_read_differently_is_not() {
        for (text, at) in [
            ("- {?verbs: [a]}\n", "?verbs"),
            ("[a?b]\n", "a?b"),
            ("{:a: b}\n", ":a"),
            ("{? a : b}\n", "? a"),
            ("{a:, b: c}\n", ":,"),
            ("{a :}\n", ":}"),
            ("{\"a\n  b\": c}\n", "\"a"),
            ("\u{a0}{\"a\":\"b\"}\n", "\u{a0}"),
            ("a: b\u{2003}\n", "b\u{2003}"),
            ("- a\u{a0}\n- b\n", "a\u{a0}"),
            ("--- a\n", "---"),
            ("---\u{a0}\na: b\n", "---"),
            ("---#\na: b\n", "---"),
            ("a:\n  - b\n---x: y\n", "---x"),
            ("%YAML 1.1\n---\na: b\n", "%"),
            ("a: b\n...\nc: d\n", "c"),
            ("a:\n\t# c\n  b: c\n", "\t"),
            ("-\ta\n", "\t"),
            ("{<<: {a: b}, <<: {c: d}}\n", "<<: {c"),
            ("\"<<\": {a: b}\n", "\"<<"),
            ("<<: a\n", "a"),
            ("a: &x [{b: c}]\n<<: *x\n", "*x"),
            ("a: &é b\n", "&"),
            ("a: &x\n  b: *x\n", "*x"),
            ("a: !!int 1\n", "!!"),
            ("a: !!binary é\n", "é"),
            ("~: a\n", "~"),
            ("0x1: a\n", "0x1"),
            ("1: a\n\"1\": b\n", "\"1\""),
            ("a: .inf\n", ".inf"),
            ("a: \"\\/\"\n", "\\/"),
            ("a: b\rc: d\n", "\r"),
            ("a: b\u{feff}\n", "\u{feff}"),
            ("a: |\n  b", "b"),
            ("a: b\n c # d\n e\n", "b"),
        ] {
            if let (trees, None) = parse_documents(text, 0, 1) {
                let found = trees.first().and_then(|tree| tree.departure()).map(|found| found.offset);
                assert_eq!(found, text.find(at), "{text:?}");
            }
        }
        assert!(departure(&format!("{}: a\n", "k".repeat(1025))).is_some());
    }
}
