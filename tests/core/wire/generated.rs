//! Properties of all input.

use ivy_core_tests::fuzz;
use ivy_proto::queue::Body;
use ivy_proto::wire::{
    Codec, DeadLetter, Envelope, LegacyKey, Notice, Options, is_dead_letter, posted_utf16_units,
};
use proptest::prelude::*;

use crate::inputs::{
    built_options, damaged, damages, dead_letter, envelope, envelope_text, ivy_options, json,
    json_array, notice, options_text, password, pool, queue, raw, task_name,
};
use crate::node_decryption;

fn key(password: &str) -> LegacyKey {
    LegacyKey::new(password).expect("a password")
}

fn read_everywhere(bytes: &[u8]) {
    fuzz::body(bytes);
    fuzz::legacy_frame(bytes);
    fuzz::notice(bytes);
}

fn options_of(text: &str) -> Options {
    let body = format!(r#"{{"name":"t","options":{text},"args":[]}}"#);
    Envelope::parse(&body).expect("the generators produce valid options").options
}

proptest! {
    #[test]
    fn an_envelope_round_trips(envelope in envelope()) {
        prop_assert_eq!(Envelope::parse(&envelope.to_text()), Ok(envelope));
    }

    #[test]
    fn an_envelope_of_any_program_has_one_canonical_form(text in envelope_text()) {
        let envelope = Envelope::parse(&text).expect("the generators produce valid envelopes");
        let canonical = envelope.to_text();
        let again = Envelope::parse(&canonical).expect("written text can be parsed");
        prop_assert_eq!(again.to_text(), canonical);
        prop_assert_eq!(again, envelope);
    }

    #[test]
    fn options_round_trip(options in built_options()) {
        prop_assert_eq!(options_of(options.to_json().as_str()), options);
    }

    #[test]
    fn options_of_any_program_are_echoed_unchanged(text in options_text()) {
        let echo = options_of(&text).to_json();
        prop_assert_eq!(echo.as_str(), text);
    }

    #[test]
    fn fields_of_ivy_round_trip(ivy in ivy_options(), text in options_text()) {
        let options = options_of(&text).with_ivy(ivy.clone());
        prop_assert_eq!(options.ivy(), Some(&ivy));
        prop_assert_eq!(options_of(options.to_json().as_str()), options);
    }

    #[test]
    fn unknown_fields_of_ivy_survive_a_succession(text in options_text()) {
        let options = options_of(&text);
        if let Some(ivy) = options.ivy() {
            let mut next = ivy.clone();
            next.attempt += 1;
            let succeeded = options_of(options.clone().with_ivy(next.clone()).to_json().as_str());
            prop_assert_eq!(succeeded.ivy(), Some(&next));
            next.attempt -= 1;
            prop_assert_eq!(options.ivy(), Some(&next));
        }
    }

    #[test]
    fn a_notice_round_trips(notice in notice()) {
        let read = Notice::parse(notice.to_payload().as_str().as_bytes());
        prop_assert_eq!(read.as_ref().map(Notice::outcome), Ok(notice.outcome()));
        prop_assert_eq!(read.as_ref().map(Notice::task_released), Ok(notice.task_released()));
        prop_assert_eq!(read, Ok(notice));
    }

    #[test]
    fn a_dead_letter_round_trips(letter in dead_letter()) {
        let body = letter.to_body();
        prop_assert!(is_dead_letter(&body));
        prop_assert_eq!(DeadLetter::parse(&body), Ok(letter));
    }

    #[test]
    fn a_sealed_envelope_opens_and_the_node_package_decrypts_it_undamaged(
        envelope in envelope(),
        password in password(),
    ) {
        let codec = Codec::legacy(key(&password));
        let body = codec.seal(&envelope, &queue(), &mut pool());
        let read = node_decryption::reads(&key(&password), body.as_str());
        prop_assert_eq!(read.trim_start_matches(' '), envelope.to_text());
        prop_assert_eq!(codec.open(&body, &queue()), Ok(envelope));
    }

    #[test]
    fn encryption_round_trips_any_text(text: String, password in password()) {
        let key = key(&password);
        let frame = key.encrypt(&text);
        let read = key.decrypt(&frame).expect("the frame was encrypted with this key");
        prop_assert_eq!(read.as_str(), text);
        prop_assert_eq!(key.encrypt(&read), frame);
    }

    #[test]
    fn json_keeps_its_spelling(text in json()) {
        let json = raw(&text);
        prop_assert_eq!(json.as_str(), text);
    }

    #[test]
    fn the_size_counts_the_stringified_message(text: String) {
        let stringified = serde_json::json!({ "body": text }).to_string();
        prop_assert_eq!(posted_utf16_units(&Body::new(text)), stringified.encode_utf16().count());
    }

    #[test]
    fn invariants_hold_for_any_text(text in "(\\$[a-z0-9-]{0,12})?\\PC{0,60}|.{0,60}") {
        read_everywhere(text.as_bytes());
    }

    #[test]
    fn invariants_hold_for_any_bytes(bytes: Vec<u8>) {
        read_everywhere(&bytes);
    }

    #[test]
    fn invariants_hold_for_any_damaged_body(text in envelope_text(), damages in damages()) {
        fuzz::body(&damaged(&text, &damages));
    }

    #[test]
    fn invariants_hold_for_any_damaged_frame(envelope in envelope(), damages in damages()) {
        let legacy = Codec::legacy(key("pass"));
        fuzz::legacy_frame(&damaged(legacy.seal(&envelope, &queue(), &mut pool()).as_str(), &damages));
        fuzz::legacy_frame(&damaged(&envelope.to_text(), &damages));
    }

    #[test]
    fn invariants_hold_for_any_damaged_notice(notice in notice(), damages in damages()) {
        fuzz::notice(&damaged(notice.to_payload().as_str(), &damages));
    }

    #[test]
    fn invariants_hold_for_any_damaged_dead_letter(letter in dead_letter(), damages in damages()) {
        fuzz::body(&damaged(letter.to_body().as_str(), &damages));
    }

    #[test]
    fn arguments_pass_through_unchanged(name in task_name(), args in json_array()) {
        let name = serde_json::to_string(name.as_str()).expect("a text is JSON");
        let text = format!(r#"{{"name":{name},"options":{{}},"args":{args}}}"#);
        let envelope = Envelope::parse(&text).expect("the generators produce valid envelopes");
        prop_assert_eq!(envelope.to_text(), text);
    }
}
