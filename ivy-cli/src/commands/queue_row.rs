//! A queue as a row of a table and as a JSON object.

use ivy_proto::inspect::Span;
use serde::Serialize;

use super::queues::{Head, Queue};
use super::time::seconds;
use crate::output::Column;

/// The columns of queues, with or without the ages of their heads.
pub(super) fn columns(has_ages: bool) -> Vec<Column> {
    let mut columns = vec![Column::left("QUEUE"), Column::right("SIZE"), Column::right("DEAD")];
    if has_ages {
        columns.push(Column::right("HEAD AGE"));
    }
    columns
}

/// The cells of those columns.
pub(super) fn cells(queue: &Queue, has_ages: bool) -> Vec<Option<String>> {
    // What could not be asked is not nothing.
    let count = |count: Option<u64>, has_failed: bool| match count {
        Some(count) => Some(count.to_string()),
        None => has_failed.then(|| "?".to_owned()),
    };
    let mut cells = vec![
        Some(queue.name.as_str().to_owned()),
        count(queue.size, queue.has_failed),
        count(queue.dead, queue.has_dead_failed),
    ];
    if has_ages {
        cells.push(match queue.head {
            Some(Head::Due(age)) => Some(Span(age).to_string()),
            Some(Head::Undated) => Some("unknown".to_owned()),
            Some(Head::NotReady) if queue.waits_unready() => Some("none ready".to_owned()),
            Some(Head::NotReady) | None => None,
        });
    }
    cells
}

/// A queue in JSON.
#[derive(Debug, Serialize)]
pub(super) struct QueueRecord<'a> {
    queue: &'a str,
    size: Option<u64>,
    dead: Option<u64>,
    #[serde(flatten)]
    head: Option<HeadRecord>,
}

/// The first message that is ready, in JSON.
#[derive(Debug, Serialize)]
struct HeadRecord {
    head_age: Option<f64>,
    /// Whether a message is ready.
    ready: Option<bool>,
}

impl<'a> QueueRecord<'a> {
    pub(super) fn of(queue: &'a Queue, has_ages: bool) -> Self {
        let head = || HeadRecord {
            head_age: queue.head_age().map(seconds),
            ready: queue.head.map(|head| head != Head::NotReady),
        };
        QueueRecord {
            queue: queue.name.as_str(),
            size: queue.size,
            dead: queue.dead,
            head: has_ages.then(head),
        }
    }
}
