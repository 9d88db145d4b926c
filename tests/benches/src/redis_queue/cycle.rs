//! Requests one after the other: a hundred messages posted, reserved and deleted, in a queue
//! of this many, or when this many delayed ones are due.

use std::sync::Arc;
use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::backend::Queue;
use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp, QueueReply};
use redis::Pipeline;
use tokio::runtime::Runtime;

use crate::load::Load;
use crate::runtime;
use crate::server::Server;
use crate::wire::QUEUE;

use super::bare::{self, BATCH, Reserver, delete};

/// All of it is 84 bytes.
const BODY: &str =
    r#"{"name":"testpackage.factorial","options":{"retry":true,"maxRetries":10},"args":[5]}"#;
const LEASE: Duration = Duration::from_secs(60);

/// The operations of ivy's queue, with this many messages queued.
pub(super) fn ivy(queued: usize) -> Load {
    let redis = Server::redis();
    let requests = Requests::new(&redis);
    for _ in 0..queued.div_ceil(BATCH) {
        requests.post(Duration::ZERO);
    }
    let step = move || {
        requests.post(Duration::ZERO);
        assert_eq!(requests.reserve_and_delete(), BATCH, "the queue contains a full batch");
        BATCH as u64
    };
    Load { servers: vec![redis], ..Load::of(step) }
}

/// The same operations for this many delayed messages, which are posted before the first of them is
/// reserved. All of them are due then.
pub(super) fn due(count: usize) -> Load {
    let redis = Server::redis();
    let requests = Requests::new(&redis);
    let step = move || {
        for _ in 0..count.div_ceil(BATCH) {
            requests.post(Duration::from_millis(1));
        }
        let mut done = 0;
        while done < count {
            done += requests.reserve_and_delete();
        }
        done as u64
    };
    Load { servers: vec![redis], ..Load::of(step) }
}

struct Requests {
    runtime: Runtime,
    queue: Arc<dyn Queue>,
    name: QueueName,
}

impl Requests {
    fn new(redis: &Server) -> Self {
        let runtime = runtime();
        let queue = {
            let _inside = runtime.enter();
            let ivy = ivy_tokio::Ivy::builder().queue_url(&redis.redis_url()).build();
            ivy.expect("a valid address").queue()
        };
        Requests { runtime, queue, name: QueueName::new(QUEUE).expect("a valid name") }
    }

    fn post(&self, delay: Duration) {
        let message = NewMessage { body: Body::new(BODY), delay };
        let messages = Batch::new(vec![message; BATCH]).expect("there are some");
        self.execute(QueueOp::Post { queue: self.name.clone(), messages });
    }

    /// Returns how many messages there were.
    fn reserve_and_delete(&self) -> usize {
        let queue = self.name.clone();
        let reserve = QueueOp::Reserve { queue, count: BATCH, lease: LEASE, wait: Duration::ZERO };
        let QueueReply::Reserved(reserved) = self.execute(reserve) else {
            panic!("a reserve reserves")
        };
        let receipts: Vec<_> =
            reserved.messages.into_iter().map(|message| message.receipt).collect();
        let count = receipts.len();
        if let Some(receipts) = Batch::new(receipts) {
            self.execute(QueueOp::DeleteMany { queue: self.name.clone(), receipts });
        }
        count
    }

    fn execute(&self, op: QueueOp) -> QueueReply {
        self.runtime.block_on(self.queue.execute(op)).expect("the server accepts everything")
    }
}

/// The same by a bare client, in an empty queue.
pub(super) fn baseline() -> Load {
    let redis = Server::redis();
    let client = redis::Client::open(redis.redis_url()).expect("a valid address");
    let mut connection = client.get_connection().expect("Redis listens");
    let script = Reserver::load().query(&mut connection).expect("Redis replies");
    let mut reserver = Reserver::new(script, 0);
    let step = move || {
        let elements: Vec<_> = (0..BATCH).map(|_| bare::element(BODY)).collect();
        bare::post(elements).exec(&mut connection).expect("Redis replies");
        let (reserve_id, reserve) = reserver.reserve(BATCH);
        let messages: Vec<Vec<u8>> = reserve.query(&mut connection).expect("Redis replies");
        assert_eq!(messages.len(), BATCH, "the queue contains a full batch");
        let mut pipeline = Pipeline::new();
        delete(&mut pipeline, &reserve_id, messages.len());
        pipeline.cmd("TIME").ignore();
        pipeline.exec(&mut connection).expect("Redis replies");
        BATCH as u64
    };
    Load { servers: vec![redis], ..Load::of(step) }
}
