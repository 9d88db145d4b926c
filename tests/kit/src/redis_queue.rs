//! A queue of ivy on a Redis server, reached by plain commands as any program can.

use crate::RedisServer;

/// What stands before a body: an id, and the counts of failed and of lost deliveries.
const ID: usize = 18;
const HEADER: usize = ID + 4;
/// Counts the messages of a queue at one moment: they move between its keys. An empty element of a
/// list wakes a waiting worker, and is no message.
const SIZE: &str = "
    local size = redis.call('ZCARD', KEYS[3]) + redis.call('HLEN', KEYS[4])
    for list = 1, 2 do
      for _, element in ipairs(redis.call('LRANGE', KEYS[list], 0, -1)) do
        if element ~= '' then size = size + 1 end
      end
    end
    return size";

impl RedisServer {
    /// How many messages a queue holds, in whatever state.
    pub async fn size(&self, queue: &str) -> u64 {
        let mut command = redis::cmd("EVAL");
        command.arg(SIZE).arg(4).arg(&['r', 'p', 'd', 'h'].map(|part| key(queue, part)));
        self.query(&command).await
    }

    /// The bodies of the messages that wait in a queue.
    pub async fn peek(&self, queue: &str) -> Vec<String> {
        let elements = self.elements(queue).await;
        elements.iter().filter_map(|element| element.get(HEADER..)).map(str::to_owned).collect()
    }

    /// Posts a body.
    pub async fn post(&self, queue: &str, body: &str) {
        let mut command = redis::cmd("RPUSH");
        command.arg(key(queue, 'r')).arg(format!("-postedByTheTests-0000{body}"));
        self.query::<u64>(&command).await;
    }

    /// Adds an element to a queue, as another program may: of any bytes.
    pub async fn push(&self, queue: &str, element: &[u8]) {
        self.query::<u64>(redis::cmd("RPUSH").arg(key(queue, 'r')).arg(element)).await;
    }

    /// Adds an element to the list of queues, as another program may.
    pub async fn list_as_queue(&self, element: &[u8]) {
        self.query::<u64>(redis::cmd("ZADD").arg("ivy1:queues").arg(0).arg(element)).await;
    }

    /// The elements that wait in a queue, byte by byte.
    pub async fn ready(&self, queue: &str) -> Vec<Vec<u8>> {
        self.query(redis::cmd("LRANGE").arg(key(queue, 'r')).arg(0).arg(-1)).await
    }

    /// How many messages of a queue are reserved.
    pub async fn reserved(&self, queue: &str) -> u64 {
        self.query(redis::cmd("HLEN").arg(key(queue, 'h'))).await
    }

    /// Has another program overwrite the list of a queue with a text, so that no command on it works.
    pub async fn overwrite(&self, queue: &str) {
        self.query::<String>(redis::cmd("SET").arg(key(queue, 'r')).arg("text")).await;
    }

    /// Has the first message of a queue delivered so often to workers that crash.
    pub async fn deliver_without_delete(&self, queue: &str, times: u8) {
        let ready = key(queue, 'r');
        let element: String = self.query(redis::cmd("LPOP").arg(&ready)).await;
        let (before, lost) = (&element[..ID + 2], &element[ID + 2..HEADER]);
        let lost = u8::from_str_radix(lost, 16).expect("a count").saturating_add(times);
        let element = format!("{before}{lost:02x}{}", &element[HEADER..]);
        self.query::<u64>(redis::cmd("LPUSH").arg(&ready).arg(element)).await;
    }

    async fn elements(&self, queue: &str) -> Vec<String> {
        self.query(redis::cmd("LRANGE").arg(key(queue, 'r')).arg(0).arg(-1)).await
    }
}

fn key(queue: &str, part: char) -> String {
    format!("ivy1:{{{queue}}}:{part}")
}
