//! What container runtimes put around each line that a program writes: taken off, as a stream. They also cut long lines
//! into pieces, which are put together again.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use serde::Deserialize;

use super::json::{self, Extent};

/// Longest line that is put together, in bytes.
const MAX_LINE: usize = 64 << 20;
/// How much is put together before it is given away, in bytes.
const ENOUGH: usize = 64 << 10;

/// A way to frame lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// `2026-01-01T00:00:00.0Z stdout F …`, as containerd and CRI-O write it.
    Cri,
    /// `{"log":"…\n","stream":"stdout","time":"…"}`, as Docker writes it.
    Docker,
}

/// A line of Docker's log. Other programs write lines with a `log`, too, and add fields of their own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DockerLine {
    log: String,
    stream: String,
    #[serde(rename = "time")]
    _time: String,
    #[serde(default, rename = "attrs")]
    _attrs: serde::de::IgnoredAny,
}

/// A line without its frame.
struct Piece<'l> {
    stream: String,
    text: std::borrow::Cow<'l, str>,
    /// Whether the line goes on in the next piece.
    is_partial: bool,
}

impl Framing {
    /// Recognizes framed lines: the first lines of a text all are.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let mut lines = start.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(3);
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let framing = [Self::Cri, Self::Docker].into_iter().find(|framing| framing.piece(first).is_some())?;
        // The last may be cut off.
        let others: Vec<&[u8]> = lines.collect();
        let whole = others.get(..others.len().saturating_sub(1)).unwrap_or_default();
        let is_framed = |line: &&[u8]| std::str::from_utf8(line).is_ok_and(|line| framing.piece(line).is_some());
        whole.iter().all(is_framed).then_some(framing)
    }

    /// Returns the name that users know.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cri => "CRI",
            Self::Docker => "Docker",
        }
    }

    fn piece(self, line: &str) -> Option<Piece<'_>> {
        match self {
            Self::Cri => {
                let mut parts = line.splitn(4, ' ');
                let (time, stream, tags) = (parts.next()?, parts.next()?, parts.next()?);
                let is_time = time.len() > 18 && time.get(4..5) == Some("-") && time.get(10..11) == Some("T");
                let is_partial = match tags.split(':').next()? {
                    "P" => true,
                    "F" => false,
                    _ => return None,
                };
                let text = parts.next().unwrap_or_default().trim_end_matches('\r');
                (is_time && matches!(stream, "stdout" | "stderr")).then(|| Piece {
                    stream: stream.to_owned(),
                    text: text.into(),
                    is_partial,
                })
            }
            Self::Docker => {
                let DockerLine { log, stream, .. } = serde_json::from_str(line.trim()).ok()?;
                let is_partial = !log.ends_with('\n');
                Some(Piece { stream, text: log.into(), is_partial })
            }
        }
    }
}

/// Reports whether a text is the beginning of a JSON value.
fn is_open(text: &str) -> bool {
    let start = memchr::memchr2(b'{', b'[', text.as_bytes());
    start.is_some_and(|start| matches!(json::extent(text.as_bytes(), start), Extent::Open { .. }))
}

/// A stream of lines without their frames. Lines that have none stay as they are.
pub(super) struct Unframed<R> {
    inner: R,
    framing: Framing,
    /// The beginnings of lines, by stream.
    partial: BTreeMap<String, String>,
    out: Vec<u8>,
    taken: usize,
}

impl<R: BufRead> Unframed<R> {
    pub(super) fn new(inner: R, framing: Framing) -> Self {
        Self { inner, framing, partial: BTreeMap::new(), out: Vec::new(), taken: 0 }
    }

    /// Reads some more. False at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        self.out.clear();
        self.taken = 0;
        let mut line = Vec::new();
        while self.out.len() < ENOUGH {
            line.clear();
            if self.inner.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)? == 0 {
                // What has no end is shown as far as it goes.
                for (_, rest) in std::mem::take(&mut self.partial) {
                    self.push(rest.as_bytes());
                }
                break;
            }
            self.unframe(line.trim_ascii_end());
        }
        Ok(!self.out.is_empty())
    }

    fn unframe(&mut self, line: &[u8]) {
        let Some(piece) = std::str::from_utf8(line).ok().and_then(|line| self.framing.piece(line)) else {
            return self.push(line);
        };
        let mut text = self.partial.remove(&piece.stream).unwrap_or_default();
        text.push_str(&piece.text);
        // Other programs write Docker's lines without the ends of lines.
        let goes_on = piece.is_partial && (self.framing == Framing::Cri || is_open(&text));
        if goes_on && text.len() < MAX_LINE {
            self.partial.insert(piece.stream, text);
        } else {
            self.push(text.as_bytes());
        }
    }

    fn push(&mut self, line: &[u8]) {
        self.out.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            self.out.push(b'\n');
        }
    }
}

impl<R: BufRead> Read for Unframed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.out.len() && !self.read_more()? {
            return Ok(0);
        }
        let read = self.out.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unframed(text: &str) -> String {
        let framing = Framing::of(text.as_bytes()).unwrap();
        let mut out = String::new();
        Unframed::new(text.as_bytes(), framing).read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn pieces_are_put_together() {
        let time = "2026-01-01T00:00:00.000000000Z";
        let cri = format!(
            "{time} stdout P {{\"a\":\n{time} stderr F klog\n{time} stdout P 1,\n{time} stdout F \"b\":2}}\n{time} stdout F x\nnot framed\n{time} stdout P cut"
        );
        assert_eq!(unframed(&cri), "klog\n{\"a\":1,\"b\":2}\nx\nnot framed\ncut\n");
        let line =
            |log: &str, stream: &str| format!("{}\n", serde_json::json!({"log": log, "stream": stream, "time": time}));
        let docker = [line("{\"a\":", "stdout"), line("x\n", "stderr"), line("1}\n", "stdout"), line("cut", "stdout")];
        assert_eq!(unframed(&docker.concat()), "x\n{\"a\":1}\ncut\n");
    }

    #[test]
    fn only_framed_lines_are_taken_for_such() {
        for text in [
            "",
            "2026-01-01T00:00:00Z {\"kind\":\"Event\"}\n",
            "{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"t\",\"kubernetes\":{}}\n",
            "{\"kind\":\"Event\"}\n",
        ] {
            assert_eq!(Framing::of(text.as_bytes()), None, "{text}");
        }
    }
}
