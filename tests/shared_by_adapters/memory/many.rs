//! Many calls at once, and streams of their results.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{DOUBLE, SOON, doubling, ivy, wait_for, worker};
use crate::adapter::{
    CallOptions, CallStream, Ctx, ErrorKind, Event, StreamedResult, Task, TaskError, handler, wait,
};
use crate::receiving::{awaited, recv, recv_in_handler};
use crate::time::{MOMENT, assert_lasted, now};

/// More calls than may wait to be sent at a time.
const MANY: u64 = 25_000;
/// A task that waits for a signal if its number is not zero.
const GATED: Task<(u64,), u64> = Task::new("test.gated").queue("test");

/// The numbers up to this one as arguments, and how many of them were taken.
fn numbers(count: u64) -> (impl Iterator<Item = (u64,)> + Send, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let numbers = (0..count).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (numbers.map(|n| (n,)), taken)
}

/// The rest of a stream.
fn rest(stream: &mut CallStream<'_, u64>) -> Vec<StreamedResult<u64>> {
    let mut results = Vec::new();
    while let Some(result) = wait(stream.next()) {
        results.push(result);
    }
    assert!(wait(stream.next()).is_none(), "the end stays the end");
    results
}

fn indices(results: &[StreamedResult<u64>]) -> Vec<usize> {
    results.iter().map(|result| result.index).collect()
}

#[test]
fn more_calls_than_the_outbox_has_room_for_wait_and_their_handles_are_in_order() {
    let ivy = ivy();
    let (ran, runs) = async_channel::unbounded();
    let gated = handler!([ran], |ctx: Ctx, n: u64| {
        ran.try_send((n, ctx.task_id())).unwrap();
        Ok::<_, TaskError>(n)
    });
    let _worker = wait(worker(&ivy).concurrency(100).register(&GATED, gated).start()).unwrap();
    let handles = wait(ivy.call_many(&GATED, (0..MANY).map(|n| (n,))));
    let called: Vec<_> = (0..).zip(handles).map(|(n, call)| (n, call.unwrap().id())).collect();
    let mut ran: Vec<_> = (0..MANY).map(|_| recv(&runs)).collect();
    ran.sort_unstable();
    assert!(called == ran, "a handle is not that of its arguments");
}

#[test]
fn more_sends_than_the_outbox_has_room_for_are_all_stored() {
    let ivy = ivy();
    let sent = wait(ivy.send_many(&DOUBLE, (0..MANY).map(|n| (n,))));
    let ids: BTreeSet<_> = sent.into_iter().map(|id| id.unwrap()).collect();
    assert_eq!(ids.len() as u64, MANY);
    assert_eq!(wait(ivy.admin().info("test")).unwrap().size, Some(MANY));
}

#[test]
fn each_of_many_calls_has_its_own_options() {
    let ivy = ivy();
    let calls = |count: u64| {
        (0..count).map(|n| match n {
            0 => ((n,), CallOptions::new().route("elsewhere")),
            1 => ((n,), CallOptions::new().priority(10)),
            _ => ((n,), CallOptions::new()),
        })
    };
    let called = wait(ivy.call_many_with(&DOUBLE, calls(5)));
    let sent = wait(ivy.send_many_with(&DOUBLE, calls(5)));
    let refused = called[1].as_ref().err().map(|error| error.kind());
    assert_eq!((refused, sent[1].is_err()), (Some(ErrorKind::Config), true));
    let size = |queue: &str| wait(ivy.admin().info(queue)).unwrap().size;
    assert_eq!((size("test"), size("elsewhere")), (Some(6), Some(2)));
}

#[test]
fn a_stream_returns_each_result_with_the_index_of_its_arguments_and_the_id_of_its_task() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let mut stream = ivy.call_stream(&DOUBLE, (0..2_500).map(|n| (n,)), SOON);
    let (mut indices, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for StreamedResult { index, task_id, result, .. } in rest(&mut stream) {
        assert_eq!(result.unwrap(), 2 * index as u64);
        indices.insert(index);
        ids.insert(task_id.unwrap());
    }
    assert_eq!(indices, (0..2_500).collect());
    assert_eq!(ids.len(), 2_500);
    assert_eq!((stream.sent(), stream.finished(), stream.outstanding()), (2_500, 2_500, 0));
}

#[test]
fn a_stream_without_arguments_ends() {
    let ivy = ivy();
    assert!(rest(&mut ivy.call_stream(&DOUBLE, [], SOON)).is_empty());
}

#[test]
fn results_are_returned_in_the_order_in_which_they_arrive() {
    let ivy = ivy();
    let (end, ends) = async_channel::unbounded();
    let gated = handler!([ends], |ctx: Ctx, n: u64| {
        if n == 0 {
            awaited!(recv_in_handler(&ctx, &ends))?;
        }
        Ok::<_, TaskError>(n)
    });
    let _worker = wait(worker(&ivy).concurrency(5).register(&GATED, gated).start()).unwrap();
    let mut stream = ivy.call_stream(&GATED, (0..5).map(|n| (n,)), SOON);
    let mut others: Vec<_> = (0..4).map(|_| wait(stream.next()).unwrap().index).collect();
    others.sort_unstable();
    assert_eq!(others, [1, 2, 3, 4]);
    end.try_send(()).unwrap();
    assert_eq!(indices(&rest(&mut stream)), [0]);
}

