//! Decides whether the loop that drives a machine runs.

use std::time::Duration;

use crate::time::Moment;

/// How long a loop may be silent, however soon it was to turn.
const SHORTEST_LIMIT: Duration = Duration::from_secs(30);
/// How many times the length of its last wait it may be silent.
const WAITS: u32 = 3;

/// When the loop that drives a machine turned last, and what it was asked since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// When it turned last.
    pub last: Moment,
    /// When it was to turn again at the latest; `None` if it waited for nothing but a question.
    pub next: Option<Moment>,
    /// Since when it has been asked for its state in vain; `None` if it has answered.
    pub asked: Option<Moment>,
}

/// Whether a loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Liveness {
    /// It answers, or has not been silent for long.
    Running,
    /// It has not turned for this long, although it was to turn. A restart helps.
    Hanging(Duration),
}

impl Turns {
    /// Whether the loop runs: it answers; or it turned within 30 s, or three times as long as it was
    /// to wait.
    #[must_use]
    pub fn liveness(&self, now: Moment) -> Liveness {
        let Some(asked) = self.asked else { return Liveness::Running };
        let (since, limit) = match self.next {
            Some(next) => (self.last, next.since(self.last).saturating_mul(WAITS)),
            // It was right to be silent until it was asked.
            None => (self.last.max(asked), SHORTEST_LIMIT),
        };
        let silent = now.since(since);
        if silent > limit.max(SHORTEST_LIMIT) {
            Liveness::Hanging(silent)
        } else {
            Liveness::Running
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    fn liveness(next: Option<u64>, asked: Option<u64>, now: u64) -> Liveness {
        Turns { last: at(100), next: next.map(at), asked: asked.map(at) }.liveness(at(now))
    }

    #[test]
    fn a_loop_that_answers_runs_however_long_it_was_silent() {
        assert_eq!(liveness(Some(101), None, 100_000), Liveness::Running);
        assert_eq!(liveness(None, None, 100_000), Liveness::Running);
    }

    #[test]
    fn a_loop_that_does_not_answer_may_be_silent_for_thirty_seconds() {
        assert_eq!(liveness(Some(101), Some(125), 130), Liveness::Running);
        let silent = Duration::from_secs(31);
        assert_eq!(liveness(Some(101), Some(125), 131), Liveness::Hanging(silent));
    }

    #[test]
    fn a_loop_that_waits_for_long_may_be_silent_three_times_as_long() {
        assert_eq!(liveness(Some(160), Some(270), 280), Liveness::Running);
        let silent = Duration::from_secs(181);
        assert_eq!(liveness(Some(160), Some(270), 281), Liveness::Hanging(silent));
    }

    #[test]
    fn a_loop_without_a_deadline_is_to_turn_when_it_is_asked() {
        assert_eq!(liveness(None, Some(5000), 5030), Liveness::Running);
        let silent = Duration::from_secs(31);
        assert_eq!(liveness(None, Some(5000), 5031), Liveness::Hanging(silent));
    }
}
