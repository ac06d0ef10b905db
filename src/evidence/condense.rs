//! Observed requests, each once.

use std::collections::BTreeMap;

use super::OwnedRequest;
use super::request::EvidenceShape;
use crate::authority::Mode;

/// One request as logs show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observation {
    /// The request; without headers where the impersonation was refused, since the log does not have them then.
    pub request: OwnedRequest,
    /// The mode that served it; none where the impersonation was refused.
    pub mode: Option<Mode>,
    /// The check that failed, in the server's words; none where the impersonation was allowed.
    pub refused: Option<String>,
}

/// How often and when a request was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests that have ended.
    pub ended: u64,
    /// Time of the first, as the log writes it.
    pub first: String,
    /// Time of the last.
    pub last: String,
}

/// Distinct requests. To condense shards and to merge the results gives the same as to condense all of it, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    requests: BTreeMap<Observation, Tally>,
    /// Lines that could matter, but are neither events nor evidence.
    pub not_events: usize,
}

impl Evidence {
    /// Adds requests: `ended` of them, or none for one that is still open.
    pub(super) fn add(&mut self, observation: Observation, ended: u64, first: &str, last: &str) {
        let tally = self.requests.entry(observation).or_default();
        tally.ended += ended;
        if tally.first.is_empty() || (!first.is_empty() && first < tally.first.as_str()) {
            tally.first = first.to_owned();
        }
        if last > tally.last.as_str() {
            tally.last = last.to_owned();
        }
    }

    /// Adds a line that was condensed before. False if its mode is none that there is.
    pub(super) fn add_condensed(&mut self, shape: EvidenceShape) -> bool {
        let mode = match shape.mode.as_deref() {
            None => None,
            Some(name) => match Mode::ALL.into_iter().find(|mode| mode.as_str() == name) {
                Some(mode) => Some(mode),
                None => return false,
            },
        };
        let ended = if shape.open { 0 } else { shape.count };
        let observation = Observation { request: shape.request.into(), mode, refused: shape.refused };
        self.add(observation, ended, &shape.first, &shape.last);
        true
    }

    /// Adds everything that another log has shown.
    pub fn merge(&mut self, other: Self) {
        for (observation, tally) in other.requests {
            self.add(observation, tally.ended, &tally.first, &tally.last);
        }
        self.not_events += other.not_events;
    }

    /// The requests, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&Observation, &Tally)> {
        self.requests.iter()
    }
}

impl Tally {
    /// How many requests: one at least, since a request that has not ended is one too.
    pub fn count(&self) -> u64 {
        self.ended.max(1)
    }

    /// Whether no such request has ended yet, as far as the logs show.
    pub fn is_open(&self) -> bool {
        self.ended == 0
    }
}
