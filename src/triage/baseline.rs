//! Baselines: findings that were there when deputize was adopted.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{HiddenBy, Triage};
use crate::inventory::Inventory;
use crate::lint::Finding;
use crate::output::json::write_line;

/// The name and version of the file's format.
const SCHEMA: &str = "deputize.baseline/v1";

/// The findings that a baseline lists.
#[derive(Debug, Clone)]
pub struct Baseline {
    path: Arc<str>,
    entries: Vec<BaselineEntry>,
    fingerprints: HashSet<String, RandomState>,
}

/// A finding of a baseline. Only the fingerprint counts; the rest is for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BaselineEntry {
    /// The object that the finding is about.
    pub object: String,
    /// The rule.
    pub rule: String,
    /// The finding's fingerprint.
    pub fingerprint: String,
}

#[derive(Deserialize)]
struct File {
    schema: String,
    findings: Vec<BaselineEntry>,
}

impl Baseline {
    /// Reads a baseline, which is called `path` in messages.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(path: Arc<str>, text: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if file.schema != SCHEMA {
            return Err(format!("its schema is {:?} and not {SCHEMA:?}", file.schema));
        }
        Ok(Self::of(path, file.findings))
    }

    fn of(path: Arc<str>, entries: Vec<BaselineEntry>) -> Self {
        let fingerprints = entries.iter().map(|entry| entry.fingerprint.clone()).collect();
        Self { path, entries, fingerprints }
    }

    /// Returns the baseline of the findings that nothing but another baseline hides.
    pub fn of_findings<'t>(path: Arc<str>, triages: impl IntoIterator<Item = (&'t Inventory, &'t Triage)>) -> Self {
        let mut entries = BTreeSet::new();
        for (inventory, triage) in triages {
            let is_hidden_by_baseline = |by: &HiddenBy| matches!(by, HiddenBy::Baseline { .. });
            let known = triage.hidden.iter().filter(|hidden| is_hidden_by_baseline(&hidden.by)).map(|it| &it.finding);
            entries.extend(triage.reported.iter().chain(known).map(|finding| BaselineEntry::of(inventory, finding)));
        }
        Self::of(path, entries.into_iter().collect())
    }

    /// Writes the baseline, one finding a line.
    ///
    /// # Errors
    /// When `out` does.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\n\"schema\": \"{SCHEMA}\",\n\"findings\": [")?;
        for (index, entry) in self.entries.iter().enumerate() {
            writeln!(out, "{}", if index == 0 { "" } else { "," })?;
            let mut line = Vec::new();
            write_line(&mut line, entry)?;
            out.write_all(line.trim_ascii_end())?;
        }
        write!(out, "\n]\n}}\n")
    }

    /// The number of findings.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it lists no finding.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns what hides a finding, if the baseline lists it.
    pub(super) fn of_finding(&self, finding: &Finding) -> Option<HiddenBy> {
        self.fingerprints.contains(&finding.fingerprint).then(|| HiddenBy::Baseline { path: Arc::clone(&self.path) })
    }

    /// Returns the entries that are no finding any more.
    pub(super) fn fixed(&self, found: &HashSet<&str, RandomState>) -> Vec<BaselineEntry> {
        self.entries.iter().filter(|entry| !found.contains(&*entry.fingerprint)).cloned().collect()
    }
}

impl BaselineEntry {
    fn of(inventory: &Inventory, finding: &Finding) -> Self {
        let object = finding.about.meta(inventory).map_or_else(|| finding.path.to_string(), |meta| meta.reference());
        Self { object, rule: finding.rule.to_owned(), fingerprint: finding.fingerprint.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let entry = |name: &str| BaselineEntry {
            object: format!("ClusterRole/{name}\u{1b}"),
            rule: "unbound-role".to_owned(),
            fingerprint: "0".repeat(32),
        };
        for entries in [vec![], vec![entry("a")], vec![entry("a"), entry("b")]] {
            let mut text = Vec::new();
            Baseline::of("b.json".into(), entries.clone()).write(&mut text).unwrap();
            assert!(!text.contains(&0x1b));
            assert_eq!(Baseline::read("b.json".into(), &text).unwrap().entries, entries);
        }
    }

    #[test]
    fn what_is_no_baseline_is_an_error() {
        for text in ["", "[]", "{}", "{\"schema\": \"deputize.baseline/v2\", \"findings\": []}"] {
            assert!(Baseline::read("b.json".into(), text.as_bytes()).is_err(), "{text}");
        }
    }
}
