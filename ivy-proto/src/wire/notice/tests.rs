use super::*;
use crate::wire::{TraceParent, TraceState};

const ID: &str = "BwcHBwcHBwcHBwcHBwcHBw";

fn json(text: &str) -> RawJson {
    RawJson::parse(text).unwrap()
}

fn message() -> MessageId {
    MessageId::new("6114")
}

fn queue() -> QueueName {
    QueueName::new("q").unwrap()
}

fn name() -> TaskName {
    TaskName::new("t").unwrap()
}

fn ivy() -> IvyOptions {
    let mut ivy = IvyOptions::new(TaskId::from_random([7; 16]));
    ivy.reply = Some("c".into());
    ivy
}

fn reread(notice: &Notice) -> Notice {
    let reread = Notice::parse(notice.to_payload().as_str().as_bytes()).unwrap();
    assert_eq!(reread, *notice);
    reread
}

fn done(result: &str) -> TaskOutcome {
    let text = format!(
        r#"{{"id":"1","name":"t","args":[],"options":{{}},"result":{result},"notify":true,"queue":"q"}}"#
    );
    Notice::parse(text.as_bytes()).unwrap().outcome().unwrap()
}

#[test]
fn a_success_on_a_reply_channel() {
    let notice = Notice::success(&message(), &queue(), &name(), &ivy(), &json("120"));
    assert_eq!(
        notice.to_payload().as_str(),
        format!(
            r#"{{"id":"6114","name":"t","args":[],"options":{{"ivy":{{"v":1,"id":"{ID}","reply":"c","outcome":"ok"}}}},"result":[120],"notify":true,"queue":"q"}}"#
        )
    );
    let reread = reread(&notice);
    assert_eq!(reread.task_id(), Some(ivy().id));
    assert_eq!(reread.outcome().unwrap(), TaskOutcome::Done(json("120")));
}

#[test]
fn a_success_for_a_peer_of_the_node_package_echoes_the_message() {
    let text = r#"{"name":"t","options":{ "retry":true,"x":[1] },"args":[5, "\ud800"]}"#;
    let envelope = Envelope::parse(text).unwrap();
    let notice = Notice::success_for_node(&message(), &queue(), &envelope, &json("{}"));
    assert_eq!(
        notice.to_payload().as_str(),
        r#"{"id":"6114","name":"t","args":[5, "\ud800"],"options":{ "retry":true,"x":[1] },"result":[{}],"notify":true,"queue":"q"}"#
    );
    assert_eq!(reread(&notice).task_id(), None);
}

