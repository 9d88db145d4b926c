//! The minimum rate of a body.

use std::time::Duration;

use tokio::time::Instant;

/// How long any body may take.
const INITIAL_TIME: Duration = Duration::from_secs(30);
/// The longest pause between two pieces of a body.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// The minimum rate beyond [`INITIAL_TIME`], in bytes per second. The largest body takes at most
/// two and a half minutes.
const MIN_RATE: usize = 256 * 1024;

/// The minimum rate of a body: a deadline that grows with the bytes received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinRate {
    started: Instant,
    length: usize,
}

impl MinRate {
    pub(crate) fn start(now: Instant) -> Self {
        MinRate { started: now, length: 0 }
    }

    /// How many bytes have arrived.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.length += bytes;
    }

    /// Excludes a time in which the body was not read.
    pub(crate) fn exclude(&mut self, time: Duration) {
        self.started += time;
    }

    /// The deadline of the next piece.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        let extra = Duration::from_secs((self.length / MIN_RATE) as u64);
        (self.started + INITIAL_TIME + extra).min(now + MAX_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_has_half_a_minute_plus_time_for_its_length() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut rate = MinRate::start(start);
        assert_eq!(rate.deadline(start), after(30));
        rate.received(20 * MIN_RATE);
        assert_eq!(rate.deadline(start), after(30), "a pause is still limited to 30 s");
        assert_eq!(rate.deadline(after(25)), after(50));
        rate.exclude(Duration::from_secs(5));
        assert_eq!(rate.deadline(after(30)), after(55));
    }
}
