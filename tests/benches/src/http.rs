//! The HTTP clients that ivy uses, sending requests to a queue server without ivy.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::lock::Mutex;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::server::{PROJECT, TOKEN};

/// How long an unused connection is kept open, as in ivy.
const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// The client of one queue.
#[derive(Clone)]
pub(crate) struct Http<C = TokioClient> {
    client: C,
    queue: String,
}

/// Sends requests.
pub(crate) trait SendRequests: Send + Sync + 'static {
    fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Incoming>, RequestError>> + Send;
}

type RequestError = Box<dyn Error + Send + Sync>;

/// A pool of connections on tokio.
pub(crate) type TokioClient = Client<HttpConnector, Full<Bytes>>;

/// One connection on async-std, for which hyper has no pool.
pub(crate) struct AsyncStdConnection(Mutex<SendRequest<Full<Bytes>>>);

impl SendRequests for TokioClient {
    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, RequestError> {
        Ok(self.request(request).await?)
    }
}

impl SendRequests for AsyncStdConnection {
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, RequestError> {
        // A pool would do this.
        let path = request.uri().path().parse().expect("the path is valid");
        let address = std::mem::replace(request.uri_mut(), path);
        let host = address.authority().expect("the address has an authority").as_str();
        request.headers_mut().insert(HOST, host.parse().expect("a valid host"));
        Ok(self.0.lock().await.send_request(request).await?)
    }
}

impl Http {
    pub(crate) fn new(port: u16, queue: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_LIMIT).build(connector);
        Http { client, queue: address(port, queue) }
    }

    pub(crate) async fn delete(&self, of: &str, body: String) -> Bytes {
        self.request(Method::DELETE, of, body).await.expect("the server responds")
    }
}

impl Http<AsyncStdConnection> {
    pub(crate) async fn connect(port: u16, queue: &str) -> Self {
        let stream = async_std::net::TcpStream::connect(("127.0.0.1", port)).await;
        let stream = stream.expect("the server listens");
        stream.set_nodelay(true).expect("the connection is TCP");
        let (sender, connection) = http1::handshake(TokioIo::new(stream.compat()))
            .await
            .expect("an HTTP handshake cannot fail");
        async_std::task::spawn(connection);
        Http { client: AsyncStdConnection(Mutex::new(sender)), queue: address(port, queue) }
    }
}

impl<C: SendRequests> Http<C> {
    pub(crate) async fn post(&self, of: &str, body: String) -> Bytes {
        self.try_post(of, body).await.expect("the server responds")
    }

    pub(crate) async fn try_post(&self, of: &str, body: String) -> Result<Bytes, RequestError> {
        self.request(Method::POST, of, body).await
    }

    async fn request(&self, method: Method, of: &str, body: String) -> Result<Bytes, RequestError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{of}", self.queue))
            .header("authorization", format!("OAuth {TOKEN}"))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .expect("a valid request");
        let response = self.client.send(request).await?;
        Ok(response.into_body().collect().await?.to_bytes())
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
