use std::time::Duration;

use super::scenario::*;
use crate::event::{DegradedReason, Event, NoticeDropReason, Part};
use crate::notify::{NotifyFault, NotifyFaultKind, Publication};
use crate::queue::{FaultKind, QueueReply};
use crate::task::{TaskError, TaskOutcome};
use crate::wire::{Codec, LegacyKey, Notice, RawJson};
use crate::worker::{Input, JobOutcome, WorkerConfig};

fn unreachable() -> NotifyFault {
    NotifyFault::new(NotifyFaultKind::Unreachable)
}

/// The notice for a task of this body with this outcome.
fn notice_for(body: &str, outcome: JobOutcome) -> Option<Publication> {
    let mut worker = started();
    let run = worker.running(body);
    worker.end(&run, outcome);
    if let Some((post, _)) = worker.take_post() {
        worker.posted(post);
    }
    worker.take_publication().map(|(_, publication)| publication)
}

fn done() -> JobOutcome {
    JobOutcome::Done(RawJson::parse("120").unwrap())
}

fn outcome_in(publication: &Publication) -> TaskOutcome {
    Notice::parse(publication.payload.as_str().as_bytes()).unwrap().outcome().unwrap()
}

#[test]
fn a_result_is_published_on_the_callers_channel() {
    let publication = notice_for(&our_body(1, Some(NOTICE_CHANNEL)), done()).unwrap();
    assert_eq!(publication.channel.as_str(), NOTICE_CHANNEL);
    let expected = TaskOutcome::Done(RawJson::parse("120").unwrap());
    assert_eq!(outcome_in(&publication), expected);
}

#[test]
fn the_final_failure_is_published_on_the_callers_channel() {
    let outcome = JobOutcome::Failed(TaskError::fatal("out of paper"));
    let publication = notice_for(&our_body(1, Some(NOTICE_CHANNEL)), outcome).unwrap();
    let TaskOutcome::Failed(failure) = outcome_in(&publication) else { panic!("not a failure") };
    assert_eq!(failure.kind, "Fatal");
    assert_eq!(failure.message, "out of paper");
    assert_eq!(failure.attempts, 1);
}

/// A message of a task that this worker has no handler for.
fn for_another_worker() -> String {
    our_body(1, Some(NOTICE_CHANNEL)).replace(TASK, "nobody.knows")
}

/// Delivers the message of this id and accepts its release.
fn release(worker: &mut Scenario, id: &str, body: &str) {
    // The reply to an old poll would bring an expired lease.
    let (poll, _) = worker.take_poll().unwrap();
    worker.deliver_to(poll, &[]);
    worker.advance(Duration::from_secs(10));
    worker.deliver_again(id, body, 1);
    let (release, _) = worker.take_release().unwrap();
    worker.reply(release, Ok(QueueReply::Released));
    // Until then it yields the queue to workers that know the task.
    worker.advance(Duration::from_secs(600));
}

#[test]
fn the_caller_of_a_task_for_another_worker_is_notified_after_its_release() {
    let mut worker = started();
    worker.deliver(&[&for_another_worker()]);
    assert!(worker.take_publication().is_none(), "it is not released yet");
    let (release, _) = worker.take_release().unwrap();
    worker.reply(release, Ok(QueueReply::Released));
    let (op, publication) = worker.take_publication().unwrap();
    assert_eq!(publication.channel.as_str(), NOTICE_CHANNEL);
    let notice = Notice::parse(publication.payload.as_str().as_bytes()).unwrap();
    assert_eq!((notice.outcome(), notice.task_id()), (None, Some(task_id())));
    let release = notice.task_released().unwrap();
    assert_eq!((release.queue, &*release.kind, release.attempts), (queue(), "UnknownTask", 0));
    assert_eq!(release.message, "this worker has no handler under the task's name");
    worker.published(op, Ok(1));
    assert!(
        worker.has_event(|event| matches!(event, Event::ReleaseNoticeSent { receivers: 1, .. }))
    );
}

#[test]
fn a_caller_is_notified_once_for_each_message_however_often_it_is_released() {
    let mut worker = started();
    for _ in 0..3 {
        release(&mut worker, "7", &for_another_worker());
    }
    release(&mut worker, "8", &for_another_worker());
    let notified: Vec<_> = std::iter::from_fn(|| worker.take_publication())
        .map(|(_, publication)| {
            let notice = Notice::parse(publication.payload.as_str().as_bytes()).unwrap();
            notice.message().as_str().to_owned()
        })
        .collect();
    assert_eq!(notified, ["7", "8"]);
}

