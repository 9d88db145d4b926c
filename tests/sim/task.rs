//! A called task as the simulator knows it: what should happen, and what did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ivy_proto::producer::ReplyTo;
use ivy_proto::{Moment, QueueName, TaskId};
use serde::{Deserialize, Serialize};

/// A process: its host, and how many ran there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessId {
    pub(crate) host: usize,
    pub(crate) incarnation: u32,
}

/// Who called a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// An ivy producer.
    Producer(usize),
    /// A producer of the Node package.
    Node(usize),
    /// Another program, which may write anything.
    OtherProgram,
}

/// What a task's handler does, apart from faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plan {
    Succeeds,
    /// It first fails this many times.
    FailsFirst(u32),
    Fails,
    FailsFatally,
    /// It refuses the arguments.
    BadArgs,
    /// It ends the process.
    Kills,
}

/// The options of a message about its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptInfo {
    pub(crate) attempt: u32,
    /// When it may start, in milliseconds since 1970.
    pub(crate) due: Option<u64>,
    pub(crate) lost: u32,
    pub(crate) later: u32,
    pub(crate) requeued: u32,
}

impl AttemptInfo {
    /// What all copies of one message have in common.
    fn key(self) -> (u32, u32, Option<u64>) {
        (self.attempt, self.later, self.due)
    }
}

/// What was reported to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendResult {
    Sent,
    /// Certainly not stored: not sent, or refused.
    NotStored,
    /// Certainly not stored: it was withdrawn at its time limit.
    Withdrawn,
    Unknown,
}

/// Why a task may be run more often than it should, or dead-lettered although its handler would succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub(crate) enum Cause {
    /// A request for it was lost, delayed, or refused.
    Request = 1,
    /// The reply to a request for it was lost, late or damaged.
    Reply = 1 << 1,
    /// A request for it arrived twice.
    Duplicate = 1 << 2,
    /// The process that held it died.
    Crash = 1 << 3,
    /// The process that held it stalled.
    Pause = 1 << 4,
    /// The clocks of its holder and the broker disagreed.
    Clock = 1 << 5,
    /// The broker delivered it although it should not have.
    Delivery = 1 << 6,
    /// Its handler misbehaved.
    Handler = 1 << 7,
    /// It was released by a worker that was requested to finish.
    Shutdown = 1 << 8,
    /// It was sent again.
    Resent = 1 << 9,
    /// A worker of the Node package held it.
    Node = 1 << 10,
    /// The connection by which it was leased ended, or that of a request for it.
    Connection = 1 << 11,
}

impl Cause {
    pub(crate) const ALL: [Cause; 12] = [
        Cause::Request,
        Cause::Reply,
        Cause::Duplicate,
        Cause::Crash,
        Cause::Pause,
        Cause::Clock,
        Cause::Delivery,
        Cause::Handler,
        Cause::Shutdown,
        Cause::Resent,
        Cause::Node,
        Cause::Connection,
    ];
}

/// Several causes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Causes(u16);

impl Causes {
    pub(crate) fn add(&mut self, cause: Cause) {
        self.0 |= cause as u16;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn has(self, cause: Cause) -> bool {
        self.0 & cause as u16 != 0
    }
}

impl fmt::Debug for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Cause::ALL.into_iter().filter(|cause| self.has(*cause))).finish()
    }
}

/// A called task: first what should happen to it, then what has happened.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    /// The index of its definition, a `Kind`.
    pub(crate) kind: usize,
    /// Where it is called, if not in the queue of its kind.
    pub(crate) queue: Option<QueueName>,
    pub(crate) sender: Sender,
    pub(crate) plan: Plan,
    pub(crate) reply: ReplyTo,
    /// Whether it must not be retried: a second message of it breaks a law.
    pub(crate) once: bool,
    pub(crate) max_attempts: u32,
    pub(crate) has_deadline: bool,
    /// Whether its arguments are those of the newer version, which older workers refuse.
    pub(crate) is_newer: bool,
    /// Its true deadline, if its caller's clock was correct.
    pub(crate) deadline: Option<Moment>,
    /// How long the queue must delay it, in seconds.
    pub(crate) delay: u64,
    /// Its time limit for being sent.
    pub(crate) within: Option<Duration>,
    /// How long its handler takes, in milliseconds.
    pub(crate) takes: u64,
    /// How often its handler postpones it before it does what is planned.
    pub(crate) postpones: u32,

    /// When its producer last received the call.
    pub(crate) called: Option<Moment>,
    /// When each attempt is due by its messages, by attempt and the number of postponements before,
    /// and whether the clock of their writer was correct.
    dues: BTreeMap<(u32, u32, Option<u64>), bool>,
    /// How often it was requeued, by its first message.
    requeued: Option<u32>,
    /// In which attempts handlers have postponed it, and how often it had been postponed before.
    pub(crate) postponed: BTreeSet<(u32, u32)>,
    /// How often its producer posted it.
    pub(crate) posts: u32,
    /// Messages accepted from its sender.
    pub(crate) accepted: u32,
    /// How often the network duplicated a post of it.
    pub(crate) duplicated: u32,
    /// How often its sender learned that the outcome of a post is unknown.
    pub(crate) unknown: u32,
    /// Messages of it that are in work queues.
    pub(crate) live: u32,
    /// Messages of it in dead-letter queues.
    pub(crate) dead: u32,
    /// How often a handler returned while its worker was still entitled to count it.
    pub(crate) finished: u32,
    /// Whether a worker of the Node package has deleted it, whatever its outcome.
    pub(crate) dropped_by_node: bool,
    /// Whether the server lost one of its messages.
    pub(crate) lost_by_server: bool,
    /// Whether an ivy worker released one of its messages.
    pub(crate) was_released: bool,
    pub(crate) send_result: Option<SendResult>,
    /// When its sender learned that it is stored, and when a handler first returned for it.
    pub(crate) sent_at: Option<Moment>,
    pub(crate) finished_at: Option<Moment>,
    pub(crate) has_result: bool,
    /// The attempts that have been started and those that have failed, as bits.
    pub(crate) started: u128,
    pub(crate) failed: u128,
    pub(crate) runs: u32,
    pub(crate) duplicates: u32,
    /// By attempt: how many deliveries were lost, and how many messages were released unchanged
    /// although their next delivery looks like one that follows a lost delivery.
    pub(crate) lost: BTreeMap<u32, u32>,
    pub(crate) released_unchanged: BTreeMap<u32, u32>,
    pub(crate) causes: Causes,
}

