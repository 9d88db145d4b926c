//! Which messages a sweep selects.
//!
//! The parts of a filter are types that are valid once they exist, so a filter cannot be wrong.

mod count_range;
mod glob;
mod period;
mod search_text;

use std::collections::BTreeSet;

use crate::id::{MessageId, TaskId};
use crate::wire::{DeadLetterReason, RawJson};

pub use count_range::CountRange;
pub use glob::Glob;
pub use period::Period;
pub use search_text::SearchText;

/// A part of a filter is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFilter {
    /// The pattern of a name is empty or too long.
    #[error("the pattern of a name must have 1 to 255 bytes; `*` and `?` match any characters")]
    Glob,
    /// The text is not a range of counts.
    #[error("a number of attempts must be written as 3, =3, >=3, >3, <=3 or <3")]
    CountRange,
    /// No count is in the range.
    #[error("no number of attempts is below 0")]
    NoCount,
    /// The period ends before it begins.
    #[error("the period is empty, because it ends before it begins; swap its two times")]
    Period,
    /// The text to search for is empty.
    #[error("the text to search for must not be empty")]
    SearchText,
}

/// Selects messages. Every condition must be met; a new filter has none and selects all messages.
///
/// What a condition needs to know must be readable: a message that does not open is selected by
/// none of the conditions on its task, its arguments, or how often it was requeued. A
/// [`Report`](super::Report) counts the messages for which that decided.
///
/// ```
/// use ivy_proto::admin::{Filter, InvalidFilter};
/// use ivy_proto::wire::DeadLetterReason;
///
/// let filter = Filter::new()
///     .with_task("mail.*".parse()?)
///     .with_attempts(">=3".parse()?)
///     .with_reasons([DeadLetterReason::RetriesExhausted, DeadLetterReason::Fatal])
///     .not_requeued();
/// assert!(!filter.is_empty());
/// # Ok::<(), InvalidFilter>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    ids: BTreeSet<String>,
    task: Option<Glob>,
    reasons: BTreeSet<DeadLetterReason>,
    attempts: Option<CountRange>,
    period: Option<Period>,
    text: Option<SearchText>,
    not_requeued: bool,
    too_large: bool,
}

/// What a filter compares.
#[derive(Debug, Default)]
pub(super) struct Subject<'a> {
    /// The message's id in the queue that is looked through.
    pub(super) message: Option<&'a MessageId>,
    /// Its id in the queue that it was dead-lettered from.
    pub(super) origin: Option<&'a MessageId>,
    pub(super) task_id: Option<TaskId>,
    pub(super) task: Option<&'a str>,
    pub(super) reason: Option<DeadLetterReason>,
    /// Why it cannot be read, if it cannot.
    pub(super) unreadable: Option<DeadLetterReason>,
    /// The number of runs that ended.
    pub(super) attempts: Option<u32>,
    /// When it was dead-lettered, in milliseconds since 1970.
    pub(super) at: Option<u64>,
    pub(super) args: Option<&'a RawJson>,
    pub(super) error: Option<&'a str>,
    /// How often it was requeued, if it could be read.
    pub(super) requeued: Option<u32>,
    /// Whether it may be a dead letter whose envelope cannot be read.
    pub(super) is_letter_unread: bool,
    /// Whether its task cannot be read.
    pub(super) is_task_unread: bool,
    /// Whether its queue returned it without its body, because it is too large.
    pub(super) is_too_large: bool,
}

/// How a message compares with a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Selected,
    NotSelected,
    /// No condition excludes it, and one needs to know what cannot be read.
    Unknown,
}

impl Filter {
    /// A filter that selects all messages.
    #[must_use]
    pub fn new() -> Self {
        Filter::default()
    }

