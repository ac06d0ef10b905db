//! A draft of a plan: what becomes of each grant by what the evidence says, without what the proof did not bear out.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::actions::{self, Doing};
use super::candidate::Candidate;
use super::credit::{Served, Taken};
use super::cutover::{self, Cutover, Residual};
use super::decide::Decided;
use super::manifest::{Maker, ObjectOptions, Origin, Scope, fit, texts};
use super::observed::Observations;
use super::plan::{
    ActionScope, Kept, MAX_NAMESPACES, Options, Outcome, Plan, PlannedGrant, PlannedImpersonator, PlannedRequest,
    Sources, Unserved,
};
use super::proof::{Failure, FailureOf, Proof};
use super::span::EvidenceSpan;
use super::target::{Target, constrained_form};
use super::verify::rank;
use super::warnings;
use crate::authority::{AUTHENTICATION_GROUP, IdentityKind, Mode, User, is_dns_label};
use crate::evidence::{DeclaredAction, Impersonator, OwnedRequest};
use crate::grants::{Grants, Through};
use crate::inventory::{Object, ObjectKey, PolicyRule};

/// What one impersonator gets in one mode.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// Identities by the scope in which they are granted.
    identities: BTreeSet<(Scope, Target)>,
    origin: Origin,
}

/// What all impersonators get, by mode.
pub(super) type AllGranted = BTreeMap<(Impersonator, Mode), Granted>;

/// What the evidence says of one impersonator.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether any request is credited to it.
    pub observed: bool,
    /// What it does, by mode; of withheld modes too.
    pub doing: BTreeMap<Mode, Doing>,
    /// The kinds of identity that some of its requests need from legacy, and why.
    pub legacy_kinds: BTreeMap<IdentityKind, Kept>,
    /// How much evidence there is.
    span: EvidenceSpan,
    /// The namespaces of its requests.
    namespaces: BTreeSet<SmolStr>,
    /// Whether its actions are granted everywhere because these are too many.
    is_spread: bool,
}

/// Which objects give an impersonator a mode, by index.
type Made = BTreeMap<(Impersonator, Mode), Vec<usize>>;

/// A plan before it is proved.
pub(super) struct Draft {
    decided: Vec<Decided>,
    uses: Vec<Use>,
    known: BTreeMap<Impersonator, Known>,
    pub added: Vec<Object>,
    made: Made,
    pub cutover: Cutover,
    /// Which declared actions apply to a grant.
    used: Vec<bool>,
    warnings: Vec<String>,
}

/// Drafts plans, and learns from what was wrong with them.
pub(super) struct Planner<'d, 'p> {
    pub grants: &'p Grants<'p>,
    pub sources: &'d Sources<'p>,
    pub options: Options<'p>,
    pub candidates: &'d [Candidate<'p>],
    pub observed: &'d Observations<'p>,
    /// How each reading is served.
    pub served: &'d [Served],
    /// The grants that others than the API server were seen to ask for.
    pub reviewed: &'d [(usize, Taken)],
    /// The grants that requests may have used of which little is known.
    pub glimpsed: &'d BTreeSet<usize>,
    /// The objects of an earlier run that this one replaces.
    pub own: &'d [ObjectKey],
    /// Modes that an impersonator must not get, since they would widen what is allowed.
    pub withheld: BTreeSet<(Impersonator, Mode)>,
    /// Readings that need legacy, and why.
    pub forced: BTreeMap<usize, Kept>,
    /// Impersonators whose migration cannot be proved, and what fails.
    pub unproven: BTreeMap<Impersonator, String>,
}

