//! What could not be read as it should be. A problem never goes unsaid: it is shown, and unless it
//! is a mere warning the command ends with exit status 2.

use std::sync::Arc;

use crate::syntax::Place;

/// Something in the input that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub path: Arc<str>,
    /// The place in it; none where the whole file is meant.
    pub place: Option<Place>,
    /// The class of problem.
    pub kind: ProblemKind,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Classes of problems, by which they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// A file or directory could not be opened or read.
    Unreadable,
    /// A file is larger than the bound.
    TooLarge,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A document that is neither YAML nor a template.
    Syntax,
    /// A document whose aliases stand for too much.
    Expansion,
    /// A field of an RBAC object has the wrong type or a missing value: the API server refuses the object.
    WrongType,
    /// The same key twice in one mapping: readers differ in which one they take.
    DuplicateKey,
    /// A document that readers may read differently: it leaves the subset of YAML in which they agree.
    Ambiguous,
    /// A snapshot of a cluster among other files: what it says of the cluster is not used.
    UntrustedSnapshot,
    /// A null where a list or a string belongs: the API server reads it as empty.
    Null,
    /// A file that was to be edited, and is written in a way that does not allow it.
    NotEditable,
    /// Objects of a cluster that its API server would not give.
    NotListed,
    /// The configuration file is wrong.
    Configuration,
    /// Part of a cluster that was left out on purpose, or known not to be of one piece.
    Limited,
    /// A log without any audit event.
    NoEvents,
}

impl ProblemKind {
    /// Whether the input was understood all the same, so that the exit status need not say so.
    pub fn is_warning(self) -> bool {
        matches!(self, Self::Null | Self::Limited | Self::NoEvents)
    }

    /// The kind as the JSON output has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too-large",
            Self::NotUtf8 => "not-utf-8",
            Self::Syntax => "syntax",
            Self::Expansion => "expansion",
            Self::WrongType => "wrong-type",
            Self::DuplicateKey => "duplicate-key",
            Self::Ambiguous => "ambiguous",
            Self::UntrustedSnapshot => "untrusted-snapshot",
            Self::Null => "null",
            Self::NotEditable => "not-editable",
            Self::NotListed => "not-listed",
            Self::Configuration => "configuration",
            Self::Limited => "limited",
            Self::NoEvents => "no-events",
        }
    }

    /// Returns how many there are of the kind, as a summary says it: `1 broken document`, `2 broken documents`.
    pub fn count(self, number: usize) -> String {
        let (one, many) = match self {
            Self::Unreadable => ("unreadable file", "unreadable files"),
            Self::TooLarge => ("file that is too large", "files that are too large"),
            Self::NotUtf8 => ("file that is not UTF-8", "files that are not UTF-8"),
            Self::Syntax => ("broken document", "broken documents"),
            Self::Expansion => ("alias bomb", "alias bombs"),
            Self::WrongType => ("malformed field", "malformed fields"),
            Self::DuplicateKey => ("duplicate key", "duplicate keys"),
            Self::Ambiguous => ("ambiguous document", "ambiguous documents"),
            Self::UntrustedSnapshot => ("snapshot among other files", "snapshots among other files"),
            Self::Null => ("null value", "null values"),
            Self::NotEditable => ("file that cannot be edited", "files that cannot be edited"),
            Self::NotListed => ("kind that could not be listed", "kinds that could not be listed"),
            Self::Configuration => ("error in the configuration", "errors in the configuration"),
            Self::Limited => ("limit of what was read", "limits of what was read"),
            Self::NoEvents => ("log without events", "logs without events"),
        };
        format!("{number} {}", if number == 1 { one } else { many })
    }
}
