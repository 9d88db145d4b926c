//! The content of a message after it was requeued or moved.

use crate::name::QueueName;
use crate::queue::Body;
use crate::wire::crypto::{BodyForm, EntropyPool};
use crate::wire::{Codec, DeadLetter, DeadLetterReason, Envelope};

use super::requeue::Requeue;

/// Why a message is not requeued or moved. It stays in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// Its body cannot be read, for this reason.
    #[error("its body cannot be read here ({0}); {remedy}", remedy = remedy(.0))]
    Unreadable(DeadLetterReason),
    /// It is sealed, probably as a dead letter of its queue, and cannot be opened, for this reason.
    /// Its bytes would be useless in any other queue.
    #[error(
        "it is sealed for its queue, and cannot be opened here ({0}); provide the key of its sender"
    )]
    Sealed(DeadLetterReason),
    /// There is no key for its form.
    #[error(
        "it cannot be sealed again as {0}, because a key is missing; provide it, or requeue its bytes unchanged"
    )]
    NoKey(BodyForm),
    /// The queue that it would be posted to does not accept its form.
    #[error("it is sealed as {0}, which its new queue does not accept; choose another queue")]
    FormNotAccepted(BodyForm),
    /// Its task would be dead-lettered again.
    #[error("its deadline has passed; remove the deadline to requeue it")]
    DeadlinePassed,
    /// It is larger than its new queue accepts.
    #[error("it is larger than the queue accepts; send its task again with less data")]
    TooLarge,
    /// The body is missing, or is not a text and the queue accepts only texts.
    #[error("its body is not a text, which the queue does not accept; export it, or delete it")]
    NotText,
    /// The filter needs to know what cannot be read. It is not selected.
    #[error("it could not be read, so it was not compared with the filter")]
    NotCompared,
    /// It is larger than its queue returns. It is not selected.
    #[error(
        "it is larger than its queue returns, so it was not read; delete it with a filter of messages that are too large"
    )]
    NotReturned,
    /// A message of a task, among dead letters that are moved.
    #[error("it is not a dead letter; requeue it instead of moving it")]
    NotADeadLetter,
    /// A dead letter, among messages of tasks that are moved.
    #[error("it is a dead letter in a queue of tasks; move it to a dead-letter queue first")]
    ADeadLetter,
}

/// What an operator can do about a body that cannot be read.
fn remedy(reason: &DeadLetterReason) -> &'static str {
    use DeadLetterReason::{
        BadTag, Downgrade, ExpectedEncrypted, KeyDisabled, NoKey, Undecryptable, UnknownKey,
    };
    match reason {
        NoKey | UnknownKey | Undecryptable | BadTag | KeyDisabled => {
            "provide the key of its sender, or requeue its bytes unchanged"
        }
        Downgrade | ExpectedEncrypted => {
            "the policy of the keyset does not accept messages of this form; if its sender is \
             trusted, requeue it with a keyset whose policy does"
        }
        _ => "delete it, or requeue its bytes unchanged to workers that can read it",
    }
}

/// Changes messages as an operator requested.
pub(super) struct Rewriter<'a> {
    pub(super) codec: &'a Codec,
    pub(super) entropy: &'a mut EntropyPool,
    pub(super) requeue: &'a Requeue,
    /// The longest body that the backend accepts.
    pub(super) max_body: usize,
    /// Whether the backend accepts bodies that are not texts.
    pub(super) posts_bytes: bool,
    /// The wall-clock time, in milliseconds since 1970.
    pub(super) now: u64,
}

/// A task's message to be changed.
pub(super) struct TaskMessage<'a> {
    pub(super) body: &'a Body,
    /// The physical queue that the body is bound to.
    pub(super) origin: &'a QueueName,
    /// Why it was dead-lettered, if it was.
    pub(super) reason: Option<DeadLetterReason>,
    /// The number of its runs that ended.
    pub(super) attempts: u32,
}

impl<'a> TaskMessage<'a> {
    /// The message in a dead letter.
    pub(super) fn in_letter(letter: &'a DeadLetter) -> Self {
        TaskMessage {
            body: &letter.body,
            origin: &letter.queue,
            reason: Some(letter.reason),
            attempts: letter.attempts,
        }
    }
}