#[test]
fn a_failure_contains_kind_message_and_attempts() {
    let failure = TaskFailure { kind: "Fatal".to_owned(), message: "é".repeat(600), attempts: 3 };
    let notice = Notice::failure(&message(), &queue(), &name(), &ivy(), &failure);
    let payload = notice.to_payload();
    assert!(payload.as_str().contains(r#""outcome":"dead","error":{"kind":"Fatal","message":"é"#));
    let TaskOutcome::Failed(reported) = reread(&notice).outcome().unwrap() else {
        panic!("not failed")
    };
    assert_eq!(reported, TaskFailure { message: "é".repeat(512), ..failure });
}

#[test]
fn a_released_message_is_reported_with_its_reason_and_is_not_an_outcome() {
    let release = TaskReleased {
        queue: queue(),
        kind: "UnknownTask".to_owned(),
        message: "no handler \"t\"".to_owned(),
        attempts: 1,
    };
    let notice = Notice::released(&message(), &name(), &ivy(), &release);
    assert_eq!(
        notice.to_payload().as_str(),
        format!(
            r#"{{"id":"6114","name":"t","args":[],"options":{{"ivy":{{"v":1,"id":"{ID}","reply":"c","outcome":"held","error":{{"kind":"UnknownTask","message":"no handler \"t\"","attempts":1}}}}}},"result":[],"notify":true,"queue":"q"}}"#
        )
    );
    let reread = reread(&notice);
    assert_eq!((reread.outcome(), reread.task_released()), (None, Some(release)));
    assert!(!reread.is_success());
}

#[test]
fn the_texts_of_a_released_message_are_truncated() {
    let long = "x".repeat(5000);
    let release = TaskReleased { queue: queue(), kind: long.clone(), message: long, attempts: 0 };
    let reported =
        reread(&Notice::released(&message(), &name(), &ivy(), &release)).task_released().unwrap();
    assert_eq!((reported.kind.len(), reported.message.len()), (1024, 1024));
}

#[test]
fn a_result_that_does_not_fit_is_reported() {
    let size = |text: usize| json(&format!("\"{}\"", "x".repeat(text)));
    let fits = Notice::success(&message(), &queue(), &name(), &ivy(), &size(0));
    let room = MAX_NOTICE - fits.to_payload().as_str().len();
    let exact = Notice::success(&message(), &queue(), &name(), &ivy(), &size(room));
    assert_eq!(exact.to_payload().as_str().len(), MAX_NOTICE);
    assert_eq!(reread(&exact).outcome().unwrap(), TaskOutcome::Done(size(room)));
    let over = Notice::success(&message(), &queue(), &name(), &ivy(), &size(room + 1));
    assert_eq!(reread(&over).outcome().unwrap(), TaskOutcome::ResultTooLarge);
}

/// Fields of maximum length, and texts of which each byte takes six when escaped.
fn longest() -> (MessageId, QueueName, TaskName, IvyOptions) {
    let mut ivy = ivy();
    ivy.reply = Some("\u{1}".repeat(10_000).into());
    (ivy.due, ivy.deadline, ivy.called) = (Some(u64::MAX), Some(u64::MAX), Some(u64::MAX));
    (ivy.attempt, ivy.lost, ivy.later, ivy.requeued) = (u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    ivy.trace = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    ivy.tracestate = TraceState::parse(&format!("a={}", "\\".repeat(200)));
    ivy.node = true;
    assert!(ivy.trace.is_some() && ivy.tracestate.is_some());
    let quotes = "\"".repeat(255);
    let queue = QueueName::new(&quotes).unwrap();
    (MessageId::new("\u{1}".repeat(1_000)), queue, TaskName::new(&quotes).unwrap(), ivy)
}

#[test]
fn the_longest_fields_fit_into_their_reserved_room() {
    let (message, queue, name, ivy) = longest();
    let text = "\u{1}".repeat(1024);
    let failure = TaskFailure { kind: text.clone(), message: text.clone(), attempts: u32::MAX };
    let release = TaskReleased {
        queue: queue.clone(),
        kind: text.clone(),
        message: text,
        attempts: u32::MAX,
    };
    for notice in [
        Notice::success(&message, &queue, &name, &ivy, &json("[]")),
        Notice::without_result(&message, &queue, &name, &ivy, MissingResult::TooDeep),
        Notice::without_result(&message, &queue, &name, &ivy, MissingResult::TooLarge),
        Notice::failure(&message, &queue, &name, &ivy, &failure),
        Notice::released(&message, &name, &ivy, &release),
    ] {
        let most = ROOM + 6 * notice.size();
        assert!(reread(&notice).to_text().len() <= most, "{} of {most}", notice.to_text().len());
    }
    let mut plain = ivy.clone();
    (plain.reply, plain.tracestate) = (Some("c".into()), TraceState::parse("a=1"));
    let (message, queue, name) = (self::message(), self::queue(), self::name());
    let missing = MissingResult::TooDeep;
    let notice = Notice::without_result(&message, &queue, &name, &plain, missing);
    let (text, size) = (notice.to_text().len(), notice.size());
    assert!(text <= ROOM + size, "{text} of {ROOM} + {size}");
}

#[test]
fn the_largest_result_with_the_longest_fields_is_published_and_a_larger_one_is_not() {
    let (message, queue, name, ivy) = longest();
    let with = |text: usize| {
        let output = json(&format!("\"{}\"", "x".repeat(text)));
        Notice::success(&message, &queue, &name, &ivy, &output)
    };
    let most = MAX_NOTICE - with(0).to_text().len();
    assert_eq!(with(most).to_text().len(), MAX_NOTICE);
    assert!(matches!(with(most).outcome(), Some(TaskOutcome::Done(_))));
    assert_eq!(with(most + 1).outcome(), Some(TaskOutcome::ResultTooLarge));
}

#[test]
fn for_a_peer_of_the_node_package_a_result_that_does_not_fit_is_omitted() {
    let envelope = Envelope::parse(r#"{"name":"t","options":{},"args":[5]}"#).unwrap();
    let output = json(&format!("\"{}\"", "x".repeat(MAX_NOTICE)));
    let notice = Notice::success_for_node(&message(), &queue(), &envelope, &output);
    assert_eq!(notice.args().as_str(), "[5]");
    assert_eq!(reread(&notice).outcome().unwrap(), TaskOutcome::Done(json("null")));
}

#[test]
fn a_result_is_absent_one_value_or_a_list_of_several() {
    assert_eq!(done("[]"), TaskOutcome::Done(json("null")));
    assert_eq!(done("[ 1e400 ]"), TaskOutcome::Done(json("1e400")));
    assert_eq!(done("[[]]"), TaskOutcome::Done(json("[]")));
    assert_eq!(done("[1,2]"), TaskOutcome::Done(json("[1,2]")));
}

#[test]
fn a_result_is_read_up_to_the_depth_limit() {
    let nested = |open: usize| "[".repeat(open) + &"]".repeat(open);
    assert_eq!(done(&nested(127)), TaskOutcome::Done(json(&nested(126))));
    assert_eq!(done(&nested(128)), TaskOutcome::ResultTooDeep);
}

#[test]
fn unit_is_written_as_an_empty_list() {
    let notice = Notice::success(&message(), &queue(), &name(), &ivy(), &json("null"));
    assert!(notice.to_payload().as_str().contains(r#""result":[]"#));
    assert_eq!(reread(&notice).outcome().unwrap(), TaskOutcome::Done(json("null")));
}

#[test]
fn an_outcome_in_the_senders_message_is_replaced() {
    let text = format!(r#"{{"v":1,"id":"{ID}","\u006futcome":"dead","error":5,"keep":6}}"#);
    let text = format!(r#"{{"name":"t","options":{{"ivy":{text}}},"args":[]}}"#);
    let envelope = Envelope::parse(&text).unwrap();
    let forged = envelope.options.ivy().unwrap();
    let notice = Notice::success(&message(), &queue(), &name(), forged, &json("1"));
    assert_eq!(reread(&notice).outcome().unwrap(), TaskOutcome::Done(json("1")));
    assert!(notice.to_payload().as_str().contains(r#""keep":6,"outcome":"ok""#));
}

#[test]
fn notices_of_the_node_package_are_read() {
    let text = format!(
        r#"{{"id":"42","name":"t","args":[5],"options":{{"retry":true,"ivy":{{"v":1,"id":"{ID}","reply":"c"}},"reservation_id":"r"}},"result":[120,"x"],"notify":true,"queue":"q"}}"#
    );
    let notice = Notice::parse(text.as_bytes()).unwrap();
    assert_eq!(notice.task_id().unwrap().to_string(), ID);
    assert_eq!(notice.outcome().unwrap(), TaskOutcome::Done(json("[120,\"x\"]")));
    assert_eq!(notice.to_payload().as_str(), text);
}

#[test]
fn a_number_as_message_id_keeps_its_digits() {
    let text = r#"{"id":61141234567890123456789,"name":"t","args":[],"options":{},"result":[],"notify":true,"queue":"q"}"#;
    let notice = Notice::parse(text.as_bytes()).unwrap();
    assert_eq!(notice.message().as_str(), "61141234567890123456789");
    reread(&notice);
}

#[test]
fn other_payloads_are_refused() {
    let good =
        r#"{"id":"1","name":"t","args":[],"options":{},"result":[],"notify":true,"queue":"q"}"#;
    for (from, to, error) in [
        (r#""id":"1""#, r#""id":null"#, BadNotice::Field("id")),
        (r#""name":"t""#, r#""name":"""#, BadNotice::Field("name")),
        (r#""args":[],"#, "", BadNotice::Field("args")),
        (r#""args":[]"#, r#""args":{}"#, BadNotice::Field("args")),
        (r#""options":{}"#, r#""options":[]"#, BadNotice::Field("options")),
        (r#""result":[]"#, r#""result":null"#, BadNotice::Field("result")),
        ("true", "false", BadNotice::Field("notify")),
        (r#""q"}"#, r#""q""#, BadNotice::NotJson(good.len() - 2)),
    ] {
        assert_eq!(Notice::parse(good.replace(from, to).as_bytes()), Err(error), "{from}");
    }
    assert_eq!(Notice::parse(b"[]"), Err(BadNotice::NotAnObject));
    assert_eq!(Notice::parse(b"\xff"), Err(BadNotice::NotUtf8));
    let huge = vec![b' '; MAX_NOTICE + 1];
    assert_eq!(Notice::parse(&huge), Err(BadNotice::TooLarge(MAX_NOTICE + 1)));
}

#[test]
fn an_unknown_outcome_is_refused() {
    let with = |fields: &str| {
        let text = format!(
            r#"{{"id":"1","name":"t","args":[],"options":{{"ivy":{{"v":1,"id":"{ID}",{fields}}}}},"result":[],"notify":true,"queue":"q"}}"#
        );
        Notice::parse(text.as_bytes()).unwrap_err()
    };
    assert_eq!(with(r#""outcome":"half""#), BadNotice::Field("outcome"));
    assert_eq!(with(r#""outcome":5"#), BadNotice::Field("outcome"));
    assert_eq!(with(r#""outcome":"dead""#), BadNotice::Field("error"));
    assert_eq!(with(r#""outcome":"dead","error":{}"#), BadNotice::Field("error"));
}
