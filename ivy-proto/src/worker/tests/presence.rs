use std::time::Duration;

use super::scenario::*;
use crate::event::Part;
use crate::id::OpId;
use crate::metrics::Execution;
use crate::name::ChannelName;
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::presence::{Identity, Record, WorkerState};
use crate::queue::{FaultKind, QueueReply};
use crate::wire::Codec;
use crate::worker::{Input, InvalidConfig, Output, Worker, WorkerConfig};

const SECOND: Duration = Duration::from_secs(1);
const CHANNEL: &str = "ivy-notifier.w";

fn present() -> WorkerConfig {
    config().with_presence(Identity::new("1.2.3", "test").with_process(Some("web-3"), 812))
}

fn unreachable() -> NotifyFault {
    NotifyFault::new(NotifyFaultKind::Unreachable)
}

impl Scenario {
    /// Takes the only record that was published.
    fn record(&mut self) -> (OpId, Record) {
        let (op, publication) = self.take_publication().expect("a record is published");
        assert_eq!(publication.channel.as_str(), CHANNEL);
        assert!(self.publications.is_empty(), "one record at a time");
        let payload = publication.payload.as_str().as_bytes();
        (op, Record::open(payload, &publication.channel, &Codec::plain()).unwrap())
    }

    /// Takes a record, which this many subscribers receive.
    fn heard(&mut self, receivers: u64) -> Record {
        let (op, record) = self.record();
        self.published(op, Ok(receivers));
        record
    }

    /// How long it takes until the next record.
    fn until_record(&mut self) -> Duration {
        let from = self.now;
        while self.publications.is_empty() {
            self.advance(Duration::from_millis(50));
            assert!(self.now.since(from) < 60 * SECOND, "no record is published");
        }
        self.now.since(from)
    }

    /// Lets the worker end whose poll is in flight.
    fn end_poll(&mut self) {
        self.advance(SECOND);
        for op in std::mem::take(&mut self.cancelled_ops) {
            self.reply_fault(op, FaultKind::ReplyLost);
        }
    }
}

#[test]
fn a_worker_publishes_what_it_does_at_its_start() {
    let mut worker = started_with(present());
    let record = worker.heard(0);
    assert_eq!((record.seq, record.state), (1, WorkerState::Running));
    assert_eq!(record.name().to_string(), "web-3:812");
    assert_eq!((record.slots, record.running, record.held), (10, 0, 0));
    assert_eq!(record.queues[0].name, queue());
    assert_eq!(record.tasks[0].as_str(), TASK);
    assert_eq!(u128::from(record.started), UNIX_AT_START.as_millis());
}

#[test]
fn a_worker_without_an_identity_or_a_notifier_publishes_nothing() {
    let mut without_notifier = present();
    without_notifier.notifier = None;
    for config in [config(), without_notifier] {
        let mut worker = started_with(config);
        worker.advance(60 * SECOND);
        assert!(worker.publications.is_empty());
    }
}

#[test]
fn records_follow_each_other_slowly_until_one_is_heard() {
    let mut worker = started_with(present());
    worker.heard(0);
    for _ in 0..5 {
        let interval = worker.until_record();
        assert!((13 * SECOND..=15 * SECOND).contains(&interval), "{interval:?}");
        worker.heard(0);
    }
    worker.until_record();
    worker.heard(1);
    for _ in 0..5 {
        let interval = worker.until_record();
        assert!((SECOND..=3 * SECOND).contains(&interval), "{interval:?}");
        worker.heard(1);
    }
    worker.until_record();
    worker.heard(0);
    worker.until_record();
    worker.heard(0);
    assert!(worker.until_record() > 10 * SECOND, "nobody listens any more");
}

#[test]
fn workers_that_start_together_do_not_publish_together() {
    let next = |seed: u8| {
        let mut worker = Worker::new(present(), [seed; 32], Default::default()).unwrap();
        worker.handle_input(Input::Tick, crate::time::Moment::EPOCH).unwrap();
        loop {
            if let Output::Wait(deadline) = worker.poll_output() {
                return deadline.unwrap().at;
            }
        }
    };
    let times: std::collections::BTreeSet<_> = (0..20).map(next).collect();
    assert_eq!(times.len(), 20);
}

#[test]
fn a_changed_state_is_reported_at_once() {
    let mut worker = started_with(present());
    worker.heard(0);
    worker.advance(SECOND);
    for (input, state) in
        [(Input::Pause, WorkerState::Paused), (Input::Resume, WorkerState::Running)]
    {
        worker.feed(input);
        assert!(worker.until_record() <= SECOND);
        assert_eq!(worker.heard(0).state, state);
    }
}

#[test]
fn a_state_that_changes_all_the_time_is_reported_a_few_times_a_second() {
    let mut worker = started_with(present());
    worker.heard(0);
    let mut records = 0;
    for _ in 0..100 {
        worker.feed(Input::Pause);
        worker.advance(Duration::from_millis(10));
        worker.feed(Input::Resume);
        worker.advance(Duration::from_millis(10));
        while !worker.publications.is_empty() {
            worker.heard(0);
            records += 1;
        }
    }
    assert!((4..=10).contains(&records), "{records} records in two seconds");
}

