//! What becomes of each legacy grant.
//!
//! A plan is drafted from the grants and the evidence, the state that it leads to is built, and the proof is made on
//! that state (see [`super::proof`]). What the proof does not bear out is taken back, and the next draft made without it:
//! a mode of an impersonator that would widen what is allowed, or a request that the constrained modes do not serve.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use smol_str::SmolStr;

use super::candidate::{Candidate, candidates};
use super::credit::{LegacyIndex, Served, credit_reviews};
use super::cutover::Cutover;
use super::draft::Planner;
use super::glimpsed::glimpsed;
use super::manifest::{LABEL_MODE, ObjectOptions};
use super::observed::{HeaderHints, Lens, Observations, Reading};
use super::proof::{self, Failure};
use super::span::EvidenceSpan;
use super::widen::widened;
use crate::authority::{Authorizer, Feature, Memberships, Mode, Principal};
use crate::evidence::{DeclaredAction, Evidence, HeaderHint, Impersonator, ImplicitGroups, OwnedRequest};
use crate::grants::{Grants, Holder, Reason, RuleGrant};
use crate::inventory::{Object, ObjectKey, ObjectMeta, RoleId};

/// How many drafts are made before the plan is given up. Each takes back at least one thing of the one before.
const MAX_DRAFTS: usize = 100;
/// After how many drafts the impersonators are given up of which there is still something to take back.
const PATIENCE: usize = 60;

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

/// How narrow the result is, and whom it is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'o> {
    /// Which identities an impersonator has afterwards.
    pub identities: Identities,
    /// Where an impersonator may do what it was seen to do.
    pub action_scope: ActionScope,
    /// Keep unused legacy grants, although their impersonator has evidence.
    pub keep_unused: bool,
    /// Whether clients send the groups that the server adds.
    pub implicit_groups: ImplicitGroups,
    /// The same for single impersonators.
    pub header_hints: &'o [HeaderHint],
    /// The only impersonators that are migrated; empty for all.
    pub only: &'o [Impersonator],
    /// How generated objects are named and marked; none for the default.
    pub objects: Option<&'o ObjectOptions>,
}

/// Which identities an impersonator has afterwards, in constrained and in kept legacy grants alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identities {
    /// Those that its legacy grants name.
    #[default]
    Granted,
    /// Only those that the evidence shows. Values of extras are never narrowed: they change from session to session.
    Observed,
}

/// Where an impersonator may do what it was seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ActionScope {
    /// In the namespaces where it did, or in all if these are more than [`MAX_NAMESPACES`].
    #[default]
    Auto,
    /// In the namespaces where it did.
    Namespace,
    /// In all namespaces.
    Cluster,
}

/// Up to how many namespaces [`ActionScope::Auto`] grants one by one.
pub const MAX_NAMESPACES: usize = 20;

/// What a migration does.
#[derive(Debug)]
pub struct Plan<'p> {
    /// Each legacy grant in someone's hands, in the order of the grants' places.
    pub grants: Vec<PlannedGrant>,
    /// Each distinct request that was observed, in a fixed order. Where it can be read in several ways, all of them are
    /// allowed after the cut-over; the plan shows the reading that is served worst.
    pub requests: Vec<PlannedRequest<'p>>,
    /// What is added first: roles, then bindings, so that each binding finds its role.
    pub added: Vec<Object>,
    /// What the cut-over changes.
    pub cutover: Cutover,
    /// What each impersonator does and gets, in a fixed order.
    pub impersonators: Vec<PlannedImpersonator>,
    /// How good the evidence is, over all impersonators.
    pub evidence: EvidenceSpan,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What an impersonator does and gets.
