//! Options that select messages.

use std::str::FromStr;

use ivy_proto::admin::{CountRange, Filter, Glob, InvalidFilter, Period, SearchText, SweepConfig};
use ivy_proto::inspect::Timestamp;
use ivy_proto::text::number;
use ivy_tokio::DeadLetterReason;

use crate::commands::time::now;
use crate::duration;
use crate::exit::Failure;

/// Which messages are selected. All conditions must be met; without one, all messages are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filter")]
pub(crate) struct FilterOptions {
    /// Only this message: its id, its id in the queue that it came from, or its task's id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    id: Vec<String>,

    /// Only tasks of these names: `*` matches any characters, and `?` one character
    #[arg(long, value_name = "GLOB")]
    task: Option<Glob>,

    /// Only messages that were dead-lettered for one of these reasons, such as Fatal,BadArgs, or that
    /// cannot be read for one of them
    #[arg(long, value_name = "REASONS", value_delimiter = ',', value_parser = reason)]
    reason: Vec<DeadLetterReason>,

    /// Only messages with so many attempts, such as 3, '>=3' or '<3'
    #[arg(long, value_name = "RANGE")]
    attempts: Option<CountRange>,

    /// Only messages that were dead-lettered since then: a duration before now, such as 2h; a time,
    /// such as '2026-11-30 02:39:20 UTC' or 2026-11-30T02:39:20Z; or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,

    /// Only messages that were dead-lettered until then
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,

    /// Only messages that contain this text in their arguments or their error
    #[arg(long, value_name = "TEXT", value_parser = SearchText::new)]
    contains: Option<SearchText>,

    /// Only messages that were never requeued
    #[arg(long)]
    not_requeued: bool,
}

/// A time in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Time(u64);

/// The text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidTime {
    #[error("a time must be a duration before now, such as 2h; or such as 2026-11-30T02:39:20Z")]
    Form,
    #[error(
        "a unit is missing, as in 2h, or these are seconds: as a number, a time is in milliseconds since 1970"
    )]
    Unit,
}

/// A smaller number of milliseconds since 1970 lies in 1973 or before: it was not meant.
const SMALLEST: u64 = 100_000_000_000;

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        if let Some(millis) = number(text).filter(|_| !text.is_empty()) {
            return if millis < SMALLEST { Err(InvalidTime::Unit) } else { Ok(Time(millis)) };
        }
        if let Ok(Timestamp(millis)) = text.parse() {
            return Ok(Time(millis));
        }
        let before = duration::parse(text).map_err(|_| InvalidTime::Form)?;
        let before = u64::try_from(before.as_millis()).map_err(|_| InvalidTime::Form)?;
        Ok(Time(now().saturating_sub(before)))
    }
}

fn reason(text: &str) -> Result<DeadLetterReason, String> {
    text.parse().map_err(|_| {
        let names = DeadLetterReason::ALL.map(DeadLetterReason::as_str).join(", ");
        format!("the reasons are {names}")
    })
}

impl FilterOptions {
    /// Adds the filter to a sweep that looks at so many messages at most.
    pub(in crate::commands) fn apply(
        &self,
        config: SweepConfig,
        limit: Option<usize>,
    ) -> Result<SweepConfig, Failure> {
        let config = config.with_filter(self.filter()?);
        Ok(match limit {
            Some(limit) => config.with_limit(limit),
            None => config,
        })
    }

    pub(in crate::commands) fn filter(&self) -> Result<Filter, Failure> {
        self.to_filter().map_err(Failure::usage)
    }

    fn to_filter(&self) -> Result<Filter, InvalidFilter> {
        let mut filter = self.id.iter().fold(Filter::new(), |filter, id| filter.with_id(id));
        if let Some(task) = &self.task {
            filter = filter.with_task(task.clone());
        }
        if !self.reason.is_empty() {
            filter = filter.with_reasons(self.reason.iter().copied());
        }
        if let Some(attempts) = self.attempts {
            filter = filter.with_attempts(attempts);
        }
        if self.since.is_some() || self.until.is_some() {
            let millis = |time: Option<Time>| time.map(|Time(millis)| millis);
            filter = filter.with_period(Period::new(millis(self.since), millis(self.until))?);
        }
        if let Some(text) = &self.contains {
            filter = filter.with_text(text.clone());
        }
        Ok(if self.not_requeued { filter.not_requeued() } else { filter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_duration_before_now_or_a_date_or_milliseconds() {
        assert_eq!("1700000000000".parse::<Time>().unwrap().0, 1_700_000_000_000);
        let hour_ago: Time = "1h".parse().unwrap();
        assert!((3_599_000..3_660_000).contains(&(now() - hour_ago.0)));
        for text in ["2023-11-14 22:13:20 UTC", "2023-11-14T22:13:20Z"] {
            assert_eq!(text.parse::<Time>().unwrap().0, 1_700_000_000_000, "{text}");
        }
        for text in ["", "yesterday", "-1h", "1.5h"] {
            assert_eq!(text.parse::<Time>().unwrap_err(), InvalidTime::Form, "{text}");
        }
    }

    #[test]
    fn seconds_since_1970_and_numbers_without_a_unit_are_refused() {
        for text in ["0", "2", "1796003621", "99999999999"] {
            assert_eq!(text.parse::<Time>().unwrap_err(), InvalidTime::Unit, "{text}");
        }
    }
}
