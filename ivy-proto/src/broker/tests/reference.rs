//! A reference broker, too simple to be wrong: lists, and loops over them.
//!
//! Its reservations have names of their own, because it does not know the broker's random ones.

use std::time::Duration;

use crate::broker::{Delivery, MessageView, Refusal, Request, RequestId, Response, Target, Timer};
use crate::queue::{Body, DeadLetterSetting, NewMessage, QueueInfo, QueueSettings};
use crate::{MessageId, Moment, QueueName, ReservationId};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Ready,
    Delayed(Moment),
    Reserved(Moment, u64),
}

struct Message {
    id: MessageId,
    body: Body,
    count: u32,
    failed: u32,
    lost: u32,
    state: State,
    expires: Moment,
}

struct Queue {
    name: QueueName,
    timeout: Duration,
    expiration: Duration,
    dead_letter: Option<(QueueName, u32)>,
    messages: Vec<Message>,
    total: u64,
}

#[derive(Clone)]
struct Waiter {
    request: RequestId,
    queue: QueueName,
    count: usize,
    timeout: Option<Duration>,
    delete: bool,
    until: Moment,
}

#[derive(Default)]
pub(super) struct Reference {
    now: Moment,
    queues: Vec<Queue>,
    waiters: Vec<Waiter>,
    messages: u64,
    reservations: u64,
    responses: Vec<(RequestId, Result<Response, Refusal>)>,
}

impl Reference {
    /// The responses since the last call.
    pub(super) fn responses(&mut self) -> Vec<(RequestId, Result<Response, Refusal>)> {
        std::mem::take(&mut self.responses)
    }

    pub(super) fn tick(&mut self, now: Moment) {
        self.now = now;
        for queue in &mut self.queues {
            queue.messages.retain(|message| message.expires > now);
            for message in &mut queue.messages {
                if let State::Delayed(until) | State::Reserved(until, _) = message.state
                    && until <= now
                {
                    message.lost += u32::from(matches!(message.state, State::Reserved(..)));
                    message.state = State::Ready;
                }
            }
        }
        self.serve();
        for waiter in self.waiters.extract_if(.., |waiter| waiter.until <= now) {
            self.responses.push((waiter.request, Ok(Response::Reserved(Vec::new()))));
        }
    }

    pub(super) fn abandon(&mut self, id: RequestId) {
        self.waiters.retain(|waiter| waiter.request != id);
    }

    pub(super) fn request(&mut self, id: RequestId, request: Request) {
        if let Some(response) = self.perform(id, request).transpose() {
            self.responses.push((id, response));
        }
        self.serve();
    }

    /// All deadlines, unordered.
    pub(super) fn deadlines(&self) -> Vec<(Moment, Timer)> {
        let mut deadlines = Vec::new();
        for message in self.queues.iter().flat_map(|queue| &queue.messages) {
            deadlines.push((message.expires, Timer::MessageExpires));
            match message.state {
                State::Ready => {}
                State::Delayed(until) => deadlines.push((until, Timer::DelayEnds)),
                State::Reserved(until, _) => deadlines.push((until, Timer::LeaseEnds)),
            }
        }
        deadlines.extend(self.waiters.iter().map(|waiter| (waiter.until, Timer::WaitEnds)));
        deadlines
    }

    fn post(&mut self, queue: &QueueName, message: NewMessage) -> MessageId {
        self.messages += 1;
        let id = MessageId::new((1_000_000_000_000_000_000 + self.messages).to_string());
        let state = hidden(message.delay, self.now);
        self.add(queue, id.clone(), message.body, (0, 0, 0), state);
        id
    }

