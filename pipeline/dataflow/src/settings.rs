//! What a user may tune about the dataflow.

use anomaly::DetectorSettings;
use scaling::ScalingSettings;
use schemars::JsonSchema;
use schemas::Span;
use serde::{Deserialize, Serialize};

/// Settings of the dataflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Worker threads of the dataflow. Default 1; the number never changes a decision. Safe range 1 to the number of cores, at most 64.
    pub workers: usize,
    /// Length of a tick: the grain of event time at which windows close and decisions are taken. Default 1s; 100ms to
    /// 10s, and it must divide 10s. Shorter reacts sooner and costs more CPU.
    pub tick: Span,
    /// How far behind the newest sample of its partition a sample may come and still count. Default 2s; longer waits
    /// for slower producers and delays every decision by as much. Safe range 0s to 1m.
    pub lateness: Span,
    /// How far ahead of the log's own time a sample may lie. Default 10s; further is a broken clock, and the sample goes
    /// to the rejects. Safe range 1s to 5m.
    pub future_max: Span,
    /// How far before the log's own time a sample may lie. Default 7d; older goes to the rejects. Safe range 1h to 30d.
    pub past_max: Span,
    /// How often features are published. Default 1s, whole ticks; they are computed at every tick in any case, so longer
    /// only writes less.
    pub features_every: Span,
    /// How often forecasts are published. Default 1m, whole ticks; they are made at every step in any case, so longer
    /// only writes less.
    pub forecasts_every: Span,
    /// Length of a forecast step. Default 10s; whole ticks, and it must divide a day. Shorter follows faster changes and
    /// reaches less far: 4096 steps at most. Safe range 1s to 1m.
    pub step: Span,
    /// The horizon before outcomes have shown the actuation delay. Default 60s; longer raises earlier and more at first.
    /// Safe range 5s to 10m.
    pub horizon_prior: Span,
    /// How long a raise should last beyond the actuation delay. Default 60s; longer raises more and less often. Safe
    /// range 0s to 10m.
    pub dwell: Span,
    /// The recent past whose peak of demand is needed now. Default 30s; longer keeps a peak's allocation longer. Safe
    /// range 10s to 5m, at least a tick and at most 1h.
    pub floor_window: Span,
    /// Whether the global LSTM answers beside the cheap experts: the newest champion of the `models` topic, or the shipped
    /// one. Default true; false leaves the cheap experts alone, and saves some 50 µs of CPU a series and step.
    pub lstm: bool,
    /// How long what is done about a critical anomaly lasts, such as that nothing is lowered. Default 10m; 0s does nothing.
    /// What may be done is in the workload's record, under `remediation`. Safe range 1m to 1h.
    pub quarantine: Span,
    /// Ticks that may be open at once before the sources wait. Default 64; more absorbs longer stalls of the outputs and
    /// takes more memory. Safe range 8 to 1024.
    pub ticks_in_flight_max: u64,
    /// Deliveries that may wait for each worker. Default 1024, a poll of the log. Safe range 16 to 4096.
    pub deliveries_max: usize,
    /// Commits that may wait for the publisher. Default 64; fewer slow the workers down to the log sooner. Safe range 1
    /// to 1024.
    pub commits_max: usize,
    /// How often a snapshot is made of what the dataflow remembers, in event time, where snapshots are kept. Default 30s,
    /// whole ticks; a restart reads again what came since the last one. Shorter starts sooner and writes more; 0s makes none.
    pub snapshot_every: Span,
    /// Detectors of anomalies.
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
            lstm: true,
            quarantine: Span::from_secs(600),
            ticks_in_flight_max: 64,
            deliveries_max: 1024,
            commits_max: 64,
            snapshot_every: Span::from_secs(30),
            anomaly: DetectorSettings::default(),
            scaling: ScalingSettings::default(),
        }
    }
}

