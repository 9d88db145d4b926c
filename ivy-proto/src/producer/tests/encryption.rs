//! Sealed calls and notices.

use super::scenario::{Scenario, call, call_with_handle, id, notice};
use crate::event::Event;
use crate::name::ChannelName;
use crate::producer::{Input, ProducerConfig};
use crate::queue::{Body, Capabilities};
use crate::secret::Secret;
use crate::task::{TaskOutcome, TaskReleased};
use crate::wire::crypto::samples::{both, keyring};
use crate::wire::crypto::{Encryption, EntropyPool, Policy};
use crate::wire::{Codec, Notice, RawJson};

fn codec(policy: Policy) -> Codec {
    Codec::new(&both().with_policy(policy)).unwrap()
}

fn config(codec: &Codec) -> ProducerConfig {
    ProducerConfig::new(Capabilities::broker(), codec.clone())
        .with_notifier(ChannelName::new("ivy-notifier").unwrap())
        .unwrap()
}

fn done() -> TaskOutcome {
    TaskOutcome::Done(RawJson::parse("120").unwrap())
}

/// A producer that waits for the result of call 1, on a queue with this policy.
fn waiting(policy: Policy) -> Scenario {
    let mut scenario = Scenario::subscribed(config(&codec(policy)));
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.accept(&post);
    scenario.events();
    scenario
}

/// The notice of call 1, sealed for this channel according to the policy.
fn sealed(policy: Policy, channel: &ChannelName) -> Vec<u8> {
    let notice = Notice::parse(&notice(1, &done())).unwrap();
    let mut pool = EntropyPool::from_seed(&[3; 32]);
    let body = codec(policy).seal_notice(&notice, &call(1).queue, channel, &mut pool);
    body.as_str().as_bytes().to_vec()
}

/// Whether a notice reaches the caller; if not, it is reported as ignored.
fn reaches(policy: Policy, channel: ChannelName, payload: Vec<u8>) -> bool {
    let mut scenario = waiting(policy);
    scenario.feed(Input::Notice { channel, payload });
    let reached = !scenario.results().is_empty();
    assert_eq!(scenario.events().contains(&Event::NoticeIgnored), !reached);
    reached
}

#[test]
fn each_policy_seals_in_its_own_format() {
    for (policy, start) in [
        (Policy::plain(), "{\"name\""),
        (Policy::legacy(), "$aes-256-cbc$"),
        (Policy::bridge(), "$aes-256-cbc$"),
        (Policy::v2(), "$ivy2$k1$"),
    ] {
        let codec = codec(policy);
        let mut scenario = Scenario::new(config(&codec));
        scenario.call(call(1));
        let post = scenario.only_post();
        assert!(post.bodies[0].starts_with(start), "{policy:?}");
        assert_eq!(post.bodies[0].contains("$h1$k1$"), policy == Policy::bridge());
        let opened = codec.open(&Body::new(post.bodies[0].as_str()), &post.queue).unwrap();
        assert_eq!(opened.args.as_str(), "[5]");
    }
}

#[test]
fn no_two_frames_share_an_initialization_vector() {
    let mut scenario = Scenario::new(config(&codec(Policy::v2())));
    scenario.feed(Input::Calls(super::scenario::calls(50)));
    let bodies: Vec<_> = scenario.posts().into_iter().flat_map(|post| post.bodies).collect();
    let ivs: std::collections::BTreeSet<_> = bodies.iter().map(|body| &body[..30]).collect();
    assert_eq!((bodies.len(), ivs.len()), (50, 50));
}

#[test]
fn only_formats_of_the_node_package_are_held_to_its_size_limit() {
    let args = RawJson::from_value(&["x".repeat(60_000)]).unwrap();
    for (policy, refused) in [(Policy::bridge(), true), (Policy::v2(), false)] {
        let mut scenario = Scenario::new(config(&codec(policy)));
        scenario.call(crate::producer::Call { args: args.clone(), ..call(1) });
        assert_eq!(!scenario.send_errors().is_empty(), refused, "{policy:?}");
    }
}

