//! Which queues are served, how they are inspected, and which events are emitted.

use super::{DOUBLE, SOON, doubling, ivy, worker};
use crate::adapter::{CallOptions, Content, ErrorKind, QueueName, wait};
use crate::receiving::next_event;

#[test]
fn routes_and_priorities_are_served_by_workers_that_name_them() {
    let ivy = ivy();
    let worker = wait(worker(&ivy).route("fast").priorities([3]).start()).unwrap();
    for options in [
        CallOptions::new().route("fast"),
        CallOptions::new().priority(3),
        CallOptions::new().route("fast").priority(3),
    ] {
        let handle = wait(ivy.call_with(&DOUBLE, (1,), options)).unwrap();
        assert_eq!(wait(handle.result(SOON)).unwrap(), 2);
    }
    wait(worker.drain(SOON));
    let mut queues = wait(ivy.admin().list("")).unwrap();
    queues.retain(|queue| !queue.as_str().ends_with(".dead"));
    let names: Vec<_> = queues.iter().map(QueueName::as_str).collect();
    assert_eq!(names, ["fast", "fast.p3", "test", "test.p3"]);
}

#[test]
fn peeking_shows_waiting_messages_and_clearing_removes_them() {
    let ivy = ivy();
    let id = wait(ivy.send(&DOUBLE, (7,))).unwrap();
    let admin = ivy.admin();
    let [waiting] = &wait(admin.peek("test", 10)).unwrap()[..] else { panic!() };
    let Content::Task(envelope) = &waiting.content else { panic!("{waiting:?}") };
    assert_eq!((envelope.name.as_str(), envelope.args.as_str()), ("test.double", "[7]"));
    assert_eq!(envelope.options.ivy().unwrap().id, id);
    assert!(!format!("{waiting:?}").contains("[7]"));
    wait(admin.clear("test")).unwrap();
    assert!(wait(admin.peek("test", 10)).unwrap().is_empty());
}

#[test]
fn a_failed_peek_names_the_queue() {
    let admin = ivy().admin();
    let error = wait(admin.info("nonesuch")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Queue);
    assert_eq!(error.queue().map(QueueName::as_str), Some("nonesuch"));
    assert!(error.to_string().starts_with("queue nonesuch: "), "{error}");
    assert_eq!(wait(admin.clear("nonesuch")).unwrap_err().kind(), ErrorKind::Queue);
    let error = wait(admin.peek("nonesuch", 101)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("1 to 100"), "{error}");
}

#[test]
fn events_cover_a_task_from_the_call_to_the_result() {
    let ivy = ivy();
    let mut events = ivy.events();
    let worker = doubling(&ivy);
    wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap();
    wait(worker.drain(SOON));
    drop((ivy, worker));
    let events = std::iter::from_fn(|| next_event(&mut events));
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
