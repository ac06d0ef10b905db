//! What was read, and what could not be: remarks on standard error.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Write};

use foldhash::fast::RandomState;

use super::escape;
use super::human::{Remarks, Verbosity, count, describe_cluster, position};
use super::paint::Paint;
use crate::inventory::{Aside, Inventory, Mention, Unread};
use crate::problem::{Problem, ProblemKind};

/// How many different remarks of one kind are shown, unless all are asked for.
const MAX_SHOWN: usize = 20;

impl Remarks {
    /// Returns which remarks are shown, and for how many each of them stands: those with the same key are one, the first of
    /// them. Also how many more there are.
    fn summarize<T, K: Eq + Hash>(self, all: Vec<T>, key: impl Fn(&T) -> K) -> (Vec<(T, usize)>, usize) {
        if self.verbosity == Verbosity::Everything {
            return (all.into_iter().map(|one| (one, 1)).collect(), 0);
        }
        let mut known: HashMap<K, usize, RandomState> = HashMap::default();
        let mut shown: Vec<(T, usize)> = Vec::new();
        for one in all {
            let next = shown.len();
            match shown.get_mut(*known.entry(key(&one)).or_insert(next)) {
                Some((_, count)) => *count += 1,
                None => shown.push((one, 1)),
            }
        }
        let more = shown.split_off(shown.len().min(MAX_SHOWN));
        (shown, more.iter().map(|(_, count)| count).sum())
    }
}

/// Writes what could not be read, errors last: a line for all places with the same problem, and what to do about it.
///
/// # Errors
/// When `out` does.
pub fn write_problems(out: &mut dyn Write, problems: &[Problem], remarks: Remarks) -> io::Result<()> {
    let (warnings, errors): (Vec<&Problem>, Vec<&Problem>) =
        problems.iter().partition(|problem| problem.kind.is_warning());
    let warnings = if remarks.verbosity == Verbosity::Quiet { Vec::new() } else { warnings };
    for problems in [warnings, errors] {
        let (shown, more) = remarks.summarize(problems, |problem| (problem.kind, &problem.message, &problem.help));
        for (problem, times) in shown {
            write_problem(out, problem, times, Paint::new(remarks.style))?;
        }
        if more > 0 {
            writeln!(out, "… and {} (-v shows all)", count(more, "more problem"))?;
        }
    }
    Ok(())
}

fn write_problem(out: &mut dyn Write, problem: &Problem, times: usize, paint: Paint) -> io::Result<()> {
    let at = problem.place.map_or_else(|| escape(&problem.path).into_owned(), |place| position(&problem.path, &place));
    let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
    writeln!(out, "{at}: {}: {}{times}", paint.grade(problem.kind.is_warning()), escape(&problem.message))?;
    match &problem.help {
        Some(help) => writeln!(out, "  help: {}", escape(help)),
        None => Ok(()),
    }
}

/// Writes what was read and what was not.
///
/// # Errors
/// When `out` does.
pub fn write_coverage(out: &mut dyn Write, inventory: &Inventory, remarks: Remarks) -> io::Result<()> {
    if remarks.verbosity == Verbosity::Quiet {
        return Ok(());
    }
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
    let parts = skipped_parts(inventory);
    if !parts.is_empty() {
        writeln!(out, "{}: {}", Paint::new(remarks.style).yellow("skipped"), parts.join("; "))?;
    }
    write_skipped(out, inventory, remarks)
}

/// Returns what was skipped, in numbers.
fn skipped_parts(inventory: &Inventory) -> Vec<String> {
    let coverage = &inventory.coverage;
    let mut parts = Vec::new();
    if !coverage.unread.is_empty() {
        let mentioning = coverage.unread.iter().filter(|unread| !unread.mentions.is_empty()).count();
        let mentioning =
            if mentioning > 0 { format!(" ({mentioning} with the word `impersonate`)") } else { String::new() };
        parts.push(format!("{}{mentioning}", count(coverage.unread.len(), "template part")));
    }
    if !coverage.mentions.is_empty() {
        parts.push(format!("{} outside RBAC rules", count(coverage.mentions.len(), "impersonation verb")));
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
        parts.push(format!("{} excluded by the configuration", count(coverage.skipped.excluded.len(), "path")));
    }
    if !coverage.skipped.outputs.is_empty() {
        parts.push(format!("{} of earlier migrations", count(coverage.skipped.outputs.len(), "result")));
    }
    let mut kinds: Vec<ProblemKind> = inventory.problems.iter().map(|problem| problem.kind).collect();
    kinds.sort();
    parts.extend(kinds.chunk_by(|a, b| a == b).map(|kinds| kinds[0].count(kinds.len())));
    parts
}

/// A place that was skipped.
struct SkippedPlace {
    /// Where it is.
    at: String,
    /// Why.
    reason: String,
    /// What it has in common with others of its kind.
    kind: String,
}

