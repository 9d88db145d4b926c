//! The pump: feeds a machine with what happens, and carries out what it wants done.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use async_channel::{Receiver, RecvError};
use futures_lite::future;
use ivy_proto::queue::{Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{Misuse, Moment, OpId};

use crate::backend::Queue;
use crate::cancel::CancellationToken;
use crate::clock::Clock;

/// How much mail is taken in before the machine is asked what it wants, so that calls and answers
/// that come together travel together.
const BATCH: usize = 256;

/// A machine together with the means to carry out what it wants.
pub(crate) trait Role: Send + 'static {
    /// What is sent to the machine: its inputs, and what belongs to them here.
    type Mail: Send + 'static;

    /// Takes in what has happened.
    fn handle(&mut self, mail: Self::Mail, now: Moment);

    /// Takes in that time has passed.
    fn tick(&mut self, now: Moment);

    /// Starts everything that the machine wants done.
    fn carry_out(&mut self) -> Next;

    /// Waits for what does not come by mail. Dropping the future loses nothing.
    fn listen(&mut self) -> impl Future<Output = Self::Mail> + Send {
        std::future::pending()
    }
}

/// What comes after everything is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until this moment or the next mail.
    Wait(Option<Moment>),
    /// Nothing, ever.
    Finished,
}

/// Runs a machine until it has finished, or nobody is left who could send mail.
pub(crate) async fn pump<R: Role>(mut role: R, mailbox: Receiver<R::Mail>, clock: Clock) {
    let mut mail = Vec::with_capacity(BATCH);
    while let Next::Wait(deadline) = role.carry_out() {
        let arriving = async { mailbox.recv().await.map(Some) };
        let listening = async { Ok(Some(role.listen().await)) };
        let sleeping = async {
            clock.sleep_until(deadline).await;
            Ok(None)
        };
        match future::race(future::race(arriving, listening), sleeping).await {
            Ok(first) => mail.extend(first),
            Err(RecvError) => return,
        }
        mail.extend(std::iter::from_fn(|| mailbox.try_recv().ok()).take(BATCH));
        let now = clock.now();
        for piece in mail.drain(..) {
            role.handle(piece, now);
        }
        role.tick(now);
    }
}

/// Checks that a machine has taken an input. One that has finished meanwhile needs none.
pub(crate) fn taken(machine: &str, result: Result<(), Misuse>) {
    match result {
        Ok(()) | Err(Misuse::Finished) => {}
        Err(misuse) => {
            tracing::error!(machine, %misuse, "a machine was driven wrongly");
            debug_assert!(false, "the {machine} was driven wrongly: {misuse}");
        }
    }
}

/// The operations that a machine has under way at its queue.
#[derive(Debug)]
pub(crate) struct Operations {
    queue: Arc<dyn Queue>,
    under_way: HashMap<OpId, CancellationToken>,
}

impl Operations {
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Self {
        Operations { queue, under_way: HashMap::new() }
    }

    /// Starts an operation. `deliver` is called once, with its answer.
    pub(crate) fn start(
        &mut self,
        id: OpId,
        op: QueueOp,
        deliver: impl FnOnce(Result<QueueReply, Fault>) + Send + 'static,
    ) {
        let given_up = CancellationToken::new();
        self.under_way.insert(id, given_up.clone());
        let execution = self.queue.execute(op);
        async_std::task::spawn(async move {
            let giving_up = async {
                given_up.cancelled().await;
                Err(Fault::new(FaultKind::AnswerLost).with_detail("the wait was given up"))
            };
            deliver(future::or(execution, giving_up).await);
        });
    }

    /// Gives an operation up. It is still answered, once.
    pub(crate) fn give_up(&mut self, id: OpId) {
        if let Some(token) = self.under_way.get(&id) {
            token.cancel();
        }
    }

