//! Exponentially weighted means that decay by elapsed event time, one for each window's length as half-life.
//!
//! A value seen `a` ms ago weighs `2^(-a/half_life)`, and the mean is `Σ w·x / Σ w`; values of one tick weigh the
//! same. A gap therefore ages what came before it, values at one instant all count, and the first value is the mean.
//!
//! Unlike the windows this depends on the whole history: a replay that starts later gives another mean, which nears
//! the true one by half with every half-life.

use crate::grid::WINDOWS_MS;
use crate::summary::Summary;
use crate::words::Word;

/// The share of a weight that each half-life leaves after one tick.
pub(crate) type Decay = [f64; WINDOWS_MS.len()];

/// The decay of every half-life for a tick.
pub(crate) fn decay(tick_ms: u64) -> Decay {
    WINDOWS_MS.map(|half_life_ms| kept_per_tick(half_life_ms, tick_ms))
}

/// The running means. O(log gap) per tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ewmas {
    /// Number of the newest tick with a value.
    tick: u64,
    weights: [f64; WINDOWS_MS.len()],
    means: [f64; WINDOWS_MS.len()],
}

impl Ewmas {
    /// Takes in the values of a tick, later than any before. A tick without values changes nothing.
    pub(crate) fn add(&mut self, decay: &Decay, tick: u64, values: &Summary) {
        if values.count == 0 {
            return;
        }
        let (fresh, gap) = (f64::from(values.count), tick - self.tick);
        for ((weight, mean), kept) in self.weights.iter_mut().zip(&mut self.means).zip(decay) {
            *weight = *weight * power(*kept, gap) + fresh;
            *mean += (values.mean - *mean) * (fresh / *weight);
        }
        self.tick = tick;
    }

    /// The means; of no meaning before the first value.
    pub(crate) const fn means(&self) -> [f64; WINDOWS_MS.len()] {
        self.means
    }

    /// Appends them, to be kept.
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        u64::put([self.tick], bytes);
        u64::put(self.weights.map(f64::to_bits), bytes);
        u64::put(self.means.map(f64::to_bits), bytes);
    }

    /// What [`put`](Self::put) kept.
    pub(crate) fn take(left: &mut &[u8]) -> Option<Self> {
        let [tick] = u64::take(left)?;
        let weights = u64::take(left)?.map(f64::from_bits);
        Some(Self { tick, weights, means: u64::take(left)?.map(f64::from_bits) })
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

    /// The mean with a half-life of 10 s at ticks of 1 s.
    fn after(ticks: &[(u64, f64)]) -> f64 {
        let mut ewmas = Ewmas::default();
        for &(tick, value) in ticks {
            ewmas.add(&decay(1_000), tick, &Summary::of(0, &[tick * 1_000], &[value]));
        }
        ewmas.means()[1]
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
