//! Workflow commands of GitHub Actions, which become annotations, and the summary of a job's step.

use std::io::{self, Write};

use super::place::Spot;
use super::{CheckRun, Checked, Ranked, ranked};
use crate::lint::Severity;
use crate::output::escape;
use crate::output::human::count;
use crate::output::report::{code, plain};
use crate::problem::Problem;

/// Findings of the summary that are listed; more do not help a person.
const MAX_LISTED: usize = 1_000;

/// Writes a workflow command for each finding and for each part of the input that could not be read. The worst come first:
/// GitHub shows few annotations of a step.
pub(super) fn write(out: &mut dyn Write, run: &CheckRun<'_>) -> io::Result<()> {
    for failure in run.failures {
        let message = format!("the cluster of context {:?} could not be read: {}", failure.name, failure.error);
        command(out, "error", None, "not read", &[&message])?;
    }
    for (world, problem) in run.problems() {
        let level = if problem.kind.is_warning() { "warning" } else { "error" };
        let mut lines = vec![problem.message.as_str()];
        lines.extend(problem.help.as_deref());
        command(out, level, Some(&run.spot_of_problem(world, problem)), problem.kind.as_str(), &lines)?;
    }
    for Ranked { world, finding } in ranked(run) {
        let level = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let see = format!("See: deputize explain {}", finding.rule);
        let reasons = finding.related.iter().filter(|related| related.places.is_empty());
        let mut lines = vec![finding.message.as_str()];
        lines.extend(reasons.map(|related| related.message.as_str()));
        lines.extend([finding.help.as_str(), &see]);
        command(out, level, Some(&run.spot(world, finding)), finding.rule, &lines)?;
    }
    Ok(())
}

/// Writes `::level file=…,line=…::message`.
fn command(out: &mut dyn Write, level: &str, at: Option<&Spot>, title: &str, lines: &[&str]) -> io::Result<()> {
    write!(out, "::{level} ")?;
    if let Some(Spot { path, region }) = at {
        write!(out, "file={},", property(&path.shown()))?;
        if let Some(place) = region {
            write!(out, "line={},endLine={},", place.line, place.end_line)?;
            if place.line == place.end_line {
                write!(out, "col={},endColumn={},", place.column, place.end_column)?;
            }
        }
    }
    let message: Vec<String> = lines.iter().map(|line| data(&escape(line))).collect();
    writeln!(out, "title={}::{}", property(title), message.join("%0A"))
}

/// Escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a command's property. A colon is replaced in any case, so that a path that holds two of them still
/// names its file.
fn property(text: &str) -> String {
    let parts: Vec<String> = text.split(':').map(|part| data(&escape(part)).replace(',', "%2C")).collect();
    parts.join("%3A")
}

/// Writes the summary of the step as Markdown, in at most so many bytes.
///
/// # Errors
/// When `out` does.
pub fn write_summary(out: &mut dyn Write, run: &CheckRun<'_>, max_bytes: usize) -> io::Result<()> {
    let mut page = Page { text: String::new(), max_bytes };
    let of = |severity| ranked(run).iter().filter(|ranked| ranked.finding.severity == severity).count();
    let counts = Severity::ALL.map(|severity| count(of(severity), severity.as_str())).join(", ");
    page.add(&format!("## deputize check: {counts}\n\n"));
    let mut facts = Vec::new();
    let hidden: usize = run.worlds.iter().map(|world| world.triage.hidden.len()).sum();
    if hidden > 0 {
        facts.push(format!(
            "{} hidden by suppressions, exceptions, a baseline or the configuration",
            count(hidden, "finding")
        ));
    }
    facts.extend(
        run.failures.iter().map(|failure| format!("not read: the cluster of context {}", plain(&failure.name))),
    );
    facts.extend(run.problems().take(MAX_LISTED).map(|(world, problem)| problem_words(run, world, problem)));
    for fact in facts {
        page.add(&format!("- {fact}\n"));
    }
    let findings = ranked(run);
    if !findings.is_empty() {
        page.add("\n| Severity | Rule | Place | Finding |\n| --- | --- | --- | --- |\n");
    }
    let mut listed = 0;
    for Ranked { world, finding } in findings.iter().take(MAX_LISTED) {
        let spot = run.spot(world, finding);
        let line = spot.region.map(|place| format!(":{}", place.line)).unwrap_or_default();
        let place = code(&format!("{}{line}", spot.path.shown()));
        let (severity, rule, message) = (finding.severity.as_str(), finding.rule, plain(&finding.message));
        if !page.add(&format!("| {severity} | `{rule}` | {place} | {message} |\n")) {
            break;
        }
        listed += 1;
    }
    if listed < findings.len() {
        page.add_last(&format!("\n… and {}.\n", count(findings.len() - listed, "more finding")));
    }
    out.write_all(page.text.as_bytes())
}

fn problem_words(run: &CheckRun<'_>, world: &Checked<'_>, problem: &Problem) -> String {
    let spot = run.spot_of_problem(world, problem);
    let line = spot.region.map(|place| format!(":{}", place.line)).unwrap_or_default();
    format!("{}: {}", code(&format!("{}{line}", spot.path.shown())), plain(&problem.message))
}

/// Text that does not grow beyond a bound: GitHub drops a summary that is too large as a whole.
struct Page {
    text: String,
    max_bytes: usize,
}

impl Page {
    /// Bytes kept for what is added last.
    const RESERVE: usize = 200;

    /// Adds a part if there is space for it.
    fn add(&mut self, part: &str) -> bool {
        let fits = self.text.len() + part.len() + Self::RESERVE <= self.max_bytes;
        if fits {
            self.text.push_str(part);
        }
        fits
    }

    /// Adds the last, short part.
    fn add_last(&mut self, part: &str) {
        if self.text.len() + part.len() <= self.max_bytes {
            self.text.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_command_early() {
        assert_eq!(data(&escape("100%\n::error::x\r")), "100%25\\u{a}\\u{3a}:error\\u{3a}:x\\u{d}");
        assert_eq!(property("a,b:::error::c%.yaml"), "a%2Cb%3A%3A%3Aerror%3A%3Ac%25.yaml");
        assert_eq!(property("a\u{1b}##[x"), "a\\u{1b}\\u{23}#[x");
    }
}
