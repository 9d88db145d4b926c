//! The faults, in sixteen classes, and the opportunities at which they occur.

use serde::{Deserialize, Serialize};

/// A class of faults. Each is enabled or disabled for a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Class {
    /// F1: requests are lost, delayed, sent twice.
    Requests,
    /// F2: responses are lost, late, or belong to an earlier request.
    Responses,
    /// F3: servers and proxies refuse, fail, redirect, are unreachable.
    Statuses,
    /// F4: bodies of responses are truncated, damaged or endless.
    Bytes,
    /// F5: leases end early, touches fail, workers stall while they renew.
    Leases,
    /// F6: processes crash and stall between any two steps.
    Crashes,
    /// F7: handlers panic, hang, return late, end their process.
    Handlers,
    /// F8: the notifier loses connections and notices, refuses, fails over.
    Notifier,
    /// F9: clocks stall, leap, run at different speeds and show different times.
    Clocks,
    /// F10: the broker delivers twice, too much, out of order, with wrong counts.
    Deliveries,
    /// F11: messages that no worker can parse.
    Payloads,
    /// F12: a worker with a wrong key, or without one; keys that are replaced while messages are in
    /// flight.
    Keys,
    /// F13: drains, in any number, and kills.
    Shutdowns,
    /// F14: floods of notices, full dead-letter queues.
    Floods,
    /// F15: every limit at its minimum, and a driver that carries out little at a time.
    Limits,
    /// F16: workers of an older version, or of another program, on the same queue.
    Deployments,
    /// F17: a server that loses what was written last, or everything, or a key, or whose clock is set.
    Server,
}

impl Class {
    /// Those that every kind of server may have.
    pub(crate) const ALL: [Class; 16] = [
        Class::Requests,
        Class::Responses,
        Class::Statuses,
        Class::Bytes,
        Class::Leases,
        Class::Crashes,
        Class::Handlers,
        Class::Notifier,
        Class::Clocks,
        Class::Deliveries,
        Class::Payloads,
        Class::Keys,
        Class::Shutdowns,
        Class::Floods,
        Class::Limits,
        Class::Deployments,
    ];
}

/// An opportunity for faults: one random fault is made at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Opportunity {
    /// A machine sends any request to the queue.
    Request,
    /// It reserves messages.
    Reserve,
    /// It renews a lease.
    Touch,
    /// It dead-letters a message.
    DeadLetter,
    /// It posts or deletes several, at a server that replies for each.
    Batch,
    /// The broker delivers messages.
    Delivery,
    /// A machine has handled an input.
    Step,
    /// A handler starts.
    Handler,
    /// A worker publishes.
    Publish,
    /// A producer subscribes.
    Subscribe,
    /// Bytes arrive at a server over a connection.
    Server,
}

impl Opportunity {
    pub(crate) const ALL: [Opportunity; 11] = [
        Opportunity::Request,
        Opportunity::Reserve,
        Opportunity::Touch,
        Opportunity::DeadLetter,
        Opportunity::Batch,
        Opportunity::Delivery,
        Opportunity::Step,
        Opportunity::Handler,
        Opportunity::Publish,
        Opportunity::Subscribe,
        Opportunity::Server,
    ];
}

