//! Sealed messages, and what a worker seals itself.

use std::time::Duration;

use super::scenario::{
    NOTICE_CHANNEL, QUEUE, Scenario, TASK, config, our_body, plain_body, queue, started_with,
    task_id,
};
use crate::event::Event;
use crate::name::{ChannelName, QueueName};
use crate::queue::{Body, QueueReply, ReceivedBody};
use crate::task::TaskError;
use crate::wire::crypto::samples::{both, key_id, key_secret, keyring};
use crate::wire::crypto::{BodyForm, Encryption, EntropyPool, KeyStatus, Keyring, Keyset, Policy};
use crate::wire::{Codec, Content, DeadLetterReason, Envelope, RawJson};
use crate::worker::{JobOutcome, ReplayWindow, WorkerConfig};

fn codec(policy: Policy) -> Codec {
    Codec::new(&both().with_policy(policy)).unwrap()
}

fn with_codec(codec: &Codec) -> WorkerConfig {
    WorkerConfig { codec: codec.clone(), ..config() }
}

fn worker(policy: Policy) -> Scenario {
    started_with(with_codec(&codec(policy)))
}

/// A body of this text, sealed according to the codec's policy; each number gives another frame.
fn sealed_by(codec: &Codec, text: &str, number: u8) -> String {
    let envelope = Envelope::parse(text).unwrap();
    let mut pool = EntropyPool::from_seed(&[number; 32]);
    codec.seal(&envelope, &queue(), &mut pool).as_str().to_owned()
}

fn sealed(policy: Policy, text: &str) -> String {
    sealed_by(&codec(policy), text, 1)
}

/// Why a message of this body was dead-lettered immediately, or `None` if it was released.
fn dead_letter_reason(worker: &mut Scenario, body: &str) -> Option<DeadLetterReason> {
    worker.deliver(&[body]);
    assert!(worker.runs.is_empty());
    let Some((post, _)) = worker.take_post() else {
        worker.take_release().expect("it is released");
        return None;
    };
    worker.posted(post);
    worker.events.iter().find_map(|event| match event {
        Event::DeadLettered { reason, .. } => Some(*reason),
        _ => None,
    })
}

const STEPS: [Policy; 5] = [
    Policy::plain(),
    Policy::legacy(),
    Policy::bridge_from_legacy(),
    Policy::bridge(),
    Policy::v2(),
];

#[test]
fn a_worker_runs_accepted_formats_and_dead_letters_downgrades() {
    for policy in STEPS {
        for sent in STEPS {
            let mut worker = worker(policy);
            let body = sealed(sent, &our_body(1, None));
            if policy.accepts(sent.sends()) {
                assert_eq!(worker.running(&body).args.as_str(), "[5]");
                continue;
            }
            let expected = match (policy.sends(), sent.sends()) {
                // Another worker may have the keys, or a later policy.
                (BodyForm::Plain, _) | (_, BodyForm::V2) => None,
                (BodyForm::Legacy, BodyForm::Plain) => Some(DeadLetterReason::ExpectedEncrypted),
                (BodyForm::Bridge, BodyForm::Plain) if policy == Policy::bridge_from_legacy() => {
                    Some(DeadLetterReason::ExpectedEncrypted)
                }
                // Without a key to verify its tag, a frame counts as one of the Node package.
                _ => Some(DeadLetterReason::Downgrade),
            };
            assert_eq!(dead_letter_reason(&mut worker, &body), expected, "{sent:?} {policy:?}");
        }
    }
}

#[test]
fn a_frame_of_another_queue_is_dead_lettered_in_the_end() {
    let codec = codec(Policy::v2());
    let mut pool = EntropyPool::from_seed(&[1; 32]);
    let envelope = Envelope::parse(&our_body(1, None)).unwrap();
    let other = QueueName::new("testpackage.p1").unwrap();
    let moved = codec.seal(&envelope, &other, &mut pool);
    let mut worker = worker(Policy::v2());
    worker.release_ten_times("1", moved.as_str());
    assert!(worker.runs.is_empty());
    let (post, _) = worker.take_post().unwrap();
    worker.posted(post);
    let bad_tag = DeadLetterReason::BadTag;
    assert!(worker.has_event(
        |event| matches!(event, Event::DeadLettered { reason, .. } if *reason == bad_tag)
    ));
}

