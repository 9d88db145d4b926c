//! Threads that carry out what is handed to them.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a thread waits for more to do before it ends.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Starts a thread of this name.
///
/// # Errors
/// If the system gives no thread.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(|_| ())
}

/// A group of threads with one queue of jobs. A thread is started when a job finds none that is
/// idle, up to a number; those that are idle for long end, and all do when the group is dropped
/// and its jobs are done.
pub struct ThreadPool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl ThreadPool {
    /// A group of up to so many threads.
    #[must_use]
    pub fn new(name: &'static str, most: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        ThreadPool { shared: Arc::new(Shared { name, most, state, changed }) }
    }

    /// Has the job done by the next thread that is free. If no thread at all can be started, the
    /// job is dropped; what must not be forgotten then belongs into the drop of its values.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.state();
        state.jobs.push_back(Box::new(job));
        if state.idle < state.jobs.len() && state.threads < self.shared.most {
            let shared = Arc::clone(&self.shared);
            match spawn(self.shared.name, move || shared.work()) {
                Ok(()) => state.threads += 1,
                // Those that run will come to it.
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    tracing::error!(name = self.shared.name, %error, "no thread can be started");
                    let jobs = std::mem::take(&mut state.jobs);
                    drop(state);
                    drop(jobs);
                    return;
                }
            }
        }
        drop(state);
        self.shared.changed.notify_one();
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
        write!(f, "ThreadPool({}, at most {})", self.shared.name, self.shared.most)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until it ends.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A job that panics has its end told by what it drops, and costs no thread.
                let _ = catch_unwind(AssertUnwindSafe(job));
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
                if limit.timed_out() && state.jobs.is_empty() {
                    break;
                }
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn as_many_jobs_run_at_a_time_as_there_may_be_threads() {
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
    fn a_job_that_panics_costs_no_thread() {
        let threads = ThreadPool::new("test", 1);
        let (done, is_done) = mpsc::channel();
        threads.run(|| panic!("out of cheese"));
        threads.run(move || done.send(()).unwrap());
        is_done.recv().unwrap();
    }

    #[test]
    fn jobs_are_done_though_the_group_is_dropped() {
        let threads = ThreadPool::new("test", 1);
        let (done, all_done) = mpsc::channel();
        for number in 0..3 {
            let done = done.clone();
            threads.run(move || done.send(number).unwrap());
        }
        drop((threads, done));
        assert_eq!(all_done.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
