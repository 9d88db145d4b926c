//! How failed posts are handled.

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Part};
use crate::id::MessageId;
use crate::misuse::Misuse;
use crate::producer::{Input, ReplyTo, Timer};
use crate::queue::{FaultKind, QueueReply};
use crate::wire::Options;

fn queue_part() -> Part {
    Part::Queue(call(1).queue)
}

#[test]
fn an_unsent_message_is_sent_again_after_a_delay() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::Unreachable));
    assert!(scenario.posts().is_empty());
    assert_eq!(scenario.reach_deadline(), Timer::Resend(call(1).queue));
    let again = scenario.only_post();
    assert_eq!(again.bodies, post.bodies);
    scenario.accept(&again);
    assert_eq!(scenario.only_sent(), Ok(MessageId::new("0")));
}

#[test]
fn a_message_fails_after_five_tries() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    for _ in 0..4 {
        scenario.fail_and_pause(FaultKind::Unreachable);
        assert!(scenario.sent_results().is_empty());
    }
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::Unreachable));
    assert_eq!(scenario.only_sent(), Err("NotSent after 5".to_owned()));
    let failures = scenario.events();
    assert!(failures.iter().any(|event| matches!(event, Event::SendFailed { .. })));
}

#[test]
fn delays_are_random_and_grow_up_to_a_maximum() {
    let mut scenario = Scenario::new(config().with_tries(1_000));
    scenario.call(call(1));
    for round in 0..300 {
        let start = scenario.now();
        scenario.fail_and_pause(FaultKind::Unreachable);
        let pause = scenario.now().since(start);
        assert!(pause <= crate::Backoff::REQUESTS.ceiling(round), "round {round}: {pause:?}");
        assert!(round < 2 || pause >= Duration::from_millis(500), "round {round}: {pause:?}");
    }
}

#[test]
fn posts_that_fail_together_count_as_one_round() {
    let mut scenario = Scenario::new(config());
    for number in 1..=8 {
        scenario.call(call(number));
    }
    for post in scenario.posts() {
        scenario.fail(&post, fault(FaultKind::Unreachable));
    }
    let start = scenario.now();
    scenario.reach_deadline();
    assert!(scenario.now().since(start) <= Duration::from_millis(100));
}

#[test]
fn of_two_delays_the_longer_one_applies() {
    let retry_after =
        |seconds| fault(FaultKind::TooManyRequests).with_retry_after(Duration::from_secs(seconds));
    for seconds in [[20, 1], [1, 20]] {
        let mut scenario = Scenario::new(config());
        scenario.call(call(1));
        scenario.call(call(2));
        for (post, seconds) in scenario.posts().iter().zip(seconds) {
            scenario.fail(post, retry_after(seconds));
        }
        scenario.advance(Duration::from_secs(19));
        assert!(scenario.posts().is_empty());
        scenario.advance(Duration::from_secs(1));
        scenario.only_post();
    }
}

#[test]
fn a_batch_is_sent_again_in_its_order() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(calls(5)));
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::Unreachable));
    scenario.reach_deadline();
    assert_eq!(scenario.only_post().bodies, post.bodies);
}

#[test]
fn the_retry_after_of_the_queue_is_respected() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    let post = scenario.only_post();
    let busy = fault(FaultKind::TooManyRequests).with_retry_after(Duration::from_secs(20));
    scenario.fail(&post, busy);
    scenario.advance(Duration::from_millis(19_999));
    assert!(scenario.posts().is_empty());
    scenario.advance(Duration::from_millis(1));
    scenario.only_post();
}

#[test]
fn the_retry_after_of_the_queue_is_limited_to_a_minute() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    let post = scenario.only_post();
    let busy = fault(FaultKind::TooManyRequests).with_retry_after(Duration::from_secs(86_400));
    scenario.fail(&post, busy);
    scenario.advance(Duration::from_secs(60));
    scenario.only_post();
}

