//! Commands side by side.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Wall time of a command; none if it cannot be started.
pub fn run(command: &mut Command) -> Option<Duration> {
    let start = Instant::now();
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(start.elapsed())
}

pub fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
