//! Histograms of durations.

use std::time::Duration;

/// The number of bounds of a histogram.
const BOUNDS: usize = 20;

/// The bounds of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scale {
    /// From 1 ms to an hour: how long tasks wait and run.
    Tasks,
    /// From 0.5 ms to a minute: how long requests take.
    Requests,
}

/// In microseconds. Each bound is at least 3/2 of the one before.
const TASKS: [u64; BOUNDS] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];
const REQUESTS: [u64; BOUNDS] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000, 300_000, 500_000,
    1_000_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000, 20_000_000, 30_000_000, 60_000_000,
];

impl Scale {
    /// The upper bounds, in microseconds, in ascending order.
    #[must_use]
    pub const fn bounds(self) -> &'static [u64; BOUNDS] {
        match self {
            Scale::Tasks => &TASKS,
            Scale::Requests => &REQUESTS,
        }
    }

    /// The bucket that counts this duration.
    fn bucket(self, micros: u64) -> usize {
        let (bounds, first) = match self {
            Scale::Tasks => (&TASKS, &FIRST_OF_TASKS),
            Scale::Requests => (&REQUESTS, &FIRST_OF_REQUESTS),
        };
        let mut bucket = usize::from(first[significant_bits(micros)]);
        // At most two bounds have the same number of bits.
        while bounds.get(bucket).is_some_and(|bound| *bound < micros) {
            bucket += 1;
        }
        bucket
    }
}

/// By number of significant bits, the first bucket that may count such a number.
const FIRST_OF_TASKS: [u8; 65] = first_buckets(&TASKS);
const FIRST_OF_REQUESTS: [u8; 65] = first_buckets(&REQUESTS);

const fn first_buckets(bounds: &[u64; BOUNDS]) -> [u8; 65] {
    let mut first = [0; 65];
    let mut bits = 0;
    let mut bucket = 0;
    while bits < first.len() {
        while (bucket as usize) < BOUNDS && significant_bits(bounds[bucket as usize]) < bits {
            bucket += 1;
        }
        first[bits] = bucket;
        bits += 1;
    }
    first
}

const fn significant_bits(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}

/// How many durations were at most as long as each of twenty bounds, and their sum. Counts
/// saturate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    scale: Scale,
    /// How many fall into each bucket; the last one holds what exceeds all bounds.
    buckets: [u64; BOUNDS + 1],
    micros: u64,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub const fn new(scale: Scale) -> Self {
        Histogram { scale, buckets: [0; BOUNDS + 1], micros: 0 }
    }

    /// A histogram with these counts; `None` if there are more counts than buckets. Missing ones
    /// are 0.
    #[must_use]
    pub fn from_parts(scale: Scale, counts: &[u64], micros: u64) -> Option<Self> {
        let mut buckets = [0; BOUNDS + 1];
        buckets.get_mut(..counts.len())?.copy_from_slice(counts);
        Some(Histogram { scale, buckets, micros })
    }

    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        let micros = duration.as_secs().saturating_mul(1_000_000);
        self.record_micros(micros.saturating_add(u64::from(duration.subsec_micros())));
    }

    /// Counts a duration of this many microseconds.
    pub(crate) fn record_micros(&mut self, micros: u64) {
        if let Some(count) = self.buckets.get_mut(self.scale.bucket(micros)) {
            *count = count.saturating_add(1);
        }
        self.micros = self.micros.saturating_add(micros);
    }

    /// The bounds.
    #[must_use]
    pub const fn scale(&self) -> Scale {
        self.scale
    }

    /// How many durations fall into each bucket: above the bound before, up to its own. The last
    /// bucket has no bound.
    #[must_use]
    pub const fn buckets(&self) -> &[u64; BOUNDS + 1] {
        &self.buckets
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The sum of all durations, to the microsecond.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_micros(self.micros)
    }

    /// The upper bound of the bucket that contains this quantile, from 0 to 1: the true value is
    /// not larger. `None` if nothing was counted, or if the value exceeds all bounds.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank between 1 and the count; the error is far below a bucket"
        )]
        let rank = ((quantile.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0_u64;
        let bucket = self.buckets.iter().position(|count| {
            seen = seen.saturating_add(*count);
            seen >= rank
        })?;
        self.scale.bounds().get(bucket).map(|bound| Duration::from_micros(*bound))
    }

    pub(super) fn combine(&mut self, other: &Histogram, combine: fn(u64, u64) -> u64) {
        for (count, other) in self.buckets.iter_mut().zip(&other.buckets) {
            *count = combine(*count, *other);
        }
        self.micros = combine(self.micros, other.micros);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_ascend_from_a_millisecond_to_an_hour_and_from_half_of_one_to_a_minute() {
        for (scale, first, last) in
            [(Scale::Tasks, 1_000, 3_600_000_000), (Scale::Requests, 500, 60_000_000)]
        {
            let bounds = scale.bounds();
            assert_eq!((bounds[0], bounds[BOUNDS - 1]), (first, last));
            assert!(bounds.windows(2).all(|pair| pair[0] * 3 <= pair[1] * 2), "{scale:?}");
        }
    }

    #[test]
    fn a_duration_counts_up_to_its_bound() {
        let mut histogram = Histogram::new(Scale::Tasks);
        for micros in [0, 1_000, 1_001, 2_500, u64::MAX] {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.buckets()[..2], [2, 2]);
        assert_eq!(histogram.buckets()[BOUNDS], 1);
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.sum(), Duration::from_micros(u64::MAX), "it saturates");
    }

    #[test]
    fn each_bound_belongs_to_its_own_bucket_and_what_exceeds_it_to_the_next() {
        for scale in [Scale::Tasks, Scale::Requests] {
            for (bucket, bound) in scale.bounds().iter().enumerate() {
                assert_eq!(scale.bucket(*bound), bucket, "{scale:?} {bound}");
                assert_eq!(scale.bucket(*bound + 1), bucket + 1, "{scale:?} {bound}");
            }
            assert_eq!((scale.bucket(0), scale.bucket(u64::MAX)), (0, BOUNDS), "{scale:?}");
        }
    }

    #[test]
    fn an_empty_histogram_has_no_quantiles() {
        assert_eq!(Histogram::new(Scale::Tasks).quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_quantile_bounds_the_true_value(
            mut millis in proptest::collection::vec(0_u64..3_600_000, 1..50),
            quantile in 0.0_f64..=1.0,
        ) {
            let mut histogram = Histogram::new(Scale::Tasks);
            for millis in &millis {
                histogram.record(Duration::from_millis(*millis));
            }
            millis.sort_unstable();
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rank = ((quantile * millis.len() as f64).ceil() as usize).max(1);
            let bound = histogram.quantile(quantile).unwrap();
            prop_assert!(Duration::from_millis(millis[rank - 1]) <= bound);
        }
    }
}
