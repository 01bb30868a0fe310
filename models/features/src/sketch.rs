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

/// Neighbouring buckets that are kept together: a quarter of a doubling. A bucket is found by a search among few
/// blocks, and the values of a steady metric share one or two.
const BLOCK: usize = 16;

/// Counts of values per log-linear bucket; sparse by blocks of 16 neighbouring buckets.
///
/// Space is 72 bytes per quarter of a doubling in which values lie, and at most one such block per value.
/// A sketch holds fewer than 2³² values.
///
/// ```
/// use features::Sketch;
/// let sketch = Sketch::of((1..=100).map(f64::from));
/// let p95 = sketch.quantile(0.95).expect("not empty");
/// assert!((p95 - 95.0).abs() <= 95.0 * Sketch::RELATIVE_ERROR);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    // Invariant: ascending by number, no total is 0. One state per multiset of buckets.
    blocks: Vec<Block>,
    count: u64,
}

/// The counts of buckets `16·number ..= 16·number + 15`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    number: i32,
    total: u32,
    counts: [u32; BLOCK],
}

impl Sketch {
    /// Bound on `|estimate - exact| / |exact|` of a quantile.
    pub const RELATIVE_ERROR: f64 = 1.0 / 128.0;

    /// The sketch of finite values. Panics on any other.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sketch = Self::default();
        values.into_iter().for_each(|value| sketch.insert(value));
        sketch
    }

    /// Counts a finite value. Panics on any other. O(log blocks), and a shift when a block is new.
    pub fn insert(&mut self, value: f64) {
        assert!(value.is_finite(), "{value} has no bucket");
        self.add(bucket_of(value), 1);
    }

    /// How many values are counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Counts the values of `other` too. O(buckets of `other`).
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.buckets() {
            self.add(bucket, count);
        }
    }

    /// Undoes a [`merge`](Self::merge) of `other` exactly. Panics if `other` was not merged into this sketch.
    pub fn subtract(&mut self, other: &Self) {
        for (bucket, count) in other.buckets() {
            self.remove(bucket, count);
        }
    }

    /// The `q`-quantile: the value of rank `⌈q·n⌉` of `n` in ascending order, ranks from 1, within
    /// [`Self::RELATIVE_ERROR`]. `q` at or below 0 asks for the least value, at or above 1 for the greatest.
    ///
    /// No interpolation: the answer stands for a value that occurred. `None` without values. O(blocks).
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
        let mut below = 0;
        for block in &self.blocks {
            if below + u64::from(block.total) >= rank {
                return Some(middle_of(block.nth(rank - below)));
            }
            below += u64::from(block.total);
        }
        None
    }

    /// The `(bucket, count)` pairs with a count, ascending.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (i32, u32)> {
        self.blocks.iter().flat_map(Block::buckets)
    }

    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.count = 0;
    }

    pub(crate) fn add(&mut self, bucket: i32, count: u32) {
        let (number, slot) = place(bucket);
        let at = self.position(number).unwrap_or_else(|at| {
            self.blocks.insert(at, Block::empty(number));
            at
        });
        self.blocks[at].total += count;
        self.blocks[at].counts[slot] += count;
        self.count += u64::from(count);
    }

    pub(crate) fn remove(&mut self, bucket: i32, count: u32) {
        let (number, slot) = place(bucket);
        let at = self.position(number).expect("only what was counted is removed");
        self.blocks[at].total -= count;
        self.blocks[at].counts[slot] -= count;
        self.count -= u64::from(count);
        if self.blocks[at].total == 0 {
            self.blocks.remove(at);
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }

    fn position(&self, number: i32) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&number, |block| block.number)
    }
}

impl Block {
    fn empty(number: i32) -> Self {
        Self { number, total: 0, counts: [0; BLOCK] }
    }

    fn buckets(&self) -> impl Iterator<Item = (i32, u32)> {
        let first = self.number * BLOCK as i32;
        let counted = (first..).zip(self.counts);
        counted.filter(|&(_, count)| count > 0)
    }

    /// The bucket of the value of a rank within this block, from 1 to its total.
    fn nth(&self, rank: u64) -> i32 {
        let mut up_to = 0;
        let reaches = |&(_, count): &(i32, u32)| {
            up_to += u64::from(count);
            up_to >= rank
        };
        self.buckets().find(reaches).expect("a rank is within the total").0
    }
}

/// The block of a bucket and its slot there; both ascend, also below zero.
fn place(bucket: i32) -> (i32, usize) {
    let block = BLOCK as i32;
    (bucket.div_euclid(block), bucket.rem_euclid(block) as usize)
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
