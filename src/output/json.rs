//! The machine-readable shapes, as others build on them (`docs/json.md`): frozen structs, filled from the program's own types and
//! never dumps of them.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde::ser::SerializeSeq;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use smol_str::SmolStr;

use super::escape::to_escape;
use crate::about;
use crate::authority::{Feature, Mode};
use crate::grants::{Entry, Grants, Holder, HoldersOfRole, Identity, Reason, RuleAction, RuleGrant};
use crate::inventory::{
    Aside, ClusterFacts, ImpersonationCount, Inventory, Mention, ObjectMeta, PolicyRule, RoleId,
    Subject as InventorySubject, Text, Unread,
};
use crate::lint::{Finding, Rule, Severity};
use crate::problem::Problem;
use crate::syntax::{JsonStyle, Place, Value};
use crate::triage::{BaselineEntry, Hidden, Triage};

/// Writes Kubernetes objects as one list, which `kubectl` takes.
///
/// # Errors
/// When `out` does.
pub fn write_list(out: &mut dyn io::Write, items: impl IntoIterator<Item = Value>) -> io::Result<()> {
    let style = JsonStyle { indent: Some("  ".to_owned()), spaced: true, inline_lists: false, line_end: "\n" };
    let list = Value::map([
        ("apiVersion", Value::text("v1")),
        ("kind", Value::text("List")),
        ("items", Value::List(items.into_iter().collect())),
    ]);
    writeln!(out, "{}", style.write(&list, ""))
}

/// An object that is named.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedded_in: Option<EmbeddedIn<'a>>,
}

/// What an object is written in, and where in it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct EmbeddedIn<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    at: &'a str,
    form: &'static str,
}

/// A range of a file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Location<'a> {
    pub(super) path: &'a str,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_line: u32,
    pub(super) end_column: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// A subject of a binding.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Subject<'a> {
    pub(super) kind: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
}

/// A binding that is named.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference<'a> {
    pub(super) kind: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedded_in: Option<EmbeddedIn<'a>>,
}

/// The program that wrote a document.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ToolShape {
    name: &'static str,
    version: &'static str,
}

/// A rule of a role.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleReference<'a> {
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    rule: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedded_in: Option<EmbeddedIn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Reference<'a>>,
}

/// Whom a grant reaches.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct IdentityShape<'a> {
    pub(super) api_group: &'a str,
    pub(super) resource: &'a str,
    pub(super) extra_key: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
    pub(super) names: Option<Vec<&'a str>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GrantShape<'a> {
    subject: Option<Subject<'a>>,
    verb: &'a str,
    mode: Option<&'static str>,
    identity: IdentityShape<'a>,
    effective: bool,
    reason: Option<&'static str>,
    role: RuleReference<'a>,
    binding: Option<Reference<'a>>,
    location: Option<Location<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<InTemplate<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct ActionShape<'a> {
    subject: Option<Subject<'a>>,
    verb: &'a str,
    mode: Option<&'static str>,
    action: Option<&'a str>,
    api_groups: Vec<&'a str>,
    resources: Vec<&'a str>,
    resource_names: Option<Vec<&'a str>>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Option<Vec<&'a str>>,
    namespace: Option<&'a str>,
    effective: bool,
    reason: Option<&'static str>,
    role: RuleReference<'a>,
    binding: Option<Reference<'a>>,
    location: Option<Location<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Summary {
    files: usize,
    documents: usize,
    objects: usize,
    embedded: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    ignored: usize,
    suppressed: usize,
    accepted: usize,
    baseline: usize,
    base_revision: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct FindingShape<'a> {
    rule: &'a str,
    severity: &'static str,
    message: &'a str,
    help: &'a str,
    fingerprint: &'a str,
    /// The address of the rule's page, if the program knows one.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    object: Option<Object<'a>>,
    location: Option<Location<'a>>,
    subjects: Vec<Subject<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    subjects_left_out: usize,
    related: Vec<RelatedShape<'a>>,
    copies: Vec<Location<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<InTemplate<'a>>,
}

/// A finding that is not reported, and why.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct HiddenShape<'a> {
    #[serde(flatten)]
    finding: FindingShape<'a>,
    hidden_by: HiddenByShape<'a>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct HiddenByShape<'a> {
    kind: &'static str,
    reason: Option<&'a str>,
    until: Option<&'a str>,
    location: Option<Location<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RelatedShape<'a> {
    message: &'a str,
    locations: Vec<Location<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ProblemShape<'a> {
    kind: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    path: &'a str,
    location: Option<Location<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct NotLookedAt<'a> {
    templates: Vec<TemplateShape<'a>>,
    mentions: Vec<MentionShape<'a>>,
    symbolic_links: Vec<&'a str>,
    special_files: Vec<&'a str>,
    excluded: Vec<&'a str>,
    others: Vec<AsideShape<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AsideShape<'a> {
    path: &'a str,
    line: Option<u32>,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct MentionShape<'a> {
    reason: &'static str,
    within: Option<&'a str>,
    location: Option<Location<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TemplateShape<'a> {
    path: &'a str,
    line: u32,
    language: &'static str,
    mentions: &'a [u32],
    reason: &'a str,
}

/// What a template says of something that stands in it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct InTemplate<'a> {
    language: &'static str,
    conditions: Vec<&'a str>,
    notes: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckShape<'a> {
    schema: &'static str,
    tool: ToolShape,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterShape<'a>>,
    summary: Summary,
    findings: Vec<FindingShape<'a>>,
    hidden: Vec<HiddenShape<'a>>,
    fixed: &'a [BaselineEntry],
    problems: Vec<ProblemShape<'a>>,
    not_looked_at: NotLookedAt<'a>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RuleShape {
    id: &'static str,
    /// The address of its page, if the program knows one.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    severities: Vec<&'static str>,
    summary: String,
    kubernetes: VersionsShape,
    fix: &'static str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct VersionsShape {
    since: Option<String>,
    until: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct RulesShape {
    schema: &'static str,
    rules: Vec<RuleShape>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A range of a file; none in what was read from a live cluster, where nobody else has the text.
pub(super) fn location<'a>(inventory: &Inventory, path: &'a str, place: &Place) -> Option<Location<'a>> {
    (!inventory.live).then(|| place_in(path, place))
}

