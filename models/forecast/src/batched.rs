//! The seat of a model that computes for many series at once, such as the global LSTM.
//!
//! Such a model runs once per step for a whole batch, after every series has observed the step; its quantiles are then
//! offered to each series' seat and stand until the next step. Between the offered levels the seat interpolates; beyond the
//! highest it follows the last slope, because the conformal level may climb above every level the model was trained for.
//! State: at most [`MAX_LEVELS`] numbers per horizon.

use serde::{Deserialize, Serialize};

use crate::forecaster::{ExpertName, Forecaster};
use crate::settings::MAX_HORIZONS;

/// More levels than any quantile head has use for; further ones are ignored.
pub const MAX_LEVELS: usize = 16;

/// The quantiles offered for the newest step, if any.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Batched {
    /// Invariant: at most `MAX_HORIZONS`, each with ascending levels and nondecreasing nonnegative values.
    offers: Vec<(u32, Vec<(f64, f64)>)>,
}

impl Batched {
    /// Takes quantiles of the peak over `horizon` as `(level, value)`, replacing an earlier offer for this step.
    ///
    /// Crossed quantiles are raised to the one below them, negative values to 0; pairs that are not numbers are left out.
    /// Once [`MAX_HORIZONS`] have been offered in one step, further horizons are ignored.
    pub fn offer(&mut self, horizon: u32, quantiles: &[(f64, f64)]) {
        self.offers.retain(|(offered, _)| *offered != horizon);
        let mut sound: Vec<_> =
            quantiles.iter().copied().filter(|(level, value)| level.is_finite() && value.is_finite()).collect();
        sound.truncate(MAX_LEVELS);
        sound.sort_by(|a, b| a.0.total_cmp(&b.0));
        sound.dedup_by(|later, earlier| later.0 == earlier.0);
        let mut floor = 0.0_f64;
        for (_, value) in &mut sound {
            floor = floor.max(*value);
            *value = floor;
        }
        if !sound.is_empty() && self.offers.len() < MAX_HORIZONS {
            self.offers.push((horizon, sound));
        }
    }
}

impl Forecaster for Batched {
    fn name(&self) -> ExpertName {
        ExpertName::Lstm
    }

    fn observe(&mut self, _step: u64, _value: Option<f64>) {
        self.offers.clear();
    }

    fn base(&self, horizon: u32) -> Option<f64> {
        self.quantile(horizon, 0.5)
    }

    fn quantile(&self, horizon: u32, level: f64) -> Option<f64> {
        let (_, quantiles) = self.offers.iter().find(|(offered, _)| *offered == horizon)?;
        let lowest = *quantiles.first()?;
        if quantiles.len() == 1 || level <= lowest.0 {
            return Some(lowest.1);
        }
        let above = quantiles.partition_point(|(offered, _)| *offered < level).clamp(1, quantiles.len() - 1);
        let ((left, low), (right, high)) = (quantiles[above - 1], quantiles[above]);
        Some(low + (high - low) * (level - left) / (right - left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Batched {
        let mut seat = Batched::default();
        seat.offer(6, &[(0.9, 6.0), (0.5, 2.0), (0.95, 7.0)]);
        seat
    }

    #[test]
    fn interpolates_and_follows_the_last_slope() {
        let close =
            |level, wanted: f64| offered().quantile(6, level).is_some_and(|found| (found - wanted).abs() < 1e-9);
        assert!(close(0.5, 2.0) && close(0.9, 6.0) && close(0.95, 7.0));
        assert!(close(0.7, 4.0), "half way from 2 to 6");
        assert!(close(0.975, 7.5), "20 per unit of level beyond 0.95");
        assert!(close(0.1, 2.0), "nothing is known below the lowest level");
        assert_eq!(offered().quantile(7, 0.5), None);
    }

    #[test]
    fn an_offer_stands_for_one_step() {
        let mut seat = offered();
        seat.observe(1, Some(3.0));
        assert_eq!(seat.base(6), None);
    }

    #[test]
    fn unsound_offers_are_mended_or_refused() {
        let mut seat = Batched::default();
        seat.offer(6, &[(0.5, -1.0), (0.9, 5.0), (0.95, 4.0), (0.99, f64::NAN)]);
        assert_eq!(seat.quantile(6, 0.5), Some(0.0));
        assert_eq!(seat.quantile(6, 0.95), Some(5.0));
        seat.offer(7, &[(0.5, f64::INFINITY)]);
        assert_eq!(seat.base(7), None);
    }
}
