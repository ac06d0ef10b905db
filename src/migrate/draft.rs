//! A draft of a plan: what becomes of each grant by what the evidence says, without what the proof did not bear out.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::actions::{self, Doing};
use super::candidate::Candidate;
use super::credit::{Served, Taken};
use super::cutover::{self, Cutover, Residual};
use super::manifest::{Origin, Scope, role_and_binding, texts};
use super::name::{Names, name_for};
use super::plan::{Kept, Options, Outcome, Plan, PlannedGrant, PlannedRequest, Sources, Unproven, Unserved};
use super::proof::Proof;
use super::target::{Constrained, Target, constrained_form};
use super::warnings;
use crate::authority::{AUTHENTICATION_GROUP, IdentityKind, Mode, allows_everything, is_refused_key};
use crate::evidence::{DeclaredAction, Impersonator, OwnedRequest};
use crate::grants::{Grants, Reason, Through};
use crate::inventory::{Object, ObjectKey, PolicyRule};
use crate::template::is_templated;

/// What one impersonator gets in one mode.
#[derive(Debug, Default)]
struct Granted {
    /// Identities by the scope in which they are granted.
    identities: BTreeSet<(Scope, Target)>,
    origin: Origin,
}

/// What the evidence says of one impersonator.
#[derive(Debug, Default)]
struct Known {
    /// Whether any request is credited to it.
    observed: bool,
    /// What it does, by mode; of withheld modes too.
    doing: BTreeMap<Mode, Doing>,
}

/// Which objects give an impersonator a mode, by index.
type Made = BTreeMap<(Impersonator, Mode), Vec<usize>>;

/// A plan before it is proved.
pub(super) struct Draft {
    outcomes: Vec<(Outcome, Vec<Mode>)>,
    residuals: Vec<Residual>,
    pub added: Vec<Object>,
    made: Made,
    pub cutover: Cutover,
    used: Vec<bool>,
}

/// Drafts plans, and learns from what was wrong with them.
pub(super) struct Planner<'d, 'p> {
    pub grants: &'p Grants<'p>,
    pub sources: &'d Sources<'p>,
    pub options: Options,
    pub candidates: &'d [Candidate<'p>],
    pub requests: &'d [(&'p OwnedRequest, u64)],
    pub served: &'d [Served],
    /// The grants that others than the API server were seen to ask for.
    pub reviewed: &'d [(usize, Taken)],
    /// The grants that requests may have used of which little is known.
    pub glimpsed: &'d BTreeSet<usize>,
    /// The objects of an earlier run that this one replaces.
    pub own: &'d [ObjectKey],
    /// Modes that an impersonator must not get, since they would widen what is allowed.
    pub withheld: BTreeSet<(Impersonator, Mode)>,
    /// Requests that need legacy, and why.
    pub forced: BTreeMap<usize, Kept>,
}

