//! Prints dead letters as they arrive.

use std::collections::BTreeSet;
use std::iter;
use std::time::Duration;

use ivy_proto::{MessageId, QueueName};
use ivy_tokio::Ivy;

use super::queues;
use super::seen::MOST_AT_ONCE;
use crate::commands::message::{Message, MessageRecord, Showing};
use crate::commands::time::now;
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output, Page, Report};

/// The shortest interval, so that a typing error does not load a server.
const SHORTEST: Duration = Duration::from_millis(100);
/// How many letters are remembered, so that one that was reserved meanwhile is not printed again.
const MOST_KNOWN: usize = 100_000;

/// Prints the letters that arrive from now on, among the first ones of each queue.
pub(super) async fn run(
    ivy: &Ivy,
    queue: Option<&QueueName>,
    showing: &Showing,
    output: &Output,
    interval: Duration,
) -> Result<Exit, Failure> {
    let mut known: Option<BTreeSet<(QueueName, MessageId)>> = None;
    let mut hidden = BTreeSet::new();
    loop {
        let queues = queues(ivy, queue).await?;
        let peeked = ivy.admin().peek_each(&queues, MOST_AT_ONCE).await;
        let (mut current, now) = (BTreeSet::new(), now());
        for (queue, peeked) in queues.iter().zip(peeked) {
            // The next look may succeed.
            let Ok(peeked) = peeked else { continue };
            if peeked.len() >= MOST_AT_ONCE && hidden.insert(queue.clone()) {
                output.note_aside(&Note::truncated(format!(
                    "{queue} has {MOST_AT_ONCE} letters or more: those behind them are not seen"
                )));
            }
            for letter in peeked {
                let key = (queue.clone(), letter.message.clone());
                if known.as_ref().is_some_and(|known| !known.contains(&key)) {
                    output.show(&Arrived(Message::of(queue, letter, showing, now)))?;
                }
                current.insert(key);
            }
        }
        known = Some(match known.take() {
            Some(mut known) if known.len() < MOST_KNOWN => {
                known.append(&mut current);
                known
            }
            _ => current,
        });
        tokio::time::sleep(interval.max(SHORTEST)).await;
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
