//! Decides what to do with a message that was just reserved, from its bytes and delivery count
//! alone.

use std::sync::Arc;
use std::time::Duration;

use crate::event::TaskRef;
use crate::id::{MessageId, TaskId};
use crate::name::QueueName;
use crate::queue::{DeliveryCount, ReceivedBody};
use crate::wire::crypto::MessageKey;
use crate::wire::{Caller, DeadLetterReason, Envelope, IvyOptions, Opened};

use super::config::WorkerConfig;
use super::job::{Scheduled, id_from};
use super::lost_deliveries::Deliveries;
use super::tasks::{ServedTask, Tasks};

/// How far the clocks of producer and worker may differ before a deadline counts as passed.
const CLOCK_TOLERANCE_MILLIS: u64 = 60_000;

/// The contents of a message, and whether it can be run.
#[derive(Debug)]
pub(super) struct Admission {
    /// The task, if the message could be parsed.
    pub(super) scheduled: Option<Arc<Scheduled>>,
    /// The place of its task among the registered ones, if it is one.
    pub(super) place: Option<usize>,
    /// The caller, if the message could not be parsed but still names one.
    pub(super) caller: Option<Caller>,
    pub(super) deliveries: Deliveries,
    /// Identifies the message, if it is authenticated.
    pub(super) message_key: Option<MessageKey>,
    /// Why the message is not run, if it is rejected.
    pub(super) rejection: Option<Rejection>,
    /// Whether a peer that holds the key sealed an invalid message.
    pub(super) peer_fault: bool,
}

/// Why a message is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) reason: DeadLetterReason,
    pub(super) message: String,
    pub(super) fault: FaultSource,
}

/// What causes a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultSource {
    /// The message itself: no worker could run it.
    Message,
    /// This worker's keys, policy, clock or formats, or the message.
    Worker,
    /// This worker belongs to another program or version: it has no handler for the task, or its
    /// handler expects other arguments.
    Program,
}

impl Rejection {
    fn of(reason: DeadLetterReason, message: &str) -> Self {
        Rejection { reason, message: message.to_owned(), fault: FaultSource::of(reason) }
    }

    /// The arguments do not match the handler of this version.
    pub(super) fn mismatch(message: String) -> Self {
        Rejection { reason: DeadLetterReason::BadArgs, message, fault: FaultSource::Program }
    }

    /// Whether another worker, or this one after its next deployment, may be able to run it.
    pub(super) fn may_be_run_elsewhere(&self) -> bool {
        match self.fault {
            FaultSource::Message => false,
            FaultSource::Worker => self.reason.may_be_decided_elsewhere(),
            FaultSource::Program => true,
        }
    }
}

impl FaultSource {
    fn of(reason: DeadLetterReason) -> Self {
        match reason {
            DeadLetterReason::UnknownTask => FaultSource::Program,
            // A wrong key, policy or clock makes every message unacceptable.
            DeadLetterReason::ExpectedEncrypted
            | DeadLetterReason::Downgrade
            | DeadLetterReason::KeyDisabled
            | DeadLetterReason::Expired
            | DeadLetterReason::Deadline => FaultSource::Worker,
            reason if reason.may_be_decided_elsewhere() => FaultSource::Worker,
            _ => FaultSource::Message,
        }
    }
}

/// Parses a message and decides whether it can be run. If the wall clock is implausible,
/// `unix_millis` is `None` and no deadline has passed.
pub(super) fn examine(
    config: &WorkerConfig,
    tasks: &Tasks,
    queue: &QueueName,
    message: &MessageId,
    body: &ReceivedBody,
    count: impl Fn(TaskId) -> DeliveryCount,
    unix_millis: Option<u64>,
) -> Admission {
    if let ReceivedBody::Text(text) | ReceivedBody::NotText(text) = body
        && text.as_bytes().len() > config.capabilities.max_body
    {
        let count = count(id_from(queue, message));
        return Admission::unreadable(
            count,
            DeadLetterReason::TooLarge,
            "the message is too large",
        );
    }
    let Opened { envelope, message_key, .. } = match config.codec.open_received(body, queue) {
        Ok(opened) => opened,
        Err(bad) => {
            let count = count(id_from(queue, message));
            let mut admission = Admission::unreadable(count, bad.reason(), &bad.explanation());
            (admission.peer_fault, admission.caller) = (bad.is_peer_fault(), bad.caller().cloned());
            // Its tag is valid, so no other key opens it.
            if let Some(rejection) = admission.rejection.as_mut().filter(|_| bad.is_peer_fault()) {
                rejection.fault = FaultSource::Message;
            }
            return admission;
        }
    };
    let served = tasks.find(&envelope.name);
    let (scheduled, mut deliveries) = schedule(config, served, queue, message, envelope, count);
    let rejection = match served {
        Some(_) => reject(config, &scheduled, deliveries, unix_millis),
        None => rejection(
            DeadLetterReason::UnknownTask,
            "this worker has no handler under the task's name",
        ),
    };
    if rejection.is_some() {
        deliveries.keep_the_message();
    }
    let (scheduled, place) = (Some(Arc::new(scheduled)), served.map(|served| served.place));
    let (caller, peer_fault) = (None, false);
    Admission { scheduled, place, caller, deliveries, message_key, rejection, peer_fault }
}

