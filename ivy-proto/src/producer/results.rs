//! Receives results: the subscription, notices, and the calls that wait for them.

use crate::event::{DegradedReason, Event, Part};
use crate::id::TaskId;
use crate::metrics::ResultOutcome;
use crate::name::ChannelName;
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::retry::Backoff;
use crate::task::{TaskChange, TaskFailure, TaskOutcome, TaskReleased};
use crate::wire::TaskUpdate;

use super::Producer;
use super::io::{Output, SendError, Timer};
use super::subscription::Subscription;

impl Producer {
    pub(super) fn on_subscribed(&mut self) {
        let Some(subscription) = &mut self.subscription else { return };
        let Some(had_failed) = subscription.subscribed(self.now) else { return };
        if let Some((_, task)) = subscription.first_limit() {
            self.timers.stop(&Timer::SubscriptionLimit(task));
        }
        let calls = subscription.take_waiting();
        if had_failed {
            self.report_recovered(Part::Notifier);
        }
        let queues = calls.into_iter().map(|call| {
            self.outbox.add(&call.queue, call.outgoing);
            call.queue
        });
        for queue in queues.collect::<std::collections::BTreeSet<_>>() {
            self.post(&queue);
        }
    }

    pub(super) fn on_subscription_lost(&mut self, fault: NotifyFault) {
        let Some(subscription) = &mut self.subscription else { return };
        let Some(loss) = subscription.lost(fault.clone(), self.now) else { return };
        self.event(Event::NotifierError { fault: fault.clone() });
        if loss.is_news {
            let why = DegradedReason::Notifier(fault.clone());
            self.report_degraded(Part::Notifier, why);
        }
        if matches!(
            fault.kind(),
            NotifyFaultKind::Unauthorized | NotifyFaultKind::NoPermission | NotifyFaultKind::Tls
        ) {
            // A person must fix it, so waiting would not help.
            self.fail_waiting_calls();
        }
        let pause = Backoff::NOTIFIER.delay(loss.failures_before, &mut self.rng);
        self.set_timer(Timer::Subscribe, self.now + pause);
    }

    /// The pause after a failed subscription has ended.
    pub(super) fn subscribe_again(&mut self) {
        let channels = self.subscription.as_mut().and_then(Subscription::repeated_request);
        self.outputs.extend(channels.map(Output::Subscribe));
    }

    /// Fails the calls that have waited too long for the subscription.
    pub(super) fn on_subscription_limit(&mut self) {
        while let Some(subscription) = &mut self.subscription
            && let Some(task) = subscription.pop_overdue(self.now)
        {
            if subscription.withdraw(task) {
                let fault = subscription.fault().cloned();
                self.not_sent(task, &SendError::NotifierUnavailable { fault });
            }
        }
        self.watch_subscription_limit();
    }

    /// Fails all calls that wait for the subscription.
    fn fail_waiting_calls(&mut self) {
        let Some(subscription) = &mut self.subscription else { return };
        let fault = subscription.fault().cloned();
        if let Some((_, task)) = subscription.first_limit() {
            self.timers.stop(&Timer::SubscriptionLimit(task));
        }
        for call in subscription.take_waiting() {
            let fault = fault.clone();
            self.not_sent(call.outgoing.id, &SendError::NotifierUnavailable { fault });
        }
    }

    /// Sets the timer of the call that has waited longest for the subscription.
    pub(super) fn watch_subscription_limit(&mut self) {
        let first = self.subscription.as_ref().and_then(Subscription::first_limit);
        if let Some((limit, task)) = first {
            self.set_timer(Timer::SubscriptionLimit(task), limit);
        }
    }

    pub(super) fn on_notice(&mut self, channel: &ChannelName, payload: &[u8]) {
        if self.take_notice(channel, payload).is_none() {
            self.event(Event::NoticeIgnored);
        }
    }

    /// Handles a notice. Returns `None` if it is not the first one for a pending call.
    fn take_notice(&mut self, channel: &ChannelName, payload: &[u8]) -> Option<()> {
        let shared = self.subscription.as_ref()?.shares(channel)?;
        let codec = &self.config.codec;
        let (report, form) = codec.open_notice_summary(payload, channel).ok()?;
        let id = report.task?;
        let queue = &self.pending.task(id)?.queue;
        if !codec.accepts_notice(form, queue, shared) {
            return None;
        }
        let arrived_before_the_reply = self.pending.is_unsent(id);
        if arrived_before_the_reply {
            self.sent(id, report.message);
        }
        let used = match report.task_update {
            TaskUpdate::Ended(outcome) => self.deliver_result(id, outcome),
            TaskUpdate::Released(error) => self.record_release(id, error),
        };
        used.or(arrived_before_the_reply.then_some(()))
    }

    /// Delivers the result of a task to all its calls.
    fn deliver_result(&mut self, task: TaskId, outcome: TaskOutcome) -> Option<()> {
        let sharing = self.pending.sharing(task);
        if sharing.is_empty() {
            return self.deliver_to_call(task, outcome);
        }
        let mut used = None;
        for call in sharing {
            used = self.deliver_to_call(call, outcome.clone()).or(used);
        }
        used
    }

    fn deliver_to_call(&mut self, id: TaskId, outcome: TaskOutcome) -> Option<()> {
        let change = match outcome {
            TaskOutcome::Done(_) | TaskOutcome::ResultTooLarge | TaskOutcome::ResultTooDeep => {
                TaskChange::Resumed
            }
            TaskOutcome::Failed(_) => TaskChange::DeadLettered,
        };
        let resolved = self.pending.notice(id, change)?;
        let ended = match resolved.succeeded {
            true => ResultOutcome::Ok,
            false => ResultOutcome::Failed,
        };
        self.meter.result(resolved.row, ended, self.now.micros_since(resolved.called_at));
        let task = resolved.task.name.clone();
        self.outputs.push_back(Output::Result { id, task, outcome, args: resolved.args });
        self.event(Event::CallerResumed { task: resolved.task, succeeded: resolved.succeeded });
        Some(())
    }

    /// A worker released the task's message. Its caller continues to wait.
    fn record_release(&mut self, task: TaskId, error: TaskFailure) -> Option<()> {
        let mut calls = self.pending.sharing(task);
        if calls.is_empty() {
            calls.push(task);
        }
        let task = self.pending.task(task)?.clone();
        let release = TaskReleased::of(task.queue.clone(), error);
        let mut used = None;
        for id in calls {
            let Some(release) = self.pending.record_release(id, release.clone()) else { continue };
            let informed = TaskReleased::clone(&release);
            self.event(Event::CallerInformed { task: task.clone(), release: informed });
            self.outputs.push_back(Output::Released { id, release });
            used = Some(());
        }
        used
    }

    pub(super) fn on_forget(&mut self, id: TaskId) {
        self.backlog.forget(id);
        if let Some((row, called_at)) = self.pending.forget(id) {
            self.meter.result(row, ResultOutcome::TimedOut, self.now.micros_since(called_at));
        }
    }
}
