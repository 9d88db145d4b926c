//! Sweeps: a state machine, and its configuration, inputs and outputs.

mod config;
mod deleting;
mod groups;
mod held_messages;
mod io;
mod leases;
mod matching;
mod plan;
mod planning;
mod posting;
mod processing;
mod re_reserving;
mod releasing;
mod requests;
mod reserving;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::misuse::Misuse;
use crate::queue::{Capabilities, Effect, Fault, FaultKind, QueueReply};
use crate::rng::Rng;
use crate::time::{Deadline, Moment, WallClock};
use crate::wire::Codec;
use crate::wire::crypto::EntropyPool;

use super::report::{Ended, Report};

pub use config::{Action, CannotSweep, SweepConfig};
pub use io::{Input, Output, Phase, Progress, Row, Timer};
pub use plan::Plan;

use config::Limits;
use groups::Groups;
use held_messages::HeldMessages;
use processing::Work;
use re_reserving::ReReserving;
use releasing::Releasing;
use requests::{InFlight, Requests};

/// A state machine that looks through the messages of a queue, and requeues, deletes or moves those
/// that a filter selects.
///
/// A server shows only the first ready messages of a queue, and a released message is first again.
/// To look further, a sweep reserves messages, and holds those that do not match. Report what happened
/// with [`handle_input`](Sweep::handle_input), and execute what
/// [`poll_output`](Sweep::poll_output) returns until it returns
/// [`Output::Wait`].
///
/// ```text
///  dead letters:  look, reserving ─▶ rows, plan ─▶ Confirm ─▶ post, delete ─▶ release the others
///  live queues:   plan ─▶ Confirm ─▶ look ─▶ release the others ─▶ post, delete ─▶ release
/// ```
///
/// * Nothing is changed before [`Input::Confirm`]. What was reserved is released, or returns when
///   its lease ends.
/// * A message is posted first and deleted second, so a crash in between leaves both. Copies of one
///   message, as the repeated dead-lettering of it leaves them, are posted once and all deleted.
/// * A message that may have been posted is not posted again, unless the operator
///   [permits](super::Requeue::again_if_unknown) it. It stays, and is reported.
/// * Messages that are not processed are released one by one, the newest first, because each
///   becomes the first of its queue. All of them are, so nothing is leased when the sweep has ended,
///   unless it was interrupted twice, its backend failed, or more than a hundred are left after the
///   work over a backend that releases one at a time: those return within a minute.
/// * Dead letters are leased for one or two minutes, however long the operator thinks or the work
///   takes: those whose lease has ended when their turn comes are reserved again. One that another
///   operator has by then is skipped.
/// * An interrupted sweep ends when no reply arrives for a second.
/// * One request is in flight at a time, except for releases over a backend that executes requests
///   [in order](crate::queue::AdminCapabilities::pipelined_releases). A request that failed is tried
///   again; after five failures in a row the sweep ends, with a report of what it did.
///
/// Copies are recognised only among the messages that one sweep holds.
///
/// ```
/// use ivy_proto::admin::{Filter, Input, Output, Requeue, Sweep, SweepConfig};
/// use ivy_proto::queue::{Capabilities, QueueInfo, QueueOp, QueueReply};
/// use ivy_proto::wire::Codec;
/// use ivy_proto::{Moment, QueueName, WallClock};
///
/// let config = SweepConfig::requeue(QueueName::new("mail.dead")?, Requeue::new())
///     .with_filter(Filter::new().with_task("mail.*".parse()?));
/// // In a real program, 32 bytes from the operating system.
/// let seed = [7; 32];
/// let backend = Capabilities::broker();
/// let mut sweep = Sweep::new(config, &backend, Codec::plain(), seed, WallClock::default())?;
///
/// sweep.handle_input(Input::Tick, Moment::EPOCH)?;
/// let report = loop {
///     match sweep.poll_output() {
///         // A real driver sends the request to its queue. Here the queue is empty.
///         Output::Queue(op, QueueOp::GetQueue { queue }) => {
///             let mut info = QueueInfo::new(queue);
///             info.size = Some(0);
///             let reply = Ok(QueueReply::Queue(Box::new(info)));
///             sweep.handle_input(Input::Queue(op, reply), Moment::EPOCH)?;
///         }
///         // A real driver shows it to the operator, who answers.
///         Output::Plan(plan) => assert!(!plan.needs_confirmation()),
///         Output::Finished(report) => break report,
///         _ => {}
///     }
/// };
/// assert_eq!((report.looked_at, report.posted), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sweep {
    config: SweepConfig,
    limits: Limits,
    codec: Codec,
    wall: WallClock,
    rng: Rng,
    entropy: EntropyPool,
    now: Moment,
    /// By how much the wall clock has leapt ahead of the moments since the start. Leases are
    /// compared with the sum of both.
    leapt: Duration,
    outputs: VecDeque<Output>,
    requests: Requests,
    stage: Stage,
    /// The size of the queue at the start.
    size: Option<u64>,
    /// When the first message was reserved, by the clock of leases.
    first_reserve: Option<Moment>,
    held_messages: HeldMessages,
    groups: Groups,
    /// How many messages the filter selects, counting copies.
    selected: usize,
    work: Work,
    /// When it ends, if it was interrupted and no reply arrives.
    interrupted: Option<Moment>,
    report: Report,
}

