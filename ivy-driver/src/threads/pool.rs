//! A pool of threads.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ivy_proto::task::discard_panic;

use super::woken_futures::{Sleeper, WokenFutureRunner, unpark_after_current};

/// How long an idle thread waits for a job before it ends.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Starts a thread of this name.
///
/// # Errors
/// If the system cannot start the thread.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(|_| ())
}

/// A pool of threads with one queue of jobs. A thread is started if a job finds none idle, up to a
/// limit. Threads that are idle for long end; all end when the pool is dropped and its jobs are
/// done.
pub(super) struct ThreadPool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    max_threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// How many threads are done with a job and look for the next one soon.
    finishing: usize,
    /// Whether a thread that was idle, or is new, is about to look for a job.
    is_waking: bool,
    closed: bool,
}

type Job = Box<dyn FnOnce(&Shared) + Send>;

impl ThreadPool {
    /// A pool of up to `max_threads` threads.
    #[must_use]
    pub(super) fn new(name: &'static str, max_threads: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        ThreadPool { shared: Arc::new(Shared { name, max_threads, state, changed }) }
    }

    /// Runs the job in the next free thread. If no thread at all can be started, the job is
    /// dropped; put what must happen even then into the drop of its values.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.add(Box::new(|_| job()));
    }

    /// Runs the work as a job and passes its result to `then`. The thread [helps](super::run_woken_by)
    /// with the futures that `then` wakes, so `then` must not block. If no thread can be started,
    /// or the work panics, both are dropped and `then` is not called.
    pub(super) fn run_then<T>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(T) + Send + 'static,
    ) {
        self.add(Box::new(|shared| {
            let result = work();
            let _finishing = Finishing::begin(shared);
            let runner = WokenFutureRunner::begin();
            then(result);
            runner.end(|| shared.state().jobs.is_empty());
        }));
    }

    fn add(&self, job: Job) {
        let mut state = self.shared.state();
        state.jobs.push_back(job);
        self.shared.call_another(state);
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadPool({}, at most {})", self.shared.name, self.shared.max_threads)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts another thread if there are more jobs than the threads about to look for one will
    /// take. One starts at a time, and starts the next before it begins its job.
    fn call_another(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.is_waking || state.jobs.len() <= state.finishing {
            return;
        }
        if state.idle > 0 {
            state.is_waking = true;
            drop(state);
            unpark_after_current(self.clone());
        } else if state.threads < self.max_threads {
            let shared = Arc::clone(self);
            match spawn(self.name, move || shared.work()) {
                Ok(()) => {
                    state.is_waking = true;
                    state.threads += 1;
                }
                // The running threads will take the job.
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    tracing::error!(name = self.name, %error, "cannot start a thread");
                    let jobs = std::mem::take(&mut state.jobs);
                    drop(state);
                    drop(jobs);
                }
            }
        }
    }

    /// The loop of a thread.
    fn work(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_waking = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                self.call_another(state);
                // A job that panics reports its end by the values it drops, and its thread
                // survives.
                forgiving(|| job(self));
                state = self.state();
            } else if state.closed {
                break;
            } else {
                state.idle += 1;
                let (waited, limit) = self
                    .changed
                    .wait_timeout(state, IDLE_LIMIT)
                    .unwrap_or_else(PoisonError::into_inner);
                state = waited;
                state.idle -= 1;
                state.is_waking = false;
                if limit.timed_out() && state.jobs.is_empty() {
                    break;
                }
            }
        }
        state.threads -= 1;
    }
}

/// Runs code that may panic, and whose panic payload may panic again when dropped.
fn forgiving(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        discard_panic(payload);
    }
}

impl Sleeper for Shared {
    fn unpark(&self) {
        self.changed.notify_one();
    }
}

/// While it lives, its thread is about to look for the next job.
struct Finishing<'a>(&'a Shared);

impl<'a> Finishing<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.state().finishing += 1;
        Finishing(shared)
    }
}

impl Drop for Finishing<'_> {
    fn drop(&mut self) {
        self.0.state().finishing -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn as_many_jobs_run_concurrently_as_there_may_be_threads() {
        let threads = ThreadPool::new("test", 3);
        let together = Arc::new(Barrier::new(3));
        let (done, all_done) = mpsc::channel();
        for _ in 0..9 {
            let (together, done) = (together.clone(), done.clone());
            threads.run(move || {
                together.wait();
                done.send(thread::current().id()).unwrap();
            });
        }
        drop(done);
        let ids: std::collections::HashSet<_> = all_done.iter().collect();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn a_thread_survives_a_panic_of_its_job() {
        let threads = ThreadPool::new("test", 1);
        let (done, is_done) = mpsc::channel();
        threads.run(|| panic!("out of cheese"));
        threads.run(move || done.send(()).unwrap());
        is_done.recv().unwrap();
    }

    #[test]
    fn a_thread_survives_a_panic_of_a_panic_payload() {
        struct PanicsOnDrop;
        impl Drop for PanicsOnDrop {
            fn drop(&mut self) {
                panic!("out of cheese");
            }
        }
        let threads = ThreadPool::new("test", 1);
        let (done, is_done) = mpsc::channel();
        threads.run(|| std::panic::panic_any(PanicsOnDrop));
        threads.run(move || done.send(()).unwrap());
        is_done.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn jobs_are_done_after_the_pool_is_dropped() {
        let threads = ThreadPool::new("test", 1);
        let (done, all_done) = mpsc::channel();
        for number in 0..3 {
            let done = done.clone();
            threads.run(move || done.send(number).unwrap());
        }
        drop((threads, done));
        assert_eq!(all_done.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_job_added_by_a_finishing_thread_is_its_next_one() {
        let threads = Arc::new(ThreadPool::new("test", 2));
        let both = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            let both = both.clone();
            threads.run(move || {
                both.wait();
            });
        }
        both.wait();
        let (done, is_done) = mpsc::channel();
        let adder = threads.clone();
        let then = move |first| {
            adder.run(move || done.send((first, thread::current().id())).unwrap());
        };
        threads.run_then(|| thread::current().id(), then);
        let (first, second) = is_done.recv().unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn several_jobs_added_by_a_finishing_thread_run_concurrently() {
        let threads = Arc::new(ThreadPool::new("test", 2));
        let together = Arc::new(Barrier::new(3));
        let adder = threads.clone();
        let added = together.clone();
        let then = move |()| {
            for _ in 0..2 {
                let added = added.clone();
                adder.run(move || {
                    added.wait();
                });
            }
        };
        threads.run_then(|| (), then);
        together.wait();
    }

    #[test]
    fn work_that_panics_reports_nothing_and_its_thread_survives() {
        let threads = ThreadPool::new("test", 1);
        let (done, is_done) = mpsc::channel();
        let reports = done.clone();
        threads.run_then(
            || panic!("out of cheese"),
            move |result: &str| reports.send(result).unwrap(),
        );
        threads.run_then(|| "done", move |result| done.send(result).unwrap());
        assert_eq!(is_done.iter().collect::<Vec<_>>(), ["done"]);
    }
}
