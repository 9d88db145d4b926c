//! Ends the calls that were not sent within their time limits.

use crate::event::TaskRef;
use crate::planted::{Bug, planted};

use super::Producer;
use super::io::{SendError, Timer, WaitedFor};
use super::outbox::Withdrawal;
use super::pending::OverdueCall;

impl Producer {
    /// Ends the calls whose time limits have passed, before anything else is sent.
    ///
    /// A call that was not given to the queue is withdrawn: its message is removed, so it is
    /// certainly not sent. If a post with it is in flight, or the reply to an earlier one was lost,
    /// it may be stored: the error says so, and the message is not posted again. So there are
    /// at most as many copies as posts before the limit.
    pub(super) fn end_overdue_calls(&mut self) {
        while let Some(OverdueCall { id, task, within, is_not_alone }) =
            self.pending.pop_overdue(self.now)
        {
            // A message that another call waits for may still be sent.
            let waited_for = if is_not_alone { None } else { self.withdraw(&task) };
            let error = match waited_for {
                Some(waited_for) => SendError::Withdrawn { within, waited_for },
                None => SendError::NoReply { within },
            };
            self.call_is_not_sent(id, error);
        }
        while let Some((call, called_at)) = self.backlog.pop_overdue(self.now) {
            let waited_for = WaitedFor::Queue { fault: self.outbox.fault(&call.queue).cloned() };
            let within = self.now.since(called_at);
            self.refuse_all([call], || SendError::Withdrawn {
                within,
                waited_for: waited_for.clone(),
            });
        }
    }

    /// Takes the message of a task back. Returns what it waited for, or `None` if it may be stored.
    fn withdraw(&mut self, task: &TaskRef) -> Option<WaitedFor> {
        if let Some(subscription) = &mut self.subscription
            && subscription.withdraw(task.id)
        {
            return Some(WaitedFor::Subscription { fault: subscription.fault().cloned() });
        }
        let may_be_stored = match self.outbox.withdraw(&task.queue, task.id) {
            Some(Withdrawal::Removed(outgoing)) => outgoing.may_be_stored,
            Some(Withdrawal::UnderWay) => !planted(Bug::WithdrawnCallIsSent),
            None => true,
        };
        let fault = self.outbox.fault(&task.queue).cloned();
        if !self.outbox.may_merge(&task.queue) {
            self.timers.stop(&Timer::Merge(task.queue.clone()));
        }
        self.outbox.tidy(&task.queue);
        (!may_be_stored).then_some(WaitedFor::Queue { fault })
    }
}
