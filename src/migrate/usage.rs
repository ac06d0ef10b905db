//! Which grants observed requests were made with.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::candidate::{Candidate, candidates};
use super::credit::{LegacyIndex, credited_reviews};
use crate::authority::{Authorizer, CheckVerb, Feature, Mode, Witness, decide};
use crate::evidence::{Evidence, Observation, Tally};
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
    pub tally: &'e Tally,
    /// The grants; none where the input does not allow what was seen.
    pub grants: BTreeSet<HeldRule>,
}

/// The uses of grants that logs show: each distinct request that was allowed, and each review for the verb `impersonate`.
/// A request is credited as a migration credits it, to the most specific subject that holds what it needed.
pub fn uses<'e>(grants: &Grants<'_>, evidence: &'e Evidence) -> Vec<Use<'e>> {
    let candidates = candidates(grants);
    let index = LegacyIndex::new(&candidates);
    let input = Authorizer::new(grants.inventory(), grants.rules(), grants.links());
    let observed: Vec<(&Observation, &Tally)> =
        evidence.iter().filter(|(observation, _)| observation.mode.is_some()).collect();
    let of_legacy = |candidate: usize| {
        let candidate: &Candidate<'_> = candidates.get(candidate)?;
        HeldRule::new(candidate.from, candidate.index, &candidate.holder, Mode::Legacy)
    };
    let of_request = |(observation, tally): &(&'e Observation, &'e Tally)| {
        let request = &observation.request;
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
        Use { user: &request.requestor.name, tally, grants: used }
    };
    let mut uses: Vec<Use<'e>> = observed.par_iter().map(of_request).collect();
    uses.extend(credited_reviews(&candidates, evidence).into_iter().map(|(candidate, _, review, tally)| Use {
        user: &review.user,
        tally,
        grants: of_legacy(candidate).into_iter().collect(),
    }));
    uses
}
