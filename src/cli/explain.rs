//! `deputize rules` and `deputize explain`.

use std::io::Write;

use deputize::lint::{catalogue, find_rule};
use deputize::output::{human, json};

use super::terminal::{self, Output};
use super::{Failure, Outcome, Status};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of rules, as findings have them
    #[arg(value_name = "RULE", required = true)]
    rules: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RulesArgs {
    /// How the rules are printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Outcome {
    let find = |name: &String| find_rule(name).map_err(|error| Failure::Message(error.to_string()));
    let rules = args.rules.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let mut out = terminal::stdout();
    for (index, rule) in rules.into_iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        human::write_page(&mut out, rule, terminal::style())?;
    }
    out.flush()?;
    Ok(Status::Clean)
}

pub(super) fn list(args: &RulesArgs) -> Outcome {
    let mut out = terminal::stdout();
    match args.output {
        Output::Human => human::write_rules(&mut out, catalogue(), terminal::style())?,
        Output::Json => json::write_rules(&mut out, catalogue())?,
    }
    out.flush()?;
    Ok(Status::Clean)
}
