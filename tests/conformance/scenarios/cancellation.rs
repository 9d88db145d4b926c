//! Futures that are dropped before they are done.

use ivy_test_kit::PATIENCE;

use crate::fixture::Fixture;
use crate::futures::Futures;
use crate::harness::Handle;
use crate::tasks::DOUBLE;

/// How often to try for a call that waits.
const TRIES: usize = 20;

/// A call may be dropped at every point at which it waits: its task is sent or it is not, and no
/// other call is harmed.
pub(crate) fn a_call_may_be_dropped_wherever_it_waits<H: Futures>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let _worker = fixture.doubling(&double);
    let mut called = 0;
    // A runtime of several threads may have sent a call before it waits for the first time.
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
    assert!(has_waited, "a call that never waits is none that was dropped while it waits");
    assert_eq!(fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap(), 2);
    fixture.until_empty();
    assert!(fixture.posted(fixture.name) <= called + 1);
}

/// A wait for a result may be dropped at every point at which it waits: the result can be waited for
/// again.
pub(crate) fn a_wait_may_be_dropped_wherever_it_waits<H: Futures>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    for polls in [0, 1, 1] {
        assert!(H::result_for(polls, &handle, PATIENCE).is_none(), "nobody serves the task yet");
    }
    let _worker = fixture.doubling(&double);
    let result = (2..).find_map(|polls| H::result_for(polls, &handle, PATIENCE));
    assert_eq!(result.unwrap().unwrap(), 42);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}
