//! Running seeds: one, or a range of them on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ivy_proto::Moment;

use crate::census::Census;
use crate::ledger::Breach;
use crate::setup::Setup;
use crate::trace::Trace;
use crate::world::World;

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) breach: Option<Breach>,
    pub(crate) census: Census,
    pub(crate) trace: Trace,
}

/// A run: its settings, and whether it is to be told in words.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) setup: Setup,
    pub(crate) in_words: bool,
}

impl Case {
    pub(crate) fn from_seed(seed: u64) -> Case {
        Case { setup: Setup::from_seed(seed), in_words: false }
    }

    /// Runs it to its end. A panic breaks the promise too.
    pub(crate) fn run(&self) -> Outcome {
        let run = || self.run_world();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let what = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            Outcome {
                breach: Some(Breach { law: "P10", what: what.to_owned() }),
                census: Census::default(),
                trace: Trace::default(),
            }
        })
    }

    fn run_world(&self) -> Outcome {
        let mut world = World::new(self.setup.clone());
        if self.in_words {
            world.trace = Trace::in_words();
        }
        while world.step() && !world.is_over() {}
        world.outcome()
    }
}

impl World {
    fn outcome(self) -> Outcome {
        let mut census = self.census;
        census.runs = 1;
        census.virtual_seconds = self.now.since(Moment::EPOCH).as_secs();
        for task in &self.ledger.tasks {
            census.executions += u64::from(task.runs);
            census.duplicates += u64::from(task.duplicates);
            census.dead += u64::from(task.dead);
        }
        Outcome { breach: self.ledger.breach().cloned(), census, trace: self.trace }
    }
}

/// What a range of seeds brought.
pub(crate) struct Report {
    pub(crate) census: Census,
    /// The smallest seed that failed, and how.
    pub(crate) failure: Option<(u64, Breach)>,
}

/// Runs these seeds on all cores, until one fails.
pub(crate) fn run_seeds(seeds: std::ops::Range<u64>) -> Report {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicBool::new(false);
    let report = Mutex::new(Report { census: Census::default(), failure: None });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut census = Census::default();
                let mut failure = None;
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = Case::from_seed(seed).run();
                    census.add(&outcome.census);
                    if let Some(breach) = outcome.breach {
                        failed.store(true, Ordering::Relaxed);
                        failure = Some((seed, breach));
                        break;
                    }
                }
                let mut report = report.lock().expect("no thread panicked");
                report.census.add(&census);
                let first = report.failure.as_ref().is_none_or(|(seed, _)| {
                    failure.as_ref().is_some_and(|(other, _)| other < seed)
                });
                if first && failure.is_some() {
                    report.failure = failure;
                }
            });
        }
    });
    report.into_inner().expect("no thread panicked")
}
