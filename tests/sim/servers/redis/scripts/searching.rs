//! `get.lua`: finds a message by its id.

use super::{Calls, ScriptError, ScriptInput, sha1_of};
use crate::redis::resp::Reply;

/// The maximum number of elements that are searched, if the script decides that.
const PAGE: i64 = 100;

pub(super) fn get(calls: &mut Calls<'_>, input: &ScriptInput<'_>) -> Result<Reply, ScriptError> {
    let (id, source, from) = (input.argument(1)?, input.argument(2)?, input.argument(3)?);
    let elements;
    let mut next = b"0".to_vec();
    match source {
        b"1" => {
            let from_number = input.number(3)?;
            let to = (from_number + PAGE - 1).to_string();
            let found = calls.texts("LRANGE", &[input.key(1)?, from, to.as_bytes()])?;
            elements = found.into_iter().flatten().collect::<Vec<_>>();
            if elements.len() == PAGE as usize {
                next = (from_number + PAGE).to_string().into_bytes();
            }
        }
        _ => {
            let key = input.key(usize::try_from(input.number(2)?).unwrap_or(usize::MAX))?;
            let (name, of_pair) = if source == b"2" { ("ZSCAN", 0) } else { ("HSCAN", 1) };
            let Reply::Array(page) = calls.call(name, &[key, from, b"COUNT", b"100"])? else {
                return Err(ScriptError::nil("page"));
            };
            let [Reply::Text(cursor), Reply::Array(found)] = page.as_slice() else {
                return Err(ScriptError::nil("page"));
            };
            next.clone_from(cursor);
            let texts = found.chunks_exact(2).map(|pair| match &pair[of_pair] {
                Reply::Text(text) => text.clone(),
                _ => Vec::new(),
            });
            elements = texts.collect();
        }
    }
    let hash = input.arguments.get(3);
    let is_searched = |element: &&Vec<u8>| {
        element.starts_with(id)
            || hash.is_some_and(|hash| sha1_of(element).as_bytes().starts_with(hash))
    };
    if let Some(found) = elements.iter().find(is_searched) {
        return Ok(Reply::texts([found.as_slice(), b"0", b"0"]));
    }
    let seen = elements.len().to_string();
    Ok(Reply::texts([b"", next.as_slice(), seen.as_bytes()]))
}
