//! Messages sent over HTTP without waiting for results, by ivy and by its client alone.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use ivy_proto::task::Task;

use crate::bare_servers::ANY_COUNT;
use crate::http::Http;
use crate::load::Load;
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK, Wire};

/// How many messages a producer accepts at a time.
const MANY: u64 = 10_000;
const BATCH: u64 = 100;
const POSTS_IN_FLIGHT: usize = 8;
const CALLERS: u64 = 64;
/// How often each caller sends in one step.
const EACH: u64 = 50;

/// Sent one by one, all at the same time, to a server that only responds.
pub(crate) fn ivy_many() -> Load {
    const ANYWHERE: Task<(u64,), ()> = Task::new(TASK).queue(ANY_COUNT);
    let server = Server::own("serve-bytes");
    let runtime = runtime();
    let ivy = connect(&runtime, &server);
    let step = move || {
        let sent = runtime.block_on(join_all((0..MANY).map(|n| ivy.send(&ANYWHERE, (n,)))));
        assert!(sent.iter().all(Result::is_ok), "the server accepts everything");
        MANY
    };
    Load { servers: vec![server], ..Load::of(step) }
}

/// The same messages in full requests, eight in flight.
pub(crate) fn baseline_many() -> Load {
    let server = Server::own("serve-bytes");
    let runtime = runtime();
    let (http, wire) = (Http::new(server.port(), ANY_COUNT), Wire::new());
    let step = move || {
        let posts =
            stream::iter(0..MANY / BATCH).map(|_| http.post("messages", post(&wire, BATCH)));
        runtime.block_on(posts.buffer_unordered(POSTS_IN_FLIGHT).count());
        MANY
    };
    Load { servers: vec![server], ..Load::of(step) }
}

/// Callers that send again when their send has completed.
pub(crate) fn ivy_callers() -> Load {
    const SEND: Task<(u64,), ()> = Task::new(TASK).queue(QUEUE);
    let server = Server::ivy();
    let runtime = runtime();
    let ivy = connect(&runtime, &server);
    let step = move || {
        let caller = async |_| {
            for n in 0..EACH {
                ivy.send(&SEND, (n,)).await.expect("the send is accepted");
            }
        };
        runtime.block_on(join_all((0..CALLERS).map(caller)));
        CALLERS * EACH
    };
    Load { servers: vec![server], ..Load::of(step) }
}

/// The same with a request for each message.
pub(crate) fn baseline_callers() -> Load {
    let server = Server::ivy();
    let runtime = runtime();
    let (http, wire) = (Http::new(server.port(), QUEUE), Wire::new());
    let step = move || {
        let caller = async |_| {
            for _ in 0..EACH {
                http.post("messages", post(&wire, 1)).await;
            }
        };
        runtime.block_on(join_all((0..CALLERS).map(caller)));
        CALLERS * EACH
    };
    Load { servers: vec![server], ..Load::of(step) }
}

/// A post of this many messages.
fn post(wire: &Wire, messages: u64) -> String {
    let message = |_| {
        let body = serde_json::to_string(&wire.message()).expect("a text");
        format!("{{\"body\":{body}}}")
    };
    format!("{{\"messages\":[{}]}}", (0..messages).map(message).collect::<Vec<_>>().join(","))
}

fn connect(runtime: &tokio::runtime::Runtime, server: &Server) -> ivy_tokio::Ivy {
    let _inside = runtime.enter();
    let ivy = ivy_tokio::Ivy::builder().queue_url(&server.ironmq_url()).build();
    ivy.expect("a valid address")
}
