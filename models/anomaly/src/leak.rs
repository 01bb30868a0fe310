//! Memory that is taken and never given back: a floor that rises steadily.
//!
//! Per minute the *lowest* value is kept, [`WINDOW_MINUTES`] of them. A garbage collector makes memory a sawtooth
//! whose teeth follow the load; what survives the collection shows at the lowest point, and only a leak raises that.
//!
//! Once a minute, over all pairs i < j of floors:
//!
//! ```text
//! slope = median of (floor_j - floor_i) / (j - i)                              Theil and Sen
//! z     = (S - 1) / √(n (n - 1) (2 n + 5) / 18),  S = rising - falling pairs   Mann and Kendall
//! ```
//!
//! A rise is *consistent* at z ≥ [`CONSISTENT_Z`]. Worked values for 60 floors, 1770 pairs, where √.. = 156.8:
//!
//! | rising pairs | S | z |
//! |---|---|---|
//! | all | 1770 | 11.3 |
//! | 72.2 % | 785 | 5.0 |
//! | half | 0 | 0 |
//!
//! Ties count as neither, which only lowers z. Memory is autocorrelated, so z alone proves little (a random walk
//! reaches 5 as well); a finding needs *urgency* too:
//!
//! ```text
//! urgency = max(horizon / time until the floor meets the limit, growth over the window / (share x level))
//! ```
//!
//! Score is urgency, threshold 1. A morning's rise in load can look like a leak for an hour: it is a warning that
//! someone should look.
//!
//! Cost: a comparison a tick; 1770 slopes and a selection once a minute. State: 60 floors of 16 bytes.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{Detector, Finding, Kind, SCORE_CAP, figure};
use crate::episode::Escalation;
use crate::median::median;

const MINUTE_MS: u64 = 60_000;

/// An hour: long against a collector's cycle, and 1770 pairs are quick to go through.
const WINDOW_MINUTES: u64 = 60;

/// Floors before the first judgement: half a window.
const LEAST_FLOORS: usize = 30;

/// 72 % of the pairs of a full window rise.
const CONSISTENT_Z: f64 = 5.0;

/// Minutes in a row under half the threshold that end an episode.
const CALM_MINUTES: u32 = 10;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeakSettings {
    /// A steady rise that meets the limit within so many milliseconds is a finding, above 0. Default 21600000, six hours:
    /// time for a person or a planned restart.
    pub horizon_ms: u64,
    /// Growth within an hour, as a share of the level, that is a finding whatever the limit, above 0. Default 0.2.
    pub growth_share: f64,
}

impl Default for LeakSettings {
    fn default() -> Self {
        Self { horizon_ms: 6 * 60 * MINUTE_MS, growth_share: 0.2 }
    }
}

/// Finds a memory floor that rises consistently and fast enough to matter. The score is urgency (1: just so), the
/// threshold 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leak {
    settings: LeakSettings,
    limit: Option<f64>,
    open: Option<Floor>,
    // Invariant: minutes ascend and span less than WINDOW_MINUTES.
    floors: VecDeque<Floor>,
    escalation: Escalation,
}

/// The lowest value of one minute.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Floor {
    minute: u64,
    lowest: f64,
}

/// The line through the floors.
struct Trend {
    slope_per_minute: f64,
    z: f64,
    /// Where the line stands at the newest floor.
    level: f64,
    span_minutes: f64,
}

