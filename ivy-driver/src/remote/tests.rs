//! The executor with a line-based session over loopback.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::StreamExt;
use ivy_proto::backend::{
    CommandId, ConnectionId, Endpoint, Input, Notifier, Output, Queue, Session, SubscriptionEvent,
};
use ivy_proto::notify::{NotifyFaultKind, Publication};
use ivy_proto::queue::{Body, Capabilities, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{ChannelName, Moment, QueueName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::session::{SessionBackend, SessionQueue};
use crate::clock::Clock;
use crate::events::EventSink;
use crate::testing::Tokio;

const LINE: ConnectionId = ConnectionId(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends each publication as a line, and treats each received line as the reply to the oldest
/// request or, if there is none, as a notice.
#[derive(Debug)]
struct InLines {
    port: u16,
    is_open: bool,
    unsent: Vec<u8>,
    pending: VecDeque<CommandId>,
    listening: Option<CommandId>,
    received: Vec<u8>,
    outputs: VecDeque<Output>,
}

impl InLines {
    fn new(port: u16) -> Self {
        InLines {
            port,
            is_open: false,
            unsent: Vec::new(),
            pending: VecDeque::new(),
            listening: None,
            received: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    fn connect(&mut self) {
        if self.is_open {
            self.outputs.push_back(Output::Send(LINE, std::mem::take(&mut self.unsent)));
        } else if self.outputs.is_empty() {
            let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: self.port, tls: false };
            self.outputs.push_back(Output::Open(LINE, endpoint));
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(command_id) = self.pending.pop_front() else {
            let channel = ChannelName::new("news").unwrap();
            let notice = SubscriptionEvent::Notice { channel, payload: line.to_vec() };
            self.outputs.extend(
                self.listening.map(|command_id| Output::SubscriptionEvent(command_id, notice)),
            );
            return;
        };
        self.outputs.push_back(Output::Published(command_id, Ok(line.len() as u64)));
    }
}

impl Session for InLines {
    fn handle_input(&mut self, input: Input<'_>, _: Moment) {
        match input {
            Input::Publish(command_id, publication) => {
                assert_ne!(publication.payload.as_str(), "panic", "as requested");
                self.unsent.extend(publication.payload.as_str().as_bytes());
                self.unsent.push(b'\n');
                self.pending.push_back(command_id);
                self.connect();
            }
            Input::Subscribe(command_id, _) => {
                self.listening = Some(command_id);
                self.connect();
            }
            Input::Opened(LINE) => {
                self.is_open = true;
                let listening = self.listening;
                self.outputs.extend(listening.map(|command_id| {
                    Output::SubscriptionEvent(command_id, SubscriptionEvent::Subscribed)
                }));
                self.connect();
            }
            Input::Received(LINE, bytes) => {
                let mut pieces = bytes.split(|byte| *byte == b'\n');
                self.received.extend(pieces.next().unwrap_or_default());
                for next in pieces {
                    let line = std::mem::replace(&mut self.received, next.to_vec());
                    self.line(&line);
                }
            }
            Input::Execute(command_id, op) => {
                let refused = Fault::new(FaultKind::Refused);
                let reply = match op {
                    QueueOp::Clear { .. } => Ok(QueueReply::Cleared),
                    _ => Err(refused),
                };
                self.outputs.push_back(Output::Executed(command_id, reply));
            }
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }
}

async fn server() -> (TcpListener, SessionBackend<Tokio>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let clock = Clock::start();
    let make = move |_| Box::new(InLines::new(port)) as Box<dyn Session>;
    (listener, SessionBackend::new(make, None, clock, EventSink::new(clock)))
}

fn publication(text: &str) -> Publication {
    Publication { channel: ChannelName::new("news").unwrap(), payload: Body::new(text) }
}

/// Echoes each line.
async fn echo(mut stream: TcpStream) {
    let (mut reads, mut writes) = stream.split();
    let _ = tokio::io::copy(&mut reads, &mut writes).await;
}

#[tokio::test]
async fn a_request_is_sent_and_receives_its_reply() {
    let (listener, backend) = server().await;
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    assert_eq!(backend.publish(publication("hello")).await, Ok(5));
    assert_eq!(backend.publish(publication("hi")).await, Ok(2));
}

#[tokio::test]
async fn a_session_may_be_a_queue() {
    let (_listener, backend) = server().await;
    let queue = SessionQueue::new(backend, Capabilities::broker());
    let name = || QueueName::new("mail").unwrap();
    assert_eq!(queue.execute(QueueOp::Clear { queue: name() }).await, Ok(QueueReply::Cleared));
    let refused = queue.execute(QueueOp::GetQueue { queue: name() }).await;
    assert_eq!(refused.unwrap_err().kind(), FaultKind::Refused);
}

/// Neither end of this connection may wait until it has sent everything before it reads.
#[tokio::test]
async fn it_reads_while_it_writes() {
    let (listener, backend) = server().await;
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let large = "x".repeat(16 << 20);
    let published = timeout(PATIENCE, backend.publish(publication(&large))).await;
    assert_eq!(published.unwrap(), Ok(large.len() as u64));
}

#[tokio::test]
async fn a_subscription_that_is_not_read_stops_reading_from_the_server() {
    let (listener, backend) = server().await;
    let mut events = backend.subscribe(Vec::new());
    let (accepted, subscribed) = tokio::join!(listener.accept(), events.next());
    assert!(matches!(subscribed, Some(SubscriptionEvent::Subscribed)));
    let mut stream = accepted.unwrap().0;
    let notices = tokio::spawn(async move {
        let notice = [b"x".repeat(1 << 20), b"\n".to_vec()].concat();
        for _ in 0..64 {
            stream.write_all(&notice).await.unwrap();
        }
        stream
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!notices.is_finished(), "64 MiB are too many to buffer");
    for _ in 0..64 {
        assert!(matches!(events.next().await, Some(SubscriptionEvent::Notice { .. })));
    }
    notices.await.unwrap();
}

#[tokio::test]
async fn a_panic_of_a_session_costs_its_requests_and_the_next_session_continues() {
    let (listener, backend) = server().await;
    tokio::spawn(async move {
        loop {
            tokio::spawn(echo(listener.accept().await.unwrap().0));
        }
    });
    assert_eq!(backend.publish(publication("hello")).await, Ok(5));
    let fault = backend.publish(publication("panic")).await.unwrap_err();
    assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost);
    assert_eq!(backend.publish(publication("hi")).await, Ok(2));
}

#[tokio::test]
async fn a_panic_while_a_session_is_created_costs_its_request() {
    let clock = Clock::start();
    let make = |_| -> Box<dyn Session> { panic!("out of cheese") };
    let backend = SessionBackend::<Tokio>::new(make, None, clock, EventSink::new(clock));
    let fault = backend.publish(publication("hello")).await.unwrap_err();
    assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost);
    assert!(matches!(backend.subscribe(Vec::new()).next().await, Some(SubscriptionEvent::Lost(_))));
}

#[tokio::test]
async fn connections_end_with_the_backend() {
    let (listener, backend) = server().await;
    let mut events = backend.subscribe(Vec::new());
    let (accepted, _) = tokio::join!(listener.accept(), events.next());
    drop((backend, events));
    let mut stream = accepted.unwrap().0;
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_backend_outlives_the_runtime_of_its_first_use() {
    let (listener, backend) = server().await;
    tokio::spawn(async move {
        loop {
            tokio::spawn(echo(listener.accept().await.unwrap().0));
        }
    });
    let publishing = backend.publish(publication("hello"));
    let elsewhere = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(publishing)
    });
    let joined = tokio::task::spawn_blocking(|| elsewhere.join().unwrap()).await;
    assert_eq!(joined.unwrap(), Ok(5));
    assert_eq!(backend.publish(publication("hi")).await, Ok(2));
}
