//! Listening for workers.

use std::time::Duration;

use ivy_proto::inspect::Span;
use ivy_proto::presence::{Heard, LISTEN_FOR};
use ivy_tokio::{Ivy, WorkerWatch};

use crate::duration;
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output};

/// How long to listen by default: [`LISTEN_FOR`].
pub(super) const LISTEN: &str = "16s";

/// What a worker that is not heard may be doing.
pub(super) const SILENCE: &str = "\
a worker that is not heard may still run: with its presence turned off; with another notifier, \
notification channel or key; with an older version; or without a connection to its notifier";

/// Whether to listen for workers beside another command.
#[derive(Debug, clap::Args)]
pub(crate) struct ListenOptions {
    /// Listen for workers as well, for 16s by default, and show what they do. In a shorter time some
    /// may not be heard
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = LISTEN,
        value_parser = duration::parse,
    )]
    workers: Option<Duration>,
}

impl ListenOptions {
    /// Prepares to listen, if that was requested.
    pub(super) fn start(&self, ivy: &Ivy, output: &Output) -> Listening {
        let Some(duration) = self.workers else { return Listening(None) };
        warn_if_short(duration, output);
        let watch = ivy.watch_workers().map_err(Failure::from);
        Listening(Some(Subscription { watch, remaining: duration }))
    }

    /// Listens, if that was requested.
    pub(super) async fn hear(&self, ivy: &Ivy, output: &Output) -> Result<Option<Heard>, Failure> {
        self.start(ivy, output).hear(Duration::ZERO).await
    }
}

/// Listens for workers and remembers what it heard, if that was requested.
#[derive(Debug)]
pub(super) struct Listening(Option<Subscription>);

#[derive(Debug)]
struct Subscription {
    watch: Result<WorkerWatch, Failure>,
    /// How long to listen before the first result is shown.
    remaining: Duration,
}

impl Listening {
    /// Waits for this long, the first time for as long as was requested, and listens meanwhile.
    /// Returns all that was heard so far; `None` if nobody was to listen.
    pub(super) async fn hear(&mut self, wait: Duration) -> Result<Option<Heard>, Failure> {
        match &mut self.0 {
            Some(Subscription { watch: Ok(watch), remaining }) => {
                let wait = std::mem::take(remaining).max(wait);
                Ok(Some(watch.listen(wait).await?))
            }
            Some(Subscription { watch: Err(failure), .. }) => {
                tokio::time::sleep(wait).await;
                Err(failure.clone())
            }
            None => {
                tokio::time::sleep(wait).await;
                Ok(None)
            }
        }
    }
}

/// Warns that some workers are not heard in so short a time.
pub(super) fn warn_if_short(duration: Duration, output: &Output) {
    if duration < LISTEN_FOR {
        output.note_aside(&Note::new(format!(
            "within {} not every worker is heard: each publishes at least every 15 s; listen for {LISTEN} or longer",
            Span(duration)
        )));
    }
}

/// Prints why a result contains nothing about workers. Returns the exit code of a command whose
/// result is complete otherwise.
pub(super) fn note_unheard(failure: &Failure, output: &Output) -> Result<Exit, Failure> {
    output.note(&Note::new(format!("nothing is shown of workers: {failure}")))?;
    Ok(match failure.exit {
        Exit::UsageError => Exit::UsageError,
        _ => Exit::DoneInPart,
    })
}

/// Publications on the presence channel that could not be read, if there are any.
pub(super) fn ignored(heard: &Heard) -> Option<String> {
    let why = heard.last_ignored.as_ref()?;
    Some(format!(
        "{} publications on the presence channel could not be read, the last one because it is {why}; \
         check that this program and the workers use the same channel, keys and version",
        heard.ignored
    ))
}

/// How many workers were heard, and for how long somebody listened.
pub(super) fn summary(heard: &Heard) -> String {
    let listened = Span(heard.listened);
    match heard.workers.len() {
        0 => format!("no worker was heard in {listened}"),
        1 => format!("1 worker was heard in {listened}"),
        workers => format!("{workers} workers were heard in {listened}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_every_worker_is_heard() {
        assert_eq!(duration::parse(LISTEN), Ok(LISTEN_FOR));
    }
}
