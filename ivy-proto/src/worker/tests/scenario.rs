//! A worker driven by hand: the test plays the queue, the notifier, the handlers and the clock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::Event;
use crate::id::{JobId, MessageId, OpId, Receipt, ReservationId, TaskId};
use crate::name::{ChannelName, QueueName, TaskName};
use crate::notify::{NotifyFault, Publication};
use crate::queue::{
    Body, Capabilities, DeliveryCount, Fault, FaultKind, NewMessage, QueueInfo, QueueOp,
    QueueReply, ReceivedBody, Reserved, ReservedMessage, Retry,
};
use crate::task::TaskSettings;
use crate::time::{Moment, WallClock};
use crate::wire::{Codec, Envelope, IvyOptions, Options, RawJson};
use crate::worker::{CancelReason, Input, JobOutcome, Output, Run, Worker, WorkerConfig};

pub(super) const TASK: &str = "testpackage.factorial";
pub(super) const QUEUE: &str = "testpackage";
/// The wall clock at the epoch of these tests.
pub(super) const UNIX_AT_START: Duration = Duration::from_secs(1_700_000_000);

pub(super) struct Scenario {
    pub(super) worker: Worker,
    pub(super) now: Moment,
    pub(super) ops: VecDeque<(OpId, QueueOp)>,
    pub(super) runs: VecDeque<Run>,
    pub(super) publications: VecDeque<(OpId, Publication)>,
    pub(super) cancelled_jobs: Vec<(JobId, CancelReason)>,
    pub(super) interrupted_jobs: Vec<JobId>,
    pub(super) cancelled_ops: Vec<OpId>,
    pub(super) events: Vec<Event>,
    pub(super) finished: bool,
    messages: usize,
}

pub(super) fn queue() -> QueueName {
    QueueName::new(QUEUE).unwrap()
}

pub(super) fn config() -> WorkerConfig {
    let capabilities = Capabilities::broker().with_retry(Retry::Successor);
    WorkerConfig::new(capabilities, Codec::plain())
        .with_task(TaskName::new(TASK).unwrap(), TaskSettings::in_queue(queue()))
        .with_notifier(ChannelName::new("ivy-notifier").unwrap())
}

/// A worker that serves one task and has started to poll.
pub(super) fn started() -> Scenario {
    started_with(config())
}

pub(super) fn started_with(config: WorkerConfig) -> Scenario {
    let mut scenario = started_at(config, UNIX_AT_START);
    scenario.events.clear();
    scenario
}

/// Starts with this wall clock, and keeps the events of the start.
pub(super) fn started_at(config: WorkerConfig, unix: Duration) -> Scenario {
    let worker = Worker::new(config, [7; 32], WallClock::new(unix)).unwrap();
    let mut scenario = Scenario {
        worker,
        now: Moment::EPOCH,
        ops: VecDeque::new(),
        runs: VecDeque::new(),
        publications: VecDeque::new(),
        cancelled_jobs: Vec::new(),
        interrupted_jobs: Vec::new(),
        cancelled_ops: Vec::new(),
        events: Vec::new(),
        finished: false,
        messages: 0,
    };
    scenario.feed(Input::Tick);
    while let Some((op, queue)) = scenario.take(|op| match op {
        QueueOp::GetQueue { queue } => Some(queue.clone()),
        _ => None,
    }) {
        scenario.reply(op, Ok(QueueReply::Queue(Box::new(QueueInfo::new(queue)))));
    }
    scenario
}

impl Scenario {
    pub(super) fn feed(&mut self, input: Input) {
        self.worker.handle_input(input, self.now).unwrap();
        self.drain_outputs();
    }

    fn drain_outputs(&mut self) {
        loop {
            match self.worker.poll_output() {
                Output::Queue(id, op) => self.ops.push_back((id, op)),
                Output::CancelQueue(id) => self.cancelled_ops.push(id),
                Output::Publish(id, publication) => self.publications.push_back((id, publication)),
                Output::Run(run) => self.runs.push_back(run),
                Output::Cancel(job, reason) => self.cancelled_jobs.push((job, reason)),
                Output::Interrupt(job) => self.interrupted_jobs.push(job),
                Output::Event(event) => self.events.push(event),
                Output::Finished => self.finished = true,
                Output::Wait(deadline) => {
                    if let Some(deadline) = deadline {
                        assert!(deadline.at > self.now, "{deadline:?}");
                    }
                    return;
                }
            }
        }
    }

    /// Lets handlers run for so long that none of them counts as quick, so that a message is
    /// prefetched.
    pub(super) fn run_on(&mut self) {
        self.advance(Duration::from_millis(2));
    }

