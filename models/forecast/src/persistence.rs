//! Persistence: the peak will be the last value.
//!
//! Hard to beat a few minutes ahead, where load is its own best forecast. It answers from the first value on,
//! so it leads until another expert has earned the seat. State: two steps and a value.

use serde::{Deserialize, Serialize};

use crate::forecaster::{ExpertName, Forecaster, STALE_STEPS};

/// Headroom at level 0.95 before anything has been learned: the VPA recommender's margin for a container it does not know.
const COLD_MARGIN: f64 = 0.15;

/// The last value, for as long as it is not stale.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Persistence {
    newest: u64,
    last: Option<(u64, f64)>,
}

/// The quantile to assume around `base` while too few residuals exist: +15 % at level 0.95, linear in the level.
///
/// | level | 0.5 | 0.9 | 0.95 | 0.99 |
/// |---|---|---|---|---|
/// | base 2.0 cores | 2.000 | 2.267 | 2.300 | 2.327 |
pub fn cold_quantile(base: f64, level: f64) -> f64 {
    base * (1.0 + COLD_MARGIN * (level - 0.5) / 0.45)
}

impl Forecaster for Persistence {
    fn name(&self) -> ExpertName {
        ExpertName::Persistence
    }

    fn observe(&mut self, step: u64, value: Option<f64>) {
        self.newest = step;
        if let Some(value) = value {
            self.last = Some((step, value));
        }
    }

    fn base(&self, _horizon: u32) -> Option<f64> {
        let (step, value) = self.last?;
        (self.newest - step <= STALE_STEPS).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_stands_until_it_is_stale() {
        let mut expert = Persistence::default();
        assert_eq!(expert.base(6), None);
        expert.observe(10, Some(3.0));
        expert.observe(11, None);
        assert_eq!(expert.base(6), Some(3.0));
        expert.observe(10 + STALE_STEPS, None);
        assert_eq!(expert.base(6), Some(3.0));
        expert.observe(11 + STALE_STEPS, None);
        assert_eq!(expert.base(6), None);
    }

    #[test]
    fn cold_quantiles_widen_with_the_level() {
        // 2 * (1 + 0.15 * 0.40 / 0.45) = 2.2667, and 2 * 1.15 = 2.3; 1e-12 covers rounding.
        assert_eq!(cold_quantile(2.0, 0.5), 2.0);
        assert!((cold_quantile(2.0, 0.9) - 2.266_666_666_666_667).abs() < 1e-12);
        assert!((cold_quantile(2.0, 0.95) - 2.3).abs() < 1e-12);
    }
}