impl Admission {
    fn unreadable(count: DeliveryCount, reason: DeadLetterReason, message: &str) -> Self {
        let rejection = Some(Rejection::of(reason, message));
        let mut deliveries = Deliveries::new(count, 0, true);
        deliveries.keep_the_message();
        Admission {
            scheduled: None,
            place: None,
            caller: None,
            deliveries,
            message_key: None,
            rejection,
            peer_fault: false,
        }
    }
}

fn schedule(
    config: &WorkerConfig,
    served: Option<&ServedTask>,
    queue: &QueueName,
    message: &MessageId,
    mut envelope: Envelope,
    count: impl Fn(TaskId) -> DeliveryCount,
) -> (Scheduled, Deliveries) {
    if let Some(served) = served {
        envelope.name = served.name.clone();
    }
    let settings = served.map(|served| &served.settings);
    let options = &envelope.options;
    let ivy = options.ivy();
    let retry = options.retry().or(settings.map(|task| task.retry)).unwrap_or(true);
    let max_retries = options.max_retries().or(settings.map(|task| task.max_retries));
    let max_retries = if retry { max_retries.unwrap_or(10) } else { 0 };
    let attempt = ivy.map_or(1, |ivy| ivy.attempt);
    let carried = ivy.map_or(0, |ivy| ivy.lost);
    let id = ivy.map_or_else(|| id_from(queue, message), |ivy| ivy.id);
    let deliveries = Deliveries::new(count(id), carried, max_retries > 0);
    let scheduled = Scheduled {
        task: TaskRef { id, name: envelope.name.clone(), queue: queue.clone() },
        attempt: attempt.saturating_add(deliveries.failed),
        max_attempts: max_retries + 1,
        time_limit: settings.and_then(|task| task.time_limit),
        lease: served.map_or(config.lease, |served| served.lease),
        envelope,
    };
    (scheduled, deliveries)
}

fn reject(
    config: &WorkerConfig,
    scheduled: &Scheduled,
    deliveries: Deliveries,
    unix_millis: Option<u64>,
) -> Option<Rejection> {
    let deadline = scheduled.envelope.options.ivy().and_then(|ivy| ivy.deadline);
    if let (Some(deadline), Some(unix_millis)) = (deadline, unix_millis)
        && unix_millis > deadline.saturating_add(CLOCK_TOLERANCE_MILLIS)
    {
        return rejection(
            DeadLetterReason::Deadline,
            "the task's deadline had passed before it could be started",
        );
    }
    let max_age = config.codec.policy(&scheduled.task.queue).max_age();
    if let (Some(max_age), Some(unix_millis)) = (max_age, unix_millis)
        && let Some((reason, message)) =
            outdated(scheduled.envelope.options.ivy(), max_age, unix_millis)
    {
        return rejection(reason, message);
    }
    deliveries.are_too_many(config.max_deliveries).then(|| {
        let lost = deliveries.lost;
        let message = format!(
            "{lost} deliveries of the message were lost because their workers crashed or their leases \
             ended; the task may crash its workers",
        );
        Rejection::of(DeadLetterReason::TooManyDeliveries, &message)
    })
}

fn rejection(reason: DeadLetterReason, message: &str) -> Option<Rejection> {
    Some(Rejection::of(reason, message))
}

/// Whether a message is older than its queue allows, or claims to have been created in the future.
fn outdated(
    ivy: Option<&IvyOptions>,
    max_age: Duration,
    unix_millis: u64,
) -> Option<(DeadLetterReason, &'static str)> {
    let Some(called) = ivy.and_then(|ivy| ivy.called) else {
        let rule = "the message does not contain the time of its call, and its queue limits the age of messages";
        return Some((DeadLetterReason::Expired, rule));
    };
    if called > unix_millis.saturating_add(CLOCK_TOLERANCE_MILLIS) {
        let rule = "the task was called in the future; the clock of its producer or of this worker is wrong";
        return Some((DeadLetterReason::CalledInFuture, rule));
    }
    let max_age = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    let too_late = called.saturating_add(max_age).saturating_add(CLOCK_TOLERANCE_MILLIS);
    let rule = "the task was called longer ago than its queue allows";
    (unix_millis > too_late).then_some((DeadLetterReason::Expired, rule))
}
