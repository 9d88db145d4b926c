//! A sweep, its operator, and a broker whose requests and replies may get lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::admin::{
    Input, Output, Plan, Problem, ProblemKind, Report, Row, Sweep, SweepConfig, Timer,
};
use crate::broker::{self, Broker, BrokerConfig, RequestId};
use crate::queue::{
    Batch, Body, Capabilities, Fault, FaultKind, NewMessage, QueueOp, QueueReply, ReceivedBody,
};
use crate::wire::{Codec, DeadLetter, DeadLetterReason, Envelope};
use crate::{MessageId, Moment, QueueName, Receipt, ReservationId, WallClock};

/// How long each request takes.
const REQUEST: Duration = Duration::from_millis(10);
/// The wall clock at the start.
pub(super) const START: u64 = 1_700_000_000_000;

/// What happens to a request.
pub(super) enum Fate {
    Executed,
    /// It does not arrive.
    NotSent,
    /// It is executed, and its reply is lost.
    ReplyLost,
    /// The server refuses it.
    Refused(FaultKind),
    /// The server executes it, and replies this instead.
    Replied(QueueReply),
}

/// The fate of each request, by its number and operation.
pub(super) type Fates = Box<dyn FnMut(usize, &QueueOp) -> Fate>;

/// What the operator does with a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Confirm,
    Cancel,
    Never,
    /// Confirms after this many seconds.
    After(u64),
}

pub(super) struct Scenario {
    pub(super) broker: Broker,
    pub(super) now: Moment,
    pub(super) codec: Codec,
    pub(super) backend: Capabilities,
    pub(super) answer: Answer,
    /// Decides the fate of each request, by its number and operation.
    pub(super) fate: Fates,
    /// Inputs that follow the requests with these numbers.
    pub(super) interrupts: VecDeque<usize>,
    pub(super) requests: Vec<QueueOp>,
    pub(super) rows: Vec<Row>,
    pub(super) plan: Option<Plan>,
    pub(super) problems: Vec<Problem>,
    pub(super) waits: Vec<Timer>,
    /// A dead letter of `mail.dead` that arrives when the sweep waits for the first time.
    pub(super) arrives_at_wait: Option<Body>,
    /// How many messages the backend returns without their bodies.
    pub(super) returns_too_large: usize,
    /// Whether the backend returns all messages under one id, as identical elements that another
    /// program wrote.
    pub(super) shares_an_id: bool,
    /// The ids of the messages that were reserved.
    reserved: BTreeMap<ReservationId, MessageId>,
    asked: u64,
}

impl Scenario {
    pub(super) fn new() -> Self {
        Scenario {
            broker: Broker::new(BrokerConfig::default(), [7; 32]),
            now: Moment::EPOCH,
            codec: Codec::plain(),
            backend: Capabilities::broker(),
            answer: Answer::Confirm,
            fate: Box::new(|_, _| Fate::Executed),
            interrupts: VecDeque::new(),
            requests: Vec::new(),
            rows: Vec::new(),
            plan: None,
            problems: Vec::new(),
            waits: Vec::new(),
            arrives_at_wait: None,
            returns_too_large: 0,
            shares_an_id: false,
            reserved: BTreeMap::new(),
            asked: 0,
        }
    }

    /// Executes an operation at the broker.
    pub(super) fn execute(&mut self, op: QueueOp) -> Result<QueueReply, Fault> {
        self.asked += 1;
        let request = broker::Input::Request(RequestId(self.asked), op.into());
        self.broker.handle_input(request, self.now).unwrap();
        let broker::Output::Response(_, response) = self.broker.poll_output() else {
            panic!("the broker does not respond")
        };
        response.map(QueueReply::from).map_err(Fault::from)
    }

    pub(super) fn post(&mut self, queue: &str, bodies: impl IntoIterator<Item = Body>) {
        let message = |body| NewMessage { body, delay: Duration::ZERO };
        for body in bodies {
            let messages = Batch::one(message(body));
            self.execute(QueueOp::Post { queue: name(queue), messages }).unwrap();
        }
    }

    /// The texts of a queue's ready messages, in order.
    pub(super) fn bodies(&mut self, queue: &str) -> Vec<String> {
        self.ready(queue).iter().map(|body| body.as_str().to_owned()).collect()
    }