#[test]
fn what_is_degraded_is_reported_with_its_cause() {
    let mut worker = started_with(present());
    worker.heard(0);
    for _ in 0..3 {
        worker.until_polled();
        let (op, _) = worker.take_poll().unwrap();
        worker.reply_fault(op, FaultKind::Unreachable);
    }
    worker.until_record();
    let record = worker.heard(0);
    assert_eq!(record.degraded[0].part, Part::Queue(queue()));
    assert!(!record.degraded[0].why.as_str().is_empty());
    assert!(record.queues[0].is_degraded);
    assert_eq!(record.state, WorkerState::Running);
}

#[test]
fn running_tasks_and_counts_are_reported() {
    let mut worker = started_with(present());
    worker.heard(0);
    let done = worker.running(&our_body(1, None));
    worker.done(&done);
    worker.run_on();
    worker.running(&plain_body());
    worker.until_record();
    let record = worker.heard(0);
    assert_eq!((record.running, record.held), (1, 2));
    assert_eq!(record.longest.len(), 1);
    assert_eq!((record.longest[0].attempt, &*record.longest[0].task.name.to_string()), (1, TASK));
    assert!(record.longest[0].running >= 10 * SECOND);
    let counts = record.counts.values().next().unwrap();
    assert_eq!((counts.started, counts.executed.of(Execution::Ok)), (2, 1));
}

#[test]
fn an_unanswered_record_delays_no_message_and_no_notice() {
    let mut worker = started_with(present());
    let (record, _) = worker.record();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.done(&run);
    let (notice, publication) = worker.take_publication().unwrap();
    assert_eq!(publication.channel.as_str(), NOTICE_CHANNEL);
    worker.published(notice, Ok(1));
    worker.advance(SECOND);
    let (op, _) = worker.take_deletes().expect("the message is settled");
    worker.reply(op, Ok(QueueReply::all_deleted(1)));
    assert_eq!(worker.worker.load().held, 0);
    worker.published(record, Ok(0));
}

#[test]
fn no_second_record_is_published_while_one_is_in_flight() {
    let mut worker = started_with(present());
    let (op, first) = worker.record();
    worker.feed(Input::Pause);
    worker.advance(60 * SECOND);
    assert!(worker.publications.is_empty());
    worker.published(op, Ok(0));
    assert!(worker.until_record() <= SECOND, "the change is reported when the reply has come");
    let next = worker.heard(0);
    assert_eq!((first.seq, next.seq, next.state), (1, 2, WorkerState::Paused));
}

#[test]
fn a_record_that_fails_is_not_repeated() {
    let mut worker = started_with(present());
    let (op, _) = worker.record();
    worker.published(op, Err(unreachable()));
    assert!(worker.until_record() > 10 * SECOND);
    assert_eq!(worker.heard(0).seq, 2);
}

#[test]
fn a_drained_worker_publishes_that_it_is_gone_and_ends() {
    let mut worker = started_with(present());
    worker.heard(0);
    worker.feed(Input::Drain { limit: 30 * SECOND });
    worker.end_poll();
    let draining = worker.heard(0);
    assert_eq!(draining.state, WorkerState::Draining);
    let (op, gone) = worker.record();
    assert_eq!(gone.state, WorkerState::Gone);
    assert!(!worker.finished);
    worker.published(op, Ok(0));
    assert!(worker.finished && worker.publications.is_empty());
}

#[test]
fn a_notifier_that_does_not_reply_delays_the_end_of_a_drain_by_half_a_second() {
    let mut worker = started_with(present());
    worker.heard(0);
    worker.advance(SECOND);
    worker.feed(Input::Drain { limit: 30 * SECOND });
    worker.end_poll();
    assert!(!worker.finished);
    worker.advance(Duration::from_millis(500));
    assert!(worker.finished);
}

#[test]
fn a_notifier_that_fails_delays_no_end() {
    let mut worker = started_with(present());
    let (op, _) = worker.record();
    worker.published(op, Err(unreachable()));
    worker.feed(Input::Drain { limit: 30 * SECOND });
    worker.advance(SECOND);
    while let Some((op, _)) = worker.take_publication() {
        worker.published(op, Err(unreachable()));
    }
    worker.end_poll();
    assert!(worker.finished);
}

#[test]
fn the_drain_limit_is_not_exceeded_for_a_record() {
    let mut worker = started_with(present());
    worker.heard(0);
    worker.running(&our_body(1, None));
    worker.feed(Input::Drain { limit: SECOND });
    worker.advance(SECOND);
    let (op, _) = worker.take_release().unwrap();
    worker.reply(op, Ok(QueueReply::Released));
    worker.advance(2 * SECOND);
    assert!(worker.finished);
}

#[test]
fn a_reply_to_no_record_is_a_misuse() {
    let mut worker = started_with(present());
    let (op, _) = worker.record();
    worker.published(op, Ok(0));
    assert!(worker.worker.handle_input(Input::Published(op, Ok(0)), worker.now).is_err());
}

#[test]
fn a_channel_without_room_for_the_suffix_is_refused() {
    let long = ChannelName::new(&"x".repeat(254)).unwrap();
    let config = present().with_notifier(long);
    let refused = Worker::new(config, [1; 32], Default::default()).unwrap_err();
    assert!(matches!(refused, InvalidConfig::PresenceChannel(_)), "{refused}");
}
