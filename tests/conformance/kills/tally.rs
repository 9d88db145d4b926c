//! What all processes did, and whether a task was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use ivy_test_kit::Fsync;

/// How long a server that syncs its log once a second may accept commands without writing them to
/// it: up to two seconds, while a sync is in progress. It counts whole seconds.
const POSTPONED_MILLIS: u128 = 3_000;

/// What a process did with the task of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The producer was told that it is stored, at this time in ms.
    Accepted { number: u64, at: u128 },
    /// The producer was told that it is certainly not stored.
    Refused(u64),
    /// The producer received its result.
    Result(u64),
    /// A worker has run it, and is about to report it.
    Ran(u64),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Accepted { number, at } => write!(f, "accepted {number} {at}"),
            Line::Refused(number) => write!(f, "refused {number}"),
            Line::Result(number) => write!(f, "result {number}"),
            Line::Ran(number) => write!(f, "ran {number}"),
        }
    }
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |text: &str| text.parse().map_err(|_| ());
        Ok(match words[..] {
            ["accepted", task, at] => {
                Line::Accepted { number: number(task)?, at: at.parse().map_err(|_| ())? }
            }
            ["refused", task] => Line::Refused(number(task)?),
            ["result", task] => Line::Result(number(task)?),
            ["ran", task] => Line::Ran(number(task)?),
            _ => return Err(()),
        })
    }
}

/// What the processes did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When each task was accepted.
    accepted: BTreeMap<u64, u128>,
    refused: BTreeSet<u64>,
    results: u64,
    /// How often each task was run.
    ran: BTreeMap<u64, u32>,
    pub(super) producers_killed: usize,
    pub(super) workers_killed: usize,
    /// When each server was killed.
    pub(super) servers_killed: Vec<u128>,
    /// How many messages are in the dead-letter queue.
    pub(super) dead: u64,
}

impl Tally {
    /// Counts what a process has printed.
    pub(super) fn read(&mut self, log: &str) {
        for line in log.lines() {
            match line.parse() {
                Ok(Line::Accepted { number, at }) => {
                    self.accepted.insert(number, at);
                }
                Ok(Line::Refused(number)) => {
                    self.refused.insert(number);
                }
                Ok(Line::Result(_)) => self.results += 1,
                Ok(Line::Ran(number)) => *self.ran.entry(number).or_default() += 1,
                Err(()) => panic!("a program printed {line:?}"),
            }
        }
    }

    /// Fails unless every accepted task was run, and no refused one.
    pub(super) fn check(&self, fsync: Fsync) {
        let lost: Vec<_> = self
            .lost()
            .filter(|(_, at)| fsync == Fsync::Always || !self.may_be_lost(**at))
            .collect();
        assert!(lost.is_empty(), "lost: {lost:?}; servers killed: {:?}", self.servers_killed);
        let ran: Vec<_> = self.refused.iter().filter(|task| self.ran.contains_key(task)).collect();
        assert!(ran.is_empty(), "certainly not stored, but run: {ran:?}");
        assert_eq!(self.dead, 0, "no task of these is to be dead-lettered");
        assert!(self.results > 0 && !self.accepted.is_empty(), "nothing was shown: {self}");
        assert!(
            self.workers_killed > 0 && self.producers_killed > 0 && !self.servers_killed.is_empty(),
            "nothing was shown: {self}"
        );
    }

    /// The accepted tasks that were not run.
    fn lost(&self) -> impl Iterator<Item = (&u64, &u128)> {
        self.accepted.iter().filter(|(task, _)| !self.ran.contains_key(task))
    }

    /// Whether a task that was accepted then may not have been written when a server was killed.
    fn may_be_lost(&self, at: u128) -> bool {
        self.servers_killed.iter().any(|killed| (at..at + POSTPONED_MILLIS).contains(killed))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = self.ran.values().filter(|times| **times > 1).count();
        let last = self.accepted.values().filter(|at| self.may_be_lost(**at)).count();
        write!(
            f,
            "{} tasks accepted, {last} of them in the last {POSTPONED_MILLIS} ms before a kill of the \
             server; {} run, {again} of them again; {} results received; {} accepted tasks lost; \
             {} refused. Killed: {} workers, {} producers, the server {} times",
            self.accepted.len(),
            self.ran.len(),
            self.results,
            self.lost().count(),
            self.refused.len(),
            self.workers_killed,
            self.producers_killed,
            self.servers_killed.len()
        )
    }
}
