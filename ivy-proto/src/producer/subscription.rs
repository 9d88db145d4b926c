//! The subscription to the channels on which results arrive, and the calls that wait for it.

use std::collections::VecDeque;

use crate::id::TaskId;
use crate::name::{ChannelName, InvalidName, QueueName};
use crate::notify::NotifyFault;
use crate::time::Moment;

use super::outbox::Letter;

/// The reply channel of a producer: the shared channel's name and 128 random bits.
pub(super) fn reply_channel(
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
///                has rested       │ ▼                    │
///                              ╭─────────╮               │
///                              │ resting │ ◀─────────────╯
///                              ╰─────────╯  SubscriptionLost
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Asked,
    Up,
    Resting,
}

/// Where results arrive.
#[derive(Debug)]
pub(super) struct Subscription {
    shared: ChannelName,
    reply: ChannelName,
    state: State,
    /// How often in a row it could not be made or was lost.
    failures: u32,
    fault: Option<NotifyFault>,
    /// Calls that want a result, in the order of their limits.
    waiting: VecDeque<WaitingCall>,
}

/// A call that is not sent before its result can come back.
#[derive(Debug)]
pub(super) struct WaitingCall {
    pub(super) limit: Moment,
    pub(super) queue: QueueName,
    pub(super) letter: Letter,
}

impl Subscription {
    pub(super) fn new(shared: ChannelName, reply: ChannelName) -> Self {
        Subscription {
            shared,
            reply,
            state: State::Idle,
            failures: 0,
            fault: None,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn reply_channel(&self) -> &ChannelName {
        &self.reply
    }

    pub(super) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    pub(super) fn has_channel(&self, channel: &ChannelName) -> bool {
        *channel == self.reply || *channel == self.shared
    }

    /// The last failure, if it has not been made good since.
    pub(super) fn fault(&self) -> Option<&NotifyFault> {
        self.fault.as_ref()
    }

    /// The channels to subscribe to, if nobody has asked for them yet.
    pub(super) fn ask_first(&mut self) -> Option<Vec<ChannelName>> {
        if self.state == State::Idle { self.ask() } else { None }
    }

    /// The channels to subscribe to again, after a rest.
    pub(super) fn ask_again(&mut self) -> Option<Vec<ChannelName>> {
        if self.state == State::Resting { self.ask() } else { None }
    }

    fn ask(&mut self) -> Option<Vec<ChannelName>> {
        self.state = State::Asked;
        Some(vec![self.reply.clone(), self.shared.clone()])
    }

    /// The subscription stands. Says whether it had failed before, or nothing if it was not asked
    /// for.
    pub(super) fn subscribed(&mut self) -> Option<bool> {
        if self.state != State::Asked {
            return None;
        }
        self.state = State::Up;
        self.failures = 0;
        Some(self.fault.take().is_some())
    }

    /// The subscription is lost. Says how often in a row it had failed before, or nothing if that
    /// was known.
    pub(super) fn lost(&mut self, fault: NotifyFault) -> Option<u32> {
        if !matches!(self.state, State::Asked | State::Up) {
            return None;
        }
        self.state = State::Resting;
        self.fault = Some(fault);
        let failures_before = self.failures;
        self.failures = self.failures.saturating_add(1);
        Some(failures_before)
    }

    /// Lets a call wait. Limits never decrease from one call to the next.
    pub(super) fn wait(&mut self, call: WaitingCall) {
        self.waiting.push_back(call);
    }

    /// The call whose limit comes first.
    pub(super) fn first_waiting(&self) -> Option<&WaitingCall> {
        self.waiting.front()
    }

    /// Takes out a call whose limit has passed.
    pub(super) fn pop_overdue(&mut self, now: Moment) -> Option<WaitingCall> {
        if self.waiting.front()?.limit > now { None } else { self.waiting.pop_front() }
    }

    /// Takes out all waiting calls.
    pub(super) fn take_waiting(&mut self) -> VecDeque<WaitingCall> {
        std::mem::take(&mut self.waiting)
    }
}
