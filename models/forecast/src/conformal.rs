//! Adaptive conformal calibration: the level to ask an expert for, so that its answers cover as often as promised.
//!
//! To have the target `q` covered, the expert is asked for its quantile at a level that starts at `q` and moves
//! with every outcome (Gibbs and Candès 2021, written for one-sided coverage):
//!
//! ```text
//! level += gain * (q - hit)        hit = 1 if the answer covered the peak, else 0
//! ```
//!
//! | q = 0.95, gain 0.002 | level |
//! |---|---|
//! | a miss | + 0.0019 |
//! | a hit | - 0.0001 |
//!
//! The gain is small because the voices' margins already follow the series ([`voice`](crate::voice)): on public traces the blend
//! covered 0.94 to 0.96 at 0.95 before calibration, and five times the gain lost up to a fifth in pinball loss, for the residual at
//! a level that has run up to 0.98 is that of the one great spike.
//!
//! **Of time.** A price is one of time: a core that is missing costs by the hour. What covers the *peak* over a horizon with
//! chance `q` covers its steps for more than `q` of the time, the more so the shorter the bursts. [`Promise::Steps`] learns the
//! level at which the answer given a horizon ago covers the step that has come.
//!
//! **Overlap.** One spike is missed by every origin whose horizon holds it: the same miss, told up to 8 times. So the gain is
//! shared among the outcomes that overlap. At a full gain each, a spike lifted the level of q = 0.9 towards 0.98, where the
//! residual is that of the last such spike, and it sank by 0.001 an origin. The price is a slower level: on the demo's day the
//! bursty load's slack fell from 50 to 47 %, that of the load with a flash crowd rose from 15 to 18 %.
//!
//! **Guarantee.** The level stays within `floor ..= CEILING`, so summing its moves over `n` outcomes gives for any series
//!
//! ```text
//! q - r/n - q * m  <=  coverage  <=  q + r/n + (1 - q) * s        r = (CEILING - floor) / gain  (49.5 for q = 0.95 without overlap)
//! ```
//!
//! where `m` is the share of outcomes that were missed with the level within one move of its ceiling (demand beyond all that the
//! expert remembers, or the rest of a run of misses already on its way), and `s` the share of hits within one move of the floor.
//! The original lets the level leave 0..1, answers infinity above and nothing below, and so has `m = s = 0`; an allocation can be
//! neither. The floor errs on the safe side: a long calm must not leave the answer bare when it ends. A level that remembered
//! what the ceiling cut off won the last point of coverage on real traces, at up to twice the idle capacity and no lower loss.
//!
//! **Delay.** Outcomes arrive a horizon late. An integral loop of unit slope and dead time `d` outcomes does not overshoot while
//! `gain * d <= 1/e`; with the gain shared among the outcomes of a horizon that is 0.002, a wide margin.

use serde::{Deserialize, Serialize};

/// Step of the level per independent outcome about peaks: a memory of about 500 of them.
pub const GAIN: f64 = 0.002;

/// Step of the level per outcome about time: a memory of about 100. It has further to go, from the level of peaks.
pub const GAIN_OF_TIME: f64 = 0.01;

/// The highest level asked for: the largest residual of any window up to 998.
pub const CEILING: f64 = 0.999;

/// The level's floor lets at most this many times the target's share of misses through.
const FLOOR_MISSES: f64 = 2.0;

/// The lowest level for a share of time: the median of the peak. Below it the answer would hold no margin at all when a
/// calm ends.
const MEDIAN: f64 = 0.5;

/// What is to be covered as often as promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Promise {
    /// The peaks over the horizon: outcomes overlap, this many (at least 1) to a step.
    Peaks(u32),
    /// The steps: the share of time. A peak is higher than most of its horizon, so the level sinks below the target. Each step
    /// is an outcome of its own, so nothing overlaps.
    Steps,
}

/// The level to ask for, for one target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conformal {
    promise: Promise,
    target: f64,
    level: f64,
}

impl Conformal {
    /// Starts at the target itself, `0 < target < 1`.
    pub fn new(promise: Promise, target: f64) -> Self {
        Self { promise, target, level: target.min(CEILING) }
    }

    /// The same level under another promise, for instance of another overlap.
    #[must_use]
    pub fn promising(self, promise: Promise) -> Self {
        Self { promise, ..self }
    }

    /// Learns whether the answer at the level of its time covered the peak.
    pub fn update(&mut self, hit: bool) {
        let outcome = if hit { 1.0 } else { 0.0 };
        self.level = (self.level + self.promise.gain() * (self.target - outcome))
            .clamp(self.promise.floor(self.target), CEILING);
    }

    /// The level to ask for so that `q` is covered: exact at the target. Above it the share of misses is scaled alike; below it what
    /// was learned fades towards the median, which no lack of coverage moves.
    ///
    /// | target 0.95 at level | asked for q | level |
    /// |---|---|---|
    /// | 0.975 | 0.95 | 0.975 |
    /// | 0.975 | 0.725 | 0.7375 |
    /// | 0.975 | 0.5 | 0.5 |
    /// | 0.90 | 0.99 | 0.98 |
    pub fn level_for(&self, q: f64) -> f64 {
        let misses = (1.0 - q) * (1.0 - self.level) / (1.0 - self.target);
        let level = if q >= self.target || self.target <= MEDIAN {
            1.0 - misses
        } else {
            q + (self.level - self.target) * (q - MEDIAN).max(0.0) / (self.target - MEDIAN)
        };
        level.clamp(0.0, CEILING)
    }

