//! What a person should know of a plan.

use std::collections::{BTreeMap, BTreeSet};

use super::literal::{LITERAL_USERS, LiteralUser, Who};
use super::plan::{
    ActionScope, Identities, Kept, MAX_NAMESPACES, Options, Outcome, Plan, PlannedGrant, PlannedImpersonator,
    PlannedRequest, Sources, Unserved,
};
use super::profile::suggestions;
use super::recognise::recognised;
use super::span::{FEW_DAYS, FEW_REQUESTS};
use crate::authority::{IdentityKind, Mode, SYSTEM_NODES, is_of_accounts};
use crate::evidence::Impersonator;
use crate::grants::{Grants, Identity, Reason, Through};
use crate::inventory::{ClusterFacts, ObjectKey};

/// How many items of a list are spelled out.
const MAX_LISTED: usize = 5;

/// All warnings, in a fixed order.
pub(super) fn of_plan(
    grants: &Grants<'_>,
    sources: &Sources<'_>,
    options: &Options<'_>,
    plan: &Plan<'_>,
    used: &[bool],
    unproven: &BTreeMap<Impersonator, String>,
    unclear: &BTreeSet<&str>,
) -> Vec<String> {
    let planned = plan.grants.as_slice();
    let mut warnings = unproven_subjects(unproven);
    warnings.extend(grants.inventory().cluster().map(ClusterFacts::describe_legacy_use));
    warnings.extend(evidence_quality(sources, plan));
    warnings.extend(ambiguous_headers(grants, plan));
    warnings.extend(unused_declarations(sources, used));
    warnings.extend(kept_parts(grants, planned));
    warnings.extend(observed_only(grants, options, planned));
    warnings.extend(listed_actions(plan));
    warnings.extend(namespaces(grants, options, plan));
    warnings.extend(nodes(grants, planned));
    warnings.extend(mixed_clients(&plan.requests));
    warnings.extend(unnamed_namespaces(grants, planned));
    warnings.extend(reviews(sources));
    warnings.extend(glimpses(sources, planned));
    warnings.extend(literal_verb(grants, planned));
    warnings.extend(suggestions(grants, planned, unclear));
    warnings
}

/// The subjects whose migration was given up.
fn unproven_subjects(unproven: &BTreeMap<Impersonator, String>) -> Vec<String> {
    let words = |(who, why): (&Impersonator, &String)| {
        format!("{} keeps its legacy grants: the proof of its migration fails ({why})", who.describe())
    };
    unproven.iter().map(words).collect()
}

/// Whether the logs cover enough time and enough requests to cut over.
fn evidence_quality(sources: &Sources<'_>, plan: &Plan<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if sources.evidence.is_none_or(|_| plan.evidence.events == 0) {
        return warnings;
    }
    if plan.evidence.is_short() {
        let covered = plan.evidence.days().map_or_else(
            || "the logs do not say when the requests were made".to_owned(),
            |days| format!("the logs cover {}", count(days, "day")),
        );
        warnings.push(format!(
            "{covered}; what impersonators do less often than that is refused after the cut-over: use logs of at least \
             {FEW_DAYS} days"
        ));
    }
    let few = plan.impersonators.iter().filter(|planned| (1..FEW_REQUESTS).contains(&planned.evidence.events));
    let few: Vec<String> =
        few.map(|planned| format!("{} ({})", planned.who.describe(), planned.evidence.events)).collect();
    if !few.is_empty() {
        warnings.push(format!("fewer than {FEW_REQUESTS} requests were seen of {}", shortened(&few)));
    }
    warnings
}

