//! One held message, from its reservation to its settlement.
//!
//! ```text
//!             slot free               handler ended
//!  Waiting ──────────────► Running ──────────────────► Settling ──► removed
//!     │                       │                            ▲  │
//!     │ rejected              │ lease lost, drain limit    │  └ lease lost ──► removed
//!     └───────────────────────┼────────────────────────────┘
//!                             └► removed; the handler is cancelled and keeps its slot
//!                                until it ends
//! ```

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::event::{ReleaseReason, TaskRef};
use crate::id::{MessageId, TaskId};
use crate::metrics::Row;
use crate::name::QueueName;
use crate::queue::{Body, ReceivedBody};
use crate::time::Moment;
use crate::wire::crypto::{EntropyPool, MessageKey};
use crate::wire::{Caller, DeadLetter, DeadLetterReason, Envelope, IvyOptions, is_dead_letter};

use super::config::WorkerConfig;
use super::io::CancelReason;
use super::lease::Lease;
use super::lost_deliveries::Deliveries;

/// A held message.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) queue: QueueName,
    /// Where its counts are.
    pub(super) row: Row,
    pub(super) body: ReceivedBody,
    pub(super) deliveries: Deliveries,
    pub(super) lease: Lease,
    /// The task, if the message could be parsed.
    pub(super) scheduled: Option<Arc<Scheduled>>,
    /// The caller, if the message could not be parsed but still names one.
    pub(super) caller: Option<Caller>,
    /// Identifies the message, if it is authenticated.
    pub(super) message_key: Option<MessageKey>,
    pub(super) stage: Stage,
}

/// The task that a message contains.
#[derive(Clone, Debug)]
pub(super) struct Scheduled {
    pub(super) task: TaskRef,
    pub(super) envelope: Envelope,
    /// The number of this attempt, from 1.
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) time_limit: Option<Duration>,
    /// The lease of its message.
    pub(super) lease: Duration,
}

impl Scheduled {
    /// How often its handler postponed the task before.
    pub(super) fn later(&self) -> u32 {
        self.envelope.options.ivy().map_or(0, |ivy| ivy.later)
    }

    /// A copy of the task with this change to `options.ivy`. A message that came without these
    /// options gets the id that it was known by.
    pub(super) fn copy(&self, change: impl FnOnce(&mut IvyOptions)) -> Envelope {
        let mut envelope = self.envelope.clone();
        let mut ivy = envelope.options.ivy().cloned().unwrap_or_else(|| {
            let mut ivy = IvyOptions::new(self.task.id);
            ivy.node = true;
            ivy
        });
        change(&mut ivy);
        envelope.options = envelope.options.with_ivy(ivy);
        envelope
    }
}

/// A handler that was cancelled and has not ended yet; its message is no longer held for it.
#[derive(Debug)]
pub(super) struct JobWithoutLease {
    pub(super) task: TaskRef,
    pub(super) row: Row,
    pub(super) attempt: u32,
    pub(super) started_at: Moment,
    pub(super) reason: CancelReason,
}

/// The stage of a held message.
#[derive(Debug)]
pub(super) enum Stage {
    /// Waits for a slot.
    Waiting,
    /// Its handler runs.
    Running {
        started_at: Moment,
        /// How long the task waited before, if that is known.
        waited: Option<Duration>,
        /// The handler exceeded its time and was cancelled for this reason.
        overdue: Option<CancelReason>,
    },
    /// Its settlement is being sent to the queue.
    Settling(Settling),
}

/// A settlement in progress.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) settlement: Settlement,
    pub(super) progress: Progress,
}

/// How a message leaves the worker.
#[derive(Clone, Debug)]
pub(super) enum Settlement {
    /// Delete it: its task is done, or a copy replaces it.
    Delete,
    /// Post a copy for the next attempt, or for the same attempt later, then delete it.
    Successor { successor: Body, delay: Duration, succession: Succession },
    /// Post a copy that carries the number of lost deliveries, then delete it.
    Replace { copy: Body, why: Replacement },
    /// Post a copy to the dead-letter queue, then delete it.
    DeadLetter(DeadLettering),
    /// Release it. `detail` says why if this worker cannot decide on it.
    Release { delay: Duration, reason: ReleaseReason, detail: Option<String> },
}

/// What a successor is for.
#[derive(Clone, Debug)]
pub(super) enum Succession {
    /// The next attempt, after a failed one.
    Retry,
    /// The same attempt, which the handler postponed. `count` is how often it has done so by now.
    Postponed { count: u32, message: String },
}

