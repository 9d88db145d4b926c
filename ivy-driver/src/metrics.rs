//! Reads what the machines of an [`Ivy`](crate::Ivy) have counted.

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures_channel::oneshot;
use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::StreamExt;
use ivy_proto::health::WorkerHealth;
use ivy_proto::metrics::{Backends, Snapshot};
use ivy_proto::{Moment, producer, worker};

use crate::clock::Clock;
use crate::fork_check::Process;
use crate::health::Answer;
use crate::runtime::Runtime;

/// How long a reader waits for machines. Then it takes what those that do not run answered last.
const PATIENCE: Duration = Duration::from_secs(1);

/// A machine that counts.
pub(crate) trait Counts {
    /// What it has counted, and its state at `now`.
    fn metrics(&self, now: Moment) -> Snapshot;

    /// Its health at `now`, if it is a worker.
    fn health(&self, _: Moment) -> Option<WorkerHealth> {
        None
    }
}

impl Counts for worker::Worker {
    fn metrics(&self, now: Moment) -> Snapshot {
        worker::Worker::metrics(self, now)
    }

    fn health(&self, now: Moment) -> Option<WorkerHealth> {
        Some(worker::Worker::health(self, now))
    }
}

impl Counts for producer::Producer {
    fn metrics(&self, _: Moment) -> Snapshot {
        producer::Producer::metrics(self)
    }
}

/// All machines of an ivy, and what those that have ended had counted.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    backends: Backends,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    machines: Vec<Running>,
    last_number: u64,
    ended: Snapshot,
}

/// A machine that runs.
#[derive(Clone, Debug)]
struct Running {
    number: u64,
    process: Process,
    reads: UnboundedSender<Read>,
    /// Its last answer.
    last: Snapshot,
}

/// A question to a machine.
#[derive(Debug)]
pub(crate) enum Read {
    /// What it has counted.
    Metrics(oneshot::Sender<Snapshot>),
    /// Its health.
    Health(oneshot::Sender<Answer>),
}

impl Meters {
    pub(crate) fn new(backends: Backends) -> Self {
        Meters { backends, state: Arc::default() }
    }

    /// Adds a machine, until it is dropped.
    pub(crate) fn add<R: Runtime, M: Counts>(&self, machine: M, clock: Clock<R>) -> Metered<R, M> {
        let (reads, receiver) = mpsc::unbounded();
        let questions = reads.clone();
        let mut state = self.lock();
        state.last_number += 1;
        let (number, process) = (state.last_number, Process::current());
        state.machines.push(Running { number, process, reads, last: Snapshot::default() });
        drop(state);
        Metered { machine, questions, reads: receiver, number, meters: self.clone(), clock }
    }

    /// What all machines have counted so far.
    pub(crate) async fn read<R: Runtime>(&self) -> Snapshot {
        let limit = R::now().checked_add(PATIENCE);
        loop {
            if let Some(mut snapshot) = self.try_read::<R>(limit).await {
                snapshot.backends = Some(self.backends);
                return snapshot;
            }
        }
    }

    /// Returns `None` if a machine has ended meanwhile, which may be counted twice or not at all.
    async fn try_read<R: Runtime>(&self, limit: Option<Instant>) -> Option<Snapshot> {
        let (mut snapshot, machines) = {
            let state = self.lock();
            let here = state.machines.iter().filter(|machine| machine.process.is_current());
            (state.ended.clone(), here.cloned().collect::<Vec<_>>())
        };
        let mut asked = Vec::with_capacity(machines.len());
        for machine in machines {
            let (read, answer) = oneshot::channel();
            // This may run the machine, which needs the lock to end.
            machine.reads.unbounded_send(Read::Metrics(read)).ok()?;
            asked.push((machine, answer));
        }
        let mut time_is_up = pin!(
            async {
                match limit {
                    Some(limit) => R::sleep_until(limit).await,
                    None => std::future::pending().await,
                }
            }
            .fuse()
        );
        for (machine, answer) in asked {
            match select(answer, &mut time_is_up).await {
                Either::Left((answer, _)) => {
                    let counted = answer.ok()?;
                    snapshot.add(&counted);
                    self.remember(machine.number, counted);
                }
                Either::Right(_) => snapshot.add(&machine.last),
            }
        }
        Some(snapshot)
    }

