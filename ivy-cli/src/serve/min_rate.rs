//! How slowly a body may come.

use std::time::Duration;

use tokio::time::Instant;

/// How long any body may take, and the longest pause between two pieces of one.
const PATIENCE: Duration = Duration::from_secs(30);
/// What must come each second beyond that time, in bytes. The largest body takes at most two and a
/// half minutes so.
const LEAST_RATE: usize = 256 * 1024;

/// The pace of a body: a limit for the whole of it, which grows with what has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinRate {
    started: Instant,
    length: usize,
}

impl MinRate {
    pub(crate) fn start(now: Instant) -> Self {
        MinRate { started: now, length: 0 }
    }

    /// How much has come.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn came(&mut self, bytes: usize) {
        self.length += bytes;
    }

    /// Leaves out a time in which the body was not read.
    pub(crate) fn leave_out(&mut self, time: Duration) {
        self.started += time;
    }

    /// When the next piece must have come.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        let earned = Duration::from_secs((self.length / LEAST_RATE) as u64);
        (self.started + PATIENCE + earned).min(now + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_has_half_a_minute_and_what_it_earns_by_its_length() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut rate = MinRate::start(start);
        assert_eq!(rate.deadline(start), after(30));
        rate.came(20 * LEAST_RATE);
        assert_eq!(rate.deadline(start), after(30), "a pause is as long as ever");
        assert_eq!(rate.deadline(after(25)), after(50));
        rate.leave_out(Duration::from_secs(5));
        assert_eq!(rate.deadline(after(30)), after(55));
    }
}
