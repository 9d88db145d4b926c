//! Producer and worker over the memory backend, as an application uses them, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use ivy_tokio::event::ReleaseReason;
use ivy_tokio::{
    Backoff, CallOptions, Content, Ctx, ErrorKind, Event, Ivy, QueueName, Task, TaskError, Worker,
    WorkerBuilder,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
const FAIL: Task<(), u64> = Task::new("test.fail").queue("test").max_retries(2);
const SLOW: Task<(), ()> = Task::new("test.slow").queue("test");
const SOON: Duration = Duration::from_secs(60);

fn ivy() -> Ivy {
    Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap()
}

async fn double(n: u64) -> Result<u64, TaskError> {
    n.checked_mul(2).ok_or_else(|| TaskError::fatal("too large"))
}

fn worker(ivy: &Ivy) -> WorkerBuilder {
    let backoff = Backoff::new(Duration::from_millis(50), 2, Duration::from_secs(1));
    ivy.worker().register(&DOUBLE, double).backoff(backoff)
}

async fn doubling(ivy: &Ivy) -> Worker {
    worker(ivy).start().await.unwrap()
}

/// A worker whose task `SLOW` tells when it begins, and ends when it is told to. Tells at the end
/// whether it came so far.
struct Slow {
    begun: Arc<Notify>,
    end: Arc<Notify>,
    ended: Arc<AtomicBool>,
}

impl Slow {
    async fn start(ivy: &Ivy) -> (Self, Worker) {
        let slow = Slow { begun: Arc::default(), end: Arc::default(), ended: Arc::default() };
        let (begun, end, ended) = (slow.begun.clone(), slow.end.clone(), slow.ended.clone());
        let handler = move || {
            let (begun, end, ended) = (begun.clone(), end.clone(), ended.clone());
            async move {
                begun.notify_one();
                end.notified().await;
                ended.store(true, Ordering::SeqCst);
                Ok::<_, TaskError>(())
            }
        };
        let worker = worker(ivy).concurrency(1).register(&SLOW, handler).start().await.unwrap();
        (slow, worker)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_comes_back_with_its_typed_result() {
    let ivy = ivy();
    let _worker = doubling(&ivy).await;
    let handle = ivy.call(&DOUBLE, (21,)).await.unwrap();
    assert_eq!(handle.result(SOON).await.unwrap(), 42);
    assert_eq!(handle.result(SOON).await.unwrap(), 42, "it can be asked for again");
}

#[tokio::test(start_paused = true)]
async fn many_calls_come_back_in_the_order_of_their_arguments() {
    let ivy = ivy();
    let _worker = doubling(&ivy).await;
    let calls = ivy.call_many(&DOUBLE, (0..500).map(|n| (n,))).await;
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.unwrap().result(SOON).await.unwrap(), 2 * n as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_task_runs_after_its_delay() {
    let ivy = ivy();
    let _worker = doubling(&ivy).await;
    let begun = Instant::now();
    let options = CallOptions::new().delay(Duration::from_secs(20));
    let handle = ivy.call_with(&DOUBLE, (1,), options).await.unwrap();
    handle.result(SOON).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_for_good_is_told_with_its_attempts() {
    let ivy = ivy();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let _worker = worker(&ivy)
        .register(&FAIL, move |ctx: Ctx| {
            let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                assert_eq!((ctx.attempt(), ctx.max_attempts()), (run, 3));
                Err::<u64, _>("no luck")
            }
        })
        .start()
        .await
        .unwrap();
    let handle = ivy.call(&FAIL, ()).await.unwrap();
    let error = handle.result(SOON).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.task_id(), Some(handle.id()));
    assert_eq!(error.queue().unwrap().as_str(), "test");
    let failure = error.failure().unwrap();
    assert_eq!((failure.attempts, failure.kind.as_str()), (3, "RetriesExhausted"));
    assert!(failure.message.contains("no luck"), "{failure}");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(ivy.admin().info("test.dead").await.unwrap().size, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_is_not_tried_again() {
    let ivy = ivy();
    let _worker = doubling(&ivy).await;
    let error = ivy.call(&DOUBLE, (u64::MAX,)).await.unwrap().result(SOON).await.unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_attempt_and_leaves_its_slot_free() {
    let ivy = ivy();
    let _worker = worker(&ivy)
        .concurrency(1)
        .register(&FAIL, || async {
            if true {
                panic!("out of cheese");
            }
            Ok::<_, TaskError>(1)
        })
        .start()
        .await
        .unwrap();
    let error = ivy.call(&FAIL, ()).await.unwrap().result(SOON).await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.attempts, 3);
    assert!(failure.message.contains("out of cheese"), "{failure}");
    assert_eq!(ivy.call(&DOUBLE, (1,)).await.unwrap().result(SOON).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_panics_while_it_is_dropped_leaves_the_slot_free() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    const LIMITED: Task<(), ()> =
        Task::new("test.limited").queue("test").time_limit(Duration::from_secs(1)).max_retries(0);
    let ivy = ivy();
    let handler = || async {
        let _bomb = Bomb;
        std::future::pending::<Result<(), TaskError>>().await
    };
    let _worker = worker(&ivy).concurrency(1).register(&LIMITED, handler).start().await.unwrap();
    assert!(ivy.call(&LIMITED, ()).await.unwrap().result(SOON).await.is_err());
    assert_eq!(ivy.call(&DOUBLE, (1,)).await.unwrap().result(SOON).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_of_another_type_is_told_apart_from_a_failure() {
    let ivy = ivy();
    let _worker = ivy
        .worker()
        .register("test.double", |n: u64| async move { Ok::<_, TaskError>(format!("{n}")) })
        .queue("test")
        .start()
        .await
        .unwrap();
    let error = ivy.call(&DOUBLE, (1,)).await.unwrap().result(SOON).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResult);
}

#[tokio::test(start_paused = true)]
async fn a_result_can_be_waited_for_again_after_a_timeout() {
    let ivy = ivy();
    let handle = ivy.call(&DOUBLE, (1,)).await.unwrap();
    let begun = Instant::now();
    let error = handle.result(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 3);
    let _worker = doubling(&ivy).await;
    assert_eq!(handle.result(SOON).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_dropped_loses_nothing() {
    let ivy = ivy();
    let handle = ivy.call(&DOUBLE, (1,)).await.unwrap();
    for _ in 0..3 {
        assert!(timeout(Duration::from_millis(10), handle.result(SOON)).await.is_err());
    }
    let _worker = doubling(&ivy).await;
    assert_eq!(handle.result(SOON).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_does_not_end_the_next_one_early() {
    let ivy = ivy();
    let handle = ivy.call(&DOUBLE, (1,)).await.unwrap();
    let first = handle.result(Duration::from_secs(2));
    assert!(timeout(Duration::from_secs(1), first).await.is_err());
    // The first wait's end falls into this pause.
    sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    assert_eq!(handle.result(SOON).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), SOON.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_point_harms_no_other() {
    let ivy = ivy();
    let _worker = doubling(&ivy).await;
    for polls in 1..6 {
        let mut call = pin!(ivy.call(&DOUBLE, (1,)));
        for _ in 0..polls {
            if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(ivy.call(&DOUBLE, (2,)).await.unwrap().result(SOON).await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_forgets_the_result_and_not_the_task() {
    let ivy = ivy();
    let mut events = ivy.events();
    drop(ivy.call(&DOUBLE, (1,)).await.unwrap());
    let _worker = doubling(&ivy).await;
    loop {
        match timeout(SOON, events.next()).await.unwrap().unwrap() {
            Event::Acknowledged { .. } => break,
            Event::CallerResumed { .. } => panic!("nobody waits"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_without_waiting_is_run() {
    let ivy = ivy();
    let mut events = ivy.events();
    let id = ivy.send(&DOUBLE, (1,)).await.unwrap();
    let _worker = doubling(&ivy).await;
    loop {
        if let Event::Acknowledged { task } = timeout(SOON, events.next()).await.unwrap().unwrap() {
            assert_eq!(task.id, id);
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_gets_arguments_and_result_of_calls_and_sends() {
    let ivy = ivy();
    let _worker = doubling(&ivy).await;
    let (results, mut received) = mpsc::unbounded_channel();
    ivy.on_result(&DOUBLE, move |(n,), result| results.send((n, result.ok())).unwrap()).unwrap();
    ivy.send(&DOUBLE, (1,)).await.unwrap();
    assert_eq!(received.recv().await, Some((1, Some(2))));
    assert_eq!(ivy.call(&DOUBLE, (2,)).await.unwrap().result(SOON).await.unwrap(), 4);
    assert_eq!(received.recv().await, Some((2, Some(4))));
    drop(ivy.call(&DOUBLE, (u64::MAX,)).await.unwrap());
    assert_eq!(received.recv().await, Some((u64::MAX, None)));
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_schedule_another_task() {
    const OUTER: Task<(u64,), u64> = Task::new("test.outer").queue("test");
    let ivy = ivy();
    let _worker = worker(&ivy)
        .register(&OUTER, async |ctx: Ctx, n: u64| -> Result<u64, TaskError> {
            let inner = ctx.ivy().call(&DOUBLE, (n,)).await;
            let inner = inner.map_err(|error| TaskError::from_error(&error))?.result(SOON).await;
            inner.map_err(|error| TaskError::from_error(&error))
        })
        .start()
        .await
        .unwrap();
    assert_eq!(ivy.call(&OUTER, (4,)).await.unwrap().result(SOON).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_exceeds_its_time_limit_is_stopped_and_told() {
    const LIMITED: Task<(), ()> =
        Task::new("test.limited").queue("test").time_limit(Duration::from_secs(5)).max_retries(0);
    let ivy = ivy();
    let (stopped, mut was_stopped) = mpsc::unbounded_channel();
    let _worker = worker(&ivy)
        .register(&LIMITED, move |ctx: Ctx| {
            let stopped = stopped.clone();
            async move {
                assert!(ctx.deadline().is_some());
                let token = ctx.cancelled().clone();
                tokio::spawn(async move {
                    token.cancelled().await;
                    stopped.send(()).unwrap();
                });
                std::future::pending::<Result<(), TaskError>>().await
            }
        })
        .start()
        .await
        .unwrap();
    let error = ivy.call(&LIMITED, ()).await.unwrap().result(SOON).await.unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 1);
    assert_eq!(was_stopped.recv().await, Some(()));
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_takes_nothing_until_it_is_resumed() {
    let ivy = ivy();
    let worker = doubling(&ivy).await;
    worker.pause();
    let handle = ivy.call(&DOUBLE, (1,)).await.unwrap();
    // A poll that was under way may still bring a message, which is given back.
    assert!(handle.result(Duration::from_secs(50)).await.is_err());
    worker.resume();
    assert_eq!(handle.result(SOON).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_paused_notifier_holds_results_back_and_not_tasks() {
    let ivy = ivy();
    let worker = doubling(&ivy).await;
    worker.pause_notifier();
    let mut events = worker.events();
    let handle = ivy.call(&DOUBLE, (1,)).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::Acknowledged { .. }) {}
    assert!(handle.result(Duration::from_secs(1)).await.is_err());
    worker.resume_notifier();
    assert_eq!(handle.result(SOON).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_drained_worker_lets_its_handlers_finish() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy).await;
    let handle = ivy.call(&SLOW, ()).await.unwrap();
    slow.begun.notified().await;
    let ending = async {
        sleep(Duration::from_secs(3)).await;
        slow.end.notify_one();
    };
    tokio::join!(worker.drain(SOON), ending);
    assert!(slow.ended.load(Ordering::SeqCst));
    handle.result(SOON).await.unwrap();
    worker.drain(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_drains_within_two_seconds() {
    let ivy = ivy();
    let worker = doubling(&ivy).await;
    sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    worker.drain(SOON).await;
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_the_limit_of_a_drain_handlers_are_stopped_and_their_messages_given_back() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy).await;
    ivy.send(&SLOW, ()).await.unwrap();
    slow.begun.notified().await;
    let mut events = worker.events();
    let begun = Instant::now();
    worker.drain(Duration::from_secs(4)).await;
    assert!(begun.elapsed() >= Duration::from_secs(4));
    assert!(!slow.ended.load(Ordering::SeqCst));
    let mut released = false;
    while let Some(event) = timeout(SOON, events.next()).await.unwrap_or(None) {
        released |= matches!(event, Event::Released { reason: ReleaseReason::Drain, .. });
        if released {
            break;
        }
    }
    assert!(released);
    assert_eq!(ivy.admin().peek("test", 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_worker_drains_in_the_background() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy).await;
    let handle = ivy.call(&SLOW, ()).await.unwrap();
    slow.begun.notified().await;
    drop(worker);
    slow.end.notify_one();
    handle.result(SOON).await.unwrap();
    let later = ivy.call(&DOUBLE, (1,)).await.unwrap();
    assert!(later.result(SOON).await.is_err(), "it takes no more tasks");
}

#[tokio::test(start_paused = true)]
async fn routes_and_priorities_are_served_by_workers_that_name_them() {
    let ivy = ivy();
    let worker = worker(&ivy).route("fast").priorities([3]).start().await.unwrap();
    for options in [
        CallOptions::new().route("fast"),
        CallOptions::new().priority(3),
        CallOptions::new().route("fast").priority(3),
    ] {
        let handle = ivy.call_with(&DOUBLE, (1,), options).await.unwrap();
        assert_eq!(handle.result(SOON).await.unwrap(), 2);
    }
    worker.drain(SOON).await;
    let mut queues = ivy.admin().list("").await.unwrap();
    queues.retain(|queue| !queue.as_str().ends_with(".dead"));
    let names: Vec<_> = queues.iter().map(|queue| queue.as_str()).collect();
    assert_eq!(names, ["fast", "fast.p3", "test", "test.p3"]);
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_there_is_room_for_are_refused_one_by_one() {
    let ivy = ivy();
    let calls = ivy.call_many(&DOUBLE, (0..10_001).map(|n| (n,))).await;
    let full = calls.iter().filter_map(|call| call.as_ref().err());
    let kinds: Vec<ErrorKind> = full.map(|error| error.kind()).collect();
    assert_eq!(kinds, [ErrorKind::Full]);
}

#[tokio::test(start_paused = true)]
async fn arguments_that_are_too_large_are_refused_before_they_are_sent() {
    const TEXT: Task<(String,), ()> = Task::new("test.text").queue("test");
    let ivy = ivy();
    let error = ivy.call(&TEXT, ("x".repeat(300_000),)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(!format!("{error} {error:?}").contains("xxx"));
}

#[tokio::test(start_paused = true)]
async fn peeking_shows_what_waits_and_clearing_removes_it() {
    let ivy = ivy();
    let id = ivy.send(&DOUBLE, (7,)).await.unwrap();
    let admin = ivy.admin();
    let [waiting] = &admin.peek("test", 10).await.unwrap()[..] else { panic!() };
    let Content::Task(envelope) = &waiting.content else { panic!("{waiting:?}") };
    assert_eq!((envelope.name.as_str(), envelope.args.as_str()), ("test.double", "[7]"));
    assert_eq!(envelope.options.ivy().unwrap().id, id);
    assert!(!format!("{waiting:?}").contains("[7]"));
    admin.clear("test").await.unwrap();
    assert!(admin.peek("test", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_look_at_a_queue_that_fails_names_the_queue() {
    let admin = ivy().admin();
    let error = admin.info("nonesuch").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Queue);
    assert_eq!(error.queue().map(QueueName::as_str), Some("nonesuch"));
    assert!(error.to_string().starts_with("queue nonesuch: "), "{error}");
    assert_eq!(admin.clear("nonesuch").await.unwrap_err().kind(), ErrorKind::Queue);
    let error = admin.peek("nonesuch", 101).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("1 to 100"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_happens_can_be_watched_from_the_call_to_the_result() {
    let ivy = ivy();
    let mut events = ivy.events();
    let _worker = doubling(&ivy).await;
    ivy.call(&DOUBLE, (1,)).await.unwrap().result(SOON).await.unwrap();
    let seen = Mutex::new(Vec::new());
    while let Ok(Some(event)) = timeout(Duration::from_secs(1), events.next()).await {
        seen.lock().unwrap().push(format!("{event:?}").split(' ').next().unwrap().to_owned());
    }
    let seen = seen.into_inner().unwrap();
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

/// In real time: a thread that is blocked knows no other.
#[tokio::test]
async fn a_handler_that_blocks_the_only_thread_is_warned_of() {
    let ivy = ivy();
    let lease = Duration::from_secs(1);
    let blocks = move || async move {
        // Longer than a renewal may wait, and shorter than the lease.
        std::thread::sleep(lease * 19 / 20);
        Ok::<_, TaskError>(())
    };
    let mut events = ivy.events();
    let _worker = ivy.worker().lease(lease).register(&SLOW, blocks).start().await.unwrap();
    ivy.send(&SLOW, ()).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::WokenLate { .. }) {}
}
