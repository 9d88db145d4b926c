//! What can go wrong, in fifteen classes, and at which opportunities.

use serde::{Deserialize, Serialize};

/// A class of faults. A run has each of them switched on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Class {
    /// F1: requests are lost, delayed, sent twice.
    Requests,
    /// F2: answers are lost, late, or those of an earlier request.
    Answers,
    /// F3: servers and proxies refuse, fail, redirect, cannot be reached.
    Statuses,
    /// F4: bodies of answers are cut, spoiled or endless.
    Bytes,
    /// F5: leases end early, touches fail, workers stand still while they renew.
    Leases,
    /// F6: processes crash and pause between any two steps.
    Crashes,
    /// F7: handlers panic, hang, return late, take the process with them.
    Handlers,
    /// F8: the notifier loses connections and notices, refuses, fails over.
    Notifier,
    /// F9: clocks stall, leap, run at different speeds and show different times.
    Clocks,
    /// F10: the broker delivers twice, too much, out of order, with wrong counts.
    Deliveries,
    /// F11: messages that nobody can read.
    Payloads,
    /// F12: a worker with a wrong key, or without one; keys that are replaced under way.
    Keys,
    /// F13: drains, in any number, and kills.
    Shutdowns,
    /// F14: floods of notices, full dead-letter queues.
    Floods,
    /// F15: every limit at its smallest, and a driver that carries out little at a time.
    Limits,
    /// F16: workers of an older version, or of another program, on the same queue.
    Deployments,
}

impl Class {
    pub(crate) const ALL: [Class; 16] = [
        Class::Requests,
        Class::Answers,
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

/// An opportunity for faults: the dice are thrown once at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Opportunity {
    /// A machine asks the queue for anything.
    Request,
    /// It asks for messages.
    Reserve,
    /// It renews a lease.
    Touch,
    /// It puts a message aside.
    DeadLetter,
    /// It posts or deletes several, at a server that answers for each.
    Batch,
    /// The broker hands out messages.
    Delivery,
    /// A machine has taken an input.
    Step,
    /// A handler starts.
    Handler,
    /// A worker publishes.
    Publish,
    /// A producer subscribes.
    Subscribe,
}

impl Opportunity {
    pub(crate) const ALL: [Opportunity; 10] = [
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
    ];
}

/// Something that goes wrong. Where it needs to be known how, that follows from a random number
/// that comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The request never arrives, and nobody is told.
    RequestLost,
    /// The request arrives late, maybe after its sender has given up.
    RequestDelayed,
    /// The same request arrives twice.
    RequestTwice,
    /// It is done, and the answer never arrives.
    AnswerLost,
    /// It is done, and the answer arrives late, maybe too late.
    AnswerLate,
    /// It is done, and the answer to an earlier request arrives in its place.
    AnswerOfEarlier,
    /// No address, no connection.
    Unreachable,
    /// No secure connection.
    NotSecure,
    /// Nothing is done, and a status says so.
    Refused,
    /// A server failed before it did anything.
    FailedBefore,
    /// A server failed after it had done it.
    FailedAfter,
    /// A proxy answers in the server's place: a page, an error, a redirect.
    Imposter,
    /// It is done, and the answer's body is cut.
    BodyCut,
    /// It is done, and the answer's body is spoiled.
    BodySpoiled,
    /// It is done, and the body comes so slowly, or is so long, that its reader gives up.
    BodyEndless,
    /// A touch fails at the server.
    TouchFails,
    /// The worker stands still from when it asks for the renewal until after the lease would have
    /// ended without it.
    PausesWhileRenewing,
    /// The dead-letter queue takes nothing.
    DeadLettersFull,
    /// One message of a batch is refused, or fails.
    EntryRefused,
    /// Nothing is done with one message of a batch, and nothing is said of it.
    EntryMissing,
    /// A message is handed out though somebody holds it, under the same reservation.
    DeliveredTwice,
    /// A message is handed out again just after it was deleted.
    DeliveredAfterDelete,
    /// The count of reservations is wrong.
    CountWrong,
    /// Messages come in another order.
    Shuffled,
    /// Fewer messages come than there are.
    Fewer,
    /// More messages come than were asked for.
    More,
    /// The process dies after it took in something and before it did anything about it.
    CrashBefore,
    /// The process dies in the middle of what it does.
    CrashMidway,
    /// The process dies after it did all it wanted.
    CrashAfter,
    /// The process stands still for a while.
    Pause,
    /// The clock stands still for a while.
    ClockStalls,
    /// The clock leaps forward.
    ClockLeaps,
    /// The machine is told to finish.
    Drain,
    /// It is told to finish, and then again, sooner.
    DrainTwice,
    /// It is told to rest, to go on, or to ask at once.
    OperatorActs,
    /// The process does a part of what its machine wants, and the rest a little later.
    YieldsEarly,
    /// The handler panics.
    Panics,
    /// The system gives no thread for the handler, so it is not run.
    NoThread,
    /// It waits for the result of another task for a while, or until its wait is ended.
    Waits,
    /// It never returns, unless it is told to.
    Hangs,
    /// It never returns, whatever it is told.
    HangsForGood,
    /// It goes on though it was told to stop, and returns then.
    Stubborn,
    /// It outlives the lease.
    Slow,
    /// It takes the process with it.
    Aborts,
    /// It schedules a task itself.
    CallsBack,
    /// It returns more than a notice can hold, or what is nested too deep for one.
    ReturnsHuge,
    /// A notice is not published: no connection.
    PublishUnreachable,
    /// A notice is not published: refused while loading, read-only, out of memory.
    PublishRefused,
    /// A notice is not published: credentials.
    PublishUnauthorized,
    /// The connection ends before the answer to a publish comes.
    PublishCut,
    /// The notifier fails over to a server that has not heard of the notice.
    PublishForgotten,
    /// A subscriber is thrown out.
    SubscriberKicked,
    /// The subscription is refused.
    SubscribeRefused,
    /// The connection ends while subscribing.
    SubscribeCut,
}