/// A fault. Its details, if it has any, are determined by a random number that accompanies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The request never arrives, without an error.
    RequestLost,
    /// The request arrives late, possibly after its sender's timeout.
    RequestDelayed,
    /// The same request arrives twice.
    RequestTwice,
    /// The request is executed, and the response never arrives.
    ResponseLost,
    /// The request is executed, and the response arrives late, possibly too late.
    ResponseLate,
    /// The request is executed, and the response to an earlier request arrives instead.
    ResponseOfEarlier,
    /// Name resolution or the connection fails.
    Unreachable,
    /// The TLS handshake fails.
    NotSecure,
    /// Nothing is executed, and a status reports that.
    Refused,
    /// A server failed before it executed anything.
    FailedBefore,
    /// A server failed after it executed the request.
    FailedAfter,
    /// A proxy responds instead of the server: a page, an error, a redirect.
    ProxyResponds,
    /// The request is executed, and the response's body is truncated.
    BodyTruncated,
    /// The request is executed, and the response's body is damaged.
    BodyDamaged,
    /// The request is executed, and the body is so slow or so long that its reader cancels.
    BodyEndless,
    /// A touch fails at the server.
    TouchFails,
    /// The worker stalls from when it sends the renewal until after the lease would have ended
    /// without it.
    PausesWhileRenewing,
    /// The dead-letter queue accepts nothing.
    DeadLettersFull,
    /// One message of a batch is refused, or fails.
    EntryRefused,
    /// One message of a batch is not executed, and the reply omits it.
    EntryMissing,
    /// A message is delivered although it is reserved, under the same reservation.
    DeliveredTwice,
    /// A message is delivered again just after it was deleted.
    DeliveredAfterDelete,
    /// The count of reservations is wrong.
    CountWrong,
    /// Messages are delivered in another order.
    Shuffled,
    /// Fewer messages are delivered than exist.
    Fewer,
    /// More messages are delivered than were requested.
    More,
    /// The process dies after it received an input and before it acted on it.
    CrashBefore,
    /// The process dies while it carries out its outputs.
    CrashMidway,
    /// The process dies after it carried out all its outputs.
    CrashAfter,
    /// The process stalls for some time.
    Pause,
    /// The clock stops for some time.
    ClockStalls,
    /// The clock leaps forward.
    ClockLeaps,
    /// The machine is requested to finish.
    Drain,
    /// It is requested to finish, and then again, sooner.
    DrainTwice,
    /// It is requested to pause, to resume, or to poll immediately.
    OperatorActs,
    /// The process carries out a part of its outputs, and the rest a little later.
    YieldsEarly,
    /// The handler panics.
    Panics,
    /// The system cannot create a thread for the handler, so it is not run.
    NoThread,
    /// It waits for the result of another task for some time, or until its wait is ended.
    Waits,
    /// It never returns unless it is cancelled.
    Hangs,
    /// It never returns, even if it is cancelled.
    HangsForGood,
    /// It continues although it was cancelled, and returns then.
    Stubborn,
    /// It runs longer than the lease.
    Slow,
    /// It ends the process.
    Aborts,
    /// It schedules a task itself.
    CallsBack,
    /// Its result is too large or too deeply nested for a notice.
    ReturnsHuge,
    /// A notice is not published: no connection.
    PublishUnreachable,
    /// A notice is not published: refused while loading, read-only, out of memory.
    PublishRefused,
    /// A notice is not published: credentials.
    PublishUnauthorized,
    /// The connection ends before the reply to a publication arrives.
    PublishCut,
    /// The notifier fails over to a server that has not received the notice.
    PublishForgotten,
    /// A subscriber is disconnected.
    SubscriberDisconnected,
    /// The subscription is refused.
    SubscribeRefused,
    /// The connection ends while subscribing.
    SubscribeCut,
    /// A replica without the last writes takes over.
    FailsOver,
    /// The server restarts without any key.
    RestartsEmpty,
    /// The server drops a key of each queue.
    Evicts,
    /// The clock of the server is set, forward or back.
    ServerClockSet,
}

impl Fault {
    /// Whether it may prevent a process from settling its messages in time.
    pub(crate) fn delays_settling(self) -> bool {
        let entry = FAULTS.iter().find(|entry| entry.fault == self);
        let opportunity = entry.map(|entry| entry.opportunity);
        let is_requested = matches!(self, Fault::Drain | Fault::DrainTwice | Fault::OperatorActs);
        !is_requested
            && !matches!(
                opportunity,
                Some(Opportunity::Handler | Opportunity::Publish | Opportunity::Subscribe)
            )
    }
}

/// The class of a fault, and its weight compared to others on the same menu.
pub(crate) struct Entry {
    pub(crate) opportunity: Opportunity,
    pub(crate) fault: Fault,
    pub(crate) class: Class,
    pub(crate) weight: u32,
}

const fn entry(opportunity: Opportunity, fault: Fault, class: Class, weight: u32) -> Entry {
    Entry { opportunity, fault, class, weight }
}

