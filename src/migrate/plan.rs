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
use super::manifest::LABEL_MODE;
use super::proof;
use super::widen::{Memberships, widened};
use crate::authority::{Authorizer, Mode};
use crate::evidence::{DeclaredAction, Evidence, Impersonator, OwnedRequest};
use crate::grants::{Grants, Holder, Reason, RuleGrant};
use crate::inventory::{Object, ObjectKey, ObjectMeta, RoleId};

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
    /// A template fills in a part of the object, or a part of it cannot be read, or it is written or bound in another
    /// object.
    NotEditable,
    /// Some of it cannot be had in a constrained mode.
    NoConstrainedForm,
    /// Someone other than the API server was seen to ask for the literal verb.
    LiteralVerb,
    /// More would be allowed than is: the mode that is asked for reaches more identities, or the impersonator holds
    /// others in it already, to which the actions would apply too.
    WouldWiden,
    /// Google Cloud's log shows that it may be in use, but not what for: nobody has declared the actions.
    OnlyGlimpsed,
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
            Self::OnlyGlimpsed => "only-glimpsed",
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
    let glimpsed = sources.evidence.map(|evidence| glimpsed(&candidates, evidence)).unwrap_or_default();
    let mut planner = Planner {
        grants,
        sources,
        options,
        candidates: &candidates,
        served: &served,
        reviewed: &reviewed,
        glimpsed: &glimpsed,
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
