//! A network and a queue server that fail.

use std::thread;

use ivy_proto::event::{Event, Part};
use ivy_proto::{ErrorKind, QueueName};
use ivy_test_kit::{ClosedPort, PATIENCE, ProxyFault, RequestKind};

use crate::fixture::Fixture;
use crate::harness::{Builder, Failure, Handle, Harness, Job};
use crate::helpers::{Journal, eventually};
use crate::tasks::{DOUBLE, DOUBLE_ONCE};

/// What a worker and a producer ask a queue for all day.
const USUAL: [RequestKind; 3] = [RequestKind::Post, RequestKind::Reserve, RequestKind::Delete];

/// A storm of 503 loses nothing: calls and workers wait it out, and tell its end.
pub(crate) fn a_storm_of_503_is_waited_out<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    proxy.inject(RequestKind::Reserve, 4, ProxyFault::Status(503));
    let mut watch = behind.watch();
    every_task_ends_despite(&behind, fixture, &proxy, &ProxyFault::Status(503));
    let queue = Part::Queue(QueueName::new(fixture.name).unwrap());
    watch.until(|event| match event {
        Event::Recovered { part } => (*part == queue).then_some(()),
        _ => None,
    });
}

/// Answers that are not those of a queue lose nothing, whatever was done before them.
pub(crate) fn malformed_answers_lose_nothing<H: Harness>(fixture: &Fixture<H>) {
    for answer in ["<html>hello</html>", r#"{"messages":[{"id":"1","#, "null", ""] {
        let (behind, proxy) = fixture.behind_proxy();
        every_task_ends_despite(&behind, fixture, &proxy, &ProxyFault::Answer(answer));
    }
}

/// A connection that breaks in the middle of an answer loses nothing.
pub(crate) fn a_reset_in_the_middle_of_an_answer_loses_nothing<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    every_task_ends_despite(&behind, fixture, &proxy, &ProxyFault::CutAnswer);
}

/// A connection that breaks after the work was done loses nothing.
pub(crate) fn lost_answers_lose_nothing<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    every_task_ends_despite(&behind, fixture, &proxy, &ProxyFault::LoseAnswer);
}

/// Where a task allows no retries, a call whose answer was lost is told to be unknown: there is one
/// copy, and the error keeps a handle that still gets the result.
pub(crate) fn a_lost_answer_is_unknown_without_retries<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    let once = fixture.own(DOUBLE_ONCE);
    proxy.inject(RequestKind::Post, 1, ProxyFault::LoseAnswer);
    let error = behind.ivy.call(&once, (21,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert_eq!(fixture.posted(fixture.name), 1);
    let handle = H::into_handle(error, &once).expect("a handle that still listens");
    let _worker = behind.doubling(&once);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
    assert_eq!(fixture.posted(fixture.name), 1);
}

/// Where a task allows retries, a call whose answer was lost is sent again under the same id, which
/// is told; the caller gets one result.
pub(crate) fn a_lost_answer_is_resent_with_retries<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    let double = fixture.own(DOUBLE);
    let executed = Journal::new();
    let journal = executed.clone();
    let mut watch = behind.watch();
    proxy.inject(RequestKind::Post, 1, ProxyFault::LoseAnswer);
    let handle = behind.ivy.call(&double, (21,)).unwrap();
    let resent = |event: &Event| match event {
        Event::Resent { task, tries } => Some((task.id, *tries)),
        _ => None,
    };
    assert_eq!(watch.until(resent), (handle.id(), 1));
    assert_eq!(fixture.posted(fixture.name), 2);

    let handler = move |job: Job, (n,)| {
        journal.write(job.task_id);
        Ok(2 * n)
    };
    let _worker = behind.worker().register(&double, handler).start().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
    assert_eq!(executed.entries(), [handle.id(), handle.id()]);
    let next = behind.ivy.call(&double, (1,)).unwrap();
    next.result(PATIENCE).unwrap();
    assert_eq!(watch.resumed_until(next.id()), [handle.id(), next.id()]);
}

/// A result may be quicker than the queue's answer to the call, and is kept until the caller asks.
pub(crate) fn a_result_that_is_quicker_than_the_answer_is_kept<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    let double = fixture.own(DOUBLE);
    let _worker = behind.doubling(&double);
    let mut watch = behind.watch();
    let held = proxy.hold_answers(RequestKind::Post);
    let ivy = behind.ivy.clone();
    let calling = thread::spawn(move || ivy.call(&double, (21,)));
    watch.until(|event| matches!(event, Event::CallerResumed { .. }).then_some(()));
    drop(held);
    let handle = calling.join().unwrap().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}

/// Calls that are made together travel together, and so do the deletes of tasks that end together.
pub(crate) fn requests_travel_together<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    let double = fixture.own(DOUBLE);
    let _worker = behind.doubling(&double);
    let handles = behind.ivy.call_many(&double, (0..200).map(|n| (n,)));
    for handle in handles {
        handle.unwrap().result(PATIENCE).unwrap();
    }
    fixture.until_empty();
    assert_eq!(proxy.seen(RequestKind::Post), 2);
    assert!(proxy.seen(RequestKind::Delete) < 100, "{}", proxy.seen(RequestKind::Delete));
}

/// A call to a server that is not there is told to be surely not sent.
pub(crate) fn a_call_to_a_server_that_is_not_there_is_not_sent<H: Harness>(fixture: &Fixture<H>) {
    let port = ClosedPort::take();
    let lost = fixture.at(|place| place.queue = fixture.ironmq().url_at(port.number()));
    let error = lost.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent);
}

/// Credentials that the server refuses are told at once, without the token.
pub(crate) fn refused_credentials_are_reported<H: Harness>(fixture: &Fixture<H>) {
    let secret = "a-token-of-somebody-else";
    let stranger = fixture.at(|place| {
        let (_, address) = place.queue.split_once('@').unwrap();
        place.queue = format!("ironmq+http://{secret}@{address}");
    });
    let error = stranger.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!format!("{error} {error:?} {:?}", stranger.ivy).contains(secret), "{error:?}");
}

/// Lets the same happen twice to each usual request while tasks are called and run through the
/// proxy: all of them come back with their results, and the queue is empty in the end.
fn every_task_ends_despite<H: Harness>(
    behind: &Fixture<H>,
    fixture: &Fixture<H>,
    proxy: &ivy_test_kit::FaultyProxy,
    mishap: &ProxyFault,
) {
    const TASKS: u64 = 20;
    for kind in USUAL {
        proxy.inject(kind, 2, mishap.clone());
    }
    let double = fixture.own(DOUBLE);
    let _worker = behind.doubling(&double);
    let handles = behind.ivy.call_many(&double, (0..TASKS).map(|n| (n,)));
    for (n, handle) in (0..TASKS).zip(handles) {
        assert_eq!(handle.unwrap().result(PATIENCE).unwrap(), 2 * n, "despite {mishap:?}");
    }
    fixture.until_empty();
    eventually("everything that was to go wrong has", || {
        USUAL.iter().all(|kind| proxy.planned(*kind) == 0)
    });
}
