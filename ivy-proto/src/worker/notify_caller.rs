//! Notifies callers of their tasks' results, or that the task waits for another worker.

use crate::event::{NoticeDropReason, TaskRef};
use crate::id::MessageId;
use crate::name::{ChannelName, QueueName};
use crate::name_text::NameText;
use crate::notify::Publication;
use crate::queue::Body;
use crate::task::{TaskFailure, TaskReleased};
use crate::wire::{IvyOptions, MAX_NOTICE, MissingResult, Notice, RawJson};

use super::Worker;
use super::job::{DeadLettering, Scheduled};
use super::notices::{NoticeKind, OutgoingNotice, report_dropped};

/// The recipient of a task's notice.
enum NoticeRecipient<'a> {
    /// The caller, on its own reply channel.
    Caller(ChannelName, &'a IvyOptions),
    /// Peers of the Node package, on the shared channel.
    NodePeers,
    /// The message names a channel that this worker does not publish to.
    ForeignChannel,
    Nobody,
}

impl Worker {
    /// Notifies that a task is done. `output` is `None` if it is nested too deep.
    pub(super) fn notify_success(
        &mut self,
        message: &MessageId,
        scheduled: &Scheduled,
        output: Option<&RawJson>,
    ) {
        let queue = &scheduled.task.queue;
        let envelope = &scheduled.envelope;
        let (task, ivy) = (&scheduled.task, envelope.options.ivy());
        let Some(shared) = self.config.notifier.clone() else {
            return self.report_no_notifier(task, ivy);
        };
        match recipient(&shared, ivy) {
            NoticeRecipient::Caller(channel, ivy) => {
                let name = &envelope.name;
                let without = |missing| Notice::without_result(message, queue, name, ivy, missing);
                let notice = match output {
                    Some(output) => Notice::success(message, queue, name, ivy, output),
                    None => without(MissingResult::TooDeep),
                };
                let mut payload = self.seal(&notice, queue, &channel);
                if payload.as_str().len() > MAX_NOTICE {
                    payload = self.seal(&without(MissingResult::TooLarge), queue, &channel);
                }
                self.send(task, channel, NoticeKind::Success, payload);
            }
            NoticeRecipient::NodePeers => {
                // These notices have no field for why a result is missing.
                let output = output.cloned().unwrap_or_else(RawJson::null);
                let notice = Notice::success_for_node(message, queue, envelope, &output);
                self.send(task, shared, NoticeKind::Success, notice.to_payload());
            }
            NoticeRecipient::ForeignChannel => self.drop_notice(task),
            NoticeRecipient::Nobody => {}
        }
    }

    /// Notifies that a task was dead-lettered. Peers of the Node package receive successes only.
    pub(super) fn notify_failure(
        &mut self,
        message: &MessageId,
        task: &TaskRef,
        ivy: Option<&IvyOptions>,
        dead_lettering: &DeadLettering,
    ) {
        let failure = TaskFailure {
            kind: dead_lettering.reason.as_str().to_owned(),
            message: dead_lettering.message.clone(),
            attempts: dead_lettering.attempts,
        };
        self.notify_caller(task, ivy, NoticeKind::Failure, |ivy| {
            Notice::failure(message, &task.queue, &task.name, ivy, &failure)
        });
    }

    /// Notifies that this worker cannot decide on a task and released its message.
    pub(super) fn notify_released(
        &mut self,
        message: &MessageId,
        task: &TaskRef,
        ivy: Option<&IvyOptions>,
        release: &TaskReleased,
    ) {
        self.notify_caller(task, ivy, NoticeKind::Released, |ivy| {
            Notice::released(message, &task.name, ivy, release)
        });
    }

    /// Sends a notice that only the caller receives, on its own channel.
    fn notify_caller(
        &mut self,
        task: &TaskRef,
        ivy: Option<&IvyOptions>,
        kind: NoticeKind,
        write: impl FnOnce(&IvyOptions) -> Notice,
    ) {
        let Some(shared) = self.config.notifier.clone() else {
            return self.report_no_notifier(task, ivy);
        };
        match recipient(&shared, ivy) {
            NoticeRecipient::Caller(channel, ivy) => {
                let payload = self.seal(&write(ivy), &task.queue, &channel);
                self.send(task, channel, kind, payload);
            }
            NoticeRecipient::ForeignChannel => self.drop_notice(task),
            NoticeRecipient::NodePeers | NoticeRecipient::Nobody => {}
        }
    }

    fn seal(&mut self, notice: &Notice, queue: &QueueName, channel: &ChannelName) -> Body {
        self.config.codec.seal_notice(notice, queue, channel, &mut self.fx.entropy)
    }

    fn send(&mut self, task: &TaskRef, channel: ChannelName, kind: NoticeKind, payload: Body) {
        let publication = Publication { channel, payload };
        self.notices.send(OutgoingNotice { task: task.clone(), kind, publication }, &mut self.fx);
    }

    fn drop_notice(&mut self, task: &TaskRef) {
        report_dropped(task.clone(), NoticeDropReason::ForeignChannel, &mut self.fx);
    }

    /// Reports the missing notifier if the caller waits for a notice.
    fn report_no_notifier(&mut self, task: &TaskRef, ivy: Option<&IvyOptions>) {
        if ivy.is_some_and(|ivy| ivy.reply.is_some()) {
            self.notices.report_no_notifier(task.clone(), &mut self.fx);
        }
    }
}

fn recipient<'a>(shared: &ChannelName, ivy: Option<&'a IvyOptions>) -> NoticeRecipient<'a> {
    match ivy {
        None => NoticeRecipient::NodePeers,
        Some(IvyOptions { reply: Some(reply), .. }) if !is_reply_channel(reply, shared) => {
            NoticeRecipient::ForeignChannel
        }
        Some(ivy @ IvyOptions { reply: Some(reply), .. }) => {
            match ChannelName::of(NameText::Shared(reply.clone())) {
                Ok(channel) => NoticeRecipient::Caller(channel, ivy),
                Err(_) => NoticeRecipient::ForeignChannel,
            }
        }
        Some(IvyOptions { node: true, .. }) => NoticeRecipient::NodePeers,
        Some(_) => NoticeRecipient::Nobody,
    }
}

/// Whether the channel is a reply channel under this prefix. Otherwise a message could make workers
/// publish to the shared channel, where an unknown task name ends the process of a peer of the
/// Node package.
fn is_reply_channel(channel: &str, prefix: &ChannelName) -> bool {
    ChannelName::reply_prefix_in(channel) == Some(prefix.as_str())
}
