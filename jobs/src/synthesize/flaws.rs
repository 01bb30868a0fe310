//! Flaws of readings: what is missing, and what is rounded.

use super::calendar::DAY_MS;
use super::dice::Dice;
use super::events::chance_per_step;

/// How a series is read.
#[derive(Clone, Debug)]
pub(super) struct Flaws {
    /// Chance that a step begins a stretch without readings.
    gap: f64,
    /// The least such stretch, steps.
    gap_steps: f64,
    /// Most of it, steps.
    gap_most: f64,
    left: f64,
    /// What readings are a multiple of, beside a level of 1.
    grain: Option<f64>,
    /// Most that is ever read, beside a level of 1.
    ceiling: f64,
}

impl Flaws {
    pub(super) fn drawn(step_ms: u64, ceiling: f64, dice: &mut Dice) -> Self {
        let gaps_a_day = if dice.chance(0.3) { dice.octaves(0.1, 6.0) } else { 0.02 };
        Self {
            gap: chance_per_step(gaps_a_day, step_ms),
            gap_steps: dice.octaves(0.6, 3.5),
            gap_most: (DAY_MS / 8 / step_ms) as f64,
            left: 0.0,
            grain: dice.chance(0.35).then(|| dice.octaves(0.000_3, 6.0)),
            ceiling,
        }
    }

    /// What is read of a value.
    pub(super) fn read(&mut self, value: f64, dice: &mut Dice) -> Option<f64> {
        self.left -= 1.0;
        if self.left <= 0.0 && dice.chance(self.gap) {
            self.left = (self.gap_steps * dice.pareto()).ceil().min(self.gap_most);
        }
        let value = value.clamp(0.0, self.ceiling);
        (self.left <= 0.0).then(|| self.grain.map_or(value, |grain| (value / grain).round() * grain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_in_stretches_and_is_not_zero() {
        let mut dice = Dice::new(1);
        let mut flaws = Flaws { gap: 0.01, gap_steps: 5.0, gap_most: 20.0, left: 0.0, grain: Some(0.25), ceiling: 2.0 };
        let read: Vec<Option<f64>> = (0..20_000).map(|_| flaws.read(1.1, &mut dice)).collect();
        assert!(read.iter().flatten().all(|value| *value == 1.0), "1.1 is nearest to 4 grains of a quarter");
        let missing = read.iter().filter(|value| value.is_none()).count();
        let stretches = read.windows(2).filter(|pair| pair[0].is_some() && pair[1].is_none()).count();
        // At least 5 and at most 20 steps each; one in about 110 steps.
        assert!((100..=240).contains(&stretches), "{stretches}");
        assert!((4 * stretches..=20 * stretches).contains(&missing), "{missing} in {stretches}");
        assert_eq!(Flaws { gap: 0.0, ..flaws }.read(9.0, &mut dice), Some(2.0));
    }
}
