//! The calls that wait until the outbox has room for them.

use std::collections::VecDeque;

use crate::id::TaskId;
use crate::slab_map::SlabMap;
use crate::time::{Deadline, Moment};
use crate::timers::Timers;

use super::io::{Call, ReplyTo, SendError, Timer};
use super::{Phase, Producer};

/// Calls that wait for room, in the order in which they came.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Those that were withdrawn have no call any more.
    order: VecDeque<TaskId>,
    calls: SlabMap<TaskId, WaitingForRoom>,
    /// When the calls with a time limit must be sent.
    limits: Timers<TaskId>,
}

#[derive(Debug)]
struct WaitingForRoom {
    call: Call,
    called_at: Moment,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Backlog { order: VecDeque::new(), calls: SlabMap::default(), limits: Timers::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn contains(&self, id: TaskId) -> bool {
        self.calls.contains(&id)
    }

    /// Adds a call whose id is not in use.
    fn add(&mut self, call: Call, called_at: Moment, limit: Option<Moment>) {
        if let Some(limit) = limit {
            self.limits.set(call.id, limit);
        }
        self.order.push_back(call.id);
        self.calls.insert(call.id, WaitingForRoom { call, called_at });
    }

    /// Removes up to this many calls, the oldest first, each with the moment when it was made.
    pub(super) fn take(&mut self, count: usize) -> Vec<(Call, Moment)> {
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some(id) = self.order.pop_front()
        {
            if let Some(WaitingForRoom { call, called_at }) = self.calls.remove(&id) {
                if self.limits.first_moment().is_some() {
                    self.limits.stop(&id);
                }
                taken.push((call, called_at));
            }
        }
        taken
    }

    /// Removes a call whose time limit has passed.
    pub(super) fn pop_overdue(&mut self, now: Moment) -> Option<(Call, Moment)> {
        let id = self.limits.pop_due(now)?;
        let WaitingForRoom { call, called_at } = self.calls.remove(&id)?;
        if self.calls.is_empty() {
            self.order.clear();
        }
        Some((call, called_at))
    }

    /// The first time limit of a call.
    pub(super) fn next_limit(&self) -> Option<Deadline<Timer>> {
        let Deadline { at, why: call } = self.limits.next()?;
        Some(Deadline { at, why: Timer::CallLimit(call) })
    }

    /// The caller dropped its handle. The call is still sent.
    pub(super) fn forget(&mut self, id: TaskId) {
        if let Some(WaitingForRoom { call, .. }) = self.calls.get_mut(&id) {
            call.reply = match call.reply {
                ReplyTo::None | ReplyTo::Handle => ReplyTo::None,
                ReplyTo::Callback | ReplyTo::HandleAndCallback => ReplyTo::Callback,
            };
        }
    }
}

impl Producer {
    pub(super) fn on_waiting_calls(&mut self, calls: Vec<Call>) {
        if self.phase != Phase::Running {
            return self.refuse_all(calls, || SendError::Draining);
        }
        for call in calls {
            if self.is_in_use(call.id) {
                self.refuse_all([call], || SendError::IdInUse);
            } else {
                let limit = self.limit_of(&call, self.now);
                self.backlog.add(call, self.now, limit);
            }
        }
    }

    /// Accepts waiting calls until they fill their part of the outbox.
    pub(super) fn admit_waiting(&mut self) {
        let limit = self.config.outbox_of_waiting();
        // Calls that are refused take no room.
        while !self.backlog.is_empty() && self.in_outbox() < limit {
            let next = self.backlog.take(limit - self.in_outbox());
            self.accept_all(next);
        }
    }
}
