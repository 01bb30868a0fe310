//! What a detector is, and what it says: [`Detector`], [`Finding`], [`Kind`], [`Severity`].

use serde::{Deserialize, Serialize};

/// A finding whose score is more than this many times its threshold is critical.
///
/// Two, because it reads the same for every kind: twice the deviation, half the time left, twice the reversals.
pub const CRITICAL_RATIO: f64 = 2.0;

/// Scores stop here: beyond it "how far" says nothing more, and a finite score survives JSON.
pub(crate) const SCORE_CAP: f64 = 1280.0;

/// Makes a median absolute deviation an estimate of a standard deviation: 1 / Φ⁻¹(3/4) for normal noise.
pub(crate) const DEVIATIONS_PER_MAD: f64 = 1.4826;

/// No deviation is judged against a scale finer than this share of the expected value:
/// a signal that is all but constant would otherwise make an anomaly of its last digit.
pub(crate) const RELATIVE_SCALE_FLOOR: f64 = 0.01;

/// Watches one signal, one observation at a time.
pub trait Detector {
    /// What this detector finds.
    fn kind(&self) -> Kind;

    /// Takes the value at event time `time_ms` (milliseconds, never decreasing) and says whether an incident begins
    /// with it.
    ///
    /// `None` or a value that is not finite is a missing observation: no state changes.
    fn observe(&mut self, time_ms: u64, value: Option<f64>) -> Option<Finding>;
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A value far from those just before it.
    Spike,
    /// A value unlike those at the same time of earlier periods.
    SeasonalOutlier,
    /// The shadow's load is no longer the usual multiple of the primary's.
    Divergence,
    /// Memory that is taken and never given back.
    Leak,
    /// An allocation that goes up and down and up again.
    Oscillation,
    /// A value that has stopped to change.
    StuckAt,
    /// Usage that stays at its limit.
    Saturation,
    /// A step to another level that lasts.
    LevelShift,
    /// Demand far outside of what was forecast.
    Residual,
    /// A state of the whole workload that was not seen before.
    Novelty,
}

/// How loudly to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Beyond the threshold.
    Warning,
    /// Beyond [`CRITICAL_RATIO`] times the threshold.
    Critical,
}

/// One incident, at the tick that gave it away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was found.
    pub kind: Kind,
    /// Event time of the observation, in milliseconds.
    pub time_ms: u64,
    /// How far from normal, at least 0, in the unit that the detector documents.
    pub score: f64,
    /// What the score had to exceed, in the same unit.
    pub threshold: f64,
    /// The value that would have been normal, in the signal's unit, where there is one.
    pub expected: Option<f64>,
    /// The value that was seen, in the signal's unit.
    pub observed: f64,
    /// One sentence for a person, with figures but without units.
    pub evidence: String,
}

impl Finding {
    /// Critical above [`CRITICAL_RATIO`] times the threshold, a warning up to it.
    pub fn severity(&self) -> Severity {
        if self.score > CRITICAL_RATIO * self.threshold { Severity::Critical } else { Severity::Warning }
    }
}

/// A figure for a sentence: `3.20`, and `3.20e9` or `3.20e-4` where plain digits would be too many or all zero.
pub(crate) fn figure(value: f64) -> String {
    if value == 0.0 || (0.01..1e6).contains(&value.abs()) { format!("{value:.2}") } else { format!("{value:.2e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(score: f64) -> Finding {
        Finding {
            kind: Kind::Spike,
            time_ms: 0,
            score,
            threshold: 5.0,
            expected: None,
            observed: 1.0,
            evidence: String::new(),
        }
    }

    #[test]
    fn twice_the_threshold_is_still_a_warning() {
        assert_eq!(finding(10.0).severity(), Severity::Warning);
        assert_eq!(finding(10.1).severity(), Severity::Critical);
    }

    #[test]
    fn figures_stay_short() {
        assert_eq!(figure(0.0), "0.00");
        assert_eq!(figure(-3.2), "-3.20");
        assert_eq!(figure(3.2e9), "3.20e9");
        assert_eq!(figure(0.00032), "3.20e-4");
    }
}
