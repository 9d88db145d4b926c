//! Limits how often connections are opened to a server whose replies are invalid.

use std::time::Duration;

use ivy_proto::notify::NotifyFaultKind;
use ivy_proto::{Backoff, Moment};

use crate::error_reply::RedisError;

/// How many errors in a row cause the first pause. Fewer may have a temporary cause.
const ERRORS_BEFORE_PAUSE: u32 = 5;
/// The first pause and the following ones.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(1), 2, Duration::from_secs(30));
/// After this time without an error, the next one counts as the first.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// What an operator can do about the errors.
const ADVICE: &str =
    "check that the address is that of a Redis server, and that no proxy changes its replies";

/// The connections that were closed because the server sent a reply that no request asked for, or
/// bytes that are no reply.
///
/// Each may have served requests before, so that no single request shows how often connections are
/// replaced. After several errors in a row, no connection is opened during a pause,
/// and requests fail immediately. Whoever sent them reports that and repeats them.
#[derive(Debug, Default)]
pub(crate) struct ProtocolErrors {
    in_a_row: u32,
    last: Option<(Moment, RedisError)>,
}

impl ProtocolErrors {
    /// Records that a connection was closed.
    pub(crate) fn record(&mut self, error: &RedisError, now: Moment) {
        let is_recent = |(at, _): &(Moment, RedisError)| now.since(*at) < FORGOTTEN_AFTER;
        if !self.last.as_ref().is_some_and(is_recent) {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = Some((now, error.clone()));
    }

    /// Why no connection may be opened now, if so.
    pub(crate) fn refusal(&self, now: Moment) -> Option<RedisError> {
        let (at, error) = self.last.as_ref()?;
        let pause =
            self.in_a_row.checked_sub(ERRORS_BEFORE_PAUSE).map(|earlier| PAUSE.ceiling(earlier))?;
        (now < *at + pause).then(|| RedisError {
            kind: NotifyFaultKind::Unreachable,
            detail: format!("{} ({} times in a row); {ADVICE}", error.detail, self.in_a_row),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Moment {
        Moment::EPOCH + Duration::from_millis(millis)
    }

    fn error() -> RedisError {
        RedisError { kind: NotifyFaultKind::ConnectionLost, detail: "not a reply".to_owned() }
    }

    #[test]
    fn connections_are_opened_less_and_less_often() {
        let mut errors = ProtocolErrors::default();
        let mut pauses = Vec::new();
        let mut now = after(0);
        for _ in 0..11 {
            errors.record(&error(), now);
            let at = now;
            while errors.refusal(now).is_some() {
                now = now + Duration::from_millis(500);
            }
            pauses.push(now.since(at).as_secs());
        }
        assert_eq!(pauses, [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn errors_are_forgotten_after_a_minute_without_one() {
        let mut errors = ProtocolErrors::default();
        (1..ERRORS_BEFORE_PAUSE).for_each(|_| errors.record(&error(), after(0)));
        errors.record(&error(), after(60_000));
        assert_eq!(errors.refusal(after(60_000)), None);
        (1..ERRORS_BEFORE_PAUSE).for_each(|_| errors.record(&error(), after(119_999)));
        let refusal = errors.refusal(after(120_998)).unwrap();
        assert_eq!(refusal.kind, NotifyFaultKind::Unreachable);
        assert!(refusal.detail.starts_with("not a reply (5 times"), "{}", refusal.detail);
        assert_eq!(errors.refusal(after(120_999)), None);
    }
}
