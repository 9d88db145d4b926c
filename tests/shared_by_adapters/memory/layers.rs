//! Layers around handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{DOUBLE, FAIL, SOON, doubling, ivy, worker};
use crate::adapter::{Ctx, Next, Task, TaskError, handler, wait};
use crate::receiving::{awaited, recv, recv_in_handler};
use crate::time::MOMENT;

const LIMITED: Task<(), ()> =
    Task::new("test.limited").queue("test").time_limit(MOMENT).max_retries(0);

#[test]
fn layers_run_around_the_handler_and_the_first_is_the_outermost() {
    let (steps, taken) = async_channel::unbounded();
    let named = |name: &'static str| {
        handler!([steps], |next: Next, ctx: Ctx| {
            steps.try_send(format!("{name} begins")).unwrap();
            let result = awaited!(next.run(ctx));
            steps.try_send(format!("{name} ends")).unwrap();
            result
        })
    };
    let double = handler!([steps], |n: u64| {
        steps.try_send("handler".to_owned()).unwrap();
        Ok::<_, TaskError>(2 * n)
    });
    let ivy = ivy();
    let worker = ivy.worker().layer(named("first")).register(&DOUBLE, double);
    let _worker = wait(worker.layer(named("second")).start()).unwrap();
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (4,))).unwrap().result(SOON)).unwrap(), 8);
    for step in ["first begins", "second begins", "handler", "second ends", "first ends"] {
        assert_eq!(recv(&taken), step);
    }
}

#[test]
fn a_layer_sees_the_task_and_its_attempt() {
    let (seen, was_seen) = async_channel::unbounded();
    let look = handler!([seen], |next: Next, ctx: Ctx| {
        let names = (ctx.task_name().clone(), ctx.queue().clone());
        seen.try_send((names, ctx.task_id(), ctx.attempt(), ctx.trace().cloned())).unwrap();
        awaited!(next.run(ctx))
    });
    let ivy = ivy();
    let _worker = wait(worker(&ivy).layer(look).start()).unwrap();
    let handle = wait(ivy.call(&DOUBLE, (4,))).unwrap();
    let ((task, queue), id, attempt, trace) = recv(&was_seen);
    assert_eq!((task.as_str(), queue.as_str()), ("test.double", "test"));
    assert_eq!((id, attempt, trace), (handle.id(), 1, None));
}

#[test]
fn a_layer_that_refuses_a_task_runs_no_handler() {
    let runs = Arc::new(AtomicU32::new(0));
    let count = handler!([runs], |_ctx: Ctx| {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok::<u64, TaskError>(7)
    });
    let refuse = handler!(|next: Next, ctx: Ctx| {
        if ctx.task_name().as_str() == "test.fail" {
            return Err(TaskError::fatal("not allowed"));
        }
        awaited!(next.run(ctx))
    });
    let ivy = ivy();
    let _worker = wait(worker(&ivy).register(&FAIL, count).layer(refuse).start()).unwrap();
    let error = wait(wait(ivy.call(&FAIL, ())).unwrap().result(SOON)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.attempts), ("Fatal", 1));
    assert_eq!(failure.message, "not allowed");
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap(), 2);
}

#[test]
fn a_layer_sees_errors_and_panics_of_the_handler_and_leaves_them_as_they_are() {
    let (seen, was_seen) = async_channel::unbounded();
    let look = handler!([seen], |next: Next, ctx: Ctx| {
        let result = awaited!(next.run(ctx));
        seen.try_send(result.as_ref().err().map(ToString::to_string)).unwrap();
        result
    });
    let fail = handler!(|ctx: Ctx| {
        assert!(ctx.attempt() != 2, "out of cheese");
        if ctx.attempt() < 3 {
            Err("no luck".into())
        } else {
            Err::<u64, _>(TaskError::fatal("no"))
        }
    });
    let ivy = ivy();
    let _worker = wait(worker(&ivy).register(&FAIL, fail).layer(look).start()).unwrap();
    let error = wait(wait(ivy.call(&FAIL, ())).unwrap().result(SOON)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("Fatal", "no"));
    for text in ["no luck", "the handler panicked: out of cheese", "no"] {
        assert_eq!(recv(&was_seen).as_deref(), Some(text));
    }
}

