//! What stays legacy after a cut-over, as exceptions that a person may accept.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::candidates;
use super::plan::{Kept, Plan};
use crate::authority::IdentityKind;
use crate::evidence::Impersonator;
use crate::grants::{Grants, default_roles};
use crate::inventory::ObjectKey;

/// Legacy grants of one role in the hands of one subject, after the cut-over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LegacyException {
    /// The role.
    pub object: ObjectKey,
    /// The subject; none for a role that nothing binds, and for one that is aggregated into a default role.
    pub subject: Option<Impersonator>,
    /// Why the grant stays.
    pub reason: Kept,
}

/// The legacy grants of the state after the cut-over that the plan keeps, each role and subject once. Grants of
/// impersonators that were not to be migrated are left out: they do not have to stay.
pub fn exceptions(grants: &Grants<'_>, plan: &Plan<'_>) -> Vec<LegacyException> {
    let mut reasons: BTreeMap<(Option<Impersonator>, Option<IdentityKind>), Kept> = BTreeMap::new();
    for planned in &plan.grants {
        let Some(kept) = planned.outcome.kept() else { continue };
        let who = grants.subject(&planned.holder).map(Impersonator::of_subject);
        for kind in [planned.grant.identity.kind, None] {
            let known = reasons.entry((who.clone(), kind)).or_insert(kept);
            *known = kept.min(*known);
        }
    }
    let after = grants.inventory().with(plan.added.iter().chain(plan.cutover.applied()), &plan.cutover.deleted_keys());
    let after = Grants::new(&after);
    let mut found = BTreeSet::new();
    for candidate in candidates(&after) {
        let subject = candidate.impersonator.clone();
        let of = |kind| reasons.get(&(subject.clone(), kind));
        let Some(reason) = of(candidate.grant.identity.kind).or_else(|| of(None)).copied() else { continue };
        if reason != Kept::NotSelected {
            let meta = &after.inventory().role(candidate.from).meta;
            // Every subject of a default role has the grant, later ones included.
            let subject = subject.filter(|_| default_roles(meta).is_empty());
            found.insert((meta.key(), subject, reason));
        }
    }
    let mut exceptions: Vec<LegacyException> = Vec::new();
    for (object, subject, reason) in found {
        // Of several reasons the first counts.
        if exceptions.last().is_none_or(|last| last.object != object || last.subject != subject) {
            exceptions.push(LegacyException { object, subject, reason });
        }
    }
    exceptions
}
