//! `deputize report`.

use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use clap::ValueEnum;
use deputize::authority::Feature;
use deputize::grants::Grants;
use deputize::inventory::{ClusterFacts, Inventory};
use deputize::output::json::ContextFailure;
use deputize::output::report as reports;
use deputize::report::{Facts, Report};
use deputize::source::STDIN;

use super::input::{DuplicatesArg, InputArgs, Worlds, one_world, say_legacy_use, status_of};
use super::output::{self, Destination};
#[cfg(feature = "cluster")]
use super::output_dir::write_named;
use super::settings::VersionArg;
use super::{Failure, Outcome, logs, terminal};

const AFTER_HELP: &str = "\
Examples:
  deputize report manifests -o html=report.html -o json=report.json
  deputize report manifests --audit-log audit.log
  deputize report --all-contexts -o html --output-dir reports

Exit status: 0 everything was read, 2 something could not be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How the report is written
    #[arg(long, short, alias = "format", value_name = "FORMAT[=FILE]", value_parser = Destination::<Format>::parser(),
          default_value = "markdown")]
    output: Vec<Destination<Format>>,
    /// Audit log, or evidence condensed from one, that shows which grants are used: a file, a directory, or `-`; repeatable
    #[arg(long, value_name = "LOG")]
    audit_log: Vec<PathBuf>,
    #[command(flatten)]
    duplicates: DuplicatesArg,
    #[command(flatten)]
    version: VersionArg,
    /// Directory for one file a cluster, instead of standard output
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "DIR", help_heading = "Cluster")]
    output_dir: Option<PathBuf>,
    /// Replace reports in that directory
    #[cfg(feature = "cluster")]
    #[arg(long, requires = "output_dir", help_heading = "Cluster")]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One file for a browser, with everything in it
    Html,
    /// For a comment on a pull request
    Markdown,
    /// One JSON document
    Json,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.input.reads_stdin() && args.audit_log.iter().any(|path| path.as_os_str() == STDIN) {
        return Err(Failure::Message("standard input cannot be both the manifests and an audit log".to_owned()));
    }
    output::check(&args.output, args.input.files())?;
    if args.input.is_several() && args.output.iter().any(|to| to.format == Format::Html) && !args.writes_files() {
        let message = "a page is about one cluster: give a directory with --output-dir, or name one context";
        return Err(Failure::Message(message.to_owned()));
    }
    if args.writes_files() && !args.input.is_live() {
        return Err(Failure::Message("--output-dir names files by clusters: redirect the output instead".to_owned()));
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
            let read = logs::read(paths, &[grants.inventory()])?;
            status = status.max(read.status);
            Some(&*Box::leak(Box::new(read)))
        }
        _ => return Err(Failure::Message("an audit log is that of one cluster: name one context".to_owned())),
    };
    let evidence = read.map(|read| &read.evidence);
    let report = |grants: &'static Grants<'static>| Report::new(grants, args.facts(grants.inventory()), evidence);
    let reports = ManuallyDrop::new(worlds.iter().map(report).collect::<Vec<_>>());
    let reported: Vec<_> = worlds.iter().zip(reports.iter()).collect();
    if args.writes_files() {
        args.write_files(&reported)?;
    } else {
        for destination in &args.output {
            let several = args.input.is_several();
            output::write(destination, |out| destination.format.print(out, several, &reported, &failures))?;
        }
    }
    for grants in worlds {
        args.input.say_coverage(grants.inventory())?;
        say_legacy_use(grants.inventory())?;
    }
    let mut err = terminal::stderr();
    if let Some(read) = read {
        read.say_left_out(&mut err)?;
        if let Some(nothing) = read.nothing_seen() {
            writeln!(err, "{}: {nothing}: that says nothing about which grants are used", terminal::warning())?;
        }
    }
    err.flush()?;
    Ok(status)
}

impl Format {
    /// Writes the reports, those on several clusters under their names.
    fn print(
        self,
        out: &mut dyn Write,
        is_several: bool,
        reported: &[(&Grants<'_>, &Report<'_>)],
        failures: &[ContextFailure],
    ) -> io::Result<()> {
        if self == Self::Json && is_several {
            return reports::write_json_of_each(out, reported, failures);
        }
        reported.iter().try_for_each(|(grants, report)| self.write(out, grants, report))
    }

    fn write(self, out: &mut dyn Write, grants: &Grants<'_>, report: &Report<'_>) -> io::Result<()> {
        match self {
            Self::Html => reports::write_html(out, grants, report),
            Self::Markdown => reports::write_markdown(out, grants, report),
            Self::Json => reports::write_json(out, grants, report),
        }
    }
}

#[cfg(feature = "cluster")]
impl Args {
    /// Whether the reports are files.
    fn writes_files(&self) -> bool {
        self.output_dir.is_some()
    }

    /// Writes each report into a file that has the name of its cluster.
    fn write_files(&self, reported: &[(&Grants<'_>, &Report<'_>)]) -> Result<(), Failure> {
        let Some(directory) = &self.output_dir else { return Ok(()) };
        let [destination] = self.output.as_slice() else {
            return Err(Failure::Message("--output-dir takes one --output".to_owned()));
        };
        if destination.file.is_some() {
            return Err(Failure::Message("--output-dir names the files itself: give --output without one".to_owned()));
        }
        let extension = match destination.format {
            Format::Html => "html",
            Format::Markdown => "md",
            Format::Json => "json",
        };
        for (grants, report) in reported {
            let cluster = grants.inventory().cluster().map_or("", |cluster| cluster.name.as_str());
            let mut text = Vec::new();
            destination.format.write(&mut text, grants, report)?;
            write_named(directory, cluster, extension, &text, self.force)?;
        }
        Ok(())
    }
}

#[cfg(not(feature = "cluster"))]
impl Args {
    fn writes_files(&self) -> bool {
        false
    }

    fn write_files(&self, _: &[(&Grants<'_>, &Report<'_>)]) -> Result<(), Failure> {
        Ok(())
    }
}

impl Args {
    /// What is known of the servers.
    fn facts(&self, inventory: &Inventory) -> Facts {
        let legacy_use = inventory.cluster().map(ClusterFacts::describe_legacy_use);
        let is_on = |feature: Feature| feature == Feature::Constrained;
        match (self.version.over(&self.input).given, inventory.cluster()) {
            (Some(version), _) => Facts {
                version: Some(version),
                gate: Some(is_on(version.feature())),
                how: Some("as given; the feature gate has its default".to_owned()),
                legacy_use,
            },
            (None, Some(cluster)) => Facts {
                version: cluster.kube_version(),
                gate: cluster.feature().map(is_on),
                how: Some(if cluster.gate_decides() {
                    "by the metrics of the API server".to_owned()
                } else {
                    "by the version of the API server, since its metrics do not say".to_owned()
                }),
                legacy_use,
            },
            (None, None) => Facts::default(),
        }
    }
}
