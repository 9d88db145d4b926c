//! The calls that are not sent yet, or whose results are wanted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::event::TaskRef;
use crate::id::{MessageId, TaskId};
use crate::metrics::CallRow;
use crate::planted::{Bug, planted};
use crate::slab_map::SlabMap;
use crate::task::{TaskChange, TaskReleased, TaskStatus};
use crate::time::{Deadline, Moment};
use crate::timers::Timers;
use crate::wire::RawJson;

use super::chosen_ids::{ChosenIds, Shared};
use super::io::{Call, IdConflict, ReplyTo, SendError, Timer};

#[derive(Debug)]
struct Entry {
    task: TaskRef,
    row: CallRow,
    called_at: Moment,
    /// `None` until the queue is known to have the message.
    status: Option<TaskStatus>,
    /// Whether its [`Output::Sent`](super::Output::Sent) is still to come.
    unsent: bool,
    has_handle: bool,
    /// The arguments for the registered callback, if there is one.
    callback: Option<RawJson>,
    /// Why a worker last released its message.
    release: Option<Arc<TaskReleased>>,
    /// The order of the calls.
    number: u64,
}

impl Entry {
    fn is_awaited(&self) -> bool {
        self.has_handle || self.callback.is_some()
    }

    fn change(&mut self, change: TaskChange) {
        // Any change shows that the task was in the queue.
        let status = self.status.unwrap_or(TaskStatus::Scheduled);
        self.status = status.after(change).ok().or(self.status);
    }
}

/// The calls by id. An entry stays until its call is sent and its result has arrived or is no
/// longer wanted.
///
/// The id of a task is that of its call, unless the caller chose it: then the task may have several
/// calls.
#[derive(Debug)]
pub(super) struct Pending {
    entries: SlabMap<TaskId, Entry>,
    chosen_ids: ChosenIds,
    /// When the calls with a time limit must be sent.
    limits: Timers<TaskId>,
    unsent: usize,
    awaited: usize,
    /// Calls with a callback and without a handle, oldest first. Only a notice ends them, and it
    /// may be lost, so they can be evicted.
    callbacks_only: BTreeSet<(u64, TaskId)>,
    calls: u64,
    /// The latest reason why a call waits for another worker. Many calls usually have the same
    /// reason, so they share it.
    last_release: Option<Arc<TaskReleased>>,
}

/// A call whose time limit has passed before it was sent.
#[derive(Debug)]
pub(super) struct OverdueCall {
    pub(super) id: TaskId,
    pub(super) task: TaskRef,
    pub(super) within: Duration,
    /// Whether another call waits for the same message to be sent.
    pub(super) is_not_alone: bool,
}

/// A call whose notice has arrived.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) task: TaskRef,
    pub(super) row: CallRow,
    pub(super) called_at: Moment,
    pub(super) succeeded: bool,
    /// The arguments, for the registered callback.
    pub(super) args: Option<RawJson>,
}

impl Pending {
    pub(super) fn new() -> Self {
        Pending {
            entries: SlabMap::default(),
            chosen_ids: ChosenIds::default(),
            limits: Timers::new(),
            unsent: 0,
            awaited: 0,
            callbacks_only: BTreeSet::new(),
            calls: 0,
            last_release: None,
        }
    }

    /// Whether the id is that of a call, or of a task.
    pub(super) fn contains(&self, id: TaskId) -> bool {
        self.entries.contains(&id) || self.chosen_ids.contains(id)
    }

    /// The message that a call can share, because it chose the id of a pending task.
    ///
    /// # Errors
    /// [`SendError::IdConflict`] if the id is in use for something else.
    pub(super) fn shared(&self, call: &Call) -> Result<Option<Shared>, SendError> {
        let Some(id) = call.chosen_id else { return Ok(None) };
        if let Some(entry) = self.entries.get(&id) {
            let (task, conflict) = (entry.task.name.clone(), IdConflict::Generated);
            return Err(SendError::IdConflict { id, task, conflict });
        }
        self.chosen_ids.shared(id, call)
    }

    /// Whether a callback already receives the result of this task.
    pub(super) fn has_callback(&self, task: TaskId) -> bool {
        self.chosen_ids.has_callback(task)
    }

    /// The calls of a task whose id its callers chose; none if it is that of its call.
    pub(super) fn sharing(&self, task: TaskId) -> Vec<TaskId> {
        self.chosen_ids.calls(task).to_vec()
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }

    pub(super) fn awaited(&self) -> usize {
        self.awaited
    }

    /// Whether a call of this task waits to be sent.
    pub(super) fn is_unsent(&self, task: TaskId) -> bool {
        let is_unsent = |call| self.entries.get(call).is_some_and(|entry| entry.unsent);
        match self.chosen_ids.calls(task) {
            [] => is_unsent(&task),
            calls => calls.iter().any(is_unsent),
        }
    }

    /// The task of this id.
    pub(super) fn task(&self, task: TaskId) -> Option<&TaskRef> {
        let call = self.chosen_ids.calls(task).first().unwrap_or(&task);
        self.entries.get(call).map(|entry| &entry.task)
    }

    pub(super) fn status(&self, call: TaskId) -> Option<TaskStatus> {
        self.entries.get(&call)?.status
    }