#[derive(Debug, Clone)]
pub struct PlannedImpersonator {
    /// The impersonator.
    pub who: Impersonator,
    /// How good the evidence is.
    pub evidence: EvidenceSpan,
    /// For each constrained mode, the indices of the added objects that give it.
    pub modes: BTreeMap<Mode, Vec<usize>>,
    /// Whether its actions hold in all namespaces because they were seen in too many to list.
    pub is_spread: bool,
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
    /// The names that stay legacy, for a narrowed grant. None for any name.
    pub narrowed_to: Option<Vec<SmolStr>>,
    /// The names that the grant lists and the evidence never shows; empty without evidence.
    pub never_seen: Vec<SmolStr>,
}

/// What becomes of a legacy grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Constrained grants take its place.
    Replaced,
    /// It is not needed: dead for the given reason, or unused by what the evidence says.
    Dropped(Option<Reason>),
    /// It stays, as broad as it was.
    Kept(Kept),
    /// It stays for fewer identities than it was granted for.
    Narrowed(Kept),
}

impl Outcome {
    /// Why it stays legacy; none if it does not.
    pub fn kept(self) -> Option<Kept> {
        match self {
            Self::Kept(kept) | Self::Narrowed(kept) => Some(kept),
            Self::Replaced | Self::Dropped(_) => None,
        }
    }
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
    /// A template fills in a part of the object, or a part of it cannot be read, or it is written or bound in another
    /// object.
    NotEditable,
    /// The proof of its migration fails.
    Unproven,
    /// Some of it cannot be had in a constrained mode.
    NoConstrainedForm,
    /// The log cannot tell whether requests carry groups with which they have no constrained form.
    AmbiguousHeaders,
    /// Someone other than the API server was seen to ask for the literal verb.
    LiteralVerb,
    /// More would be allowed than is: the mode that is asked for reaches more identities, or the impersonator holds
    /// others in it already, to which the actions would apply too.
    WouldWiden,
    /// Google Cloud's log shows that it may be in use, but not what for: nobody has declared the actions.
    OnlyGlimpsed,
    /// Nothing says what the impersonator does.
    NoEvidence,
    /// Its impersonator is not among those that are migrated.
    NotSelected,
}

impl Kept {
    /// The reason as the plan has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::ServerOwned => "server-owned",
            Self::WildcardVerb => "wildcard-verb",
            Self::NotEditable => "not-editable",
            Self::Unproven => "unproven",
            Self::NoConstrainedForm => "no-constrained-form",
            Self::AmbiguousHeaders => "ambiguous-headers",
            Self::LiteralVerb => "literal-verb",
            Self::WouldWiden => "would-widen",
            Self::OnlyGlimpsed => "only-glimpsed",
            Self::NoEvidence => "no-evidence",
            Self::NotSelected => "not-selected",
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
    /// It has a constrained form that is not granted.
    NoConstrainedGrant,
    /// Its namespace does not exist any more.
    NamespaceGone,
    /// It needs legacy.
    Kept(Kept),
}

impl Unserved {
    /// The reason as the plan has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotGrantedByInput => "not-granted-by-input",
            Self::NoConstrainedGrant => "no-constrained-grant",
            Self::NamespaceGone => "namespace-gone",
            Self::Kept(kept) => kept.as_str(),
        }
    }
}

/// Why there is no plan: the proof cannot be made. What fails is said in words.
#[derive(Debug)]
pub struct Unproven(pub Vec<String>);

impl Unproven {
    /// How many failures are spelled out.
    const MAX_SHOWN: usize = 10;

    fn of(failures: &[Failure]) -> Self {
        let mut words: Vec<String> =
            failures.iter().take(Self::MAX_SHOWN).map(|failure| failure.words.clone()).collect();
        let more = failures.len().saturating_sub(Self::MAX_SHOWN);
        if more > 0 {
            words.push(format!("and {more} more"));
        }
        Self(words)
    }
}

