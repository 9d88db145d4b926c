//! How calls are batched into posts.

use std::time::Duration;

use super::scenario::*;
use crate::name::QueueName;
use crate::producer::Input;
use crate::producer::ProducerConfig;
use crate::queue::Capabilities;
use crate::wire::{Codec, RawJson};

const NOTHING: [usize; 0] = [];

#[test]
fn a_call_is_posted_immediately() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    assert_eq!(scenario.only_post().queue.as_str(), QUEUE);
}

#[test]
fn calls_of_one_input_are_batched() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(calls(30)));
    assert_eq!(scenario.post_sizes(), [30]);
}

#[test]
fn a_batch_contains_as_many_messages_as_the_queue_accepts() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(calls(250)));
    assert_eq!(scenario.post_sizes(), [100, 100, 50]);
}

#[test]
fn a_batch_contains_as_many_bytes_as_the_queue_accepts() {
    let mut capabilities = Capabilities::broker();
    capabilities.max_request = 1_000;
    let mut scenario = Scenario::new(ProducerConfig::new(capabilities, Codec::plain()));
    scenario.feed(Input::Calls(calls(10)));
    let posts = scenario.posts();
    assert!(posts.len() > 1);
    for post in posts {
        let messages: Vec<_> = post
            .bodies
            .iter()
            .map(|body| serde_json::json!({"body": body, "delay": 604_800}))
            .collect();
        assert!(serde_json::json!({ "messages": messages }).to_string().len() <= 1_000);
    }
}

#[test]
fn a_message_larger_than_a_request_is_posted_alone() {
    let mut capabilities = Capabilities::broker();
    capabilities.max_request = 100;
    let mut scenario = Scenario::new(ProducerConfig::new(capabilities, Codec::plain()));
    scenario.feed(Input::Calls(calls(3)));
    assert_eq!(scenario.post_sizes(), [1, 1, 1]);
}

#[test]
fn single_calls_are_posted_immediately_until_half_of_the_posts_are_in_flight() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(4));
    for number in 1..=10 {
        scenario.call(call(number));
    }
    let posts = scenario.posts();
    assert_eq!(sizes(&posts), [1, 1]);
    scenario.accept(&posts[0]);
    assert_eq!(scenario.post_sizes(), [8]);
}

#[test]
fn a_call_waits_two_milliseconds_at_most_to_be_batched() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(4));
    for number in 1..=3 {
        scenario.call(call(number));
    }
    assert_eq!(scenario.post_sizes(), [1, 1]);
    scenario.advance(Duration::from_millis(1));
    scenario.call(call(4));
    assert_eq!(scenario.post_sizes(), NOTHING);
    scenario.advance(Duration::from_millis(1));
    assert_eq!(scenario.post_sizes(), [2]);
}

#[test]
fn a_full_post_is_sent_immediately() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(4));
    for number in 1..=102 {
        scenario.call(call(number));
    }
    assert_eq!(scenario.post_sizes(), [1, 1, 100]);
}

#[test]
fn while_a_full_post_is_in_flight_calls_wait_to_be_batched() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(calls(100)));
    let full = scenario.only_post();
    for number in 101..=103 {
        scenario.call(call(number));
    }
    assert_eq!(scenario.post_sizes(), NOTHING);
    scenario.accept(&full);
    assert_eq!(scenario.post_sizes(), [3]);
}

#[test]
fn calls_are_batched_while_no_more_posts_may_be_in_flight() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(2));
    for number in 1..=2 {
        scenario.call(call(number));
        scenario.advance(Duration::from_millis(2));
    }
    for number in 3..=10 {
        scenario.call(call(number));
        scenario.advance(Duration::from_secs(1));
    }
    let posts = scenario.posts();
    assert_eq!(sizes(&posts), [1, 1]);
    scenario.accept(&posts[0]);
    assert_eq!(scenario.post_sizes(), [8]);
}

#[test]
fn each_queue_has_its_own_posts() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(1));
    let mut elsewhere = call(2);
    elsewhere.queue = QueueName::new("elsewhere").unwrap();
    scenario.feed(Input::Calls(vec![call(1), elsewhere, call(3)]));
    let posts = scenario.posts();
    let sizes: Vec<_> = posts.iter().map(|post| (post.queue.as_str(), post.bodies.len())).collect();
    assert_eq!(sizes, [("elsewhere", 1), (QUEUE, 2)]);
}

#[test]
fn calls_keep_their_order_in_their_queue() {
    let mut scenario = Scenario::new(config());
    let numbered = (0..250).map(|number| {
        let mut call = call(u8::try_from(number).unwrap());
        call.args = RawJson::parse(&format!("[{number}]")).unwrap();
        call
    });
    scenario.feed(Input::Calls(numbered.collect()));
    let bodies = scenario.posts().into_iter().flat_map(|post| post.bodies);
    for (number, body) in bodies.enumerate() {
        assert!(body.ends_with(&format!("\"args\":[{number}]}}")), "{body}");
    }
}

#[test]
fn each_call_of_a_batch_receives_its_message_id() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(calls(3)));
    let post = scenario.only_post();
    scenario.accept(&post);
    let sent: Vec<_> = scenario
        .sent_results()
        .into_iter()
        .map(|(id, message)| (id, message.unwrap().as_str().to_owned()))
        .collect();
    let expected = [(id(1), "0"), (id(2), "1"), (id(3), "2")];
    assert_eq!(sent, expected.map(|(id, message)| (id, message.to_owned())));
}

#[test]
fn a_full_outbox_returns_the_call() {
    let mut scenario = Scenario::new(config().with_outbox(2));
    scenario.feed(Input::Calls(calls(3)));
    match scenario.send_errors().as_slice() {
        [crate::producer::SendError::Full { limit: 2, call }] => assert_eq!(call.id, id(3)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sent_call_makes_room_in_the_outbox() {
    let mut scenario = Scenario::new(config().with_outbox(1));
    scenario.call(call(1));
    let post = scenario.only_post();
    scenario.accept(&post);
    scenario.call(call(2));
    assert_eq!(scenario.post_sizes(), [1]);
}

fn sizes(posts: &[RequestedPost]) -> Vec<usize> {
    posts.iter().map(|post| post.bodies.len()).collect()
}
