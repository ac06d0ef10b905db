//! Strings as Go writes them in source and in messages (`strconv.Quote`, `strconv.Unquote`).

/// Returns what the text between two quotes is; none if it has an escape that Go does not know, or the quote itself.
pub(crate) fn unescape(inner: &str, quote: char) -> Option<String> {
    // Escapes of bytes may add up to a character.
    let mut bytes: Vec<u8> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == quote {
            return None;
        }
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escaped = chars.next()?;
        let mut digits = |radix: u32, count: usize, mut value: u32| {
            for _ in 0..count {
                value = value.checked_mul(radix)? + chars.next()?.to_digit(radix)?;
            }
            Some(value)
        };
        match escaped {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            c if c == quote => bytes.push(quote as u8),
            'x' => bytes.push(u8::try_from(digits(16, 2, 0)?).ok()?),
            '0'..='7' => {
                let first = escaped.to_digit(8)?;
                bytes.push(u8::try_from(digits(8, 2, first)?).ok()?);
            }
            'u' | 'U' => {
                let code = digits(16, if escaped == 'u' { 4 } else { 8 }, 0)?;
                bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        for (inner, expected) in [
            (r#"a\"b\\"#, Some("a\"b\\")),
            (r"\x1b[\a\u202e\U0001f43c\xc3\xa9é", Some("\u{1b}[\u{7}\u{202e}🐼éé")),
            (r"\101\n", Some("A\n")),
            (r"\xff", Some("\u{fffd}")),
            ("", Some("")),
            ("a\"b", None),
            (r"\", None),
            (r"\q", None),
            (r"\xzz", None),
            (r"\ud800", None),
        ] {
            assert_eq!(unescape(inner, '"').as_deref(), expected, "{inner}");
        }
    }
}
