//! Sorted sets.

use super::hashes::page;
use super::{Refusal, number, range};
use crate::redis::resp::Reply;
use crate::redis::store::{SortedSet, Store};

/// `ZADD key [NX] score member ..`.
pub(super) fn zadd(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let only_new = arguments[1] == b"NX";
    let pairs = &arguments[if only_new { 2 } else { 1 }..];
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Refusal::Syntax);
    }
    let mut scores = Vec::new();
    for pair in pairs.chunks_exact(2) {
        scores.push(parse_score(&pair[0]).ok_or(Refusal::NotAScore)?);
    }
    let added = store.change(&arguments[0], |set: &mut SortedSet| {
        let members = pairs.chunks_exact(2).zip(scores);
        let added = members.filter(|(pair, score)| {
            (!only_new || set.score(&pair[1]).is_none()) && set.add(&pair[1], *score)
        });
        added.count()
    })?;
    Ok(Reply::count(added))
}

pub(super) fn zrem(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let removed = store.change(&arguments[0], |set: &mut SortedSet| {
        arguments[1..].iter().filter(|member| set.remove(member)).count()
    })?;
    Ok(Reply::count(removed))
}

pub(super) fn zcard(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    Ok(Reply::count(store.read::<SortedSet>(&arguments[0])?.map_or(0, SortedSet::len)))
}

pub(super) fn zscore(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let set = store.read::<SortedSet>(&arguments[0])?;
    Ok(score(set, &arguments[1]))
}

pub(super) fn zmscore(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let set = store.read::<SortedSet>(&arguments[0])?;
    Ok(Reply::Array(arguments[1..].iter().map(|member| score(set, member)).collect()))
}

/// `ZRANGE key from to [WITHSCORES]`.
pub(super) fn zrange(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let with_scores = match &arguments[3..] {
        [] => false,
        [option] if option == b"WITHSCORES" => true,
        _ => return Err(Refusal::Syntax),
    };
    let set = store.read::<SortedSet>(&arguments[0])?;
    let range = range(&arguments[1], &arguments[2], set.map_or(0, SortedSet::len))?;
    let members = set.into_iter().flat_map(SortedSet::iter);
    let members = members.skip(range.start).take(range.len());
    Ok(Reply::Array(members.flat_map(|member| shown(member, with_scores)).collect()))
}

/// `ZRANGEBYSCORE key -inf max LIMIT 0 n`.
pub(super) fn zrangebyscore(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let limit = limit(&arguments[3..])?;
    if arguments[1] != b"-inf" {
        return Err(Refusal::NotAScore);
    }
    let max = number(&arguments[2]).map_err(|_| Refusal::NotAScore)?;
    let set = store.read::<SortedSet>(&arguments[0])?;
    let members = set.into_iter().flat_map(SortedSet::iter);
    let members = members.take_while(|(_, score)| *score <= max).take(limit);
    Ok(Reply::texts(members.map(|(member, _)| member)))
}

/// `ZRANGEBYLEX key from to LIMIT 0 n`.
pub(super) fn zrangebylex(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let limit = limit(&arguments[3..])?;
    let (from, to) = (Bound::parse(&arguments[1])?, Bound::parse(&arguments[2])?);
    let set = store.read::<SortedSet>(&arguments[0])?;
    let members = set.into_iter().flat_map(SortedSet::iter).map(|(member, _)| member);
    let within = members.filter(|member| from.is_before(member) && to.is_after(member));
    Ok(Reply::texts(within.take(limit)))
}

/// All members and their scores, whatever the cursor.
pub(super) fn zscan(store: &mut Store, arguments: &[Vec<u8>]) -> Result<Reply, Refusal> {
    let set = store.read::<SortedSet>(&arguments[0])?;
    let members = set.into_iter().flat_map(SortedSet::iter);
    Ok(page(0, members.flat_map(|member| shown(member, true)).collect()))
}

/// One end of a range of names.
enum Bound<'a> {
    Lowest,
    Highest,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
}

impl<'a> Bound<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        match text {
            b"-" => Ok(Bound::Lowest),
            b"+" => Ok(Bound::Highest),
            [b'[', name @ ..] => Ok(Bound::Included(name)),
            [b'(', name @ ..] => Ok(Bound::Excluded(name)),
            _ => Err(Refusal::NotARange),
        }
    }

    fn is_before(&self, member: &[u8]) -> bool {
        match self {
            Bound::Lowest => true,
            Bound::Highest => false,
            Bound::Included(name) => *name <= member,
            Bound::Excluded(name) => *name < member,
        }
    }

    fn is_after(&self, member: &[u8]) -> bool {
        match self {
            Bound::Lowest => false,
            Bound::Highest => true,
            Bound::Included(name) => member <= *name,
            Bound::Excluded(name) => member < *name,
        }
    }
}

fn limit(options: &[Vec<u8>]) -> Result<usize, Refusal> {
    match options {
        [] => Ok(usize::MAX),
        [option, from, count] if option == b"LIMIT" && from == b"0" => {
            Ok(usize::try_from(number(count)?).unwrap_or(usize::MAX))
        }
        _ => Err(Refusal::Syntax),
    }
}

fn score(set: Option<&SortedSet>, member: &[u8]) -> Reply {
    let score = set.and_then(|set| set.score(member));
    Reply::text_or_nil(score.map(score_text))
}

/// A score: a whole number, or infinity.
pub(in crate::redis) fn parse_score(text: &[u8]) -> Option<i64> {
    match text {
        b"inf" => Some(SortedSet::INFINITE),
        b"-inf" => Some(-SortedSet::INFINITE),
        text => number(text).ok(),
    }
}

fn score_text(score: i64) -> String {
    match score {
        SortedSet::INFINITE => "inf".to_owned(),
        score if score == -SortedSet::INFINITE => "-inf".to_owned(),
        score => score.to_string(),
    }
}

fn shown((member, score): (&[u8], i64), with_scores: bool) -> Vec<Reply> {
    let mut shown = vec![Reply::text(member)];
    if with_scores {
        shown.push(Reply::text(score_text(score)));
    }
    shown
}
