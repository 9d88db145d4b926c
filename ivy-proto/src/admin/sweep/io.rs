//! The inputs and outputs of a sweep.

use crate::id::{MessageId, OpId};
use crate::queue::{DeliveryCount, Fault, QueueOp, QueueReply, ReceivedBody};
use crate::time::{Deadline, WallClock};
use crate::wire::Content;
use crate::wire::crypto::BodyForm;

use super::super::report::{Problem, Report};
use super::super::rewrite::Obstacle;
use super::plan::Plan;

/// An input of a sweep.
#[derive(Debug)]
pub enum Input {
    /// Time has passed. The first one starts the sweep.
    Tick,
    /// The wall clock was set, or monotonic time stood still while the host slept: see
    /// [`WallClock::follow`]. If it leaps past the end of a lease, the lease counts as lost.
    Clock(WallClock),
    /// The reply to an [`Output::Queue`].
    Queue(OpId, Result<QueueReply, Fault>),
    /// The operator agrees to the plan. Ignored if no plan waits for an answer.
    Confirm,
    /// The operator does not agree to the plan: nothing is changed. Ignored if no plan waits for an
    /// answer.
    Cancel,
    /// The operator interrupts the sweep. The first time, it ends the request in flight and what
    /// that requires, and releases the messages that it holds. The second time, or when no reply
    /// arrives for a second, it ends at once.
    Interrupt,
}

/// An output of a sweep, to be executed by the driver.
#[derive(Debug)]
pub enum Output {
    /// Send this request to the queue, and feed the reply back as [`Input::Queue`]. If several are
    /// in flight, they are sent in this order.
    Queue(OpId, QueueOp),
    /// A message that the filter selects. All of them precede the plan.
    Row(Box<Row>),
    /// What the sweep will do. If it [needs a confirmation](Plan::needs_confirmation), nothing is changed
    /// before [`Input::Confirm`].
    Plan(Box<Plan>),
    /// How far it is.
    Progress(Progress),
    /// A message that was not processed, or possibly not.
    Problem(Box<Problem>),
    /// Nothing to do before this deadline or the next input.
    Wait(Option<Deadline<Timer>>),
    /// The sweep has ended and produces no further output. Requests in flight can be dropped.
    Finished(Box<Report>),
}

/// What a sweep waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// A failed request is tried again.
    Retry,
    /// The time for the operator's answer ends.
    Answer,
    /// The rate permits the next message.
    Rate,
    /// A lease is renewed.
    Renewal,
    /// The server of an interrupted sweep does not reply.
    Interruption,
}

/// A message that the filter of a sweep selects, with its copies.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// The message's id in the swept queue; that of the first copy. Messages of one sweep that share an
    /// id are numbered: `ID.2` is the second one.
    pub message: MessageId,
    /// How many messages of the queue are copies of it, including itself.
    pub copies: usize,
    /// How many of the selected messages, counting copies once, belong to its task. 1 if its task
    /// is unknown.
    pub letters_of_task: usize,
    /// Why it cannot be requeued or moved, if it is to be.
    pub obstacle: Option<Obstacle>,
    /// The form of the task's message, if it is known.
    pub form: Option<BodyForm>,
    /// What the queue reports about its deliveries.
    pub deliveries: DeliveryCount,
    /// The body, as it is in the queue.
    pub body: ReceivedBody,
    /// The opened body.
    pub content: Content,
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What it does.
    pub phase: Phase,
    /// How many messages are done in this phase.
    pub done: usize,
    /// How many there are in this phase at most, if that is known.
    pub total: Option<usize>,
}

/// The phase of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It reserves messages and looks at them.
    Looking,
    /// It posts and deletes those that match.
    Working,
    /// It releases the others.
    Releasing,
}