#[test]
fn an_unreachable_queue_is_tried_with_one_post_at_a_time() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    scenario.call(call(2));
    for post in scenario.posts() {
        scenario.fail(&post, fault(FaultKind::Unreachable));
    }
    scenario.feed(Input::Calls((3..=250).map(call).collect()));
    assert!(scenario.posts().is_empty());
    scenario.reach_deadline();
    let post = scenario.only_post();
    assert_eq!(post.bodies.len(), 100);
    scenario.accept(&post);
    assert_eq!(scenario.post_sizes(), [100, 50]);
}

#[test]
fn an_unreachable_queue_receives_at_most_two_requests_a_second() {
    let mut scenario = Scenario::new(config());
    let (mut requests, minutes) = (0, 10);
    for second in 0..60 * minutes {
        scenario.call(call(u8::try_from(second % 250).unwrap()));
        for _ in 0..20 {
            for post in scenario.posts() {
                requests += 1;
                scenario.fail(&post, fault(FaultKind::Unreachable));
            }
            scenario.advance(Duration::from_millis(50));
        }
    }
    assert!(requests <= 60 * minutes * 2, "{requests} requests in {minutes} minutes");
    assert!(requests >= 60 * minutes / 10, "{requests} requests in {minutes} minutes");
}

#[test]
fn calls_that_wait_for_an_unreachable_queue_fail_in_time() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(1));
    scenario.call(call(1));
    let post = scenario.only_post();
    scenario.feed(Input::Calls((2..=250).map(call).collect()));
    scenario.fail(&post, fault(FaultKind::Unreachable));
    for _ in 0..3 {
        scenario.reach_deadline();
        let post = scenario.only_post();
        scenario.fail(&post, fault(FaultKind::Unreachable));
        assert!(scenario.sent_results().is_empty());
    }
    scenario.reach_deadline();
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::Unreachable));
    let sent = scenario.sent_results();
    assert_eq!(sent.len(), 250);
    assert!(sent.iter().all(|(_, result)| *result == Err("NotSent after 5".to_owned())));
}

#[test]
fn lost_replies_cost_waiting_calls_no_tries() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(1).with_tries(2));
    let mut first = calls(100);
    first.iter_mut().for_each(|call| call.options = Options::new().with_retry(false));
    scenario.feed(Input::Calls(first));
    let post = scenario.only_post();
    scenario.call(call(200));
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    scenario.reach_deadline();
    scenario.sent_results();
    scenario.fail_and_pause(FaultKind::ReplyLost);
    assert!(scenario.sent_results().is_empty());
}

#[test]
fn a_degraded_queue_and_its_recovery_are_reported_once() {
    let mut scenario = Scenario::new(config().with_tries(100));
    scenario.call(call(1));
    for _ in 0..10 {
        scenario.fail_and_pause(FaultKind::Unreachable);
    }
    let is_degraded = |event: &&Event| matches!(event, Event::Degraded { .. });
    assert_eq!(scenario.events().iter().filter(is_degraded).count(), 1);
    let post = scenario.only_post();
    scenario.accept(&post);
    let recovered = Event::Recovered { part: queue_part() };
    assert_eq!(scenario.events().iter().filter(|event| **event == recovered).count(), 1);
}

#[test]
fn a_single_failure_is_not_reported_as_degradation() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    scenario.fail_and_pause(FaultKind::Unreachable);
    let post = scenario.only_post();
    scenario.accept(&post);
    let is_health =
        |event: &Event| matches!(event, Event::Degraded { .. } | Event::Recovered { .. });
    assert!(!scenario.events().iter().any(is_health));
}

#[test]
fn a_message_that_may_be_stored_is_sent_again_under_the_same_id_and_reported() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    scenario.reach_deadline();
    let again = scenario.only_post();
    assert_eq!(again.bodies, post.bodies);
    assert!(scenario.events().contains(&Event::Resent { task: task_ref(1), tries: 1 }));
}

