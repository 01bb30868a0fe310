//! What is usual: an exponentially weighted mean and variance that an outlier hardly moves.
//!
//! The update clips the surprise to [`CLIP`] deviations. A lasting change is still absorbed: each clipped tick multiplies
//! the variance by about 1 + 8 / memory, so that it reaches any size in a logarithmic number of ticks (at a memory of 300
//! ticks a change of 100 deviations is normal again after 330), after which the surprise is no longer clipped.

use serde::{Deserialize, Serialize};

/// Values that are taken as they are, before the deviation is good enough to clip with.
const UNCLIPPED_VALUES: u32 = 30;

/// Deviations at which an update is clipped.
const CLIP: f64 = 3.0;

/// Mean and deviation of the newest values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// The weight of a value once there are many: 1 / memory.
    least_weight: f64,
    values: u32,
    mean: f64,
    variance: f64,
}

impl Baseline {
    /// Nothing is usual yet; about `memory_ticks` values are remembered.
    pub(crate) fn new(memory_ticks: f64) -> Self {
        Self { least_weight: 1.0 / memory_ticks, values: 0, mean: 0.0, variance: 0.0 }
    }

    /// How many values it has seen.
    pub(crate) fn values(&self) -> u32 {
        self.values
    }

    /// The usual value; 0 before the first.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// The usual distance from it, at least `floor`.
    pub(crate) fn deviation(&self, floor: f64) -> f64 {
        self.variance.sqrt().max(floor)
    }

    /// Takes a finite value in, clipped by the [`deviation`](Self::deviation) so far. Weights are 1/n at first, so that the first
    /// values count alike, then 1/memory.
    pub(crate) fn learn(&mut self, value: f64, deviation: f64) {
        self.values = self.values.saturating_add(1);
        let weight = (1.0 / f64::from(self.values)).max(self.least_weight);
        let surprise = value - self.mean;
        let clip = CLIP * deviation;
        let surprise = if self.values > UNCLIPPED_VALUES { surprise.clamp(-clip, clip) } else { surprise };
        self.mean += weight * surprise;
        self.variance = (1.0 - weight) * (self.variance + weight * surprise * surprise);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_count_alike_and_an_outlier_hardly() {
        let mut baseline = Baseline::new(100.0);
        (0..40).for_each(|tick| baseline.learn(if tick % 2 == 0 { 1.0 } else { 3.0 }, 1.0));
        // The mean of 1 and 3 is 2, their deviation 1, each to what the newest values weigh more: 1/40.
        assert!((baseline.mean() - 2.0).abs() < 0.03 && (baseline.deviation(0.01) - 1.0).abs() < 0.03);
        let before = baseline.mean();
        baseline.learn(1000.0, baseline.deviation(0.01));
        // At most 3 deviations of about 1, at the weight of 1/41.
        assert!((baseline.mean() - before - 3.0 / 41.0).abs() < 0.003);
    }
}
