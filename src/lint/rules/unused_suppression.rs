//! Comments and annotations that hide nothing.

use super::prelude::*;

/// See `rules/unused-suppression.md`. [`crate::triage`] finds them.
#[derive(Debug)]
pub struct UnusedSuppression;

impl Rule for UnusedSuppression {
    fn id(&self) -> &'static str {
        "unused-suppression"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unused-suppression.md"))
    }

    fn is_about_grants(&self) -> bool {
        false
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }
}
