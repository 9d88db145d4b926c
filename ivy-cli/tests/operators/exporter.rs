//! `exporter`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ivy_proto::wire::DeadLetterReason::Fatal;
use ivy_test_kit::secrets::find_leaks;
use ivy_test_kit::{ClosedPort, PATIENCE};
use serde_json::Value;

use crate::backend::{Backend, Ended, on_each, program, task};
use crate::golden;
use crate::workers::Heard;

/// The program while it serves.
struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Exporter {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = line["listening"].as_str().unwrap().parse().unwrap();
        Exporter { child, address }
    }

    /// On a backend, looking ten times a second.
    fn on(backend: &Backend, queues: &[&str]) -> Self {
        let options = ["--listen", "127.0.0.1:0", "--interval", "100ms", "--json"];
        Exporter::start(backend.command(&[&["exporter"], &options[..], queues].concat()))
    }

    /// The status and the body of a page.
    fn get(&self, path: &str) -> (u16, String) {
        let mut tcp = TcpStream::connect(self.address).unwrap();
        write!(tcp, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut response = String::new();
        tcp.read_to_string(&mut response).unwrap();
        let leaks = find_leaks(&response);
        assert!(leaks.is_empty(), "{leaks:?}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Waits until a page is as expected.
    fn until(&self, path: &str, expected: impl Fn(u16, &str) -> bool) {
        let begun = Instant::now();
        loop {
            let (status, body) = self.get(path);
            if expected(status, &body) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {status} {body}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The samples, with everything replaced that differs from run to run.
fn samples(text: &str) -> Vec<Value> {
    let stable = |line: &str| match line.split_once("version=\"") {
        Some((before, rest)) => {
            let (_, after) = rest.split_once('"').unwrap();
            format!("{before}version=\"<version>\"{after}")
        }
        None if line.starts_with("ivy_queue_head_age_seconds{") => {
            format!("{} <seconds>", line.rsplit_once(' ').unwrap().0)
        }
        None => line.to_owned(),
    };
    text.lines().map(|line| Value::String(stable(line))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn gauges_of_all_queues_are_served() {
    on_each(async |backend| {
        let body = task("mail.send", r#","due":1700000000000"#);
        backend.post("mail", &[&body, &body]).await;
        backend.post("mail.p2", &[&body]).await;
        backend.post("undated", &["1"]).await;
        backend.dead_letter(&[(&task("mail.send", ""), Fatal)]).await;
        let exporter = Exporter::on(backend, &[]);
        let (status, text) = exporter.get("/metrics");
        assert_eq!(status, 200);
        golden::compare(&format!("{}/exporter", backend.name), &samples(&text));
        assert_eq!(exporter.get("/livez"), (200, "ok\n".to_owned()));
        assert_eq!(exporter.get("/readyz"), (200, "ready\n".to_owned()));
        assert_eq!(exporter.get("/other").0, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gauges_of_one_queue_follow_its_messages() {
    on_each(async |backend| {
        backend.post("mail.p1", &["1"]).await;
        backend.post("other", &["1"]).await;
        let exporter = Exporter::on(backend, &["mail"]);
        let has = |sample: &str| {
            let sample = format!("\n{sample}\n");
            move |status, text: &str| status == 200 && text.contains(&sample)
        };
        exporter.until("/metrics", has("ivy_queue_messages{queue=\"mail.p1\",state=\"all\"} 1"));
        backend.post("mail", &["1", "2"]).await;
        exporter.until("/metrics", has("ivy_queue_messages{queue=\"mail\",state=\"all\"} 2"));
        let (_, text) = exporter.get("/metrics");
        assert!(!text.contains("other") && !text.contains("ivy_workers_heard{"), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_counted_once_all_must_have_been_heard() {
    let backend = Backend::redis().await;
    backend.post("idle", &["1"]).await;
    let ivy = backend.ivy();
    let heard = Heard::start(&ivy).await;
    let exporter = Exporter::on(&backend, &[]);
    assert!(!exporter.get("/metrics").1.contains("ivy_workers_heard{"));
    exporter.until("/metrics", |_, text| {
        text.contains("\nivy_workers_heard{queue=\"mail\"} 1\n")
            && text.contains("\nivy_workers_heard{queue=\"idle\"} 0\n")
    });
    heard.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_down_nothing_is_said_of_its_queues() {
    let mut backend = Backend::redis().await;
    backend.post("mail", &["1"]).await;
    let exporter = Exporter::on(&backend, &[]);
    assert!(exporter.get("/metrics").1.contains("ivy_queue_messages{"));
    backend.redis_server().kill_hard().await;
    exporter.until("/readyz", |status, _| status == 503);
    let (status, text) = exporter.get("/metrics");
    assert!(status == 200 && !text.contains("ivy_queue_messages{"), "{text}");
    assert_eq!(exporter.get("/livez").0, 200);
    backend.redis_server().restart().await;
    exporter.until("/readyz", |status, _| status == 200);
}

#[test]
fn a_server_that_is_down_at_the_start_is_asked_again() {
    let port = ClosedPort::take();
    let url = format!("redis://127.0.0.1:{}", port.number());
    let args = ["exporter", "--listen", "127.0.0.1:0", "--json", "--queue-url", &url];
    let exporter = Exporter::start(program(&args));
    let (status, body) = exporter.get("/readyz");
    assert!(status == 503 && body.contains("cannot reach the queue's server"), "{body}");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (args, text) in [
        (&["--queue-url", "memory://"][..], "memory://, which is private"),
        (&["--queue-url", "redis://127.0.0.1:1", "--listen", &address], "the address is in use"),
        (&["--listen", "localhost:9464"], "invalid"),
        (&["--interval", "soon"], "a duration must be"),
    ] {
        let ended = Ended::of(program(&[&["exporter"], args].concat()));
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(text), "{args:?}: {ended:?}");
    }
}