/// A range of a file.
pub(super) fn place_in<'a>(path: &'a str, place: &Place) -> Location<'a> {
    Location {
        path,
        line: place.line,
        column: place.column,
        end_line: place.end_line,
        end_column: place.end_column,
        offset: place.offset,
        length: place.length,
    }
}

/// Where a verb of a role stands.
pub(super) fn verb_location<'g>(grants: &Grants<'g>, role: RoleId, verb: &Text) -> Option<Location<'g>> {
    let inventory = grants.inventory();
    location(inventory, &inventory.role(role).meta.path, &verb.place)
}

pub(super) fn subject(subject: &InventorySubject) -> Subject<'_> {
    Subject { kind: subject.kind.as_str(), namespace: subject.namespace.as_deref(), name: subject.name.as_str() }
}

/// A role or binding by kind, namespace as written, and name.
pub(super) fn reference(meta: &ObjectMeta) -> Reference<'_> {
    Reference {
        kind: meta.kind.as_str(),
        namespace: meta.namespace.as_deref(),
        name: meta.name.as_str(),
        embedded_in: embedded_in(meta),
    }
}

fn embedded_in(meta: &ObjectMeta) -> Option<EmbeddedIn<'_>> {
    let embedding = meta.embedded.as_deref()?;
    let carrier = &embedding.carrier;
    Some(EmbeddedIn {
        api_version: &carrier.api_version,
        kind: &carrier.kind,
        namespace: carrier.namespace.as_deref(),
        name: &carrier.name,
        at: &embedding.route,
        form: embedding.form.as_str(),
    })
}

pub(super) fn texts(texts: &[Text]) -> Vec<&str> {
    texts.iter().map(Text::as_str).collect()
}

pub(super) fn some_texts(list: &[Text]) -> Option<Vec<&str>> {
    (!list.is_empty()).then(|| texts(list))
}

