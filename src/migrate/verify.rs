//! The same proof for manifests that someone else has written or changed.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::missing::{Advice, MissingRule, advise, smallest_role};
use super::observed::{HeaderHints, Lens, Observations, Reading};
use super::plan::{Kept, PlannedRequest, Unserved};
use super::proof::{lost_reviews, replay};
use super::widen::{Widening, widened};
use crate::authority::{Attributes, Authorizer, Feature, Memberships, Mode, User, constrained_modes, missing_checks};
use crate::evidence::{Evidence, Impersonator, ImplicitGroups, OwnedRequest, RefusedCheck};
use crate::grants::Grants;
use crate::inventory::Inventory;

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

/// What one requestor lacks.
#[derive(Debug)]
pub struct RequestorGap<'v> {
    /// The requestor.
    pub user: &'v str,
    /// Its requests that no constrained mode serves, by index.
    pub requests: Vec<usize>,
    /// The smallest role with which constrained modes serve those of them that have a constrained form.
    pub role: Vec<MissingRule>,
}

impl Verification<'_> {
    /// What each requestor lacks, in the order of the requestors. Accepted requests count as served.
    pub fn gaps(&self) -> Vec<RequestorGap<'_>> {
        let mut by_user: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let open = self.requests.iter().enumerate();
        for (index, verified) in open.filter(|(_, verified)| !verified.is_served()) {
            by_user.entry(&verified.planned.request.requestor.name).or_default().push(index);
        }
        let gaps = by_user.into_iter().map(|(user, requests)| {
            let role = smallest_role(requests.iter().flat_map(|index| &self.requests[*index].missing));
            RequestorGap { user, requests, role }
        });
        gaps.collect()
    }

    /// Marks the requests as accepted of which `accepts` says so, if only legacy serves them.
    pub fn accept(&mut self, accepts: impl Fn(&PlannedRequest<'_>) -> bool) {
        for verified in &mut self.requests {
            verified.is_accepted = verified.is_legacy_only() && accepts(&verified.planned);
        }
    }
}

/// One distinct request, and the rules that it lacks.
#[derive(Debug)]
pub struct VerifiedRequest<'v> {
    /// What becomes of it.
    pub planned: PlannedRequest<'v>,
    /// The smallest rules with which a constrained mode would serve it; none if one does, or none can.
    pub missing: Vec<MissingRule>,
    /// Whether an exception says that it stays legacy.
    pub is_accepted: bool,
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
    /// What would help.
    pub advice: Advice,
    /// Whether the manifests allow it.
    pub allowed_now: bool,
}

/// How observed requests are verified.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions<'o> {
    /// Whether the server has constrained modes.
    pub feature: Feature,
    /// Whether clients send the groups that the server adds.
    pub implicit_groups: ImplicitGroups,
    /// The usernames of requestors that are left out.
    pub ignored: &'o [String],
    /// The only subjects whose requests count; empty for all.
    pub only: &'o [Impersonator],
}

