//! Findings for people: role by role, the worst last, where the prompt is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use annotate_snippets::renderer::{AnsiColor, Style as AnsiStyle};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use foldhash::fast::RandomState;
use rayon::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::place::position;
use super::{CheckRun, Checked, Ranked, ranked};
use crate::about::rule_url;
use crate::inventory::Inventory;
use crate::lint::{About, Finding, Related, Severity, find_rule};
use crate::output::escape;
use crate::output::excerpt::excerpts;
use crate::output::human::{count, write_accepted, write_cluster_heading};
use crate::output::paint::{Paint, Style};
use crate::output::table::{Cell, Column, Tone, write_table};
use crate::output::text::wrap;
use crate::syntax::Place;

/// How many findings are shown with the lines around them, the last ones; of the others, a line each.
const MAX_EXCERPTS: usize = 10_000;
/// How many groups are laid out at a time, so that memory does not grow with the number of findings.
const STRETCH: usize = 1024;

/// What is shown of the findings, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Display {
    /// How text is laid out.
    pub style: Style,
    /// The order of the findings.
    pub sort: Sort,
    /// How many findings are shown, the worst ones; none for all.
    pub limit: Option<usize>,
    /// The least severity that is shown.
    pub min_severity: Severity,
    /// Whether findings are only counted, by rule.
    pub statistics: bool,
    /// Whether the lines of bindings and other related places are shown, too.
    pub verbose: bool,
}

/// The order in which findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Role by role, the worst last.
    #[default]
    Severity,
    /// By file and line.
    Path,
    /// By the name of the rule.
    Rule,
}

impl Display {
    /// Returns how many of so many findings of a severity or more are shown.
    pub fn shown(&self, findings: usize) -> usize {
        if self.statistics { findings } else { self.limit.map_or(findings, |limit| findings.min(limit)) }
    }
}

/// Writes the findings.
pub(super) fn write(out: &mut dyn Write, run: &CheckRun<'_>, display: &Display) -> io::Result<()> {
    if run.show_accepted {
        let mut accepted = Vec::new();
        run.worlds.iter().try_for_each(|world| write_accepted(&mut accepted, world.triage))?;
        if !accepted.is_empty() {
            out.write_all(&accepted)?;
            writeln!(out)?;
        }
    }
    // The worst first: what is left out is the least severe.
    let mut shown = ranked(run);
    shown.retain(|ranked| ranked.finding.severity >= display.min_severity);
    if display.statistics {
        return write_counts(out, &shown, display.style);
    }
    let rest = shown.split_off(display.shown(shown.len()));
    if !rest.is_empty() {
        let heading = format!("{} not shown (--limit shows more)", count(rest.len(), "finding"));
        writeln!(out, "{}", Paint::new(display.style).bold(&heading))?;
        write_counts(out, &rest, display.style)?;
        writeln!(out)?;
    }
    for world in &run.worlds {
        let own = shown.iter().filter(|ranked| std::ptr::eq(ranked.world, world));
        let mut findings: Vec<&Finding> = own.map(|ranked| ranked.finding).collect();
        if findings.is_empty() {
            continue;
        }
        if run.is_several {
            write_cluster_heading(out, world.inventory(), display.style)?;
            writeln!(out)?;
        }
        findings.sort_by(|a, b| a.order().cmp(&b.order()));
        Findings { world, display }.write(out, findings)?;
    }
    Ok(())
}

