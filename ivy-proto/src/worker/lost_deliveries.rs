//! Counts the lost deliveries of a message, and decides when a message must be replaced to keep the
//! count.
//!
//! A delivery ends with its handler or by a deliberate release, or it is lost: its worker crashed,
//! or its lease ended. Only lost deliveries indicate that a task may crash its workers.
//!
//! If the queue's counts are exact, they contain the lost deliveries. Otherwise the count is an
//! upper bound, because it includes renewals and releases, or only a flag: there was an earlier
//! delivery. Then the message carries the number as `options.ivy.lost`, and a copy with another
//! number replaces it:
//!
//! * Just before a start that follows a lost delivery, by a copy with one more. The queue counts
//!   the copy's deliveries from 1, so it runs when it is delivered, and is replaced again only
//!   after that delivery was lost as well.
//! * At a deliberate release, by a copy with the same number, so that the release does not count as
//!   a lost delivery.
//!
//! Most messages are delivered once and never carry a number: up to a small count they are started
//! and released unchanged. A flag has no such margin.

use crate::planted::{Bug, planted};
use crate::queue::DeliveryCount;

/// Up to this count a message without a number starts unchanged.
const MAX_UNCHANGED_COUNT: u32 = 5;

/// The known facts about earlier deliveries of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deliveries {
    /// How many ended with a failed attempt and a release of the message itself.
    pub(super) failed: u32,
    /// How many were lost, as far as known.
    pub(super) lost: u32,
    /// Whether it may have been delivered before.
    pub(super) is_redelivery: bool,
    /// Whether the queue counts exactly, and so also counts the failed attempts.
    pub(super) are_exact: bool,
    record: Record,
}

/// Where the number of lost deliveries is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// Not in the message: the queue counts, or the message must not be changed.
    Elsewhere,
    /// In the message.
    Message { count: u32, carries_it: bool },
    /// In the message; the queue reports only whether it was delivered before.
    FlaggedMessage { is_redelivery: bool },
}

impl Deliveries {
    /// Evaluates the queue's count and the number that the message carries, or 0. Only a task that
    /// allows retries may be copied.
    pub(super) fn new(count: DeliveryCount, carried: u32, allows_retries: bool) -> Self {
        let carries_it = carried > 0;
        let (failed, lost, is_redelivery, record) = match count {
            DeliveryCount::Exact { failed, lost } => {
                (failed, lost, failed > 0 || lost > 0, Record::Elsewhere)
            }
            DeliveryCount::UpperBound(count) if planted(Bug::CountRenewals) => {
                (0, count.get() - 1, count.get() > 1, Record::Elsewhere)
            }
            DeliveryCount::UpperBound(count) if allows_retries => {
                let count = count.get();
                let record = Record::Message { count, carries_it };
                (0, u32::from(record.follows_a_loss()), count > 1 || carries_it, record)
            }
            // Only the queue's count is available; it includes renewals, so it may be this many
            // times too large.
            DeliveryCount::UpperBound(count) => {
                let count = count.get();
                (0, (count - 1) / MAX_UNCHANGED_COUNT, count > 1, Record::Elsewhere)
            }
            DeliveryCount::Redelivered(is_redelivery) => {
                let record = match allows_retries {
                    true => Record::FlaggedMessage { is_redelivery },
                    false => Record::Elsewhere,
                };
                (0, u32::from(is_redelivery), is_redelivery || carries_it, record)
            }
            DeliveryCount::Unknown => (0, 0, false, Record::Elsewhere),
        };
        let are_exact = matches!(count, DeliveryCount::Exact { .. });
        Deliveries { failed, lost: carried.saturating_add(lost), is_redelivery, are_exact, record }
    }

    /// Forbids replacing the message.
    pub(super) fn keep_the_message(&mut self) {
        self.record = Record::Elsewhere;
    }

    /// Whether a copy with the number of lost deliveries must replace the message before it starts.
    pub(super) fn replace_before_start(self) -> bool {
        self.record.follows_a_loss()
    }

    /// Whether a copy must replace the message at a deliberate release after this many renewals.
    pub(super) fn replace_at_release(self, renewals: u32) -> bool {
        match self.record {
            Record::Elsewhere => false,
            Record::FlaggedMessage { .. } | Record::Message { carries_it: true, .. } => true,
            // If it were released unchanged, its next delivery would have a higher count.
            Record::Message { count, .. } => count.saturating_add(renewals) >= MAX_UNCHANGED_COUNT,
        }
    }

