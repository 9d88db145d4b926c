//! A machine behind a lock, run by its callers.
//!
//! The caller runs the machine under the lock and waits for its own response if that comes later: a
//! switch to a task or thread of the machine and back would take longer than most requests. A
//! background task only keeps time.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use event_listener::Event;
use futures_channel::oneshot;
use futures_util::future::{Either, FusedFuture, FutureExt, select};
use ivy_proto::Moment;
use ivy_proto::broker::RequestId;

use crate::clock::Clock;
use crate::runtime::Runtime;

/// A machine that responds to requests, to some of them later.
pub trait Machine: Send + 'static {
    /// A request.
    type Request: Send + 'static;
    /// A response.
    type Response: Send + 'static;

    /// Handles a request. Each gets exactly one response, unless it is abandoned.
    fn submit(&mut self, id: RequestId, request: Self::Request, now: Moment);

    /// Discards a request whose caller was dropped.
    fn abandon(&mut self, id: RequestId, now: Moment);

    /// Handles the timers that are due.
    fn tick(&mut self, now: Moment);

    /// Returns the next output.
    fn poll(&mut self) -> MachineStep<Self::Response>;
}

/// The next output of a machine.
#[derive(Debug)]
pub enum MachineStep<Response> {
    /// Respond to this request.
    Response(RequestId, Response),
    /// Wait until this moment or the next request.
    Wait(Option<Moment>),
}

/// The machine has panicked. Its state is undefined, so it fails permanently.
#[derive(Clone, Copy, Debug)]
pub struct Poisoned;

/// The state of a request after it was made.
#[derive(Debug)]
pub enum Submitted<R: Runtime, M: Machine> {
    /// It is complete.
    Done(M::Response),
    /// It is pending.
    Pending(PendingResponse<R, M>),
}

/// A machine behind a lock, run by its callers.
pub struct LockedMachine<R, M: Machine> {
    clock: Clock<R>,
    state: Mutex<State<M>>,
    /// Notified when the next timer becomes earlier, or there will be none any more.
    alarm_changed: Arc<Event>,
}

struct State<M: Machine> {
    machine: M,
    last_id: u64,
    waiting: HashMap<RequestId, oneshot::Sender<M::Response>>,
    /// When the next timer is due, at the earliest.
    alarm: Option<Moment>,
    /// When the machine last ran.
    ran_at: Moment,
    /// Requests of callers that were dropped, to be made before anything else.
    postponed: Vec<M::Request>,
}

impl<R: Runtime, M: Machine> LockedMachine<R, M> {
    /// Starts the machine, and a background task that keeps its time on a clock of its own.
    ///
    /// # Errors
    /// If the system cannot start that task.
    pub fn start(name: &'static str, machine: M) -> io::Result<Arc<Self>> {
        LockedMachine::with_clock(name, machine, Clock::start())
    }

    pub(crate) fn with_clock(
        name: &'static str,
        machine: M,
        clock: Clock<R>,
    ) -> io::Result<Arc<Self>> {
        let state = State {
            machine,
            last_id: 0,
            waiting: HashMap::new(),
            alarm: None,
            ran_at: Moment::EPOCH,
            postponed: Vec::new(),
        };
        let alarm_changed = Arc::new(Event::new());
        let changed = Arc::clone(&alarm_changed);
        let locked = Arc::new(LockedMachine { clock, state: Mutex::new(state), alarm_changed });
        R::spawn(name, keep_time(Arc::downgrade(&locked), clock, changed))?;
        Ok(locked)
    }

    /// Makes a request. Most complete immediately.
    ///
    /// # Errors
    /// If the machine has panicked.
    pub fn submit(self: &Arc<Self>, request: M::Request) -> Result<Submitted<R, M>, Poisoned> {
        let submitted = self.with(|state, now| state.submit(request, now))?;
        Ok(match submitted {
            Ok(response) => Submitted::Done(response),
            Err((id, response)) => {
                Submitted::Pending(PendingResponse { id, response, locked: Arc::clone(self) })
            }
        })
    }

