//! What `ivy ls` and `ivy stats` have in common: they look at queues and, if it is requested, at the
//! workers that are heard, once or again and again.

use std::time::Duration;

use ivy_proto::presence::Heard;
use ivy_tokio::{Error, Ivy};

use super::CommonOptions;
use super::heard::{ListenOptions, note_unheard};
use super::watch::WatchOptions;
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output};

/// Whether to listen, and whether to repeat.
#[derive(Debug, clap::Args)]
pub(crate) struct OverviewOptions {
    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

impl OverviewOptions {
    /// Looks once, or at each interval. `show` looks at the queues and prints what it finds, with
    /// the workers that were heard if somebody listened. It returns why some queues are missing.
    pub(super) async fn run(
        &self,
        show: impl AsyncFn(&Ivy, Option<&Heard>, &Output) -> Result<Option<Error>, Failure>,
    ) -> Result<Exit, Failure> {
        let common = &self.common;
        let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
        let mut listening = self.listen.start(&ivy, &output);
        let interval = self.watch.interval();
        let mut look = async |wait| {
            let heard = listening.hear(wait).await;
            if interval.is_some() {
                output.refresh()?;
            }
            let missing = show(&ivy, heard.as_ref().ok().and_then(Option::as_ref), &output).await?;
            conclude(missing, heard.err(), &output)
        };
        match interval {
            Some(interval) => interval.repeat(&output, look).await,
            None => look(Duration::ZERO).await,
        }
    }
}

/// Prints what is missing from the result.
fn conclude(
    queues: Option<Error>,
    workers: Option<Failure>,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    if let Some(error) = queues {
        let text = format!("some queues could not be asked; the first failure: {error}");
        output.note(&Note::new(text))?;
        exit = Exit::DoneInPart;
    }
    if let Some(failure) = workers {
        exit = note_unheard(&failure, output)?;
    }
    Ok(exit)
}
