//! Producer and worker over the memory backend, as an application uses them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ivy_blocking::event::ReleaseReason;
use ivy_blocking::{
    Backoff, CallOptions, Content, Ctx, ErrorKind, Event, Events, Ivy, Task, TaskError, Worker,
    WorkerBuilder,
};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
const FAIL: Task<(), u64> = Task::new("test.fail").queue("test").max_retries(2);
const SLOW: Task<(), ()> = Task::new("test.slow").queue("test");
/// Longer than anything takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn ivy() -> Ivy {
    Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap()
}

fn double(n: u64) -> Result<u64, TaskError> {
    n.checked_mul(2).ok_or_else(|| TaskError::fatal("too large"))
}

fn worker(ivy: &Ivy) -> WorkerBuilder {
    let backoff = Backoff::new(Duration::from_millis(50), 2, Duration::from_secs(1));
    ivy.worker().register(&DOUBLE, double).backoff(backoff)
}

fn doubling(ivy: &Ivy) -> Worker {
    worker(ivy).start().unwrap()
}

/// Waits for an event that is as it should be.
fn wait_for(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next_within(SOON).expect("the event comes");
        if wanted(&event) {
            return event;
        }
    }
}

/// A worker whose task `SLOW` tells when it begins, and ends when it is told to or cancelled.
/// Tells at the end whether it came so far.
struct Slow {
    begun: Receiver<()>,
    end: Sender<()>,
    ended: Arc<AtomicBool>,
}

impl Slow {
    fn start(ivy: &Ivy) -> (Self, Worker) {
        let ((tell, begun), (end, told)) = (channel(), channel());
        let told = Mutex::new(told);
        let ended = Arc::new(AtomicBool::new(false));
        let slow = Slow { begun, end, ended: ended.clone() };
        let handler = move |ctx: Ctx| {
            tell.send(()).unwrap();
            while told.lock().unwrap().try_recv().is_err() {
                if ctx.cancelled().cancelled_within(Duration::from_millis(5)) {
                    return Err(TaskError::new("cancelled"));
                }
            }
            ended.store(true, Ordering::SeqCst);
            Ok(())
        };
        let worker = worker(ivy).concurrency(1).register(&SLOW, handler).start().unwrap();
        (slow, worker)
    }
}

#[test]
fn a_call_comes_back_with_its_typed_result() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let handle = ivy.call(&DOUBLE, (21,)).unwrap();
    assert_eq!(handle.result(SOON).unwrap(), 42);
    assert_eq!(handle.result(SOON).unwrap(), 42, "it can be asked for again");
}

#[test]
fn many_calls_come_back_in_the_order_of_their_arguments() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let calls = ivy.call_many(&DOUBLE, (0..500).map(|n| (n,)));
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.unwrap().result(SOON).unwrap(), 2 * n as u64);
    }
}

#[test]
fn many_threads_call_at_a_time_and_each_gets_its_own_result() {
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
fn several_threads_wait_for_one_result_each_with_a_limit_of_its_own() {
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
fn as_many_handlers_run_at_a_time_as_there_may_be() {
    const TOGETHER: Task<(), ()> = Task::new("test.together").queue("test");
    let ivy = ivy();
    let (running, most, together) =
        (AtomicU32::new(0), Arc::new(AtomicU32::new(0)), Barrier::new(4));
    let seen = most.clone();
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
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[test]
fn a_delayed_task_runs_after_its_delay() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let begun = Instant::now();
    let options = CallOptions::new().delay(Duration::from_secs(1));
    ivy.call_with(&DOUBLE, (1,), options).unwrap().result(SOON).unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_task_that_fails_for_good_is_told_with_its_attempts() {
    let ivy = ivy();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let _worker = worker(&ivy)
        .register(&FAIL, move |ctx: Ctx| {
            let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!((ctx.attempt(), ctx.max_attempts()), (run, 3));
            Err::<u64, _>("no luck")
        })
        .start()
        .unwrap();
    let handle = ivy.call(&FAIL, ()).unwrap();
    let error = handle.result(SOON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.task_id(), Some(handle.id()));
    assert_eq!(error.queue().unwrap().as_str(), "test");
    let failure = error.failure().unwrap();
    assert_eq!((failure.attempts, failure.kind.as_str()), (3, "RetriesExhausted"));
    assert!(failure.message.contains("no luck"), "{failure}");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(ivy.admin().info("test.dead").unwrap().size, Some(1));
}

#[test]
fn a_fatal_error_is_not_tried_again() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let error = ivy.call(&DOUBLE, (u64::MAX,)).unwrap().result(SOON).unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 1);
}

#[test]
fn a_panic_is_a_failed_attempt_and_leaves_its_slot_free() {
    let ivy = ivy();
    let panics = || -> Result<u64, TaskError> { panic!("out of cheese") };
    let _worker = worker(&ivy).concurrency(1).register(&FAIL, panics).start().unwrap();
    let error = ivy.call(&FAIL, ()).unwrap().result(SOON).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.attempts, 3);
    assert!(failure.message.contains("out of cheese"), "{failure}");
    assert_eq!(ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap(), 2);
}

