//! The tasks whose ids their callers chose: calls of one id share one message and its result.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName};

use super::io::{Call, IdConflict, SendError};

/// The pending tasks whose ids their callers chose. A caller may let others choose the keys of its
/// ids, so they are not hashed.
#[derive(Debug, Default)]
pub(super) struct ChosenIds {
    tasks: BTreeMap<TaskId, ChosenId>,
}

/// A pending task, and the calls that share its message and its result.
#[derive(Debug)]
struct ChosenId {
    task: TaskName,
    queue: QueueName,
    /// The digest of the arguments.
    args: [u8; 32],
    /// Whether its message asks for a result, and whether a callback receives it.
    wants_result: bool,
    has_callback: bool,
    /// The message, if the queue has accepted it.
    message: Option<MessageId>,
    calls: Vec<TaskId>,
}

/// What is known of the message that a call may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shared {
    /// The queue has accepted it.
    Sent(MessageId),
    /// It waits to be sent, or an earlier call has failed and said that it may be stored.
    NotSent,
}

impl ChosenIds {
    pub(super) fn contains(&self, task: TaskId) -> bool {
        !self.tasks.is_empty() && self.tasks.contains_key(&task)
    }

    /// The calls of a task; none if no caller chose its id.
    pub(super) fn calls(&self, task: TaskId) -> &[TaskId] {
        if self.tasks.is_empty() {
            return &[];
        }
        self.tasks.get(&task).map_or(&[], |chosen| &chosen.calls)
    }

    /// The message that a call under this id may share, if the id is in use.
    ///
    /// # Errors
    /// [`SendError::IdConflict`] if it is in use for something else.
    pub(super) fn shared(&self, id: TaskId, call: &Call) -> Result<Option<Shared>, SendError> {
        let Some(chosen) = self.tasks.get(&id) else { return Ok(None) };
        let conflict = if chosen.task != call.task {
            IdConflict::OtherTask
        } else if chosen.queue != call.queue {
            IdConflict::OtherQueue
        } else if chosen.args != digest(call) {
            IdConflict::OtherArgs
        } else if call.reply.wants_result() && !chosen.wants_result {
            IdConflict::NoResult
        } else {
            return Ok(Some(chosen.message.clone().map_or(Shared::NotSent, Shared::Sent)));
        };
        Err(SendError::IdConflict { id, task: chosen.task.clone(), conflict })
    }

    /// Whether a callback receives the result of this task.
    pub(super) fn has_callback(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|chosen| chosen.has_callback)
    }

    /// Adds a call whose caller chose this id.
    pub(super) fn add(&mut self, id: TaskId, call: &Call) {
        let chosen = self.tasks.entry(id).or_insert_with(|| ChosenId {
            task: call.task.clone(),
            queue: call.queue.clone(),
            args: digest(call),
            wants_result: call.reply.wants_result(),
            has_callback: call.reply.has_callback(),
            message: None,
            calls: Vec::new(),
        });
        chosen.calls.push(call.id);
    }

    /// The queue accepted the message of a task.
    pub(super) fn sent(&mut self, task: TaskId, message: &MessageId) {
        if let Some(chosen) = self.tasks.get_mut(&task) {
            chosen.message = Some(message.clone());
        }
    }

    /// A call has ended.
    pub(super) fn remove(&mut self, task: TaskId, call: TaskId) {
        if let Some(chosen) = self.tasks.get_mut(&task) {
            chosen.calls.retain(|other| *other != call);
            if chosen.calls.is_empty() {
                self.tasks.remove(&task);
            }
        }
    }
}

/// The digest of a call's arguments: they may be large, and a pending task needs them no more.
fn digest(call: &Call) -> [u8; 32] {
    Sha256::digest(call.args.as_str()).into()
}
