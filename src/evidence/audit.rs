//! The texts of audit logs: records of any kind, and a faster way through logs that have an event in each line.

use std::io::{self, Read};

use rayon::prelude::*;

use super::collect::Collected;
use super::container::{self, Peeked, Trail, Unsupported, Visitor};
use super::find::Part;
use super::framing::{Framing, Unframed};
use super::lines::Lines;
use super::records::{Record, Rest, Splitter};
use super::report::{Fault, Found};
use super::text::{self, Wide, WideText};

/// How much is read at a time, in bytes: little enough to be still in the cache when it is searched.
pub(super) const BLOCK: usize = 1 << 20;
/// Longest record that is read, in bytes. Events with bodies are large; more than this is no event.
pub(super) const MAX_RECORD: usize = 256 << 20;
/// How much of a text is split into records at a time, in bytes. What is larger than that and no event is taken apart.
const WINDOW: usize = 8 << 20;
/// Records that one thread reads at a time.
const CHUNK: usize = 64;
/// Lines that one thread searches at a time, in bytes.
const PIECE: usize = 256 << 10;

/// Reads one log, and gives what it shows to others as it goes.
pub(super) struct LogReader<'a> {
    /// Takes what was collected.
    pub(super) take: &'a (dyn Fn(&mut Collected) + Sync),
    pub(super) found: Found,
    /// What is around the events, each name once.
    pub(super) layers: Vec<&'static str>,
    /// What could not be read, and what to do about it.
    pub(super) problems: Vec<(String, &'static str)>,
}

impl Visitor for LogReader<'_> {
    fn text(&mut self, text: &mut Peeked<'_>, trail: &Trail) -> io::Result<()> {
        trail.containers.iter().for_each(|name| self.layer(name));
        let before = std::mem::take(&mut self.found);
        let read = self.read_encoded(text);
        let found = std::mem::replace(&mut self.found, before);
        self.add(&found, trail);
        read
    }

    fn failed(&mut self, error: &io::Error, trail: &Trail) {
        trail.containers.iter().for_each(|name| self.layer(name));
        let of = trail.containers.last().map(|name| format!("{name}: ")).unwrap_or_default();
        let help = if error.kind() == io::ErrorKind::Unsupported {
            "unpack it first, and give what is in it"
        } else {
            "what came before was read: get the whole file"
        };
        self.problems.push((format!("{}cannot be read: {of}{error}", member(trail)), help));
    }

    fn unsupported(&mut self, format: Unsupported, trail: &Trail) {
        trail.containers.iter().for_each(|name| self.layer(name));
        self.problems.push((format!("{}{} is not read", member(trail), format.name), format.help));
    }
}

/// Says which member of an archive is meant.
fn member(trail: &Trail) -> String {
    trail.member.as_ref().map(|name| format!("in {name}: ")).unwrap_or_default()
}

impl<'a> LogReader<'a> {
    pub(super) fn new(take: &'a (dyn Fn(&mut Collected) + Sync)) -> Self {
        Self { take, found: Found::default(), layers: Vec::new(), problems: Vec::new() }
    }

    /// Reads a log of any kind. `size` is how many bytes have been read from disk.
    pub(super) fn read(&mut self, log: &mut dyn Read, size: &dyn Fn() -> u64) {
        container::unpack(log, size, &Trail::default(), self);
    }

    /// Adds what was found in a text.
    pub(super) fn add(&mut self, found: &Found, trail: &Trail) {
        for (fault, (count, line)) in &found.faults {
            self.problems.push((format!("{}{}", member(trail), fault.message(*count, *line)), fault.help()));
        }
        self.found.merge(found);
    }

    fn layer(&mut self, name: &'static str) {
        if !self.layers.contains(&name) {
            self.layers.push(name);
        }
    }

    fn read_encoded(&mut self, text: &mut Peeked<'_>) -> io::Result<()> {
        let Some(wide) = Wide::of(text.start()) else { return self.read_utf8(text) };
        self.layer(wide.name());
        let mut decoded = WideText::new(text, wide);
        self.read_utf8(&mut Peeked::new(&mut decoded)?)
    }

    fn read_utf8(&mut self, text: &mut Peeked<'_>) -> io::Result<()> {
        if text::is_binary(text.start()) {
            self.found.fault(Fault::Unsupported(BINARY), 0);
            return Ok(());
        }
        let Some(framing) = Framing::of(text.start()) else { return self.read_text(text) };
        self.layer(framing.name());
        let mut unframed = Unframed::new(io::BufReader::with_capacity(BLOCK, text), framing);
        self.read_text(&mut Peeked::new(&mut unframed)?)
    }

