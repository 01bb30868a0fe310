//! Log-linear buckets: how values are counted for quantiles.
//!
//! The bucket of a value is read off its bits: sign, exponent, and the top 6 bits of the mantissa. So every doubling
//! is cut into 64 equal buckets, no logarithm is taken, and the result is the same on every machine.
//!
//! *Error.* The bucket of `x` in `[2^e, 2^(e+1))` is `2^e/64` wide and is represented by its middle, at most
//! `2^e/128 <= |x|/128` away. Ranks are exact because counts are. Hence a quantile is off by at most [`RELATIVE_ERROR`] of
//! the true one. Magnitudes below 2⁻¹⁰²² (subnormal) count as zero.

/// Bound on `|estimate - exact| / |exact|` of a quantile.
pub const RELATIVE_ERROR: f64 = 1.0 / 128.0;

/// Mantissa bits that are not part of a bucket's number: 52 less 6.
const DROPPED_BITS: u32 = 46;

/// The quantiles that are answered, in percent: ranks are whole numbers, and must not hang on a float's last bit.
pub(crate) const LEVELS: [u32; 3] = [50, 95, 99];

/// Ascends with the value; 0 for zero and subnormals. Strictly between -2¹⁷ and 2¹⁷.
#[inline]
pub(crate) fn bucket_of(value: f64) -> i32 {
    if !value.is_normal() {
        return 0;
    }
    let magnitude = (value.abs().to_bits() >> DROPPED_BITS) as i32;
    if value < 0.0 { -magnitude } else { magnitude }
}

/// The middle of a bucket: its top 17 bits, then a one, then zeros.
#[inline]
pub(crate) fn middle_of(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let top = u64::from(bucket.unsigned_abs()) << DROPPED_BITS;
    let middle = f64::from_bits(top | 1 << (DROPPED_BITS - 1));
    if bucket < 0 { -middle } else { middle }
}

/// The rank of a level in percent among `count` values in ascending order, from 1: `⌈level·count/100⌉`.
///
/// No interpolation: the answer stands for a value that occurred.
///
/// | count | level | rank |
/// |---|---|---|
/// | 1 | any | 1 |
/// | 10 | 50 | 5 |
/// | 10 | 95 | 10 |
/// | 600 | 99 | 594 |
#[inline]
pub(crate) const fn rank_of(level: u32, count: u32) -> u32 {
    (level as u64 * count as u64).div_ceil(100) as u32
}

/// Values up to which [`sort`] compares all with all.
const FEW: usize = 16;

/// Sorts buckets. A tick's few values come in no order, which a sort that branches on them guesses wrong each time: few are
/// put where the number of smaller ones says.
pub(crate) fn sort(buckets: &mut [i32]) {
    if buckets.len() > FEW {
        return buckets.sort_unstable();
    }
    // Place in the low bits, so that no two are equal; a bucket has 18 bits.
    let mut keys = [i32::MAX; FEW];
    for (place, (key, bucket)) in (0..).zip(keys.iter_mut().zip(buckets.iter())) {
        *key = bucket * FEW as i32 + place;
    }
    let mut smaller = [0u32; FEW];
    for &other in &keys[..buckets.len()] {
        for (smaller, key) in smaller.iter_mut().zip(keys) {
            *smaller += u32::from(other < key);
        }
    }
    for place in 0..buckets.len() {
        buckets[smaller[place] as usize] = keys[place].div_euclid(FEW as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_ascend_with_values() {
        let ascending = [-2.0, -1.5, -1.0, -1e-300, 0.0, 1e-300, 0.99, 1.0, 1.02, 1.5, 2.0, 1e300];
        let buckets = ascending.map(bucket_of);
        assert!(buckets.is_sorted_by(|a, b| a < b), "{buckets:?}");
        // 1.0 to 2.0 is one doubling, hence 64 buckets.
        assert_eq!(bucket_of(2.0) - bucket_of(1.0), 64);
        assert_eq!(bucket_of(f64::MIN_POSITIVE / 2.0), 0);
        assert!(bucket_of(f64::MAX) < 1 << 17);
    }

    #[test]
    fn a_bucket_answers_with_its_middle() {
        // 1.0 opens the bucket [1, 1 + 1/64).
        assert_eq!(middle_of(bucket_of(1.0)), 1.0 + 1.0 / 128.0);
        assert_eq!(middle_of(bucket_of(-1.0)), -1.0 - 1.0 / 128.0);
        assert_eq!(middle_of(bucket_of(-0.0)), 0.0);
    }

    #[test]
    fn ranks() {
        for (count, level, rank) in [(1, 1, 1), (10, 50, 5), (10, 51, 6), (10, 95, 10), (600, 99, 594)] {
            assert_eq!(rank_of(level, count), rank);
        }
    }

    proptest! {
        #[test]
        fn few_and_many_are_sorted(buckets in prop::collection::vec((-1i32 << 17) + 1..1 << 17, 0..2 * FEW)) {
            let (mut sorted, mut ours) = (buckets.clone(), buckets);
            sorted.sort_unstable();
            sort(&mut ours);
            prop_assert_eq!(ours, sorted);
        }

        #[test]
        fn the_middle_keeps_the_error_bound(value in proptest::num::f64::NORMAL) {
            let estimate = middle_of(bucket_of(value));
            prop_assert!((estimate - value).abs() <= value.abs() * RELATIVE_ERROR, "{estimate} for {value}");
        }
    }
}