/// Replays what was observed on two states, and compares their rules. Every way to read a request that `before` allows
/// must be allowed by `after`; of these, the one that is served worst is reported.
pub fn verify<'v>(
    before: &Inventory,
    after: &Inventory,
    evidence: &'v Evidence,
    options: &VerifyOptions<'_>,
) -> Verification<'v> {
    let VerifyOptions { feature, implicit_groups, ignored, only } = *options;
    let wants = |user: &User| {
        !ignored.contains(&user.name) && (only.is_empty() || only.iter().any(|subject| subject.includes(user)))
    };
    let is_unchanged = std::ptr::eq(before, after);
    let before_grants = Grants::new(before);
    let after_grants = Grants::new(after);
    let input = Authorizer::new(before, before_grants.rules(), before_grants.links());
    let authorizer = Authorizer::new(after, after_grants.rules(), after_grants.links());
    let hints = HeaderHints::new(implicit_groups, &[]);
    let lens = Lens { hints: &hints, allowed: &input, feature, namespaces: None, wants: &wants };
    let observed = Observations::new(Some(evidence), &lens);
    let answers = replay(&after_grants, &observed.readings, feature);
    let befores = (!is_unchanged).then(|| replay(&before_grants, &observed.readings, feature));
    let befores = befores.as_ref().unwrap_or(&answers);
    let all: Vec<(usize, &[Reading<'v>])> = observed.by_request().collect();
    let verified = |(first, readings): &(usize, &[Reading<'v>])| {
        let indices = || *first..first + readings.len();
        let worst = indices().min_by_key(|index| rank(answers[*index].0)).unwrap_or(*first);
        let request = &observed.readings[worst].request;
        let answer = answers[worst].0;
        let was = indices().map(|index| befores[index].0).min_by_key(|mode| rank(*mode)).flatten();
        let form = constrained_modes(&request.requestor, &request.headers).next();
        let has_other_form = || {
            let others = readings.iter().map(|reading| &reading.request);
            others.into_iter().any(|other| constrained_modes(&other.requestor, &other.headers).next().is_some())
        };
        let reason = match (was, answer) {
            (_, Some(mode)) if mode != Mode::Legacy => None,
            (None, None) => Some(Unserved::NotGrantedByInput),
            _ if form.is_none() && has_other_form() => Some(Unserved::Kept(Kept::AmbiguousHeaders)),
            _ if form.is_none() => Some(Unserved::Kept(Kept::NoConstrainedForm)),
            _ => Some(Unserved::NoConstrainedGrant),
        };
        let missing = match (reason, form) {
            (Some(_), Some(mode)) => missing_rules(&authorizer, request, mode),
            _ => Vec::new(),
        };
        let seen = &observed.requests[readings[0].of];
        let planned =
            PlannedRequest { request: seen.request, count: seen.tally.count(), before: was, after: answer, reason };
        VerifiedRequest { planned, missing, is_accepted: false }
    };
    let verified = all.par_iter().map(verified).collect();
    let memberships = Memberships::of(observed.requests.iter().map(|observed| &observed.request.requestor));
    let widened = if is_unchanged { Vec::new() } else { widened(&before_grants, &after_grants, &memberships) };
    let reviews = if is_unchanged { Vec::new() } else { lost_reviews(&before_grants, &after_grants, Some(evidence)) };
    Verification { requests: verified, widened, reviews, denials: denials(&authorizer, evidence, &wants) }
}

/// How well a mode serves a request: not at all, by legacy, or by a constrained mode.
pub(super) fn rank(mode: Option<Mode>) -> u8 {
    mode.map_or(0, |mode| if mode == Mode::Legacy { 1 } else { 2 })
}

fn missing_rules(authorizer: &Authorizer<'_>, request: &OwnedRequest, mode: Mode) -> Vec<MissingRule> {
    missing_checks(authorizer, &request.as_request(), mode)
        .iter()
        .map(|check| MissingRule::of(&Attributes { verb: &check.verb.to_string(), ..check.object }))
        .collect()
}

fn denials<'v>(authorizer: &Authorizer<'_>, evidence: &'v Evidence, wants: &dyn Fn(&User) -> bool) -> Vec<Denial<'v>> {
    let refused = evidence.iter().filter_map(|(observation, tally)| {
        let check = observation.refused.as_deref()?;
        let parsed = RefusedCheck::parse(check);
        let requestor = Some(&observation.request.requestor).filter(|user| wants(user))?;
        let is_granted = parsed.as_ref().is_some_and(|check| {
            authorizer.authorize(&requestor.name, &requestor.groups, &check.attributes()).is_some()
        });
        let advice = parsed.map_or(Advice::Unknown, |check| advise(&check, &observation.request));
        // The server refuses some identities whatever the rules say.
        let allowed_now = is_granted && !matches!(advice, Advice::Impossible(_));
        Some(Denial { request: &observation.request, check, count: tally.count(), advice, allowed_now })
    });
    refused.collect()
}

impl VerifiedRequest<'_> {
    /// Whether a constrained mode serves it.
    pub fn is_constrained(&self) -> bool {
        self.planned.after.is_some_and(|mode| mode != Mode::Legacy)
    }

    /// Whether a constrained mode serves it, or an exception says that it stays legacy.
    pub fn is_served(&self) -> bool {
        self.is_constrained() || self.is_accepted
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
