//! One message that the worker holds, from the reserve to its settlement.
//!
//! ```text
//!             slot free               handler ended
//!  Waiting ──────────────► Running ──────────────────► Settling ──► gone
//!     │                       │                            ▲  │
//!     │ not ours to run       │ lease lost, drain limit    │  └ lease lost ──► gone
//!     └───────────────────────┼────────────────────────────┘
//!                             └► gone; the handler is cancelled, and its slot stays
//!                                taken until it ends
//! ```

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::event::{ReleaseReason, TaskRef};
use crate::id::{MessageId, TaskId};
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
    pub(super) body: ReceivedBody,
    pub(super) deliveries: Deliveries,
    pub(super) lease: Lease,
    /// The task, if the message could be read.
    pub(super) scheduled: Option<Arc<Scheduled>>,
    /// Who waits for the task, if the message could not be read and still says so.
    pub(super) caller: Option<Caller>,
    /// Tells the message from all others, where it is authenticated.
    pub(super) message_key: Option<MessageKey>,
    pub(super) stage: Stage,
}

/// The task that a message carries.
#[derive(Clone, Debug)]
pub(super) struct Scheduled {
    pub(super) task: TaskRef,
    pub(super) envelope: Envelope,
    /// Which attempt this is, from 1.
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) time_limit: Option<Duration>,
    /// How long its message is to be reserved.
    pub(super) lease: Duration,
}

impl Scheduled {
    /// The task once more, with this change of `options.ivy`. A message that came without them gets
    /// the id that it had.
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

/// A handler that was told to stop, since its message is not, or no longer, held for it.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) task: TaskRef,
    pub(super) attempt: u32,
    pub(super) started_at: Moment,
    pub(super) reason: CancelReason,
}

/// Where a held message stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// It waits for a slot.
    Waiting,
    /// Its handler runs.
    Running {
        started_at: Moment,
        /// The handler has used up its time, and was told to stop for this reason.
        overdue: Option<CancelReason>,
    },
    /// What has become of it is being told to the queue.
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
    /// It is deleted: its task is done, or lives on elsewhere.
    Delete,
    /// A copy with the next attempt's number is posted, then it is deleted.
    Successor { successor: Body, delay: Duration },
    /// A copy is posted that carries how many of its deliveries were lost, then it is deleted.
    Replace { copy: Body, why: Replacement },
    /// A copy is posted to the dead-letter queue, then it is deleted.
    DeadLetter(DeadLettering),
    /// It is given back. If it is not for this worker, `detail` says why.
    Release { delay: Duration, reason: ReleaseReason, detail: Option<String> },
}

/// Why a message is replaced by a copy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Replacement {
    /// It was about to start, after so many of its deliveries were lost.
    Start { lost: u32 },
    /// It is released on purpose.
    Release { delay: Duration, reason: ReleaseReason },
}

/// Why and how a message is put aside.
#[derive(Clone, Debug)]
pub(super) struct DeadLettering {
    pub(super) reason: DeadLetterReason,
    /// For the caller: what went wrong.
    pub(super) message: String,
    /// How often the handler was run to an end.
    pub(super) attempts: u32,
    /// Whether the envelope of a dead letter was too large, so that the bare original goes.
    pub(super) bare: bool,
}

/// How far a settlement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// To be asked for as soon as the receipt is not about to be replaced.
    Due,
    /// Among the deletes that gather.
    Batched,
    /// Asked for.
    InFlight,
    /// Failed; a timer will make it due again.
    Resting,
}

impl Job {
    pub(super) fn settling(&mut self) -> Option<&mut Settling> {
        match &mut self.stage {
            Stage::Settling(settling) => Some(settling),
            Stage::Waiting | Stage::Running { .. } => None,
        }
    }

    /// The task, and what its message says of who waits for it, as far as the message could be read.
    pub(super) fn task_and_caller(&self) -> Option<(TaskRef, Option<IvyOptions>)> {
        if let Some(scheduled) = &self.scheduled {
            let ivy = scheduled.envelope.options.ivy();
            return Some((scheduled.task.clone(), ivy.cloned()));
        }
        let caller = self.caller.as_ref()?;
        let (id, name, queue) = (caller.id, caller.task.clone(), self.queue.clone());
        Some((TaskRef { id, name, queue }, Some(caller.ivy())))
    }

    /// The id of the task, or what stands for it in a message that cannot be read.
    pub(super) fn task_id(&self) -> TaskId {
        match &self.scheduled {
            Some(scheduled) => scheduled.task.id,
            None => id_from(&self.queue, &self.lease.receipt().message),
        }
    }

    /// Whether a request that names the receipt is under way, so that a touch would spoil it.
    pub(super) fn receipt_is_in_use(&self) -> bool {
        match &self.stage {
            Stage::Settling(Settling { settlement, progress }) => {
                *progress == Progress::InFlight
                    && matches!(settlement, Settlement::Delete | Settlement::Release { .. })
            }
            Stage::Waiting | Stage::Running { .. } => false,
        }
    }

    /// The dead letter that this job is to leave, and where, if it is to be put aside.
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
        let queue = self.queue.dead_letters().ok()?;
        let original = self.original();
        // Wrapping a dead letter again would let it grow with each round.
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
        // The error gives way before the reason does.
        for error in [Some(dead_lettering.message.clone()), None] {
            letter.error = error;
            let envelope = config.codec.seal_dead_letter(&letter, &queue, entropy);
            if envelope.as_str().len() <= config.capabilities.max_body {
                return Some((queue, envelope));
            }
        }
        Some((queue, original))
    }

    /// The body as it came.
    fn original(&self) -> Body {
        match &self.body {
            ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.clone(),
            ReceivedBody::Missing => Body::new(""),
        }
    }
}

/// The id of a task whose producer gave it none, or that cannot be read: the same at each delivery of its
/// message.
pub(super) fn id_from(queue: &QueueName, message: &MessageId) -> TaskId {
    let mut hash = Sha256::new();
    hash.update(queue.as_str());
    hash.update([0]);
    hash.update(message.as_str());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    TaskId::from_random(bytes)
}
