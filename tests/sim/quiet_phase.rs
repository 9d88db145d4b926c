//! The phase after the faults: no more faults, one healthy worker. Every accepted task must reach
//! its end now, and all must be quiet afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use ivy_proto::producer::{self, ReplyTo};
use ivy_proto::worker;
use ivy_proto::{Moment, QueueName};

use crate::host::{Machine, ProcessInput};
use crate::laws::RELEASES;
use crate::node_peer::longest_hidden;
use crate::setup::Profile;
use crate::task::{Plan, ProcessId, Sender, Task};
use crate::world::{Due, World};

/// While messages cannot be handled, a healthy task must come from time to time: without one, a
/// worker cannot know that the fault is not its own.
const PROBE_INTERVAL: Duration = Duration::from_secs(100);
/// How soon a healthy task must be done when there is no other work: the longest time for which a
/// queue is left to other workers, and some time in transit.
const PROMPT: Duration = Duration::from_secs(11);

/// The progress of this phase.
pub(crate) struct QuietPhase {
    /// Everything must have reached its end by then.
    until: Moment,
    probes: Vec<(usize, Moment)>,
    /// Everything is settled, and the machines are requested to finish.
    pub(crate) finishing: bool,
    /// How many have finished.
    pub(crate) finished: usize,
    last: Option<usize>,
    /// When the last task had reached its end. A post that its caller no longer waited for may arrive
    /// after it was sent, so other tasks may end later.
    last_ended_at: Option<Moment>,
    last_is_done: bool,
    /// The unsettled task that was found last.
    first_unsettled: usize,
}

impl World {
    /// Ends the fault phase.
    pub(crate) fn stop_faults(&mut self) {
        self.injector.stop_faults();
        let now = self.now;
        self.trace.note(now, None, || "the fault phase is over".to_owned());
        match self.setup.profile() {
            Profile::Flood => self.check_progress(),
            Profile::Shared => self.check_waits(),
            Profile::Swarm | Profile::Outage => {}
        }
        self.keys.finish_rotation();
        let until = now + self.settle_limit();
        self.quiet_phase = Some(QuietPhase {
            until,
            probes: Vec::new(),
            finishing: false,
            finished: 0,
            last: None,
            last_ended_at: None,
            last_is_done: false,
            first_unsettled: 0,
        });
        for host in 0..self.hosts.len() {
            self.hosts[host].paused_until = now;
            let is_worker = self.checker.workers.contains(&host);
            if self.hosts[host].is_up() && (is_worker || self.is_node_worker(host)) {
                self.checker.add_cause_to_held(host, crate::task::Cause::Crash);
                self.kill(host);
            }
        }
        self.recover_server();
        self.end_silent_connections();
        self.start(self.checker.workers.start);
        self.event_queue.add(now, Due::Probe);
    }

    /// Whether no process may start here: after the fault phase one worker is enough.
    pub(crate) fn is_out_of_service(&self, host: usize) -> bool {
        let worker = self.checker.workers.start;
        self.quiet_phase.is_some() && host != worker && host >= self.setup.producers
    }

    /// A process dies and is not restarted.
    pub(crate) fn kill(&mut self, host: usize) {
        let who = self.hosts[host].process;
        self.abandon_requests(who, None);
        self.close_connection(who);
        self.end_session(who);
        self.redis.disconnect(host);
        self.hosts[host].die();
    }

    /// Schedules a healthy task.
    pub(crate) fn probe(&mut self) {
        if self.quiet_phase.as_ref().is_none_or(|quiet_phase| quiet_phase.last.is_some()) {
            return;
        }
        // The kinds of tasks take turns, because a worker dead-letters nothing of a name until it
        // has handled a message of that name. Every second round uses the queue to which a copy was
        // posted when a response to another request was mistaken for its own, because names are
        // paused per queue.
        let probes = self.quiet_phase.as_ref().map_or(0, |quiet_phase| quiet_phase.probes.len());
        let (round, kind) = (probes / self.kinds.len(), probes % self.kinds.len());
        let number = self.schedule_probe(kind);
        if round % 2 == 1 {
            let misrouted_queue =
                self.checker.misrouted_queue(kind, &self.kinds[kind].queue).cloned();
            self.checker.tasks[number].queue = misrouted_queue;
        }
        let now = self.now;
        if let Some(quiet_phase) = &mut self.quiet_phase {
            quiet_phase.probes.push((number, now));
        }
        self.schedule(PROBE_INTERVAL, Due::Probe);
    }

