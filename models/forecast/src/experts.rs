//! The experts of one series, and what they say.

use serde::{Deserialize, Serialize};

use crate::batched::Batched;
use crate::forecaster::{ExpertName, Forecaster};
use crate::holt::Holt;
use crate::linear::Signs;
use crate::moving_average::MovingAverage;
use crate::peak_histogram::PeakHistogram;
use crate::persistence::Persistence;
use crate::seasonal_naive::SeasonalNaive;
use crate::settings::{DAY_MS, EnsembleSettings};
use crate::smoothing::Smoothing;
use crate::volatility::Volatility;

/// How many experts there are, one per [`ExpertName`].
pub(crate) const EXPERTS: usize = 12;

/// Slots of an hour's memory: every step of 10 s. A day's are minutes, a week's five minutes: finer than any horizon worth
/// planning by the season, small enough for many series.
const SLOTS_OF_HOUR: u64 = 360;
const SLOTS_OF_DAY: u64 = 1440;
const SLOTS_OF_WEEK: u64 = 2016;

/// Shares of a surprise that two averages believe, which only the linear expert hears: memories of 4 and of 24 steps.
const PACES: [f64; 2] = [1.0 / 4.0, 1.0 / 24.0];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Experts {
    persistence: Persistence,
    moving_average: MovingAverage,
    histogram: PeakHistogram,
    hour: SeasonalNaive,
    day: SeasonalNaive,
    week: SeasonalNaive,
    holt: Holt,
    smoothing: Smoothing,
    pub(crate) lstm: Batched,
    volatility: Volatility,
    newest: u64,
    /// The two values before the newest.
    before: [Option<f64>; 2],
    last: Option<f64>,
    averages: Option<[f64; PACES.len()]>,
}

/// What the experts say about a horizon, by [`ExpertName`], and what the linear one is told. The answers of the linear expert
/// itself are made by whoever learns the horizon.
pub(crate) struct Answers {
    pub(crate) bases: [Option<f64>; EXPERTS],
    /// What the series moves by in a step.
    pub(crate) unit: f64,
    pub(crate) signs: Option<Signs>,
}

impl Answers {
    pub(crate) fn base(&self, expert: ExpertName) -> Option<f64> {
        self.bases[expert as usize]
    }
}

impl Experts {
    pub(crate) fn new(settings: &EnsembleSettings) -> Self {
        let steps = |span_ms: u64| (span_ms / settings.step_ms).max(1);
        let season = |name, span_ms, slots| SeasonalNaive::new(name, settings.aim, steps(span_ms), slots);
        Self {
            persistence: Persistence::default(),
            moving_average: MovingAverage::default(),
            histogram: PeakHistogram::new(settings.first_bucket, settings.step_ms),
            hour: season(ExpertName::SeasonalHour, DAY_MS / 24, SLOTS_OF_HOUR),
            day: season(ExpertName::SeasonalDay, DAY_MS, SLOTS_OF_DAY),
            week: season(ExpertName::SeasonalWeek, 7 * DAY_MS, SLOTS_OF_WEEK),
            holt: Holt::default(),
            smoothing: Smoothing::default(),
            lstm: Batched::default(),
            volatility: Volatility::default(),
            newest: 0,
            before: [None; 2],
            last: None,
            averages: None,
        }
    }

    /// Takes in a step.
    pub(crate) fn observe(&mut self, step: u64, value: Option<f64>) {
        for expert in self.each_mut() {
            expert.observe(step, value);
        }
        let skipped = step.saturating_sub(self.newest + 1).min(1 + self.before.len() as u64);
        for _ in 0..skipped {
            self.volatility.observe(None);
            self.before = [self.last.take(), self.before[0]];
        }
        self.volatility.observe(value);
        self.before = [self.last, self.before[0]];
        (self.newest, self.last) = (step, value);
        if let Some(value) = value {
            let averages = self.averages.unwrap_or([value; PACES.len()]);
            self.averages = Some(std::array::from_fn(|at| averages[at] + PACES[at] * (value - averages[at])));
        }
    }

    /// Takes in the truth of an origin that has come due.
    pub(crate) fn settle(&mut self, horizon: u32, truth: f64) {
        self.histogram.settle(horizon, truth);
    }

    /// What is said about a horizon.
    pub(crate) fn answers(&self, horizon: u32) -> Answers {
        let mut bases = [None; EXPERTS];
        for expert in self.each() {
            bases[expert.name() as usize] = expert.base(horizon);
        }
        let last = self.persistence.base(horizon);
        let change = |season: &SeasonalNaive| {
            let change = season.base(horizon)? - season.at(self.newest)?;
            last.map(|last| (last + change).max(0.0))
        };
        bases[ExpertName::ChangeOfDay as usize] = change(&self.day);
        bases[ExpertName::ChangeOfWeek as usize] = change(&self.week);
        let signs = last.map(|last| Signs::new(last, self.volatility.unit(), self.known(horizon)));
        Answers { bases, unit: self.volatility.unit(), signs }
    }

    /// An expert's own quantile, for the two that have one.
    pub(crate) fn own_quantile(&self, expert: ExpertName, horizon: u32, level: f64) -> Option<f64> {
        match expert {
            ExpertName::Histogram => self.histogram.quantile(horizon, level),
            ExpertName::Lstm => self.lstm.quantile(horizon, level),
            _ => None,
        }
    }

    /// The signs of the linear expert.
    fn known(&self, horizon: u32) -> [Option<f64>; crate::linear::SIGNS - 1] {
        let (now, first) = (self.newest, self.newest + 1);
        [
            self.before[0],
            self.before[1],
            self.averages.map(|averages| averages[0]),
            self.averages.map(|averages| averages[1]),
            self.moving_average.base(horizon),
            self.hour.at(now),
            self.hour.ahead(first, horizon),
            self.hour.ahead(first - 1, horizon),
            self.hour.ahead(first + 1, horizon),
            self.day.at(now),
            self.day.ahead(first, horizon),
            self.day.ahead(first - 1, horizon),
            self.day.ahead(first + 1, horizon),
            self.week.at(now),
            self.week.ahead(first, horizon),
            Some(self.volatility.level()),
        ]
    }

    fn each(&self) -> [&dyn Forecaster; 9] {
        [
            &self.persistence,
            &self.moving_average,
            &self.histogram,
            &self.hour,
            &self.day,
            &self.week,
            &self.holt,
            &self.smoothing,
            &self.lstm,
        ]
    }

    fn each_mut(&mut self) -> [&mut dyn Forecaster; 9] {
        [
            &mut self.persistence,
            &mut self.moving_average,
            &mut self.histogram,
            &mut self.hour,
            &mut self.day,
            &mut self.week,
            &mut self.holt,
            &mut self.smoothing,
            &mut self.lstm,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_day_ago_comes_again() {
        let settings = EnsembleSettings { step_ms: DAY_MS / 24, ..EnsembleSettings::default() };
        let mut experts = Experts::new(&settings);
        // A ramp over each of two days, the second 10 higher; now is hour 12 of the second.
        (0..=36).for_each(|hour| experts.observe(hour, Some((hour % 24) as f64 + if hour < 24 { 0.0 } else { 10.0 })));
        let answers = experts.answers(3);
        // 22 now; it was 12 yesterday, and 15 three hours later.
        assert_eq!(answers.base(ExpertName::ChangeOfDay), Some(25.0));
        assert_eq!(answers.base(ExpertName::SeasonalDay), Some(15.0));
        assert_eq!(answers.base(ExpertName::ChangeOfWeek), None);
    }
}
