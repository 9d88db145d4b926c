//! The state machine: the effect of each request and timer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::id::MessageId;
use crate::misuse::Misuse;
use crate::name::QueueName;
use crate::queue::NewMessage;
use crate::rng::Rng;
use crate::time::{Deadline, Moment};

use super::config::{self, BrokerConfig};
use super::message::Sequence;
use super::queues::Queues;
use super::request::{Delivery, Input, Output, Refusal, Request, RequestId, Response, Timer};
use super::store::DeliveryEnd;
use super::waiters::{ReserveParams, Waiter, WaiterId};

/// The last moment of an input, so that a deadline at the end of the clock is never due.
const LAST_MOMENT: Moment = Moment::from_nanos(Moment::FOREVER.as_nanos() - 1);

/// An in-memory broker: see the [module](super).
pub struct Broker {
    config: BrokerConfig,
    rng: Rng,
    now: Moment,
    queues: Queues,
    /// The queues with a deadline, by their earliest one.
    agenda: BTreeSet<(Moment, QueueName)>,
    /// The waiting reserves, and their positions.
    waiting: BTreeMap<RequestId, (QueueName, WaiterId)>,
    /// Queues that have both a ready message and a waiting reserve.
    woken: BTreeSet<QueueName>,
    last_message: Sequence,
    responses: VecDeque<(RequestId, Result<Response, Refusal>)>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("now", &self.now)
            .field("queues", &self.queues.len())
            .field("waiting", &self.waiting.len())
            .field("responses", &self.responses.len())
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// A broker without queues. Its reservation ids are derived from `seed`.
    #[must_use]
    pub fn new(config: BrokerConfig, seed: [u8; 32]) -> Self {
        Broker {
            config,
            rng: Rng::from_seed(seed),
            now: Moment::EPOCH,
            queues: Queues::default(),
            agenda: BTreeSet::new(),
            waiting: BTreeMap::new(),
            woken: BTreeSet::new(),
            last_message: Sequence::START,
            responses: VecDeque::new(),
        }
    }

    /// Handles an input. A stamp earlier than a previous one counts as that one.
    ///
    /// Each request gets exactly one response, unless it is abandoned while it waits.
    ///
    /// # Errors
    /// [`Misuse::RequestInUse`] if a reserve with the same id is waiting. Nothing was changed.
    pub fn handle_input(&mut self, input: Input, now: Moment) -> Result<(), Misuse> {
        if let Input::Request(id, _) = &input
            && self.waiting.contains_key(id)
        {
            return Err(Misuse::RequestInUse(*id));
        }
        self.catch_up(now);
        match input {
            Input::Tick => {}
            Input::Request(id, request) => self.request(id, request),
            Input::Abandon(id) => self.abandon(id),
        }
        Ok(())
    }

    /// The next output. Only drains what [`handle_input`](Broker::handle_input) has decided.
    #[must_use = "an output that is not carried out is lost"]
    pub fn poll_output(&mut self) -> Output {
        match self.responses.pop_front() {
            Some((id, response)) => Output::Response(id, response),
            None => Output::Wait(self.next_deadline()),
        }
    }

    fn next_deadline(&self) -> Option<Deadline<Timer>> {
        let (_, queue) = self.agenda.first()?;
        let deadline = self.queues.find(queue).ok()?.next_deadline()?;
        (deadline.at != Moment::FOREVER).then_some(deadline)
    }

    /// Executes everything that is due: expires messages, makes hidden ones ready and delivers them
    /// to waiters, then ends waits. This order ensures that no expired message is delivered, and
    /// that no wait ends empty while a message is ready.
    fn catch_up(&mut self, now: Moment) {
        self.now = now.clamp(self.now, LAST_MOMENT);
        let due: Vec<QueueName> = std::iter::from_fn(|| self.pop_due()).collect();
        for name in &due {
            if let Ok(queue) = self.queues.find_mut(name) {
                queue.scheduled = None;
                queue.catch_up(self.now, self.config.requeue);
                self.note_changes(name);
            }
        }
        self.serve_waiters();
        for name in &due {
            self.end_waits(name);
            self.note_changes(name);
        }
    }

    fn pop_due(&mut self) -> Option<QueueName> {
        let (at, _) = self.agenda.first()?;
        if *at > self.now { None } else { self.agenda.pop_first().map(|(_, name)| name) }
    }

