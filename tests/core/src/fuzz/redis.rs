//! A session with a Redis server, or with anything that replies instead of it.

mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ivy_proto::backend::{
    CommandId, ConnectionId, Input, LinkFault, LinkFaultKind, Output, Session, SessionStart,
    SubscriptionEvent,
};
use ivy_proto::notify::Publication;
use ivy_proto::queue::{Body, QueueReply};
use ivy_proto::{ChannelName, Moment, Receipt, Secret};
use ivy_redis::{RedisAddress, RedisSession};

use super::{is_short, pick};

/// The next input. Numbers that name something are taken modulo the number of candidates.
#[derive(Arbitrary, Debug)]
enum Step {
    Publish {
        channel: u8,
        size: u8,
    },
    Subscribe {
        channels: [u8; 2],
    },
    Cancel {
        which: u8,
    },
    Opened {
        which: u8,
    },
    /// The server replies to everything that was sent, in pieces of this many bytes.
    Replies {
        which: u8,
        piece: u8,
    },
    /// A notice of this size, or of [`TOO_LARGE`] bytes if that is the largest number.
    Notice {
        which: u8,
        channel: u8,
        size: u8,
    },
    Bytes {
        which: u8,
        bytes: Vec<u8>,
    },
    Closed {
        which: u8,
        kind: u8,
    },
    Pass {
        millis: u16,
    },
    Execute {
        kind: u8,
        number: u8,
    },
}

/// Operations of a queue, publications and subscriptions at a server that replies, sends anything
/// else, or disconnects.
///
/// Checks that an operation and a publication get at most one reply, a cancelled operation none, and
/// a cancelled or lost subscription receives nothing more; each connection is opened once, and
/// nothing is sent on one that is not open; what is delivered was received; deadlines are strictly
/// later; texts are short and contain no password.
pub fn redis_session(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.take(step);
    }
}

const MAX_STEPS: usize = 300;

/// More bytes than those of any notice.
const TOO_LARGE: usize = (1 << 20) + 2000;

/// More outputs than any input can cause.
const MAX_OUTPUTS: usize = 10_000;

const PASSWORD: &str = "correct-horse-battery";

struct World {
    session: RedisSession,
    now: Moment,
    last_command_id: u64,
    publishing: BTreeSet<CommandId>,
    subscribed: BTreeSet<CommandId>,
    executing: BTreeSet<CommandId>,
    /// The last receipt that a reserve or a touch has brought.
    receipt: Receipt,
    lines: BTreeMap<ConnectionId, Server>,
    known: BTreeSet<ConnectionId>,
    received: usize,
    delivered: usize,
}

/// The other end of a connection.
#[derive(Default)]
struct Server {
    is_open: bool,
    sent: Vec<u8>,
}

fn channel(number: u8) -> ChannelName {
    ChannelName::new(["a", "b", "ivy-notifier"][usize::from(number) % 3]).expect("a name")
}

impl World {
    fn new() -> Self {
        let address = RedisAddress {
            tls: false,
            host: "localhost".to_owned(),
            port: 6379,
            user: Some("ivy".to_owned()),
            password: Some(Secret::new(PASSWORD)),
            database: Some(1),
        };
        World {
            session: RedisSession::new(address, SessionStart::default()),
            now: Moment::EPOCH,
            last_command_id: 0,
            publishing: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            executing: BTreeSet::new(),
            receipt: operations::unknown_receipt(),
            lines: BTreeMap::new(),
            known: BTreeSet::new(),
            received: 0,
            delivered: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish { channel: number, size } => {
                let command_id = self.command_id();
                self.publishing.insert(command_id);
                let payload = Body::new("x".repeat(size.into()));
                let publication = Publication { channel: channel(number), payload };
                self.feed(Input::Publish(command_id, publication));
            }
            Step::Subscribe { channels } => {
                let command_id = self.command_id();
                self.subscribed.insert(command_id);
                self.feed(Input::Subscribe(command_id, channels.map(channel).to_vec()));
            }
            Step::Cancel { which } => {
                let commands = self.publishing.iter().chain(&self.subscribed);
                let commands: Vec<CommandId> = commands.chain(&self.executing).copied().collect();
                if let Some(command_id) = pick(commands.into_iter(), which) {
                    // What was sent before may still get a reply.
                    self.subscribed.remove(&command_id);
                    self.executing.remove(&command_id);
                    self.feed(Input::Cancel(command_id));
                }
            }
            Step::Opened { which } => {
                if let Some(line) = self.line(which, false) {
                    self.lines.entry(line).or_default().is_open = true;
                    self.feed(Input::Opened(line));
                }
            }
            Step::Replies { which, piece } => {
                if let Some(line) = self.line(which, true) {
                    let sent = std::mem::take(&mut self.lines.entry(line).or_default().sent);
                    let replies = replies(&String::from_utf8_lossy(&sent));
                    for piece in replies.as_bytes().chunks(usize::from(piece.max(1))) {
                        self.receive(line, piece);
                    }
                }
            }
            Step::Notice { which, channel: number, size } => {
                if let Some(line) = self.line(which, true) {
                    let size = if size == u8::MAX { TOO_LARGE } else { size.into() };
                    let (channel, payload) = (channel(number), "x".repeat(size));
                    let notice = array(&["message", channel.as_str(), &payload]);
                    self.receive(line, notice.as_bytes());
                }
            }
            Step::Bytes { which, bytes } => {
                if let Some(line) = self.line(which, true) {
                    self.receive(line, &bytes);
                }
            }
            Step::Closed { which, kind } => {
                let lines: Vec<ConnectionId> = self.lines.keys().copied().collect();
                if let Some(line) = pick(lines.into_iter(), which) {
                    self.lines.remove(&line);
                    let kinds =
                        [LinkFaultKind::Unreachable, LinkFaultKind::Tls, LinkFaultKind::Ended];
                    let kind = kinds[usize::from(kind) % kinds.len()];
                    self.feed(Input::Closed(line, LinkFault::new(kind, "it has disconnected")));
                }
            }
            Step::Pass { millis } => {
                self.now = self.now + Duration::from_millis(millis.into());
                self.feed(Input::Tick);
            }
            Step::Execute { kind, number } => {
                let command_id = self.command_id();
                self.executing.insert(command_id);
                let op = operations::operation(kind, number, &self.receipt);
                self.feed(Input::Execute(command_id, op));
            }
        }
    }

