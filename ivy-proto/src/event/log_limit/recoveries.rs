//! Delays the reports of parts that fail and recover repeatedly.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Event, Part};
use crate::time::Moment;

use super::LogLine;

/// How long a repeated recovery must last before it is written.
const LASTS: Duration = Duration::from_secs(10);
/// A recovery within this time after another one counts as repeated.
const REPEATED_WITHIN: Duration = Duration::from_secs(60);
/// The maximum number of remembered parts; the oldest is evicted.
const MAX_KINDS: usize = 256;

/// The last recovery of each part, ordered by time.
#[derive(Debug, Default)]
pub(super) struct Recoveries(VecDeque<Recovery>);

#[derive(Debug)]
struct Recovery {
    part: Part,
    at: Moment,
    /// Whether its line is still pending.
    waits: bool,
}

impl Recoveries {
    pub(super) fn admits(&mut self, part: &Part, now: Moment, lines: &mut Vec<LogLine>) -> bool {
        let known = self.0.iter().position(|recovery| recovery.part == *part);
        let before = known.and_then(|position| self.0.remove(position));
        let repeated = before.is_some_and(|before| now.since(before.at) < REPEATED_WITHIN);
        if self.0.len() == MAX_KINDS {
            let oldest = self.0.pop_front().filter(|oldest| oldest.waits);
            lines.extend(oldest.map(|mut oldest| oldest.line()));
        }
        self.0.push_back(Recovery { part: part.clone(), at: now, waits: repeated });
        !repeated
    }

    /// The part fails again.
    pub(super) fn ended(&mut self, part: &Part) {
        for recovery in self.0.iter_mut().filter(|recovery| recovery.part == *part) {
            recovery.waits = false;
        }
    }

    /// Appends the recoveries that have lasted long enough.
    pub(super) fn lasted(&mut self, now: Moment, lines: &mut Vec<LogLine>) {
        let lasted = self.0.iter_mut().filter(|recovery| recovery.waits);
        lines.extend(lasted.take_while(|recovery| recovery.at + LASTS <= now).map(Recovery::line));
    }

    pub(super) fn next_lasted(&self) -> Option<Moment> {
        self.0.iter().find(|recovery| recovery.waits).map(|recovery| recovery.at + LASTS)
    }
}

impl Recovery {
    fn line(&mut self) -> LogLine {
        self.waits = false;
        LogLine { event: Event::Recovered { part: self.part.clone() }, left_out: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DegradedReason, LogLimit};
    use crate::name::QueueName;
    use crate::wire::DeadLetterReason;

    fn part() -> Part {
        Part::Messages(QueueName::new("shop").unwrap())
    }

    fn degraded() -> Event {
        Event::Degraded {
            part: part(),
            why: DegradedReason::Messages(DeadLetterReason::UnknownTask),
        }
    }

    fn recovered() -> Event {
        Event::Recovered { part: part() }
    }

    fn second(number: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(number))
    }

    #[test]
    fn a_first_recovery_is_written_immediately() {
        let mut limit = LogLimit::default();
        assert!(limit.admits(&degraded(), second(0)));
        assert!(limit.admits(&recovered(), second(1)));
        assert_eq!(limit.next_due(), None);
    }

    #[test]
    fn a_repeated_recovery_is_written_once_it_has_lasted() {
        let mut limit = LogLimit::default();
        for second_of in [0, 5] {
            limit.admits(&degraded(), second(second_of));
            limit.admits(&recovered(), second(second_of + 1));
        }
        assert_eq!(limit.next_due(), Some(second(16)));
        assert!(limit.due(second(15)).is_empty());
        let lines: Vec<String> = limit.due(second(16)).iter().map(ToString::to_string).collect();
        assert_eq!(lines, [recovered().to_string()]);
        assert_eq!(limit.next_due(), Some(second(60)), "the count of failures");
    }

    #[test]
    fn a_part_that_fails_and_recovers_each_second_does_not_fill_the_log() {
        let mut limit = LogLimit::default();
        let mut lines = 0;
        for now in (0..600).map(second) {
            lines += usize::from(limit.admits(&degraded(), now));
            lines += usize::from(limit.admits(&recovered(), now));
            lines += limit.due(now).len();
        }
        // Per minute: one failure and the count of the others. In addition, one recovery.
        assert!(lines <= 10 * 2 + 1, "{lines}");
    }

    #[test]
    fn recoveries_far_apart_are_not_repeated() {
        let mut limit = LogLimit::default();
        for minute in 0..5 {
            assert!(limit.admits(&degraded(), second(61 * minute)));
            assert!(limit.admits(&recovered(), second(61 * minute)));
        }
    }
}
