//! One run of one load.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::cpu::{Usage, cores_of};
use crate::load::Load;

/// The figures of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Operations per second.
    pub rate: f64,
    /// Operations per second of processor time, including servers and excluding waits. It includes
    /// work that the rate excludes.
    pub work_rate: f64,
    /// The median time of an operation, in microseconds.
    pub p50: f64,
    /// The 99th percentile of the time of an operation, in microseconds.
    pub p99: f64,
    /// The part of the cores' time that other programs used.
    pub foreign: f64,
}

/// Runs a load for this long, after a tenth of it to warm up.
#[must_use]
pub fn measure(load: &mut Load, time: Duration) -> Figures {
    let started = Instant::now();
    while started.elapsed() < time / 10 {
        (load.step)();
    }
    let processes = load.processes();
    let cores = cores_of(&processes);
    let before = Usage::now(&cores, &processes);
    let (mut operations, mut took, mut steps) = (0, Duration::ZERO, Vec::new());
    let started = Instant::now();
    while started.elapsed() < time {
        let step = (load.step)();
        operations += step.operations;
        took += step.took;
        steps.push(step.took.as_secs_f64() * 1e6 / step.operations.max(1) as f64);
    }
    let after = Usage::now(&cores, &processes);
    steps.sort_by(f64::total_cmp);
    let quantile = |part: f64| steps[((steps.len() - 1) as f64 * part) as usize];
    let rate = operations as f64 / took.as_secs_f64();
    let work_rate = operations as f64 / after.cpu_time_since(before);
    let foreign = after.foreign_since(before);
    Figures { rate, work_rate, p50: quantile(0.5), p99: quantile(0.99), foreign }
}

// One program prints this format and another parses it.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { rate, work_rate, p50, p99, foreign } = self;
        write!(f, "{rate} {work_rate} {p50} {p99} {foreign}")
    }
}

impl FromStr for Figures {
    type Err = NoFigures;

    fn from_str(text: &str) -> Result<Self, NoFigures> {
        let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
        match numbers[..] {
            [rate, work_rate, p50, p99, foreign] => {
                Ok(Figures { rate, work_rate, p50, p99, foreign })
            }
            _ => Err(NoFigures),
        }
    }
}

/// The text is not the output of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoFigures;
