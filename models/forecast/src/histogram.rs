//! The decaying histogram of the Kubernetes vertical pod autoscaler (VPA).
//!
//! Buckets grow by 5 %: bucket `i` starts at `first * (1.05^i - 1) / 0.05`. A sample's weight halves every half-life, which
//! is done the other way round: new samples weigh `2^(age of the reference / half-life)`, and only when that factor grows too
//! large are all weights scaled down. A percentile is the **end** of the bucket that reaches it, so up to 5 % too high and
//! never too low. Two differences to the VPA: an empty histogram answers `None`, not 0 (which makes a recommender that has
//! lost its history starve everything), and a bucket's weight never counts as gone merely because it is small.
//!
//! State: 176 weights, 1.4 kB. Cost: `add` 8 comparisons and one short series; `percentile` at most 176 additions.

use serde::{Deserialize, Serialize};

use crate::decay::half_power;

/// End of the first bucket for CPU, in cores.
pub const FIRST_BUCKET_CORES: f64 = 0.01;

/// End of the first bucket for memory, in bytes.
pub const FIRST_BUCKET_BYTES: f64 = 1e7;

/// Half-life of a sample in the VPA: a day.
pub const HALF_LIFE_MS: u64 = 86_400_000;

/// Each bucket is this much wider than the one before.
pub const BUCKET_GROWTH: f64 = 1.05;

/// The last bucket starts at 102,000 times the first bucket's end: 1,020 cores, 1.02e12 bytes. It holds whatever is larger.
pub const BUCKETS: usize = 176;

/// After so many half-lives the weights are scaled down: far from overflow (1023), and rare.
const RESCALE_HALF_LIVES: f64 = 64.0;

/// Where each bucket starts, in units of the first bucket's end.
static STARTS: [f64; BUCKETS] = starts();

/// A histogram of nonnegative samples in which old ones fade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecayingHistogram {
    first_bucket: f64,
    half_life: f64,
    /// The time at which a sample of weight 1 is stored as 1.
    reference: u64,
    weights: Box<[f64]>,
    /// Invariant: the sum of `weights`, up to rounding.
    total: f64,
}

impl DecayingHistogram {
    /// An empty histogram. `first_bucket` is in the unit of the samples ([`FIRST_BUCKET_CORES`], [`FIRST_BUCKET_BYTES`]),
    /// `half_life` in the unit of the times given to [`add`](Self::add) (ms, steps, ...); both positive.
    pub fn new(first_bucket: f64, half_life: u64) -> Self {
        Self { first_bucket, half_life: half_life as f64, reference: 0, weights: [0.0; BUCKETS].into(), total: 0.0 }
    }

    /// Adds a finite, nonnegative sample. A late sample (before the newest) gets the weight it would have by now.
    pub fn add(&mut self, time: u64, sample: f64, weight: f64) {
        let weight = weight * self.factor(time);
        self.weights[self.bucket(sample)] += weight;
        self.total += weight;
    }

    /// Takes back a sample that was added with the same time and weight: the VPA does so when a day's memory peak grows.
    pub fn subtract(&mut self, time: u64, sample: f64, weight: f64) {
        let weight = weight * self.factor(time);
        let bucket = self.bucket(sample);
        self.weights[bucket] = (self.weights[bucket] - weight).max(0.0);
        self.total = self.weights.iter().sum(); // afresh: a difference could leave a rounding error that looks like a sample
    }

    /// Is nothing known?
    pub fn is_empty(&self) -> bool {
        self.total <= 0.0
    }

    /// The end of the first bucket up to which at least the share `level` (0..=1) of all weight lies; `None` if empty.
    ///
    /// The last bucket has no end and answers its start.
    ///
    /// | samples in cores | level | answer |
    /// |---|---|---|
    /// | 1.0 | any | 1.0163 (end of bucket 36) |
    /// | nine of 0.1, one of 1.0 | 0.9 | 0.1103 (end of bucket 8) |
    /// | nine of 0.1, one of 1.0 | 0.95 | 1.0163 |
    pub fn percentile(&self, level: f64) -> Option<f64> {
        let threshold = level * self.total;
        let mut below = 0.0;
        let mut highest = None;
        for (bucket, &weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            highest = Some(bucket);
            below += weight;
            if below >= threshold {
                break;
            }
        }
        highest.map(|bucket| STARTS[(bucket + 1).min(BUCKETS - 1)] * self.first_bucket)
    }

