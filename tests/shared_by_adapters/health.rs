//! Probes and scrapers of a worker, over HTTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ivy_proto::backend::{BoxFuture, Queue};
use ivy_proto::health::State;
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use crate::adapter::{ErrorKind, HealthError, Ivy, Task, TaskError, Worker, handler, wait};

const DOUBLE: Task<(u64,), u64> = Task::new("test.\"double\"\\").queue("test");
const SLOW: Task<(u64,), ()> = Task::new("test.slow").queue("test");
/// Longer than anything takes that must happen, even on a busy host.
const SOON: Duration = Duration::from_secs(60);
const FREE_PORT: &str = "127.0.0.1:0";

fn ivy() -> Ivy {
    Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap()
}

/// A worker that listens.
fn listening(ivy: &Ivy) -> (Worker, SocketAddr) {
    let double = handler!(|n: u64| Ok::<_, TaskError>(2 * n));
    let worker = ivy.worker().register(&DOUBLE, double).health(FREE_PORT);
    let worker = wait(worker.start()).unwrap();
    let address = worker.health_address().unwrap();
    (worker, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    tcp
}

/// All bytes of the response to these bytes.
fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut tcp = connect(address);
    tcp.write_all(bytes)?;
    let mut response = Vec::new();
    tcp.read_to_end(&mut response)?;
    Ok(String::from_utf8(response).unwrap())
}

fn request(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: worker\r\n\r\n");
    let response = exchange(address, request.as_bytes()).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The status and the body of a page.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (head, body) = request(address, "GET", path);
    (status(&head), body)
}

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Waits until a page is as expected.
fn until(address: SocketAddr, path: &str, expected: impl Fn(&(u16, String)) -> bool) {
    let begun = Instant::now();
    loop {
        let page = get(address, path);
        if expected(&page) {
            return;
        }
        assert!(begun.elapsed() < SOON, "{path}: {page:?}");
        sleep(Duration::from_millis(10));
    }
}

/// Waits until so many requests were answered, and so many clients cut off.
fn until_counted(worker: &Worker, expected: (u64, u64)) {
    let begun = Instant::now();
    loop {
        let probes = wait(worker.health()).probes.unwrap();
        if (probes.answered, probes.cut_off) == expected {
            return;
        }
        assert!(begun.elapsed() < SOON, "{probes:?} instead of {expected:?}");
        sleep(Duration::from_millis(10));
    }
}