impl<'p> Planner<'_, 'p> {
    /// Takes back what the proof does not bear out. Returns the impersonators from which something was taken.
    pub fn take_back(&mut self, draft: &Draft, proof: &Proof) -> BTreeSet<Impersonator> {
        let mut taken_from = BTreeSet::new();
        for widening in &proof.widened {
            for who in &widening.new_of {
                let is_it =
                    |key: &&(Impersonator, Mode)| key.0.principal().as_ref() == Some(who) && key.1 == widening.mode;
                for key in draft.made.keys().filter(is_it) {
                    if self.withheld.insert(key.clone()) {
                        taken_from.insert(key.0.clone());
                    }
                }
            }
        }
        if !taken_from.is_empty() {
            return taken_from;
        }
        for (index, served) in self.served.iter().enumerate().filter(|(_, served)| served.by_legacy()) {
            let is_constrained = proof.after[index].is_some_and(|mode| mode != Mode::Legacy);
            if !is_constrained && !self.observed.readings[index].is_gone && !self.forced.contains_key(&index) {
                self.forced.insert(index, self.why_unserved(index));
                let uses = served.uses.iter();
                taken_from.extend(uses.filter_map(|(at, _)| self.candidates[*at].impersonator.clone()));
            }
        }
        taken_from
    }

    /// Gives up on impersonators of which too many drafts had to take something back.
    pub fn lose_patience_with(&mut self, impersonators: BTreeSet<Impersonator>) {
        for who in impersonators {
            self.unproven.entry(who).or_insert_with(|| "each draft would widen something else".to_owned());
        }
    }

    /// Gives up on the impersonators to which failures belong: all of their grants stay. Returns whether there are any.
    pub fn give_up_on(&mut self, failures: &[Failure]) -> bool {
        let mut found = false;
        for failure in failures {
            for who in self.culprits(&failure.of) {
                found |= self.unproven.insert(who, failure.words.clone()).is_none();
            }
        }
        found
    }

    /// The impersonators to which a failure belongs, unless they were given up already.
    fn culprits(&self, of: &FailureOf) -> BTreeSet<Impersonator> {
        let impersonators = || self.candidates.iter().filter_map(|candidate| candidate.impersonator.as_ref());
        let of_user = |user: &User| impersonators().filter(|who| who.includes(user)).cloned().collect::<BTreeSet<_>>();
        let mut found = match of {
            FailureOf::Reading(index) => {
                let uses = self.served[*index].uses.iter();
                let credited: BTreeSet<Impersonator> =
                    uses.filter_map(|(candidate, _)| self.candidates[*candidate].impersonator.clone()).collect();
                let requestor = &self.observed.readings[*index].request.requestor;
                if credited.is_empty() { of_user(requestor) } else { credited }
            }
            FailureOf::User(name) => of_user(&User { name: name.clone(), ..User::default() }),
            FailureOf::Subjects(subjects) => {
                let is_one = |who: &&Impersonator| who.principal().is_some_and(|who| subjects.contains(&who));
                impersonators().filter(is_one).cloned().collect()
            }
        };
        found.retain(|who| !self.unproven.contains_key(who));
        found
    }

    /// Why no constrained mode serves a reading.
    fn why_unserved(&self, index: usize) -> Kept {
        let served = &self.served[index];
        if served.forms.is_empty() {
            let has_form = |other: usize| {
                self.observed.readings.get(other).is_some_and(|reading| reading.of == self.observed.readings[index].of)
                    && !self.served[other].forms.is_empty()
            };
            // The readings of a request are neighbours: at most three.
            let neighbours = index.saturating_sub(2)..=index + 2;
            let is_ambiguous = neighbours.into_iter().any(has_form);
            return if is_ambiguous { Kept::AmbiguousHeaders } else { Kept::NoConstrainedForm };
        }
        let holders = || served.uses.iter().map(|(candidate, _)| &self.candidates[*candidate]);
        let is_withheld = |candidate: &Candidate<'_>| {
            let who = candidate.impersonator.as_ref();
            who.is_some_and(|who| served.forms.iter().any(|mode| self.withheld.contains(&(who.clone(), *mode))))
        };
        let is_unproven = |candidate: &Candidate<'_>| {
            candidate.impersonator.as_ref().is_some_and(|who| self.unproven.contains_key(who))
        };
        if holders().any(is_withheld) {
            Kept::WouldWiden
        } else if holders().any(is_unproven) {
            Kept::Unproven
        } else if holders().any(|candidate| candidate.stays == Some(Kept::NotEditable)) {
            Kept::NotEditable
        } else if holders().any(|candidate| !self.is_selected(candidate.impersonator.as_ref())) {
            Kept::NotSelected
        } else {
            Kept::NoConstrainedForm
        }
    }

    /// Whether an impersonator is to be migrated at all.
    pub fn is_selected(&self, who: Option<&Impersonator>) -> bool {
        self.options.only.is_empty() || who.is_some_and(|who| self.options.only.contains(who))
    }

    /// Makes a plan of a draft that is proved.
    pub fn finish(self, draft: Draft, proof: &Proof) -> Plan<'p> {
        let mut planned: Vec<PlannedGrant> = Vec::with_capacity(self.candidates.len());
        for ((candidate, decided), used_for) in self.candidates.iter().zip(&draft.decided).zip(&draft.uses) {
            let made = |mode: &Mode| draft.made.get(&(candidate.impersonator.clone()?, *mode));
            let known = candidate.impersonator.as_ref().and_then(|who| draft.known.get(who));
            let is_observed = known.is_some_and(|known| known.observed);
            planned.push(PlannedGrant {
                from: candidate.from,
                rule: candidate.index,
                grant: candidate.grant.clone(),
                holder: candidate.holder,
                outcome: decided.outcome,
                modes: decided.modes.clone(),
                replaced_by: decided.modes.iter().filter_map(made).flatten().copied().collect(),
                narrowed_to: match (&decided.residual, decided.outcome) {
                    (Residual::Names(taken), Outcome::Narrowed(_)) => {
                        let names: BTreeSet<SmolStr> = taken.iter().map(|taken| taken.name.clone()).collect();
                        Some(names.into_iter().collect())
                    }
                    _ => None,
                },
                never_seen: if is_observed && candidate.is_effective() {
                    used_for.unseen(candidate)
                } else {
                    Vec::new()
                },
            });
        }
        let requests = self.planned_requests(proof);
        let impersonators = self.planned_impersonators(&draft);
        let mut evidence = EvidenceSpan::default();
        self.observed.requests.iter().for_each(|observed| evidence.add(&observed.tally));
        let made: BTreeSet<ObjectKey> = draft.added.iter().map(|object| object.meta().key()).collect();
        let stale = self.own.iter().filter(|key| !made.contains(key));
        let mut plan = Plan {
            grants: planned,
            requests,
            added: draft.added,
            cutover: draft.cutover,
            impersonators,
            evidence,
            warnings: Vec::new(),
        };
        plan.warnings = warnings::of_plan(
            self.grants,
            self.sources,
            &self.options,
            &plan,
            &draft.used,
            &self.unproven,
            &self.observed.unclear_requestors(),
        );
        plan.warnings.extend(warnings::stale(stale));
        plan.warnings.extend(draft.warnings);
        plan
    }

    /// What becomes of each observed request: of its readings, the one that is served worst.
    fn planned_requests(&self, proof: &Proof) -> Vec<PlannedRequest<'p>> {
        let planned = self.observed.by_request().map(|(first, readings)| {
            let indices = || first..first + readings.len();
            let worst = indices().min_by_key(|index| rank(proof.after[*index])).unwrap_or(first);
            let before = indices().map(|index| self.served[index].before).min_by_key(|mode| rank(*mode)).flatten();
            let after = proof.after[worst];
            let reason = match (before, after) {
                (_, Some(mode)) if mode != Mode::Legacy => None,
                (None, _) => Some(Unserved::NotGrantedByInput),
                (_, None) if readings.iter().all(|reading| reading.is_gone) => Some(Unserved::NamespaceGone),
                _ => {
                    let forced = self.forced.get(&worst).copied();
                    Some(Unserved::Kept(forced.unwrap_or_else(|| self.why_unserved(worst))))
                }
            };
            let observed = &self.observed.requests[readings[0].of];
            PlannedRequest { request: observed.request, count: observed.tally.count(), before, after, reason }
        });
        planned.collect()
    }

    fn planned_impersonators(&self, draft: &Draft) -> Vec<PlannedImpersonator> {
        let mut all: BTreeMap<&Impersonator, PlannedImpersonator> = BTreeMap::new();
        for who in self.candidates.iter().filter_map(|candidate| candidate.impersonator.as_ref()) {
            all.entry(who).or_insert_with(|| {
                let known = draft.known.get(who);
                PlannedImpersonator {
                    who: who.clone(),
                    evidence: known.map(|known| known.span.clone()).unwrap_or_default(),
                    modes: BTreeMap::new(),
                    is_spread: known.is_some_and(|known| known.is_spread),
                }
            });
        }
        for ((who, mode), objects) in &draft.made {
            if let Some(planned) = all.get_mut(who) {
                planned.modes.insert(*mode, objects.clone());
            }
        }
        all.into_values().collect()
    }

    pub fn draft(&self) -> Draft {
        let (known, uses) = self.evidence();
        let mut used = vec![false; self.sources.declared.len()];
        let mut granted = AllGranted::new();
        let mut decided = Vec::with_capacity(self.candidates.len());
        for (index, candidate) in self.candidates.iter().enumerate() {
            let none = Known::default();
            let known = candidate.impersonator.as_ref().and_then(|who| known.get(who)).unwrap_or(&none);
            decided.push(self.decide((index, candidate), known, &uses[index], &mut granted, &mut used));
        }
        let default = ObjectOptions::default();
        let options = self.options.objects.unwrap_or(&default);
        let mut maker = Maker::new(self.grants.inventory(), self.own, options);
        let (added, made) = self.objects(granted, &known, &mut maker);
        let residuals: Vec<&Residual> = decided.iter().map(|decided| &decided.residual).collect();
        let cutover = cutover::cut_over(self.grants, self.candidates, &residuals, &mut maker);
        let warnings = maker.into_warnings().collect();
        // What is cleared although a controller overwrites it goes too.
        for edit in cutover.edits.iter().filter(|edit| self.grants.is_overwritten(edit.role)) {
            let of_role = self.candidates.iter().zip(&mut decided);
            for (_, decided) in of_role.filter(|(candidate, _)| candidate.from == edit.role) {
                (decided.outcome, decided.modes) = (Outcome::Dropped(None), Vec::new());
            }
        }
        Draft { decided, uses, known, added, made, cutover, used, warnings }
    }

    /// What the evidence says of each impersonator, and what each candidate is used for.
    fn evidence(&self) -> (BTreeMap<Impersonator, Known>, Vec<Use>) {
        let mut known: BTreeMap<Impersonator, Known> = BTreeMap::new();
        let mut uses: Vec<Use> = vec![Use::default(); self.candidates.len()];
        let node_modes = self.node_modes();
        for (first, readings) in self.observed.by_request() {
            let mut counted: BTreeSet<&Impersonator> = BTreeSet::new();
            for (index, reading) in (first..).zip(readings) {
                let served = &self.served[index];
                let spares = served.spares.iter().chain(served.uses.iter().map(|(candidate, _)| candidate));
                counted.extend(spares.filter_map(|candidate| self.candidates[*candidate].impersonator.as_ref()));
                for (candidate, taken) in &served.uses {
                    let Some(who) = &self.candidates[*candidate].impersonator else { continue };
                    let of_who = known.entry(who.clone()).or_default();
                    let mode = served.forms.iter().copied().find(|mode| match mode {
                        Mode::AssociatedNode | Mode::ArbitraryNode => node_modes.get(who) == Some(mode),
                        _ => true,
                    });
                    match mode.filter(|_| !self.forced.contains_key(&index)) {
                        Some(mode) => {
                            let doing = of_who.doing.entry(mode).or_default();
                            if !reading.is_gone {
                                doing.add(&reading.request);
                                of_who.namespaces.extend(action_namespace(&reading.request));
                            }
                            uses[*candidate].constrained.insert((mode, taken.clone()));
                        }
                        None => {
                            uses[*candidate].legacy.insert(taken.clone());
                            let why = self.forced.get(&index).copied().unwrap_or_else(|| self.why_unserved(index));
                            let known = uses[*candidate].why.get_or_insert(why);
                            *known = why.min(*known);
                            if let Some(kind) = self.candidates[*candidate].reachable_kind() {
                                let of_kind = of_who.legacy_kinds.entry(kind).or_insert(why);
                                *of_kind = why.min(*of_kind);
                            }
                        }
                    }
                }
            }
            let tally = &self.observed.requests[readings[0].of].tally;
            for who in counted {
                let of_who = known.entry(who.clone()).or_default();
                of_who.observed = true;
                of_who.span.add(tally);
            }
        }
        self.declared_legacy_kinds(&mut known);
        for (candidate, taken) in self.reviewed {
            let used = &mut uses[*candidate];
            used.legacy.insert(taken.clone());
            used.why.get_or_insert(Kept::LiteralVerb);
        }
        for of_who in known.values_mut() {
            let is_spread = match self.options.action_scope {
                ActionScope::Namespace => false,
                ActionScope::Cluster => true,
                ActionScope::Auto => of_who.namespaces.len() > MAX_NAMESPACES,
            };
            if is_spread {
                of_who.doing.values_mut().for_each(Doing::spread);
                of_who.is_spread = !of_who.namespaces.is_empty();
            }
        }
        (known, uses)
    }

    /// Marks what impersonators need from legacy of whom only declared actions are known: all kinds of identity, if one of
    /// their grants has no constrained form. A request that needs that grant needs legacy for its other headers, too.
    fn declared_legacy_kinds(&self, known: &mut BTreeMap<Impersonator, Known>) {
        let mut whole: BTreeSet<&Impersonator> = BTreeSet::new();
        for candidate in self.candidates.iter().filter(|candidate| candidate.is_effective()) {
            let Some(who) = &candidate.impersonator else { continue };
            let is_observed = known.get(who).is_some_and(|known| known.observed);
            if is_observed || whole.contains(who) || self.declared_of(who).next().is_none() {
                continue;
            }
            if constrained_form(candidate.rule, &candidate.grant, &[]).incomplete {
                whole.insert(who);
            }
        }
        for who in whole {
            let kinds = &mut known.entry(who.clone()).or_default().legacy_kinds;
            kinds.extend(IdentityKind::ALL.map(|kind| (kind, Kept::NoConstrainedForm)));
        }
    }

    /// The mode in which each impersonator may be nodes: `associated-node` if every node it was seen to be was its own,
    /// and legacy lets it be any.
    fn node_modes(&self) -> BTreeMap<&Impersonator, Mode> {
        let mut modes = BTreeMap::new();
        for (index, served) in self.served.iter().enumerate() {
            if self.forced.contains_key(&index) || !served.forms.contains(&Mode::ArbitraryNode) {
                continue;
            }
            for (candidate, _) in &served.uses {
                let candidate = &self.candidates[*candidate];
                let Some(who) = &candidate.impersonator else { continue };
                let own = served.forms.contains(&Mode::AssociatedNode) && candidate.rule.resource_names.is_empty();
                let mode = modes.entry(who).or_insert(Mode::AssociatedNode);
                if !own {
                    *mode = Mode::ArbitraryNode;
                }
            }
        }
        modes
    }

    /// The declared and derived entries that apply to an impersonator; declared ones with their index.
    pub(super) fn declared_of<'s>(
        &'s self,
        who: &'s Impersonator,
    ) -> impl Iterator<Item = (Option<usize>, &'s DeclaredAction)> {
        let declared = self.sources.declared.iter().enumerate().map(|(index, action)| (Some(index), action));
        let derived = self.sources.derived.iter().map(|action| (None, action));
        declared.chain(derived).filter(move |(_, action)| action.impersonator.as_ref().is_none_or(|named| named == who))
    }

    /// Grants an identity in a mode: of it, what was `seen`, or all of it if that is nothing.
    pub(super) fn grant<'t>(
        &self,
        candidate: &Candidate<'_>,
        who: &Impersonator,
        target: &Target,
        seen: impl Iterator<Item = &'t Taken>,
        granted: &mut AllGranted,
    ) {
        let inventory = self.grants.inventory();
        let granted = granted.entry((who.clone(), target.mode)).or_default();
        let scope = match (candidate.holder.through, candidate.namespace) {
            (Through::Binding(binding), Some(_)) => Scope::Namespace(inventory.binding(binding).meta.namespace.clone()),
            _ => Scope::Cluster,
        };
        let mut names: BTreeMap<Scope, BTreeSet<SmolStr>> = BTreeMap::new();
        for taken in seen {
            let scope = match (&scope, taken.namespace.as_str()) {
                (Scope::Cluster, namespace) if !namespace.is_empty() => Scope::Namespace(Some(namespace.into())),
                (scope, _) => scope.clone(),
            };
            let name = taken.name.strip_prefix("system:node:").filter(|_| target.mode == Mode::ArbitraryNode);
            names.entry(scope).or_default().insert(name.map_or_else(|| taken.name.clone(), SmolStr::new));
        }
        if names.is_empty() {
            granted.identities.insert((scope, target.clone()));
        }
        for (scope, names) in names {
            let target = Target { names: Some(names.into_iter().collect()), ..target.clone() };
            granted.identities.insert((scope, target));
        }
        granted.origin.add(&inventory.role(candidate.from).meta);
        if let Through::Binding(binding) = candidate.holder.through {
            granted.origin.add_name(&inventory.binding(binding).meta);
        }
    }

    /// Makes the objects: for each impersonator and mode, a role and a binding in each scope.
    fn objects(
        &self,
        granted: AllGranted,
        known: &BTreeMap<Impersonator, Known>,
        maker: &mut Maker<'_>,
    ) -> (Vec<Object>, Made) {
        let (mut roles, mut bindings) = (Vec::new(), Vec::new());
        for ((who, mode), granted) in granted {
            let mut doing = known.get(&who).and_then(|known| known.doing.get(&mode)).cloned().unwrap_or_default();
            for (_, action) in self.declared_of(&who).filter(|(_, action)| action.applies_in(mode)) {
                doing.declare(action);
            }
            let mut scopes: BTreeMap<Scope, Vec<PolicyRule>> = BTreeMap::new();
            identity_rules(mode, &granted, &mut scopes);
            actions::rules(mode, &doing, &mut scopes);
            for (scope, rules) in scopes {
                for rules in fit(rules) {
                    let (role, binding) = maker.role_and_binding(&who, mode.as_str(), &scope, rules, &granted.origin);
                    roles.push(((who.clone(), mode), role));
                    bindings.push(((who.clone(), mode), binding));
                }
            }
        }
        let mut made = Made::new();
        let mut added = Vec::new();
        for (key, object) in roles.into_iter().chain(bindings) {
            made.entry(key).or_default().push(added.len());
            added.push(object);
        }
        (added, made)
    }
}

