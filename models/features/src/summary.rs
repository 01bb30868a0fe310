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
//! does not drift. Times are told from an origin near the values, which whoever holds the summary knows: an epoch time in
//! ms squared would exceed the 53 bits of a float, an offset within a window does not.

/// Largest magnitude of a value: 10¹⁵, a petabyte. Sums of squares of such values still are finite at rest
/// ([`Pane`](crate::pane::Pane)).
pub const MAX_MAGNITUDE: f64 = 1e15;

/// Count, extremes, mean, variance and slope of a run of timed values.
///
/// Merging is associative up to rounding and has [`Summary::EMPTY`] as its exact identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u32,
    /// Infinite without values, so that a merge needs no case of its own.
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) m2: f64,
    /// Mean time in ms after the origin.
    pub(crate) mean_ms: f64,
    /// In ms².
    pub(crate) time_m2: f64,
    /// In value · ms.
    pub(crate) co_moment: f64,
}

impl Summary {
    /// The summary of no values.
    pub(crate) const EMPTY: Self = Self {
        count: 0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        mean: 0.0,
        m2: 0.0,
        mean_ms: 0.0,
        time_m2: 0.0,
        co_moment: 0.0,
    };

    /// Summarises values within [`MAX_MAGNITUDE`] at times sorted and not before the origin.
    ///
    /// Two passes relative to the first value: equal values have a variance of exactly 0. O(n).
    pub(crate) fn of(origin_ms: u64, times_ms: &[u64], values: &[f64]) -> Self {
        let (Some(&first), Some(&first_ms)) = (values.first(), times_ms.first()) else {
            return Self::EMPTY;
        };
        let n = values.len() as f64;
        // By way of a signed number, which processors turn into a float in one step.
        let offset = |time_ms: u64| (time_ms - first_ms) as i64 as f64;
        let (mut rises, mut offsets) = (0.0, 0.0);
        let (mut min, mut max) = (first, first);
        for (&value, &time_ms) in values.iter().zip(times_ms) {
            rises += value - first;
            offsets += offset(time_ms);
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
        }
        let (mean_rise, mean_offset) = (rises / n, offsets / n);
        let (mut m2, mut time_m2, mut co_moment) = (0.0, 0.0, 0.0);
        for (&value, &time_ms) in values.iter().zip(times_ms) {
            let dx = value - first - mean_rise;
            let dt = offset(time_ms) - mean_offset;
            m2 += dx * dx;
            time_m2 += dt * dt;
            co_moment += dx * dt;
        }
        Self {
            count: values.len() as u32,
            min,
            max,
            mean: first + mean_rise,
            m2,
            mean_ms: (first_ms - origin_ms) as f64 + mean_offset,
            time_m2,
            co_moment,
        }
    }

    /// The summary of these values and those of `later`; both tell times from one origin. O(1).
    #[inline]
    pub(crate) fn merge(&self, later: &Self) -> Self {
        if self.count == 0 {
            return *later;
        }
        if later.count == 0 {
            return *self;
        }
        let count = self.count + later.count;
        let share = f64::from(later.count) / f64::from(count);
        let pairs = f64::from(self.count) * share;
        let dx = later.mean - self.mean;
        let dt = later.mean_ms - self.mean_ms;
        Self {
            count,
            min: if later.min < self.min { later.min } else { self.min },
            max: if later.max > self.max { later.max } else { self.max },
            mean: self.mean + dx * share,
            m2: self.m2 + later.m2 + dx * dx * pairs,
            mean_ms: self.mean_ms + dt * share,
            time_m2: self.time_m2 + later.time_m2 + dt * dt * pairs,
            co_moment: self.co_moment + later.co_moment + dx * dt * pairs,
        }
    }

    /// Population variance `M2/n`, so that a single value has 0.
    pub(crate) fn variance(&self) -> f64 {
        self.m2 / f64::from(self.count)
    }

    /// Least-squares slope in value per second; `None` with fewer than two distinct times.
    pub(crate) fn slope_per_second(&self) -> Option<f64> {
        // Invariant: time_m2 is exactly 0 when all times are equal, since every offset is then 0.
        (self.time_m2 > 0.0).then(|| 1_000.0 * self.co_moment / self.time_m2)
    }