#[test]
fn each_resend_is_reported() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    for _ in 0..4 {
        scenario.fail_and_pause(FaultKind::ServerError);
    }
    let resent = |event: &Event| match event {
        Event::Resent { tries, .. } => Some(*tries),
        _ => None,
    };
    assert_eq!(scenario.events().iter().filter_map(resent).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::ServerError));
    assert_eq!(scenario.only_sent(), Err("Unknown after 5".to_owned()));
}

#[test]
fn a_task_without_retries_is_not_sent_twice() {
    let mut no_retries = call(2);
    no_retries.options = Options::new().with_max_retries(0);
    for call in [call_once(1), no_retries] {
        let mut scenario = Scenario::new(config());
        scenario.call(call);
        let post = scenario.only_post();
        scenario.fail(&post, fault(FaultKind::ReplyLost));
        assert_eq!(scenario.only_sent(), Err("Unknown after 1".to_owned()));
        scenario.advance(Duration::from_secs(60));
        assert!(scenario.posts().is_empty());
    }
}

#[test]
fn a_task_without_retries_that_was_not_stored_is_sent_again() {
    let mut scenario = Scenario::new(config());
    scenario.call(call_once(1));
    scenario.fail_and_pause(FaultKind::Unreachable);
    scenario.only_post();
}

#[test]
fn the_handle_of_a_call_with_an_unknown_result_still_receives_its_outcome() {
    let mut call = call_once(1);
    call.reply = ReplyTo::Handle;
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call);
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    assert_eq!(scenario.only_sent(), Err("Unknown after 1".to_owned()));
    scenario.notice(1, &done());
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
}

#[test]
fn after_a_lost_reply_a_call_is_never_reported_as_not_sent() {
    let mut scenario = Scenario::new(config().with_tries(2));
    for last in [FaultKind::Unreachable, FaultKind::Unauthorized] {
        scenario.call(call(1));
        scenario.fail_and_pause(FaultKind::ReplyLost);
        let post = scenario.only_post();
        scenario.fail(&post, fault(last));
        assert!(scenario.only_sent().unwrap_err().starts_with("Unknown"), "{last:?}");
        scenario.advance(Duration::from_secs(10));
    }
}

#[test]
fn a_reply_with_another_number_of_ids_makes_all_calls_unknown() {
    for count in [0, 1, 3] {
        let mut scenario = Scenario::new(config());
        scenario.feed(Input::Calls(vec![call_once(1), call_once(2)]));
        let post = scenario.only_post();
        let ids = vec![MessageId::new("1"); count];
        scenario.feed(Input::Queue(post.op, Ok(QueueReply::all_posted(ids))));
        let unknown = Err("Unknown after 1".to_owned());
        let expected = [(id(1), unknown.clone()), (id(2), unknown)];
        assert_eq!(scenario.sent_results(), expected, "{count}");
    }
}

/// Replies to the only post, message by message.
fn reply_each(scenario: &mut Scenario, kinds: [Option<FaultKind>; 3]) {
    let post = scenario.only_post();
    let entry = |kind: Option<FaultKind>| match kind {
        Some(kind) => Err(fault(kind)),
        None => Ok(MessageId::new("1")),
    };
    let entries = kinds.into_iter().map(entry).collect();
    scenario.feed(Input::Queue(post.op, Ok(QueueReply::Posted(entries))));
}

#[test]
fn one_refused_message_does_not_prevent_the_others_from_being_sent() {
    for kind in [FaultKind::Refused, FaultKind::TooLarge] {
        let mut scenario = Scenario::new(config());
        scenario.feed(Input::Calls(calls(3)));
        reply_each(&mut scenario, [None, Some(kind), None]);
        let sent = || Ok(MessageId::new("1"));
        let refused = Err(format!("Refused: {kind:?}"));
        let expected = [(id(1), sent()), (id(3), sent()), (id(2), refused)];
        assert_eq!(scenario.sent_results(), expected);
        assert_eq!(scenario.post_sizes(), [0; 0], "no message is sent again");
    }
}

