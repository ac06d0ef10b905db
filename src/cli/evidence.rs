//! `deputize evidence`.

use std::io::Write;
use std::path::PathBuf;

use deputize::output::evidence::write_evidence;
use deputize::output::human;

use super::{Outcome, logs, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Audit logs, gzip or not, directories of them, or evidence that was condensed before; `-` is standard input
    #[arg(value_name = "LOG", default_value = "-")]
    logs: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let logs::LogsRead { evidence, logs, status } = logs::read(&args.logs)?;
    let mut out = terminal::stdout();
    terminal::unless_closed(write_evidence(&mut out, &evidence).and_then(|()| out.flush()))?;
    let (mut total, mut refused) = (0, 0);
    for (observation, tally) in evidence.iter() {
        total += tally.count();
        refused += u64::from(observation.refused.is_some());
    }
    let mut err = terminal::stderr();
    writeln!(
        err,
        "read {}: {total} impersonated requests, {} distinct, {refused} of them refused",
        human::count(logs, "log"),
        evidence.len(),
    )?;
    let reviews = evidence.reviews().count();
    if reviews > 0 {
        writeln!(err, "{} for the verb `impersonate` itself", human::count(reviews, "distinct SubjectAccessReview"))?;
    }
    if evidence.only_user > 0 {
        let entries = human::count(evidence.only_user, "impersonated request");
        writeln!(
            err,
            "{entries} left out: Google Cloud logs the name of the user (`authoritySelector`), but neither groups, UID nor \
             extras, nor the groups of the requestor"
        )?;
    }
    if evidence.not_events > 0 {
        let lines = human::count(evidence.not_events, "line");
        writeln!(err, "{lines} with the word `impersonate` could not be read as events")?;
    }
    Ok(status)
}
