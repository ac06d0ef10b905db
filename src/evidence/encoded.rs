//! Base64: whole streams of it, and payloads in texts.

use std::io::{self, BufRead, Read};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::container::Container;

/// Shortest text that is taken for base64. No event is shorter.
const SHORTEST: usize = 64;
/// How much is decoded at a time, in bytes; divisible by four.
const GROUP: usize = 32 << 10;
/// How much of a payload is decoded to see what it is, in bytes; divisible by four.
const GLIMPSE: usize = 64;

/// What the Kinesis Producer Library begins records with that hold several others, as they are.
const KINESIS: &[u8] = &[0xf3, 0x89, 0x9a, 0xc2];

/// Padding or not, and whatever is left of the last bits.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Returns digits of the alphabet for URLs as those of the usual one.
fn standard(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

/// Reports whether a text could be base64, and nothing else.
pub(super) fn is_base64(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| is_digit(**byte)).count();
    let padding = text.get(digits..).unwrap_or_default();
    digits >= SHORTEST && padding.len() <= 2 && padding.iter().all(|byte| *byte == b'=')
}

/// Decodes base64 that holds something compressed, or JSON. None if it is neither.
pub(super) fn decode_payload(text: &[u8]) -> Option<Vec<u8>> {
    if !is_base64(text) || !holds_payload(text) {
        return None;
    }
    let digits: Vec<u8> = text.iter().map(|byte| standard(*byte)).collect();
    ENGINE.decode(digits).ok()
}

/// Reports whether the first digits are those of something compressed, or of JSON.
fn holds_payload(text: &[u8]) -> bool {
    let digits: Vec<u8> = text.iter().take(GLIMPSE).map(|byte| standard(*byte)).collect();
    let whole = digits.len() - digits.len() % 4;
    let decoded = digits.get(..whole).and_then(|digits| ENGINE.decode(digits).ok()).unwrap_or_default();
    let is_json = matches!(decoded.trim_ascii_start(), [b'{' | b'[', ..]) && decoded.is_ascii();
    is_json
        || decoded.starts_with(KINESIS)
        || Container::of(&decoded).is_some_and(|container| container != Container::Base64)
}

/// Reports whether a stream that starts like this is base64 of one content. Lines that are payloads each are not: each of
/// them is a record.
pub(super) fn is_base64_text(start: &[u8]) -> bool {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    if start.len() < SHORTEST || !start.iter().all(|byte| is_digit(*byte) || *byte == b'=' || is_space(byte)) {
        return false;
    }
    let mut lines = start.split(is_space).filter(|line| !line.is_empty());
    let joined: Vec<u8> = start.iter().filter(|byte| !is_space(byte)).copied().take(GLIMPSE).collect();
    let second = lines.nth(1);
    holds_payload(&joined) && !second.is_some_and(|line| line.len() >= SHORTEST && holds_payload(line))
}

/// Decodes a stream of base64, line breaks and all.
pub(super) struct Base64Text<R> {
    inner: R,
    digits: Vec<u8>,
    decoded: Vec<u8>,
    taken: usize,
}

impl<R: BufRead> Base64Text<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, digits: Vec::new(), decoded: Vec::new(), taken: 0 }
    }

    /// Decodes some more. False at the end.
    fn decode_more(&mut self) -> io::Result<bool> {
        while self.digits.len() < GROUP {
            let buffer = self.inner.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let digits = buffer.iter().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| standard(*byte));
            self.digits.extend(digits);
            let length = buffer.len();
            self.inner.consume(length);
        }
        let whole = if self.digits.len() < GROUP { self.digits.len() } else { self.digits.len() / 4 * 4 };
        let invalid = |error: base64::DecodeError| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        self.decoded = ENGINE.decode(self.digits.get(..whole).unwrap_or_default()).map_err(invalid)?;
        self.digits.drain(..whole);
        self.taken = 0;
        Ok(!self.decoded.is_empty())
    }
}

impl<R: BufRead> Read for Base64Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.decoded.len() && !self.decode_more()? {
            return Ok(0);
        }
        let read = self.decoded.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn payloads_are_json_or_compressed() {
        let json = br#"{"message":"an event, and more of it so that it is long enough??>>"}"#;
        for text in [BASE64_STANDARD.encode(json), BASE64_URL_SAFE_NO_PAD.encode(json)] {
            assert_eq!(decode_payload(text.as_bytes()).unwrap(), json);
        }
        let key = BASE64_STANDARD.encode([7; 90]);
        assert_eq!(decode_payload(key.as_bytes()), None);
        assert_eq!(decode_payload(b"e30="), None);
    }

    #[test]
    fn one_content_over_lines_is_told_from_one_per_line() {
        let content =
            br#"{"message":"long enough to be wrapped at the usual column"}{"message":"and this too"}"#.repeat(40);
        let text = BASE64_STANDARD.encode(&content);
        let wrapped = text.as_bytes().chunks(76).collect::<Vec<_>>().join(&b'\n');
        assert!(is_base64_text(&wrapped) && is_base64_text(text.as_bytes()));
        let mut decoded = Vec::new();
        Base64Text::new(&wrapped[..]).read_to_end(&mut decoded).unwrap();
        assert!(decoded == content);
        let line = BASE64_STANDARD.encode(&content[..90]);
        assert!(!is_base64_text(format!("{line}\n{line}\n").as_bytes()));
        assert!(!is_base64_text("no base64 at all, though it is long enough to be some of that kind".as_bytes()));
    }
}
