//! Coalesces reserves.
//!
//! Quick handlers that started together end shortly one after another. Polling for each slot as it
//! becomes free would cost one request per message. So the slots of quick handlers are polled for
//! together: when all recently started handlers have ended, when they fill a request, or after
//! [`MAX_WAIT`] at the latest. A few such slots also wait as long for a larger poll in flight, so
//! that separate polls merge again. No message is prefetched for the next slot while most of the
//! slots were taken recently. A slot that was free before, or that a slower handler left, is polled
//! for immediately, together with the waiting ones.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// The longest wait of a free slot for others, and the longest run of a quick handler.
const MAX_WAIT: Duration = Duration::from_millis(2);

/// The slots of a worker at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    /// Neither taken nor promised.
    pub(super) free: usize,
    /// Promised to polls that are likely to return messages immediately.
    pub(super) coming: usize,
    pub(super) all: usize,
    /// The maximum number of messages of one request.
    pub(super) batch: usize,
}

/// Recently started handlers, and the slots that such handlers left.
#[derive(Debug, Default)]
pub(super) struct ReserveCoalescing {
    /// The start times of handlers that may still be quick, with the number of those still running.
    began: VecDeque<(Moment, usize)>,
    /// The number of these handlers.
    young: usize,
    /// An upper bound on the free slots that quick handlers left.
    left: usize,
    /// Since when the slots have waited.
    since: Option<Moment>,
}

impl ReserveCoalescing {
    /// A handler has started.
    pub(super) fn began(&mut self, now: Moment) {
        self.young += 1;
        self.left = self.left.saturating_sub(1);
        match self.began.back_mut() {
            Some((moment, handlers)) if *moment == now => *handlers += 1,
            _ => self.began.push_back((now, 1)),
        }
    }

    /// A handler has ended.
    pub(super) fn ended(&mut self, began: Moment, now: Moment) {
        if !is_young(began, now) {
            return;
        }
        self.left += 1;
        if let Some((_, handlers)) = self.began.iter_mut().rfind(|(moment, _)| *moment == began) {
            *handlers -= 1;
            self.young -= 1;
        }
    }

    /// This many messages were requested.
    pub(super) fn reserved(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.since = None;
    }

    /// Until when to delay the next reserve, if more slots are about to become free.
    pub(super) fn holds_back_until(&mut self, slots: Slots, now: Moment) -> Option<Moment> {
        while let Some((began, handlers)) = self.began.front()
            && !is_young(*began, now)
        {
            self.young -= handlers;
            self.began.pop_front();
        }
        let others_follow = match slots.free {
            0 => 2 * self.young >= slots.all,
            free => {
                let others_follow = self.young > 0 || free < slots.coming;
                others_follow && free <= self.left && free < slots.batch
            }
        };
        if !others_follow {
            self.since = None;
            return None;
        }
        let until = *self.since.get_or_insert(now) + MAX_WAIT;
        (until > now).then_some(until)
    }
}

fn is_young(began: Moment, now: Moment) -> bool {
    now < began + MAX_WAIT
}