    /// Selects messages with this id or another one that is given in the same way. It may be the
    /// id of the message, its id in the queue that it was dead-lettered from, or its task's id.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.ids.insert(id.to_owned());
        self
    }

    /// Selects messages of tasks with these names.
    #[must_use]
    pub fn with_task(mut self, names: Glob) -> Self {
        self.task = Some(names);
        self
    }

    /// Selects dead letters with one of these reasons, and messages that cannot be read for one of
    /// them; none at all selects all of them.
    #[must_use]
    pub fn with_reasons(mut self, reasons: impl IntoIterator<Item = DeadLetterReason>) -> Self {
        self.reasons.extend(reasons);
        self
    }

    /// Selects messages by the number of their runs that ended.
    #[must_use]
    pub fn with_attempts(mut self, attempts: CountRange) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Selects messages that were dead-lettered in this period.
    #[must_use]
    pub fn with_period(mut self, period: Period) -> Self {
        self.period = Some(period);
        self
    }

    /// Selects messages that contain this text in their arguments or in their error.
    #[must_use]
    pub fn with_text(mut self, text: SearchText) -> Self {
        self.text = Some(text);
        self
    }

    /// Selects messages that were never requeued.
    #[must_use]
    pub fn not_requeued(mut self) -> Self {
        self.not_requeued = true;
        self
    }

    /// Selects messages that are larger than their queue returns. Without this condition, none of
    /// them is selected, because nothing is known of them.
    #[must_use]
    pub fn too_large(mut self) -> Self {
        self.too_large = true;
        self
    }

    /// Whether it selects all messages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether a condition applies to dead letters only.
    pub(super) fn needs_dead_letters(&self) -> bool {
        !self.reasons.is_empty() || self.period.is_some()
    }

    /// Whether messages of which nothing is known can be selected.
    pub(super) fn selects_too_large(&self) -> bool {
        self.too_large
    }

    pub(super) fn compare(&self, subject: &Subject<'_>) -> Comparison {
        let conditions = [
            self.is_id_met(subject),
            self.is_task_met(subject),
            self.is_reason_met(subject),
            self.is_attempts_met(subject),
            self.is_period_met(subject),
            self.is_text_met(subject),
            self.is_not_requeued_met(subject),
            Some(!self.too_large || subject.is_too_large),
        ];
        if conditions.contains(&Some(false)) {
            Comparison::NotSelected
        } else if conditions.contains(&None) {
            Comparison::Unknown
        } else {
            Comparison::Selected
        }
    }

    // Whether a condition is met; `None` if it needs to know what cannot be read.

    fn is_id_met(&self, subject: &Subject<'_>) -> Option<bool> {
        let ids = [subject.message, subject.origin];
        let is_named = ids.into_iter().flatten().any(|id| self.ids.contains(id.as_str()))
            || subject.task_id.is_some_and(|id| self.ids.contains(&id.to_string()));
        met(self.ids.is_empty() || is_named, subject.is_task_unread)
    }

    fn is_task_met(&self, subject: &Subject<'_>) -> Option<bool> {
        let Some(task) = &self.task else { return Some(true) };
        met(subject.task.is_some_and(|name| task.matches(name)), subject.is_task_unread)
    }

    fn is_reason_met(&self, subject: &Subject<'_>) -> Option<bool> {
        let reason = subject.reason.or(subject.unreadable);
        let has_reason = reason.is_some_and(|reason| self.reasons.contains(&reason));
        met(self.reasons.is_empty() || has_reason, subject.is_letter_unread)
    }

    fn is_attempts_met(&self, subject: &Subject<'_>) -> Option<bool> {
        let Some(range) = self.attempts else { return Some(true) };
        let is_unread = subject.attempts.is_none() && subject.is_task_unread;
        met(subject.attempts.is_some_and(|count| range.holds(count)), is_unread)
    }

    fn is_period_met(&self, subject: &Subject<'_>) -> Option<bool> {
        let Some(period) = self.period else { return Some(true) };
        met(subject.at.is_some_and(|at| period.holds(at)), subject.is_letter_unread)
    }

    fn is_text_met(&self, subject: &Subject<'_>) -> Option<bool> {
        let Some(text) = &self.text else { return Some(true) };
        let is_found = subject.args.is_some_and(|args| text.is_in_json(args.as_str()))
            || subject.error.is_some_and(|error| text.is_in(error));
        met(is_found, subject.is_task_unread)
    }

    fn is_not_requeued_met(&self, subject: &Subject<'_>) -> Option<bool> {
        met(!self.not_requeued || subject.requeued == Some(0), subject.is_task_unread)
    }
}

