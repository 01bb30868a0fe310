//! What a user may tune about the dataflow.

use anomaly::DetectorSettings;
use scaling::ScalingSettings;
use schemas::Span;
use serde::{Deserialize, Serialize};

/// Settings of the dataflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Timely workers. Default 1; the number never changes a decision. Safe range 1 to the number of cores.
    pub workers: usize,
    /// Length of a tick: the grain of event time at which windows close and decisions are taken. Default 1s.
    pub tick: Span,
    /// How far behind the newest sample of its partition a sample may come and still count. Default 2s; longer waits
    /// for slower producers and delays every decision by as much.
    pub lateness: Span,
    /// How far ahead of the log's own time a sample may lie. Default 10s; further is a broken clock.
    pub future_max: Span,
    /// How far before the log's own time a sample may lie. Default 7d.
    pub past_max: Span,
    /// How often features are published. Default 1s; they are computed at every tick in any case.
    pub features_every: Span,
    /// How often forecasts are published. Default 1m; they are made at every step in any case.
    pub forecasts_every: Span,
    /// Length of a forecast step. Default 10s: it must divide a day.
    pub step: Span,
    /// The horizon before outcomes have shown the actuation delay. Default 60s.
    pub horizon_prior: Span,
    /// How long a raise should last beyond the actuation delay. Default 60s; longer raises more and less often.
    pub dwell: Span,
    /// The recent past whose peak of demand is needed now. Default 30s.
    pub floor_window: Span,
    /// How long nothing is lowered after a critical anomaly. Default 10m.
    pub quarantine: Span,
    /// Ticks that may be open at once before the sources wait. Default 64.
    pub ticks_in_flight_max: u64,
    /// Deliveries that may wait for a worker. Default 256: at most 256 messages of memory.
    pub deliveries_max: usize,
    /// Commits that may wait for the publisher. Default 64.
    pub commits_max: usize,
    /// Detectors.
    pub anomaly: DetectorSettings,
    /// The decision law.
    pub scaling: ScalingSettings,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            workers: 1,
            tick: Span::from_secs(1),
            lateness: Span::from_secs(2),
            future_max: Span::from_secs(10),
            past_max: Span::from_secs(7 * 86_400),
            features_every: Span::from_secs(1),
            forecasts_every: Span::from_secs(60),
            step: Span::from_secs(10),
            horizon_prior: Span::from_secs(60),
            dwell: Span::from_secs(60),
            floor_window: Span::from_secs(30),
            quarantine: Span::from_secs(600),
            ticks_in_flight_max: 64,
            deliveries_max: 256,
            commits_max: 64,
            anomaly: DetectorSettings::default(),
            scaling: ScalingSettings::default(),
        }
    }
}

impl EngineSettings {
    /// What is wrong with the settings: every fault, each with its mend. Empty when they can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let tick = self.tick.millis();
        let steps = |span: Span| tick > 0 && span.millis() >= tick && span.millis().is_multiple_of(tick);
        let mut faults: Vec<String> = [
            ((1..=64).contains(&self.workers), "workers must lie between 1 and 64"),
            (::features::SeriesWindows::new(tick).is_ok(), "tick must be 100ms to 10s and divide 10s, such as \"1s\""),
            (
                steps(self.step) && 86_400_000 % self.step.millis().max(1) == 0,
                "step must be whole ticks and divide a day",
            ),
            (steps(self.features_every), "features_every must be whole ticks"),
            (steps(self.forecasts_every), "forecasts_every must be whole ticks"),
            (self.ticks_in_flight_max > 0, "ticks_in_flight_max must be above zero"),
            (self.deliveries_max > 0 && self.commits_max > 0, "deliveries_max and commits_max must be above zero"),
        ]
        .iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, fault)| (*fault).to_owned())
        .collect();
        faults.extend(self.scaling.faults());
        faults
    }
}
