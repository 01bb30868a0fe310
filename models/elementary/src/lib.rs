//! `exp` and `ln` in plain arithmetic, whose last bit no platform decides.
//!
//! The standard library leaves the last bits of its transcendental functions to the platform, so two machines may decide
//! otherwise by them. IEEE 754 fixes `+ - * /` to the bit, and these are built from nothing else.

use std::f64::consts::{LN_2, SQRT_2};

const MANTISSA_BITS: u32 = 52;

/// The exponent field of 1.0.
const BIAS: i64 = 1023;

/// `e^x`, held at `e^±700`; within 10⁻¹⁴ of it, relative.
///
/// With k the whole number nearest to x / ln 2, `e^x = 2^k e^r` and |r| ≤ 0.347; Taylor's series gives `e^r`.
#[must_use]
pub fn exp(x: f64) -> f64 {
    const TERMS: u32 = 16; // 0.347^16 / 16! < 10⁻²⁰
    let x = x.clamp(-700.0, 700.0);
    let whole = (x / LN_2 + 0.5).floor();
    let rest = x - whole * LN_2;
    let series = (1..=TERMS).rev().fold(1.0, |sum, n| 1.0 + rest / f64::from(n) * sum);
    series * f64::from_bits(((whole + BIAS as f64) as u64) << MANTISSA_BITS)
}

/// The natural logarithm, within 10⁻¹⁵ of the greater of it and 1: minus infinity of zero, no number below.
///
/// With the mantissa m in √½ to √2 and s = (m - 1)/(m + 1), |s| < 0.172: ln m = 2 artanh s.
#[must_use]
pub fn ln(x: f64) -> f64 {
    if !x.is_normal() || x < 0.0 {
        return ln_at_the_edge(x);
    }
    let bits = x.to_bits();
    let mut exponent = (bits >> MANTISSA_BITS) as i64 - BIAS;
    let mut mantissa = f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | (BIAS as u64) << MANTISSA_BITS);
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    twice_artanh((mantissa - 1.0) / (mantissa + 1.0)) + exponent as f64 * LN_2
}

/// `ln(1 + x)`, to the last digits of a small x as well.
#[must_use]
pub fn ln_1p(x: f64) -> f64 {
    // Where |x / (2 + x)| is small enough for the series as it is.
    const NEAR: f64 = 0.25;
    if x.abs() < NEAR { twice_artanh(x / (2.0 + x)) } else { ln(1.0 + x) }
}

/// `2 (s + s³/3 + s⁵/5 + …)` for |s| < 0.172.
fn twice_artanh(s: f64) -> f64 {
    const TERMS: u32 = 11; // 0.172^23 / 23 < 10⁻¹⁸
    let square = s * s;
    let series = (0..TERMS).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    2.0 * s * series
}

/// Of what is zero, subnormal, below zero, infinite or no number.
#[cold]
fn ln_at_the_edge(x: f64) -> f64 {
    const LIFT: i32 = 54;
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x < 0.0 || x.is_nan() {
        f64::NAN
    } else if x.is_infinite() {
        x
    } else {
        ln(x * (1_u64 << LIFT) as f64) - f64::from(LIFT) * LN_2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The standard library's own functions are the reference: they are right to some last digits on every platform.
    fn close(ours: f64, theirs: f64, scale: f64) -> bool {
        (ours - theirs).abs() <= scale * theirs.abs().max(1.0)
    }

    proptest! {
        #[test]
        fn exp_is_that_of_the_library(x in -700.0..700.0f64) {
            // k ln 2 is rounded once: |x| 1.1e-16 in the exponent is relative in the result.
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 1e-16 * (10.0 + 2.0 * x.abs()), "{x}");
        }

        #[test]
        fn ln_is_that_of_the_library(x in prop::num::f64::POSITIVE) {
            prop_assert!(close(ln(x), x.ln(), 1e-15), "{x}: {} {}", ln(x), x.ln());
        }

        #[test]
        fn ln_1p_keeps_the_digits_of_small_numbers(magnitude in -30.0..0.0f64, sign in prop::bool::ANY) {
            let x = if sign { 1.0 } else { -1.0 } * 0.99 * 10f64.powf(magnitude);
            prop_assert!((ln_1p(x) / x.ln_1p() - 1.0).abs() < 4e-15, "{x}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!((exp(0.0), ln(1.0), ln_1p(0.0)), (1.0, 0.0, 0.0));
        assert_eq!((exp(1e9), exp(f64::NEG_INFINITY)), (exp(700.0), exp(-700.0)));
        assert_eq!((ln(0.0), ln(f64::INFINITY), ln_1p(-1.0)), (f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY));
        assert!(ln(-1.0).is_nan() && ln(f64::NAN).is_nan() && exp(f64::NAN).is_nan());
        assert!(close(ln(f64::from_bits(1)), f64::from_bits(1).ln(), 1e-15));
    }
}
