//! `post.lua`, and `nudge.lua`, which other scripts include.

use super::{Calls, Queue, ScriptError, ScriptInput};
use crate::redis::resp::Reply;

pub(super) fn post(calls: &mut Calls<'_>, input: &ScriptInput<'_>) -> Result<Reply, ScriptError> {
    let queue = input.queue()?;
    let now = calls.now()?;
    let immediate = usize::try_from(input.number(1)?).map_err(|_| ScriptError::nil("count"))?;
    calls.call("LLEN", &[queue.ready])?;
    calls.call("ZCARD", &[queue.delayed])?;
    if immediate > 0 {
        let mut pushed = vec![queue.ready];
        for number in 2..=immediate + 1 {
            pushed.push(input.argument(number)?);
        }
        calls.call("RPUSH", &pushed)?;
    }
    let mut later = Vec::new();
    for number in (immediate + 2..=input.arguments.len()).step_by(2) {
        later.push((now + input.number(number)?, input.argument(number + 1)?.to_vec()));
    }
    let posted = immediate + later.len();
    delay(calls, &queue, &later)?;
    Ok(Reply::count(posted))
}

/// Adds delayed messages, and a nudge if one of them is due first.
pub(super) fn delay(
    calls: &mut Calls<'_>,
    queue: &Queue<'_>,
    later: &[(i64, Vec<u8>)],
) -> Result<(), ScriptError> {
    let mut added = vec![queue.delayed.to_vec()];
    for (due, element) in later {
        added.extend([due.to_string().into_bytes(), element.clone()]);
    }
    calls.call("ZADD", &added)?;
    let soonest = calls.texts("ZRANGE", &[queue.delayed, b"0", b"0"])?;
    let soonest = soonest.into_iter().next().flatten();
    for (_, element) in later {
        if Some(element) == soonest.as_ref() && calls.number("LLEN", &[queue.ready])? == 0 {
            calls.call("LPUSH", &[queue.ready, b""])?;
        }
    }
    Ok(())
}
