//! `exp`, sine and cosine in plain arithmetic, whose last bit no platform decides; and how far values are squeezed.

use std::f64::consts::{LN_2, TAU};

use elementary::ln;

use crate::decay::half_power;

/// `e^x`; 0 below -708, and held at `e^700` above 700, which no caller means.
pub(super) fn exp(x: f64) -> f64 {
    if x > 0.0 { 1.0 / half_power(x.min(700.0) / LN_2) } else { half_power(-x / LN_2) }
}

/// `ln(1 + e^x)`, which is `x` to the last bit of f32 beyond 20.
pub(super) fn softplus(x: f64) -> f64 {
    if x > 20.0 { x } else { ln(1.0 + exp(x)) }
}

/// Sine and cosine of so much of a turn, each within 10⁻¹⁰. Folded to an eighth of a turn, then Taylor's series.
pub(super) fn sin_cos(turns: f64) -> (f64, f64) {
    let eighths = 8.0 * (turns - turns.floor());
    let octant = eighths.floor();
    let odd = octant % 2.0 == 1.0;
    let within = if odd { 1.0 - (eighths - octant) } else { eighths - octant };
    let x = within / 8.0 * TAU;
    let square = x * x;
    let series = |terms: [f64; 6]| terms.iter().rev().fold(0.0, |sum, term| sum * square + term);
    let sin = x * series([1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5_040.0, 1.0 / 362_880.0, -1.0 / 39_916_800.0]);
    let cos = series([1.0, -0.5, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40_320.0, -1.0 / 3_628_800.0]);
    match octant as u8 {
        0 => (sin, cos),
        1 => (cos, sin),
        2 => (cos, -sin),
        3 => (sin, -cos),
        4 => (-sin, -cos),
        5 => (-cos, -sin),
        6 => (-cos, sin),
        _ => (-sin, cos),
    }
}

/// Small values as they are, great ones by their square root: a spike of a thousand deviations stays a number that a
/// network can add up, and stays greater than one of a hundred.
///
/// | z | 0.1 | 1 | 10 | 1000 |
/// |---|---|---|---|---|
/// | squeezed | 0.095 | 0.71 | 3.0 | 31.6 |
#[inline]
pub(super) fn squeeze(z: f32) -> f32 {
    z / (1.0 + z.abs()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for at in -400..400 {
            let x = f64::from(at) * 0.05;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "exp {x}");
            assert!((softplus(x) - x.exp().ln_1p()).abs() < 1e-8, "softplus {x}");
            let (sin, cos) = sin_cos(x / TAU);
            assert!((sin - x.sin()).abs() < 1e-9 && (cos - x.cos()).abs() < 1e-9, "turn of {x}: {sin} {cos}");
        }
    }

    #[test]
    fn squeezing_keeps_order_and_sign() {
        assert_eq!(squeeze(0.0), 0.0);
        assert_eq!(squeeze(3.0), 1.5);
        assert_eq!(squeeze(-3.0), -1.5);
        assert!(squeeze(1e6) > squeeze(1e5));
    }
}
