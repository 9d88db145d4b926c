//! An `Ivy` in a process that forks.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::thread;
use std::time::Duration;

use fork::Fork;
use ivy_blocking::{ErrorKind, Ivy, Task, TaskError};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");

/// How long a child may take. A child that hangs exits after that.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue server that supports posts only.
struct Server {
    listener: TcpListener,
}

impl Server {
    fn start() -> (Self, Ivy) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("ironmq+http://token@127.0.0.1:{port}/project");
        let ivy = Ivy::builder().queue_url(&url).notifier_url("memory://").build().unwrap();
        (Server { listener }, ivy)
    }

    /// Accepts one post and returns the request.
    fn accept(&self) -> String {
        let (stream, _) = self.listener.accept().unwrap();
        let request = read_request(&stream);
        let body = "{\"ids\":[\"1\"],\"msg\":\"Messages put on queue.\"}";
        let head = format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n", body.len());
        (&stream).write_all((head + body).as_bytes()).unwrap();
        // The client may close the connection or keep it.
        thread::spawn(move || (&stream).read_to_end(&mut Vec::new()));
        request
    }
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(announced) = line.strip_prefix("content-length:") {
            length = announced.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// The value of a key in a message within a request.
fn value_of<'a>(key: &str, request: &'a str) -> &'a str {
    let begin = format!("{key}\\\":\\\"");
    let (_, rest) = request.split_once(&begin).unwrap_or_else(|| panic!("no {key} in {request}"));
    rest.split_once('\\').unwrap().0
}

/// Runs `work` in a child, which exits with its result. Nothing else of the test's process runs
/// there.
fn in_child(work: impl FnOnce() -> i32) -> Pid {
    match fork::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            thread::spawn(|| {
                thread::sleep(PATIENCE);
                exit(99);
            });
            exit(work())
        }
    }
}

/// The id of a process.
type Pid = i32;

/// The exit code of a child.
fn code_of(child: Pid) -> i32 {
    let status = fork::waitpid(child).unwrap();
    assert!(fork::WIFEXITED(status), "the child ended with status {status}");
    fork::WEXITSTATUS(status)
}

#[test]
fn children_forked_before_the_first_use_share_neither_ids_nor_reply_channels() {
    let (server, ivy) = Server::start();
    let call = || i32::from(ivy.call(&DOUBLE, (1,)).is_err());
    let children = [in_child(call), in_child(call)];
    let posts = [server.accept(), server.accept()];
    assert_eq!(children.map(code_of), [0, 0]);
    let [first, second] = posts.each_ref();
    assert_ne!(value_of("reply", first), value_of("reply", second));
    assert_ne!(value_of("id", first), value_of("id", second));
}

#[test]
fn a_child_forked_after_the_first_use_is_refused_at_once() {
    let (server, ivy) = Server::start();
    let accepting = thread::spawn(move || {
        server.accept();
        server
    });
    let handle = ivy.call(&DOUBLE, (1,)).unwrap();
    let _server = accepting.join().unwrap();
    let mut events = ivy.events();
    let is_refused = |refused: Result<(), ivy_blocking::Error>| {
        refused.is_err_and(|error| {
            error.kind() == ErrorKind::Stopped && error.to_string().contains("forked")
        })
    };
    let child = in_child(|| {
        let worker = ivy.worker().register(&DOUBLE, |n: u64| Ok::<_, TaskError>(2 * n));
        let many = ivy.call_many(&DOUBLE, [(1,), (2,)]);
        let streamed: Vec<_> = ivy.call_stream(&DOUBLE, [(1,), (2,)], PATIENCE).collect();
        let checks = [
            is_refused(ivy.call(&DOUBLE, (1,)).map(drop)),
            is_refused(ivy.send(&DOUBLE, (1,)).map(drop)),
            many.len() == 2 && many.into_iter().all(|call| is_refused(call.map(drop))),
            streamed.len() == 2 && streamed.into_iter().all(|one| is_refused(one.result.map(drop))),
            is_refused(handle.result(PATIENCE).map(drop)),
            is_refused(worker.start().map(drop)),
            is_refused(ivy.admin().info("test").map(drop)),
            events.next().is_none(),
        ];
        // The number of the first failed check, from 1.
        checks.iter().position(|check| !check).map_or(0, |failed| failed as i32 + 1)
    });
    assert_eq!(code_of(child), 0, "the number of the failed check, from 1; 99 if the child hung");
}

#[test]
fn a_child_cannot_drain_a_worker_of_its_parent() {
    let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap();
    let worker = ivy.worker().register(&DOUBLE, |n: u64| Ok::<_, TaskError>(2 * n));
    let worker = worker.start().unwrap();
    let child = in_child(|| {
        worker.drain(PATIENCE);
        0
    });
    assert_eq!(code_of(child), 0);
    assert_eq!(ivy.call(&DOUBLE, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
    worker.drain(PATIENCE);
}
