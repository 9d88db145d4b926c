//! The lease of one held message: when to renew it, and when it is lost.

use std::time::Duration;

use crate::id::Receipt;
use crate::planted::{Bug, planted};
use crate::queue::{Effect, Fault, FaultKind};
use crate::retry::Backoff;
use crate::rng::Rng;
use crate::time::{Moment, WallClock};

/// The length of a lease that is bound to a connection and never expires.
pub(super) const UNTIMED: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The lease of a held message.
#[derive(Debug)]
pub(super) struct Lease {
    receipt: Receipt,
    /// The length to request at the next touch.
    length: Duration,
    /// The latest confirmed grant.
    granted: Grant,
    /// Of the renewals that the queue may have granted without a reply, the one that ends first.
    unconfirmed: Option<Grant>,
    touch: Touch,
    failures: u32,
    /// How often a renewal was requested.
    renewals: u32,
}

/// A granted lease: its length, when it began, and the wall clock at that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) length: Duration,
    pub(super) from: Moment,
    pub(super) wall: WallClock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Idle,
    /// In flight; `unsure` if the reply to the previous touch was lost, so the receipt may already
    /// be invalid.
    InFlight {
        unsure: bool,
    },
    /// To be repeated with the same receipt.
    Retry {
        unsure: bool,
    },
}

/// The consequence of a failed touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TouchFailure {
    /// The lease is lost.
    Lost,
    /// Retry after this time.
    Retry(Duration),
}

impl Lease {
    pub(super) fn new(receipt: Receipt, granted: Grant) -> Self {
        let (length, touch) = (granted.length, Touch::Idle);
        Lease { receipt, length, granted, unconfirmed: None, touch, failures: 0, renewals: 0 }
    }

    pub(super) fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// When the lease ends, by whichever clock is first.
    pub(super) fn until(&self, wall: WallClock) -> Moment {
        self.granted.until(wall)
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// An upper bound on the renewals that the queue has made.
    pub(super) fn renewals(&self) -> u32 {
        self.renewals
    }

    /// Sets the length to request from the next touch on.
    pub(super) fn set_length(&mut self, length: Duration) {
        self.length = length;
    }

    /// Whether a touch is in flight, which will replace the receipt.
    pub(super) fn is_being_touched(&self) -> bool {
        matches!(self.touch, Touch::InFlight { .. })
    }

    /// Whether enough of the lease is left to start a handler: a fifth of the granted length, at
    /// most 5 s. An unconfirmed renewal may be shorter than what was left, so it counts too.
    pub(super) fn allows_start(&self, now: Moment, wall: WallClock) -> bool {
        planted(Bug::NoLeaseMargin)
            || (self.granted.allows_start(now, wall)
                && self.unconfirmed.is_none_or(|unconfirmed| unconfirmed.allows_start(now, wall)))
    }

    /// When to renew the lease: after 60 % ± 10 % of its length, so that the touches of many
    /// workers spread out; earlier if the wall clock has leapt forward since the grant.
    pub(super) fn touch_at(&self, wall: WallClock, rng: &mut Rng) -> Moment {
        if self.length >= UNTIMED {
            return Moment::FOREVER;
        }
        let after = rng.between(self.length / 2, self.length / 10 * 7);
        self.granted.from + after.saturating_sub(wall.ahead_of(self.granted.wall))
    }

    /// Records that a touch is sent. Returns the grant if the queue accepts it immediately.
    pub(super) fn touch_sent(&mut self, now: Moment, wall: WallClock) -> Grant {
        let renewal = Grant { length: self.length, from: now, wall };
        if self.unconfirmed.is_none_or(|unconfirmed| renewal.until(wall) < unconfirmed.until(wall))
        {
            self.unconfirmed = Some(renewal);
        }
        let unsure = matches!(self.touch, Touch::Retry { unsure: true });
        self.renewals = self.renewals.saturating_add(1);
        self.touch = Touch::InFlight { unsure };
        renewal
    }

    /// Records a granted renewal. It counts from the time of its request.
    pub(super) fn touched(&mut self, receipt: Receipt, granted: Grant) {
        self.receipt = receipt;
        self.granted = granted;
        self.unconfirmed = None;
        self.touch = Touch::Idle;
        self.failures = 0;
    }

    /// Records a failed touch. If the reply may have been lost, the old receipt is tried once more:
    /// if the queue still accepts it, the lost touch had no effect.
    pub(super) fn touch_failed(&mut self, fault: &Fault, rng: &mut Rng) -> TouchFailure {
        if matches!(fault.kind(), FaultKind::LeaseLost | FaultKind::NoMessage | FaultKind::NoQueue)
        {
            return TouchFailure::Lost;
        }
        let was_unsure = matches!(self.touch, Touch::InFlight { unsure: true });
        let unsure = was_unsure || fault.effect() == Effect::Unknown;
        self.touch = Touch::Retry { unsure };
        if !unsure {
            self.unconfirmed = None;
        }
        if unsure && !was_unsure {
            // The sooner the retry, the sooner the worker knows whether it still holds the lease.
            return TouchFailure::Retry(Duration::ZERO);
        }
        let delay = Backoff::REQUESTS.delay(self.failures, rng);
        self.failures += 1;
        TouchFailure::Retry(delay)
    }
}

impl Grant {
    /// Whether only the wall clock says that too little is left to start a handler. It may have
    /// been set, or the host may have slept.
    pub(super) fn is_doubtful(self, now: Moment, wall: WallClock) -> bool {
        wall != self.wall && self.allows_start(now, self.wall) && !self.allows_start(now, wall)
    }

