//! What scenarios and their handlers share.

use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use ivy_proto::task::TaskError;
use ivy_test_kit::PATIENCE;

use crate::harness::Job;
use crate::leak_search;

/// The panic message of handlers that panic on purpose.
pub(crate) const EXPECTED_PANIC: &str = "this handler panics on purpose";

/// The panic message of handlers whose panic payload panics when it is dropped.
pub(crate) struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        std::panic::panic_any(EXPECTED_PANIC);
    }
}

/// Keeps panics that are part of a scenario out of the output, and searches all of them for
/// secrets.
pub(crate) fn expect_panics() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        leak_search::panic(panic);
        let payload = panic.payload();
        let is_expected =
            payload.downcast_ref() == Some(&EXPECTED_PANIC) || payload.is::<PanicsOnDrop>();
        if !is_expected {
            default_hook(panic);
        }
    }));
}

/// How often a condition is polled that no event reports.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until a condition is true that no event reports.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "not true in time: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Waits until a number has this value.
pub(crate) fn eventually_eq<T: PartialEq + Debug>(expected: T, mut number: impl FnMut() -> T) {
    let started = Instant::now();
    loop {
        let number = number();
        if number == expected {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{number:?} instead of {expected:?}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// What handlers recorded, in order.
#[derive(Debug)]
pub(crate) struct Journal<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Journal(Arc::clone(&self.0))
    }
}

impl<T: Clone> Journal<T> {
    pub(crate) fn new() -> Self {
        Journal(Arc::default())
    }

    pub(crate) fn write(&self, entry: T) {
        self.lock().push(entry);
    }

    pub(crate) fn entries(&self) -> Vec<T> {
        self.lock().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

/// Blocks handlers until it is opened, and counts them.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<GateCounts>, Condvar)>);

#[derive(Clone, Copy, Debug, Default)]
struct GateCounts {
    is_open: bool,
    begun: usize,
    inside: usize,
    max_inside: usize,
    cancelled: usize,
}

impl Gate {
    /// Waits, as a handler, until the gate is opened.
    pub(crate) fn pass(&self, job: &Job) -> Result<(), TaskError> {
        self.change(|counts| {
            counts.begun += 1;
            counts.inside += 1;
            counts.max_inside = counts.max_inside.max(counts.inside);
        });
        let mut is_cancelled = false;
        while !is_cancelled && !self.counts().is_open {
            is_cancelled = job.is_cancelled_within(POLL_INTERVAL);
        }
        self.change(|counts| {
            counts.inside -= 1;
            counts.cancelled += usize::from(is_cancelled);
        });
        if is_cancelled { Err(TaskError::new("cancelled")) } else { Ok(()) }
    }

    pub(crate) fn open(&self) {
        self.change(|counts| counts.is_open = true);
    }

    /// Waits until this many handlers have reached the gate in total.
    pub(crate) fn wait_for(&self, handlers: usize) {
        self.wait(|counts| counts.begun >= handlers);
    }

    /// Waits until this many handlers were cancelled in total.
    pub(crate) fn wait_for_cancelled(&self, handlers: usize) {
        self.wait(|counts| counts.cancelled >= handlers);
    }

    /// How many handlers have reached the gate.
    pub(crate) fn begun(&self) -> usize {
        self.counts().begun
    }

    /// The largest number of handlers that were inside at a time.
    pub(crate) fn max_concurrent(&self) -> usize {
        self.counts().max_inside
    }

    fn counts(&self) -> MutexGuard<'_, GateCounts> {
        self.0.0.lock().expect("no holder of the lock panics")
    }

    fn change(&self, change: impl FnOnce(&mut GateCounts)) {
        change(&mut self.counts());
        self.0.1.notify_all();
    }

    fn wait(&self, condition: impl Fn(&GateCounts) -> bool) {
        let waited =
            self.0.1.wait_timeout_while(self.counts(), PATIENCE, |counts| !condition(counts));
        let (counts, waited) = waited.expect("no holder of the lock panics");
        assert!(!waited.timed_out(), "too few handlers came: {:?}", *counts);
    }
}
