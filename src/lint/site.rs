//! What a rule looks at: one verb of one rule, and everyone who holds it.

use std::collections::BTreeMap;

use super::Severity;
use super::words;
use crate::authority::{IdentityKind, Mode, SYSTEM_MASTERS, Verb, allows_everything, is_dns_label};
use crate::grants::{Grants, Holder, Reason, RuleGrant, Through, is_server_owned};
use crate::inventory::{ObjectKind, PolicyRule, Role, RoleId, Text};

/// One verb of one rule of one role.
#[derive(Debug)]
pub struct Site<'a> {
    /// All grants of the input.
    pub grants: &'a Grants<'a>,
    /// The role in which the verb stands.
    pub role_id: RoleId,
    /// That role.
    pub role: &'a Role,
    /// Index of the rule.
    pub index: usize,
    /// The rule.
    pub rule: &'a PolicyRule,
    /// Index of the verb.
    pub verb_index: usize,
    /// What the verb grants.
    pub found: &'a [RuleGrant],
    holders: &'a [HolderClass],
}

/// Holders for whom every grant of a rule is effective, or dead, for the same reason. A role may be held by very many;
/// judging them one by one would make a large input slow.
#[derive(Debug)]
struct HolderClass {
    holders: Vec<Holder>,
}

/// Shows every site of the input, in the order of the roles.
pub(super) fn visit(grants: &Grants<'_>, judge: &mut dyn FnMut(&Site<'_>)) {
    let mut known: Option<(RoleId, Vec<HolderClass>)> = None;
    for (role_id, index, rule, found) in grants.granting_rules() {
        // Rules come role by role.
        let classes = match known.take() {
            Some((id, classes)) if id == role_id => classes,
            _ => classes(grants, role_id),
        };
        let role = grants.inventory().role(role_id);
        for found in found.chunk_by(|a, b| a.verb == b.verb) {
            let Some(verb_index) = found.first().map(|grant| grant.verb) else { continue };
            judge(&Site { grants, role_id, role, index, rule, verb_index, found, holders: &classes });
        }
        known = Some((role_id, classes));
    }
}

fn classes(grants: &Grants<'_>, role: RoleId) -> Vec<HolderClass> {
    let mut classes: BTreeMap<_, Vec<Holder>> = BTreeMap::new();
    for holder in grants.holders(role) {
        let kind = match holder.through {
            Through::Unbound => 0,
            Through::Binding(_) => 1,
            Through::NearMiss(_) => 2,
        };
        let subject = grants.subject(&holder).map(crate::authority::subject_matches_someone);
        let namespace = grants.namespace(&holder).map(is_dns_label);
        classes.entry((kind, subject, namespace)).or_default().push(holder);
    }
    classes.into_values().map(|holders| HolderClass { holders }).collect()
}

