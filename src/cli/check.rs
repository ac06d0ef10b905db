//! `deputize check`.

use std::io::{self, Write};
use std::mem::ManuallyDrop;

use clap::ValueEnum;
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::lint::{self, Selection, Severity};
use deputize::output::{human, json};
use deputize::triage::Triage;

use super::fix::{FixArgs, Fixed};
use super::input::{InputArgs, VersionArg, say_coverage, status_of};
use super::terminal::{self, Output};
use super::{Failure, Outcome, Status};

const AFTER_HELP: &str = "\
Exit status: 0 no finding is as severe as --fail-on, 1 one is, 2 something could not be read.
With --fix or --diff what remains counts; --diff also ends with 1 if there is something to fix.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How findings are printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Least severity that makes the exit status 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t)]
    fail_on: FailOn,
    /// Apply these rules only
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    select: Vec<String>,
    /// Do not apply these rules
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    ignore: Vec<String>,
    #[command(flatten)]
    fixing: FixArgs,
    #[command(flatten)]
    version: VersionArg,
    /// Exit with 2 if the input holds no RBAC object at all
    #[arg(long)]
    require_rbac: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum FailOn {
    Error,
    #[default]
    Warning,
    Note,
    Never,
}

impl FailOn {
    fn least(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Note => Some(Severity::Note),
            Self::Never => None,
        }
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let selection = Selection::new(&args.select, &args.ignore).map_err(|error| Failure::Message(error.to_string()))?;
    let fixes = args.fixing.check(&args.input, args.output)?;
    let selection = if fixes { selection.with_mends() } else { selection };
    let read = args.input.load_each()?;
    let (mut status, failures) = (read.status(), read.failures);
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let inventories: &[Inventory] = Vec::leak(read.inventories);
    let check = |inventory| World::check(inventory, args, &selection);
    let mut worlds = ManuallyDrop::new(inventories.iter().map(check).collect::<Vec<_>>());
    let mut fixed: Option<Fixed> = None;
    if let Some(world) = worlds.first_mut().filter(|_| fixes) {
        fixed = Some(args.fixing.run(&args.input, world, &check)?);
    }
    if !args.fixing.prints_diff() {
        let mut out = terminal::stdout();
        let printed = print(args, &worlds, &failures, &mut out);
        terminal::unless_closed(printed.and_then(|()| out.flush()))?;
    }
    for world in worlds.iter() {
        status = status.max(world.conclude(args)?);
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
    fn check(inventory: &'i Inventory, args: &Args, selection: &Selection) -> Self {
        let grants =
            Grants::new(inventory).on_servers(args.version.version(inventory), args.version.feature(inventory));
        let triage = Triage::report_all(lint::check(&grants, selection));
        Self { inventory, grants, triage }
    }

    /// Says on standard error what was read, and whether there is something to report.
    fn conclude(&self, args: &Args) -> Outcome {
        let mut status = status_of(&self.grants)?;
        say_coverage(self.inventory)?;
        let mut err = terminal::stderr();
        if self.inventory.coverage.objects + self.inventory.coverage.embedded == 0 {
            writeln!(err, "there is no RBAC object here, so nothing was checked")?;
            if args.require_rbac {
                status = Status::Failed;
            }
        } else {
            human::write_totals(&mut err, &self.triage)?;
        }
        let is_reported = |least| self.triage.reported.iter().any(|finding| finding.severity >= least);
        let reported = args.fail_on.least().is_some_and(is_reported);
        Ok(status.max(if reported { Status::Reported } else { Status::Clean }))
    }
}

fn print(args: &Args, worlds: &[World<'_>], failures: &[json::ContextFailure], out: &mut dyn Write) -> io::Result<()> {
    match (args.output, worlds) {
        (Output::Human, worlds) => worlds.iter().try_for_each(|world| {
            human::write_findings(out, world.inventory, &world.triage.reported, terminal::style())
        }),
        (Output::Json, [world]) if !args.input.is_several() => json::write_check(out, world.inventory, &world.triage),
        (Output::Json, worlds) => {
            let checked: Vec<_> = worlds.iter().map(|world| (world.inventory, &world.triage)).collect();
            json::write_check_of_each(out, &checked, failures)
        }
    }
}
