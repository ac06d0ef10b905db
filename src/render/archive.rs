//! Packed charts: `.tgz` files, read into memory.

use std::io::Read;

use flate2::read::GzDecoder;

/// A tar block.
const BLOCK: usize = 512;

/// The files of a packed chart: paths without the directory that holds all of them, and bytes.
///
/// # Errors
/// When it is no archive of a chart, or too large.
pub(super) fn unpack(packed: &[u8], budget: &mut u64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut tar = Vec::new();
    let limit = budget.saturating_add(1);
    GzDecoder::new(packed).take(limit).read_to_end(&mut tar).map_err(|error| format!("cannot be unpacked: {error}"))?;
    let length = tar.len() as u64;
    if length > *budget {
        return Err("is too large unpacked".to_owned());
    }
    *budget -= length;
    let mut files = Vec::new();
    let mut long_name: Option<String> = None;
    let mut at = 0;
    while let Some(header) = tar.get(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let size = octal(&header[124..136]).ok_or("is no tar archive")?;
        let start = at + BLOCK;
        let data = start.checked_add(size).and_then(|end| tar.get(start..end)).ok_or("ends within a file")?;
        at = start + size.div_ceil(BLOCK) * BLOCK;
        match header[156] {
            b'L' => long_name = Some(text(data)),
            b'x' => long_name = pax_path(data).or(long_name),
            b'0' | 0 | b'7' => {
                let name = long_name.take().unwrap_or_else(|| {
                    let prefix =
                        if header.get(257..262) == Some(b"ustar") { text(&header[345..500]) } else { String::new() };
                    let name = text(&header[..100]);
                    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
                });
                if let Some(path) = inner_path(&name)? {
                    files.push((path, data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data).to_vec()));
                }
            }
            _ => long_name = None,
        }
    }
    if files.is_empty() { Err("holds no files".to_owned()) } else { Ok(files) }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn octal(bytes: &[u8]) -> Option<usize> {
    let digits = text(bytes);
    usize::from_str_radix(digits.trim(), 8).ok()
}

fn pax_path(data: &[u8]) -> Option<String> {
    let records = String::from_utf8_lossy(data);
    records.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned))
}

/// The path without its first part; none for a directory.
fn inner_path(name: &str) -> Result<Option<String>, String> {
    let name = name.replace('\\', "/");
    if name.ends_with('/') {
        return Ok(None);
    }
    let Some((_, rest)) = name.split_once('/') else {
        return Err(format!("holds {name:?} outside of a directory"));
    };
    let parts: Vec<&str> = rest.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") || rest.starts_with('/') {
        return Err(format!("holds the path {name:?}, which leads out of it"));
    }
    Ok(Some(parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn packed(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, content) in files {
            let mut header = [0_u8; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            header[156] = b'0';
            tar.extend_from_slice(&header);
            tar.extend_from_slice(content.as_bytes());
            tar.resize(tar.len().div_ceil(BLOCK) * BLOCK, 0);
        }
        tar.resize(tar.len() + 2 * BLOCK, 0);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&tar).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_are_found_without_their_directory() {
        let packed = packed(&[("sub/Chart.yaml", "name: sub"), ("sub/templates/a.yaml", "a: 1")]);
        let files = unpack(&packed, &mut 10_000).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Chart.yaml", "templates/a.yaml"]);
        assert!(unpack(&packed, &mut 100).is_err());
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        assert!(unpack(&packed(&[("sub/../../etc/passwd", "x")]), &mut 10_000).is_err());
        assert!(unpack(b"no gzip", &mut 10_000).is_err());
    }
}
