//! Calls: results, callbacks, delays.

use std::time::Duration;

use super::{DOUBLE, SLOW, SOON, Slow, doubling, ivy, wait_for, worker};
use crate::adapter::ivy_proto::task::QueuePlace;
use crate::adapter::{CallOptions, Ctx, Error, ErrorKind, Event, Task, TaskError, handler, wait};
use crate::receiving::{awaited, recv};
use crate::time::{MOMENT, assert_lasted, now};

#[test]
fn a_call_returns_its_typed_result() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let handle = wait(ivy.call(&DOUBLE, (21,))).unwrap();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 42);
    assert_eq!(wait(handle.result(SOON)).unwrap(), 42, "the result can be requested again");
}

#[test]
fn many_calls_return_in_the_order_of_their_arguments() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let calls = wait(ivy.call_many(&DOUBLE, (0..500).map(|n| (n,))));
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(wait(call.unwrap().result(SOON)).unwrap(), 2 * n as u64);
    }
}

#[test]
fn a_delayed_task_runs_after_its_delay() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let begun = now();
    let delay = Duration::from_secs(1);
    let options = CallOptions::new().delay(delay);
    let handle = wait(ivy.call_with(&DOUBLE, (1,), options)).unwrap();
    wait(handle.result(SOON)).unwrap();
    assert!(now() - begun >= delay);
}

#[test]
fn a_result_can_be_waited_for_again_after_a_timeout() {
    let ivy = ivy();
    let handle = wait(ivy.call(&DOUBLE, (1,))).unwrap();
    let begun = now();
    let error = wait(handle.result(MOMENT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_lasted(begun, MOMENT);
    let _worker = doubling(&ivy);
    assert_eq!(wait(handle.result(SOON)).unwrap(), 2);
}

#[test]
fn a_timeout_names_a_memory_in_which_no_worker_serves_the_queue() {
    let (caller, other) = (ivy(), ivy());
    let _elsewhere = doubling(&other);
    let handle = wait(caller.call(&DOUBLE, (1,))).unwrap();
    let error = wait(handle.result(MOMENT)).unwrap_err();
    let known = error.timed_out().unwrap();
    assert_eq!(known.place(), QueuePlace::Memory { is_served: false });
    assert_eq!((known.task().id, known.after()), (handle.id(), MOMENT));
    let text = error.to_string();
    assert!(
        text.contains("queue test is in the memory of one Ivy, and no worker of it serves"),
        "{text}"
    );
}

#[test]
fn a_timeout_while_a_worker_serves_the_queue_blames_no_memory() {
    let ivy = ivy();
    let (slow, _worker) = Slow::start(&ivy);
    let handle = wait(ivy.call(&SLOW, ())).unwrap();
    recv(&slow.begun);
    let error = wait(handle.result(MOMENT)).unwrap_err();
    let known = error.timed_out().unwrap();
    assert_eq!(known.place(), QueuePlace::Memory { is_served: true });
    assert!(error.to_string().contains("no worker has reported anything of it"), "{error}");
    slow.end.try_send(()).unwrap();
    wait(handle.result(SOON)).unwrap();
}

#[test]
fn a_result_that_arrives_while_nothing_waits_for_it_is_stored() {
    let ivy = ivy();
    let mut events = ivy.events();
    let handle = wait(ivy.call(&DOUBLE, (1,))).unwrap();
    let _worker = doubling(&ivy);
    wait_for(&mut events, |event| matches!(event, Event::CallerResumed { .. }));
    assert_eq!(wait(handle.result(Duration::ZERO)).unwrap(), 2);
}

#[test]
fn a_result_can_be_taken_without_waiting_once_it_has_arrived() {
    let ivy = ivy();
    let mut events = ivy.events();
    let handle = wait(ivy.call(&DOUBLE, (1,))).unwrap();
    let failing = wait(ivy.call(&DOUBLE, (u64::MAX,))).unwrap();
    assert!(handle.try_result().is_none() && failing.try_result().is_none());
    let _worker = doubling(&ivy);
    for _ in 0..2 {
        wait_for(&mut events, |event| matches!(event, Event::CallerResumed { .. }));
    }
    assert_eq!(handle.try_result().unwrap().unwrap(), 2);
    assert_eq!(handle.try_result().unwrap().unwrap(), 2, "it can be taken again");
    assert_eq!(failing.try_result().unwrap().unwrap_err().kind(), ErrorKind::Failed);
}

#[test]
fn a_dropped_handle_forgets_the_result_and_not_the_task() {
    let ivy = ivy();
    let mut events = ivy.events();
    drop(wait(ivy.call(&DOUBLE, (1,))).unwrap());
    let _worker = doubling(&ivy);
    wait_for(&mut events, |event| {
        assert!(!matches!(event, Event::CallerResumed { .. }), "no caller waits");
        matches!(event, Event::Acknowledged { .. })
    });
}

#[test]
fn a_send_runs_its_task() {
    let ivy = ivy();
    let mut events = ivy.events();
    let id = wait(ivy.send(&DOUBLE, (1,))).unwrap();
    let _worker = doubling(&ivy);
    let done = wait_for(&mut events, |event| matches!(event, Event::Acknowledged { .. }));
    assert!(matches!(done, Event::Acknowledged { task } if task.id == id));
}

#[test]
fn a_callback_gets_arguments_and_result_of_calls_and_sends() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let (results, received) = async_channel::unbounded();
    ivy.on_result(&DOUBLE, move |(n,), result| results.try_send((n, result.ok())).unwrap())
        .unwrap();
    wait(ivy.send(&DOUBLE, (1,))).unwrap();
    assert_eq!(recv(&received), (1, Some(2)));
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (2,))).unwrap().result(SOON)).unwrap(), 4);
    assert_eq!(recv(&received), (2, Some(4)));
    drop(wait(ivy.call(&DOUBLE, (u64::MAX,))).unwrap());
    assert_eq!(recv(&received), (u64::MAX, None));
}

#[test]
fn a_handler_can_schedule_another_task() {
    const OUTER: Task<(u64,), u64> = Task::new("test.outer").queue("test");
    let ivy = ivy();
    let outer = handler!(|ctx: Ctx, n: u64| {
        let failed = |error: Error| TaskError::from_error(&error);
        let inner = awaited!(ctx.ivy().call(&DOUBLE, (n,))).map_err(failed)?;
        awaited!(inner.result(SOON)).map_err(failed)
    });
    let _worker = wait(worker(&ivy).register(&OUTER, outer).start()).unwrap();
    assert_eq!(wait(wait(ivy.call(&OUTER, (4,))).unwrap().result(SOON)).unwrap(), 8);
}
