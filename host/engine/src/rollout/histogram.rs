//! How often something took how long, in constant memory.

use std::time::Duration;

/// Buckets for each doubling: a quantile is off by a fifth at most.
const PER_OCTAVE: usize = 4;

/// Doublings from a microsecond: the last bucket begins at 38 hours.
const OCTAVES: usize = 37;

/// Counts of times, by size.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: [u64; PER_OCTAVE * OCTAVES + 1],
    count: u64,
    sum: Duration,
    maximum: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; PER_OCTAVE * OCTAVES + 1],
            count: 0,
            sum: Duration::ZERO,
            maximum: Duration::ZERO,
        }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        self.buckets[bucket(time)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(time);
        self.maximum = self.maximum.max(time);
    }

    pub(super) fn maximum(&self) -> Duration {
        self.maximum
    }

    pub(super) fn mean(&self) -> Duration {
        match u32::try_from(self.count) {
            Ok(0) => Duration::ZERO,
            Ok(count) => self.sum / count,
            Err(_) => Duration::from_secs_f64(self.sum.as_secs_f64() / self.count as f64),
        }
    }

    /// A time that this share of all is not longer than: the end of the bucket
    /// it is in, and never more than the longest.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && at < PER_OCTAVE * OCTAVES {
                return end(at).min(self.maximum);
            }
        }
        self.maximum
    }
}

fn bucket(time: Duration) -> usize {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1.0 {
        return 0;
    }
    let at = 1 + (micros.log2() * PER_OCTAVE as f64) as usize;
    at.min(PER_OCTAVE * OCTAVES)
}

fn end(bucket: usize) -> Duration {
    let micros = (bucket as f64 / PER_OCTAVE as f64).exp2();
    Duration::from_secs_f64(micros * 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_and_never_below() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share).as_secs_f64() * 1e6;
            assert!(
                (exact..=exact * 1.2).contains(&found),
                "{share}: {found}, not {exact}"
            );
        }
        assert_eq!(histogram.mean(), Duration::from_nanos(500_500));
        assert_eq!(histogram.maximum(), Duration::from_millis(1));
    }

    #[test]
    fn any_time_has_a_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        histogram.add(Duration::ZERO);
        histogram.add(Duration::MAX);
        assert_eq!(histogram.quantile(1.0), Duration::MAX);
        assert_eq!(histogram.maximum(), Duration::MAX);
    }
}
