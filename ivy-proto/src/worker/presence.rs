//! Publishes what this worker does: when it starts, when its state changes, at intervals, and when
//! it has drained.
//!
//! At most one record is in flight. A record that fails is not repeated, because the next one
//! replaces it, and nothing but the end of a drain waits for a reply, for half a second at most.

use std::time::Duration;

use crate::event::Event;
use crate::id::OpId;
use crate::metrics::{RequestKind, RequestOutcome};
use crate::name::ChannelName;
use crate::notify::{NotifyFault, Publication};
use crate::planted::{Bug, planted};
use crate::presence::{Identity, WorkerId, WorkerState};
use crate::rng::Rng;
use crate::time::Moment;

use super::io::Timer;
use super::{Mode, Worker};

/// The interval of records while there is no subscriber.
const UNHEARD: Duration = Duration::from_secs(15);
/// The interval of records while there is a subscriber.
const HEARD: Duration = Duration::from_secs(2);
/// The shortest time between two records, so that a state that changes all the time does not load
/// the notifier.
const SPACING: Duration = Duration::from_millis(250);
/// How long the end of a drain waits for the last record.
const FAREWELL: Duration = Duration::from_millis(500);

/// When the worker publishes its records.
#[derive(Debug)]
pub(super) struct Presence {
    pub(super) channel: ChannelName,
    pub(super) identity: Identity,
    pub(super) worker: WorkerId,
    /// When the worker started.
    pub(super) started: Moment,
    /// The number of the last record.
    pub(super) seq: u64,
    in_flight: Option<(OpId, Moment)>,
    last_at: Moment,
    /// What the last record reported.
    reported: Option<(WorkerState, u64)>,
    is_heard: bool,
    /// Whether the last record failed.
    fails: bool,
    end: End,
}

/// How far the worker is with its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It has not drained.
    NotYet,
    /// It waits for a record in flight, so that it can publish the last one.
    Due,
    /// The last record is in flight.
    Published,
    /// Nothing is waited for.
    Over,
}

impl Presence {
    pub(super) fn new(channel: ChannelName, identity: Identity, rng: &mut Rng) -> Self {
        Presence {
            channel,
            identity,
            worker: WorkerId::from_random(rng.sixteen_bytes()),
            started: Moment::EPOCH,
            seq: 0,
            in_flight: None,
            last_at: Moment::EPOCH,
            reported: None,
            is_heard: false,
            fails: false,
            end: End::NotYet,
        }
    }
}

impl Worker {
    /// Publishes the first record.
    pub(super) fn start_presence(&mut self) {
        let now = self.fx.now;
        if let Some(presence) = &mut self.presence {
            presence.started = now;
            self.publish_presence();
        }
    }

    /// The timer is due: for the next record, or because the last one takes too long.
    pub(super) fn presence_is_due(&mut self) {
        let Some(presence) = &mut self.presence else { return };
        match presence.end {
            End::NotYet => self.publish_presence(),
            End::Due | End::Published => presence.end = End::Over,
            End::Over => {}
        }
    }

    /// Publishes a record soon if the state has changed since the last one.
    pub(super) fn report_changed_state(&mut self) {
        let (state, now) = (self.presence_state(), self.fx.now);
        let Some(presence) = &mut self.presence else { return };
        let current = (state, self.fx.degraded.changes());
        let is_news = presence.reported.is_some_and(|reported| reported != current);
        // While a record is in flight, its reply leads here again.
        if !is_news || presence.in_flight.is_some() || presence.end != End::NotYet {
            return;
        }
        let at = (presence.last_at + SPACING).max(now + Duration::from_millis(1));
        if self.fx.timers.at(&Timer::Presence).is_none_or(|set| at < set) {
            self.fx.timers.set(Timer::Presence, at);
        }
    }

    pub(super) fn is_presence_in_flight(&self, op: OpId) -> bool {
        let in_flight = self.presence.as_ref().and_then(|presence| presence.in_flight);
        in_flight.is_some_and(|(in_flight, _)| in_flight == op)
    }

