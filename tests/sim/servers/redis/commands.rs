//! The commands that read and write keys, as far as a queue needs them.

mod hashes;
mod lists;
mod sorted_sets;

use std::time::Duration;

use super::resp::Reply;
use super::store::{Store, WrongType};

pub(super) use lists::move_first;
pub(super) use sorted_sets::parse_score;

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    WrongType,
    NotANumber,
    NotAScore,
    NotARange,
    Syntax,
}

impl Refusal {
    pub(super) fn text(&self) -> &'static str {
        match self {
            Refusal::WrongType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            }
            Refusal::NotANumber => "ERR value is not an integer or out of range",
            Refusal::NotAScore => "ERR value is not a valid float",
            Refusal::NotARange => "ERR min or max not valid string range item",
            Refusal::Syntax => "ERR syntax error",
        }
    }
}

impl From<WrongType> for Refusal {
    fn from(_: WrongType) -> Self {
        Refusal::WrongType
    }
}

type Run = fn(&mut Store, &[Vec<u8>]) -> Result<Reply, Refusal>;

/// A command, without its name.
#[derive(Clone, Copy)]
pub(super) struct CommandSpec {
    run: Run,
    min_arguments: usize,
    /// Whether it may change a key.
    pub(super) writes: bool,
    /// Whether a server whose memory is full refuses it.
    pub(super) grows: bool,
}

const fn reads(min_arguments: usize, run: Run) -> Option<CommandSpec> {
    Some(CommandSpec { run, min_arguments, writes: false, grows: false })
}

const fn frees(min_arguments: usize, run: Run) -> Option<CommandSpec> {
    Some(CommandSpec { run, min_arguments, writes: true, grows: false })
}

const fn grows(min_arguments: usize, run: Run) -> Option<CommandSpec> {
    Some(CommandSpec { run, min_arguments, writes: true, grows: true })
}

/// The command with this name, in capital letters.
pub(super) fn command_spec(name: &str) -> Option<CommandSpec> {
    match name {
        "RPUSH" => grows(2, lists::rpush),
        "LPUSH" => grows(2, lists::lpush),
        "LMOVE" => grows(4, lists::lmove),
        "LRANGE" => reads(3, lists::lrange),
        "LTRIM" => frees(3, lists::ltrim),
        "LLEN" => reads(1, lists::llen),
        "LPOS" => reads(2, lists::lpos),
        "HSET" => grows(3, hashes::hset),
        "HDEL" => frees(2, hashes::hdel),
        "HGET" => reads(2, hashes::hget),
        "HMGET" => reads(2, hashes::hmget),
        "HEXISTS" => reads(2, hashes::hexists),
        "HLEN" => reads(1, hashes::hlen),
        "HSCAN" => reads(2, hashes::hscan),
        "ZADD" => grows(3, sorted_sets::zadd),
        "ZREM" => frees(2, sorted_sets::zrem),
        "ZCARD" => reads(1, sorted_sets::zcard),
        "ZSCORE" => reads(2, sorted_sets::zscore),
        "ZMSCORE" => reads(2, sorted_sets::zmscore),
        "ZRANGE" => reads(3, sorted_sets::zrange),
        "ZRANGEBYSCORE" => reads(3, sorted_sets::zrangebyscore),
        "ZRANGEBYLEX" => reads(3, sorted_sets::zrangebylex),
        "ZSCAN" => reads(2, sorted_sets::zscan),
        "UNLINK" => frees(1, unlink),
        _ => None,
    }
}

impl CommandSpec {
    /// Whether this many arguments are enough.
    pub(super) fn accepts(&self, arguments: usize) -> bool {
        arguments >= self.min_arguments
    }

    /// Executes it with these arguments.
    pub(super) fn execute(&self, store: &mut Store, arguments: &[Vec<u8>]) -> Reply {
        (self.run)(store, arguments).unwrap_or_else(|refusal| Reply::error(refusal.text()))
    }
}

/// The reply to `TIME`: seconds and microseconds.
pub(super) fn time(now: Duration) -> Reply {
    Reply::texts([now.as_secs().to_string(), now.subsec_micros().to_string()])
}

fn unlink(store: &mut Store, keys: &[Vec<u8>]) -> Result<Reply, Refusal> {
    Ok(Reply::count(keys.iter().filter(|key| store.remove(key)).count()))
}

/// A whole number.
fn number(text: &[u8]) -> Result<i64, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::NotANumber)?;
    text.parse().map_err(|_| Refusal::NotANumber)
}

/// The positions from one to another, either of which may be counted from the end.
fn range(from: &[u8], to: &[u8], length: usize) -> Result<std::ops::Range<usize>, Refusal> {
    let length = i64::try_from(length).expect("a length fits");
    let position =
        |position: i64| if position < 0 { (position + length).max(-1) } else { position };
    let (from, to) = (position(number(from)?).max(0), position(number(to)?).min(length - 1));
    if from > to {
        return Ok(0..0);
    }
    Ok(from as usize..to as usize + 1)
}
