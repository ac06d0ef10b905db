//! Differences between two texts of a file, as `git apply` and `patch` take them.

use std::io::{self, Write};

use similar::TextDiff;

use super::escape::{escape, escape_except};
use super::paint::{Paint, Style};

/// Writes what changes in a file; a file that was empty is new. What could deceive whoever reads it is escaped, line ends and tabs excepted: such a
/// difference is for people alone.
///
/// # Errors
/// When `out` does.
pub fn write_diff(out: &mut dyn Write, path: &str, before: &[u8], after: &[u8], style: Style) -> io::Result<()> {
    let paint = Paint::new(style);
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let diff = TextDiff::from_lines(before.as_ref(), after.as_ref());
    let path = escape(path);
    let old = if before.is_empty() { "/dev/null".to_owned() } else { format!("a/{path}") };
    let text = diff.unified_diff().context_radius(3).header(&old, &format!("b/{path}")).to_string();
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix("\r\n") {
            Some(line) => (line, "\r\n"),
            None => line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n")),
        };
        let line = escape_except(line, "\t");
        let painted = match line.as_bytes() {
            [b'+', b'+', b'+', b' ', ..] | [b'-', b'-', b'-', b' ', ..] => paint.bold(&line),
            [b'@', ..] => paint.blue(&line),
            [b'+', ..] => paint.green(&line),
            [b'-', ..] => paint.red(&line),
            _ => line.into_owned(),
        };
        write!(out, "{painted}{end}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_no_old_name() {
        let mut out = Vec::new();
        write_diff(&mut out, "a.json", b"", b"{}\n", Style::default()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "--- /dev/null\n+++ b/a.json\n@@ -0,0 +1 @@\n+{}\n");
    }

    #[test]
    fn line_ends_stay_and_nothing_else_that_deceives() {
        let mut out = Vec::new();
        write_diff(&mut out, "a\u{1b}.yaml", b"a\r\nb\x1b[2J\r\nc\td", b"a\r\nc\td", Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            "--- a/a\\u{1b}.yaml\n+++ b/a\\u{1b}.yaml\n@@ -1,3 +1,2 @@\n a\r\n-b\\u{1b}[2J\r\n c\td\n\\ No newline at end of file\n"
        );
    }
}