    /// A record was published, or not.
    pub(super) fn presence_published(&mut self, answer: Result<u64, NotifyFault>) {
        let now = self.fx.now;
        let Some(presence) = &mut self.presence else { return };
        let Some((_, since)) = presence.in_flight.take() else { return };
        let outcome = RequestOutcome::of_notifier(&answer);
        self.fx.requests.ended(RequestKind::Publish, outcome, now.micros_since(since));
        presence.fails = answer.is_err();
        presence.is_heard = answer.as_ref().is_ok_and(|receivers| *receivers > 0);
        match presence.end {
            End::NotYet if presence.is_heard => {
                let at = presence.last_at + jittered(HEARD, &mut self.fx.rng);
                if self.fx.timers.at(&Timer::Presence).is_none_or(|set| at < set) {
                    self.fx.timers.set(Timer::Presence, at.max(now + Duration::from_millis(1)));
                }
            }
            End::NotYet => {}
            End::Due if presence.fails => presence.end = End::Over,
            End::Due => self.publish_last(),
            End::Published | End::Over => presence.end = End::Over,
        }
        if let Err(fault) = answer {
            self.fx.event(Event::NotifierError { fault });
        }
    }

    /// Whether nothing remains to be published. Publishes the last record when it is first asked:
    /// the worker is ready to end.
    pub(super) fn presence_has_ended(&mut self) -> bool {
        let Some(presence) = &mut self.presence else { return true };
        if presence.end == End::NotYet {
            // A notifier that fails would only delay the end.
            let was_heard_of =
                presence.reported.is_some() && !presence.fails && !planted(Bug::NoLastRecord);
            presence.end = if was_heard_of { End::Due } else { End::Over };
            self.fx.timers.stop(&Timer::Presence);
            if was_heard_of {
                self.fx.set_timer(Timer::Presence, FAREWELL);
                if self.presence.as_ref().is_some_and(|presence| presence.in_flight.is_none()) {
                    self.publish_last();
                }
            }
        }
        self.presence.as_ref().is_none_or(|presence| presence.end == End::Over)
    }

    fn publish_last(&mut self) {
        if let Some(presence) = &mut self.presence {
            presence.end = End::Published;
        }
        self.publish_presence();
    }

    /// Publishes a record, unless one is in flight, and sets the timer of the next one.
    fn publish_presence(&mut self) {
        let (state, now) = (self.presence_state(), self.fx.now);
        let Some(presence) = &mut self.presence else { return };
        if presence.end == End::NotYet {
            let interval = if presence.is_heard { HEARD } else { UNHEARD };
            let interval = jittered(interval, &mut self.fx.rng);
            self.fx.timers.set(Timer::Presence, now + interval);
        }
        if presence.in_flight.is_some() {
            return;
        }
        presence.seq = presence.seq.saturating_add(1);
        (presence.last_at, presence.reported) = (now, Some((state, self.fx.degraded.changes())));
        let channel = presence.channel.clone();
        let Some(record) = self.presence_record(state) else { return };
        let payload = record.seal(&channel, &self.config.codec, &mut self.fx.entropy);
        let op = self.fx.publish(Publication { channel, payload });
        if let Some(presence) = &mut self.presence {
            presence.in_flight = Some((op, now));
        }
    }

    fn presence_state(&self) -> WorkerState {
        let is_last = self.presence.as_ref().is_some_and(|presence| presence.end == End::Published);
        match self.mode {
            _ if is_last => WorkerState::Gone,
            Mode::New | Mode::Running => WorkerState::Running,
            Mode::Paused => WorkerState::Paused,
            Mode::Draining { .. } | Mode::Finished => WorkerState::Draining,
        }
    }
}

/// Up to a tenth less, so that workers started together do not publish together.
fn jittered(interval: Duration, rng: &mut Rng) -> Duration {
    rng.between(interval - interval / 10, interval)
}
