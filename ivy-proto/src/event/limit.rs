//! How many lines of the log one cause may fill.
//!
//! Whoever can post to a queue decides how often its workers warn. So of warnings that are alike, the
//! first ten of each minute are written one by one, and the rest as one line with their number when
//! the minute is over. A part that fails and recovers again and again is reported as recovered only
//! once that has lasted for ten seconds. Events are not limited, only lines of the log.

mod bursts;
mod recoveries;

use std::fmt::{self, Display, Formatter};

use crate::time::Moment;

use super::{Event, Level};
use bursts::Bursts;
use recoveries::Recoveries;

/// Decides which warnings are written to the log, and when.
///
/// It keeps no clock: ask [`due`](LogLimit::due) at [`next_due`](LogLimit::next_due) at the latest,
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
    /// What gave way to something newer before its time.
    early: Vec<LogLine>,
}

/// A line that is written later than its event, or in place of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    event: Event,
    left_out: u64,
}

impl LogLimit {
    /// Whether a line is written for this event now. One that is not is counted, or written later.
    /// Events of [`Level::Debug`] are not limited.
    pub fn admits(&mut self, event: &Event, now: Moment) -> bool {
        if event.level() == Level::Debug {
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

    /// The lines that are to be written by now.
    #[must_use = "a line that is not written is lost"]
    pub fn due(&mut self, now: Moment) -> Vec<LogLine> {
        let mut lines = std::mem::take(&mut self.early);
        self.bursts.end(now, &mut lines);
        self.recoveries.lasted(now, &mut lines);
        lines
    }

    /// When to ask for lines that are due. Nothing if there will be none.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        if !self.early.is_empty() {
            return Some(Moment::EPOCH);
        }
        self.bursts.next_end().into_iter().chain(self.recoveries.next_lasted()).min()
    }

    /// The numbers of what was left out so far, without waiting for the end of the minute.
    #[must_use = "a line that is not written is lost"]
    pub fn flush(&mut self) -> Vec<LogLine> {
        let mut lines = std::mem::take(&mut self.early);
        self.bursts.flush(&mut lines);
        lines
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
