//! Operators, their sweeps, and the time in which they act.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::admin::{Ended, Filter, Input, Output, Requeue, Sweep, SweepConfig};
use ivy_proto::broker::{self, Broker, BrokerConfig};
use ivy_proto::queue::{Batch, BatchLimits, Fault, NewMessage, QueueOp, QueueReply};
use ivy_proto::wire::Codec;
use ivy_proto::{MessageId, Moment, OpId, ReservationId, WallClock};

use super::faults::SweepFault;
use super::letters::{LETTERS, LETTERS_OF_TWO, dead, letter};
use crate::backend::Backend;
use crate::choices::Choices;
use crate::laws::Breach;
use crate::setup::UNIX_AT_START;

/// How long a request takes to arrive, and its reply.
pub(super) const WAY: Duration = Duration::from_millis(50);
/// How long a late answer takes: longer than a lease of a sweep that changes letters.
const ANSWER: Duration = Duration::from_secs(100);
/// Longer than any lease.
pub(super) const LATE: Duration = Duration::from_secs(660);
/// A command that is repeated this often does not succeed.
const MOST_COMMANDS: u32 = 6;
const MOST_STEPS: u32 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Confirm,
    /// After all leases have ended.
    ConfirmLate,
    Cancel,
    Never,
}

/// What the operators do with the letters that the filter selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Requeue,
    Delete,
    Look,
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) backend: Backend,
    pub(crate) action: Action,
    /// What they reply to the plan of a change.
    pub(crate) answer: Answer,
    pub(crate) again_if_unknown: bool,
    /// Whether the copies of a letter have one id, as elements that another program wrote twice.
    pub(crate) shares_ids: bool,
    /// After how many ways of a request a second operator begins, if there is one.
    pub(crate) second_after: Option<u32>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            backend: Backend::Exact,
            action: Action::Requeue,
            answer: Answer::Confirm,
            again_if_unknown: false,
            shares_ids: false,
            second_after: None,
        }
    }
}

impl Setup {
    /// Whether the letters are changed.
    pub(super) fn changes(&self) -> bool {
        let confirms = matches!(self.answer, Answer::Confirm | Answer::ConfirmLate);
        self.action != Action::Look && confirms
    }
}

