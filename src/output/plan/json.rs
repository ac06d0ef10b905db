//! The plan of a migration as JSON (`deputize.plan/v2`).

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::authority::{KubeVersion, Mode, Verb, verbs_but_impersonation};
use crate::evidence::Impersonator;
use crate::grants::{Grants, Reason};
use crate::inventory::{Object, PolicyRule};
use crate::migrate::{EvidenceSpan, Kept, Outcome, Plan, PlannedGrant, PlannedRequest, Unserved};
use crate::output::evidence::{RequestLine, request_line};
use crate::output::json::{
    IdentityShape, Location, Reference, RuleReference, Subject, binding_reference, identity_shape, reference,
    rule_reference, some_texts, subject, texts, verb_location, write_document,
};

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(in crate::output) struct PlanShape<'a> {
    schema: &'static str,
    kube_version: String,
    evidence: EvidenceShape<'a>,
    impersonators: Vec<ImpersonatorShape<'a>>,
    grants: Vec<PlannedShape<'a>>,
    requests: Vec<RequestShape<'a>>,
    warnings: &'a [String],
}

/// How good evidence is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct EvidenceShape<'a> {
    events: u64,
    distinct: usize,
    first: Option<&'a str>,
    last: Option<&'a str>,
    days: Option<i64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ImpersonatorShape<'a> {
    subject: Subject<'a>,
    evidence: EvidenceShape<'a>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct PlannedShape<'a> {
    subject: Option<Subject<'a>>,
    role: RuleReference<'a>,
    binding: Option<Reference<'a>>,
    identity: IdentityShape<'a>,
    location: Option<Location<'a>>,
    outcome: &'static str,
    reason: Option<&'static str>,
    /// What legacy allows before the cut-over.
    before: IdentityShape<'a>,
    /// What legacy allows after it; null if nothing.
    after: Option<IdentityShape<'a>>,
    actions: Vec<ActionsShape<'a>>,
    names_never_seen: Vec<&'a str>,
    modes: Vec<&'static str>,
    replaced_by: Vec<Reference<'a>>,
    /// For a grant by the verb `*`: what the rule would have to list to grant everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of_wildcard: Option<Vec<&'static str>>,
}

/// What an impersonator may do in a mode and a namespace.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ActionsShape<'a> {
    mode: &'static str,
    /// Null for all namespaces.
    namespace: Option<&'a str>,
    rules: Vec<ActionRuleShape<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct ActionRuleShape<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    api_groups: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<&'a str>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    non_resource_urls: Vec<&'a str>,
    /// The plain verbs.
    verbs: Vec<&'a str>,
}

/// An observed request and what becomes of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::output) struct RequestShape<'a> {
    request: RequestLine<'a>,
    count: u64,
    before: &'static str,
    after: &'static str,
    reason: Option<&'static str>,
}

pub(in crate::output) fn request_shape<'a>(planned: &PlannedRequest<'a>) -> RequestShape<'a> {
    let mode = |mode: Option<Mode>| mode.map_or("denied", Mode::as_str);
    RequestShape {
        request: request_line(planned.request),
        count: planned.count,
        before: mode(planned.before),
        after: mode(planned.after),
        reason: planned.reason.map(Unserved::as_str),
    }
}

fn evidence_shape(span: &EvidenceSpan) -> EvidenceShape<'_> {
    fn time(text: &str) -> Option<&str> {
        (!text.is_empty()).then_some(text)
    }
    EvidenceShape {
        events: span.events,
        distinct: span.distinct,
        first: time(&span.first),
        last: time(&span.last),
        days: span.days(),
    }
}

fn impersonator_shape(who: &Impersonator) -> Subject<'_> {
    Subject { kind: who.kind.as_str(), namespace: who.namespace.as_deref(), name: &who.name }
}