fn finding_shape<'a>(inventory: &'a Inventory, finding: &'a Finding) -> FindingShape<'a> {
    let meta = finding.about.meta(inventory);
    let copies = meta.into_iter().flat_map(|meta| &meta.copies);
    FindingShape {
        rule: finding.rule,
        severity: finding.severity.as_str(),
        message: &finding.message,
        help: &finding.help,
        fingerprint: &finding.fingerprint,
        url: about::rule_url(finding.rule),
        object: meta.map(|meta| Object {
            api_version: &meta.api_version,
            kind: meta.kind.as_str(),
            namespace: meta.namespace.as_deref(),
            name: meta.name.as_str(),
            embedded_in: embedded_in(meta),
        }),
        location: match meta {
            Some(_) => location(inventory, &finding.path, &finding.place),
            // A file of its own has its places in a live cluster's result, too.
            None => Some(place_in(&finding.path, &finding.place)),
        },
        subjects: finding.subjects.iter().map(subject).collect(),
        subjects_left_out: finding.subjects_left_out,
        related: finding
            .related
            .iter()
            .map(|related| RelatedShape {
                message: &related.message,
                locations: related
                    .places
                    .iter()
                    .filter_map(|(place, _)| location(inventory, &related.path, place))
                    .collect(),
            })
            .collect(),
        copies: copies.filter_map(|(path, place)| location(inventory, path, place)).collect(),
        template: meta.and_then(|meta| in_template(meta, finding.about.rule(), &finding.place)),
    }
}

fn hidden_shape<'a>(inventory: &'a Inventory, hidden: &'a Hidden) -> HiddenShape<'a> {
    let Hidden { finding, by } = hidden;
    let hidden_by = HiddenByShape {
        kind: by.as_str(),
        reason: by.reason(),
        until: by.until(),
        location: by.source().map(|source| place_in(&source.path, &source.place)),
    };
    HiddenShape { finding: finding_shape(inventory, finding), hidden_by }
}

fn problem_shape<'a>(inventory: &Inventory, problem: &'a Problem) -> ProblemShape<'a> {
    ProblemShape {
        kind: problem.kind.as_str(),
        message: &problem.message,
        help: problem.help.as_deref(),
        path: &problem.path,
        location: problem.place.as_ref().and_then(|place| location(inventory, &problem.path, place)),
    }
}

/// Writes `check -o json`.
///
/// # Errors
/// When `out` does.
pub fn write_check(out: &mut dyn io::Write, inventory: &Inventory, triage: &Triage) -> io::Result<()> {
    write_document(out, &check_shape(inventory, triage))
}

/// Writes `check -o json` of several clusters, each under its name.
///
/// # Errors
/// When `out` does.
pub fn write_check_of_each(
    out: &mut dyn io::Write,
    checked: &[(&Inventory, &Triage)],
    failures: &[ContextFailure],
) -> io::Result<()> {
    let results = checked.iter().map(|(inventory, triage)| (*inventory, check_shape(inventory, triage)));
    write_document(out, &contexts_shape(results, failures))
}

/// Writes `grants -o json` of several clusters, each under its name.
///
/// # Errors
/// When `out` does.
pub fn write_grants_of_each(
    out: &mut dyn io::Write,
    listed: &[Grants<'_>],
    failures: &[ContextFailure],
) -> io::Result<()> {
    let results = listed.iter().map(|grants| (grants.inventory(), grants_shape(grants)));
    write_document(out, &contexts_shape(results, failures))
}

/// The results of a command for several clusters.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ContextsShape<'a, T> {
    schema: &'static str,
    contexts: Vec<ContextShape<'a, T>>,
}

/// Why there is no result for a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFailure {
    /// The name of its context.
    pub name: String,
    /// Why, in words.
    pub error: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ContextShape<'a, T> {
    name: &'a str,
    result: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) fn contexts_shape<'a, T>(
    results: impl Iterator<Item = (&'a Inventory, T)>,
    failures: &'a [ContextFailure],
) -> ContextsShape<'a, T> {
    let name = |inventory: &'a Inventory| inventory.cluster().map_or("", |cluster| cluster.name.as_str());
    let results =
        results.map(|(inventory, result)| ContextShape { name: name(inventory), result: Some(result), error: None });
    let failures =
        failures.iter().map(|failure| ContextShape { name: &failure.name, result: None, error: Some(&failure.error) });
    ContextsShape { schema: "deputize.contexts/v1", contexts: results.chain(failures).collect() }
}

/// What is known of the cluster, or of the one whose snapshot was read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct ClusterShape<'a> {
    kube_version: Option<String>,
    servers: Vec<&'a str>,
    constrained_impersonation: Option<bool>,
    known_from: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    impersonation: Vec<ImpersonationShape<'a>>,
}

