//! The connections of a health listener.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use ivy_proto::health::http::{
    CLIENT_LIMIT, MAX_CONNECTIONS, MAX_DISCARDED, Method, Refusal, Request, RequestReader, Response,
};

use super::counters::Counters;
use super::listener::Pages;
use crate::runtime::Runtime;
use crate::timeout::timeout;

/// A client and its request; `None` if it did not send one.
type Received<Tcp> = Option<(Tcp, Result<Request, Refusal>)>;

/// A client, and the head and body of its response.
type Answered<Tcp> = (Tcp, String, String);

/// The connections that are open: at most [`MAX_CONNECTIONS`].
///
/// If a client connects when there are as many, the oldest of those is closed whose client has its
/// response, or else has not sent its request, or else does not read its response as fast as it is
/// written. While all wait for their responses, no client is accepted.
pub(super) struct Connections<R: Runtime, P> {
    pages: Arc<P>,
    counters: Counters,
    receiving: VecDeque<BoxFuture<'static, Received<R::Tcp>>>,
    answering: FuturesUnordered<BoxFuture<'static, Answered<R::Tcp>>>,
    writing: VecDeque<BoxFuture<'static, Option<R::Tcp>>>,
    closing: VecDeque<BoxFuture<'static, ()>>,
}

impl<R: Runtime, P: Pages> Connections<R, P> {
    pub(super) fn new(pages: Arc<P>, counters: Counters) -> Self {
        Connections {
            pages,
            counters,
            receiving: VecDeque::new(),
            answering: FuturesUnordered::new(),
            writing: VecDeque::new(),
            closing: VecDeque::new(),
        }
    }

    /// Whether a connection may be added.
    pub(super) fn has_place(&self) -> bool {
        self.answering.len() < MAX_CONNECTIONS
    }

    /// Adds a connection, if there is a place.
    pub(super) fn add(&mut self, tcp: R::Tcp) {
        let others = self.receiving.len() + self.writing.len() + self.closing.len();
        if others + self.answering.len() >= MAX_CONNECTIONS && self.closing.pop_front().is_none() {
            self.counters.cut_off();
            if self.receiving.pop_front().is_none() && self.writing.pop_front().is_none() {
                return;
            }
        }
        self.receiving.push_back(receive::<R>(tcp).boxed());
    }

    /// Continues with all connections.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        while let Some(received) = poll_any(&mut self.receiving, context) {
            let Some((tcp, request)) = received else {
                self.counters.cut_off();
                continue;
            };
            match request {
                Ok(_) => self.counters.answered(),
                Err(_) => self.counters.refused(),
            }
            let pages = Arc::clone(&self.pages);
            self.answering.push(answer(pages, tcp, request).boxed());
        }
        while let Poll::Ready(Some((tcp, head, body))) = self.answering.poll_next_unpin(context) {
            self.writing.push_back(write::<R>(tcp, head, body).boxed());
        }
        while let Some(written) = poll_any(&mut self.writing, context) {
            self.closing.extend(written.map(|tcp| close::<R>(tcp).boxed()));
        }
        while let Some(()) = poll_any(&mut self.closing, context) {}
    }
}

/// Polls futures until one completes, and removes that one.
fn poll_any<T>(
    futures: &mut VecDeque<BoxFuture<'static, T>>,
    context: &mut Context<'_>,
) -> Option<T> {
    let mut polled = futures.iter_mut().enumerate();
    let (at, output) = polled.find_map(|(at, future)| match future.poll_unpin(context) {
        Poll::Ready(output) => Some((at, output)),
        Poll::Pending => None,
    })?;
    drop(futures.remove(at));
    Some(output)
}

async fn receive<R: Runtime>(mut tcp: R::Tcp) -> Received<R::Tcp> {
    let received = timeout::<R, _>(CLIENT_LIMIT, read_request(&mut tcp)).await;
    Some((tcp, received??))
}

/// Reads the request; `None` if the connection ends before.
async fn read_request(tcp: &mut (impl AsyncRead + Unpin)) -> Option<Result<Request, Refusal>> {
    let mut reader = RequestReader::new();
    loop {
        match tcp.read(reader.room()).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => {
                if let Some(request) = reader.read(length) {
                    return Some(request);
                }
            }
        }
    }
}

async fn answer<Tcp, P: Pages>(
    pages: Arc<P>,
    tcp: Tcp,
    request: Result<Request, Refusal>,
) -> Answered<Tcp> {
    let (response, method) = match request {
        Ok(Request { page, method }) => (pages.page(page).await, method),
        Err(refusal) => (Response::from(refusal), Method::Get),
    };
    let (head, body) = response.into_head_and_body(method);
    (tcp, head, body)
}

/// Returns the connection if the client took the response in time.
async fn write<R: Runtime>(mut tcp: R::Tcp, head: String, body: String) -> Option<R::Tcp> {
    let write = async {
        tcp.write_all(head.as_bytes()).await?;
        tcp.write_all(body.as_bytes()).await?;
        tcp.flush().await?;
        R::end_sending(&mut tcp).await
    };
    timeout::<R, _>(CLIENT_LIMIT, write).await?.ok()?;
    Some(tcp)
}

/// Discards what the client sends until it closes the connection.
async fn close<R: Runtime>(mut tcp: R::Tcp) {
    let discard = async {
        let (mut piece, mut discarded) = ([0; 4096], 0);
        while discarded < MAX_DISCARDED
            && let Ok(length @ 1..) = tcp.read(&mut piece).await
        {
            discarded += length;
        }
    };
    timeout::<R, _>(CLIENT_LIMIT, discard).await;
}