impl Fault {
    /// Whether it may keep a process from settling its messages in time.
    pub(crate) fn delays_settling(self) -> bool {
        let entry = FAULTS.iter().find(|entry| entry.fault == self);
        let opportunity = entry.map(|entry| entry.opportunity);
        let told = matches!(self, Fault::Drain | Fault::DrainTwice | Fault::OperatorActs);
        !told
            && !matches!(
                opportunity,
                Some(Opportunity::Handler | Opportunity::Publish | Opportunity::Subscribe)
            )
    }
}

/// Where a fault belongs, and how often it comes compared to others on the same menu.
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
    entry(Opportunity::Request, Fault::AnswerLost, Class::Answers, 4),
    entry(Opportunity::Request, Fault::AnswerLate, Class::Answers, 2),
    entry(Opportunity::Request, Fault::AnswerOfEarlier, Class::Answers, 1),
    entry(Opportunity::Request, Fault::Unreachable, Class::Statuses, 2),
    entry(Opportunity::Request, Fault::NotSecure, Class::Statuses, 1),
    entry(Opportunity::Request, Fault::Refused, Class::Statuses, 3),
    entry(Opportunity::Request, Fault::FailedBefore, Class::Statuses, 2),
    entry(Opportunity::Request, Fault::FailedAfter, Class::Statuses, 2),
    entry(Opportunity::Request, Fault::Imposter, Class::Statuses, 1),
    entry(Opportunity::Request, Fault::BodyCut, Class::Bytes, 2),
    entry(Opportunity::Request, Fault::BodySpoiled, Class::Bytes, 2),
    entry(Opportunity::Request, Fault::BodyEndless, Class::Bytes, 1),
    entry(Opportunity::Touch, Fault::TouchFails, Class::Leases, 1),
    entry(Opportunity::Touch, Fault::PausesWhileRenewing, Class::Leases, 1),
    entry(Opportunity::DeadLetter, Fault::DeadLettersFull, Class::Floods, 1),
    entry(Opportunity::Reserve, Fault::Fewer, Class::Deliveries, 1),
    entry(Opportunity::Reserve, Fault::More, Class::Deliveries, 1),
    entry(Opportunity::Batch, Fault::EntryRefused, Class::Statuses, 2),
    entry(Opportunity::Batch, Fault::EntryMissing, Class::Answers, 1),
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
    entry(Opportunity::Publish, Fault::SubscriberKicked, Class::Notifier, 2),
    entry(Opportunity::Subscribe, Fault::SubscribeRefused, Class::Notifier, 2),
    entry(Opportunity::Subscribe, Fault::SubscribeCut, Class::Notifier, 1),
];
