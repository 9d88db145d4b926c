//! Asks a worker for its health. Its loop is woken by the question alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::mpsc::UnboundedSender;
use futures_channel::oneshot;
use futures_util::future::{FutureExt, Shared};
use ivy_proto::Moment;
use ivy_proto::health::{Liveness, Turns, WorkerHealth};

use super::counters::Counters;
use crate::clock::Clock;
use crate::metrics::Read;
use crate::runtime::Runtime;
use crate::timeout::timeout;

/// How long a loop may take to answer. Probes usually wait for a second.
const PATIENCE: Duration = Duration::from_millis(500);

/// Stands for a loop that waits for nothing but questions.
const NEVER: u64 = u64::MAX;

/// When a loop turned last, and when it is to turn again. Written with each turn, so it takes no
/// lock.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: AtomicU64,
    next: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(now: Moment) -> Self {
        Pulse { last: AtomicU64::new(now.as_nanos()), next: AtomicU64::new(NEVER) }
    }

    /// The loop turns.
    pub(crate) fn turns(&self, now: Moment) {
        self.last.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// The loop waits until this moment.
    pub(crate) fn waits(&self, until: Option<Moment>) {
        self.next.store(until.map_or(NEVER, Moment::as_nanos), Ordering::Relaxed);
    }

    fn turns_since(&self, asked: Moment) -> Turns {
        let next = Some(self.next.load(Ordering::Relaxed)).filter(|next| *next != NEVER);
        Turns {
            last: Moment::from_nanos(self.last.load(Ordering::Relaxed)),
            next: next.map(Moment::from_nanos),
            asked: Some(asked),
        }
    }
}

/// The health of a machine when it was asked.
pub(crate) type Answer = (Moment, WorkerHealth);

/// Reads the health of a worker. At most one question is under way, however many ask.
#[derive(Debug)]
pub(crate) struct HealthReader<R> {
    reads: UnboundedSender<Read>,
    pulse: Arc<Pulse>,
    clock: Clock<R>,
    /// Those of its listener, if it has one.
    probes: Option<Counters>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The question that has not been answered, and when it was asked first.
    asked: Option<(Moment, Shared<oneshot::Receiver<Answer>>)>,
    last: WorkerHealth,
}

impl<R: Runtime> HealthReader<R> {
    /// `last` is the health at the start.
    pub(crate) fn new(
        reads: UnboundedSender<Read>,
        pulse: Arc<Pulse>,
        clock: Clock<R>,
        last: WorkerHealth,
        probes: Option<Counters>,
    ) -> Self {
        let state = Mutex::new(State { asked: None, last });
        HealthReader { reads, pulse, clock, probes, state }
    }

    /// The health now. If the loop does not answer in time, that of its last answer, and whether the
    /// loop hangs.
    pub(crate) async fn read(&self) -> WorkerHealth {
        let begun = self.clock.now();
        let answered = timeout::<R, _>(PATIENCE, async {
            loop {
                let asked = self.ask(begun);
                // An answer from before this question may be old.
                match asked.await {
                    Ok((at, health)) => {
                        self.answered(&health);
                        if at >= begun {
                            return Some(health);
                        }
                    }
                    Err(oneshot::Canceled) => return None,
                }
            }
        });
        let health = match answered.await {
            Some(Some(health)) => health,
            Some(None) => self.ended(),
            None => self.last().unanswered(self.liveness()),
        };
        health.with_probes(self.probes.as_ref().map(Counters::get))
    }

    /// The health of a worker that cannot be asked.
    pub(crate) fn ended(&self) -> WorkerHealth {
        self.last().ended()
    }

    /// Asks, or joins those who wait for an answer.
    fn ask(&self, now: Moment) -> Shared<oneshot::Receiver<Answer>> {
        let mut state = self.lock();
        if let Some((_, asked)) = &state.asked {
            return asked.clone();
        }
        let (read, answer) = oneshot::channel();
        let answer = answer.shared();
        state.asked = Some((now, answer.clone()));
        drop(state);
        // This may run the machine. If the machine has ended, the answer is cancelled.
        let _ = self.reads.unbounded_send(Read::Health(read));
        answer
    }

    fn answered(&self, health: &WorkerHealth) {
        let mut state = self.lock();
        state.asked = None;
        state.last = health.clone();
    }

    fn liveness(&self) -> Liveness {
        match &self.lock().asked {
            Some((since, _)) => self.pulse.turns_since(*since).liveness(self.clock.now()),
            None => Liveness::Running,
        }
    }

    fn last(&self) -> WorkerHealth {
        self.lock().last.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_channel::mpsc::{UnboundedReceiver, unbounded};
    use ivy_proto::queue::Capabilities;
    use ivy_proto::task::TaskSettings;
    use ivy_proto::wire::Codec;
    use ivy_proto::worker::{Worker, WorkerConfig};
    use ivy_proto::{QueueName, TaskName, WallClock};

    use super::*;
    use crate::testing::Tokio;

    /// A reader whose loop the test plays.
    fn reader() -> (HealthReader<Tokio>, UnboundedReceiver<Read>, Worker) {
        let clock = Clock::<Tokio>::start();
        let settings = TaskSettings::in_queue(QueueName::new("mail").unwrap());
        let config = WorkerConfig::new(Capabilities::broker(), Codec::plain())
            .with_task(TaskName::new("test").unwrap(), settings);
        let machine = Worker::new(config, [0; 32], WallClock::default()).unwrap();
        let (reads, questions) = unbounded();
        let pulse = Arc::new(Pulse::new(clock.now()));
        let last = machine.health(clock.now());
        (HealthReader::new(reads, pulse, clock, last, None), questions, machine)
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_answer_hangs_after_half_a_minute() {
        let (reader, mut questions, machine) = reader();
        reader.pulse.waits(Some(reader.clock.now() + Duration::from_secs(1)));
        assert!(reader.read().await.is_live(), "it is only late");
        pass(31).await;
        assert!(!reader.read().await.is_live());
        // It was asked once, and answers late.
        let Ok(Read::Health(question)) = questions.try_recv() else { panic!("it was asked") };
        assert!(questions.try_recv().is_err());
        question.send((reader.clock.now(), machine.health(reader.clock.now()))).unwrap();
        pass(1).await;
        // That answer is older than the next question.
        let (health, ()) = tokio::join!(reader.read(), async {
            tokio::task::yield_now().await;
            let Ok(Read::Health(question)) = questions.try_recv() else { panic!("asked again") };
            let now = reader.clock.now();
            question.send((now, machine.health(now))).unwrap();
        });
        assert!(health.is_live());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_has_nothing_to_do_is_silent_and_does_not_hang() {
        let (reader, _questions, _) = reader();
        pass(3600).await;
        assert!(reader.read().await.is_live(), "it was not asked before");
        pass(31).await;
        assert!(!reader.read().await.is_live());
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_has_ended_is_not_live() {
        let (reader, questions, _) = reader();
        drop(questions);
        let health = reader.read().await;
        assert_eq!(health.state, ivy_proto::health::State::Ended);
        assert!(!health.is_live());
    }
}
