//! The subscription to the channels on which results arrive, and the calls that wait for it.

use std::collections::VecDeque;

use crate::id::TaskId;
use crate::name::{ChannelName, InvalidName, QueueName};
use crate::notify::{NotifyFault, STABLE_AFTER};
use crate::time::Moment;

use super::outbox::OutgoingMessage;

/// The reply channel of a producer: the shared channel's name and 128 random bits.
pub(crate) fn reply_channel(
    shared: &ChannelName,
    random: [u8; 16],
) -> Result<ChannelName, InvalidName> {
    // A task id is 22 characters of base64url as well.
    ChannelName::new(&format!("{}.r.{}", shared.as_str(), TaskId::from_random(random)))
}

/// ```text
///            a call wants a result        Subscribed
///   ╭──────╮                   ╭───────╮               ╭────╮
///   │ idle │ ────────────────▶ │ asked │ ────────────▶ │ up │
///   ╰──────╯                   ╰───────╯               ╰────╯
///                                 ▲ │ SubscriptionLost   │
///                timer ends       │ ▼                    │
///                              ╭─────────╮               │
///                              │ paused  │ ◀─────────────╯
///                              ╰─────────╯  SubscriptionLost
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Requested,
    Up { since: Moment },
    Paused,
}

/// How a subscription was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The number of consecutive failures before.
    pub(super) failures_before: u32,
    /// Whether it was not failing before, so that the loss is reported.
    pub(super) is_news: bool,
}

#[derive(Debug)]
pub(super) struct Subscription {
    /// The channel of peers of the Node package, if the producer listens to them.
    shared: Option<ChannelName>,
    reply: ChannelName,
    state: State,
    /// How often in a row it failed or did not last.
    failures: u32,
    fault: Option<NotifyFault>,
    /// Calls that want a result, in their order.
    waiting: VecDeque<WaitingCall>,
    /// How long those that have no time limit of their own wait, in order.
    limits: VecDeque<(Moment, TaskId)>,
}

/// A call that is not sent before its result can be received.
#[derive(Debug)]
pub(super) struct WaitingCall {
    pub(super) queue: QueueName,
    pub(super) outgoing: OutgoingMessage,
}

impl Subscription {
    pub(super) fn new(shared: Option<ChannelName>, reply: ChannelName) -> Self {
        Subscription {
            shared,
            reply,
            state: State::Idle,
            failures: 0,
            fault: None,
            waiting: VecDeque::new(),
            limits: VecDeque::new(),
        }
    }

    pub(crate) fn reply_channel(&self) -> &ChannelName {
        &self.reply
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Whether this is the channel shared with peers of the Node package. `None` if the
    /// subscription does not include it.
    pub(super) fn shares(&self, channel: &ChannelName) -> Option<bool> {
        if *channel == self.reply {
            return Some(false);
        }
        (Some(channel) == self.shared.as_ref()).then_some(true)
    }

    /// The last failure, unless a subscription has succeeded since.
    pub(super) fn fault(&self) -> Option<&NotifyFault> {
        self.fault.as_ref()
    }

    /// The channels to subscribe to, if this is the first request.
    pub(super) fn first_request(&mut self) -> Option<Vec<ChannelName>> {
        if self.state == State::Idle { self.request() } else { None }
    }

    /// The channels to subscribe to again after a pause.
    pub(super) fn repeated_request(&mut self) -> Option<Vec<ChannelName>> {
        if self.state == State::Paused { self.request() } else { None }
    }

    fn request(&mut self) -> Option<Vec<ChannelName>> {
        self.state = State::Requested;
        Some([&self.reply].into_iter().chain(&self.shared).cloned().collect())
    }

    /// The subscription is up. Returns whether it had failed before, or `None` if it was not
    /// requested.
    pub(super) fn subscribed(&mut self, now: Moment) -> Option<bool> {
        if self.state != State::Requested {
            return None;
        }
        self.state = State::Up { since: now };
        Some(self.fault.take().is_some())
    }

    /// The subscription is lost. Returns `None` if that was known.
    pub(super) fn lost(&mut self, fault: NotifyFault, now: Moment) -> Option<Loss> {
        match self.state {
            State::Idle | State::Paused => return None,
            State::Up { since } if now.since(since) >= STABLE_AFTER => self.failures = 0,
            State::Up { .. } | State::Requested => {}
        }
        self.state = State::Paused;
        let is_news = self.fault.replace(fault).is_none();
        let failures_before = self.failures;
        self.failures = self.failures.saturating_add(1);
        Some(Loss { failures_before, is_news })
    }

    /// Adds a waiting call.
    pub(super) fn wait(&mut self, call: WaitingCall) {
        self.waiting.push_back(call);
    }

    /// Limits how long the call of this task waits. Limits never decrease from one to the next.
    pub(super) fn limit(&mut self, task: TaskId, limit: Moment) {
        self.limits.push_back((limit, task));
    }

    /// The first limit, and the task that it is of.
    pub(super) fn first_limit(&self) -> Option<(Moment, TaskId)> {
        self.limits.front().copied()
    }

    /// Removes a limit that has passed, and returns its task.
    pub(super) fn pop_overdue(&mut self, now: Moment) -> Option<TaskId> {
        let (limit, _) = self.limits.front()?;
        if *limit > now { None } else { self.limits.pop_front().map(|(_, task)| task) }
    }

    /// Removes the waiting call of a task. Returns whether it waited.
    pub(super) fn withdraw(&mut self, task: TaskId) -> bool {
        let place = self.waiting.iter().position(|call| call.outgoing.id == task);
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// Removes all waiting calls.
    pub(super) fn take_waiting(&mut self) -> VecDeque<WaitingCall> {
        self.limits.clear();
        std::mem::take(&mut self.waiting)
    }
}
