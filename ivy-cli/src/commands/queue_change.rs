//! Changes of a whole queue, and the report about them.

use std::iter;

use ivy_proto::QueueName;
use ivy_proto::text::Counted;
use serde::Serialize;

use super::contents::{Contents, Group};
use crate::output::{Page, Report};

/// What is done to a queue.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Create,
    /// It existed, so it was not created.
    Keep,
    /// It existed, and its server did not list it: now it does.
    List,
    Clear,
    Delete,
}

/// A change of a queue, planned or done.
#[derive(Debug)]
pub(super) struct QueueChange {
    pub(super) action: Action,
    pub(super) queue: QueueName,
    /// The number of messages before the change, if it is known.
    pub(super) messages: Option<u64>,
    /// What it deletes, if that is a queue of dead letters which could be looked at.
    pub(super) contents: Option<Contents>,
    pub(super) is_done: bool,
}

impl QueueChange {
    /// The change as a question: what is done, and below it what that deletes.
    pub(super) fn question(&self) -> String {
        let lines =
            [self.text()].into_iter().chain(self.contents().map(|line| format!("  {line}")));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn contents(&self) -> impl Iterator<Item = String> {
        self.contents.iter().flat_map(Contents::lines)
    }

    /// The change as a sentence.
    pub(super) fn text(&self) -> String {
        let QueueChange { action, queue, messages, is_done, .. } = self;
        let messages = match messages {
            Some(messages) => Counted(*messages, "message", "messages").to_string(),
            None => "an unknown number of messages".to_owned(),
        };
        match (action, is_done) {
            (Action::Keep, _) => format!("queue {queue} exists already, with {messages}"),
            (Action::List, _) => {
                format!(
                    "queue {queue} exists already, with {messages}; it was not listed, and now is"
                )
            }
            (Action::Create, true) => format!("queue {queue} was created"),
            (Action::Create, false) => format!("create queue {queue}"),
            (Action::Clear, true) => {
                format!("all messages of queue {queue} were deleted: {messages}")
            }
            (Action::Clear, false) => format!(
                "delete all messages of queue {queue}, including reserved and delayed ones: {messages}"
            ),
            (Action::Delete, true) => format!("queue {queue} was deleted, with {messages}"),
            (Action::Delete, false) => format!(
                "delete queue {queue} with all its messages, including reserved and delayed ones: {messages}"
            ),
        }
    }
}

/// The change in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    action: Action,
    queue: &'a str,
    messages: Option<u64>,
    done: bool,
    /// What a queue of dead letters contained, as far as it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<&'a [Group]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_looked_at: Option<u64>,
}

impl Report for QueueChange {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        page.line(&self.text());
        if !self.is_done {
            self.contents().for_each(|line| page.line(&format!("  {line}")));
        }
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let QueueChange { action, queue, messages, contents, is_done } = self;
        iter::once(Record {
            action: *action,
            queue: queue.as_str(),
            messages: *messages,
            done: *is_done,
            contents: contents.as_ref().map(Contents::groups),
            not_looked_at: contents.as_ref().map(|contents| contents.not_seen),
        })
    }
}
