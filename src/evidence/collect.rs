//! What logs show while they are read: many times the same, so each distinct thing is one piece of memory, found without
//! being copied. Threads write such pieces one behind the other, and now and then add them to what all have seen.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use super::{Evidence, ExtraValues, Glimpse, Observation, OwnedRequest, Review, Tally};
use crate::authority::{Extra, Headers, Mode, User};

/// What one thread has seen and not yet told the others, one after the other.
#[derive(Debug, Default)]
pub(super) struct Collected {
    key: Key,
    entries: Vec<Entry>,
    pub(super) not_events: usize,
}

/// What an entry is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Request,
    Review,
    Glimpse,
}

/// Behind the key of each entry its first and its last time are written.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    ended: u64,
    key: usize,
    first: usize,
    last: usize,
}

impl Collected {
    /// Adds requests: `ended` of them, or none for one that is still open. `write` writes what they are, as
    /// [`observation`] reads it.
    pub(super) fn add_request(&mut self, ended: u64, first: &str, last: &str, write: impl FnOnce(&mut Key)) {
        self.add(Kind::Request, ended, [first, last], write);
    }

    /// Adds reviews. `write` writes what they are, as [`review`] reads it.
    pub(super) fn add_review(&mut self, count: u64, first: &str, last: &str, write: impl FnOnce(&mut Key)) {
        self.add(Kind::Review, count, [first, last], write);
    }

    /// Adds requests of which only this is known: who made them, and as whom.
    pub(super) fn add_glimpse(&mut self, count: u64, first: &str, last: &str, requestor: &str, user: &str) {
        self.add(Kind::Glimpse, count, [first, last], |key| {
            key.text(requestor);
            key.text(user);
        });
    }

    fn add(&mut self, kind: Kind, ended: u64, times: [&str; 2], write: impl FnOnce(&mut Key)) {
        let before = self.key.0.len();
        write(&mut self.key);
        let key = self.key.0.len() - before;
        let [first, last] = times.map(|time| {
            self.key.0.extend_from_slice(time.as_bytes());
            time.len()
        });
        self.entries.push(Entry { kind, ended, key, first, last });
    }

    /// Takes what another has collected, and leaves nothing there.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.key.0.append(&mut other.key.0);
        self.entries.append(&mut other.entries);
        self.not_events += std::mem::take(&mut other.not_events);
    }

    /// How much is kept, in bytes.
    pub(super) fn size(&self) -> usize {
        self.key.0.len()
    }
}

/// All that was seen, each thing once.
#[derive(Debug, Default)]
pub(super) struct Condensed {
    requests: Tallies,
    reviews: Tallies,
    glimpses: Tallies,
    not_events: usize,
}

impl Condensed {
    /// Takes what was collected, and leaves nothing.
    pub(super) fn take(&mut self, seen: &mut Collected) {
        let mut rest = seen.key.0.as_slice();
        for entry in seen.entries.drain(..) {
            let (key, behind) = rest.split_at(entry.key);
            let (first, behind) = behind.split_at(entry.first);
            let (last, behind) = behind.split_at(entry.last);
            rest = behind;
            let tallies = match entry.kind {
                Kind::Request => &mut self.requests,
                Kind::Review => &mut self.reviews,
                Kind::Glimpse => &mut self.glimpses,
            };
            tallies.add(key, entry.ended, first, last);
        }
        seen.key.0.clear();
        self.not_events += std::mem::take(&mut seen.not_events);
    }

    /// Adds everything to evidence, with the values of extras as it shall have them.
    pub(super) fn add_to(self, evidence: &mut Evidence, values: ExtraValues) {
        let observation = |key: &mut Reader<'_>| {
            let mut observation = observation(key);
            values.apply_to_observation(&mut observation);
            observation
        };
        let review = |key: &mut Reader<'_>| {
            let mut review = review(key);
            values.apply_to_review(&mut review);
            review
        };
        evidence.add_requests(self.requests.read(observation).into_iter());
        evidence.add_reviews(self.reviews.read(review).into_iter());
        evidence.add_glimpses(self.glimpses.read(glimpse).into_iter());
        evidence.not_events += self.not_events;
    }
}

/// Tallies by what was seen.
#[derive(Debug, Default)]
struct Tallies(HashMap<Box<[u8]>, Tally, RandomState>);

impl Tallies {
    fn add(&mut self, key: &[u8], ended: u64, first: &[u8], last: &[u8]) {
        let text = |time| std::str::from_utf8(time).unwrap_or_default();
        match self.0.get_mut(key) {
            Some(tally) => tally.add(ended, text(first), text(last)),
            None => {
                let tally = Tally { ended, first: text(first).to_owned(), last: text(last).to_owned() };
                self.0.insert(key.into(), tally);
            }
        }
    }

