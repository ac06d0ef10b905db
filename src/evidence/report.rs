//! What reading a log says of the log itself: its format, how much it holds, and what in it could not be read.

use std::collections::{BTreeMap, BTreeSet};

use super::container::Unsupported;

/// In what form events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As the API server writes them.
    Json,
    /// In fields of other JSON.
    Envelope,
    /// With fields of other names or types.
    Fields,
    /// In lines of text, after a prefix or escaped.
    Text,
    /// With doubled quotes.
    Csv,
    /// In encoded payloads.
    Payload,
    /// Entries of Google Cloud.
    Google,
    /// Condensed before.
    Evidence,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Envelope => "JSON envelopes",
            Self::Fields => "JSON with other fields",
            Self::Text => "JSON in text",
            Self::Csv => "CSV",
            Self::Payload => "encoded payloads",
            Self::Google => "Google Cloud entries",
            Self::Evidence => "condensed evidence",
        }
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// An event, or what it is in, breaks off.
    Cut,
    /// What has the words of an event, and is none that could be read.
    Garbled,
    /// Zeros in place of text.
    Hole,
    /// Text in an unknown encoding.
    NotUtf8,
    /// A payload that could not be decoded.
    Payload,
    /// Another format.
    Unsupported(Unsupported),
}

impl Fault {
    /// Says what is wrong, and how often.
    pub(super) fn message(self, count: u64, line: u64) -> String {
        let place = match (count, line) {
            (_, 0) => String::new(),
            (1, line) => format!(", in line {line}"),
            (_, line) => format!(", first in line {line}"),
        };
        let times = |one: &str, many: &str| if count == 1 { one.to_owned() } else { format!("{count} {many}") };
        match self {
            Self::Cut => format!("{} cut off{place}", times("an event is", "events are")),
            Self::Garbled => format!("{} be read as an audit event{place}", times("a record cannot", "records cannot")),
            Self::Hole => format!("{}{place}", times("zeros instead of text", "times zeros instead of text")),
            Self::NotUtf8 => format!("{} not UTF-8{place}", times("an event is", "events are")),
            Self::Payload => format!("{} be decoded{place}", times("a payload cannot", "payloads cannot")),
            Self::Unsupported(format) => format!("{} is not read{place}", format.name),
        }
    }

    /// Says what to do about it.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Cut => "everything else in the log was read: get the whole log, or remove what is cut off",
            Self::Garbled => "export the events as JSON, as the API server writes them",
            Self::Hole => "a part of the log is lost: get it from elsewhere, or remove the zeros",
            Self::NotUtf8 => "convert the log to UTF-8",
            Self::Payload => "decode the payloads first",
            Self::Unsupported(format) => format.help,
        }
    }
}

/// What was found in a log.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) events: u64,
    pub(super) impersonated: u64,
    pub(super) forms: BTreeSet<Form>,
    /// How often, and the line of the first; zero is not known.
    pub(super) faults: BTreeMap<Fault, (u64, u64)>,
}

impl Found {
    pub(super) fn event(&mut self, form: Form, is_impersonated: bool) {
        self.events += 1;
        self.impersonated += u64::from(is_impersonated);
        self.forms.insert(form);
    }

    pub(super) fn fault(&mut self, fault: Fault, line: u64) {
        self.faults(fault, 1, line);
    }

    pub(super) fn faults(&mut self, fault: Fault, count: u64, line: u64) {
        let (sum, first) = self.faults.entry(fault).or_default();
        *first = if *sum == 0 { line } else { line.min(*first) };
        *sum += count;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.impersonated += other.impersonated;
        self.forms.extend(&other.forms);
        for (fault, (count, line)) in &other.faults {
            self.faults(*fault, *count, *line);
        }
    }

    /// Names the forms of the events.
    pub(super) fn form_names(&self) -> impl Iterator<Item = &'static str> {
        self.forms.iter().map(|form| form.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_many_faults_is_named() {
        let mut found = Found::default();
        found.fault(Fault::Cut, 7);
        let mut other = Found::default();
        other.fault(Fault::Cut, 3);
        other.fault(Fault::Hole, 0);
        other.event(Form::Json, true);
        found.merge(&other);
        let messages: Vec<String> =
            found.faults.iter().map(|(fault, (count, line))| fault.message(*count, *line)).collect();
        assert_eq!(messages, ["2 events are cut off, first in line 3", "zeros instead of text"]);
        assert_eq!((found.events, found.impersonated), (1, 1));
    }
}