/// Plans the migration of all legacy grants. Same input, same plan.
///
/// What cannot be proved for one subject is kept for that subject, and the rest is planned.
///
/// # Errors
/// When it cannot be proved that the plan loses and widens nothing, and the failure belongs to no subject.
pub fn plan<'p>(grants: &'p Grants<'p>, sources: &Sources<'p>, options: Options<'p>) -> Result<Plan<'p>, Unproven> {
    let candidates = candidates(grants);
    let input = Authorizer::new(grants.inventory(), grants.rules(), grants.links());
    let hints = HeaderHints::new(options.implicit_groups, options.header_hints);
    let namespaces = grants.inventory().cluster().and_then(|cluster| cluster.namespaces.as_ref());
    let lens = Lens { hints: &hints, allowed: &input, feature: Feature::Constrained, namespaces, wants: &|_| true };
    let observed = Observations::new(sources.evidence, &lens);
    let memberships = Memberships::of(observed.requests.iter().map(|observed| &observed.request.requestor));
    let own = earlier_objects(grants, &memberships);
    let served = serve(grants, &input, &own, &candidates, &observed.readings);
    let reviewed = sources.evidence.map(|evidence| credit_reviews(&candidates, evidence)).unwrap_or_default();
    let glimpsed = sources.evidence.map(|evidence| glimpsed(&candidates, evidence)).unwrap_or_default();
    let mut planner = Planner {
        grants,
        sources,
        options,
        candidates: &candidates,
        served: &served,
        reviewed: &reviewed,
        glimpsed: &glimpsed,
        observed: &observed,
        own: &own,
        withheld: BTreeSet::new(),
        forced: BTreeMap::new(),
        unproven: BTreeMap::new(),
    };
    for round in 0..MAX_DRAFTS {
        let draft = planner.draft();
        let proof = proof::prove(
            grants,
            &draft.added,
            &draft.cutover,
            &observed.readings,
            &served,
            &memberships,
            sources.evidence,
        );
        let taken_from = planner.take_back(&draft, &proof);
        if !taken_from.is_empty() {
            if round >= PATIENCE {
                planner.lose_patience_with(taken_from);
            }
            continue;
        }
        let failures = proof.failures(&observed.readings, &served);
        if failures.is_empty() {
            return Ok(planner.finish(draft, &proof));
        }
        if !planner.give_up_on(&failures) {
            return Err(Unproven::of(&failures));
        }
    }
    Err(Unproven(vec![format!("after {MAX_DRAFTS} drafts there is still something to take back")]))
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
        bindings.flat_map(|binding| &binding.subjects).filter_map(Principal::of_subject)
    };
    let keys = |role: RoleId| {
        let bindings = grants.links().bindings_of(role).iter().map(|binding| &inventory.binding(*binding).meta);
        std::iter::once(&inventory.role(role).meta).chain(bindings).filter(|meta| is_own(meta)).map(|meta| meta.key())
    };
    let all: Vec<ObjectKey> = roles.iter().flat_map(|role| keys(*role)).collect();
    let without = inventory.with(&[], &all);
    // What was cut over already is there in constrained form only, and would be lost.
    let needed: BTreeSet<Principal> =
        widened(&Grants::new(&without), grants, memberships).into_iter().flat_map(|widening| widening.new_of).collect();
    let replaced = roles.into_iter().filter(|role| !subjects(*role).any(|subject| needed.contains(&subject)));
    replaced.flat_map(keys).collect()
}

/// How each reading of a request is served before anything is changed.
fn serve(
    grants: &Grants<'_>,
    input: &Authorizer<'_>,
    own: &[ObjectKey],
    candidates: &[Candidate<'_>],
    readings: &[Reading<'_>],
) -> Vec<Served> {
    let index = LegacyIndex::new(candidates);
    let all = |base: &Authorizer<'_>| {
        readings.par_iter().map(|reading| index.serve(input, base, candidates, &reading.request)).collect()
    };
    if own.is_empty() {
        return all(input);
    }
    let base = grants.inventory().with(&[], own);
    let base_grants = Grants::new(&base);
    all(&Authorizer::new(&base, base_grants.rules(), base_grants.links()))
}