    /// Change of the mean per second up to a later summary with the same origin; `None` where either is empty.
    pub(crate) fn rate_per_second(&self, later: &Self) -> Option<f64> {
        let apart_ms = later.mean_ms - self.mean_ms;
        (self.count > 0 && later.count > 0).then(|| 1_000.0 * (later.mean - self.mean) / apart_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bound on the rounding of a few hundred merges, relative to the largest magnitude.
    const TOLERANCE: f64 = 1e-13;

    const ORIGIN_MS: u64 = 1_700_000_000_000;

    fn summary(values: &[(u64, f64)]) -> Summary {
        let (times_ms, values): (Vec<u64>, Vec<f64>) = values.iter().copied().unzip();
        Summary::of(ORIGIN_MS, &times_ms, &values)
    }

    /// Values at times after the origin.
    fn at(values: &[(u64, f64)]) -> Summary {
        summary(&values.iter().map(|&(ms, value)| (ORIGIN_MS + ms, value)).collect::<Vec<_>>())
    }

    /// Values of one magnitude around one offset, at times that may repeat.
    fn runs() -> impl Strategy<Value = Vec<(u64, f64)>> {
        let offset = prop::sample::select(vec![0.0, 1.0, -1e9, 1e12]);
        let pairs = prop::collection::vec((0u64..50, -1.0f64..1.0), 3..200);
        (offset, -20i32..3, pairs).prop_map(|(offset, exponent, pairs)| {
            let mut time_ms = ORIGIN_MS;
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
        assert_eq!((a.count, a.min, a.max), (b.count, b.min, b.max));
        assert!(close(a.mean, b.mean, largest), "{a:?} {b:?}");
        assert!(close(a.m2, b.m2, f64::from(a.count) * largest * largest), "{a:?} {b:?}");
        assert!(close(a.mean_ms, b.mean_ms, a.mean_ms), "{a:?} {b:?}");
        assert!(close(a.time_m2, b.time_m2, a.time_m2), "{a:?} {b:?}");
        let co_scale = largest * (a.time_m2 * f64::from(a.count)).sqrt();
        assert!(close(a.co_moment, b.co_moment, co_scale), "{a:?} {b:?}");
    }

    #[test]
    fn known_moments() {
        // Deviations -3, -1, 4 from the mean 4: variance (9 + 1 + 16)/3.
        let summary = at(&[(0, 1.0), (1_000, 3.0), (2_000, 8.0)]);
        assert_eq!((summary.mean, summary.variance()), (4.0, 26.0 / 3.0));
        assert_eq!((summary.min, summary.max, summary.mean_ms), (1.0, 8.0, 1_000.0));
        // Time deviations -1, 0, 1 s: C = 3 + 4 = 7, T2 = 2.
        assert_eq!(summary.slope_per_second(), Some(3.5));
    }

    #[test]
    fn equal_times_have_no_slope() {
        let same = at(&[(7, 1.0), (7, 2.0), (7, 4.0)]);
        assert_eq!(same.slope_per_second(), None);
        assert_eq!(same.merge(&same).slope_per_second(), None);
    }

    #[test]
    fn equal_values_do_not_vary() {
        let third = at(&[(0, 0.1), (3, 0.1), (5, 0.1)]);
        let all = third.merge(&third.merge(&third));
        assert_eq!((all.mean, all.variance()), (0.1, 0.0));
    }

    proptest! {
        #[test]
        fn merging_equals_direct_computation(values in runs(), cut in 0usize..200) {
            let (early, late) = values.split_at(cut.min(values.len()));
            assert_close(&summary(early).merge(&summary(late)), &summary(&values));
            let one_by_one = values.iter().fold(Summary::EMPTY, |all, &pair| all.merge(&summary(&[pair])));
            assert_close(&one_by_one, &summary(&values));
        }

        #[test]
        fn merging_is_associative(values in runs()) {
            let third = values.len() / 3;
            let [a, b, c] = [&values[..third], &values[third..2 * third], &values[2 * third..]].map(summary);
            assert_close(&a.merge(&b).merge(&c), &a.merge(&b.merge(&c)));
        }

        #[test]
        fn empty_is_the_exact_identity(values in runs()) {
            let all = summary(&values);
            prop_assert_eq!(all.merge(&Summary::EMPTY), all);
            prop_assert_eq!(Summary::EMPTY.merge(&all), all);
        }
    }
}
