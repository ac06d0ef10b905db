//! Arguments and exit statuses; one file a command.

mod accept;
mod action;
mod base;
mod check;
#[cfg(feature = "cluster")]
mod cluster;
mod config;
mod evidence;
mod explain;
mod files;
mod fix;
mod generate;
mod grants;
mod guard;
mod in_place;
mod input;
mod logs;
mod migrate;
mod objects;
mod output;
mod output_dir;
mod progress;
mod render;
mod report;
mod settings;
mod simulate;
#[cfg(feature = "cluster")]
mod snapshot;
mod surroundings;
mod terminal;
mod triage;
mod verify;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// How a command ended; the variants are in the order in which one beats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    /// Nothing to report.
    Clean = 0,
    /// There is something to report.
    Reported = 1,
    /// The command could not do its work.
    Failed = 2,
}

/// What ends a command early.
#[derive(Debug)]
enum Failure {
    /// Output could not be written.
    Output(io::Error),
    /// Anything else, in words.
    Message(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

type Outcome = Result<Status, Failure>;

const AFTER_HELP: &str = "\
Exit status: 0 nothing to report, 1 something to report, 2 something could not be read or done.
Colours are for terminals; NO_COLOR=1 turns them off, CLICOLOR_FORCE=1 on, --color overrides both.";

/// Finds legacy Kubernetes impersonation grants and migrates them to constrained impersonation (KEP-5284).
#[derive(Debug, Parser)]
#[command(name = "deputize", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    terminal: terminal::TerminalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report impersonation grants that are too broad, or dead
    Check(check::Args),
    /// List who may impersonate whom
    Grants(grants::Args),
    /// Write the constrained roles and bindings that replace legacy grants
    Migrate(migrate::Args),
    /// Answer what the API server would answer to impersonated requests
    Simulate(simulate::Args),
    /// Condense audit logs to the distinct impersonated requests
    Evidence(evidence::Args),
    /// Prove that observed requests go on working, and that nothing is widened
    Verify(verify::Args),
    /// Print the RBAC of a live cluster as one file that the other commands read
    #[cfg(feature = "cluster")]
    Snapshot(snapshot::Args),
    /// Write an admission policy that keeps new legacy grants out of a cluster
    Guard(guard::Args),
    /// Render a Helm chart, with the origin of each line
    Render(render::Args),
    /// Report on an upgrade: who impersonates whom, how far it reaches, what to do first
    Report(report::Args),
    /// Show which settings are in force, and where each comes from
    Config(config::Args),
    /// List the rules of `check`
    Rules(explain::RulesArgs),
    /// Print the page of a rule
    Explain(explain::Args),
    /// Print a completion script for a shell
    Completions(generate::CompletionsArgs),
    /// Print the manual page, or that of a command
    Man(generate::ManArgs),
}

/// Runs the command that the arguments ask for.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    terminal::apply_color_of(&arguments);
    let parsed = command_for(arguments.first()).try_get_matches_from(&arguments);
    let (cli, matches) = match parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches))) {
        Ok(parsed) => parsed,
        // Help and version are no errors, and clap knows their streams and exit statuses.
        Err(error) => error.exit(),
    };
    cli.terminal.apply();
    let outcome = match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Grants(args) => grants::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Evidence(args) => evidence::run(&args),
        Command::Verify(args) => verify::run(&args),
        #[cfg(feature = "cluster")]
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Guard(args) => guard::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Config(args) => config::run(&args, &matches),
        Command::Rules(args) => explain::list(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    };
    match outcome {
        Ok(status) => ExitCode::from(status as u8),
        // Whoever reads our output has read enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => terminal::fail(&format!("output could not be written: {error}")),
        Err(Failure::Message(message)) => terminal::fail(&message),
    }
}

/// The command line's definition, under the name by which the program was called: `kubectl` finds a plugin by its
/// file's name.
fn command_for(program: Option<&OsString>) -> clap::Command {
    let stem = program.and_then(|program| Path::new(program).file_stem()).map(|stem| stem.to_string_lossy());
    match stem.as_deref() {
        Some("kubectl-deputize") => Cli::command().bin_name("kubectl deputize"),
        _ => Cli::command(),
    }
}
