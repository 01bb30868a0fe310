//! How much a series moves from step to step: the unit that residuals and changes are told in.
//!
//! A busy spell widens the margin at once and a calm one narrows it, where a window of plain residuals would take as long as
//! it is. The unit is the mean of a quick and a slow average of the steps' changes, and at least half a per cent of the level, so
//! that a series that stands still does not make news of its last digits. State: four numbers.

use serde::{Deserialize, Serialize};

/// The quick average remembers so many steps: two minutes of 10 s steps.
const QUICK_STEPS: f64 = 12.0;

/// The slow one, and the level: 48 minutes of 10 s steps, a day of 5 min steps.
const SLOW_STEPS: f64 = 288.0;

/// The unit is at least this share of the level.
const LEAST: f64 = 0.005;

/// And at least this, in whatever is measured: a series of zeros has a unit, too, and residuals told in it stay within f32.
const UNIT_LEAST: f64 = 1e-9;

/// Averages of a series' changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Volatility {
    last: Option<f64>,
    quick: f64,
    slow: f64,
    level: f64,
}

impl Volatility {
    /// Takes in a step; a change is only between two steps that were both observed.
    pub fn observe(&mut self, value: Option<f64>) {
        if let Some((last, value)) = self.last.zip(value) {
            let change = (value - last).abs();
            self.quick += (change - self.quick) / QUICK_STEPS;
            self.slow += (change - self.slow) / SLOW_STEPS;
        }
        if let Some(value) = value {
            self.level += (value.abs() - self.level) / SLOW_STEPS;
        }
        self.last = value;
    }

    /// What the series moves by in a step, as of late; above zero.
    pub fn unit(&self) -> f64 {
        f64::midpoint(self.quick, self.slow).max(LEAST * self.level).max(UNIT_LEAST)
    }

    /// The long mean of the values, from below: it begins at zero.
    pub fn level(&self) -> f64 {
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_mean_change() {
        let mut volatility = Volatility::default();
        (0..4000).for_each(|step| volatility.observe(Some(if step % 2 == 0 { 1.0 } else { 3.0 })));
        // Every change is 2; (1 - 1/288)^4000 is below 1e-6.
        assert!((volatility.unit() - 2.0).abs() < 1e-5, "{}", volatility.unit());
        // Two missing steps are no change, and no zero.
        (0..2).for_each(|_| volatility.observe(None));
        volatility.observe(Some(100.0));
        assert!((volatility.unit() - 2.0).abs() < 1e-5, "{}", volatility.unit());
    }

    #[test]
    fn a_constant_has_the_least_unit() {
        let mut volatility = Volatility::default();
        (0..8000).for_each(|_| volatility.observe(Some(8.0)));
        // Half a per cent of 8.
        assert!((volatility.unit() - 0.04).abs() < 1e-6, "{}", volatility.unit());
    }
}