fn is_closed(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn a_worker_answers_probes() {
    let (worker, address) = listening(&ivy());
    until(address, "/readyz", |page| *page == (200, "ready\n".to_owned()));
    assert_eq!(get(address, "/livez"), (200, "ok\n".to_owned()));
    let (head, body) = request(address, "HEAD", "/livez");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nContent-Length: 3\r\n"));
    assert_eq!(body, "");
    drop(worker);
}

#[test]
fn a_scraper_reads_what_was_counted_with_names_escaped() {
    let ivy = ivy();
    let (worker, address) = listening(&ivy);
    let handle = wait(ivy.call(&DOUBLE, (21,))).unwrap();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 42);
    let (head, body) = request(address, "GET", "/metrics");
    assert!(head.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0"));
    let executed = "ivy_tasks_executed_total{queue=\"test\",\
         task=\"test.\\\"double\\\"\\\\\",outcome=\"ok\"} 1\n";
    assert!(body.contains(executed), "{body}");
    assert!(body.contains("\nivy_worker_slots 10\n") && body.ends_with("\n# EOF\n"), "{body}");
    drop(worker);
}

#[test]
fn a_worker_that_drains_is_live_and_not_ready_until_it_has_ended() {
    let ivy = ivy();
    let (end, ended) = async_channel::bounded::<()>(1);
    let slow = handler!([ended], |_n: u64| {
        let _ = received!(ended);
        Ok::<_, TaskError>(())
    });
    let worker = ivy.worker().register(&SLOW, slow).drain_limit(SOON).health(FREE_PORT);
    let worker = wait(worker.start()).unwrap();
    let address = worker.health_address().unwrap();
    wait(ivy.send(&SLOW, (1,))).unwrap();
    let running = |worker: &Worker| wait(worker.health()).running;
    while running(&worker) == 0 {}
    // It drains in the background.
    drop(worker);
    until(address, "/readyz", |page| *page == (503, "draining\n".to_owned()));
    assert_eq!(get(address, "/livez"), (200, "ok\n".to_owned()));
    drop(end);
    let begun = Instant::now();
    while !is_closed(address) {
        assert!(begun.elapsed() < SOON);
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_port_is_free_as_soon_as_a_worker_has_drained() {
    let ivy = ivy();
    let (mut worker, address) = listening(&ivy);
    for _ in 0..5 {
        wait(worker.drain(SOON));
        assert_eq!(wait(worker.health()).state, State::Ended);
        let double = handler!(|n: u64| Ok::<_, TaskError>(2 * n));
        let next = ivy.worker().register(&DOUBLE, double).health(&address.to_string());
        worker = wait(next.start()).unwrap();
        assert_eq!(get(address, "/livez").0, 200);
    }
}

#[test]
fn an_address_that_cannot_be_used_is_refused_at_the_start() {
    let ivy = ivy();
    let taken = TcpListener::bind(FREE_PORT).unwrap();
    let start = |address: &str| {
        let double = handler!(|n: u64| Ok::<_, TaskError>(2 * n));
        wait(ivy.worker().register(&DOUBLE, double).health(address).start()).unwrap_err()
    };
    let error = start(&taken.local_addr().unwrap().to_string());
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("the address is in use; choose another port"), "{error}");
    let error = start("redis://:hunter2@127.0.0.1:1");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("such as 127.0.0.1:9464"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let ivy_proto::Cause::Config(cause) = error.cause() else { panic!("{error}") };
    assert!(matches!(cause.downcast_ref(), Some(HealthError::BadAddress { .. })), "{cause:?}");
}

/// The variable cannot be set in this process, which other tests share.
#[test]
fn the_address_may_come_from_the_environment() {
    if std::env::var_os("IVY_HEALTH").is_some() {
        let double = handler!(|n: u64| Ok::<_, TaskError>(2 * n));
        let worker = wait(ivy().worker().register(&DOUBLE, double).start()).unwrap();
        assert_eq!(get(worker.health_address().unwrap(), "/livez").0, 200);
        return;
    }
    let double = handler!(|n: u64| Ok::<_, TaskError>(2 * n));
    let worker = wait(ivy().worker().register(&DOUBLE, double).start()).unwrap();
    assert_eq!(worker.health_address(), None);
    let test = "health::the_address_may_come_from_the_environment";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test]).env("IVY_HEALTH", FREE_PORT).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{output:?}");
}

/// A queue whose server cannot be reached.
#[derive(Debug)]
struct Unreachable;

impl Queue for Unreachable {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker()
    }

    fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let fault = Fault::new(FaultKind::Unreachable).with_detail("at redis://:hunter2@server");
        Box::pin(async { Err(fault) })
    }
}

#[test]
fn a_worker_whose_queue_is_unreachable_is_live_and_names_the_queue() {
    let ivy = Ivy::builder().queue(Unreachable).notifier_url("memory://").build().unwrap();
    let (worker, address) = listening(&ivy);
    let expected = "queue test: Unreachable\n".to_owned();
    until(address, "/readyz", |page| *page == (503, expected.clone()));
    for _ in 0..5 {
        assert_eq!(get(address, "/livez"), (200, "ok\n".to_owned()));
        sleep(Duration::from_millis(200));
    }
    let health = wait(worker.health());
    assert!(health.is_live() && !health.is_ready(), "{health}");
    let said = format!("{health} {health:?} {:?}", get(address, "/metrics"));
    assert!(said.contains("Unreachable") && !said.contains("hunter2"), "{said}");
}

#[test]
fn other_requests_are_refused() {
    let (worker, address) = listening(&ivy());
    for (method, path, expected) in [
        ("POST", "/livez", 405),
        ("PUT", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/other", 404),
    ] {
        let (head, _) = request(address, method, path);
        assert_eq!(status(&head), expected, "{method} {path}");
        assert_eq!(head.contains("\r\nAllow: GET, HEAD\r\n"), expected == 405, "{head}");
    }
    for (bytes, expected) in [
        (&b"GET /livez HTTP/1.0\r\n\r\n"[..], 200),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"hello\r\n", 400),
    ] {
        assert_eq!(status(&exchange(address, bytes).unwrap()), expected, "{bytes:?}");
    }
    let probes = wait(worker.health()).probes.unwrap();
    assert_eq!((probes.answered, probes.refused), (1, 8));
}