/// How long an interrupted sweep waits for the next reply.
const MAX_SILENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Stage {
    New,
    /// It requests the queue's size.
    Sizing,
    Looking,
    /// It shows the selected messages, of which these were shown.
    Showing(usize),
    /// It waits until this moment, by the clock of leases, for the operator's answer.
    Asking(Moment),
    Working,
    /// It reserves messages again whose turn has come after the end of their lease.
    ReReserving(ReReserving),
    Releasing(Releasing),
    Finished,
}

/// What a stage does next.
enum Next {
    /// It sent a request.
    Sent,
    /// It ended; the next stage begins.
    Ended,
    /// It waits for time to pass or for the operator.
    Waits(Option<Deadline<Timer>>),
}

impl Sweep {
    /// Creates a sweep at [`Moment::EPOCH`], with `wall` as the current wall clock. The seed must
    /// be as random as a key, because messages are sealed with entropy from it.
    ///
    /// # Errors
    /// If the backend does not support the sweep, or the configuration is contradictory.
    pub fn new(
        config: SweepConfig,
        backend: &Capabilities,
        codec: Codec,
        seed: [u8; 32],
        wall: WallClock,
    ) -> Result<Self, CannotSweep> {
        let limits = config.limits(backend)?;
        let (rng, entropy) = EntropyPool::split(seed);
        let codec = codec.with_max_body(backend.max_body);
        Ok(Sweep {
            report: Report::new(config.queue.clone()),
            config,
            limits,
            codec,
            wall,
            rng,
            entropy,
            now: Moment::EPOCH,
            leapt: Duration::ZERO,
            outputs: VecDeque::new(),
            requests: Requests::default(),
            stage: Stage::New,
            size: None,
            first_reserve: None,
            held_messages: HeldMessages::default(),
            groups: Groups::default(),
            selected: 0,
            work: Work::default(),
            interrupted: None,
        })
    }

