//! Bounds on the work that a chart may cause.

/// How much a rendering may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes of templates that are evaluated.
    pub steps: u64,
    /// Bytes of all the texts that are written, those in between included.
    pub bytes: u64,
    /// Templates within templates.
    pub depth: u32,
    /// Bytes of all files of a chart, unpacked.
    pub chart_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 20_000_000, bytes: 1 << 30, depth: 400, chart_bytes: 256 << 20 }
    }
}

pub(super) fn too_long() -> String {
    "the text becomes too long".to_owned()
}