    fn schedule_probe(&mut self, kind: usize) -> usize {
        let number = self.new_task(Sender::Producer(0));
        let max_attempts = self.kinds[kind].settings.max_retries + 1;
        let task = &mut self.checker.tasks[number];
        task.plan = Plan::Succeeds;
        task.max_attempts = max_attempts;
        task.kind = kind;
        task.delay = 0;
        task.within = None;
        task.takes = 10;
        task.once = false;
        task.postpones = 0;
        task.has_deadline = false;
        task.reply = ReplyTo::None;
        self.unscheduled += 1;
        self.call(0, vec![number]);
        number
    }

    /// Whether the run has reached its end.
    pub(crate) fn is_over(&mut self) -> bool {
        let Some(quiet_phase) = &self.quiet_phase else { return false };
        // Messages of a paused name are not dead-lettered, so a flood has no end of its own.
        if self.setup.flood.is_some() {
            return true;
        }
        if quiet_phase.finishing {
            return quiet_phase.finished == self.setup.producers + 1;
        }
        let last = quiet_phase.last;
        if self.now > quiet_phase.until {
            self.report_unsettled();
            return true;
        }
        if let (Some(last), Some(quiet_phase)) = (last, &mut self.quiet_phase)
            && quiet_phase.last_ended_at.is_none()
            && self.checker.tasks[last].accepted > 0
            && self.checker.tasks[last].is_settled()
        {
            quiet_phase.last_ended_at = Some(self.now);
        }
        if !self.is_settled() {
            return false;
        }
        match last {
            None => self.send_last_probe(),
            Some(last) => self.check_last(last),
        }
        false
    }

    fn is_settled(&mut self) -> bool {
        self.unscheduled == 0
            && self.tasks_are_settled()
            && self.hosts[..self.setup.producers].iter().all(|host| host.calls.is_empty())
            && self.requests_settled()
    }

    /// Starts at the task that was unsettled last time.
    fn tasks_are_settled(&mut self) -> bool {
        let tasks = &self.checker.tasks;
        let Some(quiet_phase) = &mut self.quiet_phase else { return false };
        let mut indices =
            (quiet_phase.first_unsettled..tasks.len()).chain(0..quiet_phase.first_unsettled);
        let unsettled = indices.find(|position| !tasks[*position].is_settled());
        quiet_phase.first_unsettled = unsettled.unwrap_or(0);
        unsettled.is_none()
    }

    /// Whether no request of the fault phase is left: one that was damaged, or whose process has
    /// died, may still reserve a message.
    fn requests_settled(&self) -> bool {
        let are_healthy =
            self.requests.values().all(|sent| sent.is_healthy() && self.host(sent.who).is_some());
        are_healthy && self.connections_are_settled()
    }

    /// Everything is settled: schedules a last task, which must be done immediately.
    fn send_last_probe(&mut self) {
        let number = self.schedule_probe(0);
        let now = self.now;
        if let Some(quiet_phase) = &mut self.quiet_phase {
            quiet_phase.last = Some(number);
            quiet_phase.probes.push((number, now));
        }
    }

    /// The last task is done: checks that this was prompt, and leaves time for its notice to
    /// arrive.
    fn check_last(&mut self, last: usize) {
        let Some(quiet_phase) =
            self.quiet_phase.as_mut().filter(|quiet_phase| !quiet_phase.last_is_done)
        else {
            return;
        };
        quiet_phase.last_is_done = true;
        let sent = quiet_phase.probes.last().map_or(self.now, |(_, at)| *at);
        let took = quiet_phase.last_ended_at.unwrap_or(self.now).since(sent);
        if took > PROMPT && self.hosts[0].is_undisturbed {
            self.checker.broken("L4", || format!("the last task, {last}, took {took:?}"));
        }
        self.schedule(Duration::from_millis(200), Due::Finish);
    }

