//! Text that knows where each of its bytes comes from.

use std::fmt::Write as _;
use std::ops::Range;
use std::rc::Rc;

use smol_str::SmolStr;

/// A place in a file that was given to the renderer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The file, as an index of [`super::Rendered::files`].
    pub file: u32,
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Origin {
    /// No place in any file: a constant of Helm's own.
    pub const NONE: Self = Self { file: u32::MAX, start: 0, end: 0 };

    /// The name of the release, where a user sets none.
    pub const RELEASE_NAME: Self = Self { file: u32::MAX - 1, start: 0, end: 0 };

    /// The namespace of the release, where a user sets none.
    pub const RELEASE_NAMESPACE: Self = Self { file: u32::MAX - 2, start: 0, end: 0 };

    /// Whether it is a place in a file, or a name that a user sets.
    pub fn is_some(self) -> bool {
        self.file != u32::MAX
    }

    /// This place, or the other one if this is none.
    pub fn or(self, other: Self) -> Self {
        if self.is_some() { self } else { other }
    }

    fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// The place of a part of a text that has this one. It is exact where the text is what the file says.
    fn part(self, length: usize, range: Range<usize>) -> Self {
        if !self.is_some() || self.len() != length {
            return self;
        }
        let at = |offset: usize| self.start + u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file: self.file, start: at(range.start), end: at(range.end) }
    }
}

/// What is known of a text that is not known: how much it may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// A scalar without blanks, such as a name or a number.
    Word,
    /// Text without a line break.
    Line,
    /// Any text.
    Text,
    /// A list or mapping of unknown extent, or anything at all.
    Any,
}

/// The conditions under which a text is written, as an index of [`super::Rendered::guards`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuardId(pub u32);

/// A run of bytes with one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// How many bytes.
    pub length: u32,
    /// Where they come from.
    pub origin: Origin,
    /// The conditions under which they are written.
    pub guard: GuardId,
    /// Not none if the bytes only stand for what is not known.
    pub shape: Option<Shape>,
}

impl Mark {
    fn same(&self, other: &Self) -> bool {
        self.guard == other.guard && self.shape == other.shape && self.origin == other.origin
    }
}

/// A text with or without marks. Without them, all of it has the origin of the value that it is.
#[derive(Debug, Clone)]
pub enum Text {
    /// A text of one origin.
    Plain(SmolStr),
    /// A text of several.
    Marked(Rc<Marked>),
}

/// A text with its marks, the lengths of which add up to its own.
#[derive(Debug, Clone, Default)]
pub struct Marked {
    /// The text.
    pub text: String,
    /// Where it comes from.
    pub marks: Vec<Mark>,
}

