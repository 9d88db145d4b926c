//! Failures about queues that do not exist.

use ivy_proto::QueueName;
use ivy_proto::inspect::nearest;
use ivy_tokio::{Error, FaultKind, Ivy};

use crate::exit::{Exit, Failure, fault_kind};

/// Describes the failure of a request about a queue. If the queue does not exist, that includes the
/// name that was probably meant.
pub(super) async fn explain(ivy: &Ivy, queue: &str, error: Error) -> Failure {
    let is_missing = match fault_kind(&error) {
        Some(FaultKind::NoQueue) => true,
        // Some servers do not distinguish a missing queue from a missing message.
        Some(FaultKind::NoMessage) => {
            let info = ivy.admin().info(queue).await;
            info.is_err_and(|error| fault_kind(&error) == Some(FaultKind::NoQueue))
        }
        _ => false,
    };
    match fault_kind(&error) {
        _ if is_missing => no_queue(ivy, queue).await,
        Some(FaultKind::NoMessage) => Failure::new(
            Exit::NothingFound,
            format!(
                "the message is not in queue {queue}: it was done or deleted, or is in another queue, such \
                 as that of a priority, {queue}.p9, or that of dead letters"
            ),
        ),
        _ => Failure::from(error),
    }
}

/// The failure that there is no queue of this name.
pub(super) async fn no_queue(ivy: &Ivy, queue: &str) -> Failure {
    // Without the names, the failure is still the right one.
    let names = ivy.admin().list("").await.unwrap_or_default();
    Failure::new(Exit::NothingFound, text(queue, &names))
}

fn text(queue: &str, names: &[QueueName]) -> String {
    let Some(live) = QueueName::new(queue).ok().and_then(|queue| queue.of_dead_letters()) else {
        let hint = match nearest(queue, names.iter().map(QueueName::as_str)) {
            Some(name) => format!("did you mean {name}?"),
            None => "`ivy ls` lists the queues; a queue is created by its first message".to_owned(),
        };
        return format!("there is no queue {queue}; {hint}");
    };
    if live.of_dead_letters().is_some() {
        return format!(
            "there is no queue {queue}: {live} is a dead-letter queue, which has none of its own"
        );
    }
    if names.contains(&live) {
        return format!("queue {live} has no dead letters");
    }
    // What is similar in all names of dead-letter queues says nothing.
    let others: Vec<QueueName> = names.iter().filter_map(QueueName::of_dead_letters).collect();
    let hint = match nearest(live.as_str(), others.iter().map(QueueName::as_str)) {
        Some(name) => format!("did you mean {name}.dead?"),
        None => "`ivy dead ls` lists the dead letters".to_owned(),
    };
    format!("there is no queue {live}, and no queue {queue}; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_queue_is_explained_by_the_others() {
        let names: Vec<QueueName> = ["c", "d", "d.dead", "mail", "reports.dead"]
            .iter()
            .map(|name| QueueName::new(name).unwrap())
            .collect();
        for (queue, expected) in [
            ("mial", "there is no queue mial; did you mean mail?"),
            ("x", "`ivy ls` lists the queues"),
            ("c.dead", "queue c has no dead letters"),
            ("e.dead", "there is no queue e, and no queue e.dead; `ivy dead ls` lists"),
            ("report.dead", "did you mean reports.dead?"),
            ("d.dead.dead", "there is no queue d.dead.dead: d.dead is a dead-letter queue"),
        ] {
            assert!(text(queue, &names).contains(expected), "{queue}: {}", text(queue, &names));
        }
    }
}
