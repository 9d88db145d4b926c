//! Scripts for a Redis server that is a queue: its commands, the Lua scripts of a queue, waits, and
//! trouble. The model and a real server answer the same, and have the same keys afterwards.
//!
//! Times are comparable since each is a multiple of 1000 seconds away from the time of its step. To let
//! time pass, the clock of the model is set, while on the real server all times are moved.

mod drawn;
mod lua;
mod model;
mod real;
mod seen;

use std::collections::BTreeMap;

use ivy_sim::redis::MODELLED;
use ivy_test_kit::RedisServer;

use drawn::drawn;
use model::Model;
use real::Real;

/// How many scripts are drawn.
const SCRIPTS: u64 = 60;

// What the server logs is read meanwhile, on another thread.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_of_redis_does_what_a_real_redis_does() {
    let server = RedisServer::start().await;
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..SCRIPTS {
        let mut real = Real::connect(server.port());
        let mut model = Model::new(real.start());
        for (number, step) in drawn(seed).iter().enumerate() {
            let context = || format!("script {seed}, step {number}: {step:?}");
            let now = real.next_moment();
            let of_model = model.follow(step, now);
            let of_real = real.follow(step, model.waits_after(step));
            assert_eq!(of_model, of_real, "{}", context());
            assert_eq!(model.keys(), real.keys(), "{}", context());
            for answer in of_model {
                *answers.entry(kind(&answer)).or_default() += 1;
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
        assert!(answers.contains_key(expected), "no script brings {expected}: {answers:?}");
    }
}

#[test]
fn each_script_has_a_model_that_was_made_for_its_text() {
    for (script, sha1) in MODELLED {
        assert_eq!(lua::sha1(script), sha1, "{script:?}: change the model, then its SHA-1");
    }
}

/// What kind of answer it is.
fn kind(answer: &str) -> String {
    match answer.as_bytes() {
        [b'-', ..] => answer.split(' ').next().unwrap_or_default().to_owned(),
        [b'[', ..] => "array".to_owned(),
        [b'"', ..] => "text".to_owned(),
        _ if answer == "nil" => answer.to_owned(),
        _ => "number".to_owned(),
    }
}
