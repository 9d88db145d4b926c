//! The law checker: records the true state of every message, hidden from all components of the run.
//!
//! It records what the broker did, not what it reported. Each entry is checked against the laws
//! when it is made.

mod causes;
mod connections;
mod counts;
mod due;
mod ids;
mod message_lifecycle;
mod postponements;
mod queries;
mod work;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ivy_proto::broker::Delivery;
use ivy_proto::queue::{Body, DeliveryCount, NewMessage};
use ivy_proto::wire::{Codec, DeadLetter};
use ivy_proto::{JobId, MessageId, Moment, QueueName, Receipt, ReservationId};

pub(crate) use connections::HeldMessage;
use ids::Ids;

use crate::backend::{Backend, Counts};
use crate::network::ConnectionKey;
use crate::task::{AttemptInfo, Cause, ProcessId, SendResult, Sender, Task, number_in};

/// How often a process releases a message that it cannot run before it dead-letters it.
pub(crate) const RELEASES: u32 = 10;
/// Up to this count a message is started and released unchanged.
const MAX_UNCHANGED_COUNT: u32 = 5;

/// A broken law, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) law: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.what)
    }
}

/// A message that the broker had at any time.
#[derive(Debug)]
struct Message {
    /// None if it cannot be identified.
    task: Option<usize>,
    alive: bool,
    holder: Option<Holder>,
    queue: QueueName,
    reserved: u32,
    counted: u32,
    /// How often it was released with a failed attempt, and how often its lease ended.
    failed: u32,
    lost: u32,
    attempt_info: AttemptInfo,
    /// How often a handler was started for it.
    runs: u32,
    /// The delay by which its handler postponed its task.
    postponed_by: Option<Duration>,
    /// How often each worker released it.
    released_by: BTreeMap<ProcessId, u32>,
    /// Workers that were informed that it was released, correctly or by the reply to another
    /// request.
    release_confirmed_to: Vec<ProcessId>,
    /// Workers that may delete it, because its task is done or a copy of it was accepted.
    done_by: Vec<ProcessId>,
    copied_by: Vec<ProcessId>,
}

/// Who holds a message, as the broker sees it.
#[derive(Clone, Debug)]
struct Holder {
    who: ProcessId,
    /// The connection that it was delivered on.
    connection: ConnectionKey,
    reservation: ReservationId,
    /// By the broker's clock.
    until: Moment,
    length: Duration,
}

/// A message that a worker holds, as the worker sees it.
#[derive(Clone, Copy, Debug)]
struct Grant {
    until: Moment,
    length: Duration,
    granted: Moment,
    arrived: Moment,
}

/// A handler that was started.
#[derive(Clone, Copy, Debug)]
struct StartedHandler {
    message: usize,
    task: usize,
    attempt: u32,
    /// Its message was lost or released meanwhile: its outcome does not count.
    outcome_is_void: bool,
}

pub(crate) struct LawChecker {
    pub(crate) tasks: Vec<Task>,
    codec: Codec,
    queues: Vec<QueueName>,
    /// Bodies of other programs' messages that do not identify their task.
    foreign_messages: BTreeMap<String, usize>,
    messages: Vec<Message>,
    ids: Ids,
    grants: BTreeMap<(ProcessId, usize), Grant>,
    /// When a message first arrived at a process.
    first_arrived: BTreeMap<(ProcessId, usize), Moment>,
    started: BTreeMap<(ProcessId, JobId), StartedHandler>,
    /// When a process last started a handler for a task.
    handler_started_at: BTreeMap<(ProcessId, usize), Moment>,
    /// Copies for the next attempt whose original the worker has not deleted yet.
    successors: BTreeMap<(ProcessId, usize), u32>,
    /// When handlers returned whose messages have not been deleted yet.
    done_at: BTreeMap<(ProcessId, usize), Moment>,
    /// Which hosts are ivy workers.
    pub(crate) workers: std::ops::Range<usize>,
    pub(crate) max_deliveries: u32,
    pub(crate) max_later: u32,
    pub(crate) backend: Backend,
    /// Whether a worker may lack the key.
    pub(crate) wrong_keys: bool,
    breach: Option<Breach>,
}