/// What an API server has counted since it started.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ImpersonationShape<'a> {
    started: &'a str,
    allowed: Option<&'a BTreeMap<SmolStr, u64>>,
    denied: Option<u64>,
}

pub(super) fn impersonation_shapes(cluster: &ClusterFacts) -> Vec<ImpersonationShape<'_>> {
    let mut shapes = Vec::new();
    for ImpersonationCount { started, attempts, .. } in &cluster.impersonation {
        let attempts = attempts.as_ref();
        let allowed = attempts.map(|attempts| &attempts.allowed);
        shapes.push(ImpersonationShape { started, allowed, denied: attempts.map(|attempts| attempts.denied) });
    }
    shapes
}

fn cluster_shape(inventory: &Inventory) -> Option<ClusterShape<'_>> {
    let cluster = inventory.cluster()?;
    let feature = cluster.feature();
    Some(ClusterShape {
        kube_version: cluster.kube_version().map(|version| version.to_string()),
        servers: cluster.servers.iter().map(|server| server.git_version.as_str()).collect(),
        constrained_impersonation: feature.map(|feature| feature == Feature::Constrained),
        known_from: feature.map(|_| if cluster.gate_decides() { "metrics" } else { "version" }),
        impersonation: impersonation_shapes(cluster),
    })
}

fn check_shape<'a>(inventory: &'a Inventory, triage: &'a Triage) -> CheckShape<'a> {
    let count = |severity| triage.reported.iter().filter(|finding| finding.severity == severity).count();
    let (coverage, hidden) = (&inventory.coverage, triage.hidden_counts());
    CheckShape {
        schema: "deputize.check/v1",
        tool: ToolShape { name: "deputize", version: about::VERSION },
        cluster: cluster_shape(inventory),
        summary: Summary {
            files: coverage.files,
            documents: coverage.documents,
            objects: coverage.objects,
            embedded: coverage.embedded,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            ignored: hidden.ignored,
            suppressed: hidden.suppressed,
            accepted: hidden.accepted,
            baseline: hidden.baseline,
            base_revision: hidden.base_revision,
        },
        findings: triage.reported.iter().map(|finding| finding_shape(inventory, finding)).collect(),
        hidden: triage.hidden.iter().map(|hidden| hidden_shape(inventory, hidden)).collect(),
        fixed: &triage.fixed,
        problems: inventory.problems.iter().map(|problem| problem_shape(inventory, problem)).collect(),
        not_looked_at: NotLookedAt {
            templates: coverage.unread.iter().map(template_shape).collect(),
            mentions: coverage.mentions.iter().map(|mention| mention_shape(inventory, mention)).collect(),
            symbolic_links: coverage.skipped.symlinks.iter().map(|path| &**path).collect(),
            special_files: coverage.skipped.special.iter().map(|path| &**path).collect(),
            excluded: coverage.skipped.excluded.iter().map(|path| &**path).collect(),
            others: coverage.aside.iter().map(aside_shape).collect(),
        },
    }
}

fn mention_shape<'a>(inventory: &Inventory, mention: &'a Mention) -> MentionShape<'a> {
    MentionShape {
        reason: mention.reason.as_str(),
        within: Some(mention.within.as_str()).filter(|within| !within.is_empty()),
        location: location(inventory, &mention.path, &mention.place),
    }
}

fn aside_shape(Aside { path, line, reason }: &Aside) -> AsideShape<'_> {
    AsideShape { path, line: *line, reason }
}

fn template_shape(unread: &Unread) -> TemplateShape<'_> {
    TemplateShape {
        path: &unread.path,
        line: unread.line,
        language: unread.language.as_str(),
        mentions: &unread.mentions,
        reason: &unread.reason,
    }
}

fn in_template<'a>(meta: &'a ObjectMeta, rule: Option<usize>, place: &Place) -> Option<InTemplate<'a>> {
    meta.template.as_ref().map(|template| InTemplate {
        language: template.language.as_str(),
        conditions: meta.conditions(place),
        notes: rule.into_iter().flat_map(|rule| template.notes(rule)).collect(),
    })
}

