//! Days, for exceptions that end.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Returns the day if the calendar has it.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self { year, month, day })
    }

    /// Returns today's date in UTC.
    pub fn today() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of_days(since.as_secs() / 86_400)
    }

    /// Returns the date that many days after 1970-01-01 (Howard Hinnant's `civil_from_days`).
    fn of_days(days: u64) -> Self {
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self { year: year.try_into().unwrap_or(u16::MAX), month: month as u8, day: day as u8 }
    }
}

/// A text that is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDate;

impl fmt::Display for InvalidDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date of the form YYYY-MM-DD")
    }
}

impl std::error::Error for InvalidDate {}

impl FromStr for Date {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let bytes = text.as_bytes();
        let has_form = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let part = |from: usize, to: usize| text.get(from..to)?.parse::<u16>().ok();
        let parts = || Some((part(0, 4)?, part(5, 7)?.try_into().ok()?, part(8, 10)?.try_into().ok()?));
        let (year, month, day) = has_form.then(parts).flatten().ok_or(InvalidDate)?;
        Self::new(year, month, day).ok_or(InvalidDate)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_the_calendar_are_dates() {
        for date in ["2024-02-29", "2000-02-29", "2027-12-31", "0001-01-01"] {
            assert_eq!(date.parse::<Date>().unwrap().to_string(), date);
        }
        for wrong in ["2023-02-29", "1900-02-29", "2027-13-01", "2027-04-31", "2027-1-01", "27-01-01", "2027-01-00"] {
            assert_eq!(wrong.parse::<Date>(), Err(InvalidDate), "{wrong}");
        }
        for wrong in ["", "tomorrow", "2027-01-01T00:00:00Z", "+027-01-01", "２027-01"] {
            assert_eq!(wrong.parse::<Date>(), Err(InvalidDate), "{wrong}");
        }
        assert!("2026-12-31".parse::<Date>().unwrap() < "2027-01-01".parse().unwrap());
    }

    #[test]
    fn days_since_the_epoch_are_dates() {
        for (days, date) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_788, "2026-12-01")] {
            assert_eq!(Date::of_days(days).to_string(), date);
        }
    }
}
