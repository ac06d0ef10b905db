//! How grave findings are.

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Changes nothing today: unbound, dead, owned by the server, or already everything.
    Note,
    /// An effective legacy grant, or a constrained one that cannot work.
    Warning,
    /// An effective legacy grant that reaches any identity of a kind, or `system:masters`.
    Error,
}

impl Severity {
    /// All severities, the gravest first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];

    /// The severity's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
