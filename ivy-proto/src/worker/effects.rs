//! State shared by the parts of a worker: the current time, randomness, timers and outputs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::{DegradedParts, DegradedReason, Event, Part};
use crate::id::{IdGenerator, JobId, OpId};
use crate::metrics::{Meter, RequestKind, RequestMeter, RequestOutcome};
use crate::name::QueueName;
use crate::notify::Publication;
use crate::queue::{Fault, QueueOp, QueueReply};
use crate::rng::Rng;
use crate::time::{Moment, WallClock};
use crate::timers::Timers;
use crate::wire::crypto::EntropyPool;

use super::io::{Output, Timer};
use super::lease::Grant;

/// The shortest timer; a timer of zero would be due again within the same tick.
const SHORTEST_TIMER: Duration = Duration::from_millis(1);

/// The purpose of an operation in flight.
#[derive(Clone, Debug)]
pub(super) enum OpPurpose {
    /// Look for dead-letter rules of the server before the first poll.
    Inspect(QueueName),
    /// Create a missing queue.
    Create(QueueName),
    /// Reserve messages.
    Poll {
        queue: QueueName,
        count: usize,
        /// The requested long-poll time.
        wait: Duration,
        requested_at: Moment,
        /// The wall clock at that time.
        wall: WallClock,
    },
    /// Renew a lease.
    Touch { job: JobId, renewal: Grant },
    /// Post a successor or a dead-letter copy.
    Post(JobId),
    /// Release a message.
    Release(JobId),
    /// Delete a single message.
    Delete(JobId),
    /// Delete the messages of these jobs.
    DeleteMany { queue: QueueName, jobs: Vec<JobId> },
}

impl OpPurpose {
    /// Whether the reply has the type that this operation expects.
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
    pub(super) in_flight: BTreeMap<OpId, InFlight>,
    pub(super) meter: Meter,
    pub(super) requests: RequestMeter,
    pub(super) degraded: DegradedParts,
}

/// An operation in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) purpose: OpPurpose,
    kind: RequestKind,
    since: Moment,
}

impl Effects {
    /// Derives the random number generator and the entropy pool from 32 random bytes.
    pub(super) fn new(seed: [u8; 32], wall: WallClock, meter: Meter) -> Self {
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
            meter,
            requests: RequestMeter::default(),
            degraded: DegradedParts::default(),
        }
    }

    /// The current Unix time in milliseconds, if it is plausible.
    pub(super) fn plausible_unix_millis(&self) -> Option<u64> {
        self.wall.plausible_unix_millis(self.now)
    }

    /// The current Unix time in milliseconds.
    pub(super) fn unix_millis(&self) -> u64 {
        self.wall.unix_millis(self.now)
    }

    pub(super) fn wall_is_plausible(&self) -> bool {
        self.wall.is_plausible(self.now)
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Reports that a part keeps failing.
    pub(super) fn report_degraded(&mut self, part: Part, why: DegradedReason) {
        self.degraded.add(&part, &why);
        self.event(Event::Degraded { part, why });
    }

    /// Reports that a part works again.
    pub(super) fn report_recovered(&mut self, part: Part) {
        self.degraded.remove(&part);
        self.event(Event::Recovered { part });
    }

    pub(super) fn execute(&mut self, purpose: OpPurpose, op: QueueOp) {
        let id = self.counter.next_op();
        let kind = RequestKind::of(&op);
        self.in_flight.insert(id, InFlight { purpose, kind, since: self.now });
        self.outputs.push_back(Output::Queue(id, op));
    }

    /// Ends an operation, and returns its purpose.
    pub(super) fn ended(
        &mut self,
        op: OpId,
        answer: &Result<QueueReply, Fault>,
    ) -> Option<OpPurpose> {
        let InFlight { purpose, kind, since } = self.in_flight.remove(&op)?;
        self.requests.ended(kind, RequestOutcome::of_queue(answer), self.now.micros_since(since));
        Some(purpose)
    }

    pub(super) fn publish(&mut self, publication: Publication) -> OpId {
        let id = self.counter.next_op();
        self.outputs.push_back(Output::Publish(id, publication));
        id
    }

    /// Sets a timer relative to now.
    pub(super) fn set_timer(&mut self, why: Timer, after: Duration) {
        self.timers.set(why, self.now + after.max(SHORTEST_TIMER));
    }
}
