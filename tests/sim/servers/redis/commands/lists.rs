//! Lists.

use std::collections::VecDeque;

use super::{Refusal, number, range};
use crate::redis::resp::ReplyTo;
use crate::redis::store::Store;

type List = VecDeque<Vec<u8>>;

pub(super) fn rpush(store: &mut Store, arguments: &[Vec<u8>]) -> Result<ReplyTo, Refusal> {
    let length = store.change(&arguments[0], |list: &mut List| {
        list.extend(arguments[1..].iter().cloned());
        list.len()
    })?;
    Ok(ReplyTo::count(length))
}

pub(super) fn lpush(store: &mut Store, arguments: &[Vec<u8>]) -> Result<ReplyTo, Refusal> {
    let length = store.change(&arguments[0], |list: &mut List| {
        arguments[1..].iter().for_each(|text| list.push_front(text.clone()));
        list.len()
    })?;
    Ok(ReplyTo::count(length))
}

/// `LMOVE from to LEFT RIGHT`, the only direction in which elements are moved.
pub(super) fn lmove(store: &mut Store, arguments: &[Vec<u8>]) -> Result<ReplyTo, Refusal> {
    if arguments[2..] != [b"LEFT".to_vec(), b"RIGHT".to_vec()] {
        return Err(Refusal::Syntax);
    }
    Ok(ReplyTo::text_or_nil(move_first(store, &arguments[0], &arguments[1])?))
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

pub(super) fn lrange(store: &mut Store, arguments: &[Vec<u8>]) -> Result<ReplyTo, Refusal> {
    let Some(list) = store.read::<List>(&arguments[0])? else { return Ok(ReplyTo::Array(vec![])) };
    let range = range(&arguments[1], &arguments[2], list.len())?;
    Ok(ReplyTo::texts(list.range(range)))
}

pub(super) fn ltrim(store: &mut Store, arguments: &[Vec<u8>]) -> Result<ReplyTo, Refusal> {
    let length = store.read::<List>(&arguments[0])?.map_or(0, VecDeque::len);
    let range = range(&arguments[1], &arguments[2], length)?;
    store.change(&arguments[0], |list: &mut List| {
        list.truncate(range.end);
        list.drain(..range.start.min(list.len()));
    })?;
    Ok(ReplyTo::Status("OK"))
}

pub(super) fn llen(store: &mut Store, arguments: &[Vec<u8>]) -> Result<ReplyTo, Refusal> {
    Ok(ReplyTo::count(store.read::<List>(&arguments[0])?.map_or(0, VecDeque::len)))
}

/// `LPOS key element MAXLEN n`: its position, if it is among the first.
pub(super) fn lpos(store: &mut Store, arguments: &[Vec<u8>]) -> Result<ReplyTo, Refusal> {
    let most = match &arguments[2..] {
        [] => usize::MAX,
        [option, most] if option == b"MAXLEN" => number(most)? as usize,
        _ => return Err(Refusal::Syntax),
    };
    let Some(list) = store.read::<List>(&arguments[0])? else { return Ok(ReplyTo::Nil) };
    let place = list.iter().take(most).position(|text| *text == arguments[1]);
    Ok(place.map_or(ReplyTo::Nil, ReplyTo::count))
}
