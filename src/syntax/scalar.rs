//! What a plain scalar means to a Kubernetes client.
//!
//! `kubectl` and the Go tools around it read YAML with `sigs.k8s.io/yaml`, a YAML 1.1 reader: `yes`
//! is a boolean and `012` a number there, and the API server refuses either in a list of strings.

/// The type that `sigs.k8s.io/yaml` gives a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarType {
    /// Text.
    String,
    /// `null`, `~` or nothing at all.
    Null,
    /// `true`, `no`, `on`, …
    Boolean,
    /// An integer or a float, in any of YAML 1.1's spellings.
    Number,
}

impl ScalarType {
    /// The type of an untagged plain scalar.
    pub fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" | "n" | "N" | "no"
            | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => Self::Boolean,
            _ if is_number(text) => Self::Number,
            _ => Self::String,
        }
    }

    /// How messages name it.
    pub fn describe(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
        }
    }
}

/// As Go's `strconv` has it, which reads hexadecimal, octal and binary numbers of 64 bits, and floats that are finite.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    match text.bytes().next() {
        // Here underscores stand between digits only.
        Some(b'.') => {
            let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
            let bytes = text.as_bytes();
            let is_apart = |at: usize| is_digit(bytes.get(at - 1)) && is_digit(bytes.get(at + 1));
            let apart = bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || is_apart(at));
            apart && is_decimal(&text.replace('_', ""))
        }
        Some(b'0'..=b'9' | b'+' | b'-') if text.contains('_') => is_integer_or_float(&text.replace('_', "")),
        Some(b'0'..=b'9' | b'+' | b'-') => is_integer_or_float(text),
        _ => false,
    }
}

fn is_integer_or_float(text: &str) -> bool {
    let (is_signed, unsigned) = text.strip_prefix(['+', '-']).map_or((false, text), |unsigned| (true, unsigned));
    let prefixed = |lower: &str, upper: &str| unsigned.strip_prefix(lower).or_else(|| unsigned.strip_prefix(upper));
    let fits = |digits: &str, radix: u32| {
        let bound = match (is_signed, text.starts_with('-')) {
            (false, _) => u64::MAX,
            (true, false) => i64::MAX as u64,
            (true, true) => 1 << 63,
        };
        digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && u64::from_str_radix(digits, radix).is_ok_and(|value| value <= bound)
    };
    let is_integer = if let Some(digits) = prefixed("0x", "0X") {
        fits(digits, 16)
    } else if let Some(digits) = prefixed("0b", "0B") {
        // A sign behind the prefix is read too.
        let signed = || i64::from_str_radix(digits, 2).is_ok() && text.starts_with("0b");
        fits(digits, 2) || signed()
    } else if let Some(digits) = prefixed("0o", "0O") {
        fits(digits, 8)
    } else {
        fits(unsigned, if unsigned.len() > 1 && unsigned.starts_with('0') { 8 } else { 10 })
    };
    is_integer || is_decimal(unsigned)
}

/// `[0-9]*(\.[0-9]*)?([eE][-+]?[0-9]+)?` with at least one digit before the exponent, and finite.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
        return false;
    }
    let is_exponent = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && all_digits(e)
    });
    // Most numbers are short.
    is_exponent && (exponent.is_none() && text.len() < 300 || text.parse::<f64>().is_ok_and(f64::is_finite))
}

#[cfg(test)]
mod tests {
    use super::ScalarType::{self, *};

    #[test]
    fn reads_plain_scalars_as_go_clients_do() {
        for (text, expected) in [
            ("impersonate", String),
            ("*", String),
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("yes", Boolean),
            ("Off", Boolean),
            ("true", Boolean),
            ("12", Number),
            ("012", Number),
            ("0x1F", Number),
            ("1_000", Number),
            ("1.5e3", Number),
            (".5", Number),
            (".5_0", Number),
            ("._5", String),
            ("0X1F", Number),
            ("0o17", Number),
            ("0o8", String),
            ("08", Number),
            ("+_1", Number),
            ("0b-1", Number),
            ("0xfffffffffffffffff", String),
            ("18446744073709551616", Number),
            ("1e400", String),
            (".5e400", String),
            ("-.inf", Number),
            ("1.2.3", String),
            ("10.0.0.0/8", String),
            ("0x", String),
            ("1e", String),
            (".", String),
            ("12ab", String),
        ] {
            assert_eq!(ScalarType::of_plain(text), expected, "{text:?}");
        }
    }
}
