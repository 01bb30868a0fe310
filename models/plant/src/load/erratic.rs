//! A load without pattern: regimes of random length and level, and bursts with a heavy tail.
//!
//! Regime i starts at (i + u_i / 2) · length with u_i uniform in [0, 1), so regimes last half to one and a half times
//! `regime_minutes`; its level is drawn from the list. Each minute may start a burst: the load jumps by a Pareto
//! multiple, P(X > x) = x^-2 for x >= 1 (finite mean 2, infinite variance), cut at `burst_multiple_max`, which then
//! decays with a time constant of half a minute.
//!
//! Nothing in it can be forecast beyond the present regime; a forecaster that claims to is fooling itself.

use elementary::exp;
use serde::{Deserialize, Serialize};

use super::MINUTE_MS;
use crate::noise;

/// Time in which a burst's excess falls to 1/e.
const BURST_DECAY_MS: f64 = 30_000.0;

/// Minutes looked back for bursts still fading: after five, e^-10 of one is left.
const LOOKBACK_MINUTES: u64 = 5;

/// Parameters of the regimes and bursts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erratic {
    /// Levels that a regime may have, each as likely, requests/s. Not empty.
    pub levels_requests_per_second: Vec<f64>,
    /// Mean length of a regime, minutes; above zero.
    pub regime_minutes: u32,
    /// Chance that a minute starts a burst.
    pub burst_chance_per_minute: f64,
    /// Highest load in a burst over the regime's level.
    pub burst_multiple_max: f64,
}

impl Erratic {
    pub(super) fn load(&self, time_ms: u64, seed: u64) -> f64 {
        let minute = time_ms / MINUTE_MS;
        let first = minute.saturating_sub(LOOKBACK_MINUTES);
        let excess: f64 = (first..=minute).map(|start| self.burst_excess(start, time_ms, seed)).sum();
        let multiple = (1.0 + excess).min(self.burst_multiple_max);
        self.level(time_ms, seed) * multiple
    }

    fn level(&self, time_ms: u64, seed: u64) -> f64 {
        let length_ms = u64::from(self.regime_minutes) * MINUTE_MS;
        let slot = time_ms / length_ms;
        let start_ms = noise::uniform(seed, noise::REGIME_START, slot) * length_ms as f64 / 2.0;
        let is_begun = (time_ms % length_ms) as f64 >= start_ms;
        // Before the first regime begins, the first one's level holds.
        let regime = if is_begun { slot } else { slot.saturating_sub(1) };
        let choice = noise::uniform(seed, noise::REGIME_LEVEL, regime) * self.levels_requests_per_second.len() as f64;
        self.levels_requests_per_second[choice as usize]
    }

    /// What is left at `time_ms` of the burst that minute `minute` started, as a multiple of the level.
    fn burst_excess(&self, minute: u64, time_ms: u64, seed: u64) -> f64 {
        if noise::uniform(seed, noise::BURST_CHANCE, minute) >= self.burst_chance_per_minute {
            return 0.0;
        }
        let offset_ms = noise::uniform(seed, noise::BURST_START, minute) * MINUTE_MS as f64;
        let age_ms = (time_ms - minute * MINUTE_MS) as f64 - offset_ms;
        if age_ms < 0.0 {
            return 0.0;
        }
        // Inverse of the Pareto tail: u = x^-2. The uniform is below 1, so the root is above 0.
        let height = 1.0 / (1.0 - noise::uniform(seed, noise::BURST_HEIGHT, minute)).sqrt();
        height * exp(-age_ms / BURST_DECAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erratic() -> Erratic {
        Erratic {
            levels_requests_per_second: vec![10.0, 30.0, 70.0],
            regime_minutes: 20,
            burst_chance_per_minute: 0.0,
            burst_multiple_max: 5.0,
        }
    }

    #[test]
    fn regimes_visit_every_level_about_as_often() {
        let shape = erratic();
        let minutes = 60_000u64;
        for level in shape.levels_requests_per_second.clone() {
            let visits = (0..minutes).filter(|minute| shape.load(minute * MINUTE_MS, 9) == level).count();
            // 3 000 regimes: a share of a third has a standard error of 0.009; four of them.
            let share = visits as f64 / minutes as f64;
            assert!((share - 1.0 / 3.0).abs() < 0.036, "level {level}: {share}");
        }
    }

    #[test]
    fn bursts_are_heavy_tailed_and_bounded() {
        let shape = Erratic { levels_requests_per_second: vec![1.0], burst_chance_per_minute: 0.05, ..erratic() };
        let loads: Vec<f64> = (0..200_000).map(|second| shape.load(second * 1_000, 9)).collect();
        let share = |above: f64| loads.iter().filter(|load| **load > above).count() as f64 / loads.len() as f64;
        assert!(loads.iter().all(|load| (1.0..=5.0).contains(load)));
        // One burst of height h is above 1 + x for 30 s · ln(h/x); over the Pareto heights that integrates to
        // 30 s / (2 x²) for x >= 1: of every 1 200 s, 0.0125 above 2 and 0.0031 above 3, plus some overlap.
        // 167 bursts, of which 167/x² count: relative errors near 0.16 and 0.3; three of each.
        assert!((share(2.0) / 0.0125 - 1.0).abs() < 0.5, "{}", share(2.0));
        assert!((share(3.0) / 0.0031 - 1.0).abs() < 0.9, "{}", share(3.0));
    }
}