impl<'p> Planner<'_, 'p> {
    /// Takes back what the proof does not bear out. Whether there was anything.
    pub fn take_back(&mut self, draft: &Draft, proof: &Proof) -> bool {
        let mut taken = false;
        for widening in &proof.widened {
            for who in &widening.new_of {
                let made = draft
                    .made
                    .keys()
                    .filter(|(impersonator, mode)| impersonator.username() == who.username() && *mode == widening.mode);
                taken |= made.cloned().fold(false, |taken, key| self.withheld.insert(key) | taken);
            }
        }
        if taken {
            return true;
        }
        for (index, served) in self.served.iter().enumerate().filter(|(_, served)| served.by_legacy()) {
            let constrained = proof.after[index].is_some_and(|mode| mode != Mode::Legacy);
            if !constrained && !self.forced.contains_key(&index) {
                self.forced.insert(index, self.why_unserved(served));
                taken = true;
            }
        }
        taken
    }

    /// Why no constrained mode serves a request.
    fn why_unserved(&self, served: &Served) -> Kept {
        if served.forms.is_empty() {
            return Kept::NoConstrainedForm;
        }
        let holders = || served.uses.iter().map(|(candidate, _)| &self.candidates[*candidate]);
        let withheld = |candidate: &Candidate<'_>| {
            candidate
                .impersonator
                .as_ref()
                .is_some_and(|who| served.forms.iter().any(|mode| self.withheld.contains(&(who.clone(), *mode))))
        };
        if holders().any(withheld) {
            Kept::WouldWiden
        } else if holders().any(|candidate| candidate.stays == Some(Kept::NotEditable)) {
            Kept::NotEditable
        } else {
            Kept::NoConstrainedForm
        }
    }

    pub fn finish(self, draft: Draft, proof: &Proof) -> Result<Plan<'p>, Unproven> {
        let failures = proof.failures(self.requests, self.served);
        if !failures.is_empty() {
            return Err(Unproven(failures));
        }
        let mut planned: Vec<PlannedGrant> = Vec::with_capacity(self.candidates.len());
        for ((candidate, (outcome, modes)), residual) in
            self.candidates.iter().zip(&draft.outcomes).zip(&draft.residuals)
        {
            let made = |mode: &Mode| draft.made.get(&(candidate.impersonator.clone()?, *mode));
            planned.push(PlannedGrant {
                from: candidate.from,
                rule: candidate.index,
                grant: candidate.grant.clone(),
                holder: candidate.holder,
                outcome: *outcome,
                modes: modes.clone(),
                replaced_by: modes.iter().filter_map(made).flatten().copied().collect(),
                is_narrowed: matches!(residual, Residual::Names(_)),
            });
        }
        let requests: Vec<PlannedRequest<'p>> = self
            .requests
            .iter()
            .enumerate()
            .map(|(index, (request, count))| {
                let (before, after) = (self.served[index].before, proof.after[index]);
                let reason = match (before, after) {
                    (_, Some(mode)) if mode != Mode::Legacy => None,
                    (None, _) => Some(Unserved::NotGrantedByInput),
                    _ => Some(Unserved::Kept(
                        self.forced.get(&index).copied().unwrap_or_else(|| self.why_unserved(&self.served[index])),
                    )),
                };
                PlannedRequest { request, count: *count, before, after, reason }
            })
            .collect();
        let made: BTreeSet<ObjectKey> = draft.added.iter().map(|object| object.meta().key()).collect();
        let stale = self.own.iter().filter(|key| !made.contains(key));
        let mut warnings = warnings::of_plan(self.grants, self.sources, &planned, &requests, &draft.used);
        warnings.extend(warnings::stale(stale));
        Ok(Plan { grants: planned, requests, added: draft.added, cutover: draft.cutover, warnings })
    }

    pub fn draft(&self) -> Draft {
        let (known, uses) = self.evidence();
        let mut used = vec![false; self.sources.declared.len()];
        let mut granted: BTreeMap<(Impersonator, Mode), Granted> = BTreeMap::new();
        let mut outcomes = Vec::with_capacity(self.candidates.len());
        let mut residuals = Vec::with_capacity(self.candidates.len());
        for (index, candidate) in self.candidates.iter().enumerate() {
            let none = Known::default();
            let known = candidate.impersonator.as_ref().and_then(|who| known.get(who)).unwrap_or(&none);
            let decided = self.decide((index, candidate), known, &uses[index], &mut granted, &mut used);
            outcomes.push((decided.outcome, decided.modes));
            residuals.push(decided.residual);
        }
        let mut names = Names::new(self.grants.inventory(), self.own);
        let (added, made) = self.objects(granted, &known, &mut names);
        let cutover = cutover::cut_over(self.grants, self.candidates, &residuals, &mut names);
        // What is cleared although a controller overwrites it goes too.
        for edit in cutover.edits.iter().filter(|edit| self.grants.is_overwritten(edit.role)) {
            let of_role =
                self.candidates.iter().zip(&mut outcomes).filter(|(candidate, _)| candidate.from == edit.role);
            of_role.for_each(|(_, outcome)| *outcome = (Outcome::Dropped(None), Vec::new()));
        }
        Draft { outcomes, residuals, added, made, cutover, used }
    }

    /// What the evidence says of each impersonator, and what each candidate is used for.
    fn evidence(&self) -> (BTreeMap<Impersonator, Known>, Vec<Use>) {
        let mut known: BTreeMap<Impersonator, Known> = BTreeMap::new();
        let mut uses: Vec<Use> = vec![Use::default(); self.candidates.len()];
        let node_modes = self.node_modes();
        for (index, served) in self.served.iter().enumerate().filter(|(_, served)| served.by_legacy()) {
            let (request, _) = self.requests[index];
            for (candidate, taken) in &served.uses {
                let Some(who) = &self.candidates[*candidate].impersonator else { continue };
                let of_who = known.entry(who.clone()).or_default();
                of_who.observed = true;
                let mode = served.forms.iter().copied().find(|mode| match mode {
                    Mode::AssociatedNode | Mode::ArbitraryNode => node_modes.get(who) == Some(mode),
                    _ => true,
                });
                match mode.filter(|_| !self.forced.contains_key(&index)) {
                    Some(mode) => {
                        of_who.doing.entry(mode).or_default().add(request, self.options.cluster_actions);
                        uses[*candidate].constrained.insert((mode, taken.clone()));
                    }
                    None => {
                        uses[*candidate].legacy.insert(taken.clone());
                        let why = self.forced.get(&index).copied().unwrap_or(Kept::NoConstrainedForm);
                        let known = uses[*candidate].why.get_or_insert(why);
                        *known = why.min(*known);
                    }
                }
            }
        }
        for spare in self.served.iter().flat_map(|served| &served.spares) {
            if let Some(who) = &self.candidates[*spare].impersonator {
                known.entry(who.clone()).or_default().observed = true;
            }
        }
        for (candidate, taken) in self.reviewed {
            let used = &mut uses[*candidate];
            used.legacy.insert(taken.clone());
            used.why.get_or_insert(Kept::LiteralVerb);
        }
        (known, uses)
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
    fn declared_of<'s>(&'s self, who: &'s Impersonator) -> impl Iterator<Item = (Option<usize>, &'s DeclaredAction)> {
        let declared = self.sources.declared.iter().enumerate().map(|(index, action)| (Some(index), action));
        let derived = self.sources.derived.iter().map(|action| (None, action));
        declared.chain(derived).filter(move |(_, action)| action.impersonator.as_ref().is_none_or(|named| named == who))
    }

    fn decide(
        &self,
        (index, candidate): (usize, &Candidate<'p>),
        known: &Known,
        used_for: &Use,
        granted: &mut BTreeMap<(Impersonator, Mode), Granted>,
        used: &mut [bool],
    ) -> Decided {
        match candidate.reason {
            // A role that nothing here binds may be bound elsewhere, unless its rule is dead by itself, or here is all of
            // the cluster.
            Some(Reason::Unbound) => {
                let nobody = self.grants.inventory().cluster().map(|_| Reason::Unbound);
                return match candidate.grant.reason.or(nobody) {
                    // What a controller overwrites is not worth an edit.
                    Some(dead) if !candidate.stays_anyway() && !self.grants.is_overwritten(candidate.from) => {
                        Decided::dropped(Some(dead))
                    }
                    _ => Decided::kept(candidate.stays.unwrap_or(Kept::Unbound)),
                };
            }
            Some(_) if !used_for.legacy.is_empty() => {
                let outcome = Outcome::Kept(used_for.why.unwrap_or(Kept::NoConstrainedForm));
                return Decided { outcome, modes: Vec::new(), residual: Residual::names(&used_for.legacy) };
            }
            Some(_) if self.glimpsed.contains(&index) => return Decided::kept(Kept::OnlyGlimpsed),
            Some(dead) => return Decided::dropped(Some(dead)),
            None => {}
        }
        let Some(who) = &candidate.impersonator else { return Decided::kept(Kept::Unbound) };
        let declared: Vec<_> = self.declared_of(who).collect();
        for (index, _) in &declared {
            if let Some(index) = index {
                used[*index] = true;
            }
        }
        // Whoever holds everything holds the constrained verbs already, if not for requests without a resource.
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
        let mut withheld = false;
        let mut modes: Vec<Mode> = Vec::new();
        form.targets.retain(|target| {
            let has_actions = known.doing.contains_key(&target.mode) || is_declared(target.mode);
            let may = !self.withheld.contains(&(who.clone(), target.mode));
            withheld |= has_actions && !may;
            has_actions && may && (!self.narrows(target, known) || used_for.taken_by(target).next().is_some())
        });
        for target in &form.targets {
            self.grant(
                candidate,
                who,
                target,
                used_for.taken_by(target).filter(|_| self.narrows(target, known)),
                granted,
            );
            if !modes.contains(&target.mode) {
                modes.push(target.mode);
            }
        }
        let has_evidence = known.observed || !declared.is_empty();
        let needed = Residual::names(&used_for.legacy);
        let (outcome, residual) = if let Some(stays) = candidate.stays {
            (Outcome::Kept(stays), Residual::Whole)
        } else if withheld || form.would_widen {
            // What is only declared may be needed as a whole.
            let whole = !declared.is_empty() || needed.is_none();
            (Outcome::Kept(Kept::WouldWiden), if whole { Residual::Whole } else { needed })
        } else if declared.is_empty() && self.glimpsed.contains(&index) {
            (Outcome::Kept(used_for.why.unwrap_or(Kept::OnlyGlimpsed)), Residual::Whole)
        } else if !needed.is_none() && !has_evidence {
            // What is only asked for by others says nothing of what it is used for.
            (Outcome::Kept(used_for.why.unwrap_or(Kept::LiteralVerb)), Residual::Whole)
        } else if !needed.is_none() {
            (Outcome::Kept(used_for.why.unwrap_or(Kept::NoConstrainedForm)), needed)
        } else if form.incomplete && !known.observed {
            let residual = if has_evidence { form.residual(candidate.rule) } else { Residual::Whole };
            (Outcome::Kept(Kept::NoConstrainedForm), residual)
        } else if !has_evidence {
            (Outcome::Kept(Kept::NoEvidence), Residual::Whole)
        } else if !modes.is_empty() {
            (Outcome::Replaced, Residual::None)
        } else if self.options.keep_unused {
            (Outcome::Kept(Kept::NoEvidence), Residual::Whole)
        } else {
            (Outcome::Dropped(None), Residual::None)
        };
        Decided { outcome, modes, residual }
    }

    /// The constrained form of a candidate, as far as the evidence asks for it.
    fn form(
        &self,
        candidate: &Candidate<'_>,
        known: &Known,
        used_for: &Use,
        declared: &[(Option<usize>, &DeclaredAction)],
    ) -> Constrained {
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

    /// Whether only those identities are granted that were seen. Associated nodes have no names.
    fn narrows(&self, target: &Target, known: &Known) -> bool {
        self.options.observed_identities && known.observed && target.mode != Mode::AssociatedNode
    }

    /// Grants an identity in a mode: of it, what was `seen`, or all of it if that is nothing.
    fn grant<'t>(
        &self,
        candidate: &Candidate<'_>,
        who: &Impersonator,
        target: &Target,
        seen: impl Iterator<Item = &'t Taken>,
        granted: &mut BTreeMap<(Impersonator, Mode), Granted>,
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
        granted: BTreeMap<(Impersonator, Mode), Granted>,
        known: &BTreeMap<Impersonator, Known>,
        names: &mut Names,
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
            let wanted = name_for(&who, mode.as_str());
            for (scope, rules) in scopes {
                let name = names.free(&scope, &wanted);
                let (role, binding) = role_and_binding(&who, mode.as_str(), (&scope, &name), rules, &granted.origin);
                roles.push(((who.clone(), mode), role));
                bindings.push(((who.clone(), mode), binding));
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

/// What a candidate is used for.
#[derive(Debug, Default, Clone)]
struct Use {
    /// In constrained modes.
    constrained: BTreeSet<(Mode, Taken)>,
    /// What only legacy serves, and why.
    legacy: BTreeSet<Taken>,
    why: Option<Kept>,
}

impl Use {
    /// What was seen to be taken by a constrained identity.
    fn taken_by<'u>(&'u self, target: &'u Target) -> impl Iterator<Item = &'u Taken> {
        let key = target.resource.split_once('/').map(|(_, key)| key);
        let taken =
            self.constrained.iter().filter(move |(mode, taken)| *mode == target.mode && taken.key.as_deref() == key);
        taken.map(|(_, taken)| taken)
    }
}

struct Decided {
    outcome: Outcome,
    modes: Vec<Mode>,
    residual: Residual,
}

impl Decided {
    fn dropped(dead: Option<Reason>) -> Self {
        Self { outcome: Outcome::Dropped(dead), modes: Vec::new(), residual: Residual::None }
    }

    fn kept(kept: Kept) -> Self {
        Self { outcome: Outcome::Kept(kept), modes: Vec::new(), residual: Residual::Whole }
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
