//! `get.lua`: finds a message by its id.

use super::{Calls, Given, Raised};
use crate::redis::resp::ReplyTo;

/// The maximum number of elements that are searched, if the script decides that.
const PAGE: i64 = 100;

pub(super) fn get(calls: &mut Calls<'_>, given: &Given<'_>) -> Result<ReplyTo, Raised> {
    let (id, place, from) = (given.argument(1)?, given.argument(2)?, given.argument(3)?);
    let elements;
    let mut following = b"0".to_vec();
    match place {
        b"1" => {
            let from_number = given.number(3)?;
            let to = (from_number + PAGE - 1).to_string();
            let found = calls.texts("LRANGE", &[given.key(1)?, from, to.as_bytes()])?;
            elements = found.into_iter().flatten().collect::<Vec<_>>();
            if elements.len() == PAGE as usize {
                following = (from_number + PAGE).to_string().into_bytes();
            }
        }
        _ => {
            let key = given.key(usize::try_from(given.number(2)?).unwrap_or(usize::MAX))?;
            let (name, of_pair) = if place == b"2" { ("ZSCAN", 0) } else { ("HSCAN", 1) };
            let ReplyTo::Array(page) = calls.call(name, &[key, from, b"COUNT", b"100"])? else {
                return Err(Raised::nil("page"));
            };
            let [ReplyTo::Text(cursor), ReplyTo::Array(found)] = page.as_slice() else {
                return Err(Raised::nil("page"));
            };
            following.clone_from(cursor);
            let texts = found.chunks_exact(2).map(|pair| match &pair[of_pair] {
                ReplyTo::Text(text) => text.clone(),
                _ => Vec::new(),
            });
            elements = texts.collect();
        }
    }
    if let Some(found) = elements.iter().find(|element| element.starts_with(id)) {
        return Ok(ReplyTo::texts([found.as_slice(), b"0", b"0"]));
    }
    let seen = elements.len().to_string();
    Ok(ReplyTo::texts([b"", following.as_slice(), seen.as_bytes()]))
}
