//! A ladder of candidate effects with a wager on each rung: together they are a confidence sequence.
//!
//! A rung says "the canary is worse by this much, and no more, no less". Those that no wager has refuted yet are the
//! interval, which holds at all times at once. Rungs are multiples of the margin, so that the interval is fine where the
//! verdict is made: rung 0 is "no worse", rung 1 is the margin. The true effect may lie between the highest rung that it is
//! surely above and the lowest one that it is surely below. State: 17 wagers, below 1.1 KiB.

use std::array;

use serde::{Deserialize, Serialize};

use super::wager::Wager;

/// Rungs of a ladder.
pub(super) const RUNGS: usize = 17;

/// The rungs, in margins.
const MARGINS: [f64; RUNGS] =
    [-8.0, -4.0, -2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0];

/// Where "no worse" and "worse by the margin" stand.
const NO_WORSE: usize = 8;
const MARGIN: usize = 12;

/// Wagers on candidate effects, lowest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ladder {
    margin: f64,
    wagers: [Wager; RUNGS],
}

impl Ladder {
    /// A ladder in multiples of `margin`, above zero.
    pub(super) fn new(margin: f64) -> Self {
        Self { margin, wagers: array::from_fn(|_| Wager::default()) }
    }

    /// The candidate effects, lowest first, in the margin's unit.
    pub(super) fn effects(&self) -> [f64; RUNGS] {
        MARGINS.map(|margins| margins * self.margin)
    }

    /// Settles a tick in which canary and baseline differed by `difference`, in the margin's unit.
    pub(super) fn settle_difference(&mut self, difference: f64) {
        for (wager, margins) in self.wagers.iter_mut().zip(MARGINS) {
            wager.settle(difference - margins * self.margin);
        }
    }

    /// Settles a tick whose score is known rung by rung.
    pub(super) fn settle_each(&mut self, scores: [f64; RUNGS]) {
        for (wager, score) in self.wagers.iter_mut().zip(scores) {
            wager.settle(score);
        }
    }

    /// Logarithm of the evidence that the canary is worse at all.
    pub(super) fn ln_worse(&self) -> f64 {
        self.wagers[NO_WORSE].ln_worse()
    }

    /// Logarithm of the evidence that it is worse by less than the margin, if at all.
    pub(super) fn ln_within(&self) -> f64 {
        self.wagers[MARGIN].ln_better()
    }

    /// The effect at which the wagers lean neither way; none while they do not change sides on the ladder.
    pub(super) fn effect(&self) -> Option<f64> {
        let below = self.wagers.windows(2).position(|pair| pair[0].lean() > 0.0 && pair[1].lean() <= 0.0)?;
        let (low, high) = (self.wagers[below].lean(), self.wagers[below + 1].lean());
        let effects = self.effects();
        Some(effects[below] + (effects[below + 1] - effects[below]) * low / (low - high))
    }

    /// Bounds that the effect lies within, each with at most a chance of exp(-`ln_sure`) of ever being wrong; none where the
    /// ladder ends first.
    pub(super) fn interval(&self, ln_sure: f64) -> (Option<f64>, Option<f64>) {
        let effects = self.effects();
        let lower = self.wagers.iter().rposition(|wager| wager.ln_worse() >= ln_sure);
        let upper = self.wagers.iter().position(|wager| wager.ln_better() >= ln_sure);
        (lower.map(|rung| effects[rung]), upper.map(|rung| effects[rung]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rungs_are_where_their_names_say() {
        assert_eq!((MARGINS[NO_WORSE], MARGINS[MARGIN]), (0.0, 1.0));
        assert!(MARGINS.is_sorted());
    }

    #[test]
    fn a_steady_difference_is_enclosed_by_its_neighbours() {
        let mut ladder = Ladder::new(0.1);
        (0..60).for_each(|_| ladder.settle_difference(0.06));
        // 0.06 lies between the rungs 0.5 and 0.75 of 0.1; sixty ticks without noise refute all others, and these too.
        let (lower, upper) = ladder.interval(20f64.ln());
        assert_eq!((lower, upper), (Some(0.5 * 0.1), Some(0.75 * 0.1)));
        let effect = ladder.effect().expect("the wagers change sides");
        assert!(effect > 0.05 && effect < 0.075, "{effect}");
        assert!(ladder.ln_worse() > 3.0 && ladder.ln_within() > 3.0);
    }

    #[test]
    fn what_lies_beyond_the_ladder_has_one_bound() {
        let mut ladder = Ladder::new(0.1);
        (0..60).for_each(|_| ladder.settle_difference(5.0));
        assert_eq!(ladder.interval(20f64.ln()), (Some(0.8), None));
        assert_eq!(ladder.effect(), None);
    }
}
