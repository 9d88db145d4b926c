//! Checks of a place: what `Ivy::check` reports of servers that work, refuse, or do not run.

use ivy_proto::check::{CheckFault, CheckReport, Checked};
use ivy_proto::notify::NotifyFaultKind;
use ivy_proto::queue::FaultKind;
use ivy_proto::{Cause, ErrorKind};
use ivy_test_kit::{ClosedPort, PATIENCE};

use crate::fixture::Fixture;
use crate::harness::{Failure, Harness};

/// The report of a check that failed, whose error has this kind.
fn failed<H: Harness>(fixture: &Fixture<H>, kind: ErrorKind) -> CheckReport {
    let error = fixture.ivy.check(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let Cause::Check(report) = error.cause() else { panic!("{error}") };
    (**report).clone()
}

fn works(checked: &Checked) -> bool {
    matches!(checked, Checked::Works { .. })
}

/// Servers that run and accept the credentials pass. The queue that is asked for need not exist, and
/// does not exist afterwards.
pub(crate) fn a_place_that_works_passes<H: Harness>(fixture: &Fixture<H>) {
    let report = fixture.ivy.check(PATIENCE).unwrap();
    assert!(works(&report.queue) && works(&report.notifier), "{report:?}");
    let error = fixture.ivy.info("ivy.check").unwrap_err();
    let Cause::Queue(fault) = error.cause() else { panic!("{error}") };
    assert_eq!(fault.kind(), FaultKind::NoQueue);
}

/// A queue that refuses the credentials is named, with them as the reason.
pub(crate) fn a_queue_that_refuses_the_credentials_is_named<H: Harness>(fixture: &Fixture<H>) {
    let wrong = "Nd4Foreign4Nd";
    let foreign = fixture.at(|config| {
        let (scheme, rest) = config.queue.split_once("://").unwrap();
        let (credentials, address) = rest.split_once('@').unwrap();
        let colon = if credentials.starts_with(':') { ":" } else { "" };
        config.queue = format!("{scheme}://{colon}{wrong}@{address}");
    });
    let report = failed(&foreign, ErrorKind::Queue);
    let Checked::Failed(CheckFault::Queue(fault)) = &report.queue else { panic!("{report:?}") };
    assert_eq!(fault.kind(), FaultKind::Unauthorized, "{fault}");
    let text = report.to_string();
    assert!(text.contains("the queue failed the check") && text.contains("credentials"), "{text}");
    assert!(!format!("{text} {report:?}").contains(wrong), "{report:?}");
}

/// A queue whose server does not run is named as unreachable, with what to check.
pub(crate) fn a_queue_that_is_down_is_named<H: Harness>(fixture: &Fixture<H>) {
    let closed = ClosedPort::take();
    let down = fixture.at(|config| {
        let (port, closed) = (format!(":{}", fixture.queue_port()), closed.number());
        config.queue = config.queue.replace(&port, &format!(":{closed}"));
    });
    let report = failed(&down, ErrorKind::Queue);
    let Checked::Failed(CheckFault::Queue(fault)) = &report.queue else { panic!("{report:?}") };
    assert_eq!(fault.kind(), FaultKind::Unreachable, "{fault}");
    assert!(report.to_string().contains("check the address"), "{report}");
}

/// A notifier that does not run is named, and the queue is not blamed.
pub(crate) fn a_notifier_that_is_down_is_named<H: Harness>(fixture: &Fixture<H>) {
    let closed = ClosedPort::take();
    let url = format!("redis://127.0.0.1:{}", closed.number());
    let down = fixture.at(|config| config.notifier = Some(url));
    let report = failed(&down, ErrorKind::NotifierUnavailable);
    assert!(works(&report.queue), "{report:?}");
    assert_eq!(notifier_fault(&report), NotifyFaultKind::Unreachable);
    assert!(report.to_string().starts_with("the notifier failed the check: "), "{report}");
}

/// A notifier that refuses the credentials is named, with them as the reason.
pub(crate) fn a_notifier_that_refuses_the_credentials_is_named<H: Harness>(fixture: &Fixture<H>) {
    let url = format!("redis://:Nd4Foreign4Nd@127.0.0.1:{}", fixture.redis().port());
    let foreign = fixture.at(|config| config.notifier = Some(url));
    let report = failed(&foreign, ErrorKind::NotifierUnavailable);
    assert!(works(&report.queue), "{report:?}");
    assert_eq!(notifier_fault(&report), NotifyFaultKind::Unauthorized);
}

fn notifier_fault(report: &CheckReport) -> NotifyFaultKind {
    match &report.notifier {
        Checked::Failed(CheckFault::Notifier(fault)) => fault.kind(),
        other => panic!("{other:?}"),
    }
}