#[test]
fn a_value_that_panics_while_it_is_dropped_leaves_the_slot_free() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    const BOMB: Task<(), ()> = Task::new("test.bomb").queue("test").max_retries(0);
    let ivy = ivy();
    let handler = || {
        let _bomb = Bomb;
        Ok::<_, TaskError>(())
    };
    let _worker = worker(&ivy).concurrency(1).register(&BOMB, handler).start().unwrap();
    assert!(ivy.call(&BOMB, ()).unwrap().result(SOON).is_err());
    assert_eq!(ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap(), 2);
}

#[test]
fn a_result_of_another_type_is_told_apart_from_a_failure() {
    let ivy = ivy();
    let _worker = ivy
        .worker()
        .register("test.double", |n: u64| Ok::<_, TaskError>(format!("{n}")))
        .queue("test")
        .start()
        .unwrap();
    let error = ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResult);
}

#[test]
fn a_result_can_be_waited_for_again_after_a_timeout() {
    let ivy = ivy();
    let handle = ivy.call(&DOUBLE, (1,)).unwrap();
    let begun = Instant::now();
    let error = handle.result(Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let _worker = doubling(&ivy);
    assert_eq!(handle.result(SOON).unwrap(), 2);
}

#[test]
fn a_result_that_came_while_nobody_waited_is_kept() {
    let ivy = ivy();
    let mut events = ivy.events();
    let handle = ivy.call(&DOUBLE, (1,)).unwrap();
    let _worker = doubling(&ivy);
    wait_for(&mut events, |event| matches!(event, Event::CallerResumed { .. }));
    assert_eq!(handle.result(Duration::ZERO).unwrap(), 2);
}

#[test]
fn a_dropped_handle_forgets_the_result_and_not_the_task() {
    let ivy = ivy();
    let mut events = ivy.events();
    drop(ivy.call(&DOUBLE, (1,)).unwrap());
    let _worker = doubling(&ivy);
    wait_for(&mut events, |event| {
        assert!(!matches!(event, Event::CallerResumed { .. }), "nobody waits");
        matches!(event, Event::Acknowledged { .. })
    });
}

#[test]
fn what_is_sent_without_waiting_is_run() {
    let ivy = ivy();
    let mut events = ivy.events();
    let id = ivy.send(&DOUBLE, (1,)).unwrap();
    let _worker = doubling(&ivy);
    let done = wait_for(&mut events, |event| matches!(event, Event::Acknowledged { .. }));
    assert!(matches!(done, Event::Acknowledged { task } if task.id == id));
}

#[test]
fn a_callback_gets_arguments_and_result_of_calls_and_sends() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let (results, received) = channel();
    ivy.on_result(&DOUBLE, move |(n,), result| results.send((n, result.ok())).unwrap()).unwrap();
    ivy.send(&DOUBLE, (1,)).unwrap();
    assert_eq!(received.recv().unwrap(), (1, Some(2)));
    assert_eq!(ivy.call(&DOUBLE, (2,)).unwrap().result(SOON).unwrap(), 4);
    assert_eq!(received.recv().unwrap(), (2, Some(4)));
    drop(ivy.call(&DOUBLE, (u64::MAX,)).unwrap());
    assert_eq!(received.recv().unwrap(), (u64::MAX, None));
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
fn a_handler_can_schedule_another_task() {
    const OUTER: Task<(u64,), u64> = Task::new("test.outer").queue("test");
    let ivy = ivy();
    let _worker = worker(&ivy)
        .register(&OUTER, |ctx: Ctx, n: u64| {
            let inner = ctx.ivy().call(&DOUBLE, (n,)).and_then(|inner| inner.result(SOON));
            inner.map_err(|error| TaskError::from_error(&error))
        })
        .start()
        .unwrap();
    assert_eq!(ivy.call(&OUTER, (4,)).unwrap().result(SOON).unwrap(), 8);
}

#[test]
fn a_handler_that_exceeds_its_time_limit_is_told_to_stop() {
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
fn a_paused_worker_takes_nothing_until_it_is_resumed() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap();
    worker.pause();
    let mut events = worker.events();
    // A poll that was under way may still bring a message, which is given back.
    let handle = ivy.call(&DOUBLE, (1,)).unwrap();
    assert!(handle.result(Duration::from_millis(300)).is_err());
    assert!(
        std::iter::from_fn(|| events.next_within(Duration::ZERO))
            .all(|event| !matches!(event, Event::TaskExecuted { .. }))
    );
    worker.resume();
    assert_eq!(handle.result(SOON).unwrap(), 2);
}

#[test]
fn a_paused_notifier_holds_results_back_and_not_tasks() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    worker.pause_notifier();
    let mut events = worker.events();
    let handle = ivy.call(&DOUBLE, (1,)).unwrap();
    wait_for(&mut events, |event| matches!(event, Event::Acknowledged { .. }));
    assert!(handle.result(Duration::from_millis(100)).is_err());
    worker.resume_notifier();
    assert_eq!(handle.result(SOON).unwrap(), 2);
}

