//! Properties that are true for random inputs in random order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::scenario::*;
use crate::id::{MessageId, OpId, TaskId};
use crate::misuse::Misuse;
use crate::name::{ChannelName, QueueName};
use crate::producer::{Call, Input, Output, Producer, ProducerConfig, ReplyTo, SendError};
use crate::queue::{Capabilities, FaultKind, QueueOp, QueueReply};
use crate::time::{Moment, WallClock};
use crate::wire::crypto::Policy;
use crate::wire::crypto::samples::both;
use crate::wire::{Codec, Options};

/// One step. Numbers that select something are taken modulo the number of choices.
#[derive(Clone, Debug)]
enum Step {
    Call {
        number: u8,
        queue: u8,
        reply: u8,
        retry: bool,
        waits: bool,
        chosen: Option<u8>,
        within: Option<u64>,
    },
    Reply {
        post: usize,
        with: u8,
    },
    Subscribed,
    SubscriptionLost,
    Notice {
        number: u8,
        good: bool,
        shared: bool,
    },
    Noise(Vec<u8>),
    Forget {
        number: u8,
    },
    Pass {
        millis: u64,
    },
    ToDeadline,
    ClockGoesBack,
    Drain {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => (
            (0..CALLS, 0..3u8, 0..4u8, any::<bool>(), any::<bool>()),
            option::weighted(0.3, CALLS..TASKS),
            option::weighted(0.3, 0..5_000u64),
        )
            .prop_map(|((number, queue, reply, retry, waits), chosen, within)| {
                Step::Call { number, queue, reply, retry, waits, chosen, within }
            }),
        24 => (any::<usize>(), any::<u8>()).prop_map(|(post, with)| Step::Reply { post, with }),
        8 => Just(Step::Subscribed),
        2 => Just(Step::SubscriptionLost),
        16 => (0..TASKS, any::<bool>(), any::<bool>())
            .prop_map(|(number, good, shared)| Step::Notice { number, good, shared }),
        2 => vec(any::<u8>(), 0..40).prop_map(Step::Noise),
        4 => (0..CALLS).prop_map(|number| Step::Forget { number }),
        8 => (0..3_000u64).prop_map(|millis| Step::Pass { millis }),
        16 => Just(Step::ToDeadline),
        1 => Just(Step::ClockGoesBack),
        1 => (0..20u64).prop_map(|seconds| Step::Drain { seconds }),
    ]
}

/// Drives a producer through the steps, and checks every property after each.
struct Run {
    producer: Producer,
    now: Moment,
    due: Option<Moment>,
    /// The posts in flight, with their bodies.
    posts: BTreeMap<OpId, Vec<String>>,
    in_flight: BTreeSet<OpId>,
    /// The sealed bodies that the queue has accepted.
    accepted: BTreeSet<String>,
    called: BTreeMap<TaskId, u32>,
    sent: BTreeMap<TaskId, u32>,
    resumed: BTreeMap<TaskId, u32>,
    finished: bool,
    last_replied: Option<OpId>,
    trace: Vec<String>,
}

/// The numbers below this are those of calls, the next ones of ids that callers choose.
const CALLS: u8 = 40;
const TASKS: u8 = CALLS + 3;
const OUTBOX: usize = 10;
const WAITING: usize = 6;
const IN_FLIGHT: usize = 2;
const QUEUES: usize = 3;

impl Run {
    fn new(seed: [u8; 32]) -> Self {
        Run::with(config_with_notifier(), seed)
    }

    /// A producer that seals what it sends.
    fn sealing(seed: [u8; 32]) -> Self {
        let codec = Codec::new(&both().with_policy(Policy::v2())).unwrap();
        let channel = ChannelName::new("ivy-notifier").unwrap();
        let config = ProducerConfig::new(Capabilities::broker(), codec).with_notifier(channel);
        Run::with(config.unwrap(), seed)
    }

