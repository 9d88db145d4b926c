//! A queue in this process: the in-memory broker behind a lock.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use ivy_proto::backend::Queue;
use ivy_proto::broker::{
    Broker, Delivery, Input, Output, Refusal, Request, RequestId, Response, Target,
};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{Moment, QueueName};

#[cfg(test)]
use crate::clock::Clock;
use crate::locked_machine::{Machine, MachineStep, PendingResponse, Poisoned, Submitted};
use crate::memory::Memory;
use crate::pump::check_accepted;
use crate::runtime::Runtime;

/// A queue in this process that behaves like IronMQ. Its messages live as long as its
/// [`Memory`].
pub(crate) struct MemoryQueue<R> {
    memory: Memory<R>,
}

impl<R: Runtime> MemoryQueue<R> {
    pub(crate) fn of(memory: Memory<R>) -> Self {
        MemoryQueue { memory }
    }

    #[cfg(test)]
    pub(crate) fn new(clock: Clock<R>, seed: [u8; 32]) -> Self {
        MemoryQueue::of(Memory::private(clock, seed))
    }

    #[cfg(test)]
    pub(crate) fn memory(&self) -> &Memory<R> {
        &self.memory
    }
}

impl<R> Clone for MemoryQueue<R> {
    fn clone(&self) -> Self {
        MemoryQueue { memory: self.memory.clone() }
    }
}

impl<R> fmt::Debug for MemoryQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryQueue")
    }
}

impl<R: Runtime> Queue for MemoryQueue<R> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker().with_reserves_taken_back()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let broker = self.memory.broker();
        async move {
            let broker = broker.ok_or_else(|| lost(Poisoned))?;
            let queue = op.queue().cloned();
            let response = match broker.submit(op.into()).map_err(lost)? {
                Submitted::Done(response) => response,
                Submitted::Pending(waiting) => Reserving { waiting, queue }.await.map_err(lost)?,
            };
            Ok(response?.into())
        }
        .boxed()
    }
}

fn lost(_: Poisoned) -> Fault {
    Fault::new(FaultKind::ReplyLost).with_detail("the queue in memory has stopped")
}

impl Machine for Broker {
    type Request = Request;
    type Response = Result<Response, Refusal>;

    fn submit(&mut self, id: RequestId, request: Request, now: Moment) {
        check_accepted("broker", self.handle_input(Input::Request(id, request), now));
    }

    fn abandon(&mut self, id: RequestId, now: Moment) {
        check_accepted("broker", self.handle_input(Input::Abandon(id), now));
    }

    fn tick(&mut self, now: Moment) {
        check_accepted("broker", self.handle_input(Input::Tick, now));
    }

    fn poll(&mut self) -> MachineStep<Self::Response> {
        match self.poll_output() {
            Output::Response(id, outcome) => MachineStep::Response(id, outcome),
            Output::Wait(deadline) => MachineStep::Wait(deadline.map(|deadline| deadline.at)),
        }
    }
}

/// A reserve that is pending. Dropping it releases the messages it has reserved.
struct Reserving<R: Runtime> {
    waiting: PendingResponse<R, Broker>,
    queue: Option<QueueName>,
}

impl<R: Runtime> Future for Reserving<R> {
    type Output = Result<Result<Response, Refusal>, Poisoned>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.waiting.poll_unpin(context)
    }
}

impl<R: Runtime> Drop for Reserving<R> {
    fn drop(&mut self) {
        let (Some(queue), Ok(Some(Ok(Response::Reserved(reserved))))) =
            (&self.queue, self.waiting.end())
        else {
            return;
        };
        for Delivery { message, reservation, .. } in reserved {
            let target = Target { message, reservation: Some(reservation) };
            let (queue, delay) = (queue.clone(), Duration::ZERO);
            // It is refused if the lease has ended; then the message was already released.
            let release = Request::Release { queue, target, delay, failed: false };
            self.waiting.machine().submit_next(release);
        }
    }
}

#[cfg(test)]
mod tests {
    use ivy_proto::queue::{Batch, Body, NewMessage};

    use super::*;
    use crate::testing::Tokio;

    fn queue() -> MemoryQueue<Tokio> {
        MemoryQueue::new(Clock::start(), [7; 32])
    }

    fn name() -> QueueName {
        QueueName::new("mail").unwrap()
    }

    fn post() -> QueueOp {
        let message = NewMessage { body: Body::new("hello"), delay: Duration::ZERO };
        QueueOp::Post { queue: name(), messages: Batch::one(message) }
    }

    fn reserve(wait: u64) -> QueueOp {
        let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(wait));
        QueueOp::Reserve { queue: name(), count: 1, lease, wait }
    }

    fn count(reply: Result<QueueReply, Fault>) -> usize {
        match reply {
            Ok(QueueReply::Reserved(reserved)) => reserved.messages.len(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reserve_receives_a_message_posted_later() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
        let waiting = tokio::spawn(queue.execute(reserve(30)));
        tokio::time::sleep(Duration::from_secs(10)).await;
        queue.execute(post()).await.unwrap();
        assert_eq!(count(waiting.await.unwrap()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_reserve_reserves_no_message() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        queue.execute(reserve(0)).await.unwrap();
        let waiting = tokio::spawn(queue.execute(reserve(30)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        waiting.abort();
        assert!(waiting.await.is_err());
        queue.execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_cancelled_after_its_reply_releases_the_messages() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        queue.execute(reserve(0)).await.unwrap();
        let mut waiting = queue.execute(reserve(30));
        assert!((&mut waiting).now_or_never().is_none());
        queue.execute(post()).await.unwrap();
        drop(waiting);
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_of_a_reserve_that_outlives_its_runtimes_clock_are_released() {
        use tokio::runtime::{Builder, Runtime};
        thread_local!(static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap());
        let queue = queue();
        queue.execute(post()).await.unwrap();
        queue.execute(reserve(0)).await.unwrap();
        let (with_reply, without) = (queue.execute(reserve(30)), queue.execute(reserve(30)));
        let (mut with_reply, mut without) = (with_reply, without);
        assert!((&mut with_reply).now_or_never().is_none());
        assert!((&mut without).now_or_never().is_none());
        queue.execute(post()).await.unwrap();
        let in_thread = move || {
            RUNTIME.with(|runtime| {
                runtime.block_on(async {
                    tokio::spawn(async move {
                        let _both = (with_reply, without);
                        std::future::pending::<()>().await;
                    });
                });
            });
        };
        std::thread::spawn(in_thread).join().unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_that_is_cancelled_just_as_a_message_becomes_ready_takes_none() {
        let queue = queue();
        let delay = Duration::from_secs(10);
        let message = NewMessage { body: Body::new("hello"), delay };
        let post = QueueOp::Post { queue: name(), messages: Batch::one(message) };
        queue.execute(post).await.unwrap();
        let mut waiting = queue.execute(reserve(30));
        assert!((&mut waiting).now_or_never().is_none());
        // The broker's own timer has not fired yet when this returns.
        tokio::time::advance(delay).await;
        drop(waiting);
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
    }

    #[tokio::test]
    async fn a_refusal_is_a_fault() {
        let fault = queue().execute(QueueOp::Clear { queue: name() }).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::NoQueue);
    }

    #[tokio::test]
    async fn clones_share_their_messages_and_other_queues_do_not() {
        let queue = queue();
        queue.clone().execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
        assert!(self::queue().execute(reserve(0)).await.is_err());
    }
}