#[test]
fn a_failed_release_notifies_nobody() {
    let mut worker = started();
    worker.deliver(&[&for_another_worker()]);
    let (release, _) = worker.take_release().unwrap();
    worker.reply_fault(release, FaultKind::LeaseLost);
    assert!(worker.take_publication().is_none());
}

#[test]
fn a_release_for_this_workers_own_reasons_notifies_nobody() {
    let mut worker = started();
    worker.feed(Input::Pause);
    worker.deliver(&[&our_body(1, Some(NOTICE_CHANNEL))]);
    let (release, _) = worker.take_release().unwrap();
    worker.reply(release, Ok(QueueReply::Released));
    assert!(worker.take_publication().is_none());
}

#[test]
fn only_a_caller_on_a_channel_of_this_prefix_is_notified_of_a_task_for_another_worker() {
    for body in [plain_body(), our_body(1, None), our_body(1, Some("ivy-notifier"))] {
        let mut worker = started();
        release(&mut worker, "7", &body.replace(TASK, "nobody.knows"));
        assert!(worker.take_publication().is_none(), "{body}");
    }
}

#[test]
fn an_attempt_that_will_be_retried_is_not_notified() {
    let outcome = JobOutcome::Failed("no".into());
    assert_eq!(notice_for(&our_body(1, Some(NOTICE_CHANNEL)), outcome), None);
}

#[test]
fn a_failure_is_notified_only_after_the_dead_letter_was_accepted() {
    let mut worker = started();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.end(&run, JobOutcome::Failed(TaskError::fatal("no")));
    assert!(worker.take_publication().is_none());
    let (post, _) = worker.take_post().unwrap();
    worker.posted(post);
    let (op, _) = worker.take_publication().unwrap();
    worker.published(op, Ok(1));
    let is_result = |event: &Event| matches!(event, Event::ResultSent { succeeded: false, .. });
    assert!(worker.has_event(is_result));
    assert!(
        worker
            .events
            .iter()
            .filter_map(Event::status)
            .eq([crate::task::TaskStatus::Errored, crate::task::TaskStatus::DeadLettered])
    );
}

#[test]
fn a_peer_of_the_node_package_receives_its_result_on_the_shared_channel_in_its_own_format() {
    let publication = notice_for(&plain_body(), done()).unwrap();
    assert_eq!(publication.channel.as_str(), "ivy-notifier");
    let expected = format!(
        "{{\"id\":\"1\",\"name\":\"{TASK}\",\"args\":[5],\"options\":{{}},\"result\":[120],\"notify\":true,\"queue\":\"{QUEUE}\"}}"
    );
    assert_eq!(publication.payload.as_str(), expected);
}

#[test]
fn a_peer_of_the_node_package_is_not_notified_of_failures() {
    let outcome = JobOutcome::Failed(TaskError::fatal("no"));
    assert_eq!(notice_for(&plain_body(), outcome), None);
}

#[test]
fn a_retried_task_of_a_peer_of_the_node_package_still_notifies_in_its_format() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.fail(&run);
    let (post, (_, successor)) = worker.take_post().unwrap();
    worker.posted(post);
    let run = worker.running(successor.body.as_str());
    worker.done(&run);
    let (_, publication) = worker.take_publication().unwrap();
    assert_eq!(publication.channel.as_str(), "ivy-notifier");
}

#[test]
fn a_task_sent_without_waiting_notifies_nobody() {
    assert_eq!(notice_for(&our_body(1, None), done()), None);
}

#[test]
fn a_channel_outside_this_workers_prefix_is_never_published_to() {
    for channel in ["ivy-notifier", "other.r.AAAAAAAAAAAAAAAAAAAAAA", "ivy-notifier.r.short"] {
        let mut worker = started();
        let run = worker.running(&our_body(1, Some(channel)));
        worker.done(&run);
        assert!(worker.take_publication().is_none(), "{channel}");
        assert!(worker.has_event(|event| matches!(
            event,
            Event::NoticeDropped { reason: NoticeDropReason::ForeignChannel, .. }
        )));
    }
}

#[test]
fn a_result_too_large_for_a_notice_is_reported_as_such() {
    let large = RawJson::from_value(&"x".repeat(1 << 20)).unwrap();
    let body = our_body(1, Some(NOTICE_CHANNEL));
    let publication = notice_for(&body, JobOutcome::Done(large)).unwrap();
    assert_eq!(outcome_in(&publication), TaskOutcome::ResultTooLarge);
}

