//! The benchmark program: `bench --help` lists its commands.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ivy_benches::{Depth, Effort, Load};

mod table;
mod unpaired;

/// Compare ivy with the raw parts that it uses
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Compare ivy with its baselines, in pairs of runs
    Compare {
        /// Only the lines with one of these prefixes, like `S3`
        filters: Vec<String>,
        #[command(flatten)]
        effort: EffortOptions,
    },
    /// Compare ivy with other programs that do the same, in pairs of runs
    Peers {
        /// Only the lines with one of these prefixes, like `M1`
        filters: Vec<String>,
        #[command(flatten)]
        effort: EffortOptions,
    },
    /// Compare the cost of a task among increasing numbers with its cost among few
    Growth {
        /// Only the lines that contain one of these texts
        filters: Vec<String>,
        #[command(flatten)]
        effort: EffortOptions,
    },
    /// Count the instructions per operation of these loads; needs valgrind
    Instructions {
        /// The loads
        loads: Vec<String>,
        /// Count those of the loads' servers instead of the loads' own
        #[arg(long)]
        servers: bool,
    },
    /// Report the cost of waiting long polls at `ivy serve`
    Waiting {
        /// How many long polls wait
        #[arg(long, default_value_t = 2000)]
        polls: usize,
        /// For how many seconds they are watched
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Compare the memory of a worker of 100 slots after many tasks with that of its baseline
    Memory {
        /// After how many tasks to measure
        #[arg(long, num_args = 2, default_values_t = [100_000, 1_000_000])]
        tasks: Vec<u64>,
    },
    /// Measure the cost of idle workers
    Idle {
        /// For how many seconds to measure each
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Measure how soon the first task after a pause starts
    Pause(PauseOptions),
    /// Run under full load for a long time, and check whether memory grows
    Soak {
        /// How many minutes
        #[arg(long, default_value_t = 10)]
        minutes: u32,
    },
    /// Run one load, and print its rate, its latencies, and how much of its cores other programs
    /// used
    Run {
        /// The load
        load: String,
        /// For how many seconds
        seconds: f64,
    },
    /// Run this many steps of a load, and print the number of operations
    Repeat {
        /// The load
        load: String,
        /// How many steps
        steps: u64,
    },
    /// Run one load, and print the memory of this process after each of these numbers of operations
    Resident {
        /// The load
        load: String,
        /// After how many operations
        operations: Vec<u64>,
    },
    /// Print the cost of an idle worker: nanoseconds per second, and bytes
    IdleWorker {
        /// `memory`, `ironmq` or `with-redis`
        backend: String,
        /// For how many seconds
        seconds: f64,
    },
    /// Print how soon the first tasks after pauses start, in nanoseconds
    FirstTasks(PauseOptions),
    /// Print the duration of the first round trips without ivy after pauses, in nanoseconds
    FirstTrips(PauseOptions),
    /// A bare HTTP server, for the comparison with `ivy serve`
    ServeBytes,
    /// A bare HTTP server that parses and writes JSON, for the comparison with `ivy serve`
    ServeJson,
}

#[derive(Clone, Copy, Debug, Args)]
struct PauseOptions {
    /// How many seconds each pause lasts
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// How many pauses
    #[arg(long, default_value_t = 3)]
    times: usize,
}

#[derive(Clone, Copy, Debug, Args)]
struct EffortOptions {
    /// How many pairs of runs
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// How many seconds each run lasts
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Count pairs of runs however busy the host was
    #[arg(long)]
    busy: bool,
}

impl From<EffortOptions> for Effort {
    fn from(EffortOptions { pairs, seconds, busy }: EffortOptions) -> Self {
        Effort { pairs, time: Duration::from_secs_f64(seconds), busy }
    }
}

#[allow(clippy::print_stdout)]
fn main() -> ExitCode {
    match Options::parse().what {
        What::Compare { filters, effort } => {
            table::compare("baseline", ivy_benches::targets(), &filters, effort.into());
        }
        What::Peers { filters, effort } => {
            table::compare("peer", ivy_benches::peer_comparisons(), &filters, effort.into());
        }
        What::Growth { filters, effort } => table::growth(&filters, effort.into()),
        What::Instructions { loads, servers } => table::instructions(&loads, servers),
        What::Waiting { polls, seconds } => {
            table::waiting(polls, Duration::from_secs_f64(seconds));
        }
        What::Memory { tasks } => unpaired::memory(&tasks),
        What::Idle { seconds } => unpaired::idle(seconds),
        What::Pause(PauseOptions { seconds, times }) => unpaired::pause(seconds, times),
        What::Soak { minutes } => unpaired::soak(minutes),
        What::Run { load, seconds } => {
            let Some(mut load) = Load::find(&load) else { return unknown(&load) };
            println!("{}", ivy_benches::measure(&mut load, Duration::from_secs_f64(seconds)));
        }
        What::Repeat { load, steps } => {
            let Some(mut load) = Load::find(&load) else { return unknown(&load) };
            println!("{}", (0..steps).map(|_| (load.step)().operations).sum::<u64>());
        }
        What::Resident { load, operations } => {
            let Some(mut load) = Load::find(&load) else { return unknown(&load) };
            for bytes in ivy_benches::resident(&mut load, &operations) {
                println!("{bytes}");
            }
        }
        What::IdleWorker { backend, seconds } => {
            let time = Duration::from_secs_f64(seconds);
            let Some(idle) = ivy_benches::idle_worker(&backend, time) else {
                return unknown(&backend);
            };
            println!("{} {}", idle.per_second.as_nanos(), idle.resident);
        }
        What::FirstTasks(options) => options.print(ivy_benches::first_tasks),
        What::FirstTrips(options) => options.print(ivy_benches::first_trips),
        What::ServeBytes => ivy_benches::serve_bare(Depth::Bytes),
        What::ServeJson => ivy_benches::serve_bare(Depth::Json),
    }
    ExitCode::SUCCESS
}

impl PauseOptions {
    #[allow(clippy::print_stdout)]
    fn print(self, firsts: fn(Duration, usize) -> Vec<Duration>) {
        for took in firsts(Duration::from_secs_f64(self.seconds), self.times) {
            println!("{}", took.as_nanos());
        }
    }
}

fn unknown(load: &str) -> ExitCode {
    eprintln!("unknown load {load}");
    ExitCode::FAILURE
}