    /// Makes a request before any other, without waiting for its response. Unlike
    /// [`submit`](LockedMachine::submit) it does not ask the clock: a caller that is dropped with its
    /// runtime, in a thread-local variable, may outlive the runtime's clock.
    pub fn submit_next(&self, request: M::Request) {
        // A machine that has panicked makes no more requests.
        if let Ok(mut state) = self.state.lock() {
            state.postponed.push(request);
            drop(state);
            self.alarm_changed.notify(usize::MAX);
        }
    }

    /// Completes all pending requests with `response`, and passes `change` to the machine before its
    /// next request.
    ///
    /// # Errors
    /// If the machine has panicked.
    pub fn end_all(
        &self,
        response: impl Fn() -> M::Response,
        change: impl FnOnce(&mut M),
    ) -> Result<(), Poisoned> {
        self.with(|state, now| {
            state.ran_at = state.ran_at.max(now);
            for (id, waiting) in state.waiting.drain() {
                state.machine.abandon(id, now);
                // The caller may have just been dropped.
                let _ = waiting.send(response());
            }
            change(&mut state.machine);
        })
    }

    /// Abandons a request, without asking the clock as well.
    fn abandon(&self, id: RequestId) -> Result<(), Poisoned> {
        let mut state = self.state.lock().map_err(|_| Poisoned)?;
        state.abandon(id);
        if state.hand_out() {
            self.alarm_changed.notify(usize::MAX);
        }
        Ok(())
    }

    /// Runs the machine and delivers the responses that others wait for.
    fn with<T>(&self, run: impl FnOnce(&mut State<M>, Moment) -> T) -> Result<T, Poisoned> {
        let now = self.clock.now();
        let mut state = self.state.lock().map_err(|_| Poisoned)?;
        state.make_postponed_requests(now);
        let result = run(&mut state, now);
        if state.hand_out() {
            self.alarm_changed.notify(usize::MAX);
        }
        Ok(result)
    }
}

impl<R, M: Machine> Drop for LockedMachine<R, M> {
    fn drop(&mut self) {
        self.alarm_changed.notify(usize::MAX);
    }
}

impl<R, M: Machine> fmt::Debug for LockedMachine<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedMachine")
    }
}

/// Handles timers while there are no requests, as long as the machine exists.
async fn keep_time<R: Runtime, M: Machine>(
    locked: Weak<LockedMachine<R, M>>,
    clock: Clock<R>,
    changed: Arc<Event>,
) {
    loop {
        let change = changed.listen();
        let Some(Ok(alarm)) = locked.upgrade().map(|locked| locked.with(|state, _| state.alarm))
        else {
            return;
        };
        let due = pin!(clock.sleep_until(alarm));
        if let Either::Right(_) = select(change, due).await
            && let Some(locked) = locked.upgrade()
        {
            // It fails only if the machine is broken.
            let _ = locked.with(State::tick);
        }
    }
}

/// The response to a request, or the means to wait for it.
type SubmittedTo<M> =
    Result<<M as Machine>::Response, (RequestId, oneshot::Receiver<<M as Machine>::Response>)>;

impl<M: Machine> State<M> {
    fn submit(&mut self, request: M::Request, now: Moment) -> SubmittedTo<M> {
        self.ran_at = self.ran_at.max(now);
        // Ids start at one: a machine may use zero itself.
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.machine.submit(id, request, now);
        while let MachineStep::Response(responded, response) = self.machine.poll() {
            if responded == id {
                return Ok(response);
            }
            self.respond(responded, response);
        }
        let (sender, response) = oneshot::channel();
        self.waiting.insert(id, sender);
        Err((id, response))
    }

