//! Runs a script on a real server.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use ivy_sim::redis::{Command, Kind, SortedSet};
use redis::Value;

use super::comparable;
use super::random_steps::{KEYS, Step, WAITER, command};

/// Moves all times back. If the memory is full, the server allows a script to continue that has
/// already written.
const PASS: &str = "redis.call('UNLINK', 'nothing')
for _, key in ipairs(KEYS) do
    if redis.call('TYPE', key).ok == 'zset' then
        local found = redis.call('ZRANGE', key, '0', '-1', 'WITHSCORES')
        for i = 1, #found, 2 do
            local score = tonumber(found[i + 1])
            if score > 1e12 and score < 1e15 then
                redis.call('ZADD', key, string.format('%.0f', found[i + 1] - ARGV[1]), found[i])
            end
        end
    end
end";

pub(super) struct Real {
    short: Client,
    waiter: Client,
    /// For requests about the server itself.
    operator: Client,
    start: i64,
    last: i64,
}

struct Client {
    stream: TcpStream,
    /// Stores the beginning of further replies.
    parser: redis::Parser,
    number: String,
}

impl Real {
    /// Starts with an empty server.
    pub(super) fn connect(port: u16) -> Self {
        let mut operator = Client::connect(port);
        operator.execute(&["FLUSHALL"]);
        operator.execute(&["SCRIPT", "FLUSH"]);
        let (short, waiter) = (Client::connect(port), Client::connect(port));
        let start = operator.now();
        Real { short, waiter, operator, start, last: start }
    }

    /// The start of the script, in milliseconds.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// A time that is later than all before.
    pub(super) fn next_moment(&mut self) -> i64 {
        let mut now = self.operator.now();
        while now <= self.last {
            now = self.operator.now();
        }
        now
    }

    /// The replies to a step's commands.
    pub(super) fn follow(&mut self, step: &Step, waits: bool) -> Vec<String> {
        let mut seen = Vec::new();
        match step {
            Step::Send(commands) => seen = self.short.request(commands, "", self.start),
            Step::Wait(commands, meanwhile) => {
                self.waiter.send(commands, "");
                if waits {
                    self.wait_until_blocked(meanwhile.is_empty());
                }
                let read = if waits { 0 } else { commands.len() };
                seen.extend((0..read).map(|_| self.waiter.read(self.start)));
                let number = self.waiter.number.clone();
                seen.extend(self.short.request(meanwhile, &number, self.start));
                seen.extend((read..commands.len()).map(|_| self.waiter.read(self.start)));
            }
            Step::Pass(time) => {
                let mut pass = command(&["EVAL", PASS, &KEYS.len().to_string()]);
                pass.extend(command(&KEYS));
                pass.extend(command(&[&time.as_millis().to_string()]));
                self.operator.execute(&["CONFIG", "SET", "replica-read-only", "no"]);
                assert_eq!(self.operator.value(&pass), Value::Nil);
                self.operator.execute(&["CONFIG", "SET", "replica-read-only", "yes"]);
            }
            Step::ErrorState(kind) => {
                let full = if *kind == Some(Kind::Full) { "1" } else { "0" };
                self.operator.execute(&["CONFIG", "SET", "maxmemory", full]);
                match kind {
                    Some(Kind::ReadOnly) => self.operator.execute(&["REPLICAOF", "127.0.0.1", "1"]),
                    _ => self.operator.execute(&["REPLICAOF", "NO", "ONE"]),
                }
            }
        }
        self.last = self.operator.now();
        seen
    }

    /// Waits until the server waits for the waiter's list, unless that wait may have ended by
    /// itself.
    fn wait_until_blocked(&mut self, may_be_over: bool) {
        let id = self.waiter.number.clone();
        let list = command(&["CLIENT", "LIST", "ID", &id]);
        if may_be_over {
            return;
        }
        loop {
            let listed = self.operator.value(&list);
            let Value::BulkString(listed) = listed else { panic!("clients: {listed:?}") };
            if String::from_utf8_lossy(&listed).contains(" flags=b ") {
                return;
            }
        }
    }

    /// The contents of all keys.
    pub(super) fn keys(&mut self) -> Vec<(&'static str, Vec<String>)> {
        let keys = KEYS.map(|key| {
            let kind = match self.operator.value(&command(&["TYPE", key])) {
                Value::SimpleString(kind) => kind,
                other => panic!("unexpected reply to TYPE: {other:?}"),
            };
            let read = match kind.as_str() {
                "none" => return (key, Vec::new()),
                "list" => command(&["LRANGE", key, "0", "-1"]),
                "hash" => command(&["HGETALL", key]),
                "zset" => command(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
                other => panic!("unexpected type {other}"),
            };
            let Value::Array(texts) = self.operator.value(&read) else { panic!("{key}") };
            let is_score = |place: usize| kind == "zset" && place % 2 == 1;
            let text = |(place, value): (usize, &Value)| match value {
                Value::BulkString(text) if is_score(place) => {
                    let score = match text.as_slice() {
                        b"inf" => SortedSet::INFINITE,
                        b"-inf" => -SortedSet::INFINITE,
                        text => String::from_utf8_lossy(text).parse().expect("a whole number"),
                    };
                    comparable::time(score, self.start)
                }
                Value::BulkString(text) => comparable::text(text, self.start),
                other => panic!("{key} contains {other:?}"),
            };
            (key, texts.iter().enumerate().map(text).collect())
        });
        keys.to_vec()
    }
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).expect("the server accepts connections");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
        let parser = redis::Parser::new();
        let mut client = Client { stream, parser, number: String::new() };
        let Value::Int(number) = client.value(&command(&["CLIENT", "ID"])) else {
            panic!("each connection has a number")
        };
        client.number = number.to_string();
        client
    }

    fn send(&mut self, commands: &[Command], waiter: &str) {
        let bytes = packed(commands, waiter);
        self.stream.write_all(&bytes).expect("the connection is up");
    }

    fn read_value(&mut self) -> Value {
        self.parser.parse_value(&mut self.stream).expect("the server replies")
    }

    fn read(&mut self, start: i64) -> String {
        comparable::reply_text(&self.read_value(), start)
    }

    fn request(&mut self, commands: &[Command], waiter: &str, start: i64) -> Vec<String> {
        self.send(commands, waiter);
        commands.iter().map(|_| self.read(start)).collect()
    }

    fn value(&mut self, query: &Command) -> Value {
        self.send(std::slice::from_ref(query), "");
        self.read_value()
    }

    fn execute(&mut self, parts: &[&str]) {
        let reply = self.value(&command(parts));
        assert!(!matches!(reply, Value::ServerError(_)), "{parts:?}: {reply:?}");
    }

    /// The server's clock, in milliseconds.
    fn now(&mut self) -> i64 {
        let Value::Array(time) = self.value(&command(&["TIME"])) else {
            panic!("the server has a clock")
        };
        let number = |value: &Value| match value {
            Value::BulkString(text) => String::from_utf8_lossy(text).parse().unwrap_or(0),
            _ => 0,
        };
        number(&time[0]) * 1_000 + number(&time[1]) / 1_000
    }
}

/// Commands as they are sent. This number replaces the placeholder of the waiter's.
pub(super) fn packed(commands: &[Command], waiter: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for parts in commands {
        bytes.extend(format!("*{}\r\n", parts.len()).into_bytes());
        for part in parts {
            let part = if part == WAITER { waiter.as_bytes() } else { part };
            bytes.extend(format!("${}\r\n", part.len()).into_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}
