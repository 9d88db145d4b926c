//! A queue that is filled again and again with the same messages.

use std::time::Duration;

use ivy_proto::task::Task;
use redis::Connection;

use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK};

use super::bare::{self, key};

/// How many messages wait.
pub(super) const WAITING: usize = 10_000;

/// Messages that ivy has written, which are posted without it.
///
/// Their producer has ended, so no one receives their results.
pub(super) struct Filled {
    connection: Connection,
    elements: Vec<Vec<u8>>,
}

impl Filled {
    pub(super) fn new(redis: &Server) -> Self {
        const CALL: Task<(u64,), u64> = Task::new(TASK).queue(QUEUE);
        let client = redis::Client::open(redis.redis_url()).expect("a valid address");
        let mut connection = client.get_connection().expect("Redis listens");
        let runtime = runtime();
        runtime.block_on(async {
            let ivy = ivy_tokio::Ivy::builder().queue_url(&redis.redis_url()).build();
            let ivy = ivy.expect("a valid address");
            let calls = ivy.call_many(&CALL, (0..WAITING as u64).map(|n| (n,))).await;
            assert!(calls.iter().all(Result::is_ok), "the server accepts everything");
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        let mut all = redis::cmd("LRANGE");
        let elements: Vec<Vec<u8>> =
            all.arg(key("r")).arg("0").arg("-1").query(&mut connection).expect("a list");
        let elements: Vec<_> = elements.into_iter().filter(|element| !element.is_empty()).collect();
        assert_eq!(elements.len(), WAITING, "all that was sent is there");
        bare::clear().exec(&mut connection).expect("Redis replies");
        Filled { connection, elements }
    }

    /// Posts all messages, without measuring it.
    pub(super) fn fill(&mut self) {
        for batch in self.elements.chunks(1000) {
            bare::post(batch).exec(&mut self.connection).expect("Redis replies");
        }
    }

    /// Whether any message is reserved.
    pub(super) fn is_reserved(&mut self) -> bool {
        let mut count = redis::cmd("HLEN");
        count.arg(key("h")).query::<u64>(&mut self.connection).expect("Redis replies") > 0
    }
}
