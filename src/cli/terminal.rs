//! Standard output, standard error and standard input.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use deputize::output::escape;
use deputize::output::human::{Remarks, Style, Verbosity, grade, wrap_line};
use supports_hyperlinks::Stream;

/// Options about the terminal.
const HEADING: &str = "Terminal";
/// How much is said on standard error; set once, when the arguments are known.
static VERBOSITY: OnceLock<Verbosity> = OnceLock::new();

/// How every command uses the terminal.
#[derive(Debug, clap::Args)]
pub(super) struct TerminalArgs {
    /// When to use colours; `auto` does in a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, help_heading = HEADING)]
    color: Color,
    /// Print results and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = HEADING)]
    quiet: bool,
    /// Print every place that could not be read or was skipped
    #[arg(long, short, global = true, help_heading = HEADING)]
    verbose: bool,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl TerminalArgs {
    /// Lets every command know.
    pub(super) fn apply(&self) {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Everything,
            _ => Verbosity::Summary,
        };
        // The arguments are read once.
        let _ = VERBOSITY.set(verbosity);
        apply_color(self.color);
    }
}

/// Uses the colours that the arguments ask for, before they are known to be right: errors in them have colours, too.
pub(super) fn apply_color_of(arguments: &[OsString]) {
    let words = || arguments.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
    let given = words().find_map(|word| word.strip_prefix("--color="));
    let given = given.or_else(|| words().skip_while(|word| *word != "--color").nth(1));
    if let Some(color) = given.and_then(|value| Color::from_str(value, false).ok()) {
        apply_color(color);
    }
}

fn apply_color(color: Color) {
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::AlwaysAnsi,
        Color::Never => ColorChoice::Never,
    }
    .write_global();
}

/// How most commands print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Output {
    /// For people
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Standard output, buffered.
pub(super) fn stdout() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

/// Standard error, buffered; in a terminal, in lines that fit it.
pub(super) fn stderr() -> Lines<BufWriter<io::StderrLock<'static>>> {
    let columns = stderr_style().columns;
    Lines { out: BufWriter::new(io::stderr().lock()), columns, line: Vec::new() }
}

/// Standard output for text that is read by people, as [`stderr`].
pub(super) fn text() -> Lines<BufWriter<io::StdoutLock<'static>>> {
    Lines { out: stdout(), columns: style().columns, line: Vec::new() }
}

/// Writes lines that fit the terminal, broken between words.
pub(super) struct Lines<W: Write> {
    out: W,
    columns: Option<usize>,
    /// What is written of a line that has not ended.
    line: Vec<u8>,
}

impl<W: Write> Lines<W> {
    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = str::from_utf8(&line).ok().map(|text| text.strip_suffix('\n').unwrap_or(text));
        match (self.columns, text) {
            (Some(columns), Some(text)) if text.len() > columns => {
                wrap_line(text, columns).iter().try_for_each(|line| writeln!(self.out, "{line}"))
            }
            _ => self.out.write_all(&line),
        }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.columns.is_none() {
            return self.out.write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Drop for Lines<W> {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            // As with any buffer: who wants to know has flushed before.
            let _ = self.end_line();
        }
    }
}

/// Returns whether remarks are unwanted.
pub(super) fn is_quiet() -> bool {
    verbosity() == Verbosity::Quiet
}

/// Returns how much is said on standard error.
pub(super) fn verbosity() -> Verbosity {
    VERBOSITY.get().copied().unwrap_or_default()
}

/// Returns how text for standard output is laid out: colours as `--color`, `NO_COLOR`, `CLICOLOR_FORCE` and the terminal have it.
pub(super) fn style() -> Style {
    let (stream, links) = (io::stdout(), supports_hyperlinks::on(Stream::Stdout));
    style_for(AutoStream::choice(&stream), stream.is_terminal(), links)
}

/// Returns how text for standard error is laid out.
pub(super) fn stderr_style() -> Style {
    let (stream, links) = (io::stderr(), supports_hyperlinks::on(Stream::Stderr));
    style_for(AutoStream::choice(&stream), stream.is_terminal(), links)
}

/// Returns how remarks on standard error are written.
pub(super) fn remarks() -> Remarks {
    Remarks { style: stderr_style(), verbosity: verbosity() }
}

/// Returns the word `warning` as standard error shows it.
pub(super) fn warning() -> String {
    grade(stderr_style(), true)
}

fn style_for(choice: ColorChoice, is_terminal: bool, links: bool) -> Style {
    let colour = !matches!(choice, ColorChoice::Never);
    let size = is_terminal.then(terminal_size::terminal_size).flatten();
    let style = size.map_or_else(Style::default, |(width, _)| Style::of_terminal(usize::from(width.0)));
    Style { colour, links: links && colour && is_terminal, ..style }
}

/// Says that standard input is read, where somebody has to type it.
pub(super) fn announce_stdin(what: &str) -> io::Result<()> {
    if io::stdin().is_terminal() && !is_quiet() {
        writeln!(io::stderr(), "reading {what} from standard input; Ctrl-D ends it")?;
    }
    Ok(())
}

/// Printing that goes on where the reader has read enough: what the exit status says does not depend on it.
pub(super) fn unless_closed(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Says why the command could not do its work.
pub(super) fn fail(message: &str) -> ExitCode {
    // Where standard error is closed, there is nobody to tell.
    let _ = print_error(message);
    ExitCode::from(2)
}

/// Prints an error on standard error.
pub(super) fn print_error(message: &str) -> io::Result<()> {
    let mut err = stderr();
    writeln!(err, "{}: {}", grade(stderr_style(), false), escape(message))?;
    err.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_the_terminal_and_toml_stays_whole() {
        let mut out = Vec::new();
        let toml = "reason = \"a reason that is longer than the line\"\n";
        let mut lines = Lines { out: &mut out, columns: Some(24), line: Vec::new() };
        write!(lines, "  one two three four \u{1b}[31mfive\u{1b}[0m six seven\n{toml}end").unwrap();
        drop(lines);
        let expected = format!("  one two three four\n    \u{1b}[31mfive\u{1b}[0m six seven\n{toml}end");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn text_that_is_no_terminals_is_not_limited() {
        let file = style_for(ColorChoice::Never, false, true);
        assert_eq!(file, Style::default());
        let forced = style_for(ColorChoice::AlwaysAnsi, false, true);
        assert_eq!(forced, Style { colour: true, ..Style::default() });
    }
}
