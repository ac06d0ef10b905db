//! Which legacy grants a request needs, and in whose hands (`docs/migrating.md`).

use std::collections::HashMap;

use smol_str::SmolStr;

use crate::authority::{
    Attributes, Authorizer, Check, CheckVerb, Decision, Feature, IdentityKind, Mode, Principal, User, allows,
    constrained_modes, decide,
};
use crate::evidence::{Evidence, OwnedRequest, Review, Tally};
use crate::inventory::PolicyRule;

use super::candidate::Candidate;
use super::widen::is_for_many;

/// An identity that a request takes: what one legacy check asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Taken {
    /// The namespace of a service account; empty for others.
    pub namespace: SmolStr,
    /// The key of an extra; none for others.
    pub key: Option<SmolStr>,
    pub name: SmolStr,
}

/// How a request is served before anything is changed, and what for.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    /// The mode that allows it in the input; none if nothing does.
    pub before: Option<Mode>,
    /// Whether the impersonated user may make it.
    pub allowed: bool,
    /// The constrained modes that could serve it.
    pub forms: Vec<Mode>,
    /// The legacy grants that it needs, with what it takes by each: one a check. Empty if a constrained mode serves it
    /// already, or nothing does.
    pub uses: Vec<(usize, Taken)>,
    /// The legacy grants that would serve it, where a constrained mode does already: their holders are seen.
    pub spares: Vec<usize>,
}

impl Served {
    /// Whether it takes part in the migration at all.
    pub fn by_legacy(&self) -> bool {
        !self.uses.is_empty()
    }
}

/// The effective legacy grants, by who holds them and what for.
#[derive(Debug, Default)]
pub(super) struct LegacyIndex {
    by_holder: HashMap<(Principal, IdentityKind), Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    any: Vec<usize>,
    named: HashMap<SmolStr, Vec<usize>>,
}

impl LegacyIndex {
    /// Indexes the candidates that are effective.
    pub fn new(candidates: &[Candidate<'_>]) -> Self {
        let mut this = Self::default();
        for (index, candidate) in candidates.iter().enumerate() {
            let (Some(holder), Some(kind)) = (candidate.principal(), candidate.reachable_kind()) else { continue };
            let slots = this.by_holder.entry((holder, kind)).or_default();
            if candidate.rule.resource_names.is_empty() {
                slots.any.push(index);
            }
            for name in &candidate.rule.resource_names {
                slots.named.entry(name.value.clone()).or_default().push(index);
            }
        }
        this
    }

    /// How a request is served, and by which grants. `base` is the state that the migration starts from: the input
    /// without what an earlier run has added.
    pub fn serve(
        &self,
        input: &Authorizer<'_>,
        base: &Authorizer<'_>,
        candidates: &[Candidate<'_>],
        request: &OwnedRequest,
    ) -> Served {
        let asked = request.as_request();
        let decision = decide(input, &asked, Feature::Constrained);
        let mut served = Served {
            before: decision.mode(),
            allowed: decision.request.is_some(),
            forms: constrained_modes(&request.requestor, &request.headers).collect(),
            uses: Vec::new(),
            spares: Vec::new(),
        };
        let decision = if std::ptr::eq(input, base) { decision } else { decide(base, &asked, Feature::Constrained) };
        let User { name, groups, .. } = &request.requestor;
        let credited = |decision: &Decision<'_>| {
            let holders = Principal::all_of(name, groups);
            let legacy = decision.checks.iter().filter(|check| check.verb == CheckVerb::Identity(Mode::Legacy));
            legacy.filter_map(|check| self.credit(&holders, candidates, check, &served.forms)).collect::<Vec<_>>()
        };
        match decision.mode() {
            Some(Mode::Legacy) => served.uses = credited(&decision),
            Some(_) => {
                let alone = decide(base, &asked, Feature::LegacyOnly);
                if alone.mode().is_some() {
                    served.spares = credited(&alone).into_iter().map(|(candidate, _)| candidate).collect();
                }
            }
            None => {}
        }
        served
    }

    /// The grant to which a check is credited: of the most specific subject that has one. A request that has no
    /// constrained form is best served by a grant that stays anyway.
    fn credit(
        &self,
        holders: &[Principal],
        candidates: &[Candidate<'_>],
        check: &Check<'_>,
        forms: &[Mode],
    ) -> Option<(usize, Taken)> {
        let Attributes { resource, subresource, namespace, name, .. } = check.object;
        let kind = IdentityKind::of_resource(resource)?;
        let taken = Taken {
            namespace: SmolStr::new(namespace),
            key: (kind == IdentityKind::UserExtras).then(|| SmolStr::new(subresource)),
            name: SmolStr::new(name),
        };
        let mut fitting = holders.iter().flat_map(|holder| {
            let slots = self.by_holder.get(&(holder.clone(), kind));
            let named = || slots.and_then(|slots| slots.named.get(name)).into_iter().flatten();
            let any = slots.into_iter().flat_map(|slots| &slots.any);
            // A grant of the name `*` comes last: its constrained form allows many at once.
            let is_last = is_for_many(kind, name);
            let ordered = named().filter(move |_| !is_last).chain(any).chain(named().filter(move |_| is_last));
            ordered.copied().filter(|index| {
                let candidate = &candidates[*index];
                let key = candidate.extra_key();
                candidate.namespace.is_none_or(|own| own == namespace) && (key.is_none() || key == taken.key.as_deref())
            })
        });
        let first = fitting.next()?;
        let stays = |index: &usize| candidates[*index].stays_anyway();
        let best = if forms.is_empty() && !stays(&first) { fitting.find(stays).unwrap_or(first) } else { first };
        Some((best, taken))
    }
}

/// The legacy grants by which reviews for the verb `impersonate` are answered with yes: someone other than the API server
/// asks for the literal verb, and may ask in a way in which the server never does.
pub(super) fn credit_reviews(candidates: &[Candidate<'_>], evidence: &Evidence) -> Vec<(usize, Taken)> {
    credited_reviews(candidates, evidence).into_iter().map(|(candidate, taken, ..)| (candidate, taken)).collect()
}

/// The same, each with the review that it answers.
pub(super) fn credited_reviews<'e>(
    candidates: &[Candidate<'_>],
    evidence: &'e Evidence,
) -> Vec<(usize, Taken, &'e Review, &'e Tally)> {
    let mut by_holder: HashMap<Principal, Vec<usize>> = HashMap::new();
    if evidence.reviews().next().is_some() {
        for (index, candidate) in candidates.iter().enumerate() {
            if let Some(holder) = candidate.principal().filter(|_| candidate.is_held()) {
                by_holder.entry(holder).or_default().push(index);
            }
        }
    }
    let credit = |(review, tally): (&'e Review, &'e Tally)| {
        let asked = review.attributes();
        let answers = |index: &usize| {
            let candidate = &candidates[*index];
            let own = &candidate.rule.resources[candidate.grant.resource];
            let rule = PolicyRule { resources: vec![own.clone()], ..candidate.rule.clone() };
            candidate.namespace.is_none_or(|own| own == review.namespace) && allows(&rule, &asked)
        };
        let holders = Principal::all_of(&review.user, &review.groups);
        let index = holders.iter().filter_map(|holder| by_holder.get(holder)).flatten().copied().find(answers)?;
        let key = (!review.subresource.is_empty()).then(|| SmolStr::new(&review.subresource));
        let taken = Taken { namespace: SmolStr::new(&review.namespace), key, name: SmolStr::new(&review.name) };
        Some((index, taken, review, tally))
    };
    evidence.reviews().filter_map(credit).collect()
}
