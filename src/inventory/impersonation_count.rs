//! How often impersonation was used, as API servers count it.

use std::collections::BTreeMap;

use smol_str::{SmolStr, format_smolstr};

use super::cluster::ClusterFacts;
use super::fields::FieldReader;
use crate::syntax::{Node, NodeKind, Value};

/// How the metric names the mode that needs the verb `impersonate`.
const LEGACY: &str = "legacy";
/// Hours of a day.
const DAY: u64 = 24;
/// How long a server must have counted before "never" is a hint, in hours.
const ENOUGH: u64 = 7 * DAY;

/// What an API server has counted since it started (`apiserver_impersonation_attempts_total`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpersonationCount {
    /// When it started, such as `2026-12-01T08:30:00Z`.
    pub started: SmolStr,
    /// How long it had been running when it was asked, in whole hours.
    pub hours: u64,
    /// The attempts; none where the server does not count them, because the feature is off or not there.
    pub attempts: Option<Attempts>,
}

/// Attempts to impersonate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempts {
    /// How many succeeded, by the mode that allowed them (`legacy`, `user-info`, …).
    pub allowed: BTreeMap<SmolStr, u64>,
    /// How many were refused.
    pub denied: u64,
}

impl Attempts {
    fn legacy(&self) -> u64 {
        self.allowed.get(LEGACY).copied().unwrap_or_default()
    }

