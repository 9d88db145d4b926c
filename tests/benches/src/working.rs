//! Tasks that do nothing, processed over HTTP: reserved and deleted by the hundred. By ivy, and by
//! the client under it.

use std::hint::black_box;
use std::sync::Arc;

use futures_util::future::join_all;
use ivy_proto::task::{Task, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::count::Count;
use crate::http::Http;
use crate::load::Load;
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK};

const NOTHING: Task<(u64,), ()> = Task::new(TASK).queue(QUEUE);
/// How many tasks make one step.
const ROUND: u64 = 8_000;
const BATCH: u64 = 100;

/// A worker of this many slots.
pub(crate) fn ivy(concurrency: usize) -> Load {
    let server = Server::own("serve-json");
    let runtime = runtime();
    let count = Arc::new(Count::default());
    let counting = Arc::clone(&count);
    let handler = move |_: u64| {
        counting.increment();
        async { Ok::<(), TaskError>(()) }
    };
    let worker = {
        let _inside = runtime.enter();
        let ivy = ivy_tokio::Ivy::builder().queue_url(&server.ironmq_url()).build();
        let ivy = ivy.expect("a valid address");
        ivy.worker().register(&NOTHING, handler).concurrency(concurrency)
    };
    let worker = runtime.block_on(worker.start()).expect("a valid worker");
    let step = move || {
        let _ = &worker;
        runtime.block_on(count.wait_for_more(ROUND));
        ROUND
    };
    Load { servers: vec![server], ..Load::of(step) }
}

/// This many loops that each reserve, read and delete a hundred.
pub(crate) fn baseline(loops: u64) -> Load {
    let server = Server::own("serve-json");
    let runtime = runtime();
    let http = Http::new(server.port(), QUEUE);
    let step = move || {
        let rounds = ROUND / BATCH / loops;
        let each = async |_| {
            for _ in 0..rounds {
                reserve_and_delete(&http).await;
            }
        };
        runtime.block_on(join_all((0..loops).map(each)));
        rounds * loops * BATCH
    };
    Load { servers: vec![server], ..Load::of(step) }
}

async fn reserve_and_delete(http: &Http) {
    let response = http.post("reservations", r#"{"n":100,"timeout":60}"#.to_owned()).await;
    let reserved: Reserved<'_> = serde_json::from_slice(&response).expect("reservations");
    let mut receipts = Vec::with_capacity(reserved.messages.len());
    for message in &reserved.messages {
        let task: Message<'_> = serde_json::from_str(&message.body).expect("a message");
        let args: (u64,) = serde_json::from_str(task.args.get()).expect("a number");
        black_box((task.name, args));
        receipts.push(Receipt { id: message.id, reservation_id: message.reservation_id });
    }
    let delete = serde_json::to_string(&Delete { ids: receipts }).expect("it can be written");
    black_box(http.delete("messages", delete).await);
}

#[derive(Deserialize)]
struct Reserved<'a> {
    #[serde(borrow)]
    messages: Vec<Delivery<'a>>,
}

#[derive(Deserialize)]
struct Delivery<'a> {
    id: &'a str,
    #[serde(borrow)]
    body: std::borrow::Cow<'a, str>,
    reservation_id: &'a str,
}

#[derive(Deserialize)]
struct Message<'a> {
    name: &'a str,
    #[serde(borrow)]
    args: &'a RawValue,
}

#[derive(Serialize)]
struct Delete<'a> {
    ids: Vec<Receipt<'a>>,
}

#[derive(Serialize)]
struct Receipt<'a> {
    id: &'a str,
    reservation_id: &'a str,
}
