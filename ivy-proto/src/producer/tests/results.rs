//! How results are received.

use std::time::Duration;

use super::scenario::*;
use crate::event::Event;
use crate::id::MessageId;
use crate::name::ChannelName;
use crate::producer::{Call, Input, Output, ReplyTo, SendError};
use crate::queue::{FaultKind, QueueReply};
use crate::task::{TaskOutcome, TaskReleased, TaskStatus};
use crate::wire::{Codec, Notice, RawJson};

fn call_with_callback(number: u8) -> Call {
    Call { reply: ReplyTo::Callback, ..call(number) }
}

fn call_with_both(number: u8) -> Call {
    Call { reply: ReplyTo::HandleAndCallback, ..call(number) }
}

#[test]
fn a_notice_resumes_its_caller() {
    let missing = [TaskOutcome::ResultTooLarge, TaskOutcome::ResultTooDeep];
    for outcome in [done(), failed()].into_iter().chain(missing) {
        let mut scenario = Scenario::sent(call_with_handle(1));
        scenario.notice(1, &outcome);
        assert_eq!(scenario.results(), [(id(1), outcome.clone(), None)]);
        let succeeded = !matches!(outcome, TaskOutcome::Failed(_));
        let resumed = Event::CallerResumed { task: task_ref(1), succeeded };
        assert_eq!(scenario.events(), [resumed]);
    }
}

#[test]
fn a_callback_receives_the_arguments_too() {
    let mut scenario = Scenario::sent(call_with_callback(1));
    scenario.notice(1, &done());
    assert_eq!(scenario.results(), [(id(1), done(), Some("[5]".to_owned()))]);
}

#[test]
fn the_first_notice_for_a_call_wins() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    scenario.notice(1, &done());
    scenario.notice(1, &failed());
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
    assert!(scenario.events().contains(&Event::NoticeIgnored));
}

#[test]
fn a_worker_of_the_node_package_publishes_results_on_the_shared_channel() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.accept(&post);
    let body = crate::queue::Body::new(post.bodies[0].as_str());
    let envelope = Codec::plain().open(&body, &post.queue).unwrap();
    let output = RawJson::parse("120").unwrap();
    let notice = Notice::success_for_node(&MessageId::new("1"), &post.queue, &envelope, &output);
    let payload = notice.to_payload().as_str().as_bytes().to_vec();
    scenario.feed(Input::Notice { channel: ChannelName::new("ivy-notifier").unwrap(), payload });
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
}

#[test]
fn a_notice_for_another_producer_is_ignored_and_reported() {
    let reply = Scenario::sent(call_with_handle(1)).reply_channel();
    let other = ChannelName::new("other").unwrap();
    let large = vec![b' '; (1 << 20) + 1];
    for (what, channel, payload) in [
        ("not JSON", &reply, b"\xff{".to_vec()),
        ("empty", &reply, Vec::new()),
        ("too large", &reply, large),
        ("an id that was never issued", &reply, notice(2, &done())),
        ("a channel that is not subscribed", &other, notice(1, &done())),
    ] {
        let mut scenario = Scenario::sent(call_with_handle(1));
        scenario.feed(Input::Notice { channel: channel.clone(), payload });
        assert_eq!(scenario.events(), [Event::NoticeIgnored], "{what}");
        assert!(scenario.results().is_empty(), "{what}");
    }
}

#[test]
fn a_notice_before_the_reply_to_the_post_shows_that_the_call_was_sent() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.notice(1, &done());
    let order: Vec<_> = scenario
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Sent(_, Ok(message)) => Some(message.as_str().to_owned()),
            Output::Result { .. } => Some("result".to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["message", "result"]);
    scenario.accept(&post);
    assert!(scenario.sent_results().is_empty());
}

#[test]
fn a_notice_ends_the_repetition_of_a_post_whose_reply_was_lost() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    scenario.notice(1, &done());
    assert!(scenario.only_sent().is_ok());
    scenario.advance(Duration::from_secs(10));
    assert!(scenario.posts().is_empty());
}

#[test]
fn a_post_that_fails_after_its_notice_is_not_repeated() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.notice(1, &done());
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    scenario.advance(Duration::from_secs(10));
    assert!(scenario.posts().is_empty());
    assert!(scenario.only_sent().is_ok());
}

