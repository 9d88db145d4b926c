//! Calls whose callers chose the ids of their tasks.

use std::time::Duration;

use super::scenario::*;
use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName};
use crate::producer::{Call, IdConflict, Input, ReplyTo, SendError};
use crate::queue::FaultKind;
use crate::wire::{Envelope, RawJson};

const SECOND: Duration = Duration::from_secs(1);

/// A call of this number under the id that all of them chose.
fn sharing(number: u8) -> Call {
    Call { chosen_id: Some(chosen()), ..call_with_handle(number) }
}

fn chosen() -> TaskId {
    id(200)
}

/// The conflict of the only call that failed.
fn conflict(scenario: &mut Scenario) -> IdConflict {
    match &scenario.send_errors()[..] {
        [SendError::IdConflict { id, task, conflict }] => {
            assert_eq!((*id, task.as_str()), (chosen(), "testpackage.factorial"));
            *conflict
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_message_carries_the_chosen_id() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(sharing(1));
    let body = scenario.only_post().bodies.remove(0);
    assert_eq!(Envelope::parse(&body).unwrap().options.ivy().unwrap().id, chosen());
}

#[test]
fn calls_of_one_id_share_one_message_and_each_gets_the_result() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(sharing(1));
    scenario.call(sharing(2));
    let post = scenario.only_post();
    assert_eq!(post.bodies.len(), 1);
    scenario.accept(&post);
    let sent = Ok(MessageId::new("0"));
    assert_eq!(scenario.sent_results(), [(id(1), sent.clone()), (id(2), sent.clone())]);
    // Also a call that comes when the message is sent.
    scenario.call(sharing(3));
    assert_eq!(scenario.sent_results(), [(id(3), sent)]);
    assert!(scenario.posts().is_empty());
    scenario.notice(200, &done());
    let resumed: Vec<_> = scenario.results().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(resumed, [id(1), id(2), id(3)]);
}

#[test]
fn calls_of_one_id_in_one_input_share_one_message() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.feed(Input::Calls(vec![sharing(1), sharing(2)]));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn a_shared_message_that_fails_fails_for_all_its_calls() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.feed(Input::Calls(vec![sharing(1), sharing(2)]));
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::Refused));
    let refused = Err("Refused: Refused".to_owned());
    assert_eq!(scenario.sent_results(), [(id(1), refused.clone()), (id(2), refused)]);
    scenario.call(sharing(3));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn an_id_is_free_when_its_result_has_arrived_or_nobody_waits_for_it() {
    for ends_by_result in [true, false] {
        let mut scenario = Scenario::sent(sharing(1));
        if ends_by_result {
            scenario.notice(200, &done());
        } else {
            scenario.feed(Input::Forget(id(1)));
        }
        scenario.call(sharing(2));
        assert_eq!(scenario.post_sizes(), [1]);
    }
}

#[test]
fn a_dropped_handle_leaves_the_result_to_the_others() {
    let mut scenario = Scenario::sent(sharing(1));
    scenario.call(sharing(2));
    scenario.feed(Input::Forget(id(1)));
    scenario.notice(200, &done());
    let resumed: Vec<_> = scenario.results().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(resumed, [id(2)]);
}