    fn make_postponed_requests(&mut self, now: Moment) {
        for request in std::mem::take(&mut self.postponed) {
            // Nobody waits for the response.
            let _ = self.submit(request, now);
        }
    }

    /// Abandons a request when the machine last ran: at a later moment, it might respond first.
    fn abandon(&mut self, id: RequestId) {
        if self.waiting.remove(&id).is_some() {
            self.machine.abandon(id, self.ran_at);
        }
    }

    fn tick(&mut self, now: Moment) {
        self.ran_at = self.ran_at.max(now);
        self.alarm = None;
        self.machine.tick(now);
    }

    /// Delivers all responses. Returns whether the next timer is earlier than known before.
    fn hand_out(&mut self) -> bool {
        loop {
            match self.machine.poll() {
                MachineStep::Response(id, response) => self.respond(id, response),
                MachineStep::Wait(due) => {
                    // A timer that fires too early is harmless: its tick sets the next one.
                    let is_earlier = due.is_some_and(|due| self.alarm.is_none_or(|at| due < at));
                    if is_earlier {
                        self.alarm = due;
                    }
                    return is_earlier;
                }
            }
        }
    }

    fn respond(&mut self, id: RequestId, response: M::Response) {
        if let Some(waiting) = self.waiting.remove(&id) {
            // A dropped caller abandons the request next.
            let _ = waiting.send(response);
        }
    }
}

/// A pending request. Dropping it abandons the request. Thousands may be pending, so it stores
/// nothing that can be obtained when it ends.
pub struct PendingResponse<R: Runtime, M: Machine> {
    id: RequestId,
    response: oneshot::Receiver<M::Response>,
    locked: Arc<LockedMachine<R, M>>,
}

impl<R: Runtime, M: Machine> PendingResponse<R, M> {
    /// Abandons the request. Returns the response if it has arrived and was not received yet.
    ///
    /// # Errors
    /// If the machine has panicked.
    pub fn end(&mut self) -> Result<Option<M::Response>, Poisoned> {
        if self.response.is_terminated() {
            return Ok(None);
        }
        self.locked.abandon(self.id)?;
        let response = self.response.try_recv().ok().flatten();
        self.response.close();
        Ok(response)
    }

    /// The machine that received the request.
    pub fn machine(&self) -> &Arc<LockedMachine<R, M>> {
        &self.locked
    }
}

impl<R: Runtime, M: Machine> Future for PendingResponse<R, M> {
    type Output = Result<M::Response, Poisoned>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.poll_unpin(context).map(|response| response.map_err(|_| Poisoned))
    }
}

impl<R: Runtime, M: Machine> Drop for PendingResponse<R, M> {
    fn drop(&mut self) {
        // It fails only if the machine is broken, and then there is nothing to abandon.
        let _ = self.end();
    }
}

impl<R: Runtime, M: Machine> fmt::Debug for PendingResponse<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::testing::Tokio;

    /// Keeps every request pending, except one that requests a panic.
    struct Patient;

    impl Machine for Patient {
        type Request = &'static str;
        type Response = ();

        fn submit(&mut self, _: RequestId, request: &'static str, _: Moment) {
            assert_ne!(request, "panic", "as requested");
        }

        fn abandon(&mut self, _: RequestId, _: Moment) {}

        fn tick(&mut self, _: Moment) {}

        fn poll(&mut self) -> MachineStep<()> {
            MachineStep::Wait(None)
        }
    }

    #[tokio::test]
    async fn a_machine_that_panicked_answers_no_more_requests() {
        let patient = LockedMachine::<Tokio, _>::start("test", Patient).unwrap();
        let Ok(Submitted::Pending(mut waiting)) = patient.submit("wait") else {
            panic!("it is pending")
        };
        assert!(catch_unwind(AssertUnwindSafe(|| patient.submit("panic"))).is_err());
        assert!(patient.submit("wait").is_err());
        assert!(waiting.end().is_err());
    }
}
