//! Bytes of one input, bounded.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use super::{Input, Limits};

/// Memory that stays allocated between two files.
const KEEP_BUFFER: usize = 1 << 20;
const FIRST_READ: usize = 128 << 10;

/// The bytes of an input in a buffer that is reused from file to file.
#[derive(Debug, Default)]
pub struct FileText {
    buffer: Vec<u8>,
    length: usize,
}

/// Why an input could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The system said no.
    Io(io::Error),
    /// More bytes than [`Limits::max_file_bytes`].
    TooLarge,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::TooLarge => f.write_str("is too large and was not read"),
        }
    }
}

impl std::error::Error for ReadError {}

impl FileText {
    /// The bytes read last.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// The bytes read last, taken out of the buffer.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.buffer.truncate(self.length);
        self.buffer
    }
}

/// Reads an input into `text`. Whatever the file's size was when it was found, what counts is the
/// bytes until its end: a file that shrinks or grows meanwhile is read as it then is.
///
/// # Errors
/// When it cannot be opened or read, or holds more than the limit.
pub fn read_file(input: &Input, limits: &Limits, text: &mut FileText) -> Result<(), ReadError> {
    match &input.file {
        None => read_stream(&mut io::stdin().lock(), limits, text),
        Some(path) => read_stream(&mut File::open(path).map_err(ReadError::Io)?, limits, text),
    }
}

/// Reads a stream to its end into `text`.
///
/// # Errors
/// As [`read_file`].
pub fn read_stream(stream: &mut dyn Read, limits: &Limits, text: &mut FileText) -> Result<(), ReadError> {
    text.length = 0;
    if text.buffer.len() > KEEP_BUFFER {
        text.buffer = Vec::new();
    }
    loop {
        if text.length == text.buffer.len() {
            let larger = (text.length * 2).max(FIRST_READ);
            text.buffer.resize(larger, 0);
        }
        let free = text.buffer.get_mut(text.length..).unwrap_or_default();
        match stream.read(free) {
            Ok(0) => return Ok(()),
            Ok(read) => text.length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Io(error)),
        }
        if text.length as u64 > limits.max_file_bytes {
            return Err(ReadError::TooLarge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_to_the_end_and_no_further_than_the_limit() {
        let mut text = FileText::default();
        let limits = Limits { max_file_bytes: 300_000 };
        read_stream(&mut io::repeat(b'x').take(300_000), &limits, &mut text).unwrap();
        assert_eq!(text.bytes().len(), 300_000);
        assert!(matches!(
            read_stream(&mut io::repeat(b'x').take(300_001), &limits, &mut text),
            Err(ReadError::TooLarge)
        ));
        read_stream(&mut io::empty(), &limits, &mut text).unwrap();
        assert_eq!(text.bytes(), b"");
    }
}
