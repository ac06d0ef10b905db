//! Words for people: diagnostics with the lines they are about, tables, summaries.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use rayon::prelude::*;

use super::escape;
use super::excerpt::{Excerpt, excerpts};
use crate::authority::{Feature, Mode};
use crate::grants::{Entry, Grants, Holder, HoldersOfRole, Reason, RuleAction, RuleGrant};
use crate::inventory::{Aside, ClusterFacts, Inventory, PolicyRule, RoleId, Text, Unread, abbreviate};
use crate::lint::{Finding, Rule, Severity};
use crate::problem::{Problem, ProblemKind};
#[cfg(feature = "cluster")]
use crate::snapshot::Snapshot;
use crate::syntax::Place;
use crate::triage::{Hidden, HiddenBy, Triage};

/// How many problems of one kind are shown one by one.
const MAX_PROBLEMS: usize = 200;

/// How many places of findings are shown with the lines around them; of further ones, a line each.
const MAX_EXCERPTS: usize = 2_000;
/// How many items of a list are shown.
const MAX_LISTED: usize = 20;

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are used.
    pub colour: bool,
    /// Columns that a line may take.
    pub width: usize,
}

impl Style {
    fn handler(self) -> GraphicalReportHandler {
        let theme = if self.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        GraphicalReportHandler::new_themed(theme)
            .with_width(self.width)
            .with_context_lines(1)
            .with_links(false)
            // Names are full of hyphens, and are looked up by copying them.
            .with_word_splitter(textwrap::WordSplitter::NoHyphenation)
    }
}

