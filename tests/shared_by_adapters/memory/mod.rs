//! Producer and worker over the memory backend, as an application uses them.

mod calls;
mod checks;
mod chosen_ids;
mod failures;
mod layers;
mod lifecycle;
mod limits;
mod many;
mod postponing;
mod queues;
mod shared;
mod states;
mod sweeps;
mod test_worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::adapter::{
    Backoff, Ctx, Event, Events, Ivy, Task, TaskError, Worker, WorkerBuilder, handler, wait,
};
use crate::receiving::{awaited, next_event, recv_in_handler};

pub(crate) const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
const FAIL: Task<(), u64> = Task::new("test.fail").queue("test").max_retries(2);
pub(crate) const SLOW: Task<(), ()> = Task::new("test.slow").queue("test");
/// Longer than anything takes that must happen, even on a busy host.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn ivy() -> Ivy {
    Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap()
}

/// A builder of a worker that doubles, for more settings and handlers.
pub(crate) fn worker(ivy: &Ivy) -> WorkerBuilder {
    let double = handler!(|n: u64| n.checked_mul(2).ok_or_else(|| TaskError::fatal("too large")));
    let backoff = Backoff::new(Duration::from_millis(50), 2, Duration::from_secs(1));
    ivy.worker().register(&DOUBLE, double).backoff(backoff)
}

pub(crate) fn doubling(ivy: &Ivy) -> Worker {
    wait(worker(ivy).start()).unwrap()
}

/// The next event that matches.
fn wait_for(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = next_event(events).expect("the event comes before the stream ends");
        if wanted(&event) {
            return event;
        }
    }
}

/// A worker with one slot, whose task `SLOW` signals when it begins, and ends on request.
struct Slow {
    begun: Receiver<()>,
    end: Sender<()>,
    /// Whether the task ran to its end.
    ended: Arc<AtomicBool>,
}

impl Slow {
    fn start(ivy: &Ivy) -> (Self, Worker) {
        let (begins, begun) = async_channel::unbounded();
        let (end, ends) = async_channel::unbounded();
        let ended = Arc::new(AtomicBool::new(false));
        let slow = handler!([begins, ends, ended], |ctx: Ctx| {
            begins.try_send(()).unwrap();
            awaited!(recv_in_handler(&ctx, &ends))?;
            ended.store(true, Ordering::SeqCst);
            Ok::<_, TaskError>(())
        });
        let worker = wait(worker(ivy).concurrency(1).register(&SLOW, slow).start()).unwrap();
        (Slow { begun, end, ended }, worker)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}
