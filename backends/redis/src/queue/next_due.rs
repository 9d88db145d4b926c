//! What reserves report about messages that are due later.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::{Moment, QueueName};

/// How long a report is used. Leases that began since then end up to this much late.
const MAX_AGE: Duration = Duration::from_secs(1);
/// How many queues are remembered. Names of queues may be generated from data.
const MAX_QUEUES: usize = 1000;

/// When the next delayed message is due or the next lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextDue {
    In(Duration),
    /// The queue knows of no delayed message and no lease.
    Unknown,
}

impl NextDue {
    /// The time until then, at most `limit`.
    pub(crate) fn at_most(self, limit: Duration) -> Duration {
        match self {
            NextDue::In(time) => time.min(limit),
            NextDue::Unknown => limit,
        }
    }
}

/// A reserve left no message ready, and reported when the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextDueReport {
    /// When it was received.
    pub(crate) at: Moment,
    pub(crate) due: NextDue,
}

/// The latest report for each queue. With one, the server can be made to wait without a look at the
/// queue first.
#[derive(Debug, Default)]
pub(crate) struct NextDueReports(BTreeMap<QueueName, NextDueReport>);

impl NextDueReports {
    pub(crate) fn add(&mut self, queue: &QueueName, report: NextDueReport) {
        if let Some(earlier) = self.0.get_mut(queue) {
            *earlier = report;
            return;
        }
        if self.0.len() >= MAX_QUEUES {
            self.0.retain(|_, earlier| earlier.is_usable(report.at, Duration::ZERO));
        }
        if self.0.len() < MAX_QUEUES {
            self.0.insert(queue.clone(), report);
        }
    }

    /// Removes the report for a queue, and returns it if nothing is due within `time`.
    pub(crate) fn take(
        &mut self,
        queue: &QueueName,
        time: Duration,
        now: Moment,
    ) -> Option<NextDueReport> {
        self.0.remove(queue).filter(|report| report.is_usable(now, time))
    }

    /// Forgets all reports: another server may be in use.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl NextDueReport {
    /// Whether it is recent, and nothing is due within `time`.
    fn is_usable(&self, now: Moment, time: Duration) -> bool {
        let is_due_later = match self.due {
            NextDue::In(due) => self.at + due >= now + time,
            NextDue::Unknown => true,
        };
        now.since(self.at) < MAX_AGE && is_due_later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Moment {
        Moment::EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn a_report_is_used_once_while_it_is_recent_and_nothing_is_due() {
        let [mail, news] = ["mail", "news"].map(|name| QueueName::new(name).unwrap());
        let report = NextDueReport { at: after(0), due: NextDue::In(Duration::from_millis(100)) };
        let taken = |millis| {
            let mut reports = NextDueReports::default();
            reports.add(&mail, report);
            assert_eq!(reports.take(&news, Duration::ZERO, after(millis)), None);
            let taken = reports.take(&mail, Duration::from_millis(10), after(millis));
            assert_eq!(reports.take(&mail, Duration::ZERO, after(millis)), None);
            taken
        };
        assert_eq!(taken(90), Some(report));
        assert_eq!(taken(91), None);
        let mut reports = NextDueReports::default();
        reports.add(&mail, NextDueReport { at: after(0), due: NextDue::Unknown });
        assert_eq!(reports.take(&mail, Duration::ZERO, after(1000)), None);
    }

    #[test]
    fn unused_queues_are_forgotten() {
        let mut reports = NextDueReports::default();
        for number in 0..3 * MAX_QUEUES as u64 {
            let queue = QueueName::new(&format!("of.{number}")).unwrap();
            let report = NextDueReport { at: after(number), due: NextDue::Unknown };
            reports.add(&queue, report);
            assert!(reports.0.len() <= MAX_QUEUES);
        }
        assert!(!reports.0.is_empty());
    }
}
