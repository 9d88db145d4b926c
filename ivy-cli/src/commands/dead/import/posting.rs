//! Posts letters in batches, and knows from which line each of them is.

use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::queue::{Batch, Body, Effect, Fault, FaultKind, NewMessage, QueueOp, QueueReply};
use ivy_tokio::Ivy;

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Progress;

/// The size of a message in a request without its body, at most.
const AROUND_A_BODY: usize = 64;

/// Letters that are posted in batches. A letter that may have been posted is not posted again.
pub(super) struct Posting<'a> {
    ivy: &'a Ivy,
    progress: Progress,
    /// The queue of the letters that wait, and how many bytes they have.
    queue: Option<QueueName>,
    waiting: Vec<Letter>,
    bytes: usize,
    pub(super) posted: u64,
    /// How many may have been posted.
    pub(super) unknown: u64,
}

#[derive(Clone)]
struct Letter {
    /// The number of its line.
    line: usize,
    body: Body,
}

impl<'a> Posting<'a> {
    pub(super) fn new(ivy: &'a Ivy) -> Self {
        Posting {
            ivy,
            progress: Progress::start("importing"),
            queue: None,
            waiting: Vec::new(),
            bytes: 0,
            posted: 0,
            unknown: 0,
        }
    }

    /// Adds the letter of a line. Posts those that wait if it does not fit into their batch.
    pub(super) async fn add(
        &mut self,
        line: usize,
        (queue, body): (QueueName, Body),
        interrupts: &mut Interrupts,
    ) -> Result<(), Failure> {
        let capabilities = self.ivy.queue().capabilities();
        if body.as_str().len() > capabilities.max_body {
            let text = format!("it is longer than queue {queue} accepts");
            return Err(Failure::new(Exit::Failed, text).within(&format!("line {line}")));
        }
        let size = serde_json::to_string(body.as_str()).map_or(0, |text| text.len());
        let size = size + AROUND_A_BODY;
        let is_full = self.waiting.len() >= capabilities.batch.post
            || self.bytes + size > capabilities.max_request
            || self.queue.as_ref().is_some_and(|other| *other != queue);
        if is_full {
            self.flush(interrupts).await?;
        }
        self.queue = Some(queue);
        self.bytes += size;
        self.waiting.push(Letter { line, body });
        Ok(())
    }

    /// Posts the letters that wait. The failure names the line of the first one that was not posted.
    pub(super) async fn flush(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let Some(queue) = self.queue.clone() else { return Ok(()) };
        let mut first_failure: Option<(usize, Fault)> = None;
        let mut batches = vec![waiting];
        while let Some(batch) = batches.pop() {
            let results = self.post(&queue, &batch, interrupts).await?;
            // One letter may be the cause that its whole batch is refused.
            if batch.len() > 1 && results.iter().all(may_be_due_to_another) {
                let (first, second) = batch.split_at(batch.len() / 2);
                batches.extend([second.to_vec(), first.to_vec()]);
                continue;
            }
            for (letter, result) in batch.iter().zip(results) {
                match result {
                    Ok(()) => self.posted += 1,
                    Err(fault) => {
                        self.unknown += u64::from(fault.effect() == Effect::Unknown);
                        first_failure.get_or_insert((letter.line, fault));
                    }
                }
            }
            self.progress.set(self.posted, None);
        }
        match first_failure {
            None => Ok(()),
            Some((line, fault)) => Err(Failure::new(Exit::Failed, fault.to_string())
                .within(&format!("line {line}: queue {queue}"))),
        }
    }

    /// Posts a batch. Returns one result for each of its letters.
    async fn post(
        &mut self,
        queue: &QueueName,
        batch: &[Letter],
        interrupts: &mut Interrupts,
    ) -> Result<Vec<Result<(), Fault>>, Failure> {
        let message =
            |letter: &Letter| NewMessage { body: letter.body.clone(), delay: Duration::ZERO };
        let Some(messages) = Batch::new(batch.iter().map(message).collect()) else {
            return Ok(Vec::new());
        };
        let op = QueueOp::Post { queue: queue.clone(), messages };
        let Ok(reply) = interrupts.or(self.ivy.queue().execute(op)).await else {
            self.unknown += batch.len() as u64;
            return Err(Failure::interrupted());
        };
        let all = |fault: Fault| vec![Err(fault); batch.len()];
        Ok(match reply {
            Ok(QueueReply::Posted(entries)) if entries.len() == batch.len() => {
                entries.into_iter().map(|entry| entry.map(|_| ())).collect()
            }
            Ok(_) => all(Fault::new(FaultKind::BadResponse)),
            Err(fault) => all(fault),
        })
    }
}

/// Whether a server may have refused a letter because of another one in its batch.
fn may_be_due_to_another(result: &Result<(), Fault>) -> bool {
    let is_possible = |kind| matches!(kind, FaultKind::Refused | FaultKind::TooLarge);
    result.as_ref().is_err_and(|fault| is_possible(fault.kind()))
}
