//! The proof that a migration loses nothing and widens nothing: all observed requests are answered in the states that it
//! leads to, and the rules of these states are compared.

use rayon::prelude::*;

use super::credit::Served;
use super::cutover::Cutover;
use super::widen::{Memberships, Widening, widened};
use crate::authority::{Authorizer, Feature, Mode, decide};
use crate::evidence::{Evidence, OwnedRequest, Review};
use crate::grants::Grants;
use crate::inventory::Object;

/// How many failures are spelled out.
const MAX_SHOWN: usize = 10;

/// What becomes of requests and rules.
#[derive(Debug)]
pub(super) struct Proof {
    /// Requests that the state between the stages does not allow; by index.
    pub lost_between: Vec<usize>,
    /// The mode that serves each request after the cut-over.
    pub after: Vec<Option<Mode>>,
    /// Whether the impersonated user may still make it.
    pub allowed: Vec<bool>,
    /// Reviews for the literal verb that were answered with yes and no longer are; who asked, about whom.
    pub reviews: Vec<(String, String)>,
    /// What is allowed and was not.
    pub widened: Vec<Widening>,
}

/// The answer to each request in a state: the mode that serves it, and whether the impersonated user may make it.
pub(super) fn replay(
    grants: &Grants<'_>,
    requests: &[(&OwnedRequest, u64)],
    feature: Feature,
) -> Vec<(Option<Mode>, bool)> {
    let authorizer = Authorizer::new(grants.inventory(), grants.rules(), grants.links());
    let answer = |(request, _): &(&OwnedRequest, u64)| {
        let decision = decide(&authorizer, &request.as_request(), feature);
        (decision.mode(), decision.request.is_some())
    };
    requests.par_iter().map(answer).collect()
}

/// The impersonated requests that were allowed, each once, with how often they were seen.
pub(super) fn allowed_requests(evidence: Option<&Evidence>) -> Vec<(&OwnedRequest, u64)> {
    let mut requests: Vec<(&OwnedRequest, u64)> = Vec::new();
    for (observation, tally) in evidence.into_iter().flat_map(Evidence::iter) {
        if observation.mode.is_none() {
            continue;
        }
        // One request that was served by several modes is one after the other.
        match requests.last_mut() {
            Some((last, count)) if **last == observation.request => *count = count.saturating_add(tally.count()),
            _ => requests.push((&observation.request, tally.count())),
        }
    }
    requests
}

/// Answers all requests after each stage, and looks for what is widened.
pub(super) fn prove(
    before: &Grants<'_>,
    added: &[Object],
    cutover: &Cutover,
    requests: &[(&OwnedRequest, u64)],
    served: &[Served],
    memberships: &Memberships,
    evidence: Option<&Evidence>,
) -> Proof {
    let between = || {
        let between = before.inventory().with(added, &[]);
        let refused = |(index, (mode, allowed)): &(usize, &(Option<Mode>, bool))| {
            (served[*index].before.is_some() && mode.is_none()) || (served[*index].allowed && !allowed)
        };
        let answers = replay(&Grants::new(&between), requests, Feature::Constrained);
        answers.iter().enumerate().filter(refused).map(|(index, _)| index).collect()
    };
    let after = || {
        let after = before.inventory().with(added.iter().chain(cutover.applied()), &cutover.deleted_keys());
        let after = Grants::new(&after);
        let (modes, allowed) = replay(&after, requests, Feature::Constrained).into_iter().unzip();
        (modes, allowed, lost_reviews(before, &after, evidence), widened(before, &after, memberships))
    };
    let (lost_between, (after, allowed, reviews, widened)) = rayon::join(between, after);
    Proof { lost_between, after, allowed, reviews, widened }
}

/// The reviews for the literal verb whose answer changes.
pub(super) fn lost_reviews(
    before: &Grants<'_>,
    after: &Grants<'_>,
    evidence: Option<&Evidence>,
) -> Vec<(String, String)> {
    let Some(evidence) = evidence.filter(|evidence| evidence.reviews().next().is_some()) else { return Vec::new() };
    let [was, is] = [before, after].map(|grants| Authorizer::new(grants.inventory(), grants.rules(), grants.links()));
    let yes = |authorizer: &Authorizer<'_>, review: &Review| {
        authorizer.authorize(&review.user, &review.groups, &review.attributes()).is_some()
    };
    let lost = evidence.reviews().filter(|(review, _)| yes(&was, review) && !yes(&is, review));
    let mut lost: Vec<_> = lost.map(|(review, _)| (review.asker.clone(), review.user.clone())).collect();
    // About one user there may be many.
    lost.dedup();
    lost
}

impl Proof {
    /// What the proof fails on, in words; empty if it holds.
    pub fn failures(&self, requests: &[(&OwnedRequest, u64)], served: &[Served]) -> Vec<String> {
        let describe = |index: usize| {
            let request = requests[index].0;
            let what = if request.path.is_empty() { &request.resource } else { &request.path };
            format!("{} as {}: {} {what}", request.requestor.name, request.headers.user(), request.verb)
        };
        let mut failures = Vec::new();
        for index in &self.lost_between {
            failures.push(format!("would be refused between the stages: {}", describe(*index)));
        }
        for (index, before) in served.iter().enumerate() {
            if before.before.is_some() && self.after[index].is_none() {
                failures.push(format!("would be refused after the cut-over: {}", describe(index)));
            } else if before.allowed && !self.allowed[index] {
                failures
                    .push(format!("the impersonated user would be refused after the cut-over: {}", describe(index)));
            }
        }
        for (asker, user) in &self.reviews {
            failures.push(format!("{asker} asks whether {user} may impersonate, and would be told no"));
        }
        for widening in &self.widened {
            let (who, mode) = (widening.subject.describe(), widening.mode);
            failures.push(format!("{who} in mode {mode}, {}: {}", widening.identity.resource, widening.why));
        }
        let more = failures.len().saturating_sub(MAX_SHOWN);
        failures.truncate(MAX_SHOWN);
        if more > 0 {
            failures.push(format!("and {more} more"));
        }
        failures
    }
}
