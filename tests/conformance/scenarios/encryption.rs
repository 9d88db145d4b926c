//! Sealed messages, under each policy of their queue.

use ivy_proto::event::{Event, ReleaseReason};
use ivy_proto::task::{CallOptions, TaskError};
use ivy_proto::wire::crypto::{
    BodyForm, Encryption, KeyId, KeySecret, KeyStatus, Keyring, Keyset, Policy,
};
use ivy_proto::wire::{Content, DeadLetterReason};
use ivy_proto::{QueueName, Secret};
use ivy_test_kit::PATIENCE;
use ivy_test_kit::secrets::{ENCRYPTION_PASSWORD, KEYSET_SECRET};
use zeroize::Zeroizing;

use crate::fixture::Fixture;
use crate::harness::{Builder, Failure, Handle, Harness, HarnessConfig};
use crate::helpers::{Journal, eventually_eq};
use crate::tasks::DOUBLE;

fn id(text: &str) -> KeyId {
    KeyId::new(text).unwrap()
}

fn secret(text: &str) -> KeySecret {
    let bytes: Vec<u8> =
        KEYSET_SECRET.text().bytes().chain(text.bytes().cycle()).take(32).collect();
    KeySecret::new(Zeroizing::new(bytes)).unwrap()
}

/// A keyring that seals with the key of this name and opens with the others as well.
fn keyring(primary: &str, others: &[&str]) -> Keyring {
    let mut keyset = Keyset::new(id(primary), secret(primary));
    for other in others {
        keyset.add(id(other), KeyStatus::DecryptOnly, secret(other)).unwrap();
    }
    Keyring::new(keyset)
}

fn sealing(keyring: &Keyring, policy: Policy) -> impl FnOnce(&mut HarnessConfig) + use<> {
    let encryption = Encryption::new()
        .with_keyring(keyring.clone())
        .with_password(Secret::new(ENCRYPTION_PASSWORD.text()))
        .with_policy(policy);
    move |config| config.encryption = Some(encryption)
}

fn steps() -> [Policy; 6] {
    [
        Policy::plain(),
        Policy::legacy(),
        Policy::bridge_from_legacy(),
        Policy::bridge(),
        Policy::new(BodyForm::V2, [BodyForm::Bridge, BodyForm::V2]).unwrap(),
        Policy::v2(),
    ]
}

/// One worker serves queues of every policy. On each of them a task runs, its result arrives, and
/// so does the error of a task that fails.
pub(crate) fn tasks_results_and_errors_travel_under_each_policy<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let route = |number: usize| format!("{}-{number}", fixture.name);
    let mut encryption = Encryption::new()
        .with_keyring(keyring("k1", &[]))
        .with_password(Secret::new(ENCRYPTION_PASSWORD.text()));
    for (number, policy) in steps().into_iter().enumerate() {
        encryption = encryption.with_queue(QueueName::new(&route(number)).unwrap(), policy);
    }
    let fixture = fixture.at(|config| config.encryption = Some(encryption));
    let mut worker = fixture.worker();
    for number in 0..steps().len() {
        worker = worker.route(&route(number));
    }
    let handler = |_, (n,)| if n == 0 { Err(TaskError::fatal("no luck")) } else { Ok(2 * n) };
    let _worker = worker.register(&double, handler).start().unwrap();
    for (number, policy) in steps().into_iter().enumerate() {
        let options = || CallOptions::new().route(route(number));
        let good = fixture.ivy.call_with(&double, (21,), options()).unwrap();
        let bad = fixture.ivy.call_with(&double, (0,), options()).unwrap();
        assert_eq!(good.result(PATIENCE).unwrap(), 42, "{policy:?}");
        let error = bad.result(PATIENCE).unwrap_err();
        assert_eq!(error.failure().unwrap().message, "no luck", "{policy:?}");
    }
}

/// Neither the message nor its dead letter shows anything of a task, and both can be opened again.
pub(crate) fn a_sealed_queue_shows_nothing<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let fixture = fixture.at(sealing(&keyring("k1", &[]), Policy::v2()));
    fixture.ivy.send(&double, (2_718_281_828,)).unwrap();
    let bodies = fixture.bodies(fixture.name);
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].starts_with("$ivy2$k1$"), "{}", bodies[0]);
    let contents = fixture.ivy.peek(fixture.name).unwrap();
    let [Content::Task(envelope)] = &contents[..] else { panic!("{contents:?}") };
    assert_eq!(envelope.args.as_str(), "[2718281828]");
    let handler = |_, (_,)| Err(TaskError::fatal("no"));
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    let dead = format!("{}.dead", fixture.name);
    eventually_eq(1, || fixture.size(&dead));
    assert!(fixture.bodies(&dead)[0].starts_with("$ivy2$k1$"));
    let contents = fixture.ivy.peek(&dead).unwrap();
    let [Content::DeadLetter { letter, task: Ok(task) }] = &contents[..] else {
        panic!("{contents:?}")
    };
    assert_eq!((letter.reason, letter.body.as_str()), (DeadLetterReason::Fatal, &*bodies[0]));
    assert_eq!(task.args.as_str(), "[2718281828]");
}

