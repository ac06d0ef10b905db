//! What a log is packed in: compressed streams and archives, nested in any order, known by their first bytes and never by
//! their names. All of it is read as a stream, with bounded memory and bounded depth.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;

use super::archive;
use super::encoded;

/// How many containers may be nested.
pub(super) const MAX_NESTING: usize = 8;
/// How much of a stream is looked at to tell what it is, in bytes.
pub(super) const START: usize = 256 << 10;
/// How much is read at a time from a decoder, in bytes.
const BUFFER: usize = 64 << 10;
/// The memory that an xz stream may ask for, in KiB. `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 128 << 10;
/// How often larger than the file what is in it may be. Logs reach 200, bombs start at 1,000 per container.
const MAX_RATIO: u64 = 10_000;
/// How much may be in a file however small it is, in bytes.
const FREE: u64 = 1 << 30;

/// A container that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
    Snappy,
    Zlib,
    Tar,
    Zip,
    /// Base64 over many lines, or one line of it.
    Base64,
}

impl Container {
    /// Recognizes a container by how it starts.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let by_magic: [(&[u8], Self); 12] = [
            (&[0x1f, 0x8b], Self::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Xz),
            (b"BZh", Self::Bzip2),
            (&[0x04, 0x22, 0x4d, 0x18], Self::Lz4),
            (&[0x02, 0x21, 0x4c, 0x18], Self::Lz4),
            (&[0xff, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y'], Self::Snappy),
            (&[0x78, 0x9c], Self::Zlib),
            (&[0x78, 0xda], Self::Zlib),
            (&[0x78, 0x01], Self::Zlib),
            (b"PK\x03\x04", Self::Zip),
            (b"PK\x05\x06", Self::Zip),
        ];
        let skippable = matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        by_magic
            .into_iter()
            .find(|(magic, _)| start.starts_with(magic))
            .map(|(_, container)| container)
            .or_else(|| skippable.then_some(Self::Zstd))
            .or_else(|| archive::is_tar(start).then_some(Self::Tar))
            .or_else(|| encoded::is_base64_text(start).then_some(Self::Base64))
    }

    /// Returns the name that users know.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Zlib => "zlib",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Base64 => "base64",
        }
    }
}

/// A format that is known and not read, and what to use instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unsupported {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

const AS_JSON: &str = "export the events as JSON lines instead";
const DECRYPT: &str = "decrypt it first";
const UNPACK: &str = "unpack it first, and give the files in it";

/// Recognizes binary formats that are not read, by how they start.
pub(super) fn unsupported(start: &[u8]) -> Option<Unsupported> {
    let by_magic: [(&[u8], &str, &str); 15] = [
        (
            b"PAR1",
            "Parquet",
            "export the events as JSON lines instead, for example `COPY (SELECT …) TO 'x.json'` in DuckDB",
        ),
        (b"ORC", "ORC", AS_JSON),
        (
            b"Obj\x01",
            "Avro",
            "export the events as JSON lines; for Event Hubs, read from a storage account instead of Capture",
        ),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip", UNPACK),
        (b"Rar!\x1a\x07", "RAR", UNPACK),
        (b"LZIP", "lzip", UNPACK),
        (&[0x1f, 0x9d], "compress (.Z)", UNPACK),
        (&[0x1f, 0xa0], "compress (.Z)", UNPACK),
        (&[0x89, b'L', b'Z', b'O', 0], "lzop", UNPACK),
        (b"LPKSHHRH", "a systemd journal", "use `journalctl -o json` instead"),
        (b"SQLite format 3\0", "SQLite", AS_JSON),
        (b"ARROW1", "Arrow", AS_JSON),
        (b"-----BEGIN PGP MESSAGE", "an encrypted file", DECRYPT),
        (b"age-encryption.org/", "an encrypted file", DECRYPT),
        (b"Salted__", "an encrypted file", DECRYPT),
    ];
    by_magic.into_iter().find(|(magic, ..)| start.starts_with(magic)).map(|(_, name, help)| Unsupported { name, help })
}

/// A stream with what it starts with.
pub(super) struct Peeked<'a> {
    start: Vec<u8>,
    taken: usize,
    rest: &'a mut dyn Read,
    /// Whether the start is all there is.
    is_whole: bool,
}

impl<'a> Peeked<'a> {
    /// Reads the start of a stream. An error that comes after some bytes comes again when these are read.
    pub(super) fn new(rest: &'a mut dyn Read) -> io::Result<Self> {
        let mut start = Vec::new();
        let is_whole = match rest.take(START as u64).read_to_end(&mut start) {
            Ok(read) => read < START,
            Err(error) if start.is_empty() => return Err(error),
            Err(_) => false,
        };
        Ok(Self { start, taken: 0, rest, is_whole })
    }

    /// Returns what the stream starts with: [`START`] bytes, or all of it.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// Returns the whole stream if it is short, and has been read without an error.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.is_whole.then_some(&self.start)
    }
}

