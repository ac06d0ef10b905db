//! Splits findings by all that hides some of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::accepted::Acceptance;
use super::suppressed::Suppressions;
use super::{BaseRevision, Baseline, Hidden, HiddenBy, Source, Triage};
use crate::config::{Config, Date, Override};
use crate::inventory::Inventory;
use crate::lint::{Finding, Selection, number_fingerprints};

/// What decides which findings are reported.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// The configuration.
    pub config: &'o Config,
    /// The rules that were applied.
    pub selection: &'o Selection,
    /// The day on which exceptions count or do not.
    pub today: Date,
    /// Whether comments and annotations in manifests hide findings.
    pub suppressions: bool,
    /// The findings that are known.
    pub baseline: Option<&'o Baseline>,
    /// The repository, if only files of it were read: a role's binding may be elsewhere in it.
    pub partial: Option<&'o str>,
    /// Whether all that the configuration is about was read: its directory, with everything below it.
    pub whole: bool,
    /// The findings of the base revision.
    pub base: Option<&'o BaseRevision>,
}

/// Splits the findings of an input into those that are reported and those that something hides. Adds findings about
/// what hides nothing, and gives findings the severities of the configuration.
pub fn triage(inventory: &Inventory, mut findings: Vec<Finding>, options: &Options<'_>) -> Triage {
    let Options { config, selection, today, suppressions, baseline, base, partial, whole } = *options;
    let mut accepted = Acceptance::new(config, today);
    let mut suppressed = suppressions.then(|| Suppressions::new(inventory, config, &findings));
    let mut hide = |finding: &Finding| {
        // Both are asked: what matches is used, whatever hides the finding in the end.
        let accept = accepted.of(inventory, finding);
        let suppression = suppressed.as_mut().and_then(|suppressed| suppressed.of(finding));
        suppression.or(accept)
    };
    let is_hidden: Vec<Option<HiddenBy>> = findings.iter().map(&mut hide).collect();
    // An exception may be for what was not read.
    let mut more = accepted.findings(|rule| selection.has(rule) && (whole || rule != "unused-accept"));
    more.extend(suppressed.into_iter().flat_map(|suppressed| suppressed.findings(|rule| selection.has(rule))));
    number_fingerprints(&mut more);
    let mut by: Vec<(Finding, Option<HiddenBy>)> = findings.drain(..).zip(is_hidden).collect();
    by.extend(more.into_iter().map(|finding| (finding, None)));
    let mut filter = Filter { config, overrides: HashMap::default(), changed: 0 };
    for (finding, hidden) in &mut by {
        if let Some(repository) = partial.filter(|_| finding.rule == "unbound-role") {
            finding.help.push_str(&format!(
                "; only files were read: a binding may be elsewhere in the repository, so check the directory {repository}"
            ));
        }
        // The configuration comes first: what it leaves out is not looked at any further.
        if let Some(left_out) = filter.apply(finding) {
            *hidden = Some(left_out);
        }
        if hidden.is_none() {
            let known = baseline.and_then(|baseline| baseline.of_finding(finding));
            *hidden = known.or_else(|| base.and_then(|base| base.of_finding(finding)));
        }
    }
    by.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
    let severities_changed = filter.changed;
    let fixed =
        baseline.map(|baseline| baseline.fixed(&by.iter().map(|(finding, _)| finding.fingerprint.as_str()).collect()));
    let mut triage = Triage { severities_changed, fixed: fixed.unwrap_or_default(), ..Triage::default() };
    for (finding, hidden) in by {
        match hidden {
            Some(by) => triage.hidden.push(Hidden { finding, by }),
            None => triage.reported.push(finding),
        }
    }
    triage
}

/// What the configuration says of rules, everywhere and for paths.
struct Filter<'c> {
    config: &'c Config,
    /// The overrides that hold for each file.
    overrides: HashMap<Arc<str>, Vec<&'c Override>, RandomState>,
    changed: usize,
}

impl<'c> Filter<'c> {
    /// Gives a finding its severity. Returns what leaves it out, if anything does.
    fn apply(&mut self, finding: &mut Finding) -> Option<HiddenBy> {
        let config = self.config;
        let path = config.path.as_ref()?;
        let overrides = self.overrides_of(finding);
        let severities = overrides.iter().map(|it| &it.rules).chain([&config.rules]);
        let severity = severities.filter_map(|rules| rules.severity_of(finding.rule)).next();
        let left_out = overrides.iter().map(|it| &it.rules).chain([&config.rules]);
        let place = left_out.filter_map(|rules| rules.leaves_out(finding.rule)).next();
        if let Some(severity) = severity.filter(|severity| *severity != finding.severity) {
            finding.severity = severity;
            self.changed += usize::from(place.is_none());
        }
        Some(HiddenBy::Configuration { source: Source { path: Arc::clone(path), place: place? } })
    }

    /// The overrides for the file of a finding, the last first.
    fn overrides_of(&mut self, finding: &Finding) -> Vec<&'c Override> {
        let config = self.config;
        if config.overrides.is_empty() {
            return Vec::new();
        }
        if let Some(known) = self.overrides.get(&finding.path) {
            return known.clone();
        }
        let relative: Option<PathBuf> = config.relative(&finding.path);
        let holds = |it: &&Override| relative.as_ref().is_some_and(|file| it.paths.match_file(file));
        let found: Vec<&Override> = config.overrides.iter().rev().filter(holds).collect();
        self.overrides.insert(Arc::clone(&finding.path), found.clone());
        found
    }
}
