//! What becomes of each legacy grant.
//!
//! A plan is drafted from the grants and the evidence, the state that it leads to is built, and the proof is made on
//! that state (see [`super::proof`]). What the proof does not bear out is taken back, and the next draft made without it:
//! a mode of an impersonator that would widen what is allowed, or a request that the constrained modes do not serve.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::actions::{self, Doing};
use super::credit::{LegacyIndex, Served, Taken, credit_reviews};
use super::cutover::{self, Cutover, Residual};
use super::manifest::{LABEL_MODE, Origin, Scope, role_and_binding, texts};
use super::name::{Names, name_for};
use super::proof::{self, Proof};
use super::target::{Constrained, Target, constrained_form};
use super::warnings;
use super::widen::{Memberships, widened};
use crate::authority::{
    AUTHENTICATION_GROUP, Authorizer, IdentityKind, Mode, Verb, allows_everything, is_domain_prefixed_path,
};
use crate::evidence::{DeclaredAction, Evidence, Impersonator, OwnedRequest};
use crate::grants::{Entry, Grants, Holder, Reason, RuleGrant, Through, is_server_owned};
use crate::inventory::{Object, ObjectKey, ObjectMeta, PolicyRule, Role, RoleId};

/// How many drafts are made before the plan is given up. Each takes back at least one thing of the one before.
const MAX_DRAFTS: usize = 100;

/// What a migration starts from, beside the grants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'e> {
    /// What a person has declared.
    pub declared: &'e [DeclaredAction],
    /// What the impersonated identities themselves may do.
    pub derived: &'e [DeclaredAction],
    /// What was observed.
    pub evidence: Option<&'e Evidence>,
}

/// How narrow the result is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only the names that were observed, instead of all that legacy grants.
    pub observed_identities: bool,
    /// Actions in all namespaces, instead of those where they were observed.
    pub cluster_actions: bool,
    /// Legacy grants that nothing uses stay, although their impersonator has evidence.
    pub keep_unused: bool,
}

/// What a migration does.
#[derive(Debug)]
pub struct Plan<'p> {
    /// Each legacy grant in someone's hands, in the order of the grants' places.
    pub grants: Vec<PlannedGrant>,
    /// Each distinct request that was observed, in a fixed order.
    pub requests: Vec<PlannedRequest<'p>>,
    /// What is added first: roles, then bindings, so that each binding finds its role.
    pub added: Vec<Object>,
    /// What the cut-over changes.
    pub cutover: Cutover,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One legacy grant in one subject's hands, and what becomes of it.
#[derive(Debug, Clone)]
pub struct PlannedGrant {
    /// The role in which the rule is written.
    pub from: RoleId,
    /// Index of the rule.
    pub rule: usize,
    /// What it grants.
    pub grant: RuleGrant,
    /// Who holds it.
    pub holder: Holder,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The constrained modes that it gets.
    pub modes: Vec<Mode>,
    /// Indices of the added objects that replace it.
    pub replaced_by: Vec<usize>,
    /// Whether only the identities stay that were seen to need it.
    pub is_narrowed: bool,
}

/// What becomes of a legacy grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Constrained grants take its place.
    Replaced,
    /// It is not needed: dead for the given reason, or unused by what the evidence says.
    Dropped(Option<Reason>),
    /// It stays.
    Kept(Kept),
}

/// Why a legacy grant stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Nothing in the input binds it.
    Unbound,
    /// The API server owns it.
    ServerOwned,
    /// It comes from the verb `*`, which cannot be cut down to all but one.
    WildcardVerb,
    /// A template fills in a part of the object, or a part of it cannot be read.
    NotEditable,
    /// Some of it cannot be had in a constrained mode.
    NoConstrainedForm,
    /// Someone other than the API server was seen to ask for the literal verb.
    LiteralVerb,
    /// More would be allowed than is: the mode that is asked for reaches more identities, or the impersonator holds
    /// others in it already, to which the actions would apply too.
    WouldWiden,
    /// Nothing says what the impersonator does.
    NoEvidence,
}

impl Kept {
    /// The reason as the plan has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::ServerOwned => "server-owned",
            Self::WildcardVerb => "wildcard-verb",
            Self::NotEditable => "not-editable",
            Self::NoConstrainedForm => "no-constrained-form",
            Self::LiteralVerb => "literal-verb",
            Self::WouldWiden => "would-widen",
            Self::NoEvidence => "no-evidence",
        }
    }
}

/// One distinct request, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct PlannedRequest<'p> {
    /// The request.
    pub request: &'p OwnedRequest,
    /// How often it was seen.
    pub count: u64,
    /// The mode that allows it in the input, for a server with cold caches; none if nothing does.
    pub before: Option<Mode>,
    /// The mode that allows it after the cut-over.
    pub after: Option<Mode>,
    /// Why no constrained mode does.
    pub reason: Option<Unserved>,
}

/// Why no constrained mode serves a request after the cut-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// The input does not allow it: whoever allowed it then is not there.
    NotGrantedByInput,
    /// It has a constrained form, and nobody has granted that.
    NoConstrainedGrant,
    /// It needs legacy.
    Kept(Kept),
}