#[test]
fn dead_letters_are_sealed_if_the_policy_authenticates_what_it_sends() {
    for policy in STEPS {
        let codec = codec(policy);
        let mut worker = started_with(with_codec(&codec));
        let body = sealed(policy, &our_body(1, None));
        let run = worker.running(&body);
        worker.end(&run, JobOutcome::Failed(TaskError::fatal("no")));
        let (_, (dead, copy)) = worker.take_post().unwrap();
        assert_eq!(copy.body.as_str().starts_with('$'), policy.sends().is_authenticated());
        let letter = codec.open_dead_letter(&copy.body, &dead).unwrap();
        assert_eq!(letter.body.as_str(), body, "the original bytes");
        assert_eq!(letter.reason, DeadLetterReason::Fatal);
        // The error is as secret as the arguments.
        let error = (policy != Policy::legacy()).then_some("no");
        assert_eq!(letter.error.as_deref(), error, "{policy:?}");
        if policy.sends().is_authenticated() {
            let elsewhere = QueueName::new("other.dead").unwrap();
            assert!(codec.open_dead_letter(&copy.body, &elsewhere).is_err(), "bound to its queue");
            assert!(codec.open(&copy.body, &dead).is_err(), "not openable as a task");
        }
    }
}

/// The dead letter of a message, after any number of releases.
fn last_dead_letter_of(worker: &mut Scenario, body: &str) -> Body {
    for delivery in 1..=50 {
        worker.deliver_again("1", body, delivery);
        if let Some((_, (_, copy))) = worker.take_post() {
            return copy.body;
        }
        let (release, _) = worker.take_release().expect("it is released");
        worker.reply(release, Ok(QueueReply::Released));
    }
    panic!("it is released indefinitely");
}

#[test]
fn the_rightful_key_opens_a_dead_letter_that_its_worker_could_not_open() {
    let rightful = codec(Policy::v2());
    let of_another = Keyring::new(Keyset::new(key_id("k1"), key_secret(200)));
    let other_key = Encryption::new().with_keyring(of_another).with_policy(Policy::v2());
    let without_key = Encryption::new();
    let sealed = sealed_by(&rightful, &our_body(1, None), 1);
    for (encryption, reason) in
        [(other_key, DeadLetterReason::BadTag), (without_key, DeadLetterReason::NoKey)]
    {
        let codec = Codec::new(&encryption).unwrap();
        let body = last_dead_letter_of(&mut started_with(with_codec(&codec)), &sealed);
        assert!(body.as_str().starts_with('{'), "sealed with a key that did not open it");
        let dead = queue().dead_letter_queue().unwrap();
        let content = Content::read(&ReceivedBody::Text(body), &dead, &rightful);
        let Content::DeadLetter { letter, task } = content else { panic!("{content:?}") };
        assert_eq!((letter.reason, letter.error), (reason, None));
        assert_eq!(letter.body.as_str(), sealed, "unchanged");
        assert_eq!(task.unwrap().args.as_str(), "[5]");
    }
}

#[test]
fn a_redelivered_sealed_dead_letter_is_not_wrapped_again() {
    let mut worker = worker(Policy::v2());
    let run = worker.running(&sealed(Policy::v2(), &our_body(1, None)));
    worker.end(&run, JobOutcome::Failed(TaskError::fatal("no")));
    let (post, (_, copy)) = worker.take_post().unwrap();
    worker.posted(post);
    worker.advance(Duration::from_millis(50));
    let (delete, _) = worker.take_deletes().unwrap();
    worker.reply(delete, Ok(QueueReply::all_deleted(1)));
    worker.release_ten_times("1", copy.body.as_str());
    let (_, (_, again)) = worker.take_post().unwrap();
    assert_eq!(again.body, copy.body);
}

#[test]
fn a_successor_is_sealed_anew_for_the_same_queue() {
    for policy in STEPS {
        let codec = codec(policy);
        let mut worker = started_with(with_codec(&codec));
        let body = sealed(policy, &our_body(1, None));
        let run = worker.running(&body);
        worker.fail(&run);
        let (_, (to, successor)) = worker.take_post().unwrap();
        assert_eq!(to.as_str(), QUEUE);
        let opened = codec.open(&successor.body, &to).unwrap();
        assert_eq!(opened.options.ivy().unwrap().attempt, 2);
        assert_ne!(successor.body.as_str(), body);
    }
}

