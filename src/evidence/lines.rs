//! Logs with an event in each line: what does not matter is not read. Finding a word in a block is many times faster than
//! looking at each line.

use memchr::memmem::Finder;

use super::audit::pieces;
use super::container;
use super::find::Part;
use super::framing::Framing;
use super::records::{Record, Splitter};
use super::report::Form;
use super::text;

/// How much is searched for one thing and then for another, in bytes: little enough for the nearest cache.
const CACHED: usize = 16 << 10;
/// What a line has that matters: it is in the field, in refusals, and in condensed evidence. Its first letter may be a
/// capital.
const WORD: &[u8] = b"mpersonate";
/// What a line has, too, that Google Cloud wrote, whose entries have no field with the word.
const GOOGLE: &[u8] = b"authoritySelector";
/// How a letter is escaped that need not be: the word may be written so. Control characters, `&`, `<` and `>` are escaped
/// everywhere, and have other digits.
const ESCAPE: &[u8] = b"\\u00";

/// How the lines of a log look.
pub(super) struct Lines {
    word: Finder<'static>,
    google: Option<Finder<'static>>,
    escape: Finder<'static>,
    /// With which byte each line begins, and with which it ends, if that is always the same.
    first: Option<u8>,
    last: Option<u8>,
    /// What a line has that is an event; none if all lines are.
    event: Option<Finder<'static>>,
}