#[test]
fn only_the_messages_that_may_be_stored_or_were_not_accepted_are_sent_again() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(calls(3)));
    let kinds = [Some(FaultKind::ServerError), None, Some(FaultKind::TooManyRequests)];
    reply_each(&mut scenario, kinds);
    assert_eq!(scenario.sent_results(), [(id(2), Ok(MessageId::new("1")))]);
    assert!(matches!(scenario.reach_deadline(), Timer::Resend(_)));
    assert_eq!(scenario.post_sizes(), [2]);
}

#[test]
fn a_message_that_may_be_stored_is_not_sent_again_if_duplicates_are_not_allowed() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(vec![call_once(1), call_once(2), call_once(3)]));
    let kinds = [Some(FaultKind::BadReply), None, Some(FaultKind::TooManyRequests)];
    reply_each(&mut scenario, kinds);
    let unknown = Err("Unknown after 1".to_owned());
    let expected = [(id(2), Ok(MessageId::new("1"))), (id(1), unknown)];
    assert_eq!(scenario.sent_results(), expected);
    assert!(matches!(scenario.reach_deadline(), Timer::Resend(_)));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn refused_messages_fail_immediately() {
    for kind in [FaultKind::Unauthorized, FaultKind::Redirected, FaultKind::NoQueue] {
        let mut scenario = Scenario::new(config());
        scenario.feed(Input::Calls(calls(2)));
        let post = scenario.only_post();
        scenario.fail(&post, fault(kind));
        let refused = Err(format!("Refused: {kind:?}"));
        assert_eq!(scenario.sent_results(), [(id(1), refused.clone()), (id(2), refused)]);
    }
}

#[test]
fn a_refused_batch_is_split_down_to_the_invalid_message() {
    for kind in [FaultKind::Refused, FaultKind::TooLarge] {
        let mut scenario = Scenario::new(config());
        let mut calls = calls(8);
        calls[4].args = crate::wire::RawJson::parse("[\"invalid\"]").unwrap();
        scenario.feed(Input::Calls(calls));
        let mut sizes = Vec::new();
        let mut posts = scenario.posts();
        while let Some(post) = &posts.pop() {
            sizes.push(post.bodies.len());
            if post.bodies.iter().any(|body| body.contains("invalid")) {
                scenario.fail(post, fault(kind));
            } else {
                scenario.accept(post);
            }
            posts.extend(scenario.posts());
        }
        let sent = scenario.sent_results();
        for (task, result) in &sent {
            assert_eq!(result.is_err(), *task == id(5), "{task}: {result:?}");
        }
        assert_eq!(sent.len(), 8);
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 2, 2, 4, 4, 8]);
    }
}

#[test]
fn halves_of_a_batch_are_not_merged_again() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(1));
    scenario.feed(Input::Calls(calls(4)));
    let post = scenario.only_post();
    scenario.feed(Input::Calls((5..=9).map(call).collect()));
    scenario.fail(&post, fault(FaultKind::Refused));
    let half = scenario.only_post();
    assert_eq!(half.bodies, post.bodies[..2]);
    scenario.accept(&half);
    let half = scenario.only_post();
    assert_eq!(half.bodies, post.bodies[2..]);
    scenario.accept(&half);
    assert_eq!(scenario.post_sizes(), [5]);
}

#[test]
fn a_reply_of_another_kind_is_a_misuse_and_changes_nothing() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    let post = scenario.only_post();
    let wrong = Input::Queue(post.op, Ok(QueueReply::all_deleted(1)));
    assert_eq!(scenario.try_feed(wrong), Err(Misuse::WrongReply(post.op)));
    scenario.accept(&post);
    assert!(scenario.only_sent().is_ok());
}

#[test]
fn a_second_reply_is_a_misuse() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    let post = scenario.only_post();
    scenario.accept(&post);
    let again = Input::Queue(post.op, Err(fault(FaultKind::ReplyLost)));
    assert_eq!(scenario.try_feed(again), Err(Misuse::UnknownOp(post.op)));
}
