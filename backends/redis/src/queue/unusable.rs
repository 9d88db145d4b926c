//! Elements that no worker can handle.

use ivy_proto::QueueName;
use ivy_proto::queue::Fault;

/// Why an element is not returned as a message. Its `Display` text names the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It has no id and no counts.
    #[error("an element that is not a message of ivy")]
    NotAMessage,
    /// Its body is larger than one that a worker could post to the dead-letter queue.
    #[error("a message of more than 256 KiB")]
    LargeBody,
    /// It is larger than a reply may contain, so its content is unknown.
    #[error("an element of more than 1 MiB")]
    Unreadable,
}

impl Unusable {
    /// The warning that it was moved to the dead-letter queue.
    pub(crate) fn moved(self, queue: &QueueName) -> String {
        format!(
            "queue {queue}: {self} was moved to the dead-letter queue; find out which program writes to the \
             queue"
        )
    }

    /// The warning that it could not be moved to the dead-letter queue.
    pub(crate) fn not_moved(self, queue: &QueueName, fault: &Fault) -> String {
        format!(
            "queue {queue}: {self} could not be moved to the dead-letter queue, which is tried again when its \
             lease ends: {fault}"
        )
    }

    /// The warning that it could not be moved to the dead-letter queue, because this key contains
    /// something other than a list.
    pub(crate) fn refused_by(self, queue: &QueueName, key: &str) -> String {
        format!(
            "queue {queue}: {self} could not be moved to the dead-letter queue, because the key {key} contains \
             other data; rename that key, and the element is moved after its lease has ended"
        )
    }
}
