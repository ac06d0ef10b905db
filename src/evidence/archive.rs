//! Archives as streams: the members of tar and zip files, one after the other, without seeking and without keeping them.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::DeflateDecoder;

/// Size of what a tar file is made of, in bytes.
const RECORD: usize = 512;
/// Longest name of a member, in bytes.
const MAX_NAME: u64 = 4 << 10;

/// Reports whether bytes start with the header of a tar file, by its magic and its checksum.
pub(super) fn is_tar(start: &[u8]) -> bool {
    start.first_chunk::<RECORD>().is_some_and(|header| header.get(257..262) == Some(b"ustar") && has_checksum(header))
}

fn has_checksum(header: &[u8; RECORD]) -> bool {
    let sum: u64 = header
        .iter()
        .enumerate()
        // The checksum itself counts as spaces.
        .map(|(index, byte)| u64::from(if (148..156).contains(&index) { b' ' } else { *byte }))
        .sum();
    number(header, 148..156) == Some(sum)
}

/// Returns a number of a header: octal digits, or big-endian after a set bit.
fn number(header: &[u8; RECORD], field: std::ops::Range<usize>) -> Option<u64> {
    let field = header.get(field)?;
    if let [0x80, rest @ ..] = field {
        return rest.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let digits = field.iter().copied().filter(|byte| !matches!(byte, b' ' | 0));
    digits.into_iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        sum.checked_mul(8)?.checked_add(u64::from(digit))
    })
}

fn text(header: &[u8; RECORD], field: std::ops::Range<usize>) -> String {
    let field = header.get(field).unwrap_or_default();
    String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// Gives each regular file in a tar stream to `visit`.
pub(super) fn read_tar(stream: &mut dyn Read, visit: &mut dyn FnMut(&str, &mut dyn Read)) -> io::Result<()> {
    let mut long_name = None;
    loop {
        let mut header = [0; RECORD];
        if !fill(stream, &mut header)? || header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let size = number(&header, 124..136).filter(|_| has_checksum(&header));
        let size =
            size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a header in the archive is broken"))?;
        let mut content = stream.take(size);
        match header.get(156) {
            // Names too long for a header: GNU's way, and that of POSIX.
            Some(b'L') => {
                let mut name = Vec::new();
                content.by_ref().take(MAX_NAME).read_to_end(&mut name)?;
                long_name = Some(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned());
            }
            Some(b'x') => {
                let mut records = Vec::new();
                content.by_ref().take(MAX_NAME).read_to_end(&mut records)?;
                let records = String::from_utf8_lossy(&records);
                let path = records.lines().find_map(|line| line.split_once(" path=").map(|(_, path)| path.to_owned()));
                long_name = path.or(long_name);
            }
            Some(b'0' | b'7' | 0) => {
                let prefix = text(&header, 345..500);
                let name = text(&header, 0..100);
                let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                let name = long_name.take().unwrap_or(name);
                if size > 0 && !name.ends_with('/') {
                    visit(&name, &mut content);
                }
            }
            _ => {}
        }
        io::copy(&mut content, &mut io::sink())?;
        if content.limit() > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let padding = size.next_multiple_of(RECORD as u64) - size;
        io::copy(&mut stream.take(padding), &mut io::sink())?;
    }
}

/// Fills a buffer. False at the end of the stream; an error in the middle of a buffer.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match stream.read(free) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Ways to compress a member that have a format of their own: its first bytes tell which.
const BZIP2: u16 = 12;
const ZSTD: u16 = 93;
const XZ: u16 = 95;

/// The header of a member in a zip file.
struct ZipMember {
    flags: u16,
    method: u16,
    checksum: u32,
    size: u64,
    name: String,
}

impl ZipMember {
    /// Reports whether size and checksum follow the content.
    fn has_trailer(&self) -> bool {
        self.flags & 8 != 0
    }
}

/// Gives each member of a zip stream to `visit`, or why it cannot be read.
pub(super) fn read_zip(
    stream: &mut dyn Read,
    visit: &mut dyn FnMut(&str, io::Result<&mut dyn Read>),
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(member) = zip_member(&mut stream)? {
        let refused = if member.flags & 1 != 0 {
            Some("it is encrypted")
        } else if !matches!(member.method, 0 | 8 | BZIP2 | ZSTD | XZ) {
            Some("it is compressed in a way that is not read")
        } else if member.method != 8 && member.has_trailer() {
            Some("its length is not known before it is read")
        } else {
            None
        };
        if let Some(reason) = refused {
            visit(&member.name, Err(io::Error::new(io::ErrorKind::Unsupported, reason)));
            if member.has_trailer() {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "what follows that member cannot be found"));
            }
            io::copy(&mut (&mut stream).take(member.size), &mut io::sink())?;
            continue;
        }
        let is_directory = member.name.ends_with('/');
        let mut checked = Checked { inner: content(&mut stream, &member), sum: flate2::Crc::new() };
        if !is_directory {
            visit(&member.name, Ok(&mut checked));
        }
        // What the visitor left.
        io::copy(&mut checked, &mut io::sink())?;
        let sum = checked.sum.sum();
        drop(checked);
        let expected = if member.has_trailer() { zip_trailer(&mut stream)? } else { member.checksum };
        // Of the others the checksum is that of what they unpack to.
        if matches!(member.method, 0 | 8) && sum != expected {
            visit(&member.name, Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong")));
        }
    }
    Ok(())
}

