//! The health of a worker as a value.

use std::fmt;
use std::time::Duration;

use crate::connect::CONNECT_LIMIT;
use crate::event::Part;
use crate::name::QueueName;
use crate::queue::FaultKind;
use crate::text::Tenths;

use super::liveness::Liveness;

/// How long an answer of a queue counts, although requests fail since.
const ANSWER_COUNTS_FOR: Duration = Duration::from_secs(60);

/// The health of a worker at one time. Its text, of several lines, is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerHealth {
    /// What it does.
    pub state: State,
    /// Whether its loop runs. If it does not answer, the other fields are those of its last answer.
    pub liveness: Liveness,
    /// How many handlers may run.
    pub slots: u64,
    /// How many handlers run.
    pub running: u64,
    /// How many messages it holds.
    pub held: u64,
    /// The physical queues that it serves, most urgent first.
    pub queues: Vec<QueueHealth>,
    /// What else keeps failing: the notifier, or messages that cannot be handled here.
    pub degraded: Vec<Part>,
    /// How late the last renewal of a lease was sent, after the time when it was due. More than a
    /// few milliseconds mean that the worker's threads are blocked. `None` before the first one.
    pub touch_lag: Option<Duration>,
    /// The requests of its health listener, if it has one.
    pub probes: Option<ProbeCounts>,
}

/// The connections of a health listener, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeCounts {
    /// A page was requested.
    pub answered: u64,
    /// The request was refused: its method, its path, its length or its form.
    pub refused: u64,
    /// The client sent no complete request in time, or was cut off because others came.
    pub cut_off: u64,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It has not begun to reserve messages.
    Starting,
    /// It reserves messages and runs their tasks.
    Running,
    /// It was paused: it reserves nothing.
    Paused,
    /// It reserves nothing, and ends when its handlers have ended.
    Draining,
    /// It has ended.
    Ended,
}

/// How a queue answers a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueHealth {
    /// The physical queue.
    pub name: QueueName,
    /// How long ago it last answered a request. `None` if it never did.
    pub last_reply: Option<Duration>,
    /// How long the oldest poll has been under way, if there is one.
    pub polling: Option<Duration>,
    /// Why the last request failed, if it did.
    pub trouble: Option<FaultKind>,
}

impl WorkerHealth {
    /// Whether its loop runs, so that a restart would not help. Does not depend on any server.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state != State::Ended && self.liveness == Liveness::Running
    }

    /// Whether it takes messages: it has started, does not drain, and at least one of its queues
    /// answers. A paused worker is ready. Trouble of the notifier, or of other queues, does not
    /// matter.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let has_begun = matches!(self.state, State::Running | State::Paused);
        has_begun && self.is_live() && self.queues.iter().any(QueueHealth::answers)
    }

    /// The same worker when its loop does not answer.
    #[must_use]
    pub fn unanswered(self, liveness: Liveness) -> Self {
        WorkerHealth { liveness, ..self }
    }

    /// The same worker with the requests of its listener.
    #[must_use]
    pub fn with_probes(self, probes: Option<ProbeCounts>) -> Self {
        WorkerHealth { probes, ..self }
    }

    /// The same worker when it has ended.
    #[must_use]
    pub fn ended(self) -> Self {
        WorkerHealth { state: State::Ended, ..self }
    }
}

impl QueueHealth {
    /// Whether the queue answers: it did within 60 s, or no request has failed since. A long poll that
    /// is under way counts, also the first one, once it must have connected.
    #[must_use]
    pub fn answers(&self) -> bool {
        let has_answered_lately = self.last_reply.is_some_and(|ago| ago <= ANSWER_COUNTS_FOR);
        let is_connected = || {
            self.last_reply.is_some() || self.polling.is_some_and(|polling| polling > CONNECT_LIMIT)
        };
        has_answered_lately || self.trouble.is_none() && is_connected()
    }
}

impl State {
    /// Its name, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Running => "running",
            State::Paused => "paused",
            State::Draining => "draining",
            State::Ended => "ended",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Liveness::Running => f.write_str("the loop runs"),
            Liveness::Hanging(silent) => {
                write!(f, "the loop has not turned for {}", Tenths(*silent))
            }
        }
    }
}

/// The queue and its trouble, such as `queue mail: Unauthorized`.
impl fmt::Display for QueueHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {}: ", self.name)?;
        match (self.trouble, self.last_reply) {
            (Some(trouble), None) => write!(f, "{}, no reply yet", trouble.name()),
            (Some(trouble), Some(ago)) => {
                write!(f, "{}, last reply {} ago", trouble.name(), Tenths(ago))
            }
            (None, None) => f.write_str("no reply yet"),
            (None, Some(ago)) => write!(f, "last reply {} ago", Tenths(ago)),
        }
    }
}

