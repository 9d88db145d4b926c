//! A producer between arbitrary callers, an arbitrary queue, notifier and clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use ivy_proto::producer::{Call, Input, Output, Producer, ProducerConfig, ReplyTo, SendError};
use ivy_proto::queue::{Capabilities, Effect, QueueOp, QueueReply};
use ivy_proto::task::{TaskFailure, TaskReleased};
use ivy_proto::wire::{Codec, Envelope, IvyOptions, Notice, Options, RawJson};
use ivy_proto::{
    ChannelName, MessageId, Misuse, Moment, OpId, QueueName, TaskId, TaskName, WallClock,
};

use super::{any_fault, pick};

/// The next input. Numbers that name something are taken modulo the number of candidates.
#[derive(Arbitrary, Debug)]
enum Step {
    Call { calls: Vec<NewCall> },
    CallAgain { which: u8 },
    Reply { which: u8, how: ReplyKind },
    Subscribed,
    SubscriptionLost { how: u8 },
    Notice { which: u8, good: bool, shared: bool },
    Noise { payload: Vec<u8>, shared: bool },
    Forget { which: u8 },
    Pass { millis: u16 },
    ToDeadline,
    ClockBack { millis: u16 },
    Drain { seconds: u8 },
    ReplyTwice,
    WrongReply { which: u8 },
}

#[derive(Arbitrary, Debug)]
struct NewCall {
    queue: u8,
    once: bool,
    reply: u8,
    delay: Option<u32>,
    expires: bool,
    long: bool,
    within: Option<u16>,
}

/// How the queue replies to a post.
#[derive(Arbitrary, Debug)]
enum ReplyKind {
    Accepted,
    TooManyIds,
    Fault { kind: u8, retry_after: Option<u16> },
}

/// Lists of inputs, including mistakes of the driver.
///
/// Checks that each call has one end, which matches the queue's replies; no message is posted a
/// second time unless the first was certainly not stored or may run again (S3); results are
/// delivered at most once, and only to callers that want them; bounds and deadlines (S7), the end
/// (S9), misuse and a clock that goes back change nothing, and a producer that is polled at the end
/// has the same effects as one that is polled after each input (S14).
pub fn producer_inputs(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut world = World::new();
    while !input.is_empty()
        && !world.finished
        && let Ok(step) = Step::arbitrary(&mut input)
    {
        world.take(step);
    }
    world.end();
}

const OUTBOX: usize = 12;
const IN_FLIGHT: usize = 2;
const TRIES: u32 = 5;
const QUEUES: [&str; 2] = ["a", "b"];
const LIMIT: Duration = Duration::from_secs(8);

/// What is known of a call.
#[derive(Debug)]
struct Known {
    queue: QueueName,
    repeatable: bool,
    wants_result: bool,
    /// How often it was passed to the producer.
    calls: u32,
    sent: u32,
    posts: u32,
    in_flight: bool,
    /// The replies to its posts, and whether a notice arrived for it.
    stored: bool,
    may_be_stored: bool,
    refused: bool,
    has_notice: bool,
    /// Whether a notice reported that its message was released, and whether one reported its end.
    was_released: bool,
    ended: bool,
    resumed: bool,
}

struct World {
    producer: Producer,
    /// The same, polled only at the end.
    unpolled: Producer,
    now: Moment,
    due: Option<Moment>,
    calls: BTreeMap<TaskId, Known>,
    posts: BTreeMap<OpId, Vec<TaskId>>,
    last_replied: Option<OpId>,
    reply_channel: Option<ChannelName>,
    finished: bool,
    outputs: Vec<String>,
}