fn content<'a>(stream: &'a mut impl BufRead, member: &ZipMember) -> Box<dyn Read + 'a> {
    match (member.method, member.has_trailer()) {
        (0 | BZIP2 | ZSTD | XZ, _) => Box::new(stream.take(member.size)),
        (_, true) => Box::new(DeflateDecoder::new(stream)),
        (_, false) => Box::new(DeflateToEnd { inner: DeflateDecoder::new(stream.take(member.size)), ended: false }),
    }
}

/// A deflate stream in a part of known length: all of that part is taken.
struct DeflateToEnd<R: BufRead> {
    inner: DeflateDecoder<R>,
    ended: bool,
}

impl<R: BufRead> Read for DeflateToEnd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.ended = true;
            io::copy(self.inner.get_mut(), &mut io::sink())?;
        }
        Ok(read)
    }
}

/// A stream whose checksum is computed.
struct Checked<R> {
    inner: R,
    sum: flate2::Crc,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Reads the header of the next member; none where the list of members begins.
fn zip_member(stream: &mut impl Read) -> io::Result<Option<ZipMember>> {
    let mut header = [0; 30];
    let (signature, rest) = header.split_at_mut(4);
    if !fill(stream, signature)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if signature != b"PK\x03\x04" {
        return if signature.starts_with(b"PK") {
            Ok(None)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a header in the archive is broken"))
        };
    }
    if !fill(stream, rest)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let long = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let mut name = vec![0; usize::from(short(26))];
    let mut extra = vec![0; usize::from(short(28))];
    if !(fill(stream, &mut name)? || name.is_empty()) || !(fill(stream, &mut extra)? || extra.is_empty()) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut size = u64::from(long(18));
    if size == u64::from(u32::MAX) {
        size = zip64_size(&extra).unwrap_or(size);
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    Ok(Some(ZipMember { flags: short(6), method: short(8), checksum: long(14), size, name }))
}

/// Returns the compressed size in the extra fields of a large member.
fn zip64_size(mut extra: &[u8]) -> Option<u64> {
    while let [a, b, c, d, rest @ ..] = extra {
        let length = usize::from(u16::from_le_bytes([*c, *d]));
        let field = rest.get(..length)?;
        if [*a, *b] == [1, 0] {
            return field.get(8..16)?.try_into().ok().map(u64::from_le_bytes);
        }
        extra = rest.get(length..)?;
    }
    None
}

/// Reads the checksum that follows a member, with or without its signature. The sizes take eight bytes, or sixteen.
fn zip_trailer(stream: &mut impl BufRead) -> io::Result<u32> {
    let mut first = [0; 4];
    fill(stream, &mut first)?;
    if first == *b"PK\x07\x08" {
        fill(stream, &mut first)?;
    }
    let checksum = u32::from_le_bytes(first);
    let mut sizes = [0; 8];
    fill(stream, &mut sizes)?;
    // The next header begins here, unless the sizes are those of a large member.
    if !stream.fill_buf()?.starts_with(b"P") {
        fill(stream, &mut sizes)?;
    }
    Ok(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar file as GNU tar writes it.
    fn tar(members: &[(&str, u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, kind, content) in members {
            let mut header = [0; RECORD];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            header[156] = *kind;
            header[257..262].copy_from_slice(b"ustar");
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            out.extend_from_slice(&header);
            out.extend_from_slice(content);
            out.resize(out.len().next_multiple_of(RECORD), 0);
        }
        out.resize(out.len() + 2 * RECORD, 0);
        out
    }

    fn members(bytes: &[u8]) -> (Vec<String>, io::Result<()>) {
        let mut seen = Vec::new();
        let read = read_tar(&mut { bytes }, &mut |name, member| {
            let mut content = String::new();
            let _ = member.read_to_string(&mut content);
            seen.push(format!("{name}={content}"));
        });
        (seen, read)
    }

    #[test]
    fn members_of_a_tar_file() {
        let bytes = tar(&[
            ("logs/", b'5', b""),
            ("logs/a", b'0', b"one"),
            ("././@LongLink", b'L', b"a/long/name\0"),
            ("a/long", 0, b"two"),
            ("link", b'2', b""),
            ("pax", b'x', b"20 path=other/name\n"),
            ("o", b'0', b"three"),
        ]);
        assert!(is_tar(&bytes) && !is_tar(&bytes[1..]));
        let (seen, read) = members(&bytes);
        assert_eq!(seen, ["logs/a=one", "a/long/name=two", "other/name=three"]);
        assert!(read.is_ok());
        let (seen, read) = members(&bytes[..RECORD * 2 + 1]);
        assert_eq!((seen.len(), read.unwrap_err().kind()), (1, io::ErrorKind::UnexpectedEof));
    }

    fn stored(name: &str, flags: u16, method: u16, content: &[u8], size: u32) -> Vec<u8> {
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let mut out = b"PK\x03\x04\x14\0".to_vec();
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&method.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&sum.sum().to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&(content.len() as u32).to_le_bytes());
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(name.as_bytes());
        out
    }

    fn zip_members(bytes: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        let read = read_zip(&mut { bytes }, &mut |name, member| match member {
            Ok(member) => {
                let mut content = String::new();
                let _ = member.read_to_string(&mut content);
                seen.push(format!("{name}={content}"));
            }
            Err(error) => seen.push(format!("{name}: {error}")),
        });
        seen.extend(read.err().map(|error| error.kind().to_string()));
        seen
    }

    #[test]
    fn members_of_a_zip_file() {
        let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut deflated, b"three").unwrap();
        let deflated = deflated.finish().unwrap();
        let mut sum = flate2::Crc::new();
        sum.update(b"three");
        let mut bytes = [&stored("a", 0, 0, b"one", 3)[..], b"one", &stored("d/", 0, 0, b"", 0)].concat();
        bytes.extend([&stored("secret", 1, 0, b"two", 3)[..], b"two"].concat());
        bytes.extend([&stored("b", 0, 8, b"three", deflated.len() as u32)[..], &deflated].concat());
        bytes
            .extend([&stored("c", 8, 8, b"three", 0)[..], &deflated, b"PK\x07\x08", &sum.sum().to_le_bytes()].concat());
        bytes.extend([[0; 8].as_slice(), &stored("wrong", 0, 0, b"four", 4), b"five"].concat());
        assert_eq!(zip_members(&bytes).len(), 7);
        bytes.extend(b"PK\x01\x02...");
        let expected =
            ["a=one", "secret: it is encrypted", "b=three", "c=three", "wrong=five", "wrong: its checksum is wrong"];
        assert_eq!(zip_members(&bytes), expected);
    }
}