/// Writes what was skipped, a line for all places with the same reason.
fn write_skipped(out: &mut dyn Write, inventory: &Inventory, remarks: Remarks) -> io::Result<()> {
    let coverage = &inventory.coverage;
    let whole_files = [
        ("symbolic link, not followed", &coverage.skipped.symlinks),
        ("not a regular file", &coverage.skipped.special),
        ("written by an earlier migration", &coverage.skipped.outputs),
    ];
    let whole_files = whole_files.into_iter().flat_map(|(reason, paths)| {
        let place = move |path: &std::sync::Arc<str>| SkippedPlace {
            at: path.to_string(),
            reason: reason.to_owned(),
            kind: reason.to_owned(),
        };
        paths.iter().map(place)
    });
    // Those that hold the word come first.
    let has_word = |unread: &&Unread| !unread.mentions.is_empty();
    let unread = coverage.unread.iter().filter(has_word).chain(coverage.unread.iter().filter(|it| !has_word(it)));
    let kinds = [
        whole_files.collect(),
        unread.map(SkippedPlace::of_template).collect(),
        coverage.mentions.iter().map(SkippedPlace::of_mention).collect(),
        coverage.aside.iter().map(SkippedPlace::of_aside).collect::<Vec<_>>(),
    ];
    for places in kinds {
        let (shown, more) = remarks.summarize(places, |place| place.kind.clone());
        for (SkippedPlace { at, reason, .. }, times) in shown {
            let times = if times > 1 { format!(" ({times} such places)") } else { String::new() };
            writeln!(out, "  {}: skipped: {}{times}", escape(&at), escape(&reason))?;
        }
        if more > 0 {
            writeln!(out, "  … and {} (-v shows all)", count(more, "more place"))?;
        }
    }
    Ok(())
}

impl SkippedPlace {
    fn of_template(unread: &Unread) -> Self {
        let lines: Vec<String> = unread.mentions.iter().take(5).map(u32::to_string).collect();
        let more = if unread.mentions.len() > 5 { ", …" } else { "" };
        let mentions = if lines.is_empty() {
            String::new()
        } else {
            format!("; `impersonate` on line {}{more}", lines.join(", "))
        };
        let language = unread.language.as_str();
        Self {
            at: format!("{}:{}", unread.path, unread.line),
            reason: format!("template ({language}): {}{mentions}", unread.reason),
            kind: format!("{language} {} {}", lines.is_empty(), unread.reason),
        }
    }

    fn of_mention(mention: &Mention) -> Self {
        let within = if mention.within.is_empty() { String::new() } else { format!(" (in {})", mention.within) };
        Self {
            at: format!("{}:{}", mention.path, mention.place.line),
            reason: format!("{}{within}", mention.reason.describe()),
            kind: mention.reason.describe().to_owned(),
        }
    }

    fn of_aside(Aside { path, line, reason }: &Aside) -> Self {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        // What follows the colon are the names that this one place is about.
        let kind = reason.split_once(": ").map_or(reason.as_str(), |(kind, _)| kind);
        Self { at: format!("{path}{line}"), reason: reason.clone(), kind: kind.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inventory::load_bytes;
    use crate::syntax::Place;

    fn problem(path: &str, line: u32, kind: ProblemKind, message: &str) -> Problem {
        let place = Some(Place { line, column: 1, ..Place::default() });
        Problem { path: Arc::from(path), place, kind, message: message.to_owned(), help: Some("write it".to_owned()) }
    }

    fn problems(verbosity: Verbosity) -> String {
        let null = |line| problem("a.yaml", line, ProblemKind::Null, "`verbs` is null");
        let broken = problem("b.yaml", 7, ProblemKind::Syntax, "not YAML");
        let mut out = Vec::new();
        let remarks = Remarks { verbosity, ..Remarks::default() };
        write_problems(&mut out, &[null(1), broken, null(2), null(3)], remarks).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_same_problem_is_one_line_and_errors_are_last() {
        let expected = "\
a.yaml:1:1: warning: `verbs` is null (3 times)
  help: write it
b.yaml:7:1: error: not YAML
  help: write it
";
        assert_eq!(problems(Verbosity::Summary), expected);
        assert_eq!(problems(Verbosity::Quiet), "b.yaml:7:1: error: not YAML\n  help: write it\n");
        let everything = problems(Verbosity::Everything);
        assert_eq!(everything.matches("`verbs` is null\n").count(), 3, "{everything}");
    }

    #[test]
    fn different_problems_are_bounded_and_the_others_counted() {
        let many: Vec<Problem> =
            (0..50).map(|line| problem("a.yaml", line, ProblemKind::Syntax, &format!("not YAML: {line}"))).collect();
        let mut out = Vec::new();
        write_problems(&mut out, &many, Remarks::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.matches("error: not YAML").count(), 20, "{out}");
        assert!(out.ends_with("… and 30 more problems (-v shows all)\n"), "{out}");
    }

    #[test]
    fn skipped_places_are_summarized_and_can_be_listed() {
        let text = "kind: X\nspec: [impersonate]\n---\nkind: X\nspec: [impersonate]\n";
        let inventory = load_bytes("a.yaml", text.as_bytes());
        let coverage = |verbosity| {
            let mut out = Vec::new();
            write_coverage(&mut out, &inventory, Remarks { verbosity, ..Remarks::default() }).unwrap();
            String::from_utf8(out).unwrap()
        };
        let summary = coverage(Verbosity::Summary);
        assert!(summary.contains("\nskipped: 2 impersonation verbs outside RBAC rules\n"), "{summary}");
        assert!(summary.ends_with(" (2 such places)\n") && summary.lines().count() == 3, "{summary}");
        let everything = coverage(Verbosity::Everything);
        assert!(
            everything.contains("  a.yaml:2: skipped: ") && everything.contains("  a.yaml:5: skipped: "),
            "{everything}"
        );
        assert_eq!(coverage(Verbosity::Quiet), "");
    }
}
