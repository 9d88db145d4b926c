//! A producer driven by hand: the test feeds inputs and inspects the outputs.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Event, TaskRef};
use crate::id::{MessageId, OpId, TaskId};
use crate::misuse::Misuse;
use crate::name::{ChannelName, QueueName, TaskName};
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::producer::{Call, Input, Output, Producer, ProducerConfig, ReplyTo, SendError, Timer};
use crate::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};
use crate::task::{TaskFailure, TaskOutcome, TaskReleased};
use crate::time::{Deadline, Moment, WallClock};
use crate::wire::{Codec, IvyOptions, MissingResult, Notice, Options, RawJson};

/// The queue of all calls, unless a test sets another one.
pub(super) const QUEUE: &str = "testpackage";

/// A configuration without a notifier.
pub(super) fn config() -> ProducerConfig {
    ProducerConfig::new(Capabilities::broker(), Codec::plain())
}

/// A configuration with the usual notifier.
pub(super) fn config_with_notifier() -> ProducerConfig {
    config().with_notifier(ChannelName::new("ivy-notifier").unwrap()).unwrap()
}

/// The id of the call of this number.
pub(super) fn id(number: u8) -> TaskId {
    TaskId::from_random([number; 16])
}

/// A call of `testpackage.factorial` with the argument 5, without a reply.
pub(super) fn call(number: u8) -> Call {
    Call {
        id: id(number),
        chosen_id: None,
        task: TaskName::new("testpackage.factorial").unwrap(),
        queue: QueueName::new(QUEUE).unwrap(),
        args: RawJson::parse("[5]").unwrap(),
        options: Options::new(),
        expires_after: None,
        delay: Duration::ZERO,
        within: None,
        reply: ReplyTo::None,
    }
}

/// Such a call with a handle that waits for the result.
pub(super) fn call_with_handle(number: u8) -> Call {
    Call { reply: ReplyTo::Handle, ..call(number) }
}

/// Such a call of a task without retries.
pub(super) fn call_once(number: u8) -> Call {
    let mut call = call(number);
    call.options = Options::new().with_retry(false);
    call
}

/// Calls with the numbers from 1 to `count`, without a reply.
pub(super) fn calls(count: u8) -> Vec<Call> {
    (1..=count).map(call).collect()
}

pub(super) fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind)
}

pub(super) fn connection_lost() -> NotifyFault {
    NotifyFault::new(NotifyFaultKind::ConnectionLost)
}

/// A post that the producer requests.
#[derive(Debug)]
pub(super) struct RequestedPost {
    pub(super) op: OpId,
    pub(super) queue: QueueName,
    pub(super) bodies: Vec<String>,
    pub(super) delays: Vec<Duration>,
}

/// A producer, its time, and its outputs that the test has not inspected yet.
pub(super) struct Scenario {
    producer: Producer,
    now: Moment,
    outputs: VecDeque<Output>,
    deadline: Option<Deadline<Timer>>,
}

impl Scenario {
    pub(super) fn new(config: ProducerConfig) -> Self {
        let wall = WallClock::new(Duration::from_secs(1_700_000_000));
        Scenario {
            producer: Producer::new(config, [7; 32], wall),
            now: Moment::EPOCH,
            outputs: VecDeque::new(),
            deadline: None,
        }
    }

    /// A producer whose subscription is up.
    pub(super) fn subscribed(config: ProducerConfig) -> Self {
        let mut scenario = Scenario::new(config);
        let waker = call_with_handle(255);
        scenario.feed(Input::Calls(vec![waker]));
        scenario.feed(Input::Subscribed);
        let post = scenario.only_post();
        scenario.accept(&post);
        scenario.feed(Input::Forget(id(255)));
        scenario.outputs.clear();
        scenario
    }

    /// A producer that has sent this call, and whose subscription is up.
    pub(super) fn sent(call: Call) -> Self {
        let mut scenario = Scenario::subscribed(config_with_notifier());
        scenario.feed(Input::Calls(vec![call]));
        let post = scenario.only_post();
        scenario.accept(&post);
        scenario.outputs.clear();
        scenario
    }

