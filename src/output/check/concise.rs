//! One line a finding, as compilers write them: editors and log viewers make links of the places.

use std::io::{self, Write};

use super::CheckRun;
use super::place::position;
use crate::output::escape;

/// Writes `path:line:column: severity[rule] message` for each finding.
pub(super) fn write(out: &mut dyn Write, run: &CheckRun<'_>) -> io::Result<()> {
    for world in &run.worlds {
        for finding in world.findings() {
            let at = position(world, finding);
            let (severity, rule) = (finding.severity.as_str(), finding.rule);
            writeln!(out, "{}: {severity}[{rule}] {}", escape(&at), escape(&finding.message))?;
        }
    }
    Ok(())
}
