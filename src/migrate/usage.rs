//! Which grants observed requests were made with.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rayon::prelude::*;

use super::candidate::{Candidate, candidates};
use super::credit::{LegacyIndex, credited_reviews};
use super::observed::{HeaderHints, Lens, Observations, Reading};
use crate::authority::{Authorizer, CheckVerb, Feature, Mode, Witness, decide};
use crate::evidence::{Evidence, Tally};
use crate::grants::{Grants, Holder, Through};
use crate::inventory::{BindingId, RoleId};

/// A rule in someone's hands, as far as it lets be someone else in a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldRule {
    /// The role in which the rule is written.
    pub from: RoleId,
    /// Index of the rule there.
    pub rule: usize,
    /// The binding by which it is held.
    pub binding: BindingId,
    /// Index of the subject in the binding.
    pub subject: usize,
    /// The mode.
    pub mode: Mode,
}

impl HeldRule {
    /// What a holder has of a rule; none if nothing binds it.
    pub fn new(from: RoleId, rule: usize, holder: &Holder, mode: Mode) -> Option<Self> {
        let Through::Binding(binding) = holder.through else { return None };
        Some(Self { from, rule, binding, subject: holder.subject?, mode })
    }
}

/// What was seen of one requestor, and by which grants it was allowed.
#[derive(Debug, Clone)]
pub struct Use<'e> {
    /// Who has used them.
    pub user: &'e str,
    /// How often, and when.
    pub tally: Cow<'e, Tally>,
    /// The grants; none where the input does not allow what was seen.
    pub grants: BTreeSet<HeldRule>,
}

/// The uses of grants that logs show: each distinct request that was allowed, and each review for the verb `impersonate`.
/// A request is credited as a migration credits it, to the most specific subject that holds what it needed.
pub fn uses<'e>(grants: &Grants<'_>, evidence: &'e Evidence) -> Vec<Use<'e>> {
    let candidates = candidates(grants);
    let index = LegacyIndex::new(&candidates);
    let input = Authorizer::new(grants.inventory(), grants.rules(), grants.links());
    let hints = HeaderHints::default();
    let lens =
        Lens { hints: &hints, allowed: &input, feature: Feature::Constrained, namespaces: None, wants: &|_| true };
    let observed = Observations::new(Some(evidence), &lens);
    let of_legacy = |candidate: usize| {
        let candidate: &Candidate<'_> = candidates.get(candidate)?;
        HeldRule::new(candidate.from, candidate.index, &candidate.holder, Mode::Legacy)
    };
    let of_reading = |reading: &Reading<'_>| {
        let request = reading.request.as_ref();
        let served = index.serve(&input, &input, &candidates, request);
        let legacy = served.uses.iter().map(|(candidate, _)| *candidate).chain(served.spares);
        let mut used: BTreeSet<HeldRule> = legacy.filter_map(of_legacy).collect();
        if let Some(mode) = served.before.filter(|mode| *mode != Mode::Legacy) {
            let decision = decide(&input, &request.as_request(), Feature::Constrained);
            let whom = decision.checks.iter().filter(|check| check.verb == CheckVerb::Identity(mode));
            used.extend(whom.filter_map(|check| match check.witness? {
                Witness::Superuser => None,
                Witness::Rule { binding, subject, role, rule } => {
                    Some(HeldRule { from: role, rule, binding, subject, mode })
                }
            }));
        }
        used
    };
    let used: Vec<BTreeSet<HeldRule>> = observed.readings.par_iter().map(of_reading).collect();
    let mut uses: Vec<Use<'e>> = observed
        .by_request()
        .map(|(first, readings)| {
            let seen = &observed.requests[readings[0].of];
            let grants = used[first..first + readings.len()].iter().flatten().copied().collect();
            Use { user: &seen.request.requestor.name, tally: Cow::Owned(seen.tally.clone()), grants }
        })
        .collect();
    uses.extend(credited_reviews(&candidates, evidence).into_iter().map(|(candidate, _, review, tally)| Use {
        user: &review.user,
        tally: Cow::Borrowed(tally),
        grants: of_legacy(candidate).into_iter().collect(),
    }));
    uses
}
