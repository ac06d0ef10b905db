//! `--output FORMAT[=FILE]`: one run feeds several readers.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, ValueEnum};
use deputize::output::escape;

use super::files::create_beside;
use super::{Failure, terminal};

/// One value of `--output`: a format, and the file that it is written to instead of standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination<F> {
    pub(super) format: F,
    pub(super) file: Option<PathBuf>,
}

impl<F: ValueEnum + Send + Sync + 'static> Destination<F> {
    /// Returns what reads a value of the option.
    pub(super) fn parser() -> DestinationParser<F> {
        DestinationParser(PhantomData)
    }
}

/// Reads `FORMAT` or `FORMAT=FILE`.
#[derive(Debug)]
pub(super) struct DestinationParser<F>(PhantomData<fn() -> F>);

impl<F> Clone for DestinationParser<F> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<F: ValueEnum + Send + Sync + 'static> TypedValueParser for DestinationParser<F> {
    type Value = Destination<F>;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Self::Value, clap::Error> {
        let text = value.to_str().ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))?;
        let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file)));
        let format = EnumValueParser::<F>::new().parse_ref(command, arg, OsStr::new(name))?;
        if file == Some("") {
            let message = format!("there is no file name after `=` in '{text}'\n");
            return Err(clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(command));
        }
        // As elsewhere, `-` is the stream.
        Ok(Destination { format, file: file.filter(|file| *file != "-").map(PathBuf::from) })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(F::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

/// Checks before any work is done that the results have somewhere to go: one at most to standard output, each of the others
/// into a file of its own that is not among the input.
pub(super) fn check<F: ValueEnum>(destinations: &[Destination<F>], input: &[PathBuf]) -> Result<(), Failure> {
    let wrong = |message: String| Err(Failure::Message(message));
    let shown = |path: &Path| escape(&path.to_string_lossy()).into_owned();
    let name = |format: &F| format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut streams = destinations.iter().filter(|destination| destination.file.is_none());
    if let (Some(_), Some(second)) = (streams.next(), streams.next()) {
        let name = name(&second.format);
        return wrong(format!("only one --output can go to standard output: give {name} a file, as in {name}=FILE"));
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for path in destinations.iter().filter_map(|destination| destination.file.as_deref()) {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Ok(directory) = directory.canonicalize() else {
            return wrong(format!("{} cannot be written: there is no directory {}", shown(path), shown(directory)));
        };
        let whole = path.canonicalize().unwrap_or_else(|_| directory.join(path.file_name().unwrap_or_default()));
        if whole.is_dir() {
            return wrong(format!("{} cannot be written: it is a directory", shown(path)));
        }
        if files.contains(&whole) {
            return wrong(format!("{} is given twice with --output: give each result a file of its own", shown(path)));
        }
        if input.iter().any(|input| input.canonicalize().is_ok_and(|input| input == whole)) {
            return wrong(format!("{} is read, so nothing is written to it: give another file", shown(path)));
        }
        files.push(whole);
    }
    Ok(())
}

/// Writes one result where it belongs.
pub(super) fn write<F>(
    destination: &Destination<F>,
    print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    match &destination.file {
        None => {
            let mut out = terminal::stdout();
            let printed = print(&mut out).and_then(|()| out.flush());
            Ok(terminal::unless_closed(printed)?)
        }
        Some(path) => write_file(path, print).map_err(|error| {
            Failure::Message(format!("{} cannot be written: {error}", escape(&path.to_string_lossy())))
        }),
    }
}

/// Writes a file whole or not at all. A link is followed; what is no regular file is written to as it is.
pub(super) fn write_file(path: &Path, print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let (real, metadata) = match path.canonicalize() {
        Ok(real) => {
            let metadata = fs::metadata(&real)?;
            (real, Some(metadata))
        }
        Err(_) => (path.to_owned(), None),
    };
    if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        let mut out = BufWriter::new(OpenOptions::new().write(true).open(&real)?);
        return print(&mut out).and_then(|()| out.flush());
    }
    let (file, new) = create_beside(&real)?;
    let written = (|| {
        let mut out = BufWriter::with_capacity(64 << 10, file);
        print(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Some(metadata) = metadata {
            file.set_permissions(metadata.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&new, &real)
    })();
    if written.is_err() {
        // Nothing half-written is left.
        let _ = fs::remove_file(&new);
    }
    written
}
