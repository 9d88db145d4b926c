//! Reports to the law checker what each write of the server does to messages.

use std::time::Duration;

use ivy_proto::queue::{Body, Fault, FaultKind, NewMessage, QueueOp, QueueReply};
use ivy_proto::{MessageId, Moment, QueueName, Receipt, ReservationId};
use ivy_sim::redis::{Script, Value, Written};

use super::copies::{AllCopies, Copies, parse, queue_of};
use crate::setup::UNIX_AT_START;
use crate::task::{Cause, ProcessId};
use crate::world::World;

/// The length of the unique id of a reserve.
const RESERVE_ID_LENGTH: usize = 14;

impl World {
    /// Reports the server's writes, one by one.
    pub(super) fn account(&mut self) {
        while let Some(written) = self.sessions.server.next_written() {
            let now = self.now;
            self.trace.note(now, None, || format!("the server writes {}", describe(&written)));
            for command in &written.commands {
                self.sessions.copies.apply(command, &self.sessions.seen);
                self.sessions.seen.apply(command);
            }
            for (id, (before, after)) in self.sessions.copies.take_changed() {
                self.account_for(&written, &id, before.as_ref(), after.as_ref());
            }
            if written.script == Some(Script::Touch) {
                self.account_for_touch(&written);
            }
            if written.script.is_some() {
                self.check_leases();
            }
        }
    }

    /// Reports the differences after the server's keys changed without a command.
    pub(super) fn account_for_fault(&mut self) {
        self.sessions.seen = self.sessions.server.store().clone();
        self.sessions.copies.replace(&self.sessions.seen);
        for (id, (_, after)) in self.sessions.copies.take_changed() {
            let holder = after.as_ref().and_then(|after| {
                let field = after.held().next()?;
                let who = self.owner_of(field)?;
                let (reservation, until) = self.reservation(&after.queue, field)?;
                Some((who, reservation, until))
            });
            let counts = after.as_ref().map(Copies::counts);
            self.checker.message_changed_by_fault(&id, counts, holder);
        }
    }

    fn account_for(
        &mut self,
        written: &Written,
        id: &MessageId,
        before: Option<&Copies>,
        after: Option<&Copies>,
    ) {
        let by = self.author(written);
        let Some(before) = before else {
            let after = after.expect("one of both is there");
            let delay = Duration::ZERO;
            let message = NewMessage { body: Body::new(after.body.as_str()), delay };
            let (messages, ids) = ([message], [id.clone()]);
            return self.checker.posted(by, &after.queue, &messages, &ids, false);
        };
        let free = after.map_or(0, Copies::free);
        let held: Vec<&[u8]> = after.into_iter().flat_map(Copies::held).collect();
        if free + held.len() > 1 {
            self.checker.add_cause_to_message(id, Cause::Delivery);
        }
        if written.script == Some(Script::Touch) {
            if after.is_none() {
                self.checker.broken("S1", || format!("{id} was lost while it was touched"));
            }
            return;
        }
        let ended = before.held().filter(|field| !held.contains(field));
        let failed = after.is_some_and(|after| after.counts().0 > before.counts().0);
        for _ in ended {
            self.account_for_end(written.script, by, id, failed, after.is_some());
        }
        let broker_now = self.broker_now();
        let reserved = held.iter().filter(|field| !before.is_held_in(field));
        for field in reserved {
            let after = after.expect("something is reserved");
            let Some((reservation, until)) = self.reservation(&after.queue, field) else {
                // The command that should have added its lease failed.
                self.checker.add_cause_to_message(id, Cause::Delivery);
                continue;
            };
            self.sessions.owners.insert(field[..RESERVE_ID_LENGTH].to_vec(), by);
            self.sessions.granted.insert(id.clone(), self.now);
            let counts = after.counts();
            self.checker.message_reserved(by, id, reservation, until, counts, broker_now);
            for cause in self.causes_at(by).into_iter().flatten() {
                self.checker.add_cause_to_message(id, cause);
            }
        }
        if after.is_none() && before.held().next().is_none() {
            self.checker.broken("S1", || format!("{id} was lost: {written:?}"));
        }
    }

    /// Checks that every reserved message has a lease.
    fn check_leases(&mut self) {
        if self.sessions.leases_were_lost {
            return;
        }
        let hashes = self.sessions.seen.iter().filter_map(|(key, value)| match value {
            Value::Hash(hash) => Some((queue_of(key)?, hash)),
            _ => None,
        });
        let mut held = hashes.flat_map(|(queue, hash)| {
            hash.iter().map(move |(field, element)| (queue.clone(), field, element))
        });
        let found = held.find(|(queue, field, _)| self.reservation(queue, field).is_none());
        let id = found.and_then(|(_, _, element)| parse(element)).map(|(id, ..)| id);
        if let Some(id) = id {
            self.checker.broken("S1", || format!("{id} is reserved, and has no lease"));
        }
    }

    /// The copies that were found from single commands are those in the keys.
    pub(crate) fn check_copies(&mut self) {
        let in_keys = AllCopies::of(&self.sessions.seen);
        let is_same = in_keys.iter().eq(self.sessions.copies.iter());
        assert!(is_same, "{in_keys:?} are not {:?}", self.sessions.copies);
    }

    /// The script after a wait has reserved what the wait moved, unless the request was cut.
    pub(super) fn check_claimed_is_empty(&mut self) {
        let mut keys = self.sessions.server.store().iter().map(|(key, _)| key);
        if keys.any(|key| key.ends_with(b"}:p")) && !self.sessions.requests_were_cut {
            self.checker.broken("L4", || "a wait moved a message that no script took".to_owned());
        }
    }