impl Lines {
    /// Recognizes logs with an event in each line, or none, by their start.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let mut records: Vec<Record> = Vec::new();
        let mut splitter = Splitter::default();
        splitter.split(start, false, true, &mut records);
        // Whether a list ends is only seen by reading all of it.
        if splitter.unclosed().is_some() {
            return None;
        }
        let mut part = Part::default();
        let (mut all_events, mut before) = (true, 0);
        let mut ends = Ends::default();
        for record in &records {
            let text = &start[record.start..record.end];
            let events = part.found.events;
            part.read(text, record.line);
            let more = part.found.events - events;
            if more > 1 || record.line == before || memchr::memchr(b'\n', text).is_some() {
                return None;
            }
            all_events &= more == 1;
            before = record.line;
            let (from, to) = line_at(start, record.start);
            ends.add(without_return(&start[from..to]));
        }
        let has = |form: Form| part.found.forms.contains(&form);
        // Fields of other names may have the word in another way, and payloads hide it.
        if part.found.events == 0 || !part.found.faults.is_empty() || has(Form::Fields) || has(Form::Payload) {
            return None;
        }
        let word: &[u8] = if has(Form::Google) { b"protoPayload" } else { b"auditID" };
        let event = (!all_events).then(|| Finder::new(word));
        let with_word = |record: &&Record| memchr::memmem::find(&start[record.start..record.end], word).is_some();
        if !all_events && records.iter().filter(with_word).count() as u64 != part.found.events {
            return None;
        }
        let (first, last) = ends.usual();
        let google = has(Form::Google).then(|| Finder::new(GOOGLE));
        Some(Self { word: Finder::new(WORD), google, escape: Finder::new(ESCAPE), first, last, event })
    }

    /// Recognizes such a log by the start of a file. What is packed or encoded is none.
    pub(super) fn of_file(start: &[u8]) -> Option<Self> {
        let is_plain = container::Container::of(start).is_none()
            && container::unsupported(start).is_none()
            && text::Wide::of(start).is_none()
            && !text::is_binary(start)
            && Framing::of(start).is_none();
        is_plain.then(|| Self::of(start)).flatten()
    }

    /// Reads the lines that matter, and counts the others.
    pub(super) fn read(&self, lines: &[u8], part: &mut Part) {
        pieces(lines, CACHED).for_each(|piece| self.read_piece(piece, part));
    }

    fn read_piece(&self, piece: &[u8], part: &mut Part) {
        let mut read = 0;
        let mut at = 0;
        while let Some(hit) = self.find(piece, at) {
            let (start, end) = line_at(piece, hit);
            read += self.read_line(&piece[start..end], part);
            at = end;
        }
        let mut at = 0;
        while let Some(hit) = piece.get(at..).and_then(|rest| self.escape.find(rest)).map(|found| at + found) {
            at = hit + ESCAPE.len();
            if matches!(piece.get(at), Some(b'4'..=b'7')) {
                let (start, end) = line_at(piece, hit);
                read += self.read_other(&piece[start..end], part);
                at = end;
            }
        }
        let mut lines = 0;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            let line = &piece[start..end];
            lines += self.count(line);
            if self.is_odd(line) {
                read += self.read_other(line, part);
            }
            start = end + 1;
        }
        // The last line of a log may be cut off.
        if let Some(line) = piece.get(start..).filter(|line| !line.is_empty()) {
            lines += self.count(line);
            read += self.read_other(line, part);
        }
        part.found.events += lines - read;
    }

    /// Finds what matters.
    fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let text = text.get(from..)?;
        let word = self.word.find(text);
        let google = self.google.as_ref().and_then(|finder| finder.find(&text[..word.unwrap_or(text.len())]));
        google.or(word).map(|found| from + found)
    }

    /// Reads a line. Returns how often it would be counted otherwise.
    fn read_line(&self, line: &[u8], part: &mut Part) -> u64 {
        part.read(line, 0);
        self.count(line)
    }

    /// Reads a line unless it was read because of what is in it.
    fn read_other(&self, line: &[u8], part: &mut Part) -> u64 {
        if self.find(line, 0).is_some() { 0 } else { self.read_line(line, part) }
    }

    /// Returns how many events a line counts for.
    fn count(&self, line: &[u8]) -> u64 {
        let is_event = self.event.as_ref().map_or(!line.is_empty(), |word| word.find(line).is_some());
        u64::from(is_event)
    }

    /// Reports whether a line begins or ends in a way that others do not: it may be cut off.
    fn is_odd(&self, line: &[u8]) -> bool {
        let line = without_return(line);
        let differs =
            |usual: Option<u8>, byte: Option<&u8>| usual.is_some_and(|usual| byte.is_some_and(|byte| *byte != usual));
        differs(self.first, line.first()) || differs(self.last, line.last())
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Returns the line around a place.
fn line_at(text: &[u8], at: usize) -> (usize, usize) {
    let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
    let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
    (start, end)
}

/// With which bytes lines begin and end.
#[derive(Default)]
struct Ends {
    seen: Option<(u8, u8)>,
    differs: (bool, bool),
}

impl Ends {
    fn add(&mut self, line: &[u8]) {
        let (Some(&first), Some(&last)) = (line.first(), line.last()) else { return };
        let (usual_first, usual_last) = *self.seen.get_or_insert((first, last));
        self.differs.0 |= first != usual_first;
        self.differs.1 |= last != usual_last;
    }

    fn usual(&self) -> (Option<u8>, Option<u8>) {
        let (first, last) = self.seen.unzip();
        (first.filter(|_| !self.differs.0), last.filter(|_| !self.differs.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::report::Fault;

    fn event(index: usize, more: &str) -> String {
        format!(
            r#"{{"kind":"Event","auditID":"{index}","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{{"username":"alice"}}{more}}}"#
        )
    }

    const PANDA: &str = r#","impersonatedUser":{"username":"panda"}"#;

    fn read(start: &str, log: &str) -> Option<Part> {
        let lines = Lines::of(start.as_bytes())?;
        let mut part = Part::default();
        lines.read(log.as_bytes(), &mut part);
        Some(part)
    }

    #[test]
    fn only_lines_that_matter_are_read_and_all_are_counted() {
        let escaped = PANDA.replace("impersonatedUser", "\\u0069mpersonated\\u0055ser");
        let mut log: String = (0..500).map(|index| event(index, "") + "\n").collect();
        log.insert_str(log.find('\n').unwrap() + 1, &(event(600, PANDA) + "\n" + &event(601, &escaped) + "\n"));
        let part = read(&log, &log).unwrap();
        assert_eq!((part.found.events, part.found.impersonated), (502, 2));
        assert!(part.found.faults.is_empty());
        let cut = format!("{log}{}\n{log}{}", &event(700, "")[..80], &event(701, "")[..90]);
        let part = read(&log, &cut).unwrap();
        assert_eq!((part.found.events, part.found.impersonated), (1004, 4));
        assert_eq!(part.found.faults.get(&Fault::Cut), Some(&(2, 0)));
    }

    #[test]
    fn prefixes_and_lines_of_other_programs() {
        let log: String =
            (0..90).map(|index| format!("t{index} stdout {}\nklog line {index}\n", event(index, PANDA))).collect();
        let part = read(&log, &log).unwrap();
        assert_eq!((part.found.events, part.found.impersonated), (90, 90));
    }

    #[test]
    fn logs_that_have_to_be_read_whole() {
        let plain = event(1, PANDA) + "\n";
        for log in [
            String::new(),
            "no events\n".to_owned(),
            format!("{}{}\n", event(1, ""), event(2, "")),
            format!("[{},{}]\n", event(1, ""), event(2, "")),
            plain.replace(",\"", ",\n\""),
            plain.replace("verb", "Verb"),
        ] {
            assert!(Lines::of(format!("{log}{log}").as_bytes()).is_none(), "{log}");
        }
        assert!(Lines::of_file(plain.as_bytes()).is_some());
        assert!(Lines::of_file(b"\x1f\x8b").is_none());
    }
}
