//! The histogram expert: quantiles of the peaks seen so far, the recent ones counting most.
//!
//! The Kubernetes VPA's estimator with one change: it is fed the true *peaks over the horizon* instead of single
//! samples, so that its percentiles are quantiles of what this crate forecasts. It knows no time of day and no trend, forgets
//! slowly (half in a day) and so is the expert to beat on stable workloads. State: one histogram (1.4 kB) per horizon.

use serde::{Deserialize, Serialize};

use crate::forecaster::{ExpertName, Forecaster};
use crate::histogram::{DecayingHistogram, HALF_LIFE_MS};
use crate::settings::MAX_HORIZONS;

/// One decaying histogram of peaks per horizon; silent on a horizon whose first peak is not yet known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeakHistogram {
    first_bucket: f64,
    half_life_steps: u64,
    newest: u64,
    /// Invariant: at most `MAX_HORIZONS`; the one that went longest without a peak gives way.
    by_horizon: Vec<HorizonPeaks>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct HorizonPeaks {
    horizon: u32,
    settled: u64,
    peaks: DecayingHistogram,
}

impl PeakHistogram {
    /// `first_bucket` in the unit of the demand (see [`DecayingHistogram::new`]), `step_ms` the length of a step, at most a day.
    pub fn new(first_bucket: f64, step_ms: u64) -> Self {
        Self { first_bucket, half_life_steps: HALF_LIFE_MS / step_ms, newest: 0, by_horizon: Vec::new() }
    }

    fn seat(&mut self, horizon: u32) -> &mut HorizonPeaks {
        if let Some(at) = self.by_horizon.iter().position(|entry| entry.horizon == horizon) {
            return &mut self.by_horizon[at];
        }
        if self.by_horizon.len() == MAX_HORIZONS {
            self.by_horizon.sort_by_key(|entry| entry.settled);
            self.by_horizon.remove(0);
        }
        let peaks = DecayingHistogram::new(self.first_bucket, self.half_life_steps);
        self.by_horizon.push(HorizonPeaks { horizon, settled: self.newest, peaks });
        self.by_horizon.last_mut().expect("one was just added")
    }
}

impl Forecaster for PeakHistogram {
    fn name(&self) -> ExpertName {
        ExpertName::Histogram
    }

    fn observe(&mut self, step: u64, _value: Option<f64>) {
        self.newest = step;
    }

    fn settle(&mut self, horizon: u32, peak: f64) {
        let newest = self.newest;
        let seat = self.seat(horizon);
        seat.settled = newest;
        seat.peaks.add(newest, peak, 1.0);
    }

    fn base(&self, horizon: u32) -> Option<f64> {
        self.quantile(horizon, 0.5)
    }

    fn quantile(&self, horizon: u32, level: f64) -> Option<f64> {
        self.by_horizon.iter().find(|entry| entry.horizon == horizon)?.peaks.percentile(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::FIRST_BUCKET_CORES;

    #[test]
    fn quantiles_are_those_of_the_peaks() {
        let mut expert = PeakHistogram::new(FIRST_BUCKET_CORES, 10_000);
        assert_eq!(expert.quantile(6, 0.9), None);
        for (step, peak) in [0.1, 0.1, 0.1, 1.0].into_iter().enumerate() {
            expert.observe(step as u64, Some(7.0));
            expert.settle(6, peak);
        }
        // Ends of buckets 8 and 36, as in the histogram's table: the samples of 7.0 were no peaks and do not count.
        assert!(expert.base(6).is_some_and(|median| (0.1..0.1105).contains(&median)));
        assert!(expert.quantile(6, 0.95).is_some_and(|high| (1.0..1.05).contains(&high)));
        assert_eq!(expert.quantile(7, 0.9), None, "each horizon has its own peaks");
    }

    #[test]
    fn the_horizon_without_news_gives_way() {
        let mut expert = PeakHistogram::new(FIRST_BUCKET_CORES, 10_000);
        for horizon in 1..=5 {
            expert.observe(u64::from(horizon), None);
            expert.settle(horizon, 1.0);
        }
        assert_eq!(expert.base(1), None);
        assert!(expert.base(2).is_some() && expert.base(5).is_some());
    }
}
