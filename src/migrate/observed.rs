//! Observed requests, and the ways to read each of them.
//!
//! An audit event shows the groups of the impersonated user after the server has added its own: `system:authenticated`,
//! and for a service account without group headers `system:serviceaccounts` and `system:serviceaccounts:<namespace>`
//! (`pkg/endpoints/filters/impersonation/mode.go`). A client may have sent these groups itself, and then other checks
//! were made for it. Evidence keeps the headers as if the server had added them. Here every other reading is rebuilt.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use crate::authority::{
    Authorizer, Feature, Mode, Principal, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_UNAUTHENTICATED, User,
    Username, decide, service_account_groups,
};
use crate::evidence::{Evidence, HeaderHint, ImplicitGroups, OwnedRequest, Tally};

/// One distinct request that was allowed.
#[derive(Debug, Clone)]
pub(super) struct Observed<'e> {
    /// The request, with the groups that the server may have added left out of the headers.
    pub request: &'e OwnedRequest,
    /// How often and when it was seen.
    pub tally: Tally,
    /// Whether a mode served all of it that takes no header but the user's.
    is_certain: bool,
}

/// One way to read an observed request.
#[derive(Debug, Clone)]
pub(super) struct Reading<'e> {
    /// Index of the observed request.
    pub of: usize,
    /// The request with the headers that the client may have sent.
    pub request: Cow<'e, OwnedRequest>,
    /// Whether its namespace does not exist any more. It need not be allowed again.
    pub is_gone: bool,
}

/// What the logs show, ready to be answered again.
#[derive(Debug, Default)]
pub(super) struct Observations<'e> {
    /// Each distinct request, in a fixed order.
    pub requests: Vec<Observed<'e>>,
    /// The readings of each request, in the order of the requests; at least one for each.
    pub readings: Vec<Reading<'e>>,
}

/// What people say of headers that a log cannot tell apart.
#[derive(Debug, Clone, Default)]
pub(super) struct HeaderHints {
    for_all: ImplicitGroups,
    of: BTreeMap<Principal, ImplicitGroups>,
}

impl HeaderHints {
    /// Collects what is said for everyone, and for single impersonators in the file of declared actions.
    pub fn new(for_all: ImplicitGroups, declared: &[HeaderHint]) -> Self {
        let mut this = Self { for_all, ..Self::default() };
        for HeaderHint { impersonator, implicit_groups: hint } in declared {
            match impersonator {
                None => this.for_all = *hint,
                Some(who) => this.of.extend(who.principal().map(|who| (who, *hint))),
            }
        }
        this
    }

    /// What is said of the most specific subject that a requestor is.
    fn of(&self, requestor: &User) -> ImplicitGroups {
        if self.of.is_empty() {
            return self.for_all;
        }
        let all = Principal::all_of(&requestor.name, &requestor.groups);
        all.iter().find_map(|who| self.of.get(who)).copied().unwrap_or(self.for_all)
    }
}

/// How evidence is read.
pub(super) struct Lens<'l, 'i> {
    /// What people say of headers.
    pub hints: &'l HeaderHints,
    /// The input: what it refuses was not sent.
    pub allowed: &'l Authorizer<'i>,
    /// Whether the server has constrained modes.
    pub feature: Feature,
    /// All namespaces that exist, where that is known.
    pub namespaces: Option<&'l BTreeSet<SmolStr>>,
    /// The requestors that matter.
    pub wants: &'l (dyn Fn(&User) -> bool + Sync),
}

