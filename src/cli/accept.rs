//! `migrate --write-accept FILE`: what stays legacy, added to a configuration file.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputize::config::{self, Accept};
use deputize::migrate::LegacyException;
use deputize::output::{escape, human, plan as plan_output};

use super::settings::read_file;
use super::{Failure, output, terminal};

/// Adds the exceptions that the file does not have yet as `[[accept]]` entries at its end. The file is created if it does
/// not exist; what it holds stays.
pub(super) fn add_to(file: &Path, exceptions: &[LegacyException]) -> Result<(), Failure> {
    let name = file.to_string_lossy();
    let shown = escape(&name);
    let failed = |error: &io::Error| Failure::Message(format!("{shown} cannot be written: {error}"));
    let (text, known) = match fs::read_to_string(file) {
        // An error in the file would be repeated by every command, so it is corrected first.
        Ok(text) => (text, read_file(file, Path::new("."))?.accept),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let is_new = |exception: &&LegacyException| !known.iter().any(|accept| covers(accept, exception));
    let new: Vec<&LegacyException> = exceptions.iter().filter(is_new).collect();
    let mut err = terminal::stderr();
    if new.is_empty() {
        writeln!(err, "{shown} has an exception for everything that stays legacy")?;
        return Ok(());
    }
    let mut whole = text.into_bytes();
    match whole.last() {
        None => {}
        Some(b'\n') => whole.push(b'\n'),
        Some(_) => whole.extend(b"\n\n"),
    }
    plan_output::write_accept(&mut whole, new.iter().copied())?;
    if config::read(&String::from_utf8_lossy(&whole), &Arc::from(&*name), PathBuf::new()).is_err() {
        let message = format!("no entries can be added to {shown}: write its `accept` as [[accept]] entries first");
        return Err(Failure::Message(message));
    }
    output::write_file(file, |out| out.write_all(&whole)).map_err(|error| failed(&error))?;
    writeln!(err, "added {} to {shown}: review them", human::count(new.len(), "exception"))?;
    Ok(())
}

/// Reports whether an entry accepts everything that an exception is about.
fn covers(accept: &Accept, exception: &LegacyException) -> bool {
    let is_whole = accept.rules.is_empty() && accept.fingerprint.is_none();
    let is_object = accept.object.as_ref().is_none_or(|object| object.is_key(&exception.object));
    let is_subject = accept
        .subject
        .as_ref()
        .is_none_or(|subject| exception.subject.as_ref().is_some_and(|other| subject.is_impersonator(other)));
    is_whole && is_object && is_subject
}
