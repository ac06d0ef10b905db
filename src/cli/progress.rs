//! How far it is, for whoever waits at a terminal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Who waits longer than this is shown how far it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on standard error, where that is a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    start: Instant,
    shown: AtomicBool,
}

impl Progress {
    /// Of so many bytes; none where that is not known.
    pub(super) fn of_bytes(bytes: Option<u64>) -> Self {
        let template = match bytes {
            Some(_) => "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{bytes} read, {bytes_per_sec}",
        };
        Self::new(bytes, template, String::new())
    }

    /// Of objects of something that is named, of which nobody knows how many there are.
    #[cfg(feature = "cluster")]
    pub(super) fn of_objects(name: &str) -> Self {
        Self::new(None, "{msg}: {human_pos} objects read, {per_sec}", name.to_owned())
    }

    fn new(length: Option<u64>, template: &str, message: String) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden()).with_message(message);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, start: Instant::now(), shown: AtomicBool::new(false) }
    }

    /// There is more. Called from many threads.
    pub(super) fn add(&self, more: u64) {
        self.bar.inc(more);
        if self.start.elapsed() > PATIENCE && !self.shown.swap(true, Ordering::Relaxed) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// There is no more, and the line goes away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