    /// Lets time pass, stopping at each deadline.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        loop {
            let Output::Wait(deadline) = self.worker.poll_output() else { unreachable!() };
            self.now = deadline.map_or(end, |deadline| deadline.at.min(end));
            if self.finished {
                self.now = end;
                return;
            }
            self.feed(Input::Tick);
            if self.now == end {
                return;
            }
        }
    }

    /// Lets time pass while the queue grants each renewal of the only message's lease. Returns the
    /// receipts of the requests.
    pub(super) fn advance_renewing(&mut self, by: Duration) -> Vec<Receipt> {
        let end = self.now + by;
        let mut receipts = Vec::new();
        while self.now < end {
            self.advance(Duration::from_millis(100));
            while let Some((op, (receipt, _))) = self.take_touch() {
                receipts.push(receipt);
                self.touched(op, &format!("t{}", receipts.len()));
            }
        }
        receipts
    }

    /// Takes the first operation of a kind.
    pub(super) fn take<T>(&mut self, kind: impl Fn(&QueueOp) -> Option<T>) -> Option<(OpId, T)> {
        let position = self.ops.iter().position(|(_, op)| kind(op).is_some())?;
        let (id, op) = self.ops.remove(position)?;
        kind(&op).map(|found| (id, found))
    }

    pub(super) fn reply(&mut self, op: OpId, result: Result<QueueReply, Fault>) {
        self.feed(Input::Queue(op, result));
    }

    pub(super) fn take_poll(&mut self) -> Option<(OpId, usize)> {
        self.take(|op| match op {
            QueueOp::Reserve { count, .. } => Some(*count),
            _ => None,
        })
    }

    pub(super) fn take_post(&mut self) -> Option<(OpId, (QueueName, NewMessage))> {
        self.take(|op| match op {
            QueueOp::Post { queue, messages } => Some((queue.clone(), messages.items()[0].clone())),
            _ => None,
        })
    }

    pub(super) fn take_deletes(&mut self) -> Option<(OpId, Vec<Receipt>)> {
        self.take(|op| match op {
            QueueOp::DeleteMany { receipts, .. } => Some(receipts.items().to_vec()),
            QueueOp::Delete { receipt, .. } => Some(vec![receipt.clone()]),
            _ => None,
        })
    }

    pub(super) fn take_release(&mut self) -> Option<(OpId, Duration)> {
        self.take(|op| match op {
            QueueOp::Release { delay, .. } => Some(*delay),
            _ => None,
        })
    }

    pub(super) fn take_touch(&mut self) -> Option<(OpId, (Receipt, Duration))> {
        self.take(|op| match op {
            QueueOp::Touch { receipt, lease, .. } => Some((receipt.clone(), *lease)),
            _ => None,
        })
    }

    pub(super) fn take_publication(&mut self) -> Option<(OpId, Publication)> {
        self.publications.pop_front()
    }

    /// Replies to the poll in flight with these bodies and their delivery counts.
    pub(super) fn deliver_counted(&mut self, bodies: &[(&str, u32)]) {
        let (op, _) = self.take_poll().unwrap();
        self.deliver_to(op, bodies);
    }

    /// Replies to the poll in flight with this body, from a queue whose counts are exact.
    pub(super) fn deliver_with_exact_counts(&mut self, body: &str, failed: u32, lost: u32) {
        let mut message = self.message(body, 1);
        message.deliveries = DeliveryCount::Exact { failed, lost };
        self.deliver_messages(vec![message]);
    }

    /// Replies to this poll with these bodies and their delivery counts.
    pub(super) fn deliver_to(&mut self, op: OpId, bodies: &[(&str, u32)]) {
        let messages = bodies.iter().map(|(body, count)| self.message(body, *count)).collect();
        self.reply(op, Ok(QueueReply::Reserved(Reserved { messages, unusable: 0 })));
    }

    /// Replies to the poll in flight with these messages.
    pub(super) fn deliver_messages(&mut self, messages: Vec<ReservedMessage>) {
        let (op, _) = self.take_poll().unwrap();
        self.reply(op, Ok(QueueReply::Reserved(Reserved { messages, unusable: 0 })));
    }

    /// Replies to the poll in flight with the message of this id, which may be a redelivery.
    pub(super) fn deliver_again(&mut self, id: &str, body: &str, count: u32) {
        let mut message = self.message(body, count);
        message.receipt.message = MessageId::new(id);
        self.deliver_messages(vec![message]);
    }

    /// Lets time pass until the queue is polled again.
    pub(super) fn until_polled(&mut self) {
        for _ in 0..120 {
            if self.ops.iter().any(|(_, op)| matches!(op, QueueOp::Reserve { .. })) {
                return;
            }
            self.advance(Duration::from_secs(1));
        }
        panic!("the queue is not polled again");
    }

    /// Delivers the message of this id until it was released ten times, and once more.
    pub(super) fn release_ten_times(&mut self, id: &str, body: &str) {
        for _ in 0..10 {
            self.until_polled();
            self.deliver_again(id, body, 1);
            let (release, _) = self.take_release().expect("it is released");
            self.reply(release, Ok(QueueReply::Released));
        }
        self.until_polled();
        self.deliver_again(id, body, 1);
    }

    pub(super) fn deliver(&mut self, bodies: &[&str]) {
        let counted: Vec<(&str, u32)> = bodies.iter().map(|body| (*body, 1)).collect();
        self.deliver_counted(&counted);
    }

    pub(super) fn take_release_of(&mut self) -> Option<(OpId, (Receipt, Duration))> {
        self.take(|op| match op {
            QueueOp::Release { receipt, delay, .. } => Some((receipt.clone(), *delay)),
            _ => None,
        })
    }

    fn message(&mut self, body: &str, count: u32) -> ReservedMessage {
        self.messages += 1;
        self.numbered(self.messages, body, count)
    }

    /// A message of this number, with this delivery count.
    pub(super) fn numbered(&self, number: usize, body: &str, count: u32) -> ReservedMessage {
        ReservedMessage {
            receipt: Receipt {
                message: MessageId::new(number.to_string()),
                reservation: ReservationId::new(format!("r{number}")),
            },
            body: ReceivedBody::Text(Body::new(body)),
            deliveries: DeliveryCount::from_reserved_count(Some(count)),
        }
    }

    /// Delivers one message of the test's task and takes its handler.
    pub(super) fn running(&mut self, body: &str) -> Run {
        self.deliver(&[body]);
        self.runs.pop_front().unwrap()
    }

    pub(super) fn end(&mut self, run: &Run, outcome: JobOutcome) {
        self.feed(Input::Job(run.job, outcome));
    }

    pub(super) fn done(&mut self, run: &Run) {
        self.end(run, JobOutcome::Done(RawJson::parse("120").unwrap()));
    }

    pub(super) fn fail(&mut self, run: &Run) {
        self.end(run, JobOutcome::Failed("no".into()));
    }

    pub(super) fn posted(&mut self, op: OpId) {
        self.reply(op, Ok(QueueReply::all_posted([MessageId::new("99")])));
    }

    pub(super) fn reply_fault(&mut self, op: OpId, kind: FaultKind) {
        self.reply(op, Err(Fault::new(kind)));
    }

    pub(super) fn touched(&mut self, op: OpId, reservation: &str) {
        let receipt =
            Receipt { message: MessageId::new("1"), reservation: ReservationId::new(reservation) };
        self.reply(op, Ok(QueueReply::Touched(receipt)));
    }

    pub(super) fn published(&mut self, op: OpId, result: Result<u64, NotifyFault>) {
        self.feed(Input::Published(op, result));
    }

    /// The outcomes of the handlers, as far as reported.
    pub(super) fn executed(&self) -> Vec<Result<(), String>> {
        let ends = self.events.iter().filter_map(|event| match event {
            Event::TaskExecuted { error, .. } => Some(error.as_ref()),
            _ => None,
        });
        ends.map(|error| error.map_or(Ok(()), |error| Err(error.to_string()))).collect()
    }

    pub(super) fn has_event(&self, matches: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(matches)
    }
}

/// A body in the Node package's format.
pub(super) fn plain_body() -> String {
    format!("{{\"name\":\"{TASK}\",\"options\":{{}},\"args\":[5]}}")
}

/// A body with this number of lost deliveries.
pub(super) fn lost_body(lost: u32) -> String {
    our_body(1, None).replace("\"v\":1,", &format!("\"v\":1,\"lost\":{lost},"))
}

/// A body of ivy, with this attempt and reply channel.
pub(super) fn our_body(attempt: u32, reply: Option<&str>) -> String {
    let mut ivy = IvyOptions::new(task_id());
    ivy.attempt = attempt;
    ivy.reply = reply.map(Into::into);
    let envelope = Envelope {
        name: TaskName::new(TASK).unwrap(),
        options: Options::new().with_ivy(ivy),
        args: RawJson::parse("[5]").unwrap(),
    };
    envelope.to_text()
}

pub(super) fn task_id() -> TaskId {
    TaskId::from_random([9; 16])
}

pub(super) const NOTICE_CHANNEL: &str = "ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA";
