//! Scripts for a Redis server with a queue: its commands, the queue's Lua scripts, waits, and
//! failures. The model and a real server must give the same replies, and have the same keys
//! afterwards.
//!
//! Times are comparable because each is a multiple of 1000 seconds away from the time of its step.
//! To let time pass, the model's clock is set, and on the real server all stored times are moved.

mod comparable;
mod lua;
mod model;
mod random_steps;
mod real;

use std::collections::BTreeMap;

use ivy_sim::redis::MODELLED;
use ivy_test_kit::RedisServer;

use model::Model;
use random_steps::random_steps;
use real::Real;

/// How many scripts are generated.
const SCRIPTS: u64 = 60;

// The server's log is read meanwhile, on another thread.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_of_redis_behaves_like_a_real_redis() {
    let server = RedisServer::start().await;
    let mut replies: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..SCRIPTS {
        let mut real = Real::connect(server.port());
        let mut model = Model::new(real.start());
        for (number, step) in random_steps(seed).iter().enumerate() {
            let context = || format!("script {seed}, step {number}: {step:?}");
            let now = real.next_moment();
            let of_model = model.follow(step, now);
            let of_real = real.follow(step, model.waits_after(step));
            assert_eq!(of_model, of_real, "{}", context());
            assert_eq!(model.keys(), real.keys(), "{}", context());
            for reply in of_model {
                *replies.entry(kind(&reply)).or_default() += 1;
            }
        }
    }
    for expected in [
        "-ERR",
        "-NOSCRIPT",
        "-OOM",
        "-READONLY",
        "-UNBLOCKED",
        "-WRONGTYPE",
        "array",
        "nil",
        "number",
        "text",
    ] {
        assert!(replies.contains_key(expected), "no script gives {expected}: {replies:?}");
    }
}

#[test]
fn each_script_has_a_model_of_its_current_text() {
    for (script, sha1) in MODELLED {
        assert_eq!(lua::sha1(script), sha1, "{script:?}: change the model, then its SHA-1");
    }
}

/// The kind of a reply.
fn kind(reply: &str) -> String {
    match reply.as_bytes() {
        [b'-', ..] => reply.split(' ').next().unwrap_or_default().to_owned(),
        [b'[', ..] => "array".to_owned(),
        [b'"', ..] => "text".to_owned(),
        _ if reply == "nil" => reply.to_owned(),
        _ => "number".to_owned(),
    }
}