impl Task {
    pub(crate) fn new(id: TaskId, sender: Sender) -> Task {
        Task {
            id,
            kind: 0,
            sender,
            plan: Plan::Succeeds,
            reply: ReplyTo::None,
            once: false,
            max_attempts: 1,
            has_deadline: false,
            queue: None,
            is_newer: false,
            deadline: None,
            delay: 0,
            within: None,
            takes: 1,
            postpones: 0,
            called: None,
            dues: BTreeMap::new(),
            requeued: None,
            postponed: BTreeSet::new(),
            posts: 0,
            accepted: 0,
            duplicated: 0,
            unknown: 0,
            live: 0,
            dead: 0,
            finished: 0,
            dropped_by_node: false,
            lost_by_server: false,
            was_released: false,
            send_result: None,
            sent_at: None,
            finished_at: None,
            has_result: false,
            started: 0,
            failed: 0,
            runs: 0,
            duplicates: 0,
            lost: BTreeMap::new(),
            released_unchanged: BTreeMap::new(),
            causes: Causes::default(),
        }
    }

    /// Whether it has reached its end: nothing more needs to happen to it.
    pub(crate) fn is_settled(&self) -> bool {
        self.live == 0 && (self.accepted == 0 || self.has_ended())
    }

    /// Records the options of one of its messages.
    pub(crate) fn record(&mut self, attempt_info: AttemptInfo, clock_is_correct: bool) {
        self.dues.entry(attempt_info.key()).or_insert(clock_is_correct);
        self.requeued.get_or_insert(attempt_info.requeued);
    }

    /// Whether an earlier message has the same due time for this attempt.
    pub(crate) fn has_recorded(&self, attempt_info: AttemptInfo) -> bool {
        self.dues.contains_key(&attempt_info.key())
    }

    /// Whether an earlier message has this number of postponements.
    pub(crate) fn has_recorded_later(&self, later: u32) -> bool {
        self.dues.keys().any(|(_, recorded, _)| *recorded == later)
    }

    /// Whether its first writer had a correct clock.
    pub(crate) fn was_recorded_by_correct_clock(&self, attempt_info: AttemptInfo) -> bool {
        self.dues.get(&attempt_info.key()) == Some(&true)
    }

    pub(crate) fn has_recorded_nothing(&self) -> bool {
        self.dues.is_empty()
    }

    /// Whether a message was requeued as often as the first one. No attempt changes that.
    pub(crate) fn keeps_requeued(&self, attempt_info: AttemptInfo) -> bool {
        self.requeued.is_none_or(|requeued| requeued == attempt_info.requeued)
    }

    /// How many deliveries of an attempt were lost, or look lost.
    pub(crate) fn count_seemingly_lost(&self, attempt: u32) -> u32 {
        [&self.lost, &self.released_unchanged]
            .iter()
            .filter_map(|counts| counts.get(&attempt))
            .sum()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.finished > 0 || self.dead > 0 || self.dropped_by_node || self.lost_by_server
    }
}

/// The arguments of the task with this number. A search for the
/// marked number finds each message and letter that contains the arguments.
pub(crate) fn args(number: usize) -> String {
    format!("[\"#{number}#\"]")
}

/// The number of the task whose arguments appear in this text.
pub(crate) fn number_in(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once('#')?;
    let (digits, _) = rest.split_once('#')?;
    digits.parse().ok()
}
