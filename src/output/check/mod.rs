//! The results of `check`, one file a format.

mod concise;
mod github;
mod gitlab;
mod human;
mod junit;
mod place;
mod sarif;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

pub use github::write_summary;
pub use human::{Display, Sort};
pub use place::Repository;
use sha2::{Digest, Sha256};

use super::json::{self, ContextFailure};
use crate::fix::Replacement;
use crate::grants::Grants;
use crate::inventory::Inventory;
use crate::lint::{Finding, Severity};
use crate::problem::Problem;
use crate::triage::Triage;

/// How the results of `check` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Findings with the lines they are about, for people.
    Human(Display),
    /// One line a finding.
    Concise,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
    /// GitLab's code quality report.
    Gitlab,
    /// JUnit's XML.
    Junit,
}

/// The results of one run of `check`.
#[derive(Debug)]
pub struct CheckRun<'a> {
    /// One input, or each of several clusters.
    pub worlds: Vec<Checked<'a>>,
    /// The clusters that could not be read.
    pub failures: &'a [ContextFailure],
    /// Whether each result is under the name of its cluster.
    pub is_several: bool,
    /// The least severity that makes the run fail; none if no finding does.
    pub fail_on: Option<Severity>,
    /// Whether accepted findings are listed for people.
    pub show_accepted: bool,
    /// What mends findings, by their fingerprints, for formats that say so.
    pub fixes: BTreeMap<String, Vec<Replacement>>,
    /// The exit status.
    pub exit_code: u8,
    /// The repository to which paths are relative.
    pub repository: Repository,
}

/// One input and what was found in it.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    /// The grants of the input.
    pub grants: &'a Grants<'a>,
    /// What kept the grants from being understood as a whole.
    pub problem: Option<&'a Problem>,
    /// The findings, reported and hidden ones.
    pub triage: &'a Triage,
}

impl<'a> Checked<'a> {
    fn inventory(&self) -> &'a Inventory {
        self.grants.inventory()
    }

    /// Returns the findings to report, in the order of their places.
    fn findings(&self) -> &'a [Finding] {
        &self.triage.reported
    }

    /// Returns the name of the cluster's context; empty for files.
    fn context(&self) -> &'a str {
        self.inventory().cluster().map_or("", |cluster| cluster.name.as_str())
    }

    /// Returns what could not be read.
    fn problems(&self) -> impl Iterator<Item = &'a Problem> {
        self.inventory().problems.iter().chain(self.problem)
    }
}

impl CheckRun<'_> {
    /// Returns what could not be read, with the input that it belongs to.
    fn problems(&self) -> impl Iterator<Item = (&Checked<'_>, &Problem)> {
        self.worlds.iter().flat_map(|world| world.problems().map(move |problem| (world, problem)))
    }
}

/// A finding and the input in which it was found.
#[derive(Debug, Clone, Copy)]
struct Ranked<'a> {
    world: &'a Checked<'a>,
    finding: &'a Finding,
}

/// Returns the findings to report, the worst first: readers show so many only. Those of one severity stay in the order of their
/// places.
fn ranked<'a>(run: &'a CheckRun<'a>) -> Vec<Ranked<'a>> {
    let all = run.worlds.iter().flat_map(|world| world.findings().iter().map(move |finding| Ranked { world, finding }));
    let mut all: Vec<Ranked<'a>> = all.collect();
    all.sort_by_key(|ranked| Reverse(ranked.finding.severity));
    all
}

impl Format {
    /// Writes the results.
    ///
    /// # Errors
    /// When `out` does.
    pub fn write(self, out: &mut dyn Write, run: &CheckRun<'_>) -> io::Result<()> {
        match self {
            Self::Human(display) => human::write(out, run, &display),
            Self::Concise => concise::write(out, run),
            Self::Json => write_json(out, run),
            Self::Sarif => sarif::write(out, run),
            Self::Github => github::write(out, run),
            Self::Gitlab => gitlab::write(out, run),
            Self::Junit => junit::write(out, run),
        }
    }
}

fn write_json(out: &mut dyn Write, run: &CheckRun<'_>) -> io::Result<()> {
    match run.worlds.as_slice() {
        [world] if !run.is_several => json::write_check(out, world.inventory(), world.triage),
        worlds => {
            let checked: Vec<_> = worlds.iter().map(|world| (world.inventory(), world.triage)).collect();
            json::write_check_of_each(out, &checked, run.failures)
        }
    }
}

/// Returns a hash that is the same from release to release, in as many digits as a fingerprint has.
fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
