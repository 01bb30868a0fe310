//! `exp` and `ln` in plain arithmetic, whose last bit no platform decides.

use std::f64::consts::{LN_2, SQRT_2};

/// `e^x`, held at `e^±700`; within 10⁻¹⁵ of it, relative.
///
/// With k the whole number nearest to x / ln 2, `e^x = 2^k e^r` and |r| ≤ 0.347; Taylor's series gives `e^r`.
pub(crate) fn exp(x: f64) -> f64 {
    const TERMS: u32 = 16; // 0.347^16 / 16! < 10⁻²⁰
    const BIAS: f64 = 1023.0;
    let x = x.clamp(-700.0, 700.0);
    let whole = (x / LN_2 + 0.5).floor();
    let rest = x - whole * LN_2;
    let series = (1..=TERMS).rev().fold(1.0, |sum, n| 1.0 + rest / f64::from(n) * sum);
    series * f64::from_bits(((whole + BIAS) as u64) << 52)
}

/// The natural logarithm of a positive, normal number, within 10⁻¹⁵ of the greater of it and 1.
///
/// With the mantissa m in √½ to √2 and s = (m - 1)/(m + 1), |s| < 0.172: ln m = 2(s + s³/3 + s⁵/5 + …).
pub(crate) fn ln(x: f64) -> f64 {
    const MANTISSA_BITS: u32 = 52;
    const BIAS: i64 = 1023;
    const TERMS: u32 = 11; // 0.172^23 / 23 < 10⁻¹⁸
    let bits = x.to_bits();
    let mut exponent = (bits >> MANTISSA_BITS) as i64 - BIAS;
    let mut mantissa = f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | (BIAS as u64) << MANTISSA_BITS);
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..TERMS).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    2.0 * s * series + exponent as f64 * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for at in -400..400 {
            let x = f64::from(at) * 0.05;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "exp {x}");
            let positive = 1.37_f64.powi(at / 4);
            assert!((ln(positive) - positive.ln()).abs() <= 1e-15 * positive.ln().abs().max(1.0), "ln {positive}");
        }
    }
}
