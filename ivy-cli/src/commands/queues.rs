//! Queues with their sizes, as `ivy ls` and `ivy stats` show them.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::admin::Peeked;
use ivy_proto::inspect::{Description, Redaction, Wait};
use ivy_tokio::{Error, Ivy, QueueInfo};

use super::time::now;

/// A queue, with its dead-letter queue unless that has a row of its own.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    /// Whether it exists, or only its dead letters do.
    exists: bool,
    /// Its dead-letter queue, if there is one.
    dead_queue: Option<QueueName>,
    /// The number of messages, if it is known.
    pub(super) size: Option<u64>,
    /// The number of messages ever posted, if the server reports it.
    pub(super) posted: Option<u64>,
    /// The number of dead letters. Unknown if the queue has no dead-letter queue.
    pub(super) dead: Option<u64>,
    /// Whether it could not be asked for its size.
    pub(super) has_failed: bool,
    /// Whether its dead-letter queue could not be asked.
    pub(super) has_dead_failed: bool,
    /// The first message that is ready, if that was requested and is known.
    pub(super) head: Option<Head>,
}

/// The first message of a queue that is ready: neither delayed nor reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// There is none.
    NotReady,
    /// It does not say when it was due, or cannot be read here.
    Undated,
    /// It has been due for this long.
    Due(Duration),
}

impl Queue {
    fn new(name: QueueName) -> Self {
        Queue {
            name,
            exists: false,
            dead_queue: None,
            size: None,
            posted: None,
            dead: None,
            has_failed: false,
            has_dead_failed: false,
            head: None,
        }
    }

    /// How long its first ready message has been due, if that is known.
    pub(super) fn head_age(&self) -> Option<Duration> {
        match self.head {
            Some(Head::Due(age)) => Some(age),
            _ => None,
        }
    }

    /// The number of its dead letters, if it is known: none if it has no dead-letter queue.
    pub(super) fn dead_letters(&self) -> Option<u64> {
        match self.dead_queue {
            Some(_) => self.dead,
            None => Some(0),
        }
    }

    /// Whether it has messages, and none of them is ready.
    pub(super) fn waits_unready(&self) -> bool {
        self.head == Some(Head::NotReady) && self.size.is_some_and(|size| size > 0)
    }
}

/// The queues of these names, in order. A dead-letter queue is folded into the queue that it belongs
/// to if that one is to be shown; otherwise it has a row of its own.
pub(super) fn fold(names: Vec<QueueName>, is_shown: impl Fn(&QueueName) -> bool) -> Vec<Queue> {
    let mut queues: BTreeMap<QueueName, Queue> = BTreeMap::new();
    for name in names {
        let origin = name.of_dead_letters().filter(&is_shown);
        let of = origin.clone().unwrap_or_else(|| name.clone());
        let queue = queues.entry(of.clone()).or_insert_with(|| Queue::new(of));
        match origin {
            Some(_) => queue.dead_queue = Some(name),
            None => queue.exists = true,
        }
    }
    queues.into_values().collect()
}

/// Asks the server for the sizes of these queues. Returns the first failure; what failed stays
/// unknown.
pub(super) async fn ask_sizes(ivy: &Ivy, queues: &mut [Queue]) -> Option<Error> {
    let live = queues.iter().filter(|queue| queue.exists).map(|queue| queue.name.clone());
    let dead = queues.iter().filter_map(|queue| queue.dead_queue.clone());
    let names: Vec<QueueName> = live.chain(dead).collect();
    let mut infos = ivy.admin().info_each(&names).await.into_iter();
    let mut first_failure = None;
    let mut known = |info: Result<QueueInfo, Error>| {
        info.map_err(|error| first_failure.get_or_insert(error)).ok()
    };
    for (queue, info) in queues.iter_mut().filter(|queue| queue.exists).zip(infos.by_ref()) {
        let info = known(info);
        queue.has_failed |= info.is_none();
        queue.size = info.as_ref().and_then(|info| info.size);
        queue.posted = info.and_then(|info| info.total_messages);
    }
    let with_dead = queues.iter_mut().filter(|queue| queue.dead_queue.is_some());
    for (queue, info) in with_dead.zip(infos) {
        let info = known(info);
        queue.has_dead_failed |= info.is_none();
        queue.dead = info.and_then(|info| info.size);
    }
    first_failure
}

/// Asks the server for the first message of each of these queues. Returns the first failure.
pub(super) async fn ask_ages(ivy: &Ivy, queues: &mut [Queue]) -> Option<Error> {
    let live = || queues.iter().filter(|queue| queue.exists);
    let names: Vec<QueueName> = live().map(|queue| queue.name.clone()).collect();
    let peeked = ivy.admin().peek_each(&names, 1).await;
    let (now, mut first_failure) = (now(), None);
    for (queue, peeked) in queues.iter_mut().filter(|queue| queue.exists).zip(peeked) {
        match peeked {
            Ok(peeked) => queue.head = Some(head(peeked, now)),
            Err(error) => {
                first_failure.get_or_insert(error);
            }
        }
    }
    first_failure
}

fn head(peeked: Vec<Peeked>, now: u64) -> Head {
    let Some(Peeked { message, body, content, .. }) = peeked.into_iter().next() else {
        return Head::NotReady;
    };
    match Description::of(message, &body, &content, &Redaction::new()).wait(now) {
        Some(Wait::Since(age)) => Head::Due(age),
        // It is ready by the clock of the server.
        Some(Wait::Until(_)) => Head::Due(Duration::ZERO),
        None => Head::Undated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(names: &[&str], shown: &[&str]) -> Vec<(String, bool, Option<String>)> {
        let names = names.iter().map(|name| QueueName::new(name).unwrap()).collect();
        let text = |name: &QueueName| name.as_str().to_owned();
        let queues = fold(names, |name| shown.contains(&name.as_str())).into_iter();
        queues
            .map(|queue| (text(&queue.name), queue.exists, queue.dead_queue.as_ref().map(text)))
            .collect()
    }

    #[test]
    fn dead_letters_belong_to_their_queue() {
        let row = |name: &str, exists, dead: Option<&str>| {
            (name.to_owned(), exists, dead.map(str::to_owned))
        };
        assert_eq!(
            folded(&["a.dead", "mail", "mail.dead", "mail.p1"], &["a", "mail"]),
            [
                row("a", false, Some("a.dead")),
                row("mail", true, Some("mail.dead")),
                row("mail.p1", true, None)
            ]
        );
        assert_eq!(
            folded(&["mail", "mail.dead"], &[]),
            [row("mail", true, None), row("mail.dead", true, None)]
        );
    }
}
