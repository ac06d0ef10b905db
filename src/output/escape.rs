//! Characters that must not reach a terminal or a page as they are.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use crate::syntax::is_deceptive;

/// The text with every deceptive character written as `\u{…}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_deceptive) { Cow::Owned(escape_except(text, "")) } else { Cow::Borrowed(text) }
}

/// The same, with the characters of `keep` left alone.
pub(super) fn escape_except(text: &str, keep: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) && !keep.contains(c) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_deceptive_is_left() {
        assert_eq!(escape("a\u{1b}[31m\u{202e}b\u{85}\r\n"), "a\\u{1b}[31m\\u{202e}b\\u{85}\\u{d}\\u{a}");
        assert_eq!(escape("größe 😀 字"), "größe 😀 字");
    }
}
