//! The producer and the worker: this program, started again. Each prints a line for what it did, in
//! one write, so that a line of a killed process is whole.

use std::env;
use std::io::{Read, Write, stdin, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ivy_proto::ErrorKind;
use ivy_proto::task::{CallOptions, Task, TaskError};
use ivy_test_kit::Process;

use crate::fixture::{BACKOFF, LEASE};
use crate::harness::{Builder, Failure, Handle, Harness, HarnessConfig, Job};
use crate::runtime::runtime;

use super::tally::Line;

/// The queue of all tasks.
pub(super) const QUEUE: &str = "kills";
const TASK: Task<(u64,), u64> = Task::new("kills.double").queue(QUEUE);

const PROGRAM: &str = "IVY_KILLS_PROGRAM";
const NUMBER: &str = "IVY_KILLS_NUMBER";
const SERVER: &str = "IVY_KILLS_SERVER";

/// The first task of each producer is this number times that of its process.
const TASKS_PER_PRODUCER: u64 = 1_000_000;
/// How long a producer waits for a result. Notices are lost with the process that publishes them,
/// and with the server.
const RESULT_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Producer,
    Worker,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Producer => "producer",
            Program::Worker => "worker",
        }
    }
}

/// Starts a program. Its number is unique, and selects its adapter.
pub(super) fn start(program: Program, number: usize, server: &str) -> Process {
    let variables = [
        (PROGRAM, program.name().to_owned()),
        (NUMBER, number.to_string()),
        (SERVER, server.to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let path = env::current_exe().expect("a test knows its own path");
    let _runtime = runtime().enter();
    Process::spawn(program.name(), path.as_os_str(), [""; 0], variables)
}

/// Runs the program that this process was started as, if it was.
pub(super) fn serve() -> Option<ExitCode> {
    let program = env::var(PROGRAM).ok()?;
    let number: u64 = env::var(NUMBER).ok()?.parse().ok()?;
    match number % 3 {
        0 => run::<ivy_tokio::Ivy>(&program, number),
        1 => run::<ivy_async_std::Ivy>(&program, number),
        _ => run::<ivy_blocking::Ivy>(&program, number),
    }
    Some(ExitCode::SUCCESS)
}

fn run<H: Harness>(program: &str, number: u64) {
    let place = HarnessConfig {
        queue: env::var(SERVER).expect("the parent sets it"),
        notifier: None,
        channel: QUEUE.to_owned(),
        encryption_password: None,
        encryption: None,
        root_certificates: None,
        node_peers: true,
        within: None,
    };
    let ivy = H::connect(&place).expect("the place is valid");
    if program == Program::Producer.name() {
        produce(&ivy, number * TASKS_PER_PRODUCER);
    } else {
        work(&ivy);
    }
}

/// What a task is like, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Usual,
    /// It is posted with a delay.
    Delayed,
    /// Its first attempt fails.
    Failing,
    /// It takes so long that its lease must be renewed.
    Slow,
}

impl Kind {
    fn of(number: u64) -> Self {
        match number % 20 {
            3 | 13 => Kind::Delayed,
            7 | 17 => Kind::Failing,
            19 => Kind::Slow,
            _ => Kind::Usual,
        }
    }
}

/// Calls tasks until standard input is closed. Waits for the results of the last ones.
fn produce<H: Harness>(ivy: &H, first: u64) {
    static HAS_ENDED: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        // Reads until the parent closes it.
        let _ = stdin().read_to_end(&mut Vec::new());
        HAS_ENDED.store(true, Ordering::Relaxed);
    });
    let mut numbers = first..;
    let mut waiting = Vec::new();
    while !HAS_ENDED.load(Ordering::Relaxed) {
        let (delayed, others): (Vec<u64>, Vec<u64>) =
            numbers.by_ref().take(20).partition(|number| Kind::of(*number) == Kind::Delayed);
        let calls = ivy.call_many(&TASK, others.iter().map(|number| (*number,)));
        let delay = CallOptions::new().delay(Duration::from_millis(300));
        let call = |number| (number, ivy.call_with(&TASK, (number,), delay.clone()));
        let calls = others.into_iter().zip(calls).chain(delayed.into_iter().map(call));
        let handles: Vec<_> = calls.filter_map(|(number, call)| accepted(number, call)).collect();
        waiting.push(thread::spawn(move || wait_for_results(handles)));
        thread::sleep(Duration::from_millis(50));
    }
    for waits in waiting {
        waits.join().expect("all results are right");
    }
}

/// Prints whether a task was accepted.
fn accepted<Handle, Error: Failure>(
    number: u64,
    called: Result<Handle, Error>,
) -> Option<(u64, Handle)> {
    match called {
        Ok(handle) => {
            print(Line::Accepted { number, at: unix_millis() });
            Some((number, handle))
        }
        Err(error) => {
            if error.kind() != ErrorKind::Unknown {
                print(Line::Refused(number));
            }
            None
        }
    }
}

fn wait_for_results<H: Handle<u64, Error: Failure>>(handles: Vec<(u64, H)>) {
    let since = Instant::now();
    for (number, handle) in handles {
        match handle.result(RESULT_LIMIT.saturating_sub(since.elapsed())) {
            Ok(result) => {
                assert_eq!(result, 2 * number);
                print(Line::Result(number));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}"),
        }
    }
}

/// Serves the tasks until it is killed.
fn work<H: Harness>(ivy: &H) {
    let double = |job: Job, (number,): (u64,)| {
        match Kind::of(number) {
            Kind::Failing if job.attempt == 1 => return Err(TaskError::new("the first attempt")),
            Kind::Slow => thread::sleep(LEASE * 3 / 4),
            Kind::Failing | Kind::Delayed | Kind::Usual => {}
        }
        print(Line::Ran(number));
        Ok(2 * number)
    };
    // A task is not dead-lettered because its workers were killed.
    let worker = ivy.worker().lease(LEASE).backoff(BACKOFF).max_deliveries(250).concurrency(40);
    let _worker = worker.register(&TASK, double).start().expect("a valid task");
    loop {
        thread::park();
    }
}

fn print(line: Line) {
    // The parent has ended if this fails, and so will this process.
    let _ = stdout().lock().write_all(format!("{line}\n").as_bytes());
}

pub(super) fn unix_millis() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is behind 1970").as_millis()
}
