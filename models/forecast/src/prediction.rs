//! What the ensemble says about the peak over a horizon.

use serde::{Deserialize, Serialize};

use crate::forecaster::ExpertName;

/// Quantiles of the peak demand over a horizon, from the expert that leads. All values are in the unit of the demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Who speaks: the leader or, while the leader is silent, the best of the others.
    pub expert: ExpertName,
    /// The expert's point forecast.
    pub base: f64,
    /// `(level, value)` at 0.5, 0.9, 0.95 and the level asked for, ascending in level, nondecreasing in value, at least 0;
    /// as the expert sees it, before calibration.
    pub quantiles: [(f64, f64); 4],
    /// The value to allocate for the level asked for: the expert's quantile at the conformal level.
    pub calibrated: f64,
    /// The value that covers the level asked for of the *time*: the answer to a price, where a short peak may be missed.
    pub of_time: f64,
}

/// The level asked for, and those at which the expert keeps its promise of peaks and of time.
pub(crate) struct Levels {
    pub(crate) asked: f64,
    pub(crate) of_peaks: f64,
    pub(crate) of_time: f64,
}

impl Prediction {
    /// Assembles the answer from the expert's quantile function; `None` where that has no answer.
    pub(crate) fn new(
        expert: ExpertName,
        base: f64,
        at: Levels,
        quantile: impl Fn(f64) -> Option<f64>,
    ) -> Option<Self> {
        let mut levels = [0.5, 0.9, 0.95, at.asked];
        levels.sort_by(f64::total_cmp);
        let mut quantiles = [(0.0, 0.0); 4];
        let mut floor = 0.0_f64;
        for (slot, level) in quantiles.iter_mut().zip(levels) {
            floor = floor.max(quantile(level)?);
            *slot = (level, floor);
        }
        Some(Self { expert, base, quantiles, calibrated: quantile(at.of_peaks)?, of_time: quantile(at.of_time)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_sorted_raised_and_floored() {
        // A crossed and partly negative quantile function: -1 at 0.5, 4 at 0.7, 3 from 0.9 on.
        let crossed = |level: f64| {
            Some(if level < 0.6 {
                -1.0
            } else if level < 0.8 {
                4.0
            } else {
                3.0
            })
        };
        let at = || Levels { asked: 0.7, of_peaks: 0.8, of_time: 0.6 };
        let prediction = Prediction::new(ExpertName::Holt, 1.0, at(), crossed).expect("it always answers");
        assert_eq!(prediction.quantiles, [(0.5, 0.0), (0.7, 4.0), (0.9, 4.0), (0.95, 4.0)]);
        assert_eq!((prediction.calibrated, prediction.of_time), (3.0, 4.0));
        assert_eq!(Prediction::new(ExpertName::Holt, 1.0, at(), |_| None), None);
    }
}
