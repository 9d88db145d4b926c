//! Sends deletes in batches, and handles the reply for each message.

use std::time::Duration;

use crate::event::Event;
use crate::id::{JobId, Receipt};
use crate::name::QueueName;
use crate::queue::{Batch, Fault, QueueOp, different};

use super::Worker;
use super::effects::OpPurpose;
use super::io::Timer;
use super::job::{Job, Progress};
use super::pending_deletes::Added;
use super::queue_replies::may_succeed_later;

/// The shortest time that a delete waits for a touch in flight.
const SHORTEST_LINGER: Duration = Duration::from_millis(50);
/// The size of one encoded delete without its two ids.
const DELETE_OVERHEAD: usize = 32;

impl Worker {
    pub(super) fn batch_ack(&mut self, queue: &QueueName, job: JobId) {
        let linger = self.config.capabilities.ack_linger;
        let added = self.pending_deletes.add(queue, job, self.config.capabilities.batch.delete);
        match added {
            Added::Full => self.send_deletes(queue),
            _ if self.is_draining() => self.send_deletes(queue),
            Added::First if linger.is_zero() => self.send_deletes(queue),
            Added::First => self.fx.set_timer(Timer::SendDeletes(queue.clone()), linger),
            Added::Waits => {}
        }
    }

    /// Sends the batch of deletes of a queue, except those whose receipt a touch is about to
    /// replace: they join the next batch.
    pub(super) fn send_deletes(&mut self, queue: &QueueName) {
        self.fx.timers.stop(&Timer::SendDeletes(queue.clone()));
        let gathered = self.pending_deletes.take(queue);
        let mut batch: Vec<(JobId, Receipt)> = Vec::with_capacity(gathered.len());
        let mut size = 0;
        let mut touched = Vec::new();
        for job in gathered {
            if self.is_too_late(job) {
                continue;
            }
            let Some(held) = self.jobs.get_mut(&job) else { continue };
            if held.lease.is_being_touched() {
                touched.push(job);
                continue;
            }
            let receipt = held.lease.receipt().clone();
            if let Some(settling) = held.settling() {
                settling.progress = Progress::InFlight;
            }
            let bytes = receipt.message.as_bytes().len()
                + receipt.reservation.as_bytes().len()
                + DELETE_OVERHEAD;
            let capabilities = &self.config.capabilities;
            if batch.len() >= capabilities.batch.delete || size + bytes > capabilities.max_request {
                self.send_batch(queue, std::mem::take(&mut batch));
                size = 0;
            }
            size += bytes;
            batch.push((job, receipt));
        }
        self.send_batch(queue, batch);
        if !touched.is_empty() {
            self.pending_deletes.put_back(queue, touched);
            let linger = self.config.capabilities.ack_linger.max(SHORTEST_LINGER);
            self.fx.set_timer(Timer::SendDeletes(queue.clone()), linger);
        }
    }

    fn send_batch(&mut self, queue: &QueueName, batch: Vec<(JobId, Receipt)>) {
        let (jobs, receipts): (Vec<JobId>, Vec<Receipt>) = batch.into_iter().unzip();
        let Some(receipts) = Batch::new(receipts) else { return };
        let op = QueueOp::DeleteMany { queue: queue.clone(), receipts };
        self.fx.execute(OpPurpose::DeleteMany { queue: queue.clone(), jobs }, op);
    }

    /// Deletes a single message.
    pub(super) fn delete_at_once(&mut self, job: JobId) {
        if self.is_too_late(job) {
            return;
        }
        let Some(held) = self.jobs.get(&job) else { return };
        let (queue, receipt) = (held.queue.clone(), held.lease.receipt().clone());
        self.fx.execute(OpPurpose::Delete(job), QueueOp::Delete { queue, receipt });
    }

    /// Handles the reply to a batch, message by message.
    pub(super) fn take_acks(
        &mut self,
        queue: &QueueName,
        jobs: Vec<JobId>,
        entries: Vec<Result<(), Fault>>,
    ) {
        let (mut again, mut faults) = (Vec::new(), Vec::new());
        for (job, entry) in jobs.into_iter().zip(entries) {
            match entry {
                Ok(()) => self.deleted(job),
                Err(fault) if may_succeed_later(&fault) => {
                    again.push(job);
                    faults.push(fault);
                }
                Err(fault) => self.delete_failed(job, &fault),
            }
        }
        let mut different = different(&faults).into_iter();
        let Some(first) = different.next() else { return };
        for fault in different {
            self.fx.event(Event::QueueError { queue: queue.clone(), fault: fault.clone() });
        }
        self.delete_again(queue, again, first);
    }

    /// Handles a failed batch. If the queue refused it, a single entry may be the cause, so each is
    /// deleted alone.
    pub(super) fn acks_failed(&mut self, queue: &QueueName, jobs: Vec<JobId>, fault: &Fault) {
        if may_succeed_later(fault) {
            return self.delete_again(queue, jobs, fault);
        }
        for job in jobs {
            self.delete_at_once(job);
        }
    }

    /// Puts deletes back into the batch after a transient failure.
    fn delete_again(&mut self, queue: &QueueName, jobs: Vec<JobId>, fault: &Fault) {
        let delay = self.queue_failed(queue, fault);
        let mut again = Vec::new();
        for job in jobs {
            if let Some(settling) = self.jobs.get_mut(&job).and_then(Job::settling) {
                settling.progress = Progress::Batched;
                again.push(job);
            }
        }
        self.pending_deletes.put_back(queue, again);
        self.fx.set_timer(Timer::SendDeletes(queue.clone()), delay);
    }
}
