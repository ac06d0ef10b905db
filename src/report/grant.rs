//! Each grant of an identity in someone's hands, and what is known of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use smol_str::SmolStr;

use super::{MAX_LISTED, Owner};
use crate::authority::{
    IdentityKind, Mode, Principal, SYSTEM_MASTERS, Verb, binds_cluster_wide, is_refused_group, is_refused_key,
};
use crate::evidence::take_in;
use crate::grants::{Grants, Holder, HoldersOfRole, Reason, RuleGrant, grants_of_rule};
use crate::inventory::{BindingId, ObjectMeta, PolicyRule, RoleId, Subject, Text, abbreviate};
use crate::lint::words;
use crate::migrate::{HeldRule, Kept, Outcome, Plan, Use};
use crate::syntax::Place;

/// How many of the users of a grant are named.
const MAX_USERS: usize = 5;

/// What one rule gives one subject in one mode.
#[derive(Debug)]
pub struct ReportedGrant<'g> {
    /// Who holds it; none if nobody does.
    pub subject: Option<&'g Subject>,
    /// The same, as whom the server knows it.
    pub principal: Option<Principal>,
    /// The mode; none for a verb that no server knows.
    pub mode: Option<Mode>,
    /// The verb as written.
    pub verb: SmolStr,
    /// Whom it reaches, in words.
    pub whom: String,
    /// By which role.
    pub origin: Origin,
    /// By which binding.
    pub binding: Option<BindingId>,
    /// The file in which the verb stands; that of the binding, for a default role.
    pub path: &'g Arc<str>,
    /// The verb's place there.
    pub place: Place,
    /// Why it reaches nobody; none if it is effective.
    pub dead: Option<Reason>,
    /// What a migration does with it; none for constrained grants, and where nothing could be planned.
    pub outcome: Option<Outcome>,
    /// What of it no constrained mode allows, in words.
    pub no_form: Vec<String>,
    /// Its use; none without logs, and nothing in it if it was not seen.
    pub used: Option<Used>,
    /// To whom it belongs.
    pub owner: Owner,
    /// In how many steps the subject can become cluster-admin; none if the input shows no way.
    pub steps: Option<usize>,
}

/// The role behind a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A rule of the input.
    Rule {
        /// The role in which it is written.
        from: RoleId,
        /// Its index there.
        rule: usize,
        /// The role that is bound: the same, or one into which it is aggregated.
        held: RoleId,
    },
    /// A default role to which the input refers without defining it.
    DefaultRole(SmolStr),
}

/// What logs have shown of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Used {
    /// How many requests.
    pub count: u64,
    /// When the first was, as the log writes it.
    pub first: String,
    /// When the last was.
    pub last: String,
    /// By whom: some of them.
    pub by: BTreeSet<SmolStr>,
    /// Whether there were others.
    pub by_others: bool,
}

impl Used {
    pub(super) fn add(&mut self, seen: &Use<'_>) {
        self.count = self.count.saturating_add(seen.tally.count());
        take_in((&mut self.first, &mut self.last), &seen.tally.first, &seen.tally.last);
        if self.by.len() < MAX_USERS {
            self.by.insert(seen.user.into());
        } else {
            self.by_others |= !self.by.contains(seen.user);
        }
    }
}

impl ReportedGrant<'_> {
    /// Whether it reaches somebody.
    pub fn is_effective(&self) -> bool {
        self.dead.is_none()
    }

    /// Whether it is legacy and reaches somebody.
    pub fn is_legacy(&self) -> bool {
        self.is_effective() && self.mode == Some(Mode::Legacy)
    }

    /// Effective before dead, unused before used, legacy before constrained, and whoever is nearer to all power first.
    pub(super) fn order(&self) -> impl Ord {
        let count = self.used.as_ref().map_or(u64::MAX, |used| used.count);
        let steps = self.steps.unwrap_or(usize::MAX);
        (
            !self.is_effective(),
            count,
            Reverse(self.mode),
            steps,
            &self.principal,
            self.path,
            (self.place.offset, self.binding),
        )
    }
}

/// What a rule gives in one mode.
struct Part<'a> {
    rule: &'a PolicyRule,
    mode: Option<Mode>,
    grants: Vec<&'a RuleGrant>,
}