#[test]
fn a_fire_and_forget_call_ends_when_the_queue_has_accepted_it() {
    let mut scenario = Scenario::sent(Call { reply: ReplyTo::None, ..sharing(1) });
    scenario.call(sharing(2));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn another_task_queue_or_arguments_under_an_id_in_use_are_a_conflict() {
    let mut scenario = Scenario::sent(sharing(1));
    scenario.call(Call { task: TaskName::new("testpackage.sum").unwrap(), ..sharing(2) });
    assert_eq!(conflict(&mut scenario), IdConflict::OtherTask);
    scenario.call(Call { queue: QueueName::new("other").unwrap(), ..sharing(2) });
    assert_eq!(conflict(&mut scenario), IdConflict::OtherQueue);
    scenario.call(Call { args: RawJson::parse("[6]").unwrap(), ..sharing(2) });
    assert_eq!(conflict(&mut scenario), IdConflict::OtherArgs);
    assert!(scenario.posts().is_empty());
}

#[test]
fn a_conflict_shows_no_arguments() {
    let mut scenario = Scenario::sent(sharing(1));
    scenario.call(Call { args: RawJson::parse(r#"["secret"]"#).unwrap(), ..sharing(2) });
    let error = scenario.send_errors().remove(0);
    assert_eq!(
        error.to_string(),
        format!(
            "the task id {} is in use by task testpackage.factorial, with other arguments; choose another id, or wait until that task has ended",
            chosen()
        )
    );
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
fn a_call_that_wants_a_result_cannot_share_a_message_that_asks_for_none() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(Call { reply: ReplyTo::None, ..sharing(1) });
    scenario.call(sharing(2));
    assert_eq!(conflict(&mut scenario), IdConflict::NoResult);
}

#[test]
fn a_generated_id_cannot_be_chosen_while_it_is_in_use() {
    let mut scenario = Scenario::sent(call_with_handle(200));
    scenario.call(sharing(1));
    assert_eq!(conflict(&mut scenario), IdConflict::Generated);
}

#[test]
fn a_callback_gets_a_shared_result_once() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    let both = |number| Call { reply: ReplyTo::HandleAndCallback, ..sharing(number) };
    scenario.feed(Input::Calls(vec![both(1), both(2)]));
    let post = scenario.only_post();
    scenario.accept(&post);
    scenario.notice(200, &done());
    let args: Vec<_> = scenario.results().into_iter().map(|(.., args)| args.is_some()).collect();
    assert_eq!(args, [true, false]);
}

#[test]
fn each_call_has_its_own_limit_and_the_message_that_of_the_last() {
    let mut scenario = Scenario::subscribed(config_with_notifier().with_posts_in_flight(1));
    scenario.call(call(99));
    let first = scenario.only_post();
    let within = |limit, call| Call { within: Some(limit), ..call };
    scenario.call(within(SECOND, sharing(1)));
    scenario.call(within(3 * SECOND, sharing(2)));
    scenario.advance(SECOND);
    // The message may still be sent for the other call.
    assert_eq!(scenario.sent_results(), [(id(1), Err("NoReply".to_owned()))]);
    scenario.advance(2 * SECOND);
    assert_eq!(scenario.sent_results(), [(id(2), Err("Withdrawn".to_owned()))]);
    scenario.accept(&first);
    assert!(scenario.posts().is_empty());
}

#[test]
fn a_repeated_call_waits_for_the_request_that_is_under_way() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(Call { within: Some(SECOND), ..sharing(1) });
    let post = scenario.only_post();
    scenario.advance(SECOND);
    assert_eq!(scenario.only_sent(), Err("NoReply".to_owned()));
    scenario.call(sharing(2));
    assert!(scenario.posts().is_empty());
    scenario.accept(&post);
    assert_eq!(scenario.sent_results(), [(id(2), Ok(MessageId::new("0")))]);
    scenario.notice(200, &done());
    assert_eq!(scenario.results().len(), 2);
}

#[test]
fn a_repeated_call_is_not_sent_if_the_late_reply_shows_that_the_first_was() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(Call { within: Some(SECOND), ..sharing(1) });
    let post = scenario.only_post();
    scenario.advance(SECOND);
    assert_eq!(scenario.only_sent(), Err("NoReply".to_owned()));
    scenario.accept(&post);
    scenario.call(sharing(2));
    assert_eq!(scenario.sent_results(), [(id(2), Ok(MessageId::new("0")))]);
    assert!(scenario.posts().is_empty());
}

#[test]
fn a_repeated_call_is_sent_again_if_no_request_is_under_way() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(Call { within: Some(SECOND), ..sharing(1) });
    let post = scenario.only_post();
    scenario.advance(SECOND);
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    scenario.advance(SECOND);
    scenario.sent_results();
    scenario.call(Call { within: Some(SECOND), ..sharing(2) });
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn a_repeated_call_is_never_certain_not_to_be_sent() {
    let mut scenario = Scenario::subscribed(config_with_notifier().with_posts_in_flight(1));
    scenario.call(Call { within: Some(SECOND), ..sharing(1) });
    let post = scenario.only_post();
    scenario.advance(SECOND);
    let lost = fault(FaultKind::ReplyLost).with_retry_after(Duration::from_secs(20));
    scenario.fail(&post, lost);
    scenario.sent_results();
    scenario.call(Call { within: Some(SECOND), ..sharing(2) });
    scenario.advance(SECOND);
    // This call was not posted, but the message of the first one may be stored.
    assert_eq!(scenario.sent_results(), [(id(2), Err("NoReply".to_owned()))]);
    scenario.advance(Duration::from_secs(60));
    assert!(scenario.posts().is_empty());
}

#[test]
fn a_call_without_a_limit_that_shares_a_message_waits_for_the_subscription_as_any_other() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(Call { within: Some(SECOND), ..sharing(1) });
    scenario.call(sharing(2));
    scenario.advance(SECOND);
    assert_eq!(scenario.sent_results(), [(id(1), Err("NoReply".to_owned()))]);
    scenario.advance(Duration::from_secs(9));
    assert_eq!(scenario.sent_results(), [(id(2), Err("NotifierUnavailable".to_owned()))]);
    scenario.feed(Input::Subscribed);
    assert!(scenario.posts().is_empty());
}
