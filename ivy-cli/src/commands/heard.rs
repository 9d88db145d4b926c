//! Listening for workers.

use std::time::Duration;

use ivy_proto::inspect::Span;
use ivy_proto::presence::Heard;
use ivy_tokio::{Ivy, WorkerWatch};
use tokio::sync::Mutex;

use crate::duration;
use crate::exit::Failure;

/// How long to listen by default: a worker publishes at least every 15 s.
pub(super) const LISTEN: &str = "16s";

/// What a worker that is not heard may be doing.
pub(super) const SILENCE: &str = "\
a worker that is not heard may still run: with its presence turned off; with another notifier, \
notification channel or key; with an older version; or without a connection to its notifier";

/// Whether to listen for workers beside another command.
#[derive(Debug, clap::Args)]
pub(crate) struct ListenOptions {
    /// Listen for workers as well, for 16s by default, and show what they do
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
    pub(super) fn start(&self, ivy: &Ivy) -> Result<Option<Listening>, Failure> {
        let Some(duration) = self.workers else { return Ok(None) };
        let subscription = Subscription { watch: ivy.watch_workers()?, remaining: duration };
        Ok(Some(Listening(Mutex::new(subscription))))
    }

    /// Listens, if that was requested.
    pub(super) async fn hear(&self, ivy: &Ivy) -> Result<Option<Heard>, Failure> {
        heard(self.start(ivy)?.as_ref()).await
    }
}

/// A subscription that remembers what was heard, for commands that repeat.
#[derive(Debug)]
pub(super) struct Listening(Mutex<Subscription>);

#[derive(Debug)]
struct Subscription {
    watch: WorkerWatch,
    /// How long the next call listens: only the first one waits.
    remaining: Duration,
}

impl Listening {
    /// What was heard: the first time after the requested duration, and then at once.
    pub(super) async fn heard(&self) -> Result<Heard, Failure> {
        let mut subscription = self.0.lock().await;
        let duration = std::mem::take(&mut subscription.remaining);
        Ok(subscription.watch.listen(duration).await?)
    }
}

/// What was heard, if somebody listened.
pub(super) async fn heard(listening: Option<&Listening>) -> Result<Option<Heard>, Failure> {
    match listening {
        Some(listening) => listening.heard().await.map(Some),
        None => Ok(None),
    }
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
