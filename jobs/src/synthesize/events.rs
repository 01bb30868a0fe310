//! What happens to a load now and then: deploys, crowds, bursts.

use super::calendar::DAY_MS;
use super::dice::{Dice, exp2};

/// The chance per step of what happens so many times a day.
pub(super) fn chance_per_step(times_a_day: f64, step_ms: u64) -> f64 {
    (times_a_day * step_ms as f64 / DAY_MS as f64).min(1.0)
}

/// Deploys: the level jumps and stays.
#[derive(Clone, Debug)]
pub(super) struct Deploys {
    chance: f64,
    /// How far a jump goes, in octaves.
    reach: f64,
    octaves: f64,
}

impl Deploys {
    /// For some workloads one or more a day, for most one a fortnight.
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let times_a_day = if dice.chance(0.2) { dice.between(0.3, 2.0) } else { 0.07 };
        Self { chance: chance_per_step(times_a_day, step_ms), reach: dice.between(0.15, 0.7), octaves: 0.0 }
    }

    /// What the level is multiplied by.
    pub(super) fn next(&mut self, dice: &mut Dice) -> f64 {
        if dice.chance(self.chance) {
            // Half of it is taken back: levels do not run away.
            self.octaves = self.octaves * 0.5 + self.reach * dice.normal();
        }
        exp2(self.octaves)
    }
}

/// Crowds: the load multiplies within minutes and fades over tens of minutes.
#[derive(Clone, Debug)]
pub(super) struct Crowds {
    chance: f64,
    step_ms: u64,
    peak: f64,
    climb: f64,
    fade: f64,
    /// What is left to climb, and how high it is, above 1.
    climbing: f64,
    height: f64,
}

impl Crowds {
    pub(super) fn drawn(times_a_day: f64, step_ms: u64, dice: &mut Dice) -> Self {
        Self {
            chance: chance_per_step(times_a_day, step_ms),
            step_ms,
            peak: dice.octaves(0.2, 3.0),
            climb: 1.0,
            fade: 0.0,
            climbing: 0.0,
            height: 0.0,
        }
    }

    /// What the load is multiplied by.
    pub(super) fn next(&mut self, dice: &mut Dice) -> f64 {
        if dice.chance(self.chance) {
            let steps = |low_ms: f64, octaves: f64, dice: &mut Dice| {
                (dice.octaves(low_ms, octaves) / self.step_ms as f64).max(1.0)
            };
            self.climbing = self.peak * dice.pareto().min(6.0);
            self.climb = self.climbing / steps(60_000.0, 4.0, dice);
            self.fade = exp2(-1.0 / steps(240_000.0, 4.0, dice));
        }
        let climbed = self.climb.min(self.climbing);
        self.climbing -= climbed;
        self.height = if climbed > 0.0 { self.height + climbed } else { self.height * self.fade };
        1.0 + self.height
    }
}

/// Bursts: the load leaps for a step or a few, some of them very high.
#[derive(Clone, Debug)]
pub(super) struct Bursts {
    chance: f64,
    scale: f64,
    most: f64,
    fade: f64,
    height: f64,
}

impl Bursts {
    pub(super) fn drawn(times_a_day: f64, step_ms: u64, dice: &mut Dice) -> Self {
        Self {
            chance: chance_per_step(times_a_day, step_ms),
            scale: dice.octaves(0.1, 5.0),
            most: dice.between(4.0, 20.0),
            fade: if dice.chance(0.5) { 0.0 } else { dice.between(0.2, 0.9) },
            height: 0.0,
        }
    }

    /// What is added, beside a level of 1.
    pub(super) fn next(&mut self, dice: &mut Dice) -> f64 {
        self.height *= self.fade;
        if dice.chance(self.chance) {
            self.height += self.scale * dice.pareto().min(self.most);
        }
        self.height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    #[test]
    fn a_crowd_climbs_and_fades_and_comes_as_often_as_stated() {
        let mut dice = Dice::new(1);
        let mut crowds = Crowds::drawn(4.0, MINUTE_MS, &mut dice);
        let heights: Vec<f64> = (0..100 * 1_440).map(|_| crowds.next(&mut dice)).collect();
        assert!(heights.iter().all(|height| *height >= 1.0));
        let above = |height: &f64| *height > 1.0 + 0.5 * crowds.peak;
        let begun = heights.windows(2).filter(|pair| !above(&pair[0]) && above(&pair[1])).count();
        // 400 are expected, with an error of 20; some begin within another.
        assert!((250..=480).contains(&begun), "{begun}");
        let calm = heights.iter().filter(|height| **height < 1.0 + 0.1 * crowds.peak).count();
        assert!(calm > heights.len() / 4, "{calm}");
    }

    #[test]
    fn deploys_leave_a_level_that_stays() {
        let mut dice = Dice::new(2);
        let mut deploys = Deploys { chance: chance_per_step(2.0, MINUTE_MS), reach: 0.5, octaves: 0.0 };
        let levels: Vec<f64> = (0..50 * 1_440).map(|_| deploys.next(&mut dice)).collect();
        let jumps = levels.windows(2).filter(|pair| pair[0] != pair[1]).count();
        // 100, with an error of 10; four of it.
        assert!((60..=140).contains(&jumps), "{jumps}");
        // Deviation in octaves: 0.5/√(1 - 0.25) = 0.58, so five of it are less than 2^3.
        assert!(levels.iter().all(|level| (0.125..=8.0).contains(level)));
    }
}