    /// Handles an input at this moment. An earlier moment than that of the last input counts as
    /// that one.
    ///
    /// # Errors
    /// If the driver breaks the contract. Nothing is changed then.
    pub fn handle_input(&mut self, input: Input, now: Moment) -> Result<(), Misuse> {
        if let Input::Queue(op, reply) = &input {
            self.requests.check(*op, reply)?;
        }
        if matches!(self.stage, Stage::Finished) {
            return if matches!(input, Input::Queue(..)) { Err(Misuse::Finished) } else { Ok(()) };
        }
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Clock(wall) => {
                self.leapt = self.leapt.saturating_add(wall.ahead_of(self.wall));
                self.wall = wall;
            }
            Input::Queue(op, reply) => {
                if let Some(asked) = self.requests.finish(op) {
                    self.on_reply(asked, reply);
                }
            }
            Input::Confirm => self.on_answer(true),
            Input::Cancel => self.on_answer(false),
            Input::Interrupt => self.on_interrupt(),
        }
        if matches!(self.stage, Stage::New) {
            self.stage = Stage::Sizing;
        }
        let is_silent = self.interrupted.is_some_and(|until| self.now >= until);
        if is_silent && !matches!(self.stage, Stage::Finished) {
            self.end_at_once();
        }
        self.advance();
        Ok(())
    }

    /// The next output. Returns [`Output::Wait`] if there is none until the next input.
    pub fn poll_output(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            match self.stage {
                Stage::Showing(shown) => match self.groups.nth(shown) {
                    Some(group) => {
                        let row = Box::new(self.row(group));
                        self.stage = Stage::Showing(shown + 1);
                        return Output::Row(row);
                    }
                    None => {
                        self.show_plan();
                        self.advance();
                    }
                },
                Stage::Finished => return Output::Finished(Box::new(self.report.clone())),
                _ => return Output::Wait(self.timer()),
            }
        }
    }

    /// Continues until as many requests are in flight as may be, or an input is needed.
    fn advance(&mut self) {
        self.requests.set_timer(None);
        loop {
            if !self.may_send() || matches!(self.stage, Stage::Finished) {
                return;
            }
            if self.interrupted.is_some() && !self.must_delete() && !self.ends() {
                self.abandon_work();
                self.report.end = Ended::Interrupted;
                self.release_all();
            } else if let Some(deadline) = self.requests.rests(self.now) {
                return self.requests.set_timer(Some(deadline));
            }
            let next = match &self.stage {
                Stage::New | Stage::Finished | Stage::Showing(_) => Next::Waits(None),
                Stage::Sizing => self.request_size(),
                Stage::Looking => self.look(),
                Stage::Asking(until) => self.wait_for_answer(*until),
                Stage::Working => self.work(),
                Stage::ReReserving(_) => self.reserve_again(),
                Stage::Releasing(_) => self.release(),
            };
            match next {
                Next::Sent | Next::Ended => {}
                Next::Waits(deadline) => return self.requests.set_timer(deadline),
            }
        }
    }

    fn may_send(&self) -> bool {
        let most = match self.stage {
            Stage::Releasing(_) => self.limits.releases,
            _ => 1,
        };
        self.requests.in_flight() < most
    }

    /// The next deadline.
    fn timer(&self) -> Option<Deadline<Timer>> {
        let silence = self.interrupted.map(|at| Deadline { at, why: Timer::Interruption });
        self.requests.timer().into_iter().chain(silence).min_by_key(|deadline| deadline.at)
    }

    fn on_reply(&mut self, asked: InFlight, reply: Result<QueueReply, Fault>) {
        let is_silent = reply.as_ref().is_err_and(|fault| fault.effect() != Effect::Refused);
        if let Some(until) = &mut self.interrupted
            && !is_silent
        {
            *until = self.now + MAX_SILENCE;
        }
        match asked {
            InFlight::Size => self.on_size(reply),
            InFlight::Reserve { count, sent } => self.on_reserved(reply, count, sent),
            InFlight::Post(posting) => self.on_posted(posting, reply),
            InFlight::Delete(ids) => self.on_deleted(ids, reply),
            InFlight::Touch { held, sent } => self.on_touched(held, sent, reply),
            InFlight::Release(held) => self.on_released(held, &reply),
        }
        self.show_progress();
    }

    fn on_interrupt(&mut self) {
        if self.interrupted.is_some() {
            self.end_at_once();
        } else {
            self.interrupted = Some(self.now + MAX_SILENCE);
            self.requests.end_rest();
        }
    }

    /// Whether it only releases what it holds.
    fn ends(&self) -> bool {
        matches!(&self.stage, Stage::Releasing(releasing) if releasing.is_last())
    }

    /// Whether something was posted that is still to be deleted, which an interruption must not
    /// prevent.
    fn must_delete(&self) -> bool {
        matches!(self.stage, Stage::Working) && self.work.must_delete()
    }

    /// Ends although messages are held, and possibly a request is in flight.
    fn end_at_once(&mut self) {
        let fault = Fault::new(FaultKind::ReplyLost).with_detail("the sweep was interrupted");
        for asked in self.requests.abandon() {
            match asked {
                InFlight::Post(posting) => self.may_be_posted(posting, &fault),
                InFlight::Delete(ids) => self.may_remain(ids, &fault),
                InFlight::Reserve { count, .. } => self.report.hidden += count,
                InFlight::Size | InFlight::Touch { .. } | InFlight::Release(_) => {}
            }
        }
        self.leave_posted(&fault);
        self.abandon_work();
        self.report.end = Ended::Interrupted;
        self.finish();
    }

    /// The backend failed too often, or refused something that the sweep needs.
    fn fail(&mut self, fault: Fault) {
        self.leave_posted(&fault);
        self.abandon_work();
        self.report.end = Ended::Failed(fault);
        self.release_all();
    }

    fn finish(&mut self) {
        let now = self.lease_now();
        let last = self.held_messages.lease_ends(now).max();
        self.report.left_to_expire = self.held_messages.lease_ends(now).count();
        self.report.leases_end_within = last.map(|end| end.since(now));
        self.report.matched = self.groups.len();
        self.report.size = self.size;
        self.report.requests = self.requests.sent();
        self.stage = Stage::Finished;
    }
}
