//! Commands that repeat.

use std::time::Duration;

use crate::duration;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The shortest interval, so that a typing error does not load a server.
const SHORTEST: Duration = Duration::from_millis(100);

/// Whether to repeat a command.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchOptions {
    /// Repeat at this interval, 2s by default, until Ctrl-C
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        value_parser = duration::parse,
    )]
    watch: Option<Duration>,
}

impl WatchOptions {
    /// The interval at which to repeat the command, if it is to be repeated.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watch.map(|interval| interval.max(SHORTEST))
    }

    /// Runs a command once, or at each interval until it fails.
    pub(super) async fn repeat(
        &self,
        output: &Output,
        command: impl AsyncFn() -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let Some(interval) = self.interval() else { return command().await };
        loop {
            output.refresh()?;
            command().await?;
            tokio::time::sleep(interval).await;
        }
    }
}