/// What a worker without a handler reports.
fn unknown_task() -> TaskReleased {
    TaskReleased {
        queue: call(1).queue,
        kind: "UnknownTask".to_owned(),
        message: "this worker has no handler of that name".to_owned(),
        attempts: 0,
    }
}

#[test]
fn the_caller_of_a_released_message_is_notified_and_continues_to_wait() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    scenario.release_notice(1, &unknown_task());
    assert_eq!(scenario.released(), [(id(1), unknown_task())]);
    let informed = Event::CallerInformed { task: task_ref(1), release: unknown_task() };
    assert_eq!(scenario.events(), [informed]);
    assert!(scenario.results().is_empty());
    assert_eq!(scenario.producer().status(id(1)), Some(TaskStatus::Scheduled));
    assert_eq!(
        scenario.producer().released(id(1)),
        Some(&unknown_task()),
        "until the result arrives"
    );
    scenario.notice(1, &done());
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
    assert_eq!(scenario.producer().released(id(1)), None);
}

#[test]
fn the_latest_release_notice_is_returned() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    let other = TaskReleased { kind: "BadArgs".to_owned(), ..unknown_task() };
    scenario.release_notice(1, &unknown_task());
    scenario.release_notice(1, &other);
    assert_eq!(scenario.producer().released(id(1)), Some(&other));
}

#[test]
fn forged_release_notices_take_little_room_and_end_no_wait() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    let channel = scenario.reply_channel();
    for number in 0..100 {
        let forged = TaskReleased { message: format!("MARK{number}"), ..unknown_task() };
        for called in [1, 2] {
            let text = String::from_utf8(release_notice(called, &forged)).unwrap();
            let payload = text.replace("MARK", &"x".repeat(500_000)).into_bytes();
            scenario.feed(Input::Notice { channel: channel.clone(), payload });
        }
    }
    let ignored = scenario.events().into_iter().filter(|event| *event == Event::NoticeIgnored);
    assert_eq!(ignored.count(), 100, "those for a call of another producer");
    assert_eq!(scenario.producer().released(id(1)).unwrap().message.len(), 1024);
    assert!(scenario.results().is_empty());
    scenario.notice(1, &done());
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
}

#[test]
fn a_release_notice_before_the_reply_to_the_post_shows_that_the_call_was_sent() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.release_notice(1, &unknown_task());
    assert!(scenario.only_sent().is_ok());
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    scenario.advance(Duration::from_secs(10));
    assert!(scenario.posts().is_empty(), "no duplicate is posted");
    scenario.notice(1, &done());
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
}

#[test]
fn a_release_notice_does_not_invoke_a_callback() {
    let mut scenario = Scenario::sent(call_with_callback(1));
    scenario.release_notice(1, &unknown_task());
    assert!(scenario.results().is_empty());
    scenario.notice(1, &done());
    assert_eq!(scenario.results(), [(id(1), done(), Some("[5]".to_owned()))]);
}

#[test]
fn an_unknown_outcome_ends_no_wait() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    let text = String::from_utf8(notice(1, &failed())).unwrap();
    let payload = text.replace(r#""outcome":"dead""#, r#""outcome":"postponed""#).into_bytes();
    let channel = scenario.reply_channel();
    scenario.feed(Input::Notice { channel, payload });
    assert_eq!(scenario.events(), [Event::NoticeIgnored]);
    assert!(scenario.results().is_empty());
    scenario.notice(1, &done());
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
}

#[test]
fn an_input_before_the_latest_moment_counts_from_that_moment() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    scenario.advance(Duration::from_secs(60));
    let latest = scenario.now();
    scenario.set_clock_back();
    scenario.feed(Input::Drain { limit: Duration::from_secs(5) });
    assert_eq!(scenario.deadline().unwrap().at, latest + Duration::from_secs(5));
}

#[test]
fn a_dropped_handle_is_not_resumed() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    scenario.feed(Input::Forget(id(1)));
    scenario.notice(1, &done());
    assert!(scenario.results().is_empty());
}

#[test]
fn a_call_whose_handle_is_dropped_is_still_sent() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.feed(Input::Forget(id(1)));
    scenario.fail(&post, fault(FaultKind::Unreachable));
    scenario.reach_deadline();
    let post = scenario.only_post();
    scenario.accept(&post);
    assert!(scenario.only_sent().is_ok());
    scenario.notice(1, &done());
    assert!(scenario.results().is_empty());
}