    fn with(config: ProducerConfig, seed: [u8; 32]) -> Self {
        let config =
            config.with_outbox(OUTBOX).with_waiting(WAITING).with_posts_in_flight(IN_FLIGHT);
        Run {
            producer: Producer::new(config, seed, WallClock::default()),
            now: Moment::EPOCH,
            due: None,
            posts: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            accepted: BTreeSet::new(),
            called: BTreeMap::new(),
            sent: BTreeMap::new(),
            resumed: BTreeMap::new(),
            finished: false,
            last_replied: None,
            trace: Vec::new(),
        }
    }

    fn feed_at(&mut self, input: Input, at: Moment) {
        if let Input::Calls(calls) | Input::WaitingCalls(calls) = &input {
            for call in calls {
                *self.called.entry(call.id).or_default() += 1;
            }
        }
        self.producer.handle_input(input, at).unwrap();
        self.now = self.now.max(at);
        self.poll();
        assert!(self.due.is_none_or(|due| due > self.now), "a deadline is not in the future");
        self.check_bounds();
    }

    fn feed(&mut self, input: Input) {
        self.feed_at(input, self.now);
    }

    fn poll(&mut self) {
        loop {
            let output = self.producer.poll_output();
            self.trace.push(format!("{output:?}"));
            match output {
                Output::Queue(op, QueueOp::Post { messages, .. }) => {
                    assert!(self.in_flight.insert(op), "an id was used twice");
                    let bodies: Vec<_> = messages
                        .items()
                        .iter()
                        .map(|message| message.body.as_str().to_owned())
                        .collect();
                    self.check_freshness(&bodies);
                    self.posts.insert(op, bodies);
                }
                Output::Queue(_, other) => panic!("a producer must not request {other:?}"),
                Output::Sent(id, result) => {
                    *self.sent.entry(id).or_default() += 1;
                    assert!(self.sent[&id] <= self.called[&id], "sent more often than called");
                    match result {
                        Err(SendError::Full { limit, call }) => {
                            assert_eq!((limit, call.id), (OUTBOX, id));
                        }
                        Err(SendError::TooManyHandles { limit, call }) => {
                            assert_eq!((limit, call.id), (WAITING, id));
                        }
                        _ => {}
                    }
                }
                Output::Result { id, .. } => {
                    *self.resumed.entry(id).or_default() += 1;
                    assert!(self.resumed[&id] <= self.sent[&id], "resumed before it was sent");
                }
                Output::Released { id, .. } => assert!(self.called.contains_key(&id)),
                Output::Subscribe(_) | Output::Event(_) => {}
                Output::Finished => {
                    assert!(!self.finished, "finished twice");
                    self.finished = true;
                }
                Output::Wait(deadline) => {
                    self.due = deadline.map(|deadline| deadline.at);
                    return;
                }
            }
        }
    }

    /// No two calls have the same sealed frame, whatever they contain: a frame that was accepted or
    /// is in flight is not sent again.
    fn check_freshness(&self, bodies: &[String]) {
        let mut before: BTreeSet<&String> = self.posts.values().flatten().collect();
        for body in bodies.iter().filter(|body| body.starts_with('$')) {
            assert!(before.insert(body), "a frame is in flight twice");
            assert!(!self.accepted.contains(body), "a frame is sent again");
        }
    }

    fn check_bounds(&self) {
        assert!(self.producer.pending.unsent() <= OUTBOX);
        assert!(self.producer.pending.awaited() <= WAITING);
        assert!(self.posts.len() <= QUEUES * IN_FLIGHT);
    }

