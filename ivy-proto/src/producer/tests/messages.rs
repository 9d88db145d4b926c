//! The contents of messages, and calls that are refused before anything is sent.

use std::time::Duration;

use super::scenario::*;
use crate::name::{Priority, QueueName, TaskName};
use crate::producer::{Call, Input, ProducerConfig, SendError, SizeUnit};
use crate::queue::{Body, Capabilities, NameRule};
use crate::time::WallClock;
use crate::wire::{
    Codec, IvyOptions, LegacyKey, Options, POSTED_UTF16_LIMIT, RawJson, TraceContext, TraceParent,
    TraceState, posted_utf16_units,
};

fn body_of(call: Call) -> String {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(call);
    scenario.only_post().bodies.remove(0)
}

fn error_of(config: ProducerConfig, call: Call) -> Option<SendError> {
    let mut scenario = Scenario::new(config);
    scenario.call(call);
    let error = scenario.send_errors().pop();
    assert_eq!(error.is_some(), scenario.posts().is_empty());
    error
}

#[test]
fn a_call_to_a_queue_name_that_the_backend_does_not_allow_is_refused() {
    let mut capabilities = Capabilities::broker();
    capabilities.names = Some(NameRule::new(|queue| match queue.as_str().contains('.') {
        true => Err("it has a dot"),
        false => Ok(()),
    }));
    let mut scenario = Scenario::new(ProducerConfig::new(capabilities, Codec::plain()));
    scenario.call(call(1));
    let text = "the queue's server cannot have a queue testpackage.dead, because it has a dot; choose another name";
    let errors: Vec<_> = scenario.send_errors().iter().map(ToString::to_string).collect();
    assert_eq!(errors, [text]);
}

#[test]
fn a_call_to_a_queue_name_without_room_for_its_suffixes_is_refused() {
    let mut call = call(1);
    call.queue = QueueName::new(&"q".repeat(251)).unwrap();
    let error = error_of(config(), call);
    assert!(matches!(error, Some(SendError::NameNotForBackend(_))), "{error:?}");
}

#[test]
fn a_call_without_options_contains_only_its_id() {
    let id = id(1);
    assert_eq!(
        body_of(call(1)),
        format!(
            r#"{{"name":"testpackage.factorial","options":{{"ivy":{{"v":1,"id":"{id}","due":1700000000000}}}},"args":[5]}}"#
        )
    );
}

#[test]
fn all_options_appear_in_their_order() {
    let mut call = call_with_handle(1);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut ivy = IvyOptions::new(call.id);
    ivy.trace = TraceParent::parse(trace);
    ivy.tracestate = TraceState::parse("a=1");
    call.options = Options::new()
        .with_retry(false)
        .with_max_retries(3)
        .with_priority(Priority::new(2).unwrap())
        .with_route("route1")
        .with_ivy(ivy);
    call.expires_after = Some(Duration::from_secs(60));
    let reply = Scenario::new(config_with_notifier()).reply_channel();
    let (id, reply) = (id(1), reply.as_str());
    let expected = format!(
        r#""options":{{"retry":false,"maxRetries":3,"priority":2,"route":"route1","ivy":{{"v":1,"id":"{id}","reply":"{reply}","due":1700000000000,"deadline":1700000060000,"trace":"{trace}","tracestate":"a=1"}}}}"#
    );
    let body = body_of(call);
    assert!(body.contains(&expected), "{body}");
}

