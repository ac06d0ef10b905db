//! How good evidence is: how much of it there is, and over how long.

use crate::evidence::Tally;

/// Fewer days of evidence than this are a reason to wait.
pub const FEW_DAYS: i64 = 7;
/// Fewer requests of an impersonator than this are a reason to wait.
pub const FEW_REQUESTS: u64 = 20;

/// How many requests were seen, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EvidenceSpan {
    /// Requests, each as often as it was seen.
    pub events: u64,
    /// Distinct requests.
    pub distinct: usize,
    /// Time of the first, as the log has it; empty if no event has a time.
    pub first: String,
    /// Time of the last.
    pub last: String,
}

impl EvidenceSpan {
    /// Adds a distinct request.
    pub(super) fn add(&mut self, tally: &Tally) {
        self.events = self.events.saturating_add(tally.count());
        self.distinct += 1;
        crate::evidence::take_in((&mut self.first, &mut self.last), &tally.first, &tally.last);
    }

    /// The days from the first to the last request, the first and the last one included. None if a time is no date.
    pub fn days(&self) -> Option<i64> {
        days_covered(&self.first, &self.last)
    }

    /// Whether it covers too few days to trust that it shows everything.
    pub fn is_short(&self) -> bool {
        self.events > 0 && self.days().is_none_or(|days| days < FEW_DAYS)
    }
}

/// The days from one time to another, both included. None if a time is not a date.
pub fn days_covered(first: &str, last: &str) -> Option<i64> {
    Some(day_number(last)? - day_number(first)? + 1)
}

/// The number of the day of a time as audit logs write it (`2026-01-31T…`), counted from the year 0 of the Gregorian
/// calendar.
fn day_number(time: &str) -> Option<i64> {
    let mut parts = time.get(..10)?.split('-');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counted from March, so that the leap day is the last of a year.
    let year = if month < 3 { year - 1 } else { year };
    let days_before = (153 * ((month + 9) % 12) + 2) / 5;
    Some(365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_before + day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_with_both_ends() {
        for (first, last, days) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T23:59:59Z", Some(1)),
            ("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z", Some(2)),
            ("2024-02-28T00:00:00Z", "2024-03-01T00:00:00Z", Some(3)),
            ("2025-12-31T00:00:00Z", "2026-01-06T00:00:00Z", Some(7)),
            ("", "", None),
            ("2026-13-01", "2026-01-01", None),
        ] {
            let span = EvidenceSpan { events: 1, distinct: 1, first: first.into(), last: last.into() };
            assert_eq!(span.days(), days, "{first} {last}");
            assert_eq!(span.is_short(), days.is_none_or(|days| days < FEW_DAYS), "{first} {last}");
        }
    }
}
