//! The examples of PROTOCOL.md are correct.

use ivy_proto::presence::Record;
use ivy_proto::queue::Body;
use ivy_proto::wire::crypto::{Binding, Keyset, bridge, ivy2};
use ivy_proto::wire::{DeadLetter, Envelope, LegacyKey, Notice};
use ivy_proto::{ChannelName, QueueName};

const PROTOCOL: &str = include_str!("../../../ivy-proto/PROTOCOL.md");

/// The examples of this kind; there must be at least this many.
fn examples(kind: &str, at_least: usize) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    let examples: Vec<_> = PROTOCOL
        .split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```").map(|(example, _)| example))
        .collect();
    assert!(examples.len() >= at_least, "{kind}: {}", examples.len());
    examples
}

fn keyset() -> Keyset {
    Keyset::parse(examples("json keyset", 1)[0]).expect("a keyset")
}

#[test]
fn tasks_round_trip() {
    for example in examples("json task", 2) {
        assert_eq!(Envelope::parse(example).unwrap().to_text(), example);
    }
}

#[test]
fn notices_round_trip() {
    for example in examples("json notice", 2) {
        let notice = Notice::parse(example.as_bytes()).unwrap();
        assert_eq!(notice.to_payload().as_str(), example);
        assert!(notice.task_id().is_some());
    }
}

#[test]
fn dead_letters_round_trip() {
    let mut are_texts = Vec::new();
    for example in examples("json dead-letter", 2) {
        let letter = DeadLetter::parse(&Body::new(example)).unwrap();
        assert_eq!(letter.to_body().as_str(), example);
        assert_eq!(Envelope::parse(letter.body.as_str()).is_ok(), letter.body.is_text());
        are_texts.push(letter.body.is_text());
    }
    assert_eq!(are_texts, [true, false]);
}

#[test]
fn presence_records_round_trip() {
    for example in examples("json presence", 1) {
        assert_eq!(Record::parse(example).unwrap().to_text(), example);
    }
}

#[test]
fn frames_of_records_contain_the_record_next_to_them() {
    let channel = ChannelName::new("ivy-notifier").unwrap().presence().unwrap();
    for example in examples("text presence", 1) {
        let (frame, text) = example.split_once('\n').unwrap();
        let opened = ivy2::open(&keyset(), &Binding::presence(&channel), frame).unwrap();
        assert_eq!(opened.text.as_str(), text);
        assert_eq!(Record::parse(text).unwrap().to_text(), text);
    }
}

#[test]
fn frames_contain_the_text_next_to_them() {
    let queue = QueueName::new("ivy").unwrap();
    let binding = Binding::task(&queue);
    for example in examples("text ivy2", 1) {
        let (frame, text) = example.split_once('\n').unwrap();
        assert_eq!(ivy2::open(&keyset(), &binding, frame).unwrap().text.as_str(), text);
    }
    let password = LegacyKey::new("pass").unwrap();
    for example in examples("text bridge", 1) {
        let (frame, text) = example.split_once('\n').unwrap();
        let opened = bridge::open(&password, &keyset(), &binding, frame).unwrap();
        assert_eq!(opened.text.trim_start(), text);
    }
}