#[test]
fn an_early_notice_for_a_dropped_handle_shows_that_the_call_was_sent() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    scenario.feed(Input::Forget(id(1)));
    scenario.notice(1, &done());
    assert!(scenario.only_sent().is_ok());
    assert!(!scenario.events().contains(&Event::NoticeIgnored));
}

#[test]
fn a_callback_receives_the_result_without_a_handle() {
    let mut scenario = Scenario::sent(call_with_both(1));
    scenario.feed(Input::Forget(id(1)));
    scenario.notice(1, &done());
    assert_eq!(scenario.results().len(), 1);
}

#[test]
fn with_too_many_waiting_handles_the_call_is_returned() {
    let config = config_with_notifier().with_waiting(1);
    let mut scenario = Scenario::subscribed(config);
    scenario.feed(Input::Calls(vec![call_with_handle(1), call_with_handle(2), call(3)]));
    let errors = scenario.send_errors();
    assert!(
        matches!(&errors[..], [SendError::TooManyHandles { limit: 1, call }] if call.id == id(2))
    );
}

#[test]
fn a_dropped_handle_makes_room_immediately() {
    let config = config_with_notifier().with_waiting(1);
    let mut scenario = Scenario::subscribed(config);
    scenario.call(call_with_handle(1));
    scenario.feed(Input::Forget(id(1)));
    scenario.call(call_with_handle(2));
    assert!(scenario.send_errors().is_empty());
}

#[test]
fn a_handle_is_not_evicted_for_a_callback() {
    let config = config_with_notifier().with_waiting(1);
    let mut scenario = Scenario::subscribed(config);
    scenario.feed(Input::Calls(vec![call_with_both(1), call_with_callback(2)]));
    let errors = scenario.send_errors();
    assert!(matches!(&errors[..], [SendError::TooManyHandles { .. }]));
}

#[test]
fn callbacks_whose_results_never_arrive_do_not_prevent_calls() {
    let config = config_with_notifier().with_waiting(2);
    let mut scenario = Scenario::subscribed(config);
    for number in 1..=5 {
        scenario.call(call_with_callback(number));
    }
    assert!(scenario.send_errors().is_empty());
    let evicted = |number| Event::CallbackEvicted { task: task_ref(number), limit: 2 };
    assert_eq!(scenario.events(), [evicted(1), evicted(2), evicted(3)]);
}

#[test]
fn with_too_many_callbacks_the_oldest_without_a_handle_is_evicted() {
    let config = config_with_notifier().with_waiting(2);
    let mut scenario = Scenario::subscribed(config);
    scenario.feed(Input::Calls(vec![call_with_both(1), call_with_both(2)]));
    scenario.feed(Input::Forget(id(2)));
    scenario.feed(Input::Forget(id(1)));
    scenario.call(call_with_both(3));
    let evicted = Event::CallbackEvicted { task: task_ref(1), limit: 2 };
    assert_eq!(scenario.events(), [evicted]);
    assert!(scenario.send_errors().is_empty());
}

#[test]
fn a_sent_call_without_a_reply_is_forgotten() {
    let scenario = Scenario::sent(call(1));
    assert!(!scenario.producer().pending.contains(id(1)));
}

#[test]
fn an_id_that_is_in_use_is_refused() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    scenario.call(call_with_handle(1));
    assert_eq!(scenario.only_sent(), Err("IdInUse".to_owned()));
}

#[test]
fn the_status_is_known_between_the_queues_reply_and_the_result() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    assert_eq!(scenario.producer().status(id(1)), None);
    scenario.accept(&post);
    assert_eq!(scenario.producer().status(id(1)), Some(TaskStatus::Scheduled));
    scenario.notice(1, &done());
    assert_eq!(scenario.producer().status(id(1)), None);
}

#[test]
fn a_notice_for_one_call_of_a_batch_leaves_the_others_to_the_queues_reply() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.feed(Input::Calls(vec![call_with_handle(1), call_with_handle(2)]));
    let post = scenario.only_post();
    scenario.notice(2, &done());
    scenario.feed(Input::Queue(
        post.op,
        Ok(QueueReply::all_posted([MessageId::new("a"), MessageId::new("b")])),
    ));
    let sent: Vec<_> = scenario.sent_results().into_iter().map(|(id, _)| id).collect();
    assert_eq!(sent, [id(2), id(1)]);
    assert_eq!(scenario.results().len(), 1);
}
