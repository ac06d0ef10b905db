//! Dates, all of which depend on the clock or its zone, and durations, which do not.

use super::super::print::duration as print_duration;
use super::super::value::{IntType, Kind, Value};
use super::{Arguments, Outcome};

const SECOND: f64 = 1e9;

/// Something in the place of a date.
pub(super) fn date(_: &Arguments<'_>) -> Outcome {
    Ok("1970-01-01".into())
}

/// Nanoseconds of Go's `time.ParseDuration`.
fn parse(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => SECOND,
            "m" => 60.0 * SECOND,
            "h" => 3600.0 * SECOND,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    (!text.is_empty()).then(|| nanoseconds(sign * total))
}

#[expect(clippy::cast_possible_truncation, reason = "a duration is a whole number of nanoseconds")]
fn nanoseconds(value: f64) -> i64 {
    value as i64
}

/// What Helm takes for a duration: one, a text of one, or seconds.
fn duration_of(value: &Value) -> Result<i64, String> {
    match &value.kind {
        Kind::Int(number, IntType::Duration) => Ok(*number),
        Kind::Int(number, _) => number.checked_mul(1_000_000_000).ok_or_else(|| "duration seconds overflow".to_owned()),
        Kind::Float(number) => Ok(nanoseconds(number * SECOND)),
        Kind::Text(text) => {
            let text = text.as_str().trim();
            let seconds = || text.parse().ok().map(|number: f64| nanoseconds(number * SECOND));
            parse(text).or_else(seconds).ok_or_else(|| format!("could not parse duration {text:?}"))
        }
        Kind::Nil | Kind::Null => Err("invalid duration".to_owned()),
        _ => Err(format!("unsupported duration type {}", value.type_name())),
    }
}

fn as_duration(value: i64) -> Value {
    Kind::Int(value, IntType::Duration).into()
}

pub(super) fn must_to_duration(arguments: &Arguments<'_>) -> Outcome {
    Ok(as_duration(duration_of(arguments.value(0))?))
}

#[expect(clippy::cast_precision_loss, reason = "Go converts in the same way")]
fn in_units(arguments: &Arguments<'_>, unit: f64) -> Outcome {
    Ok((duration_of(arguments.value(0)).unwrap_or_default() as f64 / unit).into())
}

pub(super) fn seconds(arguments: &Arguments<'_>) -> Outcome {
    in_units(arguments, SECOND)
}

pub(super) fn minutes(arguments: &Arguments<'_>) -> Outcome {
    in_units(arguments, 60.0 * SECOND)
}

pub(super) fn hours(arguments: &Arguments<'_>) -> Outcome {
    in_units(arguments, 3600.0 * SECOND)
}

pub(super) fn days(arguments: &Arguments<'_>) -> Outcome {
    in_units(arguments, 24.0 * 3600.0 * SECOND)
}

pub(super) fn weeks(arguments: &Arguments<'_>) -> Outcome {
    in_units(arguments, 7.0 * 24.0 * 3600.0 * SECOND)
}

fn in_whole_units(arguments: &Arguments<'_>, unit: i64) -> Outcome {
    Ok(Value::int64(duration_of(arguments.value(0)).unwrap_or_default() / unit))
}

pub(super) fn milliseconds(arguments: &Arguments<'_>) -> Outcome {
    in_whole_units(arguments, 1_000_000)
}

pub(super) fn microseconds(arguments: &Arguments<'_>) -> Outcome {
    in_whole_units(arguments, 1_000)
}

pub(super) fn whole_nanoseconds(arguments: &Arguments<'_>) -> Outcome {
    in_whole_units(arguments, 1)
}

pub(super) fn round_to(arguments: &Arguments<'_>) -> Outcome {
    multiple(arguments, |value, unit| {
        let rest = value % unit;
        let whole = value - rest;
        if rest.saturating_abs().saturating_mul(2) < unit { whole } else { whole + unit * rest.signum() }
    })
}

pub(super) fn truncate_to(arguments: &Arguments<'_>) -> Outcome {
    multiple(arguments, |value, unit| value - value % unit)
}

fn multiple(arguments: &Arguments<'_>, change: impl Fn(i64, i64) -> i64) -> Outcome {
    let Ok(value) = duration_of(arguments.value(0)) else { return Ok(as_duration(0)) };
    Ok(as_duration(match duration_of(arguments.value(1)) {
        Ok(unit) if unit > 0 => change(value, unit),
        _ => value,
    }))
}

/// `duration`: seconds, as Go prints them.
pub(super) fn duration(arguments: &Arguments<'_>) -> Outcome {
    let seconds = match &arguments.value(0).kind {
        Kind::Text(text) => text.as_str().parse().unwrap_or_default(),
        Kind::Int(number, IntType::Int64) => *number,
        _ => 0_i64,
    };
    Ok(print_duration(seconds.saturating_mul(1_000_000_000)).into())
}

/// `durationRound`: the largest unit only.
pub(super) fn duration_round(arguments: &Arguments<'_>) -> Outcome {
    let value = match &arguments.value(0).kind {
        Kind::Text(text) => parse(text.as_str()).unwrap_or_default(),
        Kind::Int(number, IntType::Int64 | IntType::Duration) => *number,
        _ => 0,
    };
    let size = value.unsigned_abs() / 1_000_000_000;
    let sign = if value < 0 { "-" } else { "" };
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const MONTH: u64 = 30 * DAY;
    const YEAR: u64 = 365 * DAY;
    let (unit, name) = match size {
        0 => return Ok("0s".into()),
        _ if size > YEAR => (YEAR, "y"),
        _ if size > MONTH => (MONTH, "mo"),
        _ if size > DAY => (DAY, "d"),
        _ if size > HOUR => (HOUR, "h"),
        _ if size > MINUTE => (MINUTE, "m"),
        _ => (1, "s"),
    };
    Ok(format!("{sign}{}{name}", size / unit).into())
}
