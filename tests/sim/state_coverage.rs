//! S11: which inputs each machine received in which state.
//!
//! States are those that a driver sees from the inputs it fed and the outputs it carried out, so
//! that the table does not depend on the machine's own view. The kind of a reply contains the rest:
//! the operation, and whether it was granted, refused, or has an unknown outcome.

use std::collections::BTreeMap;

use ivy_proto::broker::{self, Refusal, Response};
use ivy_proto::queue::{Effect, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::worker::JobOutcome;

mod table;

pub(crate) use table::{assert_all_listed, assert_all_seen};

/// A machine in a state, and its input.
pub(crate) type StateInput = (&'static str, &'static str);

/// How often each pair occurred.
pub(crate) type StateInputs = BTreeMap<StateInput, u64>;

/// The state of a worker, as its driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerState {
    New,
    Running,
    Paused,
    Draining,
    /// Its drain's limit has passed.
    SettlementGrace,
}

/// The state of a producer's subscription, as its driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscriptionState {
    Idle,
    Requested,
    Up,
    Lost,
}

impl WorkerState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            WorkerState::New => "worker, new",
            WorkerState::Running => "worker, running",
            WorkerState::Paused => "worker, paused",
            WorkerState::Draining => "worker, draining",
            WorkerState::SettlementGrace => "worker, past its drain's limit",
        }
    }
}

impl SubscriptionState {
    pub(crate) fn name(self, draining: bool) -> &'static str {
        match (self, draining) {
            (SubscriptionState::Idle, false) => "producer, not subscribed",
            (SubscriptionState::Requested, false) => "producer, subscribing",
            (SubscriptionState::Up, false) => "producer, subscribed",
            (SubscriptionState::Lost, false) => "producer, subscription lost",
            (SubscriptionState::Idle, true) => "producer, not subscribed, draining",
            (SubscriptionState::Requested, true) => "producer, subscribing, draining",
            (SubscriptionState::Up, true) => "producer, subscribed, draining",
            (SubscriptionState::Lost, true) => "producer, subscription lost, draining",
        }
    }
}

/// An operation of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Post,
    Reserve,
    Touch,
    Release,
    Delete,
    DeleteMany,
    GetQueue,
    CreateQueue,
}

impl Kind {
    pub(crate) fn of(op: &QueueOp) -> Kind {
        match op {
            QueueOp::Post { .. } => Kind::Post,
            QueueOp::Reserve { .. } => Kind::Reserve,
            QueueOp::Touch { .. } => Kind::Touch,
            QueueOp::Release { .. } => Kind::Release,
            QueueOp::Delete { .. } => Kind::Delete,
            QueueOp::DeleteMany { .. } => Kind::DeleteMany,
            QueueOp::GetQueue { .. } => Kind::GetQueue,
            QueueOp::CreateQueue { .. } => Kind::CreateQueue,
            other => panic!("no machine requests {other:?}"),
        }
    }
}

/// A reply to an operation: granted, gone, certainly not done, possibly done, or refused.
pub(crate) fn reply_name(kind: Kind, reply: &Result<QueueReply, Fault>) -> &'static str {
    let is_not_found = |fault: &Fault| {
        matches!(fault.kind(), FaultKind::NoMessage | FaultKind::NoQueue | FaultKind::LeaseLost)
    };
    let column = match reply {
        Ok(_) => 0,
        Err(fault) if is_not_found(fault) => 1,
        Err(fault) => match fault.effect() {
            Effect::None => 2,
            Effect::Unknown => 3,
            Effect::Refused => 4,
        },
    };
    let row = match kind {
        Kind::Post => ["post ok", "post gone", "post not done", "post unknown", "post refused"],
        Kind::Reserve => {
            ["reserve ok", "reserve gone", "reserve not done", "reserve unknown", "reserve refused"]
        }
        Kind::Touch => {
            ["touch ok", "touch gone", "touch not done", "touch unknown", "touch refused"]
        }
        Kind::Release => {
            ["release ok", "release gone", "release not done", "release unknown", "release refused"]
        }
        Kind::Delete => {
            ["delete ok", "delete gone", "delete not done", "delete unknown", "delete refused"]
        }
        Kind::DeleteMany => {
            ["deletes ok", "deletes gone", "deletes not done", "deletes unknown", "deletes refused"]
        }
        Kind::GetQueue => ["look ok", "look gone", "look not done", "look unknown", "look refused"],
        Kind::CreateQueue => {
            ["create ok", "create gone", "create not done", "create unknown", "create refused"]
        }
    };
    row[column]
}

/// How a handler ended, or that it ended after it had been cancelled.
pub(crate) fn job_name(outcome: &JobOutcome, is_cancelled: bool) -> &'static str {
    match (outcome, is_cancelled) {
        (JobOutcome::Done(_) | JobOutcome::ResultTooDeep, false) => "job done",
        (JobOutcome::Failed(_), false) => "job failed",
        (JobOutcome::Panicked(_), false) => "job panicked",
        (JobOutcome::BadArgs(_), false) => "job bad args",
        (JobOutcome::NotRun, false) => "job not run",
        (JobOutcome::Cancelled, false) => "job stopped unasked",
        (JobOutcome::Done(_) | JobOutcome::ResultTooDeep, true) => "stopped job done",
        (JobOutcome::Failed(_), true) => "stopped job failed",
        (JobOutcome::Panicked(_), true) => "stopped job panicked",
        (JobOutcome::BadArgs(_), true) => "stopped job bad args",
        (JobOutcome::NotRun, true) => "stopped job not run",
        (JobOutcome::Cancelled, true) => "stopped job stopped",
    }
}

/// A request of the broker and its outcome, as the broker's state shows it.
pub(crate) fn broker_pair(op: &QueueOp, result: &Result<Response, Refusal>) -> StateInput {
    let state = match op {
        QueueOp::Post { .. } => "broker, post",
        QueueOp::Reserve { wait, .. } if wait.is_zero() => "broker, reserve",
        QueueOp::Reserve { .. } => "broker, reserve and wait",
        QueueOp::Touch { .. } => "broker, touch",
        QueueOp::Release { .. } => "broker, release",
        QueueOp::Delete { .. } => "broker, delete",
        QueueOp::DeleteMany { .. } => "broker, delete many",
        QueueOp::GetQueue { .. } => "broker, get queue",
        QueueOp::CreateQueue { .. } => "broker, put queue",
        _ => "broker, another",
    };
    let outcome = match result {
        Ok(Response::Reserved(deliveries)) if deliveries.is_empty() => "nothing there",
        Ok(_) => "done",
        Err(Refusal::QueueNotFound) => "no queue",
        Err(Refusal::MessageNotFound) => "no message",
        Err(Refusal::ReservationTimedOut) => "not the holder",
        Err(Refusal::ReservationRequired) => "no reservation named",
        Err(Refusal::TooLarge) => "too large",
        Err(_) => "invalid",
    };
    (state, outcome)
}

/// Other inputs of the broker.
pub(crate) fn broker_input(input: &broker::Input) -> Option<StateInput> {
    match input {
        broker::Input::Tick => Some(("broker", "tick")),
        broker::Input::Abandon(_) => Some(("broker", "abandon")),
        broker::Input::Request(..) => None,
    }
}
