use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::{Tokio, name_host};

#[cfg(feature = "ring")]
mod secure;

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"ids\":[\"1\"]}";
const LIMIT: Duration = Duration::from_secs(10);

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("http://127.0.0.1:{port}/"))
}

async fn read_head(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// A server that sends each connection this response and closes it.
async fn server(response: Vec<u8>) -> String {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if read_head(&mut stream).await.is_ok() {
                let _ = stream.write_all(&response).await;
            }
        }
    });
    address
}

fn client() -> Hyper<Tokio> {
    Hyper::new(None)
}

fn get(address: &str) -> HttpRequest {
    let request = Request::get(address).body(Bytes::new()).unwrap();
    HttpRequest::new(request).with_time_limit(LIMIT).with_response_limit(1024)
}

async fn fetch(address: &str) -> Result<Response<Bytes>, Fault> {
    client().send(get(address)).await
}

async fn kind_of(response: &[u8]) -> Result<u16, FaultKind> {
    let address = server(response.to_vec()).await;
    fetch(&address).await.map(|response| response.status().as_u16()).map_err(|fault| fault.kind())
}

#[tokio::test]
async fn a_complete_response_is_returned() {
    let response = fetch(&server(GOOD.to_vec()).await).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), r#"{"ids":["1"]}"#);
}

#[tokio::test]
async fn a_truncated_response_is_a_lost_response() {
    for cut in 0..GOOD.len() {
        let kind = kind_of(&GOOD[..cut]).await;
        assert_eq!(kind, Err(FaultKind::ResponseLost), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_truncated_chunked_response_is_an_error() {
    let good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(kind_of(good).await, Ok(200));
    for cut in 0..good.len() {
        assert!(kind_of(&good[..cut]).await.is_err(), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_response_that_is_not_http_is_a_bad_response() {
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    let large_header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    let responses: [&[u8]; 9] = [
        b"<html>hello</html>\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n",
        b"HTTP/1.1 0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        many_headers.as_bytes(),
        large_header.as_bytes(),
    ];
    for response in responses {
        let start = String::from_utf8_lossy(&response[..response.len().min(60)]);
        assert_eq!(kind_of(response).await, Err(FaultKind::BadResponse), "{start:?}");
    }
}

#[tokio::test]
async fn a_damaged_chunk_is_an_error() {
    for chunk in
        ["zz\r\n{}\r\n0\r\n\r\n", "10000000000000000\r\n{}", "2\r\n{}xx0\r\n\r\n", "-2\r\n"]
    {
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        assert!(kind_of(response.as_bytes()).await.is_err(), "{chunk:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_to_its_end() {
    for length in ["Content-Length: 1000000000000", "X-Length: none"] {
        let mut response = format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n").into_bytes();
        response.extend([b'x'; 2048]);
        assert_eq!(kind_of(&response).await, Err(FaultKind::ResponseLost), "{length}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let response = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(kind_of(response).await, Ok(307));
}

#[tokio::test]
async fn up_to_ten_interim_responses_are_skipped() {
    for (count, expected) in [(10, Ok(200)), (11, Err(FaultKind::ResponseLost))] {
        for informational in ["100 Continue\r\n", "103 Early Hints\r\nLink: </x>\r\n"] {
            let mut response = format!("HTTP/1.1 {informational}\r\n").repeat(count).into_bytes();
            response.extend(GOOD);
            assert_eq!(kind_of(&response).await, expected, "{count} {informational}");
        }
    }
}

#[tokio::test]
async fn a_refused_connection_means_the_server_is_unreachable() {
    let (listener, address) = listen().await;
    drop(listener);
    assert_eq!(fetch(&address).await.unwrap_err().kind(), FaultKind::Unreachable);
}

/// An address that does not respond, as behind a firewall that drops packets: its listener accepts
/// nothing, and its backlog is full.
struct SilentAddress {
    address: SocketAddr,
    _held: (std::net::TcpListener, Vec<std::net::TcpStream>),
}

impl SilentAddress {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let soon = Duration::from_millis(200);
        let connect = || std::net::TcpStream::connect_timeout(&address, soon);
        let waiting = std::iter::from_fn(|| connect().ok()).collect();
        SilentAddress { address, _held: (listener, waiting) }
    }
}

#[tokio::test]
async fn an_unresponsive_address_does_not_hide_the_others() {
    let silent = SilentAddress::new();
    let server: http::Uri = server(GOOD.to_vec()).await.parse().unwrap();
    let responding = server.authority().unwrap().as_str().parse().unwrap();
    name_host("two.example", &[silent.address, responding]);
    assert_eq!(fetch("http://two.example/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_means_the_server_is_unreachable() {
    let fault = fetch("http://no-such-host.invalid/").await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn an_endless_response_fails_after_the_time_limit() {
    let (listener, address) = listen().await;
    let started = tokio::time::Instant::now();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if stream.write_all(b"x").await.is_err() {
                return;
            }
        }
    });
    assert_eq!(fetch(&address).await.unwrap_err().kind(), FaultKind::ResponseLost);
    assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
}

/// Waits until background tasks are idle.
async fn pause() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn respond(stream: &mut TcpStream) {
    read_head(stream).await.unwrap();
    stream.write_all(GOOD).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_reused_unless_the_server_has_closed_it() {
    let (listener, address) = listen().await;
    let client = client();
    let send = || tokio::spawn(client.send(get(&address)));
    let first = send();
    let (mut stream, _) = listener.accept().await.unwrap();
    respond(&mut stream).await;
    assert!(first.await.unwrap().is_ok());
    pause().await;
    let second = send();
    respond(&mut stream).await;
    assert!(second.await.unwrap().is_ok());
    drop(stream);
    pause().await;
    let third = send();
    respond(&mut listener.accept().await.unwrap().0).await;
    assert!(third.await.unwrap().is_ok());
}

/// Tests hyper's pool, which follows the runtime's time.
#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_closed_before_load_balancers_close_it() {
    let (listener, address) = listen().await;
    let client = client();
    let request = tokio::spawn(client.send(get(&address)));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await.unwrap();
    stream.write_all(GOOD).await.unwrap();
    assert!(request.await.unwrap().is_ok());
    let unused_since = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(unused_since.elapsed() < Duration::from_secs(2 * 60), "{:?}", unused_since.elapsed());
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection() {
    let (listener, address) = listen().await;
    let request = tokio::spawn(async move { fetch(&address).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await.unwrap();
    request.abort();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_waiting_request_does_not_delay_another() {
    let (listener, address) = listen().await;
    let client = client();
    let waiting = tokio::spawn(client.send(get(&address)));
    let (mut first, _) = listener.accept().await.unwrap();
    read_head(&mut first).await.unwrap();
    let quick = tokio::spawn(client.send(get(&address)));
    let (mut second, _) = listener.accept().await.unwrap();
    read_head(&mut second).await.unwrap();
    second.write_all(GOOD).await.unwrap();
    assert!(quick.await.unwrap().is_ok());
    first.write_all(GOOD).await.unwrap();
    assert!(waiting.await.unwrap().is_ok());
}
