//! What the client makes of a response.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use ivy_driver::Runtime;
use ivy_proto::queue::FaultKind;

use super::fixture::{GOOD, RESPONSE_LIMIT, Server, client, fetch, get, kind_of, send};

pub(super) fn a_complete_response_is_returned<R: Runtime>() {
    let response = fetch::<R>(&Server::always(GOOD.to_vec())).unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), r#"{"ids":["1"]}"#);
}

pub(super) fn a_body_of_exactly_the_limit_is_read<R: Runtime>() {
    let body = "x".repeat(RESPONSE_LIMIT);
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {RESPONSE_LIMIT}\r\n\r\n{body}");
    assert_eq!(fetch::<R>(&Server::always(response.into_bytes())).unwrap().body(), &body);
}

pub(super) fn a_body_over_the_limit_is_not_read_to_its_end<R: Runtime>() {
    for length in ["Content-Length: 1000000000000", "X-Length: none"] {
        let mut response = format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n").into_bytes();
        response.extend([b'x'; 2 * RESPONSE_LIMIT]);
        assert_eq!(kind_of::<R>(&response), Err(FaultKind::ReplyLost), "{length}");
    }
}

pub(super) fn a_large_response_is_complete<R: Runtime>() {
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(8 << 20).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let request = get(&Server::always([head.as_bytes(), &body].concat()));
    let request = request.with_response_limit(body.len());
    assert!(send::<R>(&*client::<R>(), request).unwrap().body() == &body);
}

pub(super) fn a_truncated_response_is_a_lost_response<R: Runtime>() {
    for cut in 0..GOOD.len() {
        assert_eq!(kind_of::<R>(&GOOD[..cut]), Err(FaultKind::ReplyLost), "cut at {cut}");
    }
}

pub(super) fn a_truncated_chunked_response_is_an_error<R: Runtime>() {
    let good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(kind_of::<R>(good), Ok(200));
    for cut in 0..good.len() {
        assert!(kind_of::<R>(&good[..cut]).is_err(), "cut at {cut}");
    }
}

pub(super) fn a_response_that_is_not_http_is_a_bad_response<R: Runtime>() {
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
    for response in answers {
        let start = String::from_utf8_lossy(&response[..response.len().min(60)]);
        assert_eq!(kind_of::<R>(response), Err(FaultKind::BadReply), "{start:?}");
    }
}

pub(super) fn a_damaged_chunk_is_an_error<R: Runtime>() {
    for chunk in
        ["zz\r\n{}\r\n0\r\n\r\n", "10000000000000000\r\n{}", "2\r\n{}xx0\r\n\r\n", "-2\r\n"]
    {
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        assert!(kind_of::<R>(response.as_bytes()).is_err(), "{chunk:?}");
    }
}

pub(super) fn a_redirect_is_not_followed<R: Runtime>() {
    let response = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(kind_of::<R>(response), Ok(307));
}

pub(super) fn up_to_ten_interim_responses_are_skipped<R: Runtime>() {
    for (count, expected) in [(10, Ok(200)), (11, Err(FaultKind::ReplyLost))] {
        for interim in ["100 Continue\r\n", "103 Early Hints\r\nLink: </x>\r\n"] {
            let mut response = format!("HTTP/1.1 {interim}\r\n").repeat(count).into_bytes();
            response.extend(GOOD);
            assert_eq!(kind_of::<R>(&response), expected, "{count} {interim}");
        }
    }
}

pub(super) fn an_endless_response_fails_after_the_time_limit<R: Runtime>() {
    let server = Server::start();
    let url = server.url();
    thread::spawn(move || {
        let mut stream = server.accept_request();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let (begun, limit) = (Instant::now(), Duration::from_millis(300));
    let request = get(&url).with_time_limit(limit).with_response_limit(1 << 20);
    let fault = send::<R>(&*client::<R>(), request).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::ReplyLost);
    assert!(begun.elapsed() >= limit);
}
