//! The notifier: what other programs publish, and what happens when it fails.

use std::thread;
use std::time::Duration;

use ivy_proto::ErrorKind;
use ivy_proto::event::{Event, NoticeDropReason, Part};
use ivy_test_kit::{ClosedPort, Notices, PATIENCE, RedisServer};
use serde_json::json;

use crate::fixture::Fixture;
use crate::harness::{Builder, Failure, Handle, Harness};
use crate::helpers::{Journal, eventually_eq};
use crate::runtime::wait;
use crate::tasks::DOUBLE;

pub(crate) fn a_message_of_a_node_producer_is_run<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    fixture.post(&format!(r#"{{"name":"{}","options":{{}},"args":[21]}}"#, double.name()));
    eventually_eq(vec![21], || executed.entries());
    fixture.until_empty();
}

/// A 0.2.2 producer receives its reply on the shared channel, in the fields that it reads.
pub(crate) fn a_node_caller_gets_its_reply_in_the_format_of_node<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let mut notices = wait(Notices::listen(fixture.redis(), fixture.name));
    let _worker = fixture.doubling(&double);
    let options = json!({ "retry": true, "maxRetries": 3 });
    let body = json!({ "name": double.name(), "options": options, "args": [21] });
    fixture.post(&body.to_string());
    let mut notice = wait(notices.next()).content;
    let id = notice.as_object_mut().unwrap().remove("id").unwrap();
    assert!(id.as_str().is_some_and(|id| !id.is_empty()), "{id}");
    let expected = json!({
        "name": double.name(), "args": [21], "options": options, "result": [42], "notify": true,
        "queue": fixture.name,
    });
    assert_eq!(notice, expected);
}

/// A client that can post messages cannot make workers publish on channels other than our callers'
/// reply channels.
pub(crate) fn no_message_makes_a_worker_publish_to_all<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let mut watch = fixture.watch();
    let _worker = fixture.doubling(&double);
    let ivy = json!({ "v": 1, "id": "AAAAAAAAAAAAAAAAAAAAAA", "reply": fixture.name });
    let body = json!({ "name": double.name(), "options": { "ivy": ivy }, "args": [21] });
    fixture.post(&body.to_string());
    let reason = watch.until(|event| match event {
        Event::NoticeDropped { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, NoticeDropReason::ForeignChannel);
    fixture.until_empty();
}

/// A duplicate notice resumes its caller once, and anything else on its channel is ignored.
pub(crate) fn invalid_and_repeated_notices_are_ignored<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let mut notices = wait(Notices::listen(fixture.redis(), &format!("{}.r.*", fixture.name)));
    let mut watch = fixture.watch();
    let _worker = fixture.doubling(&double);
    let first = fixture.ivy.call(&double, (1,)).unwrap();
    assert_eq!(first.result(PATIENCE).unwrap(), 2);
    let notice = wait(notices.next());
    for text in ["", "no JSON", "{}", "[]", &notice.content.to_string()] {
        wait(fixture.redis().publish(&notice.channel, text));
        wait(fixture.redis().publish(fixture.name, text));
    }
    // Its result comes on the same channel, so after all of these.
    let second = fixture.ivy.call(&double, (2,)).unwrap();
    assert_eq!(second.result(PATIENCE).unwrap(), 4);
    assert_eq!(first.result(PATIENCE).unwrap(), 2);
    assert_eq!(watch.resumed_until(second.id()), [first.id(), second.id()]);
}

/// Killing Redis while tasks run loses none of them; when it is back, results arrive again and
/// nothing has to be restarted.
pub(crate) fn redis_may_be_killed_while_tasks_run<H: Harness>(fixture: &Fixture<H>) {
    const TASKS: u64 = 100;
    let mut redis = wait(RedisServer::start());
    let fixture = fixture.at(|config| config.notifier = Some(redis.url()));
    let double = fixture.own(DOUBLE);
    let mut watch = fixture.watch();
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        thread::sleep(Duration::from_millis(20));
        journal.write(n);
        Ok(2 * n)
    };
    let handles = fixture.ivy.call_many(&double, (0..TASKS).map(|n| (n,)));
    let _worker = fixture.worker().concurrency(2).register(&double, handler).start().unwrap();
    watch.until(|event| matches!(event, Event::CallerResumed { .. }).then_some(()));
    wait(redis.kill_hard());
    assert!(fixture.size(fixture.name) > 0, "Redis must be killed while there is work");
    fixture.until_empty();
    let mut numbers = executed.entries();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..TASKS).collect::<Vec<_>>());
    wait(redis.restart());

    // Notices that were published without a subscriber are lost; a result that arrives is the right
    // one.
    for (n, handle) in (0..TASKS).zip(handles) {
        match handle.unwrap().result(Duration::from_millis(1)) {
            Ok(result) => assert_eq!(result, 2 * n),
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    }
    watch.until(recovered);
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// The first result of a worker that was idle during a Redis restart arrives: an idle connection is
/// checked before use.
pub(crate) fn the_first_result_after_a_restart_arrives<H: Harness>(fixture: &Fixture<H>) {
    let mut redis = wait(RedisServer::start());
    let fixture = fixture.at(|config| config.notifier = Some(redis.url()));
    let double = fixture.own(DOUBLE);
    let mut watch = fixture.watch();
    let _worker = fixture.doubling(&double);
    assert_eq!(fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap(), 2);
    wait(redis.restart());
    watch.until(recovered);
    // Longer than a connection is used without a check.
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(fixture.ivy.call(&double, (2,)).unwrap().result(PATIENCE).unwrap(), 4);
}

/// While the notifier is unreachable, a call whose result could not return is not sent, and a send,
/// which wants no result, is sent and run.
pub(crate) fn without_its_notifier_a_call_is_not_sent<H: Harness>(fixture: &Fixture<H>) {
    let port = ClosedPort::take();
    let fixture = fixture.at(|config| {
        config.notifier = Some(format!("redis://127.0.0.1:{}", port.number()));
    });
    let double = fixture.own(DOUBLE);
    let error = fixture.ivy.call(&double, (1,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotifierUnavailable);
    assert_eq!(fixture.size(fixture.name), 0);
    fixture.ivy.send(&double, (1,)).unwrap();
    assert_eq!(fixture.size(fixture.name), 1);
    let _worker = fixture.doubling(&double);
    fixture.until_empty();
}

fn recovered(event: &Event) -> Option<()> {
    matches!(event, Event::Recovered { part: Part::Notifier }).then_some(())
}
