//! Programs of others that do what ivy does: those in `other_libraries`, driven step by step.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::bare_servers::ANY_COUNT;
use crate::load::{Load, Step};
use crate::server::{PROJECT, Process, Server, TOKEN};
use crate::wire::QUEUE;

/// How many calls in memory wait for their results at a time.
const CALLS: &str = "1000";

/// The Node package.
pub(crate) fn node(what: &str) -> Option<Load> {
    match what {
        "send" => Some(over_http("node-send.js", "serve-bytes", ANY_COUNT)),
        "work" => Some(over_http("node-work.js", "serve-json", QUEUE)),
        "memory" => Some(Peer::start("node-memory.js", &[CALLS], None).load()),
        "seal" | "open" => Some(Peer::start("node-cipher.js", &[what], None).load()),
        _ => None,
    }
}

fn over_http(script: &str, server: &str, queue: &str) -> Load {
    let server = Server::own(server);
    let peer = Peer::start(script, &[queue], Some(&server));
    Load { servers: vec![server], ..peer.load() }
}

/// One call and its result with BullMQ, whose worker is a separate process.
pub(crate) fn bullmq_call() -> Load {
    let redis = Server::redis();
    let worker = Peer::start("bullmq-work.js", &[&redis.redis_url()], None);
    let mut caller = Peer::start("bullmq-call.js", &[&redis.redis_url()], None);
    let step = move || {
        // The worker ends with its input.
        let _ = &worker.lines;
        caller.lines.step()
    };
    let peers = vec![caller.process, worker.process];
    Load { servers: vec![redis], peers, ..Load::timed(step) }
}

/// Bee-Queue sends jobs, works them off, or calls one and waits for its result.
pub(crate) fn bee_queue(what: &str) -> Option<Load> {
    matches!(what, "send" | "work" | "call").then(|| {
        let redis = Server::redis();
        let peer = Peer::start("bee-queue.js", &[what, &redis.redis_url()], None);
        Load { servers: vec![redis], ..peer.load() }
    })
}

/// BullMQ processes jobs that wait.
pub(crate) fn bullmq_drain() -> Load {
    let redis = Server::redis();
    let peer = Peer::start("bullmq-drain.js", &[&redis.redis_url()], None);
    Load { servers: vec![redis], ..peer.load() }
}

/// apalis with Redis sends tasks, or processes those that wait.
pub(crate) fn apalis(what: &str) -> Option<Load> {
    matches!(what, "send" | "work").then(|| {
        let redis = Server::redis();
        let program = tools().join("apalis/release/apalis-peer");
        let mut command = Command::new(installed(&program));
        command.args([what, &redis.redis_url()]);
        Load { servers: vec![redis], ..Peer::of(command, "apalis-peer").load() }
    })
}

/// Where the programs of others are installed.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")
}

fn installed(path: &Path) -> &Path {
    assert!(
        path.exists(),
        "{} is missing: run `tests/benches/run`, which installs it",
        path.display()
    );
    path
}

/// A program that is ready to run steps.
struct Peer {
    process: Process,
    lines: Lines,
}

impl Peer {
    /// Starts a script on the cores of this process. The Node package finds its queues at
    /// `server`.
    fn start(script: &str, args: &[&str], server: Option<&Server>) -> Peer {
        let packages = tools().join("peers/node_modules");
        let mut command = Command::new("node");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("other_libraries").join(script))
            .args(args)
            .env("NODE_PATH", installed(&packages))
            // The Node package uses what Node discourages.
            .env("NODE_NO_WARNINGS", "1");
        if let Some(server) = server {
            command
                .envs([("IRON_MQ_SCHEME", "http"), ("IRON_MQ_HOST", "127.0.0.1")])
                .envs([("IRON_MQ_TOKEN", TOKEN), ("IRON_MQ_PROJECT_ID", PROJECT)])
                .env("IRON_MQ_PORT", server.port().to_string());
        }
        Peer::of(command, script)
    }

    /// Starts a program, and waits until it is ready.
    fn of(mut command: Command, name: &str) -> Peer {
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let input = process.stdin.take().expect("its input is piped");
        let output = process.stdout.take().expect("its output is piped");
        let mut lines = Lines { input, output: BufReader::new(output) };
        assert_eq!(lines.read(), "ready", "{name} reports when it is ready");
        Peer { process: Process(process), lines }
    }

    /// The load of its steps.
    fn load(self) -> Load {
        let Peer { process, mut lines } = self;
        Load { peers: vec![process], ..Load::timed(move || lines.step()) }
    }
}

/// The input and output of a script.
struct Lines {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Lines {
    /// Requests a step, and waits until it is done.
    fn step(&mut self) -> Step {
        writeln!(self.input).expect("the script reads");
        let line = self.read();
        step_of(&line).unwrap_or_else(|| panic!("this is no step: {line}"))
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the script prints text");
        line.trim().to_owned()
    }
}

/// Parses a step: how many operations, and how many microseconds they took.
fn step_of(line: &str) -> Option<Step> {
    let (operations, micros) = line.split_once(' ')?;
    let operations = operations.parse().ok()?;
    let took = Duration::try_from_secs_f64(micros.parse::<f64>().ok()? / 1e6).ok()?;
    Some(Step { operations, took })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_contains_the_number_of_operations_and_their_duration() {
        let step = Step { operations: 1000, took: Duration::from_nanos(5_501_684) };
        assert_eq!(step_of("1000 5501.684"), Some(step));
        let step = Step { operations: 1, took: Duration::from_nanos(1_744_906) };
        assert_eq!(step_of("1 1744.9059999999008"), Some(step));
    }

    #[test]
    fn any_other_output_is_no_step() {
        for line in ["", "ready", "1000", "many 12.5", "1000 NaN", "1000 -1", "1000 5 5"] {
            assert_eq!(step_of(line), None, "{line}");
        }
    }
}
