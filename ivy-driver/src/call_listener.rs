//! The listener of a call.

use std::marker::PhantomData;
use std::sync::Arc;

use ivy_proto::TaskId;
use ivy_proto::event::TaskRef;

use crate::call_changes::CallWatch;
use crate::call_progress::{CallProgress, CallState, Until};
use crate::handler_waits::HandlerWaits;
use crate::producer::{Producer, ProducerCommand};

/// Listens to one call.
#[derive(Debug)]
pub(crate) struct CallListener<R> {
    /// The call's id, which is not that of the task if the caller chose the latter.
    id: TaskId,
    pub(crate) task: TaskRef,
    pub(crate) call: Arc<CallState>,
    /// Keeps the producer running while a caller waits.
    pub(crate) producer: Arc<Producer>,
    /// The waits of the calling handler.
    pub(crate) waits: Option<HandlerWaits>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> CallListener<R> {
    pub(crate) fn new(
        id: TaskId,
        task: TaskRef,
        producer: Arc<Producer>,
        waits: Option<HandlerWaits>,
        until: Until,
        watch: Option<CallWatch>,
    ) -> (Self, CallProgress) {
        let (progress, call) = CallProgress::begin(until, watch);
        (CallListener { id, task, call, producer, waits, runtime: PhantomData }, progress)
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }
}

impl<R> Drop for CallListener<R> {
    fn drop(&mut self) {
        if !self.call.history().ended {
            self.producer.post(ProducerCommand::Dropped(self.id));
        }
    }
}
