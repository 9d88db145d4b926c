//! What the parts of a worker share: the present moment, chance, timers, and the way out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::Event;
use crate::id::{Counter, JobId, OpId};
use crate::name::QueueName;
use crate::notify::Publication;
use crate::queue::{QueueOp, QueueReply};
use crate::rng::Rng;
use crate::time::{Moment, WallClock};
use crate::timers::Timers;
use crate::wire::crypto::EntropyPool;

use super::io::{Output, Why};
use super::lease::Renewal;

/// The shortest timer. A timer of zero would be due again within the same tick.
const SHORTEST_TIMER: Duration = Duration::from_millis(1);

/// What an operation that is waiting for its answer is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
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

impl Purpose {
    /// Whether the reply is one to this kind of operation.
    pub(super) fn fits(&self, reply: &QueueReply) -> bool {
        match self {
            Purpose::Inspect(_) | Purpose::Create(_) => matches!(reply, QueueReply::Queue(_)),
            Purpose::Poll { .. } => matches!(reply, QueueReply::Reserved(_)),
            Purpose::Touch { .. } => matches!(reply, QueueReply::Touched(_)),
            Purpose::Post(_) => matches!(reply, QueueReply::Posted(_)),
            Purpose::Release(_) => matches!(reply, QueueReply::Released),
            Purpose::Delete(_) | Purpose::DeleteMany { .. } => {
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
    pub(super) counter: Counter,
    pub(super) timers: Timers<Why>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) asked: BTreeMap<OpId, Purpose>,
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
            counter: Counter::default(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            asked: BTreeMap::new(),
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

    pub(super) fn ask(&mut self, purpose: Purpose, op: QueueOp) {
        let id = self.counter.next_op();
        self.asked.insert(id, purpose);
        self.outputs.push_back(Output::Queue(id, op));
    }

    pub(super) fn publish(&mut self, publication: Publication) -> OpId {
        let id = self.counter.next_op();
        self.outputs.push_back(Output::Publish(id, publication));
        id
    }

    /// Sets a timer so far from now.
    pub(super) fn set_timer(&mut self, why: Why, after: Duration) {
        self.timers.set(why, self.now + after.max(SHORTEST_TIMER));
    }
}
