//! Tests only for adapters whose methods and handlers are futures: these are `Send`, and can be
//! dropped at any time.

use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::adapter::ivy_proto::backend::{BoxFuture, Queue};
use crate::adapter::ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};
use crate::adapter::{Ctx, ErrorKind, Ivy, Task, TaskError, handler, wait};
use crate::memory::{DOUBLE, SOON, doubling, ivy, worker};
use crate::receiving::recv;
use crate::time::{MOMENT, assert_lasted, now, sleep, spawn, timeout, yield_now};

const LIMITED: Task<(), ()> =
    Task::new("test.limited").queue("test").time_limit(MOMENT).max_retries(0);

#[test]
fn futures_can_be_sent_between_threads() {
    fn sendable<T: Send>(_: T) {}
    let ivy = ivy();
    sendable(ivy.call_many(&DOUBLE, (0..3).map(|n| (n,))));
    sendable(ivy.send_many(&DOUBLE, (0..3).map(|n| (n,))));
    sendable(ivy.call_stream(&DOUBLE, (0..3).map(|n| (n,)), SOON).next().map(drop));
    sendable(async {
        let handle = ivy.call(&DOUBLE, (1,)).await?;
        handle.result(Duration::ZERO).await
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    let ivy = ivy();
    let handle = wait(ivy.call(&DOUBLE, (1,))).unwrap();
    for _ in 0..3 {
        assert!(timeout(Duration::from_millis(10), handle.result(SOON)).is_none());
    }
    let _worker = doubling(&ivy);
    assert_eq!(wait(handle.result(SOON)).unwrap(), 2);
}

#[test]
fn a_dropped_wait_does_not_end_the_next_one_early() {
    let ivy = ivy();
    let handle = wait(ivy.call(&DOUBLE, (1,))).unwrap();
    let mut first = Box::pin(handle.result(MOMENT));
    wait(async {
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending())
    });
    sleep(MOMENT / 2);
    drop(first);
    // The first wait would have ended during this pause.
    sleep(MOMENT);
    let begun = now();
    assert_eq!(wait(handle.result(MOMENT)).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_lasted(begun, MOMENT);
}

#[test]
fn a_dropped_wait_for_a_stream_loses_no_result() {
    let ivy = ivy();
    let mut stream = ivy.call_stream(&DOUBLE, (0..50).map(|n| (n,)), SOON).window(5);
    assert!(timeout(Duration::from_millis(10), stream.next()).is_none());
    let _worker = doubling(&ivy);
    let mut sum = 0;
    while let Some(result) = wait(async {
        loop {
            let mut next = Box::pin(stream.next());
            let polled = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            match polled {
                Poll::Ready(result) => return result,
                Poll::Pending => yield_now().await,
            }
        }
    }) {
        sum += result.result.unwrap();
    }
    assert_eq!(sum, 49 * 50);
}

#[test]
fn a_call_stream_is_a_stream() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let stream = ivy.call_stream(&DOUBLE, (0..500).map(|n| (n,)), SOON);
    let sum = stream.map(|result| result.result.unwrap()).fold(0, async |sum, n| sum + n);
    assert_eq!(wait(sum), 499 * 500);
}

/// A queue whose posts are never replied to.
#[derive(Debug)]
struct Silent;

impl Queue for Silent {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker()
    }

    fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        Box::pin(pending())
    }
}

#[test]
fn single_calls_find_half_of_the_outbox_beside_many_and_are_refused_beyond_that() {
    let ivy = Ivy::builder().queue(Silent).build().unwrap();
    let many = (0..4).map(|_| Box::pin(ivy.send_many(&DOUBLE, (0..50_000).map(|n| (n,)))));
    let mut many: FuturesUnordered<_> = many.collect();
    assert!(timeout(Duration::from_millis(10), many.next()).is_none());
    let mut sends: FuturesUnordered<_> = (0..10_001).map(|n| ivy.send(&DOUBLE, (n,))).collect();
    for _ in 0..5_001 {
        let refused = timeout(SOON, sends.next()).flatten().unwrap();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
    }
    assert!(timeout(Duration::from_millis(10), sends.next()).is_none(), "the others are accepted");
    assert!(timeout(Duration::from_millis(10), many.next()).is_none(), "the many still wait");
}

#[test]
fn a_call_that_is_dropped_at_any_point_harms_no_other() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    for polls in 1..6 {
        wait(async {
            let mut call = pin!(ivy.call(&DOUBLE, (1,)));
            for _ in 0..polls {
                if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                yield_now().await;
            }
        });
    }
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (2,))).unwrap().result(SOON)).unwrap(), 4);
}

#[test]
fn a_handler_that_exceeds_its_time_limit_is_cancelled() {
    let ivy = ivy();
    let (stopped, was_stopped) = async_channel::unbounded();
    let limited = handler!([stopped], |ctx: Ctx| {
        assert!(ctx.deadline().is_some());
        let token = ctx.cancelled().clone();
        spawn(async move {
            token.cancelled().await;
            stopped.try_send(()).unwrap();
        });
        pending::<Result<(), TaskError>>().await
    });
    let _worker = wait(worker(&ivy).register(&LIMITED, limited).start()).unwrap();
    let error = wait(wait(ivy.call(&LIMITED, ())).unwrap().result(SOON)).unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 1);
    recv(&was_stopped);
}

#[test]
fn a_value_that_panics_while_it_is_dropped_leaves_the_slot_free() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    let ivy = ivy();
    let limited = handler!(|_ctx: Ctx| {
        let _bomb = PanicsOnDrop;
        pending::<Result<(), TaskError>>().await
    });
    let _worker = wait(worker(&ivy).concurrency(1).register(&LIMITED, limited).start()).unwrap();
    assert!(wait(wait(ivy.call(&LIMITED, ())).unwrap().result(SOON)).is_err());
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap(), 2);
}