#[test]
fn a_result_nested_too_deep_is_reported_as_such_and_its_task_is_done() {
    let deep = RawJson::parse(&("[".repeat(127) + &"]".repeat(127))).unwrap();
    for outcome in [JobOutcome::ResultTooDeep, JobOutcome::Done(deep)] {
        let mut worker = started();
        let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
        worker.end(&run, outcome);
        let (_, publication) = worker.take_publication().unwrap();
        assert_eq!(outcome_in(&publication), TaskOutcome::ResultTooDeep);
        worker.advance(Duration::from_millis(50));
        assert!(worker.take_deletes().is_some());
    }
}

/// The notice for a message that cannot be parsed, and its scenario.
fn notice_for_unreadable(config: WorkerConfig, body: &str) -> (Option<Publication>, Scenario) {
    let mut worker = started_with(config);
    worker.deliver(&[body]);
    assert!(worker.take_publication().is_none());
    let (post, _) = worker.take_post().unwrap();
    worker.posted(post);
    (worker.take_publication().map(|(_, publication)| publication), worker)
}

#[test]
fn the_caller_of_an_unparsable_message_is_notified_once_its_copy_was_accepted() {
    let body = our_body(1, Some(NOTICE_CHANNEL));
    let deep = format!("[{}{}]", "[".repeat(127), "]".repeat(127));
    for (args, kind) in [("{}", "BadArgs"), (deep.as_str(), "TooDeep"), ("[5", "BadJson")] {
        let body = body.replace("[5]", args);
        let (publication, worker) = notice_for_unreadable(config(), &body);
        let publication = publication.unwrap();
        assert_eq!(publication.channel.as_str(), NOTICE_CHANNEL);
        let TaskOutcome::Failed(failure) = outcome_in(&publication) else { panic!("{args}") };
        assert_eq!((failure.kind.as_str(), failure.attempts), (kind, 0));
        let notice = Notice::parse(publication.payload.as_str().as_bytes()).unwrap();
        assert_eq!((notice.task_id(), notice.name().as_str()), (Some(task_id()), TASK));
        assert!(worker.has_event(|event| matches!(
            event,
            Event::DeadLettered { task: Some(task), .. } if task.id == task_id()
        )));
    }
    let broken = body.replace("\"v\":1", "\"v\":1,\"attempt\":0");
    let (publication, _) = notice_for_unreadable(config(), &broken);
    let TaskOutcome::Failed(failure) = outcome_in(&publication.unwrap()) else { panic!() };
    assert_eq!(failure.kind, "BadOptions");
}

#[test]
fn the_channel_of_an_unparsable_message_is_checked_like_any_other() {
    for channel in ["ivy-notifier", "other.r.AAAAAAAAAAAAAAAAAAAAAA"] {
        let body = our_body(1, Some(channel)).replace("[5]", "{}");
        let (publication, worker) = notice_for_unreadable(config(), &body);
        assert!(publication.is_none());
        assert!(worker.has_event(|event| matches!(
            event,
            Event::NoticeDropped { reason: NoticeDropReason::ForeignChannel, .. }
        )));
    }
}

#[test]
fn a_plaintext_message_in_an_encrypted_queue_notifies_nobody() {
    let mut config = config();
    config.codec = Codec::legacy(LegacyKey::new("pass").unwrap());
    let body = our_body(1, Some(NOTICE_CHANNEL)).replace("[5]", "{}");
    let (publication, _) = notice_for_unreadable(config, &body);
    assert!(publication.is_none());
}

#[test]
fn a_failing_notifier_never_delays_an_ack() {
    let mut worker = started();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.done(&run);
    let (op, _) = worker.take_publication().unwrap();
    worker.published(op, Err(unreachable()));
    worker.advance(Duration::from_millis(50));
    assert!(worker.take_deletes().is_some());
}

#[test]
fn a_notice_that_was_not_published_is_retried() {
    let mut worker = started();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.done(&run);
    let (op, first) = worker.take_publication().unwrap();
    worker.published(op, Err(unreachable()));
    worker.advance(Duration::from_millis(100));
    let (op, second) = worker.take_publication().unwrap();
    assert_eq!(first, second);
    worker.published(op, Ok(1));
    assert!(worker.has_event(|event| matches!(
        event,
        Event::ResultSent { succeeded: true, receivers: 1, .. }
    )));
}

#[test]
fn a_notice_that_may_have_been_published_is_not_repeated() {
    let mut worker = started();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.done(&run);
    let (op, _) = worker.take_publication().unwrap();
    worker.published(op, Err(NotifyFault::new(NotifyFaultKind::ConnectionLost)));
    worker.advance(Duration::from_secs(60));
    assert!(worker.take_publication().is_none());
    assert!(worker.has_event(|event| matches!(event, Event::NoticeDropped { .. })));
}