impl Unserved {
    /// The reason as the plan has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotGrantedByInput => "not-granted-by-input",
            Self::NoConstrainedGrant => "no-constrained-grant",
            Self::Kept(kept) => kept.as_str(),
        }
    }
}

/// Why there is no plan: the proof cannot be made. What fails is said in words.
#[derive(Debug)]
pub struct Unproven(pub Vec<String>);

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

    pub fn stays_anyway(&self) -> bool {
        self.stays.is_some()
    }

    /// Whether the rule reaches the identity by `*` among its resources.
    fn by_wildcard_resource(&self) -> bool {
        self.rule.resources.get(self.grant.resource).is_some_and(|resource| resource.as_str().starts_with('*'))
    }
}

/// Plans the migration of all legacy grants. Same input, same plan.
///
/// # Errors
/// When it cannot be proved that the plan loses and widens nothing.
pub fn plan<'p>(grants: &'p Grants<'p>, sources: &Sources<'p>, options: Options) -> Result<Plan<'p>, Unproven> {
    let candidates = candidates(grants);
    let requests = proof::allowed_requests(sources.evidence);
    let memberships = Memberships::of(requests.iter().map(|(request, _)| &request.requestor));
    let own = earlier_objects(grants, &memberships);
    let served = serve(grants, &own, &candidates, &requests);
    let reviewed = sources.evidence.map(|evidence| credit_reviews(&candidates, evidence)).unwrap_or_default();
    let mut planner = Planner {
        grants,
        sources,
        options,
        candidates: &candidates,
        served: &served,
        reviewed: &reviewed,
        requests: &requests,
        own: &own,
        withheld: BTreeSet::new(),
        forced: BTreeMap::new(),
    };
    for _ in 0..MAX_DRAFTS {
        let draft = planner.draft();
        let proof =
            proof::prove(grants, &draft.added, &draft.cutover, &requests, &served, &memberships, sources.evidence);
        if !planner.take_back(&draft, &proof) {
            return planner.finish(draft, &proof);
        }
    }
    Err(Unproven(vec![format!("after {MAX_DRAFTS} drafts there is still something to take back")]))
}

/// All legacy grants, in the order of their places.
fn candidates<'p>(grants: &'p Grants<'p>) -> Vec<Candidate<'p>> {
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
    } else if !is_editable(role) || is_template {
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

fn is_templated(text: &str) -> bool {
    text.contains("{{") || text.contains("${")
}

/// The objects of the input that an earlier run has made and this one may replace: constrained roles whose identities
/// are all legacy's still, and their bindings.
fn earlier_objects(grants: &Grants<'_>, memberships: &Memberships) -> Vec<ObjectKey> {
    let inventory = grants.inventory();
    let is_own = |meta: &ObjectMeta| meta.label(LABEL_MODE).is_some_and(|mode| Mode::parse_constrained(mode).is_some());
    let roles: Vec<RoleId> = inventory.role_ids().filter(|(_, role)| is_own(&role.meta)).map(|(id, _)| id).collect();
    if roles.is_empty() {
        return Vec::new();
    }
    let subjects = |role: RoleId| {
        let bindings = grants.links().bindings_of(role).iter().map(|binding| inventory.binding(*binding));
        bindings.flat_map(|binding| &binding.subjects).map(|subject| Impersonator::of_subject(subject).username())
    };
    let keys = |role: RoleId| {
        let bindings = grants.links().bindings_of(role).iter().map(|binding| &inventory.binding(*binding).meta);
        std::iter::once(&inventory.role(role).meta).chain(bindings).filter(|meta| is_own(meta)).map(|meta| meta.key())
    };
    let all: Vec<ObjectKey> = roles.iter().flat_map(|role| keys(*role)).collect();
    let without = inventory.with(&[], &all);
    // What was cut over already is there in constrained form only, and would be lost.
    let needed: BTreeSet<SmolStr> = widened(&Grants::new(&without), grants, memberships)
        .iter()
        .flat_map(|widening| &widening.new_of)
        .map(Impersonator::username)
        .collect();
    let replaced = roles.into_iter().filter(|role| !subjects(*role).any(|subject| needed.contains(&subject)));
    replaced.flat_map(keys).collect()
}

/// How each request is served before anything is changed.
fn serve(
    grants: &Grants<'_>,
    own: &[ObjectKey],
    candidates: &[Candidate<'_>],
    requests: &[(&OwnedRequest, u64)],
) -> Vec<Served> {
    use rayon::prelude::*;
    let index = LegacyIndex::new(candidates);
    let input = Authorizer::new(grants.inventory(), grants.rules(), grants.links());
    let all = |base: &Authorizer<'_>| {
        requests.par_iter().map(|(request, _)| index.serve(&input, base, candidates, request)).collect()
    };
    if own.is_empty() {
        return all(&input);
    }
    let base = grants.inventory().with(&[], own);
    let base_grants = Grants::new(&base);
    all(&Authorizer::new(&base, base_grants.rules(), base_grants.links()))
}

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

struct Planner<'d, 'p> {
    grants: &'p Grants<'p>,
    sources: &'d Sources<'p>,
    options: Options,
    candidates: &'d [Candidate<'p>],
    requests: &'d [(&'p OwnedRequest, u64)],
    served: &'d [Served],
    /// The grants that others than the API server were seen to ask for.
    reviewed: &'d [(usize, Taken)],
    /// The objects of an earlier run that this one replaces.
    own: &'d [ObjectKey],
    /// Modes that an impersonator must not get, since they would widen what is allowed.
    withheld: BTreeSet<(Impersonator, Mode)>,
    /// Requests that need legacy, and why.
    forced: BTreeMap<usize, Kept>,
}

