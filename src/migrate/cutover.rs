//! The cut-over: the original roles without the legacy verb, as far as it is not needed any more.
//!
//! What is kept stays in its role where all who hold the role need the same of it. Otherwise the rule is split: the role
//! loses it, and each subject that needs a part of it gets that part in a role of its own.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::candidate::Candidate;
use super::credit::Taken;
use super::manifest::{LABEL_LEGACY, Maker, Origin, Scope, fit, texts};
use crate::authority::{IdentityKind, Mode, Verb};
use crate::evidence::Impersonator;
use crate::grants::{Grants, Identity, Through};
use crate::inventory::{BindingId, Object, ObjectKey, PolicyRule, Role, RoleId, RoleRules, Text};

/// What is left of a legacy grant in someone's hands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Residual {
    /// Nothing.
    None,
    /// These identities.
    Names(BTreeSet<Taken>),
    /// These keys of extras, with the names of the rule.
    Keys(BTreeSet<SmolStr>),
    /// All of it.
    Whole,
}

impl Residual {
    /// Just these.
    pub fn names(taken: &BTreeSet<Taken>) -> Self {
        if taken.is_empty() { Self::None } else { Self::Names(taken.clone()) }
    }

    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What the cut-over changes.
#[derive(Debug, Default)]
pub struct Cutover {
    /// Roles and bindings for what has to stay legacy of rules that are split; they come before the roles that lose it.
    pub remainders: Vec<Object>,
    /// For each of these, the first of the roles that it is split from.
    pub split_from: Vec<RoleId>,
    /// The original roles as they are to be.
    pub changed: Vec<Object>,
    /// Roles that are left without rules, and their bindings.
    pub deleted: Vec<Object>,
    /// All that is changed or deleted, as it was.
    pub originals: Vec<Object>,
    /// The same changes, rule by rule.
    pub edits: Vec<RoleEdit>,
}

/// What changes in one role.
#[derive(Debug)]
pub struct RoleEdit {
    /// The role.
    pub role: RoleId,
    /// For each rule that changes, by index: what takes its place, which may be nothing.
    pub rules: BTreeMap<usize, Vec<PolicyRule>>,
    /// The bindings that go with it if nothing is left of it; none if something is.
    pub deleted: Option<Vec<BindingId>>,
}

impl Cutover {
    /// The keys of what is deleted.
    pub fn deleted_keys(&self) -> Vec<ObjectKey> {
        self.deleted.iter().map(|object| object.meta().key()).collect()
    }

