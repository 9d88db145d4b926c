//! Dead letters as `ivy dead ls` prints them.

use std::collections::BTreeMap;

use ivy_proto::inspect::Timestamp;
use serde::Serialize;

use crate::commands::message::{COLUMNS, Message, MessageRecord};
use crate::output::{Column, Page, Report};

const NONE: &str = "no dead letters";

/// Letters of one task that have the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Group<'a> {
    queue: &'a str,
    task: Option<&'a str>,
    reason: Option<&'static str>,
    count: u64,
    oldest: Option<u64>,
    newest: Option<u64>,
}

pub(super) fn group(letters: &[Message]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
    for letter in letters {
        let queue = letter.queue.as_str();
        let task = letter.description.task.as_ref().map(|task| task.name.as_str());
        let envelope = letter.description.letter.as_ref();
        let reason = envelope.map(|letter| letter.reason.as_str());
        let at = envelope.map(|letter| letter.at);
        let empty = Group { queue, task, reason, count: 0, oldest: None, newest: None };
        let group = groups.entry((queue, task, reason)).or_insert(empty);
        group.count += letter.copies as u64;
        group.oldest = group.oldest.into_iter().chain(at).min();
        group.newest = group.newest.into_iter().chain(at).max();
    }
    groups.into_values().collect()
}

/// Letters counted by queue, task and reason.
pub(super) struct Groups<'a>(pub(super) Vec<Group<'a>>);

impl Report for Groups<'_> {
    type Record<'a>
        = &'a Group<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        if self.0.is_empty() {
            return page.line(NONE);
        }
        let columns = [
            Column::left("QUEUE"),
            Column::left("TASK"),
            Column::left("REASON"),
            Column::right("COUNT"),
            Column::left("OLDEST"),
            Column::left("NEWEST"),
        ];
        let time = |at: Option<u64>| at.map(|at| Timestamp(at).to_string());
        let cells = |group: &Group<'_>| {
            vec![
                Some(group.queue.to_owned()),
                group.task.map(str::to_owned),
                group.reason.map(str::to_owned),
                Some(group.count.to_string()),
                time(group.oldest),
                time(group.newest),
            ]
        };
        page.table(&columns, self.0.iter().map(cells));
    }

    fn records(&self) -> impl Iterator<Item = &Group<'_>> {
        self.0.iter()
    }
}

/// Letters one by one.
pub(super) struct Letters<'a>(pub(super) &'a [Message]);

impl Report for Letters<'_> {
    type Record<'a>
        = MessageRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        if self.0.is_empty() {
            return page.line(NONE);
        }
        page.table(&COLUMNS, self.0.iter().map(Message::cells));
    }

    fn records(&self) -> impl Iterator<Item = MessageRecord<'_>> {
        self.0.iter().map(Message::record)
    }
}
