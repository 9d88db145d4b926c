//! A Redis server that replies arbitrarily: no reply ends a worker, loses a task or shows a
//! password.

use std::time::Duration;

use ivy_proto::ErrorKind;
use ivy_proto::event::{Event, NoticeDropReason, Part};
use ivy_proto::notify::NotifyFaultKind;
use ivy_test_kit::{PATIENCE, ScriptedRedis, ScriptedReply};
use serde_json::json;

use crate::fixture::Fixture;
use crate::harness::{Builder, Failure, Handle, Harness, HarnessConfig};
use crate::helpers::{eventually, eventually_eq};
use crate::tasks::DOUBLE;
use crate::watch::Watch;

const PASSWORD: &str = "Zq7Secret7Zq";

/// One byte more than the largest notice that is parsed.
const TOO_LARGE: usize = 1024 * 1024 + 1;
/// More bytes than those that are received of a notice: it is skipped.
const SKIPPED: usize = 2 * 1024 * 1024;

/// The error replies of a server that accepts no commands, and whether an operator must fix the
/// cause.
const ERRORS: [(&str, bool); 9] = [
    ("NOAUTH Authentication required.", true),
    ("WRONGPASS invalid username-password pair Zq7Secret7Zq", true),
    ("ERR invalid password", true),
    ("LOADING Redis is loading the dataset in memory", false),
    ("READONLY You can't write against a read only replica.", false),
    ("MOVED 3999 127.0.0.1:6381", false),
    ("OOM command not allowed when used memory > 'maxmemory'.", false),
    ("MISCONF Redis is configured to save RDB snapshots", false),
    ("ERR Zq7Secret7Zq", false),
];

fn scripted<H: Harness>(fixture: &Fixture<H>) -> (ScriptedRedis, Fixture<H>) {
    let redis = ScriptedRedis::start();
    let fixture = fixture.at(|config| config.notifier = Some(redis.url(PASSWORD)));
    (redis, fixture)
}

fn call_succeeds<H: Harness>(fixture: &Fixture<H>, n: u64) {
    let handle = fixture.ivy.call(&fixture.own(DOUBLE), (n,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 2 * n);
}

/// The channel that only this ivy subscribes to.
fn reply_channel(redis: &ScriptedRedis) -> String {
    let subscribed = redis.received("SUBSCRIBE");
    let own = subscribed.iter().flatten().find(|channel| channel.contains(".r."));
    own.expect("it has a reply channel of its own").clone()
}

fn recovered(event: &Event) -> Option<()> {
    matches!(event, Event::Recovered { part: Part::Notifier }).then_some(())
}

/// The next fault of the notifier; checks that it shows no password.
fn fault(watch: &mut Watch) -> NotifyFaultKind {
    watch.until(|event| match event {
        Event::NotifierError { fault } => {
            let shown = format!("{event:?} {fault} {fault:?}");
            assert!(!shown.contains(PASSWORD), "{shown}");
            Some(fault.kind())
        }
        _ => None,
    })
}

/// A published payload that is no notice for a call of ours is counted and ignored.
pub(crate) fn invalid_payloads_are_counted<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    let mut watch = fixture.watch();
    call_succeeds(&fixture, 1);
    let notice = |name: &str, id: &str| {
        let options = json!({ "ivy": { "v": 1, "id": id, "outcome": "ok" } });
        json!({
            "id": "1", "name": name, "args": [], "options": options, "result": [1], "notify": true,
            "queue": fixture.name,
        })
    };
    let of_another = notice(DOUBLE.name(), "AAAAAAAAAAAAAAAAAAAAAA");
    let mut silent = of_another.clone();
    silent["notify"] = json!(false);
    let mut without_args = of_another.clone();
    without_args.as_object_mut().unwrap().remove("args");
    let payloads = [
        Vec::new(),
        b"no JSON".to_vec(),
        b"\xff\xfe".to_vec(),
        vec![b'x'; TOO_LARGE],
        vec![b'x'; SKIPPED],
        b"{}".to_vec(),
        b"[1]".to_vec(),
        notice("unknown", "AAAAAAAAAAAAAAAAAAAAAA").to_string().into_bytes(),
        silent.to_string().into_bytes(),
        without_args.to_string().into_bytes(),
        of_another.to_string().into_bytes(),
    ];
    let channels = [reply_channel(&redis), fixture.name.to_owned()];
    for payload in &payloads {
        channels.iter().for_each(|channel| redis.publish(channel, payload));
    }
    let ignored = |event: &Event| matches!(event, Event::NoticeIgnored).then_some(());
    for _ in 0..payloads.len() * channels.len() {
        watch.until(ignored);
    }
    call_succeeds(&fixture, 2);
}

