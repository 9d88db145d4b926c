//! Recorded responses, truncated and damaged: never an unproven success, and no panic.

use ivy_core_tests::recorded::{self, Recorded};
use ivy_proto::Rng;
use ivy_proto::queue::Effect;

use crate::support::*;

/// How often each response is damaged.
const SAMPLES: usize = 20;

/// The recorded responses as they are, pretty-printed, and with an unknown field in front.
fn responses() -> Vec<Recorded> {
    let mut responses = Vec::new();
    for recorded in recorded::responses() {
        let value: serde_json::Value = serde_json::from_str(&recorded.body).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let unknown = recorded.body.replacen('{', r#"{"unknown":[{"x":"\"}"},1e9],"#, 1);
        for body in [pretty, unknown] {
            let (op, reply) = (recorded.op.clone(), recorded.reply.clone());
            responses.push(Recorded { op, status: recorded.status, body, reply });
        }
        responses.push(recorded);
    }
    responses
}

/// A number below `limit`.
fn random_below(rng: &mut Rng, limit: usize) -> usize {
    let largest = u64::try_from(limit - 1).unwrap();
    usize::try_from(rng.up_to(largest)).unwrap()
}

#[test]
fn there_are_fifty_responses_to_damage() {
    assert!(responses().len() >= 50);
}

#[test]
fn a_response_truncated_at_any_byte_is_never_a_success() {
    for Recorded { op, status, body, .. } in responses() {
        for end in 0..body.len() {
            let cut = &body.as_bytes()[..end];
            let fault = ironmq().decode(&op, response(status, cut.to_vec())).unwrap_err();
            assert_eq!(fault.effect(), Effect::Unknown, "{op:?}");
        }
    }
}

#[test]
fn a_damaged_response_proves_only_what_it_contains() {
    let mut rng = Rng::from_number(14);
    for Recorded { op, status, body, .. } in responses() {
        for _ in 0..SAMPLES {
            let mut bytes = body.clone().into_bytes();
            let at = random_below(&mut rng, bytes.len());
            let byte = u8::try_from(random_below(&mut rng, 256)).unwrap();
            match random_below(&mut rng, 4) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
            if let Ok(reply) = ironmq().decode(&op, response(status, bytes)) {
                assert_proved(&op, &reply);
            }
        }
    }
}
