//! Constrained grants that are there already.
//!
//! All actions of a subject in one mode apply to all its identities in that mode (`semantics.md`, section 6.4). To add
//! actions to a subject that holds an identity already would therefore widen what it may do as that identity, unless
//! legacy lets it do everything as that identity anyway.

use std::collections::BTreeMap;

use super::manifest::LABEL_MODE;
use crate::authority::{IdentityKind, Mode, SYSTEM_AUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS, allows_everything};
use crate::evidence::Impersonator;
use crate::grants::{Grants, RuleGrant};
use crate::inventory::{PolicyRule, SubjectKind};

/// Identities that a subject holds in a constrained mode.
#[derive(Debug)]
struct Existing {
    holder: Impersonator,
    mode: Mode,
    identity: Reach,
}

/// What a grant reaches, in terms that legacy and constrained grants share.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reach {
    kind: IdentityKind,
    key: Option<String>,
    /// The namespace; none for all.
    namespace: Option<String>,
    /// The names; none for any.
    names: Option<Vec<String>>,
}

/// The constrained grants of an input, and its legacy ones to hold them against.
#[derive(Debug)]
pub(super) struct ExistingGrants {
    constrained: Vec<Existing>,
    legacy: BTreeMap<Impersonator, Vec<Reach>>,
}

impl ExistingGrants {
    /// Collects the effective grants of an input, without those that an earlier run has made.
    pub(super) fn new(grants: &Grants<'_>) -> Self {
        let mut this = Self { constrained: Vec::new(), legacy: BTreeMap::new() };
        for (from, index, rule, found) in grants.granting_rules() {
            if grants.inventory().role(from).meta.label(LABEL_MODE).is_some() {
                continue;
            }
            let holders = grants.holders(from);
            for entry in grants.entries(from, index, &found, &holders).filter(|entry| entry.reason.is_none()) {
                let (Some(mode), Some(subject)) = (entry.grant.mode, grants.subject(&entry.holder)) else { continue };
                let namespace = grants.namespace(&entry.holder);
                // Whoever holds everything has all actions too, and nothing can be added to that.
                if allows_everything(rule) && namespace.is_none() {
                    continue;
                }
                let holder = Impersonator::of_subject(subject);
                let Some(identity) = reach(rule, entry.grant, namespace) else { continue };
                match mode {
                    Mode::Legacy => this.legacy.entry(holder).or_default().push(identity),
                    _ => this.constrained.push(Existing { holder, mode, identity }),
                }
            }
        }
        this
    }

    /// Whether actions that are added to `impersonator` in a mode would apply to an identity for which it may not do
    /// everything today.
    pub(super) fn would_widen(&self, impersonator: &Impersonator, mode: Mode) -> bool {
        let legacy = self.legacy.get(impersonator).map_or(&[][..], Vec::as_slice);
        self.constrained
            .iter()
            .filter(|existing| existing.mode == mode && may_be_one(&existing.holder, impersonator))
            .any(|existing| !legacy.iter().any(|legacy| legacy.covers(&existing.identity)))
    }
}

fn reach(rule: &PolicyRule, grant: &RuleGrant, namespace: Option<&str>) -> Option<Reach> {
    let kind = grant.identity.kind?;
    let names = &rule.resource_names;
    Some(Reach {
        kind,
        key: grant.identity.extra_key.as_ref().map(ToString::to_string),
        namespace: namespace.filter(|_| kind.is_namespaced()).map(str::to_owned),
        names: (!names.is_empty()).then(|| names.iter().map(|name| name.as_str().to_owned()).collect()),
    })
}

impl Reach {
    /// Whether this legacy grant reaches all that a constrained one does.
    fn covers(&self, other: &Self) -> bool {
        // Legacy asks for a node as for a user.
        let node = other.kind == IdentityKind::Nodes;
        let kind = if node { IdentityKind::Users } else { other.kind };
        let within = |own: &Option<String>, theirs: &Option<String>| own.is_none() || own == theirs;
        self.kind == kind
            && within(&self.key, &other.key)
            && within(&self.namespace, &other.namespace)
            && match (&self.names, &other.names) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(theirs)) => theirs
                    .iter()
                    .all(|name| own.contains(&if node { format!("system:node:{name}") } else { name.clone() })),
            }
    }
}

/// Whether one requestor may be both subjects. Who is in a group is not known, but for the groups of service accounts.
fn may_be_one(a: &Impersonator, b: &Impersonator) -> bool {
    match (&a.kind, &b.kind) {
        (SubjectKind::Group, SubjectKind::Group) => true,
        (SubjectKind::Group, _) => may_be_in(b, &a.name),
        (_, SubjectKind::Group) => may_be_in(a, &b.name),
        _ => username(a) == username(b),
    }
}

fn username(who: &Impersonator) -> String {
    match &who.namespace {
        Some(namespace) => format!("system:serviceaccount:{namespace}:{}", who.name),
        None => who.name.to_string(),
    }
}

fn may_be_in(who: &Impersonator, group: &str) -> bool {
    let username = username(who);
    let Some(rest) = username.strip_prefix("system:serviceaccount:") else {
        // A user may be in any group but those of service accounts.
        return !group.starts_with(SYSTEM_SERVICE_ACCOUNTS);
    };
    let namespace = rest.split(':').next().unwrap_or_default();
    group == SYSTEM_AUTHENTICATED
        || group == SYSTEM_SERVICE_ACCOUNTS
        || group.strip_prefix(SYSTEM_SERVICE_ACCOUNTS).and_then(|rest| rest.strip_prefix(':')) == Some(namespace)
}
