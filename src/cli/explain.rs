//! `deputize rules` and `deputize explain`.

use std::io::Write;

use clap::ValueEnum;
use deputize::lint::{catalogue, find_rule};
use deputize::output::{human, json};

use super::{Failure, Outcome, Status, terminal};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// A table
    #[default]
    Human,
    /// One JSON document
    Json,
}

pub(super) fn run(args: &Args) -> Outcome {
    let rule = find_rule(&args.rule).map_err(|error| Failure::Message(error.to_string()))?;
    let mut out = terminal::stdout();
    out.write_all(rule.page().text().as_bytes())?;
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
