//! Exponential decay in plain arithmetic.
//!
//! The standard library leaves the last bit of `exp2` and `powi` to the platform. Additions and multiplications are exact
//! to the last bit everywhere, so these replacements use nothing else.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

/// A mean in which every value counts half as much as one that came `half_life` values later.
///
/// Until much more than a half-life has passed the weights are those of a plain mean: the first value is not favoured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecayedMean {
    /// Factor on everything older, per new value.
    keep: f64,
    sum: f64,
    weight: f64,
    count: u32,
}

impl DecayedMean {
    /// An empty mean; `half_life` is counted in values and must be positive.
    pub fn new(half_life: f64) -> Self {
        Self { keep: half_power(1.0 / half_life), sum: 0.0, weight: 0.0, count: 0 }
    }

    /// Adds a value, ageing all the others by one.
    pub fn push(&mut self, value: f64) {
        self.sum = self.sum * self.keep + value;
        self.weight = self.weight * self.keep + 1.0;
        self.count = self.count.saturating_add(1);
    }

    /// The mean; `None` before the first value.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.weight)
    }

    /// How many values have ever been added (saturating).
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// `2^-exponent` for `exponent >= 0`: what is left of a weight after so many half-lives.
///
/// Exact for whole exponents, within 2e-16 (relative) between them; 0 beyond 1022, where f64 leaves its normal range.
///
/// | exponent | 0 | 0.5 | 1 | 10 |
/// |---|---|---|---|---|
/// | result | 1 | 0.70711 | 0.5 | 0.00098 |
pub fn half_power(exponent: f64) -> f64 {
    const TERMS: u32 = 18; // (ln 2)^18 / 18! = 2e-19, below the last bit of 1.0
    const SMALLEST_NORMAL: f64 = 1022.0;
    if exponent > SMALLEST_NORMAL {
        return 0.0;
    }
    let whole = exponent.floor();
    let x = -(exponent - whole) * LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=TERMS {
        term *= x / f64::from(n);
        sum += term;
    }
    sum * f64::from_bits((1023 - whole as u64) << 52)
}

/// `base^exponent` by repeated squaring; at most 64 multiplications.
pub fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product *= base;
        }
        base *= base;
        exponent /= 2;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_power_agrees_with_the_standard_library() {
        for tenth in 0..300 {
            let exponent = f64::from(tenth) * 0.1;
            let (ours, theirs) = (half_power(exponent), (-exponent).exp2());
            assert!((ours / theirs - 1.0).abs() < 1e-15, "2^-{exponent}: {ours} against {theirs}");
        }
        assert_eq!(half_power(10.0), 1.0 / 1024.0);
        assert_eq!(half_power(5000.0), 0.0);
    }

    #[test]
    fn power_squares() {
        assert_eq!(power(3.0, 0), 1.0);
        assert_eq!(power(3.0, 5), 243.0);
    }

    #[test]
    fn decayed_mean_halves_the_weight_per_half_life() {
        let mut mean = DecayedMean::new(1.0);
        assert_eq!(mean.mean(), None);
        mean.push(8.0);
        mean.push(2.0);
        // Weights 1/2 and 1: (4 + 2) / 1.5.
        assert_eq!(mean.mean(), Some(4.0));
    }
}
