//! Looks at queues and listens for workers.

use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::metrics::{Backends, QueueGauge, QueueGauges};
use ivy_proto::presence::{Heard, LISTEN_FOR};
use ivy_tokio::{Ivy, WorkerWatch};

use super::pages::Look;
use crate::commands::queues::{Queue, ask_ages, ask_sizes, fold};
use crate::commands::stats::is_priority_of;
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output};

/// Looks at the same queues again and again.
pub(super) struct Looks<'a> {
    ivy: Ivy,
    /// Only these, unless there are none.
    wanted: &'a [QueueName],
    backends: Option<Backends>,
    watch: Option<WorkerWatch>,
}

impl<'a> Looks<'a> {
    pub(super) async fn new(ivy: Ivy, wanted: &'a [QueueName], output: &Output) -> Self {
        let watch = ivy.watch_workers().map_err(Failure::from);
        if let Err(failure) = &watch {
            output.note_aside(&Note::new(format!("nothing is said of workers: {failure}")));
        }
        let backends = ivy.metrics().await.backends;
        Looks { ivy, wanted, backends, watch: watch.ok() }
    }

    /// Looks at once.
    ///
    /// # Errors
    /// If the next look would fail as well, because the backend cannot do it or the configuration is
    /// wrong.
    pub(super) async fn first(&self, output: &Output) -> Result<Look, Failure> {
        let look = self.look(None).await;
        match look.failure {
            Some(failure) if matches!(failure.exit, Exit::Unsupported | Exit::UsageError) => {
                Err(failure)
            }
            _ => Ok(reported(look, output)),
        }
    }

    /// Waits for this long, listens meanwhile, and looks.
    pub(super) async fn next(&mut self, wait: Duration, output: &Output) -> Look {
        let heard = match &mut self.watch {
            Some(watch) => {
                let begun = tokio::time::Instant::now();
                let heard = watch.listen(wait).await;
                // It does not wait after some failures.
                tokio::time::sleep_until(begun + wait).await;
                heard.map(Some)
            }
            None => {
                tokio::time::sleep(wait).await;
                Ok(None)
            }
        };
        let mut look = self.look(heard.as_ref().ok().and_then(Option::as_ref)).await;
        look.failure = look.failure.or(heard.err().map(Failure::from));
        reported(look, output)
    }

    async fn look(&self, heard: Option<&Heard>) -> Look {
        let mut gauges = QueueGauges::default();
        gauges.backends = self.backends;
        let failure = match self.queues().await {
            Ok(mut queues) => {
                let error = ask_sizes(&self.ivy, &mut queues).await;
                let error = error.or(ask_ages(&self.ivy, &mut queues).await);
                let known = queues.iter().map(|queue| (queue.name.clone(), gauge(queue)));
                gauges.queues = known.collect();
                error.map(Failure::from)
            }
            Err(failure) => Some(failure),
        };
        // Before that time, a worker may not have been heard yet.
        if let Some(heard) = heard.filter(|heard| heard.up >= LISTEN_FOR) {
            let by_queue = heard.by_queue();
            // A record that could not be opened may be of a worker of any queue.
            if heard.ignored == 0 {
                for gauge in gauges.queues.values_mut() {
                    gauge.workers_heard = Some(0);
                }
            }
            for (queue, activity) in by_queue.into_iter().filter(|(queue, _)| self.is_wanted(queue))
            {
                gauges.queues.entry(queue).or_default().workers_heard = Some(activity.workers);
            }
        }
        Look { gauges, failure }
    }

    /// The queues that are wanted and exist.
    async fn queues(&self) -> Result<Vec<Queue>, Failure> {
        let mut names = Vec::new();
        if self.wanted.is_empty() {
            names = self.ivy.admin().list("").await?;
        }
        for queue in self.wanted {
            names.extend(self.ivy.admin().list(queue.as_str()).await?);
        }
        let mut queues = fold(names, |name| self.is_wanted(name));
        queues.retain(|queue| self.is_wanted(&queue.name));
        Ok(queues)
    }

    fn is_wanted(&self, name: &QueueName) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|queue| is_priority_of(name, queue))
    }
}

fn gauge(queue: &Queue) -> QueueGauge {
    QueueGauge {
        messages: queue.size,
        head_age: queue.head_age(),
        dead_letters: queue.dead_letters(),
        workers_heard: None,
    }
}

/// Prints why something is unknown.
fn reported(look: Look, output: &Output) -> Look {
    if let Some(failure) = &look.failure {
        output.complain(failure);
    }
    look
}