#[test]
fn a_trace_state_without_a_trace_context_is_not_sent() {
    let mut call = call(1);
    let mut ivy = IvyOptions::new(call.id);
    ivy.tracestate = TraceState::parse("a=1");
    call.options = Options::new().with_ivy(ivy);
    assert!(!body_of(call).contains("tracestate"));
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER_TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn context(trace: &str) -> TraceContext {
    TraceContext::new(TraceParent::parse(trace).unwrap()).with_state(TraceState::parse("a=1"))
}

#[test]
fn a_trace_context_is_added_unless_the_caller_has_chosen_one() {
    let mut call = call(1);
    assert!(!call.has_trace());
    call.add_trace(&context(TRACE));
    assert!(call.has_trace());
    call.add_trace(&context(OTHER_TRACE));
    let body = body_of(call);
    assert!(body.contains(&format!(r#""trace":"{TRACE}","tracestate":"a=1"}}"#)), "{body}");
}

#[test]
fn a_delayed_call_with_a_trace_context_says_when_it_was_made() {
    let delay = Duration::from_secs(60);
    let traced = |delay| {
        let mut call = call(1);
        call.add_trace(&context(TRACE));
        Call { delay, ..call }
    };
    let body = body_of(traced(delay));
    assert!(body.contains(r#""due":1700000060000,"iat":1700000000000"#), "{body}");
    assert!(!body_of(traced(Duration::ZERO)).contains("iat"));
    assert!(!body_of(Call { delay, ..call(1) }).contains("iat"));
}

#[test]
fn a_deadline_counts_from_the_moment_of_the_call() {
    let mut scenario = Scenario::new(config());
    scenario.advance(Duration::from_secs(7));
    let mut call = call(1);
    call.expires_after = Some(Duration::from_secs(1));
    scenario.call(call);
    assert!(scenario.only_post().bodies[0].contains(r#""deadline":1700000008000"#));
}

#[test]
fn a_deadline_follows_the_latest_clock() {
    let mut scenario = Scenario::new(config());
    let set = WallClock::new(Duration::from_secs(1_700_086_400));
    scenario.feed(Input::Clock(set));
    let mut call = call(1);
    call.expires_after = Some(Duration::from_secs(1));
    scenario.call(call);
    assert!(scenario.only_post().bodies[0].contains(r#""deadline":1700086401000"#));
}

#[test]
fn the_callers_time_limit_is_not_sent_as_a_deadline() {
    assert!(!body_of(call_with_handle(1)).contains("deadline"));
}

#[test]
fn the_delay_is_passed_to_the_queue_and_not_in_the_message() {
    let mut scenario = Scenario::new(config());
    scenario.call(Call { delay: Duration::from_secs(90), ..call(1) });
    let post = scenario.only_post();
    assert_eq!(post.delays, [Duration::from_secs(90)]);
    assert!(!post.bodies[0].contains("\"delay\""));
}

#[test]
fn a_call_is_due_when_its_delay_has_passed() {
    let mut scenario = Scenario::new(config());
    scenario.advance(Duration::from_secs(7));
    scenario.call(Call { delay: Duration::from_secs(90), ..call(1) });
    assert!(scenario.only_post().bodies[0].contains(r#""due":1700000097000"#));
}

#[test]
fn a_delay_beyond_the_queues_limit_is_refused() {
    let week = Capabilities::broker().max_delay;
    assert!(error_of(config(), Call { delay: week, ..call(1) }).is_none());
    let error = error_of(config(), Call { delay: week + Duration::from_nanos(1), ..call(1) });
    assert!(matches!(error, Some(SendError::DelayTooLong { .. })));
}

#[test]
fn bodies_are_encoded_by_the_codec() {
    let codec = Codec::legacy(LegacyKey::new("pass").unwrap());
    let mut scenario = Scenario::new(ProducerConfig::new(Capabilities::broker(), codec.clone()));
    scenario.call(call(1));
    let body = Body::new(scenario.only_post().bodies.remove(0));
    assert!(body.as_str().starts_with("$aes-256-cbc$"));
    assert_eq!(codec.open(&body, &call(1).queue).unwrap().args.as_str(), "[5]");
}

#[test]
fn names_that_crash_peers_of_the_node_package_are_refused() {
    for name in ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "ivy.x"] {
        let task = TaskName::new(name).unwrap();
        let error = error_of(config(), Call { task, ..call(1) });
        assert!(matches!(error, Some(SendError::ReservedName(_))), "{name}");
    }
}

#[test]
fn arguments_that_are_not_an_array_are_refused() {
    for args in ["{\"0\":1}", "null", "\"[]\"", " 5"] {
        let args = RawJson::parse(args).unwrap();
        let error = error_of(config(), Call { args, ..call(1) });
        assert!(matches!(error, Some(SendError::ArgsNotAnArray)));
    }
}

#[test]
fn arguments_that_no_worker_could_parse_are_refused() {
    let nested = |open| RawJson::parse(&("[".repeat(open) + &"]".repeat(open))).unwrap();
    // The list of arguments and the argument itself enclose its 125 levels.
    assert!(error_of(config(), Call { args: nested(127), ..call(1) }).is_none());
    let error = error_of(config(), Call { args: nested(128), ..call(1) });
    assert!(matches!(error, Some(SendError::TooDeep)));
}

/// A call whose only argument is this text.
fn call_of_text(text: &str) -> Call {
    Call { args: RawJson::from_value(&[text]).unwrap(), ..call(1) }
}

/// A plaintext call whose message has this many UTF-16 units, as the Node package counts them.
fn call_of_units(units: usize) -> Call {
    let empty = posted_utf16_units(&Body::new(body_of(call_of_text(""))));
    call_of_text(&"x".repeat(units - empty))
}

#[test]
fn a_message_of_exactly_the_node_packages_limit_is_sent() {
    let call = call_of_units(POSTED_UTF16_LIMIT);
    assert!(error_of(config().with_node_compatible(true), call).is_none());
}

#[test]
fn a_message_one_unit_above_the_limit_is_refused_before_anything_is_sent() {
    let call = call_of_units(POSTED_UTF16_LIMIT + 1);
    match error_of(config().with_node_compatible(true), call) {
        Some(SendError::TooLarge { size: 65_537, limit: 65_536, unit: SizeUnit::Utf16Units }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_that_no_peer_of_the_node_package_reads_may_be_larger() {
    assert!(error_of(config(), call_of_units(POSTED_UTF16_LIMIT + 1)).is_none());
}

#[test]
fn the_size_limit_applies_to_the_encrypted_message() {
    let codec = Codec::legacy(LegacyKey::new("pass").unwrap());
    let config = ProducerConfig::new(Capabilities::broker(), codec);
    match error_of(config, call_of_units(POSTED_UTF16_LIMIT)) {
        Some(SendError::TooLarge { size, limit: 65_536, unit: SizeUnit::Utf16Units }) => {
            assert!(size > 80_000, "base64 adds a third, but the size is {size}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_within_the_limit_of_units_may_have_too_many_bytes_for_the_queue() {
    let call = || call_of_text(&"任".repeat(40_000));
    let with_max_body = |bytes| {
        let capabilities = Capabilities::broker().with_max_body(bytes);
        ProducerConfig::new(capabilities, Codec::plain()).with_node_compatible(true)
    };
    assert!(error_of(with_max_body(256 * 1024), call()).is_none());
    match error_of(with_max_body(64 * 1024), call()) {
        Some(SendError::TooLarge { size, limit: 65_408, unit: SizeUnit::Bytes }) => {
            assert!(size > 120_000);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_message_leaves_room_for_the_counts_of_later_ones() {
    for options in [Options::new(), Options::new().with_retry(false)] {
        let config =
            ProducerConfig::new(Capabilities::broker().with_max_body(1_000), Codec::plain());
        let mut call = call_of_text(&"x".repeat(1_000));
        call.options = options.clone();
        let Some(SendError::TooLarge { limit, .. }) = error_of(config, call) else {
            panic!("the message is too large");
        };
        assert_eq!(limit, 1_000 - 128, "{options:?}");
    }
}

#[test]
fn a_refused_call_does_not_affect_the_others() {
    let mut scenario = Scenario::new(config());
    let refused = Call { task: TaskName::new("toString").unwrap(), ..call(2) };
    scenario.feed(Input::Calls(vec![call(1), refused, call(3)]));
    assert_eq!(scenario.post_sizes(), [2]);
    assert_eq!(scenario.send_errors().len(), 1);
}

#[test]
fn errors_do_not_contain_the_arguments() {
    let mut scenario = Scenario::new(config().with_outbox(0));
    scenario.call(call_of_text("hunter2"));
    let [error] = &scenario.send_errors()[..] else { panic!("one error") };
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
