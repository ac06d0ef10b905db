//! What a person should know of a plan.

use std::collections::{BTreeMap, BTreeSet};

use super::literal::{LITERAL_USERS, LiteralUser, Who};
use super::plan::{Kept, Outcome, PlannedGrant, PlannedRequest, Sources};
use super::recognise::recognised;
use crate::authority::{IdentityKind, Mode, SYSTEM_NODES};
use crate::evidence::Impersonator;
use crate::grants::{Grants, Identity, Reason, Through};
use crate::inventory::{ClusterFacts, ObjectKey};

/// How many items of a list are spelled out.
const MAX_LISTED: usize = 5;

/// All warnings, in a fixed order.
pub(super) fn of_plan(
    grants: &Grants<'_>,
    sources: &Sources<'_>,
    planned: &[PlannedGrant],
    requests: &[PlannedRequest<'_>],
    used: &[bool],
) -> Vec<String> {
    let mut warnings: Vec<String> =
        grants.inventory().cluster().map(ClusterFacts::describe_legacy_use).into_iter().collect();
    warnings.extend(unused_declarations(sources, used));
    warnings.extend(kept_parts(grants, planned));
    warnings.extend(narrowed(grants, planned, requests));
    warnings.extend(nodes(grants, planned));
    warnings.extend(mixed_clients(requests));
    warnings.extend(unnamed_namespaces(grants, planned));
    warnings.extend(reviews(sources));
    warnings.extend(glimpses(sources, planned));
    warnings.extend(literal_verb(grants, planned));
    warnings
}

/// A service account without a namespace in a ClusterRoleBinding is nobody, until something fills the namespace in.
fn unnamed_namespaces(grants: &Grants<'_>, planned: &[PlannedGrant]) -> Option<String> {
    let nobody =
        planned.iter().filter(|planned| planned.outcome == Outcome::Dropped(Some(Reason::SubjectNeverMatches)));
    let bindings: BTreeSet<String> = nobody
        .filter_map(|planned| match planned.holder.through {
            Through::Binding(binding) => Some(grants.inventory().binding(binding).meta.reference()),
            _ => None,
        })
        .collect();
    let bindings: Vec<String> = bindings.into_iter().collect();
    (!bindings.is_empty()).then(|| {
        format!(
            "the subjects of {} match nobody as they are written, so their grants are dropped; if kustomize or a template \
             fills a namespace in, render the manifests first",
            shortened(&bindings)
        )
    })
}

/// Who was seen to ask for the literal verb, or that nobody could be.
fn reviews(sources: &Sources<'_>) -> Option<String> {
    let askers: BTreeSet<&str> = sources.evidence?.reviews().map(|(review, _)| review.asker.as_str()).collect();
    if askers.is_empty() {
        let unseen = "the logs show nobody who asks for the verb `impersonate` in a SubjectAccessReview; where these are \
                      logged at level Metadata, it could not be seen";
        return Some(unseen.to_owned());
    }
    let askers: Vec<String> = askers.into_iter().map(str::to_owned).collect();
    Some(format!(
        "{} asked for the verb `impersonate` in SubjectAccessReviews: the legacy grants that answer them stay; who else asks, \
         where these are logged at level Metadata, could not be seen",
        shortened(&askers)
    ))
}

/// Who was seen as whom in a log that does not say enough to answer the requests again.
fn glimpses(sources: &Sources<'_>, planned: &[PlannedGrant]) -> Option<String> {
    let glimpses = sources.evidence?.glimpses();
    let who = |requestor: &str| if requestor.is_empty() { "someone" } else { requestor }.to_owned();
    let pairs: Vec<String> =
        glimpses.map(|(glimpse, _)| format!("{} as {}", who(&glimpse.requestor), glimpse.user)).collect();
    let stay = planned.iter().any(|planned| planned.outcome == Outcome::Kept(Kept::OnlyGlimpsed));
    let what = if stay { "; the legacy grants that it may be stay" } else { "" };
    (!pairs.is_empty()).then(|| {
        format!(
            "Google Cloud's log shows {}, but not by which grants and in which groups{what}: declare what they do \
             (--actions), and look whether it is all of what the log shows, since that cannot be proved",
            shortened(&pairs)
        )
    })
}

/// Who may need the verb for other reasons than to impersonate: RBAC does not show it, names do (see
/// [`super::literal`]).
fn literal_verb(grants: &Grants<'_>, planned: &[PlannedGrant]) -> Vec<String> {
    let is_lost = |planned: &&PlannedGrant| !matches!(planned.outcome, Outcome::Kept(_));
    let losers: BTreeSet<Impersonator> = planned
        .iter()
        .filter(is_lost)
        .filter_map(|planned| grants.subject(&planned.holder).map(Impersonator::of_subject))
        .collect();
    let words = |(program, own): (&LiteralUser, BTreeSet<Impersonator>)| {
        let at_stake: Vec<String> = losers
            .iter()
            .filter(|who| program.who != Who::Itself || own.contains(who))
            .map(Impersonator::describe)
            .collect();
        let at_stake = (!at_stake.is_empty()).then(|| shortened(&at_stake))?;
        Some(format!(
            "{} seems to be there ({}). {} No grant and no log of impersonated requests shows that; check before the \
             cut-over whether it does so for {at_stake}, and see docs/literal-verb.md ({})",
            program.name,
            shortened(&own.iter().map(Impersonator::describe).collect::<Vec<_>>()),
            program.what,
            program.source,
        ))
    };
    recognised(LITERAL_USERS, grants, planned, |_| true).into_iter().filter_map(words).collect()
}

/// The first few of a list.
fn shortened(items: &[String]) -> String {
    let shown = items.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(MAX_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Objects of an earlier run that this one does not make again.
pub(super) fn stale<'k>(keys: impl Iterator<Item = &'k ObjectKey>) -> Vec<String> {
    let words = |key: &ObjectKey| {
        let namespace = key.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!(
            "{} {namespace}{} of an earlier run is not made again: nothing that is planned needs it, and it can be deleted",
            key.kind, key.name
        )
    };
    keys.map(words).collect()
}

fn unused_declarations(sources: &Sources<'_>, used: &[bool]) -> Vec<String> {
    let unused = sources.declared.iter().zip(used).filter(|(_, used)| !**used);
    let words = unused.map(|(action, _)| {
        let who = action.impersonator.as_ref().map_or_else(|| "any impersonator".to_owned(), Impersonator::describe);
        let mode = action.mode.map(|mode| format!(" in mode {mode}")).unwrap_or_default();
        format!(
            "the declared actions of {who}{mode} (line {}) apply to no legacy grant of the input",
            action.place.line
        )
    });
    words.collect()
}

/// Legacy needs all its checks: a header that only legacy takes makes the whole request legacy.
fn kept_parts(grants: &Grants<'_>, planned: &[PlannedGrant]) -> Vec<String> {
    let mut parts: BTreeMap<Impersonator, BTreeSet<String>> = BTreeMap::new();
    let mut replaced: BTreeSet<Impersonator> = BTreeSet::new();
    for planned in planned {
        let Some(who) = grants.subject(&planned.holder).map(Impersonator::of_subject) else { continue };
        match planned.outcome {
            Outcome::Kept(Kept::NoConstrainedForm) => {
                let Identity { resource, extra_key, .. } = &planned.grant.identity;
                let part = extra_key.as_ref().map_or_else(|| resource.to_string(), |key| format!("{resource}/{key}"));
                parts.entry(who).or_default().insert(part);
            }
            Outcome::Replaced
                if matches!(planned.grant.identity.kind, Some(IdentityKind::Users | IdentityKind::Groups)) =>
            {
                replaced.insert(who);
            }
            _ => {}
        }
    }
    parts
        .into_iter()
        .filter(|(who, _)| replaced.contains(who))
        .map(|(who, parts)| {
            format!(
                "{} keeps legacy {}: requests that send these need its legacy grants of users and groups too, until it \
                 no longer sends them",
                who.describe(),
                parts.into_iter().collect::<Vec<_>>().join(", "),
            )
        })
        .collect()
}

/// What is kept for requests that were seen names whom they were about, and nobody else.
fn narrowed(grants: &Grants<'_>, planned: &[PlannedGrant], requests: &[PlannedRequest<'_>]) -> Option<String> {
    let needs_legacy = |request: &PlannedRequest<'_>| request.after == Some(Mode::Legacy) && request.before.is_some();
    if !requests.iter().any(needs_legacy) {
        return None;
    }
    let who: BTreeSet<String> = planned
        .iter()
        .filter(|planned| planned.is_narrowed)
        .filter_map(|planned| Some(Impersonator::of_subject(grants.subject(&planned.holder)?).describe()))
        .collect();
    let who: Vec<String> = who.into_iter().collect();
    (!who.is_empty()).then(|| {
        format!(
            "what stays legacy for {} names only whom the logs show: others with such requests are refused after the \
             cut-over",
            shortened(&who)
        )
    })
}

/// A node reached by a constrained mode is in a group that legacy does not add.
fn nodes(grants: &Grants<'_>, planned: &[PlannedGrant]) -> Vec<String> {
    let is_node = |planned: &&PlannedGrant| {
        planned.modes.iter().any(|mode| matches!(mode, Mode::AssociatedNode | Mode::ArbitraryNode))
    };
    let who: BTreeSet<String> = planned
        .iter()
        .filter(is_node)
        .filter_map(|planned| Some(Impersonator::of_subject(grants.subject(&planned.holder)?).describe()))
        .collect();
    let words = |who: String| {
        format!(
            "{who} becomes nodes: in a constrained mode these are in the group {SYSTEM_NODES}, which legacy does not add, \
             so they may do what the Node authorizer allows nodes, and the admission plugin NodeRestriction limits them"
        )
    };
    who.into_iter().map(words).collect()
}

/// The server tries the mode first that served a requestor last, so these stay on legacy for all their requests.
fn mixed_clients(requests: &[PlannedRequest<'_>]) -> Vec<String> {
    let mut modes: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for planned in requests {
        let of_requestor = modes.entry(planned.request.requestor.name.as_str()).or_default();
        match planned.after {
            Some(Mode::Legacy) => of_requestor.0 = true,
            Some(_) => of_requestor.1 = true,
            None => {}
        }
    }
    let mixed = modes.into_iter().filter(|(_, modes)| *modes == (true, true));
    let words = mixed.map(|(requestor, _)| {
        format!(
            "{requestor} makes requests with and without a constrained form: once legacy has served one of them, the API \
             server tries legacy first for all, so its audit events may go on to show legacy"
        )
    });
    words.collect()
}
