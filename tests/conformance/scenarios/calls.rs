//! Calls and their results while nothing fails.

use std::time::{Duration, Instant};

use ivy_proto::event::Event;
use ivy_proto::task::{CallOptions, QueuePlace, ResultSubscription, SendState};
use ivy_proto::wire::{MAX_DEPTH, TraceParent, TraceState};
use ivy_proto::{Cause, ErrorKind};
use ivy_test_kit::PATIENCE;
use ivy_test_kit::secrets::{ARGUMENT, ENCRYPTION_PASSWORD, RESULT, find_leaks};
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::harness::{Builder, Failure, Handle, Harness, Job};
use crate::helpers::{Journal, PanicsOnDrop, eventually, eventually_eq};
use crate::tasks::{DOUBLE, DOUBLE_TO_TEXT, ECHO, ECHO_VALUE, FLOATS, LETTERS, NESTED};

/// The result of a call is the value that the handler returned; it can be requested repeatedly.
pub(crate) fn a_call_returns_its_typed_result<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let _worker = fixture.doubling(&double);
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
}

/// Concurrent calls return in the order of their arguments, and each task runs exactly once.
pub(crate) fn each_of_many_calls_returns_its_own_result<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    let handles = fixture.ivy.call_many(&double, (0..200).map(|n| (n,)));
    for (n, handle) in (0..200).zip(handles) {
        assert_eq!(handle.unwrap().result(PATIENCE).unwrap(), 2 * n);
    }
    fixture.until_empty();
    assert_eq!(executed.len(), 200);
}

/// A result that does not fit the caller's type is a different error from a failure of the task.
pub(crate) fn a_result_of_another_type_is_an_error_of_its_own<H: Harness>(fixture: &Fixture<H>) {
    let served = fixture.own(DOUBLE_TO_TEXT);
    let handler = |_, (_,)| Ok(RESULT.text().to_owned());
    let _worker = fixture.worker().register(&served, handler).start().unwrap();
    let handle = fixture.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap_err().kind(), ErrorKind::BadResult);
    fixture.until_empty();
}

/// If a result is too large for a notice, the caller gets an error and the task is done all the
/// same.
pub(crate) fn a_result_that_is_too_large_is_reported<H: Harness>(fixture: &Fixture<H>) {
    let letters = fixture.own(LETTERS);
    let handler = |_, (length,)| Ok("x".repeat(length));
    let _worker = fixture.worker().register(&letters, handler).start().unwrap();
    let handle = fixture.ivy.call(&letters, (2 << 20,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap_err().kind(), ErrorKind::ResultTooLarge);
    fixture.until_empty();
}

/// A value of the deepest allowed nesting is returned. One level more is refused at the call, and
/// reported to the caller if a handler returns it: nothing is accepted that no peer can parse.
pub(crate) fn a_value_comes_back_or_is_refused_whatever_its_depth<H: Harness>(
    fixture: &Fixture<H>,
) {
    let (echo, nest) = (fixture.own(ECHO_VALUE), fixture.own(NESTED));
    let _worker = fixture
        .worker()
        .register(&echo, |_, (value,)| Ok(value))
        .register(&nest, |_, (levels,)| Ok(nested(levels)))
        .start()
        .unwrap();
    for levels in [0, 1, MAX_DEPTH] {
        let handle = fixture.ivy.call(&echo, (nested(levels),)).unwrap();
        assert_eq!(handle.result(PATIENCE).unwrap(), nested(levels));
        let handle = fixture.ivy.call(&nest, (levels,)).unwrap();
        assert_eq!(handle.result(PATIENCE).unwrap(), nested(levels));
    }
    for levels in [MAX_DEPTH + 1, 10 * MAX_DEPTH] {
        let refused = fixture.ivy.call(&echo, (nested(levels),)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::TooDeep);
        assert_eq!(refused.queue().unwrap().as_str(), fixture.name);
        let refused = fixture.ivy.send(&echo, (nested(levels),)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::TooDeep);
        let refused = fixture.ivy.call_many(&echo, [(nested(levels),)]).remove(0).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::TooDeep);
        let handle = fixture.ivy.call(&nest, (levels,)).unwrap();
        assert_eq!(handle.result(PATIENCE).unwrap_err().kind(), ErrorKind::ResultTooDeep);
    }
    fixture.until_empty();
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!([]), |inside, _| json!([inside]))
}

/// Arguments and results of any length and language arrive undamaged, also encrypted.
pub(crate) fn encrypted_calls_return_their_results<H: Harness>(fixture: &Fixture<H>) {
    let fixture = fixture
        .at(|config| config.encryption_password = Some(ENCRYPTION_PASSWORD.text().to_owned()));
    let echo = fixture.own(ECHO);
    let _worker = fixture.worker().register(&echo, |_, (text,)| Ok(text)).start().unwrap();
    for length in [0, 1, 15, 16, 17, 10_000] {
        let text = format!("{}{} 馬 🐴", "x".repeat(length), ARGUMENT.text());
        let handle = fixture.ivy.call(&echo, (text.clone(),)).unwrap();
        assert_eq!(handle.result(PATIENCE).unwrap(), text);
    }
    fixture.until_empty();
}

