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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::json;

    use super::*;
    use crate::inventory::Inventory;
    use crate::migrate::candidate::candidates;
    use crate::migrate::credit::LegacyIndex;
    use crate::migrate::fixture::{request, reviews, world};

    /// Two legacy grants, the second of which nobody uses, and what the impersonated users may do.
    const BEFORE: &str = "alice impersonate users panda,koala
                          alice impersonate users bear
                          panda list pods
                          koala list pods";

    fn objects(lines: &str) -> Vec<Object> {
        let Inventory { roles, bindings, .. } = world(lines);
        roles.into_iter().map(Object::Role).chain(bindings.into_iter().map(Object::Binding)).collect()
    }

    /// What fails where the first state of a world is followed by one with more objects, and that by one where some are
    /// put in place of their namesakes, and others are gone. Alice lists pods as panda, koala, tiger and bear; pods in a
    /// namespace that is gone as koala.
    fn failures(added: &[Object], changed: Vec<Object>, deleted: Vec<Object>, evidence: &Evidence) -> Vec<String> {
        let before = world(BEFORE);
        let grants = Grants::new(&before);
        let candidates = candidates(&grants);
        let authorizer = Authorizer::new(&before, grants.rules(), grants.links());
        let list = |user: &str| {
            request(
                &json!({"user": "alice", "impersonate": {"user": user}, "verb": "list", "resource": "pods", "namespace": "shop"}),
            )
        };
        let requests = ["panda", "koala", "tiger", "bear"].map(list);
        let index = LegacyIndex::new(&candidates);
        let readings: Vec<Reading<'_>> = requests
            .iter()
            .enumerate()
            .map(|(of, request)| Reading { of, request: Cow::Borrowed(request), is_gone: of == 1 })
            .collect();
        let serve = |reading: &Reading<'_>| index.serve(&authorizer, &authorizer, &candidates, &reading.request);
        let served: Vec<Served> = readings.iter().map(serve).collect();
        let was: Vec<_> = served.iter().map(|served| (served.before.is_some(), served.allowed)).collect();
        assert_eq!(was, [(true, true), (true, true), (false, false), (true, false)]);
        let cutover = Cutover { changed, deleted, ..Cutover::default() };
        let memberships = Memberships::default();
        let proof = prove(&grants, added, &cutover, &readings, &served, &memberships, Some(evidence));
        assert_eq!((proof.after.len(), proof.allowed.len()), (4, 4));
        proof.failures(&readings, &served).into_iter().map(|failure| failure.words).collect()
    }

    /// The objects of one line of the world.
    fn line(at: usize) -> Vec<Object> {
        let name = format!("r{at}");
        objects(BEFORE).into_iter().filter(|object| object.meta().name.value == name).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn nothing_fails_where_nothing_changes() {
        let none = Evidence::default();
        assert_eq!(failures(&[], vec![], vec![], &none), NONE);
        assert_eq!(failures(&objects(BEFORE), objects(BEFORE), vec![], &none), NONE);
    }

    #[test]
    fn what_is_served_must_be_served_after_each_stage() {
        let none = Evidence::default();
        let as_bear = "alice as bear: list pods would be refused";
        let as_panda = "alice as panda: list pods would be refused";
        assert_eq!(failures(&[], vec![], line(1), &none), [format!("{as_bear} after the cut-over")]);
        // A namespace that is gone need not be served after the cut-over, and what was refused need not at all.
        assert_eq!(failures(&[], vec![], line(0), &none), [format!("{as_panda} after the cut-over")]);
        // The final request of the impersonated user counts, too, if it was allowed.
        let to_user = format!("{as_panda} to the impersonated user after the cut-over");
        assert_eq!(failures(&[], vec![], line(2), &none), [to_user]);
        assert_eq!(failures(&[], vec![], line(3), &none), NONE);
        // An added object that takes the place of another one is judged between the stages.
        let narrower = objects("alice impersonate users koala");
        let between = format!("{as_panda} between the stages");
        assert_eq!(failures(&narrower, line(0), vec![], &none), [between.as_str()]);
        let narrower = objects("alice impersonate users panda,koala\nalice impersonate users bear\npanda list secrets");
        assert_eq!(failures(&narrower, line(2), vec![], &none), [between.as_str()]);
        let after = format!("{as_panda} to the impersonated user after the cut-over");
        assert_eq!(failures(&narrower, vec![], vec![], &none), [between, after]);
    }

    #[test]
    fn what_is_widened_fails() {
        let more = objects("alice impersonate users panda,koala,tiger");
        let told = failures(&more, vec![], vec![], &Evidence::default());
        assert_eq!(told, ["User alice in mode legacy, users: it could not be taken without limit before"]);
        // What the cut-over takes away again is not there afterwards.
        assert_eq!(failures(&more, line(0), vec![], &Evidence::default()), NONE);
    }

    #[test]
    fn a_review_that_was_answered_with_yes_must_still_be() {
        let about_alice = |name: &'static str| ("alice", &[][..], "", "users", name);
        let told = "proxy asks whether alice may impersonate, and would be told no";
        let evidence = reviews(&[about_alice("bear"), about_alice("nobody"), ("bob", &[], "", "users", "bear")]);
        let as_bear = "alice as bear: list pods would be refused after the cut-over";
        assert_eq!(failures(&[], vec![], line(1), &evidence), [as_bear, told]);
        assert_eq!(failures(&[], vec![], vec![], &evidence), NONE);
        // What is answered with yes only afterwards is no loss.
        let more = objects("alice impersonate users panda,koala,nobody");
        assert_eq!(failures(&more, vec![], vec![], &evidence).len(), 1);
        // Of one user it is said once.
        let evidence = reviews(&[about_alice("koala"), about_alice("panda")]);
        let as_panda = "alice as panda: list pods would be refused after the cut-over";
        assert_eq!(failures(&[], vec![], line(0), &evidence), [as_panda, told]);
    }
}
