//! Strings as Go writes them in double quotes (`strconv.Quote`), in the server's messages.

use std::iter::Peekable;
use std::str::Chars;

/// Reads a string in double quotes at the start of a text. Returns it, and what follows.
pub(super) fn read(text: &str) -> Option<(String, &str)> {
    let length = length(text)?;
    let (quoted, rest) = text.split_at(length);
    let mut chars = quoted.get(1..length - 1)?.chars().peekable();
    let mut bytes = Vec::with_capacity(length);
    while let Some(char) = chars.next() {
        match char {
            '\\' => unescape(&mut chars, &mut bytes)?,
            char => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some((String::from_utf8_lossy(&bytes).into_owned(), rest))
}

fn unescape(chars: &mut Peekable<Chars<'_>>, bytes: &mut Vec<u8>) -> Option<()> {
    let kind = chars.next()?;
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => {
            bytes.push(simple_escape(kind)?);
            return Some(());
        }
    };
    let mut number = 0;
    for _ in 0..digits {
        number = number * 16 + chars.next()?.to_digit(16)?;
    }
    match kind {
        // A byte, of a character or of nothing.
        'x' => bytes.push(u8::try_from(number).ok()?),
        _ => bytes.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    Some(())
}

/// Returns the byte that a backslash with one character is for.
fn simple_escape(kind: char) -> Option<u8> {
    Some(match kind {
        'a' => 7,
        'b' => 8,
        't' => b'\t',
        'n' => b'\n',
        'v' => 11,
        'f' => 12,
        'r' => b'\r',
        '\\' => b'\\',
        '"' => b'"',
        _ => return None,
    })
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
