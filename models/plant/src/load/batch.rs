//! Batch jobs: heavy work at fixed times, little between.

use serde::{Deserialize, Serialize};

use super::{day_of_start, minutes_since};
use crate::noise;

/// Jobs of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchBursts {
    /// Items/s while no job runs.
    pub idle_requests_per_second: f64,
    /// The jobs; where two overlap their loads add.
    pub bursts: Vec<Burst>,
    /// How much longer or shorter than planned a job may take, as a share: the data differ each day.
    pub length_jitter_ratio: f64,
}

/// One job, at the same time each day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Minute of the day at which it begins, 0..1440.
    pub start_minute: f64,
    /// Planned length, minutes; with its jitter below a day.
    pub length_minutes: f64,
    /// Items/s while it runs.
    pub requests_per_second: f64,
}

impl BatchBursts {
    pub(super) fn load(&self, time_ms: u64, seed: u64) -> f64 {
        let running = self.bursts.iter().filter(|burst| {
            let minutes = minutes_since(burst.start_minute, time_ms);
            let start = day_of_start(time_ms, minutes) * 1_440 + burst.start_minute as u64;
            let surprise = 2.0 * noise::uniform(seed, noise::BATCH_LENGTH, start) - 1.0;
            minutes < burst.length_minutes * (1.0 + self.length_jitter_ratio * surprise)
        });
        self.idle_requests_per_second + running.map(|burst| burst.requests_per_second).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{DAY_MS, MINUTE_MS};

    #[test]
    fn jobs_run_on_time_and_add_up() {
        let nightly = Burst { start_minute: 1_420.0, length_minutes: 40.0, requests_per_second: 6.0 };
        let report = Burst { start_minute: 10.0, length_minutes: 30.0, requests_per_second: 2.0 };
        let mut batch =
            BatchBursts { idle_requests_per_second: 0.5, bursts: vec![nightly, report], length_jitter_ratio: 0.0 };
        let at = |batch: &BatchBursts, minute: u64| batch.load(DAY_MS + minute * MINUTE_MS, 1);
        assert_eq!(at(&batch, 1_419), 0.5);
        assert_eq!(at(&batch, 1_420), 6.5);
        // The night before's job still runs until 00:20.
        assert_eq!(at(&batch, 15), 8.5);
        assert_eq!(at(&batch, 20), 2.5);

        batch.length_jitter_ratio = 0.25;
        let lengths: Vec<u64> = (1..30)
            .map(|day| (0..60).filter(|m| batch.load(day * DAY_MS + m * MINUTE_MS, 1) >= 6.5).count() as u64)
            .collect();
        // Planned until 20 past midnight; 25 % of 40 minutes either way is 10 to 30.
        assert!(lengths.iter().all(|length| (10..=30).contains(length)));
        assert!(lengths.iter().any(|length| *length != lengths[0]));
    }
}