#[test]
fn one_request_is_answered_on_a_connection() {
    let (worker, address) = listening(&ivy());
    let request = "GET /livez HTTP/1.1\r\nHost: worker\r\n\r\n";
    let response = exchange(address, request.repeat(20).as_bytes()).unwrap();
    assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 1, "{response}");
    assert!(response.contains("\r\nConnection: close\r\n") && response.ends_with("\r\n\r\nok\n"));
    drop(worker);
}

#[test]
fn a_request_that_is_too_long_is_not_read() {
    let (worker, address) = listening(&ivy());
    let mut long = b"GET /livez HTTP/1.1\r\nHost: ".to_vec();
    long.resize(10 * 1024, b'x');
    assert_eq!(status(&exchange(address, &long).unwrap()), 431);
    long.resize(1024 * 1024, b'x');
    // Most of it is not read, so the connection may be reset.
    match exchange(address, &long) {
        Ok(response) => assert_eq!(status(&response), 431),
        Err(error) => assert!(
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
            "{error}"
        ),
    }
    assert_eq!(get(address, "/livez").0, 200);
    assert_eq!(wait(worker.health()).probes.unwrap().refused, 2);
}

#[test]
fn clients_that_send_nothing_are_cut_off_and_delay_nobody() {
    let ivy = ivy();
    let (worker, address) = listening(&ivy);
    let half_open: Vec<TcpStream> = (0..100)
        .map(|number| {
            let mut tcp = connect(address);
            // Some have begun.
            if number % 2 == 0 {
                tcp.write_all(b"GET /livez HTTP/1.1\r\nHost: ").unwrap();
            }
            tcp
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(get(address, "/livez").0, 200);
        let handle = wait(ivy.call(&DOUBLE, (21,))).unwrap();
        assert_eq!(wait(handle.result(SOON)).unwrap(), 42);
    }
    for mut tcp in half_open {
        let _ = tcp.read(&mut [0]).or_else(|error| match error.kind() {
            io::ErrorKind::ConnectionReset => Ok(0),
            _ => Err(error),
        });
    }
    until_counted(&worker, (10, 100));
}

#[test]
fn a_client_that_does_not_read_delays_nobody() {
    let ivy = ivy();
    let (worker, address) = listening(&ivy);
    let slow: Vec<TcpStream> = (0..15)
        .map(|_| {
            let mut tcp = connect(address);
            tcp.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            tcp
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(get(address, "/livez").0, 200);
    }
    let handle = wait(ivy.call(&DOUBLE, (21,))).unwrap();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 42);
    drop((slow, worker));
}

#[test]
fn a_thousand_connections_stall_neither_the_worker_nor_later_probes() {
    let ivy = ivy();
    let (worker, address) = listening(&ivy);
    let mut flood = Vec::new();
    for number in 0..1000 {
        // The system refuses some of them.
        flood.extend(TcpStream::connect_timeout(&address, Duration::from_secs(5)));
        if number % 100 == 0 {
            let handle = wait(ivy.call(&DOUBLE, (21,))).unwrap();
            assert_eq!(wait(handle.result(SOON)).unwrap(), 42);
        }
    }
    assert_eq!(get(address, "/livez").0, 200);
    let connected = flood.len() as u64;
    drop(flood);
    until_counted(&worker, (1, connected));
}

#[test]
fn health_is_a_value_without_a_listener_too() {
    let ivy = ivy();
    let double = handler!(|n: u64| Ok::<_, TaskError>(2 * n));
    let worker = wait(ivy.worker().concurrency(7).register(&DOUBLE, double).start()).unwrap();
    let begun = Instant::now();
    let health = loop {
        let health = wait(worker.health());
        if health.is_ready() {
            break health;
        }
        assert!(begun.elapsed() < SOON, "{health}");
    };
    assert_eq!((health.state, health.slots, health.probes), (State::Running, 7, None));
    assert_eq!(health.queues.len(), 1);
    worker.pause();
    while wait(worker.health()).state != State::Paused {}
}
