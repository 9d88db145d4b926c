//! Hashes.

use super::{Refusal, number};
use crate::redis::resp::Reply;
use crate::redis::store::{Hash, Store};

/// A hash of at least this many fields is scanned in pages. A smaller one is returned as a whole.
const PAGED_ABOVE: usize = 512;

pub(super) fn hset(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let added = store.change(&arguments[0], |hash: &mut Hash| {
        let pairs = arguments[1..].chunks_exact(2);
        pairs.filter(|pair| hash.set(&pair[0], &pair[1])).count()
    })?;
    Ok(Reply::count(added))
}

pub(super) fn hdel(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let removed = store.change(&arguments[0], |hash: &mut Hash| {
        arguments[1..].iter().filter(|field| hash.remove(field)).count()
    })?;
    Ok(Reply::count(removed))
}

pub(super) fn hget(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let hash = store.read::<Hash>(&arguments[0])?;
    Ok(Reply::text_or_nil(hash.and_then(|hash| hash.get(&arguments[1]))))
}

pub(super) fn hmget(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let hash = store.read::<Hash>(&arguments[0])?;
    let texts = arguments[1..].iter().map(|field| hash.and_then(|hash| hash.get(field)));
    Ok(Reply::Array(texts.map(Reply::text_or_nil).collect()))
}

pub(super) fn hexists(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let hash = store.read::<Hash>(&arguments[0])?;
    Ok(Reply::count(usize::from(hash.is_some_and(|hash| hash.get(&arguments[1]).is_some()))))
}

pub(super) fn hlen(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    Ok(Reply::count(store.read::<Hash>(&arguments[0])?.map_or(0, Hash::len)))
}

/// `HSCAN key cursor COUNT n`.
pub(super) fn hscan(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let cursor = number(&arguments[1])?.unsigned_abs();
    let count = match &arguments[2..] {
        [] => 10,
        [option, count] if option == b"COUNT" => number(count)?.unsigned_abs() as usize,
        _ => return Err(Refusal::Syntax),
    };
    let Some(hash) = store.read::<Hash>(&arguments[0])? else { return Ok(page(0, Vec::new())) };
    let max = if hash.len() > PAGED_ABOVE { count } else { usize::MAX };
    let mut found = Vec::new();
    for (number, field, text) in hash.page(cursor) {
        if found.len() / 2 == max {
            return Ok(page(number, found));
        }
        found.extend([Reply::text(field), Reply::text(text)]);
    }
    Ok(page(0, found))
}

/// The reply to a scan: the next cursor, and what it found.
pub(super) fn page(cursor: u64, found: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::text(cursor.to_string()), Reply::Array(found)])
}
