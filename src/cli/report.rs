//! `deputize report`.

use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use clap::ValueEnum;
use deputize::authority::Feature;
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::output::json::ContextFailure;
use deputize::output::report as output;
use deputize::report::{Facts, Report};
use deputize::source::STDIN;

use super::input::{DuplicatesArg, InputArgs, VersionArg, Worlds, one_world, say_coverage, status_of};
use super::{Failure, Outcome, logs, terminal};

const AFTER_HELP: &str = "\
Examples:
  deputize report manifests --format html > report.html
  deputize report manifests --audit-log audit.log

Exit status: 0 everything was read, 2 something could not be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How the report is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// Audit log, or evidence condensed from one, that shows which grants are used: a file, a directory, or `-`; repeatable
    #[arg(long, value_name = "LOG")]
    audit_log: Vec<PathBuf>,
    #[command(flatten)]
    duplicates: DuplicatesArg,
    #[command(flatten)]
    version: VersionArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// One file for a browser, with everything in it
    Html,
    /// For a comment on a pull request
    #[default]
    Markdown,
    /// One JSON document
    Json,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.input.reads_stdin() && args.audit_log.iter().any(|path| path.as_os_str() == STDIN) {
        return Err(Failure::Message("standard input cannot be both the manifests and an audit log".to_owned()));
    }
    if args.input.is_several() && args.format == Format::Html {
        let message = "a page is about one cluster: name one context, or choose another format";
        return Err(Failure::Message(message.to_owned()));
    }
    let read = match args.input.is_live() {
        true => args.input.load_each()?,
        false => Worlds { inventories: vec![args.input.load_originals(None)?], failures: Vec::new() },
    };
    let mut status = read.status();
    let Worlds { mut inventories, failures } = read;
    inventories.iter_mut().for_each(|inventory| args.duplicates.resolve(inventory));
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let worlds: &[Grants<'_>] = Vec::leak(Vec::leak(inventories).iter().map(Grants::new).collect());
    for grants in worlds {
        status = status.max(status_of(grants)?);
    }
    let read = match (args.audit_log.as_slice(), worlds) {
        ([], _) => None,
        (paths, [grants]) => {
            // What requests were made with can be said of one world only.
            one_world(grants)?;
            let read = logs::read(paths)?;
            status = status.max(read.status);
            Some(&*Box::leak(Box::new(read)))
        }
        _ => return Err(Failure::Message("an audit log is that of one cluster: name one context".to_owned())),
    };
    let evidence = read.map(|read| &read.evidence);
    let report = |grants: &'static Grants<'static>| Report::new(grants, args.facts(grants.inventory()), evidence);
    let reports = ManuallyDrop::new(worlds.iter().map(report).collect::<Vec<_>>());
    let reported: Vec<_> = worlds.iter().zip(reports.iter()).collect();
    let mut out = terminal::stdout();
    terminal::unless_closed(print(args, &reported, &failures, &mut out).and_then(|()| out.flush()))?;
    for grants in worlds {
        say_coverage(grants.inventory())?;
    }
    let mut err = terminal::stderr();
    if let Some(read) = read {
        read.say_left_out(&mut err)?;
        if let Some(nothing) = read.nothing_seen() {
            writeln!(err, "warning: {nothing}: that says nothing about which grants are used")?;
        }
    }
    err.flush()?;
    Ok(status)
}

fn print(
    args: &Args,
    reported: &[(&Grants<'_>, &Report<'_>)],
    failures: &[ContextFailure],
    out: &mut dyn Write,
) -> io::Result<()> {
    match (args.format, reported) {
        (Format::Json, [(grants, report)]) if !args.input.is_several() => output::write_json(out, grants, report),
        (Format::Json, reported) => output::write_json_of_each(out, reported, failures),
        (format, reported) => reported.iter().try_for_each(|(grants, report)| match format {
            Format::Html => output::write_html(out, grants, report),
            _ => output::write_markdown(out, grants, report),
        }),
    }
}

impl Args {
    /// What is known of the servers.
    fn facts(&self, inventory: &Inventory) -> Facts {
        let is_on = |feature: Feature| feature == Feature::Constrained;
        match (self.version.given(), inventory.cluster()) {
            (Some(version), _) => Facts {
                version: Some(version),
                gate: Some(is_on(version.feature())),
                how: Some("as given; the feature gate has its default".to_owned()),
            },
            (None, Some(cluster)) => Facts {
                version: cluster.kube_version(),
                gate: cluster.feature().map(is_on),
                how: Some(if cluster.gate_decides() {
                    "by the metrics of the API server".to_owned()
                } else {
                    "by the version of the API server, since its metrics do not say".to_owned()
                }),
            },
            (None, None) => Facts::default(),
        }
    }
}