    fn read_text(&mut self, text: &mut Peeked<'_>) -> io::Result<()> {
        if text.whole().is_none() {
            if let Some(lines) = Lines::of(text.start()) {
                return self.read_lines(text, &lines);
            }
            if let Some(unsupported) = only_unsupported(text.start()) {
                self.found.merge(&unsupported);
                return Ok(());
            }
        }
        self.read_records(text)
    }

    /// Reads record after record.
    fn read_records(&mut self, text: &mut dyn Read) -> io::Result<()> {
        let mut splitter = Splitter::default();
        let mut window = WINDOW;
        let mut buffer = Vec::new();
        loop {
            let wanted = window - buffer.len();
            // What came before the log broke off counts.
            let read = text.take(wanted as u64).read_to_end(&mut buffer);
            let is_end = !matches!(read, Ok(length) if length == wanted);
            let mut records = Vec::new();
            let rest = splitter.split(&buffer, is_end, window < MAX_RECORD, &mut records);
            self.read_together(&buffer, &records);
            if is_end {
                self.end(&splitter);
                return read.map(|_| ());
            }
            match rest {
                Rest::Nothing => buffer.clear(),
                Rest::Incomplete(start) => drop(buffer.drain(..start)),
                Rest::TooLong => {
                    window *= 2;
                    continue;
                }
            }
            window = WINDOW.max(buffer.len() * 2).min(MAX_RECORD);
        }
    }

    /// Records what only the end of a text tells.
    fn end(&mut self, splitter: &Splitter) {
        if splitter.holes > 0 {
            self.found.faults(Fault::Hole, splitter.holes, splitter.hole_line);
        }
        let is_cut = self.found.faults.contains_key(&Fault::Cut);
        if let Some(line) = splitter.unclosed().filter(|_| self.found.events > 0 && !is_cut) {
            self.found.fault(Fault::Cut, line);
        }
    }

    /// Reads records, with the help of other threads if there are many.
    fn read_together(&mut self, text: &[u8], records: &[Record]) {
        let read_some = |records: &[Record]| {
            let mut part = Part::default();
            for record in records {
                part.read(&text[record.start..record.end], record.line);
            }
            part
        };
        if records.len() <= CHUNK {
            self.take(read_some(records));
        } else {
            let parts: Vec<Part> = records.par_chunks(CHUNK).map(read_some).collect();
            parts.into_iter().for_each(|part| self.take(part));
        }
    }

    pub(super) fn take(&mut self, mut part: Part) {
        (self.take)(&mut part.seen);
        self.found.merge(&part.found);
    }

    /// Reads block after block of lines.
    pub(super) fn read_lines(&mut self, log: &mut dyn Read, lines: &Lines) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        let mut filled = 0;
        loop {
            let free = block.get_mut(filled..).unwrap_or_default();
            let read = match log.read(free) {
                Ok(read) => Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let new = filled..filled + *read.as_ref().unwrap_or(&0);
            filled = new.end;
            let is_end = new.is_empty();
            let whole = if is_end {
                filled
            } else {
                memchr::memrchr(b'\n', &block[new.clone()]).map_or(0, |last| new.start + last + 1)
            };
            // Blocks that a decoder gives in small parts are searched once they are full.
            if !is_end && filled < block.len() && whole < PIECE {
                continue;
            }
            self.search(&block[..whole], lines);
            if is_end {
                // What came before the log broke off counts.
                return read.map(|_| ());
            }
            block.copy_within(whole..filled, 0);
            filled -= whole;
            if filled == block.len() {
                // A line that does not end is no event, but must not be held for ever.
                if filled >= MAX_RECORD {
                    self.search(&block, lines);
                    filled = 0;
                } else {
                    block.resize(2 * filled, 0);
                }
            }
        }
    }

    /// Searches lines, with the help of other threads if there are many.
    fn search(&mut self, text: &[u8], lines: &Lines) {
        let search_some = |piece: &&[u8]| {
            let mut part = Part::default();
            lines.read(piece, &mut part);
            part
        };
        let pieces: Vec<&[u8]> = pieces(text, PIECE).collect();
        let parts: Vec<Part> = pieces.par_iter().map(search_some).collect();
        parts.into_iter().for_each(|part| self.take(part));
    }
}

/// Cuts a text at ends of lines, into pieces of at least a size but for the last.
pub(super) fn pieces(text: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let tail = rest.get(size..).unwrap_or_default();
        let end = memchr::memchr(b'\n', tail).map_or(rest.len(), |end| size + end + 1);
        let (piece, later) = rest.split_at(end);
        rest = later;
        (!piece.is_empty()).then_some(piece)
    })
}

const BINARY: Unsupported = Unsupported {
    name: "binary data of an unknown format",
    help: "leave the file out, or export the events in it as JSON lines",
};