#[test]
fn a_layer_that_sees_arguments_that_do_not_fit_makes_no_failed_attempt_of_them() {
    const TWO: Task<(u64, u64), u64> = Task::new("test.double").queue("test");
    let (seen, was_seen) = async_channel::unbounded();
    let look = handler!([seen], |next: Next, ctx: Ctx| {
        let result = awaited!(next.run(ctx));
        seen.try_send(result.is_ok()).unwrap();
        result
    });
    let ivy = ivy();
    let _worker = wait(worker(&ivy).layer(look).start()).unwrap();
    let handle = wait(ivy.call(&TWO, (1, 2))).unwrap();
    assert!(!recv(&was_seen));
    let released = loop {
        assert!(wait(handle.result(MOMENT)).unwrap_err().failure().is_none());
        if let Some(released) = handle.released() {
            break released;
        }
    };
    assert_eq!((released.kind.as_str(), released.attempts), ("BadArgs", 0));
}

#[test]
fn a_layer_postpones_a_task_that_then_loses_no_attempt() {
    let asked = Arc::new(AtomicU32::new(0));
    let later = handler!([asked], |next: Next, ctx: Ctx| {
        assert_eq!(ctx.attempt(), 1);
        if asked.fetch_add(1, Ordering::SeqCst) < 2 {
            return Err(TaskError::later(Duration::from_millis(20)));
        }
        awaited!(next.run(ctx))
    });
    let ivy = ivy();
    let _worker = wait(worker(&ivy).layer(later).start()).unwrap();
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (4,))).unwrap().result(SOON)).unwrap(), 8);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
fn a_panic_in_a_layer_is_a_failed_attempt_and_leaves_its_slot_free() {
    let breaks = handler!(|next: Next, ctx: Ctx| {
        assert!(ctx.task_name().as_str() != "test.fail", "broken layer");
        awaited!(next.run(ctx))
    });
    let ivy = ivy();
    let fine = handler!(|_ctx: Ctx| Ok::<u64, TaskError>(7));
    let builder = worker(&ivy).concurrency(1).register(&FAIL, fine).layer(breaks);
    let _worker = wait(builder.start()).unwrap();
    let error = wait(wait(ivy.call(&FAIL, ())).unwrap().result(SOON)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.attempts), ("RetriesExhausted", 3));
    assert!(failure.message.contains("panicked: broken layer"), "{failure}");
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap(), 2);
}

#[test]
fn a_time_limit_covers_layers() {
    let (_never, nothing) = async_channel::bounded::<()>(1);
    let waits = handler!([nothing], |next: Next, ctx: Ctx| {
        awaited!(recv_in_handler(&ctx, &nothing))?;
        awaited!(next.run(ctx))
    });
    let ivy = ivy();
    let limited = handler!(|_ctx: Ctx| Ok::<_, TaskError>(()));
    let _worker = wait(worker(&ivy).register(&LIMITED, limited).layer(waits).start()).unwrap();
    let error = wait(wait(ivy.call(&LIMITED, ())).unwrap().result(SOON)).unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 1);
}

#[test]
fn workers_have_layers_of_their_own() {
    let ivy = ivy();
    let refuse = handler!(|_next: Next, _ctx: Ctx| Err(TaskError::fatal("not allowed")));
    let fail = handler!(|_ctx: Ctx| Ok::<u64, TaskError>(7));
    let guarded = ivy.worker().register(&FAIL.queue("guarded"), fail).layer(refuse);
    let _workers = (wait(guarded.start()).unwrap(), doubling(&ivy));
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap(), 2);
    let guarded = wait(ivy.call(&FAIL.queue("guarded"), ())).unwrap();
    assert!(wait(guarded.result(SOON)).is_err());
}
