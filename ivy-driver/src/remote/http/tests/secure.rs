//! TLS: which certificates the client trusts.

use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use futures_util::AsyncWriteExt as _;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::compat::TokioAsyncReadCompatExt;

use super::*;
use crate::tls::OwnRoots;

/// A self-signed certificate for `localhost`.
const CERTIFICATE: &[u8] = include_bytes!("../../../tls/localhost.crt");
const KEY: &[u8] = include_bytes!("../../../tls/localhost.key");

/// The server's side of a connection to a server with that certificate.
fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A client that trusts the certificate.
fn trusting() -> Hyper<Tokio> {
    Hyper::new(Some(OwnRoots::from_pem(CERTIFICATE).unwrap().with_public_roots().unwrap()))
}

/// A client that does not trust it.
fn distrusting() -> Hyper<Tokio> {
    Hyper::new(Some(OwnRoots::default().with_public_roots().unwrap()))
}

/// A TLS server with a self-signed certificate for `localhost`.
async fn secure_server() -> u16 {
    let acceptor = acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream.compat()).await {
                let _ = stream.write_all(GOOD).await;
                let _ = stream.close().await;
            }
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let port = secure_server().await;
    let request = get(&format!("https://localhost:{port}/"));
    let fault = distrusting().send(request).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Tls, "{fault}");
}

#[tokio::test]
async fn a_certificate_of_an_added_authority_is_accepted_for_its_host_only() {
    let port = secure_server().await;
    let client = trusting();
    let right = client.send(get(&format!("https://localhost:{port}/"))).await;
    assert_eq!(right.unwrap().status(), 200);
    let wrong = client.send(get(&format!("https://127.0.0.1:{port}/"))).await;
    assert_eq!(wrong.unwrap_err().kind(), FaultKind::Tls);
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let request = get(&address.replace("http:", "https:"));
    let fault = distrusting().send(request).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Tls);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_the_handshake_is_unreachable() {
    let (listener, address) = listen().await;
    let request = get(&address.replace("http:", "https:"));
    let fault = distrusting().send(request).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unreachable);
    drop(listener);
}
