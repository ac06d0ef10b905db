//! The legacy grants that a migration is about, each in someone's hands.

use std::collections::BTreeMap;

use super::plan::Kept;
use crate::authority::{AUTHENTICATION_GROUP, IdentityKind, Mode, Principal, Verb};
use crate::evidence::Impersonator;
use crate::grants::{Entry, Grants, Holder, Reason, RuleGrant, is_server_owned};
use crate::inventory::{PolicyRule, Role, RoleId};
use crate::template::is_templated;

/// A legacy grant in someone's hands.
#[derive(Debug)]
pub(super) struct Candidate<'p> {
    pub from: RoleId,
    pub index: usize,
    pub rule: &'p PolicyRule,
    pub grant: RuleGrant,
    pub holder: Holder,
    /// Why it is not effective.
    pub reason: Option<Reason>,
    pub impersonator: Option<Impersonator>,
    /// The only namespace in which it counts.
    pub namespace: Option<&'p str>,
    /// Why it stays, whatever the evidence says.
    pub stays: Option<Kept>,
}

impl Candidate<'_> {
    pub fn is_effective(&self) -> bool {
        self.reason.is_none() && self.impersonator.is_some()
    }

    /// The kind of identity that some request takes by it. A bare `userextras` counts as dead, and is what the server
    /// asks for where a client sends an extra without a key.
    pub fn reachable_kind(&self) -> Option<IdentityKind> {
        match self.reason {
            None => self.grant.identity.kind,
            Some(Reason::BareUserextras)
                if [AUTHENTICATION_GROUP, "*"].contains(&self.grant.identity.api_group.as_str()) =>
            {
                Some(IdentityKind::UserExtras)
            }
            Some(_) => None,
        }
    }

    /// The key of the extra that it reaches; none for every key.
    pub fn extra_key(&self) -> Option<&str> {
        if self.reason == Some(Reason::BareUserextras) { Some("") } else { self.grant.identity.extra_key.as_deref() }
    }

    /// Whether someone holds it, even if the server never asks for it.
    pub fn is_held(&self) -> bool {
        !matches!(self.reason, Some(Reason::Unbound | Reason::MissingRole | Reason::SubjectNeverMatches))
    }

    /// Returns who holds it; none if no one does.
    pub fn principal(&self) -> Option<Principal> {
        self.impersonator.as_ref()?.principal()
    }

    pub fn stays_anyway(&self) -> bool {
        self.stays.is_some()
    }

    /// Whether the rule reaches the identity by `*` among its resources.
    pub fn by_wildcard_resource(&self) -> bool {
        self.rule.resources.get(self.grant.resource).is_some_and(|resource| resource.as_str().starts_with('*'))
    }
}

/// All legacy grants, in the order of their places.
pub(super) fn candidates<'p>(grants: &'p Grants<'p>) -> Vec<Candidate<'p>> {
    let mut candidates = Vec::new();
    let mut holders_of: BTreeMap<RoleId, Vec<Holder>> = BTreeMap::new();
    for (from, index, rule, found) in grants.granting_rules() {
        let legacy: Vec<RuleGrant> = found.into_iter().filter(|grant| grant.mode == Some(Mode::Legacy)).collect();
        if legacy.is_empty() {
            continue;
        }
        let holders = holders_of.entry(from).or_insert_with(|| grants.holders(from));
        for entry in grants.entries(from, index, &legacy, holders) {
            candidates.push(candidate(grants, rule, &entry));
        }
    }
    candidates.sort_by_key(|candidate| {
        let role = grants.inventory().role(candidate.from);
        (&role.meta.path, candidate.rule.verbs[candidate.grant.verb].place)
    });
    candidates
}

fn candidate<'p>(grants: &'p Grants<'p>, rule: &'p PolicyRule, entry: &Entry<'_>) -> Candidate<'p> {
    let role = grants.inventory().role(entry.from);
    let namespace = grants.namespace(&entry.holder);
    let impersonator = grants.subject(&entry.holder).map(Impersonator::of_subject);
    let is_template = impersonator.as_ref().is_some_and(|impersonator| is_templated(&impersonator.name));
    let stays = if is_server_owned(role, rule, entry.grant) {
        Some(Kept::ServerOwned)
    } else if rule.verbs.iter().any(|verb| Verb::parse(verb.as_str()) == Verb::Any) {
        Some(Kept::WildcardVerb)
    } else if !is_editable(role) || is_template || grants.inventory().held_elsewhere.contains(&entry.from) {
        Some(Kept::NotEditable)
    } else {
        None
    };
    Candidate {
        from: entry.from,
        index: entry.rule,
        rule,
        grant: entry.grant.clone(),
        holder: entry.holder,
        reason: entry.reason,
        impersonator,
        namespace,
        stays,
    }
}

/// Whether a role can be written anew without losing anything: it has a name, all of its rules were understood, and
/// nothing in it waits for a template to fill it in.
fn is_editable(role: &Role) -> bool {
    let texts = role.rules.iter().flat_map(|rule| {
        let lists = [&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
        lists.into_iter().flatten()
    });
    !role.meta.name.value.is_empty()
        && role.rules.iter().all(|rule| !rule.verbs.is_empty())
        && !texts.chain([&role.meta.name]).any(|text| is_templated(text.as_str()))
        && !role.meta.namespace.as_deref().is_some_and(is_templated)
}
