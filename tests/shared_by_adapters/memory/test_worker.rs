//! Handlers that are run by tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{DOUBLE, FAIL, SLOW, SOON, doubling};
use crate::adapter::testing::{CancelReason, NextStep, TestFailure, TestFailureKind, TestWorker};
use crate::adapter::{
    CallOptions, Ctx, DeadLetterReason, Error, Next, State, Task, TaskError, TaskId, handler, wait,
};
use crate::receiving::{awaited, recv_in_handler};
use crate::time::MOMENT;

const OUTER: Task<(u64,), u64> = Task::new("test.outer").queue("test");

fn test() -> TestWorker {
    TestWorker::new().unwrap()
}

/// The failure of a handler that ends with this error.
fn failure(attempt: u32, error: TaskError) -> TestFailure {
    let fail = handler!([error], |_ctx: Ctx| Err::<u64, _>(error.clone()));
    wait(test().register(&FAIL, fail).attempt(attempt).run(&FAIL, ())).unwrap_err()
}

#[test]
fn a_handler_is_run_and_returns_its_result() {
    let test = test().register(&DOUBLE, handler!(|n: u64| Ok::<u64, TaskError>(2 * n)));
    assert_eq!(wait(test.run(&DOUBLE, (21,))).unwrap(), 42);
    assert_eq!(wait(test.run(&DOUBLE, (4,))).unwrap(), 8);
    assert!(test.calls().is_empty());
}

#[test]
fn an_error_is_retried_while_there_are_attempts_left() {
    let first = failure(1, TaskError::new("no luck"));
    assert_eq!((first.kind(), first.message()), (TestFailureKind::Error, "no luck"));
    assert!(first.is_retried(), "{first}");
    let last = failure(3, TaskError::new("no luck"));
    assert_eq!(last.dead_letter_reason(), Some(DeadLetterReason::RetriesExhausted));
}

#[test]
fn a_fatal_error_and_a_postponement_are_told_apart() {
    let fatal = failure(1, TaskError::fatal("never"));
    assert_eq!(fatal.dead_letter_reason(), Some(DeadLetterReason::Fatal));
    assert_eq!(fatal.message(), "never");
    let delay = Duration::from_secs(20);
    let later = failure(3, TaskError::later(delay).with_message("not now"));
    assert_eq!((later.postponed_by(), later.message()), (Some(delay), "not now"));
}

struct Rate {
    cents: u64,
}

#[test]
fn a_handler_has_the_states_and_the_layers_of_its_worker() {
    let priced = handler!(|rate: State<Rate>, n: u64| Ok::<_, TaskError>(rate.cents * n));
    let once = handler!(|next: Next, ctx: Ctx| {
        if ctx.attempt() > 1 {
            return Err(TaskError::fatal("only once"));
        }
        awaited!(next.run(ctx))
    });
    let test =
        test().register(&DOUBLE, priced).with(|worker| worker.state(Rate { cents: 3 }).layer(once));
    assert_eq!(wait(test.run(&DOUBLE, (7,))).unwrap(), 21);
    let refused = wait(test.attempt(2).run(&DOUBLE, (7,))).unwrap_err();
    assert_eq!((refused.kind(), refused.message()), (TestFailureKind::Error, "only once"));
}

#[test]
fn a_state_that_the_worker_lacks_is_reported() {
    let priced = handler!(|rate: State<Rate>, n: u64| Ok::<_, TaskError>(rate.cents * n));
    let failure = wait(test().register(&DOUBLE, priced).run(&DOUBLE, (7,))).unwrap_err();
    assert_eq!(failure.kind(), TestFailureKind::NotDelivered);
    assert!(failure.message().contains("Rate"), "{failure}");
}

#[test]
fn a_panic_is_a_failed_attempt() {
    fn panics() -> Result<u64, TaskError> {
        panic!("out of cheese")
    }
    let test = test().register(&FAIL, handler!(|_ctx: Ctx| panics()));
    let failure = wait(test.run(&FAIL, ())).unwrap_err();
    assert_eq!((failure.kind(), failure.message()), (TestFailureKind::Panic, "out of cheese"));
    assert!(failure.is_retried(), "{failure}");
}

#[test]
fn arguments_and_results_of_another_contract_are_found() {
    let by_name = |test: TestWorker| test.with(|worker| worker.queue("test"));
    let takes_text = handler!(|text: String| Ok::<_, TaskError>(text.len() as u64));
    let test_of_args = by_name(test().register("test.double", takes_text));
    let failure = wait(test_of_args.run(&DOUBLE, (1,))).unwrap_err();
    assert_eq!(failure.kind(), TestFailureKind::NotRun(DeadLetterReason::BadArgs));
    assert!(failure.message().contains("argument 1 is not a String"), "{failure}");
    let returns_text = handler!(|n: u64| Ok::<_, TaskError>(format!("{n}")));
    let test_of_result = by_name(test().register("test.double", returns_text));
    let failure = wait(test_of_result.run(&DOUBLE, (1,))).unwrap_err();
    assert_eq!((failure.kind(), failure.next()), (TestFailureKind::Result, NextStep::Nothing));
}

#[test]
fn a_task_that_the_worker_does_not_know_or_serve_is_not_run() {
    const ELSEWHERE: Task<(), ()> = Task::new("test.elsewhere").queue("elsewhere");
    let test = test().register(&DOUBLE, handler!(|n: u64| Ok::<u64, TaskError>(2 * n)));
    let unknown = wait(test.run(&SLOW, ())).unwrap_err();
    assert_eq!(unknown.kind(), TestFailureKind::NotRun(DeadLetterReason::UnknownTask));
    let elsewhere = wait(test.run(&ELSEWHERE, ())).unwrap_err();
    assert_eq!(elsewhere.kind(), TestFailureKind::NotDelivered);
    assert!(elsewhere.message().contains("queue elsewhere"), "{elsewhere}");
}

