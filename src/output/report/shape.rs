//! The frozen shape of the report (`docs/json.md`), from which all its forms are written.

use serde::Serialize;
use smol_str::SmolStr;

use super::super::json::{
    ImpersonationShape, Location, Reference, Subject, impersonation_shapes, location, reference, subject,
};
use super::text;
use crate::authority::{KubeVersion, Mode, Principal};
use crate::grants::{Grants, Path, Power, Reason, Source};
use crate::inventory::{Inventory, RoleId};
use crate::migrate::{Kept, Outcome};
use crate::report::{Origin, Report, ReportedGrant, Task, Totals, Used};

/// How many ways to all power are listed.
const MAX_WAYS: usize = 2_000;

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(in crate::output) struct ReportShape<'a> {
    schema: &'static str,
    pub(super) input: InputShape,
    pub(super) facts: FactsShape<'a>,
    pub(super) summary: SummaryShape,
    pub(super) upgrade: UpgradeShape,
    pub(super) work: Vec<TaskShape>,
    pub(super) cluster_admin: ClusterAdminShape<'a>,
    pub(super) grants: Vec<GrantShape<'a>>,
    pub(super) grants_left_out: usize,
    pub(super) stays: Vec<StaysShape>,
    pub(super) owners: Vec<OwnerShape<'a>>,
    pub(super) evidence: Option<EvidenceShape<'a>>,
    pub(super) unplanned: &'a [String],
    /// What of the cluster could not be read.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) limits: &'a [String],
    pub(super) warnings: &'a [String],
}

/// What was read and what was not.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct InputShape {
    pub(super) files: usize,
    pub(super) documents: usize,
    pub(super) objects: usize,
    pub(super) templates: usize,
    /// Of the templates, those with the word `impersonate`.
    pub(super) templates_that_mention: usize,
    pub(super) problems: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct FactsShape<'a> {
    /// What the user calls it.
    pub(super) cluster: Option<&'a str>,
    pub(super) kube_version: Option<String>,
    pub(super) gate: Option<bool>,
    pub(super) how: Option<&'a str>,
    /// How often legacy impersonation was used, in words, and as each server counts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) legacy_use: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) impersonation: Vec<ImpersonationShape<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct SummaryShape {
    pub(super) impersonators: usize,
    #[serde(flatten)]
    pub(super) totals: TotalsShape,
    /// Subjects that are cluster-admin already.
    pub(super) cluster_admins: usize,
    /// Subjects that can become it.
    pub(super) can_become_cluster_admin: usize,
    /// Of these, in one step.
    pub(super) in_one_step: usize,
}