/// A message that is less protected than its queue demands is dead-lettered, a frame that was moved
/// from another queue is released, and neither is run.
pub(crate) fn downgrades_are_dead_lettered_and_moved_frames_are_released<H: Harness>(
    fixture: &Fixture<H>,
) {
    let double = fixture.own(DOUBLE);
    let keys = keyring("k1", &[]);
    let plain = fixture.at(|_| {});
    plain.ivy.send(&double, (1,)).unwrap();
    let legacy = fixture.at(sealing(&keys, Policy::legacy()));
    legacy.ivy.send(&double, (2,)).unwrap();
    let fixture = fixture.at(sealing(&keys, Policy::v2()));
    let elsewhere = format!("{}-elsewhere", fixture.name);
    let options = CallOptions::new().route(&elsewhere);
    fixture.ivy.send_with(&double, (3,), options).unwrap();
    fixture.post(&fixture.bodies(&elsewhere)[0]);
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let mut watch = fixture.watch();
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    assert_eq!(fixture.ivy.call(&double, (4,)).unwrap().result(PATIENCE).unwrap(), 8);
    let dead = format!("{}.dead", fixture.name);
    eventually_eq(2, || fixture.size(&dead));
    let reasons: Vec<_> = fixture
        .ivy
        .peek(&dead)
        .unwrap()
        .into_iter()
        .map(|content| match content {
            Content::DeadLetter { letter, .. } => letter.reason,
            content => panic!("{content:?}"),
        })
        .collect();
    assert_eq!(reasons, [DeadLetterReason::Downgrade; 2]);
    // Its key may belong to another deployment that uses the same id, so another worker may open
    // it.
    let failed_tag = ReleaseReason::Undecided(DeadLetterReason::BadTag);
    watch.until(|event| {
        matches!(event, Event::Released { reason, .. } if *reason == failed_tag).then_some(())
    });
    assert_eq!(executed.entries(), [4]);
}

/// Keys are replaced in one program after the other while tasks are in flight, and a reload that
/// fails changes nothing: every result arrives.
pub(crate) fn a_key_rotation_loses_no_result<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let (producer_keys, worker_keys) = (keyring("old", &[]), keyring("old", &[]));
    let producer = fixture.at(sealing(&producer_keys, Policy::v2()));
    let receiving = fixture.at(sealing(&worker_keys, Policy::v2()));
    let _worker = receiving.doubling(&double);
    let mut handles = Vec::new();
    let mut call_some = || {
        for handle in producer.ivy.call_many(&double, (0..10).map(|n| (n,))) {
            handles.push((handles.len() as u64 % 10, handle.unwrap()));
        }
    };
    let distribute = |keys: &Keyring, primary: &str, others: &[&str]| {
        keys.reload(&keyring(primary, others).current().to_json()).unwrap();
    };
    call_some();
    distribute(&worker_keys, "old", &["new"]);
    call_some();
    distribute(&producer_keys, "old", &["new"]);
    call_some();
    distribute(&producer_keys, "new", &["old"]);
    call_some();
    assert!(worker_keys.reload("{\"primary\":\"new\"}").is_err());
    call_some();
    distribute(&worker_keys, "new", &["old"]);
    call_some();
    for (n, handle) in &handles {
        assert_eq!(handle.result(PATIENCE).unwrap(), 2 * n);
    }
    receiving.until_empty();
}

/// A message whose key is not known yet waits until it is.
pub(crate) fn a_message_waits_for_its_key<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let worker_keys = keyring("old", &[]);
    let producer = fixture.at(sealing(&keyring("new", &["old"]), Policy::v2()));
    let receiving = fixture.at(sealing(&worker_keys, Policy::v2()));
    let mut watch = receiving.watch();
    let _worker = receiving.doubling(&double);
    let handle = producer.ivy.call(&double, (21,)).unwrap();
    let reason = watch.until(|event| match event {
        Event::Released { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, ReleaseReason::Undecided(DeadLetterReason::UnknownKey));
    worker_keys.reload(&keyring("old", &["new"]).current().to_json()).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}
