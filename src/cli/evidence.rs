//! `deputize evidence`.

use std::io::Write;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use deputize::evidence::ExtraValues;
use deputize::output::evidence::write_evidence;
use deputize::output::human;

use super::{Outcome, logs, terminal};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 all logs were read, 2 something in them could not be read.")]
pub(super) struct Args {
    /// Audit logs, directories of them, or evidence that was condensed before; `-` is standard input
    ///
    /// Logs are read as platforms write them: compressed, in archives, in envelopes, with prefixes. Of a directory, every
    /// file below it is read, whatever its name; symbolic links in it are not followed.
    #[arg(value_name = "LOG", default_value = "-")]
    logs: Vec<PathBuf>,
    /// Keep the values of extras as they are, instead of their SHA-256
    ///
    /// Extras often hold tokens, addresses and names of users.
    #[arg(long)]
    keep_extra_values: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    // It lives until the process ends: to take a hundred thousand requests apart would only take time.
    let values = if args.keep_extra_values { ExtraValues::Kept } else { ExtraValues::Hashed };
    let read = ManuallyDrop::new(logs::read_as(&args.logs, values)?);
    let evidence = &read.evidence;
    let mut out = terminal::stdout();
    terminal::unless_closed(write_evidence(&mut out, evidence).and_then(|()| out.flush()))?;
    let (mut total, mut refused) = (0, 0);
    for (observation, tally) in evidence.iter() {
        total += tally.count();
        refused += u64::from(observation.refused.is_some());
    }
    let mut err = terminal::stderr();
    writeln!(
        err,
        "read {}: {total} impersonated request{}, {} distinct, {refused} of them refused",
        human::count(read.logs.len(), "log"),
        if total == 1 { "" } else { "s" },
        evidence.len(),
    )?;
    read.say_reviews(&mut err)?;
    read.say_left_out(&mut err)?;
    Ok(read.status)
}
