//! Calls with a time limit, at a queue that hangs.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use ivy_proto::producer::SendError;
use ivy_proto::task::CallOptions;
use ivy_proto::{Cause, ErrorKind};
use ivy_test_kit::{PATIENCE, RequestKind};

use crate::fixture::Fixture;
use crate::harness::{Failure, Handle, Harness};
use crate::helpers::{eventually, eventually_eq};
use crate::tasks::DOUBLE;

/// A server that accepts connections and never responds: a call ends at its limit, and keeps its
/// handle, because its request is under way.
pub(crate) fn a_call_at_a_queue_that_hangs_ends_at_its_limit<H: Harness>(fixture: &Fixture<H>) {
    let limit = Duration::from_secs(1);
    // Its connections stay in the backlog.
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let hangs = fixture.at(|config| config.queue = fixture.ironmq().url_at(port));
    let double = fixture.own(DOUBLE);
    // Without a limit this call would end much later, and otherwise.
    let begun = Instant::now();
    let options = CallOptions::new().within(limit);
    let error = hangs.ivy.call_with(&double, (1,), options).unwrap_err();
    assert!(begun.elapsed() >= limit, "after {:?}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Unknown);
    let Cause::Send(SendError::NoReply { within }) = error.cause() else { panic!("{error}") };
    assert_eq!(*within, limit);
    let handle = H::into_handle(error, &double).expect("a handle that still gets results");
    let error = handle.result(Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

/// Many calls at a queue whose responses do not come: those that were given to it keep their
/// handles and get their results later, all others are withdrawn, and never sent.
pub(crate) fn calls_at_a_queue_that_hangs_are_withdrawn_or_keep_their_handles<H: Harness>(
    fixture: &Fixture<H>,
) {
    // More than all requests in flight can carry.
    const CALLS: u64 = 1_000;
    let double = fixture.own(DOUBLE);
    let (behind, proxy) = fixture.behind_proxy();
    let hangs = behind.at(|config| config.within = Some(Duration::from_secs(2)));
    let held = proxy.hold_responses(RequestKind::Post);
    // The subscription is up before the limit of the others begins.
    let patient = CallOptions::new().within(PATIENCE);
    let ivy = hangs.ivy.clone();
    let first = thread::spawn(move || ivy.call_with(&double, (0,), patient));
    eventually("the first call is posted", || proxy.seen(RequestKind::Post) == 1);
    let (mut withdrawn, mut handles) = (0, Vec::new());
    for (n, call) in (1..).zip(hangs.ivy.call_many(&double, (1..=CALLS).map(|n| (n,)))) {
        let error = call.unwrap_err();
        match error.kind() {
            ErrorKind::Withdrawn => {
                withdrawn += 1;
                assert!(H::into_handle(error, &double).is_none());
            }
            ErrorKind::Unknown => {
                handles.push((n, H::into_handle(error, &double).expect("a handle")));
            }
            _ => panic!("{error}"),
        }
    }
    assert!(withdrawn > 0 && !handles.is_empty(), "{withdrawn} of {CALLS} are withdrawn");
    let given = handles.len() as u64;
    eventually_eq(1 + given, || fixture.posted(fixture.name));
    drop(held);
    first.join().unwrap().unwrap();
    // It is posted after everything that was called before.
    hangs.ivy.send_with(&double, (0,), CallOptions::new().within(PATIENCE)).unwrap();
    assert_eq!(fixture.posted(fixture.name), 2 + given);
    let _worker = hangs.doubling(&double);
    for (n, handle) in handles.into_iter().take(20) {
        assert_eq!(handle.result(PATIENCE).unwrap(), 2 * n);
    }
}
