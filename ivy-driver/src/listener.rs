//! One who follows a call.

use std::marker::PhantomData;
use std::sync::Arc;

use ivy_proto::event::TaskRef;

use crate::producer::{Mail, Producer};
use crate::progress::{Call, Progress, Until};
use crate::waits::Waits;

/// Follows one call.
#[derive(Debug)]
pub(crate) struct Listener<R> {
    pub(crate) task: TaskRef,
    pub(crate) call: Arc<Call>,
    /// Keeps the producer going while somebody waits.
    pub(crate) producer: Arc<Producer>,
    /// Those of the handler that called.
    pub(crate) waits: Option<Waits>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Listener<R> {
    pub(crate) fn new(
        task: TaskRef,
        producer: Arc<Producer>,
        waits: Option<Waits>,
        until: Until,
    ) -> (Self, Progress) {
        let (progress, call) = Progress::begin(until);
        (Listener { task, call, producer, waits, runtime: PhantomData }, progress)
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }
}

impl<R> Drop for Listener<R> {
    fn drop(&mut self) {
        if !self.call.history().ended {
            self.producer.post(Mail::Dropped(self.task.id));
        }
    }
}
