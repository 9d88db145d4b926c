//! The Lua scripts of a queue, and their hashes.

use std::sync::LazyLock;

use sha1::{Digest, Sha1};

/// A script. Its source documents its arguments and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Posts messages of which some are delayed.
    Post,
    /// Reserves messages.
    Reserve,
    /// Returns the next messages without reserving them.
    Peek,
    /// Renews a lease.
    Touch,
    /// Releases a message.
    Release,
    /// Moves an element that no worker can handle to the dead-letter queue.
    Reject,
    /// Puts back messages that are reserved without a lease.
    Orphans,
    /// Searches for a message by its id.
    Get,
}

/// The joined text of files of the folder `lua`.
macro_rules! lua {
    ($($name:literal),*) => { concat!($(include_str!(concat!("lua/", $name, ".lua"))),*) };
}

const POST: &str = lua!("prelude", "nudge", "post");
const RESERVE: &str =
    lua!("prelude", "write_first", "increment_count", "put_back", "due", "reserve");
const PEEK: &str = lua!("prelude", "write_first", "increment_count", "put_back", "due", "peek");
const TOUCH: &str = lua!("prelude", "write_first", "touch");
const RELEASE: &str = lua!("prelude", "write_first", "increment_count", "nudge", "release");
const REJECT: &str = lua!("prelude", "reject");
const ORPHANS: &str = lua!("prelude", "write_first", "increment_count", "put_back", "orphans");
const GET: &str = lua!("get");

/// All scripts, in the order of their declaration.
const SOURCES: [&str; 8] = [POST, RESERVE, PEEK, TOUCH, RELEASE, REJECT, ORPHANS, GET];

static HASHES: LazyLock<[String; 8]> = LazyLock::new(|| SOURCES.map(sha1_of));

impl Script {
    /// The Lua source, with the files that it shares with others.
    pub(crate) fn source(self) -> &'static str {
        SOURCES[self as usize]
    }

    /// The SHA-1 of the source, in hexadecimal.
    pub(crate) fn hash(self) -> &'static str {
        &HASHES[self as usize]
    }
}

fn sha1_of(text: &str) -> String {
    Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_has_its_source() {
        for (script, text) in [
            (Script::Post, POST),
            (Script::Reserve, RESERVE),
            (Script::Peek, PEEK),
            (Script::Touch, TOUCH),
            (Script::Release, RELEASE),
            (Script::Reject, REJECT),
            (Script::Orphans, ORPHANS),
            (Script::Get, GET),
        ] {
            assert_eq!(script.source(), text);
            assert_eq!(script.hash(), sha1_of(text));
        }
    }

    #[test]
    fn a_hash_is_the_sha1_that_redis_computes() {
        assert_eq!(sha1_of("return 1"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }

    #[test]
    fn lines_have_at_most_120_bytes_and_scripts_have_no_shebang() {
        for text in SOURCES {
            // Servers before version 7 do not support them.
            assert!(!text.starts_with("#!"));
            assert!(text.lines().all(|line| line.len() <= 120));
        }
    }
}