impl EngineSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name, and its mend. Empty when they
    /// can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let tick = self.tick.millis();
        let tick_fits = ::features::Bank::new(tick).is_ok();
        // A bad tick is one fault, not one of every span that is counted in ticks.
        let whole_ticks = |span: Span| !tick_fits || (span.millis() >= tick && span.millis().is_multiple_of(tick));
        let divides_day = self.step.millis() < DAY_MS && DAY_MS.is_multiple_of(self.step.millis());
        let queue = 1..=QUEUE_LIMIT;
        let checks = [
            ((1..=64).contains(&self.workers), "workers must lie in 1 to 64"),
            (tick_fits, "tick must be 100ms to 10s and divide 10s, such as \"1s\""),
            (whole_ticks(self.step) && divides_day, "step must be whole ticks and divide a day, such as \"10s\""),
            (whole_ticks(self.features_every), "features_every must be whole ticks, at least one"),
            (whole_ticks(self.forecasts_every), "forecasts_every must be whole ticks, at least one"),
            (
                self.snapshot_every.millis() == 0 || whole_ticks(self.snapshot_every),
                "snapshot_every must be whole ticks, or 0s for none",
            ),
            (
                (tick..=FLOOR_WINDOW_LIMIT_MS).contains(&self.floor_window.millis()),
                "floor_window must be at least a tick and at most 1h, such as \"30s\"",
            ),
            (queue.contains(&self.ticks_in_flight_max), "ticks_in_flight_max must lie in 1 to 65536"),
            (queue.contains(&(self.deliveries_max as u64)), "deliveries_max must lie in 1 to 65536"),
            (queue.contains(&(self.commits_max as u64)), "commits_max must lie in 1 to 65536"),
        ];
        let mut faults: Vec<String> =
            checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault.to_owned()).collect();
        let spans = [
            ("lateness", self.lateness),
            ("future_max", self.future_max),
            ("past_max", self.past_max),
            ("horizon_prior", self.horizon_prior),
            ("dwell", self.dwell),
            ("quarantine", self.quarantine),
            ("snapshot_every", self.snapshot_every),
        ];
        let long = spans.iter().filter(|(_, span)| span.millis() > SPAN_LIMIT_MS);
        faults.extend(long.map(|(name, _)| format!("{name} must be at most 3650d")));
        faults.extend(self.anomaly.faults().iter().map(|fault| format!("anomaly.{fault}")));
        faults.extend(self.scaling.faults().iter().map(|fault| format!("scaling.{fault}")));
        faults
    }
}

const DAY_MS: u64 = 86_400_000;

/// Bound on the queues: each entry holds a message or a tick.
const QUEUE_LIMIT: u64 = 65_536;

/// Bound on `floor_window`: one peak a tick is kept per workload while demand falls, 36 000 at ticks of 100 ms.
const FLOOR_WINDOW_LIMIT_MS: u64 = 3_600_000;

/// Bound on every other span, so that sums with event times cannot overflow.
const SPAN_LIMIT_MS: u64 = 3650 * DAY_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(EngineSettings::default().faults(), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_told_at_once_and_begins_with_its_setting() {
        let mut settings = EngineSettings {
            workers: 0,
            tick: Span::from_millis(0),
            step: Span::from_secs(86_400),
            deliveries_max: usize::MAX,
            past_max: Span::from_millis(u64::MAX),
            ..EngineSettings::default()
        };
        settings.scaling.stale_after = Span::from_millis(0);
        settings.anomaly.demand.window_ticks = 2;
        let faults = settings.faults();
        let keys: Vec<&str> = faults.iter().filter_map(|fault| fault.split(' ').next()).collect();
        let expected = [
            "workers",
            "tick",
            "step",
            "deliveries_max",
            "past_max",
            "anomaly.demand.window_ticks",
            "scaling.stale_after",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_step_of_a_day_is_no_season() {
        let settings = EngineSettings { step: Span::from_secs(86_400), ..EngineSettings::default() };
        assert!(settings.faults().iter().any(|fault| fault.starts_with("step ")), "{:?}", settings.faults());
    }
}