/// Grants by what becomes of them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct TotalsShape {
    pub(super) legacy: usize,
    pub(super) constrained: usize,
    pub(super) dead: usize,
    pub(super) replaced: usize,
    pub(super) unused: usize,
    pub(super) needs_evidence: usize,
    pub(super) stays: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct UpgradeShape {
    /// Whether requests that are allowed stay allowed when servers are upgraded, whatever the version.
    pub(super) is_safe: bool,
    /// Constrained grants that the servers ignore today and no longer ignore from 1.36 on, as far as their version is known.
    pub(super) begin_to_count: usize,
    pub(super) versions: Vec<VersionShape>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionShape {
    pub(super) versions: &'static str,
    /// Whether the servers are at such a version, as far as is known.
    pub(super) is_current: bool,
    pub(super) legacy: &'static str,
    pub(super) constrained: &'static str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskShape {
    pub(super) task: &'static str,
    pub(super) title: String,
    pub(super) detail: &'static str,
    pub(super) grants: usize,
    pub(super) owners: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterAdminShape<'a> {
    pub(super) complete: bool,
    pub(super) ways: Vec<WayShape<'a>>,
    pub(super) ways_left_out: usize,
    /// Subjects that can without any impersonation.
    pub(super) without_impersonation: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct WayShape<'a> {
    pub(super) from: PrincipalShape,
    pub(super) steps: Vec<StepShape<'a>>,
    pub(super) power: PowerShape<'a>,
}

/// A subject, or any service account of a namespace (no name), or any service account (neither).
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct PrincipalShape {
    pub(super) kind: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct StepShape<'a> {
    pub(super) means: &'static str,
    pub(super) words: String,
    pub(super) to: PrincipalShape,
    #[serde(flatten)]
    pub(super) source: SourceShape<'a>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct PowerShape<'a> {
    /// `system:masters`, or `everything`: a rule `*/*/*`.
    pub(super) by: &'static str,
    #[serde(flatten)]
    pub(super) source: Option<SourceShape<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct SourceShape<'a> {
    pub(super) role: RoleShape<'a>,
    pub(super) binding: Reference<'a>,
}

/// A bound role, and the rule in it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct RoleShape<'a> {
    pub(super) kind: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    /// None for a default role that the input does not define.
    pub(super) rule: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Reference<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct GrantShape<'a> {
    pub(super) subject: Option<Subject<'a>>,
    pub(super) mode: Option<&'static str>,
    pub(super) verb: &'a str,
    pub(super) whom: &'a str,
    pub(super) role: RoleShape<'a>,
    pub(super) binding: Option<Reference<'a>>,
    /// None in a live cluster.
    pub(super) location: Option<Location<'a>>,
    pub(super) effective: bool,
    /// Why it is dead, or why it stays.
    pub(super) reason: Option<&'static str>,
    /// `replaced`, `unused`, `needs-evidence`, `stays` or `dead`; none for constrained grants.
    pub(super) outcome: Option<&'static str>,
    pub(super) why: &'static str,
    pub(super) no_constrained_form: &'a [String],
    #[serde(rename = "use")]
    pub(super) used: Option<UseShape<'a>>,
    pub(super) owner: String,
    pub(super) steps_to_cluster_admin: Option<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct UseShape<'a> {
    pub(super) count: u64,
    pub(super) first: Option<&'a str>,
    pub(super) last: Option<&'a str>,
    pub(super) by: Vec<&'a str>,
    pub(super) by_others: bool,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct StaysShape {
    pub(super) reason: &'static str,
    pub(super) why: &'static str,
    pub(super) grants: usize,
    /// What in particular has no constrained form.
    pub(super) parts: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnerShape<'a> {
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) words: String,
    #[serde(flatten)]
    pub(super) totals: TotalsShape,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct EvidenceShape<'a> {
    pub(super) requests: u64,
    pub(super) without_grant: u64,
    pub(super) first: &'a str,
    pub(super) last: &'a str,
    /// From the first to the last, both included; null if a time is not a date.
    pub(super) days: Option<i64>,
    /// Effective grants that were seen in use, and those that were not.
    pub(super) used_grants: usize,
    pub(super) unused_grants: usize,
}

/// The report in its shape.
pub(super) fn shape<'a>(grants: &'a Grants<'_>, report: &'a Report<'_>) -> ReportShape<'a> {
    let inventory = grants.inventory();
    let coverage = &inventory.coverage;
    let steps = |count: fn(usize) -> bool| report.ways.iter().filter(|way| count(way.steps.len())).count();
    let count_already = report.facts.gate == Some(true);
    let used = report.grants.iter().filter(|grant| grant.is_effective()).filter_map(|grant| grant.used.as_ref());
    ReportShape {
        schema: "deputize.report/v1",
        input: InputShape {
            files: coverage.files,
            documents: coverage.documents,
            objects: coverage.objects,
            templates: coverage.unread.len(),
            templates_that_mention: coverage.unread.iter().filter(|unread| !unread.mentions.is_empty()).count(),
            problems: inventory.problems.len(),
        },
        facts: FactsShape {
            cluster: inventory.cluster().map(|cluster| cluster.name.as_str()),
            kube_version: report.facts.version.map(|version| version.to_string()),
            gate: report.facts.gate,
            how: report.facts.how.as_deref(),
            legacy_use: report.facts.legacy_use.as_deref(),
            impersonation: inventory.cluster().map(impersonation_shapes).unwrap_or_default(),
        },
        summary: SummaryShape {
            impersonators: report.impersonators(),
            totals: totals(&report.totals),
            cluster_admins: steps(|count| count == 0),
            can_become_cluster_admin: steps(|count| count > 0),
            in_one_step: steps(|count| count == 1),
        },
        upgrade: UpgradeShape {
            is_safe: true,
            begin_to_count: if count_already { 0 } else { report.totals.constrained },
            versions: versions(report.facts.version),
        },
        work: report.work.iter().map(task_shape).collect(),
        cluster_admin: ClusterAdminShape {
            complete: report.ways_complete,
            ways: report.ways.iter().take(MAX_WAYS).map(|way| way_shape(inventory, way)).collect(),
            ways_left_out: report.ways.len().saturating_sub(MAX_WAYS),
            without_impersonation: report.other_ways,
        },
        grants: report.grants.iter().map(|grant| grant_shape(inventory, grant)).collect(),
        grants_left_out: report.left_out,
        stays: stays(report),
        owners: report
            .owners
            .iter()
            .map(|(owner, of)| OwnerShape {
                kind: owner.kind.as_str(),
                name: &owner.name,
                words: owner.describe(),
                totals: totals(of),
            })
            .collect(),
        evidence: report.seen.as_ref().map(|seen| EvidenceShape {
            requests: seen.requests,
            without_grant: seen.without_grant,
            first: &seen.first,
            last: &seen.last,
            days: seen.days(),
            used_grants: used.clone().filter(|used| used.count > 0).count(),
            unused_grants: used.filter(|used| used.count == 0).count(),
        }),
        unplanned: &report.unplanned,
        limits: &report.limits,
        warnings: &report.warnings,
    }
}

fn totals(of: &Totals) -> TotalsShape {
    let Totals { legacy, constrained, dead, replaced, unused, needs_evidence, stays } = *of;
    TotalsShape { legacy, constrained, dead, replaced, unused, needs_evidence, stays }
}

fn versions(current: Option<KubeVersion>) -> Vec<VersionShape> {
    let shape = |version: &text::Version| VersionShape {
        versions: version.versions,
        is_current: current.is_some_and(|current| (version.minors.0..=version.minors.1).contains(&current.minor)),
        legacy: version.legacy,
        constrained: version.constrained,
    };
    text::VERSIONS.iter().map(shape).collect()
}

fn task_shape(task: &Task) -> TaskShape {
    let (title, detail) = text::task(task.kind, task.grants);
    TaskShape {
        task: task.kind.as_str(),
        title,
        detail,
        grants: task.grants,
        owners: task.owners.iter().map(|owner| owner.describe()).collect(),
    }
}

fn way_shape<'a>(inventory: &'a Inventory, way: &Path) -> WayShape<'a> {
    let steps = way.steps.iter().map(|step| {
        let (means, words) = (text::means(step.means), step.means.in_words().into_owned());
        StepShape { means, words, to: principal(&step.to), source: source(inventory, &step.source) }
    });
    WayShape {
        from: principal(&way.from),
        steps: steps.collect(),
        power: match &way.power {
            Power::Masters => PowerShape { by: "system:masters", source: None },
            Power::Everything(of) => PowerShape { by: "everything", source: Some(source(inventory, of)) },
        },
    }
}

