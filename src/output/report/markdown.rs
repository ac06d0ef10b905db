//! The report as Markdown, for a comment on a pull request.

use std::io::{self, Write};

use super::shape::{GrantShape, PrincipalShape, ReportShape, RoleShape, WayShape, shape};
use super::text::minute;
use crate::grants::Grants;
use crate::inventory::abbreviate;
use crate::output::escape;
use crate::output::human::count;
use crate::output::json::{Location, Reference, Subject};
use crate::report::Report;
use crate::syntax::needs_no_escape;

/// How many rows of a table are shown: comments have a limit, and so has patience.
const MAX_ROWS: usize = 100;

/// Writes the report as Markdown.
///
/// # Errors
/// When `out` does.
pub fn write_markdown(out: &mut dyn Write, grants: &Grants<'_>, report: &Report<'_>) -> io::Result<()> {
    let shape = shape(grants, report);
    write_verdict(out, &shape)?;
    write_work(out, &shape)?;
    write_ways(out, &shape)?;
    write_grants(out, &shape)?;
    write_stays(out, &shape)?;
    write_owners(out, &shape)?;
    write_basis(out, &shape)
}

/// Text of the input that is only text, wherever it stands: as it is if it has nothing that could mean something, else as
/// code. In code nothing is markup, a mention, a link or an issue.
pub(in crate::output) fn plain(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || " ,.-/:\"".contains(c);
    let is_markup = text.contains("www.") || text.contains("//") || !needs_no_escape(text);
    if text.chars().all(harmless) && !text.is_empty() && !is_markup { text.to_owned() } else { code(text) }
}

/// Text of the input as code. A fence of backticks is longer than any in the text; where a table is split at bars, they are
/// escaped.
pub(in crate::output) fn code(text: &str) -> String {
    let text = escape(&abbreviate(text)).replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    // A space on either side keeps backticks at the ends apart from the fence, and is not shown.
    let space = if text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn named(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => code(&format!("{namespace}/{name}")),
        None => code(name),
    }
}

fn subject(subject: Option<&Subject<'_>>) -> String {
    match subject {
        Some(Subject { kind, namespace, name }) => format!("{} {}", plain(kind), named(*namespace, name)),
        None => "nobody".to_owned(),
    }
}

fn principal(who: &PrincipalShape) -> String {
    match (&who.namespace, &who.name) {
        (namespace, Some(name)) => format!("{} {}", who.kind, named(namespace.as_deref(), name)),
        (Some(namespace), None) => format!("any service account of {}", code(namespace)),
        (None, None) => "any service account".to_owned(),
    }
}

fn reference(reference: &Reference<'_>) -> String {
    format!("{} {}", reference.kind, named(reference.namespace, reference.name))
}

fn place(location: &Location<'_>) -> String {
    format!(", {}", code(&format!("{}:{}", location.path, location.line)))
}

fn role(role: &RoleShape<'_>) -> String {
    let from = role.from.as_ref().map(|from| format!(" (from {})", self::reference(from))).unwrap_or_default();
    format!("{} {}{from}", role.kind, named(role.namespace, role.name))
}

fn write_verdict(out: &mut dyn Write, shape: &ReportShape<'_>) -> io::Result<()> {
    let summary = &shape.summary;
    let of_cluster = shape.facts.cluster.map(|name| format!(" of cluster {}", code(name))).unwrap_or_default();
    writeln!(out, "# Constrained impersonation: upgrade report{of_cluster}\n")?;
    writeln!(
        out,
        "**Yes, go to 1.36, 1.37 and 1.38: no request that is allowed today is refused by the upgrade.** Legacy \
         impersonation goes on working beside the constrained one.\n"
    )?;
    writeln!(
        out,
        "One exception: whoever may do everything (`*` on everything, `system:masters`) and impersonates nodes without \
         their groups, does so from 1.36 on as a member of `system:nodes`, which the admission plugin NodeRestriction limits.\n"
    )?;
    for limit in shape.limits {
        writeln!(out, "> **Not all of the cluster was read:** {}\n", plain(limit))?;
    }
    let begin = shape.upgrade.begin_to_count;
    if begin > 0 {
        let verb = if begin == 1 { "begins" } else { "begin" };
        writeln!(
            out,
            "{} {verb} to count with 1.36, unless the servers are there already.\n",
            count(begin, "constrained grant")
        )?;
    }
    let facts = &shape.facts;
    match &facts.kube_version {
        Some(version) => {
            let gate = match facts.gate {
                Some(true) => ", constrained impersonation is on",
                Some(false) => ", constrained impersonation is off",
                None => "",
            };
            let how = facts.how.map(|how| format!(" ({})", plain(how))).unwrap_or_default();
            writeln!(out, "The servers are at {version}{gate}{how}.\n")?;
        }
        None => writeln!(out, "The input does not say at which version the servers are.\n")?,
    }
    if let Some(legacy_use) = facts.legacy_use {
        writeln!(out, "In use today: {}.\n", plain(legacy_use))?;
    }
    writeln!(out, "| | |\n| --- | ---: |")?;
    for (what, number) in [
        ("Subjects that impersonate by legacy grants", summary.impersonators),
        ("Legacy grants", summary.totals.legacy),
        ("Constrained grants", summary.totals.constrained),
        ("Grants that reach nobody", summary.totals.dead),
        ("Subjects that can become cluster-admin", summary.can_become_cluster_admin),
        ("… of these in one step", summary.in_one_step),
        ("Subjects that are cluster-admin already", summary.cluster_admins),
    ] {
        writeln!(out, "| {what} | {number} |")?;
    }
    writeln!(out, "\n| Kubernetes | legacy grants | constrained grants |\n| --- | --- | --- |")?;
    for version in &shape.upgrade.versions {
        let current = if version.is_current { " **(now)**" } else { "" };
        writeln!(out, "| {}{current} | {} | {} |", version.versions, version.legacy, version.constrained)?;
    }
    writeln!(
        out,
        "\nWhat can break is the removal of legacy: it needs every API server at 1.36 or later, and a constrained grant for \
         everything that is used."
    )
}

