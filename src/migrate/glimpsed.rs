//! Grants that requests may have used of which a log shows no more than who asked to be whom.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::Candidate;
use crate::authority::{Circle, IdentityKind, Principal, Username};
use crate::evidence::Evidence;

/// Whom somebody has asked to be.
#[derive(Debug, Default)]
struct Targets<'e> {
    users: BTreeSet<&'e str>,
    /// Service accounts, the name before the namespace.
    accounts: BTreeSet<(&'e str, &'e str)>,
    namespaces: BTreeSet<&'e str>,
}

/// What glimpses say of those who may hold grants.
#[derive(Debug, Default)]
struct Glimpsed<'e> {
    by_requestor: BTreeMap<Principal, Targets<'e>>,
    by_circle: BTreeMap<Circle<'e>, Targets<'e>>,
    /// Of requestors whose name is not there.
    by_anyone: Targets<'e>,
}

/// The effective legacy grants, by index, that such requests may have used. The groups of the requestor are only known of a
/// service account, and the groups, UID and extras that were asked for of nobody: what may be, counts.
pub(super) fn glimpsed(candidates: &[Candidate<'_>], evidence: &Evidence) -> BTreeSet<usize> {
    let mut seen = Glimpsed::default();
    for (glimpse, _) in evidence.glimpses() {
        seen.add(&glimpse.requestor, &glimpse.user);
    }
    let may_use = |candidate: &Candidate<'_>| {
        let kind = candidate.reachable_kind()?;
        Some(seen.of(&candidate.principal()?).any(|targets| targets.take(candidate, kind)))
    };
    let indexed = candidates.iter().enumerate();
    indexed.filter(|(_, candidate)| may_use(candidate) == Some(true)).map(|(index, _)| index).collect()
}

impl<'e> Glimpsed<'e> {
    fn add(&mut self, requestor: &'e str, user: &'e str) {
        if requestor.is_empty() {
            return self.by_anyone.add(user);
        }
        self.by_requestor.entry(Principal::of_username(requestor)).or_default().add(user);
        self.by_circle.entry(Circle::of_username(requestor)).or_default().add(user);
    }

    /// Lists whom those have asked to be who may be this subject.
    fn of<'s>(&'s self, who: &'s Principal) -> impl Iterator<Item = &'s Targets<'e>> {
        let of_group = |(circle, targets): (&'s Circle<'e>, &'s Targets<'e>)| match who {
            Principal::Group(group) if circle.may_be_in(group) => Some(targets),
            _ => None,
        };
        let of_groups = self.by_circle.iter().filter_map(of_group);
        self.by_requestor.get(who).into_iter().chain(of_groups).chain([&self.by_anyone])
    }
}

impl<'e> Targets<'e> {
    fn add(&mut self, user: &'e str) {
        if let Username::ServiceAccount { namespace, name } = Username::parse(user) {
            self.accounts.insert((name, namespace));
            self.namespaces.insert(namespace);
        } else {
            self.users.insert(user);
        }
    }

    /// Whether a grant of this kind may have let take one of them.
    fn take(&self, candidate: &Candidate<'_>, kind: IdentityKind) -> bool {
        let mut names = candidate.rule.resource_names.iter().map(|name| name.as_str());
        let any = candidate.rule.resource_names.is_empty();
        match kind {
            IdentityKind::Users if any => !self.users.is_empty(),
            IdentityKind::Users => names.any(|name| self.users.contains(name)),
            IdentityKind::ServiceAccounts => match candidate.namespace {
                None if any => !self.accounts.is_empty(),
                None => names.any(|name| self.accounts.range((name, "")..).next().is_some_and(|(own, _)| *own == name)),
                Some(namespace) if any => self.namespaces.contains(namespace),
                Some(namespace) => names.any(|name| self.accounts.contains(&(name, namespace))),
            },
            // Which of these were asked for, if any, is not known.
            _ => !self.users.is_empty() || !self.accounts.is_empty(),
        }
    }
}
