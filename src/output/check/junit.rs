//! JUnit's XML, a test case a finding: those that make the run fail are failures, the others are skipped tests.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{CheckRun, Checked};
use crate::lint::Finding;
use crate::output::escape;
use crate::triage::HiddenBy;

/// Writes the document, a suite for each cluster.
pub(super) fn write(out: &mut dyn Write, run: &CheckRun<'_>) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"deputize check\">")?;
    for world in &run.worlds {
        write_suite(out, run, world)?;
    }
    for failure in run.failures {
        writeln!(
            out,
            "  <testsuite name={} tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">",
            quoted(&failure.name)
        )?;
        write_case(out, &failure.name, "read the cluster", "error", "not-read", &failure.error, "")?;
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

fn write_suite(out: &mut dyn Write, run: &CheckRun<'_>, world: &Checked<'_>) -> io::Result<()> {
    let fails = |finding: &Finding| run.fail_on.is_some_and(|least| finding.severity >= least);
    let hidden = || world.triage.hidden.iter().filter(|hidden| !matches!(hidden.by, HiddenBy::Configuration { .. }));
    let failures = world.findings().iter().filter(|finding| fails(finding)).count();
    let errors = world.problems().filter(|problem| !problem.kind.is_warning()).count();
    let warnings = world.problems().count() - errors;
    let skipped = world.findings().len() - failures + hidden().count() + warnings;
    // A suite without a test looks as if nothing had been run.
    let is_empty = failures + errors + skipped == 0;
    let tests = failures + errors + skipped + usize::from(is_empty);
    let name = if world.context().is_empty() { "deputize check" } else { world.context() };
    let name = quoted(name);
    writeln!(
        out,
        "  <testsuite name={name} tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">"
    )?;
    if is_empty {
        writeln!(out, "    <testcase classname=\"deputize\" name=\"no findings\"/>")?;
    }
    for problem in world.problems() {
        let spot = run.spot_of_problem(world, problem);
        let name = match spot.region {
            Some(place) => format!("{} at {}:{}", problem.kind.as_str(), place.line, place.column),
            None => problem.kind.as_str().to_owned(),
        };
        let element = if problem.kind.is_warning() { "skipped" } else { "error" };
        let help = problem.help.as_deref().unwrap_or_default();
        write_case(out, &spot.path.shown(), &name, element, problem.kind.as_str(), &problem.message, help)?;
    }
    for finding in world.findings() {
        let element = if fails(finding) { "failure" } else { "skipped" };
        write_finding(out, run, world, finding, element, &finding.message)?;
    }
    for hidden in hidden() {
        let reason = hidden.by.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let message = format!("{}{reason}: {}", hidden.by.as_str(), hidden.finding.message);
        write_finding(out, run, world, &hidden.finding, "skipped", &message)?;
    }
    writeln!(out, "  </testsuite>")
}

fn write_finding(
    out: &mut dyn Write,
    run: &CheckRun<'_>,
    world: &Checked<'_>,
    finding: &Finding,
    element: &str,
    message: &str,
) -> io::Result<()> {
    let spot = run.spot(world, finding);
    let at = spot.region.map(|place| format!(" at {}:{}", place.line, place.column)).unwrap_or_default();
    let name = format!("{}{at}", finding.rule);
    let kind = format!("{}[{}]", finding.severity.as_str(), finding.rule);
    let message = format!("{kind} {message}");
    write_case(out, &spot.path.shown(), &name, element, finding.rule, &message, &finding.help)
}

/// Writes a test case with one outcome in it.
fn write_case(
    out: &mut dyn Write,
    class: &str,
    name: &str,
    element: &str,
    kind: &str,
    message: &str,
    help: &str,
) -> io::Result<()> {
    let (class, name, kind, message) = (quoted(class), quoted(name), quoted(kind), quoted(message));
    writeln!(out, "    <testcase classname={class} name={name}>")?;
    // A skipped test has no type.
    if element == "skipped" {
        writeln!(out, "      <skipped message={message}/>")?;
    } else {
        let help = xml(help);
        writeln!(out, "      <{element} type={kind} message={message}>{help}</{element}>")?;
    }
    writeln!(out, "    </testcase>")
}

/// An attribute's value, with its quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", xml(text))
}

/// Escapes text. XML 1.0 cannot hold control characters at all, so these are shown as they are elsewhere.
fn xml(text: &str) -> String {
    let text = escape(text);
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::into_owned(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(quoted("a\u{0}<b>&\"'\u{ffff}]]>"), "\"a\\u{0}&lt;b&gt;&amp;&quot;&apos;\\u{ffff}]]&gt;\"");
    }
}
