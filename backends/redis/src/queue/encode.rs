//! Encodes the operations of a queue as commands.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::queue::{Batch, Fault, FaultKind, NewMessage};
use ivy_proto::{MessageId, QueueName, Receipt};

use super::MAX_BODY;
use super::command::Command;
use super::element::{self, HEADER_LENGTH, NO_COUNTS};
use super::keys::{Keys, Prefix};
use super::receipt::{Reservation, ReserveId, shared_lease};
use super::scripts::Script;
use super::short_text::ShortText;
use super::unusable::Unusable;
use crate::frame::{Limits, LongStrings};

/// The largest element that is accepted from a server, in bytes. Other programs may post larger
/// messages than ivy does.
pub(crate) const MAX_ELEMENT: usize = 1 << 20;
/// Once a reply has this many bytes, it contains no further message: the server is blocked while it
/// builds one.
pub(crate) const REPLY_TARGET: usize = 4 << 20;

/// The limits of a reply with messages.
pub(crate) const MESSAGE_LIMITS: Limits = Limits {
    line: 1024,
    bulk: MAX_ELEMENT + 1024,
    long_strings: LongStrings::Refused,
    array: 128,
    depth: 2,
    frame: REPLY_TARGET + MAX_ELEMENT + 64 * 1024,
};

/// The parameters of a reserve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserve {
    /// Its unique id.
    pub(crate) reserve_id: ReserveId,
    /// The maximum number of messages, 1 to 100.
    pub(crate) count: usize,
    pub(crate) lease: Duration,
    pub(crate) from: Source,
    /// Whether due messages are made ready first. They are in any case if nothing else is ready.
    pub(crate) make_due_ready: bool,
}

/// Where a reserve takes messages from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From the ready list, and if that is empty, from the messages that a wait has claimed.
    Ready,
    /// The same, in reverse order.
    Claimed,
    /// After a wait: the message that it has claimed, and with that the ready ones.
    AfterWait,
}

impl Reserve {
    pub(crate) fn command(&self, keys: &Keys) -> Command {
        let [ready, delayed, leases, held] = keys.script_keys();
        Command::script(Script::Reserve, &[ready, delayed, leases, held, keys.claimed()])
            .number(last_place(self.count))
            .number(millis(self.lease))
            .arg(self.reserve_id.as_str())
            .arg(match self.from {
                Source::Ready => "ready",
                Source::Claimed => "claimed",
                Source::AfterWait => "wait",
            })
            .arg(flag(self.make_due_ready))
            .number(MAX_ELEMENT as u64)
            .number(REPLY_TARGET as u64)
    }
}

/// Waits for a message, which the script that follows reserves. The time is not zero, which would
/// mean no limit.
pub(crate) fn wait(keys: &Keys, time: Duration) -> Command {
    let millis = millis(time).max(10);
    let seconds = format!("{}.{:03}", millis / 1000, millis % 1000);
    let command = Command::new("BLMOVE").key(keys.ready()).key(keys.claimed());
    command.arg("LEFT").arg("RIGHT").arg(seconds)
}

/// The elements of a post, and the result for each: its id, or why it is not sent.
pub(crate) struct Post {
    pub(crate) entries: Vec<Result<MessageId, Fault>>,
    /// How many elements have no delay, if no other has one.
    pub(crate) pushed: Option<u64>,
    /// `None` if no element is sent.
    pub(crate) command: Option<Command>,
}

/// Posts these messages under new ids.
pub(crate) fn post(
    keys: &Keys,
    messages: &Batch<NewMessage>,
    mut next_id: impl FnMut() -> ShortText,
) -> Post {
    let mut entries = Vec::with_capacity(messages.items().len());
    let (mut immediate, mut delayed) = (Vec::new(), Vec::new());
    for message in messages.items() {
        let size = message.body.as_bytes().len();
        if size > MAX_BODY {
            let detail = format!("{size} bytes, of at most {MAX_BODY}");
            entries.push(Err(Fault::new(FaultKind::TooLarge).with_detail(detail)));
            continue;
        }
        let id = next_id();
        entries.push(Ok(MessageId::new(id.as_str())));
        let list = if message.delay.is_zero() { &mut immediate } else { &mut delayed };
        list.push((id, message));
    }
    let joined = |command: Command, (id, message): &(ShortText, &NewMessage)| {
        let body = message.body.as_bytes();
        command.joined(&[id.as_ref(), NO_COUNTS.as_bytes(), body])
    };
    let command = match (immediate.is_empty(), delayed.is_empty()) {
        (true, true) => None,
        (false, true) => {
            let sizes =
                immediate.iter().map(|(_, message)| HEADER_LENGTH + message.body.as_bytes().len());
            let command = Command::new("RPUSH").with_room(immediate.len(), sizes.sum());
            Some(immediate.iter().fold(command.key(keys.ready()), joined))
        }
        (_, false) => {
            let command = Command::script(Script::Post, &keys.script_keys());
            let command = command.number(immediate.len() as u64);
            let command = immediate.iter().fold(command, joined);
            let later = |command: Command, message: &(ShortText, &NewMessage)| {
                joined(command.number(millis(message.1.delay)), message)
            };
            Some(delayed.iter().fold(command, later))
        }
    };
    let pushed = delayed.is_empty().then_some(immediate.len() as u64);
    Post { entries, pushed, command }
}

