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
//! State: 2 bytes per residual, kept twice: by age and by size. A residual is kept to 8 bits, an error of at most 0.4 % of a
//! margin that is itself an estimate: twelve windows of 512 per horizon are 25 kB, where single floats took 49. Cost: a binary search and a
//! shift of at most 1 kB per push.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The fewest residuals that can speak for level 0.95: with `n = 19`, `(n + 1) 0.95` is just `n`.
pub const MIN_RESIDUALS: usize = 19;

/// A bounded window of recent residuals with their order statistics.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Saved", from = "Saved")]
pub struct Residuals {
    window: usize,
    recent: VecDeque<Key>,
    /// Invariant: the same residuals as in `recent`, ascending.
    sorted: Vec<Key>,
}

/// A residual at rest: the upper half of its f32, rounded, so turned that keys are ordered as their residuals are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u16);

/// A window as it is kept: what follows from the keys is left out.
#[derive(Serialize, Deserialize)]
struct Saved {
    window: usize,
    /// Little-endian, the oldest first.
    #[serde(with = "serde_bytes")]
    keys: Vec<u8>,
}

impl Residuals {
    /// An empty window of at least [`MIN_RESIDUALS`].
    pub fn new(window: usize) -> Self {
        Self { window: window.max(MIN_RESIDUALS), recent: VecDeque::new(), sorted: Vec::new() }
    }

    /// Adds a finite residual; the oldest leaves a full window.
    pub fn push(&mut self, residual: f64) {
        let residual = Key::of(residual);
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
        Some(self.sorted[rank.clamp(1, count) - 1].residual())
    }

    /// How many are below `residual`: where it is, or would be, in the order.
    fn rank(&self, residual: Key) -> usize {
        self.sorted.partition_point(|other| *other < residual)
    }
}

impl Key {
    const SIGN: u16 = 1 << 15;

    /// The nearest, the even one of two.
    fn of(residual: f64) -> Self {
        // Demand is below 1e18, so that no residual overflows an f32, nor the carry its exponent.
        let bits = (residual as f32).to_bits();
        let half = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16;
        Self(if half & Self::SIGN == 0 { half | Self::SIGN } else { !half })
    }

    fn residual(self) -> f64 {
        let half = if self.0 & Self::SIGN == 0 { !self.0 } else { self.0 & !Self::SIGN };
        f64::from(f32::from_bits(u32::from(half) << 16))
    }
}

impl From<Residuals> for Saved {
    fn from(residuals: Residuals) -> Self {
        let keys = residuals.recent.iter().flat_map(|key| key.0.to_le_bytes()).collect();
        Self { window: residuals.window, keys }
    }
}

impl From<Saved> for Residuals {
    fn from(saved: Saved) -> Self {
        let (keys, _) = saved.keys.as_chunks::<2>();
        let recent: VecDeque<Key> = keys.iter().map(|key| Key(u16::from_le_bytes(*key))).collect();
        let mut sorted: Vec<Key> = recent.iter().copied().collect();
        sorted.sort_unstable();
        Self { window: saved.window, recent, sorted }
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
            let mut wanted: Vec<f64> = values.iter().rev().take(window).map(|value| f64::from(*value)).collect();
            wanted.sort_by(f64::total_cmp);
            prop_assert_eq!(residuals.sorted.iter().map(|key| key.residual()).collect::<Vec<_>>(), wanted);
        }

        #[test]
        fn a_key_is_near_and_keeps_the_order(a in -1e18f64..1e18, b in prop_oneof![-1e18f64..1e18, -1.0f64..1.0]) {
            for residual in [a, b, a / 1e20] {
                // Seven bits behind the point: half of the last is 2^-8.
                prop_assert!((Key::of(residual).residual() - residual).abs() <= residual.abs() / 256.0);
            }
            prop_assert!(a > b || Key::of(a) <= Key::of(b));
        }

        #[test]
        fn a_saved_window_goes_on_as_it_was(values in prop::collection::vec(-1e3f64..1e3, 1..200), window in 19usize..50) {
            let mut residuals = Residuals::new(window);
            values.iter().for_each(|value| residuals.push(*value));
            let bytes = postcard::to_stdvec(&residuals).expect("plain numbers");
            let mut restored: Residuals = postcard::from_bytes(&bytes).expect("what was written");
            [1.5, -0.5].iter().for_each(|value| { residuals.push(*value); restored.push(*value) });
            prop_assert_eq!((residuals.recent, residuals.sorted), (restored.recent, restored.sorted));
        }
    }
}
