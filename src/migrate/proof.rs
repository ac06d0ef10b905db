//! The proof that a migration loses nothing and widens nothing: all observed requests are answered in the states that it
//! leads to, and the rules of these states are compared.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::credit::Served;
use super::cutover::Cutover;
use super::observed::Reading;
use super::widen::{Widening, widened};
use crate::authority::{Authorizer, Feature, Memberships, Mode, Principal, decide};
use crate::evidence::{Evidence, Review};
use crate::grants::Grants;
use crate::inventory::Object;

/// What becomes of requests and rules.
#[derive(Debug)]
pub(super) struct Proof {
    /// Readings that the state between the stages does not allow; by index.
    pub lost_between: Vec<usize>,
    /// The mode that serves each reading after the cut-over.
    pub after: Vec<Option<Mode>>,
    /// Whether the impersonated user may still make it.
    pub allowed: Vec<bool>,
    /// Reviews for the literal verb that were answered with yes and no longer are; who asked, about whom.
    pub reviews: Vec<(String, String)>,
    /// What is allowed and was not.
    pub widened: Vec<Widening>,
}

/// The answer to each reading of a request in a state: the mode that serves it, and whether the impersonated user may
/// make it.
pub(super) fn replay(grants: &Grants<'_>, readings: &[Reading<'_>], feature: Feature) -> Vec<(Option<Mode>, bool)> {
    let authorizer = Authorizer::new(grants.inventory(), grants.rules(), grants.links());
    let answer = |reading: &Reading<'_>| {
        let decision = decide(&authorizer, &reading.request.as_request(), feature);
        (decision.mode(), decision.request.is_some())
    };
    readings.par_iter().map(answer).collect()
}

/// Answers all requests after each stage, and looks for what is widened.
pub(super) fn prove(
    before: &Grants<'_>,
    added: &[Object],
    cutover: &Cutover,
    readings: &[Reading<'_>],
    served: &[Served],
    memberships: &Memberships,
    evidence: Option<&Evidence>,
) -> Proof {
    let between = || {
        let between = before.inventory().with(added, &[]);
        let refused = |(index, (mode, allowed)): &(usize, &(Option<Mode>, bool))| {
            (served[*index].before.is_some() && mode.is_none()) || (served[*index].allowed && !allowed)
        };
        let answers = replay(&Grants::new(&between), readings, Feature::Constrained);
        answers.iter().enumerate().filter(refused).map(|(index, _)| index).collect()
    };
    let after = || {
        let after = before.inventory().with(added.iter().chain(cutover.applied()), &cutover.deleted_keys());
        let after = Grants::new(&after);
        let (modes, allowed) = replay(&after, readings, Feature::Constrained).into_iter().unzip();
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

/// Something that the proof does not bear out.
#[derive(Debug)]
pub(super) struct Failure {
    /// What fails, in words.
    pub words: String,
    /// Where to look for the subjects whose migration fails.
    pub of: FailureOf,
}

/// What a failure is about.
#[derive(Debug)]
pub(super) enum FailureOf {
    /// The reading of this index.
    Reading(usize),
    /// Reviews about a user.
    User(String),
    /// Subjects.
    Subjects(BTreeSet<Principal>),
}

impl Proof {
    /// What the proof fails on; empty if it holds.
    pub fn failures(&self, readings: &[Reading<'_>], served: &[Served]) -> Vec<Failure> {
        let of_reading = |what: &str, index: usize| {
            let request = &readings[index].request;
            let path = if request.path.is_empty() { &request.resource } else { &request.path };
            let (who, as_whom) = (&request.requestor.name, request.headers.user());
            let words = format!("{who} as {as_whom}: {} {path} would be refused {what}", request.verb);
            Failure { words, of: FailureOf::Reading(index) }
        };
        let mut failures: Vec<Failure> =
            self.lost_between.iter().map(|index| of_reading("between the stages", *index)).collect();
        for (index, before) in served.iter().enumerate().filter(|(index, _)| !readings[*index].is_gone) {
            if before.before.is_some() && self.after[index].is_none() {
                failures.push(of_reading("after the cut-over", index));
            } else if before.allowed && !self.allowed[index] {
                failures.push(of_reading("to the impersonated user after the cut-over", index));
            }
        }
        failures.extend(self.reviews.iter().map(|(asker, user)| Failure {
            words: format!("{asker} asks whether {user} may impersonate, and would be told no"),
            of: FailureOf::User(user.clone()),
        }));
        failures.extend(self.widened.iter().map(|widening| {
            let (who, mode) = (widening.subject.describe(), widening.mode);
            let subjects = widening.new_of.iter().cloned().chain(widening.subject.principal()).collect();
            Failure {
                words: format!("{who} in mode {mode}, {}: {}", widening.identity.resource, widening.why),
                of: FailureOf::Subjects(subjects),
            }
        }));
        failures
    }
}
