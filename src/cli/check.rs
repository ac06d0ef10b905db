//! `deputize check`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use clap::ValueEnum;
use deputize::fix::{Replacement, replacements};
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::lint::{FailOn, Severity};
use deputize::output::check::{CheckRun, Checked, Display, Format, Repository, Sort, write_summary};
use deputize::output::human::{Style, Verbosity, write_totals};
use deputize::output::json::ContextFailure;
use deputize::triage::Triage;

use super::base::base_revision;
use super::files::Files;
use super::fix::{FixArgs, Fixed};
use super::input::{InputArgs, print_coverage, say_legacy_use, status_of};
use super::output::{self, Destination};
use super::settings::{RuleArgs, VersionArg};
use super::triage::{Judge, TriageArgs};
use super::{Failure, Outcome, Status, terminal};

const AFTER_HELP: &str = "\
Exit status: 0 no finding is as severe as --fail-on, 1 one is, 2 something could not be read.
With --fix or --diff what remains counts; --diff also ends with 1 if there is something to fix.";

/// Options that only concern what people are shown.
const FOR_PEOPLE: &str = "For people (--output human)";
/// Bytes that GitHub takes as the summary of a step; of more it shows nothing.
const MAX_SUMMARY: usize = 1 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How results are printed, and with `=FILE` where to; repeatable, one of them without a file
    #[arg(long, short, value_name = "FORMAT[=FILE]", value_parser = Destination::<Output>::parser(), default_value = "human")]
    output: Vec<Destination<Output>>,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    display: DisplayArgs,
    #[command(flatten)]
    triage: TriageArgs,
    #[command(flatten)]
    fixing: FixArgs,
    #[command(flatten)]
    version: VersionArg,
    /// Exit with 2 if the input holds no RBAC object at all
    #[arg(long)]
    require_rbac: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people, with the lines that matter
    Human,
    /// One line a finding
    Concise,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions; where $GITHUB_STEP_SUMMARY is set, the step's summary, too
    Github,
    /// GitLab's code quality report
    Gitlab,
    /// JUnit's XML
    Junit,
    /// `github` where GITHUB_ACTIONS=true, else `human`
    Auto,
}

impl Output {
    /// Returns the format, once it is known what runs the program and what it writes to.
    fn format(self, display: &DisplayArgs, is_file: bool) -> Format {
        match self {
            Self::Auto if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") => Format::Github,
            Self::Auto => Self::Human.format(display, is_file),
            Self::Human if is_file => Format::Human(display.with(Style::default())),
            Self::Human => Format::Human(display.with(terminal::style())),
            Self::Concise => Format::Concise,
            Self::Json => Format::Json,
            Self::Sarif => Format::Sarif,
            Self::Github => Format::Github,
            Self::Gitlab => Format::Gitlab,
            Self::Junit => Format::Junit,
        }
    }
}

/// What people are shown of the findings. Other formats hold all of them, and so does the exit status.
#[derive(Debug, clap::Args)]
struct DisplayArgs {
    /// Show at most so many findings, the worst, and count the rest by rule; 0 or `all` for no limit
    #[arg(long, value_name = "N", default_value = "50", value_parser = Limit::parse, help_heading = FOR_PEOPLE)]
    limit: Limit,
    /// Show no finding less severe than this
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t, help_heading = FOR_PEOPLE)]
    min_severity: MinSeverity,
    /// Order of the findings; by severity, the worst is last
    #[arg(long, value_name = "ORDER", value_enum, default_value_t, help_heading = FOR_PEOPLE)]
    sort: SortBy,
    /// Count the findings by rule, and show none of them
    #[arg(long, help_heading = FOR_PEOPLE)]
    statistics: bool,
}

/// How many findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<usize>);

