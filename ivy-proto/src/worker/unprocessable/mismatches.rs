//! Counts, by task name, messages for which this worker has no handler or whose arguments its
//! handler does not accept.
//!
//! Such a message belongs to another program, or to another version of this one. After many of them
//! in a row the name is paused: those that this process has released before are released untried
//! with the longest delay, except one per second, and none is dead-lettered until one of them matches
//! again. Valid messages behind many mismatched ones are thus found soon. A name that matched recently is not paused: the
//! handler exists, so the mismatch is the message's fault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::MessageId;
use crate::name::TaskName;
use crate::time::Moment;

use super::{Consequence, KEPT_FOR, MANY, PAUSE, UNSEEN_AFTER, is_recent};

/// The maximum number of remembered names that this worker has never run. Anyone who can post can
/// invent names.
const MAX_UNKNOWN: usize = 256;
/// The interval at which a message is tried while its name is paused.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Mismatches {
    of: BTreeMap<TaskName, TaskMismatch>,
    /// How many names have never matched.
    unknown: usize,
    /// Whether a name may be degraded.
    any_degraded: bool,
    /// Names that were degraded when they were forgotten.
    forgotten: Vec<TaskName>,
}

#[derive(Debug, Default)]
struct TaskMismatch {
    /// Mismatched messages since the last match; at most [`MANY`].
    mismatches: BTreeSet<MessageId>,
    fitted_at: Option<Moment>,
    paused_until: Option<Moment>,
    /// When a message was last tried during the pause.
    tried_at: Moment,
    degraded: bool,
    /// Until when messages are not dead-lettered although the name is not degraded any more.
    kept_until: Option<Moment>,
    mismatch_at: Moment,
    /// The mismatch that started the pause.
    last_mismatch: String,
}

impl Mismatches {
    /// Records a message that this worker has no matching handler for.
    pub(super) fn mismatch(
        &mut self,
        task: &TaskName,
        message: &MessageId,
        mismatch: &str,
        now: Moment,
    ) -> Consequence {
        if !self.of.contains_key(task) {
            self.make_room();
            self.unknown += 1;
        }
        let name = self.of.entry(task.clone()).or_default();
        name.mismatch_at = now;
        let mut consequence = Consequence::default();
        if !name.is_paused(now) {
            name.paused_until = None;
            if name.mismatches.len() < MANY {
                name.mismatches.insert(message.clone());
            }
            if name.mismatches.len() >= MANY && !is_recent(name.fitted_at, now) {
                name.mismatches.clear();
                name.paused_until = Some(now + PAUSE);
                name.tried_at = now;
                mismatch.clone_into(&mut name.last_mismatch);
                consequence.degraded = !std::mem::replace(&mut name.degraded, true);
                self.any_degraded = true;
            }
        }
        consequence.longest_delay = name.is_paused(now);
        consequence.must_be_kept =
            name.degraded || name.kept_until.is_some_and(|until| now < until);
        consequence
    }

    /// Records that a handler accepted the arguments. Returns whether the name was degraded.
    pub(super) fn fits(&mut self, task: &TaskName, now: Moment) -> bool {
        let Some(name) = self.of.get_mut(task) else {
            let name = TaskMismatch { fitted_at: Some(now), ..TaskMismatch::default() };
            self.of.insert(task.clone(), name);
            return false;
        };
        if name.fitted_at.replace(now).is_none() {
            self.unknown -= 1;
        }
        name.mismatches.clear();
        name.paused_until = None;
        name.kept_until = None;
        std::mem::take(&mut name.degraded)
    }

    /// The names that are no longer degraded, because none of their messages was seen for long.
    pub(super) fn take_unseen(&mut self, now: Moment) -> Vec<TaskName> {
        let mut unseen = std::mem::take(&mut self.forgotten);
        if !self.any_degraded {
            return unseen;
        }
        self.any_degraded = false;
        for (task, name) in self.of.iter_mut().filter(|(_, name)| name.degraded) {
            if now.since(name.mismatch_at) < UNSEEN_AFTER {
                self.any_degraded = true;
                continue;
            }
            name.degraded = false;
            name.mismatches.clear();
            name.paused_until = None;
            name.kept_until = Some(now + KEPT_FOR);
            unseen.push(task.clone());
        }
        unseen
    }

    /// Returns the last mismatch if the name is paused and this message is not to be tried.
    pub(super) fn paused_mismatch(&mut self, task: &TaskName, now: Moment) -> Option<&str> {
        let name = self.of.get_mut(task).filter(|name| name.is_paused(now))?;
        if now.since(name.tried_at) >= BETWEEN_TRIES {
            name.tried_at = now;
            return None;
        }
        Some(&name.last_mismatch)
    }

    /// Makes room for another name by removing the oldest one that never matched, preferably one
    /// that is not degraded.
    fn make_room(&mut self) {
        if self.unknown < MAX_UNKNOWN {
            return;
        }
        let unknown = self.of.iter().filter(|(_, name)| name.fitted_at.is_none());
        let oldest = unknown.min_by_key(|(_, name)| (name.degraded, name.mismatch_at));
        if let Some(oldest) = oldest.map(|(task, _)| task.clone()) {
            if self.of.remove(&oldest).is_some_and(|name| name.degraded) {
                self.forgotten.push(oldest);
            }
            self.unknown -= 1;
        }
    }
}

