//! Reserves messages in batches until the queue is empty or a limit is reached.

use std::time::Duration;

use crate::queue::{Effect, Fault, FaultKind, QueueOp, QueueReply};
use crate::time::Moment;

use super::super::report::Truncated;
use super::io::{Output, Phase, Progress};
use super::requests::InFlight;
use super::{Next, Stage, Sweep};

/// The maximum number of messages per reserve. The backend's may be lower.
pub(super) const BATCH: usize = 100;

impl Sweep {
    pub(super) fn request_size(&mut self) -> Next {
        let queue = self.config.queue.clone();
        self.send(QueueOp::GetQueue { queue }, InFlight::Size);
        Next::Sent
    }

    pub(super) fn on_size(&mut self, reply: Result<QueueReply, Fault>) {
        match reply {
            Ok(QueueReply::Queue(info)) => {
                self.requests.succeeded();
                self.size = info.size;
            }
            // Unreachable: another reply is a misuse.
            Ok(_) => {}
            // The size is only one of the limits.
            Err(fault) if matches!(fault.kind(), FaultKind::Unsupported { .. }) => {}
            Err(fault) if fault.effect() == Effect::Refused => return self.fail(fault),
            Err(fault) => return self.try_again(fault),
        }
        // Workers wait for the messages of a live queue, so the operator is asked first.
        self.stage = if self.config.is_live() { Stage::Showing(0) } else { Stage::Looking };
    }

    pub(super) fn look(&mut self) -> Next {
        let size = self.size.map_or(usize::MAX, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let left = self.limits.messages.min(size).saturating_sub(self.report.looked_at);
        let now = self.lease_now();
        let began = *self.first_reserve.get_or_insert(now);
        let truncated = if left == 0 {
            // Messages that were posted since the start are not meant.
            if size <= self.limits.messages {
                return self.has_looked(None);
            }
            Truncated::Limit
        } else if self.requests.sent() >= self.limits.requests {
            Truncated::Requests
        } else if self.groups.bytes() >= self.limits.bytes {
            Truncated::Memory
        } else if now.since(began) > self.limits.looking {
            Truncated::Time
        } else {
            let (queue, lease) = (self.config.queue.clone(), self.limits.lease);
            let count = self.limits.reserve.min(BATCH).min(left);
            let op = QueueOp::Reserve { queue, count, lease, wait: Duration::ZERO };
            self.send(op, InFlight::Reserve { count, sent: now });
            return Next::Sent;
        };
        self.has_looked(Some(truncated))
    }

    pub(super) fn on_reserved(
        &mut self,
        reply: Result<QueueReply, Fault>,
        count: usize,
        sent: Moment,
    ) {
        match reply {
            Ok(QueueReply::Reserved(reserved)) => {
                self.requests.succeeded();
                self.report.hidden += reserved.unusable;
                let count = reserved.messages.len() + reserved.unusable;
                let lease_end = sent + self.limits.lease;
                for message in reserved.messages {
                    self.add(message, lease_end);
                }
                if matches!(self.stage, Stage::ReReserving(_)) {
                    self.on_reserved_again(count);
                } else if count == 0 {
                    self.has_looked(None);
                }
            }
            // Unreachable: another reply is a misuse.
            Ok(_) => {}
            // The queue was deleted meanwhile.
            Err(fault) if fault.kind() == FaultKind::NoQueue => {
                if matches!(self.stage, Stage::ReReserving(_)) {
                    self.on_reserved_again(0);
                } else {
                    self.has_looked(None);
                }
            }
            Err(fault) if fault.effect() == Effect::Refused => self.fail(fault),
            Err(fault) => {
                if fault.effect() == Effect::Unknown {
                    self.report.hidden += count;
                }
                self.try_again(fault);
            }
        }
    }

    fn has_looked(&mut self, truncated: Option<Truncated>) -> Next {
        self.report.truncated = truncated;
        let is_requested = self.config.limit.is_some_and(|limit| limit <= self.report.looked_at);
        if !is_requested {
            let size = self.size.unwrap_or(0);
            self.report.not_looked_at = size.saturating_sub(self.report.looked_at as u64);
        }
        if self.config.requeue_options().is_some_and(|requeue| requeue.one_per_task) {
            self.groups.leave_others_of_task();
        }
        if self.config.is_live() {
            self.release_unselected();
        } else {
            self.stage = Stage::Showing(0);
        }
        Next::Ended
    }

    pub(super) fn show_progress(&mut self) {
        let progress = match &self.stage {
            Stage::Looking => {
                let size = self.size.and_then(|size| usize::try_from(size).ok());
                let total = size.map(|size| size.min(self.limits.messages));
                Progress { phase: Phase::Looking, done: self.report.looked_at, total }
            }
            Stage::Working | Stage::ReReserving(_) => self.work.progress(),
            Stage::Releasing(releasing) => releasing.progress(self.requests.in_flight()),
            _ => return,
        };
        if progress.total != Some(0) {
            self.outputs.push_back(Output::Progress(progress));
        }
    }
}
