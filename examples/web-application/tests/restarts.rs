//! The two programs over a real Redis: what they do, and what restarts of each part change.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use ivy_test_kit::{PATIENCE, Process, RedisServer};
use ivy_tokio::Ivy;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// So long that the line of an invoice is never finished, in milliseconds.
const FOREVER: &str = "1000000000";

/// The web application, and where it listens.
struct Web {
    process: Process,
    address: String,
}

/// A response: its status, and its body.
type Reply = (u16, Value);

impl Web {
    async fn start(redis: &RedisServer) -> Web {
        let program = OsStr::new(env!("CARGO_BIN_EXE_invoices-web"));
        let listen = ("ADDRESS".to_owned(), "127.0.0.1:0".to_owned());
        let mut process =
            Process::spawn("invoices-web", program, [""; 0], [queue_of(redis), listen]);
        let line = log_line(&mut process, "listening").await;
        Web { process, address: line["address"].as_str().unwrap().to_owned() }
    }

    async fn get(&self, path: &str) -> Reply {
        self.request(format!("GET {path} HTTP/1.1\r\n"), "").await
    }

    /// Sends an order under a key.
    async fn post(&self, key: &str, order: &Value) -> Reply {
        let head = format!("POST /invoices HTTP/1.1\r\nidempotency-key: {key}\r\n");
        self.request(head, &order.to_string()).await
    }

    /// Sends an order, as a client does: again while the response is 503. Returns the path of its invoice.
    async fn order(&self, key: &str, order: &Value) -> String {
        self.order_until(key, order, "accepted").await
    }

    /// Sends an order until its status is this one. Returns the path of its invoice.
    async fn order_until(&self, key: &str, order: &Value, status: &str) -> String {
        let post = async || self.post(key, order).await;
        let (code, body) = until(post, |body| body["status"] == status).await;
        assert_eq!(code, 202, "{body}");
        format!("/invoices/{}", body["id"].as_str().unwrap())
    }

    /// Polls an invoice until it is rendered.
    async fn rendered(&self, path: &str) -> Value {
        let (_, body) =
            until(async || self.get(path).await, |body| body["status"] == "rendered").await;
        body["invoice"].clone()
    }

