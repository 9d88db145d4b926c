//! Dead letters as `ivy dead ls` prints them.

use std::collections::BTreeMap;

use ivy_proto::inspect::Timestamp;
use serde::Serialize;

use crate::commands::message::{self, Message, MessageRecord};
use crate::output::{Column, Page, Report};

/// Letters of one task that have the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Group<'a> {
    queue: &'a str,
    task: Option<&'a str>,
    reason: Option<&'static str>,
    /// The key that opens them, if they cannot be read without it.
    key: Option<&'a str>,
    count: u64,
    /// When the letters were dead-lettered, in milliseconds since 1970.
    oldest: Option<u64>,
    newest: Option<u64>,
}

pub(super) fn group(letters: &[Message]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
    for letter in letters {
        let queue = letter.queue.as_str();
        let task = letter.description.task.as_ref().map(|task| task.name.as_str());
        let record = letter.description.letter.as_ref();
        let reason = record.map(|record| record.reason.as_str());
        let at = record.map(|record| record.at);
        let key = letter.missing_key();
        let empty = Group { queue, task, reason, key, count: 0, oldest: None, newest: None };
        let group = groups.entry((queue, task, reason, key)).or_insert(empty);
        group.count += letter.copies as u64;
        group.oldest = group.oldest.into_iter().chain(at).min();
        group.newest = group.newest.into_iter().chain(at).max();
    }
    groups.into_values().collect()
}

/// Letters counted by queue, task, reason and key.
pub(super) struct Groups<'a> {
    pub(super) groups: Vec<Group<'a>>,
    /// What is printed if there are none.
    pub(super) nothing: &'a str,
}

impl Report for Groups<'_> {
    type Record<'a>
        = &'a Group<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        if self.groups.is_empty() {
            return page.line(self.nothing);
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
                match (group.task, group.key) {
                    (None, Some(key)) => Some(format!("(encrypted with {key})")),
                    (task, _) => task.map(str::to_owned),
                },
                group.reason.map(str::to_owned),
                Some(group.count.to_string()),
                time(group.oldest),
                time(group.newest),
            ]
        };
        page.table(&columns, self.groups.iter().map(cells));
    }

    fn records(&self) -> impl Iterator<Item = &Group<'_>> {
        self.groups.iter()
    }
}

/// Letters one by one.
pub(super) struct Letters<'a> {
    pub(super) letters: &'a [Message],
    /// What is printed if there are none.
    pub(super) nothing: &'a str,
}

impl Report for Letters<'_> {
    type Record<'a>
        = MessageRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        if self.letters.is_empty() {
            return page.line(self.nothing);
        }
        page.table(&message::columns_of_letters(), self.letters.iter().map(Message::letter_cells));
    }

    fn records(&self) -> impl Iterator<Item = MessageRecord<'_>> {
        self.letters.iter().map(Message::record)
    }
}
