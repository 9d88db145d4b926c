//! `reserve.lua` and `peek.lua`, with `due.lua`, which makes ready what is due.

use super::held_messages::put_back;
use super::{Calls, Queue, ScriptError, ScriptInput};
use crate::planted::{Bug, planted};
use crate::redis::commands::parse_score;
use crate::redis::resp::Reply;

/// The maximum number of messages that share a lease.
const MAX_RESERVE: usize = 100;

pub(super) fn reserve(
    calls: &mut Calls<'_>,
    input: &ScriptInput<'_>,
) -> Result<Reply, ScriptError> {
    let queue = input.queue()?;
    let now = calls.now()?;
    write_first(calls, &queue)?;
    let claimed = input.key(5)?;
    let (lease, reserve_id) = (input.number(2)?, input.argument(3)?);
    let source = input.argument(4)?;
    let makes_due_ready = input.argument(5)? == b"1";
    let mut selection = Selection {
        reserve_id,
        max: usize::try_from(input.number(1)?).map_err(|_| ScriptError::nil("count"))? + 1,
        max_size: usize::try_from(input.number(6)?).map_err(|_| ScriptError::nil("size"))?,
        reply_target: usize::try_from(input.number(7)?).map_err(|_| ScriptError::nil("size"))?,
        pairs: Vec::new(),
        reply: Vec::new(),
        bytes: 0,
        is_nudged: false,
    };
    let is_any_due = makes_due_ready && make_due_ready(calls, &queue, now)?;
    let (mut from_claimed, mut from_ready) = (0, 0);
    if source != b"ready" {
        from_claimed = selection.select(calls, claimed)?;
    }
    let may_take_ready =
        source != b"wait" || !selection.reply.is_empty() || is_any_due || selection.is_nudged;
    if selection.reply.len() < selection.max && may_take_ready {
        from_ready = selection.select(calls, queue.ready)?;
    }
    if selection.reply.is_empty() && source == b"ready" {
        from_claimed = selection.select(calls, claimed)?;
    }
    if selection.reply.is_empty() && !makes_due_ready && make_due_ready(calls, &queue, now)? {
        from_ready = selection.select(calls, queue.ready)?;
    }
    let size = selection.reply.len();
    let is_all =
        source != b"ready" && size < selection.max && selection.bytes < selection.reply_target;
    let due = match size == 0 || is_all {
        true => next_due(calls, &queue, now)?,
        false => "more".to_owned(),
    };
    if size == 0 {
        return Ok(Reply::texts([due]));
    }
    let end = (now + lease).to_string();
    let mut held = vec![queue.held.to_vec()];
    held.append(&mut selection.pairs);
    let name = [reserve_id, b"/", size.to_string().as_bytes()].concat();
    if planted(Bug::RemoveBeforeInsert) {
        trim(calls, queue.ready, std::mem::take(&mut from_ready))?;
    }
    calls.call("ZADD", &[queue.leases, end.as_bytes(), &name])?;
    if let Err(refused) = calls.call("HSET", &held) {
        calls.call("ZREM", &[queue.leases, &name])?;
        return Err(refused);
    }
    trim(calls, claimed, from_claimed)?;
    trim(calls, queue.ready, from_ready)?;
    selection.reply.push(end.into_bytes());
    selection.reply.push(due.into_bytes());
    Ok(Reply::texts(selection.reply))
}

pub(super) fn peek(calls: &mut Calls<'_>, input: &ScriptInput<'_>) -> Result<Reply, ScriptError> {
    let queue = input.queue()?;
    let now = calls.now()?;
    write_first(calls, &queue)?;
    make_due_ready(calls, &queue, now)?;
    let max_size = usize::try_from(input.number(2)?).map_err(|_| ScriptError::nil("size"))?;
    let reply_target = usize::try_from(input.number(3)?).map_err(|_| ScriptError::nil("size"))?;
    let (mut reply, mut bytes) = (Vec::new(), 0);
    for element in first(calls, queue.ready, input.argument(1)?)?.0 {
        if bytes >= reply_target {
            break;
        }
        if !element.is_empty() && element.len() <= max_size {
            bytes += element.len();
            reply.push(element);
        }
    }
    Ok(Reply::texts(reply))
}

/// What a reserve takes.
struct Selection<'a> {
    reserve_id: &'a [u8],
    max: usize,
    max_size: usize,
    reply_target: usize,
    /// Fields, each with its element.
    pairs: Vec<Vec<u8>>,
    reply: Vec<Vec<u8>>,
    bytes: usize,
    /// Whether a nudge was removed.
    is_nudged: bool,
}

impl Selection<'_> {
    /// Chooses what comes first in a list. Returns how many of its elements that covers.
    fn select(&mut self, calls: &mut Calls<'_>, list: &[u8]) -> Result<usize, ScriptError> {
        let last = (self.max - self.reply.len() - 1).to_string();
        let (found, is_nudged) = first(calls, list, last.as_bytes())?;
        self.is_nudged |= is_nudged;
        let all = found.len();
        for (position, element) in found.into_iter().enumerate() {
            if element.is_empty() {
                continue;
            }
            if self.bytes >= self.reply_target {
                return Ok(position);
            }
            self.pairs.push(field(self.reserve_id, self.reply.len()));
            self.pairs.push(element.clone());
            let shown = if element.len() > self.max_size { Vec::new() } else { element };
            self.bytes += shown.len();
            self.reply.push(shown);
        }
        Ok(all)
    }
}

