//! What a dead-letter queue contains, as far as it can be seen without reserving its letters.

use std::collections::BTreeMap;

use ivy_proto::QueueName;
use ivy_proto::inspect::Redaction;
use ivy_proto::text::Counted;
use ivy_tokio::Ivy;
use serde::Serialize;

use super::message::{Message, Showing};
use super::time::now;

/// How many letters are looked at: those that a server shows at once.
const SEEN: usize = 100;

/// The letters of a queue that a command is about to delete.
#[derive(Debug)]
pub(super) struct Contents {
    groups: Vec<Group>,
    /// How many were not looked at.
    pub(super) not_seen: u64,
}

/// Letters that have the same task and reason, or cannot be read for the same reason.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Group {
    task: Option<String>,
    reason: Option<&'static str>,
    /// The key that opens them, if they cannot be read without it.
    key: Option<String>,
    /// Why they cannot be read.
    unreadable: Option<&'static str>,
    count: u64,
}

impl Contents {
    /// Looks at the first letters of a dead-letter queue of this size. `None`: it is another queue,
    /// or could not be looked at.
    pub(super) async fn look(ivy: &Ivy, queue: &QueueName, size: Option<u64>) -> Option<Self> {
        queue.of_dead_letters()?;
        let peeked = ivy.admin().peek(queue.as_str(), SEEN).await.ok()?;
        let (seen, now) = (peeked.len() as u64, now());
        let showing = Showing { redaction: Redaction::new(), raw: false };
        let mut groups: BTreeMap<Group, u64> = BTreeMap::new();
        for letter in peeked {
            *groups.entry(Group::of(&Message::of(queue, letter, &showing, now))).or_default() += 1;
        }
        let groups = groups.into_iter().map(|(group, count)| Group { count, ..group }).collect();
        Some(Contents { groups, not_seen: size.unwrap_or(0).saturating_sub(seen) })
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The letters, a line for each group.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let not_seen = (self.not_seen > 0).then(|| {
            let more = Counted(self.not_seen, "more was", "more were");
            format!(
                "{more} not looked at: reserved, behind these, or too large to be shown; deleted as well"
            )
        });
        self.groups.iter().map(Group::line).chain(not_seen)
    }
}

impl Group {
    /// The group of one letter.
    fn of(letter: &Message) -> Self {
        let description = &letter.description;
        let reason = description.letter.as_ref().map(|letter| letter.reason.as_str());
        Group {
            task: description.task.as_ref().map(|task| task.name.as_str().to_owned()),
            reason,
            key: letter.missing_key().map(str::to_owned),
            unreadable: description.unreadable.as_ref().map(|it| it.reason.as_str()),
            count: 0,
        }
    }

    fn line(&self) -> String {
        let Group { task, reason, key, unreadable, count } = self;
        let what = match (task, key, unreadable) {
            (Some(task), ..) => format!("of task {task}"),
            (None, Some(key), _) => format!("sealed with {key}, and not readable without that key"),
            (None, None, Some(why)) => format!("not readable here ({why})"),
            (None, None, None) => "unknown".to_owned(),
        };
        let reason = reason.map(|reason| format!(", for the reason {reason}")).unwrap_or_default();
        format!("{count} {what}{reason}")
    }
}
