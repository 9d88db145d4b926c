//! Calls whose callers choose the ids of their tasks.

use super::{DOUBLE, SOON, doubling, ivy, worker};
use crate::adapter::{CallOptions, Ctx, ErrorKind, Task, TaskError, TaskId, handler, wait};

const PAY: Task<(String,), u64> = Task::new("test.pay").queue("test");

fn options(key: &str) -> CallOptions {
    CallOptions::new().id(TaskId::derived("test.pay", key))
}

#[test]
fn two_calls_of_one_id_share_one_run_and_its_result() {
    let ivy = ivy();
    let (runs, ran) = async_channel::unbounded();
    let pay = handler!([runs], |ctx: Ctx, _order: String| {
        runs.try_send(ctx.task_id()).unwrap();
        Ok::<_, TaskError>(7)
    });
    let call = |ivy: &crate::adapter::Ivy| {
        wait(ivy.call_with(&PAY, ("order-1729".to_owned(),), options("order-1729"))).unwrap()
    };
    let (one, other) = (call(&ivy), call(&ivy.clone()));
    let _worker = wait(worker(&ivy).register(&PAY, pay).start()).unwrap();
    assert_eq!((wait(one.result(SOON)).unwrap(), wait(other.result(SOON)).unwrap()), (7, 7));
    let id = TaskId::derived("test.pay", "order-1729");
    assert_eq!((one.id(), other.id()), (id, id));
    assert_eq!(ran.try_recv().unwrap(), id);
    assert!(ran.is_empty(), "one message is sent");
}

#[test]
fn a_dropped_handle_leaves_the_result_to_the_other() {
    let ivy = ivy();
    let call = || wait(ivy.call_with(&DOUBLE, (1,), options("1"))).unwrap();
    let (dropped, kept) = (call(), call());
    drop(dropped);
    let _worker = doubling(&ivy);
    assert_eq!(wait(kept.result(SOON)).unwrap(), 2);
}

#[test]
fn other_arguments_or_another_task_under_an_id_in_use_are_a_conflict() {
    let ivy = ivy();
    let call = |order: &str| wait(ivy.call_with(&PAY, (order.to_owned(),), options("order")));
    let _pending = call("one").unwrap();
    let error = call("secret").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdConflict);
    assert_eq!(error.task_id(), Some(TaskId::derived("test.pay", "order")));
    let text = error.to_string();
    assert!(text.contains("test.pay") && !text.contains("secret"), "{text}");
    let error = wait(ivy.call_with(&DOUBLE, (1,), options("order"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdConflict);
    assert!(error.into_handle(&DOUBLE).is_none());
}

#[test]
fn an_id_can_be_used_again_when_its_task_has_ended() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    for n in [1, 2] {
        let handle = wait(ivy.call_with(&DOUBLE, (n,), options("again"))).unwrap();
        assert_eq!(wait(handle.result(SOON)).unwrap(), 2 * n);
    }
}
