//! Decides when a subscription is replaced by a new one.

use std::time::Duration;

use ivy_proto::Moment;

use crate::RENEW_EVERY;

/// How long a subscription is kept beside its replacement: what the server sent on it before the
/// replacement stood may still be on its way.
const OVERLAP: Duration = Duration::from_secs(1);

/// The state of a subscription that is replaced once a minute, without its connections.
///
/// A subscriber that stays with a server to which the name no longer leads hears nothing, and a
/// connection that is subscribed cannot ask what its server is. So another subscription is made, for
/// which the name is resolved again, and the old one is dropped once the new one stands. In between
/// both are read, and notices may arrive twice.
///
/// ```text
///                     tick: Open                      subscribed
///   ╭──────────╮                      ╭──────────╮                  ╭─────────────╮
///   │ standing │ ───────────────────▶ │ renewing │ ───────────────▶ │ overlapping │
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
    Standing { until: Moment },
    Renewing,
    Overlapping { until: Moment },
}

/// What to do about a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Open another one beside it, and report [`SubscriptionState::subscribed`] or [`SubscriptionState::failed`].
    Open,
    /// Drop the old one: its replacement takes its place.
    DropOld,
}

impl SubscriptionState {
    /// A subscription that stands since `now`.
    pub(crate) fn new(now: Moment) -> Self {
        SubscriptionState { state: State::Standing { until: now + RENEW_EVERY } }
    }

    /// When [`tick`](SubscriptionState::tick) is due.
    pub(crate) fn wait_until(&self) -> Option<Moment> {
        match self.state {
            State::Standing { until } | State::Overlapping { until } => Some(until),
            State::Renewing => None,
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Moment) -> Option<Change> {
        if self.wait_until().is_none_or(|until| now < until) {
            return None;
        }
        match self.state {
            State::Standing { .. } => {
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

    /// The replacement could not be made, or is lost: the old subscription stays.
    pub(crate) fn failed(&mut self, now: Moment) {
        *self = SubscriptionState::new(now);
    }

    /// The old subscription is lost. Returns whether its replacement can take its place.
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
    fn a_subscription_is_replaced_once_a_minute_and_dropped_after_its_replacement_stands() {
        let mut subscriber = SubscriptionState::new(after(0));
        assert_eq!(subscriber.tick(after(59)), None);
        assert_eq!(subscriber.wait_until(), Some(after(60)));
        assert_eq!(subscriber.tick(after(60)), Some(Change::Open));
        assert_eq!((subscriber.wait_until(), subscriber.tick(after(61))), (None, None));
        subscriber.subscribed(after(61));
        assert_eq!(subscriber.tick(after(61)), None);
        assert_eq!(subscriber.tick(after(62)), Some(Change::DropOld));
        assert_eq!(subscriber.wait_until(), Some(after(122)));
    }

    #[test]
    fn a_subscription_stays_where_no_replacement_can_be_made() {
        let mut subscriber = SubscriptionState::new(after(0));
        assert_eq!(subscriber.tick(after(60)), Some(Change::Open));
        subscriber.failed(after(65));
        assert_eq!(subscriber.tick(after(124)), None);
        assert_eq!(subscriber.tick(after(125)), Some(Change::Open));
    }

    #[test]
    fn a_replacement_takes_the_place_of_a_subscription_that_is_lost() {
        let mut subscriber = SubscriptionState::new(after(0));
        assert!(!subscriber.old_lost(after(1)));
        subscriber.tick(after(60));
        assert!(!subscriber.old_lost(after(60)), "the replacement does not stand yet");
        subscriber.subscribed(after(60));
        assert!(subscriber.old_lost(after(60)));
        assert_eq!(subscriber.tick(after(119)), None);
    }
}
