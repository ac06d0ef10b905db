//! Standard output and standard error.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use deputize::output::{escape, human::Style};

/// Columns where the width of the terminal is not known, or there is none.
const DEFAULT_WIDTH: usize = 100;
/// Longer lines are hard to read.
const MAX_WIDTH: usize = 120;

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

/// Standard error, buffered.
pub(super) fn stderr() -> BufWriter<io::StderrLock<'static>> {
    BufWriter::new(io::stderr().lock())
}

/// How text for standard output is laid out: colours as `NO_COLOR`, `CLICOLOR_FORCE` and the terminal have it.
pub(super) fn style() -> Style {
    style_for(AutoStream::choice(&io::stdout()), io::stdout().is_terminal())
}

/// How text for standard error is laid out.
pub(super) fn stderr_style() -> Style {
    style_for(AutoStream::choice(&io::stderr()), io::stderr().is_terminal())
}

fn style_for(choice: ColorChoice, is_terminal: bool) -> Style {
    let colour = !matches!(choice, ColorChoice::Never);
    let terminal = is_terminal.then(terminal_size::terminal_size).flatten();
    let width = terminal.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0).clamp(40, MAX_WIDTH));
    Style { colour, width }
}

/// How text for a file is laid out.
pub(super) fn style_of_file() -> Style {
    Style { colour: false, width: DEFAULT_WIDTH }
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
    let _ = writeln!(io::stderr(), "error: {}", escape(message));
    ExitCode::from(2)
}
