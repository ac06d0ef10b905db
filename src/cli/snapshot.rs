//! `deputize snapshot`.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use deputize::cluster::ReadOptions;
use deputize::output::human;
use deputize::snapshot::{Key, Redactor};

use super::cluster::{ClusterArgs, path_of, read_each};
use super::output_dir::write_named;
use super::{Failure, Outcome, Status, terminal};

const AFTER_HELP: &str = "\
Examples:
  deputize snapshot > prod.yaml && deputize check prod.yaml
  deputize snapshot --all-contexts --redact --output-dir snapshots

Exit status: 0 all of it was read, 2 something could not be read or written.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Replace names by hashes: the same name by the same hash, and by another one the next time
    #[arg(long)]
    redact: bool,
    /// File with a secret on which the hashes depend: with the same secret they are the same each time
    #[arg(long, value_name = "FILE", requires = "redact")]
    redact_key: Option<PathBuf>,
    /// Directory for one file a context, instead of standard output
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Replace snapshots in that directory
    #[arg(long, requires = "output_dir")]
    force: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let targets = args.cluster.targets()?;
    if targets.len() > 1 && args.output_dir.is_none() {
        let message = "several clusters do not go into one snapshot: give a directory with --output-dir";
        return Err(Failure::Message(message.to_owned()));
    }
    let redactor = redactor(args)?;
    let options =
        ReadOptions { service_accounts: true, namespaces: true, redactor: redactor.as_ref(), ..args.cluster.options() };
    let mut complete = true;
    let failures = read_each(&targets, &options, &mut |snapshot| {
        match &args.output_dir {
            Some(directory) => {
                write_named(directory, &snapshot.facts.name, "yaml", snapshot.text.as_bytes(), args.force)?
            }
            None => terminal::unless_closed(write_out(&snapshot.text))?,
        }
        let problems = snapshot.facts.problems(&Arc::from(path_of(&snapshot.facts)));
        let mut err = terminal::stderr();
        human::write_problems(&mut err, &problems, terminal::remarks())?;
        human::write_snapshot(&mut err, &snapshot)?;
        err.flush()?;
        complete &= problems.iter().all(|problem| problem.kind.is_warning());
        Ok(())
    })?;
    Ok(if complete && failures.is_empty() { Status::Clean } else { Status::Failed })
}

fn redactor(args: &Args) -> Result<Option<Redactor>, Failure> {
    if !args.redact {
        return Ok(None);
    }
    let key = match &args.redact_key {
        Some(path) => {
            let secret = fs::read(path)
                .map_err(|error| Failure::Message(format!("{} cannot be read: {error}", path.to_string_lossy())))?;
            if secret.trim_ascii().is_empty() {
                return Err(Failure::Message(format!("{} holds no secret", path.to_string_lossy())));
            }
            Key::of_secret(secret.trim_ascii())
        }
        None => Key::random().map_err(Failure::Message)?,
    };
    Ok(Some(Redactor::new(key)))
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = terminal::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}
