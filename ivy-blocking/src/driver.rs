//! The pump: feeds a machine with what happens, and carries out what it wants done.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};

use ivy_proto::queue::{Fault, FaultKind, QueueOp};
use ivy_proto::{Misuse, Moment, OpId};

use crate::backend::{Answer, Queue, QueueResult};
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
pub(crate) fn pump<R: Role>(mut role: R, mailbox: &Receiver<R::Mail>, clock: Clock) {
    while let Next::Wait(deadline) = role.carry_out() {
        let wait = deadline.unwrap_or(Moment::FOREVER).since(clock.now());
        let first = match mailbox.recv_timeout(wait) {
            Ok(mail) => Some(mail),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let now = clock.now();
        for mail in first.into_iter().chain(mailbox.try_iter()).take(BATCH) {
            role.handle(mail, now);
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
        deliver: impl FnOnce(QueueResult) + Send + 'static,
    ) {
        let given_up = CancellationToken::new();
        self.under_way.insert(id, given_up.clone());
        // The first of the two takes it.
        let deliver = Arc::new(Mutex::new(Some(deliver)));
        let deliver_once = move |answer| {
            let deliver = deliver.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(deliver) = deliver {
                deliver(answer);
            }
        };
        given_up.on_cancel({
            let deliver_once = deliver_once.clone();
            move || {
                let lost = Fault::new(FaultKind::AnswerLost);
                deliver_once(Err(lost.with_detail("the wait was given up")));
            }
        });
        self.queue.execute(op, &given_up, Answer::of_queue(deliver_once));
    }

    /// Gives an operation up. It is still answered, once.
    pub(crate) fn give_up(&mut self, id: OpId) {
        if let Some(given_up) = self.under_way.get(&id) {
            given_up.cancel();
        }
    }

    /// The answer of an operation has arrived.
    pub(crate) fn ended(&mut self, id: OpId) {
        self.under_way.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use ivy_proto::QueueName;
    use ivy_proto::queue::{Capabilities, QueueReply};

    use super::*;

    /// A role that sleeps until a moment, and finishes then.
    struct Sleeper {
        until: Moment,
        now: Moment,
        mail: Vec<u8>,
        done: mpsc::Sender<(Vec<u8>, Moment)>,
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
            self.done.send((self.mail.clone(), self.now)).unwrap();
            Next::Finished
        }
    }

    #[test]
    fn a_machine_is_woken_at_its_deadline_and_handed_all_mail_before() {
        let clock = Clock::start();
        let until = Moment::after_epoch(Duration::from_millis(50));
        let (done, heard) = mpsc::channel();
        let (mailbox, receiver) = mpsc::channel();
        let role = Sleeper { until, now: clock.now(), mail: Vec::new(), done };
        for mail in 0..3 {
            mailbox.send(mail).unwrap();
        }
        pump(role, &receiver, clock);
        let (mail, at) = heard.recv().unwrap();
        assert_eq!(mail, [0, 1, 2]);
        assert!(at >= until, "{at:?}");
    }

    #[test]
    fn a_machine_to_which_nobody_can_send_mail_ends() {
        let clock = Clock::start();
        let (done, _heard) = mpsc::channel();
        let (mailbox, receiver) = mpsc::channel();
        let role = Sleeper { until: Moment::FOREVER, now: clock.now(), mail: Vec::new(), done };
        let running = thread::spawn(move || pump(role, &receiver, clock));
        drop(mailbox);
        running.join().unwrap();
    }

    /// A queue that answers when it is told to.
    #[derive(Debug, Default)]
    struct Slow(Mutex<Vec<Answer<QueueResult>>>);

    impl Slow {
        fn answer(&self) {
            for answer in self.0.lock().unwrap().drain(..) {
                answer.give(Ok(QueueReply::Cleared));
            }
        }
    }

    impl Queue for Slow {
        fn capabilities(&self) -> Capabilities {
            Capabilities::ironmq()
        }

        fn execute(&self, _: QueueOp, _: &CancellationToken, answer: Answer<QueueResult>) {
            self.0.lock().unwrap().push(answer);
        }
    }

    /// Starts an operation, does this with it, and tells its answers.
    fn answers(meanwhile: impl FnOnce(&mut Operations, OpId, &Slow)) -> Vec<QueueResult> {
        // Only a machine can make an id, so one is asked for a first operation.
        let id = first_operation();
        let slow = Arc::new(Slow::default());
        let mut operations = Operations::new(slow.clone());
        let (sender, answers) = mpsc::channel();
        let op = QueueOp::Clear { queue: QueueName::new("mail").unwrap() };
        operations.start(id, op, move |answer| sender.send(answer).unwrap());
        meanwhile(&mut operations, id, &slow);
        drop((operations, slow));
        answers.iter().collect()
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

    fn assert_lost(answers: &[QueueResult]) {
        let [Err(fault)] = answers else { panic!("{answers:?}") };
        assert_eq!(fault.kind(), FaultKind::AnswerLost);
    }

    #[test]
    fn an_operation_that_is_given_up_is_answered_once_as_lost() {
        assert_lost(&answers(|operations, id, slow| {
            operations.give_up(id);
            operations.give_up(id);
            slow.answer();
        }));
    }

    #[test]
    fn an_operation_that_was_quicker_keeps_its_answer() {
        let answers = answers(|operations, id, slow| {
            slow.answer();
            operations.give_up(id);
        });
        assert_eq!(answers, [Ok(QueueReply::Cleared)]);
    }

    #[test]
    fn an_operation_that_its_queue_forgets_is_answered_as_lost() {
        assert_lost(&answers(|_, _, slow| slow.0.lock().unwrap().clear()));
    }
}
