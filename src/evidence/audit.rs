//! Audit logs: lines of events, as the API server writes them or as managed clouds wrap them, and condensed evidence.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use memchr::memmem::Finder;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::Evidence;
use super::collect::{Collected, Condensed};
use super::event::Event;
use super::request::{AsideShape, EvidenceShape};

/// How much is read at a time, in bytes: little enough to be still in the cache when it is searched.
pub(super) const BLOCK: usize = 1 << 20;
/// Longest line, and largest text of values over many lines, that is read, in bytes. Events with bodies are large; more
/// than this is no event.
pub(super) const MAX_VALUE: usize = 256 << 20;
/// How deep an event may be wrapped.
const MAX_DEPTH: usize = 8;
/// Events that one thread reads at a time.
const CHUNK: usize = 64;

/// Why a log could not be read to its end.
#[derive(Debug)]
pub struct LogError(io::Error);

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot be read: {}", self.0)
    }
}

impl std::error::Error for LogError {}

/// Reads a log, compressed with gzip or not, and adds what it shows to `evidence`. A line that is cut off at the end is
/// counted as no event.
///
/// # Errors
/// When the log cannot be read to its end. What was read until then is kept.
pub fn read_log(log: impl Read, evidence: &mut Evidence) -> Result<(), LogError> {
    let mut all = Condensed::default();
    let read = read_stream(log, &mut all);
    all.add_to(evidence);
    read
}

/// As [`read_log`].
pub(super) fn read_stream(log: impl Read, all: &mut Condensed) -> Result<(), LogError> {
    let mut log = BufReader::with_capacity(BLOCK, log);
    if is_gzip(log.fill_buf()?) {
        read_text(&mut BufReader::with_capacity(BLOCK, MultiGzDecoder::new(log)), all)
    } else {
        read_text(&mut log, all)
    }
}

/// Whether a file that begins like this is compressed.
pub(super) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// Whether a text that begins like this has values over many lines, as programs lay them out for people.
pub(super) fn is_laid_out(start: &[u8]) -> bool {
    let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    matches!(first.trim_ascii(), b"{" | b"[")
}

fn read_text(log: &mut dyn BufRead, all: &mut Condensed) -> Result<(), LogError> {
    let start = log.fill_buf()?;
    let needle = Needle::of(start);
    if is_laid_out(start) { read_laid_out(log, &needle, all) } else { read_lines(log, &needle, all) }
}

/// Reads values over many lines: an export, or a stream of events.
fn read_laid_out(log: &mut dyn BufRead, needle: &Needle, all: &mut Condensed) -> Result<(), LogError> {
    let mut text = Vec::new();
    let read = log.take(MAX_VALUE as u64).read_to_end(&mut text);
    // What came before the log broke off counts.
    if needle.find(&text).is_some() {
        let mut seen = Collected::default();
        let mut strange = false;
        for value in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
            strange |= !value.is_ok_and(|value| unwrap(value, &mut seen, 0));
        }
        seen.not_events += usize::from(strange);
        all.take(&mut seen);
    }
    read?;
    Ok(())
}

/// Reads block after block of lines.
pub(super) fn read_lines(log: &mut dyn Read, needle: &Needle, all: &mut Condensed) -> Result<(), LogError> {
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
        // What came before the log broke off counts.
        let whole = if new.is_empty() {
            filled
        } else {
            memchr::memrchr(b'\n', &block[new.clone()]).map_or(0, |last| new.start + last + 1)
        };
        needle.read_hits_together(&block[..whole], all);
        if new.is_empty() {
            read?;
            return Ok(());
        }
        block.copy_within(whole..filled, 0);
        filled -= whole;
        if filled == block.len() {
            // A line that does not end is no event, but must not be held for ever.
            if filled >= MAX_VALUE {
                needle.read_hits_together(&block, all);
                filled = 0;
            } else {
                block.resize(2 * filled, 0);
            }
        }
    }
}

/// What is looked for. Finding it in a block is many times faster than looking at each line.
pub(super) struct Needle {
    word: Finder<'static>,
    /// What else an export of Google Cloud may hold, whose form has no field with the word.
    google: Option<Finder<'static>>,
}

impl Needle {
    /// What is looked for in a log that begins like this.
    pub(super) fn of(start: &[u8]) -> Self {
        let is_google = memchr::memmem::find(start, b"\"protoPayload\"").is_some();
        // It is in the field, in refusals, and in condensed evidence.
        Self { word: Finder::new("impersonate"), google: is_google.then(|| Finder::new("authoritySelector")) }
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        let word = self.word.find(text);
        let google = self.google.as_ref().and_then(|finder| finder.find(&text[..word.unwrap_or(text.len())]));
        google.or(word)
    }