    /// Changes the target and keeps what was learned, as [`level_for`](Self::level_for) would.
    pub fn retarget(&mut self, target: f64) {
        self.level = self.level_for(target).clamp(self.promise.floor(target), CEILING);
        self.target = target;
    }
}

impl Promise {
    fn gain(self) -> f64 {
        match self {
            Self::Peaks(overlap) => GAIN / f64::from(overlap.max(1)),
            Self::Steps => GAIN_OF_TIME,
        }
    }

    /// | target | 0.95 | 0.9 | 0.5 |
    /// |---|---|---|---|
    /// | of peaks | 0.9 | 0.8 | 0 |
    /// | of steps | 0.5 | 0.5 | 0.5 |
    fn floor(self, target: f64) -> f64 {
        match self {
            Self::Peaks(_) => (1.0 - FLOOR_MISSES * (1.0 - target)).clamp(0.0, CEILING),
            Self::Steps => MEDIAN.min(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    fn close(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 1e-12
    }

    #[test]
    fn a_miss_raises_and_a_hit_lowers() {
        let mut conformal = Conformal::new(Promise::Peaks(1), 0.95);
        conformal.update(false);
        assert!(close(conformal.level_for(0.95), 0.9519));
        conformal.update(true);
        assert!(close(conformal.level_for(0.95), 0.9518));
    }

    #[test]
    fn a_spike_told_by_all_origins_that_hold_it_counts_once() {
        let mut conformal = Conformal::new(Promise::Peaks(8), 0.9);
        (0..8).for_each(|_| conformal.update(false));
        // Eight misses at an eighth of the gain: 0.9 + 0.002 · 0.9.
        assert!(close(conformal.level_for(0.9), 0.9018));
    }

    #[test]
    fn the_level_stays_between_floor_and_ceiling() {
        let mut conformal = Conformal::new(Promise::Peaks(1), 0.95);
        (0..2500).for_each(|_| conformal.update(true));
        assert!(close(conformal.level_for(0.95), 0.9));
        (0..2500).for_each(|_| conformal.update(false));
        assert!(close(conformal.level_for(0.95), CEILING));
    }

    #[test]
    fn steps_are_covered_below_the_level_of_their_peaks() {
        // The peak of ten independent uniforms is below y with chance y^10, so its quantile at l is l^0.1, and covers a
        // step with that chance: 0.95 of the steps at l = 0.95^10 = 0.599.
        let mut conformal = Conformal::new(Promise::Steps, 0.95);
        let mut noise = Noise::new(3);
        let (mut hits, mut levels) = (0, 0.0);
        for outcome in 0..20_000 {
            let hit = noise.uniform() <= conformal.level_for(0.95).powf(0.1);
            conformal.update(hit);
            if outcome >= 10_000 {
                hits += u32::from(hit);
                levels += conformal.level_for(0.95) / 10_000.0;
            }
        }
        // r = 0.5 / 0.01 over 10 000 outcomes is 0.005; the level wanders with a memory of some 400 outcomes.
        assert!((f64::from(hits) / 10_000.0 - 0.95).abs() < 0.006, "{hits}");
        assert!((levels - 0.599_f64).abs() < 0.1, "{levels}");
        (0..20_000).for_each(|_| conformal.update(true));
        assert!(close(conformal.level_for(0.95), MEDIAN));
    }

    #[test]
    fn other_levels_follow_the_target_s() {
        let mut conformal = Conformal { level: 0.975, ..Conformal::new(Promise::Peaks(1), 0.95) };
        // Half way from the median to the target, half of 0.025.
        assert!(close(conformal.level_for(0.725), 0.7375));
        assert!(close(conformal.level_for(0.5), 0.5) && close(conformal.level_for(0.3), 0.3));
        conformal.retarget(0.99);
        assert!(close(conformal.level_for(0.99), 0.995));
        assert!(close(Conformal { level: 0.90, ..Conformal::new(Promise::Peaks(1), 0.95) }.level_for(0.99), 0.98));
    }

    /// A forecaster that believes in uniform noise on 0..1 while the truth is its square root: asked for 0.9 it covers only
    /// 0.9^2 = 0.81. The level must find sqrt(0.9) = 0.949, and the coverage 0.9.
    #[test]
    fn coverage_comes_back_after_the_world_changes() {
        let mut conformal = Conformal::new(Promise::Peaks(1), 0.9);
        let mut noise = Noise::new(7);
        let mut hits = 0;
        for outcome in 0..20_000 {
            let uniform = noise.uniform();
            let truth = if outcome < 5000 { uniform } else { uniform.sqrt() };
            let hit = truth <= conformal.level_for(0.9);
            conformal.update(hit);
            hits += u32::from(hit && outcome >= 10_000);
        }
        // r = (0.999 - 0.8) / 0.002 = 99.5, so at most 99.5 / 10 000 = 0.01 off, plus the little that the ceiling takes.
        let coverage = f64::from(hits) / 10_000.0;
        assert!((coverage - 0.9).abs() < 0.012, "{coverage}");
    }
}
