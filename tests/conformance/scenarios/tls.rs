//! Connections over TLS: valid ones, and those that must be refused.

use std::thread;

use ivy_proto::Cause;
use ivy_proto::notify::NotifyFaultKind;
use ivy_proto::producer::SendError;
use ivy_proto::queue::FaultKind;
use ivy_test_kit::{Authority, Certificate, PATIENCE, TLS_HOST, TlsFront};

use crate::fixture::Fixture;
use crate::harness::{Failure, Handle, Harness, HarnessConfig};
use crate::runtime::wait;
use crate::tasks::DOUBLE;

/// Certificates that must not be trusted, each with the reason that the error names.
const BAD: [Certificate; 3] =
    [Certificate::OfAnotherHost, Certificate::Expired, Certificate::SelfSigned];

/// A queue is reached over TLS by a client that trusts its authority.
pub(crate) fn a_queue_over_tls_works<H: Harness>(fixture: &Fixture<H>) {
    let authority = Authority::new();
    let (fixture, _front) = queue_over_tls(fixture, &authority, Certificate::Good, |_| {});
    let double = fixture.own(DOUBLE);
    let _worker = fixture.doubling(&double);
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// Nothing is sent to a queue whose certificate cannot be trusted, and the error names the reason.
pub(crate) fn a_queue_that_cannot_be_trusted_is_refused<H: Harness>(fixture: &Fixture<H>) {
    let authority = Authority::new();
    let refused = |fixture: &Fixture<H>, why: &str| {
        let error = fixture.ivy.info(fixture.name).expect_err(why);
        let Cause::Queue(fault) = error.cause() else { panic!("{why}: {error}") };
        assert_eq!(fault.kind(), FaultKind::Tls, "{why}: {error}");
    };
    for certificate in BAD {
        let (fixture, _front) = queue_over_tls(fixture, &authority, certificate, |_| {});
        refused(&fixture, &format!("{certificate:?}"));
    }
    let distrust = |config: &mut HarnessConfig| config.root_certificates = None;
    let (fixture, _front) = queue_over_tls(fixture, &authority, Certificate::Good, distrust);
    refused(&fixture, "of an unknown authority");
}

/// A notifier is reached over TLS by a client that trusts its authority.
pub(crate) fn a_notifier_over_tls_works<H: Harness>(fixture: &Fixture<H>) {
    let authority = Authority::new();
    let (fixture, _front) = notifier_over_tls(fixture, &authority, Certificate::Good, |_| {});
    let double = fixture.own(DOUBLE);
    let _worker = fixture.doubling(&double);
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// Nothing is sent to a notifier whose certificate cannot be trusted, and the error names the
/// reason.
pub(crate) fn a_notifier_that_cannot_be_trusted_is_refused<H: Harness>(fixture: &Fixture<H>) {
    let authority = Authority::new();
    let refused = |(fixture, _front): (Fixture<H>, TlsFront), why: String| {
        let error = fixture.ivy.call(&fixture.own(DOUBLE), (1,)).expect_err(&why);
        let Cause::Send(SendError::NotifierUnavailable { fault: Some(fault) }) = error.cause()
        else {
            panic!("{why}: {error}")
        };
        assert_eq!(fault.kind(), NotifyFaultKind::Tls, "{why}: {error}");
        assert_eq!(fixture.size(fixture.name), 0, "{why}");
    };
    // Each call waits for its subscription until its timeout.
    thread::scope(|scope| {
        for certificate in BAD {
            let config = notifier_over_tls(fixture, &authority, certificate, |_| {});
            scope.spawn(move || refused(config, format!("{certificate:?}")));
        }
        let distrust = |config: &mut HarnessConfig| config.root_certificates = None;
        let config = notifier_over_tls(fixture, &authority, Certificate::Good, distrust);
        scope.spawn(move || refused(config, "of an unknown authority".to_owned()));
    });
}

fn queue_over_tls<H: Harness>(
    fixture: &Fixture<H>,
    authority: &Authority,
    certificate: Certificate,
    change: impl FnOnce(&mut HarnessConfig),
) -> (Fixture<H>, TlsFront) {
    let front = wait(authority.front(certificate, fixture.queue_port()));
    let fixture = fixture.at(|config| {
        config.queue = fixture.queue_over_tls_at(TLS_HOST, front.port());
        // The queue's own server over TLS would be the notifier as well.
        config.notifier.get_or_insert(fixture.redis().url());
        config.root_certificates = Some(authority.root().into_bytes());
        change(config);
    });
    (fixture, front)
}

fn notifier_over_tls<H: Harness>(
    fixture: &Fixture<H>,
    authority: &Authority,
    certificate: Certificate,
    change: impl FnOnce(&mut HarnessConfig),
) -> (Fixture<H>, TlsFront) {
    let front = wait(authority.front(certificate, fixture.redis().port()));
    let fixture = fixture.at(|config| {
        config.notifier = Some(fixture.redis().tls_url_at(TLS_HOST, front.port()));
        config.root_certificates = Some(authority.root().into_bytes());
        change(config);
    });
    (fixture, front)
}
