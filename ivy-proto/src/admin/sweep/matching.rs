//! Looks at a reserved message: opens it, compares it with the filter, and groups it with its
//! copies.

use crate::id::MessageId;
use crate::name::QueueName;
use crate::queue::{Body, DeliveryCount, ReceivedBody, ReservedMessage};
use crate::time::Moment;
use crate::wire::crypto::BodyForm;
use crate::wire::{Codec, Content, DeadLetter, DeadLetterReason, Envelope, is_dead_letter};

use super::super::filter::{Comparison, Subject};
use super::super::rewrite::{Obstacle, Rewriter, TaskMessage};
use super::config::Action;
use super::groups::{Group, GroupId, inner};
use super::held_messages::HeldId;
use super::io::Row;
use super::{Stage, Sweep};

impl Sweep {
    /// Adds a message whose lease lasts until `lease_end`.
    pub(super) fn add(&mut self, message: ReservedMessage, lease_end: Moment) {
        let ReservedMessage { receipt, body, deliveries } = message;
        if let Some(known) = self.reserved_again(&receipt.message, &body) {
            return self.held_messages.renew(known, receipt, lease_end);
        }
        let (held, id) = self.held_messages.add(receipt, lease_end);
        if matches!(self.stage, Stage::ReReserving(_)) {
            // The plan does not contain it.
            return;
        }
        self.report.looked_at += 1;
        let is_too_large = body == ReceivedBody::TooLarge;
        if is_too_large && !self.config.filter.selects_too_large() {
            self.report.too_large += 1;
            return;
        }
        let content = Content::read(&body, &self.config.queue, &self.codec);
        let subject = Subject { message: Some(&id), is_too_large, ..subject(&content, deliveries) };
        match self.config.filter.compare(&subject) {
            Comparison::Selected => {}
            Comparison::NotSelected => return,
            Comparison::Unknown => {
                self.report.not_compared += 1;
                return;
            }
        }
        self.selected += 1;
        let at = subject.at;
        let group = self.group_of(&content).unwrap_or_else(|| {
            let group = self.new_group(body, &content, deliveries);
            self.groups.add(group)
        });
        self.groups.add_copy(group, held, at);
        if let Some(held) = self.held_messages.get_mut(held) {
            held.group = Some(group);
        }
    }

    /// The held message that this is, if its lease has ended, so that it was reserved again. While its
    /// lease lasts, or if the content differs, this is another message that has the same id.
    fn reserved_again(&self, message: &MessageId, body: &ReceivedBody) -> Option<HeldId> {
        let is_same = |id: &HeldId| {
            let Some(group) = self.held_messages.get(*id).and_then(|held| held.group) else {
                // Nothing is done with it.
                return true;
            };
            self.groups.get(group).is_some_and(|group| group.body == *body)
                || self.group_of(&Content::read(body, &self.config.queue, &self.codec))
                    == Some(group)
        };
        self.held_messages.lapsed(message, self.lease_now()).find(is_same)
    }

    /// The group of which this message is another copy, if there is one.
    fn group_of(&self, content: &Content) -> Option<GroupId> {
        let Content::DeadLetter { letter, .. } = content else { return None };
        let origin = (letter.queue.clone(), letter.id.clone());
        self.groups.of_copy(&origin, |group| {
            let known = Content::read(&group.body, &self.config.queue, &self.codec);
            inner(&known) == Some(&letter.body)
        })
    }

    fn new_group(
        &mut self,
        body: ReceivedBody,
        content: &Content,
        deliveries: DeliveryCount,
    ) -> Group {
        let subject = subject(content, deliveries);
        let letter = letter(content);
        let target = self.target(letter);
        let obstacle = match &target {
            Some(target) => self.rewritten(&body, content, target).err(),
            None => None,
        };
        Group {
            origin: letter.map(|letter| (letter.queue.clone(), letter.id.clone())),
            copies: Vec::new(),
            deliveries,
            task: task(content).map(|task| task.name.clone()),
            task_id: subject.task_id,
            reason: subject.reason,
            at: subject.at,
            target: target.filter(|_| obstacle.is_none()),
            obstacle,
            is_other_of_task: false,
            body,
        }
    }

    /// The queue that a message is posted to, if it is to be posted.
    fn target(&self, letter: Option<&DeadLetter>) -> Option<QueueName> {
        let requeue = self.config.requeue_options()?;
        let origin = || match letter {
            Some(letter) => letter.queue.clone(),
            // The queue was checked to be a dead-letter queue.
            None => self.config.queue.of_dead_letters().unwrap_or(self.config.queue.clone()),
        };
        Some(requeue.to.clone().unwrap_or_else(origin))
    }

