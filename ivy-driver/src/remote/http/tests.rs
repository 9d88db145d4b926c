//! What depends on time, which is virtual here. The conformance suite tests the rest with each
//! adapter's connections.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::*;
use crate::testing::Tokio;

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"ids\":[\"1\"]}";
const LIMIT: Duration = Duration::from_secs(10);

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("http://127.0.0.1:{port}/"))
}

fn get(address: &str) -> HttpRequest {
    let request = Request::get(address).body(Bytes::new()).unwrap();
    HttpRequest::new(request).with_time_limit(LIMIT)
}

/// Reads a request.
async fn read(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

/// Sends a request and returns the server's side of its connection, which is idle then.
async fn idle(client: &Hyper<Tokio>, listener: &TcpListener, address: &str) -> TcpStream {
    let sent = client.send(get(address));
    let responding = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await;
        stream.write_all(GOOD).await.unwrap();
        stream
    };
    let (response, stream) = tokio::join!(sent, responding);
    assert!(response.is_ok());
    stream
}

/// Waits until the client has closed a connection, and returns how long that took.
async fn closed(stream: &mut TcpStream) -> Duration {
    let since = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    since.elapsed()
}

/// The background tasks of the test.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn unused_connections_are_closed_before_load_balancers_close_them() {
    let (listener, address) = listen().await;
    let client = Hyper::<Tokio>::new(None);
    let mut first = idle(&client, &listener, &address).await;
    let sent = client.send(get(&address));
    let answering = async {
        read(&mut first).await;
        // Meanwhile, the first connection is in use.
        let second = idle(&client, &listener, &address).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        first.write_all(GOOD).await.unwrap();
        second
    };
    let (response, mut second) = tokio::join!(sent, answering);
    assert!(response.is_ok());
    assert_eq!(closed(&mut second).await.as_secs(), 45);
    assert_eq!(closed(&mut first).await.as_secs(), 5);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_with_the_client_or_the_server() {
    let (listener, address) = listen().await;
    let client = Hyper::<Tokio>::new(None);
    let mut first = idle(&client, &listener, &address).await;
    first.shutdown().await.unwrap();
    assert_eq!(closed(&mut first).await, Duration::ZERO);
    let mut second = idle(&client, &listener, &address).await;
    drop(client);
    assert_eq!(closed(&mut second).await, Duration::ZERO);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_may_take_until_its_time_limit() {
    let (listener, address) = listen().await;
    let client = Hyper::<Tokio>::new(None);
    let begun = tokio::time::Instant::now();
    let (response, _stream) = tokio::join!(client.send(get(&address)), listener.accept());
    assert_eq!(response.unwrap_err().kind(), FaultKind::ReplyLost);
    assert_eq!(begun.elapsed(), LIMIT);
}

#[cfg(feature = "ring")]
#[tokio::test(start_paused = true)]
async fn a_connection_may_take_less_time_than_the_request() {
    let (listener, address) = listen().await;
    let tls = crate::tls::OwnRoots::default().with_public_roots().unwrap();
    let client = Hyper::<Tokio>::new(Some(tls));
    let begun = tokio::time::Instant::now();
    let request = get(&address.replace("http:", "https:"));
    // The server ignores the handshake.
    let (response, _stream) = tokio::join!(client.send(request), listener.accept());
    assert_eq!(response.unwrap_err().kind(), FaultKind::Unreachable);
    assert_eq!(begun.elapsed(), ivy_proto::connect::CONNECT_LIMIT);
}