    /// What is applied.
    pub fn applied(&self) -> impl Iterator<Item = &Object> {
        self.remainders.iter().chain(&self.changed)
    }
}

/// What has to stay legacy for one subject in one scope.
#[derive(Debug, Default)]
pub(super) struct Remainder {
    rules: BTreeSet<LegacyRule>,
    origin: Origin,
    from: BTreeSet<RoleId>,
}

/// A rule with the verb `impersonate`: API group, names (none for any), resources.
type LegacyRule = (SmolStr, Option<Vec<SmolStr>>, Vec<SmolStr>);

/// Works out what becomes of the roles. `residuals` are those of the candidates, in their order.
pub(super) fn cut_over(
    grants: &Grants<'_>,
    candidates: &[Candidate<'_>],
    residuals: &[&Residual],
    maker: &mut Maker<'_>,
) -> Cutover {
    let mut by_role: BTreeMap<RoleId, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        by_role.entry(candidate.from).or_default().entry(candidate.index).or_default().push(index);
    }
    let mut remainders: BTreeMap<(Impersonator, Scope), Remainder> = BTreeMap::new();
    let mut cutover = Cutover::default();
    for (from, rules) in by_role {
        let mut changes = BTreeMap::new();
        for (index, of_rule) in rules {
            let after = rule_after(grants, candidates, residuals, &of_rule, &mut remainders);
            if let Some(after) = after {
                changes.insert(index, after);
            }
        }
        if !changes.is_empty() {
            change_role(grants, from, changes, &mut cutover);
        }
    }
    (cutover.remainders, cutover.split_from) = remainder_objects(remainders, maker);
    clear_revived(grants, &mut cutover);
    cutover
}

/// Clears the rules that stand in an aggregated role and were overwritten until now: where no contributor has any rule
/// left, the controller leaves the role alone, and they would come to life.
fn clear_revived(grants: &Grants<'_>, cutover: &mut Cutover) {
    let inventory = grants.inventory();
    let overwritten: Vec<(RoleId, &Role)> = inventory
        .role_ids()
        .filter(|(id, role)| role.aggregation.is_some() && !role.rules.is_empty() && grants.is_overwritten(*id))
        .collect();
    let mut cleared = BTreeSet::new();
    // To clear one may revive another that aggregates it.
    while cleared.len() < overwritten.len() {
        let after = inventory.with(cutover.applied(), &cutover.deleted_keys());
        let rules = RoleRules::new(&after);
        let keeps_own = after.role_ids().filter(|(id, _)| rules.contributors(*id).contains(id));
        let keeps_own: BTreeSet<ObjectKey> = keeps_own.map(|(_, role)| role.meta.key()).collect();
        let revived =
            overwritten.iter().filter(|(id, role)| !cleared.contains(id) && keeps_own.contains(&role.meta.key()));
        let revived: Vec<(RoleId, &Role)> = revived.copied().collect();
        if revived.is_empty() {
            return;
        }
        for (id, role) in revived {
            cleared.insert(id);
            let rules = (0..role.rules.len()).map(|index| (index, Vec::new())).collect();
            cutover.edits.push(RoleEdit { role: id, rules, deleted: None });
            cutover.originals.push(Object::Role(role.clone()));
            cutover.changed.push(Object::Role(Role { rules: Vec::new(), ..role.clone() }));
        }
    }
}

fn change_role(grants: &Grants<'_>, id: RoleId, changes: BTreeMap<usize, Vec<PolicyRule>>, cutover: &mut Cutover) {
    let inventory = grants.inventory();
    let role = inventory.role(id);
    let rules = role.rules.iter().enumerate().flat_map(|(index, rule)| match changes.get(&index) {
        Some(after) => after.clone(),
        None => vec![rule.clone()],
    });
    let after = Role { rules: rules.collect(), ..role.clone() };
    cutover.originals.push(Object::Role(role.clone()));
    let mut edit = RoleEdit { role: id, rules: changes, deleted: None };
    if after.rules.is_empty() && role.aggregation.is_none() {
        cutover.deleted.push(Object::Role(role.clone()));
        let bindings = grants.links().bindings_of(id).to_vec();
        for binding in &bindings {
            let binding = Object::Binding(inventory.binding(*binding).clone());
            cutover.originals.push(binding.clone());
            cutover.deleted.push(binding);
        }
        edit.deleted = Some(bindings);
    } else {
        cutover.changed.push(Object::Role(after));
    }
    cutover.edits.push(edit);
}

/// What takes the place of a rule; none if it stays as it is. What some of its holders need and others do not goes to
/// `remainders`.
fn rule_after(
    grants: &Grants<'_>,
    candidates: &[Candidate<'_>],
    residuals: &[&Residual],
    of_rule: &[usize],
    remainders: &mut BTreeMap<(Impersonator, Scope), Remainder>,
) -> Option<Vec<PolicyRule>> {
    let rule = candidates[*of_rule.first()?].rule;
    if of_rule.iter().all(|index| *residuals[*index] == Residual::Whole) {
        return None;
    }
    // The verb `*` grants it all the same.
    if rule.verbs.iter().any(|verb| Verb::parse(verb.as_str()) == Verb::Any) {
        return None;
    }
    let mut by_identity: BTreeMap<&Identity, Vec<usize>> = BTreeMap::new();
    for index in of_rule {
        by_identity.entry(&candidates[*index].grant.identity).or_default().push(*index);
    }
    let mut kept: BTreeSet<LegacyRule> = BTreeSet::new();
    for (identity, of_identity) in by_identity {
        // Who holds it in vain needs nothing, and has no say.
        let live =
            || of_identity.iter().filter(|index| candidates[**index].is_effective() || !residuals[**index].is_none());
        let Some(first) = live().next() else { continue };
        let in_one_place = |index: &usize| {
            let spread = candidates[*index].namespace.is_none() && identity.kind == Some(IdentityKind::ServiceAccounts);
            !(spread && matches!(residuals[*index], Residual::Names(_)))
        };
        let agree = live().all(|index| residuals[*index] == residuals[*first] && in_one_place(index));
        for index in live() {
            let candidate = &candidates[*index];
            if agree {
                kept.extend(legacy_rules(candidate, residuals[*index]).into_values().flatten());
                continue;
            }
            for (namespace, rules) in legacy_rules(candidate, residuals[*index]) {
                let Some(who) = candidate.impersonator.clone() else { continue };
                let scope = match (candidate.holder.through, candidate.namespace, namespace) {
                    (Through::Binding(binding), Some(_), _) => {
                        Scope::Namespace(grants.inventory().binding(binding).meta.namespace.clone())
                    }
                    (_, _, Some(namespace)) => Scope::Namespace(Some(namespace)),
                    _ => Scope::Cluster,
                };
                let remainder = remainders.entry((who, scope)).or_default();
                remainder.rules.extend(rules);
                remainder.origin.add(&grants.inventory().role(candidate.from).meta);
                remainder.from.insert(candidate.from);
            }
        }
    }
    let mut after = Vec::new();
    let legacy = |verb: &Text| Verb::parse(verb.as_str()) == Verb::Identity(Mode::Legacy);
    let verbs: Vec<Text> = rule.verbs.iter().filter(|verb| !legacy(verb)).cloned().collect();
    if !verbs.is_empty() {
        after.push(PolicyRule { verbs, ..rule.clone() });
    }
    after.extend(policy_rules(kept));
    Some(after)
}

/// The legacy rules for what is left of a candidate, by the namespace of the service accounts where only some are.
fn legacy_rules(candidate: &Candidate<'_>, residual: &Residual) -> BTreeMap<Option<SmolStr>, BTreeSet<LegacyRule>> {
    let identity = &candidate.grant.identity;
    let group = identity.api_group.clone();
    let resource = |key: Option<&SmolStr>| match (identity.kind, key) {
        (Some(IdentityKind::UserExtras), None) => SmolStr::new_static("*"),
        (_, Some(key)) if !key.is_empty() => format!("{}/{key}", identity.resource).into(),
        _ => identity.resource.clone(),
    };
    let names = &candidate.rule.resource_names;
    let own_names = || (!names.is_empty()).then(|| names.iter().map(|name| name.value.clone()).collect());
    let mut rules: BTreeMap<Option<SmolStr>, BTreeSet<LegacyRule>> = BTreeMap::new();
    match residual {
        Residual::None => {}
        Residual::Whole => {
            rules.entry(None).or_default().insert((group, own_names(), vec![resource(identity.extra_key.as_ref())]));
        }
        Residual::Keys(keys) => {
            let all = keys.iter().map(|key| (group.clone(), own_names(), vec![resource(Some(key))]));
            rules.entry(None).or_default().extend(all);
        }
        Residual::Names(taken) => {
            let mut names: BTreeMap<(Option<SmolStr>, SmolStr), BTreeSet<SmolStr>> = BTreeMap::new();
            for taken in taken {
                let namespace = (!taken.namespace.is_empty()).then(|| taken.namespace.clone());
                names.entry((namespace, resource(taken.key.as_ref()))).or_default().insert(taken.name.clone());
            }
            for ((namespace, resource), names) in names {
                let rule = (group.clone(), Some(names.into_iter().collect()), vec![resource]);
                rules.entry(namespace).or_default().insert(rule);
            }
        }
    }
    rules
}

/// The rules that grant this; those that differ in their resources only are one.
fn policy_rules(rules: BTreeSet<LegacyRule>) -> Vec<PolicyRule> {
    let mut merged: BTreeMap<(SmolStr, Option<Vec<SmolStr>>), Vec<SmolStr>> = BTreeMap::new();
    for (group, names, resources) in rules {
        merged.entry((group, names)).or_default().extend(resources);
    }
    let rule = |((group, names), resources): ((SmolStr, Option<Vec<SmolStr>>), Vec<SmolStr>)| PolicyRule {
        api_groups: texts([group]),
        resources: texts(resources),
        resource_names: texts(names.unwrap_or_default()),
        verbs: texts([Mode::Legacy.identity_verb()]),
        ..PolicyRule::default()
    };
    merged.into_iter().map(rule).collect()
}

/// Roles and bindings for what has to stay legacy, roles first; and for each the first role that it comes from.
fn remainder_objects(
    remainders: BTreeMap<(Impersonator, Scope), Remainder>,
    maker: &mut Maker<'_>,
) -> (Vec<Object>, Vec<RoleId>) {
    let (mut roles, mut bindings) = (Vec::new(), Vec::new());
    for ((who, scope), Remainder { rules, origin, from }) in remainders {
        let Some(from) = from.first().copied() else { continue };
        for rules in fit(policy_rules(rules)) {
            let (role, binding) = maker.role_and_binding(&who, LABEL_LEGACY, &scope, rules, &origin);
            roles.push((role, from));
            bindings.push((binding, from));
        }
    }
    roles.into_iter().chain(bindings).unzip()
}
