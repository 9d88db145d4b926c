//! The maintenance of the queues of a server: when it is due, and what is sent for it.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::{Moment, QueueName};

use super::checks;
use super::command::Command;
use super::encode;
use super::keys::{Keys, Prefix};
use super::receipt::Reservation;
use super::unusable::Unusable;

/// How often a queue that receives posts is listed: its entry may have been deleted meanwhile.
const LIST_EVERY: Duration = Duration::from_secs(60);
/// How soon it is listed again after a post that found its list empty: the server may have lost all
/// data, that entry included, and this may be the last post. A queue that workers empty again and
/// again is listed as often.
const LIST_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often due messages are made ready while others are ready.
const DUE_CHECK_EVERY: Duration = Duration::from_millis(50);
/// How often a worker searches for messages that are reserved without a lease.
const ORPHAN_SEARCH_EVERY: Duration = Duration::from_secs(600);

/// A step that no requester waits for.
#[derive(Debug)]
pub(crate) enum MaintenanceStep {
    /// Check the server, once.
    Checks,
    /// Put back messages without a lease; `found` were put back so far.
    Orphans { queue: QueueName, keys: Keys, found: u64 },
    /// Move an element that no worker can handle to the dead-letter queue, with these keys.
    Reject { queue: QueueName, dead: Keys, why: Unusable },
    /// Release messages without a requester.
    Release,
    /// List queues that may not be listed any more.
    List,
}

/// When each step was last done.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    are_checks_done: bool,
    listed: BTreeMap<QueueName, Moment>,
    /// When queues are listed again.
    list_at: BTreeMap<QueueName, Moment>,
    due_checked: BTreeMap<QueueName, Moment>,
    searched: BTreeMap<QueueName, Moment>,
}

impl Maintenance {
    /// The commands before the first operation.
    pub(crate) fn at_start(&mut self, prefix: &Prefix) -> Option<(MaintenanceStep, Vec<Command>)> {
        let is_first = !std::mem::replace(&mut self.are_checks_done, true);
        is_first.then(|| (MaintenanceStep::Checks, checks::commands(prefix)))
    }

    /// The commands before a post to this queue.
    pub(crate) fn list(
        &mut self,
        prefix: &Prefix,
        queue: &QueueName,
        now: Moment,
    ) -> Option<Command> {
        is_due(&mut self.listed, queue, LIST_EVERY, now).then(|| {
            self.list_at.remove(queue);
            encode::list(prefix, queue)
        })
    }

    /// Records a post that was not preceded by the command to list its queue, and may have been the
    /// first one since the server lost its data.
    pub(crate) fn may_be_unlisted(&mut self, queue: &QueueName, now: Moment) {
        if self.list_at.len() < MAX_QUEUES {
            let earliest = self.listed.get(queue).map_or(now, |at| *at + LIST_AGAIN_AFTER);
            self.list_at.entry(queue.clone()).or_insert(earliest.max(now));
        }
    }

    /// When the next queue is to be listed again.
    pub(crate) fn next_list(&self) -> Option<Moment> {
        self.list_at.values().min().copied()
    }

    /// The commands that list queues again, if it is time.
    pub(crate) fn list_again(
        &mut self,
        prefix: &Prefix,
        now: Moment,
    ) -> Option<(MaintenanceStep, Vec<Command>)> {
        let due = self.list_at.iter().filter(|(_, at)| **at <= now);
        let due: Vec<QueueName> = due.map(|(queue, _)| queue.clone()).collect();
        let commands: Vec<Command> = due.iter().map(|queue| encode::list(prefix, queue)).collect();
        for queue in due {
            self.list_at.remove(&queue);
            self.listed.insert(queue, now);
        }
        (!commands.is_empty()).then_some((MaintenanceStep::List, commands))
    }

    /// Records that this queue is deleted: the next post lists it again.
    pub(crate) fn unlisted(&mut self, queue: &QueueName) {
        self.listed.remove(queue);
        self.list_at.remove(queue);
    }

    /// Whether a reserve must make due messages ready, even if others are ready.
    pub(crate) fn start_due_check_if_time(&mut self, queue: &QueueName, now: Moment) -> bool {
        is_due(&mut self.due_checked, queue, DUE_CHECK_EVERY, now)
    }

