//! Moving average: the mean of the last twelve steps.
//!
//! Where single steps are noisy, their mean is a steadier base than the last of them; what the peak rises above the mean
//! is learned as residual. State: at most twelve values. Cost: twelve additions per answer.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::forecaster::{ExpertName, Forecaster};

/// Two minutes of 10 s steps: long enough to quarter the noise's variance, short enough to follow a ramp.
pub const WINDOW_STEPS: u64 = 12;

/// The mean of the values observed in the last [`WINDOW_STEPS`] steps; `None` if there are none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MovingAverage {
    /// Invariant: steps ascend and lie in the window, so there are at most `WINDOW_STEPS`.
    window: VecDeque<(u64, f64)>,
}

impl Forecaster for MovingAverage {
    fn name(&self) -> ExpertName {
        ExpertName::MovingAverage
    }

    fn observe(&mut self, step: u64, value: Option<f64>) {
        while self.window.front().is_some_and(|(oldest, _)| oldest + WINDOW_STEPS <= step) {
            self.window.pop_front();
        }
        self.window.extend(value.map(|value| (step, value)));
    }

    fn base(&self, _horizon: u32) -> Option<f64> {
        // Summed afresh each time: a running sum would drift by its rounding.
        let sum: f64 = self.window.iter().map(|(_, value)| value).sum();
        (!self.window.is_empty()).then(|| sum / self.window.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_what_was_observed_in_the_window() {
        let mut expert = MovingAverage::default();
        assert_eq!(expert.base(1), None);
        (1..=14).for_each(|step| expert.observe(step, Some(step as f64)));
        // Steps 3..=14: (3 + 14) / 2.
        assert_eq!(expert.base(1), Some(8.5));
        expert.observe(15, None);
        // Steps 4..=14, eleven of them; the missing one is not a zero.
        assert_eq!(expert.base(1), Some(9.0));
        expert.observe(14 + WINDOW_STEPS, None);
        assert_eq!(expert.base(1), None);
    }
}