    pub(super) fn try_feed(&mut self, input: Input) -> Result<(), Misuse> {
        self.producer.handle_input(input, self.now)?;
        loop {
            match self.producer.poll_output() {
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return Ok(());
                }
                output => self.outputs.push_back(output),
            }
        }
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.try_feed(input).unwrap();
    }

    pub(super) fn call(&mut self, call: Call) {
        self.feed(Input::Calls(vec![call]));
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// The next inputs happen at the earliest moment.
    pub(super) fn set_clock_back(&mut self) {
        self.now = Moment::EPOCH;
    }

    /// Lets time pass, stopping at each deadline.
    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Deadline { at, .. }) = self.deadline.clone()
            && at <= end
        {
            self.now = at;
            self.feed(Input::Tick);
        }
        self.now = end;
        match self.try_feed(Input::Tick) {
            Ok(()) | Err(Misuse::Finished) => {}
            Err(misuse) => panic!("{misuse}"),
        }
    }

    /// Lets time pass without stopping at deadlines, as a driver does that wakes late.
    pub(super) fn wake_late(&mut self, time: Duration) {
        self.now = self.now + time;
        self.feed(Input::Tick);
    }

    /// Advances to the next deadline, and returns its timer.
    pub(super) fn reach_deadline(&mut self) -> Timer {
        let Deadline { at, why } = self.deadline.clone().expect("there is a deadline");
        self.now = at;
        self.feed(Input::Tick);
        why
    }

    pub(super) fn deadline(&self) -> Option<Deadline<Timer>> {
        self.deadline.clone()
    }

    /// Takes the outputs for which `pick` returns a value.
    fn take<T>(&mut self, pick: impl Fn(&Output) -> Option<T>) -> Vec<T> {
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        for output in self.outputs.drain(..) {
            match pick(&output) {
                Some(picked) => taken.push(picked),
                None => left.push_back(output),
            }
        }
        self.outputs = left;
        taken
    }

    /// Takes all outputs so far.
    pub(super) fn outputs(&mut self) -> Vec<Output> {
        self.outputs.drain(..).collect()
    }

    pub(super) fn posts(&mut self) -> Vec<RequestedPost> {
        self.take(|output| match output {
            Output::Queue(op, QueueOp::Post { queue, messages }) => Some(RequestedPost {
                op: *op,
                queue: queue.clone(),
                bodies: messages.items().iter().map(|m| m.body.as_str().to_owned()).collect(),
                delays: messages.items().iter().map(|m| m.delay).collect(),
            }),
            _ => None,
        })
    }

    /// The number of messages of each post.
    pub(super) fn post_sizes(&mut self) -> Vec<usize> {
        self.posts().iter().map(|post| post.bodies.len()).collect()
    }

    pub(super) fn only_post(&mut self) -> RequestedPost {
        let mut posts = self.posts();
        assert_eq!(posts.len(), 1, "{posts:?}");
        posts.remove(0)
    }

    pub(super) fn accept(&mut self, post: &RequestedPost) {
        let ids = (0..post.bodies.len()).map(|n| MessageId::new(n.to_string()));
        self.feed(Input::Queue(post.op, Ok(QueueReply::all_posted(ids))));
    }

    pub(super) fn fail(&mut self, post: &RequestedPost, fault: Fault) {
        self.feed(Input::Queue(post.op, Err(fault)));
    }

    /// Fails the next post, and advances to its repetition.
    pub(super) fn fail_and_pause(&mut self, kind: FaultKind) {
        let post = self.only_post();
        self.fail(&post, fault(kind));
        assert!(matches!(self.reach_deadline(), Timer::Resend(_)));
    }

    /// The results of the sent calls.
    pub(super) fn sent_results(&mut self) -> Vec<(TaskId, Result<MessageId, String>)> {
        self.take(|output| match output {
            Output::Sent(id, result) => Some((*id, result.as_ref().cloned().map_err(kind))),
            _ => None,
        })
    }

    /// The result of the only call.
    pub(super) fn only_sent(&mut self) -> Result<MessageId, String> {
        let mut sent = self.sent_results();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0).1
    }

    pub(super) fn send_errors(&mut self) -> Vec<SendError> {
        let (mut errors, mut left) = (Vec::new(), VecDeque::new());
        for output in self.outputs.drain(..) {
            match output {
                Output::Sent(_, Err(error)) => errors.push(error),
                other => left.push_back(other),
            }
        }
        self.outputs = left;
        errors
    }

    pub(super) fn results(&mut self) -> Vec<(TaskId, TaskOutcome, Option<String>)> {
        self.take(|output| match output {
            Output::Result { id, outcome, args, .. } => {
                Some((*id, outcome.clone(), args.as_ref().map(|args| args.as_str().to_owned())))
            }
            _ => None,
        })
    }

    pub(super) fn released(&mut self) -> Vec<(TaskId, TaskReleased)> {
        self.take(|output| match output {
            Output::Released { id, release } => Some((*id, TaskReleased::clone(release))),
            _ => None,
        })
    }

    pub(super) fn subscribes(&mut self) -> Vec<Vec<String>> {
        self.take(|output| match output {
            Output::Subscribe(channels) => {
                Some(channels.iter().map(|channel| channel.as_str().to_owned()).collect())
            }
            _ => None,
        })
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        self.take(|output| match output {
            Output::Event(event) => Some(event.clone()),
            _ => None,
        })
    }

    pub(super) fn has_finished(&mut self) -> bool {
        !self.take(|output| matches!(output, Output::Finished).then_some(())).is_empty()
    }

    /// The producer's own reply channel.
    pub(super) fn reply_channel(&self) -> ChannelName {
        self.producer.subscription.as_ref().unwrap().reply_channel().clone()
    }

    /// Feeds a notice that a worker released the message of this call.
    pub(super) fn release_notice(&mut self, number: u8, release: &TaskReleased) {
        let channel = self.reply_channel();
        self.feed(Input::Notice { channel, payload: release_notice(number, release) });
    }

    /// Feeds a notice with this outcome on the reply channel.
    pub(super) fn notice(&mut self, number: u8, outcome: &TaskOutcome) {
        let channel = self.reply_channel();
        self.feed(Input::Notice { channel, payload: notice(number, outcome) });
    }
}

