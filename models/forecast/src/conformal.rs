//! Adaptive conformal calibration: the level to ask an expert for, so that its answers cover as often as promised.
//!
//! To have the target `q` covered, the expert is asked for its quantile at a level that starts at `q` and moves
//! with every outcome (Gibbs and Candès 2021, written for one-sided coverage):
//!
//! ```text
//! level += gain * (q - hit)        hit = 1 if the answer covered the peak, else 0
//! ```
//!
//! | q = 0.95, gain 0.01 | level |
//! |---|---|
//! | a miss | + 0.0095 |
//! | a hit | - 0.0005 |
//!
//! **Guarantee.** The level stays within `floor ..= CEILING`, so summing its moves over `n` outcomes gives for any series
//!
//! ```text
//! q - r/n - q * m  <=  coverage  <=  q + r/n + (1 - q) * s        r = (CEILING - floor) / gain  (9.9 for q = 0.95)
//! ```
//!
//! where `m` is the share of outcomes that were missed with the level within one move of its ceiling (demand beyond all that the
//! expert remembers, or the rest of a run of misses already on its way), and `s` the share of hits within one move of the floor.
//! The original lets the level leave 0..1, answers infinity above and nothing below, and so has `m = s = 0`; an allocation can be
//! neither. The floor errs on the safe side: a long calm must not leave the answer bare when it ends. A level that remembered
//! what the ceiling cut off won the last point of coverage on real traces, at up to twice the idle capacity and no lower loss.
//!
//! **Delay.** Outcomes arrive a horizon late. An integral loop of unit slope and dead time `d` outcomes does not overshoot while
//! `gain * d <= 1/e`; the ensemble settles at most 8 outcomes per horizon, and `0.01 * 8 = 0.08` leaves a wide margin.

use serde::{Deserialize, Serialize};

/// Step of the level per outcome: a memory of about 100 outcomes. One spike is missed by every origin whose horizon holds it,
/// up to 8 in a row; at 0.02 those drove the level from floor to ceiling, and on real traces coverage was lost there.
pub const GAIN: f64 = 0.01;

/// The highest level asked for: the largest residual of any window up to 998.
pub const CEILING: f64 = 0.999;

/// The level's floor lets at most this many times the target's share of misses through.
const FLOOR_MISSES: f64 = 2.0;

/// The level to ask for, for one target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conformal {
    target: f64,
    level: f64,
}

impl Conformal {
    /// Starts at the target itself, `0 < target < 1`.
    pub fn new(target: f64) -> Self {
        Self { target, level: target.min(CEILING) }
    }

    /// Learns whether the answer at the level of its time covered the peak.
    pub fn update(&mut self, hit: bool) {
        let outcome = if hit { 1.0 } else { 0.0 };
        self.level = (self.level + GAIN * (self.target - outcome)).clamp(floor(self.target), CEILING);
    }

    /// The level to ask for so that `q` is covered: exact at the target, elsewhere the share of misses is scaled alike.
    ///
    /// | target 0.95 at level | asked for q | level |
    /// |---|---|---|
    /// | 0.975 | 0.95 | 0.975 |
    /// | 0.975 | 0.9 | 0.95 |
    /// | 0.90 | 0.99 | 0.98 |
    pub fn level_for(&self, q: f64) -> f64 {
        let misses = (1.0 - q) * (1.0 - self.level) / (1.0 - self.target);
        (1.0 - misses).clamp(0.0, CEILING)
    }

    /// Changes the target and keeps what was learned, as [`level_for`](Self::level_for) would.
    pub fn retarget(&mut self, target: f64) {
        self.level = self.level_for(target).clamp(floor(target), CEILING);
        self.target = target;
    }
}

/// 0.9 for a target of 0.95, 0.8 for 0.9, 0 for 0.5.
fn floor(target: f64) -> f64 {
    (1.0 - FLOOR_MISSES * (1.0 - target)).clamp(0.0, CEILING)
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
        let mut conformal = Conformal::new(0.95);
        conformal.update(false);
        assert!(close(conformal.level_for(0.95), 0.9595));
        conformal.update(true);
        assert!(close(conformal.level_for(0.95), 0.959));
    }

    #[test]
    fn the_level_stays_between_floor_and_ceiling() {
        let mut conformal = Conformal::new(0.95);
        (0..500).for_each(|_| conformal.update(true));
        assert!(close(conformal.level_for(0.95), 0.9));
        (0..500).for_each(|_| conformal.update(false));
        assert!(close(conformal.level_for(0.95), CEILING));
    }

    #[test]
    fn other_levels_scale_the_misses() {
        let mut conformal = Conformal { target: 0.95, level: 0.975 };
        assert!(close(conformal.level_for(0.9), 0.95));
        conformal.retarget(0.9);
        assert!(close(conformal.level_for(0.9), 0.95));
        assert!(close(Conformal { target: 0.95, level: 0.90 }.level_for(0.99), 0.98));
    }

    /// A forecaster that believes in uniform noise on 0..1 while the truth is its square root: asked for 0.9 it covers only
    /// 0.9^2 = 0.81. The level must find sqrt(0.9) = 0.949, and the coverage 0.9.
    #[test]
    fn coverage_comes_back_after_the_world_changes() {
        let mut conformal = Conformal::new(0.9);
        let mut noise = Noise::new(7);
        let mut hits = 0;
        for outcome in 0..4000 {
            let uniform = noise.uniform();
            let truth = if outcome < 1000 { uniform } else { uniform.sqrt() };
            let hit = truth <= conformal.level_for(0.9);
            conformal.update(hit);
            hits += u32::from(hit && outcome >= 2000);
        }
        // r = (0.999 - 0.8) / 0.01 = 19.9, so at most 19.9 / 2000 = 0.01 off, plus the little that the ceiling takes.
        let coverage = f64::from(hits) / 2000.0;
        assert!((coverage - 0.9).abs() < 0.012, "{coverage}");
    }
}