/// A write that needs no memory, so that a server whose memory is full lets the script go on.
pub(super) fn write_first(calls: &mut Calls<'_>, queue: &Queue<'_>) -> Result<(), ScriptError> {
    calls.call("ZREM", &[queue.leases, b""]).map(|_| ())
}

/// The field of the message at this position in a reserve.
fn field(reserve_id: &[u8], position: usize) -> Vec<u8> {
    [reserve_id, format!("{position:02}").as_bytes()].concat()
}

fn trim(calls: &mut Calls<'_>, list: &[u8], taken: usize) -> Result<(), ScriptError> {
    if taken > 0 {
        calls.call("LTRIM", &[list, taken.to_string().as_bytes(), b"-1"])?;
    }
    Ok(())
}

/// The longest time that is reported until something is due: 2^53 milliseconds.
const MAX_DUE: i64 = 1 << 53;

/// The milliseconds until something is due.
fn next_due(calls: &mut Calls<'_>, queue: &Queue<'_>, now: i64) -> Result<String, ScriptError> {
    let mut soonest: Option<i64> = None;
    for key in [queue.delayed, queue.leases] {
        let found = calls.texts("ZRANGE", &[key, b"0", b"0", b"WITHSCORES"])?;
        let score = found.into_iter().nth(1).flatten().and_then(|score| parse_score(&score));
        soonest = [soonest, score].into_iter().flatten().min();
    }
    let left = |soonest: i64| soonest.saturating_sub(now).clamp(0, MAX_DUE);
    Ok(soonest.map_or_else(String::new, |soonest| left(soonest).to_string()))
}

/// Makes ready what is due: up to 100 delayed messages, and what up to 10 ended leases held. If they
/// held nothing, the next 10 follow, up to 100. Returns whether there was anything.
fn make_due_ready(calls: &mut Calls<'_>, queue: &Queue<'_>, now: i64) -> Result<bool, ScriptError> {
    let delayed = due(calls, queue.delayed, now, b"100")?;
    if !delayed.is_empty() {
        for element in delayed.iter().rev() {
            calls.call("LPUSH", &[queue.ready, element])?;
        }
        let mut removed = vec![queue.delayed];
        removed.extend(delayed.iter().map(Vec::as_slice));
        calls.call("ZREM", &removed)?;
    }
    let mut is_any = !delayed.is_empty();
    for _ in 0..10 {
        let ended = due(calls, queue.leases, now, b"10")?;
        for lease in &ended {
            if shared(lease).is_some() || !planted(Bug::DueSkipsTouched) {
                is_any |= put_back(calls, queue, &fields_of(lease))?;
            }
            calls.call("ZREM", &[queue.leases, lease])?;
        }
        if is_any || ended.len() < 10 {
            break;
        }
    }
    Ok(is_any)
}

/// The first members whose time has come.
fn due(
    calls: &mut Calls<'_>,
    key: &[u8],
    now: i64,
    max: &[u8],
) -> Result<Vec<Vec<u8>>, ScriptError> {
    let stamp = now.to_string();
    let range = [key, b"-inf", stamp.as_bytes(), b"LIMIT", b"0", max];
    Ok(calls.texts("ZRANGEBYSCORE", &range)?.into_iter().flatten().collect())
}

/// The fields of a lease: those of a whole reserve, or that of one message that was touched.
fn fields_of(lease: &[u8]) -> Vec<Vec<u8>> {
    let Some((reserve_id, size)) = shared(lease) else { return vec![lease.to_vec()] };
    (0..size.min(MAX_RESERVE)).map(|position| field(reserve_id, position)).collect()
}

/// The unique id of a reserve and its size, from 1 to 999, if a lease is one of a whole reserve.
fn shared(lease: &[u8]) -> Option<(&[u8], usize)> {
    let slash = lease.iter().rposition(|byte| *byte == b'/')?;
    let size = &lease[slash + 1..];
    let is_number = (1..=3).contains(&size.len()) && size.iter().all(u8::is_ascii_digit);
    if !is_number || size[0] == b'0' {
        return None;
    }
    Some((&lease[..slash], std::str::from_utf8(size).ok()?.parse().ok()?))
}

/// The first elements of a list, without the nudges in front, which are removed, and whether there
/// were any.
fn first(
    calls: &mut Calls<'_>,
    list: &[u8],
    last: &[u8],
) -> Result<(Vec<Vec<u8>>, bool), ScriptError> {
    for round in 0..100 {
        let found = calls.texts("LRANGE", &[list, b"0", last])?;
        let found: Vec<Vec<u8>> = found.into_iter().flatten().collect();
        let nudges = found.iter().take_while(|element| element.is_empty()).count();
        if nudges == 0 {
            return Ok((found, round > 0));
        }
        trim(calls, list, nudges)?;
    }
    Ok((Vec::new(), true))
}
