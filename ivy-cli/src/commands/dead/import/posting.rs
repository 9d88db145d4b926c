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
    /// The lines that may have been posted, those that were refused, and the last one of all that
    /// were tried.
    unknown_lines: Vec<usize>,
    refused_lines: Vec<usize>,
    last_line: usize,
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
            progress: Progress::new("importing"),
            queue: None,
            waiting: Vec::new(),
            bytes: 0,
            posted: 0,
            unknown: 0,
            unknown_lines: Vec::new(),
            refused_lines: Vec::new(),
            last_line: 0,
        }
    }

    /// Which lines are left after an import that has ended early.
    pub(super) fn rest(&self) -> String {
        let (mut refused, mut next) = (self.refused_lines.clone(), self.last_line + 1);
        while refused.pop_if(|line| *line + 1 == next).is_some() {
            next -= 1;
        }
        let others = match &refused[..] {
            [] => String::new(),
            lines => format!("line {} and ", list(lines)),
        };
        let mut text = format!(
            "to resume, mend what failed, and import only {others}the lines from {next} on"
        );
        if !self.unknown_lines.is_empty() {
            let lines = list(&self.unknown_lines);
            text += &format!("; line {lines} may be posted: look for these letters first");
        }
        text
    }

    /// Adds the letter of a line. Posts those that wait if it does not fit into their batch.
    pub(super) async fn add(
        &mut self,
        line: usize,
        (queue, body): (QueueName, Body),
        interrupts: &mut Interrupts,
    ) -> Result<(), Failure> {
        let capabilities = self.ivy.queue().capabilities();
        let refusal = if body.as_bytes().len() > capabilities.max_body {
            Some(format!("it is longer than queue {queue} accepts"))
        } else if !body.is_text() && !capabilities.posts_bytes {
            Some(format!("its body is not a text, and queue {queue} accepts texts only"))
        } else {
            None
        };
        if let Some(text) = refusal {
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
                self.last_line = self.last_line.max(letter.line);
                match result {
                    Ok(()) => self.posted += 1,
                    Err(fault) => {
                        if fault.effect() == Effect::Unknown {
                            self.unknown += 1;
                            self.unknown_lines.push(letter.line);
                        } else {
                            self.refused_lines.push(letter.line);
                        }
                        first_failure.get_or_insert((letter.line, fault));
                    }
                }
            }
            self.progress.set(self.posted, None);
        }
        match first_failure {
            None => Ok(()),
            Some((line, fault)) => {
                // What may have been posted is not to be posted again without a look.
                let text = match fault.effect() {
                    Effect::Unknown => fault.without_advice(),
                    _ => fault.to_string(),
                };
                let place = format!("line {line}: queue {queue}");
                Err(Failure::new(Exit::Failed, text).within(&place))
            }
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
        let Ok(reply) = interrupts.run_until_interrupted(self.ivy.queue().execute(op)).await else {
            self.unknown += batch.len() as u64;
            self.unknown_lines.extend(batch.iter().map(|letter| letter.line));
            self.last_line =
                batch.iter().map(|letter| letter.line).fold(self.last_line, usize::max);
            return Err(Failure::interrupted());
        };
        let all = |fault: Fault| vec![Err(fault); batch.len()];
        Ok(match reply {
            Ok(QueueReply::Posted(entries)) if entries.len() == batch.len() => {
                entries.into_iter().map(|entry| entry.map(|_| ())).collect()
            }
            Ok(_) => all(Fault::new(FaultKind::BadReply)),
            Err(fault) => all(fault),
        })
    }
}

/// Numbers in ascending order, those that follow each other as ranges: `3, 5-7`.
fn list(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let text = |(first, last): (usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Whether a server may have refused a letter because of another one in its batch.
fn may_be_due_to_another(result: &Result<(), Fault>) -> bool {
    let is_possible = |kind| matches!(kind, FaultKind::Refused | FaultKind::TooLarge);
    result.as_ref().is_err_and(|fault| is_possible(fault.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_listed_as_ranges() {
        assert_eq!(list(&[3, 5, 6, 7, 9, 10]), "3, 5-7, 9-10");
        assert_eq!(list(&[]), "");
    }
}