/// A peer that reaches the notifier can forge a result, as documented, but never end a task by it.
pub(crate) fn a_forged_notice_ends_no_task<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let double = fixture.own(DOUBLE);
    let handle = fixture.ivy.call(&double, (1,)).unwrap();
    let options = json!({ "ivy": { "v": 1, "id": handle.id().to_string(), "outcome": "ok" } });
    let forged = json!({
        "id": "1", "name": DOUBLE.name(), "args": [], "options": options, "result": [7],
        "notify": true, "queue": fixture.name,
    });
    redis.publish(&reply_channel(&redis), forged.to_string().as_bytes());
    assert_eq!(handle.result(PATIENCE).unwrap(), 7);
    assert_eq!(fixture.size(fixture.name), 1);
    let _worker = fixture.doubling_without_presence(&double);
    fixture.until_empty();
}

/// Messages of channels and patterns without a subscription are ignored.
pub(crate) fn messages_of_other_channels_are_ignored<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    call_succeeds(&fixture, 1);
    redis.push(b"*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$2\r\n{}\r\n");
    redis.push(b"*3\r\n$7\r\nmessage\r\n$3\r\na\0b\r\n$2\r\n{}\r\n");
    redis.push(b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$5\r\nother\r\n$2\r\n{}\r\n");
    call_succeeds(&fixture, 2);
    assert_eq!(redis.received("SUBSCRIBE").len(), 1);
}

/// Invalid protocol on a subscription ends at most that subscription; a new one follows.
pub(crate) fn damaged_bytes_cost_a_subscription_at_most<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    let mut watch = fixture.watch();
    call_succeeds(&fixture, 1);
    let deep = b"*1\r\n".repeat(100_000);
    let damaged: [&[u8]; 9] = [
        b"?what\r\n",
        b"$-2\r\n",
        b"*9223372036854775807\r\n",
        b"$9223372036854775807\r\n",
        b"$536870912\r\nab",
        b"$2\r\nab__",
        b"*3\r\n$7\r\nmessage\r\n$1\r\na",
        b">3\r\n$7\r\nmess",
        &deep,
    ];
    for (n, bytes) in (1..).zip(damaged) {
        redis.push(bytes);
        // Some would be the beginning of a valid message if more came.
        redis.disconnect_subscribers();
        watch.until(recovered);
        call_succeeds(&fixture, n);
    }
    for bytes in [&b":1\r\n"[..], b"+OK\r\n", b"-ERR inline\r\n", b"*0\r\n", b"*-1\r\n", b"$-1\r\n"]
    {
        redis.push(bytes);
        eventually("results arrive again", || {
            let handle = fixture.ivy.call(&fixture.own(DOUBLE), (21,));
            handle.is_ok_and(|handle| handle.result(Duration::from_secs(1)).is_ok())
        });
    }
}

/// A damaged reply to a publication costs at most its notice, and no task.
pub(crate) fn damaged_replies_cost_a_notice_at_most<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    let mut watch = fixture.watch();
    call_succeeds(&fixture, 1);
    for bytes in ["?\r\n", ":99999999999999999999\r\n", "$-2\r\n", "*9223372036854775807\r\n", "+"]
    {
        let reply = ScriptedReply::BytesAndHangUp(bytes.as_bytes().to_vec());
        redis.reply_next("PUBLISH", reply);
        fixture.ivy.call(&fixture.own(DOUBLE), (21,)).unwrap();
        assert_eq!(fault(&mut watch), NotifyFaultKind::ConnectionLost, "{bytes:?}");
        fixture.until_empty();
    }
    eventually("results arrive again", || {
        let handle = fixture.ivy.call(&fixture.own(DOUBLE), (21,)).unwrap();
        handle.result(Duration::from_secs(1)).is_ok()
    });
}

/// A server's refusal of a subscription is reported without the password. A temporary one is waited
/// for; one that an operator must fix is reported to the caller immediately.
pub(crate) fn refused_subscriptions_are_reported<H: Harness>(fixture: &Fixture<H>) {
    for (error_text, needs_operator) in ERRORS {
        for command in ["AUTH", "SUBSCRIBE"] {
            let (redis, fixture) = scripted(fixture);
            let mut watch = fixture.watch();
            redis.reply_next(
                command,
                ScriptedReply::Bytes(format!("-{error_text}\r\n").into_bytes()),
            );
            let called = fixture.ivy.call(&fixture.own(DOUBLE), (1,));
            let kind = fault(&mut watch);
            if needs_operator {
                assert_eq!(kind, NotifyFaultKind::Unauthorized, "{error_text}");
                let error = called.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotifierUnavailable, "{error_text}");
                assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error:?}");
            } else {
                assert_eq!(kind, NotifyFaultKind::Refused, "{error_text}");
                assert!(called.is_ok(), "{error_text}");
            }
        }
    }
}

