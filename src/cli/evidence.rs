//! `deputize evidence`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use deputize::evidence::{Evidence, read_log};
use deputize::output::evidence::write_evidence;
use deputize::output::{escape, human};
use deputize::source::STDIN;
use rayon::prelude::*;
use walkdir::WalkDir;

use super::{Failure, Outcome, Status, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Audit logs, gzip or not, directories of them, or evidence that was condensed before; `-` is standard input
    #[arg(value_name = "LOG", default_value = "-")]
    logs: Vec<PathBuf>,
}

/// What a file has shown, and why it could not be read to its end.
type Read = (Evidence, Option<String>);

pub(super) fn run(args: &Args) -> Outcome {
    let mut files = Vec::new();
    for log in &args.logs {
        files_of(log, &mut files)?;
    }
    let read: Vec<Read> = files.par_iter().map(|file| read_file(file)).collect();
    let mut evidence = Evidence::default();
    let mut status = Status::Clean;
    let mut err = terminal::stderr();
    for (part, error) in read {
        evidence.merge(part);
        if let Some(error) = error {
            writeln!(err, "error: {}", escape(&error))?;
            status = Status::Failed;
        }
    }
    let mut out = terminal::stdout();
    terminal::unless_closed(write_evidence(&mut out, &evidence).and_then(|()| out.flush()))?;
    let distinct = evidence.iter().count();
    let total: u64 = evidence.iter().map(|(_, tally)| tally.count()).sum();
    let refused = evidence.iter().filter(|(observation, _)| observation.refused.is_some()).count();
    writeln!(
        err,
        "read {}: {total} impersonated requests, {distinct} distinct, {refused} of them refused",
        human::count(files.len(), "log"),
    )?;
    if evidence.not_events > 0 {
        let lines = human::count(evidence.not_events, "line");
        writeln!(err, "{lines} with the word `impersonate` could not be read as events")?;
    }
    Ok(status)
}

/// The files that a path stands for, sorted.
fn files_of(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if path.as_os_str() == STDIN {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry.map_err(|error| Failure::Message(format!("a log cannot be read: {error}")))?;
        if entry.file_type().is_file() || entry.depth() == 0 && !entry.file_type().is_dir() {
            files.push(entry.into_path());
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Read {
    let mut evidence = Evidence::default();
    let read = if path.as_os_str() == STDIN {
        read_log(io::stdin(), &mut evidence).map_err(|error| error.to_string())
    } else {
        match File::open(path) {
            Ok(file) => read_log(file, &mut evidence).map_err(|error| error.to_string()),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    };
    (evidence, read.err().map(|error| format!("{}: {error}", path.to_string_lossy())))
}