fn write_work(out: &mut dyn Write, shape: &ReportShape<'_>) -> io::Result<()> {
    writeln!(out, "\n## What to do, in this order\n")?;
    for (index, task) in shape.work.iter().enumerate() {
        let owners: Vec<String> = task.owners.iter().take(5).map(|owner| plain(owner)).collect();
        let more = if task.owners.len() > 5 { format!(" and {} more", task.owners.len() - 5) } else { String::new() };
        writeln!(out, "{}. **{}**. {}  ", index + 1, task.title, task.detail)?;
        writeln!(out, "   Whose: {}{more}", owners.join(", "))?;
    }
    if shape.work.is_empty() {
        writeln!(out, "Nothing: the input grants no impersonation.")?;
    }
    Ok(())
}

fn write_ways(out: &mut dyn Write, shape: &ReportShape<'_>) -> io::Result<()> {
    writeln!(out, "\n## Who can become cluster-admin\n")?;
    let ways: Vec<&WayShape<'_>> = shape.cluster_admin.ways.iter().filter(|way| !way.steps.is_empty()).collect();
    if ways.is_empty() {
        return writeln!(out, "Nobody, by impersonation, as far as the input shows.");
    }
    writeln!(out, "| steps | who | how |\n| ---: | --- | --- |")?;
    for way in ways.iter().take(MAX_ROWS) {
        let step = |step: &super::shape::StepShape<'_>| {
            format!("{} {} ({})", step.words, principal(&step.to), reference(&step.source.binding))
        };
        let mut how: Vec<String> = way.steps.iter().map(step).collect();
        if let Some(source) = &way.power.source {
            how.push(format!("who is cluster-admin ({})", reference(&source.binding)));
        }
        writeln!(out, "| {} | {} | {} |", way.steps.len(), principal(&way.from), how.join(", "))?;
    }
    write_more(out, (ways.len() + shape.cluster_admin.ways_left_out).saturating_sub(MAX_ROWS))?;
    if shape.cluster_admin.without_impersonation > 0 {
        writeln!(
            out,
            "\n{} can without any impersonation, by the credentials of service accounts; they are not listed here.",
            count(shape.cluster_admin.without_impersonation, "more subject")
        )?;
    }
    if !shape.cluster_admin.complete {
        writeln!(out, "\nThere are more connections than can be followed; there may be other ways.")?;
    }
    Ok(())
}

