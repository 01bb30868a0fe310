//! Exponential smoothing: a level that follows the series at the pace that has served it best.
//!
//! Four levels run beside each other, each moved by its own share of every surprise; the one with the least recent one-step
//! error speaks. A lone outlier moves a slow level little, a ramp is followed by a quick one. State: nine numbers.

use serde::{Deserialize, Serialize};

use crate::decay::half_power;
use crate::forecaster::{ExpertName, Forecaster, STALE_STEPS};

/// Shares of a surprise that are believed, from a memory of ten steps to almost none.
const GAINS: [f64; 4] = [0.1, 0.3, 0.6, 0.9];

/// Errors count half after so many steps: an hour of 10 s steps.
const HALF_LIFE_STEPS: f64 = 360.0;

/// Levels of different pace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Smoothing {
    newest: u64,
    observed: Option<u64>,
    levels: [f64; GAINS.len()],
    errors: [f64; GAINS.len()],
}

impl Forecaster for Smoothing {
    fn name(&self) -> ExpertName {
        ExpertName::Smoothing
    }

    fn observe(&mut self, step: u64, value: Option<f64>) {
        self.newest = step;
        let Some(value) = value else { return };
        if self.observed.is_none_or(|observed| step - observed > STALE_STEPS) {
            self.levels = [value; GAINS.len()];
        }
        self.observed = Some(step);
        let keep = half_power(1.0 / HALF_LIFE_STEPS);
        for ((level, error), gain) in self.levels.iter_mut().zip(&mut self.errors).zip(GAINS) {
            let surprise = value - *level;
            *error = *error * keep + surprise.abs();
            *level += gain * surprise;
        }
    }

    fn base(&self, _horizon: u32) -> Option<f64> {
        self.observed.filter(|observed| self.newest - observed <= STALE_STEPS)?;
        let least = self.errors.iter().zip(self.levels).min_by(|a, b| a.0.total_cmp(b.0));
        least.map(|(_, level)| level.max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_the_series() {
        let (mut noisy, mut ramp) = (Smoothing::default(), Smoothing::default());
        for step in 0..100_u64 {
            noisy.observe(step, Some(if step % 2 == 0 { 1.0 } else { 3.0 }));
            ramp.observe(step, Some(step as f64));
        }
        // Between 1 and 3 in turn the slowest level stays nearest to 2: with gain g it swings by g / (2 - g) = 0.053.
        assert!(noisy.base(1).is_some_and(|base| (base - 2.0).abs() < 0.06), "{:?}", noisy.base(1));
        // On a ramp of 1 a step the level lags by (1 - g) / g: 0.11 at 0.9.
        assert!(ramp.base(1).is_some_and(|base| (base - 98.89).abs() < 0.01), "{:?}", ramp.base(1));
    }

    #[test]
    fn a_long_silence_begins_anew() {
        let mut expert = Smoothing::default();
        expert.observe(0, Some(5.0));
        expert.observe(1 + STALE_STEPS, None);
        assert_eq!(expert.base(1), None);
        expert.observe(2 + STALE_STEPS, Some(1.0));
        assert_eq!(expert.base(1), Some(1.0));
    }
}
