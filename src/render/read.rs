//! The files of a chart's directory, as Helm gathers them.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::archive;
use super::ignore::Rules;
use super::limits::Limits;

/// The files of a chart: paths with slashes, sorted, and bytes.
pub type Files = Vec<(String, Vec<u8>)>;

/// How deep directories are followed.
const MAX_DEPTH: usize = 32;
/// How many files a chart may have.
const MAX_FILES: usize = 50_000;

/// Reads a chart: a directory, or a packed one. What `.helmignore` names is left out.
///
/// # Errors
/// When it cannot be read, or is too large.
pub fn read_chart(path: &Path, limits: &Limits) -> Result<Files, String> {
    let mut budget = limits.chart_bytes;
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    let metadata = fs::metadata(path).map_err(at)?;
    if !metadata.is_dir() {
        let packed = read_file(path, &mut budget)?;
        let mut files =
            archive::unpack(&packed, &mut budget).map_err(|message| format!("{} {message}", path.display()))?;
        files.sort();
        return Ok(files);
    }
    let rules = match fs::read_to_string(path.join(".helmignore")) {
        Ok(text) => {
            Rules::parse(&text).map_err(|message| format!("{}: {message}", path.join(".helmignore").display()))?
        }
        Err(_) => Rules::parse("")?,
    };
    let mut files = Vec::new();
    let root = fs::canonicalize(path).map_err(at)?;
    walk(path, &root, "", &rules, &mut budget, &mut files, 0)?;
    Ok(files)
}

fn read_file(path: &Path, budget: &mut u64) -> Result<Vec<u8>, String> {
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(at)?.take(budget.saturating_add(1)).read_to_end(&mut bytes).map_err(at)?;
    match budget.checked_sub(bytes.len() as u64) {
        Some(left) => *budget = left,
        None => return Err(format!("{}: the chart is too large", path.display())),
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

fn walk(
    directory: &Path,
    root: &Path,
    inner: &str,
    rules: &Rules,
    budget: &mut u64,
    files: &mut Files,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("{}: directories are nested too deeply", directory.display()));
    }
    let at = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(at)? {
        names.push(entry.map_err(at)?.file_name());
    }
    names.sort();
    for name in names {
        let path = directory.join(&name);
        let Some(name) = name.to_str() else { continue };
        let inner = if inner.is_empty() { name.to_owned() } else { format!("{inner}/{name}") };
        // A link that leads out of the chart would show what its author may not see.
        let Ok(real) = fs::canonicalize(&path) else { continue };
        if !real.starts_with(root) {
            continue;
        }
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if rules.ignores(&inner, metadata.is_dir()) {
            continue;
        }
        if metadata.is_dir() {
            walk(&path, root, &inner, rules, budget, files, depth + 1)?;
        } else if metadata.is_file() {
            if files.len() >= MAX_FILES {
                return Err(format!("{}: the chart has too many files", directory.display()));
            }
            files.push((inner, read_file(&path, budget)?));
        }
    }
    Ok(())
}