    fn end_waits(&mut self, name: &QueueName) {
        let Ok(queue) = self.queues.find_mut(name) else { return };
        while let Some(waiter) = queue.waiters.pop_ended(self.now) {
            self.waiting.remove(&waiter.request);
            self.responses.push_back((waiter.request, Ok(Response::Reserved(Vec::new()))));
        }
    }

    fn request(&mut self, id: RequestId, request: Request) {
        let queue = request.queue().cloned();
        let response = self.perform(id, request);
        if let Some(response) = response.transpose() {
            self.responses.push_back((id, response));
        }
        if let Some(queue) = queue {
            self.note_changes(&queue);
            self.serve_waiters();
        }
    }

    /// Executes a request. Returns `None` if it waits. A refused request has changed nothing.
    fn perform(&mut self, id: RequestId, request: Request) -> Result<Option<Response>, Refusal> {
        let response = match request {
            Request::Post { queue, messages } => Response::Posted(self.post(&queue, messages)?),
            Request::PostEach { queue, messages } => {
                Response::PostedEach(self.post_each(&queue, messages)?)
            }
            Request::Reserve { queue, count, timeout, wait, delete } => {
                config::check_wait(wait)?;
                let (count, lease) = (config::count(count)?, self.config.lease(timeout)?);
                let want = ReserveParams { count, lease, delete };
                let deliveries = self.reserve(&queue, &want)?;
                if deliveries.is_empty() && !wait.is_zero() {
                    self.wait(queue, Waiter { request: id, want, until: self.now + wait })?;
                    return Ok(None);
                }
                Response::Reserved(deliveries)
            }
            Request::GetMessage { queue, message } => {
                Response::Message(self.queues.find(&queue)?.view(&message)?)
            }
            Request::Peek { queue, count } => {
                let count = config::count(count)?;
                Response::Peeked(self.queues.find(&queue)?.peek(count))
            }
            Request::Delete { queue, target } => {
                self.queues.find_mut(&queue)?.delete(&[target])?;
                Response::Deleted
            }
            Request::DeleteMany { queue, targets } => {
                config::check_batch(targets.len())?;
                self.queues.find_mut(&queue)?.delete(&targets)?;
                Response::Deleted
            }
            Request::DeleteEach { queue, targets } => {
                config::check_batch(targets.len())?;
                Response::DeletedEach(self.queues.find_mut(&queue)?.delete_each(&targets))
            }
            Request::Clear { queue } => {
                self.queues.find_mut(&queue)?.clear();
                Response::Cleared
            }
            Request::Touch { queue, target, timeout } => {
                let lease = self.config.lease(timeout)?;
                let queue = self.queues.find_mut(&queue)?;
                Response::Touched(queue.touch(&target, lease, self.now, &mut self.rng)?)
            }
            Request::Release { queue, target, delay, failed } => {
                config::check_delay(delay)?;
                let queue = self.queues.find_mut(&queue)?;
                let ended = if failed { DeliveryEnd::Failed } else { DeliveryEnd::Released };
                queue.release(&target, delay, ended, self.now, self.config.requeue)?;
                Response::Released
            }
            Request::PutQueue { queue, settings } => {
                Response::Queue(self.queues.put(&queue, &settings, &self.config)?)
            }
            Request::PatchQueue { queue, settings } => {
                if self.config.strict {
                    self.queues.find(&queue)?;
                }
                Response::Queue(self.queues.put(&queue, &settings, &self.config)?)
            }
            Request::GetQueue { queue } => Response::Queue(self.queues.find(&queue)?.info(&queue)),
            Request::DeleteQueue { queue } => {
                self.delete_queue(&queue)?;
                Response::QueueDeleted
            }
            Request::ListQueues { prefix, previous, per_page } => {
                Response::Queues(self.queues.list(&prefix, &previous, config::page(per_page)))
            }
        };
        Ok(Some(response))
    }

