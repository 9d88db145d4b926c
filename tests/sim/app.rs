//! Applications: what they schedule, and how they react to results.

use std::time::Duration;

use ivy_proto::producer::{Call, ReplyTo, SendError};
use ivy_proto::task::TaskOutcome;
use ivy_proto::wire::RawJson;
use ivy_proto::{MessageId, Moment, TaskId};

use crate::call_limits::any_limit;
use crate::fault::Class;
use crate::fault_injection::{one_in, one_of};
use crate::host::ProcessInput;
use crate::task::{Plan, ProcessId, SendResult, Sender, Task, args};
use crate::world::{Due, World};

/// How long after its call a task with a deadline must start at the latest.
const EXPIRES_AFTER: Duration = Duration::from_secs(20);

impl World {
    /// Plans what is scheduled in this run, by which host and when.
    pub(crate) fn schedule_tasks(&mut self) {
        let setup = self.setup.clone();
        let fault_seconds = setup.fault_seconds * 1_000;
        let node_peers = setup.node_producers;
        let mut number = 0;
        while number < setup.tasks {
            // Some are scheduled alone, some together.
            let rng = self.injector.variation(0);
            let together = one_of(rng, &[1, 1, 3, 8]).min(setup.tasks - number);
            let at = Moment::EPOCH + Duration::from_millis(rng.up_to(fault_seconds * 8 / 10));
            let by_node = node_peers > 0 && one_in(rng, 3);
            let host = if by_node {
                setup.producers + setup.workers
            } else {
                rng.up_to(setup.producers as u64 - 1) as usize
            };
            let sender = if by_node { Sender::Node(host) } else { Sender::Producer(host) };
            let tasks: Vec<usize> = (0..together).map(|_| self.new_task(sender)).collect();
            number += together;
            self.unscheduled += tasks.len();
            self.event_queue.add(at, Due::Calls(host, tasks));
        }
        for _ in 0..setup.foreign_messages {
            let rng = self.injector.variation(0);
            let at = Moment::EPOCH + Duration::from_millis(rng.up_to(fault_seconds * 8 / 10));
            self.schedule_foreign_message(at);
        }
    }

    /// Adds an ordinary task. Returns its number.
    pub(crate) fn new_task(&mut self, sender: Sender) -> usize {
        let number = self.checker.tasks.len();
        let setup = &self.setup;
        let (kinds, notifier, lease) = (self.kinds.len() as u64, setup.notifier, setup.lease);
        let longest = setup.handler_millis;
        let rng = self.injector.variation(0);
        let mut task = Task::new(TaskId::from_random(rng.sixteen_bytes()), sender);
        if let Sender::Producer(_) = sender {
            task.kind = rng.up_to(kinds - 1) as usize;
            task.once = one_in(rng, 8);
            task.has_deadline = one_in(rng, 12);
            task.delay = one_of(rng, &[0, 0, 0, 0, 3]);
            if notifier {
                let replies =
                    [ReplyTo::None, ReplyTo::Handle, ReplyTo::HandleAndCallback, ReplyTo::Callback];
                task.reply = one_of(rng, &replies);
            }
        }
        task.plan = one_of(
            rng,
            &[
                Plan::Succeeds,
                Plan::Succeeds,
                Plan::Succeeds,
                Plan::Succeeds,
                Plan::FailsFirst(1),
                Plan::Fails,
                Plan::FailsFatally,
                Plan::BadArgs,
            ],
        );
        task.takes = rng.up_to(longest);
        // A task with a time limit must keep it.
        if one_in(rng, 8) && self.kinds[task.kind].settings.time_limit.is_none() {
            task.takes = (lease * 3_000).min(60_000);
        }
        if setup.max_later.is_some() && one_in(rng, 3) {
            task.postpones = 1 + rng.up_to(3) as u32;
        }
        if let Some(plan) = setup.plan {
            task.plan = plan;
            task.takes = longest;
            task.reply = if notifier { ReplyTo::Handle } else { ReplyTo::None };
            (task.kind, task.once, task.has_deadline, task.delay) = (0, false, false, 0);
        }
        if setup.limited_calls && one_in(rng, 2) {
            task.within = Some(any_limit(rng));
        }
        if setup.old_workers > 0 {
            task.is_newer = one_in(rng, 2);
        }
        task.max_attempts = match (task.once, &sender) {
            (true, _) => 1,
            _ => self.kinds[task.kind].settings.max_retries + 1,
        };
        self.trace.mix(number as u64);
        self.ids.insert(task.id, number);
        self.checker.tasks.push(task);
        number
    }

