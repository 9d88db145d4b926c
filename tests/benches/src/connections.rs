//! Many connections to `ivy serve`: the cost of a message, and of waiting long polls.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::cpu::{cpu_time, memory};
use crate::load::{Load, Step};
use crate::samples;
use crate::serve::{connect, exchange, queue, receive, request};
use crate::server::Server;

/// How many messages make a step.
const ROUND: u64 = 50;
/// A server that has used no processor time for this long is idle.
const QUIET: Duration = Duration::from_millis(500);
/// The maximum number of messages of a request.
const BATCH: usize = 100;

/// A message posted and reserved by one connection, with this many connections open.
pub(crate) fn one_active(connections: usize) -> Option<Load> {
    load(connections, 1)
}

/// Messages posted and reserved by this many connections in turn.
pub(crate) fn all_active(connections: usize) -> Option<Load> {
    load(connections, connections)
}

fn load(connections: usize, active: usize) -> Option<Load> {
    let server = Server::ivy();
    let queue = queue("open");
    let post = request("POST", &queue, "messages", &messages(1));
    let reserve = request("POST", &queue, "reservations", r#"{"delete":true}"#);
    let mut response = Vec::new();
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| connect(server.port())).collect();
    let mut round_trip = move |stream: &mut TcpStream| {
        exchange(stream, &post, &mut response);
        exchange(stream, &reserve, &mut response);
    };
    // Each is known to the server.
    streams.iter_mut().for_each(&mut round_trip);
    let mut next = 0;
    let step = move || {
        let started = Instant::now();
        for _ in 0..ROUND {
            round_trip(&mut streams[next]);
            next = (next + 1) % active;
        }
        Step { operations: ROUND, took: started.elapsed() }
    };
    (connections > 0).then(|| Load { servers: vec![server], ..Load::timed(step) })
}

/// The cost of waiting.
#[derive(Clone, Copy, Debug)]
pub struct PollCost {
    /// The memory of each waiting long poll, in bytes.
    pub bytes: f64,
    /// The server's processor time while they waited.
    pub cpu_time: Duration,
}

/// Runs this many long polls at `ivy serve` at the same time, and watches them for this long.
#[must_use]
pub fn poll_cost(polls: usize, time: Duration) -> PollCost {
    let server = Server::ivy();
    let queue = queue("waiting");
    let mut response = Vec::new();
    let mut other = connect(server.port());
    // The queue must exist, and be empty.
    exchange(&mut other, &request("POST", &queue, "messages", &messages(1)), &mut response);
    exchange(&mut other, &request("DELETE", &queue, "messages", "{}"), &mut response);
    wait_until_quiet(&server);
    let before = memory(server.pid());
    let poll = request("POST", &queue, "reservations", r#"{"wait":30,"delete":true}"#);
    let mut streams: Vec<TcpStream> = (0..polls).map(|_| connect(server.port())).collect();
    for stream in &mut streams {
        std::io::Write::write_all(stream, &poll).expect("the server reads requests");
    }
    wait_until_quiet(&server);
    let bytes = memory(server.pid()).saturating_sub(before) as f64 / polls as f64;
    let earlier = cpu_time(server.pid());
    std::thread::sleep(time);
    let cpu_time = cpu_time(server.pid()) - earlier;
    // They all have waited if each receives one of as many messages.
    for first in (0..polls).step_by(BATCH) {
        let some = messages(BATCH.min(polls - first));
        exchange(&mut other, &request("POST", &queue, "messages", &some), &mut response);
    }
    for stream in &mut streams {
        receive(stream, &mut response);
        assert!(response.ends_with(b"}]}"), "{}", String::from_utf8_lossy(&response));
    }
    PollCost { bytes, cpu_time }
}

/// The body of a post of this many messages.
fn messages(count: usize) -> String {
    let body = serde_json::to_string(samples::SMALL).expect("a text");
    format!("{{\"messages\":[{}]}}", vec![format!("{{\"body\":{body}}}"); count].join(","))
}

fn wait_until_quiet(server: &Server) {
    loop {
        let earlier = cpu_time(server.pid());
        std::thread::sleep(QUIET);
        if cpu_time(server.pid()) == earlier {
            return;
        }
    }
}