/// Writes findings as diagnostics, those of one place with the same holders in one.
///
/// # Errors
/// When `out` does.
pub fn write_findings(
    out: &mut dyn Write,
    inventory: &Inventory,
    findings: &[Finding],
    style: Style,
) -> io::Result<()> {
    let same = |a: &Finding, b: &Finding| {
        (&a.path, a.place, &a.related, &a.subjects) == (&b.path, b.place, &b.related, &b.subjects)
    };
    let groups: Vec<&[Finding]> = findings.chunk_by(same).collect();
    // Rendered side by side, a stretch at a time, so that memory does not grow with the number of findings.
    let (shown, listed) = groups.split_at(groups.len().min(MAX_EXCERPTS));
    for stretch in shown.chunks(1024) {
        let rendered: Vec<String> = stretch
            .par_iter()
            .map(|group| {
                let report = Report::of_findings(inventory, group);
                let mut text = String::new();
                for part in std::iter::once(&report).chain(&report.related) {
                    // Writing to a string cannot fail.
                    let _ = style.handler().render_report(&mut text, part);
                }
                text
            })
            .collect();
        for text in rendered {
            writeln!(out, "{text}")?;
        }
    }
    for stretch in listed.chunks(1 << 16) {
        let lines = |groups: &[&[Finding]]| {
            let mut text = String::new();
            for finding in groups.iter().flat_map(|group| group.iter()) {
                let at = position(&finding.path, &finding.place);
                let (severity, rule) = (finding.severity.as_str(), finding.rule);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{at}: {severity}[{rule}]: {}", escape(&finding.message));
            }
            text
        };
        let rendered: Vec<String> = stretch.par_chunks(1024).map(lines).collect();
        for text in rendered {
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

/// A diagnostic as the renderer takes it. All its strings are safe to show.
#[derive(Debug)]
struct Report {
    message: String,
    code: Option<String>,
    severity: miette::Severity,
    help: Option<String>,
    source: Option<Excerpt>,
    labels: Vec<LabeledSpan>,
    related: Vec<Report>,
}

impl Report {
    fn of_findings(inventory: &Inventory, group: &[Finding]) -> Self {
        let first = &group[0];
        let severity = match first.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        };
        let codes: Vec<String> =
            group.iter().map(|finding| format!("{}[{}]", finding.severity.as_str(), finding.rule)).collect();
        let lines = |of: &dyn Fn(&Finding) -> String| {
            let mut lines: Vec<String> = Vec::new();
            for line in group.iter().map(of) {
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
            lines.iter().map(|line| escape(line).into_owned()).collect::<Vec<_>>().join("\n")
        };
        let label = group.iter().map(|finding| finding.label.as_str()).collect::<Vec<_>>().join("; ");
        let mut report = Self {
            message: lines(&|finding| finding.message.clone()),
            code: Some(codes.join(", ")),
            severity,
            help: Some(lines(&|finding| finding.help.clone())),
            source: None,
            labels: Vec::new(),
            related: Vec::new(),
        };
        // The verb comes first; resources that are far from it, behind an anchor, are not shown.
        let mut places = vec![first.place];
        places.extend(group.iter().flat_map(|finding| &finding.resources));
        let mut distinct = Vec::new();
        places.retain(|place| {
            !distinct.contains(place) && {
                distinct.push(*place);
                true
            }
        });
        let marked = excerpts(inventory, &first.path, &places);
        match marked.into_iter().find(|(_, shown)| shown.contains(&0)) {
            Some((excerpt, shown)) => {
                let label = |index: &usize| (*index == 0).then(|| label.clone());
                report.mark(excerpt, shown.iter().map(label));
            }
            None => report.message.push_str(&format!("\nat {}", position(&first.path, &first.place))),
        }
        let copies = first.about.meta(inventory).map_or(0, |meta| meta.copies.len());
        if copies > 0 {
            report
                .related
                .push(Self::plain(&format!("the same definition stands in {}", count(copies, "other place"))));
        }
        for related in first.related.iter() {
            if related.places.is_empty() {
                report.related.push(Self::plain(&related.message));
                continue;
            }
            let (places, labels): (Vec<Place>, Vec<String>) = related.places.iter().cloned().unzip();
            for (excerpt, shown) in excerpts(inventory, &related.path, &places) {
                let mut part = Self::plain(&related.message);
                part.mark(excerpt, shown.iter().map(|index| labels.get(*index).cloned()));
                report.related.push(part);
            }
        }
        if first.bindings_left_out > 0 {
            report.related.push(Self::plain(&format!("{} not shown", count(first.bindings_left_out, "more binding"))));
        }
        report
    }

    fn plain(message: &str) -> Self {
        Self {
            message: escape(message).into_owned(),
            code: None,
            severity: miette::Severity::Advice,
            help: None,
            source: None,
            labels: Vec::new(),
            related: Vec::new(),
        }
    }

    /// Shows the excerpt with its marks labelled. The first mark with a label is the one that the header names.
    fn mark(&mut self, excerpt: Excerpt, labels: impl Iterator<Item = Option<String>>) {
        let mut primary = false;
        self.labels = excerpt
            .marks()
            .zip(labels)
            .map(|(span, label)| {
                let label = label.map(|label| escape(&label).into_owned());
                if label.is_some() && !std::mem::replace(&mut primary, true) {
                    LabeledSpan::new_primary_with_span(label, span)
                } else {
                    LabeledSpan::new_with_span(label, span)
                }
            })
            .collect();
        self.source = Some(excerpt);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.as_ref().map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

fn position(path: &str, place: &Place) -> String {
    format!("{}:{}:{}", escape(path), place.line, place.column)
}

/// Writes what could not be read, a line or two each.
///
/// # Errors
/// When `out` does.
pub fn write_problems(out: &mut dyn Write, problems: &[Problem]) -> io::Result<()> {
    let mut shown: Vec<(ProblemKind, usize)> = Vec::new();
    for problem in problems {
        let index = shown.iter().position(|(kind, _)| *kind == problem.kind).unwrap_or_else(|| {
            shown.push((problem.kind, 0));
            shown.len() - 1
        });
        shown[index].1 += 1;
        if shown[index].1 > MAX_PROBLEMS {
            continue;
        }
        let grade = if problem.kind.is_warning() { "warning" } else { "error" };
        let at =
            problem.place.map_or_else(|| escape(&problem.path).into_owned(), |place| position(&problem.path, &place));
        writeln!(out, "{at}: {grade}: {}", escape(&problem.message))?;
        if let Some(help) = &problem.help {
            writeln!(out, "  help: {}", escape(help))?;
        }
    }
    for (kind, count) in shown.into_iter().filter(|(_, count)| *count > MAX_PROBLEMS) {
        writeln!(out, "… and {} more of this kind: {}", count - MAX_PROBLEMS, kind.describe())?;
    }
    Ok(())
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

/// Writes what was read and what was not.
///
/// # Errors
/// When `out` does.
pub fn write_coverage(out: &mut dyn Write, inventory: &Inventory) -> io::Result<()> {
    let coverage = &inventory.coverage;
    for cluster in &inventory.clusters {
        writeln!(out, "{}", escape(&describe_cluster(cluster)))?;
    }
    writeln!(
        out,
        "read {}, {} and {}{}",
        count(coverage.files, "file"),
        count(coverage.documents, "document"),
        count(coverage.objects, "RBAC object"),
        if coverage.embedded > 0 { format!("; {} in other objects", coverage.embedded) } else { String::new() },
    )?;
    let mut parts = Vec::new();
    if !coverage.unread.is_empty() {
        let mentioning = coverage.unread.iter().filter(|unread| !unread.mentions.is_empty()).count();
        let mentioning =
            if mentioning > 0 { format!(" ({mentioning} with the word `impersonate`)") } else { String::new() };
        parts.push(format!("{}{mentioning}", count(coverage.unread.len(), "template part")));
    }
    if !coverage.mentions.is_empty() {
        parts.push(format!("{} outside of rules", count(coverage.mentions.len(), "impersonation verb")));
    }
    if !coverage.aside.is_empty() {
        parts.push(count(coverage.aside.len(), "other part"));
    }
    if !coverage.skipped.symlinks.is_empty() {
        parts.push(count(coverage.skipped.symlinks.len(), "symbolic link"));
    }
    if !coverage.skipped.special.is_empty() {
        parts.push(count(coverage.skipped.special.len(), "special file"));
    }
    if !coverage.skipped.excluded.is_empty() {
        parts.push(format!("{} that the configuration excludes", count(coverage.skipped.excluded.len(), "path")));
    }
    if !coverage.skipped.outputs.is_empty() {
        parts.push(format!("{} of earlier migrations", count(coverage.skipped.outputs.len(), "result")));
    }
    let mut kinds: Vec<ProblemKind> = inventory.problems.iter().map(|problem| problem.kind).collect();
    kinds.sort();
    for kinds in kinds.chunk_by(|a, b| a == b) {
        parts.push(format!("{} {}", kinds.len(), kinds[0].describe()));
    }
    if !parts.is_empty() {
        writeln!(out, "not looked at, or not understood: {}", parts.join(", "))?;
    }
    let skipped = [
        ("symbolic link not followed", &coverage.skipped.symlinks),
        ("special file not followed", &coverage.skipped.special),
        ("written by a migration, not read", &coverage.skipped.outputs),
    ];
    for (what, paths) in skipped {
        for path in paths.iter().take(MAX_LISTED) {
            writeln!(out, "  {}: {what}", escape(path))?;
        }
        if paths.len() > MAX_LISTED {
            writeln!(out, "  … and {} more", paths.len() - MAX_LISTED)?;
        }
    }
    // Those that hold the word come first.
    let mentions = |unread: &&Unread| !unread.mentions.is_empty();
    let first = coverage.unread.iter().filter(mentions).take(MAX_PROBLEMS);
    let rest = coverage.unread.iter().filter(|unread| !mentions(unread)).take(MAX_LISTED);
    let mut listed = 0;
    for unread in first.chain(rest) {
        listed += 1;
        let (path, language) = (escape(&unread.path), unread.language.as_str());
        let lines: Vec<String> = unread.mentions.iter().take(5).map(u32::to_string).collect();
        let more = if unread.mentions.len() > 5 { ", …" } else { "" };
        let mentions = if lines.is_empty() {
            String::new()
        } else {
            format!("; `impersonate` on line {}{more}", lines.join(", "))
        };
        writeln!(
            out,
            "  {path}:{}: template ({language}) not looked at: {}{mentions}",
            unread.line,
            escape(&unread.reason)
        )?;
    }
    if listed < coverage.unread.len() {
        writeln!(out, "  … and {} more in templates", coverage.unread.len() - listed)?;
    }
    for mention in coverage.mentions.iter().take(MAX_PROBLEMS) {
        let (path, line) = (escape(&mention.path), mention.place.line);
        let within = if mention.within.is_empty() { String::new() } else { format!(" (in {})", mention.within) };
        let why = mention.reason.describe();
        writeln!(out, "  {path}: `impersonate` on line {line} not judged: {why}{}", escape(&within))?;
    }
    if coverage.mentions.len() > MAX_PROBLEMS {
        writeln!(out, "  … and {} more such verbs", coverage.mentions.len() - MAX_PROBLEMS)?;
    }
    for Aside { path, line, reason } in coverage.aside.iter().take(MAX_PROBLEMS) {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        writeln!(out, "  {}{line}: not looked at: {}", escape(path), escape(reason))?;
    }
    if coverage.aside.len() > MAX_PROBLEMS {
        writeln!(out, "  … and {} more that was not looked at", coverage.aside.len() - MAX_PROBLEMS)?;
    }
    Ok(())
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
pub fn write_cluster_heading(out: &mut dyn Write, inventory: &Inventory) -> io::Result<()> {
    let name = inventory.cluster().map_or("", |cluster| cluster.name.as_str());
    writeln!(out, "# cluster {}", escape(&format!("{name:?}")))
}

/// `cluster "prod": Kubernetes 1.37 (v1.37.2); constrained impersonation is on, by its metrics`.
fn describe_cluster(cluster: &ClusterFacts) -> String {
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

/// Writes how many findings there are, and how many are hidden.
///
/// # Errors
/// When `out` does.
pub fn write_totals(out: &mut dyn Write, triage: &Triage) -> io::Result<()> {
    let of = |severity| triage.reported.iter().filter(|finding| finding.severity == severity).count();
    writeln!(
        out,
        "{}, {} and {}",
        count(of(Severity::Error), "error"),
        count(of(Severity::Warning), "warning"),
        count(of(Severity::Note), "note"),
    )?;
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
pub fn write_rules(out: &mut dyn Write, rules: &[&dyn Rule]) -> io::Result<()> {
    let rows = rules.iter().map(|rule| {
        let [severities, versions, fix] = facts(*rule);
        [rule.id().to_owned(), severities, versions, fix, rule.page().summary()]
    });
    write_table(out, ["RULE", "SEVERITY", "KUBERNETES", "FIX", "FINDS"], &rows.collect::<Vec<_>>())
}

/// Writes the page of a rule, and below it what the catalogue knows of the rule.
///
/// # Errors
/// When `out` does.
pub fn write_page(out: &mut dyn Write, rule: &dyn Rule) -> io::Result<()> {
    let [severities, versions, fix] = facts(rule);
    writeln!(out, "{}", rule.page().text())?;
    writeln!(out, "Severity: {severities}. Kubernetes: {versions}. Fix: {fix}.")
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
pub fn write_grants(out: &mut dyn Write, grants: &Grants<'_>) -> io::Result<()> {
    let mut rows = Vec::new();
    let mut holders = HoldersOfRole::default();
    for (from, index, rule, found) in grants.granting_rules() {
        let holders = holders.of(grants, from);
        rows.extend(grants.entries(from, index, &found, holders).map(|entry| grant_row(grants, rule, &entry)));
    }
    if rows.is_empty() {
        writeln!(out, "no rule here grants an identity")?;
    } else {
        write_table(out, ["SUBJECT", "MODE", "IDENTITY", "EFFECTIVE", "ROLE", "BINDING", "PLACE"], &rows)?;
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
    write_table(out, ["SUBJECT", "MODE", "ACTION", "EFFECTIVE", "ROLE", "BINDING", "PLACE"], &rows)
}

fn action_row(
    grants: &Grants<'_>,
    from: RoleId,
    rule: &PolicyRule,
    action: &RuleAction,
    holder: &Holder,
) -> [String; 7] {
    let join = |texts: &[Text]| texts.iter().map(Text::as_str).take(MAX_LISTED).collect::<Vec<_>>().join(",");
    let verb = &rule.verbs[action.verb];
    let what = if rule.non_resource_urls.is_empty() { join(&rule.resources) } else { join(&rule.non_resource_urls) };
    let scope = grants.namespace(holder).map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    let [subject, role, binding, place] = holder_cells(grants, from, holder, verb);
    [
        subject,
        action.mode.map_or("-", Mode::as_str).to_owned(),
        format!("{} {what}{scope}", action.action.as_deref().unwrap_or(verb.as_str())),
        effective_cell(grants, grants.action_reason(rule, action, holder)),
        role,
        binding,
        place,
    ]
}

fn effective_cell(grants: &Grants<'_>, reason: Option<Reason>) -> String {
    match reason {
        None => "yes".to_owned(),
        // What binds it may be what could not be read.
        Some(Reason::Unbound) if grants.inventory().is_incomplete() => "no: unbound, as far as was read".to_owned(),
        Some(reason) => format!("no: {}", reason.as_str()),
    }
}

/// Who holds a verb, through which role and binding, and where the verb stands.
fn holder_cells(grants: &Grants<'_>, from: RoleId, holder: &Holder, verb: &Text) -> [String; 4] {
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
    [subject, role, binding, format!("{}:{}", written.path, verb.place.line)]
}

fn grant_row(grants: &Grants<'_>, rule: &PolicyRule, entry: &Entry<'_>) -> [String; 7] {
    let grant = entry.grant;
    let [subject, role, binding, place] = holder_cells(grants, entry.from, &entry.holder, &rule.verbs[grant.verb]);
    [
        subject,
        grant.mode.map_or("-", Mode::as_str).to_owned(),
        identity_words(grants, rule, grant, &entry.holder),
        effective_cell(grants, entry.reason),
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

/// Writes a table as `kubectl` does: a header, columns three spaces apart.
pub(super) fn write_table<const N: usize>(
    out: &mut dyn Write,
    header: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = header.map(str::len);
    let rows: Vec<[std::borrow::Cow<'_, str>; N]> =
        rows.iter().map(|row| std::array::from_fn(|column| escape(&row[column]))).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut write_row = |row: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}   "));
        }
        writeln!(out, "{}", line.trim_end())
    };
    write_row(header)?;
    for row in &rows {
        write_row(std::array::from_fn(|column| row[column].as_ref()))?;
    }
    Ok(())
}