#[test]
fn a_drained_worker_lets_its_handlers_finish() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy);
    let handle = ivy.call(&SLOW, ()).unwrap();
    slow.begun.recv().unwrap();
    thread::scope(|scope| {
        let draining = scope.spawn(|| worker.drain(SOON));
        thread::sleep(Duration::from_millis(100));
        assert!(!draining.is_finished());
        slow.end.send(()).unwrap();
    });
    assert!(slow.ended.load(Ordering::SeqCst));
    handle.result(SOON).unwrap();
    worker.drain(SOON);
}

#[test]
fn an_idle_worker_drains_without_waiting_for_its_polls() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap();
    let begun = Instant::now();
    worker.drain(SOON);
    // Its poll would wait for 30 s.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn after_the_limit_of_a_drain_handlers_are_told_to_stop_and_their_messages_given_back() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy);
    ivy.send(&SLOW, ()).unwrap();
    slow.begun.recv().unwrap();
    let mut events = worker.events();
    let begun = Instant::now();
    worker.drain(Duration::from_millis(200));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert!(!slow.ended.load(Ordering::SeqCst));
    wait_for(&mut events, |event| {
        matches!(event, Event::Released { reason: ReleaseReason::Drain, .. })
    });
    assert_eq!(ivy.admin().peek("test", 10).unwrap().len(), 1);
}

#[test]
fn a_handler_that_ignores_its_cancellation_does_not_hold_up_a_drain() {
    let ivy = ivy();
    let (tell, begun) = channel();
    let deaf = move || {
        tell.send(()).unwrap();
        loop {
            thread::park();
        }
    };
    let worker =
        worker(&ivy).register(&SLOW, move || -> Result<(), TaskError> { deaf() }).start().unwrap();
    ivy.send(&SLOW, ()).unwrap();
    begun.recv().unwrap();
    worker.drain(Duration::from_millis(100));
    assert_eq!(ivy.admin().peek("test", 10).unwrap().len(), 1);
}