    fn bucket(&self, sample: f64) -> usize {
        debug_assert!(sample.is_finite() && sample >= 0.0, "a sample is a finite nonnegative number, not {sample}");
        let scaled = sample / self.first_bucket;
        STARTS.partition_point(|start| *start <= scaled).saturating_sub(1)
    }

    /// What a weight given at `time` counts at the reference, which moves on when it lies too far back.
    fn factor(&mut self, time: u64) -> f64 {
        let half_lives = time.abs_diff(self.reference) as f64 / self.half_life;
        if time <= self.reference {
            return half_power(half_lives);
        }
        if half_lives <= RESCALE_HALF_LIVES {
            return 1.0 / half_power(half_lives);
        }
        let fade = half_power(half_lives);
        self.weights.iter_mut().for_each(|weight| *weight *= fade);
        self.total = self.weights.iter().sum();
        self.reference = time;
        1.0
    }
}

const fn starts() -> [f64; BUCKETS] {
    let mut starts = [0.0; BUCKETS];
    let mut width = 1.0;
    let mut bucket = 1;
    while bucket < BUCKETS {
        starts[bucket] = starts[bucket - 1] + width;
        width *= BUCKET_GROWTH;
        bucket += 1;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24;

    fn cores() -> DecayingHistogram {
        DecayingHistogram::new(FIRST_BUCKET_CORES, DAY)
    }

    /// End of bucket `i` in cores, from the closed form: 0.01 * (1.05^(i + 1) - 1) / 0.05.
    fn end(bucket: i32) -> f64 {
        0.01 * (1.05_f64.powi(bucket + 1) - 1.0) / 0.05
    }

    fn close(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found / wanted - 1.0).abs() < 1e-12)
    }

    #[test]
    fn buckets_follow_the_closed_form() {
        // 1 core: 1.05^i <= 1 + 1 * 0.05 / 0.01 = 6, i = floor(ln 6 / ln 1.05) = floor(36.72) = 36.
        // 0.1 core: 1.05^i <= 1.5, i = floor(8.31) = 8. The last: 1.05^175 <= 1 + 0.05 x, x = 1.0204e5.
        assert_eq!(cores().bucket(1.0), 36);
        assert_eq!(cores().bucket(0.1), 8);
        assert_eq!(cores().bucket(0.0), 0);
        assert_eq!(cores().bucket(1e9), BUCKETS - 1);
        assert!((STARTS[175] / 102_000.0 - 1.0).abs() < 0.002);
    }

    #[test]
    fn percentile_is_the_end_of_the_bucket_and_none_when_empty() {
        let mut histogram = cores();
        assert!(histogram.is_empty());
        assert_eq!(histogram.percentile(0.9), None);
        (0..9).for_each(|_| histogram.add(0, 0.1, 1.0));
        histogram.add(0, 1.0, 1.0);
        assert!(close(histogram.percentile(0.9), end(8)));
        assert!(close(histogram.percentile(0.95), end(36)));
        assert!(close(histogram.percentile(1.0), end(36)));
    }

    #[test]
    fn a_sample_halves_every_half_life() {
        let mut histogram = cores();
        (0..4).for_each(|_| histogram.add(0, 1.0, 1.0));
        histogram.add(2 * DAY, 0.1, 1.0);
        // Two half-lives later the four old ones weigh 1 together, as much as the new one: the median is the small value.
        assert!(close(histogram.percentile(0.5), end(8)));
        assert!(close(histogram.percentile(0.51), end(36)));
    }

    #[test]
    fn rescaling_changes_no_percentile() {
        let mut histogram = cores();
        histogram.add(1, 1.0, 1.0);
        histogram.add(200 * DAY, 0.1, 1.0);
        // The old sample is down to 2^-200 of the new one: it still exists, but only level 1 could see it.
        assert!(close(histogram.percentile(0.999), end(8)));
        assert!(histogram.total.is_finite() && histogram.total < 2.0);
    }

    #[test]
    fn subtract_takes_back() {
        let mut histogram = cores();
        histogram.add(3, 0.1, 1.0);
        let before = histogram.clone();
        histogram.add(5, 1.0, 1.0);
        histogram.subtract(5, 1.0, 1.0);
        assert_eq!(histogram, before);
        histogram.subtract(3, 0.1, 1.0);
        assert_eq!(histogram.percentile(0.5), None);
    }
}
