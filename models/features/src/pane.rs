//! A summary at rest.
//!
//! A window of many panes is mostly memory, and memory is what bounds speed: a pane keeps a [`Summary`] in 32 bytes, half a
//! cache line. Arithmetic is done in 64 bits, what rests is rounded to 32: each step costs a relative error of at most 2⁻²⁴
//! of the magnitudes involved, and rounding is monotone, so the extremes are those of the rounded values exactly.

use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// Count, extremes and centred moments, rounded. Times are told from the start of the stretch that the pane stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pane {
    pub(crate) count: u32,
    min: f32,
    max: f32,
    mean: f32,
    m2: f32,
    mean_ms: f32,
    time_m2: f32,
    co_moment: f32,
}

impl Pane {
    /// The pane of no values.
    pub(crate) const EMPTY: Self =
        Self { count: 0, min: 0.0, max: 0.0, mean: 0.0, m2: 0.0, mean_ms: 0.0, time_m2: 0.0, co_moment: 0.0 };

    /// Puts a summary to rest, with its own origin.
    #[inline]
    pub(crate) fn of(summary: &Summary) -> Self {
        if summary.count == 0 {
            return Self::EMPTY;
        }
        Self {
            count: summary.count,
            min: summary.min as f32,
            max: summary.max as f32,
            mean: summary.mean as f32,
            m2: summary.m2 as f32,
            mean_ms: summary.mean_ms as f32,
            time_m2: summary.time_m2 as f32,
            co_moment: summary.co_moment as f32,
        }
    }

    /// The summary, its times told from an origin that lies `shift_ms` before the pane's own.
    #[inline]
    pub(crate) fn summary(&self, shift_ms: f64) -> Summary {
        if self.count == 0 {
            return Summary::EMPTY;
        }
        Summary {
            count: self.count,
            min: f64::from(self.min),
            max: f64::from(self.max),
            mean: f64::from(self.mean),
            m2: f64::from(self.m2),
            mean_ms: f64::from(self.mean_ms) + shift_ms,
            time_m2: f64::from(self.time_m2),
            co_moment: f64::from(self.co_moment),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_is_half_a_cache_line() {
        assert_eq!(size_of::<Pane>(), 32);
    }

    #[test]
    fn what_32_bits_hold_comes_back_and_shifts() {
        let summary = Summary::of(1_000, &[1_250, 1_750], &[1.0, 3.0]);
        let back = Pane::of(&summary).summary(10_000.0);
        assert_eq!(back, Summary { mean_ms: 10_500.0, ..summary });
        assert_eq!(Pane::of(&Summary::EMPTY).summary(7.0), Summary::EMPTY);
    }
}
