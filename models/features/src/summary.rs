//! Moments of a run of timed values, mergeable.
//!
//! For values `x` at times `t` a summary holds the count `n`, the means, and the centred sums
//!
//! ```text
//! M2 = Σ (x - mean)²     T2 = Σ (t - mean_t)²     C = Σ (x - mean)(t - mean_t)
//! ```
//!
//! Two runs `a` and `b` merge by the parallel formulas of Chan, Golub and LeVeque (Updating Formulae and a Pairwise
//! Algorithm for Computing Sample Variances, 1979), with `d = mean_b - mean_a` and `e = mean_tb - mean_ta`:
//!
//! ```text
//! mean = mean_a + d·n_b/n        M2 = M2_a + M2_b + d²·n_a·n_b/n        (T2 and C likewise, with e² and d·e)
//! ```
//!
//! The variance is `M2/n` and the least-squares slope is `C/T2`. Nothing is ever subtracted from a sum, so a summary
//! does not drift. Times are kept relative to the first one: an epoch time in ms squared would exceed the 53 bits of
//! a float, an offset within a window does not.

use serde::{Deserialize, Serialize};

/// Largest magnitude of a value. Squares of such values, summed over 2³² of them, still are finite floats;
/// no reading in base units comes near it.
pub const MAX_MAGNITUDE: f64 = 1e140;

/// Count, extremes, mean, variance and slope of a run of timed values. 72 bytes.
///
/// Merging is associative up to rounding and has [`Summary::EMPTY`] as its exact identity.
///
/// ```
/// use features::Summary;
/// let early = Summary::of(&[(0, 1.0), (500, 2.0)]);
/// let late = Summary::of(&[(1_000, 3.0)]);
/// let both = early.merge(&late);
/// assert_eq!(both.mean(), Some(2.0));
/// assert_eq!(both.slope_per_second(), Some(2.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    count: u64,
    first_ms: u64,
    min: f64,
    max: f64,
    mean: f64,
    m2: f64,
    /// Mean time in ms after `first_ms`.
    mean_offset_ms: f64,
    /// In ms².
    time_m2: f64,
    /// In value · ms.
    co_moment: f64,
}

impl Summary {
    /// The summary of no values.
    pub const EMPTY: Self = Self {
        count: 0,
        first_ms: 0,
        min: 0.0,
        max: 0.0,
        mean: 0.0,
        m2: 0.0,
        mean_offset_ms: 0.0,
        time_m2: 0.0,
        co_moment: 0.0,
    };

    /// Summarises `(time in ms, value)` pairs, sorted by time, each value within [`MAX_MAGNITUDE`].
    ///
    /// Two passes relative to the first pair: equal values have a variance of exactly 0. O(n).
    pub fn of(values: &[(u64, f64)]) -> Self {
        let Some(&(first_ms, first)) = values.first() else {
            return Self::EMPTY;
        };
        let offsets = || values.iter().map(|&(time_ms, value)| ((time_ms - first_ms) as f64, value - first));
        let n = values.len() as f64;
        let (time_sum, sum) = offsets().fold((0.0, 0.0), |(t, x), (dt, dx)| (t + dt, x + dx));
        let (mean_offset_ms, mean_rise) = (time_sum / n, sum / n);
        let mut summary = Self {
            count: values.len() as u64,
            first_ms,
            min: first,
            max: first,
            mean: first + mean_rise,
            mean_offset_ms,
            ..Self::EMPTY
        };
        for (offset_ms, rise) in offsets() {
            let (dt, dx) = (offset_ms - mean_offset_ms, rise - mean_rise);
            summary.m2 += dx * dx;
            summary.time_m2 += dt * dt;
            summary.co_moment += dx * dt;
        }
        for &(_, value) in values {
            summary.min = lesser(summary.min, value);
            summary.max = greater(summary.max, value);
        }
        summary
    }

    /// The summary of these values followed by those of `later`, none of which is earlier than the first of these. O(1).
    pub fn merge(&self, later: &Self) -> Self {
        if self.count == 0 {
            return *later;
        }
        if later.count == 0 {
            return *self;
        }
        let count = self.count + later.count;
        let share = later.count as f64 / count as f64;
        let pairs = self.count as f64 * share;
        let dx = later.mean - self.mean;
        let dt = later.mean_time_ms(self.first_ms) - self.mean_offset_ms;
        Self {
            count,
            first_ms: self.first_ms,
            min: lesser(self.min, later.min),
            max: greater(self.max, later.max),
            mean: self.mean + dx * share,
            m2: self.m2 + later.m2 + dx * dx * pairs,
            mean_offset_ms: self.mean_offset_ms + dt * share,
            time_m2: self.time_m2 + later.time_m2 + dt * dt * pairs,
            co_moment: self.co_moment + later.co_moment + dx * dt * pairs,
        }
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Least value; `None` without values.
    pub fn min(&self) -> Option<f64> {
        self.if_any(self.min)
    }

    /// Greatest value; `None` without values.
    pub fn max(&self) -> Option<f64> {
        self.if_any(self.max)
    }

    /// Arithmetic mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        self.if_any(self.mean)
    }

    /// Population variance `M2/n`, so that a single value has 0; `None` without values.
    pub fn variance(&self) -> Option<f64> {
        self.if_any(self.m2 / self.count as f64)
    }