    /// The body to post to `target`.
    pub(super) fn rewritten(
        &mut self,
        body: &ReceivedBody,
        content: &Content,
        target: &QueueName,
    ) -> Result<Body, Obstacle> {
        let text = match body {
            ReceivedBody::Text(text) => text,
            ReceivedBody::NotText(bytes) if !bytes.is_text() => bytes,
            _ => return Err(Obstacle::NotText),
        };
        let now = self.wall.unix_millis(self.now);
        let Sweep { config, codec, entropy, limits, .. } = self;
        let requeue = config.requeue_options().cloned().unwrap_or_default();
        let (max_body, posts_bytes) = (limits.max_body, limits.posts_bytes);
        let mut rewriter =
            Rewriter { codec, entropy, requeue: &requeue, max_body, posts_bytes, now };
        let from = &config.queue;
        let moves = matches!(config.action, Action::Move(_));
        if moves && requeue.raw && is_dead_letter_queue_of(target, from) {
            return rewriter.unchanged(text);
        }
        match (content, from.of_dead_letters()) {
            (Content::DeadLetter { .. }, Some(_)) if moves => {
                rewriter.dead_letter(text, from, target)
            }
            (Content::Unreadable(bad), Some(_)) if moves => match Codec::form(text) {
                Some(form) if form.is_authenticated() => Err(Obstacle::Sealed(bad.reason())),
                Some(form) if form != BodyForm::Plain => Err(Obstacle::Unreadable(bad.reason())),
                _ => Err(Obstacle::NotADeadLetter),
            },
            (_, Some(_)) if moves => Err(Obstacle::NotADeadLetter),
            (Content::DeadLetter { letter, .. }, Some(_)) => {
                let nested = rewriter.nested(letter);
                rewriter.task(&TaskMessage::in_letter(nested.as_ref().unwrap_or(letter)), target)
            }
            (Content::DeadLetter { .. }, None) => Err(Obstacle::ADeadLetter),
            // Workers would not run it, also if its bytes are posted unchanged.
            (Content::Unreadable(bad), _) if is_dead_letter(text) => {
                Err(Obstacle::Unreadable(bad.reason()))
            }
            // Nor could they open it: it is bound to this queue, if it is a dead letter.
            (Content::Unreadable(bad), Some(_))
                if Codec::form(text).is_some_and(BodyForm::is_authenticated) =>
            {
                Err(Obstacle::Sealed(bad.reason()))
            }
            // It is bound to this queue, so no worker of another one could open it.
            (Content::Unreadable(bad), None)
                if target != from && Codec::form(text).is_some_and(BodyForm::is_authenticated) =>
            {
                Err(Obstacle::Sealed(bad.reason()))
            }
            // A body that was dead-lettered without an envelope is bound to its original queue.
            (Content::Task(_) | Content::Unreadable(_), live) => {
                let origin = live.as_ref().unwrap_or(from);
                let message = TaskMessage { body: text, origin, reason: None, attempts: 0 };
                rewriter.task(&message, target)
            }
        }
    }

    /// The row of a selected message.
    pub(super) fn row(&self, group: &Group) -> Row {
        let content = Content::read(&group.body, &self.config.queue, &self.codec);
        let form = match (&content, &group.body) {
            (Content::DeadLetter { letter, .. }, _) => Codec::form(&letter.body),
            (_, ReceivedBody::Text(body)) => Codec::form(body),
            _ => None,
        };
        let first = group.copies.first().and_then(|copy| self.held_messages.get(*copy));
        Row {
            message: first.map_or_else(|| MessageId::new(""), |it| it.message.clone()),
            copies: group.copies.len(),
            letters_of_task: self.groups.of_task(group),
            obstacle: group.obstacle,
            form,
            deliveries: group.deliveries,
            body: group.body.clone(),
            content,
        }
    }
}

/// Whether messages of `queue` are dead-lettered to `dead`.
fn is_dead_letter_queue_of(dead: &QueueName, queue: &QueueName) -> bool {
    dead.of_dead_letters().as_ref() == Some(queue)
}

fn letter(content: &Content) -> Option<&DeadLetter> {
    match content {
        Content::DeadLetter { letter, .. } => Some(letter),
        Content::Task(_) | Content::Unreadable(_) => None,
    }
}

fn task(content: &Content) -> Option<&Envelope> {
    match content {
        Content::Task(task) => Some(task),
        Content::DeadLetter { task, .. } => task.as_ref().ok(),
        Content::Unreadable(_) => None,
    }
}

/// What the filter compares, without the id of the message.
fn subject(content: &Content, deliveries: DeliveryCount) -> Subject<'_> {
    let (letter, task) = (letter(content), task(content));
    let ivy = task.map(|task| task.options.ivy());
    let ended_here = match deliveries {
        DeliveryCount::Exact { failed, .. } => failed,
        _ => 0,
    };
    let unreadable = match content {
        Content::Unreadable(bad) => Some(bad.reason()),
        Content::Task(_) | Content::DeadLetter { .. } => None,
    };
    let attempts = match letter {
        Some(letter) => Some(letter.attempts),
        None => ivy.map(|ivy| ivy.map_or(0, |ivy| ivy.attempt - 1).saturating_add(ended_here)),
    };
    Subject {
        message: None,
        origin: letter.map(|letter| &letter.id),
        task_id: ivy.flatten().map(|ivy| ivy.id),
        task: task.map(|task| task.name.as_str()),
        reason: letter.map(|letter| letter.reason),
        unreadable,
        attempts,
        at: letter.map(|letter| letter.at),
        args: task.map(|task| &task.args),
        error: letter.and_then(|letter| letter.error.as_deref()),
        requeued: ivy.map(|ivy| ivy.map_or(0, |ivy| ivy.requeued)),
        // Without its key, a letter cannot be distinguished from other sealed messages.
        is_letter_unread: unreadable.is_some_and(may_be_letter),
        is_task_unread: task.is_none(),
        is_too_large: false,
    }
}

/// Whether a message that cannot be read for this reason may be a dead letter: one that is sealed, or
/// of another version.
fn may_be_letter(reason: DeadLetterReason) -> bool {
    use DeadLetterReason::{
        BadArgs, BadBase64, BadFrame, Downgrade, ExpectedEncrypted, KeyDisabled, UnknownCipher,
    };
    let is_frame = matches!(reason, BadBase64 | BadFrame | UnknownCipher);
    let is_kept_from_here = matches!(reason, BadArgs | Downgrade | ExpectedEncrypted | KeyDisabled);
    is_frame || is_kept_from_here || reason.may_be_decided_elsewhere()
}
