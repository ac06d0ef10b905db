//! How text is laid out, and colours that carry meaning. Text is escaped before it is painted.

use crate::lint::Severity;

/// Columns of text where no terminal says how wide it is.
const DEFAULT_WIDTH: usize = 100;
/// Longer lines of text are hard to read. Tables may be wider.
const MAX_WIDTH: usize = 120;
/// Narrower terminals get lines of this width.
const MIN_WIDTH: usize = 40;

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are used.
    pub colour: bool,
    /// Whether links are written (OSC 8).
    pub links: bool,
    /// Columns that a line of text may take.
    pub width: usize,
    /// Columns that a table may take; none where nothing limits it, as in a file.
    pub columns: Option<usize>,
}

impl Default for Style {
    /// Returns the style of a file.
    fn default() -> Self {
        Self { colour: false, links: false, width: DEFAULT_WIDTH, columns: None }
    }
}

impl Style {
    /// Returns the style of a terminal with that many columns.
    pub fn of_terminal(columns: usize) -> Self {
        let width = columns.clamp(MIN_WIDTH, MAX_WIDTH);
        Self { width, columns: Some(columns.max(MIN_WIDTH)), ..Self::default() }
    }
}

/// Paints text where the style has colours. The one palette of the program: red for what is dangerous or lost, yellow for
/// what needs attention, green for what is as it should be (never for an error), blue for what only informs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colour: bool,
    links: bool,
}

impl Paint {
    /// Paints as a style says.
    pub fn new(style: Style) -> Self {
        Self { colour: style.colour, links: style.links }
    }

    /// What is dangerous, or lost.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What needs attention.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What is as it should be.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What informs and asks for nothing.
    pub fn blue(self, text: &str) -> String {
        self.with("34", text)
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A severity in its colour, or a text that stands for it.
    pub fn severity(self, severity: Severity, text: &str) -> String {
        self.with(
            match severity {
                Severity::Error => "1;31",
                Severity::Warning => "1;33",
                Severity::Note => "1;34",
            },
            text,
        )
    }

    /// `error: …` or `warning: …`, as in messages about the input.
    pub fn grade(self, is_warning: bool) -> String {
        if is_warning { self.severity(Severity::Warning, "warning") } else { self.severity(Severity::Error, "error") }
    }

    /// A text that leads to an address, if there is one and the terminal knows links.
    pub fn link(self, address: Option<&str>, text: &str) -> String {
        match address {
            Some(address) if self.links => format!("\u{1b}]8;;{address}\u{1b}\\{text}\u{1b}]8;;\u{1b}\\"),
            _ => text.to_owned(),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_painted_only_with_colours() {
        let paint = |colour| Paint::new(Style { colour, ..Style::default() });
        assert_eq!(paint(false).red("x"), "x");
        assert_eq!(paint(true).red("x"), "\u{1b}[31mx\u{1b}[0m");
    }

    #[test]
    fn links_are_for_terminals_that_know_them_and_need_an_address() {
        let paint = |links| Paint::new(Style { links, ..Style::default() });
        let address = Some("https://example.com/a");
        assert_eq!(paint(true).link(address, "a"), "\u{1b}]8;;https://example.com/a\u{1b}\\a\u{1b}]8;;\u{1b}\\");
        assert_eq!([paint(false).link(address, "a"), paint(true).link(None, "a")], ["a", "a"]);
    }

    #[test]
    fn text_is_never_too_wide_to_read_and_tables_use_the_whole_terminal() {
        let of = |columns| (Style::of_terminal(columns).width, Style::of_terminal(columns).columns);
        assert_eq!([of(10), of(80), of(200)], [(40, Some(40)), (80, Some(80)), (120, Some(200))]);
    }
}
