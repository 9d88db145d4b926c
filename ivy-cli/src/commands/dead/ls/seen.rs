//! Looks at the letters of several queues.

use ivy_proto::QueueName;
use ivy_proto::admin::{Ended, SweepConfig};
use ivy_proto::text::Counted;
use ivy_tokio::{Error, FaultKind, Ivy};

use crate::commands::message::{Message, Showing};
use crate::commands::sweep::{self, FilterOptions};
use crate::commands::time::now;
use crate::exit::{Exit, Failure, fault_kind};
use crate::interrupt::Interrupts;

/// How many letters of a queue a server shows at once.
pub(super) const MOST_AT_ONCE: usize = 100;

/// The letters that were looked at.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) letters: Vec<Message>,
    /// How many letters were looked at and read.
    looked_at: usize,
    /// What was not looked at, or not read, and why.
    pub(super) notes: Vec<String>,
    /// Whether letters were to be looked at and were not.
    is_partial: bool,
    /// How many queues could not be looked at, and why the first one could not.
    failed: usize,
    failure: Option<Failure>,
}

impl Seen {
    /// Looks at the first letters of each queue.
    pub(super) async fn at_heads(
        ivy: &Ivy,
        queues: &[QueueName],
        limit: Option<usize>,
        showing: &Showing,
    ) -> Self {
        let count = limit.unwrap_or(MOST_AT_ONCE).clamp(1, MOST_AT_ONCE);
        let sizes = ivy.admin().info_each(queues).await;
        let peeked = ivy.admin().peek_each(queues, count).await;
        let (mut seen, mut more, now) = (Seen::default(), 0, now());
        let mut hidden: u64 = 0;
        for ((queue, size), peeked) in queues.iter().zip(sizes).zip(peeked) {
            let (size, peeked) = match (size, peeked) {
                (Ok(info), Ok(peeked)) => (info.size.unwrap_or(0), peeked),
                (Err(error), _) | (_, Err(error)) => {
                    seen.failed(queue, error);
                    continue;
                }
            };
            let left = size.saturating_sub(peeked.len() as u64);
            // A server shows as many as there are of those that are ready.
            *(if peeked.len() < count { &mut hidden } else { &mut more }) += left;
            seen.looked_at += peeked.len();
            let messages = peeked.into_iter();
            seen.letters.extend(messages.map(|peeked| Message::of(queue, peeked, showing, now)));
        }
        if more > 0 {
            let text =
                format!("{more} more letters were not looked at; give --all to look at them");
            seen.notes.push(text);
        }
        if hidden > 0 {
            let letters = Counted(hidden, "letter is", "letters are");
            seen.notes.push(format!(
                "{letters} not shown: reserved, delayed, or too large to be shown at once; give --all to \
                 look at those that can be"
            ));
        }
        seen
    }

    /// Looks at all letters of each queue that a filter selects, until the operator interrupts.
    pub(super) async fn by_sweeps(
        ivy: &Ivy,
        queues: &[QueueName],
        (filter, limit): (&FilterOptions, Option<usize>),
        showing: &Showing,
        interrupts: &mut Interrupts,
    ) -> Result<Self, Failure> {
        let (mut seen, now) = (Seen::default(), now());
        for queue in queues {
            let config = filter.apply(SweepConfig::look(queue.clone()), limit)?;
            let report = sweep::look(ivy, config, interrupts, |row| {
                seen.letters.push(Message::found(queue, row, showing, now));
                Ok(())
            })
            .await;
            let report = match report {
                Ok(report) => report,
                // Another operator has deleted it meanwhile.
                Err(failure) if failure.exit == Exit::NothingFound => continue,
                Err(failure) => {
                    seen.failed_with(failure);
                    continue;
                }
            };
            seen.looked_at += report.looked_at - report.too_large;
            seen.notes.extend(sweep::notes_of_look(&report, limit.is_some()));
            match sweep::exit_of_look(&report) {
                Ok(exit) => seen.is_partial |= exit == Exit::DoneInPart,
                Err(failure) => seen.failed_with(failure.within(&format!("queue {queue}"))),
            }
            if report.end == Ended::Interrupted {
                return Err(Failure::interrupted());
            }
        }
        Ok(seen)
    }

    fn failed(&mut self, queue: &QueueName, error: Error) {
        // Another operator has deleted it meanwhile.
        if fault_kind(&error) != Some(FaultKind::NoQueue) {
            self.failed_with(Failure::from(error).within(&format!("queue {queue}")));
        }
    }

    fn failed_with(&mut self, failure: Failure) {
        self.notes.push(failure.to_string());
        self.failed += 1;
        self.failure.get_or_insert(failure);
    }

    /// What is printed if there are no letters to show.
    pub(super) fn nothing(&self, has_filter: bool) -> String {
        let looked_at = Counted(self.looked_at as u64, "dead letter", "dead letters");
        match self.looked_at {
            0 if self.notes.is_empty() => "no dead letters".to_owned(),
            0 => "no dead letter was looked at".to_owned(),
            _ if has_filter => {
                format!("no dead letter matches, of {looked_at} that were looked at")
            }
            _ => "no dead letters".to_owned(),
        }
    }

    /// The failure, if no queue could be looked at.
    pub(super) fn failure_of_all(&self, queues: &[QueueName]) -> Option<Failure> {
        self.failure.clone().filter(|_| self.failed == queues.len())
    }

    pub(super) fn exit(&self) -> Result<Exit, Failure> {
        let is_partial = self.is_partial || self.failed > 0;
        Ok(if is_partial { Exit::DoneInPart } else { Exit::Done })
    }
}