    /// Adds a call, which must be sent by `limit` if it has one.
    pub(super) fn add(
        &mut self,
        call: Call,
        row: CallRow,
        called_at: Moment,
        limit: Option<Moment>,
    ) {
        if let Some(limit) = limit {
            self.limits.set(call.id, limit);
        }
        if let Some(id) = call.chosen_id {
            self.chosen_ids.add(id, &call);
        }
        self.calls += 1;
        let entry = Entry {
            task: TaskRef { id: call.task_id(), name: call.task, queue: call.queue },
            row,
            called_at,
            status: None,
            unsent: true,
            has_handle: call.reply.has_handle(),
            callback: call.reply.has_callback().then_some(call.args),
            release: None,
            number: self.calls,
        };
        self.unsent += 1;
        self.awaited += usize::from(entry.is_awaited());
        if call.reply == ReplyTo::Callback && !planted(Bug::TableFreedOnlyByNotice) {
            self.callbacks_only.insert((entry.number, call.id));
        }
        self.entries.insert(call.id, entry);
    }

    /// The queue accepted the message of a task whose id its callers chose.
    pub(super) fn shared_is_sent(&mut self, task: TaskId, message: &MessageId) {
        self.chosen_ids.sent(task, message);
    }

    /// The queue accepted the message of a call. Returns `None` if that was known.
    pub(super) fn sent(&mut self, id: TaskId) -> Option<(TaskRef, CallRow)> {
        let entry = self.entries.get_mut(&id).filter(|entry| entry.unsent)?;
        entry.status = Some(TaskStatus::Scheduled);
        self.settle(id)
    }

    /// The message will not be sent (again). Returns `None` if it is known to be sent.
    pub(super) fn not_sent(
        &mut self,
        id: TaskId,
        may_be_stored: bool,
    ) -> Option<(TaskRef, CallRow)> {
        let entry = self.entries.get(&id).filter(|entry| entry.unsent)?;
        if !may_be_stored && entry.is_awaited() {
            self.drop_result(id);
        }
        self.settle(id)
    }

    /// A notice for a sent call has arrived. The first one counts, and ends the wait.
    pub(super) fn notice(&mut self, id: TaskId, change: TaskChange) -> Option<Resolved> {
        let entry = self.entries.get_mut(&id).filter(|entry| !entry.unsent)?;
        entry.change(change);
        let resolved = Resolved {
            task: entry.task.clone(),
            row: entry.row,
            called_at: entry.called_at,
            succeeded: entry.status == Some(TaskStatus::Done),
            args: entry.callback.clone(),
        };
        self.drop_result(id);
        Some(resolved)
    }

    /// A worker released the message of a call. Returns `None` if its result is not wanted.
    pub(super) fn record_release(
        &mut self,
        id: TaskId,
        release: TaskReleased,
    ) -> Option<Arc<TaskReleased>> {
        let entry = self.entries.get_mut(&id).filter(|entry| entry.is_awaited())?;
        let release = match self.last_release.take_if(|last| **last == release) {
            Some(last) => last,
            None => Arc::new(release),
        };
        self.last_release = Some(Arc::clone(&release));
        entry.release = Some(Arc::clone(&release));
        Some(release)
    }

    /// Why a worker last released the message of a call.
    pub(super) fn released(&self, id: TaskId) -> Option<&TaskReleased> {
        self.entries.get(&id)?.release.as_deref()
    }

    /// The caller dropped its handle. Returns its row and when it called, if it waited.
    pub(super) fn forget(&mut self, id: TaskId) -> Option<(CallRow, Moment)> {
        let entry = self.entries.get_mut(&id).filter(|entry| entry.has_handle)?;
        let waited = (entry.row, entry.called_at);
        if entry.callback.is_some() {
            entry.has_handle = false;
            if !planted(Bug::TableFreedOnlyByNotice) {
                self.callbacks_only.insert((entry.number, id));
            }
        } else {
            self.drop_result(id);
        }
        Some(waited)
    }

    /// Evicts the oldest call that only a callback waits for.
    pub(super) fn evict_oldest_callback(&mut self) -> Option<TaskRef> {
        let (_, id) = *self.callbacks_only.first()?;
        let task = self.entries.get(&id)?.task.clone();
        self.drop_result(id);
        Some(task)
    }

    /// Removes a call's time limit that has passed, and returns the call.
    pub(super) fn pop_overdue(&mut self, now: Moment) -> Option<OverdueCall> {
        let limit = self.limits.first_moment()?;
        let id = self.limits.pop_due(now)?;
        let entry = self.entries.get(&id).filter(|entry| entry.unsent)?;
        let is_unsent = |call| self.entries.get(call).is_some_and(|other| other.unsent);
        let mut others = self.chosen_ids.calls(entry.task.id).iter().filter(|call| **call != id);
        Some(OverdueCall {
            id,
            task: entry.task.clone(),
            within: limit.since(entry.called_at),
            is_not_alone: others.any(is_unsent),
        })
    }

    /// The first time limit of a call.
    pub(super) fn next_limit(&self) -> Option<Deadline<Timer>> {
        let Deadline { at, why: call } = self.limits.next()?;
        Some(Deadline { at, why: Timer::CallLimit(call) })
    }

    pub(super) fn clear(&mut self) {
        *self = Pending::new();
    }

    fn settle(&mut self, id: TaskId) -> Option<(TaskRef, CallRow)> {
        let entry = self.entries.get_mut(&id)?;
        entry.unsent = false;
        self.unsent -= 1;
        let settled = (entry.task.clone(), entry.row);
        if self.limits.first_moment().is_some() {
            self.limits.stop(&id);
        }
        if !entry.is_awaited() {
            self.remove(id);
        }
        Some(settled)
    }

    fn remove(&mut self, id: TaskId) {
        let Some(Entry { task, .. }) = self.entries.remove(&id) else { return };
        if task.id != id {
            self.chosen_ids.remove(task.id, id);
        }
    }

    fn drop_result(&mut self, id: TaskId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.awaited -= usize::from(entry.is_awaited());
        self.callbacks_only.remove(&(entry.number, id));
        entry.has_handle = false;
        entry.callback = None;
        if !entry.unsent {
            self.remove(id);
        }
    }
}