    fn step(&mut self, step: Step) {
        if self.finished {
            assert!(self.producer.handle_input(Input::Tick, self.now).is_err());
            assert!(matches!(self.producer.poll_output(), Output::Wait(None)));
            return;
        }
        match step {
            Step::Call { number, queue, reply, retry, waits, chosen, within } => {
                let mut call = call(number);
                call.chosen_id = chosen.map(id);
                call.within = within.map(Duration::from_millis);
                call.queue = QueueName::new(["a", "b", "c"][usize::from(queue)]).unwrap();
                call.reply =
                    [ReplyTo::None, ReplyTo::Handle, ReplyTo::Callback, ReplyTo::HandleAndCallback]
                        [usize::from(reply)];
                if !retry {
                    call.options = Options::new().with_retry(false);
                }
                let calls = vec![call];
                self.feed(if waits { Input::WaitingCalls(calls) } else { Input::Calls(calls) });
            }
            Step::Reply { post, with } => self.reply(post, with),
            Step::Subscribed => self.feed(Input::Subscribed),
            Step::SubscriptionLost => self.feed(Input::SubscriptionLost(connection_lost())),
            Step::Notice { number, good, shared } => {
                let reply = self.producer.subscription.as_ref().unwrap().reply_channel().clone();
                let shared_channel = ChannelName::new("ivy-notifier").unwrap();
                let channel = if shared { shared_channel } else { reply };
                let outcome = if good { done() } else { failed() };
                self.feed(Input::Notice { channel, payload: notice(number, &outcome) });
            }
            Step::Noise(payload) => {
                let channel = ChannelName::new("ivy-notifier").unwrap();
                self.feed(Input::Notice { channel, payload });
            }
            Step::Forget { number } => self.feed(Input::Forget(id(number))),
            Step::Pass { millis } => {
                self.feed_at(Input::Tick, self.now + Duration::from_millis(millis));
            }
            Step::ToDeadline => self.feed_at(Input::Tick, self.due.unwrap_or(self.now)),
            Step::ClockGoesBack => {
                let before = format!("{:?}", self.producer);
                self.producer.handle_input(Input::Tick, Moment::EPOCH).unwrap();
                assert!(
                    format!("{:?}", self.producer) == before,
                    "an earlier moment changed the producer"
                );
            }
            Step::Drain { seconds } => {
                self.feed(Input::Drain { limit: Duration::from_secs(seconds) });
            }
        }
    }

    fn reply(&mut self, post: usize, with: u8) {
        if self.posts.is_empty() {
            return;
        }
        let op = *self.posts.keys().nth(post % self.posts.len()).unwrap();
        let bodies = self.posts.remove(&op).unwrap();
        let count = bodies.len();
        self.last_replied = Some(op);
        let posted = |count| Ok(QueueReply::all_posted(vec![MessageId::new("1"); count]));
        let result = match with % 8 {
            0..=2 => posted(count),
            3 => posted(count + 1),
            4 => Err(fault(FaultKind::Unreachable)),
            5 => Err(fault(FaultKind::ReplyLost)),
            6 => Err(fault(FaultKind::Refused)),
            _ => Err(fault(FaultKind::TooManyRequests).with_retry_after(Duration::from_secs(5))),
        };
        if with % 8 < 3 {
            self.accepted.extend(bodies);
        }
        self.feed(Input::Queue(op, result));
    }

    /// Feeds a contract violation of the driver at a later moment.
    fn misuse(&mut self, input: Input, expected: Misuse) {
        let before = format!("{:?}", self.producer);
        let later = self.now + Duration::from_secs(3600);
        assert_eq!(self.producer.handle_input(input, later), Err(expected));
        assert!(format!("{:?}", self.producer) == before, "misuse changed the producer");
    }

    fn step_all(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step.clone());
        }
    }

    /// Drains to the end, whatever the queue does.
    fn end(&mut self) {
        if !self.finished {
            self.feed(Input::Drain { limit: Duration::from_secs(30) });
        }
        if !self.finished {
            self.feed_at(Input::Tick, self.now + Duration::from_secs(30));
        }
        assert!(self.finished, "not finished at the limit");
        assert_eq!(self.due, None);
        assert_eq!(self.called, self.sent, "not exactly one Sent for each call");
    }
}

fn run(seed: [u8; 32], steps: &[Step]) -> Run {
    let mut run = Run::new(seed);
    for step in steps {
        run.step(step.clone());
    }
    run.end();
    run
}

