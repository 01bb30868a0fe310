//! A quantile sketch of integer counts in log-linear buckets.
//!
//! The bucket of a value is read off its bits: sign, exponent, and the top 6 bits of the mantissa. So every doubling
//! is cut into 64 equal buckets, no logarithm is taken, and the result is the same on every machine.
//!
//! *Error.* The bucket of `x` in `[2^e, 2^(e+1))` is `2^e/64` wide and is represented by its middle, at most
//! `2^e/128 <= |x|/128` away. Ranks are exact because counts are. Hence a quantile is off by at most
//! [`Sketch::RELATIVE_ERROR`] of the true one. Magnitudes below 2⁻¹⁰²² (subnormal) count as zero.
//!
//! *Windows.* Counts are integers, so subtracting a merged sketch restores the former one exactly: panes can be taken
//! out again, which no rank-based sketch allows.

use serde::{Deserialize, Serialize};

/// Mantissa bits that are not part of a bucket's number: 52 less 6.
const DROPPED_BITS: u32 = 46;

/// Every bucket lies strictly between `-BUCKET_BOUND` and `BUCKET_BOUND`: 11 exponent and 6 mantissa bits.
pub(crate) const BUCKET_BOUND: i32 = 1 << 17;

/// Counts of values per log-linear bucket; sparse.
///
/// Space is 8 bytes per distinct bucket: at most one per value, and at most 64 per doubling that the values span.
///
/// ```
/// use features::Sketch;
/// let sketch = Sketch::of((1..=100).map(f64::from));
/// let p95 = sketch.quantile(0.95).expect("not empty");
/// assert!((p95 - 95.0).abs() <= 95.0 * Sketch::RELATIVE_ERROR);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    // Invariant: ascending by bucket, no count is 0. One state per multiset of buckets.
    buckets: Vec<(i32, u32)>,
    count: u64,
}

impl Sketch {
    /// Bound on `|estimate - exact| / |exact|` of a quantile.
    pub const RELATIVE_ERROR: f64 = 1.0 / 128.0;

