//! Runs in pairs, alternately ivy and its baseline, so that both run under the same conditions.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::measure::Figures;
use crate::server::{SERVER_CORES, program};
use crate::targets::Placement;

/// A pair does not count if other programs used more than this part of the cores' time.
const MAX_FOREIGN: f64 = 0.12;
/// The minimum number of pairs for a result.
const MIN_PAIRS: usize = 3;

/// The results of the pairs of two loads.
#[derive(Clone, Debug)]
pub struct Score {
    /// The pairs that count.
    pub pairs: Vec<[Figures; 2]>,
    /// How many do not, because other programs used too much of the cores.
    pub dropped: usize,
}

impl Score {
    /// The median over the pairs of the comparison of two runs, unless too few count.
    pub fn median(&self, compare: impl Fn([Figures; 2]) -> f64) -> Option<f64> {
        if self.pairs.len() < MIN_PAIRS {
            return None;
        }
        let mut ratios: Vec<f64> = self.pairs.iter().map(|pair| compare(*pair)).collect();
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.len() / 2;
        Some(match ratios.len() % 2 {
            0 => (ratios[middle - 1] + ratios[middle]) / 2.0,
            _ => ratios[middle],
        })
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many pairs of runs.
    pub pairs: usize,
    /// How long each run lasts.
    pub time: Duration,
    /// Whether pairs count however busy the host was.
    pub busy: bool,
}

/// Runs two loads alternately: A B, B A, A B and so on.
#[must_use]
pub fn score(loads: [&str; 2], placement: Placement, effort: Effort) -> Score {
    let Effort { pairs, time, busy } = effort;
    let mut score = Score { pairs: Vec::new(), dropped: 0 };
    for pair in 0..pairs {
        let figures = if pair % 2 == 0 {
            let first = run(loads[0], placement, time);
            [first, run(loads[1], placement, time)]
        } else {
            let second = run(loads[1], placement, time);
            [run(loads[0], placement, time), second]
        };
        // Work is the process's own time, independent of other programs.
        let counts = busy || placement == Placement::Alone;
        if !counts && figures.iter().any(|figures| figures.foreign > MAX_FOREIGN) {
            score.dropped += 1;
        } else {
            score.pairs.push(figures);
        }
    }
    score
}

/// One run in a process of its own.
fn run(load: &str, placement: Placement, time: Duration) -> Figures {
    let text = pinned(placement, &["run", load, &time.as_secs_f64().to_string()]);
    text.parse().unwrap_or_else(|_| panic!("the run of {load} printed no figures: {text}"))
}

/// Runs this program with these arguments on the cores of this placement, and returns its output.
///
/// # Panics
///
/// If the run fails.
#[must_use]
pub fn pinned(placement: Placement, args: &[&str]) -> String {
    let (client, server) = cores(placement);
    let output = Command::new("taskset")
        .args(["--cpu-list", &client])
        .arg(program("bench"))
        .args(args)
        .env(SERVER_CORES, server)
        .stderr(Stdio::inherit())
        .output()
        .expect("taskset runs; it is part of util-linux");
    assert!(output.status.success(), "{args:?} failed: {}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The cores of client and server. The last ones, because the first often serves interrupts.
fn cores(placement: Placement) -> (String, String) {
    let many = std::thread::available_parallelism().map_or(1, usize::from);
    let last = many - 1;
    match placement {
        Placement::Alone | Placement::Same => (last.to_string(), last.to_string()),
        Placement::Split => (last.to_string(), last.saturating_sub(1).to_string()),
    }
}
