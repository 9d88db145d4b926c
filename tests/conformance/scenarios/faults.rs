//! Failures of the network and of the queue server.

use std::thread;

use ivy_proto::event::{Event, Part};
use ivy_proto::{ErrorKind, QueueName};
use ivy_test_kit::{ClosedPort, PATIENCE, ProxyFault, RequestKind};

use crate::fixture::Fixture;
use crate::harness::{Builder, Failure, Handle, Harness, Job};
use crate::helpers::{Journal, eventually};
use crate::tasks::{DOUBLE, DOUBLE_ONCE};

/// The operations that a worker and a producer use all the time.
const USUAL: [RequestKind; 3] = [RequestKind::Post, RequestKind::Reserve, RequestKind::Delete];

/// Many 503 responses lose nothing: calls and workers wait until they end and report the end.
pub(crate) fn many_503_responses_lose_nothing<H: Harness>(fixture: &Fixture<H>) {
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

/// Responses that no queue sends lose nothing, whatever the server did before them.
pub(crate) fn malformed_responses_lose_nothing<H: Harness>(fixture: &Fixture<H>) {
    for response in ["<html>hello</html>", r#"{"messages":[{"id":"1","#, "null", ""] {
        let (behind, proxy) = fixture.behind_proxy();
        every_task_ends_despite(&behind, fixture, &proxy, &ProxyFault::ReplaceBody(response));
    }
}

/// A connection that breaks in the middle of a response loses nothing.
pub(crate) fn a_reset_in_the_middle_of_a_response_loses_nothing<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    every_task_ends_despite(&behind, fixture, &proxy, &ProxyFault::CutResponse);
}

/// A connection that breaks after the server did its work loses nothing.
pub(crate) fn lost_responses_lose_nothing<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    every_task_ends_despite(&behind, fixture, &proxy, &ProxyFault::LoseResponse);
}

/// If a task allows no retries, the outcome of a call whose response was lost is unknown: there is
/// one copy, and the error contains a handle that still gets the result.
pub(crate) fn a_lost_response_is_an_unknown_outcome_without_retries<H: Harness>(
    fixture: &Fixture<H>,
) {
    let (behind, proxy) = fixture.behind_proxy();
    let once = fixture.own(DOUBLE_ONCE);
    proxy.inject(RequestKind::Post, 1, ProxyFault::LoseResponse);
    let error = behind.ivy.call(&once, (21,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert_eq!(fixture.posted(fixture.name), 1);
    let handle = H::into_handle(error, &once).expect("a handle that still gets results");
    let _worker = behind.doubling(&once);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
    assert_eq!(fixture.posted(fixture.name), 1);
}

/// If a task allows retries, a call whose response was lost is sent again under the same id, with
/// an event; the caller gets one result.
pub(crate) fn a_lost_response_is_resent_with_retries<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    let double = fixture.own(DOUBLE);
    let executed = Journal::new();
    let journal = executed.clone();
    let mut watch = behind.watch();
    proxy.inject(RequestKind::Post, 1, ProxyFault::LoseResponse);
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

/// A result may arrive before the queue's response to the call; it is stored until the caller
/// requests it.
pub(crate) fn a_result_that_arrives_before_the_response_is_stored<H: Harness>(
    fixture: &Fixture<H>,
) {
    let (behind, proxy) = fixture.behind_proxy();
    let double = fixture.own(DOUBLE);
    let _worker = behind.doubling(&double);
    let mut watch = behind.watch();
    let held = proxy.hold_responses(RequestKind::Post);
    let ivy = behind.ivy.clone();
    let calling = thread::spawn(move || ivy.call(&double, (21,)));
    watch.until(|event| matches!(event, Event::CallerResumed { .. }).then_some(()));
    drop(held);
    let handle = calling.join().unwrap().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}

/// Concurrent calls share requests, and so do the deletes of tasks that end together.
pub(crate) fn concurrent_calls_and_deletes_share_requests<H: Harness>(fixture: &Fixture<H>) {
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

/// The error of a call to an unreachable server states that it was certainly not sent.
pub(crate) fn a_call_to_an_unreachable_server_is_not_sent<H: Harness>(fixture: &Fixture<H>) {
    let port = ClosedPort::take();
    let lost = fixture.at(|config| config.queue = fixture.ironmq().url_at(port.number()));
    let error = lost.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent);
}

/// Refused credentials are reported immediately, without the token.
pub(crate) fn refused_credentials_are_reported_immediately<H: Harness>(fixture: &Fixture<H>) {
    let secret = "a-token-of-somebody-else";
    let foreign = fixture.at(|config| {
        let (_, address) = config.queue.split_once('@').unwrap();
        config.queue = format!("ironmq+http://{secret}@{address}");
    });
    let error = foreign.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!format!("{error} {error:?} {:?}", foreign.ivy).contains(secret), "{error:?}");
}

/// Injects the same fault twice into each usual request while tasks are called and run through the
/// proxy: all of them return their results, and the queue is empty in the end.
fn every_task_ends_despite<H: Harness>(
    behind: &Fixture<H>,
    fixture: &Fixture<H>,
    proxy: &ivy_test_kit::FaultyProxy,
    fault: &ProxyFault,
) {
    const TASKS: u64 = 20;
    for kind in USUAL {
        proxy.inject(kind, 2, fault.clone());
    }
    let double = fixture.own(DOUBLE);
    let _worker = behind.doubling(&double);
    let handles = behind.ivy.call_many(&double, (0..TASKS).map(|n| (n,)));
    for (n, handle) in (0..TASKS).zip(handles) {
        assert_eq!(handle.unwrap().result(PATIENCE).unwrap(), 2 * n, "despite {fault:?}");
    }
    fixture.until_empty();
    eventually("all faults were injected", || USUAL.iter().all(|kind| proxy.planned(*kind) == 0));
}
