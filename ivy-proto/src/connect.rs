//! Decides when and in which order the addresses of a host are tried.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// The time limit for connecting, including TLS. It is shorter than a request's own limit, so that
/// an unresponsive host counts as unreachable and not as a lost reply.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The delay before the next address is tried while an attempt is still pending.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The host in the form that resolvers and TLS accept: an IPv6 address has brackets only in a URL.
///
/// ```
/// assert_eq!(ivy_proto::connect::without_brackets("[::1]"), "::1");
/// assert_eq!(ivy_proto::connect::without_brackets("example.org"), "example.org");
/// ```
#[must_use]
pub fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A race between the addresses of a host, as in RFC 8305: a pending attempt delays the next one by
/// a quarter of a second, a failed one does not delay it. Address families alternate, because often
/// all addresses of one family are unreachable. The first connection wins, and all attempts share
/// one time limit.
///
/// ```
/// use ivy_proto::Moment;
/// use ivy_proto::connect::{ConnectRace, Family, RaceStep};
/// use std::time::Duration;
///
/// let (now, limit) = (Moment::EPOCH, Duration::from_secs(5));
/// let mut race = ConnectRace::new([Family::V4, Family::V4], now + limit);
/// assert_eq!(race.next_step(now), RaceStep::Start(0));
/// let later = now + Duration::from_millis(250);
/// assert_eq!(race.next_step(now), RaceStep::Wait(later));
/// assert_eq!(race.next_step(later), RaceStep::Start(1));
/// ```
#[derive(Debug)]
pub struct ConnectRace {
    /// The addresses not tried yet.
    waiting: VecDeque<usize>,
    /// The number of attempts in flight.
    running: usize,
    /// When to try the next address; `None` means immediately.
    next_at: Option<Moment>,
    until: Moment,
}

/// The next step of the executor. Execute it, then call [`ConnectRace::next_step`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceStep {
    /// Start to connect to the address at this index. Call [`ConnectRace::failed`] if that fails.
    /// Once it is connected, the race is over: abandon the other attempts.
    Start(usize),
    /// Wait for an attempt to end, at most until this moment.
    Wait(Moment),
    /// All attempts have failed.
    Failed,
    /// The time limit has passed.
    TimedOut,
}

impl ConnectRace {
    /// Starts a race between addresses of these families, in the order in which they were resolved.
    /// It ends at `until`.
    #[must_use]
    pub fn new(families: impl IntoIterator<Item = Family>, until: Moment) -> Self {
        ConnectRace { waiting: alternating(families), running: 0, next_at: None, until }
    }

    /// The next step.
    pub fn next_step(&mut self, now: Moment) -> RaceStep {
        if self.waiting.is_empty() && self.running == 0 {
            return RaceStep::Failed;
        }
        if now >= self.until {
            return RaceStep::TimedOut;
        }
        let is_due = self.next_at.is_none_or(|at| now >= at);
        if is_due && let Some(index) = self.waiting.pop_front() {
            self.running += 1;
            self.next_at = Some(now + ATTEMPT_DELAY);
            return RaceStep::Start(index);
        }
        let next_at = self.next_at.filter(|_| !self.waiting.is_empty());
        RaceStep::Wait(next_at.map_or(self.until, |at| at.min(self.until)))
    }

    /// Reports that an attempt failed: the next address is tried immediately.
    pub fn failed(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.next_at = None;
    }
}

/// The indices of the addresses with alternating families, starting with the first address.
fn alternating(families: impl IntoIterator<Item = Family>) -> VecDeque<usize> {
    let (mut first, mut second) = (VecDeque::new(), VecDeque::new());
    let mut first_family = None;
    for (index, family) in families.into_iter().enumerate() {
        let side =
            if *first_family.get_or_insert(family) == family { &mut first } else { &mut second };
        side.push_back(index);
    }
    let mut order = VecDeque::with_capacity(first.len() + second.len());
    while !first.is_empty() || !second.is_empty() {
        order.extend(first.pop_front());
        order.extend(second.pop_front());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::Family::{V4, V6};
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_millis(milliseconds))
    }

    fn race(families: &[Family]) -> ConnectRace {
        ConnectRace::new(families.iter().copied(), at(5000))
    }

    #[test]
    fn families_alternate_and_the_order_within_each_is_kept() {
        assert_eq!(alternating([V6, V6, V6, V4]), [0, 3, 1, 2]);
        assert_eq!(alternating([V4, V6, V6]), [0, 1, 2]);
        assert_eq!(alternating([V4, V4]), [0, 1]);
    }

    #[test]
    fn an_unresponsive_address_delays_the_next_by_a_quarter_of_a_second() {
        let mut race = race(&[V4, V4, V4]);
        for (index, start) in [(0, 0), (1, 250), (2, 500)] {
            assert_eq!(race.next_step(at(start)), RaceStep::Start(index));
            let next = if index == 2 { 5000 } else { start + 250 };
            assert_eq!(race.next_step(at(start)), RaceStep::Wait(at(next)));
        }
    }

    #[test]
    fn an_address_that_fails_does_not_delay_the_next() {
        let mut race = race(&[V4, V4]);
        assert_eq!(race.next_step(at(0)), RaceStep::Start(0));
        race.failed();
        assert_eq!(race.next_step(at(1)), RaceStep::Start(1));
        race.failed();
        assert_eq!(race.next_step(at(2)), RaceStep::Failed);
    }

    #[test]
    fn the_race_fails_only_when_no_attempt_is_left() {
        let mut race = race(&[V4, V4]);
        race.next_step(at(0));
        race.next_step(at(250));
        race.failed();
        assert_eq!(race.next_step(at(251)), RaceStep::Wait(at(5000)));
        race.failed();
        assert_eq!(race.next_step(at(252)), RaceStep::Failed);
    }

    #[test]
    fn all_attempts_share_one_limit() {
        let mut race = race(&[V4, V4]);
        race.next_step(at(0));
        race.next_step(at(4900));
        assert_eq!(race.next_step(at(4901)), RaceStep::Wait(at(5000)));
        assert_eq!(race.next_step(at(5000)), RaceStep::TimedOut);
    }

    #[test]
    fn a_host_without_an_address_fails() {
        assert_eq!(race(&[]).next_step(at(0)), RaceStep::Failed);
    }
}
