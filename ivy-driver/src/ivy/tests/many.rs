//! Many calls over queues that fail, and streams in handlers.

use super::*;

#[tokio::test(start_paused = true)]
async fn many_calls_to_an_unreachable_queue_all_fail_as_not_sent() {
    let ivy = with_fates([Fate::Unreachable; 1000]);
    let calls = ivy.call_many(&DOUBLE, (0..12_000).map(|n| (n,))).await;
    assert_eq!(calls.len(), 12_000);
    assert!(calls.iter().all(|call| call.as_ref().unwrap_err().kind() == ErrorKind::NotSent));
}

#[tokio::test(start_paused = true)]
async fn many_calls_are_all_sent_after_an_outage() {
    let ivy = with_fates([Fate::Unreachable; 3]);
    let _worker = worker(&ivy).await;
    for (n, call) in (0..).zip(ivy.call_many(&DOUBLE, (0..12_000).map(|n| (n,))).await) {
        assert_eq!(call.unwrap().result(SOON).await.unwrap(), 2 * n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_reports_each_call_that_was_not_sent_and_goes_on() {
    let ivy = with_fates([Fate::Unreachable; 5]);
    let _worker = worker(&ivy).await;
    let mut stream = ivy.call_stream(&DOUBLE, [(1,), (2,), (3,)], SOON).window(1);
    let error = stream.next().await.unwrap().result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent);
    assert_eq!(stream.next().await.unwrap().result.unwrap(), 4);
    assert_eq!(stream.next().await.unwrap().result.unwrap(), 6);
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_stream_that_may_have_been_sent_still_has_its_result() {
    let ivy = with_fates([Fate::ReplyLost]);
    let mut stream = ivy.call_stream(&ONCE, [(4,)], SOON);
    let result = stream.next().await.unwrap();
    let error = result.result.unwrap_err();
    assert_eq!((error.kind(), error.task_id()), (ErrorKind::Unknown, result.task_id));
    assert!(stream.next().await.is_none());
    let _worker = worker(&ivy).await;
    assert_eq!(error.into_handle(&ONCE).unwrap().result(SOON).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_arrives_before_the_reply_to_its_post_is_in_the_stream_once() {
    let ivy = with_fates([Fate::ResponseLate; 2]);
    let _worker = worker(&ivy).await;
    let mut stream = ivy.call_stream(&DOUBLE, [(4,), (5,)], SOON).window(1);
    assert_eq!(stream.next().await.unwrap().result.unwrap(), 8);
    assert_eq!(stream.next().await.unwrap().result.unwrap(), 10);
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_a_result_from_when_its_call_was_sent() {
    let ivy = with_fates([Fate::ResponseLate]);
    let begun = tokio::time::Instant::now();
    let mut stream = ivy.call_stream(&DOUBLE, [(4,)], SOON);
    let error = stream.next().await.unwrap().result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), SOON.as_secs() + 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_a_handler_for_a_stream_ends_when_its_worker_drains() {
    const OUTER: Task<(), ()> = Task::new("test.outer").queue("test");
    let ivy = with_fates([]);
    let (kinds, mut received) = futures_channel::mpsc::unbounded();
    let outer = move |ctx: crate::Ctx<Tokio>| {
        let kinds = kinds.clone();
        async move {
            let ivy = ctx.ivy().clone();
            let mut stream = ivy.call_stream(&DOUBLE, (0..9).map(|n| (n,)), SOON).window(2);
            while let Some(result) = stream.next().await {
                kinds.unbounded_send(result.result.map_err(|error| error.kind())).unwrap();
            }
            Err::<(), _>(TaskError::later(Duration::from_secs(1)))
        }
    };
    // Its only slot is taken by the handler that waits.
    let worker = ivy.worker().concurrency(1).register(&OUTER, outer);
    let worker = worker.register(&DOUBLE, |n: u64| async move { Ok::<_, TaskError>(2 * n) });
    let worker = worker.start().await.unwrap();
    let mut events = ivy.events();
    ivy.send(&OUTER, ()).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::SlotsWait { slots: 1, .. }) {}
    let begun = tokio::time::Instant::now();
    worker.drain(SOON).await;
    assert!(begun.elapsed() < SOON / 10, "{:?}", begun.elapsed());
    drop(worker);
    for _ in 0..2 {
        assert_eq!(received.next().await, Some(Err(ErrorKind::Draining)));
    }
    assert!(received.try_recv().is_err(), "no more arguments are taken");
}