/// A server's refusal of a publication is reported without the password. Nothing was published, so
/// it is retried, and the result arrives.
pub(crate) fn refused_publications_are_reported_and_retried<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    let mut watch = fixture.watch();
    call_succeeds(&fixture, 1);
    for (n, (error_text, needs_operator)) in (1..).zip(ERRORS) {
        redis
            .reply_next("PUBLISH", ScriptedReply::Bytes(format!("-{error_text}\r\n").into_bytes()));
        call_succeeds(&fixture, n);
        let refused = NotifyFaultKind::Refused;
        let expected = if needs_operator { NotifyFaultKind::Unauthorized } else { refused };
        assert_eq!(fault(&mut watch), expected, "{error_text}");
    }
}

/// A connection that ends while a notice is published may have published it: the notice is dropped
/// and counted, not published twice. Its task is done all the same.
pub(crate) fn a_lost_publication_is_not_repeated<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    let mut watch = fixture.watch();
    redis.reply_next("PUBLISH", ScriptedReply::HangUp);
    let handle = fixture.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap();
    let reason = watch.until(|event| match event {
        Event::NoticeDropped { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, NoticeDropReason::NotifierFailed);
    assert_eq!(fault(&mut watch), NotifyFaultKind::ConnectionLost);
    fixture.until_empty();
    assert_eq!(redis.received("PUBLISH").len(), 1);
    let error = handle.result(Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

/// A notice that has no subscriber, even when published again on a new connection, is counted and
/// is no error.
pub(crate) fn a_notice_without_a_subscriber_is_counted<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    let mut watch = fixture.watch();
    for _ in 0..2 {
        redis.reply_next("PUBLISH", ScriptedReply::Bytes(b":0\r\n".to_vec()));
    }
    let handle = fixture.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap();
    let received_by = watch.until(|event| match event {
        Event::ResultSent { task, receivers, .. } => (task.id == handle.id()).then_some(*receivers),
        _ => None,
    });
    assert_eq!(received_by, 0);
    fixture.until_empty();
    let errors = watch.all(|event| matches!(event, Event::NotifierError { .. }).then_some(()));
    assert_eq!(errors, []);
    assert!(redis.has_sent_all_replies());
}

/// A subscriber that the server disconnects subscribes again and reports this.
pub(crate) fn a_disconnected_subscriber_subscribes_again<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
    let mut watch = fixture.watch();
    call_succeeds(&fixture, 1);
    for round in 1..4 {
        redis.disconnect_subscribers();
        assert_eq!(fault(&mut watch), NotifyFaultKind::ConnectionLost);
        watch.until(recovered);
        assert_eq!(redis.received("SUBSCRIBE").len(), 1 + round);
        call_succeeds(&fixture, 2);
    }
}

/// A subscription that is confirmed twice, or receives messages before its confirmation, is one
/// subscription.
pub(crate) fn a_subscription_may_be_confirmed_twice<H: Harness>(fixture: &Fixture<H>) {
    let early = b"*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$2\r\n{}\r\n".to_vec();
    let twice = b"*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:1\r\n".to_vec();
    for before in [early, twice] {
        let (redis, fixture) = scripted(fixture);
        let _worker = fixture.doubling_without_presence(&fixture.own(DOUBLE));
        redis.reply_next("SUBSCRIBE", ScriptedReply::Before(before));
        call_succeeds(&fixture, 1);
        redis.push(b"*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:3\r\n");
        call_succeeds(&fixture, 2);
        assert!(redis.has_sent_all_replies());
        eventually_eq(2, || redis.received("PUBLISH").len());
    }
}

pub(crate) fn names_with_a_nul_are_refused<H: Harness>(fixture: &Fixture<H>) {
    let (redis, fixture) = scripted(fixture);
    let config = HarnessConfig { channel: "a\0b".to_owned(), ..fixture.config().clone() };
    assert!(H::connect(&config).is_err());
    let nameless = DOUBLE.queue("a\0b");
    assert!(fixture.ivy.call(&nameless, (1,)).is_err());
    assert!(fixture.worker().queue("a\0b").start().is_err());
    assert_eq!(redis.received("PUBLISH").len(), 0);
}