impl<'a> Site<'a> {
    /// The verb.
    pub fn verb(&self) -> &'a Text {
        &self.rule.verbs[self.verb_index]
    }

    /// Whether the verb is `*`.
    pub fn is_any_verb(&self) -> bool {
        Verb::parse(self.verb().as_str()) == Verb::Any
    }

    /// Whether the verb is spelled `impersonate`.
    pub fn is_legacy_verb(&self) -> bool {
        Verb::parse(self.verb().as_str()) == Verb::Identity(Mode::Legacy)
    }

    /// Whether the grant's identity is reached by a spelled resource rather than a wildcard.
    pub fn is_spelled(&self, grant: &RuleGrant) -> bool {
        let resource = self.rule.resources.get(grant.resource).map_or("", Text::as_str);
        resource != "*" && !resource.starts_with("*/")
    }

    /// The names to which the rule is limited; none for any.
    pub fn names(&self) -> Option<&'a [Text]> {
        (!self.rule.resource_names.is_empty()).then_some(&self.rule.resource_names)
    }

    /// Those among `grants` that are effective in someone's hands, and everyone for whom one of them is.
    pub fn effective<'g>(&self, grants: impl IntoIterator<Item = &'g RuleGrant>) -> (Vec<&'g RuleGrant>, Vec<Holder>) {
        self.pick(grants, |reason| reason.is_none())
    }

    /// Those among `grants` that are dead for the reason in someone's hands, and these hands.
    pub fn dead<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g RuleGrant>,
        reason: Reason,
    ) -> (Vec<&'g RuleGrant>, Vec<Holder>) {
        self.pick(grants, |found| found == Some(reason))
    }

    fn pick<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g RuleGrant>,
        wanted: impl Fn(Option<Reason>) -> bool,
    ) -> (Vec<&'g RuleGrant>, Vec<Holder>) {
        let mut picked = Vec::new();
        let mut classes = vec![false; self.holders.len()];
        for grant in grants {
            let mut any = false;
            for (class, chosen) in self.holders.iter().zip(&mut classes) {
                let Some(holder) = class.holders.first() else { continue };
                if wanted(self.grants.reason(grant, holder)) {
                    any = true;
                    *chosen = true;
                }
            }
            if any {
                picked.push(grant);
            }
        }
        let chosen = self.holders.iter().zip(&classes).filter(|(_, chosen)| **chosen);
        let mut holders: Vec<Holder> = chosen.flat_map(|(class, _)| class.holders.iter().copied()).collect();
        holders.sort();
        (picked, holders)
    }

    /// The legacy grants of the verb.
    pub fn legacy(&self) -> impl Iterator<Item = &'a RuleGrant> {
        self.found.iter().filter(|grant| grant.mode == Some(Mode::Legacy))
    }

    /// How grave an effective legacy grant is, by what it reaches.
    pub fn reach_severity(&self, grants: &[&RuleGrant], holders: &[Holder]) -> Severity {
        if self.is_everything() || self.is_server_owned() {
            return Severity::Note;
        }
        let unlimited = self.names().is_none();
        let everywhere = holders.iter().any(|holder| self.grants.namespace(holder).is_none());
        let grave = grants.iter().any(|grant| match grant.identity.kind {
            Some(IdentityKind::Users) => unlimited,
            Some(IdentityKind::Groups) => unlimited || self.names_masters(),
            Some(IdentityKind::ServiceAccounts) => unlimited && everywhere,
            _ => false,
        });
        if grave { Severity::Error } else { Severity::Warning }
    }

    /// Whether `system:masters` is among the names.
    pub fn names_masters(&self) -> bool {
        self.rule.resource_names.iter().any(|name| name.as_str() == SYSTEM_MASTERS)
    }

    /// Whether the rule is `*/*/*`: whoever holds this can do anything without impersonating.
    pub fn is_everything(&self) -> bool {
        self.is_any_verb() && allows_everything(self.rule)
    }

    /// Whether the API server owns what the verb grants.
    pub fn is_server_owned(&self) -> bool {
        self.found.iter().all(|grant| is_server_owned(self.role, self.rule, grant))
    }

    /// The default roles into which the role's labels aggregate it.
    pub fn default_roles(&self) -> Vec<&'static str> {
        if self.role.meta.kind != ObjectKind::ClusterRole {
            return Vec::new();
        }
        // The default roles are chained: `view` is aggregated into `edit`, and `edit` into `admin`.
        let labelled = |name: &str| {
            let key = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
            self.role.meta.label(&key) == Some("true")
        };
        let roles = ["view", "edit", "admin"];
        roles.into_iter().skip_while(|name| !labelled(name)).collect()
    }

    /// The holders in words.
    pub fn who(&self, holders: &[Holder]) -> String {
        words::holders(self, holders)
    }

    /// The identities in words.
    pub fn whom(&self, grants: &[&RuleGrant], holders: &[Holder]) -> String {
        words::identities(self, grants, holders)
    }
}