    /// A message that its worker may take to be deleted is not held by that worker.
    pub(super) fn check_deleted(
        &mut self,
        who: ProcessId,
        op: &QueueOp,
        reply: &Result<QueueReply, Fault>,
    ) {
        let is_not_found = |fault: &Fault| fault.kind() == FaultKind::NoMessage;
        let deleted: Vec<&Receipt> = match (op, reply) {
            (QueueOp::Delete { receipt, .. }, Ok(QueueReply::Deleted(entries))) => {
                entries.iter().filter(|entry| entry.is_ok()).map(|_| receipt).collect()
            }
            (QueueOp::Delete { receipt, .. }, Err(fault)) if is_not_found(fault) => vec![receipt],
            (QueueOp::DeleteMany { receipts, .. }, Ok(QueueReply::Deleted(entries))) => {
                let entries = receipts.items().iter().zip(entries);
                let is_deleted = |entry: &Result<(), Fault>| match entry {
                    Ok(()) => true,
                    Err(fault) => is_not_found(fault),
                };
                entries.filter(|(_, entry)| is_deleted(entry)).map(|(receipt, _)| receipt).collect()
            }
            _ => Vec::new(),
        };
        for Receipt { message, .. } in deleted {
            let mut held = self.sessions.copies.get(message).into_iter().flat_map(Copies::held);
            let is_held = held.any(|field| self.owner_of(field) == Some(who));
            if is_held && !self.checker.may_be_duplicated(message) {
                self.checker.broken("S1", || {
                    format!("{who:?} holds {message} after its delete has succeeded")
                });
            }
        }
    }

    /// A reservation has ended: its message was deleted, released, or its lease has ended.
    fn account_for_end(
        &mut self,
        script: Option<Script>,
        by: ProcessId,
        id: &MessageId,
        failed: bool,
        exists: bool,
    ) {
        let broker_now = self.broker_now();
        if !exists && script.is_some_and(|script| script != Script::Reject) {
            return self.checker.broken("S1", || format!("{id} was lost in {script:?}"));
        }
        match script {
            Some(Script::Release) => self.checker.message_released(by, id, failed, broker_now),
            // It may have been reserved again at once.
            Some(Script::Reserve | Script::Peek | Script::Orphans) => {
                let may_be_early = self.sessions.leases_were_lost || self.sessions.clock_was_set;
                self.checker.message_returned(id, may_be_early, broker_now);
            }
            _ if exists => self.checker.add_cause_to_message(id, Cause::Delivery),
            _ => self.checker.message_deleted(by, id, broker_now),
        }
    }

    /// A touch that is repeated changes the end of a lease alone: the message has its next name
    /// already.
    fn account_for_touch(&mut self, written: &Written) {
        let (by, broker_now) = (self.author(written), self.broker_now());
        let renewed = written.commands.iter().filter_map(|command| match &command[..] {
            [name, key, _, field] if name == b"ZADD" && key.ends_with(b"}:l") => {
                Some((queue_of(key)?, field))
            }
            _ => None,
        });
        for (queue, field) in renewed {
            let key = format!("ivy1:{{{}}}:h", queue.as_str());
            let Some(Value::Hash(held)) = self.sessions.seen.get(key.as_bytes()) else { continue };
            let Some((id, ..)) = held.get(field).and_then(|element| parse(element)) else {
                continue;
            };
            if let Some((reservation, until)) = self.reservation(&queue, field) {
                self.checker.lease_renewed(by, &id, reservation, until, broker_now);
            }
        }
    }

    /// The process that sent a request.
    fn author(&self, written: &Written) -> ProcessId {
        let known = self.sessions.clients.get(&written.by).map(|(who, _)| *who);
        known.unwrap_or(ProcessId { host: self.hosts.len(), incarnation: 0 })
    }

    /// The reservation of a field, in the form that receipts contain, and the end of its lease by the
    /// broker's clock.
    fn reservation(&self, queue: &QueueName, field: &[u8]) -> Option<(ReservationId, Moment)> {
        let key = format!("ivy1:{{{}}}:l", queue.as_str());
        let Some(Value::SortedSet(leases)) = self.sessions.seen.get(key.as_bytes()) else {
            return None;
        };
        let until = |end: i64| {
            let unix = Duration::from_millis(u64::try_from(end).unwrap_or(0));
            Moment::after_epoch(unix.saturating_sub(UNIX_AT_START))
        };
        let name = std::str::from_utf8(field).ok()?;
        if let Some(end) = leases.score(field) {
            return Some((ReservationId::new(format!("{name}@{end:x}")), until(end)));
        }
        let reserve_id = [&field[..RESERVE_ID_LENGTH], b"/"].concat();
        let (lease, end) = leases.iter().find(|(lease, _)| lease.starts_with(&reserve_id))?;
        let size = std::str::from_utf8(&lease[reserve_id.len()..]).ok()?;
        Some((ReservationId::new(format!("{name}@{end:x}/{size}")), until(end)))
    }

    /// The number of messages in a queue.
    pub(crate) fn copies_in(&self, queue: &QueueName) -> u64 {
        self.sessions.copies.iter().filter(|(_, copies)| copies.queue == *queue).count() as u64
    }

    fn owner_of(&self, field: &[u8]) -> Option<ProcessId> {
        self.sessions.owners.get(&field[..RESERVE_ID_LENGTH]).copied()
    }
}

/// A write, for traces.
fn describe(written: &Written) -> String {
    let commands = written.commands.iter().map(|command| {
        let parts = command.iter().map(|part| {
            let part = String::from_utf8_lossy(part);
            part.chars().take(24).collect::<String>()
        });
        parts.collect::<Vec<_>>().join(" ")
    });
    format!("{:?} {:?}: {}", written.by, written.script, commands.collect::<Vec<_>>().join("; "))
}
