//! Connections over TLS: good ones, and those that must not be made.

use std::thread;

use ivy_proto::Cause;
use ivy_proto::notify::NotifyFaultKind;
use ivy_proto::producer::SendError;
use ivy_proto::queue::FaultKind;
use ivy_test_kit::{Authority, Certificate, PATIENCE, TLS_HOST, TlsFront};

use crate::harness::{Failure, Handle, Harness, Place};
use crate::runtime::wait;
use crate::stage::Stage;
use crate::tasks::DOUBLE;

/// Certificates that are not to be trusted, and what the client is told of them, if not the
/// authority.
const BAD: [Certificate; 3] =
    [Certificate::OfAnotherHost, Certificate::Expired, Certificate::SelfSigned];

/// A queue is reached over TLS by whoever trusts its authority.
pub(crate) fn a_queue_over_tls_works<H: Harness>(stage: &Stage<H>) {
    let authority = Authority::new();
    let (stage, _front) = queue_over_tls(stage, &authority, Certificate::Good, |_| {});
    let double = stage.own(DOUBLE);
    let _worker = stage.doubling(&double);
    assert_eq!(stage.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// A queue whose certificate cannot be trusted is not talked to, which is told as what it is.
pub(crate) fn h27_a_queue_that_cannot_be_trusted_is_refused<H: Harness>(stage: &Stage<H>) {
    let authority = Authority::new();
    let refused = |stage: &Stage<H>, why: &str| {
        let error = stage.ivy.info(stage.name).expect_err(why);
        let Cause::Queue(fault) = error.cause() else { panic!("{why}: {error}") };
        assert_eq!(fault.kind(), FaultKind::Tls, "{why}: {error}");
    };
    for certificate in BAD {
        let (stage, _front) = queue_over_tls(stage, &authority, certificate, |_| {});
        refused(&stage, &format!("{certificate:?}"));
    }
    let distrust = |place: &mut Place| place.root_certificates = None;
    let (stage, _front) = queue_over_tls(stage, &authority, Certificate::Good, distrust);
    refused(&stage, "of an unknown authority");
}

/// A notifier is reached over TLS by whoever trusts its authority.
pub(crate) fn a_notifier_over_tls_works<H: Harness>(stage: &Stage<H>) {
    let authority = Authority::new();
    let (stage, _front) = notifier_over_tls(stage, &authority, Certificate::Good, |_| {});
    let double = stage.own(DOUBLE);
    let _worker = stage.doubling(&double);
    assert_eq!(stage.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// A notifier whose certificate cannot be trusted is not talked to, which is told as what it is;
/// nothing is sent.
pub(crate) fn a_notifier_that_cannot_be_trusted_is_refused<H: Harness>(stage: &Stage<H>) {
    let authority = Authority::new();
    let refused = |(stage, _front): (Stage<H>, TlsFront), why: String| {
        let error = stage.ivy.call(&stage.own(DOUBLE), (1,)).expect_err(&why);
        let Cause::Send(SendError::NotifierUnavailable { fault: Some(fault) }) = error.cause()
        else {
            panic!("{why}: {error}")
        };
        assert_eq!(fault.kind(), NotifyFaultKind::Tls, "{why}: {error}");
        assert_eq!(stage.posted(stage.name), 0, "{why}");
    };
    // Each call waits for its subscription until it is given up.
    thread::scope(|scope| {
        for certificate in BAD {
            let place = notifier_over_tls(stage, &authority, certificate, |_| {});
            scope.spawn(move || refused(place, format!("{certificate:?}")));
        }
        let distrust = |place: &mut Place| place.root_certificates = None;
        let place = notifier_over_tls(stage, &authority, Certificate::Good, distrust);
        scope.spawn(move || refused(place, "of an unknown authority".to_owned()));
    });
}

fn queue_over_tls<H: Harness>(
    stage: &Stage<H>,
    authority: &Authority,
    certificate: Certificate,
    change: impl FnOnce(&mut Place),
) -> (Stage<H>, TlsFront) {
    let front = wait(authority.front(certificate, stage.ironmq().port()));
    let stage = stage.at(|place| {
        place.queue = stage.ironmq().tls_url_at(TLS_HOST, front.port());
        place.root_certificates = Some(authority.root().into_bytes());
        change(place);
    });
    (stage, front)
}

fn notifier_over_tls<H: Harness>(
    stage: &Stage<H>,
    authority: &Authority,
    certificate: Certificate,
    change: impl FnOnce(&mut Place),
) -> (Stage<H>, TlsFront) {
    let front = wait(authority.front(certificate, stage.redis().port()));
    let stage = stage.at(|place| {
        place.notifier = stage.redis().tls_url_at(TLS_HOST, front.port());
        place.root_certificates = Some(authority.root().into_bytes());
        change(place);
    });
    (stage, front)
}
