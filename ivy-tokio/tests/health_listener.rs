//! The health listener, with clients that do not read large responses.

use std::future::pending;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use ivy_driver::internal::{HealthListener, Pages, serve};
use ivy_proto::health::http::{Page, Response, Status};
use ivy_tokio::Tokio;
use tokio::net::TcpSocket;

/// More than the buffers of both sides of a connection take.
const LARGE: usize = 16 << 20;

struct LargeMetrics;

impl Pages for LargeMetrics {
    async fn page(&self, page: Page) -> Response {
        match page {
            Page::Metrics => Response::metrics("#".repeat(LARGE)),
            _ => Response::text(Status::Ok, "ok\n".to_owned()),
        }
    }
}

/// A client with a small buffer that has sent a request.
async fn request(address: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut tcp = socket.connect(address).await?.into_std()?;
    tcp.set_nonblocking(false)?;
    tcp.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())?;
    Ok(tcp)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_occupy_no_connection_that_a_probe_needs() {
    let listener = HealthListener::<Tokio>::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    let listening = tokio::spawn(serve(listener, LargeMetrics, pending()));
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(request(address, "/metrics").await.unwrap());
    }
    for _ in 0..20 {
        let (mut probe, mut response) = (request(address, "/livez").await.unwrap(), String::new());
        probe.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    listening.abort();
}