    /// Least-squares slope in value per second; `None` with fewer than two distinct times.
    pub fn slope_per_second(&self) -> Option<f64> {
        // Invariant: time_m2 is exactly 0 when all times are equal, since every offset is then 0.
        (self.time_m2 > 0.0).then(|| 1_000.0 * self.co_moment / self.time_m2)
    }

    /// Mean time in ms after `origin_ms`, which is not later than the first value.
    pub(crate) fn mean_time_ms(&self, origin_ms: u64) -> f64 {
        (self.first_ms - origin_ms) as f64 + self.mean_offset_ms
    }

    fn if_any(&self, statistic: f64) -> Option<f64> {
        (self.count > 0).then_some(statistic)
    }
}

/// `f64::min` may return either of 0.0 and -0.0; this keeps the first, on every machine.
fn lesser(first: f64, second: f64) -> f64 {
    if second < first { second } else { first }
}

/// As [`lesser`], for the maximum.
fn greater(first: f64, second: f64) -> f64 {
    if second > first { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bound on the rounding of a few hundred merges, relative to the largest magnitude.
    const TOLERANCE: f64 = 1e-13;

    /// Values of one magnitude around one offset, at times that may repeat.
    fn runs() -> impl Strategy<Value = Vec<(u64, f64)>> {
        let offset = prop::sample::select(vec![0.0, 1.0, -1e9, 1e12]);
        let pairs = prop::collection::vec((0u64..50, -1.0f64..1.0), 3..200);
        (offset, -20i32..20, pairs).prop_map(|(offset, exponent, pairs)| {
            let mut time_ms = 1_700_000_000_000;
            let scale = 10f64.powi(exponent);
            let timed = pairs.into_iter().map(|(step_ms, unit)| {
                time_ms += step_ms;
                (time_ms, (offset + unit) * scale)
            });
            timed.collect()
        })
    }

    fn assert_close(a: &Summary, b: &Summary) {
        let largest = a.min.abs().max(a.max.abs());
        let close = |x: f64, y: f64, scale: f64| (x - y).abs() <= TOLERANCE * scale;
        assert_eq!((a.count, a.first_ms, a.min, a.max), (b.count, b.first_ms, b.min, b.max));
        assert!(close(a.mean, b.mean, largest), "{a:?} {b:?}");
        assert!(close(a.m2, b.m2, a.count as f64 * largest * largest), "{a:?} {b:?}");
        assert!(close(a.time_m2, b.time_m2, a.time_m2), "{a:?} {b:?}");
        let co_scale = largest * (a.time_m2 * a.count as f64).sqrt();
        assert!(close(a.co_moment, b.co_moment, co_scale), "{a:?} {b:?}");
    }

    #[test]
    fn known_moments() {
        // Deviations -3, -1, 4 from the mean 4: variance (9 + 1 + 16)/3.
        let summary = Summary::of(&[(0, 1.0), (1_000, 3.0), (2_000, 8.0)]);
        assert_eq!(summary.mean(), Some(4.0));
        assert_eq!(summary.variance(), Some(26.0 / 3.0));
        assert_eq!((summary.min(), summary.max()), (Some(1.0), Some(8.0)));
        // Time deviations -1, 0, 1 s: C = 3 + 4 = 7, T2 = 2.
        assert_eq!(summary.slope_per_second(), Some(3.5));
    }

    #[test]
    fn nothing_is_known_of_no_values() {
        assert_eq!(Summary::of(&[]), Summary::EMPTY);
        assert_eq!(Summary::EMPTY.mean(), None);
        assert_eq!(Summary::EMPTY.variance(), None);
        assert_eq!(Summary::EMPTY.slope_per_second(), None);
    }

    #[test]
    fn equal_times_have_no_slope() {
        let same = Summary::of(&[(7, 1.0), (7, 2.0), (7, 4.0)]);
        assert_eq!(same.slope_per_second(), None);
        assert_eq!(same.merge(&same).slope_per_second(), None);
    }

    #[test]
    fn equal_values_do_not_vary() {
        let third = Summary::of(&[(0, 0.1), (3, 0.1), (5, 0.1)]);
        let all = third.merge(&third.merge(&third));
        assert_eq!((all.mean(), all.variance()), (Some(0.1), Some(0.0)));
    }

    proptest! {
        #[test]
        fn merging_equals_direct_computation(values in runs(), cut in 0usize..200) {
            let (early, late) = values.split_at(cut.min(values.len()));
            let merged = Summary::of(early).merge(&Summary::of(late));
            assert_close(&merged, &Summary::of(&values));
            let one_by_one = values.iter().fold(Summary::EMPTY, |all, &pair| all.merge(&Summary::of(&[pair])));
            assert_close(&one_by_one, &Summary::of(&values));
        }

        #[test]
        fn merging_is_associative(values in runs()) {
            let third = values.len() / 3;
            let [a, b, c] = [&values[..third], &values[third..2 * third], &values[2 * third..]].map(Summary::of);
            assert_close(&a.merge(&b).merge(&c), &a.merge(&b.merge(&c)));
        }

        #[test]
        fn empty_is_the_exact_identity(values in runs()) {
            let all = Summary::of(&values);
            prop_assert_eq!(all.merge(&Summary::EMPTY), all);
            prop_assert_eq!(Summary::EMPTY.merge(&all), all);
        }
    }
}