impl<'e> Observations<'e> {
    /// Collects the allowed requests of the evidence, and the readings of each that the input lets pass. A request of
    /// which no reading passes keeps the plain one.
    pub fn new(evidence: Option<&'e Evidence>, lens: &Lens<'_, '_>) -> Self {
        let Lens { hints, allowed, feature, namespaces, wants } = *lens;
        let requests = allowed_requests(evidence, wants);
        let read = |(of, observed): (usize, &Observed<'e>)| -> SmallVec<[Reading<'e>; 3]> {
            let request = observed.request;
            let namespace = request.namespace.as_str();
            let is_gone = !namespace.is_empty() && namespaces.is_some_and(|all| !all.contains(namespace));
            let plain = || smallvec![Reading { of, request: Cow::Borrowed(request), is_gone }];
            let hint = hints.of(&request.requestor);
            let others = if observed.is_certain { SmallVec::new() } else { with_implicit_groups(request) };
            if others.is_empty() || hint == ImplicitGroups::NotSent {
                return plain();
            }
            let passes = |reading: &OwnedRequest| decide(allowed, &reading.as_request(), feature).mode().is_some();
            let mut readings: SmallVec<[Reading<'e>; 3]> = SmallVec::new();
            if hint == ImplicitGroups::Unknown && passes(request) {
                readings.push(Reading { of, request: Cow::Borrowed(request), is_gone });
            }
            let others = others.into_iter().filter(passes);
            readings.extend(others.map(|request| Reading { of, request: Cow::Owned(request), is_gone }));
            if readings.is_empty() { plain() } else { readings }
        };
        let readings: Vec<_> = requests.par_iter().enumerate().map(read).collect();
        Self { requests, readings: readings.into_iter().flatten().collect() }
    }

    /// The usernames of requestors of which it is not known whether they send the groups that the server adds.
    pub fn unclear_requestors(&self) -> BTreeSet<&str> {
        let is_plain = |reading: &Reading<'_>| matches!(reading.request, Cow::Borrowed(_));
        let unclear = self.by_request().filter(|(_, readings)| readings.len() > 1 && readings.iter().any(is_plain));
        unclear.map(|(_, readings)| readings[0].request.requestor.name.as_str()).collect()
    }

    /// The readings of each request, with the index of the first.
    pub fn by_request(&self) -> impl Iterator<Item = (usize, &[Reading<'e>])> {
        let mut at = 0;
        self.readings.chunk_by(|a, b| a.of == b.of).map(move |readings| {
            let first = at;
            at += readings.len();
            (first, readings)
        })
    }
}

/// The impersonated requests that were allowed, each once, whatever modes served it.
fn allowed_requests<'e>(evidence: Option<&'e Evidence>, wants: &dyn Fn(&User) -> bool) -> Vec<Observed<'e>> {
    let mut requests: Vec<Observed<'_>> = Vec::new();
    for (observation, tally) in evidence.into_iter().flat_map(Evidence::iter) {
        let Some(mode) = observation.mode else { continue };
        let is_certain = matches!(mode, Mode::ServiceAccount | Mode::AssociatedNode | Mode::ArbitraryNode);
        match requests.last_mut() {
            // One request that was served by several modes is one after the other.
            Some(last) if *last.request == observation.request => {
                last.tally.merge(tally);
                last.is_certain &= is_certain;
            }
            _ if !wants(&observation.request.requestor) => {}
            _ => requests.push(Observed { request: &observation.request, tally: tally.clone(), is_certain }),
        }
    }
    requests
}

/// The same request from a client that sends the groups itself that the server would add. None if there are no such
/// groups, or they are among the headers already.
fn with_implicit_groups(request: &OwnedRequest) -> SmallVec<[OwnedRequest; 2]> {
    let headers = &request.headers;
    let marker = if headers.user() == SYSTEM_ANONYMOUS { SYSTEM_UNAUTHENTICATED } else { SYSTEM_AUTHENTICATED };
    if headers.groups().iter().any(|group| group == marker || group == SYSTEM_UNAUTHENTICATED) {
        return SmallVec::new();
    }
    let with = |groups: &[String]| OwnedRequest { headers: headers.with_groups(groups.to_vec()), ..request.clone() };
    let mut groups = headers.groups().to_vec();
    let mut readings = SmallVec::new();
    if let (Username::ServiceAccount { namespace, .. }, true) = (Username::parse(headers.user()), groups.is_empty()) {
        groups.extend(service_account_groups(namespace).map(Cow::into_owned));
        readings.push(with(&groups));
    }
    groups.push(marker.to_owned());
    readings.push(with(&groups));
    readings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::read_request;

    fn groups_sent(line: &str) -> Vec<Vec<String>> {
        let request = read_request(line.as_bytes()).unwrap();
        with_implicit_groups(&request).iter().map(|reading| reading.headers.groups().to_vec()).collect()
    }

    #[test]
    fn groups_that_the_server_adds_may_have_been_sent() {
        let request = |user: &str, groups: &[&str]| {
            let line = serde_json::json!({"user": "proxy", "impersonate": {"user": user, "groups": groups}});
            groups_sent(&line.to_string())
        };
        assert_eq!(request("alice", &["devs"]), [["devs", "system:authenticated"]]);
        assert_eq!(request("alice", &["devs", "system:authenticated"]), [[""; 0]; 0]);
        assert_eq!(request("alice", &["system:unauthenticated"]), [[""; 0]; 0]);
        assert_eq!(request("system:anonymous", &[]), [["system:unauthenticated"]]);
        assert_eq!(request("system:node:n1", &[]), [["system:authenticated"]]);
        assert_eq!(
            request("system:serviceaccount:apps:deputy", &[]),
            [
                vec!["system:serviceaccounts", "system:serviceaccounts:apps"],
                vec!["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"],
            ]
        );
        assert_eq!(request("system:serviceaccount:apps:deputy", &["devs"]), [["devs", "system:authenticated"]]);
    }
}
