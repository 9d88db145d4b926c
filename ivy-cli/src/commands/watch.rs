//! Commands that repeat.

use std::str::FromStr;
use std::time::Duration;

use crate::duration::{self, InvalidDuration};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The interval if none is given.
pub(super) const DEFAULT: &str = "2s";
/// The shortest interval, so that a typing error does not load a server.
const SHORTEST: Duration = Duration::from_millis(100);

/// The interval of a command that repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(Duration);

impl FromStr for Interval {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        Ok(Interval(duration::parse(text)?.max(SHORTEST)))
    }
}

impl Interval {
    pub(super) const fn get(self) -> Duration {
        self.0
    }

    /// Looks again and again, as long as somebody reads the output: `look` first waits for the time
    /// that it is given, and then looks. If the first look fails, so does the command. Later failures
    /// are printed, because the next look may succeed.
    pub(super) async fn repeat(
        self,
        output: &Output,
        mut look: impl AsyncFnMut(Duration) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        look(Duration::ZERO).await?;
        while output.has_reader() {
            if let Err(failure) = look(self.0).await {
                output.complain(&failure);
            }
        }
        Ok(Exit::Done)
    }
}

/// Whether to repeat a command.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchOptions {
    /// Repeat at this interval, 2s by default, until Ctrl-C. A look that fails is repeated as well
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT,
    )]
    watch: Option<Interval>,
}

impl WatchOptions {
    /// The interval at which to repeat the command, if it is to be repeated.
    pub(super) fn interval(&self) -> Option<Interval> {
        self.watch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_a_minimum() {
        for (text, millis) in [("0s", 100), ("1ms", 100), ("100ms", 100), ("3s", 3000)] {
            assert_eq!(text.parse(), Ok(Interval(Duration::from_millis(millis))), "{text}");
        }
    }
}
