//! The workers, as far as they are heard.

use std::collections::BTreeSet;

use ivy_proto::inspect::{UndecidedReleases, nearest};
use ivy_proto::presence::{Degraded, Heard, HeardWorker};
use ivy_proto::text::Counted;
use ivy_proto::{QueueName, TaskName};

use super::clocks;
use super::report::Checks;
use crate::commands::heard::{SILENCE, ignored, summary};
use crate::commands::time::now;

/// What waits in the queue that was checked.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) queue: Option<QueueName>,
    pub(super) tasks: BTreeSet<TaskName>,
}

pub(super) fn check(heard: &Heard, waiting: &Waiting, checks: &mut Checks) {
    if let Some(text) = ignored(heard) {
        checks.warning("presence", text, "`ivy keys list` lists the keys of a keyset");
    }
    let alive: Vec<&HeardWorker> =
        heard.workers.iter().filter(|worker| worker.is_alive()).collect();
    if alive.is_empty() {
        return checks.warning("workers", summary(heard), SILENCE);
    }
    let versions: BTreeSet<&str> =
        alive.iter().map(|worker| worker.record.identity.version.as_str()).collect();
    let versions = Vec::from_iter(versions).join(", ");
    checks.ok("workers", format!("{}, of version {versions}", summary(heard)));
    check_clocks(&alive, checks);
    check_health(&alive, checks);
    check_releases(heard, waiting, checks);
    check_handlers(&alive, waiting, checks);
}

/// Checks the clock that differs most.
fn check_clocks(alive: &[&HeardWorker], checks: &mut Checks) {
    let now = now();
    let apart = |worker: &&HeardWorker| worker.clock_difference(now);
    let Some(worker) = alive.iter().max_by_key(|worker| apart(worker)) else { return };
    let whose = format!("worker {}", worker.record.name());
    clocks::check("worker_clocks", &whose, apart(worker), checks);
}

/// Whether a worker lacks something, by its own report.
fn check_health(alive: &[&HeardWorker], checks: &mut Checks) {
    let degraded: Vec<_> = alive
        .iter()
        .flat_map(|worker| worker.record.degraded.iter().map(|it| (worker.record.name(), it)))
        .collect();
    let Some((name, Degraded { part, why, .. })) = degraded.first() else {
        return checks.ok("worker_health", "no worker that was heard is degraded");
    };
    let more = match degraded.len() - 1 {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    let text = format!("worker {name} is degraded: {part}: {why}{more}");
    checks.warning("worker_health", text, "`ivy workers` lists all");
}

/// Whether workers release messages of the queue that they cannot handle.
fn check_releases(heard: &Heard, waiting: &Waiting, checks: &mut Checks) {
    let Some(queue) = &waiting.queue else { return };
    let releases = UndecidedReleases::of(heard, queue);
    if releases.total() == 0 {
        return checks
            .ok("releases", format!("no message of queue {queue} was released undecided"));
    }
    let text = format!(
        "workers have released {} of queue {queue} since they started, because they could not \
         decide on them: {}",
        Counted(releases.total(), "message", "messages"),
        releases.reasons()
    );
    checks.warning("releases", text, format!("`ivy explain {queue} --workers` shows more"));
}

/// Whether what waits has a worker.
fn check_handlers(alive: &[&HeardWorker], waiting: &Waiting, checks: &mut Checks) {
    let Some(queue) = &waiting.queue else { return };
    let serving: Vec<&HeardWorker> =
        alive.iter().copied().filter(|worker| worker.record.serves(queue) != Some(false)).collect();
    if serving.is_empty() {
        let text = format!("no worker that was heard serves queue {queue}");
        return checks.warning("handlers", text, "start a worker that serves it");
    }
    if waiting.tasks.is_empty() {
        let next = "check it while messages are ready";
        return checks.not_checked("handlers", format!("no task of queue {queue} was read"), next);
    }
    let is_missing = |task: &&TaskName| {
        serving.iter().all(|worker| worker.record.registers(task) == Some(false))
    };
    let Some(task) = waiting.tasks.iter().find(is_missing) else {
        let text = format!("the tasks that wait in queue {queue} have handlers");
        return checks.ok("handlers", text);
    };
    let names = serving.iter().flat_map(|worker| &worker.record.tasks).map(TaskName::as_str);
    let meant = nearest(task.as_str(), names)
        .map_or_else(String::new, |name| format!("; did you mean {name}?"));
    let text =
        format!("no worker of queue {queue} has a handler for task {task}, which waits{meant}");
    checks.warning("handlers", text, "register it, or correct the name where it is called");
}
