//! What to do, in which order.

use std::collections::BTreeSet;

use super::{Owner, ReportedGrant};
use crate::migrate::{Kept, Outcome};

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What is to be done.
    pub kind: TaskKind,
    /// How many grants it is about.
    pub grants: usize,
    /// To whom these belong.
    pub owners: BTreeSet<Owner>,
}

/// What is to be done with grants, in the order in which it is done: first what costs nothing, then what is most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskKind {
    /// Remove what reaches nobody.
    RemoveDead,
    /// Remove what was not seen in use.
    RemoveUnused,
    /// Narrow what is one step from all power.
    Narrow,
    /// Find out what grants are used for.
    Observe,
    /// Replace by constrained grants.
    Replace,
    /// Change clients, groups or programs that need legacy as it is.
    ChangeClients,
    /// Spell out wildcards, so that the verb can be taken out.
    SpellOut,
    /// Change by hand what the program cannot change.
    ByHand,
    /// Leave what the API server owns.
    Leave,
}

impl TaskKind {
    const ALL: [Self; 9] = [
        Self::RemoveDead,
        Self::RemoveUnused,
        Self::Narrow,
        Self::Observe,
        Self::Replace,
        Self::ChangeClients,
        Self::SpellOut,
        Self::ByHand,
        Self::Leave,
    ];

    /// The kind as the JSON output has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RemoveDead => "remove-dead",
            Self::RemoveUnused => "remove-unused",
            Self::Narrow => "narrow",
            Self::Observe => "observe",
            Self::Replace => "replace",
            Self::ChangeClients => "change-clients",
            Self::SpellOut => "spell-out",
            Self::ByHand => "by-hand",
            Self::Leave => "leave",
        }
    }

    fn is_for(self, grant: &ReportedGrant<'_>, has_logs: bool) -> bool {
        let outcome = grant.outcome.filter(|_| grant.is_legacy());
        match self {
            Self::RemoveDead => !grant.is_effective(),
            Self::RemoveUnused => matches!(outcome, Some(Outcome::Dropped(_))) && has_logs,
            Self::Narrow => {
                let stays = matches!(outcome, Some(Outcome::Kept(Kept::ServerOwned) | Outcome::Dropped(_)));
                grant.is_legacy() && !stays && grant.steps == Some(1)
            }
            Self::Observe => matches!(outcome, Some(Outcome::Kept(Kept::NoEvidence | Kept::OnlyGlimpsed))),
            Self::Replace => outcome == Some(Outcome::Replaced),
            Self::ChangeClients => {
                let kept = outcome.and_then(Outcome::kept);
                kept.is_some_and(|kept| {
                    matches!(
                        kept,
                        Kept::NoConstrainedForm | Kept::AmbiguousHeaders | Kept::LiteralVerb | Kept::WouldWiden
                    )
                })
            }
            Self::SpellOut => outcome == Some(Outcome::Kept(Kept::WildcardVerb)),
            Self::ByHand => matches!(outcome, Some(Outcome::Kept(Kept::NotEditable | Kept::Unbound | Kept::Unproven))),
            Self::Leave => outcome == Some(Outcome::Kept(Kept::ServerOwned)),
        }
    }
}

/// The tasks that there are, in order. A grant may belong to several.
pub(super) fn order(grants: &[ReportedGrant<'_>], has_logs: bool) -> Vec<Task> {
    let task = |kind: TaskKind| {
        let mut task = Task { kind, grants: 0, owners: BTreeSet::new() };
        for grant in grants.iter().filter(|grant| kind.is_for(grant, has_logs)) {
            task.grants += 1;
            task.owners.insert(grant.owner.clone());
        }
        task
    };
    TaskKind::ALL.into_iter().map(task).filter(|task| task.grants > 0).collect()
}