    /// All is done: checks that the machines are quiet, and requests them to finish.
    pub(crate) fn finish(&mut self) {
        let now = self.now;
        let worker = self.hosts[self.checker.workers.start].process;
        self.check_quiet(worker);
        self.check_sizes();
        let hosts: Vec<ProcessId> = self.hosts[..self.setup.producers]
            .iter()
            .map(|host| host.process)
            .chain([worker])
            .collect();
        if let Some(quiet_phase) = &mut self.quiet_phase {
            quiet_phase.finishing = true;
        }
        for who in hosts {
            self.event_queue
                .add(now, Due::ProcessInput(who, ProcessInput::Drain(Duration::from_secs(8))));
        }
    }

    /// Checks that the broker has as many messages as the law checker expects.
    fn check_sizes(&mut self) {
        if self.has_sessions() {
            self.check_copies();
        }
        let queues = self.kinds.iter().map(|kind| kind.queue.clone());
        let dead = self.kinds.iter().filter_map(|kind| kind.queue.dead_letter_queue().ok());
        let queues: BTreeSet<QueueName> = queues.chain(dead).collect();
        for queue in queues {
            let size = self.size_of(&queue);
            let should_be = self.checker.size_of(&queue);
            if size != should_be {
                self.checker
                    .broken("S1", || format!("{queue} has {size} messages instead of {should_be}"));
            }
        }
    }

    /// When there is no work, machines may wait only for the next poll and presence record.
    fn check_quiet(&mut self, who: ProcessId) {
        if let Machine::Worker(worker) = &mut self.hosts[who.host].machine {
            let output = worker.poll_output();
            let quiet = match &output {
                worker::Output::Wait(None) => true,
                worker::Output::Wait(Some(deadline)) => {
                    matches!(deadline.why, worker::Timer::Poll(_) | worker::Timer::Presence)
                }
                _ => false,
            };
            let held = worker.load().held;
            if !quiet || held > 0 {
                self.checker.broken("L5", || format!("{who:?} holds {held}, wants {output:?}"));
            }
        }
        for host in 0..self.setup.producers {
            if let Machine::Producer(producer) = &mut self.hosts[host].machine
                && let producer::Output::Wait(Some(deadline)) = producer.poll_output()
                && matches!(
                    deadline.why,
                    producer::Timer::SubscriptionLimit(_) | producer::Timer::CallLimit(_)
                )
            {
                self.checker.broken("L5", || format!("producer {host} waits for {deadline:?}"));
            }
        }
    }

    /// How long everything may take to reach its end.
    fn settle_limit(&self) -> Duration {
        let setup = &self.setup;
        let second = Duration::from_secs(1);
        let node_peers = setup.node_workers > 0;
        // Hidden by a lease, by the longest delay, or by a peer that has died.
        let hidden = longest_hidden(node_peers) + (2 * setup.lease()).max(300 * second);
        // A message that cannot be handled is released with growing delays, which start anew in
        // each process.
        let undecided = (RELEASES + 1) * 300 * second;
        // Sequentially, in the worst case. The fault phase may leave many copies of one task, and a
        // copy that does not fit is released each time it was run.
        let runs = |task: &Task| match task.plan {
            Plan::BadArgs => task.live.max(1) * (RELEASES + 1),
            _ => task.live.max(1) * 3,
        };
        let runs: u32 = self.checker.tasks.iter().map(runs).sum();
        let each = 60 * second + setup.backoff().ceiling(u32::MAX);
        hidden + undecided + runs * each + 600 * second
    }

    fn report_unsettled(&mut self) {
        let unsettled = self.checker.tasks.iter().enumerate().find(|(_, task)| !task.is_settled());
        let what = match unsettled {
            Some((number, task)) => format!("task {number} has not reached its end: {task:?}"),
            None => format!("calls without an end: {} uncalled", self.unscheduled),
        };
        self.checker.broken("L1", || what);
    }
}
