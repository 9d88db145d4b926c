//! The notifier: what others say there, and what happens when it breaks.

use std::thread;
use std::time::Duration;

use ivy_proto::ErrorKind;
use ivy_proto::event::{Event, NoticeDropReason, Part};
use ivy_test_kit::{ClosedPort, Notices, PATIENCE, RedisServer};
use serde_json::json;

use crate::harness::{Builder, Failure, Handle, Harness};
use crate::props::{Journal, eventually_eq};
use crate::runtime::wait;
use crate::stage::Stage;
use crate::tasks::DOUBLE;

/// The message of a 0.2.2 producer is run and deleted as one of ours.
pub(crate) fn a_message_that_node_wrote_is_run<H: Harness>(stage: &Stage<H>) {
    let double = stage.own(DOUBLE);
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let _worker = stage.worker().register(&double, handler).start().unwrap();
    stage.post(&format!(r#"{{"name":"{}","options":{{}},"args":[21]}}"#, double.name()));
    eventually_eq(vec![21], || executed.entries());
    stage.until_empty();
}

/// A 0.2.2 producer is answered on the channel that all share, in the fields that it reads.
pub(crate) fn a_caller_on_node_is_answered_as_node_does<H: Harness>(stage: &Stage<H>) {
    let double = stage.own(DOUBLE);
    let mut notices = wait(Notices::listen(stage.redis(), stage.name));
    let _worker = stage.doubling(&double);
    let options = json!({ "retry": true, "maxRetries": 3 });
    let body = json!({ "name": double.name(), "options": options, "args": [21] });
    stage.post(&body.to_string());
    let mut notice = wait(notices.next()).content;
    let id = notice.as_object_mut().unwrap().remove("id").unwrap();
    assert!(id.as_str().is_some_and(|id| !id.is_empty()), "{id}");
    let expected = json!({
        "name": double.name(), "args": [21], "options": options, "result": [42], "notify": true,
        "queue": stage.name,
    });
    assert_eq!(notice, expected);
}

/// Whoever can post a message cannot make workers speak on other channels than those of our callers.
pub(crate) fn no_message_makes_a_worker_speak_to_all<H: Harness>(stage: &Stage<H>) {
    let double = stage.own(DOUBLE);
    let mut watch = stage.watch();
    let _worker = stage.doubling(&double);
    let ivy = json!({ "v": 1, "id": "AAAAAAAAAAAAAAAAAAAAAA", "reply": stage.name });
    let body = json!({ "name": double.name(), "options": { "ivy": ivy }, "args": [21] });
    stage.post(&body.to_string());
    let reason = watch.until(|event| match event {
        Event::NoticeDropped { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, NoticeDropReason::ForeignChannel);
    stage.until_empty();
}

/// A notice that comes twice resumes its caller once, and whatever else is said on its channel is
/// passed over.
pub(crate) fn strange_and_repeated_notices_are_passed_over<H: Harness>(stage: &Stage<H>) {
    let double = stage.own(DOUBLE);
    let mut notices = wait(Notices::listen(stage.redis(), &format!("{}.r.*", stage.name)));
    let mut watch = stage.watch();
    let _worker = stage.doubling(&double);
    let first = stage.ivy.call(&double, (1,)).unwrap();
    assert_eq!(first.result(PATIENCE).unwrap(), 2);
    let notice = wait(notices.next());
    for text in ["", "no JSON", "{}", "[]", &notice.content.to_string()] {
        wait(stage.redis().publish(&notice.channel, text));
        wait(stage.redis().publish(stage.name, text));
    }
    // Its result comes on the same channel, so after all of these.
    let second = stage.ivy.call(&double, (2,)).unwrap();
    assert_eq!(second.result(PATIENCE).unwrap(), 4);
    assert_eq!(first.result(PATIENCE).unwrap(), 2);
    assert_eq!(watch.resumed_until(second.id()), [first.id(), second.id()]);
}

/// When Redis is killed while tasks run, none of them is lost; when it is back, results come again,
/// and nothing has to be started anew.
pub(crate) fn redis_may_be_killed_while_tasks_run<H: Harness>(stage: &Stage<H>) {
    const TASKS: u64 = 100;
    let mut redis = wait(RedisServer::start());
    let stage = stage.at(|place| place.notifier = redis.url());
    let double = stage.own(DOUBLE);
    let mut watch = stage.watch();
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        thread::sleep(Duration::from_millis(20));
        journal.write(n);
        Ok(2 * n)
    };
    let handles = stage.ivy.call_many(&double, (0..TASKS).map(|n| (n,)));
    let _worker = stage.worker().concurrency(2).register(&double, handler).start().unwrap();
    watch.until(|event| matches!(event, Event::CallerResumed { .. }).then_some(()));
    wait(redis.kill_hard());
    assert!(stage.size(stage.name) > 0, "Redis must be killed while there is work");
    stage.until_empty();
    let mut numbers = executed.entries();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..TASKS).collect::<Vec<_>>());
    wait(redis.restart());

    // What was published to nobody is gone; a result that did come is the right one.
    for (n, handle) in (0..TASKS).zip(handles) {
        match handle.unwrap().result(Duration::from_millis(1)) {
            Ok(result) => assert_eq!(result, 2 * n),
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    }
    watch.until(recovered);
    assert_eq!(stage.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// The first result of a worker that did nothing while Redis was started anew arrives: a connection
/// that has rested is not trusted to stand.
pub(crate) fn the_first_result_after_a_restart_arrives<H: Harness>(stage: &Stage<H>) {
    let mut redis = wait(RedisServer::start());
    let stage = stage.at(|place| place.notifier = redis.url());
    let double = stage.own(DOUBLE);
    let mut watch = stage.watch();
    let _worker = stage.doubling(&double);
    assert_eq!(stage.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap(), 2);
    wait(redis.restart());
    watch.until(recovered);
    // Longer than a connection is trusted to stand without a look.
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(stage.ivy.call(&double, (2,)).unwrap().result(PATIENCE).unwrap(), 4);
}

/// While the notifier cannot be reached, a call whose result could not come back is not sent, and
/// what wants no result is sent and run.
pub(crate) fn without_its_notifier_a_call_is_not_sent<H: Harness>(stage: &Stage<H>) {
    let port = ClosedPort::take();
    let stage = stage.at(|place| place.notifier = format!("redis://127.0.0.1:{}", port.number()));
    let double = stage.own(DOUBLE);
    let error = stage.ivy.call(&double, (1,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotifierUnavailable);
    assert_eq!(stage.posted(stage.name), 0);
    stage.ivy.send(&double, (1,)).unwrap();
    let _worker = stage.doubling(&double);
    stage.until_empty();
    assert_eq!(stage.posted(stage.name), 1);
}

fn recovered(event: &Event) -> Option<()> {
    matches!(event, Event::Recovered { part: Part::Notifier }).then_some(())
}