    /// The bodies of a queue's ready messages, in order.
    pub(super) fn ready(&mut self, queue: &str) -> Vec<Body> {
        match self.execute(QueueOp::Peek { queue: name(queue), count: 100 }) {
            Ok(QueueReply::Peeked(messages)) => {
                let body = |body| match body {
                    ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body,
                    other => panic!("{other:?}"),
                };
                messages.into_iter().map(|message| body(message.body)).collect()
            }
            Err(fault) if fault.kind() == FaultKind::NoQueue => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    /// The number of a queue's messages, in any state.
    pub(super) fn size(&mut self, queue: &str) -> u64 {
        match self.execute(QueueOp::GetQueue { queue: name(queue) }) {
            Ok(QueueReply::Queue(info)) => info.size.unwrap(),
            Err(fault) if fault.kind() == FaultKind::NoQueue => 0,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.broker.handle_input(broker::Input::Tick, self.now).unwrap();
        assert!(matches!(self.broker.poll_output(), broker::Output::Wait(_)));
    }

    /// Runs a sweep to its end.
    pub(super) fn run(&mut self, config: SweepConfig) -> Report {
        let mut sweep = self.start(config);
        let report = self.drive(&mut sweep);
        assert_eq!(report.requests, self.requests.len() as u64);
        assert_eq!(problems_of(&report), self.problems.len());
        report
    }

    /// Runs another sweep.
    pub(super) fn run_again(&mut self, config: SweepConfig) -> Report {
        self.requests.clear();
        self.problems.clear();
        self.rows.clear();
        self.run(config)
    }

    pub(super) fn start(&self, config: SweepConfig) -> Sweep {
        let wall = WallClock::new(Duration::from_millis(START));
        Sweep::new(config, &self.backend, self.codec.clone(), [1; 32], wall).unwrap()
    }

    pub(super) fn drive(&mut self, sweep: &mut Sweep) -> Report {
        sweep.handle_input(Input::Tick, self.now).unwrap();
        let mut answer_at = None;
        loop {
            let input = match sweep.poll_output() {
                Output::Queue(id, op) => {
                    let number = self.requests.len();
                    self.requests.push(op.clone());
                    if self.is_interrupted(number) {
                        sweep.handle_input(Input::Interrupt, self.now).unwrap();
                    }
                    let reply = self.reply(number, op);
                    self.pass(REQUEST);
                    if self.is_interrupted(number) {
                        sweep.handle_input(Input::Interrupt, self.now).unwrap();
                        continue;
                    }
                    Input::Queue(id, reply)
                }
                Output::Row(row) => {
                    self.rows.push(*row);
                    continue;
                }
                Output::Plan(plan) => {
                    let needs_confirmation = plan.needs_confirmation();
                    self.plan = Some(*plan);
                    match self.answer {
                        Answer::Confirm if needs_confirmation => Input::Confirm,
                        Answer::Cancel if needs_confirmation => Input::Cancel,
                        Answer::After(seconds) => {
                            answer_at = Some(self.now + Duration::from_secs(seconds));
                            continue;
                        }
                        _ => continue,
                    }
                }
                Output::Problem(problem) => {
                    self.problems.push(*problem);
                    continue;
                }
                Output::Progress(_) => continue,
                Output::Wait(deadline) => {
                    let deadline = deadline.expect("the sweep waits for nothing");
                    self.waits.push(deadline.why);
                    let arrived = self.arrives_at_wait.take();
                    self.post("mail.dead", arrived);
                    let at = deadline.at.min(answer_at.unwrap_or(deadline.at));
                    self.pass(at.since(self.now));
                    if answer_at.take_if(|answer| *answer <= self.now).is_some() {
                        Input::Confirm
                    } else {
                        Input::Tick
                    }
                }
                Output::Finished(report) => return *report,
            };
            sweep.handle_input(input, self.now).unwrap();
        }
    }

    /// Whether the operator interrupts during this request, once more.
    fn is_interrupted(&mut self, number: usize) -> bool {
        let interrupts = self.interrupts.front() == Some(&number);
        if interrupts {
            self.interrupts.pop_front();
        }
        interrupts
    }

    fn reply(&mut self, number: usize, op: QueueOp) -> Result<QueueReply, Fault> {
        match (self.fate)(number, &op) {
            Fate::Executed if self.shares_an_id => self.execute_under_one_id(op),
            Fate::Executed => self.execute(op).map(|reply| self.without_large(reply)),
            Fate::NotSent => Err(Fault::new(FaultKind::Unreachable)),
            Fate::ReplyLost => {
                let _ = self.execute(op);
                Err(Fault::new(FaultKind::ReplyLost))
            }
            Fate::Refused(kind) => Err(Fault::new(kind)),
            Fate::Replied(reply) => {
                let _ = self.execute(op);
                Ok(reply)
            }
        }
    }

    /// Executes an operation of a client that knows all messages under one id.
    fn execute_under_one_id(&mut self, mut op: QueueOp) -> Result<QueueReply, Fault> {
        let real = |receipt: &mut Receipt| {
            receipt.message.clone_from(&self.reserved[&receipt.reservation]);
        };
        match &mut op {
            QueueOp::Touch { receipt, .. } | QueueOp::Release { receipt, .. } => real(receipt),
            QueueOp::DeleteMany { receipts, .. } => {
                let mut items = receipts.items().to_vec();
                items.iter_mut().for_each(real);
                *receipts = Batch::new(items).unwrap();
            }
            _ => {}
        }
        let mut reply = self.execute(op)?;
        let mut hide = |receipt: &mut Receipt| {
            let message = std::mem::replace(&mut receipt.message, MessageId::new("raw-1"));
            self.reserved.insert(receipt.reservation.clone(), message);
        };
        match &mut reply {
            QueueReply::Touched(receipt) => hide(receipt),
            QueueReply::Reserved(reserved) => {
                reserved.messages.iter_mut().for_each(|message| hide(&mut message.receipt));
            }
            _ => {}
        }
        Ok(reply)
    }

    fn without_large(&mut self, mut reply: QueueReply) -> QueueReply {
        if let QueueReply::Reserved(reserved) = &mut reply {
            let count = self.returns_too_large.min(reserved.messages.len());
            self.returns_too_large -= count;
            for message in &mut reserved.messages[..count] {
                message.body = ReceivedBody::TooLarge;
            }
        }
        reply
    }

    /// How many requests of a kind were sent.
    pub(super) fn count(&self, is_kind: impl Fn(&QueueOp) -> bool) -> usize {
        self.requests.iter().filter(|op| is_kind(op)).count()
    }

    /// The kinds of all problems.
    pub(super) fn problems(&self) -> Vec<&ProblemKind> {
        self.problems.iter().map(|problem| &problem.kind).collect()
    }
}

fn problems_of(report: &Report) -> usize {
    let remaining = report.remaining + report.gone;
    report.refused + report.unknown + report.leases_lost + remaining + report.others_of_task
}

pub(super) fn name(queue: &str) -> QueueName {
    QueueName::new(queue).unwrap()
}

pub(super) fn is_post(op: &QueueOp) -> bool {
    matches!(op, QueueOp::Post { .. })
}

pub(super) fn is_delete(op: &QueueOp) -> bool {
    matches!(op, QueueOp::DeleteMany { .. })
}

pub(super) fn is_reserve(op: &QueueOp) -> bool {
    matches!(op, QueueOp::Reserve { .. })
}

pub(super) fn is_release(op: &QueueOp) -> bool {
    matches!(op, QueueOp::Release { .. })
}

pub(super) fn is_touch(op: &QueueOp) -> bool {
    matches!(op, QueueOp::Touch { .. })
}

/// The body of a task that failed for good.
pub(super) fn task(name: &str, number: u32) -> Body {
    let id = crate::TaskId::from_random(u128::from(number).to_be_bytes());
    Body::new(format!(
        r#"{{"name":"{name}","options":{{"ivy":{{"v":1,"id":"{id}","attempt":11}}}},"args":[{number}]}}"#
    ))
}

/// The dead letter of the message `id` of queue `mail`.
pub(super) fn letter(id: u32, body: Body) -> DeadLetter {
    DeadLetter {
        queue: name("mail"),
        id: MessageId::new(id.to_string()),
        reason: DeadLetterReason::RetriesExhausted,
        error: Some("out of luck".to_owned()),
        attempts: 11,
        deliveries: 1,
        at: START + u64::from(id),
        body,
    }
}

/// The body of the dead letter of one of these tasks.
pub(super) fn dead(name: &str, number: u32) -> Body {
    letter(number, task(name, number)).to_body()
}

/// The attempt and the count of requeues in a message.
pub(super) fn counts(body: &str) -> (u32, u32) {
    let envelope = Envelope::parse(body).unwrap();
    let ivy = envelope.options.ivy().unwrap();
    (ivy.attempt, ivy.requeued)
}