/// Writes `rules -o json`.
///
/// # Errors
/// When `out` does.
pub fn write_rules(out: &mut dyn io::Write, rules: &[&dyn Rule]) -> io::Result<()> {
    let shape = |rule: &&dyn Rule| RuleShape {
        id: rule.id(),
        url: about::rule_url(rule.id()),
        severities: rule.severities().iter().map(|severity| severity.as_str()).collect(),
        summary: rule.page().summary(),
        kubernetes: VersionsShape {
            since: rule.versions().since.map(|version| version.to_string()),
            until: rule.versions().until.map(|version| version.to_string()),
        },
        fix: rule.fix().as_str(),
    };
    write_document(out, &RulesShape { schema: "deputize.rules/v1", rules: rules.iter().map(shape).collect() })
}

/// Writes `grants -o json`. Entries are made while they are written: there may be millions.
///
/// # Errors
/// When `out` does.
pub fn write_grants(out: &mut dyn io::Write, grants: &Grants<'_>) -> io::Result<()> {
    write_document(out, &grants_shape(grants))
}

fn grants_shape<'g>(grants: &'g Grants<'g>) -> GrantsShape<'g> {
    GrantsShape {
        schema: "deputize.grants/v1",
        cluster: cluster_shape(grants.inventory()),
        grants: Entries(grants),
        actions: Actions(grants),
        problems: grants
            .inventory()
            .problems
            .iter()
            .map(|problem| problem_shape(grants.inventory(), problem))
            .collect(),
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct GrantsShape<'g> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterShape<'g>>,
    #[cfg_attr(test, schemars(with = "Vec<GrantShape<'static>>"))]
    grants: Entries<'g>,
    #[cfg_attr(test, schemars(with = "Vec<ActionShape<'static>>"))]
    actions: Actions<'g>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemShape<'g>>,
}

struct Entries<'g>(&'g Grants<'g>);

impl Serialize for Entries<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let grants = self.0;
        let mut list = serializer.serialize_seq(None)?;
        let mut holders = HoldersOfRole::default();
        for (from, index, rule, found) in in_order(grants, grants.granting_rules(), |grant: &RuleGrant| grant.verb) {
            for entry in grants.entries(from, index, &found, holders.of(grants, from)) {
                list.serialize_element(&grant_shape(grants, rule, &entry))?;
            }
        }
        list.end()
    }
}

struct Actions<'g>(&'g Grants<'g>);

impl Serialize for Actions<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let grants = self.0;
        let mut list = serializer.serialize_seq(None)?;
        let mut holders = HoldersOfRole::default();
        for (from, index, rule, found) in in_order(grants, grants.acting_rules(), |action: &RuleAction| action.verb) {
            for action in &found {
                for holder in holders.of(grants, from) {
                    list.serialize_element(&action_shape(grants, from, index, rule, action, holder))?;
                }
            }
        }
        list.end()
    }
}

type OfVerb<'i, T> = (RoleId, usize, &'i PolicyRule, Vec<T>);

/// What the verbs of rules yield, in the order of the verbs' places. With anchors, that is not the order of the rules.
fn in_order<'i, T: Clone>(
    grants: &Grants<'i>,
    rules: impl Iterator<Item = OfVerb<'i, T>>,
    verb: impl Fn(&T) -> usize,
) -> Vec<OfVerb<'i, T>> {
    let by_verb = |(from, index, rule, found): OfVerb<'i, T>| {
        let chunks = found.chunk_by(|a, b| verb(a) == verb(b)).map(<[T]>::to_vec).collect::<Vec<_>>();
        chunks.into_iter().map(move |found| (from, index, rule, found))
    };
    let mut all: Vec<OfVerb<'i, T>> = rules.flat_map(by_verb).collect();
    all.sort_by_key(|(from, _, rule, found)| {
        let path = &grants.inventory().role(*from).meta.path;
        (path, found.first().and_then(|first| rule.verbs.get(verb(first))).map(|verb| verb.place))
    });
    all
}

fn grant_shape<'g>(grants: &Grants<'g>, rule: &'g PolicyRule, entry: &Entry<'g>) -> GrantShape<'g> {
    let grant = entry.grant;
    let meta = &grants.inventory().role(entry.from).meta;
    GrantShape {
        subject: grants.subject(&entry.holder).map(subject),
        verb: rule.verbs[grant.verb].as_str(),
        mode: grant.mode.map(Mode::as_str),
        identity: identity_shape(grants, rule, &grant.identity, &entry.holder),
        effective: entry.reason.is_none(),
        reason: entry.reason.map(Reason::as_str),
        role: rule_reference(grants, entry.from, entry.rule, &entry.holder),
        binding: binding_reference(grants, &entry.holder),
        location: verb_location(grants, entry.from, &rule.verbs[grant.verb]),
        template: in_template(meta, Some(entry.rule), &rule.verbs[grant.verb].place),
    }
}

