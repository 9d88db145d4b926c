//! Encodes a call as a message, and checks its size before anything is sent.

use std::time::Duration;

use crate::name::{ChannelName, QueueName};
use crate::queue::{Body, size_in_post};
use crate::task::ReservedName;
use crate::wire::crypto::{BodyForm, EntropyPool};
use crate::wire::{
    Envelope, IvyOptions, Options, POSTED_UTF16_LIMIT, list_is_too_deep, posted_utf16_units,
};

use super::config::ProducerConfig;
use super::io::{Call, SendError, SizeUnit};
use super::outbox::OutgoingMessage;

/// The room for what later messages of the task add: counts (`attempt`, `lost`, `later`,
/// `requeued`) and more digits of `due`, 85 bytes in all, which are six cipher blocks in base64 if
/// encrypted.
const ROOM_FOR_COUNTS: usize = 128;

/// When a call was made, when it may start, and when it expires, in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) called: u64,
    pub(super) due: u64,
    pub(super) deadline: Option<u64>,
}

impl Times {
    pub(super) fn of(call: &Call, called: u64) -> Self {
        let after = |time: Duration| {
            called.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        Times { called, due: after(call.delay), deadline: call.expires_after.map(after) }
    }
}

/// Encodes the call, and checks that its queue and its workers will accept it.
pub(super) fn write(
    call: &Call,
    reply: Option<&ChannelName>,
    times: Times,
    config: &ProducerConfig,
    entropy: &mut EntropyPool,
) -> Result<OutgoingMessage, SendError> {
    ReservedName::check(&call.task)?;
    let limit = config.capabilities.max_delay;
    if call.delay > limit {
        return Err(SendError::DelayTooLong { delay: call.delay, limit });
    }
    // Anything but an array would crash a worker of the Node package.
    if !call.args.as_str().starts_with('[') {
        return Err(SendError::ArgsNotAnArray);
    }
    if list_is_too_deep(&call.args) {
        return Err(SendError::TooDeep);
    }
    // A task that may run again may be posted again.
    let repeatable = call.options.retry() != Some(false) && call.options.max_retries() != Some(0);
    let envelope = Envelope {
        name: call.task.clone(),
        options: options(call, reply, times, config),
        args: call.args.clone(),
    };
    let body = config.codec.seal(&envelope, &call.queue, entropy);
    check_size(&body, &call.queue, config)?;
    let encoded = size_in_post(&body);
    Ok(OutgoingMessage::new(call.task_id(), body, call.delay, encoded, repeatable))
}

fn options(
    call: &Call,
    reply: Option<&ChannelName>,
    times: Times,
    config: &ProducerConfig,
) -> Options {
    let mut ivy = IvyOptions::new(call.task_id());
    ivy.reply = reply.map(ChannelName::to_shared);
    ivy.due = Some(times.due);
    ivy.deadline = times.deadline;
    if let Some(of_call) = call.options.ivy() {
        ivy.trace.clone_from(&of_call.trace);
        ivy.tracestate.clone_from(&of_call.tracestate);
    }
    // A worker that traces learns from it that the task was delayed.
    let is_delayed_in_trace = ivy.trace.is_some() && times.due > times.called;
    let is_limited = config.codec.policy(&call.queue).max_age().is_some();
    ivy.called = (is_limited || is_delayed_in_trace).then_some(times.called);
    call.options.clone().with_ivy(ivy)
}

fn check_size(body: &Body, queue: &QueueName, config: &ProducerConfig) -> Result<(), SendError> {
    let limit = config.capabilities.max_body.saturating_sub(ROOM_FOR_COUNTS);
    let size = body.as_str().len();
    if size > limit {
        return Err(SendError::TooLarge { size, limit, unit: SizeUnit::Bytes });
    }
    // Workers of the Node package may read messages in this format.
    let form = config.codec.sends(queue);
    if config.node_compatible || matches!(form, BodyForm::Legacy | BodyForm::Bridge) {
        let (size, limit) = (posted_utf16_units(body), POSTED_UTF16_LIMIT);
        if size > limit {
            return Err(SendError::TooLarge { size, limit, unit: SizeUnit::Utf16Units });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskId;
    use crate::name::TaskName;
    use crate::wire::crypto::Policy;
    use crate::wire::crypto::samples::both;
    use crate::wire::{Codec, RawJson};

    #[test]
    fn the_largest_counts_fit_into_the_reserved_room_in_every_format() {
        let queue = QueueName::new("mail").unwrap();
        let both = both();
        let with = |change: &dyn Fn(&mut IvyOptions)| {
            let mut ivy = IvyOptions::new(TaskId::from_random([7; 16]));
            change(&mut ivy);
            Options::new().with_ivy(ivy)
        };
        let codecs = [Policy::plain(), Policy::legacy(), Policy::bridge(), Policy::v2()]
            .map(|policy| Codec::new(&both.clone().with_policy(policy)).unwrap());
        for codec in codecs {
            for padding in 0..16 {
                let mut envelope = Envelope {
                    name: TaskName::new("mail.send").unwrap(),
                    options: Options::new(),
                    args: RawJson::parse(&format!("[\"{}任务🚀🚀\"]", "x".repeat(padding)))
                        .unwrap(),
                };
                let mut pool = EntropyPool::from_seed(&[1; 32]);
                envelope.options = with(&|ivy| ivy.due = Some(0));
                let first = codec.seal(&envelope, &queue, &mut pool).as_str().len();
                envelope.options = with(&|ivy| {
                    (ivy.attempt, ivy.due) = (101, Some(9_999_999_999_999));
                    (ivy.lost, ivy.later, ivy.requeued) = (u32::MAX, u32::MAX, u32::MAX);
                });
                let last = codec.seal(&envelope, &queue, &mut pool).as_str().len();
                assert!(last - first <= ROOM_FOR_COUNTS, "{codec:?}: {first} to {last}");
            }
        }
    }
}