/// Writes how many findings there are of each rule and severity, the worst last.
fn write_counts(out: &mut dyn Write, findings: &[Ranked<'_>], style: Style) -> io::Result<()> {
    let mut counts: BTreeMap<(Severity, &'static str), usize> = BTreeMap::new();
    for ranked in findings {
        *counts.entry((ranked.finding.severity, ranked.finding.rule)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|((severity, rule), count)| (*severity, *count, Reverse(*rule)));
    let width = counts.iter().map(|(_, count)| count.to_string().len()).max().unwrap_or_default();
    let rows = counts.into_iter().map(|((severity, rule), count)| {
        let summary = find_rule(rule).map(|rule| rule.page().summary()).unwrap_or_default();
        [
            Cell::from(format!("{count:>width$}")),
            Cell::new(severity.as_str(), Tone::of(severity)),
            Cell::from(rule).linked(rule_url(rule)),
            Cell::from(summary),
        ]
    });
    let columns = [
        Column::new("COUNT"),
        Column::new("SEVERITY"),
        Column::new("RULE"),
        Column::new("FINDS").optional(1).prose(36),
    ];
    write_table(out, style, columns, rows.collect())
}

/// Findings that are shown together: those about one role, or about one other thing.
struct Together<'f> {
    about: Key,
    /// Those at one place are one after the other.
    findings: Vec<&'f Finding>,
}

/// What findings that are shown together have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Role(crate::inventory::RoleId),
    Binding(crate::inventory::BindingId),
    /// A place in a file.
    Place(Place),
}

impl Key {
    fn of(finding: &Finding) -> Self {
        match finding.about {
            About::Rule(role, _) | About::Role(role) => Self::Role(role),
            About::Binding(binding) => Self::Binding(binding),
            About::File => Self::Place(finding.place),
        }
    }
}

impl<'f> Together<'f> {
    fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Returns the findings at each place.
    fn sites(&self) -> impl DoubleEndedIterator<Item = &[&'f Finding]> {
        self.findings.chunk_by(|a, b| (&a.path, a.place) == (&b.path, b.place))
    }
}

/// Returns the findings, which come in the order of their places, as they are shown.
fn arrange(mut findings: Vec<&Finding>, sort: Sort) -> Vec<Together<'_>> {
    if sort == Sort::Rule {
        findings.sort_by_key(|finding| finding.rule);
    }
    let mut groups: Vec<Together<'_>> = Vec::new();
    let mut known: HashMap<(&str, Key), usize, RandomState> = HashMap::default();
    for finding in findings {
        let about = Key::of(finding);
        let next = groups.len();
        let index = match sort {
            Sort::Severity => *known.entry((&finding.path, about)).or_insert(next),
            // Only what is together anyway.
            Sort::Path | Sort::Rule => match groups.last() {
                Some(last)
                    if last.about == about && last.findings.first().is_some_and(|first| first.path == finding.path) =>
                {
                    next - 1
                }
                _ => next,
            },
        };
        match groups.get_mut(index) {
            Some(group) => group.findings.push(finding),
            None => groups.push(Together { about, findings: vec![finding] }),
        }
    }
    if sort == Sort::Severity {
        // Both sorts are stable.
        for group in &mut groups {
            let mut sites: Vec<Vec<&Finding>> = group.sites().map(<[_]>::to_vec).collect();
            sites.iter_mut().for_each(|site| site.sort_by_key(|finding| finding.severity));
            sites.sort_by_key(|site| site.last().map(|finding| finding.severity));
            group.findings = sites.concat();
        }
        groups.sort_by_key(Together::worst);
    }
    groups
}

/// The findings of one input.
struct Findings<'a> {
    world: &'a Checked<'a>,
    display: &'a Display,
}

