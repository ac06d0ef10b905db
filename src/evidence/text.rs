//! Text encodings: what is not UTF-8 becomes UTF-8, as a stream.

use std::io::{self, Read};

/// How much is decoded at a time, in bytes.
const BLOCK: usize = 64 << 10;

/// An encoding that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wide {
    /// Bytes of a unit: two or four.
    unit: usize,
    big_endian: bool,
}

impl Wide {
    /// Recognizes UTF-16 and UTF-32 by a byte order mark, or by zeros where the text would have none.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let wide = |unit, big_endian| Some(Self { unit, big_endian });
        match start {
            [0xff, 0xfe, 0, 0, ..] => wide(4, false),
            [0, 0, 0xfe, 0xff, ..] => wide(4, true),
            [0xff, 0xfe, ..] => wide(2, false),
            [0xfe, 0xff, ..] => wide(2, true),
            // A text of Latin letters begins with one; every other byte, or three of four, are zero.
            [0, 0, 0, 1..=u8::MAX, 0, 0, 0, 1..=u8::MAX, ..] => wide(4, true),
            [1..=u8::MAX, 0, 0, 0, 1..=u8::MAX, 0, 0, 0, ..] => wide(4, false),
            [0, 1..=u8::MAX, 0, 1..=u8::MAX, 0, 1..=u8::MAX, ..] => wide(2, true),
            [1..=u8::MAX, 0, 1..=u8::MAX, 0, 1..=u8::MAX, 0, ..] => wide(2, false),
            _ => None,
        }
    }

    /// Returns the name that users know.
    pub(super) fn name(self) -> &'static str {
        if self.unit == 2 { "UTF-16" } else { "UTF-32" }
    }

    fn units<'b>(self, bytes: &'b [u8]) -> impl Iterator<Item = u32> + 'b {
        bytes.chunks_exact(self.unit).map(move |unit| {
            let fold = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
            if self.big_endian { unit.iter().fold(0, fold) } else { unit.iter().rev().fold(0, fold) }
        })
    }

    /// Appends the text of whole units. What is no character becomes U+FFFD.
    fn decode(self, bytes: &[u8], out: &mut String) {
        if self.unit == 2 {
            let units = self.units(bytes).map(|unit| unit as u16);
            out.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        } else {
            out.extend(self.units(bytes).map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
    }

    /// Reports whether the bytes end in the middle of a pair.
    fn ends_in_pair(self, bytes: &[u8]) -> bool {
        let last = bytes.len().checked_sub(2).and_then(|at| bytes.get(at..));
        self.unit == 2 && last.and_then(|last| self.units(last).next()).is_some_and(|unit| unit & 0xfc00 == 0xd800)
    }
}

/// Decodes a stream.
pub(super) struct WideText<R> {
    inner: R,
    wide: Wide,
    raw: Vec<u8>,
    text: String,
    taken: usize,
}

impl<R: Read> WideText<R> {
    pub(super) fn new(inner: R, wide: Wide) -> Self {
        Self { inner, wide, raw: Vec::new(), text: String::new(), taken: 0 }
    }

    /// Decodes some more. False at the end.
    fn decode_more(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.taken = 0;
        while self.text.is_empty() {
            let before = self.raw.len();
            let read = self.inner.by_ref().take(BLOCK as u64).read_to_end(&mut self.raw);
            let is_end = self.raw.len() == before;
            if is_end {
                read?;
            }
            let mut whole = self.raw.len() - self.raw.len() % self.wide.unit;
            if !is_end && self.wide.ends_in_pair(self.raw.get(..whole).unwrap_or_default()) {
                whole -= self.wide.unit;
            }
            self.wide.decode(self.raw.get(..whole).unwrap_or_default(), &mut self.text);
            self.raw.drain(..whole);
            if is_end {
                // Half a unit is no text; it is left, and would be found again and again.
                self.raw.clear();
                break;
            }
        }
        Ok(!self.text.is_empty())
    }
}

impl<R: Read> Read for WideText<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.text.len() && !self.decode_more()? {
            return Ok(0);
        }
        let read = self.text.as_bytes().get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

/// Reports whether bytes are of no text: more than a few of them are control characters. Zeros are left out: they are
/// holes in logs whose beginning was cut off while they were written.
pub(super) fn is_binary(start: &[u8]) -> bool {
    let is_control = |byte: &&u8| matches!(byte, 1..=8 | 0x0e..=0x1a | 0x1c | 0x1d | 0x1f | 0x7f);
    let controls = start.iter().filter(is_control).count();
    let zeros = start.iter().filter(|byte| **byte == 0).count();
    controls * 50 > start.len() - zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str, unit: usize, big_endian: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut push = |bytes: &[u8]| {
            if big_endian { out.extend(bytes.iter().rev()) } else { out.extend(bytes) }
        };
        if unit == 2 {
            text.encode_utf16().for_each(|unit| push(&unit.to_le_bytes()));
        } else {
            text.chars().for_each(|unit| push(&u32::from(unit).to_le_bytes()));
        }
        out
    }

    #[test]
    fn wide_encodings_with_and_without_a_mark() {
        let text = format!("{{\"größe\": \"🐼\"}}\n{}", "x🐼".repeat(BLOCK));
        for (unit, big_endian) in [(2, false), (2, true), (4, false), (4, true)] {
            for mark in ["", "\u{feff}"] {
                let text = format!("{mark}{text}");
                let bytes = encode(&text, unit, big_endian);
                let wide = Wide::of(&bytes).unwrap();
                assert_eq!(wide, Wide { unit, big_endian });
                let mut decoded = String::new();
                WideText::new(&bytes[..], wide).read_to_string(&mut decoded).unwrap();
                assert!(decoded == text);
                // Half a character is no text.
                let mut decoded = String::new();
                WideText::new(&bytes[..9], wide).read_to_string(&mut decoded).unwrap();
                assert!(text.starts_with(&decoded));
            }
        }
        assert_eq!(Wide::of(b"{\"kind\":"), None);
        assert_eq!(Wide::of(&[0; 100]), None);
    }

    #[test]
    fn binary_is_told_from_text() {
        assert!(!is_binary(b"{\"a\":\t1}\r\n") && !is_binary(&[0; 100]) && !is_binary(b""));
        assert!(is_binary(&(0..=255).collect::<Vec<u8>>()));
    }
}