    fn perform(&mut self, id: RequestId, request: Request) -> Result<Option<Response>, Refusal> {
        let now = self.now;
        Ok(Some(match request {
            Request::Post { queue, messages } => {
                let mut ids = Vec::new();
                for message in messages {
                    ids.push(self.post(&queue, message));
                }
                Response::Posted(ids)
            }
            Request::PostEach { queue, messages } => {
                let posted = messages.into_iter().map(|message| Ok(self.post(&queue, message)));
                Response::PostedEach(posted.collect())
            }
            Request::Reserve { queue, count, timeout, wait, delete } => {
                self.find(&queue)?;
                let until = now + wait;
                let waiter = Waiter { request: id, queue, count, timeout, delete, until };
                let taken = self.take(&waiter);
                if taken.is_empty() && !wait.is_zero() {
                    self.waiters.push(waiter);
                    return Ok(None);
                }
                Response::Reserved(taken)
            }
            Request::GetMessage { queue, message } => {
                let queue = self.find(&queue)?;
                let found = queue.messages.iter().find(|stored| stored.id == message);
                Response::Message(found.map(view).ok_or(Refusal::MessageNotFound)?)
            }
            Request::Peek { queue, count } => {
                let ready = self.find(&queue)?.messages.iter();
                let ready = ready.filter(|message| message.state == State::Ready);
                Response::Peeked(ready.take(count).map(view).collect())
            }
            Request::Delete { queue, target } => {
                self.delete(&queue, &[target])?;
                Response::Deleted
            }
            Request::DeleteMany { queue, targets } => {
                self.delete(&queue, &targets)?;
                Response::Deleted
            }
            Request::DeleteEach { queue, targets } => {
                self.find(&queue)?;
                let deleted = targets.into_iter().map(|target| self.delete(&queue, &[target]));
                Response::DeletedEach(deleted.collect())
            }
            Request::Clear { queue } => {
                self.find(&queue)?.messages.clear();
                Response::Cleared
            }
            Request::Touch { queue, target, timeout } => {
                self.reservations += 1;
                let by = self.reservations;
                let queue = self.find(&queue)?;
                let until = now + timeout.unwrap_or(queue.timeout);
                let message = queue.reserved(&target)?;
                message.state = State::Reserved(until, by);
                message.count += 1;
                Response::Touched(crate::Receipt {
                    message: target.message,
                    reservation: named(by),
                })
            }
            Request::Release { queue, target, delay, failed } => {
                let message = self.find(&queue)?.reserved(&target)?;
                message.state = hidden(delay, now);
                message.failed += u32::from(failed);
                Response::Released
            }
            Request::PutQueue { queue, settings } | Request::PatchQueue { queue, settings } => {
                if settings.reservable == Some(false) {
                    return Err(Refusal::KindIsFixed);
                }
                let rule = self.rule(&queue, &settings)?;
                if let Some((target, _)) = &rule {
                    self.find_or_create(target);
                }
                let queue = self.find_or_create(&queue);
                queue.dead_letter = rule;
                queue.timeout = settings.message_timeout.unwrap_or(queue.timeout);
                queue.expiration = settings.message_expiration.unwrap_or(queue.expiration);
                Response::Queue(queue.info())
            }
            Request::GetQueue { queue } => Response::Queue(self.find(&queue)?.info()),
            Request::DeleteQueue { queue } => {
                self.find(&queue)?;
                self.queues.retain(|other| other.name != queue);
                for waiter in self.waiters.extract_if(.., |waiter| waiter.queue == queue) {
                    self.responses.push((waiter.request, Err(Refusal::QueueNotFound)));
                }
                Response::QueueDeleted
            }
            Request::ListQueues { prefix, previous, per_page } => {
                let mut names: Vec<QueueName> =
                    self.queues.iter().map(|queue| queue.name.clone()).collect();
                names.retain(|name| {
                    name.as_str().starts_with(&prefix) && name.as_str() > previous.as_str()
                });
                names.sort();
                names.truncate(per_page);
                Response::Queues(names)
            }
        }))
    }

    fn find(&mut self, name: &QueueName) -> Result<&mut Queue, Refusal> {
        self.queues.iter_mut().find(|queue| queue.name == *name).ok_or(Refusal::QueueNotFound)
    }

    fn find_or_create(&mut self, name: &QueueName) -> &mut Queue {
        if self.find(name).is_err() {
            self.queues.push(Queue {
                name: name.clone(),
                timeout: Duration::from_secs(60),
                expiration: Duration::from_secs(604_800),
                dead_letter: None,
                messages: Vec::new(),
                total: 0,
            });
        }
        self.find(name).unwrap()
    }

    fn add(
        &mut self,
        name: &QueueName,
        id: MessageId,
        body: Body,
        (count, failed, lost): (u32, u32, u32),
        state: State,
    ) {
        let now = self.now;
        let queue = self.find_or_create(name);
        queue.total += 1;
        let expires = now + queue.expiration;
        queue.messages.push(Message { id, body, count, failed, lost, state, expires });
    }

