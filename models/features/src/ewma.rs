//! An exponentially weighted mean that decays by elapsed event time.
//!
//! A value seen `a` ms ago weighs `2^(-a/half_life)`, and the mean is `Σ w·x / Σ w`; values of one tick weigh the
//! same. A gap therefore ages what came before it, values at one instant all count, and the first value is the mean.
//!
//! Unlike the windows this depends on the whole history: a replay that starts later gives another mean, which nears
//! the true one by half with every half-life.

use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// The running mean. State: 32 bytes. O(log gap) per tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ewma {
    kept_per_tick: f64,
    /// Number of the newest tick with a value.
    tick: u64,
    weight: f64,
    mean: f64,
}

impl Ewma {
    pub(crate) fn new(half_life_ms: u64, tick_ms: u64) -> Self {
        Self { kept_per_tick: kept_per_tick(half_life_ms, tick_ms), tick: 0, weight: 0.0, mean: 0.0 }
    }

    /// Takes in the values of a tick, later than any before. A tick without values changes nothing.
    pub(crate) fn add(&mut self, tick: u64, values: &Summary) {
        let Some(mean) = values.mean() else { return };
        let fresh = values.count() as f64;
        self.weight = self.weight * power(self.kept_per_tick, tick - self.tick) + fresh;
        self.mean += (mean - self.mean) * (fresh / self.weight);
        self.tick = tick;
    }

    /// The mean; of no meaning before the first value.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }
}

/// `2^(-tick/half_life)`: what is left of a weight after one tick.
pub(crate) fn kept_per_tick(half_life_ms: u64, tick_ms: u64) -> f64 {
    power(half_root(half_life_ms), tick_ms)
}

/// `base^exponent` by squaring.
pub(crate) fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    product
}

/// `2^(-1/n)` for `n >= 1000`: the series of `e^-y`, whose first omitted term is below `y⁵/120 < 2e-18`.
///
/// Written out, like [`power`], because `exp2` and `powi` differ between platforms in their last bits.
fn half_root(n: u64) -> f64 {
    let y = std::f64::consts::LN_2 / n as f64;
    1.0 - y * (1.0 - y / 2.0 * (1.0 - y / 3.0 * (1.0 - y / 4.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ticks: &[(u64, f64)]) -> f64 {
        let mut ewma = Ewma::new(10_000, 1_000);
        for &(tick, value) in ticks {
            ewma.add(tick, &Summary::of(&[(tick * 1_000, value)]));
        }
        ewma.mean()
    }

    #[test]
    fn a_half_life_halves_the_weight() {
        // After 10 ticks the old 0 weighs 1/2 beside the new 1: 1 / 1.5.
        assert!((after(&[(5, 0.0), (15, 1.0)]) - 2.0 / 3.0).abs() < 1e-12);
        // After 20 ticks, 1/4.
        assert!((after(&[(5, 0.0), (25, 1.0)]) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn a_constant_stays_and_a_long_gap_forgets() {
        assert_eq!(after(&[(1, 0.1), (2, 0.1), (7, 0.1)]), 0.1);
        assert_eq!(after(&[(1, 8.0), (1_000_000, 2.0)]), 2.0);
    }

    #[test]
    fn the_series_is_the_root() {
        for n in [1_000, 10_000, 60_000, 900_000] {
            // Rounding of the root, multiplied by n.
            let tolerance = n as f64 * f64::EPSILON;
            assert!((power(half_root(n), n) - 0.5).abs() < tolerance);
        }
    }
}
