//! `deputize grants`.

use std::io::Write;
use std::mem::ManuallyDrop;

use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::output::{human, json};

use super::Outcome;
use super::input::{InputArgs, say_coverage, status_of};
use super::terminal::{self, Output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 everything was read, 2 something could not be read.")]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How grants are printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Outcome {
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let inventory: &Inventory = Box::leak(Box::new(args.input.load()?));
    let grants = ManuallyDrop::new(Grants::new(inventory));
    let mut out = terminal::stdout();
    match args.output {
        Output::Human => human::write_grants(&mut out, &grants)?,
        Output::Json => json::write_grants(&mut out, &grants)?,
    }
    out.flush()?;
    say_coverage(inventory)?;
    status_of(&grants)
}
