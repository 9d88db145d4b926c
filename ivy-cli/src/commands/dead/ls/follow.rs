//! Prints dead letters as they arrive.

use std::collections::BTreeSet;
use std::iter;
use std::time::Duration;

use ivy_proto::{MessageId, QueueName};
use ivy_tokio::Ivy;

use super::queues::Queues;
use super::seen::MOST_AT_ONCE;
use crate::commands::message::{Message, MessageRecord, Showing};
use crate::commands::time::now;
use crate::commands::watch::Interval;
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output, Page, Report};

/// How many letters are remembered, so that one that was reserved meanwhile is not printed again.
const MOST_KNOWN: usize = 100_000;

/// Prints the letters that arrive from now on, among the first ones of each queue.
pub(super) async fn run(
    ivy: &Ivy,
    queues: &Queues,
    showing: &Showing,
    output: &Output,
    interval: Interval,
) -> Result<Exit, Failure> {
    let mut followed = Followed::default();
    let look = async |wait: Duration| {
        tokio::time::sleep(wait).await;
        let queues = queues.names(ivy).await?;
        followed.look(ivy, &queues, showing, output).await?;
        Ok(Exit::Done)
    };
    interval.repeat(output, look).await
}

/// What was seen so far.
#[derive(Default)]
struct Followed {
    /// The letters; `None` before the first look, which prints none.
    known: Option<BTreeSet<(QueueName, MessageId)>>,
    /// The queues with more letters than a server shows.
    hidden: BTreeSet<QueueName>,
}

impl Followed {
    /// Prints the letters that have arrived since the last look.
    async fn look(
        &mut self,
        ivy: &Ivy,
        queues: &[QueueName],
        showing: &Showing,
        output: &Output,
    ) -> Result<(), Failure> {
        let peeked = ivy.admin().peek_each(queues, MOST_AT_ONCE).await;
        let (mut current, now) = (BTreeSet::new(), now());
        for (queue, peeked) in queues.iter().zip(peeked) {
            // The next look may succeed.
            let Ok(peeked) = peeked else { continue };
            if peeked.len() >= MOST_AT_ONCE && self.hidden.insert(queue.clone()) {
                output.note_aside(&Note::truncated(format!(
                    "{queue} has {MOST_AT_ONCE} letters or more: those behind them are not seen"
                )));
            }
            for letter in peeked {
                let key = (queue.clone(), letter.message.clone());
                if self.known.as_ref().is_some_and(|known| !known.contains(&key)) {
                    output.show(&Arrived(Message::of(queue, letter, showing, now)))?;
                }
                current.insert(key);
            }
        }
        self.known = Some(match self.known.take() {
            Some(mut known) if known.len() < MOST_KNOWN => {
                known.append(&mut current);
                known
            }
            _ => current,
        });
        Ok(())
    }
}

/// A letter that has arrived.
struct Arrived(Message);

impl Report for Arrived {
    type Record<'a> = MessageRecord<'a>;

    fn page(&self, page: &mut Page) {
        page.line(&self.0.line());
    }

    fn records(&self) -> impl Iterator<Item = MessageRecord<'_>> {
        iter::once(self.0.record())
    }
}