/// Lists a queue that receives a post, unless it is listed.
pub(crate) fn list(prefix: &Prefix, queue: &QueueName) -> Command {
    Command::new("ZADD").arg(prefix.queues()).arg("NX").arg("0").arg(queue.as_str())
}

/// A message to delete or release: its reservation, and the next one if a touch got no reply,
/// because the message may be under either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldMessage {
    pub(crate) reservation: Reservation,
    pub(crate) possible_next: Option<Reservation>,
}

impl HeldMessage {
    fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        [&self.reservation].into_iter().chain(&self.possible_next)
    }
}

/// Deletes these messages. The replies: how many of those with a single possible reservation
/// existed, if there are any; for each of the others, how many of its two fields existed;
/// possibly the result for the leases; and last the time.
pub(crate) fn delete(keys: &Keys, messages: &[&HeldMessage]) -> Vec<Command> {
    let reservations = || messages.iter().flat_map(|message| message.reservations());
    let delete = |fields: Vec<ShortText>| Command::new("HDEL").key(keys.reserved()).args(fields);
    let fields = |message: &HeldMessage| message.reservations().map(Reservation::field).collect();
    let with_single = messages.iter().filter(|message| message.possible_next.is_none());
    let single: Vec<ShortText> = with_single.map(|message| message.reservation.field()).collect();
    let with_two = messages.iter().filter(|message| message.possible_next.is_some());
    let mut commands = Vec::new();
    if !single.is_empty() {
        commands.push(delete(single));
    }
    commands.extend(with_two.map(|message| delete(fields(message))));
    let leases = ended_leases(reservations());
    if !leases.is_empty() {
        commands.push(Command::new("ZREM").key(keys.leases()).args(leases));
    }
    commands.push(Command::new("TIME"));
    commands
}

/// The leases that become empty with the deletion of these reservations. A lease shared by others
/// as well stays until it ends.
fn ended_leases<'a>(reservations: impl Iterator<Item = &'a Reservation>) -> Vec<ShortText> {
    let mut leases = Vec::new();
    let mut shared: BTreeMap<(ReserveId, usize), usize> = BTreeMap::new();
    for reservation in reservations {
        match reservation.shared() {
            None => leases.extend(reservation.own_lease()),
            Some(lease) => *shared.entry(lease).or_default() += 1,
        }
    }
    let whole = shared.into_iter().filter(|((_, size), count)| count == size);
    leases.extend(whole.map(|((reserve_id, size), _)| shared_lease(reserve_id, size)));
    leases
}

/// Renews the lease of a message.
pub(crate) fn touch(keys: &Keys, reservation: &Reservation, lease: Duration) -> Command {
    Command::script(Script::Touch, &keys.script_keys())
        .arg(reservation.field())
        .arg(reservation.touched(0).field())
        .number(millis(lease))
        .arg(reservation.own_lease().unwrap_or_default())
}

/// Releases a message.
pub(crate) fn release(
    keys: &Keys,
    message: &HeldMessage,
    delay: Duration,
    failed: bool,
) -> Command {
    let command = Command::script(Script::Release, &keys.script_keys());
    let command = command.number(millis(delay)).arg(flag(failed));
    message.reservations().fold(command, |command, reservation| {
        command.arg(reservation.field()).arg(reservation.own_lease().unwrap_or_default())
    })
}

/// Moves an element that no worker can handle to the dead-letter queue: as the body of a message
/// with this id, or as it is if it is a message.
pub(crate) fn reject(
    keys: &Keys,
    dead: &Keys,
    reservation: &Reservation,
    why: Unusable,
    id: &str,
) -> Command {
    let header = match why {
        Unusable::NotAMessage | Unusable::Unreadable => element::encode_new(id, ""),
        Unusable::LargeBody => Vec::new(),
    };
    let [ready, delayed, leases, held] = keys.script_keys();
    Command::script(Script::Reject, &[ready, delayed, leases, held, dead.ready()])
        .arg(reservation.field())
        .arg(reservation.own_lease().unwrap_or_default())
        .arg(header)
}

/// Searches for messages that are reserved without a lease, from this cursor on.
pub(crate) fn orphans(keys: &Keys, cursor: &str) -> Command {
    Command::script(Script::Orphans, &keys.script_keys()).arg(cursor)
}

