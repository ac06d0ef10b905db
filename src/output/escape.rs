//! Escapes of what must not reach a terminal, a page or the log of a CI job raw.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use crate::syntax::{is_deceptive, to_escape};

/// Returns the text with every deceptive character, and the beginning of every command of a CI runner, written as `\u{…}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_except(text, "")
}

/// The same, with the characters of `keep` left alone.
pub(super) fn escape_except<'t>(text: &'t str, keep: &str) -> Cow<'t, str> {
    let mut escaped = String::new();
    let mut from = 0;
    for (at, c) in to_escape(text).filter(|(_, c)| !keep.contains(*c)) {
        escaped.push_str(&text[from..at]);
        // Writing to a string cannot fail.
        let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        from = at + c.len_utf8();
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    escaped.push_str(&text[from..]);
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_deceptive_is_left() {
        assert_eq!(escape("a\u{1b}[31m\u{202e}b\u{85}\r\n"), "a\\u{1b}[31m\\u{202e}b\\u{85}\\u{d}\\u{a}");
        assert_eq!(escape("a ##[group]::error::"), "a \\u{23}#[group]\\u{3a}:error::");
        assert_eq!(escape("größe 😀 字"), "größe 😀 字");
    }
}