    /// The answer of an operation has arrived.
    pub(crate) fn ended(&mut self, id: OpId) {
        self.under_way.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_channel::Sender;
    use futures_util::future::BoxFuture;
    use ivy_proto::QueueName;
    use ivy_proto::queue::Capabilities;

    use super::*;

    /// A role that sleeps until a moment, and finishes then.
    struct Sleeper {
        until: Moment,
        now: Moment,
        mail: Vec<u8>,
        done: Sender<(Vec<u8>, Moment)>,
    }

    impl Role for Sleeper {
        type Mail = u8;

        fn handle(&mut self, mail: u8, _: Moment) {
            self.mail.push(mail);
        }

        fn tick(&mut self, now: Moment) {
            self.now = now;
        }

        fn carry_out(&mut self) -> Next {
            if self.now < self.until {
                return Next::Wait(Some(self.until));
            }
            self.done.try_send((self.mail.clone(), self.now)).unwrap();
            Next::Finished
        }
    }

    #[async_std::test]
    async fn a_machine_is_woken_at_its_deadline_and_handed_all_mail_before() {
        let clock = Clock::start();
        let until = Moment::after_epoch(Duration::from_millis(50));
        let (done, heard) = async_channel::unbounded();
        let (mailbox, receiver) = async_channel::unbounded();
        let role = Sleeper { until, now: clock.now(), mail: Vec::new(), done };
        let running = async_std::task::spawn(pump(role, receiver, clock));
        for mail in 0..3 {
            mailbox.try_send(mail).unwrap();
        }
        running.await;
        let (mail, at) = heard.recv().await.unwrap();
        assert_eq!(mail, [0, 1, 2]);
        assert!(at >= until, "{at:?}");
    }

    #[async_std::test]
    async fn a_machine_to_which_nobody_can_send_mail_ends() {
        let clock = Clock::start();
        let (done, _heard) = async_channel::unbounded();
        let (mailbox, receiver) = async_channel::unbounded();
        let role = Sleeper { until: Moment::FOREVER, now: clock.now(), mail: Vec::new(), done };
        let running = async_std::task::spawn(pump(role, receiver, clock));
        drop(mailbox);
        running.await;
    }

    /// A queue that answers at once, or never.
    #[derive(Debug)]
    struct Stub(Option<QueueReply>);

    impl Queue for Stub {
        fn capabilities(&self) -> Capabilities {
            Capabilities::ironmq()
        }

        fn execute(&self, _: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
            match self.0.clone() {
                Some(reply) => Box::pin(std::future::ready(Ok(reply))),
                None => Box::pin(std::future::pending()),
            }
        }
    }

    /// Starts an operation, gives it up, and tells its answers.
    async fn answers(reply: Option<QueueReply>) -> Vec<Result<QueueReply, Fault>> {
        // Only a machine can make an id, so one is asked for a first operation.
        let id = first_operation();
        let answers_itself = reply.is_some();
        let mut operations = Operations::new(Arc::new(Stub(reply)));
        let (sender, answers) = async_channel::unbounded();
        let op = QueueOp::Clear { queue: QueueName::new("mail").unwrap() };
        operations.start(id, op, move |answer| sender.try_send(answer).unwrap());
        let mut heard = Vec::new();
        if answers_itself {
            heard.extend(answers.recv().await);
        }
        operations.give_up(id);
        operations.give_up(id);
        while let Ok(answer) = answers.recv().await {
            heard.push(answer);
        }
        heard
    }

    fn first_operation() -> OpId {
        use ivy_proto::task::{Task, TaskSettings};
        use ivy_proto::worker::{Input, Output, Worker, WorkerConfig};
        let task = Task::<(), ()>::new("test");
        let settings: TaskSettings = task.settings().unwrap();
        let config = WorkerConfig::new(Capabilities::ironmq(), ivy_proto::wire::Codec::plain())
            .with_task(ivy_proto::TaskName::new("test").unwrap(), settings);
        let mut worker = Worker::new(config, [0; 32], ivy_proto::WallClock::default()).unwrap();
        worker.handle_input(Input::Tick, Moment::EPOCH).unwrap();
        loop {
            match worker.poll_output() {
                Output::Queue(id, _) => return id,
                Output::Wait(_) => panic!("a worker asks its queue at once"),
                _ => {}
            }
        }
    }

    #[async_std::test]
    async fn an_operation_that_is_given_up_is_answered_once_as_lost() {
        let answers = answers(None).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].as_ref().unwrap_err().kind(), FaultKind::AnswerLost);
    }

    #[async_std::test]
    async fn an_operation_that_was_quicker_keeps_its_answer() {
        assert_eq!(answers(Some(QueueReply::Cleared)).await, [Ok(QueueReply::Cleared)]);
    }
}