pub(crate) struct Outcome {
    pub(crate) breach: Option<Breach>,
    pub(crate) choices: Choices,
    pub(crate) faults: Vec<(&'static str, SweepFault)>,
    /// How many letters were posted more than once.
    pub(crate) doubles: u64,
}

/// Runs a world to its end, with at most `max` faults.
pub(crate) fn run(setup: &Setup, choices: Choices, max: u32) -> Outcome {
    let mut world = World::new(setup, choices, max);
    world.post_letters();
    let before = world.ready();
    let mut steps = 0;
    while world.breach.is_none() && world.step() {
        steps += 1;
        if steps > MOST_STEPS {
            world.broken("A3", "the sweeps do not end".to_owned());
        }
    }
    if world.breach.is_none() {
        world.check_end(&before);
    }
    Outcome {
        doubles: world.posted.values().filter(|count| **count > 1).count() as u64,
        breach: world.breach,
        choices: world.choices,
        faults: world.faults,
    }
}

/// An event of an operator.
pub(super) enum Due {
    Start,
    Reply(OpId, Result<QueueReply, Fault>),
    Tick,
    Confirm,
    Interrupt,
    Crash,
}

/// An operator who repeats the command until it has succeeded.
#[derive(Default)]
pub(super) struct Operator {
    pub(super) sweep: Option<Sweep>,
    pub(super) commands: u32,
    /// Letters that this sweep posted, as the broker accepted them.
    pub(super) posted: BTreeMap<u32, u32>,
    /// The ends of the leases that this sweep knows.
    pub(super) leases: BTreeMap<ReservationId, Moment>,
    /// The size of the queue, as this sweep's plan states it.
    pub(super) size: Option<u64>,
    /// Doubled requests of this sweep.
    pub(super) doubled: u32,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sender {
    /// The test itself.
    Test,
    /// This operator's current sweep.
    Sweep(usize),
    /// A sweep that has ended.
    FormerSweep,
}

pub(super) struct World<'a> {
    pub(super) setup: &'a Setup,
    pub(super) broker: Broker,
    pub(super) pending: u64,
    pub(super) now: Moment,
    pub(super) events: BTreeMap<(Moment, u64), (usize, Due)>,
    /// Requests that arrive late, with the operator and the number of its command.
    pub(super) late: BTreeMap<(Moment, u64), (usize, u32, QueueOp)>,
    pub(super) numbered: u64,
    pub(super) operators: Vec<Operator>,
    pub(super) choices: Choices,
    pub(super) left: u32,
    pub(super) faults: Vec<(&'static str, SweepFault)>,
    /// Which letter each message of the dead-letter queue is.
    pub(super) letters: BTreeMap<MessageId, u32>,
    /// How often each letter was posted.
    pub(super) posted: BTreeMap<u32, u32>,
    /// The current reservation of each message, for a server that accepts late receipts.
    pub(super) reservations: BTreeMap<MessageId, ReservationId>,
    /// The message of each reservation, if copies have one id.
    pub(super) messages: BTreeMap<ReservationId, MessageId>,
    pub(super) breach: Option<Breach>,
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup, choices: Choices, max: u32) -> Self {
        let mut world = World {
            setup,
            broker: Broker::new(BrokerConfig::default(), [3; 32]),
            pending: 0,
            now: Moment::EPOCH,
            events: BTreeMap::new(),
            late: BTreeMap::new(),
            numbered: 0,
            operators: Vec::new(),
            choices,
            left: max,
            faults: Vec::new(),
            letters: BTreeMap::new(),
            posted: BTreeMap::new(),
            reservations: BTreeMap::new(),
            messages: BTreeMap::new(),
            breach: None,
        };
        let starts = [Some(0), setup.second_after];
        for (who, start) in starts.into_iter().flatten().enumerate() {
            world.operators.push(Operator::default());
            world.at(Moment::EPOCH + WAY * start, who, Due::Start);
        }
        world
    }

    pub(super) fn broken(&mut self, law: &'static str, what: String) {
        self.breach.get_or_insert(Breach { law, what });
    }

    pub(super) fn at(&mut self, at: Moment, who: usize, due: Due) {
        self.numbered += 1;
        self.events.insert((at, self.numbered), (who, due));
    }

    fn post_letters(&mut self) {
        let two = self.setup.second_after.is_some();
        for number in if two { &LETTERS_OF_TWO[..] } else { &LETTERS[..] } {
            let messages = Batch::one(NewMessage { body: letter(*number), delay: Duration::ZERO });
            let posted = self.execute(Sender::Test, QueueOp::Post { queue: dead(), messages });
            let Ok(QueueReply::Posted(entries)) = posted else { panic!("{posted:?}") };
            let id = entries[0].clone().expect("a letter is accepted");
            self.letters.insert(id, *number);
        }
    }

