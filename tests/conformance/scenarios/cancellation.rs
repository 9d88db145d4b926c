//! Futures that are dropped before they are ready.

use ivy_test_kit::PATIENCE;

use crate::fixture::Fixture;
use crate::futures::Futures;
use crate::harness::{Builder, Handle};
use crate::helpers::Journal;
use crate::tasks::DOUBLE;

/// How often to retry until a call has to wait.
const TRIES: usize = 20;

/// A call may be dropped at every point at which it waits: its task is sent or it is not, and no
/// other call is harmed.
pub(crate) fn a_call_may_be_dropped_at_every_await_point<H: Futures>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    let mut called = 0;
    // A multi-threaded runtime may have sent a call before the call first waits.
    let has_waited = (0..TRIES).any(|_| {
        let mut polls = 0;
        let handle = loop {
            called += 1;
            match fixture.ivy.call_for(polls, &double, (21,)) {
                None => polls += 1,
                Some(call) => break call.unwrap(),
            }
        };
        assert_eq!(handle.result(PATIENCE).unwrap(), 42);
        polls > 1
    });
    assert!(has_waited, "the call never waited, so it was not dropped while waiting");
    assert_eq!(fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap(), 2);
    fixture.until_empty();
    assert!(executed.entries().len() <= called + 1);
}

/// A wait for a result may be dropped at every point at which it waits: the result can be awaited
/// again.
pub(crate) fn a_wait_for_a_result_may_be_dropped_at_every_await_point<H: Futures>(
    fixture: &Fixture<H>,
) {
    let double = fixture.own(DOUBLE);
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    for polls in [0, 1, 1] {
        assert!(H::result_for(polls, &handle, PATIENCE).is_none(), "no worker serves the task yet");
    }
    let _worker = fixture.doubling(&double);
    let result = (2..).find_map(|polls| H::result_for(polls, &handle, PATIENCE));
    assert_eq!(result.unwrap().unwrap(), 42);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}