/// Returns what the start of a text shows if that is a format that is not read, and nothing else.
fn only_unsupported(start: &[u8]) -> Option<Found> {
    let mut records = Vec::new();
    Splitter::default().split(start, false, true, &mut records);
    let mut part = Part::default();
    records.iter().for_each(|record| part.read(&start[record.start..record.end], record.line));
    let is_unsupported = |fault: &Fault| matches!(fault, Fault::Unsupported(_));
    (part.found.events == 0 && part.found.faults.keys().any(is_unsupported)).then_some(part.found)
}

#[cfg(test)]
mod tests {
    use crate::authority::Mode;
    use crate::evidence::{Evidence, read_log};

    fn read(log: &str) -> Evidence {
        let mut evidence = Evidence::default();
        read_log(log.as_bytes(), &mut evidence).unwrap();
        evidence
    }

    fn event(stage: &str, more: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"{stage}","requestURI":"/api/v1/namespaces/shop/pods?limit=500","verb":"list","user":{{"username":"alice","groups":["devs","system:authenticated"]}},"objectRef":{{"resource":"pods","namespace":"shop","apiVersion":"v1"}},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z"{more}}}"#
        )
    }

    const PANDA: &str = r#","impersonatedUser":{"username":"panda","groups":["devs","system:authenticated"]}"#;

    #[test]
    fn headers_are_rebuilt_and_stages_counted_once() {
        let log = [event("RequestReceived", ""), event("ResponseStarted", PANDA), event("ResponseComplete", PANDA)]
            .join("\n");
        let evidence = read(&log);
        let (observation, tally) = evidence.iter().next().unwrap();
        assert_eq!(evidence.iter().count(), 1);
        assert_eq!((tally.count(), tally.is_open(), observation.mode), (1, false, Some(Mode::Legacy)));
        let request = &observation.request;
        assert_eq!((request.headers.user(), request.headers.groups()), ("panda", &["devs".to_owned()][..]));
        assert_eq!((request.namespace.as_str(), request.name.as_str()), ("shop", ""));
        assert!(read(&event("ResponseStarted", PANDA)).iter().next().unwrap().1.is_open());
    }

    #[test]
    fn events_in_the_envelopes_of_clouds() {
        let plain = event("ResponseComplete", PANDA);
        let escaped = serde_json::to_string(&plain).unwrap();
        for log in [
            format!(r#"{{"kind":"EventList","items":[{plain}]}}"#),
            format!(r#"{{"timestamp":1,"message":{escaped}}}"#),
            format!(r#"{{"logEvents":[{{"message":{escaped}}}]}}"#),
            format!(r#"{{"records":[{{"category":"kube-audit","properties":{{"log":{escaped},"pod":"x"}}}}]}}"#),
            format!("[\n  {plain}\n]\n"),
        ] {
            assert_eq!(read(&log), read(&plain), "{log}");
        }
    }

    #[test]
    fn entries_of_google_cloud_show_who_is_whom() {
        let entry = |service: &str, authentication: &str| {
            format!(
                r#"{{"logName":"x","timestamp":"2026-01-01T00:00:00Z","protoPayload":{{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"{service}","methodName":"io.k8s.core.v1.pods.list","authenticationInfo":{{"principalEmail":"proxy"{authentication}}}}}}}"#
            )
        };
        let selector = r#","authoritySelector":"alice""#;
        let log = [
            entry("k8s.io", ""),
            entry("k8s.io", selector),
            entry("storage.googleapis.com", selector),
            entry("k8s.io", selector),
        ];
        let evidence = read(&log.join("\n"));
        let [(glimpse, tally)] = evidence.glimpses().collect::<Vec<_>>()[..] else { panic!("{evidence:?}") };
        assert_eq!((evidence.iter().count(), evidence.not_events), (0, 0));
        assert_eq!((glimpse.requestor.as_str(), glimpse.user.as_str()), ("proxy", "alice"));
        assert_eq!((tally.count(), tally.first.as_str()), (2, "2026-01-01T00:00:00Z"));
        assert_eq!(read(&format!("[\n{}\n]", log.join(",\n"))).glimpses().next(), evidence.glimpses().next());
    }

    #[test]
    fn a_refusal_names_the_check_that_failed() {
        let more = r#","impersonatedUser":null,"responseStatus":{"code":403,"message":"forbidden: User \"alice\" cannot impersonate-on:user-info:get path \"/api\""}"#;
        let evidence = read(&event("ResponseComplete", more));
        let (observation, _) = evidence.iter().next().unwrap();
        assert_eq!(observation.refused.as_deref(), Some("impersonate-on:user-info:get path \"/api\""));
        assert_eq!(observation.mode, None);
    }

    #[test]
    fn what_is_no_event_is_counted() {
        let whole = event("ResponseComplete", PANDA);
        let evidence = read(&format!("{whole}\nnot impersonated\n{{\"impersonate\": 1}}\n"));
        assert_eq!((evidence.iter().count(), evidence.not_events), (1, 2));
    }
}