impl LawChecker {
    pub(crate) fn new(
        codec: Codec,
        queues: Vec<QueueName>,
        workers: std::ops::Range<usize>,
    ) -> LawChecker {
        LawChecker {
            tasks: Vec::new(),
            codec,
            queues,
            foreign_messages: BTreeMap::new(),
            messages: Vec::new(),
            ids: Ids::default(),
            grants: BTreeMap::new(),
            first_arrived: BTreeMap::new(),
            started: BTreeMap::new(),
            handler_started_at: BTreeMap::new(),
            successors: BTreeMap::new(),
            done_at: BTreeMap::new(),
            workers,
            max_deliveries: 0,
            max_later: 0,
            backend: Backend::default(),
            wrong_keys: false,
            breach: None,
        }
    }

    /// Records a broken law. Only the first breach counts: later ones may be its consequences.
    pub(crate) fn broken(&mut self, law: &'static str, what: impl FnOnce() -> String) {
        if self.breach.is_none() {
            self.breach = Some(Breach { law, what: what() });
        }
    }

    pub(crate) fn breach(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    /// Remembers the body of another program's message that does not identify its task.
    pub(crate) fn add_foreign_body(&mut self, body: &str, task: usize) {
        self.foreign_messages.insert(body.to_owned(), task);
    }

    pub(crate) fn is_foreign_body(&self, body: &str) -> bool {
        self.foreign_messages.contains_key(body)
    }

    /// The task of the message with this body, wrapped or not.
    pub(crate) fn task_of(&self, body: &str) -> Option<usize> {
        if let Some(number) = number_in(body) {
            return (number < self.tasks.len()).then_some(number);
        }
        if let Some(task) = self.foreign_messages.get(body) {
            return Some(*task);
        }
        if body.starts_with('$') {
            let body = Body::new(body);
            let opened = self.queues.iter().find_map(|queue| self.codec.open(&body, queue).ok());
            if let Some(envelope) = opened {
                let number = number_in(envelope.args.as_str());
                return number.filter(|number| *number < self.tasks.len());
            }
        }
        let letter = self.dead_letter(&Body::new(body))?;
        self.task_of(letter.body.as_str())
    }

    /// The dead letter in this body, sealed or plaintext.
    fn dead_letter(&self, body: &Body) -> Option<DeadLetter> {
        let mut dead = self.queues.iter().filter_map(|queue| queue.dead_letter_queue().ok());
        dead.find_map(|queue| self.codec.open_dead_letter(body, &queue).ok())
    }

    pub(crate) fn task_of_message(&self, id: &MessageId) -> Option<usize> {
        self.messages.get(self.ids.index_of(id)?)?.task
    }

    // What the broker did.

    /// Messages were posted. `again` is true if the network repeated the request.
    pub(crate) fn posted(
        &mut self,
        who: ProcessId,
        queue: &QueueName,
        messages: &[NewMessage],
        ids: &[MessageId],
        again: bool,
    ) {
        let in_dead_queue = queue.as_str().ends_with(".dead");
        for (message, id) in messages.iter().zip(ids) {
            let task = self.task_of(message.body.as_str());
            if !self.ids.assign(id) {
                self.broken("S3", || format!("{id} was assigned twice"));
                return;
            }
            let attempt_info = self.attempt_info_of(&message.body);
            self.messages.push(Message {
                task,
                alive: true,
                holder: None,
                queue: queue.clone(),
                reserved: 0,
                counted: 0,
                failed: 0,
                lost: 0,
                attempt_info,
                runs: 0,
                postponed_by: None,
                released_by: BTreeMap::new(),
                release_confirmed_to: Vec::new(),
                done_by: Vec::new(),
                copied_by: Vec::new(),
            });
            let Some(number) = task else {
                self.broken("S1", || format!("{who:?} posted {id}, which belongs to no task"));
                return;
            };
            if !in_dead_queue {
                self.tasks[number].record(attempt_info, false);
            }
            if in_dead_queue {
                self.dead_lettered(who, number, &message.body);
            } else if self.workers.contains(&who.host) {
                let task = &mut self.tasks[number];
                task.live += 1;
                *self.successors.entry((who, number)).or_default() += 1;
                self.check_lost_count(number, attempt_info);
                if again {
                    self.tasks[number].causes.add(Cause::Duplicate);
                }
            } else {
                self.accepted(number, again);
            }
        }
    }

    /// A message of the task's sender was accepted.
    fn accepted(&mut self, number: usize, again: bool) {
        let task = &mut self.tasks[number];
        task.live += 1;
        task.accepted += 1;
        if again {
            task.duplicated += 1;
            task.causes.add(Cause::Duplicate);
        } else if task.accepted - task.duplicated > 1 {
            task.causes.add(Cause::Resent);
        }
        let copies = task.accepted - task.duplicated;
        let (send_result, once, unknown) = (task.send_result, task.once, task.unknown);
        if copies > 1 + unknown {
            self.broken("S3", || format!("task {number}: copy {copies} after {unknown} unknown"));
        }
        if once && copies > 1 {
            self.broken("S3", || format!("task {number} must not be repeated, and was"));
        }
        if send_result == Some(SendResult::Withdrawn) {
            self.broken("S20", || format!("task {number} was withdrawn, and is stored"));
        }
        if send_result == Some(SendResult::NotStored) {
            self.broken("S3", || {
                format!("task {number} was reported as not stored, and is stored")
            });
        }
    }

    fn dead_lettered(&mut self, who: ProcessId, number: usize, body: &Body) {
        self.tasks[number].dead += 1;
        match self.dead_letter(body) {
            Some(letter) => {
                let original = letter.queue.as_str();
                if original.ends_with(".dead") {
                    self.broken("S1", || format!("task {number}: a dead letter of {original}"));
                }
                match self.ids.index_of(&letter.id).and_then(|at| self.messages.get_mut(at)) {
                    Some(message) if message.task == Some(number) => message.copied_by.push(who),
                    _ => self.broken("S2", || {
                        format!("task {number}: a dead letter of the message {}", letter.id)
                    }),
                }
                self.check_reason(who, number, &letter);
            }
            // The bare original, which does not identify its message.
            None => *self.successors.entry((who, number)).or_default() += 1,
        }
    }

    /// Messages were delivered.
    pub(crate) fn reserved(
        &mut self,
        connection: ConnectionKey,
        deliveries: &[Delivery],
        lease: Duration,
        broker_now: Moment,
    ) {
        for delivery in deliveries {
            let Some(at) = self.ids.index_of(&delivery.message) else { continue };
            let Some(message) = self.messages.get_mut(at) else { continue };
            let before = message.holder.replace(Holder {
                who: connection.0,
                connection,
                reservation: delivery.reservation.clone(),
                until: broker_now + lease,
                length: lease,
            });
            message.reserved += 1;
            message.counted += 1;
            let alive = message.alive;
            if before.as_ref().is_some_and(|before| before.until <= broker_now) {
                message.lost += 1;
                let attempt = message.attempt_info.attempt;
                if let Some(task) = message.task {
                    *self.tasks[task].lost.entry(attempt).or_default() += 1;
                }
            }
            if before.is_some_and(|before| before.until > broker_now) {
                self.broken("S4", || format!("{} was delivered twice", delivery.message));
            }
            if !alive {
                self.broken("S4", || {
                    format!("{} was delivered after its deletion", delivery.message)
                });
            }
        }
    }

    /// How the deliveries of a message ended.
    pub(crate) fn exact_count(&self, id: &MessageId) -> DeliveryCount {
        let message = self.ids.index_of(id).and_then(|at| self.messages.get(at));
        let (failed, lost) = message.map_or((0, 0), |message| (message.failed, message.lost));
        DeliveryCount::Exact { failed, lost }
    }

    /// Messages arrived at the worker that reserved them.
    pub(crate) fn arrived(
        &mut self,
        who: ProcessId,
        receipts: impl Iterator<Item = Receipt>,
        granted: Moment,
        now: Moment,
    ) {
        for receipt in receipts {
            let Some(at) = self.ids.index_of(&receipt.message) else { continue };
            self.first_arrived.entry((who, at)).or_insert(now);
            let until = self.messages.get(at).and_then(|message| message.holder.as_ref());
            let Some(holder) = until.filter(|h| h.reservation == receipt.reservation) else {
                // Its lease had ended before the delivery arrived.
                self.grants.remove(&(who, at));
                continue;
            };
            let grant = Grant { until: holder.until, length: holder.length, granted, arrived: now };
            self.grants.insert((who, at), grant);
        }
    }

    pub(crate) fn touched(
        &mut self,
        who: ProcessId,
        old: &Receipt,
        new: &Receipt,
        lease: Duration,
        broker_now: Moment,
    ) {
        self.check_reservation(old, broker_now);
        let Some(at) = self.ids.index_of(&old.message) else { return };
        let counts_renewals = self.backend.counts() == Counts::DeliveriesAndRenewals;
        let Some(message) = self.messages.get_mut(at) else { return };
        message.counted += u32::from(counts_renewals);
        let until = broker_now + lease;
        let reservation = new.reservation.clone();
        let connection = message.holder.as_ref().map_or((who, 0), |holder| holder.connection);
        message.holder = Some(Holder { who, connection, reservation, until, length: lease });
        if let Some(grant) = self.grants.get_mut(&(who, at)) {
            grant.until = until;
            grant.length = lease;
        }
    }

    /// A worker is informed that a message was released, which may be wrong.
    pub(crate) fn release_confirmed(&mut self, who: ProcessId, message: &MessageId) {
        let Some(message) = self.ids.index_of(message).and_then(|at| self.messages.get_mut(at))
        else {
            return;
        };
        message.release_confirmed_to.push(who);
        if let Some(task) = message.task {
            self.tasks[task].was_released = true;
        }
    }

    /// A queue that holds messages of this kind of task although they were sent to another one.
    pub(crate) fn misrouted_queue(&self, kind: usize, own: &QueueName) -> Option<&QueueName> {
        let of_kind = |message: &&Message| {
            message.task.is_some_and(|task| self.tasks[task].kind == kind)
                && message.alive
                && message.queue != *own
                && !message.queue.as_str().ends_with(".dead")
        };
        self.messages.iter().find(of_kind).map(|message| &message.queue)
    }

    /// A worker released a message. If the broker delivered one reservation to two workers, it may
    /// be the other one.
    pub(crate) fn released(
        &mut self,
        who: ProcessId,
        receipt: &Receipt,
        failed: bool,
        broker_now: Moment,
    ) {
        self.check_reservation(receipt, broker_now);
        let Some(at) = self.ids.index_of(&receipt.message) else { return };
        let Some(message) = self.messages.get_mut(at) else { return };
        message.failed += u32::from(failed);
        if let Some(holder) = message.holder.take() {
            *message.released_by.entry(who).or_default() += 1;
            self.grants.remove(&(holder.who, at));
        }
        self.released_unchanged(at);
    }

    /// A message was released unchanged. Its next delivery may look like one that follows a lost
    /// delivery.
    fn released_unchanged(&mut self, at: usize) {
        let message = &self.messages[at];
        let flag = self.backend.counts() == Counts::Flag;
        // The count of another program's message is not known here if its keys are not.
        let of_other_program = |task: usize| self.tasks[task].sender == Sender::OtherProgram;
        if let Some(task) = message.task
            && (flag
                || message.attempt_info.lost > 0
                || message.counted >= MAX_UNCHANGED_COUNT
                || of_other_program(task))
        {
            *self.tasks[task]
                .released_unchanged
                .entry(message.attempt_info.attempt)
                .or_default() += 1;
        }
    }

    /// A message was deleted.
    pub(crate) fn deleted(&mut self, who: ProcessId, receipt: &Receipt, broker_now: Moment) {
        let Some(at) = self.ids.index_of(&receipt.message) else { return };
        // One batch may contain the same message twice, after the broker delivered it twice.
        if self.messages.get(at).is_some_and(|message| !message.alive) {
            return;
        }
        self.check_reservation(receipt, broker_now);
        let Some(message) = self.messages.get_mut(at) else { return };
        message.alive = false;
        message.holder = None;
        let settled = message.done_by.contains(&who) || message.copied_by.contains(&who);
        let Some(number) = message.task else { return };
        let is_ours = self.workers.contains(&who.host);
        let replaced = self.successors.get_mut(&(who, number)).filter(|left| **left > 0);
        match replaced {
            _ if settled || !is_ours => {}
            Some(left) => *left -= 1,
            None => {
                let message = &receipt.message;
                self.broken("S2", || {
                    format!("task {number}: {message} was deleted before it was done")
                });
            }
        }
        let task = &mut self.tasks[number];
        task.live -= 1;
        task.dropped_by_node |= !is_ours;
        if task.live == 0 && !task.has_ended() {
            self.broken("S1", || format!("task {number} is lost"));
        }
    }

    fn check_reservation(&mut self, receipt: &Receipt, broker_now: Moment) {
        let message = self.ids.index_of(&receipt.message).and_then(|at| self.messages.get(at));
        let holder = message.and_then(|message| message.holder.as_ref());
        let valid = holder.is_some_and(|holder| {
            let lasts = holder.until > broker_now || self.backend.keeps_ended_leases();
            holder.reservation == receipt.reservation && lasts
        });
        let may_be_duplicated =
            self.backend.has_sessions() && self.may_be_duplicated(&receipt.message);
        if !valid && self.backend.refuses_late_receipts() && !may_be_duplicated {
            self.broken("S4", || format!("a stale reservation changed {}", receipt.message));
        }
    }
}
