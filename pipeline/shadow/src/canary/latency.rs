//! Latency: how often each side is slower than the baseline's own quantiles.
//!
//! A histogram of the baseline's answers so far gives its quantile q at the start of a tick. On the rung "slower by the
//! factor r", answers of the canary above r q and of the baseline above q are counted; were the canary's quantile r times
//! the baseline's, as many of each would be expected. A wider spread with the same mean shows too, in the high quantiles.
//! The quantile moves with the baseline, so a change of mood of the whole is no change of the canary.
//!
//! State: 336 counts of the histogram, and a ladder a quantile. Cost: a bucket and three searches over 17 rungs an answer.

use elementary::{exp, ln};
use serde::{Deserialize, Serialize};

use super::ladder::{Ladder, RUNGS};

/// Buckets of the histogram, each 5 % wider than the one below: 10 µs to 130 s. Only the threshold's level depends on the
/// width, not the fairness of a wager.
const BUCKETS: usize = 336;
const LOWEST_SECONDS: f64 = 1e-5;
const LN_WIDTH: f64 = 0.048_790_164_169_432_05;

/// Answers at which all counts are halved: a quarter of an hour at 100 a second, so that a threshold follows the day.
const COUNT_MAX: u64 = 100_000;

/// Answers above the quantile before it is used: with fewer its level is a matter of luck.
const ABOVE_MIN: f64 = 2.0;

/// The baseline's answers so far, by latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Histogram {
    count: u64,
    buckets: Vec<u32>,
}

/// One quantile of latency: slower answers of this tick, and the wagers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Quantile {
    level: f64,
    pub(super) ladder: Ladder,
    /// In seconds; none before the histogram tells.
    threshold: Option<f64>,
    /// Answers of the canary by the number of rungs that they are slower than.
    passed: [u32; RUNGS + 1],
    slower_baseline: u32,
}

impl Histogram {
    /// Nothing seen yet.
    pub(super) fn new() -> Self {
        Self { count: 0, buckets: vec![0; BUCKETS] }
    }

    /// Takes in an answer of the baseline, in seconds.
    pub(super) fn observe(&mut self, latency: f64) {
        let above = ln(latency / LOWEST_SECONDS) / LN_WIDTH;
        // A float below zero becomes zero.
        self.buckets[(above as usize).min(BUCKETS - 1)] += 1;
        self.count += 1;
        if self.count >= COUNT_MAX {
            self.buckets.iter_mut().for_each(|bucket| *bucket /= 2);
            self.count = self.buckets.iter().map(|bucket| u64::from(*bucket)).sum();
        }
    }

    /// The lower edge of the bucket that holds the quantile, in seconds: at least the quantile's share lies above it, even
    /// if all answers take equally long.
    fn quantile(&self, level: f64) -> Option<f64> {
        let above = self.count as f64 * (1.0 - level);
        if above < ABOVE_MIN {
            return None;
        }
        let mut left = above;
        let bucket = self.buckets.iter().rposition(|count| {
            left -= f64::from(*count);
            left <= 0.0
        })?;
        Some(LOWEST_SECONDS * exp(bucket as f64 * LN_WIDTH))
    }
}

impl Quantile {
    /// The quantile of this level; the ladder's unit is the logarithm of a factor.
    pub(super) const fn new(level: f64, ladder: Ladder) -> Self {
        Self { level, ladder, threshold: None, passed: [0; RUNGS + 1], slower_baseline: 0 }
    }

    /// Takes in an answer of the baseline, in seconds.
    pub(super) fn observe_baseline(&mut self, latency: f64) {
        self.slower_baseline += u32::from(self.threshold.is_some_and(|threshold| latency > threshold));
    }

    /// Takes in an answer of the canary, in seconds.
    pub(super) fn observe_canary(&mut self, latency: f64) {
        if let Some(threshold) = self.threshold {
            let ln_factor = ln(latency / threshold);
            self.passed[self.ladder.effects().partition_point(|effect| *effect < ln_factor)] += 1;
        }
    }

    /// Settles the tick and takes the threshold of the next one. `weigh` is what an answer of canary and of baseline counts;
    /// none when one side gave no answers.
    pub(super) fn close(&mut self, weigh: Option<(f64, f64)>, histogram: &Histogram) {
        if let (Some((canary, baseline)), Some(_)) = (weigh, self.threshold) {
            let expected = f64::from(self.slower_baseline) * baseline;
            self.ladder.settle_each(self.slower_canary().map(|count| count * canary - expected));
        }
        self.threshold = histogram.quantile(self.level);
        self.passed = [0; RUNGS + 1];
        self.slower_baseline = 0;
    }

    /// Answers of the canary that are slower than the threshold times each rung's factor.
    fn slower_canary(&self) -> [f64; RUNGS] {
        let mut slower = [0.0; RUNGS];
        let mut sum = 0;
        for rung in (0..RUNGS).rev() {
            sum += self.passed[rung + 1];
            slower[rung] = f64::from(sum);
        }
        slower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(latencies: impl Iterator<Item = f64>) -> Histogram {
        let mut histogram = Histogram::new();
        latencies.for_each(|latency| histogram.observe(latency));
        histogram
    }

    #[test]
    fn a_quantile_is_right_to_a_bucket() {
        let histogram = filled((1..=1000).map(|i| f64::from(i) * 1e-3));
        // 990 ms is p99; its bucket's lower edge is at most 5 % below.
        let p99 = histogram.quantile(0.99).expect("ten answers lie above");
        assert!(p99 <= 0.99 && p99 > 0.99 / 1.05, "{p99}");
        assert_eq!(filled((1..=100).map(f64::from)).quantile(0.99), None);
    }

    #[test]
    fn latencies_out_of_range_lie_in_the_outermost_buckets() {
        let histogram = filled([0.0, 1e-9, 1e9, f64::INFINITY].into_iter());
        assert_eq!((histogram.buckets[0], histogram.buckets[BUCKETS - 1]), (2, 2));
    }

    #[test]
    fn counts_stay_bounded() {
        let histogram = filled((0..3 * COUNT_MAX).map(|_| 0.01));
        assert!(histogram.count < COUNT_MAX);
    }

    #[test]
    fn answers_are_counted_against_each_rung() {
        let mut quantile = Quantile::new(0.5, Ladder::new(1.1f64.ln()));
        quantile.close(None, &filled((0..100).map(|_| 1.0)));
        let threshold = quantile.threshold.expect("a hundred answers");
        // 1.05 times the threshold is slower than rung 0 and the eight below, and than a half of 1.1 (1.0488).
        quantile.observe_canary(1.05 * threshold);
        assert_eq!(quantile.slower_canary().iter().sum::<f64>(), 11.0);
    }
}
