//! Logs on disk: files, directories of them and standard input, read side by side.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::audit::{BLOCK, LogReader, MAX_RECORD};
use super::collect::{Collected, Condensed};
use super::container::{START, Trail};
use super::find::Part;
use super::lines::Lines;
use super::report::Found;
use super::{Evidence, ExtraValues};
use crate::problem::{Problem, ProblemKind};
use crate::source::{STDIN, display_name};

/// How much of a file one thread takes at a time, in bytes.
const RANGE: u64 = BLOCK as u64;
/// How much is read at a time to find the end of a line, in bytes.
const TAIL: usize = 8 << 10;
/// How much a thread keeps apart from the others, in bytes.
const MAX_APART: usize = 256 << 10;

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
            // A log that is linked from elsewhere is read; one of the same directory is found by its own name.
            Ok(entry) if entry.path_is_symlink() && leads_out(entry.path(), path) => logs.files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => {
                let at = error.path().unwrap_or(path).to_owned();
                let reason = error.into_io_error().map_or_else(|| "it contains itself".to_owned(), |e| e.to_string());
                let help = "check that the path exists and may be read";
                logs.problems.push(unreadable(&at, format!("cannot be read: {reason}"), help));
            }
        }
    }
}

/// Whether a link leads to a regular file that is not below the directory.
fn leads_out(link: &Path, directory: &Path) -> bool {
    match (link.canonicalize(), directory.canonicalize()) {
        (Ok(target), Ok(directory)) => target.is_file() && !target.starts_with(directory),
        _ => false,
    }
}

/// Bytes of a regular file.
fn size_of(file: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(file).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// What one log is, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// The log, as the user named it.
    pub path: Arc<str>,
    /// Its containers, encodings and forms, as in `gzip, tar, JSON`; empty if there is none of them.
    pub format: String,
    /// How many events it holds, of whatever stage. Lines of condensed evidence count as events, too.
    pub events: u64,
    /// How many of them are of impersonated requests, or of impersonations that were refused.
    pub impersonated: u64,
}

/// What logs have shown.
#[derive(Debug, Default)]
pub struct LogsRead {
    /// What they show together.
    pub evidence: Evidence,
    /// What each of them is, in the order of the logs.
    pub logs: Vec<LogReport>,
    /// What could not be found or read, in the order of the logs. A log that breaks off counts as far as it goes.
    pub problems: Vec<Problem>,
}

/// Reads logs side by side, and condenses them to what they show together. `progress` is told the bytes read from disk, as
/// they are read, from any thread.
pub fn read_logs(logs: &Logs, values: ExtraValues, progress: &(dyn Fn(u64) + Sync)) -> LogsRead {
    let together = Together { seen: Mutex::default(), progress };
    let read: Vec<(LogReport, Vec<Problem>)> = logs.files.par_iter().map(|file| together.read_file(file)).collect();
    let (reports, problems): (Vec<LogReport>, Vec<Vec<Problem>>) = read.into_iter().unzip();
    let problems = logs.problems.iter().cloned().chain(problems.into_iter().flatten()).collect();
    let mut evidence = Evidence::default();
    together.seen.into_inner().unwrap_or_else(PoisonError::into_inner).add_to(&mut evidence, values);
    LogsRead { evidence, logs: reports, problems }
}

/// Why a log could not be read.
#[derive(Debug)]
pub struct LogError(String);

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LogError {}

/// Reads a log of any kind, and adds what it shows to `evidence`, with hashes for the values of extras.
///
/// # Errors
/// When some of the log could not be read. What could be read is added all the same.
pub fn read_log(log: impl Read, evidence: &mut Evidence) -> Result<(), LogError> {
    let together = Together { seen: Mutex::default(), progress: &|_| {} };
    let take = |seen: &mut Collected| together.seen().take(seen);
    let mut reader = LogReader::new(&take);
    together.read_stream(log, &mut reader);
    let problem = reader.problems.into_iter().next();
    together.seen.into_inner().unwrap_or_else(PoisonError::into_inner).add_to(evidence, ExtraValues::Hashed);
    problem.map_or(Ok(()), |(message, _)| Err(LogError(message)))
}