impl World {
    fn new() -> Self {
        let config = || {
            let shared = shared();
            ProducerConfig::new(Capabilities::broker().with_max_body(4096), Codec::plain())
                .with_notifier(shared)
                .expect("a short name")
                .with_outbox(OUTBOX)
                .with_waiting(OUTBOX)
                .with_posts_in_flight(IN_FLIGHT)
                .with_tries(TRIES)
        };
        let producer = || Producer::new(config(), [1; 32], WallClock::default());
        World {
            producer: producer(),
            unpolled: producer(),
            now: Moment::EPOCH,
            due: None,
            calls: BTreeMap::new(),
            posts: BTreeMap::new(),
            last_replied: None,
            reply_channel: None,
            finished: false,
            outputs: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Call { calls } => {
                let calls: Vec<Call> = calls.iter().map(|call| self.call(call)).collect();
                self.feed(|| Input::Calls(calls.clone()));
            }
            Step::CallAgain { which } => {
                let unsent = |(_, known): &(&TaskId, &mut Known)| known.sent < known.calls;
                let mut unsent = self.calls.iter_mut().filter(unsent).collect::<Vec<_>>();
                if let Some((id, known)) = pick(unsent.drain(..), which) {
                    known.calls += 1;
                    let call = call(*id, known.queue.clone());
                    self.feed(|| Input::Calls(vec![call.clone()]));
                }
            }
            Step::Reply { which, how } => {
                if let Some(op) = pick(self.posts.keys().copied(), which) {
                    self.reply_to(op, &how);
                }
            }
            Step::Subscribed => self.feed(|| Input::Subscribed),
            Step::SubscriptionLost { how } => {
                let kinds = [
                    NotifyFaultKind::Unreachable,
                    NotifyFaultKind::ConnectionLost,
                    NotifyFaultKind::Unauthorized,
                ];
                let kind = kinds[usize::from(how) % kinds.len()];
                self.feed(|| Input::SubscriptionLost(NotifyFault::new(kind)));
            }
            Step::Notice { which, good, shared } => {
                if let Some(id) = pick(self.calls.keys().copied(), which) {
                    self.notice(id, good, shared);
                }
            }
            Step::Noise { payload, shared } => {
                if let Some(channel) = self.channel(shared) {
                    self.noise(channel, payload);
                }
            }
            Step::Forget { which } => {
                if let Some(id) = pick(self.calls.keys().copied(), which) {
                    self.feed(|| Input::Forget(id));
                }
            }
            Step::Pass { millis } => self.pass(Duration::from_millis(millis.into())),
            Step::ToDeadline => {
                self.now = self.due.unwrap_or(self.now);
                self.feed(|| Input::Tick);
            }
            Step::ClockBack { millis } => self.clock_back(millis),
            Step::Drain { seconds } => {
                self.feed(|| Input::Drain { limit: Duration::from_secs(seconds.into()) });
            }
            Step::ReplyTwice => {
                if let Some(op) = self.last_replied {
                    let accepted = || Ok(QueueReply::Posted(Vec::new()));
                    self.misuse(|| Input::Queue(op, accepted()), Misuse::UnknownOp(op));
                }
            }
            Step::WrongReply { which } => {
                if let Some(op) = pick(self.posts.keys().copied(), which) {
                    let reply = || Ok(QueueReply::all_deleted(1));
                    self.misuse(|| Input::Queue(op, reply()), Misuse::WrongReply(op));
                }
            }
        }
    }

    fn call(&mut self, new: &NewCall) -> Call {
        let number = u8::try_from(self.calls.len() % 256).unwrap_or_default();
        let generation = u8::try_from(self.calls.len() / 256 % 256).unwrap_or_default();
        let mut bytes = [number; 16];
        bytes[0] = generation;
        let id = TaskId::from_random(bytes);
        let name = QUEUES[usize::from(new.queue) % QUEUES.len()];
        let mut call = call(id, QueueName::new(name).expect("a name"));
        if new.once {
            call.options = Options::new().with_retry(false);
        }
        call.expires_after = new.expires.then_some(Duration::from_secs(1));
        call.within = new.within.map(|millis| Duration::from_millis(millis.into()));
        call.delay = Duration::from_secs(new.delay.unwrap_or_default().into());
        let replies =
            [ReplyTo::None, ReplyTo::Handle, ReplyTo::Callback, ReplyTo::HandleAndCallback];
        call.reply = replies[usize::from(new.reply) % replies.len()];
        if new.long {
            call.args = RawJson::from_value(&["x".repeat(4096)]).expect("a text is JSON");
        }
        let known = Known {
            queue: call.queue.clone(),
            repeatable: !new.once,
            wants_result: call.reply != ReplyTo::None,
            calls: 0,
            sent: 0,
            posts: 0,
            in_flight: false,
            stored: false,
            may_be_stored: false,
            refused: false,
            has_notice: false,
            was_released: false,
            ended: false,
            resumed: false,
        };
        self.calls.entry(id).or_insert(known).calls += 1;
        call
    }