impl Text {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Marked(marked) => &marked.text,
        }
    }

    /// Whether some of it is not known.
    pub fn has_unknown(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Marked(marked) => marked.marks.iter().any(|mark| mark.shape.is_some()),
        }
    }

    /// The text as a key or the like.
    pub fn to_smol(&self) -> SmolStr {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Marked(marked) => SmolStr::new(&marked.text),
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(SmolStr::new(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Plain(SmolStr::new(text))
    }
}

impl Marked {
    /// Adds text of one origin.
    pub fn push(&mut self, text: &str, origin: Origin, guard: GuardId, shape: Option<Shape>) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        self.mark(Mark { length: to_u32(text.len()), origin, guard, shape });
    }

    /// Adds a place where text of a shape may stand that is not known, not even whether there is any.
    pub fn push_gap(&mut self, origin: Origin, guard: GuardId, shape: Shape) {
        self.marks.push(Mark { length: 0, origin, guard, shape: Some(shape) });
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(last) = self.marks.last_mut() {
            let adjoins = last.origin.is_some()
                && last.origin.file == mark.origin.file
                && last.origin.end == mark.origin.start
                && last.origin.len() == last.length as usize
                && mark.origin.len() == mark.length as usize;
            if last.same(&mark) && last.origin.len() != last.length as usize {
                last.length += mark.length;
                return;
            }
            if adjoins && last.guard == mark.guard && last.shape == mark.shape {
                last.length += mark.length;
                last.origin.end = mark.origin.end;
                return;
            }
        }
        self.marks.push(mark);
    }

    /// Adds a text with marks of its own. Marks without a place or a condition get those that are given.
    pub fn append(&mut self, other: &Self, origin: Origin, guard: GuardId) {
        self.text.push_str(&other.text);
        for mark in &other.marks {
            let guard = if mark.guard == GuardId::default() { guard } else { mark.guard };
            self.mark(Mark { origin: mark.origin.or(origin), guard, ..*mark });
        }
    }

    /// Adds a part of a text with marks.
    pub fn append_range(&mut self, other: &Self, range: Range<usize>) {
        self.text.push_str(other.text.get(range.clone()).unwrap_or_default());
        let mut at = 0;
        for mark in &other.marks {
            let length = mark.length as usize;
            let (start, end) = (range.start.max(at), range.end.min(at + length));
            if length == 0 && (range.start..=range.end).contains(&at) {
                self.mark(*mark);
            } else if start < end {
                let origin = mark.origin.part(length, start - at..end - at);
                self.mark(Mark { length: to_u32(end - start), origin, ..*mark });
            }
            at += length;
            if at > range.end {
                break;
            }
        }
    }

    /// Replaces every occurrence of a text; what replaces it has the place of what it replaces.
    pub fn replace(&self, from: &str, to: &str) -> Self {
        let mut result = Self::default();
        let mut walker = Walker::new(self);
        let mut at = 0;
        for (found, _) in self.text.match_indices(from) {
            walker.copy(found - at, &mut result);
            let mark = walker.skip(from.len());
            result.push(to, mark.origin, mark.guard, mark.shape);
            at = found + from.len();
        }
        walker.copy(self.text.len() - at, &mut result);
        result
    }

    /// Puts a text before each line.
    pub fn indent(&self, pad: &str) -> Self {
        let mut result = Self::default();
        result.text.reserve(self.text.len() + 16 * pad.len());
        let mut walker = Walker::new(self);
        for line in self.text.split_inclusive('\n') {
            let mark = walker.peek();
            // Indentation comes from the call, not from the text.
            result.push(pad, Origin::NONE, mark.guard, None);
            walker.copy(line.len(), &mut result);
        }
        if self.text.is_empty() || self.text.ends_with('\n') {
            result.push(pad, Origin::NONE, GuardId::default(), None);
        }
        result
    }

    /// Changes each character, where that keeps the length of each.
    pub fn map(&self, change: impl Fn(&str) -> String) -> Option<Self> {
        let text = change(&self.text);
        (text.len() == self.text.len() && self.text.is_ascii()).then(|| Self { text, marks: self.marks.clone() })
    }
}

/// Goes through a text with marks once.
pub(super) struct Walker<'m> {
    marked: &'m Marked,
    at: usize,
    mark: usize,
    /// How much of the current mark is used.
    used: usize,
}

impl<'m> Walker<'m> {
    pub(super) fn new(marked: &'m Marked) -> Self {
        Self { marked, at: 0, mark: 0, used: 0 }
    }

    /// The mark of the next byte.
    pub(super) fn peek(&self) -> Mark {
        let none = Mark { length: 0, origin: Origin::NONE, guard: GuardId::default(), shape: None };
        self.marked.marks.get(self.mark).copied().unwrap_or(none)
    }

    fn step(&mut self, mut length: usize, mut use_mark: impl FnMut(&Mark, Range<usize>)) {
        self.at += length;
        // Marks without a length go with what is before them.
        while let Some(mark) = self.marked.marks.get(self.mark).filter(|mark| length > 0 || mark.length == 0) {
            let left = mark.length as usize - self.used;
            let taken = left.min(length);
            use_mark(mark, self.used..self.used + taken);
            length -= taken;
            self.used += taken;
            if taken == left {
                self.mark += 1;
                self.used = 0;
            }
        }
    }

    /// Copies bytes with their marks.
    pub(super) fn copy(&mut self, length: usize, into: &mut Marked) {
        let text = self.marked.text.get(self.at..self.at + length).unwrap_or_default();
        into.text.push_str(text);
        self.step(length, |mark, range| {
            let origin = mark.origin.part(mark.length as usize, range.clone());
            into.mark(Mark { length: to_u32(range.len()), origin, ..*mark });
        });
    }

