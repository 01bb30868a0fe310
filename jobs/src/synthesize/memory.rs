//! Memory: what is held lags behind the load, in steps, in teeth, or not at all.

use super::dice::{Dice, Drift, exp2};
use super::events::chance_per_step;

/// What a program holds, beside about 1.
pub(super) enum Memory {
    /// Sessions and buffers: follows the load with a lag.
    Held { fixed: f64, share: f64, keep: f64, held: f64, white: f64 },
    /// Arenas that are taken and given back whole.
    Stairs { chance: f64, reach: f64, octaves: f64, least: f64, white: f64 },
    /// A garbage collector: grows with the load until it is collected.
    Teeth { fixed: f64, grows: f64, full: f64, garbage: f64, until: f64, unlike: f64 },
    /// A cache: fills up more and more slowly, and is dropped now and then.
    Cache { fills: f64, dropped: f64, held: f64, wobble: Drift },
}

impl Memory {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let steps = |minutes: f64| (minutes * 60_000.0 / step_ms as f64).max(1.0);
        // Where what is counted is what was touched of late, it is as restless as the load.
        let white = if dice.chance(0.15) { dice.octaves(0.05, 3.5) } else { dice.octaves(0.0001, 7.0) };
        match dice.weighted(&[0.3, 0.3, 0.2, 0.2]) {
            0 => Self::Held {
                fixed: dice.between(0.1, 2.0),
                share: dice.octaves(0.05, 4.0),
                keep: 1.0 - 1.0 / steps(dice.octaves(1.0, 7.0)),
                held: 0.0,
                white,
            },
            1 => Self::Stairs {
                chance: chance_per_step(dice.octaves(1.0, 6.5), step_ms),
                reach: dice.octaves(0.01, 5.0),
                octaves: 0.0,
                least: dice.between(-1.0, -0.2),
                white,
            },
            2 => {
                let full = dice.between(0.1, 1.5);
                let grows = full / steps(dice.octaves(3.0, 7.5));
                Self::Teeth { fixed: dice.between(0.3, 1.0), grows, full, garbage: 0.0, until: full, unlike: 0.1 }
            }
            _ => Self::Cache {
                fills: 1.0 / steps(dice.octaves(60.0, 5.0)),
                dropped: chance_per_step(dice.octaves(0.1, 4.5), step_ms),
                held: dice.uniform(),
                wobble: Drift::new(steps(dice.octaves(5.0, 4.0)), dice.octaves(0.001, 5.0), dice),
            },
        }
    }

    /// What is held after a step with so much load.
    pub(super) fn next(&mut self, load: f64, dice: &mut Dice) -> f64 {
        match self {
            Self::Held { fixed, share, keep, held, white } => {
                *held = *held * *keep + load * (1.0 - *keep);
                (*fixed + *share * *held) * (1.0 + *white * dice.normal()).max(0.05)
            }
            Self::Stairs { chance, reach, octaves, least, white } => {
                if dice.chance(*chance * (0.5 + load.min(2.0))) {
                    let back = if dice.chance(0.1) { 0.2 } else { 0.95 };
                    *octaves = (*octaves * back + *reach * dice.normal()).max(*least);
                }
                exp2(*octaves) * (1.0 + *white * dice.normal()).max(0.05)
            }
            Self::Teeth { fixed, grows, full, garbage, until, unlike } => {
                *garbage += *grows * (0.1 + 0.9 * load) * dice.between(0.5, 1.5);
                if *garbage > *until {
                    *garbage = *full * dice.between(0.0, 0.1);
                    *until = *full * (1.0 + *unlike * dice.normal());
                }
                *fixed + *garbage
            }
            Self::Cache { fills, dropped, held, wobble } => {
                *held += *fills * (1.0 - *held) * (0.2 + load.min(3.0));
                if dice.chance(*dropped) {
                    *held *= dice.uniform();
                }
                0.2 + held.min(1.0) * (1.0 + wobble.next(dice))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teeth_grow_and_are_cut() {
        let mut dice = Dice::new(1);
        let mut teeth = Memory::Teeth { fixed: 0.5, grows: 0.01, full: 1.0, garbage: 0.0, until: 1.0, unlike: 0.0 };
        let held: Vec<f64> = (0..10_000).map(|_| teeth.next(1.0, &mut dice)).collect();
        assert!(held.iter().all(|held| (0.5..=1.5).contains(held)));
        let cuts = held.windows(2).filter(|pair| pair[1] < pair[0]).count();
        // A step grows by 0.01 on average, and a tooth by 1 less the 0.05 that is left: one in 95 steps, 105 in all.
        assert!((95..=115).contains(&cuts), "{cuts}");
    }

    #[test]
    fn what_is_held_lags_behind_the_load() {
        let mut dice = Dice::new(1);
        let mut held = Memory::Held { fixed: 1.0, share: 1.0, keep: 0.5, held: 0.0, white: 0.0 };
        let after: Vec<f64> = (0..3).map(|_| held.next(1.0, &mut dice)).collect();
        assert_eq!(after, [1.5, 1.75, 1.875]);
    }
}
