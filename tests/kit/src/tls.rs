//! TLS in front of servers that have none, with valid and invalid certificates.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The name of servers whose certificate is valid.
pub const TLS_HOST: &str = "localhost";

/// A certificate authority that no system trusts, and that signs certificates for servers.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The certificate that a server presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For [`TLS_HOST`], signed by the authority.
    Good,
    /// For another host, signed by the authority.
    OfAnotherHost,
    /// Expired.
    Expired,
    /// For [`TLS_HOST`], self-signed.
    SelfSigned,
}

/// A TLS server that forwards the decrypted bytes to a server without TLS, and back. It ends when
/// this is dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    listening: JoinHandle<()>,
}

impl Authority {
    /// Creates an authority.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "ivy tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key());
        Authority { issuer: issuer.expect("good parameters") }
    }

    /// Its own certificate in PEM form, for clients that should trust it.
    #[must_use]
    pub fn root(&self) -> String {
        self.issuer.pem()
    }

    /// Starts a TLS server in front of the server on this port.
    pub async fn front(&self, certificate: Certificate, server: u16) -> TlsFront {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("the loopback interface has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let acceptor = TlsAcceptor::from(Arc::new(self.configuration(certificate)));
        let listening = tokio::spawn(async move {
            // A connection ends with its client, with its server, or here.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        TlsFront { port, listening }
    }

    fn configuration(&self, certificate: Certificate) -> ServerConfig {
        let host = match certificate {
            Certificate::OfAnotherHost => "elsewhere.example",
            _ => TLS_HOST,
        };
        let mut params = CertificateParams::new([host.to_owned()]).expect("a valid name");
        if certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = key();
        let signed = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let chain = vec![signed.expect("good parameters").der().clone()];
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports all TLS versions of rustls")
            .with_no_client_auth()
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("the key belongs to the certificate")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

impl TlsFront {
    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key pair can be generated")
}
