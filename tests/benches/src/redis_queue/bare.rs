//! What a queue on Redis sends at least, by the `redis` crate alone.

use redis::{Cmd, Pipeline, cmd};

use crate::wire::QUEUE;

/// Bytes of an element before its body.
const HEADER: &str = "AbCdEfGhIjKlMnOpQr0000";

/// How many messages a request takes.
pub(super) const BATCH: usize = 100;

/// A key of the queue.
pub(super) fn key(part: &str) -> String {
    format!("ivy1:{{{QUEUE}}}:{part}")
}

/// An element with this body.
pub(super) fn element(body: &str) -> String {
    format!("{HEADER}{body}")
}

/// The body of an element.
pub(super) fn body(element: &[u8]) -> &str {
    std::str::from_utf8(&element[HEADER.len()..]).expect("a text")
}

/// Posts elements.
pub(super) fn post<E: redis::ToRedisArgs>(elements: E) -> Cmd {
    let mut push = cmd("RPUSH");
    push.arg(key("r")).arg(elements);
    push
}

/// Reserves, and deletes what was reserved.
pub(super) struct Reserver {
    script: String,
    last: u64,
}

/// The id of one reserve.
#[derive(Clone, Debug)]
pub(super) struct ReserveId(String);

impl Reserver {
    /// The reserves of one client, by the script of this hash. No two clients share a number.
    pub(super) fn new(script: String, client: u8) -> Self {
        Reserver { script, last: u64::from(client) << 40 }
    }

    /// Loads the script. The response is its hash.
    pub(super) fn load() -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(include_str!("reserve.lua"));
        load
    }

    /// Reserves up to this many messages.
    pub(super) fn reserve(&mut self, count: usize) -> (ReserveId, Cmd) {
        self.last += 1;
        let id = ReserveId(format!("{:014x}", self.last));
        let mut reserve = cmd("EVALSHA");
        reserve.arg(&self.script).arg(4);
        for part in ["r", "p", "h", "l"] {
            reserve.arg(key(part));
        }
        reserve.arg(count - 1).arg("60000").arg(&id.0);
        (id, reserve)
    }

    /// Waits for a message, and reserves it in the same write.
    pub(super) fn wait(&mut self) -> Pipeline {
        let mut wait = cmd("BLMOVE");
        wait.arg(key("r")).arg(key("p")).arg("LEFT").arg("RIGHT").arg("30");
        let mut pipeline = Pipeline::new();
        pipeline.add_command(wait).ignore().add_command(self.reserve(1).1);
        pipeline
    }
}

/// Deletes all messages of a reserve.
pub(super) fn delete(pipeline: &mut Pipeline, ReserveId(id): &ReserveId, count: usize) {
    let fields: Vec<String> = (0..count).map(|index| format!("{id}{index:02}")).collect();
    pipeline.cmd("HDEL").arg(key("h")).arg(fields).ignore();
    pipeline.cmd("ZREM").arg(key("l")).arg(format!("{id}/{count}")).ignore();
}

/// Removes all messages of the queue.
pub(super) fn clear() -> Cmd {
    let mut clear = cmd("UNLINK");
    clear.arg(["r", "d", "h", "l", "p"].map(key).as_slice());
    clear
}
