//! The calls that handlers make in tests.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::FutureExt;
use ivy_proto::backend::{BoxFuture, Queue};
use ivy_proto::queue::{Capabilities, Fault, NewMessage, QueueOp, QueueReply};
use ivy_proto::task::{BadArgs, FromArgs};
use ivy_proto::wire::{Codec, Envelope, RawJson};
use ivy_proto::{QueueName, TaskName};

/// A call or a send that was made in a test, as its message contains it.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    envelope: Envelope,
    queue: QueueName,
    delay: Duration,
}

impl RecordedCall {
    /// The name of the task.
    #[must_use]
    pub fn task(&self) -> &TaskName {
        &self.envelope.name
    }

    /// The physical queue that it was sent to.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// Its delay.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// The arguments, as values of these types: `call.args::<(u64, String)>()`.
    ///
    /// # Errors
    /// If they are not of these types.
    pub fn args<Args: FromArgs>(&self) -> Result<Args, BadArgs> {
        Args::from_args(&self.envelope.args)
    }

    /// The arguments, as the JSON array of the message.
    #[must_use]
    pub fn raw_args(&self) -> &RawJson {
        &self.envelope.args
    }
}

/// The calls so far. Clones share them.
#[derive(Clone)]
pub(super) struct CallLog {
    codec: Codec,
    calls: Arc<Mutex<Vec<RecordedCall>>>,
}

impl CallLog {
    pub(super) fn new(codec: Codec) -> Self {
        CallLog { codec, calls: Arc::default() }
    }

    pub(super) fn calls(&self) -> Vec<RecordedCall> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a message, unless a worker posted it: a dead letter, or another attempt.
    fn add(&self, queue: &QueueName, message: &NewMessage) {
        let Ok(envelope) = self.codec.open(&message.body, queue) else { return };
        let is_first = envelope.options.ivy().is_none_or(|ivy| ivy.attempt == 1 && ivy.later == 0);
        if is_first && queue.of_dead_letters().is_none() {
            let call = RecordedCall { envelope, queue: queue.clone(), delay: message.delay };
            self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }
    }
}

impl fmt::Debug for CallLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallLog")
    }
}

/// A queue whose accepted messages are recorded.
#[derive(Debug)]
pub(super) struct RecordingQueue<Q> {
    queue: Q,
    log: CallLog,
}

impl<Q: Queue> RecordingQueue<Q> {
    pub(super) fn new(queue: Q, log: CallLog) -> Self {
        RecordingQueue { queue, log }
    }
}

impl<Q: Queue> Queue for RecordingQueue<Q> {
    fn capabilities(&self) -> Capabilities {
        self.queue.capabilities()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let posted = match &op {
            QueueOp::Post { queue, messages } => Some((queue.clone(), messages.clone())),
            _ => None,
        };
        let executed = self.queue.execute(op);
        let Some((queue, messages)) = posted else { return executed };
        let log = self.log.clone();
        async move {
            let reply = executed.await?;
            if let QueueReply::Posted(entries) = &reply {
                for (message, entry) in messages.items().iter().zip(entries) {
                    if entry.is_ok() {
                        log.add(&queue, message);
                    }
                }
            }
            Ok(reply)
        }
        .boxed()
    }
}