#[test]
fn a_dropped_worker_drains_in_the_background() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy);
    let handle = ivy.call(&SLOW, ()).unwrap();
    slow.begun.recv().unwrap();
    drop(worker);
    slow.end.send(()).unwrap();
    handle.result(SOON).unwrap();
    let later = ivy.call(&DOUBLE, (1,)).unwrap();
    assert!(later.result(Duration::from_millis(300)).is_err(), "it takes no more tasks");
}

#[test]
fn everything_ends_when_nobody_holds_it_any_more() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    let events = ivy.events();
    ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap();
    drop((ivy, worker));
    // The stream ends with the last thread that could tell anything.
    assert!(events.count() > 0);
}

#[test]
fn routes_and_priorities_are_served_by_workers_that_name_them() {
    let ivy = ivy();
    let worker = worker(&ivy).route("fast").priorities([3]).start().unwrap();
    for options in [
        CallOptions::new().route("fast"),
        CallOptions::new().priority(3),
        CallOptions::new().route("fast").priority(3),
    ] {
        let handle = ivy.call_with(&DOUBLE, (1,), options).unwrap();
        assert_eq!(handle.result(SOON).unwrap(), 2);
    }
    worker.drain(SOON);
    let mut queues = ivy.admin().list("").unwrap();
    queues.retain(|queue| !queue.as_str().ends_with(".dead"));
    let names: Vec<_> = queues.iter().map(|queue| queue.as_str()).collect();
    assert_eq!(names, ["fast", "fast.p3", "test", "test.p3"]);
}

#[test]
fn more_calls_than_there_is_room_for_are_refused_one_by_one() {
    let ivy = ivy();
    let calls = ivy.call_many(&DOUBLE, (0..10_001).map(|n| (n,)));
    let full = calls.iter().filter_map(|call| call.as_ref().err());
    let kinds: Vec<ErrorKind> = full.map(|error| error.kind()).collect();
    assert_eq!(kinds, [ErrorKind::Full]);
}

#[test]
fn arguments_that_are_too_large_are_refused_before_they_are_sent() {
    const TEXT: Task<(String,), ()> = Task::new("test.text").queue("test");
    let ivy = ivy();
    let error = ivy.call(&TEXT, ("x".repeat(300_000),)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(!format!("{error} {error:?}").contains("xxx"));
}

#[test]
fn peeking_shows_what_waits_and_clearing_removes_it() {
    let ivy = ivy();
    let id = ivy.send(&DOUBLE, (7,)).unwrap();
    let admin = ivy.admin();
    let [waiting] = &admin.peek("test", 10).unwrap()[..] else { panic!() };
    let Content::Task(envelope) = &waiting.content else { panic!("{waiting:?}") };
    assert_eq!((envelope.name.as_str(), envelope.args.as_str()), ("test.double", "[7]"));
    assert_eq!(envelope.options.ivy().unwrap().id, id);
    assert!(!format!("{waiting:?}").contains("[7]"));
    admin.clear("test").unwrap();
    assert!(admin.peek("test", 10).unwrap().is_empty());
    assert_eq!(admin.clear("none").unwrap_err().kind(), ErrorKind::Queue);
}

#[test]
fn what_happens_can_be_watched_from_the_call_to_the_result() {
    let ivy = ivy();
    let events = ivy.events();
    let worker = doubling(&ivy);
    ivy.call(&DOUBLE, (1,)).unwrap().result(SOON).unwrap();
    worker.drain(SOON);
    drop((ivy, worker));
    let seen: Vec<_> =
        events.map(|event| format!("{event:?}").split(' ').next().unwrap().to_owned()).collect();
    for moment in [
        "TaskSent",
        "MessageRetrieved",
        "TaskExecuted",
        "ResultSent",
        "CallerResumed",
        "Acknowledged",
    ] {
        assert_eq!(seen.iter().filter(|name| *name == moment).count(), 1, "{moment}: {seen:?}");
    }
}
