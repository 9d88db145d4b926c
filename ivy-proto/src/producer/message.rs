//! A call as a message: written once, and measured before anything is sent.

use crate::name::{ChannelName, QueueName};
use crate::queue::Body;
use crate::task::ForbiddenName;
use crate::wire::crypto::{BodyForm, EntropyPool};
use crate::wire::{
    Envelope, IvyOptions, Options, POSTED_UTF16_LIMIT, list_is_too_deep, posted_utf16_units,
};

use super::config::ProducerConfig;
use super::io::{Call, SendError, SizeUnit};
use super::outbox::Letter;

/// What the number of a later attempt may add to a message, also where it is encrypted: two cipher
/// blocks in base64.
const ROOM_FOR_ATTEMPTS: usize = 48;
/// What a message costs in a post beside its body: `{"body":"","delay":604800},`.
const AROUND_A_BODY: usize = 27;

/// When a call was made, and until when it is to be started, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) called: u64,
    pub(super) deadline: Option<u64>,
}

/// Writes the call, and checks that a queue and its workers will take it.
pub(super) fn write(
    call: &Call,
    reply: Option<&ChannelName>,
    times: Times,
    config: &ProducerConfig,
    entropy: &mut EntropyPool,
) -> Result<Letter, SendError> {
    ForbiddenName::check(&call.task)?;
    let limit = config.capabilities.max_delay;
    if call.delay > limit {
        return Err(SendError::DelayTooLong { delay: call.delay, limit });
    }
    // Anything but an array would kill a worker of the original.
    if !call.args.as_str().starts_with('[') {
        return Err(SendError::ArgsNotAnArray);
    }
    if list_is_too_deep(&call.args) {
        return Err(SendError::TooDeep);
    }
    // What may run again may be posted again.
    let repeatable = call.options.retry != Some(false) && call.options.max_retries != Some(0);
    let envelope = Envelope {
        name: call.task.clone(),
        options: options(call, reply, times, config),
        args: call.args.clone(),
    };
    let body = config.codec.seal(&envelope, &call.queue, entropy);
    check_size(&body, &call.queue, repeatable, config)?;
    let encoded = encoded_size(&body) + AROUND_A_BODY;
    Ok(Letter::new(call.id, body, call.delay, encoded, repeatable))
}

fn options(
    call: &Call,
    reply: Option<&ChannelName>,
    times: Times,
    config: &ProducerConfig,
) -> Options {
    let mut ivy = IvyOptions::new(call.id);
    ivy.reply = reply.map(ChannelName::to_shared);
    ivy.deadline = times.deadline;
    ivy.called = config.codec.policy(&call.queue).max_age().map(|_| times.called);
    ivy.trace = call.options.trace.clone();
    let mut options = Options::new();
    if let Some(retry) = call.options.retry {
        options = options.with_retry(retry);
    }
    if let Some(retries) = call.options.max_retries {
        options = options.with_max_retries(retries);
    }
    if let Some(priority) = call.options.priority {
        options = options.with_priority(priority);
    }
    if let Some(route) = &call.options.route {
        options = options.with_route(route.as_str());
    }
    options.with_ivy(ivy)
}

fn check_size(
    body: &Body,
    queue: &QueueName,
    repeatable: bool,
    config: &ProducerConfig,
) -> Result<(), SendError> {
    let room = if repeatable { ROOM_FOR_ATTEMPTS } else { 0 };
    let (size, limit) = (body.as_str().len(), config.capabilities.max_body.saturating_sub(room));
    if size > limit {
        return Err(SendError::TooLarge { size, limit, unit: SizeUnit::Bytes });
    }
    // Its workers may read what is in the original's own form.
    let form = config.codec.sends(queue);
    if config.node_compatible || matches!(form, BodyForm::Legacy | BodyForm::Bridge) {
        let (size, limit) = (posted_utf16_units(body), POSTED_UTF16_LIMIT);
        if size > limit {
            return Err(SendError::TooLarge { size, limit, unit: SizeUnit::Utf16Units });
        }
    }
    Ok(())
}

/// How many bytes a body has as a JSON text, quotes not counted.
fn encoded_size(body: &Body) -> usize {
    let bytes = body.as_str().as_bytes();
    // Without branches and in sums of one byte, so that many bytes are looked at in one step.
    let extra = |byte: &u8| {
        let is_short = matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c);
        u8::from(is_short) + 5 * u8::from(*byte < 0x20 && !is_short)
    };
    let chunks = bytes.chunks(usize::from(u8::MAX) / 5);
    bytes.len()
        + chunks.map(|chunk| usize::from(chunk.iter().map(extra).sum::<u8>())).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoded_size_is_that_of_the_json_text() {
        for text in ["", "plain", "\"\\\n\r\t\u{8}\u{c}\u{0}\u{1f}", "任务 🚀 \u{7f}"] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(encoded_size(&Body::new(text)) + 2, json.len(), "{text:?}");
        }
    }
}