/// Writes the plan of a migration.
///
/// # Errors
/// When `out` does.
pub fn write_json(
    out: &mut dyn io::Write,
    grants: &Grants<'_>,
    plan: &Plan<'_>,
    version: KubeVersion,
) -> io::Result<()> {
    let of_impersonator: BTreeMap<&Impersonator, &BTreeMap<Mode, Vec<usize>>> =
        plan.impersonators.iter().map(|planned| (&planned.who, &planned.modes)).collect();
    let actions = |planned: &PlannedGrant| {
        let who = grants.subject(&planned.holder).map(Impersonator::of_subject);
        let modes = who.as_ref().and_then(|who| of_impersonator.get(who));
        let of_mode = |mode: &Mode| {
            let objects = modes.and_then(|modes| modes.get(mode)).map(Vec::as_slice).unwrap_or_default();
            objects.iter().filter_map(|index| actions_shape(*mode, plan.added.get(*index)?)).collect::<Vec<_>>()
        };
        planned.modes.iter().flat_map(of_mode).collect::<Vec<_>>()
    };
    let planned = plan.grants.iter().map(|planned| planned_shape(grants, plan, planned, actions(planned)));
    write_document(
        out,
        &PlanShape {
            schema: "deputize.plan/v2",
            kube_version: version.to_string(),
            evidence: evidence_shape(&plan.evidence),
            impersonators: plan
                .impersonators
                .iter()
                .map(|planned| ImpersonatorShape {
                    subject: impersonator_shape(&planned.who),
                    evidence: evidence_shape(&planned.evidence),
                })
                .collect(),
            grants: planned.collect(),
            requests: plan.requests.iter().map(request_shape).collect(),
            warnings: &plan.warnings,
        },
    )
}

fn planned_shape<'a>(
    grants: &'a Grants<'_>,
    plan: &'a Plan<'_>,
    planned: &'a PlannedGrant,
    actions: Vec<ActionsShape<'a>>,
) -> PlannedShape<'a> {
    let role = grants.inventory().role(planned.from);
    let rule = &role.rules[planned.rule];
    let identity = || identity_shape(grants, rule, &planned.grant.identity, &planned.holder);
    let (outcome, reason) = match planned.outcome {
        Outcome::Replaced => ("replaced", None),
        Outcome::Dropped(dead) => ("dropped", dead.map(Reason::as_str)),
        Outcome::Kept(kept) => ("kept", Some(kept.as_str())),
        Outcome::Narrowed(kept) => ("narrowed", Some(kept.as_str())),
    };
    let after = planned.outcome.kept().map(|_| {
        let narrowed = planned.narrowed_to.as_ref();
        let names = narrowed.map(|names| names.iter().map(|name| name.as_str()).collect());
        IdentityShape { names: names.or_else(|| some_texts(&rule.resource_names)), ..identity() }
    });
    PlannedShape {
        subject: grants.subject(&planned.holder).map(subject),
        role: rule_reference(grants, planned.from, planned.rule, &planned.holder),
        binding: binding_reference(grants, &planned.holder),
        identity: identity(),
        location: verb_location(grants, planned.from, &rule.verbs[planned.grant.verb]),
        outcome,
        reason,
        before: identity(),
        after,
        actions,
        names_never_seen: planned.never_seen.iter().map(|name| name.as_str()).collect(),
        modes: planned.modes.iter().map(|mode| mode.as_str()).collect(),
        replaced_by: planned.replaced_by.iter().map(|index| reference(plan.added[*index].meta())).collect(),
        instead_of_wildcard: (planned.outcome == Outcome::Kept(Kept::WildcardVerb))
            .then(|| verbs_but_impersonation(rule)),
    }
}

/// The actions that an added role grants in a mode; none for a binding, or a role without any.
fn actions_shape(mode: Mode, object: &Object) -> Option<ActionsShape<'_>> {
    let Object::Role(role) = object else { return None };
    let rules: Vec<ActionRuleShape<'_>> = role.rules.iter().filter_map(|rule| action_rule_shape(mode, rule)).collect();
    let namespace = role.meta.kind.is_namespaced().then(|| role.meta.namespace.as_deref().unwrap_or_default());
    (!rules.is_empty()).then_some(ActionsShape { mode: mode.as_str(), namespace, rules })
}

fn action_rule_shape(mode: Mode, rule: &PolicyRule) -> Option<ActionRuleShape<'_>> {
    let verbs = rule.verbs.iter().filter_map(|verb| match Verb::parse(verb.as_str()) {
        Verb::Action(own, action) if own == mode => Some(action),
        _ => None,
    });
    let verbs: Vec<&str> = verbs.collect();
    (!verbs.is_empty()).then(|| ActionRuleShape {
        api_groups: texts(&rule.api_groups),
        resources: texts(&rule.resources),
        non_resource_urls: texts(&rule.non_resource_urls),
        verbs,
    })
}
