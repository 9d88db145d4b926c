//! Memories that several Ivys share by name.

use std::time::Duration;

use super::{DOUBLE, SOON, doubling};
use crate::adapter::ivy_proto::task::QueuePlace;
use crate::adapter::{CallOptions, ErrorKind, Ivy, wait};
use crate::time::{MOMENT, now};

fn named(name: &str) -> Ivy {
    let url = format!("memory://{name}");
    Ivy::builder().queue_url(&url).notifier_url(&url).build().unwrap()
}

#[test]
fn ivys_of_one_name_share_tasks_and_results() {
    let (producer, worker) = (named("shared.calls"), named("Shared.calls"));
    let _worker = doubling(&worker);
    let handle = wait(producer.call(&DOUBLE, (21,))).unwrap();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 42);
}

#[test]
fn a_delay_passes_in_a_shared_memory() {
    let (producer, worker) = (named("shared.delay"), named("shared.delay"));
    let _worker = doubling(&worker);
    let (begun, delay) = (now(), Duration::from_secs(1));
    let options = CallOptions::new().delay(delay);
    let handle = wait(producer.call_with(&DOUBLE, (1,), options)).unwrap();
    wait(handle.result(SOON)).unwrap();
    assert!(now() - begun >= delay);
}

#[test]
fn memories_of_other_names_are_separate() {
    let (producer, other) = (named("shared.one"), named("shared.other"));
    let _elsewhere = doubling(&other);
    let handle = wait(producer.call(&DOUBLE, (1,))).unwrap();
    let error = wait(handle.result(MOMENT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let place = error.timed_out().unwrap().place();
    assert_eq!(place, QueuePlace::SharedMemory { is_served: false });
    assert!(!error.to_string().contains("clone"), "{error}");
    let _worker = doubling(&named("shared.one"));
    assert_eq!(wait(handle.result(SOON)).unwrap(), 2);
}

#[test]
fn a_memory_is_forgotten_with_its_last_ivy() {
    wait(named("shared.forgotten").admin().create("kept")).unwrap();
    assert!(wait(named("shared.forgotten").admin().list("")).unwrap().is_empty());
    let keeper = named("shared.forgotten");
    assert!(wait(keeper.admin().list("")).unwrap().is_empty());
    wait(named("shared.forgotten").admin().create("kept")).unwrap();
    assert_eq!(wait(keeper.admin().list("")).unwrap().len(), 1);
}
