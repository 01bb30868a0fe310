//! The experts of one series, in the order of their names.

use serde::{Deserialize, Serialize};

use crate::batched::Batched;
use crate::forecaster::{ExpertName, Forecaster};
use crate::holt::Holt;
use crate::moving_average::MovingAverage;
use crate::peak_histogram::PeakHistogram;
use crate::persistence::Persistence;
use crate::seasonal_naive::SeasonalNaive;
use crate::settings::{DAY_MS, EnsembleSettings};

/// How many experts there are, one per [`ExpertName`].
pub(crate) const EXPERTS: usize = 7;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Experts {
    persistence: Persistence,
    moving_average: MovingAverage,
    histogram: PeakHistogram,
    seasonal_day: SeasonalNaive,
    seasonal_week: SeasonalNaive,
    holt: Holt,
    pub(crate) lstm: Batched,
}

impl Experts {
    pub(crate) fn new(settings: &EnsembleSettings) -> Self {
        let day_steps = DAY_MS / settings.step_ms;
        Self {
            persistence: Persistence::default(),
            moving_average: MovingAverage::default(),
            histogram: PeakHistogram::new(settings.first_bucket, settings.step_ms),
            seasonal_day: SeasonalNaive::new(ExpertName::SeasonalDay, day_steps),
            seasonal_week: SeasonalNaive::new(ExpertName::SeasonalWeek, 7 * day_steps),
            holt: Holt::default(),
            lstm: Batched::default(),
        }
    }

    /// Invariant: the expert at index `i` is the one whose name is `i` as a number.
    pub(crate) fn each(&self) -> [&dyn Forecaster; EXPERTS] {
        [
            &self.persistence,
            &self.moving_average,
            &self.histogram,
            &self.seasonal_day,
            &self.seasonal_week,
            &self.holt,
            &self.lstm,
        ]
    }

    pub(crate) fn each_mut(&mut self) -> [&mut dyn Forecaster; EXPERTS] {
        [
            &mut self.persistence,
            &mut self.moving_average,
            &mut self.histogram,
            &mut self.seasonal_day,
            &mut self.seasonal_week,
            &mut self.holt,
            &mut self.lstm,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_names() {
        let mut experts = Experts::new(&EnsembleSettings::default());
        let names = experts.each().map(|expert| expert.name() as usize);
        assert_eq!(names, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(experts.each_mut().map(|expert| expert.name() as usize), names);
    }
}
