//! How the trace of a handler is related to the span that sent its task.

use crate::wire::IvyOptions;

/// Whether handlers continue the traces of their callers, or begin traces of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceRelation {
    /// A task that its caller waits for and that starts at once continues the caller's trace. What
    /// runs on its own has its own trace, with a link to the span that sent it: tasks that nobody
    /// waits for, delayed ones, retries, redeliveries, and what was requeued from the dead letters.
    #[default]
    Auto,
    /// Every handler begins a trace, with a link to the span that sent its task.
    Link,
    /// Every handler continues the trace of the span that sent its task, however long ago that was.
    Parent,
}

/// How the span of one handler is related to the span that sent its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is a child of the sender's span, in the same trace.
    Parent,
    /// It begins a trace, with a link to the sender's span.
    Link,
}

impl TraceRelation {
    /// The relation of a run of a message with these options. `is_first`: it is the first delivery
    /// of the first attempt, and was not postponed.
    pub(super) fn of_run(self, ivy: Option<&IvyOptions>, is_first: bool) -> Relation {
        let is_parent = match self {
            TraceRelation::Auto => {
                is_first && ivy.is_some_and(|ivy| ivy.reply.is_some() && starts_at_once(ivy))
            }
            TraceRelation::Link => false,
            TraceRelation::Parent => true,
        };
        if is_parent { Relation::Parent } else { Relation::Link }
    }
}

/// Whether the task was due when it was called. A delayed call with a trace context contains both
/// times.
fn starts_at_once(ivy: &IvyOptions) -> bool {
    let is_delayed = ivy.called.zip(ivy.due).is_some_and(|(called, due)| due > called);
    ivy.requeued == 0 && !is_delayed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskId;

    fn call() -> IvyOptions {
        let mut ivy = IvyOptions::new(TaskId::from_random([1; 16]));
        ivy.reply = Some("ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA".into());
        (ivy.called, ivy.due) = (Some(1_000), Some(1_000));
        ivy
    }

    fn auto(change: impl FnOnce(&mut IvyOptions)) -> Relation {
        let mut ivy = call();
        change(&mut ivy);
        TraceRelation::Auto.of_run(Some(&ivy), true)
    }

    #[test]
    fn a_call_that_starts_at_once_continues_the_trace_of_its_caller() {
        assert_eq!(auto(|_| {}), Relation::Parent);
        assert_eq!(auto(|ivy| ivy.called = None), Relation::Parent, "no delay is known");
        assert_eq!(auto(|ivy| ivy.due = None), Relation::Parent, "no delay is known");
    }

    #[test]
    fn what_nobody_waits_for_is_linked() {
        assert_eq!(auto(|ivy| ivy.reply = None), Relation::Link);
        assert_eq!(TraceRelation::Auto.of_run(None, true), Relation::Link);
    }

    #[test]
    fn what_was_delayed_is_linked() {
        assert_eq!(auto(|ivy| ivy.due = Some(1_001)), Relation::Link);
    }

    #[test]
    fn what_was_requeued_is_linked() {
        assert_eq!(auto(|ivy| ivy.requeued = 1), Relation::Link);
    }

    #[test]
    fn all_but_the_first_run_are_linked() {
        assert_eq!(TraceRelation::Auto.of_run(Some(&call()), false), Relation::Link);
    }

    #[test]
    fn a_fixed_relation_holds_for_every_run() {
        for is_first in [true, false] {
            for ivy in [None, Some(&call())] {
                assert_eq!(TraceRelation::Link.of_run(ivy, is_first), Relation::Link);
                assert_eq!(TraceRelation::Parent.of_run(ivy, is_first), Relation::Parent);
            }
        }
    }
}
