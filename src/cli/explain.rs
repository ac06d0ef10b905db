//! `deputize rules` and `deputize explain`.

use std::io::Write;

use deputize::lint::{catalogue, find_rule};
use deputize::output::{human, json};

use super::terminal::{self, Output};
use super::{Failure, Outcome, Status};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the rule, as findings have it
    #[arg(value_name = "RULE")]
    rule: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct RulesArgs {
    /// How the rules are printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Outcome {
    let rule = find_rule(&args.rule).map_err(|error| Failure::Message(error.to_string()))?;
    let mut out = terminal::stdout();
    human::write_page(&mut out, rule)?;
    out.flush()?;
    Ok(Status::Clean)
}

pub(super) fn list(args: &RulesArgs) -> Outcome {
    let mut out = terminal::stdout();
    match args.output {
        Output::Human => human::write_rules(&mut out, catalogue())?,
        Output::Json => json::write_rules(&mut out, catalogue())?,
    }
    out.flush()?;
    Ok(Status::Clean)
}