#[test]
fn the_context_is_that_of_the_chosen_attempt() {
    let look = handler!(|ctx: Ctx| {
        assert_eq!((ctx.attempt(), ctx.max_attempts()), (2, 3));
        assert_eq!((ctx.task_name().as_str(), ctx.queue().as_str()), ("test.fail", "test"));
        assert!(ctx.deadline().is_some());
        Ok::<u64, TaskError>(7)
    });
    let test = test().register(&FAIL, look).attempt(2).time_limit(SOON);
    assert_eq!(wait(test.run(&FAIL, ())).unwrap(), 7);
}

#[test]
fn a_cancelled_handler_sees_it_and_its_result_is_discarded() {
    let saw = Arc::new(AtomicBool::new(false));
    let look = handler!([saw], |ctx: Ctx| {
        saw.store(ctx.is_cancelled(), Ordering::SeqCst);
        Ok::<(), TaskError>(())
    });
    let test = test().register(&SLOW, look).cancelled();
    let failure = wait(test.run(&SLOW, ())).unwrap_err();
    assert_eq!(failure.kind(), TestFailureKind::Cancelled(CancelReason::LeaseLost));
    assert_eq!(failure.next(), NextStep::Nothing);
    assert!(saw.load(Ordering::SeqCst));
}

/// A test whose handler ends only if it is cancelled.
macro_rules! endless {
    () => {{
        let (_keep, never) = async_channel::unbounded::<()>();
        let wait = handler!([never, _keep], |ctx: Ctx| {
            let _open = &_keep;
            awaited!(recv_in_handler(&ctx, &never))
        });
        test().register(&SLOW, wait)
    }};
}

#[test]
fn a_handler_is_cancelled_after_the_chosen_time() {
    let failure = wait(endless!().cancel_after(MOMENT).run(&SLOW, ())).unwrap_err();
    assert_eq!(failure.kind(), TestFailureKind::Cancelled(CancelReason::LeaseLost));
}

#[test]
fn a_handler_over_its_time_limit_has_failed() {
    let failure = wait(endless!().time_limit(MOMENT).run(&SLOW, ())).unwrap_err();
    assert_eq!(failure.kind(), TestFailureKind::Cancelled(CancelReason::TimeLimit));
    assert!(failure.is_retried(), "{failure}");
}

#[test]
fn what_a_handler_calls_is_recorded() {
    let test = test();
    let captured = test.ivy().clone();
    let outer = handler!([captured], |ctx: Ctx, n: u64| {
        let failed = |error: Error| TaskError::from_error(&error);
        let soon = CallOptions::new().delay(SOON);
        awaited!(ctx.ivy().send(&DOUBLE, (n,))).map_err(failed)?;
        awaited!(captured.send_with(&DOUBLE, (n + 1,), soon)).map_err(failed)?;
        Ok::<u64, TaskError>(n)
    });
    let test = test.register(&OUTER, outer);
    wait(test.run(&OUTER, (4,))).unwrap();
    assert_eq!(test.calls_of(&DOUBLE).unwrap(), [(4,), (5,)]);
    let calls = test.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!((calls[1].task().as_str(), calls[1].queue().as_str()), ("test.double", "test"));
    assert_eq!((calls[0].delay(), calls[1].delay()), (Duration::ZERO, SOON));
    assert!(calls[0].args::<(String,)>().is_err());
}

#[test]
fn a_worker_of_the_test_answers_what_a_handler_waits_for() {
    let outer = handler!(|ctx: Ctx, n: u64| {
        let failed = |error: Error| TaskError::from_error(&error);
        let inner = awaited!(ctx.ivy().call(&DOUBLE, (n,))).map_err(failed)?;
        awaited!(inner.result(SOON)).map_err(failed)
    });
    let test = test().register(&OUTER, outer);
    let _answers = doubling(test.ivy());
    assert_eq!(wait(test.run(&OUTER, (4,))).unwrap(), 8);
}

#[test]
fn a_handler_sees_the_id_that_the_test_has_chosen_in_each_attempt() {
    const ID_OF: Task<(), String> = Task::new("test.id_of").queue("test");
    let id_of = handler!(|ctx: Ctx| Ok::<_, TaskError>(ctx.task_id().to_string()));
    let test = test().register(&ID_OF, id_of);
    assert_ne!(wait(test.run(&ID_OF, ())).unwrap(), wait(test.run(&ID_OF, ())).unwrap());
    let id = TaskId::derived("test.order", "7");
    let test = test.id(id);
    assert_eq!(wait(test.run(&ID_OF, ())).unwrap(), id.to_string());
    assert_eq!(wait(test.attempt(2).run(&ID_OF, ())).unwrap(), id.to_string());
}

#[test]
fn a_context_can_be_built_for_a_direct_call() {
    let id = TaskId::from_random([7; 16]);
    let builder = Ctx::for_test(&FAIL).id(id).queue("own").attempt(2).deadline_after(SOON);
    let ctx = builder.build().unwrap();
    assert_eq!((ctx.task_id(), ctx.queue().as_str()), (id, "own"));
    assert_eq!((ctx.attempt(), ctx.max_attempts()), (2, 3));
    assert!(ctx.deadline().is_some() && !ctx.is_cancelled());
    assert!(Ctx::for_test(&FAIL).cancelled().build().unwrap().is_cancelled());
    assert!(Ctx::for_test(&FAIL).queue("").build().is_err());
}
