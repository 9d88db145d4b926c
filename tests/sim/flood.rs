//! Floods of messages that no worker here can process, next to valid work.

use std::time::Duration;

use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp};
use ivy_proto::{Moment, TaskId};
use serde::{Deserialize, Serialize};

use crate::task::{Plan, Sender, Task};
use crate::world::{Due, World};

/// When the first burst comes if valid work must have been done before.
const AFTER_WORK: Duration = Duration::from_secs(10);

/// How long a valid task may wait in addition to what the messages in front of it take: while the
/// queue is left to other workers, and for a slot.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long such a message takes of each slot: its request, its response, and the worker's pause.
const PER_MESSAGE: Duration = Duration::from_millis(43);

/// Bursts of this many messages of a kind, repeated during the fault phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flood {
    pub(crate) kind: FloodKind,
    pub(crate) burst: usize,
    pub(crate) every_millis: u64,
    /// Whether the first burst is present when the worker starts, which has handled nothing by then
    /// and cannot know that the fault is not its own.
    pub(crate) from_the_start: bool,
}

/// Why they cannot be processed. In an encrypted queue, plaintext is not accepted at all; in
/// others, there is no key for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FloodKind {
    UnknownTask,
    /// Each of a name of its own.
    UnknownTasks,
    /// Arguments that the handler of a served task refuses.
    Mismatches,
    LaterVersions,
    UnknownKeys,
    FailedTags,
    LegacyFrames,
    /// One kind after the other.
    Mixed,
}

impl FloodKind {
    pub(crate) const ALL: [FloodKind; 8] = [
        FloodKind::UnknownTask,
        FloodKind::UnknownTasks,
        FloodKind::Mismatches,
        FloodKind::LaterVersions,
        FloodKind::UnknownKeys,
        FloodKind::FailedTags,
        FloodKind::LegacyFrames,
        FloodKind::Mixed,
    ];

    /// The body of the message with this number.
    fn body(self, number: usize, id: TaskId) -> String {
        let of = |name: &str, options: &str| {
            format!("{{\"name\":\"{name}\",\"options\":{{{options}}},\"args\":[\"#{number}#\"]}}")
        };
        match self {
            FloodKind::UnknownTask => of("sim.unknown", ""),
            FloodKind::UnknownTasks => of(&format!("sim.unknown{number}"), ""),
            FloodKind::Mismatches => of("sim.plain", ""),
            FloodKind::LaterVersions => {
                of("sim.plain", &format!("\"ivy\":{{\"v\":2,\"id\":\"{id}\"}}"))
            }
            FloodKind::UnknownKeys => format!("$ivy2$other${number:0>85}A"),
            FloodKind::FailedTags => format!("$ivy2$old${number:0>85}A"),
            FloodKind::LegacyFrames => format!("$aes-256-cbc${number:0>64}"),
            FloodKind::Mixed => {
                let kinds = FloodKind::ALL.len() - 1;
                FloodKind::ALL[number % kinds].body(number, id)
            }
        }
    }
}

impl Flood {
    /// Whether its messages are tasks of another program.
    fn is_of_another_program(self) -> bool {
        matches!(self.kind, FloodKind::UnknownTask | FloodKind::UnknownTasks)
    }

    /// When the first burst comes.
    pub(crate) fn starts_at(self) -> Moment {
        Moment::EPOCH + if self.from_the_start { Duration::ZERO } else { AFTER_WORK }
    }
}

impl World {
    /// A burst arrives; schedules the next one.
    pub(crate) fn post_burst(&mut self) {
        let Some(flood) = self.setup.flood.filter(|_| self.quiet_phase.is_none()) else { return };
        let queue = self.kinds[0].queue.clone();
        let mut left = flood.burst;
        while left > 0 {
            let count = left.min(self.setup.max_batch);
            left -= count;
            let messages = (0..count).map(|_| {
                let body = Body::new(self.new_flood_message(flood.kind));
                NewMessage { body, delay: Duration::ZERO }
            });
            let messages = Batch::new(messages.collect()).expect("a batch is not empty");
            self.request_for_other_program(QueueOp::Post { queue: queue.clone(), messages });
        }
        self.schedule(Duration::from_millis(flood.every_millis), Due::Flood);
    }

    /// A message of another program, identified by its number or its body.
    fn new_flood_message(&mut self, kind: FloodKind) -> String {
        let number = self.checker.tasks.len();
        let id = TaskId::from_random(self.injector.variation(0).sixteen_bytes());
        let mut task = Task::new(id, Sender::OtherProgram);
        task.plan = Plan::BadArgs;
        task.max_attempts = self.kinds[0].settings.max_retries + 1;
        let body = kind.body(number, id);
        self.checker.tasks.push(task);
        self.checker.add_foreign_body(&body, number);
        body
    }

    /// Valid work has kept at least half of its rate: by now all of it would be done without the
    /// flood.
    pub(crate) fn check_progress(&mut self) {
        let valid = self.checker.tasks.iter();
        let valid = valid.filter(|task| matches!(task.sender, Sender::Producer(_)));
        let count = valid.clone().count();
        let done = valid.clone().filter(|task| task.finished > 0).count();
        let dead = valid.filter(|task| task.dead > 0).count();
        if 2 * done < count || dead > 0 {
            let flood = self.setup.flood;
            self.checker.broken("L6", || {
                format!("during {flood:?}, {done} of {count} valid tasks are done, {dead} dead")
            });
        }
        self.check_waits_behind_flood();
    }

    /// A valid task behind tasks of another program was done as soon as the worker had received
    /// those.
    fn check_waits_behind_flood(&mut self) {
        let is_checked = |flood: &Flood| flood.from_the_start && flood.is_of_another_program();
        let Some(flood) = self.setup.flood.filter(is_checked) else { return };
        let slots = self.setup.concurrency.min(self.setup.max_batch) as u32;
        let limit = MAX_WAIT + PER_MESSAGE * flood.burst as u32 / slots;
        let now = self.now;
        let tasks = self.checker.tasks.iter();
        let tasks = tasks.filter(|task| matches!(task.sender, Sender::Producer(_)));
        let waits =
            tasks.filter_map(|task| Some(task.finished_at.unwrap_or(now).since(task.sent_at?)));
        let longest = waits.max().unwrap_or_default();
        if longest > limit {
            self.checker.broken("L8", || {
                format!("during {flood:?}, a valid task waited for {longest:?} of {limit:?}")
            });
        }
    }
}
