//! `touch.lua`, `release.lua`, `reject.lua` and `orphans.lua`, with `put_back.lua`: what becomes of
//! messages that are held.

use std::collections::BTreeMap;

use super::posting::delay;
use super::reserving::write_first;
use super::{Calls, Queue, ScriptError, ScriptInput};
use crate::planted::{Bug, planted};
use crate::redis::resp::Reply;

/// Where the counts of an element begin, from 1 as in the scripts.
const FAILED: usize = 19;
const LOST: usize = 21;

pub(super) fn touch(calls: &mut Calls<'_>, input: &ScriptInput<'_>) -> Result<Reply, ScriptError> {
    let queue = input.queue()?;
    let now = calls.now()?;
    write_first(calls, &queue)?;
    let (field, next, own) = (input.argument(1)?, input.argument(2)?, input.argument(4)?);
    let element = calls.text("HGET", &[queue.held, field])?;
    if element.is_none() && calls.number("HEXISTS", &[queue.held, next])? == 0 {
        return Ok(Reply::text(""));
    }
    let end = (now + input.number(3)?).to_string();
    calls.call("ZADD", &[queue.leases, end.as_bytes(), next])?;
    if let Some(element) = &element {
        calls.call("HSET", &[queue.held, next, element])?;
    }
    calls.call("HDEL", &[queue.held, field])?;
    calls.call("ZREM", &[queue.leases, own])?;
    Ok(Reply::text(end))
}

pub(super) fn release(
    calls: &mut Calls<'_>,
    input: &ScriptInput<'_>,
) -> Result<Reply, ScriptError> {
    let queue = input.queue()?;
    let now = calls.now()?;
    write_first(calls, &queue)?;
    for number in (3..=input.arguments.len()).step_by(2) {
        let field = input.argument(number)?;
        let Some(mut element) = calls.text("HGET", &[queue.held, field])? else { continue };
        if input.argument(2)? == b"1" {
            element = increment(element, FAILED);
        }
        if planted(Bug::RemoveBeforeInsert) {
            calls.call("HDEL", &[queue.held, field])?;
        }
        if input.argument(1)? == b"0" {
            calls.call("LPUSH", &[queue.ready, &element])?;
        } else {
            delay(calls, &queue, &[(now + input.number(1)?, element)])?;
        }
        calls.call("HDEL", &[queue.held, field])?;
        calls.call("ZREM", &[queue.leases, input.argument(number + 1)?])?;
        return Ok(Reply::Int(1));
    }
    Ok(Reply::Int(0))
}

pub(super) fn reject(calls: &mut Calls<'_>, input: &ScriptInput<'_>) -> Result<Reply, ScriptError> {
    let queue = input.queue()?;
    calls.now()?;
    let field = input.argument(1)?;
    let Some(element) = calls.text("HGET", &[queue.held, field])? else {
        return Ok(Reply::Int(0));
    };
    let message = [input.argument(3)?, &element].concat();
    calls.call("RPUSH", &[input.key(5)?, &message])?;
    calls.call("HDEL", &[queue.held, field])?;
    calls.call("ZREM", &[queue.leases, input.argument(2)?])?;
    Ok(Reply::Int(1))
}

/// How many orphans are put back at once, at most.
const MAX_ORPHANS: usize = 1000;

pub(super) fn orphans(
    calls: &mut Calls<'_>,
    input: &ScriptInput<'_>,
) -> Result<Reply, ScriptError> {
    let queue = input.queue()?;
    calls.now()?;
    write_first(calls, &queue)?;
    let scan = [queue.held, input.argument(1)?, b"COUNT", b"100"];
    let Reply::Array(page) = calls.call("HSCAN", &scan)? else {
        return Err(ScriptError::nil("page"));
    };
    let [cursor, Reply::Array(found)] = page.as_slice() else {
        return Err(ScriptError::nil("page"));
    };
    let mut leased: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    let mut orphans = Vec::new();
    for pair in found.chunks_exact(2) {
        let Reply::Text(field) = &pair[0] else { continue };
        let is_touched = field.contains(&b'.');
        let shared = field.len().saturating_sub(2);
        let reserve_id = if is_touched { field.as_slice() } else { &field[..shared] };
        if !leased.contains_key(reserve_id) {
            let has_lease = if is_touched {
                calls.text("ZSCORE", &[queue.leases, field])?.is_some()
            } else {
                is_leased(calls, &queue, reserve_id)?
            };
            leased.insert(reserve_id.to_vec(), has_lease);
        }
        if !leased[reserve_id] && orphans.len() < MAX_ORPHANS {
            orphans.push(field.clone());
        }
    }
    if !orphans.is_empty() {
        put_back(calls, &queue, &orphans)?;
    }
    Ok(Reply::Array(vec![cursor.clone(), Reply::count(orphans.len())]))
}

fn is_leased(
    calls: &mut Calls<'_>,
    queue: &Queue<'_>,
    reserve_id: &[u8],
) -> Result<bool, ScriptError> {
    let mut names = vec![queue.leases.to_vec()];
    names.extend((1..=100).map(|size: u32| [reserve_id, format!("/{size}").as_bytes()].concat()));
    Ok(calls.texts("ZMSCORE", &names)?.iter().any(Option::is_some))
}

/// Puts what these fields hold back to the head of the queue, with one lost delivery more. Returns
/// whether they held anything.
pub(super) fn put_back(
    calls: &mut Calls<'_>,
    queue: &Queue<'_>,
    fields: &[Vec<u8>],
) -> Result<bool, ScriptError> {
    let mut named = vec![queue.held.to_vec()];
    named.extend_from_slice(fields);
    let elements = calls.texts("HMGET", &named)?;
    let mut is_any = false;
    for element in elements.into_iter().rev().flatten() {
        calls.call("LPUSH", &[queue.ready, &increment(element, LOST)])?;
        is_any = true;
    }
    if is_any {
        calls.call("HDEL", &named)?;
    }
    Ok(is_any)
}

/// The element with one more in the count that begins at this position. A count stops at ff. An
/// element that is not a message has no counts.
fn increment(mut element: Vec<u8>, at: usize) -> Vec<u8> {
    let header = element.get(..22).and_then(|header| header.split_at_checked(18));
    let is_message = header.is_some_and(|(id, counts)| {
        id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
            && counts.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    let digits = element.get(at - 1..at + 1).filter(|_| is_message);
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    let count = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    if let Some(more) = count.and_then(|count| count.checked_add(1)) {
        element[at - 1..at + 1].copy_from_slice(format!("{more:02x}").as_bytes());
    }
    element
}
