//! The HTTP clients under ivy, asking a queue server without it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::server::{PROJECT, TOKEN};

/// How long an unused connection is kept, as ivy does.
const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// The client of one queue.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    queue: String,
}

impl Http {
    pub(crate) fn new(port: u16, queue: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_LIMIT).build(connector);
        Http { client, queue: address(port, queue) }
    }

    pub(crate) async fn post(&self, of: &str, body: String) -> Bytes {
        self.ask(Method::POST, of, body).await
    }

    pub(crate) async fn delete(&self, of: &str, body: String) -> Bytes {
        self.ask(Method::DELETE, of, body).await
    }

    async fn ask(&self, method: Method, of: &str, body: String) -> Bytes {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{of}", self.queue))
            .header("authorization", format!("OAuth {TOKEN}"))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .expect("a good request");
        let answer = self.client.request(request).await.expect("the server answers");
        answer.into_body().collect().await.expect("a whole answer").to_bytes()
    }
}

/// The client of one queue, for threads.
#[derive(Clone)]
pub(crate) struct BlockingHttp {
    agent: ureq::Agent,
    queue: String,
}

impl BlockingHttp {
    pub(crate) fn new(port: u16, queue: &str) -> Self {
        let agent = ureq::Agent::config_builder().max_idle_age(IDLE_LIMIT).build().new_agent();
        BlockingHttp { agent, queue: address(port, queue) }
    }

    pub(crate) fn post(&self, of: &str, body: &str) -> Result<Vec<u8>, ureq::Error> {
        let request = self
            .agent
            .post(format!("{}/{of}", self.queue))
            .header("authorization", format!("OAuth {TOKEN}"))
            .header("content-type", "application/json");
        request.send(body)?.body_mut().read_to_vec()
    }
}

fn address(port: u16, queue: &str) -> String {
    format!("http://127.0.0.1:{port}/3/projects/{PROJECT}/queues/{queue}")
}
