//! Producers, workers and the Redis server between them are killed again and again, and no task
//! that was accepted is lost.
//!
//! A producer and two workers run at a time, each in a process of its own, and each next process
//! uses another adapter. They print what they do, so that what a killed process did is known. After
//! the last kill the workers empty the queue, and the tally decides.

mod programs;
mod tally;

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use ivy_test_kit::{Fsync, Process, RedisServer};
use libtest_mimic::Trial;

use crate::helpers::eventually_eq;
use crate::runtime::wait;

use programs::{Program, QUEUE};
use tally::Tally;

/// Names how many seconds the kills last.
const SECONDS: &str = "IVY_TEST_KILL_SECONDS";
const DEFAULT_SECONDS: u64 = 10;

/// The order of the kills. The server is killed so rarely that most tasks are run long before it is.
const VICTIMS: [Victim; 7] = [
    Victim::Worker(0),
    Victim::Server,
    Victim::Worker(1),
    Victim::Producer,
    Victim::Worker(0),
    Victim::Producer,
    Victim::Worker(1),
];

#[derive(Clone, Copy, Debug)]
enum Victim {
    Producer,
    Worker(usize),
    Server,
}

/// Runs a producer or a worker if this process was started as one.
pub(crate) fn serve() -> Option<ExitCode> {
    programs::serve()
}

pub(crate) fn trials() -> [Trial; 2] {
    [("appendfsync_everysec", Fsync::EverySecond), ("appendfsync_always", Fsync::Always)].map(
        |(name, fsync)| {
            Trial::test(format!("kills::{name}::no_accepted_task_is_lost"), move || {
                no_accepted_task_is_lost(fsync);
                Ok(())
            })
        },
    )
}

fn no_accepted_task_is_lost(fsync: Fsync) {
    let seconds = env::var(SECONDS).map_or(DEFAULT_SECONDS, |seconds| {
        seconds.parse().expect("the variable contains a number of seconds")
    });
    let mut world = World::new(fsync);
    let started = Instant::now();
    for (round, victim) in (0..).zip(VICTIMS.into_iter().cycle()) {
        if started.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
        // Any times do, as long as they differ.
        thread::sleep(Duration::from_millis(300 + (round * 7919) % 900));
        world.kill(victim);
    }
    let tally = world.end();
    eprintln!("{fsync:?}: {tally}");
    tally.check(fsync);
}

/// The processes, and what those that have ended did.
struct World {
    server: RedisServer,
    producer: Process,
    workers: [Process; 2],
    /// How many processes were started.
    started: usize,
    tally: Tally,
}

impl World {
    fn new(fsync: Fsync) -> Self {
        let server = wait(RedisServer::start_with_log(fsync));
        let start = |program, number| programs::start(program, number, &server.url());
        World {
            producer: start(Program::Producer, 0),
            workers: [start(Program::Worker, 1), start(Program::Worker, 2)],
            server,
            started: 3,
            tally: Tally::default(),
        }
    }

    fn kill(&mut self, victim: Victim) {
        let start = |program| programs::start(program, self.started, &self.server.url());
        match victim {
            Victim::Server => {
                wait(self.server.kill_hard());
                self.tally.servers_killed.push(programs::unix_millis());
                wait(self.server.restart());
            }
            Victim::Producer => {
                let killed = std::mem::replace(&mut self.producer, start(Program::Producer));
                self.started += 1;
                self.tally.producers_killed += 1;
                self.tally.read(&killed_with_log(killed));
            }
            Victim::Worker(place) => {
                let killed = std::mem::replace(&mut self.workers[place], start(Program::Worker));
                self.started += 1;
                self.tally.workers_killed += 1;
                self.tally.read(&killed_with_log(killed));
            }
        }
    }

    /// Lets the producer end and the workers empty the queue.
    fn end(self) -> Tally {
        let World { server, mut producer, workers, mut tally, .. } = self;
        producer.close_input();
        assert!(wait(producer.exit()).success(), "{}", producer.log());
        tally.read(&producer.log());
        eventually_eq(0, || wait(server.size(QUEUE)));
        for worker in workers {
            tally.read(&killed_with_log(worker));
        }
        tally.dead = wait(server.size(&format!("{QUEUE}.dead")));
        tally
    }
}

/// Kills a process. Returns everything it has printed.
fn killed_with_log(mut process: Process) -> String {
    wait(async {
        process.kill().await;
        process.exit().await;
    });
    process.log()
}
