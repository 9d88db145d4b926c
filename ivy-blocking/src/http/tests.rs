use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use ivy_driver::internal::block_on;

use super::testing::{SilentAddress, accept, distrusting, trusting};
use super::*;
use crate::runtime::open;

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"ids\":[\"1\"]}";
const LIMIT: Duration = Duration::from_secs(10);

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("http://127.0.0.1:{port}/"))
}

fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// A server that sends each connection this response and closes it.
fn server(answer: Vec<u8>) -> String {
    let (listener, address) = listen();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if read_head(&mut stream).is_ok() {
                let _ = stream.write_all(&answer);
            }
        }
    });
    address
}

fn client() -> UreqClient {
    UreqClient::new(None, open)
}

fn get(address: &str) -> Request<Bytes> {
    Request::get(address).body(Bytes::new()).unwrap()
}

fn exchange(request: Request<Bytes>) -> HttpRequest {
    HttpRequest::new(request).with_time_limit(LIMIT).with_response_limit(1024)
}

fn send(client: &UreqClient, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
    block_on(client.send(exchange(request)))
}

fn fetch(address: &str) -> Result<Response<Bytes>, Fault> {
    send(&client(), get(address))
}

fn fetch_securely(address: &str) -> Result<Response<Bytes>, Fault> {
    send(&UreqClient::new(Some(distrusting()), open), get(address))
}

fn kind_of(answer: &[u8]) -> Result<u16, FaultKind> {
    let address = server(answer.to_vec());
    fetch(&address).map(|answer| answer.status().as_u16()).map_err(|fault| fault.kind())
}

#[test]
fn a_complete_response_is_returned() {
    let answer = fetch(&server(GOOD.to_vec())).unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body(), r#"{"ids":["1"]}"#);
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let body = "x".repeat(1024);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n{body}");
    assert_eq!(fetch(&server(answer.into_bytes())).unwrap().body(), &body);
}

#[test]
fn a_request_is_sent_unchanged_with_a_body_only_if_it_has_one() {
    let (listener, address) = listen();
    let (heads, seen) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            heads.send(String::from_utf8(read_head(&mut stream).unwrap()).unwrap()).unwrap();
            stream.write_all(GOOD).unwrap();
        }
    });
    for (method, body) in [("GET", ""), ("DELETE", ""), ("DELETE", "{}"), ("PATCH", "{}")] {
        let request = Request::builder().method(method).uri(&address).header("User-Agent", "ivy");
        let body = Bytes::from_static(body.as_bytes());
        send(&client(), request.body(body.clone()).unwrap()).unwrap();
        let head = seen.recv().unwrap().to_lowercase();
        assert!(head.starts_with(&format!("{method} / http/1.1\r\n").to_lowercase()), "{head}");
        assert!(head.contains("user-agent: ivy\r\n"), "{head}");
        assert_eq!(head.contains("content-length: 2\r\n"), !body.is_empty(), "{head}");
        assert_eq!(head.contains("content-length"), !body.is_empty(), "{head}");
    }
}

#[test]
fn a_truncated_response_is_a_lost_response() {
    for cut in 0..GOOD.len() {
        assert_eq!(kind_of(&GOOD[..cut]), Err(FaultKind::ResponseLost), "cut at {cut}");
    }
}