    /// Skips bytes; their mark as one.
    pub(super) fn skip(&mut self, length: usize) -> Mark {
        let mut joined = self.peek();
        let mut first = true;
        self.step(length, |mark, range| {
            let origin = mark.origin.part(mark.length as usize, range);
            if first {
                joined.origin = origin;
            } else if joined.origin.file == origin.file && origin.start == joined.origin.end {
                joined.origin.end = origin.end;
            }
            joined.shape = joined.shape.max(mark.shape);
            first = false;
        });
        joined
    }
}

pub(super) fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A text in double quotes as Go's `%q` writes it; `push` is given each piece, and the bytes that it stands for.
pub(super) fn quote(text: &str, push: &mut dyn FnMut(&str, Range<usize>)) {
    push("\"", 0..0);
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let mut escape = String::new();
        match c {
            '"' => escape.push_str("\\\""),
            '\\' => escape.push_str("\\\\"),
            '\n' => escape.push_str("\\n"),
            '\t' => escape.push_str("\\t"),
            '\r' => escape.push_str("\\r"),
            '\u{7}' => escape.push_str("\\a"),
            '\u{8}' => escape.push_str("\\b"),
            '\u{c}' => escape.push_str("\\f"),
            '\u{b}' => escape.push_str("\\v"),
            c if is_printable(c) => continue,
            c if u32::from(c) < 0x80 => {
                let _ = write!(escape, "\\x{:02x}", u32::from(c));
            }
            c if u32::from(c) < 0x10000 => {
                let _ = write!(escape, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(escape, "\\U{:08x}", u32::from(c));
            }
        }
        if plain < at {
            push(&text[plain..at], plain..at);
        }
        plain = at + c.len_utf8();
        push(&escape, at..plain);
    }
    if plain < text.len() {
        push(&text[plain..], plain..text.len());
    }
    push("\"", text.len()..text.len());
}

/// Whether Go prints a character as it is: `strconv.IsPrint`, near enough.
pub(super) fn is_printable(c: char) -> bool {
    match c {
        ' ' => true,
        c if c.is_control() || c.is_whitespace() => false,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => false,
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'.. => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(parts: &[(&str, u32)]) -> Marked {
        let mut marked = Marked::default();
        for (text, start) in parts {
            let origin = Origin { file: 0, start: *start, end: start + to_u32(text.len()) };
            marked.push(text, origin, GuardId::default(), None);
        }
        marked
    }

    fn places(marked: &Marked) -> Vec<(u32, u32, u32)> {
        marked.marks.iter().map(|mark| (mark.length, mark.origin.start, mark.origin.end)).collect()
    }

    #[test]
    fn lines_keep_their_places_when_they_are_indented() {
        let indented = marked(&[("a\nb", 10)]).indent("  ");
        assert_eq!(indented.text, "  a\n  b");
        assert_eq!(places(&indented), [(2, 0, 0), (2, 10, 12), (2, 0, 0), (1, 12, 13)]);
    }

    #[test]
    fn parts_have_the_places_of_their_bytes() {
        let mut part = Marked::default();
        part.append_range(&marked(&[("abc", 10), ("def", 50)]), 1..5);
        assert_eq!(part.text, "bcde");
        assert_eq!(places(&part), [(2, 11, 13), (2, 50, 52)]);
    }

    #[test]
    fn what_replaces_a_text_has_its_place() {
        let replaced = marked(&[("a.b", 10)]).replace(".", "--");
        assert_eq!(replaced.text, "a--b");
        assert_eq!(places(&replaced), [(1, 10, 11), (2, 11, 12), (1, 12, 13)]);
    }

    #[test]
    fn quoting_is_that_of_go() {
        let mut quoted = String::new();
        quote("a\"\\\n\u{1}é", &mut |piece, _| quoted.push_str(piece));
        assert_eq!(quoted, r#""a\"\\\n\x01é""#);
    }
}
