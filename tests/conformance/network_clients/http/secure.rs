//! TLS: which servers the client trusts.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ivy_driver::{HttpClient, Runtime, Tls};
use ivy_proto::queue::FaultKind;
use ivy_test_kit::{Authority, Certificate, TlsFront};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::fixture::{Server, get, respond, runtime, send};

/// A server with a certificate for `localhost`, and its authority.
struct SecureServer {
    server: Server,
    front: TlsFront,
    authority: Authority,
}

impl SecureServer {
    fn start() -> Self {
        let (server, authority) = (Server::start(), Authority::new());
        let front = runtime().block_on(authority.front(Certificate::Good, server.port()));
        SecureServer { server, front, authority }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.front.port())
    }

    /// A client that trusts the server's authority.
    fn trusting<R: Runtime>(&self) -> Box<dyn HttpClient> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.root().as_bytes()).unwrap();
        roots.add(root).unwrap();
        trusting::<R>(roots)
    }
}

fn distrusting<R: Runtime>() -> Box<dyn HttpClient> {
    trusting::<R>(RootCertStore::empty())
}

fn trusting<R: Runtime>(roots: RootCertStore) -> Box<dyn HttpClient> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    R::http(Some(Tls::new(config))).unwrap()
}

pub(super) fn a_certificate_of_an_unknown_authority_is_refused<R: Runtime>() {
    let server = SecureServer::start();
    let fault = send::<R>(&*distrusting::<R>(), get(&server.url("localhost"))).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Tls, "{fault}");
}

pub(super) fn a_certificate_of_an_added_authority_is_accepted_for_its_host_only<R: Runtime>() {
    let secure = SecureServer::start();
    let client = secure.trusting::<R>();
    let (right, wrong) = (secure.url("localhost"), secure.url("127.0.0.1"));
    thread::spawn(move || respond(&mut secure.server.accept()));
    let right = send::<R>(&*client, get(&right)).unwrap();
    assert_eq!((right.status().as_u16(), right.body().len()), (200, 13));
    let wrong = send::<R>(&*client, get(&wrong)).unwrap_err();
    assert_eq!(wrong.kind(), FaultKind::Tls, "{wrong}");
}

pub(super) fn a_secure_connection_is_reused<R: Runtime>() {
    let secure = SecureServer::start();
    let (client, url) = (secure.trusting::<R>(), secure.url("localhost"));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = secure.server.accept();
            for _ in 0..3 {
                respond(&mut stream);
            }
        });
        for _ in 0..3 {
            assert!(send::<R>(&*client, get(&url)).is_ok());
        }
    });
}

pub(super) fn a_server_without_tls_is_refused<R: Runtime>() {
    let server = Server::start();
    let url = server.url().replace("http:", "https:");
    thread::spawn(move || {
        server.accept().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let fault = send::<R>(&*distrusting::<R>(), get(&url)).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Tls, "{fault}");
}

pub(super) fn a_server_that_ignores_the_handshake_is_unreachable<R: Runtime>() {
    let server = Server::start();
    let request = get(&server.url().replace("http:", "https:"));
    let request = request.with_time_limit(Duration::from_millis(200));
    let fault = send::<R>(&*distrusting::<R>(), request).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unreachable, "{fault}");
}