/// The namespace in which a request is authorized, if there can be a Role in it.
fn action_namespace(request: &OwnedRequest) -> Option<SmolStr> {
    (request.path.is_empty() && is_dns_label(&request.namespace)).then(|| SmolStr::new(&request.namespace))
}

/// What a candidate is used for.
#[derive(Debug, Default, Clone)]
pub(super) struct Use {
    /// In constrained modes.
    pub constrained: BTreeSet<(Mode, Taken)>,
    /// What only legacy serves, and why.
    pub legacy: BTreeSet<Taken>,
    pub why: Option<Kept>,
}

impl Use {
    /// What was seen to be taken by a constrained identity.
    pub fn taken_by<'u>(&'u self, target: &'u Target) -> impl Iterator<Item = &'u Taken> {
        let key = target.resource.split_once('/').map(|(_, key)| key);
        let taken =
            self.constrained.iter().filter(move |(mode, taken)| *mode == target.mode && taken.key.as_deref() == key);
        taken.map(|(_, taken)| taken)
    }

    /// The names that the rule of a candidate lists and that were never taken, in the order of the rule.
    fn unseen(&self, candidate: &Candidate<'_>) -> Vec<SmolStr> {
        let taken = self.constrained.iter().map(|(_, taken)| taken).chain(&self.legacy);
        let seen: BTreeSet<&SmolStr> = taken.map(|taken| &taken.name).collect();
        let names = candidate.rule.resource_names.iter().map(|name| &name.value);
        names.filter(|name| !seen.contains(name)).cloned().collect()
    }
}

