//! Paths to documents: which files are read, how much of them, and where one document ends and the
//! next begins.
//!
//! Input is hostile. Nothing outside the given paths is opened (but files of a chart of which templates were given: its values,
//! and the code that may change them), nothing that is not a regular file (unless the user named it), and no file beyond
//! [`Limits::max_file_bytes`] is held in memory.

mod discover;
mod packed;
mod patterns;
mod prefilter;
mod read;
mod revision;
mod split;
mod template;

pub(crate) use discover::is_named_like_a_manifest;
pub use discover::{Discovered, LeaveOut, Skipped, discover, is_kustomization};
pub use packed::unpack;
pub use patterns::{PathFilter, Patterns};
pub use prefilter::{may_become_rbac, may_hide, may_hold_rbac, may_read_files};
pub use read::{FileText, ReadError, read_file, read_stream};
pub use revision::Repository;
pub use split::{Piece, line_breaks_of_go, split_documents};
pub use template::{TemplateLanguage, template_language};

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name under which standard input is reported.
pub const STDIN: &str = "-";

/// Bounds on what is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
}

impl Limits {
    /// The largest bound that may be set: places are 32-bit.
    pub const MAX_FILE_BYTES: u64 = 1 << 31;
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_file_bytes: 256 << 20 }
    }
}

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where the bytes are; none for standard input.
    pub file: Option<PathBuf>,
    /// The name by which the user knows it, with `/` between its parts.
    pub name: Arc<str>,
    /// Whether the user named this very file. Such a file is always parsed.
    pub explicit: bool,
    /// Whether it can be read only once: standard input, or a pipe that the user named.
    pub is_stream: bool,
    /// Whether it is read only because its place or its name says that it is a template: it may be no YAML at all.
    pub is_template: bool,
    /// Whether it stands below a directory of templates, which may read other files of their chart.
    pub in_templates: bool,
}

impl Input {
    /// Standard input.
    pub fn stdin() -> Self {
        let name = Arc::from(STDIN);
        Self { file: None, name, explicit: true, is_stream: true, is_template: false, in_templates: false }
    }

    /// A file below a directory that was given.
    pub(crate) fn found(path: PathBuf, in_templates: bool) -> Self {
        let name = display_name(&path);
        Self { file: Some(path), name, explicit: false, is_stream: false, is_template: false, in_templates }
    }

    /// A file that another one names, by the name that it has beside that one. Like one that was given, it is parsed.
    pub(crate) fn of_another(path: PathBuf, name: &str) -> Self {
        let in_templates = discover::is_in_templates(&path);
        Self { name: Arc::from(name), explicit: true, ..Self::found(path, in_templates) }
    }

    /// A file below a directory that was given, read because it belongs to the templates of a chart, or its name says that
    /// manifests are made of it.
    fn found_template(path: PathBuf, in_templates: bool) -> Self {
        Self { is_template: true, ..Self::found(path, in_templates) }
    }

    /// A file that was given.
    pub fn named(path: PathBuf, is_stream: bool) -> Self {
        let in_templates = std::path::absolute(&path).is_ok_and(|path| discover::is_in_templates(&path));
        Self { explicit: true, is_stream, ..Self::found(path, in_templates) }
    }
}

/// The name of a path in reports: relative as given, without a leading `./`, `/` between its parts.
pub(crate) fn display_name(path: &Path) -> Arc<str> {
    let name = path.to_string_lossy();
    let name =
        if std::path::MAIN_SEPARATOR == '/' { name } else { name.replace(std::path::MAIN_SEPARATOR, "/").into() };
    let mut name: &str = &name;
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    Arc::from(if name.is_empty() { "." } else { name })
}