    /// Schedules these tasks now at this host.
    pub(crate) fn call(&mut self, host: usize, tasks: Vec<usize>) {
        let who = self.hosts[host].process;
        if self.hosts[host].is_up() {
            self.event_queue.add(self.now, Due::ProcessInput(who, ProcessInput::Calls(tasks)));
        } else {
            self.schedule(Duration::from_secs(1), Due::Calls(host, tasks));
        }
    }

    /// A handler schedules a task itself.
    pub(crate) fn schedule_from_handler(&mut self, _number: usize) {
        let task = self.new_task(Sender::Producer(0));
        self.unscheduled += 1;
        self.event_queue.add(self.now, Due::Calls(0, vec![task]));
    }

    /// The calls of these tasks, as a producer receives them.
    pub(crate) fn calls_of(&mut self, who: ProcessId, tasks: Vec<usize>) -> Vec<Call> {
        self.unscheduled -= tasks.len();
        let now = self.now;
        let is_right = self.hosts[who.host].wall.is_right(now, now);
        for number in &tasks {
            let task = &mut self.checker.tasks[*number];
            task.called = Some(now);
            task.deadline = (task.has_deadline && is_right).then_some(now + EXPIRES_AFTER);
        }
        let calls = tasks.into_iter().map(|number| {
            let task = &self.checker.tasks[number];
            let kind = &self.kinds[task.kind];
            let settings = &kind.settings;
            self.hosts[who.host].calls.insert(task.id);
            if task.reply.has_handle() {
                self.hosts[who.host].handles.insert(task.id);
            }
            let mut options = settings.message_options();
            if task.once {
                options = options.with_retry(false);
            }
            Call {
                id: task.id,
                chosen_id: None,
                task: kind.name.clone(),
                queue: task.queue.clone().unwrap_or_else(|| kind.queue.clone()),
                args: RawJson::parse(&args(number)).expect("the arguments are valid JSON"),
                options,
                expires_after: task.has_deadline.then_some(EXPIRES_AFTER),
                delay: Duration::from_secs(task.delay),
                within: task.within,
                reply: task.reply,
            }
        });
        calls.collect()
    }

    /// A producer reports the outcome of a call.
    pub(crate) fn sent(
        &mut self,
        who: ProcessId,
        id: TaskId,
        result: Result<MessageId, SendError>,
    ) {
        let Some(number) = self.ids.get(&id).copied() else {
            return self
                .checker
                .broken("S3", || format!("an outcome of {id}, which was not called"));
        };
        if !self.hosts[who.host].calls.remove(&id) {
            self.checker.broken("S3", || format!("task {number} was reported twice"));
        }
        let responses_mixed_up = self.setup.has(Class::Responses);
        let accepted = self.checker.tasks[number].accepted;
        let send_result = match result {
            Ok(message) => {
                let known = self.checker.task_of_message(&message) == Some(number);
                if accepted == 0 || !(known || responses_mixed_up) {
                    self.checker
                        .broken("S3", || format!("task {number} was reported as {message}"));
                }
                self.checker.tasks[number].sent_at = Some(self.now);
                SendResult::Sent
            }
            Err(SendError::Unknown { .. }) => SendResult::Unknown,
            Err(SendError::NoReply { .. }) => {
                self.check_has_no_reply(number);
                SendResult::Unknown
            }
            Err(SendError::Withdrawn { .. }) => {
                self.check_withdrawn(who, number);
                self.hosts[who.host].handles.remove(&id);
                SendResult::Withdrawn
            }
            Err(error @ (SendError::Full { .. } | SendError::TooManyHandles { .. })) => {
                self.hosts[who.host].handles.remove(&id);
                if let SendError::TooManyHandles { limit, .. } = error {
                    self.check_handles(who, limit);
                }
                self.unscheduled += 1;
                self.schedule(Duration::from_secs(1), Due::Calls(who.host, vec![number]));
                return;
            }
            Err(error) => {
                if accepted > 0 {
                    self.checker.broken("S3", || {
                        format!("task {number} is stored, and was reported as: {error}")
                    });
                }
                self.hosts[who.host].handles.remove(&id);
                SendResult::NotStored
            }
        };
        self.coverage.send_result(send_result);
        let task = &mut self.checker.tasks[number];
        task.send_result = Some(send_result);
        if task.reply.has_handle() && matches!(send_result, SendResult::Sent | SendResult::Unknown)
        {
            self.wait_for(who, id);
        }
    }