    fn post(
        &mut self,
        queue: &QueueName,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<MessageId>, Refusal> {
        config::check_batch(messages.len())?;
        for message in &messages {
            self.config.check_message(message)?;
        }
        let queue = self.queues.find_or_create(queue);
        let mut ids = Vec::with_capacity(messages.len());
        for message in messages {
            self.last_message = self.last_message.next();
            ids.push(self.last_message.to_id());
            queue.post(self.last_message, message, self.now);
        }
        Ok(ids)
    }

    /// Posts each valid message. Creates the queue even if all messages are refused.
    fn post_each(
        &mut self,
        queue: &QueueName,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Result<MessageId, Refusal>>, Refusal> {
        config::check_batch(messages.len())?;
        let queue = self.queues.find_or_create(queue);
        let mut entries = Vec::with_capacity(messages.len());
        for message in messages {
            let checked = self.config.check_message(&message);
            entries.push(checked.map(|()| {
                self.last_message = self.last_message.next();
                queue.post(self.last_message, message, self.now);
                self.last_message.to_id()
            }));
        }
        Ok(entries)
    }

    /// Delivers ready messages, and moves those that were reserved too often to the dead-letter
    /// queue, which may have waiters.
    fn reserve(
        &mut self,
        name: &QueueName,
        want: &ReserveParams,
    ) -> Result<Vec<Delivery>, Refusal> {
        let queue = self.queues.find_mut(name)?;
        let taken = queue.take(want, self.now, &mut self.rng);
        let rule = queue.settings.dead_letter.as_ref();
        if let Some(target) = rule.map(|rule| rule.queue.clone())
            && !taken.dead.is_empty()
        {
            let queue = self.queues.find_or_create(&target);
            for (sequence, dead) in taken.dead {
                queue.add_dead_letter(sequence, dead, self.now);
            }
            self.note_changes(&target);
        }
        Ok(taken.deliveries)
    }

    fn wait(&mut self, name: QueueName, waiter: Waiter) -> Result<(), Refusal> {
        let place = self.queues.find_mut(&name)?.waiters.join(waiter);
        self.waiting.insert(waiter.request, (name, place));
        Ok(())
    }

    fn abandon(&mut self, id: RequestId) {
        // Not waiting: its response was sent before it was abandoned.
        let Some((name, place)) = self.waiting.get(&id).cloned() else { return };
        self.leave_line(&name, place, id);
        self.note_changes(&name);
    }

    fn delete_queue(&mut self, name: &QueueName) -> Result<(), Refusal> {
        let queue = self.queues.remove(name)?;
        if let Some(at) = queue.scheduled {
            self.agenda.remove(&(at, name.clone()));
        }
        for waiter in queue.waiters.into_all() {
            self.waiting.remove(&waiter.request);
            self.responses.push_back((waiter.request, Err(Refusal::QueueNotFound)));
        }
        Ok(())
    }

    /// Delivers ready messages to waiters. Dead letters of one queue may serve waiters of another,
    /// and so on. This ends, because dead-letter rules cannot form a cycle.
    fn serve_waiters(&mut self) {
        while let Some(name) = self.woken.pop_first() {
            while let Some((place, waiter)) = self.next_to_serve(&name) {
                match self.reserve(&name, &waiter.want) {
                    // All ready messages were dead letters: the waiter keeps its position.
                    Ok(deliveries) if deliveries.is_empty() => break,
                    response => {
                        self.leave_line(&name, place, waiter.request);
                        self.responses
                            .push_back((waiter.request, response.map(Response::Reserved)));
                    }
                }
            }
            self.note_changes(&name);
        }
    }

    fn next_to_serve(&self, name: &QueueName) -> Option<(WaiterId, Waiter)> {
        let queue = self.queues.find(name).ok()?;
        if queue.can_serve() { queue.waiters.first() } else { None }
    }

    fn leave_line(&mut self, name: &QueueName, place: WaiterId, id: RequestId) {
        self.waiting.remove(&id);
        if let Ok(queue) = self.queues.find_mut(name) {
            queue.waiters.leave(place);
        }
    }

    /// Updates the agenda and the woken queues after a change to a queue.
    fn note_changes(&mut self, name: &QueueName) {
        let Ok(queue) = self.queues.find_mut(name) else { return };
        if queue.can_serve() {
            self.woken.insert(name.clone());
        }
        let at = queue.next_moment();
        if at != queue.scheduled {
            let before = std::mem::replace(&mut queue.scheduled, at);
            if let Some(before) = before {
                self.agenda.remove(&(before, name.clone()));
            }
            self.agenda.extend(at.map(|at| (at, name.clone())));
        }
    }
}