proptest! {
    #[test]
    fn every_call_is_settled_once_and_all_bounds_are_respected(
        steps in vec(step(), 0..120),
        seed in any::<[u8; 32]>(),
    ) {
        run(seed, &steps);
    }

    #[test]
    fn no_operation_id_or_sealed_frame_is_used_twice(
        steps in vec(step(), 0..120),
        seed in any::<[u8; 32]>(),
    ) {
        let mut run = Run::sealing(seed);
        run.step_all(&steps);
        run.end();
    }

    #[test]
    fn misuse_changes_nothing(steps in vec(step(), 0..100)) {
        let mut run = Run::new([1; 32]);
        run.step_all(&steps);
        if run.finished {
            run.misuse(Input::Tick, Misuse::Finished);
            return Ok(());
        }
        if let Some(op) = run.last_replied {
            run.misuse(Input::Queue(op, Ok(QueueReply::Posted(vec![]))), Misuse::UnknownOp(op));
        }
        if let Some(op) = run.posts.keys().next().copied() {
            run.misuse(Input::Queue(op, Ok(QueueReply::all_deleted(1))), Misuse::WrongReply(op));
        }
    }

    #[test]
    fn before_its_deadline_a_tick_does_nothing(steps in vec(step(), 0..100)) {
        let mut run = Run::new([1; 32]);
        run.step_all(&steps);
        if let Some(due) = run.due {
            let outputs = run.trace.len();
            run.feed_at(Input::Tick, Moment::from_nanos(due.as_nanos() - 1));
            prop_assert_eq!(run.trace.len(), outputs + 1);
            prop_assert_eq!(run.due, Some(due));
        }
    }

    #[test]
    fn after_recovery_every_call_is_sent_and_no_work_remains(
        steps in vec(step(), 0..100),
    ) {
        let mut run = Run::new([1; 32]);
        for step in steps.into_iter().filter(|step| !matches!(step, Step::Drain { .. })) {
            run.step(step);
        }
        for _ in 0..200 {
            while !run.posts.is_empty() {
                run.reply(0, 0);
            }
            run.feed(Input::Subscribed);
            run.feed_at(Input::Tick, run.due.unwrap_or(run.now));
        }
        prop_assert_eq!(&run.called, &run.sent);
        prop_assert_eq!(run.producer.pending.unsent(), 0);
        prop_assert_eq!(run.due, None);
    }

    #[test]
    fn a_failing_queue_is_tried_at_most_twice_a_second(
        with in vec(prop_oneof![Just(4u8), Just(5u8), Just(7u8)], 1..20),
    ) {
        const MINUTE: Duration = Duration::from_secs(60);
        let mut run = Run::new([1; 32]);
        let mut posts = 0;
        let mut number = 0u8;
        for with in with.iter().cycle() {
            number = number.wrapping_add(1);
            run.feed(Input::Calls(vec![call(number)]));
            while !run.posts.is_empty() {
                posts += 1;
                run.reply(0, *with);
            }
            let Some(due) = run.due.filter(|due| *due < Moment::EPOCH + MINUTE) else { break };
            run.feed_at(Input::Tick, due);
        }
        prop_assert!(posts <= 2 * 60 + 4, "{posts} posts in a minute");
    }

    #[test]
    fn the_same_seed_and_inputs_produce_the_same_outputs(steps in vec(step(), 0..60), seed in any::<[u8; 32]>()) {
        prop_assert_eq!(run(seed, &steps).trace, run(seed, &steps).trace);
    }

    #[test]
    fn polling_late_changes_nothing(numbers in vec(0..20u8, 0..20)) {
        let mut early = Run::new([1; 32]);
        let mut late = Run::new([1; 32]);
        for number in &numbers {
            early.feed(Input::Calls(vec![call(*number)]));
            late.producer.handle_input(Input::Calls(vec![call(*number)]), late.now).unwrap();
            *late.called.entry(id(*number)).or_default() += 1;
        }
        late.poll();
        let outputs = |run: &Run| -> Vec<String> {
            run.trace.iter().filter(|line| !line.starts_with("Wait")).cloned().collect()
        };
        prop_assert_eq!(outputs(&early), outputs(&late));
    }
}

#[test]
fn the_last_moment_of_the_clock_is_handled() {
    let mut run = Run::new([1; 32]);
    run.feed(Input::Calls(vec![Call { reply: ReplyTo::Handle, ..call(1) }, call(2)]));
    run.feed_at(Input::Tick, Moment::FOREVER);
    run.reply(0, 4);
}
