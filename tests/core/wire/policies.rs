//! What a queue's policy refuses, whatever keys exist.

use ivy_proto::Secret;
use ivy_proto::queue::Body;
use ivy_proto::wire::crypto::{Encryption, KeyId, KeySecret, Keyring, Keyset, Policy};
use ivy_proto::wire::{Codec, DeadLetterReason, Envelope};
use zeroize::Zeroizing;

use crate::inputs::{pool, queue};

const TEXT: &str = r#"{"name":"test","options":{},"args":[5]}"#;

/// A codec with all keys, for a queue with this policy.
fn codec(policy: Policy) -> Codec {
    let secret = KeySecret::new(Zeroizing::new(vec![1; 32])).unwrap();
    let keyring = Keyring::new(Keyset::new(KeyId::new("k1").unwrap(), secret));
    let encryption = Encryption::new().with_password(Secret::new("pass")).with_keyring(keyring);
    Codec::new(&encryption.with_policy(policy)).unwrap()
}

fn sealed(policy: Policy) -> Body {
    codec(policy).seal(&Envelope::parse(TEXT).unwrap(), &queue(), &mut pool())
}

fn reason(policy: Policy, body: &Body) -> DeadLetterReason {
    codec(policy).open(body, &queue()).expect_err("it must not open").reason()
}

#[test]
fn each_policy_opens_what_it_sends() {
    for policy in [Policy::plain(), Policy::legacy(), Policy::bridge(), Policy::v2()] {
        assert_eq!(codec(policy).open(&sealed(policy), &queue()).unwrap().args.as_str(), "[5]");
    }
}

#[test]
fn a_frame_of_the_node_package_without_a_tag_is_a_downgrade_if_a_tag_is_required() {
    let frame = sealed(Policy::legacy());
    assert_eq!(reason(Policy::bridge(), &frame), DeadLetterReason::Downgrade);
    // This is what a bridge frame becomes without its tag.
    let bridge = sealed(Policy::bridge());
    let (stripped, _) = bridge.as_str().split_once("$h1$").unwrap();
    assert_eq!(reason(Policy::bridge(), &Body::new(stripped)), DeadLetterReason::Downgrade);
    assert!(codec(Policy::legacy()).open(&Body::new(stripped), &queue()).is_ok());
}

#[test]
fn anything_weaker_is_a_downgrade_if_only_version_2_is_accepted() {
    for weaker in [Policy::plain(), Policy::legacy(), Policy::bridge()] {
        let reason = reason(Policy::v2(), &sealed(weaker));
        assert_eq!(reason, DeadLetterReason::Downgrade, "{weaker:?}");
        assert!(!reason.may_be_decided_elsewhere());
    }
}