impl Findings<'_> {
    fn write(&self, out: &mut dyn Write, findings: Vec<&Finding>) -> io::Result<()> {
        let mut left = findings.len();
        let groups = arrange(findings, self.display.sort);
        let is_short = |group: &Together<'_>| {
            let short = left > MAX_EXCERPTS;
            left -= group.findings.len();
            short
        };
        let is_short: Vec<bool> = groups.iter().map(is_short).collect();
        let groups: Vec<(&Together<'_>, bool)> = groups.iter().zip(is_short).collect();
        for stretch in groups.chunks(STRETCH) {
            let render = |(group, is_short): &(&Together<'_>, bool)| {
                if *is_short { self.lines(group) } else { self.group(group) }
            };
            let rendered: Vec<String> = stretch.par_iter().map(render).collect();
            rendered.iter().try_for_each(|text| out.write_all(text.as_bytes()))?;
        }
        Ok(())
    }

    fn paint(&self) -> Paint {
        Paint::new(self.display.style)
    }

    fn inventory(&self) -> &Inventory {
        self.world.inventory()
    }

    /// Returns a line for each finding.
    fn lines(&self, group: &Together<'_>) -> String {
        let line = |finding: &&Finding| {
            let at = position(self.world, finding);
            format!("{}: {}: {}\n", escape(&at), self.code(finding), escape(&finding.message))
        };
        group.findings.iter().map(line).collect()
    }

    /// Returns the findings of a group with the lines that they are about.
    fn group(&self, group: &Together<'_>) -> String {
        let mut text = String::new();
        if let Key::Role(_) = group.about {
            self.heading(&mut text, group);
            text.push('\n');
        }
        let sites: Vec<&[&Finding]> = group.sites().collect();
        // What is said of several places stands below the last, which is the worst.
        let mut said: HashSet<&Related, RandomState> = HashSet::default();
        let mut notes: Vec<Vec<&Related>> = Vec::new();
        for site in sites.iter().rev() {
            let related = site.iter().flat_map(|finding| finding.related.iter());
            notes.push(related.filter(|related| !related.is_binding && said.insert(related)).collect());
        }
        for (site, notes) in sites.iter().zip(notes.iter().rev()) {
            self.site(&mut text, site, notes);
            text.push('\n');
        }
        text
    }

    /// Adds the role and what binds it, which all of the findings share.
    fn heading(&self, text: &mut String, group: &Together<'_>) {
        let width = self.display.style.width;
        let Some(meta) = group.findings.first().and_then(|finding| finding.about.meta(self.inventory())) else {
            return;
        };
        text.push_str(&format!("{}\n", self.paint().bold(&escape(&meta.describe()))));
        let mut add = |line: &str| {
            for line in wrap(&escape(line), width, "  ", "    ") {
                text.push_str(&format!("{line}\n"));
            }
        };
        if !meta.copies.is_empty() {
            add(&format!("the same definition is in {}", count(meta.copies.len(), "other place")));
        }
        let mut known: HashSet<&Related, RandomState> = HashSet::default();
        let bindings = group.findings.iter().flat_map(|finding| finding.related.iter()).filter(|it| it.is_binding);
        let bindings: Vec<&Related> = bindings.filter(|related| known.insert(related)).collect();
        for binding in &bindings {
            add(&self.note(binding));
        }
        let left_out = group.findings.iter().map(|finding| finding.bindings_left_out).max().unwrap_or_default();
        if left_out > 0 {
            add(&format!("{} not shown", count(left_out, "more binding")));
        }
        if self.display.verbose {
            for binding in &bindings {
                self.related(text, binding);
            }
        }
    }

    /// Returns what a related place has to do with a finding, and where it is.
    fn note(&self, related: &Related) -> String {
        match related.places.first() {
            // A live cluster has no lines.
            Some((place, _)) if !self.inventory().live => {
                format!("{} ({}:{}:{})", related.message, related.path, place.line, place.column)
            }
            _ => related.message.clone(),
        }
    }

    /// Adds the findings at one place: what is the matter, the lines, what to do.
    fn site(&self, text: &mut String, site: &[&Finding], notes: &[&Related]) {
        let Some(first) = site.first() else { return };
        for finding in site {
            self.title(text, finding);
        }
        let severity = site.iter().map(|finding| finding.severity).max().unwrap_or(first.severity);
        let mut places = vec![first.place];
        places.extend(site.iter().flat_map(|finding| &finding.resources));
        let label = distinct(site.iter().map(|finding| finding.label.as_str())).join("; ");
        let marks: Vec<(Place, Option<&str>)> = places.into_iter().map(|place| (place, None)).collect();
        let mut marks = distinct(marks);
        if let Some((_, first)) = marks.first_mut() {
            *first = Some(&label);
        }
        let mut footers: Vec<(&str, String)> = distinct(site.iter().map(|finding| finding.help.as_str()))
            .iter()
            .map(|help| ("help", (*help).to_owned()))
            .collect();
        footers.extend(notes.iter().map(|note| ("note", self.note(note))));
        let rules = distinct(site.iter().map(|finding| finding.rule)).join(" ");
        footers.push(("explain", format!("deputize explain {rules}")));
        self.snippet(text, severity, (&first.path, &position(self.world, first)), &marks, &footers);
        if self.display.verbose {
            for note in notes {
                self.related(text, note);
            }
        }
    }

    /// Adds `severity[rule]: message`.
    fn title(&self, text: &mut String, finding: &Finding) {
        let code = self.code(finding);
        let plain = finding.severity.as_str().len() + finding.rule.len() + "[]: ".len();
        let lines = wrap(&escape(&finding.message), self.display.style.width, &" ".repeat(plain), "    ");
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                text.push_str(&format!("{code}: {}\n", self.paint().bold(line.trim_start())));
            } else {
                text.push_str(&format!("{}\n", self.paint().bold(line)));
            }
        }
    }

    /// Returns `severity[rule]`, which leads to the rule's page if the terminal knows links.
    fn code(&self, finding: &Finding) -> String {
        let code = format!("{}[{}]", finding.severity.as_str(), finding.rule);
        self.paint().link(rule_url(finding.rule).as_deref(), &self.paint().severity(finding.severity, &code))
    }

    /// Adds the lines of a related place.
    fn related(&self, text: &mut String, related: &Related) {
        let Some((first, _)) = related.places.first() else { return };
        let marks: Vec<(Place, Option<&str>)> =
            related.places.iter().map(|(place, label)| (*place, Some(label.as_str()))).collect();
        let at = format!("{}:{}:{}", related.path, first.line, first.column);
        self.snippet(text, Severity::Note, (&related.path, &at), &marks, &[]);
    }

    /// Adds the lines of a file with marks in them, and notes below. The first mark is the one that the header names;
    /// marks that are far from it are not shown.
    fn snippet(
        &self,
        text: &mut String,
        severity: Severity,
        (path, at): (&str, &str),
        marks: &[(Place, Option<&str>)],
        footers: &[(&str, String)],
    ) {
        let places: Vec<Place> = marks.iter().map(|(place, _)| *place).collect();
        let cut = excerpts(self.inventory(), path, &places).into_iter().find(|(_, shown)| shown.contains(&0));
        let last = cut.as_ref().map_or(0, |(excerpt, _)| excerpt.line as usize + excerpt.text.lines().count());
        let mut annotations: Vec<Annotation<'_>> = Vec::new();
        if let Some((excerpt, shown)) = &cut {
            for (range, index) in excerpt.marks.iter().zip(shown) {
                let kind = if *index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let label = marks.get(*index).and_then(|(_, label)| *label).map(|label| escape(label).into_owned());
                annotations.push(kind.span(range.clone()).label(label));
            }
        }
        let render = |annotations: Vec<Annotation<'_>>| {
            let mut group = Group::with_level(level(severity));
            if let Some((excerpt, _)) = &cut {
                let snippet = Snippet::source(excerpt.text.as_str()).line_start(excerpt.line as usize);
                group = group.element(snippet.annotations(annotations));
            }
            for (name, text) in footers {
                let before = last.to_string().len() + name.len() + " = : ".len();
                let lines = wrap(&escape(text), self.display.style.width.saturating_sub(before).max(30), "", "");
                group = group.element(Level::NOTE.with_name(*name).message(lines.join("\n")));
            }
            if group.is_empty() { String::new() } else { self.renderer().render(&[group]) }
        };
        let mut rendered = render(annotations.clone());
        let is_mark = |line: &&str| line.contains(['^', '-']) && !line.contains("= ");
        if rendered.lines().filter(is_mark).any(|line| plain_width(line) > self.display.style.width) {
            // The message says the same, and more.
            rendered = render(annotations.into_iter().map(|annotation| annotation.label(None::<&str>)).collect());
        }
        // The first line is as far to the right as the others: `  |`.
        let before = rendered.len() - rendered.trim_start_matches(' ').len();
        let arrow = self.paint().blue("-->");
        text.push_str(&format!("{:indent$}{arrow} {}\n", "", escape(at), indent = before.saturating_sub(1)));
        if !rendered.is_empty() {
            text.push_str(&rendered);
            text.push('\n');
        }
    }

    fn renderer(&self) -> Renderer {
        let width = self.display.style.width;
        if !self.display.style.colour {
            return Renderer::plain().term_width(width);
        }
        let bold = |colour: AnsiColor| AnsiStyle::new().bold().fg_color(Some(colour.into()));
        Renderer::styled()
            .term_width(width)
            .error(bold(AnsiColor::Red))
            .warning(bold(AnsiColor::Yellow))
            .note(bold(AnsiColor::Blue))
            .context(bold(AnsiColor::Blue))
            .line_num(AnsiStyle::new().fg_color(Some(AnsiColor::Blue.into())))
            .emphasis(AnsiStyle::new().bold())
    }
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    }
}

/// Returns the columns that a painted line takes.
fn plain_width(line: &str) -> usize {
    anstream::adapter::strip_str(line).map(UnicodeWidthStr::width).sum()
}

/// Returns each item once.
fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}