/// The identities of one impersonator in one mode. Those of service accounts stand in the namespace of the target, where
/// the server asks for them.
fn identity_rules(mode: Mode, granted: &Granted, scopes: &mut BTreeMap<Scope, Vec<PolicyRule>>) {
    let mut identities: BTreeMap<(&Scope, Option<&Vec<SmolStr>>), Vec<SmolStr>> = BTreeMap::new();
    for (scope, target) in &granted.identities {
        // Any name covers each one.
        let wider = (scope.clone(), Target { names: None, ..target.clone() });
        if target.names.is_some() && granted.identities.contains(&wider) {
            continue;
        }
        identities.entry((scope, target.names.as_ref())).or_default().push(target.resource.clone());
    }
    for ((scope, names), resources) in identities {
        scopes.entry(scope.clone()).or_default().push(PolicyRule {
            api_groups: texts([AUTHENTICATION_GROUP]),
            resources: texts(resources),
            resource_names: names.map(|names| texts(names.iter().cloned())).unwrap_or_default(),
            verbs: texts([mode.identity_verb()]),
            ..PolicyRule::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authorizer, Feature, Principal};
    use crate::inventory::load_bytes;
    use crate::migrate::candidate::candidates;
    use crate::migrate::observed::{HeaderHints, Lens};

    /// Two subjects with a grant each.
    const WORLD: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: users}
rules: [{verbs: [impersonate], apiGroups: [''], resources: [users]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: users}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: users}
subjects: [{kind: User, name: ann}, {kind: Group, name: devs}]
";

    #[test]
    fn one_subject_that_cannot_be_proved_costs_that_subject_only() {
        let inventory = load_bytes("a.yaml", WORLD.as_bytes());
        let grants = Grants::new(&inventory);
        let candidates = candidates(&grants);
        let actions = "actions: [{rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}]";
        let declared = crate::evidence::read_declared(&"actions".into(), actions.as_bytes()).unwrap();
        let sources = Sources { declared: &declared.actions, ..Sources::default() };
        let input = Authorizer::new(&inventory, grants.rules(), grants.links());
        let hints = HeaderHints::default();
        let lens =
            Lens { hints: &hints, allowed: &input, feature: Feature::Constrained, namespaces: None, wants: &|_| true };
        let observed = Observations::new(None, &lens);
        let mut planner = Planner {
            grants: &grants,
            sources: &sources,
            options: Options::default(),
            candidates: &candidates,
            observed: &observed,
            served: &[],
            reviewed: &[],
            glimpsed: &BTreeSet::new(),
            own: &[],
            withheld: BTreeSet::new(),
            forced: BTreeMap::new(),
            unproven: BTreeMap::new(),
        };
        let outcomes = |planner: &Planner<'_, '_>| {
            let decided = planner.draft().decided;
            decided.into_iter().map(|decided| decided.outcome).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(&planner), [Outcome::Replaced; 2]);
        let failure = |of| [Failure { words: "it fails".to_owned(), of }];
        let stranger = Principal::of_username("carol");
        assert!(!planner.give_up_on(&failure(FailureOf::Subjects([stranger].into()))));
        assert!(planner.give_up_on(&failure(FailureOf::User("ann".to_owned()))));
        assert_eq!(outcomes(&planner), [Outcome::Kept(Kept::Unproven), Outcome::Replaced]);
        // A second time there is nothing left to give up.
        assert!(!planner.give_up_on(&failure(FailureOf::User("ann".to_owned()))));
        let devs = Principal::Group("devs".into());
        assert!(planner.give_up_on(&failure(FailureOf::Subjects([devs].into()))));
        assert_eq!(outcomes(&planner), [Outcome::Kept(Kept::Unproven); 2]);
    }
}
