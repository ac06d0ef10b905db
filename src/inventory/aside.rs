//! What was not looked at and is no part of a template, so that it does not go unsaid.

use std::sync::Arc;

/// Something that was not looked at, or not understood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aside {
    /// The file.
    pub path: Arc<str>,
    /// The line; none where the whole file is meant.
    pub line: Option<u32>,
    /// Why: what is not known, in words.
    pub reason: String,
}

impl Aside {
    /// Something that stands in a file.
    pub(super) fn at(path: &Arc<str>, line: u32, reason: String) -> Self {
        Self { path: Arc::clone(path), line: Some(line), reason }
    }
}
