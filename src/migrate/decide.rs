//! What becomes of one legacy grant, by what the evidence says of its impersonator.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::candidate::Candidate;
use super::credit::Taken;
use super::cutover::Residual;
use super::draft::{AllGranted, Known, Planner, Use};
use super::plan::{Identities, Kept, Outcome};
use super::target::{Constrained, Target, constrained_form};
use crate::authority::{IdentityKind, Mode, allows_everything, is_refused_key};
use crate::evidence::DeclaredAction;
use crate::grants::Reason;
use crate::template::is_templated;

/// What becomes of a candidate.
#[derive(Debug)]
pub(super) struct Decided {
    pub outcome: Outcome,
    pub modes: Vec<Mode>,
    /// What stays legacy.
    pub residual: Residual,
}

impl Decided {
    fn dropped(dead: Option<Reason>) -> Self {
        Self { outcome: Outcome::Dropped(dead), modes: Vec::new(), residual: Residual::None }
    }

    fn kept(kept: Kept) -> Self {
        Self { outcome: Outcome::Kept(kept), modes: Vec::new(), residual: Residual::Whole }
    }
}

/// The declared and derived actions of an impersonator; declared ones with their index.
type Declared<'d> = Vec<(Option<usize>, &'d DeclaredAction)>;

impl<'p> Planner<'_, 'p> {
    pub(super) fn decide(
        &self,
        (index, candidate): (usize, &Candidate<'p>),
        known: &Known,
        used_for: &Use,
        granted: &mut AllGranted,
        used: &mut [bool],
    ) -> Decided {
        let Some(who) = candidate.impersonator.as_ref().filter(|_| candidate.reason.is_none()) else {
            return self.decide_ineffective((index, candidate), used_for);
        };
        if !self.is_selected(Some(who)) {
            return Decided::kept(candidate.stays.unwrap_or(Kept::NotSelected));
        }
        if self.unproven.contains_key(who) {
            return Decided::kept(candidate.stays.unwrap_or(Kept::Unproven));
        }
        let declared: Declared<'_> = self.declared_of(who).collect();
        for index in declared.iter().filter_map(|(index, _)| *index) {
            used[index] = true;
        }
        // A subject with every permission has the constrained verbs already, except for requests without a resource.
        let all = candidate.stays == Some(Kept::WildcardVerb)
            && allows_everything(candidate.rule)
            && candidate.namespace.is_none();
        if all && !known.observed {
            return Decided::kept(Kept::WildcardVerb);
        }
        if candidate.stays == Some(Kept::NotEditable) && is_templated(&who.name) {
            return Decided::kept(Kept::NotEditable);
        }
        let is_declared = |mode: Mode| declared.iter().any(|(_, action)| action.applies_in(mode));
        let mut form = self.form(candidate, known, used_for, &declared);
        let mut is_withheld = false;
        let mut modes: Vec<Mode> = Vec::new();
        form.targets.retain(|target| {
            let has_actions = known.doing.contains_key(&target.mode) || is_declared(target.mode);
            let may = !self.withheld.contains(&(who.clone(), target.mode));
            is_withheld |= has_actions && !may;
            has_actions && may && (!self.narrows(target, known) || used_for.taken_by(target).next().is_some())
        });
        for target in &form.targets {
            let narrows_names = self.narrows(target, known) && !target.is_extra();
            let seen = used_for.taken_by(target).filter(|_| narrows_names);
            self.grant(candidate, who, target, seen, granted);
            if !modes.contains(&target.mode) {
                modes.push(target.mode);
            }
        }
        let (outcome, residual) =
            self.outcome((index, candidate), known, used_for, &declared, &form, is_withheld, &modes);
        Decided { outcome, modes, residual }
    }

    /// What becomes of a grant that has no effect, or that nothing binds.
    fn decide_ineffective(&self, (index, candidate): (usize, &Candidate<'_>), used_for: &Use) -> Decided {
        match candidate.reason {
            // A role that nothing here binds may be bound elsewhere, unless its rule is dead by itself, or here is all of
            // the cluster.
            Some(Reason::Unbound) => {
                let of_cluster = self.grants.inventory().cluster().map(|_| Reason::Unbound);
                match candidate.grant.reason.or(of_cluster) {
                    // What a controller overwrites is not worth an edit.
                    Some(dead) if !candidate.stays_anyway() && !self.grants.is_overwritten(candidate.from) => {
                        Decided::dropped(Some(dead))
                    }
                    _ => Decided::kept(candidate.stays.unwrap_or(Kept::Unbound)),
                }
            }
            Some(_) if !used_for.legacy.is_empty() => {
                let (outcome, residual) =
                    self.stays(candidate, used_for.why.unwrap_or(Kept::NoConstrainedForm), &used_for.legacy);
                Decided { outcome, modes: Vec::new(), residual }
            }
            Some(_) if self.glimpsed.contains(&index) => Decided::kept(Kept::OnlyGlimpsed),
            Some(dead) => Decided::dropped(Some(dead)),
            None => Decided::kept(Kept::Unbound),
        }
    }

    /// The outcome of an effective grant, and what of it stays legacy. The first line that applies counts.
    #[expect(clippy::too_many_arguments, reason = "one table over all that is known of a grant")]
    fn outcome(
        &self,
        (index, candidate): (usize, &Candidate<'p>),
        known: &Known,
        used_for: &Use,
        declared: &Declared<'_>,
        form: &Constrained,
        is_withheld: bool,
        modes: &[Mode],
    ) -> (Outcome, Residual) {
        let whole = |kept: Kept| (Outcome::Kept(kept), Residual::Whole);
        let has_evidence = known.observed || !declared.is_empty();
        let is_glimpsed = declared.is_empty() && self.glimpsed.contains(&index);
        let legacy_use = &used_for.legacy;
        // As broad as before: a grant is needed if its impersonator needs that kind of identity from legacy.
        let of_kind = candidate.reachable_kind().and_then(|kind| known.legacy_kinds.get(&kind)).copied();
        let of_kind = of_kind.filter(|_| self.options.identities == Identities::Granted || !known.observed);
        let needed_for = used_for.why.or(of_kind);
        match (candidate.stays, needed_for) {
            (Some(stays), _) => whole(stays),
            // What is only declared may be needed as a whole.
            _ if is_withheld || form.would_widen => {
                if declared.is_empty() && !legacy_use.is_empty() {
                    self.stays(candidate, Kept::WouldWiden, legacy_use)
                } else {
                    whole(Kept::WouldWiden)
                }
            }
            (_, why) if is_glimpsed => whole(why.unwrap_or(Kept::OnlyGlimpsed)),
            // What is only asked for by others says nothing of what it is used for.
            (_, Some(why)) if !has_evidence => whole(why),
            (_, Some(why)) => self.stays(candidate, why, legacy_use),
            _ if form.incomplete && !known.observed => whole(Kept::NoConstrainedForm),
            _ if !has_evidence => whole(Kept::NoEvidence),
            _ if !modes.is_empty() => (Outcome::Replaced, Residual::None),
            _ if self.options.keep_unused => whole(Kept::NoEvidence),
            _ => (Outcome::Dropped(None), Residual::None),
        }
    }

    /// A grant that stays: all of it, or what was seen to be taken where that is asked for.
    fn stays(&self, candidate: &Candidate<'_>, why: Kept, taken: &BTreeSet<Taken>) -> (Outcome, Residual) {
        let residual = match (self.options.identities, candidate.reachable_kind(), candidate.extra_key()) {
            _ if taken.is_empty() => Residual::Whole,
            (Identities::Granted, ..) | (_, Some(IdentityKind::UserExtras), Some(_)) => Residual::Whole,
            (Identities::Observed, Some(IdentityKind::UserExtras), None) => {
                Residual::Keys(taken.iter().filter_map(|taken| taken.key.clone()).collect())
            }
            (Identities::Observed, ..) => Residual::names(taken),
        };
        outcome_of(candidate, why, residual)
    }

    /// The constrained form of a candidate, as far as the evidence asks for it.
    fn form(&self, candidate: &Candidate<'_>, known: &Known, used_for: &Use, declared: &Declared<'_>) -> Constrained {
        let declared_modes = declared.iter().filter_map(|(_, action)| action.mode);
        let wanted: Vec<Mode> = declared_modes.chain(known.doing.keys().copied()).collect();
        let mut form = constrained_form(candidate.rule, &candidate.grant, &wanted);
        let seen = |mode: Mode| used_for.constrained.iter().any(|(used, _)| *used == mode);
        // A wildcard is spelled out to what was observed.
        let any_key = candidate.grant.identity.kind == Some(IdentityKind::UserExtras)
            && candidate.grant.identity.extra_key.is_none();
        if any_key && known.observed {
            let keys: BTreeSet<&SmolStr> =
                used_for.constrained.iter().filter_map(|(_, taken)| taken.key.as_ref()).collect();
            let names = &candidate.rule.resource_names;
            let names = (!names.is_empty()).then(|| {
                let names = names.iter().map(|name| name.value.clone());
                names.filter(|name| !name.is_empty() && name != "*").collect::<Vec<_>>()
            });
            form.targets = keys
                .into_iter()
                .filter(|key| !is_refused_key(key))
                .map(|key| Target {
                    mode: Mode::UserInfo,
                    resource: format!("{}/{key}", IdentityKind::UserExtras.resource()).into(),
                    names: names.clone(),
                })
                .collect();
        } else if candidate.by_wildcard_resource() && known.observed && declared.is_empty() {
            form.targets.retain(|target| seen(target.mode));
        }
        // Where every node seen was the requestor's own, and no other mode is asked for.
        let nodes = [Mode::AssociatedNode, Mode::ArbitraryNode];
        if known.observed && candidate.grant.identity.kind == Some(IdentityKind::Users) {
            form.targets.retain(|target| !nodes.contains(&target.mode) || wanted.contains(&target.mode));
        }
        form
    }

    /// Whether only those identities are granted that were seen. Associated nodes have no names, and the names of extras
    /// are those of the input: values that a log shows last until the next login, and may be secrets.
    fn narrows(&self, target: &Target, known: &Known) -> bool {
        self.options.identities == Identities::Observed && known.observed && target.mode != Mode::AssociatedNode
    }
}

/// The outcome of a grant of which this much stays.
fn outcome_of(candidate: &Candidate<'_>, why: Kept, residual: Residual) -> (Outcome, Residual) {
    let is_all = match &residual {
        Residual::Whole => true,
        Residual::None => false,
        Residual::Keys(_) => false,
        Residual::Names(taken) => {
            let names = &candidate.rule.resource_names;
            !names.is_empty() && names.iter().all(|name| taken.iter().any(|taken| taken.name == name.value))
        }
    };
    if is_all { (Outcome::Kept(why), Residual::Whole) } else { (Outcome::Narrowed(why), residual) }
}