    async fn request(&self, head: String, body: &str) -> Reply {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let fields = "host: invoices\r\nconnection: close\r\ncontent-type: application/json\r\n";
        let request = format!("{head}{fields}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    async fn stop(mut self) {
        self.process.signal("TERM");
        self.process.success().await;
    }
}

/// Starts a worker, with this time for a line of an invoice.
async fn start_worker(redis: &RedisServer, time_per_line: &str) -> Process {
    let program = OsStr::new(env!("CARGO_BIN_EXE_invoices-worker"));
    let mut worker = Process::spawn("invoices-worker", program, [time_per_line], [queue_of(redis)]);
    log_line(&mut worker, "serving").await;
    worker
}

fn queue_of(redis: &RedisServer) -> (String, String) {
    ("IVY_QUEUE_URL".to_owned(), redis.url())
}

/// An order of one line.
fn order(tenant: &str) -> Value {
    json!({"tenant": tenant, "lines": [{"text": "Tea", "cents": 450}]})
}

/// The next line of a program's log with this message.
async fn log_line(process: &mut Process, message: &str) -> Value {
    loop {
        let line: Value = serde_json::from_str(&process.line().await).unwrap();
        if line["message"] == message {
            return line;
        }
    }
}

/// Reads a worker's log until it contains each of these pairs of message and tenant, in any order.
async fn log_lines(worker: &mut Process, pairs: &[(&str, &str)]) {
    let mut missing = pairs.to_vec();
    while !missing.is_empty() {
        let line: Value = serde_json::from_str(&worker.line().await).unwrap();
        let is_this = |(message, tenant): &(&str, &str)| {
            line["message"] == *message && line["span"]["tenant"] == *tenant
        };
        missing.iter().position(is_this).map(|found| missing.swap_remove(found));
    }
}

/// Repeats a request until its response is the wanted one.
async fn until(request: impl AsyncFn() -> Reply, is_wanted: impl Fn(&Value) -> bool) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = request().await;
        if is_wanted(&reply.1) {
            return reply;
        }
        assert!(begun.elapsed() < PATIENCE, "{reply:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_invoice_is_rendered_and_fetched() {
    let redis = RedisServer::start().await;
    let (web, mut worker) = (Web::start(&redis).await, start_worker(&redis, "0").await);
    let path = web.order("1", &order("acme")).await;
    let page = "Invoice of acme\nTea: 4.50 EUR\nTotal: 4.50 EUR\n";
    assert_eq!(web.rendered(&path).await, json!({"cents": 450, "page": page}));

    let line = log_line(&mut worker, "rendered").await;
    assert_eq!(format!("/invoices/{}", line["span"]["task_id"].as_str().unwrap()), path);
    assert_eq!(line["span"]["tenant"], "acme");
    assert_eq!(line["span"]["trace_id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn the_worker_logs_the_trace_of_the_request() {
    let redis = RedisServer::start().await;
    let (web, mut worker) = (Web::start(&redis).await, start_worker(&redis, "0").await);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let head = format!(
        "POST /invoices HTTP/1.1\r\nidempotency-key: 1\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n"
    );
    assert_eq!(web.request(head, &order("acme").to_string()).await.0, 202);
    assert_eq!(log_line(&mut worker, "rendered").await["span"]["trace_id"], trace);
}

#[tokio::test]
async fn what_is_unknown_is_not_found_and_what_has_no_key_is_refused() {
    let redis = RedisServer::start().await;
    let web = Web::start(&redis).await;
    assert_eq!(web.get("/invoices/BwcHBwcHBwcHBwcHBwcHBw").await.0, 404);
    assert_eq!(web.get("/invoices/none").await.0, 404);
    let head = "POST /invoices HTTP/1.1\r\n".to_owned();
    assert_eq!(web.request(head, &order("acme").to_string()).await.0, 400);
    assert_eq!(web.get("/livez").await.0, 200);
}

#[tokio::test]
async fn one_key_is_one_task() {
    let redis = RedisServer::start().await;
    let web = Web::start(&redis).await;
    let path = web.order("1", &order("acme")).await;
    assert_eq!(web.order("1", &order("acme")).await, path);
    let another = json!({"tenant": "acme", "lines": []});
    assert_eq!(web.post("1", &another).await.0, 409);
    let ivy = Ivy::connect(&redis.url()).unwrap();
    assert_eq!(ivy.admin().info("invoices").await.unwrap().size, Some(1));
    // The same key of another tenant is another one.
    assert_ne!(web.order("1", &order("other")).await, path);
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_loses_no_invoice() {
    let redis = RedisServer::start().await;
    let (web, mut worker) = (Web::start(&redis).await, start_worker(&redis, FOREVER).await);
    let path = web.order("1", &order("acme")).await;
    log_line(&mut worker, "rendering").await;
    // It does not finish the invoice, so that it ends shows that the drain is limited.
    worker.signal("TERM");
    worker.success().await;

    let _next = start_worker(&redis, "0").await;
    assert_eq!(web.rendered(&path).await["cents"], 450);
}

#[tokio::test]
async fn a_web_application_that_is_told_to_end_finishes_its_requests() {
    let redis = RedisServer::start().await;
    let mut web = Web::start(&redis).await;
    web.order("1", &order("acme")).await;
    let mut stream = TcpStream::connect(&web.address).await.unwrap();
    let body = order("acme").to_string();
    let head = format!(
        "POST /invoices HTTP/1.1\r\nhost: invoices\r\nidempotency-key: 1\r\ncontent-length: {}\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = [0; 25];
    stream.read_exact(&mut response).await.unwrap();
    assert_eq!(response.as_slice(), b"HTTP/1.1 100 Continue\r\n\r\n");

    web.process.signal("TERM");
    log_line(&mut web.process, "finishing the requests").await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 202 "), "{response}");
    web.process.success().await;
}

#[tokio::test]
async fn a_web_application_that_was_restarted_accepts_again() {
    let redis = RedisServer::start().await;
    let web = Web::start(&redis).await;
    let path = web.order("1", &order("acme")).await;
    web.stop().await;

    let (web, _worker) = (Web::start(&redis).await, start_worker(&redis, "0").await);
    // The handle has ended with its process. The same order has the same id.
    assert_eq!(web.get(&path).await.0, 404);
    assert_eq!(web.order("1", &order("acme")).await, path);
    assert_eq!(web.rendered(&path).await["cents"], 450);
}

#[tokio::test]
async fn an_application_without_its_redis_is_alive_and_not_ready() {
    let mut redis = RedisServer::start().await;
    let web = Web::start(&redis).await;
    until(async || web.get("/readyz").await, |body| body["status"] == "ready").await;
    redis.kill_hard().await;
    until(async || web.get("/readyz").await, |body| body["error"] == "not ready").await;
    assert_eq!(web.get("/readyz").await.0, 503);
    assert_eq!(web.get("/livez").await.0, 200);
    assert_eq!(web.post("1", &order("acme")).await.0, 503);

    redis.restart().await;
    let ready = until(async || web.get("/readyz").await, |body| body["status"] == "ready").await;
    assert_eq!(ready.0, 200);
    let _worker = start_worker(&redis, "0").await;
    let path = web.order("1", &order("acme")).await;
    assert_eq!(web.rendered(&path).await["cents"], 450);
}

#[tokio::test]
async fn an_order_without_a_reply_from_the_queue_is_unknown_and_may_be_rendered() {
    let redis = RedisServer::start().await;
    let (web, _worker) = (Web::start(&redis).await, start_worker(&redis, "0").await);
    let path = web.order("1", &order("acme")).await;
    web.rendered(&path).await;

    redis.query::<()>(redis::cmd("CLIENT").arg("PAUSE").arg(600_000).arg("WRITE")).await;
    let path = web.order_until("2", &order("acme"), "unknown").await;
    assert_eq!(web.get(&path).await.1["status"], "unknown");

    redis.query::<()>(redis::cmd("CLIENT").arg("UNPAUSE")).await;
    assert_eq!(web.rendered(&path).await["cents"], 450);
}

#[tokio::test]
async fn a_third_invoice_of_a_tenant_is_postponed_while_others_go_on() {
    let redis = RedisServer::start().await;
    let (web, mut worker) = (Web::start(&redis).await, start_worker(&redis, FOREVER).await);
    for key in ["1", "2", "3"] {
        web.order(key, &order("acme")).await;
    }
    let acme = [("rendering", "acme"), ("rendering", "acme"), ("postponed", "acme")];
    log_lines(&mut worker, &acme).await;
    // Without lines, it takes no time.
    let path = web.order("1", &json!({"tenant": "other", "lines": []})).await;
    assert_eq!(web.rendered(&path).await["cents"], 0);
}
