//! Shutdown.

use rustix::process::Signal;
use serde_json::json;

use crate::server::{Server, request};

#[test]
fn termination_signals_stop_it_cleanly() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Server::start();
        server.post_bodies("q", &["a"]);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn waiting_reserves_do_not_delay_its_end() {
    let mut server = Server::start();
    server.put("queues/q", json!({}));
    let mut polling: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for connection in &mut polling {
        connection.send(request("POST", "queues/q/reservations", r#"{"wait":30}"#));
    }
    server.signal(Signal::TERM);
    for connection in &mut polling {
        // A request that is read too late gets no response at all.
        if let Ok(response) = connection.try_read() {
            assert_eq!(response.status_and_text(), (200, r#"{"messages":[]}"#));
        }
        assert_eq!(connection.read_to_end(), b"");
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn idle_and_silent_connections_do_not_delay_its_end() {
    let mut server = Server::start();
    let mut used = server.connect();
    used.send(request("GET", "queues", ""));
    assert_eq!(used.read().status(), 200);
    let _silent = server.connect();
    let mut partial = server.connect();
    partial.send("POST /3/projects/");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}