#[test]
fn a_truncated_chunked_response_is_an_error() {
    let good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(kind_of(good), Ok(200));
    // After the last chunk, the final empty line adds nothing.
    for cut in 0..good.len() - b"\r\n".len() {
        assert!(kind_of(&good[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_response_that_is_not_http_is_a_bad_response() {
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    let large_header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    let answers: [&[u8]; 9] = [
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
    for answer in answers {
        let start = String::from_utf8_lossy(&answer[..answer.len().min(60)]);
        assert_eq!(kind_of(answer), Err(FaultKind::BadResponse), "{start:?}");
    }
}

#[test]
fn a_damaged_chunk_is_an_error() {
    for chunk in
        ["zz\r\n{}\r\n0\r\n\r\n", "10000000000000000\r\n{}", "2\r\n{}xx0\r\n\r\n", "-2\r\n"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        assert!(kind_of(answer.as_bytes()).is_err(), "{chunk:?}");
    }
}

#[test]
fn a_body_over_the_limit_is_not_read_to_its_end() {
    for length in ["Content-Length: 1000000000000", "X-Length: none"] {
        let mut answer = format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n").into_bytes();
        answer.extend([b'x'; 2048]);
        assert_eq!(kind_of(&answer), Err(FaultKind::ResponseLost), "{length}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(kind_of(answer), Ok(307));
}

#[test]
fn up_to_ten_interim_responses_are_skipped() {
    for (count, expected) in [(10, Ok(200)), (11, Err(FaultKind::ResponseLost))] {
        for informational in ["100 Continue\r\n", "103 Early Hints\r\nLink: </x>\r\n"] {
            let mut answer = format!("HTTP/1.1 {informational}\r\n").repeat(count).into_bytes();
            answer.extend(GOOD);
            assert_eq!(kind_of(&answer), expected, "{count} {informational}");
        }
    }
}

#[test]
fn a_refused_connection_means_the_server_is_unreachable() {
    let (listener, address) = listen();
    drop(listener);
    assert_eq!(fetch(&address).unwrap_err().kind(), FaultKind::Unreachable);
}

#[test]
fn an_unresponsive_address_does_not_hide_the_others() {
    let silent = SilentAddress::new();
    let (listener, _) = listen();
    let addresses = [silent.address, listener.local_addr().unwrap()];
    let socket = open(&addresses, CONNECT_LIMIT).unwrap();
    assert_eq!(socket.peer_addr().unwrap(), addresses[1]);
}

#[test]
fn a_name_that_does_not_resolve_means_the_server_is_unreachable() {
    let fault = fetch("http://no-such-host.invalid/").unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unreachable);
}

#[test]
fn an_endless_response_fails_after_the_time_limit() {
    let (listener, address) = listen();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let (begun, limit) = (Instant::now(), Duration::from_millis(300));
    let exchange = exchange(get(&address)).with_time_limit(limit).with_response_limit(1 << 20);
    let answer = block_on(client().send(exchange));
    assert_eq!(answer.unwrap_err().kind(), FaultKind::ResponseLost);
    assert!(begun.elapsed() >= limit);
}

#[test]
fn a_cancelled_request_closes_its_own_connection_only() {
    let (listener, address) = listen();
    let client = client();
    let waiting = client.send(exchange(get(&address)));
    let (mut first, _) = listener.accept().unwrap();
    read_head(&mut first).unwrap();
    let other = client.send(exchange(get(&address)));
    let (mut second, _) = listener.accept().unwrap();
    read_head(&mut second).unwrap();
    drop(waiting);
    assert_eq!(first.read(&mut [0]).unwrap(), 0);
    second.write_all(GOOD).unwrap();
    assert!(block_on(other).is_ok());
}

#[test]
fn a_completed_request_can_no_longer_be_cancelled() {
    let (listener, address) = listen();
    let client = client();
    let mut quick = client.send(exchange(get(&address)));
    let (mut stream, _) = listener.accept().unwrap();
    read_head(&mut stream).unwrap();
    stream.write_all(GOOD).unwrap();
    assert!(block_on(&mut quick).is_ok());
    drop(quick);
    // The next request uses the same connection.
    let next = client.send(exchange(get(&address)));
    read_head(&mut stream).unwrap();
    stream.write_all(GOOD).unwrap();
    assert!(block_on(next).is_ok());
}

#[test]
fn a_waiting_request_does_not_delay_another() {
    let (listener, address) = listen();
    let client = client();
    let waiting = client.send(exchange(get(&address)));
    let (mut first, _) = listener.accept().unwrap();
    read_head(&mut first).unwrap();
    let quick = client.send(exchange(get(&address)));
    let (mut second, _) = listener.accept().unwrap();
    read_head(&mut second).unwrap();
    second.write_all(GOOD).unwrap();
    assert!(block_on(quick).is_ok());
    first.write_all(GOOD).unwrap();
    assert!(block_on(waiting).is_ok());
}

/// Sends more requests of a kind than there are threads for others, concurrently, and then one of
/// the others.
fn assert_delays_no_other(kind: RequestKind) {
    let (listener, address) = listen();
    let client = client();
    let in_flight: Vec<_> = (0..=MAX_REQUESTS)
        .map(|_| {
            let answer = client.send(exchange(get(&address)).with_kind(kind));
            let (mut stream, _) = listener.accept().unwrap();
            read_head(&mut stream).unwrap();
            (answer, stream)
        })
        .collect();
    let quick = client.send(exchange(get(&address)));
    let (mut stream, _) = listener.accept().unwrap();
    read_head(&mut stream).unwrap();
    stream.write_all(GOOD).unwrap();
    assert!(block_on(quick).is_ok());
    for (answer, mut stream) in in_flight {
        drop(answer);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn long_polls_delay_no_other_requests() {
    assert_delays_no_other(RequestKind::LongPoll);
}

#[test]
fn requests_about_leases_delay_no_other_requests() {
    assert_delays_no_other(RequestKind::Lease);
}

#[test]
fn a_request_about_a_lease_waits_for_no_other_request() {
    let (listener, address) = listen();
    let client = client();
    let in_flight: Vec<_> =
        (0..2 * MAX_REQUESTS).map(|_| client.send(exchange(get(&address)))).collect();
    let slow: Vec<_> = (0..MAX_REQUESTS).map(|_| listener.accept().unwrap()).collect();
    let kind = RequestKind::Lease;
    let renewal = client.send(exchange(get(&address)).with_kind(kind));
    let (mut stream, _) = listener.accept().unwrap();
    read_head(&mut stream).unwrap();
    stream.write_all(GOOD).unwrap();
    assert!(block_on(renewal).is_ok());
    drop((in_flight, slow));
}

#[test]
fn a_request_that_times_out_before_a_thread_is_free_is_not_sent() {
    let (listener, address) = listen();
    listener.set_nonblocking(true).unwrap();
    let work = Cancellable::default();
    let asked_at = Instant::now() - LIMIT;
    let answer = client().agents.exchange(exchange(get(&address)), asked_at, &work);
    assert_eq!(answer.unwrap_err().kind(), FaultKind::Unreachable);
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_connection_closed_by_the_server_is_not_reused() {
    let (listener, address) = listen();
    let (closed, is_closed) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_head(&mut stream).unwrap();
            stream.write_all(GOOD).unwrap();
            drop(stream);
            closed.send(()).unwrap();
        }
    });
    let client = client();
    for _ in 0..3 {
        let request = Request::post(&address).body(Bytes::new()).unwrap();
        assert!(send(&client, request).is_ok());
        is_closed.recv().unwrap();
    }
}

/// A TLS server with a self-signed certificate for `localhost`. It responds to two requests per
/// connection.
fn secure_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = accept(stream.unwrap());
            for _ in 0..2 {
                if read_head(&mut stream).is_ok() {
                    let _ = stream.write_all(GOOD);
                }
            }
        }
    });
    port
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let port = secure_server();
    let fault = fetch_securely(&format!("https://localhost:{port}/")).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Tls, "{fault}");
}

#[test]
fn a_certificate_of_an_added_authority_is_accepted_for_its_host_only() {
    let port = secure_server();
    let client = UreqClient::new(Some(trusting()), open);
    for _ in 0..2 {
        let right = send(&client, get(&format!("https://localhost:{port}/"))).unwrap();
        assert_eq!((right.status().as_u16(), right.body().len()), (200, 13));
    }
    let wrong = send(&client, get(&format!("https://127.0.0.1:{port}/")));
    assert_eq!(wrong.unwrap_err().kind(), FaultKind::Tls);
}

#[test]
fn a_server_without_tls_is_refused() {
    let (listener, address) = listen();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let fault = fetch_securely(&address.replace("http:", "https:")).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Tls);
}

#[test]
fn a_server_that_ignores_the_handshake_is_unreachable() {
    let (listener, address) = listen();
    let limit = Duration::from_millis(200);
    let request = get(&address.replace("http:", "https:"));
    let client = UreqClient::new(Some(distrusting()), open);
    let answer = block_on(client.send(exchange(request).with_time_limit(limit)));
    assert_eq!(answer.unwrap_err().kind(), FaultKind::Unreachable);
    drop(listener);
}
