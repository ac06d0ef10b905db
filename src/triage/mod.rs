//! Splits findings into those that are reported and those that something hides, and keeps both: a hidden finding is
//! counted and can be listed, with what hides it.

mod accepted;
mod baseline;
mod legacy;
mod split;
mod suppressed;

use std::collections::HashSet;
use std::sync::Arc;

pub use baseline::{Baseline, BaselineEntry};
pub use legacy::accepted_grants;
pub use split::{Options, triage};

use foldhash::fast::RandomState;

use crate::lint::Finding;
use crate::syntax::Place;

/// Findings, split by whether they are reported.
#[derive(Debug, Default)]
pub struct Triage {
    /// The findings to report, in the order of their places.
    pub reported: Vec<Finding>,
    /// The others, in the same order.
    pub hidden: Vec<Hidden>,
    /// What the baseline lists and is no finding any more.
    pub fixed: Vec<BaselineEntry>,
    /// How many findings have another severity than their rule gave them.
    pub severities_changed: usize,
}

/// A finding that is not reported.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// The finding.
    pub finding: Finding,
    /// What hides it.
    pub by: HiddenBy,
}

/// What hides a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HiddenBy {
    /// The configuration does not select its rule, everywhere or for its path.
    Configuration {
        /// Where the configuration says so.
        source: Source,
    },
    /// A comment or an annotation in the manifest.
    Suppression {
        /// Where that is.
        source: Source,
        /// The reason given there, if any.
        reason: Option<String>,
    },
    /// An `[[accept]]` entry of the configuration.
    Accept {
        /// Where the entry is.
        source: Source,
        /// The reason given there.
        reason: String,
        /// The last day on which it counts, as `YYYY-MM-DD`.
        until: Option<String>,
    },
    /// The baseline lists it.
    Baseline {
        /// The baseline's file.
        path: Arc<str>,
    },
    /// It was found at the base revision, too.
    BaseRevision {
        /// The revision, as the user named it.
        revision: Arc<str>,
    },
}

/// A place in a file that hides findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, as the user knows it.
    pub path: Arc<str>,
    /// The place in it.
    pub place: Place,
}

impl HiddenBy {
    /// The name of this way of hiding, as JSON output has it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "configuration",
            Self::Suppression { .. } => "suppression",
            Self::Accept { .. } => "accept",
            Self::Baseline { .. } => "baseline",
            Self::BaseRevision { .. } => "base-revision",
        }
    }

    /// The reason that a person gave for it, if any.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Suppression { reason, .. } => reason.as_deref(),
            Self::Accept { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Where it is written, if that is a place in a file.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Configuration { source } | Self::Suppression { source, .. } | Self::Accept { source, .. } => {
                Some(source)
            }
            Self::Baseline { .. } | Self::BaseRevision { .. } => None,
        }
    }

    /// The last day on which it counts, if it has one.
    pub fn until(&self) -> Option<&str> {
        match self {
            Self::Accept { until, .. } => until.as_deref(),
            _ => None,
        }
    }
}

/// The findings at a base revision, by their fingerprints.
#[derive(Debug, Clone)]
pub struct BaseRevision {
    revision: Arc<str>,
    fingerprints: HashSet<String, RandomState>,
}

impl BaseRevision {
    /// The findings at a revision, which the user named like that.
    pub fn new(revision: &str, findings: impl IntoIterator<Item = Finding>) -> Self {
        let fingerprints = findings.into_iter().map(|finding| finding.fingerprint).collect();
        Self { revision: Arc::from(revision), fingerprints }
    }

    /// Returns what hides a finding, if it was found at the revision.
    fn of_finding(&self, finding: &Finding) -> Option<HiddenBy> {
        let is_known = self.fingerprints.contains(&finding.fingerprint);
        is_known.then(|| HiddenBy::BaseRevision { revision: Arc::clone(&self.revision) })
    }
}

/// How many findings are hidden, by what hides them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HiddenCounts {
    /// Those whose rule the configuration does not select.
    pub ignored: usize,
    /// Those with a comment or an annotation in the manifest.
    pub suppressed: usize,
    /// Those that an `[[accept]]` entry covers.
    pub accepted: usize,
    /// Those of the baseline.
    pub baseline: usize,
    /// Those that were found at the base revision, too.
    pub base_revision: usize,
}

impl HiddenCounts {
    /// The number of all of them.
    pub fn total(self) -> usize {
        self.ignored + self.suppressed + self.accepted + self.baseline + self.base_revision
    }
}

impl Triage {
    /// Reports all findings.
    pub fn report_all(findings: Vec<Finding>) -> Self {
        Self { reported: findings, ..Self::default() }
    }

    /// Hides the findings that a baseline lists. None of it is fixed then.
    pub fn hide_known(&mut self, baseline: &Baseline) {
        for finding in std::mem::take(&mut self.reported) {
            match baseline.of_finding(&finding) {
                Some(by) => self.hidden.push(Hidden { finding, by }),
                None => self.reported.push(finding),
            }
        }
        self.hidden.sort_by(|a, b| a.finding.order().cmp(&b.finding.order()));
        self.fixed.clear();
    }

    /// Counts the hidden findings.
    pub fn hidden_counts(&self) -> HiddenCounts {
        let mut counts = HiddenCounts::default();
        for hidden in &self.hidden {
            *match hidden.by {
                HiddenBy::Configuration { .. } => &mut counts.ignored,
                HiddenBy::Suppression { .. } => &mut counts.suppressed,
                HiddenBy::Accept { .. } => &mut counts.accepted,
                HiddenBy::Baseline { .. } => &mut counts.baseline,
                HiddenBy::BaseRevision { .. } => &mut counts.base_revision,
            } += 1;
        }
        counts
    }
}
