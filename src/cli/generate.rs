//! `deputize completions` and `deputize man`, both made from the definition of the command line.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;
use deputize::about;

use super::{Cli, Failure, Outcome, Status, terminal};

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

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The command; without it, the page of the program
    command: Option<String>,
}

pub(super) fn man(args: &ManArgs) -> Outcome {
    let mut program = Cli::command();
    // Gives every command its whole name.
    program.build();
    let command = match &args.command {
        None => &program,
        Some(name) => program
            .find_subcommand(name)
            .filter(|command| !command.is_hide_set())
            .ok_or_else(|| Failure::Message(format!("there is no command {name:?}; `deputize --help` lists them")))?,
    };
    let mut page = Vec::new();
    // The page of a command is called `deputize-check(1)`, as that of `git` is.
    let title = command.get_display_name().unwrap_or("deputize").to_owned();
    let source = format!("deputize {}", about::VERSION);
    clap_mangen::Man::new(command.clone()).title(title).source(source).render(&mut page)?;
    print(&page)
}

fn print(bytes: &[u8]) -> Outcome {
    let mut out = terminal::stdout();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(Status::Clean)
}
