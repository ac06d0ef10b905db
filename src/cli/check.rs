//! `deputize check`.

use std::io::Write;
use std::mem::ManuallyDrop;

use clap::ValueEnum;
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::lint::{self, Selection, Severity};
use deputize::output::{human, json};

use super::input::{InputArgs, say_coverage, status_of};
use super::terminal::{self, Output};
use super::{Failure, Outcome, Status};

const AFTER_HELP: &str = "\
Exit status: 0 no finding is as severe as --fail-on, 1 one is, 2 something could not be read.";

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
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let inventory: &Inventory = Box::leak(Box::new(args.input.load()?));
    let grants = ManuallyDrop::new(Grants::new(inventory));
    let findings = ManuallyDrop::new(lint::check(&grants, &selection));
    let mut out = terminal::stdout();
    let printed = match args.output {
        Output::Human => human::write_findings(&mut out, inventory, &findings, terminal::style()),
        Output::Json => json::write_check(&mut out, inventory, &findings),
    };
    terminal::unless_closed(printed.and_then(|()| out.flush()))?;
    let mut status = status_of(&grants)?;
    say_coverage(inventory)?;
    let mut err = terminal::stderr();
    if inventory.coverage.objects == 0 {
        writeln!(err, "there is no RBAC object here, so nothing was checked")?;
        if args.require_rbac {
            status = Status::Failed;
        }
    } else {
        human::write_totals(&mut err, &findings)?;
    }
    let reported = args.fail_on.least().is_some_and(|least| findings.iter().any(|finding| finding.severity >= least));
    Ok(status.max(if reported { Status::Reported } else { Status::Clean }))
}
