//! Nothing of a body, a result or a password shows in an error or in `Debug`.

use std::error::Error;
use std::fmt::Debug;

use ivy_proto::queue::{Body, ReceivedBody};
use ivy_proto::wire::{Codec, DeadLetter, DeadLetterReason, Envelope, LegacyKey, Notice, RawJson};
use ivy_proto::{MessageId, QueueName};
use proptest::prelude::*;

use crate::inputs::{damaged, damages, queue};

const MARKER: &str = "hunter2";

fn shown<T: Debug, E: Error>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            let mut text = format!("{error} {error:?}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!(" {error} {error:?}");
                cause = error.source();
            }
            text
        }
    }
}

fn body() -> String {
    let marker = MARKER;
    format!(
        r#"{{"name":"t","options":{{"{marker}":"{marker}","ivy":{{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","{marker}":["{marker}"]}}}},"args":["{marker}",{{"{marker}":"{marker}"}}],"{marker}":"{marker}"}}"#
    )
}

fn notice() -> String {
    let marker = MARKER;
    format!(
        r#"{{"id":"1","name":"t","args":["{marker}"],"options":{{"{marker}":"{marker}"}},"result":["{marker}"],"notify":true,"queue":"q","{marker}":"{marker}"}}"#
    )
}

/// Everything that parsing this body can show.
fn shown_of_body(text: &str) -> String {
    let body = Body::new(text);
    let key = LegacyKey::new(MARKER).expect("a password");
    let mut shown_of = vec![format!("{key:?} {body:?}"), shown(key.decrypt(text).map(|_| ()))];
    for codec in [Codec::plain(), Codec::legacy(key)] {
        shown_of.push(format!("{codec:?}"));
        shown_of.push(shown(codec.open(&body, &queue())));
        shown_of.push(shown(codec.open_received(&ReceivedBody::NotText(body.clone()), &queue())));
    }
    shown_of.push(shown(Envelope::parse(text)));
    shown_of.push(shown(RawJson::parse(text)));
    shown_of.push(shown(DeadLetter::parse(&body)));
    shown_of.concat()
}

#[test]
fn a_parsed_message_shows_no_content() {
    let letter = DeadLetter {
        queue: QueueName::new("q").unwrap(),
        id: MessageId::new("1"),
        reason: DeadLetterReason::BadJson,
        error: None,
        attempts: 1,
        deliveries: 1,
        at: 0,
        body: Body::new(body()),
    };
    for text in [
        body(),
        letter.to_body().as_str().to_owned(),
        LegacyKey::new(MARKER).unwrap().encrypt(&body()),
    ] {
        assert!(!shown_of_body(&text).contains(MARKER));
    }
    assert!(Envelope::parse(&body()).is_ok());
    let notice = Notice::parse(notice().as_bytes());
    assert!(notice.is_ok());
    assert!(!shown(notice).contains(MARKER));
}

#[test]
fn a_refused_password_is_not_shown() {
    assert!(!shown(LegacyKey::new(" \u{3000} ")).contains('\u{3000}'));
}

proptest! {
    /// The name of a task and that of an unknown cipher may be shown, so neither contains the
    /// marker, and damage that moves the marker into one of them proves nothing.
    #[test]
    fn an_invalid_message_shows_no_content(damages in damages()) {
        let text = String::from_utf8_lossy(&damaged(&body(), &damages)).into_owned();
        if !text.starts_with('$') {
            let named = Envelope::parse(&text)
                .map_or_else(|bad| bad.task().cloned(), |envelope| Some(envelope.name));
            prop_assume!(!named.is_some_and(|name| name.as_str().contains(MARKER)));
            let shown = shown_of_body(&text);
            prop_assert!(!shown.contains(MARKER), "{}", shown);
        }
        let frame = LegacyKey::new(MARKER).expect("a password").encrypt(&text);
        prop_assert!(!shown_of_body(&frame).contains(MARKER));
    }

    #[test]
    fn an_invalid_notice_shows_no_content(damages in damages()) {
        let shown = shown(Notice::parse(&damaged(&notice(), &damages)).map(|_| ()));
        prop_assert!(!shown.contains(MARKER), "{}", shown);
    }
}
