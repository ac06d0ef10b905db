//! Events anywhere in a record: after a prefix, several of them, in envelopes, in strings that are escaped any number of
//! times, in payloads that are encoded.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use serde_json::{Map, Value};

use super::collect::Collected;
use super::container;
use super::encoded;
use super::escapes;
use super::event::Event;
use super::foreign::{self, has_event_words};
use super::json::{self, Extent};
use super::normal;
use super::records::{Record, Splitter};
use super::report::{Fault, Form, Found};
use super::request::{AsideShape, EvidenceShape};

/// How deep values, strings and payloads may be nested together. The parser allows 128 for values alone.
const MAX_DEPTH: usize = 160;
/// How much the payloads of one record may hold together, in bytes.
const MAX_PAYLOADS: usize = 64 << 20;

/// What one thread has seen of one log.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) seen: Collected,
    pub(super) found: Found,
}

impl Part {
    /// Reads a record that begins in a line; line zero is not known.
    pub(super) fn read(&mut self, record: &[u8], line: u64) {
        match std::str::from_utf8(record) {
            Ok(text) => self.read_text(text, line),
            Err(_) => self.read_chunks(record, line),
        }
    }

    /// Reads what is text in a record that is not, as a whole. Names that are not read as they were would be others.
    fn read_chunks(&mut self, record: &[u8], line: u64) {
        let mut part = Self::default();
        record.utf8_chunks().for_each(|chunk| part.read_text(chunk.valid(), line));
        let is_whole = part.found.faults.is_empty() && part.found.events > 0;
        if !is_whole && has_event_words(record) {
            part.found.faults.clear();
            part.found.fault(Fault::NotUtf8, line);
        }
        self.found.merge(&part.found);
        self.seen.append(&mut part.seen);
    }

    fn read_text(&mut self, text: &str, line: u64) {
        let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | ','));
        if let Some(event) = Event::parse(text).filter(Event::is_exact) {
            self.found.event(Form::Json, event.observe(&mut self.seen));
            return;
        }
        let mut all = find(text);
        if !all.faults.is_empty() {
            // Some programs escape what is escaped already, but for the quotes.
            let again = text.contains("\\\\").then(|| text.replace("\\\\", "\\"));
            let again = again.as_deref().unwrap_or(text).replace("\\=", "=").replace("\\|", "|");
            let other = if again == text { None } else { Some(find(&again)) };
            all = other.filter(|other| other.faults.is_empty()).unwrap_or(all);
        }
        for fault in all.faults {
            self.found.fault(fault, line);
        }
        if all.has_word_only {
            self.seen.not_events += 1;
        }
        for mut sighting in all.sightings {
            self.found.event(sighting.form, sighting.is_impersonated);
            self.seen.append(&mut sighting.seen);
        }
    }
}

/// What a record shows.
struct Shown {
    sightings: Vec<Sighting>,
    faults: Vec<Fault>,
    /// Whether it has the word, and is not about an event.
    has_word_only: bool,
}

fn find(text: &str) -> Shown {
    let mut finder = Finder { payloads: MAX_PAYLOADS, faults: Vec::new(), cut: 0 };
    let sightings = finder.text(text, Form::Json, 0);
    let Finder { mut faults, cut, .. } = finder;
    faults.extend((0..cut).map(|_| Fault::Cut));
    let mut has_word_only = false;
    if sightings.is_empty() && faults.is_empty() {
        match foreign::unsupported(text) {
            Some(format) => faults.push(Fault::Unsupported(format)),
            None if has_event_words(text.as_bytes()) => faults.push(Fault::Garbled),
            // The word alone may be in a message, or in a log of something else.
            None => has_word_only = has_word(text.as_bytes()),
        }
    }
    Shown { sightings, faults, has_word_only }
}

fn has_word(record: &[u8]) -> bool {
    memchr::memmem::find(record, b"mpersonate").is_some()
}

/// Something that a record shows.
#[derive(Debug)]
struct Sighting {
    /// The same for each copy of the same event.
    id: u64,
    /// Whether it is written as the API server writes it: of several copies such a one counts.
    is_exact: bool,
    is_impersonated: bool,
    form: Form,
    seen: Collected,
}