    fn command_id(&mut self) -> CommandId {
        self.last_command_id += 1;
        CommandId(self.last_command_id)
    }

    fn line(&self, which: u8, is_open: bool) -> Option<ConnectionId> {
        let lines = self.lines.iter().filter(|(_, server)| server.is_open == is_open);
        let lines: Vec<ConnectionId> = lines.map(|(line, _)| *line).collect();
        pick(lines.into_iter(), which)
    }

    /// Bytes of a connection that was closed meanwhile are not passed on.
    fn receive(&mut self, line: ConnectionId, bytes: &[u8]) {
        if self.lines.contains_key(&line) && !bytes.is_empty() {
            self.received += bytes.len();
            self.feed(Input::Received(line, bytes));
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.session.handle_input(input, self.now);
        for _ in 0..MAX_OUTPUTS {
            if self.poll() {
                return;
            }
        }
        panic!("the session never waits");
    }

    /// Whether the session has no deadline.
    fn poll(&mut self) -> bool {
        match self.session.poll_output() {
            Output::Open(line, endpoint) => {
                assert_eq!((endpoint.host.as_str(), endpoint.port), ("localhost", 6379));
                assert!(self.known.insert(line), "a connection is opened twice");
                self.lines.insert(line, Server::default());
            }
            Output::Send(line, bytes) => {
                let server = self.lines.get_mut(&line).expect("the connection exists");
                assert!(server.is_open, "something is sent before the connection is open");
                server.sent.extend(bytes);
            }
            Output::Close(line) => {
                assert!(self.lines.remove(&line).is_some(), "a connection is closed twice");
            }
            Output::Published(command_id, outcome) => {
                assert!(self.publishing.remove(&command_id), "no publication waits for this reply");
                if let Err(fault) = outcome {
                    holds_no_password(&format!("{fault:?}"));
                    is_short(&fault);
                }
            }
            Output::SubscriptionEvent(command_id, event) => {
                assert!(self.subscribed.contains(&command_id), "there is no such subscription");
                match event {
                    SubscriptionEvent::Subscribed => {}
                    SubscriptionEvent::Notice { payload, .. } => {
                        self.delivered += payload.len();
                        let largest = self.received * self.last_command_id as usize;
                        assert!(self.delivered <= largest, "more is delivered than was received");
                    }
                    SubscriptionEvent::Lost(fault) => {
                        self.subscribed.remove(&command_id);
                        holds_no_password(&format!("{fault:?}"));
                        is_short(&fault);
                    }
                }
            }
            Output::Event(event) => holds_no_password(&format!("{event:?} {event}")),
            Output::Executed(id, outcome) => {
                assert!(self.executing.remove(&id), "no operation waits for this reply");
                match outcome {
                    Ok(QueueReply::Reserved(reserved)) => {
                        let receipts = reserved.messages.into_iter().map(|message| message.receipt);
                        self.receipt = receipts.last().unwrap_or_else(|| self.receipt.clone());
                    }
                    Ok(QueueReply::Touched(receipt)) => self.receipt = receipt,
                    Ok(_) => {}
                    Err(fault) => {
                        holds_no_password(&format!("{fault:?}"));
                        is_short(&fault);
                    }
                }
            }
            Output::Wait(deadline) => {
                assert!(deadline.is_none_or(|at| at > self.now), "a deadline has passed");
                return true;
            }
        }
        false
    }
}

fn holds_no_password(text: &str) {
    assert!(!text.contains(PASSWORD), "a password is shown: {text}");
}

/// The replies of a Redis server to these commands.
fn replies(sent: &str) -> String {
    let mut words = sent.split("\r\n");
    let mut replies = String::new();
    while let Some(count) = words.next().and_then(|head| head.strip_prefix('*')) {
        let count: usize = count.parse().expect("a command");
        let command: Vec<&str> = (0..count)
            .map(|_| {
                words.next();
                words.next().unwrap_or_default()
            })
            .collect();
        replies += &reply(&command);
    }
    replies
}

fn reply(command: &[&str]) -> String {
    match command {
        ["PUBLISH", ..] => ":1\r\n".to_owned(),
        ["PING", ..] => "+PONG\r\n".to_owned(),
        ["ROLE"] => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_owned(),
        ["SUBSCRIBE", channels @ ..] => (1..)
            .zip(channels)
            .map(|(count, channel)| {
                let length = channel.len();
                format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{channel}\r\n:{count}\r\n")
            })
            .collect(),
        _ => operations::reply(command).unwrap_or_else(|| "+OK\r\n".to_owned()),
    }
}

fn array(items: &[&str]) -> String {
    let texts: String = items.iter().map(|item| format!("${}\r\n{item}\r\n", item.len())).collect();
    format!("*{}\r\n{texts}", items.len())
}
