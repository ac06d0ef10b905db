//! Observed requests, each once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{ExtraNames, OwnedRequest};
use crate::authority::{Attributes, IdentityKind, Mode};

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

/// A SubjectAccessReview for the verb `impersonate`: a server that asks for the verb itself, on behalf of a user of its own,
/// and to which constrained grants mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Review {
    /// Who has asked.
    pub asker: String,
    /// About whom.
    pub user: String,
    /// The groups of the user, as the asker has named them.
    pub groups: Vec<String>,
    /// The API group of the identity.
    pub api_group: String,
    /// The kind of the identity, such as `users`.
    pub resource: String,
    /// The subresource; the key, for `userextras`.
    pub subresource: String,
    /// The namespace of the identity.
    pub namespace: String,
    /// The name of the identity.
    pub name: String,
}

/// Reports whether a resource, as someone asks about it, is that of an extra.
pub(super) fn is_of_extra(resource: &str) -> bool {
    resource.split('/').next() == Some(IdentityKind::UserExtras.resource())
}

impl Review {
    /// Reports whether the name is the value of an extra.
    pub(super) fn is_of_extra(&self) -> bool {
        is_of_extra(&self.resource)
    }

    /// The question as the authorizer takes it.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            verb: Mode::Legacy.identity_verb(),
            api_group: &self.api_group,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            path: "",
        }
    }
}

/// What an entry of Google Cloud shows of requests as another user: the names, and nothing of groups, UID and extras. That is
/// no request that could be answered again, but somebody uses a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glimpse {
    /// Who has asked; empty where the entry does not say.
    pub requestor: String,
    /// Whom it asked to be.
    pub user: String,
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
    reviews: BTreeMap<Review, Tally>,
    glimpses: BTreeMap<Glimpse, Tally>,
    /// Lines that could matter, but are neither events nor evidence.
    pub not_events: usize,
}

impl Evidence {
    /// Adds requests, each of them once.
    pub(super) fn add_requests(&mut self, requests: impl Iterator<Item = (Observation, Tally)>) {
        add_all(&mut self.requests, requests);
    }

    /// Adds reviews, each of them once.
    pub(super) fn add_reviews(&mut self, reviews: impl Iterator<Item = (Review, Tally)>) {
        add_all(&mut self.reviews, reviews);
    }

    /// Adds glimpses, each of them once.
    pub(super) fn add_glimpses(&mut self, glimpses: impl Iterator<Item = (Glimpse, Tally)>) {
        add_all(&mut self.glimpses, glimpses);
    }

    /// Adds everything that another log has shown.
    pub fn merge(&mut self, other: Self) {
        self.add_requests(other.requests.into_iter());
        self.add_reviews(other.reviews.into_iter());
        self.add_glimpses(other.glimpses.into_iter());
        self.not_events += other.not_events;
    }

    /// Resolves the values of extras that an input names itself. All others stay hashes.
    #[must_use]
    pub fn resolve(self, names: &ExtraNames) -> Self {
        let requests = self.requests.into_iter().map(|(mut observation, tally)| {
            names.resolve_in_observation(&mut observation);
            (observation, tally)
        });
        let reviews = self.reviews.into_iter().map(|(mut review, tally)| {
            names.resolve_in_review(&mut review);
            (review, tally)
        });
        Self { requests: requests.collect(), reviews: reviews.collect(), ..self }
    }

    /// How many distinct requests there are.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The requests, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&Observation, &Tally)> {
        self.requests.iter()
    }

    /// The reviews for the verb `impersonate`, in a fixed order.
    pub fn reviews(&self) -> impl Iterator<Item = (&Review, &Tally)> {
        self.reviews.iter()
    }

    /// What is known of requests as another user that cannot be answered again, in a fixed order.
    pub fn glimpses(&self) -> impl Iterator<Item = (&Glimpse, &Tally)> {
        self.glimpses.iter()
    }
}

fn add_all<T: Ord>(to: &mut BTreeMap<T, Tally>, from: impl Iterator<Item = (T, Tally)>) {
    if to.is_empty() {
        // Of what is sorted and each there once, a map is made at once.
        *to = from.collect();
        return;
    }
    from.for_each(|(what, tally)| match to.entry(what) {
        Entry::Occupied(mut own) => own.get_mut().add(tally.ended, &tally.first, &tally.last),
        Entry::Vacant(place) => {
            place.insert(tally);
        }
    });
}

/// Makes the time from a first to a last request hold that of others, too.
pub(crate) fn take_in((own_first, own_last): (&mut String, &mut String), first: &str, last: &str) {
    if own_first.is_empty() || (!first.is_empty() && first < own_first.as_str()) {
        first.clone_into(own_first);
    }
    if last > own_last.as_str() {
        last.clone_into(own_last);
    }
}

impl Tally {
    /// Adds requests: `ended` of them, or none for one that is still open.
    pub(super) fn add(&mut self, ended: u64, first: &str, last: &str) {
        self.ended = self.ended.saturating_add(ended);
        take_in((&mut self.first, &mut self.last), first, last);
    }

    /// Adds the requests of another tally.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.add(other.ended, &other.first, &other.last);
    }

    /// How many requests: one at least, since a request that has not ended is one too.
    pub fn count(&self) -> u64 {
        self.ended.max(1)
    }

    /// Whether no such request has ended yet, as far as the logs show.
    pub fn is_open(&self) -> bool {
        self.ended == 0
    }
}
