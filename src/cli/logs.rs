//! Audit logs, for the commands that read them.

use std::io::{self, Write};
use std::path::PathBuf;

use deputize::evidence::{Evidence, ExtraNames, ExtraValues, LogReport, find_logs, read_logs};
use deputize::inventory::Inventory;
use deputize::output::evidence::write_logs;
use deputize::output::human;
use deputize::source::STDIN;

use super::progress::Progress;
use super::{Failure, Status, terminal};

/// What logs have shown.
#[derive(Debug)]
pub(super) struct LogsRead {
    /// The distinct requests.
    pub(super) evidence: Evidence,
    /// What each of the logs is.
    pub(super) logs: Vec<LogReport>,
    /// Whether all of them could be read.
    pub(super) status: Status,
}

/// As [`read_as`], for replaying on inventories: values of extras that these name themselves are known.
pub(super) fn read(paths: &[PathBuf], inventories: &[&Inventory]) -> Result<LogsRead, Failure> {
    let read = read_as(paths, ExtraValues::Hashed)?;
    let names = ExtraNames::of(inventories.iter().copied());
    Ok(LogsRead { evidence: read.evidence.resolve(&names), ..read })
}

/// Reads files, directories and standard input, and says on standard error what could not be read.
pub(super) fn read_as(paths: &[PathBuf], values: ExtraValues) -> Result<LogsRead, Failure> {
    if paths.iter().any(|path| path.as_os_str() == STDIN) {
        terminal::announce_stdin("audit logs")?;
    }
    let logs = find_logs(paths);
    let progress = Progress::of_bytes(logs.bytes);
    let read = read_logs(&logs, values, &|bytes| progress.add(bytes));
    progress.finish();
    let mut err = terminal::stderr();
    human::write_problems(&mut err, &read.problems, terminal::remarks())?;
    write_logs(&mut err, &read.logs)?;
    let is_read = read.problems.iter().all(|problem| problem.kind.is_warning());
    let status = if is_read { Status::Clean } else { Status::Failed };
    Ok(LogsRead { evidence: read.evidence, logs: read.logs, status })
}

impl LogsRead {
    /// Prints how many SubjectAccessReviews asked for the verb itself.
    pub(super) fn say_reviews(&self, err: &mut dyn Write) -> io::Result<()> {
        match self.evidence.reviews().count() {
            0 => writeln!(
                err,
                "no SubjectAccessReview for `impersonate` in the logs (reviews logged at Metadata level cannot be recognized)"
            ),
            reviews => writeln!(
                err,
                "{} for `impersonate` in the logs (reviews logged at Metadata level cannot be recognized)",
                human::count(reviews, "distinct SubjectAccessReview")
            ),
        }
    }

    /// Says what was read and is no evidence.
    pub(super) fn say_left_out(&self, err: &mut dyn Write) -> io::Result<()> {
        let glimpsed: u64 = self.evidence.glimpses().map(|(_, tally)| tally.count()).sum();
        if glimpsed > 0 {
            let requests = human::count(usize::try_from(glimpsed).unwrap_or(usize::MAX), "impersonated request");
            writeln!(
                err,
                "{requests} cannot be answered again: Google Cloud logs the name of the user (`authoritySelector`), but \
                 neither groups, UID nor extras, nor the groups of the requestor"
            )?;
        }
        if self.evidence.not_events > 0 {
            let lines = human::count(self.evidence.not_events, "line");
            writeln!(err, "{lines} with the word `impersonate` could not be read as events")?;
        }
        Ok(())
    }

    /// `no impersonated request in 2 logs`, or `no log was read`, if that is so.
    pub(super) fn nothing_seen(&self) -> Option<String> {
        let none = self.evidence.iter().next().is_none();
        none.then(|| match self.logs.len() {
            0 => "no log was read".to_owned(),
            logs => format!("no impersonated request in {}", human::count(logs, "log")),
        })
    }
}