/// The parts of what a rule gives: all of legacy in one, and one for each constrained mode that is spelled. What `*` gives
/// of the constrained modes is not worth a line of its own.
fn parts<'a>(rule: &'a PolicyRule, found: &'a [RuleGrant]) -> Vec<Part<'a>> {
    let any = |grant: &RuleGrant| Verb::parse(rule.verbs[grant.verb].as_str()) == Verb::Any;
    let mut by_mode: BTreeMap<Option<Mode>, Vec<&RuleGrant>> = BTreeMap::new();
    for grant in found.iter().filter(|grant| grant.mode == Some(Mode::Legacy) || !any(grant)) {
        by_mode.entry(grant.mode).or_default().push(grant);
    }
    by_mode.into_iter().map(|(mode, grants)| Part { rule, mode, grants }).collect()
}

impl Part<'_> {
    /// In words, those that `reason` finds nothing wrong with; all of them if there are none.
    fn whom(&self, reason: impl Fn(&RuleGrant) -> Option<Reason>, namespace: Option<&str>) -> String {
        let namespaces = namespace.map(|namespace| BTreeSet::from([SmolStr::new(namespace)]));
        let effective: Vec<&RuleGrant> = self.grants.iter().copied().filter(|grant| reason(grant).is_none()).collect();
        let shown = if effective.is_empty() { &self.grants } else { &effective };
        let words = words::identities(self.rule, shown, namespaces.as_ref());
        if !words.is_empty() {
            return words;
        }
        let resources: BTreeSet<&str> = shown.iter().map(|grant| grant.identity.resource.as_str()).collect();
        words::list(resources.into_iter().map(|resource| format!("{:?}", abbreviate(resource))))
    }

    /// What of it no constrained mode allows, whatever is granted.
    fn no_form(&self) -> Vec<String> {
        if self.mode != Some(Mode::Legacy) {
            return Vec::new();
        }
        let names = &self.rule.resource_names;
        let mut parts = Vec::new();
        let alive = || self.grants.iter().filter(|grant| grant.reason.is_none());
        if alive().any(|grant| grant.identity.kind == Some(IdentityKind::Groups)) {
            let refused = if names.is_empty() {
                vec![SYSTEM_MASTERS]
            } else {
                names.iter().map(Text::as_str).filter(|name| is_refused_group(name)).collect()
            };
            parts.extend(
                refused.iter().map(|group| format!("the group {group:?} is refused by every constrained mode")),
            );
        }
        let keys: BTreeSet<&str> = alive().filter_map(|grant| grant.identity.extra_key.as_deref()).collect();
        let refused: Vec<&str> = keys.into_iter().filter(|key| is_refused_key(key)).collect();
        if !refused.is_empty() {
            let keys = words::list(refused.iter().map(|key| format!("{:?}", abbreviate(key))));
            parts.push(format!("constrained modes take extras of domain-prefixed keys only, not {keys}"));
        }
        parts
    }
}

/// Makes the list.
pub(super) struct Builder<'g, 'b> {
    grants: &'g Grants<'g>,
    outcomes: BTreeMap<(RoleId, usize, Holder), Outcome>,
    used: HashMap<HeldRule, Used>,
    has_logs: bool,
    steps: &'b HashMap<&'b Principal, usize>,
    pub(super) listed: Vec<ReportedGrant<'g>>,
    pub(super) left_out: usize,
}

impl<'g, 'b> Builder<'g, 'b> {
    pub(super) fn new(
        grants: &'g Grants<'g>,
        plan: Option<&Plan<'_>>,
        used: HashMap<HeldRule, Used>,
        has_logs: bool,
        steps: &'b HashMap<&'b Principal, usize>,
    ) -> Self {
        let mut outcomes: BTreeMap<(RoleId, usize, Holder), Outcome> = BTreeMap::new();
        for planned in plan.iter().flat_map(|plan| &plan.grants) {
            let known = outcomes.entry((planned.from, planned.rule, planned.holder)).or_insert(planned.outcome);
            if weight(planned.outcome) > weight(*known) {
                *known = planned.outcome;
            }
        }
        Self { grants, outcomes, used, has_logs, steps, listed: Vec::new(), left_out: 0 }
    }

    /// The grants that are written in the input.
    pub(super) fn written(&mut self) {
        let mut holders = HoldersOfRole::default();
        for (from, index, rule, found) in self.grants.granting_rules() {
            let held_by = holders.of(self.grants, from);
            for part in parts(rule, &found) {
                self.part(from, index, &part, held_by);
            }
        }
    }

