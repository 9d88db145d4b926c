//! A valid task behind a backlog of messages that the worker cannot handle: how soon it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::{TASK, UNIX_AT_START, config, queue, started};
use crate::broker::{self, Broker, BrokerConfig, Request, RequestId};
use crate::id::{JobId, OpId};
use crate::queue::{Body, Fault, NewMessage, QueueReply, Reserved};
use crate::time::{Moment, WallClock};
use crate::worker::{Input, JobOutcome, Output, Worker};

/// How long a reply of the queue takes.
const REPLY_AFTER: Duration = Duration::from_millis(1);
/// The limit of a test.
const TOO_LONG: Duration = Duration::from_secs(1_800);

enum Due {
    Reply(OpId, Result<QueueReply, Fault>),
    End(JobId, JobOutcome),
}

struct World {
    now: Moment,
    broker: Broker,
    worker: Worker,
    requests: BTreeMap<RequestId, OpId>,
    requested: u64,
    due: BTreeMap<(Moment, u64), Due>,
    sequence: u64,
    valid_ran: bool,
}

impl World {
    fn with_backlog(messages: u32, body: impl Fn(u32) -> String) -> Self {
        let worker = Worker::new(config(), [5; 32], WallClock::new(UNIX_AT_START)).unwrap();
        let mut world = World {
            now: Moment::EPOCH,
            broker: Broker::new(BrokerConfig::default(), [3; 32]),
            worker,
            requests: BTreeMap::new(),
            requested: 0,
            due: BTreeMap::new(),
            sequence: 0,
            valid_ran: false,
        };
        let valid = format!(r#"{{"name":"{TASK}","options":{{}},"args":["valid"]}}"#);
        let bodies: Vec<String> = (0..messages).map(body).chain([valid]).collect();
        for bodies in bodies.chunks(100) {
            let messages = bodies
                .iter()
                .map(|body| NewMessage { body: Body::new(body.as_str()), delay: Duration::ZERO });
            let request = Request::Post { queue: queue(), messages: messages.collect() };
            let id = RequestId(u64::MAX);
            world.broker.handle_input(broker::Input::Request(id, request), world.now).unwrap();
        }
        world.take_responses();
        world
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now + after, self.sequence), due);
    }

    fn feed(&mut self, input: Input) {
        self.worker.handle_input(input, self.now).unwrap();
        loop {
            match self.worker.poll_output() {
                Output::Queue(op, operation) => {
                    self.requested += 1;
                    let id = RequestId(self.requested);
                    self.requests.insert(id, op);
                    let request = broker::Input::Request(id, operation.into());
                    self.broker.handle_input(request, self.now).unwrap();
                }
                Output::Run(run) if run.args.as_str() == r#"["valid"]"# => self.valid_ran = true,
                Output::Run(run) => {
                    let outcome = JobOutcome::BadArgs("argument 2 is missing".to_owned());
                    self.later(Duration::ZERO, Due::End(run.job, outcome));
                }
                Output::Wait(_) => break,
                _ => {}
            }
        }
        self.take_responses();
    }

    fn take_responses(&mut self) {
        while let broker::Output::Response(id, response) = self.broker.poll_output() {
            let Some(op) = self.requests.remove(&id) else { continue };
            let response = response.map(QueueReply::from).map_err(Fault::from);
            self.later(REPLY_AFTER, Due::Reply(op, response));
        }
    }

    /// Returns after which time the valid task starts.
    fn until_valid_runs(&mut self) -> Duration {
        self.feed(Input::Tick);
        while !self.valid_ran {
            let mut next = Moment::EPOCH + TOO_LONG;
            if let Some(((at, _), _)) = self.due.first_key_value() {
                next = next.min(*at);
            }
            if let Output::Wait(Some(deadline)) = self.worker.poll_output() {
                next = next.min(deadline.at);
            }
            if let broker::Output::Wait(Some(deadline)) = self.broker.poll_output() {
                next = next.min(deadline.at);
            }
            self.now = next;
            assert!(self.now < Moment::EPOCH + TOO_LONG, "the valid task does not start");
            self.broker.handle_input(broker::Input::Tick, self.now).unwrap();
            self.take_responses();
            while let Some(entry) = self.due.first_entry()
                && entry.key().0 <= self.now
            {
                match entry.remove() {
                    Due::Reply(op, response) => self.feed(Input::Queue(op, response)),
                    Due::End(job, outcome) => self.feed(Input::Job(job, outcome)),
                }
            }
            self.feed(Input::Tick);
        }
        self.now.since(Moment::EPOCH)
    }
}

fn unknown_version(_: u32) -> String {
    format!(
        r#"{{"name":"{TASK}","options":{{"ivy":{{"v":2,"id":"AAAAAAAAAAAAAAAAAAAAAA"}}}},"args":[5]}}"#
    )
}

fn unknown_task(_: u32) -> String {
    r#"{"name":"nobody.knows","options":{},"args":[]}"#.to_owned()
}

fn invented_task(number: u32) -> String {
    format!(r#"{{"name":"nobody.knows{number}","options":{{}},"args":[]}}"#)
}

fn mismatch(_: u32) -> String {
    format!(r#"{{"name":"{TASK}","options":{{}},"args":[]}}"#)
}

/// After which time the valid task behind these messages starts.
fn reached_behind(messages: u32, body: impl Fn(u32) -> String) -> Duration {
    World::with_backlog(messages, body).until_valid_runs()
}

#[test]
fn a_valid_task_behind_thirty_thousand_messages_of_an_unknown_version_starts_within_90_seconds() {
    assert!(reached_behind(30_000, unknown_version) < Duration::from_secs(90));
}

#[test]
fn a_valid_task_behind_ten_thousand_tasks_of_another_program_starts_within_ten_seconds() {
    assert!(reached_behind(10_000, unknown_task) < Duration::from_secs(10));
    assert!(reached_behind(10_000, invented_task) < Duration::from_secs(10));
}

#[test]
fn a_valid_task_behind_ten_thousand_mismatches_of_its_own_name_starts_within_ten_seconds() {
    assert!(reached_behind(10_000, mismatch) < Duration::from_secs(10));
}

#[test]
fn elements_that_are_not_messages_are_skipped_at_the_pace_of_the_polls() {
    let mut worker = started();
    for _ in 0..1_000 {
        let (op, _) = worker.take_poll().expect("it is polled again");
        let reserved = Reserved { messages: Vec::new(), unusable: 1 };
        worker.reply(op, Ok(QueueReply::Reserved(reserved)));
        assert!(worker.take_poll().is_none(), "there is a pause, which bounds the rate");
        worker.advance(Duration::from_millis(1));
    }
}
