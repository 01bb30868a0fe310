//! What an expert's base has recently missed by, and the quantiles of that.
//!
//! A residual is `Y - base`, the true peak less the base; base plus the residuals' quantile at `q` is the expert's quantile
//! at `q`. The quantile takes rank `ceil((n + 1) q)` of `n`, the split-conformal rank, which covers with probability at least `q` while
//! the residuals are exchangeable (Vovk et al. 2005); above `n / (n + 1)` it is the largest.
//!
//! | n | q | rank |
//! |---|---|---|
//! | 19 | 0.95 | 19 (the largest) |
//! | 100 | 0.9 | 91 |
//! | 512 | 0.95 | 488 |
//!
//! State: 8 bytes per residual, kept twice: by age and by size. They are f32: a residual needs no more than seven digits, and
//! ten windows of 512 per series are 41 kB instead of 82. Cost: a binary search and a shift of at most 2 kB per push.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The fewest residuals that can speak for level 0.95: with `n = 19`, `(n + 1) 0.95` is just `n`.
pub const MIN_RESIDUALS: usize = 19;

/// A bounded window of recent residuals with their order statistics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Residuals {
    window: usize,
    recent: VecDeque<f32>,
    /// Invariant: the same residuals as in `recent`, ascending.
    sorted: Vec<f32>,
}

impl Residuals {
    /// An empty window of at least [`MIN_RESIDUALS`].
    pub fn new(window: usize) -> Self {
        Self { window: window.max(MIN_RESIDUALS), recent: VecDeque::new(), sorted: Vec::new() }
    }

    /// Adds a finite residual; the oldest leaves a full window.
    pub fn push(&mut self, residual: f64) {
        let residual = residual as f32;
        if self.recent.len() == self.window
            && let Some(oldest) = self.recent.pop_front()
        {
            self.sorted.remove(self.rank(oldest));
        }
        self.recent.push_back(residual);
        self.sorted.insert(self.rank(residual), residual);
    }

    /// The residual at `level` (0..=1); `None` below [`MIN_RESIDUALS`].
    pub fn quantile(&self, level: f64) -> Option<f64> {
        const ROUNDING: f64 = 1e-9; // so that 20 * 0.95 is 19 however it rounds
        let count = self.sorted.len();
        if count < MIN_RESIDUALS {
            return None;
        }
        let rank = ((count + 1) as f64 * level - ROUNDING).ceil() as usize;
        Some(f64::from(self.sorted[rank.clamp(1, count) - 1]))
    }

    /// How many are below `residual`: where it is, or would be, in the order.
    fn rank(&self, residual: f32) -> usize {
        self.sorted.partition_point(|other| other.total_cmp(&residual).is_lt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantile_takes_the_conformal_rank() {
        let mut residuals = Residuals::new(100);
        (1..=18).for_each(|residual| residuals.push(f64::from(residual)));
        assert_eq!(residuals.quantile(0.5), None);
        residuals.push(19.0);
        // 20 * 0.5 = 10 and 20 * 0.95 = 19.
        assert_eq!(residuals.quantile(0.5), Some(10.0));
        assert_eq!(residuals.quantile(0.95), Some(19.0));
        (20..=150).for_each(|residual| residuals.push(f64::from(residual)));
        // 51..=150 remain; ceil(101 * 0.9) = 91, so 50 + 91.
        assert_eq!(residuals.quantile(0.9), Some(141.0));
        assert_eq!(residuals.quantile(1.0), Some(150.0));
        assert_eq!(residuals.quantile(0.0), Some(51.0));
    }

    proptest! {
        #[test]
        fn order_equals_sorting_the_window(values in prop::collection::vec(-5i8..5, 1..200), window in 19usize..50) {
            let mut residuals = Residuals::new(window);
            values.iter().for_each(|value| residuals.push(f64::from(*value)));
            let mut wanted: Vec<f32> = values.iter().rev().take(window).map(|value| f32::from(*value)).collect();
            wanted.sort_by(f32::total_cmp);
            prop_assert_eq!(residuals.sorted, wanted);
        }
    }
}
