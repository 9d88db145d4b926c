//! Lists.

use std::collections::VecDeque;

use super::{Refusal, number, range};
use crate::redis::resp::Reply;
use crate::redis::store::Store;

type List = VecDeque<Vec<u8>>;

pub(super) fn rpush(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let length = store.change(&arguments[0], |list: &mut List| {
        list.extend(arguments[1..].iter().cloned());
        list.len()
    })?;
    Ok(Reply::count(length))
}

pub(super) fn lpush(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let length = store.change(&arguments[0], |list: &mut List| {
        arguments[1..].iter().for_each(|text| list.push_front(text.clone()));
        list.len()
    })?;
    Ok(Reply::count(length))
}

/// `LMOVE from to LEFT RIGHT`, the only direction in which elements are moved.
pub(super) fn lmove(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    if arguments[2..] != [b"LEFT".to_vec(), b"RIGHT".to_vec()] {
        return Err(Refusal::Syntax);
    }
    Ok(Reply::text_or_nil(move_first(store, &arguments[0], &arguments[1])?))
}

/// Moves the first element of a list to the end of another one.
pub(in crate::redis) fn move_first(
    store: &mut Store,
    from: &[u8],
    to: &[u8],
) -> Result<Option<Vec<u8>>, Refusal> {
    if store.read::<List>(from)?.is_none() {
        return Ok(None);
    }
    store.read::<List>(to)?;
    let moved = store.change(from, List::pop_front)?;
    if let Some(moved) = &moved {
        store.change(to, |list: &mut List| list.push_back(moved.clone()))?;
    }
    Ok(moved)
}

pub(super) fn lrange(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let Some(list) = store.read::<List>(&arguments[0])? else { return Ok(Reply::Array(vec![])) };
    let range = range(&arguments[1], &arguments[2], list.len())?;
    Ok(Reply::texts(list.range(range)))
}

pub(super) fn ltrim(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let length = store.read::<List>(&arguments[0])?.map_or(0, VecDeque::len);
    let range = range(&arguments[1], &arguments[2], length)?;
    store.change(&arguments[0], |list: &mut List| {
        list.truncate(range.end);
        list.drain(..range.start.min(list.len()));
    })?;
    Ok(Reply::Status("OK"))
}

pub(super) fn llen(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    Ok(Reply::count(store.read::<List>(&arguments[0])?.map_or(0, VecDeque::len)))
}

/// `LPOS key element MAXLEN n`: its position, if it is among the first.
pub(super) fn lpos(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let max = match &arguments[2..] {
        [] => usize::MAX,
        [option, max] if option == b"MAXLEN" => number(max)? as usize,
        _ => return Err(Refusal::Syntax),
    };
    let Some(list) = store.read::<List>(&arguments[0])? else { return Ok(Reply::Nil) };
    let position = list.iter().take(max).position(|text| *text == arguments[1]);
    Ok(position.map_or(Reply::Nil, Reply::count))
}
