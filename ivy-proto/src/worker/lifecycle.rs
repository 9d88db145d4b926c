//! What a worker reports once: its start, its first message, and its drain. Between them, a silent
//! worker is idle.

use std::time::Duration;

use crate::event::{Event, WorkerStarted};
use crate::id::MessageId;
use crate::name::QueueName;
use crate::queue::Lease;

use super::Worker;

impl Worker {
    pub(super) fn report_start(&mut self) {
        let config = &self.config;
        let lease = match config.capabilities.lease {
            Lease::Timed { .. } => Some(config.lease),
            Lease::Connection => None,
        };
        let started = WorkerStarted {
            queue_server: config.queue_server.clone(),
            queues: self.poller.names().cloned().collect(),
            tasks: config.tasks.keys().cloned().collect(),
            keys: config.codec.key_ids(),
            has_password: config.codec.has_password(),
            has_notifier: config.notifier.is_some(),
            concurrency: config.concurrency,
            lease,
        };
        self.fx.event(Event::WorkerStarted(Box::new(started)));
    }

    /// Reports a message if it is the first one.
    pub(super) fn report_first_message(&mut self, queue: &QueueName, message: &MessageId) {
        if !std::mem::replace(&mut self.has_received, true) {
            let (queue, message) = (queue.clone(), message.clone());
            self.fx.event(Event::FirstMessage { queue, message });
        }
    }

    pub(super) fn report_drain(&mut self, limit: Duration) {
        let running = self.running + self.without_lease.len();
        self.fx.event(Event::Draining { running, limit });
    }
}
