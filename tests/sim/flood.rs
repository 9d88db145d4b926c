//! Messages that no worker here understands, as fast as somebody likes to post them, beside honest
//! work.

use std::time::Duration;

use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp};
use ivy_proto::{Moment, TaskId};
use serde::{Deserialize, Serialize};

use crate::task::{Plan, Sender, Task};
use crate::world::{Due, World};

/// When the first burst comes if honest work is to have been done before.
const AFTER_WORK: Duration = Duration::from_secs(10);

/// So many messages of a kind, again and again while the storm lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flood {
    pub(crate) junk: Junk,
    pub(crate) burst: usize,
    pub(crate) every_millis: u64,
    /// Whether the first burst is there when the worker starts, which has understood nothing by then,
    /// and may be at fault for all that it knows.
    pub(crate) from_the_start: bool,
}

/// What is not understood about them. Where the queue is encrypted, what is in the open is not
/// accepted at all; where it is not, there is no key for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Junk {
    UnknownTask,
    /// Each of a name of its own.
    UnknownTasks,
    /// Arguments that the handler of a task that is served does not take.
    Misfits,
    LaterVersions,
    UnknownKeys,
    FailedTags,
    LegacyFrames,
    /// One kind after the other.
    Mixed,
}

impl Junk {
    pub(crate) const ALL: [Junk; 8] = [
        Junk::UnknownTask,
        Junk::UnknownTasks,
        Junk::Misfits,
        Junk::LaterVersions,
        Junk::UnknownKeys,
        Junk::FailedTags,
        Junk::LegacyFrames,
        Junk::Mixed,
    ];

    /// The body of the message of this number.
    fn body(self, number: usize, id: TaskId) -> String {
        let of = |name: &str, options: &str| {
            format!("{{\"name\":\"{name}\",\"options\":{{{options}}},\"args\":[\"#{number}#\"]}}")
        };
        match self {
            Junk::UnknownTask => of("sim.unknown", ""),
            Junk::UnknownTasks => of(&format!("sim.unknown{number}"), ""),
            Junk::Misfits => of("sim.plain", ""),
            Junk::LaterVersions => of("sim.plain", &format!("\"ivy\":{{\"v\":2,\"id\":\"{id}\"}}")),
            Junk::UnknownKeys => format!("$ivy2$other${number:0>85}A"),
            Junk::FailedTags => format!("$ivy2$old${number:0>85}A"),
            Junk::LegacyFrames => format!("$aes-256-cbc${number:0>64}"),
            Junk::Mixed => {
                let kinds = Junk::ALL.len() - 1;
                Junk::ALL[number % kinds].body(number, id)
            }
        }
    }
}

impl Flood {
    /// When the first burst comes.
    pub(crate) fn begins(self) -> Moment {
        Moment::EPOCH + if self.from_the_start { Duration::ZERO } else { AFTER_WORK }
    }
}

impl World {
    /// A burst comes, and after a while the next one.
    pub(crate) fn pour(&mut self) {
        let Some(flood) = self.setup.flood.filter(|_| self.quiet_phase.is_none()) else { return };
        let queue = self.kinds[0].queue.clone();
        let mut left = flood.burst;
        while left > 0 {
            let count = left.min(self.setup.max_batch);
            left -= count;
            let messages = (0..count).map(|_| {
                let body = Body::new(self.draw_up_junk(flood.junk));
                NewMessage { body, delay: Duration::ZERO }
            });
            let messages = Batch::new(messages.collect()).expect("a batch is not empty");
            self.ask_for_stranger(QueueOp::Post { queue: queue.clone(), messages });
        }
        self.later(Duration::from_millis(flood.every_millis), Due::Flood);
    }

    /// A message of a stranger, told by its number or by its body.
    fn draw_up_junk(&mut self, junk: Junk) -> String {
        let number = self.checker.tasks.len();
        let id = TaskId::from_random(self.injector.nature(0).sixteen_bytes());
        let mut task = Task::new(id, Sender::Stranger);
        task.plan = Plan::BadArgs;
        task.max_attempts = self.kinds[0].settings.max_retries + 1;
        let body = junk.body(number, id);
        self.checker.tasks.push(task);
        self.checker.know_stray(&body, number);
        body
    }

    /// Honest work has kept at least half of its rate: by now all of it would be done without the
    /// flood.
    pub(crate) fn check_progress(&mut self) {
        let honest = self.checker.tasks.iter();
        let honest = honest.filter(|task| matches!(task.sender, Sender::Producer(_)));
        let count = honest.clone().count();
        let done = honest.clone().filter(|task| task.finished > 0).count();
        let dead = honest.filter(|task| task.dead > 0).count();
        if 2 * done < count || dead > 0 {
            let flood = self.setup.flood;
            self.checker.broken("L6", || {
                format!("beside {flood:?}, {done} of {count} honest tasks are done, {dead} dead")
            });
        }
    }
}
