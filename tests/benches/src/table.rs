//! The tables that are printed.
#![allow(clippy::print_stdout)]

use std::process::Command;
use std::time::Duration;

use ivy_benches::{
    COUNTER, Effort, Figures, GROWTH, GROWTH_GATE, Gate, Growth, Measure, POLL_BYTES, POLLS_WORK,
    Placement, PollCost, SERVER_COUNTER, Score, poll_cost, score,
};

/// Each measure with ivy's figure and the other's, their ratio, and whether it meets its gate.
pub(crate) fn compare(
    baseline: &str,
    measures: impl Iterator<Item = Measure>,
    filters: &[String],
    effort: Effort,
) {
    println!("| # | what | ivy | {baseline} | ratio | gate | | pairs |");
    println!("|---|---|---|---|---|---|---|---|");
    for measure in measures {
        let line = format!("{} {}", measure.id, measure.what);
        if filters.is_empty() || filters.iter().any(|begin| line.starts_with(begin)) {
            let score = score([measure.ivy, measure.baseline], measure.placement, effort);
            println!("| {} | {} | {} |", measure.id, measure.what, verdict(&measure, &score));
        }
    }
}

fn verdict(measure: &Measure, score: &Score) -> String {
    match measure.gate {
        Gate::Rate(gate) => rate(score, gate, |figures| figures.rate),
        Gate::WorkRate(gate) => rate(score, gate, |figures| figures.work_rate),
        Gate::Work(gate) => work(score, gate),
        Gate::Latency(median, p99) => latency(score, [median, p99]),
    }
}

/// What each load costs among increasing numbers, compared with its cost among few.
pub(crate) fn growth(filters: &[String], effort: Effort) {
    println!("| what | how many | many | few | ratio | gate | | pairs |");
    println!("|---|---|---|---|---|---|---|---|");
    for Growth { what, few, load, counts } in GROWTH {
        if filters.is_empty() || filters.iter().any(|part| what.contains(part.as_str())) {
            for count in *counts {
                let score = score([&format!("{load}/{count}"), few], Placement::Alone, effort);
                println!("| {what} | {count} | {} |", work(&score, GROWTH_GATE));
            }
        }
    }
}

fn rate(score: &Score, gate: f64, of: fn(&Figures) -> f64) -> String {
    row(
        [0, 1].map(|side| score.median(|pair| of(&pair[side])).map(rate_text)),
        score.median(|[one, other]| of(&one) / of(&other)),
        &format!(">= {gate}"),
        |ratio| ratio >= gate,
        score,
    )
}

fn work(score: &Score, gate: f64) -> String {
    row(
        [0, 1].map(|side| score.median(|pair| pair[side].work_rate).map(time_text)),
        score.median(|[one, other]| other.work_rate / one.work_rate),
        &format!("<= {gate}"),
        |ratio| ratio <= gate,
        score,
    )
}

/// The medians of both quantiles: the 50th and the 99th percentile.
fn latency(score: &Score, gates: [f64; 2]) -> String {
    let quantiles: [fn(&Figures) -> f64; 2] = [|figures| figures.p50, |figures| figures.p99];
    let ratios = quantiles.map(|of| score.median(|[ivy, baseline]| of(&ivy) / of(&baseline)));
    let texts = [0, 1].map(|side| {
        let [p50, p99] = quantiles.map(|of| score.median(|pair| of(&pair[side])));
        Some(format!("{:.0} / {:.0} us", p50?, p99?))
    });
    let pairs = format!("{} of {}", score.pairs.len(), score.pairs.len() + score.dropped);
    let gate = format!("<= {} / {}", gates[0], gates[1]);
    let ([Some(p50), Some(p99)], [Some(ivy), Some(baseline)]) = (ratios, texts) else {
        return format!("| | not measured | {gate} | | {pairs}");
    };
    let verdict = if p50 <= gates[0] && p99 <= gates[1] { "held" } else { "missed" };
    format!("{ivy} | {baseline} | {p50:.2} / {p99:.2} | {gate} | {verdict} | {pairs}")
}

fn row(
    figures: [Option<String>; 2],
    ratio: Option<f64>,
    gate: &str,
    held: impl Fn(f64) -> bool,
    score: &Score,
) -> String {
    let pairs = format!("{} of {}", score.pairs.len(), score.pairs.len() + score.dropped);
    let (Some(ratio), [Some(one), Some(other)]) = (ratio, figures) else {
        return format!("| | not measured | {gate} | | {pairs}");
    };
    let verdict = if held(ratio) { "held" } else { "missed" };
    format!("{one} | {other} | {ratio:.2} | {gate} | {verdict} | {pairs}")
}

fn rate_text(rate: f64) -> String {
    match rate {
        1e6.. => format!("{:.2} M/s", rate / 1e6),
        1e3.. => format!("{:.1} k/s", rate / 1e3),
        _ => format!("{rate:.0} /s"),
    }
}

/// The time of one operation at this many per second.
fn time_text(rate: f64) -> String {
    match 1e9 / rate {
        nanos @ 1e5.. => format!("{:.0} us", nanos / 1e3),
        nanos => format!("{nanos:.0} ns"),
    }
}

/// The instructions per operation of each load, or of its servers, counted by valgrind: those of a
/// long run minus those of a short one.
pub(crate) fn instructions(loads: &[String], servers: bool) {
    println!("| load | instructions for an operation |");
    println!("|---|---|");
    for load in loads {
        let (short, long) = (counted(load, 4, servers), counted(load, 12, servers));
        let instructions = (long.0 - short.0) as f64 / (long.1 - short.1) as f64;
        println!("| {load} | {instructions:.0} |");
    }
}

/// The instructions and the operations of this many steps.
fn counted(load: &str, steps: u64, servers: bool) -> (u64, u64) {
    let program = std::env::current_exe().expect("the system reports the path of the program");
    let mut command = if servers {
        let mut command = Command::new(program);
        command.env(SERVER_COUNTER, "");
        command
    } else {
        let [counter, options @ ..] = COUNTER;
        let mut command = Command::new(counter);
        command.args(options).arg(program);
        command
    };
    let output = command.args(["repeat", load, &steps.to_string()]).output().expect("it runs");
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let instructions: u64 = stderr
        .lines()
        .filter_map(|line| line.split_once("Collected :").and_then(|(_, count)| number(count)))
        .sum();
    match number(&String::from_utf8_lossy(&output.stdout)) {
        Some(operations) if instructions > 0 => (instructions, operations),
        _ => panic!("valgrind did not count {load}: {stderr}"),
    }
}

/// The memory and the processor time of waiting reserves.
pub(crate) fn waiting(count: usize, time: Duration) {
    let PollCost { bytes, cpu_time } = poll_cost(count, time);
    println!("| what | for each | gate | |");
    println!("|---|---|---|---|");
    let verdict = |held: bool| if held { "held" } else { "missed" };
    let held = verdict(bytes < POLL_BYTES);
    println!("| memory of a long poll that waits | {bytes:.0} B | < {POLL_BYTES:.0} B | {held} |");
    let part = cpu_time.as_secs_f64() / time.as_secs_f64();
    let held = verdict(part < POLLS_WORK);
    println!(
        "| processor of {count} that wait | {:.2} % | < {:.0} % | {held} |",
        100.0 * part,
        100.0 * POLLS_WORK
    );
}