#[test]
fn an_unreachable_notifier_is_reported_once_and_costs_the_notice_after_a_minute() {
    let mut worker = started();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.done(&run);
    for _ in 0..1200 {
        while let Some((op, _)) = worker.take_publication() {
            worker.published(op, Err(unreachable()));
        }
        worker.advance(Duration::from_millis(100));
    }
    let degraded =
        Event::Degraded { part: Part::Notifier, why: DegradedReason::Notifier(unreachable()) };
    assert_eq!(worker.events.iter().filter(|event| **event == degraded).count(), 1);
    assert!(worker.has_event(|event| matches!(
        event,
        Event::NoticeDropped { reason: NoticeDropReason::NotifierFailed, .. }
    )));
}

#[test]
fn a_missing_notifier_is_reported_once_a_caller_needs_it() {
    let mut config = config();
    config.notifier = None;
    let mut worker = started_with(config);
    for _ in 0..3 {
        let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
        worker.done(&run);
    }
    let missing = Event::Degraded { part: Part::Notifier, why: DegradedReason::NoNotifier };
    assert_eq!(worker.events.iter().filter(|event| **event == missing).count(), 1);
}

#[test]
fn a_paused_notifier_retains_notices_until_it_is_resumed() {
    let mut worker = started();
    worker.feed(Input::PauseNotifier);
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.done(&run);
    assert!(worker.take_publication().is_none());
    worker.feed(Input::ResumeNotifier);
    assert!(worker.take_publication().is_some());
}

/// Answers each poll in full, and lets each handler end at once, `rounds` times. Returns how many messages
/// were delivered.
fn handle_backlog(worker: &mut Scenario, rounds: usize) -> usize {
    let body = our_body(1, Some(NOTICE_CHANNEL));
    let mut delivered = 0;
    for _ in 0..rounds {
        while let Some((poll, count)) = worker.take_poll() {
            delivered += count;
            worker.deliver_to(poll, &vec![(body.as_str(), 1); count]);
        }
        while let Some(run) = worker.runs.pop_front() {
            worker.end(&run, done());
        }
        worker.advance(Duration::from_millis(1));
        while let Some((deletes, receipts)) = worker.take_deletes() {
            worker.reply(deletes, Ok(QueueReply::all_deleted(receipts.len())));
        }
    }
    delivered
}

fn has_dropped_a_notice(worker: &Scenario) -> bool {
    worker.has_event(|event| matches!(event, Event::NoticeDropped { .. }))
}

#[test]
fn no_result_is_dropped_while_a_slow_notifier_replies() {
    for concurrency in [1, 800, 3_000] {
        let mut worker = started_with(config().with_concurrency(concurrency));
        for _ in 0..2_000 {
            handle_backlog(&mut worker, 1);
            for _ in 0..10 {
                let Some((op, _)) = worker.take_publication() else { break };
                worker.published(op, Ok(1));
            }
        }
        assert!(!has_dropped_a_notice(&worker), "{concurrency}");
    }
}

#[test]
fn a_notifier_that_stops_to_reply_delays_reserves_for_five_seconds_at_most() {
    let mut worker = started_with(config().with_concurrency(100));
    let before = handle_backlog(&mut worker, 100);
    assert!((700..=800).contains(&before), "{before}");
    assert_eq!(handle_backlog(&mut worker, 10), 0);
    worker.advance(Duration::from_secs(5));
    assert!(handle_backlog(&mut worker, 100) > 1_000);
    assert!(has_dropped_a_notice(&worker));
}

#[test]
fn a_notifier_that_fails_delays_no_reserve() {
    let mut worker = started_with(config().with_concurrency(100));
    assert!(handle_backlog(&mut worker, 1) > 0);
    let (op, _) = worker.take_publication().unwrap();
    worker.published(op, Err(unreachable()));
    assert!(handle_backlog(&mut worker, 100) > 2_000);
}

#[test]
fn large_results_delay_reserves_before_their_bytes_reach_the_limit() {
    let mut config = config().with_concurrency(4);
    config.notice_bytes = 100_000;
    let mut worker = started_with(config);
    let large = RawJson::parse(&format!("\"{}\"", "x".repeat(10_000))).unwrap();
    for _ in 0..100 {
        let body = our_body(1, Some(NOTICE_CHANNEL));
        while let Some((poll, count)) = worker.take_poll() {
            worker.deliver_to(poll, &vec![(body.as_str(), 1); count]);
        }
        while let Some(run) = worker.runs.pop_front() {
            worker.end(&run, JobOutcome::Done(large.clone()));
        }
        worker.advance(Duration::from_millis(10));
        if let Some((op, _)) = worker.take_publication() {
            worker.published(op, Ok(1));
        }
    }
    assert!(!has_dropped_a_notice(&worker));
}