/// The result of a condition: not known if what it needs cannot be read.
fn met(is_met: bool, is_unread: bool) -> Option<bool> {
    if is_met { Some(true) } else { (!is_unread).then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(filter: &Filter, change: impl FnOnce(&mut Subject<'_>)) -> bool {
        let (message, origin) = (MessageId::new("7"), MessageId::new("6114"));
        let args = RawJson::parse(r#"["anna@example.org"]"#).unwrap();
        let mut subject = Subject {
            message: Some(&message),
            origin: Some(&origin),
            task_id: Some(TaskId::from_random([7; 16])),
            task: Some("mail.send"),
            reason: Some(DeadLetterReason::Fatal),
            unreadable: None,
            attempts: Some(3),
            at: Some(1_000),
            args: Some(&args),
            error: Some("out of luck"),
            requeued: Some(0),
            is_letter_unread: false,
            is_task_unread: false,
            is_too_large: false,
        };
        change(&mut subject);
        filter.compare(&subject) == Comparison::Selected
    }

    #[test]
    fn a_filter_without_conditions_selects_everything() {
        assert!(Filter::new().is_empty());
        assert_eq!(Filter::new().compare(&Subject::default()), Comparison::Selected);
    }

    #[test]
    fn each_id_of_a_message_selects_it() {
        for id in ["7", "6114", "BwcHBwcHBwcHBwcHBwcHBw"] {
            assert!(selects(&Filter::new().with_id("x").with_id(id), |_| {}), "{id}");
        }
        assert!(!selects(&Filter::new().with_id("611"), |_| {}));
    }

    #[test]
    fn every_condition_must_be_met() {
        let filter = || {
            Filter::new()
                .with_task("mail.*".parse().unwrap())
                .with_reasons([DeadLetterReason::Fatal])
                .with_attempts(">2".parse().unwrap())
                .with_period(Period::new(Some(1_000), Some(1_000)).unwrap())
                .with_text(SearchText::new("@example.org").unwrap())
                .not_requeued()
        };
        assert!(selects(&filter(), |_| {}));
        let changes: [fn(&mut Subject<'_>); 6] = [
            |it| it.task = Some("mall.send"),
            |it| it.reason = Some(DeadLetterReason::Deadline),
            |it| it.attempts = Some(2),
            |it| it.at = Some(999),
            |it| it.args = None,
            |it| it.requeued = Some(1),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(!selects(&filter(), change), "condition {number}");
        }
    }

    #[test]
    fn a_condition_on_something_unreadable_selects_nothing() {
        for filter in [
            Filter::new().with_task("*".parse().unwrap()),
            Filter::new().with_attempts(">=0".parse().unwrap()),
            Filter::new().with_text(SearchText::new("a").unwrap()),
            Filter::new().not_requeued(),
        ] {
            assert_eq!(filter.compare(&Subject::default()), Comparison::NotSelected, "{filter:?}");
        }
    }

    #[test]
    fn a_condition_on_something_unreadable_is_not_known_unless_another_one_excludes_the_message() {
        let message = MessageId::new("7");
        let sealed = Subject {
            message: Some(&message),
            is_letter_unread: true,
            is_task_unread: true,
            ..Subject::default()
        };
        let filters = || {
            [
                Filter::new().with_id("6114"),
                Filter::new().with_task("*".parse().unwrap()),
                Filter::new().with_reasons([DeadLetterReason::Fatal]),
                Filter::new().with_attempts(">=0".parse().unwrap()),
                Filter::new().with_period(Period::new(Some(0), None).unwrap()),
                Filter::new().with_text(SearchText::new("a").unwrap()),
                Filter::new().not_requeued(),
            ]
        };
        for filter in filters() {
            assert_eq!(filter.compare(&sealed), Comparison::Unknown, "{filter:?}");
        }
        assert_eq!(Filter::new().with_id("7").compare(&sealed), Comparison::Selected);
        // Its envelope is readable, and says that it does not match.
        let known = Subject { is_letter_unread: false, attempts: Some(1), at: Some(5), ..sealed };
        for excluding in [
            Filter::new().with_reasons([DeadLetterReason::Fatal]),
            Filter::new().with_attempts(">=2".parse().unwrap()),
            Filter::new().with_period(Period::new(Some(6), None).unwrap()),
        ] {
            let filter = excluding.with_task("*".parse().unwrap());
            assert_eq!(filter.compare(&known), Comparison::NotSelected, "{filter:?}");
        }
    }

    #[test]
    fn a_message_without_an_envelope_has_the_reason_for_which_it_cannot_be_read() {
        let unreadable = Some(DeadLetterReason::BadJson);
        let foreign = Subject { unreadable, is_task_unread: true, ..Subject::default() };
        let with = |reason| Filter::new().with_reasons([reason]);
        assert_eq!(with(DeadLetterReason::BadJson).compare(&foreign), Comparison::Selected);
        assert_eq!(with(DeadLetterReason::Fatal).compare(&foreign), Comparison::NotSelected);
    }

    #[test]
    fn messages_that_are_too_large_are_selected_by_no_other_condition() {
        let subject = |is_too_large| Subject {
            is_letter_unread: is_too_large,
            is_task_unread: is_too_large,
            is_too_large,
            ..Subject::default()
        };
        let too_large = || Filter::new().too_large();
        assert_eq!(too_large().compare(&subject(true)), Comparison::Selected);
        assert_eq!(too_large().compare(&subject(false)), Comparison::NotSelected);
        let with_task = too_large().with_task("*".parse().unwrap());
        assert_eq!(with_task.compare(&subject(true)), Comparison::Unknown);
    }

    #[test]
    fn the_text_is_searched_in_the_error_too() {
        assert!(selects(&Filter::new().with_text(SearchText::new("luck").unwrap()), |_| {}));
    }
}
