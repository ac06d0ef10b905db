//! The report as Markdown, JSON and HTML: one shape, three writers.

mod graph;
mod html;
mod markdown;
pub(super) mod shape;
mod text;

pub use html::write_html;
pub use markdown::write_markdown;
pub(in crate::output) use markdown::{code, plain};
pub(in crate::output) use text::stays as why_kept;

use std::io;

use super::json::{ContextFailure, contexts_shape, write_document};
use crate::grants::Grants;
use crate::report::Report;

/// Writes the report as JSON.
///
/// # Errors
/// When `out` does.
pub fn write_json(out: &mut dyn io::Write, grants: &Grants<'_>, report: &Report<'_>) -> io::Result<()> {
    write_document(out, &shape::shape(grants, report))
}

/// Writes the reports on several clusters as JSON, each under its name.
///
/// # Errors
/// When `out` does.
pub fn write_json_of_each(
    out: &mut dyn io::Write,
    reports: &[(&Grants<'_>, &Report<'_>)],
    failures: &[ContextFailure],
) -> io::Result<()> {
    let shapes = reports.iter().map(|(grants, report)| (grants.inventory(), shape::shape(grants, report)));
    write_document(out, &contexts_shape(shapes, failures))
}
