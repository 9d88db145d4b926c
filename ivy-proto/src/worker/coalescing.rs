//! Slots that come free together are asked for together.
//!
//! Handlers that began together and are quick end one after the other within a moment. If each slot
//! were asked for as it comes free, each message would cost a request of its own. So what a quick
//! handler has left is asked for when all handlers that began just now have ended, when it fills a
//! request, or at the latest after [`LONGEST`]; and a few such slots wait as long for a larger poll
//! in flight, so that what was asked for apart comes together again. Nor is a message fetched ahead
//! for the next slot while most of the slots were taken just now. A slot that was free before, or
//! that a slower handler has left, waits for nothing, and those that wait go along with it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// The longest that a free slot waits for others, and how long a handler may take to be quick.
const LONGEST: Duration = Duration::from_millis(2);

/// What the slots of a worker are at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    /// Neither taken nor promised.
    pub(super) free: usize,
    /// Promised to polls that will hardly wait for messages.
    pub(super) coming: usize,
    /// All there are.
    pub(super) all: usize,
    /// How many a request can fill.
    pub(super) batch: usize,
}

/// Who began just now, and what such handlers have left already.
#[derive(Debug, Default)]
pub(super) struct ReserveCoalescing {
    /// When handlers began that still run, and how many did then. Only those that may yet be quick.
    began: VecDeque<(Moment, usize)>,
    /// How many those are.
    young: usize,
    /// The most slots that are free because quick handlers have left them.
    left: usize,
    /// Since when the slots wait.
    since: Option<Moment>,
}

impl ReserveCoalescing {
    /// A handler has taken a slot.
    pub(super) fn began(&mut self, now: Moment) {
        self.young += 1;
        self.left = self.left.saturating_sub(1);
        match self.began.back_mut() {
            Some((moment, handlers)) if *moment == now => *handlers += 1,
            _ => self.began.push_back((now, 1)),
        }
    }

    /// A handler has left its slot.
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

    /// So many messages were asked for.
    pub(super) fn reserved(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.since = None;
    }

    /// Until when to ask for no more, if others are about to come free.
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
        let until = *self.since.get_or_insert(now) + LONGEST;
        (until > now).then_some(until)
    }
}

fn is_young(began: Moment, now: Moment) -> bool {
    now < began + LONGEST
}
