//! The texts of the scripts, as the backend sends them.

use std::fmt::Write;

use ivy_sim::redis::Script;
use sha1::{Digest, Sha1};

macro_rules! lua {
    ($($name:literal),*) => {
        concat!($(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../../backends/redis/src/queue/lua/", $name, ".lua"
        ))),*)
    };
}

pub(super) fn text(script: Script) -> &'static str {
    match script {
        Script::Post => lua!("prelude", "nudge", "post"),
        Script::Reserve => lua!("prelude", "frees", "counts", "put_back", "sweep", "reserve"),
        Script::Peek => lua!("prelude", "frees", "counts", "put_back", "sweep", "peek"),
        Script::Touch => lua!("prelude", "frees", "touch"),
        Script::Release => lua!("prelude", "frees", "counts", "nudge", "release"),
        Script::Reject => lua!("prelude", "reject"),
        Script::Orphans => lua!("prelude", "frees", "counts", "put_back", "orphans"),
        Script::Get => lua!("get"),
    }
}

pub(super) fn sha1(script: Script) -> String {
    Sha1::digest(text(script)).iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}
