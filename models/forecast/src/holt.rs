//! Holt's linear trend, damped: the peak will be the highest point of a trend that slowly levels out.
//!
//! With level `l`, trend `b` and damping `d`, the value `k` steps ahead is `l + b * (d + d^2 + ... + d^k)`
//! = `l + b * d * (1 - d^k) / (1 - d)` (Gardner and McKenzie 1985). A value `x` that misses the one-step forecast by `e`
//! moves the level by `a * e` and the trend by `a * c * e`. Missing steps let the trend run on. The path is monotone, so its
//! peak over a horizon lies at one of its two ends. State: four numbers.

use serde::{Deserialize, Serialize};

use crate::decay::power;
use crate::forecaster::{ExpertName, Forecaster, STALE_STEPS};

/// Share of a surprise that is believed to be level.
const LEVEL_GAIN: f64 = 0.5;

/// Share of a change of level that is believed to be trend.
const TREND_GAIN: f64 = 0.1;

/// The trend halves in under seven steps, and all it can ever add is nine steps' worth (`0.9 / 0.1`): a ramp is followed for
/// a minute or two, not extrapolated to the sky. On traces of real services 0.98 overshot at every horizon beyond a few steps.
const DAMPING: f64 = 0.9;

/// Level and trend, as of the last step with a value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Holt {
    newest: u64,
    fit: Option<Fit>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Fit {
    step: u64,
    level: f64,
    trend: f64,
}

impl Fit {
    fn value_at(&self, step: u64) -> f64 {
        let damped_steps = DAMPING * (1.0 - power(DAMPING, step - self.step)) / (1.0 - DAMPING);
        self.level + self.trend * damped_steps
    }

    fn corrected(&self, step: u64, value: f64) -> Self {
        let expected = self.value_at(step);
        let surprise = value - expected;
        let trend = self.trend * power(DAMPING, step - self.step) + LEVEL_GAIN * TREND_GAIN * surprise;
        Self { step, level: expected + LEVEL_GAIN * surprise, trend }
    }
}

impl Forecaster for Holt {
    fn name(&self) -> ExpertName {
        ExpertName::Holt
    }

    fn observe(&mut self, step: u64, value: Option<f64>) {
        self.newest = step;
        let Some(value) = value else { return };
        let fresh = self.fit.filter(|fit| step - fit.step <= STALE_STEPS);
        self.fit = Some(match fresh {
            Some(fit) => fit.corrected(step, value),
            None => Fit { step, level: value, trend: 0.0 },
        });
    }

    fn base(&self, horizon: u32) -> Option<f64> {
        let fit = self.fit.filter(|fit| self.newest - fit.step <= STALE_STEPS)?;
        let first = fit.value_at(self.newest + 1);
        let last = fit.value_at(self.newest + u64::from(horizon));
        Some(first.max(last).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(values: &[Option<f64>]) -> Holt {
        let mut expert = Holt::default();
        values.iter().enumerate().for_each(|(step, value)| expert.observe(step as u64, *value));
        expert
    }

    fn assert_close(found: Option<f64>, wanted: f64) {
        assert!(found.is_some_and(|found| (found - wanted).abs() < 1e-9), "{found:?}, wanted {wanted}");
    }

    #[test]
    fn a_rise_is_projected_and_damped() {
        assert_eq!(fed(&[]).base(1), None);
        // 10 then 12: expected 10, surprise 2, level 11, trend 0.5 * 0.1 * 2 = 0.1.
        let rising = fed(&[Some(10.0), Some(12.0)]);
        assert_close(rising.base(1), 11.0 + 0.1 * 0.9);
        assert_close(rising.base(2), 11.0 + 0.1 * (0.9 + 0.81));
        // Far ahead: 0.1 * 0.9 / 0.1 = 0.9 on top and never more.
        assert_close(rising.base(4096), 11.9);
    }

    #[test]
    fn a_fall_peaks_at_the_next_step_and_stays_nonnegative() {
        // 10 then 8: level 9, trend -0.1.
        assert_close(fed(&[Some(10.0), Some(8.0)]).base(100), 9.0 - 0.09);
        let crashing =
            fed(&[Some(100.0), Some(1.0), Some(0.0), Some(0.0), Some(0.0), Some(0.0), Some(0.0), Some(0.0), Some(0.0)]);
        assert_close(crashing.base(1), 0.0);
    }

    #[test]
    fn missing_steps_run_the_trend_on() {
        let gap = fed(&[Some(10.0), Some(12.0), None]);
        // One step on from level 11, trend 0.1: the next is two steps ahead.
        assert_close(gap.base(1), 11.0 + 0.1 * (0.9 + 0.81));
        let mut stale = fed(&[Some(10.0), Some(12.0)]);
        stale.observe(2 + STALE_STEPS, None);
        assert_eq!(stale.base(1), None);
    }
}
