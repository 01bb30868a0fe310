//! At the limit, and staying there: usage that a limit holds down says nothing of what is needed.
//!
//! ```text
//! level += 1 at a tick with usage ≥ share x limit, -= 1 at any other, between 0 and 4 x lasting
//! ```
//!
//! A finding at a level above `lasting`, and one more above twice as much. A workload that touches its limit now and then,
//! at less than half of its ticks, drifts down and stays silent.
//!
//! *False alarms.* If ticks are at the limit with chance p < 1/2 independently, the level is a walk between 0 and the
//! threshold T, and one climb in ((1 - p) / p)^T reaches it (the gambler's ruin): for T = 60 never at p = 0.25 (3⁻⁶⁰) and
//! once in 4 x 10¹⁰ climbs at p = 0.4 (1.5⁻⁶⁰). Whatever the signal, the next finding of its severity needs the level to fall
//! to half of what it exceeded and to rise again: N ticks give at most N / T warnings, N / 2T critical findings, and two.
//!
//! State: one number and two episodes. Cost: O(1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{Finding, Kind, figure};
use crate::episode::Escalation;

/// The level is counted up to this many times the threshold: enough to tell a warning from a critical finding.
const LEVEL_RATIO_MAX: u32 = 4;

/// The level itself is the hysteresis: calm means that it has fallen to half.
const CALM_TICKS: u32 = 1;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SaturationSettings {
    /// Share of the limit from which usage is held down by it, above 0 up to 1. Default 0.95: usage is a mean over a tick,
    /// and throttling cuts it below the limit itself.
    pub share: f64,
    /// Ticks at the CPU limit, more than not, that are a finding, 1 to 86400. Default 60: a raise has landed by then.
    pub cpu_ticks: u32,
    /// The same for memory. Default 5: what lies at its memory limit is killed with the next allocation.
    pub memory_ticks: u32,
}

impl Default for SaturationSettings {
    fn default() -> Self {
        Self { share: 0.95, cpu_ticks: 60, memory_ticks: 5 }
    }
}

impl SaturationSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let ticks = 1..=86_400;
        let checks = [
            (self.share > 0.0 && self.share <= 1.0, "share must lie above 0, up to 1, such as 0.95"),
            (ticks.contains(&self.cpu_ticks), "cpu_ticks must lie in 1 to 86400, such as 60"),
            (ticks.contains(&self.memory_ticks), "memory_ticks must lie in 1 to 86400, such as 5"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

/// Finds usage that stays at its limit. Score and threshold are in ticks at the limit, less those below it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saturation {
    share: f64,
    lasting_ticks: u32,
    level: u32,
    escalation: Escalation,
}

impl Saturation {
    /// A detector that has seen nothing; `share` and `lasting_ticks` as in [`SaturationSettings`].
    pub fn new(share: f64, lasting_ticks: u32) -> Self {
        Self { share, lasting_ticks, level: 0, escalation: Escalation::new(CALM_TICKS) }
    }

    /// Takes usage and limit of a tick, in one unit. Without both, or with a limit that is not above zero, no state
    /// changes.
    pub fn observe(&mut self, time_ms: u64, used: Option<f64>, limit: Option<f64>) -> Option<Finding> {
        let used = used.filter(|used| used.is_finite())?;
        let limit = limit.filter(|limit| limit.is_finite() && *limit > 0.0)?;
        let at_limit = used >= self.share * limit;
        self.level = if at_limit { self.level + 1 } else { self.level.saturating_sub(1) };
        self.level = self.level.min(LEVEL_RATIO_MAX * self.lasting_ticks);
        let (score, threshold) = (f64::from(self.level), f64::from(self.lasting_ticks));
        self.escalation.begins(score / threshold).then(|| Finding {
            kind: Kind::Saturation,
            time_ms,
            score,
            threshold,
            expected: Some(self.share * limit),
            observed: used,
            evidence: format!(
                "{} of the limit of {} used, at {} or more of it for {} ticks more than not",
                figure(used),
                figure(limit),
                figure(self.share),
                self.level
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::noise::Noise;

    /// Ticks of the findings at a limit of 2, 60 ticks of which are too many.
    fn found(used: impl IntoIterator<Item = Option<f64>>) -> Vec<(u64, Severity)> {
        let mut saturation = Saturation::new(0.95, 60);
        let ticks = (0u64..).zip(used);
        ticks
            .filter_map(|(tick, used)| saturation.observe(tick, used, Some(2.0)))
            .map(|finding| (finding.time_ms, finding.severity()))
            .collect()
    }

    #[test]
    fn a_lasting_limit_is_found_and_escalates_once() {
        // 1.9 is 95 % of 2. From tick 100 on it is held there: level 61 with tick 160, 121 with tick 220.
        let series = (0..1000).map(|tick| Some(if tick < 100 { 1.0 } else { 1.9 }));
        assert_eq!(found(series), [(160, Severity::Warning), (220, Severity::Critical)]);
    }

    #[test]
    fn it_is_found_again_only_after_half_of_it_has_gone() {
        // Level 240 at most. It takes 181 ticks to fall below half of the critical level, 211 below half of the first.
        let series = |low_ticks: u64| {
            (0..2000).map(move |tick| Some(if tick < 1000 || tick >= 1000 + low_ticks { 2.0 } else { 0.1 }))
        };
        assert_eq!(found(series(180)).len(), 2);
        // From level 59 to 121, and from 29 to 61 and 121.
        assert_eq!(found(series(181))[2..], [(1242, Severity::Critical)]);
        let again = found(series(211));
        assert_eq!(again[2..], [(1242, Severity::Warning), (1302, Severity::Critical)]);
    }

    #[test]
    fn touching_the_limit_at_two_ticks_of_five_is_silent() {
        let mut noise = Noise(8);
        assert!(found((0..200_000).map(|_| Some(if noise.uniform() < 0.4 { 2.0 } else { 1.0 }))).is_empty());
    }

    #[test]
    fn findings_are_bounded_whatever_comes() {
        let mut saturation = Saturation::new(0.95, 60);
        let mut findings = 0;
        for tick in 0..100_000 {
            // The worst: up until it is found and down until it would be again, 32 ticks each.
            let used = if saturation.escalation.is_armed() { 2.0 } else { 0.1 };
            findings += u32::from(saturation.observe(tick, Some(used), Some(2.0)).is_some());
        }
        assert!((100_000 / 66..=100_000 / 60 + 2).contains(&findings), "{findings}");
    }

    #[test]
    fn a_missing_value_is_not_a_zero() {
        // As zeros the gaps would pull the level down: it could not reach 61 within 122 ticks.
        let series = (0..122).map(|tick| (tick % 2 == 0).then_some(2.0));
        assert_eq!(found(series), [(120, Severity::Warning)]);
        let mut saturation = Saturation::new(0.95, 1);
        assert!((0..100).all(|tick| saturation.observe(tick, Some(5.0), None).is_none()));
        assert!((0..100).all(|tick| saturation.observe(tick, Some(0.0), Some(0.0)).is_none()));
    }

    #[test]
    fn the_evidence_has_the_figures() {
        let mut saturation = Saturation::new(0.95, 5);
        let finding = (0..10).find_map(|tick| saturation.observe(tick, Some(3.9e9), Some(4e9))).expect("at 97 %");
        assert_eq!((finding.time_ms, finding.score, finding.threshold), (5, 6.0, 5.0));
        assert_eq!(
            finding.evidence,
            "3.90e9 of the limit of 4.00e9 used, at 0.95 or more of it for 6 ticks more than not"
        );
    }
}
