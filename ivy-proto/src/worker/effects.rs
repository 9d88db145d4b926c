//! What the parts of a worker share: the present moment, chance, timers, and the way out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::Event;
use crate::id::{IdGenerator, JobId, OpId};
use crate::name::QueueName;
use crate::notify::Publication;
use crate::queue::{QueueOp, QueueReply};
use crate::rng::Rng;
use crate::time::{Moment, WallClock};
use crate::timers::Timers;
use crate::wire::crypto::EntropyPool;

use super::io::{Output, Timer};
use super::lease::Renewal;

/// The shortest timer. A timer of zero would be due again within the same tick.
const SHORTEST_TIMER: Duration = Duration::from_millis(1);

/// What an operation that is waiting for its answer is for.
#[derive(Clone, Debug)]
pub(super) enum OpPurpose {
    /// Look for server-side rules before the first poll.
    Inspect(QueueName),
    /// Create a queue that does not exist yet.
    Create(QueueName),
    /// Reserve messages.
    Poll {
        queue: QueueName,
        count: usize,
        /// How long the queue was asked to wait.
        wait: Duration,
        asked_at: Moment,
        /// What the clock on the wall was then.
        wall: WallClock,
    },
    /// Renew a lease.
    Touch { job: JobId, renewal: Renewal },
    /// Post a successor or a dead-letter copy.
    Post(JobId),
    /// Give a message back.
    Release(JobId),
    /// Delete one message.
    Delete(JobId),
    /// Delete the messages of these jobs.
    DeleteMany { queue: QueueName, jobs: Vec<JobId> },
}

impl OpPurpose {
    /// Whether the reply is one to this kind of operation.
    pub(super) fn fits(&self, reply: &QueueReply) -> bool {
        match self {
            OpPurpose::Inspect(_) | OpPurpose::Create(_) => matches!(reply, QueueReply::Queue(_)),
            OpPurpose::Poll { .. } => matches!(reply, QueueReply::Reserved(_)),
            OpPurpose::Touch { .. } => matches!(reply, QueueReply::Touched(_)),
            OpPurpose::Post(_) => matches!(reply, QueueReply::Posted(_)),
            OpPurpose::Release(_) => matches!(reply, QueueReply::Released),
            OpPurpose::Delete(_) | OpPurpose::DeleteMany { .. } => {
                matches!(reply, QueueReply::Deleted(_))
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Effects {
    pub(super) now: Moment,
    pub(super) wall: WallClock,
    pub(super) rng: Rng,
    pub(super) entropy: EntropyPool,
    pub(super) counter: IdGenerator,
    pub(super) timers: Timers<Timer>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) in_flight: BTreeMap<OpId, OpPurpose>,
}

impl Effects {
    /// Chance and entropy from 32 random bytes.
    pub(super) fn new(seed: [u8; 32], wall: WallClock) -> Self {
        let (rng, entropy) = EntropyPool::split(seed);
        Effects {
            now: Moment::EPOCH,
            wall,
            rng,
            entropy,
            counter: IdGenerator::default(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            in_flight: BTreeMap::new(),
        }
    }

    /// Milliseconds since 1970, now.
    pub(super) fn unix_millis(&self) -> u64 {
        self.wall.unix_millis(self.now)
    }

    /// Whether the clock on the wall can be right.
    pub(super) fn wall_is_plausible(&self) -> bool {
        self.wall.is_plausible(self.now)
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn execute(&mut self, purpose: OpPurpose, op: QueueOp) {
        let id = self.counter.next_op();
        self.in_flight.insert(id, purpose);
        self.outputs.push_back(Output::Queue(id, op));
    }

    pub(super) fn publish(&mut self, publication: Publication) -> OpId {
        let id = self.counter.next_op();
        self.outputs.push_back(Output::Publish(id, publication));
        id
    }

    /// Sets a timer so far from now.
    pub(super) fn set_timer(&mut self, why: Timer, after: Duration) {
        self.timers.set(why, self.now + after.max(SHORTEST_TIMER));
    }
}