#[test]
fn notices_including_errors_are_sealed_for_the_reply_channel() {
    let channel = ChannelName::new(NOTICE_CHANNEL).unwrap();
    for policy in STEPS {
        let codec = codec(policy);
        for fails in [false, true] {
            let mut worker = started_with(with_codec(&codec));
            let body = sealed(policy, &our_body(1, Some(NOTICE_CHANNEL)));
            let run = worker.running(&body);
            if fails {
                worker.end(&run, JobOutcome::Failed(TaskError::fatal("hunter2")));
                let (post, _) = worker.take_post().unwrap();
                worker.posted(post);
            } else {
                worker.end(&run, JobOutcome::Done(RawJson::parse("\"hunter2\"").unwrap()));
            }
            let (_, publication) = worker.take_publication().unwrap();
            let payload = publication.payload.as_str();
            assert_eq!(payload.contains("hunter2"), policy == Policy::plain());
            let (notice, form) = codec.open_notice(payload.as_bytes(), &channel).unwrap();
            assert_eq!((notice.task_id(), form), (Some(task_id()), policy.sends()));
        }
    }
}

#[test]
fn peers_of_the_node_package_receive_plaintext_notices() {
    for policy in [Policy::legacy(), Policy::bridge_from_legacy()] {
        let mut worker = worker(policy);
        let run = worker.running(&sealed(Policy::legacy(), &plain_body()));
        worker.done(&run);
        let (_, publication) = worker.take_publication().unwrap();
        assert_eq!(publication.channel.as_str(), "ivy-notifier");
        assert!(publication.payload.as_str().starts_with("{\"id\""));
    }
}

#[test]
fn a_result_that_is_too_large_once_sealed_is_reported_as_too_large() {
    let codec = codec(Policy::v2());
    let mut worker = started_with(with_codec(&codec));
    let run = worker.running(&sealed(Policy::v2(), &our_body(1, Some(NOTICE_CHANNEL))));
    let large = RawJson::from_value(&"x".repeat(900_000)).unwrap();
    worker.end(&run, JobOutcome::Done(large));
    let (_, publication) = worker.take_publication().unwrap();
    let channel = ChannelName::new(NOTICE_CHANNEL).unwrap();
    let opened = codec.open_notice(publication.payload.as_str().as_bytes(), &channel).unwrap();
    assert_eq!(opened.0.outcome().unwrap(), crate::task::TaskOutcome::ResultTooLarge);
}

#[test]
fn a_message_sealed_with_an_unknown_key_waits_for_the_key() {
    let new_only = Keyring::new(Keyset::new(key_id("k3"), key_secret(3)));
    let sender = Codec::new(&Encryption::new().with_keyring(new_only)).unwrap();
    let body = sealed_by(&sender, &our_body(1, None), 1);
    let ring = keyring();
    let codec = Codec::new(&Encryption::new().with_keyring(ring.clone())).unwrap();
    let mut worker = started_with(with_codec(&codec));
    worker.deliver(&[&body]);
    let (release, _) = worker.take_release().expect("another worker may know the key");
    worker.reply(release, Ok(QueueReply::Released));
    assert!(ring.reload("{}").is_err());
    worker.deliver_counted(&[(&body, 2)]);
    let (release, _) = worker.take_release().expect("the old keyset stays in force");
    worker.reply(release, Ok(QueueReply::Released));
    let mut keyset = Keyset::new(key_id("k1"), key_secret(1));
    keyset.add(key_id("k3"), KeyStatus::DecryptOnly, key_secret(3)).unwrap();
    ring.replace(keyset);
    worker.deliver_counted(&[(&body, 3)]);
    assert_eq!(worker.runs.len(), 1);
}

#[test]
fn many_invalid_frames_of_the_node_package_do_not_pause_a_queue_with_valid_ones() {
    let key = crate::wire::LegacyKey::new("another").unwrap();
    let mut worker = worker(Policy::legacy());
    let run = worker.running(&sealed(Policy::legacy(), &our_body(1, None)));
    worker.done(&run);
    for tried in 0..61 {
        worker.deliver(&[&key.encrypt(&format!("{tried}"))]);
        let (release, _) = worker.take_release().unwrap();
        worker.reply(release, Ok(QueueReply::Released));
    }
    assert!(worker.has_event(|event| matches!(event, Event::DecryptionsFailed { .. })));
    assert!(worker.take_poll().is_some(), "the queue is not paused");
}

