//! The dead letters of the world.

use ivy_proto::queue::Body;
use ivy_proto::wire::{DeadLetter, DeadLetterReason, Envelope};
use ivy_proto::{MessageId, QueueName, TaskId};

/// The letters: the first one is there twice.
pub(super) const LETTERS: [u32; 4] = [0, 1, 0, EXCLUDED];
/// Two operators may each hold one of two copies, and then both are posted.
pub(super) const LETTERS_OF_TWO: [u32; 3] = [0, 1, EXCLUDED];
/// The letter that the filter does not select.
pub(super) const EXCLUDED: u32 = 2;

pub(super) fn dead() -> QueueName {
    QueueName::new("plain.dead").expect("the name is valid")
}

pub(super) fn number_of(envelope: &Envelope) -> u32 {
    let args: Vec<u32> = serde_json::from_str(envelope.args.as_str()).expect("one number");
    args[0]
}

pub(super) fn letter(number: u32) -> Body {
    let id = TaskId::from_random(u128::from(number).to_be_bytes());
    let name = if number == EXCLUDED { "other" } else { "sim.plain" };
    let body = format!(
        r#"{{"name":"{name}","options":{{"ivy":{{"v":1,"id":"{id}","attempt":3}}}},"args":[{number}]}}"#
    );
    let letter = DeadLetter {
        queue: QueueName::new("plain").expect("the name is valid"),
        id: MessageId::new(number.to_string()),
        reason: DeadLetterReason::RetriesExhausted,
        error: None,
        attempts: 3,
        deliveries: 1,
        at: 0,
        body: Body::new(body),
    };
    letter.to_body()
}