    /// The commands that accompany a reserve.
    pub(crate) fn orphan_search(
        &mut self,
        queue: &QueueName,
        keys: &Keys,
        now: Moment,
    ) -> Option<(MaintenanceStep, Vec<Command>)> {
        is_due(&mut self.searched, queue, ORPHAN_SEARCH_EVERY, now).then(|| {
            let step =
                MaintenanceStep::Orphans { queue: queue.clone(), keys: keys.clone(), found: 0 };
            (step, vec![encode::orphans(keys, "0")])
        })
    }

    /// Moves an element that no worker can handle to the dead-letter queue, if the queue has one.
    pub(crate) fn reject(
        &self,
        prefix: &Prefix,
        queue: &QueueName,
        (reservation, why): (&Reservation, Unusable),
        id: &str,
    ) -> Option<(MaintenanceStep, Vec<Command>)> {
        let dead = queue.dead_letter_queue().ok()?;
        let (from, to) = (prefix.keys(queue), prefix.keys(&dead));
        let commands =
            vec![encode::list(prefix, &dead), encode::reject(&from, &to, reservation, why, id)];
        Some((MaintenanceStep::Reject { queue: queue.clone(), dead: to, why }, commands))
    }
}

/// How many queues are remembered while their steps are not due; beyond that, queues whose step is
/// due again are forgotten. Names of queues may be generated from data.
const MAX_QUEUES: usize = 1000;

/// Whether a step is due for a queue. If so, it counts as done.
fn is_due(
    done: &mut BTreeMap<QueueName, Moment>,
    queue: &QueueName,
    every: Duration,
    now: Moment,
) -> bool {
    match done.get_mut(queue) {
        Some(at) if now.since(*at) < every => false,
        Some(at) => {
            *at = now;
            true
        }
        None => {
            if done.len() >= MAX_QUEUES {
                done.retain(|_, at| now.since(*at) < every);
            }
            done.insert(queue.clone(), now);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_is_listed_again_after_a_minute_or_when_it_was_deleted() {
        let prefix = Prefix::from_url(None).unwrap();
        let [mail, news] = ["mail", "news"].map(|name| QueueName::new(name).unwrap());
        let mut maintenance = Maintenance::default();
        let after = |seconds| Moment::EPOCH + Duration::from_secs(seconds);
        let mut is_listed =
            |queue: &QueueName, seconds| maintenance.list(&prefix, queue, after(seconds)).is_some();
        assert!(is_listed(&mail, 0) && is_listed(&news, 30));
        assert!(!is_listed(&mail, 59) && !is_listed(&news, 60));
        assert!(is_listed(&mail, 60));
        maintenance.unlisted(&news);
        assert!(maintenance.list(&prefix, &news, after(61)).is_some());
    }

    #[test]
    fn a_queue_that_may_have_been_lost_is_listed_again_at_most_once_a_second() {
        let prefix = Prefix::from_url(None).unwrap();
        let mail = QueueName::new("mail").unwrap();
        let mut maintenance = Maintenance::default();
        let after = |millis| Moment::EPOCH + Duration::from_millis(millis);
        maintenance.list(&prefix, &mail, after(0));
        assert_eq!(maintenance.next_list(), None);
        maintenance.may_be_unlisted(&mail, after(300));
        maintenance.may_be_unlisted(&mail, after(400));
        assert_eq!(maintenance.next_list(), Some(after(1_000)));
        assert!(maintenance.list_again(&prefix, after(999)).is_none());
        let (_, commands) = maintenance.list_again(&prefix, after(1_000)).unwrap();
        assert_eq!((commands.len(), maintenance.next_list()), (1, None));
        maintenance.may_be_unlisted(&mail, after(1_500));
        assert_eq!(maintenance.next_list(), Some(after(2_000)));
        maintenance.unlisted(&mail);
        assert_eq!(maintenance.next_list(), None);
    }

    #[test]
    fn unused_queues_are_forgotten() {
        let mut maintenance = Maintenance::default();
        for number in 0..3 * MAX_QUEUES as u64 {
            let queue = QueueName::new(&format!("of.{number}")).unwrap();
            let now = Moment::EPOCH + Duration::from_millis(number);
            assert!(maintenance.start_due_check_if_time(&queue, now));
            assert!(maintenance.due_checked.len() <= MAX_QUEUES);
        }
    }

    #[test]
    fn the_server_is_checked_once() {
        let prefix = Prefix::from_url(None).unwrap();
        let mut maintenance = Maintenance::default();
        assert!(maintenance.at_start(&prefix).is_some());
        assert!(maintenance.at_start(&prefix).is_none());
    }
}
