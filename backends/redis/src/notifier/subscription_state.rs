//! Decides when a subscription is replaced by a new one.

use std::time::Duration;

use ivy_proto::Moment;

use crate::REPLACE_EVERY;

/// How long a subscription is kept after its replacement is ready: notices that the server sent on
/// it before may still be in flight.
const OVERLAP: Duration = Duration::from_secs(1);

/// The state of a subscription that is replaced once a minute, without its connections.
///
/// A subscriber of a server that the name no longer resolves to receives nothing, and a subscribed
/// connection cannot query the server's role. So a second subscription is created, for which the
/// name is resolved again, and the old one is dropped once the new one is ready. In between both
/// are read, and notices may arrive twice.
///
/// ```text
///                     tick: Open                      subscribed
///   ╭──────────╮                      ╭──────────╮                  ╭─────────────╮
///   │ current  │ ───────────────────▶ │ renewing │ ───────────────▶ │ overlapping │
///   ╰──────────╯                      ╰──────────╯                  ╰─────────────╯
///        ▲            failed               │      tick: DropOld, or failed  │
///        ╰─────────────────────────────────┴────────────────────────────────╯
/// ```
#[derive(Debug)]
pub(crate) struct SubscriptionState {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Current { until: Moment },
    Renewing,
    Overlapping { until: Moment },
}

/// A change of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Open another one, and report [`SubscriptionState::subscribed`] or
    /// [`SubscriptionState::failed`].
    Open,
    /// Drop the old one: its replacement is ready.
    DropOld,
}

impl SubscriptionState {
    /// A subscription that is ready since `now`.
    pub(crate) fn new(now: Moment) -> Self {
        SubscriptionState { state: State::Current { until: now + REPLACE_EVERY } }
    }

    /// When [`tick`](SubscriptionState::tick) is due.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        match self.state {
            State::Current { until } | State::Overlapping { until } => Some(until),
            State::Renewing => None,
        }
    }

    /// Handles the passage of time.
    pub(crate) fn tick(&mut self, now: Moment) -> Option<Change> {
        if self.deadline().is_none_or(|until| now < until) {
            return None;
        }
        match self.state {
            State::Current { .. } => {
                self.state = State::Renewing;
                Some(Change::Open)
            }
            State::Overlapping { .. } => {
                *self = SubscriptionState::new(now);
                Some(Change::DropOld)
            }
            State::Renewing => None,
        }
    }

    /// The replacement is subscribed.
    pub(crate) fn subscribed(&mut self, now: Moment) {
        if self.state == State::Renewing {
            self.state = State::Overlapping { until: now + OVERLAP };
        }
    }

    /// The replacement failed: the old subscription remains.
    pub(crate) fn failed(&mut self, now: Moment) {
        *self = SubscriptionState::new(now);
    }

    /// The old subscription is lost. Returns whether its replacement is ready.
    pub(crate) fn old_lost(&mut self, now: Moment) -> bool {
        let is_replaced = matches!(self.state, State::Overlapping { .. });
        if is_replaced {
            *self = SubscriptionState::new(now);
        }
        is_replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_subscription_is_replaced_once_a_minute_and_dropped_after_its_replacement_is_ready() {
        let mut state = SubscriptionState::new(after(0));
        assert_eq!(state.tick(after(59)), None);
        assert_eq!(state.deadline(), Some(after(60)));
        assert_eq!(state.tick(after(60)), Some(Change::Open));
        assert_eq!((state.deadline(), state.tick(after(61))), (None, None));
        state.subscribed(after(61));
        assert_eq!(state.tick(after(61)), None);
        assert_eq!(state.tick(after(62)), Some(Change::DropOld));
        assert_eq!(state.deadline(), Some(after(122)));
    }

    #[test]
    fn a_subscription_remains_if_no_replacement_can_be_opened() {
        let mut state = SubscriptionState::new(after(0));
        assert_eq!(state.tick(after(60)), Some(Change::Open));
        state.failed(after(65));
        assert_eq!(state.tick(after(124)), None);
        assert_eq!(state.tick(after(125)), Some(Change::Open));
    }

    #[test]
    fn a_replacement_continues_a_lost_subscription() {
        let mut state = SubscriptionState::new(after(0));
        assert!(!state.old_lost(after(1)));
        state.tick(after(60));
        assert!(!state.old_lost(after(60)), "the replacement is not ready yet");
        state.subscribed(after(60));
        assert!(state.old_lost(after(60)));
        assert_eq!(state.tick(after(119)), None);
    }
}
