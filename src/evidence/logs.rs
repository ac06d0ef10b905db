//! Logs on disk: files, directories of them and standard input, read side by side.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::Evidence;
use super::audit::{BLOCK, LogError, MAX_VALUE, Needle, is_gzip, is_laid_out, read_lines, read_stream};
use super::collect::{Collected, Condensed};
use crate::problem::{Problem, ProblemKind};
use crate::source::{STDIN, display_name};

/// How much of a file one thread takes at a time, in bytes.
const RANGE: u64 = BLOCK as u64;
/// How much is read at a time to find the end of a line, in bytes.
const TAIL: usize = 8 << 10;
/// How much is looked at to tell what form a log has, in bytes.
const START: usize = 64 << 10;
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
                let help = "check that the path exists and may be read".to_owned();
                let problem = unreadable(&at, format!("cannot be read: {reason}"));
                logs.problems.push(Problem { help: Some(help), ..problem });
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

/// Reads logs side by side, and condenses them to what they show together. `progress` is told the bytes read from disk, as
/// they are read, from any thread. The problems are those of finding the logs and of reading them, in the order of the
/// logs; a log that breaks off counts as far as it goes.
pub fn read_logs(logs: &Logs, progress: &(dyn Fn(u64) + Sync)) -> (Evidence, Vec<Problem>) {
    let together = Together { seen: Mutex::default(), progress };
    let read: Vec<Option<Problem>> = logs.files.par_iter().map(|file| together.read_file(file)).collect();
    let problems = logs.problems.iter().cloned().chain(read.into_iter().flatten()).collect();
    let mut evidence = Evidence::default();
    together.seen.into_inner().unwrap_or_else(PoisonError::into_inner).add_to(&mut evidence);
    (evidence, problems)
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

    /// Adds what was seen. Who would have to wait for another thread goes on, but not for ever.
    fn tell(&self, part: &mut Collected) {
        match self.seen.try_lock() {
            Ok(mut seen) => seen.take(part),
            Err(_) if part.size() < 8 * MAX_APART => {}
            Err(_) => self.seen().take(part),
        }
    }

    fn read_file(&self, path: &Path) -> Option<Problem> {
        let read = if path.as_os_str() == STDIN {
            self.read_stream(io::stdin())
        } else {
            File::open(path).map_err(LogError::from).and_then(|file| self.read_opened(file))
        };
        read.err().map(|error| unreadable(path, error.to_string()))
    }

    fn read_stream(&self, log: impl Read) -> Result<(), LogError> {
        let mut part = Condensed::default();
        let read = read_stream(Counted { inner: log, progress: self.progress }, &mut part);
        self.seen().merge(part);
        read
    }

    fn read_opened(&self, file: File) -> Result<(), LogError> {
        let metadata = file.metadata()?;
        if can_read_at() && metadata.is_file() && metadata.len() >= 2 * RANGE {
            let mut start = vec![0; START];
            let read = fill_at(&file, 0, &mut start)?;
            let start = start.get(..read).unwrap_or_default();
            if !is_gzip(start) && !is_laid_out(start) {
                return self.read_ranges(&file, metadata.len() / RANGE, &Needle::of(start));
            }
        }
        self.read_stream(file)
    }

    /// Reads a file in ranges, side by side. The last of them is open, so that what is added meanwhile is read too.
    fn read_ranges(&self, file: &File, ranges: u64, needle: &Needle) -> Result<(), LogError> {
        let next = AtomicU64::new(0);
        let workers = 0..rayon::current_num_threads();
        workers.into_par_iter().map(|_| self.read_some(file, ranges, &next, needle)).collect()
    }

    /// Reads ranges until all are taken.
    fn read_some(&self, file: &File, ranges: u64, next: &AtomicU64, needle: &Needle) -> Result<(), LogError> {
        let mut buffer = Buffer::default();
        let mut part = Collected::default();
        let mut read = Ok(());
        while read.is_ok() {
            let range = next.fetch_add(1, Ordering::Relaxed);
            if range >= ranges {
                break;
            }
            let start = range * RANGE;
            read = if range + 1 == ranges {
                self.read_rest(file, start, needle)
            } else {
                lines_of(file, start, &mut buffer).map_err(LogError::from).map(|lines| {
                    (self.progress)(RANGE);
                    needle.read_hits(lines, &mut part);
                })
            };
            // What is kept apart stays small.
            if part.size() > MAX_APART {
                self.tell(&mut part);
            }
        }
        self.seen().take(&mut part);
        read
    }

    fn read_rest(&self, file: &File, start: u64, needle: &Needle) -> Result<(), LogError> {
        let rest = At { file, offset: start };
        let mut rest = BufReader::with_capacity(BLOCK, Counted { inner: rest, progress: self.progress });
        if start > 0 {
            // The line that began before is the range's before.
            rest.skip_until(b'\n')?;
        }
        let mut part = Condensed::default();
        let read = read_lines(&mut rest, needle, &mut part);
        self.seen().merge(part);
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
    while (BLOCK..MAX_VALUE).contains(&filled) {
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
        let (evidence, problems) = read_logs(&logs, &|read| {
            bytes.fetch_add(read, Ordering::Relaxed);
        });
        assert_eq!((bytes.into_inner(), evidence.not_events, problems), (38, 2, logs.problems));
    }
}