pub(super) fn identity_shape<'g>(
    grants: &Grants<'g>,
    rule: &'g PolicyRule,
    identity: &'g Identity,
    holder: &Holder,
) -> IdentityShape<'g> {
    let namespaced = identity.kind.is_some_and(|kind| kind.is_namespaced());
    IdentityShape {
        api_group: &identity.api_group,
        resource: &identity.resource,
        extra_key: identity.extra_key.as_deref(),
        namespace: grants.namespace(holder).filter(|_| namespaced),
        names: some_texts(&rule.resource_names),
    }
}

fn action_shape<'g>(
    grants: &Grants<'g>,
    from: RoleId,
    index: usize,
    rule: &'g PolicyRule,
    action: &'g RuleAction,
    holder: &Holder,
) -> ActionShape<'g> {
    let reason = grants.action_reason(rule, action, holder);
    let verb = &rule.verbs[action.verb];
    ActionShape {
        subject: grants.subject(holder).map(subject),
        verb: verb.as_str(),
        mode: action.mode.map(Mode::as_str),
        action: action.action.as_deref(),
        api_groups: texts(&rule.api_groups),
        resources: texts(&rule.resources),
        resource_names: some_texts(&rule.resource_names),
        non_resource_urls: some_texts(&rule.non_resource_urls),
        namespace: grants.namespace(holder),
        effective: reason.is_none(),
        reason: reason.map(Reason::as_str),
        role: rule_reference(grants, from, index, holder),
        binding: binding_reference(grants, holder),
        location: verb_location(grants, from, verb),
    }
}

pub(super) fn rule_reference<'g>(grants: &Grants<'g>, from: RoleId, rule: usize, holder: &Holder) -> RuleReference<'g> {
    let Reference { kind, namespace, name, embedded_in } = reference(&grants.inventory().role(holder.role).meta);
    let contributor = (from != holder.role).then(|| reference(&grants.inventory().role(from).meta));
    RuleReference { kind, namespace, name, rule, embedded_in, from: contributor }
}

pub(super) fn binding_reference<'g>(grants: &Grants<'g>, holder: &Holder) -> Option<Reference<'g>> {
    holder.binding().map(|id| reference(&grants.inventory().binding(id).meta))
}

/// Writes a value as one indented document with a line break behind it.
///
/// # Errors
/// When `out` does.
pub fn write_document<T: Serialize>(out: &mut dyn io::Write, value: &T) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Escaping(PrettyFormatter::new())))?;
    out.write_all(b"\n")
}

/// Writes a value on one line.
///
/// # Errors
/// When `out` does.
pub fn write_line<W: io::Write, T: Serialize>(mut out: W, value: &T) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut out, Escaping(CompactFormatter)))?;
    out.write_all(b"\n")
}

/// Adds a string with its quotes.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing to a vector cannot fail.
    let _ = text.serialize(&mut Serializer::with_formatter(&mut *out, Escaping(CompactFormatter)));
}

/// Escapes what may deceive a reader, beside what JSON itself demands.
struct Escaping<F>(F);

macro_rules! delegate {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $arg: $type)*) -> io::Result<()> {
            self.0.$name(writer $(, $arg)*)
        })*
    };
}

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut from = 0;
        for (at, c) in to_escape(fragment) {
            writer.write_all(&fragment.as_bytes()[from..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            from = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[from..])
    }

    delegate! {
        begin_array(); end_array(); begin_array_value(first: bool); end_array_value();
        begin_object(); end_object(); begin_object_key(first: bool); end_object_key();
        begin_object_value(); end_object_value();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_escaped_and_read_back() {
        let text = "##[a]\u{202e}\u{7f}\u{85}\u{e0041}\u{1b}\"ü";
        let mut out = Vec::new();
        write_line(&mut out, &[text]).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, "[\"\\u0023#[a]\\u202e\\u007f\\u0085\\udb40\\udc41\\u001b\\\"ü\"]\n");
        assert_eq!(serde_json::from_str::<Vec<String>>(&out).unwrap(), [text]);
    }
}