fn principal(principal: &Principal) -> PrincipalShape {
    let (kind, namespace, name) = match principal {
        Principal::User(name) => ("User", None, Some(name)),
        Principal::Group(name) => ("Group", None, Some(name)),
        Principal::ServiceAccount { namespace, name } => ("ServiceAccount", Some(namespace), Some(name)),
        Principal::SomeServiceAccount(namespace) => ("ServiceAccount", namespace.as_ref(), None),
    };
    PrincipalShape { kind, namespace: namespace.map(SmolStr::to_string), name: name.map(SmolStr::to_string) }
}

fn source<'a>(inventory: &'a Inventory, source: &Source) -> SourceShape<'a> {
    let binding = inventory.binding(source.binding);
    let role = match source.rule {
        Some((from, rule)) => role_shape(inventory, from, rule, from),
        None => default_role(binding.role_ref.name.as_str()),
    };
    SourceShape { role, binding: reference(&binding.meta) }
}

fn role_shape(inventory: &Inventory, from: RoleId, rule: usize, held: RoleId) -> RoleShape<'_> {
    let Reference { kind, namespace, name, .. } = reference(&inventory.role(held).meta);
    let from = (from != held).then(|| reference(&inventory.role(from).meta));
    RoleShape { kind, namespace, name, rule: Some(rule), from }
}

