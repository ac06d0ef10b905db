//! Words for people: what was read, what was not, tables and totals.

use std::io::{self, Write};

use super::escape;
use super::markdown::write_markdown;
use super::paint::Paint;
pub use super::paint::Style;
pub use super::remarks::{write_coverage, write_problems};
use super::table::{Cell, Column, Tone, write_table};
use super::text::wrap;
use crate::about::rule_url;
use crate::authority::{Feature, Mode};
use crate::grants::{Entry, Grants, Holder, HoldersOfRole, Reason, RuleAction, RuleGrant};
use crate::inventory::{ClusterFacts, Inventory, PolicyRule, RoleId, Text, abbreviate};
use crate::lint::{Rule, Severity};
#[cfg(feature = "cluster")]
use crate::snapshot::Snapshot;
use crate::syntax::Place;
use crate::triage::{Hidden, HiddenBy, Triage};

/// How many items of a list are shown.
const MAX_LISTED: usize = 20;

/// How remarks on standard error are written: what was read, and what could not be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Remarks {
    /// How they are laid out.
    pub style: Style,
    /// How much is said.
    pub verbosity: Verbosity,
}

/// How much is said of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// A summary.
    #[default]
    Summary,
    /// Every place.
    Everything,
}

/// Returns the lines of one that does not fit, the further ones indented by two columns more. Lines of TOML stay whole, since they
/// are copied.
pub fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let text = line.trim_start_matches(' ');
    if text.split(' ').nth(1) == Some("=") {
        return vec![line.to_owned()];
    }
    let indent = " ".repeat(line.len() - text.len());
    wrap(text, width, &indent, &format!("{indent}  "))
}

/// Returns the word `error` or `warning` in its colour.
pub fn grade(style: Style, is_warning: bool) -> String {
    Paint::new(style).grade(is_warning)
}

/// Returns `path:line:column`, safe to show.
pub(super) fn position(path: &str, place: &Place) -> String {
    format!("{}:{}:{}", escape(path), place.line, place.column)
}

/// Writes how often legacy impersonation was used in the cluster, if the input is one.
///
/// # Errors
/// When `out` does.
pub fn write_legacy_use(out: &mut dyn Write, inventory: &Inventory) -> io::Result<()> {
    match inventory.cluster() {
        Some(cluster) => writeln!(out, "{}", escape(&cluster.describe_legacy_use())),
        None => Ok(()),
    }
}

/// Writes what a snapshot holds.
///
/// # Errors
/// When `out` does.
#[cfg(feature = "cluster")]
pub fn write_snapshot(out: &mut dyn Write, snapshot: &Snapshot) -> io::Result<()> {
    writeln!(out, "{}", escape(&describe_cluster(&snapshot.facts)))?;
    writeln!(out, "read {}", count(snapshot.objects, "RBAC object"))
}

/// Writes the name of the cluster above what is said of it.
///
/// # Errors
/// When `out` does.
pub fn write_cluster_heading(out: &mut dyn Write, inventory: &Inventory, style: Style) -> io::Result<()> {
    let name = inventory.cluster().map_or("", |cluster| cluster.name.as_str());
    writeln!(out, "{}", Paint::new(style).bold(&escape(&format!("# cluster {name:?}"))))
}

/// `cluster "prod": Kubernetes 1.37 (v1.37.2); constrained impersonation is on, by its metrics`.
pub(super) fn describe_cluster(cluster: &ClusterFacts) -> String {
    let version =
        cluster.kube_version().map_or_else(|| "of an unknown version".to_owned(), |version| version.to_string());
    let servers: Vec<&str> = cluster.servers.iter().map(|server| server.git_version.as_str()).collect();
    let feature = match cluster.feature() {
        Some(Feature::Constrained) => "is on",
        Some(Feature::LegacyOnly) => "is off",
        None => "may be on or off",
    };
    let source = if cluster.gate_decides() { "its metrics" } else { "its version, since its metrics do not say" };
    format!(
        "cluster {:?}: Kubernetes {version} ({}); constrained impersonation {feature}, by {source}",
        cluster.name.as_str(),
        servers.join(", ")
    )
}

