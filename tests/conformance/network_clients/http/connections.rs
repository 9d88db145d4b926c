//! Which connections requests use, and when they are closed.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use ivy_driver::{Clients, Runtime};
use ivy_proto::queue::FaultKind;

use super::fixture::{
    GOOD, InFlight, Server, SilentAddress, WithAddresses, assert_closed, client, fetch, get, of,
    read_head, respond, send,
};

pub(super) fn a_request_is_sent_unchanged_with_a_body_only_if_it_has_one<R: Runtime>() {
    let server = Server::start();
    let client = client::<R>();
    let host = format!("host: {}\r\n", server.address());
    for (method, body) in [("GET", ""), ("DELETE", ""), ("DELETE", "{}"), ("PATCH", "{}")] {
        let url = server.url() + "a/b?c=d";
        let request = Request::builder().method(method).uri(url).header("User-Agent", "ivy");
        let request = of(request.body(Bytes::from_static(body.as_bytes())).unwrap());
        let sent = InFlight::start::<R>(&*client, request);
        let mut stream = server.accept();
        let head = read_head(&mut stream).unwrap().to_lowercase();
        let mut seen = vec![0; body.len()];
        stream.read_exact(&mut seen).unwrap();
        assert_eq!(seen, body.as_bytes());
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!(sent.respond().unwrap().status(), 204);
        assert!(head.starts_with(&format!("{method} /a/b?c=d http/1.1\r\n").to_lowercase()));
        assert!(head.contains("user-agent: ivy\r\n") && head.contains(&host), "{head}");
        assert_eq!(head.contains("content-length: 2\r\n"), !body.is_empty(), "{head}");
        assert_eq!(head.contains("content-length"), !body.is_empty(), "{head}");
    }
}

pub(super) fn a_large_request_is_sent_while_the_server_reads_it<R: Runtime>() {
    let server = Server::start();
    let body = Bytes::from(vec![b'x'; 16 << 20]);
    let request = of(Request::post(server.url()).body(body.clone()).unwrap());
    let sent = InFlight::start::<R>(&*client::<R>(), request);
    let mut stream = server.accept_request();
    let mut seen = vec![0; body.len()];
    stream.read_exact(&mut seen).unwrap();
    assert!(seen == body);
    stream.write_all(GOOD).unwrap();
    assert!(sent.respond().is_ok());
}

pub(super) fn a_refused_connection_means_the_server_is_unreachable<R: Runtime>() {
    let url = Server::start().url();
    assert_eq!(fetch::<R>(&url).unwrap_err().kind(), FaultKind::Unreachable);
}

pub(super) fn a_name_that_does_not_resolve_means_the_server_is_unreachable<R: Runtime>() {
    let fault = fetch::<R>("http://no-such-host.invalid/").unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unreachable);
}

pub(super) fn an_unresponsive_address_does_not_hide_the_others<R: Runtime>() {
    let (silent, server) = (SilentAddress::new(), Server::start());
    WithAddresses::<R>::name("two.example", vec![silent.address, server.address()]);
    let client = WithAddresses::<R>::http(None).unwrap();
    let sent = InFlight::start::<R>(&*client, get("http://two.example/"));
    respond(&mut server.accept());
    assert_eq!(sent.respond().unwrap().status(), 200);
}

pub(super) fn a_request_that_cannot_connect_in_time_was_not_sent<R: Runtime>() {
    let silent = SilentAddress::new();
    let request = get(&format!("http://{}/", silent.address));
    let request = request.with_time_limit(Duration::from_millis(200));
    let fault = send::<R>(&*client::<R>(), request).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unreachable);
}

pub(super) fn a_cancelled_request_closes_its_own_connection_only<R: Runtime>() {
    let server = Server::start();
    let client = client::<R>();
    let waiting = InFlight::start::<R>(&*client, get(&server.url()));
    let mut first = server.accept_request();
    let other = InFlight::start::<R>(&*client, get(&server.url()));
    let mut second = server.accept_request();
    waiting.cancel();
    assert_closed(&mut first);
    second.write_all(GOOD).unwrap();
    assert!(other.respond().is_ok());
}

pub(super) fn a_completed_request_can_no_longer_be_cancelled<R: Runtime>() {
    let server = Server::start();
    let client = client::<R>();
    let quick = InFlight::start::<R>(&*client, get(&server.url()));
    let mut stream = server.accept();
    respond(&mut stream);
    assert!(quick.respond().is_ok());
    // The next request uses the same connection.
    let next = InFlight::start::<R>(&*client, get(&server.url()));
    respond(&mut stream);
    assert!(next.respond().is_ok());
}

pub(super) fn a_waiting_request_does_not_delay_another<R: Runtime>() {
    let server = Server::start();
    let client = client::<R>();
    let waiting = InFlight::start::<R>(&*client, get(&server.url()));
    let mut first = server.accept_request();
    let quick = InFlight::start::<R>(&*client, get(&server.url()));
    respond(&mut server.accept());
    assert!(quick.respond().is_ok());
    first.write_all(GOOD).unwrap();
    assert!(waiting.respond().is_ok());
}

pub(super) fn many_waiting_requests_delay_no_other<R: Runtime>() {
    let server = Server::start();
    let client = client::<R>();
    let in_flight: Vec<_> = (0..40)
        .map(|_| {
            let sent = InFlight::start::<R>(&*client, get(&server.url()));
            (sent, server.accept_request())
        })
        .collect();
    let quick = InFlight::start::<R>(&*client, get(&server.url()));
    respond(&mut server.accept());
    assert!(quick.respond().is_ok());
    for (sent, mut stream) in in_flight {
        sent.cancel();
        assert_closed(&mut stream);
    }
}

pub(super) fn a_connection_is_used_for_one_server_only<R: Runtime>() {
    let client = client::<R>();
    let servers = [Server::start(), Server::start()];
    let mut streams = servers.each_ref().map(|server| {
        let sent = InFlight::start::<R>(&*client, get(&server.url()));
        let mut stream = server.accept();
        respond(&mut stream);
        assert!(sent.respond().is_ok());
        stream
    });
    for (server, stream) in servers.iter().zip(&mut streams) {
        let sent = InFlight::start::<R>(&*client, get(&server.url()));
        respond(stream);
        assert!(sent.respond().is_ok());
    }
}

pub(super) fn a_connection_closed_by_the_server_is_not_reused<R: Runtime>() {
    let server = Server::start();
    let client = client::<R>();
    for _ in 0..3 {
        let request = of(Request::post(server.url()).body(Bytes::new()).unwrap());
        let sent = InFlight::start::<R>(&*client, request);
        let mut stream = server.accept();
        respond(&mut stream);
        assert!(sent.respond().is_ok());
        stream.shutdown(Shutdown::Write).unwrap();
        assert_closed(&mut stream);
    }
}
