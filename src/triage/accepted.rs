//! Which findings exceptions cover.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{HiddenBy, Source};
use crate::config::{Accept, Config, Date};
use crate::inventory::Inventory;
use crate::lint::{About, FileFinding, Finding, Severity};

/// The exceptions of a configuration, found by their most specific condition, and which of them are used.
pub(super) struct Acceptance<'c> {
    config: &'c Config,
    today: Date,
    by_condition: HashMap<Condition<'c>, Vec<usize>, RandomState>,
    used: Vec<bool>,
}

/// The condition of an entry that few findings meet.
#[derive(PartialEq, Eq, Hash)]
enum Condition<'c> {
    Fingerprint(&'c str),
    Object(&'c str),
    Subject(&'c str),
    Rule(&'c str),
}

impl<'c> Acceptance<'c> {
    pub(super) fn new(config: &'c Config, today: Date) -> Self {
        let mut by_condition: HashMap<_, Vec<usize>, _> = HashMap::default();
        for (index, accept) in config.accept.iter().enumerate() {
            for condition in conditions(accept) {
                by_condition.entry(condition).or_default().push(index);
            }
        }
        Self { config, today, by_condition, used: vec![false; config.accept.len()] }
    }

    /// Returns what accepts a finding, if exceptions cover it for all its subjects. Entries that cover it in part are
    /// used, too.
    pub(super) fn of(&mut self, inventory: &Inventory, finding: &Finding) -> Option<HiddenBy> {
        let candidates = self.candidates(inventory, finding);
        let mut whole = None;
        let mut partial: Vec<(usize, &Accept)> = Vec::new();
        for index in candidates {
            let Some(accept) = self.config.accept.get(index).filter(|accept| accept.covers_place(inventory, finding))
            else {
                continue;
            };
            let subjects = || finding.subjects.iter();
            if accept.subject.as_ref().is_some_and(|accepted| !subjects().any(|subject| accepted.is(subject))) {
                continue;
            }
            if let Some(used) = self.used.get_mut(index) {
                *used = true;
            }
            if !accept.counts_on(self.today) {
                continue;
            }
            match accept.subject {
                None => whole = whole.or(Some(accept)),
                Some(_) => partial.push((index, accept)),
            }
        }
        let is_accepted = |subject| {
            partial.iter().any(|(_, accept)| accept.subject.as_ref().is_some_and(|accepted| accepted.is(subject)))
        };
        let all = || finding.subjects_left_out == 0 && finding.subjects.iter().all(is_accepted);
        let accept = whole.or_else(|| partial.first().filter(|_| all()).map(|(_, accept)| *accept))?;
        Some(HiddenBy::Accept {
            source: self.source(accept),
            reason: accept.reason.clone(),
            until: accept.until.map(|until| until.to_string()),
        })
    }

    fn candidates(&self, inventory: &Inventory, finding: &Finding) -> Vec<usize> {
        if self.by_condition.is_empty() {
            return Vec::new();
        }
        let meta = finding.about.meta(inventory);
        let carrier = meta.and_then(|meta| meta.embedded.as_deref()).map(|embedding| embedding.carrier.name.as_str());
        let objects = meta.map(|meta| meta.name.as_str()).into_iter().chain(carrier).map(Condition::Object);
        let subjects = finding.subjects.iter().map(|subject| Condition::Subject(subject.name.as_str()));
        let others = [Condition::Fingerprint(&finding.fingerprint), Condition::Rule(finding.rule)];
        let conditions = objects.chain(subjects).chain(others);
        let mut found: Vec<usize> = conditions.filter_map(|it| self.by_condition.get(&it)).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn source(&self, accept: &Accept) -> Source {
        Source { path: self.config.path.clone().unwrap_or_default(), place: accept.place }
    }

    /// Returns a finding for each entry that has ended, and for each that matches nothing. Entries about rules that were
    /// not applied may well match.
    pub(super) fn findings(&self, is_applied: impl Fn(&'static str) -> bool) -> Vec<Finding> {
        let Some(path) = &self.config.path else { return Vec::new() };
        let all_applied = crate::lint::catalogue().iter().all(|rule| is_applied(rule.id()));
        let finding = |(accept, used): (&Accept, &bool)| {
            let what = accept.describe();
            let (rule, severity, message, help, label) = if !accept.counts_on(self.today) {
                let until = accept.until.map(|until| until.to_string()).unwrap_or_default();
                (
                    "expired-accept",
                    Severity::Warning,
                    format!("the exception for {what} ended on {until}"),
                    "remove the entry, or decide again until when the grant stays",
                    "accepts nothing any more",
                )
            } else if !used && (all_applied || accept.rules.iter().any(|rule| is_applied(rule))) {
                (
                    "unused-accept",
                    Severity::Note,
                    format!("the exception for {what} matches no finding"),
                    "remove the entry if the grant is gone; otherwise correct it",
                    "matches nothing",
                )
            } else {
                return None;
            };
            let (label, help, place) = (label.to_owned(), help.to_owned(), accept.place);
            let finding = FileFinding { about: About::File, rule, severity, message, help, label, path, place, what };
            is_applied(rule).then(|| finding.into())
        };
        self.config.accept.iter().zip(&self.used).filter_map(finding).collect()
    }
}

/// The conditions under which an entry is looked up: the fingerprint, else the object, the subject or the rules.
fn conditions(accept: &Accept) -> Vec<Condition<'_>> {
    if let Some(fingerprint) = &accept.fingerprint {
        return vec![Condition::Fingerprint(fingerprint)];
    }
    if let Some(object) = &accept.object {
        return vec![Condition::Object(&object.name)];
    }
    if let Some(subject) = &accept.subject {
        return vec![Condition::Subject(&subject.name)];
    }
    accept.rules.iter().map(|rule| Condition::Rule(rule)).collect()
}