/// All faults.
pub(crate) const FAULTS: &[Entry] = &[
    entry(Opportunity::Request, Fault::RequestLost, Class::Requests, 3),
    entry(Opportunity::Request, Fault::RequestDelayed, Class::Requests, 2),
    entry(Opportunity::Request, Fault::RequestTwice, Class::Requests, 2),
    entry(Opportunity::Request, Fault::ResponseLost, Class::Responses, 4),
    entry(Opportunity::Request, Fault::ResponseLate, Class::Responses, 2),
    entry(Opportunity::Request, Fault::ResponseOfEarlier, Class::Responses, 1),
    entry(Opportunity::Request, Fault::Unreachable, Class::Statuses, 2),
    entry(Opportunity::Request, Fault::NotSecure, Class::Statuses, 1),
    entry(Opportunity::Request, Fault::Refused, Class::Statuses, 3),
    entry(Opportunity::Request, Fault::FailedBefore, Class::Statuses, 2),
    entry(Opportunity::Request, Fault::FailedAfter, Class::Statuses, 2),
    entry(Opportunity::Request, Fault::ProxyResponds, Class::Statuses, 1),
    entry(Opportunity::Request, Fault::BodyTruncated, Class::Bytes, 2),
    entry(Opportunity::Request, Fault::BodyDamaged, Class::Bytes, 2),
    entry(Opportunity::Request, Fault::BodyEndless, Class::Bytes, 1),
    entry(Opportunity::Touch, Fault::TouchFails, Class::Leases, 1),
    entry(Opportunity::Touch, Fault::PausesWhileRenewing, Class::Leases, 1),
    entry(Opportunity::DeadLetter, Fault::DeadLettersFull, Class::Floods, 1),
    entry(Opportunity::Reserve, Fault::Fewer, Class::Deliveries, 1),
    entry(Opportunity::Reserve, Fault::More, Class::Deliveries, 1),
    entry(Opportunity::Batch, Fault::EntryRefused, Class::Statuses, 2),
    entry(Opportunity::Batch, Fault::EntryMissing, Class::Responses, 1),
    entry(Opportunity::Delivery, Fault::DeliveredTwice, Class::Deliveries, 2),
    entry(Opportunity::Delivery, Fault::DeliveredAfterDelete, Class::Deliveries, 2),
    entry(Opportunity::Delivery, Fault::CountWrong, Class::Deliveries, 1),
    entry(Opportunity::Delivery, Fault::Shuffled, Class::Deliveries, 1),
    entry(Opportunity::Step, Fault::CrashBefore, Class::Crashes, 2),
    entry(Opportunity::Step, Fault::CrashMidway, Class::Crashes, 2),
    entry(Opportunity::Step, Fault::CrashAfter, Class::Crashes, 2),
    entry(Opportunity::Step, Fault::Pause, Class::Crashes, 3),
    entry(Opportunity::Step, Fault::ClockStalls, Class::Clocks, 2),
    entry(Opportunity::Step, Fault::ClockLeaps, Class::Clocks, 2),
    entry(Opportunity::Step, Fault::Drain, Class::Shutdowns, 2),
    entry(Opportunity::Step, Fault::DrainTwice, Class::Shutdowns, 1),
    entry(Opportunity::Step, Fault::OperatorActs, Class::Shutdowns, 2),
    entry(Opportunity::Step, Fault::YieldsEarly, Class::Limits, 6),
    entry(Opportunity::Handler, Fault::Panics, Class::Handlers, 3),
    entry(Opportunity::Handler, Fault::NoThread, Class::Handlers, 1),
    entry(Opportunity::Handler, Fault::Waits, Class::Handlers, 3),
    entry(Opportunity::Handler, Fault::Hangs, Class::Handlers, 2),
    entry(Opportunity::Handler, Fault::HangsForGood, Class::Handlers, 1),
    entry(Opportunity::Handler, Fault::Stubborn, Class::Handlers, 2),
    entry(Opportunity::Handler, Fault::Aborts, Class::Handlers, 1),
    entry(Opportunity::Handler, Fault::CallsBack, Class::Handlers, 1),
    entry(Opportunity::Handler, Fault::ReturnsHuge, Class::Handlers, 1),
    entry(Opportunity::Handler, Fault::Slow, Class::Leases, 4),
    entry(Opportunity::Publish, Fault::PublishUnreachable, Class::Notifier, 2),
    entry(Opportunity::Publish, Fault::PublishRefused, Class::Notifier, 2),
    entry(Opportunity::Publish, Fault::PublishUnauthorized, Class::Notifier, 1),
    entry(Opportunity::Publish, Fault::PublishCut, Class::Notifier, 3),
    entry(Opportunity::Publish, Fault::PublishForgotten, Class::Notifier, 1),
    entry(Opportunity::Publish, Fault::SubscriberDisconnected, Class::Notifier, 2),
    entry(Opportunity::Subscribe, Fault::SubscribeRefused, Class::Notifier, 2),
    entry(Opportunity::Subscribe, Fault::SubscribeCut, Class::Notifier, 1),
    entry(Opportunity::Server, Fault::FailsOver, Class::Server, 4),
    entry(Opportunity::Server, Fault::RestartsEmpty, Class::Server, 1),
    entry(Opportunity::Server, Fault::Evicts, Class::Server, 2),
    entry(Opportunity::Server, Fault::ServerClockSet, Class::Server, 2),
];