    /// A call was refused because too many handles wait, so there must be that many. A result that
    /// only a callback waits for may never come, and does not count.
    fn check_handles(&mut self, who: ProcessId, limit: usize) {
        let kept = self.hosts[who.host].handles.len();
        if kept < limit {
            self.checker
                .broken("S7", || format!("{who:?} holds {kept} handles and refuses another"));
        }
    }

    /// The caller waits for a result for some time, or drops its handle.
    fn wait_for(&mut self, who: ProcessId, id: TaskId) {
        let rng = self.injector.variation(who.host);
        if one_in(rng, 5) {
            return self.schedule_soon(who, ProcessInput::Forget(id));
        }
        let wait = Duration::from_millis(rng.up_to(60_000));
        self.schedule(wait, Due::ProcessInput(who, ProcessInput::WaitEnds(id)));
    }

    /// The caller's wait has timed out. It waits again, or drops its handle.
    pub(crate) fn wait_ended(&mut self, who: ProcessId, id: TaskId) {
        if self.hosts[who.host].handles.contains(&id) {
            self.wait_for(who, id);
        }
    }

    /// A caller receives a notice that its task was released for another worker. This must be or
    /// have been true.
    pub(crate) fn released(&mut self, id: TaskId) {
        let number = self.ids.get(&id).copied();
        let task = number.map(|number| &self.checker.tasks[number]);
        if task.is_none_or(|task| task.reply == ReplyTo::None || !task.was_released) {
            self.checker.broken("S10", || format!("{id} was not released"));
        }
    }

    /// A result reaches its caller.
    pub(crate) fn receive_result(
        &mut self,
        who: ProcessId,
        id: TaskId,
        outcome: &TaskOutcome,
        with_args: bool,
    ) {
        let Some(number) = self.ids.get(&id).copied() else {
            return self
                .checker
                .broken("S10", || format!("a result for {id}, which was not called"));
        };
        self.hosts[who.host].handles.remove(&id);
        let task = &mut self.checker.tasks[number];
        let again = std::mem::replace(&mut task.has_result, true);
        let is_true = match outcome {
            TaskOutcome::Done(value) => {
                task.finished > 0
                    && (value.as_str() == number.to_string() || value.as_str().len() > 1_000_000)
            }
            TaskOutcome::ResultTooLarge | TaskOutcome::ResultTooDeep => task.finished > 0,
            TaskOutcome::Failed(_) => task.dead > 0,
        };
        let is_expected = task.reply != ReplyTo::None && with_args == task.reply.has_callback();
        if again || !is_true || !is_expected {
            let task = task.clone();
            self.checker
                .broken("S10", || format!("{who:?} resumes {number}, {outcome:?}: {task:?}"));
        }
    }

    /// A producer has finished: it must have reported the outcome of every call.
    pub(crate) fn end_calls(&mut self, who: ProcessId) {
        if let Some(id) = self.hosts[who.host].calls.first() {
            let number = self.ids.get(id);
            self.checker.broken("S3", || format!("no outcome of task {number:?} was reported"));
        }
    }
}
