//! Tasks whose handlers postpone them.

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Level};
use crate::metrics::{Execution, TaskKey};
use crate::name::TaskName;
use crate::queue::{FaultKind, NewMessage, QueueOp, Retry};
use crate::task::{TaskError, TaskStatus};
use crate::wire::crypto::samples::both;
use crate::wire::crypto::{EntropyPool, Policy};
use crate::wire::{Codec, DeadLetterReason, Envelope, IvyOptions};
use crate::worker::{Input, JobOutcome, ReplayWindow, Run, WorkerConfig};

const DELAY: Duration = Duration::from_secs(20);

/// A body with these fields in `options.ivy`, besides its version and id.
fn body_with(fields: &str) -> String {
    our_body(1, Some(NOTICE_CHANNEL)).replace("\"id\"", &format!("{fields},\"id\""))
}

fn postpone(worker: &mut Scenario, run: &Run, delay: Duration) {
    let error = TaskError::later(delay).with_message("the tenant is over its limit");
    worker.end(run, JobOutcome::Failed(error));
}

/// Runs this message, postpones its task, and returns the message that is posted.
fn postponed(worker: &mut Scenario, body: &str, delay: Duration) -> NewMessage {
    let run = worker.running(body);
    postpone(worker, &run, delay);
    let (op, (posted_to, message)) = worker.take_post().unwrap();
    assert_eq!(posted_to, queue());
    worker.posted(op);
    message
}

fn ivy_of(message: &NewMessage) -> IvyOptions {
    let envelope = Envelope::parse(message.body.as_str()).unwrap();
    assert_eq!(envelope.args.as_str(), "[5]");
    envelope.options.ivy().unwrap().clone()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

#[test]
fn a_postponed_task_comes_again_later_as_the_same_attempt() {
    let mut worker = started();
    let body = body_with("\"attempt\":3,\"due\":5,\"lost\":2,\"later\":4,\"requeued\":1");
    let message = postponed(&mut worker, &body, DELAY);
    let ivy = ivy_of(&message);
    assert_eq!((ivy.id, ivy.attempt), (task_id(), 3));
    assert_eq!((ivy.lost, ivy.later, ivy.requeued), (2, 5, 1));
    assert_eq!(ivy.due, Some(milliseconds(UNIX_AT_START + DELAY)));
    assert_eq!(ivy.reply.as_deref(), Some(NOTICE_CHANNEL));
    assert_eq!(message.delay, DELAY);
    assert_eq!(worker.runs.len(), 0);
}

#[test]
fn the_old_message_is_deleted_once_the_new_one_is_accepted() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    postpone(&mut worker, &run, DELAY);
    worker.advance(Duration::from_secs(5));
    assert!(worker.take_deletes().is_none());
    let (op, _) = worker.take_post().unwrap();
    worker.posted(op);
    worker.advance(Duration::from_millis(50));
    assert!(worker.take_deletes().is_some());
}

#[test]
fn where_failed_attempts_are_released_a_postponed_task_has_a_successor_too() {
    let mut config = config();
    config.capabilities.retry = Retry::Release;
    let mut worker = started_with(config);
    worker.deliver_with_exact_counts(&our_body(1, None), 1, 4);
    let run = worker.runs.pop_front().unwrap();
    assert_eq!(run.attempt, 2);
    postpone(&mut worker, &run, DELAY);
    let (_, (_, message)) = worker.take_post().unwrap();
    let ivy = ivy_of(&message);
    assert_eq!((ivy.attempt, ivy.lost, ivy.later), (2, 4, 1), "no count begins anew");
}

#[test]
fn the_event_names_attempt_count_delay_and_the_handlers_message() {
    let mut worker = started();
    postponed(&mut worker, &body_with("\"attempt\":3,\"later\":4"), DELAY);
    let event =
        worker.events.iter().find(|event| matches!(event, Event::Postponed { .. })).unwrap();
    assert_eq!(
        event.to_string(),
        "task testpackage.factorial (CQkJCQkJCQkJCQkJCQkJCQ on queue testpackage) will run again in 20s, still at attempt 3; it was postponed 5 times: the tenant is over its limit"
    );
    assert_eq!((event.level(), event.status()), (Level::Debug, Some(TaskStatus::Scheduled)));
    assert!(!worker.has_event(|event| event.status() == Some(TaskStatus::Errored)));
}

#[test]
fn a_postponed_run_is_counted_as_such_and_has_not_failed() {
    let mut worker = started();
    postponed(&mut worker, &our_body(1, None), DELAY);
    let key = TaskKey { queue: queue(), task: TaskName::new(TASK).unwrap() };
    let counts = worker.worker.metrics(worker.now).tasks[&key].clone();
    assert_eq!((counts.executed.of(Execution::Later), counts.executed.failed()), (1, 0));
    assert_eq!(counts.retried, 0);
}

#[test]
fn the_wait_of_a_postponed_task_is_not_measured_again() {
    let mut worker = started();
    worker.running(&body_with("\"due\":1699999990000,\"later\":1"));
    let key = TaskKey { queue: queue(), task: TaskName::new(TASK).unwrap() };
    assert_eq!(worker.worker.metrics(worker.now).tasks[&key].wait.count(), 0);
}

