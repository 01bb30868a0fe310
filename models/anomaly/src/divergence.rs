//! Primary against shadow: does the shadow still carry the multiple of the primary's load that it should?
//!
//! ```text
//! r = ln(shadow load / (k primary load))          k: expected amplification; loads per unit of resource
//! ```
//!
//! The fixed part of a demand curve keeps r off 0 for good, so r is compared with its own past: an exponentially
//! weighted mean m and variance v over about [`MEMORY_TICKS`] pairs, see `baseline`. A finding needs |r - m| / √v beyond
//! [`THRESHOLD`] on the same side for [`PERSISTENCE_TICKS`] pairs in a row: a shadow that mirrors another share, lost
//! a part of its resources, or runs other code. A shadow without any load has no ratio; its silence is for the stage
//! that pairs the two to notice.

use elementary::{exp, ln};
use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::detector::{Finding, Kind, SCORE_CAP, figure};
use crate::episode::Episode;

/// Pairs that the baseline remembers: five minutes at one tick a second.
const MEMORY_TICKS: f64 = 300.0;

/// Pairs before the first judgement: enough to know √v to about 7 %.
const WARM_UP_PAIRS: u32 = 120;

/// Deviations. With the persistence, independent normal noise gives (6 x 10⁻⁵)¹⁰: never.
const THRESHOLD: f64 = 4.0;

/// Pairs in a row beyond the threshold: mirrored requests arrive in bursts, and two clocks may differ by a tick.
const PERSISTENCE_TICKS: u32 = 10;

/// Ticks in a row under half the threshold that end an episode.
const CALM_TICKS: u32 = 10;

/// The least deviation of r: 2 % of the ratio.
const DEVIATION_FLOOR: f64 = 0.02;

/// Finds a lasting change of the shadow's load relative to the primary's. Score and threshold are in standard
/// deviations of r.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Divergence {
    baseline: Baseline,
    beyond_ticks: u32,
    was_above: bool,
    episode: Episode,
}

impl Divergence {
    /// A detector that has seen nothing.
    pub fn new() -> Self {
        Self {
            baseline: Baseline::new(MEMORY_TICKS),
            beyond_ticks: 0,
            was_above: false,
            episode: Episode::new(CALM_TICKS),
        }
    }

    /// Takes the loads per unit of resource of both, in the same unit, and the amplification `k` that should lie
    /// between them.
    ///
    /// Without a positive, finite value for all three there is no ratio: no state changes. Expected and observed of a
    /// finding are shadow load over primary load.
    pub fn observe(&mut self, time_ms: u64, primary: Option<f64>, shadow: Option<f64>, k: f64) -> Option<Finding> {
        let usual_shadow = positive(Some(k))? * positive(primary)?;
        let log_ratio = ln(positive(Some(positive(shadow)? / usual_shadow))?);
        let finding = if self.baseline.values() < WARM_UP_PAIRS { None } else { self.judge(time_ms, log_ratio, k) };
        self.baseline.learn(log_ratio, self.baseline.deviation(DEVIATION_FLOOR));
        finding
    }

    fn judge(&mut self, time_ms: u64, log_ratio: f64, k: f64) -> Option<Finding> {
        let (mean, deviation) = (self.baseline.mean(), self.baseline.deviation(DEVIATION_FLOOR));
        let score = ((log_ratio - mean).abs() / deviation).min(SCORE_CAP);
        let is_above = log_ratio > mean;
        let goes_on = self.beyond_ticks > 0 && is_above == self.was_above;
        self.beyond_ticks = match (score > THRESHOLD, goes_on) {
            (true, true) => self.beyond_ticks.saturating_add(1),
            (true, false) => 1,
            (false, _) => 0,
        };
        self.was_above = is_above;
        // At most 1 until the excess has lasted: not calm, but no beginning either.
        let ratio = score / THRESHOLD;
        let lasting = self.beyond_ticks >= PERSISTENCE_TICKS;
        if !self.episode.begins(if lasting { ratio } else { ratio.min(1.0) }) {
            return None;
        }
        let (expected, observed) = (k * exp(mean), k * exp(log_ratio));
        Some(Finding {
            kind: Kind::Divergence,
            time_ms,
            score,
            threshold: THRESHOLD,
            expected: Some(expected),
            observed,
            evidence: format!(
                "shadow at {} times the primary's load for {PERSISTENCE_TICKS} ticks, usual {} ± {}",
                figure(observed),
                figure(expected),
                figure(expected * deviation)
            ),
        })
    }
}

