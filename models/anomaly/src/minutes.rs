//! The joint novelty of a workload, by the minute.
//!
//! Ticks become means of a minute, which [`JointNovelty`] judges: eight signals, each an aspect of its own, since each fails by
//! itself. The last of them sets the shadow beside the primary: under the same requests both take the same CPU for one, so
//! what only one of them does differently shows there first.
//!
//! Time: a minute is judged by the first tick after it, and a minute in which nothing was observed is none. State: means of eight
//! signals, and the detector's: 33 kB at most. Cost: eight additions a tick, and about a microsecond a minute.

use serde::{Deserialize, Serialize};

use crate::bank::{Readings, Signal};
use crate::detector::{Finding, Kind, figure};
use crate::joint::{JointNovelty, Judgement, NoveltySettings};

const MINUTE_MS: u64 = 60_000;

type Read = fn(&Readings) -> Option<f64>;

/// What is judged, and where it is read.
const SIGNALS: [(Signal, Read); 8] = [
    (Signal::Demand, |readings| readings.demand_cores),
    (Signal::Latency, |readings| readings.latency_s),
    (Signal::Memory, |readings| readings.memory_bytes),
    (Signal::Requests, |readings| readings.requests_per_second),
    (Signal::Errors, |readings| readings.errors_per_second),
    (Signal::Network, |readings| readings.network_bytes_per_second),
    (Signal::Disk, |readings| readings.disk_bytes_per_second),
    (Signal::ShadowCost, |readings| readings.shadow_cost_ratio),
];

/// Watches all signals of a workload together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Minutes {
    minute: Option<u64>,
    sums: [(f64, u32); SIGNALS.len()],
    detector: JointNovelty,
}

impl Minutes {
    /// # Panics
    /// If a setting is outside its documented range.
    pub(crate) fn new(settings: NoveltySettings) -> Self {
        let aspects: [usize; SIGNALS.len()] = std::array::from_fn(|at| at);
        Self { minute: None, sums: Default::default(), detector: JointNovelty::new(settings, &aspects) }
    }

    /// Takes in a tick at event time `time_ms`, never decreasing; what the minute before it shows, with the signal that says most.
    pub(crate) fn observe(&mut self, time_ms: u64, readings: &Readings) -> Option<(Signal, Finding)> {
        let minute = time_ms / MINUTE_MS;
        let over = self.minute.replace(minute).is_some_and(|before| before != minute);
        let found = if over { self.judge(time_ms) } else { None };
        for ((sum, count), (_, read)) in self.sums.iter_mut().zip(SIGNALS) {
            if let Some(value) = read(readings).filter(|value| value.is_finite()) {
                *sum += value;
                *count += 1;
            }
        }
        found
    }

    fn judge(&mut self, time_ms: u64) -> Option<(Signal, Finding)> {
        let means = std::mem::take(&mut self.sums).map(|(sum, count)| (count > 0).then(|| sum / f64::from(count)));
        if means.iter().all(Option::is_none) {
            return None;
        }
        let Judgement { score, threshold, alarm, signal, expected } = self.detector.observe(&means);
        let (threshold, at) = threshold.filter(|_| alarm).zip(signal)?;
        let observed = means[at]?;
        let nearest =
            expected.map_or_else(String::new, |nearest| format!(", the nearest known value is {}", figure(nearest)));
        let evidence = format!(
            "a state that was not seen before: {} stands at {}{nearest}; evidence {} beyond {} over all signals of the minute",
            SIGNALS[at].0.name(),
            figure(observed),
            figure(score),
            figure(threshold),
        );
        let finding = Finding { kind: Kind::Novelty, time_ms, score, threshold, expected, observed, evidence };
        Some((SIGNALS[at].0, finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// Noise on four signals, a tick each ten seconds, and `extra` on demand and latency in some minutes.
    fn findings(extra: impl Fn(u64) -> f64) -> Vec<(u64, Signal)> {
        let (mut minutes, mut noise) = (Minutes::new(NoveltySettings::default()), Noise(5));
        let tick = |tick: u64| {
            let more = extra(tick / 6);
            let readings = Readings {
                demand_cores: Some(2.0 + 0.1 * noise.normal() + more),
                latency_s: Some(0.05 + 0.002 * noise.normal() + 0.1 * more),
                requests_per_second: Some(100.0 + noise.normal()),
                shadow_cost_ratio: Some(1.0 + 0.01 * noise.normal()),
                ..Readings::default()
            };
            minutes.observe(tick * 10_000, &readings)
        };
        let found = (0..6 * 900).map(tick).enumerate();
        found.filter_map(|(tick, found)| Some((tick as u64 / 6, found?.0))).collect()
    }

    #[test]
    fn a_minute_unlike_all_before_is_told_by_the_tick_after_it() {
        assert_eq!(findings(|_| 0.0), []);
        // Means of six have deviations of 0.041 and 0.0008, ranges of about six of them. 8 cores and 0.8 s beyond them among 500
        // minutes: 8/0.25 · √500 = 716 and 0.8/0.005 · √500 = 3600, evidence 6.6 and 8.2, above the 12 that is needed.
        let found = findings(|minute| if minute == 500 { 8.0 } else { 0.0 });
        assert_eq!(found, [(501, Signal::Latency)]);
    }

    #[test]
    fn minutes_without_readings_are_none() {
        let mut minutes = Minutes::new(NoveltySettings::default());
        assert!((0..10_000).all(|tick| minutes.observe(tick * 10_000, &Readings::default()).is_none()));
        assert_eq!(
            format!("{:?}", minutes.detector),
            format!("{:?}", Minutes::new(NoveltySettings::default()).detector)
        );
    }
}