impl Read for Peeked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.start.get(self.taken..).unwrap_or_default();
        if left.is_empty() {
            return if self.is_whole { Ok(0) } else { self.rest.read(buffer) };
        }
        let length = left.len().min(buffer.len());
        let (from, to) = (left.get(..length).unwrap_or_default(), buffer.get_mut(..length).unwrap_or_default());
        to.copy_from_slice(from);
        self.taken += length;
        Ok(length)
    }
}

/// Where a text is: the containers around it, and the members of archives that lead to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    pub(super) containers: Vec<&'static str>,
    pub(super) member: Option<String>,
}

impl Trail {
    fn inside(&self, container: Container) -> Self {
        let mut trail = self.clone();
        trail.containers.push(container.name());
        trail
    }

    pub(super) fn member_named(&self, name: &str) -> Self {
        let member = self.member.as_ref().map_or_else(|| name.to_owned(), |outer| format!("{outer}/{name}"));
        Self { containers: self.containers.clone(), member: Some(member) }
    }
}

/// What takes the texts that are found, and hears of what could not be read.
pub(super) trait Visitor {
    /// Takes a stream that is no container.
    fn text(&mut self, text: &mut Peeked<'_>, trail: &Trail) -> io::Result<()>;
    /// Hears of a stream, or of a part of it, that could not be read.
    fn failed(&mut self, error: &io::Error, trail: &Trail);
    /// Hears of a stream whose format is known and not read.
    fn unsupported(&mut self, format: Unsupported, trail: &Trail);
}

/// Unpacks a stream, and gives the texts in it to a visitor. `size` is how many bytes it has so far been given from disk.
pub(super) fn unpack(stream: &mut dyn Read, size: &dyn Fn() -> u64, trail: &Trail, visitor: &mut dyn Visitor) {
    if let Err(error) = unpack_one(stream, size, trail, visitor) {
        visitor.failed(&error, trail);
    }
}

fn unpack_one(
    stream: &mut dyn Read,
    size: &dyn Fn() -> u64,
    trail: &Trail,
    visitor: &mut dyn Visitor,
) -> io::Result<()> {
    let mut stream = Peeked::new(stream)?;
    if let Some(format) = unsupported(stream.start()) {
        visitor.unsupported(format, trail);
        return Ok(());
    }
    let Some(container) = Container::of(stream.start()) else { return visitor.text(&mut stream, trail) };
    if trail.containers.len() >= MAX_NESTING {
        return Err(io::Error::other(format!("it is packed more than {MAX_NESTING} times")));
    }
    let trail = trail.inside(container);
    match container {
        Container::Tar => archive::read_tar(&mut stream, &mut |name, member| {
            unpack(member, size, &trail.member_named(name), visitor);
        }),
        Container::Zip => archive::read_zip(&mut stream, &mut |name, member| match member {
            Ok(member) => unpack(member, size, &trail.member_named(name), visitor),
            Err(error) => visitor.failed(&error, &trail.member_named(name)),
        }),
        Container::Base64 => {
            let mut decoded = encoded::Base64Text::new(BufReader::with_capacity(BUFFER, stream));
            unpack(&mut decoded, size, &trail, visitor);
            Ok(())
        }
        compressed => {
            let decoder = decoder(compressed, BufReader::with_capacity(BUFFER, stream))?;
            unpack(&mut Bounded { inner: decoder, read: 0, size }, size, &trail, visitor);
            Ok(())
        }
    }
}

/// Returns what decompresses a stream: all members, frames or streams of it, one after the other.
fn decoder<'a>(container: Container, stream: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match container {
        Container::Zstd => Box::new(zstd::Decoder::with_buffer(stream)?),
        Container::Xz => Box::new(XzReader::new_mem_limit(stream, true, XZ_MEMORY)),
        Container::Bzip2 => Box::new(MultiBzDecoder::new(stream)),
        Container::Lz4 => Box::new(Frames { stream: Some(FrameDecoder::new(stream)) }),
        Container::Snappy => Box::new(snap::read::FrameDecoder::new(stream)),
        Container::Zlib => Box::new(ZlibDecoder::new(stream)),
        _ => Box::new(GzMembers { member: Some(GzDecoder::new(stream)) }),
    })
}

/// Decompresses bytes in memory, up to a limit. None if they are not compressed.
pub(super) fn inflate(bytes: &[u8], limit: usize) -> Option<io::Result<Vec<u8>>> {
    let container = Container::of(bytes)
        .filter(|container| !matches!(container, Container::Tar | Container::Zip | Container::Base64))?;
    let read = || {
        let mut inflated = Vec::new();
        decoder(container, bytes)?.take(limit as u64 + 1).read_to_end(&mut inflated)?;
        if inflated.len() > limit { Err(io::Error::other("a payload is too large")) } else { Ok(inflated) }
    };
    Some(read())
}

/// Gzip members one after the other, as one stream: members may end in the middle of a line. Zeros after them are padding.
struct GzMembers<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for GzMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.member else { return Ok(0) };
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(member) = self.member.take() else { return Ok(0) };
            let mut rest = member.into_inner();
            skip_zeros(&mut rest)?;
            if !rest.fill_buf()?.is_empty() {
                self.member = Some(GzDecoder::new(rest));
            }
        }
    }
}

