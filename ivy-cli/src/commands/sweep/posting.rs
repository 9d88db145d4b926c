//! Options about how messages are requeued or moved.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use ivy_proto::admin::Requeue;

use crate::duration;

/// How messages are posted.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Posting")]
pub(crate) struct PostingOptions {
    /// Keep the number of the attempt: one more run, instead of all retries again
    #[arg(long)]
    keep_attempts: bool,

    /// Remove deadlines. Messages whose deadline has passed are refused otherwise
    #[arg(long)]
    drop_deadline: bool,

    /// Post the bytes as they are, without opening them
    #[arg(long)]
    raw: bool,

    /// Post only the latest of several letters of one task
    #[arg(long)]
    one_per_task: bool,

    /// Post again if the reply to a post is lost: a task may be in its queue twice
    #[arg(long)]
    again_if_unknown: bool,

    /// Delay the messages by this time, such as 30s
    #[arg(long, value_parser = duration::parse)]
    delay: Option<Duration>,

    /// Post at most so many messages a second, such as 50/s
    #[arg(long)]
    rate: Option<Rate>,
}

impl PostingOptions {
    pub(in crate::commands) fn requeue(&self) -> Requeue {
        let mut requeue = Requeue::new().with_delay(self.delay.unwrap_or(Duration::ZERO));
        type Switch = fn(Requeue) -> Requeue;
        let switches: [(bool, Switch); 5] = [
            (self.keep_attempts, Requeue::keep_attempts),
            (self.drop_deadline, Requeue::drop_deadline),
            (self.raw, Requeue::raw),
            (self.one_per_task, Requeue::one_per_task),
            (self.again_if_unknown, Requeue::again_if_unknown),
        ];
        for (_, switch) in switches.into_iter().filter(|(is_on, _)| *is_on) {
            requeue = switch(requeue);
        }
        match self.rate {
            Some(Rate(rate)) => requeue.with_rate(rate),
            None => requeue,
        }
    }
}

/// A number of messages a second, with its unit as everywhere.
#[derive(Clone, Copy, Debug)]
struct Rate(NonZeroU32);

/// The text is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate must be a number of messages a second, such as 50/s")]
struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        text.strip_suffix("/s").and_then(ivy_proto::text::number).map(Rate).ok_or(InvalidRate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_a_second() {
        assert_eq!("50/s".parse::<Rate>().unwrap().0.get(), 50);
        for text in ["", "50", "/s", "0/s", "50/m", "-1", "fast"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
