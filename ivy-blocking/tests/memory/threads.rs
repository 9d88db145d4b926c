//! Tests specific to an adapter that blocks: threads that call and wait concurrently, and handlers
//! and callbacks that occupy their threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::adapter::{Ctx, ErrorKind, NothingYet, Task, TaskError};
use crate::memory::{DOUBLE, SLOW, SOON, doubling, ivy, worker};

#[test]
fn many_threads_call_concurrently_and_each_gets_its_own_result() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    thread::scope(|scope| {
        for n in 0..50 {
            let ivy = &ivy;
            scope.spawn(move || {
                assert_eq!(ivy.call(&DOUBLE, (n,)).unwrap().result(SOON).unwrap(), 2 * n);
            });
        }
    });
}

#[test]
fn several_threads_may_wait_for_one_result_each_with_its_own_timeout() {
    let ivy = ivy();
    let handle = ivy.call(&DOUBLE, (4,)).unwrap();
    thread::scope(|scope| {
        let patient: Vec<_> = (0..3).map(|_| scope.spawn(|| handle.result(SOON))).collect();
        let hasty = scope.spawn(|| handle.result(Duration::from_millis(1)));
        assert_eq!(hasty.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        let _worker = doubling(&ivy);
        for waiting in patient {
            assert_eq!(waiting.join().unwrap().unwrap(), 8);
        }
    });
}

#[test]
fn as_many_handlers_run_concurrently_as_allowed() {
    const TOGETHER: Task<(), ()> = Task::new("test.together").queue("test");
    let ivy = ivy();
    let (running, max_running, together) =
        (AtomicU32::new(0), Arc::new(AtomicU32::new(0)), Barrier::new(4));
    let seen = max_running.clone();
    let _worker = worker(&ivy)
        .concurrency(4)
        .register(&TOGETHER, move || {
            seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            together.wait();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, TaskError>(())
        })
        .start()
        .unwrap();
    for call in ivy.call_many(&TOGETHER, (0..12).map(|_| ())) {
        call.unwrap().result(SOON).unwrap();
    }
    assert_eq!(max_running.load(Ordering::SeqCst), 4);
}

#[test]
fn a_value_that_panics_while_it_is_dropped_leaves_the_slot_free() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    const PANICS_ON_DROP: Task<(), ()> = Task::new("test.bomb").queue("test").max_retries(0);
    let ivy = ivy();
    let handler = || {
        let _panics = PanicsOnDrop;
        Ok::<_, TaskError>(())
    };
    let _worker = worker(&ivy).concurrency(1).register(&PANICS_ON_DROP, handler).start().unwrap();
    assert!(ivy.call(&PANICS_ON_DROP, ()).unwrap().result(SOON).is_err());
    assert_eq!(ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap(), 2);
}

#[test]
fn a_callback_that_panics_or_waits_delays_no_result() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    ivy.on_result(&DOUBLE, |(n,), _| match n {
        0 => panic!("out of cheese"),
        _ => thread::park(),
    })
    .unwrap();
    for n in 0..4 {
        assert_eq!(ivy.call(&DOUBLE, (n,)).unwrap().result(SOON).unwrap(), 2 * n);
    }
}

#[test]
fn a_handler_that_exceeds_its_time_limit_is_cancelled() {
    const LIMITED: Task<(), ()> = Task::new("test.limited")
        .queue("test")
        .time_limit(Duration::from_millis(100))
        .max_retries(0);
    let ivy = ivy();
    let _worker = worker(&ivy)
        .register(&LIMITED, move |ctx: Ctx| {
            assert!(ctx.deadline().is_some() && !ctx.is_cancelled());
            ctx.cancelled().cancelled();
            Err::<(), _>("stopped")
        })
        .start()
        .unwrap();
    let error = ivy.call(&LIMITED, ()).unwrap().result(SOON).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.attempts, failure.message.as_str()), (1, "stopped"));
}

#[test]
fn a_handler_that_ignores_its_cancellation_does_not_hold_up_a_drain() {
    let ivy = ivy();
    let (notify, begun) = channel();
    let uninterruptible = move || {
        notify.send(()).unwrap();
        loop {
            thread::park();
        }
    };
    let worker = worker(&ivy)
        .register(&SLOW, move || -> Result<(), TaskError> { uninterruptible() })
        .start()
        .unwrap();
    ivy.send(&SLOW, ()).unwrap();
    begun.recv().unwrap();
    worker.drain(Duration::from_millis(100));
    assert_eq!(ivy.admin().peek("test", 10).unwrap().len(), 1);
}

#[test]
fn a_limited_wait_for_a_stream_tells_a_result_from_nothing_yet_and_from_the_end() {
    const LIMIT: Duration = Duration::from_millis(20);
    let ivy = ivy();
    let mut stream = ivy.call_stream(&DOUBLE, (0..3).map(|n| (n,)), SOON);
    let begun = Instant::now();
    assert_eq!(stream.next_within(LIMIT).err(), Some(NothingYet));
    assert!(begun.elapsed() >= LIMIT);
    assert_eq!(stream.next_within(Duration::ZERO).err(), Some(NothingYet));
    assert_eq!((stream.sent(), stream.outstanding()), (3, 3));
    let _worker = doubling(&ivy);
    let mut indices = Vec::new();
    while let Some(next) = stream.next_within(SOON).unwrap() {
        assert_eq!(next.result.unwrap(), 2 * next.index as u64);
        indices.push(next.index);
    }
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2]);
    assert!(matches!(stream.next_within(Duration::ZERO), Ok(None)));
}
