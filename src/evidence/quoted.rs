//! Strings as Go writes them in double quotes (`strconv.Quote`), in the server's messages.

use crate::go_string::unescape;

/// Reads a string in double quotes at the start of a text. Returns it, and what follows.
pub(super) fn read(text: &str) -> Option<(String, &str)> {
    let length = length(text)?;
    let (quoted, rest) = text.split_at(length);
    Some((unescape(quoted.get(1..length - 1)?, '"')?, rest))
}

/// Returns the length of a string in double quotes at the start of a text, its quotes included.
fn length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let inside = text.strip_prefix('"')?;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

/// Splits a text at the first place where `words` stand outside of quotes.
pub(super) fn split_outside<'t>(text: &'t str, words: &str) -> Option<(&'t str, &'t str)> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let next = rest.find(words)?;
        match rest.find('"').filter(|quote| *quote < next) {
            Some(quote) => at += quote + length(rest.get(quote..)?)?,
            None => return Some((&text[..at + next], rest.get(next + words.len()..)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_quotes_is_read() {
        for (quoted, expected) in [
            (r#""panda" is"#, Some(("panda", " is"))),
            (r#""a\"b\\" x"#, Some(("a\"b\\", " x"))),
            (r#""\x1b[\a\u202e\U0001f43c\xc3\xa9é""#, Some(("\u{1b}[\u{7}\u{202e}🐼éé", ""))),
            (r#""\xff""#, Some(("\u{fffd}", ""))),
            (r#""""#, Some(("", ""))),
            (r#""open"#, None),
            (r#""\"#, None),
            (r#""\q""#, None),
            (r#""\xzz""#, None),
            (r#""\ud800""#, None),
            ("bare", None),
        ] {
            let read = read(quoted);
            assert_eq!(read.as_ref().map(|(text, rest)| (text.as_str(), *rest)), expected, "{quoted}");
        }
        assert_eq!(split_outside(r#"a "b c" c d"#, " c "), Some((r#"a "b c""#, "d")));
        assert_eq!(split_outside(r#"a "b \" c " "#, " c "), None);
        assert_eq!(split_outside(r#"a "b c "#, " c "), None);
        assert_eq!(split_outside("a c b", " c "), Some(("a", "b")));
    }
}