/// LZ4 frames one after the other.
struct Frames<R: Read> {
    stream: Option<FrameDecoder<R>>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.stream else { return Ok(0) };
            let read = frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(frame) = self.stream.take() else { return Ok(0) };
            let mut rest = frame.into_inner();
            if !rest.fill_buf()?.is_empty() {
                self.stream = Some(FrameDecoder::new(rest));
            }
        }
    }
}

fn skip_zeros(stream: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = stream.fill_buf()?;
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let all = zeros == buffer.len();
        let is_end = buffer.is_empty();
        stream.consume(zeros);
        if !all || is_end {
            return Ok(());
        }
    }
}

/// A stream that ends with an error where it expands to more than any log does.
struct Bounded<'a, R> {
    inner: R,
    read: u64,
    size: &'a dyn Fn() -> u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        if self.read > FREE && self.read / MAX_RATIO > (self.size)() {
            return Err(io::Error::other(format!("it expands to more than {MAX_RATIO} times its size")));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    /// Remembers all that it takes and hears.
    #[derive(Default)]
    struct Heard(Vec<String>);

    impl Visitor for Heard {
        fn text(&mut self, text: &mut Peeked<'_>, trail: &Trail) -> io::Result<()> {
            let mut all = Vec::new();
            let read = text.read_to_end(&mut all);
            let member = trail.member.as_deref().unwrap_or("-");
            self.0.push(format!("{} {member}: {}", trail.containers.join(" "), String::from_utf8_lossy(&all)));
            read.map(|_| ())
        }

        fn failed(&mut self, error: &io::Error, trail: &Trail) {
            self.0.push(format!("{} failed: {error}", trail.containers.join(" ")));
        }

        fn unsupported(&mut self, format: Unsupported, _: &Trail) {
            self.0.push(format!("not read: {}", format.name));
        }
    }

    fn unpacked(bytes: &[u8]) -> Vec<String> {
        let mut heard = Heard::default();
        unpack(&mut { bytes }, &|| bytes.len() as u64, &Trail::default(), &mut heard);
        heard.0
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn compressed_streams_are_read_by_their_first_bytes() {
        let text = b"hello";
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(text).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(text).unwrap();
        let mut snappy = snap::write::FrameEncoder::new(Vec::new());
        snappy.write_all(text).unwrap();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
        xz.write_all(text).unwrap();
        for (name, bytes) in [
            ("gzip", gzip(text)),
            ("zlib", zlib.finish().unwrap()),
            ("bzip2", bzip2.finish().unwrap()),
            ("lz4", lz4.finish().unwrap()),
            ("snappy", snappy.into_inner().unwrap()),
            ("xz", xz.finish().unwrap()),
            ("zstd", zstd::encode_all(&text[..], 1).unwrap()),
        ] {
            assert_eq!(unpacked(&bytes), [format!("{name} -: hello")]);
            assert_eq!(unpacked(&gzip(&bytes)), [format!("gzip {name} -: hello")]);
            // One after the other is one stream, but for zlib, which does not allow it.
            if name != "zlib" {
                assert_eq!(unpacked(&[&bytes[..], &bytes[..]].concat()), [format!("{name} -: hellohello")]);
            }
        }
    }

    #[test]
    fn what_is_cut_is_read_as_far_as_it_goes() {
        let noise: Vec<u8> =
            (0..100_000_u32).map(|index| b'a' + (index.wrapping_mul(2_654_435_761) >> 28) as u8).collect();
        let whole = gzip(&noise);
        let [text, failed] = &unpacked(&whole[..whole.len() / 2])[..] else { panic!() };
        assert!(text.len() > 10_000 && failed.starts_with("gzip failed: "), "{failed}");
        let padded = [&gzip(b"x")[..], &[0; 700]].concat();
        assert_eq!(unpacked(&padded), ["gzip -: x"]);
    }

    #[test]
    fn nesting_is_bounded_and_other_formats_are_named() {
        let mut bytes = b"x".to_vec();
        (0..MAX_NESTING).for_each(|_| bytes = gzip(&bytes));
        assert_eq!(unpacked(&bytes).len(), 1);
        let [failed] = &unpacked(&gzip(&bytes))[..] else { panic!() };
        assert!(failed.ends_with("it is packed more than 8 times"), "{failed}");
        assert_eq!(unpacked(b"PAR1..."), ["not read: Parquet"]);
        assert_eq!(unpacked(b"Obj\x01..."), ["not read: Avro"]);
    }

    #[test]
    fn a_stream_that_expands_too_much_ends_with_an_error() {
        let mut endless = Bounded { inner: io::repeat(b'x'), read: FREE + 10, size: &|| 7 };
        assert!(endless.read(&mut [0; 64]).is_err());
        let mut log = Bounded { inner: io::repeat(b'x'), read: FREE + 10, size: &|| 1 << 20 };
        assert!(log.read(&mut [0; 64]).is_ok());
    }
}