    fn reply_to(&mut self, op: OpId, how: &ReplyKind) {
        let ids = self.posts.remove(&op).unwrap_or_default();
        self.last_replied = Some(op);
        let posted = |count| Ok(QueueReply::all_posted(vec![MessageId::new("1"); count]));
        let result = match how {
            ReplyKind::Accepted => posted(ids.len()),
            ReplyKind::TooManyIds => posted(ids.len() + 1),
            ReplyKind::Fault { kind, retry_after } => Err(any_fault(*kind, *retry_after)),
        };
        let effect = match (how, &result) {
            (ReplyKind::Accepted, _) => None,
            (_, Err(fault)) => Some(fault.effect()),
            _ => Some(Effect::Unknown),
        };
        for id in ids {
            let Some(known) = self.calls.get_mut(&id) else { continue };
            known.in_flight = false;
            known.stored |= effect.is_none();
            known.may_be_stored |= effect == Some(Effect::Unknown);
            known.refused = effect == Some(Effect::Refused);
        }
        self.feed(|| Input::Queue(op, result.clone()));
    }

    fn channel(&self, is_shared: bool) -> Option<ChannelName> {
        if is_shared { Some(shared()) } else { self.reply_channel.clone() }
    }

    fn notice(&mut self, id: TaskId, good: bool, shared: bool) {
        let Some(channel) = self.channel(shared) else { return };
        let Some(known) = self.calls.get_mut(&id) else { return };
        // No notice can exist for a task that no worker has seen.
        if known.posts == 0 {
            return;
        }
        known.has_notice = true;
        let (message, task) = (MessageId::new("1"), task());
        let ivy = IvyOptions::new(id);
        let is_release = !good && !std::mem::replace(&mut known.was_released, true);
        known.ended |= !is_release;
        let notice = if good {
            let output = RawJson::parse("1").expect("JSON");
            Notice::success(&message, &known.queue, &task, &ivy, &output)
        } else if is_release {
            let release = TaskReleased {
                queue: known.queue.clone(),
                kind: "UnknownTask".into(),
                message: "y".into(),
                attempts: 0,
            };
            Notice::released(&message, &task, &ivy, &release)
        } else {
            let failure = TaskFailure { kind: "x".into(), message: "y".into(), attempts: 1 };
            Notice::failure(&message, &known.queue, &task, &ivy, &failure)
        };
        let payload = notice.to_payload().as_str().as_bytes().to_vec();
        self.noise(channel, payload);
    }

    fn noise(&mut self, channel: ChannelName, payload: Vec<u8>) {
        self.feed(|| Input::Notice { channel: channel.clone(), payload: payload.clone() });
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.feed(|| Input::Tick);
    }

    /// An earlier stamp counts as the last one.
    fn clock_back(&mut self, millis: u16) {
        let back = u64::from(millis) * 1_000_000;
        let earlier = Moment::from_nanos(self.now.as_nanos().saturating_sub(back));
        let before = format!("{:?}", self.producer);
        for producer in [&mut self.producer, &mut self.unpolled] {
            producer.handle_input(Input::Tick, earlier).expect("no misuse");
        }
        assert!(format!("{:?}", self.producer) == before, "time went back");
    }

    fn misuse(&mut self, input: impl Fn() -> Input, expected: Misuse) {
        let later = self.now + Duration::from_secs(3600);
        let before = format!("{:?}", self.producer);
        for producer in [&mut self.producer, &mut self.unpolled] {
            assert_eq!(producer.handle_input(input(), later), Err(expected));
        }
        assert!(format!("{:?}", self.producer) == before, "misuse changed something");
    }

    fn feed(&mut self, input: impl Fn() -> Input) {
        if self.finished {
            return;
        }
        self.unpolled.handle_input(input(), self.now).expect("no misuse");
        self.producer.handle_input(input(), self.now).expect("no misuse");
        loop {
            let output = self.producer.poll_output();
            if let Output::Wait(deadline) = output {
                self.due = deadline.map(|deadline| deadline.at);
                break;
            }
            self.outputs.push(format!("{output:?}"));
            self.note(output);
        }
        assert!(self.due.is_none_or(|due| due > self.now && !self.finished));
        assert!(self.posts.len() <= QUEUES.len() * IN_FLIGHT, "too many posts in flight");
    }