fn default_role(name: &str) -> RoleShape<'_> {
    RoleShape { kind: "ClusterRole", namespace: None, name, rule: None, from: None }
}

fn grant_shape<'a>(inventory: &'a Inventory, grant: &'a ReportedGrant<'_>) -> GrantShape<'a> {
    let (outcome, why) = match (grant.dead, grant.outcome) {
        (Some(reason), _) => (Some("dead"), text::dead(reason)),
        (None, Some(outcome)) => {
            let (outcome, why) = text::outcome(outcome);
            (Some(outcome), why)
        }
        (None, None) if grant.mode == Some(Mode::Legacy) => (None, "nothing could be planned"),
        (None, None) => (None, "limited to the actions that are granted with it"),
    };
    let kept = grant.outcome.and_then(Outcome::kept).map(Kept::as_str);
    GrantShape {
        subject: grant.subject.map(subject),
        mode: grant.mode.map(Mode::as_str),
        verb: &grant.verb,
        whom: &grant.whom,
        role: match &grant.origin {
            Origin::Rule { from, rule, held } => role_shape(inventory, *from, *rule, *held),
            Origin::DefaultRole(name) => default_role(name),
        },
        binding: grant.binding.map(|id| reference(&inventory.binding(id).meta)),
        location: location(inventory, grant.path, &grant.place),
        effective: grant.is_effective(),
        reason: grant.dead.map(Reason::as_str).or(kept),
        outcome,
        why,
        no_constrained_form: &grant.no_form,
        used: grant.used.as_ref().map(use_shape),
        owner: grant.owner.describe(),
        steps_to_cluster_admin: grant.steps,
    }
}

fn use_shape(used: &Used) -> UseShape<'_> {
    let time = |text: &'_ String| !text.is_empty();
    UseShape {
        count: used.count,
        first: Some(&used.first).filter(|text| time(text)).map(String::as_str),
        last: Some(&used.last).filter(|text| time(text)).map(String::as_str),
        by: used.by.iter().map(SmolStr::as_str).collect(),
        by_others: used.by_others,
    }
}

/// What stays legacy, by why.
fn stays(report: &Report<'_>) -> Vec<StaysShape> {
    let mut all: Vec<StaysShape> = Vec::new();
    for grant in report.grants.iter().filter(|grant| grant.is_legacy()) {
        let (reason, why) = match grant.outcome {
            Some(Outcome::Kept(Kept::NoEvidence)) | None if !grant.no_form.is_empty() => {
                ("needs-evidence", "most of it may turn out to be replaceable; this part of it never is")
            }
            Some(Outcome::Kept(kept) | Outcome::Narrowed(kept)) if kept != Kept::NoEvidence => {
                (kept.as_str(), text::stays(kept))
            }
            _ => continue,
        };
        let at = all.iter().position(|known| known.why == why).unwrap_or_else(|| {
            all.push(StaysShape { reason, why, grants: 0, parts: Vec::new() });
            all.len() - 1
        });
        all[at].grants += 1;
        for part in &grant.no_form {
            if all[at].parts.len() < 5 && !all[at].parts.contains(part) {
                all[at].parts.push(part.clone());
            }
        }
    }
    all.sort_by(|a, b| (b.grants, a.why).cmp(&(a.grants, b.why)));
    all
}
