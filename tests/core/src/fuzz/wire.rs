//! Bodies, frames and notices: whatever can be parsed is written and parsed again unchanged.

use std::sync::LazyLock;

use ivy_proto::queue::{Body, ReceivedBody};
use ivy_proto::task::FromArgs;
use ivy_proto::wire::crypto::EntropyPool;
use ivy_proto::wire::{
    Codec, Content, DeadLetter, DeadLetterReason, Envelope, LegacyKey, Notice, RawJson,
    is_dead_letter,
};
use ivy_proto::{MessageId, QueueName};

use super::is_short;

static PLAIN: LazyLock<Codec> = LazyLock::new(Codec::plain);
static LEGACY: LazyLock<Codec> = LazyLock::new(|| Codec::legacy(key()));

fn queue() -> QueueName {
    QueueName::new("ivy").expect("a name")
}

fn pool() -> EntropyPool {
    EntropyPool::from_seed(&[1; 32])
}

fn key() -> LegacyKey {
    LegacyKey::new("pass").expect("a password")
}

/// A message's body, parsed by everything that parses bodies.
pub fn body(input: &[u8]) {
    in_a_dead_letter(input);
    let text = String::from_utf8_lossy(input);
    let body = Body::new(&*text);
    for codec in [&*PLAIN, &*LEGACY] {
        match codec.open(&body, &queue()) {
            Ok(envelope) => assert_eq!(
                codec.open(&codec.seal(&envelope, &queue(), &mut pool()), &queue()),
                Ok(envelope)
            ),
            Err(bad) => is_short(&bad),
        }
        assert!(codec.open_received(&ReceivedBody::NotText(body.clone()), &queue()).is_err());
        let _ = Content::read(&ReceivedBody::Text(body.clone()), &queue(), codec);
    }
    if let Ok(envelope) = Envelope::parse(&text) {
        let canonical = envelope.to_text();
        let again = Envelope::parse(&canonical).expect("written text can be parsed");
        assert_eq!(again.to_text(), canonical);
        read_args(&envelope.args);
        assert_eq!(again, envelope);
    }
    if let Ok(json) = RawJson::parse(&text) {
        assert_eq!(RawJson::parse(json.as_str()).ok(), Some(json));
    }
    if let Ok(queued) = DeadLetter::parse(&body) {
        assert!(is_dead_letter(&body));
        assert_eq!(DeadLetter::parse(&queued.to_body()), Ok(queued));
    }
}

/// Any bytes return from a dead letter as they were.
fn in_a_dead_letter(bytes: &[u8]) {
    let letter = DeadLetter {
        queue: queue(),
        id: MessageId::new("1"),
        reason: DeadLetterReason::BadJson,
        error: None,
        attempts: 0,
        deliveries: 1,
        at: 0,
        body: Body::from_bytes(bytes.to_vec()),
    };
    let written = letter.to_body();
    assert!(written.is_text() && is_dead_letter(&written));
    assert_eq!(DeadLetter::parse(&written).as_ref().map(|read| read.body.as_bytes()), Ok(bytes));
    for codec in [&*PLAIN, &*LEGACY] {
        let opened = codec.open(&letter.body, &queue());
        assert!(opened.is_err() || letter.body.is_text(), "bytes are not altered to be read");
        let _ = Content::read(&ReceivedBody::Text(written.clone()), &queue(), codec);
    }
}

/// Numbers are never rounded to another integer or to infinity.
fn read_args(args: &RawJson) {
    if let Ok((number,)) = <(u64,)>::from_args(args) {
        let digits = args.as_str().trim_start_matches(['[', ' ', '\t', '\r', '\n']);
        assert!(digits.starts_with(&number.to_string()));
    }
    if let Ok((number, _)) = <(f64, Option<String>)>::from_args(args) {
        assert!(number.is_finite());
    }
}

/// A frame of the Node package as the input, and the input inside of one.
pub fn legacy_frame(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let key = key();
    match key.decrypt(&text) {
        Ok(opened) => {
            let base64 = |frame: &str| frame.split('$').nth(2).map(str::to_owned);
            assert_eq!(base64(&key.encrypt(&opened)), base64(&text), "one text has one frame");
        }
        Err(bad) => is_short(&bad),
    }
    let frame = key.encrypt(&text);
    assert_eq!(key.decrypt(&frame).map(|opened| opened.to_string()).as_deref(), Ok(&*text));
    for frame in [&*text, &*frame] {
        let opened = LEGACY.open(&Body::new(frame), &queue());
        assert!(opened.is_err() || frame.starts_with('$'), "plaintext is refused");
        if let Ok(envelope) = opened {
            assert_eq!(
                LEGACY.open(&LEGACY.seal(&envelope, &queue(), &mut pool()), &queue()),
                Ok(envelope)
            );
        }
        assert!(PLAIN.open(&Body::new(frame), &queue()).is_err() || !frame.starts_with('$'));
    }
}

/// The payload of a notice.
pub fn notice(input: &[u8]) {
    match Notice::parse(input) {
        Ok(notice) => {
            let payload = notice.to_payload();
            let again =
                Notice::parse(payload.as_str().as_bytes()).expect("written text can be parsed");
            assert_eq!(again.to_payload(), payload);
            assert_eq!((again.outcome(), again.task_id()), (notice.outcome(), notice.task_id()));
            assert_eq!(again.task_released(), notice.task_released());
            assert_eq!(notice.outcome().is_some(), notice.task_released().is_none());
            assert_eq!(again, notice);
        }
        Err(bad) => is_short(&bad),
    }
}
