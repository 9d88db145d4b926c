//! The dead-letter queues that `ivy dead ls` looks at.

use ivy_proto::QueueName;
use ivy_proto::admin::Glob;
use ivy_tokio::{FaultKind, Ivy};

use crate::commands::dead::dead_queue;
use crate::commands::queue_not_found;
use crate::exit::{Exit, Failure, fault_kind};

/// Which dead-letter queues are meant.
#[derive(Clone, Debug)]
pub(super) enum Queues {
    All,
    /// Those whose names match, or those of the queues whose names match.
    Matching(Glob),
    One(QueueName),
}

impl Queues {
    /// Parses the name of a queue, or a pattern.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.contains(['*', '?']) {
            return text.parse().map(Queues::Matching).map_err(|error| format!("{error}"));
        }
        QueueName::new(text).map(Queues::One).map_err(|error| error.to_string())
    }

    /// Their names.
    pub(super) async fn names(&self, ivy: &Ivy) -> Result<Vec<QueueName>, Failure> {
        let is_meant = |dead: &QueueName| {
            let Some(live) = dead.of_dead_letters() else { return false };
            match self {
                Queues::Matching(glob) => {
                    glob.matches(live.as_str()) || glob.matches(dead.as_str())
                }
                Queues::All | Queues::One(_) => true,
            }
        };
        if let Queues::One(queue) = self {
            return one(ivy, queue).await;
        }
        let mut queues = ivy.admin().list("").await?;
        queues.retain(is_meant);
        if queues.is_empty() && matches!(self, Queues::Matching(_)) {
            let text = "no dead-letter queue matches; `ivy dead ls` lists all";
            return Err(Failure::new(Exit::NothingFound, text));
        }
        Ok(queues)
    }
}

/// The dead-letter queue that a user names, if it exists. A queue without dead letters has none.
async fn one(ivy: &Ivy, queue: &QueueName) -> Result<Vec<QueueName>, Failure> {
    let dead = dead_queue(queue)?;
    let Err(error) = ivy.admin().info(dead.as_str()).await else { return Ok(vec![dead]) };
    if fault_kind(&error) != Some(FaultKind::NoQueue) {
        return Err(error.into());
    }
    let live = dead.of_dead_letters().unwrap_or_else(|| dead.clone());
    match ivy.admin().info(live.as_str()).await {
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(queue_not_found::explain(ivy, live.as_str(), error).await),
    }
}