/// An encrypted message shows neither its task's name nor its arguments.
pub(crate) fn an_encrypted_message_shows_nothing_of_its_task<H: Harness>(fixture: &Fixture<H>) {
    let fixture = fixture
        .at(|config| config.encryption_password = Some(ENCRYPTION_PASSWORD.text().to_owned()));
    fixture.ivy.send(&fixture.own(ECHO), (ARGUMENT.text().to_owned(),)).unwrap();
    let bodies = fixture.bodies(fixture.name);
    assert_eq!(bodies.len(), 1);
    assert!(find_leaks(&bodies[0]).is_empty() && !bodies[0].contains("echo"), "{bodies:?}");
}

/// A wait that timed out loses nothing: the result can be fetched whenever it arrives.
pub(crate) fn a_result_that_arrives_after_the_timeout_can_still_be_fetched<H: Harness>(
    fixture: &Fixture<H>,
) {
    let double = fixture.own(DOUBLE);
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    let error = handle.result(Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.task_id(), Some(handle.id()));
    assert_eq!(error.queue().unwrap().as_str(), fixture.name);
    let _worker = fixture.doubling(&double);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}

/// The error of a wait that timed out says what is known of the task, and which command to type.
pub(crate) fn a_timeout_says_what_is_known_and_what_to_look_at<H: Harness>(fixture: &Fixture<H>) {
    let handle = fixture.ivy.call(&fixture.own(DOUBLE), (21,)).unwrap();
    let error = handle.result(Duration::from_millis(100)).unwrap_err();
    let Cause::TimedOut(known) = error.cause() else { panic!("{error}") };
    assert!(matches!(known.sending(), SendState::Sent { .. }), "{known:?}");
    assert_eq!(known.subscription(), ResultSubscription::Up);
    let command = format!("ivy explain {} --task {}", fixture.name, handle.id());
    let expected: &str = match known.place() {
        QueuePlace::Memory { .. } => "use a clone of one Ivy for both",
        _ => &command,
    };
    assert!(error.to_string().contains(expected), "{error}");
}

/// Dropping the handle forgets the result, not the task.
pub(crate) fn a_dropped_handle_forgets_the_result_and_not_the_task<H: Harness>(
    fixture: &Fixture<H>,
) {
    let double = fixture.own(DOUBLE);
    let mut watch = fixture.watch();
    drop(fixture.ivy.call(&double, (1,)).unwrap());
    let _worker = fixture.doubling(&double);
    watch.until(|event| matches!(event, Event::Acknowledged { .. }).then_some(()));
    // Anything that still arrives for the first arrives before the second's result.
    let handle = fixture.ivy.call(&double, (2,)).unwrap();
    handle.result(PATIENCE).unwrap();
    assert_eq!(watch.resumed_until(handle.id()), [handle.id()]);
}

pub(crate) fn a_send_runs_its_task<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let executed = Journal::new();
    let journal = executed.clone();
    let id = fixture.ivy.send(&double, (1,)).unwrap();
    let handler = move |job: Job, (n,)| {
        journal.write(job.task_id);
        Ok(2 * n)
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    fixture.until_empty();
    assert_eq!(executed.entries(), [id]);
}

/// A registered callback is called with arguments and result of every call and send of its task.
pub(crate) fn a_callback_gets_arguments_and_results<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let results = Journal::new();
    let journal = results.clone();
    let callback = move |(n,), result: Result<u64, H::Error>| journal.write((n, result.ok()));
    fixture.ivy.on_result(&double, callback).unwrap();
    let _worker = fixture.doubling(&double);
    fixture.ivy.send(&double, (1,)).unwrap();
    let handle = fixture.ivy.call(&double, (2,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 4);
    eventually_eq(2, || results.len());
    let mut entries = results.entries();
    entries.sort_unstable();
    assert_eq!(entries, [(1, Some(2)), (2, Some(4))]);
}

/// The handler, the caller and the callback receive the floats that were sent, bit by bit.
pub(crate) fn floats_keep_all_their_bits<H: Harness>(fixture: &Fixture<H>) {
    let sent = vec![
        117.633_313_941_400_17,
        0.921_568_632_125_863_4,
        1.577_777_777_777_000_1,
        0.091_443_385_120_928_87,
        9_007_199_254_740_991.0 / 7.0,
        5e-324,
        f64::MAX,
        -0.0,
    ];
    let bits = |floats: &[f64]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
    let floats = fixture.own(FLOATS);
    let (handled, called_back) = (Journal::new(), Journal::new());
    let journal = called_back.clone();
    let callback = move |(args,): (Vec<f64>,), result: Result<Vec<f64>, H::Error>| {
        journal.write([bits(&args), bits(&result.unwrap_or_default())]);
    };
    fixture.ivy.on_result(&floats, callback).unwrap();
    let journal = handled.clone();
    let handler = move |_, (floats,): (Vec<f64>,)| {
        journal.write(bits(&floats));
        Ok(floats)
    };
    let _worker = fixture.worker().register(&floats, handler).start().unwrap();
    let handle = fixture.ivy.call(&floats, (sent.clone(),)).unwrap();
    assert_eq!(bits(&handle.result(PATIENCE).unwrap()), bits(&sent));
    assert_eq!(handled.entries(), [bits(&sent)]);
    eventually_eq(1, || called_back.len());
    assert_eq!(called_back.entries(), [[bits(&sent), bits(&sent)]]);
}