fn write_grants(out: &mut dyn Write, shape: &ReportShape<'_>) -> io::Result<()> {
    writeln!(out, "\n## Who impersonates whom\n")?;
    let effective: Vec<&GrantShape<'_>> = shape.grants.iter().filter(|grant| grant.effective).collect();
    if effective.is_empty() {
        writeln!(out, "Nobody.")?;
    } else {
        let used = if shape.evidence.is_some() { (" used |", " --- |") } else { ("", "") };
        writeln!(out, "| who | may be | by | what becomes of it |{}\n| --- | --- | --- | --- |{}", used.0, used.1)?;
    }
    for grant in effective.iter().take(MAX_ROWS) {
        let mode = if grant.mode == Some("legacy") { "" } else { grant.mode.unwrap_or_default() };
        let mode = if mode.is_empty() { String::new() } else { format!(" ({mode}, constrained)") };
        let becomes = match grant.outcome {
            Some(outcome) => format!("**{outcome}**: {}", grant.why),
            None => grant.why.to_owned(),
        };
        write!(
            out,
            "| {} | {}{mode} | {}{} | {becomes} |",
            subject(grant.subject.as_ref()),
            plain(grant.whom),
            role(&grant.role),
            grant.location.as_ref().map(place).unwrap_or_default(),
        )?;
        if shape.evidence.is_some() {
            match &grant.used {
                Some(used) if used.count > 0 => {
                    let by: Vec<String> = used.by.iter().map(|user| plain(user)).collect();
                    let others = if used.by_others { " and others" } else { "" };
                    let last = used.last.map(|last| format!(", last {}", plain(&minute(last)))).unwrap_or_default();
                    write!(out, " {} times{last}, by {}{others} |", used.count, by.join(", "))?;
                }
                Some(_) => write!(out, " **never** |")?,
                None => write!(out, " not known |")?,
            }
        }
        writeln!(out)?;
    }
    write_more(out, effective.len().saturating_sub(MAX_ROWS) + shape.grants_left_out)?;
    let dead = shape.grants.len() - effective.len();
    if dead > 0 {
        writeln!(out, "\n{} that reach nobody are not listed here.", count(dead, "grant"))?;
    }
    Ok(())
}

fn write_stays(out: &mut dyn Write, shape: &ReportShape<'_>) -> io::Result<()> {
    if shape.stays.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## What stays legacy, and why\n")?;
    for stays in &shape.stays {
        writeln!(out, "- **{}**: {}", count(stays.grants, "grant"), stays.why)?;
        for part in &stays.parts {
            writeln!(out, "  - {}", plain(part))?;
        }
    }
    Ok(())
}

fn write_owners(out: &mut dyn Write, shape: &ReportShape<'_>) -> io::Result<()> {
    if shape.owners.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Effort, by owner\n")?;
    writeln!(
        out,
        "| owner | legacy grants | can be replaced | not used | need evidence | stay | constrained | dead |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for owner in shape.owners.iter().take(MAX_ROWS) {
        let of = &owner.totals;
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            plain(&owner.words),
            of.legacy,
            of.replaced,
            of.unused,
            of.needs_evidence,
            of.stays,
            of.constrained,
            of.dead
        )?;
    }
    write_more(out, shape.owners.len().saturating_sub(MAX_ROWS))
}

fn write_basis(out: &mut dyn Write, shape: &ReportShape<'_>) -> io::Result<()> {
    let input = &shape.input;
    writeln!(out, "\n## What this is based on\n")?;
    writeln!(out, "- {} and {}", count(input.files, "file"), count(input.objects, "RBAC object"))?;
    if input.templates > 0 {
        writeln!(
            out,
            "- **not looked at**: {}, {} with the word `impersonate`",
            count(input.templates, "template"),
            input.templates_that_mention
        )?;
    }
    if input.problems > 0 {
        writeln!(out, "- **not understood**: {}", count(input.problems, "part"))?;
    }
    match &shape.evidence {
        Some(seen) => writeln!(
            out,
            "- logs with {} impersonated requests from {} to {}{}; {} grants were used, {} were not",
            seen.requests,
            plain(&minute(seen.first)),
            plain(&minute(seen.last)),
            seen.days.map(|days| format!(" ({})", count_days(days))).unwrap_or_default(),
            seen.used_grants,
            seen.unused_grants
        )?,
        None => writeln!(out, "- no audit log: nothing says which grants are used (`--audit-log`)")?,
    }
    for text in shape.unplanned.iter().chain(shape.warnings) {
        writeln!(out, "- {}", plain(text))?;
    }
    writeln!(
        out,
        "- ways to cluster-admin follow legacy impersonation, tokens and workloads of service accounts; constrained grants \
         allow listed actions only, and groups that an identity provider gives are not known"
    )
}

fn count_days(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn write_more(out: &mut dyn Write, more: usize) -> io::Result<()> {
    if more > 0 {
        writeln!(out, "\n… and {more} more: `--format html` and `--format json` have them.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn hostile_names_stay_text() {
        for (name, expected) in [
            ("any user in namespace \"apps\"", "any user in namespace \"apps\""),
            ("<script>", "`<script>`"),
            ("[a](javascript:b)", "`[a](javascript:b)`"),
            ("a|b`c``d", "```a\\|b`c``d```"),
            ("`", "`` ` ``"),
            ("", "`  `"),
            ("a\nb\u{202e}", "`a\\u{a}b\\u{202e}`"),
            ("@everyone #1", "`@everyone #1`"),
            ("www.example.org", "`www.example.org`"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }
}
