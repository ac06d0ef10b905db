//! Paths with slashes.

use super::{Arguments, Outcome};

/// `path.Clean`
fn cleaned(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

pub(super) fn clean(arguments: &Arguments<'_>) -> Outcome {
    Ok(cleaned(arguments.str(0)?).into())
}

pub(super) fn base(arguments: &Arguments<'_>) -> Outcome {
    let path = arguments.str(0)?;
    let trimmed = path.trim_end_matches('/');
    Ok(match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => ".".into(),
        (false, true) => "/".into(),
        (false, false) => trimmed.rsplit('/').next().unwrap_or(trimmed).into(),
    })
}

pub(super) fn dir(arguments: &Arguments<'_>) -> Outcome {
    let path = arguments.str(0)?;
    let end = path.rfind('/').map_or(0, |at| at + 1);
    Ok(cleaned(&path[..end]).into())
}

pub(super) fn ext(arguments: &Arguments<'_>) -> Outcome {
    let path = arguments.str(0)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok(name.rfind('.').map_or("", |at| &name[at..]).into())
}

pub(super) fn is_abs(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.str(0)?.starts_with('/').into())
}