/// What all threads share.
struct Together<'a> {
    seen: Mutex<Condensed>,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Together<'_> {
    fn seen(&self) -> MutexGuard<'_, Condensed> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was seen. A thread that would have to wait for another one continues, but not for ever.
    fn tell(&self, part: &mut Collected) {
        match self.seen.try_lock() {
            Ok(mut seen) => seen.take(part),
            Err(_) if part.size() < 8 * MAX_APART => {}
            Err(_) => self.seen().take(part),
        }
    }

    fn read_file(&self, path: &Path) -> (LogReport, Vec<Problem>) {
        let take = |seen: &mut Collected| self.seen().take(seen);
        let mut reader = LogReader::new(&take);
        let read = if path.as_os_str() == STDIN {
            self.read_stream(io::stdin(), &mut reader);
            Ok(())
        } else {
            File::open(path).and_then(|file| self.read_opened(file, &mut reader))
        };
        let mut problems: Vec<Problem> =
            reader.problems.into_iter().map(|(message, help)| unreadable(path, message, help)).collect();
        if let Err(error) = read {
            problems.push(unreadable(path, format!("cannot be read: {error}"), "check that it may be read"));
        }
        if problems.is_empty() && reader.found.events == 0 {
            problems.push(Problem {
                kind: ProblemKind::NoEvents,
                ..unreadable(path, "no audit event in it".to_owned(), "check that it is an audit log")
            });
        }
        let format: Vec<&str> = reader.layers.iter().copied().chain(reader.found.form_names()).collect();
        let report = LogReport {
            path: display_name(path),
            format: format.join(", "),
            events: reader.found.events,
            impersonated: reader.found.impersonated,
        };
        (report, problems)
    }

    fn read_stream(&self, log: impl Read, reader: &mut LogReader<'_>) {
        let size = Cell::new(0);
        reader.read(&mut Counted { inner: log, progress: self.progress, size: &size }, &|| size.get());
    }

    fn read_opened(&self, file: File, reader: &mut LogReader<'_>) -> io::Result<()> {
        let metadata = file.metadata()?;
        if can_read_at() && metadata.is_file() && metadata.len() >= 2 * RANGE {
            let mut start = vec![0; START];
            let read = fill_at(&file, 0, &mut start)?;
            if let Some(lines) = Lines::of_file(start.get(..read).unwrap_or_default()) {
                return self.read_ranges(&file, metadata.len() / RANGE, &lines, reader);
            }
        }
        self.read_stream(file, reader);
        Ok(())
    }

    /// Reads a file in ranges, side by side. The last of them is open, so that what is added meanwhile is read too.
    fn read_ranges(&self, file: &File, ranges: u64, lines: &Lines, reader: &mut LogReader<'_>) -> io::Result<()> {
        let next = AtomicU64::new(0);
        let workers = 0..rayon::current_num_threads();
        let parts: Vec<(Found, io::Result<()>)> =
            workers.into_par_iter().map(|_| self.read_some(file, ranges, &next, lines)).collect();
        let mut all = Found::default();
        let mut read = Ok(());
        for (found, part_read) in parts {
            all.merge(&found);
            read = read.and(part_read);
        }
        reader.add(&all, &Trail::default());
        read
    }

    /// Reads ranges until all are taken.
    fn read_some(&self, file: &File, ranges: u64, next: &AtomicU64, lines: &Lines) -> (Found, io::Result<()>) {
        let mut buffer = Buffer::default();
        let mut part = Part::default();
        let mut read = Ok(());
        while read.is_ok() {
            let range = next.fetch_add(1, Ordering::Relaxed);
            if range >= ranges {
                break;
            }
            let start = range * RANGE;
            read = if range + 1 == ranges {
                self.read_rest(file, start, lines, &mut part)
            } else {
                lines_of(file, start, &mut buffer).map(|text| {
                    (self.progress)(RANGE);
                    lines.read(text, &mut part);
                })
            };
            // What is kept apart stays small.
            if part.seen.size() > MAX_APART {
                self.tell(&mut part.seen);
            }
        }
        self.seen().take(&mut part.seen);
        (part.found, read)
    }

    fn read_rest(&self, file: &File, start: u64, lines: &Lines, part: &mut Part) -> io::Result<()> {
        let size = Cell::new(0);
        let rest = Counted { inner: At { file, offset: start }, progress: self.progress, size: &size };
        let mut rest = BufReader::with_capacity(BLOCK, rest);
        if start > 0 {
            // The line that began before belongs to the range before.
            rest.skip_until(b'\n')?;
        }
        let take = |seen: &mut Collected| self.seen().take(seen);
        let mut reader = LogReader::new(&take);
        let read = reader.read_lines(&mut rest, lines);
        part.found.merge(&reader.found);
        read
    }
}

