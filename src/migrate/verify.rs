//! The same proof for manifests that someone else has written or changed.

use rayon::prelude::*;

use super::plan::{Kept, PlannedRequest, Unserved};
use super::proof::{allowed_requests, lost_reviews, replay};
use super::widen::{Memberships, Widening, widened};
use crate::authority::{
    Attributes, Authorizer, Feature, Mode, constrained_modes, decide, missing_checks, smallest_rule,
};
use crate::evidence::{Evidence, OwnedRequest, RefusedCheck};
use crate::grants::Grants;
use crate::inventory::{Inventory, PolicyRule};

/// What becomes of observed requests, and of what is allowed.
#[derive(Debug)]
pub struct Verification<'v> {
    /// Each distinct request that was observed and allowed, in a fixed order.
    pub requests: Vec<VerifiedRequest<'v>>,
    /// What is allowed now and was not before.
    pub widened: Vec<Widening>,
    /// Reviews for the verb `impersonate` that were answered with yes and no longer are; who asked, about whom.
    pub reviews: Vec<(String, String)>,
    /// Impersonations that were refused, in a fixed order.
    pub denials: Vec<Denial<'v>>,
}

/// One distinct request, and what would mend it.
#[derive(Debug)]
pub struct VerifiedRequest<'v> {
    /// What becomes of it.
    pub planned: PlannedRequest<'v>,
    /// The smallest rules with which a constrained mode would serve it; none if one does, or none can.
    pub mend: Vec<Mend>,
}

/// A rule that someone needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// The rule.
    pub rule: PolicyRule,
    /// The namespace for a Role and a RoleBinding; none for a ClusterRole and a ClusterRoleBinding.
    pub namespace: Option<String>,
}

impl Mend {
    /// The smallest rule that allows a check.
    fn of(check: &Attributes<'_>) -> Self {
        let namespace = (!check.namespace.is_empty()).then(|| check.namespace.to_owned());
        Self { rule: smallest_rule(check), namespace }
    }
}

/// An impersonation that was refused. Its log does not show the headers, but the check that failed.
#[derive(Debug)]
pub struct Denial<'v> {
    /// Who asked; the log does not show for whom.
    pub request: &'v OwnedRequest,
    /// The check, in the server's words.
    pub check: &'v str,
    /// How often it was seen.
    pub count: u64,
    /// The rule that would allow the check; none if the words are not understood.
    pub mend: Option<Mend>,
    /// Whether the manifests allow it.
    pub allowed_now: bool,
}

/// Replays what was observed on two states, and compares their rules.
pub fn verify<'v>(before: &Inventory, after: &Inventory, evidence: &'v Evidence, feature: Feature) -> Verification<'v> {
    let requests = allowed_requests(Some(evidence));
    let unchanged = std::ptr::eq(before, after);
    let after_grants = Grants::new(after);
    let authorizer = Authorizer::new(after, after_grants.rules(), after_grants.links());
    let before_grants = Grants::new(before);
    let befores = (!unchanged).then(|| replay(&before_grants, &requests, feature));
    let verified = |(index, (request, count)): (usize, &(&'v OwnedRequest, u64))| {
        let asked = request.as_request();
        let answer = decide(&authorizer, &asked, feature).mode();
        let was = befores.as_ref().map_or(answer, |befores| befores[index].0);
        let form = constrained_modes(&request.requestor, &request.headers).next();
        let reason = match (was, answer) {
            (_, Some(mode)) if mode != Mode::Legacy => None,
            (None, None) => Some(Unserved::NotGrantedByInput),
            _ if form.is_none() => Some(Unserved::Kept(Kept::NoConstrainedForm)),
            _ => Some(Unserved::NoConstrainedGrant),
        };
        let mend = match (reason, form) {
            (Some(_), Some(mode)) => mends(&authorizer, request, mode),
            _ => Vec::new(),
        };
        let planned = PlannedRequest { request, count: *count, before: was, after: answer, reason };
        VerifiedRequest { planned, mend }
    };
    let verified = requests.par_iter().enumerate().map(verified).collect();
    let memberships = Memberships::of(requests.iter().map(|(request, _)| &request.requestor));
    let widened = if unchanged { Vec::new() } else { widened(&before_grants, &after_grants, &memberships) };
    let reviews = if unchanged { Vec::new() } else { lost_reviews(&before_grants, &after_grants, Some(evidence)) };
    Verification { requests: verified, widened, reviews, denials: denials(&authorizer, evidence) }
}

fn mends(authorizer: &Authorizer<'_>, request: &OwnedRequest, mode: Mode) -> Vec<Mend> {
    missing_checks(authorizer, &request.as_request(), mode)
        .iter()
        .map(|check| Mend::of(&Attributes { verb: &check.verb.to_string(), ..check.object }))
        .collect()
}

fn denials<'v>(authorizer: &Authorizer<'_>, evidence: &'v Evidence) -> Vec<Denial<'v>> {
    let refused = evidence.iter().filter_map(|(observation, tally)| {
        let check = observation.refused.as_deref()?;
        let parsed = RefusedCheck::parse(check);
        let requestor = &observation.request.requestor;
        let allowed_now = parsed.as_ref().is_some_and(|check| {
            authorizer.authorize(&requestor.name, &requestor.groups, &check.attributes()).is_some()
        });
        let mend = parsed.map(|check| Mend::of(&check.attributes()));
        Some(Denial { request: &observation.request, check, count: tally.count(), mend, allowed_now })
    });
    refused.collect()
}

impl VerifiedRequest<'_> {
    /// Whether a constrained mode serves it.
    pub fn is_kept(&self) -> bool {
        self.planned.after.is_some_and(|mode| mode != Mode::Legacy)
    }

    /// Whether only legacy serves it.
    pub fn is_legacy_only(&self) -> bool {
        self.planned.after == Some(Mode::Legacy)
    }

    /// Whether nothing serves it.
    pub fn is_lost(&self) -> bool {
        self.planned.after.is_none()
    }
}
