//! Exceptions that accept nothing.

use super::prelude::*;

/// See `rules/unused-accept.md`. [`crate::triage`] finds them.
#[derive(Debug)]
pub struct UnusedAccept;

impl Rule for UnusedAccept {
    fn id(&self) -> &'static str {
        "unused-accept"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unused-accept.md"))
    }

    fn is_about_grants(&self) -> bool {
        false
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }
}
