//! The waits of handlers for results of other tasks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::mpsc::UnboundedSender;
use ivy_proto::JobId;
use ivy_proto::event::TaskRef;
use ivy_proto::worker::Input;

use crate::flag::Flag;

thread_local! {
    /// The waits of the handler that this thread runs. Accessible until the very end of the thread.
    static CURRENT: ManuallyDrop<RefCell<Option<HandlerWaits>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// The waits of one handler for the results of other tasks. Its worker tracks them and may end
/// them.
#[derive(Clone)]
pub(crate) struct HandlerWaits {
    shared: Arc<Shared>,
}

struct Shared {
    job: JobId,
    worker: UnboundedSender<Input>,
    state: Mutex<State>,
    interrupted: Flag,
}

#[derive(Default)]
struct State {
    in_flight: BTreeMap<u64, TaskRef>,
    last_id: u64,
    /// The handler has ended.
    is_over: bool,
}

impl HandlerWaits {
    /// The waits of this job's handler.
    pub(crate) fn new(job: JobId, worker: UnboundedSender<Input>) -> Self {
        let (state, interrupted) = (Mutex::default(), Flag::default());
        HandlerWaits { shared: Arc::new(Shared { job, worker, state, interrupted }) }
    }

    /// The waits of the handler that this thread runs.
    pub(crate) fn current() -> Option<HandlerWaits> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// Runs the handler, or a part of it.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let _restored = Restored(CURRENT.with(|current| current.replace(Some(self.clone()))));
        work()
    }

    /// Begins a wait for this task's result. `None` if the handler has ended: then it is not one of
    /// its waits.
    pub(crate) fn begin(&self, task: &TaskRef) -> Option<Waiting> {
        let mut state = self.shared.state();
        if state.is_over {
            return None;
        }
        state.last_id += 1;
        let id = state.last_id;
        if state.in_flight.is_empty() {
            self.shared.send(Input::Waits(self.shared.job, task.clone()));
        }
        state.in_flight.insert(id, task.clone());
        Some(Waiting { id, waits: self.clone() })
    }

    /// Ends the current waits of the handler, and all later ones.
    pub(crate) fn interrupt(&self) {
        self.shared.interrupted.raise();
    }

    /// Reports that the handler has ended.
    pub(crate) fn end(&self) {
        self.shared.state().is_over = true;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call it with the state locked, so that the worker receives changes in order.
    fn send(&self, input: Input) {
        // A worker that has finished accepts no more commands.
        let _ = self.worker.unbounded_send(input);
    }
}

impl fmt::Debug for HandlerWaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerWaits({:?})", self.shared.job)
    }
}

/// One wait of a handler, which lasts until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    id: u64,
    waits: HandlerWaits,
}

impl Waiting {
    /// Waits until the worker ends the wait.
    pub(crate) async fn interrupted(&self) {
        self.waits.shared.interrupted.raised().await;
    }

    /// The same as a future that is the wait.
    pub(crate) async fn into_interrupted(self) {
        self.interrupted().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let shared = &self.waits.shared;
        let mut state = shared.state();
        let was_first = state.in_flight.first_key_value().is_some_and(|(id, _)| *id == self.id);
        state.in_flight.remove(&self.id);
        match state.in_flight.first_key_value() {
            None => shared.send(Input::Resumes(shared.job)),
            Some((_, task)) if was_first => shared.send(Input::Waits(shared.job, task.clone())),
            Some(_) => {}
        }
    }
}

/// Restores the previous handler of the thread.
struct Restored(Option<HandlerWaits>);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.0.take()));
    }
}