/// Returns the next messages.
pub(crate) fn peek(keys: &Keys, count: usize) -> Command {
    Command::script(Script::Peek, &keys.script_keys())
        .number(last_place(count))
        .arg(MAX_ELEMENT.to_string())
        .arg(REPLY_TARGET.to_string())
}

/// A search for a message by its id: one key after the other, a page at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) message: MessageId,
    /// The number of the key, from 1.
    pub(crate) key_number: u8,
    /// Where to continue in it.
    pub(crate) from: String,
    /// How many messages were searched.
    pub(crate) searched: u64,
}

impl Search {
    /// The last of the keys.
    pub(crate) const LAST_KEY: u8 = 3;

    pub(crate) fn new(message: MessageId) -> Self {
        Search { message, key_number: 1, from: "0".to_owned(), searched: 0 }
    }

    pub(crate) fn command(&self, keys: &Keys) -> Command {
        let hash = self.hash();
        let raw_id = hash.map(element::raw_id_of);
        let id = raw_id.as_deref().unwrap_or(self.message.as_str());
        let command =
            Command::script(Script::Get, &[keys.ready(), keys.delayed(), keys.reserved()])
                .arg(id)
                .number(self.key_number.into())
                .arg(&self.from);
        hash.into_iter().fold(command, Command::arg)
    }

    /// The beginning of the SHA-1 of the element that is searched for, if it is not a message.
    pub(crate) fn hash(&self) -> Option<&str> {
        element::raw_hash(self.message.as_str())
    }
}

/// Deletes all messages of a queue.
pub(crate) fn clear(keys: &Keys) -> Command {
    let command = keys.script_keys().into_iter().fold(Command::new("UNLINK"), Command::key);
    command.key(keys.claimed())
}

/// Removes a queue from the list.
pub(crate) fn unlist(prefix: &Prefix, queue: &QueueName) -> Command {
    Command::new("ZREM").arg(prefix.queues()).arg(queue.as_str())
}

/// Returns whether a queue is listed, and its sizes: the ready messages, whether the first of them
/// is a nudge instead of a message, and the messages claimed, delayed and reserved. Returns the time
/// as well.
pub(crate) fn sizes(prefix: &Prefix, queue: &QueueName, keys: &Keys) -> [Command; 7] {
    [
        Command::new("ZSCORE").arg(prefix.queues()).arg(queue.as_str()),
        Command::new("LLEN").key(keys.ready()),
        Command::new("LPOS").key(keys.ready()).arg("").arg("MAXLEN").arg("1"),
        Command::new("LLEN").key(keys.claimed()),
        Command::new("ZCARD").key(keys.delayed()),
        Command::new("HLEN").key(keys.reserved()),
        Command::new("TIME"),
    ]
}

/// The limits of a page of the list of queues. What is no name of a queue may be larger, and is
/// skipped.
pub(crate) const NAMES_LIMITS: Limits = Limits {
    line: 1024,
    bulk: 255,
    long_strings: LongStrings::Skipped,
    array: 1024,
    depth: 1,
    frame: 1 << 20,
};

/// Lists queues by name, from the one with this offset on.
pub(crate) fn queue_names(
    prefix: &Prefix,
    begin: &str,
    after: Option<&QueueName>,
    (offset, count): (usize, usize),
) -> Command {
    let after = after.map(QueueName::as_str).filter(|after| *after >= begin);
    let from = match (after, begin) {
        (Some(after), _) => [b"(", after.as_bytes()].concat(),
        (None, "") => b"-".to_vec(),
        (None, begin) => [b"[", begin.as_bytes()].concat(),
    };
    // No string contains this byte, so it sorts after all names with this prefix.
    let to =
        if begin.is_empty() { b"+".to_vec() } else { [b"(", begin.as_bytes(), b"\xff"].concat() };
    let command = Command::new("ZRANGEBYLEX").arg(prefix.queues()).arg(from).arg(to);
    command.arg("LIMIT").number(offset as u64).number(count as u64)
}

/// Ends the wait of a connection.
pub(crate) fn unblock(client: i64) -> Command {
    Command::new("CLIENT").arg("UNBLOCK").arg(client.to_string())
}

/// The reservations of these receipts, in order. `None` for one that Redis did not issue.
pub(crate) fn reservations(receipts: &[Receipt]) -> Vec<Option<Reservation>> {
    receipts.iter().map(|receipt| Reservation::parse(&receipt.reservation)).collect()
}

/// The index of the last one of so many messages, of which there are 1 to 100.
fn last_place(count: usize) -> u64 {
    count.clamp(1, 100) as u64 - 1
}

/// Whole milliseconds, rounded up.
fn millis(duration: Duration) -> u64 {
    let below_a_second = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
    duration.as_secs().saturating_mul(1000).saturating_add(below_a_second)
}

fn flag(flag: bool) -> &'static str {
    if flag { "1" } else { "0" }
}
