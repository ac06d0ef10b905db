//! What a plain scalar is to Go's YAML readers.

use std::sync::LazyLock;

use regex::Regex;

use super::literal::parse_int;

/// A plain scalar, resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    /// Text.
    Text,
    /// Nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// One that is too large for the others.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// A date, which becomes text.
    Timestamp,
}

/// Which words are booleans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `yaml.v2`: `yes`, `on` and `y` among them.
    V2,
    /// `yaml.v3`, into a value of no type: `true` and `false`.
    V3,
}

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str, dialect: Dialect) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match text {
        "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::V2 => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::V2 => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match first {
        b'.' => float(text),
        b'+' | b'-' | b'0'..=b'9' => number(text, dialect),
        _ => Scalar::Text,
    }
}

fn float(text: &str) -> Scalar {
    let is_float = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse() {
        Ok(value) if is_float => Scalar::Float(value),
        _ => Scalar::Text,
    }
}

fn number(text: &str, dialect: Dialect) -> Scalar {
    static FLOAT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").ok());
    if is_timestamp(text) {
        return Scalar::Timestamp;
    }
    let plain = text.replace('_', "");
    if let Some(value) = parse_int(&plain) {
        return Scalar::Int(value);
    }
    if !plain.starts_with(['+', '-', '0'])
        && let Ok(value) = plain.parse()
    {
        return Scalar::Uint(value);
    }
    if FLOAT.as_ref().is_some_and(|pattern| pattern.is_match(&plain))
        && let Ok(value) = plain.parse::<f64>()
        && value.is_finite()
    {
        return Scalar::Float(value);
    }
    if dialect == Dialect::V3
        && let Some(octal) = plain.strip_prefix("0o").filter(|octal| !octal.is_empty())
        && let Ok(value) = i64::from_str_radix(octal, 8)
    {
        return Scalar::Int(value);
    }
    Scalar::Text
}

/// Whether a scalar is a date in one of the forms that Go's readers know.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"^\d{4}-(\d{1,2})-(\d{1,2})([Tt](\d{1,2}):(\d{1,2}):(\d{1,2})([.,]\d+)?(Z|[+-]\d\d:\d\d)| (\d{1,2}):(\d{1,2}):(\d{1,2})([.,]\d+)?)?$",
        )
        .ok()
    });
    let Some(found) = DATE.as_ref().and_then(|date| date.captures(text)) else { return false };
    let number = |index: usize| found.get(index).and_then(|part| part.as_str().parse::<u32>().ok());
    let year: u32 = text[..4].parse().unwrap_or_default();
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match number(1) {
        Some(2) => 28 + u32::from(leap),
        Some(4 | 6 | 9 | 11) => 30,
        Some(1..=12) => 31,
        _ => return false,
    };
    let within = |index: usize, limit: u32| number(index).is_none_or(|value| value < limit);
    number(2).is_some_and(|day| (1..=days).contains(&day))
        && within(4, 24)
        && within(5, 60)
        && within(6, 60)
        && within(9, 24)
        && within(10, 60)
        && within(11, 60)
}

/// Whether a text looks like a number to the base 60, which Go puts in quotes.
pub(super) fn is_base60(text: &str) -> bool {
    static BASE60: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$").ok());
    text.starts_with(['+', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        && text.contains(':')
        && BASE60.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        for (text, expected) in [
            ("yes", Scalar::Bool(true)),
            ("Off", Scalar::Bool(false)),
            ("0644", Scalar::Int(420)),
            ("0o644", Scalar::Int(420)),
            ("0x1F", Scalar::Int(31)),
            ("1_000", Scalar::Int(1000)),
            ("08", Scalar::Float(8.0)),
            ("1e3", Scalar::Float(1000.0)),
            ("1.5", Scalar::Float(1.5)),
            (".5", Scalar::Float(0.5)),
            ("18446744073709551615", Scalar::Uint(u64::MAX)),
            ("2024-01-31", Scalar::Timestamp),
            ("2024-02-31", Scalar::Text),
            ("1.2.3", Scalar::Text),
            ("10m", Scalar::Text),
            ("~", Scalar::Null),
            ("", Scalar::Null),
            ("-", Scalar::Text),
        ] {
            assert_eq!(resolve(text, Dialect::V2), expected, "{text:?}");
        }
        assert_eq!(resolve("yes", Dialect::V3), Scalar::Text);
        assert!(is_base60("12:30:45") && !is_base60("12:90"));
    }
}