/// Requests that stay legacy since the log cannot tell which headers they carry.
fn ambiguous_headers(grants: &Grants<'_>, plan: &Plan<'_>) -> Vec<String> {
    let mut of_subjects: BTreeMap<Impersonator, bool> = BTreeMap::new();
    for planned in plan.grants.iter().filter(|planned| planned.outcome.kept() == Some(Kept::AmbiguousHeaders)) {
        let Some(who) = grants.subject(&planned.holder).map(Impersonator::of_subject) else { continue };
        let rule = &grants.inventory().role(planned.from).rules[planned.rule];
        let names_them = planned.grant.identity.kind == Some(IdentityKind::Groups)
            && rule.resource_names.iter().any(|name| is_of_accounts(name.as_str()));
        *of_subjects.entry(who).or_default() |= names_them;
    }
    let words = |(who, names_them): (Impersonator, bool)| {
        let hint = if names_them { "; its grant names such groups, a sign that it does" } else { "" };
        format!(
            "{} impersonates service accounts, and the log cannot tell whether it sends their groups itself{hint}. No \
             constrained mode takes them, so legacy stays: if it never sends them, pass --implicit-groups not-sent",
            who.describe()
        )
    };
    of_subjects.into_iter().map(words).collect()
}

/// What tomorrow's clients are refused where identities are cut to those observed.
fn observed_only(grants: &Grants<'_>, options: &Options<'_>, planned: &[PlannedGrant]) -> Vec<String> {
    if options.identities == Identities::Granted {
        return Vec::new();
    }
    let mut kinds: BTreeMap<Impersonator, BTreeSet<&str>> = BTreeMap::new();
    for planned in planned {
        let is_cut = matches!(planned.outcome, Outcome::Replaced | Outcome::Narrowed(_));
        let Some(who) = grants.subject(&planned.holder).map(Impersonator::of_subject).filter(|_| is_cut) else {
            continue;
        };
        // Values of extras are not cut.
        if let Some(kind) = planned.grant.identity.kind.filter(|kind| *kind != IdentityKind::UserExtras) {
            kinds.entry(who).or_default().insert(kind.resource());
        }
    }
    let words = |(who, kinds): (Impersonator, BTreeSet<&str>)| {
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "{} may only be the identities seen in the logs: requests as any other of these are refused after the \
             cut-over: {kinds}",
            who.describe()
        )
    };
    kinds.into_iter().map(words).collect()
}

/// What actions mean that the evidence does not show.
fn listed_actions(plan: &Plan<'_>) -> Option<String> {
    let is_any = plan.impersonators.iter().any(|planned| !planned.modes.is_empty());
    is_any.then(|| {
        "impersonators may do only the actions listed here: any other that has no legacy grant is refused after the cut-over"
            .to_owned()
    })
}

/// What new namespaces mean, and namespaces that do not exist.
fn namespaces(grants: &Grants<'_>, options: &Options<'_>, plan: &Plan<'_>) -> Vec<String> {
    let is_namespaced = |index: &usize| plan.added.get(*index).is_some_and(|object| object.meta().namespace.is_some());
    let describe = |planned: &PlannedImpersonator| planned.who.describe();
    let mut warnings = Vec::new();
    let local = plan.impersonators.iter().filter(|planned| planned.modes.values().flatten().any(is_namespaced));
    let local: Vec<String> = local.map(describe).collect();
    if !local.is_empty() {
        warnings.push(format!(
            "{} may act only in the namespaces listed: requests in a new namespace are refused after the cut-over; \
             --action-scope cluster allows all",
            shortened(&local)
        ));
        if grants.inventory().cluster().is_none_or(|cluster| cluster.namespaces.is_none()) {
            warnings.push(
                "whether the namespaces of the new Roles still exist is not known: kubectl apply refuses Roles in \
                 namespaces that do not"
                    .to_owned(),
            );
        }
    }
    if options.action_scope == ActionScope::Auto {
        let spread = plan.impersonators.iter().filter(|planned| planned.is_spread && !planned.modes.is_empty());
        let spread: Vec<String> = spread.map(describe).collect();
        if !spread.is_empty() {
            warnings.push(format!(
                "{} was seen in more than {MAX_NAMESPACES} namespaces, so its actions are granted in all, new ones \
                 included; --action-scope namespace lists them",
                shortened(&spread)
            ));
        }
    }
    let gone = plan.requests.iter().filter(|request| request.reason == Some(Unserved::NamespaceGone));
    let gone: BTreeSet<String> = gone.map(|planned| planned.request.namespace.clone()).collect();
    let gone: Vec<String> = gone.into_iter().collect();
    if !gone.is_empty() {
        warnings.push(format!("requests in namespaces that do not exist any more are left out: {}", shortened(&gone)));
    }
    warnings
}