impl Rewriter<'_> {
    /// The sealed dead letter in a dead letter: it was posted to a queue of tasks with its bytes
    /// unchanged, and a worker that could not open it dead-lettered it again.
    pub(super) fn nested(&self, letter: &DeadLetter) -> Option<DeadLetter> {
        if self.requeue.raw || !Codec::form(&letter.body).is_some_and(BodyForm::is_authenticated) {
            return None;
        }
        let dead = letter.queue.dead_letter_queue().ok()?;
        self.codec.open_dead_letter(&letter.body, &dead).ok()
    }

    /// The same bytes.
    pub(super) fn unchanged(&self, body: &Body) -> Result<Body, Obstacle> {
        if !body.is_text() && !self.posts_bytes {
            return Err(Obstacle::NotText);
        }
        self.of_accepted_size(body.clone())
    }

    /// The body to post to `target`.
    pub(super) fn task(
        &mut self,
        message: &TaskMessage<'_>,
        target: &QueueName,
    ) -> Result<Body, Obstacle> {
        if self.requeue.raw {
            return self.unchanged(message.body);
        }
        let envelope = self.codec.open(message.body, message.origin);
        let envelope = envelope.map_err(|bad| Obstacle::Unreadable(bad.reason()))?;
        // It opened, so it is in one of the known forms.
        let form = Codec::form(message.body).unwrap_or(BodyForm::Plain);
        if !self.codec.policy(target).accepts(form) {
            return Err(Obstacle::FormNotAccepted(form));
        }
        let envelope = self.changed(envelope, message, target)?;
        let sealed = self.codec.seal_as(form, &envelope, target, self.entropy);
        self.of_accepted_size(sealed.ok_or(Obstacle::NoKey(form))?)
    }

    /// The body of a dead letter to post to another dead-letter queue. The message inside stays as
    /// it is.
    pub(super) fn dead_letter(
        &mut self,
        body: &Body,
        from: &QueueName,
        target: &QueueName,
    ) -> Result<Body, Obstacle> {
        let form = Codec::form(body).unwrap_or(BodyForm::Plain);
        if form == BodyForm::Plain || self.requeue.raw {
            return self.unchanged(body);
        }
        let letter = self.codec.open_dead_letter(body, from);
        let letter = letter.map_err(|_| Obstacle::Unreadable(DeadLetterReason::NoKey))?;
        let sealed = self.codec.seal_dead_letter_as(form, &letter, target, self.entropy);
        self.of_accepted_size(sealed.ok_or(Obstacle::NoKey(form))?)
    }

    /// The task with all its attempts. A message of a peer of the Node package has nothing to
    /// change.
    fn changed(
        &self,
        mut envelope: Envelope,
        message: &TaskMessage<'_>,
        target: &QueueName,
    ) -> Result<Envelope, Obstacle> {
        let Some(mut ivy) = envelope.options.ivy().cloned() else { return Ok(envelope) };
        let delay = u64::try_from(self.requeue.delay.as_millis()).unwrap_or(u64::MAX);
        let due = self.now.saturating_add(delay);
        if self.requeue.drop_deadline {
            ivy.deadline = None;
        } else if let Some(deadline) = ivy.deadline
            && (deadline < due || message.reason == Some(DeadLetterReason::Deadline))
        {
            return Err(Obstacle::DeadlinePassed);
        }
        // Exact queues count failed attempts themselves, and the new message begins at zero there.
        ivy.attempt =
            if self.requeue.keep_attempts { ivy.attempt.max(message.attempts) } else { 1 };
        (ivy.lost, ivy.later) = (0, 0);
        ivy.requeued = ivy.requeued.saturating_add(1);
        ivy.due = Some(due);
        if self.codec.policy(target).max_age().is_some() {
            ivy.called = Some(self.now);
        }
        envelope.options = envelope.options.with_ivy(ivy);
        Ok(envelope)
    }

    fn of_accepted_size(&self, body: Body) -> Result<Body, Obstacle> {
        if body.as_bytes().len() <= self.max_body { Ok(body) } else { Err(Obstacle::TooLarge) }
    }
}

#[cfg(test)]
mod tests;