#[test]
fn a_task_that_could_not_start_before_its_deadline_is_dead_lettered_at_once() {
    let deadline = milliseconds(UNIX_AT_START + DELAY);
    let body = body_with(&format!("\"attempt\":2,\"deadline\":{deadline}"));
    let mut worker = started();
    postponed(&mut worker, &body, DELAY);

    let mut worker = started();
    let run = worker.running(&body);
    postpone(&mut worker, &run, DELAY + Duration::from_millis(1));
    let (op, (dead, _)) = worker.take_post().unwrap();
    assert_eq!(dead.as_str(), "testpackage.dead");
    worker.posted(op);
    assert!(worker.has_event(|event| match event {
        Event::DeadLettered { reason: DeadLetterReason::Deadline, attempts: 1, detail, .. } =>
            detail == "the tenant is over its limit; the handler postponed it by 20.001s, past its deadline",
        _ => false,
    }));
    assert!(worker.take_publication().is_some(), "the caller is told");
}

#[test]
fn with_an_implausible_clock_no_deadline_ends_a_postponed_task() {
    let mut worker = started_at(config(), Duration::from_secs(5));
    let run = worker.running(&body_with("\"deadline\":10000"));
    postpone(&mut worker, &run, DELAY);
    assert_eq!(worker.take_post().unwrap().1.0, queue());
}

#[test]
fn beyond_the_workers_limit_a_postponement_is_a_failed_attempt_and_says_so() {
    let mut worker = started_with(config().with_max_later(2));
    let message = postponed(&mut worker, &body_with("\"later\":1"), DELAY);
    assert_eq!((ivy_of(&message).attempt, ivy_of(&message).later), (1, 2));

    let message = postponed(&mut worker, &body_with("\"later\":2"), DELAY);
    assert_eq!((ivy_of(&message).attempt, ivy_of(&message).later), (2, 2));
    assert!(message.delay < DELAY, "it is the delay of a retry: {:?}", message.delay);
    let expected = "the tenant is over its limit; the worker's max_later is 2, so this postponement counts as a failed attempt";
    assert_eq!(worker.executed()[1], Err(expected.to_owned()));
    assert!(worker.has_event(|event| matches!(event, Event::Retried { attempt: 2, .. })));
}

#[test]
fn with_a_limit_of_zero_no_task_can_be_postponed() {
    let mut worker = started_with(config().with_max_later(0));
    let message = postponed(&mut worker, &our_body(1, None), DELAY);
    assert_eq!((ivy_of(&message).attempt, ivy_of(&message).later), (2, 0));
}

#[test]
fn a_delay_is_cut_to_the_longest_of_the_queue() {
    let mut config = config();
    config.capabilities.max_delay = DELAY;
    let mut worker = started_with(config);
    let message = postponed(&mut worker, &our_body(1, None), Duration::MAX);
    assert_eq!(message.delay, DELAY);
    assert_eq!(ivy_of(&message).due, Some(milliseconds(UNIX_AT_START + DELAY)));
}

#[test]
fn a_task_of_the_node_package_can_be_postponed_and_is_answered_on_the_shared_channel() {
    let mut worker = started();
    let message = postponed(&mut worker, &plain_body(), DELAY);
    assert!(ivy_of(&message).node);
    assert_eq!(ivy_of(&message).later, 1);
    let run = worker.running(message.body.as_str());
    worker.done(&run);
    let (_, publication) = worker.take_publication().unwrap();
    assert_eq!(publication.channel.as_str(), "ivy-notifier");
}

#[test]
fn the_successor_of_a_sealed_message_is_sealed_and_is_no_replay() {
    let codec = Codec::new(&both().with_policy(Policy::v2())).unwrap();
    let config = WorkerConfig { codec: codec.clone(), ..config() };
    let mut worker = started_with(config.with_replay_window(ReplayWindow::default()));
    let envelope = Envelope::parse(&our_body(1, None)).unwrap();
    let mut entropy = EntropyPool::from_seed(&[1; 32]);
    let sealed = codec.seal(&envelope, &queue(), &mut entropy);
    let message = postponed(&mut worker, sealed.as_str(), DELAY);
    let opened = codec.open(&message.body, &queue()).unwrap();
    assert_eq!(opened.options.ivy().unwrap().later, 1);
    let run = worker.running(message.body.as_str());
    assert_eq!((run.attempt, run.id), (1, task_id()));
}

#[test]
fn a_draining_worker_still_postpones_tasks() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.feed(Input::Drain { limit: DELAY });
    postpone(&mut worker, &run, DELAY);
    assert!(worker.take_release().is_none());
    assert_eq!(worker.take_post().unwrap().1.1.delay, DELAY);
}

#[test]
fn a_handler_that_was_cancelled_with_its_lease_postpones_nothing() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.advance(Duration::from_secs(31));
    assert_eq!(worker.cancelled_jobs.len(), 1);
    postpone(&mut worker, &run, DELAY);
    assert!(worker.take_post().is_none() && worker.take_release().is_none());
}

#[test]
fn a_successor_that_the_queue_refuses_is_replaced_by_a_release_that_counts_nothing() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    postpone(&mut worker, &run, DELAY);
    let (op, _) = worker.take_post().unwrap();
    worker.reply_fault(op, FaultKind::Refused);
    let released = worker.take(|op| match op {
        QueueOp::Release { delay, failed, .. } => Some((*delay, *failed)),
        _ => None,
    });
    assert_eq!(released.unwrap().1, (DELAY, false));
}

#[test]
fn a_message_without_room_for_its_counts_cannot_be_postponed() {
    let body = our_body(1, None);
    let mut config = config();
    config.capabilities.max_body = body.len();
    let mut worker = started_with(config);
    let run = worker.running(&body);
    postpone(&mut worker, &run, DELAY);
    assert_eq!(worker.take_post().unwrap().1.0.as_str(), "testpackage.dead");
    let Err(error) = &worker.executed()[0] else { panic!("it counts as failed") };
    assert!(error.contains("too large to be postponed"), "{error}");
}