impl Limit {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "0" | "all" => Ok(Self(None)),
            number => number.parse().map(|number| Self(Some(number))).map_err(|_| "give a number or `all`".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum MinSeverity {
    Error,
    Warning,
    #[default]
    Note,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum SortBy {
    #[default]
    Severity,
    Path,
    Rule,
}

impl DisplayArgs {
    /// Returns what is shown, laid out like that.
    fn with(&self, style: Style) -> Display {
        Display {
            style,
            sort: match self.sort {
                SortBy::Severity => Sort::Severity,
                SortBy::Path => Sort::Path,
                SortBy::Rule => Sort::Rule,
            },
            limit: self.limit.0,
            min_severity: match self.min_severity {
                MinSeverity::Error => Severity::Error,
                MinSeverity::Warning => Severity::Warning,
                MinSeverity::Note => Severity::Note,
            },
            statistics: self.statistics,
            verbose: terminal::verbosity() == Verbosity::Everything,
        }
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let selection = args.rules.selection()?;
    output::check(&args.output, args.input.files())?;
    let fixes = args.fixing.check(&args.input, &args.output)?;
    let selection = if fixes || writes_fixes(&args.output) { selection.with_mends() } else { selection };
    let read = args.input.load_each()?;
    let config = args.rules.over(args.input.config()?);
    let version = args.version.over(&args.input);
    let baseline = args.triage.baseline()?;
    let mut judge = Judge {
        args: &args.triage,
        version,
        selection: &selection,
        config: &config,
        baseline,
        base: None,
        partial: args.input.partial_repository(),
        whole: args.input.covers(&config.root),
    };
    if let Some(revision) = args.triage.diff_base() {
        judge.base = Some(base_revision(&args.input, revision, &judge)?);
    }
    let fail_on = args.rules.fail_on(&config);
    let (mut status, failures) = (read.status(), read.failures);
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let inventories: &[Inventory] = Vec::leak(read.inventories);
    let check = |inventory| World::check(inventory, &judge);
    let mut worlds = ManuallyDrop::new(inventories.iter().map(check).collect::<Vec<_>>());
    let mut fixed: Option<Fixed> = None;
    if let Some(world) = worlds.first_mut().filter(|_| fixes) {
        fixed = Some(args.fixing.run(&args.input, world, &check)?);
    }
    finish_baseline(&args.triage, &mut worlds)?;
    for world in worlds.iter() {
        status = status.max(world.status(args.require_rbac, fail_on)?);
    }
    // What was read, and what was not, comes before the findings: these are last, where the prompt is.
    for world in worlds.iter() {
        print_coverage(world.inventory)?;
        say_legacy_use(world.inventory)?;
        judge.print_effects(world.inventory, &world.triage)?;
    }
    let shown = if args.fixing.prints_diff() {
        None
    } else {
        print(args, fail_on, &worlds, &failures, status)?;
        args.findings_shown(&worlds)
    };
    for world in worlds.iter() {
        // Of several worlds, the findings are shown together.
        world.conclude(shown.filter(|_| worlds.len() == 1), status)?;
        if let Some(fixed) = &fixed {
            status = status.max(fixed.conclude(world)?);
        }
    }
    Ok(status)
}

/// One input, or one of several clusters, and what was found in it.
pub(super) struct World<'i> {
    pub(super) inventory: &'i Inventory,
    pub(super) grants: Grants<'i>,
    pub(super) triage: Triage,
}

impl<'i> World<'i> {
    fn check(inventory: &'i Inventory, judge: &Judge<'_>) -> Self {
        let grants = judge.grants(inventory);
        let triage = judge.triage(&grants);
        Self { inventory, grants, triage }
    }

    /// Reports whether everything could be read, and whether there is something to report. Problems that were found after
    /// reading go to standard error.
    fn status(&self, require_rbac: bool, fail_on: FailOn) -> Outcome {
        let mut status = status_of(&self.grants)?;
        if require_rbac && self.is_empty() {
            status = Status::Failed;
        }
        let is_reported = |least| self.triage.reported.iter().any(|finding| finding.severity >= least);
        let reported = fail_on.least().is_some_and(is_reported);
        Ok(status.max(if reported { Status::Reported } else { Status::Clean }))
    }

    /// Reports whether there is no RBAC object in the input.
    fn is_empty(&self) -> bool {
        self.inventory.coverage.objects + self.inventory.coverage.embedded == 0
    }

    /// Prints on standard error how many findings there are, and how many were shown, if not all.
    fn conclude(&self, shown: Option<usize>, status: Status) -> Result<(), Failure> {
        if terminal::is_quiet() {
            return Ok(());
        }
        let mut err = terminal::stderr();
        if self.is_empty() {
            writeln!(err, "there is no RBAC object here, so nothing was checked")?;
        } else {
            let is_whole = status != Status::Failed;
            write_totals(&mut err, &self.triage, (shown, is_whole), terminal::stderr_style())?;
        }
        Ok(err.flush()?)
    }
}

impl Args {
    /// Returns how many findings people were shown, if not all of them.
    fn findings_shown(&self, worlds: &[World<'_>]) -> Option<usize> {
        self.output.iter().find(|to| to.file.is_none() && matches!(to.format, Output::Human | Output::Auto))?;
        let display = self.display.with(Style::default());
        let all: usize = worlds.iter().map(|world| world.triage.reported.len()).sum();
        let severe = |world: &World<'_>| {
            world.triage.reported.iter().filter(|finding| finding.severity >= display.min_severity).count()
        };
        let shown = display.shown(worlds.iter().map(severe).sum());
        (shown < all).then_some(shown)
    }
}

/// Writes the baseline that is asked for. What one of several inputs still has is not fixed.
fn finish_baseline(args: &TriageArgs, worlds: &mut [World<'_>]) -> Result<(), Failure> {
    if let Some(written) = args.write_baseline(worlds.iter().map(|world| (world.inventory, &world.triage)))? {
        worlds.iter_mut().for_each(|world| world.triage.hide_known(&written));
    }
    if worlds.len() < 2 {
        return Ok(());
    }
    let mut fixed = worlds.first().map(|world| world.triage.fixed.clone()).unwrap_or_default();
    fixed.retain(|entry| worlds.iter().all(|world| world.triage.fixed.contains(entry)));
    worlds.iter_mut().for_each(|world| world.triage.fixed.clone_from(&fixed));
    Ok(())
}

/// Writes each result where it belongs.
fn print(
    args: &Args,
    fail_on: FailOn,
    worlds: &[World<'_>],
    failures: &[ContextFailure],
    status: Status,
) -> Result<(), Failure> {
    let problems: Vec<_> = worlds.iter().map(|world| world.grants.problem()).collect();
    let checked = worlds.iter().zip(&problems).map(|(world, problem)| Checked {
        grants: &world.grants,
        problem: problem.as_ref(),
        triage: &world.triage,
    });
    let run = CheckRun {
        worlds: checked.collect(),
        failures,
        is_several: args.input.is_several(),
        fail_on: fail_on.least(),
        show_accepted: args.triage.show_accepted,
        fixes: if writes_fixes(&args.output) { fixes(args, worlds) } else { BTreeMap::new() },
        exit_code: status as u8,
        repository: Repository::of(std::env::current_dir().unwrap_or_default()),
    };
    let format = |to: &Destination<Output>| to.format.format(&args.display, to.file.is_some());
    let formats: Vec<Format> = args.output.iter().map(format).collect();
    for (destination, format) in args.output.iter().zip(&formats) {
        output::write(destination, |out| format.write(out, &run))?;
    }
    if formats.contains(&Format::Github) {
        write_step_summary(&run)?;
    }
    Ok(())
}

/// How many findings get a fix in formats that hold fixes: each is planned alone.
const MAX_FIXES: usize = 200;

/// Reports whether a format holds fixes.
fn writes_fixes(output: &[Destination<Output>]) -> bool {
    output.iter().any(|to| to.format == Output::Sarif)
}

/// What mends the first findings that can be mended, by their fingerprints. Nothing mends what is in no file.
fn fixes(args: &Args, worlds: &[World<'_>]) -> BTreeMap<String, Vec<Replacement>> {
    let [world] = worlds else { return BTreeMap::new() };
    let is_read_once = args.input.reads_stdin() || !world.inventory.streams.is_empty();
    if args.input.is_live() || is_read_once || !world.inventory.clusters.is_empty() {
        return BTreeMap::new();
    }
    let mut files = Files::new(args.input.files());
    let mut read = |name: &Arc<str>| files.read(name);
    let mendable = world.triage.reported.iter().filter(|finding| finding.mend.is_some()).take(MAX_FIXES);
    let planned =
        mendable.map(|finding| (finding.fingerprint.clone(), replacements(&world.grants, finding, &mut read)));
    planned.filter(|(_, replacements)| !replacements.is_empty()).collect()
}

/// Adds the findings to the summary of a step of GitHub Actions, if the runner named a file for it.
fn write_step_summary(run: &CheckRun<'_>) -> Result<(), Failure> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return Ok(()) };
    let write = || {
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        // What other commands of the step wrote counts, too.
        let used = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        write_summary(&mut file, run, MAX_SUMMARY.saturating_sub(used))
    };
    write().map_err(|error| Failure::Message(format!("the file of $GITHUB_STEP_SUMMARY cannot be written: {error}")))
}
