//! `deputize completions` and `deputize man`, both made from the definition of the command line.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome, Status, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> Outcome {
    // The generator panics where it cannot write, on a closed pipe for one.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "deputize", &mut script);
    print(&script)
}

pub(super) fn man() -> Outcome {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&page)
}

fn print(bytes: &[u8]) -> Outcome {
    let mut out = terminal::stdout();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(Status::Clean)
}