/// `1 day`, `2 days`.
fn count(number: i64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A service account without a namespace in a ClusterRoleBinding never matches, until something fills in the namespace.
fn unnamed_namespaces(grants: &Grants<'_>, planned: &[PlannedGrant]) -> Option<String> {
    let unmatched =
        planned.iter().filter(|planned| planned.outcome == Outcome::Dropped(Some(Reason::SubjectNeverMatches)));
    let bindings: BTreeSet<String> = unmatched
        .filter_map(|planned| match planned.holder.through {
            Through::Binding(binding) => Some(grants.inventory().binding(binding).meta.reference()),
            _ => None,
        })
        .collect();
    let bindings: Vec<String> = bindings.into_iter().collect();
    (!bindings.is_empty()).then(|| {
        format!(
            "the subjects of {} never match: a ServiceAccount in a ClusterRoleBinding needs a namespace. Their grants are \
             dropped; if kustomize or a template fills in the namespace, render the manifests first",
            shortened(&bindings)
        )
    })
}

/// The servers that ask for the literal verb in reviews.
fn reviews(sources: &Sources<'_>) -> Option<String> {
    let askers: BTreeSet<&str> = sources.evidence?.reviews().map(|(review, _)| review.asker.as_str()).collect();
    if askers.is_empty() {
        let unseen = "no SubjectAccessReview for `impersonate` in the logs (reviews logged at Metadata level cannot be \
                      recognized)";
        return Some(unseen.to_owned());
    }
    let askers: Vec<String> = askers.into_iter().map(str::to_owned).collect();
    Some(format!(
        "{} asked for the verb `impersonate` in SubjectAccessReviews: the legacy grants that answer them stay (reviews \
         logged at Metadata level cannot be recognized)",
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
    let what = if stay { "; the legacy grants that may be in use stay" } else { "" };
    (!pairs.is_empty()).then(|| {
        format!(
            "Google Cloud's log shows {}, but neither groups nor extras{what}: declare the actions (--actions) and compare \
             them with the log, since they cannot be proved",
            shortened(&pairs)
        )
    })
}

/// Who may need the verb for other reasons than to impersonate: RBAC does not show it, names do (see
/// [`super::literal`]).
fn literal_verb(grants: &Grants<'_>, planned: &[PlannedGrant]) -> Vec<String> {
    let is_lost = |planned: &&PlannedGrant| planned.outcome.kept().is_none();
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
pub(super) fn shortened(items: &[String]) -> String {
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
        format!("{} {namespace}{} of an earlier run is not needed any more and can be deleted", key.kind, key.name)
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
            Outcome::Kept(Kept::NoConstrainedForm) | Outcome::Narrowed(Kept::NoConstrainedForm) => {
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
                "{} keeps legacy {}: requests that send these also need its legacy grants of users and groups",
                who.describe(),
                parts.into_iter().collect::<Vec<_>>().join(", "),
            )
        })
        .collect()
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
            "{who} impersonates nodes: a constrained mode adds the group {SYSTEM_NODES}, so the Node authorizer allows \
             more, and the admission plugin NodeRestriction refuses some writes"
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
            "{requestor} makes requests with and without a constrained form: once legacy has served one, the API server \
             tries legacy first for all, so its audit events may keep showing legacy"
        )
    });
    words.collect()
}