/// The plaintext notice that the message of this call was released.
pub(super) fn release_notice(number: u8, release: &TaskReleased) -> Vec<u8> {
    let call = call(number);
    let ivy = IvyOptions::new(call.id);
    let notice = Notice::released(&MessageId::new("message"), &call.task, &ivy, release);
    notice.to_payload().as_str().as_bytes().to_vec()
}

/// The notice for this call, as a worker of ivy encodes it.
pub(super) fn notice(number: u8, outcome: &TaskOutcome) -> Vec<u8> {
    let (message, call) = (MessageId::new("message"), call(number));
    let ivy = IvyOptions::new(call.id);
    let notice = match outcome {
        TaskOutcome::Done(output) => {
            Notice::success(&message, &call.queue, &call.task, &ivy, output)
        }
        TaskOutcome::Failed(failure) => {
            Notice::failure(&message, &call.queue, &call.task, &ivy, failure)
        }
        TaskOutcome::ResultTooLarge => {
            let output = RawJson::from_value(&"x".repeat(1 << 20)).unwrap();
            Notice::success(&message, &call.queue, &call.task, &ivy, &output)
        }
        TaskOutcome::ResultTooDeep => {
            let missing = MissingResult::TooDeep;
            Notice::without_result(&message, &call.queue, &call.task, &ivy, missing)
        }
    };
    notice.to_payload().as_str().as_bytes().to_vec()
}

/// The outcome of 5!.
pub(super) fn done() -> TaskOutcome {
    TaskOutcome::Done(RawJson::parse("120").unwrap())
}

pub(super) fn failed() -> TaskOutcome {
    TaskOutcome::Failed(TaskFailure {
        kind: "Fatal".to_owned(),
        message: "no".to_owned(),
        attempts: 1,
    })
}

pub(super) fn task_ref(number: u8) -> TaskRef {
    let call = call(number);
    TaskRef { id: call.id, name: call.task, queue: call.queue }
}

/// An error's kind, with the number of tries if it counts them.
pub(super) fn kind(error: &SendError) -> String {
    match error {
        SendError::NotSent { tries, .. } => format!("NotSent after {tries}"),
        SendError::Unknown { tries, .. } => format!("Unknown after {tries}"),
        SendError::Refused { fault } => format!("Refused: {:?}", fault.kind()),
        other => format!("{other:?}").split([' ', '(']).next().unwrap_or_default().to_owned(),
    }
}
