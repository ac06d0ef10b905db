//! Go's literals: strings, characters and numbers.

use crate::go_string::unescape;

/// A number as a template writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// A whole number.
    Int(i64),
    /// Any other.
    Float(f64),
}

/// The string that a literal in double quotes, single quotes or backticks stands for.
pub(super) fn unquote(literal: &str) -> Option<String> {
    let quote = literal.chars().next()?;
    let inner = literal.get(1..literal.len().checked_sub(1)?)?;
    if !literal.ends_with(quote) {
        return None;
    }
    match quote {
        // Go drops carriage returns from raw strings.
        '`' => Some(inner.replace('\r', "")),
        '"' | '\'' => unescape(inner, quote),
        _ => None,
    }
}

/// The number that a literal stands for; a character is one.
pub(super) fn number(literal: &str) -> Option<Number> {
    if literal.starts_with('\'') {
        let text = unquote(literal)?;
        let mut chars = text.chars();
        let value = chars.next()?;
        return chars.next().is_none().then_some(Number::Int(i64::from(u32::from(value))));
    }
    if let Some(value) = parse_int(literal) {
        return Some(Number::Int(value));
    }
    let plain = literal.replace('_', "");
    if plain.contains(['x', 'X']) {
        return hex_float(&plain).map(Number::Float);
    }
    let value: f64 = plain.parse().ok()?;
    if !plain.contains(['.', 'e', 'E', 'p', 'P']) {
        return None;
    }
    // A float without a fraction serves as a whole number too; which it is depends on where it stands.
    Some(Number::Float(value))
}

/// A float to the base 16, such as `0x1.8p4`.
fn hex_float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let digits = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"))?;
    let (mantissa, exponent) = digits.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent = exponent.parse::<i32>().ok()? - 4 * i32::try_from(fraction.len()).ok()?;
    let value = value * 2_f64.powi(exponent);
    Some(if text.starts_with('-') { -value } else { value })
}

/// `strconv.ParseInt(text, 0, 64)`: the prefix says the base.
pub(super) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits, prefixed) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest, true)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest, true)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest, true)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..], true)
    } else {
        (10, lower.as_str(), false)
    };
    if digits.ends_with('_') || digits.contains("__") || (!prefixed && digits.starts_with('_')) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if plain.is_empty() || !plain.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let signed = if negative { format!("-{plain}") } else { plain };
    i64::from_str_radix(&signed, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_unescaped_as_go_does() {
        assert_eq!(unquote(r#""a\n\t\"\x41\101\u00e9""#).as_deref(), Some("a\n\t\"AA\u{e9}"));
        assert_eq!(unquote("`a\\n`").as_deref(), Some("a\\n"));
        assert_eq!(unquote(r#""\q""#), None);
    }

    #[test]
    fn numbers_have_their_base() {
        for (text, expected) in
            [("0x1F", 31), ("010", 8), ("0b11", 3), ("1_000", 1000), ("-5", -5), ("'a'", 97), ("0", 0)]
        {
            assert_eq!(number(text), Some(Number::Int(expected)), "{text}");
        }
        assert_eq!(number("1.5e3"), Some(Number::Float(1500.0)));
        assert_eq!(number("0x1p60"), Some(Number::Float(1_152_921_504_606_846_976.0)));
        assert_eq!(number("0x1.8p-1"), Some(Number::Float(0.75)));
        assert_eq!(number("08"), None);
    }
}
