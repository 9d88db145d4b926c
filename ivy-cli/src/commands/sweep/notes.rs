//! What a sweep did not look at, or could not read.

use ivy_proto::QueueName;
use ivy_proto::admin::{Obstacle, Plan, Report, Truncated};
use ivy_proto::text::Counted;

/// How long the messages that a command leaves reserved are hidden at most after its end.
const LONGEST_LEASE: &str = "two minutes";

/// What a sweep that shows messages did not show, and why.
pub(in crate::commands) fn of_look(report: &Report, is_limited: bool) -> Vec<String> {
    let not_seen = not_seen(report, is_limited);
    not_seen.into_iter().chain(Unread::of_report(report).texts()).collect()
}

/// Which messages of its queue a sweep did not look at, and why; `None` if it looked at all.
pub(super) fn not_seen(report: &Report, is_limited: bool) -> Option<String> {
    let Report { queue, looked_at, size, not_looked_at: left, truncated, .. } = report;
    let all = Counted(left + *looked_at as u64, "message", "messages");
    match truncated {
        Some(why) if *left > 0 => Some(format!(
            "{left} of {all} of {queue} were not looked at: {}",
            self::why(*why, is_limited, queue)
        )),
        None if *left > 0 => Some(format!(
            "{left} of {all} of {queue} are reserved or delayed, and were not looked at; those that \
             another `ivy` command reserved return at most {LONGEST_LEASE} after its end"
        )),
        Some(Truncated::Limit) => {
            let size = size.filter(|size| *size > *looked_at as u64)?;
            Some(format!(
                "{looked_at} of {size} messages of {queue} were looked at, as --limit says"
            ))
        }
        _ => None,
    }
}

/// Why a sweep did not look at all messages of a queue.
pub(super) fn why(why: Truncated, is_limited: bool, queue: &QueueName) -> String {
    let more = match why {
        Truncated::Limit if queue.of_dead_letters().is_none() => "; repeat the command",
        Truncated::Limit if !is_limited => "; give --limit to look at more",
        _ => "",
    };
    format!("{why}{more}")
}

/// Messages that were not read, and so not compared with a filter.
pub(in crate::commands) struct Unread<'a> {
    queue: &'a QueueName,
    looked_at: usize,
    not_compared: usize,
    too_large: usize,
}

impl<'a> Unread<'a> {
    pub(in crate::commands) fn of_report(report: &'a Report) -> Self {
        let Report { queue, looked_at, not_compared, too_large, .. } = report;
        let (not_compared, too_large) = (*not_compared, *too_large);
        Unread { queue, looked_at: *looked_at, not_compared, too_large }
    }

    pub(super) fn of_plan(plan: &'a Plan) -> Self {
        let count = |obstacle| plan.obstacles.get(&obstacle).copied().unwrap_or(0);
        Unread {
            queue: &plan.queue,
            looked_at: plan.looked_at,
            not_compared: count(Obstacle::NotCompared),
            too_large: count(Obstacle::NotReturned),
        }
    }

    pub(in crate::commands) fn texts(&self) -> Vec<String> {
        let Unread { queue, looked_at, not_compared, too_large } = self;
        let of_all = format!("of {} of {queue}", Counted(*looked_at as u64, "message", "messages"));
        let mut texts = Vec::new();
        if *not_compared > 0 {
            texts.push(format!(
                "{not_compared} {of_all} could not be read, so were not compared with the filter; sealed \
                 ones need the key of their sender (--keyset)"
            ));
        }
        if *too_large > 0 {
            texts.push(format!(
                "{too_large} {of_all} are larger than 1 MiB, so were not read, and stay; to delete \
                 them: ivy dead delete {queue} --too-large"
            ));
        }
        texts
    }
}