    fn note(&mut self, output: Output) {
        assert!(!self.finished, "{output:?} after the end");
        match output {
            Output::Queue(op, QueueOp::Post { queue, messages }) => {
                let ids: Vec<TaskId> =
                    messages.items().iter().map(|message| id_in(message.body.as_str())).collect();
                assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
                ids.iter().for_each(|id| self.posted(*id, &queue));
                self.posts.insert(op, ids);
            }
            Output::Queue(_, other) => panic!("unexpected operation of a producer: {other:?}"),
            Output::Subscribe(channels) => self.reply_channel = channels.first().cloned(),
            Output::Sent(id, result) => self.sent(id, result),
            Output::Result { id, .. } => {
                let known = self.calls.get_mut(&id).expect("a call");
                assert!(known.wants_result && known.ended && known.sent > 0);
                assert!(!std::mem::replace(&mut known.resumed, true), "resumed twice");
            }
            Output::Released { id, .. } => {
                let known = &self.calls[&id];
                assert!(
                    known.wants_result && known.was_released && known.sent > 0 && !known.resumed
                );
            }
            Output::Event(_) => {}
            Output::Finished => self.finished = true,
            Output::Wait(_) => {}
        }
    }

    fn posted(&mut self, id: TaskId, queue: &QueueName) {
        let known = self.calls.get_mut(&id).expect("a call");
        assert_eq!(known.queue, *queue);
        assert!(!known.in_flight && !known.stored && !known.has_notice, "a second copy");
        assert!(known.sent < known.calls, "posted after it was reported as sent or not");
        assert!(
            known.repeatable || !known.may_be_stored,
            "a call that may not run again is sent again"
        );
        known.posts += 1;
        known.in_flight = true;
    }

    fn sent(&mut self, id: TaskId, result: Result<MessageId, SendError>) {
        let known = self.calls.get_mut(&id).expect("a call");
        known.sent += 1;
        assert!(known.sent <= known.calls, "sent more often than called");
        let (stored, unsure) =
            (known.stored || known.has_notice, known.may_be_stored || known.in_flight);
        match result {
            Ok(_) => assert!(stored, "sent without a reply"),
            Err(SendError::Unknown { .. } | SendError::NoReply { .. }) => {
                assert!(unsure && !stored);
            }
            Err(SendError::Withdrawn { .. }) => assert!(!unsure && !stored),
            Err(SendError::NotSent { tries, .. }) => {
                assert!(!unsure && !stored && tries <= TRIES);
            }
            Err(SendError::Refused { .. }) => assert!(known.refused && !unsure && !stored),
            Err(SendError::IdInUse) => assert!(known.calls > 1),
            Err(SendError::Full { limit, call } | SendError::TooManyHandles { limit, call }) => {
                assert_eq!((limit, call.id), (OUTBOX, id))
            }
            Err(_) => assert!(known.posts == 0 || known.calls > 1 || !unsure),
        }
    }

    /// Whatever its state, a drain ends it in time, each call has one end, and then it stays ended.
    fn end(mut self) {
        self.feed(|| Input::Drain { limit: LIMIT });
        if !self.finished {
            self.pass(LIMIT);
        }
        assert!(self.finished, "a drain does not end");
        for (id, known) in &self.calls {
            assert_eq!(known.sent, known.calls, "{id}: not exactly one end");
        }
        self.misuse(|| Input::Subscribed, Misuse::Finished);
        assert!(matches!(self.producer.poll_output(), Output::Wait(None)));
        for output in &self.outputs {
            assert_eq!(format!("{:?}", self.unpolled.poll_output()), *output);
        }
        assert!(matches!(self.unpolled.poll_output(), Output::Wait(None)));
    }
}

fn shared() -> ChannelName {
    ChannelName::new("ivy-notifier").expect("a name")
}

fn task() -> TaskName {
    TaskName::new("t").expect("a name")
}

fn call(id: TaskId, queue: QueueName) -> Call {
    Call {
        id,
        chosen_id: None,
        task: task(),
        queue,
        args: RawJson::parse("[5]").expect("JSON"),
        options: Options::new(),
        expires_after: None,
        delay: Duration::ZERO,
        within: None,
        reply: ReplyTo::None,
    }
}

fn id_in(body: &str) -> TaskId {
    let envelope = Envelope::parse(body).expect("an envelope");
    envelope.options.ivy().expect("each call has an id").id
}