/// Why a message is replaced by a copy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Replacement {
    /// It is about to start after this many lost deliveries.
    Start { lost: u32 },
    /// It is released deliberately.
    Release { delay: Duration, reason: ReleaseReason },
}

/// Why and how a message is moved to the dead-letter queue.
#[derive(Clone, Debug)]
pub(super) struct DeadLettering {
    pub(super) reason: DeadLetterReason,
    /// The error text for the caller.
    pub(super) message: String,
    /// How many attempts have ended.
    pub(super) attempts: u32,
    /// Whether the bare original is posted because its dead-letter envelope was refused.
    pub(super) bare: bool,
}

/// The progress of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// To be sent as soon as no touch is in flight, which would replace the receipt.
    Due,
    /// In the batch of deletes of its queue.
    Batched,
    /// In flight.
    InFlight,
    /// Failed; a timer makes it due again.
    Paused,
}

impl Job {
    pub(super) fn settling(&mut self) -> Option<&mut Settling> {
        match &mut self.stage {
            Stage::Settling(settling) => Some(settling),
            Stage::Waiting | Stage::Running { .. } => None,
        }
    }

    /// The task and its caller's options, as far as the message could be parsed.
    pub(super) fn task_and_caller(&self) -> Option<(TaskRef, Option<IvyOptions>)> {
        if let Some(scheduled) = &self.scheduled {
            let ivy = scheduled.envelope.options.ivy();
            return Some((scheduled.task.clone(), ivy.cloned()));
        }
        let caller = self.caller.as_ref()?;
        let (id, name, queue) = (caller.id, caller.task.clone(), self.queue.clone());
        Some((TaskRef { id, name, queue }, Some(caller.ivy())))
    }

    /// The id of the task, or one derived from the message if it cannot be parsed.
    pub(super) fn task_id(&self) -> TaskId {
        match &self.scheduled {
            Some(scheduled) => scheduled.task.id,
            None => id_from(&self.queue, &self.lease.receipt().message),
        }
    }

    /// Whether a request with the receipt is in flight; a touch would invalidate its receipt.
    pub(super) fn receipt_is_in_use(&self) -> bool {
        match &self.stage {
            Stage::Settling(Settling { settlement, progress }) => {
                *progress == Progress::InFlight
                    && matches!(settlement, Settlement::Delete | Settlement::Release { .. })
            }
            Stage::Waiting | Stage::Running { .. } => false,
        }
    }

    /// The dead-letter copy of this job and its queue, if it is to be dead-lettered.
    pub(super) fn dead_letter(
        &self,
        unix_millis: u64,
        config: &WorkerConfig,
        entropy: &mut EntropyPool,
    ) -> Option<(QueueName, Body)> {
        let Stage::Settling(Settling {
            settlement: Settlement::DeadLetter(dead_lettering), ..
        }) = &self.stage
        else {
            return None;
        };
        let queue = self.queue.dead_letter_queue().ok()?;
        let original = self.original();
        // Wrapping a dead letter again would make it grow with each round.
        if dead_lettering.bare
            || config.codec.open_dead_letter(&original, &queue).is_ok()
            || is_dead_letter(&original)
        {
            return Some((queue, original));
        }
        let mut letter = DeadLetter {
            queue: self.queue.clone(),
            id: self.lease.receipt().message.clone(),
            reason: dead_lettering.reason,
            error: None,
            attempts: dead_lettering.attempts,
            deliveries: self.deliveries.lost.saturating_add(1),
            at: unix_millis,
            body: original.clone(),
        };
        // If the envelope is too large, drop the error before the reason.
        for error in [Some(dead_lettering.message.clone()), None] {
            letter.error = error;
            let envelope = config.codec.seal_dead_letter(&letter, &queue, entropy);
            if envelope.as_str().len() <= config.capabilities.max_body {
                return Some((queue, envelope));
            }
        }
        Some((queue, original))
    }

    /// The body as received.
    fn original(&self) -> Body {
        match &self.body {
            ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.clone(),
            ReceivedBody::Missing | ReceivedBody::TooLarge => Body::new(""),
        }
    }
}

/// The id of a task whose message contains none or cannot be parsed: the same at each delivery of
/// the message.
pub(super) fn id_from(queue: &QueueName, message: &MessageId) -> TaskId {
    let mut hash = Sha256::new();
    hash.update(queue.as_str());
    hash.update([0]);
    hash.update(message.as_str());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    TaskId::from_random(bytes)
}
