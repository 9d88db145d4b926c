//! The selected messages, grouped by what they are copies of.

use std::collections::BTreeMap;

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName};
use crate::planted::{Bug, planted};
use crate::queue::{Body, DeliveryCount, ReceivedBody};
use crate::wire::{Content, DeadLetterReason};

use super::super::rewrite::Obstacle;
use super::held_messages::HeldId;

/// Identifies a selected message. Ascending in the order in which they were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupId(usize);

/// A selected message with its copies.
#[derive(Debug)]
pub(super) struct Group {
    /// The queue and the id that it was dead-lettered from, if it is a dead letter.
    pub(super) origin: Option<(QueueName, MessageId)>,
    pub(super) copies: Vec<HeldId>,
    /// The body of the first copy, as it is in the swept queue.
    pub(super) body: ReceivedBody,
    pub(super) deliveries: DeliveryCount,
    pub(super) task: Option<TaskName>,
    pub(super) task_id: Option<TaskId>,
    pub(super) reason: Option<DeadLetterReason>,
    pub(super) at: Option<u64>,
    /// The queue that it will be posted to, if it is to be posted and can be.
    pub(super) target: Option<QueueName>,
    pub(super) obstacle: Option<Obstacle>,
    /// Whether it is left because another one of its task is posted.
    pub(super) is_other_of_task: bool,
}

impl Group {
    /// Whether something will be done with it.
    pub(super) fn is_processed(&self) -> bool {
        self.obstacle.is_none() && !self.is_other_of_task
    }
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    by_origin: BTreeMap<(QueueName, MessageId), Vec<GroupId>>,
    /// How many groups each task has.
    of_task: BTreeMap<TaskId, usize>,
    /// The length of all bodies, in bytes.
    bytes: usize,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        (0..).map(GroupId).zip(&self.groups)
    }

    /// The group that comes after `shown` others.
    pub(super) fn nth(&self, shown: usize) -> Option<&Group> {
        self.groups.get(shown)
    }

    /// How many groups belong to the task of this one, including itself.
    pub(super) fn of_task(&self, group: &Group) -> usize {
        group.task_id.and_then(|task| self.of_task.get(&task)).copied().unwrap_or(1)
    }

    /// The group that a dead letter is a copy of, if there is one. `is_same` compares the message
    /// inside: an envelope is not authenticated, so anyone who can post could otherwise make a letter
    /// disappear by naming its origin in another one.
    pub(super) fn of_copy(
        &self,
        origin: &(QueueName, MessageId),
        is_same: impl Fn(&Group) -> bool,
    ) -> Option<GroupId> {
        if planted(Bug::SweepPostsEachCopy) {
            return None;
        }
        let known = self.by_origin.get(origin)?.iter().copied();
        known.into_iter().find(|id| self.get(*id).is_some_and(&is_same))
    }

    pub(super) fn add_copy(&mut self, id: GroupId, copy: HeldId, at: Option<u64>) {
        if let Some(group) = self.groups.get_mut(id.0) {
            group.copies.push(copy);
            group.at = group.at.max(at);
        }
    }

    pub(super) fn add(&mut self, group: Group) -> GroupId {
        let id = GroupId(self.groups.len());
        if let Some(origin) = &group.origin {
            self.by_origin.entry(origin.clone()).or_default().push(id);
        }
        if let Some(task) = group.task_id {
            *self.of_task.entry(task).or_default() += 1;
        }
        self.bytes += length(&group.body);
        self.groups.push(group);
        id
    }

    /// Leaves all but the latest letter of each task.
    pub(super) fn leave_others_of_task(&mut self) {
        let mut latest: BTreeMap<TaskId, (Option<u64>, usize)> = BTreeMap::new();
        for (place, group) in self.groups.iter().enumerate() {
            if let Some(task) = group.task_id.filter(|_| group.obstacle.is_none()) {
                let best = latest.entry(task).or_insert((group.at, place));
                *best = (*best).max((group.at, place));
            }
        }
        for (place, group) in self.groups.iter_mut().enumerate() {
            let task = group.task_id.filter(|_| group.obstacle.is_none());
            let latest = task.and_then(|task| latest.get(&task));
            group.is_other_of_task = latest.is_some_and(|(_, best)| *best != place);
        }
    }
}

/// The message inside of a dead letter.
pub(super) fn inner(content: &Content) -> Option<&Body> {
    match content {
        Content::DeadLetter { letter, .. } => Some(&letter.body),
        Content::Task(_) | Content::Unreadable(_) => None,
    }
}

pub(super) fn length(body: &ReceivedBody) -> usize {
    match body {
        ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.as_bytes().len(),
        ReceivedBody::Missing | ReceivedBody::TooLarge => 0,
    }
}
