//! How many requests arrive, as a function of event time.
//!
//! A load is a pattern, times a flash crowd where there is one, times noise. Everything is stateless: a load may be
//! asked at any time in any order. Days are UTC and begin at event time 0; minutes of the day run 0..1440.
//!
//! Cost: 0.1 to 0.3 µs a call.

mod batch;
mod daily;
mod erratic;
mod flash_crowd;
mod ramp;

use serde::{Deserialize, Serialize};

pub use batch::{BatchBursts, Burst};
pub use daily::Daily;
pub use erratic::Erratic;
pub use flash_crowd::FlashCrowd;
pub use ramp::Ramp;

use crate::noise;

pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const DAY_MS: u64 = 86_400_000;
const DAY_MINUTES: f64 = 1_440.0;

/// Between knots of the fast noise: users come and go over seconds.
const FAST_KNOT_MS: u64 = 10_000;

/// Between knots of the slow noise: moods of a quarter of an hour.
const SLOW_KNOT_MS: u64 = 900_000;

/// Shares of the fast and the slow noise in its standard deviation: 0.6² + 0.8² = 1.
const FAST_SHARE: f64 = 0.6;
const SLOW_SHARE: f64 = 0.8;

/// The load of one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadShape {
    /// What it would be on a calm day.
    pub pattern: Pattern,
    /// Standard deviation of the noise as a share of the load, 0..0.3.
    pub noise_ratio: f64,
    /// A sudden crowd on top.
    pub flash_crowd: Option<FlashCrowd>,
}

/// The calm course of a load, requests/s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// The same at all times.
    Steady(f64),
    /// People's days: a trough at night, peaks at lunch and in the evening.
    Daily(Daily),
    /// Jobs at fixed times.
    Batch(BatchBursts),
    /// A slow climb each day, then a fall.
    Ramp(Ramp),
    /// No pattern at all.
    Erratic(Erratic),
}

impl LoadShape {
    /// Requests/s at `time_ms` of event time; never negative. `seed` is the workload's own
    /// ([`noise::workload_seed`]).
    pub fn load(&self, time_ms: u64, seed: u64) -> f64 {
        let calm = match &self.pattern {
            Pattern::Steady(requests_per_second) => *requests_per_second,
            Pattern::Daily(daily) => daily.load(time_ms),
            Pattern::Batch(bursts) => bursts.load(time_ms, seed),
            Pattern::Ramp(ramp) => ramp.load(time_ms),
            Pattern::Erratic(erratic) => erratic.load(time_ms, seed),
        };
        let crowd = self.flash_crowd.as_ref().map_or(1.0, |crowd| crowd.multiple(time_ms, seed));
        let fast = noise::smooth_normal(seed, noise::LOAD_FAST, time_ms, FAST_KNOT_MS);
        let slow = noise::smooth_normal(seed, noise::LOAD_SLOW, time_ms, SLOW_KNOT_MS);
        let wobble = 1.0 + self.noise_ratio * (FAST_SHARE * fast + SLOW_SHARE * slow);
        (calm * crowd * wobble).max(0.0)
    }
}

/// Minutes since midnight, 0..1440.
fn minute_of_day(time_ms: u64) -> f64 {
    (time_ms % DAY_MS) as f64 / MINUTE_MS as f64
}

/// Minutes from the latest `start_minute` o'clock to `time_ms`, 0..1440: the clock wraps at midnight.
fn minutes_since(start_minute: f64, time_ms: u64) -> f64 {
    let minutes = minute_of_day(time_ms) - start_minute;
    if minutes < 0.0 { minutes + DAY_MINUTES } else { minutes }
}

/// The day on which the event that began `minutes_ago` before `time_ms` began.
fn day_of_start(time_ms: u64, minutes_ago: f64) -> u64 {
    time_ms.saturating_sub((minutes_ago * MINUTE_MS as f64) as u64) / DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_stated_deviation_and_never_makes_a_load_negative() {
        let shape = LoadShape { pattern: Pattern::Steady(100.0), noise_ratio: 0.1, flash_crowd: None };
        // A minute apart over 28 days: 40 000 values, of which the slow part has 2 700 independent knots.
        let loads: Vec<f64> = (0..40_000).map(|minute| shape.load(minute * MINUTE_MS, 3)).collect();
        let mean = loads.iter().sum::<f64>() / loads.len() as f64;
        let deviation = (loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / loads.len() as f64).sqrt();
        // Standard errors: 10 / sqrt(2 700) = 0.2 and 0.14; four of each.
        assert!((mean - 100.0).abs() < 0.8, "{mean}");
        assert!((deviation - 10.0).abs() < 0.6, "{deviation}");

        let wild = LoadShape { noise_ratio: 2.0, ..shape };
        assert!((0..1_000).all(|minute| wild.load(minute * MINUTE_MS, 3) >= 0.0));
    }

    #[test]
    fn the_clock_wraps_at_midnight() {
        let one_oclock = DAY_MS + 60 * MINUTE_MS;
        assert_eq!(minutes_since(1_380.0, one_oclock), 120.0);
        assert_eq!(day_of_start(one_oclock, 120.0), 0);
        assert_eq!(minutes_since(30.0, one_oclock), 30.0);
        assert_eq!(day_of_start(one_oclock, 30.0), 1);
    }
}