/// A buffer that is used again and again.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Buffer {
    /// So many bytes, as they were. They begin at a page, like what is read into them: copying is then twice as fast.
    fn bytes(&mut self, length: usize) -> &mut [u8] {
        const PAGE: usize = 4096;
        if self.0.len() < length + PAGE {
            // Moving what is there would move it off the page.
            let mut larger = vec![0; length + length / 2 + PAGE];
            let (to, from) = (larger.as_ptr().align_offset(PAGE), self.0.as_ptr().align_offset(PAGE));
            let there = self.0.get(from..).unwrap_or_default();
            larger.iter_mut().skip(to).zip(there).for_each(|(to, from)| *to = *from);
            self.0 = larger;
        }
        let start = self.0.as_ptr().align_offset(PAGE).min(PAGE);
        self.0.get_mut(start..start + length).unwrap_or_default()
    }
}

/// The lines of the range from `start`: those behind its ends of lines, the last of them to its end.
fn lines_of<'a>(file: &File, start: u64, buffer: &'a mut Buffer) -> io::Result<&'a [u8]> {
    let mut filled = fill_at(file, start, buffer.bytes(BLOCK))?;
    let begin = match memchr::memchr(b'\n', &buffer.bytes(BLOCK)[..filled]) {
        _ if start == 0 => 0,
        Some(end) => end + 1,
        // A line that began before, and goes on behind.
        None => return Ok(&[]),
    };
    // Also where the range ends with a line: the next range skips to its first end of a line.
    while (BLOCK..MAX_RECORD).contains(&filled) {
        let tail = &mut buffer.bytes(filled + TAIL)[filled..];
        let read = fill_at(file, start + filled as u64, tail)?;
        let end = memchr::memchr(b'\n', &tail[..read]);
        filled += end.map_or(read, |end| end + 1);
        if end.is_some() || read < TAIL {
            break;
        }
    }
    Ok(&buffer.bytes(filled)[begin..])
}

/// Reads until the buffer is full or the file ends.
fn fill_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at(file, offset + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether files can be read from any place without a shared position.
fn can_read_at() -> bool {
    cfg!(unix)
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(not(unix))]
fn read_at(_: &File, _: u64, _: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A file from a place on.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, self.offset, buffer)?;
        self.offset += read as u64;
        Ok(read)
    }
}

fn unreadable(path: &Path, message: String, help: &str) -> Problem {
    let help = Some(help.to_owned());
    Problem { path: display_name(path), place: None, kind: ProblemKind::Unreadable, message, help }
}

/// A reader whose bytes are counted.
struct Counted<'a, R> {
    inner: R,
    progress: &'a (dyn Fn(u64) + Sync),
    size: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.progress)(read as u64);
        self.size.set(self.size.get() + read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_reported_and_what_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("old")).unwrap();
        std::fs::write(directory.path().join("audit.log"), "not impersonated\n").unwrap();
        std::fs::write(directory.path().join("old/audit.log"), "impersonated neither\n").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(directory.path().join("audit.log"), directory.path().join("old/current.log"))
            .unwrap();
        let logs = find_logs(&[directory.path().to_owned(), directory.path().join("nowhere")]);
        assert_eq!((logs.files.len(), logs.problems.len(), logs.bytes), (2, 1, Some(38)));
        let bytes = AtomicU64::new(0);
        let read = read_logs(&logs, ExtraValues::Hashed, &|read| {
            bytes.fetch_add(read, Ordering::Relaxed);
        });
        assert_eq!((bytes.into_inner(), read.evidence.not_events), (38, 2));
        let kinds: Vec<ProblemKind> = read.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [ProblemKind::Unreadable, ProblemKind::NoEvents, ProblemKind::NoEvents]);
    }
}
