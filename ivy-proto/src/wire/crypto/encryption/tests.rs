use super::*;
use crate::wire::crypto::samples::{both, keyring};

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn error(encryption: &Encryption) -> InvalidEncryption {
    QueuePolicies::of(encryption).unwrap_err()
}

#[test]
fn the_default_policy_is_the_safe_one_for_the_given_keys() {
    let password = || Encryption::new().with_password(Secret::new("pass"));
    assert_eq!(Encryption::new().policy(), Policy::plain());
    assert_eq!(password().policy(), Policy::legacy());
    assert_eq!(Encryption::new().with_keyring(keyring()).policy(), Policy::v2());
    assert_eq!(both().policy(), Policy::bridge());
    assert!(!both().policy().accepts(BodyForm::Legacy), "only if the policy is set explicitly");
    for encryption in [Encryption::new(), password(), both()] {
        assert!(QueuePolicies::of(&encryption).is_ok(), "{encryption:?}");
    }
}

#[test]
fn a_policy_without_its_keys_is_refused() {
    let keys = || Encryption::new().with_keyring(keyring());
    let password = || Encryption::new().with_password(Secret::new("pass"));
    for policy in [Policy::legacy(), Policy::bridge_from_legacy(), Policy::bridge()] {
        let none = InvalidEncryption::NoPassword { queue: None };
        assert_eq!(error(&keys().with_policy(policy)), none);
    }
    for policy in [Policy::bridge_from_legacy(), Policy::bridge(), Policy::v2()] {
        let none = InvalidEncryption::NoKeyset { queue: None };
        assert_eq!(error(&password().with_policy(policy)), none);
    }
    let mail = queue("mail");
    let of_mail = password().with_queue(mail.clone(), Policy::v2());
    assert_eq!(error(&of_mail), InvalidEncryption::NoKeyset { queue: Some(mail) });
    assert!(error(&of_mail).to_string().starts_with("queue mail "));
    let blank = Encryption::new().with_password(Secret::new(" "));
    assert_eq!(error(&blank), InvalidEncryption::BlankPassword);
}

#[test]
fn a_queues_policy_applies_to_its_priorities_and_dead_letters() {
    let encryption = both()
        .with_policy(Policy::plain())
        .with_queue(queue("mail"), Policy::v2())
        .with_queue(queue("mail.p2"), Policy::bridge());
    let policies = QueuePolicies::of(&encryption).unwrap();
    for (name, policy) in [
        ("mail", Policy::v2()),
        ("mail.p1", Policy::v2()),
        ("mail.dead", Policy::v2()),
        ("mail.p9.dead", Policy::v2()),
        ("mail.p2", Policy::bridge()),
        ("mail.p2.dead", Policy::bridge()),
        ("mail.p0", Policy::plain()),
        ("mail.p10", Policy::plain()),
        ("mail.px", Policy::plain()),
        ("mailx", Policy::plain()),
        ("other", Policy::plain()),
    ] {
        assert_eq!(policies.queue(&queue(name)).policy, policy, "{name}");
    }
}