impl LeakSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let checks = [
            (self.horizon_ms > 0, "horizon_ms must be above 0, such as 21600000"),
            (self.growth_share > 0.0 && self.growth_share.is_finite(), "growth_share must be above 0, such as 0.2"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

impl Leak {
    /// A detector that has seen nothing and knows no limit.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: LeakSettings) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        Self { settings, limit: None, open: None, floors: VecDeque::new(), escalation: Escalation::new(CALM_MINUTES) }
    }

    /// Sets the memory limit in force, in the signal's unit; `None` where there is none or it is not known.
    pub fn set_limit(&mut self, limit: Option<f64>) {
        self.limit = limit.filter(|limit| limit.is_finite());
    }

    fn close(&mut self, floor: Floor) {
        self.floors.push_back(floor);
        while self.floors.front().is_some_and(|oldest| oldest.minute + WINDOW_MINUTES <= floor.minute) {
            self.floors.pop_front();
        }
    }

    fn judge(&mut self, time_ms: u64) -> Option<Finding> {
        let trend = self.trend()?;
        let minutes_left = self.limit.map(|limit| (limit - trend.level).max(0.0) / trend.slope_per_minute);
        let consistent = trend.slope_per_minute > 0.0 && trend.z >= CONSISTENT_Z;
        let urgency = if consistent { self.urgency(&trend, minutes_left) } else { 0.0 };
        self.escalation.begins(urgency).then(|| {
            let growth = trend.slope_per_minute * trend.span_minutes;
            let outlook = match minutes_left {
                Some(minutes) => format!("reaching the limit in {} hours", figure(minutes / 60.0)),
                None => "with no known limit".to_owned(),
            };
            Finding {
                kind: self.kind(),
                time_ms,
                score: urgency,
                threshold: 1.0,
                expected: Some(trend.level - growth),
                observed: trend.level,
                evidence: format!(
                    "floor rose by {} an hour over the last {} minutes, {outlook}",
                    figure(60.0 * trend.slope_per_minute),
                    trend.span_minutes
                ),
            }
        })
    }

    fn trend(&self) -> Option<Trend> {
        if self.floors.len() < LEAST_FLOORS {
            return None;
        }
        let (oldest, newest) = (self.floors.front()?, self.floors.back()?);
        let slopes = self.slopes();
        let rising = slopes.iter().filter(|slope| **slope > 0.0).count() as f64;
        let falling = slopes.iter().filter(|slope| **slope < 0.0).count() as f64;
        let n = self.floors.len() as f64;
        let z = (rising - falling - 1.0) / (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
        let slope_per_minute = median(slopes);
        let to_newest = |floor: &Floor| floor.lowest + slope_per_minute * (newest.minute - floor.minute) as f64;
        let level = median(self.floors.iter().map(to_newest).collect());
        let span_minutes = (newest.minute - oldest.minute) as f64;
        Some(Trend { slope_per_minute, z, level, span_minutes })
    }

    /// Per minute, of every pair.
    fn slopes(&self) -> Vec<f64> {
        let later = |index: usize| self.floors.range(index + 1..);
        let slope = |from: &Floor, to: &Floor| (to.lowest - from.lowest) / (to.minute - from.minute) as f64;
        let pairs = self.floors.iter().enumerate();
        pairs.flat_map(|(index, from)| later(index).map(move |to| slope(from, to))).collect()
    }

    fn urgency(&self, trend: &Trend, minutes_left: Option<f64>) -> f64 {
        let horizon_minutes = self.settings.horizon_ms as f64 / MINUTE_MS as f64;
        let by_limit = minutes_left.map_or(0.0, |minutes| horizon_minutes / minutes);
        let growth = trend.slope_per_minute * trend.span_minutes;
        let by_growth = growth / (self.settings.growth_share * trend.level.abs());
        by_limit.max(by_growth).min(SCORE_CAP)
    }
}

impl Detector for Leak {
    fn kind(&self) -> Kind {
        Kind::Leak
    }

    /// A minute is judged when the first value of a later minute arrives; a minute without a value has no floor.
    fn observe(&mut self, time_ms: u64, value: Option<f64>) -> Option<Finding> {
        let lowest = value.filter(|value| value.is_finite())?;
        let minute = time_ms / MINUTE_MS;
        if let Some(open) = self.open.as_mut().filter(|open| minute <= open.minute) {
            open.lowest = open.lowest.min(lowest);
            return None;
        }
        let closed = self.open.replace(Floor { minute, lowest })?;
        self.close(closed);
        self.judge(time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::noise::Noise;

    const GIB: f64 = 1_073_741_824.0;

    /// Findings over `hours` of memory sampled each second.
    fn found(hours: u64, limit: Option<f64>, memory: impl FnMut(u64) -> Option<f64>) -> Vec<Finding> {
        let mut leak = Leak::new(LeakSettings::default());
        leak.set_limit(limit);
        let values = (0..hours * 3600).map(memory);
        (0u64..).zip(values).filter_map(|(second, value)| leak.observe(second * 1000, value)).collect()
    }

    /// A collector's sawtooth of the given period and 0.5 GiB height.
    fn sawtooth(second: u64, period_s: u64) -> f64 {
        0.5 * GIB * (second % period_s) as f64 / period_s as f64
    }

    #[test]
    fn a_leak_under_a_sawtooth_is_found_before_the_limit() {
        let mut noise = Noise(5);
        // 2 GiB and 0.05 GiB an hour against 2.5 GiB: the floor meets it after 10 hours, so it is 6 hours away after
        // 4 and 3 hours away (twice the threshold) after 7. Noise of 0.01 GiB on minima of 60: the floor is known to
        // a few minutes.
        let memory = |second: u64| {
            let leaked = 0.05 * GIB * second as f64 / 3600.0;
            Some(2.0 * GIB + leaked + sawtooth(second, 40) + 0.01 * GIB * noise.uniform())
        };
        let findings = found(9, Some(2.5 * GIB), memory);
        let hours: Vec<f64> = findings.iter().map(|finding| finding.time_ms as f64 / 3.6e6).collect();
        assert_eq!(hours.len(), 2, "{hours:?}");
        assert!((hours[0] - 4.0).abs() < 0.7 && (hours[1] - 7.0).abs() < 0.7, "{hours:?}");
        assert_eq!(findings[0].severity(), Severity::Warning);
        assert_eq!(findings[1].severity(), Severity::Critical);
        assert!(
            findings[0].evidence.contains("over the last 59 minutes, reaching the limit in 5.9"),
            "{}",
            findings[0].evidence
        );
    }

    #[test]
    fn a_sawtooth_without_a_leak_is_silent() {
        for period_s in [40, 300, 900] {
            let mut noise = Noise(6);
            let memory = |second| Some(2.0 * GIB + sawtooth(second, period_s) + 0.01 * GIB * noise.uniform());
            assert!(found(12, Some(2.52 * GIB), memory).is_empty(), "period {period_s}");
        }
    }

    #[test]
    fn growth_alone_is_found_without_a_limit() {
        // 1 GiB growing by 1 GiB an hour. With 30 floors, minutes 0 to 29, the growth is 29/60 GiB of a level of
        // 1 + 29/60: 32.6 % where 20 % is tolerated, urgency 1.63, at the start of minute 30.
        let findings = found(1, None, |second| Some(GIB * (1.0 + second as f64 / 3600.0)));
        assert_eq!(findings[0].time_ms, 30 * MINUTE_MS);
        assert!((findings[0].score - 1.63).abs() < 0.01);
        assert_eq!(findings[0].evidence, "floor rose by 1.07e9 an hour over the last 29 minutes, with no known limit");
    }

    #[test]
    fn constant_and_falling_memory_is_silent() {
        assert!(found(3, Some(1.01 * GIB), |_| Some(GIB)).is_empty());
        assert!(found(3, Some(1.01 * GIB), |second| Some(GIB * (1.0 - second as f64 / 20_000.0))).is_empty());
    }

    #[test]
    fn a_missing_value_is_not_a_zero() {
        // Whole minutes and single values missing from constant memory. As zeros early on they would make the floor
        // rise later.
        let memory = |second: u64| {
            (second > 1800 && !second.is_multiple_of(3) && !(second / 60).is_multiple_of(4)).then_some(GIB)
        };
        assert!(found(3, Some(1.01 * GIB), memory).is_empty());
    }
}
