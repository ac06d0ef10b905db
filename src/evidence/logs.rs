//! Logs on disk: files, directories of them and standard input, read side by side.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::{Evidence, read_log};
use crate::problem::{Problem, ProblemKind};
use crate::source::{STDIN, display_name};

/// The logs that paths stand for.
#[derive(Debug, Default)]
pub struct Logs {
    /// What to read; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// How many bytes that is on disk; none where it cannot be known before, as for a pipe.
    pub bytes: Option<u64>,
    /// What could not be found or listed.
    pub problems: Vec<Problem>,
}

/// Finds the logs that paths stand for: files and pipes as they are, directories with every file below them, sorted by
/// name; `-` is standard input.
pub fn find_logs(paths: &[PathBuf]) -> Logs {
    let mut logs = Logs::default();
    for path in paths {
        if path.as_os_str() == STDIN {
            logs.files.push(path.clone());
        } else {
            find_below(path, &mut logs);
        }
    }
    logs.bytes = logs.files.iter().map(|file| size_of(file)).sum();
    logs
}

fn find_below(path: &Path, logs: &mut Logs) {
    for entry in WalkDir::new(path).sort_by_file_name() {
        match entry {
            // What the user names is read whatever it is.
            Ok(entry) if entry.file_type().is_file() || entry.depth() == 0 && !entry.file_type().is_dir() => {
                logs.files.push(entry.into_path());
            }
            Ok(_) => {}
            Err(error) => {
                let at = error.path().unwrap_or(path).to_owned();
                let reason = error.into_io_error().map_or_else(|| "it contains itself".to_owned(), |e| e.to_string());
                logs.problems.push(unreadable(&at, format!("cannot be read: {reason}")));
            }
        }
    }
}

/// Bytes of a regular file.
fn size_of(file: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(file).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Reads logs side by side, and condenses them to what they show together. `progress` is told the bytes read from disk, as
/// they are read, from any thread. The problems are those of finding the logs and of reading them, in the order of the
/// logs; a log that breaks off counts as far as it goes.
pub fn read_logs(logs: &Logs, progress: &(dyn Fn(u64) + Sync)) -> (Evidence, Vec<Problem>) {
    let read: Vec<(Evidence, Option<Problem>)> = logs.files.par_iter().map(|file| read_file(file, progress)).collect();
    let mut all = Evidence::default();
    let mut problems = logs.problems.clone();
    for (evidence, problem) in read {
        all.merge(evidence);
        problems.extend(problem);
    }
    (all, problems)
}

fn read_file(path: &Path, progress: &(dyn Fn(u64) + Sync)) -> (Evidence, Option<Problem>) {
    let mut evidence = Evidence::default();
    let read = if path.as_os_str() == STDIN {
        read_log(Counted { inner: io::stdin(), progress }, &mut evidence).map_err(|error| error.to_string())
    } else {
        match File::open(path) {
            Ok(file) => read_log(Counted { inner: file, progress }, &mut evidence).map_err(|error| error.to_string()),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    };
    (evidence, read.err().map(|message| unreadable(path, message)))
}

fn unreadable(path: &Path, message: String) -> Problem {
    Problem { path: display_name(path), place: None, kind: ProblemKind::Unreadable, message, help: None }
}

/// A reader whose bytes are counted.
struct Counted<'a, R> {
    inner: R,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.progress)(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn every_byte_is_reported_and_what_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("old")).unwrap();
        std::fs::write(directory.path().join("audit.log"), "not impersonated\n").unwrap();
        std::fs::write(directory.path().join("old/audit.log"), "impersonated neither\n").unwrap();
        let logs = find_logs(&[directory.path().to_owned(), directory.path().join("nowhere")]);
        assert_eq!((logs.files.len(), logs.problems.len(), logs.bytes), (2, 1, Some(38)));
        let bytes = AtomicU64::new(0);
        let (evidence, problems) = read_logs(&logs, &|read| {
            bytes.fetch_add(read, Ordering::Relaxed);
        });
        assert_eq!((bytes.into_inner(), evidence.not_events, problems), (38, 2, logs.problems));
    }
}
