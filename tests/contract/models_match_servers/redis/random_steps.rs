//! Random scripts.

use std::time::Duration;

use ivy_proto::Rng;
use ivy_sim::redis::{Command, Kind, Script};

use super::lua;

const STEPS: usize = 60;
/// The keys of a queue, and two others.
pub(super) const KEYS: [&str; 7] = ["q:r", "q:d", "q:l", "q:h", "q:p", "dead:r", "queues"];
/// A placeholder for the number of the waiting connection.
pub(super) const WAITER: &[u8] = b"WAITER";

/// A step of a script.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Commands that are sent in one piece.
    Send(Vec<Command>),
    /// Commands on another connection, on which they wait; and the commands that are sent
    /// meanwhile.
    Wait(Vec<Command>, Vec<Command>),
    Pass(Duration),
    ErrorState(Option<Kind>),
}

pub(super) fn random_steps(seed: u64) -> Vec<Step> {
    let mut generator = Generator { rng: Rng::from_number(seed), messages: 0, reserves: 0 };
    let mut steps: Vec<Step> = (0..STEPS).map(|_| generator.step()).collect();
    steps.push(Step::ErrorState(None));
    steps
}

struct Generator {
    rng: Rng,
    messages: u64,
    reserves: u64,
}

impl Generator {
    fn step(&mut self) -> Step {
        match self.rng.up_to(19) {
            0..=2 => Step::Send(vec![self.push()]),
            3 | 4 => Step::Send(vec![self.post()]),
            5..=8 => {
                let commands = (0..=self.rng.up_to(1)).map(|_| self.reserve());
                Step::Send(commands.collect())
            }
            9 | 10 => Step::Send(vec![self.touch()]),
            11 => Step::Send(vec![self.release()]),
            12 => Step::Send(self.delete()),
            13 => Step::Send(vec![self.peek()]),
            14 => Step::Send(self.sizes()),
            15 => self.wait(),
            16 => Step::Send(self.unexpected()),
            17 | 18 => Step::Pass(Duration::from_secs(1_000 * (1 + self.rng.up_to(3)))),
            _ => Step::ErrorState(match self.rng.up_to(4) {
                0 => Some(Kind::Full),
                1 => Some(Kind::ReadOnly),
                _ => None,
            }),
        }
    }

    fn element(&mut self) -> Vec<u8> {
        self.messages += 1;
        let counts = ["0000", "00fe", "ff00", "0109", "zz00"][self.rng.up_to(4) as usize];
        format!("id-of-message-{:04}{counts}body", self.messages).into_bytes()
    }

    /// The name of an earlier reserve, or of the next one.
    fn unique(&mut self) -> String {
        format!("reserve{:07}", self.rng.up_to(self.reserves))
    }

    fn field(&mut self) -> (String, String) {
        let (unique, place) = (self.unique(), self.rng.up_to(2));
        match self.rng.up_to(3) {
            0 => {
                let field = format!("{unique}{place:02}.{}", 1 + self.rng.up_to(1));
                (field.clone(), field)
            }
            1 => (format!("{unique}{place:02}"), format!("{unique}/1")),
            _ => (format!("{unique}{place:02}"), String::new()),
        }
    }

    fn seconds(&mut self) -> String {
        (1_000_000 * (1 + self.rng.up_to(3))).to_string()
    }

    fn push(&mut self) -> Command {
        let mut push = command(&["RPUSH", "q:r"]);
        push.extend((0..=self.rng.up_to(3)).map(|_| self.element()));
        push
    }

    fn post(&mut self) -> Command {
        let (immediate, delayed) = (self.rng.up_to(2), self.rng.up_to(2));
        let mut post = self.script(Script::Post, 4);
        post.push(immediate.to_string().into_bytes());
        post.extend((0..immediate).map(|_| self.element()));
        for _ in 0..delayed {
            post.push(self.seconds().into_bytes());
            post.push(self.element());
        }
        post
    }

    fn reserve(&mut self) -> Command {
        self.reserves += 1;
        let unique = format!("reserve{:07}", self.reserves);
        let last = ["0", "1", "2", "99"][self.rng.up_to(3) as usize];
        let place = ["ready", "claimed", "wait"][self.rng.up_to(2) as usize];
        let make_due_ready = ["0", "1"][self.rng.up_to(1) as usize];
        let largest = if self.rng.up_to(9) == 0 { "10" } else { "1048576" };
        let enough = if self.rng.up_to(9) == 0 { "40" } else { "4194304" };
        let lease = self.seconds();
        let mut reserve = self.script(Script::Reserve, 5);
        reserve.extend(command(&[last, &lease, &unique, place, make_due_ready, largest, enough]));
        reserve
    }

    fn touch(&mut self) -> Command {
        let (field, own) = self.field();
        let next = match field.split_once('.') {
            Some((name, touches)) => format!("{name}.{}", touches.parse::<u32>().unwrap_or(0) + 1),
            None => format!("{field}.1"),
        };
        let lease = self.seconds();
        let mut touch = self.script(Script::Touch, 4);
        touch.extend(command(&[&field, &next, &lease, &own]));
        touch
    }

    fn release(&mut self) -> Command {
        let delay = if self.rng.up_to(1) == 0 { "0".to_owned() } else { self.seconds() };
        let failed = ["0", "1"][self.rng.up_to(1) as usize];
        let mut release = self.script(Script::Release, 4);
        release.extend(command(&[&delay, failed]));
        for _ in 0..=self.rng.up_to(1) {
            let (field, own) = self.field();
            release.extend(command(&[&field, &own]));
        }
        release
    }