    fn remember(&self, number: u64, counted: Snapshot) {
        let mut state = self.lock();
        if let Some(machine) = state.machines.iter_mut().find(|one| one.number == number) {
            machine.last = counted;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A machine whose counts can be read while it runs. They remain when it is dropped.
pub(crate) struct Metered<R: Runtime, M: Counts> {
    machine: M,
    questions: UnboundedSender<Read>,
    reads: UnboundedReceiver<Read>,
    number: u64,
    meters: Meters,
    clock: Clock<R>,
}

impl<R: Runtime, M: Counts> Metered<R, M> {
    /// Where to ask it.
    pub(crate) fn questions(&self) -> UnboundedSender<Read> {
        self.questions.clone()
    }

    /// Answers what was asked, and has the task woken by the next question.
    pub(crate) fn answer_questions(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some(read)) = self.reads.poll_next_unpin(context) {
            let now = self.clock.now();
            match read {
                // The reader may have left.
                Read::Metrics(reader) => drop(reader.send(self.machine.metrics(now))),
                Read::Health(reader) => {
                    if let Some(health) = self.machine.health(now) {
                        drop(reader.send((now, health)));
                    }
                }
            }
        }
    }
}

impl<R: Runtime, M: Counts> Deref for Metered<R, M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<R: Runtime, M: Counts> DerefMut for Metered<R, M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.machine
    }
}

impl<R: Runtime, M: Counts> Drop for Metered<R, M> {
    fn drop(&mut self) {
        // Only counts remain, which need no time. The runtime's clock may have ended already: in a
        // thread-local variable, tokio's runtime outlives it.
        let last = self.machine.metrics(Moment::EPOCH);
        let mut state = self.meters.lock();
        state.machines.retain(|machine| machine.number != self.number);
        state.ended.add_ended(&last);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use ivy_proto::QueueName;

    use super::*;
    use crate::testing::Tokio;

    /// A machine that has repeated this many posts.
    struct Repeats(u64);

    impl Counts for Repeats {
        fn metrics(&self, _: Moment) -> Snapshot {
            let mut snapshot = Snapshot::default();
            snapshot.resends.insert(QueueName::new("q").unwrap(), self.0);
            snapshot.slots = 1;
            snapshot
        }
    }

    fn meters() -> Meters {
        Meters::new(Backends::new("memory", None))
    }

    fn run(mut machine: Metered<Tokio, Repeats>) -> tokio::task::JoinHandle<()> {
        tokio::spawn(poll_fn(move |context| {
            machine.answer_questions(context);
            Poll::Pending
        }))
    }

    async fn read(meters: &Meters) -> (Option<u64>, u64) {
        let snapshot = meters.read::<Tokio>().await;
        (snapshot.resends.get("q").copied(), snapshot.slots)
    }

    #[tokio::test]
    async fn the_counts_of_all_machines_are_added_and_remain_when_they_end() {
        let (meters, clock) = (meters(), Clock::<Tokio>::start());
        assert_eq!(read(&meters).await, (None, 0));
        let running = run(meters.add(Repeats(1), clock));
        let _other = run(meters.add(Repeats(2), clock));
        assert_eq!(read(&meters).await, (Some(3), 2));
        running.abort();
        let _ = running.await;
        assert_eq!(read(&meters).await, (Some(3), 1));
    }

    #[tokio::test]
    async fn a_machine_that_outlives_its_runtimes_clock_is_counted() {
        use tokio::runtime::{Builder, Runtime};
        thread_local!(static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap());
        let (meters, clock) = (meters(), Clock::<Tokio>::start());
        let machine = meters.add(Repeats(5), clock);
        let in_thread = move || {
            RUNTIME.with(|runtime| runtime.block_on(async { drop(run(machine)) }));
        };
        std::thread::spawn(in_thread).join().unwrap();
        assert_eq!(read(&meters).await, (Some(5), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_ends_before_it_answers_is_counted_once() {
        let (meters, clock) = (meters(), Clock::<Tokio>::start());
        let machine = meters.add(Repeats(5), clock);
        let reading = read(&meters);
        let (counted, ()) = tokio::join!(reading, async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(machine);
        });
        assert_eq!(counted, (Some(5), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_does_not_run_is_represented_by_its_last_answer() {
        let (meters, clock) = (meters(), Clock::<Tokio>::start());
        let mut machine = meters.add(Repeats(5), clock);
        let (counted, ()) = tokio::join!(read(&meters), async {
            poll_fn(|context| {
                machine.answer_questions(context);
                Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
            poll_fn(|context| {
                machine.answer_questions(context);
                Poll::Ready(())
            })
            .await;
        });
        assert_eq!(counted, (Some(5), 1));
        machine.0 = 6;
        assert_eq!(read(&meters).await, (Some(5), 1), "a second has passed");
    }
}