impl TaskMismatch {
    fn is_paused(&self, now: Moment) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn task(name: &str) -> TaskName {
        TaskName::new(name).unwrap()
    }

    fn is_paused(mismatches: &mut Mismatches, of: &str, now: Moment) -> bool {
        // The first one may be tried.
        mismatches.paused_mismatch(&task(of), now);
        mismatches.paused_mismatch(&task(of), now) == Some("argument 2 is missing")
    }

    fn add_mismatches(
        mismatches: &mut Mismatches,
        of: &str,
        numbers: std::ops::Range<u32>,
        now: Moment,
    ) -> Consequence {
        let mut last = Consequence::default();
        for number in numbers {
            let message = MessageId::new(number.to_string());
            last = mismatches.mismatch(&task(of), &message, "argument 2 is missing", now);
        }
        last
    }

    #[test]
    fn after_twenty_in_a_row_the_name_is_paused_and_no_other() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        assert_eq!(add_mismatches(&mut mismatches, "mail", 0..19, now), Consequence::default());
        let last = add_mismatches(&mut mismatches, "mail", 19..20, now);
        assert!(last.longest_delay && last.must_be_kept && last.degraded);
        assert_eq!(last.pause, None, "the queue is not paused");
        assert!(is_paused(&mut mismatches, "mail", now + 59 * SECOND));
        assert!(!is_paused(&mut mismatches, "other", now));
        assert_eq!(add_mismatches(&mut mismatches, "other", 0..5, now), Consequence::default());
    }

    #[test]
    fn after_the_pause_messages_are_tried_again_and_still_not_dead_lettered() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        add_mismatches(&mut mismatches, "mail", 0..20, now);
        let later = now + 60 * SECOND;
        assert!(!is_paused(&mut mismatches, "mail", later));
        let again = add_mismatches(&mut mismatches, "mail", 20..39, later);
        assert_eq!((again.longest_delay, again.must_be_kept), (false, true));
        let last = add_mismatches(&mut mismatches, "mail", 39..40, later);
        assert_eq!((last.longest_delay, last.degraded), (true, false), "reported once");
    }

    #[test]
    fn one_message_a_second_is_tried_during_the_pause() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        add_mismatches(&mut mismatches, "mail", 0..20, now);
        let is_tried = |after: u64| {
            let now = now + Duration::from_millis(after);
            mismatches.paused_mismatch(&task("mail"), now).is_none()
        };
        assert_eq!(
            [0, 999, 1_000, 1_001, 1_999, 2_000].map(is_tried),
            [false, false, true, false, false, true]
        );
    }

    #[test]
    fn a_match_ends_the_pause() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        add_mismatches(&mut mismatches, "mail", 0..20, now);
        assert!(mismatches.fits(&task("mail"), now), "it was degraded");
        assert!(!is_paused(&mut mismatches, "mail", now));
        assert!(!mismatches.fits(&task("mail"), now));
    }

    #[test]
    fn a_name_whose_messages_are_gone_is_degraded_for_ten_minutes() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        add_mismatches(&mut mismatches, "mail", 0..20, now);
        add_mismatches(&mut mismatches, "mail", 0..1, now + 300 * SECOND);
        let later = now + 900 * SECOND;
        assert_eq!(mismatches.take_unseen(now + 899 * SECOND), []);
        assert_eq!(mismatches.take_unseen(later), [task("mail")]);
        assert_eq!(mismatches.take_unseen(later), []);
        let again = add_mismatches(&mut mismatches, "mail", 20..21, later + 3_599 * SECOND);
        assert!(again.must_be_kept && !again.longest_delay, "for an hour none is dead-lettered");
        let again = add_mismatches(&mut mismatches, "mail", 21..22, later + 3_600 * SECOND);
        assert!(!again.must_be_kept);
    }

    #[test]
    fn a_degraded_name_that_is_forgotten_is_reported() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        for number in 0..=MAX_UNKNOWN {
            add_mismatches(&mut mismatches, &format!("invented{number}"), 0..20, now);
        }
        assert_eq!(mismatches.take_unseen(now).len(), 1);
    }

    #[test]
    fn a_name_that_matched_within_the_last_minute_is_not_paused() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        mismatches.fits(&task("mail"), now);
        assert_eq!(
            add_mismatches(&mut mismatches, "mail", 0..100, now + 59 * SECOND),
            Consequence::default()
        );
        assert!(add_mismatches(&mut mismatches, "mail", 100..101, now + 60 * SECOND).longest_delay);
    }

    #[test]
    fn invented_names_are_bounded_and_displace_neither_paused_nor_known_names() {
        let (mut mismatches, now) = (Mismatches::default(), Moment::EPOCH);
        mismatches.fits(&task("known"), now);
        add_mismatches(&mut mismatches, "paused", 0..20, now);
        for number in 0..10_000 {
            add_mismatches(&mut mismatches, &format!("invented{number}"), 0..1, now + SECOND);
        }
        assert!(mismatches.of.len() <= MAX_UNKNOWN + 1);
        assert!(is_paused(&mut mismatches, "paused", now + SECOND));
        assert!(mismatches.of.contains_key(&task("known")));
    }
}
