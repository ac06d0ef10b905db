//! GitLab's code quality report: a subset of the Code Climate format, one entry a finding.

use std::io::{self, Write};

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::place::Spot;
use super::{CheckRun, Checked, hash};
use crate::lint::{Finding, Severity};
use crate::output::json::write_document;
use crate::problem::Problem;

/// Writes the report.
pub(super) fn write(out: &mut dyn Write, run: &CheckRun<'_>) -> io::Result<()> {
    write_document(out, &Entries(run))
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    /// GitLab asks for neither of these two; other readers of the Code Climate format do.
    #[serde(rename = "type")]
    kind: &'static str,
    categories: [&'static str; 1],
    description: String,
    check_name: &'a str,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Debug, Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Debug, Serialize)]
struct Lines {
    begin: u32,
    end: u32,
}

/// Entries are made while they are written: there may be very many.
struct Entries<'a>(&'a CheckRun<'a>);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for world in &self.0.worlds {
            for finding in world.findings() {
                list.serialize_element(&self.of_finding(world, finding))?;
            }
            for problem in world.problems() {
                list.serialize_element(&self.of_problem(world, problem))?;
            }
        }
        list.end()
    }
}

impl Entries<'_> {
    fn of_finding<'f>(&self, world: &Checked<'_>, finding: &'f Finding) -> Entry<'f> {
        Entry {
            kind: "issue",
            categories: ["Security"],
            description: finding.message.clone(),
            check_name: finding.rule,
            fingerprint: self.fingerprint(world, &finding.fingerprint),
            severity: match finding.severity {
                Severity::Error => "critical",
                Severity::Warning => "major",
                Severity::Note => "info",
            },
            location: self.location(&self.0.spot(world, finding)),
        }
    }

    fn of_problem(&self, world: &Checked<'_>, problem: &Problem) -> Entry<'static> {
        let spot = self.0.spot_of_problem(world, problem);
        let identity = format!("{}\n{:?}\n{:?}\n{}", problem.kind.as_str(), spot.path, spot.region, problem.message);
        Entry {
            kind: "issue",
            categories: ["Security"],
            description: format!("not read as it should be: {}", problem.message),
            check_name: problem.kind.as_str(),
            fingerprint: self.fingerprint(world, &hash(&identity)),
            severity: if problem.kind.is_warning() { "info" } else { "critical" },
            location: self.location(&spot),
        }
    }

    /// Contexts may hold the same objects.
    fn fingerprint(&self, world: &Checked<'_>, fingerprint: &str) -> String {
        if self.0.is_several { hash(&format!("{}\n{fingerprint}", world.context())) } else { fingerprint.to_owned() }
    }

    fn location(&self, spot: &Spot) -> Location {
        let lines =
            spot.region.map_or(Lines { begin: 1, end: 1 }, |place| Lines { begin: place.line, end: place.end_line });
        Location { path: spot.path.shown(), lines }
    }
}
