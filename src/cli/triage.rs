//! What decides which findings `check` reports.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputize::config::{Config, Date};
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::lint::{self, Selection};
use deputize::output::{escape, human};
use deputize::triage::{BaseRevision, Baseline, Options, Triage, triage};

use super::settings::{TodayArg, VersionChoice, print_configuration};
use super::{Failure, output, terminal};

/// Largest baseline that is read, in bytes.
const MAX_BASELINE: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct TriageArgs {
    /// List the findings that exceptions of the configuration accept, each with the reason
    #[arg(long, help_heading = "Configuration")]
    pub(super) show_accepted: bool,
    /// Report what comments and annotations in manifests hide
    #[arg(long, help_heading = "Hiding findings")]
    no_ignore: bool,
    /// Report only findings that this file does not list
    #[arg(long, value_name = "FILE", env = "DEPUTIZE_BASELINE", help_heading = "Hiding findings")]
    baseline: Option<PathBuf>,
    /// Write the findings to this file, and report none of them
    #[arg(long, value_name = "FILE", help_heading = "Hiding findings")]
    write_baseline: Option<PathBuf>,
    /// Report only findings that this git revision does not have
    ///
    /// The files at the paths given are read from git's objects. A shallow clone must have the revision: fetch it first, as in
    /// `git fetch --depth=1 origin main`, and give FETCH_HEAD.
    #[arg(long, value_name = "REV", env = "DEPUTIZE_DIFF_BASE", help_heading = "Hiding findings")]
    diff_base: Option<String>,
    #[command(flatten)]
    today: TodayArg,
}

impl TriageArgs {
    /// Whether comments and annotations hide findings.
    pub(super) fn uses_comments(&self) -> bool {
        !self.no_ignore
    }

    /// The day on which exceptions count.
    pub(super) fn today(&self) -> Date {
        self.today.day()
    }

    /// The revision to compare with.
    pub(super) fn diff_base(&self) -> Option<&str> {
        self.diff_base.as_deref().filter(|revision| !revision.is_empty())
    }

    /// Reads the baseline, if there is one.
    pub(super) fn baseline(&self) -> Result<Option<Baseline>, Failure> {
        self.baseline.as_deref().map(read_baseline).transpose()
    }

    /// Writes the findings to the file that is asked for, and returns them as the baseline.
    pub(super) fn write_baseline<'t>(
        &self,
        triages: impl IntoIterator<Item = (&'t Inventory, &'t Triage)>,
    ) -> Result<Option<Baseline>, Failure> {
        let Some(path) = &self.write_baseline else { return Ok(None) };
        let name = path.to_string_lossy();
        let baseline = Baseline::of_findings(Arc::from(&*name), triages);
        output::write_file(path, |out| baseline.write(out))
            .map_err(|error| Failure::Message(format!("{} cannot be written: {error}", escape(&name))))?;
        let findings = human::count(baseline.len(), "finding");
        writeln!(terminal::stderr(), "wrote {findings} to the baseline {}", escape(&name))?;
        Ok(Some(baseline))
    }
}

fn read_baseline(path: &Path) -> Result<Baseline, Failure> {
    let name = path.to_string_lossy();
    let failed = |error: &dyn std::fmt::Display| {
        let shown = escape(&name);
        Failure::Message(format!("the baseline {shown} cannot be read: {error}; --write-baseline {shown} writes one"))
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_BASELINE + 1).read_to_end(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > MAX_BASELINE {
        return Err(failed(&format!("it is larger than {MAX_BASELINE} bytes")));
    }
    Baseline::read(Arc::from(&*name), &text).map_err(|error| failed(&error))
}

/// How inputs are judged.
pub(super) struct Judge<'a> {
    pub(super) args: &'a TriageArgs,
    pub(super) version: VersionChoice,
    pub(super) selection: &'a Selection,
    pub(super) config: &'a Config,
    pub(super) baseline: Option<Baseline>,
    pub(super) base: Option<BaseRevision>,
    /// The repository, if only files of it were read.
    pub(super) partial: Option<String>,
    /// Whether the directory of the configuration was read.
    pub(super) whole: bool,
}

impl Judge<'_> {
    /// What is granted in an input.
    pub(super) fn grants<'i>(&self, inventory: &'i Inventory) -> Grants<'i> {
        Grants::new(inventory).on_servers(self.version.version(inventory), self.version.feature(inventory))
    }

    /// The findings, split by whether they are reported.
    pub(super) fn triage(&self, grants: &Grants<'_>) -> Triage {
        let options = Options {
            config: self.config,
            selection: self.selection,
            today: self.args.today(),
            suppressions: self.args.uses_comments(),
            baseline: self.baseline.as_ref(),
            base: self.base.as_ref(),
            partial: self.partial.as_deref(),
            whole: self.whole,
        };
        triage(grants.inventory(), lint::check(grants, self.selection), &options)
    }

    /// Prints on standard error which configuration and baseline were used, and what they did.
    pub(super) fn print_effects(&self, inventory: &Inventory, triage: &Triage) -> Result<(), Failure> {
        let hidden = triage.hidden_counts();
        let counts = [
            (inventory.coverage.skipped.excluded.len(), "path", "excluded"),
            (hidden.ignored, "finding", "not selected"),
            (hidden.accepted, "finding", "accepted"),
            (triage.severities_changed, "finding", "with another severity"),
        ];
        let counts = counts.iter().filter(|(number, ..)| *number > 0);
        let effects: Vec<String> =
            counts.map(|(number, what, how)| format!("{} {how}", human::count(*number, what))).collect();
        print_configuration(self.config, &effects)?;
        if let (Some(path), 1.., false) = (&self.args.baseline, triage.fixed.len(), terminal::is_quiet()) {
            let (path, fixed) = (path.to_string_lossy(), human::count(triage.fixed.len(), "finding"));
            let path = escape(&path);
            writeln!(terminal::stderr(), "baseline {path}: {fixed} fixed; --write-baseline {path} removes them")?;
        }
        Ok(())
    }
}
