use std::net::Ipv4Addr;

use bytes::Bytes;
use ivy_ironmq::{Address, IronMq, Scheme, Token};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::binary;
use crate::process::Process;
use crate::secrets::QUEUE_TOKEN;

const PROJECT: &str = "5f0c2a8e9b1d4c7e8a6f0b3d";

/// The lines in which the server prints, for copying, how to reach it.
const GREETING: [&str; 2] = ["export IVY_QUEUE_URL=", "export IRON_MQ_TOKEN="];

/// `ivy serve`: the IronMQ server of this build, on a free port.
#[derive(Debug)]
pub struct IvyServer {
    port: u16,
    process: Process,
}

impl IvyServer {
    /// Starts a server.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with further options, like `--strict`.
    pub async fn start_with(options: &[&str]) -> Self {
        let args = ["serve", "--port", "0", "--project", PROJECT, "--token", QUEUE_TOKEN.text()]
            .into_iter()
            .chain(options.iter().copied());
        let mut process =
            Process::spawn("ivy serve", binary("ivy").as_os_str(), args, []).permitting(&GREETING);
        let line = process.line().await;
        let port =
            line.strip_prefix("listening on http://127.0.0.1:").and_then(|port| port.parse().ok());
        let Some(port) = port else { process.fail("did not first print where it listens") };
        IvyServer { port, process }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as a queue URL of ivy, including the token.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The URL of another port of this host that forwards requests to the server.
    #[must_use]
    pub fn url_at(&self, port: u16) -> String {
        format!("ironmq+http://{}@127.0.0.1:{port}/{PROJECT}", QUEUE_TOKEN.text())
    }

    /// The URL of a port that serves TLS with the certificate of this host.
    #[must_use]
    pub fn tls_url_at(&self, host: &str, port: u16) -> String {
        format!("ironmq://{}@{host}:{port}/{PROJECT}", QUEUE_TOKEN.text())
    }

    /// The environment variables by which the official clients and the Node package find it.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let port = self.port.to_string();
        // The clients for Node and for Python use different names for the scheme.
        [
            ("IRON_MQ_SCHEME", "http"),
            ("IRON_MQ_PROTOCOL", "http"),
            ("IRON_MQ_HOST", "127.0.0.1"),
            ("IRON_MQ_PORT", &port),
            ("IRON_MQ_PROJECT_ID", PROJECT),
            ("IRON_MQ_TOKEN", QUEUE_TOKEN.text()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// How many messages a queue contains, in any state; zero if it does not exist.
    pub async fn size(&self, queue: &str) -> u64 {
        self.number(queue, "size").await
    }

    /// How many messages were ever posted to a queue; zero if it does not exist.
    pub async fn posted(&self, queue: &str) -> u64 {
        self.number(queue, "total_messages").await
    }

    async fn number(&self, queue: &str, field: &str) -> u64 {
        let (status, response) = self.request("GET", &format!("queues/{queue}"), None).await;
        match (status, response["queue"][field].as_u64()) {
            (200, Some(number)) => number,
            (404, _) => 0,
            _ => self.process.fail(&format!("responded {status} {response}")),
        }
    }

    /// Posts a message with exactly this body.
    pub async fn post(&self, queue: &str, body: &str) {
        let request = json!({ "messages": [{ "body": body }] });
        let (status, response) =
            self.request("POST", &format!("queues/{queue}/messages"), Some(&request)).await;
        if status != 201 {
            self.process.fail(&format!("responded {status} {response}"));
        }
    }

    /// Reserves the next message of a queue and releases it, this many times, as workers do that
    /// end while they run it.
    pub async fn deliver_without_delete(&self, queue: &str, times: usize) {
        for _ in 0..times {
            let path = format!("queues/{queue}/reservations");
            let (_, response) = self.request("POST", &path, Some(&json!({ "n": 1 }))).await;
            let message = &response["messages"][0];
            let Some(id) = message["id"].as_str() else {
                self.process.fail(&format!("responded {response}"))
            };
            let path = format!("queues/{queue}/messages/{id}/release");
            let release = json!({ "reservation_id": message["reservation_id"], "delay": 0 });
            let (status, response) = self.request("POST", &path, Some(&release)).await;
            if status != 200 {
                self.process.fail(&format!("responded {status} {response}"));
            }
        }
    }

    /// The bodies of up to a hundred ready messages of a queue, which stay in it.
    pub async fn peek(&self, queue: &str) -> Vec<String> {
        let (_, response) =
            self.request("GET", &format!("queues/{queue}/messages?n=100"), None).await;
        let messages = response["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().filter_map(|message| Some(message["body"].as_str()?.to_owned())).collect()
    }

    /// Sends one request and returns the response's status and body.
    ///
    /// Written by hand instead of with ivy's own client, so that an error in the client cannot hide
    /// an error in the server.
    async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, body) =
            self.send(method, &format!("/3/projects/{PROJECT}/{path}"), &body).await;
        (status, serde_json::from_str(&body).expect("a response is JSON"))
    }

    /// Sends a request that ivy wrote, and returns the raw response.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let body = std::str::from_utf8(request.body()).expect("ivy's requests are text");
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let (status, body) = self.send(request.method().as_str(), path, body).await;
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("the status is valid");
        response
    }

    /// Ivy's own codec for IronMQ requests and responses.
    #[must_use]
    pub fn ironmq(&self) -> IronMq {
        let address =
            Address::new(Scheme::Http, "127.0.0.1", PROJECT).expect("the address is valid");
        IronMq::new(&address, Token::new(QUEUE_TOKEN.text()).expect("the token is valid"))
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: OAuth {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            QUEUE_TOKEN.text(),
            body.len()
        );
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("ivy serve listens");
        stream.write_all(request.as_bytes()).await.expect("ivy serve reads a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("ivy serve responds");
        let (head, body) = response.split_once("\r\n\r\n").expect("a response has a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a response has a status");
        (status, body.to_owned())
    }
}