#[test]
fn the_time_of_the_call_is_sent_if_the_age_is_limited() {
    let age = std::time::Duration::from_secs(3600);
    for policy in [Policy::v2(), Policy::v2().with_max_age(age)] {
        let codec = codec(policy);
        let mut scenario = Scenario::new(config(&codec));
        scenario.call(call(1));
        let post = scenario.only_post();
        let opened = codec.open(&Body::new(post.bodies[0].as_str()), &post.queue).unwrap();
        let called = policy.max_age().map(|_| 1_700_000_000_000);
        assert_eq!(opened.options.ivy().unwrap().called, called);
    }
}

#[test]
fn a_notice_reaches_the_caller_only_if_sealed_as_the_policy_requires() {
    let reply = waiting(Policy::v2()).reply_channel();
    let shared = ChannelName::new("ivy-notifier").unwrap();
    let steps = [Policy::plain(), Policy::legacy(), Policy::bridge(), Policy::v2()];
    for policy in steps {
        for sent in steps {
            let expected = policy.accepts(sent.sends());
            let payload = sealed(sent, &reply);
            assert_eq!(reaches(policy, reply.clone(), payload), expected, "{sent:?} {policy:?}");
        }
        // A peer of the Node package sends plaintext notices on the shared channel, if it can open
        // the task.
        let expected = policy != Policy::v2();
        let payload = sealed(Policy::plain(), &shared);
        assert_eq!(reaches(policy, shared.clone(), payload), expected, "{policy:?}");
        let payload = sealed(Policy::v2(), &shared);
        assert!(!reaches(policy, shared.clone(), payload), "{policy:?}");
    }
}

#[test]
fn a_release_notice_is_accepted_only_if_sealed_as_the_policy_requires() {
    let (kind, message) = ("UnknownTask".to_owned(), "forged".to_owned());
    let release = TaskReleased { queue: call(1).queue, kind, message, attempts: 0 };
    for policy in [Policy::plain(), Policy::bridge(), Policy::v2()] {
        let mut scenario = waiting(policy);
        scenario.release_notice(1, &release);
        let accepted = policy == Policy::plain();
        assert_eq!(scenario.producer().released(id(1)).is_some(), accepted, "{policy:?}");
        assert_eq!(scenario.events().contains(&Event::NoticeIgnored), !accepted, "{policy:?}");
    }
}

#[test]
fn a_notice_for_another_channel_or_a_task_is_ignored() {
    let codec = codec(Policy::v2());
    let scenario = waiting(Policy::v2());
    let reply = scenario.reply_channel();
    let other = ChannelName::new("ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA").unwrap();
    assert!(!reaches(Policy::v2(), reply.clone(), sealed(Policy::v2(), &other)));
    let mut pool = EntropyPool::from_seed(&[4; 32]);
    let envelope =
        crate::wire::Envelope::parse(std::str::from_utf8(&notice(1, &done())).unwrap()).unwrap();
    let queue = crate::name::QueueName::new(reply.as_str()).unwrap();
    let task = codec.seal(&envelope, &queue, &mut pool).as_str().as_bytes().to_vec();
    assert!(!reaches(Policy::v2(), reply.clone(), task), "a task is not a notice");
    let mut flipped = sealed(Policy::v2(), &reply);
    *flipped.last_mut().unwrap() ^= 1;
    assert!(!reaches(Policy::v2(), reply, flipped));
}

#[test]
fn a_notice_sealed_with_a_former_primary_key_still_arrives() {
    let ring = keyring();
    let encryption = Encryption::new().with_keyring(ring.clone()).with_password(Secret::new("p"));
    let codec = Codec::new(&encryption.with_policy(Policy::v2())).unwrap();
    let mut scenario = Scenario::subscribed(config(&codec));
    scenario.call(call_with_handle(1));
    let post = scenario.only_post();
    scenario.accept(&post);
    let payload = sealed(Policy::v2(), &scenario.reply_channel());
    let json = ring
        .current()
        .to_json()
        .replace("decrypt_only", "enabled")
        .replace("\"primary\": \"k1\"", "\"primary\": \"k2\"");
    ring.reload(&json).unwrap();
    let channel = scenario.reply_channel();
    scenario.feed(Input::Notice { channel, payload });
    assert_eq!(scenario.results(), [(id(1), done(), None)]);
    scenario.call(call(2));
    assert!(
        scenario.only_post().bodies[0].starts_with("$ivy2$k2$"),
        "the new key seals immediately"
    );
}