    /// When the lease ends: its length after the grant, by the monotonic clock, which may have
    /// stood still while the host slept, or by the wall clock, whichever is first.
    fn until(self, wall: WallClock) -> Moment {
        if self.length >= UNTIMED {
            return Moment::FOREVER;
        }
        let left = self.length.saturating_sub(wall.ahead_of(self.wall));
        self.from + left
    }

    fn allows_start(self, now: Moment, wall: WallClock) -> bool {
        self.until(wall).since(now) >= (self.length / 5).min(Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{MessageId, ReservationId};

    fn receipt(reservation: &str) -> Receipt {
        Receipt { message: MessageId::new("1"), reservation: ReservationId::new(reservation) }
    }

    const WALL: WallClock = WallClock::new(Duration::from_secs(1_700_000_000));

    fn renewal(seconds: u64, from: Moment) -> Grant {
        Grant { length: Duration::from_secs(seconds), from, wall: WALL }
    }

    fn lease() -> Lease {
        Lease::new(receipt("a"), renewal(30, Moment::EPOCH))
    }

    /// The wall clock after a leap forward.
    fn leapt(seconds: u64) -> WallClock {
        WallClock::new(Duration::from_secs(1_700_000_000 + seconds))
    }

    #[test]
    fn it_is_renewed_after_about_sixty_percent_of_its_length() {
        let mut rng = Rng::from_number(1);
        let touch_at = |_| lease().touch_at(WALL, &mut rng).since(Moment::EPOCH);
        let mut after: Vec<_> = (0..100).map(touch_at).collect();
        after.sort_unstable();
        let (first, last) = (after[0].as_secs_f64(), after[99].as_secs_f64());
        assert!((15.0..15.5).contains(&first) && (20.5..=21.0).contains(&last), "{after:?}");
    }

    #[test]
    fn a_touch_replaces_the_receipt_and_counts_from_its_request() {
        let mut lease = lease();
        let requested_at = Moment::after_epoch(Duration::from_secs(18));
        let renewal = lease.touch_sent(requested_at, WALL);
        lease.touched(receipt("b"), renewal);
        assert_eq!(lease.receipt(), &receipt("b"));
        assert_eq!(lease.until(WALL), Moment::after_epoch(Duration::from_secs(48)));
    }

    #[test]
    fn a_lost_reply_is_followed_by_an_immediate_retry_with_the_old_receipt() {
        let mut lease = lease();
        let mut rng = Rng::from_number(1);
        let lost = Fault::new(FaultKind::ReplyLost);
        lease.touch_sent(Moment::EPOCH, WALL);
        assert_eq!(lease.touch_failed(&lost, &mut rng), TouchFailure::Retry(Duration::ZERO));
        lease.touch_sent(Moment::EPOCH, WALL);
        let refused = Fault::new(FaultKind::LeaseLost);
        assert_eq!(lease.touch_failed(&refused, &mut rng), TouchFailure::Lost);
    }

    #[test]
    fn only_the_first_lost_reply_is_followed_by_an_immediate_retry() {
        let lost = Fault::new(FaultKind::ReplyLost);
        let unreachable = Fault::new(FaultKind::Unreachable);
        let faults = [(&lost, true), (&lost, false), (&unreachable, false), (&lost, false)];
        let (mut lease, mut rng) = (lease(), Rng::from_number(1));
        for (fault, at_once) in faults {
            lease.touch_sent(Moment::EPOCH, WALL);
            let TouchFailure::Retry(after) = lease.touch_failed(fault, &mut rng) else {
                panic!("the lease is not lost")
            };
            assert_eq!(after.is_zero(), at_once, "{fault}");
        }
    }

    #[test]
    fn retries_of_an_unsent_touch_back_off() {
        let unreachable = Fault::new(FaultKind::Unreachable);
        let (mut lease, mut rng) = (lease(), Rng::from_number(1));
        let waits: Vec<_> = (0..20)
            .map(|_| {
                lease.touch_sent(Moment::EPOCH, WALL);
                match lease.touch_failed(&unreachable, &mut rng) {
                    TouchFailure::Retry(after) => after,
                    TouchFailure::Lost => panic!("the lease is not lost"),
                }
            })
            .collect();
        assert!(!waits[0].is_zero() && waits[0] <= Duration::from_millis(100), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(3)), "{waits:?}");
    }

    #[test]
    fn the_margin_depends_on_the_granted_length_and_not_on_the_requested_one() {
        let mut lease = Lease::new(receipt("a"), renewal(2, Moment::EPOCH));
        lease.set_length(Duration::from_secs(600));
        assert!(lease.allows_start(Moment::EPOCH, WALL));
        assert!(!lease.allows_start(Moment::after_epoch(Duration::from_millis(1601)), WALL));
    }

    #[test]
    fn an_unconfirmed_shorter_renewal_prevents_a_start_after_its_end() {
        let at = |seconds| Moment::after_epoch(Duration::from_secs(seconds));
        let mut rng = Rng::from_number(1);
        let mut lease = lease();
        lease.set_length(Duration::from_secs(20));
        lease.touch_sent(at(0), WALL);
        assert!(lease.allows_start(at(16), WALL));
        assert!(!lease.allows_start(at(17), WALL));
        lease.touch_failed(&Fault::new(FaultKind::ReplyLost), &mut rng);
        lease.touch_sent(at(10), WALL);
        assert!(!lease.allows_start(at(17), WALL));
        lease.touched(receipt("b"), renewal(20, at(10)));
        assert!(lease.allows_start(at(26), WALL));
    }

    #[test]
    fn the_unconfirmed_renewal_that_ends_first_counts() {
        let at = |seconds| Moment::after_epoch(Duration::from_secs(seconds));
        let lost = Fault::new(FaultKind::ReplyLost);
        for lengths in [[25, 10], [10, 25]] {
            let mut rng = Rng::from_number(1);
            let mut lease = lease();
            for length in lengths {
                lease.set_length(Duration::from_secs(length));
                lease.touch_sent(at(0), WALL);
                lease.touch_failed(&lost, &mut rng);
            }
            assert!(lease.allows_start(at(8), WALL), "{lengths:?}");
            assert!(!lease.allows_start(at(9), WALL), "{lengths:?}");
        }
    }

    #[test]
    fn a_shorter_renewal_that_was_not_sent_changes_nothing() {
        let at = |seconds| Moment::after_epoch(Duration::from_secs(seconds));
        let mut lease = lease();
        lease.set_length(Duration::from_secs(20));
        lease.touch_sent(at(0), WALL);
        lease.touch_failed(&Fault::new(FaultKind::Unreachable), &mut Rng::from_number(1));
        assert!(lease.allows_start(at(24), WALL));
    }

    #[test]
    fn no_handler_starts_on_the_last_fifth_of_a_short_lease() {
        let lease = Lease::new(receipt("a"), renewal(5, Moment::EPOCH));
        assert!(lease.allows_start(Moment::after_epoch(Duration::from_millis(4000)), WALL));
        assert!(!lease.allows_start(Moment::after_epoch(Duration::from_millis(4001)), WALL));
    }

    #[test]
    fn it_ends_by_whichever_clock_is_first() {
        let at = |seconds| Moment::after_epoch(Duration::from_secs(seconds));
        assert_eq!(lease().until(leapt(10)), at(20));
        assert_eq!(lease().until(leapt(3600)), at(0));
        let set_back = WallClock::new(Duration::from_secs(1_600_000_000));
        assert_eq!(lease().until(set_back), at(30));
        assert!(
            lease().allows_start(at(15), leapt(10)) && !lease().allows_start(at(16), leapt(10))
        );
    }

    #[test]
    fn the_lease_of_a_connection_is_neither_renewed_nor_ended_by_a_clock() {
        let century = 100 * 365 * 86_400;
        let lease = Lease::new(receipt("a"), renewal(century, Moment::EPOCH));
        let wall = leapt(2 * century);
        assert_eq!(lease.touch_at(wall, &mut Rng::from_number(1)), Moment::FOREVER);
        assert_eq!(lease.until(wall), Moment::FOREVER);
        assert!(lease.allows_start(Moment::EPOCH, wall));
    }

    #[test]
    fn a_renewal_requested_before_a_clock_leap_ends_by_the_wall_clock() {
        let at = |seconds| Moment::after_epoch(Duration::from_secs(seconds));
        let mut lease = lease();
        let before = lease.touch_sent(at(10), WALL);
        lease.touched(receipt("b"), before);
        assert_eq!(lease.until(leapt(25)), at(15));
        let after = lease.touch_sent(at(10), leapt(25));
        lease.touched(receipt("c"), after);
        assert_eq!(lease.until(leapt(25)), at(40));
    }
}