/// Looks for events in one record.
struct Finder {
    /// How much payloads may still hold, in bytes.
    payloads: usize,
    /// What could not be read, but for events that are cut off.
    faults: Vec<Fault>,
    /// Events that are cut off.
    cut: usize,
}

impl Finder {
    /// Finds events in a text of any kind.
    fn text(&mut self, text: &str, form: Form, depth: usize) -> Vec<Sighting> {
        let mut all = Vec::new();
        if depth > MAX_DEPTH {
            return all;
        }
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'{', b'[', rest)) {
            let start = at + found;
            let form = if form == Form::Json && start > 0 { Form::Text } else { form };
            if let Some((inner, end)) = escapes::unescape(text, start) {
                let form = if inner.is_csv { Form::Csv } else { Form::Text };
                all.extend(self.block(&inner.text, form, depth + 1));
                at = end;
                continue;
            }
            match json::extent(bytes, start) {
                Extent::Closed(end) => match text.get(start..end).map(serde_json::from_str::<Value>) {
                    Some(Ok(value)) => {
                        all.extend(self.value(value, form, depth));
                        at = end;
                    }
                    _ => at = start + 1,
                },
                // What is in an event is no event: who may write objects could make some.
                Extent::Open { is_event: true, .. } | Extent::Broken { is_event: true, .. } => {
                    self.cut += 1;
                    return all;
                }
                Extent::Open { .. } | Extent::Broken { .. } => at = start + 1,
            }
        }
        if all.is_empty() && self.cut == 0 && self.faults.is_empty() {
            all = self.tokens(text, depth);
        }
        all
    }

    /// Finds events in a text of many records.
    fn block(&mut self, text: &str, form: Form, depth: usize) -> Vec<Sighting> {
        let mut records = Vec::new();
        let mut splitter = Splitter::default();
        splitter.split(text.as_bytes(), true, false, &mut records);
        let mut all = Vec::new();
        for Record { start, end, .. } in records {
            all.extend(text.get(start..end).map(|record| self.text(record, form, depth)).unwrap_or_default());
        }
        all
    }

    /// Finds payloads in a text without JSON.
    fn tokens(&mut self, text: &str, depth: usize) -> Vec<Sighting> {
        let is_other = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/' | '-' | '_' | '=');
        text.split(is_other).flat_map(|token| self.payload(token, depth)).collect()
    }

    fn value(&mut self, value: Value, form: Form, depth: usize) -> Vec<Sighting> {
        let depth = depth + 1;
        if depth > MAX_DEPTH {
            return Vec::new();
        }
        match value {
            Value::Object(fields) => self.object(fields, form, depth),
            Value::Array(items) => match bytes_of(&items) {
                Some(bytes) => self.bytes(&bytes, Form::Payload, depth + 1),
                // Of a list each element counts.
                None => items.into_iter().flat_map(|item| self.value(item, envelope(form), depth)).collect(),
            },
            Value::String(text) if text.contains(['{', '[']) => self.block(&text, envelope(form), depth + 1),
            Value::String(text) => self.payload(&text, depth),
            _ => Vec::new(),
        }
    }

    fn object(&mut self, fields: Map<String, Value>, form: Form, depth: usize) -> Vec<Sighting> {
        if normal::is_exact(&fields)
            && let Some(sighting) = sighting(&fields, form, true)
        {
            return vec![sighting];
        }
        if let Some(event) = normal::event(&fields) {
            if is_row_of_aks_audit(&fields) {
                self.faults.push(Fault::Unsupported(foreign::AKS_AUDIT));
                return Vec::new();
            }
            let form = if form == Form::Csv { form } else { Form::Fields };
            return sighting(&event, form, false).into_iter().collect();
        }
        if let Some(sighting) = condensed(&fields).or_else(|| google(&fields)) {
            return vec![sighting];
        }
        if let Some(value @ (Value::Object(_) | Value::Array(_))) = normal::untyped(&fields) {
            return self.value(value, envelope(form), depth);
        }
        // Fields may show the same event again: decoded, or as the text that it came as.
        let mut all = Vec::new();
        let (before, mut cut_alone, mut any_whole) = (self.cut, 0, false);
        for (_, value) in fields {
            let cut = self.cut;
            let more = self.value(value, envelope(form), depth);
            if more.is_empty() {
                cut_alone += self.cut - cut;
            }
            any_whole |= self.cut == cut && !more.is_empty();
            merge(&mut all, more);
        }
        // A summary of what another field has whole is not cut off.
        if any_whole {
            self.cut -= cut_alone.min(self.cut - before);
        }
        all
    }

    fn payload(&mut self, text: &str, depth: usize) -> Vec<Sighting> {
        match encoded::decode_payload(text.as_bytes()) {
            Some(bytes) => self.bytes(&bytes, Form::Payload, depth + 1),
            None => Vec::new(),
        }
    }

    /// Finds events in bytes, compressed or not.
    fn bytes(&mut self, bytes: &[u8], form: Form, depth: usize) -> Vec<Sighting> {
        if depth > MAX_DEPTH {
            return Vec::new();
        }
        match container::inflate(bytes, self.payloads) {
            Some(Ok(inflated)) => {
                self.payloads -= inflated.len();
                self.bytes(&inflated, form, depth + 1)
            }
            Some(Err(_)) => {
                self.faults.push(Fault::Payload);
                Vec::new()
            }
            // What is between texts counts them, or names their parts.
            None => bytes.utf8_chunks().flat_map(|chunk| self.block(chunk.valid(), form, depth)).collect(),
        }
    }
}

