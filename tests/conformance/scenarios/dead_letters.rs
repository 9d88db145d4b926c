//! Messages that no worker can handle.

use ivy_proto::QueueName;
use ivy_proto::admin::{Ended, Filter, Requeue, SweepConfig};
use ivy_proto::event::{Event, ReleaseReason};
use ivy_proto::task::TaskError;
use ivy_proto::wire::DeadLetterReason;
use ivy_test_kit::PATIENCE;
use ivy_test_kit::secrets::{ARGUMENT, ENCRYPTION_PASSWORD};
use serde_json::json;

use crate::fixture::Fixture;
use crate::harness::{Builder, Handle, Harness, Job, Worker};
use crate::helpers::{Journal, eventually_eq};
use crate::tasks::{DOUBLE, DOUBLE_OF_TEXT, ECHO, FAIL};

/// A task that has finally failed is stored only in the dead-letter queue, with the reason, the
/// counts and its message.
pub(crate) fn a_finally_failed_task_is_dead_lettered<H: Harness>(fixture: &Fixture<H>) {
    let fail = fixture.own(FAIL);
    let handler = |_, ()| Err(TaskError::new("no luck"));
    let _worker = fixture.worker().register(&fail, handler).start().unwrap();
    fixture.ivy.send(&fail, ()).unwrap();
    eventually_eq(1, || fixture.dead_letters().len());
    let letter = &fixture.dead_letters()[0];
    assert_eq!(letter.reason, DeadLetterReason::RetriesExhausted);
    assert_eq!(letter.error.as_deref(), Some("no luck"));
    assert_eq!(letter.attempts, 3);
    assert_eq!(letter.queue.as_str(), fixture.name);
    assert!(letter.body.as_str().contains(fail.name()), "{}", letter.body.as_str());
    eventually_eq(0, || fixture.size(fixture.name));
}

/// A dead letter that an operator requeues has all its attempts again, and only those that match are
/// requeued. Another sweep finds nothing left.
pub(crate) fn a_requeued_task_has_all_its_attempts_again<H: Harness>(fixture: &Fixture<H>) {
    let (fail, double) = (fixture.own(FAIL), fixture.own(DOUBLE));
    let runs = Journal::new();
    let journal = runs.clone();
    let handler = move |job: Job, ()| {
        journal.write(job.attempt);
        Err(TaskError::new("no luck"))
    };
    let fatal = |_, (_,)| Err(TaskError::fatal("no luck"));
    let worker = fixture.worker().register(&fail, handler).register(&double, fatal);
    let _worker = worker.start().unwrap();
    fixture.ivy.send(&fail, ()).unwrap();
    fixture.ivy.send(&double, (21,)).unwrap();
    eventually_eq(2, || fixture.dead_letters().len());
    assert_eq!(runs.entries(), [1, 2, 3]);
    let dead = QueueName::new(&format!("{}.dead", fixture.name)).unwrap();
    let requeue = |task: &str| {
        let filter = Filter::new().with_task(task.parse().unwrap());
        let config = SweepConfig::requeue(dead.clone(), Requeue::new()).with_filter(filter);
        fixture.ivy.sweep(config).unwrap()
    };
    let report = requeue("*.fail");
    assert_eq!((report.end, report.looked_at, report.posted), (Ended::Done, 2, 1));
    eventually_eq(6, || runs.len());
    assert_eq!(runs.entries()[3..], [1, 2, 3]);
    eventually_eq(2, || fixture.dead_letters().len());
    let letters = fixture.dead_letters();
    let requeued = |name: &str| {
        let letter = letters.iter().find(|letter| letter.body.as_str().contains(name)).unwrap();
        letter.body.as_str().contains("\"requeued\":1")
    };
    assert!(requeued(fail.name()) && !requeued(double.name()));
    assert_eq!(requeue("nonesuch").matched, 0);
}

/// A task whose arguments this version's handler cannot parse is released until a worker of another
/// version accepts it.
pub(crate) fn arguments_of_another_version_wait_for_its_worker<H: Harness>(fixture: &Fixture<H>) {
    let newer = fixture.own(DOUBLE_OF_TEXT);
    let mut watch = fixture.watch();
    let older = fixture.doubling(&fixture.own(DOUBLE));
    let handle = fixture.ivy.call(&newer, (ARGUMENT.text().to_owned(),)).unwrap();
    let mismatch = watch.until(|event| {
        let mismatch = ReleaseReason::Undecided(DeadLetterReason::BadArgs);
        match event {
            Event::Released { reason, detail, .. } if *reason == mismatch => detail.clone(),
            _ => None,
        }
    });
    assert!(mismatch.contains("argument 1"), "{mismatch}");
    assert_eq!(fixture.size(fixture.name), 1);
    older.drain(PATIENCE);
    let _worker = fixture.worker().register(&newer, |_, (_,)| Ok(42)).start().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
}

