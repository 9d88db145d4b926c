//! The progress of long work.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on standard error. Nothing is drawn unless that is a terminal, and before there is
/// progress.
#[derive(Debug)]
pub(crate) struct Progress {
    label: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar with this label.
    pub(crate) fn new(label: &'static str) -> Self {
        Progress { label, bar: None }
    }

    /// Changes the label.
    pub(crate) fn label(&mut self, label: &'static str) {
        self.label = label;
        if let Some(bar) = &self.bar {
            bar.set_message(label);
        }
    }

    /// Removes the bar until the next progress, to make room for a question.
    pub(crate) fn clear(&mut self) {
        // A bar that was reset would be drawn again at once, in front of what is printed next.
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Prints something beside the bar.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Shows how much is done, of how much if that is known.
    pub(crate) fn set(&mut self, done: u64, total: Option<u64>) {
        let label = self.label;
        let bar = self.bar.get_or_insert_with(|| bar(label));
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(label: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length().with_message(label);
    match ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_bar_is_not_drawn_until_the_next_progress() {
        let mut progress = Progress::new("looking");
        progress.set(1, Some(2));
        let drawn = progress.bar.clone().unwrap();
        progress.clear();
        assert!(drawn.is_finished() && progress.bar.is_none());
        progress.label("working");
        progress.set(1, Some(2));
        assert_eq!(progress.bar.as_ref().unwrap().message(), "working");
    }
}