impl<'p> Planner<'_, 'p> {
    /// Takes back what the proof does not bear out. Whether there was anything.
    fn take_back(&mut self, draft: &Draft, proof: &Proof) -> bool {
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

    fn finish(self, draft: Draft, proof: &Proof) -> Result<Plan<'p>, Unproven> {
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

    fn draft(&self) -> Draft {
        let (known, uses) = self.evidence();
        let mut used = vec![false; self.sources.declared.len()];
        let mut granted: BTreeMap<(Impersonator, Mode), Granted> = BTreeMap::new();
        let mut outcomes = Vec::with_capacity(self.candidates.len());
        let mut residuals = Vec::with_capacity(self.candidates.len());
        for (index, candidate) in self.candidates.iter().enumerate() {
            let none = Known::default();
            let known = candidate.impersonator.as_ref().and_then(|who| known.get(who)).unwrap_or(&none);
            let decided = self.decide(candidate, known, &uses[index], &mut granted, &mut used);
            outcomes.push((decided.outcome, decided.modes));
            residuals.push(decided.residual);
        }
        let mut names = Names::new(self.grants.inventory(), self.own);
        let (added, made) = self.objects(granted, &known, &mut names);
        let cutover = cutover::cut_over(self.grants, self.candidates, &residuals, &mut names);
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
        candidate: &Candidate<'p>,
        known: &Known,
        used_for: &Use,
        granted: &mut BTreeMap<(Impersonator, Mode), Granted>,
        used: &mut [bool],
    ) -> Decided {
        match candidate.reason {
            // A role that nothing here binds may be bound elsewhere, unless its rule is dead by itself.
            Some(Reason::Unbound) => {
                return match candidate.grant.reason {
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
        let is_declared = |mode: Mode| declared.iter().any(|(_, action)| action.mode.is_none_or(|own| own == mode));
        let mut form = self.form(candidate, known, used_for, &declared);
        let mut withheld = false;
        let mut modes: Vec<Mode> = Vec::new();
        form.targets.retain(|target| {
            let has_actions = known.doing.contains_key(&target.mode) || is_declared(target.mode);
            let may = !self.withheld.contains(&(who.clone(), target.mode));
            withheld |= has_actions && !may;
            has_actions && may
        });
        for target in &form.targets {
            self.grant(candidate, who, target, used_for, granted);
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
                .filter(|key| is_domain_prefixed_path(key))
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

    /// Grants an identity in a mode.
    fn grant(
        &self,
        candidate: &Candidate<'_>,
        who: &Impersonator,
        target: &Target,
        used_for: &Use,
        granted: &mut BTreeMap<(Impersonator, Mode), Granted>,
    ) {
        let inventory = self.grants.inventory();
        let granted = granted.entry((who.clone(), target.mode)).or_default();
        let scope = match (candidate.holder.through, candidate.namespace) {
            (Through::Binding(binding), Some(_)) => Scope::Namespace(inventory.binding(binding).meta.namespace.clone()),
            _ => Scope::Cluster,
        };
        if self.options.observed_identities && target.mode != Mode::AssociatedNode {
            let key = target.resource.split_once('/').map(|(_, key)| key);
            let mut names: BTreeMap<Scope, BTreeSet<SmolStr>> = BTreeMap::new();
            let taken =
                used_for.constrained.iter().filter(|(mode, taken)| *mode == target.mode && taken.key.as_deref() == key);
            for (_, taken) in taken {
                let scope = match (&scope, taken.namespace.as_str()) {
                    (Scope::Cluster, namespace) if !namespace.is_empty() => Scope::Namespace(Some(namespace.into())),
                    (scope, _) => scope.clone(),
                };
                let name = taken.name.strip_prefix("system:node:").filter(|_| target.mode == Mode::ArbitraryNode);
                names.entry(scope).or_default().insert(name.map_or_else(|| taken.name.clone(), SmolStr::new));
            }
            for (scope, names) in names {
                let target = Target { names: Some(names.into_iter().collect()), ..target.clone() };
                granted.identities.insert((scope, target));
            }
        } else {
            granted.identities.insert((scope, target.clone()));
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
            for (_, action) in self.declared_of(&who).filter(|(_, action)| action.mode.is_none_or(|own| own == mode)) {
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
