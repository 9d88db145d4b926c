//! Limits how many lines of the log one cause can fill.
//!
//! Anyone who can post to a queue decides how often its workers warn. Of similar warnings that each
//! name a task or a message, the first ten of each minute are therefore written one by one; of those
//! that name only a queue or the notifier, the first one. The rest is written as one line with its
//! count at the end of the minute. A part that fails and recovers repeatedly is reported as
//! recovered once the recovery has lasted ten seconds. Only lines of the log are limited, not
//! events.

mod bursts;
mod recoveries;

use std::fmt::{self, Display, Formatter};

use crate::time::Moment;

use super::{Event, Fields, Level, LogTarget};
use bursts::Bursts;
use recoveries::Recoveries;

/// Decides which warnings are written to the log, and when.
///
/// It has no clock: call [`due`](LogLimit::due) at [`next_due`](LogLimit::next_due) at the latest,
/// and [`flush`](LogLimit::flush) before the log ends.
///
/// ```
/// use ivy_proto::event::{Event, LogLimit};
/// use ivy_proto::{MessageId, Moment, QueueName};
///
/// let mut limit = LogLimit::default();
/// let queue = QueueName::new("shop")?;
/// let forged = |n: u32| Event::PeerFault {
///     queue: queue.clone(),
///     message: MessageId::new(n.to_string()),
/// };
/// let written = (0..1_000).filter(|n| limit.admits(&forged(*n), Moment::EPOCH)).count();
/// assert_eq!(written, 10);
///
/// let end_of_the_minute = limit.next_due().expect("lines were left out");
/// let lines = limit.due(end_of_the_minute);
/// assert!(lines[0].to_string().contains("990 more"));
/// # Ok::<(), ivy_proto::InvalidName>(())
/// ```
#[derive(Debug, Default)]
pub struct LogLimit {
    bursts: Bursts,
    recoveries: Recoveries,
    /// Lines of evicted entries.
    early: Vec<LogLine>,
}

/// A line that is written later than its event, or instead of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    event: Event,
    left_out: u64,
}

impl LogLimit {
    /// Whether to write a line for this event now. Other events are counted or written later.
    /// Only events of [`Level::Warn`] are limited.
    pub fn admits(&mut self, event: &Event, now: Moment) -> bool {
        if event.level() != Level::Warn {
            return true;
        }
        match event {
            Event::Recovered { part } => self.recoveries.admits(part, now, &mut self.early),
            Event::Degraded { part, .. } => {
                self.recoveries.ended(part);
                self.bursts.admits(event, now, &mut self.early)
            }
            _ => self.bursts.admits(event, now, &mut self.early),
        }
    }

    /// The lines to write now.
    #[must_use = "a line that is not written is lost"]
    pub fn due(&mut self, now: Moment) -> Vec<LogLine> {
        let mut lines = std::mem::take(&mut self.early);
        self.bursts.end(now, &mut lines);
        self.recoveries.lasted(now, &mut lines);
        lines
    }

    /// When to call [`due`](LogLimit::due) next. `None` if no line is pending.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        if !self.early.is_empty() {
            return Some(Moment::EPOCH);
        }
        self.bursts.next_end().into_iter().chain(self.recoveries.next_lasted()).min()
    }

    /// The counts of lines left out so far, without waiting for the end of the minute.
    #[must_use = "a line that is not written is lost"]
    pub fn flush(&mut self) -> Vec<LogLine> {
        let mut lines = std::mem::take(&mut self.early);
        self.bursts.flush(&mut lines);
        lines
    }
}

impl LogLine {
    /// The line's target.
    #[must_use]
    pub fn target(&self) -> LogTarget {
        self.event.target()
    }

    /// The line's fields: if it stands for several events, their count and what they have in common.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        match self.left_out {
            0 => self.event.fields(),
            more => self.event.fields().of_many(more),
        }
    }
}

impl Display for LogLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.left_out {
            0 => write!(f, "{}", self.event),
            more => write!(f, "{more} more within a minute, among them: {}", self.event),
        }
    }
}