    /// The letters that are ready, in order.
    pub(super) fn ready(&mut self) -> Vec<u32> {
        match self.execute(Sender::Test, QueueOp::Peek { queue: dead(), count: 100 }) {
            Ok(QueueReply::Peeked(messages)) => {
                messages.iter().map(|message| self.letters[&message.id]).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Executes the next event. Returns whether there was one.
    fn step(&mut self) -> bool {
        if let Some((at, number)) = self.late.keys().next().copied()
            && self.events.keys().next().is_none_or(|next| *next > (at, number))
            && let Some((who, command, op)) = self.late.remove(&(at, number))
        {
            self.pass_until(at);
            let is_current = self.operators[who].commands == command;
            let sender = if is_current { Sender::Sweep(who) } else { Sender::FormerSweep };
            let _ = self.execute(sender, op);
            return true;
        }
        let Some(((at, _), (who, due))) = self.events.pop_first() else { return false };
        self.pass_until(at);
        let (now, operator) = (self.now, &mut self.operators[who]);
        let input = match due {
            Due::Start => {
                self.start(who);
                Input::Tick
            }
            Due::Crash => {
                operator.sweep = None;
                self.end_events_of(who);
                self.at(now + WAY, who, Due::Start);
                return true;
            }
            Due::Reply(op, reply) => Input::Queue(op, reply),
            Due::Tick => Input::Tick,
            Due::Confirm => Input::Confirm,
            Due::Interrupt => Input::Interrupt,
        };
        if let Some(sweep) = &mut self.operators[who].sweep {
            // A reply to a sweep that has ended meanwhile.
            let _ = sweep.handle_input(input, now);
            self.execute_outputs(who);
        }
        true
    }

    pub(super) fn pass_until(&mut self, at: Moment) {
        self.now = self.now.max(at);
        self.broker.handle_input(broker::Input::Tick, self.now).expect("a tick is accepted");
    }

    fn end_events_of(&mut self, who: usize) {
        self.events.retain(|_, (of, _)| *of != who);
    }

    fn start(&mut self, who: usize) {
        let operator = &mut self.operators[who];
        *operator = Operator { commands: operator.commands + 1, ..Operator::default() };
        let mut capabilities = self.setup.backend.capabilities();
        capabilities.batch = BatchLimits::same(2);
        if self.setup.backend == Backend::Exact {
            capabilities.admin.pipelined_releases = 2;
        }
        let filter = Filter::new().with_task("sim.*".parse().expect("the pattern is valid"));
        let config = match self.setup.action {
            Action::Look => SweepConfig::look(dead()),
            Action::Delete => SweepConfig::delete(dead()),
            Action::Requeue => {
                let requeue = Requeue::new();
                let again = self.setup.again_if_unknown;
                let requeue = if again { requeue.again_if_unknown() } else { requeue };
                SweepConfig::requeue(dead(), requeue)
            }
        };
        let seed = [u8::try_from(operator.commands * 2).expect("few commands") + who as u8; 32];
        let wall = WallClock::new(UNIX_AT_START);
        let config = config.with_filter(filter);
        let sweep = Sweep::new(config, &capabilities, Codec::plain(), seed, wall);
        operator.sweep = Some(sweep.expect("the sweep is possible"));
    }

    fn execute_outputs(&mut self, who: usize) {
        loop {
            let now = self.now;
            let Some(sweep) = &mut self.operators[who].sweep else { return };
            match sweep.poll_output() {
                Output::Queue(id, op) => self.request(who, id, op),
                Output::Plan(plan) => {
                    let answer = match self.setup.answer {
                        Answer::Confirm => Some(Input::Confirm),
                        Answer::Cancel => Some(Input::Cancel),
                        Answer::ConfirmLate | Answer::Never => None,
                    };
                    if let Some(answer) = answer.filter(|_| plan.needs_confirmation()) {
                        sweep.handle_input(answer, now).expect("an answer is accepted");
                    }
                    self.operators[who].size = plan.size;
                    if self.setup.answer == Answer::ConfirmLate {
                        self.at(now + ANSWER, who, Due::Confirm);
                    }
                }
                Output::Row(_) | Output::Progress(_) | Output::Problem(_) => {}
                Output::Wait(Some(deadline)) => {
                    return self.at(deadline.at, who, Due::Tick);
                }
                Output::Wait(None) => return,
                Output::Finished(report) => {
                    self.check_report(who, &report);
                    self.check_leases(&report);
                    self.operators[who].sweep = None;
                    self.end_events_of(who);
                    let again = report.end != Ended::Done
                        || report.is_partial()
                        || report.hidden > 0
                        // Letters that others hold, or that died processes held.
                        || self.operators[who].size > Some(report.looked_at as u64)
                        || report.truncated.is_some();
                    if again && self.setup.changes() {
                        if self.operators[who].commands >= MOST_COMMANDS {
                            return self.broken("A3", format!("the command fails: {report}"));
                        }
                        // The operator repeats the command when the leases have ended.
                        self.at(now + LATE, who, Due::Start);
                    }
                    return;
                }
            }
        }
    }
}