/// Returns the form of what is in a value.
fn envelope(form: Form) -> Form {
    if form == Form::Json { Form::Envelope } else { form }
}

/// Reads an event. None if a field is of another type than events have.
fn sighting(event: &Map<String, Value>, form: Form, is_exact: bool) -> Option<Sighting> {
    // Of a key that comes twice the last is left.
    let text = serde_json::to_string(event).ok()?;
    let mut seen = Collected::default();
    let is_impersonated = Event::parse(&text)?.observe(&mut seen);
    Some(Sighting { id: id_of(event, &text), is_exact, is_impersonated, form, seen })
}

/// Returns what tells an event from others: its ID and its stage, or all of it.
fn id_of(fields: &Map<String, Value>, text: &str) -> u64 {
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut hasher = FixedState::default().build_hasher();
    match field("auditID") {
        "" => hasher.write(text.as_bytes()),
        id => {
            hasher.write(id.as_bytes());
            hasher.write(field("stage").as_bytes());
        }
    }
    hasher.finish()
}

/// Adds what another field of an object shows: as often as either of them shows it, and not as both together.
fn merge(all: &mut Vec<Sighting>, more: Vec<Sighting>) {
    if all.is_empty() {
        *all = more;
        return;
    }
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, sighting) in all.iter().enumerate().rev() {
        places.entry(sighting.id).or_default().push(place);
    }
    for sighting in more {
        match places.get_mut(&sighting.id).and_then(Vec::pop).and_then(|place| all.get_mut(place)) {
            Some(same) if sighting.is_exact && !same.is_exact => *same = sighting,
            Some(_) => {}
            None => all.push(sighting),
        }
    }
}

/// Returns the bytes that a list of numbers stands for: a journal's way to write what is no text to it.
fn bytes_of(items: &[Value]) -> Option<Vec<u8>> {
    let byte = |item: &Value| item.as_u64().and_then(|byte| u8::try_from(byte).ok());
    if items.len() < 2 { None } else { items.iter().map(byte).collect() }
}

fn is_row_of_aks_audit(fields: &Map<String, Value>) -> bool {
    let is_table = |name: &str| name.starts_with("AKSAudit");
    fields.contains_key("StageReceivedTime") || fields.get("Type").and_then(Value::as_str).is_some_and(is_table)
}

