//! `deputize grants`.

use std::io::Write;
use std::mem::ManuallyDrop;

use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::output::{human, json};

use super::Outcome;
use super::input::{InputArgs, say_legacy_use, status_of};
use super::settings::VersionArg;
use super::terminal::{self, Output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 everything was read, 2 something could not be read.")]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How grants are printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    version: VersionArg,
}

pub(super) fn run(args: &Args) -> Outcome {
    let read = args.input.load_each()?;
    let (mut status, failures) = (read.status(), read.failures);
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let inventories: &[Inventory] = Vec::leak(read.inventories);
    let worlds = inventories.iter().map(|inventory| {
        Grants::new(inventory).on_servers(
            args.version.over(&args.input).version(inventory),
            args.version.over(&args.input).feature(inventory),
        )
    });
    let worlds = ManuallyDrop::new(worlds.collect::<Vec<_>>());
    let mut out = terminal::stdout();
    match (args.output, worlds.as_slice()) {
        (Output::Human, [grants]) if !args.input.is_several() => {
            human::write_grants(&mut out, grants, terminal::style())?
        }
        (Output::Human, worlds) => {
            for grants in worlds {
                human::write_cluster_heading(&mut out, grants.inventory(), terminal::style())?;
                human::write_grants(&mut out, grants, terminal::style())?;
            }
        }
        (Output::Json, [grants]) if !args.input.is_several() => json::write_grants(&mut out, grants)?,
        (Output::Json, worlds) => json::write_grants_of_each(&mut out, worlds, &failures)?,
    }
    out.flush()?;
    for grants in worlds.iter() {
        args.input.say_coverage(grants.inventory())?;
        say_legacy_use(grants.inventory())?;
        status = status.max(status_of(grants)?);
    }
    Ok(status)
}