    /// The sketch of finite values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sketch = Self::default();
        for value in values {
            sketch.add(bucket_of(value), 1);
        }
        sketch
    }

    /// How many values are counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Counts the values of `other` too. O(b log B) for `b` buckets there and `B` here, and a shift per new bucket.
    pub fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
    }

    /// Undoes a [`merge`](Self::merge) of `other` exactly. Panics if `other` was not merged into this sketch.
    pub fn subtract(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.remove(bucket, count);
        }
    }

    /// The `q`-quantile: the value of rank `⌈q·n⌉` of `n` in ascending order, ranks from 1, within
    /// [`Self::RELATIVE_ERROR`]. `q` at or below 0 asks for the least value, at or above 1 for the greatest.
    ///
    /// No interpolation: the answer stands for a value that occurred. `None` without values. O(B), walked from the
    /// nearer end, so high quantiles are cheap.
    ///
    /// | n | q | rank |
    /// |---|---|---|
    /// | 1 | any | 1 |
    /// | 10 | 0.50 | 5 |
    /// | 10 | 0.95 | 10 |
    /// | 600 | 0.99 | 594 |
    pub fn quantile(&self, q: f64) -> Option<f64> {
        // The cast saturates, so a negative product gives rank 1.
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let bucket = if rank <= self.count / 2 {
            nth(self.buckets.iter(), rank)
        } else {
            nth(self.buckets.iter().rev(), self.count.max(1) - rank + 1)
        };
        bucket.map(middle_of)
    }

    pub(crate) fn buckets(&self) -> &[(i32, u32)] {
        &self.buckets
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        self.count = 0;
    }

    pub(crate) fn add(&mut self, bucket: i32, count: u32) {
        self.count += u64::from(count);
        match self.position(bucket) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    pub(crate) fn remove(&mut self, bucket: i32, count: u32) {
        self.count -= u64::from(count);
        let at = self.position(bucket).expect("only what was merged is removed");
        self.buckets[at].1 -= count;
        if self.buckets[at].1 == 0 {
            self.buckets.remove(at);
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(i32, u32)>()
    }

    fn position(&self, bucket: i32) -> Result<usize, usize> {
        self.buckets.binary_search_by_key(&bucket, |&(at, _)| at)
    }
}

/// Ascends with the value; 0 for zero and subnormals.
fn bucket_of(value: f64) -> i32 {
    if !value.is_normal() {
        return 0;
    }
    let magnitude = (value.abs().to_bits() >> DROPPED_BITS) as i32;
    if value < 0.0 { -magnitude } else { magnitude }
}

/// The middle of a bucket: its top 17 bits, then a one, then zeros.
fn middle_of(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let top = u64::from(bucket.unsigned_abs()) << DROPPED_BITS;
    let middle = f64::from_bits(top | 1 << (DROPPED_BITS - 1));
    if bucket < 0 { -middle } else { middle }
}

/// The bucket that holds the `nth` value, from 1, in the order walked.
fn nth<'a>(buckets: impl Iterator<Item = &'a (i32, u32)>, nth: u64) -> Option<i32> {
    let mut passed = 0;
    for &(bucket, count) in buckets {
        passed += u64::from(count);
        if passed >= nth {
            return Some(bucket);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All finite floats, and clusters in which buckets hold several values.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
        let any = NORMAL | NEGATIVE | POSITIVE | SUBNORMAL | ZERO;
        prop::collection::vec(prop_oneof![any, -1.0f64..1.0, 100.0f64..110.0], 0..120)
    }

    #[test]
    fn buckets_ascend_with_values() {
        let ascending = [-2.0, -1.5, -1.0, -1e-300, 0.0, 1e-300, 0.99, 1.0, 1.02, 1.5, 2.0, 1e300];
        let buckets = ascending.map(bucket_of);
        assert!(buckets.is_sorted_by(|a, b| a < b), "{buckets:?}");
        // 1.0 to 2.0 is one doubling, hence 64 buckets.
        assert_eq!(bucket_of(2.0) - bucket_of(1.0), 64);
        assert_eq!(bucket_of(f64::MIN_POSITIVE / 2.0), 0);
        assert!(bucket_of(f64::MAX) < BUCKET_BOUND);
    }

    #[test]
    fn a_bucket_answers_with_its_middle() {
        // 1.0 opens the bucket [1, 1 + 1/64).
        assert_eq!(middle_of(bucket_of(1.0)), 1.0 + 1.0 / 128.0);
        assert_eq!(middle_of(bucket_of(-1.0)), -1.0 - 1.0 / 128.0);
        assert_eq!(middle_of(bucket_of(-0.0)), 0.0);
    }

    #[test]
    fn quantile_ranks() {
        let middle = |value: f64| Some(middle_of(bucket_of(value)));
        let sketch = Sketch::of((1..=10).map(f64::from));
        assert_eq!(sketch.quantile(0.0), middle(1.0));
        assert_eq!(sketch.quantile(0.5), middle(5.0));
        assert_eq!(sketch.quantile(0.51), middle(6.0));
        assert_eq!(sketch.quantile(0.95), middle(10.0));
        assert_eq!(sketch.quantile(1.5), middle(10.0));
        assert_eq!(Sketch::of([3.0]).quantile(0.01), middle(3.0));
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn quantiles_keep_the_error_bound(mut values in values(), q in 0.0f64..=1.0) {
            let sketch = Sketch::of(values.iter().copied());
            values.sort_by(f64::total_cmp);
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            match (sketch.quantile(q), values.get(rank - 1)) {
                (Some(estimate), Some(&exact)) => prop_assert!(
                    (estimate - exact).abs() <= exact.abs() * Sketch::RELATIVE_ERROR + f64::MIN_POSITIVE,
                    "{estimate} for {exact}"
                ),
                (estimate, exact) => prop_assert!(estimate.is_none() && exact.is_none()),
            }
        }

        #[test]
        fn merging_counts_all_and_subtracting_undoes_it(a in values(), b in values()) {
            let [left, right] = [&a, &b].map(|values| Sketch::of(values.iter().copied()));
            let mut both = left.clone();
            both.merge(&right);
            prop_assert_eq!(&both, &Sketch::of(a.into_iter().chain(b)));
            both.subtract(&right);
            prop_assert_eq!(both, left);
        }
    }
}