impl fmt::Display for WorkerHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorkerHealth { state, liveness, slots, running, held, .. } = self;
        let ready = if self.is_ready() { "ready" } else { "not ready" };
        writeln!(f, "{state}, {ready}, {liveness}")?;
        write!(f, "{running} of {slots} slots taken, {held} messages held")?;
        for queue in &self.queues {
            write!(f, "\n{queue}")?;
        }
        for part in &self.degraded {
            write!(f, "\ndegraded: {part}")?;
        }
        if let Some(lag) = self.touch_lag {
            write!(f, "\nthe last renewal was sent {} late", Tenths(lag))?;
        }
        if let Some(ProbeCounts { answered, refused, cut_off }) = self.probes {
            write!(f, "\nprobes: {answered} answered, {refused} refused, {cut_off} cut off")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn queue(last_reply: Option<u64>, trouble: Option<FaultKind>) -> QueueHealth {
        let name = QueueName::new("mail").unwrap();
        let last_reply = last_reply.map(Duration::from_secs);
        QueueHealth { name, last_reply, polling: None, trouble }
    }

    fn health(state: State, queues: Vec<QueueHealth>) -> WorkerHealth {
        let liveness = Liveness::Running;
        let (slots, running, held) = (10, 3, 4);
        WorkerHealth {
            state,
            liveness,
            slots,
            running,
            held,
            queues,
            degraded: Vec::new(),
            touch_lag: None,
            probes: None,
        }
    }

    #[test]
    fn a_queue_answers_for_a_minute_after_its_last_reply() {
        assert!(queue(Some(60), Some(FaultKind::Unreachable)).answers());
        assert!(!queue(Some(61), Some(FaultKind::Unreachable)).answers());
        assert!(!queue(None, Some(FaultKind::Unreachable)).answers());
    }

    #[test]
    fn a_queue_of_which_no_request_has_failed_since_answers() {
        assert!(queue(Some(3600), None).answers(), "a long poll, or a worker that is busy");
        assert!(!queue(None, None).answers());
    }

    #[test]
    fn a_first_long_poll_counts_once_it_must_have_connected() {
        let polling = |seconds, trouble| {
            let polling = Some(Duration::from_secs(seconds));
            QueueHealth { polling, ..queue(None, trouble) }.answers()
        };
        assert!(!polling(5, None));
        assert!(polling(6, None));
        assert!(!polling(6, Some(FaultKind::ReplyLost)), "it is one that follows a failure");
    }

    #[test]
    fn one_queue_that_answers_makes_a_worker_ready() {
        let failing = || queue(None, Some(FaultKind::Unauthorized));
        assert!(health(State::Running, vec![failing(), queue(Some(1), None)]).is_ready());
        assert!(!health(State::Running, vec![failing()]).is_ready());
        assert!(health(State::Running, vec![failing()]).is_live());
    }

    #[test]
    fn a_worker_is_ready_from_its_start_until_it_drains() {
        let ready = |state| health(state, vec![queue(Some(1), None)]).is_ready();
        assert!(ready(State::Running) && ready(State::Paused));
        assert!(!ready(State::Starting) && !ready(State::Draining) && !ready(State::Ended));
        let live = |state| health(state, vec![]).is_live();
        assert!(live(State::Starting) && live(State::Draining) && !live(State::Ended));
    }

    #[test]
    fn a_worker_whose_loop_hangs_is_neither_live_nor_ready() {
        let hanging = Liveness::Hanging(Duration::from_secs(40));
        let health = health(State::Running, vec![queue(Some(1), None)]).unanswered(hanging);
        assert!(!health.is_live() && !health.is_ready());
        assert!(health.to_string().contains("the loop has not turned for 40.0s"), "{health}");
    }

    #[test]
    fn its_text_names_each_part() {
        let mut health = health(State::Running, vec![queue(Some(2), Some(FaultKind::ServerError))]);
        health.degraded.push(Part::Notifier);
        health.touch_lag = Some(Duration::from_millis(200));
        health.probes = Some(ProbeCounts { answered: 5, refused: 1, cut_off: 0 });
        let expected = "running, ready, the loop runs\n3 of 10 slots taken, 4 messages held\n\
             queue mail: ServerError, last reply 2.0s ago\ndegraded: the notifier\n\
             the last renewal was sent 0.2s late\nprobes: 5 answered, 1 refused, 0 cut off";
        assert_eq!(health.to_string(), expected);
    }
}