/// Reads condensed evidence.
fn condensed(fields: &Map<String, Value>) -> Option<Sighting> {
    let schema = fields.get("schema")?.as_str()?;
    if !schema.starts_with("deputize.evidence/") {
        return None;
    }
    let value = Value::Object(fields.clone());
    let mut seen = Collected::default();
    let is_request = fields.contains_key("request");
    let is_read = if is_request {
        serde_json::from_value::<EvidenceShape>(value).is_ok_and(|request| request.add_to(&mut seen))
    } else {
        serde_json::from_value::<AsideShape>(value).is_ok_and(|aside| aside.add_to(&mut seen))
    };
    let text = Value::Object(fields.clone()).to_string();
    let id = id_of(&Map::new(), &text);
    is_read.then_some(Sighting { id, is_exact: true, is_impersonated: is_request, form: Form::Evidence, seen })
}

/// Reads an entry of Google Cloud (`google.cloud.audit.AuditLog`) about a request to an API server. It has the names of
/// requestor and user, and nothing of groups, UID and extras.
fn google(fields: &Map<String, Value>) -> Option<Sighting> {
    let payload = fields.get("protoPayload")?;
    if payload.get("serviceName").and_then(Value::as_str) != Some("k8s.io") {
        return None;
    }
    let mut seen = Collected::default();
    let text = |key: &str| {
        let name = payload.get("authenticationInfo").and_then(|info| info.get(key)).and_then(Value::as_str);
        name.filter(|name| !name.is_empty())
    };
    let user = text("authoritySelector");
    if let Some(user) = user {
        let time = fields.get("timestamp").and_then(Value::as_str).unwrap_or_default();
        let requestor = text("principalEmail").or_else(|| text("principalSubject")).unwrap_or_default();
        seen.add_glimpse(1, time, time, requestor, user);
    }
    let id = id_of(&Map::new(), &Value::Object(fields.clone()).to_string());
    Some(Sighting { id, is_exact: true, is_impersonated: user.is_some(), form: Form::Google, seen })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;

    use super::*;
    use crate::evidence::collect::Condensed;
    use crate::evidence::{Evidence, ExtraValues};

    fn event(id: &str) -> String {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "stage": "ResponseComplete",
            "requestURI": "/api/v1/pods?a=b&c=d", "verb": "list", "user": {"username": "alice", "groups": ["a \"b\"", "{c}"]},
            "impersonatedUser": {"username": "größe", "groups": ["devs", "system:authenticated"]},
            "objectRef": {"resource": "pods"}, "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        })
        .to_string()
    }

    fn read(record: &str) -> (Evidence, Found) {
        let mut part = Part::default();
        part.read(record.as_bytes(), 1);
        let mut evidence = Evidence::default();
        let mut all = Condensed::default();
        all.take(&mut part.seen);
        all.add_to(&mut evidence, ExtraValues::Hashed);
        (evidence, part.found)
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    #[test]
    fn an_event_is_found_wherever_it_is() {
        let plain = event("x");
        let (expected, _) = read(&plain);
        let once = quoted(&plain);
        let twice = quoted(&json!({"log": plain}).to_string());
        let bytes: Vec<u8> = plain.bytes().collect();
        let base64 = BASE64_STANDARD.encode(&plain);
        let gzip = BASE64_STANDARD.encode(zstd::encode_all(plain.as_bytes(), 1).unwrap());
        for record in [
            format!("2026-01-01T00:00:00Z stdout F {plain}"),
            format!("<13>1 2026-01-01T00:00:00Z host app - - [x@1 a=\"b\"] {plain}"),
            format!("[0] audit: [[1764497730.1, {{}}], {{\"log\"=>\"{plain}\"}}]"),
            format!("level=info msg={once} more=1"),
            format!("level=info msg={} more=1", quoted(&once)),
            format!("x;\"{}\";y", plain.replace('"', "\"\"")),
            format!("<v>{}</v>", plain.replace('&', "&amp;").replace('"', "&quot;")),
            format!("{{\"message\":{once}}}"),
            format!("{{\"message\":{twice}}}"),
            format!("{{\"message\":{once},\"event\":{{\"original\":{once}}},\"parsed\":{plain}}}"),
            json!({"MESSAGE": bytes}).to_string(),
            json!({"Records": [{"kinesis": {"data": base64}}]}).to_string(),
            json!({"awslogs": {"data": gzip}}).to_string(),
            format!("payload {gzip}"),
            format!("CEF:0|K8s|audit|1|x|x|1|msg={}", plain.replace('\\', "\\\\").replace('=', "\\=")),
            json!({"Data": BASE64_STANDARD.encode([b"\xf3\x89\x9a\xc2\x0a\x01a\x1a\xfb\x07", plain.as_bytes(), b"\xff"].concat())}).to_string(),
        ] {
            let (evidence, found) = read(&record);
            assert_eq!(evidence, expected, "{record}");
            assert_eq!((found.events, found.faults.len()), (1, 0), "{record}");
        }
    }

    #[test]
    fn copies_in_one_object_count_once_and_elements_of_a_list_each() {
        let (x, y) = (event("x"), event("y"));
        let count = |record: String| read(&record).1.events;
        assert_eq!(count(format!("{{\"a\":[{x},{y}],\"b\":{{\"c\":{}}}}}", quoted(&y))), 2);
        assert_eq!(count(format!("[{x},{x},{y}]")), 3);
        assert_eq!(count(format!("{{\"a\":[{x},{x}],\"b\":[{x}]}}")), 2);
        assert_eq!(count(format!("{x}{x}")), 2);
        let (short, full) = (quoted(&x[..100]), quoted(&x));
        let (_, found) = read(&format!("{{\"full\":{full},\"short\":{short}}}"));
        assert_eq!((found.events, found.faults.len()), (1, 0));
        let (_, found) = read(&format!("{{\"all\":[{full},{short}]}}"));
        assert_eq!((found.events, found.faults.len()), (1, 1));
        assert_eq!(count(format!("{{\"a\":{x},\"b\":{}}}", x.replace("Complete", "Started"))), 2);
    }

    #[test]
    fn what_is_in_an_event_is_no_event() {
        let planted = event("planted");
        let outer = event("x").replacen('{', &format!("{{\"requestObject\":{planted},\"s\":{},", quoted(&planted)), 1);
        assert_eq!(read(&outer).1.events, 1);
        for cut in (20..outer.len()).step_by(7).filter(|at| outer.is_char_boundary(*at)) {
            // Whether it is an event can only be seen after its own keys.
            let reordered = event("x").replace("\"verb\"", &format!("\"requestObject\":{planted},\"verb\""));
            let Some(text) = reordered.get(..cut).filter(|text| text.contains("requestURI")) else { continue };
            let (evidence, found) = read(text);
            assert!(evidence.is_empty() && found.faults.contains_key(&Fault::Cut), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_known_by_its_words() {
        let faults = |record: &str| read(record).1.faults.into_keys().collect::<Vec<_>>();
        assert_eq!(faults("{'auditID': 'x', 'impersonatedUser': {}}"), [Fault::Garbled]);
        assert_eq!(faults("AUDIT: id=\"x\" as=\"y\"").len(), 1);
        assert_eq!(faults("User \"x\" cannot impersonate"), []);
        assert_eq!(faults("{\"impersonate\": 1}"), []);
        let mut part = Part::default();
        part.read(b"{\"auditID\":\"\xff\"}", 3);
        assert_eq!(part.found.faults.get(&Fault::NotUtf8), Some(&(1, 3)));
        let mut part = Part::default();
        part.read(&[b"\xff\x01", event("x").as_bytes(), b"\xff"].concat(), 1);
        assert_eq!((part.found.events, part.found.faults.len()), (1, 0));
        let deep = "[".repeat(100_000);
        assert_eq!(faults(&deep), []);
        assert_eq!(faults(&"{\"a\":".repeat(100_000)), []);
    }

    #[test]
    fn payloads_that_expand_too_much_are_named() {
        let bomb = BASE64_STANDARD.encode(zstd::encode_all(io_zeros(MAX_PAYLOADS + 10), 1).unwrap());
        let (_, found) = read(&json!({"data": bomb}).to_string());
        assert!(found.faults.contains_key(&Fault::Payload));
    }

    fn io_zeros(length: usize) -> impl std::io::Read {
        use std::io::Read;
        std::io::repeat(b' ').take(length as u64)
    }
}
