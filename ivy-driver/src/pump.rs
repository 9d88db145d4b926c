//! The pump: feeds a machine with inputs and executes its outputs.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_channel::mpsc::UnboundedReceiver;
use futures_channel::oneshot;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ivy_proto::backend::{BoxFuture, Queue};
use ivy_proto::queue::{Fault, FaultKind, QueueOp, QueueReply, ReplyCheck};
use ivy_proto::{Misuse, Moment, OpId, WallClock};
use rustc_hash::FxHashMap;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::runtime::Runtime;

/// How many commands, and how many completed operations, are taken in before the machine is polled.
/// Calls and replies that arrive together are sent on together.
const BATCH: usize = 256;

/// How many bytes of completed operations are taken in before: their replies may be large.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Batches per poll before the pump yields.
const TURN: usize = 4;

/// Describes a reply that does not match its operation.
const ANOTHER_KIND: &str = "the backend's reply does not match the operation";

/// A machine together with the means to execute its outputs.
pub(crate) trait Role: Send + 'static {
    /// A command to the machine: an input, or something else that the driver handles.
    type Command: Send + 'static;

    /// Handles a change of the wall clock, or that the host slept.
    fn set_clock(&mut self, wall: WallClock, now: Moment);

    /// Handles a command.
    fn handle(&mut self, command: Self::Command, now: Moment);

    /// How many bytes from outside a command contains.
    fn size(_: &Self::Command) -> usize {
        0
    }

    /// Handles the passage of time.
    fn tick(&mut self, now: Moment);

    /// Starts to execute all outputs of the machine.
    fn execute_outputs(&mut self) -> Next;

    /// Answers those who ask what the machine has counted, or how it is, and has the pump woken by the next one.
    /// Once per turn, so that it costs a busy machine nothing.
    fn answer_questions(&mut self, _: &mut Context<'_>) {}

    /// Polls the operations in flight and returns what has completed.
    fn poll_in_flight(&mut self, _: &mut Context<'_>) -> Poll<Self::Command> {
        Poll::Pending
    }
}

/// What to do after all outputs are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait until this moment or the next command.
    Wait(Option<Moment>),
    /// The machine has finished.
    Finished,
}

