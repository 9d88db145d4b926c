//! Requests one after the other: a hundred messages posted, reserved and deleted, in a queue
//! of this many.

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
        requests.post();
    }
    let step = move || {
        requests.post();
        requests.reserve_and_delete();
        BATCH as u64
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

    fn post(&self) {
        let message = NewMessage { body: Body::new(BODY), delay: Duration::ZERO };
        let messages = Batch::new(vec![message; BATCH]).expect("there are some");
        self.execute(QueueOp::Post { queue: self.name.clone(), messages });
    }

    fn reserve_and_delete(&self) {
        let queue = self.name.clone();
        let reserve = QueueOp::Reserve { queue, count: BATCH, lease: LEASE, wait: Duration::ZERO };
        let QueueReply::Reserved(reserved) = self.execute(reserve) else {
            panic!("a reserve reserves")
        };
        assert_eq!(reserved.messages.len(), BATCH, "the queue contains a full batch");
        let receipts = reserved.messages.into_iter().map(|message| message.receipt).collect();
        let receipts = Batch::new(receipts).expect("there are some");
        self.execute(QueueOp::DeleteMany { queue: self.name.clone(), receipts });
    }

    fn execute(&self, op: QueueOp) -> QueueReply {
        self.runtime.block_on(self.queue.execute(op)).expect("the server accepts everything")
    }
}

/// The same by a bare client, in an empty queue.
pub(super) fn limit() -> Load {
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
