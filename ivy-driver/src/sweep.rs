//! Drives a sweep: executes its requests, and returns what it shows step by step.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures_util::stream::StreamExt;
use ivy_proto::admin::{Input, Output, Plan, Problem, Progress, Report, Row, Sweep, SweepConfig};
use ivy_proto::backend::{BoxFuture, Queue};
use ivy_proto::queue::{Fault, QueueReply};
use ivy_proto::wire::Codec;
use ivy_proto::{Cause, OpId};

use crate::clock::Clock;
use crate::error::Error;
use crate::pump::check_accepted;
use crate::random::random;
use crate::runtime::Runtime;

/// A step of a sweep.
#[derive(Debug)]
#[non_exhaustive]
pub enum SweepStep {
    /// A message that the filter selects. All of them precede the plan. A sweep of a queue that
    /// workers serve shows none.
    Row(Box<Row>),
    /// What the sweep will do. If it [needs a confirmation](Plan::needs_confirmation), the next step follows
    /// [`confirm`](RunningSweep::confirm), [`cancel`](RunningSweep::cancel) or
    /// [`interrupt`](RunningSweep::interrupt), or the end of the time for the answer.
    Plan(Box<Plan>),
    /// How far the sweep is.
    Progress(Progress),
    /// A message that was not processed, or possibly not.
    Problem(Box<Problem>),
    /// The sweep has ended. This is the last step.
    Finished(Box<Report>),
}

/// A sweep in progress: looks through the messages of a queue, and requeues, deletes or moves those
/// that a filter selects. Created by [`Admin::sweep`](crate::Admin::sweep).
///
/// It makes progress only while its next step is awaited. Nothing is changed before the plan is
/// confirmed.
///
/// Dropping it stops it as a crash does: the messages that it holds return when their leases end,
/// and a request in flight may or may not be executed. No message is lost, because each is deleted
/// only after it was posted.
pub struct RunningSweep<R> {
    machine: Sweep,
    queue: Arc<dyn Queue>,
    clock: Clock<R>,
    /// The requests in flight, in the order in which they were sent.
    in_flight: Vec<(OpId, BoxFuture<Result<QueueReply, Fault>>)>,
    interrupts: UnboundedReceiver<()>,
    interrupter: UnboundedSender<()>,
    finished: bool,
}

/// Interrupts a sweep from a signal handler or another thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SweepInterrupter(UnboundedSender<()>);

impl SweepInterrupter {
    /// Interrupts the sweep, as [`RunningSweep::interrupt`] does. Without effect if it has ended.
    pub fn interrupt(&self) {
        let _ = self.0.unbounded_send(());
    }
}

impl<R: Runtime> RunningSweep<R> {
    pub(crate) fn start(
        config: SweepConfig,
        queue: Arc<dyn Queue>,
        codec: Codec,
        clock: Clock<R>,
    ) -> Result<Self, Error<R>> {
        let name = config.queue().clone();
        let machine = Sweep::new(config, &queue.capabilities(), codec, random()?, clock.wall());
        let machine =
            machine.map_err(|why| Error::from(Cause::from(why)).about_queue(Some(name)))?;
        let (interrupter, interrupts) = mpsc::unbounded();
        let mut sweep = RunningSweep {
            machine,
            queue,
            clock,
            in_flight: Vec::new(),
            interrupts,
            interrupter,
            finished: false,
        };
        sweep.feed(Input::Tick);
        Ok(sweep)
    }

    /// Agrees to the plan. Without effect if no plan waits for an answer, or the time for it has
    /// ended.
    pub fn confirm(&mut self) {
        self.feed(Input::Confirm);
    }

    /// Does not agree to the plan: the messages are released, and nothing is changed. Without
    /// effect if no plan waits for an answer.
    pub fn cancel(&mut self) {
        self.feed(Input::Cancel);
    }

    /// Interrupts the sweep. The first time, it completes the request in flight and the deletes
    /// that belong to it, and releases the messages that it holds. The second time, or when no reply
    /// arrives for a second, it ends with the next step; the messages that it holds return when their
    /// leases end.
    pub fn interrupt(&mut self) {
        self.feed(Input::Interrupt);
    }

    /// Interrupts the sweep from elsewhere.
    #[must_use]
    pub fn interrupter(&self) -> SweepInterrupter {
        SweepInterrupter(self.interrupter.clone())
    }

    /// The next step; `None` after the last one. This is cancel safe.
    pub(crate) async fn step(&mut self) -> Option<SweepStep> {
        loop {
            match self.machine.poll_output() {
                Output::Queue(id, op) => self.in_flight.push((id, self.queue.execute(op))),
                Output::Row(row) => return Some(SweepStep::Row(row)),
                Output::Plan(plan) => return Some(SweepStep::Plan(plan)),
                Output::Progress(progress) => return Some(SweepStep::Progress(progress)),
                Output::Problem(problem) => return Some(SweepStep::Problem(problem)),
                Output::Wait(deadline) => {
                    let at = deadline.map(|deadline| deadline.at);
                    let input = self.input(self.clock.sleep_until(at)).await;
                    self.feed(input);
                }
                Output::Finished(report) => {
                    self.in_flight.clear();
                    let is_new = !std::mem::replace(&mut self.finished, true);
                    return is_new.then_some(SweepStep::Finished(report));
                }
            }
        }
    }

    /// Waits for the next input.
    async fn input(&mut self, time: impl Future<Output = ()>) -> Input {
        let mut time = pin!(time);
        poll_fn(|context| {
            if let Poll::Ready(input) = self.poll_input(context) {
                return Poll::Ready(input);
            }
            time.as_mut().poll(context).map(|()| Input::Tick)
        })
        .await
    }

    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Input> {
        // The channel does not end, because this sweep has a sender itself.
        if let Poll::Ready(Some(())) = self.interrupts.poll_next_unpin(context) {
            return Poll::Ready(Input::Interrupt);
        }
        let mut in_flight = self.in_flight.iter_mut().enumerate();
        let ready = in_flight.find_map(|(place, (_, executing))| {
            let Poll::Ready(reply) = executing.as_mut().poll(context) else { return None };
            Some((place, reply))
        });
        let Some((place, reply)) = ready else { return Poll::Pending };
        let (id, _) = self.in_flight.remove(place);
        Poll::Ready(Input::Queue(id, reply))
    }

    fn feed(&mut self, input: Input) {
        let now = self.clock.now();
        if let Some(wall) = self.clock.follow_wall(now) {
            check_accepted("sweep", self.machine.handle_input(Input::Clock(wall), now));
        }
        check_accepted("sweep", self.machine.handle_input(input, now));
    }
}

impl<R> fmt::Debug for RunningSweep<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningSweep").field("finished", &self.finished).finish_non_exhaustive()
    }
}