    fn constrained(&self) -> u64 {
        let others = self.allowed.iter().filter(|(mode, _)| mode.as_str() != LEGACY);
        others.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

impl ImpersonationCount {
    /// The entry in the head of a snapshot.
    pub(super) fn to_value(&self) -> Value {
        let mut entry = vec![
            ("started", Value::text(self.started.clone())),
            ("hours", Value::text(format_smolstr!("{}", self.hours))),
        ];
        if let Some(attempts) = &self.attempts {
            let count = |(mode, count): (&SmolStr, &u64)| (mode.clone(), Value::text(format_smolstr!("{count}")));
            entry.push(("allowed", Value::map(attempts.allowed.iter().map(count))));
            entry.push(("denied", Value::text(format_smolstr!("{}", attempts.denied))));
        }
        Value::map(entry)
    }

    /// Reads an entry of a snapshot's head.
    pub(super) fn read(node: Node<'_>, reader: &mut FieldReader<'_>) -> Self {
        let [started, hours, allowed, denied] = reader.unique_fields(node, ["started", "hours", "allowed", "denied"]);
        let mut number = |name, node| reader.text(name, node).and_then(|text| text.value.parse::<u64>().ok());
        let hours = number("hours", hours).unwrap_or_default();
        let denied = number("denied", denied);
        let mut by_mode = Vec::new();
        if let Some(allowed) = allowed.filter(|allowed| allowed.kind() == NodeKind::Mapping) {
            allowed.visit_fields(&mut |mode, entry, _| by_mode.push((SmolStr::new(mode), entry.value)));
        }
        let count = |(mode, node)| Some((mode, number("allowed", Some(node))?));
        let allowed = by_mode.into_iter().filter_map(count).collect();
        let started = reader.text("started", started).map(|text| text.value).unwrap_or_default();
        Self { started, hours, attempts: denied.map(|denied| Attempts { allowed, denied }) }
    }
}

impl ClusterFacts {
    /// Says how often legacy impersonation succeeded, and what follows from it.
    pub fn describe_legacy_use(&self) -> String {
        let counted: Vec<(&ImpersonationCount, &Attempts)> =
            self.impersonation.iter().filter_map(|count| Some((count, count.attempts.as_ref()?))).collect();
        let Some(shortest) = counted.iter().map(|(count, _)| count.hours).min() else {
            let why = if self.impersonation.is_empty() {
                "the metrics of the API servers were not read"
            } else {
                "API servers without constrained impersonation do not count it"
            };
            return format!("how often legacy impersonation is used is not known: {why}");
        };
        let sum = |of: fn(&Attempts) -> u64| {
            counted.iter().fold(0_u64, |sum, (_, attempts)| sum.saturating_add(of(attempts)))
        };
        let legacy = sum(Attempts::legacy);
        let others: Vec<String> =
            [(sum(Attempts::constrained), "by constrained modes"), (sum(|attempts| attempts.denied), "denied")]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
        let others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
        let longest = counted.iter().map(|(count, _)| count.hours).max().unwrap_or_default();
        let since = match counted.as_slice() {
            [(count, _)] => {
                format!("since the one API server that answered started at {} ({}", count.started, period(shortest))
            }
            several => {
                format!("since the {} API servers that answered started ({}", several.len(), range(shortest, longest))
            }
        };
        let silent = self.impersonation.len() - counted.len();
        let silent = match silent {
            0 => String::new(),
            1 => "; 1 more API server does not count it".to_owned(),
            _ => format!("; {silent} more API servers do not count it"),
        };
        let how_often = match legacy {
            0 => "never succeeded".to_owned(),
            1 => "succeeded once".to_owned(),
            _ => format!("succeeded {legacy} times"),
        };
        let so = match legacy {
            0 if shortest >= ENOUGH && silent.is_empty() => ": a strong hint that no client needs it",
            0 => ": too little to conclude that no client needs it",
            _ => ": some client uses it, so find out which before you remove legacy grants",
        };
        format!("legacy impersonation {how_often} {since}{others}){silent}{so}")
    }

    /// Whether servers with and without constrained impersonation answer.
    pub(super) fn is_partly_constrained(&self) -> bool {
        let counts = |count: &&ImpersonationCount| count.attempts.is_some();
        let counting = self.impersonation.iter().filter(counts).count();
        counting > 0 && counting < self.impersonation.len()
    }
}

/// A period in its largest unit.
fn period(hours: u64) -> String {
    match in_largest_unit(hours) {
        (0, _) => "less than an hour".to_owned(),
        (1, unit) => format!("1 {unit}"),
        (number, unit) => format!("{number} {unit}s"),
    }
}

/// Two periods, or the one that both are.
fn range(shortest: u64, longest: u64) -> String {
    let (from, to) = (in_largest_unit(shortest), in_largest_unit(longest));
    match from {
        _ if from == to => period(shortest),
        (1.., unit) if unit == to.1 => format!("{} to {}", from.0, period(longest)),
        _ => format!("{} to {}", period(shortest), period(longest)),
    }
}

fn in_largest_unit(hours: u64) -> (u64, &'static str) {
    if hours < DAY { (hours, "hour") } else { (hours / DAY, "day") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(hours: u64, attempts: Option<(&[(&str, u64)], u64)>) -> ImpersonationCount {
        let attempts = attempts.map(|(allowed, denied)| Attempts {
            allowed: allowed.iter().map(|(mode, count)| (SmolStr::new(mode), *count)).collect(),
            denied,
        });
        ImpersonationCount { started: SmolStr::new("2026-12-01T08:30:00Z"), hours, attempts }
    }

    #[test]
    fn words_say_how_often_how_long_and_of_how_many() {
        let never = count(45 * DAY, Some((&[], 0)));
        for (impersonation, expected) in [
            (
                vec![],
                "how often legacy impersonation is used is not known: the metrics of the API servers were not read",
            ),
            (
                vec![count(DAY, None)],
                "how often legacy impersonation is used is not known: API servers without constrained impersonation do \
                 not count it",
            ),
            (
                vec![never.clone()],
                "legacy impersonation never succeeded since the one API server that answered started at \
                 2026-12-01T08:30:00Z (45 days): a strong hint that no client needs it",
            ),
            (
                vec![count(7 * DAY - 1, Some((&[("user-info", 2)], 3)))],
                "legacy impersonation never succeeded since the one API server that answered started at \
                 2026-12-01T08:30:00Z (6 days; 2 by constrained modes, 3 denied): too little to conclude that no client \
                 needs it",
            ),
            (
                vec![never.clone(), count(1, Some((&[("legacy", 1)], 0)))],
                "legacy impersonation succeeded once since the 2 API servers that answered started (1 hour to 45 days): \
                 some client uses it, so find out which before you remove legacy grants",
            ),
            (
                vec![count(0, Some((&[("legacy", u64::MAX)], 0))), count(0, Some((&[("legacy", 9)], 0)))],
                "legacy impersonation succeeded 18446744073709551615 times since the 2 API servers that answered started \
                 (less than an hour): some client uses it, so find out which before you remove legacy grants",
            ),
            (
                vec![never, count(DAY, None)],
                "legacy impersonation never succeeded since the one API server that answered started at \
                 2026-12-01T08:30:00Z (45 days); 1 more API server does not count it: too little to conclude that no \
                 client needs it",
            ),
        ] {
            let facts = ClusterFacts { impersonation, ..ClusterFacts::default() };
            assert_eq!(facts.describe_legacy_use(), expected);
        }
    }
}