    /// What the keys hold, sorted, each once: a sorted map takes it sooner then.
    fn read<T: Ord + Send>(self, read: impl Fn(&mut Reader<'_>) -> T + Sync) -> Vec<(T, Tally)> {
        let mut all: Vec<_> = self.0.into_par_iter().map(|(key, tally)| (read(&mut Reader(&key)), tally)).collect();
        all.par_sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        // Keys that differ in what is added to all alike are one.
        all.dedup_by(|(next, tally), (kept, own)| {
            let same = next == kept;
            if same {
                own.add(tally.ended, &tally.first, &tally.last);
            }
            same
        });
        all
    }
}

/// Strings in one piece of memory, each ended by a byte that UTF-8 does not have.
#[derive(Debug, Default)]
pub(super) struct Key(Vec<u8>);

const END: u8 = 0xff;
const END_OF_LIST: u8 = 0xfe;

impl Key {
    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(END);
    }

    pub(super) fn list<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        texts.into_iter().for_each(|text| self.text(text));
        self.0.push(END_OF_LIST);
    }

    pub(super) fn extra<'a, V>(&mut self, extra: impl IntoIterator<Item = (&'a str, V)>)
    where
        V: IntoIterator<Item: AsRef<str>>,
    {
        for (key, values) in extra {
            self.text(key);
            values.into_iter().for_each(|value| self.text(value.as_ref()));
            self.0.push(END_OF_LIST);
        }
        self.0.push(END_OF_LIST);
    }

    /// What an observation begins with.
    pub(super) fn mode_and_refusal(&mut self, mode: Option<Mode>, refused: Option<&str>) {
        self.text(mode.map_or("", Mode::as_str));
        self.list(refused);
    }

    pub(super) fn observation(&mut self, observation: &Observation) {
        let Observation { request, mode, refused } = observation;
        self.mode_and_refusal(*mode, refused.as_deref());
        self.text(&request.requestor.name);
        self.list(request.requestor.groups.iter().map(String::as_str));
        self.extra(texts_of(&request.requestor.extra));
        self.text(request.headers.user());
        self.text(request.headers.uid());
        self.list(request.headers.groups().iter().map(String::as_str));
        self.extra(texts_of(request.headers.extra()));
        self.text(&request.verb);
        self.text(&request.api_group);
        self.text(&request.resource);
        self.text(&request.subresource);
        self.text(&request.namespace);
        self.text(&request.name);
        self.text(&request.path);
    }
}

fn texts_of(extra: &Extra) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
    extra.iter().map(|(key, values)| (key.as_str(), values.iter().map(String::as_str)))
}

/// Reads what a [`Key`] holds, in the order in which it was written.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn text(&mut self) -> String {
        let length = memchr::memchr(END, self.0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest.get(1..).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    fn is_at_end(&mut self) -> bool {
        match self.0.split_first() {
            Some((&END_OF_LIST, rest)) => {
                self.0 = rest;
                true
            }
            first => first.is_none(),
        }
    }

    fn list(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while !self.is_at_end() {
            texts.push(self.text());
        }
        texts
    }

    fn extra(&mut self) -> Extra {
        let mut extra = Extra::new();
        while !self.is_at_end() {
            let key = self.text();
            extra.insert(key, self.list());
        }
        extra
    }
}

/// The observation in a key. The groups that authentication adds are added here, once for each distinct request.
fn observation(key: &mut Reader<'_>) -> Observation {
    let mode = key.text();
    let mode = Mode::ALL.into_iter().find(|known| known.as_str() == mode);
    let refused = key.list().pop();
    let mut requestor = User { name: key.text(), groups: key.list(), extra: key.extra() };
    requestor.complete_groups();
    let request = OwnedRequest {
        requestor,
        headers: Headers::received(key.text(), key.text(), key.list(), key.extra()),
        verb: key.text(),
        api_group: key.text(),
        resource: key.text(),
        subresource: key.text(),
        namespace: key.text(),
        name: key.text(),
        path: key.text(),
    };
    Observation { request, mode, refused }
}

/// The review in a key.
fn review(key: &mut Reader<'_>) -> Review {
    Review {
        asker: key.text(),
        user: key.text(),
        groups: key.list(),
        api_group: key.text(),
        resource: key.text(),
        subresource: key.text(),
        namespace: key.text(),
        name: key.text(),
    }
}

/// The glimpse in a key.
fn glimpse(key: &mut Reader<'_>) -> Glimpse {
    Glimpse { requestor: key.text(), user: key.text() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = |text: &str| text.to_owned();
        let extra = Extra::from([(text("a"), vec![text("1"), text("")]), (text("b"), vec![text("2")])]);
        let mut requestor = User { name: text("alice"), groups: vec![text(""), text("x\u{0}y")], extra: extra.clone() };
        requestor.complete_groups();
        let request = OwnedRequest {
            requestor,
            headers: Headers::received(text("panda"), text("uid"), vec![text("g")], extra),
            verb: text("get"),
            api_group: text("apps"),
            resource: text("deployments"),
            subresource: text("scale"),
            namespace: text("shop"),
            name: text("wéb"),
            path: text("/x"),
        };
        for (mode, refused) in
            [(Some(Mode::Legacy), None), (None, Some(text("impersonate x"))), (None, Some(text(""))), (None, None)]
        {
            let expected = Observation { request: request.clone(), mode, refused };
            let mut key = Key::default();
            key.observation(&expected);
            assert_eq!(observation(&mut Reader(&key.0)), expected);
        }
    }
}