#[test]
fn never_more_calls_than_the_window_are_outstanding() {
    const WINDOW: usize = 7;
    let ivy = ivy();
    let (begun, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, counts) = (most.clone(), (begun.clone(), finished.clone()));
    let gated = handler!([seen, counts], |n: u64| {
        let (begun, finished) = &counts;
        let outstanding =
            begun.fetch_add(1, Ordering::SeqCst) + 1 - finished.load(Ordering::SeqCst);
        seen.fetch_max(outstanding, Ordering::SeqCst);
        Ok::<_, TaskError>(n)
    });
    let _worker = wait(worker(&ivy).concurrency(50).register(&GATED, gated).start()).unwrap();
    let (arguments, taken) = numbers(200);
    let mut stream = ivy.call_stream(&GATED, arguments, SOON).window(WINDOW);
    while let Some(result) = wait(stream.next()) {
        result.result.unwrap();
        assert!(taken.load(Ordering::SeqCst) <= finished.load(Ordering::SeqCst) + WINDOW);
        assert!(stream.outstanding() < WINDOW);
        finished.fetch_add(1, Ordering::SeqCst);
    }
    assert_eq!(finished.load(Ordering::SeqCst), 200);
    assert!(most.load(Ordering::SeqCst) <= WINDOW, "{most:?}");
}

#[test]
fn a_failure_is_a_result_and_the_stream_goes_on() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let arguments = [1, u64::MAX, 3].map(|n| (n,));
    let mut results = rest(&mut ivy.call_stream(&DOUBLE, arguments, SOON).window(2));
    results.sort_by_key(|result| result.index);
    let values: Vec<_> = results.iter().map(|result| result.result.as_ref().ok()).collect();
    assert_eq!(values, [Some(&2), None, Some(&6)]);
    let error = results[1].result.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!((error.task_id(), error.failure().unwrap().attempts), (results[1].task_id, 1));
}

#[test]
fn a_call_that_cannot_be_made_is_a_result_and_the_stream_goes_on() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let calls = [10, 0, 10].map(|priority| ((4,), CallOptions::new().priority(priority)));
    let mut results = rest(&mut ivy.call_stream_with(&DOUBLE, calls, SOON).window(1));
    results.sort_by_key(|result| result.index);
    let kinds: Vec<_> =
        results.iter().map(|result| result.result.as_ref().map_err(|error| error.kind())).collect();
    assert_eq!(kinds, [Err(ErrorKind::Config), Ok(&8), Err(ErrorKind::Config)]);
}

#[test]
fn a_result_that_does_not_arrive_in_time_makes_room_for_the_next_call() {
    let ivy = ivy();
    let mut stream = ivy.call_stream(&DOUBLE, (0..3).map(|n| (n,)), MOMENT).window(2);
    let begun = now();
    for (waits, index) in [(1, 0), (1, 1), (2, 2)] {
        let result = wait(stream.next()).unwrap();
        let error = result.result.unwrap_err();
        assert_eq!((result.index, error.kind()), (index, ErrorKind::TimedOut));
        assert_eq!(error.timed_out().unwrap().after(), MOMENT);
        assert_lasted(begun, MOMENT * waits);
    }
    assert!(wait(stream.next()).is_none());
}

#[test]
fn a_stopped_stream_takes_no_more_arguments_and_returns_the_outstanding_results() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let (arguments, taken) = numbers(1_000);
    let mut stream = ivy.call_stream(&DOUBLE, arguments, SOON).window(20);
    for _ in 0..30 {
        wait(stream.next()).unwrap().result.unwrap();
    }
    stream.stop();
    let sent = stream.sent();
    assert!((30..50).contains(&sent), "{sent}");
    assert_eq!(rest(&mut stream).len(), sent - 30);
    assert_eq!((stream.sent(), taken.load(Ordering::SeqCst)), (sent, sent));
}

#[test]
fn a_dropped_stream_takes_no_more_arguments_and_the_tasks_of_those_it_has_taken_run() {
    let ivy = ivy();
    let (begins, begun) = async_channel::unbounded();
    let (end, ends) = async_channel::unbounded::<()>();
    let gated = handler!([begins, ends], |ctx: Ctx, n: u64| {
        begins.try_send(n).unwrap();
        if n > 0 {
            awaited!(recv_in_handler(&ctx, &ends))?;
        }
        Ok::<_, TaskError>(n)
    });
    let mut events = ivy.events();
    let _worker = wait(worker(&ivy).concurrency(9).register(&GATED, gated).start()).unwrap();
    let (arguments, taken) = numbers(100);
    let mut stream = ivy.call_stream(&GATED, arguments, SOON).window(5);
    assert_eq!(wait(stream.next()).unwrap().index, 0);
    let sent = stream.sent();
    drop(stream);
    for _ in 1..sent {
        end.try_send(()).unwrap();
    }
    let mut ran: Vec<_> = (0..sent).map(|_| recv(&begun)).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..sent as u64).collect::<Vec<_>>());
    for _ in 0..sent {
        wait_for(&mut events, |event| matches!(event, Event::Acknowledged { .. }));
    }
    assert_eq!(taken.load(Ordering::SeqCst), sent);
    assert_eq!(wait(ivy.admin().info("test")).unwrap().size, Some(0));
}

#[test]
fn two_streams_share_an_ivy_and_each_gets_its_own_results() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let mut one = ivy.call_stream(&DOUBLE, (0..300).map(|n| (n,)), SOON).window(10);
    let mut other = ivy.call_stream(&DOUBLE, (1_000..1_300).map(|n| (n,)), SOON).window(10);
    for _ in 0..300 {
        for (stream, first) in [(&mut one, 0), (&mut other, 1_000)] {
            let result = wait(stream.next()).unwrap();
            assert_eq!(result.result.unwrap(), 2 * (first + result.index as u64));
        }
    }
    assert!(wait(one.next()).is_none() && wait(other.next()).is_none());
}