/// A registered callback that panics is still called for the next result.
pub(crate) fn a_panic_in_a_callback_harms_no_other_result<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let results = Journal::new();
    let journal = results.clone();
    let callback = move |(n,), _: Result<u64, H::Error>| {
        journal.write(n);
        std::panic::panic_any(PanicsOnDrop);
    };
    fixture.ivy.on_result(&double, callback).unwrap();
    let _worker = fixture.doubling(&double);
    for n in 1..=20_u64 {
        fixture.ivy.call(&double, (n,)).unwrap().result(PATIENCE).unwrap();
    }
    eventually_eq(20, || results.len());
}

pub(crate) fn a_delayed_task_is_not_run_early<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let _worker = fixture.doubling(&double);
    let delay = Duration::from_secs(2);
    let begun = Instant::now();
    let options = CallOptions::new().delay(delay);
    let handle = fixture.ivy.call_with(&double, (1,), options).unwrap();
    handle.result(PATIENCE).unwrap();
    assert!(begun.elapsed() >= delay, "after {:?}", begun.elapsed());
}

/// A message that would be too large is refused before anything is sent.
pub(crate) fn a_call_that_is_too_large_is_not_sent<H: Harness>(fixture: &Fixture<H>) {
    let echo = fixture.own(ECHO);
    let error = fixture.ivy.call(&echo, ("x".repeat(300 << 10),)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(fixture.size(fixture.name), 0);
}

/// More calls than may wait to be sent at a time wait for room, and none is refused.
pub(crate) fn more_calls_than_the_outbox_has_room_for_are_all_sent<H: Harness>(
    fixture: &Fixture<H>,
) {
    const MANY: u64 = 12_000;
    let double = fixture.own(DOUBLE);
    let handles = fixture.ivy.call_many(&double, (0..MANY).map(|n| (n,)));
    let refused: Vec<_> = handles.iter().filter_map(|call| call.as_ref().err()).collect();
    assert!(refused.is_empty(), "{:?}", refused.first());
    assert_eq!(handles.len() as u64, MANY);
    assert_eq!(fixture.size(fixture.name), MANY);
}

/// Several producers share queues and channels, and each gets its own results only.
pub(crate) fn two_producers_get_only_their_own_results<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let other = fixture.at(|_| {});
    let (mut watch, mut other_watch) = (fixture.watch(), other.watch());
    let _worker = fixture.at(|_| {}).doubling(&double);
    let handles = fixture.ivy.call_many(&double, (0..20).map(|n| (n,)));
    let other_handles = other.ivy.call_many(&double, (100..120).map(|n| (n,)));
    let (mut ids, mut other_ids) = (Vec::new(), Vec::new());
    for (n, handle) in (0..20).zip(handles) {
        let handle = handle.unwrap();
        assert_eq!(handle.result(PATIENCE).unwrap(), 2 * n);
        ids.push(handle.id());
    }
    for (n, handle) in (100..120).zip(other_handles) {
        let handle = handle.unwrap();
        assert_eq!(handle.result(PATIENCE).unwrap(), 2 * n);
        other_ids.push(handle.id());
    }
    let resumed = |event: &Event| match event {
        Event::CallerResumed { task, .. } => Some(task.id),
        _ => None,
    };
    for (watch, mut ids) in [(&mut watch, ids), (&mut other_watch, other_ids)] {
        ids.sort_unstable();
        eventually("all results have come", || watch.all(resumed).len() >= ids.len());
        let mut resumed = watch.all(resumed);
        resumed.sort_unstable();
        assert_eq!(resumed, ids);
    }
}

/// A trace context travels from the caller to the handler, including the entries of tracing
/// systems.
pub(crate) fn the_callers_trace_context_reaches_the_handler<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let seen = Journal::new();
    let journal = seen.clone();
    let handler = move |job: Job, (n,)| {
        journal.write((job.trace, job.tracestate));
        Ok(2 * n)
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    let trace = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let state = TraceState::parse("congo=\"t61rcWkgMzE\",rojo=00f067aa0ba902b7");
    let traced =
        CallOptions::new().trace(trace.clone().unwrap()).tracestate(state.clone().unwrap());
    for options in [traced, CallOptions::new()] {
        let handle = fixture.ivy.call_with(&double, (21,), options).unwrap();
        assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    }
    fixture.until_empty();
    assert_eq!(seen.entries(), [(trace, state), (None, None)]);
}