    /// Looks at the lines that hold it.
    pub(super) fn read_hits(&self, lines: &[u8], seen: &mut Collected) {
        self.hits(lines).for_each(|line| read_one(line, seen));
    }

    /// As [`Needle::read_hits`], with the help of other threads if there is much to do.
    fn read_hits_together(&self, lines: &[u8], all: &mut Condensed) {
        let hits: Vec<&[u8]> = self.hits(lines).collect();
        let read_some = |hits: &[&[u8]]| {
            let mut seen = Collected::default();
            hits.iter().for_each(|line| read_one(line, &mut seen));
            seen
        };
        if hits.len() <= CHUNK {
            all.take(&mut read_some(&hits));
        } else {
            let parts: Vec<Collected> = hits.par_chunks(CHUNK).map(read_some).collect();
            parts.into_iter().for_each(|mut part| all.take(&mut part));
        }
    }

    fn hits<'a>(&'a self, lines: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = lines;
        std::iter::from_fn(move || {
            let at = self.find(rest)?;
            let start = memchr::memrchr(b'\n', &rest[..at]).map_or(0, |index| index + 1);
            let end = memchr::memchr(b'\n', &rest[at..]).map_or(rest.len(), |index| at + index);
            let line = &rest[start..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            Some(line)
        })
    }
}

fn read_one(line: &[u8], seen: &mut Collected) {
    seen.not_events += usize::from(!read_line(line, seen));
}

/// Reads a line. False if it is neither an event, however wrapped, nor evidence.
fn read_line(line: &[u8], seen: &mut Collected) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    // Exports that were made on Windows begin with a byte order mark.
    let line = line.trim_start_matches('\u{feff}');
    if observe(line, seen) {
        return true;
    }
    if line.contains("\"deputize.evidence/") {
        return match serde_json::from_str::<EvidenceShape>(line) {
            Ok(request) => request.add_to(seen),
            Err(_) => serde_json::from_str::<AsideShape>(line).is_ok_and(|aside| aside.add_to(seen)),
        };
    }
    serde_json::from_str(line).is_ok_and(|value: Value| unwrap(value, seen, 0))
}

/// Looks for events in a value: itself, in its fields and items, and in strings that hold JSON.
fn unwrap(value: Value, seen: &mut Collected, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match value {
        Value::Object(fields) if fields.contains_key("stage") && fields.contains_key("verb") => {
            // Of a key that stands twice the last is left now.
            observe(&Value::Object(fields).to_string(), seen)
        }
        Value::Object(fields) => {
            if let Some((requestor, user)) = glimpse(&fields) {
                let time = fields.get("timestamp").and_then(Value::as_str).unwrap_or_default();
                seen.add_glimpse(1, time, time, requestor, user);
                return true;
            }
            unwrap_all(fields.into_iter().map(|(_, value)| value), seen, depth)
        }
        Value::Array(items) => unwrap_all(items.into_iter(), seen, depth),
        Value::String(text) if text.contains("\"stage\"") => {
            observe(&text, seen) || serde_json::from_str(&text).is_ok_and(|value| unwrap(value, seen, depth + 1))
        }
        _ => false,
    }
}

/// Reads an event. False if it is none.
fn observe(text: &str, seen: &mut Collected) -> bool {
    Event::parse(text).is_some_and(|event| {
        event.observe(seen);
        true
    })
}

/// Who has asked to be whom, where this is the form in which Google Cloud logs impersonated requests to an API server
/// (`google.cloud.audit.AuditLog`). It has the names, and nothing of groups, UID and extras.
fn glimpse(entry: &Map<String, Value>) -> Option<(&str, &str)> {
    let payload = entry.get("protoPayload")?;
    let authentication = payload.get("authenticationInfo")?;
    let text = |key: &str| authentication.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let user =
        text("authoritySelector").filter(|_| payload.get("serviceName").and_then(Value::as_str) == Some("k8s.io"))?;
    Some((text("principalEmail").or_else(|| text("principalSubject")).unwrap_or_default(), user))
}

/// Looks for events in each value. Whether there is any.
fn unwrap_all(values: impl Iterator<Item = Value>, seen: &mut Collected, depth: usize) -> bool {
    let mut any = false;
    for value in values {
        any |= unwrap(value, seen, depth + 1);
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Mode;

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
        assert_eq!((evidence.iter().count(), evidence.not_events), (0, 1));
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
        let evidence =
            read(&format!("{whole}\nnot impersonated\n{{\"impersonate\": 1}}\n{}", &whole[..whole.len() - 20]));
        assert_eq!((evidence.iter().count(), evidence.not_events), (1, 3));
    }
}