    /// Whether so many were lost that the task is considered to crash its workers.
    pub(super) fn are_too_many(self, limit: u32) -> bool {
        self.lost >= limit
    }

    /// Whether so many were lost that the task may be crashing workers.
    pub(super) fn may_crash_workers(self, limit: u32) -> bool {
        self.lost >= limit / 2
    }
}

impl Record {
    /// Whether the last delivery was lost, or may have been according to the queue's count.
    fn follows_a_loss(self) -> bool {
        match self {
            Record::Elsewhere => false,
            Record::FlaggedMessage { is_redelivery } => is_redelivery,
            Record::Message { count, carries_it: true } => count > 1,
            Record::Message { count, .. } => count > MAX_UNCHANGED_COUNT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: u32) -> DeliveryCount {
        DeliveryCount::from_reserved_count(Some(count))
    }

    #[test]
    fn exact_counts_are_trusted() {
        let count = DeliveryCount::Exact { failed: 3, lost: 4 };
        let deliveries = Deliveries::new(count, 0, true);
        assert_eq!((deliveries.failed, deliveries.lost), (3, 4));
        assert!(!deliveries.replace_before_start() && !deliveries.replace_at_release(1000));
    }

    #[test]
    fn up_to_a_count_of_five_a_message_starts_unchanged_and_no_delivery_counts_as_lost() {
        for count in 1..=5 {
            let deliveries = Deliveries::new(counted(count), 0, true);
            assert!(!deliveries.replace_before_start(), "{count}");
            assert_eq!(deliveries.lost, 0, "{count}");
        }
    }

    #[test]
    fn a_larger_count_of_the_queue_counts_as_one_lost_delivery() {
        for count in [6, 52, 100_000, u32::MAX] {
            let deliveries = Deliveries::new(counted(count), 0, true);
            assert!(deliveries.replace_before_start(), "{count}");
            assert_eq!(deliveries.lost, 1, "{count}");
        }
    }

    #[test]
    fn a_copy_starts_at_its_first_delivery_and_counts_one_more_at_its_second() {
        let first = Deliveries::new(counted(1), 3, true);
        assert!(!first.replace_before_start() && first.is_redelivery);
        let second = Deliveries::new(counted(2), 3, true);
        assert!(second.replace_before_start());
        assert_eq!((first.lost, second.lost), (3, 4));
    }

    #[test]
    fn a_release_that_would_look_like_a_loss_replaces_the_message() {
        let replaced = |count, carried, renewals| {
            Deliveries::new(counted(count), carried, true).replace_at_release(renewals)
        };
        assert!(!replaced(1, 0, 0) && !replaced(4, 0, 0) && !replaced(1, 0, 3));
        assert!(replaced(5, 0, 0) && replaced(1, 0, 4) && replaced(1, 1, 0));
    }

    #[test]
    fn a_flag_counts_as_one_lost_delivery_and_each_release_replaces_the_message() {
        let of = |is_redelivery, carried, allows_retries| {
            Deliveries::new(DeliveryCount::Redelivered(is_redelivery), carried, allows_retries)
        };
        let (first, second) = (of(false, 3, true), of(true, 3, true));
        assert_eq!((first.lost, second.lost), (3, 4));
        assert!(
            first.is_redelivery && !first.replace_before_start() && second.replace_before_start()
        );
        assert!(!of(false, 0, true).is_redelivery && of(false, 0, true).replace_at_release(0));
        let once = of(true, 0, false);
        assert!(!once.replace_before_start() && !once.replace_at_release(0));
    }

    #[test]
    fn without_retries_a_message_stays_unchanged_and_the_queues_count_decides() {
        let of = |count| Deliveries::new(counted(count), 0, false);
        assert!(!of(u32::MAX).replace_before_start() && !of(u32::MAX).replace_at_release(9));
        assert!(!of(50).are_too_many(10) && of(51).are_too_many(10));
    }

    #[test]
    fn an_unknown_count_means_no_lost_delivery() {
        let deliveries = Deliveries::new(DeliveryCount::Unknown, 0, true);
        assert_eq!((deliveries.lost, deliveries.is_redelivery), (0, false));
        assert_eq!(DeliveryCount::from_reserved_count(Some(0)), DeliveryCount::Unknown);
    }
}