/// Runs a machine until it has finished, or no sender of commands is left.
pub(crate) async fn pump<R: Runtime, P: Role>(
    mut role: P,
    mut mailbox: UnboundedReceiver<P::Command>,
    mut clock: Clock<R>,
) {
    let (mut command, mut arrived) = (Vec::with_capacity(2 * BATCH), Vec::with_capacity(BATCH));
    let (mut alarm, mut turns) = (Alarm::new(clock), TURN);
    while let Next::Wait(deadline) = role.execute_outputs() {
        let (mut is_abandoned, mut bytes) = (false, 0);
        poll_fn(|context| {
            if turns == 0 {
                turns = TURN;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            role.answer_questions(context);
            // Commands are handled before the results of operations: a worker that is paused does
            // not run a message posted after the pause. So results are polled first and handled
            // last; commands that arrive in between count as in time.
            while arrived.len() < BATCH
                && bytes < BATCH_BYTES
                && let Poll::Ready(piece) = role.poll_in_flight(context)
            {
                bytes += P::size(&piece);
                arrived.push(piece);
            }
            while command.len() < BATCH
                && let Poll::Ready(next) = mailbox.poll_next_unpin(context)
            {
                let Some(piece) = next else {
                    is_abandoned = true;
                    break;
                };
                command.push(piece);
            }
            command.append(&mut arrived);
            if is_abandoned || !command.is_empty() {
                return Poll::Ready(());
            }
            turns = TURN;
            alarm.poll(deadline, context)
        })
        .await;
        turns -= 1;
        if is_abandoned && command.is_empty() {
            return;
        }
        let now = clock.now();
        // Before the commands, which are judged by the new time.
        if let Some(wall) = clock.follow_wall(now) {
            role.set_clock(wall, now);
        }
        for piece in command.drain(..) {
            role.handle(piece, now);
        }
        role.tick(now);
    }
}

/// Checks that a machine accepted an input. A machine that finished meanwhile needs none.
pub(crate) fn check_accepted(machine: &str, result: Result<(), Misuse>) {
    match result {
        Ok(()) | Err(Misuse::Finished) => {}
        Err(misuse) => {
            tracing::error!(machine, %misuse, "a machine was misused");
            debug_assert!(false, "the {machine} was misused: {misuse}");
        }
    }
}

/// The operations of a machine in flight at its queue.
#[derive(Debug)]
pub(crate) struct Operations {
    queue: Arc<dyn Queue>,
    in_flight: FuturesUnordered<InFlight>,
    /// The cancellable ones: dropping the sender cancels the operation.
    cancel_senders: FxHashMap<OpId, oneshot::Sender<Infallible>>,
}

/// An operation until it completes or is cancelled.
struct InFlight {
    id: OpId,
    execution: BoxFuture<Result<QueueReply, Fault>>,
    is_expected: ReplyCheck,
    cancelled: Option<oneshot::Receiver<Infallible>>,
}

impl Operations {
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Self {
        Operations {
            queue,
            in_flight: FuturesUnordered::new(),
            cancel_senders: FxHashMap::default(),
        }
    }

    pub(crate) fn start(&mut self, id: OpId, op: QueueOp) {
        let cancelled = match op {
            // Operations that settle or post a message are never cancelled.
            QueueOp::Post { .. }
            | QueueOp::Touch { .. }
            | QueueOp::Release { .. }
            | QueueOp::Delete { .. } => None,
            _ => {
                let (sender, cancelled) = oneshot::channel();
                self.cancel_senders.insert(id, sender);
                Some(cancelled)
            }
        };
        let is_expected = QueueReply::of(&op);
        let execution = self.queue.execute(op);
        self.in_flight.push(InFlight { id, execution, is_expected, cancelled });
    }

    /// Cancels an operation. It still completes, once.
    pub(crate) fn cancel(&mut self, id: OpId) {
        self.cancel_senders.remove(&id);
    }

    /// The next completed operation.
    pub(crate) fn poll_reply(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<(OpId, Result<QueueReply, Fault>)> {
        match self.in_flight.poll_next_unpin(context) {
            Poll::Ready(Some((id, result))) => {
                self.cancel_senders.remove(&id);
                Poll::Ready((id, result))
            }
            // Operations started later are polled later.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Future for InFlight {
    type Output = (OpId, Result<QueueReply, Fault>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Polled in this order, so that a reply that has arrived is not lost.
        if let Poll::Ready(result) = self.execution.poll_unpin(context) {
            let result = result.and_then(|reply| match (self.is_expected)(&reply) {
                true => Ok(reply),
                false => Err(Fault::new(FaultKind::BadReply).with_detail(ANOTHER_KIND)),
            });
            return Poll::Ready((self.id, result));
        }
        let is_cancelled = self
            .cancelled
            .as_mut()
            .is_some_and(|cancelled| cancelled.poll_unpin(context).is_ready());
        if is_cancelled {
            let lost = Fault::new(FaultKind::ReplyLost).with_detail("the operation was cancelled");
            return Poll::Ready((self.id, Err(lost)));
        }
        Poll::Pending
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_channel::mpsc;
    use ivy_proto::QueueName;
    use ivy_proto::queue::Capabilities;

    use super::*;
    use crate::testing::{Tokio, set_clock_forward};

    /// A role that sleeps until a moment and then finishes.
    struct Sleeper {
        until: Moment,
        now: Moment,
        command: Vec<u8>,
        done: mpsc::UnboundedSender<(Vec<u8>, Moment)>,
    }

    impl Role for Sleeper {
        type Command = u8;

        fn set_clock(&mut self, _: WallClock, _: Moment) {}

        fn handle(&mut self, command: u8, _: Moment) {
            self.command.push(command);
        }

        fn tick(&mut self, now: Moment) {
            self.now = now;
        }

        fn execute_outputs(&mut self) -> Next {
            if self.now < self.until {
                return Next::Wait(Some(self.until));
            }
            self.done.unbounded_send((self.command.clone(), self.now)).unwrap();
            Next::Finished
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_is_woken_at_its_deadline_after_all_its_commands() {
        let clock = Clock::<Tokio>::start();
        let until = Moment::after_epoch(Duration::from_secs(5));
        let (done, mut received) = mpsc::unbounded();
        let (mailbox, receiver) = mpsc::unbounded();
        let role = Sleeper { until, now: clock.now(), command: Vec::new(), done };
        let running = tokio::spawn(pump(role, receiver, clock));
        for command in 0..3 {
            mailbox.unbounded_send(command).unwrap();
        }
        running.await.unwrap();
        let (command, at) = received.next().await.unwrap();
        assert_eq!(command, [0, 1, 2]);
        assert!(at >= until && at.since(until) < Duration::from_millis(5), "{at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_without_senders_of_commands_ends() {
        let clock = Clock::<Tokio>::start();
        let (done, _received) = mpsc::unbounded();
        let (mailbox, receiver) = mpsc::unbounded();
        let role = Sleeper { until: Moment::FOREVER, now: clock.now(), command: Vec::new(), done };
        let running = tokio::spawn(pump(role, receiver, clock));
        drop(mailbox);
        running.await.unwrap();
    }

    /// A role that records its inputs. Just before its operation completes, it is sent a command.
    struct Keeper {
        in_flight: Option<u8>,
        mailbox: mpsc::UnboundedSender<u8>,
        kept: Vec<u8>,
        done: mpsc::UnboundedSender<Vec<u8>>,
    }

    impl Role for Keeper {
        type Command = u8;

        fn set_clock(&mut self, _: WallClock, _: Moment) {}

        fn handle(&mut self, command: u8, _: Moment) {
            self.kept.push(command);
        }

        fn tick(&mut self, _: Moment) {}

        fn execute_outputs(&mut self) -> Next {
            if self.kept.len() < 3 {
                return Next::Wait(None);
            }
            self.done.unbounded_send(self.kept.clone()).unwrap();
            Next::Finished
        }

        fn poll_in_flight(&mut self, _: &mut Context<'_>) -> Poll<u8> {
            let Some(arrived) = self.in_flight.take() else { return Poll::Pending };
            self.mailbox.unbounded_send(1).unwrap();
            Poll::Ready(arrived)
        }
    }

    #[tokio::test]
    async fn commands_are_handled_before_the_results_of_operations() {
        let (done, mut received) = mpsc::unbounded();
        let (mailbox, receiver) = mpsc::unbounded();
        mailbox.unbounded_send(0).unwrap();
        let role = Keeper { in_flight: Some(2), mailbox, kept: Vec::new(), done };
        pump(role, receiver, Clock::<Tokio>::start()).await;
        assert_eq!(received.next().await.unwrap(), [0, 1, 2]);
    }

    /// A role that receives large results and records how many arrive at a time.
    struct Flooded {
        handled: usize,
        reports: mpsc::UnboundedSender<usize>,
    }

    impl Role for Flooded {
        type Command = ();

        fn set_clock(&mut self, _: WallClock, _: Moment) {}

        fn handle(&mut self, (): (), _: Moment) {
            self.handled += 1;
        }

        fn size((): &()) -> usize {
            BATCH_BYTES / 4
        }

        fn tick(&mut self, _: Moment) {
            self.reports.unbounded_send(std::mem::take(&mut self.handled)).unwrap();
        }

        fn execute_outputs(&mut self) -> Next {
            if self.reports.is_closed() { Next::Finished } else { Next::Wait(None) }
        }

        fn poll_in_flight(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    #[tokio::test]
    async fn large_results_are_handled_before_many_accumulate() {
        let (reports, mut received) = mpsc::unbounded();
        let (_mailbox, receiver) = mpsc::unbounded();
        tokio::spawn(pump(Flooded { handled: 0, reports }, receiver, Clock::<Tokio>::start()));
        for _ in 0..10 {
            assert_eq!(received.next().await, Some(4));
        }
    }

    /// A role that always has work until it is stopped.
    struct Restless {
        is_ended: bool,
    }

    impl Role for Restless {
        type Command = bool;

        fn set_clock(&mut self, _: WallClock, _: Moment) {}

        fn handle(&mut self, is_end: bool, _: Moment) {
            self.is_ended |= is_end;
        }

        fn tick(&mut self, _: Moment) {}

        fn execute_outputs(&mut self) -> Next {
            if self.is_ended { Next::Finished } else { Next::Wait(None) }
        }

        fn poll_in_flight(&mut self, _: &mut Context<'_>) -> Poll<bool> {
            Poll::Ready(false)
        }
    }

    #[tokio::test]
    async fn a_machine_that_is_always_busy_yields() {
        let (mailbox, receiver) = mpsc::unbounded();
        let clock = Clock::<Tokio>::start();
        let running = tokio::spawn(pump(Restless { is_ended: false }, receiver, clock));
        tokio::task::yield_now().await;
        mailbox.unbounded_send(true).unwrap();
        running.await.unwrap();
    }

    /// A role that records at each command the clock changes since the last one.
    struct Stamper {
        clocks: Vec<u64>,
        reports: mpsc::UnboundedSender<Vec<u64>>,
    }

    impl Role for Stamper {
        type Command = ();

        fn set_clock(&mut self, wall: WallClock, now: Moment) {
            self.clocks.push(wall.unix_millis(now) / 1000);
        }

        fn handle(&mut self, (): (), _: Moment) {
            self.reports.unbounded_send(std::mem::take(&mut self.clocks)).unwrap();
        }

        fn tick(&mut self, _: Moment) {}

        fn execute_outputs(&mut self) -> Next {
            Next::Wait(None)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_learns_of_a_clock_change_once_and_before_its_commands() {
        let clock = Clock::<Tokio>::start();
        let (reports, mut received) = mpsc::unbounded();
        let (mailbox, receiver) = mpsc::unbounded();
        tokio::spawn(pump(Stamper { clocks: Vec::new(), reports }, receiver, clock));
        tokio::time::advance(Duration::from_secs(5)).await;
        mailbox.unbounded_send(()).unwrap();
        assert!(received.next().await.unwrap().is_empty());
        set_clock_forward(Duration::from_secs(3_600));
        mailbox.unbounded_send(()).unwrap();
        assert_eq!(received.next().await.unwrap(), [1_700_003_605]);
        mailbox.unbounded_send(()).unwrap();
        assert!(received.next().await.unwrap().is_empty());
    }

    /// A queue that responds after a second.
    #[derive(Debug)]
    struct Slow;

    impl Queue for Slow {
        fn capabilities(&self) -> Capabilities {
            Capabilities::broker()
        }

        fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(QueueReply::Cleared)
            })
        }
    }

    /// Starts an operation, cancels it after this many milliseconds, and returns its result.
    async fn result(cancelled_after: u64) -> Result<QueueReply, Fault> {
        // Only a machine can create an id, so a worker is asked for its first operation.
        let id = first_operation();
        let mut operations = Operations::new(Arc::new(Slow));
        operations.start(id, QueueOp::Clear { queue: QueueName::new("mail").unwrap() });
        let cancelled_after = Duration::from_millis(cancelled_after);
        let early = poll_fn(|context| operations.poll_reply(context));
        let early = tokio::time::timeout(cancelled_after, early).await;
        operations.cancel(id);
        operations.cancel(id);
        let (replied, result) = match early {
            Ok(result) => result,
            Err(_) => poll_fn(|context| operations.poll_reply(context)).await,
        };
        assert_eq!(replied, id);
        assert!(operations.in_flight.is_empty() && operations.cancel_senders.is_empty());
        result
    }

    fn first_operation() -> OpId {
        use ivy_proto::task::{Task, TaskSettings};
        use ivy_proto::worker::{Input, Output, Worker, WorkerConfig};
        let task = Task::<(), ()>::new("test");
        let settings: TaskSettings = task.settings().unwrap();
        let config = WorkerConfig::new(Capabilities::broker(), ivy_proto::wire::Codec::plain())
            .with_task(ivy_proto::TaskName::new("test").unwrap(), settings);
        let mut worker = Worker::new(config, [0; 32], ivy_proto::WallClock::default()).unwrap();
        worker.handle_input(Input::Tick, Moment::EPOCH).unwrap();
        loop {
            match worker.poll_output() {
                Output::Queue(id, _) => return id,
                Output::Wait(_) => panic!("a worker polls its queue at once"),
                _ => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_operation_completes_once_as_lost() {
        assert_eq!(result(500).await.unwrap_err().kind(), FaultKind::ReplyLost);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_does_not_match_its_operation_is_a_bad_response() {
        let mut operations = Operations::new(Arc::new(Slow));
        let queue = QueueName::new("mail").unwrap();
        operations.start(first_operation(), QueueOp::GetQueue { queue });
        let (_, result) = poll_fn(|context| operations.poll_reply(context)).await;
        assert_eq!(result.unwrap_err().kind(), FaultKind::BadReply);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_completes_before_the_cancellation_keeps_its_result() {
        assert_eq!(result(1500).await, Ok(QueueReply::Cleared));
    }
}
