//! Characters that every output escapes: those that deceive a reader, and those that begin a command of a CI runner.

/// Reports whether a character can change how the text around it is shown, or cannot be seen itself: controls, bidirectional
/// marks, invisible and deprecated format characters, line and paragraph separators, and noncharacters, which YAML forbids.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the characters of a text that have to be escaped, with their byte offsets: the deceptive ones, and the first one of
/// each marker that a CI runner may take for a command.
pub fn to_escape(text: &str) -> impl Iterator<Item = (usize, char)> {
    let skipped = plain_prefix(text.as_bytes());
    let rest = text.get(skipped..).unwrap_or_default();
    rest.char_indices().filter_map(move |(at, c)| {
        let found = is_deceptive(c) || begins_command(rest.as_bytes().get(at..).unwrap_or_default());
        found.then_some((skipped + at, c))
    })
}

/// Reports whether a text can be written without escapes.
pub fn needs_no_escape(text: &str) -> bool {
    to_escape(text).next().is_none()
}

/// Returns the length of the longest prefix of printable ASCII in which no marker begins. Most texts are nothing else.
fn plain_prefix(bytes: &[u8]) -> usize {
    let is_plain = |(at, byte): (usize, &u8)| {
        (b' '..=b'~').contains(byte) && !(matches!(byte, b'#' | b':') && bytes.get(at + 1) == Some(byte))
    };
    bytes.iter().enumerate().position(|at| !is_plain(at)).unwrap_or(bytes.len())
}

/// Reports whether a command of a CI runner begins here. GitHub reads `##[group]` anywhere in a line and `::error::` where a line
/// begins, whatever blanks come first; Azure Pipelines reads `##vso[task.setvariable]`, TeamCity `##teamcity[…]`. Lines are
/// wrapped and indented, so that each of them may come to stand at the beginning of a line.
fn begins_command(bytes: &[u8]) -> bool {
    match bytes {
        [b':', b':', next, ..] => next.is_ascii_alphabetic(),
        [b'#', b'#', rest @ ..] => rest.iter().find(|byte| !byte.is_ascii_alphabetic()) == Some(&b'['),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<usize> {
        to_escape(text).map(|(at, _)| at).collect()
    }

    #[test]
    fn commands_of_runners_are_found_wherever_they_are() {
        for (text, expected) in [
            ("##[group]x", &[0][..]),
            ("a ##[add-mask]b", &[2]),
            ("###[x", &[1]),
            ("##vso[task.setvariable]", &[0]),
            ("##teamcity[x]", &[0]),
            ("::error::x", &[0, 7]),
            ("  ::set-output name=a::b", &[2, 21]),
            (":::add-mask::x", &[1, 11]),
            ("é::debug::x", &[2, 9]),
            ("system:serviceaccount:a:b # c ## d [e]", &[]),
            ("arn:aws:iam::123456789012:role/x", &[]),
            ("a\u{1b}::x\n", &[1, 2, 5]),
        ] {
            assert_eq!(found(text), expected, "{text:?}");
            assert_eq!(needs_no_escape(text), expected.is_empty(), "{text:?}");
        }
    }

    proptest! {
        /// The prefix that is skipped holds nothing.
        #[test]
        fn nothing_is_missed(text in "[#:\\[ a\u{7f}é\n]{0,12}") {
            let slow = |(at, c): &(usize, char)| is_deceptive(*c) || begins_command(&text.as_bytes()[*at..]);
            let expected: Vec<usize> = text.char_indices().filter(slow).map(|(at, _)| at).collect();
            prop_assert_eq!(found(&text), expected);
        }
    }
}