impl Default for Divergence {
    fn default() -> Self {
        Self::new()
    }
}

/// What a logarithm can take.
fn positive(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// Ticks of the findings when the shadow carries `times(tick)` times the primary's load, with 5 % noise; k = 4.
    fn found(ticks: u64, times: impl Fn(u64) -> Option<f64>) -> Vec<u64> {
        let mut noise = Noise(11);
        let mut divergence = Divergence::new();
        let ticks = (0..ticks).filter_map(|tick| {
            let primary = 0.4 + 0.1 * noise.uniform();
            let shadow = times(tick).map(|times| times * primary * (0.05 * noise.normal()).exp());
            divergence.observe(tick, Some(primary), shadow, 4.0).map(|finding| finding.time_ms)
        });
        ticks.collect()
    }

    #[test]
    fn a_lasting_change_is_found_once_after_the_persistence() {
        // The shadow's share halves at tick 1000: ln 2 / 0.05 = 14 deviations, ten of which end with tick 1009.
        assert_eq!(found(3000, |tick| Some(if tick < 1000 { 4.4 } else { 2.2 })), [1009]);
    }

    #[test]
    fn noise_and_short_excursions_are_silent() {
        // The usual 4.4 is not k = 4: a steady offset is the baseline, not a finding.
        assert!(found(100_000, |_| Some(4.4)).is_empty());
        assert!(found(3000, |tick| Some(if (1000..1009).contains(&tick) { 44.0 } else { 4.4 })).is_empty());
    }

    #[test]
    fn a_lasting_change_becomes_the_baseline() {
        let mut divergence = Divergence::new();
        let armed: Vec<bool> = (0..1000)
            .map(|tick| {
                // e^2 times the usual ratio is 100 deviations at the floor of 0.02.
                let shadow = if tick < 500 { 4.0 } else { 4.0 * 2f64.exp() };
                divergence.observe(tick, Some(1.0), Some(shadow), 4.0);
                divergence.episode.is_armed()
            })
            .collect();
        // Found with the tenth pair. √v reaches the floor after about 36 pairs and then grows by 1.3 % a pair, while m
        // moves by 0.76 √v: under 2 deviations at √v = 36 floors, which is pair 309, or somewhat later, for below 3
        // deviations √v grows more slowly. Ten calm pairs more.
        assert!(armed[..509].iter().all(|armed| *armed));
        assert!(armed[509..810].iter().all(|armed| !armed));
        assert!(armed[840..].iter().all(|armed| *armed));
    }

    #[test]
    fn a_swept_amplification_is_no_divergence() {
        let mut divergence = Divergence::new();
        for tick in 0..1000 {
            let k = if tick < 500 { 2.0 } else { 8.0 };
            assert_eq!(divergence.observe(tick, Some(0.5), Some(0.5 * k), k), None);
        }
    }

    #[test]
    fn the_evidence_has_both_ratios() {
        let mut divergence = Divergence::new();
        // A constant ratio of 4, then 8: ln 2 / 0.02 = 34.7 deviations at the floor. The nine clipped ticks before
        // the finding move the baseline by under 9 x 3 / 300 deviations, 0.2 %, hence still "4.0".
        let finding = (0..400).find_map(|tick| {
            let shadow = if tick < 300 { 4.0 } else { 8.0 };
            divergence.observe(tick, Some(1.0), Some(shadow), 4.0)
        });
        let finding = finding.expect("a doubled ratio is found");
        assert_eq!((finding.time_ms, finding.kind), (309, Kind::Divergence));
        assert!((finding.observed - 8.0).abs() < 1e-9);
        assert!((finding.expected.expect("a baseline") - 4.0).abs() < 0.02);
        assert!(finding.evidence.starts_with("shadow at 8.00 times the primary's load for 10 ticks, usual 4.0"));
    }

    #[test]
    fn missing_zero_and_absurd_loads_are_no_ratio() {
        // Before a real change, a ratio that overflows: it must not reach the baseline.
        let absurd = |tick| Some(if tick == 900 { f64::MAX } else { 4.4 });
        assert!(found(3000, absurd).is_empty());
        assert!(found(3000, |tick| if tick < 1000 { Some(4.4) } else { None }).is_empty());
        assert!(found(3000, |tick| Some(if tick < 1000 { 4.4 } else { 0.0 })).is_empty());
        // Gaps do not break a run: the ten excesses are ticks 1000, 1002, ... 1018.
        assert_eq!(found(1100, |tick| if tick < 1000 { Some(4.4) } else { (tick % 2 == 0).then_some(2.2) }), [1018]);
    }
}
