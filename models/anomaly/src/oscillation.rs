//! Too many changes of direction: an allocation that goes up and down and up again.
//!
//! A reversal is a change against the direction of the last change. Changes up to [`DEAD_BAND`] are not changes yet:
//! they add up until they are. More than `max_reversals` within the window is a finding (a load that is shaped to
//! make the scaler pay for every swing, or a control loop that fights another one), and more than twice as many a
//! second one.
//!
//! State: the times of the newest 4 `max_reversals` reversals; the score stops there. Cost: O(1) amortised.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{Detector, Finding, Kind, figure};
use crate::episode::Escalation;

/// Changes up to this share of the larger value are rounding.
const DEAD_BAND: f64 = 0.01;

/// Reversals that are remembered, as a multiple of those that are tolerated: to tell warning from critical.
const MEMORY_RATIO: usize = 4;

/// The window itself is the hysteresis: calm means that half of the reversals have left it.
const CALM_TICKS: u32 = 1;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OscillationSettings {
    /// The window in milliseconds of event time, above 0. Default 900000, 15 minutes.
    pub window_ms: u64,
    /// Reversals within the window that are tolerated, 1 to 1000. Default 6: three full swings, one every five
    /// minutes. Lower finds milder oscillation.
    pub max_reversals: usize,
}

impl Default for OscillationSettings {
    fn default() -> Self {
        Self { window_ms: 900_000, max_reversals: 6 }
    }
}

/// Counts reversals of direction. Score and threshold are reversals within the window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Oscillation {
    settings: OscillationSettings,
    last: Option<f64>,
    rising: Option<bool>,
    reversals_ms: VecDeque<u64>,
    escalation: Escalation,
}

impl OscillationSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let checks = [
            (self.window_ms > 0, "window_ms must be above 0, such as 900000"),
            ((1..=1000).contains(&self.max_reversals), "max_reversals must lie in 1 to 1000, such as 6"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

impl Oscillation {
    /// A detector that has seen nothing.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: OscillationSettings) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        Self {
            settings,
            last: None,
            rising: None,
            reversals_ms: VecDeque::new(),
            escalation: Escalation::new(CALM_TICKS),
        }
    }

    /// Whether `value` turns against the last change.
    fn reverses(&mut self, value: f64) -> bool {
        let last = *self.last.get_or_insert(value);
        if (value - last).abs() <= DEAD_BAND * last.abs().max(value.abs()) {
            return false;
        }
        self.last = Some(value);
        let rising = value > last;
        self.rising.replace(rising).is_some_and(|was_rising| was_rising != rising)
    }

    /// Invariant: `reversals_ms` ascends, lies within the window, and is at most `MEMORY_RATIO * max_reversals` long.
    fn remember(&mut self, time_ms: u64, reverses: bool) {
        if reverses {
            self.reversals_ms.push_back(time_ms);
        }
        let most = MEMORY_RATIO * self.settings.max_reversals;
        let since_ms = time_ms.saturating_sub(self.settings.window_ms);
        while self.reversals_ms.len() > most || self.reversals_ms.front().is_some_and(|oldest| *oldest < since_ms) {
            self.reversals_ms.pop_front();
        }
    }
}

impl Detector for Oscillation {
    fn kind(&self) -> Kind {
        Kind::Oscillation
    }

    fn observe(&mut self, time_ms: u64, value: Option<f64>) -> Option<Finding> {
        let value = value.filter(|value| value.is_finite())?;
        let reverses = self.reverses(value);
        self.remember(time_ms, reverses);
        let (score, threshold) = (self.reversals_ms.len() as f64, self.settings.max_reversals as f64);
        self.escalation.begins(score / threshold).then(|| Finding {
            kind: self.kind(),
            time_ms,
            score,
            threshold,
            expected: None,
            observed: score,
            evidence: format!(
                "changed direction {score} times within {} minutes, {threshold} are tolerated",
                figure(self.settings.window_ms as f64 / 60_000.0)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;

    /// Findings over 1800 seconds of an allocation.
    fn found(allocation: impl Fn(u64) -> Option<f64>) -> Vec<Finding> {
        let mut oscillation = Oscillation::new(OscillationSettings::default());
        (0..1800).filter_map(|second| oscillation.observe(second * 1000, allocation(second))).collect()
    }

    /// Up and down, a change every `half_period_s`.
    fn swing(second: u64, half_period_s: u64) -> f64 {
        if (second / half_period_s).is_multiple_of(2) { 1.0 } else { 2.0 }
    }

    #[test]
    fn thrashing_is_found_and_escalates() {
        // Changes every 60 s; the first, at 60 s, sets the direction, the second, at 120 s, is reversal 1. Reversal 7
        // (above 6) is the change at 480 s, reversal 13 (above 12) the one at 840 s, within the window of 900 s.
        let findings = found(|second| Some(swing(second, 60)));
        let at: Vec<_> = findings.iter().map(|finding| (finding.time_ms, finding.severity())).collect();
        assert_eq!(at, [(480_000, Severity::Warning), (840_000, Severity::Critical)]);
        assert_eq!(findings[0].evidence, "changed direction 7 times within 15.00 minutes, 6 are tolerated");
    }

    #[test]
    fn slow_swings_ramps_and_rounding_are_silent() {
        // Every 180 s: at most 900 / 180 + 1 = 6 changes in a closed window, not above 6.
        assert!(found(|second| Some(swing(second, 180))).is_empty());
        assert!(found(|second| Some(1.0 + second as f64)).is_empty());
        assert!(found(|second| Some(100.0 + swing(second, 1) / 2.0)).is_empty());
        assert!(found(|_| Some(0.0)).is_empty());
    }

    #[test]
    fn a_missing_value_is_not_a_zero() {
        // As zeros, the gaps would be a reversal every second.
        assert!(found(|second| (second % 2 == 0).then_some(2.0)).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut oscillation = Oscillation::new(OscillationSettings::default());
        (0..10_000).for_each(|second| drop(oscillation.observe(second * 1000, Some(swing(second, 1)))));
        assert_eq!(oscillation.reversals_ms.len(), MEMORY_RATIO * 6);
    }
}
