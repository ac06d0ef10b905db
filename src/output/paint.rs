//! Colours that carry meaning. Text is escaped before it is painted.

use super::human::Style;

/// Paints text where the style has colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    /// Paints as a style says.
    pub fn new(style: Style) -> Self {
        Self(style.colour)
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

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_painted_only_with_colours() {
        let style = |colour| Style { colour, width: 80 };
        assert_eq!(Paint::new(style(false)).red("x"), "x");
        assert_eq!(Paint::new(style(true)).red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
