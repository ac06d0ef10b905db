//! Exceptions that have ended.

use super::prelude::*;

/// See `rules/expired-accept.md`. [`crate::triage`] finds them.
#[derive(Debug)]
pub struct ExpiredAccept;

impl Rule for ExpiredAccept {
    fn id(&self) -> &'static str {
        "expired-accept"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/expired-accept.md"))
    }

    fn is_about_grants(&self) -> bool {
        false
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }
}
