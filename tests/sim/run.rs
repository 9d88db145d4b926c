//! Runs cases: one, or a range of seeds on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ivy_proto::Moment;

use crate::coverage::Coverage;
use crate::fault_injection::{PlannedFault, Source};
use crate::laws::Breach;
use crate::setup::{Profile, Setup};
use crate::trace::Trace;
use crate::world::World;

/// One of this many seeds is run twice, which must give the same run, and one is traced in words,
/// which must not contain secrets.
const REPEATED_ONE_IN: u64 = 1_000;
const TRACED_ONE_IN: u64 = 100;

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) breach: Option<Breach>,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    /// The faults that occurred.
    pub(crate) faults: Vec<PlannedFault>,
    pub(crate) source: Source,
}

/// A run: its settings, and where its faults come from.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) setup: Setup,
    /// Its faults, if they were decided in advance; otherwise they are random.
    pub(crate) faults: Option<Vec<PlannedFault>>,
    pub(crate) in_words: bool,
}

impl Case {
    pub(crate) fn from_seed(seed: u64, profile: Profile) -> Case {
        Case { setup: Setup::from_seed(seed, profile), faults: None, in_words: false }
    }

    /// Runs it to its end. A panic breaks a law, too.
    pub(crate) fn run(&self) -> Outcome {
        let source = match &self.faults {
            Some(faults) => Source::listed(faults),
            None => Source::Drawn,
        };
        run(&self.setup, source, self.in_words)
    }

    /// Runs it, sometimes twice, sometimes traced in words.
    fn run_and_check(&self, seed: u64) -> Outcome {
        let case = Case { in_words: seed.is_multiple_of(TRACED_ONE_IN), ..self.clone() };
        let mut outcome = case.run();
        if seed.is_multiple_of(REPEATED_ONE_IN) || outcome.breach.is_some() {
            let (hash, breach) = (outcome.trace.hash(), outcome.breach.clone());
            let again = self.run();
            if (again.trace.hash(), &again.breach) != (hash, &breach) {
                let what = format!("two runs of seed {seed} differ; the first: {breach:?}");
                outcome.breach = Some(Breach { law: "S14", what });
            }
        }
        outcome
    }
}

/// Runs a world to its end.
pub(crate) fn run(setup: &Setup, source: Source, in_words: bool) -> Outcome {
    let mut world = World::new(setup.clone());
    world.injector.source = source;
    if in_words {
        world.trace.keep_words();
    }
    let run = catch_unwind(AssertUnwindSafe(|| while world.step() && !world.is_over() {}));
    let panic = run.err().map(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let what = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Breach { law: "P10", what: what.to_owned() }
    });
    world.outcome(panic)
}

impl World {
    fn outcome(self, panic: Option<Breach>) -> Outcome {
        let mut coverage = self.coverage;
        coverage.runs = 1;
        coverage.virtual_seconds = self.now.since(Moment::EPOCH).as_secs();
        for task in &self.checker.tasks {
            coverage.executions += u64::from(task.runs);
            coverage.duplicates += u64::from(task.duplicates);
            coverage.dead += u64::from(task.dead);
        }
        let breach = panic.or(self.checker.breach().cloned()).or(self.trace.secrets());
        let (faults, source) = (self.injector.faults, self.injector.source);
        Outcome { breach, coverage, trace: self.trace, faults, source }
    }
}

/// The outcome of a range of seeds.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) coverage: Coverage,
    /// The smallest seed that failed, and how.
    pub(crate) failure: Option<(u64, Breach)>,
}

/// Runs these seeds on all cores, until one fails. Each thread first calls `prepare`.
pub(crate) fn run_seeds(
    seeds: std::ops::Range<u64>,
    profile: Profile,
    prepare: impl Fn() + Sync,
) -> Report {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicBool::new(false);
    let report = Mutex::new(Report::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                prepare();
                let mut coverage = Coverage::default();
                let mut failure = None;
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = Case::from_seed(seed, profile).run_and_check(seed);
                    coverage.add(&outcome.coverage);
                    if let Some(breach) = outcome.breach {
                        failed.store(true, Ordering::Relaxed);
                        failure = Some((seed, breach));
                    }
                }
                let mut report = report.lock().expect("no thread panicked");
                report.coverage.add(&coverage);
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
