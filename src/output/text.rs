//! Text in lines that fit the terminal.

use textwrap::{Options, WordSeparator, WordSplitter};

/// Returns the lines of a text, the first indented by `first`, the others by `rest`. Lines are broken between words only: names
/// are full of hyphens, and are looked up by copying them.
pub(super) fn wrap(text: &str, width: usize, first: &str, rest: &str) -> Vec<String> {
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn names_are_not_broken() {
        let name = "system:node:cold-a1.prod-eu.tidewater.example";
        assert_eq!(wrap(&format!("the users {name}"), 20, "", "  "), ["the users", &format!("  {name}")]);
    }
}