/// Writes how many findings there are, and how many are hidden. `shown` says how many of them were shown, if not all;
/// `is_whole` whether everything could be read: what is not known is not praised.
///
/// # Errors
/// When `out` does.
pub fn write_totals(
    out: &mut dyn Write,
    triage: &Triage,
    (shown, is_whole): (Option<usize>, bool),
    style: Style,
) -> io::Result<()> {
    let paint = Paint::new(style);
    let counts = Severity::ALL.map(|severity| {
        let number = triage.reported.iter().filter(|finding| finding.severity == severity).count();
        let text = count(number, severity.as_str());
        if number > 0 { paint.severity(severity, &text) } else { text }
    });
    let [errors, warnings, notes] = counts;
    if triage.reported.is_empty() {
        let none = "no findings";
        writeln!(out, "{}", if is_whole { paint.green(none) } else { none.to_owned() })?;
    } else {
        let shown = shown.map(|shown| format!("; {shown} of {} shown", triage.reported.len())).unwrap_or_default();
        writeln!(out, "{errors}, {warnings} and {notes}{shown}")?;
    }
    let hidden = triage.hidden_counts();
    let parts = [
        (hidden.ignored, "not selected"),
        (hidden.suppressed, "suppressed"),
        (hidden.accepted, "accepted"),
        (hidden.baseline, "in the baseline"),
        (hidden.base_revision, "at the base revision"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() {
        return Ok(());
    }
    writeln!(out, "{} hidden: {}", count(hidden.total(), "finding"), parts.join(", "))
}

/// Writes the accepted findings, each with the exception that covers it.
///
/// # Errors
/// When `out` does.
pub fn write_accepted(out: &mut dyn Write, triage: &Triage) -> io::Result<()> {
    for Hidden { finding, by } in &triage.hidden {
        let HiddenBy::Accept { source, reason, until } = by else { continue };
        let (severity, rule) = (finding.severity.as_str(), finding.rule);
        let (at, message) = (position(&finding.path, &finding.place), escape(&finding.message));
        writeln!(out, "{at}: accepted {severity}[{rule}]: {message}")?;
        let until = until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
        writeln!(out, "  {}: {}{}", position(&source.path, &source.place), escape(reason), escape(&until))?;
    }
    Ok(())
}

/// `no files`, `1 file`, `2 files`.
pub fn count(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Writes the catalogue, a rule a line.
///
/// # Errors
/// When `out` does.
pub fn write_rules(out: &mut dyn Write, rules: &[&dyn Rule], style: Style) -> io::Result<()> {
    let rows = rules.iter().map(|rule| {
        let [severities, versions, fix] = facts(*rule);
        // The first is the gravest.
        let tone = rule.severities().first().copied().map(Tone::of).unwrap_or_default();
        [
            Cell::from(rule.id()).linked(rule_url(rule.id())),
            Cell::new(severities, tone),
            Cell::from(versions),
            Cell::from(fix),
            Cell::from(rule.page().summary()),
        ]
    });
    let columns = [
        Column::new("RULE"),
        Column::new("SEVERITY"),
        Column::new("KUBERNETES").optional(2),
        Column::new("FIX").optional(1),
        Column::new("FINDS").prose(36),
    ];
    write_table(out, style, columns, rows.collect())
}

/// Writes the page of a rule, and below it what the catalogue knows of the rule.
///
/// # Errors
/// When `out` does.
pub fn write_page(out: &mut dyn Write, rule: &dyn Rule, style: Style) -> io::Result<()> {
    let [severities, versions, fix] = facts(rule);
    let page = format!("{}\nSeverity: {severities}. Kubernetes: {versions}. Fix: {fix}.\n", rule.page().text());
    write_markdown(out, &page, style)
}

/// The severities of a rule, the versions that it is about, and how safely what it finds can be mended.
fn facts(rule: &dyn Rule) -> [String; 3] {
    let severities: Vec<&str> = rule.severities().iter().map(|severity| severity.as_str()).collect();
    [severities.join(", "), rule.versions().to_string(), rule.fix().as_str().to_owned()]
}

/// Writes the grants, one subject and identity a line.
///
/// # Errors
/// When `out` does.
pub fn write_grants(out: &mut dyn Write, grants: &Grants<'_>, style: Style) -> io::Result<()> {
    let mut rows = Vec::new();
    let mut holders = HoldersOfRole::default();
    for (from, index, rule, found) in grants.granting_rules() {
        let holders = holders.of(grants, from);
        rows.extend(grants.entries(from, index, &found, holders).map(|entry| grant_row(grants, rule, &entry)));
    }
    if rows.is_empty() {
        writeln!(out, "no rule here grants an identity")?;
    } else {
        write_table(out, style, grant_columns("IDENTITY"), rows)?;
    }
    // The verb `*` on anything at all is an action in every mode; only the JSON output lists these.
    let mut rows = Vec::new();
    for (from, _, rule, actions) in grants.acting_rules() {
        let holders = holders.of(grants, from);
        for action in actions.iter().filter(|action| action.action.as_deref() != Some("*")) {
            rows.extend(holders.iter().map(|holder| action_row(grants, from, rule, action, holder)));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    write_table(out, style, grant_columns("ACTION"), rows)
}

fn grant_columns(what: &'static str) -> [Column; 7] {
    [
        Column::new("EFFECTIVE"),
        Column::new("SUBJECT").heading(),
        Column::new("MODE").optional(1),
        Column::new(what),
        Column::new("ROLE").optional(3),
        Column::new("BINDING").optional(4),
        Column::new("PLACE").optional(2),
    ]
}

fn action_row(grants: &Grants<'_>, from: RoleId, rule: &PolicyRule, action: &RuleAction, holder: &Holder) -> [Cell; 7] {
    let join = |texts: &[Text]| texts.iter().map(Text::as_str).take(MAX_LISTED).collect::<Vec<_>>().join(",");
    let verb = &rule.verbs[action.verb];
    let what = if rule.non_resource_urls.is_empty() { join(&rule.resources) } else { join(&rule.non_resource_urls) };
    let scope = grants.namespace(holder).map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    let [subject, role, binding, place] = holder_cells(grants, from, holder, verb);
    [
        effective_cell(grants, grants.action_reason(rule, action, holder), Tone::Plain),
        subject,
        Cell::from(action.mode.map_or("-", Mode::as_str)),
        Cell::from(format!("{} {what}{scope}", action.action.as_deref().unwrap_or(verb.as_str()))),
        role,
        binding,
        place,
    ]
}

/// Whether a grant is effective; `tone` is for one that is.
fn effective_cell(grants: &Grants<'_>, reason: Option<Reason>, tone: Tone) -> Cell {
    match reason {
        None => Cell::new("yes", tone),
        // What binds it may be what could not be read.
        Some(Reason::Unbound) if grants.inventory().is_incomplete() => {
            Cell::new("no: unbound, as far as was read", Tone::Quiet)
        }
        Some(reason) => Cell::new(format!("no: {}", reason.as_str()), Tone::Quiet),
    }
}

/// Who holds a verb, through which role and binding, and where the verb stands.
fn holder_cells(grants: &Grants<'_>, from: RoleId, holder: &Holder, verb: &Text) -> [Cell; 4] {
    let inventory = grants.inventory();
    let written = &inventory.role(from).meta;
    let binding = holder.binding().map_or_else(|| "-".to_owned(), |id| inventory.binding(id).meta.reference());
    let mut role = inventory.role(holder.role).meta.reference();
    if holder.role != from {
        role = format!("{role} (from {})", written.reference());
    }
    let subject = grants.subject(holder).map_or_else(
        || "-".to_owned(),
        |subject| {
            let namespace = subject.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            format!("{}/{namespace}{}", subject.kind.as_str(), abbreviate(subject.name.as_str()))
        },
    );
    [subject, role, binding, format!("{}:{}", written.path, verb.place.line)].map(Cell::from)
}

fn grant_row(grants: &Grants<'_>, rule: &PolicyRule, entry: &Entry<'_>) -> [Cell; 7] {
    let grant = entry.grant;
    let [subject, role, binding, place] = holder_cells(grants, entry.from, &entry.holder, &rule.verbs[grant.verb]);
    // Every effective legacy grant allows all that the identity may do.
    let tone = match grant.mode {
        Some(Mode::Legacy) if rule.resource_names.is_empty() => Tone::Danger,
        Some(Mode::Legacy) => Tone::Attention,
        _ => Tone::Plain,
    };
    [
        effective_cell(grants, entry.reason, tone),
        subject,
        Cell::from(grant.mode.map_or("-", Mode::as_str)),
        Cell::from(identity_words(grants, rule, grant, &entry.holder)),
        role,
        binding,
        place,
    ]
}

/// `any users`, `userextras/scopes admin`, `serviceaccounts a,b in apps`.
pub(super) fn identity_words(grants: &Grants<'_>, rule: &PolicyRule, grant: &RuleGrant, holder: &Holder) -> String {
    let mut identity = grant.identity.resource.to_string();
    if let Some(key) = &grant.identity.extra_key {
        identity = format!("{identity}/{key}");
    }
    let names: Vec<&str> = rule.resource_names.iter().map(Text::as_str).take(MAX_LISTED).collect();
    let more = if rule.resource_names.len() > MAX_LISTED { ",…" } else { "" };
    let identity =
        if names.is_empty() { format!("any {identity}") } else { format!("{identity} {}{more}", names.join(",")) };
    match grants.namespace(holder) {
        Some(namespace) if grant.identity.kind.is_some_and(|kind| kind.is_namespaced()) => {
            format!("{identity} in {namespace}")
        }
        _ => identity,
    }
}
