//! Opens connections, with or without TLS.

use std::io;
use std::net::SocketAddr;

use futures_util::io::{AsyncRead, AsyncWrite};
use ivy_proto::backend::Endpoint;
use ivy_proto::connect::{CONNECT_LIMIT, without_brackets};

use crate::connecting::{connect_first, out_of_time};
use crate::runtime::Runtime;
use crate::timeout::timeout;
use crate::tls::Tls;

/// The byte stream of a connection.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A connection: TCP, or TLS over it.
pub(super) type BoxedStream = Box<dyn ByteStream>;

/// Opens a connection to the first address of the host that accepts, including the TLS handshake,
/// within [`CONNECT_LIMIT`].
///
/// # Errors
/// If it fails, no application data was sent.
pub(super) async fn open<R: Runtime>(
    endpoint: Endpoint,
    tls: Option<Tls>,
) -> io::Result<BoxedStream> {
    let stream = timeout::<R, _>(CONNECT_LIMIT, connect::<R>(&endpoint, tls)).await;
    stream.unwrap_or_else(|| Err(out_of_time()))
}

async fn connect<R: Runtime>(endpoint: &Endpoint, tls: Option<Tls>) -> io::Result<BoxedStream> {
    let Endpoint { host, port, tls: is_secure } = endpoint;
    let addresses = R::resolve(without_brackets(host).to_owned(), *port).await?;
    let connect = |address: SocketAddr| R::connect(address);
    let tcp = connect_first::<R, _, _>(&addresses, CONNECT_LIMIT, connect).await?;
    if !is_secure {
        return Ok(Box::new(tcp));
    }
    let tls = tls.ok_or_else(|| io::Error::other("this backend was made without TLS"))?;
    Ok(Box::new(tls.secure(host, tcp).await?))
}
