//! The progress of long work.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on standard error. Nothing is drawn unless that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts a bar with this label.
    pub(crate) fn start(label: &'static str) -> Self {
        let bar = ProgressBar::no_length().with_message(label);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// Changes the label.
    pub(crate) fn label(&self, label: &'static str) {
        self.0.set_message(label);
    }

    /// Removes the bar until the next progress, to make room for a question.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
        self.0.reset();
    }

    /// Prints something beside the bar.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }

    /// Shows how much is done, of how much if that is known.
    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
