//! Failures about queues that do not exist.

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
    if is_missing { no_queue(ivy, queue).await } else { Failure::from(error) }
}

/// The failure that there is no queue of this name.
pub(super) async fn no_queue(ivy: &Ivy, queue: &str) -> Failure {
    // Without the names, the failure is still the right one.
    let names = ivy.admin().list("").await.unwrap_or_default();
    let hint = match nearest(queue, names.iter().map(|name| name.as_str())) {
        Some(name) => format!("did you mean {name}?"),
        None => "`ivy ls` lists the queues; a queue is created by its first message".to_owned(),
    };
    Failure::new(Exit::NothingFound, format!("there is no queue {queue}; {hint}"))
}
