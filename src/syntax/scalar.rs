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

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some(first) = unsigned.bytes().next() else { return false };
    if !first.is_ascii_digit() && first != b'.' {
        return false;
    }
    let digits: String = unsigned.chars().filter(|c| *c != '_').collect();
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
        }
    }
    is_decimal(&digits)
}

/// `[0-9]*(\.[0-9]*)?([eE][-+]?[0-9]+)?` with at least one digit before the exponent.
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
    exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && all_digits(e)
    })
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
