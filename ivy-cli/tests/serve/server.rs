//! The program, started for one test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::http::{Connection, Response};

pub(crate) const PROJECT: &str = "5f0c2a8e9b1d4c7e8a6f0b3d";
pub(crate) const TOKEN: &str = "test-token";

/// `ivy serve` on a free port. It is killed at the end of the test.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        Server::start_with(&[])
    }

    pub(crate) fn start_with(options: &[&str]) -> Self {
        Server::start_by(|ivy| {
            ivy.args(["--token", TOKEN]).args(options);
        })
    }

    /// Starts it without a token, after this change of the command.
    pub(crate) fn start_by(change: impl FnOnce(&mut Command)) -> Self {
        let mut command = ivy();
        command.args(["serve", "--port", "0", "--project", PROJECT]);
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.trim_end().strip_prefix("listening on http://127.0.0.1:").unwrap();
        Server { child, stdout, stderr, port: port.parse().unwrap() }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn request(&self, verb: &str, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.try_request(verb, path, body).expect("a response")
    }

    pub(crate) fn try_request(
        &self,
        verb: &str,
        path: &str,
        body: impl AsRef<[u8]>,
    ) -> std::io::Result<Response> {
        let mut connection = self.connect();
        connection.send(request(verb, path, body));
        connection.try_read()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    pub(crate) fn put(&self, path: &str, body: Value) -> Response {
        self.request("PUT", path, body.to_string())
    }

    pub(crate) fn patch(&self, path: &str, body: Value) -> Response {
        self.request("PATCH", path, body.to_string())
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Response {
        self.request("POST", path, body.to_string())
    }

    pub(crate) fn delete(&self, path: &str, body: Value) -> Response {
        self.request("DELETE", path, body.to_string())
    }

    /// Posts messages with these bodies and returns their ids.
    pub(crate) fn post_bodies(&self, queue: &str, bodies: &[&str]) -> Vec<String> {
        let messages: Vec<_> = bodies.iter().map(|body| json!({ "body": body })).collect();
        let response =
            self.post(&format!("queues/{queue}/messages"), json!({ "messages": messages }));
        assert_eq!(response.status(), 201, "{}", response.text());
        let ids = response.json()["ids"].as_array().unwrap().clone();
        ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// Reserves messages and returns them as received.
    pub(crate) fn reserve(&self, queue: &str, request: Value) -> Vec<Value> {
        let response = self.post(&format!("queues/{queue}/reservations"), request);
        assert_eq!(response.status(), 200, "{}", response.text());
        response.json()["messages"].as_array().unwrap().clone()
    }

    /// Reserves one message and returns its id and its reservation.
    pub(crate) fn reserve_one(&self, queue: &str) -> (String, String) {
        let messages = self.reserve(queue, json!({}));
        let text = |key: &str| messages[0][key].as_str().unwrap().to_owned();
        (text("id"), text("reservation_id"))
    }

    /// The bodies of the ready messages.
    pub(crate) fn peek(&self, queue: &str) -> Vec<String> {
        bodies(&self.get(&format!("queues/{queue}/messages?n=100")).json()["messages"])
    }

    pub(crate) fn size(&self, queue: &str) -> u64 {
        self.get(&format!("queues/{queue}")).json()["queue"]["size"].as_u64().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The peak memory of the program so far, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        1024 * peak.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap()
    }

    /// Waits for the program to end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// The error output of the program, once it has ended.
    pub(crate) fn error_output(&mut self) -> String {
        let mut error_output = String::new();
        self.stderr.read_to_string(&mut error_output).unwrap();
        error_output
    }

    /// The output of the program after its first line, up to and including a line.
    pub(crate) fn read_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "{lines:?}");
            lines.push(line.trim_end().to_owned());
        }
        lines
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with empty input.
pub(crate) fn ivy() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivy"));
    command.stdin(Stdio::null());
    command
}

/// A request as most clients write it.
pub(crate) fn request(verb: &str, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let authorization = format!("Authorization: OAuth {TOKEN}");
    raw_request(verb, &format!("/3/projects/{PROJECT}/{path}"), &[&authorization], body)
}

/// A request with these headers, in addition to those that delimit its body.
pub(crate) fn raw_request(
    verb: &str,
    target: &str,
    headers: &[&str],
    body: impl AsRef<[u8]>,
) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = format!("{verb} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut request = request.into_bytes();
    request.extend(body);
    request
}

/// The bodies in an array of messages.
pub(crate) fn bodies(messages: &Value) -> Vec<String> {
    let messages = messages.as_array().unwrap();
    messages.iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}
