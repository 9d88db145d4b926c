//! The texts of the scripts, put together as PROTOCOL.md specifies for peers in other languages.

use std::fmt::Write;
use std::fs;

use ivy_sim::redis::Script;
use sha1::{Digest, Sha1};

const PROTOCOL: &str = include_str!("../../../../ivy-proto/PROTOCOL.md");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../backends/redis/src/queue/lua");

pub(super) fn text(script: Script) -> String {
    let name = format!("{script:?}").to_lowercase();
    let begin = format!("| `{name}` | `");
    let line = PROTOCOL.lines().find_map(|line| line.strip_prefix(&begin)).expect("it is listed");
    let files = line.trim_end_matches("` |").split(' ');
    files.map(|file| fs::read_to_string(format!("{FOLDER}/{file}.lua")).expect(file)).collect()
}

pub(super) fn sha1(script: Script) -> String {
    sha1_of(text(script).as_bytes())
}

pub(super) fn sha1_of(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}