/// A message that cannot be parsed is dead-lettered byte for byte, and the messages behind it are
/// handled.
pub(crate) fn an_invalid_message_is_dead_lettered_unchanged<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let bodies = [
        ("no JSON { žluťoučký 馬 🐴\t\\", DeadLetterReason::BadJson),
        ("[1,  2]", DeadLetterReason::NotAnObject),
        (r#"{"name":"conformance.double","options":[],"args":[1]}"#, DeadLetterReason::BadOptions),
        (
            r#"{ "name": "conformance.double", "options": {"custom": [1,  2]}, "args": {"0": 2} }"#,
            DeadLetterReason::BadArgs,
        ),
    ];
    for (body, _) in bodies {
        fixture.post(body);
    }
    let _worker = fixture.doubling(&double);
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
    eventually_eq(bodies.len(), || fixture.dead_letters().len());
    let letters = fixture.dead_letters();
    for (body, reason) in bodies {
        let letter = letters.iter().find(|letter| letter.body.as_str() == body);
        assert_eq!(letter.expect(body).reason, reason, "{body}");
    }
    eventually_eq(0, || fixture.size(fixture.name));
}

/// A message of which too many deliveries were lost may be what kills its workers: it is
/// dead-lettered without another run.
pub(crate) fn a_message_that_may_kill_workers_is_dead_lettered<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let options = json!({ "ivy": { "v": 1, "id": "AAAAAAAAAAAAAAAAAAAAAA", "lost": 2 } });
    fixture.post(&json!({ "name": double.name(), "options": options, "args": [666] }).to_string());
    fixture.deliver_without_delete(1);
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let _worker = fixture.worker().max_deliveries(3).register(&double, handler).start().unwrap();
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
    eventually_eq(1, || fixture.dead_letters().len());
    assert_eq!(fixture.dead_letters()[0].reason, DeadLetterReason::TooManyDeliveries);
    assert_eq!(executed.entries(), [21]);
}

/// A long task whose lease was renewed many times and that is interrupted once is run again,
/// however high the queue's count of reservations is.
pub(crate) fn lease_renewals_do_not_count_against_a_task<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    fixture.deliver_without_delete(60);
    let _worker = fixture.doubling(&double);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    eventually_eq(0, || fixture.size(fixture.name));
    assert_eq!(fixture.dead_letters().len(), 0);
}

/// A task whose deadline has passed is dead-lettered without being run.
pub(crate) fn a_task_past_its_deadline_is_dead_lettered<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let options = json!({ "ivy": { "v": 1, "id": "AAAAAAAAAAAAAAAAAAAAAA", "deadline": 1 } });
    let body = json!({ "name": double.name(), "options": options, "args": [1] });
    fixture.post(&body.to_string());
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    eventually_eq(1, || fixture.dead_letters().len());
    assert_eq!(fixture.dead_letters()[0].reason, DeadLetterReason::Deadline);
    assert_eq!(executed.len(), 0);
}

/// A task that the worker does not know is released until a worker that knows it reserves it, and
/// is never deleted.
pub(crate) fn an_unknown_task_waits_for_a_worker_that_knows_it<H: Harness>(fixture: &Fixture<H>) {
    let (double, echo) = (fixture.own(DOUBLE), fixture.own(ECHO));
    let mut watch = fixture.watch();
    let without_handler = fixture.doubling(&double);
    let handle = fixture.ivy.call(&echo, (ARGUMENT.text().to_owned(),)).unwrap();
    watch.until(|event| {
        let unknown = ReleaseReason::Undecided(DeadLetterReason::UnknownTask);
        match event {
            Event::Released { reason, task: Some(task), .. } if *reason == unknown => {
                assert_eq!((task.id, task.name.as_str()), (handle.id(), echo.name()));
                Some(())
            }
            _ => None,
        }
    });
    assert_eq!(fixture.size(fixture.name), 1);
    without_handler.drain(PATIENCE);
    let _with_handler = fixture.worker().register(&echo, |_, (text,)| Ok(text)).start().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), ARGUMENT.text());
    fixture.until_empty();
}

pub(crate) fn a_message_whose_key_is_missing_is_released<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let sealed = fixture
        .at(|config| config.encryption_password = Some(ENCRYPTION_PASSWORD.text().to_owned()));
    sealed.ivy.send(&double, (1,)).unwrap();
    let mut watch = fixture.watch();
    let _worker = fixture.doubling(&double);
    watch.until(|event| {
        let no_key = ReleaseReason::Undecided(DeadLetterReason::NoKey);
        matches!(event, Event::Released { reason, .. } if *reason == no_key).then_some(())
    });
    assert_eq!(fixture.size(fixture.name), 1);
    assert_eq!(fixture.dead_letters(), []);
}