    fn delete(&mut self) -> Vec<Command> {
        let (mut fields, mut leases) = (command(&["HDEL", "q:h"]), command(&["ZREM", "q:l"]));
        for _ in 0..=self.rng.up_to(2) {
            let (field, own) = self.field();
            fields.push(field.into_bytes());
            leases.push(own.into_bytes());
        }
        vec![fields, leases]
    }

    fn peek(&mut self) -> Command {
        match self.rng.up_to(3) {
            0 => {
                let mut peek = self.script(Script::Peek, 4);
                peek.extend(command(&["2", "1048576", "4194304"]));
                peek
            }
            1 => {
                let mut orphans = self.script(Script::Orphans, 4);
                orphans.extend(command(&["0"]));
                orphans
            }
            2 => {
                let (field, own) = self.field();
                let mut reject = self.script_over(Script::Reject, &[0, 1, 2, 3, 5]);
                reject.extend(command(&[&field, &own, "id-of-the-reject-10000"]));
                reject
            }
            _ => {
                let id = format!("id-of-message-{:04}", self.rng.up_to(self.messages));
                let place = ["1", "2", "3"][self.rng.up_to(2) as usize];
                let mut get = self.script_over(Script::Get, &[0, 1, 3]);
                if self.rng.up_to(1) == 0 {
                    get.extend(command(&[&id, place, "0"]));
                } else {
                    let hash = lua::sha1_of(format!("{id}zz00body").as_bytes());
                    get.extend(command(&["raw-", place, "0", &hash[..14]]));
                }
                get
            }
        }
    }

    fn sizes(&mut self) -> Vec<Command> {
        let name = ["plain", "plain.p1", "other"][self.rng.up_to(2) as usize];
        let after = ["-", "[plain", "(plain", "(other"][self.rng.up_to(3) as usize];
        let mut commands = vec![
            command(&["ZADD", "queues", "NX", "0", name]),
            command(&["ZRANGEBYLEX", "queues", after, "+", "LIMIT", "0", "2"]),
            command(&["ZSCORE", "queues", name]),
            command(&["LLEN", "q:r"]),
            command(&["LPOS", "q:r", "", "MAXLEN", "1"]),
            command(&["ZCARD", "q:d"]),
            command(&["HLEN", "q:h"]),
        ];
        if self.rng.up_to(3) == 0 {
            commands.push(command(&["ZREM", "queues", name]));
        }
        commands
    }

    fn wait(&mut self) -> Step {
        let ends = self.rng.up_to(2) > 0;
        let time = if ends { "60" } else { "0.01" };
        let commands =
            vec![command(&["BLMOVE", "q:r", "q:p", "LEFT", "RIGHT", time]), self.reserve()];
        let mut meanwhile = Vec::new();
        if ends {
            match self.rng.up_to(3) {
                0 => meanwhile.push(self.push()),
                1 => meanwhile.push(self.post()),
                2 => meanwhile.push(self.reserve()),
                _ => {}
            }
            // So that it ends in any case.
            let mut unblock = command(&["CLIENT", "UNBLOCK"]);
            unblock.push(WAITER.to_vec());
            if self.rng.up_to(1) == 0 {
                unblock.extend(command(&["ERROR"]));
            }
            meanwhile.push(unblock);
        }
        Step::Wait(commands, meanwhile)
    }

    /// Commands that ivy never sends.
    fn unexpected(&mut self) -> Vec<Command> {
        let key = KEYS[self.rng.up_to(4) as usize];
        match self.rng.up_to(7) {
            0 => vec![command(&["RPUSH", "q:r", "", "", "short"])],
            1 => vec![command(&["LPUSH", "q:r", "", ""])],
            2 => vec![command(&["RPUSH", "q:p", "", "id-of-somebody-00010000"])],
            // Like an eviction.
            3 => vec![command(&["UNLINK", "q:l"])],
            4 => vec![command(&["UNLINK", key]), command(&["HSET", key, "a", "b"])],
            5 => vec![command(&["UNLINK", key]), command(&["RPUSH", key, "a"])],
            6 => {
                let key = ["q:d", "q:l"][self.rng.up_to(1) as usize];
                let score = ["inf", "-inf", "10000000000000000"][self.rng.up_to(2) as usize];
                let mut add = command(&["ZADD", key, score]);
                add.push(self.element());
                vec![add]
            }
            _ => vec![command(&["UNLINK", key]), command(&["ZADD", key, "7", "a"])],
        }
    }

    /// A script over the first keys of the queue.
    fn script(&mut self, script: Script, keys: usize) -> Command {
        let keys: Vec<usize> = (0..keys).collect();
        self.script_over(script, &keys)
    }

    fn script_over(&mut self, script: Script, keys: &[usize]) -> Command {
        let mut run = match self.rng.up_to(3) {
            0 => command(&["EVALSHA", &lua::sha1(script)]),
            _ => command(&["EVAL", &lua::text(script)]),
        };
        run.extend(command(&[&keys.len().to_string()]));
        run.extend(keys.iter().map(|key| KEYS[*key].as_bytes().to_vec()));
        run
    }
}

pub(super) fn command(parts: &[&str]) -> Command {
    parts.iter().map(|part| part.as_bytes().to_vec()).collect()
}