    fn take(&mut self, reserve: &Waiter) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while taken.len() < reserve.count {
            self.reservations += 1;
            let (now, by) = (self.now, self.reservations);
            let Ok(queue) = self.find(&reserve.queue) else { break };
            let ready = |message: &Message| message.state == State::Ready;
            let Some(index) = queue.messages.iter().position(ready) else { break };
            let until = now + reserve.timeout.unwrap_or(queue.timeout);
            match queue.dead_letter.clone() {
                Some((target, most)) if queue.messages[index].count >= most => {
                    let dead = queue.messages.remove(index);
                    let counts = (dead.count, dead.failed, dead.lost);
                    self.add(&target, dead.id, dead.body, counts, State::Ready);
                }
                _ => {
                    let message = &mut queue.messages[index];
                    message.count += 1;
                    message.state = State::Reserved(until, by);
                    taken.push(Delivery {
                        message: message.id.clone(),
                        reservation: named(by),
                        body: message.body.clone(),
                        reserved_count: message.count,
                        failed: message.failed,
                        lost: message.lost,
                    });
                    if reserve.delete {
                        queue.messages.remove(index);
                    }
                }
            }
        }
        taken
    }

    /// Serves all waiters of a queue before those of the next, in the order of queue names.
    fn serve(&mut self) {
        while let Some(name) = self.queues_to_serve().into_iter().min() {
            while self.queues_to_serve().contains(&name) {
                let first = self.waiters.iter().position(|waiter| waiter.queue == name).unwrap();
                let taken = self.take(&self.waiters[first].clone());
                if !taken.is_empty() {
                    let waiter = self.waiters.remove(first);
                    self.responses.push((waiter.request, Ok(Response::Reserved(taken))));
                }
            }
        }
    }

    /// Queues with both a ready message and a waiter.
    fn queues_to_serve(&self) -> Vec<QueueName> {
        let has_ready =
            |queue: &&Queue| queue.messages.iter().any(|message| message.state == State::Ready);
        let names = self.queues.iter().filter(has_ready).map(|queue| queue.name.clone());
        names.filter(|name| self.waiters.iter().any(|waiter| waiter.queue == *name)).collect()
    }

    fn delete(&mut self, queue: &QueueName, targets: &[Target]) -> Result<(), Refusal> {
        let queue = self.find(queue)?;
        for target in targets {
            let found = queue.messages.iter().find(|message| message.id == target.message);
            let state = found.ok_or(Refusal::MessageNotFound)?.state;
            let reserved = matches!(state, State::Reserved(..));
            if reserved || target.reservation.is_some() {
                queue.reserved(target)?;
            }
        }
        queue.messages.retain(|message| targets.iter().all(|target| target.message != message.id));
        Ok(())
    }

    fn rule(
        &mut self,
        queue: &QueueName,
        settings: &QueueSettings,
    ) -> Result<Option<(QueueName, u32)>, Refusal> {
        let old = self.find(queue).ok().and_then(|queue| queue.dead_letter.clone());
        let Some(requested) = &settings.dead_letter else { return Ok(old) };
        if requested.queue.is_none() && requested.max_reservations.is_none() {
            return Ok(None);
        }
        let old_target = old.as_ref().map(|(target, _)| target.clone());
        let target = requested.queue.clone().or(old_target).ok_or(Refusal::Invalid("no queue"))?;
        let most = requested.max_reservations.or(old.map(|(_, most)| most)).unwrap_or(10);
        let mut reached = Some(target.clone());
        while let Some(name) = reached {
            if name == *queue {
                return Err(Refusal::Invalid("a circle"));
            }
            let next = self.find(&name).ok().and_then(|queue| queue.dead_letter.clone());
            reached = next.map(|(target, _)| target);
        }
        Ok(Some((target, most)))
    }
}

impl Queue {
    fn reserved(&mut self, target: &Target) -> Result<&mut Message, Refusal> {
        let found = self.messages.iter_mut().find(|message| message.id == target.message);
        let message = found.ok_or(Refusal::MessageNotFound)?;
        let reservation = target.reservation.as_ref().ok_or(Refusal::ReservationRequired)?;
        match message.state {
            State::Reserved(_, by) if named(by) == *reservation => Ok(message),
            _ => Err(Refusal::ReservationTimedOut),
        }
    }

    fn info(&self) -> QueueInfo {
        let mut info = QueueInfo::new(self.name.clone());
        info.settings = QueueSettings {
            reservable: Some(true),
            message_timeout: Some(self.timeout),
            message_expiration: Some(self.expiration),
            dead_letter: self.dead_letter.clone().map(|(queue, most)| DeadLetterSetting {
                queue: Some(queue),
                max_reservations: Some(most),
            }),
        };
        info.size = Some(self.messages.len() as u64);
        info.total_messages = Some(self.total);
        info
    }
}

fn named(reservation: u64) -> ReservationId {
    ReservationId::new(format!("reservation {reservation}"))
}

fn hidden(delay: Duration, now: Moment) -> State {
    if delay.is_zero() { State::Ready } else { State::Delayed(now + delay) }
}

fn view(message: &Message) -> MessageView {
    MessageView {
        message: message.id.clone(),
        body: message.body.clone(),
        reserved_count: message.count,
    }
}