    fn part(&mut self, from: RoleId, index: usize, part: &Part<'_>, holders: &[Holder]) {
        let grants = self.grants;
        let role = grants.inventory().role(from);
        let verb = &part.rule.verbs[part.grants[0].verb];
        let no_form = part.no_form();
        // Most holders are alike, and names are many.
        let mut words: HashMap<(Option<&str>, bool), String> = HashMap::new();
        for (at, holder) in holders.iter().enumerate() {
            if self.listed.len() >= MAX_LISTED {
                self.left_out += holders.len() - at;
                return;
            }
            let reason = |grant: &RuleGrant| grants.reason(grant, holder);
            // One that is not dead counts before all reasons.
            let dead = part.grants.iter().map(|grant| reason(grant)).min().flatten();
            let namespace = grants.namespace(holder);
            let whom = words.entry((namespace, dead.is_none())).or_insert_with(|| part.whom(reason, namespace)).clone();
            let held = part.mode.and_then(|mode| HeldRule::new(from, index, holder, mode));
            let used = held.and_then(|held| self.used.remove(&held));
            let outcome = self.outcomes.get(&(from, index, *holder)).copied();
            let outcome = outcome.filter(|_| part.mode == Some(Mode::Legacy));
            let subject = grants.subject(holder);
            let binding = holder.binding();
            self.push(ReportedGrant {
                subject,
                principal: None,
                mode: part.mode,
                verb: verb.value.clone(),
                whom,
                origin: Origin::Rule { from, rule: index, held: holder.role },
                binding,
                path: &role.meta.path,
                place: verb.place,
                dead,
                outcome,
                no_form: if dead.is_none() { no_form.clone() } else { Vec::new() },
                used,
                owner: self.owner(Some(&role.meta), binding, subject),
                steps: None,
            });
        }
    }

    /// What bindings to default roles give that the input does not define.
    pub(super) fn of_default_roles(&mut self) {
        let inventory = self.grants.inventory();
        for (id, rules) in self.grants.bindings_to_default_roles() {
            let binding = inventory.binding(*id);
            let cluster_wide = binds_cluster_wide(binding.meta.kind);
            for rule in rules {
                let found = grants_of_rule(rule);
                let reaches = |grant: &RuleGrant| {
                    let kind = grant.identity.kind;
                    (cluster_wide || kind.is_some_and(IdentityKind::is_namespaced)) && grant.mode == Some(Mode::Legacy)
                };
                let reason =
                    |grant: &RuleGrant| grant.reason.or((!reaches(grant)).then_some(Reason::NamespacedBinding));
                let parts = parts(rule, &found);
                let Some(part) = parts.iter().find(|part| part.mode == Some(Mode::Legacy)) else { continue };
                let whom = part.whom(reason, binding.meta.effective_namespace());
                for subject in &binding.subjects {
                    if Principal::of_subject(subject).is_none() {
                        continue;
                    }
                    if self.listed.len() >= MAX_LISTED {
                        self.left_out += 1;
                        continue;
                    }
                    self.push(ReportedGrant {
                        subject: Some(subject),
                        principal: None,
                        mode: part.mode,
                        verb: rule.verbs[0].value.clone(),
                        whom: whom.clone(),
                        origin: Origin::DefaultRole(binding.role_ref.name.value.clone()),
                        binding: Some(*id),
                        path: &binding.meta.path,
                        place: binding.role_ref.name.place,
                        dead: None,
                        outcome: Some(Outcome::Kept(Kept::ServerOwned)),
                        no_form: Vec::new(),
                        // Requests are credited to what is written in the input.
                        used: None,
                        owner: self.owner(None, Some(*id), Some(subject)),
                        steps: None,
                    });
                }
            }
        }
    }

    fn owner(&self, role: Option<&ObjectMeta>, binding: Option<BindingId>, subject: Option<&Subject>) -> Owner {
        let binding = binding.map(|id| &self.grants.inventory().binding(id).meta);
        Owner::of(role, binding, subject.and_then(|subject| subject.namespace.as_deref()))
    }

    fn push(&mut self, mut grant: ReportedGrant<'g>) {
        grant.principal = grant.subject.and_then(Principal::of_subject);
        grant.steps = grant.principal.as_ref().and_then(|who| self.steps.get(who)).copied();
        let is_credited = matches!(grant.origin, Origin::Rule { .. }) && grant.is_effective();
        if self.has_logs && is_credited && grant.used.is_none() {
            grant.used = Some(Used::default());
        }
        self.listed.push(grant);
    }
}

/// What weighs more stands for all that a rule gives a subject.
fn weight(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Dropped(Some(_)) => 0,
        Outcome::Dropped(None) => 1,
        Outcome::Replaced => 2,
        Outcome::Kept(Kept::NoEvidence | Kept::OnlyGlimpsed) => 3,
        Outcome::Kept(_) | Outcome::Narrowed(_) => 4,
    }
}
