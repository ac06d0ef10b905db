//! Bytes that are packed, bounded.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

/// Unpacks what gzip has packed.
///
/// # Errors
/// How many bytes were unpacked of what is broken, or more than `most` bytes.
pub fn unpack(bytes: &[u8], most: usize) -> Result<Vec<u8>, usize> {
    let mut unpacked = Vec::new();
    match MultiGzDecoder::new(bytes).take(most as u64 + 1).read_to_end(&mut unpacked) {
        Ok(_) if unpacked.len() <= most => Ok(unpacked),
        _ => Err(unpacked.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::unpack;

    #[test]
    fn no_more_than_is_asked_for() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(unpack(&packed, 1 << 20).map(|bytes| bytes.len()), Ok(1 << 20));
        assert_eq!(unpack(&packed, (1 << 20) - 1), Err(1 << 20));
        assert!(unpack(packed.get(..100).unwrap(), 1 << 20).is_err_and(|bytes| bytes > 0));
        assert_eq!(unpack(b"text", 1 << 20), Err(0));
    }
}