#[test]
fn many_invalid_frames_of_the_node_package_pause_a_queue_without_valid_ones() {
    let key = crate::wire::LegacyKey::new("another").unwrap();
    let mut worker = worker(Policy::legacy());
    let mut tried = 0;
    for _ in 0..3_600 {
        if worker.ops.is_empty() {
            worker.advance(Duration::from_secs(1));
            continue;
        }
        worker.deliver(&[&key.encrypt(&format!("{tried}"))]);
        tried += 1;
        let (release, _) = worker.take_release().unwrap();
        worker.reply(release, Ok(QueueReply::Released));
    }
    assert!(tried <= 61 * 60, "{tried} frames in an hour");
}

fn our_body_called(called: Option<u64>) -> String {
    let mut envelope = Envelope::parse(&our_body(1, None)).unwrap();
    let mut ivy = envelope.options.ivy().unwrap().clone();
    ivy.called = called;
    envelope.options = envelope.options.with_ivy(ivy);
    envelope.to_text()
}

#[test]
fn a_message_that_is_too_old_or_from_the_future_is_not_run() {
    let now = 1_700_000_000_000;
    let policy = Policy::v2().with_max_age(Duration::from_secs(3600));
    for (called, runs, reason) in [
        (Some(now), true, None),
        (Some(now - 3_600_000 - 60_000), true, None),
        (Some(now - 3_600_000 - 60_001), false, Some(DeadLetterReason::Expired)),
        (None, false, Some(DeadLetterReason::Expired)),
        (Some(now + 60_000), true, None),
        (Some(now + 60_001), false, None),
    ] {
        let mut worker = worker(policy);
        let body = sealed(Policy::v2(), &our_body_called(called));
        if runs {
            worker.running(&body);
        } else {
            assert_eq!(dead_letter_reason(&mut worker, &body), reason, "{called:?}");
        }
        let mut unlimited = self::worker(Policy::v2());
        unlimited.running(&body);
    }
}

#[test]
fn the_same_frame_is_run_again_unless_it_is_remembered() {
    for window in [None, Some(ReplayWindow::default())] {
        let codec = codec(Policy::v2());
        let mut config = with_codec(&codec);
        config.replay_window = window;
        let mut worker = started_with(config);
        let body = sealed(Policy::v2(), &our_body(1, None));
        let run = worker.running(&body);
        let key = run.message_key.expect("an authenticated message has a key");
        // A failed attempt is not remembered.
        worker.end(&run, JobOutcome::Failed("no".into()));
        let (_, (_, successor)) = worker.take_post().unwrap();
        let run = worker.running(&body);
        assert_eq!(run.message_key, Some(key), "the same at each delivery");
        worker.done(&run);
        worker.deliver(&[&body]);
        let replayed = worker.has_event(|event| matches!(event, Event::Replayed { .. }));
        assert_eq!(replayed, window.is_some());
        assert_eq!(worker.runs.is_empty(), window.is_some());
        worker.runs.clear();
        let run = worker.running(successor.body.as_str());
        assert_ne!(run.message_key, Some(key), "another message has another key");
    }
}

#[test]
fn unauthenticated_messages_have_no_key() {
    for policy in [Policy::plain(), Policy::legacy()] {
        let run = worker(policy).running(&sealed(policy, &our_body(1, None)));
        assert_eq!(run.message_key, None);
    }
}

#[test]
fn a_body_too_large_for_a_sealed_dead_letter_is_posted_bare() {
    let codec = codec(Policy::v2());
    let mut config = with_codec(&codec);
    config.capabilities.max_body = 600;
    let mut worker = started_with(config);
    let text =
        format!("{{\"name\":\"{TASK}\",\"options\":{{}},\"args\":[\"{}\"]}}", "x".repeat(200));
    let body = sealed(Policy::v2(), &text);
    let run = worker.running(&body);
    worker.end(&run, JobOutcome::Failed(TaskError::fatal("no")));
    let (_, (_, copy)) = worker.take_post().unwrap();
    assert_eq!(copy.body, Body::new(body));
}
