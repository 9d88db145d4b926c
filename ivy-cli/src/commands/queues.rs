//! Queues with their sizes, as `ivy ls` and `ivy stats` show them.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::admin::Peeked;
use ivy_proto::inspect::{Description, Redaction};
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
    /// How long the first message has been due, if that was requested and is known.
    pub(super) head_age: Option<Duration>,
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
            head_age: None,
        }
    }
}

/// The queues of these names, in order. Dead-letter queues are folded into the queues that they
/// belong to, unless all are to have rows of their own.
pub(super) fn fold(names: Vec<QueueName>, all: bool) -> Vec<Queue> {
    let mut queues: BTreeMap<QueueName, Queue> = BTreeMap::new();
    for name in names {
        let origin = if all { None } else { name.of_dead_letters() };
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
        queue.size = info.as_ref().and_then(|info| info.size);
        queue.posted = info.and_then(|info| info.total_messages);
    }
    let with_dead = queues.iter_mut().filter(|queue| queue.dead_queue.is_some());
    for (queue, info) in with_dead.zip(infos) {
        queue.dead = known(info).and_then(|info| info.size);
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
            Ok(peeked) => queue.head_age = head_age(peeked, now),
            Err(error) => {
                first_failure.get_or_insert(error);
            }
        }
    }
    first_failure
}

/// How long the first message has been due.
fn head_age(peeked: Vec<Peeked>, now: u64) -> Option<Duration> {
    let Peeked { message, body, content, .. } = peeked.into_iter().next()?;
    Description::of(message, &body, &content, &Redaction::new()).age(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(names: &[&str], all: bool) -> Vec<(String, bool, Option<String>)> {
        let names = names.iter().map(|name| QueueName::new(name).unwrap()).collect();
        let text = |name: &QueueName| name.as_str().to_owned();
        let queues = fold(names, all).into_iter();
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
            folded(&["a.dead", "mail", "mail.dead", "mail.p1"], false),
            [
                row("a", false, Some("a.dead")),
                row("mail", true, Some("mail.dead")),
                row("mail.p1", true, None)
            ]
        );
        assert_eq!(
            folded(&["mail", "mail.dead"], true),
            [row("mail", true, None), row("mail.dead", true, None)]
        );
    }
}
